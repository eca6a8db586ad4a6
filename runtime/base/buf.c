/* Growing byte buffer. */
#include "flopinio/base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/mem.h"
#include "scan_priv.h"

void fl_buf_init(struct fl_buf *buf, size_t max_bytes)
{
    *buf = (struct fl_buf){ .max = max_bytes };
}

void fl_buf_fini(struct fl_buf *buf)
{
    fl_free(buf->p);
    *buf = (struct fl_buf){ .max = buf->max };
}

void fl_buf_reset(struct fl_buf *buf)
{
    buf->n = 0;
    if (buf->p)
        buf->p[0] = 0;
    buf->is_failed = buf->is_over = false;
}

bool fl_buf_reserve(struct fl_buf *buf, size_t n)
{
    if (buf->is_failed)
        return false;
    size_t need;
    if (__builtin_add_overflow(buf->n, n, &need) || need > SIZE_MAX / 2 ||
        (buf->max && need > buf->max)) {
        buf->is_failed = buf->is_over = true;
        return false;
    }
    if (buf->p && need < buf->cap)
        return true;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap <= need)
        cap *= 2;
    if (buf->max && cap > buf->max)
        cap = buf->max + 1;
    char *p = fl_realloc(buf->p, cap);
    if (!p) {
        buf->is_failed = true;
        return false;
    }
    buf->p = p;
    buf->cap = cap;
    return true;
}

void fl_buf_vprintf(struct fl_buf *buf, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        buf->is_failed = true;
    else if (fl_buf_reserve(buf, (size_t)n)) {
        vsnprintf(buf->p + buf->n, (size_t)n + 1, fmt, again);
        buf->n += (size_t)n;
    }
    va_end(again);
}

void fl_buf_printf(struct fl_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(buf, fmt, ap);
    va_end(ap);
}

void fl_buf_u64(struct fl_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    fl_buf_put(buf, digits + at, sizeof digits - at);
}

void fl_buf_i64(struct fl_buf *buf, int64_t value)
{
    if (value < 0)
        fl_buf_putc(buf, '-');
    fl_buf_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void fl_buf_be16(struct fl_buf *buf, uint16_t value)
{
    const uint8_t b[] = { (uint8_t)(value >> 8), (uint8_t)value };
    fl_buf_put(buf, b, sizeof b);
}

void fl_buf_be32(struct fl_buf *buf, uint32_t value)
{
    const uint8_t b[] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value };
    fl_buf_put(buf, b, sizeof b);
}

void fl_buf_be64(struct fl_buf *buf, uint64_t value)
{
    fl_buf_be32(buf, (uint32_t)(value >> 32));
    fl_buf_be32(buf, (uint32_t)value);
}

void fl_buf_json_str(struct fl_buf *buf, struct fl_str s)
{
    const char *from = s.n ? s.p : "", *end = from + s.n;
    fl_buf_putc(buf, '"');
    for (const char *p = fl_text_plain_end(from, end); p < end; p = fl_text_plain_end(p + 1, end)) {
        unsigned char c = (unsigned char)*p;
        if (c >= 0x80)
            continue;
        fl_buf_put(buf, from, (size_t)(p - from));
        from = p + 1;
        switch (c) {
        case '"': fl_buf_puts(buf, "\\\""); break;
        case '\\': fl_buf_puts(buf, "\\\\"); break;
        case '\b': fl_buf_puts(buf, "\\b"); break;
        case '\f': fl_buf_puts(buf, "\\f"); break;
        case '\n': fl_buf_puts(buf, "\\n"); break;
        case '\r': fl_buf_puts(buf, "\\r"); break;
        case '\t': fl_buf_puts(buf, "\\t"); break;
        default: fl_buf_printf(buf, "\\u%04x", c); break;
        }
    }
    if (from < end)
        fl_buf_put(buf, from, (size_t)(end - from));
    fl_buf_putc(buf, '"');
}

void fl_buf_cut(struct fl_buf *buf, size_t n)
{
    FL_ASSERT(n <= buf->n);
    buf->n = n;
    if (buf->p)
        buf->p[n] = 0;
    buf->is_failed = buf->is_over = false;
}

void fl_buf_drop(struct fl_buf *buf, size_t n)
{
    FL_ASSERT(n <= buf->n);
    if (n == 0)
        return;
    buf->n -= n;
    memmove(buf->p, buf->p + n, buf->n);
    buf->p[buf->n] = 0;
}

char *fl_buf_take(struct fl_buf *buf, size_t *ret_n)
{
    if (!fl_buf_reserve(buf, 0)) {
        fl_buf_fini(buf);
        return NULL;
    }
    char *p = buf->p;
    p[buf->n] = 0;
    if (ret_n)
        *ret_n = buf->n;
    buf->p = NULL;
    fl_buf_fini(buf);
    return p;
}

enum fl_code fl_buf_code(const struct fl_buf *buf, struct fl_err *err)
{
    if (!buf->is_failed)
        return FL_OK;
    if (buf->is_over)
        return fl_err_set(err, FL_TOO_LARGE, "larger than %zu bytes", buf->max);
    return fl_err_code(err, FL_NOMEM);
}
