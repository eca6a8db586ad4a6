/* Every operation of the pure parts with the 1st, 2nd, ... allocation failing, until it passes
 * untouched: ours, jansson's, and those of libyaml, PCRE2 and OpenSSL (fault.c stands in front of
 * malloc). It fails as "no memory" or gives exactly what it gives otherwise, leaks nothing, and
 * works again afterwards. The sanitizers look on. */
#include <stdlib.h>

#include "../unit/card_fixture.h"
#define line_of line_of_yaml
#include "../unit/policy_doc.h"
#undef line_of
#include "../unit/mcp_fixture.h"
#include "../unit/schema_case.h"
#include "fault.h"
#include "flopinio/base/jcs.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "mcp/listen.h"
#include "mcp/sse.h"
#include "mcp/tasks.h"
#include "policy/quorum.h"
#include "runtime/crypto/binding.h"
#include "runtime/crypto/password.h"
#include "runtime/crypto/seal.h"
#include "runtime/crypto/token.h"
#include "runtime/crypto/totp.h"

#include <unistd.h>

/* What it makes goes to `out`; the same bytes each time that it succeeds. */
typedef enum fl_code operation(const void *what, struct fl_buf *out, struct fl_err *err);

static unsigned failed_count, passed_count;

/* seen by the optimizer as able to change `fault` */
static void arm(int64_t at)
{
    fault->kind = FAULT_NOTHING;
    fault->pid = (int32_t)getpid();
    fault->seen = 0;
    fault->at = at;
    fault->kind = at ? FAULT_MEMORY_ANY : FAULT_NOTHING;
}

static void untouched(const char *name, operation *run, const void *what, struct fl_buf *want)
{
    struct fl_buf got = FL_BUF_INIT;
    struct fl_err err = { 0 };
    enum fl_code code = run(what, &got, &err);
    CHECK_MSG(code == FL_OK && !got.is_failed, "%s: untouched it gives %s: %s", name,
              fl_code_name(code), err.text);
    if (want->n)
        CHECK_MSG(fl_str_eq(fl_buf_view(&got), fl_buf_view(want)), "%s: now it gives %s, not %s",
                  name, got.p, want->p);
    else
        fl_buf_str(want, fl_buf_view(&got));
    fl_buf_fini(&got);
}

static void torture(const char *name, operation *run, const void *what)
{
    struct fl_buf want = FL_BUF_INIT;
    untouched(name, run, what, &want); /* libraries set themselves up once */
    untouched(name, run, what, &want);
    CHECK_MSG(want.n, "%s: it makes nothing", name);
    bool is_hit = true;
    for (int64_t n = 1; is_hit; n++) {
        struct fl_buf got = FL_BUF_INIT;
        struct fl_err err = { 0 };
        CHECK_MSG(n < 200000, "%s: it never passes", name);
        arm(n);
        enum fl_code code = run(what, &got, &err);
        is_hit = fault->seen >= n;
        arm(0);
        if (code == FL_OK)
            code = fl_buf_code(&got, &err);
        if (code == FL_OK)
            CHECK_MSG(fl_str_eq(fl_buf_view(&got), fl_buf_view(&want)),
                      "%s: without allocation %lld it gives %.*s, not %.*s", name, (long long)n,
                      FL_STR_ARG(fl_buf_view(&got)), FL_STR_ARG(fl_buf_view(&want)));
        else
            CHECK_MSG(is_hit && code == FL_NOMEM && (err.code == FL_NOMEM || err.code == FL_OK),
                      "%s: without allocation %lld it gives %s: %s", name, (long long)n,
                      fl_code_name(code), err.text);
        failed_count += code != FL_OK;
        fl_buf_fini(&got);
        if (n % 16 == 1)
            untouched(name, run, what, &want);
    }
    untouched(name, run, what, &want);
    fl_buf_fini(&want);
    passed_count++;
}

#define NEXT(call)                                                                                 \
    if (code == FL_OK)                                                                             \
    code = (call)

/* ---------------------------------------------------------------- policy */
static const char document[] =
    "version: 1\ndefaults: {expires: 1h, notify: [inbox]}\nrules:\n"
    "  - {name: a, tools: [files__read], effect: deny, agents: {owner_groups: [ops]},\n"
    "     when: 'args.path.matches(\"^x\") && request.time.getHours(\"Europe/Berlin\") > 99'}\n"
    "  - {name: b, tools: ['files__*', '*z'], effect: allow, when: 'args.path + \"!\" != \"\"'}\n"
    "  - {name: c, tools: ['*'], effect: ask, reason: it writes,\n"
    "     ask: {thresholds: [{approve: 1, groups: [ops], where: person.name != \"x\"}]}}\n";

static enum fl_code load_policy(struct fl_policy **ret, struct fl_err *err)
{
    struct fl_yaml yaml = { 0 };
    enum fl_code code = fl_yaml_load(FL_STR(document), "policy.yaml", &yaml, err);
    const struct fl_policy_source source = {
        .root = yaml.root, .line = line_of_yaml, .line_ctx = &yaml, .zone = fl_zone_file
    };
    NEXT(fl_policy_compile(&source, ret, NULL, err));
    fl_yaml_fini(&yaml);
    return code;
}

static enum fl_code policy_load(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_policy *policy = NULL;
    enum fl_code code = load_policy(&policy, err);
    FL_UNUSED(what);
    for (size_t i = 0; code == FL_OK && i < fl_policy_rule_count(policy); i++)
        fl_buf_str(out, fl_policy_rule_at(policy, i)->name);
    fl_policy_unref(&policy);
    return code;
}

static enum fl_code policy_evaluate(const void *what, struct fl_buf *out, struct fl_err *err)
{
    const struct fl_policy *policy = what;
    struct fl_policy_verdict v = { 0 };
    struct call call = { .facts = { .tool = FL_STR("files__read"),
                                    .server = FL_STR("files"),
                                    .is_read = true,
                                    .agent = FL_STR("ci-1"),
                                    .agent_id = FL_STR("0190"),
                                    .owner = FL_STR("Ana"),
                                    .org = FL_STR("acme"),
                                    .at_utc_ms = 1795451400000,
                                    .args = give_args } };
    struct fl_arena *arena = fl_arena_new(0);
    call.facts.args_ctx = &call;
    call.args = fl_json_parse(FL_STR("{\"path\":\"y\"}"), err);
    if (call.args && arena) {
        struct fl_policy_trail trail = { .arena = arena };
        fl_policy_evaluate(policy, &call.facts, &trail, &v);
        CHECK(v.why != FL_WHY_ERROR || v.effect == FL_EFFECT_DENY); /* never open */
        if (v.why != FL_WHY_ERROR && trail.steps) {
            fl_buf_printf(out, "%d %d ", (int)v.effect, (int)v.why);
            fl_policy_explain(policy, &call.facts, &trail, &v, out);
        }
    }
    bool is_whole = call.args && arena && v.why != FL_WHY_ERROR && out->n;
    json_decref(call.args);
    fl_arena_free(&arena);
    return is_whole ? FL_OK : FL_NOMEM;
}

static enum fl_code policy_check(const void *what, struct fl_buf *out, struct fl_err *err)
{
    static const struct fl_policy_tool tools[] = { { FL_STR("files__read"), true },
                                                   { FL_STR("x__z"), false } };
    const struct fl_policy_world world = { .tools = tools, .tool_count = 2 };
    struct fl_findings findings = { 0 };
    enum fl_code code = fl_policy_check(what, &world, &findings, err);
    if (code == FL_OK)
        fl_buf_printf(out, "%zu findings", findings.count);
    fl_findings_fini(&findings);
    return code;
}

static enum fl_code policy_ask(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_buf frozen = FL_BUF_INIT;
    struct fl_ask *ask = NULL;
    enum fl_code code = fl_policy_ask_dump(fl_policy_rule_at(what, 2)->ask, &frozen, err);
    NEXT(fl_policy_ask_load(fl_buf_view(&frozen), &ask, err));
    if (code == FL_OK)
        fl_policy_ask_describe(ask, out);
    NEXT(fl_policy_ask_dump(ask, out, err));
    fl_policy_ask_free(&ask);
    fl_buf_fini(&frozen);
    return code;
}

static enum fl_code policy_quorum(const void *what, struct fl_buf *out, struct fl_err *err)
{
    static const struct fl_str ops = FL_STR("ops");
    const struct fl_quorum_person ann = { .id = { { 1 } },
                                          .name = FL_STR("Ann"),
                                          .role = FL_ROLE_APPROVER,
                                          .groups = &ops,
                                          .group_count = 1,
                                          .is_active = true };
    const struct fl_quorum_vote vote = { .person = { { 1 } }, .approves = true };
    const struct fl_quorum_facts facts = { .ask = fl_policy_rule_at(what, 2)->ask,
                                           .people = &ann,
                                           .person_count = 1,
                                           .votes = &vote,
                                           .vote_count = 1 };
    struct fl_quorum q;
    enum fl_code code = fl_quorum_count(&facts, &q, err);
    if (code == FL_OK)
        fl_buf_printf(out, "state %d", (int)q.state);
    NEXT(fl_quorum_may_vote(&facts, &ann, &vote, err));
    return code;
}

static enum fl_code policy_diff(const void *what, struct fl_buf *out, struct fl_err *err)
{
    return fl_policy_diff(NULL, what, out, err);
}

static void test_policy(void)
{
    struct fl_err err;
    struct fl_policy *policy = NULL;
    json_t *root = tree_of(document);
    CHECK_OK(load_policy(&policy, &err));
    torture("load", policy_load, NULL);
    torture("evaluate", policy_evaluate, policy);
    torture("check", policy_check, policy);
    torture("ask", policy_ask, policy);
    torture("quorum", policy_quorum, policy);
    torture("diff", policy_diff, root);
    json_decref(root);
    fl_policy_unref(&policy);
    CHECK(passed_count == 6 && failed_count > 100);
}

/* ---------------------------------------------------------------- mcp: what comes in */
struct message {
    enum fl_mcp_version session; /* NO_VERSION: none */
    const char *headers;         /* NULL: WebSocket */
    const char *body;
};
#define OLD(method, params)                                                                        \
    {                                                                                              \
        FL_MCP_2025_11_25, NULL,                                                                   \
            "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"" method                         \
            "\",\"params\":{" params "}}"                                                          \
    }
#define OLD_NOTE(method, params)                                                                   \
    {                                                                                              \
        FL_MCP_2025_11_25, NULL,                                                                   \
            "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":{" params "}}"              \
    }
#define NEW(method, params, caps)                                                                       \
    {                                                                                                   \
        FL_MCP_NO_VERSION, NULL,                                                                        \
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params               \
            "\"_meta\":{" V_KEY "," CAPS_KEY caps ",\"progressToken\":\"\\u0061\","                     \
            "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"\\u0061\",\"version\":\"\\u0061\"},"    \
            "\"dev.flopinio/justification\":\"\\u0061\",\"dev.flopinio/idempotencyKey\":\"\\u0061\"}}}" \
    }

static const struct message messages[] = {
    OLD("initialize", "\"protocolVersion\":\"2025\\u002d06-18\",\"capabilities\":{\"roots\":{}},"
                      "\"clientInfo\":{\"name\":\"\\u0061\",\"version\":\"\\u0062\"}"),
    OLD("ping", ""),
    OLD("tools/list", "\"cursor\":\"\\u0061\""),
    OLD("tools/call", "\"name\":\"\\u0061\",\"arguments\":{\"a\":1},\"_meta\":{\"progressToken\":"
                      "\"\\u0061\"}"),
    OLD("resources/list", ""),
    OLD("resources/templates/list", ""),
    OLD("resources/read", "\"uri\":\"\\u0061:b\""),
    OLD("resources/subscribe", "\"uri\":\"\\u0061:b\""),
    OLD("resources/unsubscribe", "\"uri\":\"\\u0061:b\""),
    OLD("prompts/list", ""),
    OLD("prompts/get", "\"name\":\"\\u0061\""),
    OLD("completion/complete", "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"a\"},\"argument\":{}"),
    OLD("logging/setLevel", "\"level\":\"\\u0069nfo\""),
    OLD_NOTE("notifications/initialized", ""),
    OLD_NOTE("notifications/cancelled", "\"requestId\":\"\\u0061\",\"reason\":\"\\u0061\""),
    OLD_NOTE("notifications/progress", "\"progressToken\":1,\"progress\":1"),
    OLD_NOTE("notifications/roots/list_changed", ""),
    { FL_MCP_2025_11_25, NULL, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"result\":{\"a\":1}}" },
    NEW("server/discover", "", "{}"),
    NEW("tools/list", "\"cursor\":\"\\u0061\",", "{}"),
    NEW("tools/call", "\"name\":\"\\u0061\",\"arguments\":{\"a\":1},", TASKS_CAPS),
    NEW("resources/list", "", "{}"),
    NEW("resources/templates/list", "", "{}"),
    NEW("resources/read", "\"uri\":\"\\u0061:b\",", "{}"),
    NEW("prompts/list", "", "{}"),
    NEW("prompts/get", "\"name\":\"\\u0061\",", "{}"),
    NEW("completion/complete", "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"a\"},\"argument\":{},",
        "{}"),
    NEW("subscriptions/listen",
        "\"notifications\":{\"toolsListChanged\":true,\"taskIds\":"
        "[\"\\u0061\",\"b\"],\"resourceSubscriptions\":[\"\\u0061:b\"]},",
        TASKS_CAPS),
    NEW("tasks/get", "\"taskId\":\"\\u0061\",", TASKS_CAPS),
    NEW("tasks/update", "\"taskId\":\"\\u0061\",\"inputResponses\":{},", TASKS_CAPS),
    NEW("tasks/cancel", "\"taskId\":\"\\u0061\",", TASKS_CAPS),
    { FL_MCP_NO_VERSION, H_CALL("a"),
      CALL("\"name\":\"a\",\"arguments\":{\"x\":\"\\u0061\"}," META) },
};

static enum fl_code mcp_read(const void *what, struct fl_buf *out, struct fl_err *err)
{
    const struct message *m = what;
    struct ask a = { .arena = fl_arena_new(0) };
    struct fl_mcp_listen listen = { 0 };
    if (!a.arena)
        return FL_NOMEM;
    a.facts.serves = SERVES_ALL;
    a.facts.transport = m->headers ? FL_MCP_HTTP : FL_MCP_WEBSOCKET;
    if (m->headers) {
        ask_headers(&a, m->headers);
        a.facts.headers = &a.headers;
    }
    if (m->session)
        ask_session(&a, m->session);
    enum fl_code code = fl_mcp_read(a.arena, fl_str_of(m->body), &a.facts, &a.msg, &a.refusal);
    if (code == FL_OK && a.msg.method == FL_MCP_M_LISTEN)
        code = fl_mcp_listen_read(a.arena, &a.msg, SERVES_ALL, &listen, &a.refusal);
    if (code) {
        *err = a.refusal.err;
        CHECK(code != FL_NOMEM || (a.refusal.rpc == -32603 && a.refusal.http == 503) ||
              a.msg.method == FL_MCP_M_LISTEN);
    } else {
        fl_buf_printf(out, "%d %d %d %zu ", (int)a.msg.kind, (int)a.msg.era, (int)a.msg.method,
                      listen.task_count);
        const struct fl_str parts[] = {
            a.msg.id,         a.msg.name,           a.msg.arguments,
            a.msg.cursor,     a.msg.client_name,    a.msg.request_id,
            a.msg.reason,     a.msg.result,         a.msg.progress_token,
            a.msg.params,     a.msg.method_text,    a.msg.justification,
            a.msg.listens_to, a.msg.idempotency_key
        };
        for (size_t i = 0; i < FL_COUNTOF(parts); i++)
            fl_buf_str(out, parts[i]);
    }
    ask_fini(&a);
    return code;
}

static void test_mcp_messages_that_come_in(void)
{
    bool seen[2][FL_MCP_METHOD_END] = { { false } };
    for (size_t i = 0; i < FL_COUNTOF(messages); i++) {
        struct ask a;
        ask_init(&a, messages[i].headers);
        if (messages[i].session)
            ask_session(&a, messages[i].session);
        ask_read(&a, messages[i].body);
        CHECK_MSG(a.code == FL_OK, "%s: %s", messages[i].body, a.refusal.err.text);
        seen[a.msg.era][a.msg.method] = true;
        ask_fini(&a);
        torture(messages[i].body, mcp_read, &messages[i]);
    }
    for (int m = FL_MCP_UNKNOWN_METHOD + 1; m < FL_MCP_METHOD_END; m++) { /* all, in their eras */
        for (int era = FL_MCP_LEGACY; era <= FL_MCP_MODERN; era++)
            CHECK_MSG(seen[era][m] || m == FL_MCP_M_CANCELLED ||
                          !fl_mcp_method_is_known((enum fl_mcp_method)m, (enum fl_mcp_era)era,
                                                  SERVES_ALL),
                      "no %s message of era %d", fl_mcp_method_text((enum fl_mcp_method)m), era);
    }
    CHECK(failed_count > 200);
}

/* ---------------------------------------------------------------- mcp: what goes out */
static const struct fl_mcp_server server = {
    .name = { "flopinio", 8 },
    .title = { "Flop \"in\" io", 12 },
    .version = { "1.2", 3 },
    .instructions = { "Ask first.", 10 },
    .serves = SERVES_ALL,
    .list_ttl_ms = 5000,
};

static void put_lists(struct fl_buf *out, const struct fl_mcp_to *to)
{
    static const struct fl_mcp_tool tool = {
        FL_STR("up__orig"),
        FL_STR("{\"name\":\"orig\",\"title\":\"T\",\"description\":\"d \\u0061\",\"inputSchema\":"
               "{\"type\":\"object\"},\"outputSchema\":{\"type\":\"object\"},\"annotations\":"
               "{\"readOnlyHint\":true},\"_meta\":{\"k\":1}}"),
        true
    };
    const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
    if (fl_mcp_era_of(to->version) == FL_MCP_MODERN)
        fl_mcp_put_discover(out, &server, to);
    else
        fl_mcp_put_initialize(out, &server, to);
    fl_mcp_put_empty(out, &server, to);
    fl_mcp_put_tools(out, &server, to, &tools);
    fl_mcp_cursor_put(out, 7, 3);
    fl_mcp_put_members(out, &server, to, FL_STR("\"prompts\":[]"), true, 100);
    fl_mcp_put_error(out, to->id, -32603, FL_STR("no \xff"), FL_STR("{\"a\":1}"));
}

static void put_notes(struct fl_buf *out, const struct fl_mcp_to *to)
{
    struct fl_mcp_listen listen = { .id = to->id, .topics = FL_MCP_TOPIC_TOOLS };
    fl_mcp_put_list_changed(out, FL_MCP_LIST_TOOLS, to->id);
    fl_mcp_put_resource_updated(out, FL_STR("a:b"), to->id);
    fl_mcp_put_progress(out, to->version, FL_STR("\"t\""), 1, 10, FL_STR("half\nway"));
    fl_mcp_put_log(out, FL_MCP_LEVEL_INFO, FL_STR("log"), FL_STR("{\"a\":1}"));
    fl_mcp_put_cancelled(out, to->id, FL_STR("over"));
    fl_mcp_put_acknowledged(out, &listen);
    fl_mcp_put_listen_end(out, &server, &listen);
    fl_sse_put(out, FL_STR("s_1"), FL_STR("line\nline"));
    fl_sse_put_priming(out, FL_STR("s_2"), 100);
}

static enum fl_code mcp_put(const void *what, struct fl_buf *out, struct fl_err *err)
{
    const struct fl_mcp_to to = { *(const enum fl_mcp_version *)what, FL_STR("\"i\"") };
    put_lists(out, &to);
    put_notes(out, &to);
    return fl_buf_code(out, err);
}

struct ending {
    enum fl_mcp_version version;
    enum fl_mcp_state state;
};

static const struct fl_mcp_outcome words = { .approval_id = { "APR-1", 5 },
                                             .tool = { "db__x", 5 },
                                             .by = { "ann", 3 },
                                             .reason = { "no \"way\"\n", 9 },
                                             .where = { "#ops", 4 },
                                             .expires_at_utc_ms = 1795435200000,
                                             .size_bytes = 9 };

/* A call's answer, and the task's: of a state, for a version. */
static enum fl_code mcp_state(const void *what, struct fl_buf *out, struct fl_err *err)
{
    const struct ending *end = what;
    const struct fl_mcp_to to = { end->version, FL_STR("\"i\"") };
    struct fl_mcp_result result = { .content = FL_STR("[{\"type\":\"text\",\"text\":\"x\"}]") };
    struct fl_mcp_task task = { .id = FL_STR("t1"),
                                .state = end->state,
                                .words = words,
                                .created_at_utc_ms = 1795435200000,
                                .updated_at_utc_ms = 1795435200001,
                                .now_utc_ms = 1795435200002,
                                .ttl_ms = 1000,
                                .result = &result };
    bool is_made_of_words = end->state == FL_MCP_STATE_REJECTED ||
                            end->state == FL_MCP_STATE_EXPIRED ||
                            end->state == FL_MCP_STATE_CANCELLED ||
                            end->state == FL_MCP_STATE_VOIDED || end->state == FL_MCP_STATE_UNKNOWN;
    struct fl_arena *arena = fl_arena_new(0);
    enum fl_code code = arena ? FL_OK : FL_NOMEM;
    if (is_made_of_words)
        NEXT(fl_mcp_state_result(arena, end->state, &words, &result, err));
    if (code == FL_OK)
        fl_mcp_put_result(out, &server, &to, &result);
    task.result = is_made_of_words ? NULL : &result;
    if (fl_mcp_era_of(end->version) == FL_MCP_MODERN) {
        NEXT(fl_mcp_put_task(out, arena, &server, &to, &task, err));
        NEXT(fl_mcp_put_task_changed(out, arena, FL_STR("1"), &task, err));
        if (code == FL_OK)
            fl_mcp_put_task_created(out, &server, &to, &task);
    }
    fl_arena_free(&arena);
    return code;
}

static enum fl_code mcp_stream(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_sse_stream stream;
    FL_UNUSED(what);
    fl_sse_stream_init(&stream, FL_STR("s"));
    enum fl_code code = fl_sse_prime(&stream, 100, out, err);
    for (int i = 0; i < 12; i++)
        NEXT(fl_sse_send(&stream, FL_STR("a message"), out, err));
    NEXT(fl_sse_replay(&stream, 0, out, err));
    fl_sse_stream_fini(&stream);
    return code;
}

static void test_mcp_messages_that_go_out(void)
{
    for (int v = FL_MCP_2024_11_05; v < FL_MCP_VERSION_END; v++) {
        enum fl_mcp_version version = (enum fl_mcp_version)v;
        torture(fl_mcp_version_text(version), mcp_put, &version);
        for (int s = 0; s < FL_MCP_STATE_COUNT; s++) {
            const struct ending end = { version, (enum fl_mcp_state)s };
            torture("state", mcp_state, &end);
        }
    }
    torture("stream", mcp_stream, NULL);
    CHECK(failed_count > 200);
}

/* ---------------------------------------------------------------- JSON, YAML, schemas */
static const char json_text[] =
    "{\"b\":[\"\\u00e9\\n\",1.5,{}],\"\\u0061\":{\"z\":1,\"y\":[[],2]},\"c\":"
    "\"a longer text, so that buffers have to grow on their way, and then some more of it\"}";

static enum fl_code json_all(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_str text = fl_str_of(what);
    json_t *tree = fl_json_parse(text, err), *copy = NULL;
    enum fl_code code = tree ? FL_OK : err->code;
    NEXT(fl_jcs(text, out, err));
    NEXT(fl_json_put_canonical(out, tree, err));
    if (code == FL_OK) {
        json_t *found = fl_json_pointer(tree, FL_STR("/a/y/1"));
        copy = fl_json_new_str(FL_STR("new"));
        fl_json_put(out, tree);
        code = found && copy ? FL_OK : FL_NOMEM;
    }
    json_decref(copy);
    json_decref(tree);
    return code;
}

static enum fl_code yaml_all(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_yaml yaml = { 0 };
    enum fl_code code = fl_yaml_load(fl_str_of(what), "a.yaml", &yaml, err);
    NEXT(fl_yaml_dump(yaml.root, out, err));
    if (code == FL_OK)
        fl_buf_printf(out, "%u", fl_yaml_line(&yaml, "/a/2/x"));
    fl_yaml_fini(&yaml);
    return code;
}

struct schema_pair {
    json_t *schema, *value;
    bool fits;
};

static enum fl_code schema_all(const void *what, struct fl_buf *out, struct fl_err *err)
{
    const struct schema_pair *pair = what;
    const struct fl_schema_options options = { .asserts_format = true };
    const char *path[] = { "name" };
    struct fl_schema *schema = NULL;
    enum fl_code code = fl_schema_new(pair->schema, &options, &schema, err);
    if (code == FL_OK) {
        code = fl_schema_validate(schema, pair->value, err);
        if (code == FL_BAD_PARAMS && !pair->fits) {
            fl_buf_puts(out, err->text);
            code = FL_OK;
        }
        fl_buf_printf(out, " %d", fl_schema_allows_path(schema, path, 1));
    }
    fl_schema_free(&schema);
    return code;
}

static void test_json_yaml_and_schemas(void)
{
    torture("json", json_all, json_text);
    torture("yaml", yaml_all, "a:\n  - 1\n  - 2.5\n  - x: \"y\\n\"\n    z: [true, null]\nb: t\n");
    torture("yaml", yaml_all, "{\"a\":[1,2.5,{\"x\":\"y\\n\"}],\"b\":{}}");
    struct schema_pair pair = {
        .schema = json_of("{'type':'object','required':['name'],'properties':{'name':{'type':"
                          "'string','pattern':'^\\\\p{L}(a|b)*$'},'far':{'$ref':'#/$defs/d'},"
                          "'list':{'uniqueItems':true,'contains':{'const':1}}},'$defs':{'d':"
                          "{'enum':['x',{'y':[1]}]}},'unevaluatedProperties':false}"),
        .value = json_of("{'name':'\\u00e9ab','far':{'y':[1]},'list':[1,2,3]}"),
        .fits = true
    };
    torture("a value that fits", schema_all, &pair);
    json_decref(pair.value);
    pair.value = json_of("{'name':'9','other':1}");
    pair.fits = false;
    torture("a value that does not", schema_all, &pair);
    json_decref(pair.value);
    json_decref(pair.schema);
    CHECK(failed_count > 150);
}

/* ---------------------------------------------------------------- crypto */
static enum fl_code crypto_keys(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_keyring *ring = NULL;
    struct fl_secret secret = { 0 };
    struct fl_buf keys = FL_BUF_INIT, more = FL_BUF_INIT, sealed = FL_BUF_INIT, check = FL_BUF_INIT;
    const struct fl_place place = { .table = "person", .column = "totp_seed", .row = FL_STR("42") };
    FL_UNUSED(what);
    fl_keyring_generate(&keys);
    enum fl_code code = fl_buf_code(&keys, err);
    NEXT(fl_keyring_add_primary(fl_buf_view(&keys), &more, err));
    NEXT(fl_keyring_load(fl_buf_view(&more), &ring, err));
    NEXT(fl_seal(ring, &place, FL_STR("a value"), &sealed, err));
    NEXT(fl_unseal(ring, &place, fl_buf_view(&sealed), out, err));
    NEXT(fl_unseal_secret(ring, &place, fl_buf_view(&sealed), &secret, err));
    NEXT(fl_keyring_check_value(ring, 2, &check, err));
    NEXT(fl_keyring_check(ring, 2, fl_buf_view(&check), err));
    fl_secret_fini(&secret);
    fl_keyring_free(&ring);
    struct fl_buf *all[] = { &keys, &more, &sealed, &check };
    for (size_t i = 0; i < FL_COUNTOF(all); i++)
        fl_buf_fini(all[i]);
    return code;
}

static enum fl_code crypto_people(const void *what, struct fl_buf *out, struct fl_err *err)
{
    struct fl_secret seed = { 0 };
    char token[FL_TOKEN_BYTES], recovery[FL_RECOVERY_BYTES];
    uint8_t digest[32];
    enum fl_token_kind kind;
    int64_t step = 0;
    FL_UNUSED(what);
    enum fl_code code = fl_totp_seed(&seed, err);
    NEXT(fl_totp_verify(FL_STR("12345678901234567890"), FL_STR("287082"), 59000, -1, &step, err));
    NEXT(fl_token_new(FL_TOKEN_AGENT, token, digest, err));
    NEXT(fl_token_parse(fl_str_of(token), &kind) ? FL_OK : FL_NOMEM);
    NEXT(fl_recovery_new(recovery, digest, err));
    if (code == FL_OK) {
        fl_totp_uri(out, FL_STR("12345678901234567890"), FL_STR("a"), FL_STR("b"));
        fl_buf_printf(out, " %lld %d", (long long)step, (int)kind);
    }
    fl_secret_fini(&seed);
    return code;
}

static enum fl_code crypto_passphrase(const void *what, struct fl_buf *out, struct fl_err *err)
{
    char phc[FL_PHC_BYTES];
    bool needs_rehash = false;
    FL_UNUSED(what);
    enum fl_code code = fl_pass_hash(FL_STR("correct horse"), phc, err);
    NEXT(fl_pass_verify(FL_STR("correct horse"), fl_str_of(phc), &needs_rehash, err));
    fl_buf_puts(out, "it is the one");
    return code;
}

static void test_crypto(void)
{
    torture("keys", crypto_keys, NULL);
    torture("people", crypto_people, NULL);
    torture("passphrase", crypto_passphrase, NULL);
    CHECK(failed_count > 30);
}

/* ---------------------------------------------------------------- cards */
static enum fl_code card_all(const void *what, struct fl_buf *out, struct fl_err *err)
{
    static const struct fl_str pointer = FL_STR("/note");
    struct fl_card_facts facts = refund();
    struct fl_card card = { 0 };
    struct fl_arena *arena = fl_arena_new(0);
    facts.secrets = &pointer;
    facts.secret_count = 1;
    facts.preview = FL_STR("line\n eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl");
    enum fl_code code =
        arena ? fl_card_make(arena, &facts, *(const size_t *)what, &card, err) : FL_NOMEM;
    if (code == FL_OK) {
        fl_card_text(out, &card);
        fl_card_terminal(out, &card, 50, true);
    }
    CHECK(code == FL_OK || !card.blocks); /* no half card */
    fl_arena_free(&arena);
    return code;
}

static void test_cards(void)
{
    const size_t limits[] = { 0, FL_CARD_MIN_BYTES };
    for (size_t i = 0; i < FL_COUNTOF(limits); i++)
        torture("card", card_all, &limits[i]);
    CHECK(failed_count > 100);
}

/* ---------------------------------------------------------------- canaries, by name only */
static enum fl_code careless(const void *what, struct fl_buf *out, struct fl_err *err)
{
    char *copy = fl_strdup("abc"), *more = copy ? fl_strdup("abc") : NULL;
    FL_UNUSED(err);
    if (!more) { /* planted */
        if (*(const char *)what != 'l')
            fl_free(copy);
        return *(const char *)what == 'w' ? FL_NOT_FOUND : FL_NOMEM;
    }
    fl_buf_puts(out, more);
    fl_free(more);
    fl_free(copy);
    return FL_OK;
}

static void test_canary_leak(void)
{
    torture("leak", careless, "l");
}

static void test_canary_wrong_code(void)
{
    torture("wrong", careless, "w");
}

static const struct fl_test tests[] = {
    T_LIMIT(policy, 120),
    T_LIMIT(mcp_messages_that_come_in, 120),
    T_LIMIT(mcp_messages_that_go_out, 120),
    T_LIMIT(json_yaml_and_schemas, 120),
    T_LIMIT(crypto, 120),
    T_LIMIT(cards, 120),
};
static const struct fl_test canaries[] = { T(canary_leak), T(canary_wrong_code) };

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "canary", 6) == 0)
        return fl_test_main(argc, argv, canaries, FL_COUNTOF(canaries));
    return fl_test_main(argc, argv, tests, FL_COUNTOF(tests));
}
