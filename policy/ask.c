/* Asks: from a document's tree, to canonical JSON and back, and in words. The frozen form is the
 * document's form with every member written out, so that one reader serves both. */
#include "policy/ask.h"

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

const char *const policy_match_names[FL_MATCH_COUNT] = { "any", "all", "each" };
const char *const policy_after_leave_names[FL_AFTER_LEAVE_COUNT] = { "wait", "cancel" };
const char *const policy_disclose_names[FL_DISCLOSE_COUNT] = { "full", "summary" };
const char *const policy_risk_names[FL_RISK_COUNT] = { "low", "normal", "high" };

const char *const policy_ask_keys[] = { "thresholds",
                                        "any",
                                        "notify",
                                        "expires",
                                        "after_leave",
                                        "second_factor",
                                        "owner_may_approve",
                                        "disclose",
                                        "risk",
                                        "undo",
                                        "editor_may_approve",
                                        "typed_confirmation",
                                        "remind",
                                        "urgent" };
const size_t policy_ask_key_count = FL_COUNTOF(policy_ask_keys);
static const char *const threshold_keys[] = { "approve", "deny", "groups", "match", "where" };

const struct fl_cel_var person_vars[PERSON_VAR_COUNT] = {
    [PERSON_NAME] = { "person.name", "s" },
    [PERSON_ROLE] = { "person.role", "s" },
    [PERSON_GROUPS] = { "person.groups", "[s" },
};

/* ---- reading ---- */
static bool read_where(struct policy_reader *r, const char *at, struct fl_threshold *t)
{
    const struct fl_cel_env env = { .vars = person_vars, .var_count = PERSON_VAR_COUNT };
    struct fl_cel *program = NULL;
    struct fl_err err;
    if (t->where.n == 0)
        return true;
    enum fl_code code = fl_cel_compile(t->where, &env, &program, &err);
    t->where_program = program;
    if (code == FL_NOMEM)
        return policy_nomem(r);
    if (code)
        return policy_error(r, at, "where", "'where': %s", err.text);
    if (!fl_cel_may_be_bool(program))
        return policy_error(r, at, "where", "'where' is %s, not bool", fl_cel_type(program));
    return true;
}

static bool read_threshold(struct policy_reader *r, const char *at, const json_t *object,
                           struct fl_threshold *t)
{
    unsigned match = FL_MATCH_ANY;
    t->approve = t->deny = 1;
    if (!json_is_object(object))
        return policy_error(r, at, NULL, "a threshold is a map, as in { approve: 1 }");
    bool is_ok =
        policy_keys(r, at, object, "a threshold", threshold_keys, FL_COUNTOF(threshold_keys));
    is_ok &= policy_count(r, at, object, "approve", FL_APPROVE_MAX, &t->approve);
    is_ok &= policy_count(r, at, object, "deny", FL_APPROVE_MAX, &t->deny);
    is_ok &= policy_texts(r, at, object, "groups", FL_THRESHOLD_GROUPS_MAX, policy_is_label,
                          "the name of a group", &t->groups, &t->group_count);
    is_ok &= policy_choice(r, at, object, "match", policy_match_names, FL_MATCH_COUNT, &match);
    is_ok &= policy_text(r, at, object, "where", 1000, &t->where);
    t->match = (enum fl_match)match;
    if (is_ok && t->match != FL_MATCH_ANY && t->group_count == 0)
        return policy_error(r, at, "match", "'match: %s' needs 'groups'",
                            policy_match_names[t->match]);
    return is_ok && read_where(r, at, t);
}

static bool read_thresholds(struct policy_reader *r, const char *at, const json_t *object,
                            struct fl_ask *ask)
{
    const json_t *list = json_object_get(object, "thresholds");
    size_t n = list ? json_array_size(list) : 1;
    if (n == 0 || n > FL_THRESHOLDS_MAX)
        return policy_error(r, at, "thresholds", "'thresholds' is a list of 1 to %d thresholds",
                            FL_THRESHOLDS_MAX);
    struct fl_threshold *items = fl_arena_array(r->arena, n, sizeof *items);
    if (!items)
        return policy_nomem(r);
    ask->thresholds = items;
    ask->threshold_count = n;
    if (!list) {
        items[0].approve = items[0].deny = 1;
        return true;
    }
    bool is_ok = policy_bool(r, at, object, "any", &ask->is_any);
    for (size_t i = 0; i < n; i++) {
        char *place = fl_arena_printf(r->arena, "%s/thresholds/%zu", at, i);
        if (!place)
            return policy_nomem(r);
        is_ok &= read_threshold(r, place, json_array_get(list, i), &items[i]);
    }
    return is_ok;
}

static bool read_expires(struct policy_reader *r, const char *at, const json_t *object,
                         struct fl_ask *ask)
{
    const json_t *value = json_object_get(object, "expires");
    struct fl_str text = fl_json_str(value);
    if (!value)
        return true;
    if (!text.p || !fl_duration_parse(text, &ask->expires_ms) ||
        ask->expires_ms < FL_ASK_EXPIRES_MIN_MS || ask->expires_ms > FL_ASK_EXPIRES_MAX_MS)
        return policy_error(r, at, "expires", "'expires' is a time from 1m to 7d, as in 4h");
    return true;
}

/* "notify: [a, [b, c]]": first a, then b and c together. The names flat, and the step of each. */
static bool read_notify(struct policy_reader *r, const char *at, const json_t *object,
                        struct fl_ask *ask)
{
    const json_t *steps = json_object_get(object, "notify");
    json_t *flat = json_object(), *names = json_array();
    unsigned *step_of = fl_arena_array(r->arena, FL_NOTIFY_MAX + 1, sizeof *step_of);
    size_t n = 0;
    bool is_ok = json_object_set_new(flat, "notify", names) == 0 && step_of; /* names: stolen */
    if (!is_ok)
        policy_nomem(r);
    for (size_t i = 0; is_ok && i < json_array_size(steps); i++) {
        json_t *step = json_array_get(steps, i);
        size_t many = json_is_array(step) ? json_array_size(step) : 1;
        if (many == 0)
            is_ok = policy_error(r, at, "notify", "'notify' has an empty list");
        for (size_t k = 0; is_ok && k < many; k++, n++) {
            if (n < FL_NOTIFY_MAX)
                step_of[n] = (unsigned)i;
            is_ok = json_array_append(names, many == 1 && !json_is_array(step)
                                                 ? step
                                                 : json_array_get(step, k)) == 0 ||
                    policy_nomem(r);
        }
    }
    if (is_ok && steps)
        is_ok = policy_texts(r, at, flat, "notify", FL_NOTIFY_MAX, policy_is_name,
                             "the name of a channel", &ask->notify, &ask->notify_count);
    if (is_ok && steps)
        ask->notify_step = step_of;
    json_decref(flat);
    return is_ok;
}

static bool read_undo(struct policy_reader *r, const char *at, const json_t *object,
                      struct fl_ask *ask)
{
    const json_t *value = json_object_get(object, "undo");
    struct fl_str text = fl_json_str(value);
    if (!value)
        return true;
    if (!text.p || !fl_duration_parse(text, &ask->undo_ms) || ask->undo_ms < 0 ||
        ask->undo_ms > FL_ASK_UNDO_MAX_MS)
        return policy_error(r, at, "undo", "'undo' is a time up to 1m, as in 10s");
    return true;
}

/* Members that are younger than rows which do not have them; written when they are not the default.
 */
static bool is_younger(const char *key)
{
    return strcmp(key, "undo") == 0 || strcmp(key, "editor_may_approve") == 0 ||
           strcmp(key, "typed_confirmation") == 0 || strcmp(key, "remind") == 0 ||
           strcmp(key, "urgent") == 0;
}

/* All but the thresholds, from one object, over what *ask already says. */
static bool read_rest(struct policy_reader *r, const char *at, const json_t *object,
                      struct fl_ask *ask)
{
    unsigned after_leave = ask->after_leave, disclose = ask->disclose, risk = ask->risk;
    if (!json_is_object(object))
        return policy_error(r, at, NULL, "'%s' is a map, as in { expires: 4h }",
                            strrchr(at, '/') ? strrchr(at, '/') + 1 : "ask");
    bool is_ok = policy_keys(r, at, object, "an ask", policy_ask_keys, policy_ask_key_count);
    is_ok &= read_notify(r, at, object, ask);
    is_ok &= read_expires(r, at, object, ask);
    is_ok &= read_undo(r, at, object, ask);
    is_ok &= policy_choice(r, at, object, "after_leave", policy_after_leave_names,
                           FL_AFTER_LEAVE_COUNT, &after_leave);
    is_ok &= policy_bool(r, at, object, "second_factor", &ask->needs_second_factor);
    is_ok &= policy_bool(r, at, object, "typed_confirmation", &ask->needs_typed);
    is_ok &= policy_bool(r, at, object, "owner_may_approve", &ask->owner_may_approve);
    is_ok &= policy_bool(r, at, object, "editor_may_approve", &ask->editor_may_approve);
    is_ok &= policy_bool(r, at, object, "remind", &ask->reminds);
    is_ok &= policy_bool(r, at, object, "urgent", &ask->is_urgent);
    is_ok &= policy_choice(r, at, object, "disclose", policy_disclose_names, FL_DISCLOSE_COUNT,
                           &disclose);
    is_ok &= policy_choice(r, at, object, "risk", policy_risk_names, FL_RISK_COUNT, &risk);
    ask->after_leave = (enum fl_after_leave)after_leave;
    ask->disclose = (enum fl_disclose)disclose;
    ask->risk = (enum fl_risk)risk;
    if (json_object_get(object, "any") && !json_object_get(object, "thresholds"))
        return policy_error(r, at, "any", "'any' needs 'thresholds' beside it");
    return is_ok;
}

bool policy_ask_read(struct policy_reader *r, const char *at, const json_t *ask,
                     const char *defaults_at, const json_t *defaults, struct fl_ask *ret)
{
    static const struct fl_str inbox = { "inbox", 5 };
    *ret = (struct fl_ask){ .notify = &inbox,
                            .notify_count = 1,
                            .expires_ms = FL_ASK_EXPIRES_DEFAULT_MS,
                            .reminds = true,
                            .risk = FL_RISK_NORMAL };
    bool is_ok = !defaults || read_rest(r, defaults_at, defaults, ret);
    is_ok &= !ask || read_rest(r, at, ask, ret);
    bool is_own = json_object_get(ask, "thresholds") || !json_object_get(defaults, "thresholds");
    return read_thresholds(r, is_own ? at : defaults_at, is_own ? ask : defaults, ret) && is_ok;
}

void policy_ask_fini(struct fl_ask *ask)
{
    for (size_t i = 0; i < ask->threshold_count; i++) {
        struct fl_cel *program = (struct fl_cel *)ask->thresholds[i].where_program;
        fl_cel_free(&program);
    }
    ask->threshold_count = 0;
}

/* ---- the frozen form ---- */
static void put_texts(struct fl_buf *out, const char *key, const struct fl_str *items, size_t n)
{
    fl_buf_json_key(out, key);
    fl_buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        fl_buf_puts(out, i ? "," : "");
        fl_buf_json_str(out, items[i]);
    }
    fl_buf_putc(out, ']');
}

static void put_text(struct fl_buf *out, const char *key, const char *text)
{
    fl_buf_json_key(out, key);
    fl_buf_json_str(out, fl_str_of(text));
}

static void put_bool(struct fl_buf *out, const char *key, bool value)
{
    fl_buf_json_key(out, key);
    fl_buf_puts(out, value ? "true" : "false");
}

/* What has no list or no text has no member: an empty one would not be read back. */
static void put_threshold(struct fl_buf *out, const struct fl_threshold *t)
{
    fl_buf_printf(out, "{\"approve\":%u,\"deny\":%u,", t->approve, t->deny);
    if (t->group_count) {
        put_texts(out, "groups", t->groups, t->group_count);
        fl_buf_putc(out, ',');
    }
    put_text(out, "match", policy_match_names[t->match]);
    if (t->where.n) {
        fl_buf_puts(out, ",\"where\":");
        fl_buf_json_str(out, t->where);
    }
    fl_buf_putc(out, '}');
}

static unsigned step_of(const struct fl_ask *ask, size_t at)
{
    return ask->notify_step ? ask->notify_step[at] : (unsigned)at;
}

static void put_notify(struct fl_buf *out, const struct fl_ask *ask)
{
    fl_buf_puts(out, "\"notify\":[");
    for (size_t i = 0, next; i < ask->notify_count; i = next) {
        next = i + 1;
        while (next < ask->notify_count && step_of(ask, next) == step_of(ask, i))
            next++;
        fl_buf_puts(out, i ? "," : "");
        fl_buf_puts(out, next - i > 1 ? "[" : "");
        for (size_t k = i; k < next; k++) {
            fl_buf_puts(out, k > i ? "," : "");
            fl_buf_json_str(out, ask->notify[k]);
        }
        fl_buf_puts(out, next - i > 1 ? "]" : "");
    }
    fl_buf_putc(out, ']');
}

enum fl_code fl_policy_ask_dump(const struct fl_ask *ask, struct fl_buf *out, struct fl_err *err)
{
    char expires[FL_TIME_BYTES];
    fl_buf_putc(out, '{'); /* members in the order of RFC 8785 section 3.2.3 */
    put_text(out, "after_leave", policy_after_leave_names[ask->after_leave]);
    fl_buf_putc(out, ',');
    put_bool(out, "any", ask->is_any);
    fl_buf_putc(out, ',');
    put_text(out, "disclose", policy_disclose_names[ask->disclose]);
    fl_buf_putc(out, ',');
    if (ask->editor_may_approve) { /* see is_younger */
        put_bool(out, "editor_may_approve", true);
        fl_buf_putc(out, ',');
    }
    put_text(out, "expires", fl_duration_format(ask->expires_ms, expires));
    fl_buf_putc(out, ',');
    put_notify(out, ask);
    fl_buf_putc(out, ',');
    put_bool(out, "owner_may_approve", ask->owner_may_approve);
    fl_buf_putc(out, ',');
    if (!ask->reminds) {
        put_bool(out, "remind", false);
        fl_buf_putc(out, ',');
    }
    put_text(out, "risk", policy_risk_names[ask->risk]);
    fl_buf_putc(out, ',');
    put_bool(out, "second_factor", ask->needs_second_factor);
    fl_buf_puts(out, ",\"thresholds\":[");
    for (size_t i = 0; i < ask->threshold_count; i++) {
        fl_buf_puts(out, i ? "," : "");
        put_threshold(out, &ask->thresholds[i]);
    }
    fl_buf_putc(out, ']');
    if (ask->needs_typed) {
        fl_buf_putc(out, ',');
        put_bool(out, "typed_confirmation", true);
    }
    if (ask->undo_ms) {
        fl_buf_putc(out, ',');
        put_text(out, "undo", fl_duration_format(ask->undo_ms, expires));
    }
    if (ask->is_urgent) {
        fl_buf_putc(out, ',');
        put_bool(out, "urgent", true);
    }
    fl_buf_putc(out, '}');
    return fl_buf_code(out, err);
}

struct loaded {
    struct fl_ask ask; /* first: what is handed out */
    struct fl_arena *arena;
};

void fl_policy_ask_free(struct fl_ask **ask)
{
    if (!*ask)
        return;
    struct loaded *loaded = (struct loaded *)*ask;
    struct fl_arena *arena = loaded->arena;
    policy_ask_fini(&loaded->ask);
    *ask = NULL;
    fl_arena_free(&arena);
}

enum fl_code fl_policy_ask_load(struct fl_str json, struct fl_ask **ret, struct fl_err *err)
{
    enum fl_code code = FL_NOMEM;
    struct loaded *loaded = NULL;
    struct fl_arena *arena = fl_arena_new(0);
    json_t *tree = NULL;
    if (arena)
        loaded = FL_ARENA_NEW(arena, struct loaded);
    if (!loaded) {
        fl_err_code(err, FL_NOMEM);
        goto out;
    }
    loaded->arena = arena;
    struct fl_err parse_err;
    tree = fl_json_parse(json, &parse_err);
    if (!tree) {
        code =
            parse_err.code == FL_NOMEM
                ? fl_err_code(err, FL_NOMEM)
                : fl_err_set(err, FL_BAD_PARAMS, "the stored ask is not valid: %s", parse_err.text);
        goto out;
    }
    struct policy_reader r = { .arena = arena, .err = err };
    code = policy_ask_read(&r, "", tree, NULL, NULL, &loaded->ask) ? FL_OK : r.code;
    /* A default must not stand in for what was lost from a row: only a member that is younger than
     * the row may be missing. */
    for (size_t i = 0; !code && i < policy_ask_key_count; i++) {
        if (!json_object_get(tree, policy_ask_keys[i]) && !is_younger(policy_ask_keys[i]))
            code = fl_err_set(err, FL_BAD_PARAMS, "the stored ask has no '%s'", policy_ask_keys[i]);
    }
out:
    json_decref(tree);
    if (code && loaded)
        policy_ask_fini(&loaded->ask);
    if (code)
        fl_arena_free(&arena);
    else
        *ret = &loaded->ask;
    return code;
}

/* ---- in words ---- */
void fl_policy_threshold_describe(const struct fl_threshold *t, struct fl_buf *out)
{
    if (t->group_count == 0)
        fl_buf_puts(out, "anybody who may decide");
    if (t->match == FL_MATCH_EACH && t->group_count > 1)
        fl_buf_puts(out, "each of ");
    for (size_t i = 0; i < t->group_count; i++) {
        bool is_last = i + 1 == t->group_count;
        if (i)
            fl_buf_puts(out, !is_last ? ", " : t->match == FL_MATCH_ANY ? " or " : " and ");
        fl_buf_str(out, t->groups[i]);
    }
    if (t->match == FL_MATCH_ALL && t->group_count > 1)
        fl_buf_puts(out, " together");
    if (t->where.n)
        fl_buf_puts(out, " (with a condition)");
}

void fl_policy_ask_describe(const struct fl_ask *ask, struct fl_buf *out)
{
    for (size_t i = 0; i < ask->threshold_count; i++) {
        const struct fl_threshold *t = &ask->thresholds[i];
        if (i)
            fl_buf_puts(out, ask->is_any ? "; or " : "; and ");
        fl_buf_printf(out, "%u approval%s from ", t->approve, t->approve == 1 ? "" : "s");
        fl_policy_threshold_describe(t, out);
        if (t->deny > 1)
            fl_buf_printf(out, " (%u rejections end it)", t->deny);
    }
}
