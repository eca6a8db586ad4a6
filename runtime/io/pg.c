/* The pool: queues of transactions, connections that run them, up and down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg_priv.h"

#define DEFAULT_TIMEOUT_MS 8000
#define CONNECT_TIMEOUT_MS 5000
#define GROUP_MAX          128 /* members of one batch */
#define APART_MS           25  /* of each other the connections begin, behind the first */

static void on_turn(struct fl_post *post);
static void on_tx_deadline(struct fl_timer *timer);
static void on_tx_post(struct fl_post *post);

enum fl_code fl_pg_new(struct fl_loop *loop, const struct fl_pg_config *config, struct fl_pg **ret,
                       struct fl_err *err)
{
    char *why = NULL;
    struct fl_pg *pg = fl_calloc(1, sizeof *pg);
    if (!pg)
        return fl_err_code(err, FL_NOMEM);
    pg->loop = loop;
    pg->config = *config;
    pg->config.conninfo = NULL;
    snprintf(pg->name, sizeof pg->name, "%s", config->name ? config->name : "flopinio");
    pg->config.name = pg->name;
    if (pg->config.shared_connections <= 0)
        pg->config.shared_connections = 2;
    if (pg->config.exclusive_connections <= 0)
        pg->config.exclusive_connections = 4;
    if (pg->config.timeout_ms <= 0)
        pg->config.timeout_ms = DEFAULT_TIMEOUT_MS;
    if (pg->config.connect_timeout_ms <= 0)
        pg->config.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    fl_list_init(&pg->submitted);
    fl_list_init(&pg->waiting);
    fl_pg_lost_init(pg);
    pg->turn.run = on_turn;
    pg->options = PQconninfoParse(config->conninfo, &why);
    pg->conn_count = pg->config.shared_connections + pg->config.exclusive_connections + 1;
    pg->conns = fl_calloc((size_t)pg->conn_count, sizeof *pg->conns);
    /* The text may quote the string, and with it a password: say only what is wrong. */
    enum fl_code code = !pg->conns ? fl_err_code(err, FL_NOMEM)
                        : !pg->options
                            ? fl_err_set(err, FL_CONFIG, "the database url cannot be read")
                            : fl_pg_hosts_init(pg, err);
    PQfreemem(why);
    if (code) {
        PQconninfoFree(pg->options);
        fl_free(pg->conns);
        fl_free(pg);
        return code;
    }
    for (int i = 0; i < pg->conn_count; i++) {
        enum fl_pg_kind kind = i < pg->config.shared_connections ? FL_PG_SHARED
                               : i + 1 < pg->conn_count          ? FL_PG_EXCLUSIVE
                                                                 : FL_PG_LISTEN;
        fl_pg_conn_init(&pg->conns[i], pg, kind);
    }
    fl_pg_conn_start(&pg->conns[0]);
    *ret = pg;
    return FL_OK;
}

static void release(void *owner)
{
    struct fl_pg *pg = owner;
    for (int i = 0; i < pg->conn_count; i++)
        fl_pg_conn_fini(&pg->conns[i]);
    fl_pg_lost_fini(pg);
    PQconninfoFree(pg->options);
    fl_free(pg->hosts);
    fl_free(pg->conns);
    fl_free(pg);
}

static void fail_queue(struct fl_list *queue)
{
    struct fl_err err;
    fl_err_set(&err, FL_UNAVAILABLE, "the runtime is stopping");
    while (!fl_list_is_empty(queue)) {
        struct fl_tx *tx = FL_CONTAINER(queue->next, struct fl_tx, link);
        fl_list_remove(&tx->link);
        fl_pg_finish(tx, FL_UNAVAILABLE, &err);
    }
}

void fl_pg_free(struct fl_pg **pg_ptr)
{
    struct fl_pg *pg = *pg_ptr;
    if (!pg)
        return;
    *pg_ptr = NULL;
    pg->is_closing = true;
    pg->on_state = NULL;
    pg->on_notify = NULL;
    fail_queue(&pg->submitted);
    fail_queue(&pg->waiting);
    for (int i = 0; i < pg->conn_count; i++)
        fl_pg_conn_close(&pg->conns[i]);
    fl_loop_post_cancel(pg->loop, &pg->turn);
    fl_loop_timer_cancel(pg->loop, &pg->lost.again);
    fl_loop_retire(pg->loop, &pg->retired, release, pg);
}

bool fl_pg_is_up(const struct fl_pg *pg, struct fl_err *err)
{
    if (!pg->is_up && err) {
        if (pg->last_error.code)
            *err = pg->last_error;
        else
            fl_err_set(err, FL_UNAVAILABLE, "the database is not connected yet");
    }
    return pg->is_up;
}

const char *fl_pg_refusal(const struct fl_pg *pg)
{
    return pg->refusal[0] ? pg->refusal : NULL;
}

void fl_pg_on_state(struct fl_pg *pg, void (*on_state)(void *ctx, bool is_up), void *ctx)
{
    pg->on_state = on_state;
    pg->on_state_ctx = ctx;
}

void fl_pg_listen(struct fl_pg *pg, void (*on_notify)(void *ctx, const char *payload), void *ctx)
{
    pg->on_notify = on_notify;
    pg->on_notify_ctx = ctx;
}

void fl_pg_stats(const struct fl_pg *pg, struct fl_pg_stats *ret)
{
    *ret = pg->stats;
    FL_LIST_FOREACH (a, &pg->submitted)
        ret->queued++;
    FL_LIST_FOREACH (b, &pg->waiting)
        ret->queued++;
    for (int i = 0; i < pg->conn_count; i++)
        ret->up += pg->conns[i].state >= FL_PG_IDLE;
}

/* ---- connections report ---- */
static void update_up(struct fl_pg *pg)
{
    bool is_up = false;
    for (int i = 0; i < pg->config.shared_connections; i++)
        is_up |= pg->conns[i].state >= FL_PG_IDLE;
    if (is_up == pg->is_up)
        return;
    pg->is_up = is_up;
    if (is_up) {
        pg->last_error.code = FL_OK;
        for (unsigned i = 0; i < pg->host_count; i++)
            pg->hosts[i].is_told = false;
        FL_LOG(INFO, "database_up", FL_KI("connections", pg->conn_count));
    }
    if (pg->on_state)
        pg->on_state(pg->on_state_ctx, is_up);
}

/* Signing in takes milliseconds of the loop's time and a process of the server each: all at once,
 * the first would have to wait for the last, and with it whoever could be served by one. Then one
 * for open transactions, then the one that listens. */
static void begin_others(struct fl_pg *pg)
{
    int64_t next = 3;
    if (pg->has_begun)
        return;
    pg->has_begun = true;
    for (int i = 1; i < pg->conn_count; i++) {
        int64_t turn = i == pg->config.shared_connections ? 1
                       : i + 1 == pg->conn_count          ? 2
                                                          : next++;
        fl_loop_timer(pg->loop, &pg->conns[i].retry, turn * APART_MS);
    }
}

void fl_pg_became_up(struct fl_pg_conn *conn)
{
    begin_others(conn->pool);
    update_up(conn->pool);
    if (conn->kind != FL_PG_LISTEN)
        fl_pg_became_idle(conn);
    else if (conn->pool->on_notify)
        conn->pool->on_notify(conn->pool->on_notify_ctx, NULL);
}

void fl_pg_became_down(struct fl_pg_conn *conn)
{
    update_up(conn->pool);
}

/* Hands the connection to the transaction that waited longest. */
static void serve_waiting(struct fl_pg_conn *conn)
{
    struct fl_pg *pg = conn->pool;
    if (fl_list_is_empty(&pg->waiting))
        return;
    struct fl_tx *tx = FL_CONTAINER(pg->waiting.next, struct fl_tx, link);
    fl_list_remove(&tx->link);
    conn->state = FL_PG_HELD;
    conn->holder = tx;
    tx->conn = conn;
    pg->stats.opened++;
    fl_pg_finish(tx, FL_OK, NULL);
}

void fl_pg_became_idle(struct fl_pg_conn *conn)
{
    struct fl_pg *pg = conn->pool;
    if (pg->is_closing)
        return;
    if (conn->kind == FL_PG_EXCLUSIVE)
        serve_waiting(conn);
    else if (!fl_list_is_empty(&pg->submitted))
        fl_loop_at_turn_end(pg->loop, &pg->turn);
}

/* May it join the batch that `first` begins? */
static bool goes_with(const struct fl_tx *first, const struct fl_tx *tx)
{
    return tx == first || (!first->is_alone && !tx->is_alone && first->is_gated == tx->is_gated);
}

/* The oldest transaction and, in their order, those that go with it. */
static void take_batch(struct fl_pg *pg, struct fl_pg_conn *conn)
{
    const struct fl_tx *first = FL_CONTAINER(pg->submitted.next, struct fl_tx, link);
    int count = 0, most = first->is_alone ? 1 : GROUP_MAX;
    FL_LIST_FOREACH_SAFE (link, &pg->submitted) {
        if (count == most)
            break;
        if (!goes_with(first, FL_CONTAINER(link, struct fl_tx, link)))
            continue;
        fl_list_remove(link);
        fl_list_push_back(&conn->members, link);
        pg->stats.members++;
        count++;
    }
}

/* End of the turn: what has gathered leaves, one batch a free connection. */
static void on_turn(struct fl_post *post)
{
    struct fl_pg *pg = FL_CONTAINER(post, struct fl_pg, turn);
    for (int i = 0; i < pg->config.shared_connections; i++) {
        struct fl_pg_conn *conn = &pg->conns[i];
        if (conn->state != FL_PG_IDLE || fl_list_is_empty(&pg->submitted))
            continue;
        take_batch(pg, conn);
        fl_pg_conn_group(conn);
    }
}

/* ---- transactions ---- */
void fl_pg_finish(struct fl_tx *tx, enum fl_code code, const struct fl_err *err)
{
    struct fl_op *op = tx->op;
    FL_ASSERT(op);
    if (code && err)
        op->err = *err;
    if (code)
        tx->pg->stats.failed++;
    tx->op = NULL;
    tx->is_round_over = true;
    fl_loop_timer_cancel(tx->pg->loop, &tx->deadline);
    fl_loop_post_cancel(tx->pg->loop, &tx->post);
    fl_op_finish(op, code);
}

static enum fl_code start(struct fl_op *op, struct fl_tx *tx)
{
    FL_ASSERT(!tx->op);
    if (tx->is_nomem)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_op_start(op, NULL, tx);
    tx->op = op;
    if (!tx->post.run)
        tx->post.run = on_tx_post;
    if (!tx->deadline.fire)
        fl_timer_init(&tx->deadline, on_tx_deadline);
    fl_loop_timer(tx->pg->loop, &tx->deadline,
                  tx->timeout_ms > 0 ? tx->timeout_ms : tx->pg->config.timeout_ms);
    return FL_OK;
}

static void on_tx_deadline(struct fl_timer *timer)
{
    struct fl_tx *tx = FL_CONTAINER(timer, struct fl_tx, deadline);
    if (tx->conn) {
        fl_pg_conn_break(tx->conn, "no answer in time");
        return;
    }
    struct fl_err err;
    if (tx->pg->is_up || tx->pg->last_error.code == FL_OK)
        fl_err_set(&err, FL_UNAVAILABLE, "no database connection became free in time");
    else
        err = tx->pg->last_error;
    fl_list_remove(&tx->link);
    fl_pg_finish(tx, FL_UNAVAILABLE, &err);
}

/* Completes, from the loop, an operation that had its result at the start. */
static void on_tx_post(struct fl_post *post)
{
    struct fl_tx *tx = FL_CONTAINER(post, struct fl_tx, post);
    fl_pg_finish(tx, tx->post_code, &tx->err);
}

static enum fl_code post_down(struct fl_tx *tx)
{
    (void)fl_pg_is_up(tx->pg, &tx->err);
    tx->post_code = FL_UNAVAILABLE;
    fl_loop_post(tx->pg->loop, &tx->post);
    return FL_OK;
}

enum fl_code fl_tx_submit(struct fl_op *op, struct fl_tx *tx)
{
    FL_ASSERT(!tx->conn && (tx->first || tx->is_nomem));
    enum fl_code code = start(op, tx);
    if (code)
        return code;
    if (!tx->pg->is_up)
        return post_down(tx); /* do not hold callers while the database is known to be away */
    fl_list_push_back(&tx->pg->submitted, &tx->link);
    fl_loop_at_turn_end(tx->pg->loop, &tx->pg->turn);
    return FL_OK;
}

enum fl_code fl_tx_open(struct fl_op *op, struct fl_tx *tx)
{
    FL_ASSERT(!tx->conn);
    enum fl_code code = start(op, tx);
    if (code)
        return code;
    if (!tx->pg->is_up)
        return post_down(tx);
    struct fl_pg *pg = tx->pg;
    for (int i = pg->config.shared_connections; i + 1 < pg->conn_count; i++) {
        if (pg->conns[i].state != FL_PG_IDLE)
            continue;
        pg->conns[i].state = FL_PG_HELD;
        pg->conns[i].holder = tx;
        tx->conn = &pg->conns[i];
        pg->stats.opened++;
        tx->post_code = FL_OK;
        fl_loop_post(pg->loop, &tx->post);
        return FL_OK;
    }
    fl_list_push_back(&pg->waiting, &tx->link);
    return FL_OK;
}

static enum fl_code run_round(struct fl_op *op, struct fl_tx *tx, bool with_commit)
{
    if (!tx->conn)
        return fl_err_set(&op->err, FL_UNAVAILABLE, "the connection to the database was lost");
    if (tx->is_nomem) {
        fl_tx_abandon(tx);
        return fl_err_code(&op->err, FL_NOMEM);
    }
    if (tx->is_round_over && with_commit) {
        /* Nothing was added since the last round: only the COMMIT is left. */
        for (struct fl_query *q = tx->first; q; q = q->next)
            PQclear(q->result);
        tx->first = tx->last = NULL;
    }
    enum fl_code code = start(op, tx);
    if (code)
        return code;
    fl_pg_conn_round(tx->conn, tx, with_commit);
    return FL_OK;
}

enum fl_code fl_tx_round(struct fl_op *op, struct fl_tx *tx)
{
    FL_ASSERT((tx->first || tx->is_nomem) && !tx->is_round_over);
    return run_round(op, tx, false);
}

enum fl_code fl_tx_commit(struct fl_op *op, struct fl_tx *tx)
{
    return run_round(op, tx, true);
}

void fl_tx_abandon(struct fl_tx *tx)
{
    struct fl_pg_conn *conn = tx->conn;
    FL_ASSERT(!tx->op);
    if (!conn)
        return;
    tx->conn = NULL;
    conn->holder = NULL;
    if (tx->is_begun) {
        fl_pg_conn_rollback(conn);
    } else {
        conn->state = FL_PG_IDLE;
        fl_pg_became_idle(conn);
    }
    tx->is_begun = false;
}
