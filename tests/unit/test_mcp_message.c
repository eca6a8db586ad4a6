/* Reading inbound MCP messages: which methods there are, what is in them. The refusals' order and
 * numbers are in test_mcp_edges.c. */
#include "flopinio/base/mem.h"
#include "mcp_fixture.h"

/* ---- each method in both eras ---- */
static void test_each_method_is_known_in_its_eras_only(void)
{
    size_t known = 0, refused = 0;
    for (int m = FL_MCP_UNKNOWN_METHOD + 1; m < FL_MCP_M_INITIALIZED; m++) {
        const char *text = fl_mcp_method_text((enum fl_mcp_method)m);
        const char *member = fl_mcp_method_member((enum fl_mcp_method)m);
        for (int is_modern = 0; is_modern < 2; is_modern++) {
            bool is_known = fl_mcp_method_is_known(
                (enum fl_mcp_method)m, is_modern ? FL_MCP_MODERN : FL_MCP_LEGACY, SERVES_ALL);
            char headers[400], body[900];
            struct ask a;
            snprintf(headers, sizeof headers, "%sMcp-Method: %s\n%s", is_modern ? H_MODERN : H_TYPE,
                     text, member[0] ? "Mcp-Name: debug\n" : "");
            snprintf(body, sizeof body,
                     "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"%s\",\"params\":{%s%s%s"
                     "\"notifications\":{},\"protocolVersion\":\"2025-06-18\","
                     "\"inputResponses\":{},\"unknown\":[1],%s}}",
                     text, member[0] ? "\"" : "", member, member[0] ? "\":\"debug\"," : "",
                     is_modern ? META_CAPS(TASKS_CAPS) : "\"_meta\":{\"x\":1}");
            ask_init(&a, headers);
            ask_session(&a, FL_MCP_2025_06_18);
            ask_read(&a, body);
            if (is_known) {
                CHECK_MSG(a.code == FL_OK, "%s: %s", text, a.refusal.err.text);
                CHECK_INT(a.msg.method, m);
                CHECK_INT(a.msg.kind, FL_MCP_REQUEST);
                CHECK_INT(a.msg.era, is_modern ? FL_MCP_MODERN : FL_MCP_LEGACY);
                CHECK_INT(a.msg.version, is_modern ? FL_MCP_2026_07_28 : FL_MCP_2025_06_18);
                CHECK_SPAN(a.msg.method_text, text);
                CHECK_SPAN(a.msg.id, "\"q\"");
                CHECK_SPAN(a.msg.name, member[0] ? "debug" : "");
                known++;
            } else {
                CHECK_INT(a.refusal.rpc, -32601);
                CHECK_INT(a.refusal.http, is_modern ? 404 : 200);
                refused++;
            }
            ask_fini(&a);
        }
    }
    CHECK_INT(known, 26);
    CHECK_INT(refused, 10);
}

static void test_what_is_not_served_is_not_known(void)
{
    static const struct {
        const char *method;
        unsigned serves;
    } rows[] = {
        { "tools/list", FL_MCP_SERVES_TOOLS },
        { "resources/list", FL_MCP_SERVES_RESOURCES },
        { "resources/templates/list", FL_MCP_SERVES_RESOURCES },
        { "prompts/list", FL_MCP_SERVES_PROMPTS },
        { "completion/complete", FL_MCP_SERVES_COMPLETIONS },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        for (int is_served = 0; is_served < 2; is_served++) {
            char body[300];
            struct ask a;
            snprintf(body, sizeof body,
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{" META "}}",
                     rows[i].method);
            ask_init(&a, NULL);
            a.facts.serves = is_served ? rows[i].serves : SERVES_ALL & ~rows[i].serves;
            ask_read(&a, body);
            CHECK_INT(a.code, is_served ? FL_OK : FL_UNKNOWN_METHOD);
            ask_fini(&a);
        }
    }
}

/* ---- what is in a message ---- */
static void test_a_modern_call_is_taken_apart(void)
{
    struct ask a;
    ASK(&a, H_CALL("fs__write_file"),
        " {\"jsonrpc\" : \"2.0\" , \"id\":0, \"method\":\"tools\\/call\", \"params\" : "
        "{\"name\":\"fs__write_file\",\"arguments\": {\"path\":\"/a\",\"name\":\"decoy\"} ,"
        "\"requestState\":\"st\\u0061te\",\"inputResponses\":{\"k\":{}},\"task\":{\"ttl\":1},"
        "\"_meta\":{" V_KEY "," CAPS_KEY
        "{\"elicitation\":{\"url\":{}},\"sampling\":{},\"roots\":{},"
        "\"future\":{},\"extensions\":{\"io.modelcontextprotocol/tasks\":{},\"x/y\":{}}},"
        "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"c\\u00e9\",\"version\":\"1\",\"title\":7},"
        "\"io.modelcontextprotocol/logLevel\":\"warning\",\"progressToken\":\"tok\","
        "\"dev.flopinio/idempotencyKey\":\"key-1\",\"dev.flopinio/justification\":\"because\","
        "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
        "\"com.example/unknown\":{\"a\":[]}}}}\n");
    CHECK_MSG(a.code == FL_OK, "%s", a.refusal.err.text);
    CHECK_INT(a.msg.method, FL_MCP_M_TOOLS_CALL);
    CHECK_SPAN(a.msg.method_text, "tools/call");
    CHECK_SPAN(a.msg.id, "0");
    CHECK_SPAN(a.msg.name, "fs__write_file");
    CHECK_SPAN(a.msg.arguments, "{\"path\":\"/a\",\"name\":\"decoy\"}");
    CHECK_SPAN(a.msg.request_state, "state");
    CHECK_SPAN(a.msg.input_responses, "{\"k\":{}}");
    CHECK_INT(a.msg.client_caps, FL_MCP_CLIENT_TASKS | FL_MCP_CLIENT_ELICIT_URL |
                                     FL_MCP_CLIENT_SAMPLING | FL_MCP_CLIENT_ROOTS);
    CHECK_SPAN(a.msg.client_name, "c\xc3\xa9");
    CHECK_SPAN(a.msg.client_version, "1");
    CHECK(!a.msg.client_title.p);
    CHECK_INT(a.msg.log_level, FL_MCP_LEVEL_WARNING);
    CHECK_SPAN(a.msg.progress_token, "\"tok\"");
    CHECK_SPAN(a.msg.idempotency_key, "key-1");
    CHECK_SPAN(a.msg.justification, "because");
    CHECK_SPAN(a.msg.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    CHECK_SPAN(a.msg.requested_version, "2026-07-28");
    CHECK_INT(a.msg.accepts, FL_MCP_ACCEPTS_JSON | FL_MCP_ACCEPTS_SSE);
    ask_fini(&a);
}

static void test_a_call_without_arguments_has_empty_ones(void)
{
    struct ask a;
    ASK(&a, NULL, CALL("\"name\":\"t\"," META));
    CHECK_OK(a.code);
    CHECK_SPAN(a.msg.arguments, "{}");
    CHECK(!a.msg.cursor.p && !a.msg.progress_token.p && !a.msg.idempotency_key.p);
    CHECK_INT(a.msg.log_level, FL_MCP_LEVEL_NONE);
    ask_fini(&a);
    ASK(&a, NULL, LIST("\"cursor\":\"\"," META));
    CHECK(a.msg.cursor.p && a.msg.cursor.n == 0); /* "" is a cursor, absence is none */
    ask_fini(&a);
}

static void test_initialize_negotiates_a_legacy_version(void)
{
    static const char *const rows[][2] = {
        { "2024-11-05", "2024-11-05" }, { "2025-03-26", "2025-03-26" },
        { "2025-06-18", "2025-06-18" }, { "2025-11-25", "2025-11-25" },
        { "2026-07-28", "2025-11-25" }, { "1.0", "2025-11-25" },
        { "", "2025-11-25" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char body[400];
        struct ask a;
        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
                 "\"protocolVersion\":\"%s\",\"capabilities\":{\"elicitation\":{},"
                 "\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}},"
                 "\"clientInfo\":{\"name\":\"c\",\"title\":\"C\",\"version\":\"2\"}}}",
                 rows[i][0]);
        ASK(&a, H_TYPE, body);
        CHECK_OK(a.code);
        CHECK_INT(a.msg.era, FL_MCP_LEGACY);
        CHECK_STR(fl_mcp_version_text(a.msg.version), rows[i][1]);
        CHECK_SPAN(a.msg.requested_version, rows[i][0]);
        CHECK_SPAN(a.msg.client_title, "C");
        /* A handshake cannot switch the tasks extension on. */
        CHECK_INT(a.msg.client_caps, FL_MCP_CLIENT_ELICIT_FORM);
        ask_fini(&a);
    }
}

static void test_elicitation_without_kinds_means_forms(void)
{
    static const struct {
        const char *caps;
        unsigned bits;
    } rows[] = {
        { "{\"elicitation\":{}}", FL_MCP_CLIENT_ELICIT_FORM },
        { "{\"elicitation\":{\"form\":{}}}", FL_MCP_CLIENT_ELICIT_FORM },
        { "{\"elicitation\":{\"url\":{}}}", FL_MCP_CLIENT_ELICIT_URL },
        { "{\"elicitation\":{\"form\":{},\"url\":{}}}",
          FL_MCP_CLIENT_ELICIT_FORM | FL_MCP_CLIENT_ELICIT_URL },
        { "{\"elicitation\":{\"form\":true}}", 0 },
        { "{\"elicitation\":true,\"sampling\":1,\"roots\":null}", 0 },
        { "{}", 0 },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char body[400];
        struct ask a;
        snprintf(
            body, sizeof body,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{" V_KEY
            "," CAPS_KEY "%s}}}",
            rows[i].caps);
        ASK(&a, NULL, body);
        CHECK_OK(a.code);
        CHECK_INT(a.msg.client_caps, rows[i].bits);
        ask_fini(&a);
    }
}

static void test_a_call_without_an_id_is_never_a_call(void)
{
    struct ask a;
    ASK(&a, NULL, "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"t\"}}");
    CHECK_OK(a.code);
    CHECK_INT(a.msg.kind, FL_MCP_NOTIFICATION);
    CHECK_INT(a.msg.method, FL_MCP_UNKNOWN_METHOD);
    CHECK(!a.msg.name.p);
    ask_fini(&a);
}

static void test_cancelled_names_its_request(void)
{
    static const struct {
        const char *params, *id, *reason;
    } rows[] = {
        { "{\"requestId\":0,\"reason\":\"x\\u0079\"}", "0", "xy" },
        { "{\"requestId\":\"\\u0061\"}", "\"a\"", NULL },
        { "{\"requestId\":null}", NULL, NULL },
        { "{\"requestId\":{},\"reason\":7}", NULL, NULL },
        { "{}", NULL, NULL },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char body[200];
        struct ask a;
        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":%s}",
                 rows[i].params);
        ASK(&a, NULL, body);
        CHECK_OK(a.code);
        CHECK_INT(a.msg.method, FL_MCP_M_CANCELLED);
        CHECK_SPAN(a.msg.request_id, rows[i].id ? rows[i].id : "");
        CHECK_SPAN(a.msg.reason, rows[i].reason ? rows[i].reason : "");
        ask_fini(&a);
    }
}

static void test_a_response_is_handed_on_with_its_session(void)
{
    struct ask a;
    ask_init(&a, H_TYPE);
    ask_session(&a, FL_MCP_2025_11_25);
    ask_read(&a, "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-1,\"message\":\"no\"}}");
    CHECK_OK(a.code);
    CHECK_INT(a.msg.kind, FL_MCP_RESPONSE);
    CHECK_SPAN(a.msg.id, "7");
    CHECK(!a.msg.result.p);
    CHECK_SPAN(a.msg.error, "{\"code\":-1,\"message\":\"no\"}");
    ask_fini(&a);
}

static void test_a_batch_is_taken_apart(void)
{
    struct ask a;
    struct fl_str item;
    size_t pos = 0, n = 0;
    ask_init(&a, H_TYPE);
    ask_session(&a, FL_MCP_2025_03_26);
    ask_read(&a, "\n[ {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"} , "
                 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}, 7,"
                 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"initialize\",\"params\":{"
                 "\"protocolVersion\":\"2025-03-26\"}},[]]");
    CHECK_OK(a.code);
    CHECK_INT(a.msg.kind, FL_MCP_BATCH);
    a.facts.is_in_batch = true;
    static const struct {
        enum fl_code code;
        enum fl_mcp_kind kind;
        const char *text;
    } want[] = {
        { FL_OK, FL_MCP_REQUEST, NULL },
        { FL_OK, FL_MCP_NOTIFICATION, NULL },
        { FL_BAD_REQUEST, 0, "a message must be an object" },
        { FL_BAD_REQUEST, 0, "initialize cannot be part of a batch" },
        { FL_BAD_REQUEST, 0, "batches are not supported" },
    };
    struct fl_mcp_message batch = a.msg, msg;
    while (fl_mcp_batch_next(&batch, &pos, &item)) {
        struct fl_mcp_refusal refusal;
        CHECK(n < FL_COUNTOF(want));
        enum fl_code code = fl_mcp_read(a.arena, item, &a.facts, &msg, &refusal);
        CHECK_INT(code, want[n].code);
        if (code == FL_OK)
            CHECK_INT(msg.kind, want[n].kind);
        else
            CHECK_STR(refusal.err.text, want[n].text);
        n++;
    }
    CHECK_INT(n, 5);
    ask_fini(&a);
}

static void test_a_batch_has_a_bound(void)
{
    struct fl_buf body = FL_BUF_INIT;
    struct ask a;
    fl_buf_putc(&body, '[');
    for (int i = 0; i <= FL_MCP_BATCH_MAX; i++)
        fl_buf_printf(&body, "%s{}", i ? "," : "");
    fl_buf_putc(&body, ']');
    ask_init(&a, H_TYPE);
    ask_session(&a, FL_MCP_2025_03_26);
    ask_read(&a, body.p);
    CHECK_STR(a.refusal.err.text, "a batch has at most 64 messages");
    ask_fini(&a);
    fl_buf_fini(&body);
}

static void test_too_large_is_413(void)
{
    struct fl_buf body = FL_BUF_INIT;
    struct ask a;
    fl_buf_puts(&body,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"");
    for (int i = 0; i < 5 * 1024; i++)
        fl_buf_printf(&body, "%01024d", 0);
    fl_buf_puts(&body, "\"}}");
    ASK(&a, NULL, body.p);
    CHECK_INT(a.refusal.http, 413);
    CHECK_INT(a.refusal.rpc, -32600);
    ask_fini(&a);
    /* 65 containers inside one another */
    fl_buf_reset(&body);
    fl_buf_puts(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":");
    for (int i = 0; i < 65; i++)
        fl_buf_puts(&body, "{\"a\":");
    fl_buf_putc(&body, '1');
    for (int i = 0; i < 66; i++)
        fl_buf_putc(&body, '}');
    ASK(&a, NULL, body.p);
    CHECK_INT(a.refusal.http, 413);
    ask_fini(&a);
    fl_buf_fini(&body);
}

static void test_long_ids_and_keys_are_refused(void)
{
    char id[300], body[800];
    struct ask a;
    for (size_t n = 255; n <= 256; n++) {
        memset(id, 'x', n);
        id[n] = 0;
        snprintf(body, sizeof body, ID("\"%s\""), id);
        ASK(&a, NULL, body);
        CHECK_INT(a.code, n == 255 ? FL_OK : FL_BAD_REQUEST);
        ask_fini(&a);
        snprintf(body, sizeof body,
                 CALL("\"name\":\"t\",\"_meta\":{" V_KEY "," CAPS_KEY
                      "{},\"dev.flopinio/idempotencyKey\":\"%s\"}"),
                 id);
        ASK(&a, NULL, body);
        CHECK_INT(a.code, n == 255 ? FL_OK : FL_BAD_PARAMS);
        ask_fini(&a);
    }
}

static void test_a_strange_traceparent_is_dropped(void)
{
    static const char *const rows[] = {
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "",
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char body[400];
        struct ask a;
        snprintf(body, sizeof body,
                 LIST("\"_meta\":{" V_KEY "," CAPS_KEY "{},\"traceparent\":\"%s\"}"), rows[i]);
        ASK(&a, NULL, body);
        CHECK_OK(a.code);
        CHECK(!a.msg.traceparent.p);
        ask_fini(&a);
    }
}

static void test_only_senders_of_requests_hear_of_refusals(void)
{
    static const struct {
        const char *body;
        bool is_mute;
    } rows[] = {
        { "{\"jsonrpc\":\"1.0\",\"method\":\"notifications/x\"}", true },
        { "{\"jsonrpc\":\"2.0\",\"result\":{}}", true },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", true },
        { "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{\"_meta\":1}}", true },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"x\"}", false },
        { "{}", false },
        { "[]", false },
        { "nope", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        ASK(&a, NULL, rows[i].body);
        CHECK(a.code != FL_OK);
        CHECK_MSG(a.refusal.is_mute == rows[i].is_mute, "%s", rows[i].body);
        ask_fini(&a);
    }
}

static void test_refusing_after_the_reading(void)
{
    struct ask a;
    struct fl_buf out = FL_BUF_INIT;
    ASK(&a, NULL, CALL("\"name\":\"t\"," META));
    fl_mcp_refuse(&a.refusal, &a.msg, FL_BAD_PARAMS, 200, "unknown tool %s", "t");
    fl_mcp_put_refusal(&out, &a.refusal);
    CHECK_STR(out.p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,"
                     "\"message\":\"unknown tool t\"}}");
    CHECK_INT(a.refusal.http, 200);
    fl_buf_reset(&out);
    fl_mcp_refuse_capability(&a.refusal, &a.msg, FL_MCP_CLIENT_SAMPLING);
    fl_mcp_put_refusal(&out, &a.refusal);
    CHECK_STR(out.p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32021,\"message\":"
                     "\"this needs a client that declares sampling\","
                     "\"data\":{\"requiredCapabilities\":{\"sampling\":{}}}}}");
    CHECK_INT(a.refusal.http, 400);
    fl_buf_fini(&out);
    ask_fini(&a);
}

static const struct fl_test tests[] = {
    T(each_method_is_known_in_its_eras_only),
    T(what_is_not_served_is_not_known),
    T(a_modern_call_is_taken_apart),
    T(a_call_without_arguments_has_empty_ones),
    T(initialize_negotiates_a_legacy_version),
    T(elicitation_without_kinds_means_forms),
    T(a_call_without_an_id_is_never_a_call),
    T(cancelled_names_its_request),
    T(a_response_is_handed_on_with_its_session),
    T(a_batch_is_taken_apart),
    T(a_batch_has_a_bound),
    T(too_large_is_413),
    T(long_ids_and_keys_are_refused),
    T(a_strange_traceparent_is_dropped),
    T(only_senders_of_requests_hear_of_refusals),
    T(refusing_after_the_reading),
};
TEST_MAIN(tests)
