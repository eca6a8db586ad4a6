/* HTTP/1.1 requests and their answers, as the endpoints see them (RFC 9110, 9112). One exchange is
 * one request with its one response. The listener is in http_server.h, the reading in http_head.h
 * and http_body.h, the life of a connection in http_conn.c. Loop thread only.
 *
 *   on_head      the head is valid. The body is not read yet, and may be announced as longer than
 *                is taken (413 follows): check Host, Origin and credential here; respond at once to
 *                refuse, fl_http_pause while a credential is looked up,
 *                fl_ws_upgrade for a WebSocket. Doing nothing accepts the request.
 *   on_request   the body is complete. Not called when the exchange was answered or upgraded.
 *   on_gone      the peer closed or broke the connection (or the server is closed) while the
 *                response was still owed or streaming: for MCP this is a cancellation. Also when
 *                the room that its body had was given to another's, which the peer is told.
 *   on_released  always the last call of an exchange that had on_head; the pointer dies with it.
 * Responding later, from any callback of the loop, is the normal case. */
#ifndef FLOPINIO_IO_HTTP_H
#define FLOPINIO_IO_HTTP_H

#include <stdint.h>
#include <sys/types.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/list.h"
#include "flopinio/base/str.h"

#define FL_ADDRESS_TEXT 46 /* INET6_ADDRSTRLEN */

enum fl_http_method {
    FL_HTTP_GET,
    FL_HTTP_HEAD,
    FL_HTTP_POST,
    FL_HTTP_PUT,
    FL_HTTP_PATCH,
    FL_HTTP_DELETE,
    FL_HTTP_OPTIONS
};

struct fl_http_header {
    struct fl_str name, value; /* value without surrounding blanks; may hold bytes over 0x7f */
};

struct fl_http_peer {
    char address[FL_ADDRESS_TEXT]; /* "127.0.0.1", "::1"; "unix" for a unix socket */
    uint16_t port;                 /* 0 for a unix socket */
    bool is_unix;
    pid_t pid; /* of a unix peer (SO_PEERCRED), else 0 */
    uid_t uid; /* of a unix peer, else (uid_t)-1 */
    gid_t gid;
    int8_t note; /* whoever serves the connection keeps here what it found out; 0 at first */
};

struct fl_http_exchange {
    void *user;             /* the endpoint's; NULL in on_head */
    void *server_user;      /* from the server's configuration */
    struct fl_arena *arena; /* lives until on_released has returned */
    enum fl_http_method method;
    struct fl_str path;  /* raw, begins with '/' ("*" for OPTIONS *); see fl_http_decode */
    struct fl_str query; /* raw, without '?'; p is NULL when there is none */
    struct fl_str host;  /* the one Host header; empty only with HTTP/1.0 */
    const struct fl_http_header *headers; /* in the order in which they came */
    size_t header_count;
    struct fl_http_peer *peer; /* the connection's */
    const char *client;        /* address of who asks: the peer's, or what a trusted proxy says */
    bool is_proxied;           /* the peer is such a proxy */
    bool is_tls;
    bool is_http10;
};

struct fl_http_callbacks {
    uint64_t body_max; /* bytes of a request's body here; 0: as many as the server takes */
    int64_t body_ms;   /* from its head to the end of its body; 0: the server's pace alone */
    /* Nothing is known of the sender before the body is here: it counts in the route's budget until
     * fl_http_known. */
    bool is_for_anybody;
    void (*on_head)(struct fl_http_exchange *ex);
    void (*on_request)(struct fl_http_exchange *ex, struct fl_str body); /* body: the exchange's */
    void (*on_gone)(struct fl_http_exchange *ex);                        /* may be NULL */
    void (*on_drained)(struct fl_http_exchange *ex);  /* may be NULL; see fl_http_write */
    void (*on_released)(struct fl_http_exchange *ex); /* may be NULL */
    /* Writes the body of an error that the front itself answers; nothing, or NULL: one plain
     * sentence. `ex` is NULL while there is no valid head. `*ret_type` is a constant media type. */
    void (*render_error)(void *server_user, const struct fl_http_exchange *ex, int status,
                         const char *text, struct fl_buf *body, const char **ret_type);
};

/* ---- reading ---- */
/* The value of the first header of that name (any case); p is NULL when there is none. */
struct fl_str fl_http_header_get(const struct fl_http_exchange *ex, const char *name);
/* Each header of that name in order; start with *pos 0. */
bool fl_http_header_next(const struct fl_http_exchange *ex, const char *name, size_t *pos,
                         struct fl_str *ret_value);
size_t fl_http_header_count(const struct fl_http_exchange *ex, const char *name);
/* True if a comma-separated list in any header of that name has this token (any case). */
bool fl_http_header_has_token(const struct fl_http_exchange *ex, const char *name,
                              const char *token);
const char *fl_http_method_name(enum fl_http_method method);

/* ---- holding back the body while on_head's decision is pending ---- */
/* In on_head only: no byte of the body is read (nor "100 Continue" sent) until fl_http_resume. */
void fl_http_pause(struct fl_http_exchange *ex);
/* Harmless when not paused. */
void fl_http_resume(struct fl_http_exchange *ex);

/* What the bodies of senders that nothing is known of may hold together, beside the first
 * FL_HTTP_FREE_BYTES of each, and how many may be on their way at a time. Where another one would
 * pass that, one that has been here for long is answered 503 with Retry-After (http_budget.c). */
#define FL_HTTP_FREE_BYTES 16384
struct fl_http_budget {
    uint64_t max, used;
    unsigned readers_max, readers;
    struct fl_list reading, whole; /* the front's; begin empty */
};
/* In on_head only. `max`: 0 leaves the server's; over: 413. `within_ms`: 0 leaves the server's
 * pace; over: 408. `budget` is borrowed until on_released; NULL: it does not count. */
void fl_http_take_body(struct fl_http_exchange *ex, uint64_t max, int64_t within_ms,
                       struct fl_http_budget *budget);
/* The sender is known now: the body does not count any longer. Harmless when it does not. */
void fl_http_known(struct fl_http_exchange *ex);

/* ---- responding ----
 * Headers of the front's own are refused: Content-Length, Transfer-Encoding, Connection, Date,
 * Trailer, Upgrade (but with 426). A name or value that cannot stand in a header becomes a 500 and
 * FL_INTERNAL. All return FL_CLOSED when the peer is gone, and FL_CONFLICT after a response. */
/* The whole response; `body` is borrowed for the call. HEAD sends the length without the body;
 * 204 and 304 send none. */
enum fl_code fl_http_respond(struct fl_http_exchange *ex, int status,
                             const struct fl_http_header *headers, size_t header_count,
                             struct fl_str body);
/* An error as the server's render_error writes it. `text` is one lower-case clause. */
enum fl_code fl_http_respond_error(struct fl_http_exchange *ex, int status, const char *text,
                                   const struct fl_http_header *headers, size_t header_count);
/* Begins a response of unknown length: chunked, or ended by closing for HTTP/1.0. */
enum fl_code fl_http_start(struct fl_http_exchange *ex, int status,
                           const struct fl_http_header *headers, size_t header_count);
/* Sends a piece. What the socket does not take at once is queued and on_drained follows when all
 * of it has left. FL_TOO_MANY, with nothing written, while more than the write queue limit waits
 * (one piece may pass the limit): wait for on_drained, or give up with fl_http_abort. */
enum fl_code fl_http_write(struct fl_http_exchange *ex, struct fl_str bytes) FL_MUST_CHECK;
size_t fl_http_queued(const struct fl_http_exchange *ex); /* bytes not yet taken by the socket */
enum fl_code fl_http_end(struct fl_http_exchange *ex);
/* Breaks the connection: the peer sees that the response is not whole. No on_gone follows. */
void fl_http_abort(struct fl_http_exchange *ex);
bool fl_http_is_started(const struct fl_http_exchange *ex); /* a status line has been sent */

/* ---- targets and forms (http_target.c); any thread ---- */
enum fl_http_decode_flags {
    FL_HTTP_REFUSE_SLASH = 1, /* %2F and %5C are refused: the text is one path segment or more */
    FL_HTTP_PLUS_IS_BLANK = 2 /* as HTML forms encode */
};
/* Percent-decodes into the arena. Refuses broken escapes and %00, and what is not UTF-8 after. */
enum fl_code fl_http_decode(struct fl_arena *arena, struct fl_str text, unsigned flags,
                            struct fl_str *ret, struct fl_err *err) FL_MUST_CHECK;
/* Appends it so that it can stand as a name or value there: all but RFC 3986's unreserved
 * characters percent-encoded. */
void fl_http_encode(struct fl_buf *out, struct fl_str text);
/* Walks `name=value&...` of a query or a form body, decoded; *pos starts at 0. FL_NOT_FOUND at
 * the end. */
enum fl_code fl_http_form_next(struct fl_arena *arena, struct fl_str form, size_t *pos,
                               struct fl_str *ret_name, struct fl_str *ret_value,
                               struct fl_err *err) FL_MUST_CHECK;

#endif
