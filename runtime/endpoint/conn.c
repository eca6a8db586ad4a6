/* Connections that carry many requests both ways: WebSocket and stdio. */
#include "runtime/endpoint/endpoint_priv.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"

#define LISTENS_PER_CONN 16

static bool conn_send(struct fl_talk *t, struct fl_str message, bool is_last, int http)
{
    struct fl_conn *conn = t->transport;
    FL_UNUSED(http);
    if (is_last && !fl_mcp_conn_land(&conn->mcp, &t->flight))
        return false; /* cancelled: never answered */
    return conn->send(conn, message);
}

static void conn_close(struct fl_talk *t)
{
    struct fl_conn *conn = t->transport;
    (void)fl_mcp_conn_land(&conn->mcp, &t->flight);
}

static const struct fl_talk_ops conn_ops = { .send = conn_send, .close = conn_close };

void fl_conn_open(struct fl_conn *conn, struct fl_endpoint *ep, struct fl_principal *principal,
                  enum fl_mcp_transport transport)
{
    conn->endpoint = ep;
    conn->principal = fl_principal_ref(principal);
    fl_list_init(&conn->talks);
    fl_mcp_conn_init(&conn->mcp, transport, 0);
    fl_mcp_listens_init(&conn->listens, LISTENS_PER_CONN);
    fl_list_push_back(&ep->conns, &conn->link);
}

static void say_refusal(struct fl_conn *conn, const struct fl_mcp_refusal *refusal)
{
    struct fl_buf out = FL_BUF_INIT;
    if (refusal->is_mute)
        return;
    char no_memory[FL_NO_MEMORY_BYTES];
    fl_mcp_put_refusal(&out, refusal);
    conn->send(conn, out.is_failed ? fl_talk_no_memory(refusal->id, no_memory) : fl_buf_view(&out));
    fl_buf_fini(&out);
}

static void on_cancelled(struct fl_conn *conn, const struct fl_mcp_message *msg)
{
    struct fl_mcp_flight *flight = fl_mcp_conn_cancel(&conn->mcp, msg);
    if (!flight)
        return;
    struct fl_talk *t = FL_CONTAINER(flight, struct fl_talk, flight);
    (void)fl_mcp_conn_land(&conn->mcp, &t->flight);
    fl_talk_leave(t, FL_LEAVE_CANCELLED);
}

/* The credential is looked at again for each message. */
static bool is_still_good(struct fl_conn *conn)
{
    const struct fl_principal *p = conn->principal;
    if (!p->is_refused && (p->expires_at_ms == 0 || p->expires_at_ms > fl_real_ms()))
        return true;
    conn->close(conn, p->is_refused ? p->why : "the credential has expired");
    return false;
}

void fl_conn_message(struct fl_conn *conn, struct fl_str text)
{
    struct fl_endpoint *ep = conn->endpoint;
    struct fl_mcp_facts facts;
    struct fl_mcp_refusal refusal FL_NOT_CLEARED; /* filled with a code */
    if (conn->is_closing || !is_still_good(conn))
        return;
    struct fl_talk *t = fl_talk_new(ep, conn->principal, &conn_ops, conn);
    struct fl_str copy = t ? fl_arena_str(t->arena, text) : (struct fl_str){ NULL, 0 };
    if (!copy.p) {
        conn->close(conn, "out of memory");
        if (t)
            fl_talk_leave(t, FL_LEAVE_GONE);
        return;
    }
    fl_mcp_conn_facts(&conn->mcp, ep->server.serves, &facts);
    enum fl_code code = fl_mcp_read(t->arena, copy, &facts, &t->msg, &refusal);
    if (code == FL_OK)
        code = fl_mcp_conn_admit(&conn->mcp, &t->msg, &t->flight, &refusal);
    if (code) {
        say_refusal(conn, &refusal);
        fl_talk_leave(t, FL_LEAVE_GONE);
        return;
    }
    if (t->msg.kind != FL_MCP_REQUEST) {
        if (t->msg.method == FL_MCP_M_CANCELLED)
            on_cancelled(conn, &t->msg);
        fl_talk_leave(t, FL_LEAVE_GONE);
        return;
    }
    t->is_isolated = conn->is_isolated;
    t->listens = &conn->listens;
    fl_list_push_back(&conn->talks, &t->mine);
    fl_talk_start(t);
}

void fl_conn_finish(struct fl_conn *conn)
{
    FL_LIST_FOREACH_SAFE (link, &conn->talks) {
        struct fl_talk *t = FL_CONTAINER(link, struct fl_talk, mine);
        if (t->is_listening)
            fl_listen_end(t, true);
        else if (t->call)
            fl_call_hold_over(t->call);
    }
}

void fl_conn_gone(struct fl_conn *conn)
{
    conn->is_closing = true;
    fl_list_remove(&conn->link);
    while (!fl_list_is_empty(&conn->talks)) {
        struct fl_talk *t = FL_CONTAINER(conn->talks.next, struct fl_talk, mine);
        fl_list_remove(&t->mine);
        fl_talk_leave(t, FL_LEAVE_GONE);
    }
    fl_mcp_conn_fini(&conn->mcp);
    fl_principal_unref(&conn->principal);
}
