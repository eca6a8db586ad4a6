/* Looking at a policy before it is applied: what can never happen, what nobody can decide, what
 * names something that is not there. */
#include <stdarg.h>
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

struct checking {
    const struct fl_policy *policy;
    const struct fl_policy_world *world;
    struct fl_findings *findings;
    bool is_nomem;
};

static void report(struct checking *c, enum fl_severity severity, const struct policy_rule *rule,
                   const char *fmt, ...) FL_PRINTF(4, 5);

static void report(struct checking *c, enum fl_severity severity, const struct policy_rule *rule,
                   const char *fmt, ...)
{
    char text[FL_ERR_TEXT_BYTES];
    struct fl_str none = { NULL, 0 };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!policy_finding(c->findings, severity, rule ? rule->shown.line : 0,
                        rule ? rule->shown.name : none, text))
        c->is_nomem = true;
}

/* ---- rules that an earlier one hides ---- */

/* Takes whatever names its tools: no condition, any agent. */
static bool is_unconditional(const struct policy_rule *rule)
{
    return !rule->when && !rule->agent_count && !rule->owner_count && !rule->owner_group_count;
}

/* Does `earlier` take every call that `later` could, of the tools of this entry? */
static bool hides(const struct policy_rule *earlier, const struct policy_rule *later,
                  struct fl_str entry)
{
    bool later_is_for_writes = policy_rule_is_for(later, false);
    if (!is_unconditional(earlier) || (later_is_for_writes && !policy_rule_is_for(earlier, false)))
        return false;
    for (size_t i = 0; i < earlier->shown.tool_count; i++) {
        if (fl_policy_glob(earlier->shown.tools[i], entry))
            return true;
    }
    return false;
}

static const struct policy_rule *hider_of(const struct fl_policy *policy, size_t at,
                                          struct fl_str entry)
{
    for (size_t i = 0; i < at; i++) {
        if (hides(&policy->rules[i], &policy->rules[at], entry))
            return &policy->rules[i];
    }
    return NULL;
}

static void check_hidden(struct checking *c, size_t at)
{
    const struct policy_rule *rule = &c->policy->rules[at], *hider = NULL;
    size_t hidden = 0;
    for (size_t i = 0; i < rule->shown.tool_count; i++) {
        const struct policy_rule *by = hider_of(c->policy, at, rule->shown.tools[i]);
        hidden += by != NULL;
        hider = by ? by : hider;
    }
    if (hider && hidden == rule->shown.tool_count) {
        report(c, FL_SEVERITY_WARNING, rule,
               "it is never reached: rule '%.*s' above it takes all of its calls",
               FL_STR_ARG(hider->shown.name));
        return;
    }
    for (size_t i = 0; hidden && i < rule->shown.tool_count; i++) {
        const struct policy_rule *by = hider_of(c->policy, at, rule->shown.tools[i]);
        if (by)
            report(c, FL_SEVERITY_WARNING, rule,
                   "'%.*s' is never reached here: rule '%.*s' above takes its calls",
                   FL_STR_ARG(rule->shown.tools[i]), FL_STR_ARG(by->shown.name));
    }
}

/* ---- tools ---- */
static const struct fl_policy_tool *first_match(const struct fl_policy_world *world,
                                                struct fl_str entry)
{
    for (size_t i = 0; i < world->tool_count; i++) {
        if (fl_policy_glob(entry, world->tools[i].name))
            return &world->tools[i];
    }
    return NULL;
}

static void check_entry(struct checking *c, const struct policy_rule *rule, struct fl_str entry)
{
    const struct fl_policy_tool *tool = first_match(c->world, entry), *nearest = NULL;
    unsigned least = 4;
    if (tool && !policy_is_pattern(entry) && !policy_rule_is_for(rule, tool->is_read))
        report(c, FL_SEVERITY_WARNING, rule,
               "'allow' never matches '%.*s', which is not accepted as a read: use 'ask', or "
               "'standing: true'",
               FL_STR_ARG(entry));
    if (tool || c->world->tool_count == 0) /* without tools nothing can be mistaken for one */
        return;
    for (size_t i = 0; i < c->world->tool_count && !policy_is_pattern(entry); i++) {
        unsigned d = fl_str_distance(entry, c->world->tools[i].name);
        if (d < least) {
            least = d;
            nearest = &c->world->tools[i];
        }
    }
    if (nearest)
        report(c, FL_SEVERITY_WARNING, rule, "there is no tool '%.*s'; did you mean '%.*s'?",
               FL_STR_ARG(entry), FL_STR_ARG(nearest->name));
    else
        report(c, FL_SEVERITY_WARNING, rule, "no tool matches '%.*s'", FL_STR_ARG(entry));
}

static void check_tools(struct checking *c)
{
    for (size_t i = 0; i < c->world->tool_count; i++) {
        const struct fl_policy_tool *tool = &c->world->tools[i];
        bool is_covered = false;
        for (size_t k = 0; k < c->policy->rule_count && !is_covered; k++)
            is_covered = policy_rule_is_for(&c->policy->rules[k], tool->is_read) &&
                         policy_rule_names_tool(&c->policy->rules[k], tool->name);
        if (!is_covered)
            report(c, FL_SEVERITY_WARNING, NULL, "no rule is for tool '%.*s' (%s): it is denied",
                   FL_STR_ARG(tool->name), tool->is_read ? "reads" : "writes");
    }
}

/* Where a tool has no such argument the condition is false, or an error, for every call of it. One
 * finding a place: a rule for many tools is told how many. */
static void check_path(struct checking *c, const struct policy_rule *rule, const char *path)
{
    const struct fl_policy_world *w = c->world;
    const struct fl_policy_tool *lacking = NULL;
    size_t total = 0, without = 0;
    for (size_t i = 0; i < w->tool_count; i++) {
        const struct fl_policy_tool *tool = &w->tools[i];
        if (!policy_rule_is_for(rule, tool->is_read) || !policy_rule_names_tool(rule, tool->name))
            continue;
        total++;
        if (w->has_path(w->ctx, tool->name, path))
            continue;
        lacking = lacking ? lacking : tool;
        without++;
    }
    if (without == 1)
        report(c, FL_SEVERITY_WARNING, rule,
               "its condition reads args%s, which the schema of '%.*s' does not have", path,
               FL_STR_ARG(lacking->name));
    else if (without)
        report(c, FL_SEVERITY_WARNING, rule,
               "its condition reads args%s, which the schemas of %zu of its %zu tools do not have "
               "('%.*s' is one)",
               path, without, total, FL_STR_ARG(lacking->name));
}

static void check_paths(struct checking *c, const struct policy_rule *rule)
{
    const char *path;
    for (size_t p = 0; rule->when && (path = fl_cel_path(rule->when, p)); p++) {
        if (*path) /* "" is the whole of the arguments */
            check_path(c, rule, path);
    }
}

/* ---- people and channels ---- */
static void check_threshold(struct checking *c, const struct policy_rule *rule, size_t at)
{
    const struct fl_threshold *t = &rule->ask.thresholds[at];
    const struct fl_policy_world *w = c->world;
    unsigned wanted = t->approve;
    for (size_t i = 0; w->has_group && i < t->group_count; i++) {
        if (!w->has_group(w->ctx, t->groups[i]))
            report(c, FL_SEVERITY_ERROR, rule, "there is no group '%.*s'",
                   FL_STR_ARG(t->groups[i]));
    }
    if (!w->eligible)
        return;
    if (t->match == FL_MATCH_EACH)
        wanted *= (unsigned)t->group_count;
    unsigned eligible = w->eligible(w->ctx, t);
    if (eligible < wanted)
        report(c, rule->ask.is_any ? FL_SEVERITY_WARNING : FL_SEVERITY_ERROR, rule,
               "threshold %zu needs %u to approve, and %u %s could", at + 1, wanted, eligible,
               eligible == 1 ? "person" : "people");
    else if (eligible == wanted && t->match != FL_MATCH_EACH && !rule->ask.owner_may_approve)
        report(c, FL_SEVERITY_WARNING, rule,
               "threshold %zu needs all %u people who could approve: for an agent that one of them "
               "owns it cannot be met",
               at + 1, eligible);
    unsigned present = w->present ? w->present(w->ctx, t) : eligible;
    if (eligible >= wanted && present < wanted)
        report(c, FL_SEVERITY_WARNING, rule,
               "threshold %zu needs %u to approve, and while others are away %u %s there who could",
               at + 1, wanted, present, present == 1 ? "is" : "are");
}

/* For those who work alone, and somebody else has come. */
static void check_solo(struct checking *c, const struct policy_rule *rule)
{
    const struct fl_policy_world *w = c->world;
    for (size_t i = 0; i < rule->ask.threshold_count; i++) {
        const struct fl_threshold *t = &rule->ask.thresholds[i];
        unsigned eligible = w->eligible(w->ctx, t);
        if (eligible <= t->approve)
            continue;
        report(c, FL_SEVERITY_WARNING, rule,
               "an agent's owner may approve its calls although %u people could: take "
               "owner_may_approve out",
               eligible);
        return;
    }
}

static void check_people(struct checking *c, const struct policy_rule *rule)
{
    const struct fl_policy_world *w = c->world;
    unsigned possible = 0;
    for (size_t i = 0; i < rule->owner_group_count && w->has_group; i++) {
        if (!w->has_group(w->ctx, rule->owner_groups[i]))
            report(c, FL_SEVERITY_ERROR, rule, "there is no group '%.*s'",
                   FL_STR_ARG(rule->owner_groups[i]));
    }
    for (size_t i = 0; i < rule->agent_count && w->has_agent; i++) {
        if (!w->has_agent(w->ctx, rule->agents[i]))
            report(c, FL_SEVERITY_WARNING, rule, "no agent matches '%.*s'",
                   FL_STR_ARG(rule->agents[i]));
    }
    for (size_t i = 0; i < rule->owner_count && w->has_person; i++) {
        if (!w->has_person(w->ctx, rule->owners[i]))
            report(c, FL_SEVERITY_WARNING, rule, "there is no person '%.*s' who could own an agent",
                   FL_STR_ARG(rule->owners[i]));
    }
    if (!rule->shown.ask)
        return;
    for (size_t i = 0; i < rule->ask.notify_count && w->has_channel; i++) {
        if (!w->has_channel(w->ctx, rule->ask.notify[i]))
            report(c, FL_SEVERITY_ERROR, rule, "there is no channel '%.*s'",
                   FL_STR_ARG(rule->ask.notify[i]));
    }
    if (w->eligible && rule->ask.owner_may_approve)
        check_solo(c, rule);
    for (size_t i = 0; i < rule->ask.threshold_count; i++) {
        const struct fl_threshold *t = &rule->ask.thresholds[i];
        check_threshold(c, rule, i);
        if (w->eligible && rule->ask.is_any)
            possible += w->eligible(w->ctx, t) >=
                        t->approve * (t->match == FL_MATCH_EACH ? (unsigned)t->group_count : 1);
    }
    if (w->eligible && rule->ask.is_any && possible == 0)
        report(c, FL_SEVERITY_ERROR, rule,
               "none of its thresholds can be met by the people there "
               "are");
}

enum fl_code fl_policy_check(const struct fl_policy *policy, const struct fl_policy_world *world,
                             struct fl_findings *findings, struct fl_err *err)
{
    struct checking c = { .policy = policy, .world = world, .findings = findings };
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        check_hidden(&c, i);
        for (size_t k = 0; world->tools && k < rule->shown.tool_count; k++)
            check_entry(&c, rule, rule->shown.tools[k]);
        if (world->tools && world->has_path)
            check_paths(&c, rule);
        check_people(&c, rule);
    }
    if (world->tools)
        check_tools(&c);
    return c.is_nomem ? fl_err_code(err, FL_NOMEM) : FL_OK;
}
