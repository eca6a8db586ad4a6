/* Borrowed strings. */
#include "flopinio/base/str.h"

#include <limits.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool fl_str_eq_nocase(struct fl_str a, struct fl_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool fl_str_has_prefix(struct fl_str s, struct fl_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool fl_str_is_word(struct fl_str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && !(c && strchr(more, c)))
            return false;
    }
    return s.n > 0;
}

struct fl_str fl_str_trim(struct fl_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool fl_str_to_u64(struct fl_str s, unsigned long long *ret)
{
    unsigned long long value = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(value, 10ULL, &value) ||
            __builtin_add_overflow(value, (unsigned long long)(s.p[i] - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

bool fl_str_to_i64(struct fl_str s, long long *ret)
{
    bool is_negative = s.n && s.p[0] == '-';
    unsigned long long value;
    if (!fl_str_to_u64(is_negative ? (struct fl_str){ s.p + 1, s.n - 1 } : s, &value))
        return false;
    if (value > (unsigned long long)LLONG_MAX + (is_negative ? 1 : 0))
        return false;
    *ret = is_negative ? (long long)(0ULL - value) : (long long)value;
    return true;
}

unsigned fl_str_distance(struct fl_str a, struct fl_str b)
{
    enum { MOST = 63 };
    unsigned row[MOST + 1];
    if (a.n > MOST || b.n > MOST)
        return UINT_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}
