/* Attribute encryption, the blind index and keyed digests: what the store does to a column before
 * it reaches the database. Any thread.
 *
 * A sealed value is 0x01 | u32be key number | nonce (12) | ciphertext | tag (16). Its additional
 * data is a list of parts (u32be length before each): "flopinio/seal/1", organization (16 bytes),
 * table, column, row, key number (4 bytes): a value that was moved to another row, column, table or
 * organization does not open. Nonces are random; a key is to be rotated long before 2^32 values of
 * one organization (NIST SP 800-38D 8.3). */
#ifndef FLOPINIO_CRYPTO_SEAL_H
#define FLOPINIO_CRYPTO_SEAL_H

#include "runtime/crypto/keyring.h"
#include "runtime/crypto/secret.h"

#define FL_SEAL_OVERHEAD     33 /* bytes that sealing adds */
#define FL_BLIND_INDEX_BYTES 16

/* Where a value lives. The row's key must be known before the row is written. */
struct fl_place {
    struct fl_uuid organization; /* zero: the installation's own tables */
    const char *table, *column;
    struct fl_str row; /* the primary key's text */
};

/* Appends the sealed value, under the key that encrypts. FL_TOO_LARGE, FL_NOMEM. */
enum fl_code fl_seal(const struct fl_keyring *ring, const struct fl_place *place,
                     struct fl_str plain, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Appends the plain text. FL_BAD_KEY: not a sealed value, its key is not in the ring, or it was
 * changed or moved; names table, column and key number. FL_NOMEM. `out` is as before on failure. */
enum fl_code fl_unseal(const struct fl_keyring *ring, const struct fl_place *place,
                       struct fl_str sealed, struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* The same into locked memory (*ret is overwritten on success; free with fl_secret_fini). */
enum fl_code fl_unseal_secret(const struct fl_keyring *ring, const struct fl_place *place,
                              struct fl_str sealed, struct fl_secret *ret,
                              struct fl_err *err) FL_MUST_CHECK;
/* The key number that a sealed value names; false if it is not a sealed value at all. */
bool fl_sealed_key(struct fl_str sealed, uint32_t *ret_key_id);

/* Finds an encrypted value by equality: HMAC-SHA-256, its first 16 bytes, over organization (NULL:
 * unique in the whole installation, as a sign-in mail is), table, column and value. The caller
 * brings the value to one form first (letter case, for instance). */
void fl_blind_index(const struct fl_keyring *ring, const struct fl_uuid *organization,
                    const char *table, const char *column, struct fl_str value,
                    uint8_t out[FL_BLIND_INDEX_BYTES]);
/* "An identical call": keyed digest of agent, tool (as the agent names it) and canonical
 * arguments, so that small arguments cannot be guessed from the column. */
void fl_call_fingerprint(const struct fl_keyring *ring, const struct fl_uuid *organization,
                         const struct fl_uuid *agent, struct fl_str tool, struct fl_str arguments,
                         uint8_t out[FL_SHA256_BYTES]);
/* The key with which cards show digests of secret values (struct fl_card_facts). */
void fl_card_key(const struct fl_keyring *ring, const struct fl_uuid *organization,
                 uint8_t out[FL_SHA256_BYTES]);

#endif
