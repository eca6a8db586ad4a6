/* subscriptions/listen (2026-07-28, patterns/subscriptions): what a client asked to hear, what it
 * was granted, and who listens. Owned by runtime/endpoint: one set per worker (HTTP) or per
 * connection (WebSocket, stdio). Loop thread only. */
#ifndef FL_MCP_LISTEN_H
#define FL_MCP_LISTEN_H

#include "flopinio/base/list.h"
#include "mcp/reply.h"

#define FL_MCP_LISTEN_NAMES_MAX 256 /* task ids, and resource uris, of one listen */

enum fl_mcp_topics {
    FL_MCP_TOPIC_TOOLS = 1 << FL_MCP_LIST_TOOLS,
    FL_MCP_TOPIC_PROMPTS = 1 << FL_MCP_LIST_PROMPTS,
    FL_MCP_TOPIC_RESOURCES = 1 << FL_MCP_LIST_RESOURCES
};

/* Embedded in the owner's stream. Strings are the arena's that it was read with. */
struct fl_mcp_listen {
    struct fl_list link;
    struct fl_str id;    /* span, type kept */
    unsigned topics;     /* enum fl_mcp_topics, granted */
    struct fl_str *uris; /* granted resource subscriptions */
    size_t uri_count;
    struct fl_str *task_ids; /* asked for; the caller strikes out (n = 0) those that are not this
                                principal's before it acknowledges */
    size_t task_count;
};

/* Reads a subscriptions/listen message and grants what is served. The ladder has already refused
 * taskIds without the tasks extension. Refuses (-32602) members of the wrong type and too many
 * names; FL_NOMEM. */
enum fl_code fl_mcp_listen_read(struct fl_arena *arena, const struct fl_mcp_message *msg,
                                unsigned serves, struct fl_mcp_listen *ret,
                                struct fl_mcp_refusal *ret_refusal) FL_MUST_CHECK;
bool fl_mcp_listen_hears_list(const struct fl_mcp_listen *listen, enum fl_mcp_list list);
bool fl_mcp_listen_hears_task(const struct fl_mcp_listen *listen, struct fl_str task_id);
bool fl_mcp_listen_hears_uri(const struct fl_mcp_listen *listen, struct fl_str uri);

/* The first message of the stream, and the last one of a graceful end. */
void fl_mcp_put_acknowledged(struct fl_buf *out, const struct fl_mcp_listen *listen);
void fl_mcp_put_listen_end(struct fl_buf *out, const struct fl_mcp_server *server,
                           const struct fl_mcp_listen *listen);

/* ---- who listens ---- walk `open` with FL_LIST_FOREACH */
struct fl_mcp_listens {
    struct fl_list open;
    size_t count, max;
};
void fl_mcp_listens_init(struct fl_mcp_listens *set, size_t max);
/* Refuses (-32603) when `max` are open. */
enum fl_code fl_mcp_listens_add(struct fl_mcp_listens *set, struct fl_mcp_listen *listen,
                                struct fl_mcp_refusal *ret_refusal) FL_MUST_CHECK;
/* Harmless if it is not in the set. Needed before its memory goes. */
void fl_mcp_listens_remove(struct fl_mcp_listens *set, struct fl_mcp_listen *listen);

#endif
