/* Operators, comparisons and conversions of numbers, and what works on any value (==, in, size,
 * type). Overflow is an error, never a wrap.
 * Source: cel-spec, Language Definition, "Numbers", "Equality and Ordering", "List of Standard
 * Definitions". Called by the evaluator through the function table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/utf8.h"
#include "policy/cel_priv.h"

#define IMPL(name)                                                                                 \
    struct fl_cel_value cel_fn_##name(struct cel_ev *ev, const struct cel_node *node,              \
                                      const struct fl_cel_value *args)

static struct fl_cel_value from_uint(uint64_t u)
{
    return (struct fl_cel_value){ .kind = FL_CEL_UINT, .u = u };
}

static struct fl_cel_value from_double(double d)
{
    return (struct fl_cel_value){ .kind = FL_CEL_DOUBLE, .d = d };
}

IMPL(not )
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return fl_cel_bool(!args[0].b);
}

IMPL(negate)
{
    FL_UNUSED(node);
    if (args[0].kind == FL_CEL_DOUBLE)
        return from_double(-args[0].d);
    return args[0].i == INT64_MIN ? cel_fail(ev, "int overflow") : fl_cel_int(-args[0].i);
}

IMPL(arith_int)
{
    FL_UNUSED(node);
    int64_t a = args[0].i, b = args[1].i, r = 0;
    bool is_over = false;
    switch (ev->fn->param) {
    case '+': is_over = __builtin_add_overflow(a, b, &r); break;
    case '-': is_over = __builtin_sub_overflow(a, b, &r); break;
    case '*': is_over = __builtin_mul_overflow(a, b, &r); break;
    default:
        if (b == 0)
            return cel_fail(ev, ev->fn->param == '/' ? "divide by zero" : "modulus by zero");
        if (a == INT64_MIN && b == -1)
            is_over = true;
        else
            r = ev->fn->param == '/' ? a / b : a % b;
    }
    return is_over ? cel_fail(ev, "int overflow") : fl_cel_int(r);
}

IMPL(arith_uint)
{
    FL_UNUSED(node);
    uint64_t a = args[0].u, b = args[1].u, r = 0;
    bool is_over = false;
    switch (ev->fn->param) {
    case '+': is_over = __builtin_add_overflow(a, b, &r); break;
    case '-': is_over = __builtin_sub_overflow(a, b, &r); break;
    case '*': is_over = __builtin_mul_overflow(a, b, &r); break;
    default:
        if (b == 0)
            return cel_fail(ev, ev->fn->param == '/' ? "divide by zero" : "modulus by zero");
        r = ev->fn->param == '/' ? a / b : a % b;
    }
    return is_over ? cel_fail(ev, "uint overflow") : from_uint(r);
}

IMPL(arith_double)
{
    FL_UNUSED(node);
    double a = args[0].d, b = args[1].d;
    switch (ev->fn->param) {
    case '+': return from_double(a + b);
    case '-': return from_double(a - b);
    case '*': return from_double(a * b);
    default: return from_double(a / b); /* IEEE 754: a division by zero is infinite or NaN */
    }
}

IMPL(concat_text)
{
    FL_UNUSED(node);
    struct fl_str a = args[0].s, b = args[1].s;
    if (a.n == 0 || b.n == 0)
        return a.n ? args[0] : args[1];
    char *p = cel_alloc(ev, a.n + b.n, 1);
    if (!p)
        return cel_fail(ev, "");
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    return (struct fl_cel_value){ .kind = args[0].kind, .s = { p, a.n + b.n } };
}

IMPL(concat_list)
{
    FL_UNUSED(node);
    size_t n = fl_cel_size(&args[0]), total = n + fl_cel_size(&args[1]);
    struct fl_cel_value *items = cel_alloc(ev, total, sizeof *items);
    for (size_t i = 0; items && i < total; i++)
        items[i] = i < n ? fl_cel_item(&args[0], i) : fl_cel_item(&args[1], i - n);
    return items ? fl_cel_list(items, total) : cel_fail(ev, "");
}

/* ---- any value ---- */
IMPL(equal)
{
    FL_UNUSED(node);
    int is_equal = cel_equal(ev, &args[0], &args[1], 0);
    return fl_cel_bool((is_equal == 1) == (ev->fn->param != 0)); /* fatal: the caller looks */
}

IMPL(order)
{
    FL_UNUSED(node);
    int order = 0;
    bool is_text = args[0].kind == FL_CEL_STRING || args[0].kind == FL_CEL_BYTES;
    if (is_text && !cel_charge(ev, args[0].s.n))
        return cel_fail(ev, "");
    if (!cel_compare(&args[0], &args[1], &order))
        return fl_cel_bool(false);
    switch (ev->fn->param) {
    case '<': return fl_cel_bool(order < 0);
    case 'l': return fl_cel_bool(order <= 0);
    case '>': return fl_cel_bool(order > 0);
    default: return fl_cel_bool(order >= 0);
    }
}

IMPL(in_list)
{
    FL_UNUSED(node);
    size_t n = fl_cel_size(&args[1]);
    for (size_t i = 0; i < n; i++) {
        struct fl_cel_value item = fl_cel_item(&args[1], i);
        int is_equal = cel_equal(ev, &args[0], &item, 0);
        if (is_equal)
            return fl_cel_bool(is_equal == 1);
    }
    return fl_cel_bool(false);
}

IMPL(in_map)
{
    FL_UNUSED(node);
    struct fl_cel_value found;
    return fl_cel_bool(cel_map_get(ev, &args[1], &args[0], &found));
}

/* The position that a number names; false if it is not one. */
static bool index_of(const struct fl_cel_value *v, size_t n, size_t *ret)
{
    struct fl_cel_value zero = fl_cel_int(0), end = from_uint(n);
    int order;
    if (!cel_compare(v, &zero, &order) || order < 0 || !cel_compare(v, &end, &order) || order >= 0)
        return false;
    if (v->kind == FL_CEL_DOUBLE && v->d != trunc(v->d))
        return false;
    *ret = v->kind == FL_CEL_DOUBLE ? (size_t)v->d : (size_t)v->u;
    return true;
}

/* a[b] and a[?b]; an optional a, or the '?', makes an optional of what is there. */
IMPL(index)
{
    struct fl_cel_value of = args[0], found, none = { .kind = FL_CEL_OPTIONAL };
    bool is_optional = ev->fn->param || of.kind == FL_CEL_OPTIONAL, is_there = false;
    if (of.kind == FL_CEL_OPTIONAL) {
        if (!of.some)
            return none;
        of = *of.some;
    }
    size_t at;
    if (of.kind == FL_CEL_LIST) {
        is_there = index_of(&args[1], fl_cel_size(&of), &at);
        if (is_there)
            found = fl_cel_item(&of, at);
    } else {
        is_there = cel_map_get(ev, &of, &args[1], &found);
    }
    if (ev->fatal)
        return cel_fail(ev, "");
    if (is_there)
        return is_optional ? cel_fn_opt_of(ev, node, &found) : found;
    if (is_optional)
        return none;
    return cel_fail(ev,
                    of.kind == FL_CEL_LIST ? "no such index (invalid_argument)" : "no such key");
}

IMPL(size)
{
    FL_UNUSED(node);
    switch (args[0].kind) {
    case FL_CEL_STRING:
        return cel_charge(ev, args[0].s.n) ? fl_cel_int((int64_t)fl_utf8_count(args[0].s))
                                           : cel_fail(ev, "");
    case FL_CEL_BYTES: return fl_cel_int((int64_t)args[0].s.n);
    default: return fl_cel_int((int64_t)fl_cel_size(&args[0]));
    }
}

IMPL(identity)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return args[0];
}

IMPL(type)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return (struct fl_cel_value){ .kind = FL_CEL_TYPE, .type = args[0].kind };
}

/* ---- conversions ---- */
IMPL(to_int)
{
    FL_UNUSED(node);
    long long i;
    switch (args[0].kind) {
    case FL_CEL_UINT:
        return args[0].u > INT64_MAX ? cel_fail(ev, "int range error")
                                     : fl_cel_int((int64_t)args[0].u);
    case FL_CEL_DOUBLE: /* the ends themselves stand for numbers that do not fit */
        if (!(args[0].d > -9223372036854775808.0 && args[0].d < 9223372036854775808.0))
            return cel_fail(ev, "int range error");
        return fl_cel_int((int64_t)args[0].d);
    case FL_CEL_TIMESTAMP: return fl_cel_int(args[0].at.s);
    default: break;
    }
    if (!cel_charge(ev, args[0].s.n))
        return cel_fail(ev, "");
    return fl_str_to_i64(args[0].s, &i) ? fl_cel_int(i) : cel_fail(ev, "int() of no such number");
}

IMPL(to_uint)
{
    FL_UNUSED(node);
    unsigned long long u;
    switch (args[0].kind) {
    case FL_CEL_INT:
        return args[0].i < 0 ? cel_fail(ev, "uint range error") : from_uint((uint64_t)args[0].i);
    case FL_CEL_DOUBLE:
        if (!(args[0].d >= 0 && args[0].d < 18446744073709551616.0))
            return cel_fail(ev, "uint range error");
        return from_uint((uint64_t)args[0].d);
    default: break;
    }
    if (!cel_charge(ev, args[0].s.n))
        return cel_fail(ev, "");
    return fl_str_to_u64(args[0].s, &u) ? from_uint(u) : cel_fail(ev, "uint() of no such number");
}

/* Digits, a point, an exponent; or one of the three names. No hexadecimal, no blanks. */
static bool parse_double(struct fl_str s, double *ret)
{
    char text[64];
    static const char *const names[] = { "NaN", "Infinity", "-Infinity", "+Infinity", "inf" };
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    bool is_name = false;
    for (size_t i = 0; i < FL_COUNTOF(names); i++)
        is_name |= strcmp(text, names[i]) == 0;
    if (!is_name && (strlen(text) != s.n || strspn(text, "0123456789+-.eE") != s.n))
        return false;
    char *end;
    *ret = strtod(text, &end);
    return *end == 0 && (is_name || isfinite(*ret));
}

IMPL(to_double)
{
    FL_UNUSED(node);
    double d;
    if (args[0].kind == FL_CEL_INT)
        return from_double((double)args[0].i);
    if (args[0].kind == FL_CEL_UINT)
        return from_double((double)args[0].u);
    return parse_double(args[0].s, &d) ? from_double(d)
                                       : cel_fail(ev, "double() of no such number");
}

void cel_put_double(struct fl_buf *out, double d)
{
    char text[32];
    if (isnan(d))
        fl_buf_puts(out, "NaN");
    else if (isinf(d))
        fl_buf_puts(out, d < 0 ? "-Infinity" : "Infinity");
    else
        fl_buf_puts(out, d == 0 && signbit(d) ? "-0" : fl_jcs_number(d, text));
}

IMPL(to_string)
{
    FL_UNUSED(node);
    struct fl_buf out;
    cel_buf_init(ev, &out);
    switch (args[0].kind) {
    case FL_CEL_BOOL: fl_buf_puts(&out, args[0].b ? "true" : "false"); break;
    case FL_CEL_INT: fl_buf_i64(&out, args[0].i); break;
    case FL_CEL_UINT: fl_buf_u64(&out, args[0].u); break;
    case FL_CEL_DOUBLE: cel_put_double(&out, args[0].d); break;
    case FL_CEL_TIMESTAMP: cel_put_timestamp(&out, &args[0]); break;
    case FL_CEL_DURATION: cel_put_duration(&out, args[0].ns); break;
    default:
        FL_ASSERT(args[0].kind == FL_CEL_BYTES);
        if (!cel_charge(ev, args[0].s.n))
            return cel_fail(ev, "");
        return fl_utf8_is_valid(args[0].s) ? fl_cel_str(args[0].s)
                                           : cel_fail(ev, "string() of invalid UTF-8");
    }
    return cel_take(ev, &out);
}

IMPL(to_bytes)
{
    FL_UNUSED(ev);
    FL_UNUSED(node);
    return (struct fl_cel_value){ .kind = FL_CEL_BYTES, .s = args[0].s };
}

IMPL(to_bool)
{
    FL_UNUSED(node);
    static const char *const words[] = { "1", "t", "true",  "TRUE",  "True",
                                         "0", "f", "false", "FALSE", "False" };
    for (size_t i = 0; i < FL_COUNTOF(words); i++) {
        if (fl_str_is(args[0].s, words[i]))
            return fl_cel_bool(i < FL_COUNTOF(words) / 2);
    }
    return cel_fail(ev, "bool() of another text (type conversion error)");
}
