/* The step driver: a long, non-blocking flow that reads top to bottom. A step looks at the last
 * result, starts ONE operation and names the next step; no step calls another.
 *
 *   FL_STEP(claim)    { return fl_await(f, &S_dispatch, fl_claim_start(&f->op, ...)); }
 *   FL_STEP(dispatch) { if (f->op.code) return fl_fail(f); ... return &S_settle; }
 *
 * The flow struct is embedded first in the owner (struct fl_call { struct fl_flow flow; ... }).
 * Loop thread only. */
#ifndef FLOPINIO_BASE_FLOW_H
#define FLOPINIO_BASE_FLOW_H

#include "flopinio/base/list.h"
#include "flopinio/base/op.h"

struct fl_flow;
struct fl_step;
typedef const struct fl_step *fl_next; /* NULL: parked (exactly one wake-up is owed) or ended */

struct fl_step {
    const char *name;
    fl_next (*run)(struct fl_flow *f);
};

struct fl_flow {
    struct fl_op op;                  /* the one pending operation */
    fl_next then;                     /* where to go when it completes */
    fl_next failed;                   /* first error goes here; every exit passes through it */
    fl_next at;                       /* the step that ran last, for logs and the admin page */
    struct fl_err first;              /* the first error of the flow */
    void (*ended)(struct fl_flow *f); /* after a step returned fl_end(); may free the owner */
    struct fl_list in_step;           /* membership of the owner's list of flows, for printing */
    bool is_running;                  /* inside the driver: catches completion inside a start */
    bool is_ended;
};

/* Declared in front, so that the steps can stand in the order of the story. */
#define FL_STEP_DECLARE(s) static const struct fl_step S_##s
#define FL_STEP(s)                                                                                 \
    static fl_next step_##s(struct fl_flow *f);                                                    \
    static const struct fl_step S_##s = { #s, step_##s };                                          \
    static fl_next step_##s(struct fl_flow *f)

/* Prepares; `failed` is the step that every error goes to (it must not fail itself). */
void fl_flow_init(struct fl_flow *f, fl_next failed, void (*ended)(struct fl_flow *f));
/* Runs from `step` until parked or ended. Not from inside a step of the same flow. */
void fl_flow_run(struct fl_flow *f, fl_next step);
/* In a step: the operation was started (code FL_OK) -> park and go on at `then`; else fail with
 * the error that the start left in f->op.err. */
fl_next fl_await(struct fl_flow *f, fl_next then, enum fl_code started);
/* In a step: keeps the first error (from f->op.err if `f->first` is empty) and goes to `failed`. */
fl_next fl_fail(struct fl_flow *f);
fl_next fl_fail_with(struct fl_flow *f, enum fl_code code, const char *fmt, ...) FL_PRINTF(3, 4);
/* In a step: the flow is over; the driver calls `ended` last. */
fl_next fl_end(struct fl_flow *f);

#endif
