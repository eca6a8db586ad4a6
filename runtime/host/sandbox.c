/* The plugin process confines itself: user, privileges, limits, Landlock (landlock.c), then
 * seccomp (seccomp.c), which would refuse some of what comes before it. */
#include "runtime/host/sandbox.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/host/landlock.h"
#include "runtime/host/seccomp.h"
#include "runtime/io/child.h"

void fl_sandbox_close_from(unsigned first)
{
    if (close_range(first, ~0u, 0) == 0)
        return;
    struct rlimit files;
    unsigned end = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < (1u << 20)
                       ? (unsigned)files.rlim_cur
                       : 1u << 20;
    for (unsigned fd = first; fd < end; fd++)
        close((int)fd);
}

/* The whole of a small file under /proc; false if it has gone. */
static bool read_proc(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

static long status_number(const char *status, const char *key)
{
    const char *at = strstr(status, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

/* RLIMIT_NPROC counts every thread of the user, not only ours: how many there are now. */
static uint64_t count_threads_of(uint32_t uid)
{
    uint64_t count = 0;
    DIR *processes = opendir("/proc");
    if (!processes)
        return 0;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char path[64], status[2048];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
        if (!read_proc(path, status, sizeof status))
            continue;
        long threads = status_number(status, "\nThreads:");
        if (status_number(status, "\nUid:") == (long)uid && threads > 0)
            count += (uint64_t)threads;
    }
    closedir(processes);
    return count;
}

static uint64_t mapped_bytes(void)
{
    char text[128];
    if (!read_proc("/proc/self/statm", text, sizeof text))
        return 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static enum fl_code limit(int which, const char *name, uint64_t value, uint64_t hard,
                          struct fl_err *err)
{
    struct rlimit now, want = { value, hard };
    if (getrlimit((__rlimit_resource_t)which, &now) == 0 && now.rlim_max < hard)
        want.rlim_max = now.rlim_max; /* already tighter */
    if (want.rlim_cur > want.rlim_max)
        want.rlim_cur = want.rlim_max;
    if (setrlimit((__rlimit_resource_t)which, &want) != 0)
        return fl_err_set(err, FL_PLUGIN, "could not limit %s to %llu: %s", name,
                          (unsigned long long)value, strerror(errno));
    return FL_OK;
}

static enum fl_code become_user(const struct fl_setup *setup, struct fl_sandbox_report *report,
                                struct fl_err *err)
{
    if (geteuid() != 0)
        return FL_OK;
    if (setup->uid == 0 || setup->gid == 0)
        return fl_err_set(err, FL_PLUGIN,
                          "a plugin never runs as root: its instance needs an operating-system "
                          "user of its own");
    if (setgroups(0, NULL) != 0 || setresgid(setup->gid, setup->gid, setup->gid) != 0 ||
        setresuid(setup->uid, setup->uid, setup->uid) != 0)
        return fl_err_set(err, FL_PLUGIN, "could not become user %u: %s", setup->uid,
                          strerror(errno));
    if (setuid(0) == 0)
        return fl_err_set(err, FL_PLUGIN, "cannot give up root for good");
    report->is_own_user = true;
    return FL_OK;
}

static enum fl_code drop_privileges(const struct fl_setup *setup, struct fl_err *err)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fl_err_set(err, FL_PLUGIN, "could not give up privileges: %s", strerror(errno));
    /* After the change of user, which clears it. A worker that died before this call is seen by
     * the new parent's number. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return fl_err_set(err, FL_PLUGIN, "could not bind to the worker's life: %s",
                          strerror(errno));
    if (getppid() != setup->parent_pid)
        return fl_err_set(err, FL_PLUGIN, "the worker has gone");
    umask(077);
    if (chdir("/") != 0)
        return fl_err_set(err, FL_PLUGIN, "could not leave the folder: %s", strerror(errno));
    return FL_OK;
}

static enum fl_code limit_all(const struct fl_setup *setup, uint64_t threads, struct fl_err *err)
{
    uint64_t processes = threads + setup->processes;
    uint64_t memory = mapped_bytes() + setup->memory_bytes;
    enum fl_code code = fl_child_mark_strays(err);
    if (!code)
        code = limit(RLIMIT_CORE, "core dumps", 0, 0, err);
    if (!code)
        code = limit(RLIMIT_NOFILE, "descriptors", setup->descriptors, setup->descriptors, err);
    if (!code)
        code = limit(RLIMIT_NPROC, "processes", processes, processes, err);
    if (!code) /* SIGXCPU first, which says why; SIGKILL for who catches it */
        code = limit(RLIMIT_CPU, "CPU seconds", setup->cpu_s, (uint64_t)setup->cpu_s + 1, err);
    if (!code)
        code = limit(RLIMIT_AS, "memory", memory, memory, err);
    return code;
}

enum fl_code fl_sandbox_enter(const struct fl_setup *setup, struct fl_sandbox_report *ret,
                              struct fl_err *err)
{
    struct fl_sandbox_report report = { 0 };
    bool is_root = geteuid() == 0;
    uint64_t threads = count_threads_of(is_root ? setup->uid : (uint32_t)getuid());
    /* Once more than seccomp does it, for a kernel without: only root can. */
    if (is_root && !setup->may_network)
        report.has_network_namespace = unshare(CLONE_NEWNET) == 0;
    enum fl_code code = become_user(setup, &report, err);
    if (!code)
        code = drop_privileges(setup, err);
    if (!code)
        code = limit_all(setup, threads, err);
    if (!code)
        code = fl_landlock_enter(setup, &report.landlock_abi, err);
    if (!code)
        code = fl_seccomp_enter(setup, report.landlock_abi, &report.has_seccomp, err);
    if (code)
        return code;
    char landlock[32] = "no landlock in this kernel";
    if (report.landlock_abi)
        snprintf(landlock, sizeof landlock, "landlock %d", report.landlock_abi);
    snprintf(report.text, sizeof report.text, "%s, %s, %s, %s%s", landlock,
             report.has_seccomp ? "seccomp" : "no seccomp in this kernel",
             report.is_own_user ? "own user" : "the worker's user",
             setup->may_network                                   ? "network"
             : report.has_seccomp || report.has_network_namespace ? "no network"
             : report.landlock_abi >= 4                           ? "no TCP"
                                                                  : "network not confined",
             setup->mode == FL_SETUP_PREVIEW && report.landlock_abi ? ", read-only" : "");
    *ret = report;
    return FL_OK;
}
