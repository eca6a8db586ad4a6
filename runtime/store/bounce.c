/* Mail addresses that do not exist any more. */
#include "runtime/store/bounce.h"

#include "runtime/store/sql.h"

#define SENT AT("$10") /* when the mail was made that came back */

/* Of what still waits. */
#define PENDING(which)                                                                             \
    IN_ORDER("JOIN approval a USING (organization_id, approval_id) WHERE o.organization_id = "     \
             "(SELECT org()) AND a.state = 'pending' AND o.approval_id IN (SELECT approval_id "    \
             "FROM " which ")")

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
    "(SELECT org()) AND kind = 'mail' AND external_id = $8 AND dead_at IS NULL AND linked_at < " SENT
    " RETURNING "
    "person_id), " NOTED_FIRST ", lost AS (DELETE FROM card_message m USING " CARDS_IN_ORDER(
        "UPDATE",
        "place = $8 AND channel_id IN (SELECT c.channel_id FROM channel c WHERE c.organization_id = "
        "(SELECT org()) AND c.kind = 'mail') AND EXISTS (SELECT 1 FROM moved)") " WHERE " IS_CARD
                                                                                " RETURNING m.approval_id, m.channel_id), "
                                                                                "again AS (UPDATE outbox o SET wanted = o.wanted + 1, next_at = greatest(o.next_at, now()), "
                                                                                "delivered_at = CASE WHEN EXISTS (SELECT 1 FROM lost l WHERE l.approval_id = o.approval_id AND "
                                                                                "l.channel_id = o.channel_id) AND NOT EXISTS (SELECT 1 FROM card_message m WHERE "
                                                                                "m.organization_id = o.organization_id AND m.approval_id = o.approval_id AND m.channel_id = "
                                                                                "o.channel_id AND m.place <> $8 AND m.message IS NOT NULL) THEN NULL ELSE o.delivered_at END "
                                                                                "FROM " PENDING(
                                                                                    "lost") " WHERE " IS_NEXT
                                                                                            ") SELECT person_id FROM moved",
    0
};

/* The card stays, as the address is right: but it is nowhere where anybody reads it. Its channel is
 * not asked again, which would mail it once more; the others are. */
static struct fl_sql sql_bounced = {
    "card_bounced",
    "WITH hit AS (UPDATE card_message m SET bounced_at = now() FROM approval a WHERE "
    "m.organization_id = (SELECT org()) AND m.card_id = $1 AND m.place = $2 AND a.organization_id = "
    "m.organization_id AND a.approval_id = m.approval_id AND a.state = 'pending' RETURNING "
    "m.approval_id, m.channel_id), again AS (UPDATE outbox o SET delivered_at = CASE WHEN "
    "o.channel_id = h.channel_id THEN NULL ELSE o.delivered_at END, trouble = CASE WHEN o.channel_id "
    "= h.channel_id THEN $3 ELSE o.trouble END, wanted = o.wanted + CASE WHEN o.channel_id = "
    "h.channel_id THEN 0 ELSE 1 END, next_at = CASE WHEN o.channel_id = h.channel_id OR o.tries > 0 "
    "THEN o.next_at ELSE now() END FROM hit h, " PENDING(
        "hit") " WHERE " IS_NEXT " AND NOT EXISTS (SELECT 1 FROM card_message m WHERE "
               "m.organization_id = o.organization_id AND m.approval_id = h.approval_id AND m.channel_id = "
               "h.channel_id AND m.card_id <> $1 AND m.message IS NOT NULL AND m.bounced_at IS NULL)) SELECT "
               "approval_id FROM hit",
    0
};

struct fl_query *fl_store_addresses(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_addresses);
}

struct fl_query *fl_store_address_dead(struct fl_tx *tx, struct fl_str address, struct fl_str why,
                                       int64_t sent_ms, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_dead);
    tx->is_alone = true;
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, address);
    fl_bind_text(tx, q, why);
    fl_bind_int(tx, q, sent_ms);
    return q;
}

struct fl_query *fl_store_card_bounced(struct fl_tx *tx, const struct fl_uuid *card,
                                       struct fl_str address, struct fl_str why)
{
    struct fl_query *q = fl_tx_add(tx, &sql_bounced);
    tx->is_alone = true;
    fl_bind_uuid(tx, q, card);
    fl_bind_text(tx, q, address);
    fl_bind_text(tx, q, why);
    return q;
}
