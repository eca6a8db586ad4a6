/* Canonical JSON: reads the tokens of a text once into a flat array of nodes linked as a tree,
 * sorts each object's members when it closes, and writes the nodes in their new order. No
 * recursion; linear but for the sorting. Called at intake of held calls; any thread. */
#include "flopinio/base/jcs.h"

#include <stdlib.h>

#include "decimal.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "scan_priv.h"

#define NONE UINT32_MAX

struct node {
    struct fl_str key;  /* decoded; p NULL in arrays and at the root */
    struct fl_str text; /* a scalar's token, or one bracket */
    uint32_t parent, first, last, next;
};

struct canon {
    struct node *nodes; /* owned */
    uint32_t count, cap;
    uint32_t open;          /* the innermost container that has not been closed */
    struct fl_arena *arena; /* decoded strings */
    struct fl_err *err;
};

struct member { /* what is sorted */
    struct fl_str key;
    uint32_t node;
};

/* ---- order ---- */
/* By UTF-16 code units (RFC 8785 section 3.2.3). UTF-8's bytes sort by code point, which differs
 * only where one key has a code point beyond U+FFFF (its first unit is a surrogate, 0xd800 to
 * 0xdfff; its first byte 0xf0 or more) and the other one of U+E000 to U+FFFF (0xee, 0xef). */
static int compare_keys(struct fl_str a, struct fl_str b)
{
    size_t both = a.n < b.n ? a.n : b.n, at = 0;
    while (at < both && a.p[at] == b.p[at])
        at++;
    if (at == both)
        return a.n < b.n ? -1 : a.n > b.n;
    unsigned char x = (unsigned char)a.p[at], y = (unsigned char)b.p[at];
    bool is_less = x < y;
    if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0))
        is_less = !is_less;
    return is_less ? -1 : 1;
}

static int compare_members(const void *a, const void *b)
{
    return compare_keys(((const struct member *)a)->key, ((const struct member *)b)->key);
}

/* ---- places, for errors ---- */
static void put_pointer(const struct canon *c, uint32_t node, struct fl_buf *out)
{
    uint32_t path[FL_SCAN_DEPTH_MAX], depth = 0;
    for (uint32_t n = node; c->nodes[n].parent != NONE; n = c->nodes[n].parent) {
        FL_ASSERT(depth < FL_SCAN_DEPTH_MAX);
        path[depth++] = n;
    }
    while (depth) {
        const struct node *n = &c->nodes[path[--depth]];
        if (n->key.p) {
            fl_json_pointer_add(out, n->key);
            continue;
        }
        uint64_t index = 0;
        for (uint32_t i = c->nodes[n->parent].first; i != path[depth]; i = c->nodes[i].next)
            index++;
        fl_buf_putc(out, '/');
        fl_buf_u64(out, index);
    }
}

static enum fl_code fail_at(struct canon *c, uint32_t node, const char *what, struct fl_str literal)
{
    enum { MOST_OF_PLACE = 200, MOST_OF_NUMBER = 60 };
    struct fl_buf place = FL_BUF_INIT;
    put_pointer(c, node, &place);
    size_t shown = fl_utf8_cut(fl_buf_view(&place), MOST_OF_PLACE);
    enum fl_code code = fl_buf_code(&place, c->err);
    if (code == FL_OK)
        code = fl_err_set(c->err, FL_BAD_PARAMS, "%s at \"%.*s%s\"%s%.*s%s", what, (int)shown,
                          shown ? place.p : "", shown < place.n ? "..." : "", literal.n ? ": " : "",
                          (int)(literal.n < MOST_OF_NUMBER ? literal.n : MOST_OF_NUMBER),
                          literal.n ? literal.p : "", literal.n > MOST_OF_NUMBER ? "..." : "");
    fl_buf_fini(&place);
    return code;
}

/* ---- reading ---- */
static enum fl_code add_node(struct canon *c, struct fl_str key, struct fl_str text)
{
    if (c->count == c->cap) {
        FL_ASSERT(c->cap < NONE / 2);
        uint32_t cap = c->cap ? c->cap * 2 : 32;
        struct node *nodes = fl_reallocarray(c->nodes, cap, sizeof *nodes);
        if (!nodes)
            return fl_err_code(c->err, FL_NOMEM);
        c->nodes = nodes;
        c->cap = cap;
    }
    uint32_t at = c->count++;
    c->nodes[at] = (struct node){ key, text, c->open, NONE, NONE, NONE };
    if (c->open != NONE) {
        struct node *parent = &c->nodes[c->open];
        if (parent->first == NONE)
            parent->first = at;
        else
            c->nodes[parent->last].next = at;
        parent->last = at;
    }
    return FL_OK;
}

static enum fl_code sort_members(struct canon *c, uint32_t object)
{
    struct node *nodes = c->nodes;
    size_t count = 0;
    bool is_sorted = true;
    for (uint32_t i = nodes[object].first, next; i != NONE; i = next) {
        next = nodes[i].next;
        is_sorted = is_sorted && (next == NONE || compare_keys(nodes[i].key, nodes[next].key) < 0);
        count++;
    }
    if (is_sorted)
        return FL_OK;
    struct member *members = fl_reallocarray(NULL, count, sizeof *members);
    if (!members)
        return fl_err_code(c->err, FL_NOMEM);
    size_t at = 0;
    for (uint32_t i = nodes[object].first; i != NONE; i = nodes[i].next)
        members[at++] = (struct member){ nodes[i].key, i };
    qsort(members, count, sizeof *members, compare_members);
    enum fl_code code = FL_OK;
    for (at = 1; at < count && code == FL_OK; at++) {
        if (fl_str_eq(members[at - 1].key, members[at].key))
            code = fail_at(c, object, "the same key stands twice", (struct fl_str){ 0 });
        nodes[members[at - 1].node].next = members[at].node;
    }
    nodes[members[count - 1].node].next = NONE;
    nodes[object].first = members[0].node;
    fl_free(members);
    return code;
}

static enum fl_code check_number(struct canon *c, uint32_t node)
{
    struct fl_decimal d;
    FL_ASSERT(c->nodes);
    struct fl_str literal = c->nodes[node].text;
    if (fl_decimal_parse(literal, &d) && fl_decimal_is_exact(&d))
        return FL_OK;
    return fail_at(c, node, "cannot keep the number exactly", literal);
}

static bool is_object(const struct node *node)
{
    return node->text.p[0] == '{';
}

static enum fl_code read_nodes(struct canon *c, struct fl_str json)
{
    const char *p = json.p, *end = p + json.n;
    enum fl_code code = FL_OK;
    do {
        struct fl_str token = fl_text_token(p, end), key = { 0 };
        p = token.p + token.n;
        FL_ASSERT(token.n); /* the text was not scanned, or is cut */
        if (*token.p == '}' || *token.p == ']') {
            FL_ASSERT(c->open != NONE);
            uint32_t closed = c->open;
            c->open = c->nodes[closed].parent;
            if (is_object(&c->nodes[closed]))
                code = sort_members(c, closed);
            continue;
        }
        if (c->open != NONE && is_object(&c->nodes[c->open])) {
            key = fl_span_string(c->arena, token);
            if (!key.p)
                return fl_err_code(c->err, FL_NOMEM);
            token = fl_text_token(p, end);
            p = token.p + token.n;
            FL_ASSERT(token.n);
        }
        code = add_node(c, key, token);
        if (code)
            return code;
        if (*token.p == '{' || *token.p == '[')
            c->open = c->count - 1;
        else if (fl_span_type(token) == FL_SPAN_NUMBER)
            code = check_number(c, c->count - 1);
    } while (code == FL_OK && c->open != NONE);
    return code;
}

/* ---- writing ---- */
static void put_scalar(struct canon *c, struct fl_str text, struct fl_buf *out)
{
    if (fl_span_type(text) == FL_SPAN_NUMBER) {
        char form[FL_DECIMAL_BYTES];
        struct fl_decimal d;
        bool is_short = fl_decimal_parse(text, &d);
        FL_ASSERT(is_short); /* checked while reading */
        fl_buf_puts(out, fl_decimal_format(&d, form));
    } else if (*text.p == '"' && memchr(text.p, '\\', text.n)) {
        struct fl_str decoded = fl_span_string(c->arena, text);
        if (decoded.p)
            fl_buf_json_str(out, decoded);
        else
            out->is_failed = true;
    } else { /* true, false, null, and strings without escapes are canonical as they stand */
        fl_buf_str(out, text);
    }
}

static void put_nodes(struct canon *c, struct fl_buf *out)
{
    uint32_t at = 0;
    FL_ASSERT(c->nodes);
    while (at != NONE) {
        const struct node *n = &c->nodes[at];
        if (n->key.p) {
            fl_buf_json_str(out, n->key);
            fl_buf_putc(out, ':');
        }
        bool is_container = *n->text.p == '{' || *n->text.p == '[';
        if (is_container)
            fl_buf_putc(out, *n->text.p);
        else
            put_scalar(c, n->text, out);
        if (is_container && n->first != NONE) {
            at = n->first;
            continue;
        }
        if (is_container)
            fl_buf_putc(out, is_object(n) ? '}' : ']');
        while (n->next == NONE && n->parent != NONE) {
            n = &c->nodes[n->parent];
            fl_buf_putc(out, is_object(n) ? '}' : ']');
        }
        if (n->next != NONE)
            fl_buf_putc(out, ',');
        at = n->next;
    }
}

enum fl_code fl_jcs(struct fl_str json, struct fl_buf *out, struct fl_err *err)
{
    if (json.n == 0)
        return fl_err_set(err, FL_BAD_PARAMS, "there is no value to put into canonical form");
    struct canon c = { .open = NONE, .err = err, .arena = fl_arena_new(0) };
    enum fl_code code = c.arena ? read_nodes(&c, json) : fl_err_code(err, FL_NOMEM);
    if (code == FL_OK) {
        put_nodes(&c, out);
        code = fl_buf_code(out, err);
    }
    fl_arena_free(&c.arena);
    fl_free(c.nodes);
    return code;
}

char *fl_jcs_number(double value, char out[FL_DECIMAL_BYTES])
{
    struct fl_decimal d;
    fl_decimal_of(value, &d);
    return fl_decimal_format(&d, out);
}
