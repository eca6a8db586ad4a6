/* The keyword table for the two files that read it as a whole. */
#ifndef FLOPINIO_MCP_SCHEMA_KEYWORD_PRIV_H
#define FLOPINIO_MCP_SCHEMA_KEYWORD_PRIV_H

#include "mcp/schema_keyword.h"

enum fl_schema_keyword_shape {
    FL_SHAPE_ANY,
    FL_SHAPE_SCHEMA,
    FL_SHAPE_ITEMS, /* a schema; in the older dialects also a list of schemas */
    FL_SHAPE_SCHEMA_ARRAY,
    FL_SHAPE_SCHEMA_MAP,
    FL_SHAPE_PATTERN_MAP, /* names are regular expressions */
    FL_SHAPE_DEPENDENCIES,
    FL_SHAPE_NAMES,
    FL_SHAPE_NAMES_MAP,
    FL_SHAPE_BOOLEAN_MAP,
    FL_SHAPE_TYPE,
    FL_SHAPE_COUNT,
    FL_SHAPE_NUMBER,
    FL_SHAPE_POSITIVE,
    FL_SHAPE_BOOLEAN,
    FL_SHAPE_ARRAY,
    FL_SHAPE_TEXT,
    FL_SHAPE_PATTERN,
    FL_SHAPE_URI,
    FL_SHAPE_URI_REFERENCE,
    FL_SHAPE_ID,
    FL_SHAPE_ANCHOR
};

enum {
    FL_DIALECTS_N = 1u << FL_DIALECT_2020_12,
    FL_DIALECTS_P = 1u << FL_DIALECT_2019_09,
    FL_DIALECTS_M = FL_DIALECTS_N | FL_DIALECTS_P,
    FL_DIALECTS_O = FL_DIALECTS_P | 1u << FL_DIALECT_07,
    FL_DIALECTS_A = FL_DIALECTS_M | FL_DIALECTS_O
};

struct fl_schema_keyword_row {
    struct fl_str name;
    enum fl_schema_keyword_shape shape;
    unsigned dialects;
    enum fl_schema_vocabulary vocabulary;
};

extern const struct fl_schema_keyword_row fl_schema_keyword_rows[FL_KW_COUNT];

#endif
