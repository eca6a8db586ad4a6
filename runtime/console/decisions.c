/* Deciding several approvals with one request: each by the one deciding function, one behind the
 * other, each in its own transaction with its own audit row, and with a result of its own. */
#include "flopinio/base/json.h"
#include "runtime/approval/decide.h"
#include "runtime/console/api.h"
#include "runtime/console/approvals.h"

#define DECISIONS_MAX 50
#define NOTHING       ((struct fl_str){ NULL, 0 })

struct one {
    struct fl_decide decide;
    struct fl_err refusal; /* code FL_OK: it was decided */
};

struct many {
    struct one *ones;
    size_t count, at;
};

static void next(struct fl_api *a);

/* ---------------------------------------------------------------- answering */
static void put_one(struct fl_buf *out, const struct one *one)
{
    char id[FL_UUID_TEXT];
    const struct fl_decide *d = &one->decide;
    fl_buf_printf(out, "{\"id\":\"%s\",", fl_uuid_format(&d->approval, id));
    if (one->refusal.code) {
        fl_buf_puts(out, "\"error\":{\"code\":");
        fl_buf_json_str(out, fl_str_of(fl_code_name(one->refusal.code)));
        fl_buf_puts(out, ",\"text\":");
        fl_buf_json_str(out, fl_str_of(one->refusal.text));
        fl_buf_puts(out, "}}");
        return;
    }
    fl_api_put_decided(out, d);
    fl_buf_putc(out, '}');
}

static void answer(struct fl_api *a)
{
    const struct many *m = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"items\":[");
    for (size_t i = 0; i < m->count; i++) {
        fl_buf_puts(&out, i ? "," : "");
        put_one(&out, &m->ones[i]);
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

/* ---------------------------------------------------------------- one behind the other */
/* What came of one; false: nobody is there any more to be told, and the rest is left alone. */
static bool take(struct fl_api *a)
{
    struct many *m = a->user;
    struct one *one = &m->ones[m->at];
    if (a->op.code) {
        one->refusal = a->op.err;
        one->refusal.code = a->op.code;
        a->op.code = FL_OK;
    }
    return fl_api_flow_done(a);
}

static void on_decided(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct many *m = a->user;
    if (!take(a))
        return;
    m->at++;
    next(a);
}

/* Each start completes later, from the loop; only refused starts come back here at once. */
static void next(struct fl_api *a)
{
    struct many *m = a->user;
    for (; m->at < m->count; m->at++) {
        struct one *one = &m->ones[m->at];
        a->op = (struct fl_op){ .done = on_decided };
        if (fl_decide_start(&a->op, &one->decide) == FL_OK)
            return;
        one->refusal = a->op.err;
    }
    answer(a);
}

/* ---------------------------------------------------------------- the request */
bool fl_verdict_parse(struct fl_str text, enum fl_verdict *ret)
{
    static const char *const verdicts[] = { [FL_VERDICT_APPROVE] = "approve",
                                            [FL_VERDICT_REJECT] = "reject",
                                            [FL_VERDICT_WITHDRAW] = "withdraw" };
    for (size_t i = 0; i < FL_COUNTOF(verdicts); i++) {
        if (fl_str_is(text, verdicts[i])) {
            *ret = (enum fl_verdict)i;
            return true;
        }
    }
    return false;
}

static bool wrong(struct fl_api *a, size_t at, const char *text)
{
    fl_api_error(a, FL_BAD_PARAMS, "decision %zu: %s", at + 1, text);
    return false;
}

static bool read_one(struct fl_api *a, struct many *m, size_t at, const json_t *item)
{
    static const char known[] = " id verdict reason may_ask_again binding typed ";
    struct fl_decide *d = &m->ones[at].decide;
    struct fl_str reason = fl_json_get_str(item, "reason");
    struct fl_str binding = fl_json_get_str(item, "binding");
    const json_t *again = json_object_get(item, "may_ask_again");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)item, key, value) {
        const char *p = strstr(known, key);
        bool is_text = json_is_string(value) || value == again;
        if (!p || p == known || p[-1] != ' ' || p[strlen(key)] != ' ' || !is_text)
            return wrong(a, at,
                         "has 'id', 'verdict', 'reason', 'binding', 'typed' (texts) and "
                         "'may_ask_again'");
    }
    if (!json_is_object(item) || !fl_uuid_parse(fl_json_get_str(item, "id"), &d->approval))
        return wrong(a, at, "'id' must be the id of an approval");
    if (!fl_verdict_parse(fl_json_get_str(item, "verdict"), &d->verdict))
        return wrong(a, at, "'verdict' must be approve, reject or withdraw");
    if (again && !json_is_boolean(again))
        return wrong(a, at, "'may_ask_again' must be true or false");
    for (size_t i = 0; i < at; i++) {
        if (fl_uuid_cmp(&m->ones[i].decide.approval, &d->approval) == 0)
            return wrong(a, at, "its approval is decided by an earlier one");
    }
    d->core = a->core;
    d->organization = a->organization_id;
    d->person = a->auth.id;
    d->person_name = a->auth.person;
    d->evidence = fl_api_evidence(a);
    d->has_second_factor = a->auth.has_second_factor;
    d->reason = reason.n ? reason : NOTHING;
    d->binding = binding.n ? binding : NOTHING;
    d->is_shown = fl_api_is_shown;
    d->may_ask_again = json_is_true(again);
    d->typed = fl_json_get_str(item, "typed");
    d->via = a->is_control ? "cli" : "api";
    return true;
}

static void start(struct fl_api *a)
{
    const json_t *list = json_object_get(a->body, "decisions"), *item;
    size_t count = json_array_size(list), i;
    struct many *m = FL_ARENA_NEW(a->arena, struct many);
    if (!fl_role_may(a->role, FL_ACTION_DECIDE)) {
        fl_api_refuse(a, "your role may not decide approvals");
        return;
    }
    if (!count || count > DECISIONS_MAX) {
        fl_api_error(a, FL_BAD_PARAMS, "'decisions' must be a list of 1 to %d", DECISIONS_MAX);
        return;
    }
    if (m)
        m->ones = fl_arena_array(a->arena, count, sizeof *m->ones);
    if (!m || !m->ones) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    m->count = count;
    for (i = 0; i < count; i++) {
        item = json_array_get(list, i);
        if (!read_one(a, m, i, item))
            return; /* before anything is decided */
    }
    a->user = m;
    next(a);
}

const struct fl_api_route fl_api_decisions[] = { { FL_HTTP_POST, "/orgs/{org}/approvals/decisions",
                                                   FL_NEED_DECIDER, FL_ACTION_DECIDE, start,
                                                   "decisions" },
                                                 { .pattern = NULL } };
