/* Agents. */
#include "runtime/console/agents.h"

#include "flopinio/base/json.h"
#include "runtime/console/valid.h"
#include "runtime/store/person.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

struct agent_request {
    struct fl_str name, title, owner, labels; /* p NULL: not said */
    const char *state;                        /* NULL: not said */
    struct fl_uuid id, owner_id;
    struct fl_query *q_agents;
    struct fl_query *q_revoked;
};

/* ---------------------------------------------------------------- looking */
#define AGENT_SPEC "- name:t title:t owner:t state:t labels:j -"

static void on_agents(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], AGENT_SPEC);
    fl_api_ok(a, &out);
}

static void start_agents(struct fl_api *a)
{
    a->q[0] = fl_store_agents(fl_api_tx(a));
    fl_api_submit(a, false, on_agents);
}

int fl_agent_row(const struct fl_query *q, struct fl_str name)
{
    for (int i = 0; i < fl_rows(q); i++) {
        if (fl_str_eq(fl_cell(q, i, 1), name))
            return i;
    }
    return -1;
}

static void on_agent(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    int row = fl_agent_row(a->q[0], a->params[1]);
    if (row < 0) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return;
    }
    fl_api_row(&out, a->q[0], row, AGENT_SPEC);
    fl_api_ok(a, &out);
}

static void start_agent(struct fl_api *a)
{
    a->q[0] = fl_store_agents(fl_api_tx(a));
    fl_api_submit(a, false, on_agent);
}

/* ---------------------------------------------------------------- what is asked for */
static struct agent_request *new_request(struct fl_api *a)
{
    struct agent_request *r = FL_ARENA_NEW(a->arena, struct agent_request);
    if (!r)
        fl_api_error(a, FL_NOMEM, "out of memory");
    a->user = r;
    return r;
}

/* Labels are what rules may ask for: names and short texts. */
static bool read_labels(struct fl_api *a, struct fl_str *ret)
{
    const json_t *labels = a->body ? json_object_get(a->body, "labels") : NULL;
    *ret = NOTHING;
    if (!labels || json_is_null(labels))
        return true;
    if (!fl_are_labels(labels)) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "'labels' must be an object of at most %d texts, each of at most %d bytes",
                     FL_VALID_LABELS_MAX, FL_VALID_TITLE_MAX);
        return false;
    }
    *ret = fl_labels_text(a->arena, labels);
    if (!ret->p)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return ret->p != NULL;
}

static bool read_state(struct fl_api *a, const char **ret)
{
    static const char *const states[] = { "active", "frozen", "revoked" };
    struct fl_str text;
    *ret = NULL;
    if (!fl_api_text(a, "state", false, &text))
        return false;
    for (size_t i = 0; i < FL_COUNTOF(states); i++) {
        if (fl_str_is(text, states[i]))
            *ret = states[i];
    }
    if (!text.p || *ret)
        return true;
    fl_api_error(a, FL_BAD_PARAMS, "'state' must be active, frozen or revoked");
    return false;
}

/* The active member who is to answer for the agent. */
static bool find_owner(struct fl_api *a, struct agent_request *r)
{
    const struct fl_member *m = fl_change_member(a, r->owner);
    if (!m || !m->is_active) {
        fl_api_error(a, FL_BAD_PARAMS, "'%.*s' is no active person here", FL_STR_ARG(r->owner));
        return false;
    }
    r->owner_id = m->id;
    return true;
}

static void append(struct fl_api *a, enum fl_audit_kind kind, const struct agent_request *r)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "agent", &r->id);
    fl_audit_text(&e, "agent", r->name);
    fl_audit_text(&e, "title", r->title);
    fl_audit_text(&e, "owner", r->owner);
    fl_audit_z(&e, "state", r->state);
    if (r->labels.p)
        fl_audit_raw(&e, "labels", r->labels);
    fl_audit_append(&e, &a->tx);
}

/* ---------------------------------------------------------------- making and changing */
static void read_agents(struct fl_api *a)
{
    struct agent_request *r = a->user;
    r->q_agents = fl_store_agents(&a->tx);
}

static void on_created(struct fl_api *a)
{
    const struct agent_request *r = a->user;
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"name\":");
    fl_buf_json_str(&out, r->name);
    fl_buf_putc(&out, '}');
    fl_api_created(a, &out);
}

static void decide_create(struct fl_api *a)
{
    struct agent_request *r = a->user;
    if (fl_agent_row(r->q_agents, r->name) >= 0) {
        fl_api_error(a, FL_CONFLICT, "there is an agent of that name already");
        return;
    }
    if (!find_owner(a, r))
        return;
    r->id = fl_uuid_new();
    fl_store_agent_create(&a->tx, &r->id, r->name, r->title, &r->owner_id, r->labels);
    append(a, FL_AUDIT_AGENT_CREATED, r);
    fl_change_commit(a, on_created);
}

static void start_create(struct fl_api *a)
{
    struct agent_request *r;
    if (!(r = new_request(a)) || !fl_api_name(a, "name", true, &r->name) ||
        !fl_api_title(a, "title", &r->title) ||
        !fl_api_text(a, "owner", a->who == FL_WHO_OPERATOR, &r->owner) ||
        !read_labels(a, &r->labels))
        return;
    if (!r->owner.p)
        r->owner = a->auth.person;
    fl_change_start(a, read_agents, decide_create);
}

bool fl_agent_find(struct fl_api *a, const struct fl_query *agents, struct fl_uuid *ret_id,
                   int *ret_row)
{
    int row = fl_agent_row(agents, a->params[1]);
    if (row < 0) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such agent");
        return false;
    }
    *ret_id = fl_cell_uuid(agents, row, 0);
    *ret_row = row;
    if (!fl_str_is(fl_cell(agents, row, 4), "revoked"))
        return true;
    fl_api_error(a, FL_CONFLICT, "the agent was revoked, which is for good; make a new one");
    return false;
}

static bool owner_is_active(const struct fl_api *a, const struct agent_request *r, int row)
{
    struct fl_uuid owner = fl_cell_uuid(r->q_agents, row, 6);
    for (size_t i = 0; i < a->change->member_count; i++) {
        const struct fl_member *m = &a->change->members[i];
        if (m->is_active && fl_uuid_cmp(&m->id, &owner) == 0)
            return true;
    }
    return false;
}

void fl_agent_append_revoked(struct fl_api *a, const struct fl_query *q, struct fl_str agent)
{
    size_t count = (size_t)fl_rows(q);
    struct fl_uuid *ids = fl_arena_array(a->arena, count + 1, sizeof *ids);
    for (size_t i = 0; ids && i < count; i++)
        ids[i] = fl_cell_uuid(q, (int)i, 0);
    a->tx.is_nomem |= !ids;
    for (size_t i = 0; ids && i < count; i++) {
        struct fl_audit_event e;
        fl_api_event(a, &e, FL_AUDIT_CREDENTIAL_REVOKED, "credential", &ids[i]);
        fl_audit_text(&e, "agent", agent);
        fl_audit_append(&e, &a->tx);
    }
}

static void on_agent_revoked(struct fl_api *a)
{
    const struct agent_request *r = a->user;
    fl_agent_append_revoked(a, r->q_revoked, r->name);
    fl_change_commit(a, fl_api_empty);
}

static void decide_update(struct fl_api *a)
{
    struct agent_request *r = a->user;
    int row;
    if (!fl_agent_find(a, r->q_agents, &r->id, &row))
        return;
    if (r->owner.p) {
        if (!find_owner(a, r))
            return;
    } else if (r->state && strcmp(r->state, "active") == 0 && !owner_is_active(a, r, row)) {
        fl_api_error(a, FL_CONFLICT, "the agent's owner was offboarded: give it another owner");
        return;
    }
    fl_store_agent_update(&a->tx, r->name, r->title, r->owner.p ? &r->owner_id : NULL, r->state,
                          r->labels);
    append(a, FL_AUDIT_AGENT_CHANGED, r);
    if (!r->state || strcmp(r->state, "revoked") != 0) {
        fl_change_commit(a, fl_api_empty);
        return;
    }
    r->q_revoked = fl_store_credential_revoke(&a->tx, NULL, &r->id);
    fl_change_round(a, on_agent_revoked);
}

static void start_update(struct fl_api *a)
{
    struct agent_request *r;
    if (!(r = new_request(a)) || !fl_api_title(a, "title", &r->title) ||
        !fl_api_text(a, "owner", false, &r->owner) || !read_state(a, &r->state) ||
        !read_labels(a, &r->labels))
        return;
    r->name = a->params[1];
    fl_change_start(a, read_agents, decide_update);
}

const struct fl_api_route fl_api_agents[] = {
    { FL_HTTP_GET, "/orgs/{org}/agents", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY, start_agents },
    { FL_HTTP_POST, "/orgs/{org}/agents", FL_NEED_ROLE, FL_ACTION_MANAGE_AGENTS, start_create,
      "name title owner labels" },
    { FL_HTTP_GET, "/orgs/{org}/agents/{agent}", FL_NEED_ROLE, FL_ACTION_READ_INVENTORY,
      start_agent },
    { FL_HTTP_PATCH, "/orgs/{org}/agents/{agent}", FL_NEED_ROLE, FL_ACTION_MANAGE_AGENTS,
      start_update, "title owner state labels" },
    { .pattern = NULL }
};
