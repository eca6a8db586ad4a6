/* Plugin instances that behave: calls, results, previews, cancelling, the life of a process. */
#include <fcntl.h>

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
    trial_init(&t, &f, "wait", "{}");
    t.call.timeout_ms = 400;
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
    f.config.limits.processes = JOBS + 8;
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

/* ---- life of the process ---- */

static void test_one_process_serves_many_calls_and_previews_have_their_own(void)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    char want[96];
    fixture_open(&f, PLUGIN("good"));
    fl_host_instance_info(f.instance, &info);
    CHECK_STR(info.work.state, "stopped"); /* started by the first call only */
    CHECK_INT(info.work.pid, 0);
    for (int i = 1; i <= 3; i++) {
        fixture_call(&f, &t, "counter", "{}");
        fl_host_instance_info(f.instance, &info);
        snprintf(want, sizeof want, "[{\"type\":\"text\",\"text\":\"%d %d\"}]", info.work.pid, i);
        CHECK_SPAN(t.call.result.content, want);
        fl_host_call_fini(&t.call);
    }
    CHECK_STR(info.work.state, "ready");
    CHECK_STR(info.preview.state, "stopped");
    trial_init(&t, &f, "write", "{}");
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &f);
    fl_host_call_fini(&t.call);
    fl_host_instance_info(f.instance, &info);
    CHECK_STR(info.preview.state, "ready");
    CHECK(info.preview.pid && info.preview.pid != info.work.pid);
    fixture_close(&f);
}

static void test_an_idle_process_is_stopped_and_started_again(void)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.idle_ms = 30;
    fixture_instance(&f);
    for (int i = 1; i <= 2; i++) {
        fixture_call(&f, &t, "echo", "{}");
        CHECK_ENDED(&t);
        fl_host_call_fini(&t.call);
        do {
            fixture_sleep(&f, 5);
            fl_host_instance_info(f.instance, &info);
        } while (strcmp(info.work.state, "stopped") != 0);
        CHECK_INT(info.work.starts, i);
        CHECK_INT(info.work.failures, 0);
    }
    fixture_close(&f);
}

static void test_a_process_is_replaced_before_its_cpu_time_is_used_up(void)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.cpu_s = 1; /* half of it, in whole seconds, is used from the start */
    fixture_instance(&f);
    for (int i = 1; i <= 3; i++) {
        fixture_call(&f, &t, "counter", "{}");
        CHECK_ENDED(&t);
        CHECK(memmem(t.call.result.content.p, t.call.result.content.n, " 1\"", 3) !=
              NULL); /* each its own process */
        fl_host_call_fini(&t.call);
    }
    fl_host_instance_info(f.instance, &info);
    CHECK_INT(info.work.starts, 3);
    CHECK_INT(info.work.failures, 0);
    fixture_close(&f);
}

static void test_stop_ends_queued_calls_and_lets_the_running_one_finish(void)
{
    struct fixture f = { 0 };
    struct trial first, second, third;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&first, &f, "later", "{\"ms\":200}");
    trial_init(&second, &f, "echo", "{}");
    trial_start(&first, &f);
    trial_start(&second, &f);
    while (first.call.place != FL_HOST_CALL_RUNNING)
        uv_run(&f.loop.uv, UV_RUN_ONCE);
    struct waited_op stop = { .op.done = fixture_on_op, .loop = &f.loop };
    CHECK_OK(fl_host_instance_stop_start(&stop.op, f.instance));
    trial_init(&third, &f, "echo", "{}");
    CHECK_INT(fl_host_call_start(&third.call, f.instance), FL_UNAVAILABLE);
    CHECK_STR(third.call.op.err.text, "the plugin instance test is being stopped");
    trial_wait(&second);
    CHECK_NO_OUTCOME(&second, FL_HOST_NOT_STARTED, FL_UNAVAILABLE,
                     "the plugin instance test is being stopped");
    CHECK(!first.is_done);
    trial_wait(&first);
    CHECK_TEXT(&first, "later");
    CHECK(!stop.is_done);
    while (!stop.is_done)
        fl_loop_run(&f.loop);
    fl_host_call_fini(&first.call);
    fl_host_call_fini(&second.call);
    fl_host_instance_free(&f.instance);
    fixture_close(&f);
}

static void test_stop_at_once_kills(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, PLUGIN("good"));
    trial_init(&t, &f, "wait_async", "{}");
    trial_start(&t, &f);
    while (t.call.place != FL_HOST_CALL_RUNNING)
        uv_run(&f.loop.uv, UV_RUN_ONCE);
    struct waited_op stop = { .op.done = fixture_on_op, .loop = &f.loop };
    CHECK_OK(fl_host_instance_stop_start(&stop.op, f.instance));
    fl_op_cancel(&stop.op);
    trial_wait(&t);
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_PLUGIN,
                     "the call gave no outcome: the plugin instance test was stopped at once");
    while (!stop.is_done)
        fl_loop_run(&f.loop);
    CHECK_INT(stop.op.code, FL_OK);
    fl_host_call_fini(&t.call);
    fl_host_instance_free(&f.instance);
    fixture_close(&f);
}

static void test_a_plugin_that_does_not_open_says_why_and_is_tried_again(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.configuration = json_pack("{s:s}", "refuse", "the root is missing");
    fixture_instance(&f);
    json_decref(f.config.configuration);
    f.config.configuration = NULL;
    for (int i = 0; i < 3; i++) {
        fixture_call(&f, &t, "echo", "{}");
        CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_PLUGIN,
                         "the plugin did not open: the root is missing");
        fl_host_call_fini(&t.call);
    }
    struct fl_host_instance_info info;
    fl_host_instance_info(f.instance, &info);
    CHECK_MSG(info.work.starts < 3, "%d starts", (int)info.work.starts); /* it backs off */
    CHECK_STR(info.work.state, "backing off");
    fixture_stop(&f);
    fixture_instance(&f);
    fixture_call(&f, &t, "echo", "{}");
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_configuration_and_allowed_environment_arrive(void)
{
    static const char *const names[] = { "FL_TEST_KEPT", "FL_TEST_ABSENT", NULL };
    struct fixture f = { 0 };
    struct trial t;
    setenv("FL_TEST_KEPT", "kept", 1);
    setenv("FL_TEST_SECRET", "secret", 1);
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.sandbox.environment = names;
    f.config.configuration =
        json_pack("{s:s,s:i,s:b}", "word", "w\u00f6rd", "number", 42, "yes", 1);
    fixture_instance(&f);
    json_decref(f.config.configuration);
    fixture_call(&f, &t, "configured", "{}");
    CHECK_TEXT(&t, "w\u00f6rd 42 1 kept -");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "descriptors", "{}");
    CHECK_TEXT(&t, "0 1 2 3 ");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_previews_cannot_write_where_the_work_can(void)
{
    struct fixture f = { 0 };
    struct trial t;
    char folder[] = "/tmp/fl-host-XXXXXX", inside[64], arguments[128];
    CHECK(mkdtemp(folder));
    if (geteuid() == 0)
        CHECK_INT(chown(folder, TEST_USER, TEST_USER), 0);
    snprintf(inside, sizeof inside, "%s/file", folder);
    struct fl_host_path paths[] = { { folder, FL_HOST_READ | FL_HOST_WRITE } };
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.sandbox.paths = paths;
    f.config.sandbox.path_count = 1;
    fixture_instance(&f);
    snprintf(arguments, sizeof arguments, "{\"path\":\"%s\"}", inside);
    trial_init(&t, &f, "touch", arguments);
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    struct fl_host_instance_info info;
    fl_host_instance_info(f.instance, &info);
    if (strstr(info.preview.sandbox, "no landlock"))
        fl_test_skip("this kernel has no Landlock");
    CHECK_SPAN(t.call.result.preview, "Permission denied");
    CHECK(access(inside, F_OK) != 0);
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "touch", arguments);
    CHECK_TEXT(&t, "touched");
    CHECK_INT(access(inside, F_OK), 0);
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "touch", "{\"path\":\"/tmp/fl-host-outside\"}");
    CHECK_TEXT(&t, "Permission denied");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "read", "{\"path\":\"/etc/hostname\"}");
    CHECK_TEXT(&t, "Permission denied");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
    unlink(inside);
    rmdir(folder);
}

static void test_configurations_that_cannot_work_are_refused(void)
{
    struct fixture f = { 0 };
    struct fl_err err;
    struct fl_host_path relative = { "folder", FL_HOST_READ };
    json_t *array = json_array();
    fixture_host(&f);
    static const char *const texts[] = {
        "plugin instance test: the plugin's path is not absolute",
        "a plugin instance's name has 1 to 64 bytes",
        "plugin instance test: its configuration is not an object",
        "plugin instance test: the sandbox path folder is not absolute",
        "plugin instance test: a limit is out of range",
        "plugin instance test: a limit is out of range",
        "plugin instance test: a plugin never runs as root: it needs an operating-system user of "
        "its own",
    };
    size_t count = geteuid() == 0 ? FL_COUNTOF(texts) : FL_COUNTOF(texts) - 1;
    for (size_t i = 0; i < count; i++) {
        struct fl_host_config config = fixture_config(PLUGIN("good"));
        switch (i) {
        case 0: config.plugin_path = "good.so"; break;
        case 1: config.name = ""; break;
        case 2: config.configuration = array; break;
        case 3:
            config.sandbox.paths = &relative;
            config.sandbox.path_count = 1;
            break;
        case 4: config.limits.parallel_jobs = 65; break;
        case 5: config.limits.output_bytes = 65u << 20; break;
        default: config.sandbox.uid = 0; break;
        }
        CHECK_INT(fl_host_instance_new(f.host, &config, &f.instance, &err), FL_CONFIG);
        CHECK_STR(err.text, texts[i]);
        CHECK(!f.instance);
    }
    json_decref(array);
    fixture_close(&f);
}

static void test_users_are_names_or_numbers_and_never_root(void)
{
    struct fl_err err;
    uint32_t uid = 0, gid = 0;
    CHECK_OK(fl_host_user("1234", &uid, &gid, &err));
    CHECK(uid == 1234 && gid == 1234);
    CHECK_OK(fl_host_user("1234:99", &uid, &gid, &err));
    CHECK(uid == 1234 && gid == 99);
    CHECK_OK(fl_host_user("nobody", &uid, &gid, &err));
    CHECK(uid != 0 && gid != 0);
    static const struct {
        const char *text, *error;
    } bad[] = {
        { "root", "a plugin never runs as root: \"root\" is" },
        { "0", "a plugin never runs as root: \"0\" is" },
        { "1234:0", "a plugin never runs as root: \"1234:0\" is" },
        { "", "\"\" is not USER or USER:GROUP" },
        { "fl-no-such-user", "there is no operating-system user fl-no-such-user" },
        { "1234:fl-no-such-group", "there is no operating-system group fl-no-such-group" },
    };
    for (size_t i = 0; i < FL_COUNTOF(bad); i++) {
        CHECK_INT(fl_host_user(bad[i].text, &uid, &gid, &err), FL_CONFIG);
        CHECK_STR(err.text, bad[i].error);
    }
}

static const struct fl_test tests[] = {
    T(a_call_gives_content_and_structured_content),
    T(arguments_are_read_by_json_pointer),
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
    T(unknown_and_changed_tools_are_not_started),
    T(one_process_serves_many_calls_and_previews_have_their_own),
    T(an_idle_process_is_stopped_and_started_again),
    T(a_process_is_replaced_before_its_cpu_time_is_used_up),
    T(stop_ends_queued_calls_and_lets_the_running_one_finish),
    T(stop_at_once_kills),
    T(a_plugin_that_does_not_open_says_why_and_is_tried_again),
    T(configuration_and_allowed_environment_arrive),
    T(previews_cannot_write_where_the_work_can),
    T(configurations_that_cannot_work_are_refused),
    T(users_are_names_or_numbers_and_never_root),
};
TEST_MAIN(tests)
