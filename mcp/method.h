/* The protocol's words as tables: methods, what a server offers, what a client can do, log levels.
 * Used by the whole folder and by runtime/endpoint. Any thread, no state. */
#ifndef FL_MCP_METHOD_H
#define FL_MCP_METHOD_H

#include "mcp/version.h"

/* Prefixes of keys in _meta: the protocol's, and ours. */
#define FL_MCP_META "io.modelcontextprotocol/"
#define FL_MCP_OURS "dev.flopinio/"

/* What a server offers; the same bits make the declared capabilities (reply.h) and decide which
 * methods are known, so that the two cannot differ. */
enum fl_mcp_serves {
    FL_MCP_SERVES_TOOLS = 1 << 0,
    FL_MCP_SERVES_RESOURCES = 1 << 1,
    FL_MCP_SERVES_RESOURCE_UPDATES = 1 << 2,
    FL_MCP_SERVES_PROMPTS = 1 << 3,
    FL_MCP_SERVES_COMPLETIONS = 1 << 4,
    FL_MCP_SERVES_LOGGING = 1 << 5,
    FL_MCP_SERVES_TASKS = 1 << 6
};

/* X(name, text, eras: L legacy, M modern, LM both; what must be served, the string member of
 * params that `name` holds (and Mcp-Name mirrors)). Notifications stand last. */
#define FL_MCP_METHODS(X)                                                                          \
    X(INITIALIZE, "initialize", L, 0, "")                                                          \
    X(PING, "ping", L, 0, "")                                                                      \
    X(DISCOVER, "server/discover", M, 0, "")                                                       \
    X(TOOLS_LIST, "tools/list", LM, FL_MCP_SERVES_TOOLS, "")                                       \
    X(TOOLS_CALL, "tools/call", LM, FL_MCP_SERVES_TOOLS, "name")                                   \
    X(RESOURCES_LIST, "resources/list", LM, FL_MCP_SERVES_RESOURCES, "")                           \
    X(RESOURCES_TEMPLATES, "resources/templates/list", LM, FL_MCP_SERVES_RESOURCES, "")            \
    X(RESOURCES_READ, "resources/read", LM, FL_MCP_SERVES_RESOURCES, "uri")                        \
    X(RESOURCES_SUBSCRIBE, "resources/subscribe", L, FL_MCP_SERVES_RESOURCE_UPDATES, "uri")        \
    X(RESOURCES_UNSUBSCRIBE, "resources/unsubscribe", L, FL_MCP_SERVES_RESOURCE_UPDATES, "uri")    \
    X(PROMPTS_LIST, "prompts/list", LM, FL_MCP_SERVES_PROMPTS, "")                                 \
    X(PROMPTS_GET, "prompts/get", LM, FL_MCP_SERVES_PROMPTS, "name")                               \
    X(COMPLETE, "completion/complete", LM, FL_MCP_SERVES_COMPLETIONS, "")                          \
    X(SET_LEVEL, "logging/setLevel", L, FL_MCP_SERVES_LOGGING, "level")                            \
    X(LISTEN, "subscriptions/listen", M, 0, "")                                                    \
    X(TASKS_GET, "tasks/get", M, FL_MCP_SERVES_TASKS, "taskId")                                    \
    X(TASKS_UPDATE, "tasks/update", M, FL_MCP_SERVES_TASKS, "taskId")                              \
    X(TASKS_CANCEL, "tasks/cancel", M, FL_MCP_SERVES_TASKS, "taskId")                              \
    X(INITIALIZED, "notifications/initialized", L, 0, "")                                          \
    X(CANCELLED, "notifications/cancelled", LM, 0, "")                                             \
    X(PROGRESS, "notifications/progress", L, 0, "")                                                \
    X(ROOTS_CHANGED, "notifications/roots/list_changed", L, 0, "")

enum fl_mcp_method {
    FL_MCP_UNKNOWN_METHOD, /* only in notifications: a request with one is refused */
#define X(name, text, eras, serves, member) FL_MCP_M_##name,
    FL_MCP_METHODS(X)
#undef X
        FL_MCP_METHOD_END
};

/* What the client said that it can do. Legacy: in initialize; the session must keep it. */
enum fl_mcp_client_caps {
    FL_MCP_CLIENT_TASKS = 1 << 0, /* modern only: a handshake cannot switch it on */
    FL_MCP_CLIENT_ELICIT_FORM = 1 << 1,
    FL_MCP_CLIENT_ELICIT_URL = 1 << 2,
    FL_MCP_CLIENT_SAMPLING = 1 << 3,
    FL_MCP_CLIENT_ROOTS = 1 << 4
};

/* RFC 5424 section 6.2.1, turned round: higher is worse. */
enum fl_mcp_level {
    FL_MCP_LEVEL_NONE,
    FL_MCP_LEVEL_DEBUG,
    FL_MCP_LEVEL_INFO,
    FL_MCP_LEVEL_NOTICE,
    FL_MCP_LEVEL_WARNING,
    FL_MCP_LEVEL_ERROR,
    FL_MCP_LEVEL_CRITICAL,
    FL_MCP_LEVEL_ALERT,
    FL_MCP_LEVEL_EMERGENCY
};

/* FL_MCP_UNKNOWN_METHOD if it is none of ours, in either era. */
enum fl_mcp_method fl_mcp_method_parse(struct fl_str text);
const char *fl_mcp_method_text(enum fl_mcp_method method);
/* Does the method exist in this era, given what is served? */
bool fl_mcp_method_is_known(enum fl_mcp_method method, enum fl_mcp_era era, unsigned serves);
/* The string member of params that it is about ("name", "uri", "taskId", "level"), or "". */
const char *fl_mcp_method_member(enum fl_mcp_method method);
static inline bool fl_mcp_method_is_notification(enum fl_mcp_method method)
{
    return method >= FL_MCP_M_INITIALIZED;
}

/* FL_MCP_LEVEL_NONE if it is none of the eight. */
enum fl_mcp_level fl_mcp_level_parse(struct fl_str text);
const char *fl_mcp_level_text(enum fl_mcp_level level);

#endif
