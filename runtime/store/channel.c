/* Table channel. */
#include "runtime/store/channel.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"
#define MINE "WHERE " HERE " AND channel_id = $1"

static struct fl_sql sql_list = {
    "channels",
    "SELECT c.channel_id, c.name, c.kind, c.config, c.disclose, c.is_enabled, c.secret IS NOT "
    "NULL, c.facts, c.trouble, " MS("c.delivered_at") ", CASE WHEN c.paused_until > now() THEN " MS(
        "c.paused_until") " END, (SELECT count(*) FROM outbox o WHERE o.organization_id = "
                          "c.organization_id AND o.channel_id = c.channel_id AND o.done < "
                          "o.wanted), " MS(
                              "c.tested_at") ", CASE WHEN c.kind = 'mail' THEN (SELECT nullif(count(*), 0) FROM "
                                             "chat_identity i WHERE i.organization_id = c.organization_id AND i.kind = 'mail' AND "
                                             "i.dead_at IS NOT NULL) END FROM channel c WHERE "
                                             "c.organization_id = (SELECT org()) ORDER BY c.name",
    0
};
static struct fl_sql sql_get = {
    "channel_get",
    "SELECT name, kind, config, disclose, is_enabled, secret, facts, cursor, revision, CASE WHEN "
    "paused_until > now() THEN " MS("paused_until") " END, failures FROM channel " MINE,
    0
};
static struct fl_sql sql_by_name = { "channel_by_name", "SELECT * FROM channel_by_name($1, $2)",
                                     0 };
static struct fl_sql sql_create = {
    "channel_create",
    "WITH moved AS (INSERT INTO channel (organization_id, channel_id, name, kind, config, secret, "
    "disclose) SELECT org(), $8, $9, $10, $11::jsonb, $12::bytea, $13 ON CONFLICT "
    "(organization_id, name) DO NOTHING RETURNING channel_id), " NOTED_FIRST
    "SELECT channel_id FROM moved",
    0
};
/* What failed is tried at once as it is set up now. Before the channel's own row, as whoever sends
 * has them. */
static struct fl_sql sql_retry = {
    "channel_retry",
    "UPDATE outbox o SET next_at = now(), tries = 0 FROM " IN_ORDER(
        "JOIN channel c USING (organization_id, channel_id) WHERE o.organization_id = (SELECT org()) "
        "AND c.name = $1 AND o.tries > 0 AND o.done < o.wanted") " WHERE " IS_NEXT,
    0
};
/* Another bot, or another server, has other numbers for its updates. */
static struct fl_sql sql_update = {
    "channel_update",
    "WITH moved AS (UPDATE channel SET config = coalesce($9::jsonb, config), secret = "
    "coalesce($10::bytea, secret), disclose = coalesce($11, disclose), is_enabled = "
    "coalesce($12::boolean, is_enabled), cursor = CASE WHEN kind = 'telegram' AND ($10::bytea IS NOT "
    "NULL OR $9::jsonb->>'base_url' IS DISTINCT FROM config->>'base_url' AND $9::jsonb IS NOT NULL) "
    "THEN 0 ELSE cursor END, revision = revision + 1, failures = 0, paused_until = "
    "NULL, trouble = '' WHERE " HERE " AND name = $8 RETURNING channel_id), " NOTED_FIRST
    "SELECT channel_id FROM moved",
    0
};
/* They go with their channel, which finds them in any order. */
#define LOCKED(table, key)                                                                         \
    "SELECT count(*) FROM (SELECT 1 FROM " table " t JOIN channel c USING (organization_id, "      \
    "channel_id) WHERE t.organization_id = (SELECT org()) AND c.name = $1 ORDER BY " key           \
    " FOR UPDATE OF t) l"
static struct fl_sql sql_lock_cards = { "channel_cards", LOCKED("card_message", "t.card_id"), 0 };
static struct fl_sql sql_lock_digests = { "channel_digests",
                                          LOCKED("digest_message", "t.digest_id"), 0 };
static struct fl_sql sql_lock_outbox = { "channel_outbox", LOCKED("outbox", "t.approval_id"), 0 };
static struct fl_sql sql_remove = { "channel_remove",
                                    "WITH moved AS (DELETE FROM channel WHERE " HERE
                                    " AND name = $8 RETURNING channel_id), " NOTED_FIRST
                                    "SELECT channel_id FROM moved",
                                    0 };
static struct fl_sql sql_works = {
    "channel_works",
    "UPDATE channel SET failures = 0, paused_until = NULL, trouble = '', delivered_at = now() " MINE,
    0
};
static struct fl_sql sql_fails = {
    "channel_fails",
    "UPDATE channel SET failures = $2, trouble = $3, paused_until = now() + " SPAN(
        "$4") " " MINE " AND revision = $5",
    0
};
static struct fl_sql sql_tested = { "channel_tested", "UPDATE channel SET tested_at = now() " MINE,
                                    0 };
static struct fl_sql sql_testing = {
    "channel_testing",
    "UPDATE channel SET facts = facts || jsonb_build_object('test_sent', now()) " MINE, 0
};
static struct fl_sql sql_test_age = {
    "channel_test_age",
    "SELECT " MS("now() - (facts->>'test_sent')::timestamptz") " FROM channel " MINE, 0
};
static struct fl_sql sql_facts = { "channel_facts",
                                   "UPDATE channel SET facts = facts || $2::jsonb " MINE
                                   " AND facts || $2::jsonb <> facts",
                                   0 };
static struct fl_sql sql_cursor = { "channel_cursor",
                                    "UPDATE channel SET cursor = greatest(cursor, $2) " MINE, 0 };
/* A channel that was changed has another revision; one that begins anew has another cursor, too. */
static struct fl_sql sql_next_update = { "channel_next_update",
                                         "UPDATE channel SET cursor = $2 " MINE
                                         " AND (revision = $3 OR (cursor = $4 AND cursor > 0))",
                                         0 };
static struct fl_sql sql_sweep = { "sweep_channels", "SELECT * FROM sweep_channels($1)", 0 };
static struct fl_sql sql_lease_end = { "lease_end",
                                       "DELETE FROM lease WHERE name = $1 AND owner = $2", 0 };

/* Old ones are swept on the way, a few at a time and none that another sweeps. */
static struct fl_sql sql_once = {
    "once",
    "WITH old AS (DELETE FROM lease WHERE name IN (SELECT name FROM lease WHERE name LIKE 'once %' "
    "AND until < now() LIMIT 20 FOR UPDATE SKIP LOCKED)) INSERT INTO lease (name, owner, until) "
    "VALUES ('once ' || $1, gen_random_uuid(), now() + " SPAN("$2") ") ON CONFLICT DO NOTHING "
                                                                    "RETURNING fence",
    0
};

static struct fl_query *mine(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_channels(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_list);
}

struct fl_query *fl_store_channel_get(struct fl_tx *tx, const struct fl_uuid *id)
{
    return mine(tx, &sql_get, id);
}

struct fl_query *fl_store_channel_by_name(struct fl_tx *tx, struct fl_str organization,
                                          struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_name);
    fl_bind_text(tx, q, organization);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_channel_create(struct fl_tx *tx, const struct fl_uuid *id,
                                         struct fl_str name, struct fl_str kind,
                                         struct fl_str config_json, struct fl_str secret,
                                         struct fl_str disclose, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_create);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, kind);
    fl_bind_text(tx, q, config_json);
    fl_bind_bytes(tx, q, secret);
    fl_bind_text(tx, q, disclose.p ? disclose : FL_STR("full"));
    return q;
}

static struct fl_query *audited(struct fl_tx *tx, struct fl_sql *sql,
                                const struct fl_audit_row *audit, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_channel_update(struct fl_tx *tx, struct fl_str name,
                                         struct fl_str config_json, struct fl_str secret,
                                         struct fl_str disclose, int is_enabled,
                                         const struct fl_audit_row *audit)
{
    tx->is_alone = true; /* locks rows of the outbox */
    fl_bind_text(tx, fl_tx_add(tx, &sql_retry), name);
    struct fl_query *q = audited(tx, &sql_update, audit, name);
    fl_bind_text(tx, q, config_json);
    fl_bind_bytes(tx, q, secret);
    fl_bind_text(tx, q, disclose);
    if (is_enabled < 0)
        fl_bind_null(q);
    else
        fl_bind_bool(tx, q, is_enabled != 0);
    return q;
}

struct fl_query *fl_store_channel_remove(struct fl_tx *tx, struct fl_str name,
                                         const struct fl_audit_row *audit)
{
    tx->is_alone = true;
    fl_bind_text(tx, fl_tx_add(tx, &sql_lock_cards), name);
    fl_bind_text(tx, fl_tx_add(tx, &sql_lock_digests), name);
    fl_bind_text(tx, fl_tx_add(tx, &sql_lock_outbox), name);
    return audited(tx, &sql_remove, audit, name);
}

void fl_store_channel_works(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_works, id);
}

void fl_store_channel_fails(struct fl_tx *tx, const struct fl_uuid *id, int64_t revision,
                            int failures, struct fl_str trouble, int64_t pause_ms)
{
    struct fl_query *q = mine(tx, &sql_fails, id);
    fl_bind_int(tx, q, failures);
    fl_bind_text(tx, q, trouble);
    fl_bind_int(tx, q, pause_ms);
    fl_bind_int(tx, q, revision);
}

void fl_store_channel_tested(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_tested, id);
}

void fl_store_channel_testing(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_testing, id);
}

struct fl_query *fl_store_channel_test_age(struct fl_tx *tx, const struct fl_uuid *id)
{
    return mine(tx, &sql_test_age, id);
}

void fl_store_channel_facts(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str facts_json)
{
    fl_bind_text(tx, mine(tx, &sql_facts, id), facts_json);
}

void fl_store_channel_cursor(struct fl_tx *tx, const struct fl_uuid *id, int64_t cursor)
{
    fl_bind_int(tx, mine(tx, &sql_cursor, id), cursor);
}

void fl_store_channel_next_update(struct fl_tx *tx, const struct fl_uuid *id, int64_t revision,
                                  int64_t noted, int64_t next)
{
    struct fl_query *q = mine(tx, &sql_next_update, id);
    fl_bind_int(tx, q, next);
    fl_bind_int(tx, q, revision);
    fl_bind_int(tx, q, noted);
}

struct fl_query *fl_store_sweep_channels(struct fl_tx *tx, const struct fl_uuid *worker)
{
    return mine(tx, &sql_sweep, worker);
}

void fl_store_lease_end(struct fl_tx *tx, const char *name, const struct fl_uuid *owner)
{
    struct fl_query *q = fl_tx_add(tx, &sql_lease_end);
    fl_bind_z(tx, q, name);
    fl_bind_uuid(tx, q, owner);
}

struct fl_query *fl_store_once(struct fl_tx *tx, struct fl_str name, int64_t for_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_once);
    fl_bind_text(tx, q, name);
    fl_bind_int(tx, q, for_ms);
    return q;
}
