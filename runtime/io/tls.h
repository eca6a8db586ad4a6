/* TLS for listeners: certificates chosen by name, replaced without dropping connections
 * (OpenSSL 3). TLS 1.2 with ECDHE and AEAD, TLS 1.3; ALPN http/1.1 only; no renegotiation, no
 * compression, no early data; session tickets under keys that rotate. Loop thread only. */
#ifndef FLOPINIO_IO_TLS_H
#define FLOPINIO_IO_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "flopinio/base/err.h"

struct fl_tls_files {
    const char *certificate; /* PEM: the certificate, then its chain */
    const char *key;         /* PEM, not encrypted */
};

struct fl_tls;

/* Reads the pairs; the first is the default, the others are chosen by their subject alternative
 * names. `files` is copied. */
enum fl_code fl_tls_new(const struct fl_tls_files *files, size_t count, struct fl_tls **ret,
                        struct fl_err *err) FL_MUST_CHECK;
/* Reads the same files again for new connections; on failure the old ones stay in use. */
enum fl_code fl_tls_reload(struct fl_tls *tls, struct fl_err *err) FL_MUST_CHECK;
/* When the certificate of a PEM file ends, UTC milliseconds; FL_CONFIG when there is none. Any
 * thread.
 */
enum fl_code fl_tls_expiry(const char *certificate, int64_t *ret_utc_ms,
                           struct fl_err *err) FL_MUST_CHECK;
/* After every server that uses it is gone; open connections keep what they need. */
void fl_tls_free(struct fl_tls **tls);

#endif
