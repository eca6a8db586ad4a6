/* Tables worker, lease, installation. */
#include <stdio.h>

#include "runtime/store/organization.h"
#include "runtime/store/sql.h"

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
static struct fl_sql sql_leases_drop = {
    "leases_drop",
    "DELETE FROM lease l USING (SELECT name FROM lease WHERE owner = ANY ($1::uuid[]) ORDER BY name "
    "FOR UPDATE) k WHERE l.name = k.name",
    0
};
static struct fl_sql sql_schema = { "schema_version",
                                    "SELECT coalesce(max(version), 0) FROM schema_version", 0 };
static struct fl_sql sql_clock = { "clock", "SELECT " MS("clock_timestamp()"), 0 };

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

void fl_store_leases_drop(struct fl_tx *tx, const struct fl_uuid *owners, size_t count)
{
    struct fl_array ids;
    fl_array_init(&ids, FL_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        fl_array_put(&ids, owners[i].b, sizeof owners[i].b);
    fl_bind_array(tx, fl_tx_add(tx, &sql_leases_drop), &ids);
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
