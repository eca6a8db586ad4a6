/* The plugin's side: a whole life of it, with a real plugin, behind a setup of ours and frames of
 * the fuzzer's. It must end, and say nothing that the worker would not take. The first bit says
 * whether the rest is frames as they are, or records {type, job, how, length} out of which frames
 * are made; the second whether the worker goes in the middle, and hears nothing. */
#include "flopinio/base/mem.h"
#include "fuzz.h"
#include "runtime/host/pipe.h"
#include "runtime/host/reply.h"
#include "runtime/host/serve.h"
#include "runtime/host/setup.h"

enum { OUTPUT_MAX = 1 << 16, INPUT_MAX = 4096 };

static void put_setup(struct fl_buf *out)
{
    struct fl_buf members = FL_BUF_INIT, text = FL_BUF_INIT;
    struct fl_err err;
    const struct fl_host_config config = {
        .name = "fuzz",
        .plugin_path = FL_BUILD_DIR "/test-plugins/small.so",
        .limits = { .memory_bytes = 1 << 28,
                    .cpu_s = 600,
                    .descriptors = 64,
                    .processes = 16,
                    .output_bytes = OUTPUT_MAX },
    };
    FL_ASSERT(fl_setup_put(&members, &config, &err) == FL_OK);
    fl_setup_finish(&text, fl_buf_view(&members), FL_SETUP_WORK);
    size_t at = fl_frame_begin(out, FL_FRAME_SETUP, 0);
    fl_frame_str(out, fl_buf_view(&text));
    fl_frame_end(out, at);
    fl_buf_fini(&members);
    fl_buf_fini(&text);
}

/* {type, job, kind or length, length} and that many bytes: a frame whose strings are cut out of
 * them. */
static void put_records(struct fl_buf *out, const uint8_t *p, size_t n)
{
    static const char *const tools[] = { "write", "writ", "", "write\0" };
    while (n >= 4) {
        uint32_t type = p[0] % 6, kind = p[2] & 3;
        size_t bytes = p[3] < n - 4 ? p[3] : n - 4;
        size_t at = fl_frame_begin(out, (enum fl_frame_type)type, p[1]);
        if (type == FL_FRAME_START) {
            fl_frame_u32(out, kind);
            fl_frame_str(out, fl_str_of(tools[p[2] >> 2 & 3]));
            fl_frame_str(out, p[2] & 16 ? FL_STR("version 1") : (struct fl_str){ 0 });
            fl_frame_str(out, (struct fl_str){ (const char *)p + 4, bytes });
        } else if (type > FL_FRAME_CLOSE || p[2] & 32) {
            fl_buf_put(out, p + 4, bytes);
        }
        fl_frame_end(out, at);
        p += 4 + bytes;
        n -= 4 + bytes;
    }
}

/* Cuts a frame that is not whole off the end, behind which the thread would wait for the rest. */
static void end_frames(struct fl_buf *out)
{
    size_t at = 0;
    while (out->n - at >= FL_FRAME_HEAD) {
        struct fl_frame frame = fl_frame_read_head(out->p + at);
        if (frame.n > fl_frame_max_to_plugin(frame.type))
            return; /* it ends there */
        if (frame.n > out->n - at - FL_FRAME_HEAD)
            break;
        at += FL_FRAME_HEAD + frame.n;
    }
    fl_buf_cut(out, at);
    fl_frame_end(out, fl_frame_begin(out, FL_FRAME_CLOSE, 0));
}

static void check_answers(struct fl_str all)
{
    size_t at = 0;
    bool is_first = true;
    while (all.n - at >= FL_FRAME_HEAD) {
        struct fl_frame frame = fl_frame_read_head(all.p + at);
        FL_ASSERT(frame.n <= fl_frame_max_from_plugin(frame.type, OUTPUT_MAX));
        FL_ASSERT(frame.n <= all.n - at - FL_FRAME_HEAD);
        FL_ASSERT(!is_first || frame.type == FL_FRAME_READY);
        is_first = false;
        if (frame.type == FL_FRAME_RESULT) {
            struct fl_host_result r;
            char *memory = NULL;
            bool wants_replacement;
            struct fl_str payload = { all.p + at + FL_FRAME_HEAD, frame.n };
            FL_ASSERT(fl_reply_read(payload, FL_HOST_START, OUTPUT_MAX, &r, &memory,
                                    &wants_replacement) != FL_REPLY_GARBAGE);
            fl_free(memory);
        }
        at += FL_FRAME_HEAD + frame.n;
    }
    FL_ASSERT(at == all.n && !is_first);
}

static void on_arrived(void *ctx)
{
    FL_UNUSED(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fl_loop loop;
    static bool has_loop;
    struct fl_err err;
    struct fl_buf out = FL_BUF_INIT, in = FL_BUF_INIT;
    bool is_over = false;
    if (n == 0 || n > INPUT_MAX)
        return 0;
    if (!has_loop) {
        FL_ASSERT(fl_loop_init(&loop, &err) == FL_OK);
        uv_ref((uv_handle_t *)&loop.async); /* else a turn with nothing else to do does nothing */
    }
    has_loop = true;
    struct fl_pipe *pipe = fl_pipe_new(&loop, on_arrived, NULL);
    put_setup(&out);
    if (data[0] & 1)
        fl_buf_put(&out, data + 1, n - 1);
    else
        put_records(&out, data + 1, n - 1);
    if (!(data[0] & 2))
        end_frames(&out);
    FL_ASSERT(pipe && !out.is_failed && fl_pipe_send(pipe, &out));
    if (data[0] & 2)
        fl_pipe_shut(pipe);
    fl_serve_thread(pipe); /* takes one of the two references */
    FL_ASSERT(fl_pipe_receive(pipe, &in, &is_over) && is_over);
    if (data[0] & 2)
        FL_ASSERT(in.n == 0);
    else
        check_answers(fl_buf_view(&in));
    fl_pipe_leave(&pipe);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    fl_buf_fini(&out);
    fl_buf_fini(&in);
    return 0;
}
