/* That nothing is hidden on a card: every byte of the arguments, what the agent's words cannot do,
 * and what is shown of secrets. */
#include "card_fixture.h"
#include "card_inverse.h"
#include "flopinio/base/jcs.h"
#include "flopinio/base/scan.h"
#include "json_gen.h"

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

/* A key of three lines, marked as secret, stood in the card: a diff has a mark before each of its
 * lines, so that the value as a whole was not found in it. */
static void test_a_secret_of_several_lines_is_found_in_a_diff(void)
{
    struct fl_str pointer = FL_STR("/content");
    struct fl_card_facts f = refund();
    f.arguments =
        FL_STR("{\"content\":\"user = bob\\n  pass: hunter22\\r\\n-----END\\n\",\"n\":1}");
    f.secrets = &pointer;
    f.secret_count = 1;
    f.preview_kind = FL_STR("diff");
    f.preview = FL_STR("--- a\n+++ b\n@@ -1 +1,3 @@\n-old line\n+user = bob\n+  pass: hunter22\r\n"
                       "+-----END\n+another line\n");
    f.justification = FL_STR("for\npass: hunter22");
    struct made m = make(&f, 0);
    CHECK(m.card.is_whole);
    CHECK(!strstr(m.text.p, "bob") && !strstr(m.text.p, "hunter22") && !strstr(m.text.p, "-END"));
    CHECK(strstr(m.text.p, "old line") && strstr(m.text.p, "+another line"));
    drop(&m);
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

static const struct fl_test tests[] = {
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
    T(a_secret_of_several_lines_is_found_in_a_diff),
    T(in_summary_nothing_of_the_arguments_leaves),
};
TEST_MAIN(tests)
