/* Table approval: reading. Intakes are in intake.c, the transitions in approval_move.c. */
#include "runtime/store/approval.h"

#include "flopinio/base/mem.h"

#include "runtime/store/organization.h"
#include "runtime/store/sql.h"

/* People were to be told for a minute, and no channel took it. */
#define UNREACHED                                                                                    \
    "a.state = 'pending' AND a.ask -> 'notify' <> '[\"inbox\"]' AND EXISTS (SELECT 1 FROM outbox o " \
    "WHERE o.organization_id = a.organization_id AND o.approval_id = a.approval_id AND "             \
    "o.created_at <= now() - interval '60 seconds') AND NOT EXISTS (SELECT 1 FROM outbox d WHERE "   \
    "d.organization_id = a.organization_id AND d.approval_id = a.approval_id AND (d.delivered_at "   \
    "IS NOT NULL OR d.digested_at IS NOT NULL))"

/* Who changed the calls that it took the place of. */
#define EARLIER_EDITORS                                                                            \
    "CASE WHEN a.edit_of IS NOT NULL THEN (WITH RECURSIVE b AS (SELECT a.edit_of AS id UNION ALL " \
    "SELECT o.edit_of FROM b JOIN approval o ON o.organization_id = a.organization_id AND "        \
    "o.approval_id = b.id WHERE o.edit_of IS NOT NULL) SELECT string_agg(o.editor_id::text, ',') " \
    "FROM b JOIN approval o ON o.organization_id = a.organization_id AND o.approval_id = b.id) END"

/* "It did not happen, run it again" was said of it: the newer one. */
#define RETRY(e, organization, agent)                                                              \
    "(SELECT r.approval_id FROM approval r WHERE r.organization_id = " organization                \
    " AND r.agent_id = " agent " AND r.fingerprint = " e ".fingerprint AND r.retry_of = " e        \
    ".approval_id LIMIT 1)"
#define RETRIED_TO                                                                                 \
    "CASE WHEN a.settled_by IS NOT NULL THEN " RETRY("a", "a.organization_id", "a.agent_id") " END"

/* X(kind of cell, member, SQL) in the order of the select list. */
#define HEAD(X)                                                                                    \
    X(uuid, id, "a.approval_id")                                                                   \
    X(state, state, "a.state")                                                                     \
    X(text, kind, "a.kind")                                                                        \
    X(uuid, agent_id, "a.agent_id")                                                                \
    X(uuid, credential_id, "a.credential_id")                                                      \
    X(uuid, owner_id, "a.owner_id")                                                                \
    X(uuid, server_id, "a.server_id")                                                              \
    X(text, tool, "a.tool")                                                                        \
    X(text, tool_name, "a.tool_name")                                                              \
    X(text, agent, "g.name")                                                                       \
    X(uuid, agent_owner_id, "g.owner_id")                                                          \
    X(text, owner, "p.name")                                                                       \
    X(bytes, definition_digest, "a.definition_digest")                                             \
    X(bytes, binding_salt, "a.binding_salt")                                                       \
    X(bytes, binding_digest, "a.binding_digest")                                                   \
    X(bytes, fingerprint, "a.fingerprint")                                                         \
    X(number, arguments_bytes, "a.arguments_bytes")                                                \
    X(number, result_bytes, "a.result_bytes")                                                      \
    X(text, idempotency_key, "a.idempotency_key")                                                  \
    X(text, preview_kind, "a.preview_kind")                                                        \
    X(text, precondition, "a.precondition")                                                        \
    X(text, card, "a.card")                                                                        \
    X(number, preview_at_ms, MS("a.preview_at"))                                                   \
    X(number, asked_count, "a.asked_count")                                                        \
    X(uuid, grant_id, "a.grant_id")                                                                \
    X(uuid, broken_by, "a.broken_by")                                                              \
    X(number, review_due_ms, MS("a.review_due"))                                                   \
    X(number, reviewed_at_ms, MS("a.reviewed_at"))                                                 \
    X(uuid, edit_of, "a.edit_of")                                                                  \
    X(uuid, editor_id, "a.editor_id")                                                              \
    X(text, earlier_editors, EARLIER_EDITORS)                                                      \
    X(uuid, edited_to, "a.edited_to")                                                              \
    X(uuid, retry_of, "a.retry_of")                                                                \
    X(uuid, retried_to, RETRIED_TO)                                                                \
    X(uuid, canary_id, "a.canary_id")                                                              \
    X(flag, is_isolated, "a.is_isolated")                                                          \
    X(number, policy_version, "a.policy_version")                                                  \
    X(text, rule, "a.rule")                                                                        \
    X(text, ask, "a.ask")                                                                          \
    X(flag, is_standing, "a.is_standing")                                                          \
    X(number, decided_at_ms, MS("a.decided_at"))                                                   \
    X(text, decided_by, "a.decided_by")                                                            \
    X(text, reason, "a.reason")                                                                    \
    X(flag, may_ask_again, "a.may_ask_again")                                                      \
    X(wait, wait_mode, "a.wait_mode")                                                              \
    X(uuid, holder, "a.holder")                                                                    \
    X(text, task_id, "a.task_id")                                                                  \
    X(number, left_at_ms, MS("a.left_at"))                                                         \
    X(number, grace_until_ms, MS("a.grace_until"))                                                 \
    X(text, after_leave, "a.after_leave")                                                          \
    X(number, created_at_ms, MS("a.created_at"))                                                   \
    X(number, expires_at_ms, MS("a.expires_at"))                                                   \
    X(number, frozen_at_ms, MS("coalesce(a.frozen_at, " FL_STANDS_SINCE ")"))                      \
    X(number, changed_at_ms, MS("a.changed_at"))                                                   \
    X(number, claimable_in_ms,                                                                     \
      MS("a.claimable_at - coalesce(a.frozen_at, " FL_STANDS_SINCE ", clock_timestamp())"))        \
    X(number, fence, "a.fence")                                                                    \
    X(uuid, claim_owner, "a.claim_owner")                                                          \
    X(number, dispatch_number, "a.dispatch_number")                                                \
    X(number, dispatched_at_ms, MS("a.dispatched_at"))                                             \
    X(number, dispatch_deadline_ms, MS("a.dispatch_deadline"))                                     \
    X(number, unknown_after_ms, MS("a.unknown_after"))                                             \
    X(number, settled_at_ms, MS("a.settled_at"))                                                   \
    X(text, settled_by, "a.settled_by")                                                            \
    X(text, outcome, "a.outcome")                                                                  \
    X(number, delivered_at_ms, MS("a.delivered_at"))                                               \
    X(flag, is_expired, "a.expires_at <= clock_timestamp()")                                       \
    X(flag, is_unknown_over, "coalesce(a.unknown_after <= clock_timestamp(), false)")              \
    X(flag, is_unreached, UNREACHED)

#define COLUMN(kind, member, sql) sql ", "
#define SELECT_HEAD                                                                                \
    "SELECT " HEAD(COLUMN) "1 FROM approval a JOIN agent g USING (organization_id, agent_id) "     \
                           "LEFT JOIN person p ON p.person_id = a.owner_id "                       \
                           "WHERE a.organization_id = (SELECT org()) "

static struct fl_sql sql_get = { "approval_get", SELECT_HEAD "AND a.approval_id = $1", 0 };
static struct fl_sql sql_lock = { "approval_lock",
                                  SELECT_HEAD "AND a.approval_id = $1 FOR NO KEY UPDATE OF a", 0 };
static struct fl_sql sql_by_task = { "approval_by_task", SELECT_HEAD "AND a.task_id = $1", 0 };
#define LIST(condition)                                                                            \
    SELECT_HEAD condition                                                                          \
        "AND ($1::text IS NULL OR a.state = ANY (string_to_array($1, ','))) "                      \
        "AND ($2::uuid IS NULL OR a.agent_id = $2) AND ($3::uuid IS NULL OR a.owner_id = $3) "     \
        "AND ($4::bigint = 0 OR a.created_at >= " AT(                                              \
            "$4") ") AND ($5::uuid IS NULL OR (a.created_at, a.approval_id) < (SELECT "            \
                  "b.created_at, b.approval_id FROM approval b WHERE b.organization_id = (SELECT " \
                  "org()) AND b.approval_id = $5)) AND ($7::text IS NULL OR a.agent_id = (SELECT " \
                  "n.agent_id FROM agent n WHERE n.organization_id = (SELECT org()) AND n.name = " \
                  "$7)) ORDER BY a.created_at DESC, a.approval_id DESC LIMIT $6"
/* The inbox of an organization with a million finished approvals reads those that are open, and
 * what runs is found beside a million that wait: a constant condition has its partial index. */
static struct fl_sql sql_list = { "approval_list", LIST(""), 0 };
static struct fl_sql sql_list_open = { "approval_list_open",
                                       LIST("AND a.state IN ('pending', 'approved', 'claimed', "
                                            "'dispatched', 'unknown') "),
                                       0 };
static struct fl_sql sql_list_moving = {
    "approval_list_moving",
    LIST("AND a.state IN ('approved', 'claimed', 'dispatched', 'unknown') "), 0
};
static struct fl_sql sql_list_review = {
    "approval_list_review", LIST("AND a.review_due IS NOT NULL AND a.reviewed_at IS NULL "), 0
};
static struct fl_sql sql_of_agent = {
    "approval_of_agent",
    SELECT_HEAD
    "AND a.agent_id = $1 AND greatest(a.created_at, a.decided_at, a.dispatched_at, a.settled_at) "
    ">= " AT("$2") " AND a.created_at < " AT(
        "$3") " AND ($4::uuid IS NULL OR a.owner_id = $4) AND "
              "($5::uuid IS NULL OR (a.created_at, a.approval_id) > (SELECT b.created_at, b.approval_id FROM "
              "approval b WHERE b.organization_id = (SELECT org()) AND b.approval_id = $5)) ORDER BY "
              "a.created_at, a.approval_id LIMIT $6",
    0
};
static struct fl_sql sql_waiting = {
    "approvals_waiting",
    "SELECT count(*) FROM approval WHERE organization_id = (SELECT org()) AND agent_id = $1 AND "
    "state = 'pending'",
    0
};
static struct fl_sql sql_content = {
    "approval_content",
    "SELECT arguments, justification, preview, result FROM approval "
    "WHERE organization_id = (SELECT org()) AND approval_id = $1",
    0
};
static struct fl_sql sql_arguments = {
    "approval_arguments",
    "SELECT arguments FROM approval WHERE organization_id = (SELECT org()) AND approval_id = $1", 0
};
static struct fl_sql sql_content_by_task = {
    "approval_content_by_task",
    "SELECT arguments, justification, preview, result FROM approval "
    "WHERE organization_id = (SELECT org()) AND task_id = $1",
    0
};
static struct fl_sql sql_by_request = {
    "approval_by_request",
    "SELECT approval_id FROM approval WHERE organization_id = (SELECT org()) AND mcp_session = $1 "
    "AND mcp_request = $2 ORDER BY created_at DESC LIMIT 1",
    0
};
static struct fl_sql sql_by_stream = {
    "approval_by_stream",
    "SELECT approval_id, mcp_request FROM approval WHERE organization_id = (SELECT org()) AND "
    "mcp_session = $1 AND mcp_stream = $2 ORDER BY created_at DESC LIMIT 1",
    0
};

static struct fl_sql sql_recheck = {
    "approval_recheck",
    "SELECT o.revision, "
    "coalesce((SELECT t.accepted_digest = a.definition_digest AND t.digest = a.definition_digest "
    "AND NOT t.is_quarantined AND NOT t.is_gone AND v.is_enabled FROM tool t JOIN server v USING "
    "(organization_id, server_id) WHERE t.organization_id = a.organization_id AND t.published = "
    "a.tool AND t.name = a.tool_name AND t.server_id = a.server_id), false), "
    "g.state = 'active' AND coalesce(p.is_active, false) AND EXISTS (SELECT 1 FROM membership m "
    "WHERE m.organization_id = a.organization_id AND m.person_id = a.owner_id AND m.left_at IS NULL), "
    "a.credential_id IS NULL OR coalesce((SELECT c.revoked_at IS NULL AND (c.expires_at IS NULL OR "
    "c.expires_at > now()) FROM agent_credential c WHERE c.organization_id = a.organization_id AND "
    "c.credential_id = a.credential_id), false), "
    "(SELECT s.reason FROM stop s WHERE s.organization_id = a.organization_id AND s.lifted_at IS "
    "NULL AND (s.until IS NULL OR s.until > now()) AND " FL_STOP_COVERS " LIMIT 1), "
    "a.grant_id IS NULL OR EXISTS (SELECT 1 FROM call_grant k WHERE k.organization_id = "
    "a.organization_id AND k.grant_id = a.grant_id AND k.revoked_at IS NULL AND k.expires_at > "
    "clock_timestamp()) "
    "FROM approval a JOIN organization o USING (organization_id) JOIN agent g USING "
    "(organization_id, agent_id) LEFT JOIN person p ON p.person_id = a.owner_id "
    "WHERE a.organization_id = (SELECT org()) AND a.approval_id = $1",
    0
};

static const char *const wait_modes[] = { "held", "task", "left" };

const char *fl_wait_mode_text(enum fl_wait_mode mode)
{
    return wait_modes[mode];
}

static struct fl_query *by_id(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_approval_get(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_get, id);
}

struct fl_query *fl_store_approval_lock(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_lock, id);
}

struct fl_query *fl_store_approval_recheck(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_recheck, id);
}

struct fl_query *fl_store_approvals_of_agent(struct fl_tx *tx, const struct fl_agent_window *w)
{
    struct fl_query *q = fl_tx_add(tx, &sql_of_agent);
    fl_bind_uuid(tx, q, &w->agent);
    fl_bind_int(tx, q, w->since_ms);
    fl_bind_int(tx, q, w->until_ms);
    fl_bind_uuid(tx, q, &w->owner);
    fl_bind_uuid(tx, q, &w->after);
    fl_bind_int(tx, q, w->most);
    return q;
}

struct fl_query *fl_store_approvals_waiting(struct fl_tx *tx, const struct fl_uuid *agent)
{
    return by_id(tx, &sql_waiting, agent);
}

struct fl_query *fl_store_approval_content(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_content, id);
}

struct fl_query *fl_store_approval_arguments(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_arguments, id);
}

struct fl_query *fl_store_approval_by_task(struct fl_tx *tx, struct fl_str task_id)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_task);
    fl_bind_text(tx, q, task_id);
    return q;
}

struct fl_query *fl_store_approval_content_by_task(struct fl_tx *tx, struct fl_str task_id)
{
    struct fl_query *q = fl_tx_add(tx, &sql_content_by_task);
    fl_bind_text(tx, q, task_id);
    return q;
}

struct fl_query *fl_store_approval_by_request(struct fl_tx *tx, struct fl_str session,
                                              struct fl_str request)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_request);
    fl_bind_bytes(tx, q, session);
    fl_bind_text(tx, q, request);
    return q;
}

struct fl_query *fl_store_approval_by_stream(struct fl_tx *tx, struct fl_str session,
                                             struct fl_str stream)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_stream);
    fl_bind_bytes(tx, q, session);
    fl_bind_text(tx, q, stream);
    return q;
}

static struct fl_sql *list_of(const struct fl_approval_filter *f)
{
    struct fl_str rest = fl_str_of(f->states ? f->states : "");
    bool is_open = rest.n > 0, has_pending = false;
    while (rest.n) {
        const char *comma = memchr(rest.p, ',', rest.n);
        size_t n = comma ? (size_t)(comma - rest.p) : rest.n;
        enum fl_approval_state state;
        bool is_known = fl_state_parse((struct fl_str){ rest.p, n }, &state);
        is_open = is_open && is_known && !fl_state_is_final(state);
        has_pending = has_pending || (is_known && state == FL_APPROVAL_PENDING);
        n += comma != NULL;
        rest = (struct fl_str){ rest.p + n, rest.n - n };
    }
    if (f->needs_review)
        return &sql_list_review;
    return !is_open ? &sql_list : has_pending ? &sql_list_open : &sql_list_moving;
}

struct fl_query *fl_store_approval_list(struct fl_tx *tx, const struct fl_approval_filter *f)
{
    struct fl_query *q = fl_tx_add(tx, list_of(f));
    fl_bind_z(tx, q, f->states);
    fl_bind_uuid(tx, q, &f->agent);
    fl_bind_uuid(tx, q, &f->owner);
    fl_bind_int(tx, q, f->since_ms);
    fl_bind_uuid(tx, q, &f->after);
    fl_bind_int(tx, q, f->most);
    fl_bind_text(tx, q, f->agent_name.n ? f->agent_name : (struct fl_str){ NULL, 0 });
    return q;
}

static enum fl_wait_mode wait_mode_of(struct fl_str text)
{
    for (size_t i = 0; i < FL_COUNTOF(wait_modes); i++) {
        if (fl_str_is(text, wait_modes[i]))
            return (enum fl_wait_mode)i;
    }
    FL_NEVER("a wait mode that the table's check admits");
}

static enum fl_approval_state state_of(struct fl_str text)
{
    enum fl_approval_state state = FL_APPROVAL_UNKNOWN;
    FL_ASSERT(fl_state_parse(text, &state)); /* the guard lets no other in */
    return state;
}

#define READ_uuid(m)            ret->m = fl_cell_uuid(q, row, col++)
#define READ_state(m)           ret->m = state_of(fl_cell(q, row, col++))
#define READ_text(m)            ret->m = fl_cell_copy(q, arena, row, col++)
#define READ_bytes(m)           ret->m = fl_cell_bytes(q, arena, row, col++)
#define READ_number(m)          ret->m = fl_cell_int(q, row, col++)
#define READ_flag(m)            ret->m = fl_cell_bool(q, row, col++)
#define READ_wait(m)            ret->m = wait_mode_of(fl_cell(q, row, col++))
#define READ(kind, member, sql) READ_##kind(member);

bool fl_store_approval_read(const struct fl_query *q, int row, struct fl_arena *arena,
                            struct fl_approval *ret)
{
    if (row >= fl_rows(q))
        return false;
    int col = 0;
    uint64_t failures = fl_mem_failures();
    *ret = (struct fl_approval){ 0 };
    HEAD(READ)
    ret->is_expired = ret->is_expired && !ret->frozen_at_ms;
    return fl_mem_failures() == failures; /* what was not copied is not absent */
}
