/* Bodies with a length and in chunks: the same content, end and verdict however the bytes are cut,
 * and never more content than was allowed or than there are bytes. */
#include "flopinio/base/buf.h"
#include "fuzz.h"
#include "runtime/io/http_body.h"

enum { CONTENT_MAX = 300 };

struct outcome {
    enum fl_http_verdict verdict;
    int status;
    size_t used; /* with the framing, up to the verdict */
    struct fl_buf content;
};

static struct outcome feed(const struct fl_http_head *head, struct fl_str bytes, size_t step)
{
    struct fl_http_body body;
    struct outcome o = { .verdict = fl_http_body_init(&body, head, CONTENT_MAX) };
    while (o.verdict == FL_HTTP_MORE && o.used < bytes.n) {
        size_t some = bytes.n - o.used < step ? bytes.n - o.used : step, used = 0;
        struct fl_str content, piece = fuzz_copy((const uint8_t *)bytes.p + o.used, some);
        o.verdict = fl_http_body_read(&body, piece.p, some, &used, &content);
        FL_ASSERT(used > 0 && used <= some);
        FL_ASSERT(content.n == 0 ||
                  (content.p >= piece.p && content.p + content.n <= piece.p + used));
        fl_buf_str(&o.content, content);
        o.used += used;
        free((char *)piece.p);
    }
    FL_ASSERT(o.content.n <= CONTENT_MAX && o.content.n <= o.used && o.content.n == body.bytes);
    if (o.verdict == FL_HTTP_BAD) {
        FL_ASSERT(body.error && (body.status == 400 || body.status == 413 || body.status == 431));
        o.status = body.status;
    }
    if (o.verdict == FL_HTTP_DONE && head->body == FL_HTTP_BODY_LENGTH)
        FL_ASSERT(o.content.n == head->content_length && o.used == o.content.n);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const size_t steps[] = { 1, 2, 3, 7 };
    static struct fl_http_head head;
    if (n == 0)
        return 0;
    head.body = data[0] == 0 ? FL_HTTP_BODY_LENGTH : FL_HTTP_BODY_CHUNKED;
    head.content_length = n > 1 ? data[1] * 2u : 0;
    struct fl_str bytes = { (const char *)data + 1, n - 1 };
    struct outcome whole = feed(&head, bytes, n);
    for (size_t i = 0; i < FL_COUNTOF(steps); i++) {
        struct outcome cut = feed(&head, bytes, steps[i]);
        FL_ASSERT(cut.verdict == whole.verdict && cut.status == whole.status);
        FL_ASSERT(cut.used == whole.used);
        FL_ASSERT(fl_str_eq(fl_buf_view(&cut.content), fl_buf_view(&whole.content)));
        fl_buf_fini(&cut.content);
    }
    fl_buf_fini(&whole.content);
    return 0;
}
