/* Mcp-Param-*: which arguments a schema asks clients to mirror, and whether they did. The schema is
 * walked once, when a tool is published; the check runs for each modern call over HTTP.
 * Source: 2026-07-28 streamable-http, "Custom Headers from Tool Parameters". Any thread. */
#include "flopinio/base/jcs.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "mcp/headers.h"

#define DEPTH_MAX       64 /* of containers in a schema; fl_scan_call's limit */
#define DECLARED_MAX    64 /* headers of one tool */
#define HEADER_NAME_MAX 64 /* characters behind "Mcp-Param-" */
#define PREFIX          "Mcp-Param-"

/* ---- reading a schema ---- */
enum shape {
    NO_SCHEMA, /* what stands here is data, not a schema */
    SCHEMA,    /* keywords */
    MAP,       /* names, each with a schema */
    LIST       /* schemas */
};

/* The keywords that hold schemas. Whatever is not here is data: an x-mcp-header inside of it is no
 * annotation. */
static const struct {
    const char *keyword;
    enum shape shape;
} keywords[] = {
    { "properties", MAP },
    { "patternProperties", MAP },
    { "$defs", MAP },
    { "definitions", MAP },
    { "dependentSchemas", MAP },
    { "dependencies", MAP },
    { "allOf", LIST },
    { "anyOf", LIST },
    { "oneOf", LIST },
    { "prefixItems", LIST },
    { "items", SCHEMA }, /* an array of them before 2020-12 */
    { "additionalItems", SCHEMA },
    { "unevaluatedItems", SCHEMA },
    { "contains", SCHEMA },
    { "additionalProperties", SCHEMA },
    { "unevaluatedProperties", SCHEMA },
    { "propertyNames", SCHEMA },
    { "not", SCHEMA },
    { "if", SCHEMA },
    { "then", SCHEMA },
    { "else", SCHEMA },
    { "contentSchema", SCHEMA },
};

struct frame {
    enum shape shape;
    bool is_reachable; /* through nothing but `properties` */
    struct fl_str span;
    size_t pos;
    size_t path_count; /* names that lead here */
};

struct walk {
    struct fl_arena *arena;
    struct frame stack[DEPTH_MAX];
    size_t depth;
    const char *path[DEPTH_MAX];
    struct fl_mcp_param_header list[DECLARED_MAX];
    size_t count;
    struct fl_err *err;
};

static bool is_token(struct fl_str s)
{
    if (s.n == 0 || s.n > HEADER_NAME_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return true;
}

static bool param_type_of(struct fl_str type, enum fl_mcp_param_type *ret)
{
    if (fl_span_is(type, "string"))
        *ret = FL_MCP_PARAM_STRING;
    else if (fl_span_is(type, "integer"))
        *ret = FL_MCP_PARAM_INTEGER;
    else if (fl_span_is(type, "boolean"))
        *ret = FL_MCP_PARAM_BOOLEAN;
    else
        return false;
    return true;
}

/* `"type": "string"`, or `["string", "null"]` in either order. */
static bool read_param_type(struct fl_str type, enum fl_mcp_param_type *ret)
{
    if (fl_span_type(type) != FL_SPAN_ARRAY)
        return param_type_of(type, ret);
    struct fl_str item;
    size_t pos = 0, types = 0;
    while (fl_span_next_item(type, &pos, &item)) {
        if (fl_span_is(item, "null"))
            continue;
        if (types++ || !param_type_of(item, ret))
            return false;
    }
    return types == 1;
}

static enum fl_code declare(struct walk *w, const struct frame *at, struct fl_str annotation)
{
    struct fl_str place = fl_str_of(at->path_count ? w->path[at->path_count - 1] : "the root");
    place.n = fl_utf8_cut(place, 60);
    struct fl_mcp_param_header *h = &w->list[w->count];
    struct fl_str name = fl_span_string(w->arena, annotation);

    if (!at->is_reachable || at->path_count == 0)
        return fl_err_set(w->err, FL_BAD_PARAMS,
                          "x-mcp-header stands where no chain of properties leads (in %.*s)",
                          FL_STR_ARG(place));
    if (fl_span_type(annotation) == FL_SPAN_STRING && !name.p)
        return fl_err_code(w->err, FL_NOMEM);
    if (!is_token(name))
        return fl_err_set(w->err, FL_BAD_PARAMS,
                          "x-mcp-header of %.*s must be a token of 1 to %d characters",
                          FL_STR_ARG(place), HEADER_NAME_MAX);
    for (size_t i = 0; i < w->count; i++) {
        if (fl_str_eq_nocase(w->list[i].name, name))
            return fl_err_set(w->err, FL_BAD_PARAMS, "x-mcp-header %.*s stands twice",
                              FL_STR_ARG(name));
    }
    if (w->count == DECLARED_MAX)
        return fl_err_set(w->err, FL_BAD_PARAMS, "more than %d x-mcp-header annotations",
                          DECLARED_MAX);
    if (!read_param_type(fl_span_get(at->span, "type"), &h->type))
        return fl_err_set(w->err, FL_BAD_PARAMS,
                          "x-mcp-header of %.*s needs the type string, integer or boolean",
                          FL_STR_ARG(place));

    const char **path = fl_arena_array(w->arena, at->path_count, sizeof *path);
    h->name = fl_arena_str(w->arena, name);
    if (!path || !h->name.p)
        return fl_err_code(w->err, FL_NOMEM);
    memcpy(path, w->path, at->path_count * sizeof *path);
    h->path = path;
    h->path_count = at->path_count;
    w->count++;
    return FL_OK;
}

/* Enters a container if it can hold schemas; looks at a schema's own annotation. */
static enum fl_code enter(struct walk *w, struct frame frame)
{
    enum fl_span_type type = fl_span_type(frame.span);
    if (frame.shape == SCHEMA && type == FL_SPAN_ARRAY)
        frame.shape = LIST;
    if (frame.shape == NO_SCHEMA || type != (frame.shape == LIST ? FL_SPAN_ARRAY : FL_SPAN_OBJECT))
        return FL_OK;
    if (w->depth == DEPTH_MAX)
        return fl_err_set(w->err, FL_BAD_PARAMS, "the schema is nested deeper than %d", DEPTH_MAX);
    if (frame.shape == SCHEMA) {
        struct fl_str annotation = fl_span_get(frame.span, "x-mcp-header");
        enum fl_code code = annotation.p ? declare(w, &frame, annotation) : FL_OK;
        if (code != FL_OK)
            return code;
    }
    w->stack[w->depth++] = frame;
    return FL_OK;
}

static enum shape shape_of(struct fl_str key, bool *ret_is_properties)
{
    for (size_t i = 0; i < FL_COUNTOF(keywords); i++) {
        if (fl_span_is(key, keywords[i].keyword)) {
            *ret_is_properties = i == 0;
            return keywords[i].shape;
        }
    }
    return NO_SCHEMA;
}

/* One member or item of the innermost frame; leaves the frame at its end. */
static enum fl_code advance(struct walk *w)
{
    struct frame *at = &w->stack[w->depth - 1];
    struct frame next = { .path_count = at->path_count };
    struct fl_str key = { NULL, 0 };
    bool is_properties = false;

    if (!(at->shape == LIST ? fl_span_next_item(at->span, &at->pos, &next.span)
                            : fl_span_next_member(at->span, &at->pos, &key, &next.span))) {
        w->depth--;
        return FL_OK;
    }
    if (at->shape == SCHEMA) {
        next.shape = shape_of(key, &is_properties);
        next.is_reachable = at->is_reachable && is_properties;
        return enter(w, next);
    }
    next.shape = SCHEMA;
    next.is_reachable = at->is_reachable && at->shape == MAP;
    if (next.is_reachable) {
        struct fl_str name = fl_span_string(w->arena, key);
        const char *copy = name.p ? fl_arena_strndup(w->arena, name.p, name.n) : NULL;
        if (!copy)
            return fl_err_code(w->err, FL_NOMEM);
        w->path[next.path_count++] = copy; /* depth is bounded, so is this */
    }
    return enter(w, next);
}

enum fl_code fl_mcp_param_headers_read(struct fl_arena *arena, struct fl_str input_schema,
                                       struct fl_mcp_param_headers *ret, struct fl_err *err)
{
    struct walk *w = fl_calloc(1, sizeof *w); /* too large for the stack and for each tool */
    if (!w)
        return fl_err_code(err, FL_NOMEM);
    w->arena = arena;
    w->err = err;
    enum fl_code code =
        enter(w, (struct frame){ .shape = SCHEMA, .is_reachable = true, .span = input_schema });
    while (code == FL_OK && w->depth)
        code = advance(w);
    struct fl_mcp_param_headers declared = { NULL, w->count };
    if (code == FL_OK && w->count) {
        struct fl_mcp_param_header *list = fl_arena_array(arena, w->count, sizeof *list);
        if (list)
            memcpy(list, w->list, w->count * sizeof *list);
        else
            code = fl_err_code(err, FL_NOMEM);
        declared.list = list;
    }
    if (code == FL_OK)
        *ret = declared;
    fl_free(w);
    return code;
}

/* ---- checking a call ---- */

/* Equal in value, whatever the spelling: 42, 42.0, 4.2e1. Exact: a number that the canonical form
 * cannot keep equals only its own spelling. */
static enum fl_code compare_numbers(struct fl_str argument, struct fl_str header)
{
    struct fl_buf a = FL_BUF_INIT, b = FL_BUF_INIT;
    struct fl_err err;
    if (fl_str_eq(argument, header))
        return FL_OK;
    enum fl_code code = fl_scan(header, &fl_scan_call, NULL, 0, NULL, &err);
    if (code == FL_OK && (fl_span_type(header) != FL_SPAN_NUMBER || header.p[0] <= ' ' ||
                          header.p[header.n - 1] <= ' '))
        code = FL_HEADER_MISMATCH; /* JSON lets blanks stand around; a header's value has none */
    if (code == FL_OK)
        code = fl_jcs(argument, &a, &err);
    if (code == FL_OK)
        code = fl_jcs(header, &b, &err);
    if (code == FL_OK && !fl_str_eq(fl_buf_view(&a), fl_buf_view(&b)))
        code = FL_HEADER_MISMATCH;
    fl_buf_fini(&a);
    fl_buf_fini(&b);
    return code == FL_OK || code == FL_NOMEM ? code : FL_HEADER_MISMATCH;
}

/* The headers "Mcp-Param-<name>": how many, and the first one's value. */
static size_t find(const struct fl_mcp_headers *headers, struct fl_str name, struct fl_str *ret)
{
    static const struct fl_str prefix = { PREFIX, sizeof PREFIX - 1 };
    size_t found = 0;
    for (size_t i = 0; headers && i < headers->count; i++) {
        struct fl_str got = headers->list[i].name;
        if (got.n != prefix.n + name.n ||
            !fl_str_eq_nocase((struct fl_str){ got.p, prefix.n }, prefix) ||
            !fl_str_eq_nocase((struct fl_str){ got.p + prefix.n, name.n }, name))
            continue;
        if (found++ == 0)
            *ret = headers->list[i].value;
    }
    return found;
}

static struct fl_str argument(struct fl_str arguments, const struct fl_mcp_param_header *declared)
{
    struct fl_str value = arguments;
    for (size_t i = 0; i < declared->path_count; i++) {
        if (fl_span_type(value) != FL_SPAN_OBJECT)
            return (struct fl_str){ NULL, 0 };
        value = fl_span_get(value, declared->path[i]);
    }
    return value;
}

/* By the type that the argument has, not the one declared: a wrong type is the schema's to say. */
static enum fl_code compare(struct fl_arena *arena, struct fl_str argument, struct fl_str header)
{
    struct fl_str text;
    bool is_equal;
    switch (fl_span_type(argument)) {
    case FL_SPAN_STRING:
        text = fl_span_string(arena, argument);
        if (!text.p)
            return FL_NOMEM;
        is_equal = fl_str_eq(text, header);
        break;
    case FL_SPAN_NUMBER: return compare_numbers(argument, header);
    case FL_SPAN_TRUE: is_equal = fl_str_is(header, "true"); break;
    case FL_SPAN_FALSE: is_equal = fl_str_is(header, "false"); break;
    default: is_equal = false; break;
    }
    return is_equal ? FL_OK : FL_HEADER_MISMATCH;
}

enum fl_code fl_mcp_param_headers_check(const struct fl_mcp_param_headers *declared,
                                        const struct fl_mcp_headers *headers,
                                        struct fl_str arguments, struct fl_arena *arena,
                                        struct fl_err *err)
{
    for (size_t i = 0; i < declared->count; i++) {
        const struct fl_mcp_param_header *h = &declared->list[i];
        struct fl_str value = argument(arguments, h), raw, decoded;
        size_t found = find(headers, h->name, &raw);
        enum fl_span_type type = fl_span_type(value);

        if (type == FL_SPAN_ABSENT || type == FL_SPAN_NULL) {
            if (found)
                return fl_err_set(err, FL_HEADER_MISMATCH,
                                  "header " PREFIX "%.*s has no argument that it mirrors",
                                  FL_STR_ARG(h->name));
            continue;
        }
        if (found != 1)
            return fl_err_set(err, FL_HEADER_MISMATCH, "header " PREFIX "%.*s is required once",
                              FL_STR_ARG(h->name));
        enum fl_code code = fl_mcp_header_decode(arena, raw, &decoded);
        if (code == FL_OK)
            code = compare(arena, value, decoded);
        if (code == FL_NOMEM)
            return fl_err_code(err, FL_NOMEM);
        if (code != FL_OK)
            return fl_err_set(err, FL_HEADER_MISMATCH,
                              "header " PREFIX "%.*s does not match its argument",
                              FL_STR_ARG(h->name));
    }
    return FL_OK;
}
