/* Policy documents: what they mean, which texts are refused and in which words, and that everything
 * unclear is denied. */
#include "policy_doc.h"

static void test_the_first_rule_that_matches_decides(void)
{
    struct fl_policy *p =
        compile(RULES "  - {name: secrets, tools: [files__read], effect: deny,\n"
                      "     when: 'args.path.startsWith(\"secret/\")'}\n"
                      "  - {name: reads, tools: ['files__*'], effect: allow}\n"
                      "  - {name: late, tools: [files__read], effect: deny}\n"
                      "  - {name: writes, tools: ['*__write', 'mail'], effect: ask}\n");
    CHECK_STR(answer(p, "files__read", true, "{\"path\": \"a\"}"), "allow reads");
    CHECK_STR(answer(p, "files__read", true, "{\"path\": \"secret/a\"}"), "deny secrets");
    CHECK_STR(answer(p, "files__list", true, "{}"), "allow reads");
    CHECK_STR(answer(p, "files__write", false, "{}"), "ask writes"); /* not a read: passed over */
    CHECK_STR(answer(p, "files__write", true, "{}"), "allow reads");
    CHECK_STR(answer(p, "mail", false, "{}"), "ask writes");
    CHECK_STR(answer(p, "db__write", false, "{}"), "ask writes");
    CHECK_STR(answer(p, "files__read", false, "{\"path\": \"a\"}"), "deny late");
    /* Nothing else is near enough. */
    CHECK_STR(answer(p, "files__delete", false, "{}"), "deny -");
    CHECK_STR(answer(p, "Files__read", true, "{\"path\": \"a\"}"), "deny -");
    CHECK_STR(answer(p, "files_read", true, "{\"path\": \"a\"}"), "deny -");
    CHECK_STR(answer(p, "mail2", false, "{}"), "deny -");
    CHECK_STR(answer(p, "", true, "{}"), "deny -");
    fl_policy_unref(&p);
    CHECK(!p);
    fl_policy_unref(&p);
}

static void test_nothing_that_is_unclear_is_allowed(void)
{
    struct call call = call_of("files__read", true, "{}");
    struct fl_policy_verdict v = ask(NULL, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_NO_POLICY);
    CHECK_STR(v.text, "no policy is loaded");
    struct fl_policy *p = compile("version: 1\nrules: []\n");
    v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_NO_RULE && !v.rule);
    CHECK_STR(v.text, "no rule of the policy matches");
    fl_policy_unref(&p);
    /* A condition that fails denies, and the later rule that would allow is not asked. */
    p = compile(RULES "  - {name: small, tools: ['*'], effect: allow, when: args.size < 5}\n"
                      "  - {name: rest, tools: ['*'], effect: allow}\n");
    v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_ERROR && v.rule_at == 0);
    CHECK_STR(v.text, "rule 'small' could not be evaluated: no such key 'size'");
    json_t *args = call.args;
    call.args = NULL;
    v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_ERROR);
    CHECK_STR(v.text, "rule 'small' could not be evaluated: the arguments could not be read");
    call.facts.args = NULL;
    v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_ERROR);
    fl_policy_unref(&p);
    p = compile(RULES "  - {name: odd, tools: ['*'], effect: allow, when: args.x}\n");
    call.facts.args = give_args;
    call.args = json_pack("{s:s}", "x", "true");
    v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_ERROR);
    CHECK_STR(v.text, "rule 'odd' could not be evaluated: the condition is string, not bool");
    fl_policy_unref(&p);
    json_decref(call.args);
    json_decref(args);
}

static void test_a_write_runs_unasked_only_by_a_standing_rule(void)
{
    struct fl_policy *p =
        compile(RULES "  - {name: reads, tools: ['*'], effect: allow}\n"
                      "  - {name: logs, tools: [log__append, log__rotate], effect: allow,\n"
                      "     standing: true, agents: ['ci-*']}\n");
    size_t rules, tools;
    CHECK_STR(answer(p, "log__append", false, "{}"), "allow! logs");
    CHECK_STR(answer(p, "log__append", true, "{}"), "allow reads");
    CHECK_STR(answer(p, "log__delete", false, "{}"), "deny -");
    fl_policy_standing(p, &rules, &tools);
    CHECK(rules == 1 && tools == 2);
    CHECK(fl_policy_rule_at(p, 1)->is_standing && !fl_policy_rule_at(p, 0)->is_standing);
    struct call call = call_of("log__append", false, "{}");
    call.facts.agent = FL_STR("dev-1");
    CHECK_INT(ask(p, &call).effect, FL_EFFECT_DENY);
    json_decref(call.args);
    fl_policy_unref(&p);
}

static void test_agents_are_named_by_pattern_owner_and_group(void)
{
    static const struct {
        const char *agents, *agent, *owner;
        bool has_ops;
        enum fl_effect effect;
    } cases[] = {
        { "['ci-*', dev]", "ci-7", "Ana", false, FL_EFFECT_ALLOW },
        { "['ci-*', dev]", "dev", "Ana", false, FL_EFFECT_ALLOW },
        { "['ci-*', dev]", "dev-1", "Ana", false, FL_EFFECT_DENY },
        { "['ci-*']", "xci-1", "Ana", false, FL_EFFECT_DENY },
        { "{owners: [Ana]}", "x", "Ana", false, FL_EFFECT_ALLOW },
        { "{owners: [Ana]}", "x", "ana", false, FL_EFFECT_DENY },
        { "{owners: ['*']}", "x", "Ana", false, FL_EFFECT_DENY }, /* not a pattern */
        { "{owner_groups: [ops, it]}", "x", "Ana", true, FL_EFFECT_ALLOW },
        { "{owner_groups: [ops, it]}", "x", "Ana", false, FL_EFFECT_DENY },
        { "{names: ['ci-*'], owner_groups: [ops]}", "ci-1", "Ana", true, FL_EFFECT_ALLOW },
        { "{names: ['ci-*'], owner_groups: [ops]}", "dev", "Ana", true, FL_EFFECT_DENY },
        { "{names: ['ci-*'], owner_groups: [ops]}", "ci-1", "Ana", false, FL_EFFECT_DENY },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        char text[300];
        const struct fl_str ops = FL_STR("ops");
        snprintf(text, sizeof text,
                 RULES "  - {name: r, tools: ['*'], effect: allow, agents: %s}\n", cases[i].agents);
        struct fl_policy *p = compile(text);
        struct call call = call_of("files__read", true, "{}");
        call.facts.agent = fl_str_of(cases[i].agent);
        call.facts.owner = fl_str_of(cases[i].owner);
        call.facts.owner_groups = &ops;
        call.facts.owner_group_count = cases[i].has_ops;
        CHECK_MSG(ask(p, &call).effect == cases[i].effect, "%s for %s", cases[i].agents,
                  cases[i].agent);
        json_decref(call.args);
        fl_policy_unref(&p);
    }
}

static void test_conditions_see_all_the_facts(void)
{
    static const char *const conditions[] = {
        "tool.name == 'files__read'",
        "tool.server == 'files'",
        "tool.reads",
        "tool.destroys && tool.reaches_out",
        "agent.name == 'ci-1'",
        "agent.id == '0190'",
        "agent.isolated",
        "agent.owner == 'Ana'",
        "agent.owner_groups == ['ops', 'it']",
        "org.name == 'acme'",
        "args.n == 7",
        "request.time.getHours('Europe/Berlin') == 17 && request.time.getDayOfWeek() == 1",
        "request.time < timestamp('2026-11-23T16:30:01Z')",
    };
    const struct fl_str groups[] = { FL_STR("ops"), FL_STR("it") };
    for (size_t i = 0; i < FL_COUNTOF(conditions); i++) {
        char text[300];
        snprintf(text, sizeof text,
                 RULES "  - {name: r, tools: ['*'], effect: allow, when: \"%s\"}\n", conditions[i]);
        struct fl_policy *p = compile(text);
        struct call call = call_of("files__read", true, "{\"n\": 7}");
        call.facts.destroys = call.facts.reaches_out = call.facts.is_isolated = true;
        call.facts.owner_groups = groups;
        call.facts.owner_group_count = 2;
        struct fl_policy_verdict v = ask(p, &call);
        CHECK_MSG(v.effect == FL_EFFECT_ALLOW, "%s: %s", conditions[i], v.text);
        json_decref(call.args);
        fl_policy_unref(&p);
    }
}

static void test_arguments_become_a_tree_once_and_only_when_read(void)
{
    struct fl_policy *p =
        compile(RULES "  - {name: a, tools: [t], effect: deny, when: agent.name == 'x'}\n"
                      "  - {name: b, tools: [u], effect: deny, when: args.x == 1}\n"
                      "  - {name: c, tools: [v], effect: deny, when: args.x == 1}\n"
                      "  - {name: d, tools: [v], effect: deny, when: args.x == 2}\n"
                      "  - {name: e, tools: ['*'], effect: allow}\n");
    static const struct {
        const char *tool;
        unsigned asked;
    } cases[] = { { "t", 0 }, { "u", 1 }, { "v", 1 }, { "w", 0 } };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct call call = call_of(cases[i].tool, true, "{\"x\": 3}");
        CHECK_INT(ask(p, &call).effect, FL_EFFECT_ALLOW);
        CHECK_INT(call.asked_for_args, cases[i].asked);
        json_decref(call.args);
    }
    fl_policy_unref(&p);
}

static void test_the_conditions_of_a_call_share_one_bound(void)
{
    char text[6000] = RULES;
    for (int i = 0; i < 30; i++)
        sprintf(text + strlen(text),
                "  - {name: r%d, tools: ['*'], effect: deny,\n"
                "     when: 'args.l.exists(a, args.l.exists(b, a + b < 0))'}\n",
                i);
    strcat(text, "  - {name: last, tools: ['*'], effect: allow}\n");
    struct fl_policy *p = compile(text);
    char json[1000] = "{\"l\": [1";
    for (int i = 0; i < 40; i++)
        strcat(json, ",1");
    strcat(json, "]}");
    struct call call = call_of("t", true, json);
    struct fl_policy_verdict v = ask(p, &call);
    CHECK(v.effect == FL_EFFECT_DENY && v.why == FL_WHY_ERROR && v.rule_at > 2);
    CHECK(strstr(v.text, "the expression needs more steps than it may"));
    json_decref(call.args);
    fl_policy_unref(&p);
}

static void test_reasons_and_asks_come_with_the_verdict(void)
{
    struct fl_policy *p =
        compile("version: 1\n"
                "defaults: {expires: 30m, notify: [slack-ops], risk: high,\n"
                "           thresholds: [{approve: 2}, {approve: 1, groups: [ops]}], any: true}\n"
                "rules:\n"
                "  - {name: no, tools: [a], effect: deny, reason: not on Fridays}\n"
                "  - {name: plain, tools: [b], effect: ask, reason: look at the path}\n"
                "  - name: own\n"
                "    tools: [c]\n"
                "    effect: ask\n"
                "    ask:\n"
                "      expires: 7d\n"
                "      thresholds: [{approve: 3, deny: 2, groups: [ops, it], match: each}]\n"
                "      second_factor: true\n"
                "      owner_may_approve: true\n"
                "      disclose: summary\n"
                "      after_leave: cancel\n");
    struct call call = call_of("a", false, "{}");
    struct fl_policy_verdict v = ask(p, &call);
    CHECK_STR(v.text, "not on Fridays");
    CHECK(!v.ask);
    call.facts.tool = FL_STR("b");
    v = ask(p, &call);
    CHECK_STR(v.text, "look at the path");
    CHECK(v.ask && v.ask == v.rule->ask);
    CHECK(v.ask->expires_ms == 1800000 && v.ask->risk == FL_RISK_HIGH && v.ask->is_any);
    CHECK_INT(v.ask->threshold_count, 2);
    CHECK_SPAN(v.ask->notify[0], "slack-ops");
    call.facts.tool = FL_STR("c");
    v = ask(p, &call);
    CHECK_STR(v.text, "rule 'own' says ask");
    CHECK(v.ask->expires_ms == 604800000 && v.ask->risk == FL_RISK_HIGH && !v.ask->is_any);
    CHECK(v.ask->needs_second_factor && v.ask->owner_may_approve);
    CHECK(v.ask->disclose == FL_DISCLOSE_SUMMARY && v.ask->after_leave == FL_AFTER_LEAVE_CANCEL);
    CHECK_INT(v.ask->threshold_count, 1);
    CHECK(v.ask->thresholds[0].approve == 3 && v.ask->thresholds[0].deny == 2);
    CHECK(v.ask->thresholds[0].match == FL_MATCH_EACH && v.ask->thresholds[0].group_count == 2);
    struct fl_buf text = FL_BUF_INIT;
    fl_policy_ask_describe(v.ask, &text);
    CHECK_STR(text.p, "3 approvals from each of ops and it (2 rejections end it)");
    fl_buf_fini(&text);
    json_decref(call.args);
    fl_policy_unref(&p);
}

static void test_the_starter_policy_does_what_it_says(void)
{
    for (int is_solo = 0; is_solo < 2; is_solo++) {
        struct fl_policy *p = compile(fl_policy_starter(is_solo));
        CHECK_STR(answer(p, "files__read", true, "{}"), "allow reads");
        CHECK_STR(answer(p, "files__write", false, "{}"), "ask writes");
        struct call call = call_of("files__delete", false, "{}");
        call.facts.destroys = true;
        struct fl_policy_verdict v = ask(p, &call);
        CHECK(v.effect == FL_EFFECT_ASK && v.ask->risk == FL_RISK_HIGH);
        CHECK_INT(v.ask->owner_may_approve, is_solo);
        CHECK(v.ask->expires_ms == FL_ASK_EXPIRES_DEFAULT_MS && v.ask->threshold_count == 1);
        size_t rules, tools;
        fl_policy_standing(p, &rules, &tools);
        CHECK_INT(rules, 0);
        json_decref(call.args);
        fl_policy_unref(&p);
    }
}

/* ---- refusals ---- */
static void test_every_mistake_is_named_with_line_rule_and_what_is_right(void)
{
#define RULE(rest) RULES "  - name: r\n    tools: [t]\n    effect: ask\n" rest
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "[1]", "line 1: a policy is a map with version and rules" },
        { "rules: []", "line 1: a policy needs 'version: 1'" },
        { "version: 2\nrules: []", "line 1: a policy needs 'version: 1'" },
        { "version: 1", "line 1: a policy needs 'rules': a list of at most 1000" },
        { "version: 1\nrules: {}", "line 2: a policy needs 'rules': a list of at most 1000" },
        { "version: 1\nrule: []\nrules: []",
          "line 2: 'rule' is not a key of a policy; did you mean 'rules'?" },
        { RULES "  - reads", "line 3: a rule is a map with name, tools and effect" },
        { RULES "  - tools: [t]\n    effect: deny",
          "line 3: a rule needs 'name': 1 to 64 of a-z, 0-9 and -" },
        { RULES "  - name: My Rule\n    tools: [t]\n    effect: deny",
          "line 3: 'name' is 1 to 64 of a-z, 0-9 and -" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n  - name: r\n    tools: [t]\n"
                "    effect: deny",
          "line 6, rule 'r': another rule has this name (line 3)" },
        { RULES "  - name: r\n    tolls: [t]\n    effect: deny",
          "line 4, rule 'r': 'tolls' is not a key of a rule; did you mean 'tools'?" },
        { RULES "  - name: r\n    zzzzzzzz: 1\n    tools: [t]\n    effect: deny",
          "line 4, rule 'r': 'zzzzzzzz' is not a key of a rule" },
        { RULES "  - name: r\n    effect: deny",
          "line 3, rule 'r': a rule needs 'tools': names, or patterns with *" },
        { RULES "  - name: r\n    tools: t\n    effect: deny",
          "line 4, rule 'r': 'tools' is a list of 1 to 256 texts" },
        { RULES "  - name: r\n    tools: []\n    effect: deny",
          "line 4, rule 'r': 'tools' is a list of 1 to 256 texts" },
        { RULES "  - name: r\n    tools: [files read]\n    effect: deny",
          "line 4, rule 'r': 'tools' has 'files read' where the name of a tool or a pattern with * "
          "should be" },
        { RULES "  - name: r\n    tools: [f\xd1\x96les]\n    effect: deny",
          "line 4, rule 'r': 'tools' has 'f\xd1\x96les' where the name of a tool or a pattern with "
          "* should be" },
        { RULES "  - name: r\n    tools: [7]\n    effect: deny",
          "line 4, rule 'r': 'tools' has an entry where the name of a tool or a pattern with * "
          "should be" },
        { RULES "  - name: r\n    tools: [t, t]\n    effect: deny",
          "line 4, rule 'r': 'tools' has 't' twice" },
        { RULES "  - name: r\n    tools: [t]", "line 3, rule 'r': a rule needs 'effect': deny, ask "
                                               "or allow" },
        { RULES "  - name: r\n    tools: [t]\n    effect: permit",
          "line 5, rule 'r': 'effect' is deny, ask or allow" },
        { RULES "  - name: r\n    tools: [t]\n    effect: true",
          "line 5, rule 'r': 'effect' is deny, ask or allow" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    standing: true",
          "line 6, rule 'r': 'standing: true' goes with 'effect: allow' only" },
        { RULES "  - name: r\n    tools: [t, 'u*']\n    effect: allow\n    standing: true",
          "line 4, rule 'r': a standing rule names its tools without '*', and has 'u*'" },
        { RULES "  - name: r\n    tools: [t]\n    effect: allow\n    standing: yes please",
          "line 6, rule 'r': 'standing' is true or false" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    ask: {}",
          "line 6, rule 'r': 'ask' goes with 'effect: ask' only" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    reason: ''",
          "line 6, rule 'r': 'reason' is a text of 1 to 300 bytes" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    agents: 'ci-*'",
          "line 6, rule 'r': 'agents' is a list of names, or a map with names, owners or "
          "owner_groups" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    agents: {}",
          "line 6, rule 'r': 'agents' is a list of names, or a map with names, owners or "
          "owner_groups" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    agents: {group: [x]}",
          "line 6, rule 'r': 'group' is not a key of agents" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    agents: {owner_group: [x]}",
          "line 6, rule 'r': 'owner_group' is not a key of agents; did you mean 'owner_groups'?" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    when: args.x = 1",
          "line 6, rule 'r': 'when': line 1, column 8: '=' is not an operator; '==' compares" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    when: agent.nmae == 'x'",
          "line 6, rule 'r': 'when': line 1, column 1: unknown name 'agent.nmae'; did you mean "
          "'agent.name'?" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    when: size(agent.name)",
          "line 6, rule 'r': 'when' is int, not bool" },
        { RULES "  - name: r\n    tools: [t]\n    effect: deny\n    when: true",
          "line 6, rule 'r': 'when' is a text of 1 to 4096 bytes" },
        { RULE("    ask: inbox"), "line 6, rule 'r': 'ask' is a map, as in { expires: 4h }" },
        { RULE("    ask:\n      expiry: 4h"),
          "line 7, rule 'r': 'expiry' is not a key of an ask; did you mean 'expires'?" },
        { RULE("    ask:\n      expires: 8d"),
          "line 7, rule 'r': 'expires' is a time from 1m to 7d, as in 4h" },
        { RULE("    ask:\n      expires: 10s"),
          "line 7, rule 'r': 'expires' is a time from 1m to 7d, as in 4h" },
        { RULE("    ask:\n      expires: 4"),
          "line 7, rule 'r': 'expires' is a time from 1m to 7d, as in 4h" },
        { RULE("    ask:\n      after_leave: stay"),
          "line 7, rule 'r': 'after_leave' is wait or cancel" },
        { RULE("    ask:\n      disclose: none"),
          "line 7, rule 'r': 'disclose' is full or summary" },
        { RULE("    ask:\n      risk: 5"), "line 7, rule 'r': 'risk' is low, normal or high" },
        { RULE("    ask:\n      notify: [Slack]"),
          "line 7, rule 'r': 'notify' has 'Slack' where the name of a channel should be" },
        { RULE("    ask:\n      notify: []"),
          "line 7, rule 'r': 'notify' is a list of 1 to 16 texts" },
        { RULE("    ask:\n      notify: [a, []]"), "line 7, rule 'r': 'notify' has an empty list" },
        { RULE("    ask:\n      notify: [a, [b, [c]]]"),
          "line 7, rule 'r': 'notify' has an entry where the name of a channel should be" },
        { RULE("    ask:\n      notify: [a, [b, a]]"), "line 7, rule 'r': 'notify' has 'a' twice" },
        { RULE("    ask:\n      any: true"),
          "line 7, rule 'r': 'any' needs 'thresholds' beside it" },
        { RULE("    ask:\n      thresholds: []"),
          "line 7, rule 'r': 'thresholds' is a list of 1 to 8 thresholds" },
        { RULE("    ask:\n      thresholds: {approve: 1}"),
          "line 7, rule 'r': 'thresholds' is a list of 1 to 8 thresholds" },
        { RULE("    ask:\n      thresholds: [2]"),
          "line 7, rule 'r': a threshold is a map, as in { approve: 1 }" },
        { RULE("    ask:\n      thresholds:\n        - approve: 0"),
          "line 8, rule 'r': 'approve' is a number from 1 to 20" },
        { RULE("    ask:\n      thresholds:\n        - approve: 1.5"),
          "line 8, rule 'r': 'approve' is a number from 1 to 20" },
        { RULE("    ask:\n      thresholds:\n        - deny: -1"),
          "line 8, rule 'r': 'deny' is a number from 1 to 20" },
        { RULE("    ask:\n      thresholds:\n        - aprove: 1"),
          "line 8, rule 'r': 'aprove' is not a key of a threshold; did you mean 'approve'?" },
        { RULE("    ask:\n      thresholds:\n        - groups: []"),
          "line 8, rule 'r': 'groups' is a list of 1 to 16 texts" },
        { RULE("    ask:\n      thresholds:\n        - match: all"),
          "line 8, rule 'r': 'match: all' needs 'groups'" },
        { RULE("    ask:\n      thresholds:\n        - {groups: [ops], match: both}"),
          "line 8, rule 'r': 'match' is any, all or each" },
        { RULE("    ask:\n      thresholds:\n        - where: agent.name == 'x'"),
          "line 8, rule 'r': 'where': line 1, column 1: unknown name 'agent.name'" },
        { RULE("    ask:\n      thresholds:\n        - where: person.name"),
          "line 8, rule 'r': 'where' is string, not bool" },
        { "version: 1\ndefaults:\n  expires: never\nrules: []",
          "line 3: 'expires' is a time from 1m to 7d, as in 4h" },
        { "version: 1\ndefaults: 4h\nrules: []",
          "line 2: 'defaults' is a map, as in { expires: 4h }" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_policy *p = NULL;
        struct fl_err err = { 0 };
        CHECK_MSG(compile_yaml(cases[i].text, &p, NULL, &err) == FL_BAD_PARAMS, "compiles: %s",
                  cases[i].text);
        CHECK(!p);
        CHECK_STR(err.text, cases[i].error);
    }
}

static void test_all_mistakes_of_a_document_are_found_at_once(void)
{
    struct fl_findings findings = { 0 };
    struct fl_policy *p = NULL;
    struct fl_err err;
    CHECK_INT(compile_yaml("version: 1\n"
                           "defaults:\n"
                           "  expires: never\n"
                           "rules:\n"
                           "  - name: a\n"
                           "    tools: [bad name]\n"
                           "    effect: permit\n"
                           "    when: args.x +\n"
                           "  - name: b\n"
                           "    tools: [t]\n"
                           "    effect: ask\n"
                           "    ask: {risk: huge, thresholds: [{approve: 0}, {deny: 0}]}\n",
                           &p, &findings, &err),
              FL_BAD_PARAMS);
    static const struct {
        unsigned line;
        const char *rule, *text;
    } wanted[] = {
        { 3, "", "'expires' is a time" },       { 6, "a", "'tools' has 'bad name'" },
        { 8, "a", "'when': line 1, column 9" }, { 7, "a", "'effect' is deny" },
        { 12, "b", "'risk' is low" },           { 12, "b", "'approve' is a number" },
        { 12, "b", "'deny' is a number" },
    };
    CHECK_INT(findings.count, FL_COUNTOF(wanted));
    CHECK_INT(findings.error_count, FL_COUNTOF(wanted));
    for (size_t i = 0; i < FL_COUNTOF(wanted); i++) {
        CHECK_INT(findings.items[i]->line, wanted[i].line);
        CHECK_SPAN(findings.items[i]->rule, wanted[i].rule);
        CHECK_MSG(strncmp(findings.items[i]->text, wanted[i].text, strlen(wanted[i].text)) == 0,
                  "%s", findings.items[i]->text);
    }
    CHECK_STR(err.text, "line 3: 'expires' is a time from 1m to 7d, as in 4h");
    fl_findings_fini(&findings);
}

/* ---- patterns, and the index against the plain reading ---- */
static void test_patterns_match_whole_names(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        { "a", "a", true },
        { "a", "A", false },
        { "a*", "a", true },
        { "a*", "ba", false },
        { "*a", "ba", true },
        { "*", "", true },
        { "a*b*c", "axbyc", true },
        { "a*b*c", "acb", false },
        { "**", "x", true },
        { "a*a", "a", false },
        { "*ab*ab", "abab", true },
        { "*ab*ab", "aab", false },
        { "f__*", "f__x", true },
        { "f__*", "f_x", false },
        { "", "", true },
        { "", "a", false },
        { "a.b", "axb", false },
        { "a?b", "axb", false },
        { "*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++)
        CHECK_MSG(fl_policy_glob(fl_str_of(cases[i].pattern), fl_str_of(cases[i].text)) ==
                      cases[i].matches,
                  "%s on %s", cases[i].pattern, cases[i].text);
}

static uint64_t seed = 3;

static unsigned roll(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static void random_name(char *out, const char *letters, unsigned max)
{
    unsigned n = 1 + roll(max);
    for (unsigned i = 0; i < n; i++)
        *out++ = letters[roll((unsigned)strlen(letters))];
    *out = 0;
}

static void test_a_pattern_that_covers_another_matches_all_that_it_matches(void)
{
    unsigned covers = 0;
    for (int i = 0; i < 200000; i++) {
        char outer[8], inner[8], text[8];
        random_name(outer, "ab**", 5);
        random_name(inner, "ab*", 5);
        random_name(text, "ab", 6);
        if (!fl_policy_glob(fl_str_of(outer), fl_str_of(inner)))
            continue;
        covers++;
        CHECK_MSG(!fl_policy_glob(fl_str_of(inner), fl_str_of(text)) ||
                      fl_policy_glob(fl_str_of(outer), fl_str_of(text)),
                  "%s covers %s, not %s", outer, inner, text);
    }
    CHECK(covers > 10000);
}

static void test_the_index_finds_what_reading_all_rules_finds(void)
{
    static const char *const effects[] = { "deny", "ask", "allow" };
    unsigned seen[3] = { 0 }, none = 0;
    for (int round = 0; round < 300; round++) {
        char text[4000] = "version: 1\nrules:\n";
        unsigned rules = 1 + roll(12);
        for (unsigned i = 0; i < rules; i++) {
            char *at = text + strlen(text);
            at += sprintf(at, "  - {name: r%u, effect: %s, tools: [", i, effects[roll(3)]);
            unsigned tools = 1 + roll(3);
            for (unsigned k = 0; k < tools; k++) {
                char name[10];
                random_name(name, "ab___*", 5);
                at += sprintf(at, "'%s%u%s', ", name, k, roll(2) ? "*" : "");
            }
            sprintf(at, "]%s}\n", roll(3) ? "" : ", when: args.n > 1");
        }
        struct fl_policy *p = compile(text);
        for (int i = 0; i < 20; i++) {
            char tool[12];
            random_name(tool, "ab___", 5);
            sprintf(tool + strlen(tool), "%u", roll(3));
            struct call call = call_of(tool, roll(2), roll(2) ? "{\"n\": 1}" : "{\"n\": 2}");
            struct fl_policy_verdict by_index = ask(p, &call), by_reading;
            struct fl_policy_trail trail = { .arena = fl_arena_new(0) };
            fl_policy_evaluate(p, &call.facts, &trail, &by_reading);
            CHECK_INT(by_index.effect, by_reading.effect);
            CHECK(by_index.rule == by_reading.rule);
            CHECK_STR(by_index.text, by_reading.text);
            CHECK_INT(trail.count, rules);
            for (size_t k = 0; by_reading.rule && k < rules; k++)
                CHECK((k > by_reading.rule_at) == (trail.steps[k] == FL_STEP_NOT_REACHED));
            seen[by_index.effect]++;
            none += !by_index.rule;
            fl_arena_free(&trail.arena);
            json_decref(call.args);
        }
        fl_policy_unref(&p);
    }
    CHECK(seen[0] > 500 && seen[1] > 100 && seen[2] > 50 && none > 500);
}

static void test_a_policy_lives_as_long_as_somebody_holds_it(void)
{
    struct fl_policy *p = compile(RULES "  - {name: r, tools: ['*'], effect: allow}\n");
    struct fl_policy *held = fl_policy_ref(p);
    CHECK(held == p);
    fl_policy_unref(&p);
    CHECK_STR(answer(held, "t", true, "{}"), "allow r");
    CHECK_INT(fl_policy_rule_count(held), 1);
    fl_policy_unref(&held);
}

static void test_a_large_document_is_bounded(void)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_policy *p = NULL;
    struct fl_err err;
    fl_buf_puts(&text, RULES);
    for (int i = 0; i < 21; i++) {
        fl_buf_printf(&text, "  - {name: r%d, effect: ask, tools: [", i);
        for (int k = 0; k < 240; k++)
            fl_buf_printf(&text, "t%d__%d,", i, k);
        fl_buf_puts(&text, "]}\n");
    }
    CHECK_INT(compile_yaml(text.p, &p, NULL, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "line 3: the rules name more than 5000 tools and patterns");
    fl_buf_reset(&text);
    fl_buf_puts(&text, RULES);
    for (int i = 0; i < 1001; i++)
        fl_buf_printf(&text, "  - {name: r%d, effect: ask, tools: [t%d]}\n", i, i);
    CHECK_INT(compile_yaml(text.p, &p, NULL, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "line 3: a policy needs 'rules': a list of at most 1000");
    char *last = strstr(text.p, "  - {name: r1000,");
    CHECK(last);
    *last = 0;
    p = compile(text.p);
    CHECK_INT(fl_policy_rule_count(p), 1000);
    CHECK_STR(answer(p, "t999", false, "{}"), "ask r999");
    fl_policy_unref(&p);
    fl_buf_fini(&text);
}

static const struct fl_test tests[] = {
    T(the_first_rule_that_matches_decides),
    T(nothing_that_is_unclear_is_allowed),
    T(a_write_runs_unasked_only_by_a_standing_rule),
    T(agents_are_named_by_pattern_owner_and_group),
    T(conditions_see_all_the_facts),
    T(arguments_become_a_tree_once_and_only_when_read),
    T(the_conditions_of_a_call_share_one_bound),
    T(reasons_and_asks_come_with_the_verdict),
    T(the_starter_policy_does_what_it_says),
    T(every_mistake_is_named_with_line_rule_and_what_is_right),
    T(all_mistakes_of_a_document_are_found_at_once),
    T(patterns_match_whole_names),
    T(a_pattern_that_covers_another_matches_all_that_it_matches),
    T(the_index_finds_what_reading_all_rules_finds),
    T(a_policy_lives_as_long_as_somebody_holds_it),
    T(a_large_document_is_bounded),
};
TEST_MAIN(tests)
