/* TZif data: transitions from the 64 bit block, and the rule in the footer for later times. */
#include "policy/zone.h"

#include <string.h>
#include <time.h>

enum { TYPES_MAX = 256, TRANSITIONS_MAX = 10000, NAME_MAX_BYTES = 64 };

/* A day of the year on which the offset changes (POSIX TZ, "Jn", "n", "Mm.w.d"). */
struct day_rule {
    char form; /* 'J', 'N' or 'M' */
    int a, b, c;
    int32_t at_s; /* local time of day, may be negative or beyond a day */
};

struct fl_zone {
    size_t count;
    const int64_t *at_utc_s;  /* ascending */
    const int32_t *offsets_s; /* that hold from there on */
    int32_t first_offset_s;   /* before all of them */
    bool has_rule;            /* of the footer: standard time, and maybe a summer time */
    bool has_summer;
    int32_t standard_s, summer_s;
    struct day_rule begin, end; /* of the summer time */
};

bool fl_zone_name_is_valid(struct fl_str name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES || name.p[name.n - 1] == '/')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_inner = c == '/' || c == '-' || c == '+'; /* not at the start of a part */
        if (is_inner && (i == 0 || name.p[i - 1] == '/'))
            return false;
        if (!is_inner && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return true;
}

/* ---- reading ---- */
struct reader {
    const unsigned char *p;
    size_t n;
    bool is_bad;
};

static const unsigned char *skip(struct reader *r, size_t n)
{
    static const unsigned char zeros[8];
    if (r->is_bad || n > r->n) {
        r->is_bad = true;
        return zeros;
    }
    r->p += n;
    r->n -= n;
    return r->p - n;
}

static int64_t be(struct reader *r, unsigned bytes)
{
    const unsigned char *p = skip(r, bytes);
    uint64_t value = bytes == 4 && p[0] & 0x80 ? UINT64_C(0xffffffff00000000) : 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * (bytes - 1 - i));
    return (int64_t)value;
}

struct counts {
    size_t utc, standard, leaps, times, types, chars;
    unsigned char version;
};

static struct counts read_header(struct reader *r)
{
    struct counts c = { 0 };
    if (memcmp(skip(r, 4), "TZif", 4) != 0)
        r->is_bad = true;
    c.version = *skip(r, 1);
    skip(r, 15);
    size_t *const fields[] = { &c.utc, &c.standard, &c.leaps, &c.times, &c.types, &c.chars };
    for (size_t i = 0; i < FL_COUNTOF(fields); i++) {
        int64_t value = be(r, 4);
        if (value < 0 || value > 1 << 20)
            r->is_bad = true;
        *fields[i] = r->is_bad ? 0 : (size_t)value;
    }
    if (c.types == 0 || c.types > TYPES_MAX || c.times > TRANSITIONS_MAX)
        r->is_bad = true;
    return c;
}

static int number(const char **p, int max)
{
    int value = 0;
    const char *from = *p;
    for (; **p >= '0' && **p <= '9' && value <= max; (*p)++)
        value = value * 10 + (**p - '0');
    return *p == from || value > max ? -1 : value;
}

/* [+-]hh[:mm[:ss]] as seconds. */
static bool read_time(const char **p, int32_t *ret_s)
{
    bool is_negative = **p == '-';
    if (**p == '-' || **p == '+')
        (*p)++;
    int parts[3] = { number(p, 167), 0, 0 };
    for (unsigned i = 1; i < 3 && **p == ':'; i++) {
        (*p)++;
        parts[i] = number(p, 59);
    }
    if (parts[0] < 0 || parts[1] < 0 || parts[2] < 0)
        return false;
    *ret_s = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * (is_negative ? -1 : 1);
    return true;
}

static bool read_name(const char **p)
{
    const char *from = *p;
    if (**p == '<') {
        while (**p && **p != '>')
            (*p)++;
        return *(*p)++ == '>';
    }
    while ((**p >= 'a' && **p <= 'z') || (**p >= 'A' && **p <= 'Z'))
        (*p)++;
    return *p - from >= 3;
}

/* ",M3.2.0/2" */
static bool read_day(const char **p, struct day_rule *ret)
{
    *ret = (struct day_rule){ .form = 'N', .at_s = 7200 };
    if (*(*p)++ != ',')
        return false;
    if (**p == 'J' || **p == 'M')
        ret->form = *(*p)++;
    if (ret->form == 'M') {
        ret->a = number(p, 12);
        if (*(*p)++ != '.')
            return false;
        ret->b = number(p, 5);
        if (*(*p)++ != '.')
            return false;
        ret->c = number(p, 6);
        if (ret->a < 1 || ret->b < 1)
            return false;
    } else {
        ret->a = number(p, 365);
    }
    if (ret->a < 0 || ret->b < 0 || ret->c < 0)
        return false;
    if (**p != '/')
        return true;
    (*p)++;
    return read_time(p, &ret->at_s);
}

/* POSIX TZ as RFC 8536 section 3.3.1 extends it: "EST5EDT,M3.2.0,M11.1.0". West is positive. */
static bool read_footer(const char *text, struct fl_zone *zone)
{
    int32_t west;
    if (!read_name(&text) || !read_time(&text, &west))
        return false;
    zone->standard_s = -west;
    zone->has_rule = true;
    if (!*text)
        return true;
    zone->has_summer = true;
    zone->summer_s = zone->standard_s + 3600;
    if (!read_name(&text))
        return false;
    if (*text && *text != ',') {
        if (!read_time(&text, &west))
            return false;
        zone->summer_s = -west;
    }
    return read_day(&text, &zone->begin) && read_day(&text, &zone->end) && !*text;
}

static enum fl_code read_block(struct fl_arena *arena, struct reader *r, const struct counts *c,
                               struct fl_zone *zone)
{
    int64_t *at = fl_arena_array(arena, c->times, sizeof *at);
    int32_t *offsets = fl_arena_array(arena, c->times, sizeof *offsets);
    int32_t types[TYPES_MAX];
    FL_ASSERT(c->types > 0 && c->types <= TYPES_MAX);
    if (!at || !offsets)
        return FL_NOMEM;
    for (size_t i = 0; i < c->times; i++) {
        at[i] = be(r, 8);
        if (i && at[i] <= at[i - 1])
            r->is_bad = true;
    }
    struct reader indexes = { skip(r, c->times), c->times, r->is_bad };
    for (size_t i = 0; i < c->types; i++) {
        types[i] = (int32_t)be(r, 4);
        if (types[i] < -93600 || types[i] > 93600) /* RFC 8536 section 3.2: -25 to 26 hours */
            r->is_bad = true;
        skip(r, 2);
    }
    for (size_t i = 0; i < c->times; i++) {
        size_t type = *skip(&indexes, 1);
        if (indexes.is_bad || type >= c->types)
            r->is_bad = true;
        else
            offsets[i] = types[type];
    }
    skip(r, c->chars + c->leaps * 12 + c->standard + c->utc);
    zone->count = c->times;
    zone->at_utc_s = at;
    zone->offsets_s = offsets;
    zone->first_offset_s = types[0];
    return FL_OK;
}

enum fl_code fl_zone_new(struct fl_arena *arena, struct fl_str tzif, const struct fl_zone **ret,
                         struct fl_err *err)
{
    struct reader r = { (const unsigned char *)tzif.p, tzif.n, false };
    struct fl_zone *zone = FL_ARENA_NEW(arena, struct fl_zone);
    if (!zone)
        return fl_err_code(err, FL_NOMEM);
    struct counts c = read_header(&r);
    if (c.version < '2' || c.version > '4')
        r.is_bad = true;
    /* The 32 bit block in front is for readers of version 1. */
    skip(&r, c.times * 5 + c.types * 6 + c.chars + c.leaps * 8 + c.standard + c.utc);
    c = read_header(&r);
    if (r.is_bad)
        return fl_err_set(err, FL_BAD_PARAMS, "it is not a TZif file of version 2 to 4");
    if (read_block(arena, &r, &c, zone))
        return fl_err_code(err, FL_NOMEM);
    if (*skip(&r, 1) != '\n')
        r.is_bad = true;
    const unsigned char *end = r.is_bad || !r.n ? NULL : memchr(r.p, '\n', r.n);
    if (!end)
        return fl_err_set(err, FL_BAD_PARAMS, "the TZif file is cut short or not well-formed");
    char *footer = fl_arena_strndup(arena, (const char *)r.p, (size_t)(end - r.p));
    if (!footer)
        return fl_err_code(err, FL_NOMEM);
    if (*footer && !read_footer(footer, zone))
        return fl_err_set(err, FL_BAD_PARAMS, "the rule at the end of the TZif file is not valid");
    *ret = zone;
    return FL_OK;
}

/* ---- answering ---- */
static int64_t year_start_s(int year)
{
    struct tm tm = { .tm_year = year - 1900, .tm_mday = 1 };
    return (int64_t)timegm(&tm);
}

/* The local time at which the rule's day begins to hold, as if local were UTC. */
static int64_t rule_s(const struct day_rule *rule, int year)
{
    if (rule->form != 'M') {
        bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int day = rule->a;
        if (rule->form == 'J') /* 1 to 365, 29 February never counted */
            day += (is_leap && day > 59 ? 1 : 0) - 1;
        return year_start_s(year) + (int64_t)day * 86400 + rule->at_s;
    }
    /* The b-th day c (0 is Sunday) of month a; 5 is the last one. */
    struct tm tm = { .tm_year = year - 1900, .tm_mon = rule->a - 1, .tm_mday = 1 };
    int64_t first = (int64_t)timegm(&tm);
    int day = (rule->c - tm.tm_wday + 7) % 7 + (rule->b - 1) * 7;
    struct tm next = { .tm_year = year - 1900, .tm_mon = rule->a, .tm_mday = 1 };
    int length = (int)(((int64_t)timegm(&next) - first) / 86400);
    while (day >= length)
        day -= 7;
    return first + (int64_t)day * 86400 + rule->at_s;
}

static int32_t by_rule(const struct fl_zone *zone, int64_t at_utc_s)
{
    if (!zone->has_summer)
        return zone->standard_s;
    struct tm tm;
    time_t local = (time_t)(at_utc_s + zone->standard_s);
    if (!gmtime_r(&local, &tm))
        return zone->standard_s;
    int year = tm.tm_year + 1900;
    int64_t begin = rule_s(&zone->begin, year) - zone->standard_s;
    int64_t end = rule_s(&zone->end, year) - zone->summer_s;
    bool is_summer = begin < end ? at_utc_s >= begin && at_utc_s < end
                                 : at_utc_s >= begin || at_utc_s < end; /* south */
    return is_summer ? zone->summer_s : zone->standard_s;
}

int32_t fl_zone_offset(const struct fl_zone *zone, int64_t at_utc_s)
{
    if (zone->count == 0 || at_utc_s < zone->at_utc_s[0])
        return zone->count == 0 && zone->has_rule ? by_rule(zone, at_utc_s) : zone->first_offset_s;
    size_t low = 0, high = zone->count; /* at[low] <= at < at[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->at_utc_s[middle] <= at_utc_s)
            low = middle;
        else
            high = middle;
    }
    if (low + 1 == zone->count && zone->has_rule)
        return by_rule(zone, at_utc_s);
    return zone->offsets_s[low];
}
