/* Shared by call.c (the story), call_intake.c (making the row) and call_parts.c (the rest). */
#ifndef FLOPINIO_APPROVAL_CALL_PRIV_H
#define FLOPINIO_APPROVAL_CALL_PRIV_H

#include "runtime/approval/call.h"

#define FL_CALL_TRIES      16
/* How often an intake looks whether a call like it, which another worker has, has lost its worker:
 * PostgreSQL takes a moment to see a worker's death, and its agent may be back before. */
#define FL_CALL_TWIN_LOOKS 6

static inline struct fl_call *fl_call_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_call, flow);
}

/* ---- call_parts.c ---- */
/* The call outlives the request that it came with: its texts are its own. false: no memory. */
bool fl_call_own_texts(struct fl_call *c);
/* Its arguments count among the organization's in flight until it is freed; false: too many. */
bool fl_call_take_budget(struct fl_call *c);
/* From here on it is more than a read: what is used then is made ready, once. */
void fl_call_deepen(struct fl_call *c);
/* Begins c->event about this call, by the agent. */
void fl_call_event(struct fl_call *c, enum fl_audit_kind kind);
/* Takes our optional argument out of the arguments, as the justification. FL_BAD_PARAMS if it is no
 * text. */
enum fl_code fl_call_take_reason(struct fl_call *c, struct fl_err *err) FL_MUST_CHECK;
/* Starts the tool for an allowed read; c->flow.op completes when it ended. */
enum fl_code fl_call_read_start(struct fl_call *c) FL_MUST_CHECK;
/* [{"type":"text","text":..}] in the arena; p NULL on no memory. */
struct fl_str fl_call_text_content(struct fl_arena *arena, const char *lead, const char *text);
/* People are told of it elsewhere, by whichever worker looks after the channel. */
bool fl_call_goes_to_channels(const struct fl_call *c);
void fl_call_arm_hold(struct fl_call *c);
/* Reads the row of an intake whose commit had no answer. It is locked for that: what is seen may
 * not have come to a standby yet, and the commit of what has locked something waits for that. That
 * there is none means something if nothing of it was under way any more: c->is_certain. */
enum fl_code fl_call_doubt_start(struct fl_call *c) FL_MUST_CHECK;
enum fl_code fl_call_attach_start(struct fl_call *c) FL_MUST_CHECK;
/* Is there a note of the minute? With c->is_note_due makes one. A row, if there is one then. */
enum fl_code fl_call_ask_again_start(struct fl_call *c) FL_MUST_CHECK;
/* How long somebody may come back before the row is cancelled; 0: until it expires. */
int64_t fl_call_grace_ms(const struct fl_call *c);
enum fl_code fl_call_leave_start(struct fl_call *c) FL_MUST_CHECK;
/* `row`: as it is known to be, or NULL. Its texts are the look's, or the call's. */
enum fl_code fl_call_run_start(struct fl_call *c, const struct fl_approval *row) FL_MUST_CHECK;
/* What its turn needs of the row that was waited for, and that was approved when the hub says. */
void fl_call_approved_row(const struct fl_call *c, struct fl_approval *ret);
void fl_call_kick_runner(struct fl_call *c);
/* What the caller is told of the row. */
void fl_call_take_row(struct fl_call *c, const struct fl_approval *row);
/* An executed call's result that was kept; `why` explains one without content. */
void fl_call_take_result(struct fl_call *c, const struct fl_call_result *result, struct fl_str why);
/* What a person found of an outcome that was not known. */
void fl_call_take_settlement(struct fl_call *c, const struct fl_approval *row);
void fl_call_on_ended(struct fl_flow *f);

/* ---- call_grant.c ---- */
/* Is there a grant for what people would be asked about? Then c->grant; else c->why_asked says why
 * one that there was does not cover it. */
void fl_call_find_grant(struct fl_call *c);
/* People are asked: nothing lets it run. */
static inline bool fl_call_is_asked(const struct fl_call *c)
{
    return c->verdict.effect == FL_EFFECT_ASK && !c->grant;
}

/* ---- call_intake.c ---- */
/* c->canonical, once. FL_BAD_PARAMS: a number that the canonical form would change. */
enum fl_code fl_call_canonical(struct fl_call *c, struct fl_err *err) FL_MUST_CHECK;
enum fl_code fl_call_preview_start(struct fl_call *c) FL_MUST_CHECK;
void fl_call_take_preview(struct fl_call *c);
enum fl_code fl_call_intake_start(struct fl_call *c, bool is_task,
                                  int64_t expires_ms) FL_MUST_CHECK;
/* The same row, of which nothing was written: sealed copies are made once, as they live as long as
 * the call and are in no budget. */
enum fl_code fl_call_intake_again(struct fl_call *c) FL_MUST_CHECK;

#endif
