/* Which keywords a schema object has, and whether they look as their dialect demands. For
 * schema_compile.c, any thread. */
#include "mcp/schema_keyword.h"

#include <string.h>

#include "mcp/schema_keyword_priv.h"
#include "mcp/schema_text.h"
#include "mcp/schema_value.h"

const struct fl_schema_keyword_row fl_schema_keyword_rows[FL_KW_COUNT] = {
#define X(name, keyword, shape, dialects, vocabulary)                                              \
    { { keyword, sizeof(keyword) - 1 },                                                            \
      FL_SHAPE_##shape,                                                                            \
      FL_DIALECTS_##dialects,                                                                      \
      FL_VOCABULARY_##vocabulary },
    FL_KEYWORDS(X)
#undef X
};

struct fl_str fl_schema_keyword_name(enum fl_schema_keyword keyword)
{
    return fl_schema_keyword_rows[keyword].name;
}

static const struct {
    const char *name;
    unsigned kind;
} types[] = {
    { "string", FL_KIND_STRING },   { "number", FL_KIND_NUMBER }, { "integer", FL_KIND_INTEGER },
    { "boolean", FL_KIND_BOOLEAN }, { "object", FL_KIND_OBJECT }, { "array", FL_KIND_ARRAY },
    { "null", FL_KIND_NULL },
};

static unsigned kind_named(const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < FL_COUNTOF(types); i++) {
        if (fl_str_is(fl_json_str(name), types[i].name))
            return types[i].kind;
    }
    return 0;
}

unsigned fl_schema_keyword_kinds(const json_t *type)
{
    unsigned kinds = kind_named(type);
    for (size_t i = 0; i < json_array_size(type); i++)
        kinds |= kind_named(json_array_get(type, i));
    return kinds;
}

bool fl_schema_dialect_find(struct fl_str uri, enum fl_schema_dialect *ret)
{
    static const char *const names[FL_DIALECT_COUNT] = { "json-schema.org/draft/2020-12/schema",
                                                         "json-schema.org/draft/2019-09/schema",
                                                         "json-schema.org/draft-07/schema" };
    struct fl_str s = uri;
    size_t scheme = fl_str_has_prefix(s, FL_STR("https://")) ? 8 : 7;
    if (!fl_str_has_prefix(s, FL_STR("https://")) && !fl_str_has_prefix(s, FL_STR("http://")))
        return false;
    s = (struct fl_str){ s.p + scheme, s.n - scheme };
    if (s.n && s.p[s.n - 1] == '#')
        s.n--;
    for (unsigned i = 0; i < FL_DIALECT_COUNT; i++) {
        if (fl_str_is(s, names[i])) {
            *ret = (enum fl_schema_dialect)i;
            return true;
        }
    }
    return false;
}

/* ---- shapes: each returns NULL or what is wrong ---- */

static bool is_schema(const json_t *value)
{
    return json_is_object(value) || json_is_boolean(value);
}

static bool is_schema_array(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_schema(json_array_get(value, i)))
            return false;
    }
    return json_array_size(value) > 0;
}

static bool is_names(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i)))
            return false;
    }
    return json_is_array(value);
}

static bool is_type(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!kind_named(json_array_get(value, i)))
            return false;
    }
    return json_array_size(value) > 0 || kind_named(value);
}

static bool is_either(const json_t *value)
{
    return is_schema(value) || is_names(value);
}

static bool is_map_of(const json_t *value, bool (*is_right)(const json_t *))
{
    if (!json_is_object(value))
        return false;
    for (void *at = json_object_iter((json_t *)value); at;
         at = json_object_iter_next((json_t *)value, at)) {
        if (!is_right(json_object_iter_value(at)))
            return false;
    }
    return true;
}

static bool is_boolean(const json_t *value)
{
    return json_is_boolean(value);
}

static bool is_anchor(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':')))
            return false;
    }
    return s.n > 0;
}

static bool is_positive(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) > 0;
}

static const char *fault(enum fl_schema_keyword_shape shape, enum fl_schema_dialect dialect,
                         const json_t *value)
{
    uint64_t count;
    struct fl_str text = fl_json_str(value);
    switch (shape) {
    case FL_SHAPE_ANY: return NULL;
    case FL_SHAPE_SCHEMA:
        return is_schema(value) ? NULL : "must be a schema (an object, true or false)";
    case FL_SHAPE_ITEMS:
        if (dialect == FL_DIALECT_2020_12 && json_is_array(value))
            return "must be a schema (a list of schemas is called prefixItems)";
        return is_schema(value) || is_schema_array(value) ? NULL : "must be a schema";
    case FL_SHAPE_SCHEMA_ARRAY:
        return is_schema_array(value) ? NULL : "must be a list of one or more schemas";
    case FL_SHAPE_SCHEMA_MAP:
    case FL_SHAPE_PATTERN_MAP:
        return is_map_of(value, is_schema) ? NULL : "must be an object whose members are schemas";
    case FL_SHAPE_DEPENDENCIES:
        return is_map_of(value, is_either)
                   ? NULL
                   : "must be an object whose members are schemas or lists of names";
    case FL_SHAPE_NAMES: return is_names(value) ? NULL : "must be a list of names";
    case FL_SHAPE_NAMES_MAP:
        return is_map_of(value, is_names) ? NULL : "must be an object of lists of names";
    case FL_SHAPE_BOOLEAN_MAP:
        return is_map_of(value, is_boolean) ? NULL : "must be an object of true and false";
    case FL_SHAPE_TYPE:
        return is_type(value) ? NULL
                              : "must be one or more of string, number, integer, boolean, object, "
                                "array, null";
    case FL_SHAPE_COUNT:
        return fl_schema_value_count(value, &count) ? NULL : "must be a whole number, 0 or more";
    case FL_SHAPE_NUMBER: return json_is_number(value) ? NULL : "must be a number";
    case FL_SHAPE_POSITIVE: return is_positive(value) ? NULL : "must be a number greater than 0";
    case FL_SHAPE_BOOLEAN: return json_is_boolean(value) ? NULL : "must be true or false";
    case FL_SHAPE_ARRAY: return json_is_array(value) ? NULL : "must be a list";
    case FL_SHAPE_TEXT:
    case FL_SHAPE_PATTERN:
    case FL_SHAPE_URI:
    case FL_SHAPE_URI_REFERENCE: return json_is_string(value) ? NULL : "must be a string";
    case FL_SHAPE_ID: {
        const char *hash = text.n ? memchr(text.p, '#', text.n) : NULL;
        bool has_fragment = hash && hash + 1 < text.p + text.n;
        return !json_is_string(value)                     ? "must be a string"
               : has_fragment && dialect != FL_DIALECT_07 ? "must have no fragment"
                                                          : NULL;
    }
    case FL_SHAPE_ANCHOR:
        return json_is_string(value) && is_anchor(text) ? NULL : "must be a plain name";
    }
    fl_assert_fail("a shape without a check", __FILE__, __LINE__, __func__);
}

/* Annotations that nobody reads here may look as they like. */
static bool is_checked(enum fl_schema_keyword kw)
{
    enum fl_schema_vocabulary v = fl_schema_keyword_rows[kw].vocabulary;
    return kw == FL_KW_WRITE_ONLY || (v != FL_VOCABULARY_META_DATA && v != FL_VOCABULARY_CONTENT &&
                                      kw != FL_KW_COMMENT && kw != FL_KW_VOCABULARY);
}

static int find_keyword(struct fl_str name)
{
    size_t from = 0, to = FL_KW_COUNT;
    while (from < to) {
        size_t mid = (from + to) / 2;
        struct fl_str at = fl_schema_keyword_rows[mid].name;
        int cmp = memcmp(name.p, at.p, name.n < at.n ? name.n : at.n);
        if (cmp == 0)
            cmp = (name.n > at.n) - (name.n < at.n);
        if (cmp == 0)
            return (int)mid;
        if (cmp < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return -1;
}

enum fl_code fl_schema_keywords_read(json_t *schema, enum fl_schema_dialect dialect,
                                     struct fl_schema_keywords *ret, struct fl_err *err)
{
    memset(ret, 0, sizeof *ret);
    for (void *at = json_object_iter(schema); at; at = json_object_iter_next(schema, at)) {
        struct fl_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        int kw = find_keyword(name);
        if (kw < 0 || !(fl_schema_keyword_rows[kw].dialects & 1u << dialect))
            continue;
        json_t *value = json_object_iter_value(at);
        const char *why = is_checked((enum fl_schema_keyword)kw)
                              ? fault(fl_schema_keyword_rows[kw].shape, dialect, value)
                              : NULL;
        if (why)
            return fl_err_set(err, FL_BAD_PARAMS, "/%.*s: %s", FL_STR_ARG(name), why);
        ret->at[kw] = value;
    }
    return FL_OK;
}
