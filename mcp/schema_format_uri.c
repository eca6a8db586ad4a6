/* Formats of network addresses, URIs, IRIs and URI templates. For schema_format.c, any thread. */
#include <string.h>

#include "flopinio/base/utf8.h"
#include "mcp/schema_format_priv.h"
#include "mcp/schema_uri.h"

/* RFC 2673 section 3.2, four decimal octets without leading zeros. */
bool fl_schema_format_ipv4(struct fl_str s)
{
    size_t at = 0;
    for (int octet = 0; octet < 4; octet++) {
        unsigned value = 0;
        size_t from = at;
        if (octet > 0 && (at >= s.n || s.p[at] != '.'))
            return false;
        if (octet > 0)
            from = ++at;
        for (; at < s.n && at - from < 3 && fl_is_digit(s.p[at]); at++)
            value = value * 10 + (unsigned)(s.p[at] - '0');
        if (at == from || value > 255 || (at - from > 1 && s.p[from] == '0'))
            return false;
    }
    return at == s.n;
}

/* RFC 4291 section 2.2. */
bool fl_schema_format_ipv6(struct fl_str s)
{
    int groups = 0;
    bool is_short = false;
    size_t at = 0;
    if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
        is_short = true;
        at = 2;
    }
    while (at < s.n) {
        size_t from = at;
        while (at < s.n && fl_is_hex(s.p[at]))
            at++;
        if (at < s.n && s.p[at] == '.') {
            groups += 2; /* the rest is an IPv4 address */
            if (!fl_schema_format_ipv4((struct fl_str){ s.p + from, s.n - from }))
                return false;
            break;
        }
        if (at == from || at - from > 4)
            return false;
        groups++;
        if (at == s.n)
            break;
        if (s.p[at] != ':' || ++at == s.n)
            return false;
        if (s.p[at] == ':') {
            if (is_short)
                return false;
            is_short = true;
            at++;
        }
    }
    return is_short ? groups < 8 : groups == 8;
}

/* ---- RFC 3986 appendix A and RFC 3987 section 2.2 ---- */

static bool is_ucschar(int32_t c)
{
    if (c < 0x10000)
        return (c >= 0xa0 && c <= 0xd7ff) || (c >= 0xf900 && c <= 0xfdcf) ||
               (c >= 0xfdf0 && c <= 0xffef);
    return c < 0xf0000 && (c & 0xffff) <= 0xfffd && !(c >= 0xe0000 && c < 0xe1000);
}

static bool is_private(int32_t c)
{
    return (c >= 0xe000 && c <= 0xf8ff) || (c >= 0xf0000 && (c & 0xffff) <= 0xfffd);
}

enum { WIDE = 1, PRIVATE = 2 };

/* Only letters, digits, "-._~", sub-delimiters, escapes and the characters of `more`. */
static bool has_only(struct fl_str s, const char *more, unsigned flags)
{
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        int32_t c = fl_utf8_next(s, &at);
        char ascii = c > 0 && c < 0x80 ? (char)c : 0;
        if (ascii == '%') {
            if (from + 2 >= s.n || !fl_is_hex(s.p[from + 1]) || !fl_is_hex(s.p[from + 2]))
                return false;
        } else if (ascii) {
            if (!fl_is_alpha(ascii) && !fl_is_digit(ascii) && !strchr("-._~!$&'()*+,;=", ascii) &&
                !strchr(more, ascii))
                return false;
        } else if (!(flags & WIDE && c > 0 && is_ucschar(c)) &&
                   !(flags & PRIVATE && c > 0 && is_private(c))) {
            return false;
        }
    }
    return true;
}

/* What stands in brackets: an IPv6 address, or "v" hex "." and more. */
static bool is_ip_literal(struct fl_str s)
{
    if (s.n == 0 || (s.p[0] | 0x20) != 'v')
        return fl_schema_format_ipv6(s);
    size_t at = 1;
    while (at < s.n && fl_is_hex(s.p[at]))
        at++;
    return at > 1 && at + 1 < s.n && s.p[at] == '.' && !memchr(s.p, '%', s.n) &&
           has_only((struct fl_str){ s.p + at + 1, s.n - at - 1 }, ":", 0);
}

static bool is_authority(struct fl_str s, unsigned flags)
{
    const char *sign = s.n ? memrchr(s.p, '@', s.n) : NULL;
    if (sign) {
        struct fl_str user = { s.p, (size_t)(sign - s.p) };
        if (!has_only(user, ":", flags))
            return false;
        s = (struct fl_str){ sign + 1, s.n - user.n - 1 };
    }
    size_t host = 0;
    if (s.n && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.n);
        host = end ? (size_t)(end - s.p) + 1 : 0;
        if (!end || !is_ip_literal((struct fl_str){ s.p + 1, host - 2 }))
            return false;
    } else {
        while (host < s.n && s.p[host] != ':')
            host++;
        if (!has_only((struct fl_str){ s.p, host }, "", flags))
            return false;
    }
    if (host < s.n && s.p[host] != ':')
        return false;
    for (size_t i = host + 1; i < s.n; i++) {
        if (!fl_is_digit(s.p[i]))
            return false;
    }
    return true;
}

static bool reference(struct fl_str s, bool needs_scheme, unsigned flags)
{
    struct fl_schema_uri uri = fl_schema_uri_parse(s);
    if (!uri.scheme.p && needs_scheme)
        return false;
    for (size_t i = 0; i < uri.scheme.n; i++) {
        char c = uri.scheme.p[i]; /* NOLINT(clang-analyzer-core.NullDereference): n is 0 then */
        if (!fl_is_alpha(c) && (i == 0 || !(fl_is_digit(c) || (c && strchr("+-.", c)))))
            return false;
    }
    return (!uri.authority.p || is_authority(uri.authority, flags)) &&
           has_only(uri.path, ":@/", flags) &&
           has_only(uri.query, ":@/?", flags ? flags | PRIVATE : 0) &&
           has_only(uri.fragment, ":@/?", flags);
}

bool fl_schema_format_uri(struct fl_str s)
{
    return reference(s, true, 0);
}

bool fl_schema_format_uri_reference(struct fl_str s)
{
    return reference(s, false, 0);
}

bool fl_schema_format_iri(struct fl_str s)
{
    return reference(s, true, WIDE);
}

bool fl_schema_format_iri_reference(struct fl_str s)
{
    return reference(s, false, WIDE);
}

/* ---- RFC 6570 section 2 ---- */

/* A variable with its modifier, from s.p[*at] up to "," or "}". */
static bool variable(struct fl_str s, size_t *at)
{
    size_t from = *at;
    for (; *at < s.n && !strchr(",}:*", s.p[*at]); (*at)++) {
        char c = s.p[*at];
        bool is_dot = c == '.' && *at > from && s.p[*at - 1] != '.';
        if (c == '%' && *at + 2 < s.n && fl_is_hex(s.p[*at + 1]) && fl_is_hex(s.p[*at + 2]))
            *at += 2;
        else if (!fl_is_alpha(c) && !fl_is_digit(c) && c != '_' && !is_dot)
            return false;
    }
    if (*at == from || *at >= s.n || s.p[*at - 1] == '.')
        return false;
    if (s.p[*at] == '*') {
        (*at)++;
    } else if (s.p[*at] == ':') {
        size_t digits = ++*at;
        while (*at < s.n && fl_is_digit(s.p[*at]))
            (*at)++;
        return *at > digits && *at - digits <= 4 && s.p[digits] != '0';
    }
    return true;
}

bool fl_schema_format_uri_template(struct fl_str s)
{
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        int32_t c = fl_utf8_next(s, &at);
        if (c == '{') {
            if (at < s.n && s.p[at] && strchr("+#./;?&", s.p[at]))
                at++;
            do {
                if (!variable(s, &at) || at >= s.n)
                    return false;
            } while (s.p[at++] == ',');
            if (s.p[at - 1] != '}')
                return false;
        } else if (c == '%') {
            if (from + 2 >= s.n || !fl_is_hex(s.p[from + 1]) || !fl_is_hex(s.p[from + 2]))
                return false;
        } else if (c <= 0x20 || (c < 0x80 && (c == 0x7f || strchr("\"<>\\^`|}", c))) ||
                   (c >= 0x80 && !is_ucschar(c) && !is_private(c))) {
            return false;
        }
    }
    return true;
}
