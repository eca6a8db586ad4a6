/* Roles and schema. */
#include "runtime/store/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/log.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/embedded.h"
#include "runtime/store/states.h"

#define LOCK_KEY "7337001"

static const struct {
    const char *name;
    const char *rights;
} roles[] = {
    { "flopinio_owner", "LOGIN" },
    { "flopinio_app", "LOGIN" },
    { "flopinio_lookup", "NOLOGIN" },
    { "flopinio_sweep", "NOLOGIN" },
    { "flopinio_verifier", "LOGIN" },
    { "flopinio_backup", "LOGIN BYPASSRLS" }, /* for pg_dump only */
};

static enum fl_code make_role(struct pg_conn *pg, const char *name, const char *rights,
                              struct fl_err *err)
{
    char sql[512];
    struct pg_result *res = NULL;
    const char *values[] = { name };
    enum fl_code code =
        fl_admin_query(pg, "SELECT 1 FROM pg_roles WHERE rolname = $1", 1, values, &res, err);
    if (code)
        return code;
    bool is_there = fl_admin_rows(res) > 0;
    fl_admin_clear(&res);
    if (is_there)
        return FL_OK;
    bool bypasses = strstr(rights, "BYPASSRLS") != NULL;
    snprintf(sql, sizeof sql, "CREATE ROLE %s NOSUPERUSER NOCREATEDB NOCREATEROLE %s%s", name,
             rights, bypasses ? "" : " NOBYPASSRLS");
    code = fl_admin_exec(pg, sql, NULL, err);
    if (code && bypasses) {
        /* Only a superuser may make such a role; everything but backup works without. */
        FL_LOG(WARN, "backup_role_missing", FL_KS("reason", err->text));
        return FL_OK;
    }
    return code;
}

static enum fl_code set_password(struct pg_conn *pg, const char *role, const char *password,
                                 struct fl_err *err)
{
    if (!password)
        return FL_OK;
    struct fl_buf sql = FL_BUF_INIT;
    fl_buf_printf(&sql, "ALTER ROLE flopinio_%s PASSWORD ", role);
    enum fl_code code = fl_admin_quote(pg, password, &sql, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, sql.p, NULL, err);
    fl_buf_fini(&sql);
    return code;
}

enum fl_code fl_migrate_bootstrap(struct pg_conn *pg, const struct fl_role_passwords *passwords,
                                  struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (size_t i = 0; code == FL_OK && i < FL_COUNTOF(roles); i++)
        code = make_role(pg, roles[i].name, roles[i].rights, err);
    if (code == FL_OK)
        code = set_password(pg, "owner", passwords->owner, err);
    if (code == FL_OK)
        code = set_password(pg, "app", passwords->app, err);
    if (code == FL_OK)
        code = set_password(pg, "verifier", passwords->verifier, err);
    if (code == FL_OK)
        code = set_password(pg, "backup", passwords->backup, err);
    if (code == FL_OK)
        code =
            fl_admin_exec(pg, "GRANT flopinio_lookup, flopinio_sweep TO flopinio_owner", NULL, err);
    struct pg_result *res = NULL;
    if (code == FL_OK)
        code = fl_admin_exec(pg, "SELECT 1 FROM pg_database WHERE datname = 'flopinio'", &res, err);
    if (code)
        return code;
    bool is_there = fl_admin_rows(res) > 0;
    fl_admin_clear(&res);
    if (is_there)
        return FL_OK;
    /* An administrator who is no superuser must be a member of the owner to give it a database. */
    struct fl_err ignored;
    (void)!fl_admin_exec(pg, "GRANT flopinio_owner TO current_user", NULL, &ignored);
    code = fl_admin_exec(pg, "CREATE DATABASE flopinio OWNER flopinio_owner", NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, "REVOKE ALL ON DATABASE flopinio FROM PUBLIC", NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg,
                             "GRANT CONNECT ON DATABASE flopinio TO flopinio_app, "
                             "flopinio_verifier, flopinio_backup",
                             NULL, err);
    return code;
}

static int number_of(const struct fl_embedded *m)
{
    return (int)strtol(m->name, NULL, 10);
}

int fl_schema_version(void)
{
    int n = 0;
    for (const struct fl_embedded *m = fl_migrations; m->name; m++)
        n = number_of(m);
    return n;
}

enum fl_code fl_migrate_current(struct pg_conn *pg, int *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "SELECT to_regclass('flopinio.schema_version') IS NOT NULL", &res, err);
    if (code)
        return code;
    bool is_there = strcmp(fl_admin_cell(res, 0, 0), "t") == 0;
    fl_admin_clear(&res);
    *ret = 0;
    if (!is_there)
        return FL_OK;
    code = fl_admin_exec(pg, "SELECT coalesce(max(version), 0) FROM flopinio.schema_version", &res,
                         err);
    if (code == FL_OK) {
        *ret = (int)fl_admin_int(res, 0, 0);
        fl_admin_clear(&res);
    }
    return code;
}

/* One file and its number in one transaction. */
static enum fl_code apply(struct pg_conn *pg, const struct fl_embedded *m, struct fl_err *err)
{
    char sql[128];
    enum fl_code code = fl_admin_exec(pg, "BEGIN; SET LOCAL search_path = flopinio", NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, m->text, NULL, err);
    if (code == FL_OK) {
        snprintf(sql, sizeof sql, "INSERT INTO schema_version (version) VALUES (%d)", number_of(m));
        code = fl_admin_exec(pg, sql, NULL, err);
    }
    if (code == FL_OK)
        return fl_admin_exec(pg, "COMMIT", NULL, err);
    struct fl_err first = *err, ignored;
    (void)!fl_admin_exec(pg, "ROLLBACK", NULL, &ignored);
    return fl_err_set(err, code, "migration %s: %.300s", m->name, first.text);
}

static enum fl_code run_locked(struct pg_conn *pg, int *ret_from, struct fl_err *err)
{
    static const char start[] =
        "CREATE SCHEMA IF NOT EXISTS flopinio AUTHORIZATION flopinio_owner;"
        "CREATE TABLE IF NOT EXISTS flopinio.schema_version (version integer PRIMARY KEY,"
        " applied_at timestamptz NOT NULL DEFAULT now());"
        "GRANT USAGE ON SCHEMA flopinio TO flopinio_app, flopinio_verifier, flopinio_backup;"
        "GRANT SELECT ON flopinio.schema_version TO flopinio_app, flopinio_verifier;"
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    struct fl_err ignored;
    (void)!fl_admin_exec(pg, "SET client_min_messages = warning", NULL, &ignored);
    enum fl_code code = fl_admin_exec(pg, start, NULL, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_from, err);
    for (const struct fl_embedded *m = fl_migrations; code == FL_OK && m->name; m++) {
        if (number_of(m) > *ret_from)
            code = apply(pg, m, err);
    }
    if (code)
        return code;
    struct fl_buf guard = FL_BUF_INIT;
    fl_states_sql(&guard);
    code = fl_buf_code(&guard, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, guard.p, NULL, err);
    fl_buf_fini(&guard);
    if (code == FL_OK)
        code = fl_admin_exec(pg, "GRANT SELECT ON ALL TABLES IN SCHEMA flopinio TO flopinio_backup",
                             NULL, err);
    return code;
}

enum fl_code fl_migrate_run(struct pg_conn *pg, int *ret_from, int *ret_to, struct fl_err *err)
{
    enum fl_code code = fl_admin_exec(pg, "SELECT pg_advisory_lock(" LOCK_KEY ")", NULL, err);
    if (code)
        return code;
    code = run_locked(pg, ret_from, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_to, err);
    struct fl_err ignored;
    (void)!fl_admin_exec(pg, "SELECT pg_advisory_unlock(" LOCK_KEY ")", NULL, &ignored);
    return code;
}
