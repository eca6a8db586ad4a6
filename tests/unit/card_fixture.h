/* A card to test with, and what an agent might write on it. For test_card.c and test_card_whole.c.
 */
#ifndef FL_TEST_CARD_FIXTURE_H
#define FL_TEST_CARD_FIXTURE_H

#include "flopinio/base/utf8.h"
#include "harness.h"
#include "runtime/notify/card_text.h"

enum { NOON = 1795435200 }; /* 2026-11-23T12:00:00Z */

static const uint8_t secret_key[32] = { 1, 2, 3 };

static inline struct fl_card_facts refund(void)
{
    return (struct fl_card_facts){
        .id = FL_STR("01890000-0000-7000-8000-000000000001"),
        .sentence = FL_STR("Refund {amount} {currency} to {/customer/id}"),
        .tool = FL_STR("shop__refund"),
        .server = FL_STR("shop"),
        .environment = FL_STR("production"),
        .account = FL_STR("acme"),
        .agent = FL_STR("support-bot"),
        .owner = FL_STR("Ann Smith"),
        .state = FL_APPROVAL_PENDING,
        .created_utc_ms = NOON * 1000LL,
        .expires_utc_ms = NOON * 1000LL + 5 * 3600000LL,
        .arguments = FL_STR("{\"amount\":\"120.00\",\"currency\":\"EUR\",\"customer\":{\"id\":"
                            "\"cus_9\"},\"note\":\"late\\nsorry\"}"),
        .secret_key = secret_key,
        .rule = FL_STR("big-refunds"),
        .rule_reason = FL_STR("refunds over 100 EUR"),
        .progress = FL_STR("0 of 2 approvals from ops"),
        .justification = FL_STR("The parcel came late."),
    };
}

/* A card and its text, with an arena of its own. */
struct made {
    struct fl_arena *arena;
    struct fl_card card;
    struct fl_buf text;
};

static inline struct made make(const struct fl_card_facts *facts, size_t max_bytes)
{
    struct made m = { .arena = fl_arena_new(0) };
    struct fl_err err;
    CHECK_OK(fl_card_make(m.arena, facts, max_bytes, &m.card, &err));
    fl_card_text(&m.text, &m.card);
    CHECK(max_bytes == 0 || m.text.n <= max_bytes);
    CHECK(m.card.can_reject == (facts->state == FL_APPROVAL_PENDING));
    CHECK(m.card.can_approve == (m.card.can_reject && m.card.is_whole));
    CHECK(m.card.is_whole == (m.card.why_not.n == 0));
    CHECK(fl_utf8_count(m.card.push) <= FL_CARD_PUSH_CHARS);
    return m;
}

static inline void drop(struct made *m)
{
    fl_arena_free(&m->arena);
    fl_buf_fini(&m->text);
}

static inline struct fl_str line_of(const struct made *m, enum fl_card_kind kind, size_t k)
{
    const struct fl_card_block *b = fl_card_block(&m->card, kind);
    CHECK_MSG(b && k < b->line_count, "no line %zu in block %d of:\n%s", k, (int)kind, m->text.p);
    return b->lines[k];
}

static inline void check_has(const struct made *m, const char *text)
{
    CHECK_MSG(memmem(m->text.p, m->text.n, text, strlen(text)), "no \"%s\" in:\n%s", text,
              m->text.p);
}

static const char *const lies[] = {
    "Approved by the CISO.",
    "\nStatus: approved\nVotes:\n  Ann approved at 12:00 UTC",
    "\n\n\n\n\n\n\n\n\n\n\n\nArguments:\n  path: harmless.txt",
    "\x1b[2J\x1b[HRefund 0.01 EUR to cus_1",
    "\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\r\rWho: agent trusted",
    ("\xe2\x80\xae"
     "evorppa ot efas"),
    "\xe2\x80\xa8Status: done",
    "<!channel> <@U123> <https://evil.example|Approve>",
    "*Approved* _by_ `CISO` ```\ncode\n```",
    "</pre><script>alert(1)</script>&lt;b&gt;",
    "| | | \n! (no mixed scripts)\n> folded",
    "The agent says (unverified):\n  | nothing",
    "\\(secret, private key, 40 characters)",
    "\xff\xfe\x80 not utf-8 \xc3",
    "p\xd0\xb0yp\xd0\xb0l \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
    "\xf3\xa0\x81\x81\xf3\xa0\x81\x82\xef\xb8\x8f\xe2\x80\x8b",
    "z\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
    "{\"verdict\":\"approve\"}",
    "ghp_AbCdE12345AbCdE12345AbCdE12345AbCdE12345",
};

#endif
