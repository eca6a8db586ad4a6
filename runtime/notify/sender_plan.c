/* What should stand where: the cards of one approval in one channel, those that are to be, and who
 * is reminded. Nothing here waits. */
#include <stdio.h>

#include "runtime/notify/sender_priv.h"

#define QUIET_MS   60000 /* nobody may be disturbed yet: look again */
#define PASSING_MS 400   /* approved and running are over in a moment, mostly */

/* ---------------------------------------------------------------- places */
static void add_card(struct fl_sender *s, struct fl_str place, const struct fl_uuid *person)
{
    for (size_t i = 0; i < s->card_count; i++) {
        if (fl_str_eq(s->cards[i].place, place))
            return;
    }
    s->cards[s->card_count++] = (struct fl_sender_card){ .id = fl_uuid_new(),
                                                         .person = *person,
                                                         .place = fl_arena_str(s->arena, place),
                                                         .is_new = true };
}

/* Why no card goes there now; p NULL: it may. */
static struct fl_str why_closed(const struct fl_sender *s, struct fl_str place)
{
    for (int i = 0; i < fl_rows(s->q_closed); i++) {
        if (fl_str_eq(fl_cell(s->q_closed, i, 0), place))
            return fl_cell(s->q_closed, i, 1);
    }
    return (struct fl_str){ NULL, 0 };
}

/* Is it still one of the channel's groups, or the chat of somebody who is linked? */
static bool may_see(struct fl_sender *s, const struct fl_sender_card *c)
{
    struct fl_str place;
    if (why_closed(s, c->place).p)
        return false;
    if (fl_uuid_is_zero(&c->person)) {
        for (size_t at = 0; s->channel->kind->place(s->channel, at, &place); at++) {
            if (fl_str_eq(place, c->place))
                return true;
        }
        return false;
    }
    for (int i = 0; i < fl_rows(s->q_identities); i++) {
        struct fl_uuid person = fl_cell_uuid(s->q_identities, i, 0);
        if (fl_uuid_cmp(&person, &c->person) == 0 &&
            fl_str_eq(fl_cell(s->q_identities, i, 1), c->place))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- how much of the time is over */
static int64_t stage_ms(const struct fl_sender *s, int stage)
{
    const struct fl_approval *row = &s->look.row;
    int64_t span_ms = row->expires_at_ms - row->created_at_ms;
    return row->created_at_ms + (stage == 1 ? span_ms / 2 : span_ms / 10 * 9);
}

/* 0: less than half of the time to decide is over; 1; 2: at most a tenth is left. Time that stands
 * still reminds nobody. */
static int stage_of(const struct fl_sender *s)
{
    int64_t now_ms = fl_real_ms();
    if (!s->view.ask || !s->view.ask->reminds || s->look.row.frozen_at_ms)
        return 0;
    return now_ms >= stage_ms(s, 2) ? 2 : now_ms >= stage_ms(s, 1) ? 1 : 0;
}

int64_t fl_sender_wake_ms(const struct fl_sender *s)
{
    int64_t ms = s->quiet_ms;
    if (s->look.row.state == FL_APPROVAL_APPROVED && s->look.row.claimable_in_ms > 0 &&
        !s->look.row.frozen_at_ms)
        return s->look.row.claimable_in_ms; /* nothing can be taken back any more */
    if (s->look.row.state != FL_APPROVAL_PENDING)
        return -1;
    if (!s->view.ask || !s->view.ask->reminds || s->look.row.frozen_at_ms || s->stage == 2)
        return ms;
    int64_t left_ms = stage_ms(s, s->stage + 1) - fl_real_ms();
    left_ms = left_ms > 1 ? left_ms : 1;
    return ms < 0 || left_ms < ms ? left_ms : ms;
}

/* Columns of fl_store_cards: card_id, place, person_id, message, tries, page, is_read, asks_stop,
 * shown, asks_grant, was a grant made from it, host, is it one, the last
 * reminder sent, posted_at ms, did its mail come back, first and last sent ms. */
static void read_cards(struct fl_sender *s)
{
    for (int i = 0; i < fl_rows(s->q); i++) {
        struct fl_str message = fl_cell(s->q, i, 3);
        s->cards[s->card_count++] =
            (struct fl_sender_card){ .id = fl_cell_uuid(s->q, i, 0),
                                     .person = fl_cell_uuid(s->q, i, 2),
                                     .place = fl_arena_str(s->arena, fl_cell(s->q, i, 1)),
                                     .message =
                                         message.p ? fl_arena_str(s->arena, message) : message,
                                     .tries = fl_cell_int(s->q, i, 4),
                                     .page = fl_cell_int(s->q, i, 5),
                                     .is_read = fl_cell_bool(s->q, i, 6),
                                     .asks_stop = fl_cell_bool(s->q, i, 7),
                                     .shown = fl_cell_bytes(s->q, s->arena, i, 8),
                                     .asks_grant = fl_cell_bool(s->q, i, 9),
                                     .host = fl_cell_uuid(s->q, i, 11),
                                     .is_host = fl_cell_bool(s->q, i, 12),
                                     .reminded = (int)fl_cell_int(s->q, i, 13),
                                     .posted_ms = fl_cell_int(s->q, i, 14),
                                     .sent_ms = fl_cell_int(s->q, i, 16),
                                     .tried_ms = fl_cell_int(s->q, i, 17) };
        struct fl_sender_card *c = &s->cards[s->card_count - 1];
        c->is_withdrawn = !may_see(s, c);
        s->has_grant |= fl_cell_bool(s->q, i, 10);
        s->is_posted |= message.p && !c->is_withdrawn && !fl_cell_bool(s->q, i, 15);
    }
}

/* For how long whose place this is is not to be disturbed; 0: they may be. */
static int64_t quiet_ms(const struct fl_sender *s, int identity)
{
    bool is_urgent = s->view.ask && s->view.ask->is_urgent;
    return is_urgent ? 0 : fl_cell_int(s->q_identities, identity, 2);
}

static void wait_for_quiet(struct fl_sender *s, int64_t ms)
{
    if (s->quiet_ms < 0 || ms < s->quiet_ms)
        s->quiet_ms = ms;
}

static bool is_stood_in_for(const struct fl_sender *s, const struct fl_uuid *person)
{
    return fl_approval_is_stood_in_for(&s->view, person, s->q_identities, s->q_closed);
}

/* To the channel's groups; without any to each person's own place who may vote on it, but not in
 * their quiet hours: then it is as if they were not there, and they have theirs afterwards. */
static void add_new_cards(struct fl_sender *s)
{
    struct fl_uuid nobody = { { 0 } };
    struct fl_str place, closed = { NULL, 0 };
    struct fl_err err;
    bool has_groups = false, has_any = false;
    for (size_t at = 0; at < FL_SENDER_PLACES && s->channel->kind->place(s->channel, at, &place);
         at++) {
        has_groups = true;
        closed = why_closed(s, place);
        if (!closed.p)
            add_card(s, place, &nobody);
    }
    for (int i = 0; !has_groups && i < fl_rows(s->q_identities); i++) {
        struct fl_uuid person = fl_cell_uuid(s->q_identities, i, 0);
        if (fl_approval_may_vote(&s->view, &person, true, &err) != FL_OK ||
            is_stood_in_for(s, &person))
            continue;
        if (quiet_ms(s, i))
            wait_for_quiet(s, quiet_ms(s, i));
        else
            add_card(s, fl_cell(s->q_identities, i, 1), &person);
    }
    for (size_t i = 0; i < s->card_count; i++)
        has_any |= !s->cards[i].is_withdrawn;
    s->is_lost = !has_any;
    s->is_closed = closed.p != NULL;
    if (has_any)
        return;
    s->later_ms = s->quiet_ms < 0          ? FL_SENDER_UNLINKED_MS
                  : s->quiet_ms < QUIET_MS ? s->quiet_ms
                                           : QUIET_MS;
    if (closed.p)
        snprintf(s->trouble, sizeof s->trouble, "no card goes to its chat: %.*s",
                 FL_STR_ARG(closed));
    else
        snprintf(s->trouble, sizeof s->trouble, "%s",
                 s->quiet_ms < 0 ? "nobody who may decide it is linked to this channel"
                                 : "it is quiet hours for everybody who may decide it here");
}

static bool has_voted(const struct fl_sender *s, const struct fl_uuid *person)
{
    for (size_t i = 0; i < s->look.ballot.vote_count; i++) {
        if (fl_uuid_cmp(&s->look.ballot.votes[i].person, person) == 0)
            return true;
    }
    return false;
}

/* Beneath every card that stood when this part of the time was over, once; not for whom there is
 * nothing to do, and in quiet hours after them. */
static void plan_reminders(struct fl_sender *s)
{
    struct fl_err err;
    for (size_t i = 0; s->stage && i < s->card_count; i++) {
        struct fl_sender_card *c = &s->cards[i];
        if (!c->message.p || c->is_withdrawn || c->reminded >= s->stage ||
            c->posted_ms >= stage_ms(s, s->stage))
            continue;
        c->wants_reminder = true;
        if (fl_uuid_is_zero(&c->person))
            continue;
        c->wants_reminder = !has_voted(s, &c->person) && !is_stood_in_for(s, &c->person) &&
                            fl_approval_may_vote(&s->view, &c->person, true, &err) == FL_OK;
        for (int k = 0; c->wants_reminder && k < fl_rows(s->q_identities); k++) {
            if (!fl_str_eq(fl_cell(s->q_identities, k, 1), c->place) || !quiet_ms(s, k))
                continue;
            c->wants_reminder = false;
            wait_for_quiet(s, quiet_ms(s, k));
        }
    }
}

bool fl_sender_is_summary(const struct fl_sender *s)
{
    return s->channel->disclose == FL_DISCLOSE_SUMMARY || !s->view.ask ||
           s->view.ask->disclose == FL_DISCLOSE_SUMMARY || s->due[s->due_at].is_erasing;
}

void fl_sender_wait(struct fl_sender *s, int64_t ms)
{
    if (s->later_ms < 0 || ms < s->later_ms)
        s->later_ms = ms;
}

/* Running begins and ends within a moment, and each rewriting counts for the chat: what is on its
 * way is told when it stays so. */
static bool is_passing(const struct fl_sender *s)
{
    enum fl_approval_state state = s->look.row.state;
    int64_t age_ms = fl_real_ms() - s->look.row.changed_at_ms;
    return s->is_posted && s->look.row.wait_mode != FL_WAIT_LEFT && age_ms < PASSING_MS &&
           (state == FL_APPROVAL_APPROVED || state == FL_APPROVAL_CLAIMED ||
            state == FL_APPROVAL_DISPATCHED);
}

bool fl_sender_plan(struct fl_sender *s)
{
    const struct fl_sender_due *due = &s->due[s->due_at];
    size_t most = (size_t)fl_rows(s->q) + (size_t)fl_rows(s->q_identities) + FL_SENDER_PLACES;
    s->cards = fl_arena_array(s->arena, most, sizeof *s->cards);
    if (!s->cards)
        return false;
    read_cards(s);
    bool is_pending = s->look.row.state == FL_APPROVAL_PENDING;
    s->stage = is_pending ? stage_of(s) : 0;
    bool is_its_turn = s->stage >= (due->step < 2 ? due->step : 2);
    if (is_pending && (due->is_delivered || !due->is_told_earlier || is_its_turn))
        add_new_cards(s);
    plan_reminders(s);
    if (is_passing(s)) {
        s->card_at = s->card_count;
        fl_sender_wait(s, PASSING_MS);
    }
    return true;
}
