/* AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and whole 128-bit tags: the one cipher of
 * everything that we encrypt. Callers in this folder, and whoever wraps keys. Any thread. */
#ifndef FLOPINIO_CRYPTO_AEAD_H
#define FLOPINIO_CRYPTO_AEAD_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

#define FL_AEAD_KEY_BYTES   32
#define FL_AEAD_NONCE_BYTES 12
#define FL_AEAD_TAG_BYTES   16
#define FL_AEAD_MAX_BYTES   (64u << 20) /* the largest plain text */

/* Appends ciphertext and tag; plain.n is at most FL_AEAD_MAX_BYTES. FL_NOMEM; `out` is as before on
 * failure. */
enum fl_code fl_aead_seal(const uint8_t key[FL_AEAD_KEY_BYTES],
                          const uint8_t nonce[FL_AEAD_NONCE_BYTES], struct fl_str aad,
                          struct fl_str plain, struct fl_buf *out,
                          struct fl_err *err) FL_MUST_CHECK;
/* Writes plain text of sealed.n - 16 bytes to `out`; cleansed again when the tag does not hold.
 * FL_BAD_KEY: too short, changed, other key or other additional data. */
enum fl_code fl_aead_open(const uint8_t key[FL_AEAD_KEY_BYTES],
                          const uint8_t nonce[FL_AEAD_NONCE_BYTES], struct fl_str aad,
                          struct fl_str sealed, uint8_t *out, struct fl_err *err) FL_MUST_CHECK;

#endif
