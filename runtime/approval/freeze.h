/* Moving the deadlines of what stops cover, behind them: a batch at a time, so that no transaction
 * has more than a few hundred rows, however many wait. Loop thread. */
#ifndef FLOPINIO_APPROVAL_FREEZE_H
#define FLOPINIO_APPROVAL_FREEZE_H

#include "flopinio/base/flow.h"
#include "runtime/approval/core.h"
#include "runtime/io/pg.h"

#define FL_FREEZE_ROWS 500 /* looked at in one transaction */

/* How far a pass over an organization has come. Nothing of it is lost with the process: the next
 * one begins anew, and finds what was moved already as it should be. */
struct fl_freeze {
    struct fl_core *core;
    struct fl_uuid organization;
    bool is_hasty; /* somebody waits for it: fewer rows, and no long wait for any lock */
    bool is_over;  /* out: nothing is to be moved any more, by anybody */
    bool is_had;   /* out: somebody else was at it, or at some of the rows: a while later again */
    /* private */
    struct fl_flow flow;
    struct fl_op *op;
    struct fl_post post;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q_lock, *q_now, *q_looked, *q_moved, *q_stirred;
    bool is_under_way; /* the pass */
    bool is_through;   /* with this batch */
    bool has_left;     /* a row of it that somebody had */
    bool is_resting;   /* the last batch failed, or was had; written by the freezer */
    size_t wanted;     /* rows to be moved, of the batch */
    char began[48];    /* by the database's clock */
    struct fl_freeze_place {
        char at[48]; /* "" in front of the first one */
        struct fl_uuid id;
    } place, next; /* the last one that was looked at; that of this batch */
    int most;
};

/* One batch: the next of the pass, or the first of one. Zeroed but for `core`, `organization` and
 * `is_hasty` before the first. An error leaves it as it was; the next try takes fewer rows. */
enum fl_code fl_freeze_start(struct fl_op *op, struct fl_freeze *freeze) FL_MUST_CHECK;

/* What a worker does beside its rounds of the sweep: the one with the lease for it, which is
 * another one than the sweep's, as an older program that has that one moves nothing. */
#define FL_FREEZER_ORGS 8 /* organizations at a time */
struct fl_freezer {
    struct fl_core *core;
    struct fl_op op;
    struct fl_freeze slots[FL_FREEZER_ORGS]; /* core NULL: free */
    size_t at;
    bool is_busy;
    bool is_stopping; /* set by the owner: no further batch */
};
/* Something is to be moved there; to be told again and again while that is so, as what somebody
 * else has rests until then. With all slots taken it is for the next look to find it again. */
void fl_freezer_add(struct fl_freezer *freezer, const struct fl_uuid *organization);

#endif
