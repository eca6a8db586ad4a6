/* What a canary may look like: the same for single requests and for whole documents (apply.h). Loop
 * thread only because of the arena. */
#ifndef FLOPINIO_CONSOLE_CANARIES_H
#define FLOPINIO_CONSOLE_CANARIES_H

#include "runtime/approval/canary.h"

/* The members of its object, as they are listed to whoever has others. */
#define FL_CANARY_MEMBERS "name agent tool arguments per_week days from to zone"

/* What the object says; what it does not say of days is Monday to Friday. Texts are borrowed, or
 * the arena's. FL_BAD_PARAMS with one sentence. */
enum fl_code fl_canary_parse(const json_t *object, struct fl_arena *arena,
                             struct fl_canary_row *ret, struct fl_str *ret_agent,
                             struct fl_err *err) FL_MUST_CHECK;
/* Could it be filed, by what is known now? Draws its first time. FL_BAD_PARAMS; FL_NOMEM. */
enum fl_code fl_canary_settle(const struct fl_org *org, const struct fl_query *q_agent,
                              struct fl_arena *arena, struct fl_canary_row *row,
                              struct fl_canary_who *ret, struct fl_err *err) FL_MUST_CHECK;
/* Fills the event of a canary that was set. */
void fl_canary_describe(struct fl_audit_event *event, const struct fl_canary_row *row,
                        struct fl_str agent);

#endif
