/* The life of a plugin process: started, idle, replaced, stopped, refused; its configuration and
 * sandbox; and what authors read about it. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "host_fixture.h"
#include "runtime/host/seccomp.h"

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
        ("plugin instance test: a plugin never runs as root: it needs an operating-system user of "
         "its own"),
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

/* Every landlock_create_ruleset from now on fails as on an old kernel. */
static bool take_landlock_away(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { FL_COUNTOF(code), code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void test_a_kernel_without_landlock_is_said_and_does_not_fail(void)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    if (!take_landlock_away())
        fl_test_skip("no seccomp filters here");
    fixture_open(&f, PLUGIN("good"));
    fixture_call(&f, &t, "echo", "{}");
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
    fl_host_instance_info(f.instance, &info);
    CHECK_MSG(strncmp(info.work.sandbox, "no landlock in this kernel, ", 28) == 0, "%s",
              info.work.sandbox);
    fixture_close(&f);
}

static void check_says(struct fixture *f, const char *tool, const char *text)
{
    struct trial t;
    fixture_call(f, &t, tool, "{\"path\":\"/run/dbus/system_bus_socket\"}");
    CHECK_ENDED(&t);
    CHECK_MSG(memmem(t.call.result.content.p, t.call.result.content.n, text, strlen(text)),
              "%s: %.*s", tool, FL_STR_ARG(t.call.result.content));
    fl_host_call_fini(&t.call);
}

/* Signals, programs and sockets are no matter of files. */
static void test_without_landlock_seccomp_still_holds(void)
{
    struct fixture f = { 0 };
    struct fl_host_instance_info info;
    if (!take_landlock_away())
        fl_test_skip("no seccomp filters here");
    fixture_open(&f, PLUGIN("hostile"));
    check_says(&f, "connect_unix", "Operation not permitted");
    fl_host_instance_info(f.instance, &info);
    CHECK_MSG(strstr(info.work.sandbox, ", seccomp, ") && strstr(info.work.sandbox, "no network"),
              "%s", info.work.sandbox);
    check_says(&f, "stop_parent", "Operation not permitted");
    check_says(&f, "run_program", "Permission denied");
    check_says(&f, "keep_house", "it worked");
    fixture_close(&f);
}

/* prctl(PR_SET_SECCOMP) answers from now on as a kernel that was built without it. */
static void take_seccomp_away(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { FL_COUNTOF(code), code };
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void test_a_kernel_without_seccomp_is_said_and_does_not_fail(void)
{
    struct fixture f = { 0 };
    struct fl_host_instance_info info;
    if (!fl_seccomp_is_there())
        fl_test_skip("no seccomp filters here");
    take_seccomp_away();
    CHECK(!fl_seccomp_is_there());
    fixture_open(&f, PLUGIN("hostile"));
    check_says(&f, "fine", "fine");
    fl_host_instance_info(f.instance, &info);
    CHECK_MSG(strstr(info.work.sandbox, ", no seccomp in this kernel, "), "%s", info.work.sandbox);
    fixture_close(&f);
}

static void test_very_long_times_are_no_overflow(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(PLUGIN("good"));
    f.config.limits.idle_ms = INT64_MAX;
    f.config.limits.cancel_grace_ms = INT64_MAX;
    fixture_instance(&f);
    trial_init(&t, &f, "echo", "{}");
    t.call.timeout_ms = INT64_MAX;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    fl_host_call_fini(&t.call);
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

/* ---- what authors read ---- */

static void run(const char *command)
{
    int status = system(command);
    CHECK_MSG(status == 0, "%s: %d", command, status);
}

static void test_the_header_compiles_alone_as_c11_and_cxx17(void)
{
#define HEADER FL_SOURCE_DIR "/include/flopinio/plugin.h"
    if (system("command -v cc c++ >/dev/null") != 0)
        fl_test_skip("no compiler here");
    run("cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c " HEADER);
    run("c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ " HEADER);
}

/* The first C block of the page for authors, built as it says there. */
static void test_the_tool_in_the_documentation_works(void)
{
    struct fixture f = { 0 };
    struct trial t;
    char folder[] = "/tmp/fl-host-XXXXXX", path[64], command[512];
    if (system("command -v cc >/dev/null") != 0)
        fl_test_skip("no compiler here");
    char *page = fl_test_read_file(FL_SOURCE_DIR "/docs/plugins.md", NULL);
    char *from = strstr(page, "```c\n"), *to = from ? strstr(from + 4, "```") : NULL;
    CHECK(from && to);
    CHECK(mkdtemp(folder));
    CHECK_INT(chmod(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/lines.c", folder);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fwrite(from + 5, 1, (size_t)(to - from) - 5, file);
    fclose(file);
    CHECK_INT(chmod(path, 0644), 0);
    snprintf(command, sizeof command,
             "cd %s && cc -std=c11 -Wall -Wextra -Werror -shared -fPIC -I" FL_SOURCE_DIR
             "/include -o lines.so lines.c && chmod 755 lines.so",
             folder);
    run(command);
    snprintf(command, sizeof command, "%s/lines.so", folder);
    struct fl_host_path paths[] = { { folder, FL_HOST_READ } };
    fixture_host(&f);
    f.config = fixture_config(command);
    f.config.sandbox.paths = paths;
    f.config.sandbox.path_count = 1;
    f.config.configuration = json_pack("{s:i}", "limit", 7);
    fixture_instance(&f);
    json_decref(f.config.configuration);
    char arguments[128];
    snprintf(arguments, sizeof arguments, "{\"path\":\"%s\"}", path);
    fixture_call(&f, &t, "count_lines", arguments);
    CHECK_ENDED(&t);
    CHECK_SPAN(t.call.result.structured, "{\"lines\":7}");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "count_lines", "{\"path\":\"/etc/passwd\"}");
    CHECK_TEXT(&t, "cannot open the file");
    CHECK_INT(t.call.result.outcome, FLOPINIO_TOOL_ERROR);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
    free(page);
    snprintf(command, sizeof command, "rm -r %s", folder);
    run(command);
}

static const struct fl_test tests[] = {
    T(one_process_serves_many_calls_and_previews_have_their_own),
    T(an_idle_process_is_stopped_and_started_again),
    T(a_process_is_replaced_before_its_cpu_time_is_used_up),
    T(stop_ends_queued_calls_and_lets_the_running_one_finish),
    T(stop_at_once_kills),
    T(a_plugin_that_does_not_open_says_why_and_is_tried_again),
    T(configuration_and_allowed_environment_arrive),
    T(previews_cannot_write_where_the_work_can),
    T(configurations_that_cannot_work_are_refused),
    T(a_kernel_without_landlock_is_said_and_does_not_fail),
    T(without_landlock_seccomp_still_holds),
    T(a_kernel_without_seccomp_is_said_and_does_not_fail),
    T(very_long_times_are_no_overflow),
    T(users_are_names_or_numbers_and_never_root),
    T(the_header_compiles_alone_as_c11_and_cxx17),
    T(the_tool_in_the_documentation_works),
};
TEST_MAIN(tests)
