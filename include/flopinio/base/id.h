/* Identifiers and random bytes. UUID version 7 (RFC 9562 section 5.7) for rows; random tokens for
 * whatever must not be guessed. Any thread. */
#ifndef FLOPINIO_BASE_ID_H
#define FLOPINIO_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

#define FL_UUID_TEXT 37 /* with NUL */

struct fl_uuid {
    uint8_t b[16];
};

/* Cryptographic random bytes from the kernel; aborts if the kernel has none. */
void fl_random(void *out, size_t n);
/* Tests: a deterministic stream from `seed`; 0 goes back to the kernel. */
void fl_random_seed(uint64_t seed);

struct fl_uuid fl_uuid_new(void);             /* version 7: time ordered, 74 random bits */
struct fl_uuid fl_uuid_at(int64_t at_utc_ms); /* of this moment, which was read already */
char *fl_uuid_format(const struct fl_uuid *id, char out[FL_UUID_TEXT]);
/* The canonical 36 character form, either case. */
bool fl_uuid_parse(struct fl_str text, struct fl_uuid *ret);
bool fl_uuid_is_zero(const struct fl_uuid *id);
int fl_uuid_cmp(const struct fl_uuid *a, const struct fl_uuid *b);

/* Hex is lower case; out has 2n+1 bytes. */
char *fl_hex(const void *bytes, size_t n, char *out);
/* Exactly 2n hex digits, either case. */
bool fl_unhex(struct fl_str text, void *out, size_t n);
/* base64url without padding (RFC 4648 section 5). */
void fl_b64url(struct fl_buf *out, const void *bytes, size_t n);
/* Standard base64 with padding (RFC 4648 section 4). */
void fl_b64(struct fl_buf *out, const void *bytes, size_t n);
/* Strict decoders: false on a bad character, length, padding, or non-zero spare bits. */
bool fl_b64url_decode(struct fl_buf *out, struct fl_str text);
bool fl_b64_decode(struct fl_buf *out, struct fl_str text);
/* RFC 4648 base32 without padding, upper case (TOTP seeds, codes that people type). */
void fl_b32(struct fl_buf *out, const void *bytes, size_t n);
bool fl_b32_decode(struct fl_buf *out, struct fl_str text);

#endif
