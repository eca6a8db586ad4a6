/* Asking the MCP reader from tests: a request written as lines of headers and a body, read with
 * the facts of one place, and what came of it. Each ask owns its arena: ask_fini. */
#ifndef FL_TEST_MCP_FIXTURE_H
#define FL_TEST_MCP_FIXTURE_H

#include "flopinio/base/scan.h"
#include "harness.h"
#include "mcp/message.h"
#include "mcp/reply.h"

#define SERVES_ALL                                                                                 \
    (FL_MCP_SERVES_TOOLS | FL_MCP_SERVES_RESOURCES | FL_MCP_SERVES_RESOURCE_UPDATES |              \
     FL_MCP_SERVES_PROMPTS | FL_MCP_SERVES_COMPLETIONS | FL_MCP_SERVES_LOGGING |                   \
     FL_MCP_SERVES_TASKS)

/* What a modern request says of itself, for pasting into "_meta":{...}. */
#define V_KEY           "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""
#define CAPS_KEY        "\"io.modelcontextprotocol/clientCapabilities\":"
#define META_CAPS(caps) "\"_meta\":{" V_KEY "," CAPS_KEY caps "}"
#define META            META_CAPS("{}")
#define TASKS_CAPS      "{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}"

#define H_TYPE       "Content-Type: application/json\nAccept: application/json, text/event-stream\n"
#define H_MODERN     H_TYPE "MCP-Protocol-Version: 2026-07-28\n"
#define H_METHOD(m)  H_MODERN "Mcp-Method: " m "\n"
#define H_CALL(name) H_METHOD("tools/call") "Mcp-Name: " name "\n"

/* Whole requests around the inside of their params. */
#define DISCOVER(meta)                                                                             \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{" meta "}}"
#define LIST(params)                                                                               \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" params "}}"
#define CALL(params)                                                                               \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{" params "}}"
#define ID(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/list\",\"params\":{" META "}}"

/* How many allocations a loop over failing ones must have met. An arena in chunks hides most of
 * them: the sanitizer's build, where each piece is its own, is the one that counts. */
#ifdef FL_ARENA_MALLOC
#define CHECK_FAILURES(got, at_least) CHECK_MSG((got) >= (at_least), "only %u failures", (got))
#else
#define CHECK_FAILURES(got, at_least) ((void)(got), (void)(at_least))
#endif

struct ask {
    struct fl_arena *arena;
    struct fl_mcp_header list[24];
    struct fl_mcp_headers headers;
    struct fl_mcp_facts facts;
    struct fl_mcp_message msg;
    struct fl_mcp_refusal refusal;
    enum fl_code code;
};

static inline void ask_headers(struct ask *a, const char *lines)
{
    a->headers = (struct fl_mcp_headers){ a->list, 0 };
    while (*lines) {
        const char *end = strchr(lines, '\n'), *colon = strchr(lines, ':');
        CHECK(end && colon && colon < end && a->headers.count < FL_COUNTOF(a->list));
        a->list[a->headers.count++] =
            (struct fl_mcp_header){ { lines, (size_t)(colon - lines) },
                                    { colon + 1, (size_t)(end - colon) - 1 } };
        lines = end + 1;
    }
}

/* HTTP with these headers; NULL: WebSocket. Change a->facts between init and read. */
static inline void ask_init(struct ask *a, const char *headers)
{
    memset(a, 0, sizeof *a);
    a->arena = fl_arena_new(0);
    CHECK(a->arena);
    a->facts.serves = SERVES_ALL;
    a->facts.transport = headers ? FL_MCP_HTTP : FL_MCP_WEBSOCKET;
    if (headers) {
        ask_headers(a, headers);
        a->facts.headers = &a->headers;
    }
}

static inline void ask_session(struct ask *a, enum fl_mcp_version version)
{
    a->facts.session = FL_MCP_SESSION_LIVE;
    a->facts.session_version = version;
}

static inline void ask_read(struct ask *a, const char *body)
{
    struct fl_str text = fl_arena_str(a->arena, fl_str_of(body)); /* spans borrow from it */
    CHECK(text.p);
    a->code = fl_mcp_read(a->arena, text, &a->facts, &a->msg, &a->refusal);
    CHECK_INT(a->code, a->code == FL_OK ? FL_OK : a->refusal.err.code);
}

static inline void ask_fini(struct ask *a)
{
    fl_arena_free(&a->arena);
}

#define ASK(a, headers, body)                                                                      \
    do {                                                                                           \
        ask_init((a), (headers));                                                                  \
        ask_read((a), (body));                                                                     \
    } while (0)

/* Every message that we send must be one JSON object that our own scanner takes. */
static inline void check_message(const struct fl_buf *buf)
{
    struct fl_err err;
    static const struct fl_scan_pick picks[] = { { { "jsonrpc" } } };
    struct fl_str found[1];
    CHECK(!buf->is_failed);
    CHECK_MSG(fl_scan(fl_buf_view(buf), &fl_scan_call, picks, 1, found, &err) == FL_OK, "%s in %s",
              err.text, buf->p);
    CHECK(fl_span_is(found[0], "2.0"));
    CHECK(!memchr(buf->p, '\n', buf->n)); /* stdio: one line each */
}

#endif
