/* Stopping and resuming over REST. */
#include <stdlib.h>

#include "flopinio/base/clock.h"
#include "runtime/approval/stop.h"
#include "runtime/console/api.h"
#include "runtime/store/organization.h"

static struct fl_uuid actor_id(const struct fl_api *a)
{
    return a->who == FL_WHO_PERSON ? a->auth.id : (struct fl_uuid){ { 0 } };
}

static enum fl_actor actor_of(const struct fl_api *a)
{
    return a->who == FL_WHO_PERSON ? FL_ACTOR_PERSON : FL_ACTOR_OPERATOR;
}

/* ---------------------------------------------------------------- the list */
static void on_listed(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0],
                "id:u scope:t name:t reason:t set_by:t set_at:m until:m state:t left:i");
    fl_api_ok(a, &out);
}

static void start_list(struct fl_api *a)
{
    a->q[0] = fl_store_stops_shown(fl_api_tx(a));
    fl_api_submit(a, false, on_listed);
}

/* ---------------------------------------------------------------- what is meant */
static bool has_name(const struct fl_str *names, size_t count, struct fl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (fl_str_eq(names[i], name))
            return true;
    }
    return false;
}

static bool has_person(const struct fl_org *org, struct fl_str name)
{
    for (size_t i = 0; i < org->person_count; i++) {
        if (fl_str_eq(org->people[i].name, name))
            return true;
    }
    return false;
}

/* A stop of what does not exist would stop nothing, and say that it did. */
static bool exists(const struct fl_org *org, const char *scope, struct fl_str name)
{
    switch (scope[0]) {
    case 'o': return fl_str_eq(org->name, name);
    case 'g': return has_name(org->groups, org->group_count, name);
    case 'a': return has_name(org->agents, org->agent_count, name);
    case 's': return fl_org_server(org, name) != NULL;
    case 't': return fl_org_tool(org, name) != NULL;
    default: return has_person(org, name);
    }
}

/* Scope and name of the body; of the organization itself the name may be left out. */
static bool read_target(struct fl_api *a, const char **ret_scope, struct fl_str *ret_name)
{
    struct fl_str scope;
    if (!fl_api_text(a, "scope", true, &scope) || !fl_api_text(a, "name", false, ret_name))
        return false;
    *ret_scope = fl_stop_scope(scope);
    if (*ret_scope && !ret_name->n && fl_str_is(scope, "org"))
        *ret_name = a->organization;
    if (*ret_scope && ret_name->n)
        return true;
    fl_api_error(a, FL_BAD_PARAMS,
                 "say what: 'scope' is org, group, server, agent, person or tool, and 'name' which "
                 "one");
    return false;
}

/* ---------------------------------------------------------------- stopping */
static void on_set(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_stop_set *s = a->user;
    struct fl_buf out = FL_BUF_INIT;
    char id[FL_UUID_TEXT], at[FL_TIME_BYTES];
    if (!fl_api_flow_done(a))
        return;
    fl_buf_printf(&out, "{\"id\":\"%s\",\"in_flight\":[", fl_uuid_format(&s->id, id));
    for (size_t i = 0; i < s->in_flight_count; i++) {
        const struct fl_in_flight *c = &s->in_flight[i];
        fl_buf_printf(&out, "%s{\"id\":\"%s\",\"tool\":", i ? "," : "",
                      fl_uuid_format(&c->approval, id));
        fl_buf_json_str(&out, c->tool);
        fl_buf_puts(&out, ",\"agent\":");
        fl_buf_json_str(&out, c->agent);
        fl_buf_printf(&out, ",\"sent_at\":\"%s\"}", fl_time_format_s(c->sent_at_ms, at));
    }
    fl_buf_printf(&out, "],\"state\":\"%s\"}", s->is_moving ? "stopping" : "stopped");
    fl_api_created(a, &out);
}

static void start_set(struct fl_api *a)
{
    struct fl_stop_set *s = FL_ARENA_NEW(a->arena, struct fl_stop_set);
    if (!s) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    *s = (struct fl_stop_set){ .core = a->core,
                               .arena = a->arena,
                               .organization = a->organization_id,
                               .by = fl_api_by(a),
                               .actor = actor_of(a),
                               .actor_id = actor_id(a),
                               .via = a->is_control ? "control" : "api" };
    if (!read_target(a, &s->scope, &s->name) || !fl_api_text(a, "reason", true, &s->reason) ||
        !fl_api_duration(a, "for", &s->for_ms))
        return;
    if (!exists(a->org, s->scope, s->name)) {
        fl_api_error(a, FL_NOT_FOUND, "there is no %s '%.*s'; nothing was stopped", s->scope,
                     (int)(s->name.n > 64 ? 64 : s->name.n), s->name.p);
        return;
    }
    a->user = s;
    a->op = (struct fl_op){ .done = on_set };
    if (fl_stop_set_start(&a->op, s) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

/* ---------------------------------------------------------------- resuming */
static void on_lifted(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    const struct fl_stop_lift *l = a->user;
    struct fl_buf out = FL_BUF_INIT;
    if (!fl_api_flow_may(a))
        return;
    fl_buf_printf(&out, "{\"lifted\":%zu%s}", l->lifted,
                  l->is_moving ? ",\"state\":\"resuming\"" : "");
    fl_api_ok(a, &out);
}

static int by_id(const void *a, const void *b)
{
    const struct fl_stop_named *x = a, *y = b;
    return fl_uuid_cmp(&x->id, &y->id);
}

/* Those of the snapshot, which is as fresh as the request, in the order in which they are locked.
 */
static bool find_stops(struct fl_api *a, struct fl_stop_lift *l, const struct fl_uuid *id,
                       const char *scope, struct fl_str name)
{
    struct fl_stop_named *found = fl_arena_array(a->arena, a->org->stop_count + 1, sizeof *found);
    l->stops = found;
    for (size_t i = 0; found && i < a->org->stop_count; i++) {
        const struct fl_org_stop *s = &a->org->stops[i];
        if (scope ? fl_str_is(s->scope, scope) && fl_str_eq(s->name, name)
                  : fl_uuid_cmp(&s->id, id) == 0)
            found[l->count++] = (struct fl_stop_named){ s->id, s->scope, s->name };
    }
    if (!found)
        fl_api_error(a, FL_NOMEM, "out of memory");
    else
        qsort(found, l->count, sizeof *found, by_id);
    return found != NULL;
}

static void start_lift(struct fl_api *a)
{
    struct fl_stop_lift *l = FL_ARENA_NEW(a->arena, struct fl_stop_lift);
    struct fl_str text, name = { NULL, 0 };
    struct fl_uuid id = { { 0 } };
    const char *scope = NULL;
    if (!l) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    if (!fl_api_text(a, "id", false, &text))
        return;
    if (text.n && !fl_uuid_parse(text, &id)) {
        fl_api_error(a, FL_BAD_PARAMS, "'id' must be the id of a stop");
        return;
    }
    if (!text.n && !read_target(a, &scope, &name))
        return;
    *l = (struct fl_stop_lift){ .core = a->core,
                                .organization = a->organization_id,
                                .by = fl_api_by(a),
                                .actor = actor_of(a),
                                .actor_id = actor_id(a),
                                .evidence = fl_api_evidence(a),
                                .via = a->is_control ? "control" : "api" };
    if (!find_stops(a, l, &id, scope, name))
        return;
    a->user = l;
    a->op = (struct fl_op){ .done = on_lifted };
    if (fl_stop_lift_start(&a->op, l) != FL_OK)
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
}

const struct fl_api_route fl_api_stops[] = {
    { FL_HTTP_GET, "/orgs/{org}/stops", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_list },
    { FL_HTTP_POST, "/orgs/{org}/stops", FL_NEED_ROLE, FL_ACTION_STOP, start_set,
      "scope name reason for" },
    { FL_HTTP_POST, "/orgs/{org}/stops/resume", FL_NEED_ROLE, FL_ACTION_RESUME, start_lift,
      "scope name id" },
    { .pattern = NULL }
};
