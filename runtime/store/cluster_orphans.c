/* The processes of PostgreSQL are told by where they work: all of a server's have its data
 * directory as their current one, and all but its first name themselves "postgres: ...". */
#include "runtime/store/cluster_orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"

#define GRACE_MS 2000
#define TITLE    "postgres: "

/* The beginning of /proc/PID/NAME as a text; false: the process is gone, or another user's. */
static bool read_proc(pid_t pid, const char *name, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
    if (fd >= 0)
        close(fd);
    ret[n > 0 ? n : 0] = 0;
    return n > 0;
}

static bool is_child_of_a_server(pid_t pid)
{
    char stat_line[512], name[32];
    if (!read_proc(pid, "stat", stat_line, sizeof stat_line))
        return true;
    const char *end = strrchr(stat_line, ')'); /* the name may have spaces: ") S PPID" */
    pid_t parent = end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
    return parent > 1 && read_proc(parent, "comm", name, sizeof name) &&
           strcmp(name, "postgres\n") == 0;
}

static bool is_orphan(pid_t pid, const struct stat *data)
{
    char title[32], path[64];
    struct stat here;
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    return stat(path, &here) == 0 && here.st_dev == data->st_dev && here.st_ino == data->st_ino &&
           read_proc(pid, "cmdline", title, sizeof title) &&
           strncmp(title, TITLE, strlen(TITLE)) == 0 && !is_child_of_a_server(pid);
}

/* How many there are; sig: and sends each one that. */
static int look(const struct stat *data, int sig)
{
    int count = 0;
    DIR *dir = opendir("/proc");
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 1 && is_orphan(pid, data)) {
            count++;
            if (sig)
                kill(pid, sig);
        }
    }
    if (dir)
        closedir(dir);
    return count;
}

/* Until none is there, GRACE_MS at most. */
static bool are_gone(const struct stat *data)
{
    const struct timespec nap = { 0, 50 * 1000000L };
    for (int64_t until = fl_mono_ms() + GRACE_MS; look(data, 0);) {
        if (fl_mono_ms() > until)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

int fl_cluster_end_orphans(const char *data)
{
    struct stat st;
    if (stat(data, &st) != 0 || are_gone(&st))
        return 0;
    int killed = look(&st, SIGKILL);
    are_gone(&st);
    return killed;
}
