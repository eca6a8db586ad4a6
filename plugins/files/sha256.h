/* SHA-256 (FIPS 180-4). The plugin ABI promises C headers only, so the plugin brings its own; the
 * tests compare it with OpenSSL's. Any thread. */
#ifndef FILES_SHA256_H
#define FILES_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX_BYTES 65 /* with the NUL */

struct sha256 {
    uint32_t state[8];
    uint64_t total;    /* bytes taken so far */
    uint8_t block[64]; /* the last total % 64 bytes wait here */
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t n);
/* Ends the digest; sha must be initialised again before the next use. */
void sha256_hex(struct sha256 *sha, char ret[SHA256_HEX_BYTES]);
/* All of it in one call. */
void sha256_of(const void *bytes, size_t n, char ret[SHA256_HEX_BYTES]);

#endif
