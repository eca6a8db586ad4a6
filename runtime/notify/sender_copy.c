/* Cards that were sent, and nobody knows what came of it: the sender was killed, or the answer got
 * lost. Where the chat lets one look, the card is looked for and taken for what it is, so that
 * there is no second one; where not, it is sent again. Copies become a sentence. */
#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "runtime/notify/sender_priv.h"
#include "runtime/store/channel.h"
#include "runtime/store/outbox.h"

#define AROUND_MS   60000  /* clocks differ, and what was sent may arrive later */
#define PATIENCE_MS 300000 /* since it was sent; then it is sent again, looked for or not */
#define BARRED_MS   INT64_C(3600000)
#define PAUSE_MAX   60000
#define AGAIN_MS    1000

FL_STEP_DECLARE(near);
FL_STEP_DECLARE(found);
FL_STEP_DECLARE(next_copy);
FL_STEP_DECLARE(copy_retired);
FL_STEP_DECLARE(next_stray);
FL_STEP_DECLARE(stray_retired);

static struct fl_sender *sender_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_sender, flow);
}

static fl_next go_on(struct fl_sender *s)
{
    s->flow.op.code = FL_OK;
    return s->seek.then;
}

static fl_next look_around(struct fl_sender *s, fl_next then)
{
    fl_tx_fini(&s->tx);
    fl_tx_init(&s->tx, s->channel->core->pg, s->arena, &s->channel->organization);
    s->tx.is_read_only = true;
    s->q = fl_store_cards_at(&s->tx, &s->channel->id, s->cards[s->card_at].place);
    s->q_test = fl_store_channel_test_age(&s->tx, &s->channel->id);
    return fl_await(&s->flow, then, fl_tx_submit(&s->flow.op, &s->tx));
}

/* The sentence over a message that is no card any more. False: no memory. */
static bool draw_copy(struct fl_sender *s, struct fl_str message)
{
    struct fl_chat_drawing drawing = {
        .notice = FL_STR("An older copy of a card; the newer one is valid."), .is_stray = true
    };
    struct fl_chat_drawn drawn = { .is_last_page = false };
    struct fl_err err;
    if (s->channel->kind->draw(&drawing, s->arena, &drawn, &err) != FL_OK)
        return false;
    s->send = (struct fl_chat_send){ .channel = s->channel,
                                     .arena = s->arena,
                                     .place = s->cards[s->card_at].place,
                                     .message = message,
                                     .bytes = drawn.bytes,
                                     .is_copy = true };
    return true;
}

/* ---------------------------------------------------------------- looking for a card */
bool fl_sender_must_seek(const struct fl_sender *s, const struct fl_sender_card *c)
{
    return !c->message.p && c->tries > 0 && s->channel->kind->find_start;
}

/* What was found is it: the newest is the card, the others are copies, which go first: whoever is
 * killed between finds all of them again. */
static fl_next conclude(struct fl_sender *s, struct fl_sender_card *c)
{
    struct fl_sender_seek *k = &s->seek;
    k->find.card = (struct fl_uuid){ { 0 } };
    k->copy_at = 1;
    c->is_sought = true;
    if (!k->find.count)
        return go_on(s);
    c->message = fl_arena_str(s->arena, fl_str_of(k->find.found[0]));
    FL_LOG(INFO, "card_found", FL_KU("org", &s->channel->organization),
           FL_KV("channel", s->channel->name), FL_KU("call", &s->look.row.id));
    if (c->message.p)
        return &S_next_copy;
    c->is_sought = false;
    fl_sender_wait(s, AGAIN_MS);
    return go_on(s);
}

/* Others are not kept waiting by it. */
static fl_next put_off(struct fl_sender *s, struct fl_sender_card *c, int64_t ms)
{
    bool is_mine = fl_uuid_cmp(&s->seek.find.card, &c->id) == 0;
    if (fl_real_ms() - c->tried_ms > PATIENCE_MS) {
        c->is_sought = true;
        return is_mine ? conclude(s, c) : go_on(s);
    }
    fl_sender_wait(s, ms > AGAIN_MS ? ms : AGAIN_MS);
    return go_on(s);
}

fl_next fl_sender_seek(struct fl_sender *s, fl_next then)
{
    struct fl_sender_seek *k = &s->seek;
    struct fl_sender_card *c = &s->cards[s->card_at];
    int64_t now = fl_mono_ms();
    bool is_mine = fl_uuid_cmp(&k->find.card, &c->id) == 0;
    bool is_busy = !is_mine && !fl_uuid_is_zero(&k->find.card) && now - k->begun_ms < PATIENCE_MS;
    k->then = then;
    k->is_after = false;
    if (now < k->barred_ms) {
        c->is_sought = true;
        return go_on(s);
    }
    if (now < k->at_ms || is_busy)
        return put_off(s, c, is_busy ? AGAIN_MS : k->at_ms - now);
    if (!is_mine) {
        k->find = (struct fl_chat_find){ .card = c->id,
                                         .from_ms = c->sent_ms - AROUND_MS,
                                         .to_ms = c->tried_ms + AROUND_MS,
                                         .most = c->tries < FL_CHAT_COPIES ? (int)c->tries
                                                                           : FL_CHAT_COPIES };
        k->begun_ms = now;
    }
    return look_around(s, &S_near);
}

fl_next fl_sender_seek_copies(struct fl_sender *s, fl_next then)
{
    struct fl_sender_seek *k = &s->seek;
    const struct fl_sender_card *c = &s->cards[s->card_at];
    k->then = then;
    s->stray_at = 0;
    s->stray_from = s->send.posted;
    if (s->channel->kind->stray)
        return look_around(s, &S_next_stray);
    if (!s->channel->kind->find_start || fl_mono_ms() < k->barred_ms || fl_mono_ms() < k->at_ms)
        return go_on(s);
    k->is_after = true;
    k->find = (struct fl_chat_find){ .card = c->id,
                                     .from_ms = c->sent_ms - AROUND_MS,
                                     .to_ms = fl_real_ms() + AROUND_MS,
                                     .most = FL_CHAT_COPIES };
    return look_around(s, &S_near);
}

FL_STEP(near)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_chat_find *find = &s->seek.find;
    if (f->op.code || s->is_stopping) {
        if (s->seek.is_after)
            find->card = (struct fl_uuid){ { 0 } };
        else
            fl_sender_wait(s, AGAIN_MS);
        return go_on(s);
    }
    find->channel = s->channel;
    find->arena = s->arena;
    find->place = c->place;
    find->near =
        fl_rows(s->q) ? fl_arena_str(s->arena, fl_cell(s->q, 0, 0)) : (struct fl_str){ NULL, 0 };
    enum fl_code code = s->channel->kind->find_start(&f->op, find);
    if (code == FL_OK)
        return fl_await(f, &S_found, FL_OK);
    f->op.code = code;
    return &S_found;
}

/* As long as nobody may look, cards are sent as if nobody could. */
static void bar(struct fl_sender *s)
{
    FL_LOG(WARN, "cards_not_sought", FL_KU("org", &s->channel->organization),
           FL_KV("channel", s->channel->name), FL_KS("reason", s->flow.op.err.text));
    s->seek.barred_ms = fl_mono_ms() + BARRED_MS;
}

/* While nothing is taken at all, whoever is most urgent has to be looked for as soon as the chat is
 * back: so it is not longer and longer, unless others are taken meanwhile. What was not begun holds
 * up no other search. */
static void wait_for_it(struct fl_sender *s, enum fl_code code)
{
    struct fl_sender_seek *k = &s->seek;
    int64_t ms = AGAIN_MS;
    k->failures += k->is_up;
    k->is_up = false;
    for (int i = 1; i < k->failures && ms < PAUSE_MAX; i++)
        ms *= 2;
    if (code == FL_TOO_MANY)
        ms = k->find.retry_ms;
    k->at_ms = fl_mono_ms() + ms;
    if (!k->find.before[0])
        k->find.card = (struct fl_uuid){ { 0 } };
}

FL_STEP(found)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_seek *k = &s->seek;
    struct fl_sender_card *c = &s->cards[s->card_at];
    enum fl_code code = f->op.code;
    bool is_said = code == FL_OK || code == FL_CONFLICT || code == FL_UNAUTHENTICATED;
    if (code == FL_UNAUTHENTICATED)
        bar(s);
    else if (!is_said && code != FL_CANCELLED)
        wait_for_it(s, code);
    if (k->is_after) {
        k->find.card = (struct fl_uuid){ { 0 } };
        k->copy_at = 0;
        return &S_next_copy;
    }
    if (!is_said)
        return s->is_stopping ? go_on(s) : put_off(s, c, k->at_ms - fl_mono_ms());
    k->failures = 0;
    c->is_unposted = code == FL_OK && !k->find.count;
    return conclude(s, c);
}

FL_STEP(next_copy)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_seek *k = &s->seek;
    struct fl_str stays = k->is_after ? s->stray_from : s->cards[s->card_at].message;
    if (s->is_stopping)
        return go_on(s);
    while (k->copy_at < k->find.count) {
        struct fl_str at = fl_arena_str(s->arena, fl_str_of(k->find.found[k->copy_at++]));
        if (!at.p || fl_str_eq(at, stays))
            continue;
        if (!draw_copy(s, at))
            break;
        return fl_await(f, &S_copy_retired, s->channel->kind->send_start(&f->op, &s->send));
    }
    return go_on(s);
}

/* A copy that is not retired now would be forgotten once the card is known: it waits. */
FL_STEP(copy_retired)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    enum fl_code code = f->op.code;
    bool is_gone = code == FL_NOT_FOUND || code == FL_FORBIDDEN;
    f->op.code = FL_OK;
    if (code == FL_OK || is_gone || s->seek.is_after)
        return &S_next_copy;
    c->message = (struct fl_str){ NULL, 0 };
    c->is_sought = false;
    fl_sender_wait(s, s->send.retry_ms > AGAIN_MS ? s->send.retry_ms : AGAIN_MS);
    return go_on(s);
}

/* ---------------------------------------------------------------- where it can only be guessed */
static bool is_card(const struct fl_sender *s, struct fl_str message)
{
    for (int i = 0; i < fl_rows(s->q); i++) {
        if (fl_str_eq(fl_cell(s->q, i, 0), message))
            return true;
    }
    return false;
}

/* Cards of a test are posted by any worker, and have no row: what was posted before they all were
 * does not tell what stands behind it. */
static void forget_before_test(struct fl_sender *s)
{
    struct fl_channel_posted *p = &s->channel->posted;
    if (fl_rows(s->q_test) == 1 && !fl_cell_is_null(s->q_test, 0, 0) &&
        p->since_ms < fl_mono_ms() - fl_cell_int(s->q_test, 0, 0) + FL_CHANNEL_TEST_MS)
        p->count = 0;
}

FL_STEP(next_stray)
{
    struct fl_sender *s = sender_of(f);
    struct fl_str at;
    if (f->op.code || s->is_stopping)
        return go_on(s);
    forget_before_test(s);
    while (s->channel->kind->stray(s->channel, s->cards[s->card_at].place, s->stray_from,
                                   s->stray_at, s->arena, &at)) {
        s->stray_at++;
        if (!at.p || is_card(s, at))
            continue;
        if (!draw_copy(s, at))
            break;
        return fl_await(f, &S_stray_retired, s->channel->kind->send_start(&f->op, &s->send));
    }
    return go_on(s);
}

FL_STEP(stray_retired)
{
    bool was_it = f->op.code == FL_OK, goes_on = f->op.code == FL_NOT_FOUND;
    f->op.code = FL_OK;
    return !was_it && goes_on ? &S_next_stray : go_on(sender_of(f));
}
