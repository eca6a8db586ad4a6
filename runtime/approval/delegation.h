/* A delegation that began or is over: cards are drawn again, so that they say who decides and reach
 * them, and what is over is taken away. Who may decide does not wait for this: it is read from the
 * times, wherever it is asked. Called by the sweep, beside its rounds: whoever holds a row of one
 * organization keeps up nothing of another. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_DELEGATION_H
#define FLOPINIO_APPROVAL_DELEGATION_H

#include "flopinio/base/flow.h"
#include "runtime/approval/core.h"
#include "runtime/io/pg.h"

struct fl_delegation_turn {
    /* inputs: a row of fl_store_sweep_delegations */
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

/* One after the other; zeroed but for `core` before the first time. */
struct fl_delegation_turns {
    struct fl_core *core;
    bool is_busy;
    bool is_stopping; /* set by the owner: no further one */
    /* private */
    struct fl_op op;
    struct fl_arena *arena; /* of the rows and their texts */
    struct fl_delegation_turn *rows;
    int count, at;
};

/* Copies what was found and turns to it, unless others have their turn: those, and what failed, the
 * next round finds again. */
void fl_delegation_turns_kick(struct fl_delegation_turns *turns, const struct fl_query *found);

#endif
