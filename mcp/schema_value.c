/* Kinds, comparison and hashing of JSON values. For schema*.c, any thread. */
#include "mcp/schema_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/mem.h"

static bool is_whole(double d)
{
    return d == trunc(d); /* jansson holds no infinity and no NaN */
}

unsigned fl_schema_kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL: return FL_KIND_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return FL_KIND_BOOLEAN;
    case JSON_OBJECT: return FL_KIND_OBJECT;
    case JSON_ARRAY: return FL_KIND_ARRAY;
    case JSON_STRING: return FL_KIND_STRING;
    case JSON_INTEGER: return FL_KIND_INTEGER;
    case JSON_REAL: return is_whole(json_real_value(value)) ? FL_KIND_INTEGER : FL_KIND_FRACTION;
    }
    fl_assert_fail("a JSON type that jansson does not have", __FILE__, __LINE__, __func__);
}

void fl_schema_kind_words(unsigned kinds, char *out, size_t cap)
{
    static const struct {
        unsigned kinds;
        const char *words;
    } all[] = {
        { FL_KIND_STRING, "a string" },    { FL_KIND_NUMBER, "a number" },
        { FL_KIND_INTEGER, "an integer" }, { FL_KIND_BOOLEAN, "true or false" },
        { FL_KIND_OBJECT, "an object" },   { FL_KIND_ARRAY, "an array" },
        { FL_KIND_NULL, "null" },
    };
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < FL_COUNTOF(all) && n < cap; i++) {
        if ((kinds & all[i].kinds) != all[i].kinds)
            continue;
        kinds &= ~all[i].kinds;
        int more = snprintf(out + n, cap - n, "%s%s", n ? " or " : "", all[i].words);
        n += more > 0 ? (size_t)more : 0;
    }
}

static int cmp_int_real(json_int_t i, double d)
{
    if (d >= 9223372036854775808.0)
        return -1;
    if (d < -9223372036854775808.0)
        return 1;
    json_int_t whole = (json_int_t)d; /* towards zero */
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

int fl_schema_number_cmp(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_integer(a))
        return cmp_int_real(json_integer_value(a), json_real_value(b));
    if (json_is_integer(b))
        return -cmp_int_real(json_integer_value(b), json_real_value(a));
    double x = json_real_value(a), y = json_real_value(b);
    return (x > y) - (x < y);
}

static struct fl_schema_decimal decimal_normal(uint64_t digits, int exponent)
{
    if (digits == 0)
        return (struct fl_schema_decimal){ 0, 0 };
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    return (struct fl_schema_decimal){ digits, exponent };
}

struct fl_schema_decimal fl_schema_decimal_of(const json_t *number)
{
    if (json_is_integer(number)) {
        json_int_t i = json_integer_value(number);
        return decimal_normal(i < 0 ? 0 - (uint64_t)i : (uint64_t)i, 0);
    }
    double d = fabs(json_real_value(number));
    if (is_whole(d) && d < 9007199254740992.0)
        return decimal_normal((uint64_t)d, 0);
    char text[32];
    uint64_t digits = 0;
    int exponent = 0;
    bool is_behind_point = false;
    const char *at = fl_jcs_number(d, text); /* at most 17 digits, and zeros */
    for (; *at && *at != 'e'; at++) {
        if (*at == '.') {
            is_behind_point = true;
        } else if (is_behind_point || digits < UINT64_MAX / 100) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            exponent -= is_behind_point;
        } else {
            exponent++; /* only zeros are left */
        }
    }
    return decimal_normal(digits, exponent + (*at ? (int)strtol(at + 1, NULL, 10) : 0));
}

bool fl_schema_decimal_divides(struct fl_schema_decimal divisor, struct fl_schema_decimal value)
{
    FL_ASSERT(divisor.digits != 0);
    int shift = value.exponent - divisor.exponent;
    if (value.digits == 0)
        return true;
    if (shift < 0) {
        /* digits has no trailing zero, so that it can only be a multiple of digits * 10^n if the
         * division by 10^n came out even, which it did not. */
        return false;
    }
    unsigned __int128 rest = value.digits % divisor.digits, ten = 10 % divisor.digits;
    for (; shift > 0 && rest != 0; shift >>= 1) {
        if (shift & 1)
            rest = rest * ten % divisor.digits;
        ten = ten * ten % divisor.digits;
    }
    return rest == 0;
}

bool fl_schema_value_count(const json_t *value, uint64_t *ret)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    if (json_is_real(value) && json_real_value(value) >= 0 && is_whole(json_real_value(value))) {
        *ret = json_real_value(value) < 18446744073709551616.0 ? (uint64_t)json_real_value(value)
                                                               : UINT64_MAX;
        return true;
    }
    return false;
}

static bool take(uint32_t *steps, size_t n)
{
    if (*steps < n) {
        *steps = 0;
        return false;
    }
    *steps -= (uint32_t)n;
    return true;
}

enum fl_schema_equal fl_schema_value_equal(const json_t *a, const json_t *b, unsigned max_depth,
                                           uint32_t *steps)
{
    unsigned kind = fl_schema_kind_of(a);
    if (!take(steps, 1))
        return FL_EQUAL_UNKNOWN;
    if (kind != fl_schema_kind_of(b))
        return FL_DIFFERENT;
    if (kind & FL_KIND_NUMBER)
        return fl_schema_number_cmp(a, b) == 0 ? FL_EQUAL : FL_DIFFERENT;
    if (kind == FL_KIND_STRING) {
        struct fl_str x = fl_json_str(a), y = fl_json_str(b);
        if (x.n != y.n)
            return FL_DIFFERENT;
        if (!take(steps, x.n / 64))
            return FL_EQUAL_UNKNOWN;
        return memcmp(x.p, y.p, x.n) == 0 ? FL_EQUAL : FL_DIFFERENT;
    }
    if (kind & (FL_KIND_NULL | FL_KIND_BOOLEAN))
        return json_typeof(a) == json_typeof(b) ? FL_EQUAL : FL_DIFFERENT;
    if (max_depth == 0)
        return FL_EQUAL_UNKNOWN;
    if (kind == FL_KIND_ARRAY) {
        size_t n = json_array_size(a);
        if (n != json_array_size(b))
            return FL_DIFFERENT;
        for (size_t i = 0; i < n; i++) {
            enum fl_schema_equal e = fl_schema_value_equal(
                json_array_get(a, i), json_array_get(b, i), max_depth - 1, steps);
            if (e != FL_EQUAL)
                return e;
        }
        return FL_EQUAL;
    }
    if (json_object_size(a) != json_object_size(b))
        return FL_DIFFERENT;
    for (void *at = json_object_iter((json_t *)a); at;
         at = json_object_iter_next((json_t *)a, at)) {
        const json_t *other =
            json_object_getn(b, json_object_iter_key(at), json_object_iter_key_len(at));
        if (!other)
            return FL_DIFFERENT;
        enum fl_schema_equal e =
            fl_schema_value_equal(json_object_iter_value(at), other, max_depth - 1, steps);
        if (e != FL_EQUAL)
            return e;
    }
    return FL_EQUAL;
}

/* FNV-1a. Collisions cost steps, never a wrong answer. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* Equal values have equal hashes. False when the steps are used up or it nests too deeply. */
static bool hash_value(const json_t *value, unsigned max_depth, uint32_t *steps, uint64_t *ret)
{
    unsigned kind = fl_schema_kind_of(value);
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, &kind, sizeof kind);
    if (!take(steps, 1))
        return false;
    if (kind & FL_KIND_NUMBER) {
        double d = json_number_value(value);
        d = d == 0 ? 0 : d; /* no negative zero */
        hash = hash_bytes(hash, &d, sizeof d);
    } else if (kind == FL_KIND_STRING) {
        struct fl_str s = fl_json_str(value);
        if (!take(steps, s.n / 64))
            return false;
        hash = hash_bytes(hash, s.p, s.n);
    } else if (kind == FL_KIND_BOOLEAN) {
        hash += json_is_true(value);
    } else if (kind != FL_KIND_NULL && max_depth == 0) {
        return false;
    } else if (kind == FL_KIND_ARRAY) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            uint64_t item;
            if (!hash_value(json_array_get(value, i), max_depth - 1, steps, &item))
                return false;
            hash = hash_bytes(hash, &item, sizeof item);
        }
    } else if (kind == FL_KIND_OBJECT) {
        for (void *at = json_object_iter((json_t *)value); at;
             at = json_object_iter_next((json_t *)value, at)) {
            uint64_t member;
            if (!hash_value(json_object_iter_value(at), max_depth - 1, steps, &member))
                return false;
            /* a sum, as members have no order */
            hash += hash_bytes(member, json_object_iter_key(at), json_object_iter_key_len(at));
        }
    }
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu; /* the table looks at the low bits */
    *ret = hash ^ hash >> 33;
    return true;
}

struct slot {
    uint64_t hash;
    size_t index; /* from 1; 0 = free */
};

enum fl_schema_equal fl_schema_value_repeats(const json_t *array, unsigned max_depth,
                                             uint32_t *steps, size_t ret_at[2],
                                             enum fl_code *ret_code)
{
    struct slot few[64] = { { 0 } }, *slots = few;
    size_t n = json_array_size(array), cap = FL_COUNTOF(few);
    enum fl_schema_equal result = FL_EQUAL_UNKNOWN;
    *ret_code = FL_OK;
    if (!take(steps, 1) || n > *steps)
        return FL_EQUAL_UNKNOWN; /* each item takes a step below; bounds `cap`, too */
    while (cap / 2 < n)
        cap *= 2;
    if (cap > FL_COUNTOF(few)) {
        slots = fl_calloc(cap, sizeof *slots);
        if (!slots) {
            *ret_code = FL_NOMEM;
            return FL_EQUAL_UNKNOWN;
        }
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t hash;
        const json_t *item = json_array_get(array, i);
        if (!hash_value(item, max_depth, steps, &hash))
            goto out;
        size_t at = hash & (cap - 1);
        for (; slots[at].index; at = (at + 1) & (cap - 1)) {
            if (!take(steps, 1))
                goto out;
            if (slots[at].hash != hash)
                continue;
            const json_t *other = json_array_get(array, slots[at].index - 1);
            enum fl_schema_equal e = fl_schema_value_equal(other, item, max_depth, steps);
            if (e != FL_DIFFERENT) {
                ret_at[0] = slots[at].index - 1;
                ret_at[1] = i;
                result = e;
                goto out;
            }
        }
        slots[at] = (struct slot){ hash, i + 1 };
    }
    result = FL_DIFFERENT;
out:
    if (slots != few)
        fl_free(slots);
    return result;
}
