/* URI references (RFC 3986): taken apart, and resolved against a base. For schema references, which
 * are compared and never fetched. Any thread. */
#ifndef FLOPINIO_MCP_SCHEMA_URI_H
#define FLOPINIO_MCP_SCHEMA_URI_H

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* Spans of the text; a part that is absent has p NULL (the path is never absent). */
struct fl_schema_uri {
    struct fl_str scheme, authority, path, query, fragment;
};

/* RFC 3986 appendix B; any text can be taken apart. */
struct fl_schema_uri fl_schema_uri_parse(struct fl_str text);
/* `reference` (its fragment left out) against `base`, section 5.2. Both may be relative: so is the
 * result then. Written to `out`, whose limits apply. */
void fl_schema_uri_resolve(struct fl_buf *out, struct fl_str base, struct fl_str reference);
/* Percent-decoded; p NULL on a malformed escape or no memory (*ret_is_malformed says which). */
struct fl_str fl_schema_uri_decode(struct fl_arena *arena, struct fl_str text,
                                   bool *ret_is_malformed);

#endif
