/* Blocking database work with powerful roles, outside the workers: bootstrap of roles, migrations,
 * the check of the keys at start, doctor's questions. Never in a request. One thread at a time for
 * each connection. */
#ifndef FLOPINIO_IO_PG_ADMIN_H
#define FLOPINIO_IO_PG_ADMIN_H

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

/* libpq's own structs, named without its header: only this folder includes that. */
struct pg_conn;
struct pg_result;

/* Connects, within 5 s for each address; of several hosts to the primary. The error text carries no
 * password. */
enum fl_code fl_admin_connect(const char *conninfo, struct pg_conn **ret,
                              struct fl_err *err) FL_MUST_CHECK;
void fl_admin_close(struct pg_conn **pg);
/* Does a server answer there (whatever it says)? */
bool fl_admin_answers(const char *conninfo);

/* Runs SQL that may be several statements; the last result is returned when ret is not NULL
 * (fl_admin_clear it). FL_DB_REFUSED: the server would not do it; FL_UNAVAILABLE: it was rolled
 * back as somebody else's locks and ours stood in each other's way, and may work the next time. */
enum fl_code fl_admin_exec(struct pg_conn *pg, const char *sql, struct pg_result **ret,
                           struct fl_err *err) FL_MUST_CHECK;
/* One statement with text parameters (NULL = null). */
enum fl_code fl_admin_query(struct pg_conn *pg, const char *sql, int count,
                            const char *const *values, struct pg_result **ret,
                            struct fl_err *err) FL_MUST_CHECK;
/* Appends the text as an SQL literal, for the commands that take no parameters. */
enum fl_code fl_admin_quote(struct pg_conn *pg, const char *text, struct fl_buf *out,
                            struct fl_err *err) FL_MUST_CHECK;

/* May the runtime use this connection's role and server? (pg.h says what is refused.) FL_CONFIG. */
enum fl_code fl_admin_check(struct pg_conn *pg, struct fl_err *err) FL_MUST_CHECK;
/* Appends the password as an SQL literal of its SCRAM verifier, so that no log of the server holds
 * it. */
enum fl_code fl_admin_verifier(struct pg_conn *pg, const char *role, const char *password,
                               struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Appends the connection's place as a URI: "postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE". */
void fl_admin_url(struct pg_conn *pg, const char *role, const char *password, const char *database,
                  struct fl_buf *out);
/* Sets the environment variables by which PostgreSQL's own programs find the place and the role of
 * a connection string: for a child between fork and exec. */
enum fl_code fl_admin_environment(const char *conninfo, struct fl_err *err) FL_MUST_CHECK;
/* Major version of the server. */
int fl_admin_version(struct pg_conn *pg);

int fl_admin_rows(const struct pg_result *res);
/* The cell's text, "" for null; until fl_admin_clear. */
const char *fl_admin_cell(const struct pg_result *res, int row, int col);
long long fl_admin_int(const struct pg_result *res, int row, int col);
void fl_admin_clear(struct pg_result **res);

#endif
