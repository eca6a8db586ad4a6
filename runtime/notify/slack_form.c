/* Several cards decided in one go: the form, turned page by page, and what was submitted. Who may
 * not decide a call is shown nothing of it; each is decided as by its own button. */
#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/slack_priv.h"

FL_STEP_DECLARE(read);
FL_STEP_DECLARE(judged);
FL_STEP_DECLARE(decided);

static struct fl_slack_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_event, flow);
}

/* ---------------------------------------------------------------- what was chosen */
bool fl_slack_form_read(struct fl_slack_event *s)
{
    struct fl_str from = s->meta.items;
    if (!from.n || from.n % FL_CHAT_BUTTON_CHARS || from.n > FL_BATCH_MOST * FL_CHAT_BUTTON_CHARS)
        return false;
    char *items = fl_arena_alloc(s->arena, from.n);
    if (!items)
        return false;
    memcpy(items, from.p, from.n);
    for (size_t at = 0; at < from.n; at += FL_CHAT_BUTTON_CHARS) {
        const char *name =
            fl_arena_printf(s->arena, "v%.*s", FL_CHAT_BUTTON_CHARS - 1, items + at + 1);
        const json_t *input = json_object_get(json_object_get(s->values, name ? name : ""), "v");
        struct fl_str verdict = fl_json_get_str(json_object_get(input, "selected_option"), "value");
        if (!name)
            return false;
        if (verdict.n == 1)
            items[at] = verdict.p[0] == 'a' || verdict.p[0] == 'r' ? verdict.p[0] : '-';
    }
    s->meta.items = (struct fl_str){ items, from.n };
    return true;
}

/* ---------------------------------------------------------------- deciding */
static bool read_items(struct fl_slack_event *s, struct fl_many *m)
{
    struct fl_str items = s->meta.items;
    for (size_t at = 0; at < items.n; at += FL_CHAT_BUTTON_CHARS) {
        struct fl_many_item *i = &m->items[m->count++];
        struct fl_chat_event one = { .verb = FL_CHAT_NONE };
        char button[FL_CHAT_BUTTON_CHARS];
        memcpy(button, items.p + at, sizeof button);
        bool is_left = button[0] == '-';
        button[0] = is_left ? 'r' : button[0];
        if (!fl_chat_button_read(fl_bytes(button, sizeof button), &one) ||
            (one.verb != FL_CHAT_APPROVE && one.verb != FL_CHAT_REJECT))
            return false;
        *i = (struct fl_many_item){ .card = one.card,
                                    .verb = is_left ? FL_CHAT_NONE : one.verb,
                                    .number = m->count };
        memcpy(i->binding, one.binding, sizeof i->binding);
    }
    return true;
}

/* Whatever was submitted: what waits is approved only where the stored bytes, looked at anew, can
 * be shown whole with an Approve. What does not wait any more is refused where it is decided. */
static void judge(const struct fl_batch *batch, struct fl_many_item *i)
{
    const struct fl_batch_item *found = NULL;
    for (size_t k = 0; k < batch->count && !found; k++) {
        if (fl_uuid_cmp(&batch->items[k].card_id, &i->card) == 0)
            found = &batch->items[k];
    }
    bool waits = found && found->card.state == FL_APPROVAL_PENDING;
    if (i->verb != FL_CHAT_APPROVE || (found && (!waits || found->card.can_approve)))
        return;
    i->verb = FL_CHAT_NONE;
    i->is_refused = true;
    fl_utf8_format(i->answer, sizeof i->answer, "%s",
                   found ? "it cannot be approved here: flopinio approvals approve"
                         : "it is not in this message any more");
}

static fl_next read_batch(struct fl_slack_event *s, fl_next then)
{
    s->batch = FL_ARENA_NEW(s->arena, struct fl_batch);
    if (!s->batch)
        return fl_slack_refuse(s, "it could not be looked up");
    *s->batch = (struct fl_batch){
        .channel = s->channel, .arena = s->arena, .host = s->event.card, .is_only_read = true
    };
    return fl_await(&s->flow, then, fl_batch_start(&s->flow.op, s->batch));
}

FL_STEP(judged)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_chat_event *e = &s->event;
    struct fl_many *m = FL_ARENA_NEW(s->arena, struct fl_many);
    if (f->op.code == FL_NOT_FOUND)
        return fl_slack_refuse(s, "this message is not known here (any more); nothing was decided");
    if (f->op.code)
        return fl_slack_refuse(s, "it could not be looked up; nothing was decided, try again");
    if (!m)
        return fl_slack_refuse(s, "it could not be read; nothing was decided");
    *m = (struct fl_many){ .channel = s->channel,
                           .arena = s->arena,
                           .external = e->external,
                           .display = e->display,
                           .place = e->place,
                           .message = e->message,
                           .is_private = e->is_private,
                           .has_read = true, /* the last page was submitted */
                           .reason = e->text };
    if (!read_items(s, m))
        return fl_slack_refuse(s, "it could not be read; nothing was decided");
    for (size_t i = 0; i < m->count; i++)
        judge(s->batch, &m->items[i]);
    s->many = m;
    return fl_await(f, &S_decided, fl_many_start(&f->op, m));
}

FL_STEP(decided)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf view = FL_BUF_INIT;
    if (f->op.code)
        return fl_slack_refuse(s, "it is not certain that this was recorded: the cards say what "
                                  "holds");
    if (!s->many->list.p)
        return fl_slack_refuse(s, s->many->answer);
    fl_slack_view_ends(&view, s->batch, s->many, s->arena);
    return fl_slack_show(s, &view);
}

/* ---------------------------------------------------------------- showing */
fl_next fl_slack_form(struct fl_slack_event *s)
{
    return read_batch(s, s->is_submitted ? &S_judged : &S_read);
}

FL_STEP(read)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_buf view = FL_BUF_INIT;
    struct fl_err err;
    if (f->op.code)
        return fl_slack_refuse(s, "it could not be looked up; nothing was decided, try again");
    size_t count = s->batch->count;
    struct fl_chat_drawing *drawings = fl_arena_array(s->arena, count, sizeof *drawings);
    const char **why = fl_arena_array(s->arena, count, sizeof *why);
    if (!drawings || !why)
        return fl_slack_refuse(s, "it could not be shown; nothing was decided");
    for (size_t i = 0; i < count; i++) {
        const struct fl_batch_item *item = &s->batch->items[i];
        drawings[i] = fl_batch_drawing(item);
        if (fl_approval_may_vote(&item->view, &s->event.person, true, &err) != FL_OK) {
            why[i] = fl_arena_strdup(s->arena, err.text);
            why[i] = why[i] ? why[i] : "it is not yours to decide";
        }
    }
    enum fl_code code = fl_slack_view_many(&view, drawings, why, count, &s->meta, s->arena, &err);
    if (code == FL_OK)
        return fl_slack_show(s, &view);
    fl_buf_fini(&view);
    return fl_slack_refuse(s, code == FL_CONFLICT ? err.text
                                                  : "it could not be shown; nothing was decided");
}

void fl_slack_form_fini(struct fl_slack_event *s)
{
    if (s->batch)
        fl_batch_fini(s->batch);
}
