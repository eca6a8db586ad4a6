/* The sender: rest -> ask -> each row: look, plan, each card: put, draw, send, record -> done.
 * What should stand where is sender_plan.c's, what it looks like sender_draw.c's. */
#include "runtime/notify/sender.h"

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/sender_priv.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"
#include "runtime/store/flood.h"
#include "runtime/store/outbox.h"
#include "runtime/store/place.h"

#define REST_MS       1000
#define BUSY_MAX      3600000
#define BUSY_END      86400000 /* a place that did not take it for so long does not take it */
#define WORKS_MS      5000     /* between two notes that it works */
#define BREAKER_AFTER 5        /* failures in a row, then the channel rests */
#define COUNTED_MS    1000     /* by then a call that was taken in is seen by whoever counts */
#define MANY          20000    /* wait to be told: they are folded each MANY_MS only */
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
FL_STEP_DECLARE(sought);
FL_STEP_DECLARE(send);
FL_STEP_DECLARE(sent);
FL_STEP_DECLARE(recorded);
FL_STEP_DECLARE(remind);
FL_STEP_DECLARE(reminded);
FL_STEP_DECLARE(reminder_noted);
FL_STEP_DECLARE(copies);
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

/* Something of this row cannot be done. If that does not pass by itself it is the row: it is tried
 * again longer and longer, and nobody behind it waits for it. */
static fl_next set_aside(struct fl_sender *s, enum fl_code code, const char *why)
{
    const struct fl_sender_due *due = &s->due[s->due_at];
    if (code == FL_UNAVAILABLE || code == FL_NOMEM || code == FL_AMBIGUOUS || code == FL_CANCELLED)
        return wait_a_round(s);
    fl_utf8_format(s->trouble, sizeof s->trouble, "%s", why);
    FL_LOG(ERROR, "card_cannot_be_made", FL_KU("org", &s->channel->organization),
           FL_KV("channel", s->channel->name), FL_KU("call", &due->approval),
           FL_KS("reason", s->trouble));
    s->has_failed = true;
    fl_sender_wait(s, FL_SENDER_UNLINKED_MS << (due->tries < 6 ? due->tries : 6));
    return &S_row_done;
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
    s->is_full = false;
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
    fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->revision, s->channel->failures,
                           fl_str_of(s->trouble), s->channel->paused_until_ms - fl_real_ms());
    s->works_at_ms = 0;
    return fl_await(f, &S_rest, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(next_row)
{
    struct fl_sender *s = sender_of(f);
    bool is_long = s->is_flooded && fl_mono_ms() - s->asked_ms > FLOOD_MS;
    if (s->is_stopping || s->due_at == s->due_count || is_long || s->is_full ||
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
    if (f->op.code == FL_NOT_FOUND) {
        s->due_at++;
        return &S_next_row;
    }
    if (f->op.code)
        return set_aside(s, f->op.code, f->op.err.text);
    enum fl_code code =
        fl_approval_view_read(&s->view, s->arena, &s->look.row, &s->look.ballot, &err);
    if (code)
        return set_aside(s, code, err.text);
    begin(s);
    s->tx.is_read_only = true;
    s->q = fl_store_cards(&s->tx, &s->look.row.id, &s->channel->id);
    s->q_identities = fl_store_chat_identities(&s->tx, s->channel->kind->name);
    s->q_closed = fl_store_places_closed(&s->tx, &s->channel->id);
    return fl_await(f, &S_plan, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(plan)
{
    struct fl_sender *s = sender_of(f);
    struct fl_err err;
    if (f->op.code)
        return set_aside(s, f->op.code, f->op.err.text);
    if (!fl_sender_plan(s))
        return wait_a_round(s);
    if (s->card_at == s->card_count)
        return &S_row_done;
    enum fl_code code = fl_sender_make_card(s, &err);
    return code ? set_aside(s, code, err.text) : &S_next_card;
}

/* ---------------------------------------------------------------- one card */
static bool may_join(const struct fl_sender *s)
{
    return s->channel->kind->draw_many &&
           !(s->view.ask && (s->view.ask->needs_typed || s->view.ask->needs_second_factor)) &&
           json_is_true(json_object_get(s->channel->config, "batch"));
}

/* The chat's pace kept it back: those that came before it may stand there by now. */
static bool may_still_join(const struct fl_sender *s, const struct fl_sender_card *c)
{
    return may_join(s) && s->card.can_approve && !c->message.p && !c->tries && !c->is_host &&
           !c->is_withdrawn && fl_uuid_is_zero(&c->host);
}

FL_STEP(next_card)
{
    struct fl_sender *s = sender_of(f);
    if (s->card_at == s->card_count || s->has_failed || s->is_stopping)
        return &S_row_done;
    struct fl_sender_card *c = &s->cards[s->card_at];
    if (!c->is_new && !may_still_join(s, c))
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
    if (f->op.code)
        return set_aside(s, f->op.code, f->op.err.text);
    if (fl_rows(s->q) != 1)
        return wait_a_round(s);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_str message = fl_cell(s->q, 0, 2);
    c->id = fl_cell_uuid(s->q, 0, 0);
    c->host = fl_cell_uuid(s->q, 0, 1);
    if (!fl_uuid_is_zero(&c->host))
        c->message = fl_arena_str(s->arena, message);
    return &S_draw;
}

/* 0: it may be sent there now. */
static int64_t pace_of(struct fl_sender *s, struct fl_str place)
{
    uint64_t who;
    memcpy(&who, s->look.row.id.b + 8, sizeof who);
    return fl_pace_take(&s->pace, place, who, fl_mono_ms());
}

static bool is_only_place(const struct fl_sender *s, struct fl_str place)
{
    struct fl_str other;
    const struct fl_channel_kind *kind = s->channel->kind;
    return kind->place(s->channel, 0, &other) && fl_str_eq(other, place) &&
           !kind->place(s->channel, 1, &other);
}

/* Its place takes it in `ms` only. Where all cards go there, nobody after it has to be looked at:
 * who is most urgent by then is asked for again. Those that may join one message all have to be. */
static void keep_back(struct fl_sender *s, const struct fl_sender_card *c, int64_t ms)
{
    s->is_full = is_only_place(s, c->place) && !may_join(s);
    if (s->is_full)
        s->next_ms = ms;
    fl_sender_wait(s, s->is_full ? 0 : ms);
}

static bool is_over(const struct fl_sender *s, const struct fl_sender_card *c)
{
    return s->look.row.state != FL_APPROVAL_PENDING || c->is_withdrawn;
}

static fl_next post(struct fl_sender *s, const struct fl_sender_card *c)
{
    begin(s);
    fl_store_card_sending(&s->tx, &c->id);
    return fl_await(&s->flow, &S_send, fl_tx_submit(&s->flow.op, &s->tx));
}

/* What is drawn is sent, unless it stands there, was never told, or has to wait. */
static fl_next deliver(struct fl_sender *s, struct fl_sender_card *c)
{
    fl_sha256(s->drawn.key.p ? s->drawn.key : s->drawn.bytes, s->digest);
    if (c->message.p && fl_str_eq(c->shown, fl_bytes(s->digest, sizeof s->digest)))
        return &S_remind;
    if (!c->message.p && c->tries == 0 && is_over(s, c)) {
        s->card_at++; /* over before it was told: nothing stands there */
        return &S_next_card;
    }
    int64_t wait_ms = pace_of(s, c->place);
    if (wait_ms) {
        keep_back(s, c, wait_ms);
        s->card_at++;
        return &S_next_card;
    }
    if (c->message.p)
        return &S_send;
    return fl_sender_must_seek(s, c) ? fl_sender_seek(s, &S_sought) : post(s, c);
}

/* The card that may have been posted before: it was found, is not there, or that is not known. */
FL_STEP(sought)
{
    struct fl_sender *s = sender_of(f);
    const struct fl_sender_card *c = &s->cards[s->card_at];
    if (c->message.p)
        return &S_send;
    if (c->is_sought && !(c->is_unposted && is_over(s, c)))
        return post(s, c);
    fl_pace_give_back(&s->pace, c->place); /* nothing is written there now */
    s->card_at++;
    return &S_next_card;
}

FL_STEP(draw)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_err err;
    if (c->is_withdrawn && s->channel->kind->is_mail) { /* nothing is written over there */
        begin(s);
        fl_store_card_drop(&s->tx, &c->id);
        return fl_await(f, &S_recorded, fl_tx_submit(&f->op, &s->tx));
    }
    if (!c->is_withdrawn && (c->is_host || !fl_uuid_is_zero(&c->host)))
        return &S_draw_many;
    f->op.code = FL_OK;
    enum fl_code code = fl_sender_draw(s, c, &err);
    return code ? set_aside(s, code, err.text) : deliver(s, c);
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

/* They do not fit into one message, or one of them cannot be shown: a guest has one of its own from
 * now on, to be read from its beginning, and a host's guests each have. */
static fl_next part(struct fl_sender *s, struct fl_sender_card *c)
{
    begin(s);
    if (c->is_host) {
        fl_store_batch_part(&s->tx, &c->id);
        c->is_host = false;
    } else {
        fl_store_card_part(&s->tx, &c->id);
        if (c->shown.n && s->batch.count) /* in the host's message, which is to be without it */
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
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_NOMEM)
        return wait_a_round(s);
    if (f->op.code)
        return part(s, c);
    s->drawn = s->batch.drawn;
    return deliver(s, c);
}

FL_STEP(parted)
{
    return f->op.code ? set_aside(sender_of(f), f->op.code, f->op.err.text) : &S_draw;
}

FL_STEP(send)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    if (f->op.code)
        return set_aside(s, f->op.code, f->op.err.text);
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
    if (code != FL_TOO_MANY)
        ch->failures++;
    int64_t pause_ms =
        code == FL_TOO_MANY ? retry_ms : fl_pace_rest_ms(code, ch->failures, ch->kind->is_mail);
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
    fl_sender_wait(s, pause_ms);
    return &S_row_done;
}

/* Is it this one place that does not take it, which will pass? It is asked again longer and longer;
 * `tries` of the row do not count it, as what changes is told to the others at once. */
static bool is_busy(struct fl_sender *s, enum fl_code code)
{
    int64_t ms = fl_real_ms() - s->look.row.changed_at_ms, wake = fl_sender_wake_ms(s);
    if (code != FL_CONFLICT || ms > BUSY_END)
        return false;
    ms = ms < FL_SENDER_UNLINKED_MS ? FL_SENDER_UNLINKED_MS : ms > BUSY_MAX ? BUSY_MAX : ms;
    fl_sender_wait(s, wake >= 0 && wake < ms ? wake : ms);
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
        fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->revision, s->channel->failures,
                               fl_str_of(s->trouble), 0);
    if (!passes && (is_gone ? is_waiting : !s->is_posted))
        fl_sender_wait(s, FL_SENDER_UNLINKED_MS << (due->tries < 6 ? due->tries : 6));
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
        s->seek.is_up = true;
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
    bool is_doubtful = !f->op.code && !c->message.p && c->tries > 0 && !c->is_unposted;
    if (!s->tx.first && !s->tx.is_nomem)
        return &S_recorded;
    return fl_await(f, is_doubtful ? &S_copies : &S_recorded, fl_tx_submit(&f->op, &s->tx));
}

FL_STEP(copies)
{
    return f->op.code ? &S_recorded : fl_sender_seek_copies(sender_of(f), &S_recorded);
}

FL_STEP(recorded)
{
    struct fl_sender *s = sender_of(f);
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_AMBIGUOUS)
        return wait_a_round(s);
    return &S_remind;
}

/* ---------------------------------------------------------------- reminding */
FL_STEP(remind)
{
    struct fl_sender *s = sender_of(f);
    struct fl_sender_card *c = &s->cards[s->card_at];
    struct fl_err err;
    int64_t ms;
    f->op.code = FL_OK;
    if (!c->wants_reminder || s->is_stopping) {
        s->card_at++;
        return &S_next_card;
    }
    if ((ms = pace_of(s, c->place)) > 0) {
        fl_sender_wait(s, ms);
        s->card_at++;
        return &S_next_card;
    }
    enum fl_code code = fl_sender_draw_reminder(s, &err);
    if (code)
        return set_aside(s, code, err.text);
    s->send = (struct fl_chat_send){ .channel = s->channel,
                                     .arena = s->arena,
                                     .place = c->place,
                                     .beneath = c->message,
                                     .bytes = s->drawn.bytes };
    code = s->channel->kind->send_start(&f->op, &s->send);
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
                             erase_ms, due->is_erasing, fl_sender_wake_ms(s));
    if (s->is_fail_noted) {
        fl_store_channel_fails(&s->tx, &s->channel->id, s->channel->revision, s->channel->failures,
                               fl_str_of(s->trouble), s->channel->paused_until_ms - fl_real_ms());
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
    if (s->channel->on_changed)
        s->channel->on_changed(s->channel);
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
