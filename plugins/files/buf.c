/* The growing buffer and the two ways in which a name or a text is written into it. Any thread. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

void buf_fini(struct buf *buf)
{
    free(buf->p);
    *buf = (struct buf){ .max = buf->max };
}

bool buf_reserve(struct buf *buf, size_t n)
{
    size_t need, cap = buf->cap ? buf->cap : 256;
    if (buf->is_failed)
        return false;
    if (__builtin_add_overflow(buf->n, n, &need) || need >= (size_t)-1 / 4) {
        buf->is_failed = true;
        return false;
    }
    if (buf->max && need > buf->max) {
        buf->is_failed = buf->is_over = true;
        return false;
    }
    if (need < buf->cap)
        return true;
    while (cap <= need)
        cap *= 2;
    char *p = realloc(buf->p, cap);
    if (!p) {
        buf->is_failed = true;
        return false;
    }
    buf->p = p;
    buf->cap = cap;
    return true;
}

void buf_put(struct buf *buf, const void *bytes, size_t n)
{
    if (!buf_reserve(buf, n))
        return;
    if (n)
        memcpy(buf->p + buf->n, bytes, n);
    buf->n += n;
    buf->p[buf->n] = 0;
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        buf->is_failed = true;
    else if (buf_reserve(buf, (size_t)n + 1)) {
        vsnprintf(buf->p + buf->n, (size_t)n + 1, fmt, again);
        buf->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void buf_json(struct buf *buf, const char *bytes, size_t n)
{
    size_t from = 0;
    buf_puts(buf, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(buf, bytes + from, i - from);
        if (c == '"' || c == '\\')
            buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            buf_puts(buf, "\\n");
        else if (c == '\t')
            buf_puts(buf, "\\t");
        else
            buf_printf(buf, "\\u%04x", c);
        from = i + 1;
    }
    buf_put(buf, bytes + from, n - from);
    buf_puts(buf, "\"");
}

void buf_name(struct buf *buf, const char *name, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)name[i];
        size_t width = utf8_width(name + i, n - i);
        if (width == 0 || c < 0x20 || c == 0x7f || c == '\\') {
            buf_printf(buf, "\\x%02x", c);
            i++;
        } else {
            buf_put(buf, name + i, width);
            i += width;
        }
    }
}
