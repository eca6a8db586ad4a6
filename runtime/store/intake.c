/* Table approval: intakes. Each row is checked by what holds now and inserted with its audit row,
 * or refused or answered; many of one organization are one statement, in which each is judged
 * alone. */
#include "runtime/store/approval.h"
#include "runtime/store/organization.h"
#include "runtime/store/sql.h"

/* An agent's intakes run one behind the other, so that the limit of waiting ones is exact and a
 * repeat finds what the call before it wrote. In statements of their own: the next one must see
 * what was committed while these waited. The gate of stops first (fl_store_stop_gate_pass). What
 * comes behind is planned once, not for each new set of values: that takes longer than to run it.
 */
static struct fl_sql sql_gate = {
    "approval_intake_gate",
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), "
    "pg_advisory_xact_lock_shared(hashtextextended($1, 7338))",
    0
};
static struct fl_sql sql_locks = {
    "approval_intake_locks",
    "SELECT pg_advisory_xact_lock(hashtextextended(a, 7337)) FROM unnest($1::text[]) a", 0
};
static struct fl_sql sql_lock_of = {
    "approval_agent_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended(a.agent_id::text, 7337)) FROM approval a WHERE "
    "a.organization_id = (SELECT org()) AND a.approval_id = $1",
    0
};
static struct fl_sql sql_lock = { "approval_intake_lock",
                                  "SELECT pg_advisory_xact_lock(hashtextextended($1, 7337))", 0 };

/* X(parameter, name, type, value) of each row: the approval `r`, the audit row `a`. In front of
 * them $1 the organization, $2 how many may wait. */
#define ROW(X)                                                                                     \
    X(3, approval_id, uuid, &r->id)                                                                \
    X(4, agent_id, uuid, &r->agent_id)                                                             \
    X(5, credential_id, uuid, &r->credential_id)                                                   \
    X(6, owner_id, uuid, &r->owner_id)                                                             \
    X(7, server_id, uuid, &r->server_id)                                                           \
    X(8, holder, uuid, &r->holder)                                                                 \
    X(9, agent, text, r->agent)                                                                    \
    X(10, owner, text, r->owner)                                                                   \
    X(11, server, text, r->server)                                                                 \
    X(12, kind, text, fl_str_of(r->kind))                                                          \
    X(13, state, text, fl_str_of(fl_state_text(r->state)))                                         \
    X(14, tool, text, r->tool)                                                                     \
    X(15, tool_name, text, r->tool_name)                                                           \
    X(16, definition_digest, bytea, r->definition_digest)                                          \
    X(17, arguments, bytea, r->arguments)                                                          \
    X(18, arguments_bytes, bigint, r->arguments_bytes)                                             \
    X(19, binding_salt, bytea, r->binding_salt)                                                    \
    X(20, binding_digest, bytea, r->binding_digest)                                                \
    X(21, fingerprint, bytea, r->fingerprint)                                                      \
    X(22, idempotency_key, text, r->idempotency_key)                                               \
    X(23, justification, bytea, r->justification)                                                  \
    X(24, preview, bytea, r->preview)                                                              \
    X(25, preview_kind, text, fl_str_of(r->preview_kind))                                          \
    X(26, precondition, text, r->precondition)                                                     \
    X(27, is_isolated, bigint, r->is_isolated)                                                     \
    X(28, is_standing, bigint, r->is_standing)                                                     \
    X(29, card, text, r->card)                                                                     \
    X(30, ask, text, r->ask)                                                                       \
    X(31, rule, text, r->rule)                                                                     \
    X(32, policy_version, bigint, r->policy_version)                                               \
    X(33, wait_mode, text, fl_str_of(fl_wait_mode_text(r->wait_mode)))                             \
    X(34, task_id, text, fl_str_of(r->task_id))                                                    \
    X(35, after_leave, text, fl_str_of(r->after_leave))                                            \
    X(36, break_cancels, bigint, r->break_cancels)                                                 \
    X(37, mcp_session, bytea, r->mcp_session)                                                      \
    X(38, mcp_request, text, r->mcp_request)                                                       \
    X(39, mcp_stream, text, r->mcp_stream)                                                         \
    X(40, expires_ms, bigint, r->expires_ms)                                                       \
    X(41, event_id, uuid, &a->id)                                                                  \
    X(42, event_kind, text, fl_str_of(a->kind))                                                    \
    X(43, actor_kind, text, fl_str_of(a->actor_kind))                                              \
    X(44, actor_id, uuid, &a->actor_id)                                                            \
    X(45, subject_kind, text, fl_str_of(a->subject_kind))                                          \
    X(46, subject_id, uuid, &a->subject_id)                                                        \
    X(47, leaf, bytea, a->leaf)                                                                    \
    X(48, seeker, uuid, &r->seeker)
/* And of one alone: what a person had done again ($49) or changed ($52, $53) repeats nothing; a
 * grant ($50) was found at that revision ($51). A canary ($54) repeats nothing by its fingerprint.
 */
#define IS_NEW      "($49::uuid IS NULL AND $52::uuid IS NULL)"
#define IS_IN_FORCE " AND ($50::uuid IS NULL OR o.revision = $51::bigint)"

#define FROM_ONE(n, name, type, value)  ", $" #n "::" #type " AS " #name
#define FROM_MANY(n, name, type, value) ", ($" #n "::" #type "[])[u.i::int] AS " #name

#define LIKE_IT                                                                                    \
    "(SELECT 1 FROM approval e WHERE e.organization_id = $1 AND e.agent_id = r.agent_id AND "      \
    "e.fingerprint = r.fingerprint AND "
#define IS_OPEN "e.state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown')"
/* Is there one that may answer for a call like it? Each kind by an index of its own; which one
 * does, if any, is found out then. A task is not: its own client comes for it. */
#define CANDIDATES                                                                                 \
    LIKE_IT IS_OPEN                                                                                \
        " AND "                                                                                    \
        "(e.wait_mode <> 'task' OR e.retry_of IS NOT NULL)) UNION ALL " LIKE_IT                    \
        "e.state IN ('succeeded', 'failed') AND e.delivered_at IS NULL AND e.settled_at > "        \
        "now() - interval '24 hours') UNION ALL " LIKE_IT                                          \
        "e.state = 'rejected' AND e.decided_at > now() - interval '15 minutes' AND "               \
        "e.edited_to IS NULL) UNION ALL " LIKE_IT "e.edited_to IS NOT NULL)"

/* What holds for each row. Only scalar subqueries, each by an index and of few rows: none of them
 * can become a scan of the table. How often it was asked is counted up to a hundred. What waits is
 * counted by the index alone; the one canary that an organization may have waiting is no call. */
#define FACTS(is_new, is_in_force)                                                                 \
    "facts AS MATERIALIZED (SELECT r.*, o.policy_version = r.policy_version" is_in_force           \
    " AS is_same_policy, "                                                                         \
    "coalesce((SELECT t.accepted_digest = r.definition_digest AND t.digest = "                     \
    "r.definition_digest AND NOT t.is_quarantined AND NOT t.is_gone FROM tool t WHERE "            \
    "t.organization_id = $1 AND t.published = r.tool), false) AS is_same_tool, "                   \
    "coalesce((SELECT g.state = 'active' AND g.owner_id = r.owner_id AND p.is_active AND "         \
    "m.left_at IS NULL FROM agent g JOIN person p ON p.person_id = g.owner_id JOIN membership m "  \
    "ON m.organization_id = g.organization_id AND m.person_id = g.owner_id WHERE "                 \
    "g.organization_id = $1 AND g.agent_id = r.agent_id), false) AND (r.credential_id IS NULL OR " \
    "coalesce((SELECT c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now()) "    \
    "FROM agent_credential c WHERE c.organization_id = $1 AND c.credential_id = "                  \
    "r.credential_id), false)) AS is_agent_fine, "                                                 \
    "(SELECT s.reason FROM stop s WHERE s.organization_id = $1 AND s.lifted_at IS NULL AND "       \
    "(s.until IS NULL OR s.until > now()) AND (s.scope = 'org' OR (s.scope = 'agent' AND s.name "  \
    "= r.agent) OR (s.scope = 'person' AND s.name = r.owner) OR (s.scope = 'server' AND s.name = " \
    "r.server) OR (s.scope = 'tool' AND s.name = r.tool) OR (s.scope = 'group' AND "               \
    "person_in_group(r.owner, s.name))) LIMIT 1) AS stop_reason, "                                 \
    "r.state <> 'pending' OR (SELECT count(*) FROM (SELECT 1 FROM approval w WHERE "               \
    "w.organization_id = $1 AND w.agent_id = r.agent_id AND w.state = 'pending' LIMIT "            \
    "$2::bigint + 1) n) - (SELECT count(*) FROM approval w WHERE w.organization_id = $1 AND "      \
    "w.agent_id = r.agent_id AND w.state = 'pending' AND w.canary_id IS NOT NULL) < $2::bigint "   \
    "AS has_room, "                                                                                \
    "1 + (SELECT count(*) FROM " LIKE_IT                                                           \
    "e.created_at > now() - interval '24 hours' LIMIT 99) n) "                                     \
    "AS asked, "                                                                                   \
    "coalesce(k.approval_id, CASE WHEN r.idempotency_key IS NULL AND " is_new " THEN (SELECT "     \
    "approval_repeated($1, r.agent_id, r.fingerprint, r.definition_digest, r.policy_version) "     \
    "FROM (" CANDIDATES ") c LIMIT 1) END) AS earlier, "                                           \
    "coalesce(k.is_other, false) AS is_other, "                                                    \
    "r.seeker IS NOT NULL AND r.idempotency_key IS NULL AND EXISTS " LIKE_IT IS_OPEN               \
    " AND e.wait_mode = 'held' AND e.holder <> r.seeker) AS is_twin "                              \
    "FROM r CROSS JOIN organization o LEFT JOIN LATERAL (SELECT e.approval_id, e.fingerprint <> "  \
    "r.fingerprint AS is_other FROM approval e WHERE e.organization_id = $1 AND e.agent_id = "     \
    "r.agent_id AND e.idempotency_key = r.idempotency_key LIMIT 1) k ON " is_new                   \
    " WHERE o.organization_id = $1), "
#define GOES                                                                                       \
    "f.is_same_policy AND f.is_same_tool AND f.is_agent_fine AND f.stop_reason IS NULL AND "       \
    "f.has_room AND f.earlier IS NULL AND NOT f.is_twin"
#define EXPIRES "now() + " SPAN("f.expires_ms")

#define MADE(columns, values)                                                                      \
    "INSERT INTO approval (organization_id, approval_id, agent_id, credential_id, owner_id, "      \
    "server_id, holder, kind, state, tool, tool_name, definition_digest, arguments, "              \
    "arguments_bytes, binding_salt, binding_digest, fingerprint, idempotency_key, justification, " \
    "preview, preview_kind, precondition, is_isolated, is_standing, card, ask, rule, "             \
    "policy_version, wait_mode, task_id, after_leave, break_cancels, mcp_session, mcp_request, "   \
    "mcp_stream, asked_count, preview_at, decided_at, expires_at" columns                          \
    ") SELECT $1, f.approval_id, f.agent_id, f.credential_id, f.owner_id, f.server_id, f.holder, " \
    "f.kind, f.state, f.tool, f.tool_name, f.definition_digest, f.arguments, f.arguments_bytes, "  \
    "f.binding_salt, f.binding_digest, f.fingerprint, f.idempotency_key, f.justification, "        \
    "f.preview, f.preview_kind, f.precondition, f.is_isolated = 1, f.is_standing = 1, "            \
    "f.card::jsonb, f.ask::jsonb, f.rule, f.policy_version, f.wait_mode, f.task_id, "              \
    "f.after_leave, f.break_cancels = 1, f.mcp_session, f.mcp_request, f.mcp_stream, f.asked, "    \
    "CASE WHEN f.preview_kind <> 'none' THEN now() END, CASE WHEN f.state = 'approved' THEN "      \
    "now() END, " values " FROM facts f WHERE " GOES
#define NOTED                                                                                      \
    "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, "             \
    "subject_kind, subject_id, leaf) SELECT $1, f.event_id, f.event_kind, f.actor_kind, "          \
    "f.actor_id, f.subject_kind, f.subject_id, f.leaf FROM facts f "
#define TOLD                                                                                       \
    "f.i, f.is_same_policy, f.is_same_tool, f.is_agent_fine, f.stop_reason, f.has_room, f.asked, " \
    "f.earlier, f.is_other, f.is_twin, "

static struct fl_sql sql_many = {
    "approval_intakes",
    "WITH r AS MATERIALIZED (SELECT u.i" ROW(
        FROM_MANY) " FROM unnest($3::uuid[]) WITH ORDINALITY "
                   "u (id, i)), " FACTS("true", "") "made AS (" MADE(
                       "", EXPIRES) "), noted AS (" NOTED "WHERE " GOES ") SELECT " TOLD
                                    "CASE WHEN " GOES
                                    " THEN " MS("now()") " END, CASE WHEN " GOES " THEN " MS(
                                        EXPIRES) " END, false FROM facts f",
    0
};

/* One alone may go by a grant: it is used with the row or not at all, and its author votes for it
 * then. */
static struct fl_sql sql_one = {
    "approval_intake",
    "WITH r AS MATERIALIZED (SELECT 1 AS i" ROW(FROM_ONE) "), " FACTS(
        IS_NEW,
        IS_IN_FORCE) "used AS (UPDATE call_grant u SET used = u.used + 1 FROM facts f WHERE u.organization_id = $1 "
                     "AND u.grant_id = $50 AND u.revoked_at IS NULL AND u.expires_at > clock_timestamp() AND u.used "
                     "< u.uses AND " GOES
                     " RETURNING u.person_id, u.has_second_factor, u.expires_at), "
                     "made AS (" MADE(
                         ", retry_of, grant_id, edit_of, editor_id, canary_id, decided_by",
                         "least(" EXPIRES
                         ", (SELECT u.expires_at FROM used u)), $49::uuid, $50::uuid, "
                         "$52::uuid, $53::uuid, $54::uuid, (SELECT p.name FROM used u JOIN person p USING "
                         "(person_id))") " AND ($50::uuid IS NULL OR EXISTS (SELECT 1 FROM used)) RETURNING owner_id, created_at, "
                                         "expires_at), "
                                         "voted AS (INSERT INTO vote (organization_id, approval_id, person_id, verdict, via, "
                                         "has_second_factor, is_owner) SELECT $1, $3, u.person_id, 'approve', 'grant', "
                                         "u.has_second_factor, u.person_id = m.owner_id FROM used u, made m), "
                                         "noted AS (" NOTED "WHERE EXISTS (SELECT 1 FROM made)) "
                                         "SELECT " TOLD
                                         "(SELECT " MS("m.created_at") " FROM made m), (SELECT " MS(
                                             "m.expires_at") " FROM made m), $50::uuid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM used) FROM facts f",
    0
};

void fl_store_approval_after_intakes(struct fl_tx *tx, const struct fl_uuid *agent)
{
    char text[FL_UUID_TEXT];
    tx->is_alone = true; /* in no circle with the intakes of other agents */
    fl_bind_z(tx, fl_tx_add(tx, &sql_lock), fl_uuid_format(agent, text));
}

void fl_store_approval_agent_lock(struct fl_tx *tx, const struct fl_uuid *id)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_lock_of), id);
}

struct fl_query *fl_store_approval_intake_locks(struct fl_tx *tx, const struct fl_uuid *agents,
                                                size_t count)
{
    struct fl_array ids;
    char text[FL_UUID_TEXT];
    FL_ASSERT(tx->has_organization);
    tx->is_gated = true;
    struct fl_query *gate = fl_tx_add(tx, &sql_gate);
    fl_bind_z(tx, gate, fl_uuid_format(&tx->organization, text));
    struct fl_query *q = fl_tx_add(tx, &sql_locks);
    fl_array_init(&ids, FL_ARRAY_TEXT);
    fl_array_reserve(&ids, count, FL_UUID_TEXT * count);
    for (size_t i = 0; i < count; i++)
        fl_array_put(&ids, fl_uuid_format(&agents[i], text), FL_UUID_TEXT - 1);
    fl_bind_array(tx, q, &ids);
    return gate;
}

#define ARRAY_uuid   FL_ARRAY_UUID
#define ARRAY_text   FL_ARRAY_TEXT
#define ARRAY_bytea  FL_ARRAY_BYTES
#define ARRAY_bigint FL_ARRAY_INT8

static void put_uuid(struct fl_array *array, const struct fl_uuid *id)
{
    fl_array_put(array, fl_uuid_is_zero(id) ? NULL : id->b, sizeof id->b);
}

static void put_text(struct fl_array *array, struct fl_str text)
{
    fl_array_put(array, text.p, text.n);
}

#define put_bytea   put_text
#define put_bigint  fl_array_put_int
#define bind_uuid   fl_bind_uuid
#define bind_text   fl_bind_text
#define bind_bytea  fl_bind_bytes
#define bind_bigint fl_bind_int

#define BIND_ONE(n, name, type, value) bind_##type(tx, q, value);
#define BIND_MANY(n, name, type, value)                                                            \
    fl_array_init(&array, ARRAY_##type);                                                           \
    for (size_t i = 0; i < count; i++) {                                                           \
        const struct fl_approval_new *r = rows[i].row;                                             \
        const struct fl_audit_row *a = rows[i].audit;                                              \
        FL_UNUSED(r);                                                                              \
        FL_UNUSED(a);                                                                              \
        put_##type(&array, value);                                                                 \
    }                                                                                              \
    fl_bind_array(tx, q, &array);

static struct fl_query *begin(struct fl_tx *tx, struct fl_sql *sql, const struct fl_approval_new *r)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, &r->organization);
    fl_bind_int(tx, q, r->pending_max);
    return q;
}

struct fl_query *fl_store_approval_intakes(struct fl_tx *tx, const struct fl_intake_row *rows,
                                           size_t count)
{
    struct fl_array array;
    struct fl_query *q = begin(tx, &sql_many, rows[0].row);
    ROW(BIND_MANY)
    return q;
}

struct fl_query *fl_store_approval_intake(struct fl_tx *tx, const struct fl_approval_new *r,
                                          const struct fl_audit_row *a)
{
    struct fl_query *q = begin(tx, &sql_one, r);
    ROW(BIND_ONE)
    fl_bind_uuid(tx, q, &r->retry_of); /* 49 */
    fl_bind_uuid(tx, q, &r->grant_id); /* 50 */
    fl_bind_int(tx, q, (int64_t)r->revision);
    fl_bind_uuid(tx, q, &r->edit_of);
    fl_bind_uuid(tx, q, &r->editor_id);
    fl_bind_uuid(tx, q, &r->canary_id);
    return q;
}

/* The result's row for the statement's row `at`, counted from 0; -1: none, the organization is
 * gone.
 */
static int row_of(const struct fl_query *q, size_t at)
{
    int64_t i = (int64_t)at + 1;
    if ((int64_t)fl_rows(q) >= i && fl_cell_int(q, (int)at, 0) == i)
        return (int)at;
    for (int row = 0; row < fl_rows(q); row++) {
        if (fl_cell_int(q, row, 0) == i)
            return row;
    }
    return -1;
}

void fl_store_approval_intake_read(const struct fl_query *q, size_t at, struct fl_arena *arena,
                                   struct fl_intake *ret)
{
    int row = row_of(q, at);
    *ret = (struct fl_intake){ .result = FL_INTAKE_AGENT_REFUSED };
    if (row < 0)
        return;
    ret->asked_count = fl_cell_int(q, row, 6);
    if (!fl_cell_is_null(q, row, 10)) {
        ret->result = FL_INTAKE_CREATED;
        ret->created_at_ms = fl_cell_int(q, row, 10);
        ret->expires_at_ms = fl_cell_int(q, row, 11);
    } else if (!fl_cell_bool(q, row, 3)) {
        ret->result = FL_INTAKE_AGENT_REFUSED;
    } else if (!fl_cell_is_null(q, row, 4)) {
        ret->result = FL_INTAKE_STOPPED;
        ret->stop_reason = fl_cell_copy(q, arena, row, 4);
    } else if (!fl_cell_is_null(q, row, 7)) {
        ret->result = FL_INTAKE_REPEAT;
        ret->repeat = fl_cell_uuid(q, row, 7);
        ret->is_other_arguments = fl_cell_bool(q, row, 8);
    } else if (!fl_cell_bool(q, row, 2)) {
        ret->result = FL_INTAKE_TOOL_CHANGED;
    } else if (!fl_cell_bool(q, row, 1)) {
        ret->result = FL_INTAKE_POLICY_MOVED;
    } else if (fl_cell_bool(q, row, 9) && fl_cell_bool(q, row, 5)) {
        ret->result = FL_INTAKE_TWIN;
    } else if (fl_cell_bool(q, row, 12)) {
        ret->result = FL_INTAKE_GRANT_OVER;
    } else {
        ret->result = FL_INTAKE_TOO_MANY;
    }
}
