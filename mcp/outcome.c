/* The words of outcomes. Any thread. */
#include "mcp/outcome_priv.h"

#include "flopinio/base/clock.h"
#include "flopinio/base/utf8.h"
#include "mcp/emit_priv.h"

static const struct {
    const char *decision, *executed, *text;
} outcomes[] = {
#define X(name, decision, executed, text) { decision, executed, text },
    FL_MCP_OUTCOMES(X)
#undef X
};

/* ---- people's words ---- */
struct range {
    uint32_t first, last;
};

/* Unicode 15: controls, format characters, invisible ones. In a sentence for a model they can only
 * hide something or turn it round. */
static const struct range dropped[] = {
    { 0x00, 0x1f },       { 0x7f, 0x9f },       { 0xad, 0xad },        { 0x34f, 0x34f },
    { 0x600, 0x605 },     { 0x61c, 0x61c },     { 0x6dd, 0x6dd },      { 0x70f, 0x70f },
    { 0x890, 0x891 },     { 0x8e2, 0x8e2 },     { 0x115f, 0x1160 },    { 0x17b4, 0x17b5 },
    { 0x180b, 0x180f },   { 0x200b, 0x200f },   { 0x202a, 0x202e },    { 0x2060, 0x206f },
    { 0x3164, 0x3164 },   { 0xd800, 0xdfff },   { 0xe000, 0xf8ff },    { 0xfe00, 0xfe0f },
    { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },    { 0xfffe, 0xffff },
    { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f },  { 0x1bca0, 0x1bca3 },
    { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
};
static const struct range blanks[] = {
    { 0x09, 0x0d },     { 0x20, 0x20 },     { 0x85, 0x85 },     { 0xa0, 0xa0 },
    { 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f },
    { 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

static bool is_in(const struct range *ranges, size_t count, uint32_t c)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

void fl_mcp_put_words(struct fl_buf *out, struct fl_str text, size_t max_code_points,
                      bool is_quoted)
{
    size_t count = 0, at = 0;
    bool owes_blank = false;
    if (is_quoted)
        fl_buf_putc(out, '"');
    while (at < text.n) {
        int32_t c = fl_utf8_next(text, &at);
        if (c < 0)
            continue;
        if (is_in(blanks, FL_COUNTOF(blanks), (uint32_t)c)) {
            owes_blank = count > 0;
            continue;
        }
        if (is_in(dropped, FL_COUNTOF(dropped), (uint32_t)c))
            continue;
        if (count + owes_blank >= max_code_points) {
            fl_buf_puts(out, "\xe2\x80\xa6"); /* an ellipsis: something was cut */
            break;
        }
        if (owes_blank)
            fl_buf_putc(out, ' ');
        if (is_quoted && (c == '"' || c == '\\'))
            fl_buf_putc(out, '\\');
        fl_utf8_put(out, (uint32_t)c);
        count += 1 + owes_blank;
        owes_blank = false;
    }
    if (is_quoted)
        fl_buf_putc(out, '"');
}

/* ---- the table's texts ---- */
static bool is_known(const struct fl_mcp_outcome *w, char field)
{
    switch (field) {
    case 'a': return w->approval_id.n > 0;
    case 't': return w->tool.n > 0;
    case 'b': return w->by.n > 0;
    case 'r': return w->reason.n > 0;
    case 'w': return w->where.n > 0;
    case 'e': return w->expires_at_utc_ms != 0;
    default: return true;
    }
}

static void put_field(struct fl_buf *out, const struct fl_mcp_outcome *w, char field)
{
    char time[FL_TIME_BYTES];
    switch (field) {
    case 'a': fl_mcp_put_words(out, w->approval_id, FL_MCP_NAME_MAX, false); break;
    case 't': fl_mcp_put_words(out, w->tool, FL_MCP_NAME_MAX, false); break;
    case 'b': fl_mcp_put_words(out, w->by, FL_MCP_NAME_MAX, false); break;
    case 'r': fl_mcp_put_words(out, w->reason, FL_MCP_REASON_MAX, true); break;
    case 'w': fl_mcp_put_words(out, w->where, FL_MCP_NAME_MAX, false); break;
    case 'u': fl_buf_puts(out, w->is_unreached ? "; nobody could be told of it yet" : ""); break;
    case 'e': fl_buf_puts(out, fl_time_format_s(w->expires_at_utc_ms, time)); break;
    default:
        FL_ASSERT(field == 'n'); /* the table has no others */
        fl_buf_u64(out, w->size_bytes);
    }
}

void fl_mcp_expand(struct fl_buf *out, const char *text, const struct fl_mcp_outcome *words)
{
    for (const char *p = text; *p; p++) {
        if (*p == '[') {
            const char *end = strchr(p, ']');
            bool is_whole = true;
            FL_ASSERT(end);
            for (const char *q = p; q < end; q++)
                is_whole &= *q != '%' || is_known(words, q[1]);
            if (!is_whole)
                p = end;
        } else if (*p == '%') {
            put_field(out, words, *++p);
        } else if (*p != ']') {
            fl_buf_putc(out, *p);
        }
    }
}

void fl_mcp_outcome_text(struct fl_buf *out, const struct fl_mcp_outcome *outcome)
{
    FL_ASSERT(outcome->kind < FL_MCP_OUTCOME_COUNT);
    fl_mcp_expand(out, outcomes[outcome->kind].text, outcome);
    if (outcome->changed.n) { /* JSON of ours in it: its texts are escaped already */
        fl_buf_puts(out, " Note: ");
        fl_buf_str(out, outcome->changed);
    }
}

static void put_words_member(struct fl_buf *out, const char *key, struct fl_str text, size_t max)
{
    struct fl_buf clean = FL_BUF_INIT;
    if (text.n == 0)
        return;
    fl_mcp_put_words(&clean, text, max, false);
    if (clean.is_failed)
        out->is_failed = true;
    else if (clean.n)
        fl_emit_str(out, key, fl_buf_view(&clean));
    fl_buf_fini(&clean);
}

void fl_mcp_outcome_json(struct fl_buf *out, const struct fl_mcp_outcome *outcome)
{
    FL_ASSERT(outcome->kind < FL_MCP_OUTCOME_COUNT);
    fl_buf_putc(out, '{');
    put_words_member(out, "approvalId", outcome->approval_id, FL_MCP_NAME_MAX);
    fl_emit_cstr(out, "decision", outcomes[outcome->kind].decision);
    put_words_member(out, "decidedBy", outcome->by, FL_MCP_NAME_MAX);
    put_words_member(out, "reason", outcome->reason, FL_MCP_REASON_MAX);
    if (outcome->expires_at_utc_ms)
        fl_emit_time(out, "expiresAt", outcome->expires_at_utc_ms);
    fl_emit_raw(out, "executed", fl_str_of(outcomes[outcome->kind].executed));
    fl_buf_putc(out, '}');
}

/* A copy in the arena; p NULL when either has no memory. */
static struct fl_str keep(struct fl_arena *arena, struct fl_buf *buf)
{
    struct fl_str copy = { NULL, 0 };
    if (!buf->is_failed)
        copy = fl_arena_str(arena, fl_buf_view(buf));
    fl_buf_fini(buf);
    return copy;
}

enum fl_code fl_mcp_outcome_result(struct fl_arena *arena, const struct fl_mcp_outcome *outcome,
                                   struct fl_mcp_result *ret, struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT, content = FL_BUF_INIT, json = FL_BUF_INIT;
    fl_mcp_outcome_text(&text, outcome);
    fl_buf_puts(&content, "[{\"type\":\"text\",\"text\":");
    fl_emit_text(&content, fl_buf_view(&text));
    fl_buf_puts(&content, "}]");
    if (text.is_failed)
        content.is_failed = true;
    fl_buf_fini(&text);
    fl_mcp_outcome_json(&json, outcome);

    struct fl_str kept_content = keep(arena, &content), kept_json = keep(arena, &json);
    struct fl_str id = fl_arena_str(arena, outcome->approval_id);
    if (!kept_content.p || !kept_json.p || !id.p)
        return fl_err_code(err, FL_NOMEM);
    *ret = (struct fl_mcp_result){
        .content = kept_content,
        .approval_id = id,
        .is_error = outcome->kind != FL_MCP_OUTCOME_NOT_KEPT || outcome->has_output_schema,
    };
    if (outcome->has_output_schema)
        ret->approval = kept_json;
    else
        ret->structured = kept_json;
    return FL_OK;
}
