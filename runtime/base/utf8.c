/* UTF-8 decoding and encoding. */
#include "flopinio/base/utf8.h"

#include <stdio.h>
#include <string.h>

int32_t fl_utf8_next(struct fl_str s, size_t *pos)
{
    size_t at = *pos;
    if (at >= s.n)
        return -1;
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t len = fl_utf8_len(s.p + at, s.n - at);
    *pos = at + (len ? len : 1);
    switch (len) {
    case 1: return p[0];
    case 2: return (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3: return (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4: return (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    default: return -2;
    }
}

/* Most texts are ASCII from end to end: 32 bytes of it at a time. */
static size_t skip_ascii(struct fl_str s)
{
    uint64_t four[4];
    size_t at = 0;
    for (; s.n - at >= sizeof four; at += sizeof four) {
        memcpy(four, s.p + at, sizeof four);
        if ((four[0] | four[1] | four[2] | four[3]) & 0x8080808080808080u)
            break;
    }
    return at;
}

bool fl_utf8_is_valid(struct fl_str s)
{
    for (size_t at = skip_ascii(s), len; at < s.n; at += len) {
        uint64_t eight;
        if (s.n - at >= sizeof eight) { /* what is near the end, or between others */
            memcpy(&eight, s.p + at, len = sizeof eight);
            if (!(eight & 0x8080808080808080u))
                continue;
        }
        len = fl_utf8_len(s.p + at, s.n - at);
        if (len == 0)
            return false;
    }
    return true;
}

size_t fl_utf8_encode(uint32_t cp, char b[4])
{
    FL_ASSERT(cp <= 0x10ffff && !(cp >= 0xd800 && cp <= 0xdfff));
    size_t n = 0;
    if (cp < 0x80) {
        b[n++] = (char)cp;
    } else if (cp < 0x800) {
        b[n++] = (char)(0xc0 | cp >> 6);
        b[n++] = (char)(0x80 | (cp & 0x3f));
    } else if (cp < 0x10000) {
        b[n++] = (char)(0xe0 | cp >> 12);
        b[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        b[n++] = (char)(0x80 | (cp & 0x3f));
    } else {
        b[n++] = (char)(0xf0 | cp >> 18);
        b[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        b[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        b[n++] = (char)(0x80 | (cp & 0x3f));
    }
    return n;
}

void fl_utf8_put(struct fl_buf *out, uint32_t cp)
{
    char b[4];
    fl_buf_put(out, b, fl_utf8_encode(cp, b));
}

size_t fl_utf8_count(struct fl_str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++)
        count += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return count;
}

size_t fl_utf8_cut(struct fl_str s, size_t n)
{
    if (n >= s.n)
        n = s.n;
    size_t at = n;
    /* Step back over continuation bytes to the last lead byte and see whether it is whole. */
    while (at > 0 && ((unsigned char)s.p[at - 1] & 0xc0) == 0x80)
        at--;
    if (at == 0)
        return 0;
    unsigned char lead = (unsigned char)s.p[at - 1];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return at - 1 + len <= n ? at - 1 + len : at - 1;
}

void fl_utf8_vformat(char *out, size_t size, const char *fmt, va_list ap)
{
    FL_ASSERT(size > 0);
    int n = vsnprintf(out, size, fmt, ap);
    if (n < 0)
        out[0] = 0;
    if (n >= (int)size)
        out[fl_utf8_cut((struct fl_str){ out, size - 1 }, size - 1)] = 0;
    size_t end = strlen(out);
    for (size_t at = 0; at < end;) {
        size_t len = fl_utf8_len(out + at, end - at);
        if (!len)
            out[at] = '?';
        at += len ? len : 1;
    }
}

void fl_utf8_format(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fl_utf8_vformat(out, size, fmt, ap);
    va_end(ap);
}
