/* Timestamps and durations: texts, arithmetic within their ranges, parts in a time zone.
 * Source: cel-spec, Language Definition, "Timestamps and Durations"; RFC 3339. Durations are 64 bit
 * nanoseconds, as in the reference implementation. Called by the evaluator. */
#include <stdio.h>
#include <time.h>

#include "policy/cel_priv.h"

#define IMPL(name)                                                                                 \
    struct fl_cel_value cel_fn_##name(struct cel_ev *ev, const struct cel_node *node,              \
                                      const struct fl_cel_value *args)

#define SECOND_NS  INT64_C(1000000000)
#define FIRST_S    INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define LAST_S     INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define RANGE_TEXT "timestamp range error: years 1 to 9999"

static struct fl_cel_value from_duration(int64_t ns)
{
    return (struct fl_cel_value){ .kind = FL_CEL_DURATION, .ns = ns };
}

static struct fl_cel_value from_time(struct cel_ev *ev, int64_t s, int64_t ns)
{
    if (s < FIRST_S || s > LAST_S)
        return cel_fail(ev, RANGE_TEXT);
    return (struct fl_cel_value){ .kind = FL_CEL_TIMESTAMP, .at = { s, (int32_t)ns } };
}

/* ---- texts ---- */
struct reader {
    struct fl_str s;
    size_t at;
};

/* Exactly `count` digits; -1 on anything else. */
static int digits(struct reader *r, unsigned count)
{
    int value = 0;
    for (unsigned i = 0; i < count; i++, r->at++) {
        if (r->at >= r->s.n || r->s.p[r->at] < '0' || r->s.p[r->at] > '9')
            return -1;
        value = value * 10 + (r->s.p[r->at] - '0');
    }
    return value;
}

static bool take(struct reader *r, char c)
{
    if (r->at >= r->s.n || r->s.p[r->at] != c)
        return false;
    r->at++;
    return true;
}

/* Up to nine digits of a fraction, more are cut, as nanoseconds; -1 if there is none. */
static int64_t fraction(struct reader *r)
{
    int64_t ns = 0, scale = SECOND_NS;
    size_t from = r->at;
    for (; r->at < r->s.n && r->s.p[r->at] >= '0' && r->s.p[r->at] <= '9'; r->at++) {
        scale /= 10;
        ns += scale * (r->s.p[r->at] - '0');
    }
    return r->at > from ? ns : -1;
}

/* "+01:30" or "-02:30"; the sign may be missing if `is_sign_optional`. */
static bool read_offset(struct reader *r, bool is_sign_optional, int32_t *ret_s)
{
    bool is_west = take(r, '-');
    if (!is_west && !take(r, '+') && !is_sign_optional)
        return false;
    int hours = digits(r, 2);
    if (hours < 0 || hours > 23 || !take(r, ':'))
        return false;
    int minutes = digits(r, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret_s = (hours * 60 + minutes) * (is_west ? -60 : 60);
    return true;
}

bool cel_zone_fixed(struct fl_str name, int32_t *ret_offset_s)
{
    struct reader r = { name, 0 };
    *ret_offset_s = 0;
    return name.n == 0 || fl_str_is(name, "UTC") ||
           (read_offset(&r, true, ret_offset_s) && r.at == name.n);
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* RFC 3339 section 5.6, in upper case; leap seconds have no number here. */
static bool parse_timestamp(struct fl_str s, int64_t *ret_s, int64_t *ret_ns)
{
    struct reader r = { s, 0 };
    struct tm tm = { 0 };
    int year = digits(&r, 4);
    if (year < 0 || !take(&r, '-'))
        return false;
    int month = digits(&r, 2);
    if (month < 1 || month > 12 || !take(&r, '-'))
        return false;
    int day = digits(&r, 2);
    if (day < 1 || day > days_in_month(year, month) || !take(&r, 'T'))
        return false;
    tm.tm_hour = digits(&r, 2);
    if (tm.tm_hour < 0 || tm.tm_hour > 23 || !take(&r, ':'))
        return false;
    tm.tm_min = digits(&r, 2);
    if (tm.tm_min < 0 || tm.tm_min > 59 || !take(&r, ':'))
        return false;
    tm.tm_sec = digits(&r, 2);
    if (tm.tm_sec < 0 || tm.tm_sec > 59)
        return false;
    *ret_ns = take(&r, '.') ? fraction(&r) : 0;
    int32_t offset_s = 0;
    if (*ret_ns < 0 || (!take(&r, 'Z') && !read_offset(&r, false, &offset_s)) || r.at != s.n)
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    *ret_s = (int64_t)timegm(&tm) - offset_s;
    return true;
}

IMPL(to_timestamp)
{
    FL_UNUSED(node);
    int64_t s, ns = 0;
    if (args[0].kind == FL_CEL_INT)
        return from_time(ev, args[0].i, 0);
    if (!cel_charge(ev, args[0].s.n))
        return cel_fail(ev, "");
    if (!parse_timestamp(args[0].s, &s, &ns))
        return cel_fail(ev, "timestamp() of a text that is not RFC 3339 (range or form)");
    return from_time(ev, s, ns);
}

void cel_put_timestamp(struct fl_buf *out, const struct fl_cel_value *v)
{
    struct tm tm;
    time_t s = (time_t)v->at.s;
    FL_ASSERT(gmtime_r(&s, &tm));
    fl_buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (v->at.ns) {
        char text[16];
        int n = snprintf(text, sizeof text, ".%09d", (int)v->at.ns);
        while (text[n - 1] == '0')
            n--;
        fl_buf_put(out, text, (size_t)n);
    }
    fl_buf_putc(out, 'Z');
}

/* One number with a unit ("1.5h"); adds it to *ns. */
static bool read_unit(struct reader *r, __int128 *ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        { "ns", 1 },       { "us", 1000 },     { "\xc2\xb5s", 1000 },   { "\xce\xbcs", 1000 },
        { "ms", 1000000 }, { "s", SECOND_NS }, { "m", 60 * SECOND_NS }, { "h", 3600 * SECOND_NS }
    };
    __int128 whole = 0;
    size_t from = r->at;
    for (; r->at < r->s.n && r->s.p[r->at] >= '0' && r->s.p[r->at] <= '9'; r->at++) {
        if (r->at - from > 18)
            return false;
        whole = whole * 10 + (r->s.p[r->at] - '0');
    }
    bool has_digits = r->at > from;
    int64_t part = 0; /* billionths of the unit */
    if (take(r, '.')) {
        part = fraction(r);
        has_digits |= part >= 0;
        part = part < 0 ? 0 : part;
    }
    struct fl_str rest = { r->s.p + r->at, r->s.n - r->at };
    for (size_t i = 0; has_digits && i < FL_COUNTOF(units); i++) {
        if (fl_str_has_prefix(rest, fl_str_of(units[i].name))) {
            r->at += strlen(units[i].name);
            *ns += whole * units[i].ns + (__int128)part * units[i].ns / SECOND_NS;
            return true;
        }
    }
    return false;
}

IMPL(to_duration)
{
    FL_UNUSED(node);
    struct reader r = { args[0].s, 0 };
    bool is_negative = take(&r, '-');
    if (!is_negative)
        take(&r, '+');
    __int128 ns = 0;
    bool is_ok = r.at < r.s.n;
    unsigned count = 0;
    if (!cel_charge(ev, args[0].s.n))
        return cel_fail(ev, "");
    if (is_ok && r.s.n - r.at == 1 && r.s.p[r.at] == '0')
        return from_duration(0);
    while (is_ok && r.at < r.s.n)
        is_ok = ++count <= 16 && read_unit(&r, &ns);
    if (!is_ok)
        return cel_fail(ev, "duration() of a text that is not a duration such as 1h30m");
    if (is_negative)
        ns = -ns;
    if (ns < INT64_MIN || ns > INT64_MAX)
        return cel_fail(ev, "duration range error");
    return from_duration((int64_t)ns);
}

void cel_put_duration(struct fl_buf *out, int64_t ns)
{
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0)
        fl_buf_putc(out, '-');
    fl_buf_u64(out, size / (uint64_t)SECOND_NS);
    char text[16];
    int n = snprintf(text, sizeof text, ".%09u", (unsigned)(size % (uint64_t)SECOND_NS));
    while (n > 0 && (text[n - 1] == '0' || n == 1))
        n--;
    fl_buf_put(out, text, (size_t)n);
    fl_buf_putc(out, 's');
}

/* ---- arithmetic ---- */
static struct fl_cel_value shift(struct cel_ev *ev, const struct fl_cel_value *at, int64_t by_ns,
                                 int sign)
{
    int64_t s = by_ns / SECOND_NS * sign, ns = by_ns % SECOND_NS * sign + at->at.ns;
    if (ns < 0) {
        ns += SECOND_NS;
        s--;
    } else if (ns >= SECOND_NS) {
        ns -= SECOND_NS;
        s++;
    }
    return from_time(ev, at->at.s + s, ns); /* both are far from the ends of 64 bits */
}

IMPL(arith_time)
{
    FL_UNUSED(node);
    const struct fl_cel_value *a = &args[0], *b = &args[1];
    bool is_sum = ev->fn->param == '+', is_over;
    int64_t ns;
    if (a->kind == FL_CEL_TIMESTAMP && b->kind == FL_CEL_TIMESTAMP) {
        is_over = __builtin_mul_overflow(a->at.s - b->at.s, SECOND_NS, &ns);
        is_over |= __builtin_add_overflow(ns, a->at.ns - b->at.ns, &ns);
    } else if (a->kind == FL_CEL_TIMESTAMP) {
        return shift(ev, a, b->ns, is_sum ? 1 : -1);
    } else if (b->kind == FL_CEL_TIMESTAMP) {
        return shift(ev, b, a->ns, 1);
    } else {
        is_over = is_sum ? __builtin_add_overflow(a->ns, b->ns, &ns)
                         : __builtin_sub_overflow(a->ns, b->ns, &ns);
    }
    return is_over ? cel_fail(ev, "duration range error") : from_duration(ns);
}

/* ---- parts ---- */
IMPL(time_part)
{
    int32_t offset_s = 0;
    if (node->zone)
        offset_s = fl_zone_offset(node->zone, args[0].at.s);
    else if (node->kid_count == 2 && !cel_zone_fixed(args[1].s, &offset_s))
        return cel_fail(ev, "a time zone that is not written out is UTC or an offset");
    struct tm tm;
    time_t s = (time_t)(args[0].at.s + offset_s);
    FL_ASSERT(gmtime_r(&s, &tm));
    switch (ev->fn->param) {
    case 'Y': return fl_cel_int(tm.tm_year + 1900);
    case 'm': return fl_cel_int(tm.tm_mon);
    case 'd': return fl_cel_int(tm.tm_mday);
    case 'e': return fl_cel_int(tm.tm_mday - 1);
    case 'w': return fl_cel_int(tm.tm_wday);
    case 'j': return fl_cel_int(tm.tm_yday);
    case 'H': return fl_cel_int(tm.tm_hour);
    case 'M': return fl_cel_int(tm.tm_min);
    case 'S': return fl_cel_int(tm.tm_sec);
    default: return fl_cel_int(args[0].at.ns / 1000000);
    }
}

IMPL(duration_part)
{
    FL_UNUSED(node);
    switch (ev->fn->param) {
    case 'H': return fl_cel_int(args[0].ns / (3600 * SECOND_NS));
    case 'M': return fl_cel_int(args[0].ns / (60 * SECOND_NS));
    case 'S': return fl_cel_int(args[0].ns / SECOND_NS);
    default: return fl_cel_int(args[0].ns % SECOND_NS / 1000000);
    }
}
