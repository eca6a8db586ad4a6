/* A growing byte buffer with a sticky error: append freely, check once at the end. */
#ifndef FLOPINIO_BASE_BUF_H
#define FLOPINIO_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flopinio/base/assert.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_buf {
    char *p;        /* owned; NUL-terminated behind n whenever p is not NULL */
    size_t n;       /* bytes used */
    size_t cap;     /* bytes allocated; at most max + 1, so that what fits is allowed */
    size_t max;     /* bytes allowed, from the beginning on; 0 = no limit */
    bool is_failed; /* no memory, or over max; contents are then undefined */
    bool is_over;   /* it was `max` that was hit */
};

#define FL_BUF_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void fl_buf_init(struct fl_buf *buf, size_t max_bytes);
/* Frees the memory and makes the buffer empty and usable again (max stays). */
void fl_buf_fini(struct fl_buf *buf);
/* Empties it, keeps the memory, clears the error. */
void fl_buf_reset(struct fl_buf *buf);
/* Room for n more bytes; false on failure. */
bool fl_buf_reserve(struct fl_buf *buf, size_t n);
/* Inline: every message is made of dozens of these. */
static inline void fl_buf_put(struct fl_buf *buf, const void *bytes, size_t n)
{
    bool has_room = n < buf->cap - buf->n && !buf->is_failed;
    if (!has_room && !fl_buf_reserve(buf, n))
        return;
    if (n) /* then there are bytes. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
        memcpy(buf->p + buf->n, bytes, n);
    buf->n += n;
    buf->p[buf->n] = 0;
}
static inline void fl_buf_putc(struct fl_buf *buf, char c)
{
    fl_buf_put(buf, &c, 1);
}
static inline void fl_buf_puts(struct fl_buf *buf, const char *text)
{
    fl_buf_put(buf, text, strlen(text));
}
static inline void fl_buf_str(struct fl_buf *buf, struct fl_str s)
{
    fl_buf_put(buf, s.p, s.n);
}
void fl_buf_printf(struct fl_buf *buf, const char *fmt, ...) FL_PRINTF(2, 3);
void fl_buf_vprintf(struct fl_buf *buf, const char *fmt, va_list ap) FL_PRINTF(2, 0);
void fl_buf_u64(struct fl_buf *buf, uint64_t value);
void fl_buf_i64(struct fl_buf *buf, int64_t value);
/* Big-endian integers, for length-prefixed encodings. */
void fl_buf_be16(struct fl_buf *buf, uint16_t value);
void fl_buf_be32(struct fl_buf *buf, uint32_t value);
void fl_buf_be64(struct fl_buf *buf, uint64_t value);
/* A JSON string with quotes; s must be valid UTF-8. Escapes only what RFC 8785 escapes. */
void fl_buf_json_str(struct fl_buf *buf, struct fl_str s);
/* `"key":` - for hand-built objects; key needs no escaping. */
static inline void fl_buf_json_key(struct fl_buf *buf, const char *key)
{
    fl_buf_putc(buf, '"');
    fl_buf_puts(buf, key);
    fl_buf_put(buf, "\":", 2);
}
/* Back to its first n bytes, without error: undoes appends that failed (they leave what was there
 * before as it was). */
void fl_buf_cut(struct fl_buf *buf, size_t n);
/* Takes the first n bytes out of the front. */
void fl_buf_drop(struct fl_buf *buf, size_t n);
/* Gives the memory away (NUL-terminated, free with fl_free) and empties the buffer; NULL if failed.
 */
char *fl_buf_take(struct fl_buf *buf, size_t *ret_n);
static inline struct fl_str fl_buf_view(const struct fl_buf *buf)
{
    return (struct fl_str){ buf->p, buf->n };
}
/* FL_OK, FL_NOMEM or FL_TOO_LARGE by the sticky error. */
enum fl_code fl_buf_code(const struct fl_buf *buf, struct fl_err *err) FL_MUST_CHECK;

#endif
