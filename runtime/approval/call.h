/* The life of a call, from an agent's tools/call to its answer. Endpoints make one, set it going
 * and format what comes out; the same flow serves WebSocket, Streamable HTTP, stdio, and the
 * approval_wait tool. Loop thread only.
 *
 * A call belongs to itself: the endpoint holds a pointer until on_done has run or until it leaves.
 */
#ifndef FLOPINIO_APPROVAL_CALL_H
#define FLOPINIO_APPROVAL_CALL_H

#include "flopinio/base/flow.h"
#include "runtime/approval/cancel.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/intakes.h"
#include "runtime/approval/look.h"
#include "runtime/approval/org.h"
#include "runtime/approval/rules.h"
#include "runtime/approval/run.h"
#include "runtime/identity/principal.h"

/* The reason of a cancellation by the agent itself. */
#define FL_CALL_AGENT_CANCELLED "the agent cancelled the call"

enum fl_call_end {
    FL_CALL_RESULT,     /* `result` (and `approval_id` if there was one) */
    FL_CALL_OUTCOME,    /* it did not simply run: `outcome` and its words */
    FL_CALL_TASK,       /* answered by a task: `task_id`, durable by now */
    FL_CALL_INVALID,    /* the arguments do not match the schema: `err.text`; a result, isError */
    FL_CALL_ERROR,      /* `err`: a protocol error (unknown tool, database away, bad key, ...) */
    FL_CALL_NEEDS_TASKS /* the tool can only run as a task and the client has none */
};

enum fl_call_outcome {
    FL_OUTCOME_PENDING,
    FL_OUTCOME_REJECTED,
    FL_OUTCOME_EXPIRED,
    FL_OUTCOME_CANCELLED,
    FL_OUTCOME_VOIDED,
    FL_OUTCOME_UNKNOWN,
    FL_OUTCOME_DENIED,
    FL_OUTCOME_NOT_KEPT
};

enum fl_call_leave {
    FL_LEAVE_NOT,
    FL_LEAVE_GONE,     /* the connection broke: somebody may come back for it */
    FL_LEAVE_CANCELLED /* the client said that it does not want it any more */
};

/* Nobody made the call: it is filed for people as a test, and never runs (canary.h). */
struct fl_call_canary {
    struct fl_uuid id;
    struct fl_str name, by;
    enum fl_actor actor;
    struct fl_uuid actor_id;
};

struct fl_call {
    struct fl_flow flow;
    /* ---- inputs, set between fl_call_new and the start; texts are copied by the start ---- */
    struct fl_core *core;
    struct fl_principal *principal; /* a reference of its own */
    bool is_isolated;
    struct fl_str tool, arguments, idempotency_key, justification;
    bool can_task;            /* the client declared the tasks extension */
    bool is_break_cancelling; /* in this client's era a broken stream is a cancellation */
    struct fl_str mcp_session, mcp_request, mcp_stream; /* legacy HTTP: kept on the row */
    int64_t hold_ms;                                    /* answer "pending" after so long */
    struct fl_uuid wait_for; /* approval_wait, approval_status: this approval instead of a call */
    bool is_status;          /* approval_status: look once, wait for nothing, run nothing */
    const struct fl_call_canary *canary; /* NULL: an agent's. Outlives the call */
    void *user;
    void (*on_waiting)(struct fl_call *call); /* people are asked; may be NULL; may come again */
    void (*on_slow)(struct fl_call *call);    /* a read that takes its time begins; may be NULL */
    void (*on_progress)(struct fl_call *call, double progress, double total, struct fl_str message);
    void (*on_message)(struct fl_call *call, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json);
    void (*on_done)(struct fl_call *call); /* once, unless the endpoint has left */
    /* ---- outputs, valid in on_done and until fl_call_free ---- */
    enum fl_call_end end;
    enum fl_call_outcome outcome;
    struct fl_call_result result;
    struct fl_uuid approval_id; /* zero: none */
    struct fl_str task_id, decided_by, reason, shown_tool;
    struct fl_str edited; /* who changed its arguments, and to what; p NULL: nobody did */
    enum fl_approval_state state;
    int64_t created_at_ms, expires_at_ms, changed_at_ms;
    bool is_unreached;    /* it waits, and nobody could be told of it for a minute */
    bool is_beyond_scope; /* refused: the credential does not reach the tool */
    bool has_output_schema;
    bool is_silent;      /* with CANCELLED: by its own client, who expects no answer */
    bool is_deliverable; /* an outcome of a row: say fl_call_delivered when it was sent */
    /* ---- private ---- */
    struct fl_arena *arena; /* holds this struct, too */
    struct fl_org *org;
    struct fl_org *org_after; /* as it was when the read had ended */
    struct fl_org_load org_load;
    const struct fl_org_tool *found; /* in org */
    struct fl_caller caller;
    json_t *tree;                     /* of the arguments, once somebody needed it */
    const struct fl_org_grant *grant; /* in org: people need not be asked */
    struct fl_uuid edited_from;       /* a repeat of this one, which goes on in another, */
    struct fl_str edited_by;          /* whose arguments this person changed */
    struct fl_str why_asked;          /* why one that there was does not cover it */
    unsigned grants_over;             /* that turned out to be over when they were to be used */
    struct fl_audit_entry entry;
    struct fl_query *q;
    struct fl_str canonical, preview;
    const char *after_leave;
    struct fl_timer hold;
    struct fl_sleep sleep;
    struct fl_retired retired;
    struct fl_post start;
    int64_t started_us;
    size_t budget;
    unsigned tries, twin_looks, doubt_looks;
    uint64_t lost; /* fl_pg_lost, when its intake had no answer */
    enum fl_call_leave leave;
    bool has_texts, is_hold_over, is_observer, is_held_here, is_over, is_freed;
    bool is_certain;   /* what the look finds of that intake: it is not under way any more */
    bool is_noted;     /* in the row that it observes */
    bool is_note_due;  /* nobody has noted it within the minute */
    bool is_note_lost; /* it may be there all the same: its commit had no answer */
    bool has_host_call, is_deep; /* `host_call`, and what stands behind `event`, is in use */
    struct fl_list in_calls;     /* core's list of calls, for drain and the admin page */
    /* ---- from here on nothing is cleared by fl_call_new: a read touches little of this, and
     * clearing it would cost more than the read ---- */
    struct fl_err err; /* an output, with FL_CALL_ERROR and FL_CALL_INVALID */
    struct fl_policy_verdict verdict;
    struct fl_host_call host_call;
    struct fl_audit_event event;
    struct fl_tx tx;
    struct fl_approval_new row;
    struct fl_intake_entry taken;
    struct fl_hub_wait wait;
    struct fl_look look;
    struct fl_run run;
    struct fl_cancel cancel;
};

/* NULL on no memory. Takes a reference of the principal. */
struct fl_call *fl_call_new(struct fl_core *core, struct fl_principal *principal);
/* Sets it going; on_done follows from the loop. */
void fl_call_start(struct fl_call *call);
/* The endpoint does not want an answer any more; no callback follows, the call ends by itself. */
void fl_call_leave(struct fl_call *call, enum fl_call_leave how);
/* Is it people that the call waits for? Then it can leave, and be gone on with by somebody else. */
bool fl_call_is_waiting(const struct fl_call *call);
/* Answers "pending" now instead of waiting any longer (the worker drains). */
void fl_call_hold_over(struct fl_call *call);
/* The outcome was handed to the client: recorded, best effort. Before fl_call_free. */
void fl_call_delivered(struct fl_call *call);
/* It could not be handed over: whoever asks for it next collects it, at once. Before fl_call_free.
 */
void fl_call_undelivered(struct fl_call *call);
/* The same as delivered for an outcome that was read otherwise (tasks/get). */
void fl_delivered(struct fl_core *core, const struct fl_uuid *organization,
                  const struct fl_uuid *agent, const struct fl_uuid *approval);
/* After on_done. Accepts NULL; nulls the pointer. */
void fl_call_free(struct fl_call **call);

#endif
