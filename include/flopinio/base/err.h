/* The one table of error codes. Functions that can fail return `enum fl_code` and fill a
 * `struct fl_err` whose text is a clause in the field's terms: lower case, no period, no function
 * names, no secrets, no tool arguments; "could not" = may work later, "cannot" = never.
 * The lowest layer writes the text, upper layers pass it on. Any thread. */
#ifndef FLOPINIO_BASE_ERR_H
#define FLOPINIO_BASE_ERR_H

#include <stdarg.h>

#include "flopinio/base/assert.h"

/* Append only. X(name, JSON-RPC code, HTTP status, default text) */
#define FL_CODES(X)                                                                                \
    X(OK, 0, 200, "ok")                                                                            \
    X(NOMEM, -32603, 503, "out of memory")                                                         \
    X(BAD_JSON, -32700, 400, "the message is not valid JSON")                                      \
    X(BAD_REQUEST, -32600, 400, "the request is not valid")                                        \
    X(UNKNOWN_METHOD, -32601, 404, "unknown method")                                               \
    X(BAD_PARAMS, -32602, 400, "the parameters are not valid")                                     \
    X(INTERNAL, -32603, 500, "internal error")                                                     \
    X(HEADER_MISMATCH, -32020, 400, "a header and the message differ")                             \
    X(NEEDS_CAPABILITY, -32021, 400, "the client lacks a capability that this needs")              \
    X(UNSUPPORTED_VERSION, -32022, 400, "unsupported protocol version")                            \
    X(UNAUTHENTICATED, -32000, 401, "a valid credential is required")                              \
    X(FORBIDDEN, -32000, 403, "not allowed")                                                       \
    X(NOT_FOUND, -32602, 404, "not found")                                                         \
    X(CONFLICT, -32000, 409, "the state has changed")                                              \
    X(METHOD_NOT_ALLOWED, -32000, 405, "method not allowed")                                       \
    X(NOT_ACCEPTABLE, -32000, 406, "not acceptable")                                               \
    X(TOO_LARGE, -32600, 413, "too large")                                                         \
    X(UNSUPPORTED_MEDIA, -32000, 415, "unsupported media type")                                    \
    X(TOO_MANY, -32000, 429, "too many requests")                                                  \
    X(HEAD_TOO_LARGE, -32600, 431, "request header fields too large")                              \
    X(UNAVAILABLE, -32000, 503, "temporarily unavailable")                                         \
    X(TIMEOUT, -32000, 504, "timed out")                                                           \
    X(CANCELLED, -32000, 499, "cancelled")                                                         \
    X(AMBIGUOUS, -32000, 503, "the outcome of a database commit is not known")                     \
    X(CLOSED, -32000, 503, "the connection was closed")                                            \
    X(DENIED, -32000, 403, "denied by policy")                                                     \
    X(CONFIG, -32603, 500, "the configuration is not valid")                                       \
    X(IO, -32603, 500, "input or output failed")                                                   \
    X(TARGET_CHANGED, -32000, 409, "the target changed since it was shown")                        \
    X(PLUGIN, -32603, 502, "the plugin failed")                                                    \
    X(BAD_KEY, -32603, 500, "an encryption key is missing or wrong")                               \
    X(SESSION_GONE, -32001, 404, "session not found")                                              \
    X(DB_REFUSED, -32603, 500, "the database refused a statement")                                 \
    X(EXPECTATION, -32600, 417, "expectation failed")                                              \
    X(LENGTH_REQUIRED, -32600, 411, "length required")                                             \
    X(VERSION_NOT_SUPPORTED, -32600, 505, "http version not supported")                            \
    X(UPGRADE_REQUIRED, -32600, 426, "upgrade required")

enum fl_code {
#define X(name, rpc, http, text) FL_##name,
    FL_CODES(X)
#undef X
        FL_CODE_COUNT
};

#define FL_ERR_TEXT_BYTES 400

struct fl_err {
    enum fl_code code;
    char text[FL_ERR_TEXT_BYTES];
};

/* Fills *err (err may be NULL) and returns `code`; the text is valid UTF-8 (fl_utf8_vformat), as
 * answers, audit rows and the database take no other. */
enum fl_code fl_err_set(struct fl_err *err, enum fl_code code, const char *fmt, ...)
    FL_PRINTF(3, 4);
enum fl_code fl_err_vset(struct fl_err *err, enum fl_code code, const char *fmt, va_list ap)
    FL_PRINTF(3, 0);
/* Fills *err with the code's default text and returns `code`. */
enum fl_code fl_err_code(struct fl_err *err, enum fl_code code);

const char *fl_code_name(enum fl_code code);
const char *fl_code_text(enum fl_code code);
int fl_code_rpc(enum fl_code code);
int fl_code_http(enum fl_code code);

#endif
