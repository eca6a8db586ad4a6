/* Roles and schema. */
#include "runtime/store/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/embedded.h"
#include "runtime/store/sql.h"
#include "runtime/store/states.h"

#define TRIES       20
#define REST_MS     900
#define LOCK_MS     50 /* between two looks whether the lock is free */
#define LOCK_KEY    "7337001"
/* A table that is in use is not waited for long: everything behind stands still too, and gives up
 * after two seconds (pg_conn.c). */
#define PATIENCE    "SET lock_timeout = '1500ms'"
#define CREATE_ROLE "CREATE ROLE %s NOSUPERUSER NOCREATEDB NOCREATEROLE %s"
#define MEMBERSHIP  "GRANT flopinio_lookup, flopinio_sweep TO flopinio_owner"
#define DATABASE    "CREATE DATABASE flopinio OWNER flopinio_owner"
#define CLOSED      "REVOKE ALL ON DATABASE flopinio FROM PUBLIC"
#define OPEN_TO                                                                                    \
    "GRANT CONNECT ON DATABASE flopinio TO flopinio_app, flopinio_verifier, flopinio_backup"

static const struct {
    const char *name;
    const char *rights;
} roles[] = {
    { "flopinio_owner", "LOGIN NOBYPASSRLS" },
    { "flopinio_app", "LOGIN NOBYPASSRLS" },
    { "flopinio_lookup", "NOLOGIN NOBYPASSRLS" },
    { "flopinio_sweep", "NOLOGIN NOBYPASSRLS" },
    { "flopinio_verifier", "LOGIN NOBYPASSRLS" },
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
    snprintf(sql, sizeof sql, CREATE_ROLE, name, rights);
    code = fl_admin_exec(pg, sql, NULL, err);
    if (code && strstr(rights, " BYPASSRLS")) {
        /* Only a superuser may make such a role; everything but backup works without, and doctor
         * says what is missing. */
        FL_LOG(WARN, "backup_role_limited", FL_KS("reason", err->text));
        snprintf(sql, sizeof sql, CREATE_ROLE, name, "LOGIN NOBYPASSRLS");
        code = fl_admin_exec(pg, sql, NULL, err);
    }
    return code;
}

static enum fl_code set_password(struct pg_conn *pg, const char *role, const char *password,
                                 struct fl_err *err)
{
    if (!password)
        return FL_OK;
    struct fl_buf sql = FL_BUF_INIT;
    char name[64];
    snprintf(name, sizeof name, "flopinio_%s", role);
    fl_buf_printf(&sql, "ALTER ROLE %s PASSWORD ", name);
    enum fl_code code = fl_admin_verifier(pg, name, password, &sql, err);
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
    if (code == FL_OK) /* each commit of its own would be waited for */
        code = fl_admin_exec(pg, "BEGIN", NULL, err);
    if (code == FL_OK)
        code = set_password(pg, "owner", passwords->owner, err);
    if (code == FL_OK)
        code = set_password(pg, "app", passwords->app, err);
    if (code == FL_OK)
        code = set_password(pg, "verifier", passwords->verifier, err);
    if (code == FL_OK)
        code = set_password(pg, "backup", passwords->backup, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, MEMBERSHIP "; COMMIT", NULL, err);
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
    code = fl_admin_exec(pg, DATABASE, NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, CLOSED, NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, OPEN_TO, NULL, err);
    return code;
}

void fl_migrate_roles_sql(struct fl_buf *out)
{
    fl_buf_puts(out,
                "-- The roles and the database of flopinio. As a superuser: psql -f FILE postgres\n"
                "-- It may be run again: what is there stays.\n");
    for (size_t i = 0; i < FL_COUNTOF(roles); i++)
        fl_buf_printf(out,
                      "SELECT '" CREATE_ROLE "' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE "
                      "rolname = '%s') \\gexec\n",
                      roles[i].name, roles[i].rights, roles[i].name);
    fl_buf_puts(out, MEMBERSHIP ";\n"
                                "SELECT '" DATABASE
                                "' WHERE NOT EXISTS (SELECT 1 FROM pg_database WHERE "
                                "datname = 'flopinio') \\gexec\n" CLOSED ";\n" OPEN_TO ";\n"
                                "-- Then their passwords, in psql:\n"
                                "--   \\password flopinio_owner\n"
                                "--   \\password flopinio_app\n");
}

enum fl_code fl_migrate_missing(struct pg_conn *pg, bool ret_missing[4], struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(
        pg,
        "SELECT NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'flopinio_' || r.name) FROM "
        "unnest('{owner,app,verifier,backup}'::text[]) WITH ORDINALITY r (name, at) ORDER BY at",
        &res, err);
    for (int i = 0; code == FL_OK && i < 4; i++)
        ret_missing[i] = strcmp(fl_admin_cell(res, i, 0), "t") == 0;
    fl_admin_clear(&res);
    return code;
}

static void rest_ms(long ms)
{
    struct timespec ts = { 0, ms * 1000000L };
    nanosleep(&ts, NULL);
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

static enum fl_code unfit_server(int version, struct fl_err *err)
{
    return fl_err_set(err, FL_CONFIG,
                      "the database is PostgreSQL %d; this program is made for %d to %d", version,
                      FL_PG_OLDEST, FL_PG_NEWEST);
}

enum fl_code fl_migrate_fits(struct pg_conn *pg, struct fl_err *err)
{
    int there, ours = fl_schema_version(), version = fl_admin_version(pg);
    if (version < FL_PG_OLDEST || version > FL_PG_NEWEST)
        return unfit_server(version, err);
    enum fl_code code = fl_migrate_current(pg, &there, err);
    if (code)
        return code;
    if (there == 0)
        return fl_err_set(err, FL_CONFIG,
                          "the database has no schema of flopinio yet; make it with: flopinio "
                          "migrate");
    if (there < ours)
        return fl_err_set(err, FL_CONFIG,
                          "the database has schema %d and this program needs %d; bring it there "
                          "with: flopinio migrate",
                          there, ours);
    if (there > ours + 1)
        return fl_err_set(
            err, FL_CONFIG,
            "the database has schema %d and this program knows only %d; use the newer "
            "program",
            there, ours);
    return FL_OK;
}

enum fl_code fl_migrate_guarded(struct pg_conn *pg, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, FL_SQL_UNPROTECTED " LIMIT 1", &res, err);
    if (code == FL_OK && fl_admin_rows(res) > 0)
        code = fl_err_set(err, FL_CONFIG,
                          "the table %.64s has no forced row security, so that organizations could "
                          "see one another's rows; see flopinio doctor",
                          fl_admin_cell(res, 0, 0));
    if (res)
        fl_admin_clear(&res);
    return code;
}

/* A line that begins so ends a part of a file, and says what the next one is:
 *   -- next: transaction    another transaction
 *   -- next: statements     a query; each row that it brings is a statement, run by itself, in no
 *                           transaction: for indexes that are built while everybody goes on
 * The last part is a transaction, with the file's number. Killed in between, all parts are run
 * again: all but the last look what is there already. */
#define NEXT            "\n-- next: "
#define NEXT_STATEMENTS "-- next: statements\n"

struct part {
    const struct fl_embedded *file;
    char *text;
    bool is_statements, is_last;
};

static enum fl_code take_part(const char **rest, struct part *ret, struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT;
    const char *end = strstr(*rest, NEXT);
    ret->is_statements = strncmp(*rest, NEXT_STATEMENTS, strlen(NEXT_STATEMENTS)) == 0;
    ret->is_last = !end;
    fl_buf_put(&text, *rest, end ? (size_t)(end - *rest) : strlen(*rest));
    *rest = end ? end + 1 : NULL;
    enum fl_code code = fl_buf_code(&text, err);
    ret->text = code ? NULL : fl_buf_take(&text, NULL);
    fl_buf_fini(&text);
    return code;
}

static enum fl_code run_transaction(struct pg_conn *pg, const struct part *part, struct fl_err *err)
{
    char sql[128];
    enum fl_code code = fl_admin_exec(pg, "BEGIN; SET LOCAL search_path = flopinio", NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, part->text, NULL, err);
    if (code == FL_OK && part->is_last) {
        snprintf(sql, sizeof sql, "INSERT INTO schema_version (version) VALUES (%d)",
                 number_of(part->file));
        code = fl_admin_exec(pg, sql, NULL, err);
    }
    if (code == FL_OK)
        return fl_admin_exec(pg, "COMMIT", NULL, err);
    struct fl_err ignored;
    (void)!fl_admin_exec(pg, "ROLLBACK", NULL, &ignored);
    return code;
}

/* Nobody waits for what waits here. */
static enum fl_code run_statements(struct pg_conn *pg, const struct part *part, struct fl_err *err)
{
    struct pg_result *res = NULL;
    struct fl_err ignored;
    enum fl_code code = fl_admin_exec(pg, part->text, &res, err);
    if (code)
        return code;
    if (fl_admin_rows(res) > 0)
        code = fl_admin_exec(pg, "SET lock_timeout = 0", NULL, err);
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        FL_LOG(INFO, "migration_statement", FL_KS("name", part->file->name),
               FL_KS("sql", fl_admin_cell(res, i, 0)));
        code = fl_admin_exec(pg, fl_admin_cell(res, i, 0), NULL, err);
    }
    fl_admin_clear(&res);
    if (code)
        (void)!fl_admin_exec(pg, PATIENCE, NULL, &ignored);
    return code ? code : fl_admin_exec(pg, PATIENCE, NULL, err);
}

/* What is called meanwhile takes its locks in another order: one of the two is rolled back. Or it
 * has a lock for longer than we may wait: between two tries everybody goes on. */
static bool goes_again(int tries, enum fl_code code, const char *name, const struct fl_err *err)
{
    if (code != FL_UNAVAILABLE || tries == TRIES)
        return false;
    FL_LOG(WARN, "migration_again", FL_KS("name", name), FL_KS("reason", err->text));
    rest_ms(REST_MS);
    return true;
}

static enum fl_code run_part(struct pg_conn *pg, const struct part *part, struct fl_err *err)
{
    for (int i = 1;; i++) {
        enum fl_code code =
            part->is_statements ? run_statements(pg, part, err) : run_transaction(pg, part, err);
        if (!goes_again(i, code, part->file->name, err))
            return code;
    }
}

static enum fl_code write_guard(struct pg_conn *pg, struct fl_str guard, struct fl_err *err)
{
    for (int i = 1;; i++) {
        enum fl_code code = fl_admin_exec(pg, guard.p, NULL, err);
        if (!goes_again(i, code, "guard", err))
            return code;
    }
}

static enum fl_code apply(struct pg_conn *pg, const struct fl_embedded *file, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (const char *rest = file->text; code == FL_OK && rest;) {
        struct part part = { .file = file };
        code = take_part(&rest, &part, err);
        if (code == FL_OK)
            code = run_part(pg, &part, err);
        fl_free(part.text);
    }
    if (code == FL_OK)
        return code;
    struct fl_err first = *err;
    return fl_err_set(err, code, "migration %s: %.300s", file->name, first.text);
}

/* What the schema's comment says when all of run_locked has been done: the version, the guard as
 * this program writes it, and as it stands in the database. $1: the guard, $2: the version. */
#define DONE                                                                                       \
    "(SELECT 'schema ' || $2 || ' ' || md5($1::text) || ' ' || md5(p.prosrc) FROM pg_proc p JOIN " \
    "pg_trigger t ON t.tgfoid = p.oid WHERE t.tgrelid = to_regclass('flopinio.approval') AND "     \
    "t.tgname = 'approval_guard' AND t.tgenabled = 'O')"

static enum fl_code ask_done(struct pg_conn *pg, struct fl_str guard, const char *sql,
                             struct pg_result **ret, struct fl_err *err)
{
    char version[12];
    snprintf(version, sizeof version, "%d", fl_schema_version());
    const char *values[] = { guard.p, version };
    return fl_admin_query(pg, sql, 2, values, ret, err);
}

/* True in *ret: a start has nothing to do, and takes no lock that a node at work would wait for. */
static enum fl_code is_done(struct pg_conn *pg, struct fl_str guard, bool *ret, struct fl_err *err)
{
    static const char sql[] =
        "SELECT coalesce(obj_description(to_regnamespace('flopinio'), 'pg_namespace') = " DONE
        ", false)";
    struct pg_result *res = NULL;
    enum fl_code code = ask_done(pg, guard, sql, &res, err);
    if (code)
        return code;
    *ret = strcmp(fl_admin_cell(res, 0, 0), "t") == 0;
    fl_admin_clear(&res);
    return FL_OK;
}

enum fl_code fl_migrate_is_done(struct pg_conn *pg, bool *ret, struct fl_err *err)
{
    struct fl_buf guard = FL_BUF_INIT;
    fl_states_sql(&guard);
    enum fl_code code = fl_buf_code(&guard, err);
    if (code == FL_OK)
        code = is_done(pg, fl_buf_view(&guard), ret, err);
    fl_buf_fini(&guard);
    return code;
}

static enum fl_code note_done(struct pg_conn *pg, struct fl_str guard, struct fl_err *err)
{
    struct pg_result *res = NULL;
    struct fl_buf sql = FL_BUF_INIT;
    enum fl_code code = ask_done(pg, guard, "SELECT " DONE, &res, err);
    if (code)
        return code;
    fl_buf_puts(&sql, "COMMENT ON SCHEMA flopinio IS ");
    code = fl_admin_quote(pg, fl_admin_cell(res, 0, 0), &sql, err);
    fl_admin_clear(&res);
    if (code == FL_OK)
        code = fl_admin_exec(pg, sql.p, NULL, err);
    fl_buf_fini(&sql);
    return code;
}

static enum fl_code run_locked(struct pg_conn *pg, struct fl_str guard, int *ret_from,
                               struct fl_err *err)
{
    static const char start[] =
        "CREATE SCHEMA IF NOT EXISTS flopinio AUTHORIZATION flopinio_owner;"
        "CREATE TABLE IF NOT EXISTS flopinio.schema_version (version integer PRIMARY KEY,"
        " applied_at timestamptz NOT NULL DEFAULT now());"
        "GRANT USAGE ON SCHEMA flopinio TO flopinio_app, flopinio_verifier, flopinio_backup;"
        "GRANT SELECT ON flopinio.schema_version TO flopinio_app, flopinio_verifier;"
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    enum fl_code code = fl_admin_exec(pg, start, NULL, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_from, err);
    for (const struct fl_embedded *m = fl_migrations; code == FL_OK && m->name; m++) {
        if (number_of(m) > *ret_from)
            code = apply(pg, m, err);
    }
    if (code == FL_OK)
        code = write_guard(pg, guard, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg,
                             "GRANT SELECT ON ALL TABLES IN SCHEMA flopinio TO flopinio_backup;"
                             "GRANT SELECT ON ALL SEQUENCES IN SCHEMA flopinio TO flopinio_backup;"
                             /* the partitions to come: one that it cannot read ends a dump */
                             "ALTER DEFAULT PRIVILEGES IN SCHEMA flopinio GRANT SELECT ON TABLES "
                             "TO flopinio_backup",
                             NULL, err);
    return code ? code : note_done(pg, guard, err);
}

/* Everything is made by the owner, whoever connected. */
static enum fl_code become_owner(struct pg_conn *pg, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(
        pg,
        "SET client_min_messages = warning; SELECT count(*) FROM pg_roles WHERE rolname IN ("
        "'flopinio_owner', 'flopinio_app', 'flopinio_lookup', "
        "'flopinio_sweep', 'flopinio_verifier', 'flopinio_backup')",
        &res, err);
    if (code)
        return code;
    size_t there = (size_t)strtoul(fl_admin_cell(res, 0, 0), NULL, 10);
    fl_admin_clear(&res);
    if (there != FL_COUNTOF(roles))
        return fl_err_set(err, FL_CONFIG,
                          "the roles of flopinio are not there; make them with: flopinio migrate "
                          "--roles, or let an administrator run: flopinio migrate --roles-sql");
    return fl_admin_exec(pg, "SET ROLE flopinio_owner", NULL, err);
}

/* Tried, not waited for: who waits has a snapshot, and whoever has the lock may be building an
 * index that waits for the end of all that are older than it. */
static enum fl_code lock(struct pg_conn *pg, struct fl_err *err)
{
    for (;;) {
        struct pg_result *res = NULL;
        enum fl_code code =
            fl_admin_exec(pg, "SELECT pg_try_advisory_lock(" LOCK_KEY ")", &res, err);
        if (code)
            return code;
        bool is_ours = strcmp(fl_admin_cell(res, 0, 0), "t") == 0;
        fl_admin_clear(&res);
        if (is_ours)
            return FL_OK;
        rest_ms(LOCK_MS);
    }
}

/* One program at a time. */
static enum fl_code run_alone(struct pg_conn *pg, struct fl_str guard, int *ret_from, int *ret_to,
                              struct fl_err *err)
{
    enum fl_code code = lock(pg, err);
    if (code)
        return code;
    code = fl_admin_exec(pg, PATIENCE, NULL, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_from, err);
    if (code == FL_OK && *ret_from > fl_schema_version())
        code =
            fl_err_set(err, FL_CONFIG,
                       "the database has schema %d and this program knows only %d; use the newer "
                       "program",
                       *ret_from, fl_schema_version());
    if (code == FL_OK)
        code = run_locked(pg, guard, ret_from, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_to, err);
    struct fl_err ignored;
    (void)!fl_admin_exec(pg, "SELECT pg_advisory_unlock(" LOCK_KEY ")", NULL, &ignored);
    return code;
}

enum fl_code fl_migrate_run(struct pg_conn *pg, int *ret_from, int *ret_to, struct fl_err *err)
{
    int version = fl_admin_version(pg);
    *ret_from = 0;
    if (version < FL_PG_OLDEST || version > FL_PG_NEWEST)
        return unfit_server(version, err);
    struct fl_buf guard = FL_BUF_INIT;
    fl_states_sql(&guard);
    bool has_done = false;
    enum fl_code code = fl_buf_code(&guard, err);
    if (code == FL_OK)
        code = become_owner(pg, err);
    if (code == FL_OK)
        code = fl_migrate_current(pg, ret_from, err);
    *ret_to = *ret_from;
    if (code == FL_OK && *ret_from == fl_schema_version())
        code = is_done(pg, fl_buf_view(&guard), &has_done, err);
    if (code == FL_OK && !has_done)
        code = run_alone(pg, fl_buf_view(&guard), ret_from, ret_to, err);
    fl_buf_fini(&guard);
    return code;
}
