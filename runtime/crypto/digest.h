/* SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104) and HKDF (RFC 5869), without allocation and
 * without failure, so that no caller has a half-made digest. A digest over several values is made
 * over parts, each behind its length: no two lists of values give the same bytes. Any thread. */
#ifndef FLOPINIO_CRYPTO_DIGEST_H
#define FLOPINIO_CRYPTO_DIGEST_H

#include <stdint.h>

#include "flopinio/base/id.h"
#include "flopinio/base/str.h"

#define FL_SHA256_BYTES 32
#define FL_SALT_BYTES   16

struct fl_sha256 {
    union {
        uint64_t align;
        uint8_t bytes[112];
    } state; /* private */
};
struct fl_hmac {
    struct fl_sha256 inner, outer; /* private */
};

/* One shot. */
void fl_sha256(struct fl_str bytes, uint8_t out[FL_SHA256_BYTES]);
/* Streaming: init, put.., final. `final` cleanses the state. */
void fl_sha256_init(struct fl_sha256 *s);
void fl_sha256_put(struct fl_sha256 *s, const void *bytes, size_t n);
void fl_sha256_final(struct fl_sha256 *s, uint8_t out[FL_SHA256_BYTES]);
/* One part: u32 big-endian length, then the bytes (less than 4 GiB). */
void fl_sha256_part(struct fl_sha256 *s, struct fl_str part);
void fl_sha256_part_u64(struct fl_sha256 *s, uint64_t value); /* a part of 8 bytes, big-endian */

void fl_hmac_init(struct fl_hmac *h, struct fl_str key);
void fl_hmac_put(struct fl_hmac *h, const void *bytes, size_t n);
void fl_hmac_part(struct fl_hmac *h, struct fl_str part);
void fl_hmac_final(struct fl_hmac *h, uint8_t out[FL_SHA256_BYTES]);

/* HKDF with SHA-256, first the extract step, then one block of the expand step (up to 32 bytes). */
void fl_hkdf_extract(struct fl_str salt, struct fl_str input, uint8_t ret_prk[FL_SHA256_BYTES]);
void fl_hkdf_expand(const uint8_t prk[FL_SHA256_BYTES], struct fl_str info,
                    uint8_t out[FL_SHA256_BYTES]);

/* The audit's digest of a content that is kept apart: SHA-256(salt || bytes), so that a small value
 * cannot be guessed from the log after its salt is erased. The salt is random, one for each. */
void fl_salted_digest(const uint8_t salt[FL_SALT_BYTES], struct fl_str bytes,
                      uint8_t out[FL_SHA256_BYTES]);

/* Equal, in a time that depends on n only. */
bool fl_equal_secret(const void *a, const void *b, size_t n);
/* The same for texts; the time depends on the lengths. */
bool fl_str_eq_secret(struct fl_str a, struct fl_str b);

static inline struct fl_str fl_bytes(const void *bytes, size_t n)
{
    return (struct fl_str){ bytes, n };
}
static inline struct fl_str fl_uuid_bytes(const struct fl_uuid *id)
{
    return (struct fl_str){ (const char *)id->b, sizeof id->b };
}

#endif
