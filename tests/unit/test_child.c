/* Child processes: descriptors, output, ends, and which orphans are killed. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "runtime/io/child.h"

struct run {
    struct fl_child child;
    struct fl_loop loop;
    bool has_ended;
    int lines;
    uint64_t dropped;
    char text[4096];
};

static void on_line(struct fl_child *child, struct fl_str line, uint64_t dropped)
{
    struct run *r = FL_CONTAINER(child, struct run, child);
    size_t n = strlen(r->text);
    r->lines++;
    r->dropped += dropped;
    snprintf(r->text + n, sizeof r->text - n, "[%.*s]", FL_STR_ARG(line));
}

static void on_end(struct fl_child *child)
{
    struct run *r = FL_CONTAINER(child, struct run, child);
    r->has_ended = true;
}

/* Starts `script` in a shell. */
static void start(struct run *r, const char *script, bool kills_strays)
{
    struct fl_err err;
    char *arguments[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)(uintptr_t)script, NULL };
    char *environment[] = { (char[]){ "PATH=/usr/bin:/bin" }, (char[]){ "KEPT=1" }, NULL };
    struct fl_child_options options = {
        .program = "/bin/sh",
        .arguments = arguments,
        .environment = environment,
        .fds = { FL_CHILD_NULL, FL_CHILD_OUTPUT, FL_CHILD_OUTPUT, FL_CHILD_NULL },
        .kills_strays = kills_strays,
    };
    CHECK_OK(fl_loop_init(&r->loop, &err));
    r->child.on_line = on_line;
    r->child.on_end = on_end;
    CHECK_OK(fl_child_start(&r->child, &r->loop, &options, &err));
    CHECK(r->child.pid > 0);
}

static void finish(struct run *r)
{
    fl_loop_run(&r->loop);
    CHECK(r->has_ended);
    CHECK_INT(r->child.pid, 0);
    CHECK_INT(fl_loop_fini(&r->loop), 0);
}

static void test_output_comes_line_by_line_and_the_end_is_told(void)
{
    struct run r = { 0 };
    char how[128];
    start(&r, "echo one; echo two >&2; printf 'no end'; exit 7", false);
    finish(&r);
    CHECK_STR(r.text, "[one][two][no end]");
    fl_child_end_text(&r.child, how, sizeof how);
    CHECK_STR(how, "exited with code 7");
}

static void test_a_signal_is_named(void)
{
    struct run r = { 0 };
    char how[128];
    start(&r, "kill -TERM $$", false);
    finish(&r);
    fl_child_end_text(&r.child, how, sizeof how);
    CHECK_STR(how, "was ended by signal 15 (Terminated)");
}

static void test_a_child_has_what_it_is_given_and_nothing_else(void)
{
    struct run r = { 0 };
    setenv("SECRET", "1", 1);
    start(&r, "echo $KEPT-$SECRET; read line || echo eof; echo x >&3 || echo closed", false);
    finish(&r);
    CHECK_MSG(strncmp(r.text, "[1-][eof]", 9) == 0 && strstr(r.text, "[closed]"), "%s", r.text);
}

static void test_long_lines_come_in_pieces_and_too_many_are_dropped(void)
{
    struct run r = { 0 };
    start(&r,
          "head -c 2500 /dev/zero | tr '\\0' x; echo; i=0; "
          "while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done",
          false);
    finish(&r);
    CHECK_MSG(r.lines >= 200 && r.lines < 600, "%d lines", r.lines);
    for (int i = 1; i < 3; i++) /* the first two pieces are full */
        CHECK_INT(r.text[i * 1002], '[');
}

static void test_kill_reaches_the_whole_session(void)
{
    struct run r = { 0 };
    start(&r, "sleep 60 & sleep 60 & echo ready; wait", true); /* its orphans become ours */
    while (!r.lines)
        uv_run(&r.loop.uv, UV_RUN_ONCE);
    fl_child_kill(&r.child, SIGKILL);
    finish(&r);
    for (int i = 0; i < 2; i++) {
        int status = 0;
        CHECK(waitpid(-1, &status, 0) > 0);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    fl_child_kill(&r.child, SIGKILL); /* harmless now */
}

/* The pid that the script wrote. */
static int orphan_of(const struct run *r)
{
    int pid = 0;
    CHECK_MSG(sscanf(r->text, "[%d]", &pid) == 1 && pid > 1, "%s", r->text);
    return pid;
}

#define LEAVE "setsid sh -c 'echo \\$\\$; exec sleep 60 >/dev/null 2>&1' & sleep 0.3"

static void test_an_orphan_without_the_mark_is_left_alone(void)
{
    struct run r = { 0 };
    start(&r, "sh -c \"" LEAVE "\"", true);
    finish(&r);
    int pid = orphan_of(&r);
    CHECK_INT(kill(pid, 0), 0);
    CHECK_INT(waitpid(pid, NULL, WNOHANG), 0); /* it is ours now, and lives */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_a_marked_orphan_is_killed(void)
{
    struct run r = { 0 };
    if (system("command -v prlimit >/dev/null") != 0)
        fl_test_skip("no prlimit program here");
    start(&r, "prlimit --msgqueue=0:0 sh -c \"" LEAVE "\"", true);
    finish(&r);
    CHECK(kill(orphan_of(&r), 0) != 0);
}

static void test_a_program_that_is_not_there_is_an_error_and_leaves_nothing(void)
{
    struct fl_loop loop;
    struct fl_err err;
    struct fl_child child = { .on_end = on_end };
    char *arguments[] = { (char[]){ "x" }, NULL };
    struct fl_child_options options = { .program = "/nonexistent",
                                        .arguments = arguments,
                                        .fds = { FL_CHILD_NULL, FL_CHILD_OUTPUT, FL_CHILD_OUTPUT,
                                                 FL_CHILD_NULL } };
    CHECK_OK(fl_loop_init(&loop, &err));
    CHECK_INT(fl_child_start(&child, &loop, &options, &err), FL_IO);
    CHECK_STR(err.text, "could not start /nonexistent: no such file or directory");
    memset(&child, 0x5a, sizeof child); /* the memory may go at once */
    fl_loop_run(&loop);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static const struct fl_test tests[] = {
    T(output_comes_line_by_line_and_the_end_is_told),
    T(a_signal_is_named),
    T(a_child_has_what_it_is_given_and_nothing_else),
    T(long_lines_come_in_pieces_and_too_many_are_dropped),
    T(kill_reaches_the_whole_session),
    T(an_orphan_without_the_mark_is_left_alone),
    T(a_marked_orphan_is_killed),
    T(a_program_that_is_not_there_is_an_error_and_leaves_nothing),
};
TEST_MAIN(tests)
