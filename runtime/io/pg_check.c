/* A database that must not be used: a role that is not bound by row security, a server that may
 * lose what it has acknowledged or is another version than this program was tested with. */
#include <stdlib.h>
#include <string.h>

#include "runtime/io/pg_admin.h"
#include "runtime/io/pg_priv.h"

/* The first column: could this role, by itself or as a member of another, look past row security or
 * take it away? The owner of the schema could. The last two: which backend it is (pg_lost.c), by
 * the server, as whoever stands between may have numbers of their own. */
const char fl_pg_check_sql[] =
    "SELECT coalesce((SELECT r.rolname FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls OR "
    "r.oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'flopinio')) AND "
    "pg_has_role(current_user, r.oid, 'MEMBER') ORDER BY r.rolname <> current_user, r.rolname "
    "LIMIT 1), ''), current_user, current_setting('fsync'), "
    "current_setting('server_version_num')::int, pg_is_in_recovery(), pg_backend_pid(), "
    "(SELECT " FL_PG_BEGAN("b.backend_start") " FROM pg_stat_activity b WHERE b.pid = "
                                              "pg_backend_pid())";

static enum fl_code check_role(const char *self, const char *powerful, struct fl_err *err)
{
    if (!*powerful)
        return FL_OK;
    if (strcmp(powerful, self) == 0)
        return fl_err_set(err, FL_CONFIG,
                          "the database role %s can bypass row security (superuser, bypassrls or "
                          "owner of the schema); use flopinio_app, which flopinio migrate makes",
                          self);
    return fl_err_set(err, FL_CONFIG,
                      "the database role %s can bypass row security as a member of %s; use "
                      "flopinio_app, which flopinio migrate makes",
                      self, powerful);
}

enum fl_code fl_pg_check(const PGresult *res, bool may_bypass_rls, struct fl_err *err)
{
    int version = (int)strtol(PQgetvalue(res, 0, 3), NULL, 10) / 10000;
    enum fl_code code = FL_OK;
    if (!may_bypass_rls)
        code = check_role(PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 0), err);
    if (code == FL_OK && strcmp(PQgetvalue(res, 0, 2), "on") != 0)
        code =
            fl_err_set(err, FL_CONFIG, "the database runs with fsync=off and could lose approvals");
    if (code == FL_OK && (version < FL_PG_OLDEST || version > FL_PG_NEWEST))
        code = fl_err_set(err, FL_CONFIG,
                          "the database is PostgreSQL %d; this program is made for %d to %d",
                          version, FL_PG_OLDEST, FL_PG_NEWEST);
    if (code == FL_OK && strcmp(PQgetvalue(res, 0, 4), "t") == 0) /* it may become the primary */
        code = fl_err_set(err, FL_UNAVAILABLE, "it is a standby, which cannot be written to");
    return code;
}

enum fl_code fl_admin_check(PGconn *pg, struct fl_err *err)
{
    PGresult *res = NULL;
    enum fl_code code = fl_admin_exec(pg, fl_pg_check_sql, &res, err);
    if (code == FL_OK)
        code = fl_pg_check(res, false, err);
    PQclear(res);
    return code;
}
