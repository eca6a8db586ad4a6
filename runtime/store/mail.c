/* Tables mail_link and mail_session. */
#include "runtime/store/mail.h"

#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

/* Whose address it is: linked, and of somebody who is here. `at` has organization_id, person_id and
 * place. */
#define IS_THEIRS(at)                                                                               \
    "EXISTS (SELECT 1 FROM chat_identity ti JOIN membership tm USING (organization_id, person_id) " \
    "JOIN person tp USING (person_id) WHERE ti.organization_id = " at ".organization_id AND "       \
    "ti.kind = 'mail' AND ti.external_id = " at ".place AND ti.person_id = " at ".person_id AND "   \
    "tm.left_at IS NULL AND tp.is_active)"

/* Since its person, p, signed out everywhere. */
#define LINK_IS_FRESH    "(p.signed_out_at IS NULL OR l.created_at > p.signed_out_at)"
#define SESSION_IS_FRESH "(p.signed_out_at IS NULL OR s.created_at > p.signed_out_at)"

static struct fl_sql sql_old = { "mail_link_old",
                                 "DELETE FROM mail_link WHERE " HERE
                                 " AND token_hash IN (SELECT token_hash FROM mail_link WHERE " HERE
                                 " AND expires_at < now() - interval '7 days'" FREE_ONLY ")",
                                 0 };
static struct fl_sql sql_void = { "mail_link_void",
                                  "DELETE FROM mail_link WHERE " HERE
                                  " AND purpose = 'address' AND channel_id = $1 AND person_id = $2",
                                  0 };
static struct fl_sql sql_put = {
    "mail_link_put",
    "INSERT INTO mail_link (organization_id, token_hash, channel_id, purpose, card_id, person_id, "
    "place, expires_at) SELECT org(), $1, $2, $3, $4, $5, $6, now() + " SPAN("$7"),
    0
};
static struct fl_sql sql_get = {
    "mail_link_get",
    "SELECT l.purpose, l.used_at IS NOT NULL OR NOT " LINK_IS_FRESH
    ", l.expires_at <= now(), l.card_id, l.place, "
    "coalesce(p.name, '') FROM mail_link l LEFT JOIN card_message c ON c.organization_id = "
    "l.organization_id AND c.card_id = l.card_id LEFT JOIN person p ON p.person_id = "
    "coalesce(c.person_id, l.person_id) WHERE l.organization_id = (SELECT org()) AND l.token_hash "
    "= $1 AND l.channel_id = $2 AND (l.purpose <> 'review' OR " IS_THEIRS("c") ")",
    0
};
static struct fl_sql sql_sign_in = {
    "mail_sign_in",
    "WITH used AS (UPDATE mail_link l SET used_at = now() FROM card_message c JOIN person p USING "
    "(person_id) WHERE l.organization_id = (SELECT org()) AND l.token_hash = $1 AND l.channel_id = "
    "$2 AND l.purpose = 'review' AND l.used_at IS NULL AND l.expires_at > now() AND " LINK_IS_FRESH
    " AND c.organization_id = "
    "l.organization_id AND c.card_id = l.card_id AND " IS_THEIRS(
        "c") " RETURNING c.card_id, "
             "c.approval_id, c.person_id), old AS (DELETE FROM mail_session WHERE " HERE
             " AND (card_id IN (SELECT card_id FROM used) OR token_hash IN (SELECT token_hash FROM "
             "mail_session WHERE " HERE " AND expires_at < now() - interval '1 day'" FREE_ONLY
             "))), opened AS (INSERT INTO mail_session "
             "(organization_id, token_hash, card_id, expires_at) SELECT org(), $3, card_id, now() + " SPAN(
                 "$4") " FROM used) SELECT u.card_id, u.approval_id, u.person_id, p.name FROM used u JOIN "
                       "person p USING (person_id)",
    0
};
static struct fl_sql sql_address = {
    "mail_address",
    "WITH used AS (UPDATE mail_link l SET used_at = now() FROM membership m, person p WHERE "
    "l.organization_id = (SELECT org()) AND l.token_hash = $1 AND l.channel_id = $2 AND l.purpose = "
    "'address' AND l.used_at IS NULL AND l.expires_at > now() AND " LINK_IS_FRESH
    " AND m.organization_id = "
    "l.organization_id AND m.person_id = l.person_id AND m.left_at IS NULL AND p.person_id = "
    "l.person_id AND p.is_active RETURNING l.person_id, p.name, l.place), linked AS (INSERT INTO "
    "chat_identity (organization_id, kind, external_id, person_id, display) SELECT org(), 'mail', "
    "place, person_id, place FROM used ON CONFLICT (organization_id, kind, external_id) DO UPDATE "
    "SET display = excluded.display, linked_at = now(), dead_at = NULL, dead_why = '' WHERE "
    "chat_identity.person_id = excluded.person_id RETURNING "
    "person_id) SELECT u.person_id, u.name, u.place, EXISTS (SELECT 1 FROM linked) FROM used u",
    0
};
static struct fl_sql sql_tested = {
    "mail_tested",
    "WITH used AS (UPDATE mail_link SET used_at = now() WHERE " HERE
    " AND token_hash = $1 AND channel_id = $2 AND purpose = 'test' AND used_at IS NULL AND "
    "expires_at > now() RETURNING channel_id) UPDATE channel c SET tested_at = now() FROM used u "
    "WHERE c.organization_id = (SELECT org()) AND c.channel_id = u.channel_id RETURNING "
    "c.channel_id",
    0
};
/* Of what waits still, and not while one is on its way: an old link sends its address at most a
 * mail a minute, and none when the call is over. */
static struct fl_sql sql_again = {
    "mail_again",
    "WITH again AS (UPDATE card_message c SET shown = NULL FROM mail_link l, approval p WHERE "
    "l.organization_id "
    "= (SELECT org()) AND l.token_hash = $1 AND l.channel_id = $2 AND l.purpose = 'review' AND "
    "c.organization_id = l.organization_id AND c.card_id = l.card_id AND c.message IS NOT NULL AND "
    "c.shown IS NOT NULL AND l.expires_at > now() - interval '1 day' AND p.organization_id = "
    "c.organization_id AND p.approval_id = c.approval_id AND p.state = 'pending' AND NOT EXISTS "
    "(SELECT 1 FROM mail_link n WHERE n.organization_id = c.organization_id AND "
    "n.card_id = c.card_id AND n.created_at > now() - interval '1 minute') AND " IS_THEIRS(
        "c") " RETURNING c.approval_id, c.place) UPDATE outbox o SET wanted = o.wanted + 1, next_at "
             "= CASE WHEN o.tries > 0 THEN o.next_at ELSE now() END FROM again a WHERE "
             "o.organization_id = (SELECT org()) AND o.approval_id = a.approval_id AND o.channel_id "
             "= $2 RETURNING a.place",
    0
};
static struct fl_sql sql_session = {
    "mail_session",
    "UPDATE mail_session s SET expires_at = least(now() + " SPAN("$4") ", s.created_at + " SPAN(
        "$5") ") FROM card_message c, person p WHERE s.organization_id = (SELECT org()) AND "
              "s.token_hash = $1 AND s.card_id = $2 AND s.expires_at > now() AND " SESSION_IS_FRESH
              " AND c.organization_id = s.organization_id AND c.card_id = s.card_id AND c.channel_id = $3 AND p.person_id "
              "= c.person_id AND " IS_THEIRS("c") " RETURNING c.approval_id, c.person_id, p.name, "
                                                  "s.pages, s.is_read, s.is_proved",
    0
};
static struct fl_sql sql_pages = { "mail_pages",
                                   "UPDATE mail_session SET pages = greatest(pages, $2), is_read = "
                                   "is_read OR $3 WHERE " HERE " AND token_hash = $1",
                                   0 };
static struct fl_sql sql_proved = {
    "mail_proved",
    "UPDATE mail_session SET is_proved = true, pages = 0, is_read = false WHERE " HERE
    " AND token_hash = $1 AND NOT is_proved",
    0
};
/* A link that was used offers to mail another one, to the address if that is theirs still. */
static struct fl_sql sql_sign_out = {
    "mail_sign_out",
    "WITH theirs AS (SELECT card_id FROM card_message WHERE " HERE
    " AND person_id = $1), links AS (SELECT token_hash FROM mail_link WHERE " HERE
    " AND used_at IS NULL AND (person_id = $1 OR card_id IN (SELECT card_id FROM theirs)) ORDER BY "
    "token_hash FOR NO KEY UPDATE), sessions AS (SELECT token_hash FROM mail_session WHERE " HERE
    " AND card_id IN (SELECT card_id FROM theirs) AND (SELECT count(*) FROM links) >= 0 ORDER BY "
    "token_hash FOR UPDATE), ended AS (DELETE FROM mail_session s USING sessions WHERE "
    "s.organization_id = (SELECT org()) AND s.token_hash = sessions.token_hash) UPDATE mail_link l "
    "SET used_at = now() FROM links WHERE l.organization_id = (SELECT org()) AND l.token_hash = "
    "links.token_hash",
    0
};
/* Settled as in audit.c: older than every transaction that may still write an earlier one. */
static struct fl_sql sql_events = {
    "mail_events",
    "SELECT event_id, " US(
        "recorded_at") ", kind, subject_id, leaf FROM audit_event WHERE " HERE
                       " AND kind IN ('identity.linked', 'secret.set', 'credential.created', "
                       "'credential.revoked') AND recorded_at > (SELECT created_at FROM channel WHERE " HERE
                       " AND channel_id = $1) AND recorded_at >= " AT_US("$2") " AND (recorded_at, event_id) > (" AT_US(
                           "$2") ", $4::uuid) AND recorded_at < (SELECT min(xact_start) "
                                 "- interval '250 milliseconds' FROM pg_stat_activity WHERE datname "
                                 "= current_database()) ORDER BY recorded_at, event_id LIMIT $3",
    0
};
#define READERS                                                                                    \
    "FROM chat_identity i JOIN membership m USING (organization_id, person_id) JOIN person p "     \
    "USING (person_id) WHERE i.organization_id = (SELECT org()) AND i.kind = 'mail' AND "          \
    "m.left_at IS NULL AND p.is_active AND i.dead_at IS NULL "
static struct fl_sql sql_readers = {
    "mail_readers",
    "SELECT i.person_id, i.external_id, p.name, m.role, coalesce((SELECT string_agg(g.name, ',') "
    "FROM agent g WHERE g.organization_id = i.organization_id AND g.owner_id = i.person_id), '') " READERS
    "ORDER BY i.external_id",
    0
};
static struct fl_sql sql_digest = {
    "mail_digest",
    "SELECT DISTINCT ON (i.person_id) i.person_id, i.external_id, p.name, m.role, (SELECT count(*) "
    "FROM approval a WHERE a.organization_id = i.organization_id AND a.state = 'pending'), (SELECT "
    "count(*) FROM card_message c JOIN approval a USING (organization_id, approval_id) WHERE "
    "c.organization_id = i.organization_id AND c.channel_id = $1 AND c.person_id = i.person_id AND "
    "a.state = 'pending'), (SELECT count(*) FROM approval a WHERE a.organization_id = "
    "i.organization_id AND a.state = 'unknown'), (SELECT count(*) FROM approval a WHERE "
    "a.organization_id = i.organization_id AND a.state = 'pending' AND a.expires_at < now() + "
    "interval '1 day') " READERS "ORDER BY i.person_id, i.linked_at DESC",
    0
};

void fl_store_mail_link_put(struct fl_tx *tx, const struct fl_mail_link_row *row)
{
    struct fl_query *q;
    fl_tx_add(tx, &sql_old);
    if (!fl_uuid_is_zero(&row->person)) {
        q = fl_tx_add(tx, &sql_void);
        fl_bind_uuid(tx, q, &row->channel);
        fl_bind_uuid(tx, q, &row->person);
    }
    q = fl_tx_add(tx, &sql_put);
    fl_bind_bytes(tx, q, row->hash);
    fl_bind_uuid(tx, q, &row->channel);
    fl_bind_z(tx, q, row->purpose);
    fl_bind_uuid(tx, q, &row->card);
    fl_bind_uuid(tx, q, &row->person);
    fl_bind_text(tx, q, row->place);
    fl_bind_int(tx, q, row->for_ms);
}

static struct fl_query *by_hash(struct fl_tx *tx, struct fl_sql *sql, struct fl_str hash,
                                const struct fl_uuid *channel)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_bytes(tx, q, hash);
    fl_bind_uuid(tx, q, channel);
    return q;
}

struct fl_query *fl_store_mail_link_get(struct fl_tx *tx, struct fl_str hash,
                                        const struct fl_uuid *channel)
{
    return by_hash(tx, &sql_get, hash, channel);
}

struct fl_query *fl_store_mail_sign_in(struct fl_tx *tx, struct fl_str hash,
                                       const struct fl_uuid *channel, struct fl_str session_hash,
                                       int64_t for_ms)
{
    struct fl_query *q = by_hash(tx, &sql_sign_in, hash, channel);
    fl_bind_bytes(tx, q, session_hash);
    fl_bind_int(tx, q, for_ms);
    return q;
}

struct fl_query *fl_store_mail_address(struct fl_tx *tx, struct fl_str hash,
                                       const struct fl_uuid *channel)
{
    return by_hash(tx, &sql_address, hash, channel);
}

struct fl_query *fl_store_mail_tested(struct fl_tx *tx, struct fl_str hash,
                                      const struct fl_uuid *channel)
{
    return by_hash(tx, &sql_tested, hash, channel);
}

struct fl_query *fl_store_mail_again(struct fl_tx *tx, struct fl_str hash,
                                     const struct fl_uuid *channel)
{
    tx->is_alone = true; /* locks a row of the outbox */
    return by_hash(tx, &sql_again, hash, channel);
}

struct fl_query *fl_store_mail_session(struct fl_tx *tx, struct fl_str session_hash,
                                       const struct fl_uuid *card, const struct fl_uuid *channel,
                                       int64_t for_ms, int64_t most_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_session);
    fl_bind_bytes(tx, q, session_hash);
    fl_bind_uuid(tx, q, card);
    fl_bind_uuid(tx, q, channel);
    fl_bind_int(tx, q, for_ms);
    fl_bind_int(tx, q, most_ms);
    return q;
}

void fl_store_mail_pages(struct fl_tx *tx, struct fl_str session_hash, int64_t pages, bool is_read)
{
    struct fl_query *q = fl_tx_add(tx, &sql_pages);
    fl_bind_bytes(tx, q, session_hash);
    fl_bind_int(tx, q, pages);
    fl_bind_bool(tx, q, is_read);
}

void fl_store_mail_proved(struct fl_tx *tx, struct fl_str session_hash)
{
    fl_bind_bytes(tx, fl_tx_add(tx, &sql_proved), session_hash);
}

void fl_store_mail_sign_out(struct fl_tx *tx, const struct fl_uuid *person)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_sign_out), person);
}

struct fl_query *fl_store_mail_events(struct fl_tx *tx, const struct fl_uuid *channel,
                                      int64_t since_us, const struct fl_uuid *since, int most)
{
    struct fl_query *q = fl_tx_add(tx, &sql_events);
    fl_bind_uuid(tx, q, channel);
    fl_bind_int(tx, q, since_us);
    fl_bind_int(tx, q, most);
    fl_bind_uuid(tx, q, since);
    return q;
}

struct fl_query *fl_store_mail_readers(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_readers);
}

struct fl_query *fl_store_mail_digest(struct fl_tx *tx, const struct fl_uuid *channel)
{
    struct fl_query *q = fl_tx_add(tx, &sql_digest);
    fl_bind_uuid(tx, q, channel);
    return q;
}
