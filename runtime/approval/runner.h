/* Runs approved calls that nobody has to come for: tasks. Some at a time of each server, so that
 * those that wait for a slow plugin keep nobody else's from starting; what is not started the sweep
 * finds again. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_RUNNER_H
#define FLOPINIO_APPROVAL_RUNNER_H

#include "runtime/approval/core.h"

/* Tries to claim and run it, soon; harmless if it is running or over. */
void fl_runner_kick(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *server, const struct fl_uuid *approval);
/* Those that wait for their turn at a plugin give up: another worker takes them. */
void fl_runner_drain(struct fl_core *core);

#endif
