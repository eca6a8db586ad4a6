/* One classic BPF program, made here: for each call that is not free there is a piece that falls
 * through to the next one. Arguments are looked at as 32 bits, as the kernel takes those we ask
 * about (int, pid_t). */
#include "runtime/host/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flopinio/base/assert.h"

/* Older headers than the kernels that the program runs on: the numbers are the same everywhere. */
#define SYS_IO_URING_SETUP    425
#define SYS_IO_URING_ENTER    426
#define SYS_IO_URING_REGISTER 427
#define SYS_PIDFD_SEND_SIGNAL 424
#define SYS_PIDFD_GETFD       438
#define SYS_PROCESS_MADVISE   440

#define SOCKET_TYPE 0xf /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
/* ioctl: who is sent SIGIO, as F_SETOWN. */
#define FIOSETOWN_  0x8901
#define SIOCSPGRP_  0x8902

#if defined(__x86_64__)
#define ARCH     AUDIT_ARCH_X86_64
#define X32_FROM 0x40000000u
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

bool fl_seccomp_is_there(void)
{
#ifdef ARCH
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) != 0 && errno == EFAULT;
#else
    return false;
#endif
}

#ifdef ARCH

/* Other processes' memory and descriptors; rings, which make system calls that no filter sees; what
 * the user shares with its other processes: keys, System V memory; looking into the kernel. */
static const int refused[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_PROCESS_MADVISE,
    SYS_PIDFD_GETFD,
    SYS_kcmp,
    SYS_move_pages,
    SYS_migrate_pages,
    SYS_IO_URING_SETUP,
    SYS_IO_URING_ENTER,
    SYS_IO_URING_REGISTER,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_semctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_bpf,
    SYS_perf_event_open,
};

/* Calls whose first argument is the process that gets a signal. */
static const int signalling[] = {
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
};

struct filter {
    struct sock_filter code[256];
    unsigned short n;
};

static void put(struct filter *f, struct sock_filter one)
{
    FL_ASSERT(f->n < FL_COUNTOF(f->code));
    f->code[f->n++] = one;
}

static void load(struct filter *f, size_t offset)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void load_number(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, nr));
}

/* Skips `skipped` instructions unless what is loaded is `value`. */
static void unless(struct filter *f, unsigned value, unsigned char skipped)
{
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped));
}

static void answer(struct filter *f, unsigned verdict)
{
    put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void refuse(struct filter *f, int call, int error)
{
    unless(f, (unsigned)call, 1);
    answer(f, SECCOMP_RET_ERRNO | (unsigned)error);
}

/* Refuses `call` unless its argument, cut by the mask, is one of the values. */
static void refuse_but(struct filter *f, int call, unsigned argument, unsigned mask,
                       const unsigned *values, unsigned char count)
{
    unless(f, (unsigned)call, (unsigned char)(count + 4));
    load(f, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    put(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
    for (unsigned char i = 0; i < count; i++)
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, values[i],
                                            (unsigned char)(count - i), 0));
    answer(f, SECCOMP_RET_ERRNO | EPERM);
    load_number(f);
}

/* Refuses `call` where its argument is this value. */
static void refuse_if(struct filter *f, int call, unsigned argument, unsigned value)
{
    unless(f, (unsigned)call, 4);
    load(f, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    unless(f, value, 1);
    answer(f, SECCOMP_RET_ERRNO | EPERM);
    load_number(f);
}

/* Another processor's calls have other numbers: whoever makes them means no good. */
static void only_our_numbers(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, arch));
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load_number(f);
#ifdef X32_FROM
    put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_FROM, 0, 1));
    answer(f, SECCOMP_RET_KILL_PROCESS);
#endif
}

/* No socket at all without network: Landlock knows TCP only. With it, the internet's, and netlink,
 * by which a resolver asks for the machine's addresses. Never AF_UNIX: connect() by path is not
 * asked of Landlock, and the runtime's own control socket has one. Pairs stay, but for datagrams,
 * which can be connected anew. */
static void sockets(struct filter *f, bool may_network)
{
    static const unsigned families[] = { AF_INET, AF_INET6, AF_NETLINK }, pairs[] = { AF_UNIX },
                          types[] = { SOCK_STREAM, SOCK_SEQPACKET };
    if (may_network)
        refuse_but(f, SYS_socket, 0, ~0u, families, FL_COUNTOF(families));
    else
        refuse(f, SYS_socket, EPERM);
    refuse_but(f, SYS_socketpair, 0, ~0u, pairs, FL_COUNTOF(pairs));
    refuse_but(f, SYS_socketpair, 1, SOCKET_TYPE, types, FL_COUNTOF(types));
}

/* To itself and its own session only. It cannot know its children's numbers here: where Landlock
 * does this, it can signal them too. */
static void signals(struct filter *f)
{
    const unsigned itself[] = { (unsigned)getpid(), 0 };
    for (size_t i = 0; i < FL_COUNTOF(signalling); i++)
        refuse_but(f, signalling[i], 0, ~0u, itself, FL_COUNTOF(itself));
    refuse(f, SYS_PIDFD_SEND_SIGNAL, EPERM);
    refuse_if(f, SYS_fcntl, 1, F_SETOWN);
    refuse_if(f, SYS_fcntl, 1, 15); /* F_SETOWN_EX */
    refuse_if(f, SYS_ioctl, 1, FIOSETOWN_);
    refuse_if(f, SYS_ioctl, 1, SIOCSPGRP_);
}

static void make(struct filter *f, const struct fl_setup *setup, int landlock_abi)
{
    static const unsigned itself[] = { 0 };
    only_our_numbers(f);
    sockets(f, setup->may_network);
    for (size_t i = 0; i < FL_COUNTOF(refused); i++)
        refuse(f, refused[i], EPERM);
    refuse(f, SYS_execve, EACCES); /* as Landlock says it; a program in memory is not its matter */
    refuse(f, SYS_execveat, EACCES);
    refuse_but(f, SYS_prlimit64, 0, ~0u, itself, FL_COUNTOF(itself)); /* not the worker's */
    if (landlock_abi < 6)
        signals(f);
    answer(f, SECCOMP_RET_ALLOW);
}

#endif

enum fl_code fl_seccomp_enter(const struct fl_setup *setup, int landlock_abi, bool *ret_is_there,
                              struct fl_err *err)
{
    *ret_is_there = fl_seccomp_is_there();
    if (!*ret_is_there)
        return FL_OK;
#ifdef ARCH
    struct filter filter = { .n = 0 };
    make(&filter, setup, landlock_abi);
    struct sock_fprog program = { filter.n, filter.code };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return fl_err_set(err, FL_PLUGIN, "could not enter the seccomp filter: %s",
                          strerror(errno));
#else
    FL_UNUSED(setup);
    FL_UNUSED(landlock_abi);
    FL_UNUSED(err);
#endif
    return FL_OK;
}
