/* Notifications that we send. Any thread. */
#include <math.h>

#include "flopinio/base/jcs.h"
#include "flopinio/base/utf8.h"
#include "mcp/reply_priv.h"

#define PROGRESS_MESSAGE_MAX 200 /* code points */

void fl_mcp_open_note(struct fl_buf *out, const char *method)
{
    fl_buf_puts(out, "{\"jsonrpc\":\"2.0\"");
    fl_emit_cstr(out, "method", method);
}

void fl_mcp_open_params(struct fl_buf *out)
{
    fl_emit_key(out, "params");
    fl_buf_putc(out, '{');
}

/* On a listen stream each message says which listen it is for. */
void fl_mcp_put_subscription(struct fl_buf *out, struct fl_str id)
{
    if (!id.p)
        return;
    fl_emit_key(out, "_meta");
    fl_buf_putc(out, '{');
    fl_emit_raw(out, FL_MCP_META "subscriptionId", id);
    fl_buf_putc(out, '}');
}

void fl_mcp_put_list_changed(struct fl_buf *out, enum fl_mcp_list list,
                             struct fl_str subscription_id)
{
    static const char *const methods[] = {
        [FL_MCP_LIST_TOOLS] = "notifications/tools/list_changed",
        [FL_MCP_LIST_PROMPTS] = "notifications/prompts/list_changed",
        [FL_MCP_LIST_RESOURCES] = "notifications/resources/list_changed",
    };
    fl_mcp_open_note(out, methods[list]);
    if (subscription_id.p) {
        fl_mcp_open_params(out);
        fl_mcp_put_subscription(out, subscription_id);
        fl_buf_putc(out, '}');
    }
    fl_buf_putc(out, '}');
}

void fl_mcp_put_resource_updated(struct fl_buf *out, struct fl_str uri,
                                 struct fl_str subscription_id)
{
    fl_mcp_open_note(out, "notifications/resources/updated");
    fl_mcp_open_params(out);
    fl_mcp_put_subscription(out, subscription_id);
    fl_emit_str(out, "uri", uri);
    fl_buf_puts(out, "}}");
}

static void put_number(struct fl_buf *out, const char *key, double value)
{
    char text[32];
    FL_ASSERT(isfinite(value));
    fl_emit_key(out, key);
    fl_buf_puts(out, fl_jcs_number(value, text));
}

/* The first `n` code points. */
static struct fl_str cut_code_points(struct fl_str s, size_t n)
{
    size_t at = 0;
    while (n-- && fl_utf8_next(s, &at) != -1)
        ;
    return (struct fl_str){ s.p, at < s.n ? at : s.n };
}

void fl_mcp_put_progress(struct fl_buf *out, enum fl_mcp_version version, struct fl_str token,
                         double progress, double total, struct fl_str message)
{
    fl_mcp_open_note(out, "notifications/progress");
    fl_mcp_open_params(out);
    fl_emit_raw(out, "progressToken", token);
    put_number(out, "progress", progress);
    if (total > 0)
        put_number(out, "total", total);
    if (message.n && fl_mcp_has(version, FL_MCP_HAS_PROGRESS_MESSAGE))
        fl_emit_str(out, "message", cut_code_points(message, PROGRESS_MESSAGE_MAX));
    fl_buf_puts(out, "}}");
}

void fl_mcp_put_log(struct fl_buf *out, enum fl_mcp_level level, struct fl_str logger,
                    struct fl_str data)
{
    FL_ASSERT(level != FL_MCP_LEVEL_NONE);
    fl_mcp_open_note(out, "notifications/message");
    fl_mcp_open_params(out);
    fl_emit_cstr(out, "level", fl_mcp_level_text(level));
    if (logger.n)
        fl_emit_str(out, "logger", logger);
    fl_emit_raw(out, "data", data);
    fl_buf_puts(out, "}}");
}

void fl_mcp_put_cancelled(struct fl_buf *out, struct fl_str request_id, struct fl_str reason)
{
    fl_mcp_open_note(out, "notifications/cancelled");
    fl_mcp_open_params(out);
    fl_emit_raw(out, "requestId", request_id);
    if (reason.n)
        fl_emit_str(out, "reason", reason);
    fl_buf_puts(out, "}}");
}
