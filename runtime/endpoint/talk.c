/* One request in progress: dispatch, and the ways out. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/endpoint/endpoint_priv.h"

#define TEXT_BYTES 1024 /* of an ordinary request, beside its struct */

static void on_tick(struct fl_timer *timer);

struct fl_talk *fl_talk_new(struct fl_endpoint *ep, struct fl_principal *principal,
                            const struct fl_talk_ops *ops, void *transport)
{
    struct fl_arena *arena = fl_arena_new(sizeof(struct fl_talk) + TEXT_BYTES);
    struct fl_talk *t = arena ? fl_arena_raw(arena, sizeof *t) : NULL;
    if (!t) {
        fl_arena_free(&arena);
        return NULL;
    }
    memset(t, 0, offsetof(struct fl_talk, op));
    fl_op_clear(&t->op);
    t->look.arena = NULL;
    t->arena = arena;
    t->endpoint = ep;
    t->principal = fl_principal_ref(principal);
    t->ops = ops;
    t->transport = transport;
    fl_list_init(&t->mine);
    fl_timer_init(&t->tick, on_tick);
    fl_list_push_back(&ep->talks, &t->link);
    ep->talk_count++;
    return t;
}

static void release(void *owner)
{
    struct fl_talk *t = owner;
    fl_look_fini(&t->look);
    fl_org_unref(&t->org);
    fl_principal_unref(&t->principal);
    struct fl_arena *arena = t->arena;
    fl_arena_free(&arena);
}

/* Over: out of every list, memory goes after the turn. A talk with an operation of its own in
 * flight waits for that first. */
static void end(struct fl_talk *t)
{
    if (!t->is_over) {
        t->is_over = true;
        fl_loop_timer_cancel(t->endpoint->core->loop, &t->tick);
        fl_list_remove(&t->mine);
        fl_list_remove(&t->link);
        t->endpoint->talk_count--;
    }
    if (!t->op.is_pending && !t->watches && !t->retired.release)
        fl_loop_retire(t->endpoint->core->loop, &t->retired, release, t);
}

void fl_talk_finish_pending(struct fl_talk *t)
{
    if (t->is_over)
        end(t);
}

struct fl_str fl_talk_no_memory(struct fl_str id, char out[FL_NO_MEMORY_BYTES])
{
    bool has_id = id.p && id.n < FL_NO_MEMORY_BYTES - 128;
    int n = snprintf(out, FL_NO_MEMORY_BYTES,
                     "{\"jsonrpc\":\"2.0\",%s%.*s%s\"error\":{\"code\":-32603,\"message\":"
                     "\"out of memory\"}}",
                     has_id ? "\"id\":" : "", has_id ? (int)id.n : 0, has_id ? id.p : "",
                     has_id ? "," : "");
    return (struct fl_str){ out, (size_t)n };
}

bool fl_talk_answer(struct fl_talk *t, const struct fl_buf *out)
{
    char no_memory[FL_NO_MEMORY_BYTES] FL_NOT_CLEARED;
    FL_ASSERT(!t->is_over);
    fl_mcp_progress_end(&t->progress);
    bool is_sent =
        out->is_failed
            ? t->ops->send(t, fl_talk_no_memory(t->msg.id, no_memory), true, 503)
            : t->ops->send(t, fl_buf_view(out), true, t->http_status ? t->http_status : 200);
    end(t);
    return is_sent && !out->is_failed;
}

bool fl_talk_tell(struct fl_talk *t, const struct fl_buf *out)
{
    return !t->is_over && !out->is_failed && t->ops->send(t, fl_buf_view(out), false, 200);
}

void fl_talk_open(struct fl_talk *t)
{
    if (!t->has_opened && t->ops->opening)
        t->ops->opening(t);
    t->has_opened = true;
}

void fl_talk_close(struct fl_talk *t)
{
    if (t->is_over)
        return;
    if (t->ops->close)
        t->ops->close(t);
    end(t);
}

void fl_talk_refuse(struct fl_talk *t, const struct fl_mcp_refusal *refusal)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_refusal(&out, refusal);
    t->http_status = refusal->http;
    fl_talk_answer(t, &out);
    fl_buf_fini(&out);
}

void fl_talk_error(struct fl_talk *t, enum fl_code code, const char *text)
{
    struct fl_mcp_refusal refusal;
    /* What the transport itself has a status for keeps it; the handler's errors are 200. */
    int http = code == FL_UNAVAILABLE || code == FL_NOMEM ? 503
               : code == FL_FORBIDDEN                     ? 403
               : code == FL_UNAUTHENTICATED               ? 401
               : code == FL_TOO_MANY                      ? 429
               : code == FL_TOO_LARGE                     ? 413
                                                          : 200;
    (void)!fl_mcp_refuse(&refusal, &t->msg, code, http, "%s", text);
    fl_talk_refuse(t, &refusal);
}

void fl_talk_leave(struct fl_talk *t, enum fl_call_leave how)
{
    if (t->is_over)
        return;
    t->is_gone = true;
    if (t->is_wait)
        t->principal->holds--;
    t->is_wait = false;
    if (t->call) {
        struct fl_call *call = t->call;
        t->call = NULL;
        fl_call_leave(call, how);
    }
    if (t->is_listening)
        fl_listen_gone(t);
    fl_op_cancel(&t->op);
    end(t);
}

/* ---- loading the organization ---- */
static void on_org(struct fl_op *op)
{
    struct fl_talk *t = FL_CONTAINER(op, struct fl_talk, op);
    if (t->is_over)
        end(t);
    else if (op->code)
        fl_talk_error(t, op->code == FL_NOT_FOUND ? FL_UNAUTHENTICATED : FL_UNAVAILABLE,
                      op->err.text);
    else
        t->then(t);
}

void fl_talk_with_org(struct fl_talk *t, void (*then)(struct fl_talk *talk))
{
    t->org = fl_org_peek(t->endpoint->core->orgs, &t->principal->organization_id);
    if (t->org) {
        then(t);
        return;
    }
    t->then = then;
    t->op = (struct fl_op){ .done = on_org };
    if (fl_org_load_start(&t->op, &t->org_load, t->endpoint->core->orgs,
                          &t->principal->organization_id, &t->org) != FL_OK)
        fl_talk_error(t, FL_UNAVAILABLE, t->op.err.text);
}

/* ---- keeping a waiting caller informed ---- */
static void on_tick(struct fl_timer *timer)
{
    struct fl_talk *t = FL_CONTAINER(timer, struct fl_talk, tick);
    fl_call_tick(t);
}

/* ---- dispatch ---- */
static void empty(struct fl_talk *t)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to to = fl_talk_to(t);
    fl_mcp_put_empty(&out, &t->endpoint->server, &to);
    fl_talk_answer(t, &out);
    fl_buf_fini(&out);
}

static void discover(struct fl_talk *t)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to to = fl_talk_to(t);
    if (t->msg.method == FL_MCP_M_INITIALIZE)
        fl_mcp_put_initialize(&out, &t->endpoint->server, &to);
    else
        fl_mcp_put_discover(&out, &t->endpoint->server, &to);
    fl_talk_answer(t, &out);
    fl_buf_fini(&out);
}

void fl_talk_start(struct fl_talk *t)
{
    fl_mcp_progress_init(&t->progress, t->msg.progress_token);
    switch (t->msg.method) {
    case FL_MCP_M_INITIALIZE:
    case FL_MCP_M_DISCOVER: discover(t); break;
    case FL_MCP_M_PING:
    case FL_MCP_M_SET_LEVEL: empty(t); break;
    case FL_MCP_M_TOOLS_LIST: fl_talk_with_org(t, fl_method_list); break;
    case FL_MCP_M_TOOLS_CALL: fl_method_call(t); break;
    case FL_MCP_M_TASKS_GET:
    case FL_MCP_M_TASKS_UPDATE:
    case FL_MCP_M_TASKS_CANCEL: fl_method_task(t); break;
    case FL_MCP_M_LISTEN: fl_method_listen(t); break;
    default: fl_talk_error(t, FL_UNKNOWN_METHOD, "unknown method"); break;
    }
}
