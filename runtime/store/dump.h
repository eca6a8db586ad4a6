/* A dump of the database, by PostgreSQL's own programs, and back. Blocking; forks, so only where no
 * threads run. */
#ifndef FLOPINIO_STORE_DUMP_H
#define FLOPINIO_STORE_DUMP_H

#include <jansson.h>

#include "flopinio/base/err.h"

struct pg_conn;

/* What a dump is of, all at one moment, and that moment: pg_dump looks at the same one while the
 * connection's transaction goes on. */
struct fl_dump_facts {
    char snapshot[64];
    int schema, postgresql;
    long long epoch;
    char installation[40];
    json_t *key_checks; /* the caller's: key id -> known value under that key */
};

/* As a role that sees every row (flopinio_backup). FL_CONFIG: it does not. */
enum fl_code fl_dump_begin(struct pg_conn *pg, struct fl_dump_facts *ret,
                           struct fl_err *err) FL_MUST_CHECK;
/* Runs bin/pg_dump into `fd`. `conninfo` is not seen by other users. */
enum fl_code fl_dump_write(const char *bin, const char *conninfo, const char *snapshot, int fd,
                           struct fl_err *err) FL_MUST_CHECK;

/* FL_CONFLICT: the database has a schema of ours already. As the owner. */
enum fl_code fl_dump_is_empty(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* Runs bin/pg_restore from `fd` in one transaction, as the owner, and brings the schema to this
 * program's. When it fails the database is as empty as before. */
enum fl_code fl_dump_read(const char *bin, struct pg_conn *pg, const char *conninfo, int fd,
                          struct fl_err *err) FL_MUST_CHECK;

#endif
