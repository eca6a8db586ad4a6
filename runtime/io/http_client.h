/* HTTP requests to others on the loop (libcurl's multi interface on libuv), for chats and whatever
 * else speaks to the outside: TLS verified, no redirects, answers of bounded size, a deadline for
 * the whole, and nothing is sent twice by itself. Addresses of this host and of private networks
 * are refused unless the client was made for them. Nothing of a request is logged: addresses may
 * hold a token. Loop thread only. */
#ifndef FLOPINIO_IO_HTTP_CLIENT_H
#define FLOPINIO_IO_HTTP_CLIENT_H

#include "flopinio/base/buf.h"
#include "flopinio/base/op.h"
#include "runtime/io/loop.h"

struct fl_http_client;
struct fl_smtp;
struct fl_imap;

struct fl_http_client_config {
    bool may_be_local;   /* this host and private networks too, there also without TLS */
    const char *ca_file; /* PEM; NULL: the system's */
};

enum fl_code fl_http_client_new(struct fl_loop *loop, const struct fl_http_client_config *config,
                                struct fl_http_client **ret, struct fl_err *err) FL_MUST_CHECK;
/* Ends what runs with FL_CANCELLED, from here; the sockets close in the next turns of the loop. */
void fl_http_client_free(struct fl_http_client **client);

/* One request. Everything in it must live until `op` is done; `op` is embedded elsewhere. */
struct fl_http_call {
    /* ---- inputs ---- */
    const char *method;         /* "POST" */
    const char *url;            /* https, or http where the client may be local */
    const char *const *headers; /* "Name: value"; NULL-terminated; may be NULL */
    struct fl_str body;         /* p NULL: none */
    int64_t timeout_ms;         /* for the whole; 0: 15 s */
    size_t max_bytes;           /* of the answer; 0: 1 MiB */
    const char *wants_header;   /* of the answer, by name; NULL: none */
    struct fl_smtp *smtp;       /* not HTTP: `body` is a mail (smtp.h); NULL else */
    struct fl_imap *imap;       /* not HTTP: a command (imap.h); NULL else */
    bool is_connect_only;       /* FL_OK: connected, and with TLS if the address says so; nothing
                                 * was sent. Until fl_http_call_close: fl_http_call_send and
                                 * _receive, and the socket is the caller's to watch. */
    /* ---- outputs ---- */
    int socket; /* of is_connect_only */
    int status;
    int64_t retry_after_ms;       /* by the header; 0: none */
    struct fl_buf answer, header; /* header: the one that was wanted, p NULL: there is none; both
                                   * freed by fl_http_call_fini */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_http_client *client;
    void *easy, *list;
    struct fl_list link;
    struct fl_post post;
    size_t sent; /* bytes of the body that curl has taken */
    bool is_over, is_refused, is_cancelled, is_connected;
};

/* FL_OK with any status (a mail: it was taken). FL_CONFIG: the address is none, or may not be
 * reached by this client; FL_UNAVAILABLE: nothing was sent; FL_AMBIGUOUS: it may have been taken;
 * FL_TIMEOUT; FL_TOO_LARGE; FL_IO (TLS). May be cancelled. The call must be zeroed but for its
 * inputs, or finished before. */
enum fl_code fl_http_call_start(struct fl_op *op, struct fl_http_client *client,
                                struct fl_http_call *call) FL_MUST_CHECK;
/* Of a connected call. Bytes that were taken, or came; *ret_n 0: not now. FL_CLOSED: it is over. */
enum fl_code fl_http_call_send(struct fl_http_call *call, struct fl_str bytes,
                               size_t *ret_n) FL_MUST_CHECK;
enum fl_code fl_http_call_receive(struct fl_http_call *call, char *to, size_t size,
                                  size_t *ret_n) FL_MUST_CHECK;
/* The descriptor must not be watched any more. Harmless when it is closed. */
void fl_http_call_close(struct fl_http_call *call);
void fl_http_call_fini(struct fl_http_call *call);
/* Is this an address that the client may speak to, by its text? FL_BAD_PARAMS with a sentence. */
enum fl_code fl_http_client_check_url(struct fl_str url, bool may_be_local,
                                      struct fl_err *err) FL_MUST_CHECK;

#endif
