/* One thread, one list of running scripts, woken for the next due step. */
#include "script.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct run {
    struct run *next;
    flopinio_job *job;
    script_fn *script;
    unsigned step;
    int64_t due_ms;
    bool is_cancelled;
};

struct flopinio_instance {
    const struct flopinio_host *host;
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t changed;
    struct run *runs;
    bool is_closing;
};

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void give_up(struct flopinio_instance *in, flopinio_job *job, const char *why)
{
    in->host->text(job, why, strlen(why));
    in->host->done(job, FLOPINIO_TOOL_ERROR);
}

/* Takes the run whose step is due, or NULL with the time of the earliest (-1: none). */
static struct run *take_due(struct flopinio_instance *in, int64_t *ret_next_ms)
{
    int64_t now = now_ms();
    *ret_next_ms = -1;
    for (struct run **at = &in->runs; *at; at = &(*at)->next) {
        struct run *run = *at;
        if (run->due_ms <= now || run->is_cancelled || in->is_closing) {
            *at = run->next;
            return run;
        }
        if (*ret_next_ms < 0 || run->due_ms < *ret_next_ms)
            *ret_next_ms = run->due_ms;
    }
    return NULL;
}

/* One step, without the lock. true: there is another. */
static bool go_on(struct flopinio_instance *in, struct run *run, bool is_over)
{
    if (is_over || in->host->is_cancelled(run->job)) {
        give_up(in, run->job, "cancelled");
        return false;
    }
    int wait_ms = run->script(in->host, run->job, run->step++);
    run->due_ms = now_ms() + wait_ms;
    return wait_ms != SCRIPT_END;
}

static void *work(void *arg)
{
    struct flopinio_instance *in = arg;
    pthread_mutex_lock(&in->lock);
    while (in->runs || !in->is_closing) {
        int64_t next_ms;
        struct run *run = take_due(in, &next_ms);
        if (run) {
            bool is_over = run->is_cancelled || in->is_closing;
            pthread_mutex_unlock(&in->lock);
            bool has_more = go_on(in, run, is_over);
            pthread_mutex_lock(&in->lock);
            if (has_more) {
                run->next = in->runs;
                in->runs = run;
            } else {
                free(run);
            }
        } else if (next_ms < 0) {
            pthread_cond_wait(&in->changed, &in->lock);
        } else {
            struct timespec until = { .tv_sec = (time_t)(next_ms / 1000),
                                      .tv_nsec = (long)(next_ms % 1000) * 1000000 };
            pthread_cond_timedwait(&in->changed, &in->lock, &until);
        }
    }
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

int script_open(const struct flopinio_host *host, struct flopinio_instance **ret)
{
    struct flopinio_instance *in = calloc(1, sizeof *in);
    pthread_condattr_t monotonic;
    if (!in) {
        host->log(host, FLOPINIO_ERROR, "out of memory");
        return -1;
    }
    in->host = host;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&in->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&in->lock, NULL);
    if (pthread_create(&in->thread, NULL, work, in) != 0) {
        host->log(host, FLOPINIO_ERROR, "could not start a thread");
        pthread_cond_destroy(&in->changed);
        pthread_mutex_destroy(&in->lock);
        free(in);
        return -1;
    }
    *ret = in;
    return 0;
}

void script_close(struct flopinio_instance *in)
{
    if (!in)
        return;
    pthread_mutex_lock(&in->lock);
    in->is_closing = true;
    pthread_cond_signal(&in->changed);
    pthread_mutex_unlock(&in->lock);
    pthread_join(in->thread, NULL);
    pthread_cond_destroy(&in->changed);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

const struct flopinio_host *script_host(const struct flopinio_instance *in)
{
    return in->host;
}

void script_start(struct flopinio_instance *in, flopinio_job *job, script_fn *script)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        give_up(in, job, "out of memory");
        return;
    }
    run->job = job;
    run->script = script;
    run->due_ms = now_ms();
    pthread_mutex_lock(&in->lock);
    run->next = in->runs;
    in->runs = run;
    pthread_cond_signal(&in->changed);
    pthread_mutex_unlock(&in->lock);
}

void script_cancel(struct flopinio_instance *in, flopinio_job *job)
{
    pthread_mutex_lock(&in->lock);
    for (struct run *run = in->runs; run; run = run->next) {
        if (run->job == job)
            run->is_cancelled = true;
    }
    pthread_cond_signal(&in->changed);
    pthread_mutex_unlock(&in->lock);
}
