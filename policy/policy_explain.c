/* Verdicts in words, for `policy test`. */
#include "flopinio/base/clock.h"
#include "policy/policy_priv.h"

static void put_why(const struct fl_policy_facts *facts, const struct fl_policy_rule *rule,
                    enum fl_policy_step_why why, const struct fl_policy_verdict *verdict,
                    struct fl_buf *out)
{
    switch (why) {
    case FL_STEP_MATCHED: fl_buf_printf(out, "yes  %s", policy_effect_names[rule->effect]); break;
    case FL_STEP_OTHER_TOOL: fl_buf_puts(out, "no   it does not name this tool"); break;
    case FL_STEP_OTHER_AGENT: fl_buf_puts(out, "no   it is for other agents"); break;
    case FL_STEP_NOT_A_READ:
        fl_buf_printf(out,
                      "no   'allow' is for tools accepted as reads, and %.*s writes (ask, or "
                      "standing: true)",
                      FL_STR_ARG(facts->tool));
        break;
    case FL_STEP_CONDITION:
        fl_buf_puts(out, "no   its condition is false: ");
        fl_buf_str(out, rule->when);
        break;
    case FL_STEP_ERROR: fl_buf_printf(out, "stop %s", verdict->text); break;
    case FL_STEP_NOT_REACHED: fl_buf_puts(out, "-    not looked at"); break;
    }
}

static void put_ask(const struct fl_ask *ask, struct fl_buf *out)
{
    char expires[FL_TIME_BYTES];
    fl_buf_puts(out, "   needs    ");
    fl_policy_ask_describe(ask, out);
    fl_buf_puts(out, ask->needs_typed ? ", typed" : "");
    fl_buf_puts(out, ask->needs_second_factor ? ", with a second factor\n" : "\n");
    if (ask->owner_may_approve)
        fl_buf_puts(out, "            the agent's owner may approve\n");
    fl_buf_puts(out, "   cards    ");
    for (size_t i = 0; i < ask->notify_count; i++) {
        bool is_beside = i && ask->notify_step && ask->notify_step[i] == ask->notify_step[i - 1];
        fl_buf_puts(out, is_beside ? " and " : i ? ", then " : "");
        fl_buf_str(out, ask->notify[i]);
    }
    if (ask->disclose == FL_DISCLOSE_SUMMARY)
        fl_buf_puts(out, ", without the arguments");
    fl_buf_printf(out, "\n   expires  after %s\n", fl_duration_format(ask->expires_ms, expires));
    if (ask->after_leave == FL_AFTER_LEAVE_CANCEL)
        fl_buf_puts(out, "            or when the caller leaves\n");
}

void fl_policy_explain(const struct fl_policy *policy, const struct fl_policy_facts *facts,
                       const struct fl_policy_trail *trail, const struct fl_policy_verdict *verdict,
                       struct fl_buf *out)
{
    fl_buf_printf(out, "tool   %.*s (%s%s%s)\nagent  %.*s", FL_STR_ARG(facts->tool),
                  facts->is_read ? "reads" : "writes", facts->destroys ? ", destroys" : "",
                  facts->reaches_out ? ", reaches out" : "", FL_STR_ARG(facts->agent));
    if (facts->owner.n)
        fl_buf_printf(out, " (owner %.*s)", FL_STR_ARG(facts->owner));
    fl_buf_puts(out, "\n\n");
    for (size_t i = 0; policy && i < trail->count; i++) {
        const struct fl_policy_rule *rule = &policy->rules[i].shown;
        fl_buf_printf(out, "%4zu  ", i + 1);
        if (rule->line)
            fl_buf_printf(out, "line %-5u ", rule->line);
        fl_buf_printf(out, "%-24.*s ", FL_STR_ARG(rule->name));
        put_why(facts, rule, trail->steps[i], verdict, out);
        fl_buf_putc(out, '\n');
    }
    fl_buf_printf(out, "%s-> %s%s: %s\n", policy && trail->count ? "\n" : "",
                  policy_effect_names[verdict->effect],
                  verdict->is_standing ? " (a write, by a standing rule)" : "", verdict->text);
    if (verdict->ask)
        put_ask(verdict->ask, out);
}
