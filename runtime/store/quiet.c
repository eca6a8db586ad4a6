/* Table quiet_hours. */
#include "runtime/store/quiet.h"

#include "runtime/store/sql.h"

static struct fl_sql sql_list = {
    "quiet",
    "SELECT p.name, to_char(q.from_time, 'HH24:MI'), to_char(q.to_time, 'HH24:MI'), q.zone, "
    "quiet_left(q.from_time, q.to_time, q.zone, now()) > 0 FROM quiet_hours q JOIN person p USING "
    "(person_id) WHERE q.organization_id = (SELECT org()) ORDER BY p.name",
    0
};
static struct fl_sql sql_put = {
    "quiet_put",
    "WITH moved AS (INSERT INTO quiet_hours (organization_id, person_id, from_time, to_time, zone) "
    "SELECT org(), $8, $9::time, $10::time, z.name FROM pg_timezone_names z WHERE z.name = $11 ON "
    "CONFLICT (organization_id, person_id) DO UPDATE SET from_time = excluded.from_time, to_time = "
    "excluded.to_time, zone = excluded.zone RETURNING person_id), " NOTED_FIRST
    "SELECT person_id FROM moved",
    0
};
static struct fl_sql sql_drop = {
    "quiet_drop",
    "WITH moved AS (DELETE FROM quiet_hours WHERE organization_id = (SELECT org()) AND person_id = "
    "$8 RETURNING person_id), " NOTED_FIRST "SELECT person_id FROM moved",
    0
};

struct fl_query *fl_store_quiet(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_list);
}

struct fl_query *fl_store_quiet_put(struct fl_tx *tx, const struct fl_uuid *person,
                                    struct fl_str from, struct fl_str to, struct fl_str zone,
                                    const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, person);
    fl_bind_text(tx, q, from);
    fl_bind_text(tx, q, to);
    fl_bind_text(tx, q, zone);
    return q;
}

struct fl_query *fl_store_quiet_drop(struct fl_tx *tx, const struct fl_uuid *person,
                                     const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_drop);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, person);
    return q;
}
