/* Understanding what Slack says that somebody did: who, where, which verb. Nothing of it is
 * believed beyond the ids that Slack vouches for. Pure, but for the arena. */
#include "flopinio/base/utf8.h"
#include "runtime/notify/slack_priv.h"

bool fl_slack_is_id(struct fl_str s)
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
    struct fl_str team = user ? fl_json_get_str(json_object_get(s->payload, "team"), "id")
                              : fl_json_get_str(s->payload, "team_id");
    struct fl_str grid = user ? fl_json_get_str(json_object_get(s->payload, "enterprise"), "id")
                              : fl_json_get_str(s->payload, "enterprise_id");
    struct fl_str name = fl_json_get_str(user ? user : s->payload, user ? "username" : "user_name");
    s->user = fl_json_get_str(user ? user : s->payload, user ? "id" : "user_id");
    s->team = user ? fl_json_get_str(user, "team_id") : team;
    s->team = s->team.n ? s->team : team.n ? team : ours;
    if (!fl_slack_is_id(s->user) || !fl_slack_is_id(s->team) ||
        !fl_slack_is_ours(s->channel, team, grid))
        return false;
    name.n = name.n > 60 ? fl_utf8_cut(name, 60) : name.n;
    s->event.external = fl_slack_external(s->channel, s->arena, s->team, s->user);
    s->event.display = name.p ? name : FL_STR("");
    return s->event.external.n > 0;
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

/* The form of several cards: turned back, or submitted, which on its last page decides. */
static bool read_form(struct fl_slack_event *s, const json_t *view, int turns)
{
    struct fl_chat_event *e = &s->event;
    s->values = json_object_get(json_object_get(view, "state"), "values");
    if (!read_view(s, view) || !fl_chat_button_read(s->meta.button, e) || e->verb != FL_CHAT_FORM ||
        !fl_slack_form_read(s))
        return false;
    s->is_form = s->wants_modal = true;
    s->is_submitted = turns > 0 && s->meta.pages > 0 && s->meta.page + 1 == s->meta.pages;
    s->meta.page += s->is_submitted ? 0 : turns;
    const json_t *reason = json_object_get(json_object_get(s->values, "reason"), "reason");
    e->text = fl_str_trim(fl_json_get_str(reason, "value"));
    return true;
}

static bool read_action(struct fl_slack_event *s)
{
    const json_t *view = json_object_get(s->payload, "view");
    const json_t *container = json_object_get(s->payload, "container");
    const json_t *action = json_array_get(json_object_get(s->payload, "actions"), 0);
    struct fl_str value = fl_json_get_str(action, "value");
    struct fl_chat_event *e = &s->event;
    if (fl_str_is(fl_json_get_str(view, "callback_id"), "many"))
        return read_form(s, view, -1);
    if (fl_str_is(fl_json_get_str(view, "type"), "home")) {
        view = NULL;
        e->place = e->message = FL_STR(FL_CHAT_HOME);
    } else if (view ? !read_view(s, view) : !fl_json_get_str(container, "message_ts").n)
        return false;
    if (!view && !e->place.n)
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
    s->is_edit = e->verb == FL_CHAT_EDIT;
    s->is_form = e->verb == FL_CHAT_FORM;
    s->is_proof = e->verb == FL_CHAT_PROVE;
    s->wants_modal = s->is_review || s->asks || s->is_edit || s->is_form || s->is_proof ||
                     e->verb == FL_CHAT_WHY || e->verb == FL_CHAT_TYPED;
    if (!view)
        s->meta =
            (struct fl_slack_meta){ .button = value, .place = e->place, .message = e->message };
    else if (e->verb == FL_CHAT_TYPED || s->is_proof)
        s->meta.button = value; /* the form of the words, or of the code, is about that */
    return true;
}

/* The form of a change: its inputs are read once it is known what was to be changed. */
static bool read_edit(struct fl_slack_event *s, const json_t *view)
{
    s->values = json_object_get(json_object_get(view, "state"), "values");
    s->is_edit = s->is_submitted = s->wants_modal = true;
    return read_view(s, view) && fl_chat_button_read(s->meta.button, &s->event) &&
           s->event.verb == FL_CHAT_EDIT;
}

/* What one who has read it types to approve it: the code, and the words where there is an input. */
static bool read_code(struct fl_slack_event *s, const json_t *view)
{
    const json_t *values = json_object_get(json_object_get(view, "state"), "values");
    const json_t *input = json_object_get(values, FL_SLACK_FORM_CODE);
    const json_t *words = json_object_get(json_object_get(values, "reason"), "reason");
    struct fl_chat_event *e = &s->event;
    if (!read_view(s, view) || !fl_chat_button_read(s->meta.button, e) || e->verb != FL_CHAT_PROVE)
        return false;
    e->code = fl_str_trim(fl_json_get_str(json_object_get(input, FL_SLACK_FORM_CODE), "value"));
    e->typed = fl_json_get_str(words, "value");
    e->has_read = s->meta.pages > 0 && s->meta.page + 1 == s->meta.pages;
    e->verb = FL_CHAT_APPROVE;
    return e->code.n > 0;
}

static bool read_submission(struct fl_slack_event *s)
{
    const json_t *view = json_object_get(s->payload, "view");
    const json_t *values = json_object_get(json_object_get(view, "state"), "values");
    const json_t *input = json_object_get(json_object_get(values, "reason"), "reason");
    struct fl_chat_event *e = &s->event;
    if (fl_str_is(fl_json_get_str(view, "callback_id"), "edit"))
        return read_edit(s, view);
    if (fl_str_is(fl_json_get_str(view, "callback_id"), "many"))
        return read_form(s, view, 1);
    if (fl_str_is(fl_json_get_str(view, "callback_id"), FL_SLACK_FORM_CODE))
        return read_code(s, view);
    if (!fl_str_is(fl_json_get_str(view, "callback_id"), "reason") || !read_view(s, view) ||
        !fl_chat_button_read(s->meta.button, e) ||
        (e->verb != FL_CHAT_WHY && e->verb != FL_CHAT_ASK && e->verb != FL_CHAT_TYPED))
        return false;
    if (e->verb == FL_CHAT_TYPED) {
        e->typed = fl_str_trim(fl_json_get_str(input, "value"));
        e->has_read = s->meta.pages > 0 && s->meta.page + 1 == s->meta.pages;
        e->verb = FL_CHAT_APPROVE;
        return e->typed.n > 0;
    }
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

bool fl_slack_event_read(struct fl_slack_event *s)
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
