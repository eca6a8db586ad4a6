/* Shared by keyring.c and seal.c: the keys that are derived from the ring. The caller cleanses. */
#ifndef FLOPINIO_CRYPTO_KEYRING_PRIV_H
#define FLOPINIO_CRYPTO_KEYRING_PRIV_H

#include "runtime/crypto/seal.h"

/* The key of one organization under primary key `key_id`; false if the ring has no such key. */
bool fl_keyring_org_key(const struct fl_keyring *ring, uint32_t key_id,
                        const struct fl_uuid *organization, uint8_t out[FL_KEY_BYTES]);
/* Starts an HMAC under the blind-index key. */
void fl_keyring_mac(const struct fl_keyring *ring, const char *label, struct fl_hmac *ret);

/* fl_seal under a key of choice: for check values. */
enum fl_code fl_seal_under(const struct fl_keyring *ring, uint32_t key_id,
                           const struct fl_place *place, struct fl_str plain, struct fl_buf *out,
                           struct fl_err *err) FL_MUST_CHECK;

#endif
