/* Cards in Slack and Telegram, whatever stands on them: every code point, whatever an agent says,
 * what would be markup there, and every size up to 200 KB. */
#include "card_inverse.h"
#include "chat_fixture.h"

/* ---------------------------------------------------------------- nothing in them is markup */
static void check_plain_object(const json_t *text)
{
    CHECK_STR(json_string_value(json_object_get(text, "type")), "plain_text");
    CHECK(json_is_string(json_object_get(text, "text")));
}

/* Every object with a text of Block Kit; the message's own "text" is looked at apart. */
static void check_no_mrkdwn(json_t *value, bool is_top)
{
    static const char *const texts[] = { "title", "label",  "placeholder", "confirm",
                                         "deny",  "submit", "close" };
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach (value, i, member)
            check_no_mrkdwn(member, false);
    }
    if (!json_is_object(value))
        return;
    struct fl_str type = fl_json_get_str(value, "type");
    CHECK(!fl_str_is(type, "mrkdwn") && !fl_str_is(type, "markdown") &&
          !fl_str_is(type, "rich_text") && !fl_str_is(type, "context"));
    if (!fl_str_is(type, "plain_text")) {
        for (i = 0; i < FL_COUNTOF(texts); i++) {
            member = json_object_get(value, texts[i]);
            if (member && (strcmp(texts[i], "confirm") != 0 || json_object_get(member, "text")) &&
                !json_object_get(member, "title"))
                check_plain_object(member);
        }
        member = json_object_get(value, "text");
        if (member && !is_top)
            check_plain_object(member);
    }
    json_object_foreach (value, key, member)
        check_no_mrkdwn(member, false);
}

static size_t units_in(struct fl_str s)
{
    size_t pos = 0, units = 0;
    for (int32_t c; (c = fl_utf8_next(s, &pos)) != -1;)
        units += c > 0xffff ? 2 : 1;
    return units;
}

/* What of a message stands in no code or pre entity: there Telegram makes links, mentions, tags
 * and commands of its own accord. */
static void telegram_outside(const json_t *message, struct fl_buf *out)
{
    struct fl_str text = fl_json_get_str(message, "text");
    size_t units = units_in(text), pos = 0, unit = 0, i;
    char *is_inside = calloc(units + 1, 1);
    json_t *e;
    CHECK(is_inside);
    json_array_foreach (json_object_get(message, "entities"), i, e) {
        struct fl_str type = fl_json_get_str(e, "type");
        size_t from = (size_t)json_integer_value(json_object_get(e, "offset"));
        size_t n = (size_t)json_integer_value(json_object_get(e, "length"));
        CHECK(fl_str_is(type, "bold") || fl_str_is(type, "code") || fl_str_is(type, "pre"));
        CHECK(from + n <= units && !json_object_get(e, "url"));
        for (size_t k = from; k < from + n && !fl_str_is(type, "bold"); k++)
            is_inside[k] = 1;
    }
    while (pos < text.n) {
        size_t from = pos;
        int32_t c = fl_utf8_next(text, &pos);
        if (!is_inside[unit])
            fl_buf_str(out, (struct fl_str){ text.p + from, pos - from });
        unit += c > 0xffff ? 2 : 1;
    }
    free(is_inside);
}

static void check_telegram_outside(const json_t *message)
{
    struct fl_buf out = FL_BUF_INIT;
    CHECK(!json_object_get(message, "parse_mode"));
    telegram_outside(message, &out);
    for (size_t i = 0; i < out.n; i++) {
        char c = out.p[i];
        bool is_ours = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       (c && strchr(" \n:;,.()>-", c));
        CHECK_MSG(is_ours, "outside of code stands: %s", out.p);
    }
    fl_buf_fini(&out);
}

/* ---------------------------------------------------------------- every code point */
/* As UTF-8 would write it if it might: surrogates too. */
static void put_code_point(struct fl_buf *out, uint32_t c)
{
    if (c < 0xd800 || c > 0xdfff) {
        fl_utf8_put(out, c);
        return;
    }
    fl_buf_putc(out, (char)(0xe0 | c >> 12));
    fl_buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
    fl_buf_putc(out, (char)(0x80 | (c & 0x3f)));
}

static void check_printable(struct fl_str text)
{
    size_t pos = 0;
    for (int32_t c; (c = fl_utf8_next(text, &pos)) != -1;)
        CHECK_MSG(c == '\n' || c == '\\' || (c >= 0 && fl_show_is_plain((uint32_t)c)), "U+%04X",
                  (unsigned)c);
}

/* What the lines behind margin marks stand for. */
static void margins_back(struct fl_str read, struct fl_buf *out)
{
    bool is_next = false;
    while (read.n) {
        const char *end = memchr(read.p, '\n', read.n);
        struct fl_str line = { read.p, end ? (size_t)(end - read.p) : read.n };
        read = (struct fl_str){ read.p + line.n + 1, read.n - line.n - (end ? 1 : 0) };
        if (!line.n || line.p[0] != '|')
            continue;
        if (is_next)
            fl_buf_putc(out, '\n');
        is_next = true;
        if (line.n > 2)
            CHECK(fl_show_inverse(out, (struct fl_str){ line.p + 2, line.n - 2 }));
    }
}

static void test_every_code_point_is_itself_or_an_escape(void)
{
    enum { EACH = 512 };
    unsigned long seen = 0;
    for (uint32_t from = 0; from <= 0x10ffff; from += EACH) {
        struct fl_buf raw = FL_BUF_INIT, read[2] = { FL_BUF_INIT, FL_BUF_INIT };
        struct fl_card_facts f = refund();
        for (uint32_t c = from; c < from + EACH; c++, seen++) {
            fl_buf_puts(&raw, c % 2 ? "a" : "");
            put_code_point(&raw, c);
            fl_buf_puts(&raw, "b\n");
        }
        f.justification = FL_STR("");
        f.preview = fl_buf_view(&raw);
        f.sentence = FL_STR("");
        f.arguments = FL_STR("{}");
        struct made m = make(&f, fl_channel_slack.whole_max);
        CHECK(slack_read_whole(&read[0], &m.card) && telegram_read_whole(&read[1], &m.card));
        for (int i = 0; i < 2; i++) {
            struct fl_buf back = FL_BUF_INIT;
            check_printable(fl_buf_view(&read[i]));
            margins_back(fl_buf_view(&read[i]), &back);
            CHECK_MSG(fl_str_eq(fl_buf_view(&back), fl_buf_view(&raw)), "of U+%04X and behind",
                      (unsigned)from);
            fl_buf_fini(&back);
            fl_buf_fini(&read[i]);
        }
        fl_buf_fini(&raw);
        drop(&m);
    }
    CHECK_INT(seen, 1114112);
}

/* ---------------------------------------------------------------- what an agent says */
/* Cards about as long as a message holds, and a short one. */
static struct fl_card_facts of_length(int which, struct fl_buf *preview)
{
    struct fl_card_facts f = refund();
    size_t bytes[] = { 40, 5800, 12000, 17000 }; /* the third: 12 sections in Slack */
    while (preview->n < bytes[which])
        fl_buf_puts(preview, "a line of what would happen\n");
    f.preview = fl_buf_view(preview);
    f.risk = FL_STR("high");
    f.justification = FL_STR("");
    return f;
}

static void slack_trusted(const struct fl_card_facts *f, struct fl_buf *out)
{
    struct made m = make(f, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    struct fl_chat_drawn drawn;
    json_t *message = draw_message(&fl_channel_slack, &d, &drawn), *block;
    size_t i;
    check_no_mrkdwn(message, true);
    fl_json_put(out, json_object_get(message, "text"));
    bool is_agent = false;
    json_array_foreach (json_object_get(message, "blocks"), i, block) {
        struct fl_str text = fl_json_get_str(json_object_get(block, "text"), "text");
        is_agent |= fl_str_has_prefix(text, FL_STR("The agent says (unverified)"));
        is_agent &= !fl_str_is(fl_json_get_str(block, "type"), "actions");
        if (!is_agent)
            fl_json_put(out, block);
    }
    json_decref(message);
    drop(&m);
}

/* Its text up to the agent's words, over all pages. */
static void telegram_trusted(const struct fl_card_facts *f, struct fl_buf *out)
{
    static const char label[] = "The agent says (unverified)";
    struct made m = make(f, fl_channel_telegram.whole_max);
    CHECK(telegram_read_whole(out, &m.card));
    const char *agent = memmem(out->p, out->n, label, sizeof label - 1);
    if (agent) { /* a locked screen shows how a message begins */
        fl_buf_cut(out, (size_t)(agent - out->p));
        CHECK(fl_utf8_count(fl_buf_view(out)) > FL_CARD_PUSH_CHARS);
    }
    while (out->n && out->p[out->n - 1] == '\n')
        fl_buf_cut(out, out->n - 1);
    drop(&m);
}

static void test_200_hostile_reasons_change_nothing_above_them(void)
{
    unsigned count = 0;
    for (int which = 0; which < 4; which++) {
        struct fl_buf preview = FL_BUF_INIT, slack = FL_BUF_INIT, telegram = FL_BUF_INIT;
        struct fl_card_facts f = of_length(which, &preview);
        slack_trusted(&f, &slack);
        telegram_trusted(&f, &telegram);
        for (size_t i = 0; i < 50; i++, count++) {
            struct fl_buf lie = FL_BUF_INIT, now = FL_BUF_INIT;
            for (size_t times = 0; times <= (i / FL_COUNTOF(lies)) * 30; times++)
                fl_buf_puts(&lie, lies[(i + (size_t)which) % FL_COUNTOF(lies)]);
            f.justification = fl_buf_view(&lie);
            slack_trusted(&f, &now);
            CHECK_MSG(fl_str_eq(fl_buf_view(&now), fl_buf_view(&slack)), "%.80s\nwas %s\nis %s",
                      lie.p, slack.p, now.p);
            fl_buf_reset(&now);
            telegram_trusted(&f, &now);
            CHECK_MSG(fl_str_eq(fl_buf_view(&now), fl_buf_view(&telegram)), "%.80s\nwas %s\nis %s",
                      lie.p, telegram.p, now.p);
            fl_buf_fini(&lie);
            fl_buf_fini(&now);
        }
        fl_buf_fini(&preview);
        fl_buf_fini(&slack);
        fl_buf_fini(&telegram);
    }
    CHECK_INT(count, 200);
}

/* ---------------------------------------------------------------- what would be markup */
static const char *const injections[] = {
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S1|@owners>",
    "<@U1ANN>",
    "<#C1OPS|general>",
    "<https://evil.example|Approve>",
    "<mailto:a@evil.example|mail>",
    "<!date^1392734382^{date}|now>",
    "*Approved* _by_ ~nobody~ `CISO`",
    "```\nApproved\n```",
    "> quoted\n>>> all of it",
    ":white_check_mark: :rotating_light:",
    "&lt;!channel&gt; &amp;",
    "https://evil.example/approve?id=1",
    "evil.example",
    "@channel @here @everyone @ann",
    "#approved #general",
    "/stop support-bot",
    "tg://user?id=71",
    "[Approve](https://evil.example)",
    "__Approved__ ||hidden|| ~~no~~",
    "<b>Approved</b><a href=\"https://evil.example\">x</a>",
    "</code></pre><script>alert(1)</script>",
    "&#60;b&#62; &#x202e; &nbsp;",
    ("\xe2\x80\xae"
     "evorppa\xe2\x80\xac \xe2\x81\xa6x\xe2\x81\xa9"),
    "p\xd0\xb0yp\xd0\xb0l \xd0\xb0pprove",
    "app\xe2\x80\x8brove\xe2\x80\x8d\xe2\x81\xa0\xef\xbb\xbf",
    "z\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
    "\"}]},{\"type\":\"mrkdwn\",\"text\":\"<!channel>",
};

enum { PLACES = 10 };

/* One of the places where somebody's text goes. */
static struct fl_card_facts injected(int where, struct fl_str text, struct fl_buf *arguments,
                                     struct fl_card_vote *vote)
{
    struct fl_card_facts f = refund();
    fl_buf_puts(arguments, where == 0 ? "{" : "{\"x\":");
    fl_buf_json_str(arguments, text);
    fl_buf_puts(arguments, where == 0 ? ":1}" : "}");
    if (where <= 2)
        f.arguments = fl_buf_view(arguments);
    if (where == 2)
        f.sentence = FL_STR("Do {x}");
    struct fl_str *const places[PLACES] = { NULL,           NULL,      NULL,     &f.justification,
                                            &f.preview,     &f.agent,  &f.owner, &f.environment,
                                            &f.rule_reason, &f.outcome };
    if (places[where])
        *places[where] = text;
    *vote = (struct fl_card_vote){ text, FL_STR("slack"), text, true, NOON * 1000LL };
    f.votes = vote;
    f.vote_count = where == 9;
    return f;
}

/* What Slack reads as markup in a message's own text, the one that is on a locked screen. */
static void check_push(struct fl_str push)
{
    CHECK(push.n && fl_utf8_count(push) <= FL_CARD_PUSH_CHARS + 60);
    for (size_t i = 0; i < push.n; i++) {
        struct fl_str rest = { push.p + i, push.n - i };
        CHECK_MSG(push.p[i] != '<' && push.p[i] != '>', "%.*s", FL_STR_ARG(push));
        if (push.p[i] == '&')
            CHECK(fl_str_has_prefix(rest, FL_STR("&amp;")) ||
                  fl_str_has_prefix(rest, FL_STR("&lt;")) ||
                  fl_str_has_prefix(rest, FL_STR("&gt;")));
    }
}

/* A mail's parts: its HTML has the tags that a harmless card has, and each other '<' is escaped;
 * its subject stays one line. */
static void check_mail(const json_t *mail)
{
    static const char *const tags[] = { "h2", "/h2", "div", "/div", "br", "p", "/p" };
    struct fl_str html = fl_json_get_str(mail, "html"), subject = fl_json_get_str(mail, "subject");
    size_t count = 0;
    CHECK(subject.n && !memchr(subject.p, '\n', subject.n) && !memchr(subject.p, '\r', subject.n));
    check_printable(subject);
    for (size_t at = 0; at < html.n; at++) {
        bool is_known = html.p[at] != '<';
        for (size_t i = 0; i < FL_COUNTOF(tags) && !is_known; i++) {
            struct fl_str rest = { html.p + at + 1, html.n - at - 1 };
            size_t n = strlen(tags[i]);
            is_known = fl_str_has_prefix(rest, fl_str_of(tags[i])) && rest.n > n &&
                       (rest.p[n] == '>' || rest.p[n] == ' ');
        }
        CHECK_MSG(is_known, "%.*s", FL_STR_ARG(html));
        count += html.p[at] == '<';
    }
    CHECK(count > 4);
}

/* The same beside another card in one message. */
static void check_injected_batch(const struct fl_card *injected_card)
{
    struct fl_card_facts f = refund();
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing items[2] = { drawing_of(&m.card), drawing_of(injected_card) };
    json_t *slack = draw_batch(&fl_channel_slack, items, 2, false);
    json_t *telegram = draw_batch(&fl_channel_telegram, items, 2, false);
    struct fl_buf read = FL_BUF_INIT;
    check_no_mrkdwn(slack, true);
    check_telegram_outside(telegram);
    slack_read(&read, slack);
    telegram_read(&read, telegram);
    check_printable(fl_buf_view(&read));
    fl_buf_fini(&read);
    json_decref(slack);
    json_decref(telegram);
    drop(&m);
}

/* A notice of ours, an alert for instance, may have names in it. */
static void check_injected_notice(struct fl_str text)
{
    struct fl_chat_drawing d = { .notice = text, .is_stray = true };
    struct fl_chat_drawn drawn;
    json_t *slack = draw_message(&fl_channel_slack, &d, &drawn);
    check_no_mrkdwn(slack, true);
    check_push(fl_json_get_str(slack, "text"));
    json_decref(slack);
}

static void test_300_injections_are_only_text(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < FL_COUNTOF(injections); i++) {
        check_injected_notice(fl_str_of(injections[i]));
        for (int where = 0; where < PLACES; where++, count++) {
            struct fl_buf arguments = FL_BUF_INIT, read[2] = { FL_BUF_INIT, FL_BUF_INIT };
            struct fl_card_vote vote;
            struct fl_chat_drawn drawn;
            struct fl_card_facts f = injected(where, fl_str_of(injections[i]), &arguments, &vote);
            struct made m = make(&f, fl_channel_slack.whole_max);
            struct fl_chat_drawing d = drawing_of(&m.card);
            json_t *slack = draw_message(&fl_channel_slack, &d, &drawn);
            json_t *telegram = draw_message(&fl_channel_telegram, &d, &drawn);
            check_no_mrkdwn(slack, true);
            check_push(fl_json_get_str(slack, "text"));
            check_telegram_outside(telegram);
            check_injected_batch(&m.card);
            json_t *mail = draw_message(&fl_channel_mail, &d, &drawn);
            check_mail(mail);
            json_decref(mail);
            slack_read(&read[0], slack);
            telegram_read(&read[1], telegram);
            for (int k = 0; k < 2; k++) { /* and it is all there, as text */
                check_printable(fl_buf_view(&read[k]));
                if (where == 1) {
                    struct fl_buf back = FL_BUF_INIT;
                    CHECK(inverse_card(&m.card, &back));
                    CHECK(fl_str_eq(fl_buf_view(&back), f.arguments));
                    fl_buf_fini(&back);
                }
                fl_buf_fini(&read[k]);
            }
            json_decref(slack);
            json_decref(telegram);
            fl_buf_fini(&arguments);
            drop(&m);
        }
    }
    CHECK_INT(count, 300);
}

/* ---------------------------------------------------------------- sizes */
enum content { LETTERS, LINES, HAN, ITEMS, MARKS, DELETES, CONTENTS };

/* Arguments of about so many bytes. */
static void put_arguments(struct fl_buf *out, enum content content, size_t bytes)
{
    static const char *const pieces[CONTENTS] = {
        [LETTERS] = NULL, [LINES] = "a line of text\\n", [HAN] = "\xe6\xbc\xa2",
        [ITEMS] = NULL,   [MARKS] = "\xe2\x80\xae",      [DELETES] = "\x7f"
    };
    bool is_list = content == ITEMS;
    fl_buf_puts(out, is_list ? "{\"content\":[0" : "{\"content\":\"");
    for (size_t i = 0; i < bytes; i++) {
        size_t n = out->n;
        if (is_list)
            fl_buf_puts(out, ",\"an item of it\"");
        else if (pieces[content])
            fl_buf_puts(out, pieces[content]);
        else
            fl_buf_putc(out, (char)('a' + i * 7 % 26));
        i += out->n - n - 1;
    }
    fl_buf_puts(out, is_list ? "],\"end\":\"the last word\"}" : "\",\"end\":\"the last word\"}");
}

/* The arguments that the read pages say, written from what stands there. */
static bool arguments_back(struct fl_str read, struct fl_buf *out)
{
    struct fl_card_block block = { .kind = FL_CARD_ARGS };
    struct fl_card card = { .blocks = &block, .block_count = 1 };
    const char *from = memmem(read.p, read.n, "Arguments:\n", 11);
    const char *end = from ? memmem(from, read.n - (size_t)(from - read.p), "\nRule:", 6) : NULL;
    if (!end)
        return false;
    struct fl_str text = { from + 11, (size_t)(end - from) - 11 };
    struct fl_arena *arena = fl_arena_new(0);
    block.line_count = 1;
    for (size_t i = 0; i < text.n; i++)
        block.line_count += text.p[i] == '\n';
    block.lines = fl_arena_array(arena, block.line_count, sizeof *block.lines);
    for (size_t i = 0; i < block.line_count; i++) {
        const char *stop = memchr(text.p, '\n', text.n);
        block.lines[i] = (struct fl_str){ text.p, stop ? (size_t)(stop - text.p) : text.n };
        text.p += block.lines[i].n + 1;
        text.n -= block.lines[i].n + (stop ? 1 : 0);
    }
    bool is_right = inverse_card(&card, out);
    fl_arena_free(&arena);
    return is_right;
}

/* Approve stands on the last page, and not on the ones before it that are looked at: for more
 * pages, or more sizes, than are read here one by one. Returns whether Slack shows it in pages. */
static bool check_ends(enum content content, size_t bytes)
{
    struct fl_buf arguments = FL_BUF_INIT;
    struct fl_card_facts f = refund();
    struct fl_chat_drawn drawn;
    int pages = 0;
    put_arguments(&arguments, content, bytes);
    f.sentence = FL_STR("");
    f.arguments = fl_buf_view(&arguments);
    struct made m = make(&f, fl_channel_slack.whole_max);
    struct fl_chat_drawing d = drawing_of(&m.card);
    CHECK_MSG(m.card.can_approve, "content %d of %zu bytes", (int)content, bytes);
    json_t *page = draw_message(&fl_channel_slack, &d, &drawn);
    bool has_review = slack_has_button(page, 'v');
    CHECK_MSG(slack_has_button(page, 'a') == !has_review, "slack, %zu bytes", bytes);
    json_decref(page);
    for (int back = 0; has_review && back < 2; back++) {
        page = draw_review(&d, back ? pages - 2 : 1000000, &pages);
        CHECK_MSG(pages > 1 && slack_has_button(page, 'a') == !back, "slack, %zu bytes", bytes);
        json_decref(page);
    }
    d.page = 1000000; /* the last one */
    page = draw_message(&fl_channel_telegram, &d, &drawn);
    CHECK_MSG(telegram_has_button(page, 'a') && drawn.is_last_page, "telegram, %zu bytes", bytes);
    json_decref(page);
    d.page = 0;
    page = draw_message(&fl_channel_telegram, &d, &drawn);
    CHECK_MSG(telegram_has_button(page, 'a') == drawn.is_last_page, "telegram, %zu bytes", bytes);
    json_decref(page);
    fl_buf_fini(&arguments);
    drop(&m);
    return has_review;
}

static void check_size(enum content content, size_t bytes, bool may_be_decided)
{
    struct fl_buf arguments = FL_BUF_INIT;
    struct fl_card_facts f = refund();
    put_arguments(&arguments, content, bytes);
    f.sentence = FL_STR("");
    f.arguments = fl_buf_view(&arguments);
    for (int i = 0; i < 2; i++) {
        const struct fl_channel_kind *kind = i ? &fl_channel_telegram : &fl_channel_slack;
        struct made m = make(&f, kind->whole_max);
        struct fl_buf read = FL_BUF_INIT, back = FL_BUF_INIT;
        bool can = i ? telegram_read_whole(&read, &m.card) : slack_read_whole(&read, &m.card);
        CHECK_MSG(can == may_be_decided && m.card.can_approve == may_be_decided,
                  "%s, content %d of %zu bytes: %d", kind->name, (int)content, bytes, can);
        if (can) {
            CHECK_MSG(arguments_back(fl_buf_view(&read), &back),
                      "%s, content %d of %zu bytes is not to be had back: ...%s", kind->name,
                      (int)content, bytes, read.p + (read.n > 500 ? read.n - 500 : 0));
            CHECK_MSG(fl_str_eq(fl_buf_view(&back), f.arguments), "%s, content %d of %zu bytes",
                      kind->name, (int)content, bytes);
        } else {
            CHECK(memmem(read.p, read.n, "cannot be approved from here", 28));
        }
        fl_buf_fini(&read);
        fl_buf_fini(&back);
        drop(&m);
    }
    fl_buf_fini(&arguments);
}

static void test_every_size_can_be_decided_in_both_chats(void)
{
    static const size_t edges[] = { 1,     2,     3,     2850,  2880,  2899,  2900,   2901,  3000,
                                    3500,  3599,  3600,  3601,  4095,  4096,  5800,   8700,  17300,
                                    17390, 17400, 17410, 23000, 30000, 65535, 100000, 204800 };
    const char *is_long = getenv("FL_LONG");
    for (int content = 0; content < CONTENTS; content++) {
        for (size_t i = 0; i < FL_COUNTOF(edges); i++) {
            if (content < MARKS || edges[i] <= 30000)
                check_size((enum content)content, edges[i], true);
        }
    }
    for (size_t bytes = 3100; bytes < 3400; bytes++) /* pages end at each place of the card */
        check_size(LETTERS, bytes, true);
    CHECK(fl_channel_telegram.whole_max == fl_channel_slack.whole_max);
    CHECK(check_ends(DELETES, (size_t)200 << 10)); /* each byte of it an escape of six */
    CHECK(check_ends(HAN, (size_t)200 << 10) && !check_ends(LINES, 100));
    if (!is_long || strcmp(is_long, "1") != 0)
        return;
    for (size_t bytes = 1, step = 1; bytes <= (size_t)200 << 10; bytes += step) {
        check_size(LETTERS, bytes, true);
        step = bytes < 10000 ? 1 : bytes < 25000 ? 7 : 499;
    }
}

/* The long form: each size, and from some pages on every seventh, so that pages end at each place
 * of them (2,900 and 3,600 have no seven in them). */
static void test_sizes_in_between_have_their_approve(void)
{
    const char *is_long = getenv("FL_LONG");
    bool all = is_long && strcmp(is_long, "1") == 0;
    size_t count = 0, paged = 0;
    for (size_t bytes = 1; bytes <= (size_t)200 << 10; count++) {
        paged += check_ends(LETTERS, bytes);
        bytes += !all ? 9973 : bytes < 20000 ? 1 : 7;
    }
    printf("  %zu sizes, %zu of them in pages\n", count, paged);
    CHECK(paged && paged < count);
}

static void test_what_is_larger_shows_no_approve(void)
{
    check_size(LETTERS, (size_t)2100 << 10, false);
    check_size(ITEMS, (size_t)1300 << 10, false);
    check_size(DELETES, (size_t)400 << 10, false);
}

static const struct fl_test tests[] = {
    T_LIMIT(every_code_point_is_itself_or_an_escape, 120),
    T_LIMIT(200_hostile_reasons_change_nothing_above_them, 60),
    T(300_injections_are_only_text),
    T_LIMIT(every_size_can_be_decided_in_both_chats, 300),
    T_LIMIT(sizes_in_between_have_their_approve, 3600),
    T_LIMIT(what_is_larger_shows_no_approve, 120),
};
TEST_MAIN(tests)
