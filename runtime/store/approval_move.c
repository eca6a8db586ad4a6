/* Table approval: transitions and sweeps. The database's guard refuses every transition that is not
 * in states.h; the conditions here decide who is first. */
#include "runtime/store/approval.h"
#include "runtime/store/sql.h"

#define MINE         "WHERE organization_id = (SELECT org()) AND approval_id = $1 "
/* For statements that carry the audit row: $1 organization, $2 approval, $3..$9 audit. */
#define MINE_AUDITED "WHERE organization_id = $1 AND approval_id = $2 "
#define NOTED                                                                                      \
    "noted AS (INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, "   \
    "subject_kind, subject_id, leaf) SELECT $1, $3, $4, $5, $6, $7, $8, $9 FROM moved) "

static struct fl_sql sql_decide = {
    "approval_decide",
    "UPDATE approval a SET state = $2, reason = $3, may_ask_again = $4, decided_by = $5, decided_at = "
    "clock_timestamp(), claimable_at = CASE WHEN $6::bigint > 0 THEN coalesce(a.frozen_at, " FL_STANDS_SINCE
    ", clock_timestamp()) + " SPAN("$6") " END " MINE "AND state = 'pending' RETURNING " MS(
        "decided_at - created_at") ", " US("changed_at"),
    0
};
static struct fl_sql sql_reopen = { "approval_reopen",
                                    "UPDATE approval SET may_ask_again = true " MINE
                                    "AND state = 'rejected' RETURNING approval_id",
                                    0 };
static struct fl_sql sql_break = { "approval_break",
                                   "UPDATE approval SET broken_by = $2, review_due = "
                                   "clock_timestamp() + interval '24 hours' " MINE,
                                   0 };
static struct fl_sql sql_review = { "approval_review",
                                    "UPDATE approval SET reviewed_at = clock_timestamp(), "
                                    "reviewed_by = $2 " MINE
                                    "AND review_due IS NOT NULL AND reviewed_at IS NULL RETURNING "
                                    "approval_id",
                                    0 };
static struct fl_sql sql_claim = {
    "approval_claim",
    "WITH moved AS (UPDATE approval SET state = 'claimed', fence = fence + 1, claim_owner = $10, "
    "lease_until = clock_timestamp() + " SPAN(
        "$11") " " MINE_AUDITED
               "AND state = 'approved' AND expires_at > clock_timestamp() AND frozen_at IS NULL "
               "AND (claimable_at IS NULL OR claimable_at <= clock_timestamp()) "
               "RETURNING fence), " NOTED "SELECT fence FROM moved",
    0
};
static struct fl_sql sql_dispatch = {
    "approval_dispatch",
    "WITH moved AS (UPDATE approval SET state = 'dispatched', dispatch_number = "
    "nextval('dispatch_number'), dispatched_at = clock_timestamp(), dispatch_deadline = "
    "clock_timestamp() + " SPAN("$11") ", unknown_after = clock_timestamp() + " SPAN("$11") " + " SPAN(
        "$12") " + " SPAN("$13") " " MINE_AUDITED
                                 "AND state = 'claimed' AND fence = $10 AND expires_at > "
                                 "clock_timestamp() AND frozen_at IS NULL RETURNING "
                                 "dispatch_number), " NOTED "SELECT dispatch_number FROM moved",
    0
};
static struct fl_sql sql_settle = {
    "approval_settle",
    "WITH moved AS (UPDATE approval SET state = $10, outcome = $12, result = $13, result_bytes = "
    "$14, settled_at = CASE WHEN $10 = 'unknown' THEN NULL ELSE clock_timestamp() END, "
    "delivered_at = CASE WHEN $15 THEN clock_timestamp() END " MINE_AUDITED
    "AND fence = $11 AND (state = 'dispatched' OR (state = 'unknown' AND $10 <> 'unknown')) "
    "RETURNING approval_id), " NOTED "SELECT approval_id FROM moved",
    0
};
static struct fl_sql sql_settle_by = {
    "approval_settle_by",
    "UPDATE approval SET state = $2, settled_by = $3, reason = $4, settled_at = "
    "clock_timestamp() " MINE "AND state = 'unknown' AND unknown_after <= clock_timestamp() "
    "RETURNING approval_id",
    0
};
static struct fl_sql sql_move = {
    "approval_move",
    "UPDATE approval SET state = $3, reason = coalesce($4, reason), lease_until = NULL, "
    "claim_owner = CASE WHEN $3 = 'approved' THEN NULL ELSE claim_owner END, "
    "grace_until = NULL " MINE "AND state = $2 RETURNING approval_id",
    0
};
static struct fl_sql sql_free_key = { "approval_free_key",
                                      "UPDATE approval SET idempotency_key = NULL " MINE, 0 };
static struct fl_sql sql_freeze = {
    "approval_freeze",
    "UPDATE approval a SET frozen_at = coalesce(" FL_STANDS_SINCE ", clock_timestamp()) WHERE "
    "a.organization_id = (SELECT org()) AND a.approval_id = $1 AND a.frozen_at IS NULL",
    0
};
static struct fl_sql sql_edited = {
    "approval_edited",
    "UPDATE approval SET edited_to = $2, task_id = NULL WHERE organization_id = (SELECT org()) AND "
    "approval_id = $1",
    0
};
static struct fl_sql sql_succeed = {
    "approval_succeed",
    "UPDATE approval n SET mcp_session = o.mcp_session, mcp_request = o.mcp_request, mcp_stream = "
    "o.mcp_stream, break_cancels = o.break_cancels, left_at = CASE WHEN o.wait_mode = 'held' THEN "
    "clock_timestamp() ELSE o.left_at END, grace_until = CASE WHEN o.wait_mode <> 'held' THEN "
    "o.grace_until WHEN o.break_cancels OR n.after_leave = 'cancel' THEN clock_timestamp() + " SPAN(
        "$3") " END FROM approval o WHERE o.organization_id = (SELECT org()) AND o.approval_id = $1 "
              "AND n.organization_id = o.organization_id AND n.approval_id = $2",
    0
};
static struct fl_sql sql_leave = {
    "approval_leave",
    "WITH moved AS (UPDATE approval SET wait_mode = 'left', holder = NULL, left_at = "
    "clock_timestamp(), grace_until = CASE WHEN $11::bigint > 0 AND state IN ('pending', "
    "'approved', 'claimed') THEN clock_timestamp() + " SPAN(
        "$11") " END " MINE_AUDITED
               "AND wait_mode = 'held' AND holder = $10 AND delivered_at IS NULL "
               "RETURNING approval_id), " NOTED "SELECT approval_id FROM moved",
    0
};
static struct fl_sql sql_attach = {
    "approval_attach",
    "WITH moved AS (UPDATE approval SET wait_mode = 'held', holder = $10, left_at = NULL, "
    "grace_until = NULL, asked_count = asked_count + CASE WHEN edit_of IS NULL THEN 1 ELSE "
    "0 END " MINE_AUDITED
    "AND wait_mode = 'left' AND state IN ('pending', 'approved', 'claimed', 'dispatched', "
    "'unknown') RETURNING approval_id), " NOTED "SELECT approval_id FROM moved",
    0
};
/* Noted once a minute at most: people count it, and each note changes their cards. For what it is a
 * sign of (fl_store_approval_attached) the first one does for ever. The row is locked in a
 * statement in front of it, so that what others noted is seen. */
#define SOMEBODY_HAS                                                                               \
    MINE_AUDITED "AND wait_mode IN ('task', 'held') AND state IN ('pending', 'approved', "         \
                 "'claimed', 'dispatched', 'unknown') "
#define IS_NOTED                                                                                   \
    "EXISTS (SELECT 1 FROM audit_event e WHERE e.organization_id = $1 AND e.subject_id = $2 AND "  \
    "e.kind = 'approval.attached' AND e.recorded_at > now() - interval '1 minute') "
/* Nothing is locked for that, as clients that poll would stand in each other's way. Its commit
 * waits for a standby all the same, as there is something that the standby has to have. */
static struct fl_sql sql_asked_again = {
    "approval_asked_again",
    "SELECT approval_id, pg_logical_emit_message(true, 'flopinio', '') FROM approval " SOMEBODY_HAS
    "AND " IS_NOTED,
    0
};
static struct fl_sql sql_ask_again_lock = { "approval_ask_again_lock",
                                            "SELECT 1 FROM approval " MINE "FOR NO KEY UPDATE", 0 };
static struct fl_sql sql_ask_again = {
    "approval_ask_again",
    "WITH moved AS (UPDATE approval SET asked_count = asked_count + CASE WHEN edit_of IS NULL THEN 1 "
    "ELSE 0 END " SOMEBODY_HAS "AND NOT " IS_NOTED "RETURNING approval_id), " NOTED
    "SELECT approval_id FROM approval " SOMEBODY_HAS,
    0
};
static struct fl_sql sql_attached = {
    "approval_attached",
    "SELECT 1 FROM audit_event WHERE organization_id = (SELECT org()) AND subject_id = $1 AND kind "
    "= 'approval.attached' LIMIT 1",
    0
};
static struct fl_sql sql_delivered = {
    "approval_delivered",
    "WITH moved AS (UPDATE approval SET delivered_at = clock_timestamp() " MINE_AUDITED
    "AND delivered_at IS NULL AND state IN ('succeeded', 'failed', 'rejected', 'expired', "
    "'cancelled', 'voided') RETURNING approval_id), " NOTED "SELECT approval_id FROM moved",
    0
};
/* Locks what is still so, moves it, and says what it was; rows that somebody holds are left for the
 * next time. */
#define DUE(condition, change)                                                                                          \
    "WITH old AS (SELECT approval_id, state, canary_id FROM approval a WHERE organization_id = (SELECT org()) "         \
    "AND approval_id = ANY ($1::uuid[]) AND " condition                                                                 \
    " FOR NO KEY UPDATE SKIP LOCKED), " CARDS_OF_OLD ", moved AS (UPDATE approval a SET " change                        \
    " FROM old WHERE a.organization_id = (SELECT "                                                                      \
    "org()) AND a.approval_id = old.approval_id AND " CARDS_LOCKED                                                      \
    " RETURNING a.approval_id) SELECT old.approval_id, old.state, old.canary_id IS NOT NULL FROM old JOIN moved USING " \
    "(approval_id)"
static struct fl_sql sql_due_many[FL_DUE_COUNT] = {
    [FL_DUE_EXPIRE] = { "due_expire",
                        DUE("state IN ('pending', 'approved', 'claimed') AND frozen_at IS NULL AND "
                            "expires_at <= now() AND NOT " FL_STANDS " AND $2::bigint >= 0",
                            "state = 'expired', grace_until = NULL"),
                        0 },
    [FL_DUE_RELEASE] = { "due_release",
                         DUE("state = 'claimed' AND lease_until <= now() AND $2::bigint >= 0",
                             "state = 'approved', lease_until = NULL, claim_owner = NULL"),
                         0 },
    [FL_DUE_CANCEL] = { "due_cancel",
                        DUE("state IN ('pending', 'approved') AND wait_mode = 'left' AND "
                            "grace_until <= now() AND frozen_at IS NULL AND NOT " FL_STANDS
                            " AND $2::bigint >= 0",
                            "state = 'cancelled', grace_until = NULL, reason = 'the caller left'"),
                        0 },
    [FL_DUE_UNKNOWN] = { "due_unknown",
                         DUE("state = 'dispatched' AND unknown_after <= now() AND $2::bigint >= 0",
                             "state = 'unknown', outcome = 'no outcome was recorded in time'"),
                         0 },
    [FL_DUE_ORPHAN] = { "due_orphan",
                        DUE("wait_mode = 'held' AND state IN ('pending', 'approved', 'claimed', "
                            "'dispatched', 'unknown') AND NOT EXISTS (SELECT 1 FROM worker w WHERE "
                            "w.id = holder AND w.seen_at > now() - interval '10 seconds')",
                            "wait_mode = 'left', holder = NULL, left_at = now(), grace_until = "
                            "CASE WHEN (break_cancels OR after_leave = 'cancel') AND a.state IN "
                            "('pending', 'approved', 'claimed') THEN now() + " SPAN("$2") " END"),
                        0 },
};
static struct fl_sql sql_due = { "sweep_due", "SELECT * FROM sweep_due($1)", 0 };
static struct fl_sql sql_dispatched = { "sweep_dispatched", "SELECT * FROM sweep_dispatched($1)",
                                        0 };
static struct fl_sql sql_turns = { "sweep_turns", "SELECT * FROM sweep_turns($1)", 0 };
static struct fl_sql sql_orphans = { "sweep_orphans", "SELECT * FROM sweep_orphans($1)", 0 };
static struct fl_sql sql_look = {
    "sweep_look", "SELECT approval_id, " US("changed_at") " FROM sweep_look($1, $2)", 0
};
static struct fl_sql sql_counts = { "sweep_counts", "SELECT * FROM sweep_counts()", 0 };
/* Only a hint: its commit waits for no disk, and what it tells of is on it. */
static struct fl_sql sql_notify = {
    "notify", "SELECT set_config('synchronous_commit', 'off', true), pg_notify('flopinio', $1)", 0
};

static struct fl_query *mine(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

static struct fl_query *audited(struct fl_tx *tx, struct fl_sql *sql,
                                const struct fl_uuid *organization, const struct fl_uuid *id,
                                const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, organization);
    fl_bind_uuid(tx, q, id);
    fl_store_audit_bind(tx, q, audit);
    return q;
}

struct fl_query *fl_store_approval_decide(struct fl_tx *tx, const struct fl_uuid *id,
                                          enum fl_approval_state to, struct fl_str person,
                                          struct fl_str reason, bool may_ask_again, int64_t undo_ms)
{
    struct fl_query *q = mine(tx, &sql_decide, id);
    fl_bind_z(tx, q, fl_state_text(to));
    fl_bind_text(tx, q, reason);
    fl_bind_bool(tx, q, may_ask_again);
    fl_bind_text(tx, q, person);
    fl_bind_int(tx, q, undo_ms);
    return q;
}

static struct fl_query *pair(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id,
                             const struct fl_uuid *to)
{
    struct fl_query *q = mine(tx, sql, id);
    fl_bind_uuid(tx, q, to);
    return q;
}

void fl_store_approval_edited(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *to)
{
    pair(tx, &sql_edited, id, to);
}

void fl_store_approval_succeed(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *to,
                               int64_t leave_ms)
{
    fl_bind_int(tx, pair(tx, &sql_succeed, id, to), leave_ms);
}

struct fl_query *fl_store_approval_reopen(struct fl_tx *tx, const struct fl_uuid *id)
{
    return mine(tx, &sql_reopen, id);
}

void fl_store_approval_break(struct fl_tx *tx, const struct fl_uuid *id,
                             const struct fl_uuid *person)
{
    fl_bind_uuid(tx, mine(tx, &sql_break, id), person);
}

struct fl_query *fl_store_approval_review(struct fl_tx *tx, const struct fl_uuid *id,
                                          struct fl_str person)
{
    struct fl_query *q = mine(tx, &sql_review, id);
    fl_bind_text(tx, q, person);
    return q;
}

struct fl_query *fl_store_approval_claim(struct fl_tx *tx, const struct fl_uuid *organization,
                                         const struct fl_uuid *id, const struct fl_uuid *worker,
                                         int64_t lease_ms, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_claim, organization, id, audit);
    fl_bind_uuid(tx, q, worker);
    fl_bind_int(tx, q, lease_ms);
    return q;
}

struct fl_query *fl_store_approval_dispatch(struct fl_tx *tx, const struct fl_uuid *organization,
                                            const struct fl_uuid *id, int64_t fence,
                                            int64_t deadline_ms, int64_t timeout_ms,
                                            int64_t grace_ms, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_dispatch, organization, id, audit);
    fl_bind_int(tx, q, fence);
    fl_bind_int(tx, q, deadline_ms);
    fl_bind_int(tx, q, timeout_ms);
    fl_bind_int(tx, q, grace_ms);
    return q;
}

struct fl_query *fl_store_approval_settle(struct fl_tx *tx, const struct fl_uuid *organization,
                                          const struct fl_uuid *id, int64_t fence,
                                          enum fl_approval_state to, struct fl_str outcome,
                                          struct fl_str result, int64_t result_bytes,
                                          bool is_delivered, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_settle, organization, id, audit);
    fl_bind_z(tx, q, fl_state_text(to));
    fl_bind_int(tx, q, fence);
    fl_bind_text(tx, q, outcome);
    fl_bind_bytes(tx, q, result);
    fl_bind_int(tx, q, result_bytes);
    fl_bind_bool(tx, q, is_delivered);
    return q;
}

struct fl_query *fl_store_approval_settle_by(struct fl_tx *tx, const struct fl_uuid *id,
                                             enum fl_approval_state to, struct fl_str person,
                                             struct fl_str reason)
{
    struct fl_query *q = mine(tx, &sql_settle_by, id);
    fl_bind_z(tx, q, fl_state_text(to));
    fl_bind_text(tx, q, person);
    fl_bind_text(tx, q, reason);
    return q;
}

struct fl_query *fl_store_approval_move(struct fl_tx *tx, const struct fl_uuid *id,
                                        enum fl_approval_state from, enum fl_approval_state to,
                                        struct fl_str reason)
{
    FL_ASSERT(fl_state_may_move(from, to));
    struct fl_query *q = mine(tx, &sql_move, id);
    fl_bind_z(tx, q, fl_state_text(from));
    fl_bind_z(tx, q, fl_state_text(to));
    fl_bind_text(tx, q, reason);
    return q;
}

void fl_store_approval_free_key(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_free_key, id);
}

void fl_store_approval_freeze(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_freeze, id);
}

struct fl_query *fl_store_approval_leave(struct fl_tx *tx, const struct fl_uuid *organization,
                                         const struct fl_uuid *id, const struct fl_uuid *holder,
                                         int64_t grace_ms, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_leave, organization, id, audit);
    fl_bind_uuid(tx, q, holder);
    fl_bind_int(tx, q, grace_ms);
    return q;
}

struct fl_query *fl_store_approval_attach(struct fl_tx *tx, const struct fl_uuid *organization,
                                          const struct fl_uuid *id, const struct fl_uuid *holder,
                                          const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_attach, organization, id, audit);
    fl_bind_uuid(tx, q, holder);
    return q;
}

struct fl_query *fl_store_approval_asked_again(struct fl_tx *tx, const struct fl_uuid *organization,
                                               const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, &sql_asked_again);
    fl_bind_uuid(tx, q, organization);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_approval_ask_again(struct fl_tx *tx, const struct fl_uuid *organization,
                                             const struct fl_uuid *id,
                                             const struct fl_audit_row *audit)
{
    tx->is_alone = true; /* in no circle with repeats of other calls */
    mine(tx, &sql_ask_again_lock, id);
    return audited(tx, &sql_ask_again, organization, id, audit);
}

struct fl_query *fl_store_approval_attached(struct fl_tx *tx, const struct fl_uuid *id)
{
    return mine(tx, &sql_attached, id);
}

struct fl_query *fl_store_approval_delivered(struct fl_tx *tx, const struct fl_uuid *organization,
                                             const struct fl_uuid *id,
                                             const struct fl_audit_row *audit)
{
    return audited(tx, &sql_delivered, organization, id, audit);
}

struct fl_query *fl_store_approval_due(struct fl_tx *tx, enum fl_due what, struct fl_array *ids,
                                       int64_t leave_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_due_many[what]);
    fl_bind_array(tx, q, ids);
    fl_bind_int(tx, q, leave_ms);
    return q;
}

static struct fl_query *sweep(struct fl_tx *tx, struct fl_sql *sql, int most)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_int(tx, q, most);
    return q;
}

struct fl_query *fl_store_sweep_due(struct fl_tx *tx, int most)
{
    return sweep(tx, &sql_due, most);
}

struct fl_query *fl_store_sweep_dispatched(struct fl_tx *tx, int most)
{
    return sweep(tx, &sql_dispatched, most);
}

struct fl_query *fl_store_sweep_turns(struct fl_tx *tx, int most)
{
    return sweep(tx, &sql_turns, most);
}

struct fl_query *fl_store_sweep_orphans(struct fl_tx *tx, int most)
{
    return sweep(tx, &sql_orphans, most);
}

struct fl_query *fl_store_sweep_look(struct fl_tx *tx, struct fl_array *organizations,
                                     struct fl_array *approvals)
{
    struct fl_query *q = fl_tx_add(tx, &sql_look);
    fl_bind_array(tx, q, organizations);
    fl_bind_array(tx, q, approvals);
    return q;
}

struct fl_query *fl_store_sweep_counts(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_counts);
}

void fl_store_notify(struct fl_tx *tx, const char *payload)
{
    tx->is_alone = true; /* nobody's row is to be less durable for it */
    fl_bind_z(tx, fl_tx_add(tx, &sql_notify), payload);
}
