/* Outcomes of tools. */
#include "runtime/approval/result.h"

#include <stdio.h>

#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"

enum fl_approval_state fl_result_of_call(const struct fl_host_call *call, char *text,
                                         size_t text_size, struct fl_call_result *ret)
{
    const struct fl_host_result *r = &call->result;
    *ret = (struct fl_call_result){ .is_kept = true };
    text[0] = 0;
    if (call->ran == FL_HOST_NOT_STARTED) {
        /* Whoever reads this must be able to rely on it: nothing was handed to the tool. */
        fl_utf8_format(text, text_size, "it was not sent: %s", call->op.err.text);
        ret->is_error = true;
        return FL_APPROVAL_FAILED;
    }
    if (call->ran == FL_HOST_UNKNOWN) {
        snprintf(text, text_size, "%s", call->op.err.text);
        ret->is_error = true;
        return FL_APPROVAL_UNKNOWN;
    }
    ret->content = r->content;
    ret->structured = r->structured;
    ret->bytes = (int64_t)(r->content.n + r->structured.n);
    switch (r->outcome) {
    case FLOPINIO_OK: return FL_APPROVAL_SUCCEEDED;
    case FLOPINIO_TARGET_CHANGED:
        snprintf(text, text_size, "the target changed since it was shown; nothing was done");
        ret->is_error = true;
        return FL_APPROVAL_FAILED;
    case FLOPINIO_PROTOCOL_ERROR:
        ret->is_protocol_error = ret->is_error = true;
        ret->error_code = r->error_code;
        ret->error_message = r->error_message;
        return FL_APPROVAL_FAILED;
    default: ret->is_error = true; return FL_APPROVAL_FAILED;
    }
}

void fl_result_encode(struct fl_buf *out, const struct fl_call_result *r)
{
    if (r->is_protocol_error) {
        fl_buf_printf(out, "{\"error\":{\"code\":%d,\"message\":", r->error_code);
        fl_buf_json_str(out, r->error_message);
        fl_buf_puts(out, "}}");
        return;
    }
    fl_buf_puts(out, "{\"content\":");
    fl_buf_str(out, r->content.p ? r->content : FL_STR("[]"));
    fl_buf_puts(out, r->is_error ? ",\"isError\":true" : ",\"isError\":false");
    if (r->structured.p) {
        fl_buf_puts(out, ",\"structuredContent\":");
        fl_buf_str(out, r->structured);
    }
    fl_buf_putc(out, '}');
}

enum fl_code fl_result_decode(struct fl_arena *arena, struct fl_str json,
                              struct fl_call_result *ret, struct fl_err *err)
{
    static const struct fl_scan_pick picks[] = { { { "content" } },
                                                 { { "isError" } },
                                                 { { "structuredContent" } },
                                                 { { "error", "code" } },
                                                 { { "error", "message" } } };
    struct fl_scan_limits limits = fl_scan_grammar;
    struct fl_str found[FL_COUNTOF(picks)];
    *ret = (struct fl_call_result){ .is_kept = true };
    struct fl_str copy = fl_arena_str(arena, json);
    if (!copy.p)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = fl_scan(copy, &limits, picks, FL_COUNTOF(picks), found, err);
    if (code)
        return code;
    ret->content = found[0];
    ret->is_error = fl_span_type(found[1]) == FL_SPAN_TRUE;
    ret->structured = found[2];
    ret->bytes = (int64_t)json.n;
    int64_t number = 0;
    if (found[3].p && fl_span_int(found[3], &number)) {
        ret->is_protocol_error = ret->is_error = true;
        ret->error_code = (int)number;
        ret->error_message = fl_span_string(arena, found[4]);
    }
    return FL_OK;
}
