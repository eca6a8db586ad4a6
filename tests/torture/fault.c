/* Makes the n-th allocation, statement or send of a process fail. Loaded in front of libc and the
 * sanitizers' runtime (LD_PRELOAD), so that the program is the one that is released, or linked into
 * a test program. Any thread. */
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* The real ones: the sanitizer's where there is one, else libc's. */
void *__interceptor_malloc(size_t) __attribute__((weak));
void *__interceptor_calloc(size_t, size_t) __attribute__((weak));
void *__interceptor_realloc(void *, size_t) __attribute__((weak));
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));
void __sanitizer_print_memory_profile(size_t, size_t) __attribute__((weak));
void __sanitizer_print_stack_trace(void) __attribute__((weak));
void *__libc_malloc(size_t) __attribute__((weak));
void *__libc_calloc(size_t, size_t) __attribute__((weak));
void *__libc_realloc(void *, size_t) __attribute__((weak));

static struct fault nobody;
struct fault *fault = &nobody;
static uintptr_t program_start, program_end; /* of the program's own code */

static int note_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        program_start = info->dlpi_addr + p->p_vaddr;
        program_end = program_start + p->p_memsz;
    }
    return 1; /* the first one is the program */
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FL_FAULT_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    dl_iterate_phdr(note_program, NULL);
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        fault = page;
}

static bool is_for(enum fault_kind kind)
{
    return fault->kind == (int32_t)kind && fault->pid == (int32_t)getpid();
}

/* Is this the one? The kind is the caller's. */
static bool is_hit(void)
{
    if (atomic_fetch_add(&fault->seen, 1) + 1 != fault->at)
        return false;
    if (fault->is_telling && __sanitizer_print_stack_trace) {
        int kind = fault->kind;
        fault->kind = FAULT_NOTHING; /* the printing allocates, and writes */
        __sanitizer_print_stack_trace();
        fault->kind = kind;
    }
    return true;
}

/* ---------------------------------------------------------------- allocations */
static void look_at_memory(void)
{
    static _Atomic unsigned turn;
    if (atomic_fetch_add(&turn, 1) % 512 || fault->live_pid != (int32_t)getpid() ||
        !__sanitizer_get_current_allocated_bytes)
        return;
    fault->live = (int64_t)__sanitizer_get_current_allocated_bytes();
    if (atomic_exchange(&fault->is_profiling, 0))
        __sanitizer_print_memory_profile(95, 40);
}

static bool must_fail(const void *caller)
{
    if (fault->live_pid)
        look_at_memory();
    int kind = fault->kind;
    if (kind != FAULT_MEMORY_OURS && kind != FAULT_MEMORY_OTHERS && kind != FAULT_MEMORY_ANY)
        return false;
    bool is_ours = (uintptr_t)caller >= program_start && (uintptr_t)caller < program_end;
    if (kind != FAULT_MEMORY_ANY && is_ours != (kind == FAULT_MEMORY_OURS))
        return false;
    if (fault->pid != (int32_t)getpid() || !is_hit())
        return false;
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    if (must_fail(CALLER))
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (must_fail(CALLER))
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(count, size) : __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    if (must_fail(CALLER))
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(ptr, size) : __libc_realloc(ptr, size);
}

/* ---------------------------------------------------------------- what is sent */
enum peer { PEER_OTHER, PEER_CLIENT, PEER_DATABASE, PEER_PLUGIN };

static enum peer peer_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage room;
    } name, peer;
    socklen_t n = sizeof name, m = sizeof peer;
    memset(&name, 0, sizeof name);
    memset(&peer, 0, sizeof peer);
    if (getsockname(fd, &name.any, &n) || getpeername(fd, &peer.any, &m))
        return PEER_OTHER;
    if (name.any.sa_family == AF_INET || name.any.sa_family == AF_INET6)
        return PEER_CLIENT;
    if (name.any.sa_family != AF_UNIX)
        return PEER_OTHER;
    if (strstr(peer.local.sun_path, ".s.PGSQL."))
        return PEER_DATABASE;
    if (strstr(name.local.sun_path, "stdio.sock"))
        return PEER_CLIENT;
    bool is_pair = n == sizeof(sa_family_t) && m == sizeof(sa_family_t);
    return is_pair ? PEER_PLUGIN : PEER_OTHER;
}

enum turn { GO_ON, FAIL, SHORTEN, CUT_AFTER };

/* Reachable, so that it is no leak to the sanitizer: what a cache without a bound is like. */
static void keep_for_ever(size_t n)
{
    static void *_Atomic kept;
    void **more = malloc(n + sizeof *more);
    if (more)
        *more = atomic_exchange(&kept, more);
}

static enum turn before_send(int fd)
{
    int kind = fault->kind;
    if (fault->leak && peer_of(fd) == PEER_CLIENT)
        keep_for_ever((size_t)fault->leak);
    if (kind < FAULT_SQL_LOST || kind > FAULT_PLUGIN_SHORT || fault->pid != (int32_t)getpid())
        return GO_ON;
    static const enum peer to[] = {
        [FAULT_SQL_LOST] = PEER_DATABASE,   [FAULT_SQL_DOUBT] = PEER_DATABASE,
        [FAULT_SEND_ERROR] = PEER_CLIENT,   [FAULT_SEND_SHORT] = PEER_CLIENT,
        [FAULT_PLUGIN_ERROR] = PEER_PLUGIN, [FAULT_PLUGIN_SHORT] = PEER_PLUGIN,
    };
    int was = errno;
    bool is_this = peer_of(fd) == to[kind] && is_hit();
    errno = was;
    if (!is_this)
        return GO_ON;
    if (kind == FAULT_SQL_DOUBT)
        return CUT_AFTER;
    if (kind == FAULT_SEND_SHORT || kind == FAULT_PLUGIN_SHORT)
        return SHORTEN;
    if (kind == FAULT_SQL_LOST)
        shutdown(fd, SHUT_RDWR);
    errno = EPIPE;
    return FAIL;
}

static ssize_t after_send(int fd, enum turn turn, ssize_t sent)
{
    if (turn == CUT_AFTER)
        shutdown(fd, SHUT_RDWR);
    return sent;
}

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t n)
{
    REAL(write);
    enum turn turn = before_send(fd);
    if (turn == FAIL)
        return -1;
    return after_send(fd, turn, real(fd, bytes, turn == SHORTEN && n > 1 ? 1 : n));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    enum turn turn = before_send(fd);
    if (turn == FAIL)
        return -1;
    if (turn == SHORTEN && count > 0 && parts[0].iov_len > 0)
        return write(fd, parts[0].iov_base, 1);
    return after_send(fd, turn, real(fd, parts, count));
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    REAL(send);
    enum turn turn = before_send(fd);
    if (turn == FAIL)
        return -1;
    return after_send(fd, turn, real(fd, bytes, turn == SHORTEN && n > 1 ? 1 : n, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    enum turn turn = before_send(fd);
    if (turn == FAIL)
        return -1;
    if (turn == SHORTEN && message->msg_iovlen > 0 && message->msg_iov[0].iov_len > 1 &&
        !message->msg_controllen)
        return write(fd, message->msg_iov[0].iov_base, 1);
    return after_send(fd, turn, real(fd, message, flags));
}

/* ---------------------------------------------------------------- statements */
int PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                        const int *lengths, const int *formats, int result_format)
{
    REAL(PQsendQueryPrepared);
    if (is_for(FAULT_SQL_ERROR) && is_hit())
        name = "not_prepared";
    return real(conn, name, count, values, lengths, formats, result_format);
}
