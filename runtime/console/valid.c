/* Checks of single values. */
#include "runtime/console/valid.h"

#include "mcp/schema.h"
#include "runtime/notify/card_title.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool fl_is_name(struct fl_str s, bool may_have_dots)
{
    bool is_fine = s.n > 0 && s.n <= 63 && is_lower_or_digit(s.p[0]);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        is_fine &= is_lower_or_digit(c) || c == '-' || (may_have_dots && (c == '.' || c == '_'));
    }
    return is_fine;
}

bool fl_is_server_name(struct fl_str s)
{
    return s.n <= 32 && fl_is_name(s, false);
}

bool fl_is_title(struct fl_str s)
{
    bool is_fine = s.n <= FL_VALID_TITLE_MAX;
    for (size_t i = 0; i < s.n; i++)
        is_fine &= (unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f;
    return is_fine;
}

bool fl_is_email(struct fl_str s)
{
    const char *at = s.n ? memchr(s.p, '@', s.n) : NULL;
    return fl_is_title(s) &&
           (!s.n || (at && at != s.p && at != s.p + s.n - 1 && !memchr(s.p, ' ', s.n)));
}

bool fl_are_labels(const json_t *value)
{
    const char *key;
    json_t *each;
    bool is_fine = json_is_object(value) && json_object_size(value) <= FL_VALID_LABELS_MAX;
    json_object_foreach ((json_t *)value, key, each)
        is_fine &= json_is_string(each) && json_string_length(each) <= FL_VALID_TITLE_MAX && *key &&
                   strlen(key) <= FL_VALID_TITLE_MAX;
    return is_fine;
}

bool fl_are_pointers(const json_t *value)
{
    bool is_fine = json_is_array(value) && json_array_size(value) <= 64;
    for (size_t i = 0; is_fine && i < json_array_size(value); i++) {
        struct fl_str p = fl_json_str(json_array_get(value, i));
        is_fine = p.n > 1 && p.n <= 256 && p.p[0] == '/';
    }
    return is_fine;
}

enum fl_code fl_definition_is_usable(struct fl_str definition, struct fl_err *err)
{
    struct fl_err why;
    struct fl_schema *schema = NULL;
    json_t *d = fl_json_parse(definition, &why);
    struct fl_str sentence = fl_json_get_str(d, "card");
    enum fl_code code =
        d ? fl_schema_new(json_object_get(d, "inputSchema"), NULL, &schema, &why) : why.code;
    if (code == FL_OK && sentence.p)
        code = fl_sentence_check(sentence, &why);
    fl_schema_free(&schema);
    json_decref(d);
    if (code)
        return fl_err_set(err, code == FL_NOMEM ? FL_NOMEM : FL_BAD_PARAMS,
                          "the definition cannot be used: %.300s", why.text);
    return FL_OK;
}

struct fl_str fl_labels_text(struct fl_arena *arena, const json_t *labels)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    struct fl_str ret = { NULL, 0 };
    if (fl_json_put_canonical(&text, labels, &err) == FL_OK)
        ret = fl_arena_str(arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    return ret;
}

struct fl_str fl_json_text(struct fl_arena *arena, const json_t *value)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_str ret = { NULL, 0 };
    fl_json_put(&text, value);
    if (!text.is_failed)
        ret = fl_arena_str(arena, fl_buf_view(&text));
    fl_buf_fini(&text);
    return ret;
}
