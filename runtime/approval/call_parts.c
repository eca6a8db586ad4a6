/* Pieces of the life of a call that its story (call.c) names. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/call_priv.h"
#include "runtime/approval/edit.h"
#include "runtime/approval/frozen.h"
#include "runtime/approval/leave.h"
#include "runtime/approval/runner.h"

#define TEXT_BYTES 2048 /* of an ordinary call, beside its struct */

/* ---- making and unmaking ---- */
static void clear(struct fl_call *c)
{
    const size_t from = offsetof(struct fl_call, core), to = offsetof(struct fl_call, err);
    memset((char *)c + from, 0, to - from);
    c->err.code = FL_OK;
    c->err.text[0] = 0;
}

void fl_call_deepen(struct fl_call *c)
{
    if (c->is_deep)
        return;
    c->is_deep = true;
    fl_tx_clear(&c->tx);
    c->row.preview_kind = NULL;
    c->row.precondition = (struct fl_str){ NULL, 0 };
    c->wait = (struct fl_hub_wait){ .hub = NULL };
    c->look.arena = NULL;
    c->run.arena = NULL;
}

struct fl_call *fl_call_new(struct fl_core *core, struct fl_principal *principal)
{
    struct fl_arena *arena = fl_arena_new(sizeof(struct fl_call) + TEXT_BYTES);
    struct fl_call *c = arena ? fl_arena_raw(arena, sizeof *c) : NULL;
    if (!c) {
        fl_arena_free(&arena);
        return NULL;
    }
    clear(c);
    c->arena = arena;
    c->core = core;
    c->principal = fl_principal_ref(principal);
    c->started_us = fl_mono_us();
    c->caller = (struct fl_caller){ .agent = principal->agent,
                                    .agent_id_text = fl_str_of(principal->agent_id_text),
                                    .agent_id = principal->agent_id,
                                    .credential_id = principal->credential_id,
                                    .owner_id = principal->owner_id,
                                    .owner = principal->owner };
    fl_list_push_back(&core->calls, &c->in_calls);
    core->call_count++;
    return c;
}

bool fl_call_own_texts(struct fl_call *c)
{
    struct fl_str *const texts[] = { &c->tool,          &c->arguments,   &c->idempotency_key,
                                     &c->justification, &c->mcp_session, &c->mcp_request,
                                     &c->mcp_stream };
    for (size_t i = 0; i < FL_COUNTOF(texts); i++) {
        if (!texts[i]->p)
            continue;
        *texts[i] = fl_arena_str(c->arena, *texts[i]);
        if (!texts[i]->p)
            return false;
    }
    return true;
}

static void release(void *owner)
{
    struct fl_call *c = owner;
    fl_loop_timer_cancel(c->core->loop, &c->hold);
    if (c->budget)
        fl_orgs_give_back(c->core->orgs, &c->principal->organization_id, c->budget);
    if (c->is_deep) {
        fl_tx_fini(&c->tx);
        fl_look_fini(&c->look);
        fl_run_fini(&c->run);
    }
    if (c->has_host_call)
        fl_host_call_fini(&c->host_call);
    json_decref(c->tree);
    fl_org_unref(&c->org);
    fl_org_unref(&c->org_after);
    if (c->canonical.p)
        fl_cleanse((char *)c->canonical.p, c->canonical.n);
    fl_principal_unref(&c->principal);
    struct fl_arena *arena = c->arena;
    fl_arena_free(&arena);
}

static void retire(struct fl_call *c)
{
    FL_ASSERT(c->is_over && !c->is_freed);
    c->is_freed = true;
    fl_loop_retire(c->core->loop, &c->retired, release, c);
}

void fl_call_free(struct fl_call **call)
{
    if (*call)
        retire(*call);
    *call = NULL;
}

void fl_call_on_ended(struct fl_flow *f)
{
    struct fl_call *c = fl_call_of(f);
    c->is_over = true;
    fl_loop_timer_cancel(c->core->loop, &c->hold);
    fl_list_remove(&c->in_calls);
    c->core->call_count--;
    if (c->leave)
        retire(c);
    else
        c->on_done(c);
}

static bool is_running(const struct fl_call *c)
{
    return c->flow.op.is_pending && c->flow.op.provider == &c->run;
}

/* Beside the run, which does not stop. Cancelled: it may not be sent yet, and if it is the audit
 * says that the agent wanted it back. Gone: the next one who asks for it gets the outcome. */
static void leave_running(struct fl_call *c)
{
    struct fl_principal *p = c->principal;
    if (c->leave == FL_LEAVE_CANCELLED && fl_uuid_is_zero(&c->wait_for)) {
        fl_cancel_try(c->core, &p->organization_id, &p->agent_id, &c->approval_id,
                      FL_CALL_AGENT_CANCELLED);
    } else {
        fl_leave_try(c->core, &p->organization_id, &p->agent_id, &c->approval_id,
                     fl_call_grace_ms(c));
        c->is_held_here = false;
    }
}

void fl_call_leave(struct fl_call *c, enum fl_call_leave how)
{
    FL_ASSERT(how != FL_LEAVE_NOT && !c->leave);
    bool was_running = is_running(c);
    c->leave = how;
    if (c->is_over) {
        retire(c);
        return;
    }
    if (was_running && c->is_held_here)
        leave_running(c);
    /* Only waits let themselves be cancelled, an intake's for its turn too, and reads. */
    fl_op_cancel(&c->flow.op);
}

bool fl_call_take_budget(struct fl_call *c)
{
    if (c->budget)
        return true; /* begun anew */
    if (!fl_orgs_take(c->core->orgs, &c->principal->organization_id, c->arguments.n))
        return false;
    c->budget = c->arguments.n;
    return true;
}

/* ---- audit ---- */
void fl_call_event(struct fl_call *c, enum fl_audit_kind kind)
{
    struct fl_principal *p = c->principal;
    bool has_row = kind >= FL_AUDIT_APPROVAL_REQUESTED && kind <= FL_AUDIT_APPROVAL_TAMPERED;
    fl_audit_init(&c->event, &p->organization_id, kind,
                  c->canary ? c->canary->actor : FL_ACTOR_AGENT,
                  c->canary ? &c->canary->actor_id : &p->agent_id, has_row ? "approval" : "call",
                  has_row ? &c->row.id : NULL);
    if (c->canary) {
        fl_audit_text(&c->event, "canary", c->canary->name);
        fl_audit_text(&c->event, "by", c->canary->by);
    }
    fl_audit_text(&c->event, "agent", p->agent);
    fl_audit_uuid(&c->event, "credential", &p->credential_id, c->arena);
    fl_audit_text(&c->event, "tool",
                  c->found ? c->tool : (struct fl_str){ c->tool.p, fl_utf8_cut(c->tool, 64) });
    fl_audit_int(&c->event, "arguments_bytes", (int64_t)c->arguments.n);
    if (c->org)
        fl_audit_int(&c->event, "policy_version", c->org->policy_version);
}

/* ---- an allowed read ---- */
static void on_progress(struct fl_host_call *call, double progress, double total,
                        struct fl_str message)
{
    struct fl_call *c = FL_CONTAINER(call, struct fl_call, host_call);
    if (c->on_progress && !c->leave)
        c->on_progress(c, progress, total, message);
}

static void on_message(struct fl_host_call *call, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json)
{
    struct fl_call *c = FL_CONTAINER(call, struct fl_call, host_call);
    if (c->on_message && !c->leave)
        c->on_message(c, level, logger, data_json);
}

static void on_host_done(struct fl_op *op)
{
    fl_op_finish(&FL_CONTAINER(op, struct fl_call, host_call.op)->flow.op, FL_OK);
}

static void cancel_read(struct fl_op *op)
{
    fl_op_cancel(&((struct fl_call *)op->provider)->host_call.op);
}

/* Also for the preview, which differs in kind, arguments and time. */
static enum fl_code host_start(struct fl_call *c, enum fl_host_kind kind, struct fl_str arguments,
                               int64_t timeout_ms)
{
    struct fl_op *op = &c->flow.op;
    struct fl_host_instance *instance =
        fl_orgs_instance(c->core->orgs, &c->principal->organization_id, &c->found->server->id);
    char *tool = fl_arena_strndup(c->arena, c->found->name.p, c->found->name.n);
    if (!tool)
        return fl_err_code(&op->err, FL_NOMEM);
    if (!instance)
        return fl_err_set(&op->err, FL_UNAVAILABLE, "the tool's server cannot run: %.300s",
                          c->found->server->refusal.n ? c->found->server->refusal.p
                                                      : "it was removed");
    fl_host_call_clear(&c->host_call);
    c->has_host_call = true;
    c->host_call.op.done = on_host_done;
    c->host_call.kind = kind;
    c->host_call.tool = tool;
    c->host_call.arguments = arguments;
    c->host_call.definition_digest = (const uint8_t *)c->found->digest.p;
    c->host_call.timeout_ms = timeout_ms;
    c->host_call.on_progress = on_progress;
    c->host_call.on_message = on_message;
    enum fl_code code = fl_host_call_start(&c->host_call, instance);
    if (code) {
        op->err = c->host_call.op.err;
        return code;
    }
    fl_op_start(op, cancel_read, c);
    return FL_OK;
}

enum fl_code fl_call_read_start(struct fl_call *c)
{
    return host_start(c, FL_HOST_START, c->arguments, c->core->times.execute_ms);
}

enum fl_code fl_call_preview_start(struct fl_call *c)
{
    return host_start(c, FL_HOST_PREVIEW, c->canonical, c->core->times.preview_ms);
}

struct fl_str fl_call_text_content(struct fl_arena *arena, const char *lead, const char *text)
{
    struct fl_buf out = FL_BUF_INIT, words = FL_BUF_INIT;
    fl_buf_printf(&words, "%s%s", lead, text);
    fl_buf_puts(&out, "[{\"type\":\"text\",\"text\":");
    fl_buf_json_str(&out, words.is_failed ? FL_STR("no memory") : fl_buf_view(&words));
    fl_buf_puts(&out, "}]");
    struct fl_str content = { NULL, 0 };
    if (!out.is_failed)
        content = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    fl_buf_fini(&words);
    return content;
}

/* ---- waiting ---- */
bool fl_call_goes_to_channels(const struct fl_call *c)
{
    const struct fl_ask *ask = c->row.state == FL_APPROVAL_PENDING ? c->verdict.ask : NULL;
    for (size_t i = 0; ask && i < ask->notify_count; i++) {
        if (!fl_str_is(ask->notify[i], "inbox"))
            return true;
    }
    return false;
}

bool fl_call_is_waiting(const struct fl_call *c)
{
    return c->is_deep && c->wait.hub && c->flow.op.is_pending && c->flow.op.provider == &c->wait;
}

static void on_hold_over(struct fl_timer *timer)
{
    struct fl_call *c = FL_CONTAINER(timer, struct fl_call, hold);
    c->is_hold_over = true;
    /* While it runs, only a wait for the plugin ends; what is claimed goes on to its outcome. */
    if (fl_call_is_waiting(c) || is_running(c))
        fl_op_cancel(&c->flow.op);
}

void fl_call_hold_over(struct fl_call *c)
{
    fl_loop_timer_cancel(c->core->loop, &c->hold);
    on_hold_over(&c->hold);
}

void fl_call_arm_hold(struct fl_call *c)
{
    if (fl_timer_is_armed(&c->hold) || c->is_hold_over)
        return;
    fl_timer_init(&c->hold, on_hold_over);
    fl_loop_timer(c->core->loop, &c->hold, c->hold_ms > 0 ? c->hold_ms : 1);
}

static enum fl_code seal_event(struct fl_call *c, enum fl_audit_kind kind)
{
    struct fl_principal *p = c->principal;
    fl_audit_init(&c->event, &p->organization_id, kind,
                  c->canary ? FL_ACTOR_SYSTEM : FL_ACTOR_AGENT,
                  c->canary ? &c->core->worker : &p->agent_id, "approval", &c->approval_id);
    return fl_audit_seal(&c->event, c->arena, &c->flow.op.err);
}

static void begin(struct fl_call *c)
{
    fl_tx_fini(&c->tx);
    fl_tx_init(&c->tx, c->core->pg, c->arena, &c->principal->organization_id);
}

enum fl_code fl_call_doubt_start(struct fl_call *c)
{
    begin(c);
    c->is_certain = fl_pg_are_gone(c->core->pg, c->lost);
    fl_store_approval_after_intakes(&c->tx, &c->principal->agent_id);
    c->q = fl_store_approval_lock(&c->tx, &c->row.id);
    return fl_tx_submit(&c->flow.op, &c->tx);
}

enum fl_code fl_call_attach_start(struct fl_call *c)
{
    enum fl_code code = seal_event(c, FL_AUDIT_APPROVAL_ATTACHED);
    if (code)
        return code;
    begin(c);
    c->q = fl_store_approval_attach(&c->tx, &c->principal->organization_id, &c->approval_id,
                                    &c->core->worker, &c->event.row);
    return fl_tx_submit(&c->flow.op, &c->tx);
}

enum fl_code fl_call_ask_again_start(struct fl_call *c)
{
    begin(c);
    if (!c->is_note_due) {
        c->q =
            fl_store_approval_asked_again(&c->tx, &c->principal->organization_id, &c->approval_id);
        return fl_tx_submit(&c->flow.op, &c->tx);
    }
    enum fl_code code = seal_event(c, FL_AUDIT_APPROVAL_ATTACHED);
    if (code)
        return code;
    c->q = fl_store_approval_ask_again(&c->tx, &c->principal->organization_id, &c->approval_id,
                                       &c->event.row);
    return fl_tx_submit(&c->flow.op, &c->tx);
}

int64_t fl_call_grace_ms(const struct fl_call *c)
{
    /* Ending approval_wait only ends the waiting: the row stays as it was. */
    bool is_broken =
        c->leave == FL_LEAVE_GONE && c->is_break_cancelling && fl_uuid_is_zero(&c->wait_for);
    bool has_grace = is_broken || (c->after_leave && strcmp(c->after_leave, "cancel") == 0);
    return has_grace ? c->core->times.leave_ms : 0;
}

enum fl_code fl_call_leave_start(struct fl_call *c)
{
    enum fl_code code = seal_event(c, FL_AUDIT_APPROVAL_LEFT);
    if (code)
        return code;
    begin(c);
    c->q = fl_store_approval_leave(&c->tx, &c->principal->organization_id, &c->approval_id,
                                   &c->core->worker, fl_call_grace_ms(c), &c->event.row);
    return fl_tx_submit(&c->flow.op, &c->tx);
}

/* ---- running ---- */
static bool may_dispatch(struct fl_run *run)
{
    return ((struct fl_call *)run->user)->leave == FL_LEAVE_NOT;
}

static void on_run_progress(struct fl_run *run, double progress, double total,
                            struct fl_str message)
{
    on_progress(&((struct fl_call *)run->user)->host_call, progress, total, message);
}

static void on_run_message(struct fl_run *run, enum flopinio_level level, struct fl_str logger,
                           struct fl_str data_json)
{
    on_message(&((struct fl_call *)run->user)->host_call, level, logger, data_json);
}

void fl_call_approved_row(const struct fl_call *c, struct fl_approval *ret)
{
    const struct fl_approval_new *made = &c->row;
    if (c->look.arena)
        *ret = c->look.row;
    else
        *ret = (struct fl_approval){ .id = made->id,
                                     .server_id = made->server_id,
                                     .tool = made->tool,
                                     .tool_name = made->tool_name,
                                     .definition_digest = made->definition_digest,
                                     .precondition = made->precondition };
    FL_ASSERT(fl_uuid_cmp(&ret->id, &c->approval_id) == 0);
    ret->state = FL_APPROVAL_APPROVED;
    ret->claimable_in_ms = 0;
    ret->changed_at_ms = c->wait.seen_us / 1000;
}

enum fl_code fl_call_run_start(struct fl_call *c, const struct fl_approval *row)
{
    FL_ASSERT(!c->canary);
    fl_run_fini(&c->run);
    c->run = (struct fl_run){ .core = c->core,
                              .organization = c->principal->organization_id,
                              .approval = c->approval_id,
                              .may_dispatch = may_dispatch,
                              .on_progress = on_run_progress,
                              .on_message = on_run_message,
                              .user = c };
    if (row)
        c->run.row = *row;
    c->run.is_known = row != NULL;
    return fl_run_start(&c->flow.op, &c->run);
}

void fl_call_kick_runner(struct fl_call *c)
{
    fl_runner_kick(c->core, &c->principal->organization_id, &c->row.server_id, &c->approval_id);
}

/* ---- what the caller is told ---- */
void fl_call_take_row(struct fl_call *c, const struct fl_approval *row)
{
    c->state = row->state;
    c->created_at_ms = row->created_at_ms;
    c->expires_at_ms = row->expires_at_ms;
    c->changed_at_ms = row->changed_at_ms;
    c->is_unreached = row->is_unreached;
    c->shown_tool = fl_arena_str(c->arena, row->tool);
    if (row->decided_by.p)
        c->decided_by = fl_arena_str(c->arena, row->decided_by);
    c->after_leave = fl_str_is(row->after_leave, "cancel") ? "cancel" : "wait";
    c->has_output_schema = fl_frozen_has_output_schema(row->card);
}

void fl_call_take_result(struct fl_call *c, const struct fl_call_result *result, struct fl_str why)
{
    c->end = FL_CALL_RESULT;
    c->result = *result; /* texts live as long as the run or the look, both the call's */
    if (result->is_error && !result->is_protocol_error && result->content.n <= 2)
        c->result.content = fl_call_text_content(c->arena, "The call failed: ",
                                                 why.p ? fl_arena_strndup(c->arena, why.p, why.n)
                                                       : "no reason given");
    if (c->edited.p && result->is_protocol_error)
        c->result.error_message = fl_str_of(fl_arena_printf(
            c->arena, "%.*s (%.*s)", FL_STR_ARG(result->error_message), FL_STR_ARG(c->edited)));
    else if (c->edited.p)
        c->result.content = fl_edit_before(c->arena, c->edited, c->result.content);
}

void fl_call_take_settlement(struct fl_call *c, const struct fl_approval *row)
{
    bool happened = row->state == FL_APPROVAL_SUCCEEDED;
    char *text = fl_arena_printf(c->arena, "%.*s%s%.*s", FL_STR_ARG(row->settled_by),
                                 row->reason.n ? ": " : "", FL_STR_ARG(row->reason));
    c->end = FL_CALL_RESULT;
    c->result = (struct fl_call_result){ .is_kept = true, .is_error = !happened };
    c->result.content = fl_call_text_content(
        c->arena,
        happened
            ? "The outcome was not known; a person found that it was executed. Settled by "
            : "The outcome was not known; a person found that it was not executed. Settled by ",
        text ? text : "a person");
}

/* ---- delivery ---- */
struct delivery {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    struct fl_audit_event event;
};

static void on_delivered(struct fl_op *op)
{
    struct delivery *d = FL_CONTAINER(op, struct delivery, op);
    struct fl_arena *arena = d->arena;
    if (op->code)
        FL_LOG(WARN, "delivery_not_recorded", FL_KS("reason", op->err.text));
    fl_tx_fini(&d->tx);
    fl_arena_free(&arena);
}

void fl_delivered(struct fl_core *core, const struct fl_uuid *organization,
                  const struct fl_uuid *agent, const struct fl_uuid *approval)
{
    struct fl_arena *arena = fl_arena_new(sizeof(struct delivery) + 2048);
    struct delivery *d = arena ? FL_ARENA_NEW(arena, struct delivery) : NULL;
    if (d) {
        d->arena = arena;
        d->op.done = on_delivered;
        fl_audit_init(&d->event, organization, FL_AUDIT_APPROVAL_DELIVERED, FL_ACTOR_AGENT, agent,
                      "approval", approval);
        fl_tx_init(&d->tx, core->pg, arena, organization);
        if (fl_audit_seal(&d->event, arena, &d->op.err) == FL_OK) {
            fl_store_approval_delivered(&d->tx, organization, approval, &d->event.row);
            if (fl_tx_submit(&d->op, &d->tx) == FL_OK)
                return;
        }
        fl_tx_fini(&d->tx);
    }
    fl_arena_free(&arena);
}

void fl_call_delivered(struct fl_call *c)
{
    if (c->is_deliverable && !fl_uuid_is_zero(&c->approval_id))
        fl_delivered(c->core, &c->principal->organization_id, &c->principal->agent_id,
                     &c->approval_id);
}

void fl_call_undelivered(struct fl_call *c)
{
    if (c->is_deliverable && c->is_held_here)
        fl_leave_try(c->core, &c->principal->organization_id, &c->principal->agent_id,
                     &c->approval_id, 0);
}
