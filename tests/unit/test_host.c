/* Plugin instances that behave: calls, results, previews, ends of calls. */
#include "host_fixture.h"

static void test_a_call_gives_content_and_structured_content(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "echo", "{\"a\":[1,\"x\"]}");
    CHECK_TEXT(&t, "{\\\"a\\\":[1,\\\"x\\\"]}");
    CHECK_INT(t.call.result.outcome, FLOPINIO_OK);
    CHECK_SPAN(t.call.result.structured, "{\"a\":[1,\"x\"]}");
    CHECK(!t.call.result.is_lost);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_arguments_are_read_by_json_pointer(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(
        &f, &t, "arguments",
        "{\"s\":\"txt\",\"i\":-7,\"whole\":3.0,\"d\":0.5,\"b\":true,\"list\":[1,{\"k\" : 2e0}],"
        "\"o\":{\"a\\/b\":[ 1.50 ]}}");
    CHECK_TEXT(&t, "9 0 txt -7 3 0.5 1 7 2 {\\\"k\\\" : 2e0} [ 1.50 ]");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

/* Without a level below they are read where they stand. */
static void test_flat_arguments_are_read_like_others(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "arguments",
                 "{\"s\":\"a\\\\b\\u00e9\",\"i\":-7,\"whole\":3,\"d\":2,\"b\":true}");
    CHECK_TEXT(&t, "6 1 a\\\\b\xc3\xa9 2 3 2 1 5 0  ");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "arguments",
                 "{\"s\":\"a\\\\b\\u00e9\",\"i\":-7,\"whole\":3,\"d\":2,\"b\":true,"
                 "\"list\":[]}");
    CHECK_TEXT(&t, "7 1 a\\\\b\xc3\xa9 2 3 2 1 6 0  ");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_every_kind_of_content_arrives(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "content", "{}");
    CHECK_ENDED(&t);
    CHECK_SPAN(t.call.result.content,
               "[{\"type\":\"text\",\"text\":\"a \\\"b\\\"\\n\xef\xbf\xbd!\"},"
               "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"AAEC/w==\"},"
               "{\"type\":\"audio\",\"mimeType\":\"audio/wav\",\"data\":\"AA==\"},"
               "{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///x\",\"mimeType\":"
               "\"text/plain\",\"text\":\"hello\"}}]");
    CHECK_SPAN(t.call.result.structured, "{\"x\": 1}");
    CHECK_INT(t.call.result.preview_kind, FL_HOST_PREVIEW_NONE);
    CHECK(!t.call.result.preview.p);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_protocol_error_carries_code_and_message(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "refuse", "{\"code\":-32002}");
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.outcome, FLOPINIO_PROTOCOL_ERROR);
    CHECK_INT(t.call.result.error_code, -32002);
    CHECK_SPAN(t.call.result.error_message, "it is so");
    CHECK_SPAN(t.call.result.content, "[]");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "refuse", "{}");
    CHECK_INT(t.call.result.error_code, -32603);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_job_may_end_later_from_another_thread(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "later", "{}");
    CHECK_TEXT(&t, "later");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_previews_carry_a_precondition_back_to_start(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&t, &f, "write", "{}");
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.preview_kind, FL_HOST_PREVIEW_DIFF);
    CHECK_SPAN(t.call.result.preview, "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n");
    CHECK_SPAN(t.call.result.precondition, "version 1");
    CHECK_SPAN(t.call.result.content, "[]");
    fl_host_call_fini(&t.call);
    static const struct {
        const char *precondition;
        enum flopinio_outcome outcome;
        const char *content;
    } cases[] = {
        { "version 1", FLOPINIO_OK, "[{\"type\":\"text\",\"text\":\"written, as shown\"}]" },
        { "version 2", FLOPINIO_TARGET_CHANGED, "[]" },
        { NULL, FLOPINIO_OK, "[{\"type\":\"text\",\"text\":\"written, unseen\"}]" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        trial_init(&t, &f, "write", "{}");
        t.call.precondition = fl_str_of(cases[i].precondition);
        trial_run(&t, &f);
        CHECK_ENDED(&t);
        CHECK_INT(t.call.result.outcome, cases[i].outcome);
        CHECK_SPAN(t.call.result.content, cases[i].content);
        fl_host_call_fini(&t.call);
    }
    trial_init(&t, &f, "echo", "{}");
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.outcome, FLOPINIO_NO_PREVIEW);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_preview_that_cannot_be_used_is_an_error(void)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        { "{\"how\":\"mixed\"}", "a preview is either text or a diff" },
        { "{\"how\":\"long\"}", "the precondition is not 1 to 256 bytes of UTF-8" },
        { "{\"how\":\"bytes\"}", "the preview is not valid UTF-8" },
    };
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        trial_init(&t, &f, "wrong_preview", cases[i].arguments);
        t.call.kind = FL_HOST_PREVIEW;
        trial_run(&t, &f);
        CHECK_ENDED(&t);
        CHECK_INT(t.call.result.outcome, FLOPINIO_PROTOCOL_ERROR);
        CHECK_SPAN(t.call.result.error_message, cases[i].message);
        fl_host_call_fini(&t.call);
    }
    trial_init(&t, &f, "wrong_preview", "{\"how\":\"outcome\"}");
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &f);
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_PLUGIN,
                     "the plugin ended the call with 2, which is no outcome");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_large_results_arrive_and_too_large_ones_keep_their_outcome(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.output_bytes = 8u << 20;
    fixture_instance(&f);
    fixture_call(&f, &t, "big", "{\"n\":8200000}");
    CHECK_ENDED(&t);
    CHECK(!t.call.result.is_lost);
    CHECK(t.call.result.content.n > 8200000);
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "big", "{\"n\":8400000}");
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.outcome, FLOPINIO_OK);
    CHECK(t.call.result.is_lost);
    CHECK_SPAN(t.call.result.content,
               "[{\"type\":\"text\",\"text\":\"the tool has ended, but its result was too large "
               "to keep, or there was no memory for it\"}]");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_large_arguments_arrive(void)
{
    enum { N = 4u << 20 };
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.output_bytes = 16u << 20;
    fixture_instance(&f);
    char *text = malloc(N + 1);
    CHECK(text);
    memset(text, 'x', N);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + N - 2, "\"}", 3);
    fixture_call(&f, &t, "echo", text);
    CHECK_ENDED(&t);
    CHECK(t.call.result.structured.n == N && memcmp(t.call.result.structured.p, text, N) == 0);
    fl_host_call_fini(&t.call);
    trial_init(&t, &f, "echo", text);
    t.call.arguments.n = N + 1;
    CHECK_INT(fl_host_call_start(&t.call, f.instance), FL_TOO_LARGE);
    CHECK_STR(t.call.op.err.text, "the arguments are larger than 4194304 bytes");
    free(text);
    fixture_close(&f);
}

static void test_progress_and_messages_are_checked_and_throttled(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "notes", "{}");
    CHECK_TEXT(&t, "noted");
    CHECK_MSG(t.progresses >= 3 && t.progresses < 100, "%d", t.progresses);
    CHECK_INT(t.messages, 1);
    CHECK_STR(t.last_message, "3 good {\"k\":1}");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

/* ---- ends of calls ---- */

static void test_cancel_tells_a_running_plugin(void)
{
    static const char *const tools[] = { "wait", "wait_async" };
    static const char *const texts[] = { "[{\"type\":\"text\",\"text\":\"told to stop\"}]",
                                         "[{\"type\":\"text\",\"text\":\"cancelled\"}]" };
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    for (size_t i = 0; i < FL_COUNTOF(tools); i++) {
        trial_init(&t, &f, tools[i], "{}");
        trial_start(&t, &f);
        while (t.call.place != FL_HOST_CALL_RUNNING)
            uv_run(&f.loop.uv, UV_RUN_ONCE);
        fl_op_cancel(&t.call.op);
        fl_op_cancel(&t.call.op);
        CHECK(!t.is_done);
        trial_wait(&t);
        CHECK_ENDED(&t); /* the outcome came first */
        CHECK_INT(t.call.result.outcome, FLOPINIO_TOOL_ERROR);
        CHECK_SPAN(t.call.result.content, texts[i]);
        fl_host_call_fini(&t.call);
    }
    struct fl_host_instance_info info;
    fl_host_instance_info(f.instance, &info);
    CHECK_INT(info.work.starts, 1);
    CHECK_INT(info.work.failures, 0);
    fixture_close(&f);
}

static void test_a_queued_call_is_cancelled_as_not_started(void)
{
    struct fixture f = { 0 };
    struct trial first, second;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&first, &f, "wait", "{}");
    trial_init(&second, &f, "echo", "{}");
    trial_start(&first, &f);
    trial_start(&second, &f);
    while (first.call.place != FL_HOST_CALL_RUNNING)
        uv_run(&f.loop.uv, UV_RUN_ONCE);
    CHECK_INT(second.call.place, FL_HOST_CALL_QUEUED); /* one at a time by default */
    fl_op_cancel(&second.call.op);
    CHECK(!second.is_done);
    trial_wait(&second);
    CHECK_NO_OUTCOME(&second, FL_HOST_NOT_STARTED, FL_CANCELLED,
                     "the call was cancelled before it started");
    fl_op_cancel(&first.call.op);
    trial_wait(&first);
    CHECK_ENDED(&first);
    fl_host_call_fini(&first.call);
    fl_host_call_fini(&second.call);
    fixture_close(&f);
}

static void test_a_call_that_waits_past_its_deadline_was_not_started(void)
{
    struct fixture f = { 0 };
    struct trial first, second;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&first, &f, "wait", "{}");
    trial_init(&second, &f, "echo", "{}");
    second.call.timeout_ms = 50;
    trial_start(&first, &f);
    trial_start(&second, &f);
    trial_wait(&second);
    CHECK_NO_OUTCOME(&second, FL_HOST_NOT_STARTED, FL_TIMEOUT,
                     "the call waited 50 ms and was not started");
    fl_op_cancel(&first.call.op);
    trial_wait(&first);
    fl_host_call_fini(&first.call);
    fl_host_call_fini(&second.call);
    fixture_close(&f);
}

static void test_a_deadline_tells_the_plugin_before_it_kills(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "echo", "{}"); /* so that the time does not count loading */
    fl_host_call_fini(&t.call);
    trial_init(&t, &f, "wait", "{}");
    t.call.timeout_ms = 200;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.outcome, FLOPINIO_TOOL_ERROR);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_parallel_jobs_run_side_by_side(void)
{
    enum { JOBS = 40 };
    struct fixture f = { 0 };
    static struct trial t[JOBS];
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.parallel_jobs = JOBS;
    f.config.limits.processes = 2000; /* others of the same user may start some meanwhile */
    f.config.limits.memory_bytes = 2ull << 30; /* a thread's stack counts 8 MiB */
    fixture_instance(&f);
    for (int i = 0; i < JOBS; i++) {
        trial_init(&t[i], &f, "later", "{\"ms\":100}");
        trial_start(&t[i], &f);
    }
    bool was_full = false;
    for (int i = 0; i < JOBS; i++) {
        while (!t[i].is_done) {
            struct fl_host_instance_info info;
            fl_host_instance_info(f.instance, &info);
            was_full |= info.work.running == JOBS;
            uv_run(&f.loop.uv, UV_RUN_ONCE);
        }
        CHECK_TEXT(&t[i], "later");
        fl_host_call_fini(&t[i].call);
    }
    CHECK(was_full);
    fixture_close(&f);
}

static void test_the_queue_is_bounded(void)
{
    struct fixture f = { 0 };
    static struct trial t[4];
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.queue = 3;
    fixture_instance(&f);
    for (int i = 0; i < 3; i++) {
        trial_init(&t[i], &f, "echo", "{}");
        trial_start(&t[i], &f);
    }
    trial_init(&t[3], &f, "echo", "{}");
    CHECK_INT(fl_host_call_start(&t[3].call, f.instance), FL_TOO_MANY);
    CHECK_STR(t[3].call.op.err.text, "3 calls wait for the plugin instance test already");
    for (int i = 0; i < 3; i++) {
        trial_wait(&t[i]);
        CHECK_ENDED(&t[i]);
        fl_host_call_fini(&t[i].call);
    }
    fixture_close(&f);
}

static void test_unknown_and_changed_tools_are_not_started(void)
{
    static const uint8_t another[FL_DEFINITION_DIGEST_BYTES] = { 1, 2, 3 };
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "nothing", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_NOT_FOUND, "the plugin good has no tool nothing");
    fl_host_call_fini(&t.call);
    trial_init(&t, &f, "echo", "{}");
    t.call.definition_digest = another;
    trial_run(&t, &f);
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_CONFLICT,
                     "the plugin in hand defines the tool echo otherwise");
    fl_host_call_fini(&t.call);
    trial_init(&t, &f, "echo", "{}");
    t.call.precondition = (struct fl_str){ "a\0b", 3 };
    CHECK_INT(fl_host_call_start(&t.call, f.instance), FL_BAD_PARAMS);
    fixture_close(&f);
}

static int turns;

static void on_turn(struct fl_host_call *call)
{
    struct trial *t = FL_CONTAINER(call, struct trial, call);
    turns++;
    fl_loop_stop(t->loop);
}

static bool never(struct fl_host_call *call, struct fl_err *why)
{
    FL_UNUSED(call);
    fl_err_set(why, FL_TIMEOUT, "too late");
    return false;
}

/* One at a time: who was told that it is their turn has the room to themselves until they go or
 * give it back, and nothing was handed over before. */
static void test_a_turn_keeps_its_room(void)
{
    struct fixture f = { 0 };
    struct trial first, held, late;
    turns = 0;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&first, &f, "later", "{\"ms\":50}");
    trial_start(&first, &f);
    trial_init(&held, &f, "counter", "{}");
    held.call.arguments = (struct fl_str){ NULL, 0 };
    held.call.timeout_ms = 1; /* counts from go */
    held.call.on_turn = on_turn;
    trial_start(&held, &f);
    trial_init(&late, &f, "echo", "{}");
    trial_start(&late, &f);
    trial_wait(&first);
    while (turns == 0)
        fl_loop_run(&f.loop);
    fixture_sleep(&f, 50);
    CHECK(!held.is_done && !late.is_done);
    held.call.timeout_ms = 5000;
    held.call.arguments = fl_str_of("{}");
    CHECK_OK(fl_host_call_go(&held.call));
    trial_wait(&held);
    CHECK_ENDED(&held);
    trial_wait(&late);
    CHECK_ENDED(&late);
    fl_host_call_fini(&first.call);
    fl_host_call_fini(&held.call);
    fl_host_call_fini(&late.call);
    fixture_close(&f);
}

static void test_a_turn_is_given_back_or_ends_as_not_started(void)
{
    struct fixture f = { 0 };
    struct trial t, next;
    turns = 0;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&t, &f, "echo", "{}");
    t.call.on_turn = on_turn;
    trial_start(&t, &f);
    while (turns == 0)
        fl_loop_run(&f.loop);
    trial_init(&next, &f, "echo", "{}");
    next.call.may_start = never;
    trial_start(&next, &f);
    fixture_sleep(&f, 20);
    CHECK(!next.is_done);
    fl_host_call_drop(&t.call);
    fl_host_call_drop(&t.call);
    trial_wait(&next);
    CHECK(!t.is_done);
    CHECK_NO_OUTCOME(&next, FL_HOST_NOT_STARTED, FL_TIMEOUT, "too late");
    trial_init(&t, &f, "echo", "{}");
    t.call.on_turn = on_turn;
    trial_start(&t, &f);
    while (turns == 1)
        fl_loop_run(&f.loop);
    fl_op_cancel(&t.call.op);
    trial_wait(&t);
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_CANCELLED,
                     "the call was cancelled before it started");
    fl_host_call_fini(&next.call);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static const struct fl_test tests[] = {
    T(a_call_gives_content_and_structured_content),
    T(arguments_are_read_by_json_pointer),
    T(flat_arguments_are_read_like_others),
    T(every_kind_of_content_arrives),
    T(a_protocol_error_carries_code_and_message),
    T(a_job_may_end_later_from_another_thread),
    T(previews_carry_a_precondition_back_to_start),
    T(a_preview_that_cannot_be_used_is_an_error),
    T(large_results_arrive_and_too_large_ones_keep_their_outcome),
    T(large_arguments_arrive),
    T(progress_and_messages_are_checked_and_throttled),
    T(cancel_tells_a_running_plugin),
    T(a_queued_call_is_cancelled_as_not_started),
    T(a_call_that_waits_past_its_deadline_was_not_started),
    T(a_deadline_tells_the_plugin_before_it_kills),
    T(parallel_jobs_run_side_by_side),
    T(the_queue_is_bounded),
    T(a_turn_keeps_its_room),
    T(a_turn_is_given_back_or_ends_as_not_started),
    T(unknown_and_changed_tools_are_not_started),
};
TEST_MAIN(tests)
