/* Policy documents: an organization's rules, compiled once into an immutable object and asked for
 * every call. Facts in, verdict and rule out; what no rule matches, and every error, is denied.
 * docs/policy.md is the administrator's side of this. Called by intake and again at dispatch, by
 * `policy test|check|diff`, and when a document is applied. Any thread. No I/O, no clock. */
#ifndef FLOPINIO_POLICY_POLICY_H
#define FLOPINIO_POLICY_POLICY_H

#include <jansson.h>

#include "policy/ask.h"

/* ---- the document ---- */
enum fl_effect { FL_EFFECT_DENY, FL_EFFECT_ASK, FL_EFFECT_ALLOW, FL_EFFECT_COUNT };

struct fl_policy_rule { /* borrowed from its policy */
    struct fl_str name;
    unsigned line; /* 0 if unknown */
    enum fl_effect effect;
    bool is_standing;
    struct fl_str reason;       /* n 0: none */
    const struct fl_str *tools; /* exact names and patterns with '*' */
    size_t tool_count;
    struct fl_str when;       /* source; n 0: none */
    const struct fl_ask *ask; /* of effect ask, else NULL */
};

enum fl_severity { FL_SEVERITY_WARNING, FL_SEVERITY_ERROR };
struct fl_finding {
    enum fl_severity severity;
    unsigned line;
    struct fl_str rule; /* n 0: the document */
    char text[FL_ERR_TEXT_BYTES];
};
/* A growing list; zero it, then hand it in; free with fl_findings_fini. Rule names are copied. */
struct fl_findings {
    struct fl_arena *arena;
    struct fl_finding **items;
    size_t count, cap, error_count;
};
void fl_findings_fini(struct fl_findings *findings);

struct fl_policy_source {
    const json_t *root;                                     /* borrowed during the compilation */
    unsigned (*line)(const void *ctx, const char *pointer); /* as fl_yaml_line; NULL: no lines */
    const void *line_ctx;
    fl_zone_read_fn *zone; /* as in struct fl_cel_env */
    void *zone_ctx;
};

struct fl_policy; /* immutable, counted */

/* FL_BAD_PARAMS with the first error ("line 12, rule 'reads': ..."); `findings` (may be NULL) gets
 * them all. FL_NOMEM. */
enum fl_code fl_policy_compile(const struct fl_policy_source *source, struct fl_policy **ret,
                               struct fl_findings *findings, struct fl_err *err) FL_MUST_CHECK;
struct fl_policy *fl_policy_ref(struct fl_policy *policy);
/* Accepts NULL and a pointer to NULL; nulls the pointer; the last one frees. */
void fl_policy_unref(struct fl_policy **policy);
size_t fl_policy_rule_count(const struct fl_policy *policy);
const struct fl_policy_rule *fl_policy_rule_at(const struct fl_policy *policy, size_t at);
/* Rules that let a write run unasked, for the trust page, and the tools they name. */
void fl_policy_standing(const struct fl_policy *policy, size_t *ret_rules, size_t *ret_tools);

/* ---- asking it ---- */
struct fl_policy_facts {
    struct fl_str tool;   /* as the agent calls it: "files__write" */
    struct fl_str server; /* "files" */
    bool is_read;         /* an accepted pin says so; all else is a write */
    bool destroys, reaches_out;
    struct fl_str agent, agent_id;
    bool is_isolated;    /* the agent cannot reach the runtime's files, sockets and keys */
    struct fl_str owner; /* the person who owns the agent */
    const struct fl_str *owner_groups;
    size_t owner_group_count;
    struct fl_str org;
    int64_t at_utc_ms;
    /* The arguments, borrowed; called at most once, only when a rule reads them. NULL from it, or
     * no callback: the rule's condition is an error, so the call is denied. */
    const json_t *(*args)(void *ctx);
    void *args_ctx;
};

enum fl_policy_why {
    FL_WHY_NO_POLICY, /* none is loaded */
    FL_WHY_NO_RULE,   /* nothing matched */
    FL_WHY_RULE,      /* `rule` matched */
    FL_WHY_ERROR      /* `rule` could not be evaluated */
};

struct fl_policy_verdict {
    enum fl_effect effect;
    enum fl_policy_why why;
    size_t rule_at;                    /* valid for FL_WHY_RULE and FL_WHY_ERROR */
    const struct fl_policy_rule *rule; /* borrowed from the policy; NULL if none */
    const struct fl_ask *ask;          /* of effect ask, else NULL; borrowed from the policy */
    bool is_standing;                  /* a write that runs unasked */
    char text[FL_ERR_TEXT_BYTES];      /* why, in a clause; for a deny it is meant for the agent */
};

/* Why each rule did or did not match; asked for by `policy test` only. */
enum fl_policy_step_why {
    FL_STEP_MATCHED,
    FL_STEP_OTHER_TOOL,
    FL_STEP_OTHER_AGENT,
    FL_STEP_NOT_A_READ, /* allow without standing, of a tool that is not an accepted read */
    FL_STEP_CONDITION,  /* false */
    FL_STEP_ERROR,
    FL_STEP_NOT_REACHED /* an earlier rule decided */
};
struct fl_policy_trail {
    struct fl_arena *arena;         /* the caller's; owns `steps` */
    enum fl_policy_step_why *steps; /* one a rule; NULL on no memory */
    size_t count;
};

/* `policy` may be NULL (denied). `trail` may be NULL; else its arena is set by the caller. */
void fl_policy_evaluate(const struct fl_policy *policy, const struct fl_policy_facts *facts,
                        struct fl_policy_trail *trail, struct fl_policy_verdict *ret);
/* The trail and the verdict as text, a line a rule. */
void fl_policy_explain(const struct fl_policy *policy, const struct fl_policy_facts *facts,
                       const struct fl_policy_trail *trail, const struct fl_policy_verdict *verdict,
                       struct fl_buf *out);

/* ---- looking at it before it is applied ---- */
struct fl_policy_tool {
    struct fl_str name;
    bool is_read;
};
/* What the organization has; a NULL callback or list means: do not check that. */
struct fl_policy_world {
    const struct fl_policy_tool *tools;
    size_t tool_count;
    /* Does the tool's pinned input schema have this place? See fl_cel_path for the form. */
    bool (*has_path)(void *ctx, struct fl_str tool, const char *pointer);
    bool (*has_group)(void *ctx, struct fl_str group);
    bool (*has_channel)(void *ctx, struct fl_str channel);
    bool (*has_agent)(void *ctx, struct fl_str pattern); /* one that it matches, or more */
    bool (*has_person)(void *ctx, struct fl_str name);   /* who is active */
    /* People who fit the threshold now; see fl_quorum_eligible. */
    unsigned (*eligible)(void *ctx, const struct fl_threshold *threshold);
    /* Of them, those who are there, or whose delegate is; see fl_quorum_present. */
    unsigned (*present)(void *ctx, const struct fl_threshold *threshold);
    void *ctx;
};
/* Unreachable and shadowed rules, tools without a rule, unknown tools, paths, groups, channels,
 * thresholds that nobody can meet. Errors mean that the document must not be applied. FL_NOMEM. */
enum fl_code fl_policy_check(const struct fl_policy *policy, const struct fl_policy_world *world,
                             struct fl_findings *findings, struct fl_err *err) FL_MUST_CHECK;
/* What changes between two documents that compile (`from` NULL: everything is new), by rule:
 * added, removed, moved, and which keys changed to what. Empty when nothing does. FL_NOMEM. */
enum fl_code fl_policy_diff(const json_t *from, const json_t *to, struct fl_buf *out,
                            struct fl_err *err) FL_MUST_CHECK;
/* The document that `init` writes: accepted reads run, writes ask. With `is_solo` an agent's owner
 * may approve. */
const char *fl_policy_starter(bool is_solo);

/* Does the pattern (literal text and '*', which stands for any run of characters) match? With a
 * pattern for `text`: does it match all that this one matches? (Only a '*' matches a '*'.) */
bool fl_policy_glob(struct fl_str pattern, struct fl_str text);

#endif
