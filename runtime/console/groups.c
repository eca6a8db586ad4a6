/* Groups: sets of people that rules name. */
#include "runtime/console/change.h"
#include "runtime/console/reach.h"
#include "runtime/store/organization.h"

struct group_request {
    struct fl_str name, title, members; /* members joined with commas; p NULL: as they are */
};

static void on_groups(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "- name:t title:t members:c");
    fl_api_ok(a, &out);
}

static void start_groups(struct fl_api *a)
{
    a->q[0] = fl_store_groups(fl_api_tx(a));
    fl_api_submit(a, false, on_groups);
}

static struct group_request *new_request(struct fl_api *a)
{
    struct group_request *g = FL_ARENA_NEW(a->arena, struct group_request);
    const char *members;
    if (!g) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    if (!fl_api_list(a, "members", &members))
        return NULL;
    g->members = fl_str_of(members);
    a->user = g;
    return g;
}

/* Everybody who is to be in it must be here. */
static bool are_members(struct fl_api *a, struct fl_str csv)
{
    struct fl_str each;
    for (size_t pos = 0; fl_list_next(csv, &pos, &each);) {
        const struct fl_member *m = fl_change_member(a, each);
        if (m && m->is_active)
            continue;
        fl_api_error(a, FL_BAD_PARAMS, "'%.*s' is no active person here", FL_STR_ARG(each));
        return false;
    }
    return true;
}

static void put_members(struct fl_api *a, const struct group_request *g)
{
    for (size_t i = 0; i < a->change->member_count; i++) {
        const struct fl_member *m = &a->change->members[i];
        bool is_in = fl_list_has(m->groups, g->name), becomes = fl_list_has(g->members, m->name);
        if (becomes && !is_in)
            fl_store_group_member_add(&a->tx, g->name, &m->id);
        else if (is_in && !becomes)
            fl_store_group_member_remove(&a->tx, g->name, &m->id);
    }
}

static void append_event(struct fl_api *a, const struct group_request *g, enum fl_audit_kind kind)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "group", NULL);
    fl_audit_text(&e, "group", g->name);
    fl_audit_text(&e, "title", g->title);
    fl_audit_text(&e, "members", g->members);
    fl_audit_append(&e, &a->tx);
}

static void on_created(struct fl_api *a)
{
    const struct group_request *g = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, g->name);
    fl_buf_putc(&out, '}');
    fl_api_created(a, &out);
}

static void decide_create(struct fl_api *a)
{
    const struct group_request *g = a->user;
    struct fl_uuid id = fl_uuid_new();
    if (fl_change_has_group(a, g->name)) {
        fl_api_error(a, FL_CONFLICT, "there is a group of that name already");
        return;
    }
    if (!are_members(a, g->members))
        return;
    fl_store_group_create(&a->tx, &id, g->name, g->title);
    put_members(a, g);
    append_event(a, g, FL_AUDIT_GROUP_CREATED);
    fl_change_commit(a, on_created);
}

static void start_create(struct fl_api *a)
{
    struct group_request *g;
    if (!(g = new_request(a)) || !fl_api_name(a, "name", true, &g->name) ||
        !fl_api_title(a, "title", &g->title))
        return;
    fl_change_start(a, NULL, decide_create);
}

static bool is_there(struct fl_api *a, const struct group_request *g)
{
    if (fl_change_has_group(a, g->name))
        return true;
    fl_api_error(a, FL_NOT_FOUND, "there is no such group");
    return false;
}

static void decide_update(struct fl_api *a)
{
    const struct group_request *g = a->user;
    if (!is_there(a, g) || !are_members(a, g->members))
        return;
    put_members(a, g);
    append_event(a, g, FL_AUDIT_GROUP_CHANGED);
    fl_change_commit(a, fl_reach_answer);
}

static void start_update(struct fl_api *a)
{
    struct group_request *g;
    if (!(g = new_request(a)))
        return;
    g->name = a->params[1];
    if (!g->members.p) {
        fl_api_error(a, FL_BAD_PARAMS, "'members' must be a list of texts without commas");
        return;
    }
    fl_change_start(a, NULL, decide_update);
}

static void decide_remove(struct fl_api *a)
{
    const struct group_request *g = a->user;
    if (!is_there(a, g))
        return;
    fl_store_group_remove(&a->tx, g->name);
    append_event(a, g, FL_AUDIT_GROUP_REMOVED);
    fl_change_commit(a, fl_reach_answer);
}

static void start_remove(struct fl_api *a)
{
    struct group_request *g = new_request(a);
    if (!g)
        return;
    g->name = a->params[1];
    fl_change_start(a, NULL, decide_remove);
}

const struct fl_api_route fl_api_groups[] = {
    { FL_HTTP_GET, "/orgs/{org}/groups", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_groups },
    { FL_HTTP_POST, "/orgs/{org}/groups", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE, start_create,
      "name title members" },
    { FL_HTTP_PATCH, "/orgs/{org}/groups/{group}", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_update, "members" },
    { FL_HTTP_DELETE, "/orgs/{org}/groups/{group}", FL_NEED_ROLE, FL_ACTION_MANAGE_PEOPLE,
      start_remove },
    { .pattern = NULL }
};
