/* What stands in params and in its _meta. Loop thread. */
#include "mcp/message_priv.h"

#include "flopinio/base/buf.h"

bool fl_mcp_is_id(struct fl_str value)
{
    int64_t number;
    switch (fl_span_type(value)) {
    case FL_SPAN_NUMBER: return fl_span_int(value, &number);
    case FL_SPAN_STRING: return value.n <= FL_MCP_ID_BYTES + 2; /* and the quotes */
    default: return false;
    }
}

struct fl_str fl_mcp_normal_id(struct fl_arena *arena, struct fl_str id)
{
    if (fl_str_is(id, "-0"))
        return FL_STR("0");
    if (!memchr(id.p, '\\', id.n))
        return id;
    struct fl_str text = fl_span_string(arena, id), copy = { NULL, 0 };
    struct fl_buf json = FL_BUF_INIT;
    if (text.p)
        fl_buf_json_str(&json, text);
    if (text.p && !json.is_failed)
        copy = fl_arena_str(arena, fl_buf_view(&json));
    fl_buf_fini(&json);
    return copy;
}

/* Decodes a string span that may be absent; false only when there is no memory. */
static bool decode(struct fl_mcp_reader *r, struct fl_str span, struct fl_str *ret)
{
    if (fl_span_type(span) != FL_SPAN_STRING)
        return true;
    *ret = fl_span_string(r->arena, span);
    return ret->p != NULL;
}

/* W3C trace context, level 1, section 3.2: only what we would pass on without a doubt. */
static bool is_traceparent(struct fl_str s)
{
    static const char shape[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    if (s.n != sizeof shape - 1 || (s.p[0] == 'f' && s.p[1] == 'f'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool is_hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
        if (shape[i] == 'x' ? !is_hex : s.p[i] != shape[i])
            return false;
    }
    return true;
}

enum fl_code fl_mcp_read_meta(struct fl_mcp_reader *r)
{
    struct fl_mcp_message *msg = r->msg;
    struct fl_str trace = { NULL, 0 };

    if (r->at[P_PROGRESS_TOKEN].p && !fl_mcp_is_id(r->at[P_PROGRESS_TOKEN]))
        return REFUSE(r, FL_BAD_PARAMS, 0,
                      "progressToken must be an integer or a string of at most %d bytes",
                      FL_MCP_ID_BYTES);
    msg->progress_token = r->at[P_PROGRESS_TOKEN];

    if (!decode(r, r->at[P_IDEMPOTENCY_KEY], &msg->idempotency_key) ||
        !decode(r, r->at[P_JUSTIFICATION], &msg->justification) ||
        !decode(r, r->at[P_TRACEPARENT], &trace))
        return REFUSE_NOMEM(r);
    if (r->at[P_IDEMPOTENCY_KEY].p &&
        (msg->idempotency_key.n == 0 || msg->idempotency_key.n > FL_MCP_IDEMPOTENCY_KEY_BYTES))
        return REFUSE(r, FL_BAD_PARAMS, 0,
                      FL_MCP_OURS "idempotencyKey must be a string of 1 to %d bytes",
                      FL_MCP_IDEMPOTENCY_KEY_BYTES);
    if (r->at[P_JUSTIFICATION].p &&
        (!msg->justification.p || msg->justification.n > FL_MCP_JUSTIFICATION_BYTES))
        return REFUSE(r, FL_BAD_PARAMS, 0,
                      FL_MCP_OURS "justification must be a string of at most %d bytes",
                      FL_MCP_JUSTIFICATION_BYTES);
    if (is_traceparent(trace))
        msg->traceparent = trace;
    return FL_OK;
}

enum fl_code fl_mcp_read_name(struct fl_mcp_reader *r)
{
    const char *member = fl_mcp_method_member(r->msg->method);
    if (!member[0])
        return FL_OK;
    struct fl_str span =
        strcmp(member, "name") == 0 ? r->at[P_NAME] : fl_span_get(r->msg->params, member);
    return decode(r, span, &r->msg->name) ? FL_OK : REFUSE_NOMEM(r);
}

unsigned fl_mcp_read_client_caps(struct fl_str caps, enum fl_mcp_era era)
{
    unsigned bits = 0;
    struct fl_str elicitation, key, value;
    if (fl_span_type(caps) != FL_SPAN_OBJECT)
        return 0;

    elicitation = fl_span_get(caps, "elicitation");
    if (fl_span_type(elicitation) == FL_SPAN_OBJECT) {
        size_t pos = 0;
        if (fl_span_type(fl_span_get(elicitation, "form")) == FL_SPAN_OBJECT)
            bits |= FL_MCP_CLIENT_ELICIT_FORM;
        if (fl_span_type(fl_span_get(elicitation, "url")) == FL_SPAN_OBJECT)
            bits |= FL_MCP_CLIENT_ELICIT_URL;
        if (!fl_span_next_member(elicitation, &pos, &key, &value))
            bits |= FL_MCP_CLIENT_ELICIT_FORM; /* {} is how it was said before there were two */
    }
    if (fl_span_type(fl_span_get(caps, "sampling")) == FL_SPAN_OBJECT)
        bits |= FL_MCP_CLIENT_SAMPLING;
    if (fl_span_type(fl_span_get(caps, "roots")) == FL_SPAN_OBJECT)
        bits |= FL_MCP_CLIENT_ROOTS;
    if (era == FL_MCP_MODERN) {
        struct fl_str extensions = fl_span_get(caps, "extensions");
        if (fl_span_type(extensions) == FL_SPAN_OBJECT &&
            fl_span_type(fl_span_get(extensions, FL_MCP_META "tasks")) == FL_SPAN_OBJECT)
            bits |= FL_MCP_CLIENT_TASKS;
    }
    return bits;
}

enum fl_code fl_mcp_read_client_info(struct fl_mcp_reader *r, struct fl_str info)
{
    struct fl_mcp_message *msg = r->msg;
    if (fl_span_type(info) != FL_SPAN_OBJECT)
        return FL_OK; /* only for show */
    if (!decode(r, fl_span_get(info, "name"), &msg->client_name) ||
        !decode(r, fl_span_get(info, "title"), &msg->client_title) ||
        !decode(r, fl_span_get(info, "version"), &msg->client_version))
        return REFUSE_NOMEM(r);
    return FL_OK;
}

/* ---- step 15: errors of the method's handler, HTTP 200 ---- */
static enum fl_code need_name(struct fl_mcp_reader *r)
{
    if (r->msg->name.p)
        return FL_OK;
    return REFUSE(r, FL_BAD_PARAMS, 200, "params.%s must be a string",
                  fl_mcp_method_member(r->msg->method));
}

static enum fl_code read_arguments(struct fl_mcp_reader *r)
{
    if (r->at[P_ARGUMENTS].p && fl_span_type(r->at[P_ARGUMENTS]) != FL_SPAN_OBJECT)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.arguments must be an object");
    r->msg->arguments = r->at[P_ARGUMENTS].p ? r->at[P_ARGUMENTS] : FL_STR("{}");
    return FL_OK;
}

/* What a client sends when it answers an input request of ours. */
static enum fl_code read_inputs(struct fl_mcp_reader *r)
{
    struct fl_str inputs = r->at[P_INPUT_RESPONSES], state = r->at[P_REQUEST_STATE];
    if (inputs.p && fl_span_type(inputs) != FL_SPAN_OBJECT)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.inputResponses must be an object");
    if (state.p && fl_span_type(state) != FL_SPAN_STRING)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.requestState must be a string");
    r->msg->input_responses = inputs;
    return decode(r, state, &r->msg->request_state) ? FL_OK : REFUSE_NOMEM(r);
}

static enum fl_code read_cursor(struct fl_mcp_reader *r)
{
    struct fl_str span = fl_span_get(r->msg->params, "cursor");
    if (span.p && fl_span_type(span) != FL_SPAN_STRING)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.cursor must be a string");
    return decode(r, span, &r->msg->cursor) ? FL_OK : REFUSE_NOMEM(r);
}

static enum fl_code read_level(struct fl_mcp_reader *r)
{
    r->msg->log_level = fl_mcp_level_parse(r->msg->name);
    if (r->msg->log_level == FL_MCP_LEVEL_NONE)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.level must be one of the eight log levels");
    return FL_OK;
}

static enum fl_code read_initialize(struct fl_mcp_reader *r)
{
    struct fl_mcp_message *msg = r->msg;
    if (!decode(r, fl_span_get(msg->params, "protocolVersion"), &msg->requested_version))
        return REFUSE_NOMEM(r);
    if (!msg->requested_version.p)
        return REFUSE(r, FL_BAD_PARAMS, 200, "params.protocolVersion must be a string");
    msg->version = fl_mcp_version_negotiate(msg->requested_version);
    msg->client_caps =
        fl_mcp_read_client_caps(fl_span_get(msg->params, "capabilities"), FL_MCP_LEGACY);
    return fl_mcp_read_client_info(r, fl_span_get(msg->params, "clientInfo"));
}

enum fl_code fl_mcp_read_params(struct fl_mcp_reader *r)
{
    enum fl_code code = fl_mcp_method_member(r->msg->method)[0] ? need_name(r) : FL_OK;
    if (code != FL_OK)
        return code;
    switch (r->msg->method) {
    case FL_MCP_M_INITIALIZE: return read_initialize(r);
    case FL_MCP_M_TOOLS_CALL:
    case FL_MCP_M_PROMPTS_GET:
        code = read_arguments(r);
        return code == FL_OK && r->msg->era == FL_MCP_MODERN ? read_inputs(r) : code;
    case FL_MCP_M_RESOURCES_READ: return r->msg->era == FL_MCP_MODERN ? read_inputs(r) : FL_OK;
    case FL_MCP_M_TASKS_UPDATE:
        if (!r->at[P_INPUT_RESPONSES].p)
            return REFUSE(r, FL_BAD_PARAMS, 200, "params.inputResponses must be an object");
        return read_inputs(r);
    case FL_MCP_M_TOOLS_LIST:
    case FL_MCP_M_RESOURCES_LIST:
    case FL_MCP_M_RESOURCES_TEMPLATES:
    case FL_MCP_M_PROMPTS_LIST: return read_cursor(r);
    case FL_MCP_M_SET_LEVEL: return read_level(r);
    case FL_MCP_M_LISTEN:
        r->msg->listens_to = fl_span_get(r->msg->params, "notifications");
        if (fl_span_type(r->msg->listens_to) != FL_SPAN_OBJECT)
            return REFUSE(r, FL_BAD_PARAMS, 200, "params.notifications must be an object");
        return FL_OK;
    default: return FL_OK;
    }
}

enum fl_code fl_mcp_read_notification(struct fl_mcp_reader *r)
{
    struct fl_mcp_message *msg = r->msg;
    if (msg->method != FL_MCP_M_CANCELLED)
        return FL_OK;
    struct fl_str id = fl_span_get(msg->params, "requestId");
    if (fl_mcp_is_id(id)) {
        msg->request_id = fl_mcp_normal_id(r->arena, id);
        if (!msg->request_id.p)
            return REFUSE_NOMEM(r);
    }
    return decode(r, fl_span_get(msg->params, "reason"), &msg->reason) ? FL_OK : REFUSE_NOMEM(r);
}
