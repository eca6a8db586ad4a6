/* tasks/get, tasks/update, tasks/cancel: an approval seen as a task. */
#include "runtime/endpoint/endpoint_priv.h"

#include "flopinio/base/json.h"
#include "runtime/approval/edit.h"
#include "runtime/approval/frozen.h"

#define EXECUTION_KEEP_MS 1800000

static enum fl_mcp_state state_of(enum fl_approval_state state)
{
    static const enum fl_mcp_state states[] = {
        [FL_APPROVAL_PENDING] = FL_MCP_STATE_PENDING,
        [FL_APPROVAL_APPROVED] = FL_MCP_STATE_APPROVED,
        [FL_APPROVAL_REJECTED] = FL_MCP_STATE_REJECTED,
        [FL_APPROVAL_EXPIRED] = FL_MCP_STATE_EXPIRED,
        [FL_APPROVAL_CANCELLED] = FL_MCP_STATE_CANCELLED,
        [FL_APPROVAL_VOIDED] = FL_MCP_STATE_VOIDED,
        [FL_APPROVAL_CLAIMED] = FL_MCP_STATE_CLAIMED,
        [FL_APPROVAL_DISPATCHED] = FL_MCP_STATE_DISPATCHED,
        [FL_APPROVAL_SUCCEEDED] = FL_MCP_STATE_SUCCEEDED,
        [FL_APPROVAL_FAILED] = FL_MCP_STATE_FAILED,
        [FL_APPROVAL_UNKNOWN] = FL_MCP_STATE_UNKNOWN,
    };
    return states[state];
}

void fl_task_of(struct fl_arena *arena, struct fl_endpoint *ep, const struct fl_look *look,
                struct fl_mcp_result *result, struct fl_mcp_task *ret)
{
    const struct fl_approval *row = &look->row;
    bool is_edited = !fl_uuid_is_zero(&row->edit_of);
    char *id = fl_arena_alloc(arena, FL_UUID_TEXT);
    *ret = (struct fl_mcp_task){
        .id = row->task_id,
        .state = fl_approval_may_have_run(row) ? FL_MCP_STATE_UNKNOWN : state_of(row->state),
        .words = { .approval_id = id ? fl_str_of(fl_uuid_format(&row->id, id)) : FL_STR(""),
                   .tool = row->tool,
                   .by = row->decided_by,
                   .reason = row->reason.p ? row->reason : row->outcome,
                   .expires_at_utc_ms = row->expires_at_ms,
                   .size_bytes = (uint64_t)row->result_bytes,
                   .has_output_schema = fl_frozen_has_output_schema(row->card) },
        .created_at_utc_ms = row->created_at_ms,
        .updated_at_utc_ms = row->changed_at_ms,
        .now_utc_ms = fl_real_ms(),
        .ttl_ms = fl_mcp_task_ttl_ms(row->expires_at_ms - row->created_at_ms,
                                     ep->core->times.execute_ms, EXECUTION_KEEP_MS),
    };
    if (is_edited)
        ret->words.changed = fl_edit_told(arena, look);
    const struct fl_call_result *r = &look->result;
    bool is_over = row->state == FL_APPROVAL_SUCCEEDED || row->state == FL_APPROVAL_FAILED;
    if (!is_over || !r->is_kept)
        return;
    if (r->is_protocol_error) {
        struct fl_buf error = FL_BUF_INIT;
        fl_buf_printf(&error, "{\"code\":%d,\"message\":", r->error_code);
        fl_buf_json_str(&error, r->error_message);
        fl_buf_putc(&error, '}');
        ret->error = fl_arena_str(arena, fl_buf_view(&error));
        fl_buf_fini(&error);
        return;
    }
    *result = (struct fl_mcp_result){ .content = r->content,
                                      .structured = r->structured,
                                      .approval_id = ret->words.approval_id,
                                      .is_error = r->is_error };
    if (r->is_error && r->content.n <= 2) {
        struct fl_buf content = FL_BUF_INIT, text = FL_BUF_INIT;
        fl_buf_puts(&text, "The call failed: ");
        fl_buf_str(&text, row->outcome.p ? row->outcome : FL_STR("no reason given"));
        fl_buf_puts(&content, "[{\"type\":\"text\",\"text\":");
        fl_buf_json_str(&content, fl_buf_view(&text));
        fl_buf_puts(&content, "}]");
        result->content = fl_arena_str(arena, fl_buf_view(&content));
        fl_buf_fini(&content);
        fl_buf_fini(&text);
    }
    if (is_edited)
        result->content = fl_edit_before(arena, ret->words.changed, result->content);
    ret->result = result;
}

void fl_task_delivered(struct fl_talk *t, const struct fl_look *look)
{
    if (fl_state_is_final(look->row.state) && look->row.delivered_at_ms == 0)
        fl_delivered(t->endpoint->core, &t->principal->organization_id, &t->principal->agent_id,
                     &look->row.id);
}

static void answer_empty(struct fl_talk *t)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to to = fl_talk_to(t);
    fl_mcp_put_empty(&out, &t->endpoint->server, &to);
    fl_talk_answer(t, &out);
    fl_buf_fini(&out);
}

static void on_cancelled(struct fl_op *op)
{
    struct fl_talk *t = FL_CONTAINER(op, struct fl_talk, op);
    if (t->is_over)
        fl_talk_finish_pending(t);
    else if (op->code)
        fl_talk_error(t, op->code, op->err.text);
    else
        answer_empty(t); /* also for one that is over: cancelling is idempotent */
}

static void cancel(struct fl_talk *t)
{
    t->cancel = (struct fl_cancel){ .core = t->endpoint->core,
                                    .organization = t->principal->organization_id,
                                    .id = t->look.row.id,
                                    .actor = FL_ACTOR_AGENT,
                                    .actor_id = t->principal->agent_id,
                                    .only_agent = t->principal->agent_id,
                                    .reason = FL_CALL_AGENT_CANCELLED };
    t->op = (struct fl_op){ .done = on_cancelled };
    if (fl_cancel_start(&t->op, &t->cancel) != FL_OK)
        fl_talk_error(t, t->op.err.code, t->op.err.text);
}

static void show(struct fl_talk *t)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_to to = fl_talk_to(t);
    struct fl_mcp_result result;
    struct fl_mcp_task task;
    struct fl_err err;
    fl_task_of(t->arena, t->endpoint, &t->look, &result, &task);
    enum fl_code code = fl_mcp_put_task(&out, t->arena, &t->endpoint->server, &to, &task, &err);
    if (code) {
        fl_talk_error(t, code, err.text);
    } else if (fl_talk_answer(t, &out)) {
        fl_task_delivered(t, &t->look);
    }
    fl_buf_fini(&out);
}

static void on_looked(struct fl_op *op)
{
    struct fl_talk *t = FL_CONTAINER(op, struct fl_talk, op);
    if (t->is_over) {
        fl_talk_finish_pending(t);
        return;
    }
    if (op->code == FL_NOT_FOUND)
        fl_talk_error(t, FL_NOT_FOUND, "unknown task"); /* the same for unknown and foreign ones */
    else if (op->code)
        fl_talk_error(t, op->code, op->err.text);
    else if (t->msg.method == FL_MCP_M_TASKS_CANCEL)
        cancel(t);
    else if (t->msg.method == FL_MCP_M_TASKS_UPDATE)
        answer_empty(t); /* no task of ours asks its requester for anything */
    else
        show(t);
}

void fl_method_task(struct fl_talk *t)
{
    t->look = (struct fl_look){ .core = t->endpoint->core,
                                .organization = t->principal->organization_id,
                                .task_id = t->msg.name,
                                .only_agent = t->principal->agent_id,
                                .wants_result = t->msg.method == FL_MCP_M_TASKS_GET,
                                .wants_edited = true };
    t->op = (struct fl_op){ .done = on_looked };
    if (fl_look_start(&t->op, &t->look) != FL_OK)
        fl_talk_error(t, t->op.err.code, t->op.err.text);
}
