/* Puts new content behind a name: all of it or nothing, also across a crash. Called by write and
 * edit with the root locked, on the one thread of the plugin. */
#ifndef FILES_SAVE_H
#define FILES_SAVE_H

#include "content.h"

/* What the file will replace: `was` is the state that the caller looked at (KIND_ABSENT or
 * KIND_FILE). The content goes to a temporary name beside the target, is flushed, the target's
 * state is taken once more and compared, and the name is switched. Mode, owner and access list of
 * a replaced file are kept. should_stop is asked last before the switch.
 *
 * Window that stays open: between the last look and the switch (two system calls) another process
 * that does not take the root's lock can write to the old file; what it wrote is lost with it. A
 * target that was absent has no window: the switch refuses to replace. */
int save_file(const struct root *root, const struct place *place, const struct state *was,
              size_t max_file_bytes, const char *bytes, size_t n, int (*should_stop)(void *context),
              void *context, struct problem *p);

/* What the temporary names begin with. One that is found later is left from a crash and may go. */
#define SAVE_TEMPORARY ".flopinio-"

#endif
