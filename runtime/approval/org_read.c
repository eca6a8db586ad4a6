/* Rows into a snapshot. */
#include <stdlib.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "mcp/message.h"
#include "runtime/approval/org_priv.h"
#include "runtime/approval/rules.h"
#include "runtime/store/sql.h"

/* "a,b" into an array of copies. */
static struct fl_str *split(struct fl_arena *arena, struct fl_str csv, size_t *ret_count)
{
    size_t count = csv.n ? 1 : 0;
    for (size_t i = 0; i < csv.n; i++)
        count += csv.p[i] == ',';
    struct fl_str *list = fl_arena_array(arena, count + 1, sizeof *list);
    struct fl_str copy = fl_arena_str(arena, csv);
    if (!list || !copy.p)
        return NULL;
    for (size_t i = 0, from = 0; i < count; i++) {
        size_t to = from;
        while (to < copy.n && copy.p[to] != ',')
            to++;
        list[i] = (struct fl_str){ copy.p + from, to - from };
        from = to + 1;
    }
    *ret_count = count;
    return list;
}

static bool read_people(struct fl_org *org, const struct fl_org_entry *e)
{
    const struct fl_query *q = e->q_people;
    org->person_count = (size_t)fl_rows(q);
    org->people = fl_arena_array(org->arena, org->person_count + 1, sizeof *org->people);
    for (int i = 0; org->people && i < fl_rows(q); i++) {
        struct fl_org_person *p = &org->people[i];
        p->id = fl_cell_uuid(q, i, 0);
        p->name = fl_cell_copy(q, org->arena, i, 1);
        p->role = fl_role_parse(fl_cell(q, i, 2));
        p->is_active = fl_cell_bool(q, i, 3);
        p->groups = split(org->arena, fl_cell(q, i, 4), &p->group_count);
        p->display = fl_cell_copy(q, org->arena, i, 5);
        p->delegate = fl_cell_uuid(q, i, 7);
        if (!p->groups)
            return false;
    }
    return org->people != NULL;
}

static struct fl_str *read_names(struct fl_org *org, const struct fl_query *q, int column,
                                 size_t *ret_count)
{
    struct fl_str *names = fl_arena_array(org->arena, (size_t)fl_rows(q) + 1, sizeof *names);
    for (int i = 0; names && i < fl_rows(q); i++)
        names[i] = fl_cell_copy(q, org->arena, i, column);
    *ret_count = (size_t)fl_rows(q);
    return names;
}

static bool read_stops(struct fl_org *org, const struct fl_query *q)
{
    org->stop_count = (size_t)fl_rows(q);
    org->stops = fl_arena_array(org->arena, org->stop_count + 1, sizeof *org->stops);
    for (int i = 0; org->stops && i < fl_rows(q); i++)
        org->stops[i] = (struct fl_org_stop){ .id = fl_cell_uuid(q, i, 0),
                                              .scope = fl_cell_copy(q, org->arena, i, 1),
                                              .name = fl_cell_copy(q, org->arena, i, 2),
                                              .reason = fl_cell_copy(q, org->arena, i, 3),
                                              .until_ms = fl_cell_int(q, i, 6) };
    return org->stops != NULL;
}

static bool read_pins(struct fl_org *org, struct fl_org_grant *g, struct fl_str json)
{
    struct fl_err err;
    json_t *list = fl_json_parse(json, &err);
    g->pins = fl_arena_array(org->arena, json_array_size(list) + 1, sizeof *g->pins);
    for (size_t i = 0; g->pins && i < json_array_size(list); i++)
        g->pins[g->pin_count++] = fl_arena_str(org->arena, fl_json_str(json_array_get(list, i)));
    json_decref(list);
    return g->pins != NULL;
}

static bool read_grants(struct fl_org *org, const struct fl_query *q)
{
    org->grant_count = (size_t)fl_rows(q);
    org->grants = fl_arena_array(org->arena, org->grant_count + 1, sizeof *org->grants);
    for (int i = 0; org->grants && i < fl_rows(q); i++) {
        struct fl_org_grant *g = &org->grants[i];
        g->id = fl_cell_uuid(q, i, 0);
        g->agent_id = fl_cell_uuid(q, i, 1);
        g->server_id = fl_cell_uuid(q, i, 2);
        g->tool = fl_cell_copy(q, org->arena, i, 3);
        g->definition_digest = fl_cell_bytes(q, org->arena, i, 4);
        g->server_digest = fl_cell_bytes(q, org->arena, i, 5);
        g->rule = fl_cell_copy(q, org->arena, i, 6);
        g->ask = fl_cell_copy(q, org->arena, i, 7);
        g->pinned = fl_cell_bytes(q, org->arena, i, 9);
        g->person = fl_cell_uuid(q, i, 10);
        g->person_name = fl_cell_copy(q, org->arena, i, 11);
        g->has_second_factor = fl_cell_bool(q, i, 12);
        g->uses = fl_cell_int(q, i, 13);
        g->used = fl_cell_int(q, i, 14);
        g->expires_ms = fl_cell_int(q, i, 15);
        g->is_revoked = fl_cell_bool(q, i, 16);
        if (!read_pins(org, g, fl_cell(q, i, 8)))
            return false;
    }
    return org->grants != NULL;
}

static void digest_server(struct fl_org_server *s)
{
    struct fl_sha256 sha;
    fl_sha256_init(&sha);
    fl_sha256_part(&sha, FL_STR("flopinio/server/1"));
    fl_sha256_part(&sha, s->plugin);
    fl_sha256_part(&sha, s->config);
    fl_sha256_part(&sha, s->environment);
    fl_sha256_part(&sha, s->account);
    fl_sha256_final(&sha, s->digest);
}

static bool read_servers(struct fl_org *org, struct fl_org_entry *e)
{
    const struct fl_query *q = e->q_servers;
    org->server_count = (size_t)fl_rows(q);
    org->servers = fl_arena_array(org->arena, org->server_count + 1, sizeof *org->servers);
    for (int i = 0; org->servers && i < fl_rows(q); i++) {
        struct fl_org_server *s = &org->servers[i];
        s->id = fl_cell_uuid(q, i, 0);
        s->name = fl_cell_copy(q, org->arena, i, 1);
        s->plugin = fl_cell_copy(q, org->arena, i, 3);
        s->config = fl_cell_copy(q, org->arena, i, 4);
        s->environment = fl_cell_copy(q, org->arena, i, 5);
        s->account = fl_cell_copy(q, org->arena, i, 6);
        s->is_enabled = fl_cell_bool(q, i, 7);
        s->note = fl_cell_copy(q, org->arena, i, 8);
        digest_server(s);
        if (s->is_enabled)
            fl_org_instance_find(e, org->arena, s);
    }
    return org->servers != NULL;
}

/* Agents cannot set _meta, but they fill in arguments. */
static bool add_reason(struct fl_org *org, struct fl_org_tool *t, json_t *d)
{
    json_t *schema = json_object_get(d, "inputSchema");
    json_t *properties = json_object_get(schema, "properties");
    if (!properties) {
        properties = json_object();
        json_object_set_new(schema, "properties", properties);
        properties = json_object_get(schema, "properties");
    }
    t->listed = t->definition;
    if (t->is_read || !json_is_object(properties) ||
        json_object_get(properties, FL_REASON_ARGUMENT))
        return true;
    json_t *reason = json_pack("{s:s, s:i, s:s}", "type", "string", "maxLength", 500, "description",
                               "Optional: why this call is needed. Shown to the people who approve "
                               "it.");
    struct fl_buf out = FL_BUF_INIT;
    if (json_object_set_new(properties, FL_REASON_ARGUMENT, reason) == 0) {
        fl_json_put(&out, d);
        t->listed = fl_arena_str(org->arena, fl_buf_view(&out));
        t->takes_reason = true;
    }
    bool is_fine = !out.is_failed && t->takes_reason && t->listed.p;
    fl_buf_fini(&out);
    return is_fine;
}

/* What the life of a call needs of the definition (runtime/host/definition.h has its form). */
static bool read_definition(struct fl_org *org, struct fl_org_tool *t)
{
    struct fl_err err;
    json_t *d = fl_json_parse(t->definition, &err);
    if (!d)
        return false;
    const json_t *hints = json_object_get(d, "annotations");
    t->title = fl_arena_str(org->arena, fl_json_get_str(d, "title"));
    t->description = fl_arena_str(org->arena, fl_json_get_str(d, "description"));
    t->card = fl_arena_str(org->arena, fl_json_get_str(d, "card"));
    t->destroys = !json_is_false(json_object_get(hints, "destructiveHint"));
    t->reaches_out = !json_is_false(json_object_get(hints, "openWorldHint"));
    t->has_preview = json_is_true(json_object_get(d, "hasPreview"));
    t->is_slow = json_is_true(json_object_get(d, "isSlow"));
    t->has_output_schema = json_object_get(d, "outputSchema") != NULL;
    struct fl_str task = fl_json_get_str(json_object_get(d, "execution"), "taskSupport");
    t->task = fl_str_is(task, "forbidden")  ? FLOPINIO_TASK_NEVER
              : fl_str_is(task, "required") ? FLOPINIO_TASK_REQUIRED
                                            : FLOPINIO_TASK_OPTIONAL;
    struct fl_buf schema = FL_BUF_INIT;
    fl_json_put(&schema, json_object_get(d, "inputSchema"));
    struct fl_str text = fl_arena_str(org->arena, fl_buf_view(&schema));
    fl_buf_fini(&schema);
    bool has_reason = add_reason(org, t, d);
    json_decref(d);
    return text.p && has_reason &&
           fl_mcp_param_headers_read(org->arena, text, &t->params, &err) == FL_OK;
}

static const struct fl_org_server *server_of(const struct fl_org *org, const struct fl_uuid *id)
{
    for (size_t i = 0; i < org->server_count; i++) {
        if (fl_uuid_cmp(&org->servers[i].id, id) == 0)
            return &org->servers[i];
    }
    return NULL;
}

static enum fl_tool_state state_of(const struct fl_query *q, int row,
                                   const struct fl_org_server *server)
{
    if (!server->is_enabled || fl_cell_bool(q, row, 10))
        return FL_TOOL_GONE;
    if (fl_cell_bool(q, row, 9))
        return FL_TOOL_QUARANTINED;
    if (fl_cell_is_null(q, row, 6))
        return FL_TOOL_NEW;
    return fl_str_eq(fl_cell(q, row, 4), fl_cell(q, row, 6)) ? FL_TOOL_ACCEPTED : FL_TOOL_CHANGED;
}

static uint64_t mix(uint64_t hash, struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)s.p[i]) * 0x100000001b3ULL;
    return (hash ^ 0xff) * 0x100000001b3ULL;
}

/* A schema that was compiled for the same definition moves on to the new snapshot's tool. */
static void inherit_schema(struct fl_org *old, struct fl_org_tool *t)
{
    struct fl_org_tool *was = old ? (struct fl_org_tool *)fl_org_tool(old, t->published) : NULL;
    /* Only when nobody else still validates with it. */
    if (was && was->schema && old->refs == 1 && fl_str_eq(was->digest, t->digest)) {
        t->schema = was->schema;
        was->schema = NULL;
    }
}

static bool read_tools(struct fl_org *org, struct fl_org_entry *e)
{
    const struct fl_query *q = e->q_tools;
    org->tools = fl_arena_array(org->arena, (size_t)fl_rows(q) + 1, sizeof *org->tools);
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (int i = 0; org->tools && i < fl_rows(q); i++) {
        struct fl_uuid server = fl_cell_uuid(q, i, 0);
        struct fl_org_tool *t = &org->tools[org->tool_count];
        t->server = server_of(org, &server);
        if (!t->server)
            continue;
        t->name = fl_cell_copy(q, org->arena, i, 1);
        t->published = fl_cell_copy(q, org->arena, i, 2);
        t->state = state_of(q, i, t->server);
        bool is_pinned = t->state == FL_TOOL_ACCEPTED;
        t->definition = fl_cell_copy(q, org->arena, i, is_pinned ? 5 : 3);
        t->digest = fl_cell_bytes(q, org->arena, i, is_pinned ? 6 : 4);
        t->is_read = is_pinned && fl_str_is(fl_cell(q, i, 7), "read");
        t->secrets = fl_cell_copy(q, org->arena, i, 8);
        if (!read_definition(org, t))
            t->state = FL_TOOL_QUARANTINED; /* a row that cannot be read is nothing that may run */
        inherit_schema(e->org, t);
        org->tool_count++;
        if (t->state == FL_TOOL_ACCEPTED)
            hash = mix(mix(hash, t->published), t->digest);
    }
    org->list_version = hash;
    return org->tools != NULL;
}

static void read_policy(struct fl_org *org, const struct fl_query *q)
{
    struct fl_err err;
    if (fl_rows(q) != 1)
        return; /* no policy: everything is denied */
    if (fl_rules_load(fl_cell(q, 0, 1), &org->policy, NULL, NULL, &err) != FL_OK) {
        org->policy = NULL;
        org->policy_err = fl_arena_str(org->arena, fl_str_of(err.text));
        FL_LOG(ERROR, "policy_does_not_load", FL_KV("org", org->name), FL_KS("reason", err.text));
    }
}

enum fl_code fl_org_read(struct fl_org_entry *e, struct fl_org **ret, struct fl_err *err)
{
    if (fl_rows(e->q_org) != 1)
        return fl_err_set(err, FL_NOT_FOUND, "there is no such organization");
    uint64_t failures = fl_mem_failures();
    struct fl_arena *arena = fl_arena_new(4096);
    struct fl_org *org = arena ? FL_ARENA_NEW(arena, struct fl_org) : NULL;
    if (!org) {
        fl_arena_free(&arena);
        return fl_err_code(err, FL_NOMEM);
    }
    org->arena = arena;
    org->refs = 1;
    org->id = e->id;
    org->name = fl_cell_copy(e->q_org, arena, 0, 0);
    org->title = fl_cell_copy(e->q_org, arena, 0, 1);
    org->policy_version = fl_cell_int(e->q_org, 0, 2);
    org->revision = (uint64_t)fl_cell_int(e->q_org, 0, 3);
    org->groups = read_names(org, e->q_groups, 1, &org->group_count);
    org->agents = read_names(org, e->q_agents, 1, &org->agent_count);
    org->channels = read_names(org, e->q_channels, 1, &org->channel_count);
    if (!org->groups || !org->agents || !org->channels || !read_people(org, e) ||
        !read_stops(org, e->q_stops) || !read_grants(org, e->q_grants) || !read_servers(org, e) ||
        !read_tools(org, e)) {
        fl_org_unref(&org);
        return fl_err_code(err, FL_NOMEM);
    }
    read_policy(org, e->q_policy);
    if (fl_mem_failures() != failures) { /* a stop without its name would stop nobody */
        fl_org_unref(&org);
        return fl_err_code(err, FL_NOMEM);
    }
    fl_org_instances_trim(e, org);
    *ret = org;
    return FL_OK;
}
