/* A batch is one transaction: the lock, the rows, and behind the last ones that the pass is
 * through, which has one of its own in front, in which it begins. A stop that was set or lifted
 * since then has another one. */
#include "runtime/approval/freeze.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "runtime/store/organization.h"

#define LEAST_ROWS 16 /* where the database is so slow that more take too long */
#define HASTY_ROWS 200
#define HASTY_MS   500
#define LOCK_MS    1000 /* for a card that somebody holds */

FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(moved);
FL_STEP_DECLARE(done);
FL_STEP_DECLARE(failed);

static struct fl_freeze *freeze_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_freeze, flow);
}

FL_STEP(open)
{
    struct fl_freeze *z = freeze_of(f);
    fl_tx_fini(&z->tx);
    fl_tx_init(&z->tx, z->core->pg, z->arena, &z->organization);
    z->tx.timeout_ms = z->is_hasty ? HASTY_MS : 0; /* for a connection */
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &z->tx));
}

FL_STEP(opened)
{
    struct fl_freeze *z = freeze_of(f);
    if (f->op.code)
        return fl_fail(f);
    z->tx.timeout_ms = 0;
    z->q_lock = fl_store_stop_move_lock(&z->tx, z->is_hasty ? HASTY_MS : LOCK_MS, z->is_hasty);
    if (!z->is_under_way)
        fl_store_stop_gate_pass(&z->tx);
    z->q_now = fl_store_stop_move_now(&z->tx);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &z->tx));
}

/* Nothing was written. */
static fl_next leave(struct fl_freeze *z)
{
    fl_tx_abandon(&z->tx);
    return fl_end(&z->flow);
}

FL_STEP(locked)
{
    struct fl_freeze *z = freeze_of(f);
    if (f->op.code)
        return fl_fail(f);
    z->is_had = !fl_cell_bool(z->q_lock, 0, 0);
    z->is_over = !z->is_had && !fl_cell_bool(z->q_now, 0, 1);
    if (z->is_had || z->is_over)
        return leave(z);
    if (!z->is_under_way) {
        snprintf(z->began, sizeof z->began, "%.*s", FL_STR_ARG(fl_cell(z->q_now, 0, 0)));
        z->place = (struct fl_freeze_place){ .at = "" };
        z->is_under_way = true;
        z->has_left = false;
        return fl_await(f, &S_open, fl_tx_commit(&f->op, &z->tx)); /* the gate is let go */
    }
    struct fl_str at = z->place.at[0] ? fl_str_of(z->place.at) : (struct fl_str){ NULL, 0 };
    z->q_looked = fl_store_stop_move_look(&z->tx, at, &z->place.id, z->most);
    return fl_await(f, &S_looked, fl_tx_round(&f->op, &z->tx));
}

FL_STEP(looked)
{
    struct fl_freeze *z = freeze_of(f);
    struct fl_array ids, since, stirred;
    if (f->op.code)
        return fl_fail(f);
    int count = fl_rows(z->q_looked);
    z->is_through = count < z->most;
    fl_array_init(&ids, FL_ARRAY_UUID);
    fl_array_init(&since, FL_ARRAY_TEXT);
    fl_array_init(&stirred, FL_ARRAY_UUID);
    for (int i = 0; i < count; i++) {
        z->next.id = fl_cell_uuid(z->q_looked, i, 0);
        if (!fl_cell_bool(z->q_looked, i, 2)) {
            if (fl_cell_bool(z->q_looked, i, 4))
                fl_array_put(&stirred, z->next.id.b, sizeof z->next.id.b);
            continue;
        }
        struct fl_str at = fl_cell(z->q_looked, i, 3);
        fl_array_put(&ids, z->next.id.b, sizeof z->next.id.b);
        fl_array_put(&since, at.p, at.n);
    }
    if (count)
        snprintf(z->next.at, sizeof z->next.at, "%.*s",
                 FL_STR_ARG(fl_cell(z->q_looked, count - 1, 1)));
    z->wanted = ids.count;
    z->q_moved = fl_store_stop_move(&z->tx, &ids, &since);
    z->q_stirred = fl_store_stop_stir(&z->tx, &stirred, fl_str_of(z->began));
    return fl_await(f, &S_moved, fl_tx_round(&f->op, &z->tx));
}

FL_STEP(moved)
{
    struct fl_freeze *z = freeze_of(f);
    if (f->op.code)
        return fl_fail(f);
    z->has_left = z->has_left || (size_t)fl_rows(z->q_moved) < z->wanted ||
                  fl_cell_int(z->q_stirred, 0, 0) > 0;
    if (z->is_through && !z->has_left) {
        fl_store_stop_moved(&z->tx, fl_str_of(z->began));
        z->q_now = fl_store_stop_move_now(&z->tx);
    }
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &z->tx));
}

FL_STEP(done)
{
    struct fl_freeze *z = freeze_of(f);
    if (f->op.code)
        return fl_fail(f);
    z->place = z->next;
    if (z->is_through) {
        z->is_under_way = false;
        z->is_had = z->has_left;
        z->is_over = !z->has_left && !fl_cell_bool(z->q_now, 0, 1);
    }
    z->most = z->most * 2 < FL_FREEZE_ROWS ? z->most * 2 : FL_FREEZE_ROWS;
    return fl_end(f);
}

FL_STEP(failed)
{
    struct fl_freeze *z = freeze_of(f);
    fl_tx_abandon(&z->tx);
    z->most = z->most / 2 > LEAST_ROWS ? z->most / 2 : LEAST_ROWS;
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_freeze *z = freeze_of(f);
    struct fl_op *op = z->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&z->tx);
    fl_arena_free(&z->arena);
    fl_op_finish(op, f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_freeze, post)->flow, &S_open);
}

enum fl_code fl_freeze_start(struct fl_op *op, struct fl_freeze *z)
{
    z->arena = fl_arena_new(4096);
    if (!z->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    if (!z->most)
        z->most = z->is_hasty ? HASTY_ROWS : FL_FREEZE_ROWS;
    z->is_over = z->is_had = z->is_through = false;
    fl_tx_clear(&z->tx);
    fl_flow_init(&z->flow, &S_failed, on_ended);
    fl_op_start(op, NULL, z);
    z->op = op;
    z->post = (struct fl_post){ .run = on_start };
    fl_loop_post(z->core->loop, &z->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- one organization after another
 */
static void next(struct fl_freezer *r);

static void on_batch(struct fl_op *op)
{
    struct fl_freezer *r = FL_CONTAINER(op, struct fl_freezer, op);
    struct fl_freeze *z = &r->slots[r->at];
    r->is_busy = false;
    r->at = (r->at + 1) % FL_FREEZER_ORGS;
    if (op->code)
        FL_LOG(WARN, "stop_not_moved", FL_KU("org", &z->organization),
               FL_KS("reason", op->err.text));
    z->is_resting = op->code != FL_OK || z->is_had;
    if (z->is_over)
        z->core = NULL;
    next(r);
}

/* Each has a batch in turn, but for those that rest. */
static void next(struct fl_freezer *r)
{
    for (size_t i = 0; i < FL_FREEZER_ORGS && !r->is_stopping; i++) {
        struct fl_freeze *z = &r->slots[r->at];
        if (z->core && !z->is_resting) {
            r->op = (struct fl_op){ .done = on_batch };
            r->is_busy = fl_freeze_start(&r->op, z) == FL_OK;
            return;
        }
        r->at = (r->at + 1) % FL_FREEZER_ORGS;
    }
}

/* One that rests gives way where there is no other place: it is found again. */
static void take(struct fl_freezer *r, const struct fl_uuid *organization)
{
    struct fl_freeze *slot = NULL;
    for (size_t i = 0; i < FL_FREEZER_ORGS; i++) {
        struct fl_freeze *z = &r->slots[i];
        if (z->core && fl_uuid_cmp(&z->organization, organization) == 0) {
            z->is_resting = false;
            return;
        }
        if (!z->core || (z->is_resting && (!slot || slot->core)))
            slot = z;
    }
    if (slot)
        *slot = (struct fl_freeze){ .core = r->core, .organization = *organization };
}

void fl_freezer_add(struct fl_freezer *r, const struct fl_uuid *organization)
{
    take(r, organization);
    if (!r->is_busy)
        next(r);
}
