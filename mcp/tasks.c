/* Approvals as tasks. Any thread. */
#include "mcp/tasks.h"

#include "mcp/outcome_priv.h"
#include "mcp/reply_priv.h"

#define MINUTE_MS        60000
#define RETENTION_MIN_MS (30 * MINUTE_MS)

static const struct {
    const char *status, *text;
} states[] = {
#define X(name, status, text) { status, text },
    FL_MCP_STATES(X)
#undef X
};

int64_t fl_mcp_task_poll_ms(int64_t age_ms)
{
    if (age_ms < 2 * MINUTE_MS)
        return 2000;
    return age_ms < 10 * MINUTE_MS ? 5000 : 15000;
}

int64_t fl_mcp_task_ttl_ms(int64_t approval_ttl_ms, int64_t execution_limit_ms,
                           int64_t retention_ms)
{
    int64_t ttl = retention_ms > RETENTION_MIN_MS ? retention_ms : RETENTION_MIN_MS;
    if (approval_ttl_ms > 0 && __builtin_add_overflow(ttl, approval_ttl_ms, &ttl))
        return INT64_MAX;
    if (execution_limit_ms > 0 && __builtin_add_overflow(ttl, execution_limit_ms, &ttl))
        return INT64_MAX;
    return ttl;
}

void fl_mcp_state_text(struct fl_buf *out, enum fl_mcp_state state,
                       const struct fl_mcp_outcome *words)
{
    FL_ASSERT(state < FL_MCP_STATE_COUNT);
    fl_mcp_expand(out, states[state].text, words);
}

enum fl_code fl_mcp_state_result(struct fl_arena *arena, enum fl_mcp_state state,
                                 const struct fl_mcp_outcome *words, struct fl_mcp_result *ret,
                                 struct fl_err *err)
{
    struct fl_mcp_outcome outcome = *words;
    switch (state) {
    case FL_MCP_STATE_SUCCEEDED: outcome.kind = FL_MCP_OUTCOME_NOT_KEPT; break;
    case FL_MCP_STATE_FAILED: outcome.kind = FL_MCP_OUTCOME_ERROR_NOT_KEPT; break;
    case FL_MCP_STATE_UNKNOWN: outcome.kind = FL_MCP_OUTCOME_UNKNOWN; break;
    case FL_MCP_STATE_REJECTED: outcome.kind = FL_MCP_OUTCOME_REJECTED; break;
    case FL_MCP_STATE_EXPIRED: outcome.kind = FL_MCP_OUTCOME_EXPIRED; break;
    case FL_MCP_STATE_CANCELLED: outcome.kind = FL_MCP_OUTCOME_CANCELLED; break;
    default:
        FL_ASSERT(state == FL_MCP_STATE_VOIDED); /* no others are final */
        outcome.kind = FL_MCP_OUTCOME_VOIDED;
    }
    return fl_mcp_outcome_result(arena, &outcome, ret, err);
}

static bool has_failed(const struct fl_mcp_task *task)
{
    return task->state == FL_MCP_STATE_FAILED && task->error.p;
}

/* The members that a task always has. */
static void put_task_head(struct fl_buf *out, const struct fl_mcp_task *task)
{
    FL_ASSERT(task->state < FL_MCP_STATE_COUNT);
    struct fl_buf text = FL_BUF_INIT;
    fl_mcp_state_text(&text, task->state, &task->words);

    fl_emit_str(out, "taskId", task->id);
    fl_emit_cstr(out, "status", has_failed(task) ? "failed" : states[task->state].status);
    fl_emit_str(out, "statusMessage", fl_buf_view(&text));
    fl_emit_time(out, "createdAt", task->created_at_utc_ms);
    fl_emit_time(out, "lastUpdatedAt", task->updated_at_utc_ms);
    if (task->ttl_ms > 0)
        fl_emit_int(out, "ttlMs", task->ttl_ms);
    else
        fl_emit_raw(out, "ttlMs", FL_STR("null"));
    fl_emit_int(out, "pollIntervalMs",
                fl_mcp_task_poll_ms(task->now_utc_ms - task->created_at_utc_ms));
    if (text.is_failed)
        out->is_failed = true;
    fl_buf_fini(&text);
}

/* ... and how it ended. */
static enum fl_code put_task_end(struct fl_buf *out, struct fl_arena *arena,
                                 const struct fl_mcp_task *task, struct fl_err *err)
{
    struct fl_mcp_result made;
    const struct fl_mcp_result *result = task->result;
    if (strcmp(states[task->state].status, "completed") != 0)
        return FL_OK;
    if (has_failed(task)) {
        fl_emit_raw(out, "error", task->error);
        return FL_OK;
    }
    if (!result || (task->state != FL_MCP_STATE_SUCCEEDED && task->state != FL_MCP_STATE_FAILED)) {
        enum fl_code code = fl_mcp_state_result(arena, task->state, &task->words, &made, err);
        if (code != FL_OK)
            return code;
        result = &made;
    }
    fl_emit_key(out, "result");
    fl_mcp_result_put(out, FL_MCP_NEWEST, result, NULL);
    return FL_OK;
}

enum fl_code fl_mcp_put_task(struct fl_buf *out, struct fl_arena *arena,
                             const struct fl_mcp_server *server, const struct fl_mcp_to *to,
                             const struct fl_mcp_task *task, struct fl_err *err)
{
    fl_mcp_open_result(out, to);
    put_task_head(out, task);
    enum fl_code code = put_task_end(out, arena, task, err);
    if (code != FL_OK)
        return code;
    fl_mcp_close_result(out, server, to);
    return fl_buf_code(out, err);
}

void fl_mcp_put_task_created(struct fl_buf *out, const struct fl_mcp_server *server,
                             const struct fl_mcp_to *to, const struct fl_mcp_task *task)
{
    fl_mcp_open_result_as(out, to, "task");
    put_task_head(out, task);
    fl_mcp_close_result(out, server, to);
}

enum fl_code fl_mcp_put_task_changed(struct fl_buf *out, struct fl_arena *arena,
                                     struct fl_str subscription_id, const struct fl_mcp_task *task,
                                     struct fl_err *err)
{
    fl_mcp_open_note(out, "notifications/tasks");
    fl_mcp_open_params(out);
    fl_mcp_put_subscription(out, subscription_id);
    put_task_head(out, task);
    enum fl_code code = put_task_end(out, arena, task, err);
    if (code != FL_OK)
        return code;
    fl_buf_puts(out, "}}");
    return fl_buf_code(out, err);
}
