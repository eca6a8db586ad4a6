/* Shared by the files that read a message: message.c (what it is), ladder.c (may it go on),
 * params.c (what is in it). Not for other folders. */
#ifndef FL_MCP_MESSAGE_PRIV_H
#define FL_MCP_MESSAGE_PRIV_H

#include "flopinio/base/scan.h"
#include "mcp/message.h"

/* One reading. Everything but `msg` and `refusal` is gone when fl_mcp_read returns. */
struct fl_mcp_reader {
    struct fl_arena *arena;
    const struct fl_mcp_facts *facts;
    struct fl_mcp_message *msg;
    struct fl_mcp_refusal *refusal;
    struct fl_str name, arguments; /* spans of params.name and params.arguments */
    struct fl_str meta;            /* span of params._meta */
    /* spans of members of _meta; p NULL when absent */
    struct fl_str claim, caps, client_info, log_level, progress_token, idempotency_key,
        justification, traceparent;
    /* MCP-Protocol-Version: how often, and which */
    size_t version_headers;
    struct fl_str version_header;
};

/* ---- params.c ---- */
/* A string or an integer (JSON-RPC ids, progress tokens), small enough to be sent back often. */
bool fl_mcp_is_id(struct fl_str value);
/* One spelling for one id; p NULL when there is no memory. */
struct fl_str fl_mcp_normal_id(struct fl_arena *arena, struct fl_str id);
/* Finds the members of _meta; FL_BAD_PARAMS if it is no object. */
enum fl_code fl_mcp_find_meta(struct fl_mcp_reader *r) FL_MUST_CHECK;
/* Checks and decodes the members that both eras have. */
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
