/* Decimal numbers. The exact conversions are the C library's (strtod and %e round correctly); what
 * it does with the locale's decimal point is avoided by giving it none and ignoring its own. */
#include "decimal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* No literal of 4 GiB moves the point further; beyond it the exponent no longer matters. */
#define EXPONENT_CAP 100000000000LL

/* The integer behind an 'e', cut at the cap. */
static int64_t parse_exponent(const char *p, const char *end)
{
    bool is_negative = p < end && *p == '-';
    int64_t value = 0;
    p += p < end && (*p == '-' || *p == '+');
    for (; p < end; p++) {
        value = value * 10 + (*p - '0');
        if (value > EXPONENT_CAP)
            value = EXPONENT_CAP;
    }
    return is_negative ? -value : value;
}

bool fl_decimal_parse(struct fl_str literal, struct fl_decimal *ret)
{
    const char *p = literal.p, *end = p + literal.n;
    struct fl_decimal d = { 0 };
    bool is_fraction = false;
    size_t zeros = 0; /* that may turn out to be trailing ones */
    d.is_negative = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        if (*p == '0' && d.count == 0) {
            d.point -= is_fraction;
            continue;
        }
        d.point += !is_fraction;
        if (*p == '0') {
            zeros++;
            continue;
        }
        if (zeros >= (size_t)(FL_DECIMAL_DIGITS - d.count))
            return false;
        memset(d.digits + d.count, '0', zeros);
        d.count += (int)zeros;
        zeros = 0;
        d.digits[d.count++] = *p;
    }
    if (p < end)
        d.point += parse_exponent(p + 1, end);
    if (d.count == 0)
        d.point = 0;
    *ret = d;
    return true;
}

double fl_decimal_to_double(const struct fl_decimal *d)
{
    char text[FL_DECIMAL_DIGITS + 32];
    if (d->count == 0)
        return d->is_negative ? -0.0 : 0.0;
    int64_t exponent = d->point - d->count;
    if (exponent > 9999)
        exponent = 9999;
    if (exponent < -9999)
        exponent = -9999;
    snprintf(text, sizeof text, "%s%.*se%d", d->is_negative ? "-" : "", d->count, d->digits,
             (int)exponent);
    return strtod(text, NULL);
}

static void drop_trailing_zeros(struct fl_decimal *d)
{
    while (d->count && d->digits[d->count - 1] == '0')
        d->count--;
}

/* `value` (finite, not zero) rounded to so many digits. */
static void round_to(double value, int digits, struct fl_decimal *ret)
{
    char text[64];
    struct fl_decimal d = { .is_negative = value < 0 };
    snprintf(text, sizeof text, "%.*e", digits - 1, fabs(value));
    const char *p = text;
    for (; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') /* not the decimal point, whatever it is here */
            d.digits[d.count++] = *p;
    }
    d.point = strtol(p + 1, NULL, 10) + 1;
    drop_trailing_zeros(&d);
    *ret = d;
}

/* The next larger decimal (in size) of so many digits. */
static void step_up(struct fl_decimal *d, int digits)
{
    memset(d->digits + d->count, '0', (size_t)(digits - d->count));
    d->count = digits;
    int at = digits - 1;
    while (at >= 0 && d->digits[at] == '9')
        d->digits[at--] = '0';
    if (at >= 0) {
        d->digits[at]++;
    } else {
        d->digits[0] = '1';
        d->point++;
    }
    drop_trailing_zeros(d);
}

void fl_decimal_of(double value, struct fl_decimal *ret)
{
    FL_ASSERT(isfinite(value));
    if (value == 0) {
        *ret = (struct fl_decimal){ .is_negative = signbit(value) };
        return;
    }
    /* Up to DBL_DIG digits survive the way through a normal double, so if that many read back
     * there are no other ones as short. Subnormals have fewer: try each length. */
    int exponent;
    bool is_subnormal = fabs(value) < DBL_MIN;
    bool is_power_of_2 = fabs(frexp(value, &exponent)) == 0.5;
    for (int digits = is_subnormal ? 1 : DBL_DIG; digits <= FL_DECIMAL_DIGITS; digits++) {
        round_to(value, digits, ret);
        if (fl_decimal_to_double(ret) == value)
            return;
        /* Below a power of two doubles lie half as far apart as above it: the nearest decimal
         * below may belong to the neighbour while one above, further off, still reads back. */
        if (is_power_of_2 && digits < FL_DECIMAL_DIGITS) {
            step_up(ret, digits);
            if (fl_decimal_to_double(ret) == value)
                return;
        }
    }
    FL_ASSERT(false);
}

bool fl_decimal_is_exact(const struct fl_decimal *d)
{
    if (d->count == 0)
        return true;
    /* Within these bounds DBL_DIG digits always survive. */
    if (d->count <= DBL_DIG && d->point > DBL_MIN_10_EXP && d->point <= DBL_MAX_10_EXP)
        return true;
    double value = fl_decimal_to_double(d);
    if (isinf(value))
        return false;
    struct fl_decimal shortest;
    fl_decimal_of(value, &shortest);
    return shortest.count == d->count && shortest.point == d->point &&
           memcmp(shortest.digits, d->digits, (size_t)d->count) == 0;
}

char *fl_decimal_format(const struct fl_decimal *d, char out[FL_DECIMAL_BYTES])
{
    const int n = d->count;
    const char *digits = d->digits;
    if (n == 0) { /* minus zero too: RFC 8785 section 3.2.2.3 */
        memcpy(out, "0", 2);
        return out;
    }
    FL_ASSERT(n <= FL_DECIMAL_DIGITS && d->point > -400 && d->point < 400);
    int point = (int)d->point;
    const char *sign = d->is_negative ? "-" : "";
    if (point >= n && point <= 21)
        snprintf(out, FL_DECIMAL_BYTES, "%s%.*s%.*s", sign, n, digits, point - n,
                 "000000000000000000000");
    else if (point > 0 && point <= 21)
        snprintf(out, FL_DECIMAL_BYTES, "%s%.*s.%.*s", sign, point, digits, n - point,
                 digits + point);
    else if (point > -6 && point <= 0)
        snprintf(out, FL_DECIMAL_BYTES, "%s0.%.*s%.*s", sign, -point, "000000", n, digits);
    else
        snprintf(out, FL_DECIMAL_BYTES, "%s%.1s%s%.*se%+d", sign, digits, n > 1 ? "." : "", n - 1,
                 digits + 1, point - 1);
    return out;
}
