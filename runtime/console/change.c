/* One change of authority at a time. */
#include "runtime/console/change.h"

#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/sql.h"
#include "runtime/store/vote.h"

bool fl_list_next(struct fl_str csv, size_t *pos, struct fl_str *ret)
{
    if (!csv.n || *pos > csv.n)
        return false;
    size_t to = *pos;
    while (to < csv.n && csv.p[to] != ',')
        to++;
    *ret = (struct fl_str){ csv.p + *pos, to - *pos };
    *pos = to + 1;
    return true;
}

bool fl_list_has(struct fl_str csv, struct fl_str item)
{
    struct fl_str each;
    for (size_t pos = 0; fl_list_next(csv, &pos, &each);) {
        if (fl_str_eq(each, item))
            return true;
    }
    return false;
}

const struct fl_member *fl_change_member(const struct fl_api *a, struct fl_str name)
{
    for (size_t i = 0; i < a->change->member_count; i++) {
        if (fl_str_eq(a->change->members[i].name, name))
            return &a->change->members[i];
    }
    return NULL;
}

bool fl_change_has_group(const struct fl_api *a, struct fl_str name)
{
    for (size_t i = 0; i < a->change->group_count; i++) {
        if (fl_str_eq(a->change->groups[i], name))
            return true;
    }
    return false;
}

bool fl_change_may(struct fl_api *a, enum fl_action action)
{
    struct fl_err err;
    if (a->who == FL_WHO_OPERATOR || fl_role_require(a->role, action, &err) == FL_OK)
        return true;
    fl_api_refuse(a, err.text);
    return false;
}

static bool read_people(struct fl_api *a)
{
    struct fl_change *c = a->change;
    const struct fl_query *q = c->q_people;
    c->members = fl_arena_array(a->arena, (size_t)fl_rows(q) + 1, sizeof *c->members);
    c->groups = fl_arena_array(a->arena, (size_t)fl_rows(c->q_groups) + 1, sizeof *c->groups);
    if (!c->members || !c->groups)
        return false;
    for (int i = 0; i < fl_rows(q); i++)
        c->members[c->member_count++] =
            (struct fl_member){ .id = fl_cell_uuid(q, i, 0),
                                .name = fl_cell_copy(q, a->arena, i, 1),
                                .role = fl_role_parse(fl_cell(q, i, 2)),
                                .is_active = fl_cell_bool(q, i, 3),
                                .groups = fl_cell_copy(q, a->arena, i, 4),
                                .display = fl_cell_copy(q, a->arena, i, 5),
                                .email = fl_cell_copy(q, a->arena, i, 6) };
    for (int i = 0; i < fl_rows(c->q_groups); i++)
        c->groups[c->group_count++] = fl_cell_copy(c->q_groups, a->arena, i, 1);
    return true;
}

/* The role that counts is today's, not the one that the request came in with; and so is what proves
 * that it is them. */
static bool may_still(struct fl_api *a)
{
    struct fl_err err;
    if (a->who != FL_WHO_PERSON)
        return true;
    a->role = FL_ROLE_NONE;
    for (size_t i = 0; i < a->change->member_count; i++) {
        const struct fl_member *m = &a->change->members[i];
        if (m->is_active && fl_uuid_cmp(&m->id, &a->auth.id) == 0)
            a->role = m->role;
    }
    if (fl_store_proved(&a->change->proof, &err) == FL_OK)
        return fl_change_may(a, a->route->action);
    fl_api_refuse(a, err.text);
    return false;
}

static void on_read(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (!fl_api_flow_done(a))
        return;
    if (!read_people(a))
        fl_api_error(a, FL_NOMEM, "out of memory");
    else if (may_still(a))
        a->change->decide(a);
}

static void run(struct fl_api *a, void (*then)(struct fl_op *op))
{
    a->op = (struct fl_op){ .done = then };
    if (fl_tx_round(&a->op, &a->tx) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

static void on_open(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (!fl_api_flow_done(a))
        return;
    if (a->change->lock_first)
        a->change->lock_first(a);
    fl_store_organization_lock(&a->tx);
    fl_store_stop_gate(&a->tx); /* before what it takes away, as a stop and a marker do */
    if (a->who == FL_WHO_PERSON) {
        const struct fl_evidence evidence = fl_api_evidence(a);
        fl_store_member_hold(&a->tx, &a->auth.id);
        fl_store_evidence(&a->tx, &a->auth.id, &evidence, &a->change->proof);
    }
    a->change->q_people = fl_store_people(&a->tx);
    a->change->q_groups = fl_store_groups(&a->tx);
    if (a->done)
        a->done(a);
    run(a, on_read);
}

void fl_change_start(struct fl_api *a, void (*reads)(struct fl_api *a),
                     void (*decide)(struct fl_api *a))
{
    FL_ASSERT(a->has_organization && a->route->need == FL_NEED_ROLE);
    a->change = FL_ARENA_NEW(a->arena, struct fl_change);
    if (!a->change) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    a->change->decide = decide;
    a->done = reads;
    a->op = (struct fl_op){ .done = on_open };
    if (fl_tx_open(&a->op, fl_api_tx(a)) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

static void on_round(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        a->done(a);
}

void fl_change_round(struct fl_api *a, void (*next)(struct fl_api *a))
{
    a->done = next;
    run(a, on_round);
}

static void on_commit(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (op->code == FL_OK)
        fl_api_changed(a);
    on_round(op);
}

void fl_change_commit(struct fl_api *a, void (*done)(struct fl_api *a))
{
    fl_store_organization_touch(&a->tx);
    fl_store_stop_cover_again(&a->tx); /* one of a group covers other people's agents now */
    a->done = done;
    a->op = (struct fl_op){ .done = on_commit };
    if (fl_tx_commit(&a->op, &a->tx) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- one person */
static void read_person(struct fl_api *a)
{
    struct fl_change *c = a->change;
    fl_store_person_lock(&a->tx, a->params[1]); /* what another organization does to them */
    c->q_person = fl_store_person_by_name(&a->tx, a->params[1]);
    c->q_theirs = fl_store_person_organizations(&a->tx, &c->person);
    c->q_mine = a->who == FL_WHO_PERSON ? fl_store_person_organizations(&a->tx, &a->auth.id) : NULL;
    c->q_owners = fl_store_owners(&a->tx, &a->organization_id);
}

void fl_change_person_start(struct fl_api *a, void (*decide)(struct fl_api *a))
{
    size_t i = 0;
    while (i < a->org->person_count && !fl_str_eq(a->org->people[i].name, a->params[1]))
        i++;
    if (i == a->org->person_count) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such person here");
        return;
    }
    struct fl_uuid id = a->org->people[i].id;
    fl_change_start(a, read_person, decide);
    if (a->change)
        a->change->person = id;
}

const struct fl_member *fl_change_target(struct fl_api *a)
{
    const struct fl_member *m = fl_change_member(a, a->params[1]);
    if (m && m->is_active)
        return m;
    fl_api_error(a, FL_CONFLICT, "%.*s was offboarded", FL_STR_ARG(a->params[1]));
    return NULL;
}

bool fl_change_is_self(const struct fl_api *a, const struct fl_member *target)
{
    return a->who == FL_WHO_PERSON && fl_uuid_cmp(&a->auth.id, &target->id) == 0;
}

static enum fl_role role_in(const struct fl_query *q, const struct fl_uuid *organization)
{
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_uuid each = fl_cell_uuid(q, i, 0);
        if (fl_uuid_cmp(&each, organization) == 0)
            return fl_role_parse(fl_cell(q, i, 2));
    }
    return FL_ROLE_NONE;
}

bool fl_change_may_alter(struct fl_api *a, const struct fl_member *target)
{
    const struct fl_change *c = a->change;
    if (target->role == FL_ROLE_OWNER && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS))
        return false;
    for (int i = 0; i < fl_rows(c->q_theirs); i++) {
        struct fl_uuid id = fl_cell_uuid(c->q_theirs, i, 0);
        bool is_owner = fl_role_parse(fl_cell(c->q_theirs, i, 2)) == FL_ROLE_OWNER;
        enum fl_action action = is_owner ? FL_ACTION_MANAGE_OWNERS : FL_ACTION_MANAGE_PEOPLE;
        if (fl_uuid_cmp(&id, &a->organization_id) == 0 ||
            (a->who == FL_WHO_OPERATOR ? fl_api_operator_always(a)
                                       : fl_role_may(role_in(c->q_mine, &id), action)))
            continue;
        char *text = fl_arena_printf(a->arena,
                                     "%.*s belongs to other organizations too, where you may not "
                                     "do this",
                                     FL_STR_ARG(target->name));
        fl_api_refuse(a, text ? text : "not allowed");
        return false;
    }
    return true;
}

bool fl_change_keeps_owner(struct fl_api *a, const struct fl_member *target)
{
    const struct fl_change *c = a->change;
    bool can_sign_in = fl_rows(c->q_person) == 1 && !fl_cell_is_null(c->q_person, 0, 3);
    int64_t others = 0;
    for (size_t i = 0; i < c->member_count; i++)
        others += c->members[i].role == FL_ROLE_OWNER && c->members[i].is_active &&
                  &c->members[i] != target;
    if (others && (!can_sign_in || fl_cell_int(c->q_owners, 0, 0) > 1))
        return true;
    fl_api_error(a, FL_CONFLICT, "%.*s is the last owner%s", FL_STR_ARG(target->name),
                 others ? " who can sign in" : "");
    return false;
}
