/* The HTTP front on loopback: what an endpoint and a raw client see of each other. */
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "flopinio/base/mem.h"
#include "http_fixture.h"

/* ---- requests and responses ---- */
static void test_a_response_is_whole_and_dated_without_a_banner(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    struct cl_text t =
        cl_ask(port, "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 5\r\n\r\nhello");
    CHECK(cl_has(&t, "HTTP/1.1 200 OK\r\nDate: ") && cl_has(&t, " GMT\r\n"));
    CHECK(cl_has(&t, "\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"));
    CHECK(!cl_has(&t, "Server:") && !t.is_reset);
    cl_free(&t);
    finish(&app);
    CHECK_INT(app.requests, 1);
    CHECK_INT(app.gone, 0);
}

static void test_a_connection_is_kept_for_many_requests(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    for (int i = 0; i < 50; i++) {
        cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nend");
        struct cl_text t = cl_read_until(fd, "\r\n\r\nend", 1);
        CHECK_INT(cl_status(&t), 200);
        CHECK(!cl_has(&t, "Connection: close"));
        cl_free(&t);
    }
    close(fd);
    finish(&app);
    CHECK_INT(app.requests, 50);
}

static void test_http_10_is_answered_and_closed(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    struct cl_text t = cl_ask(port, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(cl_has(&t, "HTTP/1.1 200 OK\r\n") && cl_has(&t, "Connection: close\r\n"));
    cl_free(&t);
    t = cl_ask(port, "GET /stream HTTP/1.0\r\n\r\n");
    CHECK(cl_has(&t, "\r\nConnection: close\r\n\r\none,two") && !cl_has(&t, "chunked"));
    cl_free(&t);
    finish(&app);
}

static void test_pipelined_requests_are_answered_in_order(void)
{
    struct app app;
    char want[40 * 16] = "", text[8192] = "";
    prepare(&app);
    int fd = cl_connect(start(&app));
    for (int i = 0; i < 40; i++) { /* late ones stand between quick ones */
        char one[200];
        snprintf(one, sizeof one,
                 i % 4 == 1 ? "GET /late?<%02d> HTTP/1.1\r\n" HOST "\r\n"
                            : "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n<%02d>",
                 i);
        for (char *p = one; *p; p++) /* '<' cannot stand in a target */
            *p = *p == '<' || *p == '>' ? '_' : *p;
        strcat(text, one);
        snprintf(one, sizeof one, "_%02d_", i);
        strcat(want, one);
    }
    cl_puts(fd, text);
    struct cl_text t = cl_read_until(fd, "_39_", 1);
    char got[sizeof want] = "";
    for (char *p = t.p; (p = strstr(p, "\r\n\r\n_")) != NULL; p += 8)
        strncat(got, p + 4, 4);
    CHECK_STR(got, want);
    cl_free(&t);
    close(fd);
    finish(&app);
    CHECK_INT(app.requests, 40);
}

static void test_chunked_bodies_go_both_ways(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nab");
    usleep(5000);
    cl_puts(fd, "c\r\n4;x\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n");
    struct cl_text t = cl_read_until(fd, "abcdefg", 1);
    CHECK(cl_has(&t, "Content-Length: 7\r\n\r\nabcdefg"));
    cl_free(&t);
    cl_puts(fd, GET("/stream") "\r\n");
    t = cl_read_until(fd, "0\r\n\r\n", 1);
    CHECK(cl_has(&t, "Transfer-Encoding: chunked\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n"));
    CHECK(!cl_has(&t, "Content-Length"));
    cl_free(&t);
    close(fd);
    finish(&app);
}

static void test_100_continue_is_said_once_the_head_is_accepted(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    int fd = cl_connect(port);
    cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    struct cl_text t = cl_read_until(fd, "\r\n\r\n", 1);
    CHECK_STR(t.p, "HTTP/1.1 100 Continue\r\n\r\n");
    cl_free(&t);
    cl_puts(fd, "hi");
    t = cl_read_until(fd, "\r\n\r\nhi", 1);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    /* The body came along: nobody waits. */
    cl_puts(fd,
            "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nho");
    t = cl_read_until(fd, "\r\n\r\nho", 1);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    close(fd);
    t = cl_ask(port, "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 2\r\n"
                     "Expect: 100-continue\r\n\r\n");
    CHECK_INT(cl_status(&t), 403);
    CHECK(!cl_has(&t, "100 Continue"));
    cl_free(&t);
    fd = cl_connect(port);
    cl_puts(fd,
            "POST /pause HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    t = cl_read_until(fd, "\r\n\r\n", 1);
    CHECK_STR(t.p, "HTTP/1.1 100 Continue\r\n\r\n");
    cl_free(&t);
    cl_puts(fd, "hi");
    t = cl_read_until(fd, "\r\n\r\nhi", 1);
    cl_free(&t);
    close(fd);
    finish(&app);
}

static void test_a_refusal_in_on_head_arrives_though_the_body_is_not_read(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    size_t n = 3u << 20;
    char *body = calloc(1, n);
    cl_puts(fd, "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n");
    cl_send(fd, body, n); /* without looking at the answer */
    struct cl_text t = cl_read_all(fd);
    CHECK_INT(cl_status(&t), 403);
    CHECK(cl_has(&t, "Connection: close\r\n\r\nno"));
    cl_free(&t);
    free(body);
    close(fd);
    finish(&app);
    CHECK_INT(app.requests, 0);
}

static void test_a_paused_request_waits_with_its_body(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    cl_puts(fd, "POST /pause HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    char body[100000];
    memset(body, 'p', sizeof body);
    cl_send(fd, body, sizeof body);
    struct cl_text t = cl_read_until(fd, "p", 100000);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    close(fd);
    finish(&app);
}

static void test_responses_without_a_body_have_none(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    struct cl_text t = cl_ask(port, "HEAD /peer HTTP/1.1\r\n" HOST CLOSE "\r\n");
    CHECK(cl_has(&t, "Content-Length: 15\r\n") && strcmp(t.p + t.n - 4, "\r\n\r\n") == 0);
    cl_free(&t);
    t = cl_ask(port, "HEAD /stream HTTP/1.1\r\n" HOST CLOSE "\r\n");
    CHECK(cl_has(&t, "chunked\r\n") && strcmp(t.p + t.n - 4, "\r\n\r\n") == 0);
    cl_free(&t);
    t = cl_ask(port, GET("/204") CLOSE "\r\n");
    CHECK(cl_status(&t) == 204 && !cl_has(&t, "Content-Length") && !cl_has(&t, "Transfer"));
    cl_free(&t);
    t = cl_ask(port, GET("/304") CLOSE "\r\n");
    CHECK(cl_status(&t) == 304 && !cl_has(&t, "never") && !cl_has(&t, "Content-Length"));
    cl_free(&t);
    finish(&app);
}

static void test_headers_cannot_be_injected(void)
{
    static const char *const paths[] = { GET("/inject") CLOSE "\r\n",
                                         GET("/inject-name") CLOSE "\r\n",
                                         GET("/ours") CLOSE "\r\n" };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(paths); i++) {
        struct cl_text t = cl_ask(port, paths[i]);
        CHECK_INT(cl_status(&t), 500);
        CHECK(!cl_has(&t, "Set-Cookie") && !cl_has(&t, "Y: b") && !cl_has(&t, ": 7\r\n"));
        cl_free(&t);
    }
    finish(&app);
}

static void test_the_peer_is_known(void)
{
    struct app app;
    char path[100];
    struct stat st;
    prepare(&app);
    struct cl_text t = cl_ask(start(&app), GET("/peer") CLOSE "\r\n");
    CHECK(cl_has(&t, "\r\n\r\n127.0.0.1 1 0 0"));
    cl_free(&t);
    finish(&app);
    snprintf(path, sizeof path, "/tmp/fl-test-%d.sock", (int)getpid());
    prepare(&app);
    app.unix_path = path;
    start(&app);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    struct fl_err err;
    int fd;
    CHECK_INT(fl_listen_unix(path, 0600, &fd, &err), FL_CONFLICT);
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    strcpy(to.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    cl_puts(fd, GET("/peer") CLOSE "\r\n");
    t = cl_read_all(fd);
    CHECK(cl_has(&t, "\r\n\r\nunix 0 1 1"));
    cl_free(&t);
    close(fd);
    finish(&app);
    CHECK_OK(fl_listen_unix(path, 0600, &fd, &err)); /* the dead one is replaced */
    close(fd);
    unlink(path);
    FILE *f = fopen(path, "w");
    fclose(f);
    CHECK_INT(fl_listen_unix(path, 0600, &fd, &err), FL_CONFLICT);
    unlink(path);
    CHECK_INT(fl_listen_tcp("localhost", 0, &fd, &err), FL_CONFIG);
    CHECK_STR(err.text, "\"localhost\" is not a numeric address");
}

/* ---- what the front refuses by itself ---- */
static void test_errors_of_the_front_are_one_sentence_or_the_endpoints(void)
{
    struct app app;
    prepare(&app);
    app.limits.body_bytes = 100;
    uint16_t port = start(&app);
    struct cl_text t = cl_ask(port, "GET / HTTP/1.1\r\n\r\n");
    CHECK_INT(cl_status(&t), 400);
    CHECK(cl_has(&t, "Content-Type: text/plain; charset=utf-8\r\n") &&
          cl_has(&t, "Connection: close\r\n\r\nThere must be exactly one host.\n"));
    cl_free(&t);
    t = cl_ask(port, "TRACE / HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(cl_status(&t), 405);
    CHECK(cl_has(&t, "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"));
    cl_free(&t);
    t = cl_ask(port, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n");
    CHECK_INT(cl_status(&t), 413);
    cl_free(&t);
    t = cl_ask(port, GET("/error") CLOSE "\r\n");
    CHECK(cl_status(&t) == 503 && cl_has(&t, "Retry-After: 5\r\n") &&
          cl_has(&t, "\r\n\r\nCome back later.\n"));
    cl_free(&t);
    finish(&app);
    CHECK_INT(app.heads, 2); /* also of the body that is too long: it is refused behind on_head */
    CHECK_INT(app.requests, 1);
    prepare(&app);
    app.renders = true;
    app.limits.body_bytes = 100;
    port = start(&app);
    t = cl_ask(port, "bad\r\n");
    CHECK(cl_has(&t, "Content-Type: application/json\r\n") &&
          cl_has(&t, "\r\n\r\n{\"status\":400,\"path\":\"\"}"));
    cl_free(&t);
    t = cl_ask(port, "POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n");
    CHECK(cl_has(&t, "\r\n\r\n{\"status\":413,\"path\":\"/p\"}"));
    cl_free(&t);
    finish(&app);
    CHECK_INT(app.heads, 1);
    CHECK_INT(app.requests, 0);
    CHECK_INT(app.gone, 0);
}

static void test_a_slow_head_is_refused(void)
{
    struct app app;
    prepare(&app);
    app.limits.head_ms = 150;
    uint16_t port = start(&app);
    int fd = cl_connect(port);
    for (int i = 0; i < 100; i++) { /* drips, so that no single wait is long */
        cl_puts(fd, i == 0 ? GET("/") : "A: b\r\n");
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 10))
            break;
    }
    struct cl_text t = cl_read_all(fd);
    CHECK_INT(cl_status(&t), 408);
    CHECK(cl_has(&t, "The request head did not come in time.\n"));
    cl_free(&t);
    close(fd);
    fd = cl_connect(port); /* says nothing at all: is closed without a word */
    t = cl_read_all(fd);
    CHECK_INT(t.n, 0);
    cl_free(&t);
    close(fd);
    finish(&app);
    CHECK_INT(app.heads, 0);
}

static void test_a_slow_body_is_refused_and_a_fast_enough_one_is_not(void)
{
    struct app app;
    prepare(&app);
    app.limits.body_window_ms = 100;
    app.limits.body_bytes_per_s = 1000; /* 100 a window */
    uint16_t port = start(&app);
    int fd = cl_connect(port);
    cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 1000; i++) {
        cl_puts(fd, "x");
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 10))
            break;
    }
    struct cl_text t = cl_read_all(fd);
    CHECK_INT(cl_status(&t), 408);
    CHECK(cl_has(&t, "The body comes too slowly.\n"));
    cl_free(&t);
    close(fd);
    fd = cl_connect(port);
    cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 80000\r\n\r\n");
    char block[2000];
    memset(block, 'y', sizeof block);
    for (int i = 0; i < 40; i++) { /* over several windows */
        cl_send(fd, block, sizeof block);
        usleep(10000);
    }
    t = cl_read_until(fd, "y", 80000);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    close(fd);
    finish(&app);
    CHECK_INT(app.heads, 2);
    CHECK_INT(app.requests, 1);
}

static void test_an_idle_connection_is_closed(void)
{
    struct app app;
    prepare(&app);
    app.limits.idle_ms = 100;
    int fd = cl_connect(start(&app));
    cl_puts(fd, GET("/echo") "\r\n");
    struct cl_text t = cl_read_all(fd);
    CHECK_INT(cl_status(&t), 200);
    CHECK(!cl_has(&t, "408") && !cl_has(&t, "close"));
    cl_free(&t);
    close(fd);
    finish(&app);
}

/* ---- peers that go, or are slow ---- */
static void test_a_peer_that_goes_is_noticed_while_the_response_is_owed(void)
{
    static const char *const asks[] = { GET("/hang") "\r\n", GET("/sse") "\r\n",
                                        GET("/hang") "\r\n" GET("/echo") "\r\n" };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(asks); i++) {
        int fd = cl_connect(port);
        cl_puts(fd, asks[i]);
        lb_await(&app.requests, (int)i + 1);
        struct linger reset = { .l_onoff = i == 1, .l_linger = 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        lb_await(&app.gone, (int)i + 1);
    }
    lb_await(&app.released, 3);
    finish(&app);
}

static void test_a_peer_that_goes_in_its_body_leaves_nothing(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nhalf");
    lb_await(&app.heads, 1);
    close(fd);
    lb_await(&app.gone, 1);
    finish(&app);
    CHECK_INT(app.requests, 0);
}

static void test_an_aborted_stream_is_not_taken_for_a_whole_one(void)
{
    struct app app;
    prepare(&app);
    struct cl_text t = cl_ask(start(&app), GET("/cut") "\r\n");
    CHECK(cl_has(&t, "two") && !cl_has(&t, "0\r\n\r\n"));
    cl_free(&t);
    finish(&app);
    CHECK_INT(app.gone, 0);
}

static void test_a_slow_reader_holds_the_writer_back(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect_small(start(&app), 4096);
    cl_puts(fd, GET("/flow") CLOSE "\r\n");
    lb_await(&app.refused_writes, 1); /* stops by itself; without a reader there it stays */
    usleep(20000);
    CHECK_INT(app.refused_writes, 1);
    size_t seen = 0;
    struct cl_text t = { 0 };
    while (cl_more(fd, &t)) {
        for (size_t i = 0; i < t.n; i++)
            seen += t.p[i] == '#';
        t.n = 0;
        if (app.drained == 1) /* it has gone on, and is held back anew */
            lb_await(&app.refused_writes, 2);
    }
    cl_free(&t);
    CHECK_INT(seen, 16u << 20);
    CHECK(app.drained > 1);
    close(fd);
    finish(&app);
}

static void test_a_reader_that_stops_is_dropped(void)
{
    struct app app;
    prepare(&app);
    app.limits.write_stall_ms = 100;
    uint16_t port = start(&app);
    int fd = cl_connect_small(port, 4096), whole = cl_connect_small(port, 4096);
    cl_puts(fd, GET("/flow") "\r\n");
    lb_await(&app.gone, 1);
    /* A response that is already given is nobody's any more, but the connection goes, too. */
    cl_puts(whole, GET("/big") "\r\n" GET("/echo") "\r\n");
    lb_await(&app.released, 2);
    for (int i = 0; i < 5000 && counts_of(&app).open; i++)
        usleep(1000);
    CHECK_INT(counts_of(&app).open, 0);
    close(fd);
    close(whole);
    finish(&app);
    CHECK_INT(app.requests, 2); /* the pipelined one was not begun behind a full queue */
}

static void test_a_large_response_is_whole(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect_small(start(&app), 4096);
    cl_puts(fd, GET("/big") "\r\n" GET("/peer") "\r\n");
    struct cl_text t = cl_read_until(fd, "127.0.0.1", 1);
    CHECK(cl_has(&t, "Content-Length: 3000000\r\n\r\nbbbb") && t.n > 3000000);
    CHECK(cl_has(&t, "bbbbHTTP/1.1 200 OK\r\n"));
    cl_free(&t);
    close(fd);
    finish(&app);
}

static void test_a_flood_of_pipelined_requests_is_bounded_and_answered(void)
{
    enum { MANY = 20000 };
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    pid_t child = fork();
    if (child == 0) { /* writes while we read */
        for (int i = 0; i < MANY; i++)
            cl_puts(fd, i % 1000 ? GET("/echo") "\r\n" : GET("/late?x") "\r\n");
        _exit(0);
    }
    struct cl_text t = cl_read_until(fd, "HTTP/1.1 200 OK", MANY);
    cl_free(&t);
    close(fd);
    finish(&app);
    CHECK_INT(app.requests, MANY);
}

/* ---- ending ---- */
static atomic_int drain_done;

static void count_drain(struct fl_http_server *server)
{
    FL_UNUSED(server);
    atomic_fetch_add(&drain_done, 1);
}

static void drain_patiently(void *arg)
{
    fl_http_server_drain(((struct app *)arg)->server, 60000, count_drain);
}

static void drain_now(void *arg)
{
    fl_http_server_drain(((struct app *)arg)->server, 20, count_drain);
}

static void answer_held(void *arg)
{
    respond(((struct app *)arg)->held, 200, FL_STR("held"));
}

static void test_draining_lets_running_requests_end(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    int idle = cl_connect(port), busy = cl_connect(port);
    cl_puts(idle, GET("/echo") "\r\n");
    struct cl_text t = cl_read_until(idle, "\r\n\r\n", 1);
    cl_free(&t);
    cl_puts(busy, GET("/hold") "\r\n");
    lb_await(&app.requests, 2);
    lb_do(&app.l, drain_patiently, &app);
    t = cl_read_all(idle); /* is closed */
    CHECK_INT(t.n, 0);
    cl_free(&t);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int late = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(late, (struct sockaddr *)&to, sizeof to) != 0 && errno == ECONNREFUSED);
    close(late);
    CHECK_INT(drain_done, 0);
    lb_do(&app.l, answer_held, &app);
    t = cl_read_all(busy);
    CHECK(cl_status(&t) == 200 && cl_has(&t, "Connection: close\r\n\r\nheld"));
    cl_free(&t);
    lb_await(&drain_done, 1);
    close(idle);
    close(busy);
    finish(&app);
    CHECK_INT(app.gone, 0);
}

static void test_draining_ends_at_its_deadline(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    cl_puts(fd, GET("/hang") "\r\n");
    lb_await(&app.requests, 1);
    lb_do(&app.l, drain_now, &app);
    lb_await(&app.gone, 1);
    lb_await(&drain_done, 1);
    close(fd);
    finish(&app);
}

static void test_freeing_a_server_breaks_what_is_open(void)
{
    struct app app;
    int fds[6];
    prepare(&app);
    uint16_t port = start(&app);
    static const char *const asks[] = { "",
                                        "GE",
                                        GET("/hang") "\r\n",
                                        GET("/sse") "\r\n",
                                        GET("/late?x") "\r\n",
                                        "POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nx" };
    for (size_t i = 0; i < FL_COUNTOF(asks); i++) {
        fds[i] = cl_connect(port);
        cl_puts(fds[i], asks[i]);
    }
    lb_await(&app.heads, 4);
    finish(&app);
    CHECK(app.gone >= 3);
    for (size_t i = 0; i < FL_COUNTOF(asks); i++)
        close(fds[i]);
}

/* ---- limits of the process ---- */
static void test_the_want_of_descriptors_is_survived(void)
{
    enum { MANY = 80 };
    struct app app;
    int pipes[2], go[2], fds[MANY];
    char c = 'x';
    CHECK(pipe(pipes) == 0 && pipe(go) == 0);
    prepare(&app);
    uint16_t port = start(&app);
    pid_t child = fork(); /* the client has its own table */
    if (child == 0) {
        CHECK(read(go[0], &c, 1) == 1); /* the server's is small by now */
        for (int i = 0; i < MANY; i++)
            fds[i] = cl_connect(port); /* the backlog takes them all */
        CHECK(write(pipes[1], "x", 1) == 1);
        usleep(300000);
        for (int i = 0; i < MANY; i++) /* then they go, and a new one must be served */
            close(fds[i]);
        int status = 0; /* soon: it may stand where the server takes one to refuse it */
        for (int i = 0; i < 5 && status != 200; i++) {
            struct cl_text t = cl_ask(port, GET("/echo") CLOSE "\r\n");
            status = cl_status(&t);
        }
        _exit(status == 200 ? 0 : 1);
    }
    /* The server may open some twenty more. */
    int probe = dup(0);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)probe + 20;
    close(probe);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(write(go[1], &c, 1) == 1);
    CHECK(read(pipes[0], &c, 1) == 1);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    getrusage(RUSAGE_SELF, &after);
    CHECK_INT(status, 0);
    struct fl_http_server_counts counts = counts_of(&app);
    CHECK(counts.refused > 0);
    /* Between refusals accepting rests: no spinning (300 ms of it would be far more). */
    long busy_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000L +
                   after.ru_utime.tv_usec - before.ru_utime.tv_usec;
    CHECK_MSG(busy_us < 200000, "%ld us", busy_us);
    finish(&app);
}

static void test_connections_over_the_limit_wait_and_idle_ones_make_room(void)
{
    struct app app;
    prepare(&app);
    app.limits.connections = 2;
    app.limits.linger_ms = 50;
    uint16_t port = start(&app);
    int idle = cl_connect(port), busy = cl_connect(port);
    cl_puts(busy, GET("/hang") "\r\n");
    cl_puts(idle, GET("/echo") "\r\n");
    struct cl_text t = cl_read_until(idle, "\r\n\r\n", 1);
    cl_free(&t);
    lb_await(&app.requests, 2);
    t = cl_ask(port, GET("/echo") CLOSE "\r\n"); /* in the place of the idle one */
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    t = cl_read_all(idle);
    CHECK_INT(t.n, 0);
    cl_free(&t);
    close(idle);
    close(busy);
    finish(&app);
}

static void test_a_connection_that_becomes_idle_makes_room_for_one_that_waits(void)
{
    struct app app;
    prepare(&app);
    app.limits.connections = 2;
    app.limits.linger_ms = 50;
    uint16_t port = start(&app);
    int hanging = cl_connect(port), held = cl_connect(port), waits = cl_connect(port);
    cl_puts(hanging, GET("/hang") "\r\n");
    lb_await(&app.requests, 1);
    cl_puts(held, GET("/hold") "\r\n");
    lb_await(&app.requests, 2);
    cl_puts(waits, GET("/echo") CLOSE "\r\n");
    usleep(20000);
    CHECK_INT(app.requests, 2);
    lb_do(&app.l, answer_held, &app);
    struct cl_text t = cl_read_all(held); /* answered, and closed though it did not ask */
    CHECK(cl_has(&t, "held") && !cl_has(&t, "Connection: close"));
    cl_free(&t);
    t = cl_read_all(waits);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    close(hanging);
    close(held);
    close(waits);
    finish(&app);
}

static void test_a_failing_allocation_leaves_no_leak_and_no_half_response(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    int whole = 0, refused = 0, closed = 0;
    for (int once = 0; once < 2; once++) {
        for (uint64_t at = 1;; at++) {
            int fd = cl_connect(port);
            fl_mem_fail_at(at, once);
            cl_puts(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nech");
            usleep(1000); /* so that the second half comes alone */
            cl_puts(fd, "oed");
            cl_puts(fd, "GET /late?q HTTP/1.1\r\n" HOST CLOSE "\r\n");
            struct cl_text t = cl_read_all(fd);
            uint64_t count = fl_mem_fail_at(0, 0);
            if (cl_status(&t) == 200)
                CHECK(cl_has(&t, "\r\n\r\nechoed"));
            else
                CHECK(t.n == 0 || cl_status(&t) == 503);
            whole += cl_status(&t) == 200;
            refused += cl_status(&t) == 503;
            closed += t.n == 0;
            bool is_done = count < at;
            CHECK(!is_done || cl_has(&t, "\r\n\r\nq"));
            cl_free(&t);
            close(fd);
            if (is_done)
                break;
        }
    }
    CHECK(whole > 0 && refused > 0 && closed > 0);
    finish(&app);
    struct fl_err err;
    int fd;
    CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &fd, &err));
    struct fl_loop loop;
    CHECK_OK(fl_loop_init(&loop, &err));
    struct fl_http_server_config config = { .loop = &loop, .callbacks = &callbacks };
    struct fl_http_server *server = NULL;
    fl_mem_fail_at(1, 0);
    CHECK_INT(fl_http_server_new(&config, fd, &server, &err), FL_NOMEM);
    fl_mem_fail_at(0, 0);
    CHECK(!server);
    close(fd);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static const struct fl_test tests[] = {
    T(a_response_is_whole_and_dated_without_a_banner),
    T(a_connection_is_kept_for_many_requests),
    T(http_10_is_answered_and_closed),
    T(pipelined_requests_are_answered_in_order),
    T(chunked_bodies_go_both_ways),
    T(100_continue_is_said_once_the_head_is_accepted),
    T(a_refusal_in_on_head_arrives_though_the_body_is_not_read),
    T(a_paused_request_waits_with_its_body),
    T(responses_without_a_body_have_none),
    T(headers_cannot_be_injected),
    T(the_peer_is_known),
    T(errors_of_the_front_are_one_sentence_or_the_endpoints),
    T(a_slow_head_is_refused),
    T(a_slow_body_is_refused_and_a_fast_enough_one_is_not),
    T(an_idle_connection_is_closed),
    T(a_peer_that_goes_is_noticed_while_the_response_is_owed),
    T(a_peer_that_goes_in_its_body_leaves_nothing),
    T(an_aborted_stream_is_not_taken_for_a_whole_one),
    T(a_slow_reader_holds_the_writer_back),
    T(a_reader_that_stops_is_dropped),
    T(a_large_response_is_whole),
    T(a_flood_of_pipelined_requests_is_bounded_and_answered),
    T(draining_lets_running_requests_end),
    T(draining_ends_at_its_deadline),
    T(freeing_a_server_breaks_what_is_open),
    T(the_want_of_descriptors_is_survived),
    T(connections_over_the_limit_wait_and_idle_ones_make_room),
    T(a_connection_that_becomes_idle_makes_room_for_one_that_waits),
    T(a_failing_allocation_leaves_no_leak_and_no_half_response),
};

TEST_MAIN(tests)
