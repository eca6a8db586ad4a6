/* Who may do what in an organization: one table of roles and actions. What is not in it is
 * refused. A membership has one role; groups only narrow who may decide a given approval.
 * Called wherever authority is asked, with the role read in the same transaction. Any thread. */
#ifndef FLOPINIO_POLICY_ROLE_H
#define FLOPINIO_POLICY_ROLE_H

#include <stdbool.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

/* FL_ROLE_NONE (0) may do nothing. X(NAME, "name", "article and name") */
#define FL_ROLES(X)                                                                                \
    X(OWNER, "owner", "an owner")                                                                  \
    X(ADMIN, "admin", "an admin")                                                                  \
    X(APPROVER, "approver", "an approver")                                                         \
    X(AUDITOR, "auditor", "an auditor")                                                            \
    X(MEMBER, "member", "a member")

enum fl_role {
    FL_ROLE_NONE,
#define X(name, text, a) FL_ROLE_##name,
    FL_ROLES(X)
#undef X
        FL_ROLE_COUNT
};

/* X(NAME, "what it is, after 'may not'", owner, admin, approver, auditor, member) */
#define FL_ACTIONS(X)                                                                              \
    X(DECIDE, "decide approvals", 1, 1, 1, 0, 0)                                                   \
    X(STOP, "stop calls", 1, 1, 1, 0, 0)                                                           \
    X(RESUME, "resume calls", 1, 1, 0, 0, 0)                                                       \
    X(SETTLE_UNKNOWN, "settle unknown outcomes", 1, 1, 1, 0, 0)                                    \
    X(READ_APPROVALS, "read approvals", 1, 1, 1, 1, 0)                                             \
    X(READ_OWN_APPROVALS, "read approvals of their own agents", 1, 1, 1, 1, 1)                     \
    X(CANCEL_OWN_APPROVALS, "cancel approvals of their own agents", 1, 1, 1, 0, 1)                 \
    X(READ_AUDIT, "read the audit", 1, 1, 0, 1, 0)                                                 \
    X(READ_POLICY, "read the policy", 1, 1, 1, 1, 0)                                               \
    X(READ_INVENTORY, "list people, agents and tools", 1, 1, 1, 1, 0)                              \
    X(BREAK_GLASS, "break the glass", 1, 0, 0, 0, 0)                                               \
    X(GRANT, "make grants", 1, 1, 0, 0, 0)                                                         \
    X(REVOKE_GRANTS, "revoke grants", 1, 1, 1, 0, 0)                                               \
    X(MANAGE_POLICY, "change the policy", 1, 1, 0, 0, 0)                                           \
    X(MANAGE_TOOLS, "change servers and tools", 1, 1, 0, 0, 0)                                     \
    X(MANAGE_AGENTS, "change agents", 1, 1, 0, 0, 0)                                               \
    X(MANAGE_SETTINGS, "change the organization's settings", 1, 1, 0, 0, 0)                        \
    X(MANAGE_PEOPLE, "change people and groups", 1, 1, 0, 0, 0)                                    \
    X(MANAGE_OWNERS, "make or remove owners", 1, 0, 0, 0, 0)                                       \
    X(MANAGE_TOKENS, "change other people's tokens", 1, 1, 0, 0, 0)                                \
    X(MANAGE_OWN_TOKENS, "change their own tokens", 1, 1, 1, 1, 1)                                 \
    X(MANAGE_CHANNELS, "change channels", 1, 1, 0, 0, 0)                                           \
    X(MANAGE_BILLING, "change billing", 1, 0, 0, 0, 0)                                             \
    X(DELETE_ORG, "delete the organization", 1, 0, 0, 0, 0)

enum fl_action {
#define X(name, text, o, a, p, u, m) FL_ACTION_##name,
    FL_ACTIONS(X)
#undef X
        FL_ACTION_COUNT
};

/* False for any role or action outside the table. */
bool fl_role_may(enum fl_role role, enum fl_action action);
/* FL_OK, or FL_FORBIDDEN with "an auditor may not decide approvals (owner, admin or approver
 * may)". */
enum fl_code fl_role_require(enum fl_role role, enum fl_action action,
                             struct fl_err *err) FL_MUST_CHECK;
#define FL_ROLES_BYTES 64
/* The roles that may do it, joined with commas: "owner,admin,approver". */
void fl_role_list(enum fl_action action, char ret[FL_ROLES_BYTES]);
/* "owner"; "none" for FL_ROLE_NONE and anything outside the table. */
const char *fl_role_name(enum fl_role role);
/* Exactly a name of the table; FL_ROLE_NONE otherwise ("none" too). */
enum fl_role fl_role_parse(struct fl_str text);
const char *fl_action_text(enum fl_action action);

#endif
