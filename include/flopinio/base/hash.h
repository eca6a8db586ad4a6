/* A keyed hash for tables whose keys strangers choose. Any thread. */
#ifndef FLOPINIO_BASE_HASH_H
#define FLOPINIO_BASE_HASH_H

#include <stdint.h>

#include "flopinio/base/str.h"

struct fl_hash_key {
    uint64_t k[2]; /* random (fl_random), so that nobody can aim at one bucket */
};

/* SipHash-2-4 (Aumasson and Bernstein, 2012). For tables only: not a MAC to rely on. */
uint64_t fl_hash(const struct fl_hash_key *key, struct fl_str bytes);

#endif
