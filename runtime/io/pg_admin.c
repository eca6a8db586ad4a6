/* Blocking libpq for administration. */
#include "runtime/io/pg_admin.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

static enum fl_code refused(PGconn *pg, const PGresult *res, struct fl_err *err)
{
    const char *text = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    /* A deadlock, or a lock that somebody held: another time it may work. */
    bool passes = state && (strcmp(state, "40P01") == 0 || strcmp(state, "55P03") == 0);
    if (!text)
        text = PQerrorMessage(pg);
    return fl_err_set(err, passes ? FL_UNAVAILABLE : FL_DB_REFUSED, "the database refused it: %.*s",
                      (int)strcspn(text, "\r\n"), text);
}

static void drop_notice(void *arg, const char *message)
{
    FL_UNUSED(arg);
    FL_UNUSED(message);
}

/* libpq walks through a list by itself, and would take the first that answers: a standby. */
static bool must_find_primary(const PQconninfoOption *options)
{
    bool is_list = false, is_said = getenv("PGTARGETSESSIONATTRS") != NULL;
    for (const PQconninfoOption *o = options; o && o->keyword; o++) {
        if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0)
            is_list |= o->val && strchr(o->val, ',');
        else if (strcmp(o->keyword, "target_session_attrs") == 0)
            is_said |= o->val && *o->val;
    }
    return is_list && !is_said;
}

enum fl_code fl_admin_connect(const char *conninfo, PGconn **ret, struct fl_err *err)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    const char *wanted = must_find_primary(options) ? "primary" : NULL; /* NULL: not given */
    PQconninfoFree(options);
    /* What stands in front of the string it may set otherwise. */
    const char *keys[] = { "tcp_user_timeout", "keepalives_idle",      "keepalives_interval",
                           "keepalives_count", "target_session_attrs", "dbname",
                           "connect_timeout",  "application_name",     NULL };
    const char *values[] = { "5000", "5", "2", "3", wanted, conninfo, "5", "flopinio-admin", NULL };
    PGconn *pg = PQconnectdbParams(keys, values, 1);
    if (!pg)
        return fl_err_code(err, FL_NOMEM);
    if (PQstatus(pg) != CONNECTION_OK) {
        const char *text = PQerrorMessage(pg);
        fl_err_set(err, FL_UNAVAILABLE, "could not connect to the database: %.*s",
                   (int)strcspn(text, "\r\n"), text);
        PQfinish(pg);
        return FL_UNAVAILABLE;
    }
    PQsetNoticeProcessor(pg, drop_notice, NULL);
    *ret = pg;
    return FL_OK;
}

static enum fl_code take(PGconn *pg, PGresult *res, PGresult **ret, struct fl_err *err)
{
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        enum fl_code code = refused(pg, res, err);
        PQclear(res);
        return code;
    }
    if (ret)
        *ret = res;
    else
        PQclear(res);
    return FL_OK;
}

enum fl_code fl_admin_exec(PGconn *pg, const char *sql, PGresult **ret, struct fl_err *err)
{
    return take(pg, PQexec(pg, sql), ret, err);
}

enum fl_code fl_admin_query(PGconn *pg, const char *sql, int count, const char *const *values,
                            PGresult **ret, struct fl_err *err)
{
    return take(pg, PQexecParams(pg, sql, count, NULL, values, NULL, NULL, 0), ret, err);
}

enum fl_code fl_admin_quote(PGconn *pg, const char *text, struct fl_buf *out, struct fl_err *err)
{
    char *quoted = PQescapeLiteral(pg, text, strlen(text));
    if (!quoted)
        return refused(pg, NULL, err);
    fl_buf_puts(out, quoted);
    PQfreemem(quoted);
    return fl_buf_code(out, err);
}

enum fl_code fl_admin_verifier(PGconn *pg, const char *role, const char *password,
                               struct fl_buf *out, struct fl_err *err)
{
    char *verifier = PQencryptPasswordConn(pg, password, role, "scram-sha-256");
    if (!verifier)
        return refused(pg, NULL, err);
    enum fl_code code = fl_admin_quote(pg, verifier, out, err);
    PQfreemem(verifier);
    return code;
}

void fl_admin_url(PGconn *pg, const char *role, const char *password, const char *database,
                  struct fl_buf *out)
{
    const char *host = PQhost(pg), *port = PQport(pg);
    bool is_socket = host && host[0] == '/', is_v6 = host && strchr(host, ':') && !is_socket;
    fl_buf_printf(out, "postgresql://%s:%s@", role, password);
    if (host && !is_socket)
        fl_buf_printf(out, "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    fl_buf_printf(out, "/%s", database);
    if (is_socket)
        fl_buf_printf(out, "?host=%s&port=%s", host, port);
}

enum fl_code fl_admin_environment(const char *conninfo, struct fl_err *err)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &why);
    PQfreemem(why); /* it may quote the password */
    if (!options)
        return fl_err_set(err, FL_CONFIG, "the database url cannot be read");
    bool is_fine = true;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (o->envvar && o->val && *o->val)
            is_fine = is_fine && setenv(o->envvar, o->val, 1) == 0;
    }
    if (must_find_primary(options)) /* the server that the snapshot is of */
        is_fine = is_fine && setenv("PGTARGETSESSIONATTRS", "primary", 1) == 0;
    PQconninfoFree(options);
    return is_fine ? FL_OK : fl_err_code(err, FL_NOMEM);
}

int fl_admin_version(PGconn *pg)
{
    return PQserverVersion(pg) / 10000;
}

void fl_admin_close(PGconn **pg)
{
    PQfinish(*pg);
    *pg = NULL;
}

bool fl_admin_answers(const char *conninfo)
{
    return PQping(conninfo) == PQPING_OK;
}

int fl_admin_rows(const PGresult *res)
{
    return PQntuples(res);
}

const char *fl_admin_cell(const PGresult *res, int row, int col)
{
    return PQgetvalue(res, row, col);
}

long long fl_admin_int(const PGresult *res, int row, int col)
{
    return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

void fl_admin_clear(PGresult **res)
{
    PQclear(*res);
    *res = NULL;
}
