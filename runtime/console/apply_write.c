/* The plan as statements, each change with its event, and what follows from their results. */
#include "runtime/approval/registry.h"
#include "runtime/console/agents.h"
#include "runtime/console/apply.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/tool.h"

#define NOTHING ((struct fl_str){ NULL, 0 })

/* ---------------------------------------------------------------- people */
static void person_event(struct fl_api *a, enum fl_audit_kind kind, const struct fl_apply_person *p)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "person", &p->id);
    fl_audit_text(&e, "person", p->name);
    if (kind == FL_AUDIT_MEMBER_SET) {
        fl_audit_z(&e, "role", fl_role_name(p->role));
    } else {
        fl_audit_text(&e, "display_name", p->display);
        fl_audit_bool(&e, "email_set", p->email.p != NULL);
    }
    fl_audit_append(&e, &a->tx);
}

static void write_person(struct fl_api *a, struct fl_apply_person *p)
{
    if (p->is_new) {
        p->q_made = fl_store_person_create(&a->tx, &p->id, p->name, p->display, p->email);
        person_event(a, FL_AUDIT_PERSON_CREATED, p);
    } else if (p->joins) {
        fl_store_person_active(&a->tx, &p->id, true);
    }
    if (p->describes) {
        fl_store_person_describe(&a->tx, &p->id, p->display, p->email);
        person_event(a, FL_AUDIT_PERSON_CHANGED, p);
    }
    if (p->joins || p->sets_role) {
        fl_store_membership_put(&a->tx, &p->id, fl_role_name(p->role));
        person_event(a, FL_AUDIT_MEMBER_SET, p);
    }
}

/* ---------------------------------------------------------------- groups */
static void group_event(struct fl_api *a, enum fl_audit_kind kind, struct fl_str name,
                        const struct fl_apply_group *g)
{
    struct fl_audit_event e;
    struct fl_buf members = FL_BUF_INIT;
    fl_api_event(a, &e, kind, "group", NULL);
    fl_audit_text(&e, "group", name);
    if (g)
        fl_audit_text(&e, "title", g->title);
    for (size_t i = 0; g && i < g->member_count; i++)
        fl_buf_printf(&members, "%s%.*s", i ? "," : "", FL_STR_ARG(g->members[i]));
    if (g && g->has_members)
        fl_audit_text(&e, "members", members.n ? fl_buf_view(&members) : FL_STR(""));
    a->tx.is_nomem |= members.is_failed;
    fl_audit_append(&e, &a->tx);
    fl_buf_fini(&members);
}

static void write_group(struct fl_api *a, const struct fl_apply_group *g)
{
    struct fl_uuid id = fl_uuid_new();
    if (!g->is_new && !g->describes && !g->add_count && !g->remove_count)
        return;
    if (g->is_new)
        fl_store_group_create(&a->tx, &id, g->name, g->title);
    else if (g->describes)
        fl_store_group_describe(&a->tx, g->name, g->title);
    for (size_t i = 0; i < g->remove_count; i++)
        fl_store_group_member_remove(&a->tx, g->name, &g->remove[i]);
    for (size_t i = 0; i < g->add_count; i++)
        fl_store_group_member_add(&a->tx, g->name, &g->add[i]);
    group_event(a, g->is_new ? FL_AUDIT_GROUP_CREATED : FL_AUDIT_GROUP_CHANGED, g->name, g);
}

/* ---------------------------------------------------------------- agents */
static void agent_event(struct fl_api *a, enum fl_audit_kind kind, const struct fl_apply_agent *g)
{
    struct fl_audit_event e;
    fl_api_event(a, &e, kind, "agent", &g->id);
    fl_audit_text(&e, "agent", g->name);
    fl_audit_text(&e, "title", g->title);
    fl_audit_text(&e, "owner", g->owner);
    fl_audit_z(&e, "state", g->state);
    if (g->labels.p)
        fl_audit_raw(&e, "labels", g->labels);
    fl_audit_append(&e, &a->tx);
}

static void write_agent(struct fl_api *a, const struct fl_apply_agent *g)
{
    if (g->is_new) {
        fl_store_agent_create(&a->tx, &g->id, g->name, g->title, &g->owner_id, g->labels);
        if (g->state && strcmp(g->state, "frozen") == 0)
            fl_store_agent_update(&a->tx, g->name, NOTHING, NULL, g->state, NOTHING);
        agent_event(a, FL_AUDIT_AGENT_CREATED, g);
    } else if (g->is_changed) {
        fl_store_agent_update(&a->tx, g->name, g->title, g->owner.p ? &g->owner_id : NULL, g->state,
                              g->labels);
        agent_event(a, FL_AUDIT_AGENT_CHANGED, g);
    }
}

static void revoke_agent(struct fl_api *a, struct fl_apply_gone *gone)
{
    struct fl_apply_agent g = { .name = gone->name, .id = gone->id, .state = "revoked" };
    fl_store_agent_update(&a->tx, g.name, NOTHING, NULL, g.state, NOTHING);
    agent_event(a, FL_AUDIT_AGENT_CHANGED, &g);
    gone->q = fl_store_credential_revoke(&a->tx, NULL, &g.id);
}

/* ---------------------------------------------------------------- servers and pins */
/* For statements that carry their event. */
static const struct fl_audit_row *seal(struct fl_api *a, struct fl_audit_event *e)
{
    struct fl_err err;
    a->tx.is_nomem |= fl_audit_seal(e, a->arena, &err) != FL_OK;
    return &e->row;
}

static void server_event(struct fl_api *a, struct fl_audit_event *e, enum fl_audit_kind kind,
                         struct fl_str name)
{
    fl_api_event(a, e, kind, "server", NULL);
    fl_audit_text(e, "server", name);
}

static void write_server(struct fl_api *a, struct fl_apply_server *s)
{
    struct fl_audit_event e;
    if (s->is_new) {
        server_event(a, &e, FL_AUDIT_SERVER_CREATED, s->name);
        fl_audit_text(&e, "plugin", s->plugin);
        s->q = fl_store_server_create(&a->tx, &s->id, s->name, s->plugin, s->config, s->environment,
                                      s->account, seal(a, &e));
    }
    if (s->is_changed || (s->is_new && s->is_enabled == 0)) {
        server_event(a, &e, FL_AUDIT_SERVER_CHANGED, s->name);
        fl_audit_text(&e, "environment", s->environment);
        fl_audit_text(&e, "account", s->account);
        if (s->is_enabled >= 0)
            fl_audit_bool(&e, "is_enabled", s->is_enabled != 0);
        fl_audit_bool(&e, "config_changed", s->is_changed && s->config.p);
        struct fl_query *q = fl_store_server_update(&a->tx, s->name, s->config, s->environment,
                                                    s->account, s->is_enabled, seal(a, &e));
        if (!s->is_new)
            s->q = q;
    }
}

static void write_pin(struct fl_api *a, struct fl_apply_tool *t)
{
    struct fl_audit_event e;
    if (t->pin == FL_PIN_SAME)
        return;
    fl_api_event(a, &e, FL_AUDIT_TOOL_ACCEPTED, "tool", NULL);
    fl_audit_text(&e, "tool", t->name);
    fl_audit_hex(&e, "digest", t->digest.p, t->digest.n);
    fl_audit_z(&e, "effects", t->effects);
    const struct fl_audit_row *row = seal(a, &e);
    if (t->pin == FL_PIN_TODAY)
        t->q = fl_store_tool_accept(&a->tx, t->name, t->digest, t->effects, t->secrets, row);
    else if (t->pin == FL_PIN_KEPT)
        t->q = fl_store_tool_pin(&a->tx, t->name, t->digest, t->definition, t->effects, t->secrets,
                                 row);
    else
        t->q = fl_store_tool_coming(&a->tx, t->server, t->own, t->name, t->digest, t->definition,
                                    t->effects, t->secrets, row);
}

static void write_gone(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_audit_event e;
    for (size_t i = 0; i < ap->gone_pin_count; i++) {
        fl_api_event(a, &e, FL_AUDIT_TOOL_QUARANTINED, "tool", NULL);
        fl_audit_text(&e, "tool", ap->gone_pins[i].name);
        fl_store_tool_quarantine(&a->tx, ap->gone_pins[i].name, seal(a, &e));
    }
    for (size_t i = 0; i < ap->gone_server_count; i++) {
        server_event(a, &e, FL_AUDIT_SERVER_REMOVED, ap->gone_servers[i].name);
        fl_store_server_remove(&a->tx, ap->gone_servers[i].name, seal(a, &e));
    }
    for (size_t i = 0; i < ap->gone_agent_count; i++)
        revoke_agent(a, &ap->gone_agents[i]);
    for (size_t i = 0; i < ap->gone_group_count; i++) {
        fl_store_group_remove(&a->tx, ap->gone_groups[i].name);
        group_event(a, FL_AUDIT_GROUP_REMOVED, ap->gone_groups[i].name, NULL);
    }
    /* Their agents have got their new owners above. */
    for (size_t i = 0; i < ap->leaving_count; i++)
        fl_leaving_write(a, &ap->leaving[i]);
}

static void write_policy(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    struct fl_audit_event e;
    uint8_t digest[FL_SHA256_BYTES];
    fl_sha256(ap->policy, digest);
    fl_api_event(a, &e, FL_AUDIT_POLICY_APPLIED, "policy", NULL);
    fl_audit_int(&e, "version", ap->policy_version + 1);
    fl_audit_hex(&e, "digest", digest, sizeof digest);
    ap->q_policy_set = fl_store_policy_apply(&a->tx, ap->policy_version, ap->policy,
                                             (struct fl_str){ (const char *)digest, sizeof digest },
                                             fl_api_by(a), NOTHING, seal(a, &e));
}

bool fl_apply_write(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    for (size_t i = 0; i < ap->person_count; i++)
        write_person(a, &ap->people[i]);
    for (size_t i = 0; i < ap->group_count; i++)
        write_group(a, &ap->groups[i]);
    for (size_t i = 0; i < ap->agent_count; i++)
        write_agent(a, &ap->agents[i]);
    for (size_t i = 0; i < ap->server_count; i++)
        write_server(a, &ap->servers[i]);
    for (size_t i = 0; i < ap->tool_count; i++)
        write_pin(a, &ap->tools[i]);
    fl_apply_write_channels(a);
    fl_apply_write_canaries(a);
    write_gone(a);
    if (ap->sets_policy)
        write_policy(a);
    if (a->tx.is_nomem)
        fl_api_error(a, FL_NOMEM, "out of memory");
    return !a->tx.is_nomem;
}

/* ---------------------------------------------------------------- results */
static bool changed_meanwhile(struct fl_api *a, const char *what, struct fl_str name)
{
    return fl_apply_refuse(a, FL_CONFLICT, what, name,
                           "somebody changed it at this moment; nothing was applied, try again");
}

static bool all_done(struct fl_api *a)
{
    const struct fl_apply *ap = a->user;
    for (size_t i = 0; i < ap->person_count; i++) {
        if (ap->people[i].q_made && fl_cell_is_null(ap->people[i].q_made, 0, 0))
            return changed_meanwhile(a, "person", ap->people[i].name);
    }
    for (size_t i = 0; i < ap->server_count; i++) {
        if (ap->servers[i].q && fl_rows(ap->servers[i].q) != 1)
            return changed_meanwhile(a, "server", ap->servers[i].name);
    }
    for (size_t i = 0; i < ap->tool_count; i++) {
        if (ap->tools[i].q && fl_rows(ap->tools[i].q) != 1)
            return changed_meanwhile(a, "tool", ap->tools[i].name);
    }
    for (size_t i = 0; i < ap->channel_count; i++) {
        if (ap->channels[i].q && fl_rows(ap->channels[i].q) != 1)
            return changed_meanwhile(a, "channel", ap->channels[i].name);
    }
    if (ap->q_policy_set && fl_rows(ap->q_policy_set) != 1)
        return changed_meanwhile(a, "policy", FL_STR("version"));
    return true;
}

/* Credentials that were revoked, of every agent; read before anything is appended. */
struct revoked {
    struct fl_str agent;
    struct fl_uuid id;
};

static struct revoked *read_revoked(struct fl_api *a, size_t *ret_count)
{
    const struct fl_apply *ap = a->user;
    size_t most = 0;
    *ret_count = 0;
    for (size_t i = 0; i < ap->gone_agent_count; i++)
        most += (size_t)fl_rows(ap->gone_agents[i].q);
    struct revoked *list = fl_arena_array(a->arena, most + 1, sizeof *list);
    for (size_t i = 0; list && i < ap->gone_agent_count; i++) {
        const struct fl_apply_gone *g = &ap->gone_agents[i];
        for (int k = 0; k < fl_rows(g->q); k++)
            list[(*ret_count)++] = (struct revoked){ g->name, fl_cell_uuid(g->q, k, 0) };
    }
    return list;
}

bool fl_apply_follow_up(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    size_t count;
    if (!all_done(a))
        return false;
    struct revoked *revoked = read_revoked(a, &count);
    bool is_read = revoked != NULL;
    for (size_t i = 0; is_read && i < ap->leaving_count; i++)
        is_read = fl_leaving_read(a, &ap->leaving[i]);
    if (!is_read) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return false;
    }
    for (size_t i = 0; i < ap->leaving_count; i++)
        fl_leaving_note(a, &ap->leaving[i]);
    for (size_t i = 0; i < count; i++) {
        struct fl_audit_event e;
        fl_api_event(a, &e, FL_AUDIT_CREDENTIAL_REVOKED, "credential", &revoked[i].id);
        fl_audit_text(&e, "agent", revoked[i].agent);
        fl_audit_append(&e, &a->tx);
    }
    return true;
}

void fl_apply_tell(struct fl_api *a)
{
    struct fl_apply *ap = a->user;
    for (size_t i = 0; i < ap->leaving_count; i++)
        fl_leaving_tell(a, &ap->leaving[i]);
    for (size_t i = 0; i < ap->server_count; i++) {
        const struct fl_apply_server *s = &ap->servers[i];
        if (s->is_new || s->is_changed)
            fl_registry_ask(a->core->registry, &a->organization_id, &s->id);
    }
}
