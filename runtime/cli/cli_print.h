/* What the command line prints. Texts from others are always shown (notify/show.h): nothing that
 * they wrote reaches the terminal but plain characters. */
#ifndef FLOPINIO_CLI_CLI_PRINT_H
#define FLOPINIO_CLI_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "flopinio/base/buf.h"

/* A table: columns are "LABEL=member[:how]" with blanks between; '_' in a label stands for a blank,
 * '.' in a member goes into an object. How: t a time as "2026-11-23 16:30Z",
 * ts the same with seconds, ago and left a time as
 * "4 min", b yes or nothing, n a number of bytes, d a digest's first digits, id an id, of which a
 * terminal gets the last characters, s a text that is shown already (its backslashes stay). Lists
 * are joined with commas. `items` is borrowed. With `width` cells the widest column gives way,
 * marked with "..."; 0: as wide as it gets. `now_ms` is for ago and left. */
void fl_print_table(struct fl_buf *out, const char *columns, const json_t *items, size_t width,
                    int64_t now_ms);
/* One object, "label:  value" lines; members that are missing, null or empty are left out. */
void fl_print_object(struct fl_buf *out, const char *columns, const json_t *object, int64_t now_ms);

/* A text that may end in an escape of fl_show already, or has line ends: each line shown, its
 * backslashes as they are. Every line gets `indent` cells in front. */
void fl_print_lines(struct fl_buf *out, struct fl_str text, size_t indent);
/* One such line, without its end. */
void fl_print_line(struct fl_buf *out, struct fl_str line);
/* JSON as it came, but in ASCII: what is not becomes \uXXXX, which means the same. */
void fl_print_json_ascii(struct fl_buf *out, struct fl_str json);

/* Cells of the terminal behind `fd`; 0: it is none. */
size_t fl_print_width(int fd);

#endif
