/* Tables alert and alert_post. */
#include "runtime/store/alert.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"
#define POST                                                                                       \
    "WHERE " HERE " AND alert_id = $1 AND person_id = $2 AND channel_id = $3 AND place = $4"

/* Those that were seen long ago go on the way. */
static struct fl_sql sql_owners = {
    "alert_owners",
    "WITH old AS (DELETE FROM alert WHERE " HERE
    " AND (alert_id, person_id) IN (SELECT alert_id, person_id FROM alert WHERE " HERE
    " AND created_at < now() - interval '90 days' FOR UPDATE SKIP LOCKED)) "
    "INSERT INTO alert (organization_id, alert_id, person_id, kind, text, approval_id) SELECT "
    "m.organization_id, $1, m.person_id, $2, $3, $4 FROM membership m JOIN person p USING "
    "(person_id) WHERE m.organization_id = (SELECT org()) AND m.role = 'owner' AND m.left_at IS "
    "NULL AND p.is_active AND ($4::uuid IS NULL OR NOT EXISTS (SELECT 1 FROM alert a WHERE "
    "a.organization_id = m.organization_id AND a.kind = $2 AND a.approval_id = $4))",
    0
};
static struct fl_sql sql_person = {
    "alert_person",
    "INSERT INTO alert (organization_id, alert_id, person_id, kind, text) SELECT org(), $1, $2, $3, "
    "$4",
    0
};
static struct fl_sql sql_alerts = {
    "alerts",
    "SELECT alert_id, kind, text, approval_id, " MS("created_at") ", " MS(
        "seen_at") " FROM alert WHERE " HERE
                   " AND person_id = $1 AND (NOT $2 OR seen_at IS NULL) ORDER BY created_at DESC, "
                   "alert_id LIMIT 200",
    0
};
static struct fl_sql sql_seen = {
    "alerts_seen",
    "WITH old AS (SELECT alert_id FROM alert WHERE " HERE
    " AND person_id = $1 AND seen_at IS NULL ORDER BY alert_id FOR NO KEY UPDATE) UPDATE alert a SET "
    "seen_at = now() FROM old WHERE a.organization_id = (SELECT org()) AND a.alert_id = old.alert_id "
    "AND a.person_id = $1 RETURNING a.alert_id",
    0
};
static struct fl_sql sql_due = {
    "alerts_due",
    "SELECT d.alert_id, d.person_id, d.place, a.text, d.tries, a.kind FROM alert_post d JOIN alert a USING "
    "(organization_id, alert_id, person_id) WHERE d.organization_id = (SELECT org()) AND "
    "d.channel_id = $1 AND d.posted_at IS NULL AND d.next_at <= now() AND EXISTS (SELECT 1 FROM "
    "chat_identity i WHERE i.organization_id = d.organization_id AND i.person_id = d.person_id AND "
    "i.external_id = d.place AND i.disabled_at IS NULL AND i.dead_at IS NULL) AND NOT EXISTS (SELECT 1 FROM alert_post o WHERE o.organization_id = "
    "d.organization_id AND o.alert_id = d.alert_id AND o.person_id = d.person_id AND o.place = "
    "d.place AND o.posted_at IS NOT NULL) ORDER BY a.created_at LIMIT $2",
    0
};
static struct fl_sql sql_posted = { "alert_posted", "UPDATE alert_post SET posted_at = now() " POST,
                                    0 };
static struct fl_sql sql_later = {
    "alert_later",
    "UPDATE alert_post SET tries = tries + 1, next_at = now() + " SPAN("$5") " " POST, 0
};

void fl_store_alert_owners(struct fl_tx *tx, const char *kind, struct fl_str text,
                           const struct fl_uuid *approval)
{
    struct fl_uuid id = fl_uuid_new();
    struct fl_query *q = fl_tx_add(tx, &sql_owners);
    fl_bind_uuid(tx, q, &id);
    fl_bind_z(tx, q, kind);
    fl_bind_text(tx, q, text);
    fl_bind_uuid(tx, q, approval);
}

void fl_store_alert_person(struct fl_tx *tx, const char *kind, struct fl_str text,
                           const struct fl_uuid *person)
{
    struct fl_uuid id = fl_uuid_new();
    struct fl_query *q = fl_tx_add(tx, &sql_person);
    fl_bind_uuid(tx, q, &id);
    fl_bind_uuid(tx, q, person);
    fl_bind_z(tx, q, kind);
    fl_bind_text(tx, q, text);
}

struct fl_query *fl_store_alerts(struct fl_tx *tx, const struct fl_uuid *person, bool unseen_only)
{
    struct fl_query *q = fl_tx_add(tx, &sql_alerts);
    fl_bind_uuid(tx, q, person);
    fl_bind_bool(tx, q, unseen_only);
    return q;
}

struct fl_query *fl_store_alerts_seen(struct fl_tx *tx, const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, &sql_seen);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_alerts_due(struct fl_tx *tx, const struct fl_uuid *channel, int most)
{
    struct fl_query *q = fl_tx_add(tx, &sql_due);
    fl_bind_uuid(tx, q, channel);
    fl_bind_int(tx, q, most);
    return q;
}

static struct fl_query *post(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *alert,
                             const struct fl_uuid *person, const struct fl_uuid *channel,
                             struct fl_str place)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, alert);
    fl_bind_uuid(tx, q, person);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    return q;
}

void fl_store_alert_posted(struct fl_tx *tx, const struct fl_uuid *alert,
                           const struct fl_uuid *person, const struct fl_uuid *channel,
                           struct fl_str place)
{
    post(tx, &sql_posted, alert, person, channel, place);
}

void fl_store_alert_later(struct fl_tx *tx, const struct fl_uuid *alert,
                          const struct fl_uuid *person, const struct fl_uuid *channel,
                          struct fl_str place, int64_t in_ms)
{
    fl_bind_int(tx, post(tx, &sql_later, alert, person, channel, place), in_ms);
}
