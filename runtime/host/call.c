/* Calls: queue, deadline, cancel, outcome. */
#include <math.h>
#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/host/host_priv.h"
#include "runtime/host/reply.h"

#define LOOK_MS                                                                                    \
    250 /* how late a deadline is noticed that passed while the machine was suspended              \
         */

static struct fl_host_call *of_link(struct fl_list *link)
{
    return FL_CONTAINER(link, struct fl_host_call, link);
}

static const struct fl_host_limits *limits_of(const struct fl_host_call *call)
{
    return &call->slot->instance->config.limits;
}

static struct fl_loop *loop_of(const struct fl_host_call *call)
{
    return call->slot->instance->host->loop;
}

/* ---- places ---- */

static void enter_queue(struct fl_host_call *call, bool at_head)
{
    call->place = FL_HOST_CALL_QUEUED;
    call->slot->queued_count++;
    if (at_head)
        fl_list_push_front(&call->slot->queued, &call->link);
    else
        fl_list_push_back(&call->slot->queued, &call->link);
}

static void enter_running(struct fl_host_call *call)
{
    call->place = FL_HOST_CALL_RUNNING;
    call->slot->running_count++;
    fl_list_push_back(&call->slot->running, &call->link);
}

static void enter_turn(struct fl_host_call *call)
{
    call->place = FL_HOST_CALL_TURN;
    call->slot->turn_count++;
}

static void leave_place(struct fl_host_call *call)
{
    FL_ASSERT(call->place != FL_HOST_CALL_IDLE);
    if (call->place == FL_HOST_CALL_QUEUED)
        call->slot->queued_count--;
    else if (call->place == FL_HOST_CALL_TURN)
        call->slot->turn_count--;
    else
        call->slot->running_count--;
    fl_list_remove(&call->link);
    call->place = FL_HOST_CALL_IDLE;
}

/* ---- end ---- */

/* The one end; op.err.text is filled. The call may be gone when this returns. */
static void end(struct fl_host_call *call, enum fl_code code, enum fl_host_ran ran)
{
    struct fl_slot *slot = call->slot;
    leave_place(call);
    fl_loop_timer_cancel(loop_of(call), &call->timer);
    fl_slot_wake(slot);
    call->ran = ran;
    fl_op_finish(&call->op, code);
}

static void end_not_started(struct fl_host_call *call)
{
    struct fl_err *err = &call->op.err;
    const struct fl_slot *slot = call->slot;
    bool is_failing = slot->failures_in_a_row > 0;
    if (call->ending == FL_CANCELLED)
        fl_err_set(err, FL_CANCELLED, "the call was cancelled before it started");
    else
        fl_err_set(err, FL_TIMEOUT, "the call waited %lld ms and was not started%s%s",
                   (long long)call->timeout_ms, is_failing ? "; the last error was: " : "",
                   is_failing ? slot->last_error.text : "");
    end(call, err->code, FL_HOST_NOT_STARTED);
}

void fl_calls_end_queued(struct fl_slot *slot, const struct fl_err *why)
{
    for (uint32_t n = slot->queued_count; n && !fl_list_is_empty(&slot->queued); n--) {
        struct fl_host_call *call = of_link(slot->queued.next);
        call->op.err = *why;
        end(call, why->code, FL_HOST_NOT_STARTED);
    }
}

void fl_calls_end_running(struct fl_slot *slot, const struct fl_err *why)
{
    while (!fl_list_is_empty(&slot->running)) {
        struct fl_host_call *call = of_link(slot->running.next);
        enum fl_code code = call->ending != FL_OK ? call->ending : FL_PLUGIN;
        char what[64] = "the call gave no outcome";
        if (code == FL_TIMEOUT)
            snprintf(what, sizeof what, "the call did not end within %lld ms",
                     (long long)call->timeout_ms);
        else if (code == FL_CANCELLED)
            snprintf(what, sizeof what, "the call was cancelled and gave no outcome");
        fl_err_set(&call->op.err, code, "%s: %s", what, why->text);
        end(call, code, FL_HOST_UNKNOWN);
    }
}

/* ---- deadline and cancel ---- */

/* The loop's timers stand still while the machine is suspended, and everybody else's clocks do not:
 * a deadline is looked at again and again, on the clock that goes on. */
static void wait_for(struct fl_host_call *call, int64_t left_ms)
{
    int64_t look_ms = left_ms < LOOK_MS ? left_ms : LOOK_MS;
    fl_loop_timer(loop_of(call), &call->timer, look_ms < 0 ? 0 : look_ms);
}

static void wait_for_deadline(struct fl_host_call *call)
{
    call->until_boot_ms = fl_boot_ms() + call->timeout_ms;
    wait_for(call, call->timeout_ms);
}

static int64_t grace_of(const struct fl_host_call *call)
{
    int64_t most = limits_of(call)->cancel_grace_ms;
    return call->grace_ms && call->grace_ms < most ? call->grace_ms : most;
}

/* A running call is told to stop, and has the grace to do so; never longer than its deadline and
 * the grace behind that. */
static void tell_to_end(struct fl_host_call *call, enum fl_code why)
{
    int64_t now = fl_boot_ms(), last = call->until_boot_ms + grace_of(call);
    int64_t grace = now + limits_of(call)->cancel_grace_ms;
    call->ending = why;
    call->needs_cancel = true;
    call->kill_boot_ms = grace < last ? grace : last;
    call->given_ms = call->kill_boot_ms < now ? 0
                     : why == FL_TIMEOUT      ? grace_of(call)
                                              : call->kill_boot_ms - now;
    wait_for(call, call->kill_boot_ms - now);
    fl_slot_wake(call->slot);
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_host_call *call = FL_CONTAINER(timer, struct fl_host_call, timer);
    bool is_running = call->place == FL_HOST_CALL_RUNNING;
    int64_t due = call->ending == FL_OK ? call->until_boot_ms : is_running ? call->kill_boot_ms : 0;
    int64_t left_ms = due - fl_boot_ms();
    if (left_ms > 0)
        wait_for(call, left_ms);
    else if (!is_running)
        end_not_started(call);
    else if (call->ending == FL_OK)
        tell_to_end(call, FL_TIMEOUT);
    else
        fl_slot_kill(call->slot, FL_PLUGIN,
                     "the plugin process was killed, because a call did not end within %lld ms of "
                     "being told to",
                     (long long)call->given_ms);
}

static void on_cancel(struct fl_op *op)
{
    struct fl_host_call *call = FL_CONTAINER(op, struct fl_host_call, op);
    if (call->ending != FL_OK)
        return;
    if (call->place == FL_HOST_CALL_RUNNING) {
        tell_to_end(call, FL_CANCELLED);
        return;
    }
    call->ending = FL_CANCELLED; /* ended by the timer, never from inside the caller */
    fl_loop_timer(loop_of(call), &call->timer, 0);
}

/* ---- start ---- */

static enum fl_code check_texts(const struct fl_host_call *call, struct fl_err *err)
{
    if (call->arguments.n > FL_HOST_ARGUMENTS_MAX)
        return fl_err_set(err, FL_TOO_LARGE, "the arguments are larger than %u bytes",
                          FL_HOST_ARGUMENTS_MAX);
    if (call->precondition.n > FLOPINIO_PRECONDITION_MAX ||
        (call->precondition.n && memchr(call->precondition.p, 0, call->precondition.n)))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "the precondition is larger than %d bytes or holds a NUL",
                          FLOPINIO_PRECONDITION_MAX);
    return FL_OK;
}

static enum fl_code check(const struct fl_host_call *call, const struct fl_slot *slot,
                          struct fl_err *err)
{
    const struct fl_host_instance *instance = slot->instance;
    if (instance->is_stopping)
        return fl_err_set(err, FL_UNAVAILABLE, "the plugin instance %s is being stopped",
                          instance->config.name);
    if (slot->queued_count >= instance->config.limits.queue)
        return fl_err_set(err, FL_TOO_MANY, "%u calls wait for the plugin instance %s already",
                          slot->queued_count, instance->config.name);
    if (call->timeout_ms < 0)
        return fl_err_set(err, FL_BAD_PARAMS, "the time limit is negative");
    return check_texts(call, err);
}

enum fl_code fl_host_call_start(struct fl_host_call *call, struct fl_host_instance *instance)
{
    struct fl_slot *slot = fl_instance_slot(instance, call->kind);
    FL_ASSERT(call->tool && call->place == FL_HOST_CALL_IDLE && !call->reply);
    FL_ASSERT(call->arguments.p || call->on_turn);
    enum fl_code code = check(call, slot, &call->op.err);
    if (code)
        return code;
    fl_op_start(&call->op, on_cancel, slot);
    call->slot = slot;
    call->ran = FL_HOST_NOT_STARTED;
    call->result = (struct fl_host_result){ 0 };
    call->ending = FL_OK;
    call->needs_cancel = call->has_gone = false;
    call->last_progress = -INFINITY;
    if (call->timeout_ms == 0)
        call->timeout_ms = instance->config.limits.call_ms;
    if (call->timeout_ms > FL_HOST_LONGEST_MS)
        call->timeout_ms = FL_HOST_LONGEST_MS;
    fl_list_init(&call->link);
    fl_timer_init(&call->timer, on_timer);
    enter_queue(call, false);
    if (!call->on_turn)
        wait_for_deadline(call);
    fl_slot_wake(slot);
    return FL_OK;
}

enum fl_code fl_host_call_go(struct fl_host_call *call)
{
    struct fl_slot *slot = call->slot;
    FL_ASSERT(call->place == FL_HOST_CALL_TURN && call->arguments.p);
    if (slot->instance->is_stopping)
        return fl_err_set(&call->op.err, FL_UNAVAILABLE, "the plugin instance %s is being stopped",
                          slot->instance->config.name);
    enum fl_code code = check_texts(call, &call->op.err);
    if (code)
        return code;
    leave_place(call);
    call->has_gone = true;
    enter_queue(call, true); /* in front of everybody: the room was kept for it */
    wait_for_deadline(call);
    fl_slot_wake(slot);
    return FL_OK;
}

void fl_host_call_drop(struct fl_host_call *call)
{
    if (call->place != FL_HOST_CALL_TURN)
        return;
    leave_place(call);
    fl_loop_timer_cancel(loop_of(call), &call->timer);
    call->op.is_pending = false;
    fl_slot_wake(call->slot);
}

void fl_host_call_fini(struct fl_host_call *call)
{
    FL_ASSERT(call->place == FL_HOST_CALL_IDLE);
    fl_free(call->reply);
    call->reply = NULL;
    call->result = (struct fl_host_result){ 0 };
}

/* ---- sending ---- */

static bool is_runnable(struct fl_host_call *call, const struct fl_slot *slot)
{
    struct fl_err *err = &call->op.err;
    const struct fl_definition *tool = fl_description_tool(slot->description, call->tool);
    if (!tool)
        fl_err_set(err, FL_NOT_FOUND, "the plugin %s has no tool %.64s", slot->description->name,
                   call->tool);
    else if (call->definition_digest &&
             memcmp(call->definition_digest, tool->digest, sizeof tool->digest) != 0)
        fl_err_set(err, FL_CONFLICT, "the plugin in hand defines the tool %s otherwise",
                   call->tool);
    else
        return true;
    return false;
}

static bool put_start(struct fl_buf *out, const struct fl_host_call *call)
{
    size_t at = fl_frame_begin(out, FL_FRAME_START, call->job);
    fl_frame_u32(out, (uint32_t)call->kind);
    fl_frame_str(out, fl_str_of(call->tool));
    fl_frame_str(out, call->precondition);
    fl_frame_str(out, call->arguments);
    fl_frame_end(out, at);
    if (!out->is_failed)
        return true;
    fl_buf_cut(out, at);
    return false;
}

bool fl_call_has_room(const struct fl_slot *slot)
{
    return slot->running_count + slot->turn_count < slot->instance->config.limits.parallel_jobs;
}

struct fl_host_call *fl_call_next(struct fl_slot *slot)
{
    /* Counted: who is told may queue the next that cannot run. */
    for (uint32_t left = slot->queued_count; left && slot->queued_count && fl_call_has_room(slot);
         left--) {
        struct fl_host_call *call = of_link(slot->queued.next);
        call->job = ++slot->next_job;
        if (call->ending != FL_OK) {
            end_not_started(call);
        } else if (!is_runnable(call, slot)) {
            end(call, call->op.err.code, FL_HOST_NOT_STARTED);
        } else if (call->on_turn && !call->has_gone) {
            leave_place(call);
            enter_turn(call);
            call->on_turn(call);
        } else if (call->may_start && !call->may_start(call, &call->op.err)) {
            end(call, FL_TIMEOUT, FL_HOST_NOT_STARTED);
        } else if (!put_start(&slot->out, call)) {
            fl_err_code(&call->op.err, FL_NOMEM);
            end(call, FL_NOMEM, FL_HOST_NOT_STARTED);
        } else {
            leave_place(call);
            enter_running(call);
            return call;
        }
    }
    return NULL;
}

void fl_call_unsend(struct fl_host_call *call)
{
    leave_place(call);
    enter_queue(call, true);
}

/* ---- what the plugin says ---- */

struct fl_host_call *fl_call_find(struct fl_slot *slot, uint64_t job)
{
    FL_LIST_FOREACH (link, &slot->running) {
        if (of_link(link)->job == job)
            return of_link(link);
    }
    return NULL;
}

bool fl_call_on_result(struct fl_host_call *call, struct fl_str payload)
{
    struct fl_slot *slot = call->slot;
    bool wants_replacement = false;
    enum fl_reply reply = fl_reply_read(payload, call->kind, limits_of(call)->output_bytes,
                                        &call->result, &call->reply, &wants_replacement);
    if (reply == FL_REPLY_GARBAGE)
        return false;
    slot->failures_in_a_row = 0;
    slot->wants_replacement |= wants_replacement;
    if (reply == FL_REPLY_OUTCOME) {
        end(call, FL_OK, FL_HOST_ENDED);
        return true;
    }
    fl_err_set(&call->op.err, FL_PLUGIN, "the plugin ended the call with %d, which is no outcome",
               (int)call->result.outcome);
    end(call, FL_PLUGIN, FL_HOST_UNKNOWN);
    return true;
}

bool fl_call_on_progress(struct fl_host_call *call, struct fl_str payload)
{
    struct fl_fields fields = fl_fields_of(payload.p, payload.n);
    double progress = fl_fields_f64(&fields), total = fl_fields_f64(&fields);
    struct fl_str message = fl_fields_str(&fields);
    if (!fl_fields_end(&fields) || !isfinite(progress) || !isfinite(total) || total < 0 ||
        message.n > FL_NOTE_TEXT_MAX || !fl_utf8_is_valid(message) ||
        progress <= call->last_progress)
        return false;
    call->last_progress = progress;
    if (call->on_progress)
        call->on_progress(call, progress, total, message);
    return true;
}

bool fl_call_on_message(struct fl_host_call *call, struct fl_str payload)
{
    struct fl_err err;
    struct fl_fields fields = fl_fields_of(payload.p, payload.n);
    uint32_t level = fl_fields_u32(&fields);
    struct fl_str logger = fl_fields_str(&fields), data = fl_fields_str(&fields);
    if (!fl_fields_end(&fields) || level > FLOPINIO_EMERGENCY || !fl_utf8_is_valid(logger) ||
        data.n > FL_NOTE_TEXT_MAX || fl_scan(data, &fl_reply_limits, NULL, 0, NULL, &err) != FL_OK)
        return false;
    if (call->on_message)
        call->on_message(call, (enum flopinio_level)level, logger, data);
    return true;
}
