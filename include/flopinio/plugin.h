/* flopinio/plugin.h - write a tool in C.
 *
 * A plugin is a shared object that exports one function, flopinio_plugin(), which returns a static
 * description: who it is and which tools it has. The runtime loads it into a child process of its
 * own (one per instance, an instance belongs to one organization) and calls it there. A crash, a
 * hang or a flood of output costs the call in hand and nothing else. (An operator with one
 * organization may have plugins run in a thread of the worker: there a crash costs the worker.)
 *
 * THREADS. open, close, start, preview and cancel of one instance are called from one thread, one
 * at a time. start and preview may finish the job before they return, or later from any thread. The
 * functions of the host table that take a job may be called from any thread, until done(); log and
 * the config functions from any thread, until close() returns. An instance keeps its own `host`:
 * a plugin that ships with the runtime may have several instances in one process.
 *
 * A JOB is one call of a tool. start() is handed the arguments that a person approved, already
 * validated against the input schema. It adds content, then calls done() exactly once. Nothing may
 * touch the job after done(); what does finds nothing, and the operator's log says so. A job that
 * does not end in time is told by cancel(), then its process is killed, and the call's outcome is
 * unknown to everybody: better a late done() with the truth than none.
 *
 * PREVIEWS run in a process of their own, in which open() has been called too and where, on a
 * kernel with Landlock, no file can be written. open() must be content with reading. (In a thread
 * of the worker they run beside the calls, and nothing keeps them from writing.)
 *
 * TEXTS are UTF-8. Pointers handed to the host are copied before the call returns. Pointers handed
 * out by the host live until done().
 *
 * VERSIONS. magic, size, abi_major and abi_minor of struct flopinio_plugin never move. The major
 * must be equal, the plugin's minor not newer than the runtime's. A plugin asks host->size before
 * it uses a member of the host table that is newer than its own minimum:
 *     if (host->size > offsetof(struct flopinio_host, member)) ...
 * 1.0: first version.
 *
 * This header needs the C standard headers only, and compiles as C11 and as C++17. */
#ifndef FLOPINIO_PLUGIN_H
#define FLOPINIO_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLOPINIO_PLUGIN_MAGIC     0x504c4f46u /* "FLOP" */
#define FLOPINIO_PLUGIN_ABI_MAJOR 1
#define FLOPINIO_PLUGIN_ABI_MINOR 0

#if defined(_WIN32)
#define FLOPINIO_EXPORT __declspec(dllexport)
#else
#define FLOPINIO_EXPORT __attribute__((visibility("default")))
#endif

typedef struct flopinio_job flopinio_job;           /* the runtime's, opaque */
typedef struct flopinio_instance flopinio_instance; /* the plugin's own, opaque to the runtime */

/* What a tool does. 0 (nothing said) means "writes". The runtime never treats a tool as a read on
 * its own word: an operator accepts the definition first. */
enum flopinio_effects {
    FLOPINIO_READS = 1 << 0,       /* changes nothing that anybody could notice */
    FLOPINIO_WRITES = 1 << 1,      /* changes something */
    FLOPINIO_DESTROYS = 1 << 2,    /* deletes or overwrites what cannot be brought back */
    FLOPINIO_REACHES_OUT = 1 << 3, /* talks to systems outside the instance's own */
    FLOPINIO_IDEMPOTENT = 1 << 4,  /* a second call with the same arguments changes nothing more */
    FLOPINIO_SLOW = 1 << 5         /* takes longer than a client likes to hold the line */
};

/* May a call of the tool be answered by a task (the MCP tasks extension)? */
enum flopinio_task {
    FLOPINIO_TASK_OPTIONAL = 0, /* a task if the client can, and the call has to wait or is slow */
    FLOPINIO_TASK_NEVER = 1,
    FLOPINIO_TASK_REQUIRED = 2 /* a client without tasks cannot call it */
};

/* How a job ended; the second argument of done(). */
enum flopinio_outcome {
    FLOPINIO_OK = 0,
    FLOPINIO_TOOL_ERROR = 1,     /* the tool ran and failed: the content says why (isError) */
    FLOPINIO_TARGET_CHANGED = 2, /* the precondition does not hold any more: nothing was done */
    FLOPINIO_PROTOCOL_ERROR = 3, /* a JSON-RPC error: set with host->error before */
    FLOPINIO_NO_PREVIEW = 4      /* preview only: there is nothing useful to show */
};

enum flopinio_level { /* RFC 5424 names, as MCP logging uses them */
                      FLOPINIO_DEBUG,
                      FLOPINIO_INFO,
                      FLOPINIO_NOTICE,
                      FLOPINIO_WARNING,
                      FLOPINIO_ERROR,
                      FLOPINIO_CRITICAL,
                      FLOPINIO_ALERT,
                      FLOPINIO_EMERGENCY
};

#define FLOPINIO_PRECONDITION_MAX 256 /* bytes */

/* What the runtime offers. `pointer` is a JSON pointer (RFC 6901) into the arguments or into the
 * instance's configuration: "/path", "/items/0/name", "" for the whole; no part of it has more
 * than 256 bytes. */
struct flopinio_host {
    uint32_t size; /* of this struct in the running runtime */
    uint16_t abi_major, abi_minor;

    /* ---- arguments of a job ---- each returns 1 and fills its outputs, or 0 if the value is
     * absent or of another type. Strings are NUL-terminated as well as counted. */
    int (*arg_string)(flopinio_job *job, const char *pointer, const char **ret, size_t *ret_n);
    int (*arg_int)(flopinio_job *job, const char *pointer, int64_t *ret);
    int (*arg_number)(flopinio_job *job, const char *pointer, double *ret);
    int (*arg_bool)(flopinio_job *job, const char *pointer, int *ret);
    /* Members of an object or items of an array. */
    int (*arg_count)(flopinio_job *job, const char *pointer, size_t *ret);
    /* The value's JSON text, byte for byte as it was approved: counted, NOT NUL-terminated (but for
     * pointer "", the whole). */
    int (*arg_json)(flopinio_job *job, const char *pointer, const char **ret, size_t *ret_n);
    /* The precondition that preview() gave for this very call, or NULL. */
    const char *(*precondition)(flopinio_job *job);
    /* Nonzero once nobody waits for the job any more. For loops inside start(): cancel() can only
     * be called when start() has returned. */
    int (*is_cancelled)(flopinio_job *job);

    /* ---- results of a job, in the order in which they are to be read ---- all of them together at
     * most 8 MiB of JSON. More is not kept, and the agent is told that the tool ran. */
    void (*text)(flopinio_job *job, const char *text, size_t n);
    /* kind "image" or "audio"; bytes are raw, the runtime encodes them. */
    void (*media)(flopinio_job *job, const char *kind, const char *mime_type, const void *bytes,
                  size_t n);
    /* An embedded text resource. */
    void (*resource)(flopinio_job *job, const char *uri, const char *mime_type, const char *text,
                     size_t n);
    /* structuredContent: JSON text, once; must obey the output schema. */
    void (*structured)(flopinio_job *job, const char *json, size_t n);
    /* The JSON-RPC error behind FLOPINIO_PROTOCOL_ERROR. */
    void (*error)(flopinio_job *job, int code, const char *message);
    /* Strictly increasing; total 0 = not known; message may be NULL. Too many are dropped. */
    void (*progress)(flopinio_job *job, double progress, double total, const char *message);
    /* A log message for the agent's side; data is JSON text. */
    void (*message)(flopinio_job *job, enum flopinio_level level, const char *logger,
                    const char *data_json);

    /* ---- results of a preview: text or a diff, one of them; repeated calls add to it ---- */
    void (*preview_text)(flopinio_job *job, const char *text, size_t n);
    /* A unified diff. */
    void (*preview_diff)(flopinio_job *job, const char *diff, size_t n);
    /* What must still hold when the call runs: a content hash, an ETag, a row version. Shown to
     * the people who decide, bound to the approval, handed back to start(). */
    void (*preview_precondition)(flopinio_job *job, const char *text);

    /* The end, exactly once per job, from any thread. */
    void (*done)(flopinio_job *job, enum flopinio_outcome outcome);

    /* ---- the instance ---- */
    /* Its configuration, written by the operator; valid until close(). */
    int (*config_string)(const struct flopinio_host *host, const char *pointer, const char **ret,
                         size_t *ret_n);
    int (*config_int)(const struct flopinio_host *host, const char *pointer, int64_t *ret);
    int (*config_bool)(const struct flopinio_host *host, const char *pointer, int *ret);
    /* One line for the operator's log; never arguments or secrets. */
    void (*log)(const struct flopinio_host *host, enum flopinio_level level, const char *text);
};

struct flopinio_tool {
    uint32_t size;     /* sizeof(struct flopinio_tool) */
    uint32_t effects;  /* enum flopinio_effects, or-ed */
    const char *name;  /* [A-Za-z0-9_-]{1,64}; unique in the plugin */
    const char *title; /* for people; may be NULL */
    const char *description;
    const char *input_schema;  /* JSON Schema 2020-12, an object; JSON text */
    const char *output_schema; /* or NULL */
    const char *card; /* a sentence for the people who decide: "Delete file {path}"; or NULL */
    enum flopinio_task task;
    /* Does it. */
    void (*start)(flopinio_instance *instance, flopinio_job *job);
    /* Nobody waits any more, or the deadline has passed. Optional. done() is still owed, and soon.
     */
    void (*cancel)(flopinio_instance *instance, flopinio_job *job);
    /* Shows what start() would do, without doing any of it; optional. Ends with done() too. */
    void (*preview)(flopinio_instance *instance, flopinio_job *job);
};

/* Resources and prompts: described here so that a plugin of today keeps its shape; served by a
 * later minor version of the runtime. */
struct flopinio_resource {
    uint32_t size;
    const char *uri; /* or a URI template (RFC 6570) when is_template is not 0 */
    const char *name, *title, *description, *mime_type;
    int is_template;
    void (*read)(flopinio_instance *instance, flopinio_job *job); /* "/uri" in the arguments */
};

struct flopinio_prompt {
    uint32_t size;
    const char *name, *title, *description;
    const char *arguments; /* JSON text: the array that prompts/list shows */
    void (*get)(flopinio_instance *instance, flopinio_job *job);
};

struct flopinio_plugin {
    uint32_t magic; /* FLOPINIO_PLUGIN_MAGIC */
    uint32_t size;  /* sizeof(struct flopinio_plugin) */
    uint16_t abi_major, abi_minor;
    const char *name; /* [a-z0-9-]{1,32} */
    const char *version;
    const char *description;
    const struct flopinio_tool *const *tools;         /* ends with NULL */
    const struct flopinio_resource *const *resources; /* ends with NULL; may be NULL itself */
    const struct flopinio_prompt *const *prompts;     /* ends with NULL; may be NULL itself */
    /* Makes the instance from its configuration. 0 = ready; else the instance stays closed, and the
     * last line of host->log is shown as the reason. `host` stays valid until close() has
     * returned. Also called where the server is asked what it offers and where previews are made:
     * writing fails there, and open() must be content with that. Create files in start(). */
    int (*open)(const struct flopinio_host *host, flopinio_instance **ret);
    /* No job is in hand. Not called for a process that is killed. */
    void (*close)(flopinio_instance *instance);
};

/* The one symbol that a plugin exports. */
FLOPINIO_EXPORT const struct flopinio_plugin *flopinio_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
