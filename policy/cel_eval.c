/* The evaluator: walks the tree. Errors are values that `&&`, `||`, all() and exists() absorb as
 * the language says; a bound that is hit, or no memory, is fatal and nothing absorbs it.
 * Source: cel-spec, Language Definition, "Evaluation", "Logical Operators", "Macros".
 * Called by fl_cel_eval. Any thread. */
#include <stdio.h>

#include "policy/cel_priv.h"

/* ---- errors, bounds, memory ---- */
struct fl_cel_value cel_fail(struct cel_ev *ev, const char *text)
{
    FL_UNUSED(ev);
    return (struct fl_cel_value){ .kind = FL_CEL_ERROR, .error = text };
}

struct fl_cel_value cel_failf(struct cel_ev *ev, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *copy = cel_alloc(ev, strlen(text) + 1, 1);
    return cel_fail(ev, copy ? strcpy(copy, text) : "");
}

struct fl_cel_value cel_fatal(struct cel_ev *ev, enum fl_code code)
{
    if (!ev->fatal)
        ev->fatal = code;
    return cel_fail(ev, "");
}

bool cel_charge(struct cel_ev *ev, size_t bytes)
{
    uint64_t steps = 1 + bytes / 64;
    if (steps > ev->run->steps) {
        ev->run->steps = 0;
        cel_fatal(ev, FL_TOO_LARGE);
        return false;
    }
    ev->run->steps -= steps;
    return true;
}

static size_t bytes_left(const struct cel_ev *ev)
{
    size_t used = fl_arena_used(ev->run->arena) - ev->used_before;
    return used < ev->run->max_bytes ? ev->run->max_bytes - used : 0;
}

void cel_buf_init(const struct cel_ev *ev, struct fl_buf *buf)
{
    size_t left = bytes_left(ev);
    fl_buf_init(buf, left ? left : 1); /* 0 would be no bound at all */
}

void *cel_alloc(struct cel_ev *ev, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > bytes_left(ev)) {
        cel_fatal(ev, FL_TOO_LARGE);
        return NULL;
    }
    if (!cel_charge(ev, bytes))
        return NULL;
    void *p = fl_arena_alloc(ev->run->arena, bytes);
    if (!p)
        cel_fatal(ev, FL_NOMEM);
    return p;
}

struct fl_cel_value cel_take(struct cel_ev *ev, struct fl_buf *buf)
{
    struct fl_cel_value v = fl_cel_str(FL_STR(""));
    if (buf->is_failed) {
        v = cel_fatal(ev, buf->is_over ? FL_TOO_LARGE : FL_NOMEM);
    } else if (buf->n) {
        char *copy = cel_alloc(ev, buf->n, 1);
        if (copy)
            v.s = (struct fl_str){ memcpy(copy, buf->p, buf->n), buf->n };
        else
            v = cel_fail(ev, "");
    }
    fl_buf_fini(buf);
    return v;
}

static struct fl_cel_value no_overload(struct cel_ev *ev, const struct cel_node *node,
                                       const struct fl_cel_value *args, uint32_t count)
{
    char list[100] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < count && n < sizeof list; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "",
                              fl_cel_kind_name(args[i].kind));
    struct fl_str name = cel_fn_shown(node->name);
    return cel_failf(ev, "no such overload: '%.*s' of (%s)", FL_STR_ARG(name), list);
}

/* ---- nodes ---- */
static struct fl_cel_value eval_select(struct cel_ev *ev, const struct cel_node *node)
{
    struct fl_cel_value of = cel_eval(ev, node->kids[0]), found;
    bool is_optional = node->is_optional;
    if (of.kind == FL_CEL_OPTIONAL) {
        is_optional = true;
        if (!of.some)
            return node->is_test ? fl_cel_bool(false) : of;
        of = *of.some;
    }
    if (cel_is_error(&of))
        return of;
    if (of.kind != FL_CEL_MAP)
        return cel_failf(ev, "no such overload: %s has no field '%.*s'", fl_cel_kind_name(of.kind),
                         FL_STR_ARG(node->name));
    struct fl_cel_value key = fl_cel_str(node->name);
    bool is_there = cel_map_get(ev, &of, &key, &found);
    if (ev->fatal)
        return cel_fail(ev, "");
    if (node->is_test)
        return fl_cel_bool(is_there);
    if (!is_optional)
        return is_there ? found : cel_failf(ev, "no such key '%.*s'", FL_STR_ARG(node->name));
    if (!is_there)
        return (struct fl_cel_value){ .kind = FL_CEL_OPTIONAL };
    return cel_fn_opt_of(ev, node, &found);
}

static struct fl_cel_value eval_call(struct cel_ev *ev, const struct cel_node *node)
{
    struct fl_cel_value args[CEL_ARGS_MAX];
    for (uint32_t i = 0; i < node->kid_count; i++) {
        args[i] = cel_eval(ev, node->kids[i]);
        if (cel_is_error(&args[i]))
            return args[i];
    }
    for (const struct cel_fn *fn = node->fn; cel_fn_is_same(node->fn, fn); fn++) {
        if (cel_fn_takes(fn, args, node->kid_count)) {
            ev->fn = fn;
            struct fl_cel_value v = fn->impl(ev, node, args);
            return ev->fatal ? cel_fail(ev, "") : v;
        }
    }
    return no_overload(ev, node, args, node->kid_count);
}

/* The value of an element; *ret_is_there is false for an optional one that holds nothing. */
static struct fl_cel_value eval_element(struct cel_ev *ev, const struct cel_node *node, uint32_t at,
                                        bool *ret_is_there)
{
    struct fl_cel_value v = cel_eval(ev, node->kids[at]);
    *ret_is_there = true;
    if (cel_is_error(&v) || !node->is_kid_optional || !node->is_kid_optional[at])
        return v;
    if (v.kind != FL_CEL_OPTIONAL)
        return cel_failf(ev, "'?' before %s, which is not optional", fl_cel_kind_name(v.kind));
    *ret_is_there = v.some != NULL;
    return v.some ? *v.some : v;
}

static struct fl_cel_value eval_list(struct cel_ev *ev, const struct cel_node *node)
{
    struct fl_cel_value *items = cel_alloc(ev, node->kid_count, sizeof *items);
    size_t n = 0;
    for (uint32_t i = 0; items && i < node->kid_count; i++) {
        bool is_there;
        items[n] = eval_element(ev, node, i, &is_there);
        if (cel_is_error(&items[n]))
            return items[n];
        n += is_there;
    }
    return items ? fl_cel_list(items, n) : cel_fail(ev, "");
}

static struct fl_cel_value eval_map(struct cel_ev *ev, const struct cel_node *node)
{
    struct fl_cel_value map = { .kind = FL_CEL_MAP }, found;
    struct fl_cel_value *items = cel_alloc(ev, node->kid_count, sizeof *items);
    map.seq.items = items;
    for (uint32_t i = 0; items && i < node->kid_count; i += 2) {
        bool is_there;
        struct fl_cel_value key = cel_eval(ev, node->kids[i]);
        if (cel_is_error(&key))
            return key;
        struct fl_cel_value value = eval_element(ev, node, i + 1, &is_there);
        if (cel_is_error(&value))
            return value;
        if (!cel_is_key(&key))
            return cel_failf(ev, "unsupported key type %s", fl_cel_kind_name(key.kind));
        if (cel_map_get(ev, &map, &key, &found))
            return cel_fail(ev, "a map has the same key twice");
        if (ev->fatal)
            break;
        if (is_there) {
            items[2 * map.seq.n] = key;
            items[2 * map.seq.n++ + 1] = value;
        }
    }
    return ev->fatal ? cel_fail(ev, "") : map;
}

/* && and ||: `decides` is the operand that settles it whatever the others are. */
static struct fl_cel_value eval_logic(struct cel_ev *ev, const struct cel_node *node, bool decides)
{
    struct fl_cel_value error = { .kind = FL_CEL_NULL };
    for (uint32_t i = 0; i < node->kid_count; i++) {
        struct fl_cel_value v = cel_eval(ev, node->kids[i]);
        if (ev->fatal)
            return cel_fail(ev, "");
        if (v.kind == FL_CEL_BOOL && v.b == decides)
            return v;
        if (cel_is_error(&error) || v.kind == FL_CEL_BOOL)
            continue;
        error = cel_is_error(&v) ? v
                                 : cel_failf(ev, "no such overload: '%s' of %s",
                                             decides ? "||" : "&&", fl_cel_kind_name(v.kind));
    }
    return cel_is_error(&error) ? error : fl_cel_bool(!decides);
}

static struct fl_cel_value eval_cond(struct cel_ev *ev, const struct cel_node *node)
{
    struct fl_cel_value v = cel_eval(ev, node->kids[0]);
    if (cel_is_error(&v))
        return v;
    if (v.kind != FL_CEL_BOOL)
        return cel_failf(ev, "no such overload: '?:' of %s", fl_cel_kind_name(v.kind));
    return cel_eval(ev, node->kids[v.b ? 1 : 2]);
}

/* ---- loops ---- */
struct loop {
    const struct cel_node *node;
    struct fl_cel_value error;  /* of all and exists: the first one, unless a later item decides */
    struct fl_cel_value *items; /* of loops that make a list or map */
    size_t n;
    unsigned hits;
};

static struct fl_cel_value not_bool(struct cel_ev *ev, const struct fl_cel_value *v)
{
    if (cel_is_error(v))
        return *v;
    return cel_failf(ev, "no such overload: a loop's condition of %s", fl_cel_kind_name(v->kind));
}

/* One item; true when the loop is over, with *ret set. */
static bool loop_item(struct cel_ev *ev, struct loop *l, const struct fl_cel_value *key,
                      const struct fl_cel_value *item, struct fl_cel_value *ret)
{
    const struct cel_node *node = l->node;
    if (node->kids[2]) {
        struct fl_cel_value is_wanted = cel_eval(ev, node->kids[2]);
        if (is_wanted.kind != FL_CEL_BOOL) {
            *ret = not_bool(ev, &is_wanted);
            return true;
        }
        if (!is_wanted.b)
            return false;
    }
    struct fl_cel_value v = cel_eval(ev, node->kids[1]);
    bool is_bool = v.kind == FL_CEL_BOOL, decides = node->loop == CEL_EXISTS;
    *ret = v;
    if (ev->fatal)
        return true;
    switch (node->loop) {
    case CEL_ALL:
    case CEL_EXISTS:
        if (is_bool && v.b == decides)
            return true;
        if (!is_bool && !cel_is_error(&l->error))
            l->error = not_bool(ev, &v);
        return false;
    case CEL_EXISTS_ONE:
    case CEL_FILTER:
        if (!is_bool) {
            *ret = not_bool(ev, &v);
            return true;
        }
        l->hits += v.b;
        if (v.b && node->loop == CEL_FILTER)
            l->items[l->n++] = *item;
        return false;
    case CEL_TRANSFORM_MAP:
        l->items[2 * l->n] = *key;
        l->items[2 * l->n++ + 1] = v;
        break;
    default:
        /* There is room for each item. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        l->items[l->n++] = v;
        break;
    }
    return cel_is_error(&v);
}

static struct fl_cel_value loop_result(const struct loop *l)
{
    switch (l->node->loop) {
    case CEL_ALL:
    case CEL_EXISTS:
        return cel_is_error(&l->error) ? l->error : fl_cel_bool(l->node->loop == CEL_ALL);
    case CEL_EXISTS_ONE: return fl_cel_bool(l->hits == 1);
    case CEL_TRANSFORM_MAP:
        return (struct fl_cel_value){ .kind = FL_CEL_MAP, .seq = { l->items, l->n } };
    default: return fl_cel_list(l->items, l->n);
    }
}

static struct fl_cel_value eval_optional(struct cel_ev *ev, const struct cel_node *node,
                                         struct fl_cel_value range)
{
    if (range.kind != FL_CEL_OPTIONAL)
        return cel_failf(ev, "no such overload: optMap of %s", fl_cel_kind_name(range.kind));
    if (!range.some)
        return range;
    ev->locals[node->slot] = *range.some;
    struct fl_cel_value v = cel_eval(ev, node->kids[1]);
    if (cel_is_error(&v))
        return v;
    if (node->loop == CEL_OPT_MAP)
        return cel_fn_opt_of(ev, node, &v);
    return v.kind == FL_CEL_OPTIONAL
               ? v
               : cel_failf(ev, "no such overload: optFlatMap to %s", fl_cel_kind_name(v.kind));
}

static struct fl_cel_value eval_loop(struct cel_ev *ev, const struct cel_node *node)
{
    struct loop l = { .node = node };
    struct fl_cel_value range = cel_eval(ev, node->kids[0]), key, value, result;
    if (cel_is_error(&range))
        return range;
    if (node->loop == CEL_OPT_MAP || node->loop == CEL_OPT_FLAT_MAP)
        return eval_optional(ev, node, range);
    if (range.kind != FL_CEL_LIST && range.kind != FL_CEL_MAP)
        return cel_failf(ev, "no such overload: cannot walk over %s", fl_cel_kind_name(range.kind));
    if (node->loop == CEL_MAP_LIST || node->loop == CEL_FILTER || node->loop == CEL_TRANSFORM_MAP) {
        l.items = cel_alloc(ev, fl_cel_size(&range),
                            (node->loop == CEL_TRANSFORM_MAP ? 2 : 1) * sizeof *l.items);
        if (!l.items)
            return cel_fail(ev, "");
    }
    struct cel_walk w = { .of = &range };
    while (cel_walk_next(&w, &key, &value)) {
        /* One variable is the item of a list, but the key of a map. */
        bool is_pair = node->name2.p != NULL;
        const struct fl_cel_value *first = is_pair || range.kind == FL_CEL_MAP ? &key : &value;
        ev->locals[node->slot] = *first;
        if (is_pair)
            ev->locals[node->slot + 1] = value;
        if (!cel_charge(ev, 0))
            return cel_fail(ev, "");
        if (loop_item(ev, &l, &key, first, &result))
            return result;
    }
    return loop_result(&l);
}

struct fl_cel_value cel_eval(struct cel_ev *ev, const struct cel_node *node)
{
    if (ev->fatal || !cel_charge(ev, 0))
        return cel_fail(ev, "");
    switch (node->op) {
    case CEL_CONST: return node->value;
    case CEL_VAR: return ev->run->vars[node->slot];
    case CEL_LOCAL: return ev->locals[node->slot];
    case CEL_SELECT: return eval_select(ev, node);
    case CEL_CALL: return eval_call(ev, node);
    case CEL_LIST: return eval_list(ev, node);
    case CEL_MAP: return eval_map(ev, node);
    case CEL_AND: return eval_logic(ev, node, false);
    case CEL_OR: return eval_logic(ev, node, true);
    case CEL_COND: return eval_cond(ev, node);
    case CEL_LOOP: return eval_loop(ev, node);
    case CEL_BIND:
        ev->locals[node->slot] = cel_eval(ev, node->kids[0]);
        if (cel_is_error(&ev->locals[node->slot]))
            return ev->locals[node->slot];
        return cel_eval(ev, node->kids[1]);
    case CEL_FAIL: return cel_fail(ev, node->name.p);
    case CEL_IDENT: break;
    }
    FL_NEVER("a node that the resolver left");
}
