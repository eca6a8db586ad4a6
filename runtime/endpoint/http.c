/* MCP over Streamable HTTP: POST (both eras), GET and DELETE (legacy sessions). */
#include "runtime/endpoint/http.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/endpoint/stream_place.h"
#include "runtime/io/http_site.h"

FL_STEP_DECLARE(session);
FL_STEP_DECLARE(session_known);
FL_STEP_DECLARE(organization);
FL_STEP_DECLARE(read);

static struct fl_http_stream *stream_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_http_stream, flow);
}

/* ---------------------------------------------------------------- answering */
static void respond(struct fl_http_stream *s, int status, struct fl_str body)
{
    struct fl_http_header headers[4];
    size_t n = 0;
    if (!s->ex)
        return;
    if (body.n)
        headers[n++] =
            (struct fl_http_header){ FL_STR("Content-Type"), FL_STR("application/json") };
    headers[n++] = (struct fl_http_header){ FL_STR("Cache-Control"), FL_STR("no-store") };
    if (s->session_id[0])
        headers[n++] =
            (struct fl_http_header){ FL_STR("Mcp-Session-Id"), fl_str_of(s->session_id) };
    if (status == 401 || s->is_beyond_scope)
        headers[n++] =
            (struct fl_http_header){ FL_STR("WWW-Authenticate"),
                                     fl_auth_challenge_text(s->ex->arena, s->is_beyond_scope
                                                                              ? "insufficient_scope"
                                                                              : "invalid_token") };
    fl_http_respond(s->ex, status, headers, n, body);
}

void fl_stream_begin(struct fl_http_stream *s)
{
    static const struct fl_http_header headers[] = {
        { { "Content-Type", 12 }, { "text/event-stream", 17 } },
        { { "Cache-Control", 13 }, { "no-store", 8 } },
        { { "X-Accel-Buffering", 17 }, { "no", 2 } },
    };
    if (s->has_begun || !s->ex)
        return;
    s->has_begun = true;
    fl_http_start(s->ex, 200, headers, FL_COUNTOF(headers));
    if (s->is_numbered && s->session && fl_mcp_has(s->session->version, FL_MCP_HAS_SSE_PRIMING)) {
        struct fl_buf out = FL_BUF_INIT;
        struct fl_err err;
        if (fl_sse_prime(&s->sse, 500, &out, &err) == FL_OK)
            (void)!fl_http_write(s->ex, fl_buf_view(&out));
        fl_buf_fini(&out);
    }
}

static void lose(struct fl_http_stream *s);

static void on_cut(struct fl_post *post)
{
    struct fl_http_stream *s = FL_CONTAINER(post, struct fl_http_stream, cut);
    s->is_cutting = false;
    if (!fl_stream_is_gone(s))
        lose(s);
}

/* A reader that is too slow for its own stream loses the connection, not the others. */
static void write_or_cut(struct fl_http_stream *s, const struct fl_buf *out)
{
    if (!s->ex || (!out->is_failed && fl_http_write(s->ex, fl_buf_view(out)) != FL_TOO_MANY))
        return;
    ((struct fl_auth *)s->ex->user)->user = NULL;
    fl_http_abort(s->ex); /* says nothing to us */
    s->ex = NULL;
    s->is_cutting = true;
    s->cut.run = on_cut;
    fl_loop_post(s->endpoint->core->loop, &s->cut);
}

void fl_stream_event(struct fl_http_stream *s, struct fl_str message)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    if (s->is_numbered) {
        if (fl_sse_send(&s->sse, message, s->ex ? &out : NULL, &err) != FL_OK)
            out.is_failed = true;
    } else {
        fl_sse_put(&out, (struct fl_str){ NULL, 0 }, message);
    }
    write_or_cut(s, &out);
    fl_buf_fini(&out);
}

void fl_stream_bytes(struct fl_http_stream *s, struct fl_str bytes)
{
    const struct fl_buf out = { .p = (char *)bytes.p, .n = bytes.n };
    write_or_cut(s, &out);
}

void fl_stream_end(struct fl_http_stream *s)
{
    if (s->is_ended)
        return;
    s->is_ended = true;
    bool has_left = s->ex && fl_http_queued(s->ex) == 0;
    if (s->ex) {
        ((struct fl_auth *)s->ex->user)->user = NULL;
        if (s->has_begun)
            fl_http_end(s->ex);
    }
    s->ex = NULL;
    if (s->is_numbered && s->session && !s->session->is_gone && s->sse.next_seq &&
        !s->endpoint->is_draining)
        fl_legacy_keep(s, has_left);
    else
        fl_stream_free(s);
}

static void release(void *owner)
{
    struct fl_http_stream *s = owner;
    fl_stream_place_free(&s->place);
    fl_session_unref(&s->session);
    fl_principal_unref(&s->principal);
    fl_org_unref(&s->org);
    fl_sse_stream_fini(&s->sse);
    fl_arena_free(&s->arena);
    fl_free(s);
}

static void retire_when_settled(struct fl_http_stream *s)
{
    if (!s->db.is_pending && !s->is_creating && !s->is_cutting)
        fl_loop_retire(s->endpoint->core->loop, &s->retired, release, s);
}

void fl_stream_free(struct fl_http_stream *s)
{
    FL_ASSERT(!s->is_freed && fl_list_is_empty(&s->talks));
    s->is_freed = true;
    fl_relay_stop(s);
    fl_legacy_get_gone(s);
    fl_legacy_keep_no_more(s);
    fl_loop_timer_cancel(s->endpoint->core->loop, &s->timer);
    fl_list_remove(&s->link);
    if (s->ex)
        ((struct fl_auth *)s->ex->user)->user = NULL;
    retire_when_settled(s);
}

bool fl_stream_is_gone(struct fl_http_stream *s)
{
    if (!s->is_freed)
        return false;
    retire_when_settled(s);
    return true;
}

/* The whole answer at once. */
static void finish(struct fl_http_stream *s, int status, struct fl_str body)
{
    respond(s, status, body);
    s->is_ended = true;
    if (s->ex)
        ((struct fl_auth *)s->ex->user)->user = NULL;
    s->ex = NULL;
    fl_stream_free(s);
}

static void refuse(struct fl_http_stream *s, const struct fl_mcp_refusal *refusal)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_refusal(&out, refusal);
    finish(s, refusal->http, fl_buf_view(&out));
    fl_buf_fini(&out);
}

static void refuse_code(struct fl_http_stream *s, enum fl_code code, const char *text)
{
    struct fl_mcp_refusal refusal;
    (void)!fl_mcp_refuse(&refusal, NULL, code, 0, "%s", text);
    refuse(s, &refusal);
}

/* ---------------------------------------------------------------- a talk's way out */
static bool stream_send(struct fl_talk *t, struct fl_str message, bool is_last, int http)
{
    struct fl_http_stream *s = t->transport;
    if (!is_last) {
        if (!(s->accepts & FL_MCP_ACCEPTS_SSE))
            return false; /* a client that reads JSON only is told the outcome only */
        fl_stream_begin(s);
        fl_stream_event(s, message);
        return s->ex != NULL;
    }
    fl_list_remove(&t->mine);
    bool is_alone = !s->is_batch && !s->has_begun && s->ex;
    if (is_alone && (s->accepts & FL_MCP_ACCEPTS_JSON || http != 200)) {
        s->is_beyond_scope = t->is_beyond_scope;
        finish(s, http, message);
        return true;
    }
    fl_stream_begin(s);
    fl_stream_event(s, message);
    bool is_sent = s->ex != NULL;
    if (!is_sent)
        s->undelivered = t->outcome_of;
    if (fl_list_is_empty(&s->talks) && !s->pins)
        fl_stream_end(s);
    return is_sent;
}

/* A legacy stream is cut, which is no cancellation: reads and what runs go on, and their answers
 * are kept for the client. A call that waits for people leaves, so that it runs when somebody is
 * there again: the client that comes back to this stream (legacy.c), or one that repeats the call.
 * A batch stays together. */
static bool stream_leaves(struct fl_talk *t)
{
    struct fl_http_stream *s = t->transport;
    if (s->ex || !s->is_numbered || s->is_batch)
        return false;
    fl_list_remove(&t->mine);
    fl_talk_leave(t, FL_LEAVE_GONE);
    if (fl_list_is_empty(&s->talks) && !s->is_ended) {
        s->is_ended = true;
        fl_stream_free(s);
    }
    return true;
}

static void stream_opening(struct fl_talk *t)
{
    struct fl_http_stream *s = t->transport;
    struct fl_buf out = FL_BUF_INIT;
    if (!(s->accepts & FL_MCP_ACCEPTS_SSE))
        return;
    if (!s->has_begun) {
        fl_stream_begin(s);
        return;
    }
    fl_sse_put_comment(&out);
    write_or_cut(s, &out);
    fl_buf_fini(&out);
}

static void stream_close(struct fl_talk *t)
{
    struct fl_http_stream *s = t->transport;
    fl_list_remove(&t->mine);
    if (!fl_list_is_empty(&s->talks) || s->pins)
        return;
    if (!s->has_begun && s->ex && s->accepts & FL_MCP_ACCEPTS_SSE)
        fl_stream_begin(s); /* an empty stream: no answer follows a cancellation */
    if (s->has_begun)
        fl_stream_end(s);
    else
        finish(s, 202, (struct fl_str){ NULL, 0 });
}

const struct fl_talk_ops fl_stream_ops = {
    .send = stream_send, .opening = stream_opening, .close = stream_close, .leaves = stream_leaves
};

/* ---------------------------------------------------------------- reading the request */
FL_STEP(session)
{
    struct fl_http_stream *s = stream_of(f);
    if (!fl_mcp_names_session(&s->headers, &s->session_text))
        return &S_organization;
    s->session_fact = FL_MCP_SESSION_GONE;
    if (!s->session_text.n)
        return &S_organization;
    s->session = fl_session_peek(s->endpoint, s->principal, s->session_text);
    if (s->session)
        return &S_session_known;
    return fl_await(f, &S_session_known,
                    fl_session_look_start(&f->op, &s->session_look, s->endpoint, s->principal,
                                          s->session_text, &s->session));
}

FL_STEP(session_known)
{
    struct fl_http_stream *s = stream_of(f);
    if (f->op.code && f->op.code != FL_NOT_FOUND)
        return fl_fail(f);
    if (s->session) {
        s->session_fact = FL_MCP_SESSION_LIVE;
        fl_session_seen(s->session);
    }
    return &S_organization;
}

FL_STEP(organization)
{
    struct fl_http_stream *s = stream_of(f);
    s->org = fl_org_peek(s->endpoint->core->orgs, &s->principal->organization_id);
    if (s->org)
        return &S_read;
    return fl_await(f, &S_read,
                    fl_org_load_start(&f->op, &s->org_load, s->endpoint->core->orgs,
                                      &s->principal->organization_id, &s->org));
}

static const struct fl_mcp_param_headers *param_headers(void *ctx, struct fl_str tool)
{
    const struct fl_http_stream *s = ctx;
    const struct fl_org_tool *found = fl_org_tool(s->org, tool);
    return found && found->params.count ? &found->params : NULL;
}

static void start_talk(struct fl_http_stream *s, struct fl_str text,
                       const struct fl_mcp_facts *facts, struct fl_mcp_refusal *refusal);

static void batch(struct fl_http_stream *s, const struct fl_mcp_message *msg,
                  struct fl_mcp_facts *facts)
{
    struct fl_str text;
    struct fl_mcp_refusal refusal;
    s->is_batch = facts->is_in_batch = true;
    s->pins++;
    for (size_t pos = 0; fl_mcp_batch_next(msg, &pos, &text);)
        start_talk(s, text, facts, &refusal);
    s->pins--;
    if (!fl_list_is_empty(&s->talks))
        return;
    if (s->has_begun)
        fl_stream_end(s);
    else
        finish(s, 202, (struct fl_str){ NULL, 0 });
}

FL_STEP(read)
{
    struct fl_http_stream *s = stream_of(f);
    struct fl_mcp_refusal refusal;
    struct fl_mcp_facts facts = {
        .transport = FL_MCP_HTTP,
        .headers = &s->headers,
        .session = s->session_fact,
        .session_version = s->session ? s->session->version : FL_MCP_NO_VERSION,
        .serves = s->endpoint->server.serves,
        .param_headers = param_headers,
        .ctx = s,
    };
    if (!s->org)
        return fl_fail(f);
    if (!s->ex) /* gone while we looked */
        return fl_end(f);
    if (s->ex->method != FL_HTTP_POST) {
        struct fl_str verb = fl_str_of(fl_http_method_name(s->ex->method));
        if (fl_mcp_check_verb(verb, &facts, &refusal) != FL_OK) {
            s->refusal = refusal;
            return fl_end(f);
        }
    }
    s->facts = facts;
    s->is_read = true;
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void refuse_verb(struct fl_http_stream *s)
{
    static const struct fl_http_header headers[] = { { { "Allow", 5 }, { "POST", 4 } } };
    fl_http_respond_error(s->ex, s->refusal.http, s->refusal.err.text,
                          s->refusal.http == 405 ? headers : NULL, s->refusal.http == 405);
    ((struct fl_auth *)s->ex->user)->user = NULL;
    s->ex = NULL;
    s->is_ended = true;
    fl_stream_free(s);
}

/* The request can be understood now. */
static void on_read(struct fl_flow *f)
{
    struct fl_http_stream *s = stream_of(f);
    struct fl_mcp_refusal refusal;
    if (!s->ex) {
        fl_stream_free(s);
    } else if (f->first.code) {
        refuse_code(s, f->first.code == FL_NOMEM ? FL_NOMEM : FL_UNAVAILABLE, f->first.text);
    } else if (!s->is_read) {
        refuse_verb(s);
    } else if (s->ex->method == FL_HTTP_GET) {
        fl_legacy_get(s);
    } else if (s->ex->method == FL_HTTP_DELETE) {
        fl_legacy_delete(s);
    } else {
        start_talk(s, s->body, &s->facts, &refusal);
    }
}

/* ---------------------------------------------------------------- messages */
static void on_session_created(struct fl_op *op)
{
    struct fl_talk *t = FL_CONTAINER(op, struct fl_talk, op);
    struct fl_http_stream *s = t->transport;
    s->is_creating = false;
    (void)fl_stream_is_gone(s);
    if (t->is_over)
        fl_talk_finish_pending(t);
    else if (op->code)
        fl_talk_error(t, FL_UNAVAILABLE, op->err.text);
    else
        fl_talk_start(t);
}

static void start_request(struct fl_http_stream *s, struct fl_talk *t)
{
    FL_ASSERT(t);
    bool is_legacy = t->msg.era == FL_MCP_LEGACY;
    bool is_first = t->msg.method == FL_MCP_M_INITIALIZE;
    if (is_first) /* begins a session of its own, whichever was named with it */
        fl_session_unref(&s->session);
    t->is_isolated = s->is_isolated;
    fl_list_push_back(&s->talks, &t->mine);
    if (is_legacy && s->session && !s->is_numbered) {
        uint8_t raw[9];
        char hex[2 * sizeof raw + 1];
        fl_random(raw, sizeof raw);
        raw[0] =
            (uint8_t)s->endpoint->config.worker; /* whoever is asked for it knows whom to ask */
        fl_sse_stream_init(&s->sse, fl_str_of(fl_hex(raw, sizeof raw, hex)));
        s->is_numbered = true;
        fl_list_push_back(&s->session->streams, &s->link);
    }
    if (is_legacy && s->session) {
        t->mcp_session = fl_bytes(s->session->hash, sizeof s->session->hash);
        t->mcp_stream = fl_str_of(s->sse.name);
    }
    if (!is_first) {
        fl_talk_start(t);
        return;
    }
    t->op = (struct fl_op){ .done = on_session_created };
    s->is_creating = true;
    if (fl_session_create_start(&t->op, &s->session_look, s->endpoint, s->principal, t->msg.version,
                                s->session_id, &s->session) != FL_OK) {
        s->is_creating = false;
        fl_talk_error(t, FL_UNAVAILABLE, t->op.err.text);
    }
}

static void start_talk(struct fl_http_stream *s, struct fl_str text,
                       const struct fl_mcp_facts *facts, struct fl_mcp_refusal *refusal)
{
    struct fl_talk *t = fl_talk_new(s->endpoint, s->principal, &fl_stream_ops, s);
    struct fl_str copy = t ? fl_arena_str(t->arena, text) : (struct fl_str){ NULL, 0 };
    enum fl_code code = copy.p ? fl_mcp_read(t->arena, copy, facts, &t->msg, refusal)
                               : fl_mcp_refuse(refusal, NULL, FL_NOMEM, 503, "out of memory");
    s->accepts = fl_mcp_accepts(&s->headers);
    FL_ASSERT(code || copy.p);
    if (code == FL_OK && t->msg.kind == FL_MCP_REQUEST) {
        if (t->msg.era == FL_MCP_LEGACY && !(s->accepts & FL_MCP_ACCEPTS_SSE))
            code = fl_mcp_refuse(refusal, &t->msg, FL_NOT_ACCEPTABLE, 406,
                                 "the client must accept application/json and "
                                 "text/event-stream");
        else {
            start_request(s, t);
            return;
        }
    }
    if (code && s->is_batch) {
        /* One bad member is answered among the others. */
        struct fl_buf out = FL_BUF_INIT;
        fl_mcp_put_refusal(&out, refusal);
        if (!refusal->is_mute) {
            fl_stream_begin(s);
            fl_stream_event(s, fl_buf_view(&out));
        }
        fl_buf_fini(&out);
    } else if (code) {
        refuse(s, refusal);
    } else if (t->msg.kind == FL_MCP_BATCH) {
        struct fl_mcp_facts each = *facts;
        batch(s, &t->msg, &each);
    } else {
        if (t->msg.era == FL_MCP_LEGACY && s->session)
            fl_legacy_notification(s, &t->msg);
        if (!s->is_batch)
            finish(s, 202, (struct fl_str){ NULL, 0 });
    }
    if (t)
        fl_talk_leave(t, FL_LEAVE_GONE);
}

/* ---------------------------------------------------------------- the front's callbacks */
static void on_known(struct fl_auth *a)
{
    FL_UNUSED(a); /* the body comes now */
}

static void on_head(struct fl_http_exchange *ex)
{
    if (ex->method != FL_HTTP_POST && ex->method != FL_HTTP_GET && ex->method != FL_HTTP_DELETE) {
        static const struct fl_http_header headers[] = { { { "Allow", 5 }, { "POST", 4 } } };
        fl_http_respond_error(ex, 405, "method not allowed", headers, 1);
        return;
    }
    fl_auth_start(ex, on_known);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct fl_auth *a = ex->user;
    struct fl_http_stream *s = fl_calloc(1, sizeof *s);
    if (s && !(s->arena = fl_arena_new(1024))) {
        fl_free(s);
        s = NULL;
    }
    struct fl_mcp_header *list =
        s ? fl_arena_array(s->arena, ex->header_count + 1, sizeof *list) : NULL;
    if (!list) {
        if (s)
            fl_arena_free(&s->arena);
        fl_free(s);
        fl_http_respond_error(ex, 503, "out of memory", NULL, 0);
        return;
    }
    for (size_t i = 0; i < ex->header_count; i++)
        list[i] = (struct fl_mcp_header){ ex->headers[i].name, ex->headers[i].value };
    s->headers = (struct fl_mcp_headers){ list, ex->header_count };
    struct fl_err err;
    if (ex->method == FL_HTTP_POST && fl_mcp_check_content_type(&s->headers, &err) != FL_OK) {
        fl_http_respond_error(ex, 415, err.text, NULL, 0);
        fl_arena_free(&s->arena);
        fl_free(s);
        return;
    }
    s->endpoint = a->endpoint;
    s->ex = ex;
    s->principal = fl_principal_ref(a->principal);
    s->body = body;
    s->is_isolated = fl_peer_is_isolated(a->endpoint, ex);
    fl_list_init(&s->talks);
    a->user = s;
    fl_flow_init(&s->flow, &S_failed, on_read);
    fl_flow_run(&s->flow, &S_session);
}

static void on_gone(struct fl_http_exchange *ex)
{
    struct fl_auth *a = ex->user;
    struct fl_http_stream *s = a ? a->user : NULL;
    if (!s)
        return;
    s->ex = NULL;
    a->user = NULL;
    if (s->flow.is_ended) /* else the request is still being read: it ends by itself */
        lose(s);
}

/* The connection broke. In the modern era that is a cancellation; in the legacy era it is not, if
 * the client can come back to the stream. */
static void lose(struct fl_http_stream *s)
{
    if (s->is_numbered && s->has_begun && !s->is_get) {
        FL_LIST_FOREACH_SAFE (link, &s->talks) {
            struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, mine);
            if (t->call && fl_call_is_waiting(t->call))
                stream_leaves(t);
        }
        return;
    }
    s->pins++;
    while (!fl_list_is_empty(&s->talks)) {
        struct fl_talk *t = FL_CONTAINER(s->talks.next, struct fl_talk, mine);
        fl_list_remove(&t->mine);
        fl_talk_leave(t, FL_LEAVE_GONE);
    }
    s->pins--;
    s->is_ended = true;
    fl_stream_free(s);
}

static void on_drained(struct fl_http_exchange *ex)
{
    FL_UNUSED(ex);
}

/* Errors that have no message to answer yet, in the protocol's form: without an id. */
static void render_error(void *server_user, const struct fl_http_exchange *ex, int status,
                         const char *text, struct fl_buf *body, const char **ret_type)
{
    enum fl_code code = status == 413   ? FL_TOO_LARGE
                        : status == 400 ? FL_BAD_REQUEST
                                        : FL_UNAVAILABLE; /* -32000: the status says it */
    struct fl_mcp_refusal refusal;
    FL_UNUSED(server_user);
    FL_UNUSED(ex);
    (void)!fl_mcp_refuse(&refusal, NULL, code, status, "%s", text);
    fl_mcp_put_refusal(body, &refusal);
    *ret_type = "application/json";
}

const struct fl_http_callbacks fl_endpoint_http = { .on_head = on_head,
                                                    .on_request = on_request,
                                                    .on_gone = on_gone,
                                                    .on_drained = on_drained,
                                                    .on_released = fl_auth_released,
                                                    .render_error = render_error };
