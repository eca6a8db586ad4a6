/* A person says what became of a call whose outcome is unknown: it happened, it failed, or it did
 * not happen and is to be asked again. The last makes a NEW approval with the same arguments,
 * linked to this one, which policy and people decide anew; nothing leads back to sending. Refused
 * before the instant at which the call could still have been running. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_SETTLE_H
#define FLOPINIO_APPROVAL_SETTLE_H

#include "flopinio/base/flow.h"
#include "policy/role.h"
#include "runtime/approval/org.h"
#include "runtime/store/approval.h"
#include "runtime/store/evidence.h"

enum fl_settle_outcome { FL_SETTLE_SUCCEEDED, FL_SETTLE_FAILED, FL_SETTLE_AGAIN };

struct fl_settle {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, approval;
    struct fl_uuid person; /* proved before; what they may do is read here */
    struct fl_str person_name;
    struct fl_evidence evidence; /* that it is this person: read again */
    enum fl_settle_outcome outcome;
    struct fl_str reason; /* p NULL: none; at most 2000 bytes */
    const char *via;
    /* ---- outputs ---- */
    enum fl_approval_state state;
    struct fl_uuid again; /* the new approval, zero without one */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_org *org;
    struct fl_org_load load;
    struct fl_tx tx;
    struct fl_query *q_row, *q_content, *q_people, *q_moved, *q_intake;
    struct fl_proof proof;
    struct fl_approval row;
    struct fl_approval_new fresh;
    struct fl_policy_verdict verdict;
    struct fl_str arguments;
    struct fl_post post;
};

/* FL_NOT_FOUND, FL_FORBIDDEN, FL_CONFLICT (not unknown, too early, or policy and tool do not allow
 * it any more), FL_UNAVAILABLE. */
enum fl_code fl_settle_start(struct fl_op *op, struct fl_settle *settle) FL_MUST_CHECK;

#endif
