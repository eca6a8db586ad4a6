/* tools/list: what this credential may see of the organization's accepted tools, and our own two.
 */
#include "runtime/endpoint/endpoint_priv.h"

#include "mcp/outcome.h"

#define WAIT_DEFINITION                                                                            \
    "{\"annotations\":{\"destructiveHint\":false,\"idempotentHint\":true,\"openWorldHint\":false," \
    "\"readOnlyHint\":false},\"description\":\"Waits for the outcome of an approval that an "      \
    "earlier call was answered with, runs the approved call, and returns its result.\","           \
    "\"inputSchema\":{\"additionalProperties\":false,\"properties\":{\"approval_id\":{"            \
    "\"description\":\"The id from the earlier answer.\",\"type\":\"string\"}},\"required\":["     \
    "\"approval_id\"],\"type\":\"object\"},\"name\":\"approval_wait\",\"title\":\"Wait for an "    \
    "approval\"}"
#define STATUS_DEFINITION                                                                          \
    "{\"annotations\":{\"destructiveHint\":false,\"idempotentHint\":true,\"openWorldHint\":false," \
    "\"readOnlyHint\":true},\"description\":\"Says how an approval stands that an earlier call "   \
    "was answered with. Runs nothing.\",\"inputSchema\":{\"additionalProperties\":false,"          \
    "\"properties\":{\"approval_id\":{\"description\":\"The id from the earlier answer.\","        \
    "\"type\":\"string\"}},\"required\":[\"approval_id\"],\"type\":\"object\"},\"name\":"          \
    "\"approval_status\",\"title\":\"Look at an approval\"}"

void fl_method_list(struct fl_talk *t)
{
    struct fl_org *org = t->org;
    struct fl_mcp_tool *list = fl_arena_array(t->arena, org->tool_count + 2, sizeof *list);
    struct fl_mcp_to to = fl_talk_to(t);
    struct fl_err err;
    size_t count = 0, from = 0;
    if (!list) {
        fl_talk_error(t, FL_NOMEM, "out of memory");
        return;
    }
    for (size_t i = 0; i < org->tool_count; i++) {
        const struct fl_org_tool *tool = &org->tools[i];
        if (tool->state == FL_TOOL_ACCEPTED && fl_principal_may_call(t->principal, tool->published))
            list[count++] = (struct fl_mcp_tool){ tool->published, tool->listed, !tool->is_read };
    }
    /* Ours stand last: some clients try the first tool with no arguments. */
    list[count++] =
        (struct fl_mcp_tool){ fl_str_of(FL_MCP_STATUS_TOOL), FL_STR(STATUS_DEFINITION), false };
    list[count++] =
        (struct fl_mcp_tool){ fl_str_of(FL_MCP_WAIT_TOOL), FL_STR(WAIT_DEFINITION), false };
    if (t->msg.cursor.p &&
        fl_mcp_cursor_read(t->msg.cursor, org->list_version, count, &from, &err) != FL_OK) {
        fl_talk_error(t, FL_BAD_PARAMS, err.text);
        return;
    }
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_tools tools = { .list = list,
                                  .count = count,
                                  .from = from,
                                  .page = t->endpoint->config.list_page,
                                  .list_version = org->list_version };
    fl_mcp_put_tools(&out, &t->endpoint->server, &to, &tools);
    fl_talk_answer(t, &out);
    fl_buf_fini(&out);
}
