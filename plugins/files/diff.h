/* Unified diffs, as GNU diff -u writes them and patch reads them. Pure; any thread. */
#ifndef FILES_DIFF_H
#define FILES_DIFF_H

#include "buf.h"

struct diff_text {
    const char *path; /* NULL: there is no such file (/dev/null) */
    const char *p;
    size_t n;
};

struct diff_count {
    size_t removed, added; /* lines */
};

enum diff_result {
    DIFF_DONE,
    DIFF_TOO_MANY_LINES, /* more than DIFF_LINES_MAX on a side: nothing was written */
    DIFF_NO_MEMORY
};

enum { DIFF_LINES_MAX = 200000, DIFF_CONTEXT = 3 };

/* Appends the diff to out, or nothing at all when the texts are the same. The result is always a
 * whole and correct diff; where finding the shortest one would take too long, the changed middle
 * is given as removed and added at once. *ret counts lines, also when `out` is NULL. A full `out`
 * shows in out->is_failed. */
enum diff_result diff_unified(struct buf *out, const struct diff_text *old,
                              const struct diff_text *fresh, struct diff_count *ret);

#endif
