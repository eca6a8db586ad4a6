/* What is in a file, and the state of whatever a path names: the text that binds an approval to
 * what the preview looked at. The tools call this, on the one thread of the plugin. */
#ifndef FILES_CONTENT_H
#define FILES_CONTENT_H

#include "buf.h"
#include "root.h"
#include "sha256.h"

struct content {
    char *p; /* owned; NUL-terminated behind n */
    size_t n;
    struct stat st;
    char sha256[SHA256_HEX_BYTES]; /* of exactly these bytes */
};

/* Reads a regular file whole; `shown` is its path in messages. More than max bytes is a problem. */
int content_read(const struct root *root, int dir, const char *path, const char *shown, size_t max,
                 struct content *ret, struct problem *p);
void content_free(struct content *content);

/* The state of a name, as the runtime shows and binds it (FLOPINIO_PRECONDITION_MAX holds two):
 *   absent            nothing is there
 *   sha256:HEX        a file of at most max_file_bytes: its content
 *   large:HEX         a larger file: its size, mtime and ctime (any write changes the ctime)
 *   link:HEX          a symbolic link: where it points
 *   tree:HEX          a directory: names, kinds and modes of all below it, of files also size,
 *                     mtime and ctime, of links where they point; not the files' bytes
 * Other things (devices, sockets) have no state: a problem. */
#define STATE_BYTES 80

struct state {
    char text[STATE_BYTES];
    enum kind kind;
    struct stat st;
};

/* content (may be NULL) gets what a file of at most max_file_bytes holds, and is otherwise left
 * empty (p NULL); content_free in every case. */
int state_of(const struct root *root, const struct place *place, size_t max_file_bytes,
             struct state *ret, struct content *content, struct problem *p);

/* Size, mtime and ctime, as a part of a state. */
void state_hash_times(struct sha256 *sha, const struct stat *st);

/* "file, 12 bytes, sha256:..." or the like, for a preview. */
void state_describe(const struct state *state, struct buf *out);

#endif
