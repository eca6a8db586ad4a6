/* The filter of plugin processes as a program, run here instead of in the kernel: so it can be
 * asked about every call, also for a processor whose kernel is not at hand. test_host_hostile asks
 * the kernel. */
#include "runtime/host/seccomp.c"

#include <signal.h>

#include "harness.h"

#ifdef ARCH

#define KILLED  SECCOMP_RET_KILL_PROCESS
#define ALLOWED SECCOMP_RET_ALLOW
#define SAYS(e) (SECCOMP_RET_ERRNO | (unsigned)(e))
#define HIGH    (1ull << 32) /* what the kernel does not look at of an int */

/* Numbers that are written down, against those of the headers where these know them; and that the
 * headers are those of the processor that ARCH names. */
#ifdef SYS_io_uring_setup
_Static_assert(SYS_IO_URING_SETUP == SYS_io_uring_setup, "io_uring_setup");
_Static_assert(SYS_IO_URING_ENTER == SYS_io_uring_enter, "io_uring_enter");
_Static_assert(SYS_IO_URING_REGISTER == SYS_io_uring_register, "io_uring_register");
#endif
#ifdef SYS_pidfd_send_signal
_Static_assert(SYS_PIDFD_SEND_SIGNAL == SYS_pidfd_send_signal, "pidfd_send_signal");
#endif
#ifdef SYS_pidfd_getfd
_Static_assert(SYS_PIDFD_GETFD == SYS_pidfd_getfd, "pidfd_getfd");
#endif
#ifdef SYS_process_madvise
_Static_assert(SYS_PROCESS_MADVISE == SYS_process_madvise, "process_madvise");
#endif
#ifdef __aarch64__
_Static_assert(ARCH == 0xc00000b7u, "AUDIT_ARCH_AARCH64");
_Static_assert(SYS_socket == 198 && SYS_socketpair == 199 && SYS_ptrace == 117 && SYS_kill == 129 &&
                   SYS_execve == 221 && SYS_execveat == 281 && SYS_bpf == 280 && SYS_fcntl == 25,
               "the numbers of arm64");
#else
_Static_assert(ARCH == 0xc000003eu, "AUDIT_ARCH_X86_64");
_Static_assert(SYS_socket == 41 && SYS_socketpair == 53 && SYS_ptrace == 101 && SYS_kill == 62 &&
                   SYS_execve == 59 && SYS_execveat == 322 && SYS_bpf == 321 && SYS_fcntl == 72,
               "the numbers of x86-64");
#endif

/* ---------------------------------------------------------------- what the kernel would do */
static unsigned word(const struct seccomp_data *d, unsigned offset)
{
    unsigned value;
    CHECK_MSG(offset + sizeof value <= sizeof *d && offset % 4 == 0, "a load from %u", offset);
    memcpy(&value, (const char *)d + offset, sizeof value);
    return value;
}

static unsigned run(const struct filter *f, const struct seccomp_data *d)
{
    unsigned a = 0;
    for (unsigned pc = 0;; pc++) {
        CHECK_MSG(pc < f->n, "it runs past its end");
        const struct sock_filter *i = &f->code[pc];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS: a = word(d, i->k); break;
        case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
        case BPF_JMP | BPF_JEQ | BPF_K: pc += a == i->k ? i->jt : i->jf; break;
        case BPF_JMP | BPF_JGE | BPF_K: pc += a >= i->k ? i->jt : i->jf; break;
        case BPF_RET | BPF_K: return i->k;
        default: fl_test_fail(__FILE__, __LINE__, "an instruction %#x", i->code);
        }
    }
}

static unsigned asked_of(const struct filter *f, unsigned arch, int nr, uint64_t first,
                         uint64_t second)
{
    struct seccomp_data d = { .nr = nr, .arch = arch, .args = { first, second } };
    return run(f, &d);
}

static struct filter filter_of(bool may_network, int landlock_abi)
{
    struct fl_setup setup = { .may_network = may_network };
    struct filter f = { .n = 0 };
    make(&f, &setup, landlock_abi);
    return f;
}

static unsigned verdict(const struct filter *f, int nr, uint64_t first, uint64_t second)
{
    return asked_of(f, ARCH, nr, first, second);
}

/* ---------------------------------------------------------------- the cases */
static void test_every_way_through_it_ends(void)
{
    for (int k = 0; k < 4; k++) {
        struct filter f = filter_of(k & 1, k & 2 ? 6 : 1);
        CHECK(f.n > 0 && BPF_CLASS(f.code[f.n - 1].code) == BPF_RET);
        for (unsigned i = 0; i < f.n; i++) {
            bool jumps = BPF_CLASS(f.code[i].code) == BPF_JMP;
            CHECK_MSG(!jumps || (i + 1u + f.code[i].jt < f.n && i + 1u + f.code[i].jf < f.n),
                      "instruction %u jumps out", i);
        }
        for (int nr = 0; nr < 600; nr++)
            (void)verdict(&f, nr, 0, 0);
    }
}

static void test_numbers_of_another_processor_kill(void)
{
    static const unsigned others[] = { AUDIT_ARCH_I386,    AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64,
                                       AUDIT_ARCH_AARCH64, 0xc00000f3u,    0 };
    struct filter f = filter_of(true, 6);
    for (size_t i = 0; i < FL_COUNTOF(others); i++) {
        unsigned want = others[i] == ARCH ? ALLOWED : KILLED;
        CHECK_INT(asked_of(&f, others[i], SYS_read, 0, 0), want);
        CHECK_INT(asked_of(&f, others[i], SYS_getpid, 0, 0), want);
    }
#ifdef X32_FROM
    CHECK_INT(verdict(&f, (int)(X32_FROM | SYS_read), 0, 0), KILLED);
    CHECK_INT(verdict(&f, -1, 0, 0), KILLED);
#endif
}

static void test_what_leads_out_is_refused(void)
{
    static const int never[] = { SYS_ptrace,
                                 SYS_process_vm_readv,
                                 SYS_process_vm_writev,
                                 SYS_keyctl,
                                 SYS_add_key,
                                 SYS_request_key,
                                 SYS_shmget,
                                 SYS_msgget,
                                 SYS_semtimedop,
                                 SYS_bpf,
                                 SYS_perf_event_open,
                                 SYS_kcmp,
                                 425,
                                 426,
                                 427,
                                 438,
                                 440,
                                 SYS_migrate_pages };
    for (int k = 0; k < 4; k++) {
        struct filter f = filter_of(k & 1, k & 2 ? 6 : 1);
        for (size_t i = 0; i < FL_COUNTOF(never); i++)
            CHECK_MSG(verdict(&f, never[i], 0, 0) == SAYS(EPERM), "call %d is not refused",
                      never[i]);
        CHECK_INT(verdict(&f, SYS_execve, 0, 0), SAYS(EACCES));
        CHECK_INT(verdict(&f, SYS_execveat, 0, 0), SAYS(EACCES));
        CHECK_INT(verdict(&f, SYS_prlimit64, 1, 0), SAYS(EPERM));
        CHECK_INT(verdict(&f, SYS_prlimit64, 0, 0), ALLOWED);
    }
}

/* By the calls that there are on every processor, and those of old that only x86-64 has. */
static void test_what_a_program_needs_is_free(void)
{
    static const int needed[] = {
        SYS_read,
        SYS_write,
        SYS_openat,
        SYS_close,
        SYS_newfstatat,
        SYS_statx,
        SYS_mmap,
        SYS_mprotect,
        SYS_munmap,
        SYS_brk,
        SYS_clone,
        435,
        SYS_futex,
        SYS_ppoll,
        SYS_epoll_pwait,
        SYS_pipe2,
        SYS_dup3,
        SYS_exit_group,
        SYS_rt_sigreturn,
        SYS_rt_sigaction,
        SYS_getrandom,
        437,
        SYS_renameat2,
        SYS_unlinkat,
        SYS_linkat,
        SYS_mkdirat,
        SYS_fsync,
        SYS_getdents64,
        SYS_set_robust_list,
        SYS_clock_nanosleep,
        SYS_sendmsg,
        SYS_recvmsg,
        SYS_sched_yield,
        SYS_madvise,
        SYS_wait4,
#ifdef __x86_64__
        SYS_open,
        SYS_stat,
        SYS_fork,
        SYS_poll,
        SYS_access,
        SYS_arch_prctl,
        SYS_rename,
        SYS_pipe,
        SYS_epoll_wait,
#endif
    };
    for (int k = 0; k < 4; k++) {
        struct filter f = filter_of(k & 1, k & 2 ? 6 : 1);
        for (size_t i = 0; i < FL_COUNTOF(needed); i++)
            CHECK_MSG(verdict(&f, needed[i], 3, 3) == ALLOWED, "call %d is not free", needed[i]);
    }
}

static void test_sockets_by_family_and_type(void)
{
    struct filter without = filter_of(false, 6), with = filter_of(true, 6);
    static const int families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_VSOCK, AF_PACKET };
    for (size_t i = 0; i < FL_COUNTOF(families); i++) {
        uint64_t family = (unsigned)families[i];
        unsigned want = i < 3 ? ALLOWED : SAYS(EPERM);
        CHECK_INT(verdict(&without, SYS_socket, family, SOCK_STREAM), SAYS(EPERM));
        CHECK_INT(verdict(&with, SYS_socket, family, SOCK_STREAM), want);
        CHECK_INT(verdict(&with, SYS_socket, family | HIGH, SOCK_STREAM), want);
    }
    for (int k = 0; k < 2; k++) {
        const struct filter *f = k ? &with : &without;
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_STREAM), ALLOWED);
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC), ALLOWED);
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | HIGH), ALLOWED);
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_DGRAM), SAYS(EPERM));
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC), SAYS(EPERM));
        CHECK_INT(verdict(f, SYS_socketpair, AF_UNIX, SOCK_RAW), SAYS(EPERM));
        CHECK_INT(verdict(f, SYS_socketpair, AF_INET, SOCK_STREAM), SAYS(EPERM));
    }
}

static void test_signals_where_landlock_does_not_know_them(void)
{
    struct filter old = filter_of(false, 5), new = filter_of(false, 6);
    uint64_t self = (uint64_t)getpid(), other = (uint64_t)getppid();
    static const int signals_[] = { SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo,
                                    SYS_rt_tgsigqueueinfo };
    for (size_t i = 0; i < FL_COUNTOF(signals_); i++) {
        CHECK_INT(verdict(&old, signals_[i], self, SIGTERM), ALLOWED);
        CHECK_INT(verdict(&old, signals_[i], other, SIGTERM), SAYS(EPERM));
        CHECK_INT(verdict(&old, signals_[i], (uint64_t)-1, SIGTERM), SAYS(EPERM));
        CHECK_INT(verdict(&new, signals_[i], other, SIGTERM), ALLOWED);
    }
    CHECK_INT(verdict(&old, 424, 3, SIGTERM), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_fcntl, 3, F_SETOWN), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_fcntl, 3, F_SETOWN | HIGH), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_fcntl, 3, 15), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_fcntl, 3, F_SETFL), ALLOWED);
    CHECK_INT(verdict(&old, SYS_ioctl, 3, 0x8901), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_ioctl, 3, 0x8902), SAYS(EPERM));
    CHECK_INT(verdict(&old, SYS_ioctl, 3, 0x5401), ALLOWED);
}

static const struct fl_test tests[] = {
    T(every_way_through_it_ends),  T(numbers_of_another_processor_kill),
    T(what_leads_out_is_refused),  T(what_a_program_needs_is_free),
    T(sockets_by_family_and_type), T(signals_where_landlock_does_not_know_them)
};
#else
static void test_there_is_no_filter(void)
{
    fl_test_skip("there is no filter for this processor");
}
static const struct fl_test tests[] = { T(there_is_no_filter) };
#endif

TEST_MAIN(tests)
