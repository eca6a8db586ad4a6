/* SMTP by libcurl. Its own goodbye waits for the server's answer inside the loop, for as long as
 * the server likes (QUIT, up to two minutes): so the line is cut as soon as the last answer that
 * counts has come, and no goodbye is waited for. */
#include "runtime/io/smtp.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

bool fl_smtp_is_address(struct fl_str s)
{
    size_t at = 0, signs = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("<>()[]\\,;:\"", c))
            return false;
        if (c == '@') {
            at = i;
            signs++;
        }
    }
    return signs == 1 && at > 0 && at <= 64 && at + 1 < s.n && s.n <= FL_SMTP_ADDRESS_MAX &&
           s.p[at + 1] != '.' && s.p[at + 1] != '-';
}

enum fl_code fl_smtp_check_url(struct fl_str url, struct fl_err *err)
{
    size_t from = 0;
    if (url.n > 7 && strncasecmp(url.p, "smtp://", 7) == 0)
        from = 7;
    else if (url.n > 8 && strncasecmp(url.p, "smtps://", 8) == 0)
        from = 8;
    bool is_fine = from > 0 && url.n < 256;
    for (size_t i = from; is_fine && i < url.n; i++) {
        char c = url.p[i];
        is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
    }
    if (is_fine)
        return FL_OK;
    return fl_err_set(err, FL_BAD_PARAMS,
                      "'url' is smtp://HOST:PORT (with STARTTLS) or smtps://HOST:PORT");
}

/* ---------------------------------------------------------------- the line */
static void keep_text(struct fl_smtp *m, const char *line, size_t n)
{
    size_t at = 0;
    for (size_t i = 4; i < n && at < sizeof m->text - 1; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c >= 0x20 && c < 0x7f)
            m->text[at++] = (char)c;
    }
    m->text[at] = 0;
}

/* Each line of the server's. What it refuses is the end, and its answer to the whole mail is. */
static size_t on_answer(char *line, size_t size, size_t count, void *ctx)
{
    struct fl_http_call *call = ctx;
    struct fl_smtp *m = (struct fl_smtp *)call->smtp;
    size_t n = size * count;
    int code = 0;
    for (size_t i = 0; i < 3; i++) {
        if (n < 3 || line[i] < '0' || line[i] > '9')
            return n;
        code = code * 10 + line[i] - '0';
    }
    if (code >= 400 && !m->code) {
        m->code = code;
        keep_text(m, line, n);
    }
    bool is_last_line = n < 4 || line[3] != '-';
    bool is_all_sent = call->sent == call->body.n;
    if (is_last_line && (code >= 400 || is_all_sent))
        fl_curl_line_cut(&m->line);
    return n;
}

/* What is said to the server is seen here: which command its answer is to. */
static int on_command(CURL *easy, curl_infotype type, char *data, size_t n, void *ctx)
{
    struct fl_smtp *m = (struct fl_smtp *)((struct fl_http_call *)ctx)->smtp;
    FL_UNUSED(easy);
    if (type == CURLINFO_HEADER_OUT && n > 5 && strncasecmp(data, "RCPT ", 5) == 0)
        m->has_named = true;
    return 0;
}

bool fl_smtp_set_up(struct fl_http_call *call)
{
    struct fl_smtp *m = (struct fl_smtp *)call->smtp;
    CURL *easy = call->easy;
    bool is_fine = fl_curl_line_begin(&m->line, easy, "smtp,smtps", on_answer, call);
#define SET(option, value) is_fine = curl_easy_setopt(easy, option, value) == CURLE_OK && is_fine
    m->code = 0;
    m->has_named = false;
    m->text[0] = 0;
    m->recipients = curl_slist_append(NULL, m->to);
    SET(CURLOPT_DEBUGFUNCTION, on_command);
    SET(CURLOPT_DEBUGDATA, call);
    SET(CURLOPT_VERBOSE, 1L);
    SET(CURLOPT_MAIL_FROM, m->from);
    SET(CURLOPT_MAIL_RCPT, (struct curl_slist *)m->recipients);
    if (m->user) {
        SET(CURLOPT_USERNAME, m->user);
        SET(CURLOPT_PASSWORD, m->password ? m->password : "");
    }
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.n);
#undef SET
    return is_fine && m->recipients;
}

void fl_smtp_fini(struct fl_smtp *m)
{
    curl_slist_free_all(m->recipients);
    m->recipients = NULL;
}

/* ---------------------------------------------------------------- what came of it */
/* "4.2.2 mailbox full": RFC 3463, 2. Subjects 3 and 5 are the server's own trouble. Without such a
 * code what answers RCPT is of the recipient; what answers the whole mail may be either. */
static bool is_of_recipient(const struct fl_smtp *m, bool is_all_sent)
{
    bool has_subject = strncmp(m->text, "4.", 2) == 0 && m->text[2] && m->text[3] == '.';
    if (!m->has_named || m->code < 450 || m->code > 452)
        return false;
    return has_subject ? m->text[2] != '3' && m->text[2] != '5' : !is_all_sent;
}

static enum fl_code refused(const struct fl_smtp *m, bool is_all_sent, struct fl_err *err)
{
    if (m->code == 530 || m->code == 534 || m->code == 535 || m->code == 538)
        return fl_err_set(err, FL_UNAUTHENTICATED,
                          "the mail server does not take user and password: %d %s", m->code,
                          m->text);
    if (is_of_recipient(m, is_all_sent))
        return fl_err_set(err, FL_CONFLICT, "the mail server does not take it for them now: %d %s",
                          m->code, m->text);
    if (m->code < 500)
        return fl_err_set(err, FL_UNAVAILABLE, "the mail server does not take it now: %d %s",
                          m->code, m->text);
    return fl_err_set(err, FL_FORBIDDEN, "the mail server refused it: %d %s", m->code, m->text);
}

enum fl_code fl_smtp_explain(const struct fl_http_call *call, int rc, struct fl_err *err)
{
    const struct fl_smtp *m = call->smtp;
    bool is_all_sent = call->sent == call->body.n;
    if (m->code)
        return refused(m, is_all_sent, err);
    switch ((CURLcode)rc) {
    case CURLE_USE_SSL_FAILED:
        return fl_err_set(err, FL_CONFIG,
                          "the mail server offers no TLS; nothing is sent in clear");
    case CURLE_LOGIN_DENIED:
        return fl_err_set(err, FL_UNAUTHENTICATED,
                          "the mail server does not take user and password");
    case CURLE_OPERATION_TIMEDOUT:
        return fl_err_set(err, is_all_sent ? FL_TIMEOUT : FL_UNAVAILABLE,
                          "the mail server did not answer in time");
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
        return fl_err_set(err, is_all_sent ? FL_AMBIGUOUS : FL_UNAVAILABLE,
                          "the mail server ended the connection before its answer");
    default: return FL_OK; /* as for every other call */
    }
}
