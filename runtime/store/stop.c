/* Table stop. Setting and lifting one is a short transaction, however many wait; their deadlines
 * are moved behind it, in batches. `moving` says that this is under way: while it is 'freeze'
 * whatever the stop covers stands still whether it is frozen or not (FL_STANDS), so that all of it
 * stood still since the same moment; a stop that is lifted meanwhile freezes what it covered to the
 * end, and lets it run on then ('thaw'). */
#include <stdio.h>

#include "runtime/store/organization.h"
#include "runtime/store/sql.h"

#define HERE     "organization_id = (SELECT org())"
#define IN_FORCE "s.lifted_at IS NULL AND (s.until IS NULL OR s.until > now())"
#define OPEN     "a.state IN ('pending', 'approved', 'claimed')"
/* Some stop in force covers approval a. */
#define COVERED                                                                                    \
    "EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id AND " IN_FORCE       \
    " AND " FL_STOP_COVERS ")"
#define COLUMNS "s.stop_id, s.scope, s.name, s.reason, s.set_by, " MS("s.set_at") ", " MS("s.until")

static struct fl_sql sql_stops = {
    "stops", "SELECT " COLUMNS " FROM stop s WHERE s." HERE " AND " IN_FORCE " ORDER BY s.set_at", 0
};
/* Of the first that could be, those that are not yet as they will be: of a stop in force what is
 * not frozen, of another one what still stands. All stops count in what is read once. */
#define FROM_WAITING(condition)                                                                    \
    "(SELECT w.organization_id, w.approval_id, w.agent_id, w.owner_id, w.server_id, w.tool, "      \
    "w.state, w.created_at, w.expires_at, w.frozen_at FROM approval w WHERE w." HERE               \
    " AND w.state IN ('pending', 'approved', 'claimed') AND " condition " LIMIT $1::bigint)"
#define ANY_STOP(condition) "EXISTS (SELECT 1 FROM stop s WHERE s." HERE " AND " condition ")"
#define ANY_ENDS            ANY_STOP("s.moving IS NOT NULL AND NOT (" IN_FORCE ")")
#define UNFROZEN            FROM_WAITING("w.frozen_at IS NULL AND " ANY_STOP("s.moving = 'freeze'"))
#define FROZEN              FROM_WAITING("w.frozen_at IS NOT NULL AND " ANY_ENDS)
static struct fl_sql sql_shown = {
    "stops_shown",
    "WITH waiting AS MATERIALIZED (SELECT a.*, CASE WHEN " ANY_ENDS " THEN " COVERED
    " END AS is_covered FROM (" UNFROZEN " UNION ALL " FROZEN ") a) SELECT " COLUMNS
    ", CASE WHEN NOT (" IN_FORCE
    ") THEN 'resuming' WHEN s.moving = 'freeze' THEN 'stopping' ELSE 'stopped' END, CASE WHEN "
    "s.moving IS NULL THEN 0 WHEN " IN_FORCE
    " THEN (SELECT count(*) FROM waiting a WHERE a.frozen_at IS NULL AND " FL_STOP_FREEZES
    ") ELSE (SELECT count(*) FROM waiting a WHERE NOT a.is_covered AND " FL_STOP_COVERS
    " AND (a.frozen_at IS NOT NULL OR " FL_STOP_FREEZES ")) END FROM stop s WHERE s." HERE
    " AND (" IN_FORCE " OR s.moving IS NOT NULL) ORDER BY s.set_at",
    0
};
static struct fl_sql sql_gate = { "stop_gate",
                                  "SELECT pg_advisory_xact_lock(hashtextextended($1, 7338))", 0 };
static struct fl_sql sql_gate_pass = {
    "stop_gate_pass", "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 7338))", 0
};
/* From behind the gate: nothing that it covers was taken in or sent after that. */
static struct fl_sql sql_put = {
    "stop_put",
    "WITH n AS MATERIALIZED (SELECT clock_timestamp() AS at) INSERT INTO stop (organization_id, "
    "stop_id, scope, name, reason, set_by, set_at, until, moving, moving_since, stands_from) SELECT "
    "org(), $1, $2, $3, $4, $5, n.at, CASE WHEN $6::bigint > 0 THEN n.at + " SPAN(
        "$6") " END, 'freeze', n.at, n.at FROM n",
    0
};
/* That it moves anew tells it from what an older program does (migration 038). */
static struct fl_sql sql_lift = {
    "stop_lift",
    "WITH moved AS (UPDATE stop SET lifted_at = clock_timestamp(), lifted_by = $9, moving_since = "
    "clock_timestamp(), moving = CASE WHEN moving = 'freeze' THEN moving ELSE 'thaw' END WHERE " HERE
    " AND lifted_at IS NULL AND stop_id = $8 RETURNING stop_id), " NOTED_FIRST
    "SELECT stop_id FROM moved",
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
/* Whom a stop of the organization or of a tool covers does not change. Who leaves a stop while it
 * freezes runs on with the deadline that is there; who joins it then stands still since it was set.
 */
static struct fl_sql sql_cover_again = {
    "stop_cover_again",
    "UPDATE stop t SET stands_from = CASE WHEN t.moving = 'freeze' THEN t.stands_from ELSE "
    "clock_timestamp() END, moving_since = clock_timestamp(), moving = 'freeze' FROM (SELECT "
    "s.stop_id FROM stop s WHERE s." HERE " AND " IN_FORCE " AND s.scope NOT IN ('org', 'tool') "
    "ORDER BY s.stop_id FOR NO KEY UPDATE) k WHERE t." HERE " AND t.stop_id = k.stop_id",
    0
};
static struct fl_sql sql_ended = {
    "stops_ended",
    "SELECT * FROM sweep_stops_ended(coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid), "
    "$2::integer)",
    0
};
static struct fl_sql sql_moving = { "stops_moving", "SELECT * FROM sweep_stops_moving(100)", 0 };

/* ---- moving deadlines ---- */
static struct fl_sql sql_patience = { "stop_patience",
                                      "SELECT set_config('lock_timeout', $1, true)", 0 };
static struct fl_sql sql_move_lock = {
    "stop_move_lock", "SELECT true FROM pg_advisory_xact_lock(hashtextextended($1, 7340))", 0
};
static struct fl_sql sql_move_try = {
    "stop_move_try", "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7340))", 0
};
/* In statements behind those that lock: moving_since is a time by this clock, set behind the gate,
 * or behind the lock (sql_moved). */
static struct fl_sql sql_move_now = {
    "stop_move_now",
    "SELECT clock_timestamp()::text, EXISTS (SELECT 1 FROM stop WHERE " HERE
    " AND moving IS NOT NULL)",
    0
};
/* What is covered and runs is to stand still, what stands still and is not covered to go on. */
static struct fl_sql sql_move_look = {
    "stop_move_look",
    "SELECT a.approval_id, a.created_at::text, CASE WHEN a.frozen_at IS NULL THEN " FL_STANDS
    " ELSE NOT (" COVERED " OR " FL_STANDS
    ") END, CASE WHEN a.frozen_at IS NULL THEN (" FL_STANDS_SINCE
    ")::text END, a.frozen_at IS NULL AND a.state = 'approved' AND a.wait_mode = 'held' FROM "
    "approval a WHERE a." HERE " AND " OPEN
    " AND (a.created_at, a.approval_id) > (coalesce($1::timestamptz, '-infinity'), "
    "coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')) ORDER BY a.created_at, "
    "a.approval_id LIMIT $3::bigint",
    0
};
/* A row that somebody holds is left for the next pass, as one in a batch of others' may be held
 * until this one has another row of that batch; so is what is not any more as it was seen. */
static struct fl_sql sql_move = {
    "stop_move",
    "WITH old AS (SELECT a.approval_id, a.frozen_at IS NULL AS stops FROM approval a WHERE a." HERE
    " AND a.approval_id = ANY ($1::uuid[]) AND " OPEN
    " ORDER BY a.approval_id FOR NO KEY UPDATE OF a SKIP LOCKED), " CARDS_OF_OLD
    "UPDATE approval a SET frozen_at = k.since::timestamptz, expires_at = CASE WHEN old.stops THEN "
    "a.expires_at ELSE a.expires_at + (clock_timestamp() - a.frozen_at) END, grace_until = CASE WHEN "
    "old.stops THEN a.grace_until ELSE a.grace_until + (clock_timestamp() - a.frozen_at) END, "
    "claimable_at = CASE WHEN old.stops THEN a.claimable_at ELSE a.claimable_at + (clock_timestamp() "
    "- a.frozen_at) END FROM old JOIN unnest($1::uuid[], $2::text[]) k (id, since) ON k.id = old.approval_id WHERE a." HERE
    " AND a.approval_id = old.approval_id AND old.stops = (k.since IS NOT NULL) AND " CARDS_LOCKED
    " RETURNING 1",
    0
};
#define STIRRED                                                                                    \
    "a." HERE " AND a.approval_id = ANY ($1::uuid[]) AND a.state = 'approved' AND a.wait_mode = "  \
    "'held' AND a.frozen_at IS NULL AND a.changed_at < $2::timestamptz"
/* What changed since the pass began is looked at by its caller since. */
static struct fl_sql sql_stir = {
    "stop_stir",
    "WITH old AS (SELECT a.approval_id FROM approval a WHERE " STIRRED
    " ORDER BY a.approval_id FOR NO KEY UPDATE OF a SKIP LOCKED), moved AS (UPDATE approval a SET "
    "frozen_at = NULL FROM old WHERE a." HERE
    " AND a.approval_id = old.approval_id RETURNING 1) SELECT count(*) - (SELECT count(*) FROM moved) "
    "FROM approval a WHERE " STIRRED,
    0
};
/* In statements of their own: between the look and the end of the transaction none of them moves
 * anew. One that was lifted while it froze has a pass more. */
static struct fl_sql sql_moving_lock = {
    "stop_moving_lock",
    "SELECT 1 FROM stop WHERE " HERE " AND moving IS NOT NULL ORDER BY stop_id FOR NO KEY UPDATE", 0
};
static struct fl_sql sql_moved = {
    "stop_moved",
    "UPDATE stop SET moving = CASE WHEN moving = 'freeze' AND lifted_at IS NOT NULL THEN 'thaw' END, "
    "moving_since = clock_timestamp() WHERE " HERE
    " AND moving IS NOT NULL AND moving_since <= $1::timestamptz",
    0
};

struct fl_query *fl_store_stops(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_stops);
}

struct fl_query *fl_store_stops_shown(struct fl_tx *tx)
{
    tx->is_alone = true; /* nobody waits for it */
    struct fl_query *q = fl_tx_add(tx, &sql_shown);
    fl_bind_int(tx, q, FL_STOP_LEFT_MOST);
    return q;
}

static struct fl_query *lock(struct fl_tx *tx, struct fl_sql *sql)
{
    char text[FL_UUID_TEXT];
    FL_ASSERT(tx->has_organization);
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_z(tx, q, fl_uuid_format(&tx->organization, text));
    return q;
}

void fl_store_stop_gate(struct fl_tx *tx)
{
    tx->is_alone = true;
    lock(tx, &sql_gate);
}

void fl_store_stop_gate_pass(struct fl_tx *tx)
{
    tx->is_gated = true;
    lock(tx, &sql_gate_pass);
}

void fl_store_stop_put(struct fl_tx *tx, const struct fl_uuid *id, const char *scope,
                       struct fl_str name, struct fl_str reason, struct fl_str set_by,
                       int64_t for_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
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
    struct fl_query *q = fl_tx_add(tx, &sql_lift);
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

void fl_store_stop_cover_again(struct fl_tx *tx)
{
    fl_store_stop_gate(tx);
    fl_tx_add(tx, &sql_cover_again);
}

struct fl_query *fl_store_stops_ended(struct fl_tx *tx, const struct fl_uuid *behind, int most)
{
    struct fl_query *q = fl_tx_add(tx, &sql_ended);
    fl_bind_uuid(tx, q, behind);
    fl_bind_int(tx, q, most);
    return q;
}

struct fl_query *fl_store_stops_moving(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_moving);
}

void fl_store_stop_patience(struct fl_tx *tx, int ms)
{
    char text[16];
    snprintf(text, sizeof text, "%d", ms);
    fl_bind_z(tx, fl_tx_add(tx, &sql_patience), text);
}

struct fl_query *fl_store_stop_move_lock(struct fl_tx *tx, int patience_ms, bool waits)
{
    fl_store_stop_patience(tx, patience_ms);
    return lock(tx, waits ? &sql_move_lock : &sql_move_try);
}

struct fl_query *fl_store_stop_move_now(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_move_now);
}

struct fl_query *fl_store_stop_move_look(struct fl_tx *tx, struct fl_str at,
                                         const struct fl_uuid *id, int most)
{
    struct fl_query *q = fl_tx_add(tx, &sql_move_look);
    fl_bind_text(tx, q, at);
    fl_bind_uuid(tx, q, id);
    fl_bind_int(tx, q, most);
    return q;
}

struct fl_query *fl_store_stop_move(struct fl_tx *tx, struct fl_array *ids, struct fl_array *since)
{
    struct fl_query *q = fl_tx_add(tx, &sql_move);
    fl_bind_array(tx, q, ids);
    fl_bind_array(tx, q, since);
    return q;
}

struct fl_query *fl_store_stop_stir(struct fl_tx *tx, struct fl_array *ids, struct fl_str began)
{
    struct fl_query *q = fl_tx_add(tx, &sql_stir);
    fl_bind_array(tx, q, ids);
    fl_bind_text(tx, q, began);
    return q;
}

void fl_store_stop_moved(struct fl_tx *tx, struct fl_str began)
{
    fl_tx_add(tx, &sql_moving_lock);
    fl_bind_text(tx, fl_tx_add(tx, &sql_moved), began);
}
