/* A card as Block Kit: sections whose texts are plain_text objects without emoji, never mrkdwn, so
 * that nothing in them is a mention, a link or a status of ours. A card that is too long for a
 * message says so, and is read in a modal, page by page; Approve stands behind its last page. Pure.
 */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/batch.h"
#include "runtime/notify/show.h"
#include "runtime/notify/slack_priv.h"

#define SECTIONS_MAX  1500 /* each has at least half of what it may have: FL_SLACK_WHOLE_MAX */
#define INLINE_MAX    6    /* sections of a block that a message shows */
#define INLINE_ALL    12
#define PAGE_SECTIONS 8 /* of a modal's page: a view holds 250 KB */
#define HEADER_CHARS  150
#define CONFIRM_CHARS 300

struct sections {
    struct fl_arena *arena;
    struct fl_str items[SECTIONS_MAX];
    size_t count;
    bool is_failed;
};

static const char *const reasons[] = { "wrong target", "not now", "too much at once",
                                       "say first what it is for" };

/* ---------------------------------------------------------------- texts in pieces */
/* The longest prefix of at most so many characters; behind a line's end if there is one in its
 * second half. */
static size_t cut(struct fl_str s, size_t chars)
{
    size_t pos = 0, line = 0;
    for (size_t used = 0; pos < s.n && used < chars; used++) {
        fl_utf8_next(s, &pos);
        if (s.p[pos - 1] == '\n')
            line = pos;
    }
    return pos < s.n && line > pos / 2 ? line : pos;
}

static bool is_blank(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != ' ' && s.p[i] != '\n')
            return false;
    }
    return true;
}

/* A line that was parted goes on behind "> ", which no line of a card starts with. */
static void put(struct sections *to, struct fl_str text)
{
    bool is_parted = false;
    while (text.n) {
        size_t n = cut(text, FL_SLACK_SECTION_CHARS);
        struct fl_str piece = { text.p, n };
        text = (struct fl_str){ text.p + n, text.n - n };
        bool ends_line = piece.p[n - 1] == '\n';
        piece.n -= ends_line;
        if (to->count == SECTIONS_MAX) {
            to->is_failed = true;
            return;
        }
        if (!is_blank(piece) || is_parted) {
            char *item =
                fl_arena_printf(to->arena, "%s%.*s", is_parted ? "> " : "", FL_STR_ARG(piece));
            to->is_failed |= !item;
            to->items[to->count++] = fl_str_of(item ? item : "");
        }
        is_parted = !ends_line;
    }
}

static bool is_under(const struct fl_card_block *b)
{
    return b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW || b->kind == FL_CARD_VOTES ||
           b->kind == FL_CARD_AGENT || b->line_count > 1;
}

static void write_block(struct fl_buf *text, const struct fl_card_block *b)
{
    if (b->kind != FL_CARD_TITLE)
        fl_buf_printf(text, "%s:%s", b->label, is_under(b) ? "\n" : " ");
    for (size_t i = 0; i < b->line_count; i++) {
        fl_buf_puts(text, i ? "\n" : "");
        fl_buf_str(text, b->lines[i]);
    }
}

static void put_block(struct sections *to, const struct fl_card_block *b)
{
    struct fl_buf text = FL_BUF_INIT;
    write_block(&text, b);
    to->is_failed |= text.is_failed;
    if (!text.is_failed)
        put(to, fl_buf_view(&text));
    fl_buf_fini(&text);
}

/* ---------------------------------------------------------------- as JSON */
static void plain(struct fl_buf *out, struct fl_str text)
{
    fl_buf_puts(out, "{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
    fl_buf_json_str(out, text);
    fl_buf_putc(out, '}');
}

static void separate(struct fl_buf *out)
{
    if (out->n && out->p[out->n - 1] != '[')
        fl_buf_putc(out, ',');
}

static void section(struct fl_buf *out, struct fl_str text)
{
    separate(out);
    fl_buf_puts(out, "{\"type\":\"section\",\"text\":");
    plain(out, text);
    fl_buf_putc(out, '}');
}

static void header(struct fl_buf *out, struct fl_str text)
{
    if (fl_utf8_count(text) > HEADER_CHARS) {
        section(out, text);
        return;
    }
    separate(out);
    fl_buf_puts(out, "{\"type\":\"header\",\"text\":");
    plain(out, text);
    fl_buf_putc(out, '}');
}

static void button(struct fl_buf *out, const struct fl_chat_drawing *d, enum fl_chat_verb verb,
                   const char *text, const char *more)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(verb, &d->card_id, d->binding, data);
    separate(out);
    fl_buf_printf(out,
                  "{\"type\":\"button\",\"action_id\":\"%c\",\"value\":\"%s\"%s,\"text\":", data[0],
                  data, more);
    plain(out, fl_str_of(text));
    fl_buf_putc(out, '}');
}

static void put_approve(struct fl_buf *out, const struct fl_chat_drawing *d)
{
    button(out, d, d->is_typed ? FL_CHAT_TYPED : FL_CHAT_APPROVE,
           d->is_typed ? "Approve, typing" : "Approve", ",\"style\":\"primary\"");
}

static void one_tap(struct fl_buf *out, const struct fl_chat_drawing *d)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(FL_CHAT_REJECT, &d->card_id, d->binding, data);
    separate(out);
    fl_buf_puts(out, "{\"type\":\"static_select\",\"action_id\":\"because\",\"placeholder\":");
    plain(out, FL_STR("Reject because..."));
    fl_buf_puts(out, ",\"options\":[");
    for (size_t i = 0; i < FL_COUNTOF(reasons); i++) {
        separate(out);
        fl_buf_puts(out, "{\"text\":");
        plain(out, fl_str_of(reasons[i]));
        fl_buf_printf(out, ",\"value\":\"%s%zu\"}", data, i);
    }
    fl_buf_puts(out, "]}");
}

struct fl_str fl_slack_reason(struct fl_str value)
{
    size_t at = value.n == FL_CHAT_BUTTON_CHARS + 1 ? (size_t)(value.p[value.n - 1] - '0')
                                                    : FL_COUNTOF(reasons);
    return fl_str_of(at < FL_COUNTOF(reasons) ? reasons[at] : NULL);
}

#define CONFIRM_STOP                                                                               \
    ",\"confirm\":{\"title\":{\"type\":\"plain_text\",\"text\":\"Stop this agent?\"},\"text\":{"   \
    "\"type\":\"plain_text\",\"text\":\"None of its calls run any more until an administrator "    \
    "resumes it.\"},\"confirm\":{\"type\":\"plain_text\",\"text\":\"Stop it\"},\"deny\":{"         \
    "\"type\":\"plain_text\",\"text\":\"No\"}}"

static bool is_open(const struct fl_card *card)
{
    return card && card->state != FL_APPROVAL_UNKNOWN && !fl_state_is_final(card->state);
}

/* Asks once more, with what would run unasked in one sentence; what does not fit is not offered. */
static void put_offer(struct fl_buf *out, const struct fl_chat_drawing *d)
{
    struct fl_buf text = FL_BUF_INIT, more = FL_BUF_INIT;
    fl_buf_puts(&text, FL_CHAT_GRANT_LEAD);
    fl_show(&text, d->tool, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_puts(&text, " by ");
    fl_show(&text, d->agent, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_puts(&text, FL_CHAT_GRANT_END);
    fl_buf_puts(&more, ",\"confirm\":{\"title\":");
    plain(&more, FL_STR("Let such calls run?"));
    fl_buf_puts(&more, ",\"text\":");
    plain(&more, text.is_failed ? FL_STR("") : fl_buf_view(&text));
    fl_buf_puts(&more, ",\"confirm\":");
    plain(&more, FL_STR("Allow that"));
    fl_buf_puts(&more, ",\"deny\":");
    plain(&more, FL_STR("No"));
    fl_buf_putc(&more, '}');
    out->is_failed |= text.is_failed || more.is_failed;
    if (!out->is_failed && fl_utf8_count(fl_buf_view(&text)) <= CONFIRM_CHARS) {
        fl_buf_putc(&more, 0);
        button(out, d, FL_CHAT_GRANT, FL_CHAT_GRANT_OFFER, more.p);
    }
    out->is_failed |= more.is_failed;
    fl_buf_fini(&text);
    fl_buf_fini(&more);
}

/* Stopping is confirmed in Slack's own dialog. An action's id is to be the only one of its block.
 */
static void key(struct fl_buf *out, const struct fl_chat_drawing *d, const struct fl_chat_key *k,
                size_t at)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    bool stops = k->verb == FL_CHAT_HALT_ASK;
    fl_chat_button(stops ? FL_CHAT_HALT : k->verb, &k->id, d->binding, data);
    separate(out);
    fl_buf_printf(out, "{\"type\":\"button\",\"action_id\":\"%c%zu\",\"value\":\"%s\"%s,\"text\":",
                  data[0], at, data, stops ? CONFIRM_STOP : "");
    plain(out, fl_str_of(k->text));
    fl_buf_putc(out, '}');
}

/* `has_review`: instead of Approve. */
static void put_keys(struct fl_buf *out, const struct fl_chat_drawing *d, bool has_review)
{
    const struct fl_card *card = d->card;
    if (d->is_stray || (card && !is_open(card) && !d->may_grant))
        return;
    separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (!card && !d->key_count)
        button(out, d, FL_CHAT_TEST, "It works", "");
    for (size_t i = 0; i < d->key_count; i++)
        key(out, d, &d->keys[i], i);
    if (card && card->can_approve && !has_review)
        put_approve(out, d);
    if (has_review)
        button(out, d, FL_CHAT_REVIEW, "Review", ",\"style\":\"primary\"");
    if (card && card->can_reject) {
        button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
        one_tap(out, d);
        button(out, d, FL_CHAT_WHY, "Reject, saying why", "");
        button(out, d, FL_CHAT_ASK, "Send back with a question", "");
        if (card->is_whole)
            button(out, d, FL_CHAT_EDIT, "Edit", "");
    }
    if (d->may_grant)
        put_offer(out, d);
    if (card && is_open(card))
        button(out, d, FL_CHAT_STOP, "Stop agent", CONFIRM_STOP);
    fl_buf_puts(out, "]}");
}

/* ---------------------------------------------------------------- a message */
static size_t sections_of(struct fl_arena *arena, const struct fl_card_block *b, bool *is_failed)
{
    struct sections *s = FL_ARENA_NEW(arena, struct sections);
    if (!s) {
        *is_failed = true;
        return 0;
    }
    s->arena = arena;
    put_block(s, b);
    *is_failed |= s->is_failed;
    return s->count;
}

static void put_short(struct sections *to, const struct fl_card_block *b, bool has_review)
{
    char text[160];
    size_t n = 0;
    for (size_t i = 0; i < b->line_count; i++)
        n += fl_utf8_count(b->lines[i]) + 1;
    snprintf(text, sizeof text, "%.40s: %zu characters, %s", b->label, n,
             has_review
                 ? "too long for a message; press Review, Approve stands behind the last page"
                 : "too long for a message");
    put(to, fl_str_of(text));
}

/* The blocks but the agent's words, and whether some of them were left for the modal; those words,
 * which are few (FL_CARD_WORDS), change nothing of that. */
static bool put_card(struct sections *to, const struct fl_chat_drawing *d)
{
    const struct fl_card *card = d->card;
    size_t all = 0;
    bool is_long = false;
    for (size_t i = 0; i < card->block_count; i++) {
        if (card->blocks[i].kind != FL_CARD_AGENT)
            all += sections_of(to->arena, &card->blocks[i], &to->is_failed);
    }
    for (size_t i = 0; i < card->block_count && !to->is_failed; i++) {
        const struct fl_card_block *b = &card->blocks[i];
        bool is_gone = d->is_erased && (b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW);
        if (is_gone || b->kind == FL_CARD_AGENT)
            continue;
        bool may_be_long =
            b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW || b->kind == FL_CARD_VOTES;
        size_t n = sections_of(to->arena, b, &to->is_failed);
        if (may_be_long && n > 1 && (n > INLINE_MAX || all > INLINE_ALL)) {
            put_short(to, b, card->can_approve);
            is_long = true;
        } else {
            put_block(to, b);
        }
    }
    return is_long;
}

/* What a locked screen shows, and readers of the screen say: the one text that Slack would read as
 * mrkdwn, so that its three characters are escaped as Slack's documentation says. */
static struct fl_str push_of(const struct fl_chat_drawing *d, struct fl_arena *arena)
{
    struct fl_str push = d->card ? d->card->push : d->notice;
    struct fl_buf out = FL_BUF_INIT;
    size_t end = cut(push, FL_CARD_PUSH_CHARS - 1);
    bool is_cut = fl_utf8_count(push) > FL_CARD_PUSH_CHARS;
    for (size_t i = 0; i < (is_cut ? end : push.n); i++) {
        char c = push.p[i];
        if (c == '&' || c == '<' || c == '>')
            fl_buf_puts(&out, c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;");
        else
            fl_buf_putc(&out, c);
    }
    fl_buf_puts(&out, is_cut ? "\xe2\x80\xa6" : "");
    struct fl_str text = out.n ? fl_arena_str(arena, fl_buf_view(&out)) : FL_STR("Flopinio");
    fl_buf_fini(&out);
    return text.p ? text : FL_STR("Flopinio");
}

static void members(struct fl_buf *out, struct fl_str text)
{
    fl_buf_puts(out, "\"text\":");
    fl_buf_json_str(out, text);
    fl_buf_puts(out, ",\"blocks\":[");
}

/* The status, for the thread beneath the card. */
static void draw_outcome(const struct fl_chat_drawing *d, struct fl_arena *arena,
                         struct fl_chat_drawn *ret)
{
    const struct fl_card_block *b = fl_card_block(d->card, FL_CARD_STATUS);
    struct sections *s = FL_ARENA_NEW(arena, struct sections);
    struct fl_buf out = FL_BUF_INIT;
    if (!b || !s || d->is_erased || !fl_state_is_final(d->card->state))
        return;
    s->arena = arena;
    put_block(s, b);
    members(&out, push_of(d, arena));
    for (size_t i = 0; i < s->count && i < 4; i++)
        section(&out, s->items[i]);
    fl_buf_putc(&out, ']');
    if (!out.is_failed && !s->is_failed && s->count)
        ret->after = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
}

enum fl_code fl_slack_draw(const struct fl_chat_drawing *d, struct fl_arena *arena,
                           struct fl_chat_drawn *ret, struct fl_err *err)
{
    struct sections *s = FL_ARENA_NEW(arena, struct sections);
    struct fl_buf out = FL_BUF_INIT;
    char hex[2 * FL_SHA256_BYTES + 1], about[120];
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->arena = arena;
    bool is_long = d->card && put_card(s, d);
    const struct fl_card_block *words = d->card ? fl_card_block(d->card, FL_CARD_AGENT) : NULL;
    if (!d->card)
        put(s, d->notice);
    if (d->list.n)
        put(s, d->list);
    if (d->is_erased && d->binding.n == FL_SHA256_BYTES) {
        snprintf(about, sizeof about, "What it was about: %s",
                 fl_hex(d->binding.p, d->binding.n, hex));
        put(s, fl_str_of(about));
    }
    if (d->note.n)
        put(s, d->note);
    if (words && !d->is_erased) /* behind whatever is ours */
        put_block(s, words);
    members(&out, push_of(d, arena));
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0 && d->card)
            header(&out, s->items[i]);
        else
            section(&out, s->items[i]);
    }
    put_keys(&out, d, is_long && d->card->can_approve);
    fl_buf_putc(&out, ']');
    if (d->card)
        draw_outcome(d, arena, ret);
    ret->is_last_page = !is_long;
    bool is_fine = !out.is_failed && !s->is_failed && s->count && s->count < FL_SLACK_BLOCKS;
    if (is_fine)
        ret->bytes = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return is_fine && ret->bytes.p ? FL_OK : fl_err_code(err, FL_NOMEM);
}

/* ---------------------------------------------------------------- several cards in one message */
/* With `is_short` too: nobody decides what they cannot read. */
static bool is_cut(const struct fl_chat_drawing *d, bool is_short)
{
    return is_short && d->card->state != FL_APPROVAL_PENDING;
}

/* Title, state and all that is its own, in as few sections as it fits. */
static void put_item(struct sections *to, const struct fl_chat_drawing *d,
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
        write_block(&text, b);
    }
    if (d->is_erased && d->binding.n == FL_SHA256_BYTES)
        fl_buf_printf(&text, "\nWhat it was about: %s", fl_hex(d->binding.p, d->binding.n, hex));
    to->is_failed |= text.is_failed;
    if (!text.is_failed)
        put(to, fl_buf_view(&text));
    fl_buf_fini(&text);
}

static void put_item_keys(struct fl_buf *out, const struct fl_chat_drawing *d, bool may_stop)
{
    if (!is_open(d->card))
        return;
    separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (d->card->can_approve)
        button(out, d, FL_CHAT_APPROVE, "Approve", ",\"style\":\"primary\"");
    if (d->card->can_reject) {
        button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
        button(out, d, FL_CHAT_WHY, "Reject, saying why", "");
        button(out, d, FL_CHAT_ASK, "Send back with a question", "");
    }
    if (may_stop || !d->card->can_reject)
        button(out, d, FL_CHAT_STOP, "Stop agent", CONFIRM_STOP);
    fl_buf_puts(out, "]}");
}

/* What the agent says of them stands behind all of them. */
static void put_words(struct sections *to, const struct fl_chat_drawing *items, size_t count,
                      bool is_short)
{
    for (size_t i = 0; i < count; i++) {
        const struct fl_card_block *b = fl_card_block(items[i].card, FL_CARD_AGENT);
        struct fl_buf text = FL_BUF_INIT;
        if (b && !items[i].is_erased && !is_cut(&items[i], is_short)) {
            fl_buf_printf(&text, "%zu. ", i + 1);
            write_block(&text, b);
            to->is_failed |= text.is_failed;
            if (!text.is_failed)
                put(to, fl_buf_view(&text));
        }
        fl_buf_fini(&text);
    }
}

static size_t put_sections(struct fl_buf *out, struct sections *s)
{
    size_t count = s->count;
    for (size_t i = 0; i < count; i++)
        section(out, s->items[i]);
    s->count = 0;
    return count;
}

enum fl_code fl_slack_draw_many(const struct fl_chat_drawing *items, size_t count, bool is_short,
                                struct fl_arena *arena, struct fl_chat_drawn *ret,
                                struct fl_err *err)
{
    static const enum fl_card_kind shared[] = { FL_CARD_WHERE, FL_CARD_WHO, FL_CARD_RULE };
    struct sections *s = FL_ARENA_NEW(arena, struct sections);
    struct fl_buf out = FL_BUF_INIT;
    char text[80];
    bool has_stop = false, waits = false;
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < count; i++)
        waits |= !is_cut(&items[i], is_short);
    s->arena = arena;
    snprintf(text, sizeof text, "%zu calls of one tool, each decided by itself", count);
    members(&out, push_of(&items[0], arena));
    header(&out, fl_str_of(text));
    for (size_t i = 0; i < FL_COUNTOF(shared) && waits; i++) {
        const struct fl_card_block *b = fl_card_block(items[0].card, shared[i]);
        if (b)
            put_block(s, b);
    }
    size_t blocks = 1 + put_sections(&out, s);
    for (size_t i = 0; i < count; i++) {
        put_item(s, &items[i], items[0].card, i + 1, is_short);
        blocks += put_sections(&out, s) + 1;
        if (is_cut(&items[i], is_short))
            continue;
        put_item_keys(&out, &items[i], !has_stop);
        has_stop |= is_open(items[i].card);
    }
    if (is_short)
        put(s, FL_STR("Too long for a message: flopinio approvals list."));
    put_words(s, items, count, is_short);
    blocks += put_sections(&out, s);
    fl_buf_putc(&out, ']');
    *ret = (struct fl_chat_drawn){ .is_last_page = true };
    bool is_fine = !out.is_failed && !s->is_failed, is_over = blocks > FL_SLACK_BLOCKS;
    if (is_fine && !is_over)
        ret->bytes = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    if (is_fine && is_over)
        return fl_err_set(err, FL_TOO_LARGE, "the calls do not fit into one message");
    return is_fine && ret->bytes.p ? FL_OK : fl_err_code(err, FL_NOMEM);
}

void fl_slack_text(struct fl_buf *out, struct fl_str head, struct fl_str list)
{
    size_t n = cut(list, FL_SLACK_SECTION_CHARS);
    members(out, FL_STR("Flopinio"));
    section(out, head);
    if (n && !is_blank((struct fl_str){ list.p, n }))
        section(out, (struct fl_str){ list.p, n });
    fl_buf_putc(out, ']');
}

/* ---------------------------------------------------------------- modals */
/* "BUTTON PLACE MESSAGE PAGE PAGES" */
static void put_meta(struct fl_buf *out, const struct fl_slack_meta *m)
{
    char text[400];
    fl_utf8_format(text, sizeof text, "%.*s %.*s %.*s %d %d", FL_STR_ARG(m->button),
                   FL_STR_ARG(m->place), FL_STR_ARG(m->message), m->page, m->pages);
    fl_buf_puts(out, ",\"private_metadata\":");
    fl_buf_json_str(out, fl_str_of(text));
}

bool fl_slack_meta_read(struct fl_str text, struct fl_slack_meta *ret)
{
    struct fl_str parts[5];
    long long page, pages;
    size_t count = 0, from = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] != ' ')
            continue;
        if (count == FL_COUNTOF(parts))
            return false;
        parts[count++] = (struct fl_str){ text.p + from, i - from };
        from = i + 1;
    }
    if (count != FL_COUNTOF(parts) || !fl_str_to_i64(parts[3], &page) ||
        !fl_str_to_i64(parts[4], &pages) || page < 0 || pages < 0 || pages > SECTIONS_MAX)
        return false;
    *ret = (struct fl_slack_meta){ parts[0], parts[1], parts[2], (int)page, (int)pages };
    return true;
}

static void begin_view(struct fl_buf *out)
{
    fl_buf_puts(out, "{\"type\":\"modal\",\"title\":");
    plain(out, FL_STR("Flopinio"));
    fl_buf_puts(out, ",\"close\":");
    plain(out, FL_STR("Close"));
}

void fl_slack_put_begin(struct fl_buf *out, const struct fl_slack_meta *meta)
{
    begin_view(out);
    put_meta(out, meta);
}

void fl_slack_put_plain(struct fl_buf *out, struct fl_str text)
{
    plain(out, text);
}

void fl_slack_put_section(struct fl_buf *out, struct fl_str text)
{
    section(out, text);
}

void fl_slack_view_text(struct fl_buf *out, struct fl_str text)
{
    begin_view(out);
    fl_buf_puts(out, ",\"blocks\":[");
    section(out, text.n ? text : FL_STR("done"));
    fl_buf_puts(out, "]}");
}

void fl_slack_view_words(struct fl_buf *out, const struct fl_slack_meta *meta, const char *words)
{
    struct fl_buf text = FL_BUF_INIT;
    begin_view(out);
    put_meta(out, meta);
    fl_buf_puts(out, ",\"callback_id\":\"reason\",\"submit\":");
    plain(out, FL_STR("Approve"));
    fl_buf_puts(&text, "To approve it, type: ");
    fl_show(&text, fl_str_of(words), FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_puts(out, ",\"blocks\":[");
    section(out, text.is_failed ? FL_STR("") : fl_buf_view(&text));
    fl_buf_puts(out, ",{\"type\":\"input\",\"block_id\":\"reason\",\"label\":");
    plain(out, FL_STR("These words"));
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"reason\","
                  "\"min_length\":1,\"max_length\":%d}}]}",
                  FL_SLACK_REASON_CHARS);
    out->is_failed |= text.is_failed;
    fl_buf_fini(&text);
}

void fl_slack_view_reason(struct fl_buf *out, const struct fl_slack_meta *meta, bool asks)
{
    begin_view(out);
    put_meta(out, meta);
    fl_buf_puts(out, ",\"callback_id\":\"reason\",\"submit\":");
    plain(out, asks ? FL_STR("Send back") : FL_STR("Reject"));
    fl_buf_puts(out, ",\"blocks\":[");
    section(out, asks ? FL_STR("It is rejected, the agent reads your question, and may ask again.")
                      : FL_STR("It is rejected, and the agent reads why."));
    fl_buf_puts(out, ",{\"type\":\"input\",\"block_id\":\"reason\",\"label\":");
    plain(out, asks ? FL_STR("Your question") : FL_STR("Why is it rejected?"));
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"reason\","
                  "\"multiline\":true,\"min_length\":1,\"max_length\":%d}}]}",
                  FL_SLACK_REASON_CHARS);
}

enum fl_code fl_slack_view_card(struct fl_buf *out, const struct fl_chat_drawing *d,
                                struct fl_slack_meta *m, struct fl_arena *arena, struct fl_err *err)
{
    struct sections *s = FL_ARENA_NEW(arena, struct sections);
    char text[80];
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->arena = arena;
    for (size_t i = 0; i < d->card->block_count; i++)
        put_block(s, &d->card->blocks[i]);
    m->pages = (int)((s->count + PAGE_SECTIONS - 1) / PAGE_SECTIONS);
    m->page = m->page < 0 ? 0 : m->page >= m->pages ? m->pages - 1 : m->page;
    bool is_last = m->page + 1 == m->pages;
    begin_view(out);
    /* The last page of what is not shown whole was not read to its end. */
    struct fl_slack_meta shown = *m;
    shown.pages = d->card->is_whole ? m->pages : 0;
    put_meta(out, &shown);
    fl_buf_puts(out, ",\"callback_id\":\"review\",\"blocks\":[");
    snprintf(text, sizeof text, "Page %d of %d%s", m->page + 1, m->pages,
             d->card->can_approve && !is_last ? "; Approve stands on the last one" : "");
    section(out, fl_str_of(text));
    for (size_t i = (size_t)m->page * PAGE_SECTIONS;
         i < s->count && i < (size_t)(m->page + 1) * PAGE_SECTIONS; i++)
        section(out, s->items[i]);
    separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (m->page > 0)
        button(out, d, FL_CHAT_BACK, "Back", "");
    if (!is_last)
        button(out, d, FL_CHAT_NEXT, "Next", ",\"style\":\"primary\"");
    if (is_last && d->card->can_approve)
        put_approve(out, d);
    button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
    fl_buf_puts(out, "]}]}");
    return s->is_failed || out->is_failed ? fl_err_code(err, FL_NOMEM) : FL_OK;
}
