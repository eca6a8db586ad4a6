/* The grammar of expressions: text to tree. Recursion is bounded by CEL_HEIGHT_MAX, so are the
 * trees (a long chain of operators is a high tree), which bounds every later pass.
 * Source: cel-spec, Language Definition, "Syntax". Called by fl_cel_compile. Any thread. */
#include "policy/cel_priv.h"

struct parser {
    struct cel_lexer l;
    struct cel_compile *c;
    unsigned depth;
};

static struct cel_node *parse_expr(struct parser *p);

struct cel_node *cel_node_new(struct cel_compile *c, enum cel_op op, uint32_t at)
{
    struct cel_node *node = FL_ARENA_NEW(c->arena, struct cel_node);
    if (!node)
        return cel_nomem(c);
    node->op = op;
    node->at = at;
    node->height = 1;
    return node;
}

struct cel_node *cel_node_kids(struct cel_compile *c, struct cel_node *node,
                               struct cel_node *const *kids, size_t count)
{
    if (!node)
        return NULL;
    node->kids = fl_arena_array(c->arena, count, sizeof *kids);
    if (!node->kids)
        return cel_nomem(c);
    if (count)
        memcpy(node->kids, kids, count * sizeof *kids);
    node->kid_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (kids[i] && kids[i]->height >= node->height)
            node->height = (uint16_t)(kids[i]->height + 1);
    }
    if (node->height > CEL_HEIGHT_MAX)
        return cel_error(c, node->at, "nested more than %d deep", CEL_HEIGHT_MAX);
    return node;
}

static bool is_punct(const struct parser *p, const char *punct)
{
    return p->l.token == CEL_T_PUNCT && strcmp(p->l.punct, punct) == 0;
}

static bool take(struct parser *p, const char *punct)
{
    if (!is_punct(p, punct))
        return false;
    cel_lex(&p->l);
    return true;
}

static void *unexpected(struct parser *p, const char *wanted)
{
    switch (p->l.token) {
    case CEL_T_END: return cel_error(p->c, p->l.at, "ends where %s should be", wanted);
    case CEL_T_PUNCT:
        return cel_error(p->c, p->l.at, "'%s' stands where %s should be", p->l.punct, wanted);
    case CEL_T_IDENT:
        return cel_error(p->c, p->l.at, "'%.*s' stands where %s should be", FL_STR_ARG(p->l.text),
                         wanted);
    default: return cel_error(p->c, p->l.at, "a value stands where %s should be", wanted);
    }
}

static bool expect(struct parser *p, const char *punct)
{
    if (take(p, punct))
        return true;
    char wanted[8] = "'";
    strcat(strcat(wanted, punct), "'");
    unexpected(p, wanted);
    return false;
}

/* ---- growing lists of kids ---- */
struct kids {
    struct cel_node **items;
    bool *is_optional;
    size_t count, cap;
    bool has_optional;
};

static bool kids_add(struct parser *p, struct kids *k, struct cel_node *node, bool is_optional)
{
    if (!node)
        return false;
    if (k->count == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 8;
        struct cel_node **items = fl_arena_array(p->c->scratch, cap, sizeof *items);
        bool *flags = fl_arena_array(p->c->scratch, cap, sizeof *flags);
        if (!items || !flags)
            return cel_nomem(p->c);
        if (k->count) {
            memcpy(items, k->items, k->count * sizeof *items);
            memcpy(flags, k->is_optional, k->count * sizeof *flags);
        }
        *k = (struct kids){ items, flags, k->count, cap, k->has_optional };
    }
    k->is_optional[k->count] = is_optional;
    k->items[k->count++] = node;
    k->has_optional |= is_optional;
    return true;
}

static struct cel_node *with_kids(struct parser *p, struct cel_node *node, const struct kids *k)
{
    node = cel_node_kids(p->c, node, k->items, k->count);
    if (!node || !k->has_optional)
        return node;
    bool *flags = fl_arena_array(p->c->arena, k->count, sizeof *flags);
    if (!flags)
        return cel_nomem(p->c);
    node->is_kid_optional = memcpy(flags, k->is_optional, k->count * sizeof *flags);
    return node;
}

/* The arguments of a call, behind its '('. `target` (may be NULL) becomes the first kid. */
static struct cel_node *parse_call(struct parser *p, struct fl_str name, uint32_t at,
                                   struct cel_node *target)
{
    struct kids k = { 0 };
    if (target && !kids_add(p, &k, target, false))
        return NULL;
    if (!is_punct(p, ")")) {
        do {
            if (!kids_add(p, &k, parse_expr(p), false))
                return NULL;
        } while (take(p, ","));
    }
    if (!expect(p, ")"))
        return NULL;
    if (k.count > CEL_ARGS_MAX)
        return cel_error(p->c, at, "%.*s() takes no %zu arguments", FL_STR_ARG(name), k.count);
    struct cel_node *call = with_kids(p, cel_node_new(p->c, CEL_CALL, at), &k);
    if (!call)
        return NULL;
    call->name = name;
    call->is_method = target != NULL;
    return cel_expand_macro(p->c, call);
}

static struct cel_node *call2(struct parser *p, const char *name, uint32_t at, struct cel_node *a,
                              struct cel_node *b)
{
    if (!a || !b)
        return NULL;
    struct cel_node *call =
        cel_node_kids(p->c, cel_node_new(p->c, CEL_CALL, at), (struct cel_node *[]){ a, b }, 2);
    if (call)
        call->name = fl_str_of(name);
    return call;
}

static struct cel_node *parse_list(struct parser *p, uint32_t at)
{
    struct kids k = { 0 };
    while (!is_punct(p, "]")) {
        bool is_optional = take(p, "?");
        if (!kids_add(p, &k, parse_expr(p), is_optional))
            return NULL;
        if (!take(p, ","))
            break;
    }
    if (!expect(p, "]"))
        return NULL;
    return with_kids(p, cel_node_new(p->c, CEL_LIST, at), &k);
}

static struct cel_node *parse_map(struct parser *p, uint32_t at)
{
    struct kids k = { 0 };
    while (!is_punct(p, "}")) {
        bool is_optional = take(p, "?");
        if (!kids_add(p, &k, parse_expr(p), is_optional) || !expect(p, ":") ||
            !kids_add(p, &k, parse_expr(p), is_optional))
            return NULL;
        if (!take(p, ","))
            break;
    }
    if (!expect(p, "}"))
        return NULL;
    return with_kids(p, cel_node_new(p->c, CEL_MAP, at), &k);
}

static struct cel_node *constant(struct parser *p, struct fl_cel_value value)
{
    struct cel_node *node = cel_node_new(p->c, CEL_CONST, p->l.at);
    if (node)
        node->value = value;
    cel_lex(&p->l);
    return node;
}

/* At a number; `is_negative`: behind a minus that belongs to it. */
static struct cel_node *parse_number(struct parser *p, bool is_negative)
{
    struct fl_cel_value v = { .kind = FL_CEL_INT };
    if (p->l.token == CEL_T_DOUBLE) {
        v = (struct fl_cel_value){ .kind = FL_CEL_DOUBLE,
                                   .d = is_negative ? -p->l.real : p->l.real };
    } else if (p->l.number > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
        return cel_error(p->c, p->l.at, "the number does not fit an int");
    } else {
        v.i = is_negative ? (int64_t)(0 - p->l.number) : (int64_t)p->l.number;
    }
    return constant(p, v);
}

static struct cel_node *parse_ident(struct parser *p, bool is_absolute)
{
    struct fl_str name = p->l.text;
    uint32_t at = p->l.at;
    static const struct {
        const char *name;
        struct fl_cel_value value;
    } named[] = { { "true", { .kind = FL_CEL_BOOL, .b = true } },
                  { "false", { .kind = FL_CEL_BOOL, .b = false } },
                  { "null", { .kind = FL_CEL_NULL } } };
    if (!is_absolute) {
        for (size_t i = 0; i < FL_COUNTOF(named); i++) {
            if (fl_str_is(name, named[i].name))
                return constant(p, named[i].value);
        }
    }
    if (cel_is_keyword(name))
        return unexpected(p, "a value");
    if (cel_is_reserved(name))
        return cel_error(p->c, at, "'%.*s' is a reserved word", FL_STR_ARG(name));
    cel_lex(&p->l);
    struct cel_node *node;
    if (take(p, "(")) {
        node = parse_call(p, name, at, NULL);
    } else {
        node = cel_node_new(p->c, CEL_IDENT, at);
        if (node)
            node->name = name;
    }
    if (node)
        node->is_absolute = is_absolute;
    return node;
}

static struct cel_node *parse_primary(struct parser *p)
{
    uint32_t at = p->l.at;
    struct fl_cel_value text = { .s = p->l.text };
    switch (p->l.token) {
    case CEL_T_IDENT: return parse_ident(p, false);
    case CEL_T_INT:
    case CEL_T_DOUBLE: return parse_number(p, false);
    case CEL_T_UINT:
        return constant(p, (struct fl_cel_value){ .kind = FL_CEL_UINT, .u = p->l.number });
    case CEL_T_STRING: text.kind = FL_CEL_STRING; return constant(p, text);
    case CEL_T_BYTES: text.kind = FL_CEL_BYTES; return constant(p, text);
    case CEL_T_PUNCT: break;
    default: return unexpected(p, "a value");
    }
    if (take(p, "(")) {
        struct cel_node *inner = parse_expr(p);
        return inner && expect(p, ")") ? inner : NULL;
    }
    if (take(p, "["))
        return parse_list(p, at);
    if (take(p, "{"))
        return parse_map(p, at);
    if (take(p, ".")) {
        if (p->l.token != CEL_T_IDENT)
            return unexpected(p, "a name");
        return parse_ident(p, true);
    }
    return unexpected(p, "a value");
}

/* Behind the '.' of `operand`. */
static struct cel_node *parse_member(struct parser *p, struct cel_node *operand)
{
    bool is_optional = take(p, "?"), is_quoted = p->l.token == CEL_T_QUOTED;
    struct fl_str name = p->l.text;
    uint32_t at = p->l.at;
    if ((!is_quoted && p->l.token != CEL_T_IDENT) || (!is_quoted && cel_is_keyword(name)))
        return unexpected(p, "a field or a function");
    cel_lex(&p->l);
    if (!is_optional && !is_quoted && take(p, "("))
        return parse_call(p, name, at, operand);
    struct cel_node *node = cel_node_kids(p->c, cel_node_new(p->c, CEL_SELECT, at), &operand, 1);
    if (node) {
        node->name = name;
        node->is_optional = is_optional;
        node->is_quoted = is_quoted;
    }
    return node;
}

/* A member chain from `node` on. */
static struct cel_node *parse_members(struct parser *p, struct cel_node *node)
{
    while (node) {
        uint32_t at = p->l.at;
        if (take(p, ".")) {
            node = parse_member(p, node);
        } else if (take(p, "[")) {
            const char *name = take(p, "?") ? "_[?_]" : "_[_]";
            struct cel_node *key = parse_expr(p);
            node = key && expect(p, "]") ? call2(p, name, at, node, key) : NULL;
        } else if (is_punct(p, "{") && (node->op == CEL_IDENT || node->op == CEL_SELECT)) {
            return cel_error(p->c, at, "messages cannot be built: there are none here");
        } else {
            return node;
        }
    }
    return NULL;
}

static struct cel_node *parse_unary(struct parser *p)
{
    const char *op = is_punct(p, "!") ? "!" : "-";
    const char *name = *op == '!' ? "!_" : "-_";
    uint32_t at = p->l.at;
    size_t count = 0;
    while (take(p, op))
        count++;
    bool is_number = p->l.token == CEL_T_INT || p->l.token == CEL_T_DOUBLE;
    struct cel_node *node;
    if (count && *op == '-' && is_number) {
        node = parse_number(p, true);
        count--;
    } else {
        node = parse_primary(p);
    }
    node = parse_members(p, node);
    for (; node && count; count--) {
        node = cel_node_kids(p->c, cel_node_new(p->c, CEL_CALL, at), &node, 1);
        if (node)
            node->name = fl_str_of(name);
    }
    return node;
}

static const struct {
    const char *token;
    const char *name; /* NULL: && and ||, which take all their operands at once */
    unsigned level;
} binary[] = {
    { "||", NULL, 1 },  { "&&", NULL, 2 },   { "==", "_==_", 3 }, { "!=", "_!=_", 3 },
    { "<", "_<_", 3 },  { "<=", "_<=_", 3 }, { ">", "_>_", 3 },   { ">=", "_>=_", 3 },
    { "in", "@in", 3 }, { "+", "_+_", 4 },   { "-", "_-_", 4 },   { "*", "_*_", 5 },
    { "/", "_/_", 5 },  { "%", "_%_", 5 },
};

static int binary_at(const struct parser *p)
{
    for (size_t i = 0; i < FL_COUNTOF(binary); i++) {
        bool is_here = p->l.token == CEL_T_IDENT ? fl_str_is(p->l.text, binary[i].token)
                                                 : is_punct(p, binary[i].token);
        if (is_here)
            return (int)i;
    }
    return -1;
}

static struct cel_node *parse_binary(struct parser *p, unsigned level);

/* All operands of a && or || chain; the first is `left`, its operator is next. */
static struct cel_node *parse_logic(struct parser *p, struct cel_node *left, int op)
{
    struct kids k = { 0 };
    uint32_t at = p->l.at;
    if (!kids_add(p, &k, left, false))
        return NULL;
    while (take(p, binary[op].token)) {
        if (!kids_add(p, &k, parse_binary(p, binary[op].level + 1), false))
            return NULL;
    }
    return with_kids(p, cel_node_new(p->c, binary[op].level == 1 ? CEL_OR : CEL_AND, at), &k);
}

/* Operators of this level and those that bind tighter; at most five deep. */
static struct cel_node *parse_binary(struct parser *p, unsigned level)
{
    struct cel_node *node = parse_unary(p);
    while (node) {
        int op = binary_at(p);
        if (op < 0 || binary[op].level < level)
            return node;
        if (!binary[op].name) {
            node = parse_logic(p, node, op);
            continue;
        }
        uint32_t at = p->l.at;
        cel_lex(&p->l);
        node = call2(p, binary[op].name, at, node, parse_binary(p, binary[op].level + 1));
    }
    return NULL;
}

static struct cel_node *parse_expr(struct parser *p)
{
    if (++p->depth > CEL_HEIGHT_MAX)
        return cel_error(p->c, p->l.at, "nested more than %d deep", CEL_HEIGHT_MAX);
    struct cel_node *node = parse_binary(p, 1);
    uint32_t at = p->l.at;
    if (node && take(p, "?")) {
        struct cel_node *yes = parse_binary(p, 1);
        struct cel_node *no = yes && expect(p, ":") ? parse_expr(p) : NULL;
        node = no ? cel_node_kids(p->c, cel_node_new(p->c, CEL_COND, at),
                                  (struct cel_node *[]){ node, yes, no }, 3)
                  : NULL;
    }
    p->depth--;
    return node;
}

struct cel_node *cel_parse(struct cel_compile *c, struct fl_str source)
{
    struct parser p = { .l = { .c = c, .source = source }, .c = c };
    cel_lex(&p.l);
    if (p.l.token == CEL_T_END)
        return cel_error(c, 0, "the expression is empty");
    struct cel_node *root = parse_expr(&p);
    if (root && p.l.token != CEL_T_END)
        return unexpected(&p, "an operator");
    return root;
}
