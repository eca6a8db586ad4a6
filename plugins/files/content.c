/* Reading whole files, and the state of names. */
#include "content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "tree.h"

int content_read(const struct root *root, int dir, const char *path, const char *shown, size_t max,
                 struct content *ret, struct problem *p)
{
    struct content c = { 0 };
    char name[TEXT_NAME_BYTES];
    int fd = root_open_file(root, dir, path, shown, &c.st, p), rc = -1;
    if (fd < 0)
        return -1;
    /* One byte more than the limit is asked for: the file may grow while it is read. */
    size_t cap = c.st.st_size >= 0 && (uint64_t)c.st.st_size < max ? (size_t)c.st.st_size : max;
    c.p = malloc(cap + 2);
    if (!c.p) {
        problem_memory(p);
        goto out;
    }
    for (;;) {
        ssize_t got = read(fd, c.p + c.n, cap + 1 - c.n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            problem_errno(p, errno, "read", shown);
            goto out;
        }
        c.n += (size_t)got;
        if (got == 0)
            break;
        if (c.n <= cap)
            continue;
        if (cap >= max) {
            problem_set(p, "\"%s\" has more than %zu bytes, the limit of this instance",
                        text_name(shown, name), max);
            goto out;
        }
        cap = cap < max / 2 ? cap * 2 + 4096 : max;
        if (cap > max)
            cap = max;
        char *more = realloc(c.p, cap + 2);
        if (!more) {
            problem_memory(p);
            goto out;
        }
        c.p = more;
    }
    c.p[c.n] = 0;
    sha256_of(c.p, c.n, c.sha256);
    *ret = c;
    c.p = NULL;
    rc = 0;
out:
    close(fd);
    free(c.p);
    return rc;
}

void content_free(struct content *content)
{
    free(content->p);
    content->p = NULL;
}

void state_hash_times(struct sha256 *sha, const struct stat *st)
{
    char line[160];
    int n = snprintf(line, sizeof line, "%lld %lld.%09ld %lld.%09ld", (long long)st->st_size,
                     (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                     (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    sha256_add(sha, line, (size_t)n);
}

static int file_state(const struct root *root, const struct place *place, size_t max_file_bytes,
                      struct state *ret, struct problem *p)
{
    char bytes[16384];
    struct sha256 sha;
    uint64_t total = 0;
    int fd = root_open_file(root, place->dir, place->leaf, place->path, &ret->st, p);
    if (fd < 0)
        return -1;
    sha256_init(&sha);
    bool is_large = (uint64_t)ret->st.st_size > max_file_bytes;
    while (!is_large) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            close(fd);
            return problem_errno(p, error, "read", place->path);
        }
        if (got == 0)
            break;
        sha256_add(&sha, bytes, (size_t)got);
        total += (uint64_t)got;
        is_large = total > max_file_bytes;
    }
    if (is_large) {
        if (fstat(fd, &ret->st) != 0) {
            int error = errno;
            close(fd);
            return problem_errno(p, error, "look at", place->path);
        }
        sha256_init(&sha);
        state_hash_times(&sha, &ret->st);
    }
    close(fd);
    char hex[SHA256_HEX_BYTES];
    sha256_hex(&sha, hex);
    snprintf(ret->text, sizeof ret->text, "%s:%s", is_large ? "large" : "sha256", hex);
    return 0;
}

static int link_state(const struct place *place, struct state *ret, struct problem *p)
{
    char target[PATH_MAX], hex[SHA256_HEX_BYTES];
    ssize_t n = readlinkat(place->dir, place->leaf, target, sizeof target);
    if (n < 0)
        return problem_errno(p, errno, "look at", place->path);
    sha256_of(target, (size_t)n, hex);
    snprintf(ret->text, sizeof ret->text, "link:%s", hex);
    return 0;
}

static int content_state(const struct root *root, const struct place *place, size_t max_file_bytes,
                         struct state *ret, struct content *content, struct problem *p)
{
    if (content_read(root, place->dir, place->leaf, place->path, max_file_bytes, content, p) != 0)
        return -1;
    ret->st = content->st;
    snprintf(ret->text, sizeof ret->text, "sha256:%s", content->sha256);
    return 0;
}

int state_of(const struct root *root, const struct place *place, size_t max_file_bytes,
             struct state *ret, struct content *content, struct problem *p)
{
    struct state s = { 0 };
    char name[TEXT_NAME_BYTES];
    int rc = -1;
    if (place_stat(root, place, &s.st, &s.kind, p) != 0)
        return -1;
    switch (s.kind) {
    case KIND_ABSENT:
        snprintf(s.text, sizeof s.text, "absent");
        rc = 0;
        break;
    case KIND_FILE:
        if (content && (uint64_t)s.st.st_size <= max_file_bytes)
            rc = content_state(root, place, max_file_bytes, &s, content, p);
        else
            rc = file_state(root, place, max_file_bytes, &s, p);
        break;
    case KIND_LINK: rc = link_state(place, &s, p); break;
    case KIND_DIR: {
        struct tree tree = { 0 };
        char hex[SHA256_HEX_BYTES];
        rc = tree_scan(root, place->dir, place->leaf, TREE_SCAN_MAX, &tree, hex, p);
        if (rc == 0)
            snprintf(s.text, sizeof s.text, "tree:%s", hex);
        tree_free(&tree);
        break;
    }
    case KIND_OTHER:
        problem_set(p, "\"%s\" is a device, FIFO or socket; such things are left alone",
                    text_name(place->path, name));
        break;
    }
    if (rc == 0)
        *ret = s;
    return rc;
}

void state_describe(const struct state *state, struct buf *out)
{
    switch (state->kind) {
    case KIND_ABSENT: buf_puts(out, "does not exist"); break;
    case KIND_FILE:
        buf_printf(out, "file, %lld bytes, %s", (long long)state->st.st_size, state->text);
        break;
    default: buf_printf(out, "%s, %s", kind_name(state->kind), state->text); break;
    }
}
