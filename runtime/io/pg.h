/* PostgreSQL on the loop: libpq, asynchronous, pipelined, prepared.
 *
 * A transaction (`struct fl_tx`) is a list of statements to which any module appends, then it is
 * run in one of two ways:
 *  - fl_tx_submit: all statements known beforehand. Transactions submitted during a loop turn leave
 *    as one batch up to one Sync (one commit), each behind its own organization setting; if the
 *    batch fails, its members are retried one by one, so that one bad row refuses nobody else's.
 *  - fl_tx_open, fl_tx_round, fl_tx_commit / fl_tx_rollback: read, decide in C, write, on a
 *    connection held exclusively. A round that fails is rolled back by itself.
 * Either way the outcome is FL_OK only after the commit was acknowledged; FL_AMBIGUOUS when the
 * connection was lost with the commit on its way; FL_UNAVAILABLE when nothing was committed for
 * lack of a database (the text says why); FL_DB_REFUSED when PostgreSQL refused a statement.
 * Each connection is refused for use when its role could bypass row security, fsync is off, or the
 * server is another version than this program is made for.
 * Loop thread only. */
#ifndef FLOPINIO_IO_PG_H
#define FLOPINIO_IO_PG_H

#include <libpq-fe.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/id.h"
#include "flopinio/base/op.h"
#include "runtime/io/loop.h"

#define FL_SQL_PARAMS 54
#define FL_PG_OLDEST  15 /* major versions of PostgreSQL */
#define FL_PG_NEWEST  17

/* One statement text; static, prepared once per connection under its name. */
struct fl_sql {
    const char *name;
    const char *text;
    int id; /* written on first use */
};

struct fl_query {
    struct fl_query *next;
    struct fl_sql *sql;
    int count;
    const char *values[FL_SQL_PARAMS];
    int lengths[FL_SQL_PARAMS];
    int formats[FL_SQL_PARAMS]; /* 0 text, 1 binary */
    PGresult *result;           /* owned by the transaction; valid until its next round or fini */
};

struct fl_pg;
struct fl_pg_conn;

struct fl_tx {
    struct fl_op *op; /* of the running submit, open, round, commit or rollback */
    struct fl_pg *pg;
    struct fl_arena *arena; /* parameters live here; the caller's, outlives the transaction */
    struct fl_list link;    /* a queue of the pool, or the members of a batch */
    struct fl_uuid organization;
    bool has_organization; /* false: no organization set, only installation tables visible */
    bool is_nomem;         /* an append failed; refused at the next start */
    bool is_begun;
    bool is_read_only; /* set by the caller: a lost reply is FL_UNAVAILABLE, not ambiguous */
    /* set by the caller, about its locks, so that no batch holds what another one waits for: */
    bool is_alone;       /* a submitted batch of its own */
    bool is_gated;       /* batched with its like only */
    bool is_round_over;  /* the next fl_tx_add starts a new round */
    int collisions;      /* times that it was rolled back for another one's sake, and run again */
    char sqlstate[6];    /* of the statement that PostgreSQL refused */
    char constraint[64]; /* that it violated, or "" */
    struct fl_query *first, *last;
    struct fl_pg_conn *conn; /* held exclusively, or running it now */
    struct fl_timer deadline;
    int64_t timeout_ms; /* waiting for a connection and running, together; 0 = default */
    struct fl_post post;
    enum fl_code post_code;
    struct fl_err err;
};

struct fl_pg_config {
    const char *conninfo;       /* libpq keyword string or URI of the app role */
    int shared_connections;     /* for submitted batches; default 2 */
    int exclusive_connections;  /* for open transactions; default 4 */
    int64_t timeout_ms;         /* default 8000 */
    int64_t connect_timeout_ms; /* of one attempt to connect, without resolving; default 5000 */
    const char *name;           /* application_name, copied; default "flopinio" */
    bool may_bypass_rls;        /* tests of the refusal only */
    /* Asked of each new connection before it is used: one statement with one row. What is not
     * admitted is not used, and tried again: FL_UNAVAILABLE, whose text callers are told. NULL:
     * none. */
    const char *admit_sql;
    enum fl_code (*admit)(void *ctx, const struct pg_result *row, struct fl_err *err);
    void *admit_ctx;
};

/* Copies the configuration; one shared connection starts connecting at once, the others when it is
 * up; they reconnect with jittered back-off. Each attempt is made with one server: the next of the
 * hosts that are listed, with each round through the list the next of a name's addresses. */
enum fl_code fl_pg_new(struct fl_loop *loop, const struct fl_pg_config *config, struct fl_pg **ret,
                       struct fl_err *err) FL_MUST_CHECK;
/* Fails everything queued and running, closes the connections; memory goes after the turn. */
void fl_pg_free(struct fl_pg **pg);
/* Any shared connection is up. When not, err (may be NULL) gets the last reason. */
bool fl_pg_is_up(const struct fl_pg *pg, struct fl_err *err);
/* A lasting reason not to serve (wrong role, fsync off, wrong schema): NULL or a sentence. */
const char *fl_pg_refusal(const struct fl_pg *pg);
/* Called from the loop each time a first connection comes up or the last one goes. */
void fl_pg_on_state(struct fl_pg *pg, void (*on_state)(void *ctx, bool is_up), void *ctx);
/* Notifications (LISTEN flopinio) on a connection of its own. on_notify(NULL) = the connection was
 * lost and came back: rescan. */
void fl_pg_listen(struct fl_pg *pg, void (*on_notify)(void *ctx, const char *payload), void *ctx);

struct fl_pg_stats {
    uint64_t batches, members, retried, opened, failed, reconnects;
    unsigned queued, up;
};
void fl_pg_stats(const struct fl_pg *pg, struct fl_pg_stats *ret);

/* ---- building ---- */
/* organization NULL = none. `arena` stays the caller's. */
void fl_tx_init(struct fl_tx *tx, struct fl_pg *pg, struct fl_arena *arena,
                const struct fl_uuid *organization);
/* One that was never inited, and may be handed to fl_tx_fini all the same. */
static inline void fl_tx_clear(struct fl_tx *tx)
{
    tx->op = NULL;
    tx->conn = NULL;
    tx->first = tx->last = NULL;
    tx->is_round_over = false;
}
/* Clears results (PQclear); needed once for every inited transaction; not while running. */
void fl_tx_fini(struct fl_tx *tx);
/* Appends a statement; never NULL: on no memory a dummy is returned and the start fails. */
struct fl_query *fl_tx_add(struct fl_tx *tx, struct fl_sql *sql);
void fl_bind_null(struct fl_query *q);
void fl_bind_uuid(struct fl_tx *tx, struct fl_query *q,
                  const struct fl_uuid *id); /* NULL or zero id: null */
void fl_bind_text(struct fl_tx *tx, struct fl_query *q, struct fl_str text);   /* p NULL: null */
void fl_bind_z(struct fl_tx *tx, struct fl_query *q, const char *text);        /* NULL: null */
void fl_bind_bytes(struct fl_tx *tx, struct fl_query *q, struct fl_str bytes); /* p NULL: null */
void fl_bind_int(struct fl_tx *tx, struct fl_query *q, int64_t value);
void fl_bind_bool(struct fl_tx *tx, struct fl_query *q, bool value);

/* One-dimensional array parameters, binary: append items, then bind. */
enum fl_array_type {
    FL_ARRAY_UUID = 2950,
    FL_ARRAY_BYTES = 17,
    FL_ARRAY_TEXT = 25,
    FL_ARRAY_INT8 = 20
};
struct fl_array {
    struct fl_buf buf;
    enum fl_array_type type;
    uint32_t count;
};
void fl_array_init(struct fl_array *array, enum fl_array_type type);
/* Room for so many items with so many bytes in all; more grows. */
void fl_array_reserve(struct fl_array *array, size_t count, size_t bytes);
void fl_array_put(struct fl_array *array, const void *bytes, size_t n); /* bytes NULL: null item */
void fl_array_put_int(struct fl_array *array, int64_t value);
/* Copies into the transaction's arena and frees the array. */
void fl_bind_array(struct fl_tx *tx, struct fl_query *q, struct fl_array *array);

/* ---- running: op as in op.h ---- */
enum fl_code fl_tx_submit(struct fl_op *op, struct fl_tx *tx) FL_MUST_CHECK;
/* Waits for an exclusive connection. */
enum fl_code fl_tx_open(struct fl_op *op, struct fl_tx *tx) FL_MUST_CHECK;
/* Runs what was added since the last round, inside the transaction (BEGIN goes in front of the
 * first). The queries of the round before are forgotten when the next statement is added. */
enum fl_code fl_tx_round(struct fl_op *op, struct fl_tx *tx) FL_MUST_CHECK;
/* Runs what was added, then COMMIT; the connection goes back whatever happens. */
enum fl_code fl_tx_commit(struct fl_op *op, struct fl_tx *tx) FL_MUST_CHECK;
/* Gives an open transaction up without waiting; harmless when none is open. */
void fl_tx_abandon(struct fl_tx *tx);

/* ---- behind an FL_AMBIGUOUS ---- */
/* How many connections were lost so far with a commit on its way: each may have left a backend at
 * work, which the pool ends as soon as it has another connection. */
uint64_t fl_pg_lost(const struct fl_pg *pg);
/* Are the backends of the first `lost` of them gone? A transaction that begins now sees all that
 * ever comes of what was ambiguous when that was their number; before, it may still be committed.
 */
bool fl_pg_are_gone(const struct fl_pg *pg, uint64_t lost);

/* ---- results of a query, text format ---- */
int fl_rows(const struct fl_query *q);
int64_t fl_rows_affected(const struct fl_query *q);
bool fl_cell_is_null(const struct fl_query *q, int row, int col);
struct fl_str fl_cell(const struct fl_query *q, int row,
                      int col); /* null: {NULL,0}; lives as the result */
int64_t fl_cell_int(const struct fl_query *q, int row, int col); /* null: 0 */
bool fl_cell_bool(const struct fl_query *q, int row, int col);
struct fl_uuid fl_cell_uuid(const struct fl_query *q, int row, int col); /* null: zero */
/* Decodes bytea's hex form into the arena; null: p NULL. */
struct fl_str fl_cell_bytes(const struct fl_query *q, struct fl_arena *arena, int row, int col);

#endif
