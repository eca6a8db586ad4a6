/* libwebsockets, kept on a short lead: a vhost without a listener, on our loop, whose connections
 * are the far ends of socket pairs and whose only request head is the one that ws.c writes. Any
 * callback of plain HTTP closes. */
#include <libwebsockets.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/ws_priv.h"

enum { SERVICE_BYTES = 32768 };

const struct fl_ws_limits fl_ws_limits_default = {
    .message_bytes = 4 * 1024 * 1024,
    .write_queue_bytes = 1024 * 1024,
    .ping_ms = 25000,
    .close_ms = 3000,
    .write_stall_ms = 60000,
};

/* LWS_CALLBACK_*: 0 goes on, anything else closes. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
    struct fl_ws *ws;
    FL_UNUSED(user);
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLOSED: ws = lws_get_opaque_user_data(wsi); break;
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_RAW_WRITEABLE: return -1;
    default: return 0;
    }
    if (!ws)
        return reason == LWS_CALLBACK_CLOSED ? 0 : -1; /* ws.c has let go of it */
    FL_CHECK_MAGIC(ws, FL_WS_MAGIC);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED: ws->is_established = true; return 0;
    case LWS_CALLBACK_RECEIVE:
        fl_ws_on_piece(ws, (struct fl_str){ in, n },
                       lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return fl_ws_on_peer_close(ws, (struct fl_str){ in, n }) ? 0 : -1;
    case LWS_CALLBACK_CLOSED:
        lws_set_opaque_user_data(wsi, NULL);
        ws->wsi = NULL;
        fl_ws_on_lws_closed(ws);
        return 0;
    default: return 0;
    }
}

/* The name of the first one is what a handshake without subprotocol would be bound to. */
static const struct lws_protocols protocols[] = {
    { "none", on_event, 0, 0, 0, NULL, 0 },
    { "mcp", on_event, 0, FL_WS_PIECE_BYTES, 0, NULL, 0 },
    { NULL, NULL, 0, 0, 0, NULL, 0 },
};

/* No pings by libwebsockets: its timers are one sorted list. */
static const lws_retry_bo_t no_validity = { .secs_since_valid_ping = 0 };

static void on_log(int level, const char *line)
{
    struct fl_str text = fl_str_of(line);
    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (level == LLL_ERR)
        FL_LOG(ERROR, "libwebsockets", FL_KV("text", text));
    else
        FL_LOG(WARN, "libwebsockets", FL_KV("text", text));
}

void fl_ws_hub_unref(struct fl_ws_hub *hub)
{
    if (--hub->refs == 0)
        fl_free(hub);
}

/* ---- giving libwebsockets back ----
 * On a loop of ours lws_context_destroy only begins: handles close during the next turns, and a
 * second call, when the last is closed, frees the rest (without it the context leaks; too early,
 * the handles lie in freed memory). */
static void look_at_handle(uv_handle_t *handle, void *arg)
{
    struct fl_ws_hub *hub = arg;
    if (handle->data == hub->context)
        hub->has_handles = true;
}

static void on_ended(uv_handle_t *handle)
{
    fl_ws_hub_unref(handle->data);
}

static void on_ending(uv_idle_t *ending)
{
    struct fl_ws_hub *hub = ending->data;
    hub->has_handles = false;
    if (hub->context)
        uv_walk(&hub->loop->uv, look_at_handle, hub);
    if (hub->has_handles)
        return;
    if (hub->context)
        lws_context_destroy(hub->context);
    if (!hub->context)
        uv_close((uv_handle_t *)ending, on_ended);
}

static void destroy_context(struct fl_ws_hub *hub)
{
    hub->refs++;
    uv_idle_init(&hub->loop->uv, &hub->ending);
    hub->ending.data = hub;
    uv_idle_start(&hub->ending, on_ending);
    lws_context_destroy(hub->context);
}

enum fl_code fl_ws_hub_new(struct fl_loop *loop, const struct fl_ws_limits *limits,
                           struct fl_ws_hub **ret, struct fl_err *err)
{
    struct lws_context_creation_info info = { 0 };
    void *loops[] = { &loop->uv };
    struct fl_ws_hub *hub = fl_calloc(1, sizeof *hub);
    if (!hub)
        return fl_err_code(err, FL_NOMEM);
    hub->loop = loop;
    hub->limits = *limits;
    hub->refs = 1;
    fl_list_init(&hub->all);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME;
    info.foreign_loops = loops;
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.pt_serv_buf_size = SERVICE_BYTES;
    info.protocols = protocols;
    info.extensions = NULL; /* compression hangs on libuv, and costs memory */
    info.retry_and_idle_policy = &no_validity;
    info.vhost_name = "mcp";
    info.pcontext = &hub->context; /* becomes NULL when all of it is gone */
    hub->context = lws_create_context(&info);
    hub->vhost = hub->context ? lws_create_vhost(hub->context, &info) : NULL;
    if (!hub->vhost) {
        if (hub->context)
            destroy_context(hub);
        fl_ws_hub_unref(hub);
        return fl_err_set(err, FL_UNAVAILABLE,
                          "libwebsockets could not start on libuv (is its libuv part installed?)");
    }
    *ret = hub;
    return FL_OK;
}

size_t fl_ws_hub_count(const struct fl_ws_hub *hub)
{
    return hub->count;
}

void fl_ws_hub_close_all(struct fl_ws_hub *hub)
{
    FL_LIST_FOREACH_SAFE (link, &hub->all)
        fl_ws_close(FL_CONTAINER(link, struct fl_ws, link), LWS_CLOSE_STATUS_GOINGAWAY,
                    "the server is stopping");
}

void fl_ws_hub_free(struct fl_ws_hub **ptr)
{
    struct fl_ws_hub *hub = *ptr;
    *ptr = NULL;
    if (!hub)
        return;
    FL_ASSERT(!hub->is_in_lws);
    FL_LIST_FOREACH_SAFE (link, &hub->all)
        fl_ws_break(FL_CONTAINER(link, struct fl_ws, link));
    destroy_context(hub);
    fl_ws_hub_unref(hub);
}

/* ---- for ws.c ---- */
bool fl_ws_lws_adopt(struct fl_ws *ws, int fd)
{
    lws_adopt_desc_t info = { 0 };
    info.vh = ws->hub->vhost;
    info.type = (lws_adoption_type)(LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP);
    info.fd.sockfd = fd;
    info.opaque = ws;
    ws->wsi = lws_adopt_descriptor_vhost_via_info(&info);
    return ws->wsi != NULL;
}

static void serve(struct fl_ws *ws, short events)
{
    struct fl_ws_hub *hub = ws->hub;
    struct lws_pollfd poll = { .fd = ws->far, .events = events, .revents = events };
    FL_ASSERT(!hub->is_in_lws);
    hub->is_in_lws = true;
    lws_service_fd(hub->context, &poll);
    hub->is_in_lws = false;
}

void fl_ws_lws_read(struct fl_ws *ws)
{
    serve(ws, LWS_POLLIN);
}

void fl_ws_lws_write(struct fl_ws *ws)
{
    serve(ws, LWS_POLLOUT);
}

void fl_ws_lws_kill(struct fl_ws *ws)
{
    FL_ASSERT(!ws->hub->is_in_lws);
    lws_set_opaque_user_data(ws->wsi, NULL);
    lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    ws->wsi = NULL;
}
