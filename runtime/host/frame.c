/* Frames: writing and reading, used by both ends. */
#include "runtime/host/frame.h"

#include <string.h>

#define NONE UINT32_MAX

/* What a result may need beside the call's output: head fields, error text, precondition. */
#define RESULT_EXTRA (64u << 10)

void fl_frame_head(char out[FL_FRAME_HEAD], const struct fl_frame *frame)
{
    memcpy(out, &frame->type, 4);
    memcpy(out + 4, &frame->n, 4);
    memcpy(out + 8, &frame->job, 8);
}

size_t fl_frame_begin(struct fl_buf *out, enum fl_frame_type type, uint64_t job)
{
    char head[FL_FRAME_HEAD];
    size_t at = out->n;
    struct fl_frame frame = { .type = type, .job = job };
    fl_frame_head(head, &frame);
    fl_buf_put(out, head, sizeof head);
    return at;
}

void fl_frame_end(struct fl_buf *out, size_t at)
{
    if (out->is_failed)
        return;
    size_t n = out->n - at - FL_FRAME_HEAD;
    FL_ASSERT(n < NONE);
    memcpy(out->p + at + 4, &(uint32_t){ (uint32_t)n }, 4);
}

void fl_frame_u32(struct fl_buf *out, uint32_t value)
{
    fl_buf_put(out, &value, sizeof value);
}

void fl_frame_f64(struct fl_buf *out, double value)
{
    fl_buf_put(out, &value, sizeof value);
}

void fl_frame_str(struct fl_buf *out, struct fl_str s)
{
    FL_ASSERT(s.n < NONE);
    fl_frame_u32(out, s.p ? (uint32_t)s.n : NONE);
    if (s.p)
        fl_buf_str(out, s);
}

struct fl_frame fl_frame_read_head(const char *bytes)
{
    struct fl_frame frame;
    memcpy(&frame.type, bytes, 4);
    memcpy(&frame.n, bytes + 4, 4);
    memcpy(&frame.job, bytes + 8, 8);
    return frame;
}

uint32_t fl_frame_max_from_plugin(uint32_t type, uint64_t output_bytes)
{
    switch (type) {
    case FL_FRAME_READY: return FL_FRAME_READY_MAX;
    case FL_FRAME_REFUSED: return FL_FRAME_REFUSED_MAX;
    case FL_FRAME_RESULT: return (uint32_t)output_bytes + RESULT_EXTRA;
    case FL_FRAME_PROGRESS:
    case FL_FRAME_MESSAGE:
    case FL_FRAME_LOG: return FL_FRAME_NOTE_MAX;
    default: return 0;
    }
}

uint32_t fl_frame_max_to_plugin(uint32_t type)
{
    switch (type) {
    case FL_FRAME_SETUP: return FL_FRAME_SETUP_MAX;
    case FL_FRAME_START: return FL_FRAME_START_MAX;
    case FL_FRAME_CANCEL:
    case FL_FRAME_CLOSE: return 1; /* empty; 0 would mean unknown */
    default: return 0;
    }
}

struct fl_fields fl_fields_of(const char *payload, size_t n)
{
    return (struct fl_fields){ .p = payload, .n = n };
}

static bool take(struct fl_fields *f, void *out, size_t n)
{
    if (f->is_bad || f->n - f->at < n) {
        f->is_bad = true;
        memset(out, 0, n);
        return false;
    }
    memcpy(out, f->p + f->at, n);
    f->at += n;
    return true;
}

uint32_t fl_fields_u32(struct fl_fields *f)
{
    uint32_t value;
    take(f, &value, sizeof value);
    return value;
}

double fl_fields_f64(struct fl_fields *f)
{
    double value;
    take(f, &value, sizeof value);
    return value;
}

struct fl_str fl_fields_str(struct fl_fields *f)
{
    uint32_t n;
    if (!take(f, &n, sizeof n) || n == NONE)
        return (struct fl_str){ 0 };
    if (f->n - f->at < n) {
        f->is_bad = true;
        return (struct fl_str){ 0 };
    }
    struct fl_str s = { f->p + f->at, n };
    f->at += n;
    return s;
}

bool fl_fields_end(const struct fl_fields *f)
{
    return !f->is_bad && f->at == f->n;
}
