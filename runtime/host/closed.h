/* Paths that no plugin may reach: the runtime's own. */
#ifndef FLOPINIO_HOST_CLOSED_H
#define FLOPINIO_HOST_CLOSED_H

#include <limits.h>
#include <stdbool.h>

/* The path without links, as far as it exists; the rest as it is written. Absolute. */
void fl_closed_resolve(const char *path, char ret[PATH_MAX]);
/* One contains the other, or they are the same. Both are resolved. */
bool fl_closed_meets(const char *a, const char *b);

#endif
