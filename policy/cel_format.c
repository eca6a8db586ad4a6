/* Text forms of values: format() and strings.quote().
 * Source: cel-spec, extension strings, "Format", "Quote". Called by the evaluator. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "flopinio/base/utf8.h"
#include "policy/cel_priv.h"

#define IMPL(name)                                                                                 \
    struct fl_cel_value cel_fn_##name(struct cel_ev *ev, const struct cel_node *node,              \
                                      const struct fl_cel_value *args)

enum { PRECISION_MAX = 100 };

/* What a clause could not do; NULL when it was written. Fatal ends are in ev. */
typedef const char *outcome;

static outcome put_text(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                        unsigned depth);

struct entry {
    struct fl_str key; /* as text */
    struct fl_cel_value value;
};

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = n ? memcmp(x->key.p, y->key.p, n) : 0;
    return order ? order : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

/* Entries in the order of their keys' texts, so that the form is the same for equal maps. */
static outcome put_map(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                       unsigned depth)
{
    size_t n = 0;
    struct entry *entries = cel_alloc(ev, fl_cel_size(v), sizeof *entries);
    struct cel_walk w = { .of = v };
    struct fl_cel_value key;
    if (!entries)
        return "";
    while (cel_walk_next(&w, &key, &entries[n].value)) {
        struct fl_buf text;
        cel_buf_init(ev, &text);
        outcome failed = put_text(ev, &text, &key, depth + 1);
        struct fl_cel_value shown = cel_take(ev, &text);
        if (failed || cel_is_error(&shown))
            return failed ? failed : "";
        entries[n++].key = shown.s;
    }
    if (n)
        qsort(entries, n, sizeof *entries, by_key);
    fl_buf_putc(out, '{');
    for (size_t i = 0; i < n; i++) {
        fl_buf_puts(out, i ? ", " : "");
        fl_buf_str(out, entries[i].key);
        fl_buf_puts(out, ": ");
        outcome failed = put_text(ev, out, &entries[i].value, depth + 1);
        if (failed)
            return failed;
    }
    fl_buf_putc(out, '}');
    return NULL;
}

static outcome put_list(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                        unsigned depth)
{
    size_t n = fl_cel_size(v);
    fl_buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        struct fl_cel_value item = fl_cel_item(v, i);
        fl_buf_puts(out, i ? ", " : "");
        outcome failed = put_text(ev, out, &item, depth + 1);
        if (failed)
            return failed;
    }
    fl_buf_putc(out, ']');
    return NULL;
}

/* %s */
static outcome put_text(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                        unsigned depth)
{
    if (out->is_failed && !out->is_over) {
        cel_fatal(ev, FL_NOMEM);
        return "";
    }
    if (depth > CEL_DEPTH_MAX || out->is_failed ||
        !cel_charge(ev, v->kind == FL_CEL_STRING || v->kind == FL_CEL_BYTES ? v->s.n : 0)) {
        cel_fatal(ev, FL_TOO_LARGE);
        return "";
    }
    switch (v->kind) {
    case FL_CEL_NULL: fl_buf_puts(out, "null"); return NULL;
    case FL_CEL_BOOL: fl_buf_puts(out, v->b ? "true" : "false"); return NULL;
    case FL_CEL_INT: fl_buf_i64(out, v->i); return NULL;
    case FL_CEL_UINT: fl_buf_u64(out, v->u); return NULL;
    case FL_CEL_DOUBLE: cel_put_double(out, v->d); return NULL;
    case FL_CEL_BYTES:
        if (!fl_utf8_is_valid(v->s))
            return "bytes that are not UTF-8 have no text form";
        fl_buf_str(out, v->s);
        return NULL;
    case FL_CEL_STRING: fl_buf_str(out, v->s); return NULL;
    case FL_CEL_TIMESTAMP: cel_put_timestamp(out, v); return NULL;
    case FL_CEL_DURATION: cel_put_duration(out, v->ns); return NULL;
    case FL_CEL_TYPE: fl_buf_puts(out, fl_cel_kind_name(v->type)); return NULL;
    case FL_CEL_LIST: return put_list(ev, out, v, depth);
    case FL_CEL_MAP: return put_map(ev, out, v, depth);
    default: return "an optional has no text form";
    }
}

/* An int, uint or bool as sign and size; false for other kinds. */
static bool integer(const struct fl_cel_value *v, bool *ret_negative, uint64_t *ret_size)
{
    *ret_negative = v->kind == FL_CEL_INT && v->i < 0;
    *ret_size = v->kind == FL_CEL_BOOL ? v->b : *ret_negative ? 0 - v->u : v->u;
    return v->kind == FL_CEL_INT || v->kind == FL_CEL_UINT || v->kind == FL_CEL_BOOL;
}

/* %d %b %o %x %X of a number */
static void put_based(struct fl_buf *out, bool is_negative, uint64_t size, unsigned base,
                      const char *digits)
{
    char text[65];
    size_t at = sizeof text;
    do {
        text[--at] = digits[size % base];
        size /= base;
    } while (size);
    if (is_negative)
        text[--at] = '-';
    fl_buf_put(out, text + at, sizeof text - at);
}

static outcome put_hex(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                       const char *digits)
{
    bool is_negative;
    uint64_t size;
    if (v->kind == FL_CEL_STRING || v->kind == FL_CEL_BYTES) {
        if (!cel_charge(ev, 2 * v->s.n))
            return "";
        for (size_t i = 0; i < v->s.n; i++) {
            fl_buf_putc(out, digits[(unsigned char)v->s.p[i] >> 4]);
            fl_buf_putc(out, digits[v->s.p[i] & 15]);
        }
        return NULL;
    }
    if (!integer(v, &is_negative, &size) || v->kind == FL_CEL_BOOL)
        return "only integers, bytes and strings have a hexadecimal form";
    put_based(out, is_negative, size, 16, digits);
    return NULL;
}

/* %f %e */
static outcome put_real(struct fl_buf *out, const struct fl_cel_value *v, char clause,
                        int precision)
{
    char text[512]; /* 309 digits, a point, PRECISION_MAX more */
    double d = v->kind == FL_CEL_DOUBLE ? v->d
               : v->kind == FL_CEL_INT  ? (double)v->i
                                        : (double)v->u;
    if (v->kind != FL_CEL_DOUBLE && v->kind != FL_CEL_INT && v->kind != FL_CEL_UINT)
        return "only numbers have a fixed-point or scientific form";
    if (!isfinite(d)) {
        cel_put_double(out, d);
        return NULL;
    }
    snprintf(text, sizeof text, clause == 'f' ? "%.*f" : "%.*e", precision, d);
    fl_buf_puts(out, text);
    return NULL;
}

static outcome put_clause(struct cel_ev *ev, struct fl_buf *out, const struct fl_cel_value *v,
                          char clause, int precision)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    bool is_negative;
    uint64_t size;
    bool is_integer = integer(v, &is_negative, &size);
    switch (clause) {
    case 's': return put_text(ev, out, v, 0);
    case 'x': return put_hex(ev, out, v, lower);
    case 'X': return put_hex(ev, out, v, upper);
    case 'f':
    case 'e': return put_real(out, v, clause, precision);
    case 'b':
        if (!is_integer)
            return "only integers and bools have a binary form";
        put_based(out, is_negative, size, 2, lower);
        return NULL;
    default: break;
    }
    if (clause == 'd' && v->kind == FL_CEL_DOUBLE && !isfinite(v->d)) {
        cel_put_double(out, v->d);
        return NULL;
    }
    if (!is_integer || v->kind == FL_CEL_BOOL)
        return clause == 'd' ? "only integers have a decimal form"
                             : "only integers have an octal form";
    put_based(out, is_negative, size, clause == 'd' ? 10 : 8, lower);
    return NULL;
}

/* Behind a '%': ".3" if it is there. -1: none; -2: not a number that is allowed. */
static int read_precision(struct fl_str s, size_t *at)
{
    int precision = 0;
    if (*at >= s.n || s.p[*at] != '.')
        return -1;
    size_t from = ++*at;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9' && precision <= PRECISION_MAX; (*at)++)
        precision = precision * 10 + (s.p[*at] - '0');
    return *at == from || precision > PRECISION_MAX ? -2 : precision;
}

IMPL(format)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s;
    struct fl_buf out;
    size_t used = 0, n = fl_cel_size(&args[1]);
    outcome failed = NULL;
    cel_buf_init(ev, &out);
    for (size_t at = 0; at < s.n && !failed && cel_charge(ev, 0);) {
        char c = s.p[at++];
        if (c != '%') {
            fl_buf_putc(&out, c);
            continue;
        }
        if (at < s.n && s.p[at] == '%') {
            fl_buf_putc(&out, s.p[at++]);
            continue;
        }
        int precision = read_precision(s, &at);
        char clause = at < s.n ? s.p[at++] : 0;
        if (!clause || !strchr("sdxXfebo", clause) || precision == -2 ||
            (precision >= 0 && clause != 'f' && clause != 'e')) {
            failed = "unrecognized formatting clause";
        } else if (used >= n) {
            failed = "index out of range: more clauses than values";
        } else {
            struct fl_cel_value v = fl_cel_item(&args[1], used++);
            failed = put_clause(ev, &out, &v, clause, precision < 0 ? 6 : precision);
        }
    }
    if (failed || ev->fatal) {
        fl_buf_fini(&out);
        return failed ? cel_failf(ev, "format(): %s", failed) : cel_fail(ev, "");
    }
    return cel_take(ev, &out);
}

IMPL(quote)
{
    FL_UNUSED(node);
    static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
    struct fl_str s = args[0].s;
    struct fl_buf out;
    if (!cel_charge(ev, s.n))
        return cel_fail(ev, "");
    cel_buf_init(ev, &out);
    fl_buf_putc(&out, '"');
    for (size_t i = 0; i < s.n; i++) {
        const char *at = s.p[i] ? strchr(from, s.p[i]) : NULL;
        if (at)
            fl_buf_putc(&out, '\\');
        fl_buf_putc(&out, at ? to[at - from] : s.p[i]);
    }
    fl_buf_putc(&out, '"');
    return cel_take(ev, &out);
}
