/* Stops. Each is one implicit transaction: the stop, the organization's revision, the audit row.
 * From its commit on it holds; what comes behind only moves deadlines. */
#include "runtime/approval/stop.h"

#include "policy/role.h"
#include "runtime/approval/hub.h"
#include "runtime/store/organization.h"

#define BRIEF_MS 1000 /* the clock has others to lift, and comes again */

const char *fl_stop_scope(struct fl_str text)
{
    static const char *const scopes[] = { "org", "group", "server", "agent", "person", "tool" };
    for (size_t i = 0; i < FL_COUNTOF(scopes); i++) {
        if (fl_str_is(text, scopes[i]))
            return scopes[i];
    }
    return NULL;
}

/* ---------------------------------------------------------------- setting */
static enum fl_code read_in_flight(struct fl_stop_set *s, struct fl_err *err)
{
    int count = fl_rows(s->q);
    s->in_flight = fl_arena_array(s->arena, (size_t)count + 1, sizeof *s->in_flight);
    if (!s->in_flight)
        return fl_err_code(err, FL_NOMEM);
    for (int i = 0; i < count; i++)
        s->in_flight[i] =
            (struct fl_in_flight){ .approval = fl_cell_uuid(s->q, i, 0),
                                   .tool = fl_arena_str(s->arena, fl_cell(s->q, i, 1)),
                                   .agent = fl_arena_str(s->arena, fl_cell(s->q, i, 2)),
                                   .sent_at_ms = fl_cell_int(s->q, i, 3) };
    s->in_flight_count = (size_t)count;
    return FL_OK;
}

/* Whatever became of the batch: the freezer goes on with it. */
static void on_frozen(struct fl_op *op)
{
    struct fl_stop_set *s = FL_CONTAINER(op, struct fl_stop_set, db);
    s->is_moving = op->code != FL_OK || !s->freeze.is_over;
    fl_op_finish(s->op, FL_OK);
}

static void on_set(struct fl_op *op)
{
    struct fl_stop_set *s = FL_CONTAINER(op, struct fl_stop_set, db);
    struct fl_op *user = s->op;
    enum fl_code code = op->code;
    user->err = op->err;
    if (code == FL_OK) {
        fl_hub_organization_changed(s->core->hub, &s->organization);
        code = read_in_flight(s, &user->err);
    }
    fl_tx_fini(&s->tx);
    if (code == FL_OK) {
        s->is_moving = true;
        s->freeze = (struct fl_freeze){ .core = s->core,
                                        .organization = s->organization,
                                        .is_hasty = true };
        s->db = (struct fl_op){ .done = on_frozen };
        if (fl_freeze_start(&s->db, &s->freeze) == FL_OK)
            return;
    }
    fl_op_finish(user, code);
}

static enum fl_code check(const struct fl_stop_set *s, struct fl_err *err)
{
    if (!s->scope || !s->name.n || s->name.n > 200)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "say what to stop: org, group, server, agent, person or tool, and its "
                          "name");
    if (!s->reason.n || s->reason.n > 1000)
        return fl_err_set(err, FL_BAD_PARAMS, "a stop needs a reason of at most 1000 bytes");
    if (s->for_ms < 0 || s->for_ms > FL_STOP_MOST_MS)
        return fl_err_set(err, FL_BAD_PARAMS, "a stop is set for at most 366 days");
    return FL_OK;
}

enum fl_code fl_stop_set_start(struct fl_op *op, struct fl_stop_set *s)
{
    struct fl_audit_event e;
    enum fl_code code = check(s, &op->err);
    if (code)
        return code;
    s->id = fl_uuid_new();
    fl_tx_init(&s->tx, s->core->pg, s->arena, &s->organization);
    fl_store_organization_touch(&s->tx);
    fl_store_stop_gate(&s->tx);
    fl_store_stop_put(&s->tx, &s->id, s->scope, s->name, s->reason, s->by, s->for_ms);
    s->q = fl_store_stop_in_flight(&s->tx, &s->id);
    fl_audit_init(&e, &s->organization, FL_AUDIT_STOP_SET, s->actor, &s->actor_id, "stop", &s->id);
    fl_audit_text(&e, "by", s->by);
    fl_audit_z(&e, "via", s->via);
    fl_audit_z(&e, "scope", s->scope);
    fl_audit_text(&e, "name", s->name);
    fl_audit_text(&e, "reason", s->reason);
    if (s->for_ms)
        fl_audit_int(&e, "for_ms", s->for_ms);
    fl_audit_append(&e, &s->tx);
    s->db = (struct fl_op){ .done = on_set };
    code = fl_tx_submit(&s->db, &s->tx);
    if (code) {
        op->err = s->db.err;
        fl_tx_fini(&s->tx);
        return code;
    }
    fl_op_start(op, NULL, s);
    s->op = op;
    return FL_OK;
}

/* ---------------------------------------------------------------- lifting */
static void on_thawed(struct fl_op *op)
{
    struct fl_stop_lift *l = FL_CONTAINER(op, struct fl_stop_lift, db);
    l->is_moving = op->code != FL_OK || !l->freeze.is_over;
    fl_op_finish(l->op, FL_OK);
}

static void on_lifted(struct fl_op *op)
{
    struct fl_stop_lift *l = FL_CONTAINER(op, struct fl_stop_lift, db);
    struct fl_op *user = l->op;
    user->err = op->err;
    enum fl_code code = fl_store_held(&l->tx, op->code, &user->err);
    l->lifted = 0;
    for (size_t i = 0; code == FL_OK && i < l->count; i++)
        l->lifted += fl_rows(l->q[i]) == 1;
    if (code == FL_OK && l->lifted == 0)
        code = fl_err_set(&user->err, FL_NOT_FOUND, "nothing of that name is stopped");
    else if (code == FL_OK)
        fl_hub_organization_changed(l->core->hub, &l->organization);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    if (code == FL_OK) {
        l->is_moving = true;
        l->freeze = (struct fl_freeze){ .core = l->core,
                                        .organization = l->organization,
                                        .is_hasty = true };
        l->db = (struct fl_op){ .done = on_thawed };
        if (!l->is_brief && fl_freeze_start(&l->db, &l->freeze) == FL_OK)
            return;
    }
    fl_op_finish(user, code);
}

/* The audit row goes with the lifting: none for a stop that was lifted already. */
static enum fl_code add_lift(struct fl_stop_lift *l, size_t at, struct fl_err *err)
{
    const struct fl_stop_named *stop = &l->stops[at];
    struct fl_audit_event e;
    fl_audit_init(&e, &l->organization, FL_AUDIT_STOP_LIFTED, l->actor, &l->actor_id, "stop",
                  &stop->id);
    fl_audit_text(&e, "scope", stop->scope);
    fl_audit_text(&e, "name", stop->name);
    fl_audit_text(&e, "by", l->by);
    fl_audit_z(&e, "via", l->via);
    enum fl_code code = fl_audit_seal(&e, l->arena, err);
    if (code == FL_OK)
        l->q[at] = fl_store_stop_lift(&l->tx, &stop->id, l->by, &e.row);
    return code;
}

static void hold(struct fl_stop_lift *l)
{
    char roles[FL_ROLES_BYTES];
    fl_role_list(FL_ACTION_RESUME, roles);
    fl_store_must_hold(&l->tx, &l->actor_id, &l->evidence, roles);
}

enum fl_code fl_stop_lift_start(struct fl_op *op, struct fl_stop_lift *l)
{
    if (!l->count)
        return fl_err_set(&op->err, FL_NOT_FOUND, "nothing of that name is stopped");
    l->arena = fl_arena_new(0);
    l->q = l->arena ? fl_arena_array(l->arena, l->count, sizeof(struct fl_query *)) : NULL;
    if (!l->q) {
        fl_arena_free(&l->arena);
        return fl_err_code(&op->err, FL_NOMEM);
    }
    fl_tx_init(&l->tx, l->core->pg, l->arena, &l->organization);
    enum fl_code code = FL_OK;
    if (l->is_brief)
        fl_store_stop_patience(&l->tx, BRIEF_MS);
    fl_store_organization_touch(&l->tx);
    fl_store_stop_gate(&l->tx);
    if (l->actor == FL_ACTOR_PERSON)
        hold(l);
    for (size_t i = 0; code == FL_OK && i < l->count; i++)
        code = add_lift(l, i, &op->err);
    l->db = (struct fl_op){ .done = on_lifted };
    if (code == FL_OK && (code = fl_tx_submit(&l->db, &l->tx)) != FL_OK)
        op->err = l->db.err;
    if (code) {
        fl_tx_fini(&l->tx);
        fl_arena_free(&l->arena);
        return code;
    }
    fl_op_start(op, NULL, l);
    l->op = op;
    return FL_OK;
}
