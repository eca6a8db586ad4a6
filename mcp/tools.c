/* tools/list: definitions as each version knows them, page by page. Any thread. */
#include "flopinio/base/id.h"
#include "flopinio/base/scan.h"
#include "mcp/reply_priv.h"

#define CURSOR_BYTES 16 /* list version and position, big-endian */

/* A held tool may be a read for its author; a client that believed so would run it beside others
 * or without asking, and be surprised by the wait. */
static void put_annotations(struct fl_buf *out, struct fl_str annotations, bool is_held)
{
    struct fl_str key, value;
    size_t pos = 0;
    if (!is_held || fl_span_type(annotations) != FL_SPAN_OBJECT) {
        fl_emit_raw(out, "annotations", annotations);
        return;
    }
    fl_emit_key(out, "annotations");
    fl_buf_putc(out, '{');
    fl_emit_raw(out, "readOnlyHint", FL_STR("false"));
    while (fl_span_next_member(annotations, &pos, &key, &value)) {
        if (fl_span_is(key, "readOnlyHint"))
            continue;
        fl_emit_comma(out);
        fl_buf_str(out, key);
        fl_buf_putc(out, ':');
        fl_emit_json(out, value);
    }
    fl_buf_putc(out, '}');
}

/* Versions before 2026-07-28 know output schemas of objects only. */
static bool shows_output_schema(enum fl_mcp_version version, struct fl_str schema)
{
    return fl_mcp_has(version, FL_MCP_HAS_ANY_STRUCTURED) ||
           (fl_mcp_has(version, FL_MCP_HAS_STRUCTURED) && fl_span_type(schema) == FL_SPAN_OBJECT &&
            fl_span_is(fl_span_get(schema, "type"), "object"));
}

/* Only members that the protocol has: what else a definition carries is for ourselves. */
static void put_tool(struct fl_buf *out, enum fl_mcp_version version,
                     const struct fl_mcp_tool *tool)
{
    enum member { TITLE, DESCRIPTION, INPUT, OUTPUT, ANNOTATIONS, ICONS, META, COUNT };
    static const char *const names[COUNT] = {
        [TITLE] = "title",         [DESCRIPTION] = "description", [INPUT] = "inputSchema",
        [OUTPUT] = "outputSchema", [ANNOTATIONS] = "annotations", [ICONS] = "icons",
        [META] = "_meta",
    };
    struct fl_str found[COUNT] = { { NULL, 0 } }, key, value;
    size_t pos = 0;
    while (fl_span_next_member(tool->definition, &pos, &key, &value)) {
        for (size_t i = 0; i < COUNT; i++) {
            if (fl_span_is(key, names[i]))
                found[i] = value;
        }
    }
    fl_emit_comma(out);
    fl_buf_putc(out, '{');
    fl_emit_str(out, "name", tool->name);
    if (fl_mcp_has(version, FL_MCP_HAS_TITLES))
        fl_emit_raw(out, names[TITLE], found[TITLE]);
    fl_emit_raw(out, names[DESCRIPTION], found[DESCRIPTION]);
    if (fl_mcp_has(version, FL_MCP_HAS_ICONS))
        fl_emit_raw(out, names[ICONS], found[ICONS]);
    fl_emit_raw(out, names[INPUT], found[INPUT].p ? found[INPUT] : FL_STR("{\"type\":\"object\"}"));
    if (found[OUTPUT].p && shows_output_schema(version, found[OUTPUT]))
        fl_emit_raw(out, names[OUTPUT], found[OUTPUT]);
    if (found[ANNOTATIONS].p && fl_mcp_has(version, FL_MCP_HAS_ANNOTATIONS))
        put_annotations(out, found[ANNOTATIONS], tool->is_held);
    if (fl_mcp_has(version, FL_MCP_HAS_TOOL_META))
        fl_emit_raw(out, names[META], found[META]);
    fl_buf_putc(out, '}');
}

void fl_mcp_put_tools(struct fl_buf *out, const struct fl_mcp_server *server,
                      const struct fl_mcp_to *to, const struct fl_mcp_tools *tools)
{
    FL_ASSERT(tools->from <= tools->count);
    size_t end = tools->count;
    if (tools->page && tools->count - tools->from > tools->page)
        end = tools->from + tools->page;

    fl_mcp_open_result(out, to);
    fl_emit_key(out, "tools");
    fl_buf_putc(out, '[');
    for (size_t i = tools->from; i < end; i++)
        put_tool(out, to->version, &tools->list[i]);
    fl_buf_putc(out, ']');
    if (end < tools->count) {
        fl_emit_key(out, "nextCursor");
        fl_buf_putc(out, '"');
        fl_mcp_cursor_put(out, tools->list_version, end);
        fl_buf_putc(out, '"');
    }
    fl_mcp_put_cache_hints(out, to, server->list_ttl_ms);
    fl_mcp_close_result(out, server, to);
}

void fl_mcp_cursor_put(struct fl_buf *out, uint64_t list_version, size_t at)
{
    uint8_t bytes[CURSOR_BYTES];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(list_version >> (56 - 8 * i));
        bytes[8 + i] = (uint8_t)((uint64_t)at >> (56 - 8 * i));
    }
    fl_b64url(out, bytes, sizeof bytes);
}

enum fl_code fl_mcp_cursor_read(struct fl_str cursor, uint64_t list_version, size_t count,
                                size_t *ret_from, struct fl_err *err)
{
    struct fl_buf bytes = FL_BUF_INIT;
    uint64_t version = 0, at = 0;
    bool is_cursor = fl_b64url_decode(&bytes, cursor) && bytes.n == CURSOR_BYTES;
    bool is_failed = bytes.is_failed;
    for (size_t i = 0; is_cursor && i < 8; i++) {
        version = version << 8 | (uint8_t)bytes.p[i];
        at = at << 8 | (uint8_t)bytes.p[8 + i];
    }
    fl_buf_fini(&bytes);
    if (is_failed)
        return fl_err_code(err, FL_NOMEM);
    if (!is_cursor)
        return fl_err_set(err, FL_BAD_PARAMS, "unknown cursor");
    if (version != list_version)
        return fl_err_set(err, FL_BAD_PARAMS, "the list has changed, start again without a cursor");
    if (at == 0 || at >= count)
        return fl_err_set(err, FL_BAD_PARAMS, "unknown cursor");
    *ret_from = (size_t)at;
    return FL_OK;
}
