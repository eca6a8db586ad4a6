/* A listener: accepts by itself (uv_listen would hide the want of descriptors and cannot rest),
 * keeps the connections, and ends in order. */
#include "runtime/io/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/http_priv.h"

enum {
    ACCEPTS_A_TURN = 64, /* then the others get their turn */
    REST_MS = 100,       /* of accepting, when there are no descriptors */
    LOG_MS = 10000
};

const struct fl_http_limits fl_http_limits_default = {
    .head_bytes = 16 * 1024,
    .header_count = 100,
    .target_bytes = 8 * 1024,
    .body_bytes = 4 * 1024 * 1024,
    .head_ms = 10000,
    .body_bytes_per_s = 1024,
    .body_window_ms = 10000,
    .idle_ms = 60000,
    .write_stall_ms = 60000,
    .linger_ms = 3000,
    .write_queue_bytes = 1024 * 1024,
    .connections = 20000,
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

static void on_listen(uv_poll_t *poll, int status, int events);

/* ---- accepting ---- */
/* What shed() gives up. Another thread may have been quicker to take the number again. */
static void hold_reserve(struct fl_http_server *server)
{
    if (server->reserve_fd < 0 && server->listen_fd >= 0)
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_on(struct fl_http_server *server)
{
    hold_reserve(server); /* before what waits takes the last one */
    if (!server->is_poll_open || server->is_accepting || server->listen_fd < 0)
        return;
    server->is_accepting = uv_poll_start(&server->poll, UV_READABLE, on_listen) == 0;
    server->is_full = false;
}

static void accept_off(struct fl_http_server *server)
{
    if (server->is_accepting)
        uv_poll_stop(&server->poll);
    server->is_accepting = false;
}

static void on_again(struct fl_timer *timer)
{
    accept_on(FL_CONTAINER(timer, struct fl_http_server, again));
}

static void rest(struct fl_http_server *server)
{
    accept_off(server);
    fl_loop_timer(server->config.loop, &server->again, REST_MS);
}

static void close_longest_idle(struct fl_http_server *server)
{
    if (!fl_list_is_empty(&server->idle))
        fl_http_conn_close_idle(FL_CONTAINER(server->idle.next, struct fl_http_conn, idle_link));
}

/* The process has no descriptor left. One waiting connection is taken on the reserved one and
 * closed, so that its peer hears of it; the others wait. */
static void shed(struct fl_http_server *server)
{
    int64_t now = fl_mono_ms();
    close_longest_idle(server);
    hold_reserve(server);
    if (server->reserve_fd >= 0) {
        close(server->reserve_fd);
        server->reserve_fd = -1;
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            close(fd);
            server->counts.refused++;
        }
        hold_reserve(server);
    }
    if (server->logged_ms == 0 || now - server->logged_ms >= LOG_MS) {
        FL_LOG(WARN, "http_out_of_descriptors", FL_KS("listener", server->config.name),
               FL_KI("open", server->counts.open),
               FL_KI("refused", server->counts.refused - server->logged_refused));
        server->logged_ms = now;
        server->logged_refused = server->counts.refused;
    }
    rest(server);
}

static void describe_peer(int fd, const union address *address, struct fl_http_peer *peer)
{
    *peer = (struct fl_http_peer){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, peer->address, sizeof peer->address);
        peer->port = ntohs(address->v4.sin_port);
    } else if (address->any.sa_family == AF_INET6) {
        const struct in6_addr *a = &address->v6.sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(a))
            inet_ntop(AF_INET, &a->s6_addr[12], peer->address, sizeof peer->address);
        else
            inet_ntop(AF_INET6, a, peer->address, sizeof peer->address);
        peer->port = ntohs(address->v6.sin6_port);
    } else {
        struct ucred credentials;
        socklen_t n = sizeof credentials;
        memcpy(peer->address, "unix", 5);
        peer->is_unix = true;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &n) == 0) {
            peer->pid = credentials.pid;
            peer->uid = credentials.uid;
            peer->gid = credentials.gid;
        }
    }
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct fl_http_server *server)
{
    union address address = { .any.sa_family = AF_UNSPEC };
    socklen_t n = sizeof address;
    struct fl_http_peer peer;
    int fd = accept4(server->listen_fd, &address.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (server->is_unix)
            address.any.sa_family = AF_UNIX; /* an unnamed peer has no address at all */
        describe_peer(fd, &address, &peer);
        server->counts.accepted++;
        fl_http_conn_start(server, fd, &peer);
        return true;
    }
    switch (errno) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO: return true;
    case EAGAIN: return false;
    case EMFILE:
    case ENFILE: shed(server); return false;
    default: rest(server); return false; /* no buffers, no memory */
    }
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct fl_http_server *server = poll->data;
    FL_UNUSED(status);
    FL_UNUSED(events);
    if (server->counts.open >= server->config.limits.connections) {
        close_longest_idle(server);
        accept_off(server); /* goes on when one is gone; the next to become idle goes */
        server->is_full = true;
        return;
    }
    for (int i = 0; i < ACCEPTS_A_TURN && server->is_accepting; i++) {
        if (server->counts.open >= server->config.limits.connections || !accept_one(server))
            return;
    }
}

/* ---- beginning ---- */
static enum fl_code look_at_socket(struct fl_http_server *server, int fd, struct fl_err *err)
{
    union address address = { .any.sa_family = AF_UNSPEC };
    socklen_t n = sizeof address;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || getsockname(fd, &address.any, &n) != 0 || listen(fd, 4096) != 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return fl_err_set(err, FL_IO, "could not listen on descriptor %d: %s", fd, strerror(errno));
    server->is_unix = address.any.sa_family == AF_UNIX;
    if (address.any.sa_family == AF_INET)
        server->port = ntohs(address.v4.sin_port);
    else if (address.any.sa_family == AF_INET6)
        server->port = ntohs(address.v6.sin6_port);
    return FL_OK;
}

static void on_post(struct fl_post *post);
static void on_drain_deadline(struct fl_timer *timer);

enum fl_code fl_http_server_new(const struct fl_http_server_config *config, int fd,
                                struct fl_http_server **ret, struct fl_err *err)
{
    struct fl_http_server *server = fl_calloc(1, sizeof *server);
    if (!server)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = look_at_socket(server, fd, err);
    if (code == FL_OK) {
        int rc = uv_poll_init(&config->loop->uv, &server->poll, fd);
        if (rc)
            code = fl_err_set(err, FL_IO, "could not watch descriptor %d: %s", fd, uv_strerror(rc));
    }
    if (code != FL_OK) {
        fl_free(server);
        return code;
    }
    server->config = *config;
    server->env.loop = config->loop;
    server->env.tls = config->tls;
    server->env.write_stall_ms = config->limits.write_stall_ms;
    server->env.linger_ms = config->limits.linger_ms;
    fl_list_init(&server->env.closing);
    server->listen_fd = fd;
    server->reserve_fd = -1;
    server->poll.data = server;
    server->is_poll_open = true;
    server->post.run = on_post;
    fl_list_init(&server->conns);
    fl_list_init(&server->idle);
    fl_timer_init(&server->again, on_again);
    fl_timer_init(&server->drain_timer, on_drain_deadline);
    accept_on(server);
    *ret = server;
    return FL_OK;
}

/* ---- ending ---- */
static void destroy_if_over(struct fl_http_server *server)
{
    if (!server->is_freed || server->is_poll_open || server->counts.open ||
        !fl_list_is_empty(&server->conns) || fl_list_is_linked(&server->post.link))
        return;
    fl_buf_fini(&server->reply);
    fl_free(server);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct fl_http_server *server = handle->data;
    server->is_poll_open = false;
    destroy_if_over(server);
}

void fl_http_server_stop_accepting(struct fl_http_server *server)
{
    if (server->listen_fd < 0)
        return;
    accept_off(server);
    fl_loop_timer_cancel(server->config.loop, &server->again);
    uv_close((uv_handle_t *)&server->poll, on_poll_closed);
    close(server->listen_fd); /* libuv has forgotten it: uv_close of a poll handle does at once */
    server->listen_fd = -1;
    if (server->reserve_fd >= 0)
        close(server->reserve_fd);
    server->reserve_fd = -1;
}

static void break_all(struct fl_http_server *server)
{
    FL_LIST_FOREACH_SAFE (link, &server->conns)
        fl_http_conn_break(FL_CONTAINER(link, struct fl_http_conn, link));
}

static void on_drain_deadline(struct fl_timer *timer)
{
    break_all(FL_CONTAINER(timer, struct fl_http_server, drain_timer));
}

static void on_post(struct fl_post *post)
{
    struct fl_http_server *server = FL_CONTAINER(post, struct fl_http_server, post);
    if (server->is_freed) {
        break_all(server);
        fl_stream_abort_closing(&server->env);
        destroy_if_over(server);
        return;
    }
    void (*drained)(struct fl_http_server *) = server->drained;
    server->drained = NULL;
    fl_loop_timer_cancel(server->config.loop, &server->drain_timer);
    if (drained)
        drained(server);
}

void fl_http_server_drain(struct fl_http_server *server, int64_t deadline_ms,
                          void (*drained)(struct fl_http_server *server))
{
    FL_ASSERT(!server->is_draining && !server->is_freed);
    fl_http_server_stop_accepting(server);
    server->is_draining = true;
    server->drained = drained;
    fl_loop_timer(server->config.loop, &server->drain_timer, deadline_ms);
    FL_LIST_FOREACH_SAFE (link, &server->conns) {
        struct fl_http_conn *conn = FL_CONTAINER(link, struct fl_http_conn, link);
        if (!conn->ex && conn->in.n == 0)
            fl_http_conn_last_chance(conn);
    }
    if (fl_list_is_empty(&server->conns))
        fl_loop_post(server->config.loop, &server->post);
}

bool fl_http_server_is_drained(const struct fl_http_server *server)
{
    return server->is_draining && fl_list_is_empty(&server->conns);
}

void fl_http_server_conn_gone(struct fl_http_server *server)
{
    if (server->is_draining && fl_list_is_empty(&server->conns))
        fl_loop_post(server->config.loop, &server->post);
    destroy_if_over(server);
}

void fl_http_server_stream_gone(struct fl_stream *stream)
{
    struct fl_http_server *server = stream->listener;
    server->counts.open--;
    if (!fl_timer_is_armed(&server->again))
        accept_on(server);
    destroy_if_over(server);
}

void fl_http_server_free(struct fl_http_server **ptr)
{
    struct fl_http_server *server = *ptr;
    *ptr = NULL;
    if (!server)
        return;
    fl_http_server_stop_accepting(server);
    fl_loop_timer_cancel(server->config.loop, &server->drain_timer);
    server->is_freed = true;
    fl_loop_post(server->config.loop, &server->post);
}

struct fl_http_server_counts fl_http_server_counts(const struct fl_http_server *server)
{
    struct fl_http_server_counts counts = server->counts;
    counts.idle = 0;
    FL_LIST_FOREACH (link, &server->idle)
        counts.idle++;
    return counts;
}

uint16_t fl_http_server_port(const struct fl_http_server *server)
{
    return server->port;
}
