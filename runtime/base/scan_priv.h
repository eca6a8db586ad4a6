/* What the scanner and the span readers share: finding the end of string text sixteen bytes at a
 * time, and the set of keys of objects with many members. Inline because it is the inner loop of
 * every message. */
#ifndef FL_BASE_SCAN_PRIV_H
#define FL_BASE_SCAN_PRIV_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/id.h"
#include "flopinio/base/str.h"

/* Tests build the scanner a second time with FL_SCAN_PORTABLE, so that the path of machines
 * without SSE2 is proved too. */
#if defined(__SSE2__) && !defined(FL_SCAN_PORTABLE)
#define FL_SCAN_SSE2
#include <emmintrin.h>
#endif

static inline const char *fl_text_skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* The UTF-16 unit of an escape, p at its four digits; -1 if they are none. */
static inline int32_t fl_text_hex4(const char *p, const char *end)
{
    uint8_t b[2];
    if (end - p < 4 || !fl_unhex((struct fl_str){ p, 4 }, b, sizeof b))
        return -1;
    return b[0] << 8 | b[1];
}

/* Bytes that end a run of plain string text: quote, backslash, control, non-ASCII. */
static inline bool fl_text_is_plain(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

#ifdef FL_SCAN_SSE2
static inline __m128i fl_text_marks(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    /* Signed: bytes from 0x80 up are negative, so one comparison finds them and the controls. */
    __m128i other = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
    return _mm_or_si128(_mm_or_si128(quote, escape), other);
}
#else
static inline bool fl_text_has_mark(const char *p)
{
    const uint64_t ones = 0x0101010101010101ULL, tops = 0x8080808080808080ULL;
    uint64_t x;
    memcpy(&x, p, sizeof x);
    uint64_t quote = x ^ (ones * '"'), escape = x ^ (ones * '\\');
    /* A top bit comes out where a byte is below 0x20, is zero after the xor, or has it itself; a
     * borrow can only add a wrong "maybe" behind a right one. */
    return (((x - ones * 0x20) | (quote - ones) | (escape - ones) | x) & tops) != 0;
}
#endif

#ifdef FL_SCAN_SSE2
/* Long text, with 16 plain bytes in front of p: one branch for 64 bytes. */
static __attribute__((noinline)) const char *fl_text_plain_long(const char *p, const char *end)
{
    for (; end - p >= 64; p += 64) {
        __m128i a = fl_text_marks(p), b = fl_text_marks(p + 16);
        __m128i c = fl_text_marks(p + 32), d = fl_text_marks(p + 48);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) == 0)
            continue;
        uint64_t near = (uint64_t)_mm_movemask_epi8(a) | (uint64_t)_mm_movemask_epi8(b) << 16;
        uint64_t far = (uint64_t)_mm_movemask_epi8(c) | (uint64_t)_mm_movemask_epi8(d) << 16;
        return p + __builtin_ctzll(near | far << 32);
    }
    for (; end - p >= 16; p += 16) {
        unsigned marks = (unsigned)_mm_movemask_epi8(fl_text_marks(p));
        if (marks)
            return p + __builtin_ctz(marks);
    }
    /* The rest together with what is plain in front of it. */
    unsigned marks = (unsigned)_mm_movemask_epi8(fl_text_marks(end - 16));
    return marks ? end - 16 + __builtin_ctz(marks) : end;
}
#endif

/* The first byte from p on that is not plain string text; `end` if there is none. */
static inline const char *fl_text_plain_end(const char *p, const char *end)
{
#ifdef FL_SCAN_SSE2
    if (end - p >= 16) { /* most strings end in their first 16 bytes */
        unsigned marks = (unsigned)_mm_movemask_epi8(fl_text_marks(p));
        if (marks)
            return p + __builtin_ctz(marks);
        return fl_text_plain_long(p + 16, end);
    }
#else
    while (end - p >= 8 && !fl_text_has_mark(p))
        p += 8;
#endif
    while (p < end && fl_text_is_plain(*p))
        p++;
    return p;
}

/* Of a text that fl_scan accepted: the next bracket, string, number or word from p on, skipping
 * blanks, commas and colons; n 0 at the end. */
struct fl_str fl_text_token(const char *p, const char *end);

/* The keys of all objects that are too large to compare pair by pair, in one hash set with a
 * random key: linear in their number whatever the keys are. NULL is the empty set. */
struct fl_scan_keys;

/* Adds a key (a valid string span with its quotes) of the object with this number. FL_CONFLICT if
 * the object has it already (equal after decoding); FL_NOMEM. */
enum fl_code fl_scan_keys_add(struct fl_scan_keys **keys, uint32_t object,
                              struct fl_str quoted) FL_MUST_CHECK;
void fl_scan_keys_free(struct fl_scan_keys **keys);

#endif
