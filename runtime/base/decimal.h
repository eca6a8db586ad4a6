/* Decimal numbers as people and JSON write them: to and from double without loss that nobody
 * sees, and in the one form of RFC 8785. Shared inside base by canonical JSON, the tree writer and
 * YAML. Any thread; independent of the locale. */
#ifndef FL_BASE_DECIMAL_H
#define FL_BASE_DECIMAL_H

#include <stdint.h>

#include "flopinio/base/str.h"

#define FL_DECIMAL_DIGITS 17 /* enough to tell any two doubles apart */
#define FL_DECIMAL_BYTES  32

/* 0.DIGITS * 10^point, without leading and trailing zeros; no digits = zero. */
struct fl_decimal {
    char digits[FL_DECIMAL_DIGITS];
    int count;
    int64_t point;
    bool is_negative;
};

/* A literal: sign, digits with at most one point, exponent. False if it has more significant
 * digits than the canonical form ever has (its value is then not kept by any double's form). */
bool fl_decimal_parse(struct fl_str literal, struct fl_decimal *ret) FL_MUST_CHECK;
/* True if the canonical form of the nearest double is this very value. */
bool fl_decimal_is_exact(const struct fl_decimal *d);
/* The nearest double; infinite or zero beyond its range. */
double fl_decimal_to_double(const struct fl_decimal *d);
/* The shortest digits that read back as this finite double; of several the nearest to it. */
void fl_decimal_of(double value, struct fl_decimal *ret);
/* As ECMAScript's Number::toString writes it, which RFC 8785 section 3.2.2.3 prescribes. */
char *fl_decimal_format(const struct fl_decimal *d, char out[FL_DECIMAL_BYTES]);

#endif
