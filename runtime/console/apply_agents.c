/* What agents come to. */
#include "flopinio/base/json.h"
#include "runtime/console/agents.h"
#include "runtime/console/apply.h"

static bool plan_owner(struct fl_api *a, struct fl_apply_agent *g)
{
    return fl_apply_will_be_here(a, g->owner, &g->owner_id) ||
           fl_apply_refuse(a, FL_BAD_PARAMS, "agent", g->name,
                           "its owner '%.*s' is no active "
                           "person here",
                           FL_STR_ARG(g->owner));
}

static bool plan_new(struct fl_api *a, struct fl_apply_agent *g)
{
    struct fl_buf detail = FL_BUF_INIT;
    if (!g->owner.n)
        return fl_apply_refuse(a, FL_BAD_PARAMS, "agent", g->name, "it needs an 'owner'");
    if (!plan_owner(a, g))
        return false;
    g->is_new = true;
    g->id = fl_uuid_new();
    fl_buf_printf(&detail, "owner %.*s", FL_STR_ARG(g->owner));
    fl_apply_note(a, "agent", g->name, "created", &detail);
    return true;
}

/* Columns of fl_store_agents: agent_id, name, title, owner, state, labels, owner_id. What is as it
 * should be is taken out of what was said. */
static void compare(struct fl_apply_agent *g, const struct fl_query *q, int row,
                    struct fl_buf *detail)
{
    struct fl_str title = fl_cell(q, row, 2), owner = fl_cell(q, row, 3),
                  state = fl_cell(q, row, 4);
    if (g->title.p && fl_str_eq(g->title, title))
        g->title.p = NULL;
    if (g->owner.p && fl_str_eq(g->owner, owner))
        g->owner.p = NULL;
    if (g->state && fl_str_is(state, g->state))
        g->state = NULL;
    if (g->labels.p && fl_json_is_same(g->labels, fl_cell(q, row, 5)))
        g->labels.p = NULL;
    if (g->title.p)
        fl_apply_detail(detail, "title", title, g->title);
    if (g->owner.p)
        fl_apply_detail(detail, "owner", owner, g->owner);
    if (g->state)
        fl_apply_detail(detail, "state", state, fl_str_of(g->state));
    if (g->labels.p)
        fl_apply_detail(detail, "labels", fl_cell(q, row, 5), g->labels);
    g->is_changed = g->title.p || g->owner.p || g->state || g->labels.p;
}

static bool plan_there(struct fl_api *a, struct fl_apply_agent *g, int row)
{
    const struct fl_apply *ap = a->user;
    const struct fl_query *q = ap->q_agents;
    struct fl_buf detail = FL_BUF_INIT;
    struct fl_str said = g->owner.p ? g->owner : fl_cell(q, row, 3);
    if (fl_str_is(fl_cell(q, row, 4), "revoked"))
        return fl_apply_refuse(a, FL_CONFLICT, "agent", g->name,
                               "it was revoked, which is for good; make a new one");
    g->id = fl_cell_uuid(q, row, 0);
    compare(g, q, row, &detail);
    bool is_active =
        g->state ? strcmp(g->state, "active") == 0 : fl_str_is(fl_cell(q, row, 4), "active");
    if (g->owner.p || is_active) {
        struct fl_apply_agent asked = { .name = g->name, .owner = said };
        if (!plan_owner(a, &asked)) {
            fl_buf_fini(&detail);
            return false;
        }
        g->owner_id = asked.owner_id;
    }
    if (g->is_changed)
        fl_apply_note(a, "agent", g->name, "changed", &detail);
    return true;
}

static bool is_listed(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->agent_count; i++) {
        if (fl_str_eq(ap->agents[i].name, name))
            return true;
    }
    return false;
}

/* Agents that the document does not name: pruned, or frozen with their owner. */
static bool plan_others(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    const struct fl_query *q = ap->q_agents;
    bool prunes = ap->has_agents && ap->prunes;
    ap->gone_agents = fl_arena_array(a->arena, (size_t)fl_rows(q) + 1, sizeof *ap->gone_agents);
    if (!ap->gone_agents)
        return fl_apply_no_memory(a);
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_uuid owner = fl_cell_uuid(q, i, 6);
        struct fl_str name = fl_arena_str(a->arena, fl_cell(q, i, 1));
        struct fl_buf detail = FL_BUF_INIT;
        if (fl_str_is(fl_cell(q, i, 4), "revoked") || (ap->has_agents && is_listed(ap, name)))
            continue;
        if (prunes) {
            ap->gone_agents[ap->gone_agent_count++] =
                (struct fl_apply_gone){ .name = name, .id = fl_cell_uuid(q, i, 0) };
            fl_apply_note(a, "agent", name, "removed", NULL);
        } else if (fl_str_is(fl_cell(q, i, 4), "active") && fl_apply_leaves(ap, &owner)) {
            fl_buf_puts(&detail, "state active -> frozen; its owner is removed");
            fl_apply_note(a, "agent", name, "changed", &detail);
        }
    }
    return true;
}

bool fl_apply_plan_agents(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    for (size_t i = 0; i < ap->agent_count; i++) {
        int row = fl_agent_row(ap->q_agents, ap->agents[i].name);
        if (!(row < 0 ? plan_new(a, &ap->agents[i]) : plan_there(a, &ap->agents[i], row)))
            return false;
    }
    return plan_others(a);
}
