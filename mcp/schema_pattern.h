/* Compiled regular expressions: PCRE2 without JIT, bounded in every direction. A pattern is
 * immutable; a matcher belongs to one validation. */
#ifndef FLOPINIO_MCP_SCHEMA_PATTERN_H
#define FLOPINIO_MCP_SCHEMA_PATTERN_H

#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

struct fl_schema_pattern;  /* one compiled pattern */
struct fl_schema_patterns; /* all patterns of a schema */

/* NULL when there is no memory. */
struct fl_schema_patterns *fl_schema_patterns_new(void);
void fl_schema_patterns_free(struct fl_schema_patterns **patterns);
/* Compiles `source`, borrowed for as long as `patterns` lives. *ret belongs to `patterns`.
 * FL_BAD_PARAMS with a clause ("is not a regular expression at character 3: repeats nothing"),
 * FL_TOO_LARGE, FL_NOMEM. */
enum fl_code fl_schema_patterns_add(struct fl_schema_patterns *patterns, struct fl_str source,
                                    const struct fl_schema_pattern **ret,
                                    struct fl_err *err) FL_MUST_CHECK;
struct fl_str fl_schema_pattern_source(const struct fl_schema_pattern *pattern);

/* What matching needs; made at the first match, so that a validation without patterns allocates
 * nothing. */
struct fl_schema_matcher {
    uint32_t *steps;                         /* the validation's; taken from while matching */
    const struct fl_schema_pattern *pattern; /* being matched */
    size_t last;                             /* where in the subject the last callout was */
    struct pcre2_real_match_data_8 *data;
    struct pcre2_real_match_context_8 *context;
};

enum fl_schema_match { FL_NO_MATCH, FL_MATCH, FL_MATCH_TOO_LARGE, FL_MATCH_NOMEM };
/* TOO_LARGE: the steps are used up, or the memory for going back (or it is not UTF-8). */
enum fl_schema_match fl_schema_pattern_match(const struct fl_schema_pattern *pattern,
                                             struct fl_str subject,
                                             struct fl_schema_matcher *matcher);
void fl_schema_matcher_fini(struct fl_schema_matcher *matcher);

#endif
