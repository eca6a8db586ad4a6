/* Intakes of an organization that gathered in a turn of the loop go in one transaction, and those
 * of different agents in one statement, which judges each row alone. What the database refuses for
 * one of them goes again one by one, so that no bad row refuses another. One that waits for its
 * turn is taken back when its caller leaves, and does not wait for ever. Loop thread. */
#ifndef FLOPINIO_APPROVAL_INTAKES_H
#define FLOPINIO_APPROVAL_INTAKES_H

#include "runtime/store/approval.h"

struct fl_intakes;
struct fl_intake_queue;

/* The caller's memory until its operation completes. */
struct fl_intake_entry {
    const struct fl_approval_new *row;
    const struct fl_audit_row *audit; /* sealed */
    struct fl_arena *arena;           /* for the texts of `result` */
    struct fl_intake result;          /* when the operation ended well */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_intakes *intakes;
    struct fl_intake_queue *queue; /* its organization's, while there is anything of it */
    struct fl_list link;           /* what waits there, what is under way together, taken back */
    struct fl_list in_gathered;    /* while it waits for its turn, */
    int64_t until_ms;              /* by fl_mono_ms, and no longer */
    struct fl_query *q;
    size_t at; /* its row there */
    unsigned round;
    bool is_unwanted; /* its caller left while it was under way */
};

enum fl_code fl_intakes_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_intakes **ret,
                            struct fl_err *err) FL_MUST_CHECK;
/* Every operation must have completed (fl_pg_free completes them). */
void fl_intakes_free(struct fl_intakes **intakes);
/* `op` completes after the commit with FL_OK and entry->result, or with what happened to the
 * transaction (fl_tx_submit). Cancelled while it waits for its turn, or to go again: with
 * FL_CANCELLED, and nothing of it was or will be sent; once it is under way its outcome comes. */
enum fl_code fl_intakes_add(struct fl_op *op, struct fl_intakes *intakes,
                            struct fl_intake_entry *entry) FL_MUST_CHECK;

#endif
