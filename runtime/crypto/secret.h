/* Memory for keys and other secrets: pages of their own, locked against swapping, left out of core
 * dumps, wiped in a forked child, and cleansed when freed. Whoever holds a key or a passphrase for
 * longer than a call uses it. Any thread; one secret by one thread at a time. */
#ifndef FLOPINIO_CRYPTO_SECRET_H
#define FLOPINIO_CRYPTO_SECRET_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* Zero is a valid, empty secret. */
struct fl_secret {
    uint8_t *page;  /* private: mapping, or NULL */
    size_t mapped;  /* private */
    size_t n;       /* bytes of the secret */
    bool is_locked; /* false: the system refused to lock the page (RLIMIT_MEMLOCK) */
};

/* n zero bytes. A page that cannot be locked is used all the same: see fl_secret_unlocked. */
enum fl_code fl_secret_init(struct fl_secret *secret, size_t n, struct fl_err *err) FL_MUST_CHECK;
/* The bytes; aborts in a child that was forked after the secret was made (its copy is wiped, and
 * zeros must never be taken for a key). */
uint8_t *fl_secret_bytes(const struct fl_secret *secret);
struct fl_str fl_secret_view(const struct fl_secret *secret);
/* Cleanses and gives the memory back. Harmless on zero and twice. */
void fl_secret_fini(struct fl_secret *secret);
/* Secrets of this process that could not be locked so far, for `doctor`. */
unsigned fl_secret_unlocked(void);

/* For a process that holds keys and opened arguments: no core dump, and (but under a sanitizer,
 * which needs it) no look into it through /proc or ptrace by other processes of its user. */
void fl_secret_process(void);

/* Overwrites bytes that held a secret, so that the compiler cannot leave it out. */
void fl_cleanse(void *bytes, size_t n);

#endif
