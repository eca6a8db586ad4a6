/* Shared by approvals.c and decisions.c. */
#ifndef FLOPINIO_CONSOLE_APPROVALS_H
#define FLOPINIO_CONSOLE_APPROVALS_H

#include "runtime/approval/decide.h"
#include "runtime/approval/look.h"
#include "runtime/console/api.h"

/* "approve", "reject", "withdraw". */
bool fl_verdict_parse(struct fl_str text, enum fl_verdict *ret);
/* For fl_decide: is everything that it is about on its card? */
enum fl_code fl_api_is_shown(const struct fl_decide *decide, const struct fl_look *look,
                             struct fl_err *err) FL_MUST_CHECK;
/* What came of a decision, members without the braces. */
void fl_api_put_decided(struct fl_buf *out, const struct fl_decide *decide);

#endif
