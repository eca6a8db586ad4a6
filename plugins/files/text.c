/* UTF-8, names, patterns, media types, base64. Pure functions; any thread. */
#include "text.h"

#include <stdio.h>
#include <string.h>

size_t utf8_width(const char *p, size_t n)
{
    const unsigned char *b = (const unsigned char *)p;
    size_t width;
    if (n == 0)
        return 0;
    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 0;
    width = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (n < width)
        return 0;
    for (size_t i = 1; i < width; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    /* over-long forms, surrogates, and what lies above U+10FFFF */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return width;
}

bool utf8_is_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t width = utf8_width(p + i, n - i);
        if (width == 0)
            return false;
        i += width;
    }
    return true;
}

bool text_is_text(const char *p, size_t n)
{
    return n == 0 || (!memchr(p, 0, n) && utf8_is_valid(p, n));
}

size_t text_head(const char *p, size_t from, size_t to)
{
    size_t at = from;
    while (at < to && at - from < 3 && ((unsigned char)p[at] & 0xc0) == 0x80)
        at++;
    return at;
}

size_t text_tail(const char *p, size_t from, size_t to)
{
    size_t at = to;
    while (at > from && to - at < 3 && ((unsigned char)p[at - 1] & 0xc0) == 0x80)
        at--;
    /* p[at - 1] is the last byte that can start a character */
    if (at > from && (unsigned char)p[at - 1] >= 0xc0 && utf8_width(p + at - 1, to - at + 1) == 0)
        return at - 1;
    return to;
}

const char *text_name(const char *name, char ret[TEXT_NAME_BYTES])
{
    struct buf b = { .max = TEXT_NAME_BYTES - 64 };
    size_t n = strlen(name);
    if (n <= 120) {
        buf_name(&b, name, n);
    } else {
        size_t tail = text_head(name, n - 40, n);
        buf_name(&b, name, text_tail(name, 0, 60));
        buf_printf(&b, "...(%zu bytes)...", n);
        buf_name(&b, name + tail, n - tail);
    }
    if (b.is_failed)
        snprintf(ret, TEXT_NAME_BYTES, "(a name of %zu bytes)", strlen(name));
    else
        snprintf(ret, TEXT_NAME_BYTES, "%s", b.p ? b.p : "");
    buf_fini(&b);
    return ret;
}

bool text_glob(const char *pattern, const char *name)
{
    /* On a mismatch only the last `*` has to give way: one byte more, and on from there. */
    const char *star = NULL, *resume = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = name;
        } else if (*pattern == '?') {
            size_t width = utf8_width(name, strnlen(name, 4));
            name += width ? width : 1;
            pattern++;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

const char *text_media_type(const char *p, size_t n, const char **ret_kind)
{
    static const struct {
        const char *head;
        size_t n;
        const char *at8; /* what stands at byte 8 of a RIFF file */
        const char *kind, *mime;
    } types[] = {
        { "\x89PNG\r\n\x1a\n", 8, NULL, "image", "image/png" },
        { "\xff\xd8\xff", 3, NULL, "image", "image/jpeg" },
        { "GIF87a", 6, NULL, "image", "image/gif" },
        { "GIF89a", 6, NULL, "image", "image/gif" },
        { "RIFF", 4, "WEBP", "image", "image/webp" },
        { "RIFF", 4, "WAVE", "audio", "audio/wav" },
        { "ID3", 3, NULL, "audio", "audio/mpeg" },
        { "fLaC", 4, NULL, "audio", "audio/flac" },
        { "OggS", 4, NULL, "audio", "audio/ogg" },
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (n < types[i].n || memcmp(p, types[i].head, types[i].n) != 0)
            continue;
        if (types[i].at8 && (n < 12 || memcmp(p + 8, types[i].at8, 4) != 0))
            continue;
        *ret_kind = types[i].kind;
        return types[i].mime;
    }
    return NULL;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *buf, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    if (n > (size_t)-1 / 4 || !buf_reserve(buf, n / 3 * 4 + 4)) {
        buf->is_failed = true;
        return;
    }
    for (size_t i = 0; i < n; i += 3) {
        unsigned long v = (unsigned long)p[i] << 16;
        if (i + 1 < n)
            v |= (unsigned long)p[i + 1] << 8;
        if (i + 2 < n)
            v |= p[i + 2];
        char four[4] = { base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                         i + 1 < n ? base64_digits[v >> 6 & 63] : '=',
                         i + 2 < n ? base64_digits[v & 63] : '=' };
        buf_put(buf, four, 4);
    }
}

bool base64_decode(struct buf *buf, const char *text, size_t n)
{
    if (n % 4)
        return false;
    for (size_t i = 0; i < n; i += 4) {
        unsigned long v = 0;
        size_t pad = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *digit = text[i + k] ? strchr(base64_digits, text[i + k]) : NULL;
            if (text[i + k] == '=' && i + 4 == n && k >= 2)
                pad++;
            else if (!digit || pad)
                return false;
            v = v << 6 | (digit ? (unsigned long)(digit - base64_digits) : 0);
        }
        if (v & ((1ul << 8 * pad) - 1)) /* bits that no byte takes: a second spelling */
            return false;
        char three[3] = { (char)(v >> 16), (char)(v >> 8), (char)v };
        buf_put(buf, three, 3 - pad);
    }
    return !buf->is_failed;
}
