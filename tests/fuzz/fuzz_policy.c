/* Policy files: what compiles answers every call; a write runs unasked only by a standing rule;
 * what a rule asks for survives the row that freezes it; and looking at it (check, diff, explain)
 * is safe. */
#include "fuzz_check.h"

#include "../unit/policy_doc.h"
#include "flopinio/base/mem.h"
#include "policy/quorum.h"

static void check_ask(const struct fl_ask *ask)
{
    struct fl_err err;
    struct fl_buf once = FL_BUF_INIT, twice = FL_BUF_INIT, words = FL_BUF_INIT;
    struct fl_ask *back = NULL;
    CHECK(fl_policy_ask_dump(ask, &once, &err) == FL_OK);
    CHECK_MSG(fl_policy_ask_load(fl_buf_view(&once), &back, &err) == FL_OK, "%s: %s", err.text,
              once.p);
    CHECK(fl_policy_ask_dump(back, &twice, &err) == FL_OK);
    CHECK(fl_str_eq(fl_buf_view(&once), fl_buf_view(&twice)));
    CHECK(ask->threshold_count >= 1 && ask->notify_count >= 1);
    CHECK(ask->expires_ms >= FL_ASK_EXPIRES_MIN_MS && ask->expires_ms <= FL_ASK_EXPIRES_MAX_MS);
    for (size_t i = 0; i < ask->threshold_count; i++)
        CHECK(ask->thresholds[i].approve >= 1 && ask->thresholds[i].deny >= 1);
    fl_policy_ask_describe(ask, &words);
    CHECK(words.n > 0);
    /* Nobody there: nobody decides. */
    struct fl_quorum quorum;
    struct fl_quorum_facts nobody = { .ask = back };
    CHECK(fl_quorum_count(&nobody, &quorum, &err) == FL_OK && quorum.state == FL_QUORUM_OPEN);
    fl_policy_ask_free(&back);
    fl_buf_fini(&once);
    fl_buf_fini(&twice);
    fl_buf_fini(&words);
}

static void check_calls(const struct fl_policy *policy)
{
    static const char *const tools[] = { "files__read", "files__write", "shop__refund", "x" };
    for (size_t i = 0; i < 2 * FL_COUNTOF(tools); i++) {
        bool is_read = i & 1;
        struct call call =
            call_of(tools[i / 2], is_read, "{\"path\":\"a\",\"amount\":120,\"l\":[1,2]}");
        struct fl_policy_trail trail = { .arena = fl_arena_new(0) };
        struct fl_policy_verdict v;
        struct fl_buf words = FL_BUF_INIT;
        call.facts.args_ctx = &call;
        fl_policy_evaluate(policy, &call.facts, &trail, &v);
        CHECK(call.asked_for_args <= 1);
        CHECK(v.effect == FL_EFFECT_DENY || v.why == FL_WHY_RULE);
        if (v.effect == FL_EFFECT_ALLOW)
            CHECK(is_read || (v.is_standing && v.rule->is_standing));
        CHECK((v.effect == FL_EFFECT_ASK) == (v.ask != NULL));
        if (v.rule && v.rule->is_standing)
            for (size_t k = 0; k < v.rule->tool_count; k++)
                CHECK(!memchr(v.rule->tools[k].p, '*', v.rule->tools[k].n));
        struct fl_policy_verdict again;
        call.asked_for_args = 0;
        fl_policy_evaluate(policy, &call.facts, NULL, &again);
        CHECK(again.effect == v.effect && again.rule == v.rule);
        fl_policy_explain(policy, &call.facts, &trail, &v, &words);
        CHECK(words.n > 0);
        fl_buf_fini(&words);
        fl_arena_free(&trail.arena);
        json_decref(call.args);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fl_err err = { 0 };
    struct fl_yaml yaml = { 0 };
    struct fl_policy *policy = NULL;
    struct fl_findings findings = { 0 }, looks = { 0 };
    struct fl_policy_world world = { 0 };
    struct fl_buf diff = FL_BUF_INIT;
    struct fl_str text = fuzz_copy(data, n);
    if (fl_yaml_load(text, "fuzz", &yaml, &err) == FL_OK) {
        const struct fl_policy_source source = {
            .root = yaml.root, .line = line_of, .line_ctx = &yaml, .zone = fl_zone_file
        };
        enum fl_code code = fl_policy_compile(&source, &policy, &findings, &err);
        CHECK((code == FL_OK) == (policy != NULL) &&
              (code == FL_OK) == (findings.error_count == 0));
        CHECK(code == FL_OK || err.text[0]);
        if (policy) {
            CHECK(fl_policy_diff(yaml.root, yaml.root, &diff, &err) == FL_OK && diff.n == 0);
            CHECK(fl_policy_diff(NULL, yaml.root, &diff, &err) == FL_OK);
            CHECK(fl_policy_check(policy, &world, &looks, &err) == FL_OK);
            for (size_t i = 0; i < fl_policy_rule_count(policy); i++) {
                const struct fl_policy_rule *rule = fl_policy_rule_at(policy, i);
                CHECK((rule->effect == FL_EFFECT_ASK) == (rule->ask != NULL));
                if (rule->ask)
                    check_ask(rule->ask);
            }
            check_calls(policy);
        }
        fl_policy_unref(&policy);
        fl_yaml_fini(&yaml);
    }
    fl_findings_fini(&findings);
    fl_findings_fini(&looks);
    fl_buf_fini(&diff);
    free((char *)text.p);
    return 0;
}
