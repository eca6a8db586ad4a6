/* Slack: the kind of channel, what an administrator gives, and sending. A channel's place is a
 * Slack channel's id, or a person as they are linked ("T1/U1"): their own chat with the app, whose
 * messages are named with the chat's id in front ("D1:1700000000.000100"). */
#include <stdio.h>

#include "flopinio/base/mem.h"
#include "runtime/notify/slack_priv.h"

#define CHANNELS_MAX 16

/* ---------------------------------------------------------------- what an administrator gave */
static bool is_token(struct fl_str s, const char *prefix, size_t least)
{
    return fl_str_has_prefix(s, fl_str_of(prefix)) && s.n >= strlen(prefix) + least && s.n <= 500 &&
           fl_str_is_word(s, "-_.");
}

static bool is_channel_id(struct fl_str s)
{
    if (s.n < 2 || s.n > 40 || (s.p[0] != 'C' && s.p[0] != 'G'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!(s.p[i] >= 'A' && s.p[i] <= 'Z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    }
    return true;
}

static enum fl_code check_config(const json_t *config, bool may_be_local, struct fl_err *err)
{
    const json_t *channels = json_object_get(config, "channels");
    struct fl_str mode = fl_json_get_str(config, "mode");
    if (json_object_get(config, "mode") && !fl_str_is(mode, "http") && !fl_str_is(mode, "socket"))
        return fl_err_set(err, FL_BAD_PARAMS, "'mode' is http or socket");
    if (channels && (!json_is_array(channels) || json_array_size(channels) > CHANNELS_MAX))
        return fl_err_set(err, FL_BAD_PARAMS, "'channels' is a list of at most %d channel ids",
                          CHANNELS_MAX);
    for (size_t i = 0; i < json_array_size(channels); i++) {
        if (!is_channel_id(fl_json_str(json_array_get(channels, i))))
            return fl_err_set(err, FL_BAD_PARAMS,
                              "'channels' are ids as Slack gives them, for instance C0123456789");
    }
    if (json_object_get(config, "batch") && !json_is_boolean(json_object_get(config, "batch")))
        return fl_err_set(err, FL_BAD_PARAMS, "'batch' is true or false");
    if (fl_channel_check_rate(config, err) != FL_OK)
        return FL_BAD_PARAMS;
    if (!json_object_get(config, "base_url"))
        return FL_OK;
    return fl_http_client_check_url(fl_json_get_str(config, "base_url"), may_be_local, err);
}

static enum fl_code check(const json_t *config, const json_t *secret, bool may_be_local,
                          struct fl_err *err)
{
    bool is_socket = fl_str_is(fl_json_get_str(config, "mode"), "socket");
    enum fl_code code = fl_channel_check_members(
        config, "slack", "base_url batch channels mode cards_per_minute", "setting", err);
    if (code == FL_OK)
        code = fl_channel_check_members(
            secret, "slack", "token signing_secret signing_secret_old app_token", "secret", err);
    if (code == FL_OK)
        code = check_config(config, may_be_local, err);
    if (code)
        return code;
    if (!secret)
        return FL_OK;
    if (!is_token(fl_json_get_str(secret, "token"), "xoxb-", 10))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "the secret 'token' must be the app's bot token (xoxb-...)");
    if (is_socket && !is_token(fl_json_get_str(secret, "app_token"), "xapp-", 10))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "Socket Mode needs the secret 'app_token' (xapp-...)");
    if (!is_socket && !is_token(fl_json_get_str(secret, "signing_secret"), "", 16))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "the secret 'signing_secret' must be the app's signing secret, or 'mode' "
                          "be socket");
    if (json_object_get(secret, "signing_secret_old") &&
        !is_token(fl_json_get_str(secret, "signing_secret_old"), "", 16))
        return fl_err_set(err, FL_BAD_PARAMS, "the secret 'signing_secret_old' is too short");
    return FL_OK;
}

static bool place(const struct fl_channel *ch, size_t at, struct fl_str *ret)
{
    *ret = fl_json_str(json_array_get(json_object_get(ch->config, "channels"), at));
    return ret->p != NULL;
}

bool fl_slack_is_socket(const struct fl_channel *ch)
{
    return fl_str_is(fl_channel_config(ch, "mode"), "socket");
}

/* ---------------------------------------------------------------- sending */
struct sending {
    struct fl_op op;
    struct fl_slack_call call;
    struct fl_chat_send *send;
    struct fl_str channel, ts; /* where it stands */
    bool is_in_thread;         /* the card is there; this says beneath it what came of it */
};

static void finish(struct sending *w, enum fl_code code)
{
    struct fl_op *user = w->send->op;
    fl_slack_call_fini(&w->call);
    fl_op_finish(user, code);
}

static enum fl_code say_beneath(struct sending *w)
{
    struct fl_buf body = FL_BUF_INIT;
    fl_slack_call_fini(&w->call);
    w->is_in_thread = true;
    fl_buf_puts(&body, "{\"channel\":");
    fl_buf_json_str(&body, w->channel);
    fl_buf_puts(&body, ",\"thread_ts\":");
    fl_buf_json_str(&body, w->ts);
    fl_buf_puts(&body, ",\"mrkdwn\":false,\"unfurl_links\":false,\"unfurl_media\":false,");
    fl_buf_str(&body, w->send->after);
    fl_buf_putc(&body, '}');
    return fl_slack_call_start(&w->op, &w->call, w->send->channel, "token", "chat.postMessage",
                               &body);
}

static void on_sent(struct fl_op *op)
{
    struct sending *w = FL_CONTAINER(op, struct sending, op);
    struct fl_chat_send *s = w->send;
    struct fl_str channel = fl_json_get_str(w->call.answer, "channel");
    struct fl_str ts = fl_json_get_str(w->call.answer, "ts");
    if (w->is_in_thread) {
        finish(w, FL_OK); /* the card itself says it too */
        return;
    }
    s->op->err = op->err;
    s->retry_ms = w->call.retry_ms;
    s->posted = s->message;
    if (op->code == FL_OK && !s->message.p) {
        bool is_own = !fl_str_eq(channel, s->place);
        char *id =
            fl_arena_printf(s->arena, "%.*s%s%.*s", FL_STR_ARG(is_own ? channel : FL_STR("")),
                            is_own ? ":" : "", FL_STR_ARG(ts));
        s->posted = fl_str_of(id ? id : "");
        if (!id || !ts.n || !channel.n)
            op->code = fl_err_set(&s->op->err, FL_AMBIGUOUS, "slack did not say what it posted");
    }
    if (op->code == FL_OK && s->message.p && s->after.p && say_beneath(w) == FL_OK)
        return;
    finish(w, op->code);
}

static void cancel_send(struct fl_op *op)
{
    struct fl_chat_send *s = op->provider;
    struct sending *w = s->own;
    fl_op_cancel(&w->op);
}

bool fl_slack_locate(const struct fl_channel *ch, struct fl_str place, struct fl_str known,
                     struct fl_str *ret_channel, struct fl_str *ret_ts)
{
    struct fl_str team = fl_json_get_str(ch->facts, "team");
    struct fl_str grid = fl_json_get_str(ch->facts, "enterprise");
    const char *slash = memchr(place.p, '/', place.n);
    *ret_channel = place;
    *ret_ts = known;
    if (!slash)
        return true;
    const char *last = slash;
    for (const char *at = slash; at < place.p + place.n; at++)
        last = *at == '/' ? at : last;
    *ret_channel = (struct fl_str){ last + 1, place.n - (size_t)(last + 1 - place.p) };
    const char *colon = known.p ? memchr(known.p, ':', known.n) : NULL;
    if (colon) {
        *ret_channel = (struct fl_str){ known.p, (size_t)(colon - known.p) };
        *ret_ts = (struct fl_str){ colon + 1, known.n - ret_channel->n - 1 };
    }
    struct fl_str of = { place.p, (size_t)(last - place.p) };
    if (fl_slack_is_org_wide(ch))
        return fl_str_has_prefix(of, grid) && of.p[grid.n] == '/';
    return team.n && of.n >= team.n && memcmp(of.p + of.n - team.n, team.p, team.n) == 0;
}

/* Whose card a message is, for when it is not known what came of sending it. */
static void put_metadata(struct fl_buf *body, const struct fl_uuid *card)
{
    char id[FL_UUID_TEXT];
    if (!fl_uuid_is_zero(card))
        fl_buf_printf(body,
                      ",\"metadata\":{\"event_type\":\"" FL_SLACK_CARD_TYPE
                      "\",\"event_payload\":{\"" FL_SLACK_CARD_MEMBER "\":\"%s\"}}",
                      fl_uuid_format(card, id));
}

/* In the card's thread, and in the channel too: nobody follows a thread who has not written there.
 */
static void put_thread(struct fl_buf *body, const struct fl_chat_send *s)
{
    struct fl_str ts = s->beneath;
    const char *colon = ts.p ? memchr(ts.p, ':', ts.n) : NULL;
    if (!ts.p)
        return;
    if (colon)
        ts = (struct fl_str){ colon + 1, ts.n - (size_t)(colon + 1 - ts.p) };
    fl_buf_puts(body, ",\"reply_broadcast\":true,\"thread_ts\":");
    fl_buf_json_str(body, ts);
}

static enum fl_code send_start(struct fl_op *op, struct fl_chat_send *s)
{
    struct sending *w = FL_ARENA_NEW(s->arena, struct sending);
    struct fl_buf body = FL_BUF_INIT;
    if (!w)
        return fl_err_code(&op->err, FL_NOMEM);
    w->send = s;
    if (!fl_slack_locate(s->channel, s->place, s->message.p ? s->message : s->beneath, &w->channel,
                         &w->ts))
        return fl_err_set(&op->err, FL_NOT_FOUND, "that person is of another workspace");
    fl_buf_puts(&body, "{\"channel\":");
    fl_buf_json_str(&body, w->channel);
    if (s->message.p) {
        fl_buf_puts(&body, ",\"ts\":");
        fl_buf_json_str(&body, w->ts);
        fl_buf_puts(&body, s->is_copy ? ",\"metadata\":{}" : "");
    } else {
        fl_buf_puts(&body, ",\"mrkdwn\":false,\"unfurl_links\":false,\"unfurl_media\":false");
        put_thread(&body, s);
        put_metadata(&body, &s->card);
    }
    fl_buf_putc(&body, ',');
    fl_buf_str(&body, s->bytes);
    fl_buf_putc(&body, '}');
    w->op.done = on_sent;
    enum fl_code code =
        fl_slack_call_start(&w->op, &w->call, s->channel, "token",
                            s->message.p ? "chat.update" : "chat.postMessage", &body);
    if (code) {
        op->err = w->op.err;
        return code;
    }
    s->op = op;
    s->own = w;
    fl_op_start(op, cancel_send, s);
    return FL_OK;
}

const struct fl_channel_kind fl_channel_slack = {
    .name = "slack",
    .via = "slack",
    .whole_max = FL_SLACK_WHOLE_MAX,
    .can_prove = true,
    .how_to_link = "send me: /flopinio link CODE",
    .help = "I show calls that wait for a decision. /flopinio pending lists them, /flopinio stop "
            "NAME stops an agent, /flopinio link CODE links you",
    .check = check,
    .place = place,
    .draw = fl_slack_draw,
    .draw_many = fl_slack_draw_many,
    .send_start = send_start,
    .find_start = fl_slack_find_start,
    .listen_start = fl_slack_listen_start,
    .is_genuine = fl_slack_is_genuine,
    .hook_first = fl_slack_hook_first,
    .hook_start = fl_slack_hook_start
};
