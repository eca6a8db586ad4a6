/* What this node knows of its database: the file `epoch_file`, kept apart from the database, by
 * which a restored, moved or promoted one is told from the one that was here. While they differ the
 * installation is frozen: no connection to the database is used, so that nothing runs and nobody
 * decides, until `flopinio recover` writes the file anew. Blocking, but short. Any thread; one
 * writer at a time: the supervisor, or `recover`. */
#ifndef FLOPINIO_CLI_KNOWN_H
#define FLOPINIO_CLI_KNOWN_H

#include "runtime/cli/config.h"
#include "runtime/store/epoch.h"

#define FL_KNOWN_SAVE_MS 5000                      /* it is written so often */
#define FL_KNOWN_LATE_MS (FL_KNOWN_SAVE_MS + 2000) /* it may have worked so long after `at_ms` */

struct fl_known {
    struct fl_epoch epoch;
    int64_t at_ms;    /* when it was written, UTC */
    bool is_there;    /* false: there is no file */
    char frozen[200]; /* why it must stay frozen, whatever the database looks like by now; "" */
};

void fl_known_path(const struct fl_config *config, char *out, size_t size);
/* No file is not an error; FL_CONFIG: it cannot be read. */
enum fl_code fl_known_load(const struct fl_config *config, struct fl_known *ret,
                           struct fl_err *err) FL_MUST_CHECK;
/* Durable when it returns. */
enum fl_code fl_known_save(const struct fl_config *config, const struct fl_epoch *epoch,
                           const char *frozen, struct fl_err *err) FL_MUST_CHECK;
/* May this node work with a database that is `now`? FL_UNAVAILABLE says why it is frozen, in a
 * sentence for whoever calls. */
enum fl_code fl_known_judge(const struct fl_config *config, const struct fl_epoch *now,
                            struct fl_err *err) FL_MUST_CHECK;
/* The same; what could heal by itself with time, as an old database grows, is remembered in the
 * file. */
enum fl_code fl_known_admit(const struct fl_config *config, const struct fl_epoch *now,
                            struct fl_err *err) FL_MUST_CHECK;
/* Of one that was admitted: were rows loaded into the tables that are there? Then it is admitted no
 * more, which the file remembers. The code is that of looking: reads all organizations. */
enum fl_code fl_known_look(const struct fl_config *config, struct pg_conn *pg,
                           const struct fl_epoch *now, struct fl_err *err) FL_MUST_CHECK;
#define FL_KNOWN_LOADED "rows of the organization %s were loaded into its tables"

#endif
