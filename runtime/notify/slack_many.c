/* Several cards in one message of Slack, and the form in which they are decided together. Pure. */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/batch.h"
#include "runtime/notify/slack_priv.h"

/* ---------------------------------------------------------------- several cards in one message */
/* With `is_short` too: nobody decides what they cannot read. */
static bool is_cut(const struct fl_chat_drawing *d, bool is_short)
{
    return is_short && d->card->state != FL_APPROVAL_PENDING;
}

/* Title, state and all that is its own, in as few sections as it fits. */
static void put_item(struct fl_slack_sections *to, const struct fl_chat_drawing *d,
                     const struct fl_card *first, size_t number, bool is_short)
{
    char hex[2 * FL_SHA256_BYTES + 1];
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_printf(&text, "%zu. ", number);
    for (size_t i = 0; i < d->card->block_count; i++) {
        const struct fl_card_block *b = &d->card->blocks[i];
        bool is_head = b->kind == FL_CARD_TITLE || b->kind == FL_CARD_STATUS;
        bool is_shared =
            (b->kind == FL_CARD_WHERE || b->kind == FL_CARD_WHO || b->kind == FL_CARD_RULE) &&
            fl_batch_is_same(first, d->card, b->kind);
        bool is_gone = d->is_erased && (b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW);
        if (!is_head && (is_cut(d, is_short) || is_shared || is_gone || b->kind == FL_CARD_AGENT))
            continue;
        fl_buf_puts(&text, i ? "\n" : "");
        fl_slack_write_block(&text, b);
    }
    if (d->is_erased && d->binding.n == FL_SHA256_BYTES)
        fl_buf_printf(&text, "\nWhat it was about: %s", fl_hex(d->binding.p, d->binding.n, hex));
    to->is_failed |= text.is_failed;
    if (!text.is_failed)
        fl_slack_put(to, fl_buf_view(&text));
    fl_buf_fini(&text);
}

static void put_item_keys(struct fl_buf *out, const struct fl_chat_drawing *d, bool may_stop)
{
    if (!fl_slack_is_open(d->card))
        return;
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (d->card->can_approve)
        fl_slack_put_button(out, d, FL_CHAT_APPROVE, "Approve", ",\"style\":\"primary\"");
    if (d->card->can_reject) {
        fl_slack_put_button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
        fl_slack_put_button(out, d, FL_CHAT_WHY, "Reject, saying why", "");
        fl_slack_put_button(out, d, FL_CHAT_ASK, "Send back with a question", "");
    }
    if (d->may_withdraw)
        fl_slack_put_button(out, d, FL_CHAT_WITHDRAW, FL_CHAT_TAKE_BACK, "");
    if (may_stop || (!d->card->can_reject && !d->may_withdraw))
        fl_slack_put_button(out, d, FL_CHAT_STOP, "Stop agent", FL_SLACK_CONFIRM_STOP);
    fl_buf_puts(out, "]}");
}

/* What the agent says of one stands behind all of them, in as few sections as it fits. */
static void put_words(struct fl_buf *text, const struct fl_chat_drawing *d, size_t number)
{
    const struct fl_card_block *b = fl_card_block(d->card, FL_CARD_AGENT);
    if (!b || d->is_erased)
        return;
    fl_buf_printf(text, "%s%zu. ", text->n ? "\n" : "", number);
    fl_slack_write_block(text, b);
}

static void end_words(struct fl_slack_sections *to, struct fl_buf *text)
{
    to->is_failed |= text->is_failed;
    if (!text->is_failed && text->n)
        fl_slack_put(to, fl_buf_view(text));
    fl_buf_fini(text);
}

/* What is the same for all of them. */
static void put_shared(struct fl_slack_sections *to, const struct fl_card *card)
{
    static const enum fl_card_kind shared[] = { FL_CARD_WHERE, FL_CARD_WHO, FL_CARD_RULE };
    for (size_t i = 0; i < FL_COUNTOF(shared); i++) {
        const struct fl_card_block *b = fl_card_block(card, shared[i]);
        if (b)
            fl_slack_put_block(to, b);
    }
}

/* Opens the form. */
static void put_together(struct fl_buf *out, const struct fl_chat_drawing *host)
{
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    fl_slack_put_button(out, host, FL_CHAT_FORM, "Decide several...", "");
    fl_buf_puts(out, "]}");
}

/* Adds their characters to `chars`. */
static size_t put_sections(struct fl_buf *out, struct fl_slack_sections *s, size_t *chars)
{
    size_t count = s->count;
    for (size_t i = 0; i < count; i++) {
        fl_slack_put_section(out, s->items[i]);
        *chars += fl_utf8_count(s->items[i]);
    }
    s->count = 0;
    return count;
}

enum fl_code fl_slack_draw_many(const struct fl_chat_drawing *items, size_t count, bool is_short,
                                struct fl_arena *arena, struct fl_chat_drawn *ret,
                                struct fl_err *err)
{
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    struct fl_buf out = FL_BUF_INIT, words = FL_BUF_INIT;
    char text[80];
    bool has_stop = false, is_all_cut = true;
    size_t waiting = 0, chars = 0;
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < count; i++) {
        is_all_cut &= is_cut(&items[i], is_short);
        waiting += items[i].card->can_reject;
    }
    s->arena = arena;
    snprintf(text, sizeof text, "%zu calls of one tool, each decided by itself", count);
    fl_slack_put_members(&out, fl_slack_push(&items[0], arena));
    fl_slack_put_header(&out, fl_str_of(text));
    if (!is_all_cut)
        put_shared(s, items[0].card);
    size_t blocks = 1 + put_sections(&out, s, &chars);
    for (size_t i = 0; i < count; i++) {
        put_item(s, &items[i], items[0].card, i + 1, is_short);
        blocks += put_sections(&out, s, &chars) + 1;
        if (is_cut(&items[i], is_short))
            continue;
        put_item_keys(&out, &items[i], !has_stop);
        has_stop |= fl_slack_is_open(items[i].card);
    }
    if (is_short)
        fl_slack_put(s, FL_STR("Too long for a message: flopinio approvals list."));
    for (size_t i = 0; i < count; i++) {
        if (!is_cut(&items[i], is_short))
            put_words(&words, &items[i], i + 1);
    }
    end_words(s, &words);
    blocks += put_sections(&out, s, &chars);
    if (waiting > 1) {
        put_together(&out, &items[0]);
        blocks++;
    }
    fl_buf_putc(&out, ']');
    *ret = (struct fl_chat_drawn){ .is_last_page = true };
    bool is_fine = !out.is_failed && !s->is_failed;
    bool is_over = blocks > FL_SLACK_BLOCKS || chars > FL_SLACK_MESSAGE_CHARS;
    if (is_fine && !is_over)
        ret->bytes = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    if (is_fine && is_over)
        return fl_err_set(err, FL_TOO_LARGE, "the calls do not fit into one message");
    return is_fine && ret->bytes.p ? FL_OK : fl_err_code(err, FL_NOMEM);
}

/* ---------------------------------------------------------------- the form */
#define ITEM_CHARS  FL_CHAT_BUTTON_CHARS
#define SHOWN_BYTES 8 /* of the digest of what is shown */

struct form {
    const struct fl_chat_drawing *drawings;
    const char *const *why;
    size_t count;
    struct fl_slack_sections *texts;
    int *inputs; /* of each text: the call whose verdict stands behind it; -1: none */
    bool is_changed;
};

/* Each call, and behind its last byte its verdict. */
static void put_calls(struct form *f)
{
    const struct fl_chat_drawing *first = NULL;
    struct fl_buf words = FL_BUF_INIT;
    for (size_t i = 0; i < f->count; i++) {
        if (!first && !f->why[i]) {
            first = &f->drawings[i];
            put_shared(f->texts, first->card);
        }
    }
    for (size_t i = 0; i < f->count && first && !f->texts->is_failed; i++) {
        char text[FL_ERR_TEXT_BYTES + 24];
        if (f->why[i]) {
            snprintf(text, sizeof text, "%zu. %s", i + 1, f->why[i]);
            fl_slack_put(f->texts, fl_str_of(text));
            continue;
        }
        put_item(f->texts, &f->drawings[i], first->card, i + 1, false);
        if (!f->texts->is_failed && f->texts->count)
            f->inputs[f->texts->count - 1] = (int)i;
    }
    for (size_t i = 0; i < f->count; i++) {
        if (!f->why[i])
            put_words(&words, &f->drawings[i], i + 1);
    }
    end_words(f->texts, &words);
}

/* The verdict that was chosen before; '-': to leave it. */
static char verdict_of(struct fl_str items, const struct fl_chat_drawing *d, const char *button)
{
    for (size_t at = 0; at + ITEM_CHARS <= items.n; at += ITEM_CHARS) {
        char letter = items.p[at];
        if (memcmp(items.p + at + 1, button + 1, ITEM_CHARS - 1) == 0)
            return letter == 'r' || (letter == 'a' && d->card->can_approve) ? letter : '-';
    }
    return '-';
}

/* What this form is about, for the next one: which calls, and a digest of all its pages. */
static enum fl_code put_items(struct form *f, struct fl_slack_meta *m, struct fl_arena *arena,
                              struct fl_err *err)
{
    struct fl_buf items = FL_BUF_INIT;
    struct fl_sha256 s;
    uint8_t digest[FL_SHA256_BYTES];
    char *hex = fl_arena_alloc(arena, 2 * SHOWN_BYTES + 1);
    fl_sha256_init(&s);
    for (size_t i = 0; i < f->texts->count; i++)
        fl_sha256_part(&s, f->texts->items[i]);
    for (size_t i = 0; i < f->count; i++) {
        char button[FL_CHAT_BUTTON_CHARS + 1];
        if (f->why[i])
            continue;
        fl_chat_button(FL_CHAT_APPROVE, &f->drawings[i].card_id, f->drawings[i].binding, button);
        fl_sha256_part(&s, fl_str_of(button));
        fl_buf_putc(&items, verdict_of(m->items, &f->drawings[i], button));
        fl_buf_puts(&items, button + 1);
    }
    fl_sha256_final(&s, digest);
    struct fl_str all = items.is_failed ? FL_STR("") : fl_arena_str(arena, fl_buf_view(&items));
    fl_buf_fini(&items);
    if (!all.n || !hex)
        return fl_err_code(err, FL_NOMEM);
    fl_hex(digest, SHOWN_BYTES, hex);
    f->is_changed = m->items.n && !fl_str_is(m->shown, hex);
    m->shown = fl_str_of(hex);
    m->items = all;
    return FL_OK;
}

static void put_option(struct fl_buf *out, char letter)
{
    fl_buf_puts(out, "{\"text\":");
    fl_slack_put_plain(out, letter == 'a'   ? FL_STR("Approve")
                            : letter == 'r' ? FL_STR("Reject")
                                            : FL_STR("Leave it"));
    fl_buf_printf(out, ",\"value\":\"%c\"}", letter);
}

/* Its block is named after the call: what was chosen for one is never taken for another. */
static void put_verdict(struct fl_buf *out, const struct fl_chat_drawing *d, size_t number,
                        struct fl_str items)
{
    char button[FL_CHAT_BUTTON_CHARS + 1], text[40];
    fl_chat_button(FL_CHAT_APPROVE, &d->card_id, d->binding, button);
    snprintf(text, sizeof text, "Call %zu", number);
    fl_buf_printf(out, ",{\"type\":\"input\",\"block_id\":\"v%s\",\"label\":", button + 1);
    fl_slack_put_plain(out, fl_str_of(text));
    fl_buf_puts(out, ",\"element\":{\"type\":\"radio_buttons\",\"action_id\":\"v\",\"options\":[");
    if (d->card->can_approve) {
        put_option(out, 'a');
        fl_buf_putc(out, ',');
    }
    put_option(out, 'r');
    fl_buf_putc(out, ',');
    put_option(out, '-');
    fl_buf_puts(out, "],\"initial_option\":");
    put_option(out, verdict_of(items, d, button));
    fl_buf_puts(out, "}}");
}

static void put_reason(struct fl_buf *out)
{
    fl_buf_puts(out, ",{\"type\":\"input\",\"optional\":true,\"block_id\":\"reason\",\"label\":");
    fl_slack_put_plain(out, FL_STR("Why it is rejected, where it is (the agent reads it)"));
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"reason\","
                  "\"multiline\":true,\"max_length\":%d}}",
                  FL_SLACK_REASON_CHARS);
}

static void put_form_page(struct fl_buf *out, const struct form *f, const struct fl_slack_meta *m)
{
    char text[120];
    size_t from = (size_t)m->page * FL_SLACK_PAGE_SECTIONS, end = from + FL_SLACK_PAGE_SECTIONS;
    bool is_last = m->page + 1 == m->pages;
    fl_slack_put_begin(out, m);
    fl_buf_puts(out, ",\"callback_id\":\"many\",\"submit\":");
    fl_slack_put_plain(out, is_last ? FL_STR("Decide") : FL_STR("Next page"));
    fl_buf_puts(out, ",\"blocks\":[");
    snprintf(text, sizeof text, "Page %d of %d: each call has its own verdict%s", m->page + 1,
             m->pages, is_last ? "" : "; nothing is decided before the last one");
    fl_slack_put_section(out, fl_str_of(text));
    if (f->is_changed)
        fl_slack_put_section(out, FL_STR("Something of it has changed meanwhile: please read it "
                                         "again. Nothing was decided."));
    for (size_t i = from; i < end && i < f->texts->count; i++) {
        fl_slack_put_section(out, f->texts->items[i]);
        if (f->inputs[i] >= 0)
            put_verdict(out, &f->drawings[f->inputs[i]], (size_t)f->inputs[i] + 1, m->items);
    }
    if (is_last)
        put_reason(out);
    if (m->page > 0) {
        fl_buf_puts(out, ",{\"type\":\"actions\",\"elements\":[");
        fl_slack_put_button(out, &f->drawings[0], FL_CHAT_BACK, "Back", "");
        fl_buf_puts(out, "]}");
    }
    fl_buf_puts(out, "]}");
}

enum fl_code fl_slack_view_many(struct fl_buf *out, const struct fl_chat_drawing *drawings,
                                const char *const *why, size_t count, struct fl_slack_meta *m,
                                struct fl_arena *arena, struct fl_err *err)
{
    struct form f = { .drawings = drawings, .why = why, .count = count };
    f.texts = FL_ARENA_NEW(arena, struct fl_slack_sections);
    f.inputs = fl_arena_array(arena, FL_SLACK_SECTIONS_MAX, sizeof *f.inputs);
    if (!f.texts || !f.inputs)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < FL_SLACK_SECTIONS_MAX; i++)
        f.inputs[i] = -1;
    f.texts->arena = arena;
    put_calls(&f);
    if (!f.texts->count)
        return fl_err_set(err, FL_CONFLICT, "nothing of it waits for your decision%s%s",
                          count ? ": " : "", count ? why[0] : "");
    enum fl_code code =
        f.texts->is_failed ? fl_err_code(err, FL_NOMEM) : put_items(&f, m, arena, err);
    if (code)
        return code;
    m->pages = (int)((f.texts->count + FL_SLACK_PAGE_SECTIONS - 1) / FL_SLACK_PAGE_SECTIONS);
    m->page = f.is_changed || m->page < 0 ? 0 : m->page >= m->pages ? m->pages - 1 : m->page;
    put_form_page(out, &f, m);
    return fl_buf_code(out, err);
}

/* ---------------------------------------------------------------- what came of it */
static void put_title(struct fl_buf *text, const struct fl_batch *batch, const struct fl_uuid *card)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct fl_batch_item *item = &batch->items[i];
        const struct fl_card_block *b = fl_card_block(&item->card, FL_CARD_TITLE);
        if (fl_uuid_cmp(&item->card_id, card) != 0)
            continue;
        fl_buf_printf(text, "%zu. ", i + 1);
        for (size_t k = 0; b && k < b->line_count; k++)
            fl_buf_str(text, b->lines[k]);
        fl_buf_putc(text, '\n');
        return;
    }
    fl_buf_puts(text, "One that is not in this message any more:\n");
}

void fl_slack_view_ends(struct fl_buf *out, const struct fl_batch *batch,
                        const struct fl_many *many, struct fl_arena *arena)
{
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    out->is_failed |= !s;
    if (!s)
        return;
    s->arena = arena;
    for (size_t i = 0; i < many->count; i++) {
        const struct fl_many_item *item = &many->items[i];
        struct fl_buf text = FL_BUF_INIT;
        put_title(&text, batch, &item->card);
        fl_buf_printf(&text, "%s%s", item->is_refused ? "not decided: " : "",
                      item->answer[0] ? item->answer : "left as it is");
        s->is_failed |= text.is_failed;
        if (!text.is_failed)
            fl_slack_put(s, fl_buf_view(&text));
        fl_buf_fini(&text);
    }
    fl_slack_put_begin(out, &(struct fl_slack_meta){ .page = 0 });
    fl_buf_puts(out, ",\"blocks\":[");
    fl_slack_put_section(out, fl_str_of(many->answer));
    for (size_t i = 0; i < s->count && i < FL_SLACK_BLOCKS; i++)
        fl_slack_put_section(out, s->items[i]);
    fl_buf_puts(out, "]}");
    out->is_failed |= s->is_failed;
}
