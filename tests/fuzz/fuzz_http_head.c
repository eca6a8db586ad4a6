/* The request head: one verdict however the bytes are cut, and places that lie inside the head. */
#include "fuzz.h"
#include "runtime/io/http_head.h"

static void check_place(const struct fl_http_head *head, struct fl_http_place place)
{
    FL_ASSERT((size_t)place.at + place.n <= head->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct fl_http_head whole, cut;
    struct fl_str text = fuzz_copy(data, n);
    enum fl_http_verdict at_once, last = FL_HTTP_MORE;
    fl_http_head_init(&whole, 8192, 64, 2048);
    fl_http_head_init(&cut, 8192, 64, 2048);
    at_once = fl_http_head_read(&whole, text.p, n);
    for (size_t i = 1; i <= n && last == FL_HTTP_MORE; i++) {
        char *piece = malloc(i); /* it may move between two reads */
        FL_ASSERT(piece);
        memcpy(piece, text.p, i);
        last = fl_http_head_read(&cut, piece, i);
        free(piece);
    }
    FL_ASSERT(at_once == last);
    if (at_once == FL_HTTP_BAD)
        FL_ASSERT(whole.status == cut.status && whole.status >= 400 && whole.error);
    if (at_once == FL_HTTP_DONE) {
        FL_ASSERT(whole.bytes == cut.bytes && whole.bytes <= n);
        FL_ASSERT(whole.body == cut.body && whole.content_length == cut.content_length);
        FL_ASSERT(whole.field_count == cut.field_count);
        check_place(&whole, whole.path);
        check_place(&whole, whole.query);
        check_place(&whole, whole.host);
        for (size_t i = 0; i < whole.field_count; i++) {
            check_place(&whole, whole.field[i].name);
            check_place(&whole, whole.field[i].value);
        }
    }
    free((char *)text.p);
    return 0;
}
