/* Every keyword that we know: its dialects, its vocabulary, what its value must look like. The one
 * table from which the compiler checks a schema and from which the built-in metaschemas are made.
 * Any thread. */
#ifndef FLOPINIO_MCP_SCHEMA_KEYWORD_H
#define FLOPINIO_MCP_SCHEMA_KEYWORD_H

#include <jansson.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

enum fl_schema_dialect { FL_DIALECT_2020_12, FL_DIALECT_2019_09, FL_DIALECT_07, FL_DIALECT_COUNT };

/* X(enum name, keyword, shape, dialects, vocabulary). Dialects: A all, M the modern two, N 2020-12,
 * P 2019-09, O the older two. Sorted by keyword. */
#define FL_KEYWORDS(X)                                                                             \
    X(ANCHOR, "$anchor", ANCHOR, M, CORE)                                                          \
    X(COMMENT, "$comment", TEXT, A, CORE)                                                          \
    X(DEFS, "$defs", SCHEMA_MAP, M, CORE)                                                          \
    X(DYNAMIC_ANCHOR, "$dynamicAnchor", ANCHOR, N, CORE)                                           \
    X(DYNAMIC_REF, "$dynamicRef", URI_REFERENCE, N, CORE)                                          \
    X(ID, "$id", ID, A, CORE)                                                                      \
    X(RECURSIVE_ANCHOR, "$recursiveAnchor", BOOLEAN, P, CORE)                                      \
    X(RECURSIVE_REF, "$recursiveRef", URI_REFERENCE, P, CORE)                                      \
    X(REF, "$ref", URI_REFERENCE, A, CORE)                                                         \
    X(SCHEMA, "$schema", URI, A, CORE)                                                             \
    X(VOCABULARY, "$vocabulary", BOOLEAN_MAP, M, CORE)                                             \
    X(ADDITIONAL_ITEMS, "additionalItems", SCHEMA, O, APPLICATOR)                                  \
    X(ADDITIONAL_PROPERTIES, "additionalProperties", SCHEMA, A, APPLICATOR)                        \
    X(ALL_OF, "allOf", SCHEMA_ARRAY, A, APPLICATOR)                                                \
    X(ANY_OF, "anyOf", SCHEMA_ARRAY, A, APPLICATOR)                                                \
    X(CONST, "const", ANY, A, VALIDATION)                                                          \
    X(CONTAINS, "contains", SCHEMA, A, APPLICATOR)                                                 \
    X(CONTENT_ENCODING, "contentEncoding", TEXT, A, CONTENT)                                       \
    X(CONTENT_MEDIA_TYPE, "contentMediaType", TEXT, A, CONTENT)                                    \
    X(CONTENT_SCHEMA, "contentSchema", SCHEMA, M, CONTENT)                                         \
    X(DEFAULT, "default", ANY, A, META_DATA)                                                       \
    X(DEFINITIONS, "definitions", SCHEMA_MAP, A, LEGACY)                                           \
    X(DEPENDENCIES, "dependencies", DEPENDENCIES, A, LEGACY)                                       \
    X(DEPENDENT_REQUIRED, "dependentRequired", NAMES_MAP, M, VALIDATION)                           \
    X(DEPENDENT_SCHEMAS, "dependentSchemas", SCHEMA_MAP, M, APPLICATOR)                            \
    X(DEPRECATED, "deprecated", BOOLEAN, M, META_DATA)                                             \
    X(DESCRIPTION, "description", TEXT, A, META_DATA)                                              \
    X(ELSE, "else", SCHEMA, A, APPLICATOR)                                                         \
    X(ENUM, "enum", ARRAY, A, VALIDATION)                                                          \
    X(EXAMPLES, "examples", ARRAY, A, META_DATA)                                                   \
    X(EXCLUSIVE_MAXIMUM, "exclusiveMaximum", NUMBER, A, VALIDATION)                                \
    X(EXCLUSIVE_MINIMUM, "exclusiveMinimum", NUMBER, A, VALIDATION)                                \
    X(FORMAT, "format", TEXT, A, FORMAT)                                                           \
    X(IF, "if", SCHEMA, A, APPLICATOR)                                                             \
    X(ITEMS, "items", ITEMS, A, APPLICATOR)                                                        \
    X(MAX_CONTAINS, "maxContains", COUNT, M, VALIDATION)                                           \
    X(MAX_ITEMS, "maxItems", COUNT, A, VALIDATION)                                                 \
    X(MAX_LENGTH, "maxLength", COUNT, A, VALIDATION)                                               \
    X(MAX_PROPERTIES, "maxProperties", COUNT, A, VALIDATION)                                       \
    X(MAXIMUM, "maximum", NUMBER, A, VALIDATION)                                                   \
    X(MIN_CONTAINS, "minContains", COUNT, M, VALIDATION)                                           \
    X(MIN_ITEMS, "minItems", COUNT, A, VALIDATION)                                                 \
    X(MIN_LENGTH, "minLength", COUNT, A, VALIDATION)                                               \
    X(MIN_PROPERTIES, "minProperties", COUNT, A, VALIDATION)                                       \
    X(MINIMUM, "minimum", NUMBER, A, VALIDATION)                                                   \
    X(MULTIPLE_OF, "multipleOf", POSITIVE, A, VALIDATION)                                          \
    X(NOT, "not", SCHEMA, A, APPLICATOR)                                                           \
    X(ONE_OF, "oneOf", SCHEMA_ARRAY, A, APPLICATOR)                                                \
    X(PATTERN, "pattern", PATTERN, A, VALIDATION)                                                  \
    X(PATTERN_PROPERTIES, "patternProperties", PATTERN_MAP, A, APPLICATOR)                         \
    X(PREFIX_ITEMS, "prefixItems", SCHEMA_ARRAY, N, APPLICATOR)                                    \
    X(PROPERTIES, "properties", SCHEMA_MAP, A, APPLICATOR)                                         \
    X(PROPERTY_NAMES, "propertyNames", SCHEMA, A, APPLICATOR)                                      \
    X(READ_ONLY, "readOnly", BOOLEAN, A, META_DATA)                                                \
    X(REQUIRED, "required", NAMES, A, VALIDATION)                                                  \
    X(THEN, "then", SCHEMA, A, APPLICATOR)                                                         \
    X(TITLE, "title", TEXT, A, META_DATA)                                                          \
    X(TYPE, "type", TYPE, A, VALIDATION)                                                           \
    X(UNEVALUATED_ITEMS, "unevaluatedItems", SCHEMA, M, UNEVALUATED)                               \
    X(UNEVALUATED_PROPERTIES, "unevaluatedProperties", SCHEMA, M, UNEVALUATED)                     \
    X(UNIQUE_ITEMS, "uniqueItems", BOOLEAN, A, VALIDATION)                                         \
    X(WRITE_ONLY, "writeOnly", BOOLEAN, A, META_DATA)

enum fl_schema_keyword {
#define X(name, keyword, shape, dialects, vocabulary) FL_KW_##name,
    FL_KEYWORDS(X)
#undef X
        FL_KW_COUNT
};

/* 2019-09 keeps UNEVALUATED within APPLICATOR; draft-07 has no vocabularies. */
enum fl_schema_vocabulary {
    FL_VOCABULARY_CORE,
    FL_VOCABULARY_APPLICATOR,
    FL_VOCABULARY_UNEVALUATED,
    FL_VOCABULARY_VALIDATION,
    FL_VOCABULARY_META_DATA,
    FL_VOCABULARY_FORMAT,
    FL_VOCABULARY_CONTENT,
    FL_VOCABULARY_LEGACY, /* 2019-09 and 2020-12 only tolerate them */
    FL_VOCABULARY_COUNT
};

/* The members of one schema object that are keywords of a dialect, by keyword; NULL = absent. */
struct fl_schema_keywords {
    json_t *at[FL_KW_COUNT];
};

struct fl_str fl_schema_keyword_name(enum fl_schema_keyword keyword);
/* Sorts the members of `schema` into `ret` and checks their shapes (annotations only as far as we
 * read them). FL_BAD_PARAMS: err->text is the rest of a place and why ("/minimum: must be a
 * number"), to be put behind the place of `schema`. */
enum fl_code fl_schema_keywords_read(json_t *schema, enum fl_schema_dialect dialect,
                                     struct fl_schema_keywords *ret,
                                     struct fl_err *err) FL_MUST_CHECK;
/* The dialect that a `$schema` names; false if we do not know it. */
bool fl_schema_dialect_find(struct fl_str uri, enum fl_schema_dialect *ret);
/* The bits of enum fl_schema_kind that a (checked) value of `type` allows. */
unsigned fl_schema_keyword_kinds(const json_t *type);

/* schema_meta.c: the metaschema document with this URI (without fragment) as a new tree; NULL and
 * *ret_is_known when it is one of ours but there is no memory. */
json_t *fl_schema_metaschema_new(struct fl_str uri, bool *ret_is_known);

#endif
