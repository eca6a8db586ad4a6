/* Looks into a conversation for a card that was sent, of which nobody knows whether it was posted:
 * by the metadata that its message carries. Only what this app posted counts, as Slack says; the
 * rest of what Slack answers is dropped unread. An app that is sold outside Slack's directory gets
 * 15 messages a request, and one request a minute; so each asks for 15, from around the time when
 * it was sent, and goes on later where it stopped. */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "runtime/notify/slack_priv.h"

#define MESSAGES   15
#define PAGES_MAX  10
#define TIMEOUT_MS 5000

struct finding {
    struct fl_op op;
    struct fl_slack_call call;
    struct fl_chat_find *find;
    struct fl_str channel;
    bool is_own_chat; /* messages are named with it */
};

static bool is_time(struct fl_str ts)
{
    for (size_t i = 0; i < ts.n; i++) {
        if (ts.p[i] != '.' && !(ts.p[i] >= '0' && ts.p[i] <= '9'))
            return false;
    }
    return ts.n > 0 && ts.n < sizeof((struct fl_chat_find *)0)->before;
}

/* Metadata are anybody's; whose message it is, only Slack says. */
static bool is_ours(const struct fl_channel *ch, const json_t *message)
{
    struct fl_str bot = fl_json_get_str(ch->facts, "bot_id"),
                  app = fl_json_get_str(ch->facts, "app");
    return (bot.n && fl_str_eq(fl_json_get_str(message, "bot_id"), bot)) ||
           (app.n && fl_str_eq(fl_json_get_str(message, "app_id"), app));
}

static bool is_card(const struct finding *w, const json_t *message)
{
    const json_t *metadata = json_object_get(message, "metadata");
    const json_t *payload = json_object_get(metadata, "event_payload");
    char id[FL_UUID_TEXT];
    return fl_str_is(fl_json_get_str(metadata, "event_type"), FL_SLACK_CARD_TYPE) &&
           fl_str_is(fl_json_get_str(payload, FL_SLACK_CARD_MEMBER),
                     fl_uuid_format(&w->find->card, id)) &&
           is_ours(w->find->channel, message);
}

/* Returns whether there is more to look at. */
static bool read_page(struct finding *w)
{
    struct fl_chat_find *find = w->find;
    const json_t *messages = json_object_get(w->call.answer, "messages"), *message;
    bool is_moved = false;
    size_t i;
    json_array_foreach ((json_t *)messages, i, message) {
        struct fl_str ts = fl_json_get_str(message, "ts");
        if (!is_time(ts))
            continue;
        is_moved |= !fl_str_is(ts, find->before);
        snprintf(find->before, sizeof find->before, "%.*s", FL_STR_ARG(ts));
        if (find->count < find->most && find->count < FL_CHAT_COPIES && is_card(w, message))
            snprintf(find->found[find->count++], FL_CHAT_MESSAGE_BYTES, "%.*s%s%.*s",
                     w->is_own_chat ? (int)w->channel.n : 0, w->channel.p,
                     w->is_own_chat ? ":" : "", FL_STR_ARG(ts));
    }
    return is_moved && find->count < find->most &&
           json_is_true(json_object_get(w->call.answer, "has_more"));
}

static void finish(struct finding *w, enum fl_code code)
{
    struct fl_op *op = w->find->op;
    fl_slack_call_fini(&w->call);
    fl_op_finish(op, code);
}

static void put_time(struct fl_buf *body, const char *name, int64_t ms)
{
    fl_buf_printf(body, "&%s=%lld.%06d", name, (long long)(ms / 1000), (int)(ms % 1000) * 1000);
}

static enum fl_code ask(struct finding *w)
{
    struct fl_chat_find *find = w->find;
    struct fl_buf body = FL_BUF_INIT;
    fl_slack_call_fini(&w->call);
    fl_buf_puts(&body, "channel=");
    fl_buf_str(&body, w->channel);
    fl_buf_printf(&body, "&include_all_metadata=true&limit=%d", MESSAGES);
    put_time(&body, "oldest", find->from_ms);
    if (find->before[0])
        fl_buf_printf(&body, "&latest=%s", find->before);
    else
        put_time(&body, "latest", find->to_ms);
    w->call.timeout_ms = TIMEOUT_MS;
    find->pages++;
    return fl_slack_call_start(&w->op, &w->call, find->channel, "token", "conversations.history",
                               &body);
}

static void on_page(struct fl_op *op)
{
    struct finding *w = FL_CONTAINER(op, struct finding, op);
    struct fl_chat_find *find = w->find;
    enum fl_code code = op->code;
    find->retry_ms = w->call.retry_ms;
    find->op->err = op->err;
    if (code == FL_NOT_FOUND || code == FL_FORBIDDEN)
        code = FL_CONFLICT;
    if (code) {
        find->pages -= code == FL_TOO_MANY;
        finish(w, code);
        return;
    }
    if (!read_page(w)) {
        finish(w, FL_OK);
        return;
    }
    code = find->pages < PAGES_MAX ? ask(w) : FL_CONFLICT;
    if (code)
        finish(w, code);
}

static void cancel(struct fl_op *op)
{
    struct fl_chat_find *find = op->provider;
    struct finding *w = find->own;
    fl_op_cancel(&w->op);
}

enum fl_code fl_slack_find_start(struct fl_op *op, struct fl_chat_find *find)
{
    struct finding *w = FL_ARENA_NEW(find->arena, struct finding);
    struct fl_str ts;
    if (!w)
        return fl_err_code(&op->err, FL_NOMEM);
    w->find = find;
    w->op.done = on_page;
    find->retry_ms = 1000;
    bool is_here = fl_slack_locate(find->channel, find->place, find->near, &w->channel, &ts);
    w->is_own_chat = memchr(find->place.p, '/', find->place.n) != NULL;
    if (!is_here || !fl_slack_is_id(w->channel) ||
        (w->is_own_chat && (!find->near.p || w->channel.p[0] != 'D')))
        return fl_err_set(&op->err, FL_CONFLICT, "which chat it is, is not known yet");
    if (!fl_json_get_str(find->channel->facts, "bot_id").n &&
        !fl_json_get_str(find->channel->facts, "app").n)
        return fl_err_set(&op->err, FL_TOO_MANY, "who the app is, is not known yet");
    find->op = op;
    find->own = w;
    enum fl_code code = ask(w);
    if (code) {
        op->err = w->op.err;
        return code;
    }
    fl_op_start(op, cancel, find);
    return FL_OK;
}
