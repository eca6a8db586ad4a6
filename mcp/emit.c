/* Pieces of JSON. Any thread. */
#include "mcp/emit_priv.h"

#include "flopinio/base/clock.h"
#include "flopinio/base/utf8.h"
#include "mcp/version.h"

void fl_emit_comma(struct fl_buf *out)
{
    if (out->n && out->p[out->n - 1] != '{' && out->p[out->n - 1] != '[')
        fl_buf_putc(out, ',');
}

void fl_emit_key(struct fl_buf *out, const char *key)
{
    fl_emit_comma(out);
    fl_buf_json_key(out, key);
}

void fl_emit_text(struct fl_buf *out, struct fl_str text)
{
    if (fl_utf8_is_valid(text)) {
        fl_buf_json_str(out, text);
        return;
    }
    struct fl_buf clean = FL_BUF_INIT;
    for (size_t at = 0; at < text.n;) {
        int32_t c = fl_utf8_next(text, &at);
        fl_utf8_put(&clean, c < 0 ? 0xfffd : (uint32_t)c);
    }
    if (clean.is_failed)
        out->is_failed = true;
    else
        fl_buf_json_str(out, fl_buf_view(&clean));
    fl_buf_fini(&clean);
}

void fl_emit_json(struct fl_buf *out, struct fl_str json)
{
    size_t from = out->n;
    fl_buf_str(out, json);
    if (out->is_failed || json.n == 0)
        return;
    /* Inside of strings these are escaped, so that what is found here stands between tokens. */
    for (char *p = out->p + from, *end = out->p + out->n; (p = memchr(p, '\n', (size_t)(end - p)));)
        *p = ' ';
    for (char *p = out->p + from, *end = out->p + out->n; (p = memchr(p, '\r', (size_t)(end - p)));)
        *p = ' ';
}

void fl_emit_str(struct fl_buf *out, const char *key, struct fl_str text)
{
    if (!text.p)
        return;
    fl_emit_key(out, key);
    fl_emit_text(out, text);
}

void fl_emit_cstr(struct fl_buf *out, const char *key, const char *text)
{
    fl_emit_str(out, key, fl_str_of(text));
}

void fl_emit_raw(struct fl_buf *out, const char *key, struct fl_str json)
{
    if (!json.p)
        return;
    fl_emit_key(out, key);
    fl_emit_json(out, json);
}

void fl_emit_int(struct fl_buf *out, const char *key, int64_t value)
{
    fl_emit_key(out, key);
    fl_buf_i64(out, value);
}

void fl_emit_time(struct fl_buf *out, const char *key, int64_t at_utc_ms)
{
    char text[FL_TIME_BYTES];
    fl_emit_cstr(out, key, fl_time_format(at_utc_ms, text));
}

void fl_emit_modern_versions(struct fl_buf *out)
{
    fl_buf_putc(out, '[');
    for (int v = FL_MCP_NEWEST_LEGACY + 1; v < FL_MCP_VERSION_END; v++) {
        fl_emit_comma(out);
        fl_emit_text(out, fl_str_of(fl_mcp_version_text((enum fl_mcp_version)v)));
    }
    fl_buf_putc(out, ']');
}
