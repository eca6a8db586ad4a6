/* Policies from text, and the facts they are asked about. */
#include "runtime/approval/rules.h"

#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/zone.h"
#include "mcp/schema.h"

static unsigned line_of(const void *ctx, const char *pointer)
{
    return fl_yaml_line(ctx, pointer);
}

enum fl_code fl_rules_load(struct fl_str text, struct fl_policy **ret, struct fl_yaml *ret_yaml,
                           struct fl_findings *findings, struct fl_err *err)
{
    struct fl_yaml yaml;
    enum fl_code code = fl_yaml_load(text, "policy", &yaml, err);
    if (code)
        return code;
    struct fl_policy_source source = {
        .root = yaml.root, .line = line_of, .line_ctx = &yaml, .zone = fl_zone_file
    };
    code = fl_policy_compile(&source, ret, findings, err);
    if (code == FL_OK && ret_yaml)
        *ret_yaml = yaml;
    else
        fl_yaml_fini(&yaml);
    return code;
}

struct reading {
    struct fl_str arguments;
    json_t **tree;
};

static const json_t *read_arguments(void *ctx)
{
    struct reading *r = ctx;
    struct fl_err err;
    if (!*r->tree)
        *r->tree = fl_json_parse(r->arguments, &err);
    return *r->tree;
}

void fl_rules_ask(const struct fl_org *org, const struct fl_org_tool *tool,
                  const struct fl_caller *caller, struct fl_str arguments, int64_t at_utc_ms,
                  json_t **tree, struct fl_policy_verdict *ret)
{
    struct reading reading = { arguments, tree };
    const struct fl_org_person *owner = fl_org_person(org, &caller->owner_id);
    struct fl_policy_facts facts = {
        .tool = tool->published,
        .server = tool->server->name,
        .is_read = tool->is_read && tool->state == FL_TOOL_ACCEPTED,
        .destroys = tool->destroys,
        .reaches_out = tool->reaches_out,
        .agent = caller->agent,
        .agent_id = caller->agent_id_text,
        .is_isolated = caller->is_isolated,
        .owner = caller->owner,
        .owner_groups = owner ? owner->groups : NULL,
        .owner_group_count = owner ? owner->group_count : 0,
        .org = org->name,
        .at_utc_ms = at_utc_ms,
        .args = read_arguments,
        .args_ctx = &reading,
    };
    fl_policy_evaluate(org->policy, &facts, NULL, ret);
}

/* ---- what the organization has ---- */
struct world {
    struct fl_org *org;
    struct fl_arena *arena;
};

static bool has_path(void *ctx, struct fl_str name, const char *pointer)
{
    enum { MOST = 32 };
    const struct fl_org *org = ((struct world *)ctx)->org;
    const struct fl_org_tool *tool = fl_org_tool(org, name);
    char text[512];
    const char *names[MOST];
    size_t count = 0;
    struct fl_err err;
    json_t *nothing = json_object();
    /* Compiles the schema if need be; whether the empty object is valid does not matter. */
    if (tool && nothing)
        (void)!fl_org_tool_validate(tool, nothing, &err);
    json_decref(nothing);
    if (!tool || !tool->schema || strlen(pointer) >= sizeof text)
        return true;
    snprintf(text, sizeof text, "%s", pointer);
    for (char *p = text; *p == '/' && count < MOST;) {
        char *end = strchr(p + 1, '/');
        if (end)
            *end = 0;
        char *to = ++p;
        names[count++] = to;
        for (const char *from = p; *from; from++) { /* ~1 and ~0 of RFC 6901 */
            if (from[0] == '~' && (from[1] == '0' || from[1] == '1'))
                *to++ = *++from == '1' ? '/' : '~';
            else
                *to++ = *from;
        }
        *to = 0;
        if (strcmp(names[count - 1], "*") == 0)
            names[count - 1] = "0"; /* any item */
        if (!end)
            break;
        p = end;
        *p = '/';
    }
    return fl_schema_allows_path(tool->schema, names, count);
}

static bool has_group(void *ctx, struct fl_str group)
{
    const struct fl_org *org = ((struct world *)ctx)->org;
    for (size_t i = 0; i < org->group_count; i++) {
        if (fl_str_eq(org->groups[i], group))
            return true;
    }
    return false;
}

/* The inbox is there always: CLI and REST. */
static bool has_channel(void *ctx, struct fl_str channel)
{
    const struct fl_org *org = ((struct world *)ctx)->org;
    for (size_t i = 0; i < org->channel_count; i++) {
        if (fl_str_eq(org->channels[i], channel))
            return true;
    }
    return fl_str_is(channel, "inbox");
}

static bool has_agent(void *ctx, struct fl_str pattern)
{
    const struct fl_org *org = ((struct world *)ctx)->org;
    for (size_t i = 0; i < org->agent_count; i++) {
        if (fl_policy_glob(pattern, org->agents[i]))
            return true;
    }
    return false;
}

static bool has_person(void *ctx, struct fl_str name)
{
    const struct fl_org *org = ((struct world *)ctx)->org;
    for (size_t i = 0; i < org->person_count; i++) {
        if (org->people[i].is_active && fl_str_eq(org->people[i].name, name))
            return true;
    }
    return false;
}

/* NULL: no memory, and nobody is there. */
static const struct fl_quorum_person *people_of(const struct world *world)
{
    const struct fl_org *org = world->org;
    struct fl_quorum_person *people =
        fl_arena_array(world->arena, org->person_count + 1, sizeof *people);
    for (size_t i = 0; people && i < org->person_count; i++)
        people[i] = (struct fl_quorum_person){ .id = org->people[i].id,
                                               .name = org->people[i].name,
                                               .role = org->people[i].role,
                                               .groups = org->people[i].groups,
                                               .group_count = org->people[i].group_count,
                                               .is_active = org->people[i].is_active,
                                               .delegate = org->people[i].delegate };
    return people;
}

static unsigned eligible(void *ctx, const struct fl_threshold *threshold)
{
    const struct fl_quorum_person *people = people_of(ctx);
    return people ? fl_quorum_eligible(threshold, people, ((struct world *)ctx)->org->person_count)
                  : 0;
}

static unsigned present(void *ctx, const struct fl_threshold *threshold)
{
    const struct fl_quorum_person *people = people_of(ctx);
    return people ? fl_quorum_present(threshold, people, ((struct world *)ctx)->org->person_count)
                  : 0;
}

enum fl_code fl_rules_world(struct fl_org *org, struct fl_arena *arena, struct fl_policy_world *ret,
                            struct fl_err *err)
{
    struct fl_policy_tool *tools = fl_arena_array(arena, org->tool_count + 1, sizeof *tools);
    struct world *world = FL_ARENA_NEW(arena, struct world);
    if (!tools || !world)
        return fl_err_code(err, FL_NOMEM);
    size_t count = 0;
    *world = (struct world){ org, arena };
    for (size_t i = 0; i < org->tool_count; i++) {
        if (org->tools[i].state != FL_TOOL_GONE)
            tools[count++] =
                (struct fl_policy_tool){ org->tools[i].published, org->tools[i].is_read };
    }
    *ret = (struct fl_policy_world){ .tools = tools,
                                     .tool_count = count,
                                     .has_path = has_path,
                                     .has_group = has_group,
                                     .has_channel = has_channel,
                                     .has_agent = has_agent,
                                     .has_person = has_person,
                                     .eligible = eligible,
                                     .present = present,
                                     .ctx = world };
    return FL_OK;
}
