/* Shared between ws.c (connections) and ws_hub.c (libwebsockets). */
#ifndef FLOPINIO_IO_WS_PRIV_H
#define FLOPINIO_IO_WS_PRIV_H

#include "runtime/io/stream.h"
#include "runtime/io/ws.h"
#include "runtime/io/ws_frame.h"

struct lws;
struct lws_context;
struct lws_vhost;

struct fl_ws_hub {
    struct fl_loop *loop;
    struct fl_ws_limits limits;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct fl_list all; /* fl_ws.link; open ones */
    size_t count;       /* of `all` */
    size_t refs;        /* fl_ws that are not freed yet */
    bool is_in_lws;     /* libwebsockets is on the stack: it must not be entered again */
    uv_idle_t ending;   /* after fl_ws_hub_free: watches its handles close */
    bool has_handles;
};

#define FL_WS_MAGIC       0x77730a01u
/* What libwebsockets reads at once, and so what it is given; it keeps a buffer of this size for
 * each connection. */
#define FL_WS_PIECE_BYTES 2048

struct fl_ws {
    uint32_t magic;
    struct fl_ws_hub *hub;
    const struct fl_ws_callbacks *callbacks;
    void *user;
    struct fl_list link;
    struct fl_http_peer peer;
    struct fl_stream *stream; /* NULL until the front hands it over, and when it is closed */
    struct fl_buf early;      /* what is to be sent before there is a stream: the 101 first */
    struct lws *wsi;          /* NULL when libwebsockets has let go */
    int pair, far;            /* our end of the pair, and the one that libwebsockets has */
    uv_poll_t poll;           /* of `pair` */
    struct fl_ws_guard guard;
    uint16_t guard_code;   /* why the guard stopped; 0: it did not */
    struct fl_buf in;      /* read, not looked at: while paused */
    struct fl_buf message; /* fragments of the message that is coming */
    struct fl_timer timer; /* the next ping, or the end of waiting for a Close */
    struct fl_post post;
    unsigned unanswered; /* pings since anything came */
    uint16_t code;       /* for on_close */
    bool is_established; /* libwebsockets has answered 101 */
    bool is_paused;
    bool is_closing;    /* a Close was sent or will be: no further message in or out */
    bool is_close_sent; /* by us; the answer to the peer's is libwebsockets' */
    bool has_heard;     /* something came since the last ping */
    bool is_over;       /* on_close was called */
    bool is_take_owed;  /* the front still has the stream, and our pointer */
    bool is_poll_open;
};

/* ---- ws.c, called by ws_hub.c from inside libwebsockets ---- */
/* A piece of a message's payload. */
void fl_ws_on_piece(struct fl_ws *ws, struct fl_str piece, bool is_last);
/* The peer sent a Close: true lets libwebsockets answer it, false: it must go without a word. */
bool fl_ws_on_peer_close(struct fl_ws *ws, struct fl_str payload);
/* libwebsockets has let go. */
void fl_ws_on_lws_closed(struct fl_ws *ws);
/* From the loop: the end, without a word to the peer. */
void fl_ws_break(struct fl_ws *ws);

/* ---- ws_request.c ---- */
/* FL_OK with the key, or the request is answered already. */
enum fl_code fl_ws_check_request(struct fl_http_exchange *ex, struct fl_str *ret_key,
                                 struct fl_err *err) FL_MUST_CHECK;
/* Answers the request with the code's status; returns the code, or FL_CLOSED. */
enum fl_code fl_ws_refuse(struct fl_http_exchange *ex, enum fl_code code, const char *text,
                          struct fl_err *err);

/* ---- ws_hub.c, called by ws.c from the loop ---- */
/* Gives `fd` (taken, in any case) to libwebsockets as a new connection of `ws`. */
bool fl_ws_lws_adopt(struct fl_ws *ws, int fd);
/* Lets libwebsockets read what is in the pair. */
void fl_ws_lws_read(struct fl_ws *ws);
/* Lets it write what it has to say (a pong, the answer to a Close). */
void fl_ws_lws_write(struct fl_ws *ws);
/* Makes it let go now, without a word. */
void fl_ws_lws_kill(struct fl_ws *ws);
void fl_ws_hub_unref(struct fl_ws_hub *hub);

#endif
