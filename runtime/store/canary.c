/* Table canary. */
#include "runtime/store/canary.h"

#include "runtime/store/sql.h"

#define MOST 8 /* in one round of the sweep */
#define HERE "organization_id = (SELECT org())"

/* What became of approval `a`: as people are told. Taken back by the agent's owner, it says nothing
 * of who approves. */
#define OUTCOME                                                                                    \
    "CASE WHEN a.state = 'rejected' THEN 'caught' WHEN a.state = 'cancelled' AND a.decided_at IS " \
    "NOT NULL THEN 'approved' WHEN a.state = 'expired' OR (a.state = 'cancelled' AND a.reason = "  \
    "'the caller left') THEN 'missed' END"
#define COUNTS(since, more)                                                                         \
    "(SELECT count(*) FILTER (WHERE o = 'caught') AS caught, count(*) FILTER (WHERE o = "           \
    "'approved') AS approved, count(*) FILTER (WHERE o = 'missed') AS missed FROM (SELECT " OUTCOME \
    " AS o FROM approval a WHERE a.organization_id = (SELECT org()) AND a.canary_id IS NOT NULL "   \
    "AND a.created_at >= " AT(since) more ") x)"

static struct fl_sql sql_list = {
    "canaries",
    "SELECT c.name, g.name, c.tool, c.arguments, c.per_week, (SELECT string_agg(d.n, ',' ORDER BY "
    "d.i) FROM unnest('{mon,tue,wed,thu,fri,sat,sun}'::text[]) WITH ORDINALITY AS d (n, i) WHERE "
    "c.days >> (d.i::int - 1) & 1 = 1), to_char(make_interval(mins => c.from_minute), 'HH24:MI'), "
    "to_char(make_interval(mins => c.to_minute), 'HH24:MI'), c.zone, c.set_by, " MS("c.set_at") ", " MS(
        "c.fired_at") ", c.note, n.caught, n.approved, n.missed, g.state <> 'revoked' FROM canary c JOIN agent g USING "
                      "(organization_id, agent_id) CROSS JOIN LATERAL " COUNTS(
                          "$1", " AND a.canary_id = c.canary_id") " n WHERE c.organization_id = "
                                                                  "(SELECT org()) AND "
                                                                  "c.removed_at IS NULL ORDER BY "
                                                                  "c.name",
    0
};
static struct fl_sql sql_totals = {
    "canary_totals", "SELECT n.caught, n.approved, n.missed FROM " COUNTS("$1", "") " n", 0
};
static struct fl_sql sql_people = {
    "canary_people",
    "WITH filed AS (SELECT a.approval_id, " OUTCOME
    " AS o FROM approval a WHERE a.organization_id = "
    "(SELECT org()) AND a.canary_id IS NOT NULL AND a.state <> 'pending' AND a.created_at >= " AT(
        "$1") "), voted AS (SELECT v.person_id, v.approval_id, v.verdict FROM vote v JOIN filed f "
              "USING (approval_id) WHERE v.organization_id = (SELECT org()) AND v.withdrawn_at IS "
              "NULL), told AS (SELECT DISTINCT m.person_id, m.approval_id FROM card_message m JOIN "
              "filed f USING (approval_id) WHERE m.organization_id = (SELECT org()) AND m.person_id "
              "IS NOT NULL AND m.posted_at IS NOT NULL AND f.o = 'missed' AND NOT EXISTS (SELECT 1 "
              "FROM voted v WHERE v.person_id = m.person_id AND v.approval_id = m.approval_id)), "
              "said AS (SELECT person_id, verdict FROM voted UNION ALL SELECT person_id, 'missed' "
              "FROM told) SELECT p.name, count(*) FILTER (WHERE s.verdict = 'deny'), count(*) "
              "FILTER (WHERE s.verdict = 'approve'), count(*) FILTER (WHERE s.verdict = 'missed') "
              "FROM said s JOIN person p USING (person_id) GROUP BY p.name ORDER BY p.name",
    0
};

/* Of agent `g`. */
#define WHO                                                                                         \
    "g.agent_id, g.name, g.state, g.owner_id, p.name, p.is_active AND m.left_at IS NULL, "          \
    "k.credential_id, k.client, k.hold_ms, array_to_string(k.tools, ','), coalesce(l.is_isolated, " \
    "true), l.task_id IS NOT NULL "
#define WHOSE                                                                                      \
    "JOIN person p ON p.person_id = g.owner_id JOIN membership m ON m.organization_id = "          \
    "g.organization_id AND m.person_id = g.owner_id LEFT JOIN LATERAL (SELECT c.credential_id, "   \
    "c.client, c.hold_ms, c.tools FROM agent_credential c WHERE c.organization_id = "              \
    "g.organization_id AND c.agent_id = g.agent_id AND c.revoked_at IS NULL AND (c.expires_at IS " \
    "NULL OR c.expires_at > now()) ORDER BY c.created_at DESC LIMIT 1) k ON true LEFT JOIN "       \
    "LATERAL (SELECT a.is_isolated, a.task_id FROM approval a WHERE a.organization_id = "          \
    "g.organization_id AND a.agent_id = g.agent_id AND a.canary_id IS NULL ORDER BY a.created_at " \
    "DESC LIMIT 1) l ON true "
#define WHO_COLUMNS 12

static struct fl_sql sql_agent = {
    "canary_agent", "SELECT " WHO "FROM agent g " WHOSE "WHERE g." HERE " AND g.name = $1", 0
};
static struct fl_sql sql_lock = {
    "canary_lock",
    "SELECT " WHO ", c.canary_id, c.name, c.tool, c.arguments, c.zone, c.per_week, c.from_minute, "
    "c.to_minute, c.days, " US("c.next_at") ", " US(
        "clock_timestamp()") ", EXISTS (SELECT 1 FROM approval w WHERE w.organization_id = "
                             "c.organization_id AND w.canary_id IS NOT NULL AND w.state = "
                             "'pending') FROM canary c JOIN agent g USING (organization_id, "
                             "agent_id) " WHOSE "WHERE c." HERE
                             " AND c.removed_at IS NULL AND ($1::uuid IS NULL OR c.canary_id = "
                             "$1) AND ($2::text IS NULL OR c.name = $2) FOR NO KEY UPDATE OF c",
    0
};
static struct fl_sql sql_put = {
    "canary_put",
    "WITH moved AS (INSERT INTO canary (organization_id, canary_id, name, agent_id, tool, arguments, "
    "per_week, days, from_minute, to_minute, zone, next_at, set_by) SELECT org(), $8, $9, $10, $11, "
    "$12, $13, $14, $15, $16, $17, " AT_US(
        "$18") ", $19 ON CONFLICT (organization_id, name) WHERE removed_at IS NULL DO UPDATE SET "
               "agent_id = excluded.agent_id, tool = excluded.tool, arguments = excluded.arguments, "
               "per_week = excluded.per_week, days = excluded.days, from_minute = "
               "excluded.from_minute, to_minute = excluded.to_minute, zone = excluded.zone, next_at "
               "= excluded.next_at, set_by = excluded.set_by, set_at = now(), note = '' RETURNING "
               "canary_id), " NOTED_FIRST "SELECT canary_id FROM moved",
    0
};
static struct fl_sql sql_remove = {
    "canary_remove",
    "WITH moved AS (UPDATE canary SET removed_at = now() WHERE " HERE
    " AND name = $8 AND removed_at IS NULL RETURNING canary_id), " NOTED_FIRST
    "SELECT canary_id FROM moved",
    0
};
static struct fl_sql sql_next = { "canary_next",
                                  "UPDATE canary SET next_at = " AT_US("$2") " WHERE " HERE
                                                                             " AND canary_id = $1",
                                  0 };
static struct fl_sql sql_note = {
    "canary_note",
    "UPDATE canary SET note = $2, fired_at = CASE WHEN $2 = '' THEN clock_timestamp() ELSE fired_at "
    "END WHERE " HERE " AND canary_id = $1",
    0
};
static struct fl_sql sql_sweep = { "sweep_canaries", "SELECT * FROM sweep_canaries($1)", 0 };

static struct fl_query *since(struct fl_tx *tx, struct fl_sql *sql, int64_t since_ms)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_int(tx, q, since_ms);
    return q;
}

struct fl_query *fl_store_canaries(struct fl_tx *tx, int64_t since_ms)
{
    return since(tx, &sql_list, since_ms);
}

struct fl_query *fl_store_canary_totals(struct fl_tx *tx, int64_t since_ms)
{
    return since(tx, &sql_totals, since_ms);
}

struct fl_query *fl_store_canary_people(struct fl_tx *tx, int64_t since_ms)
{
    return since(tx, &sql_people, since_ms);
}

struct fl_query *fl_store_canary_agent(struct fl_tx *tx, struct fl_str agent)
{
    struct fl_query *q = fl_tx_add(tx, &sql_agent);
    fl_bind_text(tx, q, agent);
    return q;
}

bool fl_store_canary_who_read(const struct fl_query *q, struct fl_arena *arena,
                              struct fl_canary_who *ret)
{
    if (fl_rows(q) != 1)
        return false;
    *ret = (struct fl_canary_who){
        .agent_id = fl_cell_uuid(q, 0, 0),
        .agent = fl_cell_copy(q, arena, 0, 1),
        .state = fl_cell_copy(q, arena, 0, 2),
        .owner_id = fl_cell_uuid(q, 0, 3),
        .owner = fl_cell_copy(q, arena, 0, 4),
        .is_owner_active = fl_cell_bool(q, 0, 5),
        .credential_id = fl_cell_uuid(q, 0, 6),
        .client = fl_cell_copy(q, arena, 0, 7),
        .hold_ms = fl_cell_int(q, 0, 8),
        .tools = fl_cell_copy(q, arena, 0, 9),
        .is_isolated = fl_cell_bool(q, 0, 10),
        .was_task = fl_cell_bool(q, 0, 11),
    };
    bool has_credential = !fl_uuid_is_zero(&ret->credential_id);
    return ret->agent.p && ret->state.p && ret->owner.p &&
           (!has_credential || (ret->client.p && ret->tools.p));
}

void fl_store_canary_put(struct fl_tx *tx, const struct fl_canary_row *row,
                         const struct fl_uuid *agent, struct fl_str by,
                         const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, &row->id); /* 8 */
    fl_bind_text(tx, q, row->name);
    fl_bind_uuid(tx, q, agent); /* 10 */
    fl_bind_text(tx, q, row->tool);
    fl_bind_text(tx, q, row->arguments);
    fl_bind_int(tx, q, row->per_week);
    fl_bind_int(tx, q, row->days);
    fl_bind_int(tx, q, row->from_minute); /* 15 */
    fl_bind_int(tx, q, row->to_minute);
    fl_bind_text(tx, q, row->zone);
    fl_bind_int(tx, q, row->next_us);
    fl_bind_text(tx, q, by);
}

struct fl_query *fl_store_canary_remove(struct fl_tx *tx, struct fl_str name,
                                        const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_remove);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_canary_lock(struct fl_tx *tx, const struct fl_uuid *id,
                                      struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_lock);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    return q;
}

bool fl_store_canary_read(const struct fl_query *q, struct fl_arena *arena,
                          struct fl_canary_row *ret)
{
    const int at = WHO_COLUMNS;
    if (fl_rows(q) != 1)
        return false;
    *ret = (struct fl_canary_row){
        .id = fl_cell_uuid(q, 0, at),
        .name = fl_cell_copy(q, arena, 0, at + 1),
        .tool = fl_cell_copy(q, arena, 0, at + 2),
        .arguments = fl_cell_copy(q, arena, 0, at + 3),
        .zone = fl_cell_copy(q, arena, 0, at + 4),
        .per_week = (int)fl_cell_int(q, 0, at + 5),
        .from_minute = (int)fl_cell_int(q, 0, at + 6),
        .to_minute = (int)fl_cell_int(q, 0, at + 7),
        .days = (unsigned)fl_cell_int(q, 0, at + 8),
        .next_us = fl_cell_int(q, 0, at + 9),
        .now_us = fl_cell_int(q, 0, at + 10),
        .is_waiting = fl_cell_bool(q, 0, at + 11),
    };
    return ret->name.p && ret->tool.p && ret->arguments.p && ret->zone.p;
}

void fl_store_canary_next(struct fl_tx *tx, const struct fl_uuid *id, int64_t next_us)
{
    struct fl_query *q = fl_tx_add(tx, &sql_next);
    fl_bind_uuid(tx, q, id);
    fl_bind_int(tx, q, next_us);
}

void fl_store_canary_note(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str note)
{
    struct fl_query *q = fl_tx_add(tx, &sql_note);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, note);
}

struct fl_query *fl_store_sweep_canaries(struct fl_tx *tx)
{
    struct fl_query *q = fl_tx_add(tx, &sql_sweep);
    fl_bind_int(tx, q, MOST);
    return q;
}
