/* What somebody did in a chat: who it was, what it was about, and then the same functions that the
 * CLI and REST use. Nothing that came along is trusted but the id that the chat vouches for. */
#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/decide.h"
#include "runtime/approval/grant.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/stop.h"
#include "runtime/crypto/token.h"
#include "runtime/identity/person.h"
#include "runtime/notify/channel.h"
#include "runtime/notify/digest.h"
#include "runtime/notify/facts.h"
#include "runtime/notify/many.h"
#include "runtime/notify/show.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"
#include "runtime/store/flood.h"
#include "runtime/store/outbox.h"
#include "runtime/store/person.h"
#include "runtime/store/vote.h"

#define LIST_MOST  20
#define LOOK_MS    100 /* for a card that was pressed before its post is in its row */
#define LOOKS_MOST 20
#define UNREAD                                                                                     \
    "not all of it was shown here: read it to its last page, or approve it with flopinio "         \
    "approvals approve"
#define LATE "it is decided or over already"

FL_STEP_DECLARE(identify);
FL_STEP_DECLARE(known);
FL_STEP_DECLARE(decided);
FL_STEP_DECLARE(proved);
FL_STEP_DECLARE(turned);
FL_STEP_DECLARE(grant_looked);
FL_STEP_DECLARE(granted);
FL_STEP_DECLARE(stop_permitted);
FL_STEP_DECLARE(stopped);
FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(asked_for);
FL_STEP_DECLARE(called);
FL_STEP_DECLARE(link);
FL_STEP_DECLARE(linked);
FL_STEP_DECLARE(noted);
FL_STEP_DECLARE(prompt_taken);
FL_STEP_DECLARE(answered);

static struct fl_chat_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_chat_event, flow);
}

static fl_next say(struct fl_chat_event *e, bool is_alert, const char *text)
{
    fl_utf8_format(e->answer, sizeof e->answer, "%s", text);
    e->is_alert = is_alert;
    return &S_answered;
}

static void begin(struct fl_chat_event *e)
{
    fl_tx_fini(&e->tx);
    fl_tx_init(&e->tx, e->channel->core->pg, e->arena, &e->channel->organization);
}

static bool has_card(const struct fl_chat_event *e)
{
    return (e->verb >= FL_CHAT_APPROVE && e->verb <= FL_CHAT_STOP_NOT) ||
           e->verb == FL_CHAT_REVIEW || e->verb == FL_CHAT_ASK || e->verb == FL_CHAT_EDIT ||
           (e->verb >= FL_CHAT_GRANT_ASK && e->verb <= FL_CHAT_GRANT_NOT) ||
           (e->verb >= FL_CHAT_TYPED && e->verb <= FL_CHAT_MARK_NOT) || e->verb == FL_CHAT_PROVE;
}

static bool has_digest(const struct fl_chat_event *e)
{
    return e->verb >= FL_CHAT_CALL && e->verb <= FL_CHAT_HALT_NOT;
}

/* ---------------------------------------------------------------- who, and about what */
FL_STEP(identify)
{
    struct fl_chat_event *e = event_of(f);
    begin(e);
    if (e->verb == FL_CHAT_LINK) {
        enum fl_token_kind kind;
        if (!e->is_private)
            return say(e, true,
                       "send the code to me in a private chat; this one is void, ask for "
                       "another");
        if (!fl_token_parse(e->text, &kind) || kind != FL_TOKEN_LINK)
            return say(e, true, "that is no code of ours; copy it as a whole");
        return fl_await(f, &S_link, fl_tx_open(&f->op, &e->tx));
    }
    e->tx.is_read_only = true;
    e->q_person = fl_store_chat_person(&e->tx, e->channel->kind->name, e->external);
    if (has_card(e) && fl_str_is(e->place, FL_CHAT_HOME))
        e->q_card = fl_store_card_inbox(&e->tx, &e->card, &e->channel->id, e->place, e->message);
    else if (has_card(e))
        e->q_card = fl_store_card_get(&e->tx, &e->card, &e->channel->id);
    if (has_digest(e)) /* whose button has an agent in the card's place */
        e->q_digest = fl_store_digest_get(&e->tx, &e->channel->id, e->place, e->message, &e->card);
    return fl_await(f, &S_known, fl_tx_submit(&f->op, &e->tx));
}

/* Columns of fl_store_card_get: approval_id, place, message, page, is_read, asks_stop, binding
 * digest, state, agent name, agent_id, may it have been posted twice, tool, why its place is
 * closed, is its page not there yet. False: answered. */
static bool read_card(struct fl_chat_event *e)
{
    const struct fl_query *q = e->q_card;
    if (fl_rows(q) != 1 || !fl_str_eq(fl_cell(q, 0, 1), e->place)) {
        say(e, true, "this button is not known here (any more); nothing was decided");
        return false;
    }
    struct fl_str binding = fl_cell_bytes(q, e->arena, 0, 6);
    if (binding.n < sizeof e->binding ||
        !fl_equal_secret(binding.p, e->binding, sizeof e->binding)) {
        say(e, true, "this button is of another call; nothing was decided");
        return false;
    }
    if (!fl_str_eq(fl_cell(q, 0, 2), e->message)) {
        /* Sent, and the answer was lost: there are two. Or it is not known yet which it is. */
        bool is_known = fl_cell(q, 0, 2).p != NULL;
        e->is_stray = is_known && fl_cell_bool(q, 0, 10);
        say(e, true,
            !is_known ? "this card is being posted just now; nothing was decided, press it again"
            : e->is_stray ? "this is an older copy of the card: use the newer one"
                          : "this button does not belong to that message; nothing was "
                            "decided");
        return false;
    }
    struct fl_str closed = fl_cell(q, 0, 12);
    if (closed.p) {
        char text[160];
        snprintf(text, sizeof text, "nothing is decided in this chat: %.*s", FL_STR_ARG(closed));
        say(e, true, text);
        return false;
    }
    e->approval = fl_cell_uuid(q, 0, 0);
    e->page = (int)fl_cell_int(q, 0, 3);
    e->is_read = fl_cell_bool(q, 0, 4);
    e->asks_stop = fl_cell_bool(q, 0, 5);
    e->is_turning = fl_cell_bool(q, 0, 13);
    e->agent = fl_arena_str(e->arena, fl_cell(q, 0, 8));
    e->agent_id = fl_cell_uuid(q, 0, 9);
    return true;
}

/* Columns of fl_store_digest_get: digest_id, agent name. False: answered. */
static bool read_digest(struct fl_chat_event *e)
{
    const struct fl_query *q = e->q_digest;
    struct fl_uuid id = fl_rows(q) == 1 ? fl_cell_uuid(q, 0, 0) : (struct fl_uuid){ { 0 } };
    if (fl_rows(q) != 1 || fl_cell_is_null(q, 0, 1) ||
        !fl_equal_secret(id.b, e->binding, sizeof e->binding)) {
        say(e, true, "this button is not known here (any more); nothing was done");
        return false;
    }
    e->digest = id;
    e->agent_id = e->card;
    e->agent = fl_arena_str(e->arena, fl_cell(q, 0, 1));
    return true;
}

/* ---------------------------------------------------------------- deciding */
static fl_next decide(struct fl_chat_event *e, enum fl_verdict verdict, struct fl_str reason)
{
    struct fl_decide *d = FL_ARENA_NEW(e->arena, struct fl_decide);
    char *hex = fl_arena_alloc(e->arena, 2 * FL_DIGEST_BYTES + 1);
    if (!d || !hex)
        return fl_fail_with(&e->flow, FL_NOMEM, "out of memory");
    if (verdict == FL_VERDICT_APPROVE && !e->is_read && !e->has_read)
        return say(e, true, UNREAD);
    struct fl_str binding = fl_cell_bytes(e->q_card, e->arena, 0, 6);
    *d =
        (struct fl_decide){ .core = e->channel->core,
                            .organization = e->channel->organization,
                            .approval = e->approval,
                            .person = e->person,
                            .person_name = e->person_name,
                            .evidence = { .chat = e->channel->kind->name, .external = e->external },
                            .verdict = verdict,
                            .reason = reason,
                            .may_ask_again = e->may_ask_again && verdict == FL_VERDICT_REJECT,
                            .via = e->channel->kind->via,
                            .has_second_factor = e->auth && e->auth->has_second_factor,
                            .typed = e->typed,
                            .binding = fl_str_of(fl_hex(binding.p, binding.n, hex)) };
    e->decide = d;
    return fl_await(&e->flow, &S_decided, fl_decide_start(&e->flow.op, d));
}

static bool comes_again(enum fl_code code)
{
    return code == FL_UNAVAILABLE || code == FL_AMBIGUOUS || code == FL_NOMEM ||
           code == FL_CANCELLED;
}

FL_STEP(decided)
{
    struct fl_chat_event *e = event_of(f);
    if (comes_again(f->op.code))
        return fl_fail(f);
    if (f->op.code) {
        char text[FL_ERR_TEXT_BYTES];
        snprintf(text, sizeof text, "%s", f->op.err.text);
        return say(e, true, text);
    }
    return say(e, false, e->decide->text);
}

/* ---------------------------------------------------------------- the second factor */
static fl_next say_wrong(struct fl_chat_event *e, enum fl_chat_wrong what, const char *text)
{
    e->wrong = what;
    return say(e, true, text);
}

/* The code counts as on the command line. It is used up by being right, so that whatever can be
 * seen to be wrong without it is said first. */
static fl_next prove(struct fl_chat_event *e)
{
    struct fl_person_auth *a = FL_ARENA_NEW(e->arena, struct fl_person_auth);
    struct fl_str tool = fl_cell(e->q_card, 0, 11);
    char text[FL_ERR_TEXT_BYTES], words[FL_DECIDE_WORDS];
    if (!a)
        return fl_fail_with(&e->flow, FL_NOMEM, "out of memory");
    if (!e->channel->kind->can_prove || !e->channel->core->people)
        return say(e, true, "a second factor cannot be proved here; nothing was decided");
    if (!fl_str_is(fl_cell(e->q_card, 0, 7), "pending"))
        return say(e, true, LATE);
    if (!e->is_read && !e->has_read)
        return say(e, true, UNREAD);
    if (e->typed.p && !fl_decide_is_typed(tool, e->typed)) {
        fl_decide_words(tool, words);
        fl_utf8_format(text, sizeof text, "type exactly '%s'", words);
        return say_wrong(e, FL_CHAT_WRONG_WORDS, text);
    }
    *a = (struct fl_person_auth){ .people = e->channel->core->people,
                                  .name = e->person_name,
                                  .passphrase = FL_STR(""),
                                  .totp = e->code,
                                  .by_code = true,
                                  .from = e->channel->kind->via };
    e->auth = a;
    return fl_await(&e->flow, &S_proved, fl_person_auth_start(&e->flow.op, a));
}

FL_STEP(proved)
{
    struct fl_chat_event *e = event_of(f);
    if (comes_again(f->op.code))
        return fl_fail(f);
    if (f->op.code == FL_UNAUTHENTICATED || f->op.code == FL_TOO_MANY)
        return say_wrong(e, FL_CHAT_WRONG_CODE, f->op.err.text);
    if (f->op.code)
        return say(e, true, f->op.err.text);
    if (fl_uuid_cmp(&e->auth->id, &e->person) != 0)
        return say(e, true, "that is somebody else's authenticator; nothing was decided");
    return decide(e, FL_VERDICT_APPROVE, (struct fl_str){ NULL, 0 });
}

/* ---------------------------------------------------------------- pages, and what is asked */
static fl_next turn(struct fl_chat_event *e, int page, bool asks_stop)
{
    begin(e);
    fl_store_card_turn(&e->tx, &e->card, page < 0 ? 0 : page, asks_stop,
                       e->verb == FL_CHAT_GRANT_ASK);
    fl_store_outbox_again(&e->tx, &e->approval, &e->channel->id);
    return fl_await(&e->flow, &S_turned, fl_tx_submit(&e->flow.op, &e->tx));
}

FL_STEP(turned)
{
    struct fl_chat_event *e = event_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_changed(e->channel->core->hub, &e->channel->organization, &e->approval);
    return &S_answered;
}

FL_STEP(prompt_taken)
{
    struct fl_chat_event *e = event_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (!e->q_card) {
        if (fl_rows(e->q_prompt) != 1)
            return say(e, true, "I did not ask you that, or too long ago; use the buttons");
        e->card = fl_cell_uuid(e->q_prompt, 0, 0);
        e->typed = fl_cell_bool(e->q_prompt, 0, 1) ? e->text : e->typed;
        begin(e);
        e->q_card = fl_store_card_get(&e->tx, &e->card, &e->channel->id);
        return fl_await(f, &S_prompt_taken, fl_tx_submit(&f->op, &e->tx));
    }
    if (fl_rows(e->q_card) != 1 || !fl_str_eq(fl_cell(e->q_card, 0, 1), e->place))
        return say(e, true, "that card is not here any more; nothing was decided");
    e->approval = fl_cell_uuid(e->q_card, 0, 0);
    if (e->typed.p) {
        e->is_read = fl_cell_bool(e->q_card, 0, 4);
        return decide(e, FL_VERDICT_APPROVE, (struct fl_str){ NULL, 0 });
    }
    if (!e->text.n || e->text.n > 2000)
        return say(e, true, "a reason has 1 to 2000 characters; nothing was decided");
    return decide(e, FL_VERDICT_REJECT, e->text);
}

static fl_next take_prompt(struct fl_chat_event *e)
{
    begin(e);
    e->q_card = NULL;
    e->q_prompt =
        fl_store_chat_prompt_take(&e->tx, &e->channel->id, e->place, e->message, e->external);
    return fl_await(&e->flow, &S_prompt_taken, fl_tx_submit(&e->flow.op, &e->tx));
}

/* ---------------------------------------------------------------- grants */
/* The card that was shown is made once more: only what stands on it whole is granted. */
static fl_next look_for_grant(struct fl_chat_event *e)
{
    if (!e->is_read && !e->has_read)
        return say(e, true,
                   "not all of it was shown here: make the grant with flopinio grant create");
    e->look = FL_ARENA_NEW(e->arena, struct fl_look);
    if (!e->look)
        return fl_fail_with(&e->flow, FL_NOMEM, "out of memory");
    *e->look = (struct fl_look){ .core = e->channel->core,
                                 .organization = e->channel->organization,
                                 .id = e->approval,
                                 .wants_arguments = true,
                                 .wants_ballot = true };
    return fl_await(&e->flow, &S_grant_looked, fl_look_start(&e->flow.op, e->look));
}

static enum fl_code check_grant(struct fl_chat_event *e, struct fl_err *err)
{
    struct fl_approval_view view;
    enum fl_code code =
        fl_approval_view_read(&view, e->arena, &e->look->row, &e->look->ballot, err);
    if (code)
        return code;
    bool is_summary = e->channel->disclose == FL_DISCLOSE_SUMMARY || !view.ask ||
                      view.ask->disclose == FL_DISCLOSE_SUMMARY;
    bool is_proved = view.ask && !view.ask->needs_second_factor && !view.ask->needs_typed;
    if (!is_proved || !fl_approval_may_grant(&view))
        code = fl_err_set(err, FL_CONFLICT,
                          "nobody's approval of it can be made a grant; nothing was granted");
    else
        code = fl_card_check_grant(e->arena, &view, e->look,
                                   is_summary ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL,
                                   e->channel->kind->whole_max, err);
    fl_approval_view_fini(&view);
    return code;
}

FL_STEP(grant_looked)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_err err;
    struct fl_grant_make *m = FL_ARENA_NEW(e->arena, struct fl_grant_make);
    char *hex = fl_arena_alloc(e->arena, 2 * FL_DIGEST_BYTES + 1);
    if (comes_again(f->op.code))
        return fl_fail(f);
    if (f->op.code)
        return say(e, true, f->op.err.text);
    if (!m || !hex)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    enum fl_code code = check_grant(e, &err);
    if (comes_again(code))
        return fl_fail_with(f, code, "%s", err.text);
    if (code)
        return say(e, true, err.text);
    struct fl_str binding = fl_cell_bytes(e->q_card, e->arena, 0, 6);
    *m = (struct fl_grant_make){ .core = e->channel->core,
                                 .organization = e->channel->organization,
                                 .approval = e->approval,
                                 .person = e->person,
                                 .person_name = e->person_name,
                                 .evidence = { .chat = e->channel->kind->name,
                                               .external = e->external },
                                 .binding = fl_str_of(fl_hex(binding.p, binding.n, hex)),
                                 .uses = FL_CHAT_GRANT_USES,
                                 .for_ms = FL_CHAT_GRANT_MS,
                                 .is_once = true,
                                 .via = e->channel->kind->via };
    e->grant = m;
    return fl_await(f, &S_granted, fl_grant_make_start(&f->op, m));
}

FL_STEP(granted)
{
    struct fl_chat_event *e = event_of(f);
    char text[200], id[FL_UUID_TEXT];
    if (comes_again(f->op.code))
        return fl_fail(f);
    if (f->op.code)
        return say(e, true, f->op.err.text);
    snprintf(text, sizeof text, "allowed for 1 h, %d times; to end it: flopinio grant revoke %s",
             FL_CHAT_GRANT_USES, fl_uuid_format(&e->grant->id, id));
    say(e, true, text);
    return turn(e, e->page, false);
}

/* ---------------------------------------------------------------- stopping, looking */
static fl_next ask_people(struct fl_chat_event *e)
{
    struct fl_approval_filter filter = { .states = "pending", .most = LIST_MOST };
    begin(e);
    e->tx.is_read_only = true;
    e->q_people = fl_store_people(&e->tx);
    if (e->verb == FL_CHAT_STOP_NAMED)
        e->q_list = fl_store_agents(&e->tx);
    if (e->verb == FL_CHAT_CALL)
        return fl_await(&e->flow, &S_asked_for, fl_tx_submit(&e->flow.op, &e->tx));
    if (e->verb != FL_CHAT_PENDING)
        return fl_await(&e->flow, &S_stop_permitted, fl_tx_submit(&e->flow.op, &e->tx));
    e->q_list = fl_store_approval_list(&e->tx, &filter);
    return fl_await(&e->flow, &S_listed, fl_tx_submit(&e->flow.op, &e->tx));
}

/* Columns of fl_store_people: person_id, name, role, is_active. */
static bool may(struct fl_chat_event *e, enum fl_action action, struct fl_err *err)
{
    enum fl_role role = FL_ROLE_NONE;
    for (int i = 0; i < fl_rows(e->q_people); i++) {
        struct fl_uuid id = fl_cell_uuid(e->q_people, i, 0);
        if (fl_uuid_cmp(&id, &e->person) == 0 && fl_cell_bool(e->q_people, i, 3))
            role = fl_role_parse(fl_cell(e->q_people, i, 2));
    }
    return fl_role_require(role, action, err) == FL_OK;
}

/* A stop of what does not exist would stop nothing, and say that it did. */
static bool has_agent(const struct fl_chat_event *e)
{
    for (int i = 0; i < fl_rows(e->q_list); i++) {
        if (fl_str_eq(fl_cell(e->q_list, i, 1), e->agent))
            return true;
    }
    return false;
}

FL_STEP(stop_permitted)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    if (!may(e, FL_ACTION_STOP, &err))
        return say(e, true, err.text);
    if (e->verb == FL_CHAT_STOP_NAMED && !has_agent(e))
        return say(e, true, "there is no agent of that name; nothing was stopped");
    struct fl_stop_set *s = FL_ARENA_NEW(e->arena, struct fl_stop_set);
    if (!s)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    *s = (struct fl_stop_set){ .core = e->channel->core,
                               .arena = e->arena,
                               .organization = e->channel->organization,
                               .scope = "agent",
                               .name = e->agent,
                               .reason = FL_STR("stopped from the chat"),
                               .by = e->person_name,
                               .actor = FL_ACTOR_PERSON,
                               .actor_id = e->person,
                               .via = e->channel->kind->via };
    e->stop = s;
    return fl_await(f, &S_stopped, fl_stop_set_start(&f->op, s));
}

static fl_next ask_in_digest(struct fl_chat_event *e, const struct fl_uuid *agent)
{
    begin(e);
    fl_store_digest_ask(&e->tx, &e->digest, agent);
    return fl_await(&e->flow, &S_noted, fl_tx_submit(&e->flow.op, &e->tx));
}

FL_STEP(stopped)
{
    struct fl_chat_event *e = event_of(f);
    char text[200];
    if (comes_again(f->op.code))
        return fl_fail(f);
    if (f->op.code)
        return say(e, true, f->op.err.text);
    snprintf(text, sizeof text, "%.*s is stopped; %zu of its calls had been sent before",
             FL_STR_ARG(e->agent), e->stop->in_flight_count);
    say(e, true, text);
    if (e->verb == FL_CHAT_HALT)
        return ask_in_digest(e, NULL);
    return e->verb == FL_CHAT_STOP ? turn(e, e->page, false) : &S_answered;
}

/* ---------------------------------------------------------------- cards out of a digest */
FL_STEP(asked_for)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    if (!may(e, FL_ACTION_DECIDE, &err))
        return say(e, true, err.text);
    begin(e);
    e->q_list = fl_store_flood_call(&e->tx, &e->channel->id, &e->agent_id, FL_DIGEST_CALLED);
    fl_store_digest_ask(&e->tx, &e->digest, NULL);
    return fl_await(f, &S_called, fl_tx_submit(&f->op, &e->tx));
}

FL_STEP(called)
{
    struct fl_chat_event *e = event_of(f);
    char text[100];
    if (f->op.code)
        return fl_fail(f);
    snprintf(text, sizeof text, "%d card%s coming", fl_rows(e->q_list),
             fl_rows(e->q_list) == 1 ? " is" : "s are");
    return say(e, false, text);
}

static void put_shown(struct fl_buf *out, struct fl_str text)
{
    fl_show(out, text, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
}

FL_STEP(listed)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_err err;
    struct fl_buf out = FL_BUF_INIT;
    struct fl_approval row;
    char id[FL_UUID_TEXT];
    if (f->op.code)
        return fl_fail(f);
    if (!may(e, FL_ACTION_READ_APPROVALS, &err))
        return say(e, true, err.text);
    int count = fl_rows(e->q_list);
    for (int i = 0; i < count && fl_store_approval_read(e->q_list, i, e->arena, &row); i++) {
        int64_t now = row.frozen_at_ms ? row.frozen_at_ms : fl_real_ms();
        int64_t left = (row.expires_at_ms - now) / 60000;
        put_shown(&out, row.tool);
        fl_buf_puts(&out, " for ");
        put_shown(&out, row.agent);
        fl_buf_printf(&out, ", %lld min left%s, %.8s\n", (long long)(left > 0 ? left : 0),
                      row.frozen_at_ms ? " (stopped)" : "", fl_uuid_format(&row.id, id));
    }
    if (count == LIST_MOST)
        fl_buf_printf(&out, "(the newest %d; more are in the console)\n", LIST_MOST);
    if (count)
        e->list = fl_arena_str(e->arena, fl_buf_view(&out));
    fl_buf_fini(&out);
    return say(e, false, count ? "waiting:" : "nothing waits");
}

/* ---------------------------------------------------------------- linking */
FL_STEP(link)
{
    struct fl_chat_event *e = event_of(f);
    uint8_t hash[FL_SHA256_BYTES];
    if (f->op.code)
        return fl_fail(f);
    fl_token_digest(e->text, hash);
    e->q_link = fl_store_chat_link(&e->tx, fl_bytes(hash, sizeof hash), &e->channel->id,
                                   e->channel->kind->name, e->external, e->display);
    return fl_await(f, &S_linked, fl_tx_round(&f->op, &e->tx));
}

static fl_next end_link(struct fl_chat_event *e, bool is_alert, const char *text)
{
    say(e, is_alert, text);
    return fl_await(&e->flow, &S_noted, fl_tx_commit(&e->flow.op, &e->tx));
}

FL_STEP(linked)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_audit_event a;
    char text[300];
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(e->q_link) != 1)
        return end_link(e, true,
                        "that code is used, too old, or for another channel; ask for another: "
                        "flopinio user link");
    e->person = fl_cell_uuid(e->q_link, 0, 0);
    e->person_name = fl_arena_str(e->arena, fl_cell(e->q_link, 0, 1));
    if (!fl_cell_bool(e->q_link, 0, 2))
        return end_link(e, true,
                        "this account is linked to somebody else already; have that undone "
                        "first");
    fl_audit_init(&a, &e->channel->organization, FL_AUDIT_IDENTITY_LINKED, FL_ACTOR_PERSON,
                  &e->person, "person", &e->person);
    fl_audit_text(&a, "person", e->person_name);
    fl_audit_z(&a, "kind", e->channel->kind->name);
    fl_audit_text(&a, "channel", e->channel->name);
    fl_audit_text(&a, "external", e->external);
    fl_audit_append(&a, &e->tx);
    snprintf(text, sizeof text, "you are %.*s here now", FL_STR_ARG(e->person_name));
    return end_link(e, false, text);
}

FL_STEP(noted)
{
    if (f->op.code)
        return fl_fail(f);
    return &S_answered;
}

/* ---------------------------------------------------------------- what is done */
static fl_next ask_words(struct fl_chat_event *e)
{
    char *words = fl_arena_alloc(e->arena, FL_DECIDE_WORDS);
    if (!words)
        return fl_fail_with(&e->flow, FL_NOMEM, "out of memory");
    if (!fl_str_is(fl_cell(e->q_card, 0, 7), "pending"))
        return say(e, true, LATE);
    if (!e->is_read && !e->has_read)
        return say(e, true, "not all of it was shown here: read it to its last page first");
    fl_decide_words(fl_cell(e->q_card, 0, 11), words);
    e->words = words;
    e->wants_reason = true;
    return say(e, false, "");
}

/* Whether they have one, and may decide at all, is looked at by the kind before it asks. */
static fl_next ask_proof(struct fl_chat_event *e)
{
    if (!e->channel->kind->can_prove)
        return say(e, true, "a second factor cannot be proved here; nothing was decided");
    if (!fl_str_is(fl_cell(e->q_card, 0, 7), "pending"))
        return say(e, true, LATE);
    if (!e->is_read && !e->has_read)
        return say(e, true, UNREAD);
    e->wants_reason = true;
    return say(e, false, "");
}

static fl_next act(struct fl_chat_event *e)
{
    struct fl_str nothing = { NULL, 0 };
    switch (e->verb) {
    case FL_CHAT_APPROVE: return e->code.n ? prove(e) : decide(e, FL_VERDICT_APPROVE, nothing);
    case FL_CHAT_REJECT:
        if (e->text.n > 2000)
            return say(e, true, "a reason has at most 2000 bytes; nothing was decided");
        return decide(e, FL_VERDICT_REJECT, e->text);
    case FL_CHAT_WITHDRAW: return decide(e, FL_VERDICT_WITHDRAW, nothing);
    case FL_CHAT_WHY:
    case FL_CHAT_ASK:
    case FL_CHAT_EDIT:
    case FL_CHAT_REVIEW:
        e->wants_reason = fl_str_is(fl_cell(e->q_card, 0, 7), "pending");
        return e->wants_reason ? say(e, false, "") : say(e, true, LATE);
    case FL_CHAT_NEXT: /* from the page that they see, or it would be passed over unseen */
        if (e->is_turning)
            return say(e, false, "the page is being turned just now: press again when it is there");
        return turn(e, e->page + 1, e->asks_stop);
    case FL_CHAT_BACK: return turn(e, e->page - 1, e->asks_stop);
    case FL_CHAT_STOP_ASK: return turn(e, e->page, true);
    case FL_CHAT_STOP_NOT: return turn(e, e->page, false);
    case FL_CHAT_TYPED: return ask_words(e);
    case FL_CHAT_FORM: return say(e, false, ""); /* what waits of them is in it */
    case FL_CHAT_MARK_OPEN:
    case FL_CHAT_MARK_SHUT:
    case FL_CHAT_MARK_APPROVE:
    case FL_CHAT_MARK_REJECT:
    case FL_CHAT_MARK_NOT: return fl_many_mark(e);
    case FL_CHAT_PROVE: return ask_proof(e);
    case FL_CHAT_GRANT_ASK: return turn(e, 0, false); /* the question stands at the top */
    case FL_CHAT_GRANT_NOT: return turn(e, e->page, false);
    case FL_CHAT_GRANT: return look_for_grant(e);
    case FL_CHAT_STOP_NAMED: e->agent = e->text; return ask_people(e);
    case FL_CHAT_STOP:
    case FL_CHAT_HALT:
    case FL_CHAT_CALL:
    case FL_CHAT_PENDING: return ask_people(e);
    case FL_CHAT_HALT_ASK: return ask_in_digest(e, &e->agent_id);
    case FL_CHAT_HALT_NOT: return ask_in_digest(e, NULL);
    case FL_CHAT_REPLY: return take_prompt(e);
    case FL_CHAT_TEST:
        begin(e);
        fl_store_channel_tested(&e->tx, &e->channel->id);
        say(e, false, "it works: your click arrived");
        return fl_await(&e->flow, &S_noted, fl_tx_submit(&e->flow.op, &e->tx));
    default: return say(e, false, e->channel->kind->help);
    }
}

FL_STEP(known)
{
    struct fl_chat_event *e = event_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (fl_rows(e->q_person) != 1) {
        FL_LOG(INFO, "chat_stranger", FL_KU("org", &e->channel->organization),
               FL_KV("channel", e->channel->name), FL_KV("external", e->external));
        char text[FL_ERR_TEXT_BYTES];
        snprintf(text, sizeof text,
                 "you are not linked here: ask for a code (flopinio user link), %s",
                 e->channel->kind->how_to_link);
        return say(e, true, text);
    }
    e->person = fl_cell_uuid(e->q_person, 0, 0);
    e->person_name = fl_arena_str(e->arena, fl_cell(e->q_person, 0, 1));
    bool is_posting = (has_card(e) && fl_rows(e->q_card) == 1 && !fl_cell(e->q_card, 0, 2).p) ||
                      (has_digest(e) && fl_rows(e->q_digest) != 1);
    if (is_posting && e->looks++ < LOOKS_MOST)
        return fl_await(f, &S_identify,
                        fl_sleep_start(&f->op, &e->sleep, e->channel->core->loop, LOOK_MS));
    if ((has_card(e) && !read_card(e)) || (has_digest(e) && !read_digest(e)))
        return &S_answered;
    return act(e);
}

FL_STEP(answered)
{
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_op *op = e->op;
    if (e->look)
        fl_look_fini(e->look);
    if (e->auth)
        fl_person_auth_fini(e->auth);
    fl_tx_abandon(&e->tx);
    fl_tx_fini(&e->tx);
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code ? FL_UNAVAILABLE : FL_OK);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_chat_event, post)->flow, &S_identify);
}

enum fl_code fl_chat_event_start(struct fl_op *op, struct fl_chat_event *e)
{
    e->arena = fl_arena_new(0);
    if (!e->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    fl_tx_init(&e->tx, e->channel->core->pg, e->arena, &e->channel->organization);
    fl_flow_init(&e->flow, &S_failed, on_ended);
    e->op = op;
    fl_op_start(op, NULL, e);
    e->post = (struct fl_post){ .run = on_start };
    fl_loop_post(e->channel->core->loop, &e->post);
    return FL_OK;
}

void fl_chat_event_fini(struct fl_chat_event *e)
{
    fl_arena_free(&e->arena);
}
