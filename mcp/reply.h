/* Builders for every message that we send. Each appends one whole JSON-RPC message (no newline,
 * no framing) to a buffer with a sticky error: check fl_buf_code once. Called by runtime/endpoint.
 * Any thread, no state. Texts must be UTF-8, spans JSON that fl_scan accepted. */
#ifndef FL_MCP_REPLY_H
#define FL_MCP_REPLY_H

#include "flopinio/base/buf.h"
#include "mcp/message.h"
#include "mcp/result.h"

/* Who we are and what we offer; serverInfo, capabilities, instructions. */
struct fl_mcp_server {
    struct fl_str name, title, version;
    struct fl_str instructions; /* n 0 = none */
    unsigned serves;            /* enum fl_mcp_serves */
    int64_t list_ttl_ms;        /* how long modern clients may keep a list; 0 = not at all */
};

/* {"name","title","version"} as the version knows it. */
void fl_mcp_put_server_info(struct fl_buf *out, const struct fl_mcp_server *server,
                            enum fl_mcp_version version);

/* Whom we answer: the version spoken and the request's id (span). */
struct fl_mcp_to {
    enum fl_mcp_version version;
    struct fl_str id;
};
static inline struct fl_mcp_to fl_mcp_to(const struct fl_mcp_message *msg)
{
    return (struct fl_mcp_to){ msg->version, msg->id };
}

/* An error; `data` is JSON text or p NULL; an id with p NULL is left out. */
void fl_mcp_put_error(struct fl_buf *out, struct fl_str id, int rpc, struct fl_str text,
                      struct fl_str data);
void fl_mcp_put_refusal(struct fl_buf *out, const struct fl_mcp_refusal *refusal);

/* ping, logging/setLevel, resources/(un)subscribe, tasks/update, tasks/cancel. */
void fl_mcp_put_empty(struct fl_buf *out, const struct fl_mcp_server *server,
                      const struct fl_mcp_to *to);
/* to->version is what was negotiated. */
void fl_mcp_put_initialize(struct fl_buf *out, const struct fl_mcp_server *server,
                           const struct fl_mcp_to *to);
void fl_mcp_put_discover(struct fl_buf *out, const struct fl_mcp_server *server,
                         const struct fl_mcp_to *to);
void fl_mcp_put_result(struct fl_buf *out, const struct fl_mcp_server *server,
                       const struct fl_mcp_to *to, const struct fl_mcp_result *result);
/* Any other result: `members` is the inside of the result object ("\"contents\":[...]", may be
 * empty). `is_cacheable` adds the hints that modern lists and resources/read must carry. */
void fl_mcp_put_members(struct fl_buf *out, const struct fl_mcp_server *server,
                        const struct fl_mcp_to *to, struct fl_str members, bool is_cacheable,
                        int64_t ttl_ms);

/* ---- tools/list ---- */
struct fl_mcp_tool {
    struct fl_str name;       /* as published; replaces the definition's */
    struct fl_str definition; /* JSON object: name, title, description, inputSchema, outputSchema,
                                 annotations, icons, _meta; other members are not shown */
    bool is_held;             /* a call may wait for people: never shown as a read */
};
struct fl_mcp_tools {
    const struct fl_mcp_tool *list; /* all of them, in the caller's order */
    size_t count;
    size_t from;           /* of this page; 0 or fl_mcp_cursor_read's */
    size_t page;           /* how many at most; 0 = all */
    uint64_t list_version; /* changes whenever the list does; the same on every worker */
};
void fl_mcp_put_tools(struct fl_buf *out, const struct fl_mcp_server *server,
                      const struct fl_mcp_to *to, const struct fl_mcp_tools *tools);
/* Cursors are position and list version: FL_BAD_PARAMS for anything that this list, in this
 * version, did not give out. */
void fl_mcp_cursor_put(struct fl_buf *out, uint64_t list_version, size_t at);
enum fl_code fl_mcp_cursor_read(struct fl_str cursor, uint64_t list_version, size_t count,
                                size_t *ret_from, struct fl_err *err) FL_MUST_CHECK;

/* ---- notifications ---- `subscription_id`: span of the listen request's id; p NULL = none */
enum fl_mcp_list { FL_MCP_LIST_TOOLS, FL_MCP_LIST_PROMPTS, FL_MCP_LIST_RESOURCES };
void fl_mcp_put_list_changed(struct fl_buf *out, enum fl_mcp_list list,
                             struct fl_str subscription_id);
void fl_mcp_put_resource_updated(struct fl_buf *out, struct fl_str uri,
                                 struct fl_str subscription_id);
/* Finite numbers; total at most 0 = not known; the message is cut at 200 code points. */
void fl_mcp_put_progress(struct fl_buf *out, enum fl_mcp_version version, struct fl_str token,
                         double progress, double total, struct fl_str message);
/* data: JSON text. */
void fl_mcp_put_log(struct fl_buf *out, enum fl_mcp_level level, struct fl_str logger,
                    struct fl_str data);
/* Only to tear down a listen of that id (WebSocket, stdio); reason may be empty. */
void fl_mcp_put_cancelled(struct fl_buf *out, struct fl_str request_id, struct fl_str reason);

#endif
