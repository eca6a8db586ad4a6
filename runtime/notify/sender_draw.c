/* What a row's cards and reminders look like. */
#include "runtime/notify/sender_priv.h"
#include "runtime/notify/show.h"

enum fl_code fl_sender_make_card(struct fl_sender *s, struct fl_err *err)
{
    struct fl_approval_texts texts = { .arguments = s->look.arguments,
                                       .preview = s->look.preview,
                                       .justification = s->look.justification,
                                       .is_tampered = s->look.is_tampered,
                                       .disclose = fl_sender_is_summary(s) ? FL_DISCLOSE_SUMMARY
                                                                           : FL_DISCLOSE_FULL };
    enum fl_code code =
        fl_card_of(s->arena, &s->view, &texts, s->channel->core->keys, &s->channel->organization,
                   s->channel->kind->whole_max, &s->card, err);
    if (s->view.ask && s->view.ask->needs_second_factor && !s->channel->kind->can_prove)
        s->card.can_approve = false;
    return code;
}

/* Offered where all of the call was shown, and nothing has to be proved beside. */
static bool may_grant(const struct fl_sender *s, const struct fl_sender_card *c)
{
    return c->is_read && !s->has_grant && s->card.is_whole && !fl_sender_is_summary(s) &&
           s->view.ask && !s->view.ask->needs_second_factor && !s->view.ask->needs_typed &&
           fl_approval_may_grant(&s->view);
}

enum fl_code fl_sender_draw(struct fl_sender *s, const struct fl_sender_card *c, struct fl_err *err)
{
    bool is_erasing = s->due[s->due_at].is_erasing;
    struct fl_chat_drawing drawing = { .card = &s->card,
                                       .card_id = c->id,
                                       .binding = s->look.row.binding_digest,
                                       .agent = s->look.row.agent,
                                       .page = (int)c->page,
                                       .is_read = c->is_read,
                                       .asks_stop = c->asks_stop,
                                       .tool = s->look.row.tool,
                                       .is_typed = s->view.ask && s->view.ask->needs_typed,
                                       .may_withdraw =
                                           fl_approval_may_withdraw(&s->view, &c->person),
                                       .is_proved = s->view.ask && s->view.ask->needs_second_factor,
                                       .may_grant = may_grant(s, c),
                                       .asks_grant = c->asks_grant,
                                       .is_erased = is_erasing };
    if (c->is_withdrawn)
        drawing = (struct fl_chat_drawing){
            .notice = FL_STR("This card was withdrawn: it is not for this chat any more."),
            .is_stray = true
        };
    else if (s->card.can_reject && s->card.is_whole && !s->card.can_approve)
        drawing.note = FL_STR("Approving takes a second factor: not here, but with flopinio "
                              "approvals approve.");
    else if (s->card.can_approve && drawing.is_proved)
        drawing.note = drawing.is_typed
                           ? FL_STR("Approving asks for a code of your authenticator, and you to "
                                    "type a few words.")
                           : FL_STR("Approving asks for a code of your authenticator.");
    else if (s->card.can_approve && drawing.is_typed)
        drawing.note = FL_STR("Approving asks you to type a few words.");
    else if (s->has_grant && !is_erasing)
        drawing.note = FL_STR("A grant was made from it: flopinio grant list.");
    s->drawn = (struct fl_chat_drawn){ .is_last_page = false };
    return s->channel->kind->draw(&drawing, s->arena, &s->drawn, err);
}

enum fl_code fl_sender_draw_reminder(struct fl_sender *s, struct fl_err *err)
{
    struct fl_buf list = FL_BUF_INIT;
    char until[FL_TIME_BYTES];
    char *notice = fl_arena_printf(
        s->arena,
        "Reminder: %s of the time to decide this call was over when this was written, and it ends "
        "at %s. How it stands is in its card.",
        s->stage == 1 ? "half" : "nine tenths", fl_time_format_s(s->look.row.expires_at_ms, until));
    fl_show(&list, s->look.row.tool, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    fl_buf_puts(&list, " for ");
    fl_show(&list, s->look.row.agent, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    if (s->channel->kind->is_mail) /* which has one text */
        notice = fl_arena_printf(s->arena, "%s (%.*s)", notice ? notice : "",
                                 FL_STR_ARG(fl_buf_view(&list)));
    struct fl_chat_drawing drawing = { .notice = fl_str_of(notice ? notice : ""),
                                       .list = fl_buf_view(&list),
                                       .is_stray = true };
    s->drawn = (struct fl_chat_drawn){ .is_last_page = false };
    enum fl_code code = list.is_failed || !notice
                            ? fl_err_code(err, FL_NOMEM)
                            : s->channel->kind->draw(&drawing, s->arena, &s->drawn, err);
    fl_buf_fini(&list);
    return code;
}
