/* Organizations. */
#include "runtime/console/api.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"

static bool is_mine(const struct fl_query *mine, const struct fl_uuid *id)
{
    for (int i = 0; i < fl_rows(mine); i++) {
        struct fl_uuid each = fl_cell_uuid(mine, i, 0);
        if (fl_uuid_cmp(&each, id) == 0)
            return true;
    }
    return false;
}

static void on_orgs(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    bool is_next = false;
    fl_buf_puts(&out, "{\"items\":[");
    for (int i = 0; i < fl_rows(a->q[0]); i++) {
        struct fl_uuid id = fl_cell_uuid(a->q[0], i, 0);
        if (a->q[1] && !is_mine(a->q[1], &id))
            continue;
        if (is_next)
            fl_buf_putc(&out, ',');
        fl_api_row(&out, a->q[0], i, "- name:t title:t policy_version:i - created_at:m");
        is_next = true;
    }
    fl_buf_puts(&out, "]}");
    fl_api_ok(a, &out);
}

static void start_orgs(struct fl_api *a)
{
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_organizations(tx);
    a->q[1] = a->who == FL_WHO_PERSON ? fl_store_person_organizations(tx, &a->auth.id) : NULL;
    fl_api_submit(a, false, on_orgs);
}

static void on_created(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str name;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(
            a, FL_CONFLICT, "%s",
            a->core->plugins.in_process
                ? "there is an organization already, and plugins_in_process is for one only"
                : "there is an organization of that name already");
        return;
    }
    if (!fl_api_text(a, "name", true, &name))
        return;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, name);
    fl_buf_putc(&out, '}');
    fl_api_created(a, &out);
}

static void start_create(struct fl_api *a)
{
    struct fl_audit_event e;
    struct fl_err err;
    struct fl_str name, title;
    if (!fl_api_name(a, "name", false, &name) || !fl_api_title(a, "title", &title))
        return;
    a->organization_id = fl_uuid_new();
    a->has_organization = true;
    fl_api_event(a, &e, FL_AUDIT_ORGANIZATION_CREATED, "organization", &a->organization_id);
    fl_audit_text(&e, "name", name);
    fl_audit_text(&e, "title", title);
    if (fl_audit_seal(&e, a->arena, &err) != FL_OK) {
        fl_api_error(a, err.code, "%s", err.text);
        return;
    }
    a->q[0] = fl_store_organization_create(fl_api_tx(a), a->core->plugins.in_process, name, title,
                                           &e.row);
    fl_api_submit(a, true, on_created);
}

static void on_org(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such organization");
        return;
    }
    fl_api_row(&out, a->q[0], 0, "name:t title:t policy_version:i - -");
    fl_buf_cut(&out, out.n - 1);
    fl_buf_printf(&out, ",\"has_administrator\":%s}",
                  fl_cell_int(a->q[1], 0, 0) > 0 ? "true" : "false");
    fl_api_ok(a, &out);
}

static void start_org(struct fl_api *a)
{
    a->q[0] = fl_store_organization_get(fl_api_tx(a));
    a->q[1] = fl_store_administrators(&a->tx, &a->organization_id);
    fl_api_submit(a, false, on_org);
}

static void start_update(struct fl_api *a)
{
    struct fl_audit_event e;
    struct fl_str title;
    if (!fl_api_title(a, "title", &title))
        return;
    if (!title.p) {
        fl_api_error(a, FL_BAD_PARAMS, "'title' must be a text");
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    fl_store_organization_title(tx, title);
    fl_api_event(a, &e, FL_AUDIT_ORGANIZATION_CHANGED, "organization", &a->organization_id);
    fl_audit_text(&e, "title", title);
    fl_audit_append(&e, tx);
    fl_api_submit(a, true, fl_api_empty);
}

const struct fl_api_route fl_api_orgs[] = {
    { FL_HTTP_GET, "/orgs", FL_NEED_PERSON, 0, start_orgs },
    { FL_HTTP_POST, "/orgs", FL_NEED_OPERATOR, 0, start_create, "name title" },
    { FL_HTTP_GET, "/orgs/{org}", FL_NEED_PERSON, 0, start_org },
    { FL_HTTP_PATCH, "/orgs/{org}", FL_NEED_ROLE, FL_ACTION_MANAGE_SETTINGS, start_update,
      "title" },
    { .pattern = NULL }
};
