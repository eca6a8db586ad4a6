/* Looking after a channel: asks Slack who the app is and where, and notes it in the channel's row;
 * nothing is believed before that, as it says whose workspace it is. Then whether the channel's
 * places are still its own; what is told by events may get lost. In Socket Mode then: keeps a line
 * open. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/notify/slack_app.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/channel.h"

#define AGAIN_MS 2000
#define LOOK_MS  INT64_C(3600000)
#define END_MS   20    /* between two looks whether all has ended */
#define MOST_MS  60000 /* between two attempts to open a line */

struct listener {
    struct fl_flow flow;
    struct fl_channel *channel;
    struct fl_op *op;
    struct fl_slack_call call;
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    int64_t nap_ms;
    size_t place_at;
    struct fl_str place; /* that is being asked about */
    struct fl_slack_lines lines;
    struct fl_slack_homes homes;
    bool is_stopping, is_silent, is_napping;
    struct fl_post post;
    struct fl_retired retired;
};

FL_STEP_DECLARE(named);
FL_STEP_DECLARE(noted);
FL_STEP_DECLARE(place);
FL_STEP_DECLARE(placed);
FL_STEP_DECLARE(put);
FL_STEP_DECLARE(open);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(end);
FL_STEP_DECLARE(nap);

static struct listener *listener_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct listener, flow);
}

/* Said once, not each time. */
static fl_next wait(struct listener *l, int64_t ms)
{
    if (!l->is_silent && l->flow.op.code != FL_CANCELLED && !l->is_stopping)
        FL_LOG(WARN, "slack_listener", FL_KU("org", &l->channel->organization),
               FL_KV("channel", l->channel->name), FL_KS("reason", l->flow.op.err.text));
    l->is_silent = true;
    l->nap_ms = ms;
    return &S_nap;
}

static fl_next wait_as_told(struct listener *l)
{
    return wait(l, l->flow.op.code == FL_TOO_MANY          ? l->call.retry_ms
                   : l->flow.op.code == FL_UNAUTHENTICATED ? 60000
                                                           : AGAIN_MS);
}

FL_STEP(introduce)
{
    struct listener *l = listener_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (l->is_stopping)
        return &S_end;
    fl_buf_puts(&body, "{}");
    fl_slack_call_fini(&l->call);
    return fl_await(f, &S_named,
                    fl_slack_call_start(&f->op, &l->call, l->channel, "token", "auth.test", &body));
}

static void put_fact(struct fl_buf *out, const json_t *answer, const char *from, const char *to)
{
    struct fl_str text = fl_json_get_str(answer, from);
    fl_buf_printf(out, "%s\"%s\":", out->n > 1 ? "," : "", to);
    fl_buf_json_str(out, text.p ? text : FL_STR(""));
}

/* Which of the scopes that the app asks for it was not given; nothing where Slack does not say. */
static void put_missing(struct fl_buf *out, const struct fl_buf *granted)
{
#define X(scope) scope,
    static const char *const scopes[] = { FL_SLACK_SCOPES(X) FL_SLACK_HISTORY_SCOPES(X) };
#undef X
    bool is_next = false;
    if (!granted->p)
        return;
    fl_buf_puts(out, ",\"missing_scopes\":[");
    for (size_t i = 0; i < FL_COUNTOF(scopes); i++) {
        if (fl_slack_is_granted(fl_buf_view(granted), scopes[i]))
            continue;
        fl_buf_printf(out, "%s\"%s\"", is_next ? "," : "", scopes[i]);
        is_next = true;
    }
    fl_buf_putc(out, ']');
}

FL_STEP(named)
{
    struct listener *l = listener_of(f);
    struct fl_buf facts = FL_BUF_INIT;
    struct fl_err err;
    if (f->op.code)
        return wait_as_told(l);
    fl_buf_putc(&facts, '{');
    put_fact(&facts, l->call.answer, "team_id", "team");
    put_fact(&facts, l->call.answer, "enterprise_id", "enterprise");
    put_fact(&facts, l->call.answer, "user_id", "bot_user");
    put_fact(&facts, l->call.answer, "bot_id", "bot_id");
    put_fact(&facts, l->call.answer, "user", "bot");
    put_fact(&facts, l->call.answer, "team", "workspace");
    const json_t *is_org = json_object_get(l->call.answer, "is_enterprise_install");
    if (json_is_boolean(is_org)) /* else it stays what its install said */
        fl_buf_printf(&facts, ",\"is_enterprise_install\":%s",
                      json_is_true(is_org) ? "true" : "false");
    put_missing(&facts, &l->call.http.header);
    fl_buf_putc(&facts, '}');
    json_t *tree = facts.is_failed ? NULL : fl_json_parse(fl_buf_view(&facts), &err);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    l->arena = fl_arena_new(0);
    if (l->arena && tree) {
        json_object_update(l->channel->facts, tree);
        fl_tx_init(&l->tx, l->channel->core->pg, l->arena, &l->channel->organization);
        fl_store_channel_facts(&l->tx, &l->channel->id, fl_buf_view(&facts));
    }
    bool is_fine = l->arena && tree;
    json_decref(tree);
    fl_buf_fini(&facts);
    return is_fine ? fl_await(f, &S_noted, fl_tx_submit(&f->op, &l->tx)) : wait(l, AGAIN_MS);
}

FL_STEP(noted)
{
    struct listener *l = listener_of(f);
    if (f->op.code)
        return wait(l, AGAIN_MS);
    l->is_silent = false;
    l->nap_ms = LOOK_MS;
    l->place_at = 0;
    return &S_place;
}

/* ---------------------------------------------------------------- places */
FL_STEP(place)
{
    struct listener *l = listener_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (l->is_stopping)
        return &S_end;
    if (!l->channel->kind->place(l->channel, l->place_at, &l->place))
        return fl_slack_is_socket(l->channel) && l->lines.wants_line ? &S_open : &S_nap;
    l->place_at++;
    fl_buf_puts(&body, "channel=");
    fl_buf_str(&body, l->place);
    fl_slack_call_fini(&l->call);
    return fl_await(
        f, &S_placed,
        fl_slack_call_start(&f->op, &l->call, l->channel, "token", "conversations.info", &body));
}

/* What cannot be asked (an app of an older manifest, no such channel) stays as it was. */
FL_STEP(placed)
{
    struct listener *l = listener_of(f);
    if (l->is_stopping)
        return &S_end;
    if (f->op.code) {
        FL_LOG(WARN, "slack_place_unknown", FL_KU("org", &l->channel->organization),
               FL_KV("channel", l->channel->name), FL_KV("place", l->place),
               FL_KS("reason", f->op.err.text));
        f->op.code = FL_OK;
        return &S_place;
    }
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    l->arena = fl_arena_new(0);
    if (!l->arena)
        return &S_place;
    fl_tx_init(&l->tx, l->channel->core->pg, l->arena, &l->channel->organization);
    fl_slack_put_place(&l->tx, l->channel, l->place,
                       fl_slack_why_closed(json_object_get(l->call.answer, "channel")));
    return fl_await(f, &S_put, fl_tx_submit(&f->op, &l->tx));
}

FL_STEP(put)
{
    FL_UNUSED(f);
    return &S_place;
}

/* ---------------------------------------------------------------- a line */
FL_STEP(open)
{
    struct listener *l = listener_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (l->is_stopping)
        return &S_end;
    fl_buf_puts(&body, "{}");
    fl_slack_call_fini(&l->call);
    return fl_await(f, &S_opened,
                    fl_slack_call_start(&f->op, &l->call, l->channel, "app_token",
                                        "apps.connections.open", &body));
}

/* The address holds a ticket: it is used once, and said to nobody. */
FL_STEP(opened)
{
    struct listener *l = listener_of(f);
    if (l->is_stopping)
        return &S_end;
    if (f->op.code)
        return wait_as_told(l);
    f->op.code = fl_slack_lines_open(&l->lines, fl_json_get_str(l->call.answer, "url"), &f->op.err);
    if (f->op.code)
        return wait(l, AGAIN_MS);
    l->is_silent = false;
    l->nap_ms = LOOK_MS;
    return &S_nap;
}

FL_STEP(rested)
{
    struct listener *l = listener_of(f);
    l->is_napping = false;
    if (l->is_stopping)
        return &S_end;
    if (!l->lines.wants_line && fl_slack_is_socket(l->channel)) {
        l->place_at = 0;
        l->nap_ms = LOOK_MS;
        return &S_place;
    }
    if (l->lines.failures && l->nap_ms == LOOK_MS) { /* it was up, or nearly: not at once again */
        int64_t ms = l->lines.failures > 5 ? MOST_MS : (int64_t)100 << (2 * l->lines.failures - 2);
        l->nap_ms = ms > MOST_MS ? MOST_MS : ms;
        return &S_nap;
    }
    return l->lines.wants_line && fl_slack_is_known(l->channel) && fl_slack_is_socket(l->channel)
               ? &S_open
               : &S_introduce;
}

FL_STEP(nap)
{
    struct listener *l = listener_of(f);
    if (l->is_stopping)
        return &S_end;
    l->is_napping = true;
    return fl_await(f, &S_rested,
                    fl_sleep_start(&f->op, &l->sleep, l->channel->core->loop, l->nap_ms));
}

/* What came in is done before the channel goes. */
FL_STEP(end)
{
    struct listener *l = listener_of(f);
    fl_slack_lines_stop(&l->lines);
    fl_slack_homes_stop(&l->homes);
    if (fl_slack_lines_is_idle(&l->lines) && fl_slack_homes_is_idle(&l->homes))
        return fl_end(f);
    return fl_await(f, &S_end, fl_sleep_start(&f->op, &l->sleep, l->channel->core->loop, END_MS));
}

/* A line closed, or is about to; in a long nap only, as a short one ends by itself. */
static void wake(struct fl_slack_lines *lines)
{
    struct listener *l = FL_CONTAINER(lines, struct listener, lines);
    if (l->is_napping && l->nap_ms == LOOK_MS)
        fl_op_cancel(&l->flow.op);
}

FL_STEP(failed)
{
    struct listener *l = listener_of(f);
    l->nap_ms = AGAIN_MS;
    return l->is_stopping ? &S_end : &S_nap;
}

static void release(void *owner)
{
    fl_free(owner);
}

static void on_ended(struct fl_flow *f)
{
    struct listener *l = listener_of(f);
    struct fl_op *op = l->op;
    l->channel->on_changed = NULL;
    l->channel->own = NULL;
    fl_slack_call_fini(&l->call);
    fl_tx_fini(&l->tx);
    fl_arena_free(&l->arena);
    fl_loop_retire(l->channel->core->loop, &l->retired, release, l);
    fl_op_finish(op, FL_CANCELLED);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct listener, post)->flow, &S_introduce);
}

static void cancel(struct fl_op *op)
{
    struct listener *l = op->provider;
    if (l->is_stopping)
        return;
    l->is_stopping = true;
    fl_op_cancel(&l->flow.op);
}

static void on_changed(struct fl_channel *channel)
{
    struct listener *l = channel->own;
    fl_slack_homes_changed(&l->homes);
}

enum fl_code fl_slack_listen_start(struct fl_op *op, struct fl_channel *channel)
{
    struct listener *l = fl_calloc(1, sizeof *l);
    if (!l)
        return fl_err_code(&op->err, FL_NOMEM);
    l->channel = channel;
    l->op = op;
    fl_slack_lines_init(&l->lines, channel, wake);
    fl_slack_homes_init(&l->homes, channel);
    channel->own = l;
    channel->on_changed = on_changed;
    fl_flow_init(&l->flow, &S_failed, on_ended);
    fl_op_start(op, cancel, l);
    l->post = (struct fl_post){ .run = on_start };
    fl_loop_post(channel->core->loop, &l->post);
    return FL_OK;
}
