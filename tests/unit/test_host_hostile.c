/* Plugins that crash, hang, flood, lie and reach out: the worker goes on, the error is one clear
 * sentence, and the next call on the instance works. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host_fixture.h"

#define HOSTILE PLUGIN("hostile")

/* After whatever it did, the instance serves. */
static void check_next_call(struct fixture *f)
{
    struct trial t;
    fixture_call(f, &t, "fine", "{}");
    CHECK_TEXT(&t, "fine");
    fl_host_call_fini(&t.call);
}

/* One call with no outcome, its sentence, and the next call. */
static void check_unknown(const char *tool, int64_t timeout_ms, enum fl_code code, const char *text)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    fixture_open(&f, HOSTILE);
    check_next_call(&f); /* so that the time limit does not count loading */
    trial_init(&t, &f, tool, "{}");
    t.call.timeout_ms = timeout_ms;
    trial_run(&t, &f);
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, code, text);
    fl_host_call_fini(&t.call);
    fl_host_instance_info(f.instance, &info);
    CHECK_INT(info.work.pid, 0); /* told when the process was dead */
    CHECK_INT(info.work.failures, 1);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_a_segmentation_fault_costs_its_call_only(void)
{
    check_unknown("segv", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was ended by signal 11 "
                  "(Segmentation fault)");
}

static void test_an_abort_costs_its_call_only(void)
{
    check_unknown("do_abort", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was ended by signal 6 (Aborted)");
}

static void test_exit_0_is_no_outcome(void)
{
    check_unknown("exit_0", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process exited with code 0");
}

#define KILLED                                                                                     \
    "the plugin process was killed, because a call did not end within " FIXTURE_GRACE              \
    " ms of being "                                                                                \
    "told to"

static void test_a_spinning_plugin_is_killed(void)
{
    check_unknown("spin", 200, FL_TIMEOUT, "the call did not end within 200 ms: " KILLED);
}

static void test_a_sleeping_plugin_is_killed(void)
{
    check_unknown("sleep_long", 200, FL_TIMEOUT, "the call did not end within 200 ms: " KILLED);
}

static void test_a_job_that_is_never_done_is_ended(void)
{
    check_unknown("never_done", 200, FL_TIMEOUT, "the call did not end within 200 ms: " KILLED);
}

static void test_garbage_on_the_socket_ends_the_process(void)
{
    check_unknown("garbage", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it sent "
                  "garbage instead of a frame");
}

static void test_an_oversize_frame_is_not_read(void)
{
    check_unknown("oversize", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it sent a "
                  "frame that is too large");
}

static void test_a_result_for_a_foreign_job_ends_the_process(void)
{
    check_unknown("foreign_job", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it sent a "
                  "frame that makes no sense");
}

static void test_a_second_ready_ends_the_process(void)
{
    check_unknown("ready_again", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it said twice "
                  "that it is ready");
}

static void test_a_flood_of_notes_ends_the_process(void)
{
    check_unknown("note_flood", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it flooded "
                  "the worker with messages");
}

static void test_closing_the_socket_ends_the_process(void)
{
    check_unknown("close_socket", 0, FL_PLUGIN,
                  "the call gave no outcome: the plugin process was killed, because it had closed "
                  "its socket");
}

static void test_a_forged_result_without_json_is_refused(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "bad_json", "{\"job\":1}"); /* an instance's first job has number 1 */
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_PLUGIN,
                     "the call gave no outcome: the plugin process was killed, because it sent a "
                     "frame that makes no sense");
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_an_outcome_that_is_none_is_unknown(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "bad_outcome", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_PLUGIN,
                     "the plugin ended the call with 17, which is no outcome");
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_done_twice_and_from_the_grave_hits_nothing(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "done_twice", "{}");
    CHECK_TEXT(&t, "once");
    fl_host_call_fini(&t.call);
    for (int i = 0; i < 20; i++) { /* while the forgotten thread ends a job that is not its own */
        check_next_call(&f);
        fixture_sleep(&f, 3);
    }
    struct fl_host_instance_info info;
    fl_host_instance_info(f.instance, &info);
    CHECK_INT(info.work.starts, 1);
    fixture_close(&f);
}

/* The loop's timers stand still then; who waits for the outcome goes by a clock that does not. */
static void test_a_deadline_passes_while_the_machine_is_suspended(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    check_next_call(&f);
    trial_init(&t, &f, "never_done", "{}");
    t.call.timeout_ms = 60000;
    trial_start(&t, &f);
    while (t.call.place != FL_HOST_CALL_RUNNING)
        fixture_sleep(&f, 3);
    fl_clock_skew_set((struct fl_clock_skew){ .boot_ms = 120000 });
    int64_t from_ms = fl_mono_ms();
    trial_wait(&t);
    CHECK(fl_mono_ms() - from_ms < 15000);
    CHECK_NO_OUTCOME(
        &t, FL_HOST_UNKNOWN, FL_TIMEOUT,
        "the call did not end within 60000 ms: the plugin process was killed, because a "
        "call did not end within 0 ms of being told to");
    fl_host_call_fini(&t.call);
    fl_clock_skew_set((struct fl_clock_skew){ 0 });
    fixture_close(&f);
}

/* However long a plugin has after a cancellation: behind its deadline it has what its caller says.
 */
static void test_a_call_ends_at_its_own_grace_behind_the_deadline(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(HOSTILE);
    f.config.limits.cancel_grace_ms = 60000;
    fixture_instance(&f);
    check_next_call(&f);
    trial_init(&t, &f, "never_done", "{}");
    t.call.timeout_ms = 3000;
    t.call.grace_ms = 100;
    trial_start(&t, &f);
    while (t.call.place != FL_HOST_CALL_RUNNING)
        fixture_sleep(&f, 3);
    fl_op_cancel(&t.call.op); /* has as long as the deadline and the grace behind it */
    trial_wait(&t);
    CHECK_INT(t.call.ran, FL_HOST_UNKNOWN);
    CHECK_INT(t.call.op.code, FL_CANCELLED);
    CHECK(t.call.given_ms > 500 && t.call.given_ms <= 3100);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_late_done_after_cancel_is_the_outcome(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    check_next_call(&f);
    trial_init(&t, &f, "late_done", "{}");
    t.call.timeout_ms = 100;
    trial_run(&t, &f);
    CHECK_ENDED(&t);
    CHECK_INT(t.call.result.outcome, FLOPINIO_OK);
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

/* ---- calls beside it ---- */

static void test_queued_calls_survive_a_crash_and_running_ones_are_unknown(void)
{
    enum { CALLS = 6 };
    struct fixture f = { 0 };
    static struct trial t[CALLS];
    fixture_host(&f);
    f.config = fixture_config(HOSTILE);
    f.config.limits.parallel_jobs = 2;
    fixture_instance(&f);
    check_next_call(&f);
    static const char *const tools[CALLS] = {
        "never_done", "segv", "fine", "fine", "segv", "fine"
    };
    for (int i = 0; i < CALLS; i++) {
        trial_init(&t[i], &f, tools[i], "{}");
        trial_start(&t[i], &f);
    }
    for (int i = 0; i < CALLS; i++)
        trial_wait(&t[i]);
    for (int i = 0; i < CALLS; i++) {
        if (strcmp(tools[i], "fine") == 0) {
            /* one that was handed over together with the second crash may be unknown */
            CHECK(t[i].call.ran == FL_HOST_ENDED || (t[i].call.ran == FL_HOST_UNKNOWN && i >= 3));
        } else {
            CHECK_NO_OUTCOME(&t[i], FL_HOST_UNKNOWN, FL_PLUGIN,
                             "the call gave no outcome: the plugin process was ended by signal 11 "
                             "(Segmentation fault)");
        }
        fl_host_call_fini(&t[i].call);
    }
    CHECK_INT(t[2].call.ran, FL_HOST_ENDED);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_crashes_in_a_row_back_off(void)
{
    enum { CALLS = 5 };
    struct fixture f = { 0 };
    static struct trial t[CALLS];
    struct fl_host_instance_info info;
    fixture_open(&f, HOSTILE);
    check_next_call(&f); /* so that the first crash does not wait for loading */
    for (int i = 0; i < CALLS; i++) {
        trial_init(&t[i], &f, "segv", "{}");
        t[i].call.timeout_ms = 1000;
        trial_start(&t[i], &f);
    }
    int not_started = 0;
    for (int i = 0; i < CALLS; i++) {
        trial_wait(&t[i]);
        if (t[i].call.ran == FL_HOST_NOT_STARTED) {
            not_started++;
            CHECK_NO_OUTCOME(&t[i], FL_HOST_NOT_STARTED, FL_TIMEOUT,
                             "the call waited 1000 ms and was not started; the last error was: "
                             "the plugin process was ended by signal 11 (Segmentation fault)");
        } else {
            CHECK_INT(t[i].call.ran, FL_HOST_UNKNOWN);
        }
        fl_host_call_fini(&t[i].call);
    }
    /* 0 + 200 + 400 + 800 ms of pauses stand before the fifth */
    CHECK_MSG(not_started >= 1, "all five crashed within a second");
    fl_host_instance_info(f.instance, &info);
    CHECK(info.work.failures == (uint64_t)(CALLS - not_started));
    fixture_close(&f);
}

static void test_the_others_answer_while_one_plugin_floods(void)
{
    struct fixture flooded = { 0 }, f;
    struct trial flood, t;
    fixture_open(&flooded, HOSTILE);
    trial_init(&flood, &flooded, "output_flood", "{}");
    flood.call.timeout_ms = 2000;
    trial_start(&flood, &flooded);
    f = flooded; /* the same loop and host, another instance */
    fixture_instance(&f);
    int calls = 0;
    while (!flood.is_done) {
        trial_init(&t, &f, "fine", "{}");
        trial_start(&t, &f);
        while (!t.is_done)
            uv_run(&flooded.loop.uv, UV_RUN_ONCE);
        CHECK_ENDED(&t);
        fl_host_call_fini(&t.call);
        calls++;
    }
    CHECK_MSG(calls > 20, "%d calls", calls);
    CHECK_INT(flood.call.ran, FL_HOST_UNKNOWN); /* 100 MB do not fit into the rate */
    fl_host_call_fini(&flood.call);
    struct waited_op stop = { .op.done = fixture_on_op, .loop = &flooded.loop };
    CHECK_OK(fl_host_instance_stop_start(&stop.op, f.instance));
    while (!stop.is_done)
        fl_loop_run(&flooded.loop);
    fl_host_instance_free(&f.instance);
    fixture_close(&flooded);
}

static bool says(const struct trial *t, const char *words)
{
    struct fl_str content = t->call.result.content;
    return memmem(content.p, content.n, words, strlen(words)) != NULL;
}

/* ---- limits ---- */

/* The number that the tool answered with. */
static int number_of(struct trial *t)
{
    static const char before[] = "[{\"type\":\"text\",\"text\":\"";
    CHECK_ENDED(t);
    CHECK(says(t, before));
    struct fl_str content = t->call.result.content;
    int number = 0;
    for (size_t i = sizeof before - 1; i < content.n && isdigit((unsigned char)content.p[i]); i++)
        number = number * 10 + (content.p[i] - '0');
    return number;
}

static void test_memory_is_limited(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "memory", "{}");
    int mib = number_of(&t);
    CHECK_MSG(mib > 0 && mib <= 256, "%d MiB", mib);
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_descriptors_are_limited(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "descriptor_flood", "{}");
    int count = number_of(&t);
    CHECK_MSG(count > 0 && count <= 60, "%d descriptors", count);
    fl_host_call_fini(&t.call);
    check_next_call(&f); /* which needs none */
    fixture_close(&f);
}

static void test_results_are_limited(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    fixture_call(&f, &t, "text_flood", "{}");
    CHECK_ENDED(&t);
    CHECK(t.call.result.is_lost);
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

static void test_cpu_time_is_limited(void)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(HOSTILE);
    f.config.limits.cpu_s = 1;
    fixture_instance(&f);
    fixture_call(&f, &t, "spin", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_UNKNOWN, FL_PLUGIN,
                     "the call gave no outcome: the plugin process was ended by signal 24 (CPU "
                     "time limit exceeded)");
    fl_host_call_fini(&t.call);
    check_next_call(&f);
    fixture_close(&f);
}

static int parent_of(int pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    const char *at = strrchr(text, ')');
    return at && strlen(at) > 4 ? atoi(at + 4) : 0;
}

/* Processes below this one, near or far, zombies too. */
static int count_descendants(void)
{
    int count = 0;
    DIR *processes = opendir("/proc");
    CHECK(processes);
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        for (int pid = atoi(entry->d_name); pid > 1;) {
            pid = parent_of(pid);
            if (pid == getpid())
                count++;
        }
    }
    closedir(processes);
    return count;
}

static void check_bomb(const char *tool)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_host_instance_info info;
    fixture_open(&f, HOSTILE);
    check_next_call(&f);
    CHECK_INT(count_descendants(), 1);
    fixture_call(&f, &t, tool, "{}");
    int count = number_of(&t);
    /* Without a user of their own others add to the count, and take from it. */
    if (geteuid() == 0)
        CHECK_MSG(count > 4 && count <= 16, "%d processes", count);
    else
        CHECK_MSG(count < 200, "%d processes", count);
    fl_host_call_fini(&t.call);
    CHECK_MSG(count_descendants() > count / 2, "%d of %d", count_descendants(), count);
    fixture_call(&f, &t, "segv", "{}");
    CHECK_INT(t.call.ran, FL_HOST_UNKNOWN);
    fl_host_call_fini(&t.call);
    fl_host_instance_info(f.instance, &info);
    CHECK_INT(info.work.pid, 0);
    CHECK_INT(count_descendants(), 0); /* all of them, those that left the session too */
    check_next_call(&f);
    fixture_close(&f);
}

static void test_a_fork_bomb_is_bounded_and_cleared(void)
{
    check_bomb("fork_bomb");
}

static void test_processes_that_leave_the_session_are_cleared_too(void)
{
    check_bomb("fork_escape");
}

/* ---- reaching out ---- */

static int landlock_of(struct fixture *f)
{
    struct fl_host_instance_info info;
    check_next_call(f);
    fl_host_instance_info(f->instance, &info);
    return strncmp(info.work.sandbox, "landlock ", 9) == 0 ? atoi(info.work.sandbox + 9) : 0;
}

static void check_denied(const char *tool, int least_landlock)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    if (landlock_of(&f) < least_landlock && geteuid() != 0)
        fl_test_skip("this kernel's Landlock cannot do that, and the test does not run as root");
    fixture_call(&f, &t, tool, "{}");
    CHECK_ENDED(&t);
    CHECK_MSG(says(&t, "Permission denied") || says(&t, "Operation not permitted"), "%.*s",
              FL_STR_ARG(t.call.result.content));
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_etc_shadow_cannot_be_opened(void)
{
    check_denied("shadow", 1);
}

static void test_the_parent_cannot_be_traced(void)
{
    check_denied("trace_parent", 1);
}

static void test_the_parent_cannot_be_stopped(void)
{
    check_denied("stop_parent", 6);
}

static void test_no_program_can_be_run(void)
{
    check_denied("run_program", 1);
}

static void test_a_loopback_port_is_reached_only_if_allowed(void)
{
    struct fixture f = { 0 };
    struct trial t;
    char arguments[64];
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_INT(listen(fd, 4), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(arguments, sizeof arguments, "{\"port\":%d}", ntohs(address.sin_port));
    for (int is_allowed = 0; is_allowed <= 1; is_allowed++) {
        fixture_host(&f);
        f.config = fixture_config(HOSTILE);
        f.config.sandbox.may_network = is_allowed != 0;
        fixture_instance(&f);
        if (landlock_of(&f) < 4 && geteuid() != 0)
            fl_test_skip("this kernel's Landlock knows no TCP");
        fixture_call(&f, &t, "connect_loopback", arguments);
        CHECK_ENDED(&t);
        CHECK_MSG((says(&t, "it worked")) == (is_allowed != 0), "%.*s",
                  FL_STR_ARG(t.call.result.content));
        fl_host_call_fini(&t.call);
        fixture_close(&f);
        f.instance = NULL;
    }
    close(fd);
}

/* A socket that anybody may connect to: with a path, or '@' and a name. */
static int listen_unix(const char *path, int type)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, path, strlen(path));
    if (path[0] == '@')
        at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    CHECK_INT(bind(fd, (struct sockaddr *)&at, size), 0);
    if (type == SOCK_STREAM)
        CHECK_INT(listen(fd, 4), 0);
    if (path[0] != '@')
        CHECK_INT(chmod(path, 0777), 0);
    return fd;
}

static bool has_seccomp(const struct fixture *f)
{
    struct fl_host_instance_info info;
    fl_host_instance_info(f->instance, &info);
    return strstr(info.work.sandbox, ", seccomp, ") != NULL;
}

static void check_not_permitted(struct fixture *f, const char *tool, const char *path)
{
    struct trial t;
    char arguments[128];
    snprintf(arguments, sizeof arguments, "{\"path\":\"%s\"}", path);
    fixture_call(f, &t, tool, arguments);
    CHECK_ENDED(&t);
    CHECK_MSG(says(&t, "Operation not permitted"), "%s %s: %.*s", tool, path,
              FL_STR_ARG(t.call.result.content));
    fl_host_call_fini(&t.call);
}

/* The runtime's control socket is of the same user where it does not run as root: whoever connects
 * there is the operator. With network or without, also a child of a child, also by a datagram. */
static void test_no_unix_socket_is_reached_or_a_plugin_becomes_the_operator(void)
{
    char folder[] = "/tmp/flopinio-test-XXXXXX", stream[64], datagram[64], name[64];
    struct fixture f = { 0 };
    CHECK(mkdtemp(folder) && chmod(folder, 0755) == 0);
    snprintf(stream, sizeof stream, "%s/stream", folder);
    snprintf(datagram, sizeof datagram, "%s/datagram", folder);
    snprintf(name, sizeof name, "@flopinio-test-%d", (int)getpid());
    int fds[] = { listen_unix(stream, SOCK_STREAM), listen_unix(name, SOCK_STREAM),
                  listen_unix(datagram, SOCK_DGRAM) };
    for (int may_network = 0; may_network <= 1; may_network++) {
        fixture_host(&f);
        f.config = fixture_config(HOSTILE);
        f.config.sandbox.may_network = may_network != 0;
        fixture_instance(&f);
        check_next_call(&f);
        if (!has_seccomp(&f))
            fl_test_skip("this kernel has no seccomp filters");
        check_not_permitted(&f, "connect_unix", stream);
        check_not_permitted(&f, "connect_unix", name);
        check_not_permitted(&f, "connect_from_child", stream);
        check_not_permitted(&f, "connect_datagram", datagram);
        fixture_close(&f);
        f.instance = NULL;
    }
    for (size_t i = 0; i < FL_COUNTOF(fds); i++)
        close(fds[i]);
    unlink(stream);
    unlink(datagram);
    rmdir(folder);
}

static void test_what_no_filter_or_ruleset_sees_is_refused(void)
{
    static const char *const tools[] = { "open_ring",    "read_parent",  "mark_parent",
                                         "share_memory", "trace_parent", "send_datagram" };
    struct fixture f = { 0 };
    struct trial t;
    fixture_open(&f, HOSTILE);
    check_next_call(&f);
    if (!has_seccomp(&f))
        fl_test_skip("this kernel has no seccomp filters");
    for (size_t i = 0; i < FL_COUNTOF(tools); i++)
        check_not_permitted(&f, tools[i], "");
    fixture_call(&f, &t, "run_from_memory", "{}");
    CHECK_TEXT(&t, "Permission denied");
    fl_host_call_fini(&t.call);
    fixture_call(&f, &t, "keep_house", "{}"); /* and what is its own stays */
    CHECK_TEXT(&t, "it worked");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

/* ---- while it starts ---- */

static void check_start(const char *key, int value, int64_t start_ms, enum fl_code code,
                        const char *text)
{
    struct fixture f = { 0 };
    struct trial t;
    fixture_host(&f);
    f.config = fixture_config(HOSTILE);
    f.config.configuration = json_pack("{s:i}", key, value);
    f.config.limits.start_ms = start_ms;
    fixture_instance(&f);
    json_decref(f.config.configuration);
    fixture_call(&f, &t, "fine", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, code, text);
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static void test_a_crash_while_opening_is_not_started(void)
{
    check_start("die_in_open", 11, 0, FL_PLUGIN,
                "the plugin process was ended by signal 11 (Segmentation fault)");
}

static void test_a_hang_while_opening_is_not_started(void)
{
    check_start("hang_in_open", 1, 1500, FL_TIMEOUT, "the plugin was not ready within 1500 ms");
}

static void test_a_program_that_cannot_be_started_is_not_started(void)
{
    struct fixture f = { 0 };
    struct trial t;
    struct fl_err err;
    fl_log_init(FL_LOG_OFF, FL_LOG_TEXT);
    CHECK_OK(fl_loop_init(&f.loop, &err));
    CHECK_OK(fl_host_new(&f.loop, "/nonexistent/flopinio", &f.host, &err));
    f.config = fixture_config(HOSTILE);
    fixture_instance(&f);
    fixture_call(&f, &t, "fine", "{}");
    CHECK_NO_OUTCOME(&t, FL_HOST_NOT_STARTED, FL_IO,
                     "could not start /nonexistent/flopinio: no such file or directory");
    fl_host_call_fini(&t.call);
    fixture_close(&f);
}

static const struct fl_test tests[] = {
    T(a_segmentation_fault_costs_its_call_only),
    T(an_abort_costs_its_call_only),
    T(exit_0_is_no_outcome),
    T(a_spinning_plugin_is_killed),
    T(a_sleeping_plugin_is_killed),
    T(a_job_that_is_never_done_is_ended),
    T(a_deadline_passes_while_the_machine_is_suspended),
    T(a_call_ends_at_its_own_grace_behind_the_deadline),
    T(garbage_on_the_socket_ends_the_process),
    T(an_oversize_frame_is_not_read),
    T(a_result_for_a_foreign_job_ends_the_process),
    T(a_second_ready_ends_the_process),
    T(a_flood_of_notes_ends_the_process),
    T(closing_the_socket_ends_the_process),
    T(a_forged_result_without_json_is_refused),
    T(an_outcome_that_is_none_is_unknown),
    T(done_twice_and_from_the_grave_hits_nothing),
    T(a_late_done_after_cancel_is_the_outcome),
    T(queued_calls_survive_a_crash_and_running_ones_are_unknown),
    T(crashes_in_a_row_back_off),
    T(the_others_answer_while_one_plugin_floods),
    T(memory_is_limited),
    T(descriptors_are_limited),
    T(results_are_limited),
    T(cpu_time_is_limited),
    T(a_fork_bomb_is_bounded_and_cleared),
    T(processes_that_leave_the_session_are_cleared_too),
    T(etc_shadow_cannot_be_opened),
    T(the_parent_cannot_be_traced),
    T(the_parent_cannot_be_stopped),
    T(no_program_can_be_run),
    T(a_loopback_port_is_reached_only_if_allowed),
    T(no_unix_socket_is_reached_or_a_plugin_becomes_the_operator),
    T(what_no_filter_or_ruleset_sees_is_refused),
    T(a_crash_while_opening_is_not_started),
    T(a_hang_while_opening_is_not_started),
    T(a_program_that_cannot_be_started_is_not_started),
};
TEST_MAIN(tests)
