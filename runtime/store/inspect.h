/* Questions that `doctor` asks a database, as the app role. Each is one statement that returns a
 * row for each thing that is wrong. Blocking. */
#ifndef FLOPINIO_STORE_INSPECT_H
#define FLOPINIO_STORE_INSPECT_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

struct pg_conn;

struct fl_inspection {
    const char *check; /* the line of the table that it belongs to */
    bool is_grave;     /* what it finds must be mended; else it is a warning */
    const char *sql;
    const char *mend;
    const char
        *fine; /* what is said when none of a check's questions found anything; in its first */
};
/* Ends with a NULL check. */
extern const struct fl_inspection fl_inspections[];

/* Runs one: *ret is what was found, "; " between, and how many. */
enum fl_code fl_inspect(struct pg_conn *pg, const struct fl_inspection *inspection,
                        struct fl_buf *ret, int *ret_count, struct fl_err *err) FL_MUST_CHECK;
/* The server's clock against ours, as near as the fastest of a few questions tells: positive, the
 * server is ahead. */
enum fl_code fl_inspect_clock(struct pg_conn *pg, int64_t *ret_ahead_ms,
                              struct fl_err *err) FL_MUST_CHECK;
/* "15.20 (Debian ...)" */
enum fl_code fl_inspect_version(struct pg_conn *pg, struct fl_buf *ret,
                                struct fl_err *err) FL_MUST_CHECK;
/* Agents whose calls of the last 30 days came from the runtime's own operating-system user, as
 * "organization/agent" with ", " between; empty: none. */
enum fl_code fl_inspect_near_agents(struct pg_conn *pg, struct fl_buf *ret,
                                    struct fl_err *err) FL_MUST_CHECK;

#endif
