/* Tables stop, worker, lease, installation. */
#include <stdio.h>

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
/* All deadlines that stand still, or run on, are of the stop's own transaction, however many they
 * are: a stop that fails over them stops nothing. Whoever takes in or sends waits at the gate
 * meanwhile, and is refused. */
#define FREEZE_MS 300000
static struct fl_sql sql_patience = { "stop_patience",
                                      "SELECT set_config('statement_timeout', $1, true)", 0 };
static struct fl_sql sql_gate = { "stop_gate",
                                  "SELECT pg_advisory_xact_lock(hashtextextended($1, 7338))", 0 };
static struct fl_sql sql_gate_pass = {
    "stop_gate_pass", "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 7338))", 0
};
static struct fl_sql sql_stop_put = {
    "stop_put",
    "INSERT INTO stop (organization_id, stop_id, scope, name, reason, set_by, until) SELECT org(), "
    "$1, $2, $3, $4, $5, CASE WHEN $6::bigint > 0 THEN now() + " SPAN("$6") " END",
    0
};
static struct fl_sql sql_stop_lift = {
    "stop_lift",
    "WITH moved AS (UPDATE stop SET lifted_at = clock_timestamp(), lifted_by = $9 WHERE " HERE
    " AND lifted_at IS NULL AND stop_id = $8 RETURNING stop_id), " NOTED_FIRST
    "SELECT stop_id FROM moved",
    0
};
/* Which waiting approvals some active stop covers. */
#define COVERED                                                                                    \
    "EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id AND s.lifted_at IS " \
    "NULL AND (s.until IS NULL OR s.until > now()) AND " FL_STOP_COVERS ")"
#define OPEN "a.organization_id = (SELECT org()) AND a.state IN ('pending', 'approved', 'claimed')"
/* What is covered and runs stands still, what stands still and is not covered goes on: of all of
 * them as if at one time, so that they and their cards are locked in one order. */
static struct fl_sql sql_freeze = {
    "stop_freeze",
    "WITH old AS (SELECT a.approval_id, a.frozen_at IS NULL AS stops FROM approval a WHERE " OPEN
    " AND CASE WHEN a.frozen_at IS NULL THEN a.expires_at > clock_timestamp() AND " COVERED
    " ELSE NOT " COVERED " END ORDER BY a.approval_id FOR NO KEY UPDATE OF a), " CARDS_OF_OLD
    "UPDATE approval a SET frozen_at = CASE WHEN old.stops THEN clock_timestamp() END, expires_at = "
    "CASE WHEN old.stops THEN a.expires_at ELSE a.expires_at + (clock_timestamp() - a.frozen_at) END, "
    "grace_until = CASE WHEN old.stops THEN a.grace_until ELSE a.grace_until + (clock_timestamp() - "
    "a.frozen_at) END, claimable_at = CASE WHEN old.stops THEN a.claimable_at ELSE a.claimable_at + "
    "(clock_timestamp() - a.frozen_at) END FROM old WHERE a.organization_id = (SELECT org()) AND a.approval_id = "
    "old.approval_id AND " CARDS_LOCKED,
    0
};
static struct fl_sql sql_in_flight = {
    "stop_in_flight",
    "SELECT a.approval_id, a.tool, g.name, " MS(
        "a.dispatched_at") " FROM stop s JOIN approval a USING (organization_id) JOIN agent g USING "
                           "(organization_id, agent_id) WHERE s.organization_id = (SELECT org()) "
                           "AND s.stop_id = $1 AND a.state = 'dispatched' AND " FL_STOP_COVERS
                           " ORDER BY a.dispatched_at",
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
    "worker_silent",
    "DELETE FROM worker WHERE id IN (SELECT w.id FROM worker w WHERE w.seen_at < now() - interval '1 "
    "minute' OR NOT " CONNECTED("w.id") FREE_ONLY ")",
    0
};
static struct fl_sql sql_gone = { "worker_gone", "DELETE FROM worker WHERE id = $1", 0 };
static struct fl_sql sql_lease = {
    "lease",
    "INSERT INTO lease (name, owner, until) VALUES ($1, $2, now() + " SPAN(
        "$3") ") ON CONFLICT "
              "(name) DO UPDATE SET fence = lease.fence + CASE WHEN lease.owner = $2 THEN 0 ELSE 1 END, "
              "owner = $2, until = excluded.until WHERE lease.owner = $2 OR lease.until <= now() OR "
              "($4 AND NOT " CONNECTED("lease.owner") ") RETURNING fence",
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

static void gate(struct fl_tx *tx, struct fl_sql *sql)
{
    char text[FL_UUID_TEXT];
    FL_ASSERT(tx->has_organization);
    fl_bind_z(tx, fl_tx_add(tx, sql), fl_uuid_format(&tx->organization, text));
}

void fl_store_stop_gate(struct fl_tx *tx)
{
    tx->is_alone = true;
    gate(tx, &sql_gate);
}

void fl_store_stop_gate_pass(struct fl_tx *tx)
{
    tx->is_gated = true;
    gate(tx, &sql_gate_pass);
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

struct fl_query *fl_store_stop_lift(struct fl_tx *tx, const struct fl_uuid *id,
                                    struct fl_str lifted_by, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_stop_lift);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, lifted_by);
    return q;
}

struct fl_query *fl_store_stop_in_flight(struct fl_tx *tx, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, &sql_in_flight);
    fl_bind_uuid(tx, q, id);
    return q;
}

void fl_store_stop_refreeze(struct fl_tx *tx)
{
    char text[16];
    snprintf(text, sizeof text, "%d", FREEZE_MS);
    gate(tx, &sql_gate);
    tx->is_alone = true;
    tx->timeout_ms = FREEZE_MS;
    fl_bind_z(tx, fl_tx_add(tx, &sql_patience), text);
    fl_tx_add(tx, &sql_freeze);
}

struct fl_query *fl_store_stops_over(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_stops_over);
}

const char *fl_store_worker_name(const struct fl_uuid *id, char out[FL_WORKER_NAME_BYTES])
{
    char text[FL_UUID_TEXT];
    snprintf(out, FL_WORKER_NAME_BYTES, WORKER_NAME "%s", fl_uuid_format(id, text));
    return out;
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
                                int64_t for_ms, bool is_inner)
{
    struct fl_query *q = fl_tx_add(tx, &sql_lease);
    fl_bind_z(tx, q, name);
    fl_bind_uuid(tx, q, owner);
    fl_bind_int(tx, q, for_ms);
    fl_bind_bool(tx, q, is_inner);
    return q;
}

void fl_store_lease_drop(struct fl_tx *tx, const struct fl_uuid *owner)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_lease_drop), owner);
}

/* By the system's own tables, so that one that somebody added is found too. */
static struct fl_sql sql_unprotected = { "unprotected_tables", FL_SQL_UNPROTECTED " LIMIT 1", 0 };

struct fl_query *fl_store_unprotected(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_unprotected);
}

struct fl_query *fl_store_schema_version(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_schema);
}

struct fl_query *fl_store_clock(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_clock);
}
