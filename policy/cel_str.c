/* Functions on texts. Positions count code points.
 * Source: cel-spec, Language Definition, "List of Standard Definitions"; extension strings.
 * Called by the evaluator. */
#include "flopinio/base/utf8.h"
#include "policy/cel_priv.h"

#define IMPL(name)                                                                                 \
    struct fl_cel_value cel_fn_##name(struct cel_ev *ev, const struct cel_node *node,              \
                                      const struct fl_cel_value *args)

/* The first place at or behind `from` (bytes) where `what` stands; SIZE_MAX if there is none. */
static size_t find(struct fl_str in, struct fl_str what, size_t from)
{
    if (what.n == 0)
        return from <= in.n ? from : SIZE_MAX;
    if (from >= in.n)
        return SIZE_MAX;
    const char *at = memmem(in.p + from, in.n - from, what.p, what.n);
    return at ? (size_t)(at - in.p) : SIZE_MAX;
}

/* Byte position of a code point; SIZE_MAX when the text is shorter. Its end has one too. */
static size_t byte_of(struct fl_str s, int64_t point)
{
    size_t at = 0;
    for (int64_t i = 0; i < point; i++) {
        if (fl_utf8_next(s, &at) < 0)
            return SIZE_MAX;
    }
    return point < 0 ? SIZE_MAX : at;
}

static int64_t point_of(struct fl_str s, size_t byte)
{
    return (int64_t)fl_utf8_count((struct fl_str){ s.p, byte });
}

static struct fl_cel_value part(struct fl_str s, size_t from, size_t to)
{
    return fl_cel_str((struct fl_str){ s.p + from, to - from });
}

static struct fl_cel_value out_of_range(struct cel_ev *ev)
{
    return cel_fail(ev, "index out of range");
}

/* Searching may look at each byte for each byte in the worst case that memmem allows. */
static bool charge_search(struct cel_ev *ev, const struct fl_cel_value *args)
{
    return cel_charge(ev, args[0].s.n + args[1].s.n);
}

IMPL(contains)
{
    FL_UNUSED(node);
    if (!charge_search(ev, args))
        return cel_fail(ev, "");
    return fl_cel_bool(find(args[0].s, args[1].s, 0) != SIZE_MAX);
}

IMPL(starts)
{
    FL_UNUSED(node);
    if (!cel_charge(ev, args[1].s.n))
        return cel_fail(ev, "");
    return fl_cel_bool(fl_str_has_prefix(args[0].s, args[1].s));
}

IMPL(ends)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s, end = args[1].s;
    if (!cel_charge(ev, end.n))
        return cel_fail(ev, "");
    if (s.n < end.n)
        return fl_cel_bool(false);
    return fl_cel_bool(fl_str_eq((struct fl_str){ s.p + (s.n - end.n), end.n }, end));
}

IMPL(matches)
{
    return fl_cel_bool(cel_regex_find(ev, node->regex, args[0].s) == 1);
}

IMPL(char_at)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s;
    size_t from = cel_charge(ev, s.n) ? byte_of(s, args[1].i) : SIZE_MAX;
    if (from == SIZE_MAX)
        return out_of_range(ev);
    size_t to = from;
    fl_utf8_next(s, &to);
    return part(s, from, to);
}

IMPL(index_of)
{
    struct fl_str s = args[0].s;
    size_t from = 0;
    if (!charge_search(ev, args))
        return cel_fail(ev, "");
    if (node->kid_count == 3) {
        from = byte_of(s, args[2].i);
        if (from == SIZE_MAX)
            return out_of_range(ev);
    }
    size_t at = find(s, args[1].s, from);
    return fl_cel_int(at == SIZE_MAX ? -1 : point_of(s, at));
}

IMPL(last_index_of)
{
    struct fl_str s = args[0].s, what = args[1].s;
    size_t last = s.n; /* the last byte at which it may start */
    if (!charge_search(ev, args))
        return cel_fail(ev, "");
    if (node->kid_count == 3) {
        last = byte_of(s, args[2].i);
        if (last == SIZE_MAX)
            return out_of_range(ev);
    }
    if (what.n > s.n)
        return fl_cel_int(-1);
    if (last > s.n - what.n)
        last = s.n - what.n;
    for (size_t at = last + 1; at-- > 0;) {
        if ((s.n - at) % 64 == 0 && !cel_charge(ev, what.n))
            return cel_fail(ev, "");
        if (fl_str_eq((struct fl_str){ s.p + at, what.n }, what))
            return fl_cel_int(point_of(s, at));
    }
    return fl_cel_int(-1);
}

/* param: the first letter of the case that is changed. */
IMPL(ascii_case)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s;
    char *p = cel_alloc(ev, s.n, 1);
    for (size_t i = 0; p && i < s.n; i++) {
        bool is_changed = s.p[i] >= ev->fn->param && s.p[i] <= ev->fn->param + 25;
        p[i] = is_changed ? (char)(s.p[i] ^ 0x20) : s.p[i];
    }
    return p ? fl_cel_str((struct fl_str){ p, s.n }) : cel_fail(ev, "");
}

/* Replaces at most args[3] times; negative: all. An empty text is found before each code point and
 * at the end. */
IMPL(replace)
{
    struct fl_str s = args[0].s, what = args[1].s, with = args[2].s;
    int64_t left = node->kid_count == 4 ? args[3].i : -1;
    struct fl_buf out;
    cel_buf_init(ev, &out);
    size_t at = 0;
    while (left != 0 && !out.is_failed) {
        size_t found = find(s, what, at);
        if (found == SIZE_MAX || !cel_charge(ev, with.n))
            break;
        fl_buf_put(&out, s.p + at, found - at);
        fl_buf_str(&out, with);
        at = found + what.n;
        if (left > 0)
            left--;
        if (what.n > 0)
            continue;
        if (at == s.n)
            break;
        fl_utf8_next(s, &at);
        fl_buf_put(&out, s.p + found, at - found);
    }
    fl_buf_put(&out, s.p ? s.p + at : "", s.n - at);
    return cel_take(ev, &out);
}

/* At most args[2] parts; negative: all. An empty separator parts the code points. */
IMPL(split)
{
    struct fl_str s = args[0].s, by = args[1].s;
    int64_t limit = node->kid_count == 3 ? args[2].i : -1;
    if (limit == 0)
        return fl_cel_list(NULL, 0);
    size_t most = s.n + 1;
    if (limit > 0 && (uint64_t)limit < most)
        most = (size_t)limit;
    size_t count = 1, at = 0;
    for (size_t found; count < most && (found = find(s, by, at + (by.n == 0))) != SIZE_MAX; count++)
        at = found + by.n; /* counts bytes for an empty separator: an upper bound */
    struct fl_cel_value *items = cel_alloc(ev, count, sizeof *items);
    if (!items || !cel_charge(ev, s.n))
        return cel_fail(ev, "");
    size_t n = 0;
    for (at = 0; n + 1 < most;) {
        size_t from = at;
        if (by.n == 0 && fl_utf8_next(s, &from) < 0)
            break;
        size_t found = by.n ? find(s, by, at) : from;
        if (found == SIZE_MAX || (by.n == 0 && found == s.n))
            break;
        items[n++] = part(s, at, found);
        at = found + by.n;
    }
    if (by.n || s.n)
        items[n++] = part(s, at, s.n);
    return fl_cel_list(items, n);
}

IMPL(substring)
{
    struct fl_str s = args[0].s;
    if (!cel_charge(ev, s.n))
        return cel_fail(ev, "");
    size_t from = byte_of(s, args[1].i), to = node->kid_count == 3 ? byte_of(s, args[2].i) : s.n;
    if (from == SIZE_MAX || to == SIZE_MAX)
        return out_of_range(ev);
    return from <= to ? part(s, from, to)
                      : cel_fail(ev, "substring() range error: it ends before it starts");
}

static bool is_white(int32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == ' ' || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

IMPL(trim)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s;
    size_t from = s.n, to = 0;
    if (!cel_charge(ev, s.n))
        return cel_fail(ev, "");
    for (size_t at = 0; at < s.n;) {
        size_t before = at;
        if (is_white(fl_utf8_next(s, &at)))
            continue;
        if (from == s.n)
            from = before;
        to = at;
    }
    return from < to ? part(s, from, to) : fl_cel_str(FL_STR(""));
}

IMPL(join)
{
    struct fl_str by = node->kid_count == 2 ? args[1].s : FL_STR("");
    struct fl_buf out;
    cel_buf_init(ev, &out);
    size_t n = fl_cel_size(&args[0]);
    for (size_t i = 0; i < n && !out.is_failed && cel_charge(ev, by.n); i++) {
        struct fl_cel_value item = fl_cel_item(&args[0], i);
        if (item.kind != FL_CEL_STRING) {
            fl_buf_fini(&out);
            return cel_fail(ev,
                            "no such overload: join() of a list with other values than strings");
        }
        if (i)
            fl_buf_str(&out, by);
        fl_buf_str(&out, item.s);
    }
    return cel_take(ev, &out); /* out of steps is fatal, and seen by the caller */
}

IMPL(reverse)
{
    FL_UNUSED(node);
    struct fl_str s = args[0].s;
    char *p = cel_alloc(ev, s.n, 1);
    for (size_t at = 0; p && at < s.n;) {
        size_t before = at;
        fl_utf8_next(s, &at);
        memcpy(p + s.n - at, s.p + before, at - before);
    }
    return p ? fl_cel_str((struct fl_str){ p, s.n }) : cel_fail(ev, "");
}
