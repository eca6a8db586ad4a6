/* A card as Block Kit: sections whose texts are plain_text objects without emoji, never mrkdwn, so
 * that nothing in them is a mention, a link or a status of ours. A card that is too long for a
 * message says so, and is read in a modal, page by page; Approve stands behind its last page. Pure.
 */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"
#include "runtime/notify/slack_priv.h"

#define INLINE_MAX    6 /* sections of a block that a message shows */
#define INLINE_ALL    12
#define SHORT_CHARS   600 /* a block of so many stays in any case */
#define HEADER_CHARS  150
#define CONFIRM_CHARS 300

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
void fl_slack_put(struct fl_slack_sections *to, struct fl_str text)
{
    bool is_parted = false;
    while (text.n) {
        size_t n = cut(text, FL_SLACK_SECTION_CHARS);
        struct fl_str piece = { text.p, n };
        text = (struct fl_str){ text.p + n, text.n - n };
        bool ends_line = piece.p[n - 1] == '\n';
        piece.n -= ends_line;
        if (to->count == FL_SLACK_SECTIONS_MAX) {
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

void fl_slack_write_block(struct fl_buf *text, const struct fl_card_block *b)
{
    if (b->kind != FL_CARD_TITLE)
        fl_buf_printf(text, "%s:%s", b->label, is_under(b) ? "\n" : " ");
    for (size_t i = 0; i < b->line_count; i++) {
        fl_buf_puts(text, i ? "\n" : "");
        fl_buf_str(text, b->lines[i]);
    }
}

void fl_slack_put_block(struct fl_slack_sections *to, const struct fl_card_block *b)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_slack_write_block(&text, b);
    to->is_failed |= text.is_failed;
    if (!text.is_failed)
        fl_slack_put(to, fl_buf_view(&text));
    fl_buf_fini(&text);
}

/* ---------------------------------------------------------------- as JSON */
void fl_slack_put_plain(struct fl_buf *out, struct fl_str text)
{
    fl_buf_puts(out, "{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
    fl_buf_json_str(out, text);
    fl_buf_putc(out, '}');
}

void fl_slack_separate(struct fl_buf *out)
{
    if (out->n && out->p[out->n - 1] != '[')
        fl_buf_putc(out, ',');
}

void fl_slack_put_section(struct fl_buf *out, struct fl_str text)
{
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"section\",\"text\":");
    fl_slack_put_plain(out, text);
    fl_buf_putc(out, '}');
}

void fl_slack_put_header(struct fl_buf *out, struct fl_str text)
{
    if (fl_utf8_count(text) > HEADER_CHARS) {
        fl_slack_put_section(out, text);
        return;
    }
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"header\",\"text\":");
    fl_slack_put_plain(out, text);
    fl_buf_putc(out, '}');
}

void fl_slack_put_button(struct fl_buf *out, const struct fl_chat_drawing *d,
                         enum fl_chat_verb verb, const char *text, const char *more)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(verb, &d->card_id, d->binding, data);
    fl_slack_separate(out);
    fl_buf_printf(out,
                  "{\"type\":\"button\",\"action_id\":\"%c\",\"value\":\"%s\"%s,\"text\":", data[0],
                  data, more);
    fl_slack_put_plain(out, fl_str_of(text));
    fl_buf_putc(out, '}');
}

static void put_approve(struct fl_buf *out, const struct fl_chat_drawing *d)
{
    fl_slack_put_button(out, d,
                        d->is_proved  ? FL_CHAT_PROVE
                        : d->is_typed ? FL_CHAT_TYPED
                                      : FL_CHAT_APPROVE,
                        d->is_proved  ? "Approve, with a code"
                        : d->is_typed ? "Approve, typing"
                                      : "Approve",
                        ",\"style\":\"primary\"");
}

static void one_tap(struct fl_buf *out, const struct fl_chat_drawing *d)
{
    char data[FL_CHAT_BUTTON_CHARS + 1];
    fl_chat_button(FL_CHAT_REJECT, &d->card_id, d->binding, data);
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"static_select\",\"action_id\":\"because\",\"placeholder\":");
    fl_slack_put_plain(out, FL_STR("Reject because..."));
    fl_buf_puts(out, ",\"options\":[");
    for (size_t i = 0; i < FL_COUNTOF(reasons); i++) {
        fl_slack_separate(out);
        fl_buf_puts(out, "{\"text\":");
        fl_slack_put_plain(out, fl_str_of(reasons[i]));
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

bool fl_slack_is_open(const struct fl_card *card)
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
    fl_slack_put_plain(&more, FL_STR("Let such calls run?"));
    fl_buf_puts(&more, ",\"text\":");
    fl_slack_put_plain(&more, text.is_failed ? FL_STR("") : fl_buf_view(&text));
    fl_buf_puts(&more, ",\"confirm\":");
    fl_slack_put_plain(&more, FL_STR("Allow that"));
    fl_buf_puts(&more, ",\"deny\":");
    fl_slack_put_plain(&more, FL_STR("No"));
    fl_buf_putc(&more, '}');
    out->is_failed |= text.is_failed || more.is_failed;
    if (!out->is_failed && fl_utf8_count(fl_buf_view(&text)) <= CONFIRM_CHARS) {
        fl_buf_putc(&more, 0);
        fl_slack_put_button(out, d, FL_CHAT_GRANT, FL_CHAT_GRANT_OFFER, more.p);
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
    fl_slack_separate(out);
    fl_buf_printf(out, "{\"type\":\"button\",\"action_id\":\"%c%zu\",\"value\":\"%s\"%s,\"text\":",
                  data[0], at, data, stops ? FL_SLACK_CONFIRM_STOP : "");
    fl_slack_put_plain(out, fl_str_of(k->text));
    fl_buf_putc(out, '}');
}

/* `has_review`: instead of Approve. */
static void put_keys(struct fl_buf *out, const struct fl_chat_drawing *d, bool has_review)
{
    const struct fl_card *card = d->card;
    if (d->is_stray || (card && !fl_slack_is_open(card) && !d->may_grant))
        return;
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (!card && !d->key_count)
        fl_slack_put_button(out, d, FL_CHAT_TEST, "It works", "");
    for (size_t i = 0; i < d->key_count; i++)
        key(out, d, &d->keys[i], i);
    if (card && card->can_approve && !has_review)
        put_approve(out, d);
    if (has_review)
        fl_slack_put_button(out, d, FL_CHAT_REVIEW, "Review", ",\"style\":\"primary\"");
    if (card && card->can_reject) {
        fl_slack_put_button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
        one_tap(out, d);
        fl_slack_put_button(out, d, FL_CHAT_WHY, "Reject, saying why", "");
        fl_slack_put_button(out, d, FL_CHAT_ASK, "Send back with a question", "");
        if (card->is_whole)
            fl_slack_put_button(out, d, FL_CHAT_EDIT, "Edit", "");
    }
    if (d->may_withdraw)
        fl_slack_put_button(out, d, FL_CHAT_WITHDRAW, FL_CHAT_TAKE_BACK, "");
    if (d->may_grant)
        put_offer(out, d);
    if (card && fl_slack_is_open(card))
        fl_slack_put_button(out, d, FL_CHAT_STOP, "Stop agent", FL_SLACK_CONFIRM_STOP);
    fl_buf_puts(out, "]}");
}

/* ---------------------------------------------------------------- a message */
/* Adds its characters to `chars`. */
static size_t sections_of(struct fl_arena *arena, const struct fl_card_block *b, size_t *chars,
                          bool *is_failed)
{
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    if (!s) {
        *is_failed = true;
        return 0;
    }
    s->arena = arena;
    fl_slack_put_block(s, b);
    *is_failed |= s->is_failed;
    for (size_t i = 0; i < s->count; i++)
        *chars += fl_utf8_count(s->items[i]);
    return s->count;
}

static void put_short(struct fl_slack_sections *to, const struct fl_card_block *b, bool has_review)
{
    char text[160];
    size_t n = 0;
    for (size_t i = 0; i < b->line_count; i++)
        n += fl_utf8_count(b->lines[i]) + 1;
    snprintf(text, sizeof text, "%.40s: %zu characters, %s", b->label, n,
             has_review
                 ? "too long for a message; press Review, Approve stands behind the last page"
                 : "too long for a message");
    fl_slack_put(to, fl_str_of(text));
}

/* The blocks but the agent's words, and whether some of them were left for the modal; those words,
 * which are few (FL_CARD_WORDS), change nothing of that. */
static bool put_card(struct fl_slack_sections *to, const struct fl_chat_drawing *d)
{
    const struct fl_card *card = d->card;
    size_t all = 0, chars = 0;
    bool is_long = false;
    for (size_t i = 0; i < card->block_count; i++) {
        if (card->blocks[i].kind != FL_CARD_AGENT)
            all += sections_of(to->arena, &card->blocks[i], &chars, &to->is_failed);
    }
    for (size_t i = 0; i < card->block_count && !to->is_failed; i++) {
        const struct fl_card_block *b = &card->blocks[i];
        bool is_gone = d->is_erased && (b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW);
        if (is_gone || b->kind == FL_CARD_AGENT)
            continue;
        bool may_be_long =
            b->kind == FL_CARD_ARGS || b->kind == FL_CARD_PREVIEW || b->kind == FL_CARD_VOTES;
        size_t own = 0, n = sections_of(to->arena, b, &own, &to->is_failed);
        bool is_over = all > INLINE_ALL || chars > FL_SLACK_MESSAGE_CHARS;
        if (may_be_long && (n > INLINE_MAX || (is_over && own > SHORT_CHARS))) {
            put_short(to, b, card->can_approve);
            is_long = true;
        } else {
            fl_slack_put_block(to, b);
        }
    }
    return is_long;
}

/* What a locked screen shows, and readers of the screen say: the one text that Slack would read as
 * mrkdwn, so that its three characters are escaped as Slack's documentation says. */
struct fl_str fl_slack_push(const struct fl_chat_drawing *d, struct fl_arena *arena)
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

void fl_slack_put_members(struct fl_buf *out, struct fl_str text)
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
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    struct fl_buf out = FL_BUF_INIT;
    if (!b || !s || d->is_erased || !fl_state_is_final(d->card->state))
        return;
    s->arena = arena;
    fl_slack_put_block(s, b);
    fl_slack_put_members(&out, fl_slack_push(d, arena));
    for (size_t i = 0; i < s->count && i < 4; i++)
        fl_slack_put_section(&out, s->items[i]);
    fl_buf_putc(&out, ']');
    if (!out.is_failed && !s->is_failed && s->count)
        ret->after = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
}

enum fl_code fl_slack_draw(const struct fl_chat_drawing *d, struct fl_arena *arena,
                           struct fl_chat_drawn *ret, struct fl_err *err)
{
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    struct fl_buf out = FL_BUF_INIT;
    char hex[2 * FL_SHA256_BYTES + 1], about[120];
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->arena = arena;
    bool is_long = d->card && put_card(s, d);
    const struct fl_card_block *words = d->card ? fl_card_block(d->card, FL_CARD_AGENT) : NULL;
    if (!d->card)
        fl_slack_put(s, d->notice);
    if (d->list.n)
        fl_slack_put(s, d->list);
    if (d->is_erased && d->binding.n == FL_SHA256_BYTES) {
        snprintf(about, sizeof about, "What it was about: %s",
                 fl_hex(d->binding.p, d->binding.n, hex));
        fl_slack_put(s, fl_str_of(about));
    }
    if (d->note.n)
        fl_slack_put(s, d->note);
    if (words && !d->is_erased) /* behind whatever is ours */
        fl_slack_put_block(s, words);
    fl_slack_put_members(&out, fl_slack_push(d, arena));
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0 && d->card)
            fl_slack_put_header(&out, s->items[i]);
        else
            fl_slack_put_section(&out, s->items[i]);
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

void fl_slack_text(struct fl_buf *out, struct fl_str head, struct fl_str list)
{
    size_t n = cut(list, FL_SLACK_SECTION_CHARS);
    fl_slack_put_members(out, FL_STR("Flopinio"));
    fl_slack_put_section(out, head);
    if (n && !is_blank((struct fl_str){ list.p, n }))
        fl_slack_put_section(out, (struct fl_str){ list.p, n });
    fl_buf_putc(out, ']');
}

/* ---------------------------------------------------------------- modals */
/* "BUTTON PLACE MESSAGE PAGE PAGES", and of several cards " SHOWN ITEMS" */
static void put_meta(struct fl_buf *out, const struct fl_slack_meta *m)
{
    char text[1200]; /* Slack keeps 3,000 */
    fl_utf8_format(text, sizeof text, "%.*s %.*s %.*s %d %d%s%.*s%s%.*s", FL_STR_ARG(m->button),
                   FL_STR_ARG(m->place), FL_STR_ARG(m->message), m->page, m->pages,
                   m->items.n ? " " : "", FL_STR_ARG(m->shown), m->items.n ? " " : "",
                   FL_STR_ARG(m->items));
    fl_buf_puts(out, ",\"private_metadata\":");
    fl_buf_json_str(out, fl_str_of(text));
}

bool fl_slack_meta_read(struct fl_str text, struct fl_slack_meta *ret)
{
    struct fl_str parts[7];
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
    bool is_form = count == FL_COUNTOF(parts);
    if ((!is_form && count != 5) || !fl_str_to_i64(parts[3], &page) ||
        !fl_str_to_i64(parts[4], &pages) || page < 0 || pages < 0 || pages > FL_SLACK_SECTIONS_MAX)
        return false;
    *ret = (struct fl_slack_meta){ .button = parts[0],
                                   .place = parts[1],
                                   .message = parts[2],
                                   .page = (int)page,
                                   .pages = (int)pages };
    if (is_form) {
        ret->shown = parts[5];
        ret->items = parts[6];
    }
    return true;
}

static void begin_view(struct fl_buf *out)
{
    fl_buf_puts(out, "{\"type\":\"modal\",\"title\":");
    fl_slack_put_plain(out, FL_STR("Flopinio"));
    fl_buf_puts(out, ",\"close\":");
    fl_slack_put_plain(out, FL_STR("Close"));
}

void fl_slack_put_begin(struct fl_buf *out, const struct fl_slack_meta *meta)
{
    begin_view(out);
    put_meta(out, meta);
}

void fl_slack_view_text(struct fl_buf *out, struct fl_str text)
{
    begin_view(out);
    fl_buf_puts(out, ",\"blocks\":[");
    fl_slack_put_section(out, text.n ? text : FL_STR("done"));
    fl_buf_puts(out, "]}");
}

/* What to type, and where. */
static void put_typing(struct fl_buf *out, const char *words)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_puts(&text, "To approve it, type: ");
    fl_show(&text, fl_str_of(words), FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_slack_put_section(out, text.is_failed ? FL_STR("") : fl_buf_view(&text));
    fl_buf_puts(out, ",{\"type\":\"input\",\"block_id\":\"reason\",\"label\":");
    fl_slack_put_plain(out, FL_STR("These words"));
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"reason\","
                  "\"min_length\":1,\"max_length\":%d}}",
                  FL_SLACK_REASON_CHARS);
    out->is_failed |= text.is_failed;
    fl_buf_fini(&text);
}

static void begin_approval(struct fl_buf *out, const struct fl_slack_meta *meta, const char *form)
{
    begin_view(out);
    put_meta(out, meta);
    fl_buf_printf(out, ",\"callback_id\":\"%s\",\"submit\":", form);
    fl_slack_put_plain(out, FL_STR("Approve"));
    fl_buf_puts(out, ",\"blocks\":[");
}

void fl_slack_view_words(struct fl_buf *out, const struct fl_slack_meta *meta, const char *words)
{
    begin_approval(out, meta, "reason");
    put_typing(out, words);
    fl_buf_puts(out, "]}");
}

void fl_slack_view_code(struct fl_buf *out, const struct fl_slack_meta *meta, const char *words)
{
    begin_approval(out, meta, FL_SLACK_FORM_CODE);
    fl_slack_put_section(
        out, FL_STR("To approve it, give the code that your authenticator shows now. It is "
                    "used once, and kept nowhere."));
    fl_buf_puts(out, ",{\"type\":\"input\",\"block_id\":\"" FL_SLACK_FORM_CODE "\",\"label\":");
    fl_slack_put_plain(out, FL_STR("Six digits"));
    fl_buf_puts(out,
                ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"" FL_SLACK_FORM_CODE
                "\",\"min_length\":6,\"max_length\":8}}");
    if (words)
        put_typing(out, words);
    fl_buf_puts(out, "]}");
}

void fl_slack_view_reason(struct fl_buf *out, const struct fl_slack_meta *meta, bool asks)
{
    begin_view(out);
    put_meta(out, meta);
    fl_buf_puts(out, ",\"callback_id\":\"reason\",\"submit\":");
    fl_slack_put_plain(out, asks ? FL_STR("Send back") : FL_STR("Reject"));
    fl_buf_puts(out, ",\"blocks\":[");
    fl_slack_put_section(
        out, asks ? FL_STR("It is rejected, the agent reads your question, and may ask again.")
                  : FL_STR("It is rejected, and the agent reads why."));
    fl_buf_puts(out, ",{\"type\":\"input\",\"block_id\":\"reason\",\"label\":");
    fl_slack_put_plain(out, asks ? FL_STR("Your question") : FL_STR("Why is it rejected?"));
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"reason\","
                  "\"multiline\":true,\"min_length\":1,\"max_length\":%d}}]}",
                  FL_SLACK_REASON_CHARS);
}

enum fl_code fl_slack_view_card(struct fl_buf *out, const struct fl_chat_drawing *d,
                                struct fl_slack_meta *m, struct fl_arena *arena, struct fl_err *err)
{
    struct fl_slack_sections *s = FL_ARENA_NEW(arena, struct fl_slack_sections);
    char text[80];
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->arena = arena;
    for (size_t i = 0; i < d->card->block_count; i++)
        fl_slack_put_block(s, &d->card->blocks[i]);
    m->pages = (int)((s->count + FL_SLACK_PAGE_SECTIONS - 1) / FL_SLACK_PAGE_SECTIONS);
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
    fl_slack_put_section(out, fl_str_of(text));
    for (size_t i = (size_t)m->page * FL_SLACK_PAGE_SECTIONS;
         i < s->count && i < (size_t)(m->page + 1) * FL_SLACK_PAGE_SECTIONS; i++)
        fl_slack_put_section(out, s->items[i]);
    fl_slack_separate(out);
    fl_buf_puts(out, "{\"type\":\"actions\",\"elements\":[");
    if (m->page > 0)
        fl_slack_put_button(out, d, FL_CHAT_BACK, "Back", "");
    if (!is_last)
        fl_slack_put_button(out, d, FL_CHAT_NEXT, "Next", ",\"style\":\"primary\"");
    if (is_last && d->card->can_approve)
        put_approve(out, d);
    fl_slack_put_button(out, d, FL_CHAT_REJECT, "Reject", ",\"style\":\"danger\"");
    fl_buf_puts(out, "]}]}");
    return s->is_failed || out->is_failed ? fl_err_code(err, FL_NOMEM) : FL_OK;
}
