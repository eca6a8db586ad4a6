/* Shared inside the policy documents' part (policy*.c, ask.c): reading a tree with errors that say
 * where, and the compiled document. Nobody else includes this. */
#ifndef FLOPINIO_POLICY_POLICY_PRIV_H
#define FLOPINIO_POLICY_POLICY_PRIV_H

#include "policy/policy.h"

enum {
    POLICY_RULES_MAX = 1000,
    POLICY_TOOLS_MAX = 5000,  /* entries of all rules' tools */
    POLICY_ENTRIES_MAX = 256, /* of a list in a rule */
    POLICY_NAME_MAX = 64,     /* bytes of a rule's, group's, channel's name */
    POLICY_TOOL_MAX = 128,
    POLICY_REASON_MAX = 300 /* fits an error text */
};

/* ---- reading ---- */
struct policy_reader {
    struct fl_arena *arena;
    const struct fl_policy_source *source; /* NULL: there are no lines */
    struct fl_findings *findings;          /* NULL: only the first error counts */
    struct fl_err *err;
    enum fl_code code;  /* the first error */
    struct fl_str rule; /* in hand, for the texts; n 0: none */
};

/* `at` is a JSON pointer, `key` (may be NULL) a member or the like below it. Always false. */
bool policy_error(struct policy_reader *r, const char *at, const char *key, const char *fmt, ...)
    FL_PRINTF(4, 5);
bool policy_nomem(struct policy_reader *r);
unsigned policy_line(const struct policy_reader *r, const char *at, const char *key);
/* Every member must be one of `keys`; `what` is "a rule". */
bool policy_keys(struct policy_reader *r, const char *at, const json_t *object, const char *what,
                 const char *const *keys, size_t count);
/* Each of these: an absent member leaves *ret as it is; one of another type or form is an error. */
bool policy_bool(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                 bool *ret);
bool policy_count(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                  unsigned most, unsigned *ret);
bool policy_text(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                 size_t max_bytes, struct fl_str *ret);
bool policy_choice(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                   const char *const *choices, size_t count, unsigned *ret);
/* A list of at most `most` different texts, each accepted by `is_valid`; `form` says what would
 * be. */
bool policy_texts(struct policy_reader *r, const char *at, const json_t *object, const char *key,
                  size_t most, bool (*is_valid)(struct fl_str), const char *form,
                  const struct fl_str **ret, size_t *ret_count);
bool policy_is_name(struct fl_str text);  /* [a-z0-9-]{1,64} */
bool policy_is_label(struct fl_str text); /* 1 to 64 bytes, nothing unprintable, no blank ends */

/* An ask from a rule's `ask` and the document's `defaults`, either NULL. *ret is the caller's; its
 * where_programs are to be freed with policy_ask_fini, also after an error. */
bool policy_ask_read(struct policy_reader *r, const char *at, const json_t *ask,
                     const char *defaults_at, const json_t *defaults, struct fl_ask *ret);
void policy_ask_fini(struct fl_ask *ask);
/* The members of an ask, for `defaults` too. */
extern const char *const policy_ask_keys[];
extern const size_t policy_ask_key_count;
extern const char *const policy_match_names[FL_MATCH_COUNT];
extern const char *const policy_after_leave_names[FL_AFTER_LEAVE_COUNT];
extern const char *const policy_disclose_names[FL_DISCLOSE_COUNT];
extern const char *const policy_risk_names[FL_RISK_COUNT];
extern const char *const policy_effect_names[FL_EFFECT_COUNT];

/* ---- the compiled document ---- */

/* Rules by a key, ascending; found by binary search. */
struct policy_list {
    struct fl_str key;
    const uint16_t *rules;
    size_t count;
};

struct policy_rule {
    struct fl_policy_rule shown;
    const struct fl_str *agents; /* patterns; all three have to fit, a count of 0 always does */
    size_t agent_count;
    const struct fl_str *owners;
    size_t owner_count;
    const struct fl_str *owner_groups;
    size_t owner_group_count;
    struct fl_cel *when;
    struct fl_ask ask;
};

struct fl_policy {
    _Atomic unsigned refs;
    struct fl_arena *arena;
    struct policy_rule *rules;
    size_t rule_count;
    struct policy_list *by_tool; /* exact names */
    size_t by_tool_count;
    struct policy_list *by_server; /* patterns that start with "server__" */
    size_t by_server_count;
    struct policy_list others; /* all other patterns */
};

bool policy_index(struct fl_policy *policy); /* false: no memory */
const struct policy_list *policy_list_find(const struct policy_list *lists, size_t count,
                                           struct fl_str key);
/* "server__" of a tool's name or of a pattern's literal start; n 0 if it has none. */
struct fl_str policy_server_prefix(struct fl_str name);
bool policy_is_pattern(struct fl_str entry);
bool policy_rule_names_tool(const struct policy_rule *rule, struct fl_str tool);
/* Does the rule apply to a tool of this kind at all? A plain allow is for reads only. */
static inline bool policy_rule_is_for(const struct policy_rule *rule, bool is_read)
{
    return rule->shown.effect != FL_EFFECT_ALLOW || rule->shown.is_standing || is_read;
}
/* Appends; false: no memory. */
bool policy_finding(struct fl_findings *findings, enum fl_severity severity, unsigned line,
                    struct fl_str rule, const char *text);

/* What conditions may read; the order of policy_vars. */
enum policy_var {
    POLICY_ARGS,
    POLICY_TOOL_NAME,
    POLICY_TOOL_SERVER,
    POLICY_TOOL_READS,
    POLICY_TOOL_DESTROYS,
    POLICY_TOOL_REACHES_OUT,
    POLICY_AGENT_NAME,
    POLICY_AGENT_ID,
    POLICY_AGENT_ISOLATED,
    POLICY_AGENT_OWNER,
    POLICY_AGENT_OWNER_GROUPS,
    POLICY_ORG_NAME,
    POLICY_REQUEST_TIME,
    POLICY_VAR_COUNT
};
extern const struct fl_cel_var policy_vars[POLICY_VAR_COUNT];

/* And what a threshold's `where` may read. */
enum person_var { PERSON_NAME, PERSON_ROLE, PERSON_GROUPS, PERSON_VAR_COUNT };
extern const struct fl_cel_var person_vars[PERSON_VAR_COUNT];

#endif
