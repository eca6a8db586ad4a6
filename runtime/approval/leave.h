/* "Nobody waits any more", recorded beside the call: while it runs, or because the database was
 * away at the moment the caller left. The row must not stay marked as held: it tries until that is
 * recorded. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_LEAVE_H
#define FLOPINIO_APPROVAL_LEAVE_H

#include "runtime/approval/core.h"

void fl_leave_try(struct fl_core *core, const struct fl_uuid *organization,
                  const struct fl_uuid *agent, const struct fl_uuid *approval, int64_t grace_ms);
/* After a failure: a second later. */
void fl_leave_later(struct fl_core *core, const struct fl_uuid *organization,
                    const struct fl_uuid *agent, const struct fl_uuid *approval, int64_t grace_ms);

#endif
