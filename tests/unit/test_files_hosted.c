/* The shipped plugins in the real host: a process of their own, its user, its sandbox. */
#include <dirent.h>

#include "host_fixture.h"

#define SHIPPED(name) FL_BUILD_DIR "/plugins/" name ".so"

struct hosted {
    struct fixture f;
    char root[64];
    struct fl_host_path path;
};

/* `access`: what the sandbox allows below the root. */
static void open_files(struct hosted *h, unsigned access)
{
    memset(h, 0, sizeof *h);
    snprintf(h->root, sizeof h->root, "/tmp/flopinio-hosted-XXXXXX");
    CHECK(mkdtemp(h->root));
    CHECK(chmod(h->root, 0700) == 0);
    if (geteuid() == 0)
        CHECK(chown(h->root, TEST_USER, TEST_USER) == 0);
    h->path = (struct fl_host_path){ h->root, access };
    fixture_host(&h->f);
    h->f.config = fixture_config(SHIPPED("files"));
    h->f.config.sandbox.paths = &h->path;
    h->f.config.sandbox.path_count = 1;
    h->f.config.configuration = json_pack("{s:s}", "root", h->root);
    fixture_instance(&h->f);
}

static void close_files(struct hosted *h)
{
    char command[100];
    json_decref(h->f.config.configuration);
    fixture_close(&h->f);
    snprintf(command, sizeof command, "rm -r %s", h->root);
    CHECK(system(command) == 0);
}

/* Shows it, binds it, does it. */
static void approve(struct hosted *h, const char *tool, const char *args)
{
    struct trial shown, done;
    trial_init(&shown, &h->f, tool, args);
    shown.call.kind = FL_HOST_PREVIEW;
    trial_run(&shown, &h->f);
    CHECK_ENDED(&shown);
    CHECK_INT(shown.call.result.outcome, FLOPINIO_OK);
    CHECK_MSG(shown.call.result.preview_kind != FL_HOST_PREVIEW_NONE &&
                  !fl_str_eq(shown.call.result.precondition, FL_STR("would-fail")),
              "%s: %.*s", tool, FL_STR_ARG(shown.call.result.preview));
    CHECK(shown.call.result.precondition.n);
    trial_init(&done, &h->f, tool, args);
    done.call.precondition = shown.call.result.precondition;
    trial_run(&done, &h->f);
    CHECK_ENDED(&done);
    CHECK_MSG(done.call.result.outcome == FLOPINIO_OK, "%s: %.*s", tool,
              FL_STR_ARG(done.call.result.content));
    fl_host_call_fini(&done.call);
    /* a second time nothing is as it was shown */
    trial_init(&done, &h->f, tool, args);
    done.call.precondition = shown.call.result.precondition;
    trial_run(&done, &h->f);
    CHECK_ENDED(&done);
    CHECK_INT(done.call.result.outcome, FLOPINIO_TARGET_CHANGED);
    fl_host_call_fini(&done.call);
    fl_host_call_fini(&shown.call);
}

static void test_every_write_goes_through_preview_and_start(void)
{
    struct hosted h;
    struct trial t;
    open_files(&h, FL_HOST_READ | FL_HOST_WRITE);
    approve(&h, "write", "{\"path\":\"a/t\",\"content\":\"one\\n\",\"create_parents\":true}");
    approve(&h, "edit", "{\"path\":\"a/t\",\"old\":\"one\",\"new\":\"two\"}");
    approve(&h, "make_directory", "{\"path\":\"b\"}");
    approve(&h, "move", "{\"from\":\"a/t\",\"to\":\"b/u\"}"); /* from one directory to another */
    fixture_call(&h.f, &t, "read", "{\"path\":\"b/u\"}");
    CHECK_ENDED(&t);
    CHECK_SPAN(t.call.result.content, "[{\"type\":\"text\",\"text\":\"b/u: all 4 bytes\\n\"},"
                                      "{\"type\":\"text\",\"text\":\"two\\n\"}]");
    fl_host_call_fini(&t.call);
    approve(&h, "delete", "{\"path\":\"b\",\"recursive\":true}");
    fixture_call(&h.f, &t, "search", "{\"name\":\"*\"}");
    CHECK_ENDED(&t);
    CHECK_SPAN(t.call.result.content, "[{\"type\":\"text\",\"text\":\"1 match\\na/\\n\"}]");
    fl_host_call_fini(&t.call);
    close_files(&h);
}

static void test_a_sandbox_without_write_refuses_and_previews_still_work(void)
{
    struct hosted h;
    struct trial t;
    open_files(&h, FL_HOST_READ);
    trial_init(&t, &h.f, "write", "{\"path\":\"t\",\"content\":\"x\"}");
    t.call.kind = FL_HOST_PREVIEW;
    trial_run(&t, &h.f);
    CHECK_SPAN(t.call.result.precondition, "absent");
    fl_host_call_fini(&t.call);
    trial_init(&t, &h.f, "write", "{\"path\":\"t\",\"content\":\"x\"}");
    trial_run(&t, &h.f);
    CHECK_ENDED(&t);
    struct fl_host_instance_info info;
    fl_host_instance_info(h.f.instance, &info);
    if (strstr(info.work.sandbox, "no landlock"))
        fl_test_skip("this kernel has no Landlock");
    CHECK_INT(t.call.result.outcome, FLOPINIO_TOOL_ERROR);
    CHECK_SPAN(t.call.result.content, "[{\"type\":\"text\",\"text\":\"cannot write \\\"t\\\": "
                                      "permission denied\"}]");
    fl_host_call_fini(&t.call);
    close_files(&h);
}

static void test_a_wrong_root_is_one_clear_sentence(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(SHIPPED("files"));
    f.config.configuration = json_pack("{s:s}", "root", "/nowhere/at/all");
    fixture_instance(&f);
    fixture_call(&f, &t, "list", "{}");
    CHECK_INT(t.call.ran, FL_HOST_NOT_STARTED);
    CHECK_MSG(strstr(t.call.op.err.text, "the root directory does not exist"), "%s",
              t.call.op.err.text);
    fl_host_call_fini(&t.call);
    json_decref(f.config.configuration);
    fixture_close(&f);
}

struct described {
    struct fl_host_describe describe;
    struct fl_loop *loop;
    bool is_done;
};

static void on_described(struct fl_op *op)
{
    struct described *d = FL_CONTAINER(op, struct described, describe.op);
    d->is_done = true;
    fl_loop_stop(d->loop);
}

static void test_the_host_takes_the_description_of_each_shipped_plugin(void)
{
    static const char *const plugins[] = { SHIPPED("files"), SHIPPED("conformance") };
    static const size_t tools[] = { 9, 16 };
    for (size_t i = 0; i < FL_COUNTOF(plugins); i++) {
        struct fixture f = { 0 };
        fixture_host(&f);
        f.config = fixture_config(plugins[i]);
        struct described d = { .describe.op.done = on_described, .loop = &f.loop };
        CHECK_OK(fl_host_describe_start(&d.describe, f.host, &f.config));
        while (!d.is_done)
            fl_loop_run(&f.loop);
        CHECK_MSG(d.describe.op.code == FL_OK, "%s", d.describe.op.err.text);
        CHECK_INT(d.describe.description->tool_count, tools[i]);
        fl_description_free(&d.describe.description);
        fixture_close(&f);
    }
}

static void test_the_conformance_plugin_reports_over_time_and_is_cancelled(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, SHIPPED("conformance"));
    fixture_call(&f, &t, "test_tool_with_progress", "{}");
    CHECK_TEXT(&t, "Tool with progress executed successfully");
    CHECK_INT(t.progresses, 3);
    CHECK_STR(t.last_progress, "100 100 ");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "test_tool_with_logging", "{}");
    CHECK_INT(t.messages, 3);
    CHECK_STR(t.last_message, "1 conformance \"Tool execution completed\"");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "protocol_error_job", "{}");
    CHECK_INT(t.call.result.outcome, FLOPINIO_PROTOCOL_ERROR);
    CHECK_INT(t.call.result.error_code, -32603);
    fl_host_call_fini(&t.call);
    trial_init(&t, &f, "slow_compute", "{\"seconds\":600}");
    trial_start(&t, &f);
    fixture_sleep(&f, 50);
    fl_op_cancel(&t.call.op);
    trial_wait(&t);
    CHECK_TEXT(&t, "cancelled");
    CHECK_INT(t.call.result.outcome, FLOPINIO_TOOL_ERROR);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static const struct fl_test tests[] = {
    T(every_write_goes_through_preview_and_start),
    T(a_sandbox_without_write_refuses_and_previews_still_work),
    T(a_wrong_root_is_one_clear_sentence),
    T(the_host_takes_the_description_of_each_shipped_plugin),
    T(the_conformance_plugin_reports_over_time_and_is_cancelled),
};
TEST_MAIN(tests)
