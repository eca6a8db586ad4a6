/* Character properties for the translator of regular expressions. */
#ifndef FLOPINIO_MCP_SCHEMA_REGEX_PRIV_H
#define FLOPINIO_MCP_SCHEMA_REGEX_PRIV_H

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* Appends PCRE2's spelling of the ECMA-262 property between the braces of \p{...}; false if it is
 * none that can be told. Whether a script or a binary property exists is for PCRE2 to say. */
bool fl_schema_regex_put_property(struct fl_buf *out, struct fl_str name, bool is_negated);

#endif
