/* Reads a request head (RFC 9112 sections 2 to 6) without I/O: bytes in, verdict out, however they
 * are cut. Strict: CRLF only, no folded lines, no blank before a colon, one valid Host, and a body
 * length that cannot be read in two ways. Used by http_conn.c and the fuzzer. Any thread; does not
 * allocate. */
#ifndef FLOPINIO_IO_HTTP_HEAD_H
#define FLOPINIO_IO_HTTP_HEAD_H

#include <stdint.h>

#include "runtime/io/http.h"

#define FL_HTTP_FIELDS_MAX 128

enum fl_http_verdict { FL_HTTP_MORE, FL_HTTP_DONE, FL_HTTP_BAD };

enum fl_http_body_kind { FL_HTTP_BODY_NONE, FL_HTTP_BODY_LENGTH, FL_HTTP_BODY_CHUNKED };

/* A piece of the head, by its place. */
struct fl_http_place {
    uint16_t at, n;
};

struct fl_http_head {
    /* Limits; set by fl_http_head_init. */
    uint16_t max_bytes, max_fields, max_target;
    /* After FL_HTTP_DONE. */
    size_t bytes; /* of the head, with the empty line */
    enum fl_http_method method;
    bool is_http10;
    struct fl_http_place path, query; /* path.n is 0 for "/" of an absolute form without path */
    bool has_query;
    struct fl_http_place host; /* n is 0 when absent (HTTP/1.0 only) */
    uint16_t field_count;
    struct {
        struct fl_http_place name, value;
    } field[FL_HTTP_FIELDS_MAX];
    enum fl_http_body_kind body;
    uint64_t content_length; /* with FL_HTTP_BODY_LENGTH */
    bool keeps_alive;
    bool expects_continue;
    /* After FL_HTTP_BAD. */
    int status;        /* 400, 405, 411, 414, 417, 431, 501 or 505 */
    const char *error; /* one clause, constant */
    /* The reader's own. */
    int state;
    size_t at;                 /* next byte to read */
    size_t value_end;          /* behind the last byte of the value that is no blank */
    struct fl_http_place word; /* method */
    struct fl_http_place target;
};

/* max_bytes at most 65535, max_fields at most FL_HTTP_FIELDS_MAX; larger ones are cut. */
void fl_http_head_init(struct fl_http_head *head, uint32_t max_bytes, uint32_t max_fields,
                       uint32_t max_target);
/* `p` is the whole head so far (it may have moved since the last call), n its bytes. After
 * FL_HTTP_BAD nothing of the connection can be trusted any more. */
enum fl_http_verdict fl_http_head_read(struct fl_http_head *head, const char *p, size_t n);
/* True while no byte but the line end that some clients send between requests was read. */
bool fl_http_head_is_empty(const struct fl_http_head *head);

/* ---- shared with the body and the response ---- */
bool fl_http_is_tchar(char c);      /* RFC 9110 5.6.2 */
bool fl_http_is_field_char(char c); /* may stand in a value: HTAB, SP, VCHAR, obs-text */
/* True if a comma-separated list has this token, any case. */
bool fl_http_list_has(struct fl_str list, const char *token);

/* ---- http_target.c ---- */
int fl_http_hex_value(char c); /* -1 if it is no hexadecimal digit */
/* `host[:port]` of letters, digits and "-._~", or an IPv6 address in brackets. */
bool fl_http_host_is_valid(struct fl_str host);
/* Checks the target's form against method and Host, and finds path and query; 0 or a status with
 * *ret_error. */
int fl_http_target_split(struct fl_http_head *head, const char *p, const char **ret_error);

#endif
