/* The validating scanner: one pass, no tree, no recursion. Called for every message in flight by
 * the endpoints and the client side, and before any tree is built; any thread. */
#include "flopinio/base/scan.h"

#include "flopinio/base/utf8.h"
#include "scan_priv.h"

#define PAIRWISE  16  /* members up to which each key is compared with each */
#define OPEN_KEYS 128 /* keys remembered for all open objects compared that way */

const struct fl_scan_limits fl_scan_grammar = {
    .max_bytes = UINT32_MAX,
    .max_nodes = UINT32_MAX,
    .max_depth = FL_SCAN_DEPTH_MAX,
};
const struct fl_scan_limits fl_scan_call = {
    .max_bytes = 4 * 1024 * 1024,
    .max_nodes = 100000,
    .max_depth = 64,
    .rejects_duplicates = true,
    .rejects_nul = true,
};

/* Places in the text are 32 bits: fl_scan refuses larger ones. */
struct key {
    uint32_t at, n; /* without the quotes; never with an escape */
};

enum kind { ARRAY, OBJECT, LARGE_OBJECT /* its keys are in scan.large */ };

struct frame {
    uint32_t number;    /* which value of the text it is: tells objects apart in scan.large */
    uint32_t at;        /* where it opens */
    uint32_t taken_by;  /* picks that it is the value of, as bits */
    uint32_t sought_by; /* picks that look for one of its members */
    uint16_t first_key; /* in scan.keys */
    uint8_t kind;       /* enum kind */
};

struct scan {
    const char *start, *end;
    const struct fl_scan_limits *limits;
    const struct fl_scan_pick *picks;
    struct fl_err *err;
    enum fl_code code;
    uint32_t nodes;
    uint32_t depth;
    uint32_t key_count;
    uint32_t taken_by, sought_by; /* of the value that comes next */
    struct fl_scan_keys *large;   /* owned; NULL in ordinary messages */
    struct fl_str found[FL_SCAN_PICKS_MAX];
    struct key keys[OPEN_KEYS];
    struct frame frames[FL_SCAN_DEPTH_MAX];
};

/* ---- failing: always returns NULL, for `return fail(...)` ---- */
static __attribute__((noinline, cold)) const char *fail(struct scan *s, const char *at,
                                                        const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = s->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            column++;
        }
    }
    s->code = fl_err_set(s->err, FL_BAD_JSON, "line %zu, column %zu: %s", line, column, what);
    return NULL;
}

static __attribute__((noinline, cold)) void fail_limit(struct scan *s, const char *more,
                                                       size_t limit, const char *of)
{
    s->code = fl_err_set(s->err, FL_TOO_LARGE, "%s than %zu %s", more, limit, of);
}

/* ---- strings ---- */
/* p at the backslash; returns behind the escape (both halves of a surrogate pair). */
static const char *scan_escape(struct scan *s, const char *p)
{
    if (s->end - p < 2)
        return fail(s, p, "the string does not end");
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return p + 2;
    case 'u': break;
    default: return fail(s, p, "unknown escape in a string");
    }
    int32_t unit = fl_text_hex4(p + 2, s->end);
    if (unit < 0)
        return fail(s, p, "\\u needs four hexadecimal digits");
    if (unit == 0 && s->limits->rejects_nul)
        return fail(s, p, "\\u0000 is not allowed");
    if (unit < 0xd800 || unit > 0xdfff)
        return p + 6;
    int32_t low = -1;
    if (unit < 0xdc00 && s->end - p >= 8 && p[6] == '\\' && p[7] == 'u')
        low = fl_text_hex4(p + 8, s->end);
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, p, "half of a surrogate pair in a string");
    return p + 12;
}

/* p at the first byte of a string that is not plain text; returns behind the closing quote. */
static const char *scan_string_on(struct scan *s, const char *p, bool *ret_is_escaped)
{
    const char *end = s->end;
    for (;; p = fl_text_plain_end(p, end)) {
        if (p == end)
            return fail(s, p, "the string does not end");
        if (*p == '"')
            return p + 1;
        if (*p == '\\') {
            *ret_is_escaped = true;
            p = scan_escape(s, p);
            if (!p)
                return NULL;
        } else if ((unsigned char)*p < 0x20) {
            return fail(s, p, "a control character must be escaped in a string");
        }
        while (p < end && (unsigned char)*p >= 0x80) {
            size_t n = fl_utf8_len(p, (size_t)(end - p));
            if (n == 0)
                return fail(s, p, "not valid UTF-8");
            p += n;
        }
    }
}

/* p behind the opening quote; returns behind the closing one. */
static inline const char *scan_string(struct scan *s, const char *p, bool *ret_is_escaped)
{
    p = fl_text_plain_end(p, s->end);
    return p < s->end && *p == '"' ? p + 1 : scan_string_on(s, p, ret_is_escaped);
}

/* ---- keys ---- */
static inline bool is_name(const char *name, const char *key, size_t n)
{
    return strncmp(name, key, n) == 0 && name[n] == 0; /* no NUL stands in the key */
}

/* Which picks does the member under this key (with its quotes) concern? */
static inline void match_picks(struct scan *s, struct fl_str quoted, bool is_escaped)
{
    struct frame *f = &s->frames[s->depth - 1];
    size_t level = s->depth - 1;
    const struct fl_scan_pick *picks = s->picks;
    const char *matching = NULL; /* picks below one member usually share its name's literal */
    uint32_t matched = 0;
    for (uint32_t left = f->sought_by; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        const char *const *path = picks[i].path;
        const char *name = path[level];
        if (is_escaped ? !fl_span_is(quoted, name)
                       : name[0] != quoted.p[1] ||
                             (name != matching && !is_name(name, quoted.p + 1, quoted.n - 2)))
            continue;
        matching = name;
        matched |= 1U << i;
        s->found[i] = (struct fl_str){ 0 }; /* of equal members the last counts */
        if (level + 1 == FL_COUNTOF(picks[i].path) || !path[level + 1])
            s->taken_by |= 1U << i;
        else
            s->sought_by |= 1U << i;
    }
    if (s->limits->rejects_duplicates) /* there is no other member of this name */
        f->sought_by &= ~matched;
}

static bool add_large(struct scan *s, const struct frame *f, const char *at, struct fl_str quoted)
{
    enum fl_code code = fl_scan_keys_add(&s->large, f->number, quoted);
    if (code == FL_CONFLICT)
        fail(s, at, "the same key stands twice in one object");
    else if (code)
        s->code = fl_err_code(s->err, code);
    return code == FL_OK;
}

/* Moves the object's keys so far to the hash set. */
static __attribute__((noinline)) bool make_large(struct scan *s, struct frame *f)
{
    f->kind = LARGE_OBJECT;
    for (uint32_t i = f->first_key; i < s->key_count; i++) {
        const char *at = s->start + s->keys[i].at - 1;
        if (!add_large(s, f, at, (struct fl_str){ at, s->keys[i].n + 2 }))
            return false;
    }
    s->key_count = f->first_key;
    return true;
}

static inline bool is_new_key(struct scan *s, struct fl_str quoted, bool is_escaped)
{
    struct frame *f = &s->frames[s->depth - 1];
    const char *text = quoted.p + 1;
    uint32_t n = (uint32_t)quoted.n - 2;
    if (f->kind == OBJECT &&
        (is_escaped || s->key_count - f->first_key == PAIRWISE || s->key_count == OPEN_KEYS)) {
        if (!make_large(s, f))
            return false;
    }
    if (f->kind == LARGE_OBJECT)
        return add_large(s, f, quoted.p, quoted);
    for (uint32_t i = f->first_key; i < s->key_count; i++) {
        if (s->keys[i].n == n && memcmp(s->start + s->keys[i].at, text, n) == 0) {
            fail(s, quoted.p, "the same key stands twice in one object");
            return false;
        }
    }
    s->keys[s->key_count++] = (struct key){ (uint32_t)(text - s->start), n };
    return true;
}

/* p where a key is due; returns where its value begins. */
static inline const char *scan_key(struct scan *s, const char *p)
{
    bool is_escaped = false;
    if (p == s->end || *p != '"')
        return fail(s, p, "expected a key in double quotes");
    struct fl_str quoted = { .p = p };
    p = scan_string(s, p + 1, &is_escaped);
    if (!p)
        return NULL;
    quoted.n = (size_t)(p - quoted.p);
    if (s->limits->rejects_duplicates && !is_new_key(s, quoted, is_escaped))
        return NULL;
    if (s->frames[s->depth - 1].sought_by)
        match_picks(s, quoted, is_escaped);
    p = fl_text_skip_blank(p, s->end);
    if (p == s->end || *p != ':')
        return fail(s, p, "expected ':' behind the key");
    return fl_text_skip_blank(p + 1, s->end);
}

/* ---- values ---- */
static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const char *scan_number(struct scan *s, const char *p)
{
    const char *end = s->end, *digits = p + (*p == '-');
    p = skip_digits(digits, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return fail(s, digits, p == digits ? "expected a digit" : "a number cannot start with 0");
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return fail(s, p, "expected a digit behind the decimal point");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        digits = p + 1;
        digits += digits < end && (*digits == '+' || *digits == '-');
        p = skip_digits(digits, end);
        if (p == digits)
            return fail(s, p, "expected a digit in the exponent");
    }
    return p;
}

static const char *scan_word(struct scan *s, const char *p, struct fl_str word)
{
    if ((size_t)(s->end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return fail(s, p, "expected a value");
    return p + word.n;
}

static const char *scan_scalar(struct scan *s, const char *p)
{
    bool is_escaped;
    switch (*p) {
    case '"': return scan_string(s, p + 1, &is_escaped);
    case 't': return scan_word(s, p, FL_STR("true"));
    case 'f': return scan_word(s, p, FL_STR("false"));
    case 'n': return scan_word(s, p, FL_STR("null"));
    default:
        if (*p == '-' || (*p >= '0' && *p <= '9'))
            return scan_number(s, p);
        return fail(s, p, "expected a value");
    }
}

static inline void take(struct scan *s, uint32_t taken_by, const char *from, const char *to)
{
    for (; taken_by; taken_by &= taken_by - 1)
        s->found[__builtin_ctz(taken_by)] = (struct fl_str){ from, (size_t)(to - from) };
}

static inline bool push(struct scan *s, const char *p)
{
    if (s->depth == s->limits->max_depth) {
        fail_limit(s, "nested deeper", s->depth, "levels");
        return false;
    }
    struct frame *f = &s->frames[s->depth++];
    f->number = s->nodes;
    f->at = (uint32_t)(p - s->start);
    f->taken_by = s->taken_by;
    f->sought_by = s->sought_by;
    f->first_key = (uint16_t)s->key_count;
    f->kind = *p == '{' ? OBJECT : ARRAY;
    s->taken_by = s->sought_by = 0;
    return true;
}

/* p at the bracket that closes the innermost container. */
static inline const char *pop(struct scan *s, const char *p)
{
    const struct frame *f = &s->frames[--s->depth];
    s->key_count = f->first_key;
    take(s, f->taken_by, s->start + f->at, p + 1);
    return p + 1;
}

/* p behind a value: closes the containers that end here; returns where the next child of the
 * innermost open one begins, or NULL at the end of the text (s->code FL_OK) or at an error. */
static inline const char *scan_behind(struct scan *s, const char *p)
{
    for (;;) {
        p = fl_text_skip_blank(p, s->end);
        if (s->depth == 0)
            return p == s->end ? NULL : fail(s, p, "unexpected text behind the value");
        if (p < s->end && *p == ',')
            return fl_text_skip_blank(p + 1, s->end);
        bool is_array = s->frames[s->depth - 1].kind == ARRAY;
        if (p == s->end || *p != (is_array ? ']' : '}'))
            return fail(s, p, is_array ? "expected ',' or ']'" : "expected ',' or '}'");
        p = pop(s, p);
    }
}

static void scan_text(struct scan *s)
{
    const char *p = fl_text_skip_blank(s->start, s->end);
    while (p) {
        if (s->depth && s->frames[s->depth - 1].kind != ARRAY)
            p = scan_key(s, p);
        if (!p)
            return;
        if (p == s->end) {
            fail(s, p, "expected a value");
            return;
        }
        if (s->nodes++ == s->limits->max_nodes) {
            fail_limit(s, "more", s->limits->max_nodes, "values");
            return;
        }
        if (*p == '{' || *p == '[') {
            char close = *p == '{' ? '}' : ']';
            if (!push(s, p))
                return;
            p = fl_text_skip_blank(p + 1, s->end);
            if (p == s->end || *p != close)
                continue;
            p = pop(s, p);
        } else {
            const char *from = p;
            p = scan_scalar(s, p);
            if (!p)
                return;
            take(s, s->taken_by, from, p);
            s->taken_by = s->sought_by = 0;
        }
        p = scan_behind(s, p);
    }
}

enum fl_code fl_scan(struct fl_str text, const struct fl_scan_limits *limits,
                     const struct fl_scan_pick *picks, size_t pick_count, struct fl_str *ret,
                     struct fl_err *err)
{
    FL_ASSERT(limits->max_depth <= FL_SCAN_DEPTH_MAX && limits->max_bytes <= UINT32_MAX);
    FL_ASSERT(pick_count <= FL_SCAN_PICKS_MAX);
    /* 24 KB that the scan writes before it reads: clearing them would cost more than the scan. */
    struct scan s FL_NOT_CLEARED;
    s.start = text.n ? text.p : "";
    s.end = s.start + text.n;
    s.limits = limits;
    s.picks = picks;
    s.err = err;
    s.code = FL_OK;
    s.nodes = s.depth = s.key_count = 0;
    s.taken_by = 0;
    s.sought_by = pick_count ? UINT32_MAX >> (32 - pick_count) : 0;
    s.large = NULL;
    memset(s.found, 0, pick_count * sizeof s.found[0]);
    if (text.n > limits->max_bytes)
        fail_limit(&s, "larger", limits->max_bytes, "bytes");
    else
        scan_text(&s);
    fl_scan_keys_free(&s.large);
    if (s.code == FL_OK && pick_count)
        memcpy(ret, s.found, pick_count * sizeof s.found[0]);
    return s.code;
}
