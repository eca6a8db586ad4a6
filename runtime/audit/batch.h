/* Audit rows of reads: all rows of a loop turn go in one insert; each answer leaves only after the
 * commit of its row (design section 9: durable before the answer is the default). Loop thread. */
#ifndef FLOPINIO_AUDIT_BATCH_H
#define FLOPINIO_AUDIT_BATCH_H

#include "runtime/audit/event.h"

struct fl_audit_batch;

struct fl_audit_entry {
    struct fl_op *op;
    struct fl_list link;
    const struct fl_audit_row *row; /* borrowed until the operation completes */
};

enum fl_code fl_audit_batch_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_audit_batch **ret,
                                struct fl_err *err) FL_MUST_CHECK;
/* Every waiting entry must have completed (fl_pg_free completes them). */
void fl_audit_batch_free(struct fl_audit_batch **batch);
/* `op` completes after the row was committed, or with why it was not. `entry` is the caller's
 * memory until then. The event must be sealed. */
enum fl_code fl_audit_batch_add(struct fl_op *op, struct fl_audit_batch *batch,
                                struct fl_audit_entry *entry,
                                const struct fl_audit_event *event) FL_MUST_CHECK;

#endif
