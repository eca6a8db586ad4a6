/* Rejecting everything that an agent waits for: one person's vote on each, a transaction per batch,
 * each counted as if it were alone. What comes while it goes on is not in it. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_REJECT_H
#define FLOPINIO_APPROVAL_REJECT_H

#include "runtime/approval/decide.h"

#define FL_REJECT_BATCH 100

struct fl_reject {
    struct fl_flow flow;
    /* ---- inputs; what fl_decide has ---- */
    struct fl_core *core;
    struct fl_uuid organization, person;
    struct fl_str person_name, agent, reason;
    struct fl_evidence evidence;
    bool has_second_factor, may_ask_again;
    const char *via;
    /* ---- outputs ---- */
    size_t rejected, voted; /* voted: more rejections are needed */
    size_t refused;         /* not theirs to decide, or decided meanwhile: `refusal` is the last */
    struct fl_err refusal;
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena; /* of a batch */
    struct fl_tx tx;
    struct fl_query *q_list, *q_people;
    struct fl_decide *batch;
    bool *is_voted;
    size_t count;
    struct fl_uuid from, after; /* where this batch began, and ends */
    int collisions;
    struct fl_post post;
};

/* FL_UNAVAILABLE, FL_DB_REFUSED: batches before the one that failed stand, and the counts say how
 * many. */
enum fl_code fl_reject_start(struct fl_op *op, struct fl_reject *reject) FL_MUST_CHECK;

#endif
