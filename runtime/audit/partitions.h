/* The audit's partitions of this month and the next. Each is made in a transaction of its own, in
 * which nothing else is lost when it cannot be made now; a failure is logged, and doctor names the
 * month that is missing. Loop thread. */
#ifndef FLOPINIO_AUDIT_PARTITIONS_H
#define FLOPINIO_AUDIT_PARTITIONS_H

#include "flopinio/base/flow.h"
#include "runtime/io/pg.h"

struct fl_audit_partitions {
    struct fl_flow flow;
    struct fl_op *op;
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_post post;
    struct fl_arena *arena;
    struct fl_tx tx;
    int months_ahead; /* of the one that is being made */
    bool is_behind;   /* one could not be made */
};

/* Makes those that are not there yet. `op` completes with FL_OK, or with why one is missing. */
enum fl_code fl_audit_partitions_start(struct fl_op *op, struct fl_audit_partitions *p,
                                       struct fl_loop *loop, struct fl_pg *pg) FL_MUST_CHECK;

#endif
