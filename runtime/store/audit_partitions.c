/* Partitions of the table audit_event, each of a month. */
#include "runtime/io/pg_admin.h"
#include "runtime/store/audit.h"
#include "runtime/store/sql.h"

#define PARTITION "SELECT flopinio.audit_partition(now() + make_interval(months => $1::integer))"
static struct fl_sql sql_partition = { "audit_partition", PARTITION, 0 };

void fl_store_audit_partition(struct fl_tx *tx, int months_ahead)
{
    struct fl_query *q = fl_tx_add(tx, &sql_partition);
    fl_bind_z(tx, q, months_ahead == 0 ? "0" : "1");
}

enum fl_code fl_store_audit_partitions(struct pg_conn *pg, struct fl_err *err)
{
    static const char *const months[] = { "0", "1" };
    enum fl_code first = FL_OK;
    for (size_t i = 0; i < FL_COUNTOF(months); i++) {
        struct fl_err why;
        enum fl_code code = fl_admin_query(pg, PARTITION, 1, &months[i], NULL, &why);
        if (code && !first)
            *err = why;
        first = first ? first : code;
    }
    return first;
}
