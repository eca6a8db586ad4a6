/* The one table of an approval's states and transitions. The enum, the database's guard, the page
 * docs/approval-states.md and the facts of the model are generated from it. Pure; any thread. */
#ifndef FLOPINIO_STORE_STATES_H
#define FLOPINIO_STORE_STATES_H

#include "flopinio/base/buf.h"
#include "flopinio/base/str.h"

/* X(NAME, database text, is it final, may a row be created in it, people's word, meaning) */
#define FL_APPROVAL_STATES(X)                                                                      \
    X(PENDING, "pending", 0, 1, "waiting", "people have been asked")                               \
    X(APPROVED, "approved", 0, 1, "approved", "decided; nothing has been sent")                    \
    X(REJECTED, "rejected", 1, 0, "rejected", "decided against; it never runs")                    \
    X(EXPIRED, "expired", 1, 0, "expired", "the time ran out before anything was sent")            \
    X(CANCELLED, "cancelled", 1, 0, "cancelled", "the agent took it back before it was sent")      \
    X(VOIDED, "voided", 1, 0, "withdrawn",                                                         \
      "approved, then a check failed before it was sent; it never ran")                            \
    X(CLAIMED, "claimed", 0, 0, "approved", "one worker has it and has sent nothing yet")          \
    X(DISPATCHED, "dispatched", 0, 0, "running", "it may be sent from this moment on")             \
    X(SUCCEEDED, "succeeded", 1, 0, "done", "the tool said that it did it")                        \
    X(FAILED, "failed", 1, 0, "failed", "the tool said that it failed, or it was never sent")      \
    X(UNKNOWN, "unknown", 0, 0, "outcome unknown: it may have happened",                           \
      "it was sent, or may have been, and no outcome is known; a person settles it")

/* X(FROM, TO) */
#define FL_APPROVAL_TRANSITIONS(X)                                                                 \
    X(PENDING, APPROVED)                                                                           \
    X(PENDING, REJECTED)                                                                           \
    X(PENDING, EXPIRED)                                                                            \
    X(PENDING, CANCELLED)                                                                          \
    X(APPROVED, CLAIMED)                                                                           \
    X(APPROVED, EXPIRED)                                                                           \
    X(APPROVED, CANCELLED)                                                                         \
    X(APPROVED, VOIDED)                                                                            \
    X(CLAIMED, APPROVED)                                                                           \
    X(CLAIMED, DISPATCHED)                                                                         \
    X(CLAIMED, EXPIRED)                                                                            \
    X(CLAIMED, CANCELLED)                                                                          \
    X(CLAIMED, VOIDED)                                                                             \
    X(DISPATCHED, SUCCEEDED)                                                                       \
    X(DISPATCHED, FAILED)                                                                          \
    X(DISPATCHED, UNKNOWN)                                                                         \
    X(UNKNOWN, SUCCEEDED)                                                                          \
    X(UNKNOWN, FAILED)

enum fl_approval_state {
#define X(name, text, is_final, is_first, word, meaning) FL_APPROVAL_##name,
    FL_APPROVAL_STATES(X)
#undef X
        FL_APPROVAL_STATE_COUNT
};

const char *fl_state_text(enum fl_approval_state state);
/* The word that people see on cards and in the terminal. */
const char *fl_state_word(enum fl_approval_state state);
bool fl_state_is_final(enum fl_approval_state state);
bool fl_state_parse(struct fl_str text, enum fl_approval_state *ret);
bool fl_state_may_move(enum fl_approval_state from, enum fl_approval_state to);

/* The database's own guard: a function, and triggers on `approval`. Idempotent SQL. */
void fl_states_sql(struct fl_buf *out);
/* The page docs/approval-states.md. */
void fl_states_markdown(struct fl_buf *out);
/* mtype and the macro MAY_MOVE(from, to) for a Promela model. */
void fl_states_promela(struct fl_buf *out);

#endif
