/* The doors that the sources under test go through instead of libc's. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* The names under which the sources call them; no header declares these. */
void *fault_malloc(size_t size);
void *fault_calloc(size_t count, size_t size);
void *fault_realloc(void *p, size_t size);
ssize_t fault_write(int fd, const void *bytes, size_t n);
int fault_fsync(int fd);
int fault_fchmod(int fd, mode_t mode);
int fault_openat(int dir, const char *path, int flags, ...);
int fault_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int fault_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int fault_unlinkat(int dir, const char *path, int flags);
int fault_mkdirat(int dir, const char *path, mode_t mode);

static struct {
    uint64_t alloc_count, alloc_at;
    uint64_t call_count, call_at;
    enum fault_way way;
    int error;
    char names[4000];
    const char *hook_name;
    void (*hook)(void *context);
    void *context;
} fault;

uint64_t fault_alloc_at(uint64_t n)
{
    uint64_t count = fault.alloc_count;
    fault.alloc_count = 0;
    fault.alloc_at = n;
    return count;
}

uint64_t fault_call_at(uint64_t n, enum fault_way way, int error)
{
    uint64_t count = fault.call_count;
    fault.call_count = 0;
    fault.call_at = n;
    fault.way = way;
    fault.error = error;
    fault.names[0] = 0;
    return count;
}

const char *fault_calls(void)
{
    return fault.names;
}

void fault_before(const char *name, void (*hook)(void *context), void *context)
{
    fault.hook_name = name;
    fault.hook = hook;
    fault.context = context;
}

static int fails_alloc(void)
{
    return ++fault.alloc_count == fault.alloc_at;
}

void *fault_malloc(size_t size)
{
    return fails_alloc() ? NULL : malloc(size);
}

void *fault_calloc(size_t count, size_t size)
{
    return fails_alloc() ? NULL : calloc(count, size);
}

void *fault_realloc(void *p, size_t size)
{
    return fails_alloc() ? NULL : realloc(p, size);
}

/* -1: the call must not be made and fails. */
static int meet(const char *name)
{
    if (fault.hook && strcmp(fault.hook_name, name) == 0) {
        void (*hook)(void *) = fault.hook;
        fault.hook = NULL;
        hook(fault.context);
    }
    size_t n = strlen(fault.names);
    snprintf(fault.names + n, sizeof fault.names - n, "%s ", name);
    if (++fault.call_count != fault.call_at || fault.way == FAULT_NONE)
        return 0;
    if (fault.way == FAULT_KILL)
        kill(getpid(), SIGKILL);
    errno = fault.error;
    return -1;
}

ssize_t fault_write(int fd, const void *bytes, size_t n)
{
    if (fault.way == FAULT_KILL && fault.call_count + 1 == fault.call_at)
        n /= 2;
    ssize_t half = fault.way == FAULT_KILL ? write(fd, bytes, n) : 0;
    if (meet("write"))
        return -1;
    return fault.way == FAULT_KILL ? half : write(fd, bytes, n);
}

int fault_fsync(int fd)
{
    return meet("fsync") ? -1 : fsync(fd);
}

int fault_fchmod(int fd, mode_t mode)
{
    return meet("fchmod") ? -1 : fchmod(fd, mode);
}

int fault_openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return meet("openat") ? -1 : openat(dir, path, flags, mode);
}

int fault_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return meet("renameat2") ? -1 : renameat2(from_dir, from, to_dir, to, flags);
}

int fault_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return meet("linkat") ? -1 : linkat(from_dir, from, to_dir, to, flags);
}

int fault_unlinkat(int dir, const char *path, int flags)
{
    return meet("unlinkat") ? -1 : unlinkat(dir, path, flags);
}

int fault_mkdirat(int dir, const char *path, mode_t mode)
{
    return meet("mkdirat") ? -1 : mkdirat(dir, path, mode);
}
