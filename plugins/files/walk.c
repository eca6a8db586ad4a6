/* One frame a directory: its names are read and sorted when it is entered. */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "text.h"

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names of the directory of the top frame. 0 or an errno. */
static int load(struct walk *w)
{
    struct buf names = BUF_INIT;
    size_t count = 0;
    DIR *dir = w->frames[w->depth - 1].dir;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e) {
            if (errno) {
                int error = errno;
                buf_fini(&names);
                return error;
            }
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (w->skips_hidden && e->d_name[0] == '.') {
            w->hidden++;
            continue;
        }
        if (w->seen == w->entries_max) {
            w->is_cut = true;
            break;
        }
        w->seen++;
        count++;
        buf_put(&names, e->d_name, strlen(e->d_name) + 1);
    }
    const char **sorted = malloc((count ? count : 1) * sizeof *sorted);
    if (!sorted || names.is_failed) {
        free(sorted);
        buf_fini(&names);
        return ENOMEM;
    }
    const char *p = names.p;
    for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
        sorted[i] = p;
    qsort(sorted, count, sizeof *sorted, by_bytes);
    w->frames[w->depth - 1].names = names.p;
    w->frames[w->depth - 1].sorted = sorted;
    w->frames[w->depth - 1].count = count;
    return 0;
}

static void pop(struct walk *w)
{
    w->depth--;
    closedir(w->frames[w->depth].dir);
    free(w->frames[w->depth].names);
    free(w->frames[w->depth].sorted);
    memset(&w->frames[w->depth], 0, sizeof w->frames[0]);
}

/* Takes fd. 0 or an errno. */
static int push(struct walk *w, int fd)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int error = errno;
        close(fd);
        return error;
    }
    w->frames[w->depth].dir = dir;
    w->frames[w->depth].path_n = w->path_n;
    w->depth++;
    int error = load(w);
    if (error)
        pop(w);
    return error;
}

int walk_start(struct walk *walk, const struct root *root, int dir, struct problem *p)
{
    walk->root = root;
    walk->depth = 0;
    walk->seen = walk->path_n = 0;
    walk->path[0] = 0;
    walk->enters = false;
    int error = push(walk, dir);
    if (error)
        return problem_errno(p, error, "list", ".");
    return 0;
}

static int enter(struct walk *w, struct problem *p)
{
    const char *name = strrchr(w->path, '/');
    int parent = dirfd(w->frames[w->depth - 1].dir), error;
    w->enters = false;
    name = name ? name + 1 : w->path;
    int fd = root_openat(w->root, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    error = fd < 0 ? -fd : push(w, fd);
    if (error == 0)
        return 0;
    if (!w->is_lenient || error == ENOMEM)
        return problem_errno(p, error, "list", w->path);
    w->unreadable++;
    return 0;
}

/* Back to the parent; 1 if the caller wants to hear of it. */
static int leave(struct walk *w, struct walk_entry *ret)
{
    size_t path_n = w->frames[w->depth - 1].path_n;
    pop(w);
    if (w->depth == 0 || !w->wants_leave)
        return 0;
    w->path_n = path_n;
    w->path[path_n] = 0;
    const char *slash = strrchr(w->path, '/');
    *ret = (struct walk_entry){ .path = w->path,
                                .path_n = path_n,
                                .kind = KIND_DIR,
                                .name = slash ? slash + 1 : w->path,
                                .is_leave = true,
                                .dir = dirfd(w->frames[w->depth - 1].dir) };
    return 1;
}

int walk_next(struct walk *walk, struct walk_entry *ret, struct problem *p)
{
    if (walk->enters && enter(walk, p) != 0)
        return -1;
    if (walk->is_cut && !walk->is_lenient)
        return problem_set(p, "there are more than %zu entries in it", walk->entries_max);
    while (walk->depth > 0) {
        unsigned top = walk->depth - 1;
        if (walk->frames[top].next == walk->frames[top].count) {
            if (leave(walk, ret))
                return 1;
            continue;
        }
        const char *name = walk->frames[top].sorted[walk->frames[top].next++];
        size_t n = strlen(name), at = walk->frames[top].path_n;
        if (at)
            walk->path[at++] = '/';
        /* fits: at most WALK_DEPTH_MAX names of NAME_MAX bytes */
        memcpy(walk->path + at, name, n + 1);
        walk->path_n = at + n;
        *ret = (struct walk_entry){ .path = walk->path,
                                    .path_n = walk->path_n,
                                    .name = walk->path + at,
                                    .dir = dirfd(walk->frames[top].dir) };
        if (fstatat(ret->dir, name, &ret->st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (!walk->is_lenient)
                return problem_errno(p, errno, "look at", walk->path);
            walk->unreadable += errno != ENOENT;
            continue;
        }
        if (!utf8_is_valid(name, n))
            walk->not_utf8++;
        ret->kind = kind_of(&ret->st);
        if (ret->kind == KIND_DIR && walk->depth < walk->depth_max)
            walk->enters = true;
        if (walk->enters && walk->depth == WALK_DEPTH_MAX) {
            walk->enters = false;
            if (!walk->is_lenient)
                return problem_set(p, "it is nested deeper than %d directories", WALK_DEPTH_MAX);
            walk->unreadable++;
        }
        return 1;
    }
    return 0;
}

void walk_end(struct walk *walk)
{
    while (walk->depth > 0)
        pop(walk);
}
