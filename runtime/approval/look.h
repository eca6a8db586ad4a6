/* Looking at an approval: the row, and as asked its opened contents, votes and people. For the call
 * that waits, for tasks/get, approval_status, the card, the CLI and REST. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_LOOK_H
#define FLOPINIO_APPROVAL_LOOK_H

#include "runtime/approval/ballot.h"
#include "runtime/approval/core.h"
#include "runtime/approval/result.h"
#include "runtime/store/approval.h"

struct fl_look {
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, id; /* id zero: by task_id */
    struct fl_str task_id;
    struct fl_uuid only_agent; /* zero, or whose it must be: another one's is not found, and nothing
                                * of it is opened; nor is a canary, which no agent made, */
    bool is_canary;            /* but by the one who filed it */
    bool wants_result;         /* of a finished one */
    bool wants_arguments;      /* with preview and justification; checks the digest */
    bool wants_edited;         /* with wants_result: the arguments, if a person changed them */
    bool wants_ballot;
    /* ---- outputs, valid until fl_look_fini ---- */
    struct fl_arena *arena;
    struct fl_approval row;
    struct fl_call_result result; /* of succeeded and failed; is_kept false when it is not there */
    struct fl_str arguments, preview, justification;
    bool is_tampered; /* the stored row does not match its digest, or a text of it does not open:
                       * none is given */
    struct fl_ballot ballot;
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_op db;
    struct fl_tx tx;
    struct fl_query *q_row, *q_content, *q_votes, *q_people;
};

/* FL_NOT_FOUND when there is none in the organization; FL_UNAVAILABLE. Not cancellable. The look
 * must be zeroed or finished before; may be started again after fl_look_fini. */
enum fl_code fl_look_start(struct fl_op *op, struct fl_look *look) FL_MUST_CHECK;
void fl_look_fini(struct fl_look *look);
/* For a decision, which reads the rows under its lock: opens `q_content` of `row` into `arena`, as
 * core, organization and the wants say. The arguments are the caller's to wipe; there is no fini.
 * FL_NOMEM, and what opening says. */
enum fl_code fl_look_open(struct fl_look *look, struct fl_err *err) FL_MUST_CHECK;

#endif
