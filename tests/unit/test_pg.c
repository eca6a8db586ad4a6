/* PostgreSQL on the loop, against a real private cluster in a temporary directory. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg_fixture.h"

static struct fl_sql sql_one = { "t_one", "SELECT $1::bigint + 1, $2::text, $3::bytea, $4::uuid",
                                 0 };
static struct fl_sql sql_bad = { "t_bad", "SELECT 1 / $1::int", 0 };
static struct fl_sql sql_array = { "t_array",
                                   "SELECT count(*), min(a), max(octet_length(b)) FROM "
                                   "unnest($1::bigint[], $2::bytea[]) AS t(a, b)",
                                   0 };
static struct fl_sql sql_org = { "t_org", "SELECT org()::text", 0 };
static struct fl_sql sql_notify = { "t_notify", "SELECT pg_notify('flopinio', $1)", 0 };

static void test_types_go_there_and_back(void)
{
    struct world x;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    struct fl_tx tx;
    struct fl_uuid id = fl_uuid_new();
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    struct fl_query *q = fl_tx_add(&tx, &sql_one);
    fl_bind_int(&tx, q, 41);
    fl_bind_z(&tx, q, "a'b\\c");
    fl_bind_bytes(&tx, q, (struct fl_str){ "\0\x01\xff", 3 });
    fl_bind_uuid(&tx, q, &id);
    struct fl_query *r = fl_tx_add(&tx, &sql_array);
    struct fl_array a, b;
    fl_array_init(&a, FL_ARRAY_INT8);
    fl_array_init(&b, FL_ARRAY_BYTES);
    for (int i = 0; i < 1000; i++) {
        fl_array_put_int(&a, i - 7);
        fl_array_put(&b, i == 5 ? NULL : "xyz", 3);
    }
    fl_bind_array(&tx, r, &a);
    fl_bind_array(&tx, r, &b);
    struct fl_query *e = fl_tx_add(&tx, &sql_array);
    fl_array_init(&a, FL_ARRAY_INT8);
    fl_array_init(&b, FL_ARRAY_BYTES);
    fl_bind_array(&tx, e, &a);
    fl_bind_array(&tx, e, &b);
    enum fl_code code = await(&x.w, fl_tx_submit(&x.w.op, &tx));
    CHECK_MSG(code == FL_OK, "%s", x.w.err.text);
    CHECK_INT(fl_cell_int(q, 0, 0), 42);
    CHECK_SPAN(fl_cell(q, 0, 1), "a'b\\c");
    struct fl_str bytes = fl_cell_bytes(q, x.arena, 0, 2);
    CHECK(bytes.n == 3 && memcmp(bytes.p, "\0\x01\xff", 3) == 0);
    struct fl_uuid back = fl_cell_uuid(q, 0, 3);
    CHECK(fl_uuid_cmp(&id, &back) == 0);
    CHECK_INT(fl_cell_int(r, 0, 0), 1000);
    CHECK_INT(fl_cell_int(r, 0, 1), -7);
    CHECK_INT(fl_cell_int(r, 0, 2), 3);
    CHECK_INT(fl_cell_int(e, 0, 0), 0);
    fl_tx_fini(&tx);
    close_world(&x);
}

/* A batch of many with one bad member: only that one is refused. */
static void test_one_bad_member_refuses_only_itself(void)
{
    enum { N = 40 };
    struct world x;
    struct fl_tx tx[N];
    struct waiter w[N];
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    for (int i = 0; i < N; i++) {
        struct fl_uuid org = fl_uuid_new();
        fl_tx_init(&tx[i], x.pg, x.arena, &org);
        put(&tx[i], "bad-member", i);
        if (i == 17)
            fl_bind_int(&tx[i], fl_tx_add(&tx[i], &sql_bad), 0);
        w[i] = (struct waiter){ .op.done = on_done, .loop = &x.loop };
        CHECK_OK(fl_tx_submit(&w[i].op, &tx[i]));
    }
    for (int i = 0; i < N; i++) {
        spin(&x.loop, &w[i].is_done);
        CHECK_INT(w[i].code, i == 17 ? FL_DB_REFUSED : FL_OK);
        if (i == 17)
            CHECK_STR(w[i].err.text, "the database refused it: division by zero");
        fl_tx_fini(&tx[i]);
    }
    CHECK_INT(count(&x, "bad-member"), N - 1);
    struct fl_pg_stats stats;
    fl_pg_stats(x.pg, &stats);
    CHECK_INT(stats.retried, 1);
    close_world(&x);
}

static struct fl_query *lock(struct fl_tx *tx, int64_t what)
{
    static struct fl_sql sql = { "t_lock", "SELECT pg_advisory_xact_lock($1)", 0 };
    struct fl_query *q = fl_tx_add(tx, &sql);
    fl_bind_int(tx, q, what);
    return q;
}

/* Whoever has waited longest is rolled back: the submitted one, which then goes again. */
static void test_two_that_wait_for_each_other_both_come_through(void)
{
    struct world x;
    struct fl_tx open, sent;
    struct waiter w = { .op.done = on_done }, v = { .op.done = on_done };
    struct fl_pg_stats stats;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    w.loop = v.loop = &x.loop;
    fl_tx_init(&open, x.pg, x.arena, NULL);
    CHECK_OK(await(&w, fl_tx_open(&w.op, &open)));
    lock(&open, 2);
    CHECK_OK(await(&w, fl_tx_round(&w.op, &open)));
    fl_tx_init(&sent, x.pg, x.arena, NULL);
    lock(&sent, 1);
    lock(&sent, 2);
    put(&sent, "collided", 1);
    CHECK_OK(fl_tx_submit(&v.op, &sent));
    for (int i = 0; i < 20; i++) { /* it is under way, and waits */
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
        usleep(10000);
    }
    lock(&open, 1);
    CHECK_OK(await(&w, fl_tx_round(&w.op, &open)));
    CHECK_OK(await(&w, fl_tx_commit(&w.op, &open)));
    spin(&x.loop, &v.is_done);
    CHECK_OK(v.code);
    fl_pg_stats(x.pg, &stats);
    CHECK_INT(stats.retried, 1);
    CHECK_INT(count(&x, "collided"), 1);
    fl_tx_fini(&open);
    fl_tx_fini(&sent);
    close_world(&x);
}

static void test_each_member_sees_its_own_organization(void)
{
    enum { N = 20 };
    struct world x;
    struct fl_tx tx[N];
    struct fl_query *q[N];
    struct waiter w[N];
    struct fl_uuid org[N];
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    for (int i = 0; i < N; i++) {
        org[i] = fl_uuid_new();
        fl_tx_init(&tx[i], x.pg, x.arena, i % 5 ? &org[i] : NULL);
        q[i] = fl_tx_add(&tx[i], &sql_org);
        w[i] = (struct waiter){ .op.done = on_done, .loop = &x.loop };
        CHECK_OK(fl_tx_submit(&w[i].op, &tx[i]));
    }
    for (int i = 0; i < N; i++) {
        spin(&x.loop, &w[i].is_done);
        CHECK_OK(w[i].code);
        char text[FL_UUID_TEXT];
        if (i % 5)
            CHECK_SPAN(fl_cell(q[i], 0, 0), fl_uuid_format(&org[i], text));
        else
            CHECK(fl_cell_is_null(q[i], 0, 0));
        fl_tx_fini(&tx[i]);
    }
    close_world(&x);
}

/* What locks one thing is in no transaction with what waits for another: those that must be alone
 * are, and gated ones are with gated ones only. */
static void test_batches_are_of_one_kind(void)
{
    static const char kinds[] = "pgpagpagp"; /* plain, gated, alone */
    enum { N = sizeof kinds - 1 };
    static struct fl_sql sql = { "test_xid", "SELECT txid_current()", 0 };
    struct world x;
    struct fl_tx tx[N];
    struct fl_query *q[N];
    struct waiter w[N];
    int64_t xid[N];
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    for (int i = 0; i < N; i++) {
        fl_tx_init(&tx[i], x.pg, x.arena, NULL);
        q[i] = fl_tx_add(&tx[i], &sql);
        tx[i].is_gated = kinds[i] == 'g';
        tx[i].is_alone = kinds[i] == 'a';
        w[i] = (struct waiter){ .op.done = on_done, .loop = &x.loop };
        CHECK_OK(fl_tx_submit(&w[i].op, &tx[i]));
    }
    for (int i = 0; i < N; i++) {
        spin(&x.loop, &w[i].is_done);
        CHECK_OK(w[i].code);
        xid[i] = fl_cell_int(q[i], 0, 0);
        fl_tx_fini(&tx[i]);
    }
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < i; k++)
            CHECK((xid[i] == xid[k]) == (kinds[i] == kinds[k] && kinds[i] != 'a'));
    }
    close_world(&x);
}

static void test_open_transactions_commit_or_vanish(void)
{
    struct world x;
    struct fl_tx tx;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    /* two rounds and a commit */
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &tx)));
    put(&tx, "opened", 1);
    CHECK_OK(await(&x.w, fl_tx_round(&x.w.op, &tx)));
    CHECK_INT(count(&x, "opened"), 0);
    put(&tx, "opened", 2);
    CHECK_OK(await(&x.w, fl_tx_commit(&x.w.op, &tx)));
    CHECK_INT(count(&x, "opened"), 2);
    fl_tx_fini(&tx);
    /* a failing round undoes the whole; the connection works on */
    for (int i = 0; i < 10; i++) {
        fl_tx_init(&tx, x.pg, x.arena, NULL);
        CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &tx)));
        put(&tx, "opened", 3);
        CHECK_OK(await(&x.w, fl_tx_round(&x.w.op, &tx)));
        fl_bind_int(&tx, fl_tx_add(&tx, &sql_bad), 0);
        CHECK_INT(await(&x.w, i % 2 ? fl_tx_round(&x.w.op, &tx) : fl_tx_commit(&x.w.op, &tx)),
                  FL_DB_REFUSED);
        CHECK_STR(tx.sqlstate, "22012");
        fl_tx_fini(&tx);
    }
    /* abandoned */
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &tx)));
    put(&tx, "opened", 4);
    CHECK_OK(await(&x.w, fl_tx_round(&x.w.op, &tx)));
    fl_tx_abandon(&tx);
    fl_tx_fini(&tx);
    CHECK_INT(count(&x, "opened"), 2);
    /* everything in the commit's own round */
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &tx)));
    put(&tx, "opened", 5);
    CHECK_OK(await(&x.w, fl_tx_commit(&x.w.op, &tx)));
    fl_tx_fini(&tx);
    CHECK_INT(count(&x, "opened"), 3);
    close_world(&x);
}

/* The first statement of a transaction finds no memory: an error, where an assertion ended the
 * worker. Before anything is sent, and in an open transaction. */
static void test_a_first_statement_without_memory_ends_no_worker(void)
{
    struct world x;
    struct fl_tx tx;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    for (int way = 0; way < 3; way++) {
        struct fl_arena *arena = fl_arena_new(0);
        fl_tx_init(&tx, x.pg, arena, NULL);
        if (way)
            CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &tx)));
        fl_mem_fail_at(1, 0);
        while (fl_arena_alloc(arena, 64)) /* what its first piece has room for */
            ;
        fl_tx_add(&tx, &sql_count);
        fl_mem_fail_at(0, 0);
        CHECK(!tx.first);
        CHECK_INT(await(&x.w, way == 0   ? fl_tx_submit(&x.w.op, &tx)
                              : way == 1 ? fl_tx_round(&x.w.op, &tx)
                                         : fl_tx_commit(&x.w.op, &tx)),
                  FL_NOMEM);
        fl_tx_fini(&tx);
        fl_arena_free(&arena);
    }
    CHECK_INT(count(&x, "nobody"), 0); /* it works on */
    close_world(&x);
}

static void test_waiting_transactions_are_served_in_turn(void)
{
    enum { N = 30 };
    struct world x;
    struct fl_tx tx[N];
    struct waiter w[N];
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    for (int i = 0; i < N; i++) {
        fl_tx_init(&tx[i], x.pg, x.arena, NULL);
        w[i] = (struct waiter){ .op.done = on_done, .loop = &x.loop };
        CHECK_OK(fl_tx_open(&w[i].op, &tx[i]));
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(await(&w[i], FL_OK));
        put(&tx[i], "turns", i);
        CHECK_OK(await(&w[i], fl_tx_commit(&w[i].op, &tx[i])));
        fl_tx_fini(&tx[i]);
    }
    CHECK_INT(count(&x, "turns"), N);
    close_world(&x);
}

/* The server goes away under a running commit and under a held transaction, then comes back. */
static void test_a_lost_connection_is_told_as_what_it_is(void)
{
    struct world x;
    struct fl_tx tx, held, read;
    struct waiter w2 = { .op.done = on_done, .loop = &x.loop }, w3 = w2;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    fl_tx_init(&held, x.pg, x.arena, NULL);
    CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &held)));
    put(&held, "lost", 1);
    CHECK_OK(await(&x.w, fl_tx_round(&x.w.op, &held)));
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    put(&tx, "lost", 2);
    fl_bind_z(&tx, fl_tx_add(&tx, &sql_sleep), "2");
    CHECK_OK(fl_tx_submit(&w2.op, &tx));
    uv_run(&x.loop.uv, UV_RUN_NOWAIT); /* leaves alone in its batch */
    fl_tx_init(&read, x.pg, x.arena, NULL);
    read.is_read_only = true;
    fl_bind_z(&read, fl_tx_add(&read, &sql_sleep), "2");
    CHECK_OK(fl_tx_submit(&w3.op, &read));
    for (int64_t until = fl_mono_ms() + 300; fl_mono_ms() < until;)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    sql_as("super", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'flopinio_app'");
    CHECK_INT(await(&w2, FL_OK), FL_AMBIGUOUS);
    CHECK_INT(await(&w3, FL_OK), FL_UNAVAILABLE);
    for (int64_t until = fl_mono_ms() + 100; fl_mono_ms() < until;)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    put(&held, "lost", 3);
    CHECK_INT(fl_tx_commit(&x.w.op, &held), FL_UNAVAILABLE);
    spin(&x.loop, &x.is_up);
    CHECK_INT(count(&x, "lost"), 0);
    fl_tx_fini(&tx);
    fl_tx_fini(&held);
    fl_tx_fini(&read);
    close_world(&x);
}

/* A transaction that takes `seconds`, and whose answer is lost once it has begun. Its backend. */
static pid_t lose(struct world *x, struct fl_tx *tx, const char *node, const char *seconds,
                  bool is_stopped)
{
    struct waiter w = { .op.done = on_done, .loop = &x->loop };
    migrate();
    open_world(x, "app");
    spin(&x->loop, &x->is_up);
    fl_tx_init(tx, x->pg, x->arena, NULL);
    fl_bind_z(tx, fl_tx_add(tx, &sql_sleep), seconds);
    put(tx, node, 1);
    CHECK_OK(fl_tx_submit(&w.op, tx));
    for (int64_t until = fl_mono_ms() + 200; fl_mono_ms() < until;)
        uv_run(&x->loop.uv, UV_RUN_NOWAIT);
    CHECK(tx->conn != NULL);
    pid_t backend = PQbackendPID(tx->conn->pg);
    CHECK_INT(fl_pg_lost(x->pg), 0);
    if (is_stopped)
        CHECK_INT(kill(backend, SIGSTOP), 0);
    CHECK_INT(shutdown(PQsocket(tx->conn->pg), SHUT_RDWR), 0);
    CHECK_INT(await(&w, FL_OK), FL_AMBIGUOUS);
    CHECK_INT(fl_pg_lost(x->pg), 1);
    CHECK(!fl_pg_are_gone(x->pg, 1) && fl_pg_are_gone(x->pg, 0));
    return backend;
}

/* For at most so long; whether it is so then. */
static bool are_gone_within(struct world *x, int64_t ms)
{
    for (int64_t until = fl_mono_ms() + ms; fl_mono_ms() < until && !fl_pg_are_gone(x->pg, 1);)
        uv_run(&x->loop.uv, UV_RUN_NOWAIT);
    return fl_pg_are_gone(x->pg, 1);
}

/* It does not see that nobody waits for it, and would commit. */
static void test_what_a_lost_connection_left_at_work_is_ended(void)
{
    struct world x;
    struct fl_tx tx;
    pid_t backend = lose(&x, &tx, "ended", "4", false);
    CHECK(are_gone_within(&x, 20000));
    CHECK(kill(backend, 0) < 0);
    CHECK_INT(count(&x, "ended"), 0);
    fl_tx_fini(&tx);
    close_world(&x);
}

static void test_what_cannot_be_ended_yet_is_not_gone(void)
{
    struct world x;
    struct fl_tx tx;
    pid_t backend = lose(&x, &tx, "stopped", "0.5", true);
    CHECK(!are_gone_within(&x, 1500));
    CHECK_INT(kill(backend, SIGCONT), 0);
    CHECK(are_gone_within(&x, 20000));
    CHECK_INT(count(&x, "stopped"), 0);
    fl_tx_fini(&tx);
    close_world(&x);
}

/* What only waits for a standby has committed: ended, it would be seen before a standby has it. */
static void test_what_waits_for_a_standby_is_left_to_that(void)
{
    static const char reload[] = "SELECT pg_reload_conf(), pg_sleep(0.5)";
    struct world x;
    struct fl_tx tx;
    migrate();
    sql_as("super", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql_as("super", reload);
    pid_t backend = lose(&x, &tx, "standby", "0", false);
    CHECK(!are_gone_within(&x, 1500) && kill(backend, 0) == 0);
    CHECK_INT(count(&x, "standby"), 0);
    sql_as("super", "ALTER SYSTEM RESET synchronous_standby_names");
    sql_as("super", reload);
    CHECK(are_gone_within(&x, 20000));
    CHECK_INT(count(&x, "standby"), 1);
    fl_tx_fini(&tx);
    close_world(&x);
}

/* libpq closes its socket inside a send that finds the connection gone. The number is the next
 * accepted connection's, for which a watch that still had it ended the worker. */
static void test_a_connection_lost_while_sending_leaves_its_number(void)
{
    static char much[100000];
    struct world x;
    struct fl_tx held;
    migrate();
    open_world(&x, "app");
    spin(&x.loop, &x.is_up);
    fl_tx_init(&held, x.pg, x.arena, NULL);
    CHECK_OK(await(&x.w, fl_tx_open(&x.w.op, &held)));
    put(&held, "cut", 1);
    memset(much, 'x', sizeof much - 1); /* sent before all is written */
    fl_bind_z(&held, fl_tx_add(&held, &sql_count), much);
    fl_bind_z(&held, fl_tx_add(&held, &sql_count), much);
    int number = PQsocket(held.conn->pg);
    CHECK_INT(shutdown(number, SHUT_RDWR), 0);
    CHECK_OK(fl_tx_round(&x.w.op, &held));
    CHECK(fcntl(number, F_GETFD) < 0); /* or nothing is shown */
    uv_poll_t poll;
    CHECK_INT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), number);
    CHECK_INT(uv_poll_init(&x.loop.uv, &poll, number), 0);
    uv_close((uv_handle_t *)&poll, NULL);
    CHECK_INT(await(&x.w, FL_OK), FL_UNAVAILABLE);
    close(number);
    fl_tx_fini(&held);
    spin(&x.loop, &x.is_up);
    CHECK_INT(count(&x, "cut"), 0);
    close_world(&x);
}

/* The first host of the list is away. More about lists: test_pg_hosts.c. */
static void test_the_next_host_of_a_list_is_reached(void)
{
    struct world x;
    struct fl_err err = { 0 };
    char *info = conninfo("app"), *at = strstr(info, "host=");
    CHECK(at != NULL);
    struct fl_buf b = FL_BUF_INIT;
    fl_buf_printf(&b, "%.*shost='127.0.0.1,%s", (int)(at - info), info, at + 6);
    memset(&x, 0, sizeof x);
    CHECK_OK(fl_loop_init(&x.loop, &err));
    CHECK_OK(fl_pg_new(&x.loop, &(struct fl_pg_config){ .conninfo = b.p }, &x.pg, &err));
    fl_pg_on_state(x.pg, on_state, &x);
    x.arena = fl_arena_new(0);
    x.w = (struct waiter){ .op.done = on_done, .loop = &x.loop };
    int64_t until = fl_mono_ms() + 4000;
    while (!x.is_up && fl_mono_ms() < until)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    CHECK(x.is_up);
    close_world(&x);
    fl_buf_fini(&b);
    fl_free(info);
}

static void test_a_role_that_could_bypass_row_security_is_refused(void)
{
    struct world x;
    migrate();
    open_world(&x, "super");
    for (int64_t until = fl_mono_ms() + 10000; !fl_pg_refusal(x.pg) && fl_mono_ms() < until;)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    CHECK(fl_pg_refusal(x.pg) && strstr(fl_pg_refusal(x.pg), "can bypass row security"));
    CHECK(!x.is_up);
    close_world(&x);
    open_world(&x, "backup");
    for (int64_t until = fl_mono_ms() + 10000; !fl_pg_refusal(x.pg) && fl_mono_ms() < until;)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    CHECK(fl_pg_refusal(x.pg) && !x.is_up);
    close_world(&x);
}

static char noted[64];
static bool has_note;
static void on_notify(void *ctx, const char *payload)
{
    FL_UNUSED(ctx);
    if (payload) {
        snprintf(noted, sizeof noted, "%s", payload);
        has_note = true;
    }
}
static void test_notifications_arrive(void)
{
    struct world x;
    struct fl_tx tx;
    migrate();
    open_world(&x, "app");
    fl_pg_listen(x.pg, on_notify, NULL);
    spin(&x.loop, &x.is_up);
    while (!has_note) {
        fl_tx_init(&tx, x.pg, x.arena, NULL);
        fl_bind_z(&tx, fl_tx_add(&tx, &sql_notify), "hello");
        CHECK_OK(await(&x.w, fl_tx_submit(&x.w.op, &tx)));
        fl_tx_fini(&tx);
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    }
    CHECK_STR(noted, "hello");
    close_world(&x);
}

struct starting {
    struct world x;
    int begun; /* when the first was up */
};

static void on_first_up(void *ctx, bool is_up)
{
    struct starting *s = ctx;
    on_state(&s->x, is_up);
    for (int i = 0; i < s->x.pg->conn_count; i++)
        s->begun += s->x.pg->conns[i].state != FL_PG_DOWN;
}

/* Nine that sign in at once take the loop's time for a twentieth of a second, at a start. */
static void test_the_first_connection_does_not_wait_for_the_last(void)
{
    struct starting s = { .begun = 0 };
    struct fl_pg_stats stats = { 0 };
    open_world(&s.x, "app");
    fl_pg_on_state(s.x.pg, on_first_up, &s);
    spin(&s.x.loop, &s.x.is_up);
    CHECK_INT(s.begun, 1);
    bool are_all_up = false;
    for (int i = 0; i < 1000 && !are_all_up; i++) {
        uv_run(&s.x.loop.uv, UV_RUN_NOWAIT);
        usleep(5000);
        fl_pg_stats(s.x.pg, &stats);
        are_all_up = (int)stats.up == s.x.pg->conn_count;
    }
    CHECK(are_all_up);
    close_world(&s.x);
}

static void test_a_database_that_is_away_is_said_at_once(void)
{
    struct world x;
    struct fl_tx tx;
    struct fl_err err = { 0 };
    memset(&x, 0, sizeof x);
    CHECK_OK(fl_loop_init(&x.loop, &err));
    CHECK_INT(fl_pg_new(&x.loop, &(struct fl_pg_config){ .conninfo = "nonsense" }, &x.pg, &err),
              FL_CONFIG);
    CHECK_OK(fl_pg_new(&x.loop,
                       &(struct fl_pg_config){ .conninfo = "host=localhost port=1 user=x" }, &x.pg,
                       &err));
    x.arena = fl_arena_new(0);
    x.w = (struct waiter){ .op.done = on_done, .loop = &x.loop };
    for (int64_t until = fl_mono_ms() + 500; fl_mono_ms() < until;)
        uv_run(&x.loop.uv, UV_RUN_NOWAIT);
    fl_tx_init(&tx, x.pg, x.arena, NULL);
    put(&tx, "away", 1);
    CHECK_INT(await(&x.w, fl_tx_submit(&x.w.op, &tx)), FL_UNAVAILABLE);
    CHECK_MSG(strstr(x.w.err.text, "the database is not reachable"), "%s", x.w.err.text);
    fl_tx_fini(&tx);
    close_world(&x);
}

static void test_migrations_run_once_and_are_guarded(void)
{
    migrate();
    migrate();
    char *info = conninfo("app");
    struct pg_conn *pg;
    struct fl_err err = { 0 };
    CHECK_OK(fl_admin_connect(info, &pg, &err));
    static const char *const refused[] = {
        "CREATE TABLE flopinio.x (y int)",
        "UPDATE flopinio.audit_event SET kind = 'x'",
        "DELETE FROM flopinio.audit_event",
        "TRUNCATE flopinio.audit_event",
        "UPDATE flopinio.approval SET arguments = '\\x00'",
        "UPDATE flopinio.approval SET binding_digest = '\\x00'",
        "UPDATE flopinio.policy SET document = ''",
        "DELETE FROM flopinio.approval",
        "DELETE FROM flopinio.policy",
        "SELECT passphrase_hash FROM flopinio.person",
        "SELECT * FROM flopinio.personal_token",
        "SELECT * FROM flopinio.audit_event_default",
        "SET ROLE flopinio_owner",
        "SET row_security = off; SELECT * FROM flopinio.approval",
    };
    for (size_t i = 0; i < FL_COUNTOF(refused); i++)
        CHECK_MSG(fl_admin_exec(pg, refused[i], NULL, &err) == FL_DB_REFUSED, "%s was allowed",
                  refused[i]);
    fl_admin_close(&pg);
    fl_free(info);
}

static void test_the_cluster_is_found_again_and_moves_on(void)
{
    struct fl_err err = { 0 };
    struct fl_cluster *first = cluster(), *second = NULL;
    pid_t pid = fl_cluster_pid(first);
    CHECK(pid > 0);
    CHECK_OK(fl_cluster_start(&(struct fl_cluster_config){ .data_dir = data_dir }, &second, &err));
    CHECK_INT(fl_cluster_pid(second), pid);
    kill(pid, SIGKILL); /* as a crash would leave it */
    for (int i = 0; i < 500 && fl_cluster_is_running(second); i++)
        usleep(10000);
    fl_cluster_free(&second);
    enum fl_code code =
        fl_cluster_start(&(struct fl_cluster_config){ .data_dir = data_dir }, &second, &err);
    CHECK_MSG(code == FL_OK, "%s", err.text);
    CHECK(fl_cluster_pid(second) != pid);
    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s/postgres", data_dir);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
    snprintf(path, sizeof path, "%s/secrets/database-app", data_dir);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    fl_cluster_free(&second);
}

/* When each role was written last. */
static char *roles_written(void)
{
    static char text[200];
    char *info = conninfo("super");
    struct pg_conn *pg;
    struct pg_result *res = NULL;
    struct fl_err err = { 0 };
    CHECK_OK(fl_admin_connect(info, &pg, &err));
    CHECK_OK(fl_admin_exec(
        pg, "SELECT string_agg(xmin::text, ' ' ORDER BY oid) FROM pg_authid WHERE rolcanlogin",
        &res, &err));
    snprintf(text, sizeof text, "%s", fl_admin_cell(res, 0, 0));
    fl_admin_clear(&res);
    fl_admin_close(&pg);
    fl_free(info);
    return text;
}

static void test_a_start_sets_passwords_only_where_they_are_others(void)
{
    struct fl_cluster *again = NULL;
    struct fl_cluster_config config = { .data_dir = data_dir };
    struct fl_err err = { 0 };
    char before[200];
    CHECK(cluster());
    snprintf(before, sizeof before, "%s", roles_written());
    CHECK_OK(fl_cluster_start(&config, &again, &err));
    fl_cluster_free(&again);
    CHECK_STR(roles_written(), before);
    sql_as("super", "ALTER ROLE flopinio_verifier PASSWORD 'another'");
    CHECK_OK(fl_cluster_start(&config, &again, &err));
    fl_cluster_free(&again);
    sql_as("verifier", "SELECT 1");
    sql_as("super", "REVOKE flopinio_sweep FROM flopinio_owner");
    CHECK_OK(fl_cluster_start(&config, &again, &err));
    fl_cluster_free(&again);
    sql_as("owner", "SET ROLE flopinio_sweep");
}

static const struct fl_test tests[] = {
    T_LIMIT(types_go_there_and_back, 60),
    T(one_bad_member_refuses_only_itself),
    T(two_that_wait_for_each_other_both_come_through),
    T(each_member_sees_its_own_organization),
    T(batches_are_of_one_kind),
    T(open_transactions_commit_or_vanish),
    T(a_first_statement_without_memory_ends_no_worker),
    T(waiting_transactions_are_served_in_turn),
    T(a_lost_connection_is_told_as_what_it_is),
    T(what_a_lost_connection_left_at_work_is_ended),
    T(what_cannot_be_ended_yet_is_not_gone),
    T(a_connection_lost_while_sending_leaves_its_number),
    T(the_next_host_of_a_list_is_reached),
    T(a_role_that_could_bypass_row_security_is_refused),
    T(notifications_arrive),
    T(the_first_connection_does_not_wait_for_the_last),
    T(a_database_that_is_away_is_said_at_once),
    T(migrations_run_once_and_are_guarded),
    T_LIMIT(the_cluster_is_found_again_and_moves_on, 60),
    T_LIMIT(a_start_sets_passwords_only_where_they_are_others, 60),
    T(what_waits_for_a_standby_is_left_to_that),
    T(zz_the_cluster_stops),
};
TEST_MAIN(tests)
