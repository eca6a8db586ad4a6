/* The card: its words in each state, the sentence, the terminal, and that no fact adds a line. */
#include "card_fixture.h"
#include "flopinio/base/mem.h"
#include "runtime/notify/card_title.h"
#include "runtime/notify/show.h"

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
    T(push_texts_are_short_and_never_cut_silently),
    T(a_terminal_gets_no_control_character_but_ours),
    T(the_terminal_form),
    T(hostile_facts_never_add_a_line),
    T(no_memory_gives_no_half_card),
};
TEST_MAIN(tests)
