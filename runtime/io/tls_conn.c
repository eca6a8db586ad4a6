/* One TLS connection over a BIO of our own: OpenSSL reads straight from the bytes that the socket
 * gave and writes into one growing buffer (memory BIOs would keep two more copies). */
#include "runtime/io/tls_conn.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "flopinio/base/mem.h"

struct fl_tls_conn {
    struct fl_tls *tls; /* holds a reference */
    SSL *ssl;
    struct fl_str offered; /* borrowed ciphertext */
    struct fl_buf kept;    /* ciphertext in front of `offered`, read up to kept_at */
    size_t kept_at;
    struct fl_buf out;
    bool is_broken;
};

static int bio_read(BIO *bio, char *out, size_t cap, size_t *ret_n)
{
    struct fl_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->kept_at < conn->kept.n) {
        size_t left = conn->kept.n - conn->kept_at;
        *ret_n = left < cap ? left : cap;
        memcpy(out, conn->kept.p + conn->kept_at, *ret_n);
        conn->kept_at += *ret_n;
        if (conn->kept_at == conn->kept.n) {
            fl_buf_fini(&conn->kept);
            conn->kept_at = 0;
        }
        return 1;
    }
    if (conn->offered.n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *ret_n = conn->offered.n < cap ? conn->offered.n : cap;
    memcpy(out, conn->offered.p, *ret_n);
    conn->offered.p += *ret_n;
    conn->offered.n -= *ret_n;
    return 1;
}

static int bio_write(BIO *bio, const char *p, size_t n, size_t *ret_n)
{
    struct fl_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    fl_buf_put(&conn->out, p, n);
    if (conn->out.is_failed)
        return 0;
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    FL_UNUSED(bio);
    FL_UNUSED(number);
    FL_UNUSED(arg);
    return command == BIO_CTRL_FLUSH;
}

/* Made once for the process and never freed. */
static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
        if (method) {
            BIO_meth_set_read_ex(method, bio_read);
            BIO_meth_set_write_ex(method, bio_write);
            BIO_meth_set_ctrl(method, bio_ctrl);
        }
    }
    return method;
}

struct fl_tls_conn *fl_tls_conn_new(struct fl_tls *tls)
{
    struct fl_tls_conn *conn = fl_calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    fl_tls_ref(tls);
    conn->tls = tls;
    BIO *bio = bio_method() ? BIO_new(bio_method()) : NULL;
    conn->ssl = bio ? SSL_new(fl_tls_context(tls)) : NULL;
    if (!conn->ssl) {
        BIO_free(bio);
        fl_tls_conn_free(&conn);
        return NULL;
    }
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_accept_state(conn->ssl);
    return conn;
}

void fl_tls_conn_free(struct fl_tls_conn **conn)
{
    struct fl_tls_conn *c = *conn;
    if (!c)
        return;
    SSL_free(c->ssl);
    fl_tls_unref(c->tls);
    fl_buf_fini(&c->kept);
    fl_buf_fini(&c->out);
    fl_free(c);
    *conn = NULL;
}

void fl_tls_conn_offer(struct fl_tls_conn *conn, const char *p, size_t n)
{
    FL_ASSERT(conn->offered.n == 0);
    conn->offered = (struct fl_str){ p, n };
}

bool fl_tls_conn_keep(struct fl_tls_conn *conn)
{
    fl_buf_drop(&conn->kept, conn->kept_at);
    conn->kept_at = 0;
    fl_buf_str(&conn->kept, conn->offered);
    conn->offered = (struct fl_str){ 0 };
    return !conn->kept.is_failed;
}

void fl_tls_conn_drop(struct fl_tls_conn *conn)
{
    conn->offered = (struct fl_str){ 0 };
}

enum fl_tls_verdict fl_tls_conn_read(struct fl_tls_conn *conn, char *out, size_t cap, size_t *ret_n)
{
    if (conn->is_broken)
        return FL_TLS_BROKEN;
    ERR_clear_error();
    int rc = SSL_read_ex(conn->ssl, out, cap, ret_n);
    if (rc == 1)
        return FL_TLS_BYTES;
    switch (SSL_get_error(conn->ssl, rc)) {
    case SSL_ERROR_WANT_READ: return FL_TLS_WANTS;
    case SSL_ERROR_ZERO_RETURN: return FL_TLS_CLOSED;
    default: conn->is_broken = true; return FL_TLS_BROKEN;
    }
}

bool fl_tls_conn_write(struct fl_tls_conn *conn, const char *p, size_t n)
{
    size_t wrote = 0;
    ERR_clear_error();
    /* The output grows without bound here, so that a write is whole or broken. */
    if (conn->is_broken || (n && SSL_write_ex(conn->ssl, p, n, &wrote) != 1) || wrote != n)
        conn->is_broken = true;
    return !conn->is_broken;
}

void fl_tls_conn_shutdown(struct fl_tls_conn *conn)
{
    ERR_clear_error();
    if (!conn->is_broken && SSL_is_init_finished(conn->ssl))
        SSL_shutdown(conn->ssl); /* 0: said, not yet answered; there is nothing to do about -1 */
    ERR_clear_error();
}

struct fl_buf *fl_tls_conn_output(struct fl_tls_conn *conn)
{
    return &conn->out;
}
