/* Watches dispatched approvals. One is called unknown only when the database's clock says that its
 * time is over AND this process has watched it for that long on its own BOOTTIME and MONOTONIC: a
 * database clock that jumps forward must not open the way to a second run, nor a machine that was
 * suspended, on which a plugin goes on with what it was at. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_REAPER_H
#define FLOPINIO_APPROVAL_REAPER_H

#include "runtime/io/pg.h"

struct fl_reaper_seen {
    struct fl_uuid id, organization;
    int64_t fence, window_ms, first_boot_ms, first_mono_ms;
    bool is_over_there; /* by the database's clock */
};

struct fl_reaper {
    struct fl_reaper_seen *seen; /* by id */
    size_t count;
};

/* Takes the rows of fl_store_sweep_dispatched; forgets what is not among them any more. */
void fl_reaper_look(struct fl_reaper *reaper, const struct fl_query *q);
/* Is the outcome of seen[at] to be called unknown? */
bool fl_reaper_is_over(const struct fl_reaper *reaper, size_t at);
void fl_reaper_fini(struct fl_reaper *reaper);

#endif
