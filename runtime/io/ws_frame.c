/* WebSocket frame headers. */
#include "runtime/io/ws_frame.h"

#include "flopinio/base/id.h"

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
    g->has_pinged = g->opcode == FL_WS_PING;
    return g->opcode >= FL_WS_CLOSE || g->is_final;
}

uint16_t fl_ws_guard_look(struct fl_ws_guard *g, const uint8_t *p, size_t n, size_t *ret_used)
{
    size_t i = 0;
    uint16_t code = 0;
    FL_ASSERT(!g->has_closed);
    g->has_pinged = false;
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

bool fl_ws_guard_is_between(const struct fl_ws_guard *g)
{
    return g->state == S_FIRST && !g->is_in_message;
}

static void unmask(uint8_t *p, size_t n, const uint8_t key[4])
{
    uint64_t word, wide;
    size_t i = 0;
    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= wide;
        memcpy(p + i, &word, sizeof word);
    }
    for (; i < n; i++)
        p[i] ^= key[i & 3];
}

bool fl_ws_whole_text(uint8_t *p, size_t n, struct fl_str *ret_text)
{
    if (n < 6 || p[0] != (0x80 | FL_WS_TEXT))
        return false;
    size_t length = p[1] & 0x7f, header = 6;
    if (length == 126) {
        length = (size_t)p[2] << 8 | p[3];
        header = 8;
    }
    /* Longer ones do not come whole in one read. */
    if (length == 127 || n != header + length)
        return false;
    unmask(p + header, length, p + header - 4);
    *ret_text = (struct fl_str){ (const char *)p + header, length };
    return true;
}

bool fl_ws_is_whole_pong(const uint8_t *p, size_t n)
{
    return n >= 6 && p[0] == (0x80 | FL_WS_PONG) && n == 6 + (size_t)(p[1] & 0x7f);
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

/* ---------------------------------------------------------------- as a client */
bool fl_ws_frame_take(struct fl_str in, uint64_t max_payload, struct fl_ws_frame *f,
                      const char **ret_how)
{
    enum { CONTROL_MAX = 125 };
    const uint8_t *p = (const uint8_t *)in.p;
    if (in.n < 2)
        return false;
    uint64_t length = p[1] & 0x7f;
    size_t header = length == 126 ? 4 : length == 127 ? 10 : 2;
    f->opcode = p[0] & 0x0f;
    f->is_final = p[0] & 0x80;
    if ((p[0] & 0x70) || (p[1] & 0x80)) {
        *ret_how = p[0] & 0x70 ? "a reserved bit is set" : "it is masked";
        return false;
    }
    if (in.n < header)
        return false;
    if (header > 2) {
        length = 0;
        for (size_t i = 2; i < header; i++)
            length = length << 8 | p[i];
    }
    if (f->opcode >= FL_WS_CLOSE && (!f->is_final || length > CONTROL_MAX)) {
        *ret_how = "a control frame is too long or in pieces";
        return false;
    }
    if (length > max_payload) {
        *ret_how = "it is too large";
        return false;
    }
    if (in.n - header < length)
        return false;
    f->payload = (struct fl_str){ in.p + header, (size_t)length };
    f->size = header + (size_t)length;
    return true;
}

void fl_ws_frame_put(struct fl_buf *out, enum fl_ws_opcode opcode, struct fl_str payload)
{
    uint8_t header[FL_WS_HEADER_MAX + 4], *mask;
    size_t n = fl_ws_header(opcode, payload.n, header);
    header[1] |= 0x80;
    mask = header + n;
    fl_random(mask, 4);
    fl_buf_put(out, header, n + 4);
    size_t at = out->n;
    fl_buf_str(out, payload);
    for (size_t i = 0; !out->is_failed && i < payload.n; i++)
        out->p[at + i] = (char)(out->p[at + i] ^ mask[i & 3]);
}
