/* Published tool names. Any thread. */
#include "mcp/names.h"

#include "flopinio/base/id.h"
#include "flopinio/base/utf8.h"

#define INSTANCE_MAX 32
#define MARK_BYTES   3 /* of the digest */
#define MARK_CHARS   (1 + 2 * MARK_BYTES)

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool fl_mcp_tool_name_is_valid(struct fl_str name)
{
    if (name.n == 0 || name.n > FL_MCP_TOOL_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_name_char(name.p[i]))
            return false;
    }
    return true;
}

static bool is_instance_name(struct fl_str name)
{
    if (name.n == 0 || name.n > INSTANCE_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

enum fl_code fl_mcp_publish_name(struct fl_str instance, struct fl_str tool,
                                 const uint8_t sha256[32], char out[FL_MCP_TOOL_NAME_MAX + 1],
                                 struct fl_err *err)
{
    if (!is_instance_name(instance))
        return fl_err_set(err, FL_BAD_PARAMS, "an instance name must be [a-z0-9-]{1,32}");
    if (tool.n == 0 || !fl_utf8_is_valid(tool))
        return fl_err_set(err, FL_BAD_PARAMS, "a tool name must be UTF-8 and not empty");

    char name[FL_MCP_TOOL_NAME_MAX];
    size_t n = 0;
    bool is_changed = false;
    memcpy(name, instance.p, instance.n);
    n = instance.n;
    name[n++] = '_';
    name[n++] = '_';
    /* One '_' a code point, so that a name does not grow by being foreign. */
    for (size_t at = 0; at < tool.n;) {
        int32_t c = fl_utf8_next(tool, &at);
        bool is_plain = c < 0x80 && is_name_char((char)c);
        if (n == sizeof name) {
            is_changed = true;
            break;
        }
        name[n++] = is_plain ? (char)c : '_';
        is_changed |= !is_plain;
    }
    if (is_changed) {
        char hex[2 * MARK_BYTES + 1];
        if (n > sizeof name - MARK_CHARS)
            n = sizeof name - MARK_CHARS;
        name[n++] = '_';
        memcpy(name + n, fl_hex(sha256, MARK_BYTES, hex), 2 * MARK_BYTES);
        n += 2 * MARK_BYTES;
    }
    memcpy(out, name, n);
    out[n] = 0;
    return FL_OK;
}
