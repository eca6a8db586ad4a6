/* Reading YAML: libyaml's events (or the tokens of a JSON text) drive one builder, which makes the
 * jansson tree and, beside it, a tree of places that knows each value's line. Called when
 * configuration and policies load; any thread. */
#include "flopinio/base/yaml.h"

#include <yaml.h>

#include "decimal.h"
#include "flopinio/base/arena.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "scan_priv.h"
#include "yaml_priv.h"

#define SHOWN 60 /* bytes of a key or value in an error text */

struct place {
    struct place *next;         /* the sibling behind */
    struct place *first, *last; /* children */
    struct fl_str key;          /* of a member; in the arena */
    unsigned line;
};

struct fl_yaml_lines {
    struct fl_arena *arena;
    struct place *root;
};

struct frame {
    json_t *container; /* borrowed: it hangs in the tree already */
    struct place *place;
    struct fl_str key; /* of the member whose value comes next; in the arena */
    bool has_key;
};

struct builder {
    const char *name;
    struct fl_err *err;
    json_t *root;                /* owned */
    struct fl_yaml_lines *lines; /* owned */
    uint32_t nodes;
    unsigned depth;
    struct frame frames[FL_YAML_DEPTH_MAX];
};

/* Fills err with "NAME line N: " and the rest. */
static FL_PRINTF(4, 5) enum fl_code
    refuse(const struct builder *b, unsigned line, enum fl_code code, const char *fmt, ...)
{
    struct fl_buf text = FL_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (text.is_failed)
        code = fl_err_code(b->err, FL_NOMEM);
    else
        code = fl_err_set(b->err, code, "%s line %u: %s", b->name, line, text.p);
    fl_buf_fini(&text);
    return code;
}

static struct fl_str shown(struct fl_str text)
{
    return (struct fl_str){ text.p, fl_utf8_cut(text, SHOWN) };
}

/* ---- the builder ---- */
static struct place *find_member(const struct place *parent, struct fl_str key)
{
    struct place *child = parent->first;
    while (child && !fl_str_eq(child->key, key))
        child = child->next;
    return child;
}

/* Hangs a value (stolen, NULL = no memory) where the next one belongs. */
static enum fl_code add(struct builder *b, json_t *value, unsigned line, struct place **ret)
{
    struct place *place = FL_ARENA_NEW(b->lines->arena, struct place);
    if (b->nodes++ == fl_scan_call.max_nodes) {
        json_decref(value);
        return refuse(b, line, FL_TOO_LARGE, "more than %u values", fl_scan_call.max_nodes);
    }
    if (!value || !place) {
        json_decref(value);
        return fl_err_code(b->err, FL_NOMEM);
    }
    place->line = line;
    if (b->depth == 0) {
        FL_ASSERT(!b->root);
        b->root = value;
        b->lines->root = place;
    } else {
        struct frame *f = &b->frames[b->depth - 1];
        int failed = f->has_key ? json_object_setn_new(f->container, f->key.p, f->key.n, value)
                                : json_array_append_new(f->container, value);
        if (failed) /* jansson has taken the value */
            return fl_err_code(b->err, FL_NOMEM);
        place->key = f->key;
        f->has_key = false;
        if (f->place->last)
            f->place->last->next = place;
        else
            f->place->first = place;
        f->place->last = place;
    }
    if (ret)
        *ret = place;
    return FL_OK;
}

static bool is_key_due(const struct builder *b)
{
    return b->depth && !b->frames[b->depth - 1].has_key &&
           json_is_object(b->frames[b->depth - 1].container);
}

/* `container` is stolen; NULL = no memory. */
static enum fl_code open_container(struct builder *b, json_t *container, unsigned line)
{
    struct place *place = NULL;
    enum fl_code code = FL_OK;
    if (is_key_due(b))
        code = refuse(b, line, FL_CONFIG, "a key must be a string");
    else if (b->depth == FL_YAML_DEPTH_MAX)
        code = refuse(b, line, FL_TOO_LARGE, "nested deeper than %d levels", FL_YAML_DEPTH_MAX);
    if (code) {
        json_decref(container);
        return code;
    }
    code = add(b, container, line, &place);
    if (code == FL_OK)
        b->frames[b->depth++] = (struct frame){ .container = container, .place = place };
    return code;
}

static enum fl_code add_key(struct builder *b, struct fl_str text, bool is_plain, unsigned line)
{
    struct frame *f = &b->frames[b->depth - 1];
    if (is_plain && fl_str_is(text, "<<"))
        return refuse(b, line, FL_CONFIG, "merge keys (<<) are not supported");
    if (is_plain && text.n == 0)
        return refuse(b, line, FL_CONFIG, "a key is missing");
    if (is_plain && fl_yaml_plain(text) != FL_YAML_STRING)
        return refuse(b, line, FL_CONFIG, "the key %.*s is not a string; put it in quotes",
                      FL_STR_ARG(shown(text)));
    if (json_object_getn(f->container, text.p, text.n)) {
        const struct place *first = find_member(f->place, text);
        FL_ASSERT(first);
        return refuse(b, line, FL_CONFIG, "the key \"%.*s\" stands here and on line %u",
                      FL_STR_ARG(shown(text)), first->line);
    }
    f->key = fl_arena_str(b->lines->arena, text);
    f->has_key = f->key.p != NULL;
    return f->key.p ? FL_OK : fl_err_code(b->err, FL_NOMEM);
}

static enum fl_code add_int(struct builder *b, struct fl_str text, unsigned line)
{
    long long value;
    struct fl_str digits = { text.p + (text.p[0] == '+'), text.n - (text.p[0] == '+') };
    if (!fl_str_to_i64(digits, &value))
        return refuse(b, line, FL_CONFIG, "the number %.*s has more than 64 bits; put it in quotes",
                      FL_STR_ARG(shown(text)));
    return add(b, json_integer(value), line, NULL);
}

static enum fl_code add_float(struct builder *b, struct fl_str text, unsigned line)
{
    struct fl_decimal d;
    if (!fl_decimal_parse(text, &d) || !fl_decimal_is_exact(&d))
        return refuse(b, line, FL_CONFIG,
                      "cannot keep the number %.*s exactly; round it or put it in quotes",
                      FL_STR_ARG(shown(text)));
    return add(b, json_real(fl_decimal_to_double(&d)), line, NULL);
}

static enum fl_code add_scalar(struct builder *b, struct fl_str text, bool is_plain, unsigned line)
{
    if (text.n && memchr(text.p, 0, text.n))
        return refuse(b, line, FL_CONFIG, "a NUL character is not allowed");
    if (is_key_due(b))
        return add_key(b, text, is_plain, line);
    switch (is_plain ? fl_yaml_plain(text) : FL_YAML_STRING) {
    case FL_YAML_NULL: return add(b, json_null(), line, NULL);
    case FL_YAML_TRUE: return add(b, json_true(), line, NULL);
    case FL_YAML_FALSE: return add(b, json_false(), line, NULL);
    case FL_YAML_INT: return add_int(b, text, line);
    case FL_YAML_FLOAT: return add_float(b, text, line);
    case FL_YAML_UNCLEAR:
        return refuse(b, line, FL_CONFIG,
                      "%.*s is not a plain decimal number; put it in quotes if it is text",
                      FL_STR_ARG(shown(text)));
    case FL_YAML_STRING: break;
    }
    return add(b, fl_json_new_str(text), line, NULL);
}

/* ---- JSON: the few texts that libyaml refuses (escaped surrogate pairs, keys over 1024 bytes) are
 * why it is not read as YAML ---- */
static enum fl_code build_from_json(struct builder *b, struct fl_str text)
{
    const char *p = text.p, *end = p + text.n;
    unsigned line = 1;
    enum fl_code code = FL_OK;
    while (code == FL_OK) {
        struct fl_str token = fl_text_token(p, end);
        if (token.n == 0)
            return FL_OK;
        for (; p < token.p; p++)
            line += *p == '\n';
        p = token.p + token.n;
        if (*token.p == '{') {
            code = open_container(b, json_object(), line);
        } else if (*token.p == '[') {
            code = open_container(b, json_array(), line);
        } else if (*token.p == '}' || *token.p == ']') {
            b->depth--;
        } else if (*token.p == '"') {
            struct fl_str decoded = fl_span_string(b->lines->arena, token);
            code = decoded.p ? add_scalar(b, decoded, false, line) : fl_err_code(b->err, FL_NOMEM);
        } else {
            code = add_scalar(b, token, true, line);
        }
    }
    return code;
}

/* ---- YAML ---- */
static bool is_indented_by_tab(struct fl_str text, size_t line)
{
    size_t at = 0;
    while (line-- && at < text.n) {
        const char *newline = memchr(text.p + at, '\n', text.n - at);
        at = newline ? (size_t)(newline - text.p) + 1 : text.n;
    }
    while (at < text.n && text.p[at] == ' ')
        at++;
    return at < text.n && text.p[at] == '\t';
}

/* libyaml's complaint as one sentence. */
static enum fl_code refuse_syntax(const struct builder *b, const yaml_parser_t *parser,
                                  struct fl_str text)
{
    size_t line = parser->problem_mark.line;
    const char *problem = parser->problem ? parser->problem : "not valid YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return fl_err_code(b->err, FL_NOMEM);
    if (parser->error == YAML_READER_ERROR) { /* it has an offset and no line */
        line = 0;
        for (size_t i = 0; i < parser->problem_offset && i < text.n; i++)
            line += text.p[i] == '\n';
    } else if (is_indented_by_tab(text, line)) {
        problem = "a tab cannot be used for indentation; use spaces";
    } else if (strcmp(problem, "found character that cannot start any token") == 0) {
        problem = "a value cannot start with this character; put it in quotes";
    } else if (parser->context) {
        return refuse(b, (unsigned)line + 1, FL_CONFIG, "%s %s that starts on line %u", problem,
                      parser->context, (unsigned)parser->context_mark.line + 1);
    }
    return refuse(b, (unsigned)line + 1, FL_CONFIG, "%s", problem);
}

static enum fl_code check_decoration(const struct builder *b, unsigned line, const void *anchor,
                                     const void *tag)
{
    if (anchor)
        return refuse(b, line, FL_CONFIG, "anchors (&) are not supported");
    if (tag)
        return refuse(b, line, FL_CONFIG, "tags (!) are not supported");
    return FL_OK;
}

static enum fl_code build_from_event(struct builder *b, const yaml_event_t *e)
{
    unsigned line = (unsigned)e->start_mark.line + 1;
    enum fl_code code = FL_OK;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (e->data.document_start.version_directive ||
            e->data.document_start.tag_directives.start !=
                e->data.document_start.tag_directives.end)
            return refuse(b, line, FL_CONFIG, "directives (%%) are not supported");
        return b->root ? refuse(b, line, FL_CONFIG, "a second document starts here") : FL_OK;
    case YAML_ALIAS_EVENT: return refuse(b, line, FL_CONFIG, "aliases (*) are not supported");
    case YAML_SCALAR_EVENT:
        code = check_decoration(b, line, e->data.scalar.anchor, e->data.scalar.tag);
        if (code == FL_OK)
            code = add_scalar(
                b, (struct fl_str){ (const char *)e->data.scalar.value, e->data.scalar.length },
                e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, line);
        return code;
    case YAML_SEQUENCE_START_EVENT:
        code = check_decoration(b, line, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        return code ? code : open_container(b, json_array(), line);
    case YAML_MAPPING_START_EVENT:
        code = check_decoration(b, line, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        return code ? code : open_container(b, json_object(), line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; return FL_OK;
    default: return FL_OK;
    }
}

static enum fl_code build_from_yaml(struct builder *b, struct fl_str text)
{
    yaml_parser_t parser;
    yaml_event_t event;
    if (!yaml_parser_initialize(&parser))
        return fl_err_code(b->err, FL_NOMEM);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    enum fl_code code = FL_OK;
    bool is_end = false;
    while (code == FL_OK && !is_end) {
        if (!yaml_parser_parse(&parser, &event)) {
            code = refuse_syntax(b, &parser, text);
            break;
        }
        code = build_from_event(b, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (code == FL_OK && !b->root) /* nothing but comments */
        code = add(b, json_null(), 1, NULL);
    return code;
}

/* ---- the public face ---- */
static void free_lines(struct fl_yaml_lines **lines)
{
    if (!*lines)
        return;
    fl_arena_free(&(*lines)->arena);
    fl_free(*lines);
    *lines = NULL;
}

enum fl_code fl_yaml_load(struct fl_str text, const char *name, struct fl_yaml *ret,
                          struct fl_err *err)
{
    struct builder b = { .name = name, .err = err };
    enum fl_code code;
    if (text.n > fl_scan_call.max_bytes)
        return fl_err_set(err, FL_TOO_LARGE, "%s is larger than %zu bytes", name,
                          fl_scan_call.max_bytes);
    b.lines = fl_calloc(1, sizeof *b.lines);
    if (b.lines)
        b.lines->arena = fl_arena_new(0);
    if (!b.lines || !b.lines->arena)
        code = fl_err_code(err, FL_NOMEM);
    else if (fl_scan(text, &fl_scan_call, NULL, 0, NULL, NULL) == FL_OK)
        code = build_from_json(&b, text);
    else
        code = build_from_yaml(&b, text);
    if (code) {
        json_decref(b.root);
        free_lines(&b.lines);
        return code;
    }
    *ret = (struct fl_yaml){ b.root, b.lines };
    return FL_OK;
}

void fl_yaml_fini(struct fl_yaml *yaml)
{
    json_decref(yaml->root);
    yaml->root = NULL;
    free_lines(&yaml->lines);
}

unsigned fl_yaml_line(const struct fl_yaml *yaml, const char *pointer)
{
    struct fl_buf scratch = FL_BUF_INIT;
    struct fl_str whole = fl_str_of(pointer), token;
    size_t pos = 0;
    const struct place *at = yaml->lines ? yaml->lines->root : NULL;
    while (at && fl_json_pointer_next(whole, &pos, &scratch, &token)) {
        const struct place *parent = at;
        size_t index;
        at = parent->first;
        if (at && at->key.p) {
            at = find_member(parent, token);
        } else if (fl_json_pointer_index(token, &index)) {
            while (at && index--)
                at = at->next;
        } else {
            at = NULL;
        }
    }
    fl_buf_fini(&scratch);
    return at && pos == whole.n ? at->line : 0;
}
