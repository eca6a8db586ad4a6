/* What nobody calls for, each second: waking those whose approval changed, noticing changed
 * organizations, telling that this worker lives; and, by the one worker that has the lease,
 * expiring, giving back claims, cancelling what was left, calling outcomes unknown, running tasks
 * that were left over, lifting stops whose time is up, filing canaries; by the one that has another
 * lease, moving what stops cover (freeze.h). Loop thread only. */
#ifndef FLOPINIO_APPROVAL_SWEEP_H
#define FLOPINIO_APPROVAL_SWEEP_H

#include "runtime/approval/core.h"

struct fl_sweep;

enum fl_code fl_sweep_new(struct fl_core *core, struct fl_sweep **ret,
                          struct fl_err *err) FL_MUST_CHECK;
/* Begins; needs the hub and the organizations, of which nothing was read before `since_ms` (the
 * database's clock). */
void fl_sweep_start(struct fl_sweep *sweep, int64_t since_ms);
/* The next round now, and from then on by the interval of now (after a reload). */
void fl_sweep_nudge(struct fl_sweep *sweep);
/* No further rounds; the running one ends with the database. */
void fl_sweep_stop(struct fl_sweep *sweep);
void fl_sweep_free(struct fl_sweep **sweep);

/* The last counts of open approvals by state (for metrics), by state; 0 until the first one. A
 * count is as old as a hundred times what it took. */
int64_t fl_sweep_count(const struct fl_sweep *sweep, const char *state);
int64_t fl_sweep_counted_ms(const struct fl_sweep *sweep); /* when, by our clock; 0: never */
bool fl_sweep_has_lease(const struct fl_sweep *sweep);
/* By the database's clock minus ours at the last round, in milliseconds. */
int64_t fl_sweep_clock_offset(const struct fl_sweep *sweep);

#endif
