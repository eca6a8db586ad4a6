/* Blocking database work with powerful roles, outside the workers: bootstrap of roles, migrations,
 * doctor's questions. Never linked into a request. */
#ifndef FLOPINIO_STORE_ADMIN_H
#define FLOPINIO_STORE_ADMIN_H

#include <libpq-fe.h>

#include "flopinio/base/err.h"

/* Connects within 5 s; the error text carries no password. */
enum fl_code fl_admin_connect(const char *conninfo, PGconn **ret, struct fl_err *err) FL_MUST_CHECK;
/* Runs SQL that may be several statements; the last result is returned when ret is not NULL
 * (PQclear it). */
enum fl_code fl_admin_exec(PGconn *pg, const char *sql, PGresult **ret,
                           struct fl_err *err) FL_MUST_CHECK;
/* One statement with text parameters (NULL = null). */
enum fl_code fl_admin_query(PGconn *pg, const char *sql, int count, const char *const *values,
                            PGresult **ret, struct fl_err *err) FL_MUST_CHECK;

#endif
