/* IMAP by libcurl, which selects the mailbox and then does one command. As with SMTP its goodbye
 * would be waited for inside the loop: the line is cut as soon as the last answer has come. */
#include "runtime/io/imap.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

enum fl_code fl_imap_check_url(struct fl_str url, struct fl_str *ret_mailbox, size_t *ret_server_n,
                               struct fl_err *err)
{
    size_t from = 0;
    if (url.n > 7 && strncasecmp(url.p, "imap://", 7) == 0)
        from = 7;
    else if (url.n > 8 && strncasecmp(url.p, "imaps://", 8) == 0)
        from = 8;
    const char *slash = from ? memchr(url.p + from, '/', url.n - from) : NULL;
    size_t end = slash ? (size_t)(slash - url.p) : url.n;
    struct fl_str host = { url.p + from, end - from };
    *ret_server_n = end;
    *ret_mailbox = FL_STR("INBOX");
    if (slash && end + 1 < url.n)
        *ret_mailbox = (struct fl_str){ slash + 1, url.n - end - 1 };
    if (from && url.n < 256 && fl_str_is_word(host, ".-:[]") &&
        fl_str_is_word(*ret_mailbox, "._-") && ret_mailbox->n <= FL_IMAP_MAILBOX_MAX)
        return FL_OK;
    return fl_err_set(err, FL_BAD_PARAMS,
                      "the mailbox is imap://HOST:PORT (with STARTTLS) or imaps://HOST:PORT, with "
                      "/MAILBOX behind it unless it is INBOX");
}

/* ---------------------------------------------------------------- the line */
static void keep_text(struct fl_imap *m, struct fl_str line)
{
    size_t at = 0;
    for (size_t i = 0; i < line.n && at < sizeof m->text - 1; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c >= 0x20 && c < 0x7f)
            m->text[at++] = (char)c;
    }
    m->text[at] = 0;
}

static bool has_word(struct fl_str line, const char *word)
{
    size_t n = strlen(word);
    return line.n > n && strncasecmp(line.p, word, n) == 0 && strchr(" \r\n", line.p[n]);
}

/* What answers a command of ours: SEARCH, STATUS, and FETCH behind a number. */
static bool is_result(struct fl_str rest)
{
    size_t digits = 0;
    if (has_word(rest, "SEARCH") || has_word(rest, "STATUS"))
        return true;
    while (digits < rest.n && rest.p[digits] >= '0' && rest.p[digits] <= '9')
        digits++;
    rest = (struct fl_str){ rest.p + digits, rest.n - digits };
    return digits > 0 && rest.n > 1 && has_word((struct fl_str){ rest.p + 1, rest.n - 1 }, "FETCH");
}

/* Each line of the server's; not the bytes of a mail. */
static size_t on_answer(char *line, size_t size, size_t count, void *ctx)
{
    struct fl_http_call *call = ctx;
    struct fl_imap *m = call->imap;
    struct fl_str s = { line, size * count };
    const char *space = s.n ? memchr(s.p, ' ', s.n) : NULL;
    if (!space)
        return s.n;
    size_t n = (size_t)(space - s.p) + 1;
    struct fl_str rest = { s.p + n, s.n - n };
    if (s.p[0] == '*') {
        m->is_answered = m->is_answered || is_result(rest);
    } else if (has_word(rest, "NO") || has_word(rest, "BAD")) {
        keep_text(m, rest);
        fl_curl_line_cut(&m->line);
    } else if (has_word(rest, "OK") && m->is_answered) {
        fl_curl_line_cut(&m->line);
    }
    return s.n;
}

bool fl_imap_set_up(struct fl_http_call *call)
{
    struct fl_imap *m = call->imap;
    CURL *easy = call->easy;
    bool is_fine = fl_curl_line_begin(&m->line, easy, "imap,imaps", on_answer, call);
#define SET(option, value) is_fine = curl_easy_setopt(easy, option, value) == CURLE_OK && is_fine
    m->text[0] = 0;
    m->is_answered = false;
    SET(CURLOPT_USERNAME, m->user);
    SET(CURLOPT_PASSWORD, m->password);
    if (m->command)
        SET(CURLOPT_CUSTOMREQUEST, m->command);
#undef SET
    return is_fine;
}

/* RFC 5530, 3: not the mail's or mailbox's fault. */
static bool is_passing(const char *text)
{
    return strstr(text, "[UNAVAILABLE]") || strstr(text, "[INUSE]") || strstr(text, "[SERVERBUG]");
}

enum fl_code fl_imap_explain(const struct fl_http_call *call, int rc, struct fl_err *err)
{
    const struct fl_imap *m = call->imap;
    switch ((CURLcode)rc) {
    case CURLE_USE_SSL_FAILED:
        return fl_err_set(err, FL_CONFIG,
                          "the mail server offers no TLS; no password is sent in clear");
    case CURLE_LOGIN_DENIED: /* also for a mailbox that is not there */
        if (strstr(m->text, "NONEXISTENT") || strstr(m->text, "TRYCREATE"))
            return fl_err_set(err, FL_NOT_FOUND, "there is no such mailbox: %s", m->text);
        return fl_err_set(err, FL_UNAUTHENTICATED, "the mail server does not let us in: %s",
                          m->text);
    case CURLE_QUOTE_ERROR:
    case CURLE_REMOTE_FILE_NOT_FOUND:
        if (is_passing(m->text))
            return fl_err_set(err, FL_UNAVAILABLE, "the mail server cannot do it now: %s", m->text);
        return fl_err_set(err, FL_NOT_FOUND, "the mail server refused it: %s", m->text);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return fl_err_set(err, FL_UNAVAILABLE,
                          "the mail server ended the connection before its answer");
    default: return FL_OK;
    }
}
