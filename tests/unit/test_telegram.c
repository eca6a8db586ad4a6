/* What a card looks like in Telegram: its limits, its pages, its buttons. */
#include "card_fixture.h"
#include "flopinio/base/json.h"
#include "runtime/notify/telegram_priv.h"

static size_t units_of(const char *text)
{
    size_t pos = 0, units = 0;
    for (int32_t c; (c = fl_utf8_next(fl_str_of(text), &pos)) != -1;)
        units += c > 0xffff ? 2 : 1;
    return units;
}

/* A message's members as an object, checked as the Bot API would. */
static json_t *draw(const struct fl_chat_drawing *d, struct fl_chat_drawn *ret)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_telegram_draw(d, arena, ret, &err));
    fl_buf_printf(&text, "{%.*s}", FL_STR_ARG(ret->bytes));
    json_t *m = fl_json_parse(fl_buf_view(&text), &err), *e, *row;
    CHECK_MSG(m, "%s: %.300s", err.text, text.p);
    const char *shown = json_string_value(json_object_get(m, "text"));
    size_t units = units_of(shown), i;
    CHECK(units >= 1 && units <= FL_TELEGRAM_TEXT_UNITS);
    CHECK(shown[0] != ' ' && shown[0] != '\n' && shown[strlen(shown) - 1] != '\n');
    json_array_foreach (json_object_get(m, "entities"), i, e) {
        json_int_t from = json_integer_value(json_object_get(e, "offset"));
        json_int_t n = json_integer_value(json_object_get(e, "length"));
        CHECK(from >= 0 && n >= 1 && (size_t)(from + n) <= units);
    }
    CHECK(json_array_size(json_object_get(m, "entities")) <= 100);
    json_array_foreach (json_object_get(json_object_get(m, "reply_markup"), "inline_keyboard"), i,
                        row) {
        CHECK(json_array_size(row) > 0);
        for (size_t k = 0; k < json_array_size(row); k++) {
            struct fl_str data = fl_json_get_str(json_array_get(row, k), "callback_data");
            CHECK(data.n >= 1 && data.n <= 64);
        }
    }
    fl_buf_fini(&text);
    fl_arena_free(&arena);
    return m;
}

static bool has_button(const json_t *m, char letter)
{
    const json_t *rows = json_object_get(json_object_get(m, "reply_markup"), "inline_keyboard");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t k = 0; k < json_array_size(json_array_get(rows, i)); k++) {
            struct fl_str data =
                fl_json_get_str(json_array_get(json_array_get(rows, i), k), "callback_data");
            if (data.p[0] == letter)
                return true;
        }
    }
    return false;
}

static void test_a_button_is_read_as_it_was_written(void)
{
    char text[FL_CHAT_BUTTON_CHARS + 1];
    uint8_t digest[32];
    fl_random(digest, sizeof digest);
    for (int verb = FL_CHAT_APPROVE; verb <= FL_CHAT_TEST; verb++) {
        struct fl_uuid card = fl_uuid_new();
        struct fl_chat_event e = { .verb = FL_CHAT_NONE };
        fl_chat_button((enum fl_chat_verb)verb, &card, fl_bytes(digest, sizeof digest), text);
        CHECK_INT(strlen(text), FL_CHAT_BUTTON_CHARS);
        CHECK(fl_chat_button_read(fl_str_of(text), &e));
        CHECK_INT(e.verb, verb);
        CHECK(fl_uuid_cmp(&e.card, &card) == 0);
        CHECK(memcmp(e.binding, digest, sizeof e.binding) == 0);
        for (size_t i = 0; i < sizeof text - 1; i++) { /* one character is another one */
            char changed[sizeof text];
            memcpy(changed, text, sizeof text);
            changed[i] = changed[i] == '*' ? '+' : '*';
            CHECK(!fl_chat_button_read(fl_str_of(changed), &e));
        }
        for (size_t n = 0; n < sizeof text - 1; n++)
            CHECK(!fl_chat_button_read((struct fl_str){ text, n }, &e));
        text[0] = '-';
        CHECK(!fl_chat_button_read(fl_str_of(text), &e));
    }
}

/* Every size can be read to its end, where Approve stands; all of it is on the pages. */
static void test_every_size_is_read_page_by_page(void)
{
    for (size_t size = 1; size <= (size_t)200 << 10; size = size * 3 + 1) {
        struct fl_buf arguments = FL_BUF_INIT, all = FL_BUF_INIT;
        fl_buf_puts(&arguments, "{\"content\":\"");
        for (size_t i = 0; i < size; i++)
            fl_buf_putc(&arguments, (char)('a' + i * 7 % 26));
        fl_buf_puts(&arguments, "\",\"end\":\"the last word\"}");
        struct fl_card_facts facts = refund();
        facts.sentence = FL_STR("");
        facts.arguments = fl_buf_view(&arguments);
        struct made m = make(&facts, fl_channel_telegram.whole_max);
        CHECK(m.card.can_approve);
        struct fl_chat_drawing d = { .card = &m.card, .card_id = fl_uuid_new() };
        struct fl_chat_drawn drawn = { .is_last_page = false };
        for (d.page = 0; !drawn.is_last_page; d.page++) {
            json_t *page = draw(&d, &drawn);
            CHECK(has_button(page, 'a') == drawn.is_last_page);
            CHECK(has_button(page, 'n') == !drawn.is_last_page);
            CHECK(has_button(page, 'b') == (d.page > 0));
            CHECK(has_button(page, 'r'));
            const char *text = json_string_value(json_object_get(page, "text"));
            for (const char *c = text; *c; c++) { /* without our marks between the pages */
                if ((*c >= 'a' && *c <= 'z') || *c == ' ')
                    fl_buf_putc(&all, *c);
            }
            json_decref(page);
            CHECK(d.page < 200);
        }
        CHECK(strstr(all.p, "the last word"));
        CHECK(all.n >= size);
        d.page = 0;
        d.is_read = true; /* and back on the first one */
        json_t *first = draw(&d, &drawn);
        CHECK(has_button(first, 'a'));
        json_decref(first);
        drop(&m);
        fl_buf_fini(&all);
        fl_buf_fini(&arguments);
    }
}

/* A line that is parted goes on behind a mark, so that no value can begin a page like a line. */
static void test_no_value_looks_like_a_line_of_its_own(void)
{
    struct fl_buf arguments = FL_BUF_INIT;
    fl_buf_puts(&arguments, "{\"x\":\"");
    for (int i = 0; i < 3000; i++)
        fl_buf_puts(&arguments, "amount: 1 ");
    fl_buf_puts(&arguments, ".\"}");
    struct fl_card_facts facts = refund();
    facts.sentence = FL_STR("");
    facts.arguments = fl_buf_view(&arguments);
    struct made m = make(&facts, fl_channel_telegram.whole_max);
    struct fl_chat_drawing d = { .card = &m.card };
    struct fl_chat_drawn drawn = { .is_last_page = false };
    for (d.page = 0; !drawn.is_last_page; d.page++) {
        json_t *page = draw(&d, &drawn);
        const char *text = json_string_value(json_object_get(page, "text"));
        for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
            CHECK_MSG(strncmp(line, "amount", 6) != 0 && strncmp(line, "mount", 5) != 0, "%.60s",
                      line);
        json_decref(page);
    }
    CHECK(d.page > 5);
    drop(&m);
    fl_buf_fini(&arguments);
}

static void test_astral_characters_count_twice(void)
{
    struct fl_buf arguments = FL_BUF_INIT;
    fl_buf_puts(&arguments, "{\"x\":\"");
    for (int i = 0; i < 4000; i++)
        fl_buf_puts(&arguments, i % 3 ? "\xf0\x9f\x98\x80" : "\xc3\xa9");
    fl_buf_puts(&arguments, "\"}");
    struct fl_card_facts facts = refund();
    facts.sentence = FL_STR("");
    facts.arguments = fl_buf_view(&arguments);
    struct made m = make(&facts, fl_channel_telegram.whole_max);
    struct fl_chat_drawing d = { .card = &m.card };
    struct fl_chat_drawn drawn = { .is_last_page = false };
    for (d.page = 0; !drawn.is_last_page; d.page++)
        json_decref(draw(&d, &drawn)); /* which checks the units */
    CHECK(d.page >= 2);
    drop(&m);
    fl_buf_fini(&arguments);
}

static void test_what_is_not_whole_or_not_pending_has_no_approve(void)
{
    struct fl_card_facts facts = refund();
    facts.disclose = FL_DISCLOSE_SUMMARY;
    struct made m = make(&facts, fl_channel_telegram.whole_max);
    struct fl_chat_drawing d = { .card = &m.card, .is_read = true };
    struct fl_chat_drawn drawn;
    json_t *page = draw(&d, &drawn);
    CHECK(!has_button(page, 'a') && has_button(page, 'r'));
    CHECK(!strstr(json_string_value(json_object_get(page, "text")), "cus_9"));
    json_decref(page);
    drop(&m);
    for (int state = 0; state < FL_APPROVAL_STATE_COUNT; state++) {
        facts = refund();
        facts.state = (enum fl_approval_state)state;
        m = make(&facts, fl_channel_telegram.whole_max);
        d = (struct fl_chat_drawing){ .card = &m.card, .is_read = true };
        page = draw(&d, &drawn);
        bool is_pending = facts.state == FL_APPROVAL_PENDING;
        CHECK(has_button(page, 'a') == is_pending && has_button(page, 'r') == is_pending);
        CHECK(!fl_state_is_final(facts.state) || !has_button(page, 's'));
        json_decref(page);
        drop(&m);
    }
}

static const struct fl_test tests[] = {
    T(a_button_is_read_as_it_was_written),
    T(every_size_is_read_page_by_page),
    T(no_value_looks_like_a_line_of_its_own),
    T(astral_characters_count_twice),
    T(what_is_not_whole_or_not_pending_has_no_approve),
};
TEST_MAIN(tests)
