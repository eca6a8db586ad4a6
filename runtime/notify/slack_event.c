/* One interaction or command: who, what, where; a modal at once where one is wanted, because a
 * trigger lives for 3 s; whether Slack vouches for the person; the event (chat.c); the answer. What
 * is shown in a modal is shown after the authority was looked at. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/decide.h"
#include "runtime/crypto/secret.h"
#include "runtime/identity/person.h"
#include "runtime/notify/slack_priv.h"

#define PATIENCE_MS 1500
#define RECORDING   FL_STR("Recording...")

FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(check);
FL_STEP_DECLARE(checked);
FL_STEP_DECLARE(act);
FL_STEP_DECLARE(acted);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(edited);
FL_STEP_DECLARE(has_factor);
FL_STEP_DECLARE(tell);
FL_STEP_DECLARE(told);

static struct fl_slack_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_event, flow);
}

fl_next fl_slack_refuse(struct fl_slack_event *s, const char *text)
{
    snprintf(s->event.answer, sizeof s->event.answer, "%s", text);
    s->event.is_alert = true;
    return &S_tell;
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
    if (s->is_again) {
        s->event.external = fl_slack_external(s->channel, s->arena, s->team, s->user);
        return &S_check;
    }
    if (fl_str_is(fl_json_get_str(s->payload, "type"), "event_callback")) {
        fl_next notice = fl_slack_notice(s);
        return s->is_home ? &S_check : notice;
    }
    if (!fl_slack_event_read(s))
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
        return fl_slack_refuse(s,
                               "that took too long for Slack; nothing was decided, press it again");
    s->view_id = fl_json_get_str(json_object_get(s->call.answer, "view"), "id");
    s->view_id = fl_arena_str(s->arena, s->view_id);
    s->is_in_view = s->view_id.n > 0;
    return &S_check;
}

/* ---------------------------------------------------------------- does Slack vouch for them? */
FL_STEP(check)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (fl_slack_is_trusted(s->channel, s->team, s->user))
        return &S_act;
    fl_buf_printf(&body, "user=%.*s", FL_STR_ARG(s->user));
    return call(s, &S_checked, "users.info", &body);
}

FL_STEP(checked)
{
    struct fl_slack_event *s = event_of(f);
    const json_t *user = json_object_get(s->call.answer, "user");
    s->retry_ms = f->op.code == FL_TOO_MANY ? s->call.retry_ms : 0;
    if (f->op.code)
        return fl_slack_refuse(s, "Slack did not say who you are; nothing was decided, try again");
    const char *why = fl_slack_why_not(s->channel, s->team, s->user, user);
    if (why) {
        FL_LOG(INFO, "chat_stranger", FL_KU("org", &s->channel->organization),
               FL_KV("channel", s->channel->name), FL_KV("external", s->event.external));
        return fl_slack_disable(s, s->is_home ? fl_slack_home_refuse(s, why)
                                              : fl_slack_refuse(s, why));
    }
    fl_slack_trust(s->channel, s->team, s->user);
    return &S_act;
}

/* ---------------------------------------------------------------- doing */
FL_STEP(act)
{
    struct fl_slack_event *s = event_of(f);
    if (s->is_home)
        return fl_slack_home(s);
    if (s->is_form && s->is_submitted)
        return fl_slack_form(s);
    enum fl_code code = fl_chat_event_start(&f->op, &s->event);
    s->is_event_open = code == FL_OK;
    return fl_await(f, &S_acted, code);
}

FL_STEP(acted)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return fl_slack_refuse(
            s, "it is not certain that this was recorded: the card says what holds; "
               "if it still waits, press again");
    if (!s->wants_modal || s->event.answer[0])
        return &S_tell;
    if (s->is_form)
        return fl_slack_form(s);
    s->look = (struct fl_look){ .core = s->channel->core,
                                .organization = s->channel->organization,
                                .id = s->event.approval,
                                .wants_arguments = s->is_review || s->is_edit,
                                .wants_ballot = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &s->look));
}

static bool is_summary(const struct fl_slack_event *s)
{
    return s->channel->disclose == FL_DISCLOSE_SUMMARY || !s->view.ask ||
           s->view.ask->disclose == FL_DISCLOSE_SUMMARY;
}

static enum fl_code put_review(struct fl_slack_event *s, struct fl_buf *out, struct fl_err *err)
{
    struct fl_approval_texts texts = { .arguments = s->look.arguments,
                                       .preview = s->look.preview,
                                       .justification = s->look.justification,
                                       .is_tampered = s->look.is_tampered,
                                       .disclose =
                                           is_summary(s) ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL };
    struct fl_card card;
    struct fl_chat_drawing drawing = { .card = &card,
                                       .card_id = s->event.card,
                                       .binding = s->look.row.binding_digest,
                                       .is_typed = s->view.ask && s->view.ask->needs_typed,
                                       .is_proved =
                                           s->view.ask && s->view.ask->needs_second_factor };
    enum fl_code code =
        fl_card_of(s->arena, &s->view, &texts, s->channel->core->keys, &s->channel->organization,
                   s->channel->kind->whole_max, &card, err);
    return code ? code : fl_slack_view_card(out, &drawing, &s->meta, s->arena, err);
}

/* ---------------------------------------------------------------- changing the arguments */
/* The form; `trouble`: once more, with what was wrong. */
static fl_next show_edit(struct fl_slack_event *s, const char *trouble)
{
    struct fl_buf body = FL_BUF_INIT;
    struct fl_err err;
    if (is_summary(s) || s->look.is_tampered || !s->look.arguments.p)
        return fl_slack_refuse(s, "its arguments are not shown here; nothing was changed");
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    enum fl_code code = fl_slack_view_edit(&body, s, trouble, &err);
    fl_buf_putc(&body, '}');
    if (code == FL_OK)
        return call(s, &S_told, "views.update", &body);
    fl_buf_fini(&body);
    return fl_slack_refuse(s, code == FL_TOO_LARGE ? err.text
                                                   : "it could not be shown; nothing was changed");
}

/* The same as over REST and by command line, with what they saw. */
static fl_next submit_edit(struct fl_slack_event *s)
{
    struct fl_edit *e = FL_ARENA_NEW(s->arena, struct fl_edit);
    struct fl_str binding = s->look.row.binding_digest;
    char *hex = fl_arena_alloc(s->arena, 2 * FL_DIGEST_BYTES + 1);
    struct fl_err err;
    if (is_summary(s) || s->look.is_tampered || !s->look.arguments.p)
        return fl_slack_refuse(s, "its arguments are not shown here; nothing was changed");
    if (!e || !hex || binding.n != FL_DIGEST_BYTES)
        return fl_slack_refuse(s, "it could not be recorded; nothing was changed");
    *e = (struct fl_edit){ .core = s->channel->core,
                           .organization = s->channel->organization,
                           .approval = s->event.approval,
                           .person = s->event.person,
                           .person_name = s->event.person_name,
                           .evidence = { .chat = s->channel->kind->name,
                                         .external = s->event.external },
                           .binding = fl_str_of(fl_hex(binding.p, binding.n, hex)),
                           .via = s->channel->kind->via };
    if (fl_slack_edit_read(s, &e->arguments, &e->reason, &err) != FL_OK)
        return show_edit(s, err.text);
    s->edit = e;
    return fl_await(&s->flow, &S_edited, fl_edit_start(&s->flow.op, e));
}

FL_STEP(edited)
{
    struct fl_slack_event *s = event_of(f);
    char text[FL_ERR_TEXT_BYTES], id[FL_UUID_TEXT];
    snprintf(text, sizeof text, "%s", f->op.err.text);
    fl_cleanse((char *)s->edit->arguments.p, s->edit->arguments.n);
    if (f->op.code == FL_BAD_PARAMS)
        return show_edit(s, text);
    if (f->op.code == FL_OK)
        snprintf(text, sizeof text, "changed; it waits for a decision anew, as %s%s",
                 fl_uuid_format(&s->edit->id, id),
                 s->view.ask->editor_may_approve ? "" : ", which somebody else makes");
    else if (f->op.code != FL_FORBIDDEN && f->op.code != FL_CONFLICT)
        return fl_slack_refuse(
            s, "it is not certain that this was recorded: the card says what holds");
    return fl_slack_refuse(s, text);
}

/* ---------------------------------------------------------------- the second factor */
/* Only who may decide it is asked, and only who has an authenticator. */
static fl_next look_for_factor(struct fl_slack_event *s)
{
    struct fl_person_auth *a = FL_ARENA_NEW(s->arena, struct fl_person_auth);
    if (!a || !s->channel->core->people)
        return fl_slack_refuse(s, "it could not be looked up; nothing was decided, try again");
    *a = (struct fl_person_auth){ .people = s->channel->core->people,
                                  .name = s->event.person_name,
                                  .passphrase = FL_STR(""),
                                  .totp = FL_STR(""),
                                  .by_code = true,
                                  .from = s->channel->kind->via };
    s->auth = a;
    return fl_await(&s->flow, &S_has_factor, fl_person_auth_start(&s->flow.op, a));
}

FL_STEP(has_factor)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    char words[FL_DECIDE_WORDS];
    if (!s->auth->has_totp || f->op.code != FL_UNAUTHENTICATED)
        return fl_slack_refuse(s, f->op.err.text);
    f->op.code = FL_OK; /* no code was given: it is asked for */
    fl_decide_words(s->look.row.tool, words);
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    fl_slack_view_code(&body, &s->meta, s->view.ask->needs_typed ? words : NULL);
    fl_buf_putc(&body, '}');
    return call(s, &S_told, "views.update", &body);
}

/* Who may not decide it is shown nothing of it. */
FL_STEP(looked)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    struct fl_err err;
    if (f->op.code)
        return fl_slack_refuse(s, "it could not be looked up; nothing was decided, try again");
    enum fl_code code =
        fl_approval_view_read(&s->view, s->arena, &s->look.row, &s->look.ballot, &err);
    s->is_view_read = code == FL_OK;
    if (code == FL_OK)
        code = fl_approval_may_vote(&s->view, &s->event.person, true, &err);
    if (code)
        return fl_slack_refuse(s, err.text);
    if (s->is_edit)
        return s->is_submitted ? submit_edit(s) : show_edit(s, NULL);
    if (s->is_proof)
        return look_for_factor(s);
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    if (s->event.words)
        fl_slack_view_words(&body, &s->meta, s->event.words);
    else if (!s->is_review)
        fl_slack_view_reason(&body, &s->meta, s->asks);
    else
        code = put_review(s, &body, &err);
    fl_buf_putc(&body, '}');
    if (code) {
        fl_buf_fini(&body);
        return fl_slack_refuse(s, "it could not be shown; nothing was decided");
    }
    return call(s, &S_told, "views.update", &body);
}

/* ---------------------------------------------------------------- answering */
static void put_answer(struct fl_buf *out, struct fl_str text)
{
    fl_buf_puts(out, "{\"response_action\":\"update\",\"view\":");
    fl_slack_view_text(out, text);
    fl_buf_putc(out, '}');
}

fl_next fl_slack_show(struct fl_slack_event *s, struct fl_buf *view)
{
    struct fl_buf body = FL_BUF_INIT;
    fl_buf_puts(&body, "{\"view_id\":");
    fl_buf_json_str(&body, s->view_id);
    fl_buf_puts(&body, ",\"view\":");
    fl_buf_str(&body, fl_buf_view(view));
    fl_buf_putc(&body, '}');
    body.is_failed |= view->is_failed;
    fl_buf_fini(view);
    return call(s, &S_told, "views.update", &body);
}

static fl_next tell_in_view(struct fl_slack_event *s)
{
    struct fl_buf view = FL_BUF_INIT;
    fl_slack_view_text(&view, fl_str_of(s->event.answer));
    return fl_slack_show(s, &view);
}

static void acknowledge(struct fl_slack_event *s, struct fl_str answer)
{
    void (*give)(struct fl_slack_event *, struct fl_str) = s->acknowledge;
    s->acknowledge = NULL;
    fl_loop_timer_cancel(s->channel->core->loop, &s->patience);
    if (give)
        give(s, answer);
}

/* What came of a form stands in it: as an error at its input, which can be typed anew, or instead
 * of it. */
static fl_next tell_in_answer(struct fl_slack_event *s)
{
    struct fl_buf out = FL_BUF_INIT;
    if (s->event.wrong) {
        fl_buf_printf(&out, "{\"response_action\":\"errors\",\"errors\":{\"%s\":",
                      s->event.wrong == FL_CHAT_WRONG_CODE ? FL_SLACK_FORM_CODE : "reason");
        fl_buf_json_str(&out, fl_str_of(s->event.answer));
        fl_buf_puts(&out, "}}");
    } else {
        put_answer(&out, fl_str_of(s->event.answer));
    }
    acknowledge(s, out.is_failed ? FL_STR("") : fl_buf_view(&out));
    fl_buf_fini(&out);
    return fl_end(&s->flow);
}

FL_STEP(tell)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf body = FL_BUF_INIT;
    if (s->acknowledge)
        return tell_in_answer(s);
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
    acknowledge(s, FL_STR("")); /* of what was dropped without a word */
    if (s->auth)
        fl_person_auth_fini(s->auth);
    if (s->is_view_read)
        fl_approval_view_fini(&s->view);
    fl_look_fini(&s->look);
    fl_slack_form_fini(s);
    if (s->is_event_open)
        fl_chat_event_fini(&s->event);
    fl_slack_call_fini(&s->call);
    fl_tx_abandon(&s->tx);
    fl_tx_fini(&s->tx);
    fl_tx_fini(&s->noting);
    fl_arena_free(&s->arena);
    fl_op_finish(op, FL_OK);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_slack_event, post)->flow, &S_begin);
}

/* Slack waits for 3 s; then what comes of it is told as that of other forms. */
static void on_patience(struct fl_timer *timer)
{
    struct fl_slack_event *s = FL_CONTAINER(timer, struct fl_slack_event, patience);
    struct fl_buf out = FL_BUF_INIT;
    put_answer(&out, RECORDING);
    acknowledge(s, out.is_failed ? FL_STR("") : fl_buf_view(&out));
    fl_buf_fini(&out);
}

/* The form of a code is answered with what came of it. */
static bool waits_for_answer(const json_t *payload)
{
    const json_t *view = json_object_get(payload, "view");
    return fl_str_is(fl_json_get_str(payload, "type"), "view_submission") &&
           fl_str_is(fl_json_get_str(view, "callback_id"), FL_SLACK_FORM_CODE);
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
    fl_timer_init(&s->patience, on_patience);
    if (!waits_for_answer(s->payload))
        s->acknowledge = NULL;
    else
        fl_loop_timer(s->channel->core->loop, &s->patience, PATIENCE_MS);
    fl_op_start(op, cancel, s);
    s->post = (struct fl_post){ .run = on_start };
    fl_loop_post(s->channel->core->loop, &s->post);
    return FL_OK;
}

/* Of several pages, and this is not the last one? */
static bool is_turned(const json_t *view)
{
    struct fl_slack_meta meta;
    return fl_str_is(fl_json_get_str(view, "callback_id"), "many") &&
           fl_slack_meta_read(fl_json_get_str(view, "private_metadata"), &meta) &&
           meta.page + 1 < meta.pages;
}

/* A submitted modal turns into "recording", and then into what came of it, or its next page. */
struct fl_str fl_slack_event_ack(const json_t *payload, struct fl_arena *arena)
{
    struct fl_buf out = FL_BUF_INIT;
    struct fl_str ret = FL_STR("");
    if (!fl_str_is(fl_json_get_str(payload, "type"), "view_submission"))
        return ret;
    if (waits_for_answer(payload))
        return (struct fl_str){ NULL, 0 };
    put_answer(&out,
               is_turned(json_object_get(payload, "view")) ? FL_STR("Loading...") : RECORDING);
    if (!out.is_failed)
        ret = fl_arena_str(arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return ret.p ? ret : FL_STR("");
}
