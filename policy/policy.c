/* Compiling a policy document: the tree becomes rules with compiled conditions and an index from
 * tools to rules. All errors of a document are found in one go. */
#include "policy/policy.h"

#include <stdatomic.h>
#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

const char *const policy_effect_names[FL_EFFECT_COUNT] = { "deny", "ask", "allow" };

const struct fl_cel_var policy_vars[POLICY_VAR_COUNT] = {
    [POLICY_ARGS] = { "args", "{s*}" },
    [POLICY_TOOL_NAME] = { "tool.name", "s" },
    [POLICY_TOOL_SERVER] = { "tool.server", "s" },
    [POLICY_TOOL_READS] = { "tool.reads", "b" },
    [POLICY_TOOL_DESTROYS] = { "tool.destroys", "b" },
    [POLICY_TOOL_REACHES_OUT] = { "tool.reaches_out", "b" },
    [POLICY_AGENT_NAME] = { "agent.name", "s" },
    [POLICY_AGENT_ID] = { "agent.id", "s" },
    [POLICY_AGENT_ISOLATED] = { "agent.isolated", "b" },
    [POLICY_AGENT_OWNER] = { "agent.owner", "s" },
    [POLICY_AGENT_OWNER_GROUPS] = { "agent.owner_groups", "[s" },
    [POLICY_ORG_NAME] = { "org.name", "s" },
    [POLICY_REQUEST_TIME] = { "request.time", "t" },
};

static const char *const document_keys[] = { "version", "defaults", "rules" };
static const char *const rule_keys[] = { "name",   "tools",    "agents", "when",
                                         "effect", "standing", "reason", "ask" };
static const char *const agents_keys[] = { "names", "owners", "owner_groups" };

/* What MCP lets a tool be called, and '*'. */
static bool is_tool_entry(struct fl_str text)
{
    return fl_str_is_word(text, "_-./*") && text.n <= POLICY_TOOL_MAX;
}

static bool read_agents(struct policy_reader *r, const char *at, const json_t *object,
                        struct policy_rule *rule)
{
    static const char form[] = "the name of an agent or a pattern with *";
    const json_t *agents = json_object_get(object, "agents");
    if (!agents)
        return true;
    if (json_is_array(agents))
        return policy_texts(r, at, object, "agents", POLICY_ENTRIES_MAX, policy_is_label, form,
                            &rule->agents, &rule->agent_count);
    if (!json_is_object(agents) || json_object_size(agents) == 0)
        return policy_error(r, at, "agents",
                            "'agents' is a list of names, or a map with names, owners or "
                            "owner_groups");
    char place[64];
    snprintf(place, sizeof place, "%s/agents", at);
    bool is_ok = policy_keys(r, place, agents, "agents", agents_keys, FL_COUNTOF(agents_keys));
    is_ok &= policy_texts(r, place, agents, "names", POLICY_ENTRIES_MAX, policy_is_label, form,
                          &rule->agents, &rule->agent_count);
    is_ok &= policy_texts(r, place, agents, "owners", POLICY_ENTRIES_MAX, policy_is_label,
                          "the name of a person", &rule->owners, &rule->owner_count);
    is_ok &= policy_texts(r, place, agents, "owner_groups", POLICY_ENTRIES_MAX, policy_is_label,
                          "the name of a group", &rule->owner_groups, &rule->owner_group_count);
    return is_ok;
}

static bool read_when(struct policy_reader *r, const char *at, const json_t *object,
                      struct policy_rule *rule)
{
    const struct fl_cel_env env = { .vars = policy_vars,
                                    .var_count = POLICY_VAR_COUNT,
                                    .tree = "args",
                                    .zone = r->source->zone,
                                    .zone_ctx = r->source->zone_ctx };
    struct fl_err err;
    if (!policy_text(r, at, object, "when", 4096, &rule->shown.when))
        return false;
    if (!rule->shown.when.n)
        return true;
    enum fl_code code = fl_cel_compile(rule->shown.when, &env, &rule->when, &err);
    if (code == FL_NOMEM)
        return policy_nomem(r);
    if (code)
        return policy_error(r, at, "when", "'when': %s", err.text);
    if (!fl_cel_may_be_bool(rule->when))
        return policy_error(r, at, "when", "'when' is %s, not bool", fl_cel_type(rule->when));
    return true;
}

static bool read_effect(struct policy_reader *r, const char *at, const json_t *object,
                        struct policy_rule *rule)
{
    unsigned effect = FL_EFFECT_COUNT;
    if (!policy_choice(r, at, object, "effect", policy_effect_names, FL_EFFECT_COUNT, &effect) ||
        !policy_bool(r, at, object, "standing", &rule->shown.is_standing))
        return false;
    if (effect == FL_EFFECT_COUNT)
        return policy_error(r, at, NULL, "a rule needs 'effect': deny, ask or allow");
    rule->shown.effect = (enum fl_effect)effect;
    if (!rule->shown.is_standing)
        return true;
    if (rule->shown.effect != FL_EFFECT_ALLOW)
        return policy_error(r, at, "standing", "'standing: true' goes with 'effect: allow' only");
    for (size_t i = 0; i < rule->shown.tool_count; i++) {
        if (policy_is_pattern(rule->shown.tools[i]))
            return policy_error(r, at, "tools",
                                "a standing rule names its tools without '*', and has '%.*s'",
                                FL_STR_ARG(rule->shown.tools[i]));
    }
    return true;
}

/* The rule's name first: every later error says it. */
static bool read_name(struct policy_reader *r, const char *at, const json_t *object,
                      const struct fl_policy *policy, struct policy_rule *rule)
{
    static const char form[] = "1 to 64 of a-z, 0-9 and -";
    if (!json_object_get(object, "name"))
        return policy_error(r, at, NULL, "a rule needs 'name': %s", form);
    if (!policy_text(r, at, object, "name", 1000, &rule->shown.name))
        return false;
    if (!policy_is_name(rule->shown.name))
        return policy_error(r, at, "name", "'name' is %s", form);
    r->rule = rule->shown.name;
    for (const struct policy_rule *other = policy->rules; other < rule; other++) {
        if (fl_str_eq(other->shown.name, rule->shown.name))
            return policy_error(r, at, "name", "another rule has this name (line %u)",
                                other->shown.line);
    }
    return true;
}

static bool read_rule(struct policy_reader *r, const char *at, const json_t *object,
                      const char *defaults_at, const json_t *defaults,
                      const struct fl_policy *policy, struct policy_rule *rule)
{
    r->rule = (struct fl_str){ NULL, 0 };
    rule->shown.line = policy_line(r, at, NULL);
    if (!json_is_object(object))
        return policy_error(r, at, NULL, "a rule is a map with name, tools and effect");
    bool is_ok = read_name(r, at, object, policy, rule);
    is_ok &= policy_keys(r, at, object, "a rule", rule_keys, FL_COUNTOF(rule_keys));
    is_ok &= policy_texts(r, at, object, "tools", POLICY_ENTRIES_MAX, is_tool_entry,
                          "the name of a tool or a pattern with *", &rule->shown.tools,
                          &rule->shown.tool_count);
    if (!json_object_get(object, "tools"))
        is_ok = policy_error(r, at, NULL, "a rule needs 'tools': names, or patterns with *");
    is_ok &= read_agents(r, at, object, rule);
    is_ok &= read_when(r, at, object, rule);
    is_ok &= read_effect(r, at, object, rule);
    is_ok &= policy_text(r, at, object, "reason", POLICY_REASON_MAX, &rule->shown.reason);
    const json_t *ask = json_object_get(object, "ask");
    const json_t *effect = json_object_get(object, "effect");
    if (effect && fl_str_is(fl_json_str(effect), "ask")) {
        char place[64];
        snprintf(place, sizeof place, "%s/ask", at);
        is_ok &= policy_ask_read(r, place, ask, defaults_at, defaults, &rule->ask);
        rule->shown.ask = &rule->ask;
    } else if (ask) {
        is_ok = policy_error(r, at, "ask", "'ask' goes with 'effect: ask' only");
    }
    return is_ok;
}

static bool read_document(struct policy_reader *r, struct fl_policy *policy)
{
    const json_t *root = r->source->root, *rules = json_object_get(root, "rules");
    const json_t *defaults = json_object_get(root, "defaults");
    const json_t *version = json_object_get(root, "version");
    if (!json_is_object(root))
        return policy_error(r, "", NULL, "a policy is a map with version and rules");
    bool is_ok = policy_keys(r, "", root, "a policy", document_keys, FL_COUNTOF(document_keys));
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        is_ok = policy_error(r, "", version ? "version" : NULL, "a policy needs 'version: 1'");
    if (!json_is_array(rules) || json_array_size(rules) > POLICY_RULES_MAX)
        return policy_error(r, "", rules ? "rules" : NULL,
                            "a policy needs 'rules': a list of at most %d", POLICY_RULES_MAX);
    if (defaults) { /* read once by itself, so that its errors are told once and always */
        struct fl_ask ask = { 0 };
        bool is_sound = policy_ask_read(r, "/defaults", NULL, "/defaults", defaults, &ask);
        policy_ask_fini(&ask);
        if (!is_sound) {
            is_ok = false;
            defaults = NULL;
        }
    }
    size_t n = json_array_size(rules), entries = 0;
    policy->rules = fl_arena_array(policy->arena, n, sizeof *policy->rules);
    if (!policy->rules)
        return policy_nomem(r);
    for (size_t i = 0; i < n && r->code != FL_NOMEM; i++) {
        char place[32];
        snprintf(place, sizeof place, "/rules/%zu", i);
        policy->rule_count = i + 1; /* also of a rule with errors: its programs are freed */
        is_ok &= read_rule(r, place, json_array_get(rules, i), "/defaults", defaults, policy,
                           &policy->rules[i]);
        entries += policy->rules[i].shown.tool_count;
    }
    r->rule = (struct fl_str){ NULL, 0 };
    if (entries > POLICY_TOOLS_MAX) /* fl_policy_check compares each with each */
        is_ok = policy_error(r, "", "rules", "the rules name more than %d tools and patterns",
                             POLICY_TOOLS_MAX);
    return is_ok;
}

enum fl_code fl_policy_compile(const struct fl_policy_source *source, struct fl_policy **ret,
                               struct fl_findings *findings, struct fl_err *err)
{
    struct fl_arena *arena = fl_arena_new(4096);
    struct fl_policy *policy = arena ? FL_ARENA_NEW(arena, struct fl_policy) : NULL;
    if (!policy) {
        fl_arena_free(&arena);
        return fl_err_code(err, FL_NOMEM);
    }
    policy->arena = arena;
    atomic_init(&policy->refs, 1);
    struct policy_reader r = { .arena = arena, .source = source, .findings = findings, .err = err };
    bool is_ok = read_document(&r, policy);
    FL_ASSERT(is_ok == (r.code == FL_OK));
    if (is_ok && !policy_index(policy))
        policy_nomem(&r);
    if (r.code)
        fl_policy_unref(&policy);
    else
        *ret = policy;
    return r.code;
}

struct fl_policy *fl_policy_ref(struct fl_policy *policy)
{
    FL_ASSERT(atomic_fetch_add(&policy->refs, 1) > 0);
    return policy;
}

void fl_policy_unref(struct fl_policy **policy)
{
    struct fl_policy *p = *policy;
    *policy = NULL;
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    for (size_t i = 0; i < p->rule_count; i++) {
        fl_cel_free(&p->rules[i].when);
        policy_ask_fini(&p->rules[i].ask);
    }
    struct fl_arena *arena = p->arena;
    fl_arena_free(&arena);
}

size_t fl_policy_rule_count(const struct fl_policy *policy)
{
    return policy->rule_count;
}

const struct fl_policy_rule *fl_policy_rule_at(const struct fl_policy *policy, size_t at)
{
    FL_ASSERT(at < policy->rule_count);
    return &policy->rules[at].shown;
}

void fl_policy_standing(const struct fl_policy *policy, size_t *ret_rules, size_t *ret_tools)
{
    *ret_rules = *ret_tools = 0;
    for (size_t i = 0; i < policy->rule_count; i++) {
        if (!policy->rules[i].shown.is_standing)
            continue;
        (*ret_rules)++;
        *ret_tools += policy->rules[i].shown.tool_count;
    }
}
