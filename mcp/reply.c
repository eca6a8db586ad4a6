/* Answers: envelopes, errors, handshakes and everything but tools/list. Any thread. */
#include "mcp/reply_priv.h"

void fl_mcp_put_error(struct fl_buf *out, struct fl_str id, int rpc, struct fl_str text,
                      struct fl_str data)
{
    fl_buf_puts(out, "{\"jsonrpc\":\"2.0\"");
    fl_emit_raw(out, "id", id);
    fl_emit_key(out, "error");
    fl_buf_putc(out, '{');
    fl_emit_int(out, "code", rpc);
    fl_emit_str(out, "message", text);
    fl_emit_raw(out, "data", data);
    fl_buf_puts(out, "}}");
}

void fl_mcp_put_refusal(struct fl_buf *out, const struct fl_mcp_refusal *refusal)
{
    fl_mcp_put_error(out, refusal->id, refusal->rpc, fl_str_of(refusal->err.text), refusal->data);
}

/* ---- results ---- */
static void open_answer(struct fl_buf *out, const struct fl_mcp_to *to)
{
    FL_ASSERT(to->id.p);
    fl_buf_puts(out, "{\"jsonrpc\":\"2.0\"");
    fl_emit_raw(out, "id", to->id);
    fl_emit_key(out, "result");
}

void fl_mcp_open_result_as(struct fl_buf *out, const struct fl_mcp_to *to, const char *type)
{
    open_answer(out, to);
    fl_buf_putc(out, '{');
    if (fl_mcp_has(to->version, FL_MCP_HAS_RESULT_TYPE))
        fl_emit_cstr(out, "resultType", type);
}

void fl_mcp_open_result(struct fl_buf *out, const struct fl_mcp_to *to)
{
    fl_mcp_open_result_as(out, to, "complete");
}

void fl_mcp_close_result(struct fl_buf *out, const struct fl_mcp_server *server,
                         const struct fl_mcp_to *to)
{
    if (fl_mcp_has(to->version, FL_MCP_HAS_RESULT_TYPE)) {
        fl_emit_key(out, "_meta");
        fl_buf_putc(out, '{');
        fl_emit_key(out, FL_MCP_META "serverInfo");
        fl_mcp_put_server_info(out, server, to->version);
        fl_buf_putc(out, '}');
    }
    fl_buf_puts(out, "}}");
}

/* "private" always: what a list shows depends on who asks. */
void fl_mcp_put_cache_hints(struct fl_buf *out, const struct fl_mcp_to *to, int64_t ttl_ms)
{
    if (!fl_mcp_has(to->version, FL_MCP_HAS_RESULT_TYPE))
        return;
    fl_emit_int(out, "ttlMs", ttl_ms > 0 ? ttl_ms : 0);
    fl_emit_cstr(out, "cacheScope", "private");
}

void fl_mcp_put_server_info(struct fl_buf *out, const struct fl_mcp_server *server,
                            enum fl_mcp_version version)
{
    fl_buf_putc(out, '{');
    fl_emit_str(out, "name", server->name);
    if (server->title.n && fl_mcp_has(version, FL_MCP_HAS_TITLES))
        fl_emit_str(out, "title", server->title);
    fl_emit_str(out, "version", server->version);
    fl_buf_putc(out, '}');
}

/* What is declared is what fl_mcp_method_is_known lets through. */
static void put_capabilities(struct fl_buf *out, unsigned serves, enum fl_mcp_version version)
{
    fl_emit_key(out, "capabilities");
    fl_buf_putc(out, '{');
    if (serves & FL_MCP_SERVES_TOOLS)
        fl_emit_raw(out, "tools", FL_STR("{\"listChanged\":true}"));
    if (serves & FL_MCP_SERVES_PROMPTS)
        fl_emit_raw(out, "prompts", FL_STR("{\"listChanged\":true}"));
    if (serves & FL_MCP_SERVES_RESOURCES)
        fl_emit_raw(out, "resources",
                    serves & FL_MCP_SERVES_RESOURCE_UPDATES
                        ? FL_STR("{\"subscribe\":true,\"listChanged\":true}")
                        : FL_STR("{\"listChanged\":true}"));
    if ((serves & FL_MCP_SERVES_COMPLETIONS) && fl_mcp_has(version, FL_MCP_HAS_COMPLETIONS))
        fl_emit_raw(out, "completions", FL_STR("{}"));
    if (serves & FL_MCP_SERVES_LOGGING)
        fl_emit_raw(out, "logging", FL_STR("{}"));
    if ((serves & FL_MCP_SERVES_TASKS) && fl_mcp_era_of(version) == FL_MCP_MODERN)
        fl_emit_raw(out, "extensions", FL_STR("{\"" FL_MCP_META "tasks\":{}}"));
    fl_buf_putc(out, '}');
}

static void put_instructions(struct fl_buf *out, const struct fl_mcp_server *server)
{
    if (server->instructions.n)
        fl_emit_str(out, "instructions", server->instructions);
}

void fl_mcp_put_empty(struct fl_buf *out, const struct fl_mcp_server *server,
                      const struct fl_mcp_to *to)
{
    fl_mcp_open_result(out, to);
    fl_mcp_close_result(out, server, to);
}

void fl_mcp_put_initialize(struct fl_buf *out, const struct fl_mcp_server *server,
                           const struct fl_mcp_to *to)
{
    FL_ASSERT(fl_mcp_era_of(to->version) == FL_MCP_LEGACY);
    fl_mcp_open_result(out, to);
    fl_emit_cstr(out, "protocolVersion", fl_mcp_version_text(to->version));
    put_capabilities(out, server->serves, to->version);
    fl_emit_key(out, "serverInfo");
    fl_mcp_put_server_info(out, server, to->version);
    put_instructions(out, server);
    fl_mcp_close_result(out, server, to);
}

void fl_mcp_put_discover(struct fl_buf *out, const struct fl_mcp_server *server,
                         const struct fl_mcp_to *to)
{
    FL_ASSERT(fl_mcp_era_of(to->version) == FL_MCP_MODERN);
    fl_mcp_open_result(out, to);
    fl_emit_key(out, "supportedVersions");
    fl_emit_modern_versions(out);
    put_capabilities(out, server->serves, to->version);
    put_instructions(out, server);
    fl_mcp_put_cache_hints(out, to, server->list_ttl_ms);
    fl_mcp_close_result(out, server, to);
}

void fl_mcp_put_result(struct fl_buf *out, const struct fl_mcp_server *server,
                       const struct fl_mcp_to *to, const struct fl_mcp_result *result)
{
    open_answer(out, to);
    fl_mcp_result_put(out, to->version, result, server);
    fl_buf_putc(out, '}');
}

void fl_mcp_put_members(struct fl_buf *out, const struct fl_mcp_server *server,
                        const struct fl_mcp_to *to, struct fl_str members, bool is_cacheable,
                        int64_t ttl_ms)
{
    fl_mcp_open_result(out, to);
    if (members.n) {
        fl_emit_comma(out);
        fl_emit_json(out, members);
    }
    if (is_cacheable)
        fl_mcp_put_cache_hints(out, to, ttl_ms);
    fl_mcp_close_result(out, server, to);
}
