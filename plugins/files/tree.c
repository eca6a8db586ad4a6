/* Scanning and removing a tree with the one walk, so that both see the same order. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "text.h"
#include "walk.h"

static struct tree_record record_of(const struct walk_entry *e)
{
    struct tree_record r = { .ino = e->st.st_ino, .kind = e->kind };
    /* Size and times of a directory change while its entries go; those of the others do not, and
     * the ctime is left out because removing one hard link changes it for the next. */
    if (e->kind != KIND_DIR) {
        r.size = e->st.st_size;
        r.mtime_s = e->st.st_mtim.tv_sec;
        r.mtime_ns = e->st.st_mtim.tv_nsec;
    }
    return r;
}

static bool is_same(const struct tree *tree, size_t at, const struct walk_entry *e)
{
    const struct tree_record *was = &tree->records[at];
    struct tree_record now = record_of(e);
    return was->ino == now.ino && was->size == now.size && was->mtime_s == now.mtime_s &&
           was->mtime_ns == now.mtime_ns && was->kind == now.kind &&
           strcmp(tree->paths.p + was->path_at, e->path) == 0;
}

static int remember(struct tree *tree, const struct walk_entry *e)
{
    if (tree->count == tree->cap) {
        size_t cap = tree->cap ? tree->cap * 2 : 64; /* bounded by the walk's entries_max */
        struct tree_record *more = realloc(tree->records, cap * sizeof *more);
        if (!more)
            return -1;
        tree->records = more;
        tree->cap = cap;
    }
    tree->records[tree->count] = record_of(e);
    tree->records[tree->count++].path_at = tree->paths.n;
    buf_put(&tree->paths, e->path, e->path_n + 1);
    return tree->paths.is_failed ? -1 : 0;
}

static int digest(struct sha256 *sha, const struct walk_entry *e, struct problem *p)
{
    char line[200], target[PATH_MAX];
    const struct stat *st = &e->st;
    int n = snprintf(line, sizeof line, "%s %o", kind_name(e->kind), st->st_mode & 07777u);
    sha256_add(sha, e->path, e->path_n + 1);
    sha256_add(sha, line, (size_t)n + 1);
    if (e->kind == KIND_LINK) {
        ssize_t len = readlinkat(e->dir, e->name, target, sizeof target);
        if (len < 0)
            return problem_errno(p, errno, "look at", e->path);
        sha256_add(sha, target, (size_t)len);
    } else if (e->kind != KIND_DIR) {
        state_hash_times(sha, st);
    }
    sha256_add(sha, "", 1);
    return 0;
}

static void add_up(struct tree *tree, const struct walk_entry *e)
{
    tree->files += e->kind == KIND_FILE;
    tree->dirs += e->kind == KIND_DIR;
    tree->links += e->kind == KIND_LINK;
    tree->others += e->kind == KIND_OTHER;
    if (e->kind == KIND_FILE)
        tree->bytes += (uint64_t)e->st.st_size;
}

int tree_scan(const struct root *root, int dir, const char *name, size_t entries_max,
              struct tree *tree, char ret_digest[SHA256_HEX_BYTES], struct problem *p)
{
    struct walk *walk = calloc(1, sizeof *walk);
    struct walk_entry e;
    struct sha256 sha;
    int fd, rc = -1;
    if (!walk)
        return problem_memory(p);
    sha256_init(&sha);
    walk->depth_max = WALK_DEPTH_MAX + 1;
    walk->entries_max = entries_max;
    fd = root_open_dir(root, dir, name, p);
    if (fd < 0 || walk_start(walk, root, fd, p) != 0)
        goto out;
    while ((rc = walk_next(walk, &e, p)) == 1) {
        rc = -1;
        if (tree->keeps_records && remember(tree, &e) != 0) {
            problem_memory(p);
            goto out;
        }
        add_up(tree, &e);
        if (digest(&sha, &e, p) != 0)
            goto out;
    }
    sha256_hex(&sha, ret_digest);
out:
    walk_end(walk);
    free(walk);
    return rc;
}

static int remove_one(const struct walk_entry *e, struct problem *p)
{
    if (unlinkat(e->dir, e->name, e->kind == KIND_DIR ? AT_REMOVEDIR : 0) != 0)
        return problem_errno(p, errno, "delete", e->path);
    return 0;
}

static int remove_below(struct walk *walk, const struct tree *tree, size_t *removed,
                        struct problem *p)
{
    struct walk_entry e;
    size_t at = 0;
    int rc;
    while ((rc = walk_next(walk, &e, p)) == 1) {
        if (!e.is_leave) {
            char name[TEXT_NAME_BYTES];
            if (at == tree->count || !is_same(tree, at++, &e))
                return problem_set(p, "\"%s\" changed meanwhile", text_name(e.path, name));
        }
        if (e.is_leave || e.kind != KIND_DIR) {
            if (remove_one(&e, p) != 0)
                return -1;
            ++*removed;
        }
    }
    return rc;
}

int tree_remove(const struct root *root, int dir, const char *name, const struct tree *tree,
                size_t *ret_removed, struct problem *p)
{
    struct walk *walk = calloc(1, sizeof *walk);
    int fd, rc = -1;
    *ret_removed = 0;
    if (!walk)
        return problem_memory(p);
    walk->depth_max = WALK_DEPTH_MAX + 1;
    walk->entries_max = tree->count;
    walk->wants_leave = true;
    fd = root_open_dir(root, dir, name, p);
    if (fd < 0 || walk_start(walk, root, fd, p) != 0)
        goto out;
    rc = remove_below(walk, tree, ret_removed, p);
    if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) != 0)
        rc = problem_errno(p, errno, "delete", name);
    else if (rc == 0)
        ++*ret_removed;
out:
    walk_end(walk);
    free(walk);
    return rc;
}

void tree_list(const struct tree *tree, struct buf *out)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_record *r = &tree->records[i];
        const char *path = tree->paths.p + r->path_at;
        buf_puts(out, "  ");
        buf_name(out, path, strlen(path));
        if (r->kind == KIND_FILE)
            buf_printf(out, " (%lld bytes)\n", (long long)r->size);
        else
            buf_puts(out, r->kind == KIND_DIR    ? "/\n"
                          : r->kind == KIND_LINK ? " (symbolic link)\n"
                                                 : " (special file)\n");
    }
}

void tree_free(struct tree *tree)
{
    free(tree->records);
    tree->records = NULL;
    buf_fini(&tree->paths);
}
