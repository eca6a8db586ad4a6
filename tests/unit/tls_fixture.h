/* A TLS server on loopback with certificates of its own, and OpenSSL's client, for test_tls. */
#ifndef FL_TEST_TLS_FIXTURE_H
#define FL_TEST_TLS_FIXTURE_H

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "flopinio/base/mem.h"
#include "loopback.h"
#include "runtime/io/ws.h"

#define HOST  "Host: a.example\r\n"
#define CLOSE "Connection: close\r\n"

/* ---- certificates ---- */
static char dir[64];

static const char *in_dir(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/fl-test-tls-XXXXXX");
    CHECK(mkdtemp(dir));
}

static void remove_dir(void)
{
    static const char *const names[] = { "a.pem", "a.key", "b.pem", "b.key", "locked.key" };
    for (size_t i = 0; i < FL_COUNTOF(names); i++)
        unlink(in_dir(names[i]));
    rmdir(dir);
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key);
    return key;
}

/* NAME.pem and NAME.key for the names; `serial` tells two certificates apart. */
static void make_certificate(const char *name, const char *dns_names, long serial)
{
    char file[32];
    EVP_PKEY *key = new_key();
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"subject.example", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, dns_names);
    CHECK(san && X509_add_ext(x, san, -1) && X509_sign(x, key, EVP_sha256()));
    X509_EXTENSION_free(san);
    snprintf(file, sizeof file, "%s.pem", name);
    FILE *f = fopen(in_dir(file), "w");
    CHECK(f && PEM_write_X509(f, x));
    fclose(f);
    snprintf(file, sizeof file, "%s.key", name);
    f = fopen(in_dir(file), "w");
    CHECK(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* ---- a server ---- */
struct app {
    struct lb_loop l; /* first */
    struct fl_http_server *server;
    struct fl_ws_hub *hub;
    struct fl_tls *tls;
    struct fl_http_limits limits;
    atomic_int requests, gone, released, refused_writes, ws_closed, ws_code;
    size_t left; /* of /flow */
    struct fl_http_exchange *late;
    int receive_bytes;     /* of the kernel's buffer; 0: its default */
    struct fl_timer timer; /* answers it */
    struct fl_err err;     /* of the last reload */
};

static void write_flow(struct fl_http_exchange *ex)
{
    static char block[64 * 1024];
    struct app *app = ex->server_user;
    memset(block, '#', sizeof block);
    while (app->left) {
        if (fl_http_write(ex, (struct fl_str){ block, sizeof block }) != FL_OK) {
            atomic_fetch_add(&app->refused_writes, 1);
            return;
        }
        app->left -= sizeof block;
    }
    CHECK_OK(fl_http_end(ex));
}

static void on_message(struct fl_ws *ws, struct fl_str text)
{
    enum fl_code code = fl_ws_send(ws, text);
    CHECK(code == FL_OK || code == FL_CLOSED);
}

static void on_ws_close(struct fl_ws *ws, uint16_t code)
{
    struct app *app = fl_ws_user(ws);
    atomic_store(&app->ws_code, code);
    atomic_fetch_add(&app->ws_closed, 1);
}

static void on_head(struct fl_http_exchange *ex)
{
    static const struct fl_ws_callbacks ws_callbacks = { .on_message = on_message,
                                                         .on_close = on_ws_close };
    struct app *app = ex->server_user;
    struct fl_err err;
    struct fl_ws *ws;
    CHECK(ex->is_tls);
    if (fl_str_is(ex->path, "/mcp/ws"))
        CHECK_OK(fl_ws_upgrade(app->hub, ex, &ws_callbacks, app, &ws, &err));
}

static void on_late(struct fl_timer *timer)
{
    struct app *app = FL_CONTAINER(timer, struct app, timer);
    CHECK_OK(fl_http_respond(app->late, 200, NULL, 0, FL_STR("late")));
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct app *app = ex->server_user;
    atomic_fetch_add(&app->requests, 1);
    if (fl_str_is(ex->path, "/late")) {
        app->late = ex;
        fl_timer_init(&app->timer, on_late);
        fl_loop_timer(&app->l.loop, &app->timer, 50);
    } else if (fl_str_is(ex->path, "/flow")) {
        app->left = 8u << 20;
        CHECK_OK(fl_http_start(ex, 200, NULL, 0));
        write_flow(ex);
    } else if (fl_str_is(ex->path, "/busy")) {
        usleep(200000); /* and is never answered */
    } else if (!fl_str_is(ex->path, "/hang")) {
        enum fl_code code = fl_http_respond(ex, 200, NULL, 0, body);
        CHECK(code == FL_OK || code == FL_NOMEM);
    }
}

static void on_gone(struct fl_http_exchange *ex)
{
    atomic_fetch_add(&((struct app *)ex->server_user)->gone, 1);
}

static void on_drained(struct fl_http_exchange *ex)
{
    if (fl_str_is(ex->path, "/flow"))
        write_flow(ex);
}

static const struct fl_http_callbacks callbacks = {
    .on_head = on_head, .on_request = on_request, .on_gone = on_gone, .on_drained = on_drained
};

static void begin(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    struct fl_tls_files files[] = { { in_dir("a.pem"), in_dir("a.key") },
                                    { in_dir("b.pem"), in_dir("b.key") } };
    struct fl_ws_limits ws_limits = fl_ws_limits_default;
    struct fl_err err;
    int fd;
    ws_limits.message_bytes = 100000;
    CHECK_OK(fl_tls_new(files, 2, &app->tls, &err));
    CHECK_OK(fl_ws_hub_new(&l->loop, &ws_limits, &app->hub, &err));
    struct fl_http_server_config config = { .loop = &l->loop,
                                            .callbacks = &callbacks,
                                            .user = app,
                                            .tls = app->tls,
                                            .limits = app->limits,
                                            .name = "test" };
    CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &fd, &err));
    if (app->receive_bytes) /* the accepted ones have it, too */
        CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &app->receive_bytes, sizeof(int)), 0);
    CHECK_OK(fl_http_server_new(&config, fd, &app->server, &err));
}

static void end(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    fl_ws_hub_free(&app->hub);
    fl_http_server_free(&app->server);
    fl_tls_free(&app->tls); /* open connections hold what they need */
}

static uint16_t start(struct app *app)
{
    make_dir();
    make_certificate("a", "DNS:a.example,DNS:*.wild.example", 1);
    make_certificate("b", "DNS:b.example", 2);
    lb_start(&app->l);
    return fl_http_server_port(app->server);
}

static void prepare(struct app *app)
{
    memset(app, 0, sizeof *app);
    app->l.begin = begin;
    app->l.end = end;
    app->limits = fl_http_limits_default;
    app->limits.linger_ms = 200;
}

static void finish(struct app *app)
{
    lb_stop(&app->l);
    remove_dir();
}

/* ---- a client ---- */
struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

struct wishes {
    int version; /* the only one, 0: any */
    const char *ciphers, *name, *alpn;
    SSL_SESSION *session;
    int receive_bytes;
};

/* False when the handshake fails. */
static bool tls_connect(struct client *c, uint16_t port, const struct wishes *w)
{
    c->fd = cl_connect_small(port, w->receive_bytes);
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(c->ctx, 0);
    if (w->version) {
        SSL_CTX_set_min_proto_version(c->ctx, w->version);
        SSL_CTX_set_max_proto_version(c->ctx, w->version);
    }
    if (w->ciphers)
        CHECK(SSL_CTX_set_cipher_list(c->ctx, w->ciphers));
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    if (w->name)
        SSL_set_tlsext_host_name(c->ssl, w->name);
    if (w->alpn)
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)w->alpn, (unsigned)strlen(w->alpn));
    if (w->session)
        SSL_set_session(c->ssl, w->session);
    return SSL_connect(c->ssl) == 1;
}

static void tls_close(struct client *c)
{
    /* Else the session could not be resumed. */
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    ERR_clear_error();
}

static void tls_send(struct client *c, const void *p, size_t n)
{
    size_t wrote;
    if (n)
        CHECK(SSL_write_ex(c->ssl, p, n, &wrote) == 1 && wrote == n);
}

static void tls_puts(struct client *c, const char *text)
{
    tls_send(c, text, strlen(text));
}

/* Reads to the end, or until `mark`; *ret_is_notified: the end was a close_notify. */
static struct cl_text tls_read(struct client *c, const char *mark, bool *ret_is_notified)
{
    struct cl_text t = { 0 };
    t.p = calloc(1, t.cap = 8 << 20);
    for (;;) {
        size_t got = 0;
        if (SSL_read_ex(c->ssl, t.p + t.n, t.cap - t.n - 1, &got) != 1) {
            if (ret_is_notified)
                *ret_is_notified = SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN;
            return t;
        }
        t.n += got;
        t.p[t.n] = 0;
        if (mark && memmem(t.p, t.n, mark, strlen(mark)))
            return t;
    }
}

static long serial_of(struct client *c)
{
    X509 *x = SSL_get1_peer_certificate(c->ssl);
    CHECK(x);
    long serial = ASN1_INTEGER_get(X509_get_serialNumber(x));
    X509_free(x);
    return serial;
}

#endif
