/* One call of a tool, and what every tool of this plugin needs of it. All on the one thread on
 * which the runtime calls start and preview; a call is over when they return. */
#ifndef FILES_CALL_H
#define FILES_CALL_H

#include "buf.h"
#include "content.h"
#include "root.h"

struct flopinio_instance { /* set by open, constant after it */
    const struct flopinio_host *host;
    struct root root;
    bool is_read_only, shows_hidden;
    size_t max_file_bytes; /* larger files are not edited, shown, searched or hashed */
    size_t max_read_bytes; /* in one answer of read */
    size_t max_results;    /* entries of list, matches of search, entries of a recursive delete */
    int64_t search_timeout_ms;
};

struct call {
    const struct flopinio_host *host;
    flopinio_job *job;
    const flopinio_instance *in;
    bool is_preview;
    char precondition[FLOPINIO_PRECONDITION_MAX]; /* of a preview; "" = none yet */
    struct problem problem;
};

/* Does the call, or with is_preview shows it. 0, or -1 with call->problem. */
typedef int call_fn(struct call *call);

/* Runs fn and ends the job. For tools that change something: checks read_only, and takes the
 * root's lock for the real call. A preview whose fn fails says that the call would fail, and binds
 * the call to that: start() then refuses with target_changed, because nobody saw what it would do.
 */
void call_read(flopinio_instance *in, flopinio_job *job, call_fn *fn);
void call_write(flopinio_instance *in, flopinio_job *job, bool is_preview, call_fn *fn);

/* Defines the start, and the preview, functions of a tool from its call_fn. */
#define READ_TOOL(fn)                                                                              \
    static void fn##_start(flopinio_instance *in, flopinio_job *job)                               \
    {                                                                                              \
        call_read(in, job, fn);                                                                    \
    }
#define WRITE_TOOL(fn)                                                                             \
    static void fn##_start(flopinio_instance *in, flopinio_job *job)                               \
    {                                                                                              \
        call_write(in, job, false, fn);                                                            \
    }                                                                                              \
    static void fn##_preview(flopinio_instance *in, flopinio_job *job)                             \
    {                                                                                              \
        call_write(in, job, true, fn);                                                             \
    }

/* Arguments; absent optional ones give the default. */
int call_path(struct call *call, const char *pointer, bool is_new, struct path *ret);
/* "/path", or the root if there is none. */
int call_directory(struct call *call, struct path *ret);
int call_text(struct call *call, const char *pointer, const char **ret, size_t *ret_n);
bool call_flag(const struct call *call, const char *pointer);
int64_t call_int(const struct call *call, const char *pointer, int64_t otherwise);
bool call_is_cancelled(const struct call *call);
/* The same, in the shape that save_file asks for. */
int call_should_stop(void *call);

/* Binds a preview to `state`; in a real call compares it with the precondition, if there is one. */
int call_check(struct call *call, const char *state, const char *shown);

/* Results. A failed buf becomes "out of memory" and -1. */
int call_put_text(struct call *call, const struct buf *text);
int call_put_structured(struct call *call, const struct buf *json);
int call_say(struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a preview shows. */
int call_show_text(struct call *call, const struct buf *text);
/* How the content of path changes: a unified diff, or a text that says why there is none (binary,
 * too large, no change). NULL content: no such file. was may have a state only (a large file). */
int call_show_change(struct call *call, const char *path, const struct state *was,
                     const struct content *old, const char *bytes, size_t n);

#endif
