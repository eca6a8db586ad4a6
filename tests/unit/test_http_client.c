/* The HTTP client of the loop, against a server that says what the case wants. */
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "harness.h"
#include "runtime/io/http_client.h"

struct server {
    int fd;
    const char *says; /* to each request; "": the end; NULL: nothing, ever */
    size_t requests;
    char seen[8192], url[64];
    pthread_t thread;
};

static bool read_request(int fd, char *seen, size_t size)
{
    for (size_t n = 0; n < size - 1;) {
        ssize_t got = read(fd, seen + n, size - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        seen[n] = 0;
        const char *end = strstr(seen, "\r\n\r\n"), *length = strstr(seen, "Content-Length: ");
        if (end && n >= (size_t)(end + 4 - seen) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
    return false;
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        while (read_request(fd, s->seen, sizeof s->seen)) {
            const char *says = s->says;
            s->requests++;
            if (!says)
                pause();
            CHECK(write(fd, says, strlen(says)) == (ssize_t)strlen(says));
            if (!*says || strstr(says, "Connection: close"))
                break;
        }
    }
    return NULL;
}

static void start(struct server *s, const char *says)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof in;
    s->says = says;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s->fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(s->fd, 16) == 0);
    CHECK(getsockname(s->fd, (struct sockaddr *)&in, &n) == 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/x", ntohs(in.sin_port));
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

/* ---- one call, run to its end ---- */
struct asked {
    struct fl_loop *loop;
    struct fl_op op;
    struct fl_http_call call;
    enum fl_code code;
    char why[FL_ERR_TEXT_BYTES];
    int done;
};

static void on_done(struct fl_op *op)
{
    struct asked *a = FL_CONTAINER(op, struct asked, op);
    a->code = op->code;
    memcpy(a->why, op->err.text, sizeof a->why);
    a->done++;
    fl_loop_stop(a->loop);
}

static struct fl_loop loop;
static struct fl_http_client *client;

static void open_client(bool may_be_local)
{
    struct fl_http_client_config config = { .may_be_local = may_be_local };
    struct fl_err err;
    CHECK_OK(fl_loop_init(&loop, &err));
    CHECK_OK(fl_http_client_new(&loop, &config, &client, &err));
}

static void close_client(void)
{
    fl_http_client_free(&client);
    for (int i = 0; i < 20; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static struct asked ask(const char *url, const char *body, int64_t timeout_ms, size_t most)
{
    static struct asked a;
    a = (struct asked){ .loop = &loop, .op = { .done = on_done } };
    a.call = (struct fl_http_call){ .method = body ? "POST" : "GET",
                                    .url = url,
                                    .body = fl_str_of(body),
                                    .timeout_ms = timeout_ms,
                                    .max_bytes = most };
    enum fl_code code = fl_http_call_start(&a.op, client, &a.call);
    if (code) {
        a.code = code;
        memcpy(a.why, a.op.err.text, sizeof a.why);
        return a;
    }
    CHECK(a.done == 0); /* never inside the start */
    fl_loop_run(&loop);
    CHECK_INT(a.done, 1);
    return a;
}

static void test_a_request_and_its_answer(void)
{
    static struct server s; /* its thread may outlive the case */
    start(&s, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
    open_client(true);
    for (int i = 0; i < 3; i++) {
        struct asked a = ask(s.url, "{\"a\":1}", 0, 0);
        CHECK_OK(a.code);
        CHECK_INT(a.call.status, 429);
        CHECK_INT(a.call.retry_after_ms, 7000);
        CHECK_SPAN(fl_buf_view(&a.call.answer), "busy");
        fl_http_call_fini(&a.call);
    }
    CHECK(strstr(s.seen, "POST /x HTTP/1.1") && strstr(s.seen, "{\"a\":1}"));
    CHECK_INT(s.requests, 3);
    close_client();
}

static void test_redirects_are_not_followed(void)
{
    static struct server s, other; /* their threads may outlive the case */
    char says[300];
    start(&other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    snprintf(says, sizeof says, "HTTP/1.1 302 F\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             other.url);
    start(&s, says);
    open_client(true);
    struct asked a = ask(s.url, NULL, 0, 0);
    CHECK_OK(a.code);
    CHECK_INT(a.call.status, 302);
    CHECK_INT(other.requests, 0);
    fl_http_call_fini(&a.call);
    close_client();
}

static void test_this_host_is_refused_unless_it_may_be_asked(void)
{
    static struct server s; /* its thread may outlive the case */
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    open_client(false);
    struct asked a = ask(s.url, NULL, 0, 0);
    CHECK_INT(a.code, FL_BAD_PARAMS); /* in clear */
    static const char *const urls[] = {
        "https://127.0.0.1:1/",          "https://[::1]:1/",
        "https://10.0.0.1:1/",           "https://169.254.169.254/",
        "https://[::ffff:127.0.0.1]:1/", "https://0.0.0.0:1/",
        "https://192.168.1.1/",          "https://[fd00::1]:1/",
        "https://172.16.0.1/",           "https://[64:ff9b::7f00:1]:1/"
    };
    for (size_t i = 0; i < FL_COUNTOF(urls); i++) {
        a = ask(urls[i], NULL, 2000, 0);
        CHECK_MSG(a.code == FL_CONFIG, "%s: %s: %s", urls[i], fl_code_name(a.code), a.why);
        fl_http_call_fini(&a.call);
    }
    CHECK_INT(s.requests, 0);
    close_client();
}

static void test_an_answer_that_is_too_long_is_none(void)
{
    static struct server s; /* its thread may outlive the case */
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
              "12345678901234567890");
    open_client(true);
    struct asked a = ask(s.url, NULL, 0, 19);
    CHECK_INT(a.code, FL_TOO_LARGE);
    fl_http_call_fini(&a.call);
    a = ask(s.url, NULL, 0, 20);
    CHECK_OK(a.code);
    fl_http_call_fini(&a.call);
    close_client();
}

static void test_silence_and_breaks_are_told_apart(void)
{
    struct server silent = { 0 }, broken = { 0 };
    start(&silent, NULL);
    start(&broken, "");
    open_client(true);
    struct asked a = ask(silent.url, "x", 200, 0);
    CHECK_INT(a.code, FL_TIMEOUT);
    fl_http_call_fini(&a.call);
    a = ask(broken.url, "x", 0, 0);
    CHECK_INT(a.code, FL_AMBIGUOUS); /* it may have been taken */
    fl_http_call_fini(&a.call);
    close(silent.fd);
    a = ask("http://127.0.0.1:1/", "x", 2000, 0);
    CHECK_INT(a.code, FL_UNAVAILABLE); /* nothing was sent */
    fl_http_call_fini(&a.call);
    close_client();
}

/* A kept connection that breaks after the request: whether it was taken is not known, and it is not
 * sent again behind our back. */
static void test_what_may_have_arrived_is_not_sent_again(void)
{
    static struct server s; /* its thread may outlive the case */
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    open_client(true);
    struct asked a = ask(s.url, "one", 0, 0);
    CHECK_OK(a.code);
    fl_http_call_fini(&a.call);
    s.says = "";
    a = ask(s.url, "two", 0, 0);
    CHECK_INT(a.code, FL_AMBIGUOUS);
    CHECK_INT(s.requests, 2);
    fl_http_call_fini(&a.call);
    close_client();
}

/* ---- a server on this thread: what it does, it does between two turns of the loop ---- */
static int listen_here(char *url, size_t size)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&in, &n) == 0);
    snprintf(url, size, "http://127.0.0.1:%d/x", ntohs(in.sin_port));
    return fd;
}

static int accept_here(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    return fd;
}

static void await_head(int fd)
{
    char seen[1024] = "";
    for (size_t n = 0; !strstr(seen, "\r\n\r\n");) {
        ssize_t got = recv(fd, seen + n, sizeof seen - 1 - n, 0);
        CHECK(got != 0);
        n += got > 0 ? (size_t)got : 0;
        seen[n] = 0;
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
}

static void begin(struct asked *a, const char *url, struct fl_str body)
{
    *a = (struct asked){ .loop = &loop, .op = { .done = on_done } };
    a->call = (struct fl_http_call){ .method = body.p ? "POST" : "GET", .url = url, .body = body };
    CHECK_OK(fl_http_call_start(&a->op, client, &a->call));
}

static void test_an_answer_before_a_reset_is_read(void)
{
    enum { BODY = 8 << 20, ANSWER = 40000 }; /* more than the socket takes; several reads */
    static char body[BODY], answer[ANSWER + 200];
    static struct asked a;
    char url[64];
    int listener = listen_here(url, sizeof url);
    int head = snprintf(answer, sizeof answer,
                        "HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n", ANSWER);
    memset(answer + head, 'a', ANSWER);
    open_client(true);
    for (int i = 0; i < 50; i++) {
        size_t n = (size_t)head + ANSWER;
        struct linger at_once = { .l_onoff = 1 };
        begin(&a, url, (struct fl_str){ body, BODY });
        int fd = accept_here(listener);
        await_head(fd);
        CHECK(send(fd, answer, n, MSG_NOSIGNAL) == (ssize_t)n);
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        close(fd);
        fl_loop_run(&loop);
        CHECK_MSG(a.code == FL_OK, "%d: %s: %s", i, fl_code_name(a.code), a.why);
        CHECK_INT(a.call.status, 413);
        CHECK_INT(a.call.answer.n, ANSWER);
        fl_http_call_fini(&a.call);
    }
    close(listener);
    close_client();
}

static void test_a_reset_alone_ends_the_call(void)
{
    static char body[8 << 20];
    static struct asked a;
    char url[64];
    struct linger at_once = { .l_onoff = 1 };
    int listener = listen_here(url, sizeof url);
    open_client(true);
    for (int i = 0; i < 3; i++) { /* nothing, a part of an answer, and one that the reset ends */
        static const char *const says[] = { "", "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\n\r\nab" };
        begin(&a, url, (struct fl_str){ body, sizeof body });
        int fd = accept_here(listener);
        await_head(fd);
        CHECK(send(fd, says[i], strlen(says[i]), MSG_NOSIGNAL) == (ssize_t)strlen(says[i]));
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        close(fd);
        fl_loop_run(&loop);
        CHECK_MSG(a.code == FL_AMBIGUOUS, "%d: %s: %s", i, fl_code_name(a.code), a.why);
        fl_http_call_fini(&a.call);
    }
    close(listener);
    close_client();
}

/* An error that is none of curl's and stays until somebody takes it: the time at which something
 * was sent. */
static void ask_for_errors(int fd)
{
    int wants = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &wants, sizeof wants) == 0);
}

static bool take_error(int fd)
{
    struct msghdr none = { 0 };
    return recvmsg(fd, &none, MSG_ERRQUEUE) >= 0;
}

static void test_an_error_that_curl_leaves_ends_no_watch_and_is_no_busy_loop(void)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static struct asked a;
    char url[64];
    int listener = listen_here(url, sizeof url), turns = 0;
    open_client(true);
    int ours = dup(0); /* the number that curl's socket will have */
    close(ours);
    begin(&a, url, (struct fl_str){ 0 });
    int theirs = accept_here(listener);
    await_head(theirs);
    CHECK(send(theirs, answer, sizeof answer - 1, MSG_NOSIGNAL) == sizeof answer - 1);
    fl_loop_run(&loop);
    CHECK_OK(a.code);
    fl_http_call_fini(&a.call);
    ask_for_errors(ours); /* of the connection, which is kept */
    begin(&a, url, (struct fl_str){ 0 });
    while (!take_error(ours)) /* seen in the turn that sends, and gone in the next one */
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    await_head(theirs);
    CHECK(send(theirs, answer, sizeof answer - 1, MSG_NOSIGNAL) == sizeof answer - 1);
    for (int i = 0; i < 10 && !a.done; i++) /* no timer of curl's makes it look meanwhile */
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    CHECK_INT(a.done, 1);
    CHECK_OK(a.code);
    fl_http_call_fini(&a.call);
    a.done = 0;
    a.call = (struct fl_http_call){ .method = "GET", .url = url, .timeout_ms = 500 };
    CHECK_OK(fl_http_call_start(&a.op, client, &a.call));
    for (; !a.done; turns++)
        uv_run(&loop.uv, UV_RUN_ONCE);
    CHECK_INT(a.code, FL_TIMEOUT);
    CHECK_MSG(turns < 100, "%d turns", turns);
    fl_http_call_fini(&a.call);
    close(theirs);
    close(listener);
    close_client();
}

static void test_what_cannot_be_watched_ends_alone(void)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    static struct asked a, b;
    char url[64];
    int listener = listen_here(url, sizeof url);
    open_client(true);
    begin(&a, url, (struct fl_str){ 0 });
    int fd = accept_here(listener);
    await_head(fd);
    begin(&b, url, (struct fl_str){ 0 });
    fl_mem_fail_at(1, 1);
    fl_loop_run(&loop);
    CHECK_INT(b.done, 1);
    CHECK_INT(b.code, FL_UNAVAILABLE); /* not even connected */
    CHECK_INT(a.done, 0);
    CHECK(send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) == sizeof answer - 1);
    fl_loop_run(&loop);
    CHECK_MSG(a.code == FL_OK, "%s: %s", fl_code_name(a.code), a.why);
    CHECK_INT(a.call.status, 200);
    fl_http_call_fini(&a.call);
    begin(&b, url, (struct fl_str){ 0 }); /* over the connection that is kept */
    fl_mem_fail_at(1, 1);
    fl_loop_run(&loop);
    CHECK_INT(b.code, FL_AMBIGUOUS); /* it is asked, and may be done */
    await_head(fd);
    close(fd);
    close(listener);
    close_client();
}

static void on_time(struct fl_timer *timer)
{
    (void)timer;
}

static void test_cancelling_completes_once(void)
{
    static struct server s; /* its thread may outlive the case */
    struct fl_timer timer;
    start(&s, NULL);
    open_client(true);
    static struct asked a;
    a = (struct asked){ .loop = &loop, .op = { .done = on_done } };
    a.call = (struct fl_http_call){ .method = "GET", .url = s.url };
    CHECK_OK(fl_http_call_start(&a.op, client, &a.call));
    fl_timer_init(&timer, on_time);
    fl_loop_timer(&loop, &timer, 50);
    for (int i = 0; i < 5; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    fl_op_cancel(&a.op);
    fl_op_cancel(&a.op);
    CHECK_INT(a.done, 0);
    fl_loop_run(&loop);
    CHECK_INT(a.done, 1);
    CHECK_INT(a.code, FL_CANCELLED);
    fl_http_call_fini(&a.call);
    fl_loop_timer_cancel(&loop, &timer);
    /* And those that run when the client goes. */
    a.done = 0;
    a.call = (struct fl_http_call){ .method = "GET", .url = s.url };
    CHECK_OK(fl_http_call_start(&a.op, client, &a.call));
    close_client();
    CHECK_INT(a.done, 1);
    CHECK_INT(a.code, FL_CANCELLED);
}

static const struct fl_test tests[] = {
    T(a_request_and_its_answer),
    T(redirects_are_not_followed),
    T(this_host_is_refused_unless_it_may_be_asked),
    T(an_answer_that_is_too_long_is_none),
    T(silence_and_breaks_are_told_apart),
    T(what_may_have_arrived_is_not_sent_again),
    T(an_answer_before_a_reset_is_read),
    T(a_reset_alone_ends_the_call),
    T(an_error_that_curl_leaves_ends_no_watch_and_is_no_busy_loop),
    T(what_cannot_be_watched_ends_alone),
    T(cancelling_completes_once),
};
TEST_MAIN(tests)
