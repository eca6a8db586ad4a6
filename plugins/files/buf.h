/* A growing byte buffer with a sticky error: append freely, look once at the end. The plugin's own,
 * because a plugin includes flopinio/plugin.h and nothing else of the runtime. Any thread. */
#ifndef FILES_BUF_H
#define FILES_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *p;        /* owned; NUL-terminated behind n whenever it is not NULL */
    size_t n, cap;  /* bytes used, allocated */
    size_t max;     /* bytes allowed; 0 = no limit */
    bool is_failed; /* no memory, or over max: the contents are not to be used */
    bool is_over;   /* it was max that was hit */
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

void buf_fini(struct buf *buf);
/* Room for n more bytes. */
bool buf_reserve(struct buf *buf, size_t n);
void buf_put(struct buf *buf, const void *bytes, size_t n);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; bytes must be valid UTF-8. */
void buf_json(struct buf *buf, const char *bytes, size_t n);
/* A file name for people's eyes, on one line: control characters, backslashes and bytes that are
 * not UTF-8 as \xNN. */
void buf_name(struct buf *buf, const char *name, size_t n);

#endif
