/* The policy, held against the organization as it will be when the document is applied. */
#include <stdlib.h>

#include "runtime/approval/rules.h"
#include "runtime/console/apply.h"
#include "runtime/console/reach.h"

/* ---------------------------------------------------------------- the organization to be */
static bool put_groups(const struct fl_api *a, struct fl_org *w)
{
    const struct fl_apply *ap = a->user;
    w->groups =
        fl_arena_array(a->arena, a->change->group_count + ap->group_count + 1, sizeof *w->groups);
    w->group_count = 0;
    if (!w->groups)
        return false;
    for (size_t i = 0; i < a->change->group_count; i++) {
        bool is_gone = false;
        for (size_t k = 0; k < ap->gone_group_count; k++)
            is_gone |= fl_str_eq(ap->gone_groups[k].name, a->change->groups[i]);
        if (!is_gone)
            w->groups[w->group_count++] = a->change->groups[i];
    }
    for (size_t i = 0; i < ap->group_count; i++) {
        if (ap->groups[i].is_new)
            w->groups[w->group_count++] = ap->groups[i].name;
    }
    return true;
}

static const struct fl_apply_group *group_of(const struct fl_apply *ap, struct fl_str name)
{
    for (size_t i = 0; i < ap->group_count; i++) {
        if (fl_str_eq(ap->groups[i].name, name))
            return &ap->groups[i];
    }
    return NULL;
}

static bool has_id(const struct fl_uuid *ids, size_t count, const struct fl_uuid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (fl_uuid_cmp(&ids[i], id) == 0)
            return true;
    }
    return false;
}

/* The groups of w that the person will be in. */
static bool put_groups_of(const struct fl_api *a, const struct fl_org *w, struct fl_org_person *p,
                          struct fl_str were)
{
    const struct fl_apply *ap = a->user;
    p->group_count = 0;
    p->groups = fl_arena_array(a->arena, w->group_count + 1, sizeof *p->groups);
    for (size_t i = 0; p->groups && i < w->group_count; i++) {
        const struct fl_apply_group *g = group_of(ap, w->groups[i]);
        bool is_in = fl_list_has(were, w->groups[i]);
        if (g && g->has_members)
            is_in = (is_in && !has_id(g->remove, g->remove_count, &p->id)) ||
                    has_id(g->add, g->add_count, &p->id);
        if (is_in)
            p->groups[p->group_count++] = w->groups[i];
    }
    return p->groups != NULL;
}

static bool put_people(const struct fl_api *a, struct fl_org *w)
{
    const struct fl_apply *ap = a->user;
    const struct fl_change *c = a->change;
    bool is_fine = true;
    w->people = fl_arena_array(a->arena, c->member_count + ap->person_count + 1, sizeof *w->people);
    w->person_count = 0;
    if (!w->people)
        return false;
    for (size_t i = 0; i < c->member_count; i++) {
        const struct fl_member *m = &c->members[i];
        struct fl_org_person *p = &w->people[w->person_count];
        if (!m->is_active || fl_apply_leaves(ap, &m->id))
            continue;
        *p = (struct fl_org_person){
            .id = m->id, .name = m->name, .display = m->display, .role = m->role, .is_active = true
        };
        for (size_t k = 0; k < ap->person_count; k++) {
            if (ap->people[k].sets_role && fl_uuid_cmp(&ap->people[k].id, &m->id) == 0)
                p->role = ap->people[k].role;
        }
        is_fine &= put_groups_of(a, w, p, m->groups);
        w->person_count++;
    }
    for (size_t i = 0; i < ap->person_count; i++) {
        const struct fl_apply_person *added = &ap->people[i];
        struct fl_org_person *p = &w->people[w->person_count];
        if (!added->joins)
            continue;
        *p = (struct fl_org_person){
            .id = added->id, .name = added->name, .role = added->role, .is_active = true
        };
        is_fine &= put_groups_of(a, w, p, (struct fl_str){ NULL, 0 });
        w->person_count++;
    }
    return is_fine;
}

static bool put_agents(const struct fl_api *a, struct fl_org *w)
{
    const struct fl_apply *ap = a->user;
    size_t rows = (size_t)fl_rows(ap->q_agents);
    w->agents = fl_arena_array(a->arena, rows + ap->agent_count + 1, sizeof *w->agents);
    w->agent_count = 0;
    for (size_t i = 0; w->agents && i < rows; i++)
        w->agents[w->agent_count++] = fl_cell(ap->q_agents, (int)i, 1);
    for (size_t i = 0; w->agents && i < ap->agent_count; i++) {
        if (ap->agents[i].is_new)
            w->agents[w->agent_count++] = ap->agents[i].name;
    }
    return w->agents != NULL;
}

static int by_published(const void *x, const void *y)
{
    struct fl_str a = ((const struct fl_org_tool *)x)->published;
    struct fl_str b = ((const struct fl_org_tool *)y)->published;
    size_t n = a.n < b.n ? a.n : b.n;
    int cmp = n ? memcmp(a.p, b.p, n) : 0;
    return cmp ? cmp : (a.n > b.n) - (a.n < b.n);
}

/* Those of the snapshot, as the document pins them, and those that it brings. */
static bool put_tools(const struct fl_api *a, struct fl_org *w)
{
    const struct fl_apply *ap = a->user;
    w->tools = fl_arena_array(a->arena, a->org->tool_count + ap->tool_count + 1, sizeof *w->tools);
    w->tool_count = 0;
    if (!w->tools)
        return false;
    for (size_t i = 0; i < a->org->tool_count; i++) {
        struct fl_org_tool *t = &w->tools[w->tool_count];
        *t = a->org->tools[i];
        t->schema = NULL; /* that one stays the snapshot's */
        if (fl_apply_removes_server(ap, t->server->name))
            continue;
        for (size_t k = 0; k < ap->gone_pin_count; k++) {
            if (fl_str_eq(ap->gone_pins[k].name, t->published))
                t->state = FL_TOOL_QUARANTINED;
        }
        t->is_read &= t->state == FL_TOOL_ACCEPTED;
        w->tool_count++;
    }
    size_t known = w->tool_count;
    for (size_t i = 0; i < ap->tool_count; i++) {
        const struct fl_apply_tool *pin = &ap->tools[i];
        struct fl_org_tool wanted = { .published = pin->name }, *t;
        if (pin->pin == FL_PIN_SAME)
            continue;
        t = bsearch(&wanted, w->tools, known, sizeof wanted, by_published);
        if (!t) {
            t = &w->tools[w->tool_count++];
            *t = wanted;
        }
        t->definition = pin->definition;
        t->state = FL_TOOL_ACCEPTED;
        t->is_read = strcmp(pin->effects, "read") == 0;
    }
    qsort(w->tools, w->tool_count, sizeof *w->tools, by_published);
    return true;
}

static enum fl_code check(struct fl_api *a, struct fl_org *org, const struct fl_policy *policy,
                          struct fl_findings *findings, struct fl_err *err)
{
    struct fl_policy_world world;
    enum fl_code code = fl_rules_world(org, a->arena, &world, err);
    return code ? code : fl_policy_check(policy, &world, findings, err);
}

/* ---------------------------------------------------------------- the document's policy */
static bool is_same(const struct fl_apply *ap)
{
    return fl_rows(ap->q_policy) == 1 && fl_str_eq(ap->policy, fl_cell(ap->q_policy, 0, 1));
}

static void note_policy(struct fl_api *a, const struct fl_yaml *to)
{
    struct fl_apply *ap = a->user;
    struct fl_yaml from = { NULL, NULL };
    struct fl_buf diff = FL_BUF_INIT, line = FL_BUF_INIT;
    struct fl_err err;
    bool has_one = fl_rows(ap->q_policy) == 1;
    char *name = fl_arena_printf(a->arena, "version %lld", (long long)ap->policy_version + 1);
    /* A stored document that does not load any more is like none. */
    if (has_one && fl_yaml_load(fl_cell(ap->q_policy, 0, 1), "policy", &from, &err) == FL_NOMEM)
        a->tx.is_nomem = true;
    if (fl_policy_diff(from.root, to->root, &diff, &err) != FL_OK)
        a->tx.is_nomem = true;
    fl_yaml_fini(&from);
    for (size_t i = 0; i < diff.n; i++) { /* in one line */
        if (diff.p[i] != '\n')
            fl_buf_putc(&line, diff.p[i]);
        else if (i + 1 < diff.n)
            fl_buf_puts(&line, "; ");
    }
    fl_buf_fini(&diff);
    ap->sets_policy = true;
    fl_apply_note(a, "policy", fl_str_of(name ? name : ""), has_one ? "changed" : "created", &line);
}

static bool refuse(struct fl_api *a, enum fl_code code, const char *text,
                   const struct fl_findings *findings)
{
    const struct fl_finding *first = NULL;
    for (size_t i = 0; i < findings->count && !first; i++) {
        if (findings->items[i]->severity == FL_SEVERITY_ERROR)
            first = findings->items[i];
    }
    if (code == FL_OK)
        fl_api_error(a, FL_BAD_PARAMS, "policy: line %u, rule '%.*s': %s", first->line,
                     FL_STR_ARG(first->rule), first->text);
    else
        fl_api_error(a, code == FL_CONFIG ? FL_BAD_PARAMS : code, "policy: %s", text);
    return false;
}

/* The policy that will be in force, against the organization as it will be. */
static bool hold(struct fl_api *a, struct fl_org *w, struct fl_policy **policy,
                 struct fl_findings *findings)
{
    const struct fl_apply *ap = a->user;
    struct fl_yaml yaml = { NULL, NULL };
    struct fl_err err;
    bool is_new = ap->has_policy && !is_same(ap);
    enum fl_code code = FL_OK;
    if (is_new)
        code = fl_rules_load(ap->policy, policy, &yaml, NULL, &err);
    else if (a->org->policy)
        *policy = fl_policy_ref(a->org->policy);
    if (code == FL_OK && *policy)
        code = check(a, w, *policy, findings, &err);
    if (code == FL_OK && is_new && !findings->error_count)
        note_policy(a, &yaml);
    fl_yaml_fini(&yaml);
    if (code || (is_new && findings->error_count))
        return refuse(a, code, err.text, findings);
    return true;
}

/* What rules lose or gain by the change: what is found then and was not found before. */
static bool report(struct fl_api *a, const struct fl_findings *after)
{
    struct fl_findings before = { 0 };
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    enum fl_code code = FL_OK;
    if (a->org->policy)
        code = check(a, a->org, a->org->policy, &before, &err);
    if (code == FL_OK) {
        fl_reach_put_new(&out, &before, after);
        code = fl_buf_code(&out, &err);
    }
    if (code == FL_OK)
        a->findings = fl_arena_str(a->arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    fl_findings_fini(&before);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

bool fl_apply_plan_policy(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_org w = *a->org;
    struct fl_policy *policy = NULL;
    struct fl_findings findings = { 0 };
    ap->policy_version = fl_rows(ap->q_policy) == 1 ? fl_cell_int(ap->q_policy, 0, 0) : 0;
    if (!put_groups(a, &w) || !put_people(a, &w) || !put_agents(a, &w) || !put_tools(a, &w) ||
        !fl_apply_put_channels(a, &w))
        return fl_apply_no_memory(a);
    bool is_fine = hold(a, &w, &policy, &findings) && report(a, &findings);
    for (size_t i = 0; i < w.tool_count; i++)
        fl_schema_free(&w.tools[i].schema);
    fl_policy_unref(&policy);
    fl_findings_fini(&findings);
    return is_fine;
}
