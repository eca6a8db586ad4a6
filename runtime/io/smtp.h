/* A mail as a call of the HTTP client (http_client.h): the same loop, the same guard of addresses,
 * the same deadlines. TLS always, by STARTTLS or from the first byte, with the certificate
 * verified: where the server offers none, nothing is sent. Loop thread only. */
#ifndef FLOPINIO_IO_SMTP_H
#define FLOPINIO_IO_SMTP_H

#include "runtime/io/curl_line.h"
#include "runtime/io/http_client.h"

#define FL_SMTP_ADDRESS_MAX 254 /* RFC 5321, 4.5.3.1.3 */

/* Everything in it must live until the call's `op` is done. */
struct fl_smtp {
    const char *user, *password; /* NULL: none is given */
    const char *from, *to;       /* addresses (fl_smtp_is_address) */
    /* ---- outputs ---- */
    int code;       /* with which the server refused; 0: it did not say */
    char text[120]; /* what it said then, printable ASCII */
    /* ---- private ---- */
    bool has_named; /* RCPT was sent */
    struct fl_curl_line line;
    void *recipients;
};

/* "ann@example.com": printable ASCII, one @, nothing that could end a command or begin another. */
bool fl_smtp_is_address(struct fl_str text);
/* "smtp://host:587" or "smtps://host:465". FL_BAD_PARAMS with a sentence. */
enum fl_code fl_smtp_check_url(struct fl_str url, struct fl_err *err) FL_MUST_CHECK;

/* ---- for http_client.c ---- */
bool fl_smtp_set_up(struct fl_http_call *call);
void fl_smtp_fini(struct fl_smtp *smtp);
/* FL_FORBIDDEN: refused for good; FL_CONFLICT: not for this recipient now (a full mailbox, a
 * greylist), which says nothing of others; FL_UNAUTHENTICATED; FL_UNAVAILABLE: nothing was taken;
 * FL_AMBIGUOUS, FL_TIMEOUT: it may have been; FL_CONFIG: no TLS there; FL_IO. `rc` is a CURLcode.
 */
enum fl_code fl_smtp_explain(const struct fl_http_call *call, int rc, struct fl_err *err);

#endif
