/* Which of several PostgreSQL servers a connection reaches, and what it does with a server's last
 * words. The servers are fakes that know as much of the protocol as is needed to be found usable or
 * not; so is the resolver, which libuv and libpq find here. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/io/pg.h"
#include "runtime/io/pg_admin.h"
#include "runtime/io/pg_priv.h"

/* ---------------------------------------------------------------- the resolver */
typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static atomic_int names_asked, names_asked_on_the_loop;
static sem_t slow_name; /* each answer about slow.test takes one */

static void add_address(struct addrinfo **list, const char *address, const char *service,
                        const struct addrinfo *hints)
{
    resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    while (*list)
        list = &(*list)->ai_next;
    CHECK(real && real(address, service, hints, list) == 0);
}

/* Nobody outside is asked: no name is known but these. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    struct in_addr v4;
    *ret = NULL;
    if (!name || (hints && hints->ai_flags & AI_NUMERICHOST) || inet_pton(AF_INET, name, &v4) == 1)
        return ((resolver *)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, ret);
    atomic_fetch_add(&names_asked, 1);
    if (gettid() == getpid())
        atomic_fetch_add(&names_asked_on_the_loop, 1);
    if (strcmp(name, "slow.test") == 0)
        sem_wait(&slow_name);
    else if (strcmp(name, "two.test") == 0)
        add_address(ret, "127.0.0.2", service, hints);
    else if (strcmp(name, "one.test") != 0)
        return EAI_NONAME;
    add_address(ret, "127.0.0.1", service, hints);
    return 0;
}

/* ---------------------------------------------------------------- the servers */
struct fake {
    bool is_refusing; /* after the startup message */
    bool is_standby;
    bool is_gated;          /* each answer behind the handshake waits for `gate` */
    const char *last_words; /* its answer to a batch, with which it goes */
    int fd;
    uint16_t port;
    pthread_t thread;
    sem_t gate, said;
    atomic_int startups, open;
};

struct visit {
    struct fake *fake;
    int fd;
};

static bool get(int fd, void *into, size_t n)
{
    return n == 0 || recv(fd, into, n, MSG_WAITALL) == (ssize_t)n;
}

static void say(int fd, char type, const void *body, size_t n)
{
    char message[512];
    uint32_t size = htonl((uint32_t)n + 4);
    CHECK(n + 5 <= sizeof message);
    message[0] = type;
    memcpy(message + 1, &size, 4);
    memcpy(message + 5, body, n);
    (void)!send(fd, message, n + 5, MSG_NOSIGNAL);
}

static void say_fatal(int fd, const char *sqlstate, const char *text)
{
    char body[300];
    int n = snprintf(body, sizeof body, "SFATAL%cVFATAL%cC%s%cM%s%c", 0, 0, sqlstate, 0, text, 0);
    say(fd, 'E', body, (size_t)n + 1);
}

static void say_parameter(int fd, const char *name, const char *value)
{
    char body[100];
    int n = snprintf(body, sizeof body, "%s%c%s", name, 0, value);
    say(fd, 'S', body, (size_t)n + 1);
}

/* The row of fl_pg_check_sql. */
static void say_row(int fd, bool is_standby)
{
    const char *const cells[] = { "",     "flopinio_app",    "on", "150000", is_standby ? "t" : "f",
                                  "1234", "1764288000000000" };
    char head[200] = { 0, FL_COUNTOF(cells) }, row[100] = { 0, FL_COUNTOF(cells) };
    size_t h = 2, r = 2;
    for (size_t i = 0; i < FL_COUNTOF(cells); i++) {
        memcpy(head + h, "c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0", 20);
        h += 20;
        row[r + 3] = (char)strlen(cells[i]);
        memcpy(row + r + 4, cells[i], strlen(cells[i]));
        r += 4 + strlen(cells[i]);
    }
    say(fd, 'T', head, h);
    say(fd, 'D', row, r);
    say(fd, 'C', "SELECT 1", 9);
    say(fd, 'Z', "I", 1);
}

/* Up to the startup message; false: the visitor went. */
static bool begin(int fd)
{
    enum { VERSION_3 = 196608 };
    char body[4096];
    for (;;) {
        uint32_t head[2];
        if (!get(fd, head, sizeof head))
            return false;
        size_t n = ntohl(head[0]) - 8;
        CHECK(n <= sizeof body);
        if (!get(fd, body, n))
            return false;
        if (ntohl(head[1]) == VERSION_3)
            return true;
        (void)!send(fd, "N", 1, MSG_NOSIGNAL);
    }
}

/* One message behind the handshake; false: that was all. */
static bool answer(struct fake *f, int fd)
{
    char type, body[8192];
    uint32_t size;
    if (!get(fd, &type, 1) || !get(fd, &size, 4) || type == 'X')
        return false;
    CHECK(ntohl(size) - 4 <= sizeof body);
    if (!get(fd, body, ntohl(size) - 4))
        return false;
    if (type != 'Q' && type != 'S')
        return true;
    if (f->is_gated)
        sem_wait(&f->gate);
    if (type == 'Q')
        say_row(fd, f->is_standby);
    else if (f->last_words)
        say_fatal(fd, "57P01", f->last_words);
    return type == 'Q' || !f->last_words;
}

static void *on_visit(void *arg)
{
    struct visit v = *(struct visit *)arg;
    struct fake *f = v.fake;
    free(arg);
    if (begin(v.fd)) {
        atomic_fetch_add(&f->startups, 1);
        if (f->is_refusing) {
            say_fatal(v.fd, "28000", "no pg_hba.conf entry for this host");
        } else {
            say(v.fd, 'R', "\0\0\0\0", 4);
            say_parameter(v.fd, "server_version", "15.0");
            say_parameter(v.fd, "in_hot_standby", f->is_standby ? "on" : "off");
            say_parameter(v.fd, "default_transaction_read_only", "off");
            say(v.fd, 'Z', "I", 1);
            while (answer(f, v.fd))
                ;
        }
    }
    close(v.fd);
    sem_post(&f->said);
    atomic_fetch_sub(&f->open, 1);
    return NULL;
}

static void *serve(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        int fd = accept(f->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct visit *v = malloc(sizeof *v);
        pthread_t thread;
        CHECK(v);
        *v = (struct visit){ f, fd };
        atomic_fetch_add(&f->open, 1);
        CHECK(pthread_create(&thread, NULL, on_visit, v) == 0);
        pthread_detach(thread);
    }
}

/* On 127.0.0.1, at a port that nobody has. */
static void listen_at(struct fake *f)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(f->fd >= 0 && bind(f->fd, (struct sockaddr *)&at, n) == 0 && listen(f->fd, 64) == 0 &&
          getsockname(f->fd, (struct sockaddr *)&at, &n) == 0);
    f->port = ntohs(at.sin_port);
}

/* As PostgreSQL does in a directory. */
static void listen_in(struct fake *f, const char *directory, uint16_t port)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    CHECK(directory);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/.s.PGSQL.%u", directory, port);
    f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(f->fd >= 0 && bind(f->fd, (struct sockaddr *)&at, sizeof at) == 0 &&
          listen(f->fd, 64) == 0);
    f->port = port;
}

static void remove_socket(const char *directory, uint16_t port)
{
    char path[108];
    snprintf(path, sizeof path, "%s/.s.PGSQL.%u", directory, port);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

static void begin_serving(struct fake *f)
{
    sem_init(&f->gate, 0, 0);
    sem_init(&f->said, 0, 0);
    CHECK(pthread_create(&f->thread, NULL, serve, f) == 0);
}

static void start(struct fake *f)
{
    listen_at(f);
    begin_serving(f);
}

/* When the visitors have been told to go. */
static void stop(struct fake *f)
{
    shutdown(f->fd, SHUT_RDWR);
    CHECK(pthread_join(f->thread, NULL) == 0);
    close(f->fd);
    for (int i = 0; i < 64; i++)
        sem_post(&f->gate);
    while (atomic_load(&f->open))
        usleep(1000);
}

/* ---------------------------------------------------------------- the pool */
struct world {
    struct fl_loop loop;
    struct fl_pg *pg;
    struct fl_pg_conn *conn; /* the first one */
    bool is_up;
};

static void on_state(void *ctx, bool is_up)
{
    ((struct world *)ctx)->is_up = is_up;
}

__attribute__((format(printf, 1, 2))) static const char *fmt(const char *format, ...)
{
    static char text[300];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return text;
}

static const char *text_of(const char *where)
{
    static char text[8192];
    snprintf(text, sizeof text, "user=flopinio_app dbname=flopinio gssencmode=disable %s%s", where,
             strstr(where, "sslmode=") ? "" : " sslmode=disable");
    return text;
}

static void open_world(struct world *x, int64_t connect_timeout_ms, const char *where)
{
    struct fl_err err = { 0 };
    struct fl_pg_config config = { .conninfo = text_of(where),
                                   .connect_timeout_ms = connect_timeout_ms };
    memset(x, 0, sizeof *x);
    CHECK_OK(fl_loop_init(&x->loop, &err));
    CHECK_OK(fl_pg_new(&x->loop, &config, &x->pg, &err));
    fl_pg_on_state(x->pg, on_state, x);
    x->conn = &x->pg->conns[0];
}

static void await_up(struct world *x)
{
    while (!x->is_up)
        uv_run(&x->loop.uv, UV_RUN_ONCE);
}

static void turn(struct world *x)
{
    uv_run(&x->loop.uv, UV_RUN_NOWAIT);
    usleep(1000);
}

static void close_world(struct world *x)
{
    fl_pg_free(&x->pg);
    CHECK_INT(fl_loop_fini(&x->loop), 0);
}

/* ---------------------------------------------------------------- lists */
/* Switched off, it would answer nothing either; the time is each host's own. */
static void test_a_host_that_says_nothing_is_left(void)
{
    struct fake silent = { 0 }, primary = { 0 };
    struct world x;
    listen_at(&silent);
    start(&primary);
    open_world(&x, 400, fmt("host=127.0.0.1,127.0.0.1 port=%u,%u", silent.port, primary.port));
    await_up(&x);
    CHECK_INT(atoi(PQport(x.conn->pg)), primary.port);
    CHECK_INT(x.conn->tried, 0);
    close_world(&x);
    stop(&primary);
    close(silent.fd);
}

static void test_a_server_that_cannot_be_used_is_passed_over(void)
{
    struct fake refusing = { .is_refusing = true }, standby = { .is_standby = true },
                primary = { 0 };
    struct world x;
    struct fl_pg_stats stats = { 0 };
    start(&refusing);
    start(&standby);
    start(&primary);
    open_world(&x, 0,
               fmt("host=127.0.0.1,127.0.0.1,127.0.0.1 port=%u,%u,%u", refusing.port, standby.port,
                   primary.port));
    await_up(&x);
    CHECK_INT(atoi(PQport(x.conn->pg)), primary.port);
    CHECK_INT(atomic_load(&refusing.startups), 1);
    CHECK_INT(atomic_load(&standby.startups), 1);
    while ((int)stats.up < x.pg->conn_count) { /* the others find it too */
        turn(&x);
        fl_pg_stats(x.pg, &stats);
    }
    close_world(&x);
    stop(&refusing);
    stop(&standby);
    stop(&primary);
}

/* What certificates are compared with is the name; the resolver is not asked. */
static void test_names_go_with_their_addresses_and_ports(void)
{
    struct fake standby = { .is_standby = true }, primary = { 0 };
    struct world x;
    start(&standby);
    start(&primary);
    open_world(&x, 0,
               fmt("host=alpha.test,beta.test hostaddr=127.0.0.1,127.0.0.1 port=%u,%u",
                   standby.port, primary.port));
    await_up(&x);
    CHECK_STR(PQhost(x.conn->pg), "beta.test");
    CHECK_STR(PQhostaddr(x.conn->pg), "127.0.0.1");
    CHECK_INT(atomic_load(&standby.startups), 1);
    CHECK_INT(atomic_load(&names_asked), 0);
    close_world(&x);
    stop(&standby);
    stop(&primary);
}

static void test_each_address_of_a_name_has_its_turn(void)
{
    struct fake primary = { 0 };
    struct world x;
    start(&primary); /* not at the first one */
    open_world(&x, 0, fmt("host=two.test port=%u", primary.port));
    await_up(&x);
    CHECK_STR(PQhost(x.conn->pg), "two.test");
    CHECK_STR(PQhostaddr(x.conn->pg), "127.0.0.1");
    CHECK(atomic_load(&names_asked) >= 2);
    close_world(&x);
    stop(&primary);
}

static void test_a_list_that_does_not_fit_is_refused(void)
{
    static const struct {
        const char *where, *why; /* NULL: fits */
    } cases[] = {
        { "host=a,b port=1,2,3", "the numbers of hosts (2) and ports (3) in the database url "
                                 "differ; one port may stand for all" },
        { "host=a port=1,", "the numbers of hosts (1) and ports (2) in the database url differ; "
                            "one port may stand for all" },
        { "hostaddr=::1,127.0.0.1,::1 port=1,2",
          "the numbers of hosts (3) and ports (2) in the "
          "database url differ; one port may stand for all" },
        { "host=a,b hostaddr=::1", "the numbers of hosts (2) and of their addresses (1) in the "
                                   "database url differ" },
        { "host=a hostaddr=::1,::1", "the numbers of hosts (1) and of their addresses (2) in the "
                                     "database url differ" },
        { "host=/nowhere port=1", NULL },
        { "host=/nowhere,/nowhere port=1", NULL },
        { "host=/nowhere,/nowhere,/nowhere port=,1,", NULL },
        { "port='' host=,", NULL },
        { "hostaddr=127.0.0.1, host=,/nowhere port=1,2", NULL },
        { "port=1", NULL },
    };
    struct fl_loop loop;
    struct fl_err err = { 0 };
    CHECK_OK(fl_loop_init(&loop, &err));
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_pg *pg = NULL;
        struct fl_pg_config config = { .conninfo = text_of(cases[i].where) };
        enum fl_code code = fl_pg_new(&loop, &config, &pg, &err);
        CHECK_MSG(code == (cases[i].why ? FL_CONFIG : FL_OK), "%s", cases[i].where);
        if (cases[i].why)
            CHECK_STR(err.text, cases[i].why);
        else if (strstr(cases[i].where, "port=,1,"))
            CHECK(strcmp(pg->hosts[0].port, "5432") == 0 && strcmp(pg->hosts[1].port, "1") == 0 &&
                  strcmp(pg->hosts[2].port, "5432") == 0);
        fl_pg_free(&pg);
    }
    CHECK_INT(fl_loop_fini(&loop), 0);
}

/* Whatever stands in a list, what works is found in it. */
static void test_hostile_lists_are_walked_through(void)
{
    static const char *const items[] = {
        "", " ", "::1", "[::1]", "/nowhere", "@nowhere", "127.0.0.2", "nobody.test", "fe80::1%none",
    };
    struct fake primary = { 0 };
    struct world x;
    struct fl_buf b = FL_BUF_INIT;
    start(&primary);
    fl_buf_printf(&b, "port=%u host='", primary.port);
    for (size_t i = 0; i < 62; i++)
        fl_buf_printf(&b, "%s,", items[i % FL_COUNTOF(items)]);
    for (size_t i = 0; i < 300; i++) /* longer than a name can be */
        fl_buf_puts(&b, "long.");
    fl_buf_puts(&b, ",127.0.0.1'");
    open_world(&x, 0, b.p);
    CHECK_INT(x.pg->host_count, 64);
    await_up(&x);
    CHECK_STR(PQhost(x.conn->pg), "127.0.0.1");
    CHECK_INT(atomic_load(&names_asked_on_the_loop), 0);
    close_world(&x);
    stop(&primary);
    fl_buf_fini(&b);
}

static void test_a_socket_directory_may_stand_in_a_list(void)
{
    char dir[] = "/tmp/fl-test-hosts-XXXXXX";
    struct fake standby = { .is_standby = true }, primary = { 0 };
    struct world x;
    start(&standby);
    listen_in(&primary, mkdtemp(dir), standby.port);
    begin_serving(&primary);
    open_world(&x, 0, fmt("host=127.0.0.1,%s port=%u", dir, standby.port));
    await_up(&x);
    CHECK_STR(PQhost(x.conn->pg), dir);
    close_world(&x);
    stop(&standby);
    stop(&primary);
    remove_socket(dir, standby.port);
}

/* ---------------------------------------------------------------- names */
/* Its threads are not waited for by who closes the pool. */
static void let_resolver_go(struct world *x)
{
    for (int i = 0; i < 64; i++)
        sem_post(&slow_name);
    while (x->loop.uv.active_reqs.count)
        turn(x);
}

static void test_names_are_resolved_beside_the_loop(void)
{
    struct fake primary = { 0 };
    struct world x;
    start(&primary);
    sem_init(&slow_name, 0, 0);
    open_world(&x, 1000, fmt("host=slow.test,nobody.test,one.test port=%u", primary.port));
    /* Longer than connecting may take, which has not begun. */
    for (int64_t until = fl_mono_ms() + 1500; fl_mono_ms() < until;)
        turn(&x);
    CHECK(x.conn->resolving && x.conn->tried == 0);
    fl_loop_timer(&x.loop, &x.conn->deadline, 0); /* as if it had been too long for resolving */
    await_up(&x);
    CHECK_STR(PQhost(x.conn->pg), "one.test");
    CHECK_INT(atomic_load(&names_asked_on_the_loop), 0);
    let_resolver_go(&x);
    close_world(&x);
    stop(&primary);
}

/* A resolver that hangs: what waits behind it for a thread of the pool is taken back. */
static void test_a_name_that_takes_too_long_is_let_go(void)
{
    enum { ROUNDS = 4 };
    struct fake primary = { 0 };
    struct world x;
    CHECK(setenv("UV_THREADPOOL_SIZE", "1", 1) == 0);
    start(&primary);
    sem_init(&slow_name, 0, 0);
    open_world(&x, 0, fmt("host=slow.test port=%u", primary.port));
    while (!atomic_load(&names_asked))
        turn(&x);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        fl_loop_timer(&x.loop, &x.conn->deadline, 0);
        while (x.conn->tried < i || !x.conn->resolving)
            turn(&x);
    }
    CHECK_INT(x.loop.uv.active_reqs.count, 2); /* the one that hangs, and the last */
    let_resolver_go(&x);
    await_up(&x);
    let_resolver_go(&x);
    close_world(&x);
    stop(&primary);
}

/* ---------------------------------------------------------------- libpq and the socket */
/* The environment's list is libpq's own: within one step it closes a socket and makes the next one,
 * which has the same number. */
static void test_a_step_to_libpqs_own_next_host_is_watched(void)
{
    char dir[] = "/tmp/fl-test-hosts-XXXXXX";
    struct fake nobody = { 0 }, primary = { 0 };
    struct world x;
    listen_at(&nobody);
    close(nobody.fd);
    listen_in(&primary, mkdtemp(dir), nobody.port);
    begin_serving(&primary);
    CHECK(setenv("PGHOST", fmt("127.0.0.1,%s", dir), 1) == 0);
    open_world(&x, 0, fmt("port=%u", nobody.port));
    while (!x.is_up && x.conn->attempts == 0)
        turn(&x);
    CHECK(x.is_up);
    CHECK_STR(PQhost(x.conn->pg), dir);
    close_world(&x);
    stop(&primary);
    remove_socket(dir, nobody.port);
}

/* As libuv tells that a socket has an error, whatever that is. */
static void break_poll(struct fl_pg_conn *conn)
{
    uv_poll_t *poll = conn->poll;
    CHECK(poll);
    uv_poll_stop(poll);
    poll->poll_cb(poll, UV_EBADF, 0);
}

struct waiter {
    struct fl_op op;
    bool is_done;
};

static void on_done(struct fl_op *op)
{
    FL_CONTAINER(op, struct waiter, op)->is_done = true;
}

static void test_the_last_words_of_a_server_are_told(void)
{
    static struct fl_sql sql = { "t_words", "SELECT 1", 0 };
    struct fake primary = { .last_words = "terminating connection for a reason", .is_gated = true };
    struct world x;
    struct fl_tx tx;
    struct waiter w = { .op.done = on_done };
    struct fl_arena *arena = fl_arena_new(0);
    start(&primary);
    sem_post(&primary.gate);
    open_world(&x, 0, fmt("host=127.0.0.1 port=%u", primary.port));
    await_up(&x);
    fl_tx_init(&tx, x.pg, arena, NULL);
    tx.is_read_only = true;
    fl_tx_add(&tx, &sql);
    CHECK_OK(fl_tx_submit(&w.op, &tx));
    while (x.conn->state != FL_PG_BUSY)
        turn(&x);
    for (int i = 0; i < 64; i++)
        sem_post(&primary.gate);
    sem_wait(&primary.said); /* and it has gone */
    break_poll(x.conn);
    CHECK(w.is_done);
    CHECK_INT(w.op.code, FL_UNAVAILABLE);
    CHECK_MSG(strstr(w.op.err.text, "terminating connection for a reason"), "%s", w.op.err.text);
    fl_tx_fini(&tx);
    fl_arena_free(&arena);
    close_world(&x);
    stop(&primary);
}

/* The watch ended with that, and with it the setup until its deadline. */
static void test_a_setup_goes_on_behind_an_error_that_was_none(void)
{
    struct fake primary = { .is_gated = true };
    struct world x;
    start(&primary);
    open_world(&x, 0, fmt("host=127.0.0.1 port=%u", primary.port));
    while (x.conn->state != FL_PG_SETUP || x.conn->events != UV_READABLE)
        turn(&x);
    break_poll(x.conn);
    CHECK_INT(x.conn->state, FL_PG_SETUP);
    for (int i = 0; i < 64; i++)
        sem_post(&primary.gate);
    while (!x.is_up && x.conn->attempts == 0)
        turn(&x);
    CHECK(x.is_up);
    close_world(&x);
    stop(&primary);
}

/* ---------------------------------------------------------------- blocking connections */
static void test_an_administrator_is_led_to_the_primary(void)
{
    struct fake standby = { .is_standby = true }, primary = { 0 };
    struct fl_err err = { 0 };
    PGconn *pg = NULL;
    start(&standby);
    start(&primary);
    const char *list = fmt("host=127.0.0.1,127.0.0.1 port=%u,%u", standby.port, primary.port);
    enum fl_code code = fl_admin_connect(text_of(list), &pg, &err);
    CHECK_MSG(code == FL_OK, "%s", err.text);
    CHECK_INT(atoi(PQport(pg)), primary.port);
    CHECK_OK(fl_admin_check(pg, &err));
    fl_admin_close(&pg);
    /* What is asked for is given. */
    list = fmt("host=127.0.0.1,127.0.0.1 port=%u,%u target_session_attrs=any", standby.port,
               primary.port);
    CHECK_OK(fl_admin_connect(text_of(list), &pg, &err));
    CHECK_INT(atoi(PQport(pg)), standby.port);
    fl_admin_close(&pg);
    /* A single server is whatever it is. */
    list = fmt("host=127.0.0.1 port=%u", standby.port);
    CHECK_OK(fl_admin_connect(text_of(list), &pg, &err));
    CHECK_INT(fl_admin_check(pg, &err), FL_UNAVAILABLE);
    fl_admin_close(&pg);
    /* pg_dump has to find the one whose snapshot it is told. */
    CHECK_OK(fl_admin_environment(text_of("host=a"), &err));
    CHECK(!getenv("PGTARGETSESSIONATTRS"));
    CHECK_OK(fl_admin_environment(text_of("host=a,b target_session_attrs=any"), &err));
    CHECK_STR(getenv("PGTARGETSESSIONATTRS"), "any");
    unsetenv("PGTARGETSESSIONATTRS");
    CHECK_OK(fl_admin_environment(text_of("host=a,b"), &err));
    CHECK_STR(getenv("PGTARGETSESSIONATTRS"), "primary");
    stop(&standby);
    stop(&primary);
}

static const struct fl_test tests[] = {
    T(a_host_that_says_nothing_is_left),        T(a_server_that_cannot_be_used_is_passed_over),
    T(names_go_with_their_addresses_and_ports), T(each_address_of_a_name_has_its_turn),
    T(a_list_that_does_not_fit_is_refused),     T(hostile_lists_are_walked_through),
    T(a_socket_directory_may_stand_in_a_list),  T(names_are_resolved_beside_the_loop),
    T(a_name_that_takes_too_long_is_let_go),    T(a_step_to_libpqs_own_next_host_is_watched),
    T(the_last_words_of_a_server_are_told),     T(a_setup_goes_on_behind_an_error_that_was_none),
    T(an_administrator_is_led_to_the_primary),
};
TEST_MAIN(tests)
