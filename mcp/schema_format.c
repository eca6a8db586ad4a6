/* Formats of times, names, mail addresses, identifiers and pointers. For schema_compile.c (finding)
 * and schema_eval.c (checking), any thread. */
#include "mcp/schema_format.h"

#include <string.h>

#include "flopinio/base/buf.h"
#include "mcp/schema_format_priv.h"
#include "mcp/schema_regex.h"

/* Exactly `digits` digits at *at. */
static bool number(struct fl_str s, size_t *at, unsigned digits, unsigned *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (*at >= s.n || !fl_is_digit(s.p[*at]))
            return false;
        *ret = *ret * 10 + (unsigned)(s.p[*at] - '0');
    }
    return true;
}

static bool one_of(struct fl_str s, size_t *at, const char *choices)
{
    if (*at >= s.n || !s.p[*at] || !strchr(choices, s.p[*at]))
        return false;
    (*at)++;
    return true;
}

/* ---- times: RFC 3339 section 5.6 and appendix A ---- */

static bool full_date(struct fl_str s, size_t *at)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    unsigned year, month, day;
    if (!number(s, at, 4, &year) || !one_of(s, at, "-") || !number(s, at, 2, &month) ||
        !one_of(s, at, "-") || !number(s, at, 2, &day))
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

static bool full_time(struct fl_str s, size_t *at)
{
    unsigned hour, minute, second, off_hour = 0, off_minute = 0;
    bool is_behind = false;
    if (!number(s, at, 2, &hour) || !one_of(s, at, ":") || !number(s, at, 2, &minute) ||
        !one_of(s, at, ":") || !number(s, at, 2, &second))
        return false;
    if (one_of(s, at, ".")) {
        size_t from = *at;
        while (*at < s.n && fl_is_digit(s.p[*at]))
            (*at)++;
        if (*at == from)
            return false;
    }
    if (!one_of(s, at, "Zz")) {
        is_behind = *at < s.n && s.p[*at] == '-';
        if (!one_of(s, at, "+-") || !number(s, at, 2, &off_hour) || !one_of(s, at, ":") ||
            !number(s, at, 2, &off_minute))
            return false;
    }
    if (hour > 23 || minute > 59 || second > 60 || off_hour > 23 || off_minute > 59)
        return false;
    if (second == 60) { /* a leap second is the last of a UTC day */
        unsigned offset = off_hour * 60 + off_minute, local = hour * 60 + minute;
        unsigned utc = (local + (is_behind ? offset : 1440 - offset)) % 1440;
        return utc == 1439;
    }
    return true;
}

static bool is_date(struct fl_str s)
{
    size_t at = 0;
    return full_date(s, &at) && at == s.n;
}

static bool is_time(struct fl_str s)
{
    size_t at = 0;
    return full_time(s, &at) && at == s.n;
}

static bool is_date_time(struct fl_str s)
{
    size_t at = 0;
    return full_date(s, &at) && one_of(s, &at, "Tt") && full_time(s, &at) && at == s.n;
}

/* Numbers, each with the next of `units` (any may come first, none may be left out between two). */
static bool elements(struct fl_str s, size_t *at, const char *units)
{
    bool has_any = false;
    while (*at < s.n && fl_is_digit(s.p[*at])) {
        while (*at < s.n && fl_is_digit(s.p[*at]))
            (*at)++;
        const char *unit = *at < s.n && s.p[*at] ? strchr(units, s.p[*at]) : NULL;
        if (!unit || (has_any && unit != units))
            return false;
        units = unit + 1;
        has_any = true;
        (*at)++;
    }
    return has_any;
}

static bool is_duration(struct fl_str s)
{
    size_t at = 0;
    if (!one_of(s, &at, "P"))
        return false;
    if (s.n > 0 && s.p[s.n - 1] == 'W')
        return elements(s, &at, "W") && at == s.n;
    bool has_date = at < s.n && s.p[at] != 'T';
    if (has_date && !elements(s, &at, "YMD"))
        return false;
    if (at == s.n)
        return has_date;
    return one_of(s, &at, "T") && elements(s, &at, "HMS") && at == s.n;
}

/* ---- names ---- */

/* RFC 1123 section 2.1; with `is_wide` every other character that is not ASCII is a letter, too. */
static bool host(struct fl_str s, bool is_wide)
{
    size_t label = 0; /* bytes of the current one */
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_inner = i + 1 < s.n && s.p[i + 1] != '.';
        if (c == '.') {
            if (label == 0 || i + 1 == s.n)
                return false;
            label = 0;
            continue;
        }
        if (!fl_is_alpha(c) && !fl_is_digit(c) && !(c == '-' && label > 0 && is_inner) &&
            !(is_wide && (unsigned char)c >= 0x80))
            return false;
        if (++label > 63)
            return false;
    }
    return true;
}

static bool is_hostname(struct fl_str s)
{
    return host(s, false);
}

static bool is_atext(char c, bool is_wide)
{
    return fl_is_alpha(c) || fl_is_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           (is_wide && (unsigned char)c >= 0x80);
}

/* The local part (RFC 5321 section 4.1.2): atoms between dots, or a quoted string. */
static bool local_part(struct fl_str s, bool is_wide)
{
    if (s.n == 0 || s.n > 64)
        return false;
    if (s.p[0] == '"') {
        size_t i = 1;
        for (; i + 1 < s.n && s.p[i] != '"'; i++) {
            unsigned char c = (unsigned char)s.p[i];
            if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_wide))
                return false;
            if (c == '\\')
                i++;
        }
        return i + 1 == s.n && s.p[i] == '"' && s.n > 1;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool is_dot = s.p[i] == '.' && i > 0 && i + 1 < s.n && s.p[i - 1] != '.';
        if (!is_dot && !is_atext(s.p[i], is_wide))
            return false;
    }
    return true;
}

static bool mail(struct fl_str s, bool is_wide)
{
    const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL;
    if (!at)
        return false;
    struct fl_str local = { s.p, (size_t)(at - s.p) };
    struct fl_str domain = { at + 1, s.n - local.n - 1 };
    if (!local_part(local, is_wide))
        return false;
    if (domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']') {
        struct fl_str literal = { domain.p + 1, domain.n - 2 }, prefix = FL_STR("IPv6:");
        if (literal.n > prefix.n &&
            fl_str_eq_nocase((struct fl_str){ literal.p, prefix.n }, prefix))
            return fl_schema_format_ipv6(
                (struct fl_str){ literal.p + prefix.n, literal.n - prefix.n });
        return fl_schema_format_ipv4(literal);
    }
    return host(domain, is_wide);
}

static bool is_email(struct fl_str s)
{
    return mail(s, false);
}

static bool is_idn_email(struct fl_str s)
{
    return mail(s, true);
}

static bool is_uuid(struct fl_str s)
{
    for (size_t i = 0; i < s.n && i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? s.p[i] != '-' : !fl_is_hex(s.p[i]))
            return false;
    }
    return s.n == 36;
}

/* ---- pointers and patterns ---- */

static bool is_json_pointer(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '~' && (i + 1 == s.n || (s.p[i + 1] != '0' && s.p[i + 1] != '1')))
            return false;
    }
    return s.n == 0 || s.p[0] == '/';
}

static bool is_relative_json_pointer(struct fl_str s)
{
    size_t at = 0;
    while (at < s.n && fl_is_digit(s.p[at]))
        at++;
    if (at == 0 || (at > 1 && s.p[0] == '0'))
        return false;
    struct fl_str rest = { s.p + at, s.n - at };
    return fl_str_is(rest, "#") || is_json_pointer(rest);
}

static bool is_regex(struct fl_str s)
{
    struct fl_buf unused;
    fl_buf_init(&unused, 64 * 1024); /* that it may fail is no matter: nobody reads it */
    struct fl_schema_regex regex = fl_schema_regex_translate(s, &unused);
    fl_buf_fini(&unused);
    return !regex.error;
}

const struct fl_schema_format *fl_schema_format_find(struct fl_str name)
{
    static const struct fl_schema_format formats[] = {
        { "date", is_date },
        { "date-time", is_date_time },
        { "duration", is_duration },
        { "email", is_email },
        { "hostname", is_hostname },
        { "idn-email", is_idn_email },
        { "ipv4", fl_schema_format_ipv4 },
        { "ipv6", fl_schema_format_ipv6 },
        { "iri", fl_schema_format_iri },
        { "iri-reference", fl_schema_format_iri_reference },
        { "json-pointer", is_json_pointer },
        { "regex", is_regex },
        { "relative-json-pointer", is_relative_json_pointer },
        { "time", is_time },
        { "uri", fl_schema_format_uri },
        { "uri-reference", fl_schema_format_uri_reference },
        { "uri-template", fl_schema_format_uri_template },
        { "uuid", is_uuid },
    };
    for (size_t i = 0; i < FL_COUNTOF(formats); i++) {
        if (fl_str_is(name, formats[i].name))
            return &formats[i];
    }
    return NULL;
}
