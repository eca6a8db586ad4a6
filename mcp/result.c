/* Tool results, in and out. Any thread. */
#include "mcp/result.h"

#include "flopinio/base/scan.h"
#include "mcp/emit_priv.h"
#include "mcp/reply.h"

enum fl_code fl_mcp_result_read(struct fl_str text, size_t max_bytes, struct fl_mcp_result *ret,
                                struct fl_err *err)
{
    enum { CONTENT, STRUCTURED, IS_ERROR, META, COUNT };
    static const struct fl_scan_pick picks[COUNT] = {
        [CONTENT] = { { "content" } },
        [STRUCTURED] = { { "structuredContent" } },
        [IS_ERROR] = { { "isError" } },
        [META] = { { "_meta" } },
    };
    struct fl_scan_limits limits = fl_scan_call;
    struct fl_str found[COUNT];

    limits.max_bytes = max_bytes;
    enum fl_code code = fl_scan(text, &limits, picks, COUNT, found, err);
    if (code != FL_OK)
        return code;
    if (fl_span_type(found[CONTENT]) != FL_SPAN_ARRAY)
        return fl_err_set(err, FL_BAD_PARAMS, "the result has no content array");
    if (found[IS_ERROR].p && fl_span_type(found[IS_ERROR]) != FL_SPAN_TRUE &&
        fl_span_type(found[IS_ERROR]) != FL_SPAN_FALSE)
        return fl_err_set(err, FL_BAD_PARAMS, "isError of the result is not a boolean");
    *ret = (struct fl_mcp_result){
        .content = found[CONTENT],
        .structured = found[STRUCTURED],
        .is_error = fl_span_type(found[IS_ERROR]) == FL_SPAN_TRUE,
    };
    if (fl_span_type(found[META]) == FL_SPAN_OBJECT)
        ret->meta = found[META];
    return FL_OK;
}

/* ---- content ---- */
static void put_text_item(struct fl_buf *out, struct fl_str text)
{
    fl_emit_comma(out);
    fl_buf_puts(out, "{\"type\":\"text\"");
    fl_emit_str(out, "text", text);
    fl_buf_putc(out, '}');
}

/* An item of a kind that the client's version has never heard of: strict ones refuse the whole
 * result for it. `about` is the span of a string that says which one it was. */
static void put_unknown_item(struct fl_buf *out, const char *kind, struct fl_str about)
{
    fl_emit_comma(out);
    fl_buf_printf(out, "{\"type\":\"text\",\"text\":\"[%s", kind);
    if (fl_span_type(about) == FL_SPAN_STRING) {
        fl_buf_putc(out, ' ');
        fl_buf_put(out, about.p + 1, about.n - 2); /* escaped already */
    }
    fl_buf_puts(out, ", which this protocol version cannot carry]\"}");
}

static void put_items(struct fl_buf *out, enum fl_mcp_version version, struct fl_str content)
{
    struct fl_str item;
    size_t pos = 0;
    while (fl_span_next_item(content, &pos, &item)) {
        struct fl_str type = { NULL, 0 };
        if (fl_span_type(item) == FL_SPAN_OBJECT)
            type = fl_span_get(item, "type");
        if (fl_span_is(type, "audio") && !fl_mcp_has(version, FL_MCP_HAS_AUDIO)) {
            put_unknown_item(out, "audio", fl_span_get(item, "mimeType"));
        } else if (fl_span_is(type, "resource_link") &&
                   !fl_mcp_has(version, FL_MCP_HAS_RESOURCE_LINKS)) {
            put_unknown_item(out, "a link to", fl_span_get(item, "uri"));
        } else {
            fl_emit_comma(out);
            fl_emit_json(out, item);
        }
    }
}

static bool is_empty_array(struct fl_str array)
{
    struct fl_str item;
    size_t pos = 0;
    return !array.p || !fl_span_next_item(array, &pos, &item);
}

static void put_content(struct fl_buf *out, enum fl_mcp_version version,
                        const struct fl_mcp_result *result, bool structured_is_text)
{
    fl_emit_key(out, "content");
    if (result->content.p && !structured_is_text && fl_mcp_has(version, FL_MCP_HAS_AUDIO) &&
        fl_mcp_has(version, FL_MCP_HAS_RESOURCE_LINKS)) {
        fl_emit_json(out, result->content);
        return;
    }
    fl_buf_putc(out, '[');
    if (result->content.p)
        put_items(out, version, result->content);
    if (structured_is_text)
        put_text_item(out, result->structured);
    fl_buf_putc(out, ']');
}

/* ---- _meta ---- */
/* Keys that came from a tool or an upstream: not ours, not the protocol's, and not spelled with
 * escapes, behind which one of those could hide. `key` is a raw span with quotes. */
static bool is_foreign_key(struct fl_str key)
{
    struct fl_str name = { key.p + 1, key.n - 2 };
    return !memchr(key.p, '\\', key.n) && !fl_str_has_prefix(name, FL_STR(FL_MCP_OURS)) &&
           !fl_str_has_prefix(name, FL_STR(FL_MCP_META));
}

/* A key of _meta, which is opened by its first one. */
static void put_meta_key(struct fl_buf *out, bool *is_open, struct fl_str quoted_key)
{
    if (!*is_open) {
        fl_emit_key(out, "_meta");
        fl_buf_putc(out, '{');
        *is_open = true;
    }
    fl_emit_comma(out);
    fl_buf_str(out, quoted_key);
    fl_buf_putc(out, ':');
}

static void put_meta(struct fl_buf *out, enum fl_mcp_version version,
                     const struct fl_mcp_result *result, const struct fl_mcp_server *server)
{
    struct fl_str key, value;
    size_t pos = 0;
    bool is_open = false;
    while (result->meta.p && fl_span_next_member(result->meta, &pos, &key, &value)) {
        if (is_foreign_key(key)) {
            put_meta_key(out, &is_open, key);
            fl_emit_json(out, value);
        }
    }
    if (result->approval_id.n) {
        put_meta_key(out, &is_open, FL_STR("\"" FL_MCP_OURS "approvalId\""));
        fl_emit_text(out, result->approval_id);
    }
    if (result->approval.p) {
        put_meta_key(out, &is_open, FL_STR("\"" FL_MCP_OURS "approval\""));
        fl_emit_json(out, result->approval);
    }
    if (server && fl_mcp_has(version, FL_MCP_HAS_RESULT_TYPE)) {
        put_meta_key(out, &is_open, FL_STR("\"" FL_MCP_META "serverInfo\""));
        fl_mcp_put_server_info(out, server, version);
    }
    if (is_open)
        fl_buf_putc(out, '}');
}

void fl_mcp_result_put(struct fl_buf *out, enum fl_mcp_version version,
                       const struct fl_mcp_result *result, const struct fl_mcp_server *server)
{
    bool goes_structured = result->structured.p && fl_mcp_has(version, FL_MCP_HAS_STRUCTURED) &&
                           (fl_mcp_has(version, FL_MCP_HAS_ANY_STRUCTURED) ||
                            fl_span_type(result->structured) == FL_SPAN_OBJECT);
    bool structured_is_text =
        result->structured.p && !goes_structured && is_empty_array(result->content);

    fl_buf_putc(out, '{');
    if (fl_mcp_has(version, FL_MCP_HAS_RESULT_TYPE))
        fl_emit_cstr(out, "resultType", "complete");
    put_content(out, version, result, structured_is_text);
    if (goes_structured)
        fl_emit_raw(out, "structuredContent", result->structured);
    if (result->is_error)
        fl_emit_raw(out, "isError", FL_STR("true"));
    put_meta(out, version, result, server);
    fl_buf_putc(out, '}');
}
