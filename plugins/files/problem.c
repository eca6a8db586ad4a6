/* The sentences. Any thread. */
#include "problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

__attribute__((format(printf, 3, 0))) static int fill(struct problem *p,
                                                      enum flopinio_outcome outcome,
                                                      const char *fmt, va_list ap)
{
    p->outcome = outcome;
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    return -1;
}

int problem_set(struct problem *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(p, FLOPINIO_TOOL_ERROR, fmt, ap);
    va_end(ap);
    return -1;
}

int problem_changed(struct problem *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(p, FLOPINIO_TARGET_CHANGED, fmt, ap);
    va_end(ap);
    return -1;
}

static const char *reason(int error, char *unknown, size_t n)
{
    switch (error) {
    case ENOENT: return "it does not exist";
    case EACCES:
    case EPERM: return "permission denied";
    case ELOOP: return "it is or goes through a symbolic link, and links are not followed";
    case EXDEV: return "it is on another file system than the root";
    case ENOTDIR: return "a part of the path is not a directory";
    case EISDIR: return "it is a directory";
    case EEXIST: return "it exists already";
    case ENOTEMPTY: return "it is not empty";
    case ENAMETOOLONG: return "the path or a name in it is longer than the file system allows";
    case ENOSPC: return "there is no space left";
    case EDQUOT: return "the disk quota is used up";
    case EFBIG: return "it would be larger than allowed";
    case EROFS: return "the file system is read-only";
    case EBUSY: return "it is in use by the system";
    case EAGAIN: return "the tree is changing too quickly";
    case ENXIO: return "it is neither a file nor a directory";
    case EIO: return "input or output failed";
    case ENOMEM: return "out of memory";
    case EMFILE:
    case ENFILE: return "too many open files";
    default: snprintf(unknown, n, "system error %d", error); return unknown;
    }
}

int problem_errno(struct problem *p, int error, const char *verb, const char *path)
{
    char name[TEXT_NAME_BYTES], unknown[40];
    int may_pass = error == EAGAIN || error == ENOSPC || error == EDQUOT || error == EIO ||
                   error == ENOMEM || error == EMFILE || error == ENFILE || error == EBUSY;
    return problem_set(p, "%s %s \"%s\": %s", may_pass ? "could not" : "cannot", verb,
                       text_name(path, name), reason(error, unknown, sizeof unknown));
}

int problem_memory(struct problem *p)
{
    return problem_set(p, "out of memory");
}
