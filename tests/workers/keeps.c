/* LD_PRELOAD for the canary of the storms: 2,000 bytes are never given back for each connection. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void *volatile keeps_last;

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size, int flags)
{
    int made = (int)syscall(SYS_accept4, fd, address, size, flags);
    if (made >= 0)
        keeps_last = malloc(2000);
    return made;
}
