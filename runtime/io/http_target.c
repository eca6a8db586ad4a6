/* Targets, hosts and forms: what stands in a request line, and percent-encoding (RFC 9112 3.2,
 * RFC 3986). Any thread. */
#include <arpa/inet.h>

#include "flopinio/base/utf8.h"
#include "runtime/io/http_head.h"

int fl_http_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_ipv6_literal(struct fl_str inside)
{
    char text[FL_ADDRESS_TEXT];
    struct in6_addr address;
    if (inside.n == 0 || inside.n >= sizeof text)
        return false;
    memcpy(text, inside.p, inside.n);
    text[inside.n] = 0;
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static bool is_port(struct fl_str text)
{
    unsigned long long port;
    return text.n <= 5 && fl_str_to_u64(text, &port) && port <= 65535;
}

bool fl_http_host_is_valid(struct fl_str host)
{
    size_t end = 0; /* of the host proper */
    if (host.n && host.p[0] == '[') {
        while (end < host.n && host.p[end] != ']')
            end++;
        if (end == host.n || !is_ipv6_literal((struct fl_str){ host.p + 1, end - 1 }))
            return false;
        end++;
    } else {
        while (end < host.n && is_host_char(host.p[end]))
            end++;
        if (end == 0 || end > 255)
            return false;
    }
    return end == host.n ||
           (host.p[end] == ':' && is_port((struct fl_str){ host.p + end + 1, host.n - end - 1 }));
}

/* Every '%' begins an escape, and no bracket stands outside an authority. */
static bool is_path_valid(struct fl_str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '[' || path.p[i] == ']')
            return false;
    }
    return true;
}

static bool are_escapes_valid(struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%')
            continue;
        if (text.n - i < 3 || fl_http_hex_value(text.p[i + 1]) < 0 ||
            fl_http_hex_value(text.p[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

/* Bytes of "http://" or "https://" in front of an absolute form, 0 if it is none. */
static size_t scheme_bytes(struct fl_str target)
{
    static const struct fl_str schemes[] = { { "http://", 7 }, { "https://", 8 } };
    for (size_t i = 0; i < FL_COUNTOF(schemes); i++) {
        struct fl_str front = { target.p, schemes[i].n };
        if (target.n >= schemes[i].n && fl_str_eq_nocase(front, schemes[i]))
            return schemes[i].n;
    }
    return 0;
}

int fl_http_target_split(struct fl_http_head *head, const char *p, const char **ret_error)
{
    struct fl_str target = { p + head->target.at, head->target.n };
    size_t path = 0;
    *ret_error = "the target is not valid";
    if (fl_str_is(target, "*")) {
        if (head->method != FL_HTTP_OPTIONS)
            return 400;
    } else if (target.p[0] != '/') {
        size_t from = scheme_bytes(target);
        if (!from)
            return 400;
        for (path = from; path < target.n && target.p[path] != '/' && target.p[path] != '?';)
            path++;
        struct fl_str authority = { target.p + from, path - from };
        if (!fl_str_eq_nocase(authority, (struct fl_str){ p + head->host.at, head->host.n })) {
            *ret_error = "the target names another host than the host header";
            return 400;
        }
    }
    size_t end = path;
    while (end < target.n && target.p[end] != '?')
        end++;
    head->path =
        (struct fl_http_place){ (uint16_t)(head->target.at + path), (uint16_t)(end - path) };
    head->has_query = end < target.n;
    if (head->has_query)
        head->query = (struct fl_http_place){ (uint16_t)(head->target.at + end + 1),
                                              (uint16_t)(target.n - end - 1) };
    if (!is_path_valid((struct fl_str){ target.p + path, end - path }) ||
        !are_escapes_valid(target))
        return 400;
    return 0;
}

enum fl_code fl_http_decode(struct fl_arena *arena, struct fl_str text, unsigned flags,
                            struct fl_str *ret, struct fl_err *err)
{
    char *out = fl_arena_strndup(arena, text.p, text.n);
    if (!out)
        return fl_err_code(err, FL_NOMEM);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '+' && (flags & FL_HTTP_PLUS_IS_BLANK)) {
            c = ' ';
        } else if (c == '%') {
            int high = text.n - i >= 3 ? fl_http_hex_value(text.p[i + 1]) : -1;
            int low = high >= 0 ? fl_http_hex_value(text.p[i + 2]) : -1;
            if (low < 0)
                return fl_err_set(err, FL_BAD_REQUEST, "a percent escape is not two hex digits");
            c = (char)(high * 16 + low);
            i += 2;
            if ((c == '/' || c == '\\') && (flags & FL_HTTP_REFUSE_SLASH))
                return fl_err_set(err, FL_BAD_REQUEST, "an escaped slash cannot stand here");
        }
        if (c == 0)
            return fl_err_set(err, FL_BAD_REQUEST, "an escaped NUL cannot stand here");
        out[n++] = c;
    }
    out[n] = 0;
    if (!fl_utf8_is_valid((struct fl_str){ out, n }))
        return fl_err_set(err, FL_BAD_REQUEST, "the decoded text is not UTF-8");
    *ret = (struct fl_str){ out, n };
    return FL_OK;
}

enum fl_code fl_http_form_next(struct fl_arena *arena, struct fl_str form, size_t *pos,
                               struct fl_str *ret_name, struct fl_str *ret_value,
                               struct fl_err *err)
{
    while (*pos < form.n && form.p[*pos] == '&')
        ++*pos;
    if (*pos >= form.n)
        return fl_err_code(err, FL_NOT_FOUND);
    size_t end = *pos, equals = SIZE_MAX;
    for (; end < form.n && form.p[end] != '&'; end++) {
        if (form.p[end] == '=' && equals == SIZE_MAX)
            equals = end;
    }
    struct fl_str name = { form.p + *pos, (equals < end ? equals : end) - *pos };
    struct fl_str value = { form.p + end, 0 };
    if (equals < end)
        value = (struct fl_str){ form.p + equals + 1, end - equals - 1 };
    struct fl_str decoded;
    enum fl_code code = fl_http_decode(arena, name, FL_HTTP_PLUS_IS_BLANK, &decoded, err);
    if (code == FL_OK)
        code = fl_http_decode(arena, value, FL_HTTP_PLUS_IS_BLANK, ret_value, err);
    if (code != FL_OK)
        return code;
    *ret_name = decoded;
    *pos = end;
    return FL_OK;
}

void fl_http_encode(struct fl_buf *out, struct fl_str text)
{
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] && strchr(unreserved, text.p[i]))
            fl_buf_putc(out, text.p[i]);
        else
            fl_buf_printf(out, "%%%02X", (unsigned char)text.p[i]);
    }
}
