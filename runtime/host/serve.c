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
#include "runtime/host/pipe.h"
#include "runtime/host/reply.h"
#include "runtime/host/sandbox.h"
#include "runtime/host/setup.h"

#define READ_AT_LEAST (32 * 1024 - 1) /* many small frames */
#define KEEP_AT_MOST  (64 * 1024)     /* of the read buffer between frames */
#define LOGS_PER_S    20
#define LOGS_BURST    100
#define QUICK_US      100 /* a start that takes longer is not quick */
#define QUICK_AFTER   8   /* so many quick starts of one tool in a row, then results may gather */
#define GATHER_MOST   (32 * 1024)

static _Thread_local struct fl_serve *of_thread;

struct fl_serve *fl_serve_of_thread(void)
{
    return of_thread;
}

/* ---- writing ---- */

static void write_all(struct fl_serve *serve, struct iovec *parts, size_t count)
{
    if (serve->pipe) {
        if (!fl_pipe_give(serve->pipe, parts, count))
            fl_pipe_close(serve->pipe); /* no memory: the worker must not wait */
        return;
    }
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
}

/* Under write_lock. */
static void write_gathered(struct fl_serve *serve)
{
    if (serve->gathered.n == 0)
        return;
    write_all(serve, &(struct iovec){ serve->gathered.p, serve->gathered.n }, 1);
    fl_buf_reset(&serve->gathered);
}

/* Under write_lock. False: they are to be written. */
static bool gather(struct fl_serve *serve, const struct iovec *parts, size_t count)
{
    size_t total = 0, before = serve->gathered.n;
    for (size_t i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (of_thread != serve || !serve->is_gathering || before + total > GATHER_MOST)
        return false;
    for (size_t i = 0; i < count; i++)
        fl_buf_put(&serve->gathered, parts[i].iov_base, parts[i].iov_len);
    if (!serve->gathered.is_failed)
        return true;
    fl_buf_cut(&serve->gathered, before);
    return false;
}

void fl_serve_write(struct fl_serve *serve, struct iovec *parts, size_t count)
{
    pthread_mutex_lock(&serve->write_lock);
    write_gathered(serve);
    write_all(serve, parts, count);
    pthread_mutex_unlock(&serve->write_lock);
}

void fl_serve_write_result(struct fl_serve *serve, struct iovec *parts, size_t count)
{
    pthread_mutex_lock(&serve->write_lock);
    bool is_gathered = gather(serve, parts, count);
    pthread_mutex_unlock(&serve->write_lock);
    if (!is_gathered)
        fl_serve_write(serve, parts, count);
}

/* What was gathered leaves now. */
static void flush(struct fl_serve *serve)
{
    if (!serve->is_gathering)
        return;
    serve->is_gathering = false;
    pthread_mutex_lock(&serve->write_lock);
    write_gathered(serve);
    pthread_mutex_unlock(&serve->write_lock);
}

void fl_serve_break(struct fl_serve *serve)
{
    if (serve->pipe)
        fl_pipe_close(serve->pipe);
    else
        shutdown(serve->fd, SHUT_RDWR);
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
        fl_serve_break(serve); /* no memory even for this */
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
    if (serve->pipe)
        return fl_pipe_take(serve->pipe, &serve->in, waits) != FL_PIPE_CLOSED;
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
    flush(serve); /* this job takes its time */
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
        fl_serve_break(serve);
    fl_buf_fini(&frame);
}

static bool is_only_read(const struct flopinio_tool *tool)
{
    return tool->effects == FLOPINIO_READS ||
           tool->effects == (FLOPINIO_READS | FLOPINIO_IDEMPOTENT);
}

/* Whether the result of this start may wait for those of the next ones. Only of a tool that was
 * quick all the time: a slow start in between keeps those of the others waiting once. And only of
 * reads: what was done must be known even if the next job ends the process. */
static void before_start(struct fl_serve *serve, const struct flopinio_tool *tool)
{
    bool is_same = tool == serve->quick_tool && is_only_read(tool);
    if (!is_same)
        serve->quick_starts = 0;
    serve->quick_tool = tool;
    if (is_same && serve->quick_starts >= QUICK_AFTER)
        serve->is_gathering = true;
    else
        flush(serve);
}

static void after_start(struct fl_serve *serve, int64_t took_us)
{
    if (took_us < QUICK_US) {
        serve->quick_starts++;
        return;
    }
    serve->quick_starts = 0;
    flush(serve);
}

/* Behind its handle the job may be gone at any time. */
static void call_plugin(struct fl_serve *serve, const struct flopinio_tool *tool,
                        enum fl_host_kind kind, flopinio_job *handle)
{
    int64_t from_us = fl_mono_us();
    if (kind == FL_HOST_START) {
        before_start(serve, tool);
        tool->start(serve->instance, handle);
        after_start(serve, fl_mono_us() - from_us);
        return;
    }
    flush(serve);
    if (tool->preview)
        tool->preview(serve->instance, handle);
    else
        serve->host.done(handle, FLOPINIO_NO_PREVIEW);
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
    call_plugin(serve, tool, kind, fl_job_handle(job));
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
            if (frame.type != FL_FRAME_START)
                flush(serve);
            const char *payload = serve->in.p + serve->in_at + FL_FRAME_HEAD;
            serve->in_at += FL_FRAME_HEAD + frame.n;
            switch (frame.type) {
            case FL_FRAME_START: start_job(serve, &frame, payload); break;
            case FL_FRAME_CANCEL: cancel_job(serve, frame.job); break;
            default: return frame.type == FL_FRAME_CLOSE;
            }
        }
        flush(serve); /* nothing more is here */
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
        code = fl_plugin_describe(serve->plugin, report.text,
                                  report.landlock_abi > 0 && report.has_seccomp, ret, err);
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
    if (!code && (setup->mode == FL_SETUP_WORK || setup->mode == FL_SETUP_PREVIEW))
        code = open_instance(serve, &err);
    if (code)
        refuse(serve, &err);
    else
        write_text_frame(serve, FL_FRAME_READY, NULL, fl_buf_view(&description));
    fl_buf_fini(&description);
    if (!code && setup->mode == FL_SETUP_TRY) { /* nothing: it opened */
        if (open_instance(serve, &err) == FL_OK)
            err.text[0] = 0;
        refuse(serve, &err);
    }
    return !code && serve_frames(serve);
}

static struct fl_serve *new_serve(int fd, struct fl_pipe *pipe)
{
    struct fl_serve *serve = fl_calloc(1, sizeof *serve);
    if (!serve)
        return NULL;
    serve->fd = fd;
    serve->pipe = pipe;
    serve->is_process = !pipe;
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

static void end_stream(int fd, struct fl_pipe *pipe)
{
    if (pipe)
        fl_pipe_end(&pipe);
    else
        close(fd);
}

static void run(int fd, struct fl_pipe *pipe)
{
    struct fl_err err;
    struct fl_setup setup = { 0 };
    struct fl_serve *serve = new_serve(fd, pipe);
    if (!serve) {
        if (pipe)
            fl_pipe_close(pipe);
        end_stream(fd, pipe);
        return;
    }
    bool was_told = false;
    of_thread = serve;
    if (read_setup(serve, &setup, &err) == FL_OK)
        was_told = live(serve, &setup);
    else
        refuse(serve, &err);
    fl_buf_fini(&serve->in);
    fl_serve_break(serve); /* whatever is still said, nobody hears it */
    fl_jobs_cancel(serve);
    if (serve->is_process && !was_told)
        return;          /* it ends now, with all that it holds */
    fl_jobs_wait(serve); /* a plugin with a job in hand cannot be closed */
    if (serve->is_open)
        serve->plugin->close(serve->instance);
    of_thread = NULL;
    end_stream(fd, pipe);
    fl_setup_fini(&setup);
    fl_buf_fini(&serve->gathered);
    pthread_mutex_destroy(&serve->write_lock);
    pthread_mutex_destroy(&serve->log_lock);
    fl_free(serve);
}

void fl_serve_process(int fd)
{
    run(fd, NULL);
}

void fl_serve_thread(struct fl_pipe *pipe)
{
    run(-1, pipe);
}
