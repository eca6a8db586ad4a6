/* Telegram: the kind of channel, calls of the Bot API, and sending. The token stands in the address
 * of every call, so that addresses are nowhere logged. */
#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/telegram_priv.h"

#define BASE_URL   "https://api.telegram.org"
#define WHOLE_MAX  ((size_t)2 << 20) /* 200 KB, each byte an escape, and more */
#define CHATS_MAX  16
#define STRAYS_MAX 5

/* ---------------------------------------------------------------- what an administrator gave */
/* "123456:AAE..." */
static bool is_token(struct fl_str s)
{
    size_t colon = 0;
    while (colon < s.n && s.p[colon] >= '0' && s.p[colon] <= '9')
        colon++;
    return colon > 0 && colon < s.n && s.p[colon] == ':' && s.n - colon > 20 && s.n < 200 &&
           fl_str_is_word((struct fl_str){ s.p + colon + 1, s.n - colon - 1 }, "_-");
}

static bool is_chat(const json_t *value)
{
    long long id = 0;
    return json_is_integer(value) ? json_integer_value(value) != 0
                                  : fl_str_to_i64(fl_json_str(value), &id) && id != 0;
}

static enum fl_code check_config(const json_t *config, bool may_be_local, struct fl_err *err)
{
    const json_t *chats = json_object_get(config, "chats");
    struct fl_str mode = fl_json_get_str(config, "mode");
    struct fl_str base = fl_json_get_str(config, "base_url");
    if (json_object_get(config, "mode") && !fl_str_is(mode, "poll") && !fl_str_is(mode, "webhook"))
        return fl_err_set(err, FL_BAD_PARAMS, "'mode' is poll or webhook");
    if (chats && (!json_is_array(chats) || json_array_size(chats) > CHATS_MAX))
        return fl_err_set(err, FL_BAD_PARAMS, "'chats' is a list of at most %d chat ids",
                          CHATS_MAX);
    for (size_t i = 0; i < json_array_size(chats); i++) {
        if (!is_chat(json_array_get(chats, i)))
            return fl_err_set(err, FL_BAD_PARAMS,
                              "'chats' are numbers as Telegram gives them, for instance "
                              "-1001234567890");
    }
    if (json_object_get(config, "batch") && !json_is_boolean(json_object_get(config, "batch")))
        return fl_err_set(err, FL_BAD_PARAMS, "'batch' is true or false");
    if (fl_channel_check_rate(config, err) != FL_OK)
        return FL_BAD_PARAMS;
    if (!json_object_get(config, "base_url"))
        return FL_OK;
    return fl_http_client_check_url(base, may_be_local, err);
}

static enum fl_code check(const json_t *config, const json_t *secret, bool may_be_local,
                          struct fl_err *err)
{
    struct fl_str hook = fl_json_get_str(secret, "webhook_secret");
    enum fl_code code = fl_channel_check_members(
        config, "telegram", "base_url batch chats mode cards_per_minute", "setting", err);
    if (code == FL_OK)
        code = fl_channel_check_members(secret, "telegram", "token webhook_secret", "secret", err);
    if (code == FL_OK)
        code = check_config(config, may_be_local, err);
    if (code)
        return code;
    if (!secret)
        return FL_OK;
    if (!is_token(fl_json_get_str(secret, "token")))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "the secret 'token' must be a bot's token as @BotFather gives it");
    if (fl_str_is(fl_json_get_str(config, "mode"), "webhook") &&
        (hook.n < 16 || hook.n > 256 || !fl_str_is_word(hook, "_-")))
        return fl_err_set(err, FL_BAD_PARAMS,
                          "a webhook needs the secret 'webhook_secret': 16 to 256 letters, digits, "
                          "_ and -");
    return FL_OK;
}

static bool place(const struct fl_channel *ch, size_t at, struct fl_str *ret)
{
    const json_t *chat = json_array_get(json_object_get(ch->config, "chats"), at);
    if (!chat)
        return false;
    *ret = fl_json_str(chat);
    if (!ret->p) {
        char *text = fl_arena_printf(ch->arena, "%lld", (long long)json_integer_value(chat));
        *ret = fl_str_of(text ? text : "0");
    }
    return true;
}

static struct fl_str link_url(const json_t *facts, const char *code, struct fl_arena *arena)
{
    struct fl_str bot = fl_json_get_str(facts, "bot");
    if (!fl_str_is_word(bot, "_"))
        return (struct fl_str){ NULL, 0 };
    return fl_str_of(fl_arena_printf(arena, "https://t.me/%.*s?start=%s", FL_STR_ARG(bot), code));
}

/* ---------------------------------------------------------------- the Bot API */
static enum fl_code refused(int status, const json_t *answer, int64_t header_ms, int64_t *ret_ms,
                            struct fl_err *err)
{
    const json_t *parameters = json_object_get(answer, "parameters");
    int64_t after = json_integer_value(json_object_get(parameters, "retry_after"));
    struct fl_str why = fl_json_get_str(answer, "description");
    why.n = why.n > 150 ? fl_utf8_cut(why, 150) : why.n;
    if (json_is_integer(json_object_get(answer, "error_code")))
        status = (int)json_integer_value(json_object_get(answer, "error_code"));
    switch (status) {
    case 401:
    case 404: return fl_err_set(err, FL_UNAUTHENTICATED, "telegram does not know the bot's token");
    case 403: return fl_err_set(err, FL_FORBIDDEN, "telegram refused it: %.*s", FL_STR_ARG(why));
    case 409:
        return fl_err_set(err, FL_CONFLICT, "another program takes this bot's updates: %.*s",
                          FL_STR_ARG(why));
    case 429:
        *ret_ms = after > 0 && after < 86400 ? after * 1000 : header_ms ? header_ms : 1000;
        return fl_err_set(err, FL_TOO_MANY, "telegram asks to wait for %lld s",
                          (long long)(*ret_ms / 1000));
    case 400: return fl_err_set(err, FL_NOT_FOUND, "telegram refused it: %.*s", FL_STR_ARG(why));
    default:
        return fl_err_set(err, status >= 500 ? FL_UNAVAILABLE : FL_AMBIGUOUS,
                          "telegram answered %d: %.*s", status, FL_STR_ARG(why));
    }
}

/* Every message that whoever looks after the channel posts is known by its number, or it is not
 * known which are. Tests are others' (sender_copy.c). */
static void note_post(const struct fl_bot_call *c, enum fl_code code)
{
    struct fl_channel_posted *p = &c->channel->posted;
    const json_t *message = json_object_get(c->result, "message_id");
    const json_t *place = json_object_get(json_object_get(c->result, "chat"), "id");
    p->under_way--;
    if (code == FL_OK && json_is_integer(message) && json_is_integer(place)) {
        if (!p->count)
            p->since_ms = fl_mono_ms();
        p->place[p->count % FL_CHANNEL_POSTED] = json_integer_value(place);
        p->message[p->count % FL_CHANNEL_POSTED] = json_integer_value(message);
        p->count++;
    } else if (!c->is_card && (code == FL_OK || code == FL_AMBIGUOUS || code == FL_TIMEOUT ||
                               code == FL_CANCELLED)) {
        p->count = 0;
    }
}

static void on_called(struct fl_op *http_op)
{
    struct fl_bot_call *c = FL_CONTAINER(http_op, struct fl_bot_call, http_op);
    struct fl_op *op = c->op;
    struct fl_err parse;
    enum fl_code code = http_op->code;
    op->err = http_op->err;
    if (code == FL_OK) {
        json_t *answer = fl_json_parse(fl_buf_view(&c->http.answer), &parse);
        if (json_is_true(json_object_get(answer, "ok")))
            c->result = json_incref(json_object_get(answer, "result"));
        else
            code = refused(c->http.status, answer, c->http.retry_after_ms, &c->retry_ms, &op->err);
        json_decref(answer);
    }
    if (c->is_post)
        note_post(c, code);
    fl_op_finish(op, code);
}

static void cancel_call(struct fl_op *op)
{
    struct fl_bot_call *c = op->provider;
    fl_op_cancel(&c->http_op);
}

enum fl_code fl_bot_call_start(struct fl_op *op, struct fl_bot_call *c, struct fl_channel *ch,
                               const char *method, struct fl_buf *body, int64_t timeout_ms)
{
    static const char *const headers[] = { "Content-Type: application/json", NULL };
    struct fl_str base = fl_channel_config(ch, "base_url"), token = fl_channel_secret(ch, "token");
    c->body = *body;
    *body = (struct fl_buf){ 0 };
    fl_buf_str(&c->url, base.n ? base : FL_STR(BASE_URL));
    while (c->url.n && c->url.p[c->url.n - 1] == '/')
        fl_buf_cut(&c->url, c->url.n - 1);
    fl_buf_printf(&c->url, "/bot%.*s/%s", FL_STR_ARG(token), method);
    if (c->url.is_failed || c->body.is_failed) {
        fl_bot_call_fini(c);
        return fl_err_code(&op->err, FL_NOMEM);
    }
    c->op = op;
    c->http = (struct fl_http_call){ .method = "POST",
                                     .url = c->url.p,
                                     .headers = headers,
                                     .body = fl_buf_view(&c->body),
                                     .timeout_ms = timeout_ms,
                                     .max_bytes = (size_t)4 << 20 };
    c->http_op = (struct fl_op){ .done = on_called };
    enum fl_code code = fl_http_call_start(&c->http_op, ch->http, &c->http);
    if (code) {
        op->err = c->http_op.err;
        fl_bot_call_fini(c);
        return code;
    }
    c->channel = ch;
    c->is_post = strcmp(method, "sendMessage") == 0;
    ch->posted.under_way += c->is_post;
    fl_op_start(op, cancel_call, c);
    return FL_OK;
}

void fl_bot_call_fini(struct fl_bot_call *c)
{
    if (c->url.p)
        fl_cleanse(c->url.p, c->url.n);
    fl_buf_fini(&c->url);
    fl_buf_fini(&c->body);
    fl_http_call_fini(&c->http);
    json_decref(c->result);
    *c = (struct fl_bot_call){ 0 };
}

/* ---------------------------------------------------------------- sending */
struct sending {
    struct fl_op op;
    struct fl_bot_call call;
    struct fl_chat_send *send;
};

/* An edit that changes nothing is refused; that is what was wanted. */
static bool is_the_same(const struct fl_op *op)
{
    return op->code == FL_NOT_FOUND && strstr(op->err.text, "message is not modified");
}

static void on_sent(struct fl_op *op)
{
    struct sending *w = FL_CONTAINER(op, struct sending, op);
    struct fl_chat_send *s = w->send;
    struct fl_op *user = s->op;
    enum fl_code code = op->code;
    const json_t *id = json_object_get(w->call.result, "message_id");
    user->err = op->err;
    s->retry_ms = w->call.retry_ms;
    s->posted = s->message;
    if (is_the_same(op) && s->message.p)
        code = FL_OK;
    if (code == FL_OK && !s->message.p) {
        char *text = fl_arena_printf(s->arena, "%lld", (long long)json_integer_value(id));
        if (!json_is_integer(id) || !text)
            code = fl_err_set(&user->err, FL_AMBIGUOUS, "telegram did not say what it posted");
        s->posted = fl_str_of(text ? text : "");
    }
    fl_bot_call_fini(&w->call);
    fl_op_finish(user, code);
}

static void cancel_send(struct fl_op *op)
{
    struct fl_chat_send *s = op->provider;
    struct sending *w = s->own;
    fl_op_cancel(&w->op);
}

static enum fl_code send_start(struct fl_op *op, struct fl_chat_send *s)
{
    struct sending *w = FL_ARENA_NEW(s->arena, struct sending);
    struct fl_buf body = FL_BUF_INIT;
    long long chat, message = 0, beneath;
    if (!w)
        return fl_err_code(&op->err, FL_NOMEM);
    if (!fl_str_to_i64(s->place, &chat) || (s->message.p && !fl_str_to_i64(s->message, &message)))
        return fl_err_set(&op->err, FL_NOT_FOUND, "the chat's id is no number");
    fl_buf_printf(&body, "{\"chat_id\":%lld,", chat);
    if (s->message.p)
        fl_buf_printf(&body, "\"message_id\":%lld,", message);
    else if (s->beneath.p && fl_str_to_i64(s->beneath, &beneath))
        fl_buf_printf(&body, "\"reply_parameters\":{\"message_id\":%lld},", beneath);
    fl_buf_str(&body, s->bytes);
    fl_buf_putc(&body, '}');
    w->send = s;
    w->op.done = on_sent;
    w->call.is_card = !fl_uuid_is_zero(&s->card);
    enum fl_code code = fl_bot_call_start(&w->op, &w->call, s->channel,
                                          s->message.p ? "editMessageText" : "sendMessage", &body,
                                          FL_TELEGRAM_TIMEOUT_MS);
    if (code) {
        op->err = w->op.err;
        return code;
    }
    s->op = op;
    s->own = w;
    fl_op_start(op, cancel_send, s);
    return FL_OK;
}

/* Numbers of a chat's messages go up by one: a copy that was posted just before, if it was, has one
 * of the numbers below. It is none of those that were heard of; and what lies below the first of
 * these, or was posted by another worker, may be anything: a reminder, an alert, a list, a test. */
static bool stray(const struct fl_channel *ch, struct fl_str place, struct fl_str posted, int at,
                  struct fl_arena *arena, struct fl_str *ret)
{
    const struct fl_channel_posted *p = &ch->posted;
    unsigned count = p->count < FL_CHANNEL_POSTED ? p->count : FL_CHANNEL_POSTED;
    bool is_known = false, has_floor = false;
    long long id, chat;
    if (at >= STRAYS_MAX || p->under_way || fl_str_is(fl_channel_config(ch, "mode"), "webhook") ||
        !fl_str_to_i64(posted, &id) || !fl_str_to_i64(place, &chat))
        return false;
    id -= at + 1;
    for (unsigned i = 0; i < count; i++) {
        is_known |= p->place[i] == chat && p->message[i] == id;
        has_floor |= p->place[i] == chat && p->message[i] < id;
    }
    char *text = is_known || !has_floor ? NULL : fl_arena_printf(arena, "%lld", id);
    *ret = text ? fl_str_of(text) : (struct fl_str){ NULL, 0 };
    return has_floor || is_known;
}

const struct fl_channel_kind fl_channel_telegram = {
    .name = "telegram",
    .via = "telegram",
    .whole_max = WHOLE_MAX,
    .how_to_link = "send it to me in a private chat",
    .help = "I show calls that wait for a decision. /pending lists them, /stop NAME stops an agent",
    .check = check,
    .place = place,
    .draw = fl_telegram_draw,
    .draw_many = fl_telegram_draw_many,
    .send_start = send_start,
    .stray = stray,
    .listen_start = fl_telegram_listen_start,
    .is_genuine = fl_telegram_is_genuine,
    .hook_start = fl_telegram_hook_start,
    .link_url = link_url
};
