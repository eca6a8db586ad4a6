/* Cards as HTML. */
#include "runtime/notify/card_html.h"

#include "flopinio/base/utf8.h"

void fl_html_text(struct fl_buf *out, struct fl_str text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *entity = text.p[i] == '&'    ? "&amp;"
                             : text.p[i] == '<'  ? "&lt;"
                             : text.p[i] == '>'  ? "&gt;"
                             : text.p[i] == '"'  ? "&quot;"
                             : text.p[i] == '\'' ? "&#39;"
                                                 : NULL;
        if (!entity)
            continue;
        fl_buf_put(out, text.p + from, i - from);
        fl_buf_puts(out, entity);
        from = i + 1;
    }
    if (from < text.n)
        fl_buf_put(out, text.p + from, text.n - from);
}

struct writer {
    struct fl_buf *out;
    const struct fl_html_look *look;
    const struct fl_card_block *block;
    size_t page, wanted, used, page_bytes;
    bool is_open; /* the block stands on this page */
};

static bool is_code(enum fl_card_kind kind)
{
    return kind == FL_CARD_ARGS || kind == FL_CARD_PREVIEW || kind == FL_CARD_AGENT;
}

static void close_block(struct writer *w)
{
    if (w->is_open && w->page == w->wanted)
        fl_buf_puts(w->out, "</div>\n");
    w->is_open = false;
}

static void turn(struct writer *w)
{
    close_block(w);
    w->page++;
    w->used = 0;
}

static void open_block(struct writer *w, bool goes_on)
{
    w->is_open = true;
    if (w->page != w->wanted)
        return;
    if (w->block->kind != FL_CARD_TITLE || goes_on) {
        fl_buf_printf(w->out, "<h2%s>", w->look->label);
        fl_html_text(w->out, w->block->kind == FL_CARD_TITLE ? FL_STR("Title")
                                                             : fl_str_of(w->block->label));
        fl_buf_puts(w->out, goes_on ? " (goes on)</h2>\n" : "</h2>\n");
    }
    fl_buf_printf(w->out, "<div%s dir=\"ltr\">",
                  is_code(w->block->kind) ? w->look->code : w->look->text);
}

static void put_line(struct writer *w, struct fl_str line, bool is_first)
{
    bool is_parted = false;
    do {
        bool is_short = line.n <= w->page_bytes / 4; /* not worth parting */
        if (w->used >= w->page_bytes || (is_short && w->used + line.n > w->page_bytes))
            turn(w);
        if (!w->is_open)
            open_block(w, !is_first || is_parted);
        size_t room = w->page_bytes - w->used;
        size_t n = line.n <= room ? line.n : fl_utf8_cut(line, room);
        if (!n && line.n)
            n = line.n < 4 ? line.n : fl_utf8_cut(line, 4); /* one character goes on any page */
        if (w->page == w->wanted) {
            fl_buf_puts(w->out, is_parted ? "<div>&gt; " : "<div>");
            fl_html_text(w->out, (struct fl_str){ line.p, n });
            fl_buf_puts(w->out, n ? "</div>" : "<br></div>");
        }
        w->used += n + 1;
        line = (struct fl_str){ line.p + n, line.n - n };
        is_parted = true;
    } while (line.n);
}

size_t fl_card_html(struct fl_buf *out, const struct fl_card *card, size_t from, size_t page,
                    size_t page_bytes, const struct fl_html_look *look)
{
    struct writer w = { .out = out, .look = look, .wanted = page, .page_bytes = page_bytes };
    FL_ASSERT(page_bytes >= 64);
    for (size_t i = from; i < card->block_count; i++) {
        w.block = &card->blocks[i];
        for (size_t k = 0; k < w.block->line_count; k++)
            put_line(&w, w.block->lines[k], k == 0);
        close_block(&w);
    }
    return w.page + 1;
}
