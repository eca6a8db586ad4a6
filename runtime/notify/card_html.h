/* Cards as HTML, for mails and for the review page. Every text is escaped here; nothing of a card
 * becomes markup, a link or an entity. Pure; any thread. */
#ifndef FLOPINIO_NOTIFY_CARD_HTML_H
#define FLOPINIO_NOTIFY_CARD_HTML_H

#include "flopinio/base/buf.h"
#include "runtime/notify/card.h"

/* Attributes of the elements: a class where a style sheet may be, a style where not. */
/* Blocks keep blanks and indent each line's rows behind its first (white-space, padding-left,
 * text-indent): no text can be made to look like the next line. */
struct fl_html_look {
    const char *label; /* of h2 */
    const char *text;  /* of the block of sentences */
    const char *code;  /* of the block of arguments, previews, words of others */
};

/* Escaped for text and for attributes in double quotes. */
void fl_html_text(struct fl_buf *out, struct fl_str text);
/* Appends one page of the card's blocks from `from` on (1: without the title); pages hold about
 * page_bytes of text. A line that is parted goes on behind "> ", which no line of a card starts
 * with. Returns how many pages there are; a page that is not there appends nothing. */
size_t fl_card_html(struct fl_buf *out, const struct fl_card *card, size_t from, size_t page,
                    size_t page_bytes, const struct fl_html_look *look);

#endif
