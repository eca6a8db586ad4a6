/* One interaction or command: who, what, where; a modal at once where one is wanted, because a
 * trigger lives for 3 s; whether Slack vouches for the person; the event (chat.c); the answer. What
 * is shown in a modal is shown after the authority was looked at. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/slack_priv.h"

#define TRUSTED_MS    30000 /* how long an answer of users.info is believed */
#define TRUSTED_COUNT 128

FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(check);
FL_STEP_DECLARE(checked);
FL_STEP_DECLARE(act);
FL_STEP_DECLARE(acted);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(tell);
FL_STEP_DECLARE(told);

static struct fl_slack_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_event, flow);
}

static fl_next refuse(struct fl_slack_event *s, const char *text)
{
    snprintf(s->event.answer, sizeof s->event.answer, "%s", text);
    s->event.is_alert = true;
    return &S_tell;
}

/* ---------------------------------------------------------------- understanding */
static bool is_id(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!(s.p[i] >= 'A' && s.p[i] <= 'Z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
            return false;
    }
    return s.n > 1 && s.n <= 40;
}

/* Of this installation, by this workspace's own user: else it is dropped without a word. */
static bool read_user(struct fl_slack_event *s)
{
    const json_t *user = json_object_get(s->payload, "user"), *facts = s->channel->facts;
    struct fl_str ours = fl_json_get_str(facts, "team");
    struct fl_str enterprise = fl_json_get_str(facts, "enterprise");
    struct fl_str team = user ? fl_json_get_str(json_object_get(s->payload, "team"), "id")
                              : fl_json_get_str(s->payload, "team_id");
    struct fl_str grid = user ? fl_json_get_str(json_object_get(s->payload, "enterprise"), "id")
                              : fl_json_get_str(s->payload, "enterprise_id");
    struct fl_str name = fl_json_get_str(user ? user : s->payload, user ? "username" : "user_name");
    s->user = fl_json_get_str(user ? user : s->payload, user ? "id" : "user_id");
    s->team = user ? fl_json_get_str(user, "team_id") : team;
    if (!ours.n || !is_id(s->user))
        return false;
    bool is_ours = team.n ? fl_str_eq(team, ours) : enterprise.n && fl_str_eq(grid, enterprise);
    if (!is_ours)
        return false;
    name.n = name.n > 60 ? fl_utf8_cut(name, 60) : name.n;
    char *id = fl_arena_printf(s->arena, "%.*s%s%.*s/%.*s", FL_STR_ARG(enterprise),
                               enterprise.n ? "/" : "", FL_STR_ARG(ours), FL_STR_ARG(s->user));
    s->event.external = fl_str_of(id ? id : "");
    s->event.display = name.p ? name : FL_STR("");
    return id != NULL;
}

static void set_place(struct fl_slack_event *s, struct fl_str channel, struct fl_str ts)
{
    struct fl_chat_event *e = &s->event;
    e->place = channel;
    e->message = ts;
    if (channel.n && channel.p[0] == 'D') { /* their own chat with the app */
        char *id = fl_arena_printf(s->arena, "%.*s:%.*s", FL_STR_ARG(channel), FL_STR_ARG(ts));
        e->message = fl_str_of(id ? id : "");
        e->place = e->external;
        e->is_private = true;
    }
}

static bool read_view(struct fl_slack_event *s, const json_t *view)
{
    if (!fl_slack_meta_read(fl_json_get_str(view, "private_metadata"), &s->meta))
        return false;
    s->is_in_view = true;
    s->view_id = fl_json_get_str(view, "id");
    s->event.place = s->meta.place;
    s->event.message = s->meta.message;
    return s->view_id.n > 0;
}

/* Pages are turned in the modal; nothing of the card's row changes. */
static void turn(struct fl_slack_event *s)
{
    struct fl_chat_event *e = &s->event;
    if (!s->is_in_view)
        return;
    if (e->verb == FL_CHAT_NEXT || e->verb == FL_CHAT_BACK) {
        s->meta.page += e->verb == FL_CHAT_NEXT ? 1 : -1;
        s->is_review = true;
        e->verb = FL_CHAT_REVIEW;
    }
    e->has_read = s->meta.pages > 0 && s->meta.page + 1 == s->meta.pages;
}

static bool read_action(struct fl_slack_event *s)
{
    const json_t *view = json_object_get(s->payload, "view");
    const json_t *container = json_object_get(s->payload, "container");
    const json_t *action = json_array_get(json_object_get(s->payload, "actions"), 0);
    struct fl_str value = fl_json_get_str(action, "value");
    struct fl_chat_event *e = &s->event;
    if (view ? !read_view(s, view) : !fl_json_get_str(container, "message_ts").n)
        return false;
    if (!view)
        set_place(s, fl_json_get_str(container, "channel_id"),
                  fl_json_get_str(container, "message_ts"));
    if (!value.p) {
        value = fl_json_get_str(json_object_get(action, "selected_option"), "value");
        e->text = fl_slack_reason(value);
        value.n = e->text.p ? value.n - 1 : 0;
    }
    if (!fl_chat_button_read(value, e)) {
        e->verb = FL_CHAT_HELP;
        return true;
    }
    turn(s);
    s->is_review |= e->verb == FL_CHAT_REVIEW;
    s->asks = e->verb == FL_CHAT_ASK;
    s->wants_modal = s->is_review || s->asks || e->verb == FL_CHAT_WHY;
    if (!view)
        s->meta = (struct fl_slack_meta){ value, e->place, e->message, 0, 0 };
    return true;
}

static bool read_submission(struct fl_slack_event *s)
{
    const json_t *view = json_object_get(s->payload, "view");
    const json_t *values = json_object_get(json_object_get(view, "state"), "values");
    const json_t *input = json_object_get(json_object_get(values, "reason"), "reason");
    struct fl_chat_event *e = &s->event;
    if (!fl_str_is(fl_json_get_str(view, "callback_id"), "reason") || !read_view(s, view) ||
        !fl_chat_button_read(s->meta.button, e) ||
        (e->verb != FL_CHAT_WHY && e->verb != FL_CHAT_ASK))
        return false;
    e->may_ask_again = e->verb == FL_CHAT_ASK;
    e->verb = FL_CHAT_REJECT;
    e->text = fl_str_trim(fl_json_get_str(input, "value"));
    return e->text.n > 0;
}

/* "link CODE", "pending", "stop NAME" */
static void read_command(struct fl_slack_event *s)
{
    struct fl_str text = fl_str_trim(fl_json_get_str(s->payload, "text"));
    struct fl_chat_event *e = &s->event;
    size_t end = 0;
    while (end < text.n && text.p[end] != ' ')
        end++;
    struct fl_str word = { text.p, end };
    e->text = fl_str_trim((struct fl_str){ text.p + end, text.n - end });
    e->place = e->external;
    e->is_private = true; /* nobody else sees a command or its answer */
    e->verb = fl_str_is(word, "link") && e->text.n   ? FL_CHAT_LINK
              : fl_str_is(word, "pending")           ? FL_CHAT_PENDING
              : fl_str_is(word, "stop") && e->text.n ? FL_CHAT_STOP_NAMED
                                                     : FL_CHAT_HELP;
}

static bool understand(struct fl_slack_event *s)
{
    struct fl_str type = fl_json_get_str(s->payload, "type");
    s->event.channel = s->channel;
    s->trigger = fl_json_get_str(s->payload, "trigger_id");
    s->response_url = fl_json_get_str(s->payload, "response_url");
    if (!read_user(s))
        return false;
    if (fl_str_is(type, "block_actions"))
        return read_action(s);
    if (fl_str_is(type, "view_submission"))
        return read_submission(s);
    if (!fl_json_get_str(s->payload, "command").n)
        return false;
    read_command(s);
    return true;
}

static fl_next call(struct fl_slack_event *s, fl_next then, const char *method, struct fl_buf *body)
{
    fl_slack_call_fini(&s->call);
    return fl_await(&s->flow, then,
                    fl_slack_call_start(&s->flow.op, &s->call, s->channel, "token", method, body));
}

FL_STEP(begin)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (!understand(s))
        return fl_end(f);
    if (!s->wants_modal || s->is_in_view)
        return &S_check;
    fl_buf_puts(&body, "{\"trigger_id\":");
    fl_buf_json_str(&body, s->trigger);
    fl_buf_puts(&body, ",\"view\":");
    fl_slack_view_text(&body, FL_STR("Loading..."));
    fl_buf_putc(&body, '}');
    return call(s, &S_opened, "views.open", &body);
}

FL_STEP(opened)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return refuse(s, "that took too long for Slack; nothing was decided, press it again");
    s->view_id = fl_json_get_str(json_object_get(s->call.answer, "view"), "id");
    s->view_id = fl_arena_str(s->arena, s->view_id);
    s->is_in_view = s->view_id.n > 0;
    return &S_check;
}

/* ---------------------------------------------------------------- does Slack vouch for them? */
/* Accounts that were found to be full members, by channel and user; one loop thread. */
static struct trusted {
    struct fl_uuid channel;
    char user[44];
    int64_t until_ms;
} trusted[TRUSTED_COUNT];

static struct trusted *trusted_slot(const struct fl_slack_event *s)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < s->user.n; i++)
        hash = (hash ^ (unsigned char)s->user.p[i]) * 16777619u;
    return &trusted[hash % TRUSTED_COUNT];
}

FL_STEP(check)
{
    struct fl_slack_event *s = event_of(f);
    const struct trusted *t = trusted_slot(s);
    struct fl_buf body = FL_BUF_INIT;
    if (t->until_ms > fl_mono_ms() && fl_uuid_cmp(&t->channel, &s->channel->id) == 0 &&
        fl_str_is(s->user, t->user))
        return &S_act;
    fl_buf_printf(&body, "user=%.*s", FL_STR_ARG(s->user));
    return call(s, &S_checked, "users.info", &body);
}

static const char *why_not(const struct fl_slack_event *s, const json_t *user)
{
    const json_t *facts = s->channel->facts, *grid = json_object_get(user, "enterprise_user");
    struct fl_str enterprise = fl_json_get_str(facts, "enterprise");
    bool is_ours = fl_str_eq(fl_json_get_str(user, "team_id"), fl_json_get_str(facts, "team")) ||
                   (enterprise.n && fl_str_eq(fl_json_get_str(grid, "enterprise_id"), enterprise));
    if (!fl_str_eq(fl_json_get_str(user, "id"), s->user))
        return "Slack does not know you; nothing was decided";
    if (json_is_true(json_object_get(user, "deleted")))
        return "your Slack account is deactivated; nothing was decided";
    if (json_is_true(json_object_get(user, "is_bot")) ||
        json_is_true(json_object_get(user, "is_workflow_bot")) || fl_str_is(s->user, "USLACKBOT"))
        return "a bot decides nothing";
    if (!is_ours || json_is_true(json_object_get(user, "is_stranger")))
        return "you are of another workspace: nothing can be decided from there";
    if (json_is_true(json_object_get(user, "is_restricted")) ||
        json_is_true(json_object_get(user, "is_ultra_restricted")))
        return "a guest of this workspace decides nothing";
    return NULL;
}

FL_STEP(checked)
{
    struct fl_slack_event *s = event_of(f);
    const json_t *user = json_object_get(s->call.answer, "user");
    struct trusted *t = trusted_slot(s);
    if (f->op.code)
        return refuse(s, "Slack did not say who you are; nothing was decided, try again");
    const char *why = why_not(s, user);
    if (why) {
        FL_LOG(INFO, "chat_stranger", FL_KU("org", &s->channel->organization),
               FL_KV("channel", s->channel->name), FL_KV("external", s->event.external));
        return refuse(s, why);
    }
    t->channel = s->channel->id;
    t->until_ms = fl_mono_ms() + TRUSTED_MS;
    snprintf(t->user, sizeof t->user, "%.*s", FL_STR_ARG(s->user));
    return &S_act;
}

/* ---------------------------------------------------------------- doing */
FL_STEP(act)
{
    struct fl_slack_event *s = event_of(f);
    enum fl_code code = fl_chat_event_start(&f->op, &s->event);
    s->is_event_open = code == FL_OK;
    return fl_await(f, &S_acted, code);
}

FL_STEP(acted)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return refuse(s, "it could not be recorded; nothing was decided, try again");
    if (!s->wants_modal || s->event.answer[0])
        return &S_tell;
    s->look = (struct fl_look){ .core = s->channel->core,
                                .organization = s->channel->organization,
                                .id = s->event.approval,
                                .wants_arguments = s->is_review,
                                .wants_ballot = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &s->look));
}

static enum fl_code put_review(struct fl_slack_event *s, struct fl_buf *out, struct fl_err *err)
{
    bool is_summary = s->channel->disclose == FL_DISCLOSE_SUMMARY || !s->view.ask ||
                      s->view.ask->disclose == FL_DISCLOSE_SUMMARY;
    struct fl_approval_texts texts = { .arguments = s->look.arguments,
                                       .preview = s->look.preview,
                                       .justification = s->look.justification,
                                       .is_tampered = s->look.is_tampered,
                                       .disclose =
                                           is_summary ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL };
    struct fl_card card;
    struct fl_chat_drawing drawing = { .card = &card,
                                       .card_id = s->event.card,
                                       .binding = s->look.row.binding_digest };
    enum fl_code code =
        fl_card_of(s->arena, &s->view, &texts, s->channel->core->keys, &s->channel->organization,
                   s->channel->kind->whole_max, &card, err);
    return code ? code : fl_slack_view_card(out, &drawing, &s->meta, s->arena, err);
}

/* Who may not decide it is shown nothing of it. */
FL_STEP(looked)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    struct fl_err err;
    if (f->op.code)
        return refuse(s, "it could not be looked up; nothing was decided, try again");
    enum fl_code code =
        fl_approval_view_read(&s->view, s->arena, &s->look.row, &s->look.ballot, &err);
    s->is_view_read = code == FL_OK;
    if (code == FL_OK)
        code = fl_approval_may_vote(&s->view, &s->event.person, true, &err);
    if (code)
        return refuse(s, err.text);
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    if (!s->is_review)
        fl_slack_view_reason(&body, &s->meta, s->asks);
    else
        code = put_review(s, &body, &err);
    fl_buf_putc(&body, '}');
    if (code) {
        fl_buf_fini(&body);
        return refuse(s, "it could not be shown; nothing was decided");
    }
    return call(s, &S_told, "views.update", &body);
}

/* ---------------------------------------------------------------- answering */
static fl_next tell_in_view(struct fl_slack_event *s)
{
    struct fl_buf body = FL_BUF_INIT;
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    fl_slack_view_text(&body, fl_str_of(s->event.answer));
    fl_buf_putc(&body, '}');
    return call(s, &S_told, "views.update", &body);
}

FL_STEP(tell)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (s->is_in_view)
        return tell_in_view(s);
    if (!s->response_url.n || !s->event.answer[0])
        return fl_end(f);
    fl_slack_call_fini(&s->call);
    fl_buf_puts(&body, "{\"response_type\":\"ephemeral\",\"replace_original\":");
    fl_buf_puts(&body, s->event.is_stray ? "true," : "false,");
    fl_slack_text(&body, fl_str_of(s->event.answer), s->event.list);
    fl_buf_putc(&body, '}');
    return fl_await(f, &S_told,
                    fl_slack_respond_start(&f->op, &s->call, s->channel, s->response_url, &body));
}

/* Whether the answer arrived changes nothing: what was decided is decided, and cards tell. */
FL_STEP(told)
{
    const struct fl_slack_event *s = event_of(f);
    if (f->op.code && f->op.code != FL_CANCELLED)
        FL_LOG(WARN, "slack_answer", FL_KU("org", &s->channel->organization),
               FL_KV("channel", s->channel->name), FL_KS("reason", f->op.err.text));
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_op *op = s->op;
    if (s->is_view_read)
        fl_approval_view_fini(&s->view);
    fl_look_fini(&s->look);
    if (s->is_event_open)
        fl_chat_event_fini(&s->event);
    fl_slack_call_fini(&s->call);
    fl_arena_free(&s->arena);
    fl_op_finish(op, FL_OK);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_slack_event, post)->flow, &S_begin);
}

/* Answers end early; what is being decided goes on. */
static void cancel(struct fl_op *op)
{
    struct fl_slack_event *s = op->provider;
    fl_op_cancel(&s->flow.op);
}

enum fl_code fl_slack_event_start(struct fl_op *op, struct fl_slack_event *s)
{
    s->arena = fl_arena_new(0);
    if (!s->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_flow_init(&s->flow, &S_failed, on_ended);
    s->op = op;
    fl_op_start(op, cancel, s);
    s->post = (struct fl_post){ .run = on_start };
    fl_loop_post(s->channel->core->loop, &s->post);
    return FL_OK;
}

/* A submitted modal turns into "recording", and then into what came of it. */
struct fl_str fl_slack_event_ack(const json_t *payload, struct fl_arena *arena)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str ret = FL_STR("");
    if (!fl_str_is(fl_json_get_str(payload, "type"), "view_submission"))
        return ret;
    fl_buf_puts(&out, "{\"response_action\":\"update\",\"view\":");
    fl_slack_view_text(&out, FL_STR("Recording..."));
    fl_buf_putc(&out, '}');
    if (!out.is_failed)
        ret = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return ret.p ? ret : FL_STR("");
}
