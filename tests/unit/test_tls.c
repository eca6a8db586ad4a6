/* TLS in front of HTTP and WebSocket, against OpenSSL's own client. */
#include "tls_fixture.h"

/* ---- requests ---- */
static void test_requests_are_answered_and_the_end_is_notified(void)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(versions); i++) {
        struct client c;
        bool is_notified;
        CHECK(tls_connect(&c, port, &(struct wishes){ .version = versions[i] }));
        tls_puts(&c, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nfirst");
        struct cl_text t = tls_read(&c, "first", NULL);
        CHECK_INT(cl_status(&t), 200);
        cl_free(&t);
        tls_puts(&c, "POST / HTTP/1.1\r\n" HOST CLOSE "Content-Length: 6\r\n\r\nsecond");
        t = tls_read(&c, NULL, &is_notified);
        CHECK(cl_has(&t, "\r\n\r\nsecond") && is_notified);
        cl_free(&t);
        tls_close(&c);
    }
    finish(&app);
    CHECK_INT(app.requests, 4);
}

static void test_large_bodies_pass_both_ways(void)
{
    enum { BYTES = 3000000 };
    struct app app;
    struct client c;
    prepare(&app);
    CHECK(tls_connect(&c, start(&app), &(struct wishes){ 0 }));
    char *body = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        body[i] = (char)('a' + i % 26);
    for (int i = 0; i < 3; i++) {
        tls_puts(&c, "POST / HTTP/1.1\r\n" HOST "Content-Length: 3000000\r\n\r\n");
        tls_send(&c, body, BYTES - 1);
        tls_puts(&c, "$");
        struct cl_text t = tls_read(&c, "$", NULL);
        CHECK(t.n > BYTES && memcmp(t.p + t.n - BYTES, body, BYTES - 1) == 0);
        cl_free(&t);
    }
    free(body);
    tls_close(&c);
    finish(&app);
}

static void test_requests_behind_one_that_waits_are_not_lost(void)
{
    enum { MANY = 1000 };
    static const char one[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    struct app app;
    struct client c;
    prepare(&app);
    CHECK(tls_connect(&c, start(&app), &(struct wishes){ 0 }));
    struct fl_buf all = FL_BUF_INIT;
    fl_buf_puts(&all, "GET /late HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < MANY; i++)
        fl_buf_puts(&all, one);
    fl_buf_puts(&all, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n$");
    /* More than is read while the first one waits, in one piece: a part of it is decrypted when the
     * reading stops, and nothing more comes from the socket. */
    BIO *gathers = BIO_new(BIO_s_mem());
    SSL_set0_wbio(c.ssl, gathers);
    tls_send(&c, all.p, all.n);
    char *cipher;
    long n = BIO_get_mem_data(gathers, &cipher);
    CHECK(n > 32768 && n < 65536);
    cl_send(c.fd, cipher, (size_t)n);
    SSL_set0_wbio(c.ssl, BIO_new_socket(c.fd, BIO_NOCLOSE));
    fl_buf_fini(&all);
    struct cl_text t = tls_read(&c, "$", NULL);
    CHECK(cl_has(&t, "\r\n\r\nlateHTTP/1.1 200 OK\r\n"));
    cl_free(&t);
    tls_close(&c);
    finish(&app);
    CHECK_INT(app.requests, MANY + 2);
}

static void test_a_slow_reader_holds_the_writer_back(void)
{
    struct app app;
    struct client c;
    size_t seen = 0, got;
    static char bytes[65536];
    prepare(&app);
    CHECK(tls_connect(&c, start(&app), &(struct wishes){ .receive_bytes = 4096 }));
    tls_puts(&c, "GET /flow HTTP/1.1\r\n" HOST CLOSE "\r\n");
    lb_await(&app.refused_writes, 1);
    while (SSL_read_ex(c.ssl, bytes, sizeof bytes, &got) == 1) {
        for (size_t i = 0; i < got; i++)
            seen += bytes[i] == '#';
    }
    CHECK_INT(seen, 8u << 20);
    tls_close(&c);
    finish(&app);
}

static void test_a_peer_that_goes_is_noticed(void)
{
    struct app app;
    struct client c;
    prepare(&app);
    uint16_t port = start(&app);
    for (int politely = 0; politely < 2; politely++) {
        CHECK(tls_connect(&c, port, &(struct wishes){ 0 }));
        tls_puts(&c, "GET /hang HTTP/1.1\r\n" HOST "\r\n");
        lb_await(&app.requests, politely + 1);
        if (politely)
            SSL_shutdown(c.ssl);
        else
            shutdown(c.fd, SHUT_WR);
        lb_await(&app.gone, politely + 1);
        tls_close(&c);
    }
    finish(&app);
}

/* Copies ciphertext byte by byte between the client and the server. */
static void *drip(void *arg)
{
    int *fds = arg;
    char c;
    for (;;) {
        struct pollfd p[] = { { .fd = fds[0], .events = POLLIN },
                              { .fd = fds[1], .events = POLLIN } };
        poll(p, 2, -1);
        for (int i = 0; i < 2; i++) {
            if (!p[i].revents)
                continue;
            if (recv(fds[i], &c, 1, 0) != 1) {
                shutdown(fds[1 - i], SHUT_WR);
                return NULL;
            }
            cl_send(fds[1 - i], &c, 1);
        }
    }
}

static void test_ciphertext_may_come_byte_by_byte(void)
{
    struct app app;
    struct client c = { 0 };
    int pair[2], fds[2];
    pthread_t thread;
    prepare(&app);
    uint16_t port = start(&app);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    fds[0] = pair[1];
    fds[1] = cl_connect(port);
    CHECK(pthread_create(&thread, NULL, drip, fds) == 0);
    c.ctx = SSL_CTX_new(TLS_client_method());
    c.ssl = SSL_new(c.ctx);
    c.fd = pair[0];
    SSL_set_fd(c.ssl, c.fd);
    CHECK(SSL_connect(c.ssl) == 1);
    tls_puts(&c, "POST / HTTP/1.1\r\n" HOST CLOSE "Content-Length: 4\r\n\r\ndrip");
    struct cl_text t = tls_read(&c, NULL, NULL);
    CHECK(cl_has(&t, "\r\n\r\ndrip"));
    cl_free(&t);
    tls_close(&c);
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    finish(&app);
}

/* ---- what is spoken ---- */
static void test_only_current_versions_ciphers_and_protocols_are_spoken(void)
{
    static const struct {
        struct wishes wishes;
        bool is_fine;
    } cases[] = {
        { { .version = TLS1_1_VERSION }, false },
        { { .version = TLS1_VERSION }, false },
        { { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }, true },
        { { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" }, true },
        { { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256" }, false },
        { { .version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES256-SHA" }, false },
        { { .version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256" }, false },
        { { .version = TLS1_3_VERSION }, true },
        { { .alpn = "\x08http/1.1" }, true },
        { { .alpn = "\x02h2\x08http/1.1" }, true },
        { { .alpn = "\x02h2" }, false },
    };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct client c;
        const unsigned char *alpn;
        unsigned n;
        CHECK_MSG(tls_connect(&c, port, &cases[i].wishes) == cases[i].is_fine, "case %zu", i);
        SSL_get0_alpn_selected(c.ssl, &alpn, &n);
        CHECK(!cases[i].is_fine || !cases[i].wishes.alpn ||
              (n == 8 && memcmp(alpn, "http/1.1", 8) == 0));
        CHECK(!cases[i].is_fine || !SSL_get_current_compression(c.ssl));
        tls_close(&c);
    }
    finish(&app);
}

static void test_renegotiation_is_refused(void)
{
    struct app app;
    struct client c;
    prepare(&app);
    CHECK(tls_connect(&c, start(&app), &(struct wishes){ .version = TLS1_2_VERSION }));
    SSL_renegotiate(c.ssl);
    bool is_refused = SSL_do_handshake(c.ssl) != 1;
    if (!is_refused) { /* the refusal comes as an alert to the next read */
        tls_puts(&c, "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n");
        struct cl_text t = tls_read(&c, NULL, NULL);
        is_refused = SSL_renegotiate_pending(c.ssl) || t.n == 0;
        cl_free(&t);
    }
    CHECK(is_refused);
    tls_close(&c);
    finish(&app);
}

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    FL_UNUSED(ssl);
    SSL_SESSION_free(kept_session);
    kept_session = session;
    return 1;
}

static void test_a_session_is_resumed_without_early_data(void)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(versions); i++) {
        struct client c;
        struct wishes w = { .version = versions[i] };
        CHECK(tls_connect(&c, port, &w));
        SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
        CHECK(!SSL_session_reused(c.ssl));
        tls_puts(&c, "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n");
        struct cl_text t = tls_read(&c, NULL, NULL);
        cl_free(&t);
        w.session = kept_session ? kept_session : SSL_get1_session(c.ssl);
        kept_session = NULL;
        CHECK(SSL_SESSION_has_ticket(w.session));
        CHECK_INT(SSL_SESSION_get_max_early_data(w.session), 0);
        tls_close(&c);
        CHECK(tls_connect(&c, port, &w));
        CHECK(SSL_session_reused(c.ssl));
        tls_puts(&c, "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n");
        t = tls_read(&c, NULL, NULL);
        CHECK_INT(cl_status(&t), 200);
        cl_free(&t);
        tls_close(&c);
        SSL_SESSION_free(w.session);
    }
    finish(&app);
}

/* ---- tickets grow old ---- */
static void turn_clock(void *arg)
{
    fl_clock_skew_set((struct fl_clock_skew){ .mono_ms = *(int64_t *)arg });
}

static void test_tickets_rotate(void)
{
    struct app app;
    int64_t hours[] = { 13, 40 };
    prepare(&app);
    app.limits.head_ms = app.limits.idle_ms = 1000 * 1000 * 1000;
    uint16_t port = start(&app);
    struct client c;
    struct wishes w = { .version = TLS1_2_VERSION };
    CHECK(tls_connect(&c, port, &w));
    w.session = SSL_get1_session(c.ssl);
    tls_close(&c);
    for (int i = 0; i < 2; i++) {
        int64_t ms = hours[i] * 3600 * 1000;
        lb_do(&app.l, turn_clock, &ms);
        CHECK(tls_connect(&c, port, &w));
        CHECK_INT(SSL_session_reused(c.ssl), i == 0); /* by the key before, then by none */
        tls_close(&c);
    }
    SSL_SESSION_free(w.session);
    finish(&app);
}

/* ---- certificates ---- */
static void test_the_certificate_follows_the_name(void)
{
    static const struct {
        const char *name;
        long serial;
    } cases[] = {
        { NULL, 1 },        { "a.example", 1 },      { "b.example", 2 },       { "B.EXAMPLE", 2 },
        { "c.example", 1 }, { "x.wild.example", 1 }, { "subject.example", 1 },
    };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct client c;
        CHECK(tls_connect(&c, port, &(struct wishes){ .name = cases[i].name }));
        CHECK_INT(serial_of(&c), cases[i].serial);
        tls_close(&c);
    }
    finish(&app);
}

static void reload(void *arg)
{
    struct app *app = arg;
    app->err.code = fl_tls_reload(app->tls, &app->err);
}

static void test_a_reload_changes_new_connections_and_drops_none(void)
{
    struct app app;
    struct client old, begun, c;
    prepare(&app);
    uint16_t port = start(&app);
    struct wishes b = { .name = "b.example" };
    CHECK(tls_connect(&old, port, &b));
    begun.fd = cl_connect(port); /* connected before, shakes hands after */
    make_certificate("b", "DNS:b.example", 3);
    lb_do(&app.l, reload, &app);
    CHECK_OK(app.err.code);
    CHECK(tls_connect(&c, port, &b));
    CHECK_INT(serial_of(&c), 3);
    tls_close(&c);
    begun.ctx = SSL_CTX_new(TLS_client_method());
    begun.ssl = SSL_new(begun.ctx);
    SSL_set_fd(begun.ssl, begun.fd);
    SSL_set_tlsext_host_name(begun.ssl, "b.example");
    CHECK(SSL_connect(begun.ssl) == 1);
    CHECK_INT(serial_of(&begun), 3);
    tls_close(&begun);
    /* A broken file changes nothing. */
    int fd = open(in_dir("b.pem"), O_WRONLY | O_TRUNC);
    CHECK(fd >= 0 && write(fd, "junk", 4) == 4);
    close(fd);
    lb_do(&app.l, reload, &app);
    CHECK_INT(app.err.code, FL_CONFIG);
    CHECK(strstr(app.err.text, "b.pem cannot be used: "));
    CHECK(tls_connect(&c, port, &b));
    CHECK_INT(serial_of(&c), 3);
    tls_close(&c);
    CHECK_INT(serial_of(&old), 2);
    tls_puts(&old, "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n");
    struct cl_text t = tls_read(&old, NULL, NULL);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    tls_close(&old);
    finish(&app);
}

static void test_files_that_cannot_be_used_are_named(void)
{
    struct fl_tls *tls = NULL;
    struct fl_err err;
    make_dir();
    make_certificate("a", "DNS:a.example", 1);
    make_certificate("b", "DNS:b.example", 2);
    EVP_PKEY *key = new_key();
    FILE *f = fopen(in_dir("locked.key"), "w");
    CHECK(PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL,
                               NULL));
    fclose(f);
    EVP_PKEY_free(key);
    const struct {
        const char *certificate, *key, *error;
    } cases[] = {
        { "none.pem", "a.key", "none.pem cannot be used: " },
        { "a.key", "a.key", "a.key cannot be used: " },
        { "a.pem", "none.key", "none.key cannot be used: " },
        { "a.pem", "a.pem", "a.pem cannot be used: " },
        { "a.pem", "b.key", "b.key" },
        { "a.pem", "locked.key", "locked.key cannot be used: " }, /* and nobody is asked */
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_tls_files files = { in_dir(cases[i].certificate), in_dir(cases[i].key) };
        CHECK_INT(fl_tls_new(&files, 1, &tls, &err), FL_CONFIG);
        CHECK_MSG(strstr(err.text, cases[i].error), "%s", err.text);
        CHECK(!tls);
    }
    struct fl_tls_files files = { in_dir("a.pem"), in_dir("a.key") };
    for (uint64_t at = 1;; at++) {
        fl_mem_fail_at(at, 1);
        enum fl_code code = fl_tls_new(&files, 1, &tls, &err);
        uint64_t count = fl_mem_fail_at(0, 0);
        CHECK(code == FL_OK || (code == FL_NOMEM && !tls));
        fl_tls_free(&tls);
        if (count < at)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    remove_dir();
}

/* ---- what is not TLS ---- */
static void test_clear_text_garbage_and_silence_end_the_connection(void)
{
    static const char *const texts[] = { "GET / HTTP/1.1\r\n" HOST "\r\n", "\x16\x03\x01\x7f\xff",
                                         "\x80\x2e\x01\x03\x01", "" };
    struct app app;
    prepare(&app);
    app.limits.head_ms = 150;
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(texts); i++) {
        int fd = cl_connect(port);
        cl_puts(fd, texts[i]);
        struct cl_text t = cl_read_all(fd);
        CHECK(!cl_has(&t, "HTTP/1.1"));
        cl_free(&t);
        close(fd);
    }
    finish(&app);
    CHECK_INT(app.requests, 0);
    prepare(&app);
    app.limits.head_ms = 1500;
    port = start(&app);
    struct client c; /* the handshake is done, the head does not come */
    CHECK(tls_connect(&c, port, &(struct wishes){ 0 }));
    tls_puts(&c, "GET / HT");
    struct cl_text t = tls_read(&c, NULL, NULL);
    CHECK_INT(cl_status(&t), 408);
    cl_free(&t);
    tls_close(&c);
    finish(&app);
    CHECK_INT(app.requests, 0);
}

/* More than one read of it: the one that follows in the same turn met what the first had left, and
 * the worker ended. */
static void test_much_garbage_behind_a_request_ends_its_connection_only(void)
{
    enum { BYTES = 200000 };
    struct app app;
    struct client c, other;
    prepare(&app);
    app.receive_bytes = 4 * BYTES;
    uint16_t port = start(&app);
    CHECK(tls_connect(&other, port, &(struct wishes){ 0 }));
    CHECK(tls_connect(&c, port, &(struct wishes){ 0 }));
    tls_puts(&c, "GET /busy HTTP/1.1\r\n" HOST "\r\n");
    lb_await(&app.requests, 1); /* all is there when it reads again */
    char *bytes = malloc(BYTES);
    memset(bytes, 0xff, BYTES);
    cl_send(c.fd, bytes, BYTES);
    free(bytes);
    struct cl_text t = tls_read(&c, NULL, NULL); /* to its end */
    cl_free(&t);
    tls_close(&c);
    tls_puts(&other, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n$");
    t = tls_read(&other, "$", NULL);
    CHECK_INT(cl_status(&t), 200);
    cl_free(&t);
    tls_close(&other);
    finish(&app);
}

/* ---- WebSocket ---- */
#define M "\0\0\0\0"

static void tls_expect(struct client *c, const void *want, size_t n)
{
    char got[1000];
    size_t have = 0;
    while (have < n) {
        size_t some = 0;
        CHECK(SSL_read_ex(c->ssl, got + have, n - have, &some) == 1);
        have += some;
    }
    CHECK(memcmp(got, want, n) == 0);
}

#define SEND(bytes)   tls_send(&c, bytes, sizeof(bytes) - 1)
#define EXPECT(bytes) tls_expect(&c, bytes, sizeof(bytes) - 1)

static void ws_connect(struct client *c, uint16_t port)
{
    CHECK(tls_connect(c, port, &(struct wishes){ 0 }));
    tls_puts(c, "GET /mcp/ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Protocol: mcp\r\n\r\n");
    struct cl_text t = tls_read(c, "\r\n\r\n", NULL);
    CHECK_INT(cl_status(&t), 101);
    CHECK(strcmp(t.p + t.n - 4, "\r\n\r\n") == 0);
    cl_free(&t);
}

static void test_websockets_run_over_tls(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        uint16_t code;
        const char *reason;
    } ends[] = {
        { "\x81\x05hello", 7, 1002, "" },
        { "\x81\xff\0\0\0\0\0\x01\x86\xa1" M, 14, 1009, "the message is too large" },
        { "\x82\x80" M, 6, 1003, "messages are text frames" },
        { "\x81\x81" M "\xff", 7, 1007, "the message is not valid UTF-8" },
        { "\x88\x82" M "\x03\xe8", 8, 1000, "" },
    };
    struct app app;
    struct client c;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(ends); i++) {
        ws_connect(&c, port);
        SEND("\x81\x85" M "hello");
        EXPECT("\x81\x05hello");
        SEND("\x01\x82" M "he\x89\x81" M "p\x80\x83" M "llo");
        EXPECT("\x8a\x01p\x81\x05hello");
        char long_text[60000 + 8] = "\x81\xfe\xea\x60\0\0\0\0";
        memset(long_text + 8, 'l', 60000);
        tls_send(&c, long_text, sizeof long_text);
        struct cl_text t = { 0 };
        char *got = calloc(1, 60004);
        for (size_t have = 0; have < 60004;) {
            size_t some = 0;
            CHECK(SSL_read_ex(c.ssl, got + have, 60004 - have, &some) == 1);
            have += some;
        }
        CHECK(memcmp(got, "\x81\x7e\xea\x60llll", 8) == 0 && got[60003] == 'l');
        free(got);
        cl_free(&t);
        tls_send(&c, ends[i].bytes, ends[i].n);
        size_t n = strlen(ends[i].reason);
        char close_frame[] = { (char)0x88, (char)(2 + n), (char)(ends[i].code >> 8),
                               (char)ends[i].code };
        tls_expect(&c, close_frame, 4);
        tls_expect(&c, ends[i].reason, n);
        SEND("\x88\x82" M "\x03\xe8");
        bool is_notified;
        t = tls_read(&c, NULL, &is_notified);
        CHECK(t.n == 0 && is_notified);
        cl_free(&t);
        tls_close(&c);
        lb_await(&app.ws_closed, (int)i + 1);
        CHECK_INT(app.ws_code, ends[i].code);
    }
    ws_connect(&c, port); /* lost without a word */
    tls_close(&c);
    lb_await(&app.ws_closed, (int)FL_COUNTOF(ends) + 1);
    CHECK_INT(app.ws_code, 1006);
    finish(&app);
}

static void test_a_failing_allocation_leaves_no_leak(void)
{
    struct app app;
    int whole = 0, lost = 0;
    prepare(&app);
    uint16_t port = start(&app);
    for (uint64_t at = 1;; at++) {
        struct client c;
        fl_mem_fail_at(at, 1);
        struct cl_text t = { 0 };
        if (tls_connect(&c, port, &(struct wishes){ 0 })) {
            size_t wrote; /* the connection may be gone already */
            static const char request[] = "GET / HTTP/1.1\r\n" HOST CLOSE "\r\n";
            SSL_write_ex(c.ssl, request, sizeof request - 1, &wrote);
            t = tls_read(&c, NULL, NULL);
        }
        uint64_t count = fl_mem_fail_at(0, 0);
        CHECK(t.n == 0 || cl_status(&t) == 200 || cl_status(&t) == 503);
        whole += cl_status(&t) == 200;
        lost += cl_status(&t) != 200;
        cl_free(&t);
        tls_close(&c);
        if (count < at)
            break;
    }
    CHECK(whole > 0 && lost > 2);
    finish(&app);
}

static const struct fl_test tests[] = {
    T(requests_are_answered_and_the_end_is_notified),
    T(large_bodies_pass_both_ways),
    T(requests_behind_one_that_waits_are_not_lost),
    T(a_slow_reader_holds_the_writer_back),
    T(a_peer_that_goes_is_noticed),
    T(ciphertext_may_come_byte_by_byte),
    T(only_current_versions_ciphers_and_protocols_are_spoken),
    T(renegotiation_is_refused),
    T(a_session_is_resumed_without_early_data),
    T(tickets_rotate),
    T(the_certificate_follows_the_name),
    T(a_reload_changes_new_connections_and_drops_none),
    T(files_that_cannot_be_used_are_named),
    T(clear_text_garbage_and_silence_end_the_connection),
    T(much_garbage_behind_a_request_ends_its_connection_only),
    T(websockets_run_over_tls),
    T(a_failing_allocation_leaves_no_leak),
};

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's client writes with write(2) */
    return fl_test_main(argc, argv, tests, FL_COUNTOF(tests));
}
