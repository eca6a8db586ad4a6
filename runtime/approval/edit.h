/* Editing: a person changes the arguments of a call that waits (never its tool). The changed call
 * is an approval of its own, with schema and policy asked again; the old one is rejected, naming
 * it, and whoever waits for it goes on with the new one (call.c: follow). Nobody who changed it
 * decides it, unless the rule says so. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_EDIT_H
#define FLOPINIO_APPROVAL_EDIT_H

#include "flopinio/base/flow.h"
#include "runtime/approval/ballot.h"
#include "runtime/approval/look.h"
#include "runtime/approval/org.h"
#include "runtime/store/evidence.h"

struct fl_edit {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, approval;
    struct fl_uuid person; /* proved before; what they may do is read here */
    struct fl_str person_name, reason;
    struct fl_evidence evidence; /* that it is this person: read again */
    struct fl_str binding;       /* of the card that was shown, in hex */
    struct fl_str arguments;     /* JSON text of an object: all of them */
    const char *via;
    /* ---- outputs ---- */
    struct fl_uuid id; /* of the changed call */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_org *org;
    struct fl_org_load load;
    struct fl_tx tx;
    struct fl_query *q_row, *q_content, *q_people, *q_votes, *q_moved, *q_intake;
    struct fl_proof proof;
    struct fl_approval row;
    struct fl_approval_new fresh;
    struct fl_ballot ballot;
    struct fl_ask *ask;
    struct fl_policy_verdict verdict;
    struct fl_str before, after; /* canonical */
    bool is_tampered;            /* the row is not what was stored */
    struct fl_err refusal;
    struct fl_post post;
};

/* FL_BAD_PARAMS (the schema, nothing changed), FL_NOT_FOUND, FL_FORBIDDEN (noted in the audit),
 * FL_CONFLICT (decided, not what was shown, the policy does not ask about it; a row that somebody
 * tampered with is noted in the audit, and told to the owners), FL_UNAVAILABLE. */
enum fl_code fl_edit_start(struct fl_op *op, struct fl_edit *edit) FL_MUST_CHECK;

/* For the agent: who changed the arguments of the call that was looked at (with wants_edited), and
 * to what; secrets as such. In the arena; p NULL: no memory. */
struct fl_str fl_edit_told(struct fl_arena *arena, const struct fl_look *look);
/* A result's content (JSON array) with that in front; p NULL: no memory. */
struct fl_str fl_edit_before(struct fl_arena *arena, struct fl_str told, struct fl_str content);

#endif
