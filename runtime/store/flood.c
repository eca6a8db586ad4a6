/* Floods of cards, and table digest_message. */
#include "runtime/store/flood.h"

#include "runtime/store/sql.h"

#define HERE   "organization_id = (SELECT org())"
#define DIGEST "WHERE " HERE " AND digest_id = $1"
/* Has no card yet and is to get one; `o` is the row of the outbox. */
#define UNTOLD                                                                                     \
    "o.organization_id = (SELECT org()) AND o.channel_id = $1 AND o.delivered_at IS NULL AND "     \
    "o.done < o.wanted AND o.next_at <= now() + interval '10 seconds'"
#define FOLDED                                                                                     \
    "o.organization_id = (SELECT org()) AND o.channel_id = $1 AND o.delivered_at IS NULL AND "     \
    "o.done < o.wanted AND o.folded_at IS NOT NULL"

#define IS_URGENT "coalesce(a.ask -> 'urgent' = 'true', false)"

static struct fl_sql sql_flood = {
    "flood",
    "SELECT (SELECT count(*) FROM outbox o WHERE " UNTOLD
    "), (SELECT count(*) FROM outbox WHERE " HERE
    " AND channel_id = $1 AND delivered_at > now() - interval '1 minute'), EXISTS (SELECT 1 "
    "FROM digest_message WHERE " HERE
    " AND channel_id = $1) OR EXISTS (SELECT 1 FROM outbox o WHERE " FOLDED ")",
    0
};
/* A later step of the ladder that has nothing to tell is no card. What is urgent has a share of its
 * own: neither the rest of its agent's calls nor an agent that makes everything urgent drowns it.
 */
static struct fl_sql sql_fold = {
    "flood_fold",
    "WITH told AS (SELECT a.agent_id, " IS_URGENT
    " AS is_urgent, count(*) FILTER (WHERE d.delivered_at > now() - interval '1 "
    "minute') AS n1, count(*) AS n10 FROM outbox d JOIN approval a USING (organization_id, "
    "approval_id) WHERE d.organization_id = (SELECT org()) AND d.channel_id = $1 AND d.delivered_at "
    "> now() - interval '10 minutes' GROUP BY 1, 2), waiting AS (SELECT o.approval_id, a.agent_id, " IS_URGENT
    " AS is_urgent, o.folded_at, a.expires_at, o.is_called OR EXISTS (SELECT 1 FROM card_message c WHERE "
    "c.organization_id = o.organization_id AND c.approval_id = o.approval_id AND c.channel_id = "
    "o.channel_id AND (c.message IS NOT NULL OR c.tries > 0 OR c.host IS NOT NULL)) AS stays FROM outbox o JOIN approval a "
    "USING (organization_id, approval_id) WHERE " UNTOLD " AND a.state = 'pending' AND NOT EXISTS "
    "(SELECT 1 FROM outbox e WHERE e.organization_id = o.organization_id AND e.approval_id = "
    "o.approval_id AND e.step < o.step AND (e.delivered_at IS NOT NULL OR e.digested_at IS NOT "
    "NULL))), ranked AS (SELECT w.*, row_number() OVER (PARTITION BY agent_id, is_urgent ORDER BY stays DESC, "
    "folded_at IS NOT NULL, expires_at, approval_id) AS rank FROM waiting w), sums AS (SELECT "
    "(SELECT count(*) FROM waiting) + (SELECT coalesce(sum(n1), 0) FROM told) AS total, (SELECT "
    "count(*) FROM (SELECT agent_id FROM waiting UNION SELECT agent_id FROM told WHERE n1 > 0) x) AS "
    "agents), verdict AS (SELECT r.approval_id, s.total > $2::bigint AND NOT r.stays AND r.rank > "
    "greatest(greatest($2::bigint / greatest(s.agents, 1), 1) - coalesce(t.n10, 0), CASE WHEN "
    "coalesce(t.n1, 0) = 0 THEN 1 ELSE 0 END) AS folds FROM ranked r CROSS JOIN sums s LEFT JOIN "
    "told t USING (agent_id, is_urgent)) UPDATE outbox o SET folded_at = CASE WHEN k.folds THEN now() END FROM " IN_ORDER_WITH(
        ", v.folds",
        "JOIN verdict v USING (approval_id) WHERE o.organization_id = (SELECT org()) AND "
        "o.channel_id = $1 AND (o.folded_at IS NOT NULL) <> v.folds") " WHERE " IS_NEXT,
    0
};
static struct fl_sql sql_any = { "flood_any",
                                 "SELECT EXISTS (SELECT 1 FROM outbox o WHERE " FOLDED ")", 0 };
static struct fl_sql sql_counts = {
    "flood_counts",
    "SELECT g.name, a.agent_id, a.tool, a.ask, a.owner_id, g.owner_id, count(*), count(*) FILTER "
    "(WHERE o.digested_at IS NULL), " US(
        "now()") " FROM outbox o JOIN approval a USING (organization_id, "
                 "approval_id) JOIN agent g ON g.organization_id = a.organization_id AND g.agent_id = a.agent_id "
                 "WHERE " FOLDED
                 " AND a.state = 'pending' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 7 DESC, 1, 3 LIMIT "
                 "$2",
    0
};
static struct fl_sql sql_counted = {
    "flood_counted",
    "UPDATE outbox o SET digested_at = now() FROM " IN_ORDER(
        "JOIN approval a USING (organization_id, approval_id) WHERE " FOLDED
        " AND o.digested_at IS NULL AND a.agent_id = $2 AND a.tool = $3 AND a.ask = $4::jsonb AND "
        "a.owner_id IS NOT DISTINCT FROM $5::uuid AND o.folded_at <= " AT_US(
            "$6")) " WHERE " IS_NEXT,
    0
};
static struct fl_sql sql_call = {
    "flood_call",
    "UPDATE outbox o SET is_called = true, folded_at = NULL, next_at = now() FROM " IN_ORDER(
        "WHERE o.organization_id = (SELECT org()) AND o.channel_id = $1 AND o.approval_id IN (SELECT "
        "o.approval_id FROM outbox o JOIN approval a USING (organization_id, approval_id) WHERE " FOLDED
        " AND a.state = 'pending' AND a.agent_id = $2 ORDER BY a.expires_at, a.approval_id LIMIT "
        "$3)") " WHERE " IS_NEXT " RETURNING o.approval_id",
    0
};
static struct fl_sql sql_digests = {
    "digests",
    "SELECT digest_id, place, person_id, message, asks_stop, is_stale, shown FROM digest_message "
    "WHERE " HERE " AND channel_id = $1 ORDER BY place",
    0
};
static struct fl_sql sql_put = {
    "digest_put",
    "INSERT INTO digest_message (organization_id, digest_id, channel_id, place, person_id) SELECT "
    "org(), $1, $2, $3, $4",
    0
};
static struct fl_sql sql_shown = {
    "digest_shown",
    "UPDATE digest_message SET message = coalesce($2, message), shown = $3, is_stale = false " DIGEST,
    0
};
static struct fl_sql sql_drop = { "digest_drop", "DELETE FROM digest_message " DIGEST, 0 };
static struct fl_sql sql_get = {
    "digest_get",
    "SELECT d.digest_id, g.name FROM digest_message d LEFT JOIN agent g ON g.organization_id = "
    "d.organization_id AND g.agent_id = $4 WHERE d.organization_id = (SELECT org()) AND d.channel_id "
    "= $1 AND d.place = $2 AND d.message = $3",
    0
};
static struct fl_sql sql_ask = {
    "digest_ask", "UPDATE digest_message SET asks_stop = $2, is_stale = true " DIGEST, 0
};

static struct fl_query *of(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_flood(struct fl_tx *tx, const struct fl_uuid *channel)
{
    return of(tx, &sql_flood, channel);
}

void fl_store_flood_fold(struct fl_tx *tx, const struct fl_uuid *channel, int most)
{
    tx->is_alone = true;
    fl_bind_int(tx, of(tx, &sql_fold, channel), most);
}

struct fl_query *fl_store_flood_any(struct fl_tx *tx, const struct fl_uuid *channel)
{
    return of(tx, &sql_any, channel);
}

struct fl_query *fl_store_flood_counts(struct fl_tx *tx, const struct fl_uuid *channel, int most)
{
    struct fl_query *q = of(tx, &sql_counts, channel);
    fl_bind_int(tx, q, most);
    return q;
}

void fl_store_flood_counted(struct fl_tx *tx, const struct fl_uuid *channel,
                            const struct fl_uuid *agent, struct fl_str tool, struct fl_str ask,
                            const struct fl_uuid *owner, int64_t at_us)
{
    struct fl_query *q = of(tx, &sql_counted, channel);
    tx->is_alone = true;
    fl_bind_uuid(tx, q, agent);
    fl_bind_text(tx, q, tool);
    fl_bind_text(tx, q, ask);
    fl_bind_uuid(tx, q, owner);
    fl_bind_int(tx, q, at_us);
}

struct fl_query *fl_store_flood_call(struct fl_tx *tx, const struct fl_uuid *channel,
                                     const struct fl_uuid *agent, int most)
{
    struct fl_query *q = of(tx, &sql_call, channel);
    tx->is_alone = true;
    fl_bind_uuid(tx, q, agent);
    fl_bind_int(tx, q, most);
    return q;
}

struct fl_query *fl_store_digests(struct fl_tx *tx, const struct fl_uuid *channel)
{
    return of(tx, &sql_digests, channel);
}

void fl_store_digest_put(struct fl_tx *tx, const struct fl_uuid *digest,
                         const struct fl_uuid *channel, struct fl_str place,
                         const struct fl_uuid *person)
{
    struct fl_query *q = of(tx, &sql_put, digest);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    fl_bind_uuid(tx, q, person);
}

void fl_store_digest_shown(struct fl_tx *tx, const struct fl_uuid *digest, struct fl_str message,
                           struct fl_str shown)
{
    struct fl_query *q = of(tx, &sql_shown, digest);
    fl_bind_text(tx, q, message);
    fl_bind_bytes(tx, q, shown);
}

void fl_store_digest_drop(struct fl_tx *tx, const struct fl_uuid *digest)
{
    of(tx, &sql_drop, digest);
}

struct fl_query *fl_store_digest_get(struct fl_tx *tx, const struct fl_uuid *channel,
                                     struct fl_str place, struct fl_str message,
                                     const struct fl_uuid *agent)
{
    struct fl_query *q = of(tx, &sql_get, channel);
    fl_bind_text(tx, q, place);
    fl_bind_text(tx, q, message);
    fl_bind_uuid(tx, q, agent);
    return q;
}

void fl_store_digest_ask(struct fl_tx *tx, const struct fl_uuid *digest,
                         const struct fl_uuid *agent)
{
    fl_bind_uuid(tx, of(tx, &sql_ask, digest), agent);
}
