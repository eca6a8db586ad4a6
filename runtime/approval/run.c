/* The life of an approved call, from the claim to the recorded outcome:
 *
 *   claim: approved -> claimed, fence + 1, a lease by the database's clock (one transaction)
 *
 *   mark: with the row locked, do the stored bytes match their digest; current policy, the votes'
 *   authority, pin, agent, stops, expiry; claimed -> dispatched with a deadline, or voided with the
 *   reason (one transaction)
 *
 *   send: the stored bytes, once, only while all three clocks stand before the deadline
 *
 *   settle: dispatched -> succeeded | failed | unknown, by fence (one transaction)
 *
 * Before all that it waits for its turn at the plugin, so that between the last check and the
 * sending there is no queue. Nothing here leads from `dispatched` back. */
#include "runtime/approval/run.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/alert.h"
#include "runtime/approval/ballot.h"
#include "runtime/approval/content.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/rules.h"
#include "runtime/approval/run_priv.h"
#include "runtime/store/organization.h"
#include "runtime/store/vote.h"

#define RELOADS_MAX 5 /* of the organization while it keeps changing */

FL_STEP_DECLARE(peek);
FL_STEP_DECLARE(peeked);
FL_STEP_DECLARE(queue);
FL_STEP_DECLARE(turn);
FL_STEP_DECLARE(claim);
FL_STEP_DECLARE(claimed);
FL_STEP_DECLARE(load_org);
FL_STEP_DECLARE(open_mark);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(rechecked);
FL_STEP_DECLARE(moved);
FL_STEP_DECLARE(marked);
FL_STEP_DECLARE(not_sent);
FL_STEP_DECLARE(send);
FL_STEP_DECLARE(settle);
FL_STEP_DECLARE(settled);
FL_STEP_DECLARE(late);
FL_STEP_DECLARE(compare);
FL_STEP_DECLARE(end);

static struct fl_run *run_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_run, flow);
}

static void say(struct fl_run *r, const char *text)
{
    fl_utf8_format(r->reason, sizeof r->reason, "%s", text);
}

/* A new transaction in the run's arena. */
static struct fl_tx *begin(struct fl_run *r)
{
    fl_tx_fini(&r->tx);
    fl_tx_init(&r->tx, r->core->pg, r->arena, &r->organization);
    return &r->tx;
}

/* The same in memory that the next try frees: a database may be away for long. NULL: no memory. */
static struct fl_tx *begin_try(struct fl_run *r)
{
    fl_tx_fini(&r->tx);
    fl_arena_free(&r->try_arena);
    r->try_arena = fl_arena_new(0);
    fl_tx_init(&r->tx, r->core->pg, r->try_arena ? r->try_arena : r->arena, &r->organization);
    return r->try_arena ? &r->tx : NULL;
}

static void event(struct fl_run *r, struct fl_audit_event *e, enum fl_audit_kind kind)
{
    fl_audit_init(e, &r->organization, kind, FL_ACTOR_SYSTEM, &r->core->worker, "approval",
                  &r->approval);
    if (r->fence)
        fl_audit_int(e, "fence", r->fence);
    if (r->reason[0])
        fl_audit_z(e, "reason", r->reason);
}

/* ---------------------------------------------------------------- its turn */
FL_STEP(first_org)
{
    struct fl_run *r = run_of(f);
    r->org = fl_org_peek(r->core->orgs, &r->organization);
    if (r->org)
        return &S_peek;
    return fl_await(
        f, &S_peek,
        fl_org_load_start(&f->op, &r->org_load, r->core->orgs, &r->organization, &r->org));
}

FL_STEP(peek)
{
    struct fl_run *r = run_of(f);
    if (!r->org)
        return fl_fail(f);
    if (r->is_known)
        return &S_queue;
    struct fl_tx *tx = begin(r);
    tx->is_read_only = true;
    r->q_row = fl_store_approval_get(tx, &r->approval);
    return fl_await(f, &S_peeked, fl_tx_submit(&f->op, tx));
}

FL_STEP(peeked)
{
    struct fl_run *r = run_of(f);
    if (f->op.code)
        return fl_fail(f);
    return fl_store_approval_read(r->q_row, 0, r->arena, &r->row) ? &S_queue : &S_end;
}

FL_STEP(queue)
{
    struct fl_run *r = run_of(f);
    if (r->row.state != FL_APPROVAL_APPROVED || r->row.claimable_in_ms > 0 || r->row.frozen_at_ms)
        return &S_end; /* somebody else was first, or it is over, or stopped: look again */
    /* What cannot be sent at all fails where it is said to people and to the agent: behind the
     * marker. */
    return fl_run_turn_start(&f->op, r) == FL_OK ? fl_await(f, &S_turn, FL_OK) : &S_claim;
}

FL_STEP(turn)
{
    return f->op.code == FL_CANCELLED ? &S_end : &S_claim;
}

/* ---------------------------------------------------------------- claim */
FL_STEP(claim)
{
    struct fl_run *r = run_of(f);
    struct fl_tx *tx = begin(r);
    struct fl_audit_event e;
    event(r, &e, FL_AUDIT_APPROVAL_CLAIMED);
    if (fl_audit_seal(&e, r->arena, &f->op.err))
        return fl_await(f, &S_claimed, FL_NOMEM);
    r->q_claim = fl_store_approval_claim(tx, &r->organization, &r->approval, &r->core->worker,
                                         r->core->times.lease_ms, &e.row);
    return fl_await(f, &S_claimed, fl_tx_submit(&f->op, tx));
}

FL_STEP(claimed)
{
    struct fl_run *r = run_of(f);
    if (f->op.code)
        return fl_fail(f); /* perhaps claimed; then the lease runs out and it goes back */
    if (fl_rows(r->q_claim) != 1) {
        r->state = FL_APPROVAL_PENDING; /* somebody else was first, or it is over: look again */
        return &S_end;
    }
    r->fence = fl_cell_int(r->q_claim, 0, 0);
    return &S_load_org;
}

FL_STEP(load_org)
{
    struct fl_run *r = run_of(f);
    fl_org_unref(&r->org);
    r->org = fl_org_peek(r->core->orgs, &r->organization);
    if (r->org)
        return &S_open_mark;
    return fl_await(
        f, &S_open_mark,
        fl_org_load_start(&f->op, &r->org_load, r->core->orgs, &r->organization, &r->org));
}

/* ---------------------------------------------------------------- mark */
FL_STEP(open_mark)
{
    struct fl_run *r = run_of(f);
    if (!r->org)
        return fl_fail(f);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, begin(r)));
}

FL_STEP(opened)
{
    struct fl_run *r = run_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_store_stop_gate_pass(&r->tx);
    r->q_row = fl_store_approval_lock(&r->tx, &r->approval);
    r->q_recheck = fl_store_approval_recheck(&r->tx, &r->approval);
    r->q_content = fl_store_approval_arguments(&r->tx, &r->approval);
    r->q_votes = fl_store_votes(&r->tx, &r->approval);
    r->q_people = fl_store_people(&r->tx);
    return fl_await(f, &S_rechecked, fl_tx_round(&f->op, &r->tx));
}

/* Approved by one who may break the glass: may they still, and is it their vote still? */
static bool is_glass_broken(const struct fl_run *r, const struct fl_ballot *b)
{
    const struct fl_quorum_person *p = fl_ballot_person(b, &r->row.broken_by);
    bool has_voted = false;
    for (size_t i = 0; i < b->vote_count; i++)
        has_voted |= fl_uuid_cmp(&b->votes[i].person, &r->row.broken_by) == 0 &&
                     b->votes[i].approves && b->votes[i].has_second_factor;
    return p && p->is_active && fl_role_may(p->role, FL_ACTION_BREAK_GLASS) && has_voted &&
           !fl_ballot_is_excluded(b, &r->row.broken_by);
}

/* Are the stored bytes what the digest binds? Then they are what is sent. FL_NOMEM. */
static enum fl_code open_content(struct fl_run *r, struct fl_err *err)
{
    uint64_t failures = fl_mem_failures();
    struct fl_str sealed = fl_cell_bytes(r->q_content, r->arena, 0, 0);
    struct fl_content_call call;
    enum fl_code code =
        fl_content_arguments(r->core, &r->organization, &r->row, sealed, r->arena, &call, err);
    if (code == FL_NOMEM || (code && fl_mem_failures() != failures))
        return fl_err_code(err, FL_NOMEM); /* nobody tampered with it */
    if (code == FL_OK) {
        r->arguments = call.arguments;
        memcpy(r->server, call.server, sizeof r->server);
        return FL_OK;
    }
    FL_LOG(ERROR, "approval_tampered", FL_KU("org", &r->organization), FL_KU("call", &r->approval),
           FL_KS("reason", err->text));
    say(r, err->text);
    r->is_tampered = true;
    return FL_OK;
}

/* NULL: it may run. Else why not, in a clause that people and the agent read. */
static const char *objection(struct fl_run *r, struct fl_err *err)
{
    const struct fl_query *q = r->q_recheck;
    if (r->is_tampered)
        return r->reason;
    if (!fl_cell_bool(q, 0, 1))
        return "the tool's definition is not the one that was approved";
    if (!fl_cell_bool(q, 0, 2))
        return "the agent, or the person who owns it, may not act any more";
    if (!fl_cell_bool(q, 0, 3))
        return "the agent's credential was revoked or has expired";
    if (!fl_cell_bool(q, 0, 5))
        return "the grant that it was approved by was revoked, or its time is over";
    const struct fl_org_tool *tool = fl_org_tool(r->org, r->row.tool);
    if (!tool)
        return "the tool is not there any more";
    if (memcmp(tool->server->digest, r->server, sizeof r->server) != 0)
        return "its server is not configured any more as it was when it was approved";
    char id[FL_UUID_TEXT];
    struct fl_caller caller = { .agent = r->row.agent,
                                .agent_id_text = fl_str_of(fl_uuid_format(&r->row.agent_id, id)),
                                .agent_id = r->row.agent_id,
                                .owner_id = r->row.owner_id,
                                .owner = r->row.owner,
                                .is_isolated = r->row.is_isolated };
    struct fl_policy_verdict v;
    json_t *tree = NULL;
    fl_rules_ask(r->org, tool, &caller, r->arguments, fl_real_ms(), &tree, &v);
    json_decref(tree);
    if (v.effect == FL_EFFECT_ALLOW)
        return NULL;
    if (v.effect == FL_EFFECT_DENY) {
        fl_err_set(err, FL_DENIED, "the policy does not allow it any more: %.250s", v.text);
        return err->text;
    }
    struct fl_ballot ballot;
    struct fl_quorum_facts facts;
    struct fl_quorum quorum;
    if (fl_ballot_read(&ballot, r->arena, r->q_people, r->q_votes, &r->row, err))
        return err->text;
    fl_ballot_facts(&ballot, v.ask, &facts);
    if (fl_quorum_count(&facts, &quorum, err))
        return err->text;
    bool is_enough = quorum.state == FL_QUORUM_APPROVED ||
                     (quorum.state == FL_QUORUM_OPEN && is_glass_broken(r, &ballot));
    if (!is_enough)
        return "the votes are not enough by the policy and the people's roles of now";
    return NULL;
}

/* Leaves `claimed` for `to` instead of being dispatched, and commits. */
static fl_next move(struct fl_run *r, enum fl_approval_state to, enum fl_audit_kind kind)
{
    struct fl_flow *f = &r->flow;
    struct fl_audit_event e;
    r->state = to;
    fl_store_approval_move(&r->tx, &r->approval, FL_APPROVAL_CLAIMED, to,
                           to == FL_APPROVAL_VOIDED ? fl_str_of(r->reason)
                                                    : (struct fl_str){ NULL, 0 });
    event(r, &e, kind);
    fl_audit_append(&e, &r->tx);
    if (r->is_tampered) {
        event(r, &e, FL_AUDIT_APPROVAL_TAMPERED);
        fl_audit_append(&e, &r->tx);
        fl_alert_tampered(&r->tx, &r->row);
    }
    return fl_await(f, &S_moved, fl_tx_commit(&f->op, &r->tx));
}

FL_STEP(rechecked)
{
    struct fl_run *r = run_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    if (!fl_store_approval_read(r->q_row, 0, r->arena, &r->row) ||
        r->row.state != FL_APPROVAL_CLAIMED || r->row.fence != r->fence) {
        fl_tx_abandon(&r->tx); /* cancelled, or the lease ran out and another one has it */
        r->state = FL_APPROVAL_PENDING;
        return &S_end;
    }
    if (r->row.is_expired)
        return move(r, FL_APPROVAL_EXPIRED, FL_AUDIT_APPROVAL_EXPIRED);
    if (r->may_dispatch && !r->may_dispatch(r)) {
        say(r, "nobody waits for it"); /* the caller went away meanwhile */
        return move(r, FL_APPROVAL_APPROVED, FL_AUDIT_APPROVAL_RELEASED);
    }
    /* By a stop in force, or by one that is over and moves deadlines still: that one freezes itself
     * what it has to thaw, and may have come by here for the last time. */
    bool is_stopped = !fl_cell_is_null(r->q_recheck, 0, 4);
    if (is_stopped || r->row.frozen_at_ms) {
        say(r, "stopped");
        if (is_stopped)
            fl_store_approval_freeze(&r->tx, &r->approval);
        return move(r, FL_APPROVAL_APPROVED, FL_AUDIT_APPROVAL_RELEASED);
    }
    if ((uint64_t)fl_cell_int(r->q_recheck, 0, 0) != r->org->revision) {
        fl_tx_abandon(&r->tx);
        if (++r->tries > RELOADS_MAX)
            return fl_fail_with(f, FL_UNAVAILABLE, "the organization keeps changing");
        fl_orgs_changed(r->core->orgs, &r->organization, 0);
        return &S_load_org;
    }
    if (open_content(r, &err))
        return fl_fail_with(f, FL_NOMEM, "%s", err.text);
    const char *why = objection(r, &err);
    if (why) {
        if (why != r->reason)
            say(r, why);
        r->core->stats.voided++;
        return move(r, FL_APPROVAL_VOIDED, FL_AUDIT_APPROVAL_VOIDED);
    }
    struct fl_audit_event e;
    event(r, &e, FL_AUDIT_APPROVAL_DISPATCHED);
    fl_audit_text(&e, "tool", r->row.tool);
    fl_audit_int(&e, "policy_version", r->org->policy_version);
    fl_audit_hex(&e, "binding", r->row.binding_digest.p, r->row.binding_digest.n);
    enum fl_code code = fl_audit_seal(&e, r->arena, &err);
    if (code)
        return fl_fail_with(f, code, "%s", err.text);
    r->marked.dispatch_ms = r->core->times.dispatch_ms;
    r->marked.execute_ms = r->core->times.execute_ms;
    r->marked.kill_ms = r->core->times.grace_ms / 2; /* the rest is for the process to die in */
    r->q_row = fl_store_approval_dispatch(&r->tx, &r->organization, &r->approval, r->fence,
                                          r->marked.dispatch_ms, r->marked.execute_ms,
                                          r->core->times.grace_ms, &e.row);
    r->marked.mono_ms = fl_mono_ms();
    r->marked.boot_ms = fl_boot_ms();
    r->marked.real_ms = fl_real_ms();
    return fl_await(f, &S_marked, fl_tx_commit(&f->op, &r->tx));
}

FL_STEP(moved)
{
    struct fl_run *r = run_of(f);
    if (f->op.code)
        return fl_fail(f); /* still claimed, or moved and not confirmed: nothing was sent */
    fl_hub_changed(r->core->hub, &r->organization, &r->approval);
    return &S_end;
}

FL_STEP(marked)
{
    struct fl_run *r = run_of(f);
    if (f->op.code == FL_AMBIGUOUS)
        return &S_not_sent;
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(r->q_row) != 1) { /* it expired between the check and the marker */
        r->state = FL_APPROVAL_PENDING;
        return &S_end;
    }
    return &S_send;
}

/* The marker's commit got no answer. This process has sent nothing and never will: if the marker
 * is there it is recorded as failed; if not, the lease runs out and the row goes back. */
FL_STEP(not_sent)
{
    struct fl_run *r = run_of(f);
    r->state = FL_APPROVAL_FAILED;
    r->result = (struct fl_call_result){ .is_kept = true, .is_error = true };
    r->is_ambiguous = true;
    say(r, "it was not sent: the database did not confirm the dispatch");
    return &S_settle;
}

/* ---------------------------------------------------------------- send */
FL_STEP(send)
{
    struct fl_run *r = run_of(f);
    r->core->stats.dispatched++;
    enum fl_code code = fl_run_send_start(&f->op, r);
    if (code == FL_OK)
        return fl_await(f, &S_settle, FL_OK);
    r->state = FL_APPROVAL_FAILED;
    r->result = (struct fl_call_result){ .is_kept = true, .is_error = true };
    fl_utf8_format(r->reason, sizeof r->reason, "it was not sent: %s", f->op.err.text);
    return &S_settle;
}

/* ---------------------------------------------------------------- settle */
static struct fl_str seal_result(struct fl_run *r)
{
    struct fl_str sealed = { NULL, 0 };
    struct fl_buf json = FL_BUF_INIT;
    struct fl_err err;
    if (r->state == FL_APPROVAL_UNKNOWN)
        return sealed;
    fl_result_encode(&json, &r->result);
    r->result.bytes = (int64_t)json.n;
    /* Whatever its size, the state stands; a late caller hears how large it was. */
    if (json.is_failed || json.n > r->core->limits.result_max_bytes ||
        fl_content_seal(r->core, &r->organization, &r->approval, "result", fl_buf_view(&json),
                        r->try_arena, &sealed, &err) != FL_OK)
        sealed.p = NULL;
    fl_buf_fini(&json);
    return sealed;
}

static fl_next settle_later(struct fl_run *r)
{
    struct fl_flow *f = &r->flow;
    return fl_await(
        f, &S_settle,
        fl_sleep_start(&f->op, &r->sleep, r->core->loop, r->core->times.settle_retry_ms));
}

FL_STEP(settle)
{
    struct fl_run *r = run_of(f);
    struct fl_audit_event e;
    struct fl_err err;
    struct fl_tx *tx = begin_try(r);
    if (!tx)
        return settle_later(r);
    struct fl_str sealed = seal_result(r);
    event(r, &e,
          r->state == FL_APPROVAL_SUCCEEDED ? FL_AUDIT_APPROVAL_SUCCEEDED
          : r->state == FL_APPROVAL_UNKNOWN ? FL_AUDIT_APPROVAL_UNKNOWN
                                            : FL_AUDIT_APPROVAL_FAILED);
    fl_audit_int(&e, "result_bytes", r->result.bytes);
    fl_audit_bool(&e, "result_kept", sealed.p != NULL);
    if (fl_audit_seal(&e, r->try_arena, &err))
        return settle_later(r);
    r->q_row =
        fl_store_approval_settle(tx, &r->organization, &r->approval, r->fence, r->state,
                                 r->reason[0] ? fl_str_of(r->reason) : (struct fl_str){ NULL, 0 },
                                 sealed, r->result.bytes, false, &e.row);
    enum fl_code code = fl_tx_submit(&f->op, tx);
    return code ? settle_later(r) : fl_await(f, &S_settled, FL_OK);
}

FL_STEP(settled)
{
    struct fl_run *r = run_of(f);
    if (f->op.code == FL_OK && fl_rows(r->q_row) == 1) {
        fl_hub_changed(r->core->hub, &r->organization, &r->approval);
        r->core->stats.succeeded += r->state == FL_APPROVAL_SUCCEEDED;
        r->core->stats.failed += r->state == FL_APPROVAL_FAILED;
        r->core->stats.unknown += r->state == FL_APPROVAL_UNKNOWN;
        return &S_end;
    }
    if (f->op.code == FL_OK || f->op.code == FL_DB_REFUSED)
        return &S_late;
    /* The effect may have happened: its outcome is recorded as soon as the database is back. */
    FL_LOG(WARN, "settle_delayed", FL_KU("call", &r->approval), FL_KS("reason", f->op.err.text));
    return settle_later(r);
}

/* Not ours to settle any more: an earlier try whose answer was lost, a person, or (after an
 * ambiguous marker) a row that was never dispatched. */
FL_STEP(late)
{
    struct fl_run *r = run_of(f);
    struct fl_tx *tx = begin_try(r);
    if (!tx)
        return &S_end;
    tx->is_read_only = true;
    r->q_row = fl_store_approval_get(tx, &r->approval);
    return fl_await(f, &S_compare, fl_tx_submit(&f->op, tx));
}

/* What the tool said stands in the audit, if the row says otherwise: a person who found that it did
 * not happen must be able to see that they were wrong. The caller is told what the tool said. */
FL_STEP(compare)
{
    struct fl_run *r = run_of(f);
    struct fl_approval now;
    struct fl_audit_event e;
    if (f->op.code == FL_UNAVAILABLE)
        return fl_await(
            f, &S_late,
            fl_sleep_start(&f->op, &r->sleep, r->core->loop, r->core->times.settle_retry_ms));
    bool is_read = f->op.code == FL_OK && fl_store_approval_read(r->q_row, 0, r->try_arena, &now);
    if (is_read && now.state == r->state && now.fence == r->fence && !now.settled_by.p)
        return &S_end; /* it was recorded */
    if (r->is_ambiguous || r->state == FL_APPROVAL_UNKNOWN) {
        r->state = FL_APPROVAL_PENDING; /* look what is recorded: we know nothing better */
        return &S_end;
    }
    FL_LOG(ERROR, "settle_was_late", FL_KU("org", &r->organization), FL_KU("call", &r->approval),
           FL_KS("tool_says", fl_state_text(r->state)),
           FL_KS("recorded", is_read ? fl_state_text(now.state) : "nothing"));
    event(r, &e, FL_AUDIT_APPROVAL_OUTCOME_LATE);
    fl_audit_z(&e, "outcome", fl_state_text(r->state));
    if (is_read)
        fl_audit_z(&e, "recorded", fl_state_text(now.state));
    struct fl_tx *tx = begin_try(r);
    if (!tx)
        return &S_end;
    fl_audit_append(&e, tx);
    return fl_await(f, &S_end, fl_tx_submit(&f->op, tx));
}

/* ---------------------------------------------------------------- ends */
FL_STEP(end)
{
    return fl_end(f);
}

/* Every error before the marker: nothing was sent; the claim, if there is one, runs out. */
FL_STEP(failed)
{
    struct fl_run *r = run_of(f);
    fl_tx_abandon(&r->tx);
    FL_LOG(WARN, "run_failed", FL_KU("org", &r->organization), FL_KU("call", &r->approval),
           FL_KS("reason", f->first.text));
    return &S_end;
}

static void on_ended(struct fl_flow *f)
{
    struct fl_run *r = run_of(f);
    struct fl_op *op = r->op;
    fl_run_turn_end(r);
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_run, post)->flow, &S_first_org);
}

static void cancel(struct fl_op *op)
{
    fl_run_turn_cancel(op->provider);
}

enum fl_code fl_run_start(struct fl_op *op, struct fl_run *r)
{
    FL_ASSERT(!r->arena);
    r->arena = fl_arena_new(0);
    if (!r->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    r->state = FL_APPROVAL_PENDING;
    fl_tx_init(&r->tx, r->core->pg, r->arena, &r->organization);
    fl_flow_init(&r->flow, &S_failed, on_ended);
    fl_op_start(op, cancel, r);
    r->op = op;
    /* From the loop: whatever fails at once must not complete inside this start. */
    r->post.run = on_start;
    fl_loop_post(r->core->loop, &r->post);
    return FL_OK;
}

void fl_run_fini(struct fl_run *r)
{
    if (!r->arena)
        return;
    fl_tx_fini(&r->tx);
    fl_arena_free(&r->try_arena);
    fl_org_unref(&r->org);
    fl_host_call_fini(&r->call);
    if (r->arguments.p)
        fl_cleanse((char *)r->arguments.p, r->arguments.n);
    fl_arena_free(&r->arena);
}
