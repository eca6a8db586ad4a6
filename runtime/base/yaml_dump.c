/* Writing YAML for people: block style, quotes only where a reader of YAML could take the text for
 * something else, line breaks as they are where that is exact. Called by the CLI's show and export
 * commands; any thread. */
#include <math.h>

#include "flopinio/base/json.h"
#include "flopinio/base/utf8.h"
#include "flopinio/base/yaml.h"
#include "yaml_priv.h"

#define KEY_MAX 1000 /* longer ones need the explicit form: YAML allows 1024 before the ':' */

struct frame {
    const json_t *container;
    void *iter;   /* the next member of an object */
    size_t index; /* children written so far */
    unsigned indent;
    bool is_inline; /* its first child stands on the line of the dash in front */
};

/* ---- strings ---- */
/* Is it text that every reader shows and keeps as it is? Line breaks are not. */
static bool is_printable(int32_t c)
{
    return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c <= 0x9f) && c != 0x2028 && c != 0x2029 &&
           c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static bool is_all_printable(struct fl_str s, bool may_break)
{
    size_t pos = 0;
    for (int32_t c; (c = fl_utf8_next(s, &pos)) != -1;) {
        if (!is_printable(c) && !(may_break && (c == '\n' || c == '\t')))
            return false;
    }
    return true;
}

/* Words that YAML 1.1 takes for booleans: quoted for its readers' sake. */
static bool is_old_boolean(struct fl_str s)
{
    static const char *const words[] = { "y", "n", "yes", "no", "on", "off" };
    for (size_t i = 0; i < FL_COUNTOF(words); i++) {
        if (fl_str_eq_nocase(s, fl_str_of(words[i])))
            return true;
    }
    return false;
}

static bool is_plain_safe(struct fl_str s)
{
    if (s.n == 0 || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == ':' || is_old_boolean(s) ||
        fl_yaml_plain(s) != FL_YAML_STRING || !is_all_printable(s, false))
        return false;
    char first = s.p[0];
    bool is_word = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
                   first == '_' || first == '/' || (unsigned char)first >= 0x80;
    if (!is_word)
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if ((s.p[i] == ' ' && s.p[i - 1] == ':') || (s.p[i] == '#' && s.p[i - 1] == ' '))
            return false;
    }
    return true;
}

/* A block literal says exactly what it shows if the first line is not blank or indented and at
 * most one break ends the text. */
static bool is_literal_exact(struct fl_str s)
{
    if (s.n < 2 || !memchr(s.p, '\n', s.n - 1) || s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n')
        return false;
    if (s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n')
        return false;
    return is_all_printable(s, true);
}

static void put_indent(struct fl_buf *out, unsigned indent)
{
    fl_buf_printf(out, "%*s", (int)indent, "");
}

static void put_literal(struct fl_buf *out, struct fl_str s, unsigned indent)
{
    bool ends_with_break = s.p[s.n - 1] == '\n';
    fl_buf_puts(out, ends_with_break ? "|\n" : "|-\n");
    for (size_t at = 0; at < s.n;) {
        const char *newline = memchr(s.p + at, '\n', s.n - at);
        size_t n = newline ? (size_t)(newline - s.p) - at : s.n - at;
        if (n)
            put_indent(out, indent);
        fl_buf_put(out, s.p + at, n);
        fl_buf_putc(out, '\n');
        at += n + 1;
    }
}

/* JSON's escapes are YAML's too; YAML needs some more characters escaped. */
static void put_quoted(struct fl_buf *out, struct fl_str s)
{
    fl_buf_putc(out, '"');
    for (size_t pos = 0, from = 0; pos < s.n; from = pos) {
        int32_t c = fl_utf8_next(s, &pos);
        if (c == '"' || c == '\\')
            fl_buf_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            fl_buf_puts(out, "\\n");
        else if (c == '\t')
            fl_buf_puts(out, "\\t");
        else if (!is_printable(c))
            fl_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            fl_buf_put(out, s.p + from, pos - from);
    }
    fl_buf_putc(out, '"');
}

static void put_string(struct fl_buf *out, struct fl_str s)
{
    if (is_plain_safe(s))
        fl_buf_str(out, s);
    else
        put_quoted(out, s);
}

/* ---- values ---- */
static bool is_block(const json_t *value)
{
    return json_object_size(value) > 0 || json_array_size(value) > 0;
}

/* A scalar or an empty container and the line's end; `indent` for a literal's lines. */
static void put_on_line(struct fl_buf *out, const json_t *value, unsigned indent)
{
    struct fl_str s = fl_json_str(value);
    if (s.p && is_literal_exact(s)) {
        put_literal(out, s, indent);
        return;
    }
    if (s.p)
        put_string(out, s);
    else
        fl_json_put(out, value);
    fl_buf_putc(out, '\n');
}

static enum fl_code check_string(struct fl_str s, struct fl_err *err)
{
    if (s.n && memchr(s.p, 0, s.n))
        return fl_err_set(err, FL_BAD_PARAMS, "a NUL character has no place in YAML");
    return FL_OK;
}

/* Writes "key:" or "-" and hands out the value. */
static enum fl_code put_head(struct fl_buf *out, struct frame *f, const json_t **ret_value,
                             struct fl_err *err)
{
    if (f->index > 0 || !f->is_inline)
        put_indent(out, f->indent);
    if (json_is_array(f->container)) {
        *ret_value = json_array_get(f->container, f->index++);
        fl_buf_putc(out, '-');
        return FL_OK;
    }
    struct fl_str key = { json_object_iter_key(f->iter), json_object_iter_key_len(f->iter) };
    *ret_value = json_object_iter_value(f->iter);
    f->iter = json_object_iter_next((json_t *)f->container, f->iter);
    f->index++;
    if (key.n > KEY_MAX) {
        fl_buf_puts(out, "? ");
        put_quoted(out, key);
        fl_buf_putc(out, '\n');
        put_indent(out, f->indent);
    } else {
        put_string(out, key);
    }
    fl_buf_putc(out, ':');
    return check_string(key, err);
}

static struct frame frame_of(const json_t *container, unsigned indent, bool is_inline)
{
    return (struct frame){ container, json_object_iter((json_t *)container), 0, indent, is_inline };
}

enum fl_code fl_yaml_dump(const json_t *root, struct fl_buf *out, struct fl_err *err)
{
    struct frame frames[FL_YAML_DEPTH_MAX];
    size_t depth = 0;
    enum fl_code code = check_string(fl_json_str(root), err);
    if (is_block(root))
        frames[depth++] = frame_of(root, 0, false);
    else if (code == FL_OK)
        put_on_line(out, root, 2);
    while (depth && code == FL_OK && !out->is_failed) {
        struct frame *f = &frames[depth - 1];
        bool is_array = json_is_array(f->container);
        if (is_array ? f->index == json_array_size(f->container) : !f->iter) {
            depth--;
            continue;
        }
        const json_t *value;
        code = put_head(out, f, &value, err);
        if (code == FL_OK)
            code = check_string(fl_json_str(value), err);
        if (code)
            break;
        if (!is_block(value)) {
            fl_buf_putc(out, ' ');
            put_on_line(out, value, f->indent + 2);
        } else if (depth == FL_YAML_DEPTH_MAX) {
            code = fl_err_set(err, FL_TOO_LARGE, "nested deeper than %d levels", FL_YAML_DEPTH_MAX);
        } else {
            fl_buf_putc(out, is_array ? ' ' : '\n');
            frames[depth++] = frame_of(value, f->indent + 2, is_array);
        }
    }
    return code ? code : fl_buf_code(out, err);
}
