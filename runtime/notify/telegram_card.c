/* A card as Telegram messages: text with entities, never markup; what others wrote stands in code
 * and pre entities, in which nothing becomes a link or a mention. Longer ones have pages; Approve
 * stands when the last was shown. Pure. */

#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/batch.h"
#include "runtime/notify/show.h"
#include "runtime/notify/telegram_priv.h"

#define PAGES_MAX    1200 /* each at least half full: fl_channel_telegram.whole_max */
#define ENTITIES_MAX 96   /* of a page; Telegram takes 100 */

enum style { PLAIN, BOLD, CODE, PRE };
static const char *const style_names[] = { "", "bold", "code", "pre" };

struct entity {
    enum style style;
    size_t offset, length; /* UTF-16 units */
};

struct page {
    struct fl_buf text;
    size_t units, entity_count;
    struct entity entities[ENTITIES_MAX];
};

struct book {
    struct page *pages[PAGES_MAX];
    size_t count;
    bool is_failed, is_full; /* is_full: a page has more entities than it may */
};

static size_t units_of(struct fl_str s)
{
    size_t pos = 0, units = 0;
    for (int32_t c; (c = fl_utf8_next(s, &pos)) != -1;)
        units += c > 0xffff ? 2 : 1;
    return units;
}

/* The longest prefix of at most so many units; behind a line's end if there is one in its second
 * half. */
static size_t cut(struct fl_str s, size_t units)
{
    size_t pos = 0, used = 0, line = 0;
    while (pos < s.n) {
        size_t next = pos;
        used += fl_utf8_next(s, &next) > 0xffff ? 2 : 1;
        if (used > units)
            break;
        if (s.p[next - 1] == '\n')
            line = next;
        pos = next;
    }
    return pos < s.n && line > pos / 2 ? line : pos;
}

static struct page *last(struct book *b)
{
    return b->count ? b->pages[b->count - 1] : NULL;
}

static struct page *turn(struct book *b)
{
    struct page *p = b->count < PAGES_MAX ? fl_calloc(1, sizeof *p) : NULL;
    if (!p)
        b->is_failed = true;
    else
        b->pages[b->count++] = p;
    return p;
}

static void append(struct book *b, struct page *p, enum style style, struct fl_str text)
{
    size_t units = units_of(text);
    b->is_full |= style != PLAIN && units && p->entity_count == ENTITIES_MAX;
    if (style != PLAIN && units && p->entity_count < ENTITIES_MAX)
        p->entities[p->entity_count++] = (struct entity){ style, p->units, units };
    fl_buf_str(&p->text, text);
    p->units += units;
}

/* What does not fit goes on on the next page; a line that was parted goes on behind "> ", which no
 * line of a card starts with. */
static void put(struct book *b, enum style style, struct fl_str text)
{
    struct page *p = last(b);
    if (!p)
        p = turn(b);
    while (p && text.n) {
        size_t room = p->units < FL_TELEGRAM_PAGE_UNITS ? FL_TELEGRAM_PAGE_UNITS - p->units : 0;
        size_t n = cut(text, room);
        bool is_all = n == text.n;
        if (!is_all && style == BOLD && p->units)
            n = 0; /* a label is not parted */
        if (n)
            append(b, p, style, (struct fl_str){ text.p, n });
        bool is_parted = n && !is_all && text.p[n - 1] != '\n';
        text = (struct fl_str){ text.p + n, text.n - n };
        if (text.n && (p = turn(b)) && is_parted)
            append(b, p, PLAIN, FL_STR("> "));
    }
}

/* On the page that is there, full or not: none is begun for a colon or a line's end. */
static void end_with(struct book *b, const char *text)
{
    if (last(b))
        append(b, last(b), PLAIN, fl_str_of(text));
}

static bool is_under(enum fl_card_kind kind)
{
    return kind == FL_CARD_ARGS || kind == FL_CARD_PREVIEW || kind == FL_CARD_VOTES ||
           kind == FL_CARD_AGENT;
}

static void put_block(struct book *b, const struct fl_card_block *block)
{
    struct fl_buf lines = FL_BUF_INIT;
    bool is_below = is_under(block->kind) || block->line_count > 1;
    if (block->kind != FL_CARD_TITLE) {
        put(b, BOLD, fl_str_of(block->label));
        end_with(b, is_below ? ":\n" : ": ");
    }
    for (size_t i = 0; i < block->line_count; i++) {
        fl_buf_puts(&lines, i ? "\n" : "");
        fl_buf_str(&lines, block->lines[i]);
    }
    b->is_failed |= lines.is_failed;
    if (!lines.is_failed)
        put(b, is_below ? PRE : CODE, fl_buf_view(&lines));
    end_with(b, "\n");
    fl_buf_fini(&lines);
}

/* ---------------------------------------------------------------- as JSON */
static void put_entities(struct fl_buf *out, const struct page *p, size_t shift, size_t units)
{
    bool is_next = false;
    fl_buf_puts(out, ",\"entities\":[");
    for (size_t i = 0; i < p->entity_count; i++) {
        const struct entity *e = &p->entities[i];
        size_t from = e->offset + shift, to = from + e->length;
        to = to < units ? to : units; /* the blanks that were cut off */
        if (from >= to)
            continue;
        fl_buf_printf(out, "%s{\"type\":\"%s\",\"offset\":%zu,\"length\":%zu}", is_next ? "," : "",
                      style_names[e->style], from, to - from);
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

/* Blanks at a message's ends are cut off there, and would shift what stands behind them. */
static void put_message(struct fl_buf *out, struct page *p, struct fl_str before,
                        struct fl_str after)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_str(&text, before);
    fl_buf_str(&text, fl_buf_view(&p->text));
    fl_buf_str(&text, after);
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == ' '))
        fl_buf_cut(&text, text.n - 1);
    fl_buf_puts(out, "\"text\":");
    fl_buf_json_str(out, fl_buf_view(&text));
    put_entities(out, p, units_of(before), units_of(fl_buf_view(&text)));
    fl_buf_puts(out, ",\"link_preview_options\":{\"is_disabled\":true}");
    out->is_failed |= text.is_failed;
    fl_buf_fini(&text);
}

struct keys {
    struct fl_buf *out;
    const struct fl_chat_drawing *drawing;
    bool has_row, has_key;
};

static void row(struct keys *k)
{
    if (k->has_key)
        fl_buf_puts(k->out, "]");
    k->has_row |= k->has_key;
    k->has_key = false;
}

static void key_of(struct keys *k, enum fl_chat_verb verb, const struct fl_uuid *id,
                   struct fl_str text)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(verb, id, k->drawing->binding, data);
    fl_buf_puts(k->out, k->has_key ? "," : k->has_row ? ",[" : "[");
    fl_buf_puts(k->out, "{\"text\":");
    fl_buf_json_str(k->out, text);
    fl_buf_printf(k->out, ",\"callback_data\":\"%s\"}", data);
    k->has_key = true;
}

static void key(struct keys *k, enum fl_chat_verb verb, struct fl_str text)
{
    key_of(k, verb, &k->drawing->card_id, text);
}

static void put_keys(struct fl_buf *out, const struct fl_chat_drawing *d, size_t page, size_t pages)
{
    struct keys k = { .out = out, .drawing = d };
    const struct fl_card *card = d->card;
    bool is_open = card && card->state != FL_APPROVAL_UNKNOWN && !fl_state_is_final(card->state);
    bool is_read = d->is_read || page + 1 == pages;
    fl_buf_puts(out, ",\"reply_markup\":{\"inline_keyboard\":[");
    if (!card && !d->is_stray && !d->key_count)
        key(&k, FL_CHAT_TEST, FL_STR("It works"));
    for (size_t i = 0; i < d->key_count; i++) {
        key_of(&k, d->keys[i].verb, &d->keys[i].id, fl_str_of(d->keys[i].text));
        if (d->keys[i].ends_row)
            row(&k);
    }
    if (is_open && d->asks_stop) {
        key(&k, FL_CHAT_STOP, FL_STR("Yes, stop this agent"));
        key(&k, FL_CHAT_STOP_NOT, FL_STR("No"));
        row(&k);
    }
    if (d->may_grant && d->asks_grant) {
        key(&k, FL_CHAT_GRANT, FL_STR("Yes, allow that"));
        key(&k, FL_CHAT_GRANT_NOT, FL_STR("No"));
        row(&k);
    }
    if (page > 0)
        key(&k, FL_CHAT_BACK, FL_STR("\xe2\x97\x80 Back"));
    if (page + 1 < pages)
        key(&k, FL_CHAT_NEXT, FL_STR("Next \xe2\x96\xb6"));
    row(&k);
    if (card && card->can_approve && is_read)
        key(&k, d->is_typed ? FL_CHAT_TYPED : FL_CHAT_APPROVE,
            d->is_typed ? FL_STR("\xe2\x9c\x85 Approve, typing") : FL_STR("\xe2\x9c\x85 Approve"));
    if (card && card->can_reject) {
        key(&k, FL_CHAT_REJECT, FL_STR("\xe2\x9b\x94 Reject"));
        row(&k);
        key(&k, FL_CHAT_WHY, FL_STR("Reject, saying why"));
    }
    if (d->may_grant && !d->asks_grant)
        key(&k, FL_CHAT_GRANT_ASK, FL_STR(FL_CHAT_GRANT_OFFER "..."));
    if (is_open && !d->asks_stop)
        key(&k, FL_CHAT_STOP_ASK, FL_STR("Stop agent"));
    row(&k);
    if (d->may_withdraw)
        key(&k, FL_CHAT_WITHDRAW, FL_STR(FL_CHAT_TAKE_BACK));
    row(&k);
    fl_buf_puts(out, "]}");
}

static void put_page(struct fl_buf *out, struct book *b, const struct fl_chat_drawing *d,
                     struct fl_chat_drawn *ret)
{
    char before[64] = "", after[160] = "";
    size_t page = d->page < 0 ? 0 : (size_t)d->page;
    if (page >= b->count)
        page = b->count - 1;
    if (page)
        snprintf(before, sizeof before, "(page %zu of %zu)\n", page + 1, b->count);
    if (page + 1 < b->count)
        snprintf(after, sizeof after, "(page %zu of %zu%s)", page + 1, b->count,
                 d->card && d->card->can_approve && !d->is_read ? "; Approve stands on the last one"
                                                                : "");
    put_message(out, b->pages[page], fl_str_of(before), fl_str_of(after));
    put_keys(out, d, page, b->count);
    ret->is_last_page = page + 1 == b->count;
}

static void put_digest(struct book *b, const struct fl_chat_drawing *d)
{
    char hex[2 * FL_SHA256_BYTES + 1];
    if (d->is_erased && d->binding.n == FL_SHA256_BYTES) {
        put(b, BOLD, FL_STR("What it was about"));
        put(b, PLAIN, FL_STR(": "));
        put(b, CODE, fl_str_of(fl_hex(d->binding.p, d->binding.n, hex)));
        put(b, PLAIN, FL_STR("\n"));
    }
}

/* What is said beside a card; before the agent's own words, so that those are the end. */
static void put_ours(struct book *b, const struct fl_chat_drawing *d)
{
    put_digest(b, d);
    if (d->note.n) {
        put(b, PLAIN, d->note);
        end_with(b, "\n");
    }
    if (d->card && d->asks_stop)
        put(b, PLAIN,
            FL_STR("Stop this agent? None of its calls run any more until an administrator "
                   "resumes it.\n"));
}

/* What would run unasked, in one sentence, in front of everything. */
static void put_question(struct book *b, const struct fl_chat_drawing *d)
{
    struct fl_buf tool = FL_BUF_INIT, agent = FL_BUF_INIT;
    fl_show(&tool, d->tool, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_show(&agent, d->agent, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    b->is_failed |= tool.is_failed || agent.is_failed;
    if (!b->is_failed) {
        put(b, PLAIN, FL_STR(FL_CHAT_GRANT_LEAD));
        put(b, CODE, fl_buf_view(&tool));
        put(b, PLAIN, FL_STR(" by "));
        put(b, CODE, fl_buf_view(&agent));
        put(b, PLAIN, FL_STR(FL_CHAT_GRANT_END "\n\n"));
    }
    fl_buf_fini(&tool);
    fl_buf_fini(&agent);
}

static enum fl_code finish(struct book *book, struct fl_buf *out, struct fl_arena *arena,
                           struct fl_chat_drawn *ret, struct fl_err *err)
{
    bool is_fine = !book->is_failed && book->count && !out->is_failed;
    for (size_t i = 0; i < book->count; i++) {
        is_fine &= !book->pages[i]->text.is_failed;
        fl_buf_fini(&book->pages[i]->text);
        fl_free(book->pages[i]);
    }
    if (is_fine)
        ret->bytes = fl_arena_str(arena, fl_buf_view(out));
    fl_buf_fini(out);
    return is_fine && ret->bytes.p ? FL_OK : fl_err_code(err, FL_NOMEM);
}

enum fl_code fl_telegram_draw(const struct fl_chat_drawing *d, struct fl_arena *arena,
                              struct fl_chat_drawn *ret, struct fl_err *err)
{
    struct book book = { .count = 0 };
    struct fl_buf out = FL_BUF_INIT;
    if (d->may_grant && d->asks_grant)
        put_question(&book, d);
    for (size_t i = 0; d->card && i < d->card->block_count; i++) {
        const struct fl_card_block *b = &d->card->blocks[i];
        bool is_gone = d->is_erased && (b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW);
        if (!is_gone && b->kind != FL_CARD_AGENT)
            put_block(&book, b);
    }
    put_ours(&book, d);
    const struct fl_card_block *words = d->card ? fl_card_block(d->card, FL_CARD_AGENT) : NULL;
    if (words && !d->is_erased)
        put_block(&book, words);
    if (!d->card)
        put(&book, PLAIN, d->notice);
    if (d->list.n) {
        put(&book, PLAIN, FL_STR("\n"));
        put(&book, PRE, d->list);
    }
    if (!book.is_failed && book.count)
        put_page(&out, &book, d, ret);
    return finish(&book, &out, arena, ret, err);
}

/* ---------------------------------------------------------------- several cards in one message */
/* With `is_short` too: nobody decides what they cannot read. */
static bool is_cut(const struct fl_chat_drawing *d, bool is_short)
{
    return is_short && d->card->state != FL_APPROVAL_PENDING;
}

static bool are_cut(const struct fl_chat_drawing *items, size_t count, bool is_short)
{
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all &= is_cut(&items[i], is_short);
    return all;
}

static void put_item(struct book *b, const struct fl_chat_drawing *d, const struct fl_card *first,
                     size_t number, bool is_short)
{
    char text[24];
    snprintf(text, sizeof text, "\n%zu. ", number);
    put(b, BOLD, fl_str_of(text));
    for (size_t i = 0; i < d->card->block_count; i++) {
        const struct fl_card_block *block = &d->card->blocks[i];
        bool is_gone =
            d->is_erased && (block->kind == FL_CARD_ARGS || block->kind == FL_CARD_PREVIEW);
        bool is_head = block->kind == FL_CARD_TITLE || block->kind == FL_CARD_STATUS;
        bool is_shared = (block->kind == FL_CARD_WHERE || block->kind == FL_CARD_WHO ||
                          block->kind == FL_CARD_RULE) &&
                         fl_batch_is_same(first, d->card, block->kind);
        if (is_head ||
            (!is_cut(d, is_short) && !is_shared && !is_gone && block->kind != FL_CARD_AGENT))
            put_block(b, block);
    }
    put_digest(b, d);
}

/* What the agent says of them stands behind all of them. */
static void put_all(struct book *b, const struct fl_chat_drawing *items, size_t count,
                    bool is_short)
{
    static const enum fl_card_kind shared[] = { FL_CARD_WHERE, FL_CARD_WHO, FL_CARD_RULE };
    char text[80];
    snprintf(text, sizeof text, "%zu calls of one tool, each decided by itself\n", count);
    put(b, BOLD, fl_str_of(text));
    for (size_t i = 0; i < FL_COUNTOF(shared) && !are_cut(items, count, is_short); i++) {
        const struct fl_card_block *block = fl_card_block(items[0].card, shared[i]);
        if (block)
            put_block(b, block);
    }
    for (size_t i = 0; i < count; i++)
        put_item(b, &items[i], items[0].card, i + 1, is_short);
    if (is_short)
        put(b, PLAIN, FL_STR("\nToo long for a message: flopinio approvals list."));
    for (size_t i = 0; i < count; i++) {
        const struct fl_card_block *words = fl_card_block(items[i].card, FL_CARD_AGENT);
        snprintf(text, sizeof text, "\n%zu. ", i + 1);
        if (words && !items[i].is_erased && !is_cut(&items[i], is_short)) {
            put(b, BOLD, fl_str_of(text));
            put_block(b, words);
        }
    }
}

static bool is_going_on(const struct fl_card *card)
{
    return card->state != FL_APPROVAL_UNKNOWN && !fl_state_is_final(card->state);
}

/* A mark, and how it is changed. */
static void mark_key(struct keys *k, enum fl_chat_verb verb, const char *word, size_t number)
{
    char text[40];
    bool is_set = k->drawing->mark == (verb == FL_CHAT_MARK_APPROVE ? 'a' : 'r');
    snprintf(text, sizeof text, "%s %s %zu", is_set ? "\xe2\x98\x91" : "\xe2\x98\x90", word,
             number);
    key(k, is_set ? FL_CHAT_MARK_NOT : verb, fl_str_of(text));
}

/* Keys that decide nothing but the last, which says what was marked when it was drawn. */
static void put_marks(struct keys *k, const struct fl_chat_drawing *items, size_t count)
{
    struct fl_uuid cards[FL_BATCH_MOST];
    char marks[FL_BATCH_MOST];
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_chat_drawing marked = items[0];
    size_t marked_count = 0;
    char text[60];
    for (size_t i = 0; i < count; i++) {
        k->drawing = &items[i];
        cards[i] = items[i].card_id;
        marks[i] = items[i].mark;
        if (!items[i].card->can_reject)
            continue;
        if (items[i].card->can_approve)
            mark_key(k, FL_CHAT_MARK_APPROVE, "Approve", i + 1);
        mark_key(k, FL_CHAT_MARK_REJECT, "Reject", i + 1);
        marked_count += marks[i] != 0;
        row(k);
    }
    fl_batch_marks(cards, marks, count, digest);
    marked.binding = fl_bytes(digest, sizeof digest);
    k->drawing = &marked;
    snprintf(text, sizeof text, "Decide what is marked (%zu)", marked_count);
    if (marked_count)
        key(k, FL_CHAT_MARKED, fl_str_of(text));
    k->drawing = &items[0];
    key(k, FL_CHAT_MARK_SHUT, FL_STR("One by one"));
    row(k);
}

static void put_each(struct keys *k, const struct fl_chat_drawing *items, size_t count)
{
    char text[40];
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        k->drawing = &items[i];
        waiting += items[i].card->can_reject;
        snprintf(text, sizeof text, "\xe2\x9c\x85 Approve %zu", i + 1);
        if (items[i].card->can_approve)
            key(k, FL_CHAT_APPROVE, fl_str_of(text));
        snprintf(text, sizeof text, "\xe2\x9b\x94 Reject %zu", i + 1);
        if (items[i].card->can_reject)
            key(k, FL_CHAT_REJECT, fl_str_of(text));
        row(k);
        snprintf(text, sizeof text, FL_CHAT_TAKE_BACK ": %zu", i + 1);
        if (items[i].may_withdraw)
            key(k, FL_CHAT_WITHDRAW, fl_str_of(text));
        row(k);
    }
    k->drawing = &items[0];
    if (waiting > 1)
        key(k, FL_CHAT_MARK_OPEN, FL_STR("Decide several..."));
}

static void put_all_keys(struct fl_buf *out, const struct fl_chat_drawing *items, size_t count)
{
    struct keys k = { .out = out };
    const struct fl_chat_drawing *open = NULL, *asks = NULL;
    size_t waiting = 0;
    fl_buf_puts(out, ",\"reply_markup\":{\"inline_keyboard\":[");
    for (size_t i = 0; i < count; i++) {
        open = open || !is_going_on(items[i].card) ? open : &items[i];
        asks = items[i].asks_stop ? &items[i] : asks;
        waiting += items[i].card->can_reject;
    }
    if (items[0].is_marking && waiting && count <= FL_BATCH_MOST)
        put_marks(&k, items, count);
    else
        put_each(&k, items, count);
    if (open && asks) {
        k.drawing = asks;
        key(&k, FL_CHAT_STOP, FL_STR("Yes, stop this agent"));
        key(&k, FL_CHAT_STOP_NOT, FL_STR("No"));
    } else if (open) {
        k.drawing = open;
        key(&k, FL_CHAT_STOP_ASK, FL_STR("Stop agent"));
    }
    row(&k);
    fl_buf_puts(out, "]}");
}

enum fl_code fl_telegram_draw_many(const struct fl_chat_drawing *items, size_t count, bool is_short,
                                   struct fl_arena *arena, struct fl_chat_drawn *ret,
                                   struct fl_err *err)
{
    struct book book = { .count = 0 };
    struct fl_buf out = FL_BUF_INIT;
    put_all(&book, items, count, is_short);
    bool is_over = (book.count > 1 || book.is_full) && !are_cut(items, count, is_short);
    if (!book.is_failed && book.count && !is_over) {
        put_message(&out, book.pages[0], FL_STR(""), FL_STR(""));
        put_all_keys(&out, items, count);
    }
    *ret = (struct fl_chat_drawn){ .is_last_page = true };
    if (is_over && !book.is_failed) {
        (void)!finish(&book, &out, arena, ret, err);
        return fl_err_set(err, FL_TOO_LARGE, "the calls do not fit into one message");
    }
    return finish(&book, &out, arena, ret, err);
}

void fl_telegram_text(struct fl_buf *out, struct fl_str head, struct fl_str list)
{
    struct page page = { .units = 0 };
    struct book book = { .count = 0 };
    if (list.n > 3000)
        list.n = fl_utf8_cut(list, 3000);
    append(&book, &page, PLAIN, head);
    if (list.n) {
        append(&book, &page, PLAIN, FL_STR("\n"));
        append(&book, &page, PRE, list);
    }
    put_message(out, &page, FL_STR(""), FL_STR(""));
    out->is_failed |= page.text.is_failed;
    fl_buf_fini(&page.text);
}
