/* subscriptions/listen (2026-07-28): changes of the tool list and of tasks, on a stream that stays
 * open. A task that is listened to is watched by a small flow of its own: look, tell, wait. */
#include "runtime/endpoint/endpoint_priv.h"

#include "flopinio/base/mem.h"
#include "runtime/approval/hub.h"

#define AGAIN_MS 1000 /* the row could not be read */

struct fl_watch {
    struct fl_flow flow;
    struct fl_talk *talk;
    struct fl_watch *next;
    struct fl_str *task_id; /* in the listen; struck out (n = 0) when it is not theirs */
    struct fl_look look;
    struct fl_uuid approval; /* of the last look that succeeded */
    struct fl_hub_wait wait;
    struct fl_sleep sleep;
    enum fl_approval_state told;
    bool has_told, is_first, is_stopping, is_over;
};

FL_STEP_DECLARE(look);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(wait);
FL_STEP_DECLARE(again);

static void acknowledge_if_ready(struct fl_talk *t);

static struct fl_watch *watch_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_watch, flow);
}

FL_STEP(look)
{
    struct fl_watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    fl_look_fini(&w->look);
    w->look = (struct fl_look){ .core = w->talk->endpoint->core,
                                .organization = w->talk->principal->organization_id,
                                .task_id = *w->task_id,
                                .only_agent = w->talk->principal->agent_id,
                                .wants_result = true,
                                .wants_edited = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &w->look));
}

static void tell(struct fl_watch *w)
{
    struct fl_talk *t = w->talk;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_mcp_result result;
    struct fl_mcp_task task;
    struct fl_err err;
    fl_task_of(w->look.arena, t->endpoint, &w->look, &result, &task);
    if (fl_mcp_put_task_changed(&out, w->look.arena, t->listen.id, &task, &err) == FL_OK) {
        if (fl_talk_tell(t, &out))
            fl_task_delivered(t, &w->look);
    }
    fl_buf_fini(&out);
    w->told = w->look.row.state;
    w->has_told = true;
}

FL_STEP(looked)
{
    struct fl_watch *w = watch_of(f);
    struct fl_talk *t = w->talk;
    if (w->is_stopping)
        return fl_end(f);
    if (f->op.code == FL_OK)
        w->approval = w->look.row.id;
    else if (w->is_first)
        w->task_id->n = 0; /* dropped from the acknowledgement */
    if (w->is_first) {
        w->is_first = false;
        w->told = w->look.row.state;
        acknowledge_if_ready(t);
        return w->task_id->n ? &S_wait : fl_end(f);
    }
    if (f->op.code)
        return f->op.code == FL_NOT_FOUND ? fl_end(f) : &S_again;
    if (w->look.row.state != w->told)
        tell(w);
    return fl_state_is_final(w->look.row.state) ? fl_end(f) : &S_wait;
}

/* The change that woke it was heard of, and is told to nobody yet. */
FL_STEP(again)
{
    struct fl_watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_look,
                    fl_sleep_start(&f->op, &w->sleep, w->talk->endpoint->core->loop, AGAIN_MS));
}

FL_STEP(wait)
{
    struct fl_watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_look,
                    fl_hub_wait_start(&f->op, &w->wait, w->talk->endpoint->core->hub,
                                      &w->talk->principal->organization_id, &w->approval));
}

FL_STEP(failed)
{
    struct fl_watch *w = watch_of(f);
    if (!w->is_first)
        return &S_again;
    w->is_first = false;
    w->task_id->n = 0;
    acknowledge_if_ready(w->talk);
    return fl_end(f);
}

/* ---- the listen as a whole ---- */
static bool all_over(const struct fl_talk *t)
{
    for (const struct fl_watch *w = t->watches; w; w = w->next) {
        if (!w->is_over)
            return false;
    }
    return true;
}

static void free_watches(struct fl_talk *t)
{
    for (struct fl_watch *w = t->watches, *next; w; w = next) {
        next = w->next;
        fl_look_fini(&w->look);
        fl_free(w);
    }
    t->watches = NULL;
}

/* The memory of a talk waits for its watches. */
static void on_watches_over(struct fl_post *post)
{
    struct fl_talk *t = FL_CONTAINER(post, struct fl_talk, watches_over);
    if (!t->is_over || !all_over(t))
        return;
    free_watches(t);
    fl_talk_finish_pending(t);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_watch *w = watch_of(f);
    w->is_over = true;
    w->talk->watches_over.run = on_watches_over;
    fl_loop_post(w->talk->endpoint->core->loop, &w->talk->watches_over);
}

static void acknowledge_if_ready(struct fl_talk *t)
{
    for (const struct fl_watch *w = t->watches; w; w = w->next) {
        if (w->is_first)
            return;
    }
    struct fl_buf out = FL_BUF_INIT;
    fl_mcp_put_acknowledged(&out, &t->listen);
    fl_talk_tell(t, &out);
    fl_buf_fini(&out);
}

static struct fl_mcp_listens *set_of(struct fl_talk *t)
{
    return t->listens ? t->listens : &t->endpoint->listens;
}

/* Of those over HTTP, which all organizations share, each credential has so many. */
static bool has_its_share(const struct fl_talk *t)
{
    unsigned count = 0;
    if (t->listens)
        return false; /* a connection has its own */
    FL_LIST_FOREACH (link, &t->endpoint->listens.open) {
        const struct fl_talk *other = FL_CONTAINER(link, struct fl_talk, listen.link);
        count += fl_uuid_cmp(&other->principal->credential_id, &t->principal->credential_id) == 0;
    }
    return count >= t->endpoint->config.listens_each_max;
}

static bool watch(struct fl_talk *t, struct fl_str *task_id)
{
    struct fl_watch *w = fl_calloc(1, sizeof *w);
    if (!w)
        return false;
    w->talk = t;
    w->task_id = task_id;
    w->is_first = true;
    w->next = t->watches;
    t->watches = w;
    return true;
}

void fl_method_listen(struct fl_talk *t)
{
    struct fl_mcp_refusal refusal;
    enum fl_code code =
        fl_mcp_listen_read(t->arena, &t->msg, t->endpoint->server.serves, &t->listen, &refusal);
    if (code == FL_OK && has_its_share(t)) {
        fl_talk_error(t, FL_TOO_MANY, "too many subscriptions of this credential are open already");
        return;
    }
    if (code == FL_OK)
        code = fl_mcp_listens_add(set_of(t), &t->listen, &refusal);
    if (code) {
        fl_talk_refuse(t, &refusal);
        return;
    }
    t->is_listening = true;
    for (size_t i = 0; i < t->listen.task_count; i++) {
        if (!watch(t, &t->listen.task_ids[i])) {
            fl_mcp_listens_remove(set_of(t), &t->listen);
            t->is_listening = false;
            free_watches(t);
            fl_talk_error(t, FL_NOMEM, "out of memory");
            return;
        }
    }
    fl_talk_open(t);
    if (!t->watches)
        acknowledge_if_ready(t);
    for (struct fl_watch *w = t->watches; w; w = w->next) {
        fl_flow_init(&w->flow, &S_failed, on_ended);
        fl_flow_run(&w->flow, &S_look);
    }
    /* Streams stay open without traffic: comments, as for a call that waits. */
    if (!t->is_over)
        fl_loop_timer(t->endpoint->core->loop, &t->tick, t->endpoint->config.keepalive_ms);
}

void fl_listen_gone(struct fl_talk *t)
{
    if (!t->is_listening)
        return;
    t->is_listening = false;
    fl_mcp_listens_remove(set_of(t), &t->listen);
    for (struct fl_watch *w = t->watches; w; w = w->next) {
        w->is_stopping = true;
        if (!w->is_over)
            fl_op_cancel(&w->flow.op);
    }
    if (t->watches) {
        t->watches_over.run = on_watches_over;
        fl_loop_post(t->endpoint->core->loop, &t->watches_over);
    }
}

void fl_listen_end(struct fl_talk *t, bool is_graceful)
{
    struct fl_buf out = FL_BUF_INIT;
    if (is_graceful)
        fl_mcp_put_listen_end(&out, &t->endpoint->server, &t->listen);
    fl_listen_gone(t);
    if (is_graceful)
        fl_talk_answer(t, &out);
    else
        fl_talk_close(t);
    fl_buf_fini(&out);
}
