/* What a plugin process sends to the worker, which trusts none of it: frames one behind the other,
 * their fields, results and descriptions. What is accepted keeps every promise of the headers, and
 * written again reads back the same. */
#include "flopinio/base/mem.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "fuzz.h"
#include "runtime/host/reply.h"

enum { OUTPUT_MAX = 1 << 16 };

static bool is_json(struct fl_str text)
{
    struct fl_err err;
    return fl_scan(text, &fl_reply_limits, NULL, 0, NULL, &err) == FL_OK;
}

static void check_again(const struct fl_host_result *r, enum fl_host_kind kind)
{
    struct fl_buf frame = FL_BUF_INIT;
    struct fl_host_result sent = *r, got;
    char *memory = NULL;
    bool wants_replacement;
    sent.content = (struct fl_str){ r->content.p + 1, r->content.n - 2 }; /* without brackets */
    fl_reply_put(&frame, 1, &sent, false);
    fl_buf_str(&frame, sent.content);
    struct fl_str payload = { frame.p + FL_FRAME_HEAD, frame.n - FL_FRAME_HEAD };
    FL_ASSERT(fl_reply_read(payload, kind, OUTPUT_MAX, &got, &memory, &wants_replacement) ==
              FL_REPLY_OUTCOME);
    FL_ASSERT(got.outcome == r->outcome && fl_str_eq(got.content, r->content));
    FL_ASSERT(fl_str_eq(got.structured, r->structured) && fl_str_eq(got.preview, r->preview));
    FL_ASSERT(fl_str_eq(got.precondition, r->precondition));
    fl_free(memory);
    fl_buf_fini(&frame);
}

static void read_result(struct fl_str payload, enum fl_host_kind kind)
{
    struct fl_host_result r;
    char *memory = NULL;
    bool wants_replacement;
    enum fl_reply reply = fl_reply_read(payload, kind, OUTPUT_MAX, &r, &memory, &wants_replacement);
    if (reply == FL_REPLY_GARBAGE) {
        FL_ASSERT(!memory);
        return;
    }
    FL_ASSERT(is_json(r.content) && r.content.p[0] == '[');
    FL_ASSERT(!r.structured.p || is_json(r.structured));
    FL_ASSERT(fl_utf8_is_valid(r.preview) && fl_utf8_is_valid(r.error_message));
    FL_ASSERT(r.precondition.n <= FLOPINIO_PRECONDITION_MAX && fl_utf8_is_valid(r.precondition));
    if (r.is_lost)
        FL_ASSERT(kind != FL_HOST_PREVIEW || r.outcome == FLOPINIO_PROTOCOL_ERROR);
    else if (reply == FL_REPLY_OUTCOME)
        check_again(&r, kind);
    fl_free(memory);
}

static void read_description(struct fl_str payload)
{
    struct fl_fields f = fl_fields_of(payload.p, payload.n);
    struct fl_str json = fl_fields_str(&f);
    struct fl_description *d = NULL;
    struct fl_err err = { 0 };
    if (!fl_fields_end(&f))
        return;
    enum fl_code code = fl_description_read(json, &d, &err);
    FL_ASSERT((code == FL_OK) == (d != NULL) && (code == FL_OK || err.text[0]));
    for (size_t i = 0; d && i < d->tool_count; i++) {
        FL_ASSERT(fl_description_tool(d, d->tools[i].name) == &d->tools[i]); /* no name twice */
        FL_ASSERT(is_json(d->tools[i].json) && is_json(d->tools[i].input_schema));
    }
    fl_description_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t at = 0;
    while (n - at >= FL_FRAME_HEAD) {
        struct fl_frame frame = fl_frame_read_head((const char *)data + at);
        uint32_t max = fl_frame_max_from_plugin(frame.type, OUTPUT_MAX);
        at += FL_FRAME_HEAD;
        if (max == 0 || frame.n > max || frame.n > n - at)
            break;
        struct fl_str payload = fuzz_copy(data + at, frame.n);
        struct fl_fields f = fl_fields_of(payload.p, payload.n);
        at += frame.n;
        switch (frame.type) {
        case FL_FRAME_READY: read_description(payload); break;
        case FL_FRAME_RESULT:
            read_result(payload, FL_HOST_START);
            read_result(payload, FL_HOST_PREVIEW);
            break;
        default:
            while (!f.is_bad && f.at < f.n) {
                struct fl_str s = fl_fields_str(&f);
                FL_ASSERT(!s.p || (s.p >= payload.p && s.p + s.n <= payload.p + payload.n));
                (void)fl_fields_u32(&f);
                (void)fl_fields_f64(&f);
            }
            FL_ASSERT(!f.is_bad || (!fl_fields_end(&f) && fl_fields_u32(&f) == 0));
            break;
        }
        free((char *)payload.p);
    }
    return 0;
}
