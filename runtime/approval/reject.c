/* Rejecting many. */
#include "runtime/approval/reject.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/store/vote.h"

#define REASON_MAX     2000
#define COLLISIONS_MAX 5 /* of one batch */

FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(done);

static struct fl_reject *reject_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_reject, flow);
}

static void clear(struct fl_reject *r)
{
    for (size_t i = 0; i < r->count; i++)
        fl_policy_ask_free(&r->batch[i].ask);
    r->count = 0;
    if (r->arena)
        fl_tx_fini(&r->tx);
    fl_arena_free(&r->arena);
}

/* Callers that leave together move their rows in no order: where one of them and a batch wait for
 * each other, PostgreSQL rolls one back. Nothing of it is there then, so that it goes again. */
static fl_next end_or_again(struct fl_reject *r)
{
    if (strncmp(r->tx.sqlstate, "40", 2) != 0 || r->collisions == COLLISIONS_MAX)
        return fl_fail(&r->flow);
    r->collisions++;
    r->after = r->from;
    fl_tx_abandon(&r->tx);
    return &S_open;
}

FL_STEP(open)
{
    struct fl_reject *r = reject_of(f);
    clear(r);
    r->from = r->after;
    r->arena = fl_arena_new(0);
    if (!r->arena)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    fl_tx_init(&r->tx, r->core->pg, r->arena, &r->organization);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &r->tx));
}

FL_STEP(opened)
{
    struct fl_reject *r = reject_of(f);
    struct fl_approval_filter filter = {
        .states = "pending", .agent_name = r->agent, .after = r->after, .most = FL_REJECT_BATCH
    };
    if (f->op.code)
        return fl_fail(f);
    r->q_list = fl_store_approval_list(&r->tx, &filter);
    return fl_await(f, &S_listed, fl_tx_round(&f->op, &r->tx));
}

/* As everybody locks several of them (store/sql.h); they come newest first. */
static int by_id(const void *a, const void *b)
{
    const struct fl_decide *x = a, *y = b;
    return fl_uuid_cmp(&x->approval, &y->approval);
}

FL_STEP(listed)
{
    struct fl_reject *r = reject_of(f);
    struct fl_approval row;
    if (f->op.code)
        return fl_fail(f);
    size_t count = (size_t)fl_rows(r->q_list);
    r->batch = fl_arena_array(r->arena, count + 1, sizeof *r->batch);
    r->is_voted = fl_arena_array(r->arena, count + 1, sizeof *r->is_voted);
    if (!r->batch || !r->is_voted)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    for (; r->count < count; r->count++) {
        (void)!fl_store_approval_read(r->q_list, (int)r->count, r->arena, &row);
        r->batch[r->count] = (struct fl_decide){ .core = r->core,
                                                 .organization = r->organization,
                                                 .approval = row.id,
                                                 .person = r->person,
                                                 .person_name = r->person_name,
                                                 .evidence = r->evidence,
                                                 .has_second_factor = r->has_second_factor,
                                                 .verdict = FL_VERDICT_REJECT,
                                                 .reason = r->reason,
                                                 .may_ask_again = r->may_ask_again,
                                                 .via = r->via,
                                                 .arena = r->arena,
                                                 .tx = &r->tx };
        r->after = row.id;
    }
    if (count == 0) {
        fl_tx_abandon(&r->tx);
        return fl_end(f);
    }
    qsort(r->batch, count, sizeof *r->batch, by_id);
    fl_decide_hold(&r->batch[0]);
    for (size_t i = 0; i < count; i++)
        fl_decide_read(&r->batch[i]);
    r->q_people = fl_store_people(&r->tx);
    return fl_await(f, &S_locked, fl_tx_round(&f->op, &r->tx));
}

FL_STEP(locked)
{
    struct fl_reject *r = reject_of(f);
    if (f->op.code)
        return end_or_again(r);
    for (size_t i = 0; i < r->count; i++) {
        r->batch[i].q_people = r->q_people;
        r->batch[i].proof = r->batch[0].proof;
        fl_decide_judge(&r->batch[i]);
    }
    for (size_t i = 0; i < r->count; i++) {
        struct fl_decide *d = &r->batch[i];
        bool is_theirs = d->refusal.code == FL_OK;
        enum fl_decide_end end = fl_decide_write(d);
        r->is_voted[i] = end == FL_DECIDE_VOTED;
        if (is_theirs && end == FL_DECIDE_FAILED)
            return fl_fail_with(f, d->refusal.code, "%s", d->refusal.text);
    }
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &r->tx));
}

FL_STEP(done)
{
    struct fl_reject *r = reject_of(f);
    struct fl_err err;
    if (f->op.code)
        return end_or_again(r);
    r->collisions = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct fl_decide *d = &r->batch[i];
        if (!r->is_voted[i]) {
            r->refused++;
            if (d->refusal.code)
                r->refusal = d->refusal;
            continue;
        }
        if (fl_decide_tell(d, &err) != FL_OK)
            return fl_fail_with(f, err.code, "%s", err.text);
        r->rejected += d->is_decided;
        r->voted += !d->is_decided;
    }
    return r->count < FL_REJECT_BATCH ? fl_end(f) : &S_open;
}

FL_STEP(failed)
{
    fl_tx_abandon(&reject_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_reject *r = reject_of(f);
    struct fl_op *op = r->op;
    if (f->first.code)
        op->err = f->first;
    clear(r);
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_reject, post)->flow, &S_open);
}

enum fl_code fl_reject_start(struct fl_op *op, struct fl_reject *r)
{
    if (r->reason.n > REASON_MAX)
        return fl_err_set(&op->err, FL_BAD_PARAMS, "the reason is longer than %d bytes",
                          REASON_MAX);
    fl_flow_init(&r->flow, &S_failed, on_ended);
    r->op = op;
    fl_op_start(op, NULL, r);
    r->post = (struct fl_post){ .run = on_start };
    fl_loop_post(r->core->loop, &r->post);
    return FL_OK;
}
