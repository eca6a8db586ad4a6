/* What Slack tells by itself (the Events API): a channel was shared with another organization or
 * archived, an account was changed, somebody opened the app's home. A place that strangers read, or
 * that nobody reads any more, is closed: its cards are withdrawn, and the ladder goes on. */
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/audit/event.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/chat.h"
#include "runtime/store/outbox.h"
#include "runtime/store/place.h"
#include "runtime/store/vote.h"

FL_STEP_DECLARE(asked);
FL_STEP_DECLARE(placed);
FL_STEP_DECLARE(set);
FL_STEP_DECLARE(noted);

static struct fl_slack_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_slack_event, flow);
}

static void begin(struct fl_slack_event *s)
{
    fl_tx_fini(&s->tx);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
}

static bool is_one_of(struct fl_str word, const char *const *words)
{
    for (; *words; words++) {
        if (fl_str_is(word, *words))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- places */
bool fl_slack_has_place(const struct fl_channel *ch, struct fl_str place)
{
    struct fl_str one;
    for (size_t at = 0; ch->kind->place(ch, at, &one); at++) {
        if (fl_str_eq(one, place))
            return true;
    }
    return false;
}

const char *fl_slack_why_closed(const json_t *channel)
{
    if (json_is_true(json_object_get(channel, "is_ext_shared")))
        return "it is shared with another organization";
    if (json_is_true(json_object_get(channel, "is_archived")))
        return "it is archived";
    return NULL;
}

void fl_slack_put_place(struct fl_tx *tx, const struct fl_channel *ch, struct fl_str place,
                        const char *why)
{
    if (why)
        fl_store_place_close(tx, &ch->id, place, why);
    else
        fl_store_place_open(tx, &ch->id, place);
}

static fl_next put_place(struct fl_slack_event *s, const char *why)
{
    begin(s);
    if (why)
        FL_LOG(WARN, "slack_channel_closed", FL_KU("org", &s->channel->organization),
               FL_KV("channel", s->channel->name), FL_KV("place", s->event.place),
               FL_KS("reason", why));
    fl_slack_put_place(&s->tx, s->channel, s->event.place, why);
    return fl_await(&s->flow, &S_placed, fl_tx_submit(&s->flow.op, &s->tx));
}

FL_STEP(asked)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return fl_end(f); /* looked at again by whoever looks after the channel */
    return put_place(s, fl_slack_why_closed(json_object_get(s->call.answer, "channel")));
}

FL_STEP(placed)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        FL_LOG(ERROR, "slack_place_not_noted", FL_KU("org", &s->channel->organization),
               FL_KV("place", s->event.place), FL_KS("reason", f->op.err.text));
    return fl_end(f);
}

static fl_next place_event(struct fl_slack_event *s, struct fl_str type, struct fl_str place)
{
    static const char *const gone[] = { "channel_archive", "group_archive", NULL };
    static const char *const lost[] = { "channel_deleted", "group_deleted", "channel_left",
                                        "group_left", NULL };
    struct fl_buf body = FL_BUF_INIT;
    s->event.place = place;
    if (!fl_slack_has_place(s->channel, place))
        return fl_end(&s->flow);
    if (fl_str_is(type, "channel_shared"))
        return put_place(s, "it is shared with another organization");
    if (is_one_of(type, gone))
        return put_place(s, "it is archived");
    if (is_one_of(type, lost))
        return put_place(s, "the app is not in it any more");
    fl_slack_call_fini(&s->call);
    fl_buf_puts(&body, "channel=");
    fl_buf_str(&body, place);
    return fl_await(&s->flow, &S_asked,
                    fl_slack_call_start(&s->flow.op, &s->call, s->channel, "token",
                                        "conversations.info", &body));
}

/* ---------------------------------------------------------------- accounts */
/* The accounts that `pattern` names (LIKE) decide nothing from now on, or again. */
static fl_next set_accounts(struct fl_slack_event *s, struct fl_str pattern, bool is_disabled)
{
    begin(s);
    s->is_disabled = is_disabled;
    s->q = fl_store_chat_disable(&s->tx, s->channel->kind->name, pattern, is_disabled);
    return fl_await(&s->flow, &S_set, fl_tx_submit(&s->flow.op, &s->tx));
}

fl_next fl_slack_disable(struct fl_slack_event *s, fl_next then)
{
    s->then = then;
    return set_accounts(s, s->event.external, true);
}

static fl_next go_on(struct fl_slack_event *s)
{
    return s->then ? s->then : fl_end(&s->flow);
}

/* Columns of fl_store_chat_disable: person_id, name, external_id. */
FL_STEP(set)
{
    struct fl_slack_event *s = event_of(f);
    int count = f->op.code ? 0 : fl_rows(s->q);
    if (!count) {
        f->op.code = FL_OK;
        return go_on(s);
    }
    struct fl_tx *tx = &s->noting;
    fl_tx_init(tx, s->channel->core->pg, s->arena, &s->channel->organization);
    for (int i = 0; i < count; i++) {
        struct fl_audit_event a;
        struct fl_uuid person = fl_cell_uuid(s->q, i, 0);
        fl_audit_init(&a, &s->channel->organization,
                      s->is_disabled ? FL_AUDIT_IDENTITY_DISABLED : FL_AUDIT_IDENTITY_ENABLED,
                      FL_ACTOR_SYSTEM, &s->channel->core->worker, "person", &person);
        fl_audit_text(&a, "person", fl_cell(s->q, i, 1));
        fl_audit_z(&a, "kind", s->channel->kind->name);
        fl_audit_text(&a, "channel", s->channel->name);
        fl_audit_text(&a, "external", fl_cell(s->q, i, 2));
        fl_audit_append(&a, tx);
        fl_store_chat_withdraw(tx, &person);
        if (s->is_disabled)
            fl_store_vote_withdraw_via(tx, &person, s->channel->kind->via);
    }
    if (!s->is_disabled)
        fl_store_outbox_back(tx, s->channel->kind->name);
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, tx));
}

FL_STEP(noted)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        FL_LOG(ERROR, "slack_account_not_noted", FL_KU("org", &s->channel->organization),
               FL_KS("reason", f->op.err.text));
    f->op.code = FL_OK;
    return go_on(s);
}

/* Only of our own workspace or enterprise: ids of others say nothing about ours. */
static fl_next user_event(struct fl_slack_event *s, const json_t *user)
{
    struct fl_str team = fl_json_get_str(user, "team_id"), id = fl_json_get_str(user, "id");
    struct fl_str ours = fl_json_get_str(s->channel->facts, "team");
    struct fl_str enterprise = fl_json_get_str(s->channel->facts, "enterprise");
    struct fl_str grid = fl_json_get_str(json_object_get(user, "enterprise_user"), "enterprise_id");
    bool is_grid = enterprise.n && fl_str_eq(grid, enterprise);
    if (!fl_slack_is_id(id) || !fl_slack_is_id(team) || (!fl_str_eq(team, ours) && !is_grid))
        return fl_end(&s->flow);
    fl_slack_distrust(s->channel, team, id);
    struct fl_str pattern =
        fl_slack_external(s->channel, s->arena, is_grid ? FL_STR("%") : team, id);
    if (!pattern.n)
        return fl_end(&s->flow);
    return set_accounts(s, pattern, fl_slack_why_not(s->channel, team, id, user) != NULL);
}

/* ---------------------------------------------------------------- which it is */
fl_next fl_slack_notice(struct fl_slack_event *s)
{
    const json_t *ev = json_object_get(s->payload, "event");
    struct fl_str type = fl_json_get_str(ev, "type"), place = fl_json_get_str(ev, "channel");
    struct fl_str ours = fl_json_get_str(s->channel->facts, "team");
    if (!ours.n || !fl_str_eq(fl_json_get_str(s->payload, "team_id"), ours))
        return fl_end(&s->flow);
    if (fl_str_is(type, "app_home_opened")) {
        s->is_home = fl_slack_home_read(s, ev);
        return s->is_home ? NULL : fl_end(&s->flow);
    }
    if (fl_str_is(type, "user_change"))
        return user_event(s, json_object_get(ev, "user"));
    return fl_slack_is_id(place) && place.p[0] != 'D' ? place_event(s, type, place)
                                                      : fl_end(&s->flow);
}
