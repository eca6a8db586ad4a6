/* Out of office: who is away, until when, and who decides for them. One's own, or anybody's by who
 * may manage people (an owner's only by an owner); never by a token, as it passes a vote on. */
#include "flopinio/base/clock.h"
#include "runtime/approval/alert.h"
#include "runtime/console/change.h"
#include "runtime/console/reach.h"
#include "runtime/store/delegation.h"

#define MOST_MS  INT64_C(31536000000) /* 365 days */
#define LEAST_MS 1000

struct away_request {
    const struct fl_org_person *person, *delegate;
    int64_t from_ms, until_ms;
    struct fl_query *q_had;
};

static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "person:t delegate:t from:m until:m set_by:t is_now:b");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_delegations(fl_api_tx(a));
    fl_api_submit(a, false, on_listed);
}

static const struct fl_org_person *person_named(const struct fl_api *a, struct fl_str name)
{
    for (size_t i = 0; i < a->org->person_count; i++) {
        if (fl_str_eq(a->org->people[i].name, name))
            return &a->org->people[i];
    }
    return NULL;
}

/* May whoever asks say this of that person? false: answered. */
static bool may_set(struct fl_api *a, const struct fl_org_person *person)
{
    struct fl_err err;
    if (a->who != FL_WHO_PERSON)
        return true; /* the operator, while it has authority here */
    if (!fl_api_by_passphrase(a))
        return false;
    if (fl_uuid_cmp(&person->id, &a->auth.id) == 0)
        return true;
    enum fl_code code = fl_role_require(a->role, FL_ACTION_MANAGE_PEOPLE, &err);
    if (code == FL_OK && person->role == FL_ROLE_OWNER)
        code = fl_role_require(a->role, FL_ACTION_MANAGE_OWNERS, &err);
    if (code)
        fl_api_refuse(a, err.text);
    return code == FL_OK;
}

/* NULL: answered. */
static struct away_request *new_request(struct fl_api *a)
{
    struct away_request *r = FL_ARENA_NEW(a->arena, struct away_request);
    if (!r) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return NULL;
    }
    *r = (struct away_request){ .person = person_named(a, a->params[1]) };
    if (!r->person) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such person here");
        return NULL;
    }
    a->user = r;
    return may_set(a, r->person) ? r : NULL;
}

/* A time, or how long from now. */
static bool read_time(struct fl_api *a, const char *name, bool is_required, int64_t *ret_ms)
{
    struct fl_str text;
    int64_t span_ms, now_ms = fl_real_ms();
    *ret_ms = now_ms;
    if (!fl_api_text(a, name, is_required, &text))
        return false;
    if (!text.p || fl_time_parse(text, ret_ms))
        return true;
    if (fl_duration_parse(text, &span_ms) && span_ms <= MOST_MS) {
        *ret_ms = now_ms + span_ms;
        return true;
    }
    fl_api_error(a, FL_BAD_PARAMS,
                 "'%s' must be a time (2026-12-24T08:00:00Z), or how long from now (\"7d\")", name);
    return false;
}

static bool read_times(struct fl_api *a, struct away_request *r)
{
    int64_t now_ms = fl_real_ms();
    if (!read_time(a, "from", false, &r->from_ms) || !read_time(a, "until", true, &r->until_ms))
        return false;
    r->from_ms = r->from_ms < now_ms ? now_ms : r->from_ms;
    if (r->until_ms - r->from_ms >= LEAST_MS && r->until_ms - now_ms <= MOST_MS)
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'until' must be to come, after 'from', and within a year");
    return false;
}

static bool read_delegate(struct fl_api *a, struct away_request *r)
{
    struct fl_str name;
    if (!fl_api_text(a, "delegate", true, &name))
        return false;
    r->delegate = person_named(a, name);
    if (!r->person->is_active || !r->delegate || !r->delegate->is_active)
        fl_api_error(a, FL_BAD_PARAMS, "'%.*s' is not an active member of this organization",
                     FL_STR_ARG(r->person->is_active ? name : r->person->name));
    else if (r->delegate == r->person)
        fl_api_error(a, FL_BAD_PARAMS, "nobody decides for themselves while they are away");
    else if (!fl_role_may(r->delegate->role, FL_ACTION_DECIDE))
        fl_api_error(a, FL_BAD_PARAMS,
                     "%.*s cannot decide for anybody: the role '%s' decides nothing",
                     FL_STR_ARG(name), fl_role_name(r->delegate->role));
    else
        return true;
    return false;
}

static void begin_event(struct fl_api *a, struct fl_audit_event *e, enum fl_audit_kind kind)
{
    const struct away_request *r = a->user;
    fl_api_event(a, e, kind, "person", &r->person->id);
    fl_audit_text(e, "person", r->person->name);
}

static bool seal(struct fl_api *a, struct fl_audit_event *e)
{
    struct fl_err err;
    enum fl_code code = fl_audit_seal(e, a->arena, &err);
    if (code)
        fl_api_error(a, code, "%s", err.text);
    return code == FL_OK;
}

/* ---------------------------------------------------------------- setting */
static void on_put(struct fl_api *a)
{
    const struct away_request *r = a->user;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_CONFLICT,
                     "%.*s is away then too, and what is delegated is not passed on: name somebody "
                     "else",
                     FL_STR_ARG(r->delegate->name));
        return;
    }
    fl_alert_away(&a->tx, &r->person->id, r->person->name, r->delegate->name, r->from_ms,
                  r->until_ms, fl_api_by(a));
    fl_change_commit(a, fl_reach_answer);
}

/* What it takes the place of is read behind the lock: its end is in the audit as well. */
static bool note_had(struct fl_api *a, struct away_request *r)
{
    struct fl_audit_event e;
    if (fl_rows(r->q_had) == 0)
        return true;
    struct fl_str delegate = fl_arena_str(a->arena, fl_cell(r->q_had, 0, 0));
    begin_event(a, &e, FL_AUDIT_DELEGATION_ENDED);
    fl_audit_text(&e, "delegate", delegate);
    fl_audit_time(&e, "from", fl_cell_int(r->q_had, 0, 1), a->arena);
    fl_audit_time(&e, "until", fl_cell_int(r->q_had, 0, 2), a->arena);
    fl_audit_z(&e, "why",
               fl_cell_bool(r->q_had, 0, 3) ? "it was over" : "another one was set in its place");
    if (!delegate.p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else
        fl_audit_append(&e, &a->tx);
    return delegate.p != NULL;
}

static void decide_put(struct fl_api *a)
{
    struct fl_audit_event e;
    struct away_request *r = a->user;
    if (!may_set(a, r->person) || !note_had(a, r))
        return;
    begin_event(a, &e, FL_AUDIT_DELEGATION_SET);
    fl_audit_text(&e, "delegate", r->delegate->name);
    fl_audit_time(&e, "from", r->from_ms, a->arena);
    fl_audit_time(&e, "until", r->until_ms, a->arena);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_delegation_put(&a->tx, &r->person->id, &r->delegate->id, r->from_ms,
                                      r->until_ms, fl_api_by(a), &e.row);
    fl_change_round(a, on_put);
}

static void read_had(struct fl_api *a)
{
    struct away_request *r = a->user;
    r->q_had = fl_store_delegation_of(&a->tx, &r->person->id);
}

static void start_put(struct fl_api *a)
{
    struct away_request *r = new_request(a);
    if (r && read_delegate(a, r) && read_times(a, r))
        fl_change_start(a, read_had, decide_put);
}

/* ---------------------------------------------------------------- ending */
static void on_ended(struct fl_api *a)
{
    if (fl_rows(a->q[0]) == 1)
        fl_api_empty(a);
    else
        fl_api_error(a, FL_NOT_FOUND, "nobody decides for %.*s", FL_STR_ARG(a->params[1]));
}

static void start_end(struct fl_api *a)
{
    struct fl_audit_event e;
    struct away_request *r = new_request(a);
    if (!r)
        return;
    struct fl_tx *tx = fl_api_revoke_tx(a);
    begin_event(a, &e, FL_AUDIT_DELEGATION_ENDED);
    if (!seal(a, &e))
        return;
    a->q[0] = fl_store_delegation_end(tx, &r->person->id, &e.row);
    fl_api_submit(a, true, on_ended);
}

const struct fl_api_route fl_api_away[] = {
    { FL_HTTP_GET, "/orgs/{org}/away", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/people/{person}/away", FL_NEED_ROLE, FL_ACTION_READ_OWN_APPROVALS,
      start_put, "from until delegate" },
    { FL_HTTP_DELETE, "/orgs/{org}/people/{person}/away", FL_NEED_ROLE,
      FL_ACTION_READ_OWN_APPROVALS, start_end },
    { .pattern = NULL }
};
