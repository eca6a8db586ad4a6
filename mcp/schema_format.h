/* The `format` keyword where it asserts: what JSON Schema 2020-12 (validation, section 7.3) lists,
 * except idn-hostname, which needs the tables of IDNA2008 and stays an annotation; for the same
 * reason an "xn--" label is checked as any other. Formats speak of strings only. Any thread. */
#ifndef FLOPINIO_MCP_SCHEMA_FORMAT_H
#define FLOPINIO_MCP_SCHEMA_FORMAT_H

#include <stdbool.h>

#include "flopinio/base/str.h"

struct fl_schema_format {
    const char *name;
    bool (*is_valid)(struct fl_str text);
};

/* NULL: a format that we do not check. */
const struct fl_schema_format *fl_schema_format_find(struct fl_str name);

#endif
