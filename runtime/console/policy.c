/* Policy documents: looking, checking, trying, applying. */
#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/approval/rules.h"
#include "runtime/console/api.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"

#define DOCUMENT_MAX (1 << 20)
#define VERSIONS_MAX 200

/* A document under way through check and apply. */
struct draft {
    struct fl_str document, note;
    int64_t expected;
    bool is_dry_run;
    struct fl_policy *policy;
    struct fl_yaml yaml;
    struct fl_findings findings;
    struct fl_buf diff;
};

static void drop(struct draft *d)
{
    fl_policy_unref(&d->policy);
    fl_yaml_fini(&d->yaml);
    fl_findings_fini(&d->findings);
    fl_buf_fini(&d->diff);
}

/* ---------------------------------------------------------------- looking */
static void on_policy(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    char hex[2 * FL_SHA256_BYTES + 1], text[FL_TIME_BYTES];
    const struct fl_query *q = a->q[0];
    if (fl_rows(q) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no such policy");
        return;
    }
    struct fl_str digest = fl_cell_bytes(q, a->arena, 0, 2);
    fl_buf_printf(&out, "{\"version\":%lld,\"document\":", (long long)fl_cell_int(q, 0, 0));
    fl_buf_json_str(&out, fl_cell(q, 0, 1));
    fl_buf_puts(&out, ",\"digest\":\"sha256:");
    fl_buf_puts(&out, digest.n == FL_SHA256_BYTES ? fl_hex(digest.p, digest.n, hex) : "");
    fl_buf_puts(&out, "\",\"applied_by\":");
    fl_buf_json_str(&out, fl_cell(q, 0, 3));
    fl_buf_puts(&out, ",\"applied_at\":");
    fl_buf_json_str(&out, fl_str_of(fl_time_format_s(fl_cell_int(q, 0, 4), text)));
    fl_buf_puts(&out, ",\"note\":");
    fl_buf_json_str(&out, fl_cell(q, 0, 5));
    fl_buf_putc(&out, '}');
    fl_api_ok(a, &out);
}

static void start_get(struct fl_api *a)
{
    int64_t version = fl_api_query_int(a, "version", 0);
    if (version < 0 || version > INT32_MAX) {
        fl_api_error(a, FL_BAD_PARAMS, "'version' must be a version's number");
        return;
    }
    a->q[0] = fl_store_policy_get(fl_api_tx(a), version);
    fl_api_submit(a, false, on_policy);
}

static void on_versions(struct fl_api *a)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_api_rows(&out, a->q[0], "version:i applied_by:t applied_at:m note:t");
    fl_api_ok(a, &out);
}

static void start_versions(struct fl_api *a)
{
    a->q[0] = fl_store_policy_list(fl_api_tx(a), VERSIONS_MAX);
    fl_api_submit(a, false, on_versions);
}

/* ---------------------------------------------------------------- checking */
static void put_findings(struct fl_buf *out, const struct fl_findings *findings)
{
    fl_buf_puts(out, "\"findings\":[");
    for (size_t i = 0; i < findings->count; i++) {
        const struct fl_finding *f = findings->items[i];
        fl_buf_puts(out, i ? ",{\"severity\":" : "{\"severity\":");
        fl_buf_puts(out, f->severity == FL_SEVERITY_ERROR ? "\"error\"" : "\"warning\"");
        fl_buf_printf(out, ",\"line\":%u,\"rule\":", f->line);
        if (f->rule.n)
            fl_buf_json_str(out, f->rule);
        else
            fl_buf_puts(out, "null");
        fl_buf_puts(out, ",\"text\":");
        fl_buf_json_str(out, fl_str_of(f->text));
        fl_buf_putc(out, '}');
    }
    fl_buf_puts(out, "]");
}

/* The document of the body, or NULL p when there is none and `is_required` is false. */
static bool read_document(struct fl_api *a, bool is_required, struct fl_str *ret)
{
    if (!fl_api_text(a, "document", is_required, ret))
        return false;
    if (ret->n <= DOCUMENT_MAX)
        return true;
    fl_api_error(a, FL_TOO_LARGE, "a policy has at most %d bytes", DOCUMENT_MAX);
    return false;
}

/* Compiles and holds it against what the organization has. FL_OK, or an error that is not in the
 * findings (no memory, not YAML). */
static enum fl_code examine(struct fl_api *a, struct draft *d, struct fl_err *err)
{
    struct fl_policy_world world;
    enum fl_code code = fl_rules_load(d->document, &d->policy, &d->yaml, &d->findings, err);
    if (code == FL_CONFIG)
        return fl_err_set(err, FL_BAD_PARAMS, "%.350s", fl_arena_strdup(a->arena, err->text));
    if (code)
        return code;
    code = fl_rules_world(a->org, a->arena, &world, err);
    if (code == FL_OK)
        code = fl_policy_check(d->policy, &world, &d->findings, err);
    if (code == FL_OK && d->findings.error_count)
        code = fl_err_set(err, FL_BAD_PARAMS, "the policy has errors");
    return code;
}

static void refuse(struct fl_api *a, struct draft *d, const struct fl_err *err)
{
    struct fl_buf out = FL_BUF_INIT;
    if (err->code != FL_BAD_PARAMS || !d->findings.count) {
        fl_api_error(a, err->code, "%s", err->text);
    } else {
        fl_buf_printf(&out, "{\"error\":{\"code\":\"%s\",\"text\":", fl_code_name(err->code));
        fl_buf_json_str(&out, fl_str_of(err->text));
        fl_buf_puts(&out, "},");
        put_findings(&out, &d->findings);
        fl_buf_putc(&out, '}');
        fl_api_answer(a, fl_code_http(FL_BAD_PARAMS), &out);
    }
    drop(d);
}

static struct draft *new_draft(struct fl_api *a)
{
    struct draft *d = FL_ARENA_NEW(a->arena, struct draft);
    if (!d)
        fl_api_error(a, FL_NOMEM, "out of memory");
    a->user = d;
    return d;
}

static void answer_check(struct fl_api *a, struct draft *d)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    enum fl_code code = examine(a, d, &err);
    if (code && !(code == FL_BAD_PARAMS && d->findings.count)) {
        refuse(a, d, &err);
        return;
    }
    fl_buf_putc(&out, '{');
    put_findings(&out, &d->findings);
    fl_buf_printf(&out, ",\"errors\":%zu}", d->findings.error_count);
    drop(d);
    fl_api_ok(a, &out);
}

static void on_current_to_check(struct fl_api *a)
{
    struct draft *d = a->user;
    if (fl_rows(a->q[0]) != 1) {
        fl_api_error(a, FL_NOT_FOUND, "there is no policy: everything is denied");
        return;
    }
    d->document = fl_cell(a->q[0], 0, 1);
    answer_check(a, d);
}

static void start_check(struct fl_api *a)
{
    struct draft *d = new_draft(a);
    if (!d || !read_document(a, false, &d->document))
        return;
    if (d->document.n) {
        answer_check(a, d);
        return;
    }
    a->q[0] = fl_store_policy_get(fl_api_tx(a), 0);
    fl_api_submit(a, false, on_current_to_check);
}

/* ---------------------------------------------------------------- applying */
static void answer_draft(struct fl_api *a, struct draft *d, int64_t version)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_printf(&out, "{\"version\":%lld,\"is_dry_run\":%s,", (long long)version,
                  d->is_dry_run ? "true" : "false");
    put_findings(&out, &d->findings);
    fl_buf_puts(&out, ",\"diff\":");
    fl_buf_json_str(&out, d->diff.p ? fl_buf_view(&d->diff) : FL_STR(""));
    fl_buf_putc(&out, '}');
    drop(d);
    fl_api_ok(a, &out);
}

static void on_applied(struct fl_api *a)
{
    struct draft *d = a->user;
    if (fl_rows(a->q[0]) == 1) {
        answer_draft(a, d, fl_cell_int(a->q[0], 0, 0));
        return;
    }
    drop(d);
    fl_api_error(a, FL_CONFLICT, "somebody else applied a policy meanwhile; look at it first");
}

/* fl_api frees only what is in its arena when a transaction fails: the draft is let go here. */
static void on_apply_ended(struct fl_op *op)
{
    struct fl_api *a = FL_CONTAINER(op, struct fl_api, op);
    struct draft *d = a->user;
    if (op->code == FL_OK)
        fl_api_changed(a);
    if (fl_api_flow_done(a))
        on_applied(a);
    else
        drop(d);
}

static void apply(struct fl_api *a, struct draft *d)
{
    uint8_t digest[FL_SHA256_BYTES];
    struct fl_audit_event e;
    struct fl_err err;
    struct fl_tx *tx = fl_api_tx(a);
    fl_sha256(d->document, digest);
    fl_api_event(a, &e, FL_AUDIT_POLICY_APPLIED, "policy", NULL);
    fl_audit_int(&e, "version", d->expected + 1);
    fl_audit_hex(&e, "digest", digest, sizeof digest);
    if (d->note.n)
        fl_audit_text(&e, "note", d->note);
    enum fl_code code = fl_audit_seal(&e, a->arena, &err);
    if (code) {
        drop(d);
        fl_api_error(a, code, "%s", err.text);
        return;
    }
    a->q[0] = fl_store_policy_apply(tx, d->expected, d->document,
                                    (struct fl_str){ (const char *)digest, sizeof digest },
                                    fl_api_by(a), d->note, &e.row);
    fl_api_pass_gate(a); /* what is being sent was judged by the one before */
    fl_api_hold(a);
    a->op = (struct fl_op){ .done = on_apply_ended };
    if (fl_tx_submit(&a->op, tx) != FL_OK) {
        drop(d);
        fl_api_error(a, a->op.err.code, "%s", a->op.err.text);
    }
}

static void on_current_to_apply(struct fl_api *a)
{
    struct draft *d = a->user;
    struct fl_err err;
    bool has_current = fl_rows(a->q[0]) == 1;
    int64_t version = has_current ? fl_cell_int(a->q[0], 0, 0) : 0;
    struct fl_yaml current = { NULL, NULL };
    if (d->expected >= 0 && d->expected != version) {
        fl_api_error(a, FL_CONFLICT, "the policy's version is %lld, not %lld", (long long)version,
                     (long long)d->expected);
        return;
    }
    d->expected = version;
    enum fl_code code = examine(a, d, &err);
    /* A stored document that does not load any more is like none. */
    if (code == FL_OK && has_current &&
        fl_yaml_load(fl_cell(a->q[0], 0, 1), "policy", &current, &err) == FL_NOMEM)
        code = FL_NOMEM;
    if (code == FL_OK)
        code = fl_policy_diff(current.root, d->yaml.root, &d->diff, &err);
    bool is_same = code == FL_OK && has_current && fl_str_eq(d->document, fl_cell(a->q[0], 0, 1));
    fl_yaml_fini(&current);
    if (code)
        refuse(a, d, &err);
    else if (d->is_dry_run || is_same)
        answer_draft(a, d, version);
    else
        apply(a, d);
}

static void start_apply(struct fl_api *a)
{
    struct draft *d = new_draft(a);
    const json_t *expected = a->body ? json_object_get(a->body, "expected") : NULL;
    if (!d || !read_document(a, true, &d->document) || !fl_api_text(a, "note", false, &d->note) ||
        !fl_api_flag(a, "dry_run", &d->is_dry_run))
        return;
    if (expected && !json_is_integer(expected) && !json_is_null(expected)) {
        fl_api_error(a, FL_BAD_PARAMS, "'expected' must be a version's number");
        return;
    }
    d->expected = json_is_integer(expected) ? json_integer_value(expected) : -1;
    a->q[0] = fl_store_policy_get(fl_api_tx(a), 0);
    fl_api_submit(a, false, on_current_to_apply);
}

/* ---------------------------------------------------------------- trying */
struct trial {
    struct fl_str document, tool, agent;
    json_t *arguments; /* borrowed from the body */
    int64_t at_ms;
};

static const json_t *trial_arguments(void *ctx)
{
    return ctx;
}

static const struct fl_org_person *owner_of(const struct fl_api *a, struct fl_str agent,
                                            struct fl_str *ret_id)
{
    for (int i = 0; i < fl_rows(a->q[1]); i++) {
        struct fl_uuid owner = fl_cell_uuid(a->q[1], i, 6);
        if (!fl_str_eq(fl_cell(a->q[1], i, 1), agent))
            continue;
        *ret_id = fl_cell(a->q[1], i, 0);
        return fl_org_person(a->org, &owner);
    }
    return NULL;
}

static void answer_trial(struct fl_api *a, const struct fl_policy *policy)
{
    static const char *const effects[] = { "deny", "ask", "allow" };
    const struct trial *t = a->user;
    const struct fl_org_tool *tool = fl_org_tool(a->org, t->tool);
    struct fl_str agent_id = { NULL, 0 };
    const struct fl_org_person *owner = owner_of(a, t->agent, &agent_id);
    struct fl_policy_facts facts = {
        .tool = t->tool,
        .server = tool ? tool->server->name : FL_STR(""),
        .is_read = tool && tool->is_read && tool->state == FL_TOOL_ACCEPTED,
        .destroys = !tool || tool->destroys,
        .reaches_out = !tool || tool->reaches_out,
        .agent = t->agent,
        .agent_id = agent_id,
        .is_isolated = true,
        .owner = owner ? owner->name : FL_STR(""),
        .owner_groups = owner ? owner->groups : NULL,
        .owner_group_count = owner ? owner->group_count : 0,
        .org = a->org->name,
        .at_utc_ms = t->at_ms,
        .args = trial_arguments,
        .args_ctx = t->arguments,
    };
    struct fl_policy_trail trail = { .arena = a->arena };
    struct fl_policy_verdict verdict;
    struct fl_buf out = FL_BUF_INIT, text = FL_BUF_INIT;
    fl_policy_evaluate(policy, &facts, &trail, &verdict);
    if (t->agent.n && !agent_id.n)
        fl_buf_printf(&text, "there is no agent '%.*s': taken as one that nobody owns\n",
                      FL_STR_ARG(t->agent));
    fl_policy_explain(policy, &facts, &trail, &verdict, &text);
    /* Before any rule: what is not an accepted tool is denied. */
    const char *not_open = !tool                             ? "there is no such tool"
                           : tool->state != FL_TOOL_ACCEPTED ? "the tool is not accepted"
                                                             : NULL;
    fl_buf_printf(&out,
                  "{\"effect\":\"%s\",\"rule\":", not_open ? "deny" : effects[verdict.effect]);
    if (verdict.rule)
        fl_buf_json_str(&out, verdict.rule->name);
    else
        fl_buf_puts(&out, "null");
    fl_buf_puts(&out, ",\"text\":");
    fl_buf_json_str(&out, fl_str_of(not_open ? not_open : verdict.text));
    fl_buf_puts(&out, ",\"rules_say\":");
    fl_buf_printf(&out, "\"%s\"", effects[verdict.effect]);
    fl_buf_puts(&out, ",\"explanation\":");
    fl_buf_json_str(&out, text.p ? fl_buf_view(&text) : FL_STR(""));
    fl_buf_putc(&out, '}');
    fl_buf_fini(&text);
    fl_api_ok(a, &out);
}

static void on_trial(struct fl_api *a)
{
    const struct trial *t = a->user;
    struct fl_policy *policy = NULL;
    struct fl_err err;
    struct fl_str document = t->document;
    if (!document.n && fl_rows(a->q[0]) == 1)
        document = fl_cell(a->q[0], 0, 1);
    enum fl_code code = document.n ? fl_rules_load(document, &policy, NULL, NULL, &err) : FL_OK;
    if (code)
        fl_api_error(a, code == FL_CONFIG ? FL_BAD_PARAMS : code, "%s", err.text);
    else
        answer_trial(a, policy);
    fl_policy_unref(&policy);
}

/* What is mistyped is not taken for what was not said. */
static bool are_of_a_call(struct fl_api *a, json_t *call)
{
    const char *key;
    json_t *value;
    json_object_foreach (call, key, value) {
        bool is_text =
            strcmp(key, "tool") == 0 || strcmp(key, "agent") == 0 || strcmp(key, "at") == 0;
        if (!is_text && strcmp(key, "arguments") != 0)
            fl_api_error(a, FL_BAD_PARAMS,
                         "'%.60s' is not known of a call (known: tool agent arguments at)", key);
        else if (is_text && !json_is_string(value))
            fl_api_error(a, FL_BAD_PARAMS, "'%s' of the call must be a text", key);
        else
            continue;
        return false;
    }
    return true;
}

static void start_test(struct fl_api *a)
{
    struct trial *t = FL_ARENA_NEW(a->arena, struct trial);
    json_t *call = a->body ? json_object_get(a->body, "call") : NULL;
    if (!t) {
        fl_api_error(a, FL_NOMEM, "out of memory");
        return;
    }
    a->user = t;
    if (!read_document(a, false, &t->document))
        return;
    if (!are_of_a_call(a, call))
        return;
    t->tool = fl_json_get_str(call, "tool");
    t->agent = fl_json_get_str(call, "agent");
    t->arguments = json_object_get(call, "arguments");
    struct fl_str at = fl_json_get_str(call, "at");
    if (!t->tool.n || (t->arguments && !json_is_object(t->arguments))) {
        fl_api_error(a, FL_BAD_PARAMS,
                     "'call' must be like {\"tool\":\"files__write\",\"agent\":\"bot\","
                     "\"arguments\":{}}");
        return;
    }
    if (!t->arguments && json_object_set_new(call, "arguments", json_object()) == 0)
        t->arguments = json_object_get(call, "arguments");
    t->at_ms = fl_real_ms();
    if (at.n && !fl_time_parse(at, &t->at_ms)) {
        fl_api_error(a, FL_BAD_PARAMS, "'at' must be a time like 2026-11-23T16:30:00Z");
        return;
    }
    struct fl_tx *tx = fl_api_tx(a);
    a->q[0] = fl_store_policy_get(tx, 0);
    a->q[1] = fl_store_agents(tx);
    fl_api_submit(a, false, on_trial);
}

const struct fl_api_route fl_api_policy[] = {
    { FL_HTTP_GET, "/orgs/{org}/policy", FL_NEED_ROLE, FL_ACTION_READ_POLICY, start_get,
      "version" },
    { FL_HTTP_GET, "/orgs/{org}/policy/versions", FL_NEED_ROLE, FL_ACTION_READ_POLICY,
      start_versions },
    { FL_HTTP_POST, "/orgs/{org}/policy", FL_NEED_ROLE, FL_ACTION_MANAGE_POLICY, start_apply,
      "document expected note dry_run" },
    { FL_HTTP_GET, "/orgs/{org}/policy/check", FL_NEED_ROLE, FL_ACTION_READ_POLICY, start_check },
    { FL_HTTP_POST, "/orgs/{org}/policy/check", FL_NEED_ROLE, FL_ACTION_READ_POLICY, start_check,
      "document" },
    { FL_HTTP_POST, "/orgs/{org}/policy/test", FL_NEED_ROLE, FL_ACTION_READ_POLICY, start_test,
      "document call" },
    { .pattern = NULL }
};
