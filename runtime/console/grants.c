/* Grants: making one from an approval that was shown, the list, revoking. */
#include "runtime/approval/grant.h"

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/approval/look.h"
#include "runtime/console/api.h"
#include "runtime/notify/facts.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

/* ---------------------------------------------------------------- the list */
static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0],
                "id:u agent_id:- server_id:- tool:t definition:- server:- rule:t ask:- pins:j "
                "pinned:- person:- by:t second_factor:b uses:i used:i expires_at:m is_revoked:- "
                "created_at:m approval:u agent:t revoked_at:m revoked_by:t reason:t state:t");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_grants(fl_api_tx(a));
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- making one */
struct granting {
    struct fl_look look;
    struct fl_grant_make make;
};

static void on_made(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_grant_make *m = &((struct granting *)a->user)->make;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT], at[FL_TIME_BYTES];
    if (!fl_api_flow_done(a))
        return;
    fl_buf_printf(&out, "{\"id\":\"%s\",\"expires_at\":\"%s\",\"uses\":%lld}",
                  fl_uuid_format(&m->id, id), fl_time_format_s(m->expires_at_ms, at),
                  (long long)m->uses);
    fl_api_created(a, &out);
}

/* What cannot be shown whole cannot be granted. */
static enum fl_code check_whole(struct fl_api *a, const struct fl_look *look, struct fl_err *err)
{
    struct fl_approval_view view;
    enum fl_code code = fl_approval_view_read(&view, a->arena, &look->row, &look->ballot, err);
    if (code)
        return code;
    code = fl_card_check_grant(a->arena, &view, look, FL_DISCLOSE_FULL, 0, err);
    fl_approval_view_fini(&view);
    return code;
}

static void on_looked(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct granting *g = a->user;
    if (op->code == FL_OK)
        op->code = check_whole(a, &g->look, &op->err);
    fl_look_fini(&g->look);
    if (!fl_api_flow_done(a))
        return;
    a->op = (struct fl_op){ .done = on_made };
    if (fl_grant_make_start(&a->op, &g->make) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

static bool read_pins(struct fl_api *a, struct fl_grant_make *m)
{
    const json_t *list = json_object_get(a->body, "pins"), *item;
    size_t count = json_array_size(list), i;
    struct fl_str *pins = fl_arena_array(a->arena, count + 1, sizeof *pins);
    bool is_fine = pins && (!list || json_is_array(list));
    for (i = 0; is_fine && (item = json_array_get(list, i)) != NULL; i++) {
        pins[i] = fl_json_str(item);
        is_fine = json_is_string(item);
    }
    if (!is_fine)
        fl_api_error(a, FL_BAD_PARAMS, "'pins' must be a list of JSON pointers, as in [\"/path\"]");
    m->pins = pins;
    m->pin_count = count;
    return is_fine;
}

static bool read_uses(struct fl_api *a, int64_t *ret)
{
    const json_t *uses = json_object_get(a->body, "uses");
    if (json_is_integer(uses))
        *ret = json_integer_value(uses);
    else
        fl_api_error(a, FL_BAD_PARAMS, "'uses' must be a number, 1 to %d", FL_GRANT_USES_MOST);
    return json_is_integer(uses);
}

static bool read_body(struct fl_api *a, struct fl_grant_make *m)
{
    struct fl_str approval;
    if (!fl_api_text(a, "approval", true, &approval) ||
        !fl_api_text(a, "binding", true, &m->binding) ||
        !fl_api_text(a, "reason", false, &m->reason) || !fl_api_duration(a, "for", &m->for_ms) ||
        !read_uses(a, &m->uses) || !read_pins(a, m))
        return false;
    if (fl_uuid_parse(approval, &m->approval))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'approval' must be the id of an approval");
    return false;
}

static void start_make(struct fl_api *a)
{
    struct granting *g = FL_ARENA_NEW(a->arena, struct granting);
    if (!g) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    g->make = (struct fl_grant_make){ .core = a->core,
                                      .organization = a->organization_id,
                                      .person = a->auth.id,
                                      .person_name = a->auth.person,
                                      .evidence = fl_api_evidence(a),
                                      .has_second_factor = a->auth.has_second_factor,
                                      .via = a->is_control ? "cli" : "api" };
    if (!read_body(a, &g->make))
        return;
    if (!g->make.reason.n)
        g->make.reason = NOTHING;
    g->look = (struct fl_look){ .core = a->core,
                                .organization = a->organization_id,
                                .id = g->make.approval,
                                .wants_arguments = true,
                                .wants_ballot = true };
    a->user = g;
    a->op = (struct fl_op){ .done = on_looked };
    if (fl_look_start(&a->op, &g->look) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- revoking */
static void on_revoked(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such grant in force");
        return;
    }
    fl_buf_puts(&out, "{\"revoked\":1}");
    fl_api_ok(a, &out);
}

static void start_revoke(struct fl_api *a)
{
    struct fl_audit_event e;
    struct fl_uuid id;
    struct fl_err err;
    if (!fl_uuid_parse(a->params[1], &id)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such grant in force");
        return;
    }
    struct fl_tx *tx = fl_api_revoke_tx(a);
    fl_api_event(a, &e, FL_AUDIT_GRANT_REVOKED, "grant", &id);
    if (fl_audit_seal(&e, a->arena, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    a->q[0] = fl_store_grant_revoke(tx, &id, fl_api_by(a), &e.row);
    fl_api_submit(a, true, on_revoked);
}

const struct fl_api_route fl_api_grants[] = {
    { FL_HTTP_GET, "/orgs/{org}/grants", FL_NEED_ROLE, FL_ACTION_READ_APPROVALS, start_list },
    { FL_HTTP_POST, "/orgs/{org}/grants", FL_NEED_DECIDER, FL_ACTION_GRANT, start_make,
      "approval binding for uses pins reason" },
    { FL_HTTP_DELETE, "/orgs/{org}/grants/{grant}", FL_NEED_ROLE, FL_ACTION_REVOKE_GRANTS,
      start_revoke },
    { .pattern = NULL }
};
