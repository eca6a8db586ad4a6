/* Takes the framing off a request body (RFC 9112 sections 6 and 7) without I/O: a length, or
 * chunks. Chunk extensions are bounded and ignored, trailers are bounded, checked and dropped.
 * Used by http_conn.c and the fuzzer. Any thread; does not allocate. */
#ifndef FLOPINIO_IO_HTTP_BODY_H
#define FLOPINIO_IO_HTTP_BODY_H

#include "runtime/io/http_head.h"

struct fl_http_body {
    enum fl_http_body_kind kind;
    uint64_t max_bytes; /* of content */
    uint64_t bytes;     /* of content so far */
    uint64_t left;      /* of the content or of this chunk */
    int state;
    unsigned digits;        /* of this chunk's size */
    unsigned extra_bytes;   /* chunk extensions of the whole body */
    unsigned trailer_bytes; /* trailer section */
    int status;             /* after FL_HTTP_BAD: 400, 413 or 431 */
    const char *error;
};

/* FL_HTTP_DONE when there is no content, FL_HTTP_BAD when the length is over max_bytes. */
enum fl_http_verdict fl_http_body_init(struct fl_http_body *body, const struct fl_http_head *head,
                                       uint64_t max_bytes);
/* Reads some of the n bytes: *ret_used says how many, *ret_content (maybe empty) is content in
 * them. Call again with the rest while FL_HTTP_MORE and bytes are left. */
enum fl_http_verdict fl_http_body_read(struct fl_http_body *body, const char *p, size_t n,
                                       size_t *ret_used, struct fl_str *ret_content);

#endif
