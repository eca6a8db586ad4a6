/* Canary approvals: calls that nobody made, filed at an unpredictable time of the organization's
 * office hours like held ones, which people are to reject. They go the way of an agent's call
 * (call.h) as far as waiting for people; the database lets none of them be approved (migration
 * 034). Loop thread only. */
#ifndef FLOPINIO_APPROVAL_CANARY_H
#define FLOPINIO_APPROVAL_CANARY_H

#include "flopinio/base/flow.h"
#include "policy/hours.h"
#include "runtime/approval/core.h"
#include "runtime/approval/org.h"
#include "runtime/store/canary.h"

/* The hours as they are set; the zone's file is read into the arena. FL_BAD_PARAMS: no such zone;
 * FL_NOMEM. */
enum fl_code fl_canary_hours(struct fl_arena *arena, const struct fl_canary_row *row,
                             struct fl_hours *ret, struct fl_err *err) FL_MUST_CHECK;
/* When the next one is filed, in microseconds: anywhere within twice the time, counted in those
 * hours, that lies between two on average. -1: there are no such hours in the days to come. */
int64_t fl_canary_draw(const struct fl_hours *hours, int per_week, int64_t now_us);

/* Would such a call be held for people, by what is known now? FL_BAD_PARAMS with one sentence. */
enum fl_code fl_canary_check(const struct fl_org *org, const struct fl_canary_who *who,
                             struct fl_str tool, struct fl_str arguments,
                             struct fl_err *err) FL_MUST_CHECK;

struct fl_canary_fire {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization;
    struct fl_uuid canary; /* zero: `name`, at once; else if its time has come */
    struct fl_str name, by;
    enum fl_actor actor;
    struct fl_uuid actor_id;
    /* ---- outputs ---- */
    struct fl_uuid approval; /* zero: nothing was filed */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_canary_row row;
    struct fl_canary_who who;
    char refusal[FL_ERR_TEXT_BYTES];
    struct fl_post post;
};

/* FL_OK: it was filed, or its time has not come or was missed and another one is drawn.
 * FL_NOT_FOUND; FL_CONFLICT with one sentence, which its row says too: it would not be held;
 * FL_UNAVAILABLE. */
enum fl_code fl_canary_fire_start(struct fl_op *op, struct fl_canary_fire *fire) FL_MUST_CHECK;
/* The process ends: those that are held here wait for people without it. */
void fl_canary_drain(struct fl_core *core);
/* fl_canary_fire_start with nobody waiting, for the sweep. */
void fl_canary_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *canary);

#endif
