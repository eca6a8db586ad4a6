/* Instructions of the parts of a call that need no I/O, counted by callgrind: the same on a busy
 * machine as on an idle one, and on every run. Each case runs once to warm up, then ROUNDS times
 * between two marks; instructions.py divides what callgrind counted in between.
 *
 *   valgrind --tool=callgrind --instr-atstart=no instructions */
#include <valgrind/callgrind.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/yaml.h"
#include "mcp/message.h"
#include "mcp/reply.h"
#include "mcp/schema.h"
#include "policy/policy.h"
#include "runtime/audit/event.h"
#include "runtime/host/reply.h"
#include "runtime/notify/card_text.h"

#define ROUNDS 20
#define ROWS   64 /* of one batch of audit rows */

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "instructions: %s\n", what);
    exit(1);
}

/* ---- messages ---- */
#define META                                                                                       \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                       \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define TEXT "\"text\":\"The quick brown fox jumps over the lazy dog, again and again and again.\""
static const char call_text[] =
    "{\"jsonrpc\":\"2.0\",\"id\":12345678,\"method\":\"tools/call\",\"params\":{\"name\":"
    "\"files__read\",\"arguments\":{" TEXT ",\"limit\":100,\"deep\":true}," META "}}";
static char large_text[20500];
#define ITEM "{\"type\":\"text\",\"text\":\"The quick brown fox\"}"

static void read_message(const char *text)
{
    struct fl_arena *arena = fl_arena_new(4096);
    struct fl_mcp_facts facts = { .transport = FL_MCP_WEBSOCKET, .serves = FL_MCP_SERVES_TOOLS };
    struct fl_mcp_message message;
    struct fl_mcp_refusal refusal;
    must(fl_mcp_read(arena, fl_str_of(text), &facts, &message, &refusal) == FL_OK, "a message");
    fl_arena_free(&arena);
}

static void scan_call(void)
{
    read_message(call_text);
}

static void scan_call_20k(void)
{
    read_message(large_text);
}

static void make_large(void)
{
    static const char head[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
        "\"name\":\"files__read\",\"arguments\":{\"text\":\"";
    size_t n = sizeof head - 1;
    memcpy(large_text, head, n);
    memset(large_text + n, 'x', 20000);
    strcpy(large_text + n + 20000, "\"}," META "}}");
}

static void answer(void)
{
    static const struct fl_mcp_server server = { .name = { "flopinio", 8 }, .version = { "1", 1 } };
    const struct fl_mcp_result result = { .content = FL_STR("[" ITEM "]") };
    struct fl_mcp_to to = { .id = FL_STR("12345678"), .version = FL_MCP_NEWEST };
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_result(&out, &server, &to, &result);
    must(!out.is_failed, "an answer");
    fl_buf_fini(&out);
}

/* ---- arguments and their schema ---- */
static struct fl_schema *schema;
static const char arguments[] = "{" TEXT ",\"limit\":100,\"deep\":true}";

static void make_schema(void)
{
    struct fl_err err;
    json_t *tree =
        json_loads("{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\","
                   "\"minLength\":1},\"limit\":{\"type\":\"integer\"},\"deep\":{\"type\":"
                   "\"boolean\"}},\"required\":[\"text\"],\"additionalProperties\":false}",
                   0, NULL);
    must(tree && fl_schema_new(tree, NULL, &schema, &err) == FL_OK, "a schema");
    json_decref(tree);
}

static void schema_flat(void)
{
    must(fl_schema_fits_flat(schema, fl_str_of(arguments)), "flat arguments");
}

static void schema_tree(void)
{
    struct fl_err err;
    json_t *tree = fl_json_parse(fl_str_of(arguments), &err);
    must(tree && fl_schema_validate(schema, tree, &err) == FL_OK, "arguments");
    json_decref(tree);
}

/* ---- policy ---- */
static struct fl_policy *policy;
static const char policy_text[] = "version: 1\n"
                                  "rules:\n"
                                  "  - name: secret\n"
                                  "    tools: [\"vault__*\"]\n"
                                  "    effect: deny\n"
                                  "  - name: reads\n"
                                  "    tools: [\"files__read\", \"files__list\"]\n"
                                  "    effect: allow\n"
                                  "  - name: large\n"
                                  "    tools: [\"shop__*\"]\n"
                                  "    when: args.amount > 100 && agent.owner != 'Bob'\n"
                                  "    effect: deny\n"
                                  "  - name: others\n"
                                  "    tools: [\"*\"]\n"
                                  "    effect: ask\n";

static const json_t *give_args(void *ctx)
{
    return ctx;
}

static void make_policy(void)
{
    struct fl_yaml yaml;
    struct fl_err err;
    must(fl_yaml_load(fl_str_of(policy_text), "policy", &yaml, &err) == FL_OK, "yaml");
    struct fl_policy_source source = { .root = yaml.root };
    must(fl_policy_compile(&source, &policy, NULL, &err) == FL_OK, err.text);
    fl_yaml_fini(&yaml);
}

static void ask_policy(const char *tool, json_t *args, enum fl_effect wanted)
{
    struct fl_policy_verdict verdict;
    struct fl_policy_facts facts = { .tool = fl_str_of(tool),
                                     .server = FL_STR("files"),
                                     .is_read = true,
                                     .agent = FL_STR("ci-1"),
                                     .agent_id = FL_STR("0190"),
                                     .owner = FL_STR("Ana"),
                                     .org = FL_STR("acme"),
                                     .at_utc_ms = 1795451400000,
                                     .args = give_args,
                                     .args_ctx = args };
    fl_policy_evaluate(policy, &facts, NULL, &verdict);
    must(verdict.effect == wanted, verdict.text);
}

static void policy_read(void)
{
    ask_policy("files__read", NULL, FL_EFFECT_ALLOW);
}

static json_t *shop_args;

static void policy_condition(void)
{
    ask_policy("shop__refund", shop_args, FL_EFFECT_DENY);
}

/* ---- the audit row and its statement ---- */
static struct fl_audit_event events[ROWS];
static struct fl_arena *row_arena;

static void make_row(struct fl_audit_event *e, struct fl_arena *arena)
{
    static const struct fl_uuid organization = { { 1 } }, agent = { { 2 } }, credential = { { 3 } };
    struct fl_err err;
    fl_audit_init(e, &organization, FL_AUDIT_CALL_READ, FL_ACTOR_AGENT, &agent, "call", NULL);
    fl_audit_text(e, "agent", FL_STR("support-bot"));
    fl_audit_uuid(e, "credential", &credential, arena);
    fl_audit_text(e, "tool", FL_STR("files__read"));
    fl_audit_int(e, "arguments_bytes", 110);
    fl_audit_int(e, "policy_version", 7);
    fl_audit_text(e, "rule", FL_STR("reads"));
    fl_audit_z(e, "outcome", "succeeded");
    fl_audit_int(e, "result_bytes", 47);
    fl_audit_int(e, "took_us", 1234);
    must(fl_audit_seal(e, arena, &err) == FL_OK, "an audit row");
}

static void audit_row(void)
{
    struct fl_arena *arena = fl_arena_new(4096);
    make_row(&events[0], arena);
    fl_arena_free(&arena);
}

static void make_rows(void)
{
    row_arena = fl_arena_new(0);
    for (size_t i = 0; i < ROWS; i++)
        make_row(&events[i], row_arena);
}

static void statement_of_64_rows(void)
{
    struct fl_arena *arena = fl_arena_new(ROWS * 600);
    const struct fl_audit_row *rows[ROWS];
    struct fl_tx tx;
    for (size_t i = 0; i < ROWS; i++)
        rows[i] = &events[i].row;
    fl_tx_init(&tx, NULL, arena, NULL);
    fl_store_audit_insert_many(&tx, rows, ROWS);
    must(!tx.is_nomem && tx.first && tx.first->count == 8, "a statement");
    fl_tx_fini(&tx);
    fl_arena_free(&arena);
}

/* ---- a plugin's answer, there and back ---- */
static void plugin_reply(void)
{
    const struct fl_host_result result = {
        .outcome = FLOPINIO_OK,
        .content = FL_STR(ITEM),
    };
    struct fl_buf frame = FL_BUF_INIT;
    struct fl_host_result got;
    char *memory = NULL;
    bool wants_replacement;
    fl_reply_put(&frame, 7, &result, false);
    fl_buf_str(&frame, result.content);
    struct fl_str payload = { frame.p + FL_FRAME_HEAD, frame.n - FL_FRAME_HEAD };
    must(fl_reply_read(payload, FL_HOST_START, 1 << 20, &got, &memory, &wants_replacement) ==
             FL_REPLY_OUTCOME,
         "a reply");
    fl_free(memory);
    fl_buf_fini(&frame);
}

/* ---- the card ---- */
static void card(void)
{
    static const uint8_t key[32] = { 1, 2, 3 };
    struct fl_card_facts facts = {
        .id = FL_STR("01890000-0000-7000-8000-000000000001"),
        .sentence = FL_STR("Refund {amount} {currency} to {/customer/id}"),
        .tool = FL_STR("shop__refund"),
        .server = FL_STR("shop"),
        .agent = FL_STR("support-bot"),
        .owner = FL_STR("Ann Smith"),
        .state = FL_APPROVAL_PENDING,
        .created_utc_ms = 1795435200000,
        .expires_utc_ms = 1795453200000,
        .arguments = FL_STR("{\"amount\":\"120.00\",\"currency\":\"EUR\",\"customer\":{\"id\":"
                            "\"cus_9\"},\"note\":\"late\\nsorry\"}"),
        .secret_key = key,
        .rule = FL_STR("big-refunds"),
        .rule_reason = FL_STR("refunds over 100 EUR"),
        .progress = FL_STR("0 of 2 approvals from ops"),
        .justification = FL_STR("The parcel came late."),
    };
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_card made;
    struct fl_err err;
    struct fl_buf text = FL_BUF_INIT;
    must(fl_card_make(arena, &facts, 4096, &made, &err) == FL_OK, "a card");
    fl_card_text(&text, &made);
    must(!text.is_failed && made.is_whole, "a whole card");
    fl_buf_fini(&text);
    fl_arena_free(&arena);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
#define C(name) { #name, name }
        C(scan_call),   C(scan_call_20k),    C(answer),    C(schema_flat),          C(schema_tree),
        C(policy_read), C(policy_condition), C(audit_row), C(statement_of_64_rows), C(plugin_reply),
        C(card),
#undef C
    };
    json_object_seed(1);
    fl_random_seed(1);
    make_large();
    make_schema();
    make_policy();
    make_rows();
    shop_args = json_pack("{s:i}", "amount", 120);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        cases[i].run();
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
        for (int k = 0; k < ROUNDS; k++)
            cases[i].run();
        CALLGRIND_DUMP_STATS_AT(cases[i].name);
        CALLGRIND_STOP_INSTRUMENTATION;
    }
    json_decref(shop_args);
    fl_policy_unref(&policy);
    fl_schema_free(&schema);
    fl_arena_free(&row_arena);
    return 0;
}
