/* The ground: buffers, arenas, encodings, times, the timer wheel. */
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/bucket.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/clock.h"
#include "flopinio/base/flow.h"
#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "flopinio/base/wheel.h"
#include "harness.h"

static void test_buf_grows_and_keeps_a_sticky_error(void)
{
    struct fl_buf b;
    fl_buf_init(&b, 100);
    for (int i = 0; i < 10; i++)
        fl_buf_printf(&b, "%d,", i);
    CHECK_SPAN(fl_buf_view(&b), "0,1,2,3,4,5,6,7,8,9,");
    fl_buf_drop(&b, 2);
    CHECK_STR(b.p, "1,2,3,4,5,6,7,8,9,");
    for (int i = 0; i < 100; i++)
        fl_buf_putc(&b, 'x');
    struct fl_err err;
    CHECK_INT(fl_buf_code(&b, &err), FL_TOO_LARGE);
    CHECK_STR(err.text, "larger than 100 bytes");
    fl_buf_reset(&b);
    fl_buf_i64(&b, INT64_MIN);
    CHECK_STR(b.p, "-9223372036854775808");
    fl_buf_fini(&b);
    fl_buf_init(&b, 0);
    fl_mem_fail_at(1, 0);
    fl_buf_puts(&b, "x");
    fl_mem_fail_at(0, 0);
    CHECK_INT(fl_buf_code(&b, &err), FL_NOMEM);
}

static void test_json_strings_are_escaped_as_in_rfc_8785(void)
{
    struct fl_buf b = FL_BUF_INIT;
    fl_buf_json_str(&b, (struct fl_str){ "a\"\\\b\f\n\r\t\x01\x1f/\x7f\xc3\xa9", 14 });
    CHECK_STR(b.p, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\x7f\xc3\xa9\"");
    fl_buf_fini(&b);
}

static void test_buf_cut_undoes_an_append_that_failed(void)
{
    struct fl_buf b;
    fl_buf_init(&b, 10);
    fl_buf_puts(&b, "12345");
    fl_buf_puts(&b, "67");
    size_t at = b.n;
    fl_buf_puts(&b, "89abcdef");
    CHECK(b.is_failed);
    fl_buf_cut(&b, at);
    CHECK(!b.is_failed && !b.is_over);
    CHECK_SPAN(fl_buf_view(&b), "1234567");
    fl_buf_cut(&b, 0);
    CHECK_STR(b.p, "");
    fl_buf_fini(&b);
}

static void test_buf_is_full_at_its_last_byte(void)
{
    for (size_t max = 1; max < 300; max++) { /* below, at and above what memory comes in */
        struct fl_buf b;
        fl_buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            fl_buf_putc(&b, 'x');
        CHECK(!b.is_failed && b.n == max);
        fl_buf_putc(&b, 'x');
        CHECK(b.is_over);
        fl_buf_fini(&b);
    }
}

static void test_a_bucket_holds_its_burst_and_its_rate(void)
{
    struct fl_bucket b = fl_bucket_of(10, 5);
    int64_t now = 123456;
    int taken = 0;
    for (int i = 0; i < 100; i++)
        taken += fl_bucket_take(&b, now);
    CHECK_INT(taken, 5);
    CHECK(!fl_bucket_take(&b, now + 99));
    CHECK(fl_bucket_take(&b, now + 100));
    CHECK(!fl_bucket_take(&b, now + 100));
    for (int ms = 0; ms < 10000; ms++) /* ten seconds, asked each millisecond */
        taken += fl_bucket_take(&b, now + 100 + ms);
    CHECK_MSG(taken >= 5 + 99 && taken <= 5 + 101, "%d", taken);
    taken = 0;
    for (int i = 0; i < 100; i++) /* a long rest fills it, and no more */
        taken += fl_bucket_take(&b, now + 1000000000000);
    CHECK_INT(taken, 5);
}

static void test_arena_gives_zeroed_aligned_memory(void)
{
    struct fl_arena *a = fl_arena_new(0);
    for (size_t i = 0; i < 2000; i++) {
        char *p = fl_arena_alloc(a, i);
        CHECK(p && (size_t)p % _Alignof(max_align_t) == 0);
        for (size_t k = 0; k < i; k++)
            CHECK(p[k] == 0);
        memset(p, 0xff, i);
    }
    CHECK_STR(fl_arena_printf(a, "%s-%d", "x", 7), "x-7");
    CHECK(!fl_arena_array(a, SIZE_MAX / 2, 3));
    fl_arena_free(&a);
    CHECK(!a);
    fl_arena_free(&a);
}

static void test_an_arena_that_was_kept_begins_empty(void)
{
    fl_arena_keep(64 * 1024);
    for (int round = 0; round < 3; round++) {
        struct fl_arena *a = fl_arena_new(3000), *b = fl_arena_new(100000), *c = fl_arena_new(0);
        CHECK(a && b && c && fl_arena_used(a) == 0 && fl_arena_used(b) == 0);
        for (size_t i = 1; i < 200; i++) {
            char *p = fl_arena_alloc(a, i);
            CHECK(p);
            for (size_t k = 0; k < i; k++)
                CHECK(p[k] == 0);
            memset(p, 0xff, i);
            memset(fl_arena_raw(b, 10 * i), 0xff, 10 * i);
        }
        CHECK_SPAN(fl_arena_str(c, FL_STR("text")), "text");
        fl_arena_free(&a);
        fl_arena_free(&b);
        fl_arena_free(&c);
    }
    fl_arena_keep(0); /* the leak check sees what would be left */
}

static void test_encodings_round_trip_and_refuse_junk(void)
{
    static const char *const b64[] = { "",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    static const char *const b32[] = { "",        "MY",       "MZXQ",      "MZXW6",
                                       "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI" };
    for (size_t n = 0; n <= 6; n++) { /* RFC 4648 section 10 */
        struct fl_buf b = FL_BUF_INIT;
        fl_b64(&b, "foobar", n);
        CHECK_SPAN(fl_buf_view(&b), b64[n]);
        fl_buf_reset(&b);
        CHECK(fl_b64_decode(&b, fl_str_of(b64[n])));
        CHECK(b.n == n && memcmp(b.p ? b.p : "", "foobar", n) == 0);
        fl_buf_reset(&b);
        fl_b32(&b, "foobar", n);
        CHECK_SPAN(fl_buf_view(&b), b32[n]);
        fl_buf_reset(&b);
        CHECK(fl_b32_decode(&b, fl_str_of(b32[n])));
        CHECK(b.n == n);
        fl_buf_fini(&b);
    }
    static const char *const bad[] = { "Zg=",  "Zg",   "Z",      "Zh==", "Zg==Zg==",
                                       "Z===", "====", "Zm9v\n", "Zm9_", "Zm 9" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        struct fl_buf b = FL_BUF_INIT;
        CHECK_MSG(!fl_b64_decode(&b, fl_str_of(bad[i])), "%s was accepted", bad[i]);
        fl_buf_fini(&b);
    }
    struct fl_buf b = FL_BUF_INIT;
    CHECK(fl_b64url_decode(&b, FL_STR("-_8")));
    CHECK(!fl_b64url_decode(&b, FL_STR("-_8=")));
    fl_buf_fini(&b);
    uint8_t raw[2];
    CHECK(fl_unhex(FL_STR("aB01"), raw, 2) && raw[0] == 0xab && raw[1] == 1);
    CHECK(!fl_unhex(FL_STR("aB0"), raw, 2) && !fl_unhex(FL_STR("aB0g"), raw, 2));
}

static void test_uuids_are_version_7_and_ordered(void)
{
    char text[FL_UUID_TEXT];
    struct fl_uuid id = fl_uuid_new(), back;
    fl_uuid_format(&id, text);
    CHECK(text[14] == '7' && strchr("89ab", text[19]));
    CHECK(fl_uuid_parse(fl_str_of(text), &back) && fl_uuid_cmp(&id, &back) == 0);
    CHECK(!fl_uuid_parse(FL_STR("0190-"), &back));
    text[8] = '_';
    CHECK(!fl_uuid_parse(fl_str_of(text), &back));
    fl_clock_skew_set((struct fl_clock_skew){ .real_ms = 10000 });
    struct fl_uuid later = fl_uuid_new();
    CHECK(fl_uuid_cmp(&id, &later) < 0);
    id = fl_uuid_at(0x0123456789ab);
    CHECK_SPAN(((struct fl_str){ fl_uuid_format(&id, text), 15 }), "01234567-89ab-7");
}

/* Were the block of random bytes shared, two processes would give out the same ids. */
static void test_a_forked_child_makes_ids_of_its_own(void)
{
    int ends[2];
    struct fl_uuid ours, theirs;
    (void)fl_uuid_new(); /* the block is filled now */
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        theirs = fl_uuid_new();
        _exit(write(ends[1], &theirs, sizeof theirs) == sizeof theirs ? 0 : 1);
    }
    ours = fl_uuid_new();
    CHECK(read(ends[0], &theirs, sizeof theirs) == sizeof theirs);
    CHECK(memcmp(ours.b + 9, theirs.b + 9, 7) != 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(ends[0]);
    close(ends[1]);
}

static int by_id(const void *a, const void *b)
{
    return fl_uuid_cmp(a, b);
}

static void test_ten_thousand_ids_differ(void)
{
    enum { N = 10000 };
    static struct fl_uuid ids[N];
    for (int i = 0; i < N; i++)
        ids[i] = fl_uuid_new();
    qsort(ids, N, sizeof ids[0], by_id);
    for (int i = 1; i < N; i++)
        CHECK(fl_uuid_cmp(&ids[i - 1], &ids[i]) != 0);
}

static void test_times_are_written_as_strftime_does(void)
{
    char out[FL_TIME_BYTES], want[64];
    for (int64_t s = -62135596800; s < 253402300800; s += 86400 * 37 + 12347) {
        time_t at = (time_t)s;
        struct tm tm;
        CHECK(gmtime_r(&at, &tm));
        size_t n = strftime(want, sizeof want, "-%m-%dT%H:%M:%S.007Z", &tm);
        CHECK(n > 0);
        fl_time_format(s * 1000 + 7, out);
        CHECK_MSG(atoi(out) == tm.tm_year + 1900 && strcmp(out + 4, want) == 0, "%s and %d%s", out,
                  tm.tm_year + 1900, want);
    }
    CHECK_STR(fl_time_format(253402300800000, out), "never");
    CHECK_STR(fl_time_format(INT64_MIN, out), "never");
}

static void test_times_and_durations(void)
{
    char out[FL_TIME_BYTES];
    int64_t ms;
    CHECK_STR(fl_time_format(0, out), "1970-01-01T00:00:00.000Z");
    CHECK_STR(fl_time_format(-1, out), "1969-12-31T23:59:59.999Z");
    CHECK(fl_time_parse(FL_STR("2026-11-23T16:30:00.1239+01:30"), &ms));
    CHECK_STR(fl_time_format(ms, out), "2026-11-23T15:00:00.123Z");
    CHECK_STR(fl_time_format_s(ms, out), "2026-11-23T15:00:00Z");
    static const char *const bad[] = { "",
                                       "2026-11-23",
                                       "2026-02-29T00:00:00Z",
                                       "2026-11-23T24:00:00Z",
                                       "2026-11-23T16:30:00",
                                       "2026-11-23T16:30:00.Z",
                                       "2026-11-23T16:30:00Zx",
                                       "2026-13-01T00:00:00Z" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK_MSG(!fl_time_parse(fl_str_of(bad[i]), &ms), "%s was accepted", bad[i]);
    CHECK(fl_duration_parse(FL_STR("4h"), &ms) && ms == 14400000);
    CHECK(fl_duration_parse(FL_STR("90"), &ms) && ms == 90000);
    CHECK(fl_duration_parse(FL_STR("250ms"), &ms) && ms == 250);
    CHECK(!fl_duration_parse(FL_STR("4 h"), &ms) && !fl_duration_parse(FL_STR("-1s"), &ms) &&
          !fl_duration_parse(FL_STR("h"), &ms) &&
          !fl_duration_parse(FL_STR("9999999999999999d"), &ms));
    CHECK_STR(fl_duration_format(14400000, out), "4h");
    CHECK_STR(fl_duration_format(90000, out), "90s");
    CHECK_STR(fl_duration_format(0, out), "0s");
    CHECK_STR(fl_duration_format(1, out), "1ms");
}

static void test_a_formatted_text_is_valid_utf8(void)
{
    char out[8];
    struct fl_err err;
    fl_utf8_format(out, sizeof out, "%.2s|%s", "\xe2\x82\xac", "ab"); /* a precision cuts bytes */
    CHECK_STR(out, "??|ab");
    fl_utf8_format(out, sizeof out, "%s", "abcde\xe2\x82\xac"); /* so does the room */
    CHECK_STR(out, "abcde");
    fl_utf8_format(out, sizeof out, "%s", "abcd\xe2\x82\xac");
    CHECK_STR(out, "abcd\xe2\x82\xac");
    fl_utf8_format(out, sizeof out, "%s", "\xff\xc3z");
    CHECK_STR(out, "??z");
    fl_err_set(&err, FL_DENIED, "no: %.4s", "\xe2\x82\xac\xe2\x82\xac");
    CHECK_STR(err.text, "no: \xe2\x82\xac?");
}

static void test_utf8_refuses_what_rfc_3629_refuses(void)
{
    static const char *const bad[] = { "\x80",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x80\x80",
                                       "\xed\xa0\x80",
                                       "\xf0\x80\x80\x80",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xe2\x82",
                                       "a\xff" };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++)
        CHECK(!fl_utf8_is_valid(fl_str_of(bad[i])));
    char text[100];
    for (size_t n = 1; n < sizeof text; n++) { /* in a text of any length, at any place */
        memset(text, 'a', n);
        CHECK(fl_utf8_is_valid((struct fl_str){ text, n }));
        for (size_t at = 0; at < n; at++) {
            text[at] = '\xff';
            CHECK(!fl_utf8_is_valid((struct fl_str){ text, n }));
            text[at] = 'a';
        }
    }
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        struct fl_buf b = FL_BUF_INIT;
        size_t pos = 0;
        fl_utf8_put(&b, cp);
        CHECK(fl_utf8_next(fl_buf_view(&b), &pos) == (int32_t)cp && pos == b.n);
        fl_buf_fini(&b);
    }
    CHECK_INT(fl_utf8_cut(FL_STR("a\xe2\x82\xac"), 3), 1);
    CHECK_INT(fl_utf8_cut(FL_STR("a\xe2\x82\xac"), 4), 4);
    CHECK_INT(fl_utf8_count(FL_STR("a\xe2\x82\xac")), 2);
}

static void test_numbers_are_read_strictly(void)
{
    unsigned long long u;
    long long i;
    CHECK(fl_str_is_word(FL_STR("aZ09_-"), "_-") && !fl_str_is_word(FL_STR("a_"), ""));
    CHECK(!fl_str_is_word(FL_STR(""), "_") && !fl_str_is_word((struct fl_str){ "a\0b", 3 }, "_"));
    CHECK(!fl_str_is_word(FL_STR("\xc3\xa4"), "_") && !fl_str_is_word(FL_STR("a b"), "_"));
    CHECK(fl_str_to_u64(FL_STR("18446744073709551615"), &u) && u == UINT64_MAX);
    CHECK(!fl_str_to_u64(FL_STR("18446744073709551616"), &u));
    CHECK(!fl_str_to_u64(FL_STR("+1"), &u) && !fl_str_to_u64(FL_STR(""), &u));
    CHECK(fl_str_to_i64(FL_STR("-9223372036854775808"), &i) && i == INT64_MIN);
    CHECK(!fl_str_to_i64(FL_STR("9223372036854775808"), &i));
    CHECK_INT(fl_str_distance(FL_STR("listen"), FL_STR("lisen")), 1);
    CHECK_INT(fl_str_distance(FL_STR(""), FL_STR("abc")), 3);
}

struct counted {
    struct fl_timer timer;
    struct fl_wheel *wheel;
    int64_t fired_at;
    int fires;
};

static void on_fire(struct fl_timer *t)
{
    struct counted *c = FL_CONTAINER(t, struct counted, timer);
    c->fired_at = c->wheel->now_ms;
    c->fires++;
}

static void test_wheel_fires_each_timer_once_and_never_early(void)
{
    enum { N = 20000 };
    static struct fl_wheel w;
    static struct counted c[N];
    int64_t start = 1234567890123, now = start;
    fl_random_seed(42);
    fl_wheel_init(&w, start);
    CHECK(fl_wheel_next_ms(&w) == -1);
    for (int i = 0; i < N; i++) {
        uint32_t r;
        fl_random(&r, sizeof r);
        fl_timer_init(&c[i].timer, on_fire);
        c[i].wheel = &w;
        fl_timer_set(&w, &c[i].timer, start + (int64_t)(r >> (r & 15)) % 100000000);
    }
    for (int i = 0; i < N; i += 3) /* move a third of them */
        fl_timer_set(&w, &c[i].timer, c[i].timer.at_ms + 777);
    for (int i = 1; i < N; i += 10)
        fl_timer_cancel(&w, &c[i].timer);
    while (w.count) {
        int64_t next = fl_wheel_next_ms(&w);
        CHECK(next > now || now == start);
        now = next;
        fl_wheel_advance(&w, now);
    }
    for (int i = 0; i < N; i++) {
        CHECK_INT(c[i].fires, i % 10 == 1 && i % 3 != 0 ? 0 : i % 10 == 1 ? 0 : 1);
        if (c[i].fires)
            CHECK_MSG(c[i].fired_at == c[i].timer.at_ms ||
                          (c[i].timer.at_ms <= start && c[i].fired_at == start + 1),
                      "due %lld fired %lld", (long long)c[i].timer.at_ms, (long long)c[i].fired_at);
    }
}

static void test_wheel_survives_a_long_sleep(void)
{
    static struct fl_wheel w;
    static struct counted c[3];
    fl_wheel_init(&w, 0);
    for (int i = 0; i < 3; i++) {
        fl_timer_init(&c[i].timer, on_fire);
        c[i].wheel = &w;
    }
    fl_timer_set(&w, &c[0].timer, 10);
    fl_timer_set(&w, &c[1].timer, 5000000);
    fl_timer_set(&w, &c[2].timer, 50LL * 365 * 86400000);
    fl_wheel_advance(&w, 6000000);
    CHECK_INT(c[0].fires, 1);
    CHECK_INT(c[1].fires, 1);
    CHECK_INT(c[2].fires, 0);
    fl_wheel_advance(&w, 60LL * 365 * 86400000);
    CHECK_INT(c[2].fires, 1);
}

/* ---- the step driver ---- */
struct walk {
    struct fl_flow flow;
    char trace[64];
    bool is_ended;
};
static fl_next note(struct fl_flow *f, const char *s, fl_next next)
{
    strcat(FL_CONTAINER(f, struct walk, flow)->trace, s);
    return next;
}
FL_STEP(respond)
{
    note(f, "r", NULL);
    return fl_end(f);
}
FL_STEP(after)
{
    if (f->op.code)
        return fl_fail(f);
    return note(f, "2", &S_respond);
}
FL_STEP(before)
{
    note(f, "1", NULL);
    fl_op_start(&f->op, NULL, NULL);
    return fl_await(f, &S_after, FL_OK);
}
static void on_ended(struct fl_flow *f)
{
    FL_CONTAINER(f, struct walk, flow)->is_ended = true;
}
static void test_flow_parks_resumes_and_fails_through_one_door(void)
{
    struct walk w = { 0 };
    fl_flow_init(&w.flow, &S_respond, on_ended);
    fl_flow_run(&w.flow, &S_before);
    CHECK_STR(w.trace, "1");
    fl_op_finish(&w.flow.op, FL_OK);
    CHECK_STR(w.trace, "12r");
    CHECK(w.is_ended);
    struct walk v = { 0 };
    fl_flow_init(&v.flow, &S_respond, on_ended);
    fl_flow_run(&v.flow, &S_before);
    fl_err_set(&v.flow.op.err, FL_TIMEOUT, "too late");
    fl_op_finish(&v.flow.op, FL_TIMEOUT);
    CHECK_STR(v.trace, "1r");
    CHECK_INT(v.flow.first.code, FL_TIMEOUT);
    CHECK_STR(v.flow.first.text, "too late");
}

static const struct fl_test tests[] = {
    T(buf_grows_and_keeps_a_sticky_error),
    T(json_strings_are_escaped_as_in_rfc_8785),
    T(buf_cut_undoes_an_append_that_failed),
    T(buf_is_full_at_its_last_byte),
    T(a_bucket_holds_its_burst_and_its_rate),
    T(arena_gives_zeroed_aligned_memory),
    T(an_arena_that_was_kept_begins_empty),
    T(encodings_round_trip_and_refuse_junk),
    T(uuids_are_version_7_and_ordered),
    T(a_forked_child_makes_ids_of_its_own),
    T(ten_thousand_ids_differ),
    T(times_are_written_as_strftime_does),
    T(times_and_durations),
    T(a_formatted_text_is_valid_utf8),
    T(utf8_refuses_what_rfc_3629_refuses),
    T(numbers_are_read_strictly),
    T(wheel_fires_each_timer_once_and_never_early),
    T(wheel_survives_a_long_sleep),
    T(flow_parks_resumes_and_fails_through_one_door),
};
TEST_MAIN(tests)
