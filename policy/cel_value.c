/* Values: lists and maps in either form (made here, or a tree read in place), equality, order.
 * Called by the evaluator and the functions; fl_cel_* also by whoever reads a result. */
#include <math.h>

#include "policy/cel_priv.h"

struct fl_cel_value fl_cel_time_ms(int64_t at_utc_ms)
{
    struct fl_cel_value v = { .kind = FL_CEL_TIMESTAMP };
    int64_t rest = at_utc_ms % 1000;
    v.at.s = at_utc_ms / 1000 - (rest < 0);
    v.at.ns = (int32_t)(rest < 0 ? rest + 1000 : rest) * 1000000;
    return v;
}

struct fl_cel_value fl_cel_json(const json_t *tree)
{
    struct fl_cel_value v = { .kind = FL_CEL_NULL };
    switch (json_typeof(tree)) {
    case JSON_OBJECT: v.kind = FL_CEL_MAP; break;
    case JSON_ARRAY: v.kind = FL_CEL_LIST; break;
    case JSON_STRING:
        return fl_cel_str((struct fl_str){ json_string_value(tree), json_string_length(tree) });
    case JSON_INTEGER: return fl_cel_int(json_integer_value(tree));
    case JSON_REAL:
        v.kind = FL_CEL_DOUBLE;
        v.d = json_real_value(tree);
        return v;
    case JSON_TRUE: return fl_cel_bool(true);
    case JSON_FALSE: return fl_cel_bool(false);
    case JSON_NULL: return v;
    }
    v.is_json = true;
    v.json = tree;
    return v;
}

size_t fl_cel_size(const struct fl_cel_value *seq)
{
    FL_ASSERT(seq->kind == FL_CEL_LIST || seq->kind == FL_CEL_MAP);
    if (!seq->is_json)
        return seq->seq.n;
    return seq->kind == FL_CEL_LIST ? json_array_size(seq->json) : json_object_size(seq->json);
}

struct fl_cel_value fl_cel_item(const struct fl_cel_value *list, size_t at)
{
    FL_ASSERT(list->kind == FL_CEL_LIST && at < fl_cel_size(list));
    return list->is_json ? fl_cel_json(json_array_get(list->json, at)) : list->seq.items[at];
}

bool cel_walk_next(struct cel_walk *w, struct fl_cel_value *ret_key, struct fl_cel_value *ret_value)
{
    if (w->at >= fl_cel_size(w->of))
        return false;
    size_t at = w->at++;
    if (w->of->kind == FL_CEL_LIST) {
        *ret_key = fl_cel_int((int64_t)at);
        *ret_value = fl_cel_item(w->of, at);
    } else if (!w->of->is_json) {
        *ret_key = w->of->seq.items[2 * at];
        *ret_value = w->of->seq.items[2 * at + 1];
    } else {
        json_t *object =
            (json_t *)w->of->json; /* jansson's iterators are not const; nothing is set */
        w->iter = at ? json_object_iter_next(object, w->iter) : json_object_iter(object);
        FL_ASSERT(w->iter);
        *ret_key = fl_cel_str(
            (struct fl_str){ json_object_iter_key(w->iter), json_object_iter_key_len(w->iter) });
        *ret_value = fl_cel_json(json_object_iter_value(w->iter));
    }
    return true;
}

void fl_cel_entry(const struct fl_cel_value *map, size_t at, struct fl_cel_value *ret_key,
                  struct fl_cel_value *ret_value)
{
    FL_ASSERT(map->kind == FL_CEL_MAP && at < fl_cel_size(map));
    struct cel_walk w = { .of = map };
    for (size_t i = 0; i <= at; i++)
        FL_ASSERT(cel_walk_next(&w, ret_key, ret_value));
}

bool cel_is_key(const struct fl_cel_value *key)
{
    return key->kind == FL_CEL_STRING || key->kind == FL_CEL_INT || key->kind == FL_CEL_UINT ||
           key->kind == FL_CEL_BOOL;
}

bool cel_map_get(struct cel_ev *ev, const struct fl_cel_value *map, const struct fl_cel_value *key,
                 struct fl_cel_value *ret)
{
    if (key->kind == FL_CEL_STRING && ev && !cel_charge(ev, key->s.n))
        return false;
    if (map->is_json) {
        const json_t *found = key->kind == FL_CEL_STRING
                                  ? json_object_getn(map->json, key->s.p ? key->s.p : "", key->s.n)
                                  : NULL;
        if (found)
            *ret = fl_cel_json(found);
        return found != NULL;
    }
    if (!cel_is_key(key) && key->kind != FL_CEL_DOUBLE)
        return false;
    for (size_t i = 0; i < map->seq.n; i++) {
        int is_equal = cel_equal(ev, &map->seq.items[2 * i], key, 0);
        if (is_equal < 0)
            return false;
        if (is_equal) {
            *ret = map->seq.items[2 * i + 1];
            return true;
        }
    }
    return false;
}

/* ---- order ---- */
static bool is_number(const struct fl_cel_value *v)
{
    return v->kind == FL_CEL_INT || v->kind == FL_CEL_UINT || v->kind == FL_CEL_DOUBLE;
}

/* An integer as sign and size, so that int and uint share one line. */
static int compare_integers(const struct fl_cel_value *a, const struct fl_cel_value *b)
{
    bool a_negative = a->kind == FL_CEL_INT && a->i < 0;
    bool b_negative = b->kind == FL_CEL_INT && b->i < 0;
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    /* Same sign: two's complement orders negatives as it orders their bits. */
    return a->u < b->u ? -1 : a->u > b->u;
}

/* A double against an integer, which becomes a double unless the double is out of its range: so
 * the reference implementation and the published cases have it. NaN is the caller's. */
static int compare_double_integer(double d, const struct fl_cel_value *b)
{
    bool is_int = b->kind == FL_CEL_INT;
    double integer = is_int ? (double)b->i : (double)b->u;
    return d < integer ? -1 : d > integer;
}

static bool compare_numbers(const struct fl_cel_value *a, const struct fl_cel_value *b, int *ret)
{
    bool a_real = a->kind == FL_CEL_DOUBLE, b_real = b->kind == FL_CEL_DOUBLE;
    if ((a_real && isnan(a->d)) || (b_real && isnan(b->d)))
        return false;
    if (a_real && b_real)
        *ret = a->d < b->d ? -1 : a->d > b->d;
    else if (a_real)
        *ret = compare_double_integer(a->d, b);
    else if (b_real)
        *ret = -compare_double_integer(b->d, a);
    else
        *ret = compare_integers(a, b);
    return true;
}

static int compare_texts(struct fl_str a, struct fl_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0; /* UTF-8 orders as its code points do */
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

bool cel_compare(const struct fl_cel_value *a, const struct fl_cel_value *b, int *ret)
{
    if (is_number(a) && is_number(b))
        return compare_numbers(a, b, ret);
    FL_ASSERT(a->kind == b->kind);
    switch (a->kind) {
    case FL_CEL_BOOL: *ret = (int)a->b - (int)b->b; return true;
    case FL_CEL_STRING:
    case FL_CEL_BYTES: *ret = compare_texts(a->s, b->s); return true;
    case FL_CEL_TIMESTAMP:
        *ret = a->at.s != b->at.s ? (a->at.s < b->at.s ? -1 : 1)
                                  : (a->at.ns < b->at.ns ? -1 : a->at.ns > b->at.ns);
        return true;
    case FL_CEL_DURATION: *ret = a->ns < b->ns ? -1 : a->ns > b->ns; return true;
    default: break;
    }
    FL_NEVER("kinds that have an order");
}

/* ---- equality ---- */
static int equal_lists(struct cel_ev *ev, const struct fl_cel_value *a,
                       const struct fl_cel_value *b, unsigned depth)
{
    size_t n = fl_cel_size(a);
    if (n != fl_cel_size(b))
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct fl_cel_value x = fl_cel_item(a, i), y = fl_cel_item(b, i);
        int is_equal = cel_equal(ev, &x, &y, depth + 1);
        if (is_equal != 1)
            return is_equal;
    }
    return 1;
}

static int equal_maps(struct cel_ev *ev, const struct fl_cel_value *a, const struct fl_cel_value *b,
                      unsigned depth)
{
    struct cel_walk w = { .of = a };
    struct fl_cel_value key, x, y;
    if (fl_cel_size(a) != fl_cel_size(b))
        return 0;
    while (cel_walk_next(&w, &key, &x)) {
        if (!cel_map_get(ev, b, &key, &y))
            return ev && ev->fatal ? -1 : 0;
        int is_equal = cel_equal(ev, &x, &y, depth + 1);
        if (is_equal != 1)
            return is_equal;
    }
    return 1;
}

int cel_equal(struct cel_ev *ev, const struct fl_cel_value *a, const struct fl_cel_value *b,
              unsigned depth)
{
    int order;
    if (ev && (!cel_charge(ev, 0) || depth > CEL_DEPTH_MAX)) {
        cel_fatal(ev, FL_TOO_LARGE);
        return -1;
    }
    if (is_number(a) && is_number(b))
        return compare_numbers(a, b, &order) && order == 0;
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case FL_CEL_NULL: return 1;
    case FL_CEL_TYPE: return a->type == b->type;
    case FL_CEL_LIST: return equal_lists(ev, a, b, depth);
    case FL_CEL_MAP: return equal_maps(ev, a, b, depth);
    case FL_CEL_OPTIONAL:
        if (!a->some || !b->some)
            return !a->some && !b->some;
        return cel_equal(ev, a->some, b->some, depth + 1);
    case FL_CEL_STRING:
    case FL_CEL_BYTES:
        if (ev && !cel_charge(ev, a->s.n))
            return -1;
        return fl_str_eq(a->s, b->s);
    default: return cel_compare(a, b, &order) && order == 0;
    }
}

bool fl_cel_equal(const struct fl_cel_value *a, const struct fl_cel_value *b)
{
    return cel_equal(NULL, a, b, 0) == 1;
}
