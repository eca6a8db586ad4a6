/* Reading spans of a text that the scanner accepted: nothing here validates again, but nothing
 * reads past the span's end either. Called by whoever holds picks of a message; any thread. */
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "scan_priv.h"

/* p behind the opening quote; returns behind the closing one. */
static const char *string_end(const char *p, const char *end)
{
    while (p < end) {
        p = fl_text_plain_end(p, end);
        if (p < end && *p == '"')
            return p + 1;
        if (p < end)
            p += *p == '\\' && end - p > 1 ? 2 : 1;
    }
    return end;
}

/* Blanks, commas and colons. */
static inline const char *skip_between(const char *p, const char *end)
{
    while (p < end &&
           (*p == ' ' || *p == ',' || *p == ':' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

struct fl_str fl_text_token(const char *p, const char *end)
{
    p = skip_between(p, end);
    const char *from = p;
    if (p < end) {
        switch (*p++) {
        case '{':
        case '}':
        case '[':
        case ']': break;
        case '"': p = string_end(p, end); break;
        default:
            while (p<end && * p> ' ' && *p != ',' && *p != ']' && *p != '}')
                p++;
        }
    }
    return (struct fl_str){ from, (size_t)(p - from) };
}

static bool is_one(struct fl_str token, char a, char b)
{
    return token.n == 1 && (token.p[0] == a || token.p[0] == b);
}

/* The value whose first token this is. */
static struct fl_str whole_value(struct fl_str token, const char *end)
{
    struct fl_str value = token;
    size_t depth = 0;
    for (;;) {
        if (is_one(token, '{', '['))
            depth++;
        else if (is_one(token, '}', ']'))
            depth--;
        const char *behind = token.p + token.n;
        value.n = (size_t)(behind - value.p);
        if (depth == 0 || token.n == 0)
            return value;
        token = fl_text_token(behind, end);
    }
}

enum fl_span_type fl_span_type(struct fl_str value)
{
    if (value.n == 0)
        return FL_SPAN_ABSENT;
    const char *end = value.p + value.n, *p = skip_between(value.p, end);
    if (p == end)
        return FL_SPAN_ABSENT;
    switch (*p) {
    case 'n': return FL_SPAN_NULL;
    case 'f': return FL_SPAN_FALSE;
    case 't': return FL_SPAN_TRUE;
    case '"': return FL_SPAN_STRING;
    case '[': return FL_SPAN_ARRAY;
    case '{': return FL_SPAN_OBJECT;
    default: return FL_SPAN_NUMBER;
    }
}

/* The first token of the next member or item, with *pos behind it; n 0 at the end. */
static struct fl_str next_child(struct fl_str container, char bracket, size_t *pos)
{
    const char *end = container.p + container.n;
    struct fl_str none = { 0 };
    if (container.n == 0)
        return none;
    if (*pos == 0) {
        struct fl_str open = fl_text_token(container.p, end);
        if (!is_one(open, bracket, bracket))
            return none;
        *pos = (size_t)(open.p + open.n - container.p);
    }
    FL_ASSERT(*pos <= container.n);
    struct fl_str token = fl_text_token(container.p + *pos, end);
    if (token.n == 0 || is_one(token, '}', ']'))
        return none;
    *pos = (size_t)(token.p + token.n - container.p);
    return token;
}

bool fl_span_next_member(struct fl_str object, size_t *pos, struct fl_str *ret_key,
                         struct fl_str *ret_value)
{
    struct fl_str key = next_child(object, '{', pos);
    if (key.n == 0)
        return false;
    const char *end = object.p + object.n;
    *ret_key = key;
    *ret_value = whole_value(fl_text_token(object.p + *pos, end), end);
    *pos = (size_t)(ret_value->p + ret_value->n - object.p);
    return true;
}

bool fl_span_next_item(struct fl_str array, size_t *pos, struct fl_str *ret_value)
{
    struct fl_str token = next_child(array, '[', pos);
    if (token.n == 0)
        return false;
    *ret_value = whole_value(token, array.p + array.n);
    *pos = (size_t)(ret_value->p + ret_value->n - array.p);
    return true;
}

struct fl_str fl_span_get(struct fl_str object, const char *name)
{
    struct fl_str found = { 0 }, key, value;
    size_t pos = 0;
    while (fl_span_next_member(object, &pos, &key, &value)) {
        if (fl_span_is(key, name))
            found = value;
    }
    return found;
}

/* ---- strings ---- */
/* The text between the quotes; p NULL if it is no string. */
static struct fl_str inside(struct fl_str value)
{
    struct fl_str token = { 0 };
    if (value.n)
        token = fl_text_token(value.p, value.p + value.n);
    if (token.n < 2 || token.p[0] != '"')
        return (struct fl_str){ 0 };
    return (struct fl_str){ token.p + 1, token.n - 2 };
}

/* Decodes the escape that starts at text.p[*pos] into out, with *pos behind it; returns how many
 * bytes it makes. */
static size_t unescape(struct fl_str text, size_t *pos, char out[4])
{
    const char *p = text.p + *pos, *end = text.p + text.n;
    FL_ASSERT(end - p >= 2);
    *pos += 2;
    switch (p[1]) {
    case 'b': out[0] = '\b'; return 1;
    case 'f': out[0] = '\f'; return 1;
    case 'n': out[0] = '\n'; return 1;
    case 'r': out[0] = '\r'; return 1;
    case 't': out[0] = '\t'; return 1;
    case 'u': break;
    default: out[0] = p[1]; return 1;
    }
    int32_t unit = fl_text_hex4(p + 2, end);
    *pos += 4;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        int32_t low = end - p >= 12 ? fl_text_hex4(p + 8, end) : -1;
        FL_ASSERT(low >= 0xdc00 && low <= 0xdfff);
        *pos += 6;
        unit = 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
    }
    FL_ASSERT(unit >= 0);
    return fl_utf8_encode((uint32_t)unit, out);
}

static size_t decode(struct fl_str text, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        const char *escape = memchr(text.p + at, '\\', text.n - at);
        size_t plain = escape ? (size_t)(escape - text.p) - at : text.n - at;
        memcpy(out + n, text.p + at, plain);
        n += plain;
        at += plain;
        if (escape) {
            char bytes[4];
            size_t made = unescape(text, &at, bytes);
            memcpy(out + n, bytes, made);
            n += made;
        }
    }
    return n;
}

size_t fl_span_decode(struct fl_str value, char *out)
{
    struct fl_str text = inside(value);
    FL_ASSERT(text.p);
    return decode(text, out);
}

struct fl_str fl_span_string(struct fl_arena *arena, struct fl_str value)
{
    struct fl_str text = inside(value);
    if (!text.p || !memchr(text.p, '\\', text.n))
        return text;
    char *out = fl_arena_raw(arena, text.n); /* decoding never lengthens */
    return (struct fl_str){ out, out ? decode(text, out) : 0 };
}

bool fl_span_is(struct fl_str value, const char *name)
{
    struct fl_str text = inside(value), want = fl_str_of(name);
    if (!text.p)
        return false;
    if (fl_str_eq(text, want))
        return !strchr(name, '\\'); /* a backslash in `name` is meant as one */
    if (!memchr(text.p, '\\', text.n))
        return false; /* as nearly always */
    for (size_t at = 0; at < text.n;) {
        char bytes[4];
        struct fl_str got = { text.p + at, 1 };
        if (text.p[at] == '\\')
            got = (struct fl_str){ bytes, unescape(text, &at, bytes) };
        else
            at++;
        if (!fl_str_has_prefix(want, got))
            return false;
        want.p += got.n;
        want.n -= got.n;
    }
    return want.n == 0;
}

bool fl_span_int(struct fl_str value, int64_t *ret)
{
    long long number;
    if (fl_span_type(value) != FL_SPAN_NUMBER ||
        !fl_str_to_i64(fl_text_token(value.p, value.p + value.n), &number))
        return false;
    *ret = number;
    return true;
}

bool fl_span_is_flat(struct fl_str key, struct fl_str value)
{
    enum { DIGITS = 18 }; /* always fit into 64 bits */
    switch (fl_span_type(value)) {
    case FL_SPAN_STRING:
    case FL_SPAN_TRUE:
    case FL_SPAN_FALSE:
    case FL_SPAN_NULL: break;
    case FL_SPAN_NUMBER:
        for (size_t i = 0; i < value.n; i++) {
            if (value.p[i] == '.' || value.p[i] == 'e' || value.p[i] == 'E')
                return false;
        }
        if (value.n > DIGITS)
            return false;
        break;
    default: return false;
    }
    return !memchr(key.p, '\\', key.n);
}
