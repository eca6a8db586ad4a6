/* A borrowed, counted byte string. Never owns; says nothing about NUL termination. */
#ifndef FLOPINIO_BASE_STR_H
#define FLOPINIO_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "flopinio/base/assert.h"

struct fl_str {
    const char *p; /* may be NULL when n is 0 */
    size_t n;      /* bytes */
};

#define FL_STR(literal) ((struct fl_str){ (literal), sizeof(literal) - 1 })
/* For printf: "%.*s", FL_STR_ARG(s). Cut at INT_MAX. */
#define FL_STR_ARG(s)   (int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n), ((s).n ? (s).p : "")

static inline struct fl_str fl_str_of(const char *text)
{
    return (struct fl_str){ text, text ? strlen(text) : 0 };
}

static inline bool fl_str_eq(struct fl_str a, struct fl_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool fl_str_is(struct fl_str a, const char *text)
{
    return fl_str_eq(a, fl_str_of(text));
}

/* ASCII case only. */
bool fl_str_eq_nocase(struct fl_str a, struct fl_str b);
bool fl_str_has_prefix(struct fl_str s, struct fl_str prefix);
/* Is it not empty, and made of ASCII letters, digits and the characters of `more` only? */
bool fl_str_is_word(struct fl_str s, const char *more);
/* Without leading and trailing blanks and tabs (OWS of RFC 9110). */
struct fl_str fl_str_trim(struct fl_str s);
/* Decimal digits only, no sign, no blanks; false on empty, junk or overflow. */
bool fl_str_to_u64(struct fl_str s, unsigned long long *ret);
/* Optional '-', digits; false on empty, junk or overflow. */
bool fl_str_to_i64(struct fl_str s, long long *ret);
/* Number of single-character edits between two short names (for "did you mean"); large if the
 * names are over 63 bytes. */
unsigned fl_str_distance(struct fl_str a, struct fl_str b);

#endif
