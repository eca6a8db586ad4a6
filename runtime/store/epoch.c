/* Which database this is. */
#include "runtime/store/epoch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/io/pg_admin.h"

/* The timeline is in the name of a log file; the control file has the new one only some time after
 * a promotion. Only what is durable counts: after a crash the log may end before what was written
 * last. */
const char fl_epoch_sql[] =
    "SELECT coalesce(i.id::text, ''), (SELECT system_identifier FROM pg_control_system()), "
    "CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || "
    "left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint END, "
    "(SELECT oid FROM pg_database WHERE datname = current_database()), "
    "'flopinio.installation'::regclass::oid, CASE WHEN pg_is_in_recovery() THEN 0 ELSE "
    "pg_current_wal_flush_lsn() - '0/0'::pg_lsn END, coalesce(i.epoch, 0) FROM (SELECT) one LEFT "
    "JOIN flopinio.installation i ON true";

static unsigned long long number(const struct pg_result *res, int col)
{
    return strtoull(fl_admin_cell(res, 0, col), NULL, 10);
}

void fl_epoch_of(const struct pg_result *res, struct fl_epoch *ret)
{
    *ret = (struct fl_epoch){ .timeline = number(res, 2),
                              .database = number(res, 3),
                              .table = number(res, 4),
                              .wal = number(res, 5),
                              .number = fl_admin_int(res, 0, 6) };
    snprintf(ret->installation, sizeof ret->installation, "%s", fl_admin_cell(res, 0, 0));
    snprintf(ret->system, sizeof ret->system, "%s", fl_admin_cell(res, 0, 1));
}

enum fl_code fl_epoch_read(struct pg_conn *pg, struct fl_epoch *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, fl_epoch_sql, &res, err);
    if (code)
        return code;
    fl_epoch_of(res, ret);
    fl_admin_clear(&res);
    return FL_OK;
}

enum fl_code fl_epoch_loaded(struct pg_conn *pg, char ret[FL_EPOCH_NAME_BYTES], struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "SELECT coalesce(flopinio.organization_loaded(), '')", &res, err);
    if (code)
        return code;
    snprintf(ret, FL_EPOCH_NAME_BYTES, "%s", fl_admin_cell(res, 0, 0));
    fl_admin_clear(&res);
    return FL_OK;
}

enum fl_code fl_epoch_begin(struct pg_conn *pg, struct fl_err *err)
{
    return fl_admin_exec(pg, "UPDATE flopinio.installation SET epoch = 1 WHERE epoch = 0", NULL,
                         err);
}

const char *fl_epoch_objection(const struct fl_epoch *known, const struct fl_epoch *now)
{
    if (strcmp(known->installation, now->installation) != 0)
        return "it is the database of another installation";
    if (strcmp(known->system, now->system) != 0)
        return "it was moved to another PostgreSQL server";
    if (known->database != now->database || known->table != now->table)
        return "it was made anew, as from a dump";
    if (known->timeline != now->timeline)
        return "it goes on from a backup or a standby";
    if (now->number && known->number != now->number) /* 0: the first start got no further */
        return "it was recovered from elsewhere, and this node does not know";
    if (known->wal > now->wal)
        return "it is older than it was when this node saw it last";
    return NULL;
}

json_t *fl_epoch_to_json(const struct fl_epoch *e)
{
    char timeline[24], database[24], table[24], wal[24];
    snprintf(timeline, sizeof timeline, "%llu", e->timeline);
    snprintf(database, sizeof database, "%llu", e->database);
    snprintf(table, sizeof table, "%llu", e->table);
    snprintf(wal, sizeof wal, "%llu", e->wal);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "installation", e->installation,
                     "system", e->system, "timeline", timeline, "database", database, "table",
                     table, "wal", wal, "epoch", (json_int_t)e->number);
}

static bool take(const json_t *object, const char *name, unsigned long long *ret)
{
    return fl_str_to_u64(fl_json_get_str(object, name), ret);
}

bool fl_epoch_from_json(const json_t *object, struct fl_epoch *ret)
{
    struct fl_epoch e = { .number = json_integer_value(json_object_get(object, "epoch")) };
    struct fl_str id = fl_json_get_str(object, "installation");
    struct fl_str system = fl_json_get_str(object, "system");
    if (id.n >= sizeof e.installation || system.n >= sizeof e.system || !system.n ||
        !take(object, "timeline", &e.timeline) || !take(object, "database", &e.database) ||
        !take(object, "table", &e.table) || !take(object, "wal", &e.wal))
        return false;
    snprintf(e.installation, sizeof e.installation, "%.*s", FL_STR_ARG(id));
    snprintf(e.system, sizeof e.system, "%.*s", FL_STR_ARG(system));
    *ret = e;
    return true;
}
