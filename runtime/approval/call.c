/* The life of a call, top to bottom:
 *
 *   begin -> resolve -> validate -> policy
 *     deny             -> audit -> respond
 *     allow (a read)   -> read -> audit -> respond
 *     standing, slow,
 *     a grant          -> intake (created as approved) -> run -> respond, or a task
 *     ask              -> preview -> intake (pending) -> sleep -> run -> respond, or a task
 *
 * What a person edits goes on in another approval: sleep -> look -> follow -> attach -> sleep.
 *
 * intake is the first transaction (intake.c), deciding the second (decide.c), the claim, the marker
 * and the settlement the others (run.c). A call that sleeps can be forgotten at any time: its row
 * says everything that is needed to go on with it. */
#include "runtime/approval/call.h"

#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/call_priv.h"
#include "runtime/approval/edit.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/leave.h"

FL_STEP_DECLARE(resolve);
FL_STEP_DECLARE(validate);
FL_STEP_DECLARE(policy);
FL_STEP_DECLARE(read_done);
FL_STEP_DECLARE(read_told);
FL_STEP_DECLARE(audit);
FL_STEP_DECLARE(audited);
FL_STEP_DECLARE(preview);
FL_STEP_DECLARE(previewed);
FL_STEP_DECLARE(intake);
FL_STEP_DECLARE(intake_again);
FL_STEP_DECLARE(taken_in);
FL_STEP_DECLARE(doubt);
FL_STEP_DECLARE(cleared);
FL_STEP_DECLARE(sleep);
FL_STEP_DECLARE(woken);
FL_STEP_DECLARE(look);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(attach);
FL_STEP_DECLARE(attached);
FL_STEP_DECLARE(asked_again);
FL_STEP_DECLARE(run);
FL_STEP_DECLARE(run_looked);
FL_STEP_DECLARE(run_approved);
FL_STEP_DECLARE(ran);
FL_STEP_DECLARE(leave);
FL_STEP_DECLARE(left);
FL_STEP_DECLARE(cancel);
FL_STEP_DECLARE(cancelled);
FL_STEP_DECLARE(respond);

#define LOOK_AGAIN_MS 1000 /* while the database is away */
#define CERTAIN_MS    50 /* while it is not known whether an intake is under way; then twice that */
#define TWIN_MS       20 /* to the second look; twice as long to the next one: 1.26 s in all */

static fl_next outcome(struct fl_call *c, enum fl_call_outcome what, struct fl_str reason)
{
    c->end = FL_CALL_OUTCOME;
    c->outcome = what;
    if (reason.p)
        c->reason = fl_arena_str(c->arena, reason);
    return &S_respond;
}

static fl_next take_result(struct fl_call *c, const struct fl_call_result *result,
                           struct fl_str why)
{
    if (!result->is_kept)
        return outcome(c, FL_OUTCOME_NOT_KEPT, why);
    fl_call_take_result(c, result, why);
    return &S_respond;
}

/* ---------------------------------------------------------------- what is called */
FL_STEP(begin)
{
    struct fl_call *c = fl_call_of(f);
    struct fl_err err FL_NOT_CLEARED;
    if (!c->has_texts)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (!fl_pg_is_up(c->core->pg, &err)) /* nothing runs that could not be recorded */
        return fl_fail_with(f, FL_UNAVAILABLE, "%s", err.text);
    if (!fl_uuid_is_zero(&c->wait_for)) {
        c->is_observer = true; /* until it is attached */
        return &S_look;
    }
    if (!fl_call_take_budget(c))
        return fl_fail_with(
            f, FL_TOO_MANY,
            "the organization's calls in progress hold too many bytes of arguments; "
            "wait for them first");
    c->grant = NULL;
    fl_org_unref(&c->org);
    c->org = fl_org_peek(c->core->orgs, &c->principal->organization_id);
    if (c->org)
        return &S_resolve;
    return fl_await(f, &S_resolve,
                    fl_org_load_start(&f->op, &c->org_load, c->core->orgs,
                                      &c->principal->organization_id, &c->org));
}

/* Denied, with the audit row in front of the answer; a canary, whose own event says so, without. */
static fl_next deny(struct fl_call *c, const char *why, struct fl_str reason)
{
    if (c->canary)
        return outcome(c, FL_OUTCOME_DENIED, reason);
    c->core->stats.denied++;
    fl_call_event(c, FL_AUDIT_CALL_DENIED);
    fl_audit_z(&c->event, "why", why);
    outcome(c, FL_OUTCOME_DENIED, reason);
    fl_audit_text(&c->event, "reason", c->reason);
    return &S_audit;
}

static fl_next refuse(struct fl_call *c, enum fl_code code, const char *why, const char *text)
{
    fl_next then = deny(c, why, fl_str_of(text));
    c->end = FL_CALL_ERROR;
    fl_err_set(&c->err, code, "%s", text);
    return then;
}

static struct fl_str stopped_text(struct fl_call *c, struct fl_str reason)
{
    const char *text = fl_arena_printf(c->arena, "stopped: %.*s", FL_STR_ARG(reason));
    return fl_str_of(text ? text : "stopped");
}

FL_STEP(resolve)
{
    struct fl_call *c = fl_call_of(f);
    char text[200] FL_NOT_CLEARED;
    if (!c->org)
        return fl_fail(f);
    c->found = fl_org_tool(c->org, c->tool);
    if (!c->found || c->found->state == FL_TOOL_GONE) {
        snprintf(text, sizeof text, "unknown tool: %.*s", (int)fl_utf8_cut(c->tool, 64), c->tool.p);
        return refuse(c, FL_BAD_PARAMS, "unknown_tool", text);
    }
    c->has_output_schema = c->found->has_output_schema;
    if (!fl_principal_may_call(c->principal, c->tool)) {
        c->is_beyond_scope = true;
        return refuse(c, FL_FORBIDDEN, "scope", "the credential does not reach this tool");
    }
    if (c->found->state != FL_TOOL_ACCEPTED)
        return deny(c, "not_accepted",
                    FL_STR("its definition is new or has changed, and waits for an "
                           "administrator's review"));
    const struct fl_org_stop *stop =
        fl_org_stopped(c->org, c->principal->agent, &c->principal->owner_id, c->found);
    if (stop)
        return deny(c, "stopped", stopped_text(c, stop->reason));
    c->can_task |= c->canary && c->found->task == FLOPINIO_TASK_REQUIRED;
    if (c->found->task == FLOPINIO_TASK_REQUIRED && !c->can_task) {
        c->end = FL_CALL_NEEDS_TASKS;
        return &S_respond;
    }
    return &S_validate;
}

FL_STEP(validate)
{
    struct fl_call *c = fl_call_of(f);
    struct fl_err err FL_NOT_CLEARED;
    if (!c->tree && fl_org_tool_fits(c->found, c->arguments))
        return &S_policy;
    if (!c->tree && !(c->tree = fl_json_parse(c->arguments, &err)))
        return fl_fail_with(f, err.code == FL_NOMEM ? FL_NOMEM : FL_BAD_PARAMS, "%s", err.text);
    enum fl_code code = fl_call_take_reason(c, &err);
    if (code == FL_OK)
        code = fl_org_tool_validate(c->found, c->tree, &err);
    if (code == FL_OK)
        return &S_policy;
    if (code == FL_NOMEM)
        return fl_fail_with(f, code, "%s", err.text);
    c->end = FL_CALL_INVALID;
    c->err = err;
    if (c->canary)
        return &S_respond;
    c->core->stats.invalid++;
    fl_call_event(c, FL_AUDIT_CALL_INVALID);
    return &S_audit;
}

static bool wants_task(const struct fl_call *c)
{
    return c->can_task && c->found->task != FLOPINIO_TASK_NEVER &&
           (fl_call_is_asked(c) || c->found->is_slow || c->found->task == FLOPINIO_TASK_REQUIRED);
}

FL_STEP(policy)
{
    struct fl_call *c = fl_call_of(f);
    fl_rules_ask(c->org, c->found, &c->caller, c->arguments, fl_real_ms(), &c->tree, &c->verdict);
    if (c->leave)
        return &S_respond;
    switch (c->verdict.effect) {
    case FL_EFFECT_ALLOW:
        if (c->canary)
            return deny(c, "canary", FL_STR("the policy lets it run without asking"));
        if (!c->verdict.is_standing && !wants_task(c)) {
            if (c->found->is_slow && c->on_slow)
                c->on_slow(c);
            return fl_await(f, &S_read_done, fl_call_read_start(c));
        }
        c->core->stats.permitted++;
        return &S_intake;
    case FL_EFFECT_ASK:
        fl_call_find_grant(c);
        if (c->canary && c->grant)
            return deny(c, "canary", FL_STR("a grant lets it run without asking"));
        return c->found->has_preview && !c->grant ? &S_preview : &S_intake;
    default: return deny(c, "policy", fl_str_of(c->verdict.text));
    }
}

/* ---------------------------------------------------------------- an allowed read */
FL_STEP(read_done)
{
    struct fl_call *c = fl_call_of(f);
    if (f->op.code)
        return fl_fail(f);
    /* What was stopped meanwhile gives nothing away any more. */
    c->org_after = fl_org_peek(c->core->orgs, &c->principal->organization_id);
    if (c->org_after)
        return &S_read_told;
    return fl_await(f, &S_read_told,
                    fl_org_load_start(&f->op, &c->org_load, c->core->orgs,
                                      &c->principal->organization_id, &c->org_after));
}

FL_STEP(read_told)
{
    struct fl_call *c = fl_call_of(f);
    enum fl_approval_state state;
    const struct fl_org_stop *stop;
    if (!c->org_after)
        return fl_fail(f);
    state = fl_result_of_call(&c->host_call, c->err.text, sizeof c->err.text, &c->result);
    c->core->stats.reads++;
    c->end = FL_CALL_RESULT;
    if (c->result.is_error && !c->result.content.p && !c->result.is_protocol_error)
        c->result.content =
            fl_call_text_content(c->arena, "the tool did not answer: ", c->err.text);
    fl_call_event(c, FL_AUDIT_CALL_READ);
    fl_audit_text(&c->event, "rule", c->verdict.rule ? c->verdict.rule->name : FL_STR(""));
    fl_audit_z(&c->event, "outcome", fl_state_text(state));
    fl_audit_int(&c->event, "result_bytes", c->result.bytes);
    fl_audit_int(&c->event, "took_us", fl_mono_us() - c->started_us);
    stop = fl_org_stopped(c->org_after, c->principal->agent, &c->principal->owner_id, c->found);
    if (stop) {
        outcome(c, FL_OUTCOME_DENIED, stopped_text(c, stop->reason));
        fl_audit_text(&c->event, "withheld", c->reason);
    }
    return &S_audit;
}

/* The row is durable before the answer leaves. */
FL_STEP(audit)
{
    struct fl_call *c = fl_call_of(f);
    enum fl_code code = fl_audit_seal(&c->event, c->arena, &f->op.err);
    if (code == FL_OK)
        code = fl_audit_batch_add(&f->op, c->core->audit, &c->entry, &c->event);
    return fl_await(f, &S_audited, code);
}

FL_STEP(audited)
{
    if (f->op.code)
        return fl_fail_with(f, FL_UNAVAILABLE, "it could not be recorded: %.300s", f->op.err.text);
    return &S_respond;
}

/* ---------------------------------------------------------------- held: the row comes first */
FL_STEP(preview)
{
    struct fl_call *c = fl_call_of(f);
    fl_call_deepen(c);
    enum fl_code code = fl_call_canonical(c, &f->op.err);
    return fl_await(f, &S_previewed, code ? code : fl_call_preview_start(c));
}

FL_STEP(previewed)
{
    struct fl_call *c = fl_call_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_call_take_preview(c);
    return &S_intake;
}

FL_STEP(intake)
{
    struct fl_call *c = fl_call_of(f);
    if (c->leave)
        return &S_respond; /* gone before anything was written */
    fl_call_deepen(c);
    bool is_asked = fl_call_is_asked(c);
    enum fl_code code = fl_call_canonical(c, &f->op.err);
    if (code == FL_OK)
        code = fl_call_intake_start(c, wants_task(c),
                                    is_asked ? c->verdict.ask->expires_ms : FL_STANDING_MS);
    return fl_await(f, &S_taken_in, code);
}

/* Nothing was written: the row as it was made is still good, and is judged anew. */
FL_STEP(intake_again)
{
    struct fl_call *c = fl_call_of(f);
    if (c->leave)
        return &S_respond;
    return fl_await(f, &S_taken_in, fl_call_intake_again(c));
}

/* Its caller has not heard of it. Asking again, it would be another call: this one must not run
 * too. */
static void take_back(struct fl_call *c, const char *reason)
{
    (c->canary ? fl_cancel_unrecorded_canary : fl_cancel_unrecorded)(
        c->core, &c->principal->organization_id, &c->principal->agent_id, &c->row.id, reason);
}

/* The row is there. Nobody can be waiting for it here yet. */
static fl_next created(struct fl_call *c, int64_t created_at_ms, int64_t expires_at_ms)
{
    c->approval_id = c->row.id;
    c->state = c->row.state;
    c->created_at_ms = c->changed_at_ms = created_at_ms;
    c->expires_at_ms = expires_at_ms;
    c->core->stats.held += c->row.state == FL_APPROVAL_PENDING && !c->canary;
    c->core->stats.permitted += !fl_uuid_is_zero(&c->row.grant_id);
    if (fl_call_goes_to_channels(c))
        fl_hub_changed(c->core->hub, &c->principal->organization_id, &c->approval_id);
    if (c->row.wait_mode == FL_WAIT_TASK) {
        if (c->leave == FL_LEAVE_CANCELLED)
            return &S_cancel;
        if (c->leave) { /* unless it was told elsewhere, by its key, nobody could come for it */
            take_back(c, "its caller left before it heard of the task");
            return &S_respond;
        }
        c->end = FL_CALL_TASK;
        c->task_id = fl_arena_str(c->arena, fl_str_of(c->row.task_id));
        if (c->row.state == FL_APPROVAL_APPROVED)
            fl_call_kick_runner(c);
        return &S_respond;
    }
    c->is_held_here = true;
    fl_call_arm_hold(c);
    return c->row.state == FL_APPROVAL_APPROVED ? &S_run : &S_sleep;
}

FL_STEP(taken_in)
{
    struct fl_call *c = fl_call_of(f);
    const struct fl_intake *in = &c->taken.result;
    if (f->op.code == FL_CONFLICT && c->canary)
        return deny(c, "canary", FL_STR("one waits already"));
    if (f->op.code == FL_CONFLICT && ++c->tries < FL_CALL_TRIES)
        return &S_intake_again; /* the same idempotency key at the same moment: now a repeat */
    if (f->op.code == FL_CANCELLED)
        return &S_respond; /* it had not had its turn when its caller left: nothing was written */
    if (f->op.code == FL_AMBIGUOUS) {
        fl_call_arm_hold(c); /* bounds the doubt too */
        c->lost = fl_pg_lost(c->core->pg);
        return &S_doubt;
    }
    if (f->op.code)
        return fl_fail(f);
    switch (in->result) {
    case FL_INTAKE_CREATED: break; /* below */
    case FL_INTAKE_REPEAT:
        c->core->stats.repeats++;
        if (in->is_other_arguments)
            return fl_fail_with(f, FL_BAD_PARAMS,
                                "the idempotency key was used before with other arguments");
        c->approval_id = in->repeat;
        c->is_observer = true; /* until it is attached */
        return &S_look;
    case FL_INTAKE_POLICY_MOVED:
    case FL_INTAKE_TOOL_CHANGED:
        if (++c->tries >= FL_CALL_TRIES)
            return fl_fail_with(f, FL_UNAVAILABLE, "the policy or the tool keeps changing");
        fl_orgs_changed(c->core->orgs, &c->principal->organization_id, 0);
        return &S_begin;
    case FL_INTAKE_TWIN: /* soon it is a repeat, or it is clear that both callers live */
        return fl_await(
            f, &S_intake_again,
            fl_sleep_start(&f->op, &c->sleep, c->core->loop, TWIN_MS << c->twin_looks++));
    case FL_INTAKE_GRANT_OVER: /* another call was first, or it was revoked: the next, or people */
        c->grants_over++;
        return &S_policy;
    case FL_INTAKE_STOPPED: return deny(c, "stopped", stopped_text(c, in->stop_reason));
    case FL_INTAKE_TOO_MANY:
        return deny(c, "pending_limit",
                    FL_STR("too many of this agent's calls are waiting already; wait for them "
                           "first"));
    case FL_INTAKE_AGENT_REFUSED:
        return refuse(c, FL_FORBIDDEN, "agent", "the agent or its credential may not act any more");
    }
    return created(c, in->created_at_ms, in->expires_at_ms);
}

/* Its commit got no answer: the row may be there, and people may be asked already. Or it may still
 * come: a backend that was left alone with the intake can commit it later. */
FL_STEP(doubt)
{
    struct fl_call *c = fl_call_of(f);
    return fl_await(f, &S_cleared, fl_call_doubt_start(c));
}

FL_STEP(cleared)
{
    struct fl_call *c = fl_call_of(f);
    struct fl_approval row = { 0 };
    if (f->op.code == FL_OK &&
        (fl_store_approval_read(c->q, 0, c->arena, &row) || fl_rows(c->q) == 1))
        return created(c, row.created_at_ms, row.expires_at_ms);
    if (f->op.code == FL_OK && c->is_certain)
        return fl_fail_with(f, FL_UNAVAILABLE,
                            "the database was lost before the call was recorded");
    int64_t nap_ms = LOOK_AGAIN_MS;
    if (f->op.code == FL_OK && CERTAIN_MS << c->doubt_looks < LOOK_AGAIN_MS)
        nap_ms = CERTAIN_MS << c->doubt_looks++;
    if (!c->leave && !c->is_hold_over)
        return fl_await(f, &S_doubt, fl_sleep_start(&f->op, &c->sleep, c->core->loop, nap_ms));
    take_back(c, "its caller was told that it could not be recorded");
    return fl_fail_with(f, FL_UNAVAILABLE, "the database was lost while the call was recorded");
}

/* ---------------------------------------------------------------- waiting for people */
FL_STEP(sleep)
{
    struct fl_call *c = fl_call_of(f);
    if (c->leave || c->is_hold_over)
        return &S_woken;
    if (c->on_waiting)
        c->on_waiting(c);
    if (c->leave)
        return &S_woken; /* nobody was there to be told */
    return fl_await(f, &S_woken,
                    fl_hub_wait_start(&f->op, &c->wait, c->core->hub,
                                      &c->principal->organization_id, &c->approval_id));
}

FL_STEP(woken)
{
    struct fl_call *c = fl_call_of(f);
    bool is_approved = c->wait.is_approved && c->is_held_here;
    c->wait.is_approved = false; /* of this once: if it cannot be claimed, the row says why */
    if (c->leave == FL_LEAVE_CANCELLED && fl_uuid_is_zero(&c->wait_for))
        return &S_cancel;
    if (c->leave || c->is_hold_over)
        return &S_leave;
    return is_approved ? &S_run_approved : &S_look;
}

FL_STEP(look)
{
    struct fl_call *c = fl_call_of(f);
    if (!fl_uuid_is_zero(&c->wait_for))
        c->approval_id = c->wait_for;
    fl_call_deepen(c);
    fl_look_fini(&c->look);
    c->look = (struct fl_look){ .core = c->core,
                                .organization = c->principal->organization_id,
                                .id = c->approval_id,
                                .only_agent = c->principal->agent_id,
                                .is_canary = c->canary != NULL,
                                .wants_result = true,
                                .wants_edited = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &c->look));
}

/* What the row says, in terms of an answer; NULL: it is not over. */
static fl_next over(struct fl_call *c)
{
    const struct fl_approval *row = &c->look.row;
    struct fl_str reason = row->reason.p ? row->reason : row->outcome;
    if (row->settled_by.p) {
        fl_call_take_settlement(c, row);
        return &S_respond;
    }
    if (fl_approval_may_have_run(row))
        return outcome(c, FL_OUTCOME_UNKNOWN, reason);
    switch (row->state) {
    case FL_APPROVAL_SUCCEEDED:
    case FL_APPROVAL_FAILED: return take_result(c, &c->look.result, row->outcome);
    case FL_APPROVAL_REJECTED: return outcome(c, FL_OUTCOME_REJECTED, reason);
    case FL_APPROVAL_EXPIRED: return outcome(c, FL_OUTCOME_EXPIRED, reason);
    case FL_APPROVAL_CANCELLED:
        /* Its client cancelled it by another way: such a request is not answered any more. */
        c->is_silent = c->is_held_here && fl_str_is(reason, FL_CALL_AGENT_CANCELLED);
        return outcome(c, FL_OUTCOME_CANCELLED, reason);
    case FL_APPROVAL_VOIDED: return outcome(c, FL_OUTCOME_VOIDED, reason);
    case FL_APPROVAL_UNKNOWN: return outcome(c, FL_OUTCOME_UNKNOWN, reason);
    default: return NULL;
    }
}

/* In which it goes on: a person changed its arguments, or had it run again; zero: in none. */
static struct fl_uuid next_of(const struct fl_approval *row)
{
    return fl_uuid_is_zero(&row->edited_to) ? row->retried_to : row->edited_to;
}

/* From now on the next one is waited for, which nobody holds yet. A repeat of a call that was
 * changed gets its outcome as long as nobody has had it; under its idempotency key for ever. */
static fl_next follow(struct fl_call *c)
{
    const struct fl_approval *row = &c->look.row;
    bool is_repeat = fl_uuid_is_zero(&c->wait_for) && !c->is_held_here;
    if (is_repeat && !fl_uuid_is_zero(&row->edited_to) && fl_uuid_is_zero(&c->edited_from)) {
        c->edited_from = c->approval_id;
        c->edited_by = c->decided_by;
        outcome(c, FL_OUTCOME_REJECTED, row->reason);
    }
    c->is_held_here = false;
    c->edited = (struct fl_str){ NULL, 0 };
    c->approval_id = next_of(row);
    if (!fl_uuid_is_zero(&c->wait_for))
        c->wait_for = c->approval_id;
    return &S_look;
}

static fl_next follow_no_further(struct fl_call *c)
{
    c->approval_id = c->edited_from;
    c->decided_by = c->edited_by;
    c->end = FL_CALL_OUTCOME; /* as the old one's row said it */
    return &S_respond;
}

/* The call that the intake found by its key has been taken back, as nobody had heard of it: the key
 * is free again, and this is another one. */
static bool is_taken_back(const struct fl_call *c, const struct fl_approval *row)
{
    return row->state == FL_APPROVAL_CANCELLED && c->is_observer && c->idempotency_key.n &&
           fl_uuid_is_zero(&c->wait_for) && !row->idempotency_key.n &&
           fl_uuid_cmp(&row->id, &c->taken.result.repeat) == 0;
}

static fl_next begin_anew(struct fl_call *c)
{
    fl_look_fini(&c->look);
    c->is_observer = c->is_noted = c->is_note_due = c->is_note_lost = c->is_deliverable = false;
    c->decided_by = (struct fl_str){ NULL, 0 };
    return &S_begin;
}

/* An ending that this caller does not take, or that may still change, is kept for the one who comes
 * for it later: the row says that nobody waits. */
static fl_next finish(struct fl_call *c, fl_next then)
{
    bool is_kept = c->leave != FL_LEAVE_NOT || c->state == FL_APPROVAL_UNKNOWN;
    return is_kept && c->is_held_here ? &S_leave : then;
}

/* The database is away. Where the client's hold ends before it is back, its own call goes on
 * without it, as does one in which it is noted, perhaps; another one may still be taken back. */
static fl_next look_later(struct fl_call *c)
{
    struct fl_flow *f = &c->flow;
    fl_call_arm_hold(c);
    bool may_be_told = !c->is_observer || c->is_noted || c->is_note_lost;
    if (c->is_hold_over)
        return c->created_at_ms && may_be_told ? &S_leave : fl_fail(f);
    return fl_await(f, &S_look, fl_sleep_start(&f->op, &c->sleep, c->core->loop, LOOK_AGAIN_MS));
}

FL_STEP(looked)
{
    struct fl_call *c = fl_call_of(f);
    const struct fl_approval *row = &c->look.row;
    if (f->op.code == FL_UNAVAILABLE && fl_uuid_is_zero(&c->wait_for) && !c->leave)
        return look_later(c);
    if (f->op.code)
        return c->leave ? &S_leave : fl_fail(f);
    fl_call_take_row(c, row);
    if (c->wait.seen_us > row->changed_at_ms * 1000 + 999) /* what was said is not what is known */
        c->wait.seen_us = row->changed_at_ms * 1000 + 999;
    c->is_deliverable = fl_state_is_final(row->state);
    struct fl_uuid next = next_of(row);
    if (!fl_uuid_is_zero(&next))
        return follow(c);
    if (!fl_uuid_is_zero(&c->edited_from) && row->delivered_at_ms && !c->idempotency_key.n)
        return follow_no_further(c);
    if (!fl_uuid_is_zero(&row->edit_of) && !c->edited.p)
        c->edited = fl_edit_told(c->arena, &c->look);
    if (!fl_uuid_is_zero(&row->edit_of) && !c->edited.p)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    if (is_taken_back(c, row))
        return begin_anew(c);
    fl_next done = over(c);
    if (done)
        return finish(c, done);
    if (c->is_status)
        return outcome(c, FL_OUTCOME_PENDING, (struct fl_str){ NULL, 0 });
    if (row->wait_mode == FL_WAIT_LEFT && c->canary) /* this worker was taken for dead meanwhile */
        return outcome(c, FL_OUTCOME_PENDING, (struct fl_str){ NULL, 0 });
    if (row->wait_mode == FL_WAIT_LEFT && !c->leave) {
        c->is_held_here = false; /* or this worker was taken for dead while the database was away */
        return &S_attach;
    }
    bool is_repeat = c->is_observer && fl_uuid_is_zero(&c->wait_for);
    if (is_repeat && !c->is_noted && !c->leave)
        return fl_await(f, &S_asked_again, fl_call_ask_again_start(c));
    if (is_repeat && c->is_noted && row->wait_mode == FL_WAIT_TASK && c->can_task) {
        c->task_id = fl_arena_str(c->arena, row->task_id);
        c->end = FL_CALL_TASK;
        return &S_respond;
    }
    if (!fl_timer_is_armed(&c->hold) && !c->is_hold_over)
        fl_call_arm_hold(c);
    bool is_ours = c->is_held_here && row->wait_mode == FL_WAIT_HELD;
    if (row->state != FL_APPROVAL_APPROVED || !is_ours || row->frozen_at_ms)
        return &S_sleep;
    if (row->is_expired) /* it cannot be claimed any more, and the sweep will say so */
        return &S_sleep;
    int64_t wait_ms = row->claimable_in_ms; /* somebody may still take their approval back */
    if (wait_ms <= 0)
        return &S_run_looked;
    return fl_await(f, &S_woken,
                    fl_sleep_start(&f->op, &c->sleep, c->core->loop,
                                   wait_ms < LOOK_AGAIN_MS ? wait_ms : LOOK_AGAIN_MS));
}

/* Nobody waited for it any more: now this call does. */
FL_STEP(attach)
{
    struct fl_call *c = fl_call_of(f);
    return fl_await(f, &S_attached, fl_call_attach_start(c));
}

FL_STEP(attached)
{
    struct fl_call *c = fl_call_of(f);
    if (f->op.code == FL_AMBIGUOUS) /* perhaps this worker holds it now, and nobody waits in it */
        fl_leave_later(c->core, &c->principal->organization_id, &c->principal->agent_id,
                       &c->approval_id, fl_call_grace_ms(c));
    if (f->op.code)
        return fl_fail(f);
    c->is_held_here = fl_rows(c->q) == 1;
    c->is_observer = !c->is_held_here;
    if (c->is_held_here)
        fl_call_arm_hold(c);
    return &S_look;
}

/* A repeat of a call that somebody else has. It is noted before the agent hears of it: the worker
 * that made the row may have told another that it was not recorded, and take it back (cancel.c). */
FL_STEP(asked_again)
{
    struct fl_call *c = fl_call_of(f);
    bool is_lost = f->op.code == FL_AMBIGUOUS || f->op.code == FL_UNAVAILABLE;
    /* Noted perhaps: then it is not taken back, and an error no answer. */
    c->is_note_lost |= c->is_note_due && f->op.code == FL_AMBIGUOUS;
    if (is_lost && !c->leave)
        return look_later(c);
    if (f->op.code)
        return fl_fail(f);
    c->is_noted = fl_rows(c->q) == 1; /* else it is over by now, or nobody has it any more */
    c->is_note_due = !c->is_noted && !c->is_note_due;
    if (c->is_note_due && !c->leave)
        return fl_await(f, &S_asked_again, fl_call_ask_again_start(c));
    return &S_look;
}

/* ---------------------------------------------------------------- running it */
FL_STEP(run)
{
    struct fl_call *c = fl_call_of(f);
    return fl_await(f, &S_ran, fl_call_run_start(c, NULL));
}

FL_STEP(run_looked)
{
    struct fl_call *c = fl_call_of(f);
    return fl_await(f, &S_ran, fl_call_run_start(c, &c->look.row));
}

/* As the row was when it was seen last: no look between the decision and the claim. */
FL_STEP(run_approved)
{
    struct fl_call *c = fl_call_of(f);
    struct fl_approval row;
    fl_call_approved_row(c, &row);
    return fl_await(f, &S_ran, fl_call_run_start(c, &row));
}

FL_STEP(ran)
{
    struct fl_call *c = fl_call_of(f);
    struct fl_run *r = &c->run;
    struct fl_str reason = r->reason[0] ? fl_str_of(r->reason) : (struct fl_str){ NULL, 0 };
    c->is_deliverable = true;
    c->state = r->state;
    if (r->row.decided_by.p)
        c->decided_by = fl_arena_str(c->arena, r->row.decided_by);
    if (f->op.code)
        return fl_await(f, &S_woken,
                        fl_sleep_start(&f->op, &c->sleep, c->core->loop, LOOK_AGAIN_MS));
    switch (r->state) {
    case FL_APPROVAL_SUCCEEDED:
    case FL_APPROVAL_FAILED: return finish(c, take_result(c, &r->result, reason));
    case FL_APPROVAL_UNKNOWN: return finish(c, outcome(c, FL_OUTCOME_UNKNOWN, reason));
    case FL_APPROVAL_VOIDED: return finish(c, outcome(c, FL_OUTCOME_VOIDED, reason));
    case FL_APPROVAL_EXPIRED: return finish(c, outcome(c, FL_OUTCOME_EXPIRED, reason));
    default: return &S_woken; /* given back, or somebody else has it */
    }
}

/* ---------------------------------------------------------------- leaving */
FL_STEP(leave)
{
    struct fl_call *c = fl_call_of(f);
    if (!c->is_held_here)
        return &S_left;
    return fl_await(f, &S_left, fl_call_leave_start(c));
}

FL_STEP(left)
{
    struct fl_call *c = fl_call_of(f);
    if (c->is_held_here && f->op.code)
        fl_leave_later(c->core, &c->principal->organization_id, &c->principal->agent_id,
                       &c->approval_id, fl_call_grace_ms(c));
    c->is_held_here = false;
    if (c->state == FL_APPROVAL_UNKNOWN)
        return &S_respond; /* said already what is known */
    return outcome(c, FL_OUTCOME_PENDING, (struct fl_str){ NULL, 0 });
}

FL_STEP(cancel)
{
    struct fl_call *c = fl_call_of(f);
    if (c->is_observer)
        return &S_respond; /* somebody else's wait; only this one is over */
    c->cancel = (struct fl_cancel){ .core = c->core,
                                    .organization = c->principal->organization_id,
                                    .id = c->approval_id,
                                    .actor = FL_ACTOR_AGENT,
                                    .actor_id = c->principal->agent_id,
                                    .only_agent = c->principal->agent_id,
                                    .reason = FL_CALL_AGENT_CANCELLED };
    return fl_await(f, &S_cancelled, fl_cancel_start(&f->op, &c->cancel));
}

FL_STEP(cancelled)
{
    struct fl_call *c = fl_call_of(f);
    if (f->op.code == FL_OK || f->op.code == FL_NOT_FOUND)
        return &S_respond;
    FL_LOG(WARN, "cancel_failed", FL_KU("call", &c->approval_id), FL_KS("reason", f->op.err.text));
    /* Nobody waits for it here any more, and nobody else finds it while this worker lives. */
    fl_cancel_doubtful(c->core, &c->principal->organization_id, &c->principal->agent_id,
                       &c->approval_id, FL_CALL_AGENT_CANCELLED);
    return &S_respond;
}

/* ---------------------------------------------------------------- the end: every way passes here
 */
FL_STEP(respond)
{
    return fl_end(f);
}

FL_STEP(failed)
{
    struct fl_call *c = fl_call_of(f);
    c->end = FL_CALL_ERROR;
    c->err = f->first;
    if (c->err.code == FL_AMBIGUOUS)
        c->err.code = FL_UNAVAILABLE;
    return &S_respond;
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_call, start)->flow, &S_begin);
}

void fl_call_start(struct fl_call *c)
{
    c->has_texts = fl_call_own_texts(c);
    fl_flow_init(&c->flow, &S_failed, fl_call_on_ended);
    c->start.run = on_start;
    fl_loop_post(c->core->loop, &c->start);
}
