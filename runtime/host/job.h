/* Jobs on the plugin's side: what `flopinio_job *` stands for.
 *
 * The plugin never holds a pointer: the handle is a ticket, a number that is never given out
 * twice, cast to the pointer type. A second done(), a done() from a forgotten thread, any use
 * after the end finds no job and does nothing, instead of hitting the next one.
 *
 * Every function of the host table looks the ticket up, locks the job, works, unlocks: they may
 * be called from any thread. */
#ifndef FLOPINIO_HOST_JOB_H
#define FLOPINIO_HOST_JOB_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "flopinio/base/bucket.h"
#include "flopinio/base/buf.h"
#include "flopinio/plugin.h"
#include "runtime/host/host.h"

struct fl_serve;

struct fl_job {
    pthread_mutex_t lock;
    _Atomic unsigned refs; /* taken under the table's lock, while the table has its own */
    uintptr_t ticket;
    uint64_t id;            /* the worker's number */
    struct fl_serve *serve; /* outlives its jobs */
    const struct flopinio_tool *tool;
    enum fl_host_kind kind;
    _Atomic bool is_cancelled;
    bool is_ended;
    /* ---- the question. Everything that an accessor may need is made before the plugin sees the
     * job: memory that runs out later must not look like an argument that is absent. ---- */
    char *arguments;
    size_t arguments_n;
    json_t *tree;          /* of the arguments; NULL when they are flat (fl_span_is_flat) */
    char *decoded;         /* then: their strings without escapes, each where it stands in
                            * `arguments`, filled in when one is asked for */
    struct fl_buf scratch; /* for a token of a pointer, of a fixed size */
    char *precondition;    /* NULL = none */
    /* ---- the answer ---- */
    struct fl_buf content; /* items with commas between */
    struct fl_buf structured;
    struct fl_buf preview;
    enum fl_host_preview preview_kind;
    char given_precondition[FLOPINIO_PRECONDITION_MAX + 1];
    int error_code;
    char error_message[512];
    const char *misuse; /* why the answer cannot be used; a literal */
    double last_progress;
    struct fl_bucket notes;
};

/* A new job in the table; one reference, the table's. FL_NOMEM, FL_TOO_MANY, FL_BAD_PARAMS. */
enum fl_code fl_job_new(struct fl_serve *serve, const struct flopinio_tool *tool, uint64_t id,
                        enum fl_host_kind kind, struct fl_str precondition, struct fl_str arguments,
                        struct fl_job **ret, struct fl_err *err) FL_MUST_CHECK;
static inline flopinio_job *fl_job_handle(const struct fl_job *job)
{
    return (flopinio_job *)job->ticket; /* NOLINT(performance-no-int-to-ptr) */
}

/* The job behind a handle, locked and referenced, or NULL when it has ended. */
struct fl_job *fl_job_enter(flopinio_job *handle);
/* The job of a worker's number, or NULL. */
struct fl_job *fl_job_enter_id(const struct fl_serve *serve, uint64_t id);
/* Unlocks and gives the reference back. */
void fl_job_leave(struct fl_job *job);
/* Inside: the job is over; nobody finds it any more. */
void fl_job_end(struct fl_job *job);
/* Nobody waits for the jobs of this loop any more: is_cancelled becomes true. */
void fl_jobs_cancel(const struct fl_serve *serve);
/* Until the plugin has ended the last job of this loop; for ever, if it never does. */
void fl_jobs_wait(const struct fl_serve *serve);

/* Fills the host table but for its first fields. */
void fl_job_fill_arguments(struct flopinio_host *host);
void fl_job_fill_results(struct flopinio_host *host);

#endif
