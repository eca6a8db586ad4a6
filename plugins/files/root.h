/* The fence. A root is one directory, opened once; everything below is reached through openat2 with
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS (and RESOLVE_NO_XDEV unless the
 * operator lets the root span mounts), relative to the root or to a directory that was itself
 * opened that way. No path is ever joined and opened by name outside of it.
 *
 * Symbolic links are refused, not followed beneath the root: the approval names a path, and the
 * thing behind that path must be the thing that changes. delete removes a link itself.
 *
 * The tools call this, on the one thread of the plugin. */
#ifndef FILES_ROOT_H
#define FILES_ROOT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "problem.h"

struct root {
    int fd;           /* O_RDONLY | O_DIRECTORY; -1 = not open */
    uint64_t resolve; /* RESOLVE_ flags of every openat2 */
};

enum kind { KIND_ABSENT, KIND_FILE, KIND_DIR, KIND_LINK, KIND_OTHER };

/* A path as the agent gave it, checked and normalised: relative, no "..", no "." and no empty
 * parts; "." is the root. */
struct path {
    char text[PATH_MAX];
    size_t n;
};

/* A name in an open directory: where something is, or will be, made, changed or removed. */
struct place {
    int dir;          /* owned; the parent, or with missing parents the deepest that exists */
    const char *path; /* all of it, borrowed from struct path */
    const char *rest; /* what lies below dir: the leaf, or "missing/parents/leaf" */
    const char *leaf; /* borrowed from path */
    bool lacks_parents;
};

/* Opens the directory at an absolute path, which may itself go through links (it is the
 * operator's). -1 with *ret_why filled. */
int root_open(struct root *root, const char *path, bool crosses_mounts, const char **ret_why);
void root_close(struct root *root);

/* Takes the root for one writer: cooperates with every flopinio process on the same root. Waits
 * a few seconds at most. */
int root_lock(const struct root *root, struct problem *p);
void root_unlock(const struct root *root);

/* Checks and normalises. is_new: the name is going to be created, so that control characters in
 * it are refused too. */
int path_parse(struct path *path, const char *text, size_t n, bool is_new, struct problem *p);
bool path_is_root(const struct path *path);
/* Is inner the same as outer, or below it? */
bool path_is_within(const struct path *inner, const struct path *outer);

/* openat2 below dir. Returns the descriptor (close-on-exec) or -errno. */
int root_openat(const struct root *root, int dir, const char *path, int flags);
enum kind kind_of(const struct stat *st);
const char *kind_name(enum kind kind); /* "file", "directory", ... */
/* The kind of what is at path below dir, without opening it; 0 or -errno. Absent is a kind. */
int root_stat(const struct root *root, int dir, const char *path, struct stat *ret,
              enum kind *ret_kind);
/* Opens a regular file for reading: never a link, FIFO, socket or device. The descriptor or -1.
 * `shown` is the path as the messages name it. */
int root_open_file(const struct root *root, int dir, const char *path, const char *shown,
                   struct stat *ret, struct problem *p);
/* Opens a directory for reading. The descriptor or -1. */
int root_open_dir(const struct root *root, int dir, const char *path, struct problem *p);

/* Finds the directory of path. With may_lack_parents, missing parents are not an error. */
int place_open(const struct root *root, const struct path *path, bool may_lack_parents,
               struct place *ret, struct problem *p);
/* Makes the missing parents, durably. What was made stays, also if the call fails afterwards. */
int place_make_parents(const struct root *root, struct place *place, struct problem *p);
void place_close(struct place *place);
/* As root_stat; with lacking parents: absent. */
int place_stat(const struct root *root, const struct place *place, struct stat *ret,
               enum kind *ret_kind, struct problem *p);

#endif
