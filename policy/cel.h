/* Expressions of policies: the Common Expression Language (github.com/google/cel-spec, "Language
 * Definition"), without protocol-buffer messages. docs/policy.md says which CEL this is.
 *
 * A text is compiled once (parsed, names resolved, types checked, patterns compiled) into an
 * immutable program, which is then evaluated any number of times over typed facts and jansson
 * trees, within a bound of steps and memory. Called by policy documents and approval thresholds.
 * Any thread; a program may be evaluated by several threads at once. No I/O, no clock. */
#ifndef FLOPINIO_POLICY_CEL_H
#define FLOPINIO_POLICY_CEL_H

#include <jansson.h>
#include <stdint.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* ---- values ---- */
enum fl_cel_kind {
    FL_CEL_NULL,
    FL_CEL_BOOL,
    FL_CEL_INT,
    FL_CEL_UINT,
    FL_CEL_DOUBLE,
    FL_CEL_STRING,
    FL_CEL_BYTES,
    FL_CEL_LIST,
    FL_CEL_MAP,
    FL_CEL_TIMESTAMP, /* years 1 to 9999, nanoseconds */
    FL_CEL_DURATION,  /* 64 bit nanoseconds: about 292 years either way */
    FL_CEL_TYPE,
    FL_CEL_OPTIONAL,
    FL_CEL_ERROR, /* only inside an evaluation; never a result */
    FL_CEL_KIND_COUNT
};

/* A value owns nothing: texts, items and trees are borrowed from whoever bound them, from the
 * program, or from the arena of the run. */
struct fl_cel_value {
    enum fl_cel_kind kind;
    bool is_json; /* a list or map that is `json`, read in place */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct fl_str s; /* string: valid UTF-8; bytes */
        struct {
            const struct fl_cel_value *items; /* list: n values; map: n times key, value */
            size_t n;
        } seq;
        const json_t *json;
        struct {
            int64_t s; /* since 1970 in UTC */
            int32_t ns;
        } at;
        int64_t ns;                      /* duration */
        enum fl_cel_kind type;           /* of a type; FL_CEL_KIND_COUNT is the type of types */
        const struct fl_cel_value *some; /* of an optional; NULL: none */
        const char *error;
    };
};

static inline struct fl_cel_value fl_cel_bool(bool b)
{
    return (struct fl_cel_value){ .kind = FL_CEL_BOOL, .b = b };
}
static inline struct fl_cel_value fl_cel_int(int64_t i)
{
    return (struct fl_cel_value){ .kind = FL_CEL_INT, .i = i };
}
static inline struct fl_cel_value fl_cel_str(struct fl_str s)
{
    return (struct fl_cel_value){ .kind = FL_CEL_STRING, .s = s };
}
static inline struct fl_cel_value fl_cel_list(const struct fl_cel_value *items, size_t n)
{
    return (struct fl_cel_value){ .kind = FL_CEL_LIST, .seq = { items, n } };
}
struct fl_cel_value fl_cel_time_ms(int64_t at_utc_ms);
/* The tree is borrowed; integers are int, other numbers double, objects map(string, dyn). */
struct fl_cel_value fl_cel_json(const json_t *tree);

/* Items of a list, entries of a map. */
size_t fl_cel_size(const struct fl_cel_value *seq);
struct fl_cel_value fl_cel_item(const struct fl_cel_value *list, size_t at);
/* An entry by position; positions of a map over a tree follow the tree's order and cost a walk. */
void fl_cel_entry(const struct fl_cel_value *map, size_t at, struct fl_cel_value *ret_key,
                  struct fl_cel_value *ret_value);
/* CEL's `==`: numbers across types, lists and maps by content. */
bool fl_cel_equal(const struct fl_cel_value *a, const struct fl_cel_value *b);
const char *fl_cel_kind_name(enum fl_cel_kind kind);

/* ---- programs ---- */

/* A type in letters: b bool, i int, u uint, d double, s string, y bytes, n null, t timestamp,
 * D duration, T type, * dyn, [x list of x, {kx} map of k to x, ?x optional of x. */
struct fl_cel_var {
    const char *name; /* may be qualified: "request.time" */
    const char *type; /* "s", "[s", "{s*}" */
};

#define FL_CEL_PATHS_MAX 64 /* places that are remembered, see fl_cel_path */

/* Gives the TZif bytes (RFC 8536) of an IANA time zone: appends to `out`, false if there is no such
 * zone. `name` has only letters, digits, and "_+-/" inside, and no empty or dotted part. */
typedef bool fl_zone_read_fn(void *ctx, struct fl_str name, struct fl_buf *out);

struct fl_cel_env {
    const struct fl_cel_var *vars; /* borrowed during the compilation */
    size_t var_count;              /* at most 32 */
    const char *container;         /* names are looked up in it first; NULL: none */
    const char *tree;              /* the variable whose paths are collected; NULL: none */
    fl_zone_read_fn *zone;         /* NULL: only UTC and fixed offsets */
    void *zone_ctx;
    bool is_unchecked; /* skip the type checker (conformance tests only) */
};

struct fl_cel;

/* Errors are FL_BAD_PARAMS with "line 1, column 7: ..." in front, or FL_NOMEM. At most 4096 bytes,
 * nested at most 100 deep. */
enum fl_code fl_cel_compile(struct fl_str source, const struct fl_cel_env *env, struct fl_cel **ret,
                            struct fl_err *err) FL_MUST_CHECK;
/* Accepts NULL and a pointer to NULL; nulls the pointer. */
void fl_cel_free(struct fl_cel **program);
/* The type of the result as text: "bool", "list(int)", "dyn". */
const char *fl_cel_type(const struct fl_cel *program);
/* True if the result is bool, or can only be known to be bool when it is evaluated. */
bool fl_cel_may_be_bool(const struct fl_cel *program);
/* Whether the variable at this index of env->vars is read at all. */
bool fl_cel_reads(const struct fl_cel *program, size_t var);
/* The places below env->tree that the text names, as JSON pointers (RFC 6901) in which a segment
 * of one star stands for any item or member: args.lines.all(l, l.sum < 5) names "/lines" and, with
 * such a segment in the middle, the sum of each line. "" is the whole tree. NULL past the end. */
const char *fl_cel_path(const struct fl_cel *program, size_t at);

/* ---- evaluation ---- */
struct fl_cel_run {
    const struct fl_cel_value *vars; /* by the index of env->vars; only those that are read */
    struct fl_arena *arena;          /* for values that are made; may hold others already */
    uint64_t steps;                  /* in: allowed, out: left. A step is a node, or 64 bytes */
    size_t max_bytes;                /* of the arena for this run */
};

/* FL_OK and a result; FL_BAD_PARAMS with CEL's error ("divide by zero", "no such key 'x'"), which
 * never contains a value of the facts; FL_TOO_LARGE when a bound is hit; FL_NOMEM. */
enum fl_code fl_cel_eval(const struct fl_cel *program, struct fl_cel_run *run,
                         struct fl_cel_value *ret, struct fl_err *err) FL_MUST_CHECK;

#endif
