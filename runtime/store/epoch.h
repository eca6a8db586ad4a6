/* Which database this is. Each installation keeps, outside the database, what it last saw of it; a
 * database that is another one, was made anew from a dump, went on from a backup or a standby, or
 * is older than what was seen, has forgotten what was executed since: nothing may run on it until
 * the operator has said so (`flopinio recover`). Pure but for the reading, which blocks. */
#ifndef FLOPINIO_STORE_EPOCH_H
#define FLOPINIO_STORE_EPOCH_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/id.h"
#include "flopinio/base/json.h"

struct pg_conn; /* see runtime/io/pg_admin.h */
struct pg_result;

struct fl_epoch {
    char installation[FL_UUID_TEXT];    /* "": the installation has no row yet */
    char system[24];                    /* PostgreSQL's system identifier */
    unsigned long long timeline;        /* another one after every promotion and recovery */
    unsigned long long database, table; /* numbers of the database and of a table in it: others
                                           after a dump was restored */
    unsigned long long wal;             /* the log is durable up to here; grows with each commit */
    long long number; /* installation.epoch; 0: was never written down outside the database */
};

/* One row for fl_epoch_of; whatever role. */
extern const char fl_epoch_sql[];
void fl_epoch_of(const struct pg_result *res, struct fl_epoch *ret);
enum fl_code fl_epoch_read(struct pg_conn *pg, struct fl_epoch *ret,
                           struct fl_err *err) FL_MUST_CHECK;
/* The first epoch begins: from then on the database is known outside of it. */
enum fl_code fl_epoch_begin(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;

/* The name of an organization whose rows somebody loaded into the tables that are there, which none
 * of these numbers tells; "" none. Reads all organizations. */
#define FL_EPOCH_NAME_BYTES 64
enum fl_code fl_epoch_loaded(struct pg_conn *pg, char ret[FL_EPOCH_NAME_BYTES],
                             struct fl_err *err) FL_MUST_CHECK;

/* NULL when `now` is the database that was `known`, in its state of then or a later one; else a
 * clause that says why not. */
const char *fl_epoch_objection(const struct fl_epoch *known, const struct fl_epoch *now);
/* Numbers as texts, as JSON's may be too small for them. */
json_t *fl_epoch_to_json(const struct fl_epoch *epoch);
bool fl_epoch_from_json(const json_t *object, struct fl_epoch *ret);

#endif
