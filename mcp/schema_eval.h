/* What the files of the evaluator share: one validation, its place, what it has seen. */
#ifndef FLOPINIO_MCP_SCHEMA_EVAL_H
#define FLOPINIO_MCP_SCHEMA_EVAL_H

#include "mcp/schema_priv.h"
#include "mcp/schema_text.h"

enum fl_schema_verdict {
    FL_FITS,
    FL_FAILS, /* run->err says why, unless the run is quiet */
    FL_STOPS  /* no verdict: run->code is FL_TOO_LARGE or FL_NOMEM; ends everything */
};

/* The resources that evaluation came through, innermost first: the dynamic scope. */
struct fl_schema_scope {
    const struct fl_schema_scope *up;
    const struct fl_schema_resource *resource;
};

/* Which members or items of the current value some subschema has spoken of; by index. Taken and
 * given back in the order of a stack. */
struct fl_schema_seen {
    uint64_t *words;
    size_t count; /* members or items */
    bool is_all;
    bool is_owned; /* words are an allocation, not a part of run->words */
};

#define FL_SEEN_WORDS 24

struct fl_schema_run {
    const struct fl_schema *schema;
    struct fl_err *err;
    enum fl_code code;  /* of the failure, or why it stopped */
    uint32_t steps;     /* left */
    uint16_t depth;     /* subschemas within one another right now */
    uint16_t quiet;     /* > 0: a failure is not the final one, and needs no text */
    uint16_t explained; /* choices looked at a second time, for words */
    const struct fl_schema_scope *scope;
    struct fl_schema_matcher matcher;
    size_t words_used, bytes_owned;
    uint64_t words[FL_SEEN_WORDS];
};

/* Subschemas within one another: a value of 64 levels, each under several applicators. */
#define FL_EVAL_DEPTH 512

/* Takes what it costs to look at `bytes` bytes and `steps` more; false when that is not left. */
static inline bool fl_schema_run_take(struct fl_schema_run *run, size_t steps, size_t bytes)
{
    size_t cost = steps + bytes / 64;
    if (run->steps < cost) {
        run->steps = 0;
        return false;
    }
    run->steps -= (uint32_t)cost;
    return true;
}

/* The whole of a subschema. `seen` may be NULL: nobody asks. */
enum fl_schema_verdict fl_schema_eval(struct fl_schema_run *run, const struct fl_schema_node *node,
                                      const json_t *value, const struct fl_schema_place *place,
                                      struct fl_schema_seen *seen);
/* Without an error text. */
enum fl_schema_verdict fl_schema_eval_quietly(struct fl_schema_run *run,
                                              const struct fl_schema_node *node,
                                              const json_t *value,
                                              const struct fl_schema_place *place,
                                              struct fl_schema_seen *seen);

/* The rules for one kind of value, or one kind of rules. */
enum fl_schema_verdict fl_schema_eval_object(struct fl_schema_run *run,
                                             const struct fl_schema_object *rules,
                                             const json_t *object,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *seen);
enum fl_schema_verdict fl_schema_eval_array(struct fl_schema_run *run,
                                            const struct fl_schema_array *rules,
                                            const json_t *array,
                                            const struct fl_schema_place *place,
                                            struct fl_schema_seen *seen);
enum fl_schema_verdict fl_schema_eval_logic(struct fl_schema_run *run,
                                            const struct fl_schema_logic *logic,
                                            const json_t *value,
                                            const struct fl_schema_place *place,
                                            struct fl_schema_seen *seen);
/* What `unevaluatedProperties` or `unevaluatedItems` says of the rest; all are seen then. */
enum fl_schema_verdict fl_schema_eval_unseen(struct fl_schema_run *run,
                                             const struct fl_schema_node *node, const json_t *value,
                                             const struct fl_schema_place *place,
                                             struct fl_schema_seen *seen);
enum fl_schema_verdict fl_schema_eval_match(struct fl_schema_run *run,
                                            const struct fl_schema_pattern *pattern,
                                            struct fl_str text);

/* ---- schema_seen.c ---- */
enum fl_schema_verdict fl_schema_seen_open(struct fl_schema_run *run, struct fl_schema_seen *seen,
                                           size_t count);
/* Adds `from` to `to`, which may be NULL, and gives `from` back. */
void fl_schema_seen_close(struct fl_schema_run *run, struct fl_schema_seen *from,
                          struct fl_schema_seen *to);
static inline void fl_schema_seen_add(struct fl_schema_seen *seen, size_t i)
{
    if (seen)
        seen->words[i / 64] |= (uint64_t)1 << i % 64;
}
static inline bool fl_schema_seen_has(const struct fl_schema_seen *seen, size_t i)
{
    return seen->is_all || (seen->words[i / 64] >> i % 64 & 1);
}

/* ---- schema_explain.c: failures. Each returns FL_FAILS, and costs nothing in a quiet run ---- */
enum fl_schema_verdict fl_schema_fail(struct fl_schema_run *run,
                                      const struct fl_schema_place *place, const char *fmt, ...)
    FL_PRINTF(3, 4);
enum fl_schema_verdict fl_schema_fail_kind(struct fl_schema_run *run,
                                           const struct fl_schema_place *place, unsigned kinds);
enum fl_schema_verdict fl_schema_fail_values(struct fl_schema_run *run,
                                             const struct fl_schema_place *place,
                                             const struct fl_schema_values *values);
enum fl_schema_verdict fl_schema_fail_bound(struct fl_schema_run *run,
                                            const struct fl_schema_place *place, const char *how,
                                            const json_t *bound);
/* `object` has a member that nobody knows; rules may be NULL. */
enum fl_schema_verdict fl_schema_fail_unknown(struct fl_schema_run *run,
                                              const struct fl_schema_place *place,
                                              const struct fl_schema_object *rules);
enum fl_schema_verdict fl_schema_fail_missing(struct fl_schema_run *run,
                                              const struct fl_schema_object *rules,
                                              const json_t *object,
                                              const struct fl_schema_place *place);
/* `name` is missing, and `because` is there. */
enum fl_schema_verdict fl_schema_fail_needed(struct fl_schema_run *run,
                                             const struct fl_schema_place *place,
                                             struct fl_str name, struct fl_str because);
/* None of `nodes` fits: the words of the one that was meant, if that can be told. */
enum fl_schema_verdict fl_schema_fail_choice(struct fl_schema_run *run,
                                             const struct fl_schema_nodes *nodes,
                                             const json_t *value,
                                             const struct fl_schema_place *place);
/* `why` NULL: what is usual for the code. */
enum fl_schema_verdict fl_schema_stop(struct fl_schema_run *run, enum fl_code code,
                                      const char *why);

/* ---- schema_place.c ---- */
/* How many names of the way from the root may be shown: all, or fewer where one leads below a
 * `writeOnly` place. */
size_t fl_schema_public_levels(const struct fl_schema *schema,
                               const struct fl_schema_place *const *way, size_t count);

#endif
