/* Table vote. */
#include "runtime/store/vote.h"

#include "runtime/store/sql.h"

static struct fl_sql sql_put = {
    "vote_put",
    "INSERT INTO vote (organization_id, approval_id, person_id, verdict, reason, via, "
    "has_second_factor, is_owner, for_people, voted_at) SELECT org(), $1, $2, $3, $4, $5, $6, $7, $8, "
    "clock_timestamp() ON CONFLICT (organization_id, approval_id, person_id) DO UPDATE SET "
    "verdict = excluded.verdict, reason = excluded.reason, via = excluded.via, has_second_factor = "
    "excluded.has_second_factor, is_owner = excluded.is_owner, for_people = excluded.for_people, "
    "voted_at = excluded.voted_at, withdrawn_at = NULL",
    0
};
static struct fl_sql sql_withdraw = {
    "vote_withdraw",
    "UPDATE vote SET withdrawn_at = clock_timestamp() WHERE organization_id = (SELECT org()) AND "
    "approval_id = $1 AND person_id = $2 AND withdrawn_at IS NULL RETURNING person_id",
    0
};
/* Of what is not sent yet; with the rows of the outbox that their trigger changes. */
#define WITHDRAW(condition)                                                                        \
    "WITH old AS (SELECT v.approval_id FROM vote v JOIN approval a USING (organization_id, "       \
    "approval_id) WHERE v.organization_id = (SELECT org()) AND v.person_id = $1 AND "              \
    "v.withdrawn_at IS NULL AND a.state IN ('pending', 'approved', 'claimed')" condition           \
    " ORDER BY v.approval_id FOR NO KEY UPDATE OF v), " CARDS_OF_OLD                               \
    "UPDATE vote v SET withdrawn_at = clock_timestamp() FROM old WHERE v.organization_id = "       \
    "(SELECT org()) AND v.approval_id = old.approval_id AND v.person_id = $1 AND " CARDS_LOCKED    \
    " RETURNING v.approval_id"
static struct fl_sql sql_withdraw_all = { "vote_withdraw_all", WITHDRAW(""), 0 };
static struct fl_sql sql_withdraw_via = { "vote_withdraw_via", WITHDRAW(" AND v.via = $2"), 0 };
static struct fl_sql sql_votes = {
    "votes",
    "SELECT v.person_id, v.verdict, v.has_second_factor, v.reason, v.via, " MS(
        "v.voted_at") ", p.name, v.is_owner, v.for_people FROM vote v LEFT JOIN person p USING (person_id) WHERE "
                      "v.organization_id = (SELECT org()) AND v.approval_id = $1 AND "
                      "v.withdrawn_at IS NULL ORDER BY v.voted_at",
    0
};
static struct fl_sql sql_people = {
    "people",
    "SELECT p.person_id, p.name, m.role, p.is_active AND m.left_at IS NULL, coalesce((SELECT string_agg(g.name, ',' "
    "ORDER BY g.name) FROM group_member gm JOIN org_group g USING (organization_id, group_id) "
    "WHERE gm.organization_id = m.organization_id AND gm.person_id = m.person_id), ''), "
    "p.display_name, p.email, d.delegate_id, " MS(
        "d.until_at") " FROM membership m JOIN person p USING (person_id) LEFT JOIN delegation d ON "
                      "d.organization_id = m.organization_id AND d.person_id = m.person_id AND "
                      "d.ended_at IS NULL AND d.from_at <= clock_timestamp() AND d.until_at > "
                      "clock_timestamp() AND NOT " DISOWNED(
                          "d") " WHERE m.organization_id = (SELECT org()) ORDER BY p.name",
    0
};

void fl_store_vote_put(struct fl_tx *tx, const struct fl_uuid *approval,
                       const struct fl_uuid *person, bool approves, struct fl_str reason,
                       const char *via, bool has_second_factor, bool is_owner,
                       struct fl_str for_people)
{
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    fl_bind_uuid(tx, q, approval);
    fl_bind_uuid(tx, q, person);
    fl_bind_z(tx, q, approves ? "approve" : "deny");
    fl_bind_text(tx, q, reason);
    fl_bind_z(tx, q, via);
    fl_bind_bool(tx, q, has_second_factor);
    fl_bind_bool(tx, q, is_owner);
    fl_bind_text(tx, q, for_people);
}

struct fl_query *fl_store_vote_withdraw(struct fl_tx *tx, const struct fl_uuid *approval,
                                        const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, &sql_withdraw);
    fl_bind_uuid(tx, q, approval);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_vote_withdraw_all(struct fl_tx *tx, const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, &sql_withdraw_all);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_vote_withdraw_via(struct fl_tx *tx, const struct fl_uuid *person,
                                            const char *via)
{
    struct fl_query *q = fl_tx_add(tx, &sql_withdraw_via);
    tx->is_alone = true;
    fl_bind_uuid(tx, q, person);
    fl_bind_z(tx, q, via);
    return q;
}

struct fl_query *fl_store_votes(struct fl_tx *tx, const struct fl_uuid *approval)
{
    struct fl_query *q = fl_tx_add(tx, &sql_votes);
    fl_bind_uuid(tx, q, approval);
    return q;
}

struct fl_query *fl_store_people(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_people);
}
