/* SHA-256 by OpenSSL's plain functions: they neither allocate nor look up an algorithm, so they
 * cannot fail, and no caller has to carry an error for a digest. OpenSSL 3 marks them as
 * deprecated; this file alone uses them. HMAC and HKDF are a few lines on top. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "runtime/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "runtime/crypto/secret.h"

enum { BLOCK_BYTES = 64 };

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct fl_sha256), "the state fits");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct fl_sha256), "the state is aligned");

static SHA256_CTX *state_of(struct fl_sha256 *s)
{
    return (SHA256_CTX *)(void *)s->state.bytes;
}

void fl_sha256_init(struct fl_sha256 *s)
{
    FL_ASSERT(SHA256_Init(state_of(s)) == 1);
}

void fl_sha256_put(struct fl_sha256 *s, const void *bytes, size_t n)
{
    if (n)
        FL_ASSERT(SHA256_Update(state_of(s), bytes, n) == 1);
}

void fl_sha256_final(struct fl_sha256 *s, uint8_t out[FL_SHA256_BYTES])
{
    FL_ASSERT(SHA256_Final(out, state_of(s)) == 1);
    fl_cleanse(s, sizeof *s);
}

void fl_sha256(struct fl_str bytes, uint8_t out[FL_SHA256_BYTES])
{
    struct fl_sha256 s;
    fl_sha256_init(&s);
    fl_sha256_put(&s, bytes.p, bytes.n);
    fl_sha256_final(&s, out);
}

void fl_sha256_part(struct fl_sha256 *s, struct fl_str part)
{
    FL_ASSERT(part.n <= UINT32_MAX);
    const uint8_t n[] = { (uint8_t)(part.n >> 24), (uint8_t)(part.n >> 16), (uint8_t)(part.n >> 8),
                          (uint8_t)part.n };
    fl_sha256_put(s, n, sizeof n);
    fl_sha256_put(s, part.p, part.n);
}

void fl_sha256_part_u64(struct fl_sha256 *s, uint64_t value)
{
    uint8_t b[8];
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(value >> (56 - 8 * i));
    fl_sha256_part(s, fl_bytes(b, sizeof b));
}

void fl_hmac_init(struct fl_hmac *h, struct fl_str key)
{
    uint8_t block[BLOCK_BYTES] = { 0 };
    if (key.n > sizeof block)
        fl_sha256(key, block);
    else if (key.n)
        memcpy(block, key.p, key.n);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36;
    fl_sha256_init(&h->inner);
    fl_sha256_put(&h->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    fl_sha256_init(&h->outer);
    fl_sha256_put(&h->outer, block, sizeof block);
    fl_cleanse(block, sizeof block);
}

void fl_hmac_put(struct fl_hmac *h, const void *bytes, size_t n)
{
    fl_sha256_put(&h->inner, bytes, n);
}

void fl_hmac_part(struct fl_hmac *h, struct fl_str part)
{
    fl_sha256_part(&h->inner, part);
}

void fl_hmac_final(struct fl_hmac *h, uint8_t out[FL_SHA256_BYTES])
{
    uint8_t inner[FL_SHA256_BYTES];
    fl_sha256_final(&h->inner, inner);
    fl_sha256_put(&h->outer, inner, sizeof inner);
    fl_sha256_final(&h->outer, out);
    fl_cleanse(inner, sizeof inner);
}

void fl_hkdf_extract(struct fl_str salt, struct fl_str input, uint8_t ret_prk[FL_SHA256_BYTES])
{
    struct fl_hmac h;
    fl_hmac_init(&h, salt);
    fl_hmac_put(&h, input.p, input.n);
    fl_hmac_final(&h, ret_prk);
}

void fl_hkdf_expand(const uint8_t prk[FL_SHA256_BYTES], struct fl_str info,
                    uint8_t out[FL_SHA256_BYTES])
{
    struct fl_hmac h;
    fl_hmac_init(&h, fl_bytes(prk, FL_SHA256_BYTES));
    fl_hmac_put(&h, info.p, info.n);
    fl_hmac_put(&h, "\x01", 1);
    fl_hmac_final(&h, out);
}

void fl_salted_digest(const uint8_t salt[FL_SALT_BYTES], struct fl_str bytes,
                      uint8_t out[FL_SHA256_BYTES])
{
    struct fl_sha256 s;
    fl_sha256_init(&s);
    fl_sha256_put(&s, salt, FL_SALT_BYTES);
    fl_sha256_put(&s, bytes.p, bytes.n);
    fl_sha256_final(&s, out);
}

bool fl_equal_secret(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

bool fl_str_eq_secret(struct fl_str a, struct fl_str b)
{
    return a.n == b.n && (a.n == 0 || fl_equal_secret(a.p, b.p, a.n));
}
