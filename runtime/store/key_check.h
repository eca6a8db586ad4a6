/* What the table installation keeps of the encryption keys: for each key a value by which it is
 * recognised. Read before any worker starts, as the app role, on a blocking connection. */
#ifndef FLOPINIO_STORE_KEY_CHECK_H
#define FLOPINIO_STORE_KEY_CHECK_H

#include "flopinio/base/err.h"
#include "flopinio/base/json.h"

struct pg_conn; /* see runtime/io/pg_admin.h */

/* Has this database never had a key? */
enum fl_code fl_key_checks_are_new(struct pg_conn *pg, bool *ret, struct fl_err *err) FL_MUST_CHECK;
/* The known values, an object {"key id": "value in base64"}; makes the installation's row at the
 * first start. A new reference. */
enum fl_code fl_key_checks_get(struct pg_conn *pg, json_t **ret, struct fl_err *err) FL_MUST_CHECK;
/* Adds the object's members (borrowed). */
enum fl_code fl_key_checks_add(struct pg_conn *pg, const json_t *checks,
                               struct fl_err *err) FL_MUST_CHECK;
/* How many approvals are encrypted with that key; -1: the database could not say. */
long long fl_key_checks_rows(struct pg_conn *pg, uint32_t key_id);

#endif
