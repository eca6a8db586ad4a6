/* What an approval needs: thresholds, cards, expiry. Written in a rule's `ask`, frozen on the
 * approval's row as canonical JSON, and read back from there by whoever counts votes.
 * Any thread; a struct fl_ask is not changed once it is made. */
#ifndef FLOPINIO_POLICY_ASK_H
#define FLOPINIO_POLICY_ASK_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "policy/cel.h"

#define FL_ASK_EXPIRES_DEFAULT_MS INT64_C(14400000)  /* 4 h */
#define FL_ASK_EXPIRES_MIN_MS     INT64_C(60000)     /* 1 m */
#define FL_ASK_EXPIRES_MAX_MS     INT64_C(604800000) /* 7 d */
#define FL_ASK_UNDO_MAX_MS        INT64_C(60000)     /* 1 m */
enum {
    FL_THRESHOLDS_MAX = 8,
    FL_THRESHOLD_GROUPS_MAX = 16,
    FL_NOTIFY_MAX = 16,
    FL_APPROVE_MAX = 20
};

/* How the groups of a threshold are read. */
enum fl_match {
    FL_MATCH_ANY,  /* a person counts who is in one of them */
    FL_MATCH_ALL,  /* a person counts who is in all of them */
    FL_MATCH_EACH, /* that many from each of them, all different people */
    FL_MATCH_COUNT
};
enum fl_after_leave { FL_AFTER_LEAVE_WAIT, FL_AFTER_LEAVE_CANCEL, FL_AFTER_LEAVE_COUNT };
enum fl_disclose { FL_DISCLOSE_FULL, FL_DISCLOSE_SUMMARY, FL_DISCLOSE_COUNT };
enum fl_risk { FL_RISK_LOW, FL_RISK_NORMAL, FL_RISK_HIGH, FL_RISK_COUNT };

struct fl_threshold {
    unsigned approve; /* distinct people who must approve, at least 1 */
    unsigned deny;    /* distinct people whose rejection ends it, at least 1 */
    enum fl_match match;
    size_t group_count; /* 0: everybody whose role may decide */
    const struct fl_str *groups;
    struct fl_str where; /* CEL over person.name, person.role, person.groups; n 0: none */
    const struct fl_cel *where_program; /* of `where` */
};

struct fl_ask {
    size_t threshold_count; /* at least 1 */
    const struct fl_threshold *thresholds;
    bool is_any;                 /* one met threshold is enough; else all are needed */
    size_t notify_count;         /* at least 1 */
    const struct fl_str *notify; /* channel names; "inbox" is the CLI, REST and the console */
    const unsigned *notify_step; /* of each, never falling: channels of one step are told together,
                                  * those of the next when no card of it was taken for a minute;
                                  * NULL: each is a step */
    int64_t expires_ms;
    enum fl_after_leave after_leave; /* when the agent's caller is gone before the decision */
    bool needs_second_factor;
    bool owner_may_approve;
    bool editor_may_approve; /* who changed the arguments of a call may decide it too */
    bool needs_typed;        /* who approves types "approve TOOL" */
    enum fl_disclose disclose;
    enum fl_risk risk; /* shown on the card; nothing is decided by it */
    bool reminds;      /* at half of the time to decide, and near its end */
    bool is_urgent;    /* people are told in their quiet hours too */
    int64_t undo_ms;   /* so long an approval can be taken back before it runs; 0: not */
};

/* Appends canonical JSON (RFC 8785) with every member written out. FL_NOMEM. */
enum fl_code fl_policy_ask_dump(const struct fl_ask *ask, struct fl_buf *out,
                                struct fl_err *err) FL_MUST_CHECK;
/* Reads it back; free with fl_policy_ask_free. FL_BAD_PARAMS for a member that is unknown, missing
 * or not valid: a row that was damaged decides nothing. */
enum fl_code fl_policy_ask_load(struct fl_str json, struct fl_ask **ret,
                                struct fl_err *err) FL_MUST_CHECK;
/* Only for what fl_policy_ask_load gave. Accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_policy_ask_free(struct fl_ask **ask);
/* What is asked of whom, in a few words: "2 approvals from ops or finance"; for cards, the CLI and
 * explanations. */
void fl_policy_ask_describe(const struct fl_ask *ask, struct fl_buf *out);
/* The same of one threshold: "ops or finance", "anybody who may decide". */
void fl_policy_threshold_describe(const struct fl_threshold *threshold, struct fl_buf *out);

#endif
