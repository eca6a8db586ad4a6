/* Every message that we send, as each version knows it. */
#include "flopinio/base/mem.h"
#include "mcp_fixture.h"

static const struct fl_mcp_server server = {
    .name = { "flopinio", 8 },
    .title = { "Flop \"in\" io", 12 },
    .version = { "1.2", 3 },
    .instructions = { "Ask first.", 10 },
    .serves = FL_MCP_SERVES_TOOLS | FL_MCP_SERVES_TASKS | FL_MCP_SERVES_COMPLETIONS,
    .list_ttl_ms = 5000,
};
#define INFO_TITLED "{\"name\":\"flopinio\",\"title\":\"Flop \\\"in\\\" io\",\"version\":\"1.2\"}"
#define INFO        "{\"name\":\"flopinio\",\"version\":\"1.2\"}"
#define META_INFO   "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":" INFO_TITLED "}"

static struct fl_mcp_to to(enum fl_mcp_version version, const char *id)
{
    return (struct fl_mcp_to){ version, fl_str_of(id) };
}

/* The buffer is one message and just this one; empties it. */
static void check(struct fl_buf *out, const char *want)
{
    check_message(out);
    CHECK_STR(out->p, want);
    fl_buf_reset(out);
}

static void test_errors(void)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_error(&out, FL_STR("\"a\""), -32602, FL_STR("no \"x\""), FL_STR("{\"k\":1}"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32602,"
                "\"message\":\"no \\\"x\\\"\",\"data\":{\"k\":1}}}");
    /* An id that could not be read is left out, not null. */
    fl_mcp_put_error(&out, (struct fl_str){ NULL, 0 }, -32700, FL_STR("bad \xff text"),
                     (struct fl_str){ NULL, 0 });
    check(&out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,"
                "\"message\":\"bad \xef\xbf\xbd text\"}}");
    fl_buf_fini(&out);
}

static void test_initialize_by_version(void)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to old = to(FL_MCP_2024_11_05, "0"), middle = to(FL_MCP_2025_03_26, "0"),
                     newest = to(FL_MCP_2025_11_25, "0");
    fl_mcp_put_initialize(&out, &server, &old);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2024-11-05\","
                "\"capabilities\":{\"tools\":{\"listChanged\":true}},\"serverInfo\":" INFO
                ",\"instructions\":\"Ask first.\"}}");
    fl_mcp_put_initialize(&out, &server, &middle);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-03-26\","
                "\"capabilities\":{\"tools\":{\"listChanged\":true},\"completions\":{}},"
                "\"serverInfo\":" INFO ",\"instructions\":\"Ask first.\"}}");
    /* The tasks extension is modern only; nothing of resultType and _meta before. */
    fl_mcp_put_initialize(&out, &server, &newest);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-11-25\","
                "\"capabilities\":{\"tools\":{\"listChanged\":true},\"completions\":{}},"
                "\"serverInfo\":" INFO_TITLED ",\"instructions\":\"Ask first.\"}}");
    fl_buf_fini(&out);
}

static void test_discover_offers_what_is_served(void)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to modern = to(FL_MCP_2026_07_28, "0");
    struct fl_mcp_server bare = { .name = FL_STR("n"), .version = FL_STR("v") };
    fl_mcp_put_discover(&out, &server, &modern);
    check(&out,
          "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"resultType\":\"complete\","
          "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{"
          "\"tools\":{\"listChanged\":true},\"completions\":{},"
          "\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}},"
          "\"instructions\":\"Ask first.\",\"ttlMs\":5000,\"cacheScope\":\"private\"," META_INFO
          "}}");
    bare.serves = FL_MCP_SERVES_RESOURCES | FL_MCP_SERVES_PROMPTS | FL_MCP_SERVES_LOGGING;
    fl_mcp_put_discover(&out, &bare, &modern);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"resultType\":\"complete\","
                "\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{"
                "\"prompts\":{\"listChanged\":true},\"resources\":{\"listChanged\":true},"
                "\"logging\":{}},\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{"
                "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"n\",\"version\":\"v\"}}}}");
    bare.serves |= FL_MCP_SERVES_RESOURCE_UPDATES;
    bare.serves &= ~(unsigned)FL_MCP_SERVES_PROMPTS;
    fl_mcp_put_discover(&out, &bare, &modern);
    CHECK(strstr(out.p, "\"resources\":{\"subscribe\":true,\"listChanged\":true}"));
    fl_buf_fini(&out);
}

static void test_empty_and_other_results(void)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to legacy = to(FL_MCP_2025_11_25, "7"), modern = to(FL_MCP_2026_07_28, "7");
    fl_mcp_put_empty(&out, &server, &legacy);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}");
    fl_mcp_put_empty(&out, &server, &modern);
    check(&out,
          "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"resultType\":\"complete\"," META_INFO "}}");
    fl_mcp_put_members(&out, &server, &legacy, FL_STR("\"prompts\":[]"), true, 10);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"prompts\":[]}}");
    fl_mcp_put_members(&out, &server, &modern, FL_STR("\"contents\":[]"), true, -3);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"resultType\":\"complete\","
                "\"contents\":[],\"ttlMs\":0,\"cacheScope\":\"private\"," META_INFO "}}");
    fl_mcp_put_members(&out, &server, &modern, FL_STR("\"messages\":[]"), false, 0);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"resultType\":\"complete\","
                "\"messages\":[]," META_INFO "}}");
    fl_buf_fini(&out);
}

/* ---- tools/list ---- */
#define DEFINITION                                                                                 \
    "{\"annotations\":{\"destructiveHint\":false,\"readOnlyHint\":true},\"card\":\"Do {x}\","      \
    "\"description\":\"d\",\"execution\":{\"taskSupport\":\"required\"},\"icons\":[],"             \
    "\"inputSchema\":{\"type\":\"object\",\"x-keep\":{\"b\":1,\"a\":2}},\"name\":\"orig\","        \
    "\"outputSchema\":{\"type\":\"object\"},\"task\":1,\"title\":\"T\",\"_meta\":{\"k\":1}}"

static void test_definitions_by_version(void)
{
    static const struct {
        enum fl_mcp_version version;
        const char *tool;
    } rows[] = {
        { FL_MCP_2024_11_05,
          "{\"name\":\"up__orig\",\"description\":\"d\","
          "\"inputSchema\":{\"type\":\"object\",\"x-keep\":{\"b\":1,\"a\":2}}}" },
        { FL_MCP_2025_03_26, "{\"name\":\"up__orig\",\"description\":\"d\","
                             "\"inputSchema\":{\"type\":\"object\",\"x-keep\":{\"b\":1,\"a\":2}},"
                             "\"annotations\":{\"destructiveHint\":false,\"readOnlyHint\":true}}" },
        { FL_MCP_2025_06_18, "{\"name\":\"up__orig\",\"title\":\"T\",\"description\":\"d\","
                             "\"inputSchema\":{\"type\":\"object\",\"x-keep\":{\"b\":1,\"a\":2}},"
                             "\"outputSchema\":{\"type\":\"object\"},"
                             "\"annotations\":{\"destructiveHint\":false,\"readOnlyHint\":true},"
                             "\"_meta\":{\"k\":1}}" },
        { FL_MCP_2025_11_25,
          "{\"name\":\"up__orig\",\"title\":\"T\",\"description\":\"d\",\"icons\":[],"
          "\"inputSchema\":{\"type\":\"object\",\"x-keep\":{\"b\":1,\"a\":2}},"
          "\"outputSchema\":{\"type\":\"object\"},"
          "\"annotations\":{\"destructiveHint\":false,\"readOnlyHint\":true},"
          "\"_meta\":{\"k\":1}}" },
    };
    const struct fl_mcp_tool tool = { FL_STR("up__orig"), FL_STR(DEFINITION), false };
    const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
    struct fl_buf out = FL_BUF_INIT, want = FL_BUF_INIT;
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_mcp_to whom = to(rows[i].version, "1");
        fl_buf_reset(&want);
        fl_buf_printf(&want, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[%s]}}",
                      rows[i].tool);
        fl_mcp_put_tools(&out, &server, &whom, &tools);
        check(&out, want.p);
    }
    /* Modern shows what 2025-11-25 shows, and the hints. */
    struct fl_mcp_to modern = to(FL_MCP_2026_07_28, "1");
    fl_buf_reset(&want);
    fl_buf_printf(&want,
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
                  "\"tools\":[%s],\"ttlMs\":5000,\"cacheScope\":\"private\"," META_INFO "}}",
                  rows[3].tool);
    fl_mcp_put_tools(&out, &server, &modern, &tools);
    check(&out, want.p);
    fl_buf_fini(&want);
    fl_buf_fini(&out);
}

static void test_output_schemas_of_other_types_are_modern(void)
{
    const struct fl_mcp_tool tool = {
        FL_STR("t"), FL_STR("{\"inputSchema\":{},\"outputSchema\":{\"type\":\"array\"}}"), false
    };
    const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
    struct fl_buf out = FL_BUF_INIT;
    for (int v = FL_MCP_2024_11_05; v < FL_MCP_VERSION_END; v++) {
        struct fl_mcp_to whom = to((enum fl_mcp_version)v, "1");
        fl_mcp_put_tools(&out, &server, &whom, &tools);
        CHECK(!strstr(out.p, "outputSchema") == (v != FL_MCP_2026_07_28));
        fl_buf_reset(&out);
    }
    fl_buf_fini(&out);
}

static void test_held_tools_are_never_shown_as_reads(void)
{
    static const struct {
        const char *definition, *want;
    } rows[] = {
        { "{\"annotations\":{\"readOnlyHint\":true,\"title\":\"x\"},\"inputSchema\":{}}",
          "\"annotations\":{\"readOnlyHint\":false,\"title\":\"x\"}" },
        { "{\"annotations\":{\"title\":\"x\",\"read\\u004fnlyHint\":true},\"inputSchema\":{}}",
          "\"annotations\":{\"readOnlyHint\":false,\"title\":\"x\"}" },
        { "{\"annotations\":{},\"inputSchema\":{}}", "\"annotations\":{\"readOnlyHint\":false}" },
    };
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to whom = to(FL_MCP_2025_11_25, "1");
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        const struct fl_mcp_tool tool = { FL_STR("t"), fl_str_of(rows[i].definition), true };
        const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
        fl_mcp_put_tools(&out, &server, &whom, &tools);
        check_message(&out);
        CHECK_MSG(strstr(out.p, rows[i].want), "%s", out.p);
        CHECK(!strstr(out.p, "true"));
        fl_buf_reset(&out);
    }
    fl_buf_fini(&out);
}

static void test_pages_follow_their_cursors(void)
{
    struct fl_mcp_tool list[7];
    struct fl_mcp_tools tools = { .list = list, .count = 7, .page = 3, .list_version = 42 };
    struct fl_mcp_to whom = to(FL_MCP_2025_06_18, "1");
    struct fl_buf out = FL_BUF_INIT;
    size_t seen = 0, pages = 0;
    static char names[7][3];
    for (size_t i = 0; i < 7; i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        list[i] =
            (struct fl_mcp_tool){ fl_str_of(names[i]), FL_STR("{\"inputSchema\":{}}"), false };
    }
    for (;;) {
        struct fl_arena *arena = fl_arena_new(0);
        static const struct fl_scan_pick picks[] = { { { "result", "tools" } },
                                                     { { "result", "nextCursor" } } };
        struct fl_str found[2], item;
        struct fl_err err;
        size_t pos = 0;
        fl_buf_reset(&out);
        fl_mcp_put_tools(&out, &server, &whom, &tools);
        CHECK_OK(fl_scan(fl_buf_view(&out), &fl_scan_call, picks, 2, found, &err));
        for (; fl_span_next_item(found[0], &pos, &item); seen++)
            CHECK(fl_span_is(fl_span_get(item, "name"), names[seen]));
        pages++;
        if (found[1].p)
            CHECK_OK(fl_mcp_cursor_read(fl_span_string(arena, found[1]), 42, 7, &tools.from, &err));
        fl_arena_free(&arena);
        if (!found[1].p)
            break;
    }
    CHECK_INT(seen, 7);
    CHECK_INT(pages, 3);
    fl_buf_fini(&out);
}

static void test_unknown_cursors_are_refused(void)
{
    struct fl_buf good = FL_BUF_INIT, end = FL_BUF_INIT, zero = FL_BUF_INIT;
    struct fl_err err;
    size_t from = 99;
    fl_mcp_cursor_put(&good, UINT64_MAX, 6);
    fl_mcp_cursor_put(&end, UINT64_MAX, 7);
    fl_mcp_cursor_put(&zero, UINT64_MAX, 0);
    CHECK_OK(fl_mcp_cursor_read(fl_buf_view(&good), UINT64_MAX, 7, &from, &err));
    CHECK_INT(from, 6);
    from = 99;
    CHECK_INT(fl_mcp_cursor_read(fl_buf_view(&good), 1, 7, &from, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "the list has changed, start again without a cursor");
    const struct fl_str bad[] = { fl_buf_view(&end),
                                  fl_buf_view(&zero),
                                  FL_STR(""),
                                  FL_STR("6"),
                                  FL_STR("////////////////////////////////"),
                                  FL_STR("AAAA") };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        CHECK_INT(fl_mcp_cursor_read(bad[i], UINT64_MAX, 7, &from, &err), FL_BAD_PARAMS);
        CHECK_STR(err.text, "unknown cursor");
    }
    CHECK_INT(from, 99);
    fl_buf_fini(&good);
    fl_buf_fini(&end);
    fl_buf_fini(&zero);
}

/* ---- tool results ---- */
#define TEXT "[{\"type\":\"text\",\"text\":\"hi\"}]"

static void test_results_by_version(void)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_result result = {
        .content = FL_STR(TEXT),
        .structured = FL_STR("{\"a\":1}"),
        .approval_id = FL_STR("APR-1"),
        .is_error = true,
    };
    struct fl_mcp_to old = to(FL_MCP_2025_03_26, "1"), middle = to(FL_MCP_2025_06_18, "1"),
                     modern = to(FL_MCP_2026_07_28, "1");
    fl_mcp_put_result(&out, &server, &old, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":" TEXT ",\"isError\":true,"
                "\"_meta\":{\"dev.flopinio/approvalId\":\"APR-1\"}}}");
    fl_mcp_put_result(&out, &server, &middle, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":" TEXT
                ",\"structuredContent\":{\"a\":1},\"isError\":true,"
                "\"_meta\":{\"dev.flopinio/approvalId\":\"APR-1\"}}}");
    fl_mcp_put_result(&out, &server, &modern, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
                "\"content\":" TEXT ",\"structuredContent\":{\"a\":1},\"isError\":true,"
                "\"_meta\":{\"dev.flopinio/approvalId\":\"APR-1\","
                "\"io.modelcontextprotocol/serverInfo\":" INFO_TITLED "}}}");
    result = (struct fl_mcp_result){ .content = FL_STR(TEXT) };
    fl_mcp_put_result(&out, &server, &middle, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":" TEXT "}}");
    result = (struct fl_mcp_result){ .is_error = false };
    fl_mcp_put_result(&out, &server, &middle, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}");
    fl_buf_fini(&out);
}

static void test_what_a_version_cannot_carry_is_said_as_text(void)
{
    struct fl_buf out = FL_BUF_INIT;
    const struct fl_mcp_result media = {
        .content = FL_STR("[{\"type\":\"audio\",\"data\":\"AA==\",\"mimeType\":\"audio/\\\"wav\"},"
                          "{\"uri\":\"file:///a\",\"type\":\"resource_link\",\"name\":\"a\"},"
                          "{\"type\":\"image\",\"data\":\"AA==\",\"mimeType\":\"image/png\"}, 7 ]"),
    };
    struct fl_mcp_to oldest = to(FL_MCP_2024_11_05, "1"), old = to(FL_MCP_2025_03_26, "1"),
                     middle = to(FL_MCP_2025_06_18, "1");
    fl_mcp_put_result(&out, &server, &oldest, &media);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":["
                "{\"type\":\"text\",\"text\":\"[audio audio/\\\"wav, which this protocol version "
                "cannot carry]\"},"
                "{\"type\":\"text\",\"text\":\"[a link to file:///a, which this protocol version "
                "cannot carry]\"},"
                "{\"type\":\"image\",\"data\":\"AA==\",\"mimeType\":\"image/png\"},7]}}");
    fl_mcp_put_result(&out, &server, &old, &media);
    CHECK(strstr(out.p, "\"type\":\"audio\"") && !strstr(out.p, "resource_link"));
    fl_buf_reset(&out);
    fl_mcp_put_result(&out, &server, &middle, &media);
    CHECK(strstr(out.p, "\"type\":\"audio\"") && strstr(out.p, "resource_link"));
    fl_buf_reset(&out);

    /* Structured content that cannot go as such goes as text, if there is no other. */
    const struct fl_mcp_result array = { .structured = FL_STR("[1]") };
    fl_mcp_put_result(&out, &server, &middle, &array);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":["
                "{\"type\":\"text\",\"text\":\"[1]\"}]}}");
    const struct fl_mcp_result both = { .content = FL_STR(TEXT), .structured = FL_STR("[1]") };
    fl_mcp_put_result(&out, &server, &middle, &both);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":" TEXT "}}");
    const struct fl_mcp_result object = { .content = FL_STR("[ ]"), .structured = FL_STR("{}") };
    fl_mcp_put_result(&out, &server, &old, &object);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":["
                "{\"type\":\"text\",\"text\":\"{}\"}]}}");
    fl_buf_fini(&out);
}

static void test_an_upstream_cannot_speak_in_our_name(void)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_result result;
    struct fl_err err;
    struct fl_mcp_to modern = to(FL_MCP_2026_07_28, "1");
    CHECK_OK(fl_mcp_result_read(
        FL_STR("{\"resultType\":\"complete\",\"content\":[],\"isError\":false,"
               "\"structuredContent\":null,\"extra\":1,\"_meta\":{\"com.x/y\":{\"z\":1},"
               "\"dev.flopinio/approvalId\":\"APR-9\",\"dev.flopinio\\/approval\":{},"
               "\"\\u0064ev.flopinio/other\":{},"
               "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"evil\"},"
               "\"io.modelcontextprotocol/related-task\":{\"taskId\":\"1\"}}}"),
        4096, &result, &err));
    CHECK(!result.is_error);
    CHECK_SPAN(result.structured, "null");
    fl_mcp_put_result(&out, &server, &modern, &result);
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\","
                "\"content\":[],\"structuredContent\":null,\"_meta\":{\"com.x/y\":{\"z\":1},"
                "\"io.modelcontextprotocol/serverInfo\":" INFO_TITLED "}}}");
    fl_buf_fini(&out);
}

static void test_results_that_are_none_are_refused(void)
{
    static const struct {
        const char *text;
        enum fl_code code;
    } rows[] = {
        { "{\"content\":[],\"isError\":true}", FL_OK },
        { "{\"content\":[],\"_meta\":7}", FL_OK },
        { "{}", FL_BAD_PARAMS },
        { "{\"content\":{}}", FL_BAD_PARAMS },
        { "{\"content\":[],\"isError\":\"true\"}", FL_BAD_PARAMS },
        { "[]", FL_BAD_PARAMS },
        { "{\"content\":[]", FL_BAD_JSON },
        { "{\"content\":[],\"content\":[]}", FL_BAD_JSON },
        { "{\"content\":[\"1234567890123456789012345678901234567890\"]}", FL_TOO_LARGE },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_mcp_result result = { .is_error = false };
        struct fl_err err;
        CHECK_MSG(fl_mcp_result_read(fl_str_of(rows[i].text), 40, &result, &err) == rows[i].code,
                  "%s", rows[i].text);
    }
}

static void test_whatever_comes_in_lines_goes_on_one(void)
{
    struct fl_buf out = FL_BUF_INIT;
    const struct fl_mcp_result result = {
        .content = FL_STR("[\n{\"type\":\r\n\"text\",\"text\":\"a\\nb\"}\n]"),
        .structured = FL_STR("{\n}"),
        .meta = FL_STR("{\"k\":\n[\r]}"),
    };
    const struct fl_mcp_tool tool = {
        FL_STR("t"), FL_STR("{\"inputSchema\":{\n},\"annotations\":{\"title\":\n{\n}}}"), true
    };
    const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
    for (int v = FL_MCP_2024_11_05; v < FL_MCP_VERSION_END; v++) {
        struct fl_mcp_to whom = to((enum fl_mcp_version)v, "1");
        fl_mcp_put_result(&out, &server, &whom, &result);
        check_message(&out);
        CHECK(!strchr(out.p, '\r') && strstr(out.p, "\"a\\nb\""));
        fl_buf_reset(&out);
        fl_mcp_put_tools(&out, &server, &whom, &tools);
        check_message(&out);
        fl_buf_reset(&out);
        fl_mcp_put_members(&out, &server, &whom, FL_STR("\"a\":\n1"), false, 0);
        check_message(&out);
        fl_buf_reset(&out);
    }
    fl_mcp_put_error(&out, FL_STR("1"), -1, FL_STR("two\nlines"), FL_STR("{\n}"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":"
                "\"two\\nlines\",\"data\":{ }}}");
    fl_mcp_put_log(&out, FL_MCP_LEVEL_INFO, FL_STR("l"), FL_STR("[\n]"));
    check_message(&out);
    fl_buf_fini(&out);
}

/* ---- notifications ---- */
static void test_notifications(void)
{
    const struct fl_str none = { NULL, 0 };
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_list_changed(&out, FL_MCP_LIST_TOOLS, none);
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
    fl_mcp_put_list_changed(&out, FL_MCP_LIST_RESOURCES, FL_STR("1"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\","
                "\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":1}}}");
    fl_mcp_put_list_changed(&out, FL_MCP_LIST_PROMPTS, FL_STR("\"1\""));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\","
                "\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"1\"}}}");
    fl_mcp_put_resource_updated(&out, FL_STR("file:///\"a"), none);
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\","
                "\"params\":{\"uri\":\"file:///\\\"a\"}}");
    fl_mcp_put_progress(&out, FL_MCP_2026_07_28, FL_STR("\"t\""), 1, 0, FL_STR("waiting"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                "\"progressToken\":\"t\",\"progress\":1,\"message\":\"waiting\"}}");
    fl_mcp_put_progress(&out, FL_MCP_2024_11_05, FL_STR("3"), 0.5, 100, FL_STR("waiting"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                "\"progressToken\":3,\"progress\":0.5,\"total\":100}}");
    fl_mcp_put_log(&out, FL_MCP_LEVEL_EMERGENCY, FL_STR("l"), FL_STR("{\"a\":1}"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{"
                "\"level\":\"emergency\",\"logger\":\"l\",\"data\":{\"a\":1}}}");
    fl_mcp_put_log(&out, FL_MCP_LEVEL_DEBUG, none, FL_STR("\"x\""));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{"
                "\"level\":\"debug\",\"data\":\"x\"}}");
    fl_mcp_put_cancelled(&out, FL_STR("7"), FL_STR("shutdown"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                "\"requestId\":7,\"reason\":\"shutdown\"}}");
    fl_buf_fini(&out);
}

static void test_progress_messages_are_cut_and_clean(void)
{
    struct fl_buf long_text = FL_BUF_INIT, out = FL_BUF_INIT;
    for (int i = 0; i < 201; i++)
        fl_buf_puts(&long_text, "\xc3\xa9");
    fl_mcp_put_progress(&out, FL_MCP_NEWEST, FL_STR("1"), 1, 0, fl_buf_view(&long_text));
    check_message(&out);
    size_t count = 0;
    for (const char *p = out.p; (p = strstr(p, "\xc3\xa9")); p += 2)
        count++;
    CHECK_INT(count, 200);
    fl_buf_reset(&out);
    fl_mcp_put_progress(&out, FL_MCP_NEWEST, FL_STR("1"), 1, 0, FL_STR("a\x01\xff\n"));
    check(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                "\"progressToken\":1,\"progress\":1,\"message\":\"a\\u0001\xef\xbf\xbd\\n\"}}");
    fl_buf_fini(&long_text);
    fl_buf_fini(&out);
}

/* ---- the matrix ---- */
static void test_versions_know_what_the_matrix_says(void)
{
    /* One column a version, oldest first; features in the table's order. */
    static const char *const matrix[FL_MCP_FEATURE_COUNT] = {
        [FL_MCP_HAS_BATCHES] = ".x...",     [FL_MCP_HAS_ANNOTATIONS] = ".xxxx",
        [FL_MCP_HAS_AUDIO] = ".xxxx",       [FL_MCP_HAS_PROGRESS_MESSAGE] = ".xxxx",
        [FL_MCP_HAS_COMPLETIONS] = ".xxxx", [FL_MCP_HAS_TITLES] = "..xxx",
        [FL_MCP_HAS_STRUCTURED] = "..xxx",  [FL_MCP_HAS_RESOURCE_LINKS] = "..xxx",
        [FL_MCP_HAS_TOOL_META] = "..xxx",   [FL_MCP_HAS_ICONS] = "...xx",
        [FL_MCP_HAS_SSE_PRIMING] = "...x.", [FL_MCP_HAS_ANY_STRUCTURED] = "....x",
        [FL_MCP_HAS_RESULT_TYPE] = "....x",
    };
    size_t checked = 0;
    for (int f = 0; f < FL_MCP_FEATURE_COUNT; f++) {
        for (int v = FL_MCP_2024_11_05; v < FL_MCP_VERSION_END; v++, checked++)
            CHECK_MSG(fl_mcp_has((enum fl_mcp_version)v, (enum fl_mcp_feature)f) ==
                          (matrix[f][v - 1] == 'x'),
                      "feature %d version %d", f, v);
        CHECK(!fl_mcp_has(FL_MCP_NO_VERSION, (enum fl_mcp_feature)f));
    }
    CHECK_INT(checked, 13 * 5);
}

static void test_levels_and_methods_round_trip(void)
{
    for (int l = FL_MCP_LEVEL_DEBUG; l <= FL_MCP_LEVEL_EMERGENCY; l++)
        CHECK_INT(fl_mcp_level_parse(fl_str_of(fl_mcp_level_text((enum fl_mcp_level)l))), l);
    CHECK_INT(fl_mcp_level_parse(FL_STR("")), FL_MCP_LEVEL_NONE);
    CHECK_INT(fl_mcp_level_parse(FL_STR("Debug")), FL_MCP_LEVEL_NONE);
    for (int m = FL_MCP_UNKNOWN_METHOD + 1; m < FL_MCP_METHOD_END; m++) {
        const char *text = fl_mcp_method_text((enum fl_mcp_method)m);
        CHECK_INT(fl_mcp_method_parse(fl_str_of(text)), m);
        CHECK(fl_mcp_method_is_notification((enum fl_mcp_method)m) ==
              (strncmp(text, "notifications/", 14) == 0));
    }
    CHECK_INT(fl_mcp_method_parse(FL_STR("")), FL_MCP_UNKNOWN_METHOD);
}

static void test_every_allocation_may_fail(void)
{
    const struct fl_mcp_tool tool = { FL_STR("up__orig"), FL_STR(DEFINITION), true };
    const struct fl_mcp_tools tools = { .list = &tool, .count = 1 };
    struct fl_mcp_to modern = to(FL_MCP_2026_07_28, "1");
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fl_buf out = FL_BUF_INIT;
        struct fl_err err;
        fl_mem_fail_at(n, 1);
        fl_mcp_put_tools(&out, &server, &modern, &tools);
        fl_mcp_put_discover(&out, &server, &modern);
        fl_mcp_put_error(&out, FL_STR("1"), -1, FL_STR("\xff"), (struct fl_str){ NULL, 0 });
        fl_mem_fail_at(0, 0);
        enum fl_code code = fl_buf_code(&out, &err);
        fl_buf_fini(&out);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        failures++;
    }
    CHECK(failures >= 4);
}

static const struct fl_test tests[] = {
    T(errors),
    T(initialize_by_version),
    T(discover_offers_what_is_served),
    T(empty_and_other_results),
    T(definitions_by_version),
    T(output_schemas_of_other_types_are_modern),
    T(held_tools_are_never_shown_as_reads),
    T(pages_follow_their_cursors),
    T(unknown_cursors_are_refused),
    T(results_by_version),
    T(what_a_version_cannot_carry_is_said_as_text),
    T(an_upstream_cannot_speak_in_our_name),
    T(results_that_are_none_are_refused),
    T(whatever_comes_in_lines_goes_on_one),
    T(notifications),
    T(progress_messages_are_cut_and_clean),
    T(versions_know_what_the_matrix_says),
    T(levels_and_methods_round_trip),
    T(every_allocation_may_fail),
};
TEST_MAIN(tests)
