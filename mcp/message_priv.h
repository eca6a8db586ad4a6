/* Shared by the files that read a message: message.c (what it is), ladder.c (may it go on),
 * params.c (what is in it). Not for other folders. */
#ifndef FL_MCP_MESSAGE_PRIV_H
#define FL_MCP_MESSAGE_PRIV_H

#include "flopinio/base/scan.h"
#include "mcp/message.h"

/* What the one scan picks out of the message: the envelope, and whatever nearly every request or a
 * large one has, so that nothing of it is walked through again. PARAMS and META are message.c's,
 * one literal each: the scan knows equal names by their pointers. X(name, path) */
#define FL_MCP_PICKS(X)                                                                            \
    X(JSONRPC, "jsonrpc")                                                                          \
    X(ID, "id")                                                                                    \
    X(METHOD, "method")                                                                            \
    X(PARAMS, PARAMS)                                                                              \
    X(RESULT, "result")                                                                            \
    X(ERROR, "error") /* the last one of the envelope */                                           \
    X(NAME, PARAMS, "name")                                                                        \
    X(ARGUMENTS, PARAMS, "arguments")                                                              \
    X(INPUT_RESPONSES, PARAMS, "inputResponses")                                                   \
    X(REQUEST_STATE, PARAMS, "requestState")                                                       \
    X(META, PARAMS, META)                                                                          \
    X(CLAIM, PARAMS, META, FL_MCP_META "protocolVersion")                                          \
    X(CAPS, PARAMS, META, FL_MCP_META "clientCapabilities")                                        \
    X(CLIENT_INFO, PARAMS, META, FL_MCP_META "clientInfo")                                         \
    X(LOG_LEVEL, PARAMS, META, FL_MCP_META "logLevel")                                             \
    X(PROGRESS_TOKEN, PARAMS, META, "progressToken")                                               \
    X(IDEMPOTENCY_KEY, PARAMS, META, FL_MCP_OURS "idempotencyKey")                                 \
    X(JUSTIFICATION, PARAMS, META, FL_MCP_OURS "justification")                                    \
    X(TRACEPARENT, PARAMS, META, "traceparent")

enum fl_mcp_pick {
#define X(name, ...) P_##name,
    FL_MCP_PICKS(X)
#undef X
        P_COUNT
};

/* One reading. Everything but `msg` and `refusal` is gone when fl_mcp_read returns. */
struct fl_mcp_reader {
    struct fl_arena *arena;
    const struct fl_mcp_facts *facts;
    struct fl_mcp_message *msg;
    struct fl_mcp_refusal *refusal;
    struct fl_str at[P_COUNT]; /* spans; p NULL when absent */
    /* MCP-Protocol-Version: how often, and which */
    size_t version_headers;
    struct fl_str version_header;
};

/* ---- params.c ---- */
/* A string or an integer (JSON-RPC ids, progress tokens), small enough to be sent back often. */
bool fl_mcp_is_id(struct fl_str value);
/* One spelling for one id; p NULL when there is no memory. */
struct fl_str fl_mcp_normal_id(struct fl_arena *arena, struct fl_str id);
/* Checks and decodes the members of _meta that both eras have. */
enum fl_code fl_mcp_read_meta(struct fl_mcp_reader *r) FL_MUST_CHECK;
/* Decodes msg->name if it is a string. */
enum fl_code fl_mcp_read_name(struct fl_mcp_reader *r) FL_MUST_CHECK;
unsigned fl_mcp_read_client_caps(struct fl_str caps, enum fl_mcp_era era);
enum fl_code fl_mcp_read_client_info(struct fl_mcp_reader *r, struct fl_str info) FL_MUST_CHECK;
/* The members that the method needs, by type (step 15). */
enum fl_code fl_mcp_read_params(struct fl_mcp_reader *r) FL_MUST_CHECK;
/* What a notification carries; never refuses for its content. FL_NOMEM. */
enum fl_code fl_mcp_read_notification(struct fl_mcp_reader *r) FL_MUST_CHECK;

/* ---- ladder.c ---- */
enum fl_code fl_mcp_modern_request(struct fl_mcp_reader *r) FL_MUST_CHECK;
enum fl_code fl_mcp_modern_notification(struct fl_mcp_reader *r) FL_MUST_CHECK;
enum fl_code fl_mcp_legacy(struct fl_mcp_reader *r) FL_MUST_CHECK;

/* fl_mcp_refuse for the message in hand. */
#define REFUSE(r, ...)  fl_mcp_refuse((r)->refusal, (r)->msg, __VA_ARGS__)
#define REFUSE_NOMEM(r) REFUSE(r, FL_NOMEM, 0, "%s", fl_code_text(FL_NOMEM))

#endif
