/* A flow through the organizations, in the order of their ids: one that cannot be changed now has
 * its next turn when all others have had theirs. */
#include "runtime/approval/lifter.h"

#include "flopinio/base/log.h"
#include "runtime/store/organization.h"

FL_STEP_DECLARE(found);
FL_STEP_DECLARE(lifted);

static struct fl_lifter *lifter_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_lifter, flow);
}

FL_STEP(look)
{
    struct fl_lifter *l = lifter_of(f);
    if (l->is_stopping)
        return fl_end(f);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    l->arena = fl_arena_new(1024);
    if (!l->arena)
        return fl_end(f);
    fl_tx_init(&l->tx, l->core->pg, l->arena, NULL);
    l->q = fl_store_stops_ended(&l->tx, &l->behind, FL_LIFTER_STOPS);
    return fl_await(f, &S_found, fl_tx_submit(&f->op, &l->tx));
}

FL_STEP(found)
{
    struct fl_lifter *l = lifter_of(f);
    if (f->op.code || l->is_stopping)
        return fl_end(f); /* the next round of the sweep asks again */
    size_t count = (size_t)fl_rows(l->q);
    if (!count && !l->has_more)
        return fl_end(f);
    if (!count) {
        l->behind = (struct fl_uuid){ { 0 } };
        l->has_more = false;
        return &S_look;
    }
    l->behind = fl_cell_uuid(l->q, 0, 0);
    l->lift = (struct fl_stop_lift){ .core = l->core,
                                     .organization = l->behind,
                                     .stops = l->stops,
                                     .actor = FL_ACTOR_SYSTEM,
                                     .actor_id = l->core->worker,
                                     .by = FL_STR("the clock"),
                                     .is_brief = true };
    while (l->lift.count < count) {
        struct fl_uuid organization = fl_cell_uuid(l->q, (int)l->lift.count, 0);
        if (fl_uuid_cmp(&organization, &l->behind) != 0)
            break;
        struct fl_uuid id = fl_cell_uuid(l->q, (int)l->lift.count, 1);
        l->stops[l->lift.count++] = (struct fl_stop_named){ .id = id };
    }
    return fl_await(f, &S_lifted, fl_stop_lift_start(&f->op, &l->lift));
}

FL_STEP(lifted)
{
    struct fl_lifter *l = lifter_of(f);
    if (f->op.code == FL_OK) {
        l->has_more = l->has_more || l->lift.count == FL_LIFTER_STOPS;
        if (l->freezer) /* else whoever moves deadlines finds it */
            fl_freezer_add(l->freezer, &l->lift.organization);
    } else if (f->op.code != FL_NOT_FOUND) { /* by somebody else meanwhile */
        FL_LOG(WARN, "stops_not_lifted", FL_KU("org", &l->lift.organization),
               FL_KS("reason", f->op.err.text));
    }
    return &S_look;
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_lifter *l = lifter_of(f);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    l->is_busy = false;
}

void fl_lifter_kick(struct fl_lifter *l)
{
    if (l->is_busy || l->is_stopping)
        return;
    l->is_busy = true;
    l->has_more = false;
    l->behind = (struct fl_uuid){ { 0 } };
    fl_tx_clear(&l->tx);
    fl_flow_init(&l->flow, &S_failed, on_ended);
    fl_flow_run(&l->flow, &S_look);
}
