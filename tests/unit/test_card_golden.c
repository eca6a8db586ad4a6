/* What each channel's cards look like, byte by byte: tests/golden/CHANNEL/NAME.json. A difference
 * fails; FL_GOLDEN=write makes the files anew, and then they are looked at (tests/chats/pictures.py
 * draws them). */
#include <errno.h>

#include "chat_fixture.h"

/* ---------------------------------------------------------------- the cards */
static struct fl_card_facts waiting(void)
{
    struct fl_card_facts f = refund();
    f.preview_kind = FL_STR("request");
    f.preview = FL_STR("POST /v1/refunds\namount=12000 currency=eur customer=cus_9");
    f.preview_utc_ms = NOON * 1000LL - 60000;
    f.precondition = FL_STR("balance 500.00 EUR");
    return f;
}

static struct fl_card_facts busy(void)
{
    static struct fl_card_vote votes[2];
    struct fl_card_facts f = waiting();
    votes[0] = (struct fl_card_vote){ FL_STR("Bob"), FL_STR("slack"), FL_STR("looks right"), true,
                                      NOON * 1000LL + 60000 };
    votes[1] = (struct fl_card_vote){ FL_STR("Cem Y\xc4\xb1lmaz"), FL_STR("telegram"), FL_STR(""),
                                      true, NOON * 1000LL + 120000 };
    f.votes = votes;
    f.vote_count = 2;
    f.progress = FL_STR("2 of 3 approvals from ops");
    f.risk = FL_STR("high");
    f.asked_count = 3;
    f.asked_again = FL_STR("an earlier one was found not to have happened");
    f.why_asked = FL_STR("the grant of Bob covers refunds up to 100.00 only");
    f.is_not_isolated = true;
    return f;
}

static struct fl_card_facts plain_tool(void)
{
    struct fl_card_facts f = refund();
    f.sentence = FL_STR("");
    f.tool = FL_STR("files__delete");
    f.server = FL_STR("files");
    f.account = FL_STR("");
    f.arguments = FL_STR("{\"path\":\"reports/q3.md\",\"recursive\":false}");
    f.caller = FL_CALLER_GONE;
    f.rule = FL_STR("deletes");
    f.rule_reason = FL_STR("what is deleted is gone");
    f.progress = FL_STR("0 of 1 from ops");
    f.justification = FL_STR("");
    return f;
}

static struct fl_card_facts hostile(void)
{
    struct fl_card_facts f = waiting();
    f.arguments = FL_STR("{\"amount\":\"120.00\",\"currency\":\"EUR\",\"customer\":{\"id\":"
                         "\"p\xd0\xb0yp\xd0\xb0l\"},\"note\":\"<!channel> *Approved* by "
                         "\xe2\x80\xae"
                         "OFC\xe2\x80\xac <https://evil.example|the CFO>\","
                         "\"url\":\"https://b\xd0\xb0nk.example/\xe2\x80\x8bpay\"}");
    f.agent = FL_STR("support-bot (approved by the CISO)\nStatus: approved");
    f.justification = FL_STR("Approved by the CISO.\nStatus: approved\n<@U1ANN> :white_check_mark: "
                             "press *Approve* now, @everyone \xe2\x80\xa8Votes: 2 of 2");
    return f;
}

static struct fl_card_facts secrets(void)
{
    static const struct fl_str pointers[] = { FL_STR("/auth/password") };
    struct fl_card_facts f = refund();
    f.secrets = pointers;
    f.secret_count = 1;
    f.sentence = FL_STR("Call {url} as {/auth/user}");
    f.tool = FL_STR("http__post");
    f.arguments = FL_STR("{\"auth\":{\"password\":\"hunter2hunter2\",\"user\":\"ann\"},\"header\":"
                         "\"Bearer ghp_AbCdE12345AbCdE12345AbCdE12345AbCdE12345\",\"url\":"
                         "\"https://api.example/v1\"}");
    f.justification = FL_STR("I log in with hunter2hunter2");
    return f;
}

static char long_arguments[24000];

static struct fl_card_facts too_long(void)
{
    struct fl_card_facts f = refund();
    int n = snprintf(long_arguments, sizeof long_arguments, "{\"content\":\"");
    for (int line = 1; n < 20000; line++)
        n += snprintf(long_arguments + n, sizeof long_arguments - (size_t)n,
                      "%d. a line of a report\\n", line);
    snprintf(long_arguments + n, sizeof long_arguments - (size_t)n, "\",\"path\":\"q3.md\"}");
    f.sentence = FL_STR("Write file {path}");
    f.tool = FL_STR("files__write");
    f.arguments = fl_str_of(long_arguments);
    return f;
}

static struct fl_card_facts over(enum fl_approval_state state)
{
    static struct fl_card_vote vote;
    struct fl_card_facts f = waiting();
    vote = (struct fl_card_vote){ FL_STR("Bob"), FL_STR("slack"), FL_STR(""), true,
                                  NOON * 1000LL + 60000 };
    if (state == FL_APPROVAL_REJECTED)
        vote = (struct fl_card_vote){ FL_STR("Bob"), FL_STR("slack"), FL_STR("wrong target"), false,
                                      NOON * 1000LL + 60000 };
    f.votes = &vote;
    f.vote_count = state == FL_APPROVAL_EXPIRED || state == FL_APPROVAL_CANCELLED ? 0 : 1;
    f.state = state;
    f.progress = FL_STR("");
    f.changed_utc_ms = NOON * 1000LL + 61000;
    f.outcome = state == FL_APPROVAL_FAILED     ? FL_STR("no such customer")
                : state == FL_APPROVAL_REJECTED ? FL_STR("wrong target")
                : state == FL_APPROVAL_VOIDED   ? FL_STR("the policy asks for 2 approvals now")
                : state == FL_APPROVAL_UNKNOWN  ? FL_STR("the connection broke after it was sent")
                                                : FL_STR("");
    return f;
}

/* ---------------------------------------------------------------- files */
static void check_golden(const char *channel, const char *name, json_t *now)
{
    char path[500];
    char *text = json_dumps(now, JSON_INDENT(2)), *mode = getenv("FL_GOLDEN");
    CHECK(text);
    snprintf(path, sizeof path, FL_SOURCE_DIR "/tests/golden/%s/%s.json", channel, name);
    if (mode && strcmp(mode, "write") == 0) {
        FILE *f = fopen(path, "w");
        CHECK_MSG(f && fprintf(f, "%s\n", text) > 0 && fclose(f) == 0, "%s: %s", path,
                  strerror(errno));
    } else {
        size_t n;
        char *before = fl_test_read_file(path, &n);
        size_t at = 0, from;
        while (before[at] && before[at] == text[at])
            at++;
        from = at > 200 ? at - 200 : 0;
        CHECK_MSG(before[at] == '\n' && !before[at + 1] && !text[at],
                  "%s is not what is drawn now (if it is meant, run this with FL_GOLDEN=write, and "
                  "look at it)\nwas: ...%.400s\nis:  ...%.400s",
                  path, before + from, text + from);
        free(before);
    }
    free(text);
    json_decref(now);
}

static void check_message(const char *name, const struct fl_chat_drawing *d)
{
    struct fl_chat_drawn drawn;
    check_golden("slack", name, draw_message(&fl_channel_slack, d, &drawn));
    check_golden("telegram", name, draw_message(&fl_channel_telegram, d, &drawn));
}

/* What is said in the thread beneath a card that is over. */
static void check_thread(const char *name, struct fl_card_facts facts)
{
    struct made m = make(&facts, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    struct fl_chat_drawn drawn = { .is_last_page = false };
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_channel_slack.draw(&d, m.arena, &drawn, &err));
    CHECK(drawn.after.n);
    fl_buf_printf(&text, "{%.*s}", FL_STR_ARG(drawn.after));
    check_golden("slack", name, chat_parse(&text));
    drop(&m);
}

static void check_card(const char *name, struct fl_card_facts facts)
{
    struct made m = make(&facts, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    struct fl_chat_drawn drawn;
    check_message(name, &d);
    check_golden("mail", name, draw_message(&fl_channel_mail, &d, &drawn));
    drop(&m);
}

/* ---------------------------------------------------------------- the cases */
static void test_what_waits(void)
{
    struct fl_card_facts f = plain_tool();
    check_card("waiting", waiting());
    check_card("waiting_busy", busy());
    check_card("waiting_plain", f);
    check_card("waiting_hostile", hostile());
    check_card("waiting_secrets", secrets());
    f = waiting();
    f.disclose = FL_DISCLOSE_SUMMARY;
    check_card("waiting_summary", f);
}

static void test_what_is_decided_or_over(void)
{
    static const struct {
        const char *name;
        enum fl_approval_state state;
    } cases[] = {
        { "approved", FL_APPROVAL_APPROVED }, { "running", FL_APPROVAL_DISPATCHED },
        { "done", FL_APPROVAL_SUCCEEDED },    { "failed", FL_APPROVAL_FAILED },
        { "unknown", FL_APPROVAL_UNKNOWN },   { "rejected", FL_APPROVAL_REJECTED },
        { "expired", FL_APPROVAL_EXPIRED },   { "cancelled", FL_APPROVAL_CANCELLED },
        { "withdrawn", FL_APPROVAL_VOIDED },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        check_card(cases[i].name, over(cases[i].state));
    check_thread("thread_failed", over(FL_APPROVAL_FAILED));
    struct fl_card_facts f = over(FL_APPROVAL_APPROVED);
    f.caller = FL_CALLER_GONE;
    check_card("approved_gone", f);
    f.caller = FL_CALLER_WAITS;
    f.undo_ms = 10000;
    check_card("approved_undo", f);
}

static void test_what_is_stopped(void)
{
    struct fl_card_facts f = waiting();
    f.stopped_utc_ms = f.created_utc_ms + 3 * 60000;
    check_card("waiting_stopped", f);
    f = over(FL_APPROVAL_APPROVED);
    f.stopped_utc_ms = f.created_utc_ms + 3 * 60000;
    f.undo_ms = 10000;
    check_card("approved_stopped", f);
}

static void test_what_is_read_page_by_page(void)
{
    struct fl_card_facts f = too_long();
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    struct fl_chat_drawn drawn = { .is_last_page = false };
    int pages;
    check_message("long", &d);
    json_decref(draw_review(&d, 0, &pages));
    check_golden("slack", "review_first", draw_review(&d, 0, &pages));
    check_golden("slack", "review_last", draw_review(&d, pages - 1, &pages));
    while (!drawn.is_last_page) {
        d.page++;
        json_decref(draw_message(&fl_channel_telegram, &d, &drawn));
    }
    check_golden("telegram", "long_last", draw_message(&fl_channel_telegram, &d, &drawn));
    drop(&m);
}

static void test_what_is_said_beside_a_card(void)
{
    struct fl_card_facts f = waiting();
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    struct fl_chat_drawn drawn;
    d.asks_stop = true;
    check_message("asks_stop", &d);
    d.asks_stop = false;
    d.note = FL_STR("Approving takes a second factor: not here, but with flopinio approvals "
                    "approve.");
    m.card.can_approve = false;
    check_message("second_factor", &d);
    d.note = (struct fl_str){ NULL, 0 };
    m.card.can_approve = d.is_typed = true;
    check_message("waiting_typed", &d);
    d.is_typed = false;
    d.may_withdraw = true;
    check_message("waiting_voted", &d);
    d.may_withdraw = false;
    d.is_proved = true;
    d.note = FL_STR("Approving asks for a code of your authenticator.");
    check_golden("slack", "waiting_code", draw_message(&fl_channel_slack, &d, &drawn));
    drop(&m);
    f = over(FL_APPROVAL_SUCCEEDED);
    f.disclose = FL_DISCLOSE_SUMMARY;
    m = make(&f, fl_channel_slack.whole_max);
    d = drawing_of(&m.card);
    d.is_erased = true;
    check_message("erased", &d);
    drop(&m);
    d = (struct fl_chat_drawing){ .notice = FL_STR("A test card of the channel ops: press the "
                                                   "button."),
                                  .card_id = chat_card,
                                  .binding = fl_bytes(chat_binding, sizeof chat_binding) };
    check_message("test", &d);
    d.is_stray = true;
    d.notice = FL_STR("An older copy of a card; the newer one is valid.");
    check_message("stray", &d);
}

static void test_what_a_grant_is_offered_for(void)
{
    struct fl_card_facts f = waiting();
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    d.may_grant = true;
    check_message("grant_offered", &d);
    d.asks_grant = true;
    check_message("grant_asked", &d);
    drop(&m);
}

static void test_a_digest(void)
{
    struct fl_uuid agents[2] = { { { 1 } }, { { 2 } } };
    const struct fl_chat_key keys[] = {
        { FL_CHAT_CALL, agents[0], "Show cards of 1", false },
        { FL_CHAT_HALT_ASK, agents[0], "Stop 1", true },
        { FL_CHAT_CALL, agents[1], "Show cards of 2", false },
        { FL_CHAT_HALT_ASK, agents[1], "Stop 2", true },
    };
    struct fl_chat_drawing d = drawing_of(NULL);
    d.notice = FL_STR("More calls wait than this channel shows one by one.");
    d.list = FL_STR("1. support-bot: 412 of shop__refund\n2. file-bot: 7 of files__write");
    d.keys = keys;
    d.key_count = FL_COUNTOF(keys);
    check_message("digest", &d);
}

static void check_batch(const char *name, struct fl_chat_drawing *items, bool is_short)
{
    check_golden("slack", name, draw_batch(&fl_channel_slack, items, 3, is_short));
    check_golden("telegram", name, draw_batch(&fl_channel_telegram, items, 3, is_short));
}

/* The third is not theirs; the second is chosen already. */
static void check_form(struct fl_chat_drawing *items)
{
    static const char *const why[3] = { NULL, NULL, "it is rejected already" };
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_slack_meta meta = { .button = FL_STR("fAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                  .place = FL_STR("C1OPS"),
                                  .message = FL_STR("1700000000.000100") };
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_slack_view_many(&text, items, why, 3, &meta, arena, &err));
    CHECK(meta.page == 0 && meta.pages == 1 && meta.items.n == (size_t)2 * FL_CHAT_BUTTON_CHARS);
    fl_buf_fini(&text);
    char *chosen = fl_arena_printf(arena, "%.*s", FL_STR_ARG(meta.items));
    chosen[FL_CHAT_BUTTON_CHARS] = 'r';
    meta.items = fl_str_of(chosen);
    CHECK_OK(fl_slack_view_many(&text, items, why, 3, &meta, arena, &err));
    check_golden("slack", "form_many", chat_parse(&text));
    struct fl_str before = fl_str_of(fl_arena_printf(arena, "%.*s", FL_STR_ARG(meta.shown)));
    struct fl_card card = *items[0].card; /* an added line is a change; what was chosen stays */
    card.block_count--;
    items[0].card = &card;
    CHECK_OK(fl_slack_view_many(&text, items, why, 3, &meta, arena, &err));
    CHECK(!fl_str_eq(before, meta.shown) && memmem(text.p, text.n, "changed meanwhile", 17));
    CHECK(meta.items.p[0] == '-' && meta.items.p[FL_CHAT_BUTTON_CHARS] == 'r');
    fl_buf_fini(&text);
    static const char *const nothing[3] = { "it is yours", "it is yours", "it is yours" };
    CHECK(fl_slack_view_many(&text, items, nothing, 3, &meta, arena, &err) == FL_CONFLICT);
    CHECK(!text.n);
    fl_buf_fini(&text);
    fl_arena_free(&arena);
}

/* What all blocks of a message say. */
static size_t characters(const json_t *blocks)
{
    size_t i, n = 0;
    json_t *block;
    json_array_foreach (blocks, i, block)
        n += fl_utf8_count(fl_json_get_str(json_object_get(block, "text"), "text"));
    return n;
}

/* In the message and in the form, which names each of them; and not with all that their agents may
 * say, as Slack would refuse the message for its length. */
static void test_as_many_as_may_be_fit_into_one_message(void)
{
    static const char *const why[FL_BATCH_MOST];
    char words[501] = "";
    struct fl_card_facts f = refund();
    memset(words, 'w', 60);
    f.justification = fl_str_of(words);
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing items[FL_BATCH_MOST];
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_slack_meta meta = { .button = FL_STR("fAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                  .place = FL_STR("E0123456789/T0123456789/U0123456789"),
                                  .message = FL_STR("D0123456789:1700000000.000100") };
    struct fl_slack_meta read;
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    for (size_t i = 0; i < FL_BATCH_MOST; i++) {
        items[i] = drawing_of(&m.card);
        items[i].card_id.b[0] = (uint8_t)i;
    }
    json_t *slack = draw_batch(&fl_channel_slack, items, FL_BATCH_MOST, false);
    CHECK(json_array_size(json_object_get(slack, "blocks")) <= 50);
    CHECK(characters(json_object_get(slack, "blocks")) <= FL_SLACK_MESSAGE_CHARS);
    json_decref(slack);
    CHECK_OK(fl_slack_view_many(&text, items, why, FL_BATCH_MOST, &meta, arena, &err));
    json_t *view = chat_parse(&text);
    struct fl_str kept = fl_json_get_str(view, "private_metadata");
    CHECK(kept.n <= 3000 && fl_slack_meta_read(kept, &read) && fl_str_eq(read.items, meta.items));
    CHECK(read.items.n == (size_t)FL_BATCH_MOST * FL_CHAT_BUTTON_CHARS);
    json_decref(view);
    drop(&m);
    memset(words, 'w', 500);
    f.justification = fl_str_of(words);
    m = make(&f, fl_channel_slack.whole_max);
    for (size_t i = 0; i < FL_BATCH_MOST; i++)
        items[i] = drawing_of(&m.card);
    struct fl_chat_drawn drawn;
    CHECK(fl_slack_draw_many(items, FL_BATCH_MOST, false, arena, &drawn, &err) == FL_TOO_LARGE);
    fl_arena_free(&arena);
    drop(&m);
}

static void test_several_cards_in_one_message(void)
{
    struct fl_card_facts f[3] = { refund(), refund(), over(FL_APPROVAL_REJECTED) };
    struct made m[3];
    struct fl_chat_drawing items[3];
    f[1].arguments = FL_STR("{\"amount\":\"7.50\",\"currency\":\"EUR\",\"customer\":{\"id\":"
                            "\"cus_7\"}}");
    for (size_t i = 0; i < 3; i++) {
        m[i] = make(&f[i], fl_channel_slack.whole_max);
        items[i] = drawing_of(&m[i].card);
    }
    check_batch("batch", items, false);
    check_batch("batch_short", items, true);
    items[0].is_marking = true;
    items[0].mark = 'a';
    items[1].may_withdraw = true;
    check_golden("telegram", "batch_marks", draw_batch(&fl_channel_telegram, items, 3, false));
    check_form(items);
    for (size_t i = 0; i < 3; i++)
        drop(&m[i]);
}

static void test_slack_forms(void)
{
    struct fl_slack_meta meta = { .button = FL_STR("yAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                  .place = FL_STR("C1OPS"),
                                  .message = FL_STR("1700000000.000100") };
    struct fl_buf text = FL_BUF_INIT;
    fl_slack_view_reason(&text, &meta, false);
    check_golden("slack", "form_reason", chat_parse(&text));
    fl_slack_view_reason(&text, &meta, true);
    check_golden("slack", "form_question", chat_parse(&text));
    fl_slack_view_words(&text, &meta, "120.00 EUR");
    check_golden("slack", "form_words", chat_parse(&text));
    fl_slack_view_code(&text, &meta, NULL);
    check_golden("slack", "form_code", chat_parse(&text));
    fl_slack_view_code(&text, &meta, "120.00 EUR");
    check_golden("slack", "form_code_words", chat_parse(&text));
    fl_slack_view_text(&text, FL_STR("rejected: wrong target"));
    check_golden("slack", "form_text", chat_parse(&text));
}

static const struct fl_test tests[] = {
    T(what_waits),
    T(what_is_decided_or_over),
    T(what_is_stopped),
    T(what_is_read_page_by_page),
    T(what_is_said_beside_a_card),
    T(what_a_grant_is_offered_for),
    T(several_cards_in_one_message),
    T(as_many_as_may_be_fit_into_one_message),
    T(a_digest),
    T(slack_forms),
};
TEST_MAIN(tests)
