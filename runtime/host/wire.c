/* Bytes between a slot and its process. What comes in is untrusted: a frame that our side of the
 * process would not have written ends the process. */
#include <errno.h>
#include <sys/socket.h>

#include "flopinio/base/utf8.h"
#include "runtime/host/host_priv.h"
#include "runtime/host/pipe.h"

#define BATCH         64              /* frames in one write */
#define READ_AT_LEAST (32 * 1024 - 1) /* many small frames */
#define READS_AT_ONCE 4               /* so that one process cannot keep the loop */
#define READS_AT_END  4096            /* a dead process has no more than its socket buffer */
#define KEEP_AT_MOST  (64 * 1024)     /* of a buffer between frames */

static void on_ready(struct fl_watch *watch, bool is_readable, bool is_writable);

bool fl_slot_watch(struct fl_slot *slot)
{
    return fl_watch_open(&slot->watch, slot->instance->host->loop, slot->fd, on_ready);
}

static void watch_for(struct fl_slot *slot, bool and_write)
{
    if (slot->pipe && and_write)
        fl_slot_wake(slot); /* there was no memory: again at the end of the next turn */
    else if (slot->state != FL_SLOT_ENDING)
        fl_watch_read(&slot->watch, and_write);
}

/* ---- out ---- */

/* True when all of it has left. */
static bool flush(struct fl_slot *slot)
{
    if (slot->pipe)
        return slot->out.n == 0 || fl_pipe_send(slot->pipe, &slot->out);
    while (slot->out_sent < slot->out.n) {
        ssize_t n = send(slot->fd, slot->out.p + slot->out_sent, slot->out.n - slot->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            slot->out_sent += (size_t)n;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            fl_slot_on_socket_closed(slot);
            return false;
        }
    }
    slot->out_sent = 0;
    if (slot->out.cap > KEEP_AT_MOST)
        fl_buf_fini(&slot->out);
    else
        fl_buf_reset(&slot->out);
    return true;
}

/* A frame in the batch, and the call whose state depends on its leaving. */
struct mark {
    size_t at;
    struct fl_host_call *call;
    bool is_cancel;
};

static size_t put_cancels(struct fl_slot *slot, struct mark *marks)
{
    size_t count = 0;
    FL_LIST_FOREACH (link, &slot->running) {
        struct fl_host_call *call = FL_CONTAINER(link, struct fl_host_call, link);
        if (!call->needs_cancel || count == BATCH)
            continue;
        size_t at = fl_frame_begin(&slot->out, FL_FRAME_CANCEL, call->job);
        fl_frame_end(&slot->out, at);
        if (slot->out.is_failed) { /* no memory now: the next turn, or the kill, will do */
            fl_buf_cut(&slot->out, at);
            break;
        }
        marks[count++] = (struct mark){ at, call, true };
        call->needs_cancel = false;
    }
    return count;
}

static size_t put_batch(struct fl_slot *slot, struct mark *marks)
{
    if (slot->state != FL_SLOT_READY)
        return 0;
    size_t count = put_cancels(slot, marks);
    while (count < BATCH && fl_call_has_room(slot) && !slot->wants_replacement) {
        size_t at = slot->out.n;
        struct fl_host_call *call = fl_call_next(slot);
        if (!call)
            break;
        marks[count++] = (struct mark){ at, call, false };
    }
    return count;
}

/* Takes back every frame of which no byte has left, so that "running" means "handed over". */
static void take_back(struct fl_slot *slot, const struct mark *marks, size_t count)
{
    while (count && marks[count - 1].at >= slot->out_sent) {
        const struct mark *mark = &marks[--count];
        fl_buf_cut(&slot->out, mark->at);
        if (mark->is_cancel)
            mark->call->needs_cancel = true;
        else
            fl_call_unsend(mark->call);
    }
}

void fl_slot_send(struct fl_slot *slot)
{
    struct mark marks[BATCH] FL_NOT_CLEARED; /* as many as are put are read */
    if (slot->state == FL_SLOT_ENDING || (slot->fd < 0 && !slot->pipe))
        return;
    if (slot->out.n && !flush(slot)) {
        watch_for(slot, true);
        return;
    }
    for (size_t count; (count = put_batch(slot, marks)) > 0;) {
        if (flush(slot))
            continue;
        take_back(slot, marks, count);
        watch_for(slot, true);
        return;
    }
    watch_for(slot, false);
}

void fl_slot_put_setup(struct fl_slot *slot)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_setup_finish(&text, slot->instance->setup, slot->mode);
    size_t at = fl_frame_begin(&slot->out, FL_FRAME_SETUP, 0);
    fl_frame_str(&slot->out, fl_buf_view(&text));
    fl_frame_end(&slot->out, at);
    if (text.is_failed || slot->out.is_failed) {
        fl_buf_reset(&slot->out);
        fl_slot_kill(slot, FL_NOMEM, "%s", fl_code_text(FL_NOMEM));
    }
    fl_buf_fini(&text);
}

void fl_slot_put_close(struct fl_slot *slot)
{
    fl_frame_end(&slot->out, fl_frame_begin(&slot->out, FL_FRAME_CLOSE, 0));
    if (slot->out.is_failed) {
        fl_buf_reset(&slot->out);
        fl_slot_kill(slot, FL_NOMEM, "%s", fl_code_text(FL_NOMEM));
    }
}

/* ---- in ---- */

static void on_description(struct fl_slot *slot, struct fl_str payload)
{
    struct fl_fields fields = fl_fields_of(payload.p, payload.n);
    struct fl_str json = fl_fields_str(&fields);
    struct fl_description *description;
    struct fl_err err;
    if (!fl_fields_end(&fields) || slot->state != FL_SLOT_STARTING)
        fl_slot_on_garbage(slot, "said twice that it is ready");
    else if (fl_description_read(json, &description, &err) != FL_OK)
        fl_slot_kill(slot, err.code, "%s", err.text);
    else
        fl_slot_on_ready(slot, description);
}

static void on_refused(struct fl_slot *slot, struct fl_str payload)
{
    struct fl_fields fields = fl_fields_of(payload.p, payload.n);
    struct fl_str text = fl_fields_str(&fields);
    const struct fl_host_describe *describe = slot->instance->describe;
    bool was_tried = describe && describe->is_trying;
    if (!fl_fields_end(&fields) || (slot->was_ready && !was_tried) || !fl_utf8_is_valid(text))
        fl_slot_on_garbage(slot, "refused an instance that it had made");
    else if (was_tried)
        fl_slot_on_tried(slot, text);
    else
        fl_slot_kill(slot, FL_PLUGIN, "%.*s", FL_STR_ARG(text));
}

static bool on_log(struct fl_slot *slot, struct fl_str payload)
{
    static const char *const levels[] = { "debug", "info",     "notice", "warning",
                                          "error", "critical", "alert",  "emergency" };
    struct fl_fields fields = fl_fields_of(payload.p, payload.n);
    uint32_t level = fl_fields_u32(&fields);
    struct fl_str text = fl_fields_str(&fields);
    if (!fl_fields_end(&fields) || level >= FL_COUNTOF(levels))
        return false;
    if (fl_bucket_take(&slot->logs, fl_mono_ms()))
        FL_SLOT_LOG(INFO, "plugin_log", slot, FL_KS("level", levels[level]), FL_KV("text", text));
    return true;
}

/* A frame about a call that runs here. */
static bool on_call_frame(struct fl_slot *slot, const struct fl_frame *frame, struct fl_str payload)
{
    struct fl_host_call *call = fl_call_find(slot, frame->job);
    if (!call)
        return false;
    switch (frame->type) {
    case FL_FRAME_RESULT: return fl_call_on_result(call, payload);
    case FL_FRAME_PROGRESS: return fl_call_on_progress(call, payload);
    default: return fl_call_on_message(call, payload);
    }
}

static void on_frame(struct fl_slot *slot, const struct fl_frame *frame, struct fl_str payload)
{
    bool is_note = frame->type == FL_FRAME_PROGRESS || frame->type == FL_FRAME_MESSAGE ||
                   frame->type == FL_FRAME_LOG;
    if (is_note && !fl_bucket_take(&slot->notes, fl_mono_ms()))
        fl_slot_on_garbage(slot, "flooded the worker with messages");
    else if (frame->type == FL_FRAME_READY)
        on_description(slot, payload);
    else if (frame->type == FL_FRAME_REFUSED)
        on_refused(slot, payload);
    else if (frame->type == FL_FRAME_LOG ? !on_log(slot, payload)
                                         : !on_call_frame(slot, frame, payload))
        fl_slot_on_garbage(slot, "sent a frame that makes no sense");
}

/* Handles the whole frames of `in`; the rest stays. */
static void parse(struct fl_slot *slot)
{
    uint64_t output_bytes = slot->instance->config.limits.output_bytes;
    size_t at = 0;
    while (!slot->is_garbage && slot->in.n - at >= FL_FRAME_HEAD) {
        struct fl_frame frame = fl_frame_read_head(slot->in.p + at);
        uint32_t max = fl_frame_max_from_plugin(frame.type, output_bytes);
        if (max == 0)
            fl_slot_on_garbage(slot, "sent garbage instead of a frame");
        else if (frame.n > max)
            fl_slot_on_garbage(slot, "sent a frame that is too large");
        if (slot->is_garbage || slot->in.n - at - FL_FRAME_HEAD < frame.n)
            break;
        at += FL_FRAME_HEAD;
        on_frame(slot, &frame, (struct fl_str){ slot->in.p + at, frame.n });
        at += frame.n;
    }
    fl_buf_drop(&slot->in, at);
    if (slot->in.n == 0 && slot->in.cap > KEEP_AT_MOST)
        fl_buf_fini(&slot->in);
}

enum got { GOT_BYTES, GOT_NOTHING, GOT_END };

static enum got read_some(struct fl_slot *slot)
{
    size_t want = READ_AT_LEAST;
    if (slot->in.n >= FL_FRAME_HEAD) { /* parse() has checked its length */
        size_t whole = FL_FRAME_HEAD + (size_t)fl_frame_read_head(slot->in.p).n;
        if (whole - slot->in.n > want)
            want = whole - slot->in.n;
    }
    if (!fl_buf_reserve(&slot->in, want)) {
        fl_buf_cut(&slot->in, slot->in.n);
        slot->is_garbage = true; /* cannot be read any more */
        fl_slot_kill(slot, FL_NOMEM, "%s", fl_code_text(FL_NOMEM));
        return GOT_NOTHING;
    }
    ssize_t n = recv(slot->fd, slot->in.p + slot->in.n, want, MSG_DONTWAIT);
    if (n > 0) {
        slot->in.n += (size_t)n;
        return GOT_BYTES;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? GOT_NOTHING : GOT_END;
}

/* Reads until there is no more, at most `reads` times; true at the end of the stream. */
static bool read_all(struct fl_slot *slot, unsigned reads)
{
    for (unsigned i = 0; i < reads && !slot->is_garbage; i++) {
        size_t before = slot->in.n;
        enum got got = read_some(slot);
        if (got != GOT_BYTES)
            return got == GOT_END;
        bool is_full = slot->in.n - before >= READ_AT_LEAST;
        parse(slot);
        if (!is_full && reads == READS_AT_ONCE)
            break; /* the socket is empty: the poll says when it is not */
    }
    return false;
}

static void on_ready(struct fl_watch *watch, bool is_readable, bool is_writable)
{
    struct fl_slot *slot = FL_CONTAINER(watch, struct fl_slot, watch);
    if (is_readable && read_all(slot, READS_AT_ONCE))
        fl_slot_on_socket_closed(slot);
    else if (is_writable)
        fl_slot_send(slot);
}

/* The same from a thread's pipe; true when the thread has closed it. */
static bool receive(struct fl_slot *slot)
{
    bool is_over = false;
    if (slot->is_garbage)
        return false;
    if (!fl_pipe_receive(slot->pipe, &slot->in, &is_over)) {
        slot->is_garbage = true; /* cannot be read any more */
        fl_slot_kill(slot, FL_NOMEM, "%s", fl_code_text(FL_NOMEM));
        return false;
    }
    parse(slot);
    return is_over;
}

void fl_slot_on_pipe(void *ctx)
{
    struct fl_slot *slot = ctx;
    if (slot->state != FL_SLOT_ENDING && receive(slot))
        fl_slot_on_socket_closed(slot);
}

void fl_slot_drain(struct fl_slot *slot)
{
    if (slot->pipe)
        receive(slot);
    else if (slot->fd >= 0)
        read_all(slot, READS_AT_END);
}
