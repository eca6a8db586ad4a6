/* A directory with all that is below it: what it adds up to, its digest, and its removal. Called
 * by state_of and delete, on the one thread of the plugin. */
#ifndef FILES_TREE_H
#define FILES_TREE_H

#include "buf.h"
#include "root.h"
#include "sha256.h"

enum { TREE_SCAN_MAX = 100000 }; /* entries that a digest may cover */

struct tree_record { /* what an entry was when it was looked at; removal compares */
    size_t path_at;  /* in `paths` */
    uint64_t ino;
    int64_t size, mtime_s;
    long mtime_ns;
    enum kind kind;
};

struct tree {
    size_t files, dirs, links, others;
    uint64_t bytes;              /* of the files */
    bool keeps_records;          /* set by the caller: for tree_remove and tree_list */
    struct tree_record *records; /* in walking order; owned */
    size_t count, cap;
    struct buf paths; /* one after the other, each with its NUL */
};

/* Looks at all below dir/name. More than entries_max is a problem. */
int tree_scan(const struct root *root, int dir, const char *name, size_t entries_max,
              struct tree *tree, char ret_digest[SHA256_HEX_BYTES], struct problem *p);
/* Removes exactly what the scan saw, and then dir/name. Stops at the first entry that is new, gone
 * or different; *ret_removed says how many were removed, the directory itself included. */
int tree_remove(const struct root *root, int dir, const char *name, const struct tree *tree,
                size_t *ret_removed, struct problem *p);
/* A line an entry. */
void tree_list(const struct tree *tree, struct buf *out);
void tree_free(struct tree *tree);

#endif
