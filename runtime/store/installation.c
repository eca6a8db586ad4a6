/* Tables stop, worker, lease, installation. */
#include "runtime/store/organization.h"
#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_stops = {
    "stops",
    "SELECT stop_id, scope, name, reason, set_by, " MS("set_at") ", " MS(
        "until") " FROM stop WHERE " HERE " AND lifted_at IS NULL AND (until IS NULL OR until > "
                 "now()) ORDER BY set_at",
    0
};
static struct fl_sql sql_stop_put = {
    "stop_put",
    "INSERT INTO stop (organization_id, stop_id, scope, name, reason, set_by, until) SELECT org(), "
    "$1, $2, $3, $4, $5, CASE WHEN $6::bigint > 0 THEN now() + " SPAN("$6") " END",
    0
};
static struct fl_sql sql_stop_lift = {
    "stop_lift",
    "UPDATE stop SET lifted_at = clock_timestamp(), lifted_by = $4 WHERE " HERE " AND lifted_at IS "
    "NULL AND (stop_id = $1 OR ($1::uuid IS NULL AND scope = $2 AND name = $3)) RETURNING stop_id, "
    "scope, name",
    0
};
/* Which waiting approvals some active stop covers. */
#define COVERED                                                                                    \
    "EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id AND s.lifted_at IS " \
    "NULL AND (s.until IS NULL OR s.until > now()) AND (s.scope = 'org' OR (s.scope = 'tool' AND " \
    "s.name = a.tool) OR (s.scope = 'agent' AND EXISTS (SELECT 1 FROM agent g WHERE "              \
    "g.organization_id = a.organization_id AND g.agent_id = a.agent_id AND g.name = s.name)) OR "  \
    "(s.scope = 'server' AND EXISTS (SELECT 1 FROM server v WHERE v.organization_id = "            \
    "a.organization_id AND v.server_id = a.server_id AND v.name = s.name)) OR (s.scope = "         \
    "'person' AND EXISTS (SELECT 1 FROM person p WHERE p.person_id = a.owner_id AND p.name = "     \
    "s.name)) OR (s.scope = 'group' AND EXISTS (SELECT 1 FROM org_group og JOIN group_member gm "  \
    "USING (organization_id, group_id) WHERE og.organization_id = a.organization_id AND og.name "  \
    "= s.name AND gm.person_id = a.owner_id))))"
#define OPEN "a.organization_id = (SELECT org()) AND a.state IN ('pending', 'approved', 'claimed')"
static struct fl_sql sql_freeze = {
    "stop_freeze",
    "UPDATE approval a SET frozen_at = clock_timestamp() WHERE " OPEN
    " AND a.frozen_at IS NULL AND a.expires_at > clock_timestamp() AND " COVERED,
    0
};
static struct fl_sql sql_thaw = {
    "stop_thaw",
    "UPDATE approval a SET expires_at = a.expires_at + (clock_timestamp() - a.frozen_at), "
    "grace_until = a.grace_until + (clock_timestamp() - a.frozen_at), frozen_at = NULL "
    "WHERE " OPEN " AND a.frozen_at IS NOT NULL AND NOT " COVERED,
    0
};
static struct fl_sql sql_stops_over = { "stops_over", "SELECT * FROM sweep_stops_over(100)", 0 };
static struct fl_sql sql_beat = {
    "worker_beat",
    "INSERT INTO worker (id, node, pid, version) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO "
    "UPDATE SET seen_at = now()",
    0
};
static struct fl_sql sql_silent = {
    "worker_silent", "DELETE FROM worker WHERE seen_at < now() - interval '1 minute'", 0
};
static struct fl_sql sql_gone = { "worker_gone", "DELETE FROM worker WHERE id = $1", 0 };
static struct fl_sql sql_lease = {
    "lease",
    "INSERT INTO lease (name, owner, until) VALUES ($1, $2, now() + " SPAN(
        "$3") ") ON CONFLICT "
              "(name) DO UPDATE SET fence = lease.fence + CASE WHEN lease.owner = $2 THEN 0 ELSE 1 END, "
              "owner = $2, until = excluded.until WHERE lease.owner = $2 OR lease.until <= now() RETURNING "
              "fence",
    0
};
static struct fl_sql sql_lease_drop = { "lease_drop", "DELETE FROM lease WHERE owner = $1", 0 };
static struct fl_sql sql_schema = { "schema_version",
                                    "SELECT coalesce(max(version), 0) FROM schema_version", 0 };
static struct fl_sql sql_clock = { "clock", "SELECT " MS("clock_timestamp()"), 0 };

struct fl_query *fl_store_stops(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_stops);
}

void fl_store_stop_put(struct fl_tx *tx, const struct fl_uuid *id, const char *scope,
                       struct fl_str name, struct fl_str reason, struct fl_str set_by,
                       int64_t for_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_stop_put);
    fl_bind_uuid(tx, q, id);
    fl_bind_z(tx, q, scope);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, reason);
    fl_bind_text(tx, q, set_by);
    fl_bind_int(tx, q, for_ms);
}

struct fl_query *fl_store_stop_lift(struct fl_tx *tx, const struct fl_uuid *id, const char *scope,
                                    struct fl_str name, struct fl_str lifted_by)
{
    struct fl_query *q = fl_tx_add(tx, &sql_stop_lift);
    fl_bind_uuid(tx, q, id);
    fl_bind_z(tx, q, scope);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, lifted_by);
    return q;
}

void fl_store_stop_refreeze(struct fl_tx *tx)
{
    fl_tx_add(tx, &sql_freeze);
    fl_tx_add(tx, &sql_thaw);
}

struct fl_query *fl_store_stops_over(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_stops_over);
}

void fl_store_worker_beat(struct fl_tx *tx, const struct fl_uuid *id, const char *node, int pid,
                          const char *version)
{
    struct fl_query *q = fl_tx_add(tx, &sql_beat);
    fl_bind_uuid(tx, q, id);
    fl_bind_z(tx, q, node);
    fl_bind_int(tx, q, pid);
    fl_bind_z(tx, q, version);
    fl_tx_add(tx, &sql_silent);
}

void fl_store_worker_gone(struct fl_tx *tx, const struct fl_uuid *id)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_gone), id);
}

struct fl_query *fl_store_lease(struct fl_tx *tx, const char *name, const struct fl_uuid *owner,
                                int64_t for_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_lease);
    fl_bind_z(tx, q, name);
    fl_bind_uuid(tx, q, owner);
    fl_bind_int(tx, q, for_ms);
    return q;
}

void fl_store_lease_drop(struct fl_tx *tx, const struct fl_uuid *owner)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_lease_drop), owner);
}

struct fl_query *fl_store_schema_version(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_schema);
}

struct fl_query *fl_store_clock(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_clock);
}
