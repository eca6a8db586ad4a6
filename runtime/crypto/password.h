/* Passphrases: Argon2id (RFC 9106) with m = 19456 KiB, t = 2, p = 1, as PHC strings. A hash takes
 * tens of milliseconds and 19 MiB, so identity runs it on a thread pool, few at a time: fl_pass_job
 * is a unit of such work. Passphrases are bytes; nothing is trimmed, folded or cut. Any thread. */
#ifndef FLOPINIO_CRYPTO_PASSWORD_H
#define FLOPINIO_CRYPTO_PASSWORD_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

#define FL_PASS_MAX_BYTES 1024
#define FL_PASS_MIN_CHARS 10
#define FL_PHC_BYTES      128 /* of a PHC string, with NUL */

/* Whether a new passphrase may be used: FL_BAD_PARAMS with one sentence for the person (too short,
 * too long, one character only, among the most common). Does not hash. */
enum fl_code fl_pass_policy(struct fl_str pass, struct fl_err *err) FL_MUST_CHECK;
/* Hashes with a random salt into out. FL_BAD_PARAMS when over 1024 bytes, FL_NOMEM. */
enum fl_code fl_pass_hash(struct fl_str pass, char out[FL_PHC_BYTES],
                          struct fl_err *err) FL_MUST_CHECK;
/* FL_OK: it is the one. FL_UNAUTHENTICATED: it is not, or `phc` is empty: an unknown person, for
 * whom the same work is done. *ret_needs_rehash: right, but made with other costs than today's.
 * FL_BAD_PARAMS when over 1024 bytes; FL_INTERNAL when `phc` is none of ours; FL_NOMEM. */
enum fl_code fl_pass_verify(struct fl_str pass, struct fl_str phc, bool *ret_needs_rehash,
                            struct fl_err *err) FL_MUST_CHECK;

/* One unit for a thread pool. It owns a copy of the passphrase, which running cleanses; a job that
 * never runs is given up with fl_pass_job_fini. */
struct fl_pass_job {
    bool is_new;            /* hash into phc; else verify against phc */
    bool needs_rehash;      /* out */
    enum fl_code code;      /* out */
    struct fl_err err;      /* out */
    char phc[FL_PHC_BYTES]; /* in (empty: unknown person) or out */
    size_t pass_n;
    uint8_t pass[FL_PASS_MAX_BYTES];
};
/* phc NULL: a new hash. FL_BAD_PARAMS when the passphrase is over 1024 bytes. */
enum fl_code fl_pass_job_init(struct fl_pass_job *job, struct fl_str pass, const char *phc,
                              struct fl_err *err) FL_MUST_CHECK;
void fl_pass_job_run(struct fl_pass_job *job);
void fl_pass_job_fini(struct fl_pass_job *job);

#endif
