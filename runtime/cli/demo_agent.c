/* The sample agent: a client of MCP 2025-11-25 over WebSocket, as docs/protocol.md has it. It sees
 * what any agent sees, and nothing else: it holds a credential and speaks to /mcp/ws. */
#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/demo_priv.h"

#define VERSION    "2025-11-25"
#define REPLY_MS   20000
#define CONNECT_MS 5000

static bool send_message(struct demo *d, json_t *message)
{
    struct fl_buf text = FL_BUF_INIT;
    if (message)
        fl_json_put(&text, message);
    bool is_fine = message && fl_buf_code(&text, &d->err) == FL_OK &&
                   fl_ws_client_send(d->ws, fl_buf_view(&text), &d->err) == FL_OK;
    fl_buf_fini(&text);
    json_decref(message);
    return is_fine;
}

static bool request(struct demo *d, const char *method, json_t *params)
{
    return send_message(d, json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", ++d->request,
                                     "method", method, "params", params));
}

/* ---------------------------------------------------------------- hearing */
/* The runtime tells a waiting client that people are asked; the first such message is kept. */
static void on_notification(struct demo *d, const json_t *message)
{
    struct fl_str text = fl_json_get_str(json_object_get(message, "params"), "message");
    bool is_progress = fl_str_is(fl_json_get_str(message, "method"), "notifications/progress");
    if (is_progress && d->meanwhile.n == 0)
        fl_buf_str(&d->meanwhile, text);
}

enum demo_heard demo_agent_hear(struct demo *d, int timeout_ms, json_t **ret)
{
    int64_t until_ms = fl_mono_ms() + timeout_ms;
    for (;;) {
        struct fl_str text;
        int64_t left = until_ms - fl_mono_ms();
        enum fl_code code = fl_ws_client_receive(d->ws, left > 0 ? (int)left : 0, &text, &d->err);
        if (code == FL_TIMEOUT)
            return DEMO_NOTHING;
        json_t *message = code ? NULL : fl_json_parse(text, &d->err);
        if (!message)
            return DEMO_BROKEN;
        if (json_integer_value(json_object_get(message, "id")) == d->request &&
            !json_object_get(message, "method")) {
            *ret = message;
            return DEMO_ANSWER;
        }
        on_notification(d, message);
        json_decref(message);
    }
}

static bool answer_of(struct demo *d, json_t **ret)
{
    *ret = NULL;
    enum demo_heard heard = demo_agent_hear(d, REPLY_MS, ret);
    if (heard == DEMO_NOTHING)
        return demo_fail(d, "the runtime did not answer the agent");
    return heard == DEMO_ANSWER;
}

struct fl_str demo_answer_text(struct demo *d, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error"), *piece;
    const json_t *content = json_object_get(json_object_get(answer, "result"), "content");
    size_t at;
    fl_buf_reset(&d->heard);
    fl_buf_str(&d->heard, fl_json_get_str(error, "message"));
    json_array_foreach (content, at, piece) {
        fl_buf_puts(&d->heard, at ? "\n" : "");
        fl_buf_str(&d->heard, fl_json_get_str(piece, "text"));
    }
    return d->heard.is_failed ? FL_STR("(out of memory)") : fl_buf_view(&d->heard);
}

bool demo_answer_is_error(const json_t *answer)
{
    return json_object_get(answer, "error") ||
           json_is_true(json_object_get(json_object_get(answer, "result"), "isError"));
}

/* ---------------------------------------------------------------- speaking */
static bool initialize(struct demo *d)
{
    json_t *answer = NULL;
    bool is_fine =
        request(d, "initialize",
                json_pack("{s:s, s:{}, s:{s:s, s:s}}", "protocolVersion", VERSION, "capabilities",
                          "clientInfo", "name", "flopinio-demo-agent", "version", FL_VERSION)) &&
        answer_of(d, &answer);
    const json_t *result = json_object_get(answer, "result");
    if (is_fine && !fl_str_is(fl_json_get_str(result, "protocolVersion"), VERSION))
        is_fine = demo_fail(d, "the runtime speaks another version of the protocol: %.*s",
                            FL_STR_ARG(demo_answer_text(d, answer)));
    json_decref(answer);
    return is_fine && send_message(d, json_pack("{s:s, s:s}", "jsonrpc", "2.0", "method",
                                                "notifications/initialized"));
}

static bool list_tools(struct demo *d)
{
    json_t *answer = NULL;
    bool is_fine = request(d, "tools/list", json_object()) && answer_of(d, &answer);
    const json_t *tool, *tools = json_object_get(json_object_get(answer, "result"), "tools");
    struct fl_buf names = FL_BUF_INIT;
    size_t at;
    json_array_foreach (tools, at, tool) {
        fl_buf_puts(&names, at ? ", " : "");
        fl_buf_str(&names, fl_json_get_str(tool, "name"));
    }
    if (is_fine && (json_array_size(tools) == 0 || names.is_failed))
        is_fine = demo_fail(d, "the agent is shown no tools");
    if (is_fine)
        demo_say(d, "It is shown %zu tools: %s.", json_array_size(tools), names.p);
    fl_buf_fini(&names);
    json_decref(answer);
    return is_fine;
}

bool demo_agent_connect(struct demo *d)
{
    if (fl_ws_client_open("127.0.0.1", (uint16_t)d->port, "/mcp/ws", d->credential, CONNECT_MS,
                          &d->ws, &d->err) != FL_OK)
        return false;
    demo_say(d,
             "The agent \"" DEMO_AGENT "\" connects to ws://127.0.0.1:%d/mcp/ws with its "
             "credential and speaks MCP " VERSION ".",
             d->port);
    return initialize(d) && list_tools(d);
}

bool demo_agent_call(struct demo *d, const char *tool, json_t *arguments, const char *why)
{
    char token[24];
    fl_buf_reset(&d->meanwhile);
    snprintf(token, sizeof token, "call-%d", d->request + 1);
    json_t *meta =
        json_pack("{s:s, s:s*}", "progressToken", token, "dev.flopinio/justification", why);
    return request(
        d, "tools/call",
        json_pack("{s:s, s:o, s:o}", "name", tool, "arguments", arguments, "_meta", meta));
}
