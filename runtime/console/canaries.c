/* Canaries: calls that nobody makes, by which administrators see whether who approves reads. Who
 * only approves is not told what there is. */
#include "runtime/console/canaries.h"

#include "flopinio/base/clock.h"
#include "runtime/console/api.h"
#include "runtime/console/valid.h"

#define PER_WEEK_MAX 20
#define WORKDAYS     0x1f

/* ---------------------------------------------------------------- what is asked for */
static enum fl_code parse_days(const json_t *list, unsigned *ret, struct fl_err *err)
{
    *ret = WORKDAYS;
    if (!list || json_is_null(list))
        return FL_OK;
    *ret = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int day = fl_hours_day(fl_json_str(json_array_get(list, i)));
        *ret = day < 0 || *ret >> 7 ? 1u << 7 : *ret | 1u << day;
    }
    return *ret && !(*ret >> 7) ? FL_OK
                                : fl_err_set(err, FL_BAD_PARAMS,
                                             "'days' must be a list of mon, tue, wed, thu, fri, "
                                             "sat, sun");
}

enum fl_code fl_canary_parse(const json_t *object, struct fl_arena *arena,
                             struct fl_canary_row *ret, struct fl_str *ret_agent,
                             struct fl_err *err)
{
    const json_t *arguments = json_object_get(object, "arguments");
    const json_t *per_week = json_object_get(object, "per_week");
    json_int_t count = json_integer_value(per_week);
    *ret = (struct fl_canary_row){
        .id = fl_uuid_new(),
        .name = fl_json_get_str(object, "name"),
        .tool = fl_json_get_str(object, "tool"),
        .zone = fl_json_get_str(object, "zone"),
        .per_week = (int)count,
        .from_minute = fl_hours_minute(fl_json_get_str(object, "from")),
        .to_minute = fl_hours_minute(fl_json_get_str(object, "to")),
    };
    *ret_agent = fl_json_get_str(object, "agent");
    if (!fl_is_name(ret->name, true))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "a name has 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter "
                          "or digit");
    if (!ret_agent->n || !ret->tool.n)
        return fl_err_set(err, FL_BAD_PARAMS, "'agent' and 'tool' say whose call of what it is");
    if (!json_is_object(arguments))
        return fl_err_set(err, FL_BAD_PARAMS, "'arguments' must be an object");
    if (!json_is_integer(per_week) || count < 1 || count > PER_WEEK_MAX)
        return fl_err_set(err, FL_BAD_PARAMS, "'per_week' must be 1 to %d", PER_WEEK_MAX);
    if (ret->from_minute < 0 || ret->to_minute <= ret->from_minute)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "'from' and 'to' are two times of one day, as in 09:00 and 17:00");
    if (!ret->zone.n)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "'zone' must be a time zone, for instance Europe/Berlin");
    ret->arguments = fl_json_text(arena, arguments);
    if (!ret->arguments.p)
        return fl_err_code(err, FL_NOMEM);
    return parse_days(json_object_get(object, "days"), &ret->days, err);
}

enum fl_code fl_canary_settle(const struct fl_org *org, const struct fl_query *q_agent,
                              struct fl_arena *arena, struct fl_canary_row *row,
                              struct fl_canary_who *ret, struct fl_err *err)
{
    struct fl_hours hours;
    if (fl_rows(q_agent) == 0)
        return fl_err_set(err, FL_BAD_PARAMS, "there is no such agent");
    if (!fl_store_canary_who_read(q_agent, arena, ret))
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = fl_canary_hours(arena, row, &hours, err);
    if (code == FL_OK)
        code = fl_canary_check(org, ret, row->tool, row->arguments, err);
    if (code)
        return code;
    row->next_us = fl_canary_draw(&hours, row->per_week, fl_real_ms() * 1000);
    return row->next_us < 0 ? fl_err_set(err, FL_BAD_PARAMS, "these hours never come") : FL_OK;
}

void fl_canary_describe(struct fl_audit_event *e, const struct fl_canary_row *row,
                        struct fl_str agent)
{
    fl_audit_text(e, "canary", row->name);
    fl_audit_text(e, "agent", agent);
    fl_audit_text(e, "tool", row->tool);
    fl_audit_int(e, "arguments_bytes", (int64_t)row->arguments.n);
    fl_audit_int(e, "per_week", row->per_week);
    fl_audit_int(e, "days", row->days);
    fl_audit_int(e, "from_minute", row->from_minute);
    fl_audit_int(e, "to_minute", row->to_minute);
    fl_audit_text(e, "zone", row->zone);
}

/* ---------------------------------------------------------------- the list, and the counts */
static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        fl_buf_puts(&out, i ? "," : "");
        fl_api_row(&out, a->q[0], i,
                   "name:t agent:t tool:t arguments:j per_week:i days:c from:t to:t zone:t "
                   "set_by:t set_at:m fired_at:m note:t caught:i approved:i missed:i");
    }
    fl_buf_puts(&out, "],\"people\":[");
    for (int i = 0; i < fl_rows(a->q[2]); i++) {
        fl_buf_puts(&out, i ? "," : "");
        fl_api_row(&out, a->q[2], i, "person:t caught:i approved:i missed:i");
    }
    fl_buf_puts(&out, "],\"total\":");
    fl_api_row(&out, a->q[1], 0, "caught:i approved:i missed:i");
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    int64_t since_ms;
    if (!fl_api_query_since(a, "since", &since_ms))
        return;
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_canaries(tx, since_ms);
    a->q[1] = fl_store_canary_totals(tx, since_ms);
    a->q[2] = fl_store_canary_people(tx, since_ms);
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- setting one */
struct canary_request {
    struct fl_canary_row row;
    struct fl_str agent;
};

static void on_set(struct fl_api *a)
{
    fl_api_empty(a);
}

static void on_agent(struct fl_api *a)
{
    struct canary_request *r = a->user;
    struct fl_canary_who who;
    struct fl_audit_event e;
    struct fl_err err;
    enum fl_code code = fl_canary_settle(a->org, a->q[0], a->arena, &r->row, &who, &err);
    if (code) {
        fl_api_error(a, code, "%s", err.text);
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    fl_api_hold(a);
    fl_api_event(a, &e, FL_AUDIT_CANARY_SET, "canary", NULL);
    fl_canary_describe(&e, &r->row, r->agent);
    if (fl_audit_seal(&e, a->arena, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    fl_store_canary_put(tx, &r->row, &who.agent_id, fl_api_by(a), &e.row);
    fl_api_submit(a, false, on_set);
}

static void start_set(struct fl_api *a)
{
    struct canary_request *r = FL_ARENA_NEW(a->arena, struct canary_request);
    struct fl_err err;
    enum fl_code code = r ? fl_canary_parse(a->body, a->arena, &r->row, &r->agent, &err)
                          : fl_err_code(&err, FL_NOMEM);
    if (code) {
        fl_api_error(a, code, "%s", err.text);
        return;
    }
    a->user = r;
    a->q[0] = fl_store_canary_agent(fl_api_tx(a), r->agent);
    fl_api_submit(a, false, on_agent);
}

/* ---------------------------------------------------------------- removing one */
static void on_removed(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_NOT_FOUND, "there is no such canary");
}

static void start_remove(struct fl_api *a)
{
    struct fl_audit_event e;
    struct fl_err err;
    struct fl_tx *tx = fl_api_tx(a);
    fl_api_hold(a);
    fl_api_event(a, &e, FL_AUDIT_CANARY_REMOVED, "canary", NULL);
    fl_audit_text(&e, "canary", a->params[1]);
    if (fl_audit_seal(&e, a->arena, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    a->q[0] = fl_store_canary_remove(tx, a->params[1], &e.row);
    fl_api_submit(a, false, on_removed);
}

/* ---------------------------------------------------------------- one now */
static void on_fired(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_canary_fire *f = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT];
    if (!fl_api_flow_done(a))
        return;
    fl_buf_printf(&out, "{\"approval\":\"%s\"}", fl_uuid_format(&f->approval, id));
    fl_api_ok(a, &out);
}

static void start_fire(struct fl_api *a)
{
    struct fl_canary_fire *f = FL_ARENA_NEW(a->arena, struct fl_canary_fire);
    if (!f) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    bool is_person = a->who == FL_WHO_PERSON;
    *f = (struct fl_canary_fire){ .core = a->core,
                                  .organization = a->organization_id,
                                  .name = a->params[1],
                                  .by = fl_api_by(a),
                                  .actor = is_person ? FL_ACTOR_PERSON : FL_ACTOR_OPERATOR,
                                  .actor_id = a->auth.id };
    a->user = f;
    a->op = (struct fl_op){ .done = on_fired };
    if (fl_canary_fire_start(&a->op, f) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

const struct fl_api_route fl_api_canaries[] = {
    { FL_HTTP_GET, "/orgs/{org}/canaries", FL_NEED_ROLE, FL_ACTION_READ_AUDIT, start_list,
      "since" },
    { FL_HTTP_POST, "/orgs/{org}/canaries", FL_NEED_ROLE, FL_ACTION_MANAGE_POLICY, start_set,
      FL_CANARY_MEMBERS },
    { FL_HTTP_DELETE, "/orgs/{org}/canaries/{canary}", FL_NEED_ROLE, FL_ACTION_MANAGE_POLICY,
      start_remove },
    { FL_HTTP_POST, "/orgs/{org}/canaries/{canary}/fire", FL_NEED_ROLE, FL_ACTION_MANAGE_POLICY,
      start_fire },
    { .pattern = NULL }
};
