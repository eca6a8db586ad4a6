/* Tables agent, agent_credential, mcp_session. */
#include "runtime/store/person.h"
#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_by_hash = {
    "credential_by_hash",
    "SELECT organization_id, organization, revision, credential_id, agent_id, agent, agent_state, "
    "owner_id, owner, owner_is_active, client, hold_ms, array_to_string(tools, ','), " MS(
        "expires_at") ", is_expired, is_revoked FROM credential_by_hash($1)",
    0
};
static struct fl_sql sql_agents = {
    "agents",
    "SELECT g.agent_id, g.name, g.title, p.name, g.state, g.labels, g.owner_id FROM agent g LEFT "
    "JOIN person p ON p.person_id = g.owner_id WHERE g.organization_id = (SELECT org()) "
    "ORDER BY g.name",
    0
};
static struct fl_sql sql_create = {
    "agent_create",
    "INSERT INTO agent (organization_id, agent_id, name, title, owner_id, labels) SELECT org(), $1, "
    "$2, $3, $4, $5::jsonb ON CONFLICT (organization_id, name) DO NOTHING RETURNING agent_id",
    0
};
static struct fl_sql sql_update = {
    "agent_update",
    "UPDATE agent SET title = coalesce($2, title), owner_id = coalesce($3, owner_id), state = "
    "coalesce($4, state), labels = coalesce($5::jsonb, labels) WHERE " HERE
    " AND name = $1 RETURNING agent_id",
    0
};
static struct fl_sql sql_hand_over = {
    "agents_hand_over",
    "UPDATE agent SET owner_id = coalesce($2, owner_id), state = CASE WHEN $2::uuid IS NULL AND "
    "state = 'active' THEN 'frozen' ELSE state END WHERE " HERE " AND owner_id = $1 AND state <> "
    "'revoked' RETURNING agent_id, name, state",
    0
};
static struct fl_sql sql_credentials = {
    "credentials",
    "SELECT c.credential_id, g.name, c.name, c.client, c.hold_ms, array_to_string(c.tools, ','), "
    "" MS("c.expires_at") ", c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > "
                          "now()) AND g.state = 'active', " MS(
                              "c.created_at") " FROM agent_credential c JOIN agent g "
                                              "USING (organization_id, agent_id) WHERE "
                                              "c.organization_id = (SELECT org()) AND "
                                              "($1::uuid IS NULL OR c.agent_id = $1) "
                                              "ORDER BY g.name, c.created_at",
    0
};
static struct fl_sql sql_credential_create = {
    "credential_create",
    "INSERT INTO agent_credential (organization_id, credential_id, agent_id, name, token_hash, "
    "client, hold_ms, tools, expires_at) SELECT org(), $1, $2, $3, $4, $5, $6, "
    "string_to_array($7, ','), CASE WHEN $8::bigint > 0 THEN " AT("$8") " END",
    0
};
static struct fl_sql sql_revoke = {
    "credential_revoke",
    "UPDATE agent_credential SET revoked_at = clock_timestamp() WHERE " HERE " AND revoked_at IS "
    "NULL AND ($1::uuid IS NULL OR credential_id = $1) AND ($2::uuid IS NULL OR agent_id = $2) AND "
    "num_nonnulls($1::uuid, $2::uuid) > 0 RETURNING credential_id",
    0
};
static struct fl_sql sql_usable = {
    "credentials_usable",
    "SELECT c.credential_id, g.owner_id FROM agent_credential c JOIN agent g USING (organization_id, agent_id) "
    "JOIN person p ON p.person_id = g.owner_id JOIN membership m ON m.organization_id = "
    "g.organization_id AND m.person_id = g.owner_id WHERE c.organization_id = (SELECT org()) AND "
    "c.credential_id = ANY ($1::uuid[]) AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR "
    "c.expires_at > now()) AND g.state = 'active' AND p.is_active AND m.left_at IS NULL",
    0
};
static struct fl_sql sql_session_by_hash = { "session_by_hash", "SELECT * FROM session_by_hash($1)",
                                             0 };
static struct fl_sql sql_session_create = {
    "session_create",
    "INSERT INTO mcp_session (organization_id, session_hash, credential_id, version, facts) "
    "SELECT org(), $1, $2, $3, $4::jsonb",
    0
};
static struct fl_sql sql_session_ready = {
    "session_ready",
    "UPDATE mcp_session SET is_ready = true, seen_at = now() WHERE " HERE " AND session_hash = $1",
    0
};
static struct fl_sql sql_session_seen = { "session_seen",
                                          "UPDATE mcp_session SET seen_at = now() WHERE " HERE
                                          " AND session_hash = $1 AND seen_at < now() "
                                          "- interval '30 seconds'",
                                          0 };
static struct fl_sql sql_session_stream = {
    "session_stream",
    "UPDATE mcp_session s SET stream_worker = $2, stream_take = $3, seen_at = now() WHERE "
    "s.organization_id = (SELECT org()) AND s.session_hash = $1 AND (s.stream_worker IS NULL OR "
    "NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = s.stream_worker AND w.seen_at > now() - "
    "interval '10 seconds')) RETURNING s.session_hash",
    0
};
static struct fl_sql sql_streams_drop = {
    "session_streams_drop",
    "UPDATE mcp_session s SET stream_worker = NULL FROM (SELECT m.session_hash FROM mcp_session m "
    "JOIN unnest($1::bytea[], $2::uuid[]) u (hash, take) ON m.session_hash = u.hash AND "
    "m.stream_take = u.take WHERE m.organization_id = (SELECT org()) AND m.stream_worker = $3 "
    "ORDER BY m.session_hash FOR NO KEY UPDATE OF m) k WHERE s.organization_id = (SELECT org()) AND "
    "s.session_hash = k.session_hash",
    0
};
static struct fl_sql sql_session_end = { "session_end",
                                         "DELETE FROM mcp_session WHERE " HERE
                                         " AND session_hash = $1 RETURNING credential_id",
                                         0 };
static struct fl_sql sql_sessions_old = { "sessions_old", "SELECT sweep_sessions(" SPAN("$1") ")",
                                          0 };

struct fl_query *fl_store_credential_by_hash(struct fl_tx *tx, struct fl_str hash)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_hash);
    fl_bind_bytes(tx, q, hash);
    return q;
}

struct fl_query *fl_store_agents(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_agents);
}

struct fl_query *fl_store_agent_create(struct fl_tx *tx, const struct fl_uuid *id,
                                       struct fl_str name, struct fl_str title,
                                       const struct fl_uuid *owner, struct fl_str labels_json)
{
    struct fl_query *q = fl_tx_add(tx, &sql_create);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, title.p ? title : FL_STR(""));
    fl_bind_uuid(tx, q, owner);
    fl_bind_text(tx, q, labels_json.p ? labels_json : FL_STR("{}"));
    return q;
}

struct fl_query *fl_store_agent_update(struct fl_tx *tx, struct fl_str name, struct fl_str title,
                                       const struct fl_uuid *owner, const char *state,
                                       struct fl_str labels_json)
{
    struct fl_query *q = fl_tx_add(tx, &sql_update);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, title);
    fl_bind_uuid(tx, q, owner);
    fl_bind_z(tx, q, state);
    fl_bind_text(tx, q, labels_json);
    return q;
}

static struct fl_query *two_ids(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *a,
                                const struct fl_uuid *b)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, a);
    fl_bind_uuid(tx, q, b);
    return q;
}

struct fl_query *fl_store_agents_hand_over(struct fl_tx *tx, const struct fl_uuid *from,
                                           const struct fl_uuid *to)
{
    return two_ids(tx, &sql_hand_over, from, to);
}

struct fl_query *fl_store_credentials(struct fl_tx *tx, const struct fl_uuid *agent)
{
    struct fl_query *q = fl_tx_add(tx, &sql_credentials);
    fl_bind_uuid(tx, q, agent);
    return q;
}

void fl_store_credential_create(struct fl_tx *tx, const struct fl_uuid *id,
                                const struct fl_uuid *agent, struct fl_str name, struct fl_str hash,
                                const char *client, int64_t hold_ms, const char *tools_csv,
                                int64_t expires_at_ms)
{
    struct fl_query *q = two_ids(tx, &sql_credential_create, id, agent);
    fl_bind_text(tx, q, name.p ? name : FL_STR(""));
    fl_bind_bytes(tx, q, hash);
    fl_bind_z(tx, q, client);
    fl_bind_int(tx, q, hold_ms);
    fl_bind_z(tx, q, tools_csv);
    fl_bind_int(tx, q, expires_at_ms);
}

struct fl_query *fl_store_credential_revoke(struct fl_tx *tx, const struct fl_uuid *id,
                                            const struct fl_uuid *agent)
{
    return two_ids(tx, &sql_revoke, id, agent);
}

struct fl_query *fl_store_credentials_usable(struct fl_tx *tx, struct fl_array *ids)
{
    struct fl_query *q = fl_tx_add(tx, &sql_usable);
    fl_bind_array(tx, q, ids);
    return q;
}

static struct fl_query *of_session(struct fl_tx *tx, struct fl_sql *sql, struct fl_str hash)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_bytes(tx, q, hash);
    return q;
}

struct fl_query *fl_store_session_by_hash(struct fl_tx *tx, struct fl_str hash)
{
    return of_session(tx, &sql_session_by_hash, hash);
}

void fl_store_session_create(struct fl_tx *tx, struct fl_str hash, const struct fl_uuid *credential,
                             struct fl_str version, struct fl_str facts_json)
{
    struct fl_query *q = of_session(tx, &sql_session_create, hash);
    fl_bind_uuid(tx, q, credential);
    fl_bind_text(tx, q, version);
    fl_bind_text(tx, q, facts_json);
}

void fl_store_session_ready(struct fl_tx *tx, struct fl_str hash)
{
    of_session(tx, &sql_session_ready, hash);
}

void fl_store_session_seen(struct fl_tx *tx, struct fl_str hash)
{
    of_session(tx, &sql_session_seen, hash);
}

struct fl_query *fl_store_session_stream(struct fl_tx *tx, struct fl_str hash,
                                         const struct fl_uuid *worker, const struct fl_uuid *take)
{
    struct fl_query *q = of_session(tx, &sql_session_stream, hash);
    fl_bind_uuid(tx, q, worker);
    fl_bind_uuid(tx, q, take);
    return q;
}

void fl_store_session_streams_drop(struct fl_tx *tx, struct fl_array *hashes,
                                   struct fl_array *takes, const struct fl_uuid *worker)
{
    struct fl_query *q = fl_tx_add(tx, &sql_streams_drop);
    fl_bind_array(tx, q, hashes);
    fl_bind_array(tx, q, takes);
    fl_bind_uuid(tx, q, worker);
}

struct fl_query *fl_store_session_end(struct fl_tx *tx, struct fl_str hash)
{
    return of_session(tx, &sql_session_end, hash);
}

struct fl_query *fl_store_sessions_old(struct fl_tx *tx, int64_t older_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_sessions_old);
    fl_bind_int(tx, q, older_ms);
    return q;
}
