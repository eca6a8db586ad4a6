/* The metaschemas, made from the keyword table: what the standard's documents demand, at their
 * addresses, so that a `$ref` to them works without fetching. For schema_ref.c. */
#include <string.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/json.h"
#include "mcp/schema_keyword_priv.h"

#define NAMES "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define TYPES                                                                                      \
    "{\"enum\":[\"array\",\"boolean\",\"integer\",\"null\",\"number\",\"object\",\"string\"]}"
#define TEXT(format) "{\"type\":\"string\",\"format\":\"" format "\"}"
#define PLAIN        "{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][-A-Za-z0-9._:]*$\"}"

static const char *const reference_to_all[FL_DIALECT_COUNT] = { "{\"$dynamicRef\":\"#meta\"}",
                                                                "{\"$recursiveRef\":\"#\"}",
                                                                "{\"$ref\":\"#\"}" };

static const char *const vocabularies[FL_DIALECT_COUNT][FL_VOCABULARY_LEGACY] = {
    { "core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation",
      "content" },
    { "core", "applicator", NULL, "validation", "meta-data", "format", "content" },
};

static const char *const bases[FL_DIALECT_COUNT] = { "https://json-schema.org/draft/2020-12/",
                                                     "https://json-schema.org/draft/2019-09/",
                                                     "http://json-schema.org/draft-07/" };

/* What the value of a keyword must be. */
static void put_shape(struct fl_buf *out, enum fl_schema_keyword_shape shape,
                      enum fl_schema_dialect dialect)
{
    const char *all = reference_to_all[dialect];
    switch (shape) {
    case FL_SHAPE_ANY: fl_buf_puts(out, "true"); return;
    case FL_SHAPE_ITEMS:
        if (dialect != FL_DIALECT_2020_12) {
            fl_buf_puts(out, "{\"anyOf\":[");
            put_shape(out, FL_SHAPE_SCHEMA, dialect);
            fl_buf_putc(out, ',');
            put_shape(out, FL_SHAPE_SCHEMA_ARRAY, dialect);
            fl_buf_puts(out, "]}");
            return;
        }
        fl_buf_puts(out, all);
        return;
    case FL_SHAPE_SCHEMA: fl_buf_puts(out, all); return;
    case FL_SHAPE_SCHEMA_ARRAY:
        fl_buf_printf(out, "{\"type\":\"array\",\"minItems\":1,\"items\":%s}", all);
        return;
    case FL_SHAPE_SCHEMA_MAP:
        fl_buf_printf(out, "{\"type\":\"object\",\"additionalProperties\":%s}", all);
        return;
    case FL_SHAPE_PATTERN_MAP:
        fl_buf_printf(out,
                      "{\"type\":\"object\",\"additionalProperties\":%s,"
                      "\"propertyNames\":{\"format\":\"regex\"}}",
                      all);
        return;
    case FL_SHAPE_DEPENDENCIES:
        fl_buf_printf(
            out, "{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[%s," NAMES "]}}", all);
        return;
    case FL_SHAPE_NAMES: fl_buf_puts(out, NAMES); return;
    case FL_SHAPE_NAMES_MAP:
        fl_buf_puts(out, "{\"type\":\"object\",\"additionalProperties\":" NAMES "}");
        return;
    case FL_SHAPE_BOOLEAN_MAP:
        fl_buf_puts(out, "{\"type\":\"object\",\"propertyNames\":" TEXT(
                             "uri") ","
                                    "\"additionalProperties\":{\"type\":\"boolean\"}}");
        return;
    case FL_SHAPE_TYPE:
        fl_buf_puts(out, "{\"anyOf\":[" TYPES ",{\"type\":\"array\",\"items\":" TYPES ","
                         "\"minItems\":1,\"uniqueItems\":true}]}");
        return;
    case FL_SHAPE_COUNT: fl_buf_puts(out, COUNT); return;
    case FL_SHAPE_NUMBER: fl_buf_puts(out, "{\"type\":\"number\"}"); return;
    case FL_SHAPE_POSITIVE:
        fl_buf_puts(out, "{\"type\":\"number\",\"exclusiveMinimum\":0}");
        return;
    case FL_SHAPE_BOOLEAN: fl_buf_puts(out, "{\"type\":\"boolean\"}"); return;
    case FL_SHAPE_ARRAY: fl_buf_puts(out, "{\"type\":\"array\"}"); return;
    case FL_SHAPE_TEXT: fl_buf_puts(out, "{\"type\":\"string\"}"); return;
    case FL_SHAPE_PATTERN: fl_buf_puts(out, TEXT("regex")); return;
    case FL_SHAPE_URI: fl_buf_puts(out, TEXT("uri")); return;
    case FL_SHAPE_URI_REFERENCE: fl_buf_puts(out, TEXT("uri-reference")); return;
    case FL_SHAPE_ID:
        if (dialect == FL_DIALECT_07)
            fl_buf_puts(out, TEXT("uri-reference"));
        else
            fl_buf_puts(out, "{\"type\":\"string\",\"format\":\"uri-reference\","
                             "\"pattern\":\"^[^#]*#?$\"}");
        return;
    case FL_SHAPE_ANCHOR: fl_buf_puts(out, PLAIN); return;
    }
    fl_assert_fail("a shape without a schema", __FILE__, __LINE__, __func__);
}

static bool is_in(const struct fl_schema_keyword_row *row, enum fl_schema_dialect dialect,
                  enum fl_schema_vocabulary vocabulary)
{
    enum fl_schema_vocabulary v = row->vocabulary;
    if (v == FL_VOCABULARY_UNEVALUATED && dialect == FL_DIALECT_2019_09)
        v = FL_VOCABULARY_APPLICATOR;
    return row->dialects & 1u << dialect && (vocabulary == FL_VOCABULARY_COUNT || v == vocabulary);
}

/* `vocabulary` COUNT: the keywords of all. */
static void put_properties(struct fl_buf *out, enum fl_schema_dialect dialect,
                           enum fl_schema_vocabulary vocabulary)
{
    bool is_first = true;
    fl_buf_puts(out, "\"properties\":{");
    for (size_t i = 0; i < FL_KW_COUNT; i++) {
        const struct fl_schema_keyword_row *row = &fl_schema_keyword_rows[i];
        if (!is_in(row, dialect, vocabulary))
            continue;
        fl_buf_printf(out, "%s\"%s\":", is_first ? "" : ",", row->name.p);
        put_shape(out, row->shape, dialect);
        is_first = false;
    }
    if (dialect == FL_DIALECT_2020_12 && vocabulary == FL_VOCABULARY_LEGACY)
        fl_buf_puts(out,
                    ",\"$recursiveAnchor\":" PLAIN ",\"$recursiveRef\":" TEXT("uri-reference"));
    fl_buf_putc(out, '}');
}

/* The named parts that others refer to. */
static void put_definitions(struct fl_buf *out, enum fl_schema_dialect dialect,
                            enum fl_schema_vocabulary vocabulary)
{
    bool is_all = vocabulary == FL_VOCABULARY_COUNT;
    fl_buf_printf(out, ",\"%s\":{", dialect == FL_DIALECT_07 ? "definitions" : "$defs");
    if (is_all || vocabulary == FL_VOCABULARY_APPLICATOR) {
        fl_buf_puts(out, "\"schemaArray\":");
        put_shape(out, FL_SHAPE_SCHEMA_ARRAY, dialect);
    }
    if (is_all)
        fl_buf_putc(out, ',');
    if (is_all || vocabulary == FL_VOCABULARY_VALIDATION)
        fl_buf_puts(out, "\"nonNegativeInteger\":" COUNT ",\"nonNegativeIntegerDefault0\":" COUNT
                         ",\"simpleTypes\":" TYPES ",\"stringArray\":" NAMES);
    if (vocabulary == FL_VOCABULARY_CORE && dialect == FL_DIALECT_2020_12)
        fl_buf_puts(out,
                    "\"anchorString\":" PLAIN
                    ",\"uriString\":" TEXT("uri") ","
                                                  "\"uriReferenceString\":" TEXT("uri-reference"));
    fl_buf_puts(out, "},");
}

/* `$schema`, `$id` and what makes a reference to "the whole" dynamic. */
static void put_head(struct fl_buf *out, enum fl_schema_dialect dialect, const char *name)
{
    static const char *const dynamic[FL_DIALECT_COUNT] = { ",\"$dynamicAnchor\":\"meta\"",
                                                           ",\"$recursiveAnchor\":true", "" };
    fl_buf_printf(out, "{\"$schema\":\"%sschema\",\"$id\":\"%s%s\"%s,", bases[dialect],
                  bases[dialect], name, dynamic[dialect]);
    fl_buf_puts(out, "\"type\":[\"object\",\"boolean\"]");
}

static void put_vocabulary(struct fl_buf *out, enum fl_schema_dialect dialect,
                           enum fl_schema_vocabulary vocabulary)
{
    char name[64];
    snprintf(name, sizeof name, "meta/%s", vocabularies[dialect][vocabulary]);
    put_head(out, dialect, name);
    put_definitions(out, dialect, vocabulary);
    put_properties(out, dialect, vocabulary);
    fl_buf_putc(out, '}');
}

static void put_whole(struct fl_buf *out, enum fl_schema_dialect dialect)
{
    put_head(out, dialect, "schema");
    if (dialect == FL_DIALECT_07) {
        put_definitions(out, dialect, FL_VOCABULARY_COUNT);
        put_properties(out, dialect, FL_VOCABULARY_COUNT);
    } else {
        fl_buf_puts(out, ",\"allOf\":[");
        for (unsigned v = 0; v < FL_VOCABULARY_LEGACY; v++) {
            if (vocabularies[dialect][v])
                fl_buf_printf(out, "%s{\"$ref\":\"meta/%s\"}", v ? "," : "",
                              vocabularies[dialect][v]);
        }
        fl_buf_puts(out, "],");
        put_properties(out, dialect, FL_VOCABULARY_LEGACY);
    }
    fl_buf_putc(out, '}');
}

static bool put_document(struct fl_buf *out, struct fl_str uri)
{
    for (unsigned d = 0; d < FL_DIALECT_COUNT; d++) {
        struct fl_str base = fl_str_of(bases[d]);
        if (!fl_str_has_prefix(uri, base))
            continue;
        struct fl_str name = { uri.p + base.n, uri.n - base.n };
        if (fl_str_is(name, "schema")) {
            put_whole(out, (enum fl_schema_dialect)d);
            return true;
        }
        if (!fl_str_has_prefix(name, FL_STR("meta/")))
            continue;
        name = (struct fl_str){ name.p + 5, name.n - 5 };
        for (unsigned v = 0; v < FL_VOCABULARY_LEGACY; v++) {
            if (vocabularies[d][v] && fl_str_is(name, vocabularies[d][v])) {
                put_vocabulary(out, (enum fl_schema_dialect)d, (enum fl_schema_vocabulary)v);
                return true;
            }
        }
    }
    return false;
}

json_t *fl_schema_metaschema_new(struct fl_str uri, bool *ret_is_known)
{
    struct fl_buf text = FL_BUF_INIT;
    json_t *json = NULL;
    *ret_is_known = put_document(&text, uri);
    if (*ret_is_known && !text.is_failed)
        json = fl_json_parse(fl_buf_view(&text), NULL);
    fl_buf_fini(&text);
    return json;
}
