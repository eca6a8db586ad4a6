/* A month after the other. */
#include "runtime/audit/partitions.h"

#include "flopinio/base/log.h"
#include "runtime/store/audit.h"

#define MONTHS 2 /* this one and the next */

FL_STEP_DECLARE(make);

static struct fl_audit_partitions *partitions_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_audit_partitions, flow);
}

FL_STEP(made)
{
    struct fl_audit_partitions *p = partitions_of(f);
    if (f->op.code) {
        FL_LOG(ERROR, "audit_partition_not_made", FL_KI("months_ahead", p->months_ahead),
               FL_KS("reason", f->op.err.text));
        p->op->err = f->op.err;
        p->is_behind = true;
        if (!p->tx.sqlstate[0]) /* the database is away: so it is for the next */
            return fl_end(f);
    }
    p->months_ahead++;
    return p->months_ahead < MONTHS ? &S_make : fl_end(f);
}

FL_STEP(make)
{
    struct fl_audit_partitions *p = partitions_of(f);
    fl_tx_fini(&p->tx);
    fl_tx_init(&p->tx, p->pg, p->arena, NULL);
    p->tx.is_alone = true; /* its locks are nobody else's */
    fl_store_audit_partition(&p->tx, p->months_ahead);
    return fl_await(f, &S_made, fl_tx_submit(&f->op, &p->tx));
}

FL_STEP(not_made)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_audit_partitions *p = partitions_of(f);
    if (f->first.code)
        p->op->err = f->first;
    enum fl_code code = f->first.code || p->is_behind ? p->op->err.code : FL_OK;
    fl_tx_fini(&p->tx);
    fl_arena_free(&p->arena);
    fl_op_finish(p->op, code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_audit_partitions, post)->flow, &S_make);
}

enum fl_code fl_audit_partitions_start(struct fl_op *op, struct fl_audit_partitions *p,
                                       struct fl_loop *loop, struct fl_pg *pg)
{
    *p = (struct fl_audit_partitions){ .op = op, .loop = loop, .pg = pg };
    p->arena = fl_arena_new(1024);
    if (!p->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&p->tx, pg, p->arena, NULL);
    fl_flow_init(&p->flow, &S_not_made, on_ended);
    fl_op_start(op, NULL, p);
    p->post = (struct fl_post){ .run = on_start };
    fl_loop_post(loop, &p->post);
    return FL_OK;
}
