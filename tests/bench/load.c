/* Closed-loop load generator for the benchmarks: N connections, each with one request in flight,
 * over WebSocket, kept-alive HTTP or a raw echo. Prints one JSON object: requests, seconds,
 * latency, and the server processes' CPU time. One thread, its own epoll loop, no library but
 * OpenSSL for tls=1, so that the same generator measures floors, peers and us.
 *
 *   load MODE HOST PORT PATH MESSAGE_FILE [option=value ...]
 *     MODE     ws, http or raw
 *     MESSAGE  the request's body; `@ID@` becomes a number of 8 digits
 *     conns=64 warmup_ms=500 run_ms=2000 init=FILE (sent and answered first, WebSocket; may hold
 *     several messages, a line each; those without "id" get no answer) header="Name: value"
 *     (repeatable) pids=1,2,3 (whose CPU time is read from /proc) expect=TEXT (each answer must
 *     hold it) idle_ms=N (after connecting, only wait and answer pings: for memory figures)
 *     settle_ms=0 (before that) tokens=FILE (a bearer token a line; the connections take turns)
 *     in_flight=N (requests at once over all connections, which take turns; without: one each)
 *     tls=1 (whatever the certificate) ready=FILE (made when all connections are) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { WS, HTTP, RAW };
enum phase { CONNECTING, UPGRADING, STARTING, RUNNING };
#define HISTOGRAM 20000 /* 10 us each up to 10 ms, then 1 ms each */

struct conn {
    int fd;
    enum phase phase;
    char *in, *out;
    const char *token; /* the Authorization header, with its line end */
    size_t in_len, in_cap, out_len, out_at;
    int init_at;
    uint64_t sent_us;
    SSL *ssl;
    struct conn *next; /* among those whose turn has not come (in_flight) */
};

static enum mode mode;
static const char *host, *path, *expect;
static const char *ready_file;
static int port, conns = 64, warmup_ms = 500, run_ms = 2000, idle_ms, settle_ms, in_flight, flying;
static SSL_CTX *tls;
static struct conn *turn_first, **turn_last = &turn_first;
static uint64_t pings;
static char *body, *init_lines[16], headers[4096];
static size_t body_len, id_at;
static bool has_id;
static int init_count;
static char **tokens;
static int token_count;
static long pids[256];
static int pid_count;
static struct conn *all;
static int epoll;
static uint64_t sent, answers, count, errors, histogram[HISTOGRAM], max_us, sum_us;
static uint32_t next_id = 10000000;
static bool is_counting;
static int ready;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *read_file(const char *name, size_t *ret)
{
    FILE *f = fopen(name, "r");
    char *text = NULL;
    size_t n = 0;
    if (!f)
        die(name);
    for (size_t got = 1; got; n += got) {
        text = realloc(text, n + 65537);
        got = fread(text + n, 1, 65536, f);
    }
    fclose(f);
    while (n && text[n - 1] == '\n')
        n--;
    text[n] = 0;
    *ret = n;
    return text;
}

static void bucket(uint64_t us)
{
    size_t at = us < 10000 * 10 ? us / 10 : 10000 + (us - 100000) / 1000;
    histogram[at < HISTOGRAM ? at : HISTOGRAM - 1]++;
    sum_us += us;
    if (us > max_us)
        max_us = us;
}

static uint64_t percentile(double p)
{
    uint64_t want = (uint64_t)((double)count * p), seen = 0;
    for (size_t i = 0; i < HISTOGRAM; i++) {
        seen += histogram[i];
        if (seen > want)
            return i < 10000 ? i * 10 + 5 : 100000 + (i - 10000) * 1000;
    }
    return max_us;
}

/* User and system time of the server's processes, in microseconds; one that has ended meanwhile
 * keeps what it had. */
static uint64_t server_cpu_us(void)
{
    static uint64_t had_us[sizeof pids / sizeof *pids];
    uint64_t sum = 0;
    for (int i = 0; i < pid_count; i++) {
        char name[64], line[1024];
        unsigned long user = 0, system = 0;
        snprintf(name, sizeof name, "/proc/%ld/stat", pids[i]);
        FILE *f = fopen(name, "r");
        if (f && fgets(line, sizeof line, f)) {
            char *p = strrchr(line, ')');
            if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                            &system) == 2)
                had_us[i] = (user + system) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
        }
        if (f)
            fclose(f);
        sum += had_us[i];
    }
    return sum;
}

/* Proportional memory of the server's processes, in KiB. */
static uint64_t server_pss_kib(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < pid_count; i++) {
        char name[64], line[256];
        unsigned long kib;
        snprintf(name, sizeof name, "/proc/%ld/smaps_rollup", pids[i]);
        FILE *f = fopen(name, "r");
        while (f && fgets(line, sizeof line, f)) {
            if (sscanf(line, "Pss: %lu kB", &kib) == 1)
                sum += kib;
        }
        if (f)
            fclose(f);
    }
    return sum;
}

/* ---------------------------------------------------------------- sending */
static ssize_t of_tls(struct conn *c, int n)
{
    int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);
    if (n > 0 || error == SSL_ERROR_ZERO_RETURN)
        return n > 0 ? n : 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

static ssize_t send_some(struct conn *c, const char *p, size_t n)
{
    return c->ssl ? of_tls(c, SSL_write(c->ssl, p, (int)n)) : send(c->fd, p, n, MSG_NOSIGNAL);
}

static ssize_t receive_some(struct conn *c, char *p, size_t n)
{
    return c->ssl ? of_tls(c, SSL_read(c->ssl, p, (int)n)) : recv(c->fd, p, n, 0);
}

/* Told of what is new: whoever reads less than there is room for has read all. */
static void watch(struct conn *c, int how, uint32_t events)
{
    struct epoll_event e = { .events = events | EPOLLET, .data.ptr = c };
    epoll_ctl(epoll, how, c->fd, &e);
}

static void flush(struct conn *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n = send_some(c, c->out + c->out_at, c->out_len - c->out_at);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0)
            die("send");
        c->out_at += (size_t)n;
    }
}

static void put(struct conn *c, const void *p, size_t n)
{
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    c->out = realloc(c->out, c->out_len + n + 1);
    memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
}

/* A masked text frame; the mask is zero, so that the payload is sent as it is. */
static void put_frame(struct conn *c, const char *p, size_t n)
{
    unsigned char head[14] = { 0x81 };
    size_t h = 2;
    if (n < 126) {
        head[1] = (unsigned char)(0x80 | n);
    } else if (n < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(n >> 8);
        head[3] = (unsigned char)n;
        h = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)n >> (56 - 8 * i));
        h = 10;
    }
    put(c, head, h + 4);
    put(c, p, n);
}

static void send_request(struct conn *c)
{
    char head[5000], id[16];
    if (has_id) {
        snprintf(id, sizeof id, "%08u", next_id++ % 100000000);
        memcpy(body + id_at, id, 8);
    }
    c->sent_us = now_us();
    sent++;
    switch (mode) {
    case WS: put_frame(c, body, body_len); break;
    case RAW: put(c, body, body_len); break;
    case HTTP:
        put(c, head,
            (size_t)snprintf(head, sizeof head,
                             "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%s%sContent-Length: %zu\r\n\r\n",
                             path, host, port, headers, c->token, body_len));
        put(c, body, body_len);
        break;
    }
    flush(c);
}

static void next_step(struct conn *c);

/* Whoever waited longest goes next, if there is room. */
static void take_turn(struct conn *c)
{
    if (!in_flight) {
        send_request(c);
        return;
    }
    c->next = NULL;
    *turn_last = c;
    turn_last = &c->next;
    while (flying < in_flight && turn_first) {
        struct conn *first = turn_first;
        turn_first = first->next;
        if (!turn_first)
            turn_last = &turn_first;
        flying++;
        send_request(first);
    }
}

static void started(struct conn *c)
{
    c->phase = RUNNING;
    ready++;
    if (!idle_ms)
        take_turn(c);
}

/* Sends the next opening messages up to the first that is answered. */
static void next_step(struct conn *c)
{
    c->phase = STARTING;
    while (c->init_at < init_count) {
        const char *line = init_lines[c->init_at++];
        put_frame(c, line, strlen(line));
        if (strstr(line, "\"id\"")) {
            flush(c);
            return;
        }
    }
    flush(c);
    started(c);
}

static void connected(struct conn *c)
{
    char head[5000];
    if (mode != WS) {
        started(c);
        return;
    }
    c->phase = UPGRADING;
    put(c, head,
        (size_t)snprintf(head, sizeof head,
                         "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: "
                         "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                         "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n%s%s\r\n",
                         path, host, port, headers, c->token));
    flush(c);
}

/* ---------------------------------------------------------------- receiving */
static void answered(struct conn *c, const char *p, size_t n)
{
    static const char told[] = "{\"jsonrpc\":\"2.0\",\"method\":";
    if (n > sizeof told && !memcmp(p, told, sizeof told - 1))
        return; /* a notification: the list of tools may change while we begin */
    if (c->phase == STARTING) {
        next_step(c);
        return;
    }
    if (expect && !memmem(p, n, expect, strlen(expect))) {
        if (errors++ == 0)
            fprintf(stderr, "load: unexpected answer: %.*s\n", (int)(n > 600 ? 600 : n), p);
    }
    answers++;
    if (is_counting) {
        count++;
        bucket(now_us() - c->sent_us);
    }
    flying--;
    take_turn(c);
}

/* Bytes of the first whole answer in the buffer, 0 if there is none yet; -1: not one for us. */
static ssize_t whole(struct conn *c, size_t *from, size_t *n)
{
    const unsigned char *p = (const unsigned char *)c->in;
    *from = 0;
    if (c->phase == UPGRADING || mode == HTTP) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end)
            return 0;
        *from = (size_t)(end - c->in) + 4;
        *n = 0;
        if (c->phase == UPGRADING) {
            if (strncmp(c->in, "HTTP/1.1 101", 12) != 0) {
                fprintf(stderr, "load: no upgrade: %.300s\n", c->in);
                exit(1);
            }
            return (ssize_t)*from;
        }
        *end = 0;
        char *length = strcasestr(c->in, "\r\ncontent-length:");
        bool is_chunked = strcasestr(c->in, "\r\ntransfer-encoding: chunked") != NULL;
        *end = '\r';
        if (length) {
            *n = strtoul(length + 17, NULL, 10);
            return c->in_len >= *from + *n ? (ssize_t)(*from + *n) : 0;
        }
        if (is_chunked) { /* the end of the last chunk */
            char *last = memmem(c->in + *from, c->in_len - *from, "\r\n0\r\n\r\n", 7);
            if (!last)
                return 0;
            *n = (size_t)(last - c->in) - *from;
            return last + 7 - c->in;
        }
        fprintf(stderr, "load: an answer without a length: %.300s\n", c->in);
        exit(1);
    }
    if (mode == RAW) {
        *n = body_len;
        return c->in_len >= body_len ? (ssize_t)body_len : 0;
    }
    if (c->in_len < 2)
        return 0;
    uint64_t length = p[1] & 0x7f;
    *from = 2;
    if (length == 126) {
        if (c->in_len < 4)
            return 0;
        length = (uint64_t)p[2] << 8 | p[3];
        *from = 4;
    } else if (length == 127) {
        if (c->in_len < 10)
            return 0;
        length = 0;
        for (int i = 0; i < 8; i++)
            length = length << 8 | p[2 + i];
        *from = 10;
    }
    *n = length;
    if (c->in_len < *from + length)
        return 0;
    if ((p[0] & 0x0f) == 8) {
        fprintf(stderr, "load: the server closed: %.*s\n", (int)length, c->in + *from + 2);
        exit(1);
    }
    return (ssize_t)(*from + length);
}

static bool is_answer(const struct conn *c)
{
    return mode != WS || c->phase == UPGRADING || (c->in[0] & 0x0f) == 1;
}

/* Ours have no payload. */
static void answer_ping(struct conn *c)
{
    static const unsigned char pong[6] = { 0x8a, 0x80 };
    pings++;
    put(c, pong, sizeof pong);
    flush(c);
}

static void on_input(struct conn *c)
{
    for (;;) {
        if (c->in_cap - c->in_len < 65536) {
            c->in_cap = c->in_len + 131072;
            c->in = realloc(c->in, c->in_cap + 1);
        }
        ssize_t n = receive_some(c, c->in + c->in_len, c->in_cap - c->in_len);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            fprintf(stderr, "load: connection closed: %s\n", n ? strerror(errno) : "end");
            exit(1);
        }
        c->in_len += (size_t)n;
        c->in[c->in_len] = 0;
        if ((size_t)n < 65536 && !c->ssl)
            break;
    }
    for (;;) {
        size_t from, n;
        ssize_t used = c->in_len ? whole(c, &from, &n) : 0;
        if (used <= 0)
            break;
        if (c->phase == UPGRADING)
            next_step(c);
        else if (is_answer(c))
            answered(c, c->in + from, n);
        else if ((c->in[0] & 0x0f) == 9)
            answer_ping(c);
        c->in_len -= (size_t)used;
        if (c->in_len)
            memmove(c->in, c->in + used, c->in_len);
    }
    if (c->in_len == 0 && c->phase == RUNNING && idle_ms) {
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
}

/* ---------------------------------------------------------------- the loop */
static void open_one(struct conn *c)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int one = 1;
    inet_pton(AF_INET, host, &at.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls) {
        c->ssl = SSL_new(tls);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || SSL_connect(c->ssl) != 1)
            die("tls");
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
    connected(c);
}

static void turn(int timeout_ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN);
            flush(c);
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            on_input(c);
    }
}

static void read_options(int argc, char **argv)
{
    for (int i = 6; i < argc; i++) {
        char *eq = strchr(argv[i], '=');
        size_t n;
        if (!eq)
            die(argv[i]);
        *eq++ = 0;
        if (strcmp(argv[i], "conns") == 0)
            conns = atoi(eq);
        else if (strcmp(argv[i], "warmup_ms") == 0)
            warmup_ms = atoi(eq);
        else if (strcmp(argv[i], "run_ms") == 0)
            run_ms = atoi(eq);
        else if (strcmp(argv[i], "idle_ms") == 0)
            idle_ms = atoi(eq);
        else if (strcmp(argv[i], "settle_ms") == 0)
            settle_ms = atoi(eq);
        else if (strcmp(argv[i], "in_flight") == 0)
            in_flight = atoi(eq);
        else if (strcmp(argv[i], "ready") == 0)
            ready_file = eq;
        else if (strcmp(argv[i], "tls") == 0)
            tls = SSL_CTX_new(TLS_client_method());
        else if (strcmp(argv[i], "expect") == 0)
            expect = eq;
        else if (strcmp(argv[i], "header") == 0)
            snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\r\n", eq);
        else if (strcmp(argv[i], "init") == 0) {
            char *text = read_file(eq, &n);
            for (char *l = strtok(text, "\n"); l && init_count < 16; l = strtok(NULL, "\n"))
                init_lines[init_count++] = l;
        } else if (strcmp(argv[i], "tokens") == 0) {
            char *text = read_file(eq, &n);
            for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n")) {
                tokens = realloc(tokens, (size_t)(token_count + 1) * sizeof *tokens);
                if (asprintf(&tokens[token_count++], "Authorization: Bearer %s\r\n", l) < 0)
                    die("memory");
            }
        } else if (strcmp(argv[i], "pids") == 0) {
            for (char *p = strtok(eq, ","); p && pid_count < 256; p = strtok(NULL, ","))
                pids[pid_count++] = atol(p);
        } else {
            fprintf(stderr, "load: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "load MODE HOST PORT PATH MESSAGE_FILE [option=value ...]\n");
        return 2;
    }
    mode = strcmp(argv[1], "ws") == 0 ? WS : strcmp(argv[1], "http") == 0 ? HTTP : RAW;
    host = argv[2];
    port = atoi(argv[3]);
    path = argv[4];
    body = read_file(argv[5], &body_len);
    char *mark = strstr(body, "@ID@");
    if (mark) { /* 8 digits in the place of 4 characters */
        body = realloc(body, body_len + 5);
        mark = strstr(body, "@ID@");
        memmove(mark + 8, mark + 4, body_len - (size_t)(mark + 4 - body) + 1);
        body_len += 4;
        id_at = (size_t)(mark - body);
        has_id = true;
    }
    read_options(argc, argv);
    struct rlimit most = { (rlim_t)conns + 64, (rlim_t)conns + 64 };
    setrlimit(RLIMIT_NOFILE, &most);
    epoll = epoll_create1(0);
    all = calloc((size_t)conns, sizeof *all);
    uint64_t base_kib = server_pss_kib();
    for (int i = 0; i < conns; i++) {
        all[i].token = token_count ? tokens[i % token_count] : "";
        open_one(&all[i]);
        if (i % 64 == 63)
            turn(0);
    }
    uint64_t limit = now_us() + 60000000;
    while (ready < conns && now_us() < limit)
        turn(50);
    if (ready < conns) {
        fprintf(stderr, "load: only %d of %d connections are ready\n", ready, conns);
        return 1;
    }
    if (ready_file)
        fclose(fopen(ready_file, "w"));
    if (idle_ms) {
        for (uint64_t until = now_us() + (uint64_t)settle_ms * 1000; now_us() < until;)
            turn(20);
        uint64_t cpu = server_cpu_us(), before = pings;
        for (uint64_t until = now_us() + (uint64_t)idle_ms * 1000; now_us() < until;)
            turn(20);
        printf("{\"conns\":%d,\"base_kib\":%lu,\"idle_kib\":%lu,\"server_cpu_us\":%lu,"
               "\"pings\":%lu,\"seconds\":%.3f}\n",
               conns, base_kib, server_pss_kib(), server_cpu_us() - cpu, pings - before,
               idle_ms / 1000.0);
        return 0;
    }
    for (uint64_t until = now_us() + (uint64_t)warmup_ms * 1000; now_us() < until;)
        turn(20);
    is_counting = true;
    uint64_t cpu = server_cpu_us(), from = now_us();
    for (uint64_t until = from + (uint64_t)run_ms * 1000; now_us() < until;)
        turn(20);
    uint64_t took = now_us() - from;
    cpu = server_cpu_us() - cpu;
    printf(
        "{\"conns\":%d,\"sent\":%lu,\"answered\":%lu,\"requests\":%lu,\"errors\":%lu,\"seconds\":%.4f,\"rps\":%.1f,"
        "\"p50_us\":%lu,\"p99_us\":%lu,\"max_us\":%lu,\"mean_us\":%.1f,\"cpu_us\":%.3f}\n",
        conns, sent, answers, count, errors, (double)took / 1e6, (double)count * 1e6 / (double)took,
        percentile(0.5), percentile(0.99), max_us, count ? (double)sum_us / (double)count : 0,
        count ? (double)cpu / (double)count : 0);
    return errors ? 1 : 0;
}
