/* Reading documents: every error says the line, the rule, what is wrong and what would be right. */
#include <stdarg.h>
#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "policy/policy_priv.h"

/* ---- findings ---- */
bool policy_finding(struct fl_findings *f, enum fl_severity severity, unsigned line,
                    struct fl_str rule, const char *text)
{
    if (!f->arena && !(f->arena = fl_arena_new(0)))
        return false;
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct fl_finding **items = fl_reallocarray(f->items, cap, sizeof *items);
        if (!items)
            return false;
        f->items = items;
        f->cap = cap;
    }
    struct fl_finding *item = FL_ARENA_NEW(f->arena, struct fl_finding);
    if (!item)
        return false;
    item->severity = severity;
    item->line = line;
    item->rule = fl_arena_str(f->arena, rule);
    if (!item->rule.p)
        return false;
    size_t n = fl_utf8_cut(fl_str_of(text), sizeof item->text - 1);
    memcpy(item->text, text, n);
    f->items[f->count++] = item;
    f->error_count += severity == FL_SEVERITY_ERROR;
    return true;
}

void fl_findings_fini(struct fl_findings *findings)
{
    fl_free(findings->items);
    fl_arena_free(&findings->arena);
    *findings = (struct fl_findings){ 0 };
}

/* ---- errors ---- */
unsigned policy_line(const struct policy_reader *r, const char *at, const char *key)
{
    char pointer[300];
    size_t n = (size_t)snprintf(pointer, sizeof pointer - 1, "%s%s", at, key ? "/" : "");
    if (!r->source || !r->source->line || n >= sizeof pointer - 1)
        return 0;
    for (; key && *key && n < sizeof pointer - 2; key++) { /* RFC 6901 section 3 */
        if (*key == '~' || *key == '/') {
            pointer[n++] = '~';
            pointer[n++] = *key == '~' ? '0' : '1';
        } else {
            pointer[n++] = *key;
        }
    }
    pointer[n] = 0;
    unsigned line = r->source->line(r->source->line_ctx, pointer);
    return line || !key ? line : r->source->line(r->source->line_ctx, at);
}

bool policy_nomem(struct policy_reader *r)
{
    if (r->code != FL_NOMEM)
        r->code = fl_err_code(r->err, FL_NOMEM);
    return false;
}

bool policy_error(struct policy_reader *r, const char *at, const char *key, const char *fmt, ...)
{
    char text[FL_ERR_TEXT_BYTES], where[120] = "";
    unsigned line = policy_line(r, at, key);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->findings && !policy_finding(r->findings, FL_SEVERITY_ERROR, line, r->rule, text))
        return policy_nomem(r);
    if (r->code)
        return false;
    if (line)
        snprintf(where, sizeof where, "line %u%s", line, r->rule.n ? ", " : ": ");
    r->code = fl_err_set(r->err, FL_BAD_PARAMS, "%s%s%.*s%s%s", where, r->rule.n ? "rule '" : "",
                         FL_STR_ARG(r->rule), r->rule.n ? "': " : "", text);
    return false;
}

/* ---- members ---- */
bool policy_keys(struct policy_reader *r, const char *at, const json_t *object, const char *what,
                 const char *const *keys, size_t count)
{
    const char *key;
    json_t *value;
    bool is_ok = true;
    json_object_foreach ((json_t *)object, key, value) {
        const char *nearest = NULL;
        unsigned least = 4;
        for (size_t i = 0; i < count && least; i++) {
            unsigned d = fl_str_distance(fl_str_of(key), fl_str_of(keys[i]));
            if (d < least) {
                least = d;
                nearest = keys[i];
            }
        }
        if (nearest && least == 0)
            continue;
        is_ok = nearest ? policy_error(r, at, key, "'%.60s' is not a key of %s; did you mean '%s'?",
                                       key, what, nearest)
                        : policy_error(r, at, key, "'%.60s' is not a key of %s", key, what);
    }
    return is_ok;
}

bool policy_bool(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                 bool *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_boolean(value))
        return policy_error(r, at, key, "'%s' is true or false", key);
    *ret = json_is_true(value);
    return true;
}

bool policy_count(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                  unsigned most, unsigned *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    if (n < 1 || n > (json_int_t)most)
        return policy_error(r, at, key, "'%s' is a number from 1 to %u", key, most);
    *ret = (unsigned)n;
    return true;
}

static bool is_printable(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

bool policy_text(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                 size_t max_bytes, struct fl_str *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    struct fl_str text = fl_json_str(value);
    if (!text.p || text.n == 0 || text.n > max_bytes)
        return policy_error(r, at, key, "'%s' is a text of 1 to %zu bytes", key, max_bytes);
    *ret = fl_arena_str(r->arena, text);
    return ret->p ? true : policy_nomem(r);
}

bool policy_choice(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                   const char *const *choices, size_t count, unsigned *ret)
{
    const json_t *value = json_object_get(object, key);
    char list[100] = "";
    size_t n = 0;
    if (!value)
        return true;
    for (unsigned i = 0; i < count; i++) {
        if (json_is_string(value) && fl_str_is(fl_json_str(value), choices[i])) {
            *ret = i;
            return true;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", choices[i],
                              i + 2 < count    ? ", "
                              : i + 2 == count ? " or "
                                               : "");
    }
    return policy_error(r, at, key, "'%s' is %s", key, list);
}

bool policy_texts(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                  size_t most, bool (*is_valid)(struct fl_str), const char *form,
                  const struct fl_str **ret, size_t *ret_count)
{
    const json_t *list = json_object_get(object, key);
    if (!list)
        return true;
    size_t n = json_array_size(list); /* 0 for anything that is not a list */
    if (n == 0 || n > most)
        return policy_error(r, at, key, "'%s' is a list of 1 to %zu texts", key, most);
    struct fl_str *items = fl_arena_array(r->arena, n, sizeof *items);
    if (!items)
        return policy_nomem(r);
    for (size_t i = 0; i < n; i++) {
        struct fl_str text = fl_json_str(json_array_get(list, i));
        if (!text.p || !is_valid(text)) {
            bool is_shown = text.p && text.n > 0 && text.n <= 128 && is_printable(text);
            return policy_error(r, at, key, "'%s' has %s%.*s%s where %s should be", key,
                                is_shown ? "'" : "an entry", is_shown ? (int)text.n : 0,
                                is_shown ? text.p : "", is_shown ? "'" : "", form);
        }
        for (size_t k = 0; k < i; k++) {
            if (fl_str_eq(items[k], text))
                return policy_error(r, at, key, "'%s' has '%.*s' twice", key, FL_STR_ARG(text));
        }
        items[i] = fl_arena_str(r->arena, text);
        if (!items[i].p)
            return policy_nomem(r);
    }
    *ret = items;
    *ret_count = n;
    return true;
}

bool policy_is_name(struct fl_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return text.n > 0 && text.n <= POLICY_NAME_MAX;
}

bool policy_is_label(struct fl_str text)
{
    return text.n > 0 && text.n <= POLICY_NAME_MAX && is_printable(text) && text.p[0] != ' ' &&
           text.p[text.n - 1] != ' ';
}
