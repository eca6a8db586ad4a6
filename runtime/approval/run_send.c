/* The plugin's part of a run: its turn, the sending, what it says. */
#include <stdio.h>

#include "runtime/approval/hub.h"
#include "runtime/approval/registry.h"
#include "runtime/approval/run_priv.h"

/* A suspended machine, a set clock, a stalled process: whichever clock says that the deadline is
 * over, or that time went back, decides. */
static bool is_in_time(const struct fl_run *r)
{
    int64_t passed[] = { fl_mono_ms() - r->marked.mono_ms, fl_boot_ms() - r->marked.boot_ms,
                         fl_real_ms() - r->marked.real_ms };
    for (size_t i = 0; i < FL_COUNTOF(passed); i++) {
        if (passed[i] < 0 || passed[i] >= r->marked.dispatch_ms)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- what the host says */
static void on_progress(struct fl_host_call *call, double progress, double total,
                        struct fl_str message)
{
    struct fl_run *r = FL_CONTAINER(call, struct fl_run, call);
    if (r->on_progress)
        r->on_progress(r, progress, total, message);
}

static void on_message(struct fl_host_call *call, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json)
{
    struct fl_run *r = FL_CONTAINER(call, struct fl_run, call);
    if (r->on_message)
        r->on_message(r, level, logger, data_json);
}

/* The wait for the turn is over; the flow goes on when the watch beside it has ended too. */
static void end_wait(struct fl_run *r, enum fl_code code)
{
    r->is_awaiting_turn = false;
    r->turn_code = code;
    if (r->watch.is_pending)
        fl_op_cancel(&r->watch);
    else
        fl_op_finish(&r->flow.op, code);
}

static void on_watch(struct fl_op *op)
{
    struct fl_run *r = FL_CONTAINER(op, struct fl_run, watch);
    if (r->is_awaiting_turn)
        fl_op_cancel(&r->call.op); /* the row changed: cancelled, expired, stopped */
    else
        fl_op_finish(&r->flow.op, r->turn_code);
}

static void on_turn(struct fl_host_call *call)
{
    end_wait(FL_CONTAINER(call, struct fl_run, call), FL_OK);
}

static bool may_start(struct fl_host_call *call, struct fl_err *why)
{
    if (is_in_time(FL_CONTAINER(call, struct fl_run, call)))
        return true;
    fl_err_set(why, FL_TIMEOUT, "too long between the last check and the sending");
    return false;
}

static void on_call_done(struct fl_op *op)
{
    struct fl_run *r = FL_CONTAINER(op, struct fl_run, call.op);
    enum fl_code code = op->code;
    if (code == FL_CONFLICT) /* the plugin knows another definition: look what it is */
        fl_registry_ask(r->core->registry, &r->organization, &r->row.server_id);
    if (r->is_awaiting_turn) {
        end_wait(r, code == FL_CANCELLED ? FL_CANCELLED : FL_OK);
        return;
    }
    fl_list_remove(&r->in_sent);
    r->state = fl_result_of_call(&r->call, r->reason, sizeof r->reason, &r->result);
    fl_op_finish(&r->flow.op, FL_OK);
}

/* ---------------------------------------------------------------- its turn */
static enum fl_code start(struct fl_run *r, struct fl_err *err)
{
    const struct fl_org_tool *checked = fl_org_tool(r->org, r->row.tool);
    struct fl_host_instance *instance =
        checked ? fl_orgs_instance_as(r->core->orgs, &r->organization, checked->server) : NULL;
    char *tool = fl_arena_strndup(r->arena, r->row.tool_name.p, r->row.tool_name.n);
    if (!tool)
        return fl_err_code(err, FL_NOMEM);
    if (!instance && checked &&
        fl_orgs_instance(r->core->orgs, &r->organization, &r->row.server_id))
        return fl_err_set(err, FL_UNAVAILABLE, "the tool's server has just been configured anew");
    if (!instance)
        return fl_err_set(err, FL_UNAVAILABLE, "the tool's server has no plugin");
    r->call = (struct fl_host_call){
        .op = { .done = on_call_done },
        .kind = FL_HOST_START,
        .tool = tool,
        .arguments = r->arguments,
        .precondition = r->row.precondition,
        .definition_digest = (const uint8_t *)r->row.definition_digest.p,
        .timeout_ms = r->is_awaiting_turn ? r->core->times.execute_ms : r->marked.execute_ms,
        .grace_ms = r->marked.kill_ms,
        .on_turn = r->is_awaiting_turn ? on_turn : NULL,
        .may_start = may_start,
        .on_progress = on_progress,
        .on_message = on_message,
    };
    enum fl_code code = fl_host_call_start(&r->call, instance);
    if (code)
        *err = r->call.op.err;
    return code;
}

enum fl_code fl_run_turn_start(struct fl_op *op, struct fl_run *r)
{
    r->is_awaiting_turn = true;
    enum fl_code code = start(r, &op->err);
    if (code) {
        r->is_awaiting_turn = false;
        return code;
    }
    fl_op_start(op, NULL, r);
    r->watch = (struct fl_op){ .done = on_watch };
    r->wait.seen_us = r->row.changed_at_ms * 1000 + 999; /* what the row said is known */
    return fl_hub_wait_start(&r->watch, &r->wait, r->core->hub, &r->organization, &r->approval);
}

void fl_run_turn_cancel(struct fl_run *r)
{
    if (r->is_awaiting_turn)
        fl_op_cancel(&r->call.op);
}

void fl_run_turn_end(struct fl_run *r)
{
    fl_host_call_drop(&r->call);
}

/* ---------------------------------------------------------------- the sending */
enum fl_code fl_run_send_start(struct fl_op *op, struct fl_run *r)
{
    enum fl_code code = FL_UNAVAILABLE;
    if (r->call.place == FL_HOST_CALL_TURN) {
        r->call.arguments = r->arguments;
        r->call.precondition = r->row.precondition;
        r->call.timeout_ms = r->marked.execute_ms;
        r->call.grace_ms = r->marked.kill_ms;
        code = fl_host_call_go(&r->call);
        if (code) {
            op->err = r->call.op.err;
            fl_run_turn_end(r);
        }
    }
    if (code == FL_UNAVAILABLE) /* no turn, or of an instance that is being replaced */
        code = start(r, &op->err);
    if (code)
        return code;
    fl_list_push_back(&r->core->sent, &r->in_sent);
    fl_op_start(op, NULL, r);
    return FL_OK;
}

bool fl_run_is_sent(const struct fl_core *core, const struct fl_uuid *approval)
{
    FL_LIST_FOREACH (link, &core->sent) {
        if (fl_uuid_cmp(&FL_CONTAINER(link, struct fl_run, in_sent)->approval, approval) == 0)
            return true;
    }
    return false;
}

void fl_run_tell_cancelled(struct fl_core *core, const struct fl_uuid *approval)
{
    FL_LIST_FOREACH (link, &core->sent) {
        struct fl_run *r = FL_CONTAINER(link, struct fl_run, in_sent);
        if (fl_uuid_cmp(&r->approval, approval) != 0)
            continue;
        fl_op_cancel(&r->call.op);
        return;
    }
}
