/* What the parts of `flopinio doctor` share. Each check adds one line to the table; a finding says
 * how to mend it. Nothing is changed. Blocking, one thread. */
#ifndef FLOPINIO_CLI_DOCTOR_H
#define FLOPINIO_CLI_DOCTOR_H

#include <jansson.h>

#include "flopinio/base/buf.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/config.h"

enum fl_doctor_status { FL_DOCTOR_OK, FL_DOCTOR_WARN, FL_DOCTOR_FAIL, FL_DOCTOR_SKIP };

struct fl_doctor {
    struct fl_cli *cli;
    struct fl_config config;
    bool is_running; /* it answers on the control socket */
    bool is_foreign; /* the data directory is another user's */
    json_t *checks;
    size_t counts[4]; /* by status */
};

/* `mend` NULL where there is nothing to do. The text is one clause. */
void fl_doctor_say(struct fl_doctor *d, const char *check, enum fl_doctor_status status,
                   const char *mend, const char *fmt, ...) FL_PRINTF(5, 6);

/* ---- doctor_host.c: this machine ---- */
void fl_doctor_libraries(struct fl_doctor *d);
void fl_doctor_directories(struct fl_doctor *d);
void fl_doctor_disk(struct fl_doctor *d);
void fl_doctor_ports(struct fl_doctor *d);
void fl_doctor_tls(struct fl_doctor *d);
void fl_doctor_plugins(struct fl_doctor *d);
void fl_doctor_isolation(struct fl_doctor *d);
/* ---- doctor_database.c: PostgreSQL, keys, clock ---- */
void fl_doctor_database(struct fl_doctor *d);
/* ---- doctor_orgs.c: what only a running installation tells ---- */
void fl_doctor_organizations(struct fl_doctor *d);

#endif
