/* Asking a policy: the first rule that matches decides; nothing matches, or anything goes wrong,
 * is denied. */
#include <stdio.h>

#include "policy/policy_priv.h"

/* For all conditions of one call together. */
enum { STEPS_MAX = 100000, BYTES_MAX = 1 << 20 };

struct asking {
    const struct fl_policy *policy;
    const struct fl_policy_facts *facts;
    struct fl_arena *arena; /* made when the first condition is looked at */
    bool is_bound;          /* vars are filled in, but for the arguments */
    bool has_args;
    uint64_t steps;
    struct fl_cel_value vars[POLICY_VAR_COUNT];
    struct fl_err err; /* of FL_STEP_ERROR */
};

static bool is_in(const struct fl_str *items, size_t count, struct fl_str wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (fl_str_eq(items[i], wanted))
            return true;
    }
    return false;
}

static bool is_for_agent(const struct policy_rule *rule, const struct fl_policy_facts *facts)
{
    bool is_named = rule->agent_count == 0, is_owner_in = rule->owner_group_count == 0;
    for (size_t i = 0; i < rule->agent_count && !is_named; i++)
        is_named = fl_policy_glob(rule->agents[i], facts->agent);
    for (size_t i = 0; i < facts->owner_group_count && !is_owner_in; i++)
        is_owner_in = is_in(rule->owner_groups, rule->owner_group_count, facts->owner_groups[i]);
    return is_named && is_owner_in &&
           (rule->owner_count == 0 || is_in(rule->owners, rule->owner_count, facts->owner));
}

/* ---- conditions ---- */
static bool bind(struct asking *a)
{
    const struct fl_policy_facts *f = a->facts;
    if (a->is_bound)
        return true;
    a->arena = fl_arena_new(0);
    struct fl_cel_value *groups =
        a->arena ? fl_arena_array(a->arena, f->owner_group_count, sizeof *groups) : NULL;
    if (!groups)
        return false;
    for (size_t i = 0; i < f->owner_group_count; i++)
        groups[i] = fl_cel_str(f->owner_groups[i]);
    a->vars[POLICY_TOOL_NAME] = fl_cel_str(f->tool);
    a->vars[POLICY_TOOL_SERVER] = fl_cel_str(f->server);
    a->vars[POLICY_TOOL_READS] = fl_cel_bool(f->is_read);
    a->vars[POLICY_TOOL_DESTROYS] = fl_cel_bool(f->destroys);
    a->vars[POLICY_TOOL_REACHES_OUT] = fl_cel_bool(f->reaches_out);
    a->vars[POLICY_AGENT_NAME] = fl_cel_str(f->agent);
    a->vars[POLICY_AGENT_ID] = fl_cel_str(f->agent_id);
    a->vars[POLICY_AGENT_ISOLATED] = fl_cel_bool(f->is_isolated);
    a->vars[POLICY_AGENT_OWNER] = fl_cel_str(f->owner);
    a->vars[POLICY_AGENT_OWNER_GROUPS] = fl_cel_list(groups, f->owner_group_count);
    a->vars[POLICY_ORG_NAME] = fl_cel_str(f->org);
    a->vars[POLICY_REQUEST_TIME] = fl_cel_time_ms(f->at_utc_ms);
    a->is_bound = true;
    return true;
}

/* The arguments become a tree only when a condition reads them, and once. */
static bool bind_args(struct asking *a)
{
    if (a->has_args)
        return true;
    const json_t *tree = a->facts->args ? a->facts->args(a->facts->args_ctx) : NULL;
    if (!tree)
        return false;
    a->vars[POLICY_ARGS] = fl_cel_json(tree);
    a->has_args = true;
    return true;
}

static enum fl_policy_step_why evaluate_condition(struct asking *a, const struct policy_rule *rule)
{
    struct fl_cel_value v;
    if (!bind(a)) {
        fl_err_code(&a->err, FL_NOMEM);
        return FL_STEP_ERROR;
    }
    if (fl_cel_reads(rule->when, POLICY_ARGS) && !bind_args(a)) {
        fl_err_set(&a->err, FL_BAD_PARAMS, "the arguments could not be read");
        return FL_STEP_ERROR;
    }
    size_t used = fl_arena_used(a->arena);
    struct fl_cel_run run = { .vars = a->vars,
                              .arena = a->arena,
                              .steps = a->steps,
                              .max_bytes = used < BYTES_MAX ? BYTES_MAX - used : 0 };
    enum fl_code code = fl_cel_eval(rule->when, &run, &v, &a->err);
    a->steps = run.steps;
    if (code)
        return FL_STEP_ERROR;
    if (v.kind != FL_CEL_BOOL) {
        fl_err_set(&a->err, FL_BAD_PARAMS, "the condition is %s, not bool",
                   fl_cel_kind_name(v.kind));
        return FL_STEP_ERROR;
    }
    return v.b ? FL_STEP_MATCHED : FL_STEP_CONDITION;
}

/* All that a rule asks but its tools. */
static enum fl_policy_step_why consider(struct asking *a, const struct policy_rule *rule)
{
    if (!is_for_agent(rule, a->facts))
        return FL_STEP_OTHER_AGENT;
    if (!policy_rule_is_for(rule, a->facts->is_read))
        return FL_STEP_NOT_A_READ;
    return rule->when ? evaluate_condition(a, rule) : FL_STEP_MATCHED;
}

/* ---- the rules to look at, in the document's order ---- */
struct candidates {
    const struct policy_list *lists[3]; /* by tool, by server, other patterns */
    size_t at[3];
};

static struct candidates candidates_of(const struct fl_policy *policy, struct fl_str tool)
{
    struct candidates c = { .lists = { NULL } };
    struct fl_str prefix = policy_server_prefix(tool);
    c.lists[0] = policy_list_find(policy->by_tool, policy->by_tool_count, tool);
    if (prefix.n)
        c.lists[1] = policy_list_find(policy->by_server, policy->by_server_count, prefix);
    c.lists[2] = &policy->others;
    return c;
}

/* The next rule; SIZE_MAX at the end. A rule that is in several lists comes once. */
static size_t next_candidate(struct candidates *c)
{
    size_t next = SIZE_MAX;
    for (unsigned i = 0; i < 3; i++) {
        if (c->lists[i] && c->at[i] < c->lists[i]->count && c->lists[i]->rules[c->at[i]] < next)
            next = c->lists[i]->rules[c->at[i]];
    }
    for (unsigned i = 0; i < 3; i++) {
        if (c->lists[i] && c->at[i] < c->lists[i]->count && c->lists[i]->rules[c->at[i]] == next)
            c->at[i]++;
    }
    return next;
}

/* ---- the verdict ---- */
static const struct fl_str nothing;

/* Three texts in a row, cut where they do not fit. Not printf, which every call would pay for. */
static void say(struct fl_policy_verdict *ret, struct fl_str a, struct fl_str b, struct fl_str c)
{
    const struct fl_str parts[] = { a, b, c };
    size_t at = 0, room = sizeof ret->text - 1;
    for (size_t i = 0; i < FL_COUNTOF(parts); i++) {
        size_t n = parts[i].n < room - at ? parts[i].n : room - at;
        if (n)
            memcpy(ret->text + at, parts[i].p, n);
        at += n;
    }
    ret->text[at] = 0;
}

static const struct fl_str says[FL_EFFECT_COUNT] = {
    [FL_EFFECT_DENY] = { "' says deny", 11 },
    [FL_EFFECT_ASK] = { "' says ask", 10 },
    [FL_EFFECT_ALLOW] = { "' says allow", 12 },
};

static void decide(struct asking *a, size_t rule_at, enum fl_policy_step_why why,
                   struct fl_policy_verdict *ret)
{
    const struct fl_policy_rule *rule = &a->policy->rules[rule_at].shown;
    ret->rule_at = rule_at;
    ret->rule = rule;
    if (why == FL_STEP_ERROR) {
        ret->why = FL_WHY_ERROR;
        snprintf(ret->text, sizeof ret->text, "rule '%.*s' could not be evaluated: %.300s",
                 FL_STR_ARG(rule->name), a->err.text);
        return;
    }
    ret->why = FL_WHY_RULE;
    ret->effect = rule->effect;
    ret->ask = rule->effect == FL_EFFECT_ASK ? rule->ask : NULL;
    ret->is_standing = rule->effect == FL_EFFECT_ALLOW && !a->facts->is_read;
    FL_ASSERT(!ret->is_standing || rule->is_standing);
    if (rule->reason.n)
        say(ret, rule->reason, nothing, nothing);
    else
        say(ret, FL_STR("rule '"), rule->name, says[rule->effect]);
}

/* With a trail every rule is looked at in turn, else only those that can match. */
static void look(struct asking *a, struct fl_policy_trail *trail, struct fl_policy_verdict *ret)
{
    struct candidates c = candidates_of(a->policy, a->facts->tool);
    size_t at = 0;
    for (;; at++) {
        if (!trail)
            at = next_candidate(&c);
        if (at >= a->policy->rule_count)
            return;
        const struct policy_rule *rule = &a->policy->rules[at];
        enum fl_policy_step_why why = FL_STEP_OTHER_TOOL;
        if (policy_rule_names_tool(rule, a->facts->tool))
            why = consider(a, rule);
        if (trail && trail->steps)
            trail->steps[at] = why;
        if (why == FL_STEP_MATCHED || why == FL_STEP_ERROR) {
            decide(a, at, why, ret);
            return;
        }
    }
}

void fl_policy_evaluate(const struct fl_policy *policy, const struct fl_policy_facts *facts,
                        struct fl_policy_trail *trail, struct fl_policy_verdict *ret)
{
    /* Cleared by hand: `vars` and `err` are written before they are read, and seldom. */
    struct asking a FL_NOT_CLEARED;
    a.policy = policy;
    a.facts = facts;
    a.arena = NULL;
    a.is_bound = a.has_args = false;
    a.steps = STEPS_MAX;
    ret->effect = FL_EFFECT_DENY;
    ret->why = policy ? FL_WHY_NO_RULE : FL_WHY_NO_POLICY;
    ret->rule = NULL;
    ret->rule_at = 0;
    ret->ask = NULL;
    ret->is_standing = false;
    if (!policy) {
        say(ret, FL_STR("no policy is loaded"), nothing, nothing);
        return;
    }
    if (trail) {
        trail->steps = fl_arena_array(trail->arena, policy->rule_count, sizeof *trail->steps);
        trail->count = trail->steps ? policy->rule_count : 0;
        for (size_t i = 0; i < trail->count; i++)
            trail->steps[i] = FL_STEP_NOT_REACHED;
    }
    look(&a, trail, ret);
    if (!ret->rule)
        say(ret, FL_STR("no rule of the policy matches"), nothing, nothing);
    fl_arena_free(&a.arena);
}
