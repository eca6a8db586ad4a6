/* WebSocket connections (RFC 6455), subprotocol "mcp", one JSON-RPC message a text message. The
 * HTTP front checks and hands over; libwebsockets does the handshake, the frames that come in,
 * pongs and the closing handshake. See README.md for the way of the bytes. Loop thread only. */
#ifndef FLOPINIO_IO_WS_H
#define FLOPINIO_IO_WS_H

#include "runtime/io/http.h"
#include "runtime/io/loop.h"

struct fl_ws_limits {
    size_t message_bytes;     /* over: closed with 1009 before it is read */
    size_t write_queue_bytes; /* over: closed with 1013 */
    uint32_t ping_ms;         /* how often an idle peer is asked; two without any byte: dropped */
    uint32_t close_ms;        /* how long the peer may take to answer a close */
    uint32_t write_stall_ms;  /* the peer took no byte of what is queued for so long: dropped */
};
/* 4 MiB, 1 MiB, 25 s, 3 s, 60 s. */
extern const struct fl_ws_limits fl_ws_limits_default;

struct fl_ws;
struct fl_ws_hub; /* all WebSockets of a loop, with the libwebsockets context */

struct fl_ws_callbacks {
    /* A whole text message, valid UTF-8; `text` is borrowed for the call. */
    void (*on_message)(struct fl_ws *ws, struct fl_str text);
    void (*on_drained)(struct fl_ws *ws); /* may be NULL; all that was queued has left */
    /* The last call; `ws` dies with it. `code` as RFC 6455 7.1.5 (1005 none given, 1006 lost). */
    void (*on_close)(struct fl_ws *ws, uint16_t code);
};

enum fl_code fl_ws_hub_new(struct fl_loop *loop, const struct fl_ws_limits *limits,
                           struct fl_ws_hub **ret, struct fl_err *err) FL_MUST_CHECK;
/* Says 1001 (going away) to every connection; they end one by one. */
void fl_ws_hub_close_all(struct fl_ws_hub *hub);
/* Breaks what is still open (on_close 1006) and gives libwebsockets back. From the loop, not from
 * inside a callback of a WebSocket. */
void fl_ws_hub_free(struct fl_ws_hub **hub);
size_t fl_ws_hub_count(const struct fl_ws_hub *hub);

/* Answers 101 and takes the connection over: the exchange ends (on_released), `*ret` lives until
 * on_close. Any time before a response, for a genuine upgrade that offers "mcp". Otherwise the
 * request is answered here with 400, 426 or 503 and the code says why. `user` may be NULL. */
enum fl_code fl_ws_upgrade(struct fl_ws_hub *hub, struct fl_http_exchange *ex,
                           const struct fl_ws_callbacks *callbacks, void *user, struct fl_ws **ret,
                           struct fl_err *err) FL_MUST_CHECK;
void *fl_ws_user(const struct fl_ws *ws);
void fl_ws_set_user(struct fl_ws *ws, void *user);
const struct fl_http_peer *fl_ws_peer(const struct fl_ws *ws);

/* Sends one text message, written at once when nothing is queued. FL_CLOSED after a close;
 * FL_TOO_MANY when the queue is over its limit (the connection is then closing with 1013). */
enum fl_code fl_ws_send(struct fl_ws *ws, struct fl_str text) FL_MUST_CHECK;
size_t fl_ws_queued(const struct fl_ws *ws);
/* Begins the closing handshake; on_close follows. `reason` is at most 123 bytes of UTF-8 or NULL.
 * Harmless when closing already. */
void fl_ws_close(struct fl_ws *ws, uint16_t code, const char *reason);
/* Back-pressure: no further message is read or delivered while paused; pings rest meanwhile, as
 * their answers could not be read. */
void fl_ws_pause(struct fl_ws *ws);
void fl_ws_resume(struct fl_ws *ws);

#endif
