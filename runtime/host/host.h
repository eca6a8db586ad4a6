/* Plugin instances: each runs in a child process of its own, and is called here. Used by the
 * registry (describe) and by approval (calls). Loop thread only.
 *
 * What a call's caller may rely on, whatever the plugin does:
 *   FL_HOST_NOT_STARTED  no byte of the call was handed to the kernel for the plugin: it did not
 *                        run, and may be tried again;
 *   FL_HOST_UNKNOWN      bytes were handed over and no outcome came back (crash, kill, timeout,
 *                        garbage): it may have run;
 *   FL_HOST_ENDED        the plugin gave an outcome.
 * UNKNOWN is reported when the process is dead, so that nothing can happen after it; but for an
 * in-process instance, whose thread nobody can end. */
#ifndef FLOPINIO_HOST_HOST_H
#define FLOPINIO_HOST_HOST_H

#include <jansson.h>

#include "flopinio/base/id.h"
#include "flopinio/base/list.h"
#include "flopinio/base/op.h"
#include "flopinio/base/str.h"
#include "flopinio/base/wheel.h"
#include "flopinio/plugin.h"
#include "runtime/host/definition.h"
#include "runtime/io/loop.h"

struct fl_host;          /* one per worker */
struct fl_host_instance; /* one plugin with one configuration, of one organization */

/* ---- configuration of one instance; everything is copied ---- */
enum { FL_HOST_READ = 1, FL_HOST_WRITE = 2 };
struct fl_host_path {
    const char *path; /* absolute; a folder stands for all beneath it */
    unsigned access;  /* FL_HOST_READ.., or-ed */
};

struct fl_host_sandbox {
    const struct fl_host_path *paths;
    size_t path_count;
    /* The runtime's own files and folders, absolute, NULL-terminated; NULL = none. A path that
     * contains, is or lies in one is refused. */
    const char *const *closed;
    bool may_network;               /* else no socket (seccomp), no TCP (Landlock ABI 4) */
    uint32_t uid, gid;              /* to become where started as root; there, 0 is refused */
    const char *const *environment; /* names passed through, NULL-terminated; NULL = none */
};

#define FL_HOST_LONGEST_MS (366LL * 24 * 3600 * 1000) /* longer times are cut to this */

struct fl_host_limits {      /* 0 takes the default */
    uint64_t memory_bytes;   /* 512 MiB of address space beyond what the bare process maps */
    uint32_t cpu_s;          /* 600: of one process; it is replaced at half of that */
    uint32_t descriptors;    /* 64 */
    uint32_t processes;      /* 16: threads and processes together */
    uint32_t parallel_jobs;  /* 1; at most 64 */
    uint32_t queue;          /* 4096 calls waiting; an organization's bytes in flight are bounded */
    uint64_t output_bytes;   /* 8 MiB of JSON per call; at most 64 MiB */
    int64_t call_ms;         /* 60 s: deadline of a call that names none */
    int64_t cancel_grace_ms; /* 2 s from the cancel frame to the kill */
    int64_t start_ms;        /* 10 s to load and open */
    int64_t idle_ms;         /* 5 min without a call, then the process is stopped */
};

struct fl_host_config {
    struct fl_uuid id, organization_id; /* for the log */
    const char *name;                   /* the instance's, for texts and the log */
    const char *plugin_path;            /* absolute path of the shared object */
    json_t *configuration;              /* borrowed; an object, or NULL */
    struct fl_host_limits limits;
    struct fl_host_sandbox sandbox;
    /* In a thread of this process (but for describe): no sandbox, no limits, a crash ends the
     * worker. For plugins that ship with us, where one organization has the installation to itself.
     */
    bool is_in_process;
};

/* `program` is started as `program plugin-host` and must enter fl_plugin_host_main; NULL = this
 * very program (/proc/self/exe). */
enum fl_code fl_host_new(struct fl_loop *loop, const char *program, struct fl_host **ret,
                         struct fl_err *err) FL_MUST_CHECK;
/* All its instances are freed and describes are complete. Accepts NULL; nulls the pointer. */
void fl_host_free(struct fl_host **host);

/* ---- instances ---- */
/* Checks the configuration (FL_CONFIG); starts nothing: the first call does. */
enum fl_code fl_host_instance_new(struct fl_host *host, const struct fl_host_config *config,
                                  struct fl_host_instance **ret, struct fl_err *err) FL_MUST_CHECK;
/* Refuses new calls, ends queued ones as not started, lets running ones finish, closes the plugin
 * and completes when its processes are gone: for reload and shutdown. Cancelling `op` kills them
 * now; it completes all the same, with FL_OK. */
enum fl_code fl_host_instance_stop_start(struct fl_op *op,
                                         struct fl_host_instance *instance) FL_MUST_CHECK;
/* Stopped, or never called. Accepts NULL; nulls the pointer. */
void fl_host_instance_free(struct fl_host_instance **instance);

struct fl_host_process_info {
    const char *state; /* "stopped", "starting", "ready", "closing", "ending", "backing off" */
    int pid;           /* 0 = none, or in-process */
    uint32_t running, queued;
    uint64_t starts, failures; /* since the instance was made */
    const char *last_error;    /* "" if none; valid until the loop runs again */
    const char *sandbox;       /* of the process in hand, "" if none */
};
struct fl_host_instance_info {
    const char *name;
    struct fl_host_process_info work, preview; /* in-process instances use `work` for both */
};
void fl_host_instance_info(const struct fl_host_instance *instance,
                           struct fl_host_instance_info *ret);

/* ---- calls ---- */
enum fl_host_kind { FL_HOST_START, FL_HOST_PREVIEW };
enum fl_host_ran { FL_HOST_NOT_STARTED, FL_HOST_UNKNOWN, FL_HOST_ENDED };
enum fl_host_preview { FL_HOST_PREVIEW_NONE, FL_HOST_PREVIEW_TEXT, FL_HOST_PREVIEW_DIFF };

struct fl_host_result {
    enum flopinio_outcome outcome;
    struct fl_str content;    /* JSON text: an MCP `content` array, "[]" if there is none */
    struct fl_str structured; /* JSON text of structuredContent; p NULL if there is none */
    /* The tool gave a result that could not be kept (too large, no memory): the outcome stands,
     * and `content` is one sentence that says so. */
    bool is_lost;
    int error_code; /* with FLOPINIO_PROTOCOL_ERROR */
    struct fl_str error_message;
    enum fl_host_preview preview_kind;
    struct fl_str preview;      /* UTF-8 text or a unified diff */
    struct fl_str precondition; /* p NULL if there is none; at most FLOPINIO_PRECONDITION_MAX */
};

struct fl_host_call {
    /* Begin with fl_host_call_clear or a zeroed struct; set op.done. op.code in done: FL_OK exactly
     * when `ran` is FL_HOST_ENDED (look at result.outcome then); else FL_TIMEOUT, FL_CANCELLED,
     * FL_PLUGIN, FL_NOT_FOUND (no such tool), FL_CONFLICT (its definition has changed),
     * FL_UNAVAILABLE (stopped), FL_NOMEM. */
    struct fl_op op;
    /* ---- inputs: borrowed until done ---- */
    enum fl_host_kind kind;
    const char *tool;
    struct fl_str arguments;          /* JSON text of an object, at most 4 MiB */
    struct fl_str precondition;       /* what the preview gave; p NULL = none */
    const uint8_t *definition_digest; /* 32 bytes: not started if the plugin in hand defines the
                                       * tool otherwise; NULL = not checked */
    int64_t timeout_ms; /* from the start (with on_turn: from go), waiting included; 0 = call_ms. On
                         * CLOCK_BOOTTIME: a machine that is suspended does not stop it */
    int64_t grace_ms;   /* from that deadline to the kill at most; 0 = cancel_grace_ms */
    /* Optional. The call first waits for its turn, as long as that takes: when a process is ready
     * and has room for it, on_turn is called and the room is kept. Then either fl_host_call_go
     * sends it at once, or fl_host_call_drop gives the room back. Until then `arguments` and
     * `precondition` need not be set. */
    void (*on_turn)(struct fl_host_call *call);
    /* Optional; asked right before the bytes are handed over. False: the call ends as not started,
     * with FL_TIMEOUT and this text. */
    bool (*may_start)(struct fl_host_call *call, struct fl_err *why);
    /* Optional; called between start and done. Texts live for the callback. */
    void (*on_progress)(struct fl_host_call *call, double progress, double total,
                        struct fl_str message /* p NULL = none */);
    void (*on_message)(struct fl_host_call *call, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json);
    /* ---- outputs: valid from done until fini ---- */
    enum fl_host_ran ran;
    struct fl_host_result result;
    /* ---- the host's own ---- */
    struct fl_list link;
    struct fl_timer timer;
    int64_t until_boot_ms, kill_boot_ms; /* the deadline, and the kill of one that is told to end */
    int64_t given_ms;                    /* between being told and the kill */
    struct fl_slot *slot;
    uint64_t job;
    double last_progress;
    enum fl_code ending; /* FL_OK, or why it is being cancelled */
    enum {
        FL_HOST_CALL_IDLE,
        FL_HOST_CALL_QUEUED,
        FL_HOST_CALL_TURN, /* on_turn was called; nothing was handed over */
        FL_HOST_CALL_RUNNING
    } place;
    bool has_gone;     /* its turn was used */
    bool needs_cancel; /* a cancel frame is owed to the plugin */
    char *reply;       /* owns the result's texts */
};

/* As zeroed, but for the bytes of an error text that nobody reads. */
static inline void fl_host_call_clear(struct fl_host_call *call)
{
    const size_t from = offsetof(struct fl_host_call, kind);
    fl_op_clear(&call->op);
    memset((char *)call + from, 0, sizeof *call - from);
}

/* Queues the call; the plugin is started if need be. On failure (FL_TOO_MANY: the queue is full;
 * FL_UNAVAILABLE: being stopped; FL_BAD_PARAMS, FL_TOO_LARGE) nothing ran, there is no callback,
 * and call->op.err says why. fl_op_cancel: a queued call ends as not started; a running one is
 * told, and its process is killed when it does not end within the grace. An outcome that comes
 * first wins. */
enum fl_code fl_host_call_start(struct fl_host_call *call,
                                struct fl_host_instance *instance) FL_MUST_CHECK;
/* After on_turn. The errors of fl_host_call_start; the turn is kept then. */
enum fl_code fl_host_call_go(struct fl_host_call *call) FL_MUST_CHECK;
/* Gives the turn back; no callback follows. Harmless when it has none. */
void fl_host_call_drop(struct fl_host_call *call);
/* Frees the result; the call may be used again. Harmless on a zeroed call. */
void fl_host_call_fini(struct fl_host_call *call);

/* ---- describe ---- */
struct fl_host_describe {
    struct fl_op op;                    /* set op.done */
    struct fl_description *description; /* valid in done with FL_OK; the caller's to free */
    char not_open[FL_ERR_TEXT_BYTES];   /* valid then: why no instance opens; "": it does, or that
                                           was not tried */
    bool is_trying;                     /* the host's own: described, open() has not answered */
    struct fl_host_instance *instance;  /* the host's own */
};
/* Loads the plugin in a throw-away process under the instance's sandbox, as for previews, and opens
 * an instance there once it is described (not if it is to be in-process, where more may be open to
 * it). Ends with FL_OK, FL_PLUGIN (one clear sentence), FL_TIMEOUT or FL_CANCELLED, when the
 * process is gone. On failure of the start there is no callback. */
enum fl_code fl_host_describe_start(struct fl_host_describe *describe, struct fl_host *host,
                                    const struct fl_host_config *config) FL_MUST_CHECK;

/* "name", "name:group", "1000", "1000:1000" -> the ids for the sandbox. Reads the user database:
 * at start-up and on configuration changes only. FL_CONFIG if there is no such user, or if it is
 * root. */
enum fl_code fl_host_user(const char *text, uint32_t *ret_uid, uint32_t *ret_gid,
                          struct fl_err *err) FL_MUST_CHECK;

/* FL_CONFIG: one of its paths contains, is or lies in one that is closed, links followed. */
enum fl_code fl_host_paths_check(const struct fl_host_sandbox *sandbox,
                                 struct fl_err *err) FL_MUST_CHECK;

/* ---- the child's side ---- */
/* `flopinio plugin-host`: the whole life of a plugin process; its socket is descriptor 3. */
int fl_plugin_host_main(int argc, char **argv);

#endif
