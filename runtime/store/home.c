/* Table slack_home. */
#include "runtime/store/home.h"

#include "runtime/store/sql.h"

#define THEIRS "organization_id = (SELECT org()) AND channel_id = $1"

static struct fl_sql sql_opened = {
    "home_opened",
    "WITH old AS (DELETE FROM slack_home WHERE " THEIRS
    " AND external_id IN (SELECT external_id FROM slack_home WHERE " THEIRS
    " AND external_id <> $2 AND seen_at < now() - interval '7 days'" FREE_ONLY
    ")) INSERT INTO slack_home (organization_id, channel_id, external_id, team, "
    "user_id, seen_at, shown, published_at) SELECT org(), $1, $2, $3, $4, now(), $5, now() ON "
    "CONFLICT (organization_id, channel_id, external_id) DO UPDATE SET seen_at = now(), shown = "
    "excluded.shown, published_at = now()",
    0
};
static struct fl_sql sql_published = { "home_published",
                                       "UPDATE slack_home SET shown = $3, published_at = now() "
                                       "WHERE " THEIRS " AND external_id = $2",
                                       0 };
static struct fl_sql sql_homes = {
    "homes",
    "SELECT external_id, team, user_id, shown, published_at > now() - " SPAN(
        "$2") " FROM slack_home "
              "WHERE " THEIRS
              " AND seen_at > now() - interval '1 day' ORDER BY seen_at DESC LIMIT 100",
    0
};

void fl_store_home_put(struct fl_tx *tx, const struct fl_uuid *channel, const struct fl_home *home,
                       struct fl_str shown, bool is_opened)
{
    struct fl_query *q = fl_tx_add(tx, is_opened ? &sql_opened : &sql_published);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, home->external);
    if (is_opened) {
        fl_bind_text(tx, q, home->team);
        fl_bind_text(tx, q, home->user);
    }
    fl_bind_bytes(tx, q, shown);
}

struct fl_query *fl_store_homes(struct fl_tx *tx, const struct fl_uuid *channel)
{
    struct fl_query *q = fl_tx_add(tx, &sql_homes);
    fl_bind_uuid(tx, q, channel);
    fl_bind_int(tx, q, FL_HOME_FRESH_MS);
    return q;
}
