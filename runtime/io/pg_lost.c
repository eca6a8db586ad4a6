/* Backends that lost connections left at work. One that has the whole of a transaction in front of
 * it may not notice that nobody waits for the answer, and commit whenever it comes to it: behind a
 * lock, or when the server has time again. So it is ended, over another connection; until it is
 * gone a row that is not there proves nothing (fl_pg_are_gone). */
#include <string.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg_priv.h"

#define AGAIN_MS     20 /* to the next look whether it is gone; then twice as long */
#define AGAIN_MAX_MS 1000
#define AWAY_MS      200 /* while nobody can be asked */

/* Known by its number and by when it began: numbers are used again. What stands there has not ended
 * its transaction; what has left the list has committed or never will. A backend whose commit only
 * waits for a standby has committed here, and is left to that. */
#define THERE                                                                                      \
    " FROM pg_stat_activity a, unnest($1::bigint[], $2::bigint[], $3::bigint[]) "                  \
    "l (number, pid, began) WHERE a.pid = l.pid AND " FL_PG_BEGAN("a.backend_start") " = l.began"
static struct fl_sql sql_look = { "backends_look", "SELECT l.number" THERE, 0 };
static struct fl_sql sql_end = { "backends_end",
                                 "SELECT l.number, CASE WHEN a.wait_event IS DISTINCT FROM "
                                 "'SyncRep' THEN pg_terminate_backend(a.pid) END" THERE,
                                 0 };

struct fl_pg_backend {
    struct fl_list link;
    uint64_t number; /* of those that were lost, from 1 */
    int64_t pid, began_us;
};

static void on_again(struct fl_timer *timer);
static void on_asked(struct fl_op *op);

void fl_pg_lost_init(struct fl_pg *pg)
{
    fl_list_init(&pg->lost.backends);
    fl_timer_init(&pg->lost.again, on_again);
}

static void forget(struct fl_pg_backend *b)
{
    fl_list_remove(&b->link);
    fl_free(b);
}

void fl_pg_lost_fini(struct fl_pg *pg)
{
    while (!fl_list_is_empty(&pg->lost.backends))
        forget(FL_CONTAINER(pg->lost.backends.next, struct fl_pg_backend, link));
}

bool fl_pg_backend_know(struct fl_pg_conn *conn, const PGresult *res)
{
    long long pid = 0, began_us = 0;
    if (!conn->backend && !(conn->backend = fl_calloc(1, sizeof *conn->backend)))
        return false;
    (void)!fl_str_to_i64(fl_str_of(PQgetvalue(res, 0, 5)), &pid);
    (void)!fl_str_to_i64(fl_str_of(PQgetvalue(res, 0, 6)), &began_us);
    *conn->backend = (struct fl_pg_backend){ .pid = pid, .began_us = began_us };
    return true;
}

void fl_pg_backend_lost(struct fl_pg_conn *conn)
{
    struct fl_pg *pg = conn->pool;
    bool may_commit = conn->unit == FL_PG_UNIT_GROUP || conn->unit == FL_PG_UNIT_COMMIT;
    if (!may_commit || pg->is_closing)
        return;
    FL_ASSERT(conn->backend);
    conn->backend->number = ++pg->lost.count;
    fl_list_push_back(&pg->lost.backends, &conn->backend->link);
    conn->backend = NULL; /* the next one is another */
    pg->lost.pause_ms = AGAIN_MS;
    fl_loop_timer(pg->loop, &pg->lost.again, 0);
}

uint64_t fl_pg_lost(const struct fl_pg *pg)
{
    return pg->lost.count;
}

bool fl_pg_are_gone(const struct fl_pg *pg, uint64_t lost)
{
    return fl_list_is_empty(&pg->lost.backends) ||
           FL_CONTAINER(pg->lost.backends.next, struct fl_pg_backend, link)->number > lost;
}

/* ---- asking ---- */
static enum fl_code ask(struct fl_pg *pg)
{
    struct fl_pg_lost *l = &pg->lost;
    struct fl_array numbers, pids, began;
    l->arena = fl_arena_new(0);
    if (!l->arena)
        return FL_NOMEM;
    l->asked = l->count;
    l->op = (struct fl_op){ .done = on_asked };
    fl_tx_init(&l->tx, pg, l->arena, NULL);
    l->tx.is_alone = l->tx.is_read_only = true;
    l->q = fl_tx_add(&l->tx, l->may_only_look ? &sql_look : &sql_end);
    fl_array_init(&numbers, FL_ARRAY_INT8);
    fl_array_init(&pids, FL_ARRAY_INT8);
    fl_array_init(&began, FL_ARRAY_INT8);
    FL_LIST_FOREACH (link, &l->backends) {
        const struct fl_pg_backend *b = FL_CONTAINER(link, struct fl_pg_backend, link);
        fl_array_put_int(&numbers, (int64_t)b->number);
        fl_array_put_int(&pids, b->pid);
        fl_array_put_int(&began, b->began_us);
    }
    fl_bind_array(&l->tx, l->q, &numbers);
    fl_bind_array(&l->tx, l->q, &pids);
    fl_bind_array(&l->tx, l->q, &began);
    return fl_tx_submit(&l->op, &l->tx);
}

static void end_asking(struct fl_pg_lost *l)
{
    if (l->arena)
        fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
}

static void on_again(struct fl_timer *timer)
{
    struct fl_pg *pg = FL_CONTAINER(timer, struct fl_pg, lost.again);
    if (pg->lost.arena || fl_list_is_empty(&pg->lost.backends))
        return; /* asking already: it goes on then */
    if (pg->is_up && ask(pg) == FL_OK)
        return;
    end_asking(&pg->lost);
    fl_loop_timer(pg->loop, &pg->lost.again, AWAY_MS);
}

static bool is_there(const struct fl_query *q, uint64_t number)
{
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_cell_int(q, i, 0) == (int64_t)number)
            return true;
    }
    return false;
}

static void on_asked(struct fl_op *op)
{
    struct fl_pg_lost *l = FL_CONTAINER(op, struct fl_pg_lost, op);
    struct fl_pg *pg = FL_CONTAINER(l, struct fl_pg, lost);
    int64_t pause_ms = AWAY_MS;
    if (op->code == FL_OK) {
        FL_LIST_FOREACH_SAFE (link, &l->backends) {
            struct fl_pg_backend *b = FL_CONTAINER(link, struct fl_pg_backend, link);
            if (b->number <= l->asked && !is_there(l->q, b->number))
                forget(b);
        }
        pause_ms = l->pause_ms;
        l->pause_ms = 2 * pause_ms < AGAIN_MAX_MS ? 2 * pause_ms : AGAIN_MAX_MS;
    } else if (op->code == FL_DB_REFUSED && strcmp(l->tx.sqlstate, "42501") == 0 &&
               !l->may_only_look) {
        l->may_only_look = true; /* it comes to its end by the server's own time limits */
        FL_LOG(WARN, "backend_not_ended", FL_KS("reason", op->err.text));
    }
    end_asking(l);
    if (!pg->is_closing && !fl_list_is_empty(&l->backends))
        fl_loop_timer(pg->loop, &l->again, pause_ms);
}
