/* Credentials that we hand out once and keep as a SHA-256 only: bearer tokens and recovery codes.
 * Both are random and long, so a plain digest is enough. Any thread. */
#ifndef FLOPINIO_CRYPTO_TOKEN_H
#define FLOPINIO_CRYPTO_TOKEN_H

#include "flopinio/base/buf.h"
#include "runtime/crypto/digest.h"

/* Kinds of token: X(NAME, prefix). Append only. */
#define FL_TOKEN_KINDS(X)                                                                          \
    X(AGENT, "fla")    /* an agent's credential */                                                 \
    X(PERSONAL, "flp") /* a person's, for API and CLI */                                           \
    X(SESSION, "fls")  /* a browser session */                                                     \
    X(LINK, "fll")     /* a one-time link: invitation, mail, chat account */

enum fl_token_kind {
#define X(name, prefix) FL_TOKEN_##name,
    FL_TOKEN_KINDS(X)
#undef X
        FL_TOKEN_KIND_COUNT
};

/* prefix, '_', 43 characters base64url (256 random bits), 6 characters of checksum (the first 36
 * bits of SHA-256("flopinio/token/1" and all that stands before), base64url): a typing error is
 * told from a revoked token without a look-up, and secret scanners can be sure of a find. */
#define FL_TOKEN_CHARS 53
#define FL_TOKEN_BYTES (FL_TOKEN_CHARS + 1)

/* Writes a new token and the digest to store; FL_NOMEM. The caller cleanses `out` once it was
 * shown. */
enum fl_code fl_token_new(enum fl_token_kind kind, char out[FL_TOKEN_BYTES],
                          uint8_t ret_digest[FL_SHA256_BYTES], struct fl_err *err) FL_MUST_CHECK;
/* Shape and checksum, no look-up; false if it is none (or there is no memory). */
bool fl_token_parse(struct fl_str text, enum fl_token_kind *ret_kind);
/* The digest under which a token is stored. */
void fl_token_digest(struct fl_str text, uint8_t out[FL_SHA256_BYTES]);

/* Recovery codes: 80 random bits in base32, four groups of four ("K7QD-..."). */
#define FL_RECOVERY_CODES 10
#define FL_RECOVERY_BYTES 20 /* with NUL */
enum fl_code fl_recovery_new(char out[FL_RECOVERY_BYTES], uint8_t ret_digest[FL_SHA256_BYTES],
                             struct fl_err *err) FL_MUST_CHECK;
/* The digest of a code as a person types it (either case; blanks and hyphens are skipped; 0, 1 and
 * 8, which no code has, are read as O, I and B); false if it cannot be one. */
bool fl_recovery_digest(struct fl_str typed, uint8_t out[FL_SHA256_BYTES]);

#endif
