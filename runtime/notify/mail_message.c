/* The bytes of a mail: headers, a text part and an HTML part, both quoted-printable. Pure. */
#include <stdio.h>
#include <time.h>

#include "flopinio/base/utf8.h"
#include "runtime/notify/card_html.h"
#include "runtime/notify/mail_priv.h"

#define QUOTED_MAX 76
#define BODY_STYLE "margin:0;padding:12px;font:16px/1.4 sans-serif;color:#1c1e21;background:#ffffff"

/* ---------------------------------------------------------------- headers */
/* RFC 2047: words of at most 75 characters, no character parted. */
static void put_encoded(struct fl_buf *out, struct fl_str text)
{
    for (size_t at = 0; at < text.n;) {
        struct fl_str rest = { text.p + at, text.n - at };
        size_t n = rest.n > 42 ? fl_utf8_cut(rest, 42) : rest.n;
        if (!n)
            n = 1;
        fl_buf_puts(out, at ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
        fl_b64(out, rest.p, n);
        fl_buf_puts(out, "?=");
        at += n;
    }
}

static void put_subject(struct fl_buf *out, const struct fl_mail_letter *l)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_str subject = l->subject;
    bool is_plain = true;
    if (subject.n > FL_MAIL_SUBJECT_MAX)
        subject.n = fl_utf8_cut(subject, FL_MAIL_SUBJECT_MAX);
    fl_buf_printf(&text, "%s[%.*s] ", l->answers.n ? "Re: " : "", FL_STR_ARG(l->organization));
    for (size_t i = 0; i < subject.n; i++) {
        unsigned char c = (unsigned char)subject.p[i];
        fl_buf_putc(&text, c < 0x20 || c == 0x7f ? ' ' : (char)c);
        is_plain &= c < 0x80 && c != '=';
    }
    struct fl_str view = fl_buf_view(&text);
    fl_buf_puts(out, "Subject: ");
    if (is_plain)
        fl_buf_str(out, view);
    else
        put_encoded(out, view);
    fl_buf_puts(out, "\r\n");
    out->is_failed |= text.is_failed;
    fl_buf_fini(&text);
}

/* RFC 5322, 3.3: names of days and months are English everywhere. */
static void put_date(struct fl_buf *out, int64_t at_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&at, &tm);
    fl_buf_printf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday,
                  tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                  tm.tm_sec);
}

static struct fl_str domain_of(struct fl_str address)
{
    size_t at = address.n;
    while (at && address.p[at - 1] != '@')
        at--;
    return (struct fl_str){ address.p + at, address.n - at };
}

static void put_headers(struct fl_buf *out, const struct fl_mail_letter *l)
{
    fl_buf_printf(out, "From: \"flopinio %.*s\" <%.*s>\r\nTo: <%.*s>\r\n",
                  FL_STR_ARG(l->organization), FL_STR_ARG(l->from), FL_STR_ARG(l->to));
    put_subject(out, l);
    put_date(out, l->at_ms);
    fl_buf_printf(out, "Message-ID: <%.*s>\r\n", FL_STR_ARG(l->id));
    if (l->answers.n)
        fl_buf_printf(out, "In-Reply-To: <%.*s>\r\nReferences: <%.*s>\r\n", FL_STR_ARG(l->answers),
                      FL_STR_ARG(l->answers));
    fl_buf_printf(out,
                  "List-Id: <%.*s.%.*s.%.*s>\r\nAuto-Submitted: auto-generated\r\n"
                  "X-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n",
                  FL_STR_ARG(l->channel), FL_STR_ARG(l->organization),
                  FL_STR_ARG(domain_of(l->from)));
}

/* ---------------------------------------------------------------- bodies */
/* What servers or mailboxes on the way would change at the beginning of a line. */
static bool is_fragile(struct fl_str rest)
{
    return rest.p[0] == '.' || fl_str_has_prefix(rest, FL_STR("From "));
}

/* RFC 2045, 6.7. */
static void put_quoted(struct fl_buf *out, struct fl_str text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_end = i + 1 == text.n || text.p[i + 1] == '\n';
        if (c == '\n') {
            fl_buf_puts(out, "\r\n");
            used = 0;
            continue;
        }
        bool is_plain = c >= 0x21 && c < 0x7f && c != '=';
        is_plain |= c == ' ' && !is_end;
        struct fl_str rest = { text.p + i, text.n - i };
        is_plain &= used > 0 || !is_fragile(rest);
        if (used + (is_plain ? 1 : 3) > QUOTED_MAX - 1) {
            fl_buf_puts(out, "=\r\n");
            used = 0;
            is_plain &= !is_fragile(rest);
        }
        if (is_plain)
            fl_buf_putc(out, (char)c);
        else
            fl_buf_printf(out, "=%02X", c);
        used += is_plain ? 1 : 3;
    }
}

static void put_text_body(struct fl_buf *out, const struct fl_mail_letter *l)
{
    fl_buf_str(out, l->title);
    fl_buf_puts(out, "\n\n");
    if (l->link.n) {
        fl_buf_str(out, l->link_says);
        fl_buf_puts(out, ":\n");
        fl_buf_str(out, l->link);
        fl_buf_puts(out, "\n\n");
    }
    fl_buf_str(out, l->text);
    if (l->hint.n) {
        fl_buf_puts(out, "\n-- \n");
        fl_buf_str(out, l->hint);
        fl_buf_putc(out, '\n');
    }
}

static void put_html_body(struct fl_buf *out, const struct fl_mail_letter *l)
{
    fl_buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                     "name=\"viewport\" content=\"width=device-width\"><title>");
    fl_html_text(out, l->title);
    fl_buf_puts(out, "</title></head>\n<body style=\"" BODY_STYLE "\">\n<h1 "
                     "style=\"font-size:20px;margin:0 0 12px;overflow-wrap:anywhere\">");
    fl_html_text(out, l->title);
    fl_buf_puts(out, "</h1>\n");
    if (l->link.n) {
        fl_buf_puts(out,
                    "<p style=\"margin:0 0 12px\"><a style=\"display:inline-block;padding:10px "
                    "18px;border-radius:6px;background:#0b57d0;color:#ffffff;font-weight:bold;"
                    "text-decoration:none\" href=\"");
        fl_html_text(out, l->link);
        fl_buf_puts(out, "\">");
        fl_html_text(out, l->link_says);
        fl_buf_puts(out, "</a></p>\n");
    }
    if (l->html.n) {
        fl_buf_str(out, l->html);
    } else {
        fl_buf_puts(out, "<pre style=\"white-space:pre-wrap;font:inherit\">\n");
        fl_html_text(out, l->text);
        fl_buf_puts(out, "</pre>\n");
    }
    if (l->hint.n) {
        fl_buf_puts(out, "<p style=\"color:#5f6368;font-size:13px\">");
        fl_html_text(out, l->hint);
        fl_buf_puts(out, "</p>\n");
    }
    fl_buf_puts(out, "</body></html>\n");
}

static void put_part(struct fl_buf *out, const char *boundary, const char *type,
                     void (*put)(struct fl_buf *, const struct fl_mail_letter *),
                     const struct fl_mail_letter *l)
{
    struct fl_buf body = FL_BUF_INIT;
    put(&body, l);
    fl_buf_printf(out,
                  "--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: "
                  "quoted-printable\r\n\r\n",
                  boundary, type);
    put_quoted(out, fl_buf_view(&body));
    fl_buf_puts(out, "\r\n");
    out->is_failed |= body.is_failed;
    fl_buf_fini(&body);
}

void fl_mail_compose(struct fl_buf *out, const struct fl_mail_letter *l)
{
    /* "=_" is in no quoted-printable text. */
    static const char boundary[] = "=_flopinio_part";
    put_headers(out, l);
    fl_buf_printf(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n", boundary);
    put_part(out, boundary, "text/plain", put_text_body, l);
    put_part(out, boundary, "text/html", put_html_body, l);
    fl_buf_printf(out, "--%s--\r\n", boundary);
}
