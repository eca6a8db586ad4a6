/* A real private cluster in a temporary directory, and a pool on it. */
#ifndef FLOPINIO_UNIT_PG_FIXTURE_H
#define FLOPINIO_UNIT_PG_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/io/pg.h"
#include "runtime/io/pg_admin.h"
#include "runtime/io/pg_priv.h"
#include "runtime/store/cluster.h"
#include "runtime/store/migrate.h"

static char data_dir[64];

/* One cluster for the whole program: made by the first case, kept by number of the parent. */
static struct fl_cluster *cluster(void)
{
    static struct fl_cluster *c;
    struct fl_err err = { 0 };
    if (c)
        return c;
    snprintf(data_dir, sizeof data_dir, "/var/tmp/fl-test-pg-%d", (int)getppid());
    mkdir(data_dir, 0755);
    enum fl_code code =
        fl_cluster_start(&(struct fl_cluster_config){ .data_dir = data_dir }, &c, &err);
    if (code == FL_CONFIG && strstr(err.text, "not installed"))
        fl_test_skip(err.text);
    CHECK_MSG(code == FL_OK, "%s", err.text);
    return c;
}

static char *conninfo(const char *role)
{
    struct fl_buf b = FL_BUF_INIT;
    struct fl_err err = { 0 };
    CHECK_OK(fl_cluster_conninfo(cluster(), role, &b, &err));
    if (strcmp(role, "super") != 0)
        fl_buf_puts(&b, " options=-csearch_path=flopinio");
    return fl_buf_take(&b, NULL);
}

static void migrate(void)
{
    char *info = conninfo("owner");
    struct pg_conn *pg;
    int from, to;
    struct fl_err err = { 0 };
    CHECK_OK(fl_admin_connect(info, &pg, &err));
    enum fl_code code = fl_migrate_run(pg, &from, &to, &err);
    CHECK_MSG(code == FL_OK, "%s", err.text);
    CHECK_INT(to, fl_schema_version());
    fl_admin_close(&pg);
    fl_free(info);
}

static void sql_as(const char *role, const char *sql)
{
    char *info = conninfo(role);
    struct pg_conn *pg;
    struct fl_err err = { 0 };
    CHECK_OK(fl_admin_connect(info, &pg, &err));
    enum fl_code code = fl_admin_exec(pg, sql, NULL, &err);
    CHECK_MSG(code == FL_OK, "%s", err.text);
    fl_admin_close(&pg);
    fl_free(info);
}

struct waiter {
    struct fl_op op;
    struct fl_loop *loop;
    bool is_done;
    enum fl_code code;
    struct fl_err err;
};
static void on_done(struct fl_op *op)
{
    struct waiter *w = FL_CONTAINER(op, struct waiter, op);
    w->is_done = true;
    w->code = op->code;
    w->err = op->err;
}
static void spin(struct fl_loop *loop, bool *flag)
{
    while (!*flag)
        uv_run(&loop->uv, UV_RUN_ONCE);
}
static enum fl_code await(struct waiter *w, enum fl_code started)
{
    if (started)
        return started;
    spin(w->loop, &w->is_done);
    w->is_done = false;
    return w->code;
}

struct world {
    struct fl_loop loop;
    struct fl_pg *pg;
    struct fl_arena *arena;
    struct waiter w;
    bool is_up;
};
static void on_state(void *ctx, bool is_up)
{
    ((struct world *)ctx)->is_up = is_up;
}
static void open_world(struct world *x, const char *role)
{
    struct fl_err err = { 0 };
    char *info = conninfo(role);
    memset(x, 0, sizeof *x);
    CHECK_OK(fl_loop_init(&x->loop, &err));
    CHECK_OK(fl_pg_new(&x->loop, &(struct fl_pg_config){ .conninfo = info }, &x->pg, &err));
    fl_free(info);
    fl_pg_on_state(x->pg, on_state, x);
    x->arena = fl_arena_new(0);
    x->w = (struct waiter){ .op.done = on_done, .loop = &x->loop };
}
static void close_world(struct world *x)
{
    fl_pg_free(&x->pg);
    fl_arena_free(&x->arena);
    CHECK_INT(fl_loop_fini(&x->loop), 0);
}

static struct fl_sql sql_put = { "t_put",
                                 "INSERT INTO worker (id, node, pid, version) "
                                 "VALUES ($1, $2, $3, 'test')",
                                 0 };
static struct fl_sql sql_count = { "t_count", "SELECT count(*) FROM worker WHERE node = $1", 0 };
static struct fl_sql sql_sleep = { "t_sleep", "SELECT pg_sleep($1::float8)", 0 };

static struct fl_query *put(struct fl_tx *tx, const char *node, int64_t pid)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    struct fl_uuid id = fl_uuid_new();
    fl_bind_uuid(tx, q, &id);
    fl_bind_z(tx, q, node);
    fl_bind_int(tx, q, pid);
    return q;
}

static int64_t count(struct world *x, const char *node)
{
    struct fl_tx tx;
    fl_tx_init(&tx, x->pg, x->arena, NULL);
    struct fl_query *q = fl_tx_add(&tx, &sql_count);
    fl_bind_z(&tx, q, node);
    CHECK_OK(await(&x->w, fl_tx_submit(&x->w.op, &tx)));
    int64_t n = fl_cell_int(q, 0, 0);
    fl_tx_fini(&tx);
    return n;
}

/* The last case of each program. */
static void test_zz_the_cluster_stops(void)
{
    struct fl_err err = { 0 };
    char command[128];
    struct fl_cluster *c = cluster();
    CHECK_OK(fl_cluster_stop(c, 20000, &err));
    CHECK(!fl_cluster_is_running(c));
    snprintf(command, sizeof command, "rm -rf '%s'", data_dir);
    CHECK(system(command) == 0);
    fl_cluster_free(&c);
}

#endif
