/* The installation's keys: several primary keys, one blind-index key, one derivation salt. Read
 * once at start from a small text that the caller has from a file, a credentials directory or the
 * environment; held in locked memory. Immutable after loading, so any thread may use it. Load it
 * after forking: the copy in a forked child is wiped, and using it there aborts.
 *
 *   # comment
 *   primary 1 retired NHz...=      id (1 to 2147483647), state, 32 bytes in base64
 *   primary 2 active  q83...=      the last active one encrypts, all of them decrypt
 *   index   mX0...=
 *   salt    7Ag...=
 *
 * Values are not encrypted under a primary key itself but under a key of their organization,
 * HKDF-SHA-256(primary key, salt, organization and key id): nothing is stored that a restore could
 * lose or an operator mix up, and no nonce is shared between organizations. Key numbers from
 * 2147483648 on are kept free for stored keys of single organizations. */
#ifndef FLOPINIO_CRYPTO_KEYRING_H
#define FLOPINIO_CRYPTO_KEYRING_H

#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/id.h"
#include "runtime/crypto/digest.h"

#define FL_KEY_BYTES    32
#define FL_KEYRING_MAX  64          /* primary keys */
#define FL_KEY_ID_MAX   2147483647u /* larger numbers: stored keys of one organization */
#define FL_KEY_ID_INDEX 0u          /* stands for the blind-index key in check values */

struct fl_keyring;

/* Parses `text` (which the caller cleanses). FL_CONFIG names the line and what is wrong, never a
 * key; FL_NOMEM. */
enum fl_code fl_keyring_load(struct fl_str text, struct fl_keyring **ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Cleanses; accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_keyring_free(struct fl_keyring **ring);

/* Appends the text of a new keyring with random keys: primary 1, index, salt. */
void fl_keyring_generate(struct fl_buf *out);
/* Appends the same keyring with one more random active primary key, which from then on encrypts. */
enum fl_code fl_keyring_add_primary(struct fl_str text, struct fl_buf *out,
                                    struct fl_err *err) FL_MUST_CHECK;

/* The id of the key that encrypts, the ids of all (FL_KEYRING_MAX at most; returns how many). */
uint32_t fl_keyring_active(const struct fl_keyring *ring);
size_t fl_keyring_ids(const struct fl_keyring *ring, uint32_t ret_ids[FL_KEYRING_MAX]);
bool fl_keyring_has(const struct fl_keyring *ring, uint32_t key_id);

/* A known value under key `key_id` (or of the blind-index key, FL_KEY_ID_INDEX), to be stored once
 * per key and checked at each start. FL_BAD_KEY if the ring has no such key; FL_NOMEM. */
enum fl_code fl_keyring_check_value(const struct fl_keyring *ring, uint32_t key_id,
                                    struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* FL_BAD_KEY, naming the key: it is missing, or it (or the salt) is not the one that made `stored`.
 */
enum fl_code fl_keyring_check(const struct fl_keyring *ring, uint32_t key_id, struct fl_str stored,
                              struct fl_err *err) FL_MUST_CHECK;

#endif
