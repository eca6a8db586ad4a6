/* Time-based one-time codes (RFC 6238 over RFC 4226: SHA-1, 6 digits, 30 s), as authenticator apps
 * expect them. The caller stores the last accepted step, hands it in, and counts wrong tries. Any
 * thread. */
#ifndef FLOPINIO_CRYPTO_TOTP_H
#define FLOPINIO_CRYPTO_TOTP_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "runtime/crypto/secret.h"

#define FL_TOTP_SEED_BYTES 20
#define FL_TOTP_PERIOD_S   30
#define FL_TOTP_DIGITS     6

/* A random seed in locked memory. */
enum fl_code fl_totp_seed(struct fl_secret *ret, struct fl_err *err) FL_MUST_CHECK;
/* Appends the otpauth: address for the QR code; issuer and account are percent-encoded. */
void fl_totp_uri(struct fl_buf *out, struct fl_str seed, struct fl_str issuer,
                 struct fl_str account);
/* The code of one step (seconds since 1970 / 30). */
enum fl_code fl_totp_code(struct fl_str seed, uint64_t step, char out[FL_TOTP_DIGITS + 1],
                          struct fl_err *err) FL_MUST_CHECK;
/* Accepts the codes of the step of `at_utc_ms`, the one before and the one after, if that step is
 * after `last_step` (-1: none yet). FL_OK with the step to store, FL_UNAUTHENTICATED (wrong, or
 * used already: not told apart), FL_NOMEM. `code`: 6 digits; blanks inside are allowed. */
enum fl_code fl_totp_verify(struct fl_str seed, struct fl_str code, int64_t at_utc_ms,
                            int64_t last_step, int64_t *ret_step, struct fl_err *err) FL_MUST_CHECK;

#endif
