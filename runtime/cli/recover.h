/* What `flopinio recover` does in the database: ends everything that is open, shuts out everybody
 * who is not kept, and says so in the audit, in one transaction. Blocking. */
#ifndef FLOPINIO_CLI_RECOVER_H
#define FLOPINIO_CLI_RECOVER_H

#include <jansson.h>

#include "flopinio/base/err.h"
#include "runtime/cli/cli_run.h"

struct pg_conn;

/* `pg` as the app role; `kept` a JSON list of texts (borrowed): "all", a person, ORG/AGENT. With
 * is_dry nothing stays changed. What is done is said on standard output. FL_BAD_PARAMS: nobody is
 * called so. */
enum fl_code fl_recover(struct fl_cli *cli, struct pg_conn *pg, const json_t *kept,
                        const char *because, bool is_dry, struct fl_err *err) FL_MUST_CHECK;

#endif
