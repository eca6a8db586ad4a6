/* Looking up and decoding the headers of one request. Loop thread; no state. */
#include "mcp/headers.h"

#include "flopinio/base/id.h"
#include "flopinio/base/utf8.h"
#include "mcp/version.h"

#define SESSION_ID_MAX 128

size_t fl_mcp_header_get(const struct fl_mcp_headers *headers, const char *name, struct fl_str *ret)
{
    struct fl_str wanted = fl_str_of(name);
    size_t found = 0;
    for (size_t i = 0; headers && i < headers->count; i++) {
        if (!fl_str_eq_nocase(headers->list[i].name, wanted))
            continue;
        if (found++ == 0)
            *ret = fl_str_trim(headers->list[i].value);
    }
    return found;
}

/* Takes the part of a list header in front of the next `sep`; false at the end. */
static bool next_part(struct fl_str *list, char sep, struct fl_str *ret)
{
    if (!list->p)
        return false;
    const char *end = list->n ? memchr(list->p, sep, list->n) : NULL;
    size_t n = end ? (size_t)(end - list->p) : list->n;
    *ret = fl_str_trim((struct fl_str){ list->p, n });
    list->n = end ? list->n - n - 1 : 0;
    list->p = end ? end + 1 : NULL;
    return true;
}

enum fl_code fl_mcp_check_content_type(const struct fl_mcp_headers *headers, struct fl_err *err)
{
    struct fl_str value, type = { NULL, 0 };
    if (fl_mcp_header_get(headers, "Content-Type", &value) != 1)
        return fl_err_set(err, FL_UNSUPPORTED_MEDIA, "one content-type header is required");
    if (!next_part(&value, ';', &type) || !fl_str_eq_nocase(type, FL_STR("application/json")))
        return fl_err_set(err, FL_UNSUPPORTED_MEDIA, "the content type must be application/json");
    return FL_OK;
}

/* "q=0" and its longer spellings: the client does not want this one. */
static bool is_refused(struct fl_str params)
{
    struct fl_str param;
    while (next_part(&params, ';', &param)) {
        if (param.n < 3 || (param.p[0] != 'q' && param.p[0] != 'Q') || param.p[1] != '=')
            continue;
        for (size_t i = 2; i < param.n; i++) {
            if (param.p[i] >= '1' && param.p[i] <= '9')
                return false;
        }
        return true;
    }
    return false;
}

static unsigned media_range_bits(struct fl_str range)
{
    static const struct {
        const char *text;
        unsigned bits;
    } ranges[] = {
        { "application/json", FL_MCP_ACCEPTS_JSON },
        { "application/*", FL_MCP_ACCEPTS_JSON },
        { "text/event-stream", FL_MCP_ACCEPTS_SSE },
        { "text/*", FL_MCP_ACCEPTS_SSE },
        { "*/*", FL_MCP_ACCEPTS_JSON | FL_MCP_ACCEPTS_SSE },
    };
    for (size_t i = 0; i < FL_COUNTOF(ranges); i++) {
        if (fl_str_eq_nocase(range, fl_str_of(ranges[i].text)))
            return ranges[i].bits;
    }
    return 0;
}

unsigned fl_mcp_accepts(const struct fl_mcp_headers *headers)
{
    unsigned accepted = 0, refused = 0;
    bool has_header = false;
    for (size_t i = 0; headers && i < headers->count; i++) {
        if (!fl_str_eq_nocase(headers->list[i].name, FL_STR("Accept")))
            continue;
        struct fl_str list = headers->list[i].value, range, type;
        has_header = true;
        while (next_part(&list, ',', &range)) {
            if (!next_part(&range, ';', &type))
                continue;
            unsigned bits = media_range_bits(type);
            if (is_refused(range))
                refused |= bits;
            else
                accepted |= bits;
        }
    }
    return has_header ? accepted & ~refused : FL_MCP_ACCEPTS_JSON | FL_MCP_ACCEPTS_SSE;
}

bool fl_mcp_names_session(const struct fl_mcp_headers *headers, struct fl_str *ret_id)
{
    struct fl_str id, version;
    size_t ids = fl_mcp_header_get(headers, "Mcp-Session-Id", &id);
    if (ids == 0)
        return false;
    if (fl_mcp_header_get(headers, "MCP-Protocol-Version", &version) == 1 &&
        fl_mcp_era_of(fl_mcp_version_parse(version)) == FL_MCP_MODERN)
        return false;
    bool is_id = ids == 1 && id.n > 0 && id.n <= SESSION_ID_MAX;
    for (size_t i = 0; is_id && i < id.n; i++)
        is_id = id.p[i] >= 0x21 && id.p[i] <= 0x7e;
    *ret_id = is_id ? id : (struct fl_str){ NULL, 0 };
    return true;
}

static bool is_plain(struct fl_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c != '\t' && (c < 0x20 || c > 0x7e))
            return false;
    }
    return true;
}

enum fl_code fl_mcp_header_decode(struct fl_arena *arena, struct fl_str value, struct fl_str *ret)
{
    static const struct fl_str before = { "=?base64?", 9 }, after = { "?=", 2 };
    value = fl_str_trim(value);
    if (!is_plain(value))
        return FL_HEADER_MISMATCH;
    /* Only one end of the marking: the value is meant as it stands. */
    if (value.n < before.n + after.n || !fl_str_has_prefix(value, before) ||
        memcmp(value.p + value.n - after.n, after.p, after.n) != 0) {
        *ret = value;
        return FL_OK;
    }
    struct fl_str inner = { value.p + before.n, value.n - before.n - after.n };
    struct fl_buf bytes = FL_BUF_INIT;
    enum fl_code code = FL_OK;
    if (!fl_b64_decode(&bytes, inner) || !fl_utf8_is_valid(fl_buf_view(&bytes)))
        code = bytes.is_failed ? FL_NOMEM : FL_HEADER_MISMATCH;
    if (code == FL_OK) {
        struct fl_str copy = fl_arena_str(arena, fl_buf_view(&bytes));
        if (copy.p)
            *ret = copy;
        else
            code = FL_NOMEM;
    }
    fl_buf_fini(&bytes);
    return code;
}
