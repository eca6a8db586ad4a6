/* Grants: "allow this for an hour, five times". Made by a person from an approval that they were
 * shown, whose one approval would have been enough for it; then calls of that agent and tool with
 * the same pinned arguments become approvals that are approved already, by that person's standing
 * vote. The vote is counted again when such a call is dispatched: by the policy, the roles and the
 * groups of that moment. Narrowing only: nothing is granted that policy denies, that another rule
 * asks about, or that has an argument which the call that was shown did not have. Loop thread. */
#ifndef FLOPINIO_APPROVAL_GRANT_H
#define FLOPINIO_APPROVAL_GRANT_H

#include "flopinio/base/flow.h"
#include "runtime/approval/ballot.h"
#include "runtime/approval/org.h"
#include "runtime/store/evidence.h"
#include "runtime/store/grant.h"

#define FL_GRANT_PINS_MOST 16

/* The keyed digest of what stands at the pins (JSON pointers; one "": the whole) in canonical
 * arguments, with the names of all arguments. FL_NOT_FOUND: no such place. FL_NOMEM. */
enum fl_code fl_grant_pinned(const struct fl_keyring *keys, const struct fl_uuid *organization,
                             const struct fl_uuid *agent, struct fl_str tool,
                             struct fl_str canonical, const struct fl_str *pins, size_t pin_count,
                             uint8_t out[FL_SHA256_BYTES], struct fl_err *err) FL_MUST_CHECK;

struct fl_grant_make {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization, approval; /* like which one */
    struct fl_uuid person;                 /* proved before; what they may do is read here */
    struct fl_str person_name, reason;     /* reason p NULL: none */
    struct fl_evidence evidence;           /* that it is this person: read again */
    struct fl_str binding;                 /* of the card that was shown, in hex */
    bool has_second_factor;
    const struct fl_str *pins; /* none: the arguments as a whole */
    size_t pin_count;
    int64_t uses, for_ms;
    bool is_once; /* FL_CONFLICT where a grant that was made from this approval is in force */
    const char *via;
    /* ---- outputs ---- */
    struct fl_uuid id;
    int64_t expires_at_ms;
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_org *org;
    struct fl_org_load load;
    struct fl_tx tx;
    struct fl_query *q_row, *q_content, *q_people, *q_votes, *q_recheck, *q_put, *q_grants;
    struct fl_proof proof;
    struct fl_approval row;
    struct fl_ballot ballot;
    struct fl_policy_verdict verdict;
    struct fl_grant_new grant;
    struct fl_str arguments;
    struct fl_err refusal;
    unsigned tries;
    struct fl_post post;
};

/* FL_BAD_PARAMS, FL_NOT_FOUND, FL_FORBIDDEN (noted in the audit), FL_CONFLICT (it was decided
 * against, or policy, tool or server are not what they were), FL_UNAVAILABLE. */
enum fl_code fl_grant_make_start(struct fl_op *op, struct fl_grant_make *make) FL_MUST_CHECK;

#endif
