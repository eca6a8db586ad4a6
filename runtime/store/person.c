/* People and their tokens: behind functions, because they belong to no organization. */
#include "runtime/store/person.h"

#include "runtime/store/sql.h"

static struct fl_sql sql_by_name = { "person_by_name", "SELECT * FROM person_by_name($1)", 0 };
/* With a number of its own: a name may be what the id of an organization is, whose gate is locked
 * so. */
static struct fl_sql sql_lock = { "person_lock",
                                  "SELECT pg_advisory_xact_lock(hashtextextended($1, 7339))", 0 };
static struct fl_sql sql_create = { "person_create", "SELECT person_create($1, $2, $3, $4)", 0 };
static struct fl_sql sql_describe = { "person_describe", "SELECT person_describe($1, $2, $3)", 0 };
static struct fl_sql sql_secret = { "person_secret", "SELECT person_set_secret($1, $2, $3, $4)",
                                    0 };
static struct fl_sql sql_missed = { "person_missed", "SELECT person_missed($1)", 0 };
static struct fl_sql sql_proved = { "person_proved", "SELECT person_proved($1, $2)", 0 };
static struct fl_sql sql_try = { "person_try", "SELECT t FROM person_try($1) t WHERE t", 0 };
static struct fl_sql sql_passed = { "person_passed", "SELECT person_passed($1, $2)", 0 };
static struct fl_sql sql_active = { "person_active", "SELECT person_set_active($1, $2)", 0 };
static struct fl_sql sql_organizations = { "person_organizations",
                                           "SELECT * FROM person_organizations($1)", 0 };
static struct fl_sql sql_administrators = { "administrators",
                                            "SELECT person_count_with_secret($1, '{owner,admin}')",
                                            0 };
static struct fl_sql sql_owners = { "owners", "SELECT person_count_with_secret($1, '{owner}')", 0 };
static struct fl_sql sql_token_create = {
    "token_create", "SELECT token_create($1, $2, $3, $4, string_to_array($5, ','), " AT("$6") ")", 0
};
static struct fl_sql sql_token_by_hash = {
    "token_by_hash",
    "SELECT token_id, person_id, person, display_name, array_to_string(scopes, ','), is_usable "
    "FROM token_by_hash($1)",
    0
};
static struct fl_sql sql_tokens = { "tokens",
                                    "SELECT token_id, name, array_to_string(scopes, ','), " MS(
                                        "expires_at") ", is_usable FROM token_list($1)",
                                    0 };
static struct fl_sql sql_token_revoke = { "token_revoke", "SELECT token_revoke($1, $2)", 0 };

struct fl_query *fl_store_person_by_name(struct fl_tx *tx, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_by_name);
    fl_bind_text(tx, q, name);
    return q;
}

void fl_store_person_lock(struct fl_tx *tx, struct fl_str name)
{
    fl_bind_text(tx, fl_tx_add(tx, &sql_lock), name);
}

struct fl_query *fl_store_person_create(struct fl_tx *tx, const struct fl_uuid *id,
                                        struct fl_str name, struct fl_str display,
                                        struct fl_str email)
{
    struct fl_query *q = fl_tx_add(tx, &sql_create);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, display.p ? display : FL_STR(""));
    fl_bind_text(tx, q, email.p ? email : FL_STR(""));
    return q;
}

void fl_store_person_describe(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str display,
                              struct fl_str email)
{
    struct fl_query *q = fl_tx_add(tx, &sql_describe);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, display);
    fl_bind_text(tx, q, email);
}

void fl_store_person_secret(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str phc,
                            struct fl_str totp_sealed, bool clears_totp)
{
    struct fl_query *q = fl_tx_add(tx, &sql_secret);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, phc);
    fl_bind_bytes(tx, q, totp_sealed);
    fl_bind_bool(tx, q, clears_totp);
}

static struct fl_query *by_id(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_person_missed(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_missed, id);
}

struct fl_query *fl_store_person_proved(struct fl_tx *tx, const struct fl_uuid *id, int64_t step)
{
    struct fl_query *q = by_id(tx, &sql_proved, id);
    fl_bind_int(tx, q, step);
    return q;
}

struct fl_query *fl_store_person_try(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_try, id);
}

struct fl_query *fl_store_person_passed(struct fl_tx *tx, const struct fl_uuid *id, int64_t step)
{
    struct fl_query *q = by_id(tx, &sql_passed, id);
    fl_bind_int(tx, q, step);
    return q;
}

void fl_store_person_active(struct fl_tx *tx, const struct fl_uuid *id, bool is_active)
{
    fl_bind_bool(tx, by_id(tx, &sql_active, id), is_active);
}

struct fl_query *fl_store_person_organizations(struct fl_tx *tx, const struct fl_uuid *id)
{
    return by_id(tx, &sql_organizations, id);
}

struct fl_query *fl_store_administrators(struct fl_tx *tx, const struct fl_uuid *organization)
{
    return by_id(tx, &sql_administrators, organization);
}

struct fl_query *fl_store_owners(struct fl_tx *tx, const struct fl_uuid *organization)
{
    return by_id(tx, &sql_owners, organization);
}

void fl_store_token_create(struct fl_tx *tx, const struct fl_uuid *id, const struct fl_uuid *person,
                           struct fl_str name, struct fl_str hash, const char *scopes_csv,
                           int64_t expires_at_ms)
{
    struct fl_query *q = by_id(tx, &sql_token_create, id);
    fl_bind_uuid(tx, q, person);
    fl_bind_text(tx, q, name);
    fl_bind_bytes(tx, q, hash);
    fl_bind_z(tx, q, scopes_csv);
    fl_bind_int(tx, q, expires_at_ms);
}

struct fl_query *fl_store_token_by_hash(struct fl_tx *tx, struct fl_str hash)
{
    struct fl_query *q = fl_tx_add(tx, &sql_token_by_hash);
    fl_bind_bytes(tx, q, hash);
    return q;
}

struct fl_query *fl_store_tokens(struct fl_tx *tx, const struct fl_uuid *person)
{
    return by_id(tx, &sql_tokens, person);
}

struct fl_query *fl_store_token_revoke(struct fl_tx *tx, const struct fl_uuid *person,
                                       const struct fl_uuid *token)
{
    struct fl_query *q = by_id(tx, &sql_token_revoke, person);
    fl_bind_uuid(tx, q, token);
    return q;
}
