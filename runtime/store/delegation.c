/* Table delegation. */
#include "runtime/store/delegation.h"

#include "runtime/store/sql.h"

#define MOST 8 /* in one round of the sweep */
#define OVER "(d.ended_at IS NOT NULL OR d.until_at <= now() OR " DISOWNED("d") ")"

static struct fl_sql sql_list = {
    "delegations",
    "SELECT p.name, q.name, " MS("d.from_at") ", " MS(
        "d.until_at") ", d.set_by, d.from_at <= now() FROM delegation d JOIN person p ON p.person_id = "
                      "d.person_id JOIN person q ON q.person_id = d.delegate_id WHERE "
                      "d.organization_id = (SELECT org()) AND NOT " OVER " ORDER BY p.name",
    0
};
static struct fl_sql sql_of = {
    "delegation_of",
    "SELECT q.name, " MS("d.from_at") ", " MS(
        "d.until_at") ", " OVER
                      " FROM delegation d JOIN person q ON q.person_id = d.delegate_id WHERE "
                      "d.organization_id = (SELECT org()) AND d.person_id = $1 AND d.ended_at IS NULL",
    0
};
static struct fl_sql sql_set_by = {
    "delegations_set_by",
    "SELECT p.name, q.name, " MS(
        "d.until_at") " FROM delegation d JOIN person p ON p.person_id = d.person_id JOIN person q ON "
                      "q.person_id = d.delegate_id WHERE d.organization_id = (SELECT org()) AND d.set_by = "
                      "$1 AND $1 NOT IN (p.name, q.name) AND NOT " OVER " ORDER BY p.name",
    0
};
static struct fl_sql sql_put = {
    "delegation_put",
    "WITH moved AS (INSERT INTO delegation (organization_id, person_id, delegate_id, from_at, "
    "until_at, set_by) SELECT org(), $8::uuid, $9::uuid, greatest(now(), " AT("$10") "), " AT(
        "$11") ", $12::text WHERE NOT EXISTS (SELECT 1 FROM delegation d WHERE d.organization_id = (SELECT "
               "org()) AND d.person_id = $9 AND NOT " OVER
               " AND d.from_at < " AT("$11") " AND d.until_at > " AT(
                   "$10") ") ON CONFLICT (organization_id, person_id) DO "
                          "UPDATE SET delegate_id = "
                          "excluded.delegate_id, from_at = "
                          "excluded.from_at, until_at = "
                          "excluded.until_at, set_by = "
                          "excluded.set_by, set_at = "
                          "clock_timestamp(), ended_at = NULL, told = 0 "
                          "RETURNING person_id), " NOTED_FIRST "SELECT person_id FROM moved",
    0
};
static struct fl_sql sql_end = {
    "delegation_end",
    "WITH moved AS (UPDATE delegation d SET ended_at = now() WHERE d.organization_id = (SELECT org()) "
    "AND d.person_id = $8 AND NOT " OVER " RETURNING d.person_id), " NOTED_FIRST
    "SELECT person_id FROM moved",
    0
};
static struct fl_sql sql_sweep = { "sweep_delegations",
                                   "SELECT organization_id, person_id, person, delegate, " US(
                                       "set_at") ", ends FROM sweep_delegations($1)",
                                   0 };
static struct fl_sql sql_told = {
    "delegation_told",
    "UPDATE delegation SET told = CASE WHEN from_at <= now() THEN 2 ELSE 1 END WHERE "
    "organization_id = (SELECT org()) AND person_id = $1 AND set_at = " AT_US("$2"),
    0
};
static struct fl_sql sql_drop = {
    "delegation_drop",
    "WITH gone AS (DELETE FROM delegation d USING person p, person q, membership m, membership n WHERE "
    "d.organization_id = (SELECT org()) AND d.person_id = $8 AND p.person_id = d.person_id AND "
    "q.person_id = d.delegate_id AND m.organization_id = d.organization_id AND m.person_id = "
    "d.person_id AND n.organization_id = d.organization_id AND n.person_id = d.delegate_id AND "
    "(" OVER " OR NOT (p.is_active AND q.is_active AND m.left_at IS NULL AND n.left_at IS NULL)) "
    "RETURNING d.person_id, d.ended_at), moved AS (SELECT person_id FROM gone WHERE ended_at IS "
    "NULL), " NOTED_FIRST "SELECT person_id FROM gone",
    0
};

struct fl_query *fl_store_delegations(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_list);
}

struct fl_query *fl_store_delegation_of(struct fl_tx *tx, const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, &sql_of);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_delegations_set_by(struct fl_tx *tx, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_set_by);
    fl_bind_text(tx, q, name);
    return q;
}

static struct fl_query *of_person(struct fl_tx *tx, struct fl_sql *sql,
                                  const struct fl_uuid *person, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_delegation_put(struct fl_tx *tx, const struct fl_uuid *person,
                                         const struct fl_uuid *delegate, int64_t from_ms,
                                         int64_t until_ms, struct fl_str by,
                                         const struct fl_audit_row *audit)
{
    struct fl_query *q = of_person(tx, &sql_put, person, audit);
    fl_bind_uuid(tx, q, delegate);
    fl_bind_int(tx, q, from_ms);
    fl_bind_int(tx, q, until_ms);
    fl_bind_text(tx, q, by);
    return q;
}

struct fl_query *fl_store_delegation_end(struct fl_tx *tx, const struct fl_uuid *person,
                                         const struct fl_audit_row *audit)
{
    return of_person(tx, &sql_end, person, audit);
}

struct fl_query *fl_store_sweep_delegations(struct fl_tx *tx)
{
    struct fl_query *q = fl_tx_add(tx, &sql_sweep);
    fl_bind_int(tx, q, MOST);
    return q;
}

void fl_store_delegation_told(struct fl_tx *tx, const struct fl_uuid *person, int64_t set_at_us)
{
    struct fl_query *q = fl_tx_add(tx, &sql_told);
    fl_bind_uuid(tx, q, person);
    fl_bind_int(tx, q, set_at_us);
}

struct fl_query *fl_store_delegation_drop(struct fl_tx *tx, const struct fl_uuid *person,
                                          const struct fl_audit_row *audit)
{
    return of_person(tx, &sql_drop, person, audit);
}
