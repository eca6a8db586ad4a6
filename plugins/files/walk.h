/* Everything below a directory, in the order of the names' bytes, without recursion. The tools
 * call this, on the one thread of the plugin. */
#ifndef FILES_WALK_H
#define FILES_WALK_H

#include <dirent.h>

#include "root.h"

/* Each level holds a descriptor; a plugin process has 64 unless its operator says otherwise. */
enum { WALK_DEPTH_MAX = 40 };

struct walk_entry {
    const char *path; /* below the start; valid until the next step */
    size_t path_n;
    const char *name; /* the last part of path */
    int dir;          /* borrowed: the directory that holds it */
    enum kind kind;
    struct stat st;
    bool is_leave; /* a directory again, after everything below it */
};

struct walk {
    /* set by the caller before walk_start */
    unsigned depth_max; /* 1 = the directory's own entries */
    size_t entries_max; /* names looked at in all */
    bool is_lenient;    /* pass over what vanishes, cannot be read or is too deep, and count it;
                           else these are problems */
    bool skips_hidden;  /* names that start with a dot */
    bool wants_leave;
    /* told to the caller */
    size_t hidden, unreadable, not_utf8;
    bool is_cut; /* lenient: entries_max was reached */
    /* private */
    const struct root *root;
    unsigned depth;
    size_t seen, path_n;
    bool enters; /* the last entry is a directory to go into */
    struct {
        DIR *dir;
        char *names; /* one after the other, each with its NUL */
        const char **sorted;
        size_t count, next;
        size_t path_n; /* of the directory itself */
    } frames[WALK_DEPTH_MAX];
    char path[WALK_DEPTH_MAX * (NAME_MAX + 1) + 1];
};

/* Takes dir, an open directory, and closes it also if it fails. walk_end in every case. */
int walk_start(struct walk *walk, const struct root *root, int dir, struct problem *p);
/* 1 with the next entry, 0 at the end, -1. */
int walk_next(struct walk *walk, struct walk_entry *ret, struct problem *p);
void walk_end(struct walk *walk);

#endif
