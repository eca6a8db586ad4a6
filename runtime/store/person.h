/* Tables person and personal_token (installation-wide, behind functions), agent, agent_credential,
 * mcp_session. Loop thread. */
#ifndef FLOPINIO_STORE_PERSON_H
#define FLOPINIO_STORE_PERSON_H

#include "runtime/io/pg.h"

/* ---- people ---- */
/* Columns: id, name, display name, PHC string, sealed TOTP seed, last TOTP step, is_active,
 * is_locked. */
struct fl_query *fl_store_person_by_name(struct fl_tx *tx, struct fl_str name);
/* Until the commit nobody else who takes this lock changes the person; behind the organization's.
 */
void fl_store_person_lock(struct fl_tx *tx, struct fl_str name);
/* Returns the id, or null when the name is taken. */
struct fl_query *fl_store_person_create(struct fl_tx *tx, const struct fl_uuid *id,
                                        struct fl_str name, struct fl_str display,
                                        struct fl_str email);
void fl_store_person_describe(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str display,
                              struct fl_str email);
/* p NULL leaves that secret as it is. */
void fl_store_person_secret(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str phc,
                            struct fl_str totp_sealed, bool clears_totp);
/* A wrong answer. Returns a false cell, and changes nothing, while the person is locked out. */
struct fl_query *fl_store_person_missed(struct fl_tx *tx, const struct fl_uuid *id);
/* A right one that was not counted beforehand; step 0: no TOTP. Returns "passed", "used" (this step
 * was used before) or "locked": out, by now. */
struct fl_query *fl_store_person_proved(struct fl_tx *tx, const struct fl_uuid *id, int64_t step);
/* Counts as a wrong answer until fl_store_person_passed. No row: locked out before. */
struct fl_query *fl_store_person_try(struct fl_tx *tx, const struct fl_uuid *id);
/* The right one after fl_store_person_try; step 0: no TOTP. Returns a true cell; null when this
 * step was used before. */
struct fl_query *fl_store_person_passed(struct fl_tx *tx, const struct fl_uuid *id, int64_t step);
void fl_store_person_active(struct fl_tx *tx, const struct fl_uuid *id, bool is_active);
/* Where they are a member today. Columns: organization id, name, role, title. */
struct fl_query *fl_store_person_organizations(struct fl_tx *tx, const struct fl_uuid *id);
/* How many active owners and admins (only owners) of an organization have a passphrase. */
struct fl_query *fl_store_administrators(struct fl_tx *tx, const struct fl_uuid *organization);
struct fl_query *fl_store_owners(struct fl_tx *tx, const struct fl_uuid *organization);

/* ---- personal tokens ---- */
void fl_store_token_create(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *person,
                           struct fl_str name, struct fl_str hash, const char *scopes_csv,
                           int64_t expires_at_ms);
/* Columns: token id, person id, person, display name, scopes joined with commas, is_usable. */
struct fl_query *fl_store_token_by_hash(struct fl_tx *tx, struct fl_str hash);
/* Columns: id, name, scopes joined with commas, expires_at ms, is_usable. */
struct fl_query *fl_store_tokens(struct fl_tx *tx, const struct fl_uuid *person);
/* token NULL: all of them. Column: how many. */
struct fl_query *fl_store_token_revoke(struct fl_tx *tx, const struct fl_uuid *person,
                                       const struct fl_uuid *token);

/* ---- agents ---- */
/* Columns: organization id, organization, revision, credential id, agent id, agent, agent state,
 * owner id, owner, owner is active, client, hold ms, tools joined with commas, expires_at ms,
 * is_expired, is_revoked. */
struct fl_query *fl_store_credential_by_hash(struct fl_tx *tx, struct fl_str hash);
/* Columns: agent_id, name, title, owner, state, labels, owner_id. */
struct fl_query *fl_store_agents(struct fl_tx *tx);
struct fl_query *fl_store_agent_create(struct fl_tx *tx, const struct fl_uuid *id,
                                       struct fl_str name, struct fl_str title,
                                       const struct fl_uuid *owner, struct fl_str labels_json);
/* p NULL or a zero owner leave that as it is. Returns agent_id. */
struct fl_query *fl_store_agent_update(struct fl_tx *tx, struct fl_str name, struct fl_str title,
                                       const struct fl_uuid *owner, const char *state,
                                       struct fl_str labels_json);
/* Agents that a person owns: to another owner, or frozen. Columns: agent_id, name, state. */
struct fl_query *fl_store_agents_hand_over(struct fl_tx *tx, const struct fl_uuid *from,
                                           const struct fl_uuid *to);
/* Credentials of an agent, all of them when agent is NULL. Columns: credential_id, agent, name,
 * client, hold ms, tools, expires_at ms, is_usable, created_at ms. */
struct fl_query *fl_store_credentials(struct fl_tx *tx, const struct fl_uuid *agent);
void fl_store_credential_create(struct fl_tx *tx, const struct fl_uuid *id,
                                const struct fl_uuid *agent, struct fl_str name, struct fl_str hash,
                                const char *client, int64_t hold_ms, const char *tools_csv,
                                int64_t expires_at_ms);
/* One, or all of an agent when `id` is NULL. Columns: credential_id. */
struct fl_query *fl_store_credential_revoke(struct fl_tx *tx, const struct fl_uuid *id,
                                            const struct fl_uuid *agent);
/* Which of these may still be used? Columns: credential_id, owner_id. */
struct fl_query *fl_store_credentials_usable(struct fl_tx *tx, struct fl_array *ids);

/* ---- legacy sessions ---- */
/* Columns: organization id, credential id, version, is_ready, facts, stream worker. */
struct fl_query *fl_store_session_by_hash(struct fl_tx *tx, struct fl_str hash);
void fl_store_session_create(struct fl_tx *tx, struct fl_str hash, const struct fl_uuid *credential,
                             struct fl_str version, struct fl_str facts_json);
void fl_store_session_ready(struct fl_tx *tx, struct fl_str hash);
void fl_store_session_seen(struct fl_tx *tx, struct fl_str hash);
/* Takes the GET stream for a worker; returns a row, or none if a living worker holds it. `take`
 * names this taking: whoever gives it back gives back no other one, however late. */
struct fl_query *fl_store_session_stream(struct fl_tx *tx, struct fl_str hash,
                                         const struct fl_uuid *worker, const struct fl_uuid *take);
/* Of many sessions; `hashes` and `takes` belong together, one by one, and are freed. */
void fl_store_session_streams_drop(struct fl_tx *tx, struct fl_array *hashes,
                                   struct fl_array *takes, const struct fl_uuid *worker);
struct fl_query *fl_store_session_end(struct fl_tx *tx, struct fl_str hash);
/* Drops sessions that nobody used for so long. */
struct fl_query *fl_store_sessions_old(struct fl_tx *tx, int64_t older_ms);

#endif
