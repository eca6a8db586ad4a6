/* The plugin's side: a whole life of it, with a real plugin, behind a setup of ours and frames of
 * the fuzzer's. It must end, and say nothing that the worker would not take. A byte in front says
 * whether the rest is frames as they are, or records {type, job, length} out of which frames are
 * made. */
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "fuzz.h"
#include "runtime/host/reply.h"
#include "runtime/host/serve.h"
#include "runtime/host/setup.h"

enum { OUTPUT_MAX = 1 << 16, INPUT_MAX = 4096, SOCKET_BYTES = 1 << 20 };

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

static void check_answers(int fd)
{
    struct fl_buf all = FL_BUF_INIT;
    char some[4096];
    ssize_t got;
    size_t at = 0;
    bool is_first = true;
    while ((got = recv(fd, some, sizeof some, MSG_DONTWAIT)) > 0)
        fl_buf_put(&all, some, (size_t)got);
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
    fl_buf_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int pair[2], room = SOCKET_BYTES;
    struct fl_buf out = FL_BUF_INIT;
    if (n == 0 || n > INPUT_MAX)
        return 0;
    FL_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    for (int i = 0; i < 2; i++)
        FL_ASSERT(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    put_setup(&out);
    if (data[0] & 1)
        fl_buf_put(&out, data + 1, n - 1);
    else
        put_records(&out, data + 1, n - 1);
    FL_ASSERT(!out.is_failed && send(pair[0], out.p, out.n, MSG_DONTWAIT) == (ssize_t)out.n);
    shutdown(pair[0], SHUT_WR);
    fl_serve_run(pair[1], false);
    check_answers(pair[0]);
    close(pair[0]);
    fl_buf_fini(&out);
    return 0;
}
