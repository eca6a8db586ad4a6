/* Sockets with their write queue. One buffer is in flight, one gathers behind it; both are freed
 * when all is sent, so that an idle connection keeps none. */
#include "runtime/io/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/mem.h"

enum { PARTS_MAX = 4 };

static void on_handle_closed(uv_handle_t *handle)
{
    struct fl_stream *s = handle->data;
    fl_list_remove(&s->link);
    s->events->on_closed(s);
    if (s->released)
        s->released(s);
    fl_tls_conn_free(&s->tls);
    fl_buf_fini(&s->flying);
    fl_buf_fini(&s->out);
    fl_free(s);
}

void fl_stream_abort(struct fl_stream *s)
{
    s->is_closing = true;
    fl_loop_timer_cancel(s->env->loop, &s->timer);
    fl_loop_post_cancel(s->env->loop, &s->post);
    if (!uv_is_closing(&s->uv.handle))
        uv_close(&s->uv.handle, on_handle_closed);
}

/* Reports from the loop, so that nobody is called back from inside a call. */
static void break_stream(struct fl_stream *s)
{
    if (s->is_broken)
        return;
    s->is_broken = true;
    if (s->is_closing)
        fl_stream_abort(s);
    else
        fl_loop_post(s->env->loop, &s->post);
}

/* ---- writing ---- */
static uint64_t taken_bytes(const struct fl_stream *s)
{
    return s->sent_bytes + (s->is_writing ? s->flying.n - s->uv.stream.write_queue_size : 0);
}

static void arm_stall(struct fl_stream *s)
{
    s->sent_at_check = taken_bytes(s);
    fl_loop_timer(s->env->loop, &s->timer, s->write_stall_ms);
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_stream *s = FL_CONTAINER(timer, struct fl_stream, timer);
    if (s->is_lingering)
        fl_stream_abort(s);
    else if (s->is_writing && taken_bytes(s) == s->sent_at_check)
        break_stream(s);
    else if (s->is_writing)
        arm_stall(s);
}

static void on_written(uv_write_t *write, int status);

static void start_write(struct fl_stream *s)
{
    uv_buf_t buf = uv_buf_init(s->flying.p, (unsigned)s->flying.n);
    s->is_writing = true;
    if (uv_write(&s->write, &s->uv.stream, &buf, 1, on_written) != 0) {
        s->is_writing = false;
        break_stream(s);
        return;
    }
    arm_stall(s);
}

static void linger(struct fl_stream *s);

static void on_written(uv_write_t *write, int status)
{
    struct fl_stream *s = write->data;
    s->is_writing = false;
    if (uv_is_closing(&s->uv.handle))
        return;
    fl_loop_timer_cancel(s->env->loop, &s->timer);
    if (status < 0) {
        break_stream(s);
        return;
    }
    s->sent_bytes += s->flying.n;
    fl_buf_fini(&s->flying);
    if (s->out.n) {
        s->flying = s->out;
        s->out = (struct fl_buf)FL_BUF_INIT;
        start_write(s);
    } else if (s->is_closing) {
        linger(s);
    } else if (s->events->on_drained) {
        s->events->on_drained(s);
    }
}

static void queue(struct fl_buf *buf, const uv_buf_t *parts, unsigned count, size_t skip)
{
    for (unsigned i = 0; i < count; i++) {
        size_t from = skip < parts[i].len ? skip : parts[i].len;
        fl_buf_put(buf, parts[i].base + from, parts[i].len - from);
        skip -= from;
    }
}

static void send_raw(struct fl_stream *s, uv_buf_t *parts, unsigned count)
{
    if (s->is_broken || uv_is_closing(&s->uv.handle))
        return;
    if (s->is_writing) {
        queue(&s->out, parts, count, 0);
        if (s->out.is_failed)
            break_stream(s);
        return;
    }
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += parts[i].len;
    int wrote = uv_try_write(&s->uv.stream, parts, count);
    if (wrote == UV_EAGAIN)
        wrote = 0;
    if (wrote < 0) {
        break_stream(s);
        return;
    }
    s->sent_bytes += (size_t)wrote;
    if ((size_t)wrote == total)
        return;
    queue(&s->flying, parts, count, (size_t)wrote);
    if (s->flying.is_failed || s->flying.n > INT32_MAX)
        break_stream(s);
    else
        start_write(s);
}

static void flush_tls(struct fl_stream *s)
{
    struct fl_buf *out = fl_tls_conn_output(s->tls);
    if (out->n) {
        uv_buf_t buf = uv_buf_init(out->p, (unsigned)out->n);
        send_raw(s, &buf, 1);
    }
    fl_buf_fini(out);
}

void fl_stream_write(struct fl_stream *s, const struct fl_str *parts, size_t count)
{
    uv_buf_t bufs[PARTS_MAX];
    unsigned n = 0;
    FL_ASSERT(count <= PARTS_MAX);
    if (s->is_broken || s->is_closing)
        return;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n > INT32_MAX) {
            break_stream(s);
            return;
        }
        if (parts[i].n)
            bufs[n++] = uv_buf_init((char *)parts[i].p, (unsigned)parts[i].n);
    }
    if (!s->tls) {
        if (n)
            send_raw(s, bufs, n);
        return;
    }
    bool is_whole = true;
    for (unsigned i = 0; i < n && is_whole; i++)
        is_whole = fl_tls_conn_write(s->tls, bufs[i].base, bufs[i].len);
    flush_tls(s);
    if (!is_whole)
        break_stream(s);
}

size_t fl_stream_queued(const struct fl_stream *s)
{
    return s->out.n + (s->is_writing ? s->uv.stream.write_queue_size : 0);
}

/* ---- reading ---- */
static void at_end(struct fl_stream *s)
{
    s->is_at_eof = true;
    if (s->is_lingering)
        fl_stream_abort(s);
    else if (!s->is_closing)
        s->events->on_end(s, false);
}

/* Gives out what TLS can decrypt, as long as the owner reads. */
static void read_tls(struct fl_stream *s)
{
    enum fl_tls_verdict verdict = FL_TLS_BYTES;
    s->has_plain = false;
    while (verdict == FL_TLS_BYTES && s->is_reading && !s->is_closing) {
        size_t n = 0;
        verdict = fl_tls_conn_read(s->tls, s->env->plain, sizeof s->env->plain, &n);
        flush_tls(s);
        if (verdict == FL_TLS_BYTES)
            s->events->on_bytes(s, s->env->plain, n);
    }
    if (!s->is_closing && verdict == FL_TLS_BYTES) {
        s->has_plain = true;
        if (!fl_tls_conn_keep(s->tls))
            break_stream(s);
        return;
    }
    fl_tls_conn_drop(s->tls); /* what stands behind an end, or behind what made no sense */
    if (s->is_closing)
        return;
    if (verdict == FL_TLS_BROKEN) {
        break_stream(s);
    } else if (verdict == FL_TLS_CLOSED) {
        uv_read_stop(&s->uv.stream);
        at_end(s);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct fl_stream *s = handle->data;
    FL_UNUSED(suggested);
    *buf = uv_buf_init(s->env->in, sizeof s->env->in);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct fl_stream *s = stream->data;
    if (n == 0)
        return;
    if (n == UV_EOF) {
        at_end(s);
    } else if (n < 0) {
        break_stream(s);
    } else if (s->is_closing || s->is_broken) {
        return; /* thrown away: libuv reads on within a turn, while there is more */
    } else if (s->tls) {
        fl_tls_conn_offer(s->tls, buf->base, (size_t)n);
        read_tls(s);
    } else {
        s->events->on_bytes(s, buf->base, (size_t)n);
    }
}

void fl_stream_read(struct fl_stream *s, bool is_on)
{
    if (s->is_closing || s->is_broken || s->is_reading == is_on)
        return;
    s->is_reading = is_on;
    if (!is_on) {
        uv_read_stop(&s->uv.stream);
        return;
    }
    if (!s->is_at_eof && uv_read_start(&s->uv.stream, on_alloc, on_read) != 0)
        break_stream(s);
    if (s->has_plain)
        fl_loop_post(s->env->loop, &s->post);
}

static void on_post(struct fl_post *post)
{
    struct fl_stream *s = FL_CONTAINER(post, struct fl_stream, post);
    if (s->is_closing)
        return;
    if (s->is_broken)
        s->events->on_end(s, true);
    else if (s->has_plain && s->is_reading)
        read_tls(s);
}

/* ---- closing ---- */
static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct fl_stream *s = shutdown->data;
    if (status < 0 && !uv_is_closing(&s->uv.handle))
        fl_stream_abort(s);
}

/* Everything is sent: closes our side and waits for the peer to close its own. */
static void linger(struct fl_stream *s)
{
    if (s->is_at_eof || s->is_broken ||
        uv_shutdown(&s->shutdown, &s->uv.stream, on_shutdown) != 0 ||
        (!s->is_reading && uv_read_start(&s->uv.stream, on_alloc, on_read) != 0)) {
        fl_stream_abort(s);
        return;
    }
    s->is_lingering = true;
    fl_loop_timer(s->env->loop, &s->timer, s->env->linger_ms);
}

void fl_stream_close(struct fl_stream *s)
{
    if (s->is_closing)
        return;
    if (s->tls && !s->is_broken) {
        fl_tls_conn_shutdown(s->tls);
        flush_tls(s);
    }
    s->is_closing = true;
    fl_list_push_back(&s->env->closing, &s->link);
    fl_loop_post_cancel(s->env->loop, &s->post);
    if (!s->is_writing)
        linger(s);
}

void fl_stream_abort_closing(struct fl_stream_env *env)
{
    FL_LIST_FOREACH (link, &env->closing)
        fl_stream_abort(FL_CONTAINER(link, struct fl_stream, link));
}

/* ---- beginning ---- */
static void set_options(int fd)
{
    int on = 1, idle_s = 60;
    /* Failures change nothing but speed and the notice of dead peers. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
}

static void on_refused_closed(uv_handle_t *handle)
{
    struct fl_stream *s = handle->data;
    fl_tls_conn_free(&s->tls);
    fl_free(s);
}

enum fl_code fl_stream_new(struct fl_stream_env *env, int fd, const struct fl_http_peer *peer,
                           const struct fl_stream_events *events, void *user,
                           struct fl_stream **ret, struct fl_err *err)
{
    struct fl_stream *s = fl_calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return fl_err_code(err, FL_NOMEM);
    }
    if (env->tls && !(s->tls = fl_tls_conn_new(env->tls))) {
        close(fd);
        fl_free(s);
        return fl_err_code(err, FL_NOMEM);
    }
    fl_list_init(&s->link);
    s->env = env;
    s->events = events;
    s->user = user;
    s->peer = *peer;
    s->write_stall_ms = env->write_stall_ms;
    s->write.data = s->shutdown.data = s;
    s->post.run = on_post;
    fl_timer_init(&s->timer, on_timer);
    int rc;
    if (peer->is_unix) {
        uv_pipe_init(&env->loop->uv, &s->uv.pipe, 0);
        rc = uv_pipe_open(&s->uv.pipe, fd);
    } else {
        set_options(fd);
        uv_tcp_init(&env->loop->uv, &s->uv.tcp);
        rc = uv_tcp_open(&s->uv.tcp, fd);
    }
    s->uv.handle.data = s;
    if (rc != 0) {
        close(fd);
        uv_close(&s->uv.handle, on_refused_closed);
        return fl_err_set(err, FL_IO, "could not take descriptor %d: %s", fd, uv_strerror(rc));
    }
    if (uv_read_start(&s->uv.stream, on_alloc, on_read) != 0)
        break_stream(s);
    s->is_reading = true;
    *ret = s;
    return FL_OK;
}
