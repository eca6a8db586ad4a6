/* First the cards, then that they were told: should the second fail, the first is done again. */
#include "runtime/approval/delegation.h"

#include "flopinio/base/log.h"
#include "runtime/approval/hub.h"
#include "runtime/audit/event.h"
#include "runtime/store/delegation.h"
#include "runtime/store/organization.h"
#include "runtime/store/outbox.h"
#include "runtime/store/sql.h"

FL_STEP_DECLARE(told);
FL_STEP_DECLARE(noted);

static struct fl_delegation_turn *turn_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_delegation_turn, flow);
}

static struct fl_tx *begin(struct fl_delegation_turn *t)
{
    fl_tx_fini(&t->tx);
    fl_tx_init(&t->tx, t->core->pg, t->arena, &t->organization);
    return &t->tx;
}

FL_STEP(tell)
{
    struct fl_delegation_turn *t = turn_of(f);
    struct fl_tx *tx = begin(t);
    tx->is_alone = true;
    fl_store_outbox_back(tx, NULL);
    return fl_await(f, &S_told, fl_tx_submit(&f->op, tx));
}

FL_STEP(told)
{
    struct fl_delegation_turn *t = turn_of(f);
    struct fl_audit_event e;
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    struct fl_tx *tx = begin(t);
    fl_store_organization_touch(tx);
    if (!t->why.p) {
        fl_store_delegation_told(tx, &t->person, t->set_at_us);
        return fl_await(f, &S_noted, fl_tx_submit(&f->op, tx));
    }
    fl_audit_init(&e, &t->organization, FL_AUDIT_DELEGATION_ENDED, FL_ACTOR_SYSTEM,
                  &t->core->worker, "person", &t->person);
    fl_audit_text(&e, "person", t->person_name);
    fl_audit_text(&e, "delegate", t->delegate_name);
    fl_audit_text(&e, "why", t->why);
    if (fl_audit_seal(&e, t->arena, &err) != FL_OK)
        return fl_fail_with(f, err.code, "%s", err.text);
    fl_store_delegation_drop(tx, &t->person, &e.row);
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, tx));
}

FL_STEP(noted)
{
    struct fl_delegation_turn *t = turn_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_organization_changed(t->core->hub, &t->organization);
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_delegation_turn *t = turn_of(f);
    struct fl_op *op = t->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&t->tx);
    fl_arena_free(&t->arena);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_delegation_turn, post)->flow, &S_tell);
}

/* FL_UNAVAILABLE, FL_NOMEM. */
static enum fl_code turn_start(struct fl_op *op, struct fl_delegation_turn *t)
{
    t->arena = fl_arena_new(1024);
    if (!t->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&t->tx, t->core->pg, t->arena, &t->organization);
    fl_flow_init(&t->flow, &S_failed, on_ended);
    t->op = op;
    fl_op_start(op, NULL, t);
    t->post = (struct fl_post){ .run = on_start };
    fl_loop_post(t->core->loop, &t->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- one after the other */
static void next(struct fl_delegation_turns *t);

static void on_turned(struct fl_op *op)
{
    struct fl_delegation_turns *t = FL_CONTAINER(op, struct fl_delegation_turns, op);
    if (op->code)
        FL_LOG(WARN, "delegation_not_told", FL_KU("org", &t->rows[t->at].organization),
               FL_KS("reason", op->err.text));
    t->at++;
    next(t);
}

static void next(struct fl_delegation_turns *t)
{
    if (!t->is_stopping && t->at < t->count) {
        t->op = (struct fl_op){ .done = on_turned };
        if (turn_start(&t->op, &t->rows[t->at]) == FL_OK)
            return;
    }
    fl_arena_free(&t->arena);
    t->is_busy = false;
}

static void take(struct fl_delegation_turns *t, const struct fl_query *q)
{
    t->rows = fl_arena_array(t->arena, (size_t)fl_rows(q), sizeof *t->rows);
    for (int i = 0; t->rows && i < fl_rows(q); i++) {
        struct fl_delegation_turn *row = &t->rows[t->count];
        *row = (struct fl_delegation_turn){ .core = t->core,
                                            .organization = fl_cell_uuid(q, i, 0),
                                            .person = fl_cell_uuid(q, i, 1),
                                            .person_name = fl_cell_copy(q, t->arena, i, 2),
                                            .delegate_name = fl_cell_copy(q, t->arena, i, 3),
                                            .set_at_us = fl_cell_int(q, i, 4),
                                            .why = fl_cell_copy(q, t->arena, i, 5) };
        t->count +=
            row->person_name.p && row->delegate_name.p && (row->why.p || fl_cell_is_null(q, i, 5));
    }
}

void fl_delegation_turns_kick(struct fl_delegation_turns *t, const struct fl_query *found)
{
    if (t->is_busy || t->is_stopping || !fl_rows(found) || !(t->arena = fl_arena_new(4096)))
        return;
    t->is_busy = true;
    t->count = t->at = 0;
    take(t, found);
    next(t);
}
