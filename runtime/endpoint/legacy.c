/* What only legacy sessions have over HTTP: the GET stream, resuming a broken stream, ending the
 * session, cancelling and other notifications. A stream is kept where it was made; when the client
 * comes back to another worker, or to a new one after a crash, the approval's row knows the stream
 * and the request, and a call that waits for that approval answers in its place. Where there is no
 * row (an allowed read) the worker that has the stream is asked (relay.c). */
#include "runtime/endpoint/http.h"

#include <stdlib.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/endpoint/stream_place.h"
#include "runtime/store/approval.h"
#include "runtime/store/person.h"

#define KEEP_MS             300000 /* an ended stream, for a client that comes back to it */
#define LEFT_KEEP_MS        20000  /* one that its client may well have had whole */
#define SESSION_KEEPS       16
#define SESSION_KEEPS_BYTES (4 << 20)
#define WORKER_KEEPS_BYTES  (64 << 20)

static struct fl_auth *auth_of(struct fl_http_stream *s)
{
    return s->ex->user;
}

void fl_legacy_refuse(struct fl_http_stream *s, int status, const char *text)
{
    if (s->ex) {
        auth_of(s)->user = NULL;
        if (text)
            fl_http_respond_error(s->ex, status, text, NULL, 0);
        else
            fl_http_respond(s->ex, status, NULL, 0, (struct fl_str){ NULL, 0 });
    }
    s->ex = NULL;
    s->is_ended = true;
    fl_stream_free(s);
}

/* ---------------------------------------------------------------- the GET stream */
static void on_keepalive(struct fl_timer *timer)
{
    struct fl_http_stream *s = FL_CONTAINER(timer, struct fl_http_stream, timer);
    struct fl_buf out = FL_BUF_INIT;
    fl_sse_put_comment(&out);
    if (s->ex)
        (void)!fl_http_write(s->ex, fl_buf_view(&out));
    fl_buf_fini(&out);
    fl_loop_timer(s->endpoint->core->loop, &s->timer, s->endpoint->config.keepalive_ms);
}

static void end_db(struct fl_http_stream *s)
{
    fl_tx_fini(&s->tx);
}

static void on_stream_taken(struct fl_op *op)
{
    struct fl_http_stream *s = FL_CONTAINER(op, struct fl_http_stream, db);
    bool is_taken = op->code == FL_OK && fl_rows(s->q) == 1;
    bool is_late = s->is_freed || s->endpoint->is_draining; /* the others have been ended */
    end_db(s);
    if (op->code == FL_AMBIGUOUS || (is_taken && is_late))
        fl_stream_place_give_back(&s->place);
    else if (!is_taken)
        fl_stream_place_free(&s->place);
    if (fl_stream_is_gone(s))
        return;
    if (is_taken && is_late) {
        fl_legacy_refuse(s, 503, "the runtime is stopping");
        return;
    }
    if (!is_taken) {
        fl_legacy_refuse(s, op->code ? 503 : 409,
                         op->code ? op->err.text : "the session has a stream already");
        return;
    }
    fl_list_push_back(&s->endpoint->streams, &s->link);
    s->is_get = true;
    fl_stream_begin(s);
    fl_timer_init(&s->timer, on_keepalive);
    fl_loop_timer(s->endpoint->core->loop, &s->timer, s->endpoint->config.keepalive_ms);
}

void fl_legacy_get_gone(struct fl_http_stream *s)
{
    if (!s->is_get)
        return; /* it may just be taking it */
    if (s->session->is_gone)
        fl_stream_place_free(&s->place);
    else if (s->place)
        fl_stream_place_give_back(&s->place);
}

static enum fl_code submit(struct fl_http_stream *s, void (*done)(struct fl_op *op))
{
    s->db = (struct fl_op){ .done = done };
    enum fl_code code = fl_tx_submit(&s->db, &s->tx);
    if (code) {
        end_db(s);
        fl_legacy_refuse(s, 503, s->db.err.text);
    }
    return code;
}

static void take_stream(struct fl_http_stream *s)
{
    s->place = fl_stream_place_new(s->session);
    if (!s->place) {
        fl_legacy_refuse(s, 503, "no more streams can be opened now");
        return;
    }
    fl_tx_init(&s->tx, s->endpoint->core->pg, s->arena, &s->session->organization_id);
    s->q = fl_store_session_stream(&s->tx, fl_bytes(s->session->hash, sizeof s->session->hash),
                                   &s->endpoint->core->worker, &s->place->take);
    (void)!submit(s, on_stream_taken);
}

/* ---------------------------------------------------------------- resuming */
static void on_kept_long(struct fl_timer *timer)
{
    fl_stream_free(FL_CONTAINER(timer, struct fl_http_stream, timer));
}

void fl_legacy_keep_no_more(struct fl_http_stream *s)
{
    if (!fl_list_is_linked(&s->kept))
        return;
    fl_list_remove(&s->kept);
    s->endpoint->kept_bytes -= s->kept_bytes;
    s->session->kept_bytes -= s->kept_bytes;
    s->session->kept--;
}

/* What its reader took with its connection goes before what nobody took, then the oldest. */
static struct fl_http_stream *least_wanted(struct fl_session *session)
{
    struct fl_http_stream *oldest = NULL;
    FL_LIST_FOREACH (link, &session->streams) {
        struct fl_http_stream *s = FL_CONTAINER(link, struct fl_http_stream, link);
        if (fl_list_is_linked(&s->kept) && s->has_left)
            return s;
        if (fl_list_is_linked(&s->kept) && !oldest)
            oldest = s;
    }
    return oldest;
}

/* That the socket took it says only that it was sent: a connection that broke just before the end
 * is noticed by its client within seconds. What could not be sent waits for longer. */
void fl_legacy_keep(struct fl_http_stream *s, bool has_left)
{
    struct fl_endpoint *ep = s->endpoint;
    struct fl_session *session = s->session;
    s->has_left = has_left;
    s->kept_bytes = s->sse.bytes + sizeof *s;
    fl_list_push_back(&ep->kept, &s->kept);
    ep->kept_bytes += s->kept_bytes;
    session->kept_bytes += s->kept_bytes;
    session->kept++;
    fl_timer_init(&s->timer, on_kept_long);
    fl_loop_timer(ep->core->loop, &s->timer, has_left ? LEFT_KEEP_MS : KEEP_MS);
    while (session->kept > 1 &&
           (session->kept > SESSION_KEEPS || session->kept_bytes > SESSION_KEEPS_BYTES))
        fl_stream_free(least_wanted(session));
    while (ep->kept_bytes > WORKER_KEEPS_BYTES)
        fl_stream_free(FL_CONTAINER(ep->kept.next, struct fl_http_stream, kept));
}

static struct fl_http_stream *stream_named(struct fl_session *session, struct fl_str name)
{
    FL_LIST_FOREACH (link, &session->streams) {
        struct fl_http_stream *s = FL_CONTAINER(link, struct fl_http_stream, link);
        if (fl_str_is(name, s->sse.name))
            return s;
    }
    return NULL;
}

/* `s` is the new connection, `old` the stream that it comes back to: the connection moves over. */
static void resume_here(struct fl_http_stream *s, struct fl_http_stream *old, uint64_t seq)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    if (fl_sse_replay(&old->sse, seq, &out, &err) != FL_OK) {
        fl_buf_fini(&out);
        fl_legacy_refuse(s, 400, "the stream cannot be resumed from there");
        return;
    }
    if (old->ex) { /* the old connection is dead and does not know it yet */
        ((struct fl_auth *)old->ex->user)->user = NULL;
        fl_http_abort(old->ex);
        old->ex = NULL;
    }
    if (out.n && !fl_uuid_is_zero(&old->undelivered)) {
        fl_delivered(s->endpoint->core, &s->principal->organization_id, &s->principal->agent_id,
                     &old->undelivered);
        old->undelivered = (struct fl_uuid){ { 0 } };
    }
    bool was_numbered = s->is_numbered;
    s->is_numbered = false; /* no priming of its own */
    fl_stream_begin(s);
    s->is_numbered = was_numbered;
    if (out.n)
        (void)!fl_http_write(s->ex, fl_buf_view(&out));
    fl_buf_fini(&out);
    if (old->is_ended) {
        auth_of(s)->user = NULL;
        fl_http_end(s->ex);
    } else {
        old->ex = s->ex;
        old->has_begun = true;
        auth_of(s)->user = old;
    }
    s->ex = NULL;
    s->is_ended = true;
    fl_stream_free(s);
}

/* The request that the approval was made for is answered on this stream. */
static void answer_for(struct fl_http_stream *s, struct fl_str request_id)
{
    struct fl_talk *t = fl_talk_new(s->endpoint, s->principal, &fl_stream_ops, s);
    char text[FL_UUID_TEXT];
    if (!t) {
        fl_legacy_refuse(s, 503, "out of memory");
        return;
    }
    t->msg = (struct fl_mcp_message){ .kind = FL_MCP_REQUEST,
                                      .era = FL_MCP_LEGACY,
                                      .version = s->session->version,
                                      .method = FL_MCP_M_TOOLS_CALL,
                                      .id = fl_arena_str(t->arena, request_id),
                                      .name = fl_str_of(FL_MCP_WAIT_TOOL) };
    char *arguments =
        fl_arena_printf(t->arena, "{\"approval_id\":\"%s\"}", fl_uuid_format(&s->resumed, text));
    t->msg.arguments = fl_str_of(arguments ? arguments : "{}");
    s->accepts = FL_MCP_ACCEPTS_SSE;
    fl_list_push_back(&s->talks, &t->mine);
    fl_stream_begin(s);
    fl_talk_start(t);
}

/* A stream's name begins with the worker that made it. */
static bool is_elsewhere(const struct fl_http_stream *s, unsigned *ret_worker)
{
    const struct fl_endpoint_config *config = &s->endpoint->config;
    struct fl_str last, name;
    uint64_t seq;
    char text[3];
    if (!config->peer_dir || fl_mcp_header_get(&s->headers, "last-event-id", &last) != 1 ||
        !fl_sse_id_parse(last, &name, &seq) || name.n < 2)
        return false;
    memcpy(text, name.p, 2);
    text[2] = 0;
    char *end;
    unsigned long worker = strtoul(text, &end, 16);
    *ret_worker = (unsigned)worker;
    return *end == 0 && worker < config->workers && worker != config->worker;
}

static void on_stream_found(struct fl_op *op)
{
    unsigned worker = 0;
    struct fl_http_stream *s = FL_CONTAINER(op, struct fl_http_stream, db);
    bool is_found = op->code == FL_OK && fl_rows(s->q) == 1;
    struct fl_str request = { NULL, 0 };
    if (is_found) {
        s->resumed = fl_cell_uuid(s->q, 0, 0);
        request = fl_arena_str(s->arena, fl_cell(s->q, 0, 1));
    }
    end_db(s);
    if (fl_stream_is_gone(s))
        return;
    if (op->code)
        fl_legacy_refuse(s, 503, op->err.text);
    else if (is_found && request.n)
        answer_for(s, request);
    else if (!is_elsewhere(s, &worker) || !fl_relay_start(s, worker))
        fl_legacy_refuse(s, 400, "there is no such stream to resume");
}

void fl_legacy_get(struct fl_http_stream *s)
{
    struct fl_str last, name;
    uint64_t seq;
    if (!(fl_mcp_accepts(&s->headers) & FL_MCP_ACCEPTS_SSE)) {
        fl_legacy_refuse(s, 406, "the client must accept text/event-stream");
        return;
    }
    if (fl_mcp_header_get(&s->headers, "last-event-id", &last) == 0) {
        take_stream(s);
        return;
    }
    if (!fl_sse_id_parse(last, &name, &seq)) {
        fl_legacy_refuse(s, 400, "the last event id is none of ours");
        return;
    }
    struct fl_http_stream *old = stream_named(s->session, name);
    if (old) {
        resume_here(s, old, seq);
        return;
    }
    fl_tx_init(&s->tx, s->endpoint->core->pg, s->arena, &s->session->organization_id);
    s->tx.is_read_only = true;
    s->q = fl_store_approval_by_stream(&s->tx, fl_bytes(s->session->hash, sizeof s->session->hash),
                                       name);
    (void)!submit(s, on_stream_found);
}

/* ---------------------------------------------------------------- ending the session */
static void on_session_ended(struct fl_op *op)
{
    struct fl_http_stream *s = FL_CONTAINER(op, struct fl_http_stream, db);
    if (!op->code)
        fl_legacy_session_ended(s->session);
    if (!fl_stream_is_gone(s))
        fl_legacy_refuse(s, op->code ? 503 : 204, op->code ? op->err.text : NULL);
}

static void end_stream(struct fl_http_stream *s)
{
    s->pins++;
    FL_LIST_FOREACH_SAFE (link, &s->talks) {
        struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, mine);
        fl_list_remove(&t->mine);
        fl_talk_leave(t, FL_LEAVE_GONE);
    }
    s->pins--;
    if (s->is_ended) { /* was kept for a client that comes back to it: none will */
        fl_stream_free(s);
        return;
    }
    fl_stream_begin(s);
    fl_stream_end(s);
}

void fl_legacy_delete(struct fl_http_stream *s)
{
    s->db = (struct fl_op){ .done = on_session_ended };
    enum fl_code code = fl_session_end_start(&s->db, &s->session_look, s->session);
    if (code)
        fl_legacy_refuse(s, 503, s->db.err.text);
}

void fl_legacy_session_ended(struct fl_session *session)
{
    struct fl_endpoint *ep = session->endpoint;
    session->is_gone = true;
    FL_LIST_FOREACH_SAFE (link, &session->streams) {
        end_stream(FL_CONTAINER(link, struct fl_http_stream, link));
    }
    FL_LIST_FOREACH_SAFE (link2, &ep->streams) {
        struct fl_http_stream *other = FL_CONTAINER(link2, struct fl_http_stream, link);
        if (other->session == session)
            end_stream(other);
    }
}

/* ---------------------------------------------------------------- notifications */
/* A request that is in flight in this worker. */
static struct fl_talk *talk_of(struct fl_session *session, struct fl_str request_id)
{
    FL_LIST_FOREACH (link, &session->streams) {
        struct fl_http_stream *s = FL_CONTAINER(link, struct fl_http_stream, link);
        FL_LIST_FOREACH (l, &s->talks) {
            struct fl_talk *t = FL_CONTAINER(l, struct fl_talk, mine);
            if (fl_str_eq(t->msg.id, request_id))
                return t;
        }
    }
    return NULL;
}

/* In another worker, or in none any more: the approval's row is cancelled, which its holder sees.
 */
struct far_cancel {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    struct fl_query *q;
    struct fl_core *core;
    struct fl_uuid organization, agent;
    struct fl_cancel cancel;
};

static void on_far_cancelled(struct fl_op *op)
{
    struct far_cancel *c = FL_CONTAINER(op, struct far_cancel, op);
    struct fl_arena *arena = c->arena;
    fl_arena_free(&arena);
}

static void on_far_found(struct fl_op *op)
{
    struct far_cancel *c = FL_CONTAINER(op, struct far_cancel, op);
    struct fl_arena *arena = c->arena;
    bool is_found = op->code == FL_OK && fl_rows(c->q) == 1;
    if (is_found) {
        c->cancel = (struct fl_cancel){ .core = c->core,
                                        .organization = c->organization,
                                        .id = fl_cell_uuid(c->q, 0, 0),
                                        .actor = FL_ACTOR_AGENT,
                                        .actor_id = c->agent,
                                        .only_agent = c->agent,
                                        .reason = FL_CALL_AGENT_CANCELLED };
        fl_tx_fini(&c->tx);
        c->op = (struct fl_op){ .done = on_far_cancelled };
        if (fl_cancel_start(&c->op, &c->cancel) == FL_OK)
            return;
    } else {
        fl_tx_fini(&c->tx);
    }
    fl_arena_free(&arena);
}

static void cancel_far(struct fl_http_stream *s, struct fl_str request_id)
{
    struct fl_arena *arena = fl_arena_new(sizeof(struct far_cancel) + 1024);
    struct far_cancel *c = arena ? FL_ARENA_NEW(arena, struct far_cancel) : NULL;
    if (c) {
        c->arena = arena;
        c->core = s->endpoint->core;
        c->organization = s->principal->organization_id;
        c->agent = s->principal->agent_id;
        c->op.done = on_far_found;
        fl_tx_init(&c->tx, c->core->pg, arena, &c->organization);
        c->tx.is_read_only = true;
        c->q = fl_store_approval_by_request(
            &c->tx, fl_bytes(s->session->hash, sizeof s->session->hash), request_id);
        if (fl_tx_submit(&c->op, &c->tx) == FL_OK)
            return;
        fl_tx_fini(&c->tx);
    }
    fl_arena_free(&arena);
}

void fl_legacy_notification(struct fl_http_stream *s, const struct fl_mcp_message *msg)
{
    if (msg->method == FL_MCP_M_INITIALIZED) {
        fl_session_tell(s->session, FL_SESSION_READY);
        return;
    }
    if (msg->method != FL_MCP_M_CANCELLED || !msg->request_id.p)
        return; /* 2025-11-25 leaves the id out for tasks, which this era does not have here */
    struct fl_talk *t = talk_of(s->session, msg->request_id);
    if (!t) {
        cancel_far(s, msg->request_id);
        return;
    }
    struct fl_http_stream *stream = t->transport;
    fl_list_remove(&t->mine);
    fl_talk_leave(t, FL_LEAVE_CANCELLED);
    if (fl_list_is_empty(&stream->talks) && !stream->pins && !stream->is_ended) {
        fl_stream_begin(stream); /* ends without an answer */
        fl_stream_end(stream);
    }
}
