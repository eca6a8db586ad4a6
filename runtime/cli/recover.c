/* Ending what a restored database holds open. */
#include "runtime/cli/recover.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "runtime/audit/event.h"
#include "runtime/store/approval.h"
#include "runtime/store/audit.h"
#include "runtime/store/recover.h"

struct recovery {
    struct fl_cli *cli;
    struct pg_conn *pg;
    struct fl_arena *arena; /* of one organization */
    const char *because;
    char *kept;      /* as JSON text */
    json_t *unknown; /* those of `kept` that nobody has been found for yet */
    struct fl_uuid organization;
    const char *name; /* its */
    long long people, tokens, credentials;
};

static enum fl_code note(struct recovery *r, struct fl_audit_event *e, struct fl_err *err)
{
    enum fl_code code = fl_audit_seal(e, r->arena, err);
    return code ? code : fl_recover_audit(r->pg, &e->row, err);
}

static void begin_event(struct recovery *r, struct fl_audit_event *e, enum fl_audit_kind kind,
                        const char *subject, const struct fl_uuid *id)
{
    fl_audit_init(e, &r->organization, kind, FL_ACTOR_OPERATOR, NULL, subject, id);
}

/* ---------------------------------------------------------------- approvals */
static enum fl_audit_kind kind_of(enum fl_approval_state to)
{
    return to == FL_APPROVAL_CANCELLED ? FL_AUDIT_APPROVAL_CANCELLED
           : to == FL_APPROVAL_VOIDED  ? FL_AUDIT_APPROVAL_VOIDED
                                       : FL_AUDIT_APPROVAL_UNKNOWN;
}

static enum fl_code end_approvals(struct recovery *r, long long counts[FL_APPROVAL_STATE_COUNT],
                                  struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_approvals(r->pg, &res, err);
    if (code)
        return code;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id;
        enum fl_approval_state to;
        const char *from = fl_admin_cell(res, i, 1);
        if (!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id) ||
            !fl_state_parse(fl_str_of(fl_admin_cell(res, i, 2)), &to)) {
            code = fl_err_code(err, FL_INTERNAL);
            break;
        }
        counts[to]++;
        begin_event(r, &e, kind_of(to), "approval", &id);
        fl_audit_z(&e, "from", from);
        fl_audit_z(&e, "reason", FL_APPROVAL_RESTORED_REASON);
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

/* ---------------------------------------------------------------- who gets in */
static void forget_known(struct recovery *r, const char *name)
{
    for (size_t i = json_array_size(r->unknown); i-- > 0;) {
        if (strcmp(json_string_value(json_array_get(r->unknown, i)), name) == 0)
            json_array_remove(r->unknown, i);
    }
}

static enum fl_code look_for_kept(struct recovery *r, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_names(r->pg, r->name, &res, err);
    if (code)
        return code;
    for (int i = 0; i < fl_admin_rows(res); i++)
        forget_known(r, fl_admin_cell(res, i, 0));
    fl_admin_clear(&res);
    return FL_OK;
}

static enum fl_code revoke_credentials(struct recovery *r, long long *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_credentials(r->pg, r->name, r->kept, &res, err);
    if (code)
        return code;
    *ret = fl_admin_rows(res);
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id = { .b = { 0 } };
        const char *agent = fl_admin_cell(res, i, 1), *name = fl_admin_cell(res, i, 2);
        (void)!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id);
        fl_cli_say(r->cli, "  credential revoked: %s/%s%s%s", r->name, fl_cli_text(r->cli, agent),
                   *name ? " " : "", fl_cli_text(r->cli, name));
        begin_event(r, &e, FL_AUDIT_CREDENTIAL_REVOKED, "credential", &id);
        fl_audit_z(&e, "agent", agent);
        fl_audit_z(&e, "reason", "restored");
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

static enum fl_code revoke_grants(struct recovery *r, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_grants(r->pg, &res, err);
    if (code)
        return code;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id = { .b = { 0 } };
        (void)!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id);
        fl_cli_say(r->cli, "  grant revoked: %s's, for %s",
                   fl_cli_text(r->cli, fl_admin_cell(res, i, 1)),
                   fl_cli_text(r->cli, fl_admin_cell(res, i, 2)));
        begin_event(r, &e, FL_AUDIT_GRANT_REVOKED, "grant", &id);
        fl_audit_z(&e, "reason", "restored");
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

static enum fl_code end_delegations(struct recovery *r, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_delegations(r->pg, &res, err);
    if (code)
        return code;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id = { .b = { 0 } };
        const char *name = fl_admin_cell(res, i, 1), *delegate = fl_admin_cell(res, i, 2);
        (void)!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id);
        fl_cli_say(r->cli, "  %s decides for %s no more", fl_cli_text(r->cli, delegate),
                   fl_cli_text(r->cli, name));
        begin_event(r, &e, FL_AUDIT_DELEGATION_ENDED, "person", &id);
        fl_audit_z(&e, "person", name);
        fl_audit_z(&e, "delegate", delegate);
        fl_audit_z(&e, "reason", "restored");
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

static enum fl_code unlink_chats(struct recovery *r, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_identities(r->pg, r->kept, &res, err);
    if (code)
        return code;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id = { .b = { 0 } };
        (void)!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id);
        fl_cli_say(r->cli, "  unlinked: %s's account in %s",
                   fl_cli_text(r->cli, fl_admin_cell(res, i, 1)), fl_admin_cell(res, i, 2));
        begin_event(r, &e, FL_AUDIT_IDENTITY_UNLINKED, "person", &id);
        fl_audit_z(&e, "kind", fl_admin_cell(res, i, 2));
        fl_audit_z(&e, "reason", "restored");
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

static enum fl_code shut_out_people(struct recovery *r, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_recover_people(r->pg, r->kept, &res, err);
    if (code)
        return code;
    r->organization = fl_audit_installation;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(res); i++) {
        struct fl_audit_event e;
        struct fl_uuid id = { .b = { 0 } };
        bool had_passphrase = strcmp(fl_admin_cell(res, i, 2), "t") == 0;
        long long tokens = fl_admin_int(res, i, 3);
        if (!had_passphrase && tokens == 0)
            continue;
        (void)!fl_uuid_parse(fl_str_of(fl_admin_cell(res, i, 0)), &id);
        r->people += had_passphrase;
        r->tokens += tokens;
        fl_cli_say(r->cli, "  shut out: %s (%s%lld token%s)",
                   fl_cli_text(r->cli, fl_admin_cell(res, i, 1)),
                   had_passphrase ? "the passphrase, " : "", tokens, tokens == 1 ? "" : "s");
        begin_event(r, &e, FL_AUDIT_SECRET_SET, "person", &id);
        fl_audit_z(&e, "reason", "restored");
        fl_audit_int(&e, "tokens", tokens);
        code = note(r, &e, err);
    }
    fl_admin_clear(&res);
    return code;
}

/* ---------------------------------------------------------------- all together */
static enum fl_code recover_organization(struct recovery *r, const char *id, struct fl_err *err)
{
    long long ended[FL_APPROVAL_STATE_COUNT] = { 0 }, credentials = 0;
    struct fl_audit_event e;
    if (!fl_uuid_parse(fl_str_of(id), &r->organization))
        return fl_err_code(err, FL_INTERNAL);
    enum fl_code code = fl_recover_enter(r->pg, id, err);
    if (code == FL_OK)
        code = fl_recover_origin(r->pg, err);
    if (code == FL_OK)
        code = look_for_kept(r, err);
    if (code == FL_OK)
        code = end_approvals(r, ended, err);
    if (code)
        return code;
    fl_cli_say(r->cli,
               "organization %s: %lld waiting cancelled, %lld approved withdrawn, %lld running "
               "now of unknown outcome",
               fl_cli_text(r->cli, r->name), ended[FL_APPROVAL_CANCELLED],
               ended[FL_APPROVAL_VOIDED], ended[FL_APPROVAL_UNKNOWN]);
    code = revoke_credentials(r, &credentials, err);
    r->credentials += credentials;
    if (code == FL_OK)
        code = revoke_grants(r, err);
    if (code == FL_OK)
        code = end_delegations(r, err);
    if (code == FL_OK)
        code = unlink_chats(r, err);
    begin_event(r, &e, FL_AUDIT_RUNTIME_RESTORED, "organization", &r->organization);
    fl_audit_z(&e, "because", r->because);
    fl_audit_int(&e, "cancelled", ended[FL_APPROVAL_CANCELLED]);
    fl_audit_int(&e, "voided", ended[FL_APPROVAL_VOIDED]);
    fl_audit_int(&e, "unknown", ended[FL_APPROVAL_UNKNOWN]);
    fl_audit_int(&e, "credentials", credentials);
    return code ? code : note(r, &e, err);
}

static enum fl_code recover_organizations(struct recovery *r, struct fl_err *err)
{
    struct pg_result *all = NULL;
    enum fl_code code = fl_recover_organizations(r->pg, &all, err);
    if (code)
        return code;
    for (int i = 0; code == FL_OK && i < fl_admin_rows(all); i++) {
        r->arena = fl_arena_new(0);
        r->name = fl_admin_cell(all, i, 1);
        code = r->arena ? recover_organization(r, fl_admin_cell(all, i, 0), err)
                        : fl_err_code(err, FL_NOMEM);
        fl_arena_free(&r->arena);
    }
    fl_admin_clear(&all);
    return code;
}

static enum fl_code recover_people(struct recovery *r, struct fl_err *err)
{
    struct fl_audit_event e;
    const char *stranger = json_string_value(json_array_get(r->unknown, 0));
    if (stranger)
        return fl_err_set(err, FL_BAD_PARAMS,
                          "--keep: there is no person and no agent '%.80s' (an agent is named "
                          "ORG/AGENT)",
                          stranger);
    r->arena = fl_arena_new(0);
    if (!r->arena)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = shut_out_people(r, err);
    begin_event(r, &e, FL_AUDIT_RUNTIME_RESTORED, "installation", NULL);
    fl_audit_z(&e, "because", r->because);
    fl_audit_int(&e, "credentials", r->credentials);
    fl_audit_int(&e, "passphrases", r->people);
    fl_audit_int(&e, "tokens", r->tokens);
    if (code == FL_OK)
        code = note(r, &e, err);
    fl_arena_free(&r->arena);
    return code;
}

enum fl_code fl_recover(struct fl_cli *cli, struct pg_conn *pg, const json_t *kept,
                        const char *because, bool is_dry, struct fl_err *err)
{
    struct recovery r = { .cli = cli,
                          .pg = pg,
                          .because = because,
                          .kept = json_dumps(kept, JSON_COMPACT),
                          .unknown = json_copy((json_t *)kept) };
    enum fl_code code = r.kept ? FL_OK : fl_err_code(err, FL_NOMEM);
    if (code == FL_OK && !is_dry) /* an old backup knows nothing of this month */
        code = fl_store_audit_partitions(pg, err);
    if (code == FL_OK)
        code = fl_recover_begin(pg, err);
    forget_known(&r, "all");
    if (code == FL_OK)
        code = recover_organizations(&r, err);
    if (code == FL_OK)
        code = recover_people(&r, err);
    if (code == FL_OK)
        code = fl_recover_end(pg, !is_dry, err);
    fl_free(r.kept);
    json_decref(r.unknown);
    return code; /* what is not committed ends with the connection */
}
