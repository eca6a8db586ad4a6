/* The type checker: gradual, so that arguments (dyn) can be compared with anything, while what is
 * impossible whatever the arguments are is an error when the text is compiled.
 * Source: cel-spec, Language Definition, "Gradual Type Checking". Called by fl_cel_compile. */
#include "policy/cel_priv.h"

/* NULL after an error. Recursion is bounded by the height of the tree. */
static const struct cel_type *check(struct cel_compile *c, struct cel_node *node);

static const struct cel_type *failed(struct cel_compile *c, const struct cel_type *type)
{
    return c->code == FL_OK ? type : NULL;
}

/* What was printed of a type, or `instead` when it was too long. */
static const char *shown(struct cel_compile *c, const struct fl_buf *text, const char *instead)
{
    if (text->is_failed && !text->is_over)
        cel_nomem(c);
    return text->is_failed ? instead : text->p ? text->p : "";
}

/* "cannot apply '+' to (int, string)" */
static const struct cel_type *no_overload(struct cel_compile *c, const struct cel_node *node,
                                          const struct cel_type *const *args)
{
    struct fl_buf list;
    fl_buf_init(&list, 200);
    for (uint32_t i = 0; i < node->kid_count; i++) {
        fl_buf_puts(&list, i ? ", " : "");
        cel_type_put(&list, args[i]);
    }
    struct fl_str name = cel_fn_shown(node->name);
    cel_error(c, node->at, "cannot apply '%.*s' to (%s)", FL_STR_ARG(name),
              shown(c, &list, "types too long to print"));
    fl_buf_fini(&list);
    return NULL;
}

/* One overload: the result if the arguments fit it, else NULL and nothing is bound. */
static const struct cel_type *try_overload(struct cel_compile *c, const struct cel_fn *fn,
                                           const struct cel_type *const *args, size_t count)
{
    const struct cel_type *vars[2] = { NULL, NULL };
    const char *text = fn->type;
    size_t trail = c->trail_count;
    for (size_t i = 0; i < count; i++) {
        if (*text == '>' || !cel_type_fit(c, cel_type_read(c, &text, vars), args[i])) {
            cel_type_undo(c, trail);
            return NULL;
        }
    }
    if (*text++ != '>') {
        cel_type_undo(c, trail);
        return NULL;
    }
    return cel_type_read(c, &text, vars);
}

static const struct cel_type *check_call(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_type *args[CEL_ARGS_MAX], *result = NULL;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        args[i] = check(c, node->kids[i]);
        if (!args[i])
            return NULL;
    }
    size_t trail = c->trail_count;
    for (const struct cel_fn *fn = node->fn; cel_fn_is_same(node->fn, fn); fn++) {
        const struct cel_type *type = try_overload(c, fn, args, node->kid_count);
        if (c->code)
            return NULL;
        if (!type)
            continue;
        if (!result) {
            result = type;
            continue;
        }
        /* Several fit, because an argument is dyn: the values decide, so nothing is bound here. */
        cel_type_undo(c, trail);
        if (cel_type_of(type)->kind != cel_type_of(result)->kind || cel_type_of(type)->a ||
            cel_type_is_dyn(type))
            result = &cel_dyn;
    }
    return result ? failed(c, result) : no_overload(c, node, args);
}

static const struct cel_type *check_select(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_type *operand = check(c, node->kids[0]);
    if (!operand)
        return NULL;
    operand = cel_type_of(operand);
    bool is_optional = node->is_optional;
    if (operand->kind == FL_CEL_OPTIONAL) {
        is_optional = true;
        operand = cel_type_of(operand->a);
    }
    const struct cel_type *type = &cel_dyn;
    if (operand->kind == FL_CEL_MAP &&
        cel_type_fit(c, operand->a, cel_type_simple(FL_CEL_STRING))) {
        type = operand->b;
    } else if (!cel_type_is_dyn(operand)) {
        struct fl_buf text;
        fl_buf_init(&text, 200);
        cel_type_put(&text, operand);
        cel_error(c, node->at, "%s has no field '%.*s'", shown(c, &text, "this"),
                  FL_STR_ARG(node->name));
        fl_buf_fini(&text);
        return NULL;
    }
    if (node->is_test)
        return cel_type_simple(FL_CEL_BOOL);
    return failed(c, is_optional ? cel_type_new(c, FL_CEL_OPTIONAL, type, NULL) : type);
}

/* An element of a list or map literal; behind '?' it is an optional of it. */
static const struct cel_type *check_element(struct cel_compile *c, struct cel_node *node,
                                            uint32_t at, bool is_optional)
{
    const struct cel_type *type = check(c, node->kids[at]);
    if (!type || !is_optional)
        return type;
    const struct cel_type *inner = cel_type_new(c, CEL_TYPE_VAR, NULL, NULL);
    if (!cel_type_fit(c, cel_type_new(c, FL_CEL_OPTIONAL, inner, NULL), type)) {
        cel_error(c, node->kids[at]->at, "'?' stands before a value that is not optional");
        return NULL;
    }
    return cel_type_of(inner);
}

static const struct cel_type *check_list(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_type *all = NULL;
    for (uint32_t i = 0; i < node->kid_count; i++) {
        const struct cel_type *type =
            check_element(c, node, i, node->is_kid_optional && node->is_kid_optional[i]);
        if (!type)
            return NULL;
        all = all ? cel_type_join(c, all, type) : type;
    }
    if (!all)
        all = cel_type_new(c, CEL_TYPE_VAR, NULL, NULL);
    return failed(c, cel_type_new(c, FL_CEL_LIST, all, NULL));
}

static const struct cel_type *check_map(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_type *keys = NULL, *values = NULL;
    for (uint32_t i = 0; i < node->kid_count; i += 2) {
        bool is_optional = node->is_kid_optional && node->is_kid_optional[i];
        const struct cel_type *key = check(c, node->kids[i]);
        const struct cel_type *value = key ? check_element(c, node, i + 1, is_optional) : NULL;
        if (!value)
            return NULL;
        int kind = cel_type_of(key)->kind;
        if (kind != FL_CEL_BOOL && kind != FL_CEL_INT && kind != FL_CEL_UINT &&
            kind != FL_CEL_STRING && !cel_type_is_dyn(key)) {
            cel_error(c, node->kids[i]->at, "a key is a string, an int, a uint or a bool");
            return NULL;
        }
        keys = keys ? cel_type_join(c, keys, key) : key;
        values = values ? cel_type_join(c, values, value) : value;
    }
    if (!keys) {
        keys = cel_type_new(c, CEL_TYPE_VAR, NULL, NULL);
        values = cel_type_new(c, CEL_TYPE_VAR, NULL, NULL);
    }
    return failed(c, cel_type_new(c, FL_CEL_MAP, keys, values));
}

static bool must_be_bool(struct cel_compile *c, const struct cel_node *node,
                         const struct cel_type *type, const char *what)
{
    if (!type)
        return false;
    if (cel_type_fit(c, cel_type_simple(FL_CEL_BOOL), type))
        return true;
    struct fl_buf text;
    fl_buf_init(&text, 200);
    cel_type_put(&text, type);
    cel_error(c, node->at, "%s is %s, not bool", what, shown(c, &text, "another type"));
    fl_buf_fini(&text);
    return false;
}

static const struct cel_type *check_logic(struct cel_compile *c, struct cel_node *node)
{
    const char *what = node->op == CEL_AND ? "an operand of '&&'" : "an operand of '||'";
    for (uint32_t i = 0; i < node->kid_count; i++) {
        if (!must_be_bool(c, node->kids[i], check(c, node->kids[i]), what))
            return NULL;
    }
    return cel_type_simple(FL_CEL_BOOL);
}

static const struct cel_type *check_cond(struct cel_compile *c, struct cel_node *node)
{
    if (!must_be_bool(c, node->kids[0], check(c, node->kids[0]), "the condition before '?'"))
        return NULL;
    const struct cel_type *yes = check(c, node->kids[1]);
    const struct cel_type *no = yes ? check(c, node->kids[2]) : NULL;
    if (!no)
        return NULL;
    size_t trail = c->trail_count;
    if (!cel_type_fit(c, yes, no)) {
        cel_type_undo(c, trail);
        struct cel_node shown = { .at = node->at, .kid_count = 2, .name = FL_STR("_?:_") };
        const struct cel_type *args[] = { yes, no };
        return c->code ? NULL : no_overload(c, &shown, args);
    }
    return failed(c, cel_type_join(c, yes, no));
}

/* What a loop's variables are; false when the range cannot be walked. */
static bool loop_types(const struct cel_node *node, const struct cel_type *range,
                       const struct cel_type **ret_first, const struct cel_type **ret_second)
{
    range = cel_type_of(range);
    bool is_optional = node->loop == CEL_OPT_MAP || node->loop == CEL_OPT_FLAT_MAP;
    *ret_first = *ret_second = &cel_dyn;
    if (cel_type_is_dyn(range))
        return true;
    if (is_optional) {
        *ret_first = range->a;
        return range->kind == FL_CEL_OPTIONAL;
    }
    if (range->kind == FL_CEL_LIST) {
        *ret_first = node->name2.p ? cel_type_simple(FL_CEL_INT) : range->a;
        *ret_second = range->a;
        return true;
    }
    *ret_first = range->a;
    *ret_second = range->b;
    return range->kind == FL_CEL_MAP;
}

static const struct cel_type *check_loop(struct cel_compile *c, struct cel_node *node)
{
    const struct cel_type *range = check(c, node->kids[0]), *first, *second;
    if (!range)
        return NULL;
    if (!loop_types(node, range, &first, &second)) {
        struct fl_buf text;
        fl_buf_init(&text, 200);
        cel_type_put(&text, range);
        cel_error(c, node->at, "cannot walk over %s", shown(c, &text, "this"));
        fl_buf_fini(&text);
        return NULL;
    }
    c->locals[node->slot].type = first;
    if (node->name2.p)
        c->locals[node->slot + 1].type = second;
    if (node->kids[2] && !must_be_bool(c, node->kids[2], check(c, node->kids[2]), "the filter"))
        return NULL;
    const struct cel_type *body = check(c, node->kids[1]);
    if (!body)
        return NULL;
    switch (node->loop) {
    case CEL_MAP_LIST: return failed(c, cel_type_new(c, FL_CEL_LIST, body, NULL));
    case CEL_TRANSFORM_MAP: return failed(c, cel_type_new(c, FL_CEL_MAP, first, body));
    case CEL_OPT_MAP: return failed(c, cel_type_new(c, FL_CEL_OPTIONAL, body, NULL));
    case CEL_OPT_FLAT_MAP:
        if (cel_type_of(body)->kind == FL_CEL_OPTIONAL || cel_type_is_dyn(body))
            return body;
        cel_error(c, node->kids[1]->at, "the body of optFlatMap() is not optional");
        return NULL;
    default: break;
    }
    if (!must_be_bool(c, node->kids[1], body, "the condition of the loop"))
        return NULL;
    return failed(c, node->loop == CEL_FILTER ? cel_type_new(c, FL_CEL_LIST, first, NULL)
                                              : cel_type_simple(FL_CEL_BOOL));
}

static const struct cel_type *check(struct cel_compile *c, struct cel_node *node)
{
    const char *letters;
    const struct cel_type *type;
    switch (node->op) {
    case CEL_CONST: return cel_type_simple((int)node->value.kind);
    case CEL_VAR:
        letters = c->env->vars[node->slot].type;
        type = cel_type_read(c, &letters, NULL);
        FL_ASSERT(*letters == 0);
        return failed(c, type);
    case CEL_LOCAL: return c->locals[node->slot].type;
    case CEL_SELECT: return check_select(c, node);
    case CEL_CALL: return check_call(c, node);
    case CEL_LIST: return check_list(c, node);
    case CEL_MAP: return check_map(c, node);
    case CEL_AND:
    case CEL_OR: return check_logic(c, node);
    case CEL_COND: return check_cond(c, node);
    case CEL_LOOP: return check_loop(c, node);
    case CEL_BIND:
        type = check(c, node->kids[0]);
        if (!type)
            return NULL;
        c->locals[node->slot].type = type;
        return check(c, node->kids[1]);
    case CEL_IDENT:
    case CEL_FAIL: break; /* resolved; and in an unchecked compilation this pass does not run */
    }
    FL_NEVER("a node that the resolver left");
}

bool cel_check(struct cel_compile *c, struct cel_node *root)
{
    const struct cel_type *type = check(c, root);
    if (!type)
        return false;
    struct fl_buf text;
    fl_buf_init(&text, 200);
    cel_type_put(&text, type);
    c->program->type_text = fl_arena_strdup(c->arena, shown(c, &text, "dyn"));
    c->program->may_be_bool = cel_type_is_dyn(type) || cel_type_of(type)->kind == FL_CEL_BOOL;
    fl_buf_fini(&text);
    if (!c->program->type_text)
        cel_nomem(c);
    return c->code == FL_OK;
}
