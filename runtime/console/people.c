/* People of an organization: who is there, adding, changing, resetting a passphrase. */
#include "runtime/console/change.h"
#include "runtime/console/reach.h"
#include "runtime/console/valid.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/vote.h"

struct person_request {
    struct fl_str name, display, email, passphrase;
    struct fl_str groups; /* joined with commas; p NULL: not said */
    enum fl_role role;    /* FL_ROLE_NONE: not said */
    struct fl_uuid id;
    bool is_new;
    struct fl_person_hash hash;
    struct fl_query *q_person; /* installation-wide, by name */
};

static void on_people(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "- name:t role:t is_active:b groups:c display_name:t email:t");
    fl_api_ok(a, &out);
}

static void start_people(struct fl_api *a)
{
    a->q[0] = fl_store_people(fl_api_tx(a));
    fl_api_submit(a, false, on_people);
}

/* ---------------------------------------------------------------- what is asked for */
static bool read_role(struct fl_api *a, bool is_required, enum fl_role *ret)
{
    struct fl_str text;
    if (!fl_api_text(a, "role", is_required, &text))
        return false;
    *ret = fl_role_parse(text);
    if (!text.p || *ret != FL_ROLE_NONE)
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'role' must be owner, admin, approver, auditor or member");
    return false;
}

static bool read_email(struct fl_api *a, struct fl_str *ret)
{
    if (!fl_api_title(a, "email", ret))
        return false;
    if (fl_is_email(*ret))
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'email' must be a mail address");
    return false;
}

static struct person_request *new_request(struct fl_api *a, bool needs_role)
{
    struct person_request *p = FL_ARENA_NEW(a->arena, struct person_request);
    const char *groups;
    if (!p) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    a->user = p;
    if (!fl_api_title(a, "display_name", &p->display) || !read_email(a, &p->email) ||
        !read_role(a, needs_role, &p->role) || !fl_api_list(a, "groups", &groups))
        return NULL;
    p->groups = fl_str_of(groups);
    return p;
}

static bool are_groups(struct fl_api *a, struct fl_str csv)
{
    struct fl_str each;
    for (size_t pos = 0; fl_list_next(csv, &pos, &each);) {
        if (fl_change_has_group(a, each))
            continue;
        fl_api_error(a, FL_BAD_PARAMS, "there is no group '%.*s'", FL_STR_ARG(each));
        return false;
    }
    return true;
}

static void append(struct fl_api *a, enum fl_audit_kind kind, const struct person_request *p,
                   struct fl_str group)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "person", &p->id);
    fl_audit_text(&e, "person", p->name);
    if (kind == FL_AUDIT_MEMBER_SET && p->role != FL_ROLE_NONE)
        fl_audit_z(&e, "role", fl_role_name(p->role));
    if (kind == FL_AUDIT_PERSON_CREATED || kind == FL_AUDIT_PERSON_CHANGED) {
        fl_audit_text(&e, "display_name", p->display);
        fl_audit_bool(&e, "email_set", p->email.p != NULL);
    }
    fl_audit_text(&e, "group", group);
    fl_audit_append(&e, &a->tx);
}

/* From the groups that they are in to those asked for; each change has its event. */
static void put_groups(struct fl_api *a, const struct person_request *p, struct fl_str were)
{
    struct fl_str each;
    for (size_t pos = 0; fl_list_next(p->groups, &pos, &each);) {
        if (fl_list_has(were, each))
            continue;
        fl_store_group_member_add(&a->tx, each, &p->id);
        append(a, FL_AUDIT_GROUP_CHANGED, p, each);
    }
    for (size_t pos = 0; fl_list_next(were, &pos, &each);) {
        if (fl_list_has(p->groups, each))
            continue;
        fl_store_group_member_remove(&a->tx, each, &p->id);
        append(a, FL_AUDIT_GROUP_CHANGED, p, each);
    }
}

/* ---------------------------------------------------------------- adding */
static void on_added(struct fl_api *a)
{
    const struct person_request *p = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, p->name);
    fl_buf_printf(&out, ",\"is_new\":%s}", p->is_new ? "true" : "false");
    fl_api_created(a, &out);
}

static void add_member(struct fl_api *a)
{
    const struct person_request *p = a->user;
    fl_store_membership_put(&a->tx, &p->id, fl_role_name(p->role));
    append(a, FL_AUDIT_MEMBER_SET, p, (struct fl_str){ NULL, 0 });
    put_groups(a, p, (struct fl_str){ NULL, 0 });
    fl_change_commit(a, on_added);
}

static void on_person_made(struct fl_api *a)
{
    const struct person_request *p = a->user;
    if (fl_cell_is_null(p->q_person, 0, 0)) { /* another organization, at this moment */
        fl_api_error(a, FL_CONFLICT, "the name is taken in this installation");
        return;
    }
    append(a, FL_AUDIT_PERSON_CREATED, p, (struct fl_str){ NULL, 0 });
    if (p->passphrase.p) {
        fl_store_person_secret(&a->tx, &p->id, fl_str_of(p->hash.job.phc),
                               (struct fl_str){ NULL, 0 }, false);
        append(a, FL_AUDIT_SECRET_SET, p, (struct fl_str){ NULL, 0 });
    }
    add_member(a);
}

/* Somebody who exists brings their passphrase along, and nobody else's consent is asked: that takes
 * authority here and access to the host. */
static void add_existing(struct fl_api *a, struct person_request *p)
{
    if (!a->is_control) {
        fl_api_error(a, FL_CONFLICT,
                     "the name is taken in this installation; who exists already is added on the "
                     "host only (control socket)");
        return;
    }
    if (p->passphrase.p || p->display.p || p->email.p) {
        fl_api_error(a, FL_BAD_PARAMS, "%.*s exists already: give a role and groups only",
                     FL_STR_ARG(p->name));
        return;
    }
    p->id = fl_cell_uuid(p->q_person, 0, 0);
    if (!fl_cell_bool(p->q_person, 0, 6))
        fl_store_person_active(&a->tx, &p->id, true);
    add_member(a);
}

static void decide_add(struct fl_api *a)
{
    struct person_request *p = a->user;
    const struct fl_member *m = fl_change_member(a, p->name);
    if (m && m->is_active) {
        fl_api_error(a, FL_CONFLICT, "%.*s is a member already", FL_STR_ARG(p->name));
        return;
    }
    if ((p->role == FL_ROLE_OWNER && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS)) ||
        !are_groups(a, p->groups))
        return;
    if (fl_rows(p->q_person) == 1) {
        add_existing(a, p);
        return;
    }
    p->is_new = true;
    p->id = fl_uuid_new();
    p->q_person = fl_store_person_create(&a->tx, &p->id, p->name, p->display, p->email);
    fl_change_round(a, on_person_made);
}

static void read_by_name(struct fl_api *a)
{
    struct person_request *p = a->user;
    fl_store_person_lock(&a->tx, p->name);
    p->q_person = fl_store_person_by_name(&a->tx, p->name);
}

static void on_add_hashed(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        fl_change_start(a, read_by_name, decide_add);
}

static void hash(struct fl_api *a, void (*then)(struct fl_op *op))
{
    struct person_request *p = a->user;
    a->op = (struct fl_op){ .done = then };
    if (fl_person_hash_start(&a->op, &p->hash, a->people, p->passphrase) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

static void start_add(struct fl_api *a)
{
    struct person_request *p;
    if (!(p = new_request(a, true)) || !fl_api_name(a, "name", true, &p->name) ||
        !fl_api_text(a, "passphrase", false, &p->passphrase))
        return;
    /* Whoever knows it can act as that person: no token that was found makes itself another one. */
    if (p->passphrase.p && a->who == FL_WHO_PERSON && !fl_api_by_passphrase(a))
        return;
    if (p->passphrase.p)
        hash(a, on_add_hashed);
    else
        fl_change_start(a, read_by_name, decide_add);
}

/* ---------------------------------------------------------------- changing */
static bool may_update(struct fl_api *a, const struct person_request *p,
                       const struct fl_member *target)
{
    bool changes_role = p->role != FL_ROLE_NONE && p->role != target->role;
    bool is_about_owner = p->role == FL_ROLE_OWNER || target->role == FL_ROLE_OWNER;
    if (changes_role && is_about_owner && !fl_change_may(a, FL_ACTION_MANAGE_OWNERS))
        return false;
    if (changes_role && target->role == FL_ROLE_OWNER && !fl_change_keeps_owner(a, target))
        return false;
    if ((p->display.p || p->email.p) && !fl_change_is_self(a, target) &&
        !fl_change_may_alter(a, target))
        return false;
    return are_groups(a, p->groups);
}

static void decide_update(struct fl_api *a)
{
    struct person_request *p = a->user;
    const struct fl_member *target = fl_change_target(a);
    if (!target || !may_update(a, p, target))
        return;
    p->id = target->id;
    p->name = target->name;
    if (p->role != FL_ROLE_NONE && p->role != target->role) {
        fl_store_membership_put(&a->tx, &p->id, fl_role_name(p->role));
        append(a, FL_AUDIT_MEMBER_SET, p, (struct fl_str){ NULL, 0 });
    }
    if (p->display.p || p->email.p) {
        fl_store_person_describe(&a->tx, &p->id, p->display, p->email);
        append(a, FL_AUDIT_PERSON_CHANGED, p, (struct fl_str){ NULL, 0 });
    }
    if (p->groups.p)
        put_groups(a, p, target->groups);
    fl_change_commit(a, fl_reach_answer);
}

static void start_update(struct fl_api *a)
{
    if (new_request(a, false))
        fl_change_person_start(a, decide_update);
}

/* ---------------------------------------------------------------- a passphrase for somebody */
static void decide_reset(struct fl_api *a)
{
    struct person_request *p = a->user;
    struct fl_str nothing = { NULL, 0 };
    const struct fl_member *target = fl_change_target(a);
    if (!target || !fl_change_may_alter(a, target))
        return;
    p->id = target->id;
    p->name = target->name;
    fl_store_person_secret(&a->tx, &p->id, fl_str_of(p->hash.job.phc), nothing, true);
    fl_store_token_revoke(&a->tx, &p->id, NULL);
    append(a, FL_AUDIT_SECRET_SET, p, nothing);
    append(a, FL_AUDIT_TOKEN_REVOKED, p, nothing);
    fl_change_commit(a, fl_api_empty);
}

static void on_reset_hashed(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    if (fl_api_flow_done(a))
        fl_change_person_start(a, decide_reset);
}

static void start_reset(struct fl_api *a)
{
    struct person_request *p;
    if (!(p = new_request(a, false)) || !fl_api_text(a, "passphrase", true, &p->passphrase))
        return;
    /* It lets somebody act as another person; a token that was found must not. */
    if (a->who == FL_WHO_PERSON && !fl_api_by_passphrase(a))
        return;
    if (a->who == FL_WHO_PERSON && fl_str_eq(a->params[1], a->auth.person))
        fl_api_refuse(a, "your own passphrase is changed at /me/passphrase");
    else
        hash(a, on_reset_hashed);
}

const struct fl_api_route fl_api_people[] = {
    { FL_HTTP_GET, "/orgs/{org}/people", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_people },
    { FL_HTTP_POST, "/orgs/{org}/people", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE, start_add,
      "name display_name email role groups passphrase" },
    { FL_HTTP_PATCH, "/orgs/{org}/people/{person}", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_update, "role groups display_name email" },
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/passphrase", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_reset, "passphrase" },
    { .pattern = NULL }
};
