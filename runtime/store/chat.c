/* Tables chat_identity, chat_link, chat_prompt. */
#include "runtime/store/chat.h"

#include "runtime/store/mail.h"
#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_person = {
    "chat_person",
    "SELECT i.person_id, p.name FROM chat_identity i JOIN membership m USING (organization_id, "
    "person_id) JOIN person p USING (person_id) WHERE i.organization_id = (SELECT org()) AND "
    "i.kind = $1 AND i.external_id = $2 AND i.disabled_at IS NULL AND m.left_at IS NULL AND "
    "p.is_active",
    0
};
static struct fl_sql sql_identities = {
    "chat_identities",
    "SELECT i.person_id, i.external_id, coalesce(quiet_left(q.from_time, q.to_time, q.zone, now()), "
    "0) FROM chat_identity i LEFT JOIN quiet_hours q USING (organization_id, person_id) WHERE "
    "i.organization_id = (SELECT org()) AND i.kind = $1 AND i.disabled_at IS NULL AND i.dead_at IS NULL "
    "ORDER BY i.external_id",
    0
};
static struct fl_sql sql_links = {
    "chat_links",
    "SELECT p.name, i.kind, i.external_id, i.display, " MS("i.linked_at") ", " MS(
        "i.dead_at") ", i.dead_why FROM chat_identity i JOIN person p USING (person_id) WHERE "
                     "i.organization_id = (SELECT org()) AND ($1::uuid IS NULL OR i.person_id = "
                     "$1) ORDER BY p.name, i.kind, i.external_id",
    0
};
static struct fl_sql sql_code_old = {
    "chat_code_old",
    "DELETE FROM chat_link WHERE " HERE
    " AND ((channel_id = $1 AND person_id = $2) OR code_hash IN (SELECT code_hash FROM chat_link WHERE " HERE
    " AND expires_at < now() - interval '1 day'" FREE_ONLY "))",
    0
};
static struct fl_sql sql_code = {
    "chat_code",
    "INSERT INTO chat_link (organization_id, code_hash, channel_id, person_id, expires_at) SELECT "
    "org(), $1, $2, $3, now() + " SPAN("$4"),
    0
};
static struct fl_sql sql_link = {
    "chat_link",
    "WITH used AS (UPDATE chat_link l SET used_at = now() FROM membership m, person p WHERE "
    "l.organization_id = (SELECT org()) AND l.code_hash = $1 AND l.channel_id = $2 AND l.used_at "
    "IS NULL AND l.expires_at > now() AND m.organization_id = l.organization_id AND m.person_id = "
    "l.person_id AND m.left_at IS NULL AND p.person_id = l.person_id AND p.is_active AND "
    "(p.signed_out_at IS NULL OR l.created_at > p.signed_out_at) RETURNING "
    "l.person_id, p.name), linked AS (INSERT INTO chat_identity (organization_id, kind, "
    "external_id, person_id, display) SELECT org(), $3, $4, person_id, $5 FROM used ON CONFLICT "
    "(organization_id, kind, external_id) DO UPDATE SET display = excluded.display, disabled_at = NULL WHERE "
    "chat_identity.person_id = excluded.person_id RETURNING person_id) SELECT u.person_id, u.name, "
    "EXISTS (SELECT 1 FROM linked) FROM used u",
    0
};
/* Whoever changes several accounts locks them in one order, and before anything of theirs. */
#define ACCOUNTS "WITH old AS (SELECT kind, external_id FROM chat_identity WHERE " HERE " AND "
#define IN_TURN  " ORDER BY kind, external_id FOR UPDATE) "
#define IS_OLD                                                                                     \
    "i.organization_id = (SELECT org()) AND i.kind = old.kind AND i.external_id = old.external_id "
static struct fl_sql sql_unlink = { "chat_unlink",
                                    ACCOUNTS
                                    "person_id = $1 AND ($2::text IS NULL OR kind = $2)" IN_TURN
                                    "DELETE FROM chat_identity i USING old WHERE " IS_OLD
                                    "RETURNING i.kind, i.external_id",
                                    0 };
static struct fl_sql sql_disable = {
    "chat_disable",
    ACCOUNTS
    "kind = $1 AND external_id LIKE $2 AND (disabled_at IS NULL) = $3" IN_TURN
    "UPDATE chat_identity i SET disabled_at = CASE WHEN $3 THEN now() END FROM old, person "
    "p WHERE " IS_OLD "AND p.person_id = i.person_id RETURNING i.person_id, p.name, "
    "i.external_id",
    0
};
static struct fl_sql sql_withdraw = {
    "chat_withdraw",
    "UPDATE outbox o SET wanted = o.wanted + 1, next_at = CASE WHEN o.tries > 0 THEN o.next_at ELSE "
    "now() END FROM " IN_ORDER(
        "WHERE o.organization_id = (SELECT org()) AND EXISTS (SELECT 1 FROM card_message m WHERE "
        "m.organization_id = o.organization_id AND m.approval_id = o.approval_id AND m.channel_id = "
        "o.channel_id AND m.person_id = $1)") " WHERE " IS_NEXT,
    0
};
static struct fl_sql sql_prompt_put = {
    "chat_prompt_put",
    "INSERT INTO chat_prompt (organization_id, channel_id, place, message, external_id, card_id, "
    "expires_at, is_words) SELECT org(), $1, $2, $3, $4, $5, now() + " SPAN(
        "$6") ", $7 ON CONFLICT DO "
              "NOTHING",
    0
};
static struct fl_sql sql_prompt_take = {
    "chat_prompt_take",
    "WITH gone AS (DELETE FROM chat_prompt WHERE " HERE
    " AND channel_id = $1 AND ((place = $2 AND message = $3 AND external_id = $4) OR (place, message) "
    "IN (SELECT place, message FROM chat_prompt WHERE " HERE
    " AND channel_id = $1 AND expires_at < now() - interval '1 day'" FREE_ONLY
    ")) RETURNING place, message, card_id, expires_at, is_words) SELECT "
    "card_id, is_words FROM "
    "gone WHERE place = $2 AND message = $3 AND expires_at > now()",
    0
};

struct fl_query *fl_store_chat_person(struct fl_tx *tx, const char *kind, struct fl_str external)
{
    struct fl_query *q = fl_tx_add(tx, &sql_person);
    fl_bind_z(tx, q, kind);
    fl_bind_text(tx, q, external);
    return q;
}

struct fl_query *fl_store_chat_identities(struct fl_tx *tx, const char *kind)
{
    struct fl_query *q = fl_tx_add(tx, &sql_identities);
    fl_bind_z(tx, q, kind);
    return q;
}

struct fl_query *fl_store_chat_links(struct fl_tx *tx, const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, &sql_links);
    fl_bind_uuid(tx, q, person);
    return q;
}

void fl_store_chat_code(struct fl_tx *tx, struct fl_str code_hash, const struct fl_uuid *channel,
                        const struct fl_uuid *person, int64_t for_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_code_old);
    fl_bind_uuid(tx, q, channel);
    fl_bind_uuid(tx, q, person);
    q = fl_tx_add(tx, &sql_code);
    fl_bind_bytes(tx, q, code_hash);
    fl_bind_uuid(tx, q, channel);
    fl_bind_uuid(tx, q, person);
    fl_bind_int(tx, q, for_ms);
}

struct fl_query *fl_store_chat_link(struct fl_tx *tx, struct fl_str code_hash,
                                    const struct fl_uuid *channel, const char *kind,
                                    struct fl_str external, struct fl_str display)
{
    struct fl_query *q = fl_tx_add(tx, &sql_link);
    fl_bind_bytes(tx, q, code_hash);
    fl_bind_uuid(tx, q, channel);
    fl_bind_z(tx, q, kind);
    fl_bind_text(tx, q, external);
    fl_bind_text(tx, q, display.p ? display : FL_STR(""));
    return q;
}

struct fl_query *fl_store_chat_disable(struct fl_tx *tx, const char *kind, struct fl_str pattern,
                                       bool is_disabled)
{
    struct fl_query *q = fl_tx_add(tx, &sql_disable);
    fl_bind_z(tx, q, kind);
    fl_bind_text(tx, q, pattern);
    fl_bind_bool(tx, q, is_disabled);
    return q;
}

void fl_store_chat_withdraw(struct fl_tx *tx, const struct fl_uuid *person)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_withdraw), person);
}

struct fl_query *fl_store_chat_unlink(struct fl_tx *tx, const struct fl_uuid *person,
                                      struct fl_str kind)
{
    struct fl_query *q = fl_tx_add(tx, &sql_unlink);
    fl_bind_uuid(tx, q, person);
    fl_bind_text(tx, q, kind);
    fl_store_chat_withdraw(tx, person);
    fl_store_mail_sign_out(tx, person);
    return q;
}

void fl_store_chat_prompt_put(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place,
                              struct fl_str message, struct fl_str external,
                              const struct fl_uuid *card, int64_t for_ms, bool is_words)
{
    struct fl_query *q = fl_tx_add(tx, &sql_prompt_put);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    fl_bind_text(tx, q, message);
    fl_bind_text(tx, q, external);
    fl_bind_uuid(tx, q, card);
    fl_bind_int(tx, q, for_ms);
    fl_bind_bool(tx, q, is_words);
}

struct fl_query *fl_store_chat_prompt_take(struct fl_tx *tx, const struct fl_uuid *channel,
                                           struct fl_str place, struct fl_str message,
                                           struct fl_str external)
{
    struct fl_query *q = fl_tx_add(tx, &sql_prompt_take);
    fl_bind_uuid(tx, q, channel);
    fl_bind_text(tx, q, place);
    fl_bind_text(tx, q, message);
    fl_bind_text(tx, q, external);
    return q;
}
