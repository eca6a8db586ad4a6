/* What a change of people does to the rules: those that reach fewer people than before, or nobody.
 * Loop thread only. */
#ifndef FLOPINIO_CONSOLE_REACH_H
#define FLOPINIO_CONSOLE_REACH_H

#include "policy/policy.h"
#include "runtime/console/api.h"

/* After a committed change: holds the policy against the organization as it is now; `done` follows,
 * and puts `"findings":[...]` into its answer: what was not so when the request came in, each
 * "rule NAME: text". null when it could not be looked up (the change stands). */
void fl_reach_start(struct fl_api *a, void (*done)(struct fl_api *a));
void fl_reach_put(struct fl_buf *out, const struct fl_api *a);
/* As a handler's `done`: answers {"findings":[...]} alone. */
void fl_reach_answer(struct fl_api *a);
/* A list of texts: the findings of `after` that `before` does not have. */
void fl_reach_put_new(struct fl_buf *out, const struct fl_findings *before,
                      const struct fl_findings *after);

#endif
