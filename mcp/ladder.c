/* The checks that a message passes once it is known which era it speaks, in the order in which
 * they must fail. Modern: steps 6 to 15 of docs/protocol.md. Loop thread. */
#include "mcp/message_priv.h"

#include "flopinio/base/utf8.h"
#include "mcp/emit_priv.h"

#define REQUESTED_ECHO_BYTES 64

static bool is_http(const struct fl_mcp_reader *r)
{
    return r->facts->transport == FL_MCP_HTTP;
}

/* Step 6: what every modern request must say of itself. */
static enum fl_code check_meta_required(struct fl_mcp_reader *r)
{
    bool has_version = fl_span_type(r->at[P_CLAIM]) == FL_SPAN_STRING;
    bool has_caps = fl_span_type(r->at[P_CAPS]) == FL_SPAN_OBJECT;
    static const char version[] = FL_MCP_META "protocolVersion (a string)";
    static const char caps[] = FL_MCP_META "clientCapabilities (an object)";
    if (has_version && has_caps)
        return FL_OK;
    return REFUSE(r, FL_BAD_PARAMS, 0, "params._meta lacks %s%s%s", has_version ? caps : version,
                  !has_version && !has_caps ? " and " : "", !has_version && !has_caps ? caps : "");
}

/* Step 7. A notification need not carry the header, but must not contradict it. */
static enum fl_code check_version_header(struct fl_mcp_reader *r)
{
    if (r->version_headers == 0 && r->msg->kind == FL_MCP_NOTIFICATION)
        return FL_OK;
    if (r->version_headers == 0)
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header MCP-Protocol-Version is required");
    if (!fl_str_eq(r->version_header, r->msg->requested_version))
        return REFUSE(r, FL_HEADER_MISMATCH, 0,
                      "header MCP-Protocol-Version and params._meta name different versions");
    return FL_OK;
}

/* Step 8. Only modern versions are offered: one that needs a handshake cannot be spoken by a
 * single request, and a client would try. */
static enum fl_code check_version(struct fl_mcp_reader *r)
{
    enum fl_mcp_version version = fl_mcp_version_parse(r->msg->requested_version);
    if (fl_mcp_era_of(version) == FL_MCP_MODERN) {
        r->msg->version = version;
        return FL_OK;
    }
    struct fl_str echo = r->msg->requested_version;
    struct fl_buf data = FL_BUF_INIT;
    echo.n = fl_utf8_cut(echo, REQUESTED_ECHO_BYTES);
    fl_buf_putc(&data, '{');
    fl_emit_key(&data, "supported");
    fl_emit_modern_versions(&data);
    fl_emit_str(&data, "requested", echo);
    fl_buf_putc(&data, '}');

    struct fl_str copy = { NULL, 0 };
    if (!data.is_failed)
        copy = fl_arena_str(r->arena, fl_buf_view(&data));
    fl_buf_fini(&data);
    if (!copy.p)
        return REFUSE_NOMEM(r);
    enum fl_code code = REFUSE(r, FL_UNSUPPORTED_VERSION, 0,
                               version == FL_MCP_NO_VERSION
                                   ? "unsupported protocol version"
                                   : "this protocol version needs the initialize handshake");
    r->refusal->data = copy;
    return code;
}

/* Step 9. */
static enum fl_code check_method_header(struct fl_mcp_reader *r)
{
    struct fl_str value;
    size_t found = fl_mcp_header_get(r->facts->headers, "Mcp-Method", &value);
    if (found == 0 && r->msg->kind == FL_MCP_NOTIFICATION)
        return FL_OK;
    if (found != 1)
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header Mcp-Method is required once");
    if (!fl_str_eq(value, r->msg->method_text))
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header Mcp-Method does not match the method");
    return FL_OK;
}

/* Step 10. Where the body has no string to mirror, step 15 says so. */
static enum fl_code check_name_header(struct fl_mcp_reader *r)
{
    const char *member = fl_mcp_method_member(r->msg->method);
    struct fl_str raw, value;
    /* One that this era does not have is an unknown method, which has no name. */
    if (!member[0] || !fl_mcp_method_is_known(r->msg->method, FL_MCP_MODERN, ~0u))
        return FL_OK;
    size_t found = fl_mcp_header_get(r->facts->headers, "Mcp-Name", &raw);
    if (found == 0 && !r->msg->name.p)
        return FL_OK;
    if (found != 1)
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header Mcp-Name is required once");
    enum fl_code code = fl_mcp_header_decode(r->arena, raw, &value);
    if (code == FL_NOMEM)
        return REFUSE_NOMEM(r);
    if (code != FL_OK || !r->msg->name.p || !fl_str_eq(value, r->msg->name))
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header Mcp-Name does not match params.%s", member);
    return FL_OK;
}

/* Step 11. */
static enum fl_code check_log_level(struct fl_mcp_reader *r)
{
    if (!r->at[P_LOG_LEVEL].p)
        return FL_OK;
    if (fl_span_type(r->at[P_LOG_LEVEL]) == FL_SPAN_STRING) {
        struct fl_str text = fl_span_string(r->arena, r->at[P_LOG_LEVEL]);
        if (!text.p)
            return REFUSE_NOMEM(r);
        r->msg->log_level = fl_mcp_level_parse(text);
    }
    if (r->msg->log_level == FL_MCP_LEVEL_NONE)
        return REFUSE(r, FL_BAD_PARAMS, 0,
                      FL_MCP_META "logLevel must be one of the eight log levels");
    return FL_OK;
}

/* Step 12. A legacy client takes HTTP 404 for the end of its session, so it gets 200. */
static enum fl_code check_method(struct fl_mcp_reader *r)
{
    struct fl_str shown = r->msg->method_text;
    if (fl_mcp_method_is_known(r->msg->method, r->msg->era, r->facts->serves))
        return FL_OK;
    shown.n = fl_utf8_cut(shown, 60);
    return REFUSE(r, FL_UNKNOWN_METHOD, r->msg->era == FL_MCP_LEGACY ? 200 : 0,
                  "unknown method %.*s", FL_STR_ARG(shown));
}

/* Step 13. */
static enum fl_code check_capability(struct fl_mcp_reader *r)
{
    bool needs_tasks = false;
    switch (r->msg->method) {
    case FL_MCP_M_TASKS_GET:
    case FL_MCP_M_TASKS_UPDATE:
    case FL_MCP_M_TASKS_CANCEL: needs_tasks = true; break;
    case FL_MCP_M_LISTEN: {
        struct fl_str filter = fl_span_get(r->msg->params, "notifications");
        needs_tasks =
            fl_span_type(filter) == FL_SPAN_OBJECT && fl_span_get(filter, "taskIds").p != NULL;
        break;
    }
    default: break;
    }
    if (needs_tasks && !(r->msg->client_caps & FL_MCP_CLIENT_TASKS))
        return fl_mcp_refuse_capability(r->refusal, r->msg, FL_MCP_CLIENT_TASKS);
    return FL_OK;
}

/* Step 14. */
static enum fl_code check_param_headers(struct fl_mcp_reader *r)
{
    const struct fl_mcp_facts *facts = r->facts;
    if (r->msg->method != FL_MCP_M_TOOLS_CALL || !r->msg->name.p || !facts->param_headers)
        return FL_OK;
    const struct fl_mcp_param_headers *declared = facts->param_headers(facts->ctx, r->msg->name);
    struct fl_err err;
    if (!declared)
        return FL_OK;
    enum fl_code code =
        fl_mcp_param_headers_check(declared, facts->headers, r->at[P_ARGUMENTS], r->arena, &err);
    return code == FL_OK ? FL_OK : REFUSE(r, code, 0, "%s", err.text);
}

static enum fl_code read_claim(struct fl_mcp_reader *r)
{
    r->msg->requested_version = fl_span_string(r->arena, r->at[P_CLAIM]);
    return r->msg->requested_version.p ? FL_OK : REFUSE_NOMEM(r);
}

static enum fl_code read_client(struct fl_mcp_reader *r)
{
    r->msg->client_caps = fl_mcp_read_client_caps(r->at[P_CAPS], FL_MCP_MODERN);
    return fl_mcp_read_client_info(r, r->at[P_CLIENT_INFO]);
}

enum fl_code fl_mcp_modern_request(struct fl_mcp_reader *r)
{
    static const struct {
        enum fl_code (*run)(struct fl_mcp_reader *r);
        bool is_http_only;
    } ladder[] = {
        { check_meta_required, false }, { read_claim, false },
        { check_version_header, true }, { check_version, false },
        { check_method_header, true },  { fl_mcp_read_name, false },
        { check_name_header, true },    { check_log_level, false },
        { fl_mcp_read_meta, false },    { read_client, false },
        { check_method, false },        { check_capability, false },
        { check_param_headers, true },  { fl_mcp_read_params, false },
    };
    enum fl_code code = FL_OK;
    r->msg->era = FL_MCP_MODERN;
    for (size_t i = 0; code == FL_OK && i < FL_COUNTOF(ladder); i++) {
        if (is_http(r) || !ladder[i].is_http_only)
            code = ladder[i].run(r);
    }
    return code;
}

enum fl_code fl_mcp_modern_notification(struct fl_mcp_reader *r)
{
    r->msg->era = FL_MCP_MODERN;
    r->msg->version = FL_MCP_NEWEST;
    if (r->at[P_CLAIM].p) {
        if (fl_span_type(r->at[P_CLAIM]) != FL_SPAN_STRING)
            return REFUSE(r, FL_BAD_PARAMS, 0, FL_MCP_META "protocolVersion must be a string");
        enum fl_code code = read_claim(r);
        if (code == FL_OK && is_http(r))
            code = check_version_header(r);
        if (code == FL_OK)
            code = check_version(r);
        if (code == FL_OK && is_http(r))
            code = check_method_header(r);
        if (code != FL_OK)
            return code;
    }
    return fl_mcp_read_notification(r);
}

/* ---- legacy ---- */
static enum fl_code check_accept(struct fl_mcp_reader *r)
{
    if (!is_http(r) || r->msg->kind != FL_MCP_REQUEST ||
        r->msg->accepts == (FL_MCP_ACCEPTS_JSON | FL_MCP_ACCEPTS_SSE))
        return FL_OK;
    return REFUSE(r, FL_NOT_ACCEPTABLE, 0,
                  "the client must accept application/json and text/event-stream");
}

/* Over HTTP everything but initialize belongs to a session. On other transports the connection is
 * the session (session.h). */
static enum fl_code check_session(struct fl_mcp_reader *r)
{
    if (!is_http(r) || r->msg->method == FL_MCP_M_INITIALIZE)
        return FL_OK;
    if (r->facts->session == FL_MCP_SESSION_GONE)
        return REFUSE(r, FL_SESSION_GONE, 0, "session not found");
    if (r->facts->session == FL_MCP_SESSION_NONE) {
        enum fl_code code =
            REFUSE(r, FL_BAD_REQUEST, 0, "header Mcp-Session-Id is required after initialize");
        r->refusal->rpc = -32000; /* as the SDKs' servers say it */
        return code;
    }
    return FL_OK;
}

enum fl_code fl_mcp_legacy(struct fl_mcp_reader *r)
{
    struct fl_mcp_message *msg = r->msg;
    msg->era = FL_MCP_LEGACY;
    msg->version =
        r->facts->session == FL_MCP_SESSION_LIVE ? r->facts->session_version : FL_MCP_NEWEST_LEGACY;
    FL_ASSERT(fl_mcp_era_of(msg->version) == FL_MCP_LEGACY && msg->version != FL_MCP_NO_VERSION);

    enum fl_code code = check_accept(r);
    if (code == FL_OK)
        code = check_session(r);
    if (code != FL_OK || msg->kind == FL_MCP_RESPONSE)
        return code;
    if (msg->kind == FL_MCP_NOTIFICATION)
        return fl_mcp_read_notification(r);
    if (msg->method == FL_MCP_M_INITIALIZE && r->facts->is_in_batch)
        return REFUSE(r, FL_BAD_REQUEST, 0, "initialize cannot be part of a batch");
    code = fl_mcp_read_meta(r);
    if (code == FL_OK)
        code = check_method(r);
    if (code == FL_OK)
        code = fl_mcp_read_name(r);
    return code == FL_OK ? fl_mcp_read_params(r) : code;
}
