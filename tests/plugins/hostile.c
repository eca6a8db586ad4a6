/* A plugin that does everything that it must not, one tool each, for test_host.c. What could harm
 * the machine is bounded here as well as by the sandbox. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/plugin.h"

#define SOCKET 3 /* the worker's other end */

/* Of the instance opened last: enough for tests, which have one of a plugin in a process. A real
 * plugin keeps it in its instance. */
static const struct flopinio_host *_Atomic h;

static void nap(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void finish(flopinio_job *job, const char *text)
{
    h->text(job, text, strlen(text));
    h->done(job, FLOPINIO_OK);
}

static void finish_errno(flopinio_job *job, int rc)
{
    finish(job, rc < 0 ? strerror(errno) : "it worked");
}

#define TOOL_FUNCTION(name) static void name(flopinio_instance *self, flopinio_job *job)
#define UNUSED                                                                                     \
    (void)self;                                                                                    \
    (void)job

TOOL_FUNCTION(fine)
{
    UNUSED;
    finish(job, "fine");
}

/* ---- ends of the process ---- */

TOOL_FUNCTION(segv)
{
    UNUSED;
    raise(SIGSEGV);
    finish(job, "survived");
}

TOOL_FUNCTION(do_abort)
{
    UNUSED;
    abort();
}

TOOL_FUNCTION(exit_0)
{
    UNUSED;
    _exit(0);
}

TOOL_FUNCTION(spin)
{
    UNUSED;
    for (volatile unsigned i = 0;; i++)
        ;
}

TOOL_FUNCTION(sleep_long)
{
    UNUSED;
    for (;;)
        nap(1000);
}

TOOL_FUNCTION(never_done)
{
    UNUSED;
}

TOOL_FUNCTION(close_socket)
{
    UNUSED;
    close(SOCKET);
    nap(60000);
}

/* ---- floods ---- */

TOOL_FUNCTION(memory)
{
    UNUSED;
    size_t got = 0, chunk = 16u << 20;
    for (int i = 0; i < 64; i++, got += chunk) { /* at most 1 GiB */
        void *p = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            break;
        memset(p, 1, chunk);
    }
    char text[64];
    snprintf(text, sizeof text, "%zu MiB", got >> 20);
    finish(job, text);
}

static void be_a_bomb(int must_escape)
{
    if (must_escape) {
        if (setsid() < 0)
            _exit(1);
        if (fork() != 0) /* an orphan of an orphan */
            _exit(0);
    }
    signal(SIGTERM, SIG_IGN);
    close(SOCKET);
    close(1);
    close(2);
    nap(120000);
    _exit(0);
}

static void forks(flopinio_job *job, int must_escape)
{
    int count = 0;
    char text[64];
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        if (pid == 0)
            be_a_bomb(must_escape);
        if (pid > 0)
            count++;
    }
    snprintf(text, sizeof text, "%d", count);
    finish(job, text);
}

TOOL_FUNCTION(fork_bomb)
{
    UNUSED;
    forks(job, 0);
}

TOOL_FUNCTION(fork_escape)
{
    UNUSED;
    forks(job, 1);
}

TOOL_FUNCTION(descriptor_flood)
{
    UNUSED;
    int count = 0;
    char text[64];
    while (count < 10000 && open("/dev/null", O_RDONLY) >= 0)
        count++;
    snprintf(text, sizeof text, "%d", count);
    finish(job, text);
}

TOOL_FUNCTION(text_flood)
{
    UNUSED;
    char chunk[65536];
    memset(chunk, 'x', sizeof chunk);
    for (int i = 0; i < 1024; i++) /* 64 MiB */
        h->text(job, chunk, sizeof chunk);
    h->done(job, FLOPINIO_OK);
}

TOOL_FUNCTION(output_flood)
{
    UNUSED;
    char line[1000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100000; i++) { /* far more than is read in time */
        line[sizeof line - 1] = '\n';
        if (write(1, line, sizeof line) < 0)
            break;
    }
    finish(job, "written");
}

/* ---- the frame socket ---- */

static void send_frame(uint32_t type, uint32_t n, uint64_t id, const void *payload, size_t sent)
{
    char head[16];
    memcpy(head, &type, 4);
    memcpy(head + 4, &n, 4);
    memcpy(head + 8, &id, 8);
    (void)!write(SOCKET, head, sizeof head);
    if (sent)
        (void)!write(SOCKET, payload, sent);
}

TOOL_FUNCTION(garbage)
{
    UNUSED;
    unsigned char bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    (void)!write(SOCKET, bytes, sizeof bytes);
    nap(60000);
}

TOOL_FUNCTION(oversize)
{
    UNUSED;
    send_frame(18, UINT32_MAX - 16, 1, "", 0);
    nap(60000);
}

TOOL_FUNCTION(foreign_job)
{
    UNUSED;
    send_frame(18, 0, 987654321, "", 0);
    nap(60000);
}

/* A result in the right form whose content is no JSON. */
TOOL_FUNCTION(bad_json)
{
    UNUSED;
    uint32_t none = UINT32_MAX, zero = 0, n = 4;
    char p[64];
    size_t at = 0;
    int64_t id = 0;
    h->arg_int(job, "/job", &id);
    const uint32_t fields[] = { 0, 0, 0, none, 0, none, none, none };
    memcpy(p, fields, sizeof fields);
    at = sizeof fields;
    memcpy(p + at, &n, 4);
    memcpy(p + at + 4, "{]{]", 4);
    (void)zero;
    send_frame(18, (uint32_t)at + 8, (uint64_t)id, p, at + 8);
    nap(60000);
}

TOOL_FUNCTION(note_flood)
{
    UNUSED;
    uint32_t level = 1, n = 1;
    char p[9];
    memcpy(p, &level, 4);
    memcpy(p + 4, &n, 4);
    p[8] = 'x';
    for (int i = 0; i < 100000; i++)
        send_frame(21, sizeof p, 0, p, sizeof p);
    nap(60000);
}

TOOL_FUNCTION(ready_again)
{
    UNUSED;
    const uint32_t n = 2;
    char p[6];
    memcpy(p, &n, 4);
    memcpy(p + 4, "{}", 2);
    send_frame(16, sizeof p, 0, p, sizeof p);
    nap(60000);
}

/* ---- misuse of the host table ---- */

static void *done_again(void *arg)
{
    flopinio_job *job = arg;
    nap(20);
    h->text(job, "from the grave", 14);
    h->done(job, FLOPINIO_TOOL_ERROR);
    return NULL;
}

TOOL_FUNCTION(done_twice)
{
    UNUSED;
    pthread_t thread;
    finish(job, "once");
    h->done(job, FLOPINIO_TOOL_ERROR);
    h->text(job, "more", 4);
    if (pthread_create(&thread, NULL, done_again, job) == 0)
        pthread_detach(thread);
}

TOOL_FUNCTION(bad_outcome)
{
    UNUSED;
    h->done(job, (enum flopinio_outcome)17);
}

static flopinio_job *late;

TOOL_FUNCTION(late_done)
{
    UNUSED;
    late = job;
}

static void late_cancel(flopinio_instance *self, flopinio_job *job)
{
    UNUSED;
    nap(100); /* after the caller has lost interest, within the grace */
    h->done(late, FLOPINIO_OK);
}

/* ---- reaching out ---- */

TOOL_FUNCTION(shadow)
{
    UNUSED;
    finish_errno(job, open("/etc/shadow", O_RDONLY));
}

TOOL_FUNCTION(connect_loopback)
{
    UNUSED;
    int64_t port = 0;
    h->arg_int(job, "/port", &port);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    finish_errno(job, fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address));
}

/* Connects to a unix socket by path, or by abstract name where it begins with '@': the descriptor,
 * or -1. `type` SOCK_DGRAM goes by way of a pair, which needs no socket(). */
static int reach_unix(const char *path, int type)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    int pair[2] = { -1, -1 };
    if (n >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(at.sun_path, path, n);
    if (path[0] == '@')
        at.sun_path[0] = 0;
    int fd = -1;
    if (type == SOCK_STREAM)
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
    else if (socketpair(AF_UNIX, type, 0, pair) == 0)
        fd = pair[0];
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return fd >= 0 && connect(fd, (struct sockaddr *)&at, size) == 0 ? fd : -1;
}

static void connect_to(flopinio_job *job, int type)
{
    const char *path = "";
    size_t n = 0;
    h->arg_string(job, "/path", &path, &n);
    finish_errno(job, reach_unix(path, type));
}

TOOL_FUNCTION(connect_unix)
{
    UNUSED;
    connect_to(job, SOCK_STREAM);
}

TOOL_FUNCTION(connect_datagram)
{
    UNUSED;
    connect_to(job, SOCK_DGRAM);
}

/* What a child of a child of its own session gets. */
TOOL_FUNCTION(connect_from_child)
{
    UNUSED;
    const char *path = "";
    size_t n = 0;
    int status = 0;
    h->arg_string(job, "/path", &path, &n);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        pid_t next = fork();
        if (next == 0)
            _exit(reach_unix(path, SOCK_STREAM) >= 0 ? 0 : errno);
        waitpid(next, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255);
    }
    waitpid(pid, &status, 0);
    errno = WEXITSTATUS(status);
    finish_errno(job, errno ? -1 : 0);
}

TOOL_FUNCTION(open_ring)
{
    UNUSED;
    char parameters[256] = { 0 };
    finish_errno(job, (int)syscall(425 /* io_uring_setup */, 1, parameters));
}

TOOL_FUNCTION(read_parent)
{
    UNUSED;
    char byte;
    struct iovec ours = { &byte, 1 }, theirs = { &late, 1 };
    finish_errno(job, (int)process_vm_readv(getppid(), &ours, 1, &theirs, 1, 0));
}

TOOL_FUNCTION(mark_parent)
{
    UNUSED;
    struct rlimit none = { 0, 0 };
    finish_errno(job, prlimit(getppid(), RLIMIT_MSGQUEUE, &none, NULL));
}

TOOL_FUNCTION(share_memory)
{
    UNUSED;
    finish_errno(job, shmget(IPC_PRIVATE, 4096, 0600));
}

TOOL_FUNCTION(send_datagram)
{
    UNUSED;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    finish_errno(job, fd < 0 ? -1 : (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

/* A program that lies in no file system. */
TOOL_FUNCTION(run_from_memory)
{
    UNUSED;
    static const char script[] = "#!/bin/sh\n";
    char *none[] = { NULL };
    int fd = memfd_create("program", 0), status = 0;
    pid_t pid = fd >= 0 && write(fd, script, sizeof script - 1) > 0 ? fork() : -1;
    if (pid == 0) {
        fexecve(fd, none, none);
        _exit(errno);
    }
    waitpid(pid, &status, 0);
    errno = WEXITSTATUS(status);
    finish_errno(job, errno ? -1 : 0);
}

/* What a plugin may: a pair of its own, and its own children. */
TOOL_FUNCTION(keep_house)
{
    UNUSED;
    int pair[2], status = 0;
    char byte = 0;
    int is_fine = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(write(pair[1], "x", 1) == 1 ? 0 : 1);
    }
    is_fine = is_fine && read(pair[0], &byte, 1) == 1 && byte == 'x';
    waitpid(pid, &status, 0);
    is_fine = is_fine && status == 0 && raise(SIGWINCH) == 0;
    finish(job, is_fine ? "it worked" : strerror(errno));
}

TOOL_FUNCTION(trace_parent)
{
    UNUSED;
    finish_errno(job, (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

TOOL_FUNCTION(stop_parent)
{
    UNUSED;
    pid_t parent = getppid();
    int rc = kill(parent, SIGSTOP), error = errno;
    if (rc == 0) { /* the test must not hang, only fail */
        nap(50);
        kill(parent, SIGCONT);
    }
    errno = error;
    finish_errno(job, rc);
}

TOOL_FUNCTION(run_program)
{
    UNUSED;
    char *arguments[] = { (char[]){ "/bin/true" }, NULL };
    pid_t pid = fork();
    if (pid == 0) {
        execv(arguments[0], arguments);
        _exit(errno);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    finish(job, WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "it worked"
                                                              : strerror(WEXITSTATUS(status)));
}

static int open_hostile(const struct flopinio_host *host, flopinio_instance **ret)
{
    int64_t signal_number;
    h = host;
    if (host->config_int(host, "/die_in_open", &signal_number))
        raise((int)signal_number);
    if (host->config_int(host, "/hang_in_open", &signal_number))
        nap(60000);
    *ret = NULL;
    return 0;
}

static void close_hostile(flopinio_instance *self)
{
    (void)self;
}

#define TOOL(run)                                                                                  \
    {                                                                                              \
        .size = sizeof(struct flopinio_tool), .effects = FLOPINIO_WRITES, .name = #run,            \
        .description = "For tests.", .input_schema = "{\"type\":\"object\"}", .start = (run),      \
    }

static struct flopinio_tool tools[] = {
    TOOL(fine),
    TOOL(segv),
    TOOL(do_abort),
    TOOL(exit_0),
    TOOL(spin),
    TOOL(sleep_long),
    TOOL(never_done),
    TOOL(close_socket),
    TOOL(memory),
    TOOL(fork_bomb),
    TOOL(fork_escape),
    TOOL(descriptor_flood),
    TOOL(text_flood),
    TOOL(garbage),
    TOOL(output_flood),
    TOOL(oversize),
    TOOL(bad_json),
    TOOL(foreign_job),
    TOOL(note_flood),
    TOOL(ready_again),
    TOOL(done_twice),
    TOOL(bad_outcome),
    TOOL(late_done),
    TOOL(shadow),
    TOOL(stop_parent),
    TOOL(trace_parent),
    TOOL(run_program),
    TOOL(connect_loopback),
    TOOL(connect_unix),
    TOOL(connect_datagram),
    TOOL(connect_from_child),
    TOOL(open_ring),
    TOOL(read_parent),
    TOOL(mark_parent),
    TOOL(share_memory),
    TOOL(send_datagram),
    TOOL(run_from_memory),
    TOOL(keep_house),
};
#define COUNT (sizeof tools / sizeof tools[0])

static const struct flopinio_tool *table[COUNT + 1];

__attribute__((constructor)) static void fill_table(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (tools[i].start == late_done)
            tools[i].cancel = late_cancel;
        table[i] = &tools[i];
    }
}

/* In the process that only describes, too: FLOPINIO_HOSTILE has the path of a socket. */
static const char *describe(void)
{
    static char text[128] = "Does not behave.";
    const char *path = getenv("FLOPINIO_HOSTILE");
    if (path)
        snprintf(text, sizeof text, "connecting: %s",
                 reach_unix(path, SOCK_STREAM) >= 0 ? "it worked" : strerror(errno));
    if (path)
        fprintf(stderr, "hostile %s\n", text);
    return text;
}

const struct flopinio_plugin *flopinio_plugin(void)
{
    static struct flopinio_plugin plugin = {
        .magic = FLOPINIO_PLUGIN_MAGIC,
        .size = sizeof(struct flopinio_plugin),
        .abi_major = FLOPINIO_PLUGIN_ABI_MAJOR,
        .abi_minor = FLOPINIO_PLUGIN_ABI_MINOR,
        .name = "hostile",
        .version = "6.6.6",
        .tools = table,
        .open = open_hostile,
        .close = close_hostile,
    };
    plugin.description = describe();
    return &plugin;
}
