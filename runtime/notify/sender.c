/* The sender: rest -> ask -> each row: look, plan, each card: put, draw, send, record -> done. */
#include "runtime/notify/sender.h"

#include <stdio.h>

#include "flopinio/base/log.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"
#include "runtime/store/flood.h"
#include "runtime/store/outbox.h"
#include "runtime/store/place.h"

#define REST_MS       1000
#define UNLINKED_MS   5000  /* nobody to tell yet: look again */
#define QUIET_MS      60000 /* the same in quiet hours */
#define BUSY_MAX      3600000
#define BUSY_END      86400000 /* a place that did not take it for so long does not take it */
#define BACKOFF_MS    1000
#define BACKOFF_MAX   300000
#define PASSING_MS    400   /* approved and running are over in a moment, mostly */
#define WORKS_MS      5000  /* between two notes that it works */
#define BREAKER_AFTER 5     /* failures in a row, then the channel rests */
#define COUNTED_MS    50    /* by then a call that was taken in is seen by whoever counts */
#define MANY          20000 /* wait to be told: they are folded each MANY_MS only */
#define MANY_MS       5000
#define FLOOD_MS      2000 /* of work on a batch, then what is most urgent is asked again */

FL_STEP_DECLARE(ask);
FL_STEP_DECLARE(due);
FL_STEP_DECLARE(told);
FL_STEP_DECLARE(digest);
FL_STEP_DECLARE(digested);
FL_STEP_DECLARE(next_row);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(plan);
FL_STEP_DECLARE(next_card);
FL_STEP_DECLARE(put);
FL_STEP_DECLARE(draw);
FL_STEP_DECLARE(draw_many);
FL_STEP_DECLARE(drawn_many);
FL_STEP_DECLARE(parted);
FL_STEP_DECLARE(send);
FL_STEP_DECLARE(sent);
FL_STEP_DECLARE(recorded);
FL_STEP_DECLARE(remind);
FL_STEP_DECLARE(reminded);
FL_STEP_DECLARE(reminder_noted);
FL_STEP_DECLARE(look_for_stray);
FL_STEP_DECLARE(next_stray);
FL_STEP_DECLARE(retired);
FL_STEP_DECLARE(row_done);
FL_STEP_DECLARE(row_recorded);
FL_STEP_DECLARE(rest);

static struct fl_sender *sender_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_sender, flow);
}

static void begin(struct fl_sender *s)
{
    fl_tx_fini(&s->tx);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
}

/* The database is away, or something of this round cannot be done now: the next one sees. */
static fl_next wait_a_round(struct fl_sender *s)
{
    s->next_ms = REST_MS;
    s->is_nudged = false;
    return &S_rest;
}

/* ---------------------------------------------------------------- rounds */
FL_STEP(rested)
{
    struct fl_sender *s = sender_of(f);
    s->is_resting = false;
    return s->is_stopping ? fl_end(f) : &S_ask;
}

FL_STEP(rest)
{
    struct fl_sender *s = sender_of(f);
    int64_t ms = s->is_nudged ? 0 : s->next_ms;
    int64_t paused_ms = s->channel->paused_until_ms - fl_real_ms();
    if (s->is_stopping)
        return fl_end(f);
    s->is_nudged = false;
    s->is_resting = paused_ms <= 0 && !s->is_flooded; /* a pause is not to be shortened */
    ms = paused_ms > 0 ? paused_ms : s->is_flooded ? REST_MS : ms;
    return fl_await(
        f, &S_rested,
        fl_sleep_start(&f->op, &s->sleep, s->channel->core->loop, ms > REST_MS ? REST_MS : ms));
}

static void forget_row(struct fl_sender *s)
{
    fl_tx_fini(&s->tx);
    fl_batch_fini(&s->batch);
    fl_approval_view_fini(&s->view);
    fl_look_fini(&s->look);
    s->view = (struct fl_approval_view){ 0 };
    s->q = s->q_next = s->q_identities = s->q_closed = NULL;
    fl_arena_free(&s->arena);
}

FL_STEP(ask)
{
    struct fl_sender *s = sender_of(f);
    if (s->is_stopping)
        return fl_end(f);
    if (s->channel->paused_until_ms > fl_real_ms())
        return &S_rest;
    forget_row(s); /* the last one of the round before */
    s->arena = fl_arena_new(4096);
    s->next_ms = REST_MS;
    if (!s->arena)
        return &S_rest;
    begin(s);
    f->op.code = FL_OK;
    if (!s->is_flooded || fl_mono_ms() - s->folded_ms < s->fold_ms)
        return &S_due;
    s->folded_ms = fl_mono_ms();
    fl_store_flood_fold(&s->tx, &s->channel->id, fl_channel_rate(s->channel));
    return fl_await(f, &S_due, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(due)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code)
        s->folded_ms = fl_mono_ms(); /* what cannot be folded, or not in time, is told */
    begin(s);
    s->tx.is_read_only = true;
    /* What came in since it was counted waits for the next time. */
    s->q = fl_store_outbox_due(&s->tx, &s->channel->id, FL_SENDER_BATCH,
                               s->is_flooded ? fl_mono_ms() - s->folded_ms + COUNTED_MS : -REST_MS);
    s->q_next = fl_store_outbox_next(&s->tx, &s->channel->id);
    s->q_flood = fl_store_flood(&s->tx, &s->channel->id);
    return fl_await(f, &S_told, fl_tx_submit(&f->op, &s->tx));
}

/* Columns of fl_store_flood: how many wait to be told, how many were told in the last minute, does
 * a digest stand, or is anything folded. */
static bool is_flood(const struct fl_sender *s)
{
    int64_t cards = fl_cell_int(s->q_flood, 0, 0) + fl_cell_int(s->q_flood, 0, 1);
    return !s->channel->kind->is_mail &&
           (cards > fl_channel_rate(s->channel) || fl_cell_bool(s->q_flood, 0, 2));
}

/* Columns of fl_store_outbox_due: approval_id, wanted, step, tries, is it delivered, did an earlier
 * step deliver, is it time to erase. */
FL_STEP(told)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code)
        return &S_rest; /* the log has it; the next round asks again */
    bool was_flooded = s->is_flooded;
    s->is_flooded = is_flood(s);
    s->fold_ms = fl_cell_int(s->q_flood, 0, 0) > MANY ? MANY_MS : 0;
    if (s->is_flooded && !was_flooded)
        return &S_ask;
    s->asked_ms = fl_mono_ms();
    s->due_count = fl_rows(s->q);
    s->due_at = 0;
    for (int i = 0; i < s->due_count; i++)
        s->due[i] = (struct fl_sender_due){ .approval = fl_cell_uuid(s->q, i, 0),
                                            .wanted = fl_cell_int(s->q, i, 1),
                                            .step = fl_cell_int(s->q, i, 2),
                                            .tries = fl_cell_int(s->q, i, 3),
                                            .is_delivered = fl_cell_bool(s->q, i, 4),
                                            .is_told_earlier = fl_cell_bool(s->q, i, 5),
                                            .is_erasing = fl_cell_bool(s->q, i, 6) };
    if (fl_rows(s->q_next) == 1 && fl_cell_int(s->q_next, 0, 0) < REST_MS)
        s->next_ms = fl_cell_int(s->q_next, 0, 0);
    if (s->due_count)
        s->next_ms = 0;
    return s->is_flooded ? &S_digest : &S_next_row;
}

/* ---------------------------------------------------------------- more than anybody reads */
FL_STEP(digest)
{
    struct fl_sender *s = sender_of(f);
    s->flood.channel = s->channel;
    s->flood.pace = &s->pace;
    return fl_await(f, &S_digested, fl_digest_start(&f->op, &s->flood));
}

static int64_t rest_channel(struct fl_sender *s, enum fl_code code, int64_t retry_ms);

FL_STEP(digested)
{
    struct fl_sender *s = sender_of(f);
    enum fl_code code = f->op.code;
    if (!s->flood.is_chat_fault) /* else what is due fails as well */
        return &S_next_row;
    fl_utf8_format(s->trouble, sizeof s->trouble, "%s", f->op.err.text);
    rest_channel(s, code, s->flood.retry_ms);
    begin(s);
    fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->failures, fl_str_of(s->trouble),
                           s->channel->paused_until_ms - fl_real_ms());
    s->works_at_ms = 0;
    return fl_await(f, &S_rest, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(next_row)
{
    struct fl_sender *s = sender_of(f);
    bool is_long = s->is_flooded && fl_mono_ms() - s->asked_ms > FLOOD_MS;
    if (s->is_stopping || s->due_at == s->due_count || is_long ||
        s->channel->paused_until_ms > fl_real_ms())
        return &S_rest;
    forget_row(s);
    s->arena = fl_arena_new(16384);
    if (!s->arena)
        return wait_a_round(s);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
    s->later_ms = s->quiet_ms = -1;
    s->stage = 0;
    s->trouble[0] = 0;
    s->is_posted = s->has_failed = s->is_not_taken = s->has_grant = s->is_lost = false;
    s->card_count = s->card_at = 0;
    s->look = (struct fl_look){ .core = s->channel->core,
                                .organization = s->channel->organization,
                                .id = s->due[s->due_at].approval,
                                .wants_arguments = true,
                                .wants_ballot = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &s->look));
}

/* ---------------------------------------------------------------- what should stand where */
FL_STEP(looked)
{
    struct fl_sender *s = sender_of(f);
    struct fl_err err;
    if (f->op.code == FL_OK)
        f->op.code = fl_approval_view_read(&s->view, s->arena, &s->look.row, &s->look.ballot, &err);
    if (f->op.code) {
        s->due_at++;
        return f->op.code == FL_NOT_FOUND ? &S_next_row : wait_a_round(s);
    }
    begin(s);
    s->tx.is_read_only = true;
    s->q = fl_store_cards(&s->tx, &s->look.row.id, &s->channel->id);
    s->q_identities = fl_store_chat_identities(&s->tx, s->channel->kind->name);
    s->q_closed = fl_store_places_closed(&s->tx, &s->channel->id);
    return fl_await(f, &S_plan, fl_tx_submit(&f->op, &s->tx));
}

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

/* When the row is to be looked at again, though nothing of it has changed; -1: not. */
static int64_t wake_ms(const struct fl_sender *s)
{
    int64_t ms = s->quiet_ms;
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
 * reminder sent, posted_at ms, did its mail come back. */
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
                                     .posted_ms = fl_cell_int(s->q, i, 14) };
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
        if (fl_approval_may_vote(&s->view, &person, true, &err) != FL_OK)
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
    s->later_ms = s->quiet_ms < 0 ? UNLINKED_MS : s->quiet_ms < QUIET_MS ? s->quiet_ms : QUIET_MS;
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
        c->wants_reminder = !has_voted(s, &c->person) &&
                            fl_approval_may_vote(&s->view, &c->person, true, &err) == FL_OK;
        for (int k = 0; c->wants_reminder && k < fl_rows(s->q_identities); k++) {
            if (!fl_str_eq(fl_cell(s->q_identities, k, 1), c->place) || !quiet_ms(s, k))
                continue;
            c->wants_reminder = false;
            wait_for_quiet(s, quiet_ms(s, k));
        }
    }
}

static bool is_summary(const struct fl_sender *s)
{
    return s->channel->disclose == FL_DISCLOSE_SUMMARY || !s->view.ask ||
           s->view.ask->disclose == FL_DISCLOSE_SUMMARY || s->due[s->due_at].is_erasing;
}

static void wait_for(struct fl_sender *s, int64_t ms)
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

FL_STEP(plan)
{
    struct fl_sender *s = sender_of(f);
    const struct fl_sender_due *due = &s->due[s->due_at];
    struct fl_approval_texts texts = { .arguments = s->look.arguments,
                                       .preview = s->look.preview,
                                       .justification = s->look.justification,
                                       .is_tampered = s->look.is_tampered,
                                       .disclose =
                                           is_summary(s) ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL };
    struct fl_err err;
    if (f->op.code)
        return wait_a_round(s);
    size_t most = (size_t)fl_rows(s->q) + (size_t)fl_rows(s->q_identities) + FL_SENDER_PLACES;
    s->cards = fl_arena_array(s->arena, most, sizeof *s->cards);
    if (!s->cards)
        return wait_a_round(s);
    read_cards(s);
    bool is_pending = s->look.row.state == FL_APPROVAL_PENDING;
    s->stage = is_pending ? stage_of(s) : 0;
    bool is_its_turn = s->stage >= (due->step < 2 ? due->step : 2);
    if (is_pending && (due->is_delivered || !due->is_told_earlier || is_its_turn))
        add_new_cards(s);
    plan_reminders(s);
    if (is_passing(s)) {
        s->card_at = s->card_count;
        wait_for(s, PASSING_MS);
    }
    if (s->card_at == s->card_count)
        return &S_row_done;
    enum fl_code code =
        fl_card_of(s->arena, &s->view, &texts, s->channel->core->keys, &s->channel->organization,
                   s->channel->kind->whole_max, &s->card, &err);
    /* What is proved with a decision cannot be proved in a chat. */
    if (s->view.ask && s->view.ask->needs_second_factor)
        s->card.can_approve = false;
    return code ? wait_a_round(s) : &S_next_card;
}

/* ---------------------------------------------------------------- one card */
static bool may_join(const struct fl_sender *s)
{
    return s->channel->kind->draw_many && !(s->view.ask && s->view.ask->needs_typed) &&
           json_is_true(json_object_get(s->channel->config, "batch"));
}

FL_STEP(next_card)
{
    struct fl_sender *s = sender_of(f);
    if (s->card_at == s->card_count || s->has_failed || s->is_stopping)
        return &S_row_done;
    struct fl_sender_card *c = &s->cards[s->card_at];
    if (!c->is_new)
        return &S_draw;
    begin(s);
    s->q = fl_store_card_put(&s->tx, &c->id, &s->look.row.id, &s->channel->id, c->place,
                             fl_uuid_is_zero(&c->person) ? NULL : &c->person,
                             s->card.can_approve && may_join(s), FL_BATCH_MOST - 1);
    return fl_await(f, &S_put, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(put)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code || fl_rows(s->q) != 1)
        return wait_a_round(s);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_str message = fl_cell(s->q, 0, 2);
    c->id = fl_cell_uuid(s->q, 0, 0);
    c->host = fl_cell_uuid(s->q, 0, 1);
    if (!fl_uuid_is_zero(&c->host))
        c->message = fl_arena_str(s->arena, message);
    return &S_draw;
}

/* What is drawn is sent, unless it stands there, was never told, or has to wait. */
static fl_next deliver(struct fl_sender *s, struct fl_sender_card *c)
{
    fl_sha256(s->drawn.key.p ? s->drawn.key : s->drawn.bytes, s->digest);
    if (c->message.p && fl_str_eq(c->shown, fl_bytes(s->digest, sizeof s->digest)))
        return &S_remind;
    bool is_over = s->look.row.state != FL_APPROVAL_PENDING || c->is_withdrawn;
    if (!c->message.p && c->tries == 0 && is_over) {
        s->card_at++; /* over before it was told: nothing stands there */
        return &S_next_card;
    }
    int64_t wait_ms = fl_pace_take(&s->pace, c->place);
    if (wait_ms) {
        wait_for(s, wait_ms);
        s->card_at++;
        return &S_next_card;
    }
    if (c->message.p)
        return &S_send;
    begin(s);
    fl_store_card_sending(&s->tx, &c->id);
    return fl_await(&s->flow, &S_send, fl_tx_submit(&s->flow.op, &s->tx));
}

/* Offered where all of the call was shown, and nothing has to be proved beside. */
static bool may_grant(const struct fl_sender *s, const struct fl_sender_card *c)
{
    return c->is_read && !s->has_grant && s->card.is_whole && !is_summary(s) && s->view.ask &&
           !s->view.ask->needs_second_factor && !s->view.ask->needs_typed &&
           fl_approval_may_grant(&s->view);
}

FL_STEP(draw)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_chat_drawing drawing = { .card = &s->card,
                                       .card_id = c->id,
                                       .binding = s->look.row.binding_digest,
                                       .agent = s->look.row.agent,
                                       .page = (int)c->page,
                                       .is_read = c->is_read,
                                       .asks_stop = c->asks_stop,
                                       .tool = s->look.row.tool,
                                       .is_typed = s->view.ask && s->view.ask->needs_typed,
                                       .may_grant = may_grant(s, c),
                                       .asks_grant = c->asks_grant,
                                       .is_erased = s->due[s->due_at].is_erasing };
    struct fl_err err;
    if (c->is_withdrawn && s->channel->kind->is_mail) { /* nothing is written over there */
        begin(s);
        fl_store_card_drop(&s->tx, &c->id);
        return fl_await(f, &S_recorded, fl_tx_submit(&f->op, &s->tx));
    }
    if (!c->is_withdrawn && (c->is_host || !fl_uuid_is_zero(&c->host)))
        return &S_draw_many;
    if (c->is_withdrawn)
        drawing = (struct fl_chat_drawing){
            .notice = FL_STR("This card was withdrawn: it is not for this chat any more."),
            .is_stray = true
        };
    else if (s->card.can_reject && s->card.is_whole && !s->card.can_approve)
        drawing.note = FL_STR("Approving takes a second factor: not here, but with flopinio "
                              "approvals approve.");
    else if (s->card.can_approve && drawing.is_typed)
        drawing.note = FL_STR("Approving asks you to type a few words.");
    else if (s->has_grant && !s->due[s->due_at].is_erasing)
        drawing.note = FL_STR("A grant was made from it: flopinio grant list.");
    f->op.code = FL_OK;
    s->drawn = (struct fl_chat_drawn){ .is_last_page = false };
    if (s->channel->kind->draw(&drawing, s->arena, &s->drawn, &err) != FL_OK)
        return wait_a_round(s);
    return deliver(s, c);
}

/* ---------------------------------------------------------------- several cards in one message */
FL_STEP(draw_many)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    bool is_guest = !fl_uuid_is_zero(&c->host);
    fl_batch_fini(&s->batch);
    s->batch = (struct fl_batch){ .channel = s->channel,
                                  .arena = s->arena,
                                  .host = is_guest ? c->host : c->id };
    return fl_await(f, &S_drawn_many, fl_batch_start(&f->op, &s->batch));
}

/* They do not fit into one message: a guest has one of its own from now on, to be read from its
 * beginning, and a host's guests each have. */
static fl_next part(struct fl_sender *s, struct fl_sender_card *c)
{
    begin(s);
    if (c->is_host) {
        fl_store_batch_part(&s->tx, &c->id);
        c->is_host = false;
    } else {
        fl_store_card_part(&s->tx, &c->id);
        if (c->shown.n) /* in the host's message, which is to be without it */
            fl_store_outbox_again(&s->tx, &s->batch.items[0].approval, &s->channel->id);
        c->host = (struct fl_uuid){ { 0 } };
        c->message = c->shown = (struct fl_str){ NULL, 0 };
        c->is_read = false;
    }
    return fl_await(&s->flow, &S_parted, fl_tx_submit(&s->flow.op, &s->tx));
}

FL_STEP(drawn_many)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    if (f->op.code == FL_TOO_LARGE)
        return part(s, c);
    if (f->op.code)
        return wait_a_round(s);
    s->drawn = s->batch.drawn;
    return deliver(s, c);
}

FL_STEP(parted)
{
    return f->op.code ? wait_a_round(sender_of(f)) : &S_draw;
}

FL_STEP(send)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    if (f->op.code)
        return wait_a_round(s);
    if (s->is_stopping) { /* another looks after the channel, soon: nothing leaves any more */
        begin(s);
        if (!c->message.p)
            fl_store_card_unsent(&s->tx, &c->id);
        return c->message.p ? &S_rest : fl_await(f, &S_rest, fl_tx_submit(&f->op, &s->tx));
    }
    s->send = (struct fl_chat_send){ .channel = s->channel,
                                     .arena = s->arena,
                                     .place = c->place,
                                     .message = c->message,
                                     .bytes = s->drawn.bytes,
                                     .after = s->drawn.after,
                                     .key = s->drawn.key,
                                     .card = c->id };
    enum fl_code code = s->channel->kind->send_start(&f->op, &s->send);
    if (code == FL_OK)
        return fl_await(f, &S_sent, FL_OK);
    f->op.code = code;
    f->op.err.code = code;
    return &S_sent;
}

/* The channel rests after failures in a row, longer and longer; a fault of ours or theirs that does
 * not pass by itself is seen in its list. Returns for how long. */
static int64_t rest_channel(struct fl_sender *s, enum fl_code code, int64_t retry_ms)
{
    struct fl_channel *ch = s->channel;
    int64_t pause_ms = BACKOFF_MS;
    if (code != FL_TOO_MANY)
        ch->failures++;
    for (int i = 1; i < ch->failures && pause_ms < BACKOFF_MAX; i++)
        pause_ms *= 2;
    if (pause_ms > BACKOFF_MAX || code == FL_UNAUTHENTICATED)
        pause_ms = BACKOFF_MAX;
    if (code == FL_TOO_MANY)
        pause_ms = retry_ms;
    if (ch->failures == BREAKER_AFTER)
        FL_LOG(WARN, "channel_rests", FL_KU("org", &ch->organization), FL_KV("channel", ch->name),
               FL_KS("reason", s->trouble));
    ch->paused_until_ms = fl_real_ms() + pause_ms;
    if (s->failed)
        (*s->failed)++;
    return pause_ms;
}

static fl_next fail_channel(struct fl_sender *s, enum fl_code code, int64_t retry_ms)
{
    int64_t pause_ms = rest_channel(s, code, retry_ms);
    s->has_failed = s->is_fail_noted = true;
    wait_for(s, pause_ms);
    return &S_row_done;
}

/* Is it this one place that does not take it, which will pass? It is asked again longer and longer;
 * `tries` of the row do not count it, as what changes is told to the others at once. */
static bool is_busy(struct fl_sender *s, enum fl_code code)
{
    int64_t ms = fl_real_ms() - s->look.row.changed_at_ms, wake = wake_ms(s);
    if (code != FL_CONFLICT || ms > BUSY_END)
        return false;
    ms = ms < UNLINKED_MS ? UNLINKED_MS : ms > BUSY_MAX ? BUSY_MAX : ms;
    wait_for(s, wake >= 0 && wake < ms ? wake : ms);
    return true;
}

/* That place is gone, not ours, or busy, or its message is gone: the others go on, and a call that
 * waits has a card there again if that can be. A chat that takes none any more was told nothing. */
static void not_taken(struct fl_sender *s, struct fl_sender_card *c, enum fl_code code)
{
    const struct fl_sender_due *due = &s->due[s->due_at];
    bool is_waiting = !c->is_withdrawn && s->look.row.state == FL_APPROVAL_PENDING;
    FL_LOG(WARN, "card_not_taken", FL_KU("org", &s->channel->organization),
           FL_KV("channel", s->channel->name), FL_KU("call", &s->look.row.id),
           FL_KS("reason", s->trouble));
    bool passes = is_busy(s, code), is_gone = c->message.p && !passes;
    bool is_batch = !c->is_withdrawn && (c->is_host || !fl_uuid_is_zero(&c->host));
    if (is_gone && is_batch)
        fl_store_batch_gone(&s->tx, c->is_host ? &c->id : &c->host);
    else if (is_gone)
        fl_store_card_drop(&s->tx, &c->id);
    else
        fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->failures, fl_str_of(s->trouble),
                               0);
    if (!passes && (is_gone ? is_waiting : !s->is_posted))
        wait_for(s, UNLINKED_MS << (due->tries < 6 ? due->tries : 6));
    s->is_lost |= !c->message.p && is_waiting && due->is_delivered;
    s->works_at_ms = 0;
    s->is_not_taken |= !passes;
    c->wants_reminder = false;
    if (s->failed)
        (*s->failed)++;
}

FL_STEP(sent)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    fl_utf8_format(s->trouble, sizeof s->trouble, "%s", f->op.code ? f->op.err.text : "");
    s->is_unsent = !c->message.p && f->op.code && f->op.code != FL_AMBIGUOUS &&
                   f->op.code != FL_TIMEOUT && f->op.code != FL_CANCELLED;
    begin(s);
    if (f->op.code == FL_NOT_FOUND || f->op.code == FL_FORBIDDEN || f->op.code == FL_CONFLICT) {
        not_taken(s, c, f->op.code);
    } else if (f->op.code) {
        return fail_channel(s, f->op.code, s->send.retry_ms);
    } else {
        if (s->sent)
            (*s->sent)++;
        s->is_posted |= !c->is_withdrawn;
        s->channel->failures = 0;
        if (c->is_withdrawn)
            fl_store_card_drop(&s->tx, &c->id);
        else if (c->is_host || !fl_uuid_is_zero(&c->host))
            fl_store_batch_shown(&s->tx, c->is_host ? &c->id : &c->host, s->send.posted,
                                 fl_bytes(s->digest, sizeof s->digest));
        else
            fl_store_card_shown(&s->tx, &c->id, s->send.posted,
                                fl_bytes(s->digest, sizeof s->digest), c->page,
                                s->drawn.is_last_page && s->card.is_whole);
    }
    if (s->is_unsent)
        fl_store_card_unsent(&s->tx, &c->id);
    s->is_unsent = false;
    bool is_doubtful = !f->op.code && !c->message.p && c->tries > 0 && s->channel->kind->stray;
    if (!s->tx.first && !s->tx.is_nomem)
        return &S_recorded;
    return fl_await(f, is_doubtful ? &S_look_for_stray : &S_recorded, fl_tx_submit(&f->op, &s->tx));
}

/* ---------------------------------------------------------------- a copy of a card */
FL_STEP(look_for_stray)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code)
        return &S_recorded;
    begin(s);
    s->tx.is_read_only = true;
    s->q = fl_store_cards_at(&s->tx, &s->channel->id, s->cards[s->card_at].place);
    s->stray_at = 0;
    s->stray_from = s->send.posted;
    return fl_await(f, &S_next_stray, fl_tx_submit(&f->op, &s->tx));
}

static bool is_card(const struct fl_sender *s, struct fl_str message)
{
    for (int i = 0; i < fl_rows(s->q); i++) {
        if (fl_str_eq(fl_cell(s->q, i, 0), message))
            return true;
    }
    return false;
}

FL_STEP(next_stray)
{
    struct fl_sender *s = sender_of(f);
    struct fl_chat_drawing drawing = {
        .notice = FL_STR("An older copy of a card; the newer one is valid."), .is_stray = true
    };
    struct fl_str at;
    struct fl_chat_drawn drawn;
    struct fl_err err;
    if (f->op.code || s->is_stopping)
        return &S_recorded;
    while (s->channel->kind->stray(s->stray_from, s->stray_at, s->arena, &at)) {
        s->stray_at++;
        if (is_card(s, at))
            continue;
        if (s->channel->kind->draw(&drawing, s->arena, &drawn, &err) != FL_OK)
            break;
        s->send = (struct fl_chat_send){ .channel = s->channel,
                                         .arena = s->arena,
                                         .place = s->cards[s->card_at].place,
                                         .message = at,
                                         .bytes = drawn.bytes };
        return fl_await(f, &S_retired, s->channel->kind->send_start(&f->op, &s->send));
    }
    return &S_recorded;
}

FL_STEP(retired)
{
    bool was_it = f->op.code == FL_OK, goes_on = f->op.code == FL_NOT_FOUND;
    f->op.code = FL_OK;
    return !was_it && goes_on ? &S_next_stray : &S_recorded;
}

FL_STEP(recorded)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_AMBIGUOUS)
        return wait_a_round(s);
    return &S_remind;
}

/* ---------------------------------------------------------------- reminding */
/* A message of its own, which pings; no buttons, and nothing in it that a decision makes untrue. */
static enum fl_code draw_reminder(struct fl_sender *s)
{
    struct fl_buf list = FL_BUF_INIT;
    struct fl_err err;
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
                            ? FL_NOMEM
                            : s->channel->kind->draw(&drawing, s->arena, &s->drawn, &err);
    fl_buf_fini(&list);
    return code;
}

FL_STEP(remind)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    int64_t ms;
    f->op.code = FL_OK;
    if (!c->wants_reminder || s->is_stopping) {
        s->card_at++;
        return &S_next_card;
    }
    if ((ms = fl_pace_take(&s->pace, c->place)) > 0) {
        wait_for(s, ms);
        s->card_at++;
        return &S_next_card;
    }
    if (draw_reminder(s) != FL_OK)
        return wait_a_round(s);
    s->send = (struct fl_chat_send){ .channel = s->channel,
                                     .arena = s->arena,
                                     .place = c->place,
                                     .beneath = c->message,
                                     .bytes = s->drawn.bytes };
    enum fl_code code = s->channel->kind->send_start(&f->op, &s->send);
    if (code == FL_OK)
        return fl_await(f, &S_reminded, FL_OK);
    f->op.code = code;
    f->op.err.code = code;
    return &S_reminded;
}

/* A card that is gone there, or not taken there now, keeps nobody else from being reminded. */
FL_STEP(reminded)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code && f->op.code != FL_NOT_FOUND && f->op.code != FL_FORBIDDEN &&
        f->op.code != FL_CONFLICT) {
        fl_utf8_format(s->trouble, sizeof s->trouble, "%s", f->op.err.text);
        return fail_channel(s, f->op.code, s->send.retry_ms);
    }
    if (s->sent && !f->op.code)
        (*s->sent)++;
    begin(s);
    fl_store_card_reminded(&s->tx, &s->cards[s->card_at].id, s->stage);
    return fl_await(f, &S_reminder_noted, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(reminder_noted)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code)
        return wait_a_round(s);
    s->card_at++;
    return &S_next_card;
}

/* ---------------------------------------------------------------- the row is done, for now */
FL_STEP(row_done)
{
    struct fl_sender *s = sender_of(f);
    const struct fl_sender_due *due = &s->due[s->due_at];
    bool is_over = fl_state_is_final(s->look.row.state);
    int64_t erase_ms = is_over && s->card_count && !due->is_erasing ? s->retention_ms : -1;
    begin(s);
    if (s->is_stopping)
        return &S_rest;
    if (s->is_unsent)
        fl_store_card_unsent(&s->tx, &s->cards[s->card_at].id);
    s->is_unsent = false;
    if (s->is_lost && !s->is_posted)
        fl_store_outbox_lost(&s->tx, &due->approval, &s->channel->id, s->is_closed);
    if (s->later_ms >= 0)
        fl_store_outbox_later(
            &s->tx, &due->approval, &s->channel->id, s->later_ms, s->has_failed || s->is_not_taken,
            s->trouble[0] ? fl_str_of(s->trouble) : (struct fl_str){ NULL, 0 }, s->is_posted);
    else
        fl_store_outbox_done(&s->tx, &due->approval, &s->channel->id, due->wanted, s->is_posted,
                             erase_ms, due->is_erasing, wake_ms(s));
    if (s->is_fail_noted) {
        fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->failures, fl_str_of(s->trouble),
                               s->channel->paused_until_ms - fl_real_ms());
        s->works_at_ms = 0;
    } else if (s->is_posted && s->later_ms < 0 && fl_mono_ms() - s->works_at_ms > WORKS_MS) {
        fl_store_channel_works(&s->tx, &s->channel->id);
        s->works_at_ms = fl_mono_ms();
    }
    s->is_fail_noted = false;
    return fl_await(f, &S_row_recorded, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(row_recorded)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code)
        return wait_a_round(s);
    s->due_at++;
    return &S_next_row;
}

FL_STEP(failed)
{
    return wait_a_round(sender_of(f));
}

static void on_ended(struct fl_flow *f)
{
    struct fl_sender *s = sender_of(f);
    forget_row(s);
    s->is_running = false;
}

void fl_sender_start(struct fl_sender *s)
{
    FL_ASSERT(!s->is_running);
    s->is_running = true;
    s->is_stopping = false;
    fl_flow_init(&s->flow, &S_failed, on_ended);
    fl_flow_run(&s->flow, &S_ask);
}

void fl_sender_nudge(struct fl_sender *s)
{
    s->is_nudged = true;
    if (s->is_resting)
        fl_op_cancel(&s->flow.op);
}

void fl_sender_stop(struct fl_sender *s)
{
    s->is_stopping = true;
    fl_op_cancel(&s->flow.op); /* a sleep or a request ends; a transaction goes on */
}
