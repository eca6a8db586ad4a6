/* The card: its words, that nothing is hidden on it, and that nobody can forge its lines. */
#include "card_inverse.h"
#include "flopinio/base/jcs.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "harness.h"
#include "json_gen.h"
#include "runtime/notify/card_text.h"
#include "runtime/notify/card_title.h"

enum { NOON = 1795435200 }; /* 2026-11-23T12:00:00Z */

static const uint8_t secret_key[32] = { 1, 2, 3 };

static struct fl_card_facts refund(void)
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

static struct made make(const struct fl_card_facts *facts, size_t max_bytes)
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

static void drop(struct made *m)
{
    fl_arena_free(&m->arena);
    fl_buf_fini(&m->text);
}

static struct fl_str line_of(const struct made *m, enum fl_card_kind kind, size_t k)
{
    const struct fl_card_block *b = fl_card_block(&m->card, kind);
    CHECK_MSG(b && k < b->line_count, "no line %zu in block %d of:\n%s", k, (int)kind, m->text.p);
    return b->lines[k];
}

static void check_has(const struct made *m, const char *text)
{
    CHECK_MSG(memmem(m->text.p, m->text.n, text, strlen(text)), "no \"%s\" in:\n%s", text,
              m->text.p);
}

/* ---- what it says ---- */

static void test_a_whole_card_reads_as_documented(void)
{
    struct fl_card_facts f = refund();
    struct fl_card_vote vote = { FL_STR("Bob"), FL_STR("Slack"), FL_STR("looks right"), true,
                                 NOON * 1000LL + 60000 };
    f.preview_kind = FL_STR("text");
    f.preview = FL_STR("balance 500.00 -> 380.00\nno earlier refund");
    f.preview_utc_ms = NOON * 1000LL - 60000;
    f.precondition = FL_STR("etag:7");
    f.risk = FL_STR("high");
    f.asked_count = 3;
    f.asked_again = FL_STR("the policy changed");
    f.votes = &vote;
    f.vote_count = 1;
    f.is_not_isolated = true;
    struct made m = make(&f, 4096);
    CHECK_STR(m.text.p,
              "Refund 120.00 EUR to cus_9\n"
              "Where: server shop, environment production, account acme\n"
              "Who: agent support-bot of Ann Smith; the caller waits; expires 17:00 UTC\n"
              "  not isolated from the agent: this approval is advisory\n"
              "Status: waiting; when approved it runs at once; without a decision it ends at "
              "17:00 UTC\n"
              "Arguments:\n"
              "  amount: \"120.00\"\n"
              "  currency: EUR\n"
              "  customer.id: cus_9\n"
              "  note: (2 lines)\n"
              "  | late\n"
              "  | sorry\n"
              "Preview (text), as of 11:59 UTC:\n"
              "  | balance 500.00 -> 380.00\n"
              "  | no earlier refund\n"
              "  runs only if unchanged: etag:7\n"
              "Rule: big-refunds: refunds over 100 EUR\n"
              "  risk: high\n"
              "  0 of 2 approvals from ops\n"
              "  asked 3 times: the policy changed\n"
              "Votes:\n"
              "  approved by Bob at 12:01 UTC via Slack: looks right\n"
              "Approval: 01890000-0000-7000-8000-000000000001\n"
              "The agent says (unverified):\n"
              "  | The parcel came late.\n");
    CHECK(m.card.is_whole && m.card.can_approve);
    CHECK_SPAN(m.card.push, "waiting: Refund 120.00 EUR to cus_9 (shop, production)");
    CHECK_INT(m.card.blocks[m.card.block_count - 1].kind, FL_CARD_AGENT);
    drop(&m);
}

static void test_each_state_says_what_happens_next_or_happened(void)
{
    static const struct {
        enum fl_approval_state state;
        enum fl_card_caller caller;
        const char *line;
    } cases[] = {
        { FL_APPROVAL_PENDING, FL_CALLER_TASK,
          "waiting; when approved it runs at once; without a decision it ends at 17:00 UTC" },
        { FL_APPROVAL_PENDING, FL_CALLER_GONE,
          "waiting; when approved it runs once the agent collects it, until 17:00 UTC" },
        { FL_APPROVAL_APPROVED, FL_CALLER_WAITS, "approved; runs now" },
        { FL_APPROVAL_APPROVED, FL_CALLER_GONE,
          "approved; runs when the agent collects it, until 17:00 UTC" },
        { FL_APPROVAL_CLAIMED, FL_CALLER_WAITS, "approved; runs now" },
        { FL_APPROVAL_DISPATCHED, FL_CALLER_WAITS, "running since 12:30 UTC" },
        { FL_APPROVAL_SUCCEEDED, FL_CALLER_WAITS, "done, at 12:30 UTC" },
        { FL_APPROVAL_FAILED, FL_CALLER_WAITS, "failed, at 12:30 UTC" },
        { FL_APPROVAL_UNKNOWN, FL_CALLER_WAITS,
          "outcome unknown: it may have happened, at 12:30 UTC; a person has to settle it" },
        { FL_APPROVAL_REJECTED, FL_CALLER_WAITS, "rejected, at 12:30 UTC; it did not run" },
        { FL_APPROVAL_EXPIRED, FL_CALLER_WAITS, "expired, at 12:30 UTC; it did not run" },
        { FL_APPROVAL_CANCELLED, FL_CALLER_WAITS, "cancelled, at 12:30 UTC; it did not run" },
        { FL_APPROVAL_VOIDED, FL_CALLER_WAITS,
          "withdrawn, at 12:30 UTC; a check failed before it was sent, so it did not run" },
    };
    unsigned seen = 0;
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_card_facts f = refund();
        f.state = cases[i].state;
        f.caller = cases[i].caller;
        f.changed_utc_ms = NOON * 1000LL + 1800000;
        seen |= 1u << f.state;
        struct made m = make(&f, 0);
        CHECK_SPAN(line_of(&m, FL_CARD_STATUS, 0), cases[i].line);
        CHECK(m.card.is_whole);
        drop(&m);
    }
    CHECK_INT(seen, (1u << FL_APPROVAL_STATE_COUNT) - 1);
    struct fl_card_facts f = refund();
    f.state = FL_APPROVAL_FAILED;
    f.outcome = FL_STR("no such customer\nStatus: done");
    f.next = FL_STR("ask again");
    struct made m = make(&f, 0);
    CHECK_SPAN(line_of(&m, FL_CARD_STATUS, 0), "failed; ask again");
    CHECK_SPAN(line_of(&m, FL_CARD_STATUS, 1), "reason: no such customer\\nStatus: done");
    drop(&m);
}

static void test_times_are_of_the_zone_and_name_another_day(void)
{
    struct fl_card_facts f = refund();
    f.utc_offset_min = -210;
    f.expires_utc_ms = (NOON + 86400) * 1000LL;
    struct made m = make(&f, 0);
    check_has(&m, "; expires 2026-11-24 08:30 UTC-03:30\n");
    drop(&m);
}

static void test_absent_facts_leave_no_empty_lines(void)
{
    struct fl_card_facts f = { .arguments = FL_STR("{}") };
    struct made m = make(&f, 0);
    CHECK_STR(m.text.p, "(a tool without a name) with no arguments\n"
                        "Who: the caller waits; expires 00:00 UTC\n"
                        "Status: waiting; when approved it runs at once; without a decision it "
                        "ends at 00:00 UTC\n"
                        "Arguments:\n"
                        "  (no arguments)\n");
    drop(&m);
}

/* ---- the sentence ---- */

static void check_title(const char *sentence, const char *arguments, const char *want)
{
    struct fl_card_facts f = { .sentence = fl_str_of(sentence),
                               .tool = FL_STR("files__delete"),
                               .arguments = fl_str_of(arguments) };
    struct made m = make(&f, 0);
    CHECK_SPAN(line_of(&m, FL_CARD_TITLE, 0), want);
    drop(&m);
}

static void test_the_sentence_is_filled_from_the_stored_bytes(void)
{
    static const char plain[] = "files__delete with 2 arguments";
    check_title("Delete file {path}", "{\"path\":\"reports/q3.md\"}", "Delete file reports/q3.md");
    check_title("Delete file {path}", "{\"path\":\"my file\"}", "Delete file \"my file\"");
    check_title("{a} of {b}", "{\"a\":12.5,\"b\":true}", "12.5 of true");
    check_title("{/a/1/b~1c} {/a/0}", "{\"a\":[null,{\"b/c\":\"x\"}]}", "x null");
    check_title("{{{a}}} {b}", "{\"a\":\"1\",\"b\":[]}", "{1} (list)");
    check_title("{a} {b}", "{\"a\":\"\",\"b\":{}}", "\"\" (object)");
    /* What a value says cannot pass for the sentence. */
    check_title("To {a}.", "{\"a\":\"x\\\" (approved by \\\"CFO\"}",
                "To \"x\\\" (approved by \\\"CFO\".");
    check_title("To {a}", "{\"a\":\"x\\nStatus: done\"}", "To \"x\\nStatus: done\"");
    check_title("To {a}", "{\"a\":\"p\xd0\xb0y\"}",
                "To \"p\xd0\xb0y\" (mixed scripts: Latin, Cyrillic)");
    check_title("To {a} now", "{\"a\":\"\xd7\x90\"}", "To \"\\u{5D0}\" now");
    /* Nothing is cut off silently. */
    check_title("Run {a}",
                "{\"a\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
                "Run 012345678901234567890123456789012345678901234567890123456789\xe2\x80\xa6 "
                "(64 characters, whole below)");
    /* What is missing or wrong gives way to the plain title. */
    check_title("Delete {path}", "{\"a\":1,\"b\":2}", plain);
    check_title("Delete {/a/x}", "{\"a\":1,\"b\":2}", plain);
    check_title("Delete {/a/01}", "{\"a\":[1,2],\"b\":2}", plain);
    check_title("Delete {/a/2}", "{\"a\":[1,2],\"b\":2}", plain);
    check_title("Delete {a", "{\"a\":1,\"b\":2}", plain);
    check_title("", "{\"a\":1,\"b\":2}", plain);
    check_title("", "{\"a\":1}", "files__delete with 1 argument");
}

static void test_a_sentence_that_cannot_be_right_is_refused(void)
{
    static const struct {
        const char *sentence, *error;
    } cases[] = {
        { "Delete {a", "the brace at byte 8 of the sentence is not closed, not opened, or empty "
                       "(write {{ or }} for a brace itself)" },
        { "a}", "the brace at byte 2 of the sentence is not closed, not opened, or empty (write "
                "{{ or }} for a brace itself)" },
        { "{}", "the brace at byte 1 of the sentence is not closed, not opened, or empty (write {{ "
                "or }} for a brace itself)" },
        { "{a{b}}", "the brace at byte 1 of the sentence is not closed, not opened, or empty "
                    "(write {{ or }} for a brace itself)" },
        { "{/a~2}", "{/a~2} is not a JSON pointer" },
        { "a\nb", "a sentence is one line of text" },
        { "\xff", "a sentence is not valid UTF-8" },
    };
    struct fl_err err;
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        CHECK_INT(fl_sentence_check(fl_str_of(cases[i].sentence), &err), FL_CONFIG);
        CHECK_STR(err.text, cases[i].error);
    }
    char longest[FL_SENTENCE_MAX_BYTES + 1];
    memset(longest, 'a', sizeof longest);
    CHECK_INT(fl_sentence_check((struct fl_str){ longest, sizeof longest }, &err), FL_CONFIG);
    CHECK_STR(err.text, "a sentence has at most 200 bytes, not 201");
    CHECK_OK(fl_sentence_check((struct fl_str){ longest, sizeof longest - 1 }, &err));
    CHECK_OK(fl_sentence_check(FL_STR("{{x}} {a} {/b~1c/0}"), &err));
}

/* ---- arguments: A2 ---- */

static void check_args(const char *arguments, const char *want)
{
    struct fl_card_facts f = { .arguments = fl_str_of(arguments), .secret_key = secret_key };
    struct fl_buf lines = FL_BUF_INIT, back = FL_BUF_INIT;
    struct made m = make(&f, 0);
    const struct fl_card_block *b = fl_card_block(&m.card, FL_CARD_ARGS);
    for (size_t i = 0; i < b->line_count; i++)
        fl_buf_printf(&lines, "%.*s\n", FL_STR_ARG(b->lines[i]));
    CHECK_STR(lines.p, want);
    CHECK(m.card.is_whole);
    if (!memmem(lines.p, lines.n, "(secret", 7)) {
        CHECK_MSG(inverse_card(&m.card, &back), "%s", lines.p);
        CHECK_STR(back.p, arguments);
    }
    fl_buf_fini(&lines);
    fl_buf_fini(&back);
    drop(&m);
}

static void test_arguments_are_lines_that_nothing_else_can_be(void)
{
    check_args("{\"a\":{\"b\":[1,{\"c\":null}],\"d\":{}},\"e\":[]}",
               "a.b[0]: 1\na.b[1].c: null\na.d: (empty object)\ne: (empty list)\n");
    check_args("{\"\":1,\"a b\":2,\"a.b\":3,\"x\\\"y\":4}",
               "\"\": 1\n\"a b\": 2\n\"a.b\": 3\n\"x\\\"y\": 4\n");
    check_args("{\"a\":\"true\",\"b\":\"5\",\"c\":\"\",\"d\":\" x\",\"e\":\"x \",\"f\":\"(none)\","
               "\"g\":\"-\",\"h\":\"\\\"q\\\"\"}",
               "a: \"true\"\nb: \"5\"\nc: \"\"\nd: \" x\"\ne: x\\u{20}\nf: \"(none)\"\ng: \"-\"\n"
               "h: \"\"q\"\"\n");
    check_args("{\"a\":\"x\\n\\n| y\\nb: forged\\n\"}",
               "a: (5 lines)\n| x\n|\n| | y\n| b: forged\n|\n");
    check_args("{\"a\":\"\\n\"}", "a: (2 lines)\n|\n|\n");
    check_args("{\"a\":\"\\u001b[2K\\r\\tC:\\\\x\"}", "a: \\u{1B}[2K\\r\\tC:\\\\x\n");
    check_args("{\"! (note)\":\"x\"}", "\"! (note)\": x\n");
    check_args("[]", "(arguments): (empty list)\n");
    check_args("\"x\"", "(arguments): x\n");
    check_args("[[[]],7]", "[0][0]: (empty list)\n[1]: 7\n");
    check_args(
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]]]]]]]]"
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]"
        "[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]"
        "[0][0][0][0][0][0][0][0][0][0]: 7\n"); /* as deep as a call may be */
    check_args("{\"host\":\"p\xd0\xb0y\",\"t\":\"\xd7\x90\"}",
               "host: p\xd0\xb0y\n! (mixed scripts: Latin, Cyrillic)\nt: \xd7\x90\n"
               "! (right-to-left text)\n");
}

static const char *const pieces[] = { "\\n",
                                      "\\n",
                                      "| ",
                                      "! ",
                                      ": ",
                                      "\\\"",
                                      "\\\\",
                                      "(2 lines)",
                                      "\\u0001",
                                      "\\t",
                                      " ",
                                      "true",
                                      "12",
                                      "\xd0\xb0",
                                      "\xe2\x80\xae",
                                      "\xd7\x90",
                                      "\xf3\xa0\x81\x81",
                                      "\xf0\x9f\x9a\x80",
                                      "a",
                                      "b.c",
                                      "[0]",
                                      "e\xcc\x81",
                                      "\\\\u{41}",
                                      "://",
                                      "(empty list)",
                                      "\x7f" };

/* `n` objects within each other with hostile strings for keys and values. */
static void gen_hostile(struct gen *g, struct fl_buf *out, size_t bytes)
{
    size_t depth = 0;
    fl_buf_puts(out, "{\"start\":0");
    while (out->n < bytes) {
        fl_buf_printf(out, ",\"k%zu", out->n);
        for (size_t i = gen_below(g, 3); i; i--)
            fl_buf_puts(out, GEN_PICK(g, pieces));
        fl_buf_puts(out, "\":");
        if (depth < 20 && gen_below(g, 8) == 0) {
            fl_buf_puts(out, "{\"in\":[]");
            depth++;
            continue;
        }
        fl_buf_putc(out, '"');
        for (size_t i = gen_below(g, gen_below(g, 10) ? 6 : 200); i; i--)
            fl_buf_puts(out, GEN_PICK(g, pieces));
        fl_buf_putc(out, '"');
        if (depth && gen_below(g, 8) == 0) {
            fl_buf_putc(out, '}');
            depth--;
        }
    }
    while (depth--)
        fl_buf_putc(out, '}');
    fl_buf_putc(out, '}');
}

/* Either every byte can be had back from the card, or it cannot be approved from. */
static bool check_honest(struct fl_str arguments, size_t max_bytes)
{
    struct fl_card_facts f = refund();
    f.arguments = arguments;
    struct made m = make(&f, max_bytes);
    bool is_whole = m.card.is_whole;
    if (is_whole) {
        struct fl_buf back = FL_BUF_INIT;
        CHECK_MSG(inverse_card(&m.card, &back), "not to be had back:\n%s", m.text.p);
        CHECK_MSG(fl_str_eq(fl_buf_view(&back), arguments), "%s\nis not\n%.*s", back.p,
                  FL_STR_ARG(arguments));
        fl_buf_fini(&back);
    } else {
        CHECK(!m.card.can_approve && m.card.can_reject);
        check_has(&m, "cannot be approved from here: ");
    }
    drop(&m);
    return is_whole;
}

static void test_every_byte_is_shown_or_there_is_no_approving(void)
{
    struct gen g = { 7 };
    unsigned whole = 0, parts = 0;
    for (int round = 0; round < 3000; round++) {
        struct fl_buf raw = FL_BUF_INIT, canonical = FL_BUF_INIT;
        if (round % 3 == 0)
            gen_hostile(&g, &raw, 1 + gen_below(&g, 3000));
        else
            gen_json(&g, &raw, true);
        if (fl_scan(fl_buf_view(&raw), &fl_scan_call, NULL, 0, NULL, NULL) == FL_OK &&
            fl_jcs(fl_buf_view(&raw), &canonical, NULL) == FL_OK) {
            size_t limits[] = { 0, FL_CARD_MIN_BYTES, 3000, 4096 };
            bool is_whole = check_honest(fl_buf_view(&canonical), limits[gen_below(&g, 4)]);
            whole += is_whole;
            parts += !is_whole;
        }
        fl_buf_fini(&raw);
        fl_buf_fini(&canonical);
    }
    CHECK_MSG(whole > 2000 && parts > 200, "%u whole, %u not", whole, parts);
}

static void test_a_mebibyte_is_shown_whole_or_named_by_size(void)
{
    struct gen g = { 11 };
    struct fl_buf raw = FL_BUF_INIT, canonical = FL_BUF_INIT;
    gen_hostile(&g, &raw, 1 << 20);
    CHECK_OK(fl_scan(fl_buf_view(&raw), &fl_scan_call, NULL, 0, NULL, NULL));
    CHECK_OK(fl_jcs(fl_buf_view(&raw), &canonical, NULL));
    CHECK(check_honest(fl_buf_view(&canonical), 0));
    CHECK(!check_honest(fl_buf_view(&canonical), 4096));
    fl_buf_reset(&raw); /* one key so long that its path cannot stand in each line */
    fl_buf_puts(&raw, "{\"");
    for (int i = 0; i < 1 << 16; i++)
        fl_buf_putc(&raw, 'k');
    fl_buf_puts(&raw, "\":[1");
    for (int i = 0; i < 1000; i++)
        fl_buf_puts(&raw, ",1");
    fl_buf_puts(&raw, "]}");
    CHECK(!check_honest(fl_buf_view(&raw), 0));
    fl_buf_fini(&raw);
    fl_buf_fini(&canonical);
}

static void test_what_does_not_fit_is_named_with_its_size(void)
{
    struct fl_card_facts f = refund();
    struct fl_buf args = FL_BUF_INIT, preview = FL_BUF_INIT;
    fl_buf_puts(&args, "{\"a\":[1,2],\"b\":{\"x\":1},\"text\":\"");
    for (int i = 0; i < 3000; i++)
        fl_buf_puts(&args, "\xc3\xa9");
    fl_buf_puts(&args, "\",\"zz\":true}");
    for (int i = 0; i < 3000; i++)
        fl_buf_puts(&preview, "y");
    f.arguments = fl_buf_view(&args);
    f.sentence = FL_STR("Write {text}");
    struct made m = make(&f, 4096);
    check_has(&m, "cannot be approved from here: the arguments (6043 bytes) do not fit here; it "
                  "can be rejected\n");
    check_has(&m, "Arguments:\n  (6043 bytes, sha256:");
    check_has(&m, ", not shown here)\n  a: (list of 2)\n  b: (object of 1)\n  text: (text of 3000 "
                  "characters)\n  zz: (one value)\n");
    check_has(&m, "\xe2\x80\xa6\" (3000 characters)\n"); /* not "whole below" */
    drop(&m);
    f.preview = fl_buf_view(&preview);
    m = make(&f, 4096);
    check_has(&m, "the arguments (6043 bytes) do not fit here"); /* the preview does, alone */
    drop(&m);
    m = make(&f, 2048);
    check_has(&m, "the arguments (6043 bytes) and the preview (3000 bytes) do not fit here");
    drop(&m);
    m = make(&f, 8000);
    check_has(&m, "the preview (3000 bytes) does not fit here");
    check_has(&m, "Preview:\n  (3000 bytes, not shown here)\n");
    drop(&m);
    m = make(&f, 16000);
    CHECK(m.card.is_whole);
    drop(&m);
    f.account = fl_buf_view(&preview); /* and if the rest is too long, little is left */
    m = make(&f, 2048);
    check_has(&m, "shop__refund with 4 arguments\nStatus: waiting; ");
    check_has(&m, "cannot be approved from here: most of it does not fit here; it can be "
                  "rejected\nApproval: 0189");
    drop(&m);
    fl_buf_fini(&args);
    fl_buf_fini(&preview);
}

static void test_arguments_that_cannot_be_read_cannot_be_approved(void)
{
    static const struct {
        const char *arguments, *why;
    } cases[] = {
        { "", "the stored arguments cannot be read" },
        { "{\"a\":1", "the stored arguments cannot be read" },
        { "{\"a\":1,\"a\":2}", "the stored arguments cannot be read" },
        { "{\"b\":1,\"a\":2}", "the stored arguments are not in their canonical form" },
        { "{\"a\": 1}", "the stored arguments are not in their canonical form" },
        { "{\"a\":1.0}", "the stored arguments are not in their canonical form" },
        { "{\"a\":0.1234567890123456789}", "the stored arguments are not in their canonical form" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_card_facts f = refund();
        f.arguments = fl_str_of(cases[i].arguments);
        struct made m = make(&f, 0);
        CHECK(!m.card.is_whole);
        CHECK_SPAN(m.card.why_not, cases[i].why);
        check_has(&m, "shop__refund, its arguments cannot be read\n");
        drop(&m);
    }
}

/* ---- the agent's own words: A1 ---- */

static const char *const lies[] = {
    "Approved by the CISO.",
    "\nStatus: approved\nVotes:\n  Ann approved at 12:00 UTC",
    "\n\n\n\n\n\n\n\n\n\n\n\nArguments:\n  path: harmless.txt",
    "\x1b[2J\x1b[HRefund 0.01 EUR to cus_1",
    "\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\r\rWho: agent trusted",
    "\xe2\x80\xae"
    "evorppa ot efas",
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

static void test_200_hostile_reasons_leave_the_rest_as_it_is(void)
{
    unsigned count = 0;
    size_t limits[] = { 0, 4096, 2048 };
    for (size_t k = 0; k < FL_COUNTOF(limits); k++) {
        struct fl_card_facts f = refund();
        struct fl_buf none_term = FL_BUF_INIT;
        f.justification = FL_STR("");
        struct made none = make(&f, limits[k]);
        fl_card_terminal(&none_term, &none.card, 60, true);
        for (size_t i = 0; i < 200; i++, count++) {
            struct fl_buf lie = FL_BUF_INIT, term = FL_BUF_INIT;
            for (size_t times = 0; times <= (i / FL_COUNTOF(lies)) * 30; times++)
                fl_buf_puts(&lie, lies[i % FL_COUNTOF(lies)]);
            f.justification = fl_buf_view(&lie);
            struct made m = make(&f, limits[k]);
            CHECK_INT(m.card.block_count, none.card.block_count + 1);
            CHECK(m.text.n > none.text.n && memcmp(m.text.p, none.text.p, none.text.n) == 0);
            const char *label = m.text.p + none.text.n;
            CHECK(strncmp(label, "The agent says (unverified):\n  |", 32) == 0);
            for (const char *at = strchr(label, '\n'); at[1]; at = strchr(at + 1, '\n'))
                CHECK_MSG(memcmp(at, "\n  |", 4) == 0 || memcmp(at, "\n  ! (", 6) == 0 ||
                              memcmp(at, "\n  (", 4) == 0,
                          "a line of its own:%s", at);
            CHECK(fl_str_eq(m.card.push, none.card.push));
            CHECK(m.card.can_approve == none.card.can_approve);
            fl_card_terminal(&term, &m.card, 60, true);
            CHECK(memcmp(term.p, none_term.p, none_term.n) == 0);
            fl_buf_fini(&lie);
            fl_buf_fini(&term);
            drop(&m);
        }
        fl_buf_fini(&none_term);
        drop(&none);
    }
    CHECK_INT(count, 600);
}

static void test_the_agents_words_are_capped_and_the_rest_is_counted(void)
{
    struct fl_card_facts f = refund();
    struct fl_buf words = FL_BUF_INIT;
    for (int i = 0; i < 700; i++)
        fl_buf_puts(&words, "\xc3\xa9");
    f.justification = fl_buf_view(&words);
    struct made m = make(&f, 0);
    CHECK_INT(fl_utf8_count(line_of(&m, FL_CARD_AGENT, 0)), FL_CARD_WORDS + 2);
    CHECK_SPAN(line_of(&m, FL_CARD_AGENT, 1), "(200 more characters not shown)");
    CHECK(m.card.is_whole);
    drop(&m);
    fl_buf_reset(&words);
    for (int i = 0; i < 498; i++) /* a secret across the cut is not cut */
        fl_buf_putc(&words, ' ');
    fl_buf_puts(&words, "ghp_AbCdE12345AbCdE12345AbCdE12345AbCdE12345 x");
    f.justification = fl_buf_view(&words);
    m = make(&f, 0);
    check_has(&m, "\\(secret, GitHub token, hmac-sha256:");
    check_has(&m, "44 characters)\n  (2 more characters not shown)\n");
    CHECK(!strstr(m.text.p, "gh"));
    drop(&m);
    fl_buf_fini(&words);
}

/* ---- secrets: E2 ---- */

#define GITHUB "ghp_AbCdE12345AbCdE12345AbCdE12345AbCdE12345"

static void test_secrets_are_shown_as_digest_and_length(void)
{
    static const struct fl_str pointers[] = { FL_STR("/auth/password"), FL_STR("/keys/*/value"),
                                              FL_STR("/list/1"), FL_STR("/a~1b") };
    struct fl_card_facts f = refund();
    f.secrets = pointers;
    f.secret_count = FL_COUNTOF(pointers);
    f.sentence = FL_STR("Use {/auth/password} and {token} and {/a~1b/x}");
    f.arguments =
        FL_STR("{\"a/b\":{\"x\":\"inner-secret\"},\"auth\":{\"password\":\"hunter2hunter2\","
               "\"user\":\"ann\"},\"keys\":[{\"name\":\"k\",\"value\":\"topsecret1\"}],"
               "\"list\":[\"shown\",\"hidden-value\"],\"token\":\"Bearer " GITHUB "\"}");
    f.preview = FL_STR("POST / with hunter2hunter2 and topsecret1\n" GITHUB);
    f.justification = FL_STR("I use hunter2hunter2, hidden-value and " GITHUB);
    f.outcome = FL_STR("bad password hunter2hunter2");
    struct made m = make(&f, 0);
    CHECK(m.card.is_whole);
    CHECK_SPAN(line_of(&m, FL_CARD_TITLE, 0), "Use (secret) and (secret) and (secret)");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 0),
               "\"a/b\": (secret, hmac-sha256:b4b651c5, 20 characters)");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 1),
               "auth.password: (secret, hmac-sha256:635c6942, 14 characters)");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 2), "auth.user: ann");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 3), "keys[0].name: k");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 4),
               "keys[0].value: (secret, hmac-sha256:cf27bdad, 10 characters)");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 5), "list[0]: shown");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 6),
               "list[1]: (secret, hmac-sha256:74a30d73, 12 characters)");
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 7),
               "token: Bearer \\(secret, GitHub token, hmac-sha256:48fb4f7e, 44 characters)");
    CHECK_SPAN(line_of(&m, FL_CARD_PREVIEW, 0),
               "| POST / with \\(secret, an argument, hmac-sha256:635c6942, 14 characters) and "
               "\\(secret, an argument, hmac-sha256:cf27bdad, 10 characters)");
    static const char *const planted[] = { "hunter2",      "topsecret", "hidden-value",
                                           "inner-secret", "ghp_",      "AbCdE" };
    struct fl_buf term = FL_BUF_INIT;
    fl_card_terminal(&term, &m.card, 80, false);
    CHECK(strstr(term.p, "ann")); /* canary: what is no secret is there */
    for (size_t i = 0; i < FL_COUNTOF(planted); i++) {
        CHECK_MSG(!strstr(m.text.p, planted[i]), "%s in\n%s", planted[i], m.text.p);
        CHECK(!strstr(term.p, planted[i]));
        CHECK(!memmem(m.card.push.p, m.card.push.n, planted[i], strlen(planted[i])));
    }
    fl_buf_fini(&term);
    drop(&m);
    m = make(&f, FL_CARD_MIN_BYTES); /* less fits, and still nothing shows */
    for (size_t i = 0; i < FL_COUNTOF(planted); i++)
        CHECK(!strstr(m.text.p, planted[i]));
    drop(&m);
    f.secret_key = NULL;
    m = make(&f, 0);
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 1), "auth.password: (secret, 14 characters)");
    drop(&m);
}

static void test_pointers_that_are_none_hide_rather_too_much(void)
{
    static const struct {
        const char *pointer, *lines[2];
    } cases[] = {
        { "token", { "token: (secret, 3 characters)", "x: 1" } },
        { "/", { "token: abc", "x: 1" } }, /* the member named "" */
        { "/token/deeper", { "token: abc", "x: 1" } },
        { "/*", { "token: (secret, 3 characters)", "x: (secret, 1 character)" } },
        { "", { "(arguments): (secret, 21 characters)", NULL } },
        { "#/token", { "(arguments): (secret, 21 characters)", NULL } },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_str pointer = fl_str_of(cases[i].pointer);
        struct fl_card_facts f = { .arguments = FL_STR("{\"token\":\"abc\",\"x\":1}"),
                                   .secrets = &pointer,
                                   .secret_count = 1 };
        struct made m = make(&f, 0);
        for (size_t k = 0; k < 2 && cases[i].lines[k]; k++)
            CHECK_SPAN(line_of(&m, FL_CARD_ARGS, k), cases[i].lines[k]);
        drop(&m);
    }
}

static void test_a_secret_cannot_hide_words_in_other_arguments(void)
{
    struct fl_str pointer = FL_STR("/password");
    struct fl_card_facts f = { .arguments = FL_STR("{\"command\":\"drop table users\","
                                                   "\"password\":\"table users\"}"),
                               .secrets = &pointer,
                               .secret_count = 1 };
    struct made m = make(&f, 0);
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 0), "command: drop table users");
    drop(&m);
}

static void test_more_secrets_than_are_looked_for_close_the_preview(void)
{
    struct fl_str pointer = FL_STR("/k");
    struct fl_card_facts f = refund();
    struct fl_buf args = FL_BUF_INIT;
    fl_buf_puts(&args, "{\"k\":[\"first-0\"");
    for (int i = 1; i < 70; i++)
        fl_buf_printf(&args, ",\"secret-%d\"", i);
    fl_buf_puts(&args, "]}");
    f.arguments = fl_buf_view(&args);
    f.secrets = &pointer;
    f.secret_count = 1;
    f.preview = f.justification = FL_STR("with secret-69");
    struct made m = make(&f, 0);
    CHECK_SPAN(line_of(&m, FL_CARD_ARGS, 0),
               "k: (secret, hmac-sha256:6007916c, 830 characters)"); /* the list as a whole */
    CHECK(!m.card.is_whole);
    CHECK_SPAN(m.card.why_not, "there are too many secrets to look for them in the preview");
    CHECK(!strstr(m.text.p, "secret-69"));
    drop(&m);
    fl_buf_reset(&args);
    fl_buf_puts(&args, "{\"k\":[\"first-0\",{\"pin\":246810}]}");
    f.arguments = fl_buf_view(&args);
    f.preview = f.justification = FL_STR("with first-0 and 246810");
    m = make(&f, 0);
    CHECK(m.card.is_whole);
    CHECK(!strstr(m.text.p, "first-0") && !strstr(m.text.p, "246810"));
    drop(&m);
    fl_buf_fini(&args);
}

static void test_in_summary_nothing_of_the_arguments_leaves(void)
{
    struct fl_card_facts f = refund();
    f.disclose = FL_DISCLOSE_SUMMARY;
    f.preview = FL_STR("cus_9 gets 120.00");
    f.precondition = FL_STR("cus_9-v1");
    f.outcome = FL_STR("no cus_9");
    f.justification = FL_STR("cus_9 asked for 120.00");
    struct made m = make(&f, 0);
    CHECK(!m.card.is_whole && !m.card.can_approve && m.card.can_reject);
    CHECK_SPAN(m.card.why_not, "the arguments are not shown in this channel");
    CHECK_SPAN(line_of(&m, FL_CARD_TITLE, 0), "shop__refund with 4 arguments");
    CHECK_SPAN(m.card.push, "waiting: shop__refund with 4 arguments");
    CHECK(!strstr(m.text.p, "cus_9") && !strstr(m.text.p, "120") && !strstr(m.text.p, "sorry"));
    drop(&m);
}

/* ---- push, terminal, hostile facts ---- */

/* Facts with `text` wherever somebody's text goes. */
static struct fl_card_facts all_of(struct fl_str text, struct fl_card_vote *vote)
{
    *vote = (struct fl_card_vote){ text, text, text, true, 0 };
    return (struct fl_card_facts){
        .id = text,
        .sentence = text,
        .tool = text,
        .server = text,
        .environment = text,
        .account = text,
        .agent = text,
        .owner = text,
        .preview_kind = text,
        .preview = text,
        .precondition = text,
        .rule = text,
        .rule_reason = text,
        .risk = text,
        .asked_count = 2,
        .asked_again = text,
        .progress = text,
        .votes = vote,
        .vote_count = 1,
        .next = text,
        .outcome = text,
        .justification = text,
        .arguments = FL_STR("{}"),
    };
}

static void test_push_texts_are_short_and_never_cut_silently(void)
{
    struct fl_card_facts f = refund();
    struct fl_buf tool = FL_BUF_INIT;
    f.environment = FL_STR("an environment with a very long name that takes up all the room there "
                           "is on a lock screen");
    struct made m = make(&f, 0);
    CHECK_SPAN(m.card.push, "waiting: Refund 120.00 EUR to cus_9");
    drop(&m);
    f.sentence = FL_STR("Refund {amount} {currency} to {/customer/id} for a long list of reasons "
                        "that nobody will ever read on a telephone but that somebody wrote down");
    m = make(&f, 0);
    CHECK_SPAN(m.card.push, "waiting: shop__refund with 4 arguments");
    drop(&m);
    for (int i = 0; i < 100; i++)
        fl_buf_puts(&tool, "\xd0\xb0");
    f.tool = fl_buf_view(&tool);
    m = make(&f, 0);
    CHECK_INT(fl_utf8_count(m.card.push), FL_CARD_PUSH_CHARS);
    CHECK(memcmp(m.card.push.p + m.card.push.n - 3, "\xe2\x80\xa6", 3) == 0);
    drop(&m);
    fl_buf_fini(&tool);
}

static void test_a_terminal_gets_no_control_character_but_ours(void)
{
    unsigned rows = 0;
    for (size_t i = 0; i < FL_COUNTOF(lies); i++) {
        struct fl_card_vote vote;
        struct fl_card_facts f = all_of(fl_str_of(lies[i]), &vote);
        struct made m = make(&f, 0);
        for (unsigned width = 10; width <= 120; width += 55) {
            struct fl_buf term = FL_BUF_INIT, row = FL_BUF_INIT;
            fl_card_terminal(&term, &m.card, width, true);
            for (size_t at = 0; at < term.n; at++) {
                char c = term.p[at];
                if (c == '\x1b') { /* ESC [ digits m */
                    size_t end = at + 2;
                    CHECK(term.p[at + 1] == '[');
                    while (term.p[end] >= '0' && term.p[end] <= '9')
                        end++;
                    CHECK(term.p[end] == 'm' && end - at <= 4);
                    at = end;
                } else if (c == '\n') {
                    CHECK_MSG(fl_show_width(fl_buf_view(&row)) <= (width < 40 ? 40 : width),
                              "%u cells: %s", width, row.p);
                    fl_buf_reset(&row);
                    rows++;
                } else {
                    fl_buf_putc(&row, c);
                }
            }
            CHECK(row.n == 0);
            fl_buf_reset(&row);
            struct fl_buf plain = FL_BUF_INIT;
            fl_card_terminal(&plain, &m.card, width, false);
            CHECK(fl_utf8_is_valid(fl_buf_view(&plain)));
            size_t pos = 0;
            for (int32_t c; (c = fl_utf8_next(fl_buf_view(&plain), &pos)) != -1;)
                CHECK(c == '\n' || c == '\\' || fl_show_is_plain((uint32_t)c));
            fl_buf_fini(&term);
            fl_buf_fini(&row);
            fl_buf_fini(&plain);
        }
        drop(&m);
    }
    CHECK(rows > 2000);
}

static void test_the_terminal_form(void)
{
    struct fl_card_facts f = refund();
    f.preview_kind = FL_STR("text");
    f.preview = FL_STR("a very long line of preview that has to be folded somewhere");
    struct made m = make(&f, 0);
    struct fl_buf term = FL_BUF_INIT;
    fl_card_terminal(&term, &m.card, 50, false);
    CHECK_STR(term.p, "Refund 120.00 EUR to cus_9\n"
                      "Where      server shop, environment production, \n"
                      "           > account acme\n"
                      "Who        agent support-bot of Ann Smith; the \n"
                      "           > caller waits; expires 17:00 UTC\n"
                      "Status     waiting; when approved it runs at \n"
                      "           > once; without a decision it ends at \n"
                      "           > 17:00 UTC\n"
                      "Arguments  amount: \"120.00\"\n"
                      "           currency: EUR\n"
                      "           customer.id: cus_9\n"
                      "           note: (2 lines)\n"
                      "           | late\n"
                      "           | sorry\n"
                      "Preview (text)\n"
                      "           | a very long line of preview that has \n"
                      "           > to be folded somewhere\n"
                      "Rule       big-refunds: refunds over 100 EUR\n"
                      "           0 of 2 approvals from ops\n"
                      "Approval   01890000-0000-7000-8000-000000000001\n"
                      "The agent says (unverified)\n"
                      "           | The parcel came late.\n");
    fl_buf_reset(&term);
    fl_card_terminal(&term, &m.card, 200, true);
    CHECK(strncmp(term.p, "\x1b[1mRefund 120.00 EUR to cus_9\x1b[0m\n\x1b[2mWhere\x1b[0m      ",
                  52) == 0);
    check_has(&m, "Status: waiting");
    CHECK(strstr(term.p, "\x1b[33mwaiting; "));
    fl_buf_fini(&term);
    drop(&m);
}

static void test_hostile_facts_never_add_a_line(void)
{
    struct fl_card_vote vote;
    struct fl_card_facts calm = all_of(FL_STR("x"), &vote);
    calm.preview = calm.justification = FL_STR("");
    struct made want = make(&calm, 0);
    for (size_t i = 0; i < FL_COUNTOF(lies); i++) {
        struct fl_card_vote hostile_vote;
        struct fl_card_facts f = all_of(fl_str_of(lies[i]), &hostile_vote);
        f.preview = f.justification = FL_STR("");
        struct made m = make(&f, 0);
        CHECK_INT(m.card.block_count, want.card.block_count);
        for (size_t k = 0; k < m.card.block_count; k++)
            CHECK_INT(m.card.blocks[k].line_count, want.card.blocks[k].line_count);
        drop(&m);
        m = make(&f, FL_CARD_MIN_BYTES);
        drop(&m);
    }
    drop(&want);
}

/* ---- no memory ---- */

/* Makes a card and draws it into *ret (empty on failure). */
static enum fl_code scenario(size_t max_bytes, struct fl_buf *ret)
{
    static const struct fl_str pointer = FL_STR("/note");
    struct fl_card_facts f = refund();
    struct fl_card card = { 0 };
    struct fl_arena *arena = fl_arena_new(0);
    f.secrets = &pointer;
    f.secret_count = 1;
    f.preview = FL_STR("line\n eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl");
    enum fl_code code = arena ? fl_card_make(arena, &f, max_bytes, &card, NULL) : FL_NOMEM;
    if (code == FL_OK) {
        fl_card_text(ret, &card);
        fl_card_terminal(ret, &card, 50, true);
        code = fl_buf_code(ret, NULL);
    } else {
        CHECK(!card.blocks);
    }
    if (code != FL_OK)
        fl_buf_fini(ret);
    fl_arena_free(&arena);
    return code;
}

static void test_no_memory_gives_no_half_card(void)
{
    unsigned failed = 0;
    size_t limits[] = { 0, FL_CARD_MIN_BYTES };
    for (size_t i = 0; i < FL_COUNTOF(limits); i++) {
        struct fl_buf want = FL_BUF_INIT;
        CHECK_OK(scenario(limits[i], &want));
        for (uint64_t n = 1, count = 1; count; n++) {
            struct fl_buf got = FL_BUF_INIT;
            fl_mem_fail_at(n, 1);
            enum fl_code code = scenario(limits[i], &got);
            count = fl_mem_fail_at(0, 0) >= n;
            CHECK(code == FL_NOMEM || fl_str_eq(fl_buf_view(&got), fl_buf_view(&want)));
            CHECK(count || code == FL_OK);
            failed += code == FL_NOMEM;
            fl_buf_fini(&got);
        }
        fl_buf_fini(&want);
    }
    CHECK_MSG(failed > 100, "only %u allocations failed", failed);
}

static const struct fl_test tests[] = {
    T(a_whole_card_reads_as_documented),
    T(each_state_says_what_happens_next_or_happened),
    T(times_are_of_the_zone_and_name_another_day),
    T(absent_facts_leave_no_empty_lines),
    T(the_sentence_is_filled_from_the_stored_bytes),
    T(a_sentence_that_cannot_be_right_is_refused),
    T(arguments_are_lines_that_nothing_else_can_be),
    T_LIMIT(every_byte_is_shown_or_there_is_no_approving, 60),
    T_LIMIT(a_mebibyte_is_shown_whole_or_named_by_size, 60),
    T(what_does_not_fit_is_named_with_its_size),
    T(arguments_that_cannot_be_read_cannot_be_approved),
    T(200_hostile_reasons_leave_the_rest_as_it_is),
    T(the_agents_words_are_capped_and_the_rest_is_counted),
    T(secrets_are_shown_as_digest_and_length),
    T(pointers_that_are_none_hide_rather_too_much),
    T(a_secret_cannot_hide_words_in_other_arguments),
    T(more_secrets_than_are_looked_for_close_the_preview),
    T(in_summary_nothing_of_the_arguments_leaves),
    T(push_texts_are_short_and_never_cut_silently),
    T(a_terminal_gets_no_control_character_but_ours),
    T(the_terminal_form),
    T(hostile_facts_never_add_a_line),
    T(no_memory_gives_no_half_card),
};
TEST_MAIN(tests)
