/* Table slack_install. */
#include "runtime/store/install.h"

#include "runtime/store/sql.h"

#define MINE "WHERE organization_id = (SELECT org()) AND install_id = $1"

static struct fl_sql sql_void = {
    "install_void",
    "DELETE FROM slack_install WHERE organization_id = (SELECT org()) AND (channel = $1 AND taken_at "
    "IS NULL OR install_id IN (SELECT install_id FROM slack_install WHERE organization_id = (SELECT "
    "org()) AND expires_at < now() - interval '1 hour'" FREE_ONLY "))",
    0
};
static struct fl_sql sql_put = {
    "install_put",
    "INSERT INTO slack_install (organization_id, install_id, state_hash, channel, begun_by, secret, "
    "expires_at) SELECT org(), $1, $2, $3, $4::uuid, $5, now() + " SPAN("$6"),
    0
};
static struct fl_sql sql_use = { "install_use",
                                 "SELECT organization_id, install_id FROM slack_install_use($1)",
                                 0 };
static struct fl_sql sql_get = {
    "install_get",
    "SELECT channel, begun_by, secret, outcome, trouble, used_at IS NOT NULL, expires_at <= now(), "
    "taken_at IS NOT NULL FROM slack_install " MINE,
    0
};
static struct fl_sql sql_end = {
    "install_end", "UPDATE slack_install SET secret = $2, outcome = $3::jsonb, trouble = $4 " MINE,
    0
};
static struct fl_sql sql_old = { "sweep_installs", "SELECT sweep_installs()", 0 };
static struct fl_sql sql_take = { "install_take",
                                  "UPDATE slack_install SET secret = '', taken_at = now() " MINE,
                                  0 };

void fl_store_install_put(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str state_hash,
                          struct fl_str channel, const struct fl_uuid *by, struct fl_str secret,
                          int64_t for_ms)
{
    fl_bind_text(tx, fl_tx_add(tx, &sql_void), channel);
    struct fl_query *q = fl_tx_add(tx, &sql_put);
    fl_bind_uuid(tx, q, id);
    fl_bind_bytes(tx, q, state_hash);
    fl_bind_text(tx, q, channel);
    fl_bind_uuid(tx, q, by);
    fl_bind_bytes(tx, q, secret);
    fl_bind_int(tx, q, for_ms);
}

struct fl_query *fl_store_install_use(struct fl_tx *tx, struct fl_str state_hash)
{
    struct fl_query *q = fl_tx_add(tx, &sql_use);
    fl_bind_bytes(tx, q, state_hash);
    return q;
}

static struct fl_query *mine(struct fl_tx *tx, struct fl_sql *sql, const struct fl_uuid *id)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_uuid(tx, q, id);
    return q;
}

struct fl_query *fl_store_install_get(struct fl_tx *tx, const struct fl_uuid *id)
{
    return mine(tx, &sql_get, id);
}

void fl_store_install_end(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str secret,
                          struct fl_str outcome_json, const char *trouble)
{
    struct fl_query *q = mine(tx, &sql_end, id);
    fl_bind_bytes(tx, q, secret);
    fl_bind_text(tx, q, outcome_json);
    fl_bind_z(tx, q, trouble);
}

void fl_store_install_take(struct fl_tx *tx, const struct fl_uuid *id)
{
    mine(tx, &sql_take, id);
}

void fl_store_installs_old(struct fl_tx *tx)
{
    fl_tx_add(tx, &sql_old);
}
