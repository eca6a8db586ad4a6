/* The blocking HTTP client, against a server that says what the case wants. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "harness.h"
#include "runtime/io/http_fetch.h"

/* ---------------------------------------------------------------- the server */
/* Its thread reads it until the process ends: it lives as long. */
struct server {
    int fd;
    const char *says; /* the whole answer to each request; "": the end; NULL: nothing, ever */
    size_t connections, requests;
    char seen[8192]; /* the last request */
    char url[64], path[64];
    pthread_t thread;
};

/* A request's head, and as much body as its Content-Length says. */
static bool read_request(int fd, char *seen, size_t size)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, seen + n, size - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        seen[n] = 0;
        const char *end = strstr(seen, "\r\n\r\n"), *length = strstr(seen, "Content-Length: ");
        if (end && n >= (size_t)(end + 4 - seen) + (length ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        s->connections++;
        while (read_request(fd, s->seen, sizeof s->seen)) {
            const char *says = s->says; /* it changes as soon as the answer is there */
            s->requests++;
            if (!says)
                pause();
            CHECK(write(fd, says, strlen(says)) == (ssize_t)strlen(says));
            if (!*says || strstr(says, "Connection: close"))
                break;
        }
        close(fd);
    }
    return NULL;
}

static void start(struct server *s, const char *says, bool is_unix)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    socklen_t n = sizeof in;
    s->says = says;
    s->fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (is_unix) {
        snprintf(s->path, sizeof s->path, "/tmp/flopinio-fetch-%d.sock", (int)getpid());
        memcpy(un.sun_path, s->path, strlen(s->path) + 1);
        unlink(s->path);
        CHECK(bind(s->fd, (struct sockaddr *)&un, sizeof un) == 0);
    } else {
        CHECK(bind(s->fd, (struct sockaddr *)&in, sizeof in) == 0);
        CHECK(getsockname(s->fd, (struct sockaddr *)&in, &n) == 0);
    }
    CHECK(listen(s->fd, 8) == 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(in.sin_port));
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

/* ---------------------------------------------------------------- asking it */
#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static struct fl_fetcher *fetcher;
static struct fl_buf body;
static struct fl_err err;
static int status;

static void open_fetcher(const char *unix_socket, int timeout_ms, size_t body_max)
{
    struct fl_fetcher_config config = { .unix_socket = unix_socket,
                                        .timeout_ms = timeout_ms,
                                        .body_max = body_max };
    CHECK_OK(fl_fetcher_new(&config, &fetcher, &err));
}

static enum fl_code get(const char *url)
{
    struct fl_fetch request = { .method = "GET", .url = url };
    fl_buf_reset(&body);
    status = 0;
    return fl_fetch(fetcher, &request, &status, &body, &err);
}

static void test_what_is_asked_arrives_and_the_answer_comes(void)
{
    static const char *const headers[] = { "Authorization: Bearer x", "Content-Type: a/b", NULL };
    static struct server s;
    char url[128];
    start(&s, OK_5, false);
    open_fetcher(NULL, 5000, 0);
    snprintf(url, sizeof url, "%s/api/x?y=%%20", s.url);
    struct fl_fetch request = {
        .method = "PATCH", .url = url, .headers = headers, .body = FL_STR("{\"a\":1}")
    };
    CHECK_OK(fl_fetch(fetcher, &request, &status, &body, &err));
    CHECK_INT(status, 200);
    CHECK_SPAN(fl_buf_view(&body), "hello");
    CHECK(strncmp(s.seen, "PATCH /api/x?y=%20 HTTP/1.1\r\n", 29) == 0);
    CHECK(strstr(s.seen, "Authorization: Bearer x\r\n") && strstr(s.seen, "Content-Type: a/b\r\n"));
    CHECK(strstr(s.seen, "\r\n\r\n{\"a\":1}"));
    /* The next one on the same connection, and nothing of the first in it. */
    CHECK_OK(get(s.url));
    CHECK(!strstr(s.seen, "Authorization") && !strstr(s.seen, "{\"a\"") && s.seen[0] == 'G');
    CHECK_INT(s.connections, 1);
    CHECK_INT(s.requests, 2);
    fl_fetcher_free(&fetcher);
    CHECK(!fetcher);
    fl_fetcher_free(&fetcher);
}

static void test_a_unix_socket_is_asked(void)
{
    static struct server s;
    start(&s, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", true);
    open_fetcher(s.path, 5000, 0);
    CHECK_OK(get("http://localhost/api/v1/me"));
    CHECK_INT(status, 404);
    CHECK_SPAN(fl_buf_view(&body), "{}");
    CHECK(strstr(s.seen, "Host: localhost\r\n"));
    unlink(s.path);
    fl_fetcher_free(&fetcher);
    open_fetcher(s.path, 5000, 0);
    CHECK_INT(get("http://localhost/"), FL_UNAVAILABLE);
    CHECK(strstr(err.text, "there is no socket /tmp/flopinio-fetch-"));
}

static void test_a_proxy_of_the_environment_is_not_told_the_secret(void)
{
    static struct server s;
    start(&s, OK_5, true);
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    open_fetcher(s.path, 5000, 0);
    CHECK_OK(get("http://localhost/"));
    unlink(s.path);
}

static void test_a_redirect_is_not_followed(void)
{
    static struct server s, other;
    static char says[256];
    start(&other, OK_5, false);
    snprintf(says, sizeof says, "HTTP/1.1 302 Found\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n",
             other.url);
    start(&s, says, false);
    open_fetcher(NULL, 5000, 0);
    CHECK_OK(get(s.url));
    CHECK_INT(status, 302);
    CHECK_INT(other.connections, 0);
}

static void test_a_secret_does_not_go_over_a_network_in_clear(void)
{
    static const char *const refused[] = { "http://example.com/",
                                           "HTTP://192.0.2.1/",
                                           "http://127.0.0.1.example.com/",
                                           "http://localhost.example.com",
                                           "http://127.0.0.1@example.com/",
                                           "http://localhost:80@example.com/",
                                           "ftp://127.0.0.1/",
                                           "file:///etc/passwd",
                                           "example.com",
                                           "" };
    open_fetcher(NULL, 2000, 0);
    for (size_t i = 0; i < FL_COUNTOF(refused); i++)
        CHECK_MSG(get(refused[i]) == FL_CONFIG, "'%s': %s", refused[i], err.text);
}

static void test_what_cannot_be_had_says_why(void)
{
    static struct server s, silent;
    open_fetcher(NULL, 300, 10);
    CHECK_INT(get("http://127.0.0.1:1/"), FL_UNAVAILABLE);
    start(&silent, NULL, false);
    int64_t from = fl_mono_ms();
    CHECK_INT(get(silent.url), FL_TIMEOUT);
    CHECK(fl_mono_ms() - from < 3000);
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", false);
    CHECK_INT(get(s.url), FL_TOO_LARGE);
    CHECK_STR(err.text, "the answer has more than 10 bytes");
    s.says = OK_5;
    CHECK_OK(get(s.url)); /* the next one is fine */
}

static void test_an_answer_that_breaks_off_is_no_answer(void)
{
    static struct server s;
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello", false);
    open_fetcher(NULL, 5000, 0);
    CHECK_INT(get(s.url), FL_IO);
    s.says =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n";
    CHECK_INT(get(s.url), FL_IO);
    s.says = "";
    CHECK_INT(get(s.url), FL_AMBIGUOUS);
    s.says = "SSH-2.0-x\r\nConnection: close\r\n\r\n";
    CHECK_INT(get(s.url), FL_IO);
}

static bool take(void *ctx, struct fl_str piece)
{
    fl_buf_str(ctx, piece);
    return piece.p[0] != '!';
}

static void test_a_long_answer_comes_in_pieces(void)
{
    static struct server s;
    struct fl_buf got = FL_BUF_INIT;
    start(&s, OK_5, false);
    open_fetcher(NULL, 5000, 1);
    struct fl_fetch request = { .method = "GET", .url = s.url, .sink = take, .ctx = &got };
    CHECK_OK(fl_fetch(fetcher, &request, &status, &body, &err));
    CHECK_SPAN(fl_buf_view(&got), "hello");
    CHECK_INT(body.n, 0);
    s.says = "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx"; /* an error is no piece of it */
    CHECK_OK(fl_fetch(fetcher, &request, &status, &body, &err));
    CHECK_SPAN(fl_buf_view(&got), "hello");
    CHECK_SPAN(fl_buf_view(&body), "x");
    s.says = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!";
    CHECK_INT(fl_fetch(fetcher, &request, &status, &body, &err), FL_IO);
    fl_buf_fini(&got);
}

static const struct fl_test tests[] = {
    T(what_is_asked_arrives_and_the_answer_comes),
    T(a_unix_socket_is_asked),
    T(a_proxy_of_the_environment_is_not_told_the_secret),
    T(a_redirect_is_not_followed),
    T(a_secret_does_not_go_over_a_network_in_clear),
    T(what_cannot_be_had_says_why),
    T(an_answer_that_breaks_off_is_no_answer),
    T(a_long_answer_comes_in_pieces),
};
TEST_MAIN(tests)
