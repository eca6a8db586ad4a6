/* Clocks and the texts of times and durations. */
#include "flopinio/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static struct fl_clock_skew skew;

void fl_clock_skew_set(struct fl_clock_skew value)
{
    skew = value;
}

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    FL_ASSERT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t fl_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC) + skew.mono_ms * 1000;
}

int64_t fl_mono_ms(void)
{
    return fl_mono_us() / 1000;
}

int64_t fl_boot_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000 + skew.boot_ms;
}

int64_t fl_real_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000 + skew.real_ms;
}

#define DAY_0000  (-719468) /* 0000-03-01, in days since 1970 */
#define DAY_10000 2932897   /* 10000-01-01 */

/* Splits into whole seconds (floor) and the rest in ms. */
static time_t split(int64_t ms, int *ret_rest)
{
    int64_t s = ms / 1000, rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        s--;
    }
    *ret_rest = (int)rest;
    return (time_t)s;
}

static char *put_digits(char *p, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + count;
}

/* Not strftime: each audit row has such a text. The days of the civil calendar are counted in eras
 * of 400 years that begin on a 1 March (H. Hinnant, "chrono-compatible low-level date algorithms").
 */
static char *format(int64_t at_utc_ms, char out[FL_TIME_BYTES], bool has_ms)
{
    int rest;
    int64_t s = split(at_utc_ms, &rest);
    int64_t day = s / 86400, second = s % 86400;
    if (second < 0) {
        second += 86400;
        day--;
    }
    if (day < DAY_0000 || day >= DAY_10000) {
        snprintf(out, FL_TIME_BYTES, "never");
        return out;
    }
    unsigned z = (unsigned)(day + 719468);
    unsigned era = z / 146097, doe = z - era * 146097;
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    unsigned year = yoe + era * 400 + (month <= 2);
    char *p = put_digits(out, year, 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
    *p++ = 'T';
    p = put_digits(p, (unsigned)second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)second / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)second % 60, 2);
    if (has_ms) {
        *p++ = '.';
        p = put_digits(p, (unsigned)rest, 3);
    }
    *p++ = 'Z';
    *p = 0;
    return out;
}

char *fl_time_format(int64_t at_utc_ms, char out[FL_TIME_BYTES])
{
    return format(at_utc_ms, out, true);
}

char *fl_time_format_s(int64_t at_utc_ms, char out[FL_TIME_BYTES])
{
    return format(at_utc_ms, out, false);
}

/* Exactly `count` digits at *at; moves it; -1 on anything else. */
static int digits(struct fl_str s, size_t *at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (*at >= s.n || s.p[*at] < '0' || s.p[*at] > '9')
            return -1;
        value = value * 10 + (s.p[*at] - '0');
    }
    return value;
}

static bool is_char(struct fl_str s, size_t *at, const char *any_of)
{
    if (*at >= s.n || !strchr(any_of, s.p[*at]) || s.p[*at] == 0)
        return false;
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

bool fl_time_parse(struct fl_str s, int64_t *ret_utc_ms)
{
    size_t at = 0;
    int year = digits(s, &at, 4);
    if (year < 0 || !is_char(s, &at, "-"))
        return false;
    int month = digits(s, &at, 2);
    if (month < 1 || month > 12 || !is_char(s, &at, "-"))
        return false;
    int day = digits(s, &at, 2);
    if (day < 1 || day > days_in_month(year, month) || !is_char(s, &at, "Tt "))
        return false;
    int hour = digits(s, &at, 2);
    if (hour < 0 || hour > 23 || !is_char(s, &at, ":"))
        return false;
    int minute = digits(s, &at, 2);
    if (minute < 0 || minute > 59 || !is_char(s, &at, ":"))
        return false;
    int second = digits(s, &at, 2);
    if (second < 0 || second > 60)
        return false;
    int ms = 0;
    if (is_char(s, &at, ".")) {
        size_t from = at;
        int scale = 100;
        while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9') {
            ms += (s.p[at] - '0') * scale;
            scale /= 10;
            at++;
        }
        if (at == from)
            return false;
    }
    int offset = 0;
    if (!is_char(s, &at, "Zz")) {
        bool is_west = at < s.n && s.p[at] == '-';
        if (!is_char(s, &at, "+-"))
            return false;
        int oh = digits(s, &at, 2);
        if (oh < 0 || oh > 23 || !is_char(s, &at, ":"))
            return false;
        int om = digits(s, &at, 2);
        if (om < 0 || om > 59)
            return false;
        offset = (oh * 60 + om) * (is_west ? -60 : 60);
    }
    if (at != s.n)
        return false;
    struct tm tm = { .tm_year = year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second };
    *ret_utc_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
    return true;
}

static const struct {
    const char *suffix;
    int64_t ms;
} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

bool fl_duration_parse(struct fl_str text, int64_t *ret_ms)
{
    size_t at = 0;
    while (at < text.n && text.p[at] >= '0' && text.p[at] <= '9')
        at++;
    long long value;
    int64_t ms;
    if (!fl_str_to_i64((struct fl_str){ text.p, at }, &value))
        return false;
    struct fl_str suffix = { text.p + at, text.n - at };
    if (suffix.n == 0)
        suffix = FL_STR("s");
    for (size_t i = 0; i < FL_COUNTOF(units); i++) {
        if (!fl_str_is(suffix, units[i].suffix))
            continue;
        if (__builtin_mul_overflow((int64_t)value, units[i].ms, &ms))
            return false;
        *ret_ms = ms;
        return true;
    }
    return false;
}

char *fl_duration_format(int64_t ms, char out[FL_TIME_BYTES])
{
    size_t i = 0;
    while (i + 1 < FL_COUNTOF(units) && (ms == 0 ? i < 3 : ms % units[i].ms != 0))
        i++;
    snprintf(out, FL_TIME_BYTES, "%" PRId64 "%s", ms / units[i].ms, units[i].suffix);
    return out;
}
