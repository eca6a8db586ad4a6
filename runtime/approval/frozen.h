/* What is written down with an approval when it is made, so that it means the same later: the
 * thresholds that were asked, and what its card says of tool and server. Loop thread. */
#ifndef FLOPINIO_APPROVAL_FROZEN_H
#define FLOPINIO_APPROVAL_FROZEN_H

#include "runtime/approval/org.h"

#define FL_STANDING_MS 900000 /* an unasked call that nobody runs expires */

/* JSON: {"account","environment","has_output_schema","why_asked","reason","secrets","sentence",
 * "server"}; p NULL: no memory. `why_asked`: why a grant that there was does not cover it; n 0:
 * there was none. */
struct fl_str fl_frozen_card(struct fl_arena *arena, const struct fl_org_tool *tool,
                             const struct fl_policy_verdict *verdict, struct fl_str why_asked);
/* Its "why_asked"; "" if there is none, or it cannot be read. */
struct fl_str fl_frozen_why(struct fl_arena *arena, struct fl_str card);
/* Does the tool that was called have one? Then what we say ourselves is not structured. */
bool fl_frozen_has_output_schema(struct fl_str card);
/* Canonical JSON of the verdict's ask, "{}" without one. FL_NOMEM. */
enum fl_code fl_frozen_ask(struct fl_arena *arena, const struct fl_policy_verdict *verdict,
                           struct fl_str *ret, struct fl_err *err) FL_MUST_CHECK;
/* A new task's name, 128 random bits; NULL: no memory. */
const char *fl_frozen_task_id(struct fl_arena *arena);

#endif
