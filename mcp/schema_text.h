/* Error texts about schemas and values: places as JSON pointers, and quoted names, bounded and
 * without characters that could deceive a reader. Any thread; nothing here allocates. */
#ifndef FLOPINIO_MCP_SCHEMA_TEXT_H
#define FLOPINIO_MCP_SCHEMA_TEXT_H

#include <jansson.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* A place in a document, as a chain on the stack of whoever descends; NULL is the root. */
struct fl_schema_place {
    const struct fl_schema_place *up;
    struct fl_str name; /* p NULL: it is an item, at `index` */
    size_t index;
};

/* As much as fits; always NUL-terminated, never cut within a character. */
struct fl_schema_text {
    char p[FL_ERR_TEXT_BYTES];
    size_t n;
};

void fl_schema_text_put(struct fl_schema_text *text, struct fl_str s);
void fl_schema_text_puts(struct fl_schema_text *text, const char *s);
/* At most `max` bytes of s, then "..."; control and invisible format characters as \u escapes. */
void fl_schema_text_plain(struct fl_schema_text *text, struct fl_str s, size_t max);
/* The same within quotes. */
void fl_schema_text_quote(struct fl_schema_text *text, struct fl_str s, size_t max);
/* A scalar of a schema as JSON (strings cut at `max`), a container as "[...]" or "{...}". */
void fl_schema_text_value(struct fl_schema_text *text, const json_t *value, size_t max);
/* The place as a JSON pointer (RFC 6901), names cut at 60 bytes. A long way is shortened to its
 * end,
 * "...". */
void fl_schema_text_place(struct fl_schema_text *text, const struct fl_schema_place *place);

/* Fills err with "<place><rest>" and returns code; `rest` starts with ": " or a further "/name: ".
 * At the root ": must be" becomes `root` + " must be". */
enum fl_code fl_schema_place_error(struct fl_err *err, enum fl_code code,
                                   const struct fl_schema_place *place, const char *rest);

#endif
