/* Regular expressions on PCRE2. Backtracking is bounded by the step budget of the validation: the
 * translated pattern calls out wherever a search can branch, and a callout takes steps. The limits
 * of PCRE2 stand behind it, for memory and in case of our mistakes. No JIT: it would not call out
 * less, and needs memory that is writable and executable. For schema*.c, any thread. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mcp/schema_pattern.h"

#include <pcre2.h>

#include "flopinio/base/mem.h"
#include "mcp/schema_regex.h"

#define MAX_SOURCE_BYTES       (8 * 1024)
#define MAX_TRANSLATED_BYTES   (64 * 1024)
#define MAX_ALL_BYTES          (4 * 1024 * 1024) /* compiled patterns of one schema */
#define MATCH_LIMIT            10000000
#define HEAP_LIMIT_KIB         (8 * 1024)
#define BYTES_PER_STEP         64u
#define PATTERN_BYTES_PER_STEP 128 /* of the translation: what one place in a subject may cost */

struct fl_schema_pattern {
    struct fl_schema_pattern *next;
    struct fl_str source;
    pcre2_code *code;
    size_t weight;     /* steps that a callout takes */
    size_t way_weight; /* steps that BYTES_PER_STEP of the subject take */
    bool has_back_references;
};

struct fl_schema_patterns {
    struct fl_schema_pattern *first;
    pcre2_general_context *general;
    pcre2_compile_context *context;
    size_t bytes;
};

static void *allocate(PCRE2_SIZE size, void *unused)
{
    FL_UNUSED(unused);
    return fl_malloc(size);
}

static void release(void *ptr, void *unused)
{
    FL_UNUSED(unused);
    fl_free(ptr);
}

struct fl_schema_patterns *fl_schema_patterns_new(void)
{
    struct fl_schema_patterns *patterns = fl_calloc(1, sizeof *patterns);
    if (!patterns)
        return NULL;
    patterns->general = pcre2_general_context_create(allocate, release, NULL);
    if (patterns->general)
        patterns->context = pcre2_compile_context_create(patterns->general);
    if (!patterns->context) {
        fl_schema_patterns_free(&patterns);
        return NULL;
    }
    pcre2_set_compile_extra_options(patterns->context, 0);
#if PCRE2_MINOR >= 43 /* it would take what an older one refuses: a schema fits both or neither */
    pcre2_set_max_varlookbehind(patterns->context, 0);
#endif
    return patterns;
}

void fl_schema_patterns_free(struct fl_schema_patterns **patterns)
{
    if (!*patterns)
        return;
    for (struct fl_schema_pattern *p = (*patterns)->first, *next; p; p = next) {
        next = p->next;
        pcre2_code_free(p->code);
        fl_free(p);
    }
    pcre2_compile_context_free((*patterns)->context);
    pcre2_general_context_free((*patterns)->general);
    fl_free(*patterns);
    *patterns = NULL;
}

static enum fl_code compile(struct fl_schema_patterns *patterns, struct fl_schema_pattern *pattern,
                            struct fl_str text, struct fl_err *err)
{
    int number;
    PCRE2_SIZE at, size = 0;
    /* DOLLAR_ENDONLY and the like are not needed: the translation spells out what they mean.
     * NO_AUTO_POSSESS: 10.42 takes \P{Lu} and \P{Cn} for disjoint, and loses matches. */
    pattern->code =
        pcre2_compile((PCRE2_SPTR)text.p, text.n,
                      PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_UCP |
                          PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_POSSESS,
                      &number, &at, patterns->context);
    if (!pattern->code && number == PCRE2_ERROR_HEAP_FAILED)
        return fl_err_code(err, FL_NOMEM);
    if (!pattern->code) {
        char why[120];
        if (pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why) < 0)
            why[0] = 0;
        return fl_err_set(err, FL_BAD_PARAMS, "is not a regular expression that can be used: %s",
                          why);
    }
    pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &size);
    patterns->bytes += size;
    if (patterns->bytes > MAX_ALL_BYTES)
        return fl_err_set(err, FL_TOO_LARGE,
                          "the schema's regular expressions take more than %d bytes",
                          MAX_ALL_BYTES);
    return FL_OK;
}

enum fl_code fl_schema_patterns_add(struct fl_schema_patterns *patterns, struct fl_str source,
                                    const struct fl_schema_pattern **ret, struct fl_err *err)
{
    struct fl_buf text;
    if (source.n > MAX_SOURCE_BYTES)
        return fl_err_set(err, FL_TOO_LARGE, "is a regular expression of more than %d bytes",
                          MAX_SOURCE_BYTES);
    fl_buf_init(&text, MAX_TRANSLATED_BYTES);
    struct fl_schema_regex regex = fl_schema_regex_translate(source, &text);
    enum fl_code code =
        regex.error
            ? fl_err_set(err, FL_BAD_PARAMS, "is not a regular expression at character %zu: it %s",
                         regex.error_at, regex.error)
            : fl_buf_code(&text, err);
    if (code == FL_TOO_LARGE)
        fl_err_set(err, code, "is a regular expression with too many classes");
    struct fl_schema_pattern *pattern = code ? NULL : fl_calloc(1, sizeof *pattern);
    if (code == FL_OK && !pattern)
        code = fl_err_code(err, FL_NOMEM);
    if (pattern) {
        pattern->source = source;
        pattern->weight = 1 + text.n / PATTERN_BYTES_PER_STEP + regex.repeats / BYTES_PER_STEP;
        pattern->way_weight = 1 + regex.ranges / 2;
        pattern->has_back_references = regex.has_back_references;
        pattern->next = patterns->first;
        patterns->first = pattern;
        code = compile(patterns, pattern, fl_buf_view(&text), err);
    }
    fl_buf_fini(&text);
    if (code == FL_OK)
        *ret = pattern;
    return code;
}

struct fl_str fl_schema_pattern_source(const struct fl_schema_pattern *pattern)
{
    return pattern->source;
}

/* Takes a step, and more for a long way since the last callout. */
static int on_callout(pcre2_callout_block *block, void *data)
{
    struct fl_schema_matcher *m = data;
    size_t at = block->current_position;
    size_t way = at > m->last ? at - m->last : m->last - at;
    if (m->pattern->has_back_references)
        way += block->subject_length;
    size_t cost = m->pattern->weight + m->pattern->way_weight * (way / BYTES_PER_STEP);
    m->last = at;
    if (*m->steps < cost) {
        *m->steps = 0;
        return PCRE2_ERROR_CALLOUT;
    }
    *m->steps -= (uint32_t)cost;
    return 0;
}

static bool prepare(struct fl_schema_matcher *m)
{
    if (m->data)
        return true;
    pcre2_general_context *general = pcre2_general_context_create(allocate, release, NULL);
    if (!general)
        return false;
    m->context = pcre2_match_context_create(general);
    if (m->context)
        m->data = pcre2_match_data_create(1, general);
    pcre2_general_context_free(general);
    if (!m->data) {
        fl_schema_matcher_fini(m);
        return false;
    }
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_LIMIT_KIB);
    pcre2_set_callout(m->context, on_callout, m);
    return true;
}

enum fl_schema_match fl_schema_pattern_match(const struct fl_schema_pattern *pattern,
                                             struct fl_str subject, struct fl_schema_matcher *m)
{
    if (!prepare(m))
        return FL_MATCH_NOMEM;
    if (subject.n / BYTES_PER_STEP * pattern->way_weight > *m->steps)
        return FL_MATCH_TOO_LARGE; /* a single repetition could go that way before it calls out */
    m->pattern = pattern;
    m->last = 0;
    int rc = pcre2_match(pattern->code, (PCRE2_SPTR)(subject.n ? subject.p : ""), subject.n, 0, 0,
                         m->data, m->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return FL_NO_MATCH;
    if (rc >= 0)
        return FL_MATCH;
    return rc == PCRE2_ERROR_NOMEMORY ? FL_MATCH_NOMEM : FL_MATCH_TOO_LARGE;
}

void fl_schema_matcher_fini(struct fl_schema_matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    m->data = NULL;
    m->context = NULL;
}
