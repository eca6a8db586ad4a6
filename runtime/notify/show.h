/* Text that somebody else wrote, made safe to look at: every code point that is not plainly
 * printable becomes a visible escape, and the shown text can be turned back into the bytes. Used by
 * the card renderer and by whatever else shows foreign text to people. Pure; any thread.
 *
 * Shown as they are: letters, digits, punctuation, symbols, the ASCII space, and up to four
 * combining marks on a letter. Everything else is an escape: `\\`, `\n`, `\r`, `\t`, `\u{202E}`,
 * `\x{FF}` for a byte that is not UTF-8. A backslash that stands before anything else is not ours.
 * By an allow-list over Unicode's general categories (show_table.c names the version): what a later
 * version assigns is an escape here. */
#ifndef FLOPINIO_NOTIFY_SHOW_H
#define FLOPINIO_NOTIFY_SHOW_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

enum fl_show_flag {
    FL_SHOW_ASCII = 1,    /* names of tools and servers: only ASCII is shown as it is */
    FL_SHOW_COMPOSED = 2, /* the text stands in a sentence with others: right-to-left letters, which
                             would reorder their neighbours, are escapes too */
    FL_SHOW_QUOTED = 4,   /* `"` becomes `\"` */
    FL_SHOW_OPEN = 8,     /* more follows on the line: a space at the end needs no escape */
};

/* What a reader should be told about a text; fields add up over calls. */
struct fl_show_notes {
    uint64_t mixed; /* scripts that stand mixed within one word; 0 = none */
    bool is_rtl;    /* has letters that run from right to left, shown as they are */
};

/* Appends `s`, shown. Non-ASCII letters in host names (behind "://" and "@") are escapes. A space
 * at the very end is an escape, so that nobody can trim it away. `notes` may be NULL. */
void fl_show(struct fl_buf *out, struct fl_str s, unsigned flags, struct fl_show_notes *notes);
/* Appends "Latin, Cyrillic" for notes->mixed. */
void fl_show_scripts(struct fl_buf *out, uint64_t mixed);
/* Appends the bytes that `shown` stands for; false if fl_show cannot have made it. */
bool fl_show_inverse(struct fl_buf *out, struct fl_str shown);

/* True if the renderer shows this code point as it is (for tests: marks only behind a letter). */
bool fl_show_is_plain(uint32_t code_point);
/* Cells of a terminal, never too few: 2 for whatever some terminal draws wide. `s` is shown text.
 */
size_t fl_show_width(struct fl_str s);
/* The longest prefix of at most `cells` cells that does not part a mark from its letter; at least
 * one code point of a text that is not empty. */
size_t fl_show_cut(struct fl_str s, size_t cells);

#endif
