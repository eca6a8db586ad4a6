/* MCP over WebSocket: `/mcp/ws`, subprotocol `mcp`, one message a frame. */
#include "runtime/endpoint/auth.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"

#define CLOSE_GOING_AWAY 1001
#define CLOSE_POLICY     1008
#define LEAVE_LOOK_MS    20

struct ws_conn {
    struct fl_conn conn;
    struct fl_ws *ws;
    struct fl_timer leave; /* armed while the worker stops and something is still answered */
};

static bool ws_send(struct fl_conn *conn, struct fl_str message)
{
    struct ws_conn *c = FL_CONTAINER(conn, struct ws_conn, conn);
    return fl_ws_send(c->ws, message) == FL_OK; /* else it is closing, and on_close follows */
}

static void ws_close(struct fl_conn *conn, const char *why)
{
    struct ws_conn *c = FL_CONTAINER(conn, struct ws_conn, conn);
    conn->is_closing = true;
    fl_ws_close(c->ws, CLOSE_POLICY, why);
}

/* The worker stops. Nothing more is read; what was asked for is answered, and then the client hears
 * that it has to come again. What it sends meanwhile was not begun. */
static void on_leave(struct fl_timer *timer)
{
    struct ws_conn *c = FL_CONTAINER(timer, struct ws_conn, leave);
    if (c->conn.is_closing)
        return;
    if (!fl_list_is_empty(&c->conn.talks)) {
        fl_loop_timer(c->conn.endpoint->core->loop, &c->leave, LEAVE_LOOK_MS);
        return;
    }
    c->conn.is_closing = true;
    fl_ws_close(c->ws, CLOSE_GOING_AWAY, "the runtime is stopping");
}

static void ws_drain(struct fl_conn *conn)
{
    struct ws_conn *c = FL_CONTAINER(conn, struct ws_conn, conn);
    if (conn->is_closing)
        return;
    fl_ws_pause(c->ws);
    fl_conn_finish(conn);
    fl_loop_timer(conn->endpoint->core->loop, &c->leave, 0);
}

static void on_message(struct fl_ws *ws, struct fl_str text)
{
    struct ws_conn *c = fl_ws_user(ws);
    fl_conn_message(&c->conn, text);
}

static void on_close(struct fl_ws *ws, uint16_t code)
{
    struct ws_conn *c = fl_ws_user(ws);
    FL_UNUSED(code);
    fl_loop_timer_cancel(c->conn.endpoint->core->loop, &c->leave);
    fl_conn_gone(&c->conn);
    fl_free(c);
}

static const struct fl_ws_callbacks callbacks = { .on_message = on_message, .on_close = on_close };

/* The credential is good: the connection changes hands. */
static void on_known(struct fl_auth *a)
{
    struct fl_http_exchange *ex = a->ex;
    struct fl_endpoint *ep = a->endpoint;
    struct fl_err err;
    struct ws_conn *c = fl_calloc(1, sizeof *c);
    if (!c) {
        fl_http_respond_error(ex, 503, "out of memory", NULL, 0);
        return;
    }
    struct fl_principal *principal = a->principal;
    c->conn.is_isolated = fl_peer_is_isolated(ep, ex);
    c->conn.send = ws_send;
    c->conn.close = ws_close;
    c->conn.drain = ws_drain;
    fl_timer_init(&c->leave, on_leave);
    fl_conn_open(&c->conn, ep, principal, FL_MCP_WEBSOCKET);
    if (fl_ws_upgrade(ep->hub, ex, &callbacks, c, &c->ws, &err) != FL_OK) {
        fl_conn_gone(&c->conn); /* answered there */
        fl_free(c);
    } else if (ep->is_draining) {
        ws_drain(&c->conn); /* it was accepted before the worker was told to stop */
    }
}

static void on_head(struct fl_http_exchange *ex)
{
    if (ex->method != FL_HTTP_GET || !fl_http_header_has_token(ex, "upgrade", "websocket")) {
        const struct fl_http_header headers[] = { { FL_STR("Upgrade"), FL_STR("websocket") } };
        fl_http_respond_error(ex, 426, "this address speaks WebSocket with the subprotocol mcp",
                              headers, 1);
        return;
    }
    fl_auth_start(ex, on_known);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    FL_UNUSED(body);
    fl_http_respond_error(ex, 426, "this address speaks WebSocket", NULL, 0);
}

const struct fl_http_callbacks fl_endpoint_ws = { .on_head = on_head,
                                                  .on_request = on_request,
                                                  .on_released = fl_auth_released };
