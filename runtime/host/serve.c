/* The loop of the plugin's side. */
#include "runtime/host/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/host/definition.h"
#include "runtime/host/job.h"
#include "runtime/host/load.h"
#include "runtime/host/reply.h"
#include "runtime/host/sandbox.h"
#include "runtime/host/setup.h"

#define READ_AT_LEAST 4096
#define KEEP_AT_MOST  (64 * 1024) /* of the read buffer between frames */
#define LOGS_PER_S    20
#define LOGS_BURST    100

static _Thread_local struct fl_serve *of_thread;

struct fl_serve *fl_serve_of_thread(void)
{
    return of_thread;
}

/* ---- writing ---- */

void fl_serve_write(struct fl_serve *serve, struct iovec *parts, size_t count)
{
    pthread_mutex_lock(&serve->write_lock);
    while (count) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
        ssize_t n = sendmsg(serve->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) { /* the plugin may have made it non-blocking */
            poll(&(struct pollfd){ .fd = serve->fd, .events = POLLOUT }, 1, -1);
            continue;
        }
        if (n < 0)
            break;
        size_t left = (size_t)n;
        for (; count && left >= parts->iov_len; parts++, count--)
            left -= parts->iov_len;
        if (count) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    pthread_mutex_unlock(&serve->write_lock);
}

static void write_text_frame(struct fl_serve *serve, enum fl_frame_type type, const uint32_t *level,
                             struct fl_str text)
{
    struct fl_buf frame = FL_BUF_INIT;
    size_t at = fl_frame_begin(&frame, type, 0);
    if (level)
        fl_frame_u32(&frame, *level);
    fl_frame_str(&frame, text);
    fl_frame_end(&frame, at);
    if (!frame.is_failed)
        fl_serve_write(serve, &(struct iovec){ frame.p, frame.n }, 1);
    else
        shutdown(serve->fd, SHUT_RDWR); /* no memory even for this: the worker must not wait */
    fl_buf_fini(&frame);
}

void fl_serve_log(struct fl_serve *serve, enum flopinio_level level, const char *text)
{
    struct fl_str s = fl_str_of(text);
    if (!fl_utf8_is_valid(s))
        s = FL_STR("(a log line that is not UTF-8)");
    s.n = fl_utf8_cut(s, sizeof serve->last_words - 1);
    pthread_mutex_lock(&serve->log_lock);
    bool may_send = fl_bucket_take(&serve->logs, fl_mono_ms());
    snprintf(serve->last_words, sizeof serve->last_words, "%.*s", FL_STR_ARG(s));
    pthread_mutex_unlock(&serve->log_lock);
    if (may_send)
        write_text_frame(serve, FL_FRAME_LOG, &(uint32_t){ (uint32_t)level }, s);
}

bool fl_serve_wants_replacement(const struct fl_serve *serve)
{
    struct timespec used;
    return serve->is_process && clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0 &&
           used.tv_sec >= (time_t)serve->cpu_s / 2;
}

/* ---- reading ---- */

/* Takes in what there is; false when the worker has closed its end. */
static bool take_in(struct fl_serve *serve, bool waits)
{
    if (serve->in_at == serve->in.n) {
        if (serve->in.cap > KEEP_AT_MOST)
            fl_buf_fini(&serve->in);
        else
            fl_buf_reset(&serve->in);
    } else {
        fl_buf_drop(&serve->in, serve->in_at);
    }
    serve->in_at = 0;
    size_t want = READ_AT_LEAST;
    if (serve->in.n >= FL_FRAME_HEAD) {
        size_t whole = FL_FRAME_HEAD + (size_t)fl_frame_read_head(serve->in.p).n;
        if (whole > serve->in.n + want)
            want = whole - serve->in.n;
    }
    if (!fl_buf_reserve(&serve->in, want))
        return false;
    for (;;) {
        ssize_t n = recv(serve->fd, serve->in.p + serve->in.n, want, waits ? 0 : MSG_DONTWAIT);
        if (n > 0) {
            serve->in.n += (size_t)n;
            return true;
        }
        if (n == 0)
            return false;
        if (errno == EAGAIN && waits)
            poll(&(struct pollfd){ .fd = serve->fd, .events = POLLIN }, 1, -1);
        else if (errno != EINTR)
            return errno == EAGAIN;
    }
}

enum next { NEXT_FRAME, NEXT_NONE, NEXT_BAD };

/* The frame at `at` if it is all there. */
static enum next frame_at(const struct fl_serve *serve, size_t at, struct fl_frame *ret)
{
    if (serve->in.n - at < FL_FRAME_HEAD)
        return NEXT_NONE;
    struct fl_frame frame = fl_frame_read_head(serve->in.p + at);
    if (frame.n > fl_frame_max_to_plugin(frame.type))
        return NEXT_BAD;
    if (serve->in.n - at - FL_FRAME_HEAD < frame.n)
        return NEXT_NONE;
    *ret = frame;
    return NEXT_FRAME;
}

static void mark_cancelled(struct fl_serve *serve, uint64_t id)
{
    struct fl_job *job = fl_job_enter_id(serve, id);
    if (job) {
        atomic_store(&job->is_cancelled, true);
        fl_job_leave(job);
    }
}

void fl_serve_peek(struct fl_serve *serve)
{
    if (!take_in(serve, false))
        fl_jobs_cancel(serve); /* nobody waits for anything any more */
    struct fl_frame frame;
    for (size_t at = serve->in_at; frame_at(serve, at, &frame) == NEXT_FRAME;
         at += FL_FRAME_HEAD + frame.n) {
        if (frame.type == FL_FRAME_CANCEL)
            mark_cancelled(serve, frame.job); /* its cancel() follows when start() has returned */
    }
}

/* ---- calling the plugin ---- */

/* For a job that could not even be made: nothing ran. */
static void refuse_job(struct fl_serve *serve, uint64_t id, const char *why)
{
    struct fl_buf frame = FL_BUF_INIT;
    struct fl_host_result result = {
        .outcome = FLOPINIO_PROTOCOL_ERROR,
        .error_code = -32603,
        .error_message = fl_str_of(why),
    };
    fl_reply_put(&frame, id, &result, false);
    if (!frame.is_failed)
        fl_serve_write(serve, &(struct iovec){ frame.p, frame.n }, 1);
    else
        shutdown(serve->fd, SHUT_RDWR);
    fl_buf_fini(&frame);
}

static void start_job(struct fl_serve *serve, const struct fl_frame *frame, const char *payload)
{
    struct fl_fields fields = fl_fields_of(payload, frame->n);
    enum fl_host_kind kind = (enum fl_host_kind)fl_fields_u32(&fields);
    struct fl_str name = fl_fields_str(&fields), precondition = fl_fields_str(&fields),
                  arguments = fl_fields_str(&fields);
    const struct flopinio_tool *tool = fl_plugin_tool(serve->plugin, name);
    struct fl_job *job;
    struct fl_err err;
    if (!fl_fields_end(&fields) || !tool) {
        refuse_job(serve, frame->job, "the plugin has no such tool");
        return;
    }
    if (fl_job_new(serve, tool, frame->job, kind, precondition, arguments, &job, &err) != FL_OK) {
        refuse_job(serve, frame->job, err.text);
        return;
    }
    flopinio_job *handle = fl_job_handle(job); /* from here on `job` may be gone at any time */
    if (kind == FL_HOST_START)
        tool->start(serve->instance, handle);
    else if (tool->preview)
        tool->preview(serve->instance, handle);
    else
        serve->host.done(handle, FLOPINIO_NO_PREVIEW);
}

static void cancel_job(struct fl_serve *serve, uint64_t id)
{
    mark_cancelled(serve, id);
    struct fl_job *job = fl_job_enter_id(serve, id);
    if (!job)
        return; /* it ended in between */
    const struct flopinio_tool *tool = job->tool;
    flopinio_job *handle = fl_job_handle(job);
    fl_job_leave(job);
    if (tool->cancel)
        tool->cancel(serve->instance, handle);
}

/* Until the worker says close (true) or has gone. */
static bool serve_frames(struct fl_serve *serve)
{
    for (;;) {
        struct fl_frame frame;
        enum next next;
        while ((next = frame_at(serve, serve->in_at, &frame)) == NEXT_FRAME) {
            const char *payload = serve->in.p + serve->in_at + FL_FRAME_HEAD;
            serve->in_at += FL_FRAME_HEAD + frame.n;
            switch (frame.type) {
            case FL_FRAME_START: start_job(serve, &frame, payload); break;
            case FL_FRAME_CANCEL: cancel_job(serve, frame.job); break;
            default: return frame.type == FL_FRAME_CLOSE;
            }
        }
        if (next == NEXT_BAD || !take_in(serve, true))
            return false;
    }
}

/* ---- the whole life ---- */

static void refuse(struct fl_serve *serve, const struct fl_err *why)
{
    struct fl_str text = fl_str_of(why->text);
    write_text_frame(serve, FL_FRAME_REFUSED, NULL, text);
}

/* Waits for the one setup frame. */
static enum fl_code read_setup(struct fl_serve *serve, struct fl_setup *ret, struct fl_err *err)
{
    struct fl_frame frame;
    enum next next;
    while ((next = frame_at(serve, serve->in_at, &frame)) == NEXT_NONE) {
        if (!take_in(serve, true))
            return fl_err_set(err, FL_PLUGIN, "the worker has gone");
    }
    struct fl_fields fields =
        fl_fields_of(serve->in.p + serve->in_at + FL_FRAME_HEAD, next == NEXT_FRAME ? frame.n : 0);
    struct fl_str json = fl_fields_str(&fields);
    if (next != NEXT_FRAME || frame.type != FL_FRAME_SETUP || !fl_fields_end(&fields))
        return fl_err_set(err, FL_PLUGIN, "the first frame is no setup");
    serve->in_at += FL_FRAME_HEAD + frame.n;
    return fl_setup_read(json, ret, err);
}

/* Confines the process, loads the plugin, and writes its description, checked. */
static enum fl_code load(struct fl_serve *serve, const struct fl_setup *setup, struct fl_buf *ret,
                         struct fl_err *err)
{
    struct fl_sandbox_report report = { .text = "in the worker's own process" };
    struct fl_description *description = NULL;
    enum fl_code code = FL_OK;
    if (serve->is_process)
        code = fl_sandbox_enter(setup, &report, err);
    if (!code)
        code = fl_plugin_load(setup->plugin_path, &serve->plugin, err);
    if (!code)
        code = fl_plugin_describe(serve->plugin, report.text, report.landlock_abi > 0, ret, err);
    if (!code)
        code = fl_description_read(fl_buf_view(ret), &description, err);
    fl_description_free(&description);
    return code;
}

static enum fl_code open_instance(struct fl_serve *serve, struct fl_err *err)
{
    int rc = serve->plugin->open(&serve->host, &serve->instance);
    if (rc == 0) {
        serve->is_open = true;
        return FL_OK;
    }
    pthread_mutex_lock(&serve->log_lock);
    fl_err_set(err, FL_PLUGIN, "the plugin did not open: %s",
               serve->last_words[0] ? serve->last_words : "it did not say why");
    pthread_mutex_unlock(&serve->log_lock);
    return FL_PLUGIN;
}

/* True if the worker said close. */
static bool live(struct fl_serve *serve, const struct fl_setup *setup)
{
    struct fl_err err;
    struct fl_buf description;
    fl_buf_init(&description, FL_FRAME_READY_MAX - 64); /* the length field stands in front */
    serve->configuration = setup->configuration;
    serve->output_bytes = setup->output_bytes;
    serve->cpu_s = setup->cpu_s;
    enum fl_code code = load(serve, setup, &description, &err);
    if (!code && setup->mode != FL_SETUP_DESCRIBE)
        code = open_instance(serve, &err);
    if (code)
        refuse(serve, &err);
    else
        write_text_frame(serve, FL_FRAME_READY, NULL, fl_buf_view(&description));
    fl_buf_fini(&description);
    return !code && serve_frames(serve);
}

static struct fl_serve *new_serve(int fd, bool is_process)
{
    struct fl_serve *serve = fl_calloc(1, sizeof *serve);
    if (!serve)
        return NULL;
    serve->fd = fd;
    serve->is_process = is_process;
    pthread_mutex_init(&serve->write_lock, NULL);
    pthread_mutex_init(&serve->log_lock, NULL);
    serve->logs = fl_bucket_of(LOGS_PER_S, LOGS_BURST);
    serve->host.size = sizeof serve->host;
    serve->host.abi_major = FLOPINIO_PLUGIN_ABI_MAJOR;
    serve->host.abi_minor = FLOPINIO_PLUGIN_ABI_MINOR;
    fl_job_fill_arguments(&serve->host);
    fl_job_fill_results(&serve->host);
    return serve;
}

void fl_serve_run(int fd, bool is_process)
{
    struct fl_err err;
    struct fl_setup setup = { 0 };
    struct fl_serve *serve = new_serve(fd, is_process);
    if (!serve) {
        close(fd);
        return;
    }
    bool was_told = false;
    of_thread = serve;
    if (read_setup(serve, &setup, &err) == FL_OK)
        was_told = live(serve, &setup);
    else
        refuse(serve, &err);
    fl_buf_fini(&serve->in);
    shutdown(fd, SHUT_RDWR); /* whatever is still said, nobody hears it */
    fl_jobs_cancel(serve);
    if (is_process && !was_told)
        return;          /* it ends now, with all that it holds */
    fl_jobs_wait(serve); /* a plugin with a job in hand cannot be closed */
    if (serve->is_open)
        serve->plugin->close(serve->instance);
    of_thread = NULL;
    close(fd);
    fl_setup_fini(&setup);
    pthread_mutex_destroy(&serve->write_lock);
    pthread_mutex_destroy(&serve->log_lock);
    fl_free(serve);
}
