/* The WebSocket to the outside: connect (libcurl) -> upgrade -> frames. */
#include "runtime/io/dial.h"

#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/io/ws_client.h"
#include "runtime/io/ws_frame.h"

#define HEAD_MAX   (16u << 10)
#define PIECE      16384u
#define OUT_MAX    (1u << 20)
#define CONNECT_MS 10000
#define PING_MS    10000
#define SILENT_MS  35000

/* ---------------------------------------------------------------- ending */
static void forget(struct fl_dial *d)
{
    struct fl_err why = d->why;
    fl_http_call_close(&d->call);
    fl_http_call_fini(&d->call);
    fl_buf_fini(&d->url);
    fl_buf_fini(&d->host);
    fl_buf_fini(&d->path);
    fl_buf_fini(&d->key);
    fl_buf_fini(&d->in);
    fl_buf_fini(&d->out);
    fl_buf_fini(&d->message);
    d->has_told = true;
    d->on_closed(d, &why);
}

static void on_unwatched(struct fl_watch *watch)
{
    forget(FL_CONTAINER(watch, struct fl_dial, watch));
}

static void on_over(struct fl_post *post)
{
    struct fl_dial *d = FL_CONTAINER(post, struct fl_dial, post);
    if (d->is_watched)
        fl_watch_close(&d->watch, on_unwatched);
    else
        forget(d);
}

/* The first reason counts. From here nothing is read or sent. */
static void end(struct fl_dial *d, enum fl_code code, const char *why)
{
    if (d->is_closing)
        return;
    d->is_closing = true;
    fl_err_set(&d->why, code, "%s", why);
    fl_loop_timer_cancel(d->loop, &d->timer);
    if (d->op.is_pending) { /* on_connected goes on */
        fl_op_cancel(&d->op);
        return;
    }
    d->post = (struct fl_post){ .run = on_over };
    fl_loop_post(d->loop, &d->post);
}

/* ---------------------------------------------------------------- bytes out */
static void flush(struct fl_dial *d)
{
    size_t n = 1;
    while (d->out.n && n && !d->is_closing) {
        if (fl_http_call_send(&d->call, fl_buf_view(&d->out), &n) != FL_OK) {
            end(d, FL_CLOSED, "the connection was closed");
            return;
        }
        fl_buf_drop(&d->out, n);
    }
    if (d->is_watched && !d->is_closing)
        fl_watch_read(&d->watch, d->out.n > 0);
}

static void put_frame(struct fl_dial *d, enum fl_ws_opcode opcode, struct fl_str payload)
{
    if (d->is_closing || !d->is_open)
        return;
    fl_ws_frame_put(&d->out, opcode, payload);
    if (d->out.is_failed || d->out.n > OUT_MAX)
        end(d, FL_CLOSED, "the peer reads nothing");
    else
        flush(d);
}

void fl_dial_send(struct fl_dial *d, struct fl_str text)
{
    put_frame(d, FL_WS_TEXT, text);
}

/* ---------------------------------------------------------------- bytes in */
static void use_frame(struct fl_dial *d, const struct fl_ws_frame *f)
{
    switch (f->opcode) {
    case FL_WS_PING: put_frame(d, FL_WS_PONG, f->payload); return;
    case FL_WS_PONG: return;
    case FL_WS_CLOSE:
        put_frame(d, FL_WS_CLOSE, f->payload);
        end(d, FL_CLOSED, "the peer closed the connection");
        return;
    case FL_WS_TEXT:
    case FL_WS_CONTINUATION:
        if ((f->opcode == FL_WS_CONTINUATION) != d->is_in_message) {
            end(d, FL_IO, "the peer's fragments are out of order");
            return;
        }
        fl_buf_str(&d->message, f->payload);
        d->is_in_message = !f->is_final;
        if (d->message.is_failed)
            end(d, FL_NOMEM, "out of memory");
        else if (f->is_final && !fl_utf8_is_valid(fl_buf_view(&d->message)))
            end(d, FL_IO, "the peer sent what is not UTF-8");
        else if (f->is_final)
            d->on_text(d, d->message.n ? fl_buf_view(&d->message) : FL_STR(""));
        if (f->is_final)
            fl_buf_reset(&d->message);
        return;
    default: end(d, FL_IO, "the peer sent what is no text"); return;
    }
}

static void read_head(struct fl_dial *d)
{
    struct fl_err err;
    const char *at = d->in.n ? memmem(d->in.p, d->in.n, "\r\n\r\n", 4) : NULL;
    if (!at) {
        if (d->in.n > HEAD_MAX)
            end(d, FL_IO, "what listens there does not speak HTTP");
        return;
    }
    size_t n = (size_t)(at - d->in.p);
    if (fl_ws_check_head((struct fl_str){ d->in.p, n }, fl_buf_view(&d->key), NULL, &err) !=
        FL_OK) {
        end(d, err.code, err.text);
        return;
    }
    fl_buf_drop(&d->in, n + 4);
    d->is_open = true;
}

static void use_what_came(struct fl_dial *d)
{
    struct fl_ws_frame f;
    const char *how = NULL;
    if (!d->is_open)
        read_head(d);
    while (d->is_open && !d->is_closing &&
           fl_ws_frame_take(fl_buf_view(&d->in), FL_DIAL_MESSAGE_MAX - d->message.n, &f, &how)) {
        use_frame(d, &f);
        fl_buf_drop(&d->in, f.size);
    }
    if (how)
        end(d, FL_IO, how);
}

static void on_ready(struct fl_watch *watch, bool is_readable, bool is_writable)
{
    struct fl_dial *d = FL_CONTAINER(watch, struct fl_dial, watch);
    size_t n = 1;
    if (is_writable)
        flush(d);
    while (is_readable && n && !d->is_closing) {
        if (!fl_buf_reserve(&d->in, PIECE)) {
            end(d, FL_NOMEM, "out of memory");
            return;
        }
        if (fl_http_call_receive(&d->call, d->in.p + d->in.n, PIECE, &n) != FL_OK) {
            end(d, FL_CLOSED, "the connection was closed");
            return;
        }
        d->in.n += n;
        d->heard_ms = n ? fl_mono_ms() : d->heard_ms;
        if (n)
            use_what_came(d);
    }
}

/* ---------------------------------------------------------------- life */
static void on_timer(struct fl_timer *timer)
{
    struct fl_dial *d = FL_CONTAINER(timer, struct fl_dial, timer);
    if (!d->is_open || fl_mono_ms() - d->heard_ms > SILENT_MS) {
        end(d, FL_TIMEOUT, "nothing came from there for too long");
        return;
    }
    fl_loop_timer(d->loop, &d->timer, PING_MS);
    put_frame(d, FL_WS_PING, FL_STR(""));
}

static void on_connected(struct fl_op *op)
{
    struct fl_dial *d = FL_CONTAINER(op, struct fl_dial, op);
    uint8_t raw[16];
    if (d->is_closing || op->code) {
        if (!d->is_closing)
            d->why = op->err;
        d->is_closing = true;
        forget(d);
        return;
    }
    fl_random(raw, sizeof raw);
    fl_b64(&d->key, raw, sizeof raw);
    fl_buf_printf(&d->out,
                  "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                  FL_STR_ARG(fl_buf_view(&d->path)), FL_STR_ARG(fl_buf_view(&d->host)),
                  d->key.p ? d->key.p : "");
    d->heard_ms = fl_mono_ms();
    fl_loop_timer(d->loop, &d->timer, CONNECT_MS);
    d->is_watched = fl_watch_open(&d->watch, d->loop, d->call.socket, on_ready);
    if (!d->is_watched || d->out.is_failed || d->key.is_failed)
        end(d, FL_NOMEM, "out of memory");
    else
        flush(d);
}

/* "wss://host:port/path?query" */
static bool read_url(struct fl_dial *d, struct fl_str url)
{
    bool is_tls = fl_str_has_prefix(url, FL_STR("wss://"));
    size_t at = is_tls ? 6 : 5, end_ = at;
    if (!is_tls && !fl_str_has_prefix(url, FL_STR("ws://")))
        return false;
    while (end_ < url.n && url.p[end_] != '/' && url.p[end_] != '?')
        end_++;
    fl_buf_put(&d->host, url.p + at, end_ - at);
    if (end_ == url.n || url.p[end_] == '?')
        fl_buf_putc(&d->path, '/');
    fl_buf_put(&d->path, url.p + end_, url.n - end_);
    fl_buf_printf(&d->url, "%s://%.*s/", is_tls ? "https" : "http",
                  FL_STR_ARG(fl_buf_view(&d->host)));
    return d->host.n > 0;
}

enum fl_code fl_dial_start(struct fl_dial *d, struct fl_str url, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (size_t i = 0; i < url.n; i++) {
        if ((unsigned char)url.p[i] <= 0x20 || (unsigned char)url.p[i] >= 0x7f)
            code = FL_BAD_PARAMS;
    }
    if (code || !read_url(d, url))
        code = fl_err_set(err, FL_BAD_PARAMS, "that is no address of a WebSocket");
    else if (d->url.is_failed || d->path.is_failed || d->host.is_failed)
        code = fl_err_code(err, FL_NOMEM);
    if (code == FL_OK) {
        fl_timer_init(&d->timer, on_timer);
        d->op.done = on_connected;
        d->call = (struct fl_http_call){
            .method = "GET", .url = d->url.p, .is_connect_only = true, .timeout_ms = CONNECT_MS
        };
        code = fl_http_call_start(&d->op, d->client, &d->call);
        if (code)
            *err = d->op.err;
    }
    if (code) {
        fl_buf_fini(&d->url);
        fl_buf_fini(&d->host);
        fl_buf_fini(&d->path);
    }
    return code;
}

void fl_dial_close(struct fl_dial *d)
{
    put_frame(d, FL_WS_CLOSE, FL_STR("\x03\xe8"));
    end(d, FL_CANCELLED, "closed");
}
