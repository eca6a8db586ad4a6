/* temporary file -> flush -> look again -> rename -> flush the directory. */
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "text.h"

#define ACL "system.posix_acl_access"

/* Mode, owner and access list of the file that goes, onto the one that comes. Bits that give
 * privileges (setuid, setgid) do not survive, as they do not survive a write. */
static int keep_attributes(const struct root *root, const struct place *place, int fd,
                           const struct stat *was, struct problem *p)
{
    char acl[4096], name[TEXT_NAME_BYTES];
    struct stat now, st;
    /* A rename asks for no right to write the file that goes; a write would have. */
    if (faccessat(place->dir, place->leaf, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0)
        return problem_errno(p, errno, "write", place->path);
    if (fstat(fd, &now) != 0)
        return problem_errno(p, errno, "write", place->path);
    if ((now.st_uid != was->st_uid || now.st_gid != was->st_gid) &&
        fchown(fd, was->st_uid, was->st_gid) != 0)
        return problem_set(p, "cannot write \"%s\": it belongs to another user, who would lose it",
                           text_name(place->path, name));
    int old = root_open_file(root, place->dir, place->leaf, place->path, &st, p), error = 0;
    if (old < 0)
        return -1;
    ssize_t n = fgetxattr(old, ACL, acl, sizeof acl);
    if (n < 0 && errno != ENODATA && errno != ENOTSUP)
        error = errno;
    close(old);
    /* A list that the directory gave the new file by default would open it to others: it goes. */
    if (error == 0 &&
        (n > 0 ? fsetxattr(fd, ACL, acl, (size_t)n, 0) : fremovexattr(fd, ACL)) != 0 &&
        (n > 0 || (errno != ENODATA && errno != ENOTSUP)))
        error = errno;
    if (error)
        return problem_errno(p, error, "keep the access list of", place->path);
    if (fchmod(fd, was->st_mode & 0777) != 0)
        return problem_errno(p, errno, "write", place->path);
    return 0;
}

static int fill(int fd, const char *bytes, size_t n, const char *path, struct problem *p)
{
    while (n > 0) {
        ssize_t put = write(fd, bytes, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return problem_errno(p, errno, "write", path);
        bytes += put;
        n -= (size_t)put;
    }
    if (fsync(fd) != 0)
        return problem_errno(p, errno, "write", path);
    return 0;
}

static int temporary_name(char *ret, size_t n, struct problem *p)
{
    unsigned char raw[8];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return problem_set(p, "could not get random bytes from the system");
    int at = snprintf(ret, n, SAVE_TEMPORARY);
    for (size_t i = 0; i < sizeof raw; i++)
        at += snprintf(ret + at, n - (size_t)at, "%02x", raw[i]);
    snprintf(ret + at, n - (size_t)at, ".tmp");
    return 0;
}

static int put_in_place(const struct place *place, const char *temporary, bool is_new,
                        struct problem *p)
{
    char name[TEXT_NAME_BYTES];
    int rc =
        renameat2(place->dir, temporary, place->dir, place->leaf, is_new ? RENAME_NOREPLACE : 0);
    if (rc != 0 && errno == EINVAL && is_new) {
        /* No NOREPLACE on this file system (NFS): a link does not replace either. */
        rc = linkat(place->dir, temporary, place->dir, place->leaf, 0);
        if (rc == 0)
            unlinkat(place->dir, temporary, 0);
    }
    if (rc != 0 && errno == EEXIST)
        return problem_changed(p, "\"%s\" came into being meanwhile; nothing was written",
                               text_name(place->path, name));
    if (rc != 0)
        return problem_errno(p, errno, "write", place->path);
    return 0;
}

int save_file(const struct root *root, const struct place *place, const struct state *was,
              size_t max_file_bytes, const char *bytes, size_t n, int (*should_stop)(void *context),
              void *context, struct problem *p)
{
    char temporary[64], name[TEXT_NAME_BYTES];
    bool is_new = was->kind == KIND_ABSENT;
    struct state now;
    if (temporary_name(temporary, sizeof temporary, p) != 0)
        return -1;
    /* A new file gets its mode from the umask and the directory's default access list. */
    int fd = openat(place->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    is_new ? 0666 : 0600);
    if (fd < 0)
        return problem_errno(p, errno, "write", place->path);
    int rc = is_new ? 0 : keep_attributes(root, place, fd, &was->st, p);
    if (rc == 0)
        rc = fill(fd, bytes, n, place->path, p);
    if (close(fd) != 0 && rc == 0)
        rc = problem_errno(p, errno, "write", place->path);
    if (rc == 0)
        rc = state_of(root, place, max_file_bytes, &now, NULL, p);
    if (rc == 0 && strcmp(now.text, was->text) != 0)
        rc = problem_changed(p, "\"%s\" was changed meanwhile; nothing was written",
                             text_name(place->path, name));
    if (rc == 0 && should_stop(context))
        rc = problem_set(p, "cancelled; nothing was written");
    if (rc == 0)
        rc = put_in_place(place, temporary, is_new, p);
    if (rc != 0) {
        unlinkat(place->dir, temporary, 0);
        return -1;
    }
    if (fsync(place->dir) != 0 && errno != EINVAL)
        return problem_set(p,
                           "the new content of \"%s\" is in place, but the directory could not "
                           "be flushed: it may not survive a power failure",
                           text_name(place->path, name));
    return 0;
}
