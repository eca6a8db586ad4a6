/* Table approval: reading and intake. The transitions are in approval_move.c. */
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
    X(number, frozen_at_ms, MS("a.frozen_at"))                                                     \
    X(number, changed_at_ms, MS("a.changed_at"))                                                   \
    X(number, claimable_in_ms, MS("a.claimable_at - clock_timestamp()"))                           \
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
    X(flag, is_expired, "a.frozen_at IS NULL AND a.expires_at <= clock_timestamp()")               \
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
    "SELECT approval_id, mcp_request FROM approval WHERE organization_id = (SELECT org()) AND "
    "mcp_session = $1 "
    "AND ($2::text IS NULL OR mcp_request = $2) AND ($3::text IS NULL OR mcp_stream = $3) "
    "ORDER BY created_at DESC LIMIT 1",
    0
};

/* The agent's intakes run one behind the other, so that the limit of waiting ones is exact and a
 * repeat finds what the call before it wrote. A statement of its own: the next one must see what
 * was committed while this one waited. */
static struct fl_sql sql_intake_lock = { "approval_intake_lock",
                                         "SELECT pg_advisory_xact_lock(hashtextextended($1, 7337))",
                                         0 };

#define STOPPED(agent, owner, server, tool)                                                        \
    "(s.scope = 'org' OR (s.scope = 'agent' AND s.name = " agent ") OR (s.scope = 'person' AND "   \
    "s.name = " owner ") OR (s.scope = 'server' AND s.name = " server ") OR (s.scope = 'tool' "    \
    "AND s.name = " tool ") OR (s.scope = 'group' AND EXISTS (SELECT 1 FROM org_group og JOIN "    \
    "group_member gm USING (organization_id, group_id) JOIN person sp ON sp.person_id = "          \
    "gm.person_id WHERE og.organization_id = (SELECT org()) AND og.name = s.name AND sp.name = "   \
    "" owner ")))"

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

/* Nobody waits for it: its caller has left (or the worker that held the caller is dead), or a
 * person asked for it once more. */
#define UNCLAIMED(e)                                                                               \
    "(" e ".wait_mode = 'left' OR " e ".retry_of IS NOT NULL OR (" e ".wait_mode = 'held' AND "    \
    "NOT EXISTS (SELECT 1 FROM worker h WHERE h.id = " e ".holder AND h.seen_at > now() - "        \
    "interval '10 seconds' AND " CONNECTED("h.id") ")))"
/* Nobody came for its outcome: for a task three times as long as its client waits between two looks
 * (mcp/tasks.c). */
#define UNFETCHED(e)                                                                               \
    e ".settled_at < now() - CASE WHEN " e                                                         \
      ".wait_mode <> 'task' THEN interval '5 seconds' WHEN " e                                     \
      ".created_at > now() - interval '2 minutes' THEN interval '6 seconds' WHEN " e               \
      ".created_at > now() - interval '10 minutes' THEN interval '15 seconds' ELSE interval "      \
      "'45 seconds' END"
#define AGAIN(e)   RETRY(e, "$1", "$3")
/* Then the newer one answers. */
#define RETRIED(e) "(" AGAIN(e) " IS NOT NULL)"
/* It goes on and nobody waits for it, or it is over and nobody has had its outcome. */
#define IS_OWED(e)                                                                                 \
    "((" e ".state IN ('pending', 'approved', 'claimed', 'dispatched', 'unknown') AND " UNCLAIMED( \
        e) ") OR (" e ".state IN ('succeeded', 'failed') AND " e ".delivered_at IS NULL AND " e    \
           ".settled_at > now() - interval '24 hours' AND NOT " RETRIED(e) " AND (" UNCLAIMED(     \
               e) " OR " UNFETCHED(e) ")))"
/* A person said no, and it holds. */
#define IS_REFUSED(e)                                                                              \
    "(" e ".state = 'rejected' AND NOT " e ".may_ask_again AND " e ".decided_at > now() - "        \
    "interval '15 minutes' AND " e ".definition_digest = $10 AND " e ".policy_version = $22)"
/* A person changed it, and so for the last one that came of it, by another change or by running it
 * again; once that has run, its arguments as they were stay refused. */
#define IS_CHANGED                                                                                          \
    "(e.edited_to IS NOT NULL AND NOT e.may_ask_again AND EXISTS (WITH RECURSIVE b AS (SELECT "             \
    "e.edited_to AS id UNION ALL SELECT coalesce(c.edited_to, " AGAIN(                                      \
        "c") ") FROM b JOIN "                                                                               \
             "approval c ON c.organization_id = $1 AND c.approval_id = b.id) SELECT 1 FROM b JOIN "         \
             "approval n ON n.organization_id = $1 AND n.approval_id = b.id WHERE n.edited_to IS NULL AND " \
             "NOT " RETRIED("n") " AND (" IS_OWED("n") " OR " IS_REFUSED(                                   \
                 "n") " OR (n.state IN "                                                                    \
                      "('succeeded', 'failed') AND " IS_REFUSED("e") "))))"
#define IS_REPEAT                                                                                  \
    "((e.edited_to IS NULL AND (" IS_OWED("e") " OR " IS_REFUSED("e") ")) OR " IS_CHANGED ")"

/* What was asked before is found by its key or its fingerprint, each by an index of its own: joined
 * by OR, one reads all that the agent ever asked for.
 * The grant is used with the row or not at all, and its author votes for it then.
 * $1..$33 the row, then names for stops, limits, and the audit row. */
static struct fl_sql sql_intake = {
    "approval_intake",
    "WITH facts AS ("
    "SELECT o.policy_version = $22 AND ($49::uuid IS NULL OR o.revision = $50) AS is_same_policy, "
    "coalesce((SELECT t.accepted_digest = $10 AND t.digest = $10 AND NOT t.is_quarantined AND NOT "
    "t.is_gone FROM tool t WHERE t.organization_id = $1 AND t.published = $8), false) "
    "AS is_same_tool, "
    "coalesce((SELECT g.state = 'active' AND g.owner_id = $5 AND p.is_active AND m.left_at IS NULL "
    "FROM agent g JOIN person p ON p.person_id = g.owner_id JOIN membership m ON m.organization_id = "
    "g.organization_id AND m.person_id = g.owner_id WHERE g.organization_id = $1 AND g.agent_id = $3), "
    "false) AND ($4::uuid IS NULL OR coalesce((SELECT c.revoked_at IS NULL AND "
    "(c.expires_at IS NULL OR c.expires_at > now()) FROM agent_credential c "
    "WHERE c.organization_id = $1 AND c.credential_id = $4), false)) AS is_agent_fine, "
    "(SELECT s.reason FROM stop s WHERE s.organization_id = $1 AND s.lifted_at IS NULL "
    "AND (s.until IS NULL OR s.until > now()) AND " STOPPED(
        "$30", "$31", "$32",
        "$8") " LIMIT 1) "
              "AS stop_reason, "
              "$6 <> 'pending' OR (SELECT count(*) FROM (SELECT 1 FROM approval w WHERE w.organization_id = "
              "$1 AND w.agent_id = $3 AND w.state = 'pending' LIMIT $33) n) < $33 AS has_room, "
              "1 + (SELECT count(*) FROM approval w WHERE w.organization_id = $1 AND w.agent_id = $3 AND "
              "w.fingerprint = $16 AND w.created_at > now() - interval '24 hours') AS asked "
              "FROM organization o WHERE o.organization_id = $1), "
              "earlier AS ("
              "SELECT e.approval_id, e.is_other FROM ("
              "SELECT e.approval_id, e.created_at, e.fingerprint <> $16 AS is_other FROM approval e WHERE "
              "e.organization_id = $1 AND e.agent_id = $3 AND e.idempotency_key = $17 UNION ALL "
              "SELECT e.approval_id, e.created_at, false FROM approval e WHERE e.organization_id = $1 "
              "AND e.agent_id = $3 AND e.fingerprint = $16 AND $17::text IS NULL AND " IS_REPEAT
              ") e WHERE $36::uuid IS NULL AND $51::uuid IS NULL "
              "ORDER BY e.created_at DESC LIMIT 1), "
              "used AS ("
              "UPDATE call_grant u SET used = u.used + 1 FROM facts f WHERE u.organization_id = $1 AND "
              "u.grant_id = $49 AND u.revoked_at IS NULL AND u.expires_at > clock_timestamp() AND "
              "u.used < u.uses AND f.is_same_policy AND f.is_same_tool AND f.is_agent_fine AND "
              "f.stop_reason IS NULL AND NOT EXISTS (SELECT 1 FROM earlier) RETURNING u.person_id, "
              "u.has_second_factor, u.expires_at), "
              "made AS ("
              "INSERT INTO approval (organization_id, approval_id, agent_id, credential_id, owner_id, state, "
              "kind, tool, tool_name, definition_digest, server_id, arguments, arguments_bytes, binding_salt, "
              "binding_digest, fingerprint, idempotency_key, justification, preview, preview_kind, "
              "precondition, policy_version, rule, ask, is_standing, is_isolated, card, wait_mode, holder, "
              "task_id, after_leave, retry_of, break_cancels, mcp_session, mcp_request, mcp_stream, grant_id, edit_of, editor_id, decided_by, asked_count, preview_at, decided_at, expires_at) "
              "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, "
              "$20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $34, $35, $36, $45, $46, $47, $48, $49, $51, $52, "
              "(SELECT p.name FROM used u JOIN person p USING (person_id)), f.asked, "
              "CASE WHEN $20 <> 'none' THEN now() END, CASE WHEN $6 = 'approved' THEN now() END, "
              "least(now() + " SPAN(
                  "$37") ", (SELECT u.expires_at FROM used u)) FROM facts f WHERE f.is_same_policy AND f.is_same_tool AND "
                         "f.is_agent_fine AND f.stop_reason IS NULL AND f.has_room AND NOT EXISTS "
                         "(SELECT 1 FROM earlier) AND ($49::uuid IS NULL OR EXISTS (SELECT 1 FROM used)) "
                         "RETURNING created_at, expires_at), "
                         "voted AS ("
                         "INSERT INTO vote (organization_id, approval_id, person_id, verdict, via, "
                         "has_second_factor, is_owner) SELECT $1, $2, u.person_id, 'approve', 'grant', "
                         "u.has_second_factor, u.person_id = $5 FROM used u, made m), "
                         "noted AS ("
                         "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, subject_kind, "
                         "subject_id, leaf) SELECT $1, $38, $39, $40, $41, $42, $43, $44 FROM made) "
                         "SELECT f.is_same_policy, f.is_same_tool, f.is_agent_fine, f.stop_reason, f.has_room, f.asked, "
                         "(SELECT e.approval_id FROM earlier e), coalesce((SELECT e.is_other FROM earlier e), false), "
                         "(SELECT " MS("m.created_at") " FROM made m), (SELECT " MS(
                             "m.expires_at") " FROM made m), "
                                             "$49::uuid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM used) "
                                             "FROM facts f",
    0
};

static const char *const wait_modes[] = { "held", "task", "left" };

static void lock_intakes(struct fl_tx *tx, const struct fl_uuid *agent)
{
    char text[FL_UUID_TEXT];
    fl_bind_z(tx, fl_tx_add(tx, &sql_intake_lock), fl_uuid_format(agent, text));
}

void fl_store_approval_after_intakes(struct fl_tx *tx, const struct fl_uuid *agent)
{
    tx->is_alone = true; /* in no circle with the intakes of other agents */
    lock_intakes(tx, agent);
}

struct fl_query *fl_store_approval_intake(struct fl_tx *tx, const struct fl_approval_new *r,
                                          const struct fl_audit_row *audit)
{
    fl_store_stop_gate_pass(tx);
    lock_intakes(tx, &r->agent_id);
    struct fl_query *q = fl_tx_add(tx, &sql_intake);
    fl_bind_uuid(tx, q, &r->organization);
    fl_bind_uuid(tx, q, &r->id);
    fl_bind_uuid(tx, q, &r->agent_id);
    fl_bind_uuid(tx, q, &r->credential_id);
    fl_bind_uuid(tx, q, &r->owner_id);
    fl_bind_z(tx, q, fl_state_text(r->state)); /* 6 */
    fl_bind_z(tx, q, r->kind);
    fl_bind_text(tx, q, r->tool);
    fl_bind_text(tx, q, r->tool_name);
    fl_bind_bytes(tx, q, r->definition_digest); /* 10 */
    fl_bind_uuid(tx, q, &r->server_id);
    fl_bind_bytes(tx, q, r->arguments);
    fl_bind_int(tx, q, r->arguments_bytes);
    fl_bind_bytes(tx, q, r->binding_salt);
    fl_bind_bytes(tx, q, r->binding_digest); /* 15 */
    fl_bind_bytes(tx, q, r->fingerprint);
    fl_bind_text(tx, q, r->idempotency_key);
    fl_bind_bytes(tx, q, r->justification);
    fl_bind_bytes(tx, q, r->preview);
    fl_bind_z(tx, q, r->preview_kind); /* 20 */
    fl_bind_text(tx, q, r->precondition);
    fl_bind_int(tx, q, r->policy_version);
    fl_bind_text(tx, q, r->rule);
    fl_bind_text(tx, q, r->ask);
    fl_bind_bool(tx, q, r->is_standing); /* 25 */
    fl_bind_bool(tx, q, r->is_isolated);
    fl_bind_text(tx, q, r->card);
    fl_bind_z(tx, q, wait_modes[r->wait_mode]);
    fl_bind_uuid(tx, q, &r->holder);
    fl_bind_text(tx, q, r->agent); /* 30 */
    fl_bind_text(tx, q, r->owner);
    fl_bind_text(tx, q, r->server);
    fl_bind_int(tx, q, r->pending_max);
    fl_bind_z(tx, q, r->task_id);
    fl_bind_z(tx, q, r->after_leave); /* 35 */
    fl_bind_uuid(tx, q, &r->retry_of);
    fl_bind_int(tx, q, r->expires_ms);
    fl_store_audit_bind(tx, q, audit); /* 38..44 */
    fl_bind_bool(tx, q, r->break_cancels);
    fl_bind_bytes(tx, q, r->mcp_session);
    fl_bind_text(tx, q, r->mcp_request);
    fl_bind_text(tx, q, r->mcp_stream);
    fl_bind_uuid(tx, q, &r->grant_id);
    fl_bind_int(tx, q, (int64_t)r->revision); /* 50 */
    fl_bind_uuid(tx, q, &r->edit_of);
    fl_bind_uuid(tx, q, &r->editor_id);
    return q;
}

void fl_store_approval_intake_read(const struct fl_query *q, struct fl_arena *arena,
                                   struct fl_intake *ret)
{
    *ret = (struct fl_intake){ .result = FL_INTAKE_AGENT_REFUSED };
    if (fl_rows(q) != 1)
        return; /* the organization is gone */
    ret->asked_count = fl_cell_int(q, 0, 5);
    if (!fl_cell_is_null(q, 0, 8)) {
        ret->result = FL_INTAKE_CREATED;
        ret->created_at_ms = fl_cell_int(q, 0, 8);
        ret->expires_at_ms = fl_cell_int(q, 0, 9);
    } else if (!fl_cell_bool(q, 0, 2)) {
        ret->result = FL_INTAKE_AGENT_REFUSED;
    } else if (!fl_cell_is_null(q, 0, 3)) {
        ret->result = FL_INTAKE_STOPPED;
        ret->stop_reason = fl_cell_copy(q, arena, 0, 3);
    } else if (!fl_cell_is_null(q, 0, 6)) {
        ret->result = FL_INTAKE_REPEAT;
        ret->repeat = fl_cell_uuid(q, 0, 6);
        ret->is_other_arguments = fl_cell_bool(q, 0, 7);
    } else if (!fl_cell_bool(q, 0, 1)) {
        ret->result = FL_INTAKE_TOOL_CHANGED;
    } else if (!fl_cell_bool(q, 0, 0)) {
        ret->result = FL_INTAKE_POLICY_MOVED;
    } else if (fl_cell_bool(q, 0, 10)) {
        ret->result = FL_INTAKE_GRANT_OVER;
    } else {
        ret->result = FL_INTAKE_TOO_MANY;
    }
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
                                              struct fl_str request, struct fl_str stream)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_request);
    fl_bind_bytes(tx, q, session);
    fl_bind_text(tx, q, request);
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
    return fl_mem_failures() == failures; /* what was not copied is not absent */
}
