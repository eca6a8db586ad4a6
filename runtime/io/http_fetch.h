/* A blocking HTTP client (libcurl): what the command line talks to the REST API with, over TCP, TLS
 * or a unix socket. One thread at a time, no loop. Redirects are not followed: the requests carry a
 * person's secret, which belongs to the address that was named. */
#ifndef FLOPINIO_IO_HTTP_FETCH_H
#define FLOPINIO_IO_HTTP_FETCH_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

struct fl_fetcher; /* keeps its connection open between requests */

struct fl_fetcher_config {
    const char *unix_socket; /* path; NULL: the host of the URL */
    const char *ca_file;     /* PEM, instead of the system's; NULL: the system's */
    int timeout_ms;          /* a whole request, and at most 5 s of it to connect */
    size_t body_max;         /* bytes of an answer that is kept; 0: 64 MiB */
};

struct fl_fetch {
    const char *method;         /* "GET" */
    const char *url;            /* http or https; in clear to loopback and unix sockets only */
    const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
    struct fl_str body;         /* p NULL: none */
    /* The body of a 200 piece by piece instead of in `ret_body`, of any length; false ends it with
     * FL_IO. NULL: none. */
    bool (*sink)(void *ctx, struct fl_str piece);
    void *ctx;
};

enum fl_code fl_fetcher_new(const struct fl_fetcher_config *config, struct fl_fetcher **ret,
                            struct fl_err *err) FL_MUST_CHECK;
void fl_fetcher_free(struct fl_fetcher **fetcher);
/* Sends it and waits. FL_OK whatever the status; the body is appended to ret_body (the caller's).
 * FL_UNAVAILABLE: nobody answers there; FL_FORBIDDEN: the socket may not be opened; FL_TIMEOUT;
 * FL_AMBIGUOUS: the connection ended before the answer began; FL_IO: TLS, or the answer broke off;
 * FL_CONFIG: no such URL, or one in clear over a network; FL_TOO_LARGE; FL_NOMEM. */
enum fl_code fl_fetch(struct fl_fetcher *fetcher, const struct fl_fetch *request, int *ret_status,
                      struct fl_buf *ret_body, struct fl_err *err) FL_MUST_CHECK;

#endif
