/* Patterns of matches(): PCRE2, kept to what RE2 has too. RE2 matches in linear time because it
 * lacks backreferences and lookaround; here a pattern with them does not compile, and what remains
 * runs under PCRE2's limits. What is let through is listed; everything else is refused.
 * Source: github.com/google/re2/wiki/Syntax; pcre2pattern(3), pcre2api(3). Called by the resolver
 * (compiling) and the evaluator (matching). Any thread: a compiled pattern is not changed. */
#include <stdio.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "flopinio/base/mem.h"
#include "policy/cel_priv.h"

/* One match may take 50,000 steps of PCRE2's, about a millisecond, and costs 500 of ours whether it
 * does or not: PCRE2 does not say how many it took. */
enum {
    PATTERN_MAX = 1000,
    NEST_MAX = 50,
    REPEAT_MAX = 1000,
    MATCH_LIMIT = 50000,
    MATCH_STEPS = 500
};
#define HEAP_LIMIT_KIB 1024

struct cel_regex {
    struct cel_regex *next;
    pcre2_general_context *general;
    pcre2_match_context *match;
    pcre2_code *code;
};

static void *pcre_malloc(size_t size, void *ctx)
{
    FL_UNUSED(ctx);
    return fl_malloc(size);
}

static void pcre_free(void *p, void *ctx)
{
    FL_UNUSED(ctx);
    fl_free(p);
}

/* Behind a backslash at p[0]; the length of the escape, 0 if RE2 has no such one. */
static size_t escape_length(struct fl_str p, bool in_class)
{
    char c = p.n > 1 ? p.p[1] : 0;
    if (c == 'p' || c == 'P') {
        const char *end = p.n > 2 && p.p[2] == '{' ? memchr(p.p, '}', p.n) : NULL;
        if (p.n > 2 && p.p[2] != '{')
            return 3;
        return end ? (size_t)(end - p.p) + 1 : 0;
    }
    if (c == 'x' && p.n > 2 && p.p[2] == '{') {
        const char *end = memchr(p.p, '}', p.n);
        return end ? (size_t)(end - p.p) + 1 : 0;
    }
    if (c == 'x')
        return p.n > 3 ? 4 : 0;
    if (c && strchr("dDsSwWtnrfav", c))
        return 2;
    if (c && !in_class && strchr("bBAz", c))
        return 2;
    bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return c == 0 || is_word || (unsigned char)c >= 0x80 ? 0 : 2; /* escaped punctuation */
}

/* Behind "(?": flags, a group without capture, or a name. */
static size_t group_length(struct fl_str p)
{
    size_t at = 0;
    if (p.n && (p.p[0] == 'P' || p.p[0] == '<')) {
        at = p.p[0] == 'P' ? 1 : 0;
        if (at + 1 >= p.n || p.p[at] != '<' || strchr("=!", p.p[at + 1]))
            return 0;
        const char *end = memchr(p.p + at, '>', p.n - at);
        return end ? (size_t)(end - p.p) + 1 : 0;
    }
    while (at < p.n && strchr("imsU-", p.p[at]) && p.p[at] != 0)
        at++;
    return at < p.n && (p.p[at] == ':' || p.p[at] == ')') ? at + 1 : 0;
}

/* A quantifier at p[0] and its '?'; 0 if none stands here, SIZE_MAX if it is refused. */
static size_t repeat_length(struct fl_str p)
{
    size_t at = 1;
    if (p.p[0] == '{') {
        unsigned long long most = 0;
        size_t from = at;
        for (; at < p.n && ((p.p[at] >= '0' && p.p[at] <= '9') || p.p[at] == ','); at++) {
            if (p.p[at] == ',')
                from = at + 1;
            else if (!fl_str_to_u64((struct fl_str){ p.p + from, at + 1 - from }, &most) ||
                     most > REPEAT_MAX)
                return SIZE_MAX;
        }
        if (at == p.n || p.p[at] != '}' || at == 1 || p.p[1] == ',')
            return SIZE_MAX; /* a literal brace here and a repetition in a newer PCRE2 */
        at++;
    } else if (!strchr("*+?", p.p[0])) {
        return 0;
    }
    if (at < p.n && p.p[at] == '?')
        at++;
    /* a++ would be possessive, a** an error: neither is in RE2 */
    return at < p.n && strchr("*+?", p.p[at]) && p.p[at] ? SIZE_MAX : at;
}

/* The whole class from its '['; 0 if it does not end or has what RE2 lacks. */
static size_t class_length(struct fl_str p)
{
    size_t at = 1;
    if (at < p.n && p.p[at] == '^')
        at++;
    for (bool is_first = true; at < p.n; is_first = false) {
        struct fl_str rest = { p.p + at, p.n - at };
        size_t n = 1;
        if (p.p[at] == ']' && !is_first)
            return at + 1;
        if (p.p[at] == '\\') {
            n = escape_length(rest, true);
        } else if (fl_str_has_prefix(rest, FL_STR("[:"))) {
            const char *end = memmem(rest.p, rest.n, ":]", 2);
            n = end ? (size_t)(end - rest.p) + 2 : 0;
        }
        if (n == 0 || n > rest.n)
            return 0;
        at += n;
    }
    return 0;
}

/* NULL if RE2 has everything that the pattern uses; else what it lacks. */
static const char *refused(struct fl_str p)
{
    for (size_t at = 0; at < p.n;) {
        struct fl_str rest = { p.p + at, p.n - at };
        size_t n = 1;
        switch (p.p[at]) {
        case '\\':
            n = escape_length(rest, false);
            if (n == 0 || n > rest.n)
                return "an escape that is not allowed (no backreferences)";
            break;
        case '[':
            n = class_length(rest);
            if (n == 0)
                return "a class that is not allowed";
            break;
        case '(':
            if (rest.n > 1 && rest.p[1] == '*')
                return "a verb";
            if (rest.n > 1 && rest.p[1] == '?') {
                n = group_length((struct fl_str){ rest.p + 2, rest.n - 2 });
                if (n == 0)
                    return "a group that is not allowed (no lookaround, no conditions)";
                n += 2;
            }
            break;
        default:
            n = repeat_length(rest);
            if (n == SIZE_MAX)
                return "a repetition that is not allowed (at most 1000; '{' itself is written \\{)";
            n = n ? n : 1;
        }
        at += n;
    }
    return NULL;
}

static bool compile(struct cel_regex *regex, struct fl_str pattern, int *ret_error,
                    size_t *ret_offset)
{
    *ret_error = PCRE2_ERROR_NOMEMORY;
    regex->general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    if (!regex->general)
        return false;
    regex->match = pcre2_match_context_create(regex->general);
    pcre2_compile_context *c = pcre2_compile_context_create(regex->general);
    if (regex->match && c) {
        pcre2_set_match_limit(regex->match, MATCH_LIMIT);
        pcre2_set_depth_limit(regex->match, MATCH_LIMIT);
        pcre2_set_heap_limit(regex->match, HEAP_LIMIT_KIB);
        pcre2_set_newline(c, PCRE2_NEWLINE_LF);
        pcre2_set_max_pattern_length(c, PATTERN_MAX);
        pcre2_set_parens_nest_limit(c, NEST_MAX);
        regex->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                                    PCRE2_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                                        PCRE2_DOLLAR_ENDONLY | PCRE2_NO_UTF_CHECK,
                                    ret_error, ret_offset, c);
    }
    pcre2_compile_context_free(c);
    return regex->code != NULL;
}

struct cel_regex *cel_regex_new(struct cel_compile *c, uint32_t at, struct fl_str pattern)
{
    int error = 0;
    size_t offset = 0;
    if (pattern.n > PATTERN_MAX)
        return cel_error(c, at, "the pattern is longer than %d bytes", PATTERN_MAX);
    const char *lacking = refused(pattern);
    if (lacking)
        return cel_error(c, at, "the pattern has %s", lacking);
    struct cel_regex *regex = FL_ARENA_NEW(c->arena, struct cel_regex);
    if (!regex)
        return cel_nomem(c);
    regex->next = c->program->regexes; /* from here on it is freed with the program */
    c->program->regexes = regex;
    if (compile(regex, pattern, &error, &offset))
        return regex;
    if (error == PCRE2_ERROR_NOMEMORY || error == PCRE2_ERROR_HEAP_FAILED)
        return cel_nomem(c);
    char text[120] = "";
    pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
    return cel_error(c, at, "the pattern is not valid at its byte %zu: %s", offset + 1, text);
}

void cel_regex_free(struct cel_regex **list)
{
    for (struct cel_regex *r = *list; r; r = r->next) { /* the structs are the arena's */
        pcre2_code_free(r->code);
        pcre2_match_context_free(r->match);
        pcre2_general_context_free(r->general);
    }
    *list = NULL;
}

int cel_regex_find(struct cel_ev *ev, const struct cel_regex *regex, struct fl_str subject)
{
    if (!cel_charge(ev, subject.n + MATCH_STEPS * 64))
        return -1;
    pcre2_match_data *data = pcre2_match_data_create(1, regex->general);
    if (!data) {
        cel_fatal(ev, FL_NOMEM);
        return -1;
    }
    int found = pcre2_match(regex->code, (PCRE2_SPTR)(subject.n ? subject.p : ""), subject.n, 0,
                            PCRE2_NO_UTF_CHECK, data, regex->match);
    pcre2_match_data_free(data);
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return found >= 0;
    cel_fatal(ev, found == PCRE2_ERROR_NOMEMORY ? FL_NOMEM : FL_TOO_LARGE);
    return -1;
}
