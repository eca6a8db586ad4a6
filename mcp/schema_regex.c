/* The translator from ECMA-262 regular expressions to PCRE2: one pass that collects the groups,
 * one that writes. For schema_pattern.c and the format "regex", any thread. */
#include "mcp/schema_regex.h"

#include <string.h>

#include "flopinio/base/utf8.h"
#include "mcp/schema_regex_priv.h"

#define MAX_OPEN   64 /* groups within one another */
#define MAX_GROUPS 500

/* White space and line ends as ECMA-262 section 12.2 and 12.3 list them, and all the rest. */
#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"  \
    "\\x{3000}\\x{feff}"
#define NO_SPACES                                                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"               \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"
/* Spelled out: within a class PCRE2 10.42 forgets the characters above 255 of \D and \W when a
 * \p{...} stands beside them. */
#define NO_DIGITS    "\\x{0}-\\x{2f}\\x{3a}-\\x{10ffff}"
#define NO_WORD      "\\x{0}-\\x{2f}\\x{3a}-\\x{40}\\x{5b}-\\x{5e}\\x{60}\\x{7b}-\\x{10ffff}"
#define SPACE_RANGES 10 /* of each of the two */
#define LINE_ENDS    "\\x{a}\\x{d}\\x{2028}\\x{2029}"
#define NOTHING      "[^\\x{0}-\\x{10ffff}]"
#define EVERYTHING   "[\\x{0}-\\x{10ffff}]"

struct parser {
    struct fl_str source;
    size_t at;
    struct fl_buf *out;
    struct fl_schema_regex result;   /* after the first error nothing counts */
    unsigned groups;                 /* capturing ones in the whole pattern */
    struct fl_str names[MAX_GROUPS]; /* by group from 0; p NULL: without a name */
};

static void refuse(struct parser *p, const char *why)
{
    if (!p->result.error) {
        p->result.error = why;
        p->result.error_at = p->at;
    }
    p->at = p->source.n;
}

static bool is_end(const struct parser *p)
{
    return p->at >= p->source.n;
}

static bool looking_at(const struct parser *p, const char *text)
{
    struct fl_str rest = { p->source.p + p->at, p->source.n - p->at };
    return !is_end(p) && fl_str_has_prefix(rest, fl_str_of(text));
}

static bool accept(struct parser *p, const char *text)
{
    if (!looking_at(p, text))
        return false;
    p->at += strlen(text);
    return true;
}

static int32_t next(struct parser *p)
{
    int32_t cp = is_end(p) ? -1 : fl_utf8_next(p->source, &p->at);
    if (cp < 0)
        refuse(p, cp == -1 ? "ends too early" : "is not valid UTF-8");
    return cp;
}

static bool is_digit(int32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(int32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char peek(const struct parser *p)
{
    return is_end(p) ? 0 : p->source.p[p->at];
}

/* What a backslash that comes next escapes; 0 if none comes. */
static char escaped(const struct parser *p)
{
    return peek(p) == '\\' && p->at + 1 < p->source.n ? p->source.p[p->at + 1] : 0;
}

static void note_ranges(struct parser *p, size_t ranges)
{
    if (ranges > p->result.ranges)
        p->result.ranges = ranges;
}

static void put_char(struct parser *p, int32_t cp)
{
    if (is_digit(cp) || is_alpha(cp))
        fl_buf_putc(p->out, (char)cp);
    else
        fl_buf_printf(p->out, "\\x{%x}", (unsigned)cp);
}

/* ---- escapes ---- */

static int32_t hex(struct parser *p, int digits)
{
    int32_t value = 0;
    for (int i = 0; i < digits; i++) {
        int32_t c = next(p);
        int32_t lower = c | 0x20;
        if (is_digit(c))
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f' && c > 0)
            value = value * 16 + (lower - 'a' + 10);
        else
            refuse(p, "has an escape without enough hexadecimal digits");
    }
    return value;
}

static int32_t unicode_escape(struct parser *p)
{
    if (accept(p, "{")) {
        int32_t value = 0;
        for (int n = 0; n == 0 || !accept(p, "}"); n++) {
            value = value * 16 + hex(p, 1);
            if (p->result.error)
                return 0;
            if (value > 0x10ffff) {
                refuse(p, "names a character above 10FFFF");
                return 0;
            }
        }
        if (value >= 0xd800 && value <= 0xdfff)
            refuse(p, "has half of a surrogate pair");
        return value;
    }
    int32_t value = hex(p, 4);
    if (value >= 0xd800 && value <= 0xdbff && accept(p, "\\u")) {
        int32_t low = hex(p, 4);
        if (low >= 0xdc00 && low <= 0xdfff)
            return 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
    }
    if (value >= 0xd800 && value <= 0xdfff)
        refuse(p, "has half of a surrogate pair");
    return value;
}

/* Behind "\p" or "\P". */
static void property(struct parser *p, bool is_negated)
{
    size_t from = p->at + 1;
    if (!accept(p, "{")) {
        refuse(p, "has \\p without a name in braces");
        return;
    }
    while (!is_end(p) && peek(p) != '}')
        p->at++;
    struct fl_str name = { p->source.p + from, p->at - from };
    if (!accept(p, "}") || !fl_schema_regex_put_property(p->out, name, is_negated))
        refuse(p, "names a character property that is not known");
}

enum atom { ATOM_CHAR, ATOM_SET };

/* Behind a backslash, what is the same inside and outside of a class: a character into *ret, or a
 * set, which is written. */
static enum atom escape(struct parser *p, bool is_in_class, int32_t *ret)
{
    int32_t c = next(p);
    *ret = 0;
    switch (c) {
    case 'd': fl_buf_puts(p->out, is_in_class ? "0-9" : "[0-9]"); return ATOM_SET;
    case 'D': fl_buf_puts(p->out, is_in_class ? NO_DIGITS : "[^0-9]"); return ATOM_SET;
    case 'w': fl_buf_puts(p->out, is_in_class ? "0-9A-Z_a-z" : "[0-9A-Z_a-z]"); return ATOM_SET;
    case 'W': fl_buf_puts(p->out, is_in_class ? NO_WORD : "[^0-9A-Z_a-z]"); return ATOM_SET;
    case 's':
        note_ranges(p, SPACE_RANGES);
        fl_buf_puts(p->out, is_in_class ? SPACES : "[" SPACES "]");
        return ATOM_SET;
    case 'S':
        note_ranges(p, SPACE_RANGES);
        fl_buf_puts(p->out, is_in_class ? NO_SPACES : "[^" SPACES "]");
        return ATOM_SET;
    case 'p':
    case 'P': property(p, c == 'P'); return ATOM_SET;
    case 't': *ret = '\t'; return ATOM_CHAR;
    case 'n': *ret = '\n'; return ATOM_CHAR;
    case 'v': *ret = '\v'; return ATOM_CHAR;
    case 'f': *ret = '\f'; return ATOM_CHAR;
    case 'r': *ret = '\r'; return ATOM_CHAR;
    case 'c':
        c = next(p);
        if (!is_alpha(c))
            refuse(p, "has \\c without a letter");
        *ret = c & 0x1f;
        return ATOM_CHAR;
    case '0':
        if (is_digit(peek(p)))
            refuse(p, "has an octal escape");
        return ATOM_CHAR;
    case 'x': *ret = hex(p, 2); return ATOM_CHAR;
    case 'u': *ret = unicode_escape(p); return ATOM_CHAR;
    default:
        if (c >= 0x7f || is_alpha(c) || is_digit(c) || (c >= 0 && c < 0x20))
            refuse(p, "has an escape that ECMA-262 does not know");
        *ret = c;
        return ATOM_CHAR;
    }
}

/* ---- classes ---- */

static enum atom class_atom(struct parser *p, int32_t *ret)
{
    if (!accept(p, "\\")) {
        *ret = next(p);
        return ATOM_CHAR;
    }
    if (accept(p, "b")) {
        *ret = '\b';
        return ATOM_CHAR;
    }
    return escape(p, true, ret);
}

/* Behind "[". */
static void class(struct parser *p)
{
    bool is_negated = accept(p, "^");
    if (accept(p, "]")) {
        fl_buf_puts(p->out, is_negated ? EVERYTHING : NOTHING);
        return;
    }
    fl_buf_puts(p->out, is_negated ? "[^" : "[");
    size_t ranges = 0;
    while (!p->result.error && !accept(p, "]")) {
        int32_t low, high;
        char set = escaped(p);
        enum atom first = class_atom(p, &low);
        bool is_range = first == ATOM_CHAR && peek(p) == '-' && !looking_at(p, "-]");
        ranges += first == ATOM_CHAR ? low >= 0x80 : set == 's' || set == 'S' ? SPACE_RANGES : 1;
        if (first == ATOM_CHAR && !p->result.error)
            put_char(p, low);
        if (!is_range)
            continue;
        p->at++;
        if (memchr("dDwWsSpP", escaped(p), 8)) { /* NOLINT(bugprone-not-null-terminated-result) */
            put_char(p, '-');                    /* "[a-\w]": the minus stands for itself */
            continue;
        }
        class_atom(p, &high);
        ranges += low < 0x80 && high >= 0x80;
        if (high < low)
            refuse(p, "has a range that is out of order");
        if (!p->result.error) {
            fl_buf_putc(p->out, '-');
            put_char(p, high);
        }
    }
    fl_buf_putc(p->out, ']');
    note_ranges(p, ranges);
}

/* ---- groups ---- */

/* Behind "(?<": a name and ">". */
static struct fl_str group_name(struct parser *p)
{
    size_t from = p->at;
    while (!is_end(p) && peek(p) != '>') {
        int32_t c = next(p);
        if (!is_alpha(c) && c != '_' && c != '$' && c < 0x80 && !(is_digit(c) && p->at > from + 1))
            refuse(p, "has a group name that is not an identifier");
    }
    struct fl_str name = { p->source.p + from, p->at - from };
    if (!accept(p, ">") || name.n == 0)
        refuse(p, "has a group name without an end");
    return name;
}

/* The first pass: how many capturing groups there are, and their names. */
static void collect_groups(struct parser *p)
{
    bool is_in_class = false;
    while (!is_end(p)) {
        if (accept(p, "\\")) { /* NOLINT(bugprone-branch-clone): the order of the tests matters */
            next(p);
        } else if (is_in_class) {
            is_in_class = next(p) != ']';
        } else if (accept(p, "[")) {
            is_in_class = true;
        } else if (!accept(p, "(")) {
            next(p);
        } else if (!looking_at(p, "?") ||
                   (looking_at(p, "?<") && !looking_at(p, "?<=") && !looking_at(p, "?<!"))) {
            struct fl_str name = { NULL, 0 };
            if (accept(p, "?<"))
                name = group_name(p);
            for (unsigned i = 0; name.p && i < p->groups; i++) {
                if (p->names[i].p && fl_str_eq(p->names[i], name))
                    refuse(p, "has two groups of the same name");
            }
            if (p->groups == MAX_GROUPS)
                refuse(p, "has too many groups");
            else
                p->names[p->groups++] = name;
        }
    }
}

/* Behind a backslash in front of 'k' or a digit from 1 to 9. */
static void back_reference(struct parser *p)
{
    unsigned group = 0;
    if (accept(p, "k")) {
        if (!accept(p, "<")) {
            refuse(p, "has \\k without a group name");
            return;
        }
        struct fl_str name = group_name(p);
        while (group < p->groups && !(p->names[group].p && fl_str_eq(p->names[group], name)))
            group++;
        group++;
    } else {
        while (is_digit(peek(p)) && group <= MAX_GROUPS)
            group = group * 10 + (unsigned)(next(p) - '0');
    }
    p->result.has_back_references = true;
    if (group > p->groups)
        refuse(p, "refers to a group that it does not have");
    fl_buf_printf(p->out, "(?:\\g{%u}" FL_REGEX_CALLOUT ")", group);
}

/* Behind "(". True for a look-around, which cannot be repeated. */
static bool open_group(struct parser *p)
{
    static const char *const looks[] = { "?=", "?!", "?<=", "?<!" };
    for (size_t i = 0; i < FL_COUNTOF(looks); i++) {
        if (accept(p, looks[i])) {
            fl_buf_printf(p->out, "(%s" FL_REGEX_CALLOUT, looks[i]);
            return true;
        }
    }
    if (accept(p, "?:")) {
        fl_buf_puts(p->out, "(?:");
    } else {
        if (accept(p, "?<"))
            group_name(p);
        else if (looking_at(p, "?"))
            refuse(p, "has a kind of group that ECMA-262 does not know");
        fl_buf_putc(p->out, '(');
    }
    fl_buf_puts(p->out, FL_REGEX_CALLOUT);
    return false;
}

/* ---- repetition ---- */

static unsigned long number(struct parser *p)
{
    unsigned long value = 0;
    while (is_digit(peek(p))) {
        value = value < 100000000 ? value * 10 + (unsigned long)(peek(p) - '0') : value;
        p->at++;
    }
    return value;
}

/* A quantifier here? Then it is written, with its callout. */
static bool quantifier(struct parser *p)
{
    size_t start = p->at;
    if (accept(p, "*") || accept(p, "+") || accept(p, "?")) {
        fl_buf_putc(p->out, p->source.p[start]);
    } else if (accept(p, "{") && is_digit(peek(p))) {
        unsigned long low = number(p), high = low;
        bool has_comma = accept(p, ","), has_high = has_comma && is_digit(peek(p));
        if (has_high)
            high = number(p);
        if (!accept(p, "}")) {
            p->at = start;
            return false;
        }
        p->result.repeats += low;
        if (high < low)
            refuse(p, "repeats from more to fewer times");
        if (has_comma && !has_high)
            fl_buf_printf(p->out, "{%lu,}", low);
        else
            fl_buf_printf(p->out, "{%lu,%lu}", low, high);
    } else {
        p->at = start;
        return false;
    }
    if (accept(p, "?"))
        fl_buf_putc(p->out, '?');
    fl_buf_puts(p->out, FL_REGEX_CALLOUT);
    return true;
}

/* The second pass. */
static void write_pattern(struct parser *p)
{
    bool is_look[MAX_OPEN];
    unsigned open = 0;
    bool can_repeat = false;
    fl_buf_puts(p->out, FL_REGEX_CALLOUT);
    while (!is_end(p)) {
        if (looking_at(p, "*") || looking_at(p, "+") || looking_at(p, "?") || looking_at(p, "{")) {
            size_t at = p->at;
            if (quantifier(p)) {
                if (!can_repeat) {
                    p->at = at;
                    refuse(p, "repeats nothing");
                }
                can_repeat = false;
                continue;
            }
        }
        if (accept(p, "(")) {
            bool look = open_group(p);
            if (open == MAX_OPEN)
                refuse(p, "has too many groups within one another");
            else
                is_look[open++] = look;
            can_repeat = false;
            continue;
        }
        can_repeat = true;
        if (accept(p, ")")) {
            if (open == 0)
                refuse(p, "closes a group that is not open");
            else
                can_repeat = !is_look[--open];
            fl_buf_putc(p->out, ')');
        } else if (accept(p, "|")) {
            fl_buf_puts(p->out, "|" FL_REGEX_CALLOUT);
            can_repeat = false;
        } else if (accept(p, "^")) {
            fl_buf_putc(p->out, '^');
            can_repeat = false;
        } else if (accept(p, "$")) {
            fl_buf_puts(p->out, "\\z");
            can_repeat = false;
        } else if (accept(p, ".")) {
            fl_buf_puts(p->out, "[^" LINE_ENDS "]");
        } else if (accept(p, "[")) {
            class(p);
        } else if (looking_at(p, "\\b") || looking_at(p, "\\B")) {
            fl_buf_put(p->out, p->source.p + p->at, 2);
            p->at += 2;
            can_repeat = false;
        } else if (accept(p, "\\")) {
            int32_t cp;
            if (peek(p) == 'k' || (peek(p) >= '1' && peek(p) <= '9'))
                back_reference(p);
            else if (escape(p, false, &cp) == ATOM_CHAR && !p->result.error)
                put_char(p, cp);
        } else {
            int32_t cp = next(p);
            if (!p->result.error)
                put_char(p, cp);
        }
    }
    if (open > 0)
        refuse(p, "leaves a group open");
}

struct fl_schema_regex fl_schema_regex_translate(struct fl_str source, struct fl_buf *out)
{
    struct parser p = { .source = source, .out = out };
    collect_groups(&p);
    if (!p.result.error) {
        p.at = 0;
        write_pattern(&p);
    }
    return p.result;
}
