/* Roles, passwords and the database of a private cluster. Called by its start; blocking. */
#ifndef FLOPINIO_STORE_CLUSTER_ROLES_H
#define FLOPINIO_STORE_CLUSTER_ROLES_H

#include "runtime/store/migrate.h"

/* Makes them (fl_migrate_bootstrap) unless they are as the last call for `note` left them, with the
 * same passwords: then it changes nothing, as a start takes the time that six SCRAM verifiers and a
 * commit take. `note` is a file of ours, which may be missing or wrong; it holds no secret. */
enum fl_code fl_cluster_roles(struct pg_conn *pg, const struct fl_role_passwords *passwords,
                              const char *note, struct fl_err *err) FL_MUST_CHECK;

#endif
