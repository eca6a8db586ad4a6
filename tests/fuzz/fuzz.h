/* libFuzzer's entry and a copy of the input that ends where it ends, for the address sanitizer. */
#ifndef FL_FUZZ_H
#define FL_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/assert.h"
#include "flopinio/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline struct fl_str fuzz_copy(const uint8_t *data, size_t n)
{
    char *p = malloc(n ? n : 1);
    FL_ASSERT(p);
    memcpy(p, data, n);
    return (struct fl_str){ p, n };
}

#endif
