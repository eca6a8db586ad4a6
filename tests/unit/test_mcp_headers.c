/* Headers that mirror a message, and published tool names. */
#include "flopinio/base/buf.h"
#include "flopinio/base/mem.h"
#include "mcp/names.h"
#include "mcp_fixture.h"

/* ---- finding and decoding ---- */
static void test_headers_are_found_without_case_and_blanks(void)
{
    struct ask a;
    struct fl_str value = FL_STR("untouched");
    ask_init(&a, "mcp-NAME: \t x y \t\nX: 1\nx:2\nEmpty:\n");
    CHECK_INT(fl_mcp_header_get(&a.headers, "Mcp-Name", &value), 1);
    CHECK_SPAN(value, "x y");
    CHECK_INT(fl_mcp_header_get(&a.headers, "X", &value), 2);
    CHECK_SPAN(value, "1");
    CHECK_INT(fl_mcp_header_get(&a.headers, "Empty", &value), 1);
    CHECK_INT(value.n, 0);
    CHECK_INT(fl_mcp_header_get(&a.headers, "Mcp-Nam", &value), 0);
    CHECK_INT(fl_mcp_header_get(NULL, "X", &value), 0);
    ask_fini(&a);
}

static void test_only_json_is_read(void)
{
    static const struct {
        const char *lines;
        bool is_ok;
    } rows[] = {
        { "Content-Type: application/json\n", true },
        { "content-type: Application/JSON; charset=utf-8\n", true },
        { "Content-Type: application/json ;x=y\n", true },
        { "Content-Type: text/plain\n", false },
        { "Content-Type: application/jsonp\n", false },
        { "Content-Type: application/json, text/plain\n", false },
        { "Content-Type:\n", false },
        { "Content-Type: application/json\nContent-Type: text/plain\n", false },
        { "X: 1\n", false },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        struct fl_err err;
        ask_init(&a, rows[i].lines);
        enum fl_code code = fl_mcp_check_content_type(&a.headers, &err);
        CHECK_MSG(code == (rows[i].is_ok ? FL_OK : FL_UNSUPPORTED_MEDIA), "%s", rows[i].lines);
        CHECK_INT(fl_code_http(code), rows[i].is_ok ? 200 : 415);
        ask_fini(&a);
    }
}

static void test_accept_is_read_leniently(void)
{
    enum { J = FL_MCP_ACCEPTS_JSON, S = FL_MCP_ACCEPTS_SSE };
    static const struct {
        const char *lines;
        unsigned bits;
    } rows[] = {
        { "X: 1\n", J | S },
        { "Accept: application/json, text/event-stream\n", J | S },
        { "Accept: text/event-stream;q=0.5 , Application/Json;v=1\n", J | S },
        { "Accept: application/json\nAccept: text/event-stream\n", J | S },
        { "Accept: */*\n", J | S },
        { "Accept: text/*\n", S },
        { "Accept: application/*;q=0.1\n", J },
        { "Accept: */*, text/event-stream;q=0\n", J },
        { "Accept: text/html\n", 0 },
        { "Accept: application/json;q=0.000\n", 0 },
        { "Accept:\n", 0 },
        { "Accept: ,,;,\n", 0 },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        ask_init(&a, rows[i].lines);
        CHECK_MSG(fl_mcp_accepts(&a.headers) == rows[i].bits, "%s: %u", rows[i].lines,
                  fl_mcp_accepts(&a.headers));
        ask_fini(&a);
    }
}

static void test_sessions_are_looked_up_only_where_they_can_be(void)
{
    static const struct {
        const char *lines;
        bool is_named;
        const char *id;
    } rows[] = {
        { "X: 1\n", false, "" },
        { "mcp-session-id:  abc-DEF_123 \n", true, "abc-DEF_123" },
        { "Mcp-Session-Id: a\nMCP-Protocol-Version: 2025-11-25\n", true, "a" },
        { "Mcp-Session-Id: a\nMCP-Protocol-Version: 2026-07-28\n", false, "" },
        { "Mcp-Session-Id: a\nMCP-Protocol-Version: v9\n", true, "a" },
        { "Mcp-Session-Id: a b\n", true, "" },
        { "Mcp-Session-Id: \xc3\xa9\n", true, "" },
        { "Mcp-Session-Id:\n", true, "" },
        { "Mcp-Session-Id: a\nMcp-Session-Id: b\n", true, "" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        struct fl_str id = { NULL, 0 };
        ask_init(&a, rows[i].lines);
        CHECK_MSG(fl_mcp_names_session(&a.headers, &id) == rows[i].is_named, "%s", rows[i].lines);
        CHECK_SPAN(id, rows[i].id);
        ask_fini(&a);
    }
}

static void test_values_are_decoded_strictly(void)
{
    static const struct {
        const char *raw, *want; /* NULL: refused */
    } rows[] = {
        { "us-west1", "us-west1" },
        { " padded ", "padded" },
        { "", "" },
        { "a\tb", "a\tb" },
        { "=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, \xe4\xb8\x96\xe7\x95\x8c" },
        { "=?base64?IHBhZGRlZCA=?=", " padded " },
        { "=?base64?bGluZTEKbGluZTI=?=", "line1\nline2" },
        { "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?=" },
        { "=?base64?"
          "?=",
          "" }, /* in two pieces: C has trigraphs */
        /* only one end of the marking: meant as it stands */
        { "SGVsbG8=", "SGVsbG8=" },
        { "=?base64?SGVsbG8=", "=?base64?SGVsbG8=" },
        { "SGVsbG8=?=", "SGVsbG8=?=" },
        { "=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?=" },
        { "=?base64?=", "=?base64?=" },
        /* not decodable */
        { "=?base64?SGVsbG8?=", NULL },
        { "=?base64?SGVs!!!bG8=?=", NULL },
        { "=?base64?SGVsbG9=?=", NULL }, /* spare bits that are not zero */
        { "=?base64?SGVs bG8=?=", NULL },
        { "=?base64?SGVsbG8=?=?=", NULL },
        { "=?base64?/w==?=", NULL }, /* not UTF-8 */
        { "=?base64?SGVsbG8_?=", NULL },
        { "\xc3\xa9", NULL },
        { "a\x01"
          "b",
          NULL },
        { "a\x7f", NULL },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_arena *arena = fl_arena_new(0);
        struct fl_str got;
        enum fl_code code = fl_mcp_header_decode(arena, fl_str_of(rows[i].raw), &got);
        CHECK_MSG(code == (rows[i].want ? FL_OK : FL_HEADER_MISMATCH), "%s", rows[i].raw);
        if (rows[i].want)
            CHECK_SPAN(got, rows[i].want);
        fl_arena_free(&arena);
    }
}

/* ---- x-mcp-header ---- */
static enum fl_code declare(struct fl_arena *arena, const char *schema,
                            struct fl_mcp_param_headers *ret, struct fl_err *err)
{
    CHECK_OK(fl_scan(fl_str_of(schema), &fl_scan_grammar, NULL, 0, NULL, err));
    return fl_mcp_param_headers_read(arena, fl_str_of(schema), ret, err);
}

#define PROPS(p)             "{\"type\":\"object\",\"properties\":{" p "}}"
#define MARKED(type, header) "{\"type\":" type ",\"x-mcp-header\":" header "}"

static void test_annotations_are_collected(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_mcp_param_headers got;
    struct fl_err err;
    CHECK_OK(declare(
        arena,
        PROPS("\"region\":" MARKED(
            "\"string\"",
            "\"Region\"") ","
                          "\"n\":{\"type\":\"object\",\"properties\":{\"\\u0069n\":" MARKED(
                              "\"integer\"",
                              "\"X-1\"") "}},"
                                         "\"on\":" MARKED(
                                             "[\"null\",\"boolean\"]",
                                             "\"o.n~\"") ","
                                                         "\"x-mcp-header\":{\"type\":\"array\"},"
                                                         "\"data\":{\"const\":{\"x-mcp-header\":\"bad name\"},"
                                                         "\"enum\":[{\"x-mcp-header\":1}],\"default\":{\"x-mcp-header\":2},"
                                                         "\"examples\":[{\"properties\":{\"q\":{\"x-mcp-header\":3}}}]}"),
        &got, &err));
    CHECK_INT(got.count, 3);
    CHECK_SPAN(got.list[0].name, "Region");
    CHECK_INT(got.list[0].type, FL_MCP_PARAM_STRING);
    CHECK_INT(got.list[0].path_count, 1);
    CHECK_STR(got.list[0].path[0], "region");
    CHECK_SPAN(got.list[1].name, "X-1");
    CHECK_INT(got.list[1].type, FL_MCP_PARAM_INTEGER);
    CHECK_INT(got.list[1].path_count, 2);
    CHECK_STR(got.list[1].path[0], "n");
    CHECK_STR(got.list[1].path[1], "in");
    CHECK_INT(got.list[2].type, FL_MCP_PARAM_BOOLEAN);
    fl_arena_free(&arena);
}

static void test_misplaced_annotations_refuse_the_tool(void)
{
    static const struct {
        const char *schema, *text;
    } rows[] = {
        { PROPS("\"v\":" MARKED("\"string\"", "\"\"")), "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"a b\"")), "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"a:\"")), "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"\xc3\xa9\"")),
          "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"a\\r\\n\"")),
          "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "7")), "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"string\"", "null")), "x-mcp-header of v must be a token" },
        { PROPS("\"v\":" MARKED("\"number\"", "\"A\"")), "x-mcp-header of v needs the type" },
        { PROPS("\"v\":" MARKED("\"object\"", "\"A\"")), "x-mcp-header of v needs the type" },
        { PROPS("\"v\":" MARKED("\"array\"", "\"A\"")), "x-mcp-header of v needs the type" },
        { PROPS("\"v\":" MARKED("\"null\"", "\"A\"")), "x-mcp-header of v needs the type" },
        { PROPS("\"v\":" MARKED("[\"string\",\"integer\"]", "\"A\"")),
          "x-mcp-header of v needs the type" },
        { PROPS("\"v\":{\"x-mcp-header\":\"A\"}"), "x-mcp-header of v needs the type" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"A\"") ",\"w\":" MARKED("\"string\"", "\"A\"")),
          "x-mcp-header A stands twice" },
        { PROPS("\"v\":" MARKED("\"string\"", "\"A\"") ",\"w\":" MARKED("\"string\"", "\"a\"")),
          "x-mcp-header a stands twice" },
        { "{\"type\":\"string\",\"x-mcp-header\":\"A\"}",
          "x-mcp-header stands where no chain of properties leads (in the root)" },
        { PROPS("\"v\":{\"type\":\"array\",\"items\":" MARKED("\"string\"", "\"A\"") "}"),
          "x-mcp-header stands where no chain of properties leads (in v)" },
        { "{\"type\":\"object\",\"oneOf\":[" PROPS("\"v\":" MARKED("\"string\"", "\"A\"")) "]}",
          "x-mcp-header stands where no chain" },
        { "{\"type\":\"object\",\"$defs\":{\"d\":" MARKED("\"string\"", "\"A\"") "}}",
          "x-mcp-header stands where no chain" },
        { "{\"type\":\"object\",\"if\":" PROPS("\"v\":" MARKED("\"string\"", "\"A\"")) "}",
          "x-mcp-header stands where no chain" },
        { "{\"type\":\"object\",\"patternProperties\":{\"p\":" MARKED("\"string\"", "\"A\"") "}}",
          "x-mcp-header stands where no chain" },
        { PROPS("\"v\":{\"additionalProperties\":" MARKED("\"string\"", "\"A\"") "}"),
          "x-mcp-header stands where no chain" },
        { PROPS("\"v\":{\"items\":[true," MARKED("\"string\"", "\"A\"") "]}"),
          "x-mcp-header stands where no chain" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_arena *arena = fl_arena_new(0);
        struct fl_mcp_param_headers got = { NULL, 99 };
        struct fl_err err;
        CHECK_MSG(declare(arena, rows[i].schema, &got, &err) == FL_BAD_PARAMS, "%s",
                  rows[i].schema);
        CHECK_MSG(strncmp(err.text, rows[i].text, strlen(rows[i].text)) == 0, "%s: %s",
                  rows[i].schema, err.text);
        CHECK_INT(got.count, 99);
        fl_arena_free(&arena);
    }
}

static void test_schemas_without_annotations_declare_nothing(void)
{
    static const char *const rows[] = {
        "{}",
        "true",
        "[]",
        "{\"properties\":[]}",
        "{\"properties\":{\"a\":true,\"b\":7}}",
        "{\"allOf\":{},\"items\":7,\"dependencies\":{\"a\":[\"b\"]}}",
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_arena *arena = fl_arena_new(0);
        struct fl_mcp_param_headers got = { NULL, 99 };
        struct fl_err err;
        CHECK_OK(declare(arena, rows[i], &got, &err));
        CHECK_INT(got.count, 0);
        fl_arena_free(&arena);
    }
}

static void test_deep_and_many_are_bounded(void)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_buf text = FL_BUF_INIT;
    struct fl_mcp_param_headers got;
    struct fl_err err;
    for (int i = 0; i < 100; i++)
        fl_buf_puts(&text, "{\"not\":");
    fl_buf_puts(&text, "true");
    for (int i = 0; i < 100; i++)
        fl_buf_putc(&text, '}');
    CHECK_INT(declare(arena, text.p, &got, &err), FL_BAD_PARAMS);
    CHECK_STR(err.text, "the schema is nested deeper than 64");
    for (int many = 64; many <= 65; many++) {
        fl_buf_reset(&text);
        fl_buf_puts(&text, "{\"properties\":{");
        for (int i = 0; i < many; i++)
            fl_buf_printf(&text, "%s\"p%d\":{\"type\":\"string\",\"x-mcp-header\":\"H%d\"}",
                          i ? "," : "", i, i);
        fl_buf_puts(&text, "}}");
        CHECK_INT(declare(arena, text.p, &got, &err), many == 64 ? FL_OK : FL_BAD_PARAMS);
    }
    CHECK_INT(got.count, 64);
    CHECK_STR(err.text, "more than 64 x-mcp-header annotations");
    fl_buf_fini(&text);
    fl_arena_free(&arena);
}

/* The tool of the checks below. */
#define MIRRORED                                                                                   \
    PROPS("\"region\":" MARKED("\"string\"", "\"Region\"") ",\"count\":" MARKED(                   \
        "\"integer\"",                                                                             \
        "\"Count\"") ",\"dry\":" MARKED("\"boolean\"",                                             \
                                        "\"Dry\"") ","                                             \
                                                   "\"in\":{\"properties\":{\"side\":" MARKED(     \
                                                       "\"string\"", "\"Side\"") "}}")
#define PARAM " does not match its argument"

static void test_mirrored_arguments_must_agree(void)
{
    static const struct {
        const char *headers, *arguments, *text; /* NULL: they agree */
    } rows[] = {
        { "X: 1\n", "{}", NULL },
        { "Mcp-Param-Other: 1\n", "{\"other\":1}", NULL },
        { "mcp-param-REGION: us\n", "{\"region\":\"us\"}", NULL },
        { "Mcp-Param-Region: \t us \n", "{\"region\":\"\\u0075s\"}", NULL },
        { "Mcp-Param-Region: =?base64?w6k=?=\n", "{\"region\":\"\xc3\xa9\"}", NULL },
        { "Mcp-Param-Region: 42\n", "{\"region\":\"42\"}", NULL },
        { "Mcp-Param-Region:\n", "{\"region\":\"\"}", NULL },
        { "X: 1\n", "{\"region\":null}", NULL },
        { "Mcp-Param-Side: s\n", "{\"in\":{\"side\":\"s\"}}", NULL },
        { "X: 1\n", "{\"in\":[{\"side\":\"s\"}]}", NULL },
        { "Mcp-Param-Dry: true\n", "{\"dry\":true}", NULL },
        { "Mcp-Param-Dry: false\n", "{\"dry\":false}", NULL },
        /* numbers by value */
        { "Mcp-Param-Count: 42\n", "{\"count\":42}", NULL },
        { "Mcp-Param-Count: 42.0\n", "{\"count\":42}", NULL },
        { "Mcp-Param-Count: 42\n", "{\"count\":4.2e1}", NULL },
        { "Mcp-Param-Count: 1e3\n", "{\"count\":1000}", NULL },
        { "Mcp-Param-Count: -7\n", "{\"count\":-7}", NULL },
        { "Mcp-Param-Count: 0\n", "{\"count\":-0}", NULL },
        { "Mcp-Param-Count: 9007199254740991\n", "{\"count\":9007199254740991}", NULL },
        { "Mcp-Param-Count: 9007199254740993\n", "{\"count\":9007199254740993}", NULL },
        { "Mcp-Param-Count: 9007199254740992\n", "{\"count\":9007199254740993}",
          "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: 42\n", "{\"count\":43}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: 042\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: +42\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: 0x2a\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: \"42\"\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: =?base64?IDQy?=\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count:\n", "{\"count\":0}", "header Mcp-Param-Count" PARAM },
        { "Mcp-Param-Count: 42 43\n", "{\"count\":42}", "header Mcp-Param-Count" PARAM },
        /* disagreement */
        { "X: 1\n", "{\"region\":\"us\"}", "header Mcp-Param-Region is required once" },
        { "Mcp-Param-Region: us\nMcp-Param-Region: us\n", "{\"region\":\"us\"}",
          "header Mcp-Param-Region is required once" },
        { "Mcp-Param-Region: eu\n", "{\"region\":\"us\"}", "header Mcp-Param-Region" PARAM },
        { "Mcp-Param-Region: US\n", "{\"region\":\"us\"}", "header Mcp-Param-Region" PARAM },
        { "Mcp-Param-Region: us\n", "{}",
          "header Mcp-Param-Region has no argument that it mirrors" },
        { "Mcp-Param-Region: us\n", "{\"region\":null}",
          "header Mcp-Param-Region has no argument that it mirrors" },
        { "Mcp-Param-Region: null\n", "{\"region\":null}",
          "header Mcp-Param-Region has no argument that it mirrors" },
        { "Mcp-Param-Region: us\n", "[]",
          "header Mcp-Param-Region has no argument that it mirrors" },
        { "Mcp-Param-Region: =?base64?dXM?=\n", "{\"region\":\"us\"}",
          "header Mcp-Param-Region" PARAM },
        { "Mcp-Param-Region: {}\n", "{\"region\":{}}", "header Mcp-Param-Region" PARAM },
        { "Mcp-Param-Dry: True\n", "{\"dry\":true}", "header Mcp-Param-Dry" PARAM },
        { "Mcp-Param-Dry: 1\n", "{\"dry\":true}", "header Mcp-Param-Dry" PARAM },
    };
    struct fl_arena *schemas = fl_arena_new(0);
    struct fl_mcp_param_headers declared;
    struct fl_err err;
    CHECK_OK(declare(schemas, MIRRORED, &declared, &err));
    CHECK_INT(declared.count, 4);
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        ask_init(&a, rows[i].headers);
        enum fl_code code = fl_mcp_param_headers_check(&declared, &a.headers,
                                                       fl_str_of(rows[i].arguments), a.arena, &err);
        if (rows[i].text) {
            CHECK_MSG(code == FL_HEADER_MISMATCH, "%s %s", rows[i].headers, rows[i].arguments);
            CHECK_STR(err.text, rows[i].text);
        } else {
            CHECK_MSG(code == FL_OK, "%s %s: %s", rows[i].headers, rows[i].arguments, err.text);
        }
        ask_fini(&a);
    }
    fl_arena_free(&schemas);
}

static const struct fl_mcp_param_headers *lookup(void *ctx, struct fl_str tool)
{
    return fl_str_is(tool, "mirrored") ? ctx : NULL;
}

static void test_the_ladder_asks_for_mirrored_arguments(void)
{
#define MIRRORED_CALL(name, args) CALL("\"name\":\"" name "\",\"arguments\":" args "," META)
    static const struct {
        const char *headers, *body;
        int http, rpc;
    } rows[] = {
        { H_CALL("mirrored") "Mcp-Param-Region: us\n",
          MIRRORED_CALL("mirrored", "{\"region\":\"us\"}"), 0, 0 },
        { H_CALL("mirrored"), MIRRORED_CALL("mirrored", "{\"region\":\"us\"}"), 400, -32020 },
        /* step 14 comes before step 15 */
        { H_CALL("mirrored") "Mcp-Param-Region: us\n", MIRRORED_CALL("mirrored", "[]"), 400,
          -32020 },
        { H_CALL("mirrored"), MIRRORED_CALL("mirrored", "[]"), 200, -32602 },
        { H_CALL("other") "Mcp-Param-Region: eu\n", MIRRORED_CALL("other", "{\"region\":\"us\"}"),
          0, 0 },
        /* other transports have no headers to compare */
        { NULL, MIRRORED_CALL("mirrored", "{\"region\":\"us\"}"), 0, 0 },
    };
    struct fl_arena *schemas = fl_arena_new(0);
    struct fl_mcp_param_headers declared;
    struct fl_err err;
    CHECK_OK(declare(schemas, MIRRORED, &declared, &err));
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct ask a;
        ask_init(&a, rows[i].headers);
        a.facts.param_headers = lookup;
        a.facts.ctx = &declared;
        ask_read(&a, rows[i].body);
        CHECK_MSG((a.code == FL_OK) == (rows[i].rpc == 0), "%zu: %s", i, a.refusal.err.text);
        CHECK_INT(a.refusal.http, rows[i].http);
        CHECK_INT(a.refusal.rpc, rows[i].rpc);
        ask_fini(&a);
    }
    fl_arena_free(&schemas);
}

/* ---- names ---- */
static const uint8_t digest[32] = { 0xab, 0xcd, 0xef };

static void test_published_names_fit_every_host(void)
{
    static const struct {
        const char *instance, *tool, *want;
    } rows[] = {
        { "fs", "write_file", "fs__write_file" },
        { "a-1", "X-y_2", "a-1__X-y_2" },
        { "gh", "repos/list", "gh__repos_list_abcdef" },
        { "gh", "repos.list", "gh__repos_list_abcdef" },
        { "gh", "\xc3\xa9\xf0\x9f\x98\x80x", "gh____x_abcdef" },
        { "x", "1234567890123456789012345678901234567890123456789012345678901",
          "x__1234567890123456789012345678901234567890123456789012345678901" },
        { "x", "12345678901234567890123456789012345678901234567890123456789012",
          "x__123456789012345678901234567890123456789012345678901234_abcdef" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char name[FL_MCP_TOOL_NAME_MAX + 1];
        struct fl_err err;
        CHECK_OK(fl_mcp_publish_name(fl_str_of(rows[i].instance), fl_str_of(rows[i].tool), digest,
                                     name, &err));
        CHECK_STR(name, rows[i].want);
        CHECK(strlen(name) <= 64 && fl_mcp_tool_name_is_valid(fl_str_of(name)));
    }
}

static void test_names_that_cannot_be_published(void)
{
    static const char *const rows[][2] = {
        { "", "t" },    { "Fs", "t" },
        { "f_s", "t" }, { "123456789012345678901234567890123", "t" },
        { "fs", "" },   { "fs", "\xff" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        char name[FL_MCP_TOOL_NAME_MAX + 1] = "untouched";
        struct fl_err err;
        CHECK_INT(
            fl_mcp_publish_name(fl_str_of(rows[i][0]), fl_str_of(rows[i][1]), digest, name, &err),
            FL_BAD_PARAMS);
        CHECK_STR(name, "untouched");
    }
    CHECK(!fl_mcp_tool_name_is_valid(FL_STR("")));
    CHECK(!fl_mcp_tool_name_is_valid(FL_STR("a.b")));
    CHECK(!fl_mcp_tool_name_is_valid(FL_STR("a b")));
}

/* ---- no memory ---- */
static void test_every_allocation_may_fail(void)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fl_mcp_param_headers declared = { NULL, 99 };
        struct fl_err err;
        struct ask a;
        ask_init(&a, "Mcp-Param-Region: =?base64?w6k=?=\nMcp-Param-Count: 42.0\n");
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_mcp_param_headers_read(a.arena, FL_STR(MIRRORED), &declared, &err);
        if (code == FL_OK)
            code = fl_mcp_param_headers_check(&declared, &a.headers,
                                              FL_STR("{\"region\":\"\\u00e9\",\"count\":42}"),
                                              a.arena, &err);
        else
            CHECK_INT(declared.count, 99);
        fl_mem_fail_at(0, 0);
        ask_fini(&a);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        failures++;
    }
    CHECK_FAILURES(failures, 15u);
}

static const struct fl_test tests[] = {
    T(headers_are_found_without_case_and_blanks),
    T(only_json_is_read),
    T(accept_is_read_leniently),
    T(sessions_are_looked_up_only_where_they_can_be),
    T(values_are_decoded_strictly),
    T(annotations_are_collected),
    T(misplaced_annotations_refuse_the_tool),
    T(schemas_without_annotations_declare_nothing),
    T(deep_and_many_are_bounded),
    T(mirrored_arguments_must_agree),
    T(the_ladder_asks_for_mirrored_arguments),
    T(published_names_fit_every_host),
    T(names_that_cannot_be_published),
    T(every_allocation_may_fail),
};
TEST_MAIN(tests)
