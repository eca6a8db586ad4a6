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
    "WITH moved AS (INSERT INTO server (organization_id, server_id, name, kind, plugin, config, "
    "environment, account) SELECT org(), $8, $9, 'plugin', $10, $11::jsonb, $12, $13 ON CONFLICT "
    "(organization_id, name) DO NOTHING RETURNING server_id), " NOTED_FIRST
    "SELECT server_id FROM moved",
    0
};
static struct fl_sql sql_update = {
    "server_update",
    "WITH moved AS (UPDATE server SET config = coalesce($9::jsonb, config), environment = "
    "coalesce($10, environment), account = coalesce($11, account), is_enabled = "
    "coalesce($12::boolean, is_enabled) WHERE " HERE
    " AND name = $8 RETURNING server_id), " NOTED_FIRST "SELECT server_id FROM moved",
    0
};
static struct fl_sql sql_lock = {
    "server_lock", "SELECT 1 FROM server WHERE " HERE " AND server_id = $1 FOR UPDATE", 0
};
static struct fl_sql sql_sweep = { "sweep_servers", "SELECT * FROM sweep_servers()", 0 };
static struct fl_sql sql_note = { "server_note",
                                  "UPDATE server SET note = $2 WHERE " HERE " AND server_id = $1",
                                  0 };
static struct fl_sql sql_remove = { "server_remove",
                                    "WITH moved AS (DELETE FROM server WHERE " HERE
                                    " AND name = $8 RETURNING server_id), " NOTED_FIRST
                                    "SELECT server_id FROM moved",
                                    0 };
#define SELECT_TOOL                                                                                \
    "SELECT server_id, name, published, definition, digest, accepted_definition, "                 \
    "accepted_digest, accepted_effects, secrets, is_quarantined, is_gone, " MS(                    \
        "changed_at") " FROM tool WHERE " HERE
static struct fl_sql sql_tools = {
    "tools",
    SELECT_TOOL " AND ($1::uuid IS NULL OR server_id = $1) ORDER BY published COLLATE \"C\"", 0
};
static struct fl_sql sql_tool = { "tool", SELECT_TOOL " AND published = $1", 0 };
static struct fl_sql sql_seen = {
    "tool_seen",
    "WITH old AS (SELECT digest, is_gone FROM tool WHERE " HERE " AND server_id = $1 AND name = "
    "$2), put AS (INSERT INTO tool (organization_id, server_id, name, published, definition, "
    "digest) SELECT org(), $1, $2, $3, $4, $5 ON CONFLICT (organization_id, server_id, name) DO "
    "UPDATE SET definition = excluded.definition, digest = excluded.digest, published = "
    "excluded.published, is_gone = false, changed_at = now() WHERE tool.digest <> excluded.digest "
    "OR tool.is_gone OR tool.published <> excluded.published RETURNING 1) SELECT NOT EXISTS (SELECT 1 FROM old), EXISTS (SELECT 1 FROM old "
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
    "WITH moved AS (UPDATE tool SET accepted_definition = definition, accepted_digest = digest, "
    "accepted_effects = $10, secrets = coalesce($11::jsonb, secrets), is_quarantined = false "
    "WHERE " HERE
    " AND published = $8 AND digest = $9 AND NOT is_gone RETURNING published), " NOTED_FIRST
    "SELECT published FROM moved",
    0
};
static struct fl_sql sql_pin = {
    "tool_pin",
    "WITH moved AS (UPDATE tool SET accepted_definition = $10, accepted_digest = $9, "
    "accepted_effects = $11, secrets = coalesce($12::jsonb, secrets), is_quarantined = false "
    "WHERE " HERE
    " AND published = $8 AND (is_gone OR accepted_digest = $9) RETURNING published), " NOTED_FIRST
    "SELECT published FROM moved",
    0
};
static struct fl_sql sql_coming = {
    "tool_coming",
    "WITH moved AS (INSERT INTO tool (organization_id, server_id, name, published, definition, "
    "digest, accepted_definition, accepted_digest, accepted_effects, secrets, is_gone) SELECT "
    "organization_id, server_id, $9, $10, $12, $11, $12, $11, $13, coalesce($14::jsonb, '[]'), true "
    "FROM server WHERE " HERE
    " AND name = $8 ON CONFLICT DO NOTHING RETURNING published), " NOTED_FIRST
    "SELECT published FROM moved",
    0
};
static struct fl_sql sql_lock_servers = {
    "servers_lock", "SELECT 1 FROM server WHERE " HERE " ORDER BY server_id FOR UPDATE", 0
};
static struct fl_sql sql_lock_tools = {
    "tools_lock", "SELECT 1 FROM tool WHERE " HERE " ORDER BY server_id, name FOR UPDATE", 0
};
static struct fl_sql sql_quarantine = {
    "tool_quarantine",
    "WITH moved AS (UPDATE tool SET is_quarantined = true WHERE " HERE
    " AND published = $8 RETURNING published), " NOTED_FIRST "SELECT published FROM moved",
    0
};

static struct fl_query *audited(struct fl_tx *tx, struct fl_sql *sql,
                                const struct fl_audit_row *audit, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_servers(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_servers);
}

struct fl_query *fl_store_server_create(struct fl_tx *tx, const struct fl_uuid *id,
                                        struct fl_str name, struct fl_str plugin,
                                        struct fl_str config_json, struct fl_str environment,
                                        struct fl_str account, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_create);
    fl_store_audit_bind(tx, q, audit);
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
                                        struct fl_str account, int is_enabled,
                                        const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_update, audit, name);
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

void fl_store_server_lock(struct fl_tx *tx, const struct fl_uuid *id)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_lock), id);
}

struct fl_query *fl_store_sweep_servers(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_sweep);
}

struct fl_query *fl_store_server_remove(struct fl_tx *tx, struct fl_str name,
                                        const struct fl_audit_row *audit)
{
    return audited(tx, &sql_remove, audit, name);
}

struct fl_query *fl_store_tools(struct fl_tx *tx, const struct fl_uuid *server)
{
    struct fl_query *q = fl_tx_add(tx, &sql_tools);
    fl_bind_uuid(tx, q, server);
    return q;
}

struct fl_query *fl_store_tool(struct fl_tx *tx, struct fl_str published)
{
    struct fl_query *q = fl_tx_add(tx, &sql_tool);
    fl_bind_text(tx, q, published);
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
                                      struct fl_str secrets_json, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_accept, audit, published);
    fl_bind_bytes(tx, q, digest);
    fl_bind_z(tx, q, effects);
    fl_bind_text(tx, q, secrets_json);
    return q;
}

struct fl_query *fl_store_tool_pin(struct fl_tx *tx, struct fl_str published, struct fl_str digest,
                                   struct fl_str definition, const char *effects,
                                   struct fl_str secrets_json, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_pin, audit, published);
    fl_bind_bytes(tx, q, digest);
    fl_bind_text(tx, q, definition);
    fl_bind_z(tx, q, effects);
    fl_bind_text(tx, q, secrets_json);
    return q;
}

struct fl_query *fl_store_tool_coming(struct fl_tx *tx, struct fl_str server, struct fl_str name,
                                      struct fl_str published, struct fl_str digest,
                                      struct fl_str definition, const char *effects,
                                      struct fl_str secrets_json, const struct fl_audit_row *audit)
{
    struct fl_query *q = audited(tx, &sql_coming, audit, server);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, published);
    fl_bind_bytes(tx, q, digest);
    fl_bind_text(tx, q, definition);
    fl_bind_z(tx, q, effects);
    fl_bind_text(tx, q, secrets_json);
    return q;
}

void fl_store_servers_lock(struct fl_tx *tx)
{
    fl_tx_add(tx, &sql_lock_servers);
    fl_tx_add(tx, &sql_lock_tools);
}

struct fl_query *fl_store_tool_quarantine(struct fl_tx *tx, struct fl_str published,
                                          const struct fl_audit_row *audit)
{
    return audited(tx, &sql_quarantine, audit, published);
}
