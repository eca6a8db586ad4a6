/* The form in which a person changes the arguments of a call that waits: an input for each. A plain
 * text is typed as it is; everything else is JSON, a text with characters that cannot be seen too,
 * with these as escapes. Secrets and what is too long stay as they are. Pure. */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/detect.h"
#include "runtime/notify/show.h"
#include "runtime/notify/slack_priv.h"

#define INPUTS_MAX  40
#define INPUT_CHARS 2900 /* Slack takes 3,000 */
#define NAME_CHARS  150
#define DEPTH       64 /* fl_json_parse takes no more */

/* How one argument stands in the form. */
enum form { FORM_TEXT, FORM_JSON, FORM_SECRET, FORM_LONG };

/* ---------------------------------------------------------------- what stays as it is */
/* Does an operator's pointer lead to it, or into it? */
static bool is_named(const struct fl_approval_view *v, const char *name)
{
    struct fl_buf own = FL_BUF_INIT;
    bool found = false;
    fl_json_pointer_add(&own, fl_str_of(name));
    for (size_t i = 0; i < v->secret_count; i++) {
        struct fl_str s = v->secrets[i];
        size_t end = 1;
        if (!s.n || s.p[0] != '/') { /* the root, or none that we can read: rather too much */
            found = true;
            continue;
        }
        while (end < s.n && s.p[end] != '/')
            end++;
        struct fl_str first = { s.p, end };
        found |= fl_str_is(first, "/*") || fl_str_eq(first, fl_buf_view(&own));
    }
    found |= own.is_failed;
    fl_buf_fini(&own);
    return found;
}

static bool is_detected(struct fl_str text, const char *name)
{
    struct fl_detected found;
    return fl_detect_secret(text, fl_str_of(name ? name : ""), 0, &found);
}

struct level {
    json_t *at;
    void *iter; /* of an object */
    size_t i;   /* of an array */
};

/* A known secret in any of its texts? */
static bool has_secret(json_t *value, const char *name)
{
    struct level stack[DEPTH + 1];
    size_t depth = 0;
    if (json_is_string(value))
        return is_detected(fl_json_str(value), name);
    if (!json_is_object(value) && !json_is_array(value))
        return false;
    stack[depth++] = (struct level){ value, json_object_iter(value), 0 };
    while (depth) {
        struct level *l = &stack[depth - 1];
        json_t *next =
            json_is_object(l->at) ? json_object_iter_value(l->iter) : json_array_get(l->at, l->i);
        const char *key = json_is_object(l->at) && l->iter ? json_object_iter_key(l->iter) : NULL;
        if (!next) {
            depth--;
            continue;
        }
        if (json_is_object(l->at))
            l->iter = json_object_iter_next(l->at, l->iter);
        l->i++;
        if (json_is_string(next) && is_detected(fl_json_str(next), key))
            return true;
        if (!json_is_object(next) && !json_is_array(next))
            continue;
        if (depth == FL_COUNTOF(stack))
            return true;
        stack[depth++] = (struct level){ next, json_object_iter(next), 0 };
    }
    return false;
}

/* ---------------------------------------------------------------- an argument's input */
/* Is every character of it seen as it is? Lines may end. */
static bool is_plain(struct fl_str text)
{
    struct fl_buf shown = FL_BUF_INIT;
    bool is_fine = true;
    for (size_t from = 0; from <= text.n && is_fine;) {
        const char *end = from < text.n ? memchr(text.p + from, '\n', text.n - from) : NULL;
        struct fl_str line = { text.p + from, end ? (size_t)(end - text.p) - from : text.n - from };
        fl_buf_reset(&shown);
        fl_show(&shown, line, 0, NULL);
        is_fine = !shown.is_failed && fl_str_eq(fl_buf_view(&shown), line);
        from += line.n + 1;
    }
    fl_buf_fini(&shown);
    return is_fine;
}

/* What the input holds at first; FORM_SECRET and FORM_LONG: nothing. */
static enum form form_of(const struct fl_approval_view *v, const char *name, json_t *value,
                         struct fl_buf *ret)
{
    if (is_named(v, name) || has_secret(value, name))
        return FORM_SECRET;
    if (json_is_string(value) && is_plain(fl_json_str(value))) {
        fl_buf_str(ret, fl_json_str(value));
        return fl_utf8_count(fl_buf_view(ret)) > INPUT_CHARS ? FORM_LONG : FORM_TEXT;
    }
    fl_json_put(ret, value);
    if (!ret->is_failed && !is_plain(fl_buf_view(ret))) {
        char *ascii = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_COMPACT);
        fl_buf_reset(ret);
        fl_buf_puts(ret, ascii ? ascii : "");
        ret->is_failed |= !ascii;
        fl_free(ascii);
    }
    return fl_utf8_count(fl_buf_view(ret)) > INPUT_CHARS ? FORM_LONG : FORM_JSON;
}

static void input(struct fl_buf *out, const char *id, struct fl_str label, const char *hint,
                  struct fl_str text, int max)
{
    fl_buf_printf(out, ",{\"type\":\"input\",\"optional\":true,\"block_id\":\"%s\",\"label\":", id);
    fl_slack_put_plain(out, label);
    if (hint) {
        fl_buf_puts(out, ",\"hint\":");
        fl_slack_put_plain(out, fl_str_of(hint));
    }
    fl_buf_printf(out,
                  ",\"element\":{\"type\":\"plain_text_input\",\"action_id\":\"v\",\"multiline\":"
                  "true,\"max_length\":%d",
                  max);
    if (text.n) {
        fl_buf_puts(out, ",\"initial_value\":");
        fl_buf_json_str(out, text);
    }
    fl_buf_puts(out, "}}");
}

/* "count (as JSON)" */
static void put_label(struct fl_buf *out, const char *name, const char *what)
{
    struct fl_str text = fl_str_of(name);
    text.n = text.n > NAME_CHARS ? fl_utf8_cut(text, NAME_CHARS) : text.n;
    fl_show(out, text, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_puts(out, what);
}

/* What was typed into an input; NULL: the form had none of that name. */
static const json_t *typed(const struct fl_slack_event *s, const char *id)
{
    return json_object_get(json_object_get(json_object_get(s->values, id), "v"), "value");
}

static void argument(struct fl_buf *out, const struct fl_slack_event *s, size_t at,
                     const char *name, json_t *value, size_t *inputs)
{
    struct fl_buf text = FL_BUF_INIT, label = FL_BUF_INIT;
    char id[16];
    enum form form = form_of(&s->view, name, value, &text);
    snprintf(id, sizeof id, "a%zu", at);
    if (form == FORM_SECRET || form == FORM_LONG || *inputs == INPUTS_MAX) {
        put_label(&label, name,
                  form == FORM_SECRET ? ": (a secret, stays as it is)"
                  : form == FORM_LONG ? ": (too long for a form, stays as it is)"
                                      : ": (stays as it is)");
        if (at < 2 * INPUTS_MAX)
            fl_slack_put_section(out, fl_buf_view(&label));
    } else {
        const json_t *now = s->values ? typed(s, id) : NULL;
        put_label(&label, name, form == FORM_TEXT ? "" : " (as JSON; empty: without it)");
        input(out, id, fl_buf_view(&label), NULL, s->values ? fl_json_str(now) : fl_buf_view(&text),
              INPUT_CHARS);
        ++*inputs;
    }
    out->is_failed |= text.is_failed || label.is_failed;
    fl_buf_fini(&text);
    fl_buf_fini(&label);
}

enum fl_code fl_slack_view_edit(struct fl_buf *out, const struct fl_slack_event *s,
                                const char *trouble, struct fl_err *err)
{
    json_t *arguments = fl_json_parse(s->look.arguments, err), *value;
    const char *name;
    size_t at = 0, inputs = 0;
    if (!arguments)
        return err->code;
    fl_slack_put_begin(out, &s->meta);
    fl_buf_puts(out, ",\"callback_id\":\"edit\",\"submit\":");
    fl_slack_put_plain(out, FL_STR("Change it"));
    fl_buf_puts(out, ",\"blocks\":[");
    fl_slack_put_section(
        out, trouble ? fl_str_of(trouble)
                     : FL_STR("What is changed is checked and asked about anew; the agent's call "
                              "goes on with that, and it is told."));
    json_object_foreach (arguments, name, value) {
        argument(out, s, at, name, value, &inputs);
        at++;
    }
    json_decref(arguments);
    input(out, "more", FL_STR("More arguments"), "A JSON object of those that are not there yet.",
          fl_json_str(typed(s, "more")), INPUT_CHARS);
    input(out, "reason", FL_STR("Why (the agent reads it)"), NULL, fl_json_str(typed(s, "reason")),
          FL_SLACK_REASON_CHARS);
    fl_buf_puts(out, "]}");
    if (at > 2 * INPUTS_MAX)
        return fl_err_set(err, FL_TOO_LARGE,
                          "it has too many arguments for a form: flopinio approvals edit");
    return fl_buf_code(out, err);
}

/* ---------------------------------------------------------------- what came back */
static void member(struct fl_buf *out, const char *name, struct fl_str json)
{
    fl_buf_putc(out, out->n > 1 ? ',' : '{');
    fl_buf_json_str(out, fl_str_of(name));
    fl_buf_putc(out, ':');
    fl_buf_str(out, json);
}

static enum fl_code no_json(const char *name, const struct fl_err *why, struct fl_err *err)
{
    struct fl_buf label = FL_BUF_INIT;
    put_label(&label, name, "");
    enum fl_code code = fl_err_set(err, FL_BAD_PARAMS, "%.*s is no JSON: %.150s",
                                   FL_STR_ARG(fl_buf_view(&label)), why->text);
    fl_buf_fini(&label);
    return code;
}

static enum fl_code read_one(struct fl_buf *out, const struct fl_slack_event *s, size_t at,
                             const char *name, json_t *value, size_t *inputs, struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT, stored = FL_BUF_INIT;
    struct fl_err why;
    char id[16];
    enum form form = form_of(&s->view, name, value, &text);
    enum fl_code code = FL_OK;
    snprintf(id, sizeof id, "a%zu", at);
    bool is_input = (form == FORM_TEXT || form == FORM_JSON) && *inputs < INPUTS_MAX;
    *inputs += is_input;
    struct fl_str now = fl_json_str(typed(s, id));
    fl_buf_reset(&text);
    if (!is_input || !json_object_get(s->values, id)) {
        fl_json_put(&stored, value);
        member(out, name, fl_buf_view(&stored));
    } else if (form == FORM_TEXT) {
        fl_buf_json_str(&text, now.p ? now : FL_STR(""));
        member(out, name, fl_buf_view(&text));
    } else if (fl_str_trim(now).n) {
        json_t *tree = fl_json_parse(now, &why);
        code = tree ? FL_OK : no_json(name, &why, err);
        if (tree) {
            fl_json_put(&text, tree);
            member(out, name, fl_buf_view(&text));
        }
        json_decref(tree);
    }
    out->is_failed |= text.is_failed || stored.is_failed;
    fl_buf_fini(&text);
    fl_buf_fini(&stored);
    return code;
}

/* Names that are there already stay what their own input says. */
static enum fl_code read_more(struct fl_buf *out, const struct fl_slack_event *s,
                              const json_t *arguments, struct fl_err *err)
{
    struct fl_str text = fl_str_trim(fl_json_str(typed(s, "more")));
    struct fl_err why;
    const char *name;
    json_t *value;
    if (!text.n)
        return FL_OK;
    json_t *tree = fl_json_parse(text, &why);
    enum fl_code code = tree ? FL_OK : no_json("More arguments", &why, err);
    if (tree && !json_is_object(tree))
        code = fl_err_set(err, FL_BAD_PARAMS, "'More arguments' must be a JSON object");
    json_object_foreach (tree, name, value) {
        struct fl_buf one = FL_BUF_INIT;
        if (json_object_get(arguments, name))
            code = fl_err_set(err, FL_BAD_PARAMS,
                              "'More arguments' has one that has an input of its own");
        fl_json_put(&one, value);
        member(out, name, fl_buf_view(&one));
        out->is_failed |= one.is_failed;
        fl_buf_fini(&one);
    }
    json_decref(tree);
    return code;
}

enum fl_code fl_slack_edit_read(const struct fl_slack_event *s, struct fl_str *ret_arguments,
                                struct fl_str *ret_reason, struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    json_t *arguments = fl_json_parse(s->look.arguments, err), *value;
    const char *name;
    size_t at = 0, inputs = 0;
    enum fl_code code = arguments ? FL_OK : err->code;
    json_object_foreach (arguments, name, value) {
        if (code == FL_OK)
            code = read_one(&out, s, at, name, value, &inputs, err);
        at++;
    }
    if (code == FL_OK)
        code = read_more(&out, s, arguments, err);
    json_decref(arguments);
    fl_buf_puts(&out, out.n ? "}" : "{}");
    if (code == FL_OK)
        code = fl_buf_code(&out, err);
    if (code == FL_OK) {
        *ret_arguments = fl_arena_str(s->arena, fl_buf_view(&out));
        *ret_reason = fl_str_trim(fl_json_str(typed(s, "reason")));
        code = ret_arguments->p ? FL_OK : fl_err_code(err, FL_NOMEM);
    }
    if (out.p)
        fl_cleanse(out.p, out.n);
    fl_buf_fini(&out);
    return code;
}
