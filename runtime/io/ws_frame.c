/* WebSocket frame headers. */
#include "runtime/io/ws_frame.h"

#include "flopinio/base/assert.h"

enum { PROTOCOL_ERROR = 1002, UNSUPPORTED = 1003, TOO_BIG = 1009 };

enum { S_FIRST, S_SECOND, S_LENGTH, S_MASK, S_PAYLOAD };

void fl_ws_guard_init(struct fl_ws_guard *guard, uint64_t max_message)
{
    *guard = (struct fl_ws_guard){ .max_message = max_message };
}

static uint16_t first_byte(struct fl_ws_guard *g, uint8_t byte)
{
    uint8_t opcode = byte & 0x0f;
    bool is_final = byte & 0x80;
    if (byte & 0x70)
        return PROTOCOL_ERROR; /* no extension was agreed on */
    switch (opcode) {
    case FL_WS_TEXT:
    case FL_WS_BINARY:
        if (g->is_in_message)
            return PROTOCOL_ERROR;
        if (opcode == FL_WS_BINARY)
            return UNSUPPORTED;
        g->message = 0;
        break;
    case FL_WS_CONTINUATION:
        if (!g->is_in_message)
            return PROTOCOL_ERROR;
        break;
    case FL_WS_CLOSE:
    case FL_WS_PING:
    case FL_WS_PONG:
        if (!is_final)
            return PROTOCOL_ERROR;
        break;
    default: return PROTOCOL_ERROR;
    }
    if (opcode < FL_WS_CLOSE)
        g->is_in_message = !is_final;
    g->opcode = opcode;
    g->is_final = is_final;
    g->state = S_SECOND;
    return 0;
}

/* The length is known. */
static uint16_t take_length(struct fl_ws_guard *g)
{
    if (g->opcode < FL_WS_CLOSE) {
        if (g->length > g->max_message - g->message)
            return TOO_BIG;
        g->message += g->length;
    }
    g->left = g->length;
    g->state = S_MASK;
    g->wants = 4;
    return 0;
}

static uint16_t second_byte(struct fl_ws_guard *g, uint8_t byte)
{
    uint8_t length = byte & 0x7f;
    if (!(byte & 0x80) || (g->opcode >= FL_WS_CLOSE && length > 125))
        return PROTOCOL_ERROR;
    g->length = 0;
    if (length > 125) {
        g->is_long = length == 127;
        g->wants = g->is_long ? 8 : 2;
        g->state = S_LENGTH;
        return 0;
    }
    g->length = length;
    return take_length(g);
}

static uint16_t length_byte(struct fl_ws_guard *g, uint8_t byte)
{
    if (g->wants == 8 && byte & 0x80)
        return PROTOCOL_ERROR;
    g->length = g->length << 8 | byte;
    if (--g->wants)
        return 0;
    if (g->length < (g->is_long ? 65536 : 126))
        return PROTOCOL_ERROR;
    return take_length(g);
}

/* The frame is whole. True if the looking stops here. */
static bool end_frame(struct fl_ws_guard *g)
{
    g->state = S_FIRST;
    g->has_closed = g->opcode == FL_WS_CLOSE;
    return g->has_closed || (g->opcode < FL_WS_CLOSE && g->is_final);
}

uint16_t fl_ws_guard_look(struct fl_ws_guard *g, const uint8_t *p, size_t n, size_t *ret_used)
{
    size_t i = 0;
    uint16_t code = 0;
    FL_ASSERT(!g->has_closed);
    while (i < n) {
        switch (g->state) {
        case S_FIRST: code = first_byte(g, p[i]); break;
        case S_SECOND: code = second_byte(g, p[i]); break;
        case S_LENGTH: code = length_byte(g, p[i]); break;
        case S_MASK:
            if (--g->wants == 0)
                g->state = S_PAYLOAD;
            break;
        default: { /* S_PAYLOAD, of at least one byte */
            size_t take = g->left < n - i ? (size_t)g->left : n - i;
            g->left -= take;
            i += take - 1;
            break;
        }
        }
        if (code)
            break;
        i++;
        if (g->state == S_PAYLOAD && g->left == 0 && end_frame(g))
            break;
    }
    *ret_used = i;
    return code;
}

size_t fl_ws_header(enum fl_ws_opcode opcode, uint64_t length, uint8_t out[FL_WS_HEADER_MAX])
{
    size_t n = length < 126 ? 0 : length < 65536 ? 2 : 8;
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = n == 0 ? (uint8_t)length : n == 2 ? 126 : 127;
    for (size_t i = 0; i < n; i++)
        out[2 + i] = (uint8_t)(length >> (8 * (n - 1 - i)));
    return 2 + n;
}
