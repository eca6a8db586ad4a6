/* doctor's questions. */
#include "runtime/store/inspect.h"

#include <stdlib.h>

#include "flopinio/base/clock.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/sql.h"

#define CLOCK_TRIES 5
#define MENTIONED   8 /* of what was found; the rest is counted */

/* Our own roles, with what they must not be. */
#define POWERS                                                                                     \
    "concat_ws(', ', CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolbypassrls THEN "    \
    "'bypassrls' END, CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcreatedb "   \
    "THEN 'createdb' END, CASE WHEN r.rolreplication THEN 'replication' END)"
#define OURS                                                                                       \
    "('flopinio_owner', 'flopinio_app', 'flopinio_lookup', 'flopinio_sweep', 'flopinio_verifier')"

const struct fl_inspection fl_inspections[] = {
    { "roles", true,
      "SELECT r.rolname || ' is ' || " POWERS " FROM pg_roles r WHERE r.rolname IN " OURS
      " AND " POWERS " <> '' UNION ALL "
      "SELECT 'flopinio_app is a member of ' || r.rolname FROM pg_roles r WHERE r.rolname <> "
      "'flopinio_app' AND pg_has_role('flopinio_app', r.oid, 'MEMBER') UNION ALL "
      "SELECT 'flopinio_app may create in the ' || w FROM (VALUES ('schema flopinio', "
      "has_schema_privilege('flopinio_app', 'flopinio', 'CREATE')), ('database', "
      "has_database_privilege('flopinio_app', current_database(), 'CREATE')), ('schema public', "
      "coalesce(has_schema_privilege('flopinio_app', to_regnamespace('public'), 'CREATE'), "
      "false))) v (w, may) WHERE may UNION ALL "
      "SELECT r.rolname || ' can log in' FROM pg_roles r WHERE r.rolname IN ('flopinio_lookup', "
      "'flopinio_sweep') AND r.rolcanlogin UNION ALL "
      "SELECT 'table ' || c.relname || ' belongs to ' || pg_get_userbyid(c.relowner) FROM pg_class c "
      "WHERE c.relnamespace = 'flopinio'::regnamespace AND c.relkind IN ('r', 'p') AND "
      "pg_get_userbyid(c.relowner) <> 'flopinio_owner'",
      "as a superuser: ALTER ROLE name NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB "
      "NOREPLICATION; REVOKE what is too much; the roles as they must be: flopinio migrate "
      "--roles-sql",
      "the app role can neither bypass row security nor change the schema" },
    { "roles", false,
      "SELECT 'flopinio_backup lacks bypassrls: a backup would be empty' WHERE NOT EXISTS (SELECT 1 "
      "FROM pg_roles WHERE rolname = 'flopinio_backup' AND rolbypassrls)",
      "as a superuser: ALTER ROLE flopinio_backup BYPASSRLS" },
    { "row-security", true, FL_SQL_UNPROTECTED,
      "as flopinio_owner: ALTER TABLE flopinio.NAME ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL "
      "SECURITY, and a policy; a table that is not of this program does not belong in the schema "
      "flopinio",
      "forced on every table of organizations and people, by policies that hold; functions are pinned" },
    { "row-security", true,
      "SELECT p.tablename || ' lets every row through by its policy ' || p.policyname FROM "
      "pg_policies p WHERE p.schemaname = 'flopinio' AND p.permissive = 'PERMISSIVE' AND p.cmd <> "
      "'INSERT' AND p.qual = 'true' AND p.roles && '{public,flopinio_app}'::name[]",
      "as flopinio_owner: DROP POLICY NAME ON flopinio.TABLE" },
    { "row-security", true,
      "SELECT p.proname || CASE WHEN pg_get_userbyid(p.proowner) NOT IN ('flopinio_owner', "
      "'flopinio_lookup', 'flopinio_sweep') THEN ' runs as ' || pg_get_userbyid(p.proowner) WHEN "
      "coalesce(p.proconfig::text, '') NOT LIKE '%search_path=flopinio, pg_temp%' THEN ' has no "
      "pinned search_path' ELSE ' can be called by everybody' END FROM pg_proc p WHERE "
      "p.pronamespace = 'flopinio'::regnamespace AND p.prosecdef AND (pg_get_userbyid(p.proowner) "
      "NOT IN ('flopinio_owner', 'flopinio_lookup', 'flopinio_sweep') OR coalesce("
      "p.proconfig::text, '') NOT LIKE '%search_path=flopinio, pg_temp%' OR EXISTS (SELECT 1 FROM "
      "aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0))",
      "drop the function if it is not of this program; else make the schema anew from a backup" },
    { "settings", true,
      "SELECT s.name || ' is ' || s.setting FROM pg_settings s WHERE s.name IN ('fsync', "
      "'full_page_writes') AND s.setting <> 'on'",
      "set it to on in postgresql.conf and reload: an acknowledged approval could be lost",
      "fsync and full_page_writes are on; each of our sessions commits synchronously" },
    { "settings", false,
      "SELECT s.name || ' is off' FROM pg_settings s WHERE s.name = 'data_checksums' AND s.setting "
      "= 'off' UNION ALL SELECT 'password_encryption is ' || s.setting FROM pg_settings s WHERE "
      "s.name = 'password_encryption' AND s.setting <> 'scram-sha-256' UNION ALL SELECT "
      "'synchronous_commit is off for other sessions than ours' FROM pg_db_role_setting d, "
      "unnest(d.setconfig) c WHERE c = 'synchronous_commit=off' AND d.setrole = (SELECT oid FROM "
      "pg_roles WHERE rolname = 'flopinio_app') UNION ALL SELECT 'log_statement is ' || s.setting "
      "|| ': statements are written to the log, arguments of tools encrypted, names not' FROM "
      "pg_settings s WHERE s.name = 'log_statement' AND s.setting IN ('mod', 'all')",
      "checksums: pg_checksums --enable while it is stopped; the others in postgresql.conf" },
    { "connection", false,
      "SELECT 'the connection to ' || inet_server_addr() || ' is not encrypted' FROM pg_stat_ssl s "
      "WHERE s.pid = pg_backend_pid() AND NOT s.ssl AND inet_server_addr() IS NOT NULL AND NOT "
      "inet_server_addr() <<= inet '127.0.0.0/8' AND inet_server_addr() <> inet '::1'",
      "database_url with sslmode=verify-full and sslrootcert", "local, or encrypted" },
    { "audit-partitions", true,
      "SELECT 'there is no partition for ' || to_char(m, 'YYYY-MM') FROM (VALUES (now()), (now() + "
      "interval '1 month')) v (m) WHERE to_regclass('flopinio.audit_event_' || to_char(m AT TIME "
      "ZONE 'UTC', 'YYYYMM')) IS NULL",
      "a running worker makes it within an hour, and logs audit_partition_not_made where it cannot; by "
      "hand, as flopinio_app: SELECT flopinio.audit_partition(now()); SELECT "
      "flopinio.audit_partition(now() + interval '1 month')",
      "this month and the next are there" },
    { "approvals", false,
      "SELECT how_many || ' with an unknown outcome wait to be settled' FROM flopinio.sweep_counts() "
      "WHERE state = 'unknown' AND how_many > 0",
      "flopinio approvals list --state unknown, then flopinio approvals settle",
      "no outcome is unknown" },
    { .check = NULL }
};

enum fl_code fl_inspect(struct pg_conn *pg, const struct fl_inspection *inspection,
                        struct fl_buf *ret, int *ret_count, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, inspection->sql, &res, err);
    if (code)
        return code;
    *ret_count = fl_admin_rows(res);
    for (int i = 0; i < *ret_count && i < MENTIONED; i++)
        fl_buf_printf(ret, "%s%s", i ? "; " : "", fl_admin_cell(res, i, 0));
    if (*ret_count > MENTIONED)
        fl_buf_printf(ret, "; and %d more", *ret_count - MENTIONED);
    fl_admin_clear(&res);
    return fl_buf_code(ret, err);
}

enum fl_code fl_inspect_clock(struct pg_conn *pg, int64_t *ret_ahead_ms, struct fl_err *err)
{
    int64_t fastest_us = INT64_MAX;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        struct pg_result *res = NULL;
        int64_t from_us = fl_mono_us();
        enum fl_code code = fl_admin_exec(pg, "SELECT " MS("clock_timestamp()"), &res, err);
        int64_t now_ms = fl_real_ms(), took_us = fl_mono_us() - from_us;
        if (code)
            return code;
        if (took_us < fastest_us) {
            fastest_us = took_us;
            *ret_ahead_ms = strtoll(fl_admin_cell(res, 0, 0), NULL, 10) + took_us / 2000 - now_ms;
        }
        fl_admin_clear(&res);
    }
    return FL_OK;
}

enum fl_code fl_inspect_version(struct pg_conn *pg, struct fl_buf *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, "SHOW server_version", &res, err);
    if (code)
        return code;
    fl_buf_puts(ret, fl_admin_cell(res, 0, 0));
    fl_admin_clear(&res);
    return fl_buf_code(ret, err);
}

/* One organization after the other: the app role sees no two at once. */
static enum fl_code near_agents_of(struct pg_conn *pg, const char *id, const char *name,
                                   struct fl_buf *ret, struct fl_err *err)
{
    const char *values[] = { id };
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_query(pg, "SELECT set_config('flopinio.organization', $1, false)",
                                       1, values, NULL, err);
    if (code == FL_OK)
        code =
            fl_admin_exec(pg,
                          "SELECT DISTINCT g.name FROM flopinio.approval a JOIN flopinio.agent g "
                          "USING (organization_id, agent_id) WHERE NOT a.is_isolated AND "
                          "a.created_at > now() - interval '30 days' ORDER BY 1 LIMIT 20",
                          &res, err);
    if (code)
        return code;
    for (int i = 0; i < fl_admin_rows(res); i++)
        fl_buf_printf(ret, "%s%s/%s", ret->n ? ", " : "", name, fl_admin_cell(res, i, 0));
    fl_admin_clear(&res);
    return fl_buf_code(ret, err);
}

enum fl_code fl_inspect_near_agents(struct pg_conn *pg, struct fl_buf *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "SELECT organization_id, name FROM flopinio.organizations()", &res, err);
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++)
        code = near_agents_of(pg, fl_admin_cell(res, i, 0), fl_admin_cell(res, i, 1), ret, err);
    if (res)
        fl_admin_clear(&res);
    return code;
}
