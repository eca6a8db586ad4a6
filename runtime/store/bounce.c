/* Mail addresses that do not exist any more. */
#include "runtime/store/bounce.h"

#include "runtime/store/sql.h"

static struct fl_sql sql_addresses = {
    "addresses",
    "SELECT i.person_id, i.external_id, p.name FROM chat_identity i JOIN person p USING (person_id) "
    "WHERE i.organization_id = (SELECT org()) AND i.kind = 'mail' AND i.dead_at IS NULL",
    0
};

/* A lost card's row goes, and its link with it. All channels of its approval are looked at again:
 * this one told nobody else, the later ones waited for it. */
static struct fl_sql sql_dead = {
    "address_dead",
    "WITH moved AS (UPDATE chat_identity SET dead_at = now(), dead_why = $9 WHERE organization_id = "
    "(SELECT org()) AND kind = 'mail' AND external_id = $8 AND dead_at IS NULL RETURNING "
    "person_id), " NOTED_FIRST ", lost AS (DELETE FROM card_message m USING channel c, moved WHERE "
    "m.organization_id = (SELECT org()) AND c.organization_id = m.organization_id AND c.channel_id "
    "= m.channel_id AND c.kind = 'mail' AND m.place = $8 RETURNING m.approval_id, m.channel_id), "
    "again AS (UPDATE outbox o SET wanted = o.wanted + 1, next_at = greatest(o.next_at, now()), "
    "delivered_at = CASE WHEN EXISTS (SELECT 1 FROM lost l WHERE l.approval_id = o.approval_id AND "
    "l.channel_id = o.channel_id) AND NOT EXISTS (SELECT 1 FROM card_message m WHERE "
    "m.organization_id = o.organization_id AND m.approval_id = o.approval_id AND m.channel_id = "
    "o.channel_id AND m.place <> $8 AND m.message IS NOT NULL) THEN NULL ELSE o.delivered_at END "
    "FROM approval a WHERE o.organization_id = (SELECT org()) AND a.organization_id = "
    "o.organization_id AND a.approval_id = o.approval_id AND a.state = 'pending' AND o.approval_id "
    "IN (SELECT approval_id FROM lost)) SELECT person_id FROM moved",
    0
};

struct fl_query *fl_store_addresses(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_addresses);
}

struct fl_query *fl_store_address_dead(struct fl_tx *tx, struct fl_str address, struct fl_str why,
                                       const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_dead);
    tx->is_alone = true;
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, address);
    fl_bind_text(tx, q, why);
    return q;
}
