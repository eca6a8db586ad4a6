/* The single formats, over two files: text and names, addresses and references. */
#ifndef FLOPINIO_MCP_SCHEMA_FORMAT_PRIV_H
#define FLOPINIO_MCP_SCHEMA_FORMAT_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/str.h"

static inline bool fl_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool fl_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool fl_is_hex(char c)
{
    return fl_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* schema_format_uri.c */
bool fl_schema_format_ipv4(struct fl_str s);
bool fl_schema_format_ipv6(struct fl_str s);
bool fl_schema_format_uri(struct fl_str s);
bool fl_schema_format_uri_reference(struct fl_str s);
bool fl_schema_format_iri(struct fl_str s);
bool fl_schema_format_iri_reference(struct fl_str s);
bool fl_schema_format_uri_template(struct fl_str s);

#endif
