/* What stands in a chat, read back from a drawing: for test_card_chats.c and test_card_golden.c.
 * Read by the chats' own rules, not by the renderer's. */
#ifndef FL_TEST_CHAT_FIXTURE_H
#define FL_TEST_CHAT_FIXTURE_H

#include "card_fixture.h"
#include "flopinio/base/json.h"
#include "runtime/notify/mail_priv.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/notify/telegram_priv.h"

static const struct fl_uuid chat_card = { { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x90, 10, 11, 12 } };
static const uint8_t chat_binding[32] = { 9, 8, 7, 6, 5, 4, 3, 2, 1 };

static inline struct fl_chat_drawing drawing_of(const struct fl_card *card)
{
    return (struct fl_chat_drawing){ .card = card,
                                     .card_id = chat_card,
                                     .binding = fl_bytes(chat_binding, sizeof chat_binding),
                                     .agent = FL_STR("support-bot"),
                                     .tool = FL_STR("shop__refund") };
}

static inline json_t *chat_parse(struct fl_buf *text)
{
    struct fl_err err;
    json_t *tree = fl_json_parse(fl_buf_view(text), &err);
    CHECK_MSG(tree, "%s: %.300s", err.text, text->p);
    fl_buf_fini(text);
    return tree;
}

/* The members of a message, as an object. */
static inline json_t *draw_message(const struct fl_channel_kind *kind,
                                   const struct fl_chat_drawing *d, struct fl_chat_drawn *ret)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    *ret = (struct fl_chat_drawn){ .is_last_page = false };
    CHECK_OK(kind->draw(d, arena, ret, &err));
    bool is_object = ret->bytes.p[0] == '{'; /* a mail; else the members of one */
    fl_buf_printf(&text, is_object ? "%.*s" : "{%.*s}", FL_STR_ARG(ret->bytes));
    fl_arena_free(&arena);
    ret->key = ret->bytes = ret->after = (struct fl_str){ NULL, 0 }; /* they were the arena's */
    return chat_parse(&text);
}

/* Several cards in one message. */
static inline json_t *draw_batch(const struct fl_channel_kind *kind, struct fl_chat_drawing *items,
                                 size_t count, bool is_short)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_chat_drawn drawn = { .is_last_page = false };
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    for (size_t i = 0; i < count; i++)
        items[i].card_id.b[15] = (uint8_t)i;
    CHECK_OK(kind->draw_many(items, count, is_short, arena, &drawn, &err));
    fl_buf_printf(&text, "{%.*s}", FL_STR_ARG(drawn.bytes));
    fl_arena_free(&arena);
    return chat_parse(&text);
}

/* A page of the modal that shows the whole card in Slack; `*ret_pages` how many there are. */
static inline json_t *draw_review(const struct fl_chat_drawing *d, int page, int *ret_pages)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_slack_meta meta = { .button = FL_STR("vAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                  .place = FL_STR("C1OPS"),
                                  .message = FL_STR("1700000000.000100"),
                                  .page = page };
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_slack_view_card(&text, d, &meta, arena, &err));
    *ret_pages = meta.pages;
    fl_arena_free(&arena);
    return chat_parse(&text);
}

/* ---- buttons, by the letter of their data ---- */
static inline bool slack_has_button(const json_t *message, char letter)
{
    size_t i, k;
    json_t *block, *element;
    json_array_foreach (json_object_get(message, "blocks"), i, block) {
        json_array_foreach (json_object_get(block, "elements"), k, element) {
            struct fl_str value = fl_json_get_str(element, "value");
            if (value.n == FL_CHAT_BUTTON_CHARS && value.p[0] == letter)
                return true;
        }
    }
    return false;
}

static inline bool telegram_has_button(const json_t *message, char letter)
{
    size_t i, k;
    json_t *row, *key;
    json_array_foreach (
        json_object_get(json_object_get(message, "reply_markup"), "inline_keyboard"), i, row) {
        json_array_foreach (row, k, key) {
            if (fl_json_get_str(key, "callback_data").p[0] == letter)
                return true;
        }
    }
    return false;
}

/* ---- the text that a person reads ---- */
/* Adds a piece behind what was read: a line that was parted goes on behind "> ". */
static inline void chat_join(struct fl_buf *out, struct fl_str piece)
{
    if (fl_str_has_prefix(piece, FL_STR("> ")))
        piece = (struct fl_str){ piece.p + 2, piece.n - 2 };
    else if (out->n && out->p[out->n - 1] != '\n')
        fl_buf_putc(out, '\n');
    fl_buf_str(out, piece);
}

static inline void slack_read(struct fl_buf *out, const json_t *message)
{
    size_t i;
    json_t *block;
    json_array_foreach (json_object_get(message, "blocks"), i, block) {
        struct fl_str text = fl_json_get_str(json_object_get(block, "text"), "text");
        if (text.n && !fl_str_has_prefix(text, FL_STR("Page ")))
            chat_join(out, text);
    }
}

/* Without what is ours around a page. */
static inline void telegram_read(struct fl_buf *out, const json_t *message)
{
    struct fl_str text = fl_json_get_str(message, "text");
    if (fl_str_has_prefix(text, FL_STR("(page "))) {
        const char *end = memchr(text.p, '\n', text.n);
        CHECK_MSG(end, "a page without anything on it: %.*s", FL_STR_ARG(text));
        text = (struct fl_str){ end + 1, text.n - (size_t)(end + 1 - text.p) };
    }
    for (size_t i = text.n; text.n && text.p[text.n - 1] == ')' && i-- > 0;) {
        if (text.p[i] == '\n' || (text.p[i] == '(' && text.n - i < 70)) {
            struct fl_str tail = { text.p + i, text.n - i };
            if (fl_str_has_prefix(tail, FL_STR("(page ")))
                text.n = i;
            break;
        }
    }
    chat_join(out, text);
}

/* The whole card, page by page as a person reads it; checks that Approve stands behind the last
 * byte and nowhere before. False: it cannot be approved there. */
static inline bool slack_read_whole(struct fl_buf *out, const struct fl_card *card)
{
    struct fl_chat_drawing d = drawing_of(card);
    struct fl_chat_drawn drawn;
    int pages = 1;
    json_t *message = draw_message(&fl_channel_slack, &d, &drawn);
    bool has_approve = slack_has_button(message, 'a'), has_review = slack_has_button(message, 'v');
    CHECK(!(has_approve && has_review));
    if (!has_review) {
        slack_read(out, message);
        json_decref(message);
        return has_approve;
    }
    json_decref(message);
    for (int page = 0; page < pages; page++) {
        message = draw_review(&d, page, &pages);
        bool is_last = page + 1 == pages;
        CHECK(slack_has_button(message, 'a') == is_last);
        CHECK(slack_has_button(message, 'n') == !is_last);
        CHECK(slack_has_button(message, 'b') == (page > 0));
        slack_read(out, message);
        json_decref(message);
    }
    return true;
}

static inline bool telegram_read_whole(struct fl_buf *out, const struct fl_card *card)
{
    struct fl_chat_drawing d = drawing_of(card);
    struct fl_chat_drawn drawn = { .is_last_page = false };
    bool has_approve = false;
    for (d.page = 0; !drawn.is_last_page; d.page++) {
        json_t *message = draw_message(&fl_channel_telegram, &d, &drawn);
        has_approve = telegram_has_button(message, 'a');
        CHECK(!has_approve || drawn.is_last_page);
        CHECK(telegram_has_button(message, 'n') == !drawn.is_last_page);
        CHECK(telegram_has_button(message, 'b') == (d.page > 0));
        telegram_read(out, message);
        json_decref(message);
    }
    return has_approve;
}

#endif
