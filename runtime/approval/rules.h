/* From the text of a policy to a compiled one, and from a call to the facts that it is asked about.
 * Used by the organization's snapshot, by the life of a call, and when a policy is applied. */
#ifndef FLOPINIO_APPROVAL_RULES_H
#define FLOPINIO_APPROVAL_RULES_H

#include "flopinio/base/yaml.h"
#include "policy/policy.h"
#include "runtime/approval/org.h"

/* Reads and compiles. `findings` (may be NULL) gets every error; `ret_yaml` (may be NULL) the tree,
 * the caller's to free. FL_BAD_PARAMS with line and reason. */
enum fl_code fl_rules_load(struct fl_str text, struct fl_policy **ret, struct fl_yaml *ret_yaml,
                           struct fl_findings *findings, struct fl_err *err) FL_MUST_CHECK;

/* Who calls. */
struct fl_caller {
    struct fl_str agent, agent_id_text;
    struct fl_uuid agent_id, credential_id, owner_id;
    struct fl_str owner;
    bool is_isolated;
};

/* Asks the snapshot's policy about one call. `arguments` is canonical or raw JSON text; a tree is
 * built from it only when a rule reads the arguments, and kept in *tree for others (the caller
 * frees it; may be set already). */
void fl_rules_ask(const struct fl_org *org, const struct fl_org_tool *tool,
                  const struct fl_caller *caller, struct fl_str arguments, int64_t at_utc_ms,
                  json_t **tree, struct fl_policy_verdict *ret);

/* What the organization has, for fl_policy_check. Borrowed from the snapshot; lives in the arena.
 */
enum fl_code fl_rules_world(struct fl_org *org, struct fl_arena *arena, struct fl_policy_world *ret,
                            struct fl_err *err) FL_MUST_CHECK;

#endif
