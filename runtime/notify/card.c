/* Puts a card together. Several tries from the fullest to the smallest, each made from the facts
 * alone; the first that fits the channel is the card. Its parts that the decision rests on never
 * depend on the agent's own words: those come last, into what room is left. */
#include "runtime/notify/card.h"

#include "flopinio/base/jcs.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/card_priv.h"
#include "runtime/notify/card_text.h"

enum {
    NO_LIMIT = 16 << 20,
    AGENT_RESERVE = 160, /* bytes: the label and "(... more characters not shown)" */
};

static size_t text_bytes(struct fl_card_build *b)
{
    struct fl_card card = { .blocks = b->blocks, .block_count = b->count };
    struct fl_buf text = FL_BUF_INIT;
    fl_card_text(&text, &card);
    b->has_no_memory |= text.is_failed;
    size_t n = text.n;
    fl_buf_fini(&text);
    return n;
}

/* The agent's words, fewer and fewer until they fit. */
static void add_words(struct fl_card_build *b)
{
    size_t before = b->count;
    for (size_t chars = FL_CARD_WORDS;; chars /= 2) {
        fl_card_add_words(b, chars);
        if (b->has_no_memory || (!b->is_over && text_bytes(b) <= b->max))
            return;
        FL_ASSERT(chars > 0); /* the reserve holds what is left then */
        b->count = before;
        b->is_over = false;
    }
}

static enum fl_code check_arguments(struct fl_card_build *b, struct fl_err *err)
{
    struct fl_str arguments = b->ctx.facts->arguments;
    struct fl_buf canonical = FL_BUF_INIT;
    enum fl_code code = fl_scan(arguments, &fl_scan_call, NULL, 0, NULL, err);
    if (code != FL_OK && code != FL_NOMEM) {
        b->unreadable = "the stored arguments cannot be read";
        return FL_OK;
    }
    if (code == FL_OK)
        code = fl_jcs(arguments, &canonical, err);
    if (code == FL_OK && fl_str_eq(fl_buf_view(&canonical), arguments))
        b->ctx.is_readable = true;
    else if (code != FL_NOMEM) {
        b->unreadable = "the stored arguments are not in their canonical form";
        code = FL_OK;
    }
    fl_buf_fini(&canonical);
    return code;
}

/* A sentence for a lock screen: the fullest that fits. */
static enum fl_code make_push(struct fl_card_build *b, struct fl_card *card, struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT;
    enum fl_code code = FL_OK;
    bool is_summary = b->ctx.facts->disclose == FL_DISCLOSE_SUMMARY;
    for (int i = is_summary ? 2 : 0; i < 3; i++) {
        fl_buf_reset(&text);
        fl_buf_puts(&text, fl_state_word(b->ctx.facts->state));
        fl_buf_puts(&text, ": ");
        if (i == 2)
            fl_card_plain_title(&b->ctx, &text);
        else
            code = fl_card_title(&b->ctx, false, &text, err);
        if (i == 0 && b->ctx.facts->server.n) {
            fl_buf_puts(&text, " (");
            fl_card_name(&b->ctx, &text, b->ctx.facts->server, FL_SHOW_ASCII);
            fl_buf_puts(&text, b->ctx.facts->environment.n ? ", " : "");
            fl_card_name(&b->ctx, &text, b->ctx.facts->environment, 0);
            fl_buf_putc(&text, ')');
        }
        if (code != FL_OK || fl_utf8_count(fl_buf_view(&text)) <= FL_CARD_PUSH_CHARS)
            break;
    }
    struct fl_str push = fl_buf_view(&text);
    size_t pos = 0;
    for (int i = 0; i < FL_CARD_PUSH_CHARS - 1; i++)
        (void)fl_utf8_next(push, &pos);
    bool is_cut = fl_utf8_count(push) > FL_CARD_PUSH_CHARS;
    if (code == FL_OK && is_cut) {
        push.p = fl_arena_printf(b->ctx.arena, "%.*s\xe2\x80\xa6", (int)pos, push.p);
        push.n = pos + 3;
    } else if (code == FL_OK) {
        push = fl_arena_str(b->ctx.arena, push);
    }
    if (code == FL_OK && (text.is_failed || !push.p))
        code = fl_err_code(err, FL_NOMEM);
    card->push = push;
    fl_buf_fini(&text);
    return code;
}

static enum fl_code finish(struct fl_card_build *b, struct fl_card *ret, struct fl_err *err)
{
    struct fl_card card = { .state = b->ctx.facts->state, .block_count = b->count };
    struct fl_buf why = FL_BUF_INIT;
    fl_card_put_why_not(b, &why);
    card.is_whole = why.n == 0;
    card.why_not = fl_arena_str(b->ctx.arena, fl_buf_view(&why));
    card.can_reject = card.state == FL_APPROVAL_PENDING;
    card.can_approve = card.can_reject && card.is_whole;
    card.blocks = fl_arena_array(b->ctx.arena, b->count, sizeof *card.blocks);
    bool is_good = !why.is_failed && card.why_not.p && card.blocks && b->count;
    fl_buf_fini(&why);
    if (!is_good)
        return fl_err_code(err, FL_NOMEM);
    memcpy(card.blocks, b->blocks, b->count * sizeof *card.blocks);
    enum fl_code code = make_push(b, &card, err);
    if (code == FL_OK)
        *ret = card;
    return code;
}

enum fl_code fl_card_make(struct fl_arena *arena, const struct fl_card_facts *facts,
                          size_t max_bytes, struct fl_card *ret, struct fl_err *err)
{
    struct fl_card_build b = { .ctx = { .facts = facts, .arena = arena },
                               .max = max_bytes ? max_bytes : NO_LIMIT };
    FL_ASSERT(b.max >= FL_CARD_MIN_BYTES);
    enum fl_code code = check_arguments(&b, err);
    if (code == FL_OK && b.ctx.is_readable)
        code = fl_card_find_needles(&b.ctx, err);
    if (code != FL_OK)
        return code;
    for (b.fit = FL_CARD_FIT_ALL;; b.fit++) {
        fl_card_add_blocks(&b);
        if (b.has_no_memory)
            return fl_err_code(err, FL_NOMEM);
        if (!b.is_over && text_bytes(&b) <= b.max - AGENT_RESERVE)
            break;
        FL_ASSERT(b.fit < FL_CARD_FIT_LEAST); /* which fits FL_CARD_MIN_BYTES */
    }
    add_words(&b);
    if (b.has_no_memory)
        return fl_err_code(err, FL_NOMEM);
    return finish(&b, ret, err);
}

const struct fl_card_block *fl_card_block(const struct fl_card *card, enum fl_card_kind kind)
{
    for (size_t i = 0; i < card->block_count; i++) {
        if (card->blocks[i].kind == kind)
            return &card->blocks[i];
    }
    return NULL;
}
