/* URI references, RFC 3986 sections 5.2 and appendix B. For schema*.c, any thread. */
#include "mcp/schema_uri.h"

#include <string.h>

static struct fl_str span(const char *from, const char *to)
{
    return (struct fl_str){ from, (size_t)(to - from) };
}

/* The first of `stops` in [from, end), or end. */
static const char *until(const char *from, const char *end, const char *stops)
{
    while (from < end && (!*from || !strchr(stops, *from)))
        from++;
    return from;
}

struct fl_schema_uri fl_schema_uri_parse(struct fl_str text)
{
    struct fl_schema_uri uri = { .path = { "", 0 } };
    const char *at = text.n ? text.p : "", *end = at + text.n;
    const char *stop = until(at, end, ":/?#");
    if (stop < end && *stop == ':' && stop > at) {
        uri.scheme = span(at, stop);
        at = stop + 1;
    }
    if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
        stop = until(at + 2, end, "/?#");
        uri.authority = span(at + 2, stop);
        at = stop;
    }
    stop = until(at, end, "?#");
    uri.path = span(at, stop);
    at = stop;
    if (at < end && *at == '?') {
        stop = until(at + 1, end, "#");
        uri.query = span(at + 1, stop);
        at = stop;
    }
    if (at < end)
        uri.fragment = span(at + 1, end);
    return uri;
}

/* Section 5.2.4, from the `start` of the path in `out` to its end, in place. */
static void remove_dot_segments(struct fl_buf *out, size_t start)
{
    if (out->is_failed)
        return;
    char *path = out->p + start;
    size_t n = out->n - start, write = 0;
    bool is_rooted = n > 0 && path[0] == '/';
    for (size_t read = 0; read < n;) {
        size_t from = read + (path[read] == '/'), to = from;
        while (to < n && path[to] != '/')
            to++;
        bool is_last = to == n;
        bool is_dot = to - from == 1 && path[from] == '.';
        bool is_dots = to - from == 2 && path[from] == '.' && path[from + 1] == '.';
        if (is_dots) {
            while (write > 0 && path[write - 1] != '/')
                write--;
            if (write > 0)
                write--;
        } else if (!is_dot) {
            memmove(path + write, path + read, to - read);
            write += to - read;
        }
        if ((is_dot || is_dots) && is_last && (is_rooted || write > 0))
            path[write++] = '/'; /* never past what was read: the dots stood there */
        /* A relative path does not become a rooted one when it loses its first segments. */
        read = to + ((is_dot || is_dots) && !is_last && !is_rooted && write == 0);
    }
    out->n = start + write;
    if (out->p)
        out->p[out->n] = 0;
}

void fl_schema_uri_resolve(struct fl_buf *out, struct fl_str base, struct fl_str reference)
{
    struct fl_schema_uri b = fl_schema_uri_parse(base), r = fl_schema_uri_parse(reference), t = r;
    bool is_merged = false;
    if (!r.scheme.p) {
        t.scheme = b.scheme;
        if (!r.authority.p) {
            t.authority = b.authority;
            if (r.path.n == 0) {
                t.path = b.path;
                t.query = r.query.p ? r.query : b.query;
            } else {
                is_merged = r.path.p[0] != '/';
            }
        }
    }
    if (t.scheme.p) {
        fl_buf_str(out, t.scheme);
        fl_buf_putc(out, ':');
    }
    if (t.authority.p) {
        fl_buf_puts(out, "//");
        fl_buf_str(out, t.authority);
    }
    size_t start = out->n;
    if (is_merged && t.authority.p && b.path.n == 0) {
        fl_buf_putc(out, '/');
    } else if (is_merged) {
        size_t n = b.path.n;
        while (n > 0 && b.path.p[n - 1] != '/')
            n--;
        fl_buf_put(out, b.path.p, n);
    }
    fl_buf_str(out, t.path);
    if (r.path.n || r.scheme.p || r.authority.p)
        remove_dot_segments(out, start);
    if (t.query.p) {
        fl_buf_putc(out, '?');
        fl_buf_str(out, t.query);
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

struct fl_str fl_schema_uri_decode(struct fl_arena *arena, struct fl_str text,
                                   bool *ret_is_malformed)
{
    char *copy = fl_arena_alloc(arena, text.n + 1);
    size_t n = 0;
    *ret_is_malformed = false;
    for (size_t i = 0; copy && i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_digit(text.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                *ret_is_malformed = true;
                return (struct fl_str){ NULL, 0 };
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        copy[n++] = c;
    }
    return (struct fl_str){ copy, copy ? n : 0 };
}
