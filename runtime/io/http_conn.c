/* The life of a connection: head, body, the endpoint's turn, the response, and again. All steps
 * are in `process`, which runs over the bytes at hand; a response that comes later wakes it. */
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "runtime/io/http_priv.h"

enum {
    BEHIND_BYTES_MAX = 16 * 1024, /* of further requests while one is answered */
    DRAIN_IDLE_MS = 1000          /* for a request that is on its way when the server drains */
};

static const struct fl_http_limits *limits(const struct fl_http_conn *conn)
{
    return &conn->server->config.limits;
}

/* ---- deadlines ---- */
/* A later deadline does not touch the timer: it fires, sees that it is early, and waits on. */
static void wait_for(struct fl_http_conn *conn, enum fl_http_wait waits, int64_t in_ms)
{
    conn->waits = waits;
    conn->deadline_ms = fl_mono_ms() + in_ms;
    if (!fl_timer_is_armed(&conn->timer) || conn->timer.at_ms > conn->deadline_ms)
        fl_loop_timer(conn->server->config.loop, &conn->timer, in_ms);
}

static void watch_body(struct fl_http_conn *conn)
{
    int64_t in_ms = limits(conn)->body_window_ms, until_ms = conn->ex->body_until_ms;
    int64_t left_ms = until_ms ? until_ms - fl_mono_ms() : in_ms;
    if (left_ms < in_ms)
        in_ms = left_ms > 0 ? left_ms : 0;
    conn->body_mark = conn->ex->body.bytes;
    wait_for(conn, FL_HTTP_W_BODY, in_ms);
}

static void on_body_window(struct fl_http_conn *conn)
{
    uint64_t came = conn->ex->body.bytes - conn->body_mark;
    int64_t until_ms = conn->ex->body_until_ms;
    if (until_ms && fl_mono_ms() >= until_ms)
        fl_http_reply_error(conn, 408, "the body did not come in time");
    else if (came * 1000 >= (uint64_t)limits(conn)->body_bytes_per_s * limits(conn)->body_window_ms)
        watch_body(conn);
    else
        fl_http_reply_error(conn, 408, "the body comes too slowly");
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_http_conn *conn = FL_CONTAINER(timer, struct fl_http_conn, timer);
    int64_t left = conn->deadline_ms - fl_mono_ms();
    if (conn->waits == FL_HTTP_W_NONE || conn->is_closing)
        return;
    if (left > 0) {
        fl_loop_timer(conn->server->config.loop, &conn->timer, left);
    } else if (conn->waits == FL_HTTP_W_BODY) {
        on_body_window(conn);
    } else if (conn->ex && !fl_http_head_is_empty(&conn->ex->head)) {
        fl_http_reply_error(conn, 408, "the request head did not come in time");
    } else {
        fl_http_conn_close_idle(conn);
    }
}

/* ---- exchanges ---- */
static struct exchange *new_exchange(struct fl_http_conn *conn)
{
    const struct fl_http_limits *l = limits(conn);
    struct fl_arena *arena = fl_arena_new(4096);
    struct exchange *ex = arena ? FL_ARENA_NEW(arena, struct exchange) : NULL;
    if (!ex) {
        fl_arena_free(&arena);
        return NULL;
    }
    ex->pub.arena = arena;
    ex->conn = conn;
    fl_http_head_init(&ex->head, l->head_bytes, l->header_count, l->target_bytes);
    fl_list_remove(&conn->idle_link);
    return conn->ex = ex;
}

/* The exchange is over: tells the endpoint and frees it. Never from inside the endpoint's call. */
static void release(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    const struct fl_http_callbacks *callbacks = conn->server->config.callbacks;
    conn->ex = NULL;
    if (!ex)
        return;
    fl_http_known(&ex->pub);
    if (ex->is_headed && callbacks->on_released)
        callbacks->on_released(&ex->pub);
    fl_buf_fini(&ex->content);
    struct fl_arena *arena = ex->pub.arena;
    fl_arena_free(&arena);
}

static void tell_gone(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    const struct fl_http_callbacks *callbacks = conn->server->config.callbacks;
    if (!ex || !ex->is_headed || ex->state >= FL_HTTP_S_FINISHED)
        return;
    ex->state = FL_HTTP_S_FINISHED;
    ex->is_gone = true;
    if (callbacks->on_gone)
        callbacks->on_gone(&ex->pub);
}

static struct fl_str place_in(const char *head, struct fl_http_place place)
{
    return (struct fl_str){ head + place.at, place.n };
}

/* Gives the endpoint its view of the head, on memory of its own. */
static bool publish(struct fl_http_conn *conn, struct exchange *ex, const char *p)
{
    const struct fl_http_head *head = &ex->head;
    struct fl_http_header *headers =
        fl_arena_array(ex->pub.arena, head->field_count, sizeof *headers);
    const char *copy = fl_arena_strndup(ex->pub.arena, p, head->bytes);
    if (!headers || !copy)
        return false;
    for (unsigned i = 0; i < head->field_count; i++) {
        headers[i].name = place_in(copy, head->field[i].name);
        headers[i].value = place_in(copy, head->field[i].value);
    }
    ex->pub.headers = headers;
    ex->pub.header_count = head->field_count;
    ex->pub.server_user = conn->server->config.user;
    ex->pub.method = head->method;
    ex->pub.path = head->path.n ? place_in(copy, head->path) : FL_STR("/");
    if (head->has_query)
        ex->pub.query = place_in(copy, head->query);
    ex->pub.host = place_in(copy, head->host);
    ex->pub.peer = &conn->stream->peer;
    ex->pub.client = conn->stream->peer.address;
    ex->pub.is_tls = conn->stream->tls != NULL;
    ex->pub.is_http10 = head->is_http10;
    return true;
}

static void on_head_whole(struct fl_http_conn *conn, const char *p)
{
    struct exchange *ex = conn->ex;
    conn->waits = FL_HTTP_W_NONE;
    ex->state = FL_HTTP_S_BODY;
    if (!publish(conn, ex, p)) {
        fl_http_reply_error(conn, 503, "out of memory");
        return;
    }
    conn->server->counts.requests++;
    /* One that is too long is refused when on_head has let it pass: whoever is not served here is
     * told that, and nothing more. */
    ex->is_body_whole =
        fl_http_body_init(&ex->body, &ex->head, limits(conn)->body_bytes) == FL_HTTP_DONE;
    ex->is_headed = true;
    conn->server->config.callbacks->on_head(&ex->pub);
}

static void on_body_whole(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    conn->waits = FL_HTTP_W_NONE;
    ex->state = FL_HTTP_S_OWED;
    fl_http_budget_leave(ex);
    conn->server->config.callbacks->on_request(&ex->pub, fl_buf_view(&ex->content));
}

static void ask_for_body(struct fl_http_conn *conn)
{
    static const struct fl_str go_on = { "HTTP/1.1 100 Continue\r\n\r\n", 25 };
    conn->ex->head.expects_continue = false;
    fl_stream_write(conn->stream, &go_on, 1);
}

/* Reads the body as far as it is here; returns the bytes used. */
static size_t read_body(struct fl_http_conn *conn, const char *p, size_t n)
{
    struct exchange *ex = conn->ex;
    size_t used = 0;
    while (used < n && !ex->is_body_whole) {
        size_t some = 0;
        struct fl_str content;
        enum fl_http_verdict verdict =
            fl_http_body_read(&ex->body, p + used, n - used, &some, &content);
        used += some;
        if (!fl_http_budget_count(ex))
            return n;
        fl_buf_str(&ex->content, content);
        if (ex->content.is_failed) {
            fl_http_reply_error(conn, 503, "out of memory");
            return n;
        }
        if (verdict == FL_HTTP_BAD) {
            fl_http_reply_error(conn, ex->body.status, ex->body.error);
            return n;
        }
        ex->is_body_whole = verdict == FL_HTTP_DONE;
    }
    return used;
}

/* ---- the steps ---- */
/* The response is with the stream, or there is none. */
static void end_exchange(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    bool is_aborted = ex->is_aborted;
    conn->is_closing = is_aborted || !ex->head.keeps_alive || conn->stream->is_at_eof;
    release(conn);
    if (is_aborted)
        fl_stream_abort(conn->stream);
    else if (conn->is_closing)
        fl_stream_close(conn->stream);
}

/* Runs as far as the n bytes go; returns how many are used up. */
static size_t process(struct fl_http_conn *conn, const char *p, size_t n)
{
    size_t used = 0;
    while (!conn->is_closing) {
        struct exchange *ex = conn->ex;
        if (!ex) {
            /* A peer that does not take its answers gets no further ones. */
            if (used == n || fl_stream_queued(conn->stream))
                return used;
            if (!(ex = new_exchange(conn))) {
                fl_http_reply_error(conn, 503, "out of memory");
                return n;
            }
        }
        switch (ex->state) {
        case FL_HTTP_S_HEAD:
            switch (fl_http_head_read(&ex->head, p + used, n - used)) {
            case FL_HTTP_MORE: return used;
            case FL_HTTP_BAD: fl_http_reply_error(conn, ex->head.status, ex->head.error); break;
            case FL_HTTP_DONE: {
                size_t bytes = ex->head.bytes;
                on_head_whole(conn, p + used);
                used += bytes;
                break;
            }
            }
            break;
        case FL_HTTP_S_BODY:
            if (ex->is_paused)
                return used;
            if (ex->body.status) {
                fl_http_reply_error(conn, ex->body.status, ex->body.error);
                break;
            }
            used += read_body(conn, p + used, n - used);
            if (ex->state != FL_HTTP_S_BODY)
                break;
            if (ex->is_body_whole) {
                on_body_whole(conn);
                break;
            }
            fl_http_budget_enter(ex);
            if (ex->head.expects_continue && ex->body.bytes == 0)
                ask_for_body(conn);
            return used;
        case FL_HTTP_S_FINISHED: end_exchange(conn); break;
        default: return used; /* owed, streaming, or taken */
        }
    }
    return n; /* nobody reads the rest */
}

/* What to wait for now. */
static void settle(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    bool is_idle = !ex && conn->in.n == 0;
    bool is_in_head = ex && ex->state == FL_HTTP_S_HEAD;
    bool is_in_body = ex && ex->state == FL_HTTP_S_BODY && !ex->is_paused;
    fl_stream_read(conn->stream,
                   is_idle || is_in_head || is_in_body || conn->in.n < BEHIND_BYTES_MAX);
    if (is_idle) {
        if (conn->server->is_full) {
            fl_http_conn_close_idle(conn);
            return;
        }
        if (fl_list_is_empty(&conn->idle_link))
            fl_list_push_back(&conn->server->idle, &conn->idle_link);
        if (conn->server->is_draining)
            fl_http_conn_last_chance(conn);
        else
            wait_for(conn, FL_HTTP_W_IDLE, limits(conn)->idle_ms);
    } else if (is_in_head) {
        if (conn->waits != FL_HTTP_W_HEAD)
            wait_for(conn, FL_HTTP_W_HEAD, limits(conn)->head_ms);
    } else if (is_in_body) {
        if (conn->waits != FL_HTTP_W_BODY)
            watch_body(conn);
    } else {
        conn->waits = FL_HTTP_W_NONE;
    }
}

static void free_conn(struct fl_http_conn *conn)
{
    struct fl_http_server *server = conn->server;
    fl_list_remove(&conn->link);
    fl_list_remove(&conn->idle_link);
    fl_loop_timer_cancel(server->config.loop, &conn->timer);
    fl_loop_post_cancel(server->config.loop, &conn->post);
    fl_buf_fini(&conn->in);
    fl_free(conn);
    fl_http_server_conn_gone(server);
}

/* The stream has a new owner; `rest` is borrowed for the call. */
static void hand_over(struct fl_http_conn *conn, struct fl_str rest)
{
    struct fl_stream *stream = conn->stream;
    void (*take)(void *, struct fl_stream *, struct fl_str) = conn->ex->take;
    void *taker = conn->ex->taker;
    release(conn);
    fl_stream_read(stream, true);
    take(taker, stream, rest);
    free_conn(conn);
}

/* There is no memory for what the peer sent. An endpoint that owes an answer is told that nobody
 * waits for it any more, as it would answer an exchange that is gone. */
static void cannot_keep(struct fl_http_conn *conn)
{
    struct exchange *ex = conn->ex;
    if (!ex || ex->state < FL_HTTP_S_OWED || ex->state >= FL_HTTP_S_FINISHED) {
        fl_http_reply_error(conn, 503, "out of memory");
        return;
    }
    tell_gone(conn);
    ex->is_aborted = true;
    fl_http_conn_wake(conn);
}

/* Runs over the bytes, keeps what is not used, and waits. The connection may be gone after. */
static void run(struct fl_http_conn *conn, const char *p, size_t n)
{
    conn->is_processing = true;
    size_t used = process(conn, p, n);
    conn->is_processing = false;
    if (conn->is_closing) {
        fl_buf_fini(&conn->in);
        return;
    }
    if (conn->ex && conn->ex->state == FL_HTTP_S_TAKEN) {
        hand_over(conn, (struct fl_str){ p + used, n - used });
        return;
    }
    if (p == conn->in.p) {
        fl_buf_drop(&conn->in, used);
        if (conn->in.n == 0)
            fl_buf_fini(&conn->in);
    } else {
        fl_buf_put(&conn->in, p + used, n - used);
    }
    if (conn->in.is_failed)
        cannot_keep(conn);
    else
        settle(conn);
}

static void on_post(struct fl_post *post)
{
    struct fl_http_conn *conn = FL_CONTAINER(post, struct fl_http_conn, post);
    if (!conn->is_closing)
        run(conn, conn->in.p, conn->in.n);
}

void fl_http_conn_wake(struct fl_http_conn *conn)
{
    if (!conn->is_processing && !conn->is_closing)
        fl_loop_post(conn->server->config.loop, &conn->post);
}

/* ---- events of the stream ---- */
static void on_bytes(struct fl_stream *s, char *p, size_t n)
{
    struct fl_http_conn *conn = s->user;
    if (conn->in.n == 0) {
        run(conn, p, n);
        return;
    }
    fl_buf_put(&conn->in, p, n);
    if (conn->in.is_failed)
        cannot_keep(conn);
    else
        run(conn, conn->in.p, conn->in.n);
}

static void on_end(struct fl_stream *s, bool is_broken)
{
    struct fl_http_conn *conn = s->user;
    if (conn->ex && conn->ex->state == FL_HTTP_S_TAKEN) {
        hand_over(conn, fl_buf_view(&conn->in));
        s->events->on_end(s, is_broken);
        return;
    }
    tell_gone(conn);
    release(conn);
    conn->is_closing = true;
    if (is_broken)
        fl_stream_abort(s);
    else
        fl_stream_close(s); /* a response that is finished may still be on its way */
}

static void on_drained(struct fl_stream *s)
{
    struct fl_http_conn *conn = s->user;
    const struct fl_http_callbacks *callbacks = conn->server->config.callbacks;
    if (conn->ex && conn->ex->state == FL_HTTP_S_STREAMING) {
        if (callbacks->on_drained)
            callbacks->on_drained(&conn->ex->pub);
    } else if (!conn->ex && conn->in.n) {
        run(conn, conn->in.p, conn->in.n);
    }
}

static void on_closed(struct fl_stream *s)
{
    struct fl_http_conn *conn = s->user;
    FL_ASSERT(!conn->ex);
    free_conn(conn);
}

static const struct fl_stream_events events = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drained = on_drained, .on_closed = on_closed
};

void fl_http_conn_start(struct fl_http_server *server, int fd, const struct fl_http_peer *peer)
{
    struct fl_err err;
    struct fl_http_conn *conn = fl_calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return;
    }
    if (fl_stream_new(&server->env, fd, peer, &events, conn, &conn->stream, &err) != FL_OK) {
        fl_free(conn);
        return;
    }
    conn->server = server;
    conn->stream->listener = server;
    conn->stream->released = fl_http_server_stream_gone;
    conn->post.run = on_post;
    fl_timer_init(&conn->timer, on_timer);
    fl_list_push_back(&server->conns, &conn->link);
    server->counts.open++;
    wait_for(conn, FL_HTTP_W_HEAD, limits(conn)->head_ms);
}

void fl_http_conn_break(struct fl_http_conn *conn)
{
    if (conn->ex && conn->ex->state == FL_HTTP_S_TAKEN) {
        hand_over(conn, fl_buf_view(&conn->in)); /* it is not ours any more */
        return;
    }
    tell_gone(conn);
    release(conn);
    conn->is_closing = true;
    fl_stream_abort(conn->stream);
}

void fl_http_conn_last_chance(struct fl_http_conn *conn)
{
    wait_for(conn, FL_HTTP_W_IDLE, DRAIN_IDLE_MS);
}

void fl_http_conn_close_idle(struct fl_http_conn *conn)
{
    if (conn->is_closing)
        return;
    release(conn); /* at most a blank line was read of it */
    conn->is_closing = true;
    fl_list_remove(&conn->idle_link);
    fl_stream_close(conn->stream);
}

/* ---- for the endpoint ---- */
void fl_http_take_body(struct fl_http_exchange *pub, uint64_t max, int64_t within_ms,
                       struct fl_http_budget *budget)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    FL_ASSERT(ex->state == FL_HTTP_S_BODY && ex->conn->is_processing && !ex->budget);
    ex->budget = budget;
    if (within_ms)
        ex->body_until_ms = fl_mono_ms() + within_ms;
    if (max && max < ex->body.max_bytes)
        ex->is_body_whole = fl_http_body_init(&ex->body, &ex->head, max) == FL_HTTP_DONE;
}

void fl_http_pause(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    FL_ASSERT(ex->state == FL_HTTP_S_BODY && ex->conn->is_processing);
    ex->is_paused = true;
}

void fl_http_resume(struct fl_http_exchange *pub)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    if (!ex->is_paused)
        return;
    ex->is_paused = false;
    fl_http_conn_wake(ex->conn);
}

void fl_http_take(struct fl_http_exchange *pub,
                  void (*take)(void *taker, struct fl_stream *stream, struct fl_str rest),
                  void *taker)
{
    struct exchange *ex = fl_http_exchange_of(pub);
    FL_ASSERT(ex->state < FL_HTTP_S_STREAMING && ex->is_body_whole);
    ex->take = take;
    ex->taker = taker;
    ex->state = FL_HTTP_S_TAKEN;
    fl_http_conn_wake(ex->conn);
}
