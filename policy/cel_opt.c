/* Optional values: what `.?`, `[?` and optional.of() make.
 * Source: cel-spec, extension "Optional values". Called by the evaluator. */
#include "policy/cel_priv.h"

#define IMPL(name)                                                                                 \
    struct fl_cel_value cel_fn_##name(struct cel_ev *ev, const struct cel_node *node,              \
                                      const struct fl_cel_value *args)

IMPL(opt_of)
{
    FL_UNUSED(node);
    struct fl_cel_value *some = cel_alloc(ev, 1, sizeof *some);
    if (!some)
        return cel_fail(ev, "");
    *some = args[0];
    return (struct fl_cel_value){ .kind = FL_CEL_OPTIONAL, .some = some };
}

IMPL(opt_none)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    FL_UNUSED(args);
    return (struct fl_cel_value){ .kind = FL_CEL_OPTIONAL };
}

static bool is_zero(const struct fl_cel_value *v)
{
    switch (v->kind) {
    case FL_CEL_NULL: return true;
    case FL_CEL_BOOL: return !v->b;
    case FL_CEL_INT:
    case FL_CEL_UINT: return v->u == 0;
    case FL_CEL_DOUBLE: return v->d == 0;
    case FL_CEL_STRING:
    case FL_CEL_BYTES: return v->s.n == 0;
    case FL_CEL_LIST:
    case FL_CEL_MAP: return fl_cel_size(v) == 0;
    case FL_CEL_DURATION: return v->ns == 0;
    case FL_CEL_OPTIONAL: return !v->some;
    default: return false;
    }
}

IMPL(opt_of_non_zero)
{
    return is_zero(&args[0]) ? cel_fn_opt_none(ev, node, args) : cel_fn_opt_of(ev, node, args);
}

IMPL(opt_has)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return fl_cel_bool(args[0].some != NULL);
}

IMPL(opt_value)
{
    FL_UNUSED(node);
    return args[0].some ? *args[0].some : cel_fail(ev, "value() of an optional without one");
}

IMPL(opt_or)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return args[0].some ? args[0] : args[1];
}

IMPL(opt_or_value)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return args[0].some ? *args[0].some : args[1];
}
