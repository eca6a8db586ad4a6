/* What an inbound message is: one scan, then the envelope, then the era (docs/protocol.md, "Which
 * era"). The body decides, the header confirms. Loop thread. */
#include "mcp/message.h"

#include <stdarg.h>

#include "mcp/message_priv.h"

static const struct fl_scan_pick picks[P_COUNT] = {
#define PARAMS       "params"
#define META         "_meta"
#define X(name, ...) [P_##name] = { { __VA_ARGS__ } },
    FL_MCP_PICKS(X)
#undef X
};
#define ENVELOPE_END (P_ERROR + 1)

/* ---- refusing ---- */
enum fl_code fl_mcp_refuse(struct fl_mcp_refusal *ret, const struct fl_mcp_message *msg,
                           enum fl_code code, int http, const char *fmt, ...)
{
    va_list ap;
    *ret = (struct fl_mcp_refusal){
        .http = http ? http : fl_code_http(code),
        .rpc = fl_code_rpc(code),
        .id = msg ? msg->id : (struct fl_str){ NULL, 0 },
        .is_mute = msg && (msg->kind == FL_MCP_NOTIFICATION || msg->kind == FL_MCP_RESPONSE),
    };
    va_start(ap, fmt);
    fl_err_vset(&ret->err, code, fmt, ap);
    va_end(ap);
    return code;
}

enum fl_code fl_mcp_refuse_capability(struct fl_mcp_refusal *ret, const struct fl_mcp_message *msg,
                                      enum fl_mcp_client_caps cap)
{
    const char *name = "", *data = "";
    switch (cap) {
    case FL_MCP_CLIENT_TASKS:
        name = "the tasks extension";
        data = "{\"requiredCapabilities\":{\"extensions\":{\"" FL_MCP_META "tasks\":{}}}}";
        break;
    case FL_MCP_CLIENT_ELICIT_FORM:
        name = "elicitation by form";
        data = "{\"requiredCapabilities\":{\"elicitation\":{\"form\":{}}}}";
        break;
    case FL_MCP_CLIENT_ELICIT_URL:
        name = "elicitation by url";
        data = "{\"requiredCapabilities\":{\"elicitation\":{\"url\":{}}}}";
        break;
    case FL_MCP_CLIENT_SAMPLING:
        name = "sampling";
        data = "{\"requiredCapabilities\":{\"sampling\":{}}}";
        break;
    case FL_MCP_CLIENT_ROOTS:
        name = "roots";
        data = "{\"requiredCapabilities\":{\"roots\":{}}}";
        break;
    }
    FL_ASSERT(name[0]);
    fl_mcp_refuse(ret, msg, FL_NEEDS_CAPABILITY, 0, "this needs a client that declares %s", name);
    ret->data = fl_str_of(data);
    return FL_NEEDS_CAPABILITY;
}

/* ---- the envelope ---- */
static size_t skip_blanks(struct fl_str text, size_t at)
{
    while (at < text.n &&
           (text.p[at] == ' ' || text.p[at] == '\t' || text.p[at] == '\n' || text.p[at] == '\r'))
        at++;
    return at;
}

/* Is every member of the (valid) message one of the envelope's? Each of those was found by the
 * scan, so the values are stepped over, however large; the first unknown one ends the walk. A
 * foreign member, "Method" or "paramſ", is what parsers disagree about. */
static bool has_only_envelope(struct fl_str text, const struct fl_str *at_pick)
{
    size_t at = skip_blanks(text, 0) + 1;
    for (;;) {
        at = skip_blanks(text, at);
        if (text.p[at] == '}')
            return true;
        if (text.p[at] == ',') {
            at++;
            continue;
        }
        for (at++; text.p[at] != '"'; at++)
            at += text.p[at] == '\\';
        at = skip_blanks(text, at + 1) + 1; /* behind the colon */
        at = skip_blanks(text, at);

        size_t i = 0;
        while (i < ENVELOPE_END && at_pick[i].p != text.p + at)
            i++;
        if (i == ENVELOPE_END)
            return false;
        at += at_pick[i].n;
    }
}

static enum fl_code read_envelope(struct fl_mcp_reader *r, struct fl_str text)
{
    struct fl_mcp_message *msg = r->msg;
    const struct fl_str *found = r->at;
    const char *wrong = NULL;

    /* The id first: every other refusal repeats it. */
    if (found[P_ID].p && !fl_mcp_is_id(found[P_ID]))
        return REFUSE(r, FL_BAD_REQUEST, 0,
                      "the id must be an integer of 64 bits or a string of at most %d bytes",
                      FL_MCP_ID_BYTES);
    if (found[P_ID].p) {
        struct fl_str id = fl_mcp_normal_id(r->arena, found[P_ID]);
        if (!id.p)
            return REFUSE_NOMEM(r);
        msg->id = id;
    }
    bool is_answer = !found[P_METHOD].p && (found[P_RESULT].p || found[P_ERROR].p);
    msg->kind = is_answer ? FL_MCP_RESPONSE : msg->id.p ? FL_MCP_REQUEST : FL_MCP_NOTIFICATION;

    if (!has_only_envelope(text, found))
        wrong = "a message has no members but jsonrpc, id, method, params, result and error";
    else if (!fl_span_is(found[P_JSONRPC], "2.0"))
        wrong = "jsonrpc must be \"2.0\"";
    else if (is_answer && (!msg->id.p || (found[P_RESULT].p && found[P_ERROR].p)))
        wrong = "a response has an id and either a result or an error";
    else if (!is_answer && (found[P_RESULT].p || found[P_ERROR].p))
        wrong = "a message with a method has no result and no error";
    else if (!is_answer && fl_span_type(found[P_METHOD]) != FL_SPAN_STRING)
        wrong = "the method must be a string";
    else if (found[P_PARAMS].p && fl_span_type(found[P_PARAMS]) != FL_SPAN_OBJECT)
        wrong = "params must be an object";
    if (wrong) {
        enum fl_code code = REFUSE(r, FL_BAD_REQUEST, 0, "%s", wrong);
        /* What has no method was no notification: its sender hears of it. */
        r->refusal->is_mute = is_answer || (!msg->id.p && found[P_METHOD].p);
        return code;
    }

    msg->params = found[P_PARAMS].p ? found[P_PARAMS] : FL_STR("{}");
    msg->result = found[P_RESULT];
    msg->error = found[P_ERROR];
    if (is_answer)
        return FL_OK;
    msg->method_text = fl_span_string(r->arena, found[P_METHOD]);
    if (!msg->method_text.p)
        return REFUSE_NOMEM(r);
    msg->method = fl_mcp_method_parse(msg->method_text);
    /* A call without an id would run with nobody to hear of it: only a real notification is one. */
    if (fl_mcp_method_is_notification(msg->method) != (msg->kind == FL_MCP_NOTIFICATION))
        msg->method = FL_MCP_UNKNOWN_METHOD;
    return FL_OK;
}

/* ---- which era ---- */
static enum fl_code classify(struct fl_mcp_reader *r)
{
    struct fl_mcp_message *msg = r->msg;
    enum fl_mcp_version named = fl_mcp_version_parse(r->version_header);
    /* A version that we do not know is taken for a modern one: legacy ones are all known. */
    bool header_is_modern =
        r->version_headers && (named == FL_MCP_NO_VERSION || fl_mcp_era_of(named) == FL_MCP_MODERN);

    if (r->version_headers > 1)
        return REFUSE(r, FL_HEADER_MISMATCH, 0, "header MCP-Protocol-Version stands twice");
    if (msg->kind == FL_MCP_RESPONSE) {
        if (header_is_modern)
            return REFUSE(r, FL_BAD_REQUEST, 0, "clients send no responses in this version");
        return fl_mcp_legacy(r);
    }
    if (r->at[P_META].p && fl_span_type(r->at[P_META]) != FL_SPAN_OBJECT)
        return REFUSE(r, FL_BAD_PARAMS, 0, "params._meta must be an object");
    if (!r->at[P_CLAIM].p && header_is_modern && msg->method == FL_MCP_M_INITIALIZE)
        return REFUSE(r, FL_HEADER_MISMATCH, 0,
                      "initialize is of an older version than header MCP-Protocol-Version names");
    if (!r->at[P_CLAIM].p && !header_is_modern)
        return fl_mcp_legacy(r);
    return msg->kind == FL_MCP_REQUEST ? fl_mcp_modern_request(r) : fl_mcp_modern_notification(r);
}

/* ---- batches ---- */
static bool has_claim(struct fl_str item)
{
    struct fl_str params = { NULL, 0 }, meta = { NULL, 0 };
    if (fl_span_type(item) == FL_SPAN_OBJECT)
        params = fl_span_get(item, "params");
    if (fl_span_type(params) == FL_SPAN_OBJECT)
        meta = fl_span_get(params, "_meta");
    return fl_span_type(meta) == FL_SPAN_OBJECT &&
           fl_span_get(meta, FL_MCP_META "protocolVersion").p;
}

/* Checked as a whole before its first member is read, so that nothing of a bad one runs. */
static enum fl_code read_batch(struct fl_mcp_reader *r, struct fl_str text)
{
    struct fl_str item;
    size_t pos = 0, count = 0;
    if (r->facts->is_in_batch || r->facts->session != FL_MCP_SESSION_LIVE ||
        !fl_mcp_has(r->facts->session_version, FL_MCP_HAS_BATCHES))
        return REFUSE(r, FL_BAD_REQUEST, 0, "batches are not supported");
    for (; fl_span_next_item(text, &pos, &item); count++) {
        if (count == FL_MCP_BATCH_MAX)
            return REFUSE(r, FL_BAD_REQUEST, 0, "a batch has at most %d messages",
                          FL_MCP_BATCH_MAX);
        if (has_claim(item))
            return REFUSE(r, FL_BAD_REQUEST, 0, "a message of this version cannot be batched");
    }
    if (count == 0)
        return REFUSE(r, FL_BAD_REQUEST, 0, "a batch must not be empty");
    r->msg->kind = FL_MCP_BATCH;
    r->msg->version = r->facts->session_version;
    r->msg->items = text;
    return FL_OK;
}

bool fl_mcp_batch_next(const struct fl_mcp_message *batch, size_t *pos, struct fl_str *ret_text)
{
    FL_ASSERT(batch->kind == FL_MCP_BATCH);
    return fl_span_next_item(batch->items, pos, ret_text);
}

enum fl_code fl_mcp_read(struct fl_arena *arena, struct fl_str text,
                         const struct fl_mcp_facts *facts, struct fl_mcp_message *ret,
                         struct fl_mcp_refusal *ret_refusal)
{
    FL_ASSERT((facts->transport == FL_MCP_HTTP) == (facts->headers != NULL));
    struct fl_mcp_reader r = { .arena = arena, .facts = facts, .msg = ret, .refusal = ret_refusal };
    struct fl_err err FL_NOT_CLEARED;

    *ret = (struct fl_mcp_message){ 0 };
    enum fl_code code = fl_scan(text, &fl_scan_call, picks, P_COUNT, r.at, &err);
    if (code != FL_OK)
        return REFUSE(&r, code, 0, "%s", err.text);
    if (facts->headers) {
        ret->accepts = fl_mcp_accepts(facts->headers);
        r.version_headers =
            fl_mcp_header_get(facts->headers, "MCP-Protocol-Version", &r.version_header);
    }
    struct fl_str root = { text.p + skip_blanks(text, 0), text.n - skip_blanks(text, 0) };
    switch (fl_span_type(root)) {
    case FL_SPAN_ARRAY: return read_batch(&r, root);
    case FL_SPAN_OBJECT: break;
    default: return REFUSE(&r, FL_BAD_REQUEST, 0, "a message must be an object");
    }
    code = read_envelope(&r, text);
    return code == FL_OK ? classify(&r) : code;
}

enum fl_code fl_mcp_check_verb(struct fl_str verb, const struct fl_mcp_facts *facts,
                               struct fl_mcp_refusal *ret_refusal)
{
    bool is_legacy = fl_str_is(verb, "GET") || fl_str_is(verb, "DELETE");
    if (is_legacy && facts->session == FL_MCP_SESSION_LIVE)
        return FL_OK;
    if (is_legacy && facts->session == FL_MCP_SESSION_GONE)
        return fl_mcp_refuse(ret_refusal, NULL, FL_SESSION_GONE, 0, "session not found");
    return fl_mcp_refuse(ret_refusal, NULL, FL_METHOD_NOT_ALLOWED, 0,
                         "this resource is asked with POST");
}
