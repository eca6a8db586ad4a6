/* The host table's results: content, previews, notes, and the end of a job. Any thread. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/scan.h"
#include "flopinio/base/utf8.h"
#include "runtime/host/frame.h"
#include "runtime/host/job.h"
#include "runtime/host/reply.h"
#include "runtime/host/serve.h"

#define PROGRESS_TEXT_MAX 4096
#define ITEM_BYTES        40 /* of a text item beside its text, without escapes */
#define HEAD_BYTES        80 /* of a usual result's frame without its content */

static void misuse(struct fl_job *job, const char *what)
{
    if (!job->misuse)
        job->misuse = what;
    fl_serve_log(job->serve, FLOPINIO_ERROR, what);
}

/* A JSON string; bytes that are not UTF-8 become U+FFFD, so that one bad byte does not cost the
 * whole answer. */
static void put_json_text(struct fl_buf *out, const char *text, size_t n)
{
    struct fl_str s = { text, text ? n : 0 };
    if (fl_utf8_is_valid(s)) {
        fl_buf_json_str(out, s);
        return;
    }
    struct fl_buf clean = FL_BUF_INIT;
    for (size_t pos = 0; pos < s.n;) {
        int32_t cp = fl_utf8_next(s, &pos);
        fl_utf8_put(&clean, cp < 0 ? 0xfffd : (uint32_t)cp);
    }
    if (clean.is_failed)
        out->is_failed = true;
    else
        fl_buf_json_str(out, fl_buf_view(&clean));
    fl_buf_fini(&clean);
}

static void put_member(struct fl_buf *out, const char *key, const char *text, size_t n)
{
    fl_buf_json_key(out, key);
    put_json_text(out, text, n);
    fl_buf_putc(out, ',');
}

/* ---- content ---- */

static struct fl_buf *begin_item(struct fl_job *job)
{
    struct fl_buf *out = &job->content;
    if (out->n)
        fl_buf_putc(out, ',');
    return out;
}

static void text(flopinio_job *handle, const char *bytes, size_t n)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    struct fl_buf *out = begin_item(job);
    (void)fl_buf_reserve(out, (bytes ? n : 0) + ITEM_BYTES);
    fl_buf_puts(out, "{\"type\":\"text\",\"text\":");
    put_json_text(out, bytes, n);
    fl_buf_putc(out, '}');
    fl_job_leave(job);
}

static void media(flopinio_job *handle, const char *kind, const char *mime_type, const void *bytes,
                  size_t n)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    if (!kind || !mime_type || (strcmp(kind, "image") != 0 && strcmp(kind, "audio") != 0)) {
        misuse(job, "media is \"image\" or \"audio\" with a type");
    } else {
        struct fl_buf *out = begin_item(job);
        fl_buf_printf(out, "{\"type\":\"%s\",", kind);
        put_member(out, "mimeType", mime_type, strlen(mime_type));
        fl_buf_puts(out, "\"data\":\"");
        if (bytes)
            fl_b64(out, bytes, n);
        fl_buf_puts(out, "\"}");
    }
    fl_job_leave(job);
}

static void resource(flopinio_job *handle, const char *uri, const char *mime_type,
                     const char *bytes, size_t n)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    if (!uri) {
        misuse(job, "a resource needs a uri");
    } else {
        struct fl_buf *out = begin_item(job);
        fl_buf_puts(out, "{\"type\":\"resource\",\"resource\":{");
        put_member(out, "uri", uri, strlen(uri));
        if (mime_type)
            put_member(out, "mimeType", mime_type, strlen(mime_type));
        fl_buf_puts(out, "\"text\":");
        put_json_text(out, bytes, n);
        fl_buf_puts(out, "}}");
    }
    fl_job_leave(job);
}

static void structured(flopinio_job *handle, const char *json, size_t n)
{
    struct fl_err err;
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    if (job->structured.n)
        misuse(job, "structured content is given once");
    else if (!json ||
             fl_scan((struct fl_str){ json, n }, &fl_reply_limits, NULL, 0, NULL, &err) != FL_OK)
        misuse(job, "structured content is not valid JSON");
    else
        fl_buf_put(&job->structured, json, n);
    fl_job_leave(job);
}

static void error(flopinio_job *handle, int code, const char *message)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    struct fl_str s = fl_str_of(message);
    job->error_code = code;
    if (!fl_utf8_is_valid(s))
        s = FL_STR("");
    snprintf(job->error_message, sizeof job->error_message, "%.*s",
             (int)fl_utf8_cut(s, sizeof job->error_message - 1), s.n ? s.p : "");
    fl_job_leave(job);
}

/* ---- notes ---- */

static void write_frame(struct fl_job *job, struct fl_buf *frame)
{
    if (!frame->is_failed)
        fl_serve_write(job->serve, &(struct iovec){ frame->p, frame->n }, 1);
    fl_buf_fini(frame);
}

static struct fl_str cut_text(const char *text_or_null, size_t max)
{
    struct fl_str s = fl_str_of(text_or_null);
    if (!fl_utf8_is_valid(s))
        return (struct fl_str){ 0 };
    s.n = fl_utf8_cut(s, max);
    return s;
}

static void progress(flopinio_job *handle, double value, double total, const char *message)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    bool is_new = isfinite(value) && value > job->last_progress && isfinite(total);
    if (is_new && fl_bucket_take(&job->notes, fl_mono_ms())) {
        struct fl_buf frame = FL_BUF_INIT;
        job->last_progress = value;
        size_t at = fl_frame_begin(&frame, FL_FRAME_PROGRESS, job->id);
        fl_frame_f64(&frame, value);
        fl_frame_f64(&frame, total > 0 ? total : 0);
        fl_frame_str(&frame, cut_text(message, PROGRESS_TEXT_MAX));
        fl_frame_end(&frame, at);
        write_frame(job, &frame);
    }
    fl_job_leave(job);
}

static void message(flopinio_job *handle, enum flopinio_level level, const char *logger,
                    const char *data_json)
{
    struct fl_err err;
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    struct fl_str data = fl_str_of(data_json);
    if (data.n > FL_NOTE_TEXT_MAX ||
        fl_scan(data, &fl_reply_limits, NULL, 0, NULL, &err) != FL_OK) {
        fl_serve_log(job->serve, FLOPINIO_WARNING, "a log message is not valid JSON");
    } else if (fl_bucket_take(&job->notes, fl_mono_ms())) {
        struct fl_buf frame = FL_BUF_INIT;
        size_t at = fl_frame_begin(&frame, FL_FRAME_MESSAGE, job->id);
        fl_frame_u32(&frame, (uint32_t)level);
        fl_frame_str(&frame, cut_text(logger, 256));
        fl_frame_str(&frame, data);
        fl_frame_end(&frame, at);
        write_frame(job, &frame);
    }
    fl_job_leave(job);
}

/* ---- previews ---- */

static void put_preview(flopinio_job *handle, enum fl_host_preview kind, const char *bytes,
                        size_t n)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    if (job->kind != FL_HOST_PREVIEW)
        misuse(job, "a preview is given by preview() only");
    else if (job->preview_kind != FL_HOST_PREVIEW_NONE && job->preview_kind != kind)
        misuse(job, "a preview is either text or a diff");
    else if (!fl_utf8_is_valid((struct fl_str){ bytes, bytes ? n : 0 }))
        misuse(job, "the preview is not valid UTF-8");
    else {
        job->preview_kind = kind;
        fl_buf_put(&job->preview, bytes, bytes ? n : 0);
    }
    fl_job_leave(job);
}

static void preview_text(flopinio_job *handle, const char *bytes, size_t n)
{
    put_preview(handle, FL_HOST_PREVIEW_TEXT, bytes, n);
}

static void preview_diff(flopinio_job *handle, const char *bytes, size_t n)
{
    put_preview(handle, FL_HOST_PREVIEW_DIFF, bytes, n);
}

static void preview_precondition(flopinio_job *handle, const char *words)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    struct fl_str s = fl_str_of(words);
    if (job->kind != FL_HOST_PREVIEW)
        misuse(job, "a precondition is given by preview() only");
    else if (s.n == 0 || s.n > FLOPINIO_PRECONDITION_MAX || !fl_utf8_is_valid(s))
        misuse(job, "the precondition is not 1 to 256 bytes of UTF-8");
    else
        memcpy(job->given_precondition, s.p, s.n + 1);
    fl_job_leave(job);
}

/* ---- the end ---- */

/* A preview that cannot be used is an error, not an empty card; a call that did its work has done
 * it, whatever it says afterwards. */
static enum flopinio_outcome judged(struct fl_job *job, enum flopinio_outcome outcome)
{
    if (job->error_code == 0)
        job->error_code = -32603; /* what PROTOCOL_ERROR means when error() was not called */
    if (!job->misuse || job->kind != FL_HOST_PREVIEW || outcome != FLOPINIO_OK)
        return outcome;
    job->error_code = -32603;
    snprintf(job->error_message, sizeof job->error_message, "%s", job->misuse);
    return FLOPINIO_PROTOCOL_ERROR;
}

static bool is_lost(const struct fl_job *job)
{
    return job->content.is_failed || job->structured.is_failed || job->preview.is_failed ||
           job->content.n + job->structured.n + job->preview.n + 2 > job->serve->output_bytes;
}

/* One frame, its content written from where it is. False: no memory. */
static bool write_result(struct fl_job *job, enum flopinio_outcome outcome, bool lost)
{
    struct fl_host_result result = {
        .outcome = outcome,
        .is_lost = lost,
        .error_code = job->error_code,
        .error_message = fl_str_of(job->error_message),
    };
    if (!lost) {
        result.content = fl_buf_view(&job->content);
        result.structured = fl_buf_view(&job->structured); /* p NULL if none was given */
        result.preview_kind = job->preview_kind;
        result.preview = fl_buf_view(&job->preview);
        if (job->given_precondition[0])
            result.precondition = fl_str_of(job->given_precondition);
    }
    struct fl_buf head = FL_BUF_INIT;
    (void)fl_buf_reserve(&head, HEAD_BYTES);
    fl_reply_put(&head, job->id, &result, fl_serve_wants_replacement(job->serve));
    bool is_whole = !head.is_failed;
    if (is_whole) {
        struct iovec parts[] = { { head.p, head.n },
                                 { (void *)(uintptr_t)result.content.p, result.content.n } };
        fl_serve_write_result(job->serve, parts, 2);
    }
    fl_buf_fini(&head);
    return is_whole;
}

static void answer(struct fl_job *job, enum flopinio_outcome outcome)
{
    outcome = judged(job, outcome);
    if (!write_result(job, outcome, is_lost(job)) && !write_result(job, outcome, true))
        fl_serve_break(job->serve);
}

static void done(flopinio_job *handle, enum flopinio_outcome outcome)
{
    struct fl_job *job = fl_job_enter(handle);
    if (!job)
        return;
    answer(job, outcome);
    fl_job_end(job);
    fl_job_leave(job);
}

static void log_line(const struct flopinio_host *host, enum flopinio_level level, const char *line)
{
    fl_serve_log((struct fl_serve *)(uintptr_t)host, level, line ? line : "");
}

void fl_job_fill_results(struct flopinio_host *host)
{
    host->text = text;
    host->media = media;
    host->resource = resource;
    host->structured = structured;
    host->error = error;
    host->progress = progress;
    host->message = message;
    host->preview_text = preview_text;
    host->preview_diff = preview_diff;
    host->preview_precondition = preview_precondition;
    host->done = done;
    host->log = log_line;
}
