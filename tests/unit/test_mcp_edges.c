/* What a request that is not quite right is answered: the table of docs/protocol.md, row by row,
 * and the order of the checks. */
#include "mcp_fixture.h"

/* ---- the edge table: what we answer where servers differ ---- */
enum place { MODERN_HTTP, NO_SESSION, BAD_SESSION, SESSION, OLD_SESSION, SOCKET };

struct edge {
    const char *name;
    enum place place;
    const char *headers;
    const char *body;
    int http, rpc; /* 0: accepted */
    const char *text;
    const char *id, *data; /* NULL: left out */
};

#define NEEDS_TASKS                                                                                \
    "{\"requiredCapabilities\":{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}}"
#define BAD_ID    "the id must be an integer of 64 bits or a string of at most 255 bytes"
#define BAD_TOKEN "progressToken must be an integer or a string of at most 255 bytes"
#define LACKS     "params._meta lacks io.modelcontextprotocol/"

static const struct edge edges[] = {
    /* shape (steps 5) */
    { "broken_json", MODERN_HTTP, H_METHOD("tools/list"), "{", 400, -32700, "line 1", NULL, NULL },
    { "empty_body", MODERN_HTTP, H_METHOD("tools/list"), "", 400, -32700, "line 1", NULL, NULL },
    { "duplicate_key", MODERN_HTTP, H_METHOD("tools/list"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"\\u006dethod\":\"x\"}", 400,
      -32700, "line 1", NULL, NULL },
    { "nul_in_a_string", MODERN_HTTP, H_CALL("t"), CALL("\"name\":\"t\\u0000\"," META), 400, -32700,
      "line 1", NULL, NULL },
    { "invalid_utf8", MODERN_HTTP, H_CALL("t"), CALL("\"name\":\"\xff\"," META), 400, -32700,
      "line 1", NULL, NULL },
    { "batch", MODERN_HTTP, H_METHOD("tools/list"), "[" LIST(META) "]", 400, -32600,
      "batches are not supported", NULL, NULL },
    { "batch_in_a_newer_session", SESSION, H_TYPE, "[" LIST("") "]", 400, -32600,
      "batches are not supported", NULL, NULL },
    { "batch_with_a_modern_member", OLD_SESSION, H_TYPE, "[" LIST("") "," LIST(META) "]", 400,
      -32600, "a message of this version cannot be batched", NULL, NULL },
    { "batch_empty", OLD_SESSION, H_TYPE, "[]", 400, -32600, "a batch must not be empty", NULL,
      NULL },
    { "batch_accepted", OLD_SESSION, H_TYPE, "[" LIST("") "]", 0, 0, NULL, NULL, NULL },
    { "string_root", MODERN_HTTP, H_METHOD("x"), "\"x\"", 400, -32600,
      "a message must be an object", NULL, NULL },
    { "number_root", MODERN_HTTP, H_METHOD("x"), " 7 ", 400, -32600, "a message must be an object",
      NULL, NULL },
    { "no_method", MODERN_HTTP, H_METHOD("x"), "{\"jsonrpc\":\"2.0\",\"id\":1}", 400, -32600,
      "the method must be a string", "1", NULL },
    { "method_not_a_string", MODERN_HTTP, H_METHOD("x"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", 400, -32600, "the method must be a string",
      "1", NULL },
    { "old_jsonrpc", MODERN_HTTP, H_METHOD("x"), "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"x\"}",
      400, -32600, "jsonrpc must be \"2.0\"", "1", NULL },
    { "jsonrpc_as_a_number", MODERN_HTTP, H_METHOD("x"),
      "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"x\"}", 400, -32600, "jsonrpc must be \"2.0\"", "1",
      NULL },
    { "params_array", MODERN_HTTP, H_METHOD("tools/list"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":[]}", 400, -32600,
      "params must be an object", "1", NULL },
    { "foreign_envelope_member", MODERN_HTTP, H_METHOD("tools/list"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"Method\":\"tools/call\",\"params\":{" META
      "}}",
      400, -32600, "a message has no members but jsonrpc, id, method, params, result and error",
      "1", NULL },
    { "folded_envelope_member", MODERN_HTTP, H_METHOD("tools/list"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"param\xc5\xbf\":{}}", 400, -32600,
      "a message has no members but", "1", NULL },
    { "escaped_envelope_member", MODERN_HTTP, H_METHOD("tools/list"),
      "{\"jsonrpc\":\"2.0\",\"i\\u0064\" : 1 ,\"method\":\"tools/list\",\"params\":{" META "}}", 0,
      0, NULL, NULL, NULL },
    { "method_and_result", MODERN_HTTP, H_METHOD("x"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"result\":{}}", 400, -32600,
      "a message with a method has no result and no error", "1", NULL },
    { "result_and_error", SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", 400, -32600,
      "a response has an id and either a result or an error", "1", NULL },
    { "result_without_id", SESSION, H_TYPE, "{\"jsonrpc\":\"2.0\",\"result\":{}}", 400, -32600,
      "a response has an id and either a result or an error", NULL, NULL },

    /* ids */
    { "id_null", MODERN_HTTP, H_METHOD("tools/list"), ID("null"), 400, -32600, BAD_ID, NULL, NULL },
    { "id_fraction", MODERN_HTTP, H_METHOD("tools/list"), ID("1.5"), 400, -32600, BAD_ID, NULL,
      NULL },
    { "id_real", MODERN_HTTP, H_METHOD("tools/list"), ID("1.0"), 400, -32600, BAD_ID, NULL, NULL },
    { "id_exponent", MODERN_HTTP, H_METHOD("tools/list"), ID("1e0"), 400, -32600, BAD_ID, NULL,
      NULL },
    { "id_object", MODERN_HTTP, H_METHOD("tools/list"), ID("{}"), 400, -32600, BAD_ID, NULL, NULL },
    { "id_true", MODERN_HTTP, H_METHOD("tools/list"), ID("true"), 400, -32600, BAD_ID, NULL, NULL },
    { "id_beyond_64_bits", MODERN_HTTP, H_METHOD("tools/list"), ID("9223372036854775808"), 400,
      -32600, BAD_ID, NULL, NULL },
    { "id_0", MODERN_HTTP, H_METHOD("tools/list"), ID("0"), 0, 0, NULL, "0", NULL },
    { "id_minus", MODERN_HTTP, H_METHOD("tools/list"), ID("-1"), 0, 0, NULL, "-1", NULL },
    { "id_minus_0", MODERN_HTTP, H_METHOD("tools/list"), ID("-0"), 0, 0, NULL, "0", NULL },
    { "id_large", MODERN_HTTP, H_METHOD("tools/list"), ID("9223372036854775807"), 0, 0, NULL,
      "9223372036854775807", NULL },
    { "id_empty_string", MODERN_HTTP, H_METHOD("tools/list"), ID("\"\""), 0, 0, NULL, "\"\"",
      NULL },
    { "id_digits_in_a_string", MODERN_HTTP, H_METHOD("tools/list"), ID("\"1\""), 0, 0, NULL,
      "\"1\"", NULL },
    { "id_with_escapes", MODERN_HTTP, H_METHOD("tools/list"), ID("\"\\u0061\\/\\n\""), 0, 0, NULL,
      "\"a/\\n\"", NULL },

    /* which era */
    { "modern_header_without_meta", MODERN_HTTP, H_METHOD("tools/list"), LIST(""), 400, -32602,
      LACKS "protocolVersion (a string) and io.modelcontextprotocol/clientCapabilities (an object)",
      "1", NULL },
    { "unknown_version_header_without_meta", SESSION, H_TYPE "MCP-Protocol-Version: 1999-01-01\n",
      LIST(""), 400, -32602, LACKS, "1", NULL },
    { "modern_meta_without_header", NO_SESSION, H_TYPE, LIST(META), 400, -32020,
      "header MCP-Protocol-Version is required", "1", NULL },
    { "initialize_under_a_modern_header", MODERN_HTTP, H_METHOD("initialize"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}", 400, -32020,
      "initialize is of an older version than header MCP-Protocol-Version names", "1", NULL },
    { "modern_initialize", MODERN_HTTP, H_METHOD("initialize"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{" META "}}", 404, -32601,
      "unknown method initialize", "1", NULL },
    { "modern_ping", MODERN_HTTP, H_METHOD("ping"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{" META "}}", 404, -32601,
      "unknown method ping", "1", NULL },
    { "version_header_twice", MODERN_HTTP,
      H_METHOD("tools/list") "mcp-protocol-version: 2026-07-28\n", LIST(META), 400, -32020,
      "header MCP-Protocol-Version stands twice", "1", NULL },
    { "meta_not_an_object", MODERN_HTTP, H_METHOD("tools/list"), LIST("\"_meta\":[]"), 400, -32602,
      "params._meta must be an object", "1", NULL },
    { "response_under_a_modern_header", MODERN_HTTP, H_MODERN,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 400, -32600,
      "clients send no responses in this version", "1", NULL },
    { "modern_notification", MODERN_HTTP, H_MODERN,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}", 0, 0, NULL, NULL, NULL },
    { "modern_notification_with_claim", MODERN_HTTP, H_MODERN,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{\"_meta\":{" V_KEY "}}}", 0,
      0, NULL, NULL, NULL },
    { "modern_notification_of_another_version", MODERN_HTTP, H_MODERN,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":{\"_meta\":{"
      "\"io.modelcontextprotocol/protocolVersion\":\"2025-11-25\"}}}",
      400, -32020, "header MCP-Protocol-Version and params._meta name different versions", NULL,
      NULL },

    /* step 6 */
    { "claim_not_a_string", MODERN_HTTP, H_METHOD("tools/list"),
      LIST("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":7," CAPS_KEY "{}}"), 400, -32602,
      LACKS "protocolVersion (a string)", "1", NULL },
    { "caps_missing", MODERN_HTTP, H_METHOD("tools/list"), LIST("\"_meta\":{" V_KEY "}"), 400,
      -32602, LACKS "clientCapabilities (an object)", "1", NULL },
    { "caps_not_an_object", MODERN_HTTP, H_METHOD("tools/list"), LIST(META_CAPS("[]")), 400, -32602,
      LACKS "clientCapabilities (an object)", "1", NULL },
    /* steps 7 and 8 */
    { "versions_differ", MODERN_HTTP, H_METHOD("tools/list"),
      LIST("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v999\"," CAPS_KEY "{}}"), 400,
      -32020, "header MCP-Protocol-Version and params._meta name different versions", "1", NULL },
    { "version_unknown", NO_SESSION,
      H_TYPE "MCP-Protocol-Version: v999\nMcp-Method: server/discover\n",
      DISCOVER("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v999\"," CAPS_KEY "{}}"),
      400, -32022, "unsupported protocol version", "1",
      "{\"supported\":[\"2026-07-28\"],\"requested\":\"v999\"}" },
    { "version_that_needs_a_handshake", SESSION, H_TYPE "MCP-Protocol-Version: 2025-11-25\n",
      LIST("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2025-11-25\"," CAPS_KEY "{}}"),
      400, -32022, "this protocol version needs the initialize handshake", "1",
      "{\"supported\":[\"2026-07-28\"],\"requested\":\"2025-11-25\"}" },
    /* step 9 */
    { "method_header_missing", MODERN_HTTP, H_MODERN, LIST(META), 400, -32020,
      "header Mcp-Method is required once", "1", NULL },
    { "method_header_differs", MODERN_HTTP, H_METHOD("prompts/list"), LIST(META), 400, -32020,
      "header Mcp-Method does not match the method", "1", NULL },
    { "method_header_in_capitals", MODERN_HTTP, H_METHOD("TOOLS/LIST"), LIST(META), 400, -32020,
      "header Mcp-Method does not match the method", "1", NULL },
    { "method_header_twice", MODERN_HTTP, H_METHOD("tools/list") "Mcp-Method: tools/list\n",
      LIST(META), 400, -32020, "header Mcp-Method is required once", "1", NULL },
    { "method_header_in_blanks", MODERN_HTTP, H_MODERN "MCP-METHOD: \t tools/list  \n", LIST(META),
      0, 0, NULL, "1", NULL },
    /* step 10 */
    { "name_header_missing", MODERN_HTTP, H_METHOD("tools/call"), CALL("\"name\":\"t\"," META), 400,
      -32020, "header Mcp-Name is required once", "1", NULL },
    { "name_header_differs", MODERN_HTTP, H_CALL("u"), CALL("\"name\":\"t\"," META), 400, -32020,
      "header Mcp-Name does not match params.name", "1", NULL },
    { "name_header_without_name", MODERN_HTTP, H_CALL("t"), CALL(META), 400, -32020,
      "header Mcp-Name does not match params.name", "1", NULL },
    { "name_header_twice", MODERN_HTTP, H_CALL("t") "mcp-name: t\n", CALL("\"name\":\"t\"," META),
      400, -32020, "header Mcp-Name is required once", "1", NULL },
    { "name_header_in_blanks", MODERN_HTTP, H_CALL("   t  "), CALL("\"name\":\"t\"," META), 0, 0,
      NULL, "1", NULL },
    { "name_header_in_base64", MODERN_HTTP, H_CALL("=?base64?w6k=?="),
      CALL("\"name\":\"\xc3\xa9\"," META), 0, 0, NULL, "1", NULL },
    { "name_header_in_bad_base64", MODERN_HTTP, H_CALL("=?base64?w6k?="),
      CALL("\"name\":\"\xc3\xa9\"," META), 400, -32020,
      "header Mcp-Name does not match params.name", "1", NULL },
    { "name_header_raw_utf8", MODERN_HTTP, H_CALL("\xc3\xa9"), CALL("\"name\":\"\xc3\xa9\"," META),
      400, -32020, "header Mcp-Name does not match params.name", "1", NULL },
    { "name_header_of_a_task", MODERN_HTTP, H_METHOD("tasks/get") "Mcp-Name: T2\n",
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/get\",\"params\":{\"taskId\":\"T1\"," META_CAPS(
          TASKS_CAPS) "}}",
      400, -32020, "header Mcp-Name does not match params.taskId", "1", NULL },
    { "name_header_of_a_resource", MODERN_HTTP, H_METHOD("resources/read") "Mcp-Name: file:///a\n",
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"file:///a\"," META
      "}}",
      0, 0, NULL, "1", NULL },
    { "name_header_where_none_is_due", MODERN_HTTP, H_METHOD("tools/list") "Mcp-Name: x\n",
      LIST(META), 0, 0, NULL, "1", NULL },
    /* step 11 */
    { "log_level_bad", MODERN_HTTP, H_METHOD("tools/list"),
      LIST("\"_meta\":{" V_KEY "," CAPS_KEY "{},\"io.modelcontextprotocol/logLevel\":\"loud\"}"),
      400, -32602, "io.modelcontextprotocol/logLevel must be one of the eight log levels", "1",
      NULL },
    { "log_level_number", MODERN_HTTP, H_METHOD("tools/list"),
      LIST("\"_meta\":{" V_KEY "," CAPS_KEY "{},\"io.modelcontextprotocol/logLevel\":3}"), 400,
      -32602, "io.modelcontextprotocol/logLevel must be one of the eight log levels", "1", NULL },
    { "progress_token_object", MODERN_HTTP, H_METHOD("tools/list"),
      LIST("\"_meta\":{" V_KEY "," CAPS_KEY "{},\"progressToken\":{}}"), 400, -32602, BAD_TOKEN,
      "1", NULL },
    { "progress_token_fraction_legacy", SESSION, H_TYPE, LIST("\"_meta\":{\"progressToken\":1.5}"),
      400, -32602, BAD_TOKEN, "1", NULL },
    { "idempotency_key_empty", MODERN_HTTP, H_CALL("t"),
      CALL("\"name\":\"t\",\"_meta\":{" V_KEY "," CAPS_KEY
           "{},\"dev.flopinio/idempotencyKey\":\"\"}"),
      400, -32602, "dev.flopinio/idempotencyKey must be a string of 1 to 255 bytes", "1", NULL },
    { "justification_number", SESSION, H_TYPE,
      CALL("\"name\":\"t\",\"_meta\":{\"dev.flopinio/justification\":7}"), 400, -32602,
      "dev.flopinio/justification must be a string of at most 4000 bytes", "1", NULL },
    /* step 12 */
    { "unknown_method_modern", MODERN_HTTP, H_METHOD("tools/eat"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/eat\",\"params\":{" META "}}", 404, -32601,
      "unknown method tools/eat", "1", NULL },
    { "unknown_method_legacy", SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/eat\"}", 200, -32601,
      "unknown method tools/eat", "1", NULL },
    { "tasks_list_modern", MODERN_HTTP, H_METHOD("tasks/list"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/list\",\"params\":{" META_CAPS(
          TASKS_CAPS) "}}",
      404, -32601, "unknown method tasks/list", "1", NULL },
    { "tasks_get_legacy", SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/get\",\"params\":{\"taskId\":\"T\"}}", 200,
      -32601, "unknown method tasks/get", "1", NULL },
    { "request_with_a_notification_s_method", SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/initialized\"}", 200, -32601,
      "unknown method notifications/initialized", "1", NULL },
    /* step 13 */
    { "tasks_get_undeclared", MODERN_HTTP, H_METHOD("tasks/get") "Mcp-Name: T\n",
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/get\",\"params\":{\"taskId\":\"T\"," META
      "}}",
      400, -32021, "this needs a client that declares the tasks extension", "1", NEEDS_TASKS },
    { "tasks_declared_as_true", MODERN_HTTP, H_METHOD("tasks/cancel") "Mcp-Name: T\n",
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/cancel\",\"params\":{\"taskId\":\"T\"," META_CAPS(
          "{\"extensions\":{\"io.modelcontextprotocol/tasks\":true}}") "}}",
      400, -32021, "this needs a client that declares the tasks extension", "1", NEEDS_TASKS },
    { "listen_to_tasks_undeclared", MODERN_HTTP, H_METHOD("subscriptions/listen"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":{"
      "\"taskIds\":[]}," META "}}",
      400, -32021, "this needs a client that declares the tasks extension", "1", NEEDS_TASKS },
    /* step 15 */
    { "arguments_array", MODERN_HTTP, H_CALL("t"), CALL("\"name\":\"t\",\"arguments\":[]," META),
      200, -32602, "params.arguments must be an object", "1", NULL },
    { "arguments_null_legacy", SESSION, H_TYPE, CALL("\"name\":\"t\",\"arguments\":null"), 200,
      -32602, "params.arguments must be an object", "1", NULL },
    { "name_missing", MODERN_HTTP, H_METHOD("tools/call"), CALL(META), 200, -32602,
      "params.name must be a string", "1", NULL },
    { "name_number_legacy", SESSION, H_TYPE, CALL("\"name\":7"), 200, -32602,
      "params.name must be a string", "1", NULL },
    { "cursor_number", MODERN_HTTP, H_METHOD("tools/list"), LIST("\"cursor\":1," META), 200, -32602,
      "params.cursor must be a string", "1", NULL },
    { "task_id_missing", MODERN_HTTP, H_METHOD("tasks/get"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/get\",\"params\":{" META_CAPS(
          TASKS_CAPS) "}}",
      200, -32602, "params.taskId must be a string", "1", NULL },
    { "task_update_without_responses", MODERN_HTTP, H_METHOD("tasks/update") "Mcp-Name: T\n",
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/update\",\"params\":{\"taskId\":\"T\"," META_CAPS(
          TASKS_CAPS) "}}",
      200, -32602, "params.inputResponses must be an object", "1", NULL },
    { "listen_without_filter", MODERN_HTTP, H_METHOD("subscriptions/listen"),
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{" META "}}",
      200, -32602, "params.notifications must be an object", "1", NULL },
    { "level_unknown_legacy", SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"x\"}}",
      200, -32602, "params.level must be one of the eight log levels", "1", NULL },
    { "request_state_number", MODERN_HTTP, H_CALL("t"),
      CALL("\"name\":\"t\",\"requestState\":1," META), 200, -32602,
      "params.requestState must be a string", "1", NULL },
    { "input_responses_array", MODERN_HTTP, H_CALL("t"),
      CALL("\"name\":\"t\",\"inputResponses\":[]," META), 200, -32602,
      "params.inputResponses must be an object", "1", NULL },

    /* legacy sessions */
    { "legacy_without_session", NO_SESSION, H_TYPE, LIST(""), 400, -32000,
      "header Mcp-Session-Id is required after initialize", "1", NULL },
    { "legacy_with_a_bad_session", BAD_SESSION, H_TYPE, LIST(""), 404, -32001, "session not found",
      "1", NULL },
    { "legacy_notification_without_session", NO_SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", 400, -32000,
      "header Mcp-Session-Id is required after initialize", NULL, NULL },
    { "response_without_session", NO_SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 400, -32000,
      "header Mcp-Session-Id is required after initialize", "1", NULL },
    { "legacy_accepts_json_only", SESSION, "Accept: application/json\n", LIST(""), 406, -32000,
      "the client must accept application/json and text/event-stream", "1", NULL },
    { "legacy_accepts_anything", SESSION, "Accept: */*\n", LIST(""), 0, 0, NULL, "1", NULL },
    { "legacy_version_header_of_2024", SESSION, H_TYPE "MCP-Protocol-Version: 2024-11-05\n",
      LIST(""), 0, 0, NULL, "1", NULL },
    { "modern_accepts_json_only", MODERN_HTTP,
      "Accept: application/json\nMCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/list\n",
      LIST(META), 0, 0, NULL, "1", NULL },
    { "initialize_without_version", NO_SESSION, H_TYPE,
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}", 200, -32602,
      "params.protocolVersion must be a string", "1", NULL },

    /* WebSocket: no headers, the same body rule */
    { "socket_modern", SOCKET, NULL, CALL("\"name\":\"t\"," META), 0, 0, NULL, "1", NULL },
    { "socket_version_unknown", SOCKET, NULL,
      LIST("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v9\"," CAPS_KEY "{}}"), 400,
      -32022, "unsupported protocol version", "1",
      "{\"supported\":[\"2026-07-28\"],\"requested\":\"v9\"}" },
    { "socket_caps_missing", SOCKET, NULL, LIST("\"_meta\":{" V_KEY "}"), 400, -32602,
      LACKS "clientCapabilities (an object)", "1", NULL },
    { "socket_legacy", SOCKET, NULL, LIST(""), 0, 0, NULL, "1", NULL },
};

static void place(struct ask *a, enum place where)
{
    switch (where) {
    case SESSION: ask_session(a, FL_MCP_2025_11_25); break;
    case OLD_SESSION: ask_session(a, FL_MCP_2025_03_26); break;
    case BAD_SESSION: a->facts.session = FL_MCP_SESSION_GONE; break;
    default: break;
    }
}

static void test_each_edge_is_answered_as_documented(void)
{
    size_t refused = 0, accepted = 0;
    for (size_t i = 0; i < FL_COUNTOF(edges); i++) {
        const struct edge *e = &edges[i];
        struct ask a;
        struct fl_buf out = FL_BUF_INIT;
        ask_init(&a, e->headers);
        place(&a, e->place);
        ask_read(&a, e->body);
        if (e->rpc == 0) {
            CHECK_MSG(a.code == FL_OK, "%s: refused: %s", e->name, a.refusal.err.text);
            if (e->id)
                CHECK_MSG(fl_str_is(a.msg.id, e->id), "%s: id %.*s", e->name, FL_STR_ARG(a.msg.id));
            accepted++;
            ask_fini(&a);
            continue;
        }
        CHECK_MSG(a.code != FL_OK, "%s: accepted", e->name);
        CHECK_MSG(a.refusal.http == e->http && a.refusal.rpc == e->rpc, "%s: %d %d %s", e->name,
                  a.refusal.http, a.refusal.rpc, a.refusal.err.text);
        CHECK_MSG(strncmp(a.refusal.err.text, e->text, strlen(e->text)) == 0, "%s: %s", e->name,
                  a.refusal.err.text);
        CHECK_MSG(e->id ? fl_str_is(a.refusal.id, e->id) : a.refusal.id.p == NULL, "%s: id",
                  e->name);
        CHECK_MSG(e->data ? fl_str_is(a.refusal.data, e->data) : a.refusal.data.p == NULL,
                  "%s: data %.*s", e->name, FL_STR_ARG(a.refusal.data));
        fl_mcp_put_refusal(&out, &a.refusal);
        check_message(&out);
        fl_buf_fini(&out);
        refused++;
        ask_fini(&a);
    }
    /* The table must not shrink unseen. */
    CHECK_INT(refused, 88);
    CHECK_INT(accepted, 21);
}

static void test_the_first_failure_wins(void)
{
    /* One request that is wrong in every way; mended step by step, each refusal is the next one. */
    static const struct {
        const char *headers, *body;
        int rpc;
        const char *text;
    } steps[] = {
        { H_TYPE,
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{\"io.modelcontextprotocol/"
               "protocolVersion\":\"v9\"}"),
          -32602, "params._meta lacks" },
        { H_TYPE,
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{\"io.modelcontextprotocol/"
               "protocolVersion\":\"v9\"," CAPS_KEY "{}}"),
          -32020, "header MCP-Protocol-Version is required" },
        { H_TYPE "MCP-Protocol-Version: v9\n",
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{\"io.modelcontextprotocol/"
               "protocolVersion\":\"v9\"," CAPS_KEY "{}}"),
          -32022, "unsupported" },
        { H_MODERN,
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{" V_KEY "," CAPS_KEY
               "{},\"io.modelcontextprotocol/logLevel\":1,\"progressToken\":[]}"),
          -32020, "header Mcp-Method" },
        { H_METHOD("tools/call"),
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{" V_KEY "," CAPS_KEY
               "{},\"io.modelcontextprotocol/logLevel\":1,\"progressToken\":[]}"),
          -32020, "header Mcp-Name" },
        { H_CALL("t"),
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{" V_KEY "," CAPS_KEY
               "{},\"io.modelcontextprotocol/logLevel\":1,\"progressToken\":[]}"),
          -32602, "io.modelcontextprotocol/logLevel" },
        { H_CALL("t"),
          CALL("\"name\":\"t\",\"arguments\":[],\"_meta\":{" V_KEY "," CAPS_KEY
               "{},\"progressToken\":[]}"),
          -32602, "progressToken" },
        { H_CALL("t"), CALL("\"name\":\"t\",\"arguments\":[]," META), -32601, "unknown method" },
    };
    for (size_t i = 0; i < FL_COUNTOF(steps); i++) {
        struct ask a;
        ask_init(&a, steps[i].headers);
        a.facts.serves = 0;
        ask_read(&a, steps[i].body);
        CHECK_INT(a.refusal.rpc, steps[i].rpc);
        CHECK_MSG(strncmp(a.refusal.err.text, steps[i].text, strlen(steps[i].text)) == 0, "%zu: %s",
                  i, a.refusal.err.text);
        ask_fini(&a);
    }
}

static void test_verbs_belong_to_legacy_sessions(void)
{
    static const struct {
        const char *verb;
        enum fl_mcp_session_fact session;
        int http;
    } rows[] = {
        { "GET", FL_MCP_SESSION_NONE, 405 },     { "DELETE", FL_MCP_SESSION_NONE, 405 },
        { "GET", FL_MCP_SESSION_LIVE, 0 },       { "DELETE", FL_MCP_SESSION_LIVE, 0 },
        { "GET", FL_MCP_SESSION_GONE, 404 },     { "DELETE", FL_MCP_SESSION_GONE, 404 },
        { "PUT", FL_MCP_SESSION_LIVE, 405 },     { "get", FL_MCP_SESSION_LIVE, 405 },
        { "OPTIONS", FL_MCP_SESSION_NONE, 405 },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_mcp_facts facts = { .session = rows[i].session };
        struct fl_mcp_refusal refusal = { .http = 0 };
        enum fl_code code = fl_mcp_check_verb(fl_str_of(rows[i].verb), &facts, &refusal);
        CHECK_INT(code == FL_OK ? 0 : refusal.http, rows[i].http);
    }
}

static const struct fl_test tests[] = {
    T(each_edge_is_answered_as_documented),
    T(the_first_failure_wins),
    T(verbs_belong_to_legacy_sessions),
};
TEST_MAIN(tests)
