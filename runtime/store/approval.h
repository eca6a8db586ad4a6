/* Table approval: the rows behind the life of a call. Statements are appended to a transaction;
 * results are read after it ran. Loop thread. */
#ifndef FLOPINIO_STORE_APPROVAL_H
#define FLOPINIO_STORE_APPROVAL_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"
#include "runtime/store/states.h"

#define FL_DIGEST_BYTES 32
#define FL_BINDING_SALT 16

/* `outcome` and `reason` of what `flopinio recover` ended. */
#define FL_APPROVAL_RESTORED        "restored"
#define FL_APPROVAL_RESTORED_REASON "the database was restored, and may have forgotten that it ran"

enum fl_wait_mode { FL_WAIT_HELD, FL_WAIT_TASK, FL_WAIT_LEFT };
const char *fl_wait_mode_text(enum fl_wait_mode mode);

/* A row without its sealed contents, joined with names. Texts live in the arena given to the
 * reader. Times are UTC milliseconds by the database's clock, 0 = null. */
struct fl_approval {
    struct fl_uuid id, agent_id, credential_id, owner_id, server_id, retry_of, holder, claim_owner;
    struct fl_uuid grant_id;           /* zero, or the grant by which it was approved */
    struct fl_uuid broken_by;          /* zero, or who approved it alone, by breaking the glass */
    struct fl_uuid edit_of, editor_id; /* zero, or whose arguments this person changed */
    struct fl_str earlier_editors;     /* ids, a comma between: who changed it before that one */
    struct fl_uuid edited_to;          /* zero, or the changed call in which it goes on */
    struct fl_uuid retried_to;         /* zero, or the one that runs it again */
    struct fl_uuid canary_id;          /* zero, or nobody asked for it; told when it is over */
    struct fl_uuid agent_owner_id;     /* who owns the agent now; owner_id: who did when it asked */
    enum fl_approval_state state;
    struct fl_str kind, tool, tool_name, agent, owner;
    struct fl_str definition_digest, binding_salt, binding_digest, fingerprint;
    int64_t arguments_bytes, result_bytes;
    struct fl_str idempotency_key, preview_kind, precondition, card;
    int64_t preview_at_ms, asked_count;
    bool is_isolated, is_standing, may_ask_again;
    int64_t policy_version;
    struct fl_str rule, ask, decided_by, reason, outcome, settled_by, task_id, after_leave;
    enum fl_wait_mode wait_mode;
    int64_t created_at_ms, expires_at_ms, frozen_at_ms, decided_at_ms, left_at_ms, grace_until_ms;
    int64_t changed_at_ms, dispatched_at_ms, dispatch_deadline_ms, unknown_after_ms, settled_at_ms;
    int64_t delivered_at_ms, fence, dispatch_number;
    int64_t review_due_ms, reviewed_at_ms; /* of a broken glass */
    int64_t claimable_in_ms;               /* > 0: so long its approval can still be taken back */
    bool is_expired;                       /* by the database's clock, when it was read */
    bool is_unknown_over;                  /* unknown_after has passed */
    bool is_unreached;                     /* pending, and nobody could be told for a minute */
};

/* Ended by `flopinio recover`: whatever its state is called, it may have run. */
static inline bool fl_approval_may_have_run(const struct fl_approval *row)
{
    return (row->state == FL_APPROVAL_CANCELLED || row->state == FL_APPROVAL_VOIDED) &&
           fl_str_is(row->outcome, FL_APPROVAL_RESTORED);
}

/* Nobody asked for it: it is a test of who decides, and never runs. */
static inline bool fl_approval_is_canary(const struct fl_approval *row)
{
    return !fl_uuid_is_zero(&row->canary_id);
}

/* The row as it is first written. Digests and sealed texts are bytes. */
struct fl_approval_new {
    struct fl_uuid organization, id, agent_id, credential_id, owner_id, server_id, holder;
    struct fl_uuid retry_of; /* zero, or the one that did not happen; never taken for a repeat */
    struct fl_uuid seeker;   /* the worker that wants to be told of a twin instead; zero: none */
    struct fl_str agent, owner, server; /* names, for stops */
    const char *kind;
    enum fl_approval_state state; /* PENDING or APPROVED */
    struct fl_str tool, tool_name, definition_digest;
    struct fl_str server_digest; /* what the server is; kept in the sealed arguments */
    struct fl_str arguments;     /* sealed */
    int64_t arguments_bytes;
    struct fl_str binding_salt, binding_digest, fingerprint, idempotency_key;
    struct fl_str justification, preview; /* sealed; p NULL: none */
    const char *preview_kind;             /* "none", "text", "diff" */
    struct fl_str precondition;
    bool is_isolated, is_standing;
    struct fl_str card, ask, rule;
    int64_t policy_version;
    enum fl_wait_mode wait_mode;
    const char *task_id; /* NULL: none */
    const char *after_leave;
    bool break_cancels;
    struct fl_str mcp_session, mcp_request, mcp_stream; /* legacy HTTP; p NULL otherwise */
    int64_t expires_ms;                                 /* from now, by the database's clock */
    int pending_max;                                    /* waiting approvals an agent may have */
    struct fl_uuid grant_id;  /* zero, or used once with the row, whose author votes for it */
    struct fl_uuid canary_id; /* zero, or nobody asked for it: a test of who decides */
    struct fl_uuid edit_of, editor_id; /* as above; never taken for a repeat */
    uint64_t revision; /* of the organization, under which the grant was found to match */
};

enum fl_intake_result {
    FL_INTAKE_CREATED,
    FL_INTAKE_REPEAT,        /* `repeat` is what it repeats */
    FL_INTAKE_POLICY_MOVED,  /* evaluated with another policy version than today's */
    FL_INTAKE_TOOL_CHANGED,  /* the pin is not what was evaluated, or the tool is quarantined */
    FL_INTAKE_AGENT_REFUSED, /* frozen, revoked, credential gone, owner not active */
    FL_INTAKE_STOPPED,       /* `stop_reason` says why */
    FL_INTAKE_TWIN,          /* another worker holds a call like it, and is not known to be dead */
    FL_INTAKE_GRANT_OVER,    /* the grant is used up, revoked or over */
    FL_INTAKE_TOO_MANY       /* pending_max reached */
};

struct fl_intake {
    enum fl_intake_result result;
    int64_t created_at_ms, expires_at_ms, asked_count;
    struct fl_uuid repeat;
    bool is_other_arguments; /* the repeat has the same idempotency key and other arguments */
    struct fl_str stop_reason;
};

/* Row and audit row of an intake; `audit` must be sealed. */
struct fl_intake_row {
    const struct fl_approval_new *row;
    const struct fl_audit_row *audit;
};

/* In front of the intakes of a transaction: each of these agents' run one behind the other. Agents
 * of the transaction's organization, in the order of their ids, so that nobody waits in a circle.
 * Returns the gate of stops in front of them, without a row when that was not passed in time.
 */
struct fl_query *fl_store_approval_intake_locks(struct fl_tx *tx, const struct fl_uuid *agents,
                                                size_t count);
/* The same of the agent of an approval that is there: behind the gate of stops and in front of the
 * approval's own lock, where an intake follows. Whoever has an approval's lock never waits for its
 * agent's. */
void fl_store_approval_agent_lock(struct fl_tx *tx, const struct fl_uuid *id);
/* Refuses or answers by what holds now, else inserts the row and its audit row. */
struct fl_query *fl_store_approval_intake(struct fl_tx *tx, const struct fl_approval_new *row,
                                          const struct fl_audit_row *audit);
/* The same for many of one organization, each of another agent, and without grant_id, retry_of,
 * edit_of and canary_id: what comes of one is nothing to the others. */
struct fl_query *fl_store_approval_intakes(struct fl_tx *tx, const struct fl_intake_row *rows,
                                           size_t count);
/* Of the row `at` of the statement, 0 for one alone. */
void fl_store_approval_intake_read(const struct fl_query *q, size_t at, struct fl_arena *arena,
                                   struct fl_intake *ret);
/* Waits until none of the agent's intakes is in flight: after an ambiguous one, what follows in
 * this transaction sees whether its row is there. */
void fl_store_approval_after_intakes(struct fl_tx *tx, const struct fl_uuid *agent);

/* Reading one; `q` has 0 or 1 rows. */
struct fl_query *fl_store_approval_get(struct fl_tx *tx, const struct fl_uuid *id);
struct fl_query *fl_store_approval_by_task(struct fl_tx *tx, struct fl_str task_id);
/* Locks the row until the transaction ends. */
struct fl_query *fl_store_approval_lock(struct fl_tx *tx, const struct fl_uuid *id);
bool fl_store_approval_read(const struct fl_query *q, int row, struct fl_arena *arena,
                            struct fl_approval *ret);
/* Columns: arguments, justification, preview, result (sealed bytes). */
struct fl_query *fl_store_approval_content(struct fl_tx *tx, const struct fl_uuid *id);
/* Of these the arguments alone. */
struct fl_query *fl_store_approval_arguments(struct fl_tx *tx, const struct fl_uuid *id);
struct fl_query *fl_store_approval_content_by_task(struct fl_tx *tx, struct fl_str task_id);

/* Of a legacy HTTP session, the newest: by the request's id (column: approval_id), or by the
 * stream's name (approval_id, mcp_request). What is NULL finds nothing. */
struct fl_query *fl_store_approval_by_request(struct fl_tx *tx, struct fl_str session,
                                              struct fl_str request);
struct fl_query *fl_store_approval_by_stream(struct fl_tx *tx, struct fl_str session,
                                             struct fl_str stream);

struct fl_approval_filter {
    const char *states; /* "pending,unknown"; NULL: every one */
    struct fl_uuid agent, owner;
    struct fl_str agent_name; /* n 0: any */
    int64_t since_ms;
    struct fl_uuid after; /* page: strictly older than this one */
    int most;             /* 1..500 */
    bool needs_review;    /* a broken glass that nobody has reviewed */
};
/* Newest first. */
struct fl_query *fl_store_approval_list(struct fl_tx *tx, const struct fl_approval_filter *filter);

/* Everything of an agent that was asked for, decided, sent or settled since then; oldest first. */
struct fl_agent_window {
    struct fl_uuid agent, owner; /* owner zero: whoever owned it then */
    int64_t since_ms, until_ms;  /* asked for before `until_ms` */
    struct fl_uuid after;        /* page: strictly newer than this one */
    int most;
};
struct fl_query *fl_store_approvals_of_agent(struct fl_tx *tx,
                                             const struct fl_agent_window *window);

/* Columns: how many of an agent's are pending. */
struct fl_query *fl_store_approvals_waiting(struct fl_tx *tx, const struct fl_uuid *agent);

/* ---- transitions; each updates at most one row and returns it (approval_id), so that 0 rows says
 * that somebody else was first. The caller holds the lock or relies on the condition. ---- */
/* Columns: how long it took, in milliseconds; changed_at in microseconds. undo_ms: not claimed
 * before that has passed. */
struct fl_query *fl_store_approval_decide(struct fl_tx *tx, const struct fl_uuid *id,
                                          enum fl_approval_state to, struct fl_str person,
                                          struct fl_str reason, bool may_ask_again,
                                          int64_t undo_ms);
/* `id` goes on in `to`: in front of the new row's intake, whose task is the old one's; and behind
 * it, so that the request is found there too, with the grace of a caller who is gone. One who
 * waits still takes the new one over at once; if they are lost before that, the break cancels as it
 * would have: `leave_ms` is its grace. */
void fl_store_approval_edited(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *to);
void fl_store_approval_succeed(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *to,
                               int64_t leave_ms);
/* Of a rejected one: may_ask_again. */
struct fl_query *fl_store_approval_reopen(struct fl_tx *tx, const struct fl_uuid *id);
/* Beside the decision: who broke the glass, and the review that is due. */
void fl_store_approval_break(struct fl_tx *tx, const struct fl_uuid *id,
                             const struct fl_uuid *person);
struct fl_query *fl_store_approval_review(struct fl_tx *tx, const struct fl_uuid *id,
                                          struct fl_str person);
/* approved -> claimed: fence + 1; the audit row only with it. Columns: fence. */
struct fl_query *fl_store_approval_claim(struct fl_tx *tx, const struct fl_uuid *organization,
                                         const struct fl_uuid *id, const struct fl_uuid *worker,
                                         int64_t lease_ms, const struct fl_audit_row *audit);
/* What must still hold when it is sent, read in the transaction that holds the lock. Columns:
 * revision of the organization, tool is as pinned, agent may act, credential may be used, reason of
 * a stop or null, the grant (if any) is in force. */
struct fl_query *fl_store_approval_recheck(struct fl_tx *tx, const struct fl_uuid *id);
/* claimed -> dispatched by fence, if it has not expired or been stopped by now; the audit row only
 * with it. Columns: dispatch_number. */
struct fl_query *fl_store_approval_dispatch(struct fl_tx *tx, const struct fl_uuid *organization,
                                            const struct fl_uuid *id, int64_t fence,
                                            int64_t deadline_ms, int64_t timeout_ms,
                                            int64_t grace_ms, const struct fl_audit_row *audit);
/* dispatched or unknown -> to, by fence; the audit row only with it. result: sealed or p NULL. */
struct fl_query *fl_store_approval_settle(struct fl_tx *tx, const struct fl_uuid *organization,
                                          const struct fl_uuid *id, int64_t fence,
                                          enum fl_approval_state to, struct fl_str outcome,
                                          struct fl_str result, int64_t result_bytes,
                                          bool is_delivered, const struct fl_audit_row *audit);
/* unknown -> to, by a person. */
struct fl_query *fl_store_approval_settle_by(struct fl_tx *tx, const struct fl_uuid *id,
                                             enum fl_approval_state to, struct fl_str person,
                                             struct fl_str reason);
/* Any other transition to a state, under the lock: expired, cancelled, voided, unknown, and
 * claimed -> approved. `reason` may be empty. */
struct fl_query *fl_store_approval_move(struct fl_tx *tx, const struct fl_uuid *id,
                                        enum fl_approval_state from, enum fl_approval_state to,
                                        struct fl_str reason);
/* It repeats nothing, and nothing repeats it, by its idempotency key any more. */
void fl_store_approval_free_key(struct fl_tx *tx, const struct fl_uuid *id);
/* A stop covers the row, and did not freeze it: as fl_store_stop_move does it. */
void fl_store_approval_freeze(struct fl_tx *tx, const struct fl_uuid *id);
/* The caller went away; `grace_ms` 0: no grace, stays until it expires. Audit only with it. */
struct fl_query *fl_store_approval_leave(struct fl_tx *tx, const struct fl_uuid *organization,
                                         const struct fl_uuid *id, const struct fl_uuid *holder,
                                         int64_t grace_ms, const struct fl_audit_row *audit);
/* Somebody waits again; only when nobody does. Audit only with it. */
struct fl_query *fl_store_approval_attach(struct fl_tx *tx, const struct fl_uuid *organization,
                                          const struct fl_uuid *id, const struct fl_uuid *holder,
                                          const struct fl_audit_row *audit);
/* The same call was asked of whoever has it again, and that was noted within the minute? A row, if
 * so. */
struct fl_query *fl_store_approval_asked_again(struct fl_tx *tx, const struct fl_uuid *organization,
                                               const struct fl_uuid *id);
/* Notes it, with the audit row. A row, unless it is over, or nobody has it any more. */
struct fl_query *fl_store_approval_ask_again(struct fl_tx *tx, const struct fl_uuid *organization,
                                             const struct fl_uuid *id,
                                             const struct fl_audit_row *audit);
/* Did anybody ever attach or ask again? A row, if so. */
struct fl_query *fl_store_approval_attached(struct fl_tx *tx, const struct fl_uuid *id);
/* The agent took the outcome; audit only the first time. */
struct fl_query *fl_store_approval_delivered(struct fl_tx *tx, const struct fl_uuid *organization,
                                             const struct fl_uuid *id,
                                             const struct fl_audit_row *audit);

/* What time has decided, for many at once, in an open transaction of their organization. Each
 * returns the rows that it moved: approval_id, the state before, was it a canary. Frees the array.
 */
enum fl_due {
    FL_DUE_EXPIRE,
    FL_DUE_RELEASE,
    FL_DUE_CANCEL,
    FL_DUE_UNKNOWN,
    FL_DUE_ORPHAN,
    FL_DUE_COUNT
};
/* `leave_ms`: the grace of orphans whose break cancels. */
struct fl_query *fl_store_approval_due(struct fl_tx *tx, enum fl_due what, struct fl_array *ids,
                                       int64_t leave_ms);

/* ---- finding what is due, over all organizations ---- */
struct fl_query *fl_store_sweep_due(struct fl_tx *tx, int most); /* organization, id, what */
struct fl_query *fl_store_sweep_dispatched(struct fl_tx *tx,
                                           int most); /* org, id, fence, window ms, over */
/* Approved, and nobody has to come for it: organization, server, id. Of each server some, the first
 * of each before the second of any. */
struct fl_query *fl_store_sweep_turns(struct fl_tx *tx, int most);
struct fl_query *fl_store_sweep_orphans(struct fl_tx *tx, int most); /* organization, id, holder */
/* When did these change last? Columns: id, changed_at in microseconds. Frees the arrays. */
struct fl_query *fl_store_sweep_look(struct fl_tx *tx, struct fl_array *organizations,
                                     struct fl_array *approvals);
struct fl_query *fl_store_sweep_counts(struct fl_tx *tx); /* state, how many */
/* Wakes other processes; one per batch, not per row. In a batch of its own, which waits for no
 * disk. */
void fl_store_notify(struct fl_tx *tx, const char *payload);

#endif
