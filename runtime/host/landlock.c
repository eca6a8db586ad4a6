/* Landlock without its header: distributions ship headers older than the kernels they run on, so
 * the few numbers of the ABI stand here. */
#include "runtime/host/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/host/closed.h"

#define SYS_CREATE_RULESET 444
#define SYS_ADD_RULE       445
#define SYS_RESTRICT_SELF  446
#define GET_VERSION        1u
#define RULE_PATH_BENEATH  1

/* Access to files. */
#define FS_EXECUTE           (1ull << 0)
#define FS_WRITE_FILE        (1ull << 1)
#define FS_READ_FILE         (1ull << 2)
#define FS_READ_DIR          (1ull << 3)
#define FS_REMOVE_DIR        (1ull << 4)
#define FS_REMOVE_FILE       (1ull << 5)
#define FS_MAKE_DIR          (1ull << 7)
#define FS_MAKE_REG          (1ull << 8)
#define FS_MAKE_SYM          (1ull << 12)
#define FS_ALL_1             ((1ull << 13) - 1)
#define FS_REFER             (1ull << 13) /* ABI 2 */
#define FS_TRUNCATE          (1ull << 14) /* ABI 3 */
#define FS_IOCTL_DEV         (1ull << 15) /* ABI 5 */
/* TCP, ABI 4. */
#define NET_BIND_AND_CONNECT 3ull
/* What lies outside: abstract unix sockets and signals, ABI 6. */
#define SCOPE_ALL            3ull

#define FS_READ (FS_READ_FILE | FS_READ_DIR)
#define FS_WRITE                                                                                   \
    (FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SYM |    \
     FS_REFER | FS_TRUNCATE)
#define FS_OF_A_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_attr {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));

/* What any program needs to load libraries, keep time and draw random bytes. */
static const char *const system_reads[] = {
    "/lib",           "/lib64",           "/usr/lib",       "/usr/lib64",
    "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
    "/dev/urandom",   "/dev/zero",
};
/* What it takes to resolve a name and to check a certificate. */
static const char *const network_reads[] = {
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",   "/etc/gai.conf",
    "/etc/services",    "/etc/ssl",   "/etc/ca-certificates", "/usr/share/ca-certificates",
};

int fl_landlock_abi(void)
{
    long abi = syscall(SYS_CREATE_RULESET, NULL, 0, GET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static struct ruleset_attr handled_by(int abi, bool may_network)
{
    struct ruleset_attr attr = { .fs = FS_ALL_1 };
    if (abi >= 2)
        attr.fs |= FS_REFER;
    if (abi >= 3)
        attr.fs |= FS_TRUNCATE;
    if (abi >= 4 && !may_network)
        attr.net = NET_BIND_AND_CONNECT;
    if (abi >= 5)
        attr.fs |= FS_IOCTL_DEV;
    if (abi >= 6)
        attr.scoped = SCOPE_ALL;
    return attr;
}

/* What was opened, and not what a name led to before: is it the runtime's own? Who cannot tell
 * says yes. */
static bool is_closed(int fd, const json_t *closed)
{
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = json_array_size(closed) ? readlink(name, path, sizeof path - 1) : 0;
    if (n < 0)
        return true;
    path[n] = 0;
    for (size_t i = 0; i < json_array_size(closed); i++) {
        if (fl_closed_meets(path, json_string_value(json_array_get(closed, i))))
            return true;
    }
    return false;
}

/* 0, or errno of what failed; EPERM for what is closed. */
static int allow(int ruleset, const char *path, uint64_t access, const json_t *closed)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = 0;
    if (is_closed(fd, closed)) {
        error = EPERM;
    } else if (fstat(fd, &st) != 0) {
        error = errno;
    } else {
        if (!S_ISDIR(st.st_mode))
            access &= FS_OF_A_FILE;
        struct path_attr attr = { .access = access, .fd = fd };
        if (access && syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, &attr, 0) != 0)
            error = errno;
    }
    close(fd);
    return error;
}

static void allow_each(int ruleset, const char *const *paths, size_t count, uint64_t access)
{
    for (size_t i = 0; i < count; i++)
        (void)allow(ruleset, paths[i], access, NULL); /* not every system has each of them */
}

static enum fl_code allow_configured(int ruleset, const struct fl_setup *setup, uint64_t handled,
                                     struct fl_err *err)
{
    for (size_t i = 0; i < json_array_size(setup->paths); i++) {
        const json_t *pair = json_array_get(setup->paths, i);
        const char *path = json_string_value(json_array_get(pair, 0));
        unsigned want = (unsigned)json_integer_value(json_array_get(pair, 1));
        uint64_t access = 0;
        if (want & FL_HOST_READ)
            access |= FS_READ;
        if ((want & FL_HOST_WRITE) && setup->mode == FL_SETUP_WORK)
            access |= FS_WRITE;
        int error = path ? allow(ruleset, path, access & handled, setup->closed) : EINVAL;
        if (error == EPERM)
            return fl_err_set(err, FL_PLUGIN,
                              "a plugin may not reach the runtime's own files, as it would by %s",
                              path);
        if (error)
            return fl_err_set(err, FL_PLUGIN, "cannot open the sandbox path %s: %s",
                              path ? path : "(none)", strerror(error));
    }
    return FL_OK;
}

enum fl_code fl_landlock_enter(const struct fl_setup *setup, int *ret_abi, struct fl_err *err)
{
    int abi = fl_landlock_abi();
    *ret_abi = abi;
    if (abi == 0)
        return FL_OK;
    struct ruleset_attr attr = handled_by(abi, setup->may_network);
    size_t size = abi >= 6 ? sizeof attr : abi >= 4 ? 2 * sizeof attr.fs : sizeof attr.fs;
    int ruleset = (int)syscall(SYS_CREATE_RULESET, &attr, size, 0);
    if (ruleset < 0)
        return fl_err_set(err, FL_PLUGIN, "could not make the sandbox: %s", strerror(errno));
    enum fl_code code = FL_OK;
    int error = allow(ruleset, setup->plugin_path, FS_READ, NULL);
    if (error)
        code =
            fl_err_set(err, FL_PLUGIN, "cannot open %s: %s", setup->plugin_path, strerror(error));
    allow_each(ruleset, system_reads, FL_COUNTOF(system_reads), FS_READ);
    (void)allow(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE, NULL);
    if (setup->may_network)
        allow_each(ruleset, network_reads, FL_COUNTOF(network_reads), FS_READ);
    if (!code)
        code = allow_configured(ruleset, setup, attr.fs, err);
    if (!code && syscall(SYS_RESTRICT_SELF, ruleset, 0) != 0)
        code = fl_err_set(err, FL_PLUGIN, "could not enter the sandbox: %s", strerror(errno));
    close(ruleset);
    return code;
}
