/* One update of a bot: who, what, where; then the event (chat.c), then the answer. What is not
 * somebody's own doing in a chat that is allowed is dropped: channel posts, edits, bots, anonymous
 * administrators, other chats. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"
#include "runtime/notify/telegram_priv.h"
#include "runtime/store/chat.h"

#define REASON_MS       INT64_C(600000)
/* Accounts of Telegram itself that stand for others: anonymous administrators, channels, services.
 */
#define ANONYMOUS_ADMIN 1087968824
#define CHANNEL_BOT     136817688
#define SERVICE         777000

FL_STEP_DECLARE(acted);
FL_STEP_DECLARE(decided);
FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(told);
FL_STEP_DECLARE(strayed);
FL_STEP_DECLARE(asked);
FL_STEP_DECLARE(prompted);

static struct fl_telegram_update *update_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_telegram_update, flow);
}

/* ---------------------------------------------------------------- understanding */
static bool read_id(struct fl_telegram_update *u, const json_t *object, const char *name,
                    struct fl_str *ret)
{
    const json_t *id = json_object_get(object, name);
    char *text = json_is_integer(id)
                     ? fl_arena_printf(u->arena, "%lld", (long long)json_integer_value(id))
                     : NULL;
    *ret = fl_str_of(text);
    return text != NULL;
}

/* A person, as they themselves. */
static bool read_from(struct fl_telegram_update *u, const json_t *from)
{
    long long id = json_integer_value(json_object_get(from, "id"));
    struct fl_str first = fl_json_get_str(from, "first_name");
    struct fl_str user = fl_json_get_str(from, "username");
    if (id <= 0 || json_is_true(json_object_get(from, "is_bot")) || id == ANONYMOUS_ADMIN ||
        id == CHANNEL_BOT || id == SERVICE)
        return false;
    first.n = first.n > 60 ? fl_utf8_cut(first, 60) : first.n;
    char *display = fl_arena_printf(u->arena, "%.*s%s%.*s", FL_STR_ARG(first), user.n ? " @" : "",
                                    (int)(user.n > 40 ? 40 : user.n), user.n ? user.p : "");
    u->event.display = fl_str_of(display ? display : "");
    return read_id(u, from, "id", &u->event.external);
}

/* Their own chat with the bot, or a group that the administrator named. */
static bool read_chat(struct fl_telegram_update *u, const json_t *chat)
{
    struct fl_str at;
    bool is_own = fl_str_is(fl_json_get_str(chat, "type"), "private");
    if (!read_id(u, chat, "id", &u->event.place))
        return false;
    u->event.is_private = is_own && fl_str_eq(u->event.place, u->event.external);
    bool is_allowed = u->event.is_private;
    for (size_t i = 0; !is_own && u->channel->kind->place(u->channel, i, &at); i++)
        is_allowed |= fl_str_eq(at, u->event.place);
    return is_allowed;
}

static bool read_button(struct fl_telegram_update *u, const json_t *query)
{
    const json_t *message = json_object_get(query, "message");
    u->query = fl_json_get_str(query, "id");
    if (!u->query.p || !read_from(u, json_object_get(query, "from")) ||
        !read_chat(u, json_object_get(message, "chat")) ||
        !read_id(u, message, "message_id", &u->event.message))
        return false;
    if (!fl_chat_button_read(fl_json_get_str(query, "data"), &u->event))
        u->event.verb = FL_CHAT_HELP;
    return true;
}

/* "/stop@our_bot billing" -> "billing" of "stop" */
static bool is_command(struct fl_str text, const char *name, struct fl_str *ret_rest)
{
    size_t n = strlen(name), end = 0;
    while (end < text.n && text.p[end] != ' ' && text.p[end] != '\n')
        end++;
    struct fl_str word = { text.p, end };
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '@')
            word.n = i;
    }
    if (word.n != n + 1 || word.p[0] != '/' || memcmp(word.p + 1, name, n) != 0)
        return false;
    *ret_rest = fl_str_trim((struct fl_str){ text.p + end, text.n - end });
    return true;
}

static bool read_message(struct fl_telegram_update *u, const json_t *message)
{
    struct fl_chat_event *e = &u->event;
    const json_t *answered = json_object_get(message, "reply_to_message");
    struct fl_str text = fl_json_get_str(message, "text"), rest = { NULL, 0 };
    if (json_object_get(message, "sender_chat") ||
        !read_from(u, json_object_get(message, "from")) ||
        !read_chat(u, json_object_get(message, "chat")) ||
        !read_id(u, message, "message_id", &e->message) || !text.p)
        return false;
    e->verb = FL_CHAT_HELP;
    if (is_command(text, "start", &rest) && rest.n) {
        e->verb = FL_CHAT_LINK;
    } else if (is_command(text, "pending", &rest)) {
        e->verb = FL_CHAT_PENDING;
    } else if (is_command(text, "stop", &rest) && rest.n) {
        e->verb = FL_CHAT_STOP_NAMED;
    } else if (answered) {
        e->verb = FL_CHAT_REPLY;
        rest = fl_str_trim(text);
        if (!read_id(u, answered, "message_id", &e->message))
            return false;
    } else if (!e->is_private) {
        return false; /* people talk to each other */
    }
    e->text = rest;
    return true;
}

static bool understand(struct fl_telegram_update *u)
{
    const json_t *query = json_object_get(u->update, "callback_query");
    const json_t *message = json_object_get(u->update, "message");
    u->event.channel = u->channel;
    return query ? read_button(u, query) : message ? read_message(u, message) : false;
}

static fl_next decide_marked(struct fl_telegram_update *u)
{
    const struct fl_chat_event *e = &u->event;
    struct fl_many *m = FL_ARENA_NEW(u->arena, struct fl_many);
    u->is_event_failed = !m;
    if (!m)
        return fl_fail_with(&u->flow, FL_NOMEM, "out of memory");
    *m = (struct fl_many){ .channel = u->channel,
                           .arena = u->arena,
                           .external = e->external,
                           .display = e->display,
                           .place = e->place,
                           .message = e->message,
                           .is_private = e->is_private,
                           .is_marked = true,
                           .host = e->card };
    memcpy(m->marks, e->binding, sizeof m->marks);
    u->many = m;
    enum fl_code code = fl_many_start(&u->flow.op, m);
    u->is_event_failed = code != FL_OK;
    return fl_await(&u->flow, &S_decided, code);
}

FL_STEP(begin)
{
    struct fl_telegram_update *u = update_of(f);
    if (!understand(u)) {
        /* A button keeps turning until it is answered, also for whom we do not speak to. */
        if (!u->query.p)
            return fl_end(f);
        snprintf(u->event.answer, sizeof u->event.answer, "not for you, or not in this chat");
        u->event.is_alert = true;
        return &S_acted;
    }
    if (u->event.verb == FL_CHAT_MARKED)
        return decide_marked(u);
    enum fl_code code = fl_chat_event_start(&f->op, &u->event);
    u->is_event_open = code == FL_OK;
    u->is_event_failed = code != FL_OK;
    return fl_await(f, &S_acted, code);
}

/* ---------------------------------------------------------------- answering */
static fl_next call(struct fl_telegram_update *u, fl_next then, const char *method,
                    struct fl_buf *body)
{
    fl_bot_call_fini(&u->call);
    fl_buf_putc(body, '}');
    return fl_await(
        &u->flow, then,
        fl_bot_call_start(&u->flow.op, &u->call, u->channel, method, body, FL_TELEGRAM_TIMEOUT_MS));
}

static fl_next answer_button(struct fl_telegram_update *u)
{
    struct fl_buf body = FL_BUF_INIT;
    struct fl_str text = fl_str_of(u->event.answer);
    if (fl_utf8_count(text) > FL_TELEGRAM_ANSWER_CHARS)
        text.n = fl_utf8_cut(text, FL_TELEGRAM_ANSWER_CHARS);
    fl_buf_puts(&body, "{\"callback_query_id\":");
    fl_buf_json_str(&body, u->query);
    if (text.n) {
        fl_buf_puts(&body, ",\"text\":");
        fl_buf_json_str(&body, text);
        fl_buf_printf(&body, ",\"show_alert\":%s", u->event.is_alert ? "true" : "false");
    }
    return call(u, &S_told, "answerCallbackQuery", &body);
}

static fl_next answer_message(struct fl_telegram_update *u)
{
    struct fl_buf body = FL_BUF_INIT;
    if (!u->event.answer[0])
        return fl_end(&u->flow);
    fl_buf_printf(&body, "{\"chat_id\":%.*s,", FL_STR_ARG(u->event.place));
    fl_telegram_text(&body, fl_str_of(u->event.answer), u->event.list);
    return call(u, &S_asked, "sendMessage", &body);
}

FL_STEP(acted)
{
    struct fl_telegram_update *u = update_of(f);
    u->is_event_failed = f->op.code != FL_OK;
    if (f->op.code)
        return fl_fail(f);
    return u->query.p ? answer_button(u) : answer_message(u);
}

FL_STEP(decided)
{
    struct fl_telegram_update *u = update_of(f);
    u->is_event_failed = f->op.code != FL_OK;
    if (f->op.code)
        return fl_fail(f);
    snprintf(u->event.answer, sizeof u->event.answer, "%s", u->many->answer);
    u->event.is_alert = u->many->refused > 0 || !u->many->decided;
    return answer_button(u);
}

/* Of each what came of it, beneath their message: too long for the answer to a button. */
static fl_next list_ends(struct fl_telegram_update *u)
{
    struct fl_buf body = FL_BUF_INIT;
    fl_buf_printf(&body, "{\"chat_id\":%.*s,", FL_STR_ARG(u->event.place));
    fl_telegram_text(&body, fl_str_of(u->many->answer), u->many->list);
    fl_buf_printf(&body, ",\"reply_parameters\":{\"message_id\":%.*s}",
                  FL_STR_ARG(u->event.message));
    return call(u, &S_listed, "sendMessage", &body);
}

FL_STEP(listed)
{
    return fl_end(f);
}

static fl_next ask_words(struct fl_telegram_update *u)
{
    struct fl_buf body = FL_BUF_INIT, shown = FL_BUF_INIT;
    fl_show(&shown, fl_str_of(u->event.words), FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_printf(&body, "{\"chat_id\":%.*s,", FL_STR_ARG(u->event.place));
    fl_telegram_text(&body, FL_STR("To approve it, reply to this message within 10 minutes with:"),
                     shown.is_failed ? FL_STR("") : fl_buf_view(&shown));
    fl_buf_puts(&body, ",\"reply_markup\":{\"force_reply\":true,\"selective\":true}");
    if (!u->event.is_private)
        fl_buf_printf(&body, ",\"reply_parameters\":{\"message_id\":%.*s}",
                      FL_STR_ARG(u->event.message));
    fl_buf_fini(&shown);
    return call(u, &S_asked, "sendMessage", &body);
}

/* Whether the answer arrived changes nothing: what was decided is decided, and cards tell. */
FL_STEP(told)
{
    struct fl_telegram_update *u = update_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (f->op.code != FL_CANCELLED && u->many && u->many->list.n)
        return list_ends(u);
    if (f->op.code == FL_CANCELLED || (!u->event.wants_reason && !u->event.is_stray))
        return fl_end(f);
    fl_buf_printf(&body, "{\"chat_id\":%.*s,", FL_STR_ARG(u->event.place));
    if (u->event.is_stray) {
        fl_buf_printf(&body, "\"message_id\":%.*s,", FL_STR_ARG(u->event.message));
        fl_telegram_text(&body, FL_STR("An older copy of a card; the newer one is valid."),
                         (struct fl_str){ NULL, 0 });
        return call(u, &S_strayed, "editMessageText", &body);
    }
    if (u->event.words)
        return ask_words(u);
    fl_telegram_text(&body,
                     FL_STR("Why is it rejected? Reply to this message within 10 minutes; "
                            "the agent is told."),
                     (struct fl_str){ NULL, 0 });
    fl_buf_puts(&body, ",\"reply_markup\":{\"force_reply\":true,\"selective\":true,"
                       "\"input_field_placeholder\":\"Why is it rejected?\"}");
    if (!u->event.is_private)
        fl_buf_printf(&body, ",\"reply_parameters\":{\"message_id\":%.*s}",
                      FL_STR_ARG(u->event.message));
    return call(u, &S_asked, "sendMessage", &body);
}

FL_STEP(strayed)
{
    return fl_end(f);
}

FL_STEP(asked)
{
    struct fl_telegram_update *u = update_of(f);
    struct fl_chat_event *e = &u->event;
    struct fl_str posted;
    if (f->op.code || !e->wants_reason || !read_id(u, u->call.result, "message_id", &posted))
        return fl_end(f);
    fl_tx_fini(&u->tx);
    fl_tx_init(&u->tx, u->channel->core->pg, u->arena, &u->channel->organization);
    fl_store_chat_prompt_put(&u->tx, &u->channel->id, e->place, posted, e->external, &e->card,
                             REASON_MS, e->words != NULL);
    return fl_await(f, &S_prompted, fl_tx_submit(&f->op, &u->tx));
}

FL_STEP(prompted)
{
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_telegram_update *u = update_of(f);
    struct fl_op *op = u->op;
    /* An answer that could not be sent is not worth doing it again. */
    enum fl_code code = u->is_event_failed ? FL_UNAVAILABLE : FL_OK;
    if (code)
        op->err = f->first;
    if (u->is_event_open)
        fl_chat_event_fini(&u->event);
    fl_bot_call_fini(&u->call);
    fl_tx_fini(&u->tx);
    fl_arena_free(&u->arena);
    fl_op_finish(op, code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_telegram_update, post)->flow, &S_begin);
}

/* Answers end early; what is being decided goes on. */
static void cancel_update(struct fl_op *op)
{
    struct fl_telegram_update *u = op->provider;
    fl_op_cancel(&u->flow.op);
}

enum fl_code fl_telegram_update_start(struct fl_op *op, struct fl_telegram_update *u)
{
    u->arena = fl_arena_new(0);
    if (!u->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    u->event = (struct fl_chat_event){ .verb = FL_CHAT_NONE };
    u->query = (struct fl_str){ NULL, 0 };
    u->many = NULL;
    u->is_event_open = u->is_event_failed = false;
    fl_tx_init(&u->tx, u->channel->core->pg, u->arena, &u->channel->organization);
    fl_flow_init(&u->flow, &S_failed, on_ended);
    u->op = op;
    fl_op_start(op, cancel_update, u);
    u->post = (struct fl_post){ .run = on_start };
    fl_loop_post(u->channel->core->loop, &u->post);
    return FL_OK;
}
