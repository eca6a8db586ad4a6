/* Audit events: the table of kinds, building an event, its exact leaf bytes, and appending it to
 * the transaction of the change. The audit is evidence; the log is help. Loop thread.
 *
 * Leaf bytes are canonical JSON (RFC 8785):
 *   {"actor":{"id":..,"kind":..},"at":"2026-11-23T16:30:00.123Z","data":{..},"id":..,"kind":..,
 *    "organization":..,"subject":{"id":..,"kind":..},"v":1}
 * `data` carries names, numbers, times and salted digests, never arguments, results or secrets. */
#ifndef FLOPINIO_AUDIT_EVENT_H
#define FLOPINIO_AUDIT_EVENT_H

#include "runtime/store/audit.h"

/* Append only. X(NAME, text, what happened) */
#define FL_AUDIT_KINDS(X)                                                                          \
    X(CALL_READ, "call.read", "an allowed read ran")                                               \
    X(CALL_DENIED, "call.denied", "a call was denied")                                             \
    X(CALL_INVALID, "call.invalid", "a call's arguments did not match the tool's schema")          \
    X(APPROVAL_REQUESTED, "approval.requested", "a call was held, people are asked")               \
    X(APPROVAL_PERMITTED, "approval.permitted", "a call may run without asking, by rule")          \
    X(APPROVAL_ATTACHED, "approval.attached", "the agent came back for an open approval")          \
    X(APPROVAL_LEFT, "approval.left", "the caller went away; the approval stays")                  \
    X(APPROVAL_VOTED, "approval.voted", "a person voted; it was not decided yet")                  \
    X(APPROVAL_WITHDRAWN, "approval.withdrawn", "a person took their vote back")                   \
    X(APPROVAL_APPROVED, "approval.approved", "the deciding vote approved it")                     \
    X(APPROVAL_REJECTED, "approval.rejected", "a vote rejected it")                                \
    X(APPROVAL_REFUSED, "approval.refused", "somebody tried to decide and may not")                \
    X(APPROVAL_CLAIMED, "approval.claimed", "a worker took it to run it")                          \
    X(APPROVAL_RELEASED, "approval.released", "a worker gave it back; nothing was sent")           \
    X(APPROVAL_DISPATCHED, "approval.dispatched", "from here on it may be sent, once")             \
    X(APPROVAL_SUCCEEDED, "approval.succeeded", "the tool said that it did it")                    \
    X(APPROVAL_FAILED, "approval.failed", "the tool said that it failed, or it was never sent")    \
    X(APPROVAL_UNKNOWN, "approval.unknown", "it was sent, or may have been; no outcome is known")  \
    X(APPROVAL_SETTLED, "approval.settled", "a person settled an unknown outcome")                 \
    X(APPROVAL_EXPIRED, "approval.expired", "the time ran out before it was sent")                 \
    X(APPROVAL_CANCELLED, "approval.cancelled", "it was taken back before it was sent")            \
    X(APPROVAL_CANCEL_LATE, "approval.cancel_late", "the agent wanted it back after it was sent")  \
    X(APPROVAL_OUTCOME_LATE, "approval.outcome_late", "the tool's word, when it was settled")      \
    X(APPROVAL_VOIDED, "approval.voided", "approved, then a check failed before it was sent")      \
    X(APPROVAL_DELIVERED, "approval.delivered", "the agent took the outcome")                      \
    X(APPROVAL_TAMPERED, "approval.tampered", "the stored row does not match its digest")          \
    X(TOOL_SEEN, "tool.seen", "a server offers a new tool; it is quarantined")                     \
    X(TOOL_CHANGED, "tool.changed", "a tool's definition changed; it is quarantined")              \
    X(TOOL_GONE, "tool.gone", "a server does not offer a tool any more")                           \
    X(TOOL_ACCEPTED, "tool.accepted", "a definition was accepted")                                 \
    X(TOOL_QUARANTINED, "tool.quarantined", "a tool was quarantined by a person")                  \
    X(POLICY_APPLIED, "policy.applied", "a policy was applied")                                    \
    X(ORGANIZATION_CREATED, "organization.created", "an organization was made")                    \
    X(ORGANIZATION_CHANGED, "organization.changed", "an organization's settings changed")          \
    X(PERSON_CREATED, "person.created", "a person was added to the installation")                  \
    X(PERSON_CHANGED, "person.changed", "a person's data changed")                                 \
    X(PERSON_OFFBOARDED, "person.offboarded", "a person was offboarded")                           \
    X(MEMBER_SET, "member.set", "a person's membership or role was set")                           \
    X(MEMBER_REMOVED, "member.removed", "a person's membership was removed")                       \
    X(GROUP_CREATED, "group.created", "a group was made")                                          \
    X(GROUP_CHANGED, "group.changed", "a group's members changed")                                 \
    X(GROUP_REMOVED, "group.removed", "a group was removed")                                       \
    X(AGENT_CREATED, "agent.created", "an agent was made")                                         \
    X(AGENT_CHANGED, "agent.changed", "an agent's owner, state or labels changed")                 \
    X(CREDENTIAL_CREATED, "credential.created", "an agent credential was issued")                  \
    X(CREDENTIAL_REVOKED, "credential.revoked", "an agent credential was revoked")                 \
    X(SERVER_CREATED, "server.created", "a tool server was added")                                 \
    X(SERVER_CHANGED, "server.changed", "a tool server was changed")                               \
    X(SERVER_REMOVED, "server.removed", "a tool server was removed")                               \
    X(TOKEN_CREATED, "token.created", "a personal token was issued")                               \
    X(TOKEN_REVOKED, "token.revoked", "personal tokens were revoked")                              \
    X(SECRET_SET, "secret.set", "a passphrase or second factor was set")                           \
    X(AUTH_PASSED, "auth.passed", "a person proved who they are")                                  \
    X(AUTH_FAILED, "auth.failed", "a proof of identity failed")                                    \
    X(AUTHZ_FAILED, "authz.failed", "somebody tried what they may not do")                         \
    X(STOP_SET, "stop.set", "something was stopped")                                               \
    X(STOP_LIFTED, "stop.lifted", "a stop was lifted")                                             \
    X(RUNTIME_STARTED, "runtime.started", "a worker started")                                      \
    X(RUNTIME_STOPPED, "runtime.stopped", "a worker stopped")                                      \
    X(SCHEMA_MIGRATED, "schema.migrated", "the database schema was changed")                       \
    X(CHANNEL_CREATED, "channel.created", "a channel was added")                                   \
    X(CHANNEL_CHANGED, "channel.changed", "a channel was changed")                                 \
    X(CHANNEL_REMOVED, "channel.removed", "a channel was removed")                                 \
    X(IDENTITY_CODE, "identity.code", "a code was issued, to link a chat account to a person")     \
    X(IDENTITY_LINKED, "identity.linked", "a chat account was linked to a person")                 \
    X(IDENTITY_UNLINKED, "identity.unlinked", "a person's chat accounts were unlinked")            \
    X(RUNTIME_RESTORED, "runtime.restored",                                                        \
      "the operator ended what was open in a database that had been restored or moved")            \
    X(GRANT_CREATED, "grant.created", "a person lets calls like one they were shown run unasked")  \
    X(GRANT_REVOKED, "grant.revoked", "a grant was revoked")                                       \
    X(APPROVAL_REOPENED, "approval.reopened", "the agent may ask again for what was rejected")     \
    X(APPROVAL_EDITED, "approval.edited", "a person changed the arguments of what waited")         \
    X(APPROVAL_GLASS, "approval.glass_broken", "an owner approved it alone; a review is due")      \
    X(APPROVAL_REVIEWED, "approval.reviewed", "a broken glass was reviewed")                       \
    X(IDENTITY_SIGNED_IN, "identity.signed_in",                                                    \
      "a person signed in by a mailed link, for one approval")                                     \
    X(IDENTITY_DISABLED, "identity.disabled",                                                      \
      "a linked chat account was deactivated there: it decides nothing")                           \
    X(IDENTITY_ENABLED, "identity.enabled", "a deactivated chat account is one again")             \
    X(IDENTITY_DEAD, "identity.dead", "mail to a linked address came back for good")               \
    X(DELEGATION_SET, "delegation.set", "somebody decides for a person who is away")               \
    X(DELEGATION_ENDED, "delegation.ended", "a person decides for themselves alone again")         \
    X(CANARY_SET, "canary.set", "a canary was described: a call that people are to reject")        \
    X(CANARY_REMOVED, "canary.removed", "a canary was removed")                                    \
    X(CANARY_FIRED, "canary.fired", "a canary was filed: nobody asked for that call")              \
    X(CANARY_REFUSED, "canary.refused", "a canary could not be filed")                             \
    X(CANARY_CAUGHT, "canary.caught", "people rejected a canary")                                  \
    X(CANARY_APPROVED, "canary.approved", "people approved a canary; nothing ran")                 \
    X(CANARY_MISSED, "canary.missed", "nobody decided a canary in its time")                       \
    X(CHANNEL_INSTALL, "channel.install_begun",                                                    \
      "an app for a channel began to be installed in Slack")

enum fl_audit_kind {
#define X(name, text, meaning) FL_AUDIT_##name,
    FL_AUDIT_KINDS(X)
#undef X
        FL_AUDIT_KIND_COUNT
};

enum fl_actor { FL_ACTOR_SYSTEM, FL_ACTOR_AGENT, FL_ACTOR_PERSON, FL_ACTOR_OPERATOR };

#define FL_AUDIT_PAIRS 24

/* On the caller's stack; keys are literals, values must live until the leaf is made. */
struct fl_audit_event {
    struct fl_audit_row row;
    enum fl_audit_kind kind;
    int64_t at_ms;
    int count;
    struct {
        const char *key;
        enum { FL_AUDIT_TEXT, FL_AUDIT_INT, FL_AUDIT_BOOL, FL_AUDIT_HEX, FL_AUDIT_RAW } type;
        struct fl_str text;
        int64_t number;
    } pairs[FL_AUDIT_PAIRS];
};

/* `subject` kinds: "approval", "tool", "agent", "person", "organization", "server", "group",
 * "credential", "token", "policy", "stop", "installation", "call", "channel", "grant", "canary".
 * Ids may be NULL. */
void fl_audit_init(struct fl_audit_event *event, const struct fl_uuid *organization,
                   enum fl_audit_kind kind, enum fl_actor actor, const struct fl_uuid *actor_id,
                   const char *subject, const struct fl_uuid *subject_id);
/* Data; a text with p NULL is left out. Not more than FL_AUDIT_PAIRS. */
void fl_audit_text(struct fl_audit_event *event, const char *key, struct fl_str value);
void fl_audit_z(struct fl_audit_event *event, const char *key, const char *value);
void fl_audit_int(struct fl_audit_event *event, const char *key, int64_t value);
void fl_audit_bool(struct fl_audit_event *event, const char *key, bool value);
void fl_audit_hex(struct fl_audit_event *event, const char *key, const void *bytes, size_t n);
void fl_audit_uuid(struct fl_audit_event *event, const char *key, const struct fl_uuid *id,
                   struct fl_arena *arena);
void fl_audit_time(struct fl_audit_event *event, const char *key, int64_t at_utc_ms,
                   struct fl_arena *arena);
/* Canonical JSON of a value, as it is. */
void fl_audit_raw(struct fl_audit_event *event, const char *key, struct fl_str canonical_json);

/* Makes the leaf in the arena and fills row; FL_NOMEM. */
enum fl_code fl_audit_seal(struct fl_audit_event *event, struct fl_arena *arena,
                           struct fl_err *err) FL_MUST_CHECK;
/* Seals and appends the insert to the transaction; no memory makes the transaction fail. */
void fl_audit_append(struct fl_audit_event *event, struct fl_tx *tx);

const char *fl_audit_kind_text(enum fl_audit_kind kind);
const char *fl_audit_kind_meaning(enum fl_audit_kind kind);

/* The nil id: events of the installation itself, of no organization. */
extern const struct fl_uuid fl_audit_installation;

#endif
