/* Roles and schema. Migrations are numbered files in migrations/, applied in order under an
 * advisory lock, each in a transaction of its own with its number, or in several, where one would
 * keep calls waiting (migrate.c says how a file is divided); what is generated from tables in the
 * code (the guard of the approval's states) is written again after every run. A binary works with
 * schema N (its own) and N+1 (expand, then contract). Blocking. */
#ifndef FLOPINIO_STORE_MIGRATE_H
#define FLOPINIO_STORE_MIGRATE_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

struct pg_conn; /* libpq's PGconn, see runtime/io/pg_admin.h */

struct fl_role_passwords {
    const char *owner, *app, *verifier, *backup; /* NULL: leave that role's password alone */
};

/* As a role that may create roles and databases: makes the roles, the database `flopinio` and its
 * schema's owner, idempotently. `pg` is connected to any database of the server. */
enum fl_code fl_migrate_bootstrap(struct pg_conn *pg, const struct fl_role_passwords *passwords,
                                  struct fl_err *err) FL_MUST_CHECK;
/* The same as SQL for psql, for an administrator who runs it; sets no passwords. */
void fl_migrate_roles_sql(struct fl_buf *out);
/* Which roles of fl_role_passwords are not there yet, in its order. */
enum fl_code fl_migrate_missing(struct pg_conn *pg, bool ret_missing[4],
                                struct fl_err *err) FL_MUST_CHECK;
/* As the owner or a member of it, connected to the database: brings the schema to
 * fl_schema_version(). */
enum fl_code fl_migrate_run(struct pg_conn *pg, int *ret_from, int *ret_to,
                            struct fl_err *err) FL_MUST_CHECK;
/* As any role, connected to the database: true in *ret if fl_migrate_run has nothing to do. */
enum fl_code fl_migrate_is_done(struct pg_conn *pg, bool *ret, struct fl_err *err) FL_MUST_CHECK;
/* Can this binary work with the connected database? FL_CONFIG says what to do: no schema, an older
 * or a newer one, another version of PostgreSQL. */
enum fl_code fl_migrate_fits(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* Is every table of organizations and people guarded by forced row security? FL_CONFIG names one.
 */
enum fl_code fl_migrate_guarded(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* The schema this binary is made for. */
int fl_schema_version(void);
/* The schema of the connected database, 0 if there is none. Any role. */
enum fl_code fl_migrate_current(struct pg_conn *pg, int *ret, struct fl_err *err) FL_MUST_CHECK;

#endif
