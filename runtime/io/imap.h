/* One IMAP command as a call of the HTTP client (http_client.h): the same loop, the same guard of
 * addresses, the same deadlines. TLS always, by STARTTLS or from the first byte, with the
 * certificate verified: where the server offers none, no password is sent. A connection for each.
 * Loop thread only. */
#ifndef FLOPINIO_IO_IMAP_H
#define FLOPINIO_IO_IMAP_H

#include "runtime/io/curl_line.h"
#include "runtime/io/http_client.h"

#define FL_IMAP_MAILBOX_MAX 64

/* Everything in it must live until the call's `op` is done. The call's answer: the command's
 * untagged lines; of a mail that the URL names, its bytes. */
struct fl_imap {
    const char *user, *password;
    const char
        *command; /* in the mailbox that the URL names, or in none; NULL: the URL names a mail */
    /* ---- outputs ---- */
    char text[120]; /* what the server refused with, printable ASCII */
    /* ---- private ---- */
    struct fl_curl_line line;
    bool is_answered;
};

/* "imap://host:143" or "imaps://host:993", then nothing or a mailbox of letters, digits, '.', '_'
 * and
 * '-'. FL_BAD_PARAMS with a sentence. `ret_mailbox`: INBOX unless it says another; `ret_server_n`:
 * how much of the URL is the server's. */
enum fl_code fl_imap_check_url(struct fl_str url, struct fl_str *ret_mailbox, size_t *ret_server_n,
                               struct fl_err *err) FL_MUST_CHECK;

/* ---- for http_client.c ---- */
bool fl_imap_set_up(struct fl_http_call *call);
/* FL_UNAUTHENTICATED; FL_NOT_FOUND: there is no such mailbox or mail, or the command was refused;
 * FL_CONFIG: no TLS there; FL_OK: as for every other call. `rc` is a CURLcode. */
enum fl_code fl_imap_explain(const struct fl_http_call *call, int rc, struct fl_err *err);

#endif
