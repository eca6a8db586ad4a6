/* Runs approved calls that nobody has to come for: tasks. A few at a time per worker; what one
 * worker does not start, the sweep finds for another. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_RUNNER_H
#define FLOPINIO_APPROVAL_RUNNER_H

#include "runtime/approval/core.h"

/* Tries to claim and run it, soon; harmless if it is running or over. */
void fl_runner_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *approval);
/* Those that wait for their turn at a plugin give up: another worker takes them. */
void fl_runner_drain(struct fl_core *core);

#endif
