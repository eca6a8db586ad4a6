/* Lifting stops whose time is up, beside the rounds of the sweep: whoever holds an organization
 * keeps its stops, and no other's, and nothing else that is due. Loop thread. */
#ifndef FLOPINIO_APPROVAL_LIFTER_H
#define FLOPINIO_APPROVAL_LIFTER_H

#include "runtime/approval/stop.h"

#define FL_LIFTER_STOPS 20 /* of one organization in its turn, in one transaction */

struct fl_lifter {
    struct fl_core *core;
    struct fl_freezer *freezer; /* told of what was lifted; NULL: another worker moves deadlines */
    bool is_busy;
    bool is_stopping; /* set by the owner: no further turn */
    /* private */
    struct fl_flow flow;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_uuid behind; /* whose turn it was last; zero: nobody's yet */
    bool has_more;         /* somebody had more than one turn takes */
    struct fl_stop_named stops[FL_LIFTER_STOPS];
    struct fl_stop_lift lift;
};

/* Each organization with such stops has a turn, unless they are having theirs already. What could
 * not be lifted is found again by the next call. */
void fl_lifter_kick(struct fl_lifter *lifter);

#endif
