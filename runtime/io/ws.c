/* WebSocket connections. The bytes of the peer come from the front's stream, pass the guard, and go
 * through a socket pair to libwebsockets, which is made to read them at once; what it says (pongs,
 * the answer to a Close) comes back the same way. Short cuts: a whole message in one frame, and all
 * that we say. */
#include "runtime/io/ws.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/io/http_priv.h"
#include "runtime/io/ws_priv.h"

enum {
    KEEP_BYTES = 64 * 1024, /* of a message buffer, for the next message */
    ONE_PIECE_BYTES = 2048,
    PINGS_MAX = 2,   /* unanswered */
    REASON_MAX = 123 /* bytes: RFC 6455 5.5 */
};

enum {
    CODE_PROTOCOL_ERROR = 1002,
    CODE_NOT_TEXT = 1003,
    CODE_NONE = 1005,
    CODE_LOST = 1006,
    CODE_BAD_TEXT = 1007,
    CODE_TOO_BIG = 1009,
    CODE_INTERNAL = 1011,
    CODE_TRY_LATER = 1013
};

/* ---- the end ---- */
static void free_if_over(struct fl_ws *ws)
{
    if (!ws->is_over || ws->stream || ws->is_poll_open || ws->is_take_owed)
        return;
    FL_ASSERT(!ws->wsi && !fl_list_is_linked(&ws->post.link));
    fl_buf_fini(&ws->early);
    fl_buf_fini(&ws->in);
    fl_buf_fini(&ws->message);
    fl_ws_hub_unref(ws->hub);
    ws->magic = 0;
    fl_free(ws);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct fl_ws *ws = handle->data;
    close(ws->pair);
    ws->pair = -1;
    ws->is_poll_open = false;
    free_if_over(ws);
}

/* Lets everything go but the stream. */
static void let_go(struct fl_ws *ws)
{
    fl_loop_timer_cancel(ws->hub->loop, &ws->timer);
    fl_loop_post_cancel(ws->hub->loop, &ws->post);
    if (ws->wsi)
        fl_ws_lws_kill(ws);
    uv_close((uv_handle_t *)&ws->poll, on_poll_closed);
}

/* From the loop only. */
static void finish(struct fl_ws *ws, bool is_graceful)
{
    if (ws->is_over)
        return;
    ws->is_over = ws->is_closing = true;
    if (fl_list_is_linked(&ws->link)) {
        fl_list_remove(&ws->link);
        ws->hub->count--;
    }
    let_go(ws);
    if (ws->stream && is_graceful)
        fl_stream_close(ws->stream);
    else if (ws->stream)
        fl_stream_abort(ws->stream);
    ws->callbacks->on_close(ws, ws->code);
    ws->user = NULL;
}

void fl_ws_break(struct fl_ws *ws)
{
    if (!ws->is_closing)
        ws->code = CODE_LOST;
    finish(ws, false);
}

/* Both have said Close, or the peer broke a rule and no Close of it could be found (RFC 6455
 * 7.1.7), or libwebsockets has nothing more to say. */
static void finish_if_said(struct fl_ws *ws)
{
    if (ws->is_closing && !ws->is_over &&
        ((ws->is_close_sent && (ws->guard.has_closed || ws->guard_code)) || !ws->wsi))
        finish(ws, true);
}

/* ---- what libwebsockets says ---- */
static void to_stream(struct fl_ws *ws, const struct fl_str *parts, size_t count)
{
    if (ws->stream) {
        fl_stream_write(ws->stream, parts, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        fl_buf_str(&ws->early, parts[i]);
}

static void pump_out(struct fl_ws *ws)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(ws->pair, bytes, sizeof bytes, 0)) > 0) {
        if (!ws->is_closing && fl_ws_queued(ws) > ws->hub->limits.write_queue_bytes)
            continue; /* a peer that pings and does not read gets no pongs */
        struct fl_str part = { bytes, (size_t)n };
        to_stream(ws, &part, 1);
    }
}

static void on_pair_readable(uv_poll_t *poll, int status, int events)
{
    struct fl_ws *ws = poll->data;
    FL_UNUSED(status);
    FL_UNUSED(events);
    pump_out(ws);
    if (!ws->wsi)
        uv_poll_stop(&ws->poll); /* it reads as closed for ever; on_post ends the connection */
    finish_if_said(ws);
}

void fl_ws_on_lws_closed(struct fl_ws *ws)
{
    if (!ws->is_closing)
        ws->code = CODE_LOST;
    ws->is_closing = true;
    fl_loop_post(ws->hub->loop, &ws->post);
}

/* ---- closing ----
 * We say Close by ourselves: told to (lws_close_reason), the packaged libwebsockets 4.1.6 closes
 * twice when it was built with _DEBUG, and the Close is never sent. */
static const char *reason_of(uint16_t code)
{
    switch (code) {
    case CODE_NOT_TEXT: return "messages are text frames";
    case CODE_BAD_TEXT: return "the message is not valid UTF-8";
    case CODE_TOO_BIG: return "the message is too large";
    default: return NULL;
    }
}

static void begin_close(struct fl_ws *ws, uint16_t code, const char *reason)
{
    if (!reason)
        reason = reason_of(code);
    uint8_t bytes[2 + 2 + REASON_MAX];
    size_t n = reason ? fl_utf8_cut(fl_str_of(reason), REASON_MAX) : 0;
    if (ws->is_closing)
        return;
    ws->is_closing = ws->is_close_sent = true;
    ws->is_paused = false; /* the answer is waited for */
    ws->code = code;
    (void)fl_ws_header(FL_WS_CLOSE, 2 + n, bytes); /* two bytes */
    bytes[2] = (uint8_t)(code >> 8);
    bytes[3] = (uint8_t)code;
    if (n)
        memcpy(bytes + 4, reason, n);
    struct fl_str part = { (const char *)bytes, 4 + n };
    to_stream(ws, &part, 1);
    if (ws->stream)
        fl_stream_read(ws->stream, true);
    fl_loop_timer(ws->hub->loop, &ws->timer, ws->hub->limits.close_ms);
    fl_loop_post(ws->hub->loop, &ws->post);
}

void fl_ws_close(struct fl_ws *ws, uint16_t code, const char *reason)
{
    FL_CHECK_MAGIC(ws, FL_WS_MAGIC);
    begin_close(ws, code, reason);
}

bool fl_ws_on_peer_close(struct fl_ws *ws, struct fl_str payload)
{
    const uint8_t *p = (const uint8_t *)payload.p;
    unsigned code = payload.n >= 2 ? (unsigned)p[0] << 8 | p[1] : CODE_NONE;
    struct fl_str reason = { payload.p + 2, payload.n >= 2 ? payload.n - 2 : 0 };
    bool is_defined = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
                      (code >= 3000 && code <= 4999);
    if (payload.n == 1 || (payload.n >= 2 && !is_defined)) {
        begin_close(ws, CODE_PROTOCOL_ERROR, NULL);
        return false;
    }
    if (!fl_utf8_is_valid(reason)) {
        begin_close(ws, CODE_BAD_TEXT, NULL);
        return false;
    }
    ws->is_closing = true;
    ws->code = (uint16_t)code;
    fl_loop_timer(ws->hub->loop, &ws->timer, ws->hub->limits.close_ms);
    return true;
}

/* ---- messages that come ---- */
static void deliver(struct fl_ws *ws, struct fl_str text)
{
    if (fl_utf8_is_valid(text))
        ws->callbacks->on_message(ws, text);
    else
        begin_close(ws, CODE_BAD_TEXT, NULL);
}

void fl_ws_on_piece(struct fl_ws *ws, struct fl_str piece, bool is_last)
{
    if (ws->is_closing)
        return;
    if (is_last && ws->message.n == 0) {
        deliver(ws, piece); /* whole in one piece: not copied */
        return;
    }
    fl_buf_str(&ws->message, piece);
    if (ws->message.is_failed) {
        begin_close(ws, CODE_INTERNAL, NULL);
        return;
    }
    if (!is_last)
        return;
    deliver(ws, fl_buf_view(&ws->message));
    if (ws->message.cap > KEEP_BYTES)
        fl_buf_fini(&ws->message);
    else
        fl_buf_reset(&ws->message);
}

/* Passes bytes that the guard has seen, in pieces that libwebsockets reads at once. */
static void give(struct fl_ws *ws, const char *p, size_t n)
{
    /* When we have said Close only the peer's is waited for, and the guard sees that. */
    for (size_t at = 0; at < n && ws->wsi && !ws->is_close_sent;) {
        size_t piece = n - at < FL_WS_PIECE_BYTES ? n - at : FL_WS_PIECE_BYTES;
        /* The pair is empty whenever we write, and takes far more than a piece. */
        if (send(ws->pair, p + at, piece, MSG_NOSIGNAL) != (ssize_t)piece) {
            begin_close(ws, CODE_INTERNAL, NULL);
            return;
        }
        fl_ws_lws_read(ws);
        at += piece;
    }
    /* Its answer goes before anything that comes later; left to the loop it would answer the first
     * of several pings only. */
    if (ws->wsi && !ws->is_close_sent && (ws->guard.has_pinged || ws->guard.has_closed)) {
        fl_ws_lws_write(ws);
        pump_out(ws);
    }
}

/* Looks at what came and passes it on, message by message; returns the bytes used up. A message
 * that is one frame and here as a whole does not go through libwebsockets: the two system calls
 * of the pair would cost as much as all the rest of an echo. Between two messages it has nothing
 * to know of it, nor of a pong. */
static size_t feed(struct fl_ws *ws, char *p, size_t n)
{
    struct fl_str text;
    size_t at = 0;
    while (at < n && !ws->is_paused && !ws->is_over) {
        size_t used = 0;
        if (ws->guard.has_closed || ws->guard_code)
            return n; /* nothing counts any more */
        bool is_between = fl_ws_guard_is_between(&ws->guard);
        ws->guard_code = fl_ws_guard_look(&ws->guard, (const uint8_t *)p + at, n - at, &used);
        if (is_between && !ws->is_closing && fl_ws_whole_text((uint8_t *)p + at, used, &text))
            deliver(ws, text);
        else if (used && !(is_between && fl_ws_is_whole_pong((uint8_t *)p + at, used)))
            give(ws, p + at, used);
        if (ws->guard_code)
            begin_close(ws, ws->guard_code, NULL);
        at += used;
    }
    return at;
}

static void feed_kept(struct fl_ws *ws)
{
    fl_buf_drop(&ws->in, feed(ws, ws->in.p, ws->in.n));
    if (ws->in.n == 0)
        fl_buf_fini(&ws->in);
    finish_if_said(ws);
}

static void on_bytes(struct fl_stream *s, char *p, size_t n)
{
    struct fl_ws *ws = s->user;
    size_t used = 0;
    ws->has_heard = true;
    if (ws->in.n == 0)
        used = feed(ws, p, n);
    if (used < n && !ws->is_over) {
        fl_buf_put(&ws->in, p + used, n - used);
        if (ws->in.is_failed) {
            fl_buf_fini(&ws->in);
            fl_ws_break(ws);
            return;
        }
    }
    finish_if_said(ws);
}

static void on_post(struct fl_post *post)
{
    struct fl_ws *ws = FL_CONTAINER(post, struct fl_ws, post);
    if (!ws->wsi)
        pump_out(ws); /* its last words */
    if (ws->in.n)
        feed_kept(ws);
    else
        finish_if_said(ws);
}

/* ---- the stream's other events ---- */
static void on_end(struct fl_stream *s, bool is_broken)
{
    struct fl_ws *ws = s->user;
    FL_UNUSED(is_broken);
    fl_ws_break(ws);
}

static void on_drained(struct fl_stream *s)
{
    struct fl_ws *ws = s->user;
    if (ws->callbacks->on_drained)
        ws->callbacks->on_drained(ws);
}

static void on_closed(struct fl_stream *s)
{
    struct fl_ws *ws = s->user;
    ws->stream = NULL;
    FL_ASSERT(ws->is_over);
    free_if_over(ws);
}

static const struct fl_stream_events events = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drained = on_drained, .on_closed = on_closed
};

/* A turn of the loop costs more than a ping: those of one hundredth of the time leave together. */
static void ping_in(struct fl_ws *ws, uint32_t ms)
{
    int64_t step = ws->hub->limits.ping_ms / 100 + 1;
    fl_loop_timer(ws->hub->loop, &ws->timer, ms + step - (fl_mono_ms() + ms) % step);
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_ws *ws = FL_CONTAINER(timer, struct fl_ws, timer);
    uint8_t header[FL_WS_HEADER_MAX];
    if (ws->is_closing) { /* the peer did not answer our Close */
        finish(ws, ws->is_close_sent);
        return;
    }
    if (ws->has_heard || ws->is_paused)
        ws->unanswered = 0;
    if (ws->unanswered == PINGS_MAX) {
        fl_ws_break(ws);
        return;
    }
    if (!ws->is_paused) {
        ws->unanswered++;
        ws->has_heard = false;
        struct fl_str part = { (const char *)header, fl_ws_header(FL_WS_PING, 0, header) };
        to_stream(ws, &part, 1);
    }
    ping_in(ws, ws->hub->limits.ping_ms);
}

/* The front has answered the exchange with nothing and hands its stream over. */
static void on_taken(void *taker, struct fl_stream *stream, struct fl_str rest)
{
    struct fl_ws *ws = taker;
    struct fl_str early = fl_buf_view(&ws->early);
    ws->is_take_owed = false;
    stream->events = &events;
    stream->user = ws;
    stream->write_stall_ms = ws->hub->limits.write_stall_ms;
    ws->stream = stream;
    if (ws->is_over || ws->early.is_failed) { /* the hub was freed meanwhile, or no memory */
        fl_ws_break(ws);
        fl_stream_abort(stream);
        return;
    }
    fl_stream_write(stream, &early, 1);
    fl_buf_fini(&ws->early);
    if (rest.n)
        on_bytes(stream, (char *)rest.p, rest.n); /* of a buffer that may be written */
}

/* ---- the beginning ---- */
/* Lets libwebsockets answer a head of ours. */
static bool shake_hands(struct fl_ws *ws, struct fl_str key)
{
    char head[400];
    int n = snprintf(head, sizeof head,
                     "GET / HTTP/1.1\r\nHost: mcp\r\nConnection: Upgrade\r\n"
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: %.*s\r\n\r\n",
                     FL_STR_ARG(key));
    if (send(ws->pair, head, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    fl_ws_lws_read(ws);
    pump_out(ws);
    return ws->is_established && ws->wsi && !ws->early.is_failed && ws->early.n > 13 &&
           memcmp(ws->early.p, "HTTP/1.1 101 ", 13) == 0;
}

static struct fl_ws *new_ws(struct fl_ws_hub *hub, struct fl_http_exchange *ex,
                            const struct fl_ws_callbacks *callbacks, void *user)
{
    int pair[2];
    struct fl_ws *ws = fl_calloc(1, sizeof *ws);
    if (!ws || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        fl_free(ws);
        return NULL;
    }
    ws->magic = FL_WS_MAGIC;
    ws->hub = hub;
    ws->callbacks = callbacks;
    ws->user = user;
    ws->peer = *ex->peer;
    ws->pair = pair[0];
    ws->far = pair[1];
    ws->code = CODE_LOST;
    ws->post.run = on_post;
    fl_timer_init(&ws->timer, on_timer);
    fl_ws_guard_init(&ws->guard, hub->limits.message_bytes);
    if (uv_poll_init(&hub->loop->uv, &ws->poll, ws->pair) != 0) {
        close(pair[0]);
        close(pair[1]);
        fl_free(ws);
        return NULL;
    }
    ws->poll.data = ws;
    ws->is_poll_open = true;
    hub->refs++;
    return ws;
}

enum fl_code fl_ws_upgrade(struct fl_ws_hub *hub, struct fl_http_exchange *ex,
                           const struct fl_ws_callbacks *callbacks, void *user, struct fl_ws **ret,
                           struct fl_err *err)
{
    struct fl_str key;
    uint32_t random;
    enum fl_code code = fl_ws_check_request(ex, &key, err);
    if (code != FL_OK)
        return code;
    struct fl_ws *ws = new_ws(hub, ex, callbacks, user);
    if (!ws)
        return fl_ws_refuse(ex, FL_UNAVAILABLE, "there is no room for a websocket", err);
    if (!fl_ws_lws_adopt(ws, ws->far) || !shake_hands(ws, key) ||
        uv_poll_start(&ws->poll, UV_READABLE, on_pair_readable) != 0) {
        ws->is_over = true;
        let_go(ws);
        return fl_ws_refuse(ex, FL_UNAVAILABLE, "there is no room for a websocket", err);
    }
    fl_list_push_back(&hub->all, &ws->link);
    hub->count++;
    fl_random(&random, sizeof random); /* so that not all that came at once are pinged at once */
    ping_in(ws, hub->limits.ping_ms / 2 + random % (hub->limits.ping_ms / 2 + 1));
    ws->is_take_owed = true;
    fl_http_take(ex, on_taken, ws);
    *ret = ws;
    return FL_OK;
}

/* ---- the owner's side ---- */
void *fl_ws_user(const struct fl_ws *ws)
{
    return ws->user;
}

void fl_ws_set_user(struct fl_ws *ws, void *user)
{
    ws->user = user;
}

const struct fl_http_peer *fl_ws_peer(const struct fl_ws *ws)
{
    return &ws->peer;
}

size_t fl_ws_queued(const struct fl_ws *ws)
{
    return ws->stream ? fl_stream_queued(ws->stream) : ws->early.n;
}

enum fl_code fl_ws_send(struct fl_ws *ws, struct fl_str text)
{
    uint8_t header[FL_WS_HEADER_MAX];
    FL_CHECK_MAGIC(ws, FL_WS_MAGIC);
    if (ws->is_closing || (ws->stream && ws->stream->is_broken))
        return FL_CLOSED;
    if (fl_ws_queued(ws) > ws->hub->limits.write_queue_bytes) {
        begin_close(ws, CODE_TRY_LATER, "the peer reads too slowly");
        return FL_TOO_MANY;
    }
    size_t head = fl_ws_header(FL_WS_TEXT, text.n, header);
    if (text.n <= ONE_PIECE_BYTES) { /* to copy it costs less than to write two pieces */
        char frame[FL_WS_HEADER_MAX + ONE_PIECE_BYTES] FL_NOT_CLEARED;
        memcpy(frame, header, head);
        if (text.n)
            memcpy(frame + head, text.p, text.n);
        to_stream(ws, &(struct fl_str){ frame, head + text.n }, 1);
        return FL_OK;
    }
    struct fl_str parts[] = { { (const char *)header, head }, text };
    to_stream(ws, parts, 2);
    return FL_OK;
}

void fl_ws_pause(struct fl_ws *ws)
{
    ws->is_paused = true;
    if (ws->stream && !ws->is_closing)
        fl_stream_read(ws->stream, false);
}

void fl_ws_resume(struct fl_ws *ws)
{
    if (!ws->is_paused)
        return;
    ws->is_paused = false;
    if (ws->stream)
        fl_stream_read(ws->stream, true);
    if (ws->in.n)
        fl_loop_post(ws->hub->loop, &ws->post);
}
