/* Shared by run.c (the story) and run_send.c (the plugin's part of it). */
#ifndef FLOPINIO_APPROVAL_RUN_PRIV_H
#define FLOPINIO_APPROVAL_RUN_PRIV_H

#include "runtime/approval/run.h"

/* Waits until a plugin process has room for this call, which is kept until it is sent. `op`
 * completes with FL_OK also when there can be no turn: the sending will say why. FL_CANCELLED when
 * the row changed, and by fl_run_turn_cancel. r->row and r->org are read. */
enum fl_code fl_run_turn_start(struct fl_op *op, struct fl_run *r) FL_MUST_CHECK;
void fl_run_turn_cancel(struct fl_run *r);
/* Gives back a turn that was not used. */
void fl_run_turn_end(struct fl_run *r);
/* Sends r->arguments, once, in time or not at all. `op` completes (FL_OK) with r->state, r->reason
 * and r->result set. On an error nothing was sent. */
enum fl_code fl_run_send_start(struct fl_op *op, struct fl_run *r) FL_MUST_CHECK;

#endif
