/* Taking an approval back before it is sent: by the agent that asked (notifications/cancelled,
 * tasks/cancel) or by a person who may. After the dispatch marker it is noted, and the tool is
 * told: what it says is the outcome. Loop thread. */
#ifndef FLOPINIO_APPROVAL_CANCEL_H
#define FLOPINIO_APPROVAL_CANCEL_H

#include "flopinio/base/flow.h"
#include "runtime/approval/core.h"
#include "runtime/store/approval.h"

struct fl_cancel {
    struct fl_flow flow;
    /* ---- inputs ---- */
    struct fl_core *core;
    struct fl_uuid organization;
    struct fl_uuid id; /* for an agent, whatever it was changed into: it is the last one then */
    enum fl_actor actor;
    struct fl_uuid actor_id;
    struct fl_uuid only_agent; /* zero, or whose approval it must be */
    struct fl_uuid only_owner; /* zero, or who must own the agent */
    const char *reason;
    /* With only_agent: whether it is there could not be said. FL_NOT_FOUND is for good; what
     * somebody else has taken up meanwhile is left as it is. */
    bool is_in_doubt;
    /* Of these, one of which its caller has not heard, or that it could not be recorded: a call
     * under its idempotency key is another one from now on. */
    bool is_unrecorded;
    bool is_canary; /* with only_agent: filed in the agent's name, which cannot take it back */
    /* ---- outputs ---- */
    enum fl_approval_state state; /* after it */
    bool is_cancelled;            /* by this */
    /* ---- private ---- */
    struct fl_op *op;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q, *q_attached;
    struct fl_post post;
    struct fl_uuid first; /* as it was asked for: it has the key, whatever it was changed into */
    uint64_t lost;        /* of the connections that the pool has lost, what may still record it */
    bool is_certain;      /* what is found: nothing of them is at work any more */
};

/* FL_NOT_FOUND: there is none, or it is somebody else's. FL_UNAVAILABLE. */
enum fl_code fl_cancel_start(struct fl_op *op, struct fl_cancel *cancel) FL_MUST_CHECK;
/* By the agent, and nobody waits for it. `reason` is a literal. */
void fl_cancel_try(struct fl_core *core, const struct fl_uuid *organization,
                   const struct fl_uuid *agent, const struct fl_uuid *id, const char *reason);
/* The same for one whose cancellation failed or had no answer, as soon as the database can say
 * whether it is there; tried on while the worker drains. */
void fl_cancel_doubtful(struct fl_core *core, const struct fl_uuid *organization,
                        const struct fl_uuid *agent, const struct fl_uuid *id, const char *reason);
/* For one whose intake had no answer, when its caller has been told so; for a task of which nobody
 * could be told. */
void fl_cancel_unrecorded(struct fl_core *core, const struct fl_uuid *organization,
                          const struct fl_uuid *agent, const struct fl_uuid *id,
                          const char *reason);
/* The same for a canary, by the runtime. */
void fl_cancel_unrecorded_canary(struct fl_core *core, const struct fl_uuid *organization,
                                 const struct fl_uuid *agent, const struct fl_uuid *id,
                                 const char *reason);
/* Those that were in doubt are over. */
bool fl_cancel_is_idle(const struct fl_core *core);
/* The worker does not wait for them any longer: each is in the log, for whoever looks after it. */
void fl_cancel_give_up(const struct fl_core *core);

#endif
