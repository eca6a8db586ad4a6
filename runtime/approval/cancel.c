/* Cancelling an approval. */
#include "runtime/approval/cancel.h"

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/call.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/leave.h"

FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(locked);
FL_STEP_DECLARE(done);

static struct fl_cancel *cancel_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_cancel, flow);
}

FL_STEP(open)
{
    struct fl_cancel *c = cancel_of(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &c->tx));
}

static fl_next lock(struct fl_cancel *c)
{
    c->q = fl_store_approval_lock(&c->tx, &c->id);
    c->q_attached = c->is_in_doubt ? fl_store_approval_attached(&c->tx, &c->id) : NULL;
    return fl_await(&c->flow, &S_locked, fl_tx_round(&c->flow.op, &c->tx));
}

FL_STEP(opened)
{
    struct fl_cancel *c = cancel_of(f);
    if (f->op.code)
        return fl_fail(f);
    c->is_certain = !c->is_in_doubt || fl_pg_are_gone(c->core->pg, c->lost);
    if (c->is_in_doubt)
        fl_store_approval_after_intakes(&c->tx, &c->only_agent);
    return lock(c);
}

static bool is_theirs(const struct fl_cancel *c, const struct fl_approval *row)
{
    bool is_agents = !fl_uuid_is_zero(&c->only_agent);
    return (!is_agents || (fl_approval_is_canary(row) == c->is_canary &&
                           fl_uuid_cmp(&c->only_agent, &row->agent_id) == 0)) &&
           (fl_uuid_is_zero(&c->only_owner) || fl_uuid_cmp(&c->only_owner, &row->owner_id) == 0);
}

static bool is_ours(const struct fl_cancel *c, const struct fl_approval *row)
{
    return fl_uuid_cmp(&row->holder, &c->core->worker) == 0;
}

static bool is_held_here(const struct fl_cancel *c)
{
    FL_LIST_FOREACH (link, &c->core->calls) {
        const struct fl_call *call = FL_CONTAINER(link, struct fl_call, in_calls);
        if (call->is_held_here && fl_uuid_cmp(&call->approval_id, &c->id) == 0)
            return true;
    }
    return false;
}

/* Has somebody else the call by now? This worker may have been away for long, and its agent was
 * back elsewhere, or here. Whoever was told of it, and left again, may come for it. */
static bool is_taken_up(const struct fl_cancel *c, const struct fl_approval *row)
{
    if (c->is_unrecorded && fl_rows(c->q_attached) > 0)
        return true;
    return row->wait_mode == FL_WAIT_HELD && (!is_ours(c, row) || is_held_here(c));
}

/* What was noted may be held in this worker's name still, where nobody waits: whoever was told of
 * it takes it up. */
static void let_go(const struct fl_cancel *c, const struct fl_approval *row)
{
    if (row->wait_mode == FL_WAIT_HELD && is_ours(c, row) && !is_held_here(c))
        fl_leave_try(c->core, &c->organization, &row->agent_id, &c->id,
                     fl_str_is(row->after_leave, "cancel") ? c->core->times.leave_ms : 0);
}

FL_STEP(locked)
{
    struct fl_cancel *c = cancel_of(f);
    struct fl_approval row;
    struct fl_audit_event e;
    if (f->op.code)
        return fl_fail(f);
    bool is_read = fl_store_approval_read(c->q, 0, c->arena, &row);
    if (!is_read && fl_rows(c->q) == 1)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (!is_read && !c->is_certain)
        return fl_fail_with(f, FL_UNAVAILABLE, "what may record it has not ended yet");
    if (!is_read || !is_theirs(c, &row))
        return fl_fail_with(f, FL_NOT_FOUND, "there is no such approval");
    if (c->is_in_doubt && is_taken_up(c, &row)) {
        fl_tx_abandon(&c->tx);
        let_go(c, &row);
        return fl_end(f);
    }
    if (c->actor == FL_ACTOR_AGENT && !fl_uuid_is_zero(&row.edited_to)) {
        c->id = row.edited_to; /* an edit was quicker: what goes on is not wanted either */
        return lock(c);
    }
    c->state = row.state;
    c->is_cancelled = fl_state_may_move(row.state, FL_APPROVAL_CANCELLED);
    bool is_late = row.state == FL_APPROVAL_DISPATCHED || row.state == FL_APPROVAL_UNKNOWN;
    if (!c->is_cancelled && !is_late) {
        fl_tx_abandon(&c->tx); /* over already: nothing changes */
        return &S_done;
    }
    fl_audit_init(&e, &c->organization,
                  c->is_cancelled ? FL_AUDIT_APPROVAL_CANCELLED : FL_AUDIT_APPROVAL_CANCEL_LATE,
                  c->actor, &c->actor_id, "approval", &c->id);
    fl_audit_z(&e, "from", fl_state_text(row.state));
    if (c->reason)
        fl_audit_z(&e, "reason", c->reason);
    if (c->is_cancelled)
        fl_store_approval_move(&c->tx, &c->id, row.state, FL_APPROVAL_CANCELLED,
                               c->reason ? fl_str_of(c->reason) : (struct fl_str){ NULL, 0 });
    if (c->is_cancelled && c->is_unrecorded)
        fl_store_approval_free_key(&c->tx, &c->first);
    fl_audit_append(&e, &c->tx);
    return fl_await(f, &S_done, fl_tx_commit(&f->op, &c->tx));
}

FL_STEP(done)
{
    struct fl_cancel *c = cancel_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (c->is_cancelled) {
        c->state = FL_APPROVAL_CANCELLED;
        fl_hub_changed(c->core->hub, &c->organization, &c->id);
    } else if (c->state == FL_APPROVAL_DISPATCHED) {
        fl_hub_cancelled_late(c->core->hub, &c->id);
    }
    return fl_end(f);
}

FL_STEP(failed)
{
    fl_tx_abandon(&cancel_of(f)->tx);
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_cancel *c = cancel_of(f);
    struct fl_op *op = c->op;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&c->tx);
    fl_arena_free(&c->arena);
    fl_op_finish(op, f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_cancel, post)->flow, &S_open);
}

enum fl_code fl_cancel_start(struct fl_op *op, struct fl_cancel *c)
{
    c->arena = fl_arena_new(0);
    if (!c->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&c->tx, c->core->pg, c->arena, &c->organization);
    fl_flow_init(&c->flow, &S_failed, on_ended);
    if (fl_uuid_is_zero(&c->first))
        c->first = c->id;
    c->id = c->first; /* tried again, it begins there again */
    c->is_cancelled = false;
    c->op = op;
    fl_op_start(op, NULL, c);
    c->post = (struct fl_post){ .run = on_start };
    fl_loop_post(c->core->loop, &c->post);
    return FL_OK;
}

/* ---- with nobody waiting ---- */
#define PAUSE_MAX 60000
#define LOG_EACH  10

struct
try {
    struct fl_op op;
    struct fl_list in_doubts; /* of the core, if it is in doubt */
    struct fl_cancel cancel;
    struct fl_sleep sleep;
    int64_t pause_ms;
    unsigned failures;
    struct fl_retired retired;
};

static void release(void *owner)
{
    struct try *t = owner;
    fl_list_remove(&t->in_doubts);
    fl_free(t);
}

static void on_tried(struct fl_op *op);
static void tried(struct try *t, enum fl_code code);

static void on_nap_over(struct fl_op *op)
{
    struct try *t = FL_CONTAINER(op, struct try, op);
    t->op = (struct fl_op){ .done = on_tried };
    enum fl_code code = fl_cancel_start(&t->op, &t->cancel);
    if (code)
        tried(t, code);
}

static bool passes(enum fl_code code)
{
    return code == FL_UNAVAILABLE || code == FL_AMBIGUOUS || code == FL_TIMEOUT;
}

/* Whoever was told that the call could not be recorded, or took it back, must not have it run after
 * all: where the database is away it is asked as soon as it is there. A worker that drains goes on
 * with it, as long as it may take. */
static bool tries_again(struct try *t, enum fl_code code)
{
    struct fl_core *core = t->cancel.core;
    int64_t ms = t->pause_ms ? t->pause_ms : core->times.settle_retry_ms;
    if (!t->cancel.is_in_doubt)
        return false;
    if (passes(code))
        ms = core->times.settle_retry_ms;
    else
        t->pause_ms = 2 * ms < PAUSE_MAX ? 2 * ms : PAUSE_MAX;
    t->op = (struct fl_op){ .done = on_nap_over };
    return fl_sleep_start(&t->op, &t->sleep, core->loop, ms) == FL_OK;
}

static void tried(struct try *t, enum fl_code code)
{
    struct fl_err err = t->op.err;
    bool has_failed = code && !(t->cancel.is_in_doubt && code == FL_NOT_FOUND);
    bool goes_on = has_failed && tries_again(t, code);
    t->failures += has_failed;
    if (has_failed && (!goes_on || t->failures % LOG_EACH == 1))
        FL_LOG(WARN, "cancel_failed", FL_KU("call", &t->cancel.id), FL_KS("reason", err.text),
               FL_KI("failures", t->failures));
    if (!goes_on)
        fl_loop_retire(t->cancel.core->loop, &t->retired, release, t);
}

static void on_tried(struct fl_op *op)
{
    tried(FL_CONTAINER(op, struct try, op), op->code);
}

static void begin(const struct fl_cancel *cancel)
{
    struct try *t = fl_calloc(1, sizeof *t);
    if (!t)
        return;
    t->op.done = on_tried;
    t->cancel = *cancel;
    if (cancel->is_in_doubt)
        fl_list_push_back(&cancel->core->doubts, &t->in_doubts);
    enum fl_code code = fl_cancel_start(&t->op, &t->cancel);
    if (code)
        tried(t, code);
}

static struct fl_cancel by_agent(struct fl_core *core, const struct fl_uuid *organization,
                                 const struct fl_uuid *agent, const struct fl_uuid *id,
                                 const char *reason)
{
    return (struct fl_cancel){ .core = core,
                               .organization = *organization,
                               .id = *id,
                               .actor = FL_ACTOR_AGENT,
                               .actor_id = *agent,
                               .only_agent = *agent,
                               .reason = reason };
}

void fl_cancel_try(struct fl_core *core, const struct fl_uuid *organization,
                   const struct fl_uuid *agent, const struct fl_uuid *id, const char *reason)
{
    const struct fl_cancel cancel = by_agent(core, organization, agent, id, reason);
    begin(&cancel);
}

void fl_cancel_doubtful(struct fl_core *core, const struct fl_uuid *organization,
                        const struct fl_uuid *agent, const struct fl_uuid *id, const char *reason)
{
    struct fl_cancel cancel = by_agent(core, organization, agent, id, reason);
    cancel.is_in_doubt = true;
    cancel.lost = fl_pg_lost(core->pg);
    begin(&cancel);
}

void fl_cancel_unrecorded(struct fl_core *core, const struct fl_uuid *organization,
                          const struct fl_uuid *agent, const struct fl_uuid *id, const char *reason)
{
    struct fl_cancel cancel = by_agent(core, organization, agent, id, reason);
    cancel.is_in_doubt = cancel.is_unrecorded = true;
    cancel.lost = fl_pg_lost(core->pg);
    begin(&cancel);
}

void fl_cancel_unrecorded_canary(struct fl_core *core, const struct fl_uuid *organization,
                                 const struct fl_uuid *agent, const struct fl_uuid *id,
                                 const char *reason)
{
    struct fl_cancel cancel = by_agent(core, organization, agent, id, reason);
    cancel.actor = FL_ACTOR_SYSTEM;
    cancel.actor_id = core->worker;
    cancel.is_in_doubt = cancel.is_unrecorded = cancel.is_canary = true;
    cancel.lost = fl_pg_lost(core->pg);
    begin(&cancel);
}

bool fl_cancel_is_idle(const struct fl_core *core)
{
    return fl_list_is_empty(&core->doubts);
}

void fl_cancel_give_up(const struct fl_core *core)
{
    FL_LIST_FOREACH (link, &core->doubts) {
        const struct try *t = FL_CONTAINER(link, struct try, in_doubts);
        FL_LOG(ERROR, "cancel_given_up", FL_KU("org", &t->cancel.organization),
               FL_KU("call", &t->cancel.id), FL_KS("because", t->cancel.reason));
    }
}
