/* Table closed_place. */
#include "runtime/store/place.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_close = {
    "place_close",
    "WITH fresh AS (INSERT INTO closed_place (organization_id, channel_id, place, why) SELECT org(), "
    "$1, $2, $3 ON CONFLICT DO NOTHING RETURNING place), its AS (SELECT m.approval_id, m.channel_id "
    "FROM card_message m, fresh WHERE m.organization_id = (SELECT org()) AND m.channel_id = $1 AND "
    "m.place = $2) " AGAIN("its"),
    0
};
static struct fl_sql sql_open = {
    "place_open",
    "WITH gone AS (DELETE FROM closed_place WHERE " HERE
    " AND channel_id = $1 AND place = $2 RETURNING place), its AS (SELECT w.approval_id, "
    "w.channel_id FROM outbox w JOIN approval a USING (organization_id, approval_id), gone WHERE "
    "w.organization_id = (SELECT org()) AND w.channel_id = $1 AND a.state = 'pending') " AGAIN(
        "its"),
    0
};
static struct fl_sql sql_closed = {
    "places_closed", "SELECT place, why FROM closed_place WHERE " HERE " AND channel_id = $1", 0
};

static struct fl_query *of(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *channel,
                           struct fl_str place)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    tx->is_alone = true;
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    return q;
}

void fl_store_place_close(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place,
                          const char *why)
{
    fl_bind_z(tx, of(tx, &sql_close, channel, place), why);
}

void fl_store_place_open(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place)
{
    of(tx, &sql_open, channel, place);
}

struct fl_query *fl_store_places_closed(struct fl_tx *tx, const struct fl_uuid *channel)
{
    struct fl_query *q = fl_tx_add(tx, &sql_closed);
    fl_bind_uuid(tx, q, channel);
    return q;
}
