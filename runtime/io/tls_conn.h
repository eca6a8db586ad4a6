/* The TLS of one connection as a filter without I/O: ciphertext in, plaintext out, and the other
 * way round. Used by http_stream.c. Loop thread only. */
#ifndef FLOPINIO_IO_TLS_CONN_H
#define FLOPINIO_IO_TLS_CONN_H

#include "flopinio/base/buf.h"
#include "runtime/io/tls.h"

struct fl_tls_conn;

enum fl_tls_verdict {
    FL_TLS_BYTES,  /* plaintext was read */
    FL_TLS_WANTS,  /* all input is used up */
    FL_TLS_CLOSED, /* the peer said close_notify */
    FL_TLS_BROKEN  /* not TLS, a failed handshake, no memory: flush the output (an alert), close */
};

/* The server's side of a new connection; NULL when there is no memory. */
struct fl_tls_conn *fl_tls_conn_new(struct fl_tls *tls);
void fl_tls_conn_free(struct fl_tls_conn **conn);

/* Offers n bytes of ciphertext, borrowed until fl_tls_conn_read says FL_TLS_WANTS or
 * fl_tls_conn_keep is called. */
void fl_tls_conn_offer(struct fl_tls_conn *conn, const char *p, size_t n);
/* Does the handshake as far as it goes, then reads plaintext. */
enum fl_tls_verdict fl_tls_conn_read(struct fl_tls_conn *conn, char *out, size_t cap,
                                     size_t *ret_n);
/* Copies what was offered and not used; false when there is no memory. */
bool fl_tls_conn_keep(struct fl_tls_conn *conn);
/* Forgets what was offered and not used. */
void fl_tls_conn_drop(struct fl_tls_conn *conn);
/* Encrypts into the output; false: broken. Only after plaintext was read once. */
bool fl_tls_conn_write(struct fl_tls_conn *conn, const char *p, size_t n);
/* Puts close_notify into the output (nothing before the handshake is done). */
void fl_tls_conn_shutdown(struct fl_tls_conn *conn);
/* Ciphertext to be sent; the caller takes it out and resets the buffer. */
struct fl_buf *fl_tls_conn_output(struct fl_tls_conn *conn);

/* ---- tls.c, for tls_conn.c ---- */
struct ssl_ctx_st *fl_tls_context(struct fl_tls *tls); /* the default one, for a new connection */
void fl_tls_ref(struct fl_tls *tls);
void fl_tls_unref(struct fl_tls *tls);

#endif
