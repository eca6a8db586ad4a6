/* Cards as text: plain, and for a terminal. Never writes a control character of anybody else's;
 * the only escape sequences are our own colours (SGR). CLI and demo use these. Any thread. */
#ifndef FLOPINIO_NOTIFY_CARD_TEXT_H
#define FLOPINIO_NOTIFY_CARD_TEXT_H

#include "flopinio/base/buf.h"
#include "runtime/notify/card.h"

/* Appends the card as plain text, lines ended by '\n'. Lines of foreign text are indented, so none
 * of them can be taken for one of ours. */
void fl_card_text(struct fl_buf *out, const struct fl_card *card);
/* Appends the card for a terminal of `width` cells (at least 40 are used): labels in a column of
 * their own, long lines folded behind a mark. */
void fl_card_terminal(struct fl_buf *out, const struct fl_card *card, unsigned width,
                      bool has_colour);

#endif
