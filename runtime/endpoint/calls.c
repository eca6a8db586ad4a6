/* tools/call: sets the life of a call going and says in the protocol's words what came of it. Also
 * our two own tools, which are the same life entered at another place. */
#include <stdio.h>

#include "flopinio/base/json.h"
#include "flopinio/base/scan.h"
#include "mcp/outcome.h"
#include "runtime/endpoint/endpoint_priv.h"

#define ANSWER_KEEP       (64 * 1024) /* bytes of the buffer for the next answer */
#define EXECUTION_KEEP_MS 1800000     /* a task's result is kept for at least so long */

/* ---------------------------------------------------------------- what came of it */
static void outcome_of(const struct fl_call *c, char id[FL_UUID_TEXT], struct fl_mcp_outcome *ret)
{
    static const enum fl_mcp_outcome_kind kinds[] = {
        [FL_OUTCOME_PENDING] = FL_MCP_OUTCOME_PENDING,
        [FL_OUTCOME_REJECTED] = FL_MCP_OUTCOME_REJECTED,
        [FL_OUTCOME_EXPIRED] = FL_MCP_OUTCOME_EXPIRED,
        [FL_OUTCOME_CANCELLED] = FL_MCP_OUTCOME_CANCELLED,
        [FL_OUTCOME_VOIDED] = FL_MCP_OUTCOME_VOIDED,
        [FL_OUTCOME_UNKNOWN] = FL_MCP_OUTCOME_UNKNOWN,
        [FL_OUTCOME_DENIED] = FL_MCP_OUTCOME_DENIED,
        [FL_OUTCOME_NOT_KEPT] = FL_MCP_OUTCOME_NOT_KEPT,
    };
    bool has_id = !fl_uuid_is_zero(&c->approval_id);
    /* Who only looks would look until it expired: it runs when it is waited for. */
    bool is_approved = c->outcome == FL_OUTCOME_PENDING && c->state == FL_APPROVAL_APPROVED;
    *ret = (struct fl_mcp_outcome){
        .kind = is_approved ? FL_MCP_OUTCOME_APPROVED : kinds[c->outcome],
        .approval_id =
            has_id ? fl_str_of(fl_uuid_format(&c->approval_id, id)) : (struct fl_str){ NULL, 0 },
        .tool = c->shown_tool.n ? c->shown_tool : c->tool,
        .by = c->decided_by,
        .reason = c->reason,
        .expires_at_utc_ms = c->expires_at_ms,
        .size_bytes = (uint64_t)c->result.bytes,
        .has_output_schema = c->has_output_schema,
        .changed = c->edited,
        .is_unreached = c->is_unreached,
    };
}

static void put_text_result(struct fl_talk *t, struct fl_buf *out, struct fl_str text,
                            bool is_error)
{
    struct fl_buf content = FL_BUF_INIT;
    struct fl_mcp_to to = fl_talk_to(t);
    fl_buf_puts(&content, "[{\"type\":\"text\",\"text\":");
    fl_buf_json_str(&content, text);
    fl_buf_puts(&content, "}]");
    struct fl_mcp_result result = { .content = fl_buf_view(&content), .is_error = is_error };
    if (content.is_failed)
        out->is_failed = true;
    else
        fl_mcp_put_result(out, &t->endpoint->server, &to, &result);
    fl_buf_fini(&content);
}

static void put_result(struct fl_talk *t, struct fl_buf *out, const struct fl_call *c)
{
    char id[FL_UUID_TEXT];
    struct fl_mcp_to to = fl_talk_to(t);
    bool has_id = !fl_uuid_is_zero(&c->approval_id);
    if (c->result.is_protocol_error) {
        fl_mcp_put_error(out, t->msg.id, c->result.error_code, c->result.error_message,
                         (struct fl_str){ NULL, 0 });
        return;
    }
    struct fl_mcp_result result = {
        .content = c->result.content,
        .structured = c->result.structured,
        .approval_id =
            has_id ? fl_str_of(fl_uuid_format(&c->approval_id, id)) : (struct fl_str){ NULL, 0 },
        .is_error = c->result.is_error,
    };
    fl_mcp_put_result(out, &t->endpoint->server, &to, &result);
}

static void put_outcome(struct fl_talk *t, struct fl_buf *out, const struct fl_call *c)
{
    char id[FL_UUID_TEXT];
    struct fl_mcp_to to = fl_talk_to(t);
    struct fl_mcp_outcome words;
    struct fl_mcp_result result;
    struct fl_err err;
    outcome_of(c, id, &words);
    if (fl_mcp_outcome_result(t->arena, &words, &result, &err) != FL_OK)
        out->is_failed = true;
    else
        fl_mcp_put_result(out, &t->endpoint->server, &to, &result);
}

static void put_task(struct fl_talk *t, struct fl_buf *out, const struct fl_call *c)
{
    char id[FL_UUID_TEXT];
    struct fl_mcp_to to = fl_talk_to(t);
    struct fl_mcp_task task = { .id = c->task_id,
                                .state = c->state == FL_APPROVAL_PENDING ? FL_MCP_STATE_PENDING
                                                                         : FL_MCP_STATE_APPROVED,
                                .created_at_utc_ms = c->created_at_ms,
                                .updated_at_utc_ms = c->changed_at_ms,
                                .now_utc_ms = c->created_at_ms };
    outcome_of(c, id, &task.words);
    task.ttl_ms = fl_mcp_task_ttl_ms(c->expires_at_ms - c->created_at_ms,
                                     t->endpoint->core->times.execute_ms, EXECUTION_KEEP_MS);
    fl_mcp_put_task_created(out, &t->endpoint->server, &to, &task);
}

static void on_done(struct fl_call *c)
{
    struct fl_talk *t = c->user;
    struct fl_buf *out = &t->endpoint->answer;
    t->call = NULL;
    fl_buf_reset(out);
    if (t->is_wait) {
        t->principal->holds--;
        t->is_wait = false;
    }
    switch (c->end) {
    case FL_CALL_RESULT: put_result(t, out, c); break;
    case FL_CALL_OUTCOME: put_outcome(t, out, c); break;
    case FL_CALL_TASK: put_task(t, out, c); break;
    case FL_CALL_INVALID: {
        char *text =
            fl_arena_printf(t->arena, "Not executed: the arguments are not valid: %s", c->err.text);
        put_text_result(t, out, fl_str_of(text ? text : c->err.text), true);
        break;
    }
    case FL_CALL_ERROR:
        t->is_beyond_scope = c->is_beyond_scope;
        fl_talk_error(t, c->err.code, c->err.text);
        fl_call_free(&c);
        return;
    case FL_CALL_NEEDS_TASKS: {
        struct fl_mcp_refusal refusal;
        (void)!fl_mcp_refuse_capability(&refusal, &t->msg, FL_MCP_CLIENT_TASKS);
        fl_talk_refuse(t, &refusal);
        fl_call_free(&c);
        return;
    }
    }
    if (c->is_silent) {
        fl_talk_close(t);
    } else {
        /* A pending ticket says nothing about the outcome; everything else hands it over. */
        bool is_outcome = c->end == FL_CALL_RESULT ||
                          (c->end == FL_CALL_OUTCOME && c->outcome != FL_OUTCOME_PENDING);
        if (is_outcome && c->is_deliverable)
            t->outcome_of = c->approval_id;
        bool has_left = fl_talk_answer(t, out);
        if (has_left && is_outcome)
            fl_call_delivered(c);
        else if (is_outcome)
            fl_call_undelivered(c);
    }
    if (out->cap > ANSWER_KEEP)
        fl_buf_fini(out);
    fl_call_free(&c);
}

/* ---------------------------------------------------------------- in between */
static void on_progress(struct fl_call *c, double progress, double total, struct fl_str message)
{
    struct fl_talk *t = c->user;
    double value, whole;
    if (t->waited > 0) { /* people were asked before: the tool counts from where that ended */
        fl_mcp_progress_phase(&t->progress);
        t->waited = 0;
    }
    if (!fl_mcp_progress_next(&t->progress, fl_mono_ms(), progress, total, &value, &whole))
        return;
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_progress(&out, t->msg.version, t->msg.progress_token, value, whole, message);
    fl_talk_tell(t, &out);
    fl_buf_fini(&out);
}

static void on_message(struct fl_call *c, enum flopinio_level level, struct fl_str logger,
                       struct fl_str data_json)
{
    struct fl_talk *t = c->user;
    enum fl_mcp_level lowest = t->msg.era == FL_MCP_MODERN ? t->msg.log_level : FL_MCP_LEVEL_DEBUG;
    enum fl_mcp_level mine = (enum fl_mcp_level)(FL_MCP_LEVEL_DEBUG + (int)level);
    if (lowest == FL_MCP_LEVEL_NONE || mine < lowest)
        return;
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_log(&out, mine, logger, data_json);
    fl_talk_tell(t, &out);
    fl_buf_fini(&out);
}

static void tell_waiting(struct fl_talk *t)
{
    char id[FL_UUID_TEXT];
    double value, whole;
    struct fl_mcp_outcome words;
    outcome_of(t->call, id, &words);
    t->waited += 1;
    if (!fl_mcp_progress_next(&t->progress, fl_mono_ms(), t->waited, 0, &value, &whole))
        return;
    struct fl_buf text = FL_BUF_INIT, out = FL_BUF_INIT;
    fl_mcp_state_text(&text, FL_MCP_STATE_PENDING, &words);
    fl_mcp_put_progress(&out, t->msg.version, t->msg.progress_token, value, 0, fl_buf_view(&text));
    fl_talk_tell(t, &out);
    fl_buf_fini(&text);
    fl_buf_fini(&out);
}

/* A progress message while people are asked, if the client listens for them; else whatever keeps
 * the way open. */
static void tick(struct fl_talk *t, bool is_asking)
{
    const struct fl_endpoint_config *config = &t->endpoint->config;
    is_asking = is_asking && t->msg.progress_token.p;
    fl_talk_open(t);
    if (is_asking)
        tell_waiting(t);
    else if (t->ops->opening)
        t->ops->opening(t); /* a comment */
    fl_loop_timer(t->endpoint->core->loop, &t->tick,
                  is_asking ? config->progress_ms : config->keepalive_ms);
}

void fl_call_tick(struct fl_talk *t)
{
    tick(t, t->call && fl_call_is_waiting(t->call));
}

static void on_waiting(struct fl_call *c)
{
    struct fl_talk *t = c->user;
    if (t->ops->leaves && t->ops->leaves(t))
        return;
    if (!fl_timer_is_armed(&t->tick) || !t->is_asking)
        tick(t, true); /* at once: the client sees that people are asked */
    t->is_asking = true;
}

/* The stream begins before the answer: what holds its place in between knows that it is alive, and
 * a legacy client can come back to it. */
static void on_slow(struct fl_call *c)
{
    struct fl_talk *t = c->user;
    fl_talk_open(t);
    fl_loop_timer(t->endpoint->core->loop, &t->tick, t->endpoint->config.keepalive_ms);
}

/* ---------------------------------------------------------------- setting it going */
static bool take_approval_id(struct fl_talk *t, struct fl_uuid *ret)
{
    struct fl_str value = fl_span_get(t->msg.arguments, "approval_id");
    struct fl_str text = fl_span_string(t->arena, value);
    return text.p && fl_uuid_parse(text, ret);
}

void fl_method_call(struct fl_talk *t)
{
    struct fl_endpoint *ep = t->endpoint;
    struct fl_uuid wait_for = { { 0 } };
    bool is_status = fl_str_is(t->msg.name, FL_MCP_STATUS_TOOL);
    bool is_wait = fl_str_is(t->msg.name, FL_MCP_WAIT_TOOL);
    if ((is_status || is_wait) && !take_approval_id(t, &wait_for)) {
        struct fl_buf out = FL_BUF_INIT;
        put_text_result(t, &out, FL_STR("/approval_id: must be the id of an approval"), true);
        fl_talk_answer(t, &out);
        fl_buf_fini(&out);
        return;
    }
    if (is_wait && t->principal->holds >= ep->config.holds_max) {
        fl_talk_error(t, FL_TOO_MANY, "too many waits of this credential are open already");
        return;
    }
    struct fl_call *c = fl_call_new(ep->core, t->principal);
    if (!c) {
        fl_talk_error(t, FL_NOMEM, "out of memory");
        return;
    }
    c->user = t;
    c->on_done = on_done;
    c->on_waiting = on_waiting;
    c->on_slow = on_slow;
    c->on_progress = on_progress;
    c->on_message = on_message;
    c->caller.is_isolated = t->is_isolated;
    c->tool = t->msg.name;
    c->arguments = t->msg.arguments;
    c->idempotency_key = t->msg.idempotency_key;
    c->justification = t->msg.justification;
    c->can_task = (t->msg.client_caps & FL_MCP_CLIENT_TASKS) != 0;
    c->is_break_cancelling = t->msg.era == FL_MCP_MODERN;
    c->hold_ms = ep->is_draining ? 0 : t->principal->hold_ms;
    c->wait_for = wait_for;
    c->is_status = is_status;
    if (t->mcp_session.p) {
        c->mcp_session = t->mcp_session;
        c->mcp_request = t->msg.id;
        c->mcp_stream = t->mcp_stream;
    }
    t->call = c;
    t->is_wait = is_wait;
    t->principal->holds += is_wait;
    fl_call_start(c);
}
