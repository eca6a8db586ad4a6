/* The request body's framing. */
#include "runtime/io/http_body.h"

enum {
    SIZE_DIGITS_MAX = 16,
    EXTENSION_BYTES_MAX = 256, /* together, not a chunk: else tiny chunks would carry megabytes */
    TRAILER_BYTES_MAX = 4096
};

enum {
    S_SIZE,
    S_EXTENSION,
    S_SIZE_LF,
    S_CONTENT,
    S_CONTENT_CR,
    S_CONTENT_LF,
    S_TRAILER, /* at the begin of a line */
    S_NAME,
    S_VALUE,
    S_VALUE_LF,
    S_END_LF
};

static enum fl_http_verdict bad(struct fl_http_body *body, int status, const char *error)
{
    body->status = status;
    body->error = error;
    return FL_HTTP_BAD;
}

enum fl_http_verdict fl_http_body_init(struct fl_http_body *body, const struct fl_http_head *head,
                                       uint64_t max_bytes)
{
    *body = (struct fl_http_body){ .kind = head->body, .max_bytes = max_bytes };
    if (body->kind == FL_HTTP_BODY_CHUNKED)
        return FL_HTTP_MORE;
    body->left = body->kind == FL_HTTP_BODY_LENGTH ? head->content_length : 0;
    if (body->left > max_bytes)
        return bad(body, 413, "the body is too large");
    body->state = S_CONTENT;
    return body->left ? FL_HTTP_MORE : FL_HTTP_DONE;
}

static enum fl_http_verdict size_byte(struct fl_http_body *body, char c)
{
    int digit = fl_http_hex_value(c);
    if (digit >= 0) {
        if (++body->digits > SIZE_DIGITS_MAX)
            return bad(body, 400, "a chunk size is too long");
        body->left = body->left << 4 | (uint64_t)digit;
        return FL_HTTP_MORE;
    }
    if (body->digits == 0 || (c != '\r' && c != ';'))
        return bad(body, 400, "a chunk size is not a hexadecimal number");
    if (body->left > body->max_bytes - body->bytes)
        return bad(body, 413, "the body is too large");
    body->state = c == '\r' ? S_SIZE_LF : S_EXTENSION;
    return FL_HTTP_MORE;
}

static enum fl_http_verdict trailer_byte(struct fl_http_body *body, char c)
{
    if (++body->trailer_bytes > TRAILER_BYTES_MAX)
        return bad(body, 431, "the trailer section is too large");
    switch (body->state) {
    case S_TRAILER:
    case S_NAME:
        if (c == '\r' && body->state == S_TRAILER)
            body->state = S_END_LF;
        else if (c == ':' && body->state == S_NAME)
            body->state = S_VALUE;
        else if (!fl_http_is_tchar(c))
            return bad(body, 400, "a trailer name is not a token");
        else
            body->state = S_NAME;
        return FL_HTTP_MORE;
    case S_VALUE:
        if (c == '\r')
            body->state = S_VALUE_LF;
        else if (!fl_http_is_field_char(c))
            return bad(body, 400, "a trailer value has a control character");
        return FL_HTTP_MORE;
    case S_VALUE_LF:
        body->state = S_TRAILER;
        return c == '\n' ? FL_HTTP_MORE : bad(body, 400, "a line must end in CR LF");
    default: /* S_END_LF */
        return c == '\n' ? FL_HTTP_DONE : bad(body, 400, "a line must end in CR LF");
    }
}

/* A byte of the framing. */
static enum fl_http_verdict frame_byte(struct fl_http_body *body, char c)
{
    switch (body->state) {
    case S_SIZE: return size_byte(body, c);
    case S_EXTENSION:
        if (c == '\r')
            body->state = S_SIZE_LF;
        else if (!fl_http_is_field_char(c))
            return bad(body, 400, "a chunk extension has a control character");
        else if (++body->extra_bytes > EXTENSION_BYTES_MAX)
            return bad(body, 400, "the chunk extensions are too long");
        return FL_HTTP_MORE;
    case S_SIZE_LF:
        body->state = body->left ? S_CONTENT : S_TRAILER;
        return c == '\n' ? FL_HTTP_MORE : bad(body, 400, "a line must end in CR LF");
    case S_CONTENT_CR:
        body->state = S_CONTENT_LF;
        return c == '\r' ? FL_HTTP_MORE : bad(body, 400, "a chunk is longer than its size says");
    case S_CONTENT_LF:
        body->state = S_SIZE;
        body->digits = 0;
        return c == '\n' ? FL_HTTP_MORE : bad(body, 400, "a line must end in CR LF");
    default: return trailer_byte(body, c);
    }
}

enum fl_http_verdict fl_http_body_read(struct fl_http_body *body, const char *p, size_t n,
                                       size_t *ret_used, struct fl_str *ret_content)
{
    FL_ASSERT(!body->status);
    *ret_content = (struct fl_str){ p, 0 };
    for (size_t i = 0; i < n; i++) {
        if (body->state == S_CONTENT) {
            size_t take = body->left < n - i ? (size_t)body->left : n - i;
            *ret_content = (struct fl_str){ p + i, take };
            *ret_used = i + take;
            body->bytes += take;
            body->left -= take;
            if (body->left)
                return FL_HTTP_MORE;
            body->state = S_CONTENT_CR;
            return body->kind == FL_HTTP_BODY_LENGTH ? FL_HTTP_DONE : FL_HTTP_MORE;
        }
        enum fl_http_verdict verdict = frame_byte(body, p[i]);
        if (verdict != FL_HTTP_MORE) {
            *ret_used = i + 1;
            return verdict;
        }
    }
    *ret_used = n;
    return FL_HTTP_MORE;
}
