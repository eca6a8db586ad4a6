/* Tables organization, org_group, group_member, membership, policy. */
#include "runtime/store/organization.h"

#include "runtime/io/pg_admin.h"
#include "runtime/store/sql.h"

#define HERE "organization_id = (SELECT org())"

static struct fl_sql sql_all = {
    "organizations",
    "SELECT organization_id, name, title, policy_version, revision, " MS(
        "created_at") " FROM organizations()",
    0
};
static struct fl_sql sql_named = {
    "organization_named",
    "SELECT organization_id, name, title, policy_version, revision, " MS(
        "created_at") " FROM organization_by_name($1)",
    0
};
static struct fl_sql sql_changed = {
    "organizations_changed",
    "SELECT organization_id, revision, " US("changed_at") " FROM organizations_changed(" AT_US(
        "$1") ")",
    0
};
static struct fl_sql sql_create = {
    "organization_create",
    "WITH moved AS (INSERT INTO organization (organization_id, name, title) SELECT org(), $8, $9 "
    "ON CONFLICT DO NOTHING RETURNING organization_id), " NOTED_FIRST
    "SELECT organization_id FROM moved",
    0
};
/* Two at the same moment would each see none. */
static struct fl_sql sql_alone = { "organization_alone", "SELECT pg_advisory_xact_lock(7337, 1)",
                                   0 };
static struct fl_sql sql_create_only = {
    "organization_create_only",
    "WITH moved AS (INSERT INTO organization (organization_id, name, title) SELECT org(), $8, $9 "
    "WHERE NOT EXISTS (SELECT 1 FROM organizations()) "
    "ON CONFLICT DO NOTHING RETURNING organization_id), " NOTED_FIRST
    "SELECT organization_id FROM moved",
    0
};
static struct fl_sql sql_get = {
    "organization_get",
    "SELECT name, title, policy_version, revision, settings FROM organization WHERE " HERE, 0
};
static struct fl_sql sql_title = { "organization_title",
                                   "UPDATE organization SET title = $1 WHERE " HERE, 0 };
/* Against each other only: rows that refer to the organization may come meanwhile. */
static struct fl_sql sql_lock = { "organization_lock",
                                  "SELECT organization_id FROM organization WHERE " HERE
                                  " FOR NO KEY UPDATE",
                                  0 };
static struct fl_sql sql_touch = {
    "organization_touch",
    "UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() WHERE " HERE, 0
};
static struct fl_sql sql_groups = {
    "groups",
    "SELECT g.group_id, g.name, g.title, coalesce((SELECT string_agg(p.name, ',' ORDER BY p.name) "
    "FROM group_member m JOIN person p USING (person_id) WHERE m.organization_id = "
    "g.organization_id AND m.group_id = g.group_id), '') FROM org_group g WHERE "
    "g.organization_id = (SELECT org()) ORDER BY g.name",
    0
};
static struct fl_sql sql_group_create = {
    "group_create",
    "INSERT INTO org_group (organization_id, group_id, name, title) SELECT org(), $1, $2, $3 "
    "ON CONFLICT (organization_id, name) DO NOTHING RETURNING group_id",
    0
};
static struct fl_sql sql_group_describe = {
    "group_describe", "UPDATE org_group SET title = $2 WHERE " HERE " AND name = $1", 0
};
static struct fl_sql sql_group_remove = {
    "group_remove", "DELETE FROM org_group WHERE " HERE " AND name = $1 RETURNING group_id", 0
};
static struct fl_sql sql_member_add = {
    "group_member_add",
    "INSERT INTO group_member (organization_id, group_id, person_id) SELECT g.organization_id, "
    "g.group_id, $2 FROM org_group g WHERE g.organization_id = (SELECT org()) AND g.name = $1 "
    "ON CONFLICT DO NOTHING RETURNING group_id",
    0
};
static struct fl_sql sql_member_remove = {
    "group_member_remove",
    "DELETE FROM group_member m USING org_group g WHERE g.organization_id = (SELECT org()) AND "
    "m.organization_id = g.organization_id AND m.group_id = g.group_id AND g.name = $1 AND "
    "m.person_id = $2 RETURNING g.group_id",
    0
};
static struct fl_sql sql_membership = {
    "membership_put",
    "INSERT INTO membership (organization_id, person_id, role) SELECT org(), $1, $2 ON CONFLICT "
    "(organization_id, person_id) DO UPDATE SET role = excluded.role, left_at = NULL",
    0
};
static struct fl_sql sql_membership_end = {
    "membership_end",
    "WITH gone AS (DELETE FROM group_member WHERE " HERE " AND person_id = $1) "
    "UPDATE membership SET left_at = clock_timestamp() WHERE " HERE " AND person_id = $1",
    0
};
/* The row of the organization is locked by its update: two applies at once cannot both see the
 * version that they expect. */
static struct fl_sql sql_policy_apply = {
    "policy_apply",
    "WITH moved AS (UPDATE organization SET policy_version = policy_version + 1, revision = "
    "revision + 1, changed_at = clock_timestamp() WHERE " HERE " AND policy_version = $8 RETURNING "
    "organization_id, policy_version), " NOTED_FIRST
    "INSERT INTO policy (organization_id, version, document, "
    "digest, applied_by, note) SELECT organization_id, policy_version, $9, $10, $11, $12 FROM moved "
    "RETURNING version",
    0
};
static struct fl_sql sql_policy_get = {
    "policy_get",
    "SELECT p.version, p.document, p.digest, p.applied_by, " MS(
        "p.applied_at") ", p.note FROM policy p JOIN organization o USING (organization_id) WHERE "
                        "p.organization_id = (SELECT org()) AND p.version = "
                        "CASE WHEN $1 = 0 THEN o.policy_version ELSE $1 END",
    0
};
static struct fl_sql sql_policy_list = { "policy_list",
                                         "SELECT version, applied_by, " MS(
                                             "applied_at") ", note FROM policy WHERE " HERE
                                                           " ORDER BY version DESC LIMIT $1",
                                         0 };

struct fl_query *fl_store_organizations(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_all);
}

struct fl_query *fl_store_organization_named(struct fl_tx *tx, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_named);
    fl_bind_text(tx, q, name);
    return q;
}

struct fl_query *fl_store_organizations_changed(struct fl_tx *tx, int64_t since_us)
{
    struct fl_query *q = fl_tx_add(tx, &sql_changed);
    fl_bind_int(tx, q, since_us);
    return q;
}

struct fl_query *fl_store_organization_create(struct fl_tx *tx, bool must_be_only,
                                              struct fl_str name, struct fl_str title,
                                              const struct fl_audit_row *audit)
{
    if (must_be_only) {
        tx->is_alone = true;
        fl_tx_add(tx, &sql_alone);
    }
    struct fl_query *q = fl_tx_add(tx, must_be_only ? &sql_create_only : &sql_create);
    fl_store_audit_bind(tx, q, audit);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, title.p ? title : FL_STR(""));
    return q;
}

struct fl_query *fl_store_organization_get(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_get);
}

void fl_store_organization_title(struct fl_tx *tx, struct fl_str title)
{
    fl_bind_text(tx, fl_tx_add(tx, &sql_title), title);
}

void fl_store_organization_lock(struct fl_tx *tx)
{
    fl_tx_add(tx, &sql_lock);
}

void fl_store_organization_touch(struct fl_tx *tx)
{
    tx->is_alone = true;
    fl_tx_add(tx, &sql_touch);
}

struct fl_query *fl_store_groups(struct fl_tx *tx)
{
    return fl_tx_add(tx, &sql_groups);
}

struct fl_query *fl_store_group_create(struct fl_tx *tx, const struct fl_uuid *id,
                                       struct fl_str name, struct fl_str title)
{
    struct fl_query *q = fl_tx_add(tx, &sql_group_create);
    fl_bind_uuid(tx, q, id);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, title.p ? title : FL_STR(""));
    return q;
}

void fl_store_group_describe(struct fl_tx *tx, struct fl_str name, struct fl_str title)
{
    struct fl_query *q = fl_tx_add(tx, &sql_group_describe);
    fl_bind_text(tx, q, name);
    fl_bind_text(tx, q, title);
}

struct fl_query *fl_store_group_remove(struct fl_tx *tx, struct fl_str name)
{
    struct fl_query *q = fl_tx_add(tx, &sql_group_remove);
    fl_bind_text(tx, q, name);
    return q;
}

static struct fl_query *group_and_person(struct fl_tx *tx, struct fl_sql *sql, struct fl_str group,
                                         const struct fl_uuid *person)
{
    struct fl_query *q = fl_tx_add(tx, sql);
    fl_bind_text(tx, q, group);
    fl_bind_uuid(tx, q, person);
    return q;
}

struct fl_query *fl_store_group_member_add(struct fl_tx *tx, struct fl_str group,
                                           const struct fl_uuid *person)
{
    return group_and_person(tx, &sql_member_add, group, person);
}

struct fl_query *fl_store_group_member_remove(struct fl_tx *tx, struct fl_str group,
                                              const struct fl_uuid *person)
{
    return group_and_person(tx, &sql_member_remove, group, person);
}

void fl_store_membership_put(struct fl_tx *tx, const struct fl_uuid *person, const char *role)
{
    struct fl_query *q = fl_tx_add(tx, &sql_membership);
    fl_bind_uuid(tx, q, person);
    fl_bind_z(tx, q, role);
}

void fl_store_membership_end(struct fl_tx *tx, const struct fl_uuid *person)
{
    fl_bind_uuid(tx, fl_tx_add(tx, &sql_membership_end), person);
}

struct fl_query *fl_store_policy_apply(struct fl_tx *tx, int64_t expected, struct fl_str document,
                                       struct fl_str digest, struct fl_str applied_by,
                                       struct fl_str note, const struct fl_audit_row *audit)
{
    struct fl_query *q = fl_tx_add(tx, &sql_policy_apply);
    tx->is_alone = true;
    fl_store_audit_bind(tx, q, audit);
    fl_bind_int(tx, q, expected);
    fl_bind_text(tx, q, document);
    fl_bind_bytes(tx, q, digest);
    fl_bind_text(tx, q, applied_by);
    fl_bind_text(tx, q, note.p ? note : FL_STR(""));
    return q;
}

struct fl_query *fl_store_policy_get(struct fl_tx *tx, int64_t version)
{
    struct fl_query *q = fl_tx_add(tx, &sql_policy_get);
    fl_bind_int(tx, q, version);
    return q;
}

struct fl_query *fl_store_policy_list(struct fl_tx *tx, int most)
{
    struct fl_query *q = fl_tx_add(tx, &sql_policy_list);
    fl_bind_int(tx, q, most);
    return q;
}

enum fl_code fl_organizations_count(struct pg_conn *pg, long long *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "SELECT count(*) FROM flopinio.organizations()", &res, err);
    if (code)
        return code;
    *ret = fl_admin_int(res, 0, 0);
    fl_admin_clear(&res);
    return FL_OK;
}
