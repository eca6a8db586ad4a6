/* Shared by the builders of answers: reply.c, tools.c, tasks.c. Not for other folders. */
#ifndef FL_MCP_REPLY_PRIV_H
#define FL_MCP_REPLY_PRIV_H

#include "mcp/emit_priv.h"
#include "mcp/reply.h"

/* `{"jsonrpc","id","result":{` with "resultType":"complete" where the version has it. */
void fl_mcp_open_result(struct fl_buf *out, const struct fl_mcp_to *to);
/* The same with another resultType (modern only). */
void fl_mcp_open_result_as(struct fl_buf *out, const struct fl_mcp_to *to, const char *type);
/* _meta with serverInfo where the version has it, and the ends of both objects. */
void fl_mcp_close_result(struct fl_buf *out, const struct fl_mcp_server *server,
                         const struct fl_mcp_to *to);
void fl_mcp_put_cache_hints(struct fl_buf *out, const struct fl_mcp_to *to, int64_t ttl_ms);

/* `{"jsonrpc","method"`, then `"params":{`; _meta with the listen's id, unless its p is NULL. */
void fl_mcp_open_note(struct fl_buf *out, const char *method);
void fl_mcp_open_params(struct fl_buf *out);
void fl_mcp_put_subscription(struct fl_buf *out, struct fl_str id);

#endif
