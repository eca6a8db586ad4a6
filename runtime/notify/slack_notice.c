/* What Slack tells by itself (the Events API): a channel was shared with another organization or
 * archived, an account was changed, somebody opened the app's home. A place that strangers read, or
 * that nobody reads any more, is closed: its cards are withdrawn, and the ladder goes on. */
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/audit/event.h"
#include "runtime/notify/slack_app.h"
#include "runtime/notify/slack_priv.h"
#include "runtime/store/chat.h"
#include "runtime/store/organization.h"
#include "runtime/store/outbox.h"
#include "runtime/store/place.h"
#include "runtime/store/vote.h"

#define SET_TRIES    30
#define SET_AGAIN_MS 1000

FL_STEP_DECLARE(asked);
FL_STEP_DECLARE(placed);
FL_STEP_DECLARE(rested);
FL_STEP_DECLARE(set);
FL_STEP_DECLARE(opened);
FL_STEP_DECLARE(written);
FL_STEP_DECLARE(withdrawn);
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
/* Set, audited and without their votes, all in one transaction: what Slack says once is not to be
 * half done. */
struct fl_slack_account {
    struct fl_uuid person;
    struct fl_str name, external;
    struct fl_query *q_votes;
    struct fl_uuid *approvals;
    size_t count;
};

static fl_next set_accounts(struct fl_slack_event *s, struct fl_str pattern, bool is_disabled)
{
    s->accounts = pattern;
    s->is_disabled = is_disabled;
    return &S_set;
}

fl_next fl_slack_disable(struct fl_slack_event *s, fl_next then)
{
    s->then = then;
    return set_accounts(s, s->event.external, true);
}

static fl_next go_on(struct fl_slack_event *s)
{
    s->flow.op.code = FL_OK;
    return s->then ? s->then : fl_end(&s->flow);
}

/* Nothing of it is done: once more, a little later. */
static fl_next not_set(struct fl_slack_event *s)
{
    struct fl_op *op = &s->flow.op;
    bool goes_on = op->code != FL_CANCELLED && s->tries++ < SET_TRIES;
    fl_tx_abandon(&s->tx);
    FL_LOG(ERROR, "slack_account_not_set", FL_KU("org", &s->channel->organization),
           FL_KI("tries", s->tries), FL_KS("reason", op->err.text));
    if (!goes_on)
        return go_on(s);
    return fl_await(&s->flow, &S_rested,
                    fl_sleep_start(op, &s->sleep, s->channel->core->loop, SET_AGAIN_MS));
}

FL_STEP(rested)
{
    struct fl_slack_event *s = event_of(f);
    return f->op.code ? go_on(s) : &S_set;
}

FL_STEP(set)
{
    struct fl_slack_event *s = event_of(f);
    begin(s);
    return fl_await(f, &S_opened, fl_tx_open(&f->op, &s->tx));
}

FL_STEP(opened)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return not_set(s);
    fl_store_stop_gate(&s->tx); /* what is being sent by a vote of theirs is sent before */
    s->q = fl_store_chat_disable(&s->tx, s->channel->kind->name, s->accounts, s->is_disabled);
    return fl_await(f, &S_written, fl_tx_round(&f->op, &s->tx));
}

static void note_account(struct fl_slack_event *s, const struct fl_slack_account *account)
{
    struct fl_audit_event a;
    fl_audit_init(&a, &s->channel->organization,
                  s->is_disabled ? FL_AUDIT_IDENTITY_DISABLED : FL_AUDIT_IDENTITY_ENABLED,
                  FL_ACTOR_SYSTEM, &s->channel->core->worker, "person", &account->person);
    fl_audit_text(&a, "person", account->name);
    fl_audit_z(&a, "kind", s->channel->kind->name);
    fl_audit_text(&a, "channel", s->channel->name);
    fl_audit_text(&a, "external", account->external);
    fl_audit_append(&a, &s->tx);
}

/* Columns of fl_store_chat_disable: person_id, name, external_id. */
FL_STEP(written)
{
    struct fl_slack_event *s = event_of(f);
    struct fl_tx *tx = &s->tx;
    if (f->op.code)
        return not_set(s);
    s->set_count = (size_t)fl_rows(s->q);
    if (!s->set_count)
        return fl_await(f, &S_noted, fl_tx_commit(&f->op, tx));
    s->set = fl_arena_array(s->arena, s->set_count, sizeof *s->set);
    if (!s->set)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    for (size_t i = 0; i < s->set_count; i++)
        s->set[i] =
            (struct fl_slack_account){ .person = fl_cell_uuid(s->q, (int)i, 0),
                                       .name = fl_arena_str(s->arena, fl_cell(s->q, (int)i, 1)),
                                       .external =
                                           fl_arena_str(s->arena, fl_cell(s->q, (int)i, 2)) };
    for (size_t i = 0; i < s->set_count; i++) {
        struct fl_slack_account *account = &s->set[i];
        note_account(s, account);
        fl_store_chat_withdraw(tx, &account->person);
        if (s->is_disabled)
            account->q_votes =
                fl_store_vote_withdraw_via(tx, &account->person, s->channel->kind->via);
    }
    if (!s->is_disabled)
        fl_store_outbox_back(tx, s->channel->kind->name);
    return fl_await(f, &S_withdrawn, fl_tx_round(&f->op, tx));
}

static void note_vote(struct fl_slack_event *s, const struct fl_slack_account *account,
                      const struct fl_uuid *approval)
{
    struct fl_audit_event a;
    fl_audit_init(&a, &s->channel->organization, FL_AUDIT_APPROVAL_WITHDRAWN, FL_ACTOR_SYSTEM,
                  &s->channel->core->worker, "approval", approval);
    fl_audit_text(&a, "person", account->name);
    fl_audit_z(&a, "why", "the person's account was disabled");
    fl_audit_append(&a, &s->tx);
}

/* Each approval that lost a vote says so; read as a whole before the results are forgotten. */
FL_STEP(withdrawn)
{
    struct fl_slack_event *s = event_of(f);
    if (f->op.code)
        return not_set(s);
    for (size_t i = 0; i < s->set_count; i++) {
        struct fl_slack_account *account = &s->set[i];
        account->count = account->q_votes ? (size_t)fl_rows(account->q_votes) : 0;
        account->approvals =
            fl_arena_array(s->arena, account->count + 1, sizeof *account->approvals);
        if (!account->approvals)
            return fl_fail_with(f, FL_NOMEM, "out of memory");
        for (size_t k = 0; k < account->count; k++)
            account->approvals[k] = fl_cell_uuid(account->q_votes, (int)k, 0);
    }
    for (size_t i = 0; i < s->set_count; i++) {
        for (size_t k = 0; k < s->set[i].count; k++)
            note_vote(s, &s->set[i], &s->set[i].approvals[k]);
    }
    return fl_await(f, &S_noted, fl_tx_commit(&f->op, &s->tx));
}

FL_STEP(noted)
{
    struct fl_slack_event *s = event_of(f);
    return f->op.code ? not_set(s) : go_on(s);
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
#define X(event) event,
static const char *const events[] = { FL_SLACK_EVENTS(X) NULL };
#undef X

fl_next fl_slack_notice(struct fl_slack_event *s)
{
    const json_t *ev = json_object_get(s->payload, "event");
    struct fl_str type = fl_json_get_str(ev, "type"), place = fl_json_get_str(ev, "channel");
    if (!is_one_of(type, events) ||
        !fl_slack_is_ours(s->channel, fl_json_get_str(s->payload, "team_id"),
                          fl_json_get_str(s->payload, "enterprise_id")))
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
