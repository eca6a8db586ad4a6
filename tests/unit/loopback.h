/* A loop with servers on a thread of its own, and a blocking raw client on the test's thread.
 * Included by the tests of the HTTP front, TLS and WebSocket. */
#ifndef FL_TEST_LOOPBACK_H
#define FL_TEST_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "runtime/io/http_server.h"

#pragma GCC diagnostic ignored "-Wunused-function"

enum { CLIENT_TIMEOUT_S = 10 };

/* ---- the loop's thread ---- */
struct lb_loop {
    struct fl_loop loop;
    pthread_t thread;
    void (*begin)(struct lb_loop *l); /* on the loop's thread, before it runs */
    void (*end)(struct lb_loop *l);   /* on the loop's thread: closes everything */
    struct fl_post stop;
    sem_t ready, done; /* `begin` has run; a function of lb_do has */
    int fini;
};

static void lb_on_stop(struct fl_post *post)
{
    struct lb_loop *l = FL_CONTAINER(post, struct lb_loop, stop);
    uv_unref((uv_handle_t *)&l->loop.async);
    l->end(l);
}

static void *lb_thread(void *arg)
{
    struct lb_loop *l = arg;
    struct fl_err err;
    CHECK_OK(fl_loop_init(&l->loop, &err));
    uv_ref((uv_handle_t *)&l->loop.async); /* runs on without any server, until lb_stop */
    l->begin(l);
    sem_post(&l->ready);
    fl_loop_run(&l->loop); /* until the last handle is closed */
    l->fini = fl_loop_fini(&l->loop);
    return NULL;
}

static void lb_start(struct lb_loop *l)
{
    l->stop.run = lb_on_stop;
    sem_init(&l->ready, 0, 0);
    sem_init(&l->done, 0, 0);
    CHECK(pthread_create(&l->thread, NULL, lb_thread, l) == 0);
    sem_wait(&l->ready);
}

/* Runs `end`, waits for the loop to run dry, and checks that nothing was left open. */
static void lb_stop(struct lb_loop *l)
{
    fl_loop_post_remote(&l->loop, &l->stop);
    CHECK(pthread_join(l->thread, NULL) == 0);
    CHECK_INT(l->fini, 0);
}

/* Runs a function on the loop's thread and waits for it. */
struct lb_call {
    struct fl_post post;
    void (*run)(void *arg);
    void *arg;
    struct lb_loop *loop;
};

static void lb_on_call(struct fl_post *post)
{
    struct lb_call *call = FL_CONTAINER(post, struct lb_call, post);
    call->run(call->arg);
    sem_post(&call->loop->done);
}

static void lb_do(struct lb_loop *l, void (*run)(void *arg), void *arg)
{
    struct lb_call call = { .post.run = lb_on_call, .run = run, .arg = arg, .loop = l };
    fl_loop_post_remote(&l->loop, &call.post);
    sem_wait(&l->done);
}

/* Waits until an atomic counter has reached `want`. */
static void lb_await(atomic_int *counter, int want)
{
    for (int i = 0; i < CLIENT_TIMEOUT_S * 1000 && atomic_load(counter) < want; i++)
        usleep(1000);
    CHECK_INT(atomic_load(counter), want);
}

/* ---- the client ---- */
static int cl_connect_small(uint16_t port, int receive_bytes)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    CHECK(fd >= 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    CHECK_MSG(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %s", strerror(errno));
    return fd;
}

static int cl_connect(uint16_t port)
{
    return cl_connect_small(port, 0);
}

/* A peer that has closed is no failure here: the answer is looked at. */
static void cl_send(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t wrote = send(fd, p, n, MSG_NOSIGNAL);
        if (wrote < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        CHECK_MSG(wrote > 0, "send: %s", strerror(errno));
        p += wrote;
        n -= (size_t)wrote;
    }
}

static void cl_puts(int fd, const char *text)
{
    cl_send(fd, text, strlen(text));
}

struct cl_text {
    char *p; /* NUL-terminated, grows */
    size_t n, cap;
    bool is_reset; /* the connection was reset, not closed */
};

/* One read; false at the end. */
static bool cl_more(int fd, struct cl_text *t)
{
    if (t->cap - t->n < 65537) {
        t->cap = t->cap * 2 + 65537;
        t->p = realloc(t->p, t->cap);
        CHECK(t->p);
    }
    ssize_t got = recv(fd, t->p + t->n, t->cap - t->n - 1, 0);
    if (got < 0 && errno == ECONNRESET) {
        t->is_reset = true;
        got = 0;
    }
    CHECK_MSG(got >= 0, "recv: %s", strerror(errno));
    t->n += (size_t)got;
    t->p[t->n] = 0;
    return got > 0;
}

static struct cl_text cl_read_all(int fd)
{
    struct cl_text t = { 0 };
    while (cl_more(fd, &t))
        ;
    return t;
}

/* Reads until `mark` was seen `times` times. */
static struct cl_text cl_read_until(int fd, const char *mark, int times)
{
    struct cl_text t = { 0 };
    for (;;) {
        bool is_open = cl_more(fd, &t);
        int seen = 0;
        for (char *p = t.p; (p = memmem(p, t.n - (size_t)(p - t.p), mark, strlen(mark))) != NULL;
             p += strlen(mark))
            seen++;
        if (seen >= times)
            return t;
        CHECK_MSG(is_open, "closed before \"%s\" came %d times: \"%s\"", mark, times, t.p);
    }
}

static void cl_free(struct cl_text *t)
{
    free(t->p);
    *t = (struct cl_text){ 0 };
}

static int cl_status(const struct cl_text *t)
{
    return t->n > 12 && memcmp(t->p, "HTTP/1.1 ", 9) == 0 ? atoi(t->p + 9) : -1;
}

/* A request that closes; returns the whole answer. */
static struct cl_text cl_ask(uint16_t port, const char *text)
{
    int fd = cl_connect(port);
    cl_puts(fd, text);
    struct cl_text t = cl_read_all(fd);
    close(fd);
    return t;
}

static bool cl_has(const struct cl_text *t, const char *part)
{
    return t->p && memmem(t->p, t->n, part, strlen(part)) != NULL;
}

#endif
