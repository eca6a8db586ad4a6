/* Tables outbox and card_message. */
#include "runtime/store/outbox.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"
#define ROW  "WHERE " HERE " AND approval_id = $1 AND channel_id = $2"
#define CARD "WHERE " HERE " AND card_id = $1"
/* Nothing of it stands anywhere, and nobody has read it there. */
#define PARTED                                                                                     \
    "host = NULL, message = NULL, shown = NULL, is_read = false, posted_at = NULL, is_marking = "  \
    "false, mark = '', is_parted = true, changed_at = now() "

/* It had to wait before it was ever posted, and may still join others. */
#define UNPOSTED                                                                                   \
    "card_message.message IS NULL AND card_message.tries = 0 AND NOT card_message.is_parted"

/* What nobody could be told last time, though no chat failed: it comes again and again. */
#define IN_VAIN "delivered_at IS NULL AND tries = 0 AND trouble <> ''"

/* What nobody was told first, of agents that were told least in the last minute. */
static struct fl_sql sql_due = {
    "outbox_due",
    "WITH told AS (SELECT a.agent_id, count(*) AS n FROM outbox d JOIN approval a USING "
    "(organization_id, approval_id) WHERE d.organization_id = (SELECT org()) AND d.channel_id = $1 "
    "AND d.delivered_at > now() - interval '1 minute' GROUP BY 1) "
    "SELECT o.approval_id, o.wanted, o.step, o.tries, o.delivered_at IS NOT NULL, EXISTS (SELECT 1 "
    "FROM outbox e WHERE e.organization_id = o.organization_id AND e.approval_id = o.approval_id "
    "AND e.step < o.step AND (e.delivered_at IS NOT NULL OR e.digested_at IS NOT NULL)), "
    "o.is_erased OR coalesce(o.erase_at <= now(), false) FROM outbox o WHERE o.organization_id = "
    "(SELECT org()) AND o.channel_id = $1 AND o.folded_at IS NULL AND o.next_at <= now() AND (o.done "
    "< o.wanted OR o.erase_at <= now() OR o.wake_at <= now()) AND (o.delivered_at IS NOT NULL OR o.created_at <= now() - " SPAN(
        "$3") ") ORDER BY " IN_VAIN ", "
              "o.delivered_at IS NOT NULL, o.done >= o.wanted, CASE WHEN o.delivered_at IS NULL THEN "
              "coalesce((SELECT t.n FROM told t JOIN approval a USING (agent_id) WHERE a.organization_id = "
              "o.organization_id AND a.approval_id = o.approval_id), 0) END, CASE WHEN o.delivered_at IS NULL "
              "THEN o.ends_at END, o.next_at LIMIT $2",
    0
};
static struct fl_sql sql_next = {
    "outbox_next",
    "SELECT greatest(0, (extract(epoch FROM least(min(next_at) FILTER (WHERE done < wanted), "
    "min(greatest(erase_at, next_at)) FILTER (WHERE erase_at IS NOT NULL)) - now()) * "
    "1000)::bigint) FROM outbox WHERE " HERE
    " AND channel_id = $1 AND folded_at IS NULL AND next_at < now() + interval '1 second' AND (done < wanted OR "
    "erase_at < now() + interval '1 second') HAVING count(*) > 0",
    0
};
static struct fl_sql sql_done = {
    "outbox_done",
    "UPDATE outbox SET done = greatest(done, $3), tries = 0, trouble = '', next_at = now(), "
    "delivered_at = CASE WHEN $4 THEN coalesce(delivered_at, now()) ELSE delivered_at END, "
    "erase_at = CASE WHEN $5::bigint >= 0 THEN coalesce(erase_at, now() + " SPAN(
        "$5") ") END, "
              "is_erased = is_erased OR $6, wake_at = CASE WHEN $7::bigint >= 0 THEN now() + " SPAN(
                  "$7") " END " ROW,
    0
};
static struct fl_sql sql_later = {
    "outbox_later",
    "UPDATE outbox SET next_at = now() + " SPAN(
        "$3") ", tries = tries + CASE WHEN $4 THEN 1 ELSE 0 END, trouble = coalesce($5, "
              "trouble), delivered_at = CASE WHEN $6 THEN coalesce(delivered_at, now()) ELSE "
              "delivered_at END " ROW,
    0
};
static struct fl_sql sql_lost_lock = {
    "outbox_lost_lock",
    "SELECT 1 FROM outbox WHERE " HERE " AND approval_id = $1 AND EXISTS (SELECT 1 FROM outbox " ROW
    " AND (delivered_at IS NOT NULL OR ($3 AND trouble = ''))) ORDER BY channel_id FOR UPDATE",
    0
};
static struct fl_sql sql_lost = {
    "outbox_lost",
    "WITH gone AS (UPDATE outbox SET delivered_at = NULL " ROW
    " AND (delivered_at IS NOT NULL OR ($3 AND trouble = '')) RETURNING approval_id) UPDATE outbox o SET wanted = o.wanted + 1, "
    "next_at = CASE WHEN o.tries > 0 THEN o.next_at ELSE now() END FROM gone WHERE "
    "o.organization_id = (SELECT org()) AND o.approval_id = gone.approval_id AND o.channel_id <> $2",
    0
};
static struct fl_sql sql_back = {
    "outbox_back",
    "UPDATE outbox o SET wanted = o.wanted + 1, next_at = CASE WHEN o.tries > 0 THEN o.next_at ELSE "
    "now() END FROM " IN_ORDER(
        "JOIN approval a USING (organization_id, approval_id) JOIN channel c USING (organization_id, "
        "channel_id) WHERE o.organization_id = (SELECT org()) AND a.state = 'pending' AND ($1::text "
        "IS NULL OR c.kind = $1)") " WHERE " IS_NEXT,
    0
};
static struct fl_sql sql_wake = {
    "outbox_wake",
    "UPDATE outbox SET next_at = now() WHERE " HERE
    " AND (approval_id, channel_id) IN (SELECT approval_id, channel_id FROM outbox WHERE " HERE
    " AND done < wanted AND next_at > now() AND " IN_VAIN " FOR UPDATE SKIP LOCKED)",
    0
};
static struct fl_sql sql_again = {
    "outbox_again",
    "UPDATE outbox SET wanted = wanted + 1, next_at = CASE WHEN tries > 0 THEN next_at ELSE now() "
    "END " ROW,
    0
};
static struct fl_sql sql_of = {
    "outbox_of",
    "SELECT c.name, o.delivered_at IS NOT NULL, CASE WHEN o.trouble = '' THEN c.trouble ELSE "
    "o.trouble END, " MS("o.created_at") ", o.step FROM outbox o JOIN channel c USING "
                                         "(organization_id, channel_id) WHERE "
                                         "o.organization_id = (SELECT org()) AND o.approval_id = "
                                         "$1 ORDER BY o.step, c.name",
    0
};
static struct fl_sql sql_unreached = { "sweep_unreached", "SELECT sweep_unreached()", 0 };
static struct fl_sql sql_to_tell = { "sweep_to_tell", "SELECT * FROM sweep_to_tell($1, $2)", 0 };
static struct fl_sql sql_cards = {
    "cards",
    "SELECT card_id, place, person_id, message, tries, page, is_read, asks_stop, shown, "
    "asks_grant, EXISTS (SELECT 1 FROM call_grant k WHERE k.organization_id = "
    "card_message.organization_id AND k.approval_id = $1), host, EXISTS (SELECT 1 FROM "
    "card_message g WHERE g.organization_id = card_message.organization_id AND g.host = "
    "card_message.card_id), reminded, " MS("posted_at") ", bounced_at IS NOT NULL, " MS(
        "coalesce(sent_at, changed_at)") ", " MS("changed_at") " FROM card_message " ROW
                                                               " ORDER BY place",
    0
};
static struct fl_sql sql_card_put = {
    "card_put",
    "WITH h AS (SELECT m.card_id, m.message FROM approval a JOIN approval b ON b.organization_id = "
    "a.organization_id AND b.agent_id = a.agent_id AND b.state = 'pending' AND b.tool = a.tool AND "
    "b.rule = a.rule AND b.definition_digest = a.definition_digest AND b.approval_id <> "
    "a.approval_id AND b.created_at BETWEEN a.created_at - interval '10 seconds' AND a.created_at + "
    "interval '10 seconds' JOIN card_message m ON m.organization_id = b.organization_id AND "
    "m.approval_id = b.approval_id AND m.channel_id = $3 AND m.place = $4 AND m.host IS NULL AND "
    "m.message IS NOT NULL AND m.tries < 2 WHERE $6 AND a.organization_id = (SELECT org()) AND "
    "a.approval_id = $2 AND (SELECT count(*) FROM card_message g WHERE g.organization_id = "
    "m.organization_id AND g.host = m.card_id) < $7 ORDER BY m.posted_at LIMIT 1) "
    "INSERT INTO card_message (organization_id, card_id, approval_id, channel_id, place, person_id, "
    "host, message) SELECT org(), $1, $2, $3, $4, $5, (SELECT card_id FROM h), (SELECT message FROM "
    "h) ON CONFLICT (organization_id, approval_id, channel_id, place) DO UPDATE SET changed_at = "
    "now(), host = CASE WHEN " UNPOSTED " THEN excluded.host ELSE card_message.host END, message = "
    "CASE WHEN " UNPOSTED " THEN excluded.message ELSE card_message.message END RETURNING card_id, "
    "host, message",
    0
};
static struct fl_sql sql_card_part = { "card_part", "UPDATE card_message SET " PARTED CARD, 0 };
static struct fl_sql sql_batch_part = {
    "batch_part",
    "WITH gone AS (UPDATE card_message m SET " PARTED "FROM " CARDS_IN_ORDER(
        "NO KEY UPDATE", "host = $1") " WHERE " IS_CARD
                                      " RETURNING m.approval_id, m.channel_id) " AGAIN("gone"),
    0
};
static struct fl_sql sql_batch = {
    "batch",
    "SELECT m.card_id, m.approval_id, m.asks_stop, coalesce(o.is_erased OR o.erase_at <= now(), false), "
    "m.person_id, m.mark, m.is_marking, m.channel_id, m.place, m.message, a.binding_digest FROM "
    "card_message m JOIN approval a USING (organization_id, approval_id) LEFT JOIN outbox o ON "
    "o.organization_id = m.organization_id AND o.approval_id = m.approval_id AND o.channel_id = "
    "m.channel_id WHERE m.organization_id = (SELECT org()) AND (m.card_id = $1 OR m.host = $1) "
    "ORDER BY m.host IS NOT NULL, a.created_at, a.approval_id",
    0
};
static struct fl_sql sql_batch_marking = {
    "batch_marking",
    "UPDATE card_message m SET is_marking = $2 AND m.card_id = $1, mark = '', changed_at = now() "
    "FROM " CARDS_IN_ORDER("NO KEY UPDATE", "(card_id = $1 OR host = $1)") " WHERE " IS_CARD,
    0
};
static struct fl_sql sql_card_mark = {
    "card_mark", "UPDATE card_message SET mark = $2, changed_at = now() " CARD, 0
};
static struct fl_sql sql_batch_shown = {
    "batch_shown",
    "UPDATE card_message m SET message = coalesce($2, message), shown = $3, is_read = true, "
    "posted_at = coalesce(posted_at, now()), changed_at = now() FROM " CARDS_IN_ORDER(
        "NO KEY UPDATE", "(card_id = $1 OR host = $1)") " WHERE " IS_CARD,
    0
};
static struct fl_sql sql_card_sending = {
    "card_sending",
    "UPDATE card_message SET tries = tries + 1, sent_at = CASE WHEN tries = 0 THEN now() ELSE "
    "coalesce(sent_at, now()) END, changed_at = now() " CARD " AND message IS NULL",
    0
};
static struct fl_sql sql_card_unsent = {
    "card_unsent", "UPDATE card_message SET tries = greatest(tries - 1, 0) " CARD, 0
};
static struct fl_sql sql_cards_at = {
    "cards_at",
    "SELECT message FROM card_message WHERE " HERE
    " AND channel_id = $1 AND place = $2 AND message IS NOT NULL ORDER BY posted_at DESC LIMIT 200",
    0
};
static struct fl_sql sql_card_shown = {
    "card_shown",
    "UPDATE card_message SET message = coalesce($2, message), shown = CASE WHEN page = $5 THEN "
    "$3::bytea END, is_read = is_read OR $4, posted_at = coalesce(posted_at, now()), bounced_at = NULL, "
    "changed_at = now() " CARD,
    0
};
static struct fl_sql sql_card_reminded = { "card_reminded",
                                           "UPDATE card_message SET reminded = $2 " CARD, 0 };
static struct fl_sql sql_batch_gone = {
    "batch_gone",
    "WITH gone AS (UPDATE card_message m SET tries = 0, " PARTED "FROM " CARDS_IN_ORDER(
        "NO KEY UPDATE",
        "(card_id = $1 OR host = $1)") " WHERE " IS_CARD
                                       " RETURNING m.approval_id, m.channel_id) " AGAIN("gone"),
    0
};
static struct fl_sql sql_card_drop = { "card_drop", "DELETE FROM card_message " CARD, 0 };
static struct fl_sql sql_card_get = {
    "card_get",
    "SELECT m.approval_id, m.place, m.message, m.page, m.is_read, m.asks_stop, a.binding_digest, "
    "a.state, g.name, g.agent_id, m.tries > 1 OR m.message IS NULL, a.tool, (SELECT c.why FROM "
    "closed_place c WHERE c.organization_id = m.organization_id AND c.channel_id = m.channel_id AND "
    "c.place = m.place), m.shown IS NULL FROM card_message m JOIN "
    "approval a USING (organization_id, approval_id) JOIN agent g ON g.organization_id = "
    "a.organization_id AND g.agent_id = a.agent_id WHERE m.organization_id = (SELECT org()) AND "
    "m.card_id = $1 AND m.channel_id = $2",
    0
};
static struct fl_sql sql_card_inbox = {
    "card_inbox",
    "SELECT a.approval_id, $3::text, $4::text, 0, false, false, a.binding_digest, a.state, g.name, "
    "g.agent_id, false, a.tool, NULL, false FROM approval a JOIN agent g ON g.organization_id = "
    "a.organization_id AND g.agent_id = a.agent_id WHERE a.organization_id = (SELECT org()) AND "
    "a.approval_id = $1 AND EXISTS (SELECT 1 FROM outbox o WHERE o.organization_id = "
    "a.organization_id AND o.approval_id = a.approval_id AND o.channel_id = $2)",
    0
};
static struct fl_sql sql_card_turn = {
    "card_turn",
    "UPDATE card_message SET page = $2, shown = CASE WHEN page = $2 THEN shown END, asks_stop = $3, "
    "asks_grant = $4, changed_at = now() " CARD,
    0
};

static struct fl_query *row(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *approval,
                            const struct fl_uuid *channel)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, approval);
    fl_bind_uuid(tx, q, channel);
    return q;
}

static struct fl_query *one(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_outbox_due(struct fl_tx *tx, const struct fl_uuid *channel, int most,
                                     int64_t age_ms)
{
    struct fl_query *q = one(tx, &sql_due, channel);
    fl_bind_int(tx, q, most);
    fl_bind_int(tx, q, age_ms);
    return q;
}

struct fl_query *fl_store_outbox_next(struct fl_tx *tx, const struct fl_uuid *channel)
{
    return one(tx, &sql_next, channel);
}

void fl_store_outbox_done(struct fl_tx *tx, const struct fl_uuid *approval,
                          const struct fl_uuid *channel, int64_t wanted, bool is_delivered,
                          int64_t erase_ms, bool is_erased, int64_t wake_ms)
{
    struct fl_query *q = row(tx, &sql_done, approval, channel);
    tx->is_alone = true;
    fl_bind_int(tx, q, wanted);
    fl_bind_bool(tx, q, is_delivered);
    fl_bind_int(tx, q, erase_ms);
    fl_bind_bool(tx, q, is_erased);
    fl_bind_int(tx, q, wake_ms);
}

void fl_store_outbox_later(struct fl_tx *tx, const struct fl_uuid *approval,
                           const struct fl_uuid *channel, int64_t in_ms, bool is_try,
                           struct fl_str trouble, bool is_delivered)
{
    struct fl_query *q = row(tx, &sql_later, approval, channel);
    tx->is_alone = true;
    fl_bind_int(tx, q, in_ms);
    fl_bind_bool(tx, q, is_try);
    fl_bind_text(tx, q, trouble);
    fl_bind_bool(tx, q, is_delivered);
}

void fl_store_outbox_lost(struct fl_tx *tx, const struct fl_uuid *approval,
                          const struct fl_uuid *channel, bool is_closed)
{
    tx->is_alone = true;
    /* In the order in which a decision takes them, or each might wait for the other. */
    fl_bind_bool(tx, row(tx, &sql_lost_lock, approval, channel), is_closed);
    fl_bind_bool(tx, row(tx, &sql_lost, approval, channel), is_closed);
}

void fl_store_outbox_back(struct fl_tx *tx, const char *kind)
{
    tx->is_alone = true;
    fl_bind_z(tx, fl_tx_add(tx, &sql_back), kind);
}

void fl_store_outbox_wake(struct fl_tx *tx)
{
    tx->is_alone = true;
    fl_tx_add(tx, &sql_wake);
}

void fl_store_outbox_again(struct fl_tx *tx, const struct fl_uuid *approval,
                           const struct fl_uuid *channel)
{
    tx->is_alone = true;
    row(tx, &sql_again, approval, channel);
}

struct fl_query *fl_store_outbox_of(struct fl_tx *tx, const struct fl_uuid *approval)
{
    return one(tx, &sql_of, approval);
}

struct fl_query *fl_store_sweep_unreached(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_unreached);
}

struct fl_query *fl_store_sweep_to_tell(struct fl_tx *tx, struct fl_array *organizations,
                                        struct fl_array *channels)
{
    struct fl_query *q = fl_tx_add(tx, &sql_to_tell);
    fl_bind_array(tx, q, organizations);
    fl_bind_array(tx, q, channels);
    return q;
}

struct fl_query *fl_store_cards(struct fl_tx *tx, const struct fl_uuid *approval,
                                const struct fl_uuid *channel)
{
    return row(tx, &sql_cards, approval, channel);
}

struct fl_query *fl_store_card_put(struct fl_tx *tx, const struct fl_uuid *card,
                                   const struct fl_uuid *approval, const struct fl_uuid *channel,
                                   struct fl_str place, const struct fl_uuid *person, bool may_join,
                                   int guests_most)
{
    struct fl_query *q = one(tx, &sql_card_put, card);
    fl_bind_uuid(tx, q, approval);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    fl_bind_uuid(tx, q, person);
    fl_bind_bool(tx, q, may_join);
    fl_bind_int(tx, q, guests_most);
    return q;
}

void fl_store_card_part(struct fl_tx *tx, const struct fl_uuid *card)
{
    one(tx, &sql_card_part, card);
}

void fl_store_batch_part(struct fl_tx *tx, const struct fl_uuid *host)
{
    tx->is_alone = true;
    one(tx, &sql_batch_part, host);
}

struct fl_query *fl_store_batch(struct fl_tx *tx, const struct fl_uuid *host)
{
    return one(tx, &sql_batch, host);
}

void fl_store_batch_marking(struct fl_tx *tx, const struct fl_uuid *host, bool is_marking)
{
    fl_bind_bool(tx, one(tx, &sql_batch_marking, host), is_marking);
}

void fl_store_card_mark(struct fl_tx *tx, const struct fl_uuid *card, const char *mark)
{
    fl_bind_z(tx, one(tx, &sql_card_mark, card), mark);
}

void fl_store_batch_shown(struct fl_tx *tx, const struct fl_uuid *host, struct fl_str message,
                          struct fl_str shown)
{
    struct fl_query *q = one(tx, &sql_batch_shown, host);
    fl_bind_text(tx, q, message);
    fl_bind_bytes(tx, q, shown);
}

void fl_store_card_sending(struct fl_tx *tx, const struct fl_uuid *card)
{
    one(tx, &sql_card_sending, card);
}

void fl_store_card_unsent(struct fl_tx *tx, const struct fl_uuid *card)
{
    one(tx, &sql_card_unsent, card);
}

struct fl_query *fl_store_cards_at(struct fl_tx *tx, const struct fl_uuid *channel,
                                   struct fl_str place)
{
    struct fl_query *q = one(tx, &sql_cards_at, channel);
    fl_bind_text(tx, q, place);
    return q;
}

void fl_store_card_shown(struct fl_tx *tx, const struct fl_uuid *card, struct fl_str message,
                         struct fl_str shown, int64_t page, bool is_read)
{
    struct fl_query *q = one(tx, &sql_card_shown, card);
    fl_bind_text(tx, q, message);
    fl_bind_bytes(tx, q, shown);
    fl_bind_bool(tx, q, is_read);
    fl_bind_int(tx, q, page);
}

void fl_store_card_reminded(struct fl_tx *tx, const struct fl_uuid *card, int reminder)
{
    fl_bind_int(tx, one(tx, &sql_card_reminded, card), reminder);
}

void fl_store_card_drop(struct fl_tx *tx, const struct fl_uuid *card)
{
    one(tx, &sql_card_drop, card);
}

void fl_store_batch_gone(struct fl_tx *tx, const struct fl_uuid *host)
{
    tx->is_alone = true;
    one(tx, &sql_batch_gone, host);
}

struct fl_query *fl_store_card_get(struct fl_tx *tx, const struct fl_uuid *card,
                                   const struct fl_uuid *channel)
{
    return row(tx, &sql_card_get, card, channel);
}

struct fl_query *fl_store_card_inbox(struct fl_tx *tx, const struct fl_uuid *approval,
                                     const struct fl_uuid *channel, struct fl_str place,
                                     struct fl_str message)
{
    struct fl_query *q = row(tx, &sql_card_inbox, approval, channel);
    fl_bind_text(tx, q, place);
    fl_bind_text(tx, q, message);
    return q;
}

void fl_store_card_turn(struct fl_tx *tx, const struct fl_uuid *card, int page, bool asks_stop,
                        bool asks_grant)
{
    struct fl_query *q = one(tx, &sql_card_turn, card);
    fl_bind_int(tx, q, page);
    fl_bind_bool(tx, q, asks_stop);
    fl_bind_bool(tx, q, asks_grant);
}
