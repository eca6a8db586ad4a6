/* A deterministic source of JSON texts, whole and broken, for the tests of everything that reads
 * JSON. The same seed gives the same texts on every machine. */
#ifndef FL_TEST_JSON_GEN_H
#define FL_TEST_JSON_GEN_H

#include <stdint.h>

#include "flopinio/base/buf.h"

struct gen {
    uint64_t state;
};

static inline uint64_t gen_next(struct gen *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* 0 to n-1 */
static inline size_t gen_below(struct gen *g, size_t n)
{
    return (size_t)(gen_next(g) % n);
}

#define GEN_PICK(g, table) ((table)[gen_below((g), FL_COUNTOF(table))])

/* clang-format off */
/* Few and confusable, so that duplicates happen; some are equal after decoding only. */
static const char *const gen_keys[] = {
    "\"a\"", "\"b\"", "\"c\"", "\"aa\"", "\"\\u0061\"", "\"\"", "\"\\\"\"", "\"id\"", "\"i\"",
    "\"\\u0069d\"", "\"method\"", "\"params\"", "\"/~\"", "\"longer than sixteen\"",
    "\"\xc3\xa9\"", "\"\\u00e9\"", "\"\xef\xac\xb3\"", "\"\xf0\x9f\x98\x80\"",
    "\"\\ud83d\\ude00\""
};

static const char *const gen_scalars[] = {
    "null", "true", "false", "0", "-0", "1", "-1", "12", "0.5", "-2.25", "1e3", "1E-2",
    "100000000000", "9223372036854775807", "-9223372036854775808", "1.7976931348623157e308",
    "5e-324", "\"\"", "\"x\"", "\"\\n\\t\\\\\\/\\b\\f\\r\"", "\"\\u00fc\\ud83d\\ude00\"",
    "\"plain text of some length\"", "\"sixteen bytes...\"", "\"\x7f\"", "\"a\\\"b\"",
    "\"\xe2\x82\xac and \xf0\x9d\x84\x9e\""
};

/* What gets into broken texts. */
static const char *const gen_bits[] = {
    "\"", "\\", "\\u", "{", "}", "[", "]", ",", ":", "0", "1", "-", "+", ".", "e", "E", " ", "\n",
    "\x1f", "\x7f", "\x80", "\xc3", "\xe2", "\xf0", "\xff", "\xed\xa0\x80", "\xef\xbb\xbf", "true",
    "nul", "\\u0000", "\\ud800", "\\udc00", "\\n", "\\x", "/", "a", "'", "\"a\":", "1e400",
    "9223372036854775808"
};
/* clang-format on */

static inline void gen_blank(struct gen *g, struct fl_buf *out)
{
    static const char *const blanks[] = { "", "", "", "", "", " ", "\n", "\t", "\r\n  " };
    fl_buf_puts(out, GEN_PICK(g, blanks));
}

static inline void gen_key(struct gen *g, struct fl_buf *out, bool is_unique, size_t nth)
{
    if (is_unique)
        fl_buf_printf(out, "\"k%zu%s\"", gen_below(g, 3) * 100 + nth,
                      gen_below(g, 4) ? "" : "\\u00e9\xf0\x9f\x98\x80\xef\xac\xb3");
    else
        fl_buf_puts(out, GEN_PICK(g, gen_keys));
    gen_blank(g, out);
    fl_buf_putc(out, ':');
    gen_blank(g, out);
}

/* Appends a valid JSON text. Without `has_unique_keys` equal ones in one object are likely. */
static inline void gen_json(struct gen *g, struct fl_buf *out, bool has_unique_keys)
{
    enum { DEPTH = 8 };
    struct {
        bool is_object;
        size_t left, count;
    } stack[DEPTH];
    size_t depth = 0, budget = 1 + gen_below(g, 24);
    gen_blank(g, out);
    for (;;) {
        if (depth) {
            size_t nth = stack[depth - 1].count++;
            stack[depth - 1].left--;
            if (nth > 0)
                fl_buf_putc(out, ',');
            gen_blank(g, out);
            if (stack[depth - 1].is_object)
                gen_key(g, out, has_unique_keys, nth);
        }
        if (budget && depth < DEPTH && gen_below(g, 3) == 0) {
            bool is_object = gen_below(g, 2);
            fl_buf_putc(out, is_object ? '{' : '[');
            stack[depth].is_object = is_object;
            stack[depth].left = gen_below(g, gen_below(g, 20) ? 5 : 30);
            stack[depth++].count = 0;
        } else {
            fl_buf_puts(out, GEN_PICK(g, gen_scalars));
        }
        budget -= budget > 0;
        while (depth && stack[depth - 1].left == 0) {
            gen_blank(g, out);
            fl_buf_putc(out, stack[--depth].is_object ? '}' : ']');
        }
        gen_blank(g, out);
        if (depth == 0)
            return;
    }
}

/* Breaks a text (or changes it into another valid one) in one to four places. */
static inline void gen_mutate(struct gen *g, struct fl_buf *text)
{
    struct fl_buf next = FL_BUF_INIT;
    for (size_t times = 1 + gen_below(g, 4); times; times--) {
        size_t n = text->n, at = gen_below(g, n + 1), until = at;
        size_t kind = gen_below(g, 5);
        if (kind == 0 || kind == 1) /* take some out; put other text in its place */
            until = at + gen_below(g, 4);
        if (until > n || (kind == 4 && gen_below(g, 10) == 0)) /* cut the end off */
            until = n;
        fl_buf_put(&next, text->p, at);
        if (kind == 1 || kind == 2) {
            fl_buf_puts(&next, GEN_PICK(g, gen_bits));
        } else if (kind == 3 && n) { /* repeat a slice from elsewhere */
            size_t from = gen_below(g, n), most = n - from < 12 ? n - from : 12;
            fl_buf_put(&next, text->p + from, gen_below(g, most + 1));
        } else if (kind == 4 && at < n && until == at) { /* another byte */
            fl_buf_putc(&next, (char)gen_next(g));
            until = at + 1;
        }
        fl_buf_put(&next, text->p + until, n - until);
        struct fl_buf old = *text;
        *text = next;
        next = old;
        fl_buf_reset(&next);
    }
    fl_buf_fini(&next);
}

#endif
