/* The life of one plugin process: started at the first call, stopped when idle, ended when it
 * misbehaves, started again with back-off. Everything that a turn makes due is done by `pump` at
 * the turn's end, so that no callback is on the stack. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "flopinio/base/utf8.h"
#include "runtime/host/host_priv.h"
#include "runtime/host/pipe.h"

#define BACK_OFF_MS     100 /* doubled with each further failure */
#define BACK_OFF_MAX_MS 30000
#define PATIENCE_MS     5000 /* from the kill of a process to giving up on its death */
#define NOTES_PER_S     200  /* our side of the process sends at most a tenth of this */
#define NOTES_BURST     2000
#define LOGS_PER_S      10
#define LOGS_BURST      50

static void pump(struct fl_post *post);
static void on_timer(struct fl_timer *timer);

const char *fl_slot_state_name(enum fl_slot_state state)
{
    static const char *const names[] = {
#define X(name, text) text,
        FL_SLOT_STATES(X)
#undef X
    };
    return names[state];
}

void fl_slot_init(struct fl_slot *slot, struct fl_host_instance *instance, enum fl_setup_mode mode)
{
    slot->instance = instance;
    slot->mode = mode;
    slot->fd = -1;
    slot->pump.run = pump;
    fl_list_init(&slot->pump.link);
    fl_list_init(&slot->queued);
    fl_list_init(&slot->running);
    fl_timer_init(&slot->timer, on_timer);
}

void fl_slot_wake(struct fl_slot *slot)
{
    fl_loop_at_turn_end(slot->instance->host->loop, &slot->pump);
}

static void set_timer(struct fl_slot *slot, int64_t delay_ms)
{
    fl_loop_timer(slot->instance->host->loop, &slot->timer, delay_ms);
}

static void clear_timer(struct fl_slot *slot)
{
    fl_loop_timer_cancel(slot->instance->host->loop, &slot->timer);
}

/* ---- start ---- */

static int64_t back_off_ms(const struct fl_slot *slot)
{
    unsigned n = slot->failures_in_a_row;
    if (n == 0 || (n == 1 && !slot->could_not_start))
        return 0; /* one crash costs its own call only */
    unsigned doublings = n - 1 < 10 ? n - 1 : 10;
    int64_t delay = (int64_t)BACK_OFF_MS << doublings;
    return delay < BACK_OFF_MAX_MS ? delay : BACK_OFF_MAX_MS;
}

/* No process any more: waits for the next call, or for the time when one may be started. */
static void rest(struct fl_slot *slot)
{
    int64_t delay = slot->instance->describe ? 0 : back_off_ms(slot);
    slot->state = delay ? FL_SLOT_BACKING_OFF : FL_SLOT_STOPPED;
    if (delay)
        set_timer(slot, delay);
    else
        clear_timer(slot);
    fl_slot_wake(slot);
}

static void note_failure(struct fl_slot *slot, const struct fl_err *why, bool was_start)
{
    slot->last_error = *why;
    slot->failures++;
    slot->failures_in_a_row++;
    slot->could_not_start = was_start;
    FL_SLOT_LOG(WARN, "plugin_failed", slot, FL_KS("why", why->text),
                FL_KI("in_a_row", slot->failures_in_a_row));
}

static void start(struct fl_slot *slot)
{
    struct fl_err err;
    slot->starts++;
    slot->is_garbage = slot->was_ready = slot->wants_replacement = false;
    slot->has_closed_socket = false;
    slot->death = (struct fl_err){ 0 };
    slot->notes = fl_bucket_of(NOTES_PER_S, NOTES_BURST);
    slot->logs = fl_bucket_of(LOGS_PER_S, LOGS_BURST);
    slot->state = FL_SLOT_STARTING;
    if (fl_slot_spawn(slot, &err) != FL_OK) {
        note_failure(slot, &err, true);
        rest(slot);
        return;
    }
    if (slot->state != FL_SLOT_STARTING)
        return; /* it is being ended already */
    set_timer(slot, slot->instance->config.limits.start_ms);
    fl_slot_put_setup(slot);
    fl_slot_send(slot);
}

void fl_slot_on_ready(struct fl_slot *slot, struct fl_description *description)
{
    if (slot->instance->describe)
        slot->instance->describe->description = description;
    else
        slot->description = description;
    slot->was_ready = true;
    slot->could_not_start = false;
    slot->state = FL_SLOT_READY;
    clear_timer(slot);
    if (slot->mode == FL_SETUP_TRY) {
        slot->instance->describe->is_trying = true;
        set_timer(slot, slot->instance->config.limits.start_ms);
    }
    fl_slot_wake(slot);
}

static bool is_trying(const struct fl_slot *slot)
{
    return slot->instance->describe && slot->instance->describe->is_trying;
}

void fl_slot_on_tried(struct fl_slot *slot, struct fl_str why)
{
    struct fl_host_describe *describe = slot->instance->describe;
    char *to = describe->not_open;
    size_t n = fl_utf8_cut(why, sizeof describe->not_open - 1);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)((unsigned char)why.p[i] < 0x20 || why.p[i] == 0x7f ? ' ' : why.p[i]);
    to[n] = 0;
    describe->is_trying = false;
    if (slot->state == FL_SLOT_READY) /* else it is that of the end */
        clear_timer(slot);
    fl_slot_wake(slot);
}

/* ---- end ---- */

static void begin_end(struct fl_slot *slot)
{
    if (slot->state == FL_SLOT_ENDING)
        return;
    slot->state = FL_SLOT_ENDING;
    fl_watch_pause(&slot->watch);
    set_timer(slot, slot->thread ? slot->instance->config.limits.cancel_grace_ms : PATIENCE_MS);
    fl_slot_force_end(slot);
}

void fl_slot_kill(struct fl_slot *slot, enum fl_code code, const char *fmt, ...)
{
    if (slot->state == FL_SLOT_STOPPED || slot->state == FL_SLOT_BACKING_OFF)
        return;
    if (slot->death.code == FL_OK) {
        char text[sizeof slot->death.text];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        for (char *c = text; *c; c++) { /* a plugin's own words may be in it */
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = ' ';
        }
        fl_err_set(&slot->death, code, "%.*s", (int)fl_utf8_cut(fl_str_of(text), strlen(text)),
                   text);
    }
    begin_end(slot);
}

void fl_slot_on_garbage(struct fl_slot *slot, const char *what)
{
    slot->is_garbage = true;
    fl_slot_kill(slot, FL_PLUGIN, "the plugin process was killed, because it %s", what);
}

void fl_slot_on_socket_closed(struct fl_slot *slot)
{
    if (slot->state == FL_SLOT_CLOSING) {
        fl_watch_pause(&slot->watch); /* as it was told; its end follows, or the timer */
        return;
    }
    /* A process that dies closes its socket first: what it died of is known soon. One that lives
     * on without its socket is killed. */
    slot->has_closed_socket = true;
    begin_end(slot);
}

/* The last act: every handle is closed. */
static void on_all_closed(struct fl_slot *slot)
{
    bool has_failed = slot->death.code != FL_OK;
    if (slot->fd >= 0)
        close(slot->fd);
    slot->fd = -1;
    fl_pipe_leave(&slot->pipe);
    fl_buf_fini(&slot->in);
    fl_buf_fini(&slot->out);
    slot->out_sent = 0;
    fl_description_free(&slot->description);
    if (has_failed && slot->death.code != FL_CANCELLED) {
        note_failure(slot, &slot->death, !slot->was_ready);
    } else {
        slot->last_error = slot->death; /* none, or that it was stopped */
        slot->failures_in_a_row = 0;
    }
    fl_calls_end_running(slot, &slot->death);
    rest(slot);
}

static void on_watch_closed(struct fl_watch *watch)
{
    on_all_closed(FL_CONTAINER(watch, struct fl_slot, watch));
}

void fl_slot_on_ended(struct fl_slot *slot, const char *how, bool is_clean)
{
    bool was_told = slot->state == FL_SLOT_CLOSING;
    if (!slot->is_garbage)
        fl_slot_drain(slot); /* an answer that came just before the end is an answer */
    slot->state = FL_SLOT_ENDING;
    clear_timer(slot);
    if (slot->death.code == FL_OK && !was_told)
        fl_err_set(&slot->death, FL_PLUGIN, "the plugin process %s", how);
    else if (was_told && !is_clean) /* costs nobody anything, but its author wants to know */
        FL_SLOT_LOG(WARN, "plugin_failed_closing", slot, FL_KS("process", how));
    if (slot->watch.is_open)
        fl_watch_close(&slot->watch, on_watch_closed);
    else
        on_all_closed(slot);
}

static void close_gently(struct fl_slot *slot)
{
    slot->state = FL_SLOT_CLOSING;
    set_timer(slot, slot->instance->config.limits.cancel_grace_ms);
    fl_slot_put_close(slot);
    fl_slot_send(slot);
}

/* ---- what is due ---- */

static void on_timer(struct fl_timer *timer)
{
    struct fl_slot *slot = FL_CONTAINER(timer, struct fl_slot, timer);
    const struct fl_host_limits *limits = &slot->instance->config.limits;
    switch (slot->state) {
    case FL_SLOT_STARTING:
        fl_slot_kill(slot, FL_TIMEOUT, "the plugin was not ready within %lld ms",
                     (long long)limits->start_ms);
        break;
    case FL_SLOT_READY:
        if (is_trying(slot)) {
            char text[64];
            snprintf(text, sizeof text, "the plugin did not open within %lld ms",
                     (long long)limits->start_ms);
            fl_slot_on_tried(slot, fl_str_of(text));
        }
        close_gently(slot);
        break;
    case FL_SLOT_CLOSING:
        fl_slot_kill(slot, FL_PLUGIN, "the plugin did not close within %lld ms",
                     (long long)limits->cancel_grace_ms);
        break;
    case FL_SLOT_ENDING: fl_slot_lose_patience(slot); break;
    case FL_SLOT_BACKING_OFF:
        slot->state = FL_SLOT_STOPPED;
        slot->could_not_start = false;
        fl_slot_wake(slot);
        break;
    case FL_SLOT_STOPPED: break;
    }
}

static void pump_ready(struct fl_slot *slot)
{
    const struct fl_host_instance *instance = slot->instance;
    if (slot->running_count == 0 &&
        (instance->is_stopping || (instance->describe && !instance->describe->is_trying) ||
         slot->wants_replacement)) {
        close_gently(slot);
        return;
    }
    fl_slot_send(slot);
    if (slot->state != FL_SLOT_READY)
        return;
    if (slot->running_count || slot->queued_count)
        clear_timer(slot);
    else if (!fl_timer_is_armed(&slot->timer))
        set_timer(slot, instance->config.limits.idle_ms);
}

/* Calls that no process will take. */
static void refuse_queued(struct fl_slot *slot)
{
    struct fl_err err;
    if (slot->instance->is_stopping)
        fl_err_set(&err, FL_UNAVAILABLE, "the plugin instance %s is being stopped",
                   slot->instance->config.name);
    else if (slot->state == FL_SLOT_BACKING_OFF && slot->could_not_start)
        err = slot->last_error;
    else
        return;
    fl_calls_end_queued(slot, &err);
}

static void pump(struct fl_post *post)
{
    struct fl_slot *slot = FL_CONTAINER(post, struct fl_slot, pump);
    struct fl_host_instance *instance = slot->instance;
    refuse_queued(slot);
    if (instance->is_killing)
        fl_slot_kill(slot, FL_CANCELLED, "the plugin instance %s was stopped at once",
                     instance->config.name);
    switch (slot->state) {
    case FL_SLOT_STOPPED:
        if (slot->queued_count ||
            (instance->describe && slot->starts == 0 && !instance->is_killing))
            start(slot);
        else
            fl_instance_on_stopped(instance); /* may free it: nothing after this */
        break;
    case FL_SLOT_BACKING_OFF:
        if (!instance->is_stopping)
            break;
        clear_timer(slot);
        slot->state = FL_SLOT_STOPPED;
        fl_instance_on_stopped(instance);
        break;
    case FL_SLOT_STARTING:
        if (instance->is_stopping)
            fl_slot_kill(slot, FL_CANCELLED, "the plugin instance %s was stopped while it started",
                         instance->config.name);
        break;
    case FL_SLOT_READY: pump_ready(slot); break;
    case FL_SLOT_CLOSING:
    case FL_SLOT_ENDING: break;
    }
}
