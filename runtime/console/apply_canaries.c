/* What canaries come to. Whether such a call would be held is seen when its time comes: its agent,
 * tool and rule may be of the same document. */
#include "flopinio/base/clock.h"
#include "runtime/console/agents.h"
#include "runtime/console/apply.h"

/* Columns of fl_store_canaries: name, agent, tool, arguments, per_week, days, from, to, zone. */
static int row_of(const struct fl_query *q, struct fl_str name)
{
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_str_eq(fl_cell(q, i, 0), name))
            return i;
    }
    return -1;
}

static unsigned days_of(struct fl_str csv)
{
    struct fl_str day;
    unsigned days = 0;
    for (size_t pos = 0; fl_list_next(csv, &pos, &day);)
        days |= 1u << fl_hours_day(day);
    return days;
}

static bool is_same(const struct fl_apply_canary *c, const struct fl_query *q, int row)
{
    struct fl_err err;
    json_t *was = fl_json_parse(fl_cell(q, row, 3), &err);
    json_t *is = fl_json_parse(c->row.arguments, &err);
    bool same = was && is && json_equal(was, is) && fl_str_eq(fl_cell(q, row, 1), c->agent) &&
                fl_str_eq(fl_cell(q, row, 2), c->row.tool) &&
                fl_cell_int(q, row, 4) == c->row.per_week &&
                days_of(fl_cell(q, row, 5)) == c->row.days &&
                fl_hours_minute(fl_cell(q, row, 6)) == c->row.from_minute &&
                fl_hours_minute(fl_cell(q, row, 7)) == c->row.to_minute &&
                fl_str_eq(fl_cell(q, row, 8), c->row.zone);
    json_decref(was);
    json_decref(is);
    return same;
}

/* An agent that there will be; false: none of that name. */
static bool find_agent(const struct fl_apply *ap, struct fl_apply_canary *c)
{
    int row = fl_agent_row(ap->q_agents, c->agent);
    if (row >= 0) {
        c->agent_id = fl_cell_uuid(ap->q_agents, row, 0);
        return true;
    }
    for (size_t i = 0; i < ap->agent_count; i++) {
        if (!ap->agents[i].is_new || !fl_str_eq(ap->agents[i].name, c->agent))
            continue;
        c->agent_id = ap->agents[i].id;
        return true;
    }
    return false;
}

static bool plan_one(struct fl_api *a, struct fl_apply_canary *c)
{
    const struct fl_apply *ap = a->user;
    struct fl_buf detail = FL_BUF_INIT;
    struct fl_hours hours;
    struct fl_err err;
    int row = row_of(ap->q_canaries, c->row.name);
    if (row >= 0 && is_same(c, ap->q_canaries, row))
        return true;
    enum fl_code code = fl_canary_hours(a->arena, &c->row, &hours, &err);
    if (code)
        return fl_apply_refuse(a, code, "canary", c->row.name, "%s", err.text);
    if (!find_agent(ap, c))
        return fl_apply_refuse(a, FL_BAD_PARAMS, "canary", c->row.name, "there is no agent '%.*s'",
                               FL_STR_ARG(c->agent));
    c->row.next_us = fl_canary_draw(&hours, c->row.per_week, fl_real_ms() * 1000);
    if (c->row.next_us < 0)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "canary", c->row.name, "these hours never come");
    c->is_changed = true;
    fl_buf_printf(&detail, "%.*s as %.*s, %d a week", FL_STR_ARG(c->row.tool), FL_STR_ARG(c->agent),
                  c->row.per_week);
    fl_apply_note(a, "canary", c->row.name, row < 0 ? "created" : "changed", &detail);
    return true;
}

static bool is_listed(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->canary_count; i++) {
        if (fl_str_eq(ap->canaries[i].row.name, name))
            return true;
    }
    return false;
}

bool fl_apply_plan_canaries(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    size_t rows = ap->has_canaries ? (size_t)fl_rows(ap->q_canaries) : 0;
    for (size_t i = 0; i < ap->canary_count; i++) {
        if (!plan_one(a, &ap->canaries[i]))
            return false;
    }
    ap->gone_canaries = fl_arena_array(a->arena, rows + 1, sizeof *ap->gone_canaries);
    if (!ap->gone_canaries) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return false;
    }
    for (size_t i = 0; ap->prunes && i < rows; i++) {
        struct fl_str name = fl_arena_str(a->arena, fl_cell(ap->q_canaries, (int)i, 0));
        if (is_listed(ap, name))
            continue;
        ap->gone_canaries[ap->gone_canary_count++] = (struct fl_apply_gone){ .name = name };
        fl_apply_note(a, "canary", name, "removed", NULL);
    }
    return true;
}

/* ---------------------------------------------------------------- writing */
void fl_apply_write_canaries(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_audit_event e;
    struct fl_err err;
    for (size_t i = 0; i < ap->canary_count; i++) {
        const struct fl_apply_canary *c = &ap->canaries[i];
        if (!c->is_changed)
            continue;
        fl_api_event(a, &e, FL_AUDIT_CANARY_SET, "canary", NULL);
        fl_canary_describe(&e, &c->row, c->agent);
        a->tx.is_nomem |= fl_audit_seal(&e, a->arena, &err) != FL_OK;
        fl_store_canary_put(&a->tx, &c->row, &c->agent_id, fl_api_by(a), &e.row);
    }
    for (size_t i = 0; i < ap->gone_canary_count; i++) {
        fl_api_event(a, &e, FL_AUDIT_CANARY_REMOVED, "canary", NULL);
        fl_audit_text(&e, "canary", ap->gone_canaries[i].name);
        a->tx.is_nomem |= fl_audit_seal(&e, a->arena, &err) != FL_OK;
        fl_store_canary_remove(&a->tx, ap->gone_canaries[i].name, &e.row);
    }
}
