/* A WebSocket to the outside, as a client (RFC 6455), for chats that are reached so: over the
 * connections of an http client, with its TLS and its rules about addresses. Texts only. Its
 * address may hold a token and is nowhere logged. Loop thread only. */
#ifndef FLOPINIO_IO_DIAL_H
#define FLOPINIO_IO_DIAL_H

#include "runtime/io/http_client.h"
#include "runtime/io/watch.h"

#define FL_DIAL_MESSAGE_MAX (4u << 20)

struct fl_dial {
    /* ---- inputs; zeroed otherwise ---- */
    struct fl_loop *loop;
    struct fl_http_client *client;
    void (*on_text)(struct fl_dial *dial, struct fl_str text); /* may close, not free */
    /* Once, last, from the loop: `why` is the reason (FL_CANCELLED: fl_dial_close). The memory may
     * go. */
    void (*on_closed)(struct fl_dial *dial, const struct fl_err *why);
    /* ---- private ---- */
    struct fl_op op;
    struct fl_http_call call;
    struct fl_watch watch;
    struct fl_timer timer; /* pings, and ends what is silent */
    struct fl_buf url, host, path, key, in, out, message;
    struct fl_err why;
    int64_t heard_ms;
    struct fl_post post;
    bool is_watched, is_open, is_in_message, is_closing, has_told;
};

/* `url`: wss://..., or ws://... where the client may be local. FL_BAD_PARAMS, FL_NOMEM; then there
 * is no callback. */
enum fl_code fl_dial_start(struct fl_dial *dial, struct fl_str url,
                           struct fl_err *err) FL_MUST_CHECK;
/* Queued if need be; lost when it is closed. */
void fl_dial_send(struct fl_dial *dial, struct fl_str text);
/* on_closed follows, once; also when it was closing already. */
void fl_dial_close(struct fl_dial *dial);

#endif
