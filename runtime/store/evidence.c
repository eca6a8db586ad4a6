/* Rows that prove who somebody is: membership, chat_identity, mail_session, personal_token, person.
 */
#include "runtime/store/evidence.h"

#include <string.h>

#include "runtime/store/sql.h"

static struct fl_sql sql_member = { "member_hold",
                                    "SELECT 1 FROM membership WHERE organization_id = (SELECT "
                                    "org()) AND person_id = $1 FOR SHARE",
                                    0 };
static struct fl_sql sql_chat = {
    "chat_holds",
    "SELECT 1 FROM chat_identity WHERE organization_id = (SELECT org()) AND person_id = $1 AND kind "
    "= $2 AND external_id = $3 AND disabled_at IS NULL FOR SHARE",
    0
};
/* The address that its link was mailed to, and then itself, as an unlink has them. */
#define SESSION                                                                                    \
    "FROM mail_session s JOIN card_message c USING (organization_id, card_id) JOIN person p ON "   \
    "p.person_id = c.person_id "
#define IS_OPEN                                                                                    \
    "WHERE s.organization_id = (SELECT org()) AND c.person_id = $1 AND s.token_hash = $2 AND "     \
    "s.expires_at > clock_timestamp() AND (p.signed_out_at IS NULL OR s.created_at > "             \
    "p.signed_out_at) "
static struct fl_sql sql_address = {
    "mail_address_holds",
    "SELECT 1 " SESSION
    "JOIN chat_identity i ON i.organization_id = c.organization_id AND i.kind = "
    "'mail' AND i.external_id = c.place AND i.person_id = c.person_id " IS_OPEN "FOR SHARE OF i",
    0
};
static struct fl_sql sql_session = { "mail_session_holds",
                                     "SELECT 1 " SESSION IS_OPEN "FOR SHARE OF s", 0 };
static struct fl_sql sql_token = { "token_holds", "SELECT 1 WHERE token_holds($1, $2)", 0 };
static struct fl_sql sql_passphrase = { "passphrase_holds",
                                        "SELECT 1 WHERE passphrase_holds($1, $2)", 0 };

/* For transactions that cannot look and then go on: they end there. */
#define EVIDENCE  "evidence"
#define AUTHORITY "authority"
static struct fl_sql sql_must_role = {
    "role_must_hold",
    "SELECT must_hold(EXISTS (SELECT 1 FROM membership m JOIN person p USING (person_id) WHERE "
    "m.organization_id = (SELECT org()) AND m.person_id = $1 AND m.left_at IS NULL AND p.is_active "
    "AND ($2::text IS NULL OR m.role = ANY (string_to_array($2, ',')))), '" AUTHORITY "')",
    0
};
static struct fl_sql sql_must_token = { "token_must_hold",
                                        "SELECT must_hold(token_holds($1, $2), '" EVIDENCE "')",
                                        0 };
static struct fl_sql sql_must_passphrase = {
    "passphrase_must_hold", "SELECT must_hold(passphrase_holds($1, $2), '" EVIDENCE "')", 0
};

static struct fl_query *of(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, person);
    return q;
}

void fl_store_member_hold(struct fl_tx *tx, const struct fl_uuid *person)
{
    of(tx, &sql_member, person);
}

void fl_store_evidence(struct fl_tx *tx, const struct fl_uuid *person,
                       const struct fl_evidence *evidence, struct fl_proof *ret)
{
    struct fl_query **parts = ret->parts;
    size_t count = 0;
    if (evidence->chat) {
        parts[count] = of(tx, &sql_chat, person);
        fl_bind_z(tx, parts[count], evidence->chat);
        fl_bind_text(tx, parts[count++], evidence->external);
    }
    if (evidence->session.p) {
        parts[count] = of(tx, &sql_address, person);
        fl_bind_bytes(tx, parts[count++], evidence->session);
        parts[count] = of(tx, &sql_session, person);
        fl_bind_bytes(tx, parts[count++], evidence->session);
    }
    if (!fl_uuid_is_zero(&evidence->token)) {
        parts[count] = of(tx, &sql_token, person);
        fl_bind_uuid(tx, parts[count++], &evidence->token);
    }
    if (evidence->passphrase_hash.p) {
        parts[count] = of(tx, &sql_passphrase, person);
        fl_bind_text(tx, parts[count++], evidence->passphrase_hash);
    }
    ret->count = count;
}

static enum fl_code taken_back(struct fl_err *err)
{
    return fl_err_set(
        err, FL_FORBIDDEN,
        "what you proved who you are with (account, token, passphrase) was taken back "
        "meanwhile");
}

enum fl_code fl_store_proved(const struct fl_proof *proof, struct fl_err *err)
{
    for (size_t i = 0; i < proof->count; i++) {
        if (fl_rows(proof->parts[i]) < 1)
            return taken_back(err);
    }
    return FL_OK;
}

void fl_store_must_hold(struct fl_tx *tx, const struct fl_uuid *person,
                        const struct fl_evidence *evidence, const char *roles)
{
    FL_ASSERT(!evidence->chat && !evidence->session.p);
    tx->is_alone = true;
    if (tx->has_organization) {
        fl_store_member_hold(tx, person);
        fl_bind_z(tx, of(tx, &sql_must_role, person), roles);
    }
    if (!fl_uuid_is_zero(&evidence->token))
        fl_bind_uuid(tx, of(tx, &sql_must_token, person), &evidence->token);
    if (evidence->passphrase_hash.p)
        fl_bind_text(tx, of(tx, &sql_must_passphrase, person), evidence->passphrase_hash);
}

enum fl_code fl_store_held(const struct fl_tx *tx, enum fl_code code, struct fl_err *err)
{
    if (code != FL_DB_REFUSED)
        return code;
    if (strcmp(tx->constraint, AUTHORITY) == 0)
        return fl_err_set(err, FL_FORBIDDEN, "your role may not do this any more");
    return strcmp(tx->constraint, EVIDENCE) == 0 ? taken_back(err) : code;
}
