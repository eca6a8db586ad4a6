/* Child processes on libuv: start, output, end, strays. */
#include "runtime/io/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/mem.h"

#define LINES_PER_S    50
#define LINES_BURST    200
#define WINDOW_MS      100
#define WINDOW_BYTES   (256 * 1024) /* of output read in one window; the child waits beyond */
#define STRAY_PAUSE_MS 5            /* doubled each round, up to 200 */
#define STRAY_ROUNDS   24

/* Every child of this process. Strays are told apart by not being here. */
static struct fl_list children;

static void finish_if_done(struct fl_child *child)
{
    if (child->is_ended && child->is_swept && child->open_handles == 0)
        child->on_end(child);
}

static void close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* ---- strays ---- */

enum mark { UNMARKED, MARKED, NOT_KNOWN };

/* The mark is a hard limit of 0 for POSIX message queues: every descendant inherits it, nobody can
 * raise it again without privileges, and nothing that we confine needs such queues. */
enum fl_code fl_child_mark_strays(struct fl_err *err)
{
    struct rlimit none = { 0, 0 };
    if (setrlimit(RLIMIT_MSGQUEUE, &none) != 0)
        return fl_err_set(err, FL_IO, "could not limit message queues: %s", strerror(errno));
    return FL_OK;
}

static bool is_ours(long pid)
{
    FL_LIST_FOREACH (link, &children) {
        if (FL_CONTAINER(link, struct fl_child, link)->pid == pid)
            return true;
    }
    return false;
}

/* A file of /proc/PID, cut at the buffer; false if the process has gone. */
static bool read_of(long pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* The second field behind the name, which may hold anything, also brackets. */
static long parent_of(long pid)
{
    char text[512];
    if (!read_of(pid, "stat", text, sizeof text))
        return 0;
    const char *behind_name = strrchr(text, ')');
    return behind_name && strlen(behind_name) > 4 ? strtol(behind_name + 4, NULL, 10) : 0;
}

/* prlimit() would need a privilege for another user's process; reading does not. */
static enum mark mark_of(long pid)
{
    static const char name[] = "Max msgqueue size";
    char text[4096], hard[16];
    if (!read_of(pid, "limits", text, sizeof text))
        return NOT_KNOWN;
    const char *line = strstr(text, name);
    if (!line || sscanf(line + sizeof name - 1, "%*15s %15s", hard) != 1)
        return NOT_KNOWN;
    return strcmp(hard, "0") == 0 ? MARKED : UNMARKED;
}

/* Then the mark says nothing. Asked once, before the first child: one of the same user could mark
 * this process later. */
static bool are_we_marked(void)
{
    static enum mark ours = NOT_KNOWN;
    if (ours == NOT_KNOWN)
        ours = mark_of(getpid());
    return ours == MARKED;
}

bool fl_child_may_be_stray(long pid)
{
    return !are_we_marked() && mark_of(pid) != UNMARKED;
}

/* Kills every marked child of this process that was not started here; how many are still there. A
 * child keeps its number until we wait for it, so that nobody else can be hit. */
static unsigned kill_strays(void)
{
    siginfo_t info;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
        return 0; /* no children at all: the usual case */
    if (are_we_marked())
        return 0;
    DIR *processes = opendir("/proc");
    if (!processes)
        return 0;
    unsigned seen = 0;
    long self = getpid();
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || parent_of(pid) != self || is_ours(pid) || mark_of(pid) != MARKED)
            continue;
        kill((pid_t)pid, SIGKILL);
        if (waitpid((pid_t)pid, NULL, WNOHANG) != (pid_t)pid)
            seen++;
    }
    closedir(processes);
    return seen;
}

/* A killed stray hands its own children to us, so that one round shows the next ones. */
static void sweep(struct fl_child *child)
{
    unsigned round = child->stray_rounds++;
    if (!child->kills_strays || kill_strays() == 0 || round == STRAY_ROUNDS)
        child->is_swept = true;
    else
        fl_loop_timer(child->loop, &child->timer, round < 6 ? STRAY_PAUSE_MS << round : 200);
    finish_if_done(child);
}

/* ---- output ---- */

static void put_line(struct fl_child *child)
{
    struct fl_str line = { child->line, child->line_n };
    child->line_n = 0;
    if (!child->on_line)
        return;
    if (!fl_bucket_take(&child->lines, fl_mono_ms())) {
        child->dropped++;
        return;
    }
    uint64_t dropped = child->dropped;
    child->dropped = 0;
    child->on_line(child, line, dropped);
}

static void put_output(struct fl_child *child, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            child->line[child->line_n++] = bytes[i];
        if (bytes[i] == '\n' || child->line_n == sizeof child->line)
            put_line(child);
    }
}

/* One read; false when there is nothing more for now. */
static bool read_output(struct fl_child *child)
{
    char bytes[16 * 1024];
    ssize_t n = read(child->output_fd, bytes, sizeof bytes);
    if (n > 0) {
        put_output(child, bytes, (size_t)n);
        child->window_bytes += (size_t)n;
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        fl_watch_pause(&child->output);
    return false;
}

static void on_output(struct fl_watch *watch, bool is_readable, bool is_writable)
{
    struct fl_child *child = FL_CONTAINER(watch, struct fl_child, output);
    FL_UNUSED(is_readable);
    FL_UNUSED(is_writable);
    int64_t now = fl_mono_ms();
    if (now - child->window_ms >= WINDOW_MS) {
        child->window_ms = now;
        child->window_bytes = 0;
    }
    if (read_output(child) && child->window_bytes > WINDOW_BYTES) {
        fl_watch_pause(watch);
        fl_loop_timer(child->loop, &child->timer, child->window_ms + WINDOW_MS - now);
    }
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_child *child = FL_CONTAINER(timer, struct fl_child, timer);
    if (child->is_ended)
        sweep(child);
    else
        fl_watch_read(&child->output, false);
}

/* ---- end ---- */

static void on_process_closed(uv_handle_t *handle)
{
    struct fl_child *child = handle->data;
    fl_free(handle);
    if (child) {
        child->open_handles--;
        finish_if_done(child);
    }
}

static void on_output_closed(struct fl_watch *watch)
{
    struct fl_child *child = FL_CONTAINER(watch, struct fl_child, output);
    close(child->output_fd);
    child->open_handles--;
    finish_if_done(child);
}

static void on_ended(uv_process_t *process, int64_t status, int term_signal)
{
    struct fl_child *child = process->data;
    child->exit_code = (int)status;
    child->exit_signal = term_signal;
    child->pid = 0;
    child->is_ended = true;
    fl_list_remove(&child->link);
    fl_loop_timer_cancel(child->loop, &child->timer);
    if (child->output_fd >= 0) {
        child->window_bytes = 0;
        while (child->window_bytes < WINDOW_BYTES && read_output(child))
            ;
        if (child->line_n)
            put_line(child);
        fl_watch_close(&child->output, on_output_closed);
    }
    uv_close((uv_handle_t *)process, on_process_closed);
    sweep(child);
}

/* ---- start ---- */

static bool wants_output(const struct fl_child_options *options)
{
    for (size_t i = 0; i < FL_CHILD_FDS; i++) {
        if (options->fds[i] == FL_CHILD_OUTPUT)
            return true;
    }
    return false;
}

static int spawn(struct fl_child *child, const struct fl_child_options *options, int output_fd)
{
    static char *const nothing[] = { NULL };
    uv_stdio_container_t stdio[FL_CHILD_FDS];
    for (size_t i = 0; i < FL_CHILD_FDS; i++) {
        int fd = options->fds[i] == FL_CHILD_OUTPUT ? output_fd : options->fds[i];
        stdio[i].flags = fd < 0 ? UV_IGNORE : UV_INHERIT_FD;
        stdio[i].data.fd = fd;
    }
    uv_process_options_t uv = {
        .exit_cb = on_ended,
        .file = options->program,
        .args = (char **)(uintptr_t)options->arguments,
        .env = (char **)(uintptr_t)(options->environment ? options->environment : nothing),
        .flags = UV_PROCESS_DETACHED, /* setsid: its group is its own, for fl_child_kill */
        .stdio_count = FL_CHILD_FDS,
        .stdio = stdio,
    };
    return uv_spawn(&child->loop->uv, child->process, &uv);
}

static void watch_output(struct fl_child *child, int fd)
{
    if (!fl_watch_open(&child->output, child->loop, fd, on_output)) {
        close(fd); /* the child's output is lost, its work is not */
        return;
    }
    child->output_fd = fd;
    child->open_handles++;
}

static void prepare(struct fl_child *child, struct fl_loop *loop, bool kills_strays)
{
    if (!children.next)
        fl_list_init(&children);
    child->pid = child->exit_code = child->exit_signal = 0;
    child->loop = loop;
    fl_list_init(&child->link);
    fl_timer_init(&child->timer, on_timer);
    child->output_fd = -1;
    child->lines = fl_bucket_of(LINES_PER_S, LINES_BURST);
    child->dropped = 0;
    child->window_bytes = child->line_n = 0;
    child->window_ms = 0;
    child->open_handles = child->stray_rounds = 0;
    child->kills_strays = kills_strays;
    child->is_ended = child->is_swept = false;
    if (kills_strays) {
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        (void)are_we_marked();
    }
}

enum fl_code fl_child_start(struct fl_child *child, struct fl_loop *loop,
                            const struct fl_child_options *options, struct fl_err *err)
{
    FL_ASSERT(child->on_end);
    int output[2] = { -1, -1 };
    prepare(child, loop, options->kills_strays);
    if (wants_output(options)) {
        if (pipe2(output, O_CLOEXEC) != 0)
            return fl_err_set(err, FL_IO, "could not make a pipe: %s", strerror(errno));
    }
    child->process = fl_calloc(1, sizeof *child->process);
    if (!child->process) {
        close_pair(output);
        return fl_err_code(err, FL_NOMEM);
    }
    int rc = spawn(child, options, output[1]);
    if (rc) { /* the handle closes by itself; `child` may go at once */
        child->process->data = NULL;
        uv_close((uv_handle_t *)child->process, on_process_closed);
        close_pair(output);
        return fl_err_set(err, FL_IO, "could not start %s: %s", options->program, uv_strerror(rc));
    }
    child->process->data = child;
    child->pid = child->process->pid;
    child->open_handles = 1;
    fl_list_push_back(&children, &child->link);
    if (output[0] >= 0) {
        close(output[1]);
        watch_output(child, output[0]);
    }
    return FL_OK;
}

void fl_child_kill(struct fl_child *child, int signal)
{
    if (child->pid > 0 && kill(-child->pid, signal) != 0)
        kill(child->pid, signal);
}

void fl_child_end_text(const struct fl_child *child, char *out, size_t n)
{
    if (child->exit_signal)
        snprintf(out, n, "was ended by signal %d (%s)", child->exit_signal,
                 strsignal(child->exit_signal));
    else
        snprintf(out, n, "exited with code %d", child->exit_code);
}
