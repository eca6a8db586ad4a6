/* Plugins in the worker's own process: the same results through the same calls, and what differs
 * when one does not end. Then both ways with every allocation failing once. */
#include "host_fixture.h"

/* The whole of a result as one text. */
static char *written(const struct trial *t)
{
    const struct fl_host_result *r = &t->call.result;
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_printf(&text, "%s %d %d %d %d %d|", fl_code_name(t->call.op.code), (int)t->call.ran,
                  (int)r->outcome, r->is_lost, r->error_code, (int)r->preview_kind);
    const struct fl_str parts[] = { r->content, r->structured,   r->error_message,
                                    r->preview, r->precondition, fl_str_of(t->call.op.err.text) };
    for (size_t i = 0; i < FL_COUNTOF(parts); i++) {
        fl_buf_puts(&text, parts[i].p ? "=" : "-");
        fl_buf_str(&text, parts[i]);
        fl_buf_putc(&text, '|');
    }
    return fl_buf_take(&text, NULL);
}

static void test_both_ways_give_the_same_results(void)
{
    static const struct {
        const char *tool, *arguments;
        enum fl_host_kind kind;
    } calls[] = {
        { "echo", "{\"a\":[1,\"x\"]}", FL_HOST_START },
        { "arguments", "{\"s\":\"t\",\"i\":1,\"d\":0.25,\"list\":[1,2]}", FL_HOST_START },
        { "arguments", "{\"s\":\"a \\\"b\\\" \\u00e9\\n\",\"i\":-7,\"whole\":3,\"d\":2,\"b\":true}",
          FL_HOST_START },
        { "content", "{}", FL_HOST_START },
        { "later", "{}", FL_HOST_START },
        { "write", "{}", FL_HOST_START },
        { "write", "{}", FL_HOST_PREVIEW },
        { "echo", "{}", FL_HOST_PREVIEW },
        { "wrong_preview", "{\"how\":\"mixed\"}", FL_HOST_PREVIEW },
        { "wrong_preview", "{\"how\":\"outcome\"}", FL_HOST_PREVIEW },
        { "refuse", "{\"code\":-32002}", FL_HOST_START },
        { "big", "{\"n\":900000}", FL_HOST_START },
        { "big", "{\"n\":1100000}", FL_HOST_START },
        { "nothing", "{}", FL_HOST_START },
        { "configured", "{}", FL_HOST_START },
    };
    struct fixture f = { 0 };
    struct fl_host_instance *instances[2];
    fixture_host(&f);
    for (int i = 0; i < 2; i++) {
        f.config = fixture_config(PLUGIN("good"));
        f.config.is_in_process = i == 1;
        f.config.configuration = json_pack("{s:s,s:i,s:b}", "word", "w", "number", 4, "yes", 1);
        fixture_instance(&f);
        json_decref(f.config.configuration);
        instances[i] = f.instance;
    }
    for (size_t i = 0; i < FL_COUNTOF(calls); i++) {
        char *got[2];
        for (int way = 0; way < 2; way++) {
            struct trial t;
            f.instance = instances[way];
            trial_init(&t, &f, calls[i].tool, calls[i].arguments);
            t.call.kind = calls[i].kind;
            trial_run(&t, &f);
            got[way] = written(&t);
            fl_host_call_fini(&t.call);
        }
        CHECK_STR(got[1], got[0]);
        fl_free(got[0]);
        fl_free(got[1]);
    }
    for (int i = 0; i < 2; i++) {
        f.instance = instances[i];
        fixture_stop(&f);
    }
    fixture_close(&f);
}

static void test_cancel_and_parallel_jobs_work_in_a_thread(void)
{
    enum { JOBS = 8 };
    struct fixture f = { 0 };
    static struct trial t[JOBS];
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.is_in_process = true;
    f.config.limits.parallel_jobs = JOBS;
    fixture_instance(&f);
    trial_init(&t[0], &f, "wait", "{}");
    trial_start(&t[0], &f);
    while (t[0].call.place != FL_HOST_CALL_RUNNING)
        uv_run(&f.loop.uv, UV_RUN_ONCE);
    fl_op_cancel(&t[0].call.op);
    trial_wait(&t[0]);
    CHECK_ENDED(&t[0]);
    CHECK_INT(t[0].call.result.outcome, FLOPINIO_TOOL_ERROR);
    fl_host_call_fini(&t[0].call);
    for (int i = 0; i < JOBS; i++) {
        trial_init(&t[i], &f, "later", "{\"ms\":5}");
        trial_start(&t[i], &f);
    }
    for (int i = 0; i < JOBS; i++) {
        trial_wait(&t[i]);
        CHECK_TEXT(&t[i], "later");
        fl_host_call_fini(&t[i].call);
    }
    fixture_close(&f);
}

static void test_a_plugin_that_does_not_open_stays_closed(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.is_in_process = true;
    f.config.configuration = json_pack("{s:s}", "refuse", "no");
    fixture_instance(&f);
    json_decref(f.config.configuration);
    fixture_call(&f, &t, "echo", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_PLUGIN, "the plugin did not open: no");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_thread_that_does_not_end_is_left_behind(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("hostile"));
    f.config.is_in_process = true;
    fixture_instance(&f);
    for (int i = 0; i < 2; i++) {
        trial_init(&t, &f, "sleep_long", "{}");
        t.call.timeout_ms = 100;
        trial_run(&t, &f);
        CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_TIMEOUT,
                         "the call did not end within 100 ms: the plugin process was killed, "
                         "because a call did not end within " FIXTURE_GRACE " ms of being told to");
        fl_host_call_fini(&t.call);
        fixture_call(&f, &t, "fine", "{}");
        CHECK_TEXT(&t, "fine");
        fl_host_call_fini(&t.call);
    }
    fixture_close(&f);
}

static void test_a_job_done_after_its_side_has_gone_hits_nothing(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.is_in_process = true;
    f.config.limits.cancel_grace_ms = 100;
    fixture_instance(&f);
    trial_init(&t, &f, "later", "{\"ms\":2000}");
    t.call.timeout_ms = 500; /* opening counts too, and is slow under a sanitizer */
    trial_run(&t, &f);
    CHECK_INT(t.call.ran, FL_HOST_UNKNOWN);
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "echo", "{}");
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
    fixture_sleep(&f, 2000); /* the late thread ends its job now */
    fixture_call(&f, &t, "echo", "{}");
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

/* ---- failing allocations ---- */

/* One host, one instance, one call, in-process one preview too (there it costs no process), the
 * end. How far it came is checked call by call: an outcome, or a code and a sentence. */
static bool scenario(bool is_in_process)
{
    struct fixture f = { 0 };
    struct fl_err err;
    CHECK_OK(fl_loop_init(&f.loop, &err));
    bool is_whole = fl_host_new(&f.loop, FL_BUILD_DIR "/unit/plugin_host", &f.host, &err) == FL_OK;
    if (is_whole) {
        f.config = fixture_config(PLUGIN("small"));
        f.config.is_in_process = is_in_process;
        f.config.limits.start_ms = 5000;
        is_whole = fl_host_instance_new(f.host, &f.config, &f.instance, &err) == FL_OK;
    }
    for (int i = 0; i < (is_in_process ? 2 : 1) && f.instance; i++) {
        struct trial t;
        trial_init(&t, &f, "write", "{\"path\":\"x\"}");
        t.call.kind = i == 0 ? FL_HOST_START : FL_HOST_PREVIEW;
        t.call.timeout_ms = 5000;
        trial_run(&t, &f);
        if (t.call.ran != FL_HOST_ENDED || t.call.result.is_lost ||
            t.call.result.outcome != FLOPINIO_OK)
            is_whole = false;
        else if (i == 0)
            CHECK_TEXT(&t, "x");
        else
            CHECK_SPAN(t.call.result.precondition, "version 1");
        CHECK((t.call.op.code == FL_OK) == (t.call.ran == FL_HOST_ENDED));
        CHECK_MSG(t.call.op.code == FL_OK || t.call.op.err.text[0], "no sentence");
        CHECK_MSG(t.call.op.code != FL_TIMEOUT, "%s", t.call.op.err.text); /* nobody waits for it */
        fl_host_call_fini(&t.call);
    }
    if (f.instance)
        fixture_stop(&f);
    fl_host_free(&f.host);
    CHECK_INT(fl_loop_fini(&f.loop), 0);
    return is_whole;
}

static void fail_each_allocation(bool is_in_process)
{
    int failed = 0;
    fl_log_init(FL_LOG_OFF, FL_LOG_TEXT);
    CHECK(scenario(is_in_process));
    for (uint64_t n = 1;; n++) {
        fl_mem_fail_at(n, 1);
        bool is_whole = scenario(is_in_process);
        bool has_failed = fl_mem_fail_at(0, 0) >= n;
        if (!has_failed) {
            CHECK(is_whole);
            break;
        }
        failed += !is_whole;
    }
    CHECK_MSG(failed >= 10, "only %d allocations mattered", failed);
}

static void test_the_worker_survives_each_failing_allocation(void)
{
    fail_each_allocation(false);
}

static void test_the_plugins_side_survives_each_failing_allocation(void)
{
    fail_each_allocation(true);
}

static const struct fl_test tests[] = {
    T(both_ways_give_the_same_results),
    T(cancel_and_parallel_jobs_work_in_a_thread),
    T(a_plugin_that_does_not_open_stays_closed),
    T(a_thread_that_does_not_end_is_left_behind),
    T(a_job_done_after_its_side_has_gone_hits_nothing),
    T_LIMIT(the_worker_survives_each_failing_allocation, 60),
    T_LIMIT(the_plugins_side_survives_each_failing_allocation, 60),
};
TEST_MAIN(tests)
