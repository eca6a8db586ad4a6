/* What was sent with a request: members of the body, parameters of the query. */
#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/console/valid.h"
#include "runtime/io/http_site.h"

bool fl_api_text(struct fl_api *a, const char *name, bool is_required, struct fl_str *ret)
{
    const json_t *value = a->body ? json_object_get(a->body, name) : NULL;
    bool is_text = json_is_string(value);
    *ret = is_text ? fl_json_str(value) : (struct fl_str){ NULL, 0 };
    if (is_text ? ret->n || !is_required : (!value || json_is_null(value)) && !is_required)
        return true;
    if (!value || json_is_null(value))
        fl_api_error(a, FL_BAD_PARAMS, "'%s' is missing", name);
    else
        fl_api_error(a, FL_BAD_PARAMS, "'%s' must be a text%s", name,
                     is_text ? " that is not empty" : "");
    return false;
}

bool fl_api_duration(struct fl_api *a, const char *name, int64_t *ret_ms)
{
    const json_t *value = a->body ? json_object_get(a->body, name) : NULL;
    *ret_ms = 0;
    if (!value || json_is_null(value))
        return true;
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) < INT64_MAX / 1000) {
        *ret_ms = json_integer_value(value) * 1000;
        return true;
    }
    if (json_is_string(value) && fl_duration_parse(fl_json_str(value), ret_ms))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be a duration, for instance \"4h\"", name);
    return false;
}

bool fl_api_flag(struct fl_api *a, const char *name, bool *ret)
{
    const json_t *value = a->body ? json_object_get(a->body, name) : NULL;
    *ret = json_is_true(value);
    if (!value || json_is_boolean(value) || json_is_null(value))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be true or false", name);
    return false;
}

bool fl_api_list(struct fl_api *a, const char *name, const char **ret)
{
    const json_t *value = a->body ? json_object_get(a->body, name) : NULL;
    struct fl_buf out = FL_BUF_INIT;
    bool is_fine = !value || json_is_array(value) || json_is_null(value);
    *ret = NULL;
    for (size_t i = 0; is_fine && i < json_array_size(value); i++) {
        struct fl_str item = fl_json_str(json_array_get(value, i));
        is_fine = item.n && !memchr(item.p, ',', item.n);
        if (i)
            fl_buf_putc(&out, ',');
        fl_buf_str(&out, item);
    }
    if (is_fine && json_is_array(value)) {
        *ret = fl_arena_strndup(a->arena, out.p ? out.p : "", out.n);
        is_fine = *ret != NULL;
    }
    fl_buf_fini(&out);
    if (!is_fine)
        fl_api_error(a, FL_BAD_PARAMS, "'%s' must be a list of texts without commas", name);
    return is_fine;
}

struct fl_str fl_api_query(struct fl_api *a, const char *name)
{
    struct fl_str key, value;
    struct fl_err err;
    enum fl_code code;
    for (size_t pos = 0;
         (code = fl_http_form_next(a->arena, a->query, &pos, &key, &value, &err)) == FL_OK;) {
        if (fl_str_is(key, name))
            return value;
    }
    a->is_nomem |= code == FL_NOMEM;
    return (struct fl_str){ NULL, 0 };
}

int64_t fl_api_query_int(struct fl_api *a, const char *name, int64_t fallback)
{
    long long value;
    struct fl_str text = fl_api_query(a, name);
    if (!text.p)
        return fallback;
    return fl_str_to_i64(text, &value) ? value : -1;
}

bool fl_api_query_flag(struct fl_api *a, const char *name, bool *ret)
{
    struct fl_str text = fl_api_query(a, name);
    *ret = fl_str_is(text, "true");
    if (!text.n || *ret || fl_str_is(text, "false"))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be true or false", name);
    return false;
}

bool fl_api_query_since(struct fl_api *a, const char *name, int64_t *ret_utc_ms)
{
    struct fl_str text = fl_api_query(a, name);
    int64_t ms;
    *ret_utc_ms = 0;
    if (!text.p)
        return true;
    if (fl_time_parse(text, ret_utc_ms))
        return true;
    if (fl_duration_parse(text, &ms)) {
        *ret_utc_ms = fl_real_ms() - ms;
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be a duration (\"2h\") or a time", name);
    return false;
}

/* ---------------------------------------------------------------- texts that people see */
bool fl_api_name(struct fl_api *a, const char *name, bool may_have_dots, struct fl_str *ret)
{
    if (!fl_api_text(a, name, true, ret))
        return false;
    bool is_fine = fl_is_name(*ret, may_have_dots);
    if (!is_fine)
        fl_api_error(a, FL_BAD_PARAMS,
                     "'%s' must have 1 to 63 of a-z, 0-9, %s and start with a letter or digit",
                     name, may_have_dots ? "'.', '_', '-'" : "'-'");
    return is_fine;
}

bool fl_api_title(struct fl_api *a, const char *name, struct fl_str *ret)
{
    if (!fl_api_text(a, name, false, ret))
        return false;
    if (fl_is_title(*ret))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%s' must be one line of at most %d bytes", name,
                 FL_VALID_TITLE_MAX);
    return false;
}

/* Is it one of "name title"? */
static bool is_of(const char *known, struct fl_str word)
{
    for (const char *at = known; *at;) {
        size_t n = strcspn(at, " ");
        if (fl_str_eq((struct fl_str){ at, n }, word))
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

static bool is_known(struct fl_api *a, const char *known, struct fl_str word)
{
    if (is_of(known, word))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'%.*s' is not known here (known: %s)",
                 (int)(word.n < 60 ? word.n : 60), word.p, *known ? known : "nothing");
    return false;
}

bool fl_api_members(struct fl_api *a, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach (a->body, key, value) {
        if (!is_known(a, known ? known : "", fl_str_of(key)))
            return false;
    }
    return true;
}

bool fl_api_parameters(struct fl_api *a, const char *known)
{
    struct fl_str key, value;
    struct fl_err err;
    enum fl_code code;
    for (size_t pos = 0;
         (code = fl_http_form_next(a->arena, a->query, &pos, &key, &value, &err)) == FL_OK;) {
        if (key.n && !is_known(a, known ? known : "", key))
            return false;
    }
    a->is_nomem |= code == FL_NOMEM;
    if (code == FL_NOT_FOUND || code == FL_NOMEM) /* no more of them; answered at the end */
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "a parameter of the query cannot be read: %s", err.text);
    return false;
}
