/* The table of jobs of this process. */
#include "runtime/host/job.h"

#include <math.h>
#include <string.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "runtime/host/serve.h"

#define SLOTS 1024 /* a power of two: the low digits of a ticket */

#define NOTES_PER_S 20
#define NOTES_BURST 20

#define TOKEN_MAX 256 /* bytes of one token of a JSON pointer */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* some job has */
    struct fl_job *jobs[SLOTS];
    uintptr_t generation;
    struct fl_bucket warnings;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER,
            .warnings = { .rate_per_s = 1, .burst = 5 } };

static enum fl_code add(struct fl_job *job, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    pthread_mutex_lock(&table.lock);
    size_t slot = 0;
    while (slot < SLOTS && table.jobs[slot])
        slot++;
    if (slot < SLOTS) {
        job->ticket = ++table.generation * SLOTS + slot;
        job->refs = 1;
        table.jobs[slot] = job;
    } else {
        code = fl_err_set(err, FL_TOO_MANY, "more than %d jobs in one process", SLOTS);
    }
    pthread_mutex_unlock(&table.lock);
    return code;
}

static void free_job(struct fl_job *job)
{
    pthread_mutex_destroy(&job->lock);
    json_decref(job->tree);
    fl_buf_fini(&job->scratch);
    fl_buf_fini(&job->content);
    fl_buf_fini(&job->structured);
    fl_buf_fini(&job->preview);
    fl_free(job->arguments);
    fl_free(job->precondition);
    fl_free(job);
}

/* Few members and nothing below them: then each is found as fast in the text as in a tree. */
static bool are_flat(struct fl_str arguments)
{
    enum { MEMBERS_MAX = 64 };
    struct fl_str key, value;
    size_t pos = 0, count = 0;
    if (fl_span_type(arguments) != FL_SPAN_OBJECT)
        return false;
    while (fl_span_next_member(arguments, &pos, &key, &value)) {
        if (count++ == MEMBERS_MAX || !fl_span_is_flat(key, value))
            return false;
    }
    return true;
}

static enum fl_code take_question(struct fl_job *job, struct fl_str precondition,
                                  struct fl_str arguments, struct fl_err *err)
{
    fl_buf_init(&job->scratch, TOKEN_MAX);
    enum fl_code code = fl_scan(arguments, &fl_scan_call, NULL, 0, NULL, err);
    if (code)
        return code;
    bool is_flat = are_flat(arguments);
    job->arguments_n = arguments.n;
    job->arguments = fl_malloc((arguments.n + 1) * (is_flat ? 2 : 1));
    if (precondition.p)
        job->precondition = fl_strndup(precondition.p, precondition.n);
    if (!job->arguments || (precondition.p && !job->precondition) ||
        !fl_buf_reserve(&job->scratch, TOKEN_MAX))
        return fl_err_code(err, FL_NOMEM);
    memcpy(job->arguments, arguments.p, arguments.n);
    job->arguments[arguments.n] = 0;
    if (is_flat) {
        job->decoded = job->arguments + arguments.n + 1;
        memset(job->decoded, 0, arguments.n + 1);
        return FL_OK;
    }
    job->tree = fl_json_parse(arguments, err);
    if (!job->tree)
        return err->code;
    if (!json_is_object(job->tree))
        return fl_err_set(err, FL_BAD_PARAMS, "the arguments are not a JSON object");
    return FL_OK;
}

enum fl_code fl_job_new(struct fl_serve *serve, const struct flopinio_tool *tool, uint64_t id,
                        enum fl_host_kind kind, struct fl_str precondition, struct fl_str arguments,
                        struct fl_job **ret, struct fl_err *err)
{
    struct fl_job *job = fl_calloc(1, sizeof *job);
    if (!job)
        return fl_err_code(err, FL_NOMEM);
    pthread_mutex_init(&job->lock, NULL);
    job->serve = serve;
    job->tool = tool;
    job->id = id;
    job->kind = kind;
    job->last_progress = -INFINITY; /* a plugin may start at 0 */
    job->notes = fl_bucket_of(NOTES_PER_S, NOTES_BURST);
    fl_buf_init(&job->content, serve->output_bytes);
    fl_buf_init(&job->structured, serve->output_bytes);
    fl_buf_init(&job->preview, serve->output_bytes);
    enum fl_code code = take_question(job, precondition, arguments, err);
    if (!code)
        code = add(job, err);
    if (code)
        free_job(job);
    else
        *ret = job;
    return code;
}

/* Under the table's lock: takes a reference. */
static struct fl_job *referenced(struct fl_job *job)
{
    if (job)
        job->refs++;
    return job;
}

/* Locks a referenced job, unless it ended in between. */
static struct fl_job *locked(struct fl_job *job)
{
    if (!job)
        return NULL;
    pthread_mutex_lock(&job->lock);
    if (!job->is_ended)
        return job;
    fl_job_leave(job);
    return NULL;
}

struct fl_job *fl_job_enter(flopinio_job *handle)
{
    uintptr_t ticket = (uintptr_t)handle;
    pthread_mutex_lock(&table.lock);
    struct fl_job *job = table.jobs[ticket % SLOTS];
    if (job && job->ticket != ticket)
        job = NULL;
    referenced(job);
    bool may_warn = !job && fl_bucket_take(&table.warnings, fl_mono_ms());
    pthread_mutex_unlock(&table.lock);
    if (may_warn)
        FL_LOG(WARN, "plugin_used_an_ended_job", FL_KI("ticket", ticket));
    return locked(job);
}

struct fl_job *fl_job_enter_id(const struct fl_serve *serve, uint64_t id)
{
    struct fl_job *job = NULL;
    pthread_mutex_lock(&table.lock);
    for (size_t i = 0; i < SLOTS && !job; i++) {
        if (table.jobs[i] && table.jobs[i]->serve == serve && table.jobs[i]->id == id)
            job = referenced(table.jobs[i]);
    }
    pthread_mutex_unlock(&table.lock);
    return locked(job);
}

void fl_job_leave(struct fl_job *job)
{
    pthread_mutex_unlock(&job->lock);
    if (--job->refs == 0)
        free_job(job);
}

void fl_job_end(struct fl_job *job)
{
    FL_ASSERT(!job->is_ended);
    job->is_ended = true;
    pthread_mutex_lock(&table.lock);
    table.jobs[job->ticket % SLOTS] = NULL;
    job->refs--; /* the table's; ours keeps it */
    pthread_cond_broadcast(&table.ended);
    pthread_mutex_unlock(&table.lock);
}

void fl_jobs_cancel(const struct fl_serve *serve)
{
    pthread_mutex_lock(&table.lock);
    for (size_t i = 0; i < SLOTS; i++) {
        if (table.jobs[i] && table.jobs[i]->serve == serve)
            atomic_store(&table.jobs[i]->is_cancelled, true);
    }
    pthread_mutex_unlock(&table.lock);
}

static bool has_jobs(const struct fl_serve *serve)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (table.jobs[i] && table.jobs[i]->serve == serve)
            return true;
    }
    return false;
}

void fl_jobs_wait(const struct fl_serve *serve)
{
    pthread_mutex_lock(&table.lock);
    while (has_jobs(serve))
        pthread_cond_wait(&table.ended, &table.lock);
    pthread_mutex_unlock(&table.lock);
}
