/* Tables server and tool. */
#include "runtime/store/tool.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_servers = {
    "servers",
    "SELECT server_id, name, kind, plugin, config, environment, account, is_enabled, note FROM "
    "server WHERE " HERE " ORDER BY name",
    0
};
static struct fl_sql sql_create = {
    "server_create",
    "INSERT INTO server (organization_id, server_id, name, kind, plugin, config, environment, "
    "account) SELECT org(), $1, $2, 'plugin', $3, $4::jsonb, $5, $6 ON CONFLICT (organization_id, "
    "name) DO NOTHING RETURNING server_id",
    0
};
static struct fl_sql sql_update = {
    "server_update",
    "UPDATE server SET config = coalesce($2::jsonb, config), environment = coalesce($3, "
    "environment), account = coalesce($4, account), is_enabled = coalesce($5::boolean, is_enabled) "
    "WHERE " HERE " AND name = $1 RETURNING server_id",
    0
};
static struct fl_sql sql_lock = {
    "server_lock", "SELECT 1 FROM server WHERE " HERE " AND server_id = $1 FOR UPDATE", 0
};
static struct fl_sql sql_sweep = { "sweep_servers", "SELECT * FROM sweep_servers()", 0 };
static struct fl_sql sql_note = { "server_note",
                                  "UPDATE server SET note = $2 WHERE " HERE " AND server_id = $1",
                                  0 };
static struct fl_sql sql_remove = {
    "server_remove", "DELETE FROM server WHERE " HERE " AND name = $1 RETURNING server_id", 0
};
static struct fl_sql sql_tools = {
    "tools",
    "SELECT server_id, name, published, definition, digest, accepted_definition, accepted_digest, "
    "accepted_effects, secrets, is_quarantined, is_gone, " MS(
        "changed_at") " FROM tool WHERE " HERE
                      " AND ($1::uuid IS NULL OR server_id = $1) ORDER BY published COLLATE \"C\"",
    0
};
static struct fl_sql sql_seen = {
    "tool_seen",
    "WITH old AS (SELECT digest, is_gone FROM tool WHERE " HERE " AND server_id = $1 AND name = "
    "$2), put AS (INSERT INTO tool (organization_id, server_id, name, published, definition, "
    "digest) SELECT org(), $1, $2, $3, $4, $5 ON CONFLICT (organization_id, server_id, name) DO "
    "UPDATE SET definition = excluded.definition, digest = excluded.digest, published = "
    "excluded.published, is_gone = false, changed_at = now() WHERE tool.digest <> excluded.digest "
    "OR tool.is_gone RETURNING 1) SELECT NOT EXISTS (SELECT 1 FROM old), EXISTS (SELECT 1 FROM old "
    "WHERE digest <> $5) FROM (SELECT count(*) FROM put) done",
    0
};
static struct fl_sql sql_gone = { "tool_gone",
                                  "UPDATE tool SET is_gone = true, changed_at = now() WHERE " HERE
                                  " AND server_id = $1 AND name "
                                  "= $2 AND NOT is_gone RETURNING published",
                                  0 };
static struct fl_sql sql_accept = {
    "tool_accept",
    "UPDATE tool SET accepted_definition = definition, accepted_digest = digest, accepted_effects = "
    "$3, secrets = coalesce($4::jsonb, secrets), is_quarantined = false WHERE " HERE
    " AND published = $1 AND digest = $2 AND NOT is_gone RETURNING published",
    0
};
static struct fl_sql sql_quarantine = { "tool_quarantine",
                                        "UPDATE tool SET is_quarantined = true WHERE " HERE
                                        " AND published = $1 RETURNING published",
                                        0 };

struct fl_query *fl_store_servers(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_servers);
}

struct fl_query *fl_store_server_create(struct fl_tx *tx, const struct fl_uuid *id,
                                        struct fl_str name, struct fl_str plugin,
                                        struct fl_str config_json, struct fl_str environment,
                                        struct fl_str account)
{
    struct fl_query *q = fl_tx_add(tx, &sql_create);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, plugin);
    fl_bind_text(tx, q, config_json.p ? config_json : FL_STR("{}"));
    fl_bind_text(tx, q, environment.p ? environment : FL_STR(""));
    fl_bind_text(tx, q, account.p ? account : FL_STR(""));
    return q;
}

struct fl_query *fl_store_server_update(struct fl_tx *tx, struct fl_str name,
                                        struct fl_str config_json, struct fl_str environment,
                                        struct fl_str account, int is_enabled)
{
    struct fl_query *q = fl_tx_add(tx, &sql_update);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, config_json);
    fl_bind_text(tx, q, environment);
    fl_bind_text(tx, q, account);
    if (is_enabled < 0)
        fl_bind_null(q);
    else
        fl_bind_bool(tx, q, is_enabled != 0);
    return q;
}

void fl_store_server_note(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str note)
{
    struct fl_query *q = fl_tx_add(tx, &sql_note);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, note);
}

static struct fl_query *by_text(struct fl_tx *tx, struct fl_sql *sql, struct fl_str text)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_text(tx, q, text);
    return q;
}

void fl_store_server_lock(struct fl_tx *tx, const struct fl_uuid *id)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_lock), id);
}

struct fl_query *fl_store_sweep_servers(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_sweep);
}

struct fl_query *fl_store_server_remove(struct fl_tx *tx, struct fl_str name)
{
    return by_text(tx, &sql_remove, name);
}

struct fl_query *fl_store_tools(struct fl_tx *tx, const struct fl_uuid *server)
{
    struct fl_query *q = fl_tx_add(tx, &sql_tools);
    fl_bind_uuid(tx, q, server);
    return q;
}

struct fl_query *fl_store_tool_seen(struct fl_tx *tx, const struct fl_uuid *server,
                                    struct fl_str name, struct fl_str published,
                                    struct fl_str definition, struct fl_str digest)
{
    struct fl_query *q = fl_tx_add(tx, &sql_seen);
    fl_bind_uuid(tx, q, server);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, published);
    fl_bind_text(tx, q, definition);
    fl_bind_bytes(tx, q, digest);
    return q;
}

struct fl_query *fl_store_tool_gone(struct fl_tx *tx, const struct fl_uuid *server,
                                    struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_gone);
    fl_bind_uuid(tx, q, server);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_tool_accept(struct fl_tx *tx, struct fl_str published,
                                      struct fl_str digest, const char *effects,
                                      struct fl_str secrets_json)
{
    struct fl_query *q = by_text(tx, &sql_accept, published);
    fl_bind_bytes(tx, q, digest);
    fl_bind_z(tx, q, effects);
    fl_bind_text(tx, q, secrets_json);
    return q;
}

struct fl_query *fl_store_tool_quarantine(struct fl_tx *tx, struct fl_str published)
{
    return by_text(tx, &sql_quarantine, published);
}
