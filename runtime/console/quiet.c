/* Quiet hours: when somebody is not to be disturbed in their own chats. One's own, or anybody's by
 * who may manage people. */
#include "runtime/store/quiet.h"

#include "policy/zone.h"
#include "runtime/console/api.h"
#include "runtime/store/outbox.h"

struct quiet_request {
    struct fl_uuid person;
    struct fl_str from, to, zone;
};

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "person:t from:t to:t zone:t is_quiet:b");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_quiet(fl_api_tx(a));
    fl_api_submit(a, false, on_listed);
}

/* NULL: answered. */
static struct quiet_request *new_request(struct fl_api *a)
{
    struct quiet_request *r = FL_ARENA_NEW(a->arena, struct quiet_request);
    size_t i = 0;
    struct fl_err err;
    if (!r) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    while (i < a->org->person_count && !fl_str_eq(a->org->people[i].name, a->params[1]))
        i++;
    if (i == a->org->person_count) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such person here");
        return NULL;
    }
    r->person = a->org->people[i].id;
    bool is_own = a->who == FL_WHO_PERSON && fl_uuid_cmp(&r->person, &a->auth.id) == 0;
    if (a->who == FL_WHO_PERSON && !is_own &&
        fl_role_require(a->role, FL_ACTION_MANAGE_PEOPLE, &err) != FL_OK) {
        fl_api_refuse(a, err.text);
        return NULL;
    }
    a->user = r;
    return r;
}

static bool is_time(struct fl_str s)
{
    int hours, minutes;
    if (s.n != 5 || s.p[2] != ':')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (i != 2 && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    }
    hours = (s.p[0] - '0') * 10 + s.p[1] - '0';
    minutes = (s.p[3] - '0') * 10 + s.p[4] - '0';
    return hours < 24 && minutes < 60;
}

static bool seal(struct fl_api *a, const struct quiet_request *r, struct fl_audit_event *e)
{
    struct fl_err err;
    const char *hours = r->zone.p ? fl_arena_printf(a->arena, "%.*s-%.*s %.*s", FL_STR_ARG(r->from),
                                                    FL_STR_ARG(r->to), FL_STR_ARG(r->zone))
                                  : "none";
    fl_api_event(a, e, FL_AUDIT_PERSON_CHANGED, "person", &r->person);
    fl_audit_text(e, "person", a->params[1]);
    fl_audit_z(e, "quiet_hours", hours ? hours : "");
    enum fl_code code = fl_audit_seal(e, a->arena, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

static void on_put(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_BAD_PARAMS, "'zone' must be a time zone, for instance Europe/Berlin");
}

static void start_put(struct fl_api *a)
{
    struct fl_audit_event e;
    struct quiet_request *r = new_request(a);
    if (!r || !fl_api_text(a, "from", true, &r->from) || !fl_api_text(a, "to", true, &r->to) ||
        !fl_api_text(a, "zone", true, &r->zone))
        return;
    if (!is_time(r->from) || !is_time(r->to) || fl_str_eq(r->from, r->to)) {
        fl_api_error(a, FL_BAD_PARAMS, "'from' and 'to' are two times of the day, as in 22:00");
        return;
    }
    if (!fl_zone_name_is_valid(r->zone)) {
        fl_api_error(a, FL_BAD_PARAMS, "'zone' must be a time zone, for instance Europe/Berlin");
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    if (!seal(a, r, &e))
        return;
    a->q[0] = fl_store_quiet_put(tx, &r->person, r->from, r->to, r->zone, &e.row);
    fl_store_outbox_wake(tx);
    fl_api_submit(a, true, on_put);
}

static void on_dropped(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_NOT_FOUND, "%.*s has no quiet hours", FL_STR_ARG(a->params[1]));
}

static void start_drop(struct fl_api *a)
{
    struct fl_audit_event e;
    struct quiet_request *r = new_request(a);
    if (!r)
        return;
    struct fl_tx *tx = fl_api_tx(a);
    if (!seal(a, r, &e))
        return;
    a->q[0] = fl_store_quiet_drop(tx, &r->person, &e.row);
    fl_store_outbox_wake(tx);
    fl_api_submit(a, true, on_dropped);
}

const struct fl_api_route fl_api_quiet[] = {
    { FL_HTTP_GET, "/orgs/{org}/quiet", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/quiet", FL_NEED_ROLE, FL_ACTION_READ_OWN_APPROVALS,
      start_put, "from to zone" },
    { FL_HTTP_DELETE, "/orgs/{org}/people/{person}/quiet", FL_NEED_ROLE,
      FL_ACTION_READ_OWN_APPROVALS, start_drop },
    { .pattern = NULL }
};
