/* JSON values as JSON Schema sees them: 1.0 is the integer 1, members have no order, decimals are
 * what their author wrote. Any thread; nothing here allocates, unless it says so. */
#ifndef FLOPINIO_MCP_SCHEMA_VALUE_H
#define FLOPINIO_MCP_SCHEMA_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/json.h"
#include "flopinio/base/str.h"

enum fl_schema_kind {
    FL_KIND_NULL = 1,
    FL_KIND_BOOLEAN = 2,
    FL_KIND_OBJECT = 4,
    FL_KIND_ARRAY = 8,
    FL_KIND_STRING = 16,
    FL_KIND_INTEGER = 32,
    FL_KIND_FRACTION = 64, /* a number that is no integer; `number` is this and INTEGER */
    FL_KIND_NUMBER = FL_KIND_INTEGER | FL_KIND_FRACTION,
    FL_KIND_ANY = 127
};

/* Exactly one bit (never NUMBER as a whole). */
unsigned fl_schema_kind_of(const json_t *value);
/* The seven type names in words, "null" and so on; `kinds` as in `type: [...]` -> "a string or
 * null". Cut if `cap` is small. */
void fl_schema_kind_words(unsigned kinds, char *out, size_t cap);

/* -1, 0, 1; exact, also between a double and a 64-bit integer. */
int fl_schema_number_cmp(const json_t *a, const json_t *b);

/* digits * 10^exponent, digits without trailing zeros; 0 is { 0, 0 }. The sign is dropped. A double
 * is read as the shortest decimal that gives it back, so that 0.01 is a hundredth. */
struct fl_schema_decimal {
    uint64_t digits;
    int exponent;
};
struct fl_schema_decimal fl_schema_decimal_of(const json_t *number);
/* Is `value` a whole multiple of `divisor` (not 0)? Exact. */
bool fl_schema_decimal_divides(struct fl_schema_decimal divisor, struct fl_schema_decimal value);

/* A non-negative integer as a keyword's count; larger ones are cut to UINT64_MAX. */
bool fl_schema_value_count(const json_t *value, uint64_t *ret);

enum fl_schema_equal { FL_DIFFERENT, FL_EQUAL, FL_EQUAL_UNKNOWN };
/* Deep comparison; takes a step from *steps for each pair of values and each 64 bytes compared.
 * UNKNOWN when the steps are used up, or below `max_depth` levels. */
enum fl_schema_equal fl_schema_value_equal(const json_t *a, const json_t *b, unsigned max_depth,
                                           uint32_t *steps);
/* Equal items of an array: FL_EQUAL and their indexes, the first by the second's order. Allocates
 * for more than a few items; FL_NOMEM goes to *ret_code with FL_EQUAL_UNKNOWN, otherwise it is
 * FL_OK. */
enum fl_schema_equal fl_schema_value_repeats(const json_t *array, unsigned max_depth,
                                             uint32_t *steps, size_t ret_at[2],
                                             enum fl_code *ret_code);

#endif
