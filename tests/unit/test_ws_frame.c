/* WebSocket frames: the guard alone, and headers. */
#include "harness.h"
#include "runtime/io/ws_frame.h"
#include "ws_vectors.h"

static void test_the_guard_stops_each_wrong_frame_however_it_is_cut(void)
{
    size_t refused = 0;
    for (size_t i = 0; i < FL_COUNTOF(vectors); i++) {
        const struct vector *t = &vectors[i];
        size_t passed_whole = 0;
        for (size_t cut = 0; cut <= t->n + 1; cut++) { /* 0: whole; n + 1: byte by byte */
            struct fl_ws_guard guard;
            size_t at = 0, passed = 0;
            uint16_t code = 0;
            fl_ws_guard_init(&guard, MESSAGE_MAX);
            while (at < t->n && !code && !guard.has_closed) {
                size_t to = cut > t->n ? at + 1 : at < cut ? cut : t->n, used = 0;
                uint8_t *piece = malloc(to - at);
                memcpy(piece, t->bytes + at, to - at);
                code = fl_ws_guard_look(&guard, piece, to - at, &used);
                free(piece);
                passed += used;
                at += used;
            }
            CHECK_MSG(code == t->guard, "%s, cut at %zu: %u, not %u", t->name, cut, code, t->guard);
            if (cut == 0)
                passed_whole = passed;
            CHECK_INT(passed, passed_whole);
            CHECK(!code || passed < t->n); /* the byte that breaks the rule does not pass */
        }
        refused += t->guard != 0;
    }
    printf("    %zu vectors, %zu stopped by the guard\n", FL_COUNTOF(vectors), refused);
    CHECK(FL_COUNTOF(vectors) >= 40 && refused >= 35);
}

static void test_headers_are_as_short_as_they_can_be(void)
{
    static const struct {
        uint64_t length;
        size_t n;
        const char *bytes;
    } cases[] = {
        { 0, 2, "\x81\x00" },
        { 125, 2, "\x81\x7d" },
        { 126, 4, "\x81\x7e\x00\x7e" },
        { 65535, 4, "\x81\x7e\xff\xff" },
        { 65536, 10, "\x81\x7f\0\0\0\0\0\x01\0\0" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        uint8_t out[FL_WS_HEADER_MAX];
        CHECK_INT(fl_ws_header(FL_WS_TEXT, cases[i].length, out), cases[i].n);
        CHECK(memcmp(out, cases[i].bytes, cases[i].n) == 0);
    }
}

static const struct fl_test tests[] = {
    T(the_guard_stops_each_wrong_frame_however_it_is_cut),
    T(headers_are_as_short_as_they_can_be),
};

TEST_MAIN(tests)
