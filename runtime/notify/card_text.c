/* Cards as text. */
#include "runtime/notify/card_text.h"

#include "runtime/notify/show.h"

enum { LABEL_CELLS = 11, LEAST_WIDTH = 40, MARK_CELLS = 2 };

#define SGR_BOLD   "\x1b[1m"
#define SGR_DIM    "\x1b[2m"
#define SGR_RED    "\x1b[31m"
#define SGR_GREEN  "\x1b[32m"
#define SGR_YELLOW "\x1b[33m"
#define SGR_END    "\x1b[0m"

/* Blocks of foreign text stand under their label, the others beside it. */
static bool is_under(enum fl_card_kind kind)
{
    return kind == FL_CARD_ARGS || kind == FL_CARD_PREVIEW || kind == FL_CARD_VOTES ||
           kind == FL_CARD_AGENT;
}

void fl_card_text(struct fl_buf *out, const struct fl_card *card)
{
    for (size_t i = 0; i < card->block_count; i++) {
        const struct fl_card_block *b = &card->blocks[i];
        if (b->kind != FL_CARD_TITLE) {
            fl_buf_puts(out, b->label);
            fl_buf_puts(out, is_under(b->kind) ? ":\n" : ": ");
        }
        for (size_t k = 0; k < b->line_count; k++) {
            fl_buf_puts(out, k > 0 || is_under(b->kind) ? "  " : "");
            fl_buf_str(out, b->lines[k]);
            fl_buf_putc(out, '\n');
        }
    }
}

/* ---- a terminal ---- */

static const char *state_colour(enum fl_approval_state state)
{
    switch (state) {
    case FL_APPROVAL_APPROVED:
    case FL_APPROVAL_CLAIMED:
    case FL_APPROVAL_SUCCEEDED: return SGR_GREEN;
    case FL_APPROVAL_PENDING:
    case FL_APPROVAL_DISPATCHED: return SGR_YELLOW;
    default: return SGR_RED;
    }
}

static const char *line_colour(const struct fl_card *card, const struct fl_card_block *b, size_t k)
{
    switch (b->kind) {
    case FL_CARD_TITLE: return SGR_BOLD;
    case FL_CARD_STATUS: return k == 0 ? state_colour(card->state) : SGR_YELLOW;
    case FL_CARD_AGENT: return SGR_DIM;
    case FL_CARD_ARGS:
    case FL_CARD_PREVIEW: return b->lines[k].n && b->lines[k].p[0] == '!' ? SGR_YELLOW : "";
    default: return "";
    }
}

static void put_cells(struct fl_buf *out, size_t count)
{
    while (count--)
        fl_buf_putc(out, ' ');
}

static void put_coloured(struct fl_buf *out, struct fl_str text, const char *colour)
{
    fl_buf_puts(out, colour);
    fl_buf_str(out, text);
    fl_buf_puts(out, *colour ? SGR_END : "");
}

/* How much of the line goes into a row: up to the last space of its second half, if it has one. */
static size_t row_of(struct fl_str line, size_t cells)
{
    size_t n = fl_show_cut(line, cells), at = n;
    if (!line.p || n == line.n)
        return n;
    while (at > n / 2 && line.p[at - 1] != ' ')
        at--;
    return at > n / 2 ? at : n;
}

/* One line, folded into rows behind `indent` cells; a row that goes on starts with "> ", which no
 * line of a card starts with. The first row's indent is already there if `is_indented`. */
static void put_folded(struct fl_buf *out, struct fl_str line, size_t indent, bool is_indented,
                       size_t width, const char *colour)
{
    size_t room = width - indent;
    for (bool is_first = true; is_first || line.n; is_first = false) {
        if (!is_first || !is_indented)
            put_cells(out, indent);
        size_t n = row_of(line, is_first ? room : room - MARK_CELLS);
        fl_buf_puts(out, is_first ? "" : "> ");
        put_coloured(out, (struct fl_str){ line.p, n }, colour);
        fl_buf_putc(out, '\n');
        line = (struct fl_str){ line.p + n, line.n - n };
    }
}

void fl_card_terminal(struct fl_buf *out, const struct fl_card *card, unsigned width,
                      bool has_colour)
{
    size_t cells = width < LEAST_WIDTH ? LEAST_WIDTH : width;
    for (size_t i = 0; i < card->block_count; i++) {
        const struct fl_card_block *b = &card->blocks[i];
        size_t indent = b->kind == FL_CARD_TITLE ? 0 : LABEL_CELLS;
        bool is_indented = b->kind == FL_CARD_TITLE;
        if (b->kind != FL_CARD_TITLE) {
            struct fl_str label = fl_str_of(b->label);
            const char *dim = has_colour ? SGR_DIM : "";
            size_t used = fl_show_width(label);
            is_indented = used < LABEL_CELLS;
            if (is_indented) {
                put_coloured(out, label, dim);
                put_cells(out, LABEL_CELLS - used);
            } else {
                put_folded(out, label, 0, true, cells, dim);
            }
        }
        for (size_t k = 0; k < b->line_count; k++)
            put_folded(out, b->lines[k], indent, k == 0 && is_indented, cells,
                       has_colour ? line_colour(card, b, k) : "");
    }
}
