/* LD_PRELOAD for programs of the tests: their clocks are those of the system and what stands in the
 * file of FL_CLOCKS beside: three int64_t, nanoseconds for CLOCK_REALTIME, CLOCK_MONOTONIC and
 * CLOCK_BOOTTIME. A test writes them while the program runs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t none[3];
static const volatile int64_t *beside = none;

__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("FL_CLOCKS");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (at != MAP_FAILED)
        beside = at;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);
    int64_t more = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE     ? beside[0]
                   : id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE ? beside[1]
                   : id == CLOCK_BOOTTIME                                  ? beside[2]
                                                                           : 0;
    if (rc == 0 && more) {
        int64_t ns = ts->tv_nsec + more % 1000000000;
        ts->tv_sec += more / 1000000000 + (ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0);
        ts->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
    }
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    if (out)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
