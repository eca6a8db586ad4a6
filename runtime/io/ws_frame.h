/* WebSocket frames without I/O (RFC 6455 section 5): a guard that looks at the headers of what the
 * peer sends, before libwebsockets reads it, and the header of what we send. The guard exists
 * because libwebsockets 4.1.6 takes unmasked frames and lengths that are longer than needed, and
 * because a message over the limit must not be read at all. Any thread; does not allocate. */
#ifndef FLOPINIO_IO_WS_FRAME_H
#define FLOPINIO_IO_WS_FRAME_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

enum fl_ws_opcode {
    FL_WS_CONTINUATION = 0,
    FL_WS_TEXT = 1,
    FL_WS_BINARY = 2,
    FL_WS_CLOSE = 8,
    FL_WS_PING = 9,
    FL_WS_PONG = 10
};

struct fl_ws_guard {
    uint64_t max_message; /* bytes of all fragments together */
    uint64_t message;     /* of this message so far */
    uint64_t left;        /* payload of this frame that has not come */
    uint64_t length;      /* while it is read */
    uint8_t state, wants; /* wants: further bytes of the length or the mask */
    uint8_t opcode;
    bool is_final;
    bool is_in_message; /* a fragment came and the last one did not */
    bool is_long;       /* the length has eight bytes */
    bool has_pinged;    /* the last look ended behind a Ping */
    bool has_closed;    /* a whole Close frame came: nothing counts behind it */
};

void fl_ws_guard_init(struct fl_ws_guard *guard, uint64_t max_message);
/* Looks at n bytes as they come. Returns 0, or the code to close with (1002, 1003, 1009). *ret_used
 * bytes may be passed on: up to the end of a message, a Ping or a Close (call again with the rest),
 * never the byte that breaks a rule. */
uint16_t fl_ws_guard_look(struct fl_ws_guard *guard, const uint8_t *p, size_t n, size_t *ret_used);

/* True between two messages: no byte of the next frame was seen. */
bool fl_ws_guard_is_between(const struct fl_ws_guard *guard);

/* If the n bytes that the guard has just passed are one whole text frame: unmasks it in place and
 * returns true with the text. */
bool fl_ws_whole_text(uint8_t *p, size_t n, struct fl_str *ret_text);
/* If they are one whole Pong. */
bool fl_ws_is_whole_pong(const uint8_t *p, size_t n);

/* ---- as a client ---- */
struct fl_ws_frame {
    unsigned opcode;
    bool is_final;
    struct fl_str payload; /* in what was read */
    size_t size;           /* with its header */
};
/* The first frame of what a server sent, of at most max_payload bytes. False: it is not there whole
 * yet, or (*ret_how) breaks the protocol. */
bool fl_ws_frame_take(struct fl_str in, uint64_t max_payload, struct fl_ws_frame *ret,
                      const char **ret_how);
/* Appends a whole frame as clients send it, masked (RFC 6455 5.3). */
void fl_ws_frame_put(struct fl_buf *out, enum fl_ws_opcode opcode, struct fl_str payload);

#define FL_WS_HEADER_MAX 10
/* The header of an unmasked, unfragmented frame; returns its bytes. */
size_t fl_ws_header(enum fl_ws_opcode opcode, uint64_t length, uint8_t out[FL_WS_HEADER_MAX]);

#endif
