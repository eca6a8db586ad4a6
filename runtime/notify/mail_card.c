/* A card as a mail: what is drawn is an object with the mail's parts, which mail_send.c completes
 * with a link. A mail that was sent cannot be changed: so it is sent when a person is asked, and
 * once more, without a link, when it is over. Pure. */
#include "flopinio/base/utf8.h"
#include "runtime/notify/card_html.h"
#include "runtime/notify/card_text.h"
#include "runtime/notify/mail_priv.h"

#define LINES "white-space:pre-wrap;overflow-wrap:anywhere;text-indent:-2em;"

static const struct fl_html_look look = {
    .label = " style=\"font-size:13px;color:#5f6368;margin:12px 0 2px\"",
    .text = " style=\"" LINES "padding-left:2em\"",
    .code = " style=\"" LINES "padding:8px 8px 8px 2.5em;background:#f1f3f4;"
            "font:14px/1.4 monospace\""
};
#define MORE "The rest of it is on the page that the link opens."

static bool is_over(const struct fl_card *card)
{
    return fl_state_is_final(card->state) || card->state == FL_APPROVAL_UNKNOWN;
}

/* Of what is over: what came of it, not once more what it was about. */
static size_t pick(const struct fl_card *card, struct fl_card_block *out)
{
    size_t n = 0;
    bool all = !is_over(card);
    for (size_t i = 0; i < card->block_count; i++) {
        enum fl_card_kind kind = card->blocks[i].kind;
        if (kind == FL_CARD_TITLE)
            continue;
        if (all || kind == FL_CARD_STATUS || kind == FL_CARD_WHO || kind == FL_CARD_VOTES ||
            kind == FL_CARD_ID)
            out[n++] = card->blocks[i];
    }
    return n;
}

static struct fl_str title_of(const struct fl_card *card)
{
    const struct fl_card_block *b = fl_card_block(card, FL_CARD_TITLE);
    return b && b->line_count ? b->lines[0] : FL_STR("a call");
}

/* The sentence of the push text, which has no words of the agent in it: without the state in front,
 * so that the mails of one call have one subject. */
static struct fl_str subject_of(const struct fl_card *card)
{
    for (size_t i = 0; i + 1 < card->push.n; i++) {
        if (card->push.p[i] == ':' && card->push.p[i + 1] == ' ')
            return (struct fl_str){ card->push.p + i + 2, card->push.n - i - 2 };
    }
    return card->push;
}

static void put_text(struct fl_buf *out, const struct fl_card *card)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_card_text(&text, card);
    struct fl_str all = fl_buf_view(&text);
    struct fl_str shown = all;
    if (all.n > FL_MAIL_CARD_BYTES)
        shown.n = fl_utf8_cut(all, FL_MAIL_CARD_BYTES);
    fl_buf_str(out, shown);
    if (shown.n < all.n)
        fl_buf_puts(out, "\n\n(" MORE ")\n");
    out->is_failed |= text.is_failed;
    fl_buf_fini(&text);
}

static void put_html(struct fl_buf *out, const struct fl_card *card)
{
    if (fl_card_html(out, card, 0, 0, FL_MAIL_CARD_BYTES, &look) > 1)
        fl_buf_puts(out, "<p>(" MORE ")</p>\n");
}

static void put_member(struct fl_buf *out, const char *name, struct fl_str value)
{
    fl_buf_puts(out, out->n > 1 ? "," : "");
    fl_buf_json_key(out, name);
    fl_buf_json_str(out, value);
}

static enum fl_code draw_card(const struct fl_chat_drawing *d, struct fl_buf *out,
                              struct fl_err *err)
{
    struct fl_card_block blocks[FL_CARD_AGENT + 1];
    struct fl_card card = *d->card;
    struct fl_buf text = FL_BUF_INIT, html = FL_BUF_INIT;
    FL_ASSERT(card.block_count <= FL_COUNTOF(blocks));
    card.block_count = pick(d->card, blocks);
    card.blocks = blocks;
    put_text(&text, &card);
    put_html(&html, &card);
    put_member(out, "kind", is_over(d->card) ? FL_STR("outcome") : FL_STR("card"));
    put_member(out, "subject", subject_of(d->card));
    put_member(out, "title", title_of(d->card));
    enum fl_code code = fl_buf_code(&text, err);
    if (code == FL_OK)
        code = fl_buf_code(&html, err);
    if (code == FL_OK) {
        put_member(out, "text", fl_buf_view(&text));
        put_member(out, "html", fl_buf_view(&html));
    }
    fl_buf_fini(&text);
    fl_buf_fini(&html);
    return code;
}

enum fl_code fl_mail_draw(const struct fl_chat_drawing *d, struct fl_arena *arena,
                          struct fl_chat_drawn *ret, struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    enum fl_code code = FL_OK;
    fl_buf_putc(&out, '{');
    if (d->card) {
        code = draw_card(d, &out, err);
        ret->key = is_over(d->card) ? fl_str_of(fl_state_text(d->card->state)) : FL_STR("asked");
    } else {
        put_member(&out, "kind", d->is_stray ? FL_STR("notice") : FL_STR("test"));
        put_member(&out, "subject", d->is_stray ? FL_STR("an alert") : FL_STR("a test"));
        put_member(&out, "title", d->is_stray ? FL_STR("Alert") : FL_STR("A test of this channel"));
        put_member(&out, "text", d->notice);
        put_member(&out, "html", FL_STR(""));
        ret->key = d->notice;
    }
    fl_buf_putc(&out, '}');
    if (code == FL_OK)
        code = fl_buf_code(&out, err);
    if (code == FL_OK) {
        ret->bytes = fl_arena_str(arena, fl_buf_view(&out));
        code = ret->bytes.p ? FL_OK : fl_err_code(err, FL_NOMEM);
    }
    fl_buf_fini(&out);
    return code;
}
