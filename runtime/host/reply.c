/* The result frame. */
#include "runtime/host/reply.h"

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"

#define LOST                                                                                       \
    "the tool has ended, but its result was too large to keep, or there was no memory for it"

const struct fl_scan_limits fl_reply_limits = {
    .max_bytes = 64u << 20,
    .max_nodes = 1000000,
    .max_depth = 64,
    .rejects_duplicates = false,
    .rejects_nul = false,
};

void fl_reply_put(struct fl_buf *out, uint64_t job, const struct fl_host_result *result,
                  bool wants_replacement)
{
    size_t at = fl_frame_begin(out, FL_FRAME_RESULT, job);
    fl_frame_u32(out, (uint32_t)result->outcome);
    fl_frame_u32(out, (result->is_lost ? FL_RESULT_IS_LOST : 0u) |
                          (wants_replacement ? FL_RESULT_WANTS_REPLACEMENT : 0u));
    fl_frame_u32(out, (uint32_t)result->error_code);
    fl_frame_str(out, result->error_message);
    fl_frame_u32(out, (uint32_t)result->preview_kind);
    fl_frame_str(out, result->preview);
    fl_frame_str(out, result->precondition);
    fl_frame_str(out, result->structured);
    fl_frame_u32(out, (uint32_t)result->content.n);
    fl_frame_end(out, at);
    if (out->is_failed)
        return;
    struct fl_frame frame = fl_frame_read_head(out->p + at);
    frame.n += (uint32_t)result->content.n;
    fl_frame_head(out->p + at, &frame);
}

static bool is_outcome(uint32_t outcome, enum fl_host_kind kind)
{
    switch (outcome) {
    case FLOPINIO_OK:
    case FLOPINIO_TOOL_ERROR:
    case FLOPINIO_PROTOCOL_ERROR: return true;
    case FLOPINIO_TARGET_CHANGED: return kind == FL_HOST_START;
    case FLOPINIO_NO_PREVIEW: return kind == FL_HOST_PREVIEW;
    default: return false;
    }
}

/* Copies the texts one behind the other, the items into their brackets. */
static char *copy_texts(struct fl_host_result *r)
{
    struct fl_str *const texts[] = { &r->error_message, &r->preview, &r->precondition,
                                     &r->structured };
    size_t n = r->content.n + 2;
    for (size_t i = 0; i < FL_COUNTOF(texts); i++)
        n += texts[i]->n;
    char *memory = fl_malloc(n), *at = memory;
    if (!memory)
        return NULL;
    *at++ = '[';
    if (r->content.n)
        memcpy(at, r->content.p, r->content.n);
    at += r->content.n;
    *at++ = ']';
    r->content = (struct fl_str){ memory, r->content.n + 2 };
    for (size_t i = 0; i < FL_COUNTOF(texts); i++) {
        if (texts[i]->n)
            memcpy(at, texts[i]->p, texts[i]->n);
        if (texts[i]->p)
            texts[i]->p = at;
        at += texts[i]->n;
    }
    return memory;
}

/* A call that has ended has ended, whatever became of its texts. A preview is its texts. */
static void lose(struct fl_host_result *r, enum fl_host_kind kind)
{
    *r = (struct fl_host_result){
        .outcome = kind == FL_HOST_PREVIEW ? FLOPINIO_PROTOCOL_ERROR : r->outcome,
        .is_lost = true,
        .error_code = r->outcome == FLOPINIO_PROTOCOL_ERROR ? r->error_code : -32603,
        .content = FL_STR("[{\"type\":\"text\",\"text\":\"" LOST "\"}]"),
        .error_message = FL_STR(LOST),
    };
}

static enum fl_code check_json(struct fl_str s)
{
    struct fl_err err FL_NOT_CLEARED;
    return fl_scan(s, &fl_reply_limits, NULL, 0, NULL, &err);
}

/* FL_OK, FL_NOMEM, or what is wrong with them. */
static enum fl_code check_texts(const struct fl_host_result *r)
{
    struct fl_str item;
    size_t pos = 0;
    if (!fl_utf8_is_valid(r->error_message) || !fl_utf8_is_valid(r->preview) ||
        !fl_utf8_is_valid(r->precondition) ||
        (r->precondition.n && memchr(r->precondition.p, 0, r->precondition.n)))
        return FL_PLUGIN;
    enum fl_code code = r->structured.p ? check_json(r->structured) : FL_OK;
    if (!code)
        code = check_json(r->content);
    if (code)
        return code;
    while (fl_span_next_item(r->content, &pos, &item)) {
        if (fl_span_type(item) != FL_SPAN_OBJECT)
            return FL_PLUGIN;
    }
    return FL_OK;
}

enum fl_reply fl_reply_read(struct fl_str payload, enum fl_host_kind kind, uint64_t output_bytes,
                            struct fl_host_result *ret, char **ret_memory,
                            bool *ret_wants_replacement)
{
    struct fl_fields f = fl_fields_of(payload.p, payload.n);
    struct fl_host_result r = { 0 };
    uint32_t outcome = fl_fields_u32(&f), flags = fl_fields_u32(&f);
    r.error_code = (int)fl_fields_u32(&f);
    r.error_message = fl_fields_str(&f);
    uint32_t preview_kind = fl_fields_u32(&f);
    r.preview = fl_fields_str(&f);
    r.precondition = fl_fields_str(&f);
    r.structured = fl_fields_str(&f);
    r.content = fl_fields_str(&f);
    if (!fl_fields_end(&f) || preview_kind > FL_HOST_PREVIEW_DIFF ||
        r.precondition.n > FLOPINIO_PRECONDITION_MAX || r.error_message.n > FL_REPLY_MESSAGE_MAX ||
        r.content.n + r.structured.n + r.preview.n > output_bytes)
        return FL_REPLY_GARBAGE;
    r.outcome = (enum flopinio_outcome)outcome;
    r.preview_kind = (enum fl_host_preview)preview_kind;
    *ret_wants_replacement = (flags & FL_RESULT_WANTS_REPLACEMENT) != 0;
    char *memory = flags & FL_RESULT_IS_LOST ? NULL : copy_texts(&r);
    enum fl_code code = memory ? check_texts(&r) : FL_NOMEM;
    if (code && code != FL_NOMEM) {
        fl_free(memory);
        return FL_REPLY_GARBAGE;
    }
    if (code) {
        fl_free(memory);
        memory = NULL;
        lose(&r, kind);
    }
    *ret = r;
    *ret_memory = memory;
    return is_outcome(outcome, kind) ? FL_REPLY_OUTCOME : FL_REPLY_UNKNOWN_OUTCOME;
}
