/* Around policy documents: frozen asks, explanations, diffs, checks, the guide's examples, and all
 * of it without memory. */
#include "flopinio/base/mem.h"
#include "policy_doc.h"

/* ---- the frozen ask ---- */
static void test_an_ask_goes_to_canonical_json_and_back(void)
{
    struct fl_policy *p =
        compile(RULES "  - name: r\n    tools: [t]\n    effect: ask\n    ask:\n"
                      "      thresholds:\n"
                      "        - {approve: 2, deny: 3, groups: [ops, \"f\\\"x\"], match: all,\n"
                      "           where: 'person.role != \"owner\"'}\n"
                      "        - {approve: 1}\n"
                      "      any: true\n"
                      "      notify: [slack, inbox]\n"
                      "      expires: 5400s\n");
    struct fl_buf text = FL_BUF_INIT, again = FL_BUF_INIT;
    struct fl_ask *loaded = NULL;
    struct fl_err err;
    CHECK_OK(fl_policy_ask_dump(fl_policy_rule_at(p, 0)->ask, &text, &err));
    CHECK_STR(
        text.p,
        "{\"after_leave\":\"wait\",\"any\":true,\"disclose\":\"full\",\"expires\":\"90m\","
        "\"notify\":[\"slack\",\"inbox\"],\"owner_may_approve\":false,\"risk\":\"normal\","
        "\"second_factor\":false,\"thresholds\":[{\"approve\":2,\"deny\":3,\"groups\":[\"ops\","
        "\"f\\\"x\"],\"match\":\"all\",\"where\":\"person.role != \\\"owner\\\"\"},"
        "{\"approve\":1,\"deny\":1,\"match\":\"any\"}]}");
    fl_policy_unref(&p);
    CHECK_OK(fl_policy_ask_load(fl_buf_view(&text), &loaded, &err));
    CHECK(loaded->thresholds[0].where_program && !loaded->thresholds[1].where_program);
    CHECK_OK(fl_policy_ask_dump(loaded, &again, &err));
    CHECK_STR(again.p, text.p);
    fl_policy_ask_free(&loaded);
    CHECK(!loaded);
    fl_policy_ask_free(&loaded);
    /* Damage: every prefix, and members that are gone, new or wrong. */
    for (size_t n = 0; n < text.n; n++)
        CHECK_INT(fl_policy_ask_load((struct fl_str){ text.p, n }, &loaded, &err), FL_BAD_PARAMS);
    static const struct {
        const char *from, *to, *error;
    } cases[] = {
        { "\"any\":true,", "", "the stored ask has no 'any'" },
        { "\"second_factor\":false", "\"second_factor\":0", "'second_factor' is true or false" },
        { "\"risk\":", "\"rusk\":", "'rusk' is not a key of an ask; did you mean 'risk'?" },
        { "\"approve\":2", "\"approve\":0", "'approve' is a number from 1 to 20" },
        { "\"approve\":2", "\"approve\":\"2\"", "'approve' is a number from 1 to 20" },
        { "person.role != ", "person.roll != ",
          "'where': line 1, column 1: unknown name 'person.roll'; did you mean 'person.role'?" },
        { "\"expires\":\"90m\"", "\"expires\":\"99d\"",
          "'expires' is a time from 1m to 7d, as in 4h" },
        { ",\"thresholds\":[", ",\"threshold\":[",
          "'threshold' is not a key of an ask; did you mean 'thresholds'?" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        const char *at = strstr(text.p, cases[i].from);
        CHECK(at);
        fl_buf_reset(&again);
        fl_buf_put(&again, text.p, (size_t)(at - text.p));
        fl_buf_puts(&again, cases[i].to);
        fl_buf_puts(&again, at + strlen(cases[i].from));
        CHECK_INT(fl_policy_ask_load(fl_buf_view(&again), &loaded, &err), FL_BAD_PARAMS);
        CHECK_STR(err.text, cases[i].error);
        CHECK(!loaded);
    }
    CHECK_INT(fl_policy_ask_load(FL_STR("{}"), &loaded, &err), FL_BAD_PARAMS);
    CHECK_INT(fl_policy_ask_load(FL_STR("[]"), &loaded, &err), FL_BAD_PARAMS);
    CHECK_INT(fl_policy_ask_load(FL_STR("null"), &loaded, &err), FL_BAD_PARAMS);
    fl_buf_fini(&text);
    fl_buf_fini(&again);
}

/* ---- explaining, comparing, checking ---- */
static void test_a_verdict_explains_itself(void)
{
    struct fl_policy *p = compile("version: 1\n"
                                  "rules:\n"
                                  "  - name: other\n"
                                  "    tools: ['db__*']\n"
                                  "    effect: deny\n"
                                  "  - name: not-ours\n"
                                  "    tools: ['*']\n"
                                  "    agents: ['dev-*']\n"
                                  "    effect: deny\n"
                                  "  - name: reads\n"
                                  "    tools: ['files__*']\n"
                                  "    effect: allow\n"
                                  "  - name: small\n"
                                  "    tools: ['files__*']\n"
                                  "    when: args.size < 100\n"
                                  "    effect: deny\n"
                                  "  - name: writes\n"
                                  "    tools: ['*']\n"
                                  "    effect: ask\n"
                                  "    reason: see the runbook\n"
                                  "    ask: {thresholds: [{approve: 2, groups: [ops]}],\n"
                                  "          second_factor: true, after_leave: cancel}\n"
                                  "  - name: rest\n"
                                  "    tools: ['*']\n"
                                  "    effect: deny\n");
    struct call call = call_of("files__write", false, "{\"size\": 500}");
    struct fl_policy_trail trail = { .arena = fl_arena_new(0) };
    struct fl_policy_verdict v;
    struct fl_buf out = FL_BUF_INIT;
    call.facts.args_ctx = &call;
    fl_policy_evaluate(p, &call.facts, &trail, &v);
    fl_policy_explain(p, &call.facts, &trail, &v, &out);
    CHECK_STR(out.p,
              "tool   files__write (writes)\n"
              "agent  ci-1 (owner Ana)\n"
              "\n"
              "   1  line 3     other                    no   it does not name this tool\n"
              "   2  line 6     not-ours                 no   it is for other agents\n"
              "   3  line 10    reads                    no   'allow' is for tools accepted as "
              "reads, and files__write writes (ask, or standing: true)\n"
              "   4  line 13    small                    no   its condition is false: args.size < "
              "100\n"
              "   5  line 17    writes                   yes  ask\n"
              "   6  line 23    rest                     -    not looked at\n"
              "\n"
              "-> ask: see the runbook\n"
              "   needs    2 approvals from ops, with a second factor\n"
              "   cards    inbox\n"
              "   expires  after 4h\n"
              "            or when the caller leaves\n");
    fl_buf_reset(&out);
    json_decref(call.args);
    call.args = json_object();
    fl_policy_evaluate(p, &call.facts, &trail, &v);
    fl_policy_explain(p, &call.facts, &trail, &v, &out);
    CHECK(strstr(out.p,
                 "small                    stop rule 'small' could not be evaluated: no such "
                 "key 'size'\n"));
    CHECK(strstr(out.p, "\n-> deny: rule 'small' could not be evaluated: no such key 'size'\n"));
    fl_buf_reset(&out);
    fl_policy_evaluate(NULL, &call.facts, &trail, &v);
    fl_policy_explain(NULL, &call.facts, &trail, &v, &out);
    CHECK(strstr(out.p, "-> deny: no policy is loaded\n"));
    fl_buf_fini(&out);
    fl_arena_free(&trail.arena);
    json_decref(call.args);
    fl_policy_unref(&p);
}

static void test_a_diff_is_by_rule(void)
{
    json_t *from = tree_of("version: 1\ndefaults: {expires: 4h}\nrules:\n"
                           "  - {name: a, tools: [x], effect: allow}\n"
                           "  - {name: b, tools: [x], effect: ask, ask: {expires: 1h}}\n"
                           "  - {name: c, tools: [y], effect: deny, reason: old}\n"
                           "  - {name: d, tools: [z], effect: deny}\n");
    json_t *to = tree_of("version: 1\ndefaults: {expires: 4h, risk: high}\nrules:\n"
                         "  - {name: new, tools: ['*'], effect: deny, when: tool.destroys}\n"
                         "  - {name: b, tools: [x, w], effect: ask}\n"
                         "  - {name: d, tools: [z], effect: deny}\n"
                         "  - {name: a, tools: [x], effect: allow}\n");
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_policy_diff(from, to, &out, &err));
    CHECK_STR(out.p, "~ defaults\n"
                     "    risk: (new) \"high\"\n"
                     "+ rule 1 'new': deny [\"*\"]\n"
                     "~ rule 2 'b'\n"
                     "    tools: [\"x\"] -> [\"x\",\"w\"]\n"
                     "    ask: {\"expires\":\"1h\"} -> (removed)\n"
                     "~ rule 4 'a', moved from 1\n"
                     "- rule 3 'c': deny [\"y\"]\n");
    fl_buf_reset(&out);
    CHECK_OK(fl_policy_diff(from, from, &out, &err));
    CHECK_INT(out.n, 0);
    CHECK_OK(fl_policy_diff(NULL, to, &out, &err));
    CHECK(strstr(out.p, "+ rule 4 'a': allow [\"x\"]\n") && !strstr(out.p, "- rule"));
    fl_buf_fini(&out);
    json_decref(from);
    json_decref(to);
}

static bool has_path(void *ctx, struct fl_str tool, const char *pointer)
{
    FL_UNUSED(ctx);
    FL_UNUSED(tool);
    return strcmp(pointer, "/amount") == 0 || strcmp(pointer, "/lines") == 0 ||
           strcmp(pointer, "/lines/*/sum") == 0;
}

static bool has_group(void *ctx, struct fl_str group)
{
    FL_UNUSED(ctx);
    return fl_str_is(group, "ops") || fl_str_is(group, "it") || fl_str_is(group, "one");
}

static bool has_channel(void *ctx, struct fl_str channel)
{
    FL_UNUSED(ctx);
    return fl_str_is(channel, "inbox");
}

static bool has_agent(void *ctx, struct fl_str pattern)
{
    FL_UNUSED(ctx);
    return fl_policy_glob(pattern, FL_STR("ci-1"));
}

static bool has_person(void *ctx, struct fl_str name)
{
    FL_UNUSED(ctx);
    return fl_str_is(name, "ana");
}

static unsigned eligible(void *ctx, const struct fl_threshold *t)
{
    FL_UNUSED(ctx);
    if (t->group_count == 0)
        return 5;
    return fl_str_is(t->groups[0], "ops") ? 3 : fl_str_is(t->groups[0], "one") ? 1 : 0;
}

static const struct fl_policy_tool world_tools[] = { { FL_STR("files__read"), true },
                                                     { FL_STR("files__write"), false },
                                                     { FL_STR("db__query"), true },
                                                     { FL_STR("mail__send"), false } };
static const struct fl_policy_world world = { .tools = world_tools,
                                              .tool_count = FL_COUNTOF(world_tools),
                                              .has_path = has_path,
                                              .has_group = has_group,
                                              .has_channel = has_channel,
                                              .has_agent = has_agent,
                                              .has_person = has_person,
                                              .eligible = eligible };

static void check_findings(const char *rules, const char *wanted)
{
    char text[2000];
    snprintf(text, sizeof text, "%s%s", RULES, rules);
    struct fl_policy *p = compile(text);
    struct fl_findings findings = { 0 };
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    CHECK_OK(fl_policy_check(p, &world, &findings, &err));
    size_t errors = 0;
    for (size_t i = 0; i < findings.count; i++) {
        bool is_error = findings.items[i]->severity == FL_SEVERITY_ERROR;
        errors += is_error;
        fl_buf_printf(&out, "%s %u %.*s: %s\n", is_error ? "E" : "W", findings.items[i]->line,
                      FL_STR_ARG(findings.items[i]->rule), findings.items[i]->text);
    }
    CHECK_INT(findings.error_count, errors);
    CHECK_STR(out.p ? out.p : "", wanted);
    fl_buf_fini(&out);
    fl_findings_fini(&findings);
    fl_policy_unref(&p);
}

#define REST "  - {name: rest, tools: ['*'], effect: ask}\n"

static void test_what_cannot_work_is_found_before_it_is_applied(void)
{
    check_findings(REST, "");
    check_findings("  - {name: reads, tools: ['*'], effect: allow}\n" REST, "");
    check_findings("  - {name: r, tools: ['files__*'], effect: allow}\n",
                   "W 0 : no rule is for tool 'files__write' (writes): it is denied\n"
                   "W 0 : no rule is for tool 'db__query' (reads): it is denied\n"
                   "W 0 : no rule is for tool 'mail__send' (writes): it is denied\n");
    check_findings(REST "  - {name: late, tools: [mail__send], effect: deny}\n",
                   "W 4 late: it is never reached: rule 'rest' above it takes all of its calls\n");
    check_findings("  - {name: reads, tools: ['*'], effect: allow}\n"
                   "  - {name: some, tools: ['files__*'], effect: allow, when: tool.reads}\n" REST,
                   "W 4 some: it is never reached: rule 'reads' above it takes all of its calls\n");
    check_findings(
        "  - {name: m, tools: ['mail__*'], effect: deny}\n"
        "  - {name: both, tools: [mail__send, 'db__*'], effect: ask}\n" REST,
        "W 4 both: 'mail__send' is never reached here: rule 'm' above takes its calls\n");
    /* A condition, agents, or a plain allow in front of a write hide nothing. */
    check_findings("  - {name: a, tools: ['*'], effect: deny, when: args.amount > 5}\n"
                   "  - {name: b, tools: ['*'], effect: deny, agents: ['ci-*']}\n"
                   "  - {name: c, tools: ['*'], effect: allow}\n" REST,
                   "");
    check_findings("  - {name: w, tools: [files__write], effect: allow}\n" REST,
                   "W 3 w: 'allow' never matches 'files__write', which is not accepted as a read: "
                   "use 'ask', or 'standing: true'\n");
    check_findings("  - {name: w, tools: [files__wrote, 'git__*', nonsense], effect: ask}\n" REST,
                   "W 3 w: there is no tool 'files__wrote'; did you mean 'files__write'?\n"
                   "W 3 w: no tool matches 'git__*'\n"
                   "W 3 w: no tool matches 'nonsense'\n");
    check_findings(
        "  - {name: w, tools: [mail__send], effect: deny, when: args.amout > 5}\n" REST,
        "W 3 w: its condition reads args/amout, which the schema of 'mail__send' does not "
        "have\n");
    check_findings("  - {name: w, tools: [mail__send], effect: deny,\n"
                   "     when: 'args.lines.all(l, l.sum < 1 && l.tax > 1)'}\n" REST,
                   "W 3 w: its condition reads args/lines/*/tax, which the schema of 'mail__send' "
                   "does not have\n");
    check_findings(
        "  - {name: w, tools: ['files__*', mail__send], effect: deny,\n"
        "     when: 'has(args.amout) && args.amount > 1'}\n" REST,
        "W 3 w: its condition reads args/amout, which the schemas of 3 of its 3 tools do "
        "not have ('files__read' is one)\n");
    check_findings("  - {name: w, tools: ['*'], effect: ask, agents: {names: ['cd-*'],\n"
                   "     owner_groups: [opps]}, ask: {notify: [inbox, slack]}}\n" REST,
                   "E 3 w: there is no group 'opps'\n"
                   "W 3 w: no agent matches 'cd-*'\n"
                   "E 3 w: there is no channel 'slack'\n");
    check_findings("  - {name: w, tools: ['*'], effect: deny, agents: {owners: [Ana, ana]}}\n" REST,
                   "W 3 w: there is no person 'Ana' who could own an agent\n");
    check_findings("  - {name: w, tools: ['*'], effect: ask, ask: {thresholds: [\n"
                   "     {approve: 2, groups: [ops]}, {approve: 4, groups: [ops]},\n"
                   "     {approve: 3, groups: [ops]}, {approve: 1, groups: [it]},\n"
                   "     {approve: 6}, {approve: 1, groups: [nope]}]}}\n",
                   "E 3 w: threshold 2 needs 4 to approve, and 3 people could\n"
                   "W 3 w: threshold 3 needs all 3 people who could approve: for an agent that one "
                   "of them owns it cannot be met\n"
                   "E 3 w: threshold 4 needs 1 to approve, and 0 people could\n"
                   "E 3 w: threshold 5 needs 6 to approve, and 5 people could\n"
                   "E 3 w: there is no group 'nope'\n"
                   "E 3 w: threshold 6 needs 1 to approve, and 0 people could\n");
    check_findings("  - {name: w, tools: ['*'], effect: ask, ask: {any: true, thresholds: [\n"
                   "     {approve: 9}, {approve: 2, groups: [one]}], owner_may_approve: true}}\n",
                   "W 3 w: threshold 1 needs 9 to approve, and 5 people could\n"
                   "W 3 w: threshold 2 needs 2 to approve, and 1 person could\n"
                   "E 3 w: none of its thresholds can be met by the people there are\n");
    /* Somebody came to one who worked alone. */
    check_findings("  - {name: w, tools: ['*'], effect: ask, ask: {owner_may_approve: true}}\n",
                   "W 3 w: an agent's owner may approve its calls although 5 people could: take "
                   "owner_may_approve out\n");
    check_findings("  - {name: w, tools: ['*'], effect: ask, ask: {owner_may_approve: true,\n"
                   "     thresholds: [{approve: 1, groups: [one]}]}}\n",
                   "");
    /* With a world that is not known nothing is said about it. */
    struct fl_policy *p = compile(RULES "  - {name: w, tools: [x], effect: ask}\n");
    struct fl_findings findings = { 0 };
    const struct fl_policy_world nothing = { 0 };
    CHECK_OK(fl_policy_check(p, &nothing, &findings, NULL));
    CHECK_INT(findings.count, 0);
    fl_findings_fini(&findings);
    fl_policy_unref(&p);
}

/* ---- the guide's examples ---- */
static void test_every_document_in_the_guide_compiles(void)
{
    char *guide = fl_test_read_file(FL_SOURCE_DIR "/docs/policy.md", NULL), *at = guide;
    unsigned count = 0;
    while ((at = strstr(at, "```yaml\n"))) {
        at += strlen("```yaml\n");
        char *end = strstr(at, "```\n");
        CHECK(end);
        *end = 0;
        struct fl_policy *p = compile(at);
        if (count++ == 0) { /* what the text below the first one says of it */
            CHECK_STR(answer(p, "shop__refund", false, "{\"amount\": 30}"), "ask small-refunds");
            CHECK_STR(answer(p, "shop__refund", false, "{\"amount\": 80}"), "ask refunds");
            CHECK_STR(answer(p, "shop__refund", false, "{}"), "deny small-refunds");
            CHECK_STR(answer(p, "shop__refund", false, "{\"amount\": \"80\"}"),
                      "deny small-refunds");
            CHECK_STR(answer(p, "shop__list", true, "{}"), "allow reads");
            CHECK_STR(answer(p, "shop__ship", false, "{}"), "deny -");
        }
        fl_policy_unref(&p);
        at = end + 1;
    }
    CHECK_INT(count, 4);
    free(guide);
}

/* ---- no memory ---- */
static void test_without_memory_nothing_is_allowed(void)
{
    static const char text[] =
        "version: 1\ndefaults: {expires: 1h, notify: [inbox]}\nrules:\n"
        "  - {name: a, tools: [files__read], effect: deny, agents: {owner_groups: [ops]},\n"
        "     when: 'args.path.matches(\"^x\") && request.time.getHours(\"Europe/Berlin\") > 99'}\n"
        "  - {name: b, tools: ['files__*', '*z'], effect: allow, when: 'args.path + \"!\" != \"\"'}\n"
        "  - {name: c, tools: ['*'], effect: ask, ask: {thresholds: [{approve: 1, groups: [ops],\n"
        "     where: person.name != \"x\"}]}}\n";
    json_t *root = tree_of(text);
    struct fl_policy *whole = compile(text);
    struct call call = call_of("files__read", true, "{\"path\": \"y\"}");
    unsigned failed_compiles = 0, denied = 0, failed_checks = 0, failed_diffs = 0, failed_loads = 0;
    call.facts.args_ctx = &call;
    for (uint64_t n = 1, is_hit = 1; is_hit; n++) {
        const struct fl_policy_source source = { .root = root, .zone = fl_zone_file };
        struct fl_policy *p = NULL;
        struct fl_err err = { 0 };
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_policy_compile(&source, &p, NULL, &err);
        is_hit = fl_mem_fail_at(0, 0) >= n;
        CHECK(code == (is_hit ? FL_NOMEM : FL_OK) && (code == FL_OK) == (p != NULL));
        failed_compiles += code != FL_OK;
        fl_policy_unref(&p);
    }
    for (uint64_t n = 1, is_hit = 1; is_hit; n++) {
        struct fl_policy_verdict v;
        fl_mem_fail_at(n, 1);
        fl_policy_evaluate(whole, &call.facts, NULL, &v);
        is_hit = fl_mem_fail_at(0, 0) >= n;
        CHECK_INT(v.effect, is_hit ? FL_EFFECT_DENY : FL_EFFECT_ALLOW);
        CHECK(!is_hit || v.why == FL_WHY_ERROR);
        denied += v.effect == FL_EFFECT_DENY;
    }
    for (uint64_t n = 1, is_hit = 1; is_hit; n++) {
        struct fl_findings findings = { 0 };
        static const struct fl_policy_world small = { .tools = world_tools, .tool_count = 1 };
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_policy_check(whole, &small, &findings, NULL);
        is_hit = fl_mem_fail_at(0, 0) >= n;
        CHECK_INT(code, is_hit ? FL_NOMEM : FL_OK);
        failed_checks += code != FL_OK;
        fl_findings_fini(&findings);
    }
    for (uint64_t n = 1, is_hit = 1; is_hit; n++) {
        struct fl_buf out = FL_BUF_INIT;
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_policy_diff(NULL, root, &out, NULL);
        is_hit = fl_mem_fail_at(0, 0) >= n;
        CHECK(code == FL_OK || (is_hit && code == FL_NOMEM));
        failed_diffs += code != FL_OK;
        fl_buf_fini(&out);
    }
    struct fl_buf frozen = FL_BUF_INIT;
    CHECK_OK(fl_policy_ask_dump(fl_policy_rule_at(whole, 2)->ask, &frozen, NULL));
    for (uint64_t n = 1, is_hit = 1; is_hit; n++) {
        struct fl_ask *loaded = NULL;
        fl_mem_fail_at(n, 1);
        struct fl_err err = { 0 };
        enum fl_code code = fl_policy_ask_load(fl_buf_view(&frozen), &loaded, &err);
        is_hit = fl_mem_fail_at(0, 0) >= n;
        CHECK_MSG(code == FL_OK ? loaded != NULL : is_hit && !loaded && code == FL_NOMEM, "%s",
                  err.text);
        failed_loads += code != FL_OK;
        fl_policy_ask_free(&loaded);
    }
    CHECK(failed_compiles > 10 && denied >= 1 && failed_checks > 1 && failed_diffs > 1 &&
          failed_loads > 5);
    fl_buf_fini(&frozen);
    json_decref(call.args);
    json_decref(root);
    fl_policy_unref(&whole);
}

/* Steps of `notify`: names that are told together stand in a list of their own. */
static void test_notify_has_steps(void)
{
    static const struct {
        const char *written, *frozen, *steps;
    } rows[] = {
        { "[a, b, inbox]", "[\"a\",\"b\",\"inbox\"]", "012" },
        { "[[a, b], c]", "[[\"a\",\"b\"],\"c\"]", "001" },
        { "[a, [b, c], [d]]", "[\"a\",[\"b\",\"c\"],\"d\"]", "0112" },
        { "[[a, b, inbox]]", "[[\"a\",\"b\",\"inbox\"]]", "000" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_buf text = FL_BUF_INIT, again = FL_BUF_INIT, want = FL_BUF_INIT,
                      rule = FL_BUF_INIT;
        struct fl_ask *loaded = NULL;
        struct fl_err err;
        fl_buf_printf(&rule,
                      RULES "  - name: r\n    tools: [t]\n    effect: ask\n    ask:\n"
                            "      notify: %s\n",
                      rows[i].written);
        struct fl_policy *p = compile(rule.p);
        CHECK_OK(fl_policy_ask_dump(fl_policy_rule_at(p, 0)->ask, &text, &err));
        fl_buf_printf(&want, "\"notify\":%s,", rows[i].frozen);
        CHECK_MSG(strstr(text.p, want.p), "%s", text.p);
        CHECK_OK(fl_policy_ask_load(fl_buf_view(&text), &loaded, &err));
        CHECK_INT(loaded->notify_count, strlen(rows[i].steps));
        for (size_t k = 0; k < loaded->notify_count; k++)
            CHECK_INT(loaded->notify_step[k] == loaded->notify_step[k ? k - 1 : 0],
                      rows[i].steps[k] == rows[i].steps[k ? k - 1 : 0]);
        CHECK_OK(fl_policy_ask_dump(loaded, &again, &err));
        CHECK_STR(again.p, text.p);
        fl_policy_ask_free(&loaded);
        fl_policy_unref(&p);
        fl_buf_fini(&text);
        fl_buf_fini(&again);
        fl_buf_fini(&want);
        fl_buf_fini(&rule);
    }
}

static const struct fl_test tests[] = {
    T(notify_has_steps),
    T(an_ask_goes_to_canonical_json_and_back),
    T(a_verdict_explains_itself),
    T(a_diff_is_by_rule),
    T(what_cannot_work_is_found_before_it_is_applied),
    T(every_document_in_the_guide_compiles),
    T_LIMIT(without_memory_nothing_is_allowed, 30),
};
TEST_MAIN(tests)
