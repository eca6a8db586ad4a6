/* Shared by pg.c (the pool), pg_conn.c (one connection), pg_dial.c (the way to a server), pg_lost.c
 * (what a connection may leave behind) and pg_tx.c (the builder). */
#ifndef FLOPINIO_IO_PG_PRIV_H
#define FLOPINIO_IO_PG_PRIV_H

#include "runtime/io/pg.h"

#define FL_SQL_MAX 512 /* statements in the program */

enum fl_pg_kind { FL_PG_SHARED, FL_PG_EXCLUSIVE, FL_PG_LISTEN };

enum fl_pg_conn_state {
    FL_PG_DOWN,       /* waiting for the retry timer */
    FL_PG_CONNECTING, /* resolving or in PQconnectPoll */
    FL_PG_SETUP,      /* checking role and server */
    FL_PG_IDLE,
    FL_PG_BUSY, /* a unit is running */
    FL_PG_HELD  /* exclusive, between rounds */
};

/* What the running unit is: decides what a lost connection means for its members. */
enum fl_pg_unit {
    FL_PG_UNIT_NONE,
    FL_PG_UNIT_GROUP,   /* members up to one Sync: commits at the Sync */
    FL_PG_UNIT_ROUND,   /* inside an explicit transaction */
    FL_PG_UNIT_COMMIT,  /* the round that ends with COMMIT */
    FL_PG_UNIT_ROLLBACK /* cleaning up; its result is not reported */
};

enum fl_pg_expected_kind {
    FL_PG_E_PREPARE,
    FL_PG_E_PLAIN,
    FL_PG_E_QUERY,
    FL_PG_E_COMMIT,
    FL_PG_E_SYNC
};

struct fl_pg_expected {
    enum fl_pg_expected_kind kind;
    struct fl_tx *tx;
    struct fl_query *query;
    struct fl_sql *sql;
};

struct fl_pg_conn {
    struct fl_pg *pool;
    enum fl_pg_kind kind;
    enum fl_pg_conn_state state;
    bool is_checked; /* in FL_PG_SETUP: its role and server are fine */
    PGconn *pg;
    uv_poll_t *poll;
    int fd;
    int events;
    struct fl_timer retry;
    struct fl_timer deadline; /* of connecting and of cleaning up */
    unsigned attempts;        /* since it was up */
    unsigned tried; /* those of them that reached no server to be used: says whose turn it is */
    uint8_t prepared[FL_SQL_MAX / 8];
    struct fl_tx *holder;   /* the open transaction that holds it exclusively */
    struct fl_post breaker; /* a send failed inside a start: break from the loop */
    char break_reason[200];
    struct fl_list members;      /* transactions of the running unit, in order */
    struct fl_list alone;        /* members of a failed group, to be run one by one */
    struct fl_uuid organization; /* set in the database transaction that is being sent */
    bool has_organization;
    enum fl_pg_unit unit;
    struct fl_pg_expected *expected;
    size_t expected_head, expected_count, expected_cap;
    bool is_separator_due; /* PQgetResult owes a NULL before the next result */
    bool is_unit_failed;
    struct fl_err unit_err;
    uv_getaddrinfo_t *resolving;   /* the host's name; its callback frees it */
    struct fl_pg_backend *backend; /* at the other end, once it is checked */
};

/* One host of the database url's list; NULL or "": libpq's default. Inside the pool's options. */
struct fl_pg_host {
    const char *name;    /* or an address, or the directory of a unix socket */
    const char *address; /* hostaddr */
    const char *port;
    bool is_told; /* since the database was up: why it cannot be used is in the log */
};

/* Backends that may commit what nobody waits for any more, the first lost in front. */
struct fl_pg_lost {
    struct fl_list backends; /* fl_pg_backend */
    uint64_t count;          /* that were ever lost */
    uint64_t asked;          /* how many that were when it was asked */
    struct fl_timer again;
    int64_t pause_ms;
    bool may_only_look; /* the server does not let them be ended */
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena; /* while it is asked */
    struct fl_query *q;
};

struct fl_pg {
    struct fl_loop *loop;
    PQconninfoOption *options;
    struct fl_pg_host *hosts;
    unsigned host_count; /* at least 1 */
    struct fl_pg_config config;
    char name[64];
    struct fl_pg_conn *conns;
    int conn_count;
    struct fl_list submitted; /* fl_tx, waiting for a shared connection */
    struct fl_list waiting;   /* fl_tx, waiting for an exclusive connection */
    struct fl_post turn;
    struct fl_pg_lost lost;
    struct fl_pg_stats stats;
    struct fl_err last_error;
    char refusal[FL_ERR_TEXT_BYTES];
    bool is_up, is_closing;
    bool has_begun; /* the first connection was up once, so that the others connect too */
    void (*on_state)(void *ctx, bool is_up);
    void *on_state_ctx;
    void (*on_notify)(void *ctx, const char *payload);
    void *on_notify_ctx;
    struct fl_retired retired;
};

/* ---- pg_conn.c ---- */
void fl_pg_conn_init(struct fl_pg_conn *conn, struct fl_pg *pool, enum fl_pg_kind kind);
void fl_pg_conn_start(struct fl_pg_conn *conn);
/* Closes it now; members of the running unit get their end; `why` is shown to them. */
void fl_pg_conn_break(struct fl_pg_conn *conn, const char *why);
void fl_pg_conn_close(struct fl_pg_conn *conn);
void fl_pg_conn_fini(struct fl_pg_conn *conn);
/* Runs conn->members as one group. */
void fl_pg_conn_group(struct fl_pg_conn *conn);
/* Runs the round of the one member; with_commit: COMMIT behind it. */
void fl_pg_conn_round(struct fl_pg_conn *conn, struct fl_tx *tx, bool with_commit);
void fl_pg_conn_rollback(struct fl_pg_conn *conn);
/* For pg_dial.c. Ends an attempt to connect: the next one is scheduled; `why` is for the log. */
void fl_pg_conn_fail(struct fl_pg_conn *conn, const char *why);
bool fl_pg_conn_watch(struct fl_pg_conn *conn, int events) FL_MUST_CHECK;

/* ---- pg_dial.c ---- */
/* Takes the list apart. FL_CONFIG: it does not fit together. */
enum fl_code fl_pg_hosts_init(struct fl_pg *pool, struct fl_err *err) FL_MUST_CHECK;
/* The one that is tried now, or next. */
struct fl_pg_host *fl_pg_host_of(const struct fl_pg_conn *conn);
/* Resolves, makes conn->pg and watches it, or fails; each under a deadline of its own. */
void fl_pg_dial(struct fl_pg_conn *conn);
/* Lets go of a name that is being resolved; false: there was none. */
bool fl_pg_dial_cancel(struct fl_pg_conn *conn);

/* ---- pg.c ---- */
void fl_pg_became_idle(struct fl_pg_conn *conn);
void fl_pg_became_down(struct fl_pg_conn *conn);
void fl_pg_became_up(struct fl_pg_conn *conn);
/* The one completion of a transaction's operation. */
void fl_pg_finish(struct fl_tx *tx, enum fl_code code, const struct fl_err *err);

/* ---- pg_lost.c ---- */
/* Microseconds, for comparing; 0 where the server does not say it to this role. */
#define FL_PG_BEGAN(at) "coalesce((date_part('epoch', " at ") * 1000000)::bigint, 0)"

void fl_pg_lost_init(struct fl_pg *pg);
void fl_pg_lost_fini(struct fl_pg *pg);
/* Who is at the other end, from the row of fl_pg_check_sql. False: no memory. */
bool fl_pg_backend_know(struct fl_pg_conn *conn, const PGresult *res);
/* The connection breaks: what its unit may yet commit is ended. */
void fl_pg_backend_lost(struct fl_pg_conn *conn);

/* ---- pg_check.c: what must hold of every connection before it is used ---- */
extern const char fl_pg_check_sql[];
/* Its one row. FL_CONFIG: never to be used; FL_UNAVAILABLE: not now. */
enum fl_code fl_pg_check(const PGresult *res, bool may_bypass_rls,
                         struct fl_err *err) FL_MUST_CHECK;

#endif
