/* Socket Mode: Slack's requests over a WebSocket that this installation opens, so that nothing has
 * to be reachable from outside. Every envelope is acknowledged at once and done behind that. When
 * Slack is about to close a line, the next one is opened, and this one is read until Slack has
 * closed it. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/notify/slack_priv.h"

#define LEAVE_MS 30000
#define LIVED_MS 10000 /* one that ended before failed, whoever ended it */

struct line {
    struct fl_dial dial;
    struct fl_list link;
    struct fl_slack_lines *lines;
    struct fl_timer leave;
    int64_t up_ms;   /* fl_mono_ms of Slack's hello; 0: none came */
    bool is_leaving; /* Slack said that it will close it */
};

struct work {
    struct fl_op op;
    struct fl_list link;
    struct fl_slack_event event;
    struct fl_slack_lines *lines;
    struct line *line; /* it came by; NULL: closed since */
    json_t *envelope;
    struct fl_retired retired;
};

/* ---------------------------------------------------------------- what comes */
static void release_work(void *owner)
{
    fl_free(owner);
}

static void on_done(struct fl_op *op)
{
    struct work *w = FL_CONTAINER(op, struct work, op);
    fl_list_remove(&w->link);
    json_decref(w->envelope);
    fl_loop_retire(w->lines->channel->core->loop, &w->retired, release_work, w);
}

static void send_ack(struct line *l, const json_t *envelope, struct fl_str answer)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, "{\"envelope_id\":");
    fl_buf_json_str(&out, fl_json_get_str(envelope, "envelope_id"));
    if (answer.n) {
        fl_buf_puts(&out, ",\"payload\":");
        fl_buf_str(&out, answer);
    }
    fl_buf_putc(&out, '}');
    if (!out.is_failed)
        fl_dial_send(&l->dial, fl_buf_view(&out));
    fl_buf_fini(&out);
}

/* By the line that it came by: Slack knows no other answer to it. */
static void acknowledge_late(struct fl_slack_event *event, struct fl_str answer)
{
    struct work *w = FL_CONTAINER(event, struct work, event);
    if (w->line)
        send_ack(w->line, w->envelope, answer);
}

static void do_work(struct line *l, json_t *envelope)
{
    struct fl_slack_lines *lines = l->lines;
    struct work *w = fl_calloc(1, sizeof *w);
    if (!w)
        return;
    w->lines = lines;
    w->line = l;
    w->envelope = json_incref(envelope);
    w->op.done = on_done;
    w->event = (struct fl_slack_event){ .channel = lines->channel,
                                        .payload = json_object_get(envelope, "payload"),
                                        .acknowledge = acknowledge_late };
    fl_list_push_back(&lines->works, &w->link);
    if (fl_slack_event_start(&w->op, &w->event) != FL_OK) {
        fl_list_remove(&w->link);
        json_decref(w->envelope);
        fl_free(w);
    }
}

static void acknowledge(struct line *l, const json_t *envelope)
{
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_str answer =
        arena ? fl_slack_event_ack(json_object_get(envelope, "payload"), arena) : FL_STR("");
    if (answer.p)
        send_ack(l, envelope, answer);
    fl_arena_free(&arena);
}

static void want_line(struct fl_slack_lines *lines)
{
    lines->wants_line = true;
    lines->wake(lines);
}

/* Slack closes it itself, once what was under way on it is through; or not. */
static void on_left(struct fl_timer *timer)
{
    fl_dial_close(&FL_CONTAINER(timer, struct line, leave)->dial);
}

static bool has_lived(const struct line *l)
{
    return l->up_ms && fl_mono_ms() - l->up_ms >= LIVED_MS;
}

static void on_text(struct fl_dial *dial, struct fl_str text)
{
    struct line *l = FL_CONTAINER(dial, struct line, dial);
    struct fl_err err;
    json_t *tree = fl_json_parse(text, &err);
    struct fl_str type = fl_json_get_str(tree, "type");
    struct fl_str id = fl_json_get_str(tree, "envelope_id");
    if (fl_str_is(type, "hello")) {
        l->up_ms = l->up_ms ? l->up_ms : fl_mono_ms();
        FL_LOG(INFO, "slack_socket_open", FL_KU("org", &l->lines->channel->organization),
               FL_KV("channel", l->lines->channel->name));
    } else if (fl_str_is(type, "disconnect")) {
        if (!l->is_leaving) {
            l->is_leaving = true;
            l->lines->failures = has_lived(l) ? 0 : l->lines->failures + 1;
            fl_loop_timer(l->lines->channel->core->loop, &l->leave, LEAVE_MS);
            want_line(l->lines);
        }
    } else if (id.n) {
        acknowledge(l, tree);
        if (!l->lines->is_stopping)
            do_work(l, tree);
    }
    json_decref(tree);
}

static void on_closed(struct fl_dial *dial, const struct fl_err *why)
{
    struct line *l = FL_CONTAINER(dial, struct line, dial);
    struct fl_slack_lines *lines = l->lines;
    bool has_other = false, is_leaving = l->is_leaving, was_up = has_lived(l);
    if (why->code != FL_CANCELLED && !l->is_leaving)
        FL_LOG(WARN, "slack_socket_closed", FL_KU("org", &lines->channel->organization),
               FL_KV("channel", lines->channel->name), FL_KS("reason", why->text));
    fl_loop_timer_cancel(lines->channel->core->loop, &l->leave);
    fl_list_remove(&l->link);
    FL_LIST_FOREACH (link, &lines->all) {
        has_other |= !FL_CONTAINER(link, struct line, link)->is_leaving;
    }
    FL_LIST_FOREACH (link, &lines->works) {
        struct work *w = FL_CONTAINER(link, struct work, link);
        w->line = w->line == l ? NULL : w->line;
    }
    fl_free(l);
    if (!is_leaving)
        lines->failures = (was_up ? 0 : lines->failures) + !has_other;
    if (!has_other || lines->is_stopping)
        want_line(lines);
}

/* ---------------------------------------------------------------- lines */
void fl_slack_lines_init(struct fl_slack_lines *lines, struct fl_channel *channel,
                         void (*wake)(struct fl_slack_lines *lines))
{
    *lines = (struct fl_slack_lines){ .channel = channel, .wake = wake, .wants_line = true };
    fl_list_init(&lines->all);
    fl_list_init(&lines->works);
}

enum fl_code fl_slack_lines_open(struct fl_slack_lines *lines, struct fl_str url,
                                 struct fl_err *err)
{
    struct line *l = fl_calloc(1, sizeof *l);
    if (!l)
        return fl_err_code(err, FL_NOMEM);
    l->lines = lines;
    fl_timer_init(&l->leave, on_left);
    l->dial = (struct fl_dial){ .loop = lines->channel->core->loop,
                                .client = lines->channel->http,
                                .on_text = on_text,
                                .on_closed = on_closed };
    enum fl_code code = fl_dial_start(&l->dial, url, err);
    if (code) {
        fl_free(l);
        return code;
    }
    lines->wants_line = false;
    fl_list_push_back(&lines->all, &l->link);
    return FL_OK;
}

void fl_slack_lines_stop(struct fl_slack_lines *lines)
{
    if (lines->is_stopping)
        return;
    lines->is_stopping = true;
    FL_LIST_FOREACH (link, &lines->all) {
        fl_dial_close(&FL_CONTAINER(link, struct line, link)->dial);
    }
}

bool fl_slack_lines_is_idle(const struct fl_slack_lines *lines)
{
    return fl_list_is_empty(&lines->all) && fl_list_is_empty(&lines->works);
}
