/* UTF-8 (RFC 3629: no surrogates, no over-long forms, at most U+10FFFF). Any thread. */
#ifndef FLOPINIO_BASE_UTF8_H
#define FLOPINIO_BASE_UTF8_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* Bytes of the valid sequence at p, of which `left` may be read: 1 to 4; 0 if there is none.
 * Inline: it stands in the loop over every string of every message. */
static inline size_t fl_utf8_len(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (left >= 1 && p[0] < 0x80)
        return 1;
    if (left < 2 || p[0] < 0xc2 || p[0] > 0xf4 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xe0)
        return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (p[0] < 0xf0) { /* not over-long, not a surrogate */
        return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
    }
    if (left < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

bool fl_utf8_is_valid(struct fl_str s);
/* Decodes the code point at *pos and moves *pos behind it; -1 at the end, -2 (and one byte
 * forward) at an invalid sequence. */
int32_t fl_utf8_next(struct fl_str s, size_t *pos);
/* The bytes of a code point (not a surrogate) into out; returns how many, 1 to 4. */
size_t fl_utf8_encode(uint32_t code_point, char out[4]);
void fl_utf8_put(struct fl_buf *out, uint32_t code_point);
/* Code points of a valid string. */
size_t fl_utf8_count(struct fl_str s);
/* The longest prefix of at most n bytes that ends at a code point's end. */
size_t fl_utf8_cut(struct fl_str s, size_t n);
/* vsnprintf into `out`, whose text is always valid UTF-8: what does not fit is cut at a code
 * point's end, and bytes that a precision ("%.60s") or a caller left behind of one become '?'. */
void fl_utf8_vformat(char *out, size_t size, const char *fmt, va_list ap) FL_PRINTF(3, 0);
void fl_utf8_format(char *out, size_t size, const char *fmt, ...) FL_PRINTF(3, 4);

#endif
