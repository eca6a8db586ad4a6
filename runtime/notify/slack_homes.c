/* Homes of those who opened them within a day, published again when something changed that this
 * channel is told: gathered for a few seconds, one behind the other, each as if it were opened just
 * now, and only what is not what stands there already. */
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/home.h"

#define GATHER_MS  3000 /* from the first change on */
#define BETWEEN_MS 300  /* two of them: Slack takes about a hundred a minute */

FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(next);
FL_STEP_DECLARE(published);
FL_STEP_DECLARE(rested);

static struct fl_slack_homes *homes_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_homes, flow);
}

FL_STEP(list)
{
    struct fl_slack_homes *h = homes_of(f);
    h->arena = fl_arena_new(0);
    if (!h->arena)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    fl_tx_init(&h->tx, h->channel->core->pg, h->arena, &h->channel->organization);
    h->tx.is_read_only = true;
    h->q = fl_store_homes(&h->tx, &h->channel->id);
    h->at = h->first = 0;
    return fl_await(f, &S_listed, fl_tx_submit(&f->op, &h->tx));
}

/* Columns of fl_store_homes: external_id, team, user_id, shown, was it published just now. Where
 * the last round had to stop, this one begins, or the same ones would be behind each time. */
FL_STEP(listed)
{
    struct fl_slack_homes *h = homes_of(f);
    if (f->op.code)
        return fl_fail(f);
    for (int i = 0; h->stopped_at[0] && i < fl_rows(h->q); i++) {
        if (fl_str_is(fl_cell(h->q, i, 0), h->stopped_at))
            h->first = i;
    }
    h->stopped_at[0] = 0;
    return &S_next;
}

FL_STEP(next)
{
    struct fl_slack_homes *h = homes_of(f);
    int rows = fl_rows(h->q), at = rows ? (h->first + h->at) % rows : 0;
    if (h->is_stopping || h->at++ >= rows)
        return fl_end(f);
    if (fl_cell_bool(h->q, at, 4)) {
        h->is_due = true;
        return &S_next;
    }
    h->event = (struct fl_slack_event){ .channel = h->channel,
                                        .is_home = true,
                                        .is_again = true,
                                        .team = fl_arena_str(h->arena, fl_cell(h->q, at, 1)),
                                        .user = fl_arena_str(h->arena, fl_cell(h->q, at, 2)),
                                        .shown = fl_cell_bytes(h->q, h->arena, at, 3) };
    return fl_await(f, &S_published, fl_slack_event_start(&f->op, &h->event));
}

/* Slack said to wait: the rest comes in another round. */
FL_STEP(published)
{
    struct fl_slack_homes *h = homes_of(f);
    if (h->event.retry_ms) {
        int at = (h->first + h->at - 1) % fl_rows(h->q);
        fl_utf8_format(h->stopped_at, sizeof h->stopped_at, "%.*s",
                       FL_STR_ARG(fl_cell(h->q, at, 0)));
        h->retry_ms = h->event.retry_ms;
        h->is_due = true;
        return fl_end(f);
    }
    return fl_await(f, &S_rested,
                    fl_sleep_start(&f->op, &h->sleep, h->channel->core->loop, BETWEEN_MS));
}

FL_STEP(rested)
{
    return f->op.code ? fl_fail(f) : &S_next;
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_slack_homes *h = homes_of(f);
    fl_tx_fini(&h->tx);
    fl_arena_free(&h->arena);
    h->is_running = false;
    if (h->is_due)
        fl_slack_homes_changed(h);
}

static void on_due(struct fl_timer *timer)
{
    struct fl_slack_homes *h = FL_CONTAINER(timer, struct fl_slack_homes, due);
    h->is_armed = h->is_due = false;
    h->retry_ms = 0;
    h->is_running = true;
    fl_flow_init(&h->flow, &S_failed, on_ended);
    fl_flow_run(&h->flow, &S_list);
}

void fl_slack_homes_init(struct fl_slack_homes *h, struct fl_channel *channel)
{
    *h = (struct fl_slack_homes){ .channel = channel };
    fl_timer_init(&h->due, on_due);
}

void fl_slack_homes_changed(struct fl_slack_homes *h)
{
    if (h->is_stopping || h->is_armed)
        return;
    if (h->is_running) {
        h->is_due = true;
        return;
    }
    h->is_armed = true;
    fl_loop_timer(h->channel->core->loop, &h->due,
                  h->retry_ms > GATHER_MS ? h->retry_ms : GATHER_MS);
}

void fl_slack_homes_stop(struct fl_slack_homes *h)
{
    if (h->is_stopping)
        return;
    h->is_stopping = true;
    h->is_armed = false;
    fl_loop_timer_cancel(h->channel->core->loop, &h->due);
    if (h->is_running)
        fl_op_cancel(&h->flow.op);
}

bool fl_slack_homes_is_idle(const struct fl_slack_homes *h)
{
    return !h->is_running;
}
