/* Server-sent events, and resuming legacy streams. */
#include "flopinio/base/mem.h"
#include "harness.h"
#include "mcp/sse.h"

static void test_events_are_encoded(void)
{
    static const struct {
        const char *id, *data, *want;
    } rows[] = {
        { "", "{}", "data: {}\n\n" },
        { "s_1", "{\"a\":\"\\n\"}", "id: s_1\ndata: {\"a\":\"\\n\"}\n\n" },
        { "", "", "data: \n\n" },
        { "", "a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n" },
        { "", "a\n", "data: a\ndata: \n\n" },
        { "", "a\r\n\r\n", "data: a\ndata: \ndata: \n\n" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_buf out = FL_BUF_INIT;
        fl_sse_put(&out, fl_str_of(rows[i].id), fl_str_of(rows[i].data));
        CHECK_STR(out.p, rows[i].want);
        fl_buf_fini(&out);
    }
    struct fl_buf out = FL_BUF_INIT;
    fl_sse_put_comment(&out);
    fl_sse_put_priming(&out, FL_STR("s_0"), 500);
    CHECK_STR(out.p, ":\n\nid: s_0\nretry: 500\ndata: \n\n");
    fl_buf_fini(&out);
}

static void test_event_ids_round_trip(void)
{
    struct fl_sse_stream stream;
    struct fl_str name;
    uint64_t seq;
    char id[FL_SSE_ID_BYTES];
    fl_sse_stream_init(&stream, FL_STR("01934f2a-Stream"));
    CHECK_STR(fl_sse_id_format(&stream, UINT64_MAX, id), "01934f2a-Stream_18446744073709551615");
    CHECK(fl_sse_id_parse(fl_str_of(id), &name, &seq));
    CHECK_SPAN(name, "01934f2a-Stream");
    CHECK(seq == UINT64_MAX);
    static const char *const bad[] = {
        "",      "_",    "s_",   "_1",    "s",    "s_x",    "s_-1",
        "s_1_2", "s_01", "s_+1", "a b_1", "s_1 ", "\xff_1", "s_184467440737095516160"
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_MSG(!fl_sse_id_parse(fl_str_of(bad[i]), &name, &seq), "%s", bad[i]);
    fl_sse_stream_fini(&stream);
}

static void send_number(struct fl_sse_stream *stream, unsigned i, struct fl_buf *out)
{
    char data[32];
    struct fl_err err;
    snprintf(data, sizeof data, "{\"n\":%u}", i);
    CHECK_OK(fl_sse_send(stream, fl_str_of(data), out, &err));
}

static void test_a_stream_resumes_where_it_broke(void)
{
    struct fl_sse_stream stream;
    struct fl_buf live = FL_BUF_INIT, again = FL_BUF_INIT;
    struct fl_err err;
    fl_sse_stream_init(&stream, FL_STR("s"));
    CHECK_OK(fl_sse_prime(&stream, 500, &live, &err));
    send_number(&stream, 1, &live);
    CHECK_STR(live.p, "id: s_0\nretry: 500\ndata: \n\nid: s_1\ndata: {\"n\":1}\n\n");
    send_number(&stream, 2, NULL); /* nobody is connected */
    send_number(&stream, 3, NULL);
    CHECK_OK(fl_sse_replay(&stream, 1, &again, &err));
    CHECK_STR(again.p, "id: s_2\ndata: {\"n\":2}\n\nid: s_3\ndata: {\"n\":3}\n\n");
    fl_buf_reset(&again);
    CHECK_OK(fl_sse_replay(&stream, 3, &again, &err));
    CHECK_INT(again.n, 0);
    CHECK_INT(fl_sse_replay(&stream, 4, &again, &err), FL_NOT_FOUND);
    CHECK_STR(err.text, "unknown event id, or too old to resume from");
    CHECK_INT(fl_sse_replay(&stream, UINT64_MAX, &again, &err), FL_NOT_FOUND);
    CHECK_OK(fl_sse_replay(&stream, 0, &again, &err));
    CHECK(strncmp(again.p, "id: s_1\n", 8) == 0);
    fl_buf_fini(&live);
    fl_buf_fini(&again);
    fl_sse_stream_fini(&stream);
}

static void test_nothing_was_sent_on_a_new_stream(void)
{
    struct fl_sse_stream stream;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    fl_sse_stream_init(&stream, FL_STR("s"));
    CHECK_INT(fl_sse_replay(&stream, 0, &out, &err), FL_NOT_FOUND);
    fl_sse_stream_fini(&stream);
    fl_buf_fini(&out);
}

static void test_the_memory_is_bounded_by_events(void)
{
    enum { SENT = 1000 };
    struct fl_sse_stream stream;
    struct fl_err err;
    fl_sse_stream_init(&stream, FL_STR("s"));
    for (unsigned i = 0; i < SENT; i++) {
        send_number(&stream, i, NULL);
        CHECK(stream.kept <= FL_SSE_KEEP_EVENTS && stream.cap <= FL_SSE_KEEP_EVENTS);
        /* Whatever is still there resumes without a gap, whatever is not does not at all. */
        for (unsigned back = 0; back <= 300 && back <= i; back += 37) {
            struct fl_buf out = FL_BUF_INIT;
            enum fl_code code = fl_sse_replay(&stream, i - back, &out, &err);
            CHECK_INT(code, back <= FL_SSE_KEEP_EVENTS ? FL_OK : FL_NOT_FOUND);
            size_t events = 0;
            char want[40];
            for (const char *p = out.p; p && (p = strstr(p, "data: ")); p++, events++) {
                snprintf(want, sizeof want, "data: {\"n\":%u}\n\n",
                         i - back + 1 + (unsigned)events);
                CHECK(strncmp(p, want, strlen(want)) == 0);
            }
            CHECK_INT(events, code == FL_OK ? back : 0);
            fl_buf_fini(&out);
        }
    }
    CHECK_INT(stream.kept, FL_SSE_KEEP_EVENTS);
    CHECK_INT(stream.next_seq, SENT);
    fl_sse_stream_fini(&stream);
    CHECK_INT(stream.bytes, 0);
}

static void test_the_memory_is_bounded_by_bytes(void)
{
    struct fl_sse_stream stream;
    struct fl_buf big = FL_BUF_INIT, out = FL_BUF_INIT;
    struct fl_err err;
    for (size_t i = 0; i <= FL_SSE_KEEP_BYTES; i++)
        fl_buf_putc(&big, 'x');
    struct fl_str third = { big.p, FL_SSE_KEEP_BYTES / 3 };
    fl_sse_stream_init(&stream, FL_STR("s"));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fl_sse_send(&stream, third, NULL, &err));
        CHECK(stream.bytes <= FL_SSE_KEEP_BYTES);
    }
    CHECK_INT(stream.kept, 3);
    CHECK_OK(fl_sse_replay(&stream, 1, &out, &err));
    CHECK_INT(fl_sse_replay(&stream, 0, &out, &err), FL_NOT_FOUND);
    /* Too large to keep: it goes out, and who missed it cannot resume. */
    fl_buf_reset(&out);
    CHECK_OK(fl_sse_send(&stream, fl_buf_view(&big), &out, &err));
    CHECK(out.n > FL_SSE_KEEP_BYTES);
    CHECK_INT(stream.kept, 0);
    send_number(&stream, 6, NULL);
    fl_buf_reset(&out);
    CHECK_INT(fl_sse_replay(&stream, 4, &out, &err), FL_NOT_FOUND);
    CHECK_OK(fl_sse_replay(&stream, 5, &out, &err));
    CHECK_STR(out.p, "id: s_6\ndata: {\"n\":6}\n\n");
    fl_buf_fini(&big);
    fl_buf_fini(&out);
    fl_sse_stream_fini(&stream);
}

static void test_every_allocation_may_fail(void)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fl_sse_stream stream;
        struct fl_buf out = FL_BUF_INIT;
        struct fl_err err;
        uint64_t done = 0;
        fl_sse_stream_init(&stream, FL_STR("s"));
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_sse_prime(&stream, 1, &out, &err);
        for (; code == FL_OK && done < 20; done++) {
            code = fl_sse_send(&stream, FL_STR("{}"), &out, &err);
            CHECK_INT(stream.next_seq, done + 1 + (code == FL_OK));
            CHECK_INT(stream.kept, stream.next_seq);
        }
        fl_mem_fail_at(0, 0);
        fl_sse_stream_fini(&stream);
        fl_buf_fini(&out);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        failures++;
    }
    CHECK(failures >= 20);
}

static const struct fl_test tests[] = {
    T(events_are_encoded),
    T(event_ids_round_trip),
    T(a_stream_resumes_where_it_broke),
    T(nothing_was_sent_on_a_new_stream),
    T(the_memory_is_bounded_by_events),
    T(the_memory_is_bounded_by_bytes),
    T(every_allocation_may_fail),
};
TEST_MAIN(tests)
