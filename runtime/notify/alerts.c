/* Alerts: rest -> ask for one -> draw, send, record -> ask. */
#include "runtime/notify/alerts.h"

#include "flopinio/base/log.h"
#include "runtime/notify/show.h"
#include "runtime/store/alert.h"

#define REST_MS    3000
#define BACKOFF_MS 2000
#define TRIES_MOST 12      /* doubled each time: more than two hours; */
#define GONE_MS    3600000 /* in a chat that is gone or shut: half a day */

FL_STEP_DECLARE(ask);
FL_STEP_DECLARE(told);
FL_STEP_DECLARE(sent);
FL_STEP_DECLARE(recorded);
FL_STEP_DECLARE(rest);

static struct fl_alerts *alerts_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_alerts, flow);
}

static void begin(struct fl_alerts *a, struct fl_tx *tx)
{
    fl_tx_init(tx, a->channel->core->pg, a->arena, &a->channel->organization);
}

FL_STEP(rested)
{
    struct fl_alerts *a = alerts_of(f);
    a->is_resting = false;
    return a->is_stopping ? fl_end(f) : &S_ask;
}

FL_STEP(rest)
{
    struct fl_alerts *a = alerts_of(f);
    int64_t ms = a->is_nudged ? 0 : a->rest_ms;
    if (a->is_stopping)
        return fl_end(f);
    a->is_nudged = false;
    a->is_resting = true;
    return fl_await(f, &S_rested, fl_sleep_start(&f->op, &a->sleep, a->channel->core->loop, ms));
}

FL_STEP(ask)
{
    struct fl_alerts *a = alerts_of(f);
    fl_tx_fini(&a->tx);
    fl_arena_free(&a->arena);
    a->arena = fl_arena_new(0);
    a->rest_ms = REST_MS;
    if (!a->arena || a->channel->paused_until_ms > fl_real_ms())
        return &S_rest;
    begin(a, &a->tx);
    a->tx.is_read_only = true;
    a->q = fl_store_alerts_due(&a->tx, &a->channel->id, 1);
    return fl_await(f, &S_told, fl_tx_submit(&f->op, &a->tx));
}

/* People wrote parts of it: shown as cards show such texts. */
static enum fl_code draw(struct fl_alerts *a, struct fl_str kind, struct fl_str text,
                         struct fl_chat_drawn *ret)
{
    struct fl_buf shown = FL_BUF_INIT;
    struct fl_err err;
    bool is_own = fl_str_is(kind, FL_ALERT_DELEGATION);
    fl_buf_puts(&shown, is_own ? "Security notice for you, in " : "Alert for the owners of ");
    fl_buf_str(&shown, a->channel->organization_name);
    fl_buf_puts(&shown, ": ");
    fl_show(&shown, text, FL_SHOW_COMPOSED, NULL);
    struct fl_chat_drawing drawing = { .is_stray = true };
    if (!shown.is_failed)
        drawing.notice = fl_arena_str(a->arena, fl_buf_view(&shown));
    fl_buf_fini(&shown);
    return drawing.notice.p ? a->channel->kind->draw(&drawing, a->arena, ret, &err) : FL_NOMEM;
}

/* Columns of fl_store_alerts_due: alert_id, person_id, place, text, tries, kind. */
FL_STEP(told)
{
    struct fl_alerts *a = alerts_of(f);
    struct fl_chat_drawn drawn = { .is_last_page = false };
    if (f->op.code || a->is_stopping || fl_rows(a->q) == 0)
        return &S_rest;
    a->alert = fl_cell_uuid(a->q, 0, 0);
    a->person = fl_cell_uuid(a->q, 0, 1);
    a->place = fl_cell(a->q, 0, 2);
    a->tries = fl_cell_int(a->q, 0, 4);
    if (draw(a, fl_cell(a->q, 0, 5), fl_cell(a->q, 0, 3), &drawn) != FL_OK)
        return &S_rest;
    a->send = (struct fl_chat_send){
        .channel = a->channel, .arena = a->arena, .place = a->place, .bytes = drawn.bytes
    };
    enum fl_code code = a->channel->kind->send_start(&f->op, &a->send);
    if (code == FL_OK)
        return fl_await(f, &S_sent, FL_OK);
    f->op.code = code;
    return &S_sent;
}

static int64_t backoff_ms(const struct fl_alerts *a, enum fl_code code)
{
    if (code == FL_TOO_MANY && a->send.retry_ms > 0)
        return a->send.retry_ms;
    return (int64_t)BACKOFF_MS << (a->tries < TRIES_MOST ? a->tries : TRIES_MOST);
}

/* What a chat does not take is given up after a while: it stands in the person's list all the same.
 */
FL_STEP(sent)
{
    struct fl_alerts *a = alerts_of(f);
    struct fl_tx *tx = &a->tx;
    bool is_gone = f->op.code == FL_NOT_FOUND || f->op.code == FL_FORBIDDEN;
    bool is_over = f->op.code == FL_OK || a->tries >= TRIES_MOST;
    if (f->op.code)
        FL_LOG(WARN, "alert_not_taken", FL_KU("org", &a->channel->organization),
               FL_KV("channel", a->channel->name), FL_KU("person", &a->person),
               FL_KS("reason", f->op.err.text));
    struct fl_str place = fl_arena_str(a->arena, a->place);
    int64_t later_ms = is_gone ? GONE_MS : backoff_ms(a, f->op.code);
    if (f->op.code == FL_TOO_MANY) /* cards wait for it too */
        a->channel->paused_until_ms = fl_real_ms() + a->send.retry_ms;
    if (!place.p)
        return &S_rest;
    fl_tx_fini(tx);
    begin(a, tx);
    if (is_over)
        fl_store_alert_posted(tx, &a->alert, &a->person, &a->channel->id, place);
    else
        fl_store_alert_later(tx, &a->alert, &a->person, &a->channel->id, place, later_ms);
    return fl_await(f, &S_recorded, fl_tx_submit(&f->op, tx));
}

FL_STEP(recorded)
{
    return f->op.code ? &S_rest : &S_ask;
}

FL_STEP(failed)
{
    FL_UNUSED(f);
    return &S_rest;
}

static void on_ended(struct fl_flow *f)
{
    struct fl_alerts *a = alerts_of(f);
    fl_tx_fini(&a->tx);
    fl_arena_free(&a->arena);
    a->is_running = false;
}

void fl_alerts_start(struct fl_alerts *a)
{
    FL_ASSERT(!a->is_running);
    a->is_running = true;
    a->is_stopping = false;
    fl_flow_init(&a->flow, &S_failed, on_ended);
    fl_flow_run(&a->flow, &S_rest);
}

void fl_alerts_nudge(struct fl_alerts *a)
{
    a->is_nudged = true;
    if (a->is_resting)
        fl_op_cancel(&a->flow.op);
}

void fl_alerts_stop(struct fl_alerts *a)
{
    a->is_stopping = true;
    fl_op_cancel(&a->flow.op); /* a sleep or a request ends; a transaction goes on */
}
