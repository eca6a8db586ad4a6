/* Recording that a caller has left, as soon as the database is back. */
#include "runtime/approval/leave.h"

#include "flopinio/base/flow.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/hub.h"
#include "runtime/store/approval.h"

#define AGAIN_MS 1000

struct leaving {
    struct fl_flow flow;
    struct fl_core *core;
    struct fl_uuid organization, agent, approval;
    int64_t grace_ms;
    uint64_t
        lost; /* fl_pg_lost, if what it leaves may have been taken by a commit without answer */
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_sleep sleep;
    struct fl_retired retired;
};

FL_STEP_DECLARE(record);
FL_STEP_DECLARE(recorded);

static struct leaving *leaving_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct leaving, flow);
}

FL_STEP(nap)
{
    struct leaving *l = leaving_of(f);
    return fl_await(f, &S_record, fl_sleep_start(&f->op, &l->sleep, l->core->loop, AGAIN_MS));
}

FL_STEP(record)
{
    struct leaving *l = leaving_of(f);
    struct fl_audit_event e;
    if (!fl_pg_are_gone(l->core->pg, l->lost) && !l->core->is_draining)
        return &S_nap; /* it could still be taken behind this */
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    l->arena = fl_arena_new(0);
    if (!l->arena)
        return &S_nap;
    fl_tx_init(&l->tx, l->core->pg, l->arena, &l->organization);
    fl_audit_init(&e, &l->organization, FL_AUDIT_APPROVAL_LEFT, FL_ACTOR_AGENT, &l->agent,
                  "approval", &l->approval);
    if (fl_audit_seal(&e, l->arena, &f->op.err) != FL_OK)
        return &S_nap;
    fl_store_approval_leave(&l->tx, &l->organization, &l->approval, &l->core->worker, l->grace_ms,
                            &e.row);
    return fl_tx_submit(&f->op, &l->tx) ? &S_nap : fl_await(f, &S_recorded, FL_OK);
}

FL_STEP(recorded)
{
    struct leaving *l = leaving_of(f);
    if ((f->op.code == FL_UNAVAILABLE || f->op.code == FL_AMBIGUOUS) && !l->core->is_draining)
        return &S_nap;
    if (f->op.code)
        FL_LOG(WARN, "leave_not_recorded", FL_KU("call", &l->approval),
               FL_KS("reason", f->op.err.text)); /* found when this worker is gone */
    fl_hub_changed(l->core->hub, &l->organization, &l->approval);
    return fl_end(f);
}

static void release(void *owner)
{
    struct leaving *l = owner;
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    fl_free(l);
}

static void on_ended(struct fl_flow *f)
{
    struct leaving *l = leaving_of(f);
    fl_loop_retire(l->core->loop, &l->retired, release, l);
}

static void begin(struct fl_core *core, const struct fl_uuid *organization,
                  const struct fl_uuid *agent, const struct fl_uuid *approval, int64_t grace_ms,
                  fl_next first)
{
    struct leaving *l = fl_calloc(1, sizeof *l);
    if (!l)
        return;
    l->core = core;
    l->organization = *organization;
    l->agent = *agent;
    l->approval = *approval;
    l->grace_ms = grace_ms;
    l->lost = first == &S_nap ? fl_pg_lost(core->pg) : 0;
    fl_flow_init(&l->flow, &S_recorded, on_ended);
    fl_flow_run(&l->flow, first);
}

void fl_leave_try(struct fl_core *core, const struct fl_uuid *organization,
                  const struct fl_uuid *agent, const struct fl_uuid *approval, int64_t grace_ms)
{
    begin(core, organization, agent, approval, grace_ms, &S_record);
}

void fl_leave_later(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *agent, const struct fl_uuid *approval, int64_t grace_ms)
{
    begin(core, organization, agent, approval, grace_ms, &S_nap);
}
