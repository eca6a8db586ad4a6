/* Macros: has(), the loops (all, exists, exists_one, map, filter, transformList, transformMap),
 * optMap, optFlatMap and cel.bind. They are tree nodes of their own rather than folds with an
 * accumulator: shorter to evaluate and to bound.
 * Source: cel-spec, Language Definition, "Macros"; extensions two-variable comprehensions,
 * bindings, optional values. Called by the parser. Any thread. */
#include "policy/cel_priv.h"

static const struct {
    const char *name;
    enum cel_loop loop;
    uint8_t vars;  /* names in front of the expressions */
    uint8_t exprs; /* expressions; the last one is the body, the other the filter */
} loops[] = {
    { "all", CEL_ALL, 1, 1 },
    { "all", CEL_ALL, 2, 1 },
    { "exists", CEL_EXISTS, 1, 1 },
    { "exists", CEL_EXISTS, 2, 1 },
    { "exists_one", CEL_EXISTS_ONE, 1, 1 },
    { "exists_one", CEL_EXISTS_ONE, 2, 1 },
    { "existsOne", CEL_EXISTS_ONE, 1, 1 },
    { "existsOne", CEL_EXISTS_ONE, 2, 1 },
    { "map", CEL_MAP_LIST, 1, 1 },
    { "map", CEL_MAP_LIST, 1, 2 },
    { "filter", CEL_FILTER, 1, 1 },
    { "transformList", CEL_MAP_LIST, 2, 1 },
    { "transformList", CEL_MAP_LIST, 2, 2 },
    { "transformMap", CEL_TRANSFORM_MAP, 2, 1 },
    { "transformMap", CEL_TRANSFORM_MAP, 2, 2 },
    { "optMap", CEL_OPT_MAP, 1, 1 },
    { "optFlatMap", CEL_OPT_FLAT_MAP, 1, 1 },
};

/* A macro's variable must be a plain name. */
static bool variable(struct cel_compile *c, const struct cel_node *node, struct fl_str *ret)
{
    if (node->op != CEL_IDENT || node->is_absolute) {
        cel_error(c, node->at, "a variable name should stand here");
        return false;
    }
    *ret = node->name;
    return true;
}

static struct cel_node *expand_loop(struct cel_compile *c, struct cel_node *call, size_t which)
{
    struct cel_node *node = cel_node_new(c, CEL_LOOP, call->at);
    if (!node)
        return NULL;
    struct cel_node **kid = call->kids + 1;
    node->loop = loops[which].loop;
    if (!variable(c, *kid++, &node->name))
        return NULL;
    if (loops[which].vars == 2 && !variable(c, *kid++, &node->name2))
        return NULL;
    if (node->name2.p && fl_str_eq(node->name, node->name2))
        return cel_error(c, call->at, "both variables are called '%.*s'", FL_STR_ARG(node->name));
    struct cel_node *filter = loops[which].exprs == 2 ? *kid++ : NULL;
    return cel_node_kids(c, node, (struct cel_node *[]){ call->kids[0], *kid, filter }, 3);
}

/* has(e.f): the select says whether the field is there instead of reading it. */
static struct cel_node *expand_has(struct cel_compile *c, struct cel_node *call)
{
    if (call->kid_count != 1 || call->kids[0]->op != CEL_SELECT || call->kids[0]->is_test)
        return cel_error(c, call->at, "has() takes one field, as in has(args.path)");
    call->kids[0]->is_test = true;
    return call->kids[0];
}

static struct cel_node *expand_bind(struct cel_compile *c, struct cel_node *call)
{
    struct cel_node *node = cel_node_new(c, CEL_BIND, call->at);
    if (!node || !variable(c, call->kids[1], &node->name))
        return NULL;
    return cel_node_kids(c, node, (struct cel_node *[]){ call->kids[2], call->kids[3] }, 2);
}

struct cel_node *cel_expand_macro(struct cel_compile *c, struct cel_node *call)
{
    if (!call->is_method)
        return fl_str_is(call->name, "has") ? expand_has(c, call) : call;
    const struct cel_node *target = call->kids[0];
    if (fl_str_is(call->name, "bind") && call->kid_count == 4 && target->op == CEL_IDENT &&
        fl_str_is(target->name, "cel"))
        return expand_bind(c, call);
    for (size_t i = 0; i < FL_COUNTOF(loops); i++) {
        if (fl_str_is(call->name, loops[i].name) &&
            call->kid_count == 1u + loops[i].vars + loops[i].exprs) {
            /* map(x, f, e) has one variable and transformList(k, v, e) two: told apart by name;
             * all, exists and exists_one by their count. */
            return expand_loop(c, call, i);
        }
    }
    return call;
}
