/* Table call_grant. */
#include "runtime/store/grant.h"

#include "runtime/store/sql.h"

static struct fl_sql sql_put = {
    "grant_put",
    "INSERT INTO call_grant (organization_id, grant_id, approval_id, agent_id, server_id, tool, "
    "definition_digest, server_digest, rule, ask, pins, pinned, person_id, has_second_factor, "
    "reason, uses, expires_at) SELECT org(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
    "$13, $14, $15, now() + " SPAN("$16") " RETURNING " MS("expires_at"),
    0
};
static struct fl_sql sql_list = {
    "grants",
    "SELECT g.grant_id, g.agent_id, g.server_id, g.tool, g.definition_digest, g.server_digest, "
    "g.rule, g.ask, g.pins, g.pinned, g.person_id, p.name, g.has_second_factor, g.uses, g.used, " MS("g.expires_at") ", g.revoked_at IS NOT NULL, " MS(
        "g.created_at") ", g.approval_id, a.name, " MS("g.revoked_at") ", g.revoked_by, g.reason, CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN "
                                                                       "g.expires_at <= now() THEN 'over' WHEN g.used >= g.uses THEN 'used up' "
                                                                       "ELSE 'in force' END FROM call_grant g JOIN person p USING (person_id) "
                                                                       "JOIN agent a USING (organization_id, agent_id) WHERE g.organization_id = "
                                                                       "(SELECT org()) AND g.expires_at > now() - interval '1 day' ORDER BY "
                                                                       "g.created_at DESC, g.grant_id",
    0
};
static struct fl_sql sql_revoke = {
    "grant_revoke",
    "WITH moved AS (UPDATE call_grant SET revoked_at = clock_timestamp(), revoked_by = $9 WHERE "
    "organization_id = (SELECT org()) AND grant_id = $8 AND revoked_at IS NULL RETURNING "
    "grant_id), " NOTED_FIRST "SELECT grant_id FROM moved",
    0
};
static struct fl_sql sql_revoke_of = {
    "grants_revoke_of",
    "UPDATE call_grant SET revoked_at = clock_timestamp(), revoked_by = $2 WHERE organization_id = "
    "(SELECT org()) AND person_id = $1 AND revoked_at IS NULL AND expires_at > now() RETURNING "
    "grant_id",
    0
};

struct fl_query *fl_store_grant_put(struct fl_tx *tx, const struct fl_grant_new *g)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    fl_bind_uuid(tx, q, &g->id);
    fl_bind_uuid(tx, q, &g->approval);
    fl_bind_uuid(tx, q, &g->agent_id);
    fl_bind_uuid(tx, q, &g->server_id);
    fl_bind_text(tx, q, g->tool); /* 5 */
    fl_bind_bytes(tx, q, g->definition_digest);
    fl_bind_bytes(tx, q, g->server_digest);
    fl_bind_text(tx, q, g->rule);
    fl_bind_text(tx, q, g->ask);
    fl_bind_text(tx, q, g->pins); /* 10 */
    fl_bind_bytes(tx, q, g->pinned);
    fl_bind_uuid(tx, q, &g->person);
    fl_bind_bool(tx, q, g->has_second_factor);
    fl_bind_text(tx, q, g->reason);
    fl_bind_int(tx, q, g->uses); /* 15 */
    fl_bind_int(tx, q, g->for_ms);
    return q;
}

struct fl_query *fl_store_grants(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_list);
}

struct fl_query *fl_store_grant_revoke(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str by,
                                       const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_revoke);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, by);
    return q;
}

struct fl_query *fl_store_grants_revoke_of(struct fl_tx *tx, const struct fl_uuid *person,
                                           struct fl_str by)
{
    struct fl_query *q = fl_tx_add(tx, &sql_revoke_of);
    fl_bind_uuid(tx, q, person);
    fl_bind_text(tx, q, by);
    return q;
}
