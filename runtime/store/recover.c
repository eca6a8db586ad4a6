/* The transaction of `flopinio recover`. */
#include "runtime/store/recover.h"

#include "flopinio/base/buf.h"
#include "runtime/store/approval.h"

/* Numbers that workers compare must not come again with another meaning: those between were perhaps
 * given out in the time that the database has forgotten. */
#define FORGOTTEN_REVISIONS "1000000"

enum fl_code fl_recover_begin(struct pg_conn *pg, struct fl_err *err)
{
    return fl_admin_exec(pg,
                         "BEGIN; UPDATE flopinio.installation SET epoch = epoch + 1; DELETE FROM "
                         "flopinio.worker; DELETE FROM flopinio.lease",
                         NULL, err);
}

enum fl_code fl_recover_organizations(struct pg_conn *pg, struct pg_result **ret,
                                      struct fl_err *err)
{
    return fl_admin_exec(pg, "SELECT organization_id, name FROM flopinio.organizations()", ret,
                         err);
}

enum fl_code fl_recover_enter(struct pg_conn *pg, const char *organization, struct fl_err *err)
{
    const char *values[] = { organization };
    return fl_admin_query(pg, "SELECT set_config('flopinio.organization', $1, true)", 1, values,
                          NULL, err);
}

enum fl_code fl_recover_origin(struct pg_conn *pg, struct fl_err *err)
{
    return fl_admin_exec(pg,
                         "INSERT INTO flopinio.origin (organization_id) VALUES (flopinio.org()) ON "
                         "CONFLICT (organization_id) DO UPDATE SET made = pg_current_xact_id()",
                         NULL, err);
}

enum fl_code fl_recover_names(struct pg_conn *pg, const char *organization_name,
                              struct pg_result **ret, struct fl_err *err)
{
    const char *values[] = { organization_name };
    return fl_admin_query(
        pg,
        "SELECT $1 || '/' || g.name FROM flopinio.agent g WHERE g.organization_id = "
        "flopinio.org() UNION ALL SELECT p.name FROM flopinio.membership m JOIN flopinio.person p "
        "USING (person_id) WHERE m.organization_id = flopinio.org()",
        1, values, ret, err);
}

enum fl_code fl_recover_approvals(struct pg_conn *pg, struct pg_result **ret, struct fl_err *err)
{
    static const char sql[] =
        "WITH old AS (SELECT approval_id, state FROM flopinio.approval WHERE organization_id = "
        "flopinio.org() AND state IN ('pending', 'approved', 'claimed', 'dispatched') FOR UPDATE) "
        "UPDATE flopinio.approval a SET state = CASE old.state WHEN 'pending' THEN 'cancelled' "
        "WHEN 'dispatched' THEN 'unknown' ELSE 'voided' END, outcome = '" FL_APPROVAL_RESTORED
        "', reason = '" FL_APPROVAL_RESTORED_REASON "', lease_until = NULL, grace_until = NULL, "
        "frozen_at = NULL, holder = NULL, wait_mode = CASE a.wait_mode WHEN 'held' THEN 'left' "
        "ELSE a.wait_mode END, left_at = coalesce(a.left_at, now()) FROM old WHERE "
        "a.organization_id = flopinio.org() AND a.approval_id = old.approval_id RETURNING "
        "a.approval_id, old.state, a.state";
    return fl_admin_exec(pg, sql, ret, err);
}

enum fl_code fl_recover_credentials(struct pg_conn *pg, const char *organization_name,
                                    const char *kept, struct pg_result **ret, struct fl_err *err)
{
    const char *values[] = { organization_name, kept };
    enum fl_code code = fl_admin_exec(
        pg,
        "DELETE FROM flopinio.mcp_session WHERE organization_id = flopinio.org(); UPDATE "
        "flopinio.organization SET revision = revision + " FORGOTTEN_REVISIONS
        ", changed_at = clock_timestamp() WHERE organization_id = flopinio.org()",
        NULL, err);
    if (code)
        return code;
    return fl_admin_query(
        pg,
        "UPDATE flopinio.agent_credential c SET revoked_at = clock_timestamp() FROM flopinio.agent "
        "g WHERE c.organization_id = flopinio.org() AND g.organization_id = c.organization_id AND "
        "g.agent_id = c.agent_id AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR "
        "c.expires_at > now()) AND NOT $2::jsonb ? 'all' AND NOT $2::jsonb ? ($1 || '/' || g.name) "
        "RETURNING c.credential_id, g.name, c.name",
        2, values, ret, err);
}

enum fl_code fl_recover_identities(struct pg_conn *pg, const char *kept, struct pg_result **ret,
                                   struct fl_err *err)
{
    const char *values[] = { kept };
    enum fl_code code =
        fl_admin_exec(pg,
                      "DELETE FROM flopinio.chat_link WHERE organization_id = flopinio.org(); "
                      "DELETE FROM flopinio.chat_prompt WHERE organization_id = flopinio.org(); "
                      "DELETE FROM flopinio.mail_link WHERE organization_id = flopinio.org(); "
                      "DELETE FROM flopinio.mail_session WHERE organization_id = flopinio.org()",
                      NULL, err);
    if (code)
        return code;
    return fl_admin_query(
        pg,
        "DELETE FROM flopinio.chat_identity i USING flopinio.person p WHERE i.organization_id = "
        "flopinio.org() AND p.person_id = i.person_id AND NOT $1::jsonb ? 'all' AND NOT "
        "$1::jsonb ? p.name RETURNING p.person_id, p.name, i.kind",
        1, values, ret, err);
}

enum fl_code fl_recover_grants(struct pg_conn *pg, struct pg_result **ret, struct fl_err *err)
{
    return fl_admin_query(
        pg,
        "UPDATE flopinio.call_grant g SET revoked_at = now(), revoked_by = 'operator' FROM "
        "flopinio.person p WHERE g.organization_id = flopinio.org() AND p.person_id = g.person_id "
        "AND g.revoked_at IS NULL AND g.expires_at > now() RETURNING g.grant_id, p.name, g.tool",
        0, NULL, ret, err);
}

enum fl_code fl_recover_delegations(struct pg_conn *pg, struct pg_result **ret, struct fl_err *err)
{
    return fl_admin_query(pg,
                          "DELETE FROM flopinio.delegation d USING flopinio.person p, "
                          "flopinio.person q WHERE d.organization_id = flopinio.org() AND "
                          "p.person_id = d.person_id AND q.person_id = d.delegate_id RETURNING "
                          "d.person_id, p.name, q.name",
                          0, NULL, ret, err);
}

enum fl_code fl_recover_people(struct pg_conn *pg, const char *kept, struct pg_result **ret,
                               struct fl_err *err)
{
    const char *values[] = { kept };
    return fl_admin_query(pg, "SELECT * FROM flopinio.people_shut_out($1::jsonb)", 1, values, ret,
                          err);
}

static const char *id_text(const struct fl_uuid *id, char out[FL_UUID_TEXT])
{
    return fl_uuid_is_zero(id) ? NULL : fl_uuid_format(id, out);
}

enum fl_code fl_recover_audit(struct pg_conn *pg, const struct fl_audit_row *row,
                              struct fl_err *err)
{
    static const char sql[] =
        "INSERT INTO flopinio.audit_event (organization_id, event_id, kind, actor_kind, actor_id, "
        "subject_kind, subject_id, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bytea)";
    char organization[FL_UUID_TEXT], id[FL_UUID_TEXT], actor[FL_UUID_TEXT], subject[FL_UUID_TEXT];
    struct fl_buf leaf = FL_BUF_INIT;
    fl_buf_puts(&leaf, "\\x");
    for (size_t i = 0; i < row->leaf.n; i++)
        fl_buf_printf(&leaf, "%02x", (unsigned char)row->leaf.p[i]);
    enum fl_code code = fl_buf_code(&leaf, err);
    const char *values[] = { fl_uuid_format(&row->organization, organization),
                             fl_uuid_format(&row->id, id),
                             row->kind,
                             row->actor_kind,
                             id_text(&row->actor_id, actor),
                             row->subject_kind,
                             id_text(&row->subject_id, subject),
                             leaf.p };
    if (code == FL_OK)
        code = fl_admin_query(pg, sql, (int)FL_COUNTOF(values), values, NULL, err);
    fl_buf_fini(&leaf);
    return code;
}

enum fl_code fl_recover_end(struct pg_conn *pg, bool commits, struct fl_err *err)
{
    return fl_admin_exec(pg, commits ? "COMMIT" : "ROLLBACK", NULL, err);
}
