/* openat2 and everything that decides what a path may name. */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

enum { OPEN_TRIES = 32, LOCK_WAIT_MS = 5000, LOCK_STEP_MS = 10 };

int root_open(struct root *root, const char *path, bool crosses_mounts, const char **ret_why)
{
    struct stat st;
    root->resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    if (!crosses_mounts)
        root->resolve |= RESOLVE_NO_XDEV;
    root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->fd < 0) {
        *ret_why = errno == ENOENT    ? "the root directory does not exist"
                   : errno == ENOTDIR ? "the root is not a directory"
                   : errno == EACCES  ? "the root directory cannot be opened: permission denied"
                                      : "the root directory cannot be opened";
        return -1;
    }
    int self = root_openat(root, root->fd, ".", O_PATH | O_DIRECTORY);
    if (self < 0 || fstat(self, &st) != 0) {
        *ret_why = self == -ENOSYS ? "this kernel has no openat2 (Linux 5.6): the root cannot be "
                                     "fenced"
                                   : "the root directory cannot be opened with openat2";
        if (self >= 0)
            close(self);
        root_close(root);
        return -1;
    }
    close(self);
    return 0;
}

void root_close(struct root *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
}

int root_lock(const struct root *root, struct problem *p)
{
    const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };
    for (int waited = 0; flock(root->fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return problem_errno(p, errno, "lock", ".");
        if (waited >= LOCK_WAIT_MS)
            return problem_set(p, "could not lock the root: another writer holds it; nothing was "
                                  "changed");
        nanosleep(&step, NULL);
    }
    return 0;
}

void root_unlock(const struct root *root)
{
    flock(root->fd, LOCK_UN);
}

/* ---- paths ---- */
int path_parse(struct path *path, const char *text, size_t n, bool is_new, struct problem *p)
{
    char name[TEXT_NAME_BYTES];
    size_t out = 0;
    if (strlen(text) != n)
        return problem_set(p, "a path must not hold a NUL character");
    if (n >= sizeof path->text)
        return problem_set(p, "the path has %zu bytes, more than the %zu that are possible", n,
                           sizeof path->text - 1);
    if (text[0] == '/')
        return problem_set(p, "\"%s\" is an absolute path; paths are relative to the root",
                           text_name(text, name));
    for (const char *part = text; *part;) {
        size_t len = strcspn(part, "/");
        if (len == 2 && memcmp(part, "..", 2) == 0)
            return problem_set(p, "\"%s\" holds \"..\"; paths stay below the root",
                               text_name(text, name));
        if (len > 0 && !(len == 1 && part[0] == '.')) {
            if (out)
                path->text[out++] = '/';
            memcpy(path->text + out, part, len);
            out += len;
        }
        part += len + (part[len] == '/');
    }
    if (out == 0)
        path->text[out++] = '.';
    path->text[out] = 0;
    path->n = out;
    for (size_t i = 0; is_new && i < out; i++) {
        unsigned char c = (unsigned char)path->text[i];
        bool is_c1 = c == 0xc2 && (unsigned char)path->text[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || is_c1)
            return problem_set(p, "\"%s\" holds a control character; such names are not created",
                               text_name(path->text, name));
    }
    return 0;
}

bool path_is_root(const struct path *path)
{
    return strcmp(path->text, ".") == 0;
}

bool path_is_within(const struct path *inner, const struct path *outer)
{
    return path_is_root(outer) ||
           (inner->n >= outer->n && memcmp(inner->text, outer->text, outer->n) == 0 &&
            (inner->text[outer->n] == 0 || inner->text[outer->n] == '/'));
}

/* ---- opening ---- */
int root_openat(const struct root *root, int dir, const char *path, int flags)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
                            .resolve = root->resolve };
    for (int i = 0;; i++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        /* EAGAIN: something was renamed meanwhile and the kernel could not be sure */
        if ((errno != EAGAIN && errno != EINTR) || i == OPEN_TRIES)
            return -errno;
    }
}

enum kind kind_of(const struct stat *st)
{
    return S_ISREG(st->st_mode)   ? KIND_FILE
           : S_ISDIR(st->st_mode) ? KIND_DIR
           : S_ISLNK(st->st_mode) ? KIND_LINK
                                  : KIND_OTHER;
}

const char *kind_name(enum kind kind)
{
    static const char *const names[] = { "absent", "file", "directory", "symlink", "other" };
    return names[kind];
}

int root_stat(const struct root *root, int dir, const char *path, struct stat *ret,
              enum kind *ret_kind)
{
    int fd = root_openat(root, dir, path, O_PATH | O_NOFOLLOW);
    if (fd == -ENOENT) {
        memset(ret, 0, sizeof *ret);
        *ret_kind = KIND_ABSENT;
        return 0;
    }
    if (fd < 0)
        return fd;
    int rc = fstat(fd, ret) == 0 ? 0 : -errno;
    close(fd);
    if (rc == 0)
        *ret_kind = kind_of(ret);
    return rc;
}

int root_open_file(const struct root *root, int dir, const char *path, const char *shown,
                   struct stat *ret, struct problem *p)
{
    enum kind kind = KIND_OTHER;
    /* Looked at without opening first: to open a device can do something. */
    int fd = root_stat(root, dir, path, ret, &kind);
    if (fd == 0 && kind == KIND_FILE)
        fd = root_openat(root, dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    else if (fd == 0)
        fd = kind == KIND_ABSENT ? -ENOENT
             : kind == KIND_DIR  ? -EISDIR
             : kind == KIND_LINK ? -ELOOP
                                 : -ENXIO;
    if (fd < 0)
        return problem_errno(p, -fd, "read", shown);
    if (fstat(fd, ret) != 0 || !S_ISREG(ret->st_mode)) {
        close(fd);
        return problem_errno(p, ENXIO, "read", shown);
    }
    return fd;
}

int root_open_dir(const struct root *root, int dir, const char *path, struct problem *p)
{
    struct stat st;
    enum kind kind;
    int fd = root_openat(root, dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0)
        return fd;
    if (fd == -ENOTDIR && root_stat(root, dir, path, &st, &kind) == 0 && kind != KIND_DIR) {
        char name[TEXT_NAME_BYTES];
        return problem_set(p, "\"%s\" is a %s, not a directory", text_name(path, name),
                           kind == KIND_FILE   ? "file"
                           : kind == KIND_LINK ? "symbolic link (links are not followed)"
                                               : "special file");
    }
    return problem_errno(p, -fd, "open", path);
}

/* ---- places ---- */
static int open_parent(const struct root *root, const struct path *path, size_t n)
{
    char parent[PATH_MAX];
    if (n == 0)
        return root_openat(root, root->fd, ".", O_RDONLY | O_DIRECTORY);
    memcpy(parent, path->text, n);
    parent[n] = 0;
    return root_openat(root, root->fd, parent, O_RDONLY | O_DIRECTORY);
}

int place_open(const struct root *root, const struct path *path, bool may_lack_parents,
               struct place *ret, struct problem *p)
{
    const char *slash = strrchr(path->text, '/');
    size_t n = slash ? (size_t)(slash - path->text) : 0; /* bytes of the parent tried */
    *ret = (struct place){ .dir = -1, .path = path->text, .leaf = slash ? slash + 1 : path->text };
    if (path_is_root(path))
        return problem_set(p, "the root itself cannot be changed");
    for (;;) {
        ret->dir = open_parent(root, path, n);
        if (ret->dir != -ENOENT || !may_lack_parents || n == 0)
            break;
        ret->lacks_parents = true;
        while (n > 0 && path->text[--n] != '/')
            ;
    }
    if (ret->dir == -ENOENT && !may_lack_parents) {
        char name[TEXT_NAME_BYTES];
        return problem_set(p, "the directory of \"%s\" does not exist",
                           text_name(path->text, name));
    }
    if (ret->dir < 0)
        return problem_errno(p, -ret->dir, "reach", path->text);
    ret->rest = n ? path->text + n + 1 : path->text;
    return 0;
}

int place_make_parents(const struct root *root, struct place *place, struct problem *p)
{
    while (place->rest != place->leaf) {
        char name[NAME_MAX + 1];
        size_t len = strcspn(place->rest, "/");
        if (len > NAME_MAX)
            return problem_errno(p, ENAMETOOLONG, "make", place->path);
        memcpy(name, place->rest, len);
        name[len] = 0;
        if (mkdirat(place->dir, name, 0777) != 0 && errno != EEXIST)
            return problem_errno(p, errno, "make the directory of", place->path);
        int below = root_openat(root, place->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (below < 0)
            return problem_errno(p, -below, "make the directory of", place->path);
        if (fsync(place->dir) != 0 && errno != EINVAL) {
            int error = errno;
            close(below);
            return problem_errno(p, error, "make the directory of", place->path);
        }
        close(place->dir);
        place->dir = below;
        place->rest += len + 1;
    }
    place->lacks_parents = false;
    return 0;
}

void place_close(struct place *place)
{
    if (place->dir >= 0)
        close(place->dir);
    place->dir = -1;
}

int place_stat(const struct root *root, const struct place *place, struct stat *ret,
               enum kind *ret_kind, struct problem *p)
{
    if (place->lacks_parents) {
        memset(ret, 0, sizeof *ret);
        *ret_kind = KIND_ABSENT;
        return 0;
    }
    int rc = root_stat(root, place->dir, place->leaf, ret, ret_kind);
    return rc == 0 ? 0 : problem_errno(p, -rc, "look at", place->path);
}
