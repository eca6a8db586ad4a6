/* Mails that came back: which of ours failed for good, and that nothing else is believed. Where the
 * links in ours may lead. */
#include "flopinio/base/buf.h"
#include "flopinio/base/clock.h"
#include "harness.h"
#include "runtime/notify/bounce.h"
#include "runtime/notify/channel.h"

#define KEY  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define RING "primary 1 active " KEY "\nindex " KEY "\nsalt " KEY "\n"

/* As Postfix writes it; the places that tests change are arguments. */
static void report(struct fl_buf *out, const char *type, const char *action, const char *status,
                   const char *original)
{
    fl_buf_printf(
        out,
        "Return-Path: <>\r\nReceived: by mail.example.com (Postfix)\r\n\tid 7D21; Fri, 27 "
        "Nov 2026 08:00:00 +0000\r\nFrom: MAILER-DAEMON@mail.example.com (Mail Delivery "
        "System)\r\nSubject: Undelivered Mail Returned to Sender\r\nTo: "
        "approvals@example.com\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        "Content-Type: %s; report-type=delivery-status;\r\n\tboundary=\"7D21.1/mail\"\r\n"
        "\r\nThis is a MIME-encapsulated message.\r\n\r\n",
        type);
    fl_buf_printf(out,
                  "--7D21.1/mail\r\nContent-Description: Notification\r\nContent-Type: text/plain; "
                  "charset=us-ascii\r\n\r\nStatus: 5.0.0\r\nAction: failed\r\nMessage-ID: "
                  "<text@example.com>\r\n\r\n"
                  "--7D21.1/mail\r\nContent-Description: Delivery report\r\nContent-Type: "
                  "message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example.com\r\n"
                  "X-Postfix-Queue-ID: 7D21\r\n\r\nFinal-Recipient: rfc822; ann@example.com\r\n"
                  "Original-Recipient: rfc822;ann@example.com\r\nAction: %s\r\nStatus: %s\r\n"
                  "Remote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 550 5.1.1 "
                  "<ann@example.com>:\r\n    no\xc3\xbc such\tuser\r\n\r\n"
                  "--7D21.1/mail\r\nContent-Description: Undelivered Message\r\nContent-Type: "
                  "%s\r\n\r\nReceived: from flopinio\r\nMessage-ID:\r\n <card.mac@example.com>\r\n"
                  "Subject: Message-ID: <subject@example.com>\r\n\r\nMessage-ID: <body@example.com>"
                  "\r\n\r\n--7D21.1/mail--\r\n",
                  action, status, original);
}

static bool read_report(const char *type, const char *action, const char *status,
                        const char *original, struct fl_bounce *ret)
{
    static struct fl_buf mail;
    fl_buf_reset(&mail);
    report(&mail, type, action, status, original);
    return fl_bounce_read(fl_buf_view(&mail), ret);
}

#define GOOD_TYPE "multipart/report"

static void test_a_permanent_failure_names_our_mail(void)
{
    static const char *const originals[] = { "message/rfc822", "text/rfc822-headers; charset=utf-8",
                                             "Message/Global", "message/global-headers" };
    for (size_t i = 0; i < FL_COUNTOF(originals); i++) {
        struct fl_bounce b;
        CHECK(read_report(GOOD_TYPE, "failed", "5.1.1", originals[i], &b));
        CHECK(fl_str_is(b.message_id, "card.mac@example.com"));
        CHECK_STR(b.status, "5.1.1");
        CHECK_STR(b.said, "550 5.1.1 <ann@example.com>: no?? such user");
    }
    struct fl_bounce b;
    CHECK(read_report("Multipart/REPORT", "Failed", "5.7.28 (spam)", "message/rfc822", &b));
    CHECK_STR(b.status, "5.7.28");
}

/* What an agent wrote may be why: whoever decides on it must go on getting mail. */
static void test_what_one_mail_says_makes_no_address_dead(void)
{
    static const struct {
        const char *status;
        bool is_of_mailbox;
    } cases[] = { { "5.1.1", true },  { "5.1.2", true },   { "5.1.3", true },  { "5.1.6", true },
                  { "5.1.10", true }, { "5.2.1", true },   { "5.7.1", false }, { "5.7.28", false },
                  { "5.6.0", false }, { "5.3.4", false },  { "5.0.0", false }, { "5.2.2", false },
                  { "5.1.8", false }, { "5.1.11", false }, { "5.1.0", false }, { "5.4.4", false } };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_bounce b;
        CHECK(read_report(GOOD_TYPE, "failed", cases[i].status, "message/rfc822", &b));
        CHECK_MSG(fl_bounce_is_of_mailbox(&b) == cases[i].is_of_mailbox, "%s", cases[i].status);
    }
}

static void test_an_id_says_when_its_mail_was_made(void)
{
    struct fl_uuid card = fl_uuid_new(), found;
    char text[FL_UUID_TEXT], id[200];
    int64_t ms, now = fl_real_ms();
    fl_uuid_format(&card, text);
    snprintf(id, sizeof id, "%s.done.0123456789abcdef@example.com", text);
    CHECK(fl_mail_id_about(fl_str_of(id), &found, &ms));
    CHECK(fl_uuid_cmp(&found, &card) == 0 && ms <= now && ms > now - 60000);
    for (size_t i = 0; i <= 36; i++)
        CHECK(!fl_mail_id_about((struct fl_str){ id, i }, &found, &ms));
    id[14] = '4'; /* of another version, with no time in it */
    CHECK(!fl_mail_id_about(fl_str_of(id), &found, &ms));
}

static void test_what_is_not_permanent_is_none(void)
{
    struct fl_bounce b;
    CHECK(!read_report(GOOD_TYPE, "delayed", "4.4.1", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "failed", "4.4.7", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "delivered", "2.0.0", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "delayed", "5.1.1", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "failed", "5", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "failed", "55.1.1", "message/rfc822", &b));
    CHECK(!read_report(GOOD_TYPE, "failed", "", "message/rfc822", &b));
}

static void test_what_does_not_bring_our_mail_back_is_none(void)
{
    struct fl_bounce b;
    CHECK(!read_report(GOOD_TYPE, "failed", "5.1.1", "text/plain", &b));
    CHECK(!read_report("multipart/mixed", "failed", "5.1.1", "message/rfc822", &b));
    CHECK(!read_report("multipart/reports", "failed", "5.1.1", "message/rfc822", &b));
    CHECK(!read_report("text/plain", "failed", "5.1.1", "message/rfc822", &b));
}

/* LF for CRLF, as some stores have it. */
static void test_lines_may_end_with_lf(void)
{
    struct fl_buf mail = FL_BUF_INIT, lf = FL_BUF_INIT;
    struct fl_bounce b;
    report(&mail, GOOD_TYPE, "failed", "5.1.1", "message/rfc822");
    for (size_t i = 0; i < mail.n; i++) {
        if (mail.p[i] != '\r')
            fl_buf_putc(&lf, mail.p[i]);
    }
    CHECK(fl_bounce_read(fl_buf_view(&lf), &b));
    CHECK(fl_str_is(b.message_id, "card.mac@example.com"));
    fl_buf_fini(&mail);
    fl_buf_fini(&lf);
}

/* Cut anywhere it is read to there, and never beyond: each in memory of its own size. */
static void test_a_mail_that_is_cut_off_is_read_to_there(void)
{
    struct fl_buf mail = FL_BUF_INIT;
    struct fl_bounce b;
    size_t whole = 0;
    report(&mail, GOOD_TYPE, "failed", "5.1.1", "message/rfc822");
    for (size_t n = 0; n <= mail.n; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, mail.p, n);
        bool is_one = fl_bounce_read((struct fl_str){ copy, n }, &b);
        whole += is_one;
        CHECK(!is_one || n > mail.n - 200);
        free(copy);
    }
    CHECK(whole > 20);
    fl_buf_fini(&mail);
}

static void test_an_id_is_of_one_address_and_organization(void)
{
    struct fl_keyring *keys = NULL;
    struct fl_err err;
    struct fl_uuid org = fl_uuid_new(), other = fl_uuid_new();
    char mac[FL_MAIL_MAC_CHARS + 1], id[200];
    CHECK_OK(fl_keyring_load(FL_STR(RING), &keys, &err));
    fl_mail_id_mac(keys, &org, FL_STR("Ann@example.com"), FL_STR("4f2a.done"), mac);
    snprintf(id, sizeof id, "4f2a.done.%s@mail.example.com", mac);
    struct fl_str whole = fl_str_of(id), bare = { id, strlen("4f2a.done.") + strlen(mac) };
    CHECK(fl_mail_id_is(keys, &org, FL_STR("ann@EXAMPLE.com"), whole));
    CHECK(fl_mail_id_is(keys, &org, FL_STR("ann@example.com"), bare));
    CHECK(!fl_mail_id_is(keys, &org, FL_STR("bob@example.com"), whole));
    CHECK(!fl_mail_id_is(keys, &other, FL_STR("ann@example.com"), whole));
    for (size_t i = 0; i < bare.n; i++) {
        char changed[sizeof id];
        memcpy(changed, id, sizeof id);
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        CHECK_MSG(!fl_mail_id_is(keys, &org, FL_STR("ann@example.com"), fl_str_of(changed)), "%s",
                  changed);
        CHECK(!fl_mail_id_is(keys, &org, FL_STR("ann@example.com"), (struct fl_str){ id, i }));
    }
    CHECK(!fl_mail_id_is(keys, &org, FL_STR("ann@example.com"), FL_STR("")));
    fl_keyring_free(&keys);
}

static void test_no_link_that_signs_in_goes_in_clear(void)
{
    static const char *const good[] = { "https://a.example",     "HTTPS://a.example:8443/x",
                                        "http://localhost",      "http://LOCALHOST:7337/x",
                                        "http://x.localhost:80", "http://127.0.0.1:7337",
                                        "http://127.9.8.7/",     "http://[::1]:7337/x" };
    static const char *const bad[] = { "",
                                       "http://",
                                       "https://",
                                       "http://a.example",
                                       "http://localhost.example",
                                       "http://127.0.0.1.example",
                                       "http://localhost@a.example",
                                       "http://127.a:1",
                                       "http://[::2]",
                                       "http://[::1].example",
                                       "http://.localhos",
                                       "ftp://localhost",
                                       "localhost" };
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(good); i++)
        CHECK_MSG(fl_channel_check_public_url(&fl_channel_mail, fl_str_of(good[i]), &err) == FL_OK,
                  "%s", good[i]);
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_MSG(fl_channel_check_public_url(&fl_channel_mail, fl_str_of(bad[i]), &err) ==
                      FL_BAD_PARAMS,
                  "%s", bad[i]);
    CHECK_OK(fl_channel_check_public_url(&fl_channel_slack, FL_STR("http://a.example"), &err));
}

static const struct fl_test tests[] = {
    T(a_permanent_failure_names_our_mail),        T(what_is_not_permanent_is_none),
    T(what_does_not_bring_our_mail_back_is_none), T(lines_may_end_with_lf),
    T(a_mail_that_is_cut_off_is_read_to_there),   T(an_id_is_of_one_address_and_organization),
    T(what_one_mail_says_makes_no_address_dead),  T(an_id_says_when_its_mail_was_made),
    T(no_link_that_signs_in_goes_in_clear),
};
TEST_MAIN(tests)
