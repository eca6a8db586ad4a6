/* An operation in flight, embedded in whoever started it: if the start fails there is no callback;
 * if it succeeds there is exactly one, later, from the loop, never inside the start. Cancelling,
 * a deadline, a disconnect and shutdown only complete the pending operation with an error: one
 * door. Loop thread only. */
#ifndef FLOPINIO_BASE_OP_H
#define FLOPINIO_BASE_OP_H

#include <stdbool.h>

#include "flopinio/base/err.h"

struct fl_op {
    void (*done)(struct fl_op *op);   /* set by the starter's owner before the start; runs once */
    void (*cancel)(struct fl_op *op); /* set by the provider; NULL: cannot be cancelled */
    void *provider;                   /* the provider's own */
    enum fl_code code;                /* valid in done */
    struct fl_err err;                /* valid in done when code is not FL_OK */
    bool is_pending;
};

/* As zeroed, but for the bytes of the error's text behind its end. */
static inline void fl_op_clear(struct fl_op *op)
{
    op->done = op->cancel = NULL;
    op->provider = NULL;
    op->code = op->err.code = FL_OK;
    op->err.text[0] = 0;
    op->is_pending = false;
}

/* Providers: marks it started. */
static inline void fl_op_start(struct fl_op *op, void (*cancel)(struct fl_op *), void *provider)
{
    FL_ASSERT(op->done && !op->is_pending);
    op->cancel = cancel;
    op->provider = provider;
    op->code = FL_OK;
    op->err.code = FL_OK;
    op->err.text[0] = 0;
    op->is_pending = true;
}

/* Providers: the one completion. `op` may be gone when this returns. */
static inline void fl_op_finish(struct fl_op *op, enum fl_code code)
{
    FL_ASSERT(op->is_pending);
    op->is_pending = false;
    op->code = code;
    op->err.code = code;
    op->done(op);
}

/* Users: ask for an early end; completes with FL_CANCELLED (or with the outcome, if that came
 * first), from the loop. Harmless when nothing is pending. */
static inline void fl_op_cancel(struct fl_op *op)
{
    if (op->is_pending && op->cancel)
        op->cancel(op);
}

#endif
