/* A delegation that began or is over: cards are drawn again, so that they say who decides and reach
 * them, and what is over is taken away. Who may decide does not wait for this: it is read from the
 * times, wherever it is asked. Called by the sweep; loop thread only. */
#ifndef FLOPINIO_APPROVAL_DELEGATION_H
#define FLOPINIO_APPROVAL_DELEGATION_H

#include "flopinio/base/flow.h"
#include "runtime/approval/core.h"
#include "runtime/io/pg.h"

struct fl_delegation_turn {
    /* inputs: a row of fl_store_sweep_delegations, its texts borrowed until it completes */
    struct fl_core *core;
    struct fl_uuid organization, person;
    struct fl_str person_name, delegate_name;
    int64_t set_at_us;
    struct fl_str why; /* it is over; p NULL: it is not */
    /* private */
    struct fl_flow flow;
    struct fl_op *op;
    struct fl_post post;
    struct fl_arena *arena;
    struct fl_tx tx;
};

/* FL_UNAVAILABLE, FL_NOMEM: the next round finds it again. */
enum fl_code fl_delegation_turn_start(struct fl_op *op,
                                      struct fl_delegation_turn *turn) FL_MUST_CHECK;

#endif
