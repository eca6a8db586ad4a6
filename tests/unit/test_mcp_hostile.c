/* Messages that nobody in their right mind sends: each is read, or refused with a code. */
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "mcp/session.h"
#include "mcp/tasks.h"
#include "mcp_check.h"

static const char *const corpus[] = {
    CALL("\"name\":\"fs__write\",\"arguments\":{\"path\":\"/a\",\"n\":42,\"deep\":[[{}]]}," META),
    CALL("\"name\":\"f\\u0073\",\"_meta\":{\"progressToken\":\"t\",\"dev.flopinio/justification\":"
         "\"b\\u00e9cause\"}"),
    LIST("\"cursor\":\"AAAA\"," META),
    DISCOVER("\"_meta\":{" V_KEY "," CAPS_KEY TASKS_CAPS
             ",\"io.modelcontextprotocol/logLevel\":\"info\",\"traceparent\":\"00-"
             "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}"),
    "{\"jsonrpc\":\"2.0\",\"id\":\"x\\n\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
    "\"2025-11-25\",\"capabilities\":{\"elicitation\":{\"url\":{}}},\"clientInfo\":{\"name\":\"c\"}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"subscriptions/listen\",\"params\":{"
    "\"notifications\":{\"toolsListChanged\":true,\"taskIds\":[\"a\"]}," META_CAPS(TASKS_CAPS) "}}",
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tasks/update\",\"params\":{\"taskId\":\"a\","
    "\"inputResponses\":{\"k\":{\"action\":\"accept\"}}," META_CAPS(TASKS_CAPS) "}}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":0,"
    "\"reason\":\"r\"}}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"action\":\"accept\"}}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"m\"}}",
    "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":"
    "\"tools/list\"}]",
};

/* Pieces that hit where the protocol is thin. */
static const char *const pieces[] = {
    "null",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-1",
    "1.5",
    "1e9",
    "true",
    "\"_meta\":",
    META,
    "\"id\":null,",
    "\"params\":",
    "\"method\":\"tools/call\",",
    "\\u0000",
    "\\ud800",
    "\\u0069d",
    "\xff",
    "\xe2\x80",
    "2026-07-28",
    "2025-03-26",
    "io.modelcontextprotocol/",
    "notifications/",
    "tasks/",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    " ",
    "9223372036854775808",
    "AAAAAAAAAAAAAAAAAAAAAA",
};

static uint64_t rng = 20261123;
static uint64_t next_random(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

static void mutate(struct fl_buf *out, const char *text)
{
    size_t n = strlen(text);
    fl_buf_reset(out);
    switch (next_random(6)) {
    case 0: { /* a byte changes */
        fl_buf_puts(out, text);
        out->p[next_random(n)] = (char)next_random(256);
        break;
    }
    case 1: { /* a part is gone */
        size_t from = next_random(n), gone = 1 + next_random(n - from);
        fl_buf_put(out, text, from);
        fl_buf_puts(out, text + from + gone);
        break;
    }
    case 2: { /* a part stands twice */
        size_t from = next_random(n), twice = 1 + next_random(n - from);
        fl_buf_put(out, text, from + twice);
        fl_buf_puts(out, text + from);
        break;
    }
    case 3: { /* something slips in */
        size_t at = next_random(n + 1);
        fl_buf_put(out, text, at);
        fl_buf_puts(out, pieces[next_random(FL_COUNTOF(pieces))]);
        fl_buf_puts(out, text + at);
        break;
    }
    case 4: { /* a value is another one: from a colon to the next comma or bracket */
        size_t at = next_random(n);
        const char *colon = strchr(text + at, ':');
        if (!colon) {
            fl_buf_puts(out, text);
            break;
        }
        const char *end = colon + strcspn(colon, ",}");
        fl_buf_put(out, text, (size_t)(colon + 1 - text));
        fl_buf_puts(out, pieces[next_random(FL_COUNTOF(pieces))]);
        fl_buf_puts(out, end);
        break;
    }
    default: fl_buf_puts(out, text);
    }
}

static void test_mutated_messages_are_read_or_refused(void)
{
    static const char *const headers[] = {
        NULL, /* WebSocket */
        H_TYPE,
        H_MODERN,
        H_CALL("fs__write"),
        H_METHOD("tools/list"),
        H_METHOD("subscriptions/listen"),
        H_METHOD("tasks/update") "Mcp-Name: a\n",
        H_METHOD("server/discover"),
    };
    unsigned accepted = 0, refused = 0, batches = 0;
    struct fl_buf body = FL_BUF_INIT;
    for (int round = 0; round < 60000; round++) {
        struct ask a;
        mutate(&body, corpus[next_random(FL_COUNTOF(corpus))]);
        ask_init(&a, headers[next_random(FL_COUNTOF(headers))]);
        a.facts.session = (enum fl_mcp_session_fact)next_random(3);
        a.facts.session_version =
            (enum fl_mcp_version)(FL_MCP_2024_11_05 + next_random(4)); /* legacy ones */
        a.facts.serves = next_random(4) ? SERVES_ALL : 0;
        a.facts.is_in_batch = next_random(8) == 0;
        /* An exact copy: a read past the end is seen. */
        struct fl_str text = fl_arena_str(a.arena, fl_buf_view(&body));
        a.code = fl_mcp_read(a.arena, text, &a.facts, &a.msg, &a.refusal);
        if (a.code != FL_OK) {
            CHECK_INT(a.code, a.refusal.err.code);
            check_refusal(&a.refusal);
            refused++;
        } else {
            check_accepted(&a);
            accepted++;
            batches += a.msg.kind == FL_MCP_BATCH;
        }
        ask_fini(&a);
    }
    fl_buf_fini(&body);
    /* A mutation that only ever broke the JSON would prove nothing. */
    CHECK_MSG(accepted > 5000 && refused > 20000 && batches > 50, "%u %u %u", accepted, refused,
              batches);
}

/* The same through a connection: whatever comes, its ids stay consistent. */
static void test_a_connection_survives_mutated_messages(void)
{
    enum { MOST = 16 };
    struct fl_mcp_conn conn;
    struct fl_buf body = FL_BUF_INIT;
    static struct ask asks[MOST];
    struct fl_mcp_flight flights[MOST] = { { .is_cancelled = false } };
    unsigned flown = 0, cancelled = 0;
    memset(asks, 0, sizeof asks);
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, MOST);
    for (int round = 0; round < 20000; round++) {
        size_t i = next_random(MOST);
        struct ask *a = &asks[i];
        if (a->arena) {
            cancelled += !fl_mcp_conn_land(&conn, &flights[i]) && flights[i].is_cancelled;
            ask_fini(a);
        }
        if (next_random(2))
            mutate(&body, corpus[next_random(FL_COUNTOF(corpus))]);
        else
            mutate(&body, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}");
        ask_init(a, NULL);
        fl_mcp_conn_facts(&conn, SERVES_ALL, &a->facts);
        struct fl_str text = fl_arena_str(a->arena, fl_buf_view(&body));
        a->code = fl_mcp_read(a->arena, text, &a->facts, &a->msg, &a->refusal);
        flights[i] = (struct fl_mcp_flight){ .is_cancelled = false };
        if (a->code == FL_OK)
            a->code = fl_mcp_conn_admit(&conn, &a->msg, &flights[i], &a->refusal);
        if (a->code != FL_OK) {
            check_refusal(&a->refusal);
            continue;
        }
        flown += a->msg.kind == FL_MCP_REQUEST;
        if (a->msg.kind == FL_MCP_NOTIFICATION && a->msg.method == FL_MCP_M_CANCELLED) {
            struct fl_mcp_flight *hit = fl_mcp_conn_cancel(&conn, &a->msg);
            CHECK(!hit || (hit >= flights && hit < flights + MOST && hit->is_cancelled));
        }
        CHECK(conn.flights <= MOST);
    }
    fl_mcp_conn_fini(&conn);
    for (size_t i = 0; i < MOST; i++)
        ask_fini(&asks[i]);
    fl_buf_fini(&body);
    CHECK_MSG(flown > 1000 && cancelled > 20, "%u %u", flown, cancelled);
}

static void test_bombs_are_refused_quickly(void)
{
    static const struct {
        const char *open, *close;
        int times;
        const char *inner;
    } rows[] = {
        { "[", "]", 100000, "" },
        { "{\"a\":", "}", 100000, "1" },
        { "[{},", "]", 50000, "{}" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_buf body = FL_BUF_INIT;
        struct ask a;
        for (int k = 0; k < rows[i].times; k++)
            fl_buf_puts(&body, rows[i].open);
        fl_buf_puts(&body, rows[i].inner);
        for (int k = 0; k < rows[i].times; k++)
            fl_buf_puts(&body, rows[i].close);
        ask_init(&a, NULL);
        a.code = fl_mcp_read(a.arena, fl_buf_view(&body), &a.facts, &a.msg, &a.refusal);
        CHECK_INT(a.code, FL_TOO_LARGE);
        CHECK_INT(a.refusal.http, 413);
        ask_fini(&a);
        fl_buf_fini(&body);
    }
}

/* ---- no memory ---- */
static const struct fl_mcp_param_headers *lookup(void *ctx, struct fl_str tool)
{
    FL_UNUSED(tool);
    return ctx;
}

static void test_every_allocation_of_a_reading_may_fail(void)
{
    static const char *const path[] = { "path" };
    const struct fl_mcp_param_header declared = { FL_STR("Path"), FL_MCP_PARAM_STRING, path, 1 };
    struct fl_mcp_param_headers mirrored = { &declared, 1 };
    static const struct {
        const char *headers, *body;
        unsigned at_least;
        bool is_refused;
    } rows[] = {
        { H_CALL("=?base64?dMOpc3Q=?=") "Mcp-Param-Path: =?base64?w6k=?=\n",
          "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"tools\\/call\",\"params\":{\"name\":"
          "\"t\\u00e9st\",\"arguments\":{\"path\":\"\\u00e9\"},\"requestState\":\"\\u0061\","
          "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026\\u002d07-28\"," CAPS_KEY
          "{},\"io.modelcontextprotocol/clientInfo\":{\"name\":\"\\u0061\",\"version\":\"\\u0061\","
          "\"title\":\"\\u0061\"},\"io.modelcontextprotocol/logLevel\":\"\\u0069nfo\","
          "\"dev.flopinio/idempotencyKey\":\"\\u0061\",\"dev.flopinio/justification\":\"\\u0061\","
          "\"traceparent\":\"\\u0061\"}}}",
          15, false },
        { H_METHOD("tools/list"),
          LIST("\"cursor\":\"\\u0061\",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
               "\"2026-07-28\"," CAPS_KEY "{}}"),
          1, false },
        { NULL,
          "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":"
          "\"\\u0061\",\"reason\":\"\\u0061\"}}",
          3, false },
        { NULL,
          "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
          "\"2025\\u002d06-18\",\"clientInfo\":{\"name\":\"\\u0061\"}}}",
          2, false },
        { NULL,
          LIST("\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v9\"," CAPS_KEY "{}}"), 2,
          true },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        unsigned failures = 0;
        for (uint64_t n = 1;; n++) {
            struct ask a;
            struct fl_buf out = FL_BUF_INIT;
            ask_init(&a, rows[i].headers);
            a.facts.param_headers = lookup;
            a.facts.ctx = &mirrored;
            struct fl_str text = fl_arena_str(a.arena, fl_str_of(rows[i].body));
            fl_mem_fail_at(n, 1);
            a.code = fl_mcp_read(a.arena, text, &a.facts, &a.msg, &a.refusal);
            fl_mem_fail_at(0, 0);
            bool is_nomem = a.code == FL_NOMEM;
            if (is_nomem) {
                CHECK_INT(a.refusal.http, 503);
                CHECK_INT(a.refusal.rpc, -32603);
                fl_mcp_put_refusal(&out, &a.refusal);
                check_message(&out);
                failures++;
            } else {
                CHECK_MSG((a.code != FL_OK) == rows[i].is_refused, "%zu: %s", i,
                          a.refusal.err.text);
            }
            fl_buf_fini(&out);
            ask_fini(&a);
            if (!is_nomem)
                break;
        }
        CHECK_FAILURES(failures, rows[i].at_least);
    }
}

static const struct fl_test tests[] = {
    T(mutated_messages_are_read_or_refused),
    T(a_connection_survives_mutated_messages),
    T(bombs_are_refused_quickly),
    T(every_allocation_of_a_reading_may_fail),
};
TEST_MAIN(tests)
