/* Stops. Each is one implicit transaction: the stop, the deadlines that now stand still or run on,
 * the organization's revision, the audit row. */
#include "runtime/approval/stop.h"

#include "runtime/approval/hub.h"
#include "runtime/store/organization.h"

const char *fl_stop_scope(struct fl_str text)
{
    static const char *const scopes[] = { "org", "group", "server", "agent", "person", "tool" };
    for (size_t i = 0; i < FL_COUNTOF(scopes); i++) {
        if (fl_str_is(text, scopes[i]))
            return scopes[i];
    }
    return NULL;
}

static void on_set(struct fl_op *op)
{
    struct fl_stop_set *s = FL_CONTAINER(op, struct fl_stop_set, db);
    struct fl_op *user = s->op;
    enum fl_code code = op->code;
    user->err = op->err;
    if (code == FL_OK)
        fl_hub_organization_changed(s->core->hub, &s->organization);
    fl_tx_fini(&s->tx);
    fl_arena_free(&s->arena);
    fl_op_finish(user, code);
}

enum fl_code fl_stop_set_start(struct fl_op *op, struct fl_stop_set *s)
{
    struct fl_audit_event e;
    if (!s->scope || !s->name.n || s->name.n > 200)
        return fl_err_set(&op->err, FL_BAD_PARAMS,
                          "say what to stop: org, group, server, agent, person or tool, and its "
                          "name");
    if (!s->reason.n || s->reason.n > 1000)
        return fl_err_set(&op->err, FL_BAD_PARAMS, "a stop needs a reason of at most 1000 bytes");
    s->arena = fl_arena_new(0);
    if (!s->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    s->id = fl_uuid_new();
    fl_tx_init(&s->tx, s->core->pg, s->arena, &s->organization);
    fl_store_stop_put(&s->tx, &s->id, s->scope, s->name, s->reason, s->by, s->for_ms);
    fl_store_stop_refreeze(&s->tx);
    fl_store_organization_touch(&s->tx);
    fl_audit_init(&e, &s->organization, FL_AUDIT_STOP_SET, s->actor, &s->actor_id, "stop", &s->id);
    fl_audit_z(&e, "scope", s->scope);
    fl_audit_text(&e, "name", s->name);
    fl_audit_text(&e, "reason", s->reason);
    if (s->for_ms)
        fl_audit_int(&e, "for_ms", s->for_ms);
    fl_audit_append(&e, &s->tx);
    s->db = (struct fl_op){ .done = on_set };
    enum fl_code code = fl_tx_submit(&s->db, &s->tx);
    if (code) {
        op->err = s->db.err;
        fl_tx_fini(&s->tx);
        fl_arena_free(&s->arena);
        return code;
    }
    fl_op_start(op, NULL, s);
    s->op = op;
    return FL_OK;
}

static void on_lifted(struct fl_op *op)
{
    struct fl_stop_lift *l = FL_CONTAINER(op, struct fl_stop_lift, db);
    struct fl_op *user = l->op;
    enum fl_code code = op->code;
    user->err = op->err;
    l->lifted = code == FL_OK ? fl_rows(l->q) : 0;
    if (code == FL_OK && l->lifted == 0)
        code = fl_err_set(&user->err, FL_NOT_FOUND, "nothing of that name is stopped");
    else if (code == FL_OK)
        fl_hub_organization_changed(l->core->hub, &l->organization);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    fl_op_finish(user, code);
}

enum fl_code fl_stop_lift_start(struct fl_op *op, struct fl_stop_lift *l)
{
    struct fl_audit_event e;
    l->arena = fl_arena_new(0);
    if (!l->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&l->tx, l->core->pg, l->arena, &l->organization);
    l->q = fl_store_stop_lift(&l->tx, &l->id, l->scope, l->name, l->by);
    fl_store_stop_refreeze(&l->tx);
    fl_store_organization_touch(&l->tx);
    fl_audit_init(&e, &l->organization, FL_AUDIT_STOP_LIFTED, l->actor, &l->actor_id, "stop",
                  &l->id);
    if (l->scope)
        fl_audit_z(&e, "scope", l->scope);
    fl_audit_text(&e, "name", l->name);
    fl_audit_text(&e, "by", l->by);
    fl_audit_append(&e, &l->tx);
    l->db = (struct fl_op){ .done = on_lifted };
    enum fl_code code = fl_tx_submit(&l->db, &l->tx);
    if (code) {
        op->err = l->db.err;
        fl_tx_fini(&l->tx);
        fl_arena_free(&l->arena);
        return code;
    }
    fl_op_start(op, NULL, l);
    l->op = op;
    return FL_OK;
}
