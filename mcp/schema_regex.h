/* ECMA-262 regular expressions (as with the `u` flag) written anew for PCRE2. What PCRE2 would read
 * differently is spelled out; what is not ECMA-262 is refused, except that punctuation may be
 * escaped needlessly and a brace may stand for itself. Three differences remain: a look-behind
 * needs alternatives of fixed length, half of a surrogate pair is refused, and a group in a
 * repetition keeps what it captured in an earlier round. Any thread. */
#ifndef FLOPINIO_MCP_SCHEMA_REGEX_H
#define FLOPINIO_MCP_SCHEMA_REGEX_H

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* Where PCRE2 shall call out: at the start, in front of each alternative, behind each repetition
 * and behind each reference to a group. Between two of these a match does an amount of work that is
 * bounded by the pattern and by the way it went in the subject, so that who counts them can stop
 * any search in time. */
#define FL_REGEX_CALLOUT "(?C)"

struct fl_schema_regex {
    const char *error;        /* NULL, or what is wrong ("repeats nothing") */
    size_t error_at;          /* the byte behind which that was seen */
    size_t repeats;           /* sum of all least numbers of repetitions: work without a callout */
    size_t ranges;            /* of the largest class, outside of ASCII */
    bool has_back_references; /* each compares up to the whole subject without a callout */
};

/* Appends the PCRE2 form of `source` (valid UTF-8) to `out`. The caller looks at out's own error.
 */
struct fl_schema_regex fl_schema_regex_translate(struct fl_str source, struct fl_buf *out);

#endif
