/* Policy documents from YAML texts, and calls to ask them about, for the tests of policies. */
#ifndef FL_TEST_POLICY_DOC_H
#define FL_TEST_POLICY_DOC_H

#include "flopinio/base/yaml.h"
#include "flopinio/base/zone.h"
#include "harness.h"
#include "policy/policy.h"

#define RULES "version: 1\nrules:\n"

static inline unsigned line_of(const void *ctx, const char *pointer)
{
    return fl_yaml_line(ctx, pointer);
}

static inline enum fl_code compile_yaml(const char *text, struct fl_policy **ret,
                                        struct fl_findings *findings, struct fl_err *err)
{
    struct fl_yaml yaml = { 0 };
    enum fl_code code = fl_yaml_load(fl_str_of(text), "policy.yaml", &yaml, err);
    if (!code) {
        const struct fl_policy_source source = {
            .root = yaml.root, .line = line_of, .line_ctx = &yaml, .zone = fl_zone_file
        };
        code = fl_policy_compile(&source, ret, findings, err);
    }
    fl_yaml_fini(&yaml); /* the policy must not need the tree any more */
    return code;
}

static inline struct fl_policy *compile(const char *text)
{
    struct fl_policy *policy = NULL;
    struct fl_err err = { 0 };
    CHECK_MSG(compile_yaml(text, &policy, NULL, &err) == FL_OK, "%s", err.text);
    return policy;
}

struct call {
    struct fl_policy_facts facts;
    json_t *args;
    unsigned asked_for_args;
};

static inline const json_t *give_args(void *ctx)
{
    struct call *call = ctx;
    call->asked_for_args++;
    return call->args;
}

static inline struct call call_of(const char *tool, bool is_read, const char *args)
{
    struct call call = { .facts = { .tool = fl_str_of(tool),
                                    .server = FL_STR("files"),
                                    .is_read = is_read,
                                    .agent = FL_STR("ci-1"),
                                    .agent_id = FL_STR("0190"),
                                    .owner = FL_STR("Ana"),
                                    .org = FL_STR("acme"),
                                    .at_utc_ms = 1795451400000, /* 2026-11-23T16:30:00Z, Monday */
                                    .args = give_args } };
    call.args = json_loads(args, 0, NULL);
    CHECK(call.args);
    return call;
}

static inline struct fl_policy_verdict ask(const struct fl_policy *policy, struct call *call)
{
    struct fl_policy_verdict v;
    call->facts.args_ctx = call;
    fl_policy_evaluate(policy, &call->facts, NULL, &v);
    return v;
}

/* "allow reads", "ask writes", "deny -" */
static inline const char *answer(const struct fl_policy *policy, const char *tool, bool is_read,
                                 const char *args)
{
    static char text[FL_ERR_TEXT_BYTES];
    static const char *const effects[] = { "deny", "ask", "allow" };
    struct call call = call_of(tool, is_read, args);
    struct fl_policy_verdict v = ask(policy, &call);
    snprintf(text, sizeof text, "%s%s %.*s", effects[v.effect], v.is_standing ? "!" : "",
             v.rule ? (int)v.rule->name.n : 1, v.rule ? v.rule->name.p : "-");
    json_decref(call.args);
    return text;
}

static inline json_t *tree_of(const char *text)
{
    struct fl_yaml yaml = { 0 };
    struct fl_err err;
    CHECK_OK(fl_yaml_load(fl_str_of(text), "p", &yaml, &err));
    json_t *root = json_incref(yaml.root);
    fl_yaml_fini(&yaml);
    return root;
}

#endif
