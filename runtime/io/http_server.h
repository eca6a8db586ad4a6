/* A listener of the HTTP front: accepting, limits, draining. The endpoint's side of a request is
 * in http.h. The supervisor binds (fl_listen_*), workers create servers on the inherited sockets.
 * Loop thread only. */
#ifndef FLOPINIO_IO_HTTP_SERVER_H
#define FLOPINIO_IO_HTTP_SERVER_H

#include "runtime/io/http.h"
#include "runtime/io/loop.h"
#include "runtime/io/tls.h"

struct fl_http_limits {
    uint32_t head_bytes;       /* request line and headers together; over: 431 */
    uint32_t header_count;     /* at most 128; over: 431 */
    uint32_t target_bytes;     /* over: 414 */
    uint64_t body_bytes;       /* over: 413 */
    uint32_t head_ms;          /* from the first byte (or the connection) to the end of the head */
    uint32_t body_bytes_per_s; /* averaged over body_window_ms; slower: 408 */
    uint32_t body_window_ms;
    uint32_t idle_ms;        /* between requests */
    uint32_t write_stall_ms; /* the peer took no byte of what is queued for so long: closed */
    uint32_t linger_ms;      /* for the peer to take the last answer after we closed */
    size_t write_queue_bytes;
    uint32_t connections; /* over: the longest idle one goes, else new ones wait in the backlog */
};
/* 16 KiB, 100, 8 KiB, 4 MiB, 10 s, 1 KiB/s over 10 s, 60 s, 60 s, 3 s, 1 MiB, 20,000. */
extern const struct fl_http_limits fl_http_limits_default;

struct fl_http_server_config {
    struct fl_loop *loop;
    const struct fl_http_callbacks *callbacks; /* borrowed, as long as the server */
    void *user;
    struct fl_tls *tls; /* borrowed; NULL: in clear */
    struct fl_http_limits limits;
    const char *name; /* for logs, constant */
};

struct fl_http_server;

/* Serves on `fd`, a bound stream socket (TCP or unix), and owns it from success on. */
enum fl_code fl_http_server_new(const struct fl_http_server_config *config, int fd,
                                struct fl_http_server **ret, struct fl_err *err) FL_MUST_CHECK;
/* Closes the listening socket of this process; connections go on. */
void fl_http_server_stop_accepting(struct fl_http_server *server);
/* Stops accepting, lets running exchanges end with `Connection: close`, and after deadline_ms
 * breaks what is left (on_gone). A connection without a request has a second: what its client has
 * sent by now, not knowing, is answered and not lost. Then calls drained(server), once. */
void fl_http_server_drain(struct fl_http_server *server, int64_t deadline_ms,
                          void (*drained)(struct fl_http_server *server));
/* Draining, and no connection is left (upgraded ones are not ours any more). */
bool fl_http_server_is_drained(const struct fl_http_server *server);
/* Breaks everything (on_gone, on_released from the loop, not from inside) and frees the server
 * when the last handle is closed. Connections given to ws.h live on in their hub. */
void fl_http_server_free(struct fl_http_server **server);

struct fl_http_server_counts {
    uint64_t accepted;     /* connections since the start */
    uint64_t refused;      /* closed at once for want of descriptors */
    uint64_t requests;     /* valid heads */
    uint64_t bad_requests; /* answered by the front itself with 4xx or 5xx */
    uint32_t open;         /* connections now, upgraded ones too */
    uint32_t idle;         /* of them between two requests */
};
struct fl_http_server_counts fl_http_server_counts(const struct fl_http_server *server);
/* The port of a TCP listener, 0 for a unix socket. */
uint16_t fl_http_server_port(const struct fl_http_server *server);

/* ---- binding (http_listen.c) ---- */
/* Binds and listens on a numeric address; port 0 lets the kernel choose. No SO_REUSEPORT. */
enum fl_code fl_listen_tcp(const char *address, uint16_t port, int *ret_fd,
                           struct fl_err *err) FL_MUST_CHECK;
/* Binds and listens on a unix socket of that mode (0600, 0660). A socket that nobody serves any
 * more is replaced; one that is served gives FL_CONFLICT. */
enum fl_code fl_listen_unix(const char *path, mode_t mode, int *ret_fd,
                            struct fl_err *err) FL_MUST_CHECK;

/* ---- trusted proxies (http_address.c); any thread ---- */
struct fl_cidr {
    uint8_t net[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;    /* 0..128 */
};
/* "10.0.0.0/8", "fd00::/8", "127.0.0.1". Bits set outside the mask are refused. */
enum fl_code fl_cidr_parse(struct fl_str text, struct fl_cidr *ret,
                           struct fl_err *err) FL_MUST_CHECK;
bool fl_cidr_has(const struct fl_cidr *cidr, const char *address);

struct fl_http_proxies {
    const struct fl_cidr *nets;
    size_t count;
    bool trusts_unix; /* peers on a unix socket are proxies */
};
struct fl_http_client {
    char address[FL_ADDRESS_TEXT];
    bool is_proxied;   /* the socket's peer is a trusted proxy */
    bool is_forwarded; /* taken from X-Forwarded-For, not from the socket */
    bool is_https;     /* TLS here, or a trusted proxy says X-Forwarded-Proto: https */
};
/* Who really asks. X-Forwarded-* is read only when the socket's peer is a trusted proxy: from
 * right to left over all instances, past trusted hops (at most 20), to the first that is not
 * trusted; a hop that is not an address ends the walk at the hop before. FL_BAD_REQUEST when a
 * trusted proxy sends no X-Forwarded-For, or names the protocol twice. */
enum fl_code fl_http_client_address(const struct fl_http_exchange *ex,
                                    const struct fl_http_proxies *proxies,
                                    struct fl_http_client *ret, struct fl_err *err) FL_MUST_CHECK;

#endif
