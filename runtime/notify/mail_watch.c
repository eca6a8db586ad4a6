/* What whoever looks after a mail channel does beside sending cards: tells people of events that
 * are their business, and once a day how much waits. Round after round from the audit, behind the
 * channel's cursor: an event is told at least once, and its mail has the same Message-ID then. */
#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/notify/mail_notice.h"
#include "runtime/notify/mail_priv.h"
#include "runtime/store/channel.h"

#define LOOK_MS     2000
#define AGAIN_MS    10000 /* the mail server does not take them now */
#define BUSY_TRIES  6     /* of an address that does not take them now; five minutes in all */
#define EVENTS_MOST 200

struct watch {
    struct fl_flow flow;
    struct fl_op *op;
    struct fl_channel *channel;
    struct fl_arena *arena; /* of a round */
    struct fl_tx tx, note;  /* what the round reads; what it writes meanwhile */
    struct fl_query *q_events, *q_readers, *q_digest;
    struct fl_mail_send mail;
    struct fl_sleep sleep;
    struct fl_post post;
    struct fl_retired retired;
    int events, event_at, reader_at;
    struct fl_uuid event_id; /* that reader_at counts for */
    int64_t done_us;         /* everybody was told of the events up to this one, by time and id. */
    struct fl_uuid done_id;  /* The channel's cursor is a time: the last of which that is all */
    int64_t noted_us;        /* what is being noted there */
    bool is_told;            /* mails went out for the event done_id: its facts are to say so */
    int digest_at;
    struct fl_uuid busy; /* who did not take one last; given up, they are tried once a mail */
    int busy_tries;
    struct fl_mail_day day; /* of the digest that is due */
    char told[16];          /* the last one that was sent */
    int64_t nap_ms;
    bool is_stopping, is_silent;
};

FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(next_event);
FL_STEP_DECLARE(told);
FL_STEP_DECLARE(moved);
FL_STEP_DECLARE(placed);
FL_STEP_DECLARE(digest);
FL_STEP_DECLARE(counted);
FL_STEP_DECLARE(next_digest);
FL_STEP_DECLARE(digested);
FL_STEP_DECLARE(noted);
FL_STEP_DECLARE(nap);

static struct watch *watch_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct watch, flow);
}

static fl_next rest(struct watch *w, int64_t ms)
{
    if (w->flow.op.code && !w->is_silent && !w->is_stopping)
        FL_LOG(WARN, "mail_watch", FL_KU("org", &w->channel->organization),
               FL_KV("channel", w->channel->name), FL_KS("reason", w->flow.op.err.text));
    w->is_silent = w->flow.op.code != FL_OK;
    w->nap_ms = ms;
    return &S_nap;
}

static void note(struct watch *w)
{
    fl_tx_fini(&w->note);
    fl_tx_init(&w->note, w->channel->core->pg, w->arena, &w->channel->organization);
}

static void forget_round(struct watch *w)
{
    fl_tx_fini(&w->tx);
    fl_tx_fini(&w->note);
    fl_tx_clear(&w->tx);
    fl_tx_clear(&w->note);
    fl_arena_free(&w->arena);
}

/* ---------------------------------------------------------------- events */
FL_STEP(look)
{
    struct watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    forget_round(w);
    w->arena = fl_arena_new(4096);
    if (!w->arena)
        return rest(w, AGAIN_MS);
    fl_tx_init(&w->tx, w->channel->core->pg, w->arena, &w->channel->organization);
    w->tx.is_read_only = true;
    w->q_events =
        fl_store_mail_events(&w->tx, &w->channel->id, w->done_us, &w->done_id, EVENTS_MOST);
    w->q_readers = fl_store_mail_readers(&w->tx);
    return fl_await(f, &S_looked, fl_tx_submit(&f->op, &w->tx));
}

/* Columns of fl_store_mail_events: event_id, recorded_at us, kind, subject_id, leaf. The first may
 * be the one where a mail that was not taken ended it. */
FL_STEP(looked)
{
    struct watch *w = watch_of(f);
    if (f->op.code)
        return rest(w, AGAIN_MS);
    w->events = fl_rows(w->q_events);
    w->event_at = 0;
    struct fl_uuid first = w->events ? fl_cell_uuid(w->q_events, 0, 0) : (struct fl_uuid){ { 0 } };
    if (fl_uuid_cmp(&first, &w->event_id) != 0)
        w->reader_at = 0;
    return &S_next_event;
}

static struct fl_mail_event event_of(const struct watch *w)
{
    int at = w->event_at;
    return (struct fl_mail_event){ .kind = fl_cell(w->q_events, at, 2),
                                   .subject = fl_cell_uuid(w->q_events, at, 3),
                                   .leaf = fl_cell_bytes(w->q_events, w->arena, at, 4) };
}

/* Columns of fl_store_mail_readers: person_id, address, name, role, agents. */
static struct fl_mail_reader reader_of(const struct fl_query *q, int at)
{
    return (struct fl_mail_reader){ .person = fl_cell_uuid(q, at, 0),
                                    .address = fl_cell(q, at, 1),
                                    .name = fl_cell(q, at, 2),
                                    .role = fl_role_parse(fl_cell(q, at, 3)),
                                    .agents = fl_cell(q, at, 4) };
}

static fl_next mail(struct watch *w, fl_next then, struct fl_str to, const char *title,
                    struct fl_buf *text, const char *tag)
{
    struct fl_str body = fl_arena_str(w->arena, fl_buf_view(text));
    bool is_fine = !text->is_failed && body.p;
    fl_buf_fini(text);
    if (!is_fine)
        return rest(w, AGAIN_MS);
    w->mail = (struct fl_mail_send){ .channel = w->channel,
                                     .arena = w->arena,
                                     .kind = FL_MAIL_NOTICE,
                                     .to = fl_arena_str(w->arena, to),
                                     .subject = fl_str_of(title),
                                     .title = fl_str_of(title),
                                     .text = body,
                                     .tag = fl_str_of(tag) };
    return fl_await(&w->flow, then, fl_mail_send_start(&w->flow.op, &w->mail));
}

static fl_next tell(struct watch *w, const struct fl_mail_event *e, const struct fl_mail_reader *r)
{
    struct fl_buf text = FL_BUF_INIT;
    const char *title;
    char id[FL_UUID_TEXT];
    uint8_t digest[FL_SHA256_BYTES];
    char hex[2 * 6 + 1];
    w->event_id = fl_cell_uuid(w->q_events, w->event_at, 0);
    fl_mail_notice(&text, e, w->channel->organization_name, &title);
    fl_sha256(r->address, digest);
    const char *tag = fl_arena_printf(w->arena, "%s.%s", fl_uuid_format(&w->event_id, id),
                                      fl_hex(digest, 6, hex));
    return mail(w, &S_told, r->address, title, &text, tag);
}

/* Are the events of the time of the last one all done? Those of one time go together, and of a full
 * list the last time may not be whole. */
static bool is_whole(const struct watch *w)
{
    if (w->event_at < w->events)
        return fl_cell_int(w->q_events, w->event_at, 1) != w->done_us;
    return w->events < EVENTS_MOST;
}

/* Of many events of one time, up to which were they told? The cursor does not say. */
static fl_next note_place(struct watch *w)
{
    char id[FL_UUID_TEXT];
    char *facts = fl_arena_printf(w->arena, "{\"told\":{\"us\":%lld,\"id\":\"%s\"}}",
                                  (long long)w->done_us, fl_uuid_format(&w->done_id, id));
    if (!facts)
        return rest(w, AGAIN_MS);
    note(w);
    fl_store_channel_facts(&w->note, &w->channel->id, fl_str_of(facts));
    return fl_await(&w->flow, &S_placed, fl_tx_submit(&w->flow.op, &w->note));
}

FL_STEP(next_event)
{
    struct watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    if (w->done_us > w->channel->cursor && is_whole(w)) {
        w->is_told = false;
        w->noted_us = w->done_us;
        note(w);
        fl_store_channel_cursor(&w->note, &w->channel->id, w->noted_us);
        return fl_await(f, &S_moved, fl_tx_submit(&f->op, &w->note));
    }
    if (w->is_told)
        return note_place(w);
    if (w->event_at == w->events)
        return w->events == EVENTS_MOST ? &S_look : &S_digest;
    struct fl_mail_event e = event_of(w);
    for (; w->reader_at < fl_rows(w->q_readers); w->reader_at++) {
        struct fl_mail_reader r = reader_of(w->q_readers, w->reader_at);
        if (fl_mail_concerns(&e, &r))
            return tell(w, &e, &r);
    }
    w->reader_at = 0;
    w->done_id = fl_cell_uuid(w->q_events, w->event_at, 0);
    w->done_us = fl_cell_int(w->q_events, w->event_at++, 1);
    w->is_told = fl_uuid_cmp(&w->done_id, &w->event_id) == 0;
    return &S_next_event;
}

FL_STEP(placed)
{
    struct watch *w = watch_of(f);
    if (f->op.code)
        return rest(w, AGAIN_MS);
    w->is_told = false;
    return &S_next_event;
}

FL_STEP(moved)
{
    struct watch *w = watch_of(f);
    if (f->op.code)
        return rest(w, AGAIN_MS);
    w->channel->cursor = w->noted_us;
    return &S_next_event;
}

/* Is this mail to be tried again, and when? What one address does not take for a while, it does not
 * take: nobody else is to wait for it for ever. NULL: it is done with. */
static fl_next again(struct watch *w, const struct fl_uuid *person)
{
    enum fl_code code = w->flow.op.code;
    bool is_busy = fl_uuid_cmp(person, &w->busy) == 0;
    if (code == FL_CONFLICT) {
        w->busy = *person;
        w->busy_tries = is_busy ? w->busy_tries + 1 : 1;
        if (w->busy_tries < BUSY_TRIES)
            return rest(w, (int64_t)AGAIN_MS << (w->busy_tries - 1));
        w->busy_tries = BUSY_TRIES;
    } else if (code && code != FL_FORBIDDEN && code != FL_AMBIGUOUS && code != FL_TIMEOUT) {
        return rest(w, AGAIN_MS);
    } else if (is_busy) {
        w->busy = (struct fl_uuid){ { 0 } };
    }
    return NULL;
}

FL_STEP(told)
{
    struct watch *w = watch_of(f);
    struct fl_uuid person = fl_cell_uuid(w->q_readers, w->reader_at, 0);
    fl_next next = again(w, &person);
    if (next)
        return next;
    if (f->op.code)
        FL_LOG(WARN, "notice_not_taken", FL_KU("org", &w->channel->organization),
               FL_KV("channel", w->channel->name), FL_KS("reason", f->op.err.text));
    f->op.code = FL_OK;
    w->reader_at++;
    return &S_next_event;
}

/* ---------------------------------------------------------------- the daily digest */
/* Names a digest: of this person and day, of version 7 as theirs, from its time on. */
static struct fl_uuid digest_id(const struct watch *w, struct fl_uuid person)
{
    for (int i = 0; i < 6; i++)
        person.b[i] = (uint8_t)(w->day.at_ms >> (40 - 8 * i));
    return person;
}

FL_STEP(digest)
{
    struct watch *w = watch_of(f);
    f->op.code = FL_OK;
    if (w->is_stopping)
        return fl_end(f);
    int minute = fl_mail_minute(fl_channel_config(w->channel, "digest"));
    if (!fl_mail_is_due(&w->day, minute, fl_real_ms(), w->told))
        return rest(w, LOOK_MS);
    forget_round(w);
    w->arena = fl_arena_new(4096);
    if (!w->arena)
        return rest(w, AGAIN_MS);
    fl_tx_init(&w->tx, w->channel->core->pg, w->arena, &w->channel->organization);
    w->tx.is_read_only = true;
    w->q_digest = fl_store_mail_digest(&w->tx, &w->channel->id);
    return fl_await(f, &S_counted, fl_tx_submit(&f->op, &w->tx));
}

FL_STEP(counted)
{
    struct watch *w = watch_of(f);
    w->digest_at = 0;
    return f->op.code ? rest(w, AGAIN_MS) : &S_next_digest;
}

/* Columns of fl_store_mail_digest: person_id, address, name, role, pending, mailed, unknown,
 * expiring. Sorted by person: it goes on behind where a server that was away ended it. */
FL_STEP(next_digest)
{
    struct watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    for (; w->digest_at < fl_rows(w->q_digest); w->digest_at++) {
        const struct fl_query *q = w->q_digest;
        int at = w->digest_at;
        struct fl_mail_counts counts = { fl_cell_int(q, at, 4), fl_cell_int(q, at, 5),
                                         fl_cell_int(q, at, 6), fl_cell_int(q, at, 7) };
        struct fl_buf text = FL_BUF_INIT;
        char person[FL_UUID_TEXT];
        struct fl_uuid whose = fl_cell_uuid(q, at, 0), id = digest_id(w, whose);
        if (fl_uuid_cmp(&whose, &w->day.done) <= 0 ||
            !fl_mail_has_digest(&counts, fl_role_parse(fl_cell(q, at, 3))))
            continue;
        fl_mail_digest(&text, &counts, w->channel->organization_name);
        const char *tag = fl_arena_strdup(w->arena, fl_uuid_format(&id, person));
        return mail(w, &S_digested, fl_cell(q, at, 1), "What waits today", &text, tag);
    }
    memcpy(w->told, w->day.day, sizeof w->told);
    char *facts = fl_arena_printf(w->arena, "{\"digest\":\"%s\"}", w->day.day);
    if (!facts)
        return rest(w, AGAIN_MS);
    note(w);
    fl_store_channel_facts(&w->note, &w->channel->id, fl_str_of(facts));
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, &w->note));
}

FL_STEP(digested)
{
    struct watch *w = watch_of(f);
    struct fl_uuid person = fl_cell_uuid(w->q_digest, w->digest_at, 0);
    fl_next next = again(w, &person);
    if (next)
        return next;
    f->op.code = FL_OK;
    w->day.done = person;
    w->digest_at++;
    return &S_next_digest;
}

FL_STEP(noted)
{
    return rest(watch_of(f), LOOK_MS);
}

/* ---------------------------------------------------------------- life */
FL_STEP(rested)
{
    struct watch *w = watch_of(f);
    return w->is_stopping ? fl_end(f) : &S_look;
}

FL_STEP(nap)
{
    struct watch *w = watch_of(f);
    if (w->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_rested,
                    fl_sleep_start(&f->op, &w->sleep, w->channel->core->loop, w->nap_ms));
}

FL_STEP(failed)
{
    struct watch *w = watch_of(f);
    w->nap_ms = AGAIN_MS;
    return &S_nap;
}

static void release(void *owner)
{
    fl_free(owner);
}

static void on_ended(struct fl_flow *f)
{
    struct watch *w = watch_of(f);
    struct fl_op *op = w->op;
    forget_round(w);
    fl_loop_retire(w->channel->core->loop, &w->retired, release, w);
    fl_op_finish(op, FL_CANCELLED);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct watch, post)->flow, &S_look);
}

static void cancel(struct fl_op *op)
{
    struct watch *w = op->provider;
    w->is_stopping = true;
    fl_op_cancel(&w->flow.op);
}

/* Where whoever looked after it before stopped. */
static void read_place(struct watch *w)
{
    const json_t *told = json_object_get(w->channel->facts, "told");
    struct fl_uuid id;
    w->done_us = w->channel->cursor;
    memset(w->done_id.b, 0xff, sizeof w->done_id.b);
    int64_t us = json_integer_value(json_object_get(told, "us"));
    if (us > w->done_us && fl_uuid_parse(fl_json_get_str(told, "id"), &id)) {
        w->done_us = us;
        w->done_id = id;
    }
}

enum fl_code fl_mail_listen_start(struct fl_op *op, struct fl_channel *channel)
{
    struct watch *w = fl_calloc(1, sizeof *w);
    if (!w)
        return fl_err_code(&op->err, FL_NOMEM);
    struct fl_str told = fl_json_get_str(channel->facts, "digest");
    w->channel = channel;
    read_place(w);
    snprintf(w->told, sizeof w->told, "%.*s", FL_STR_ARG(told));
    w->op = op;
    fl_tx_clear(&w->tx);
    fl_tx_clear(&w->note);
    fl_flow_init(&w->flow, &S_failed, on_ended);
    fl_op_start(op, cancel, w);
    w->post = (struct fl_post){ .run = on_start };
    fl_loop_post(channel->core->loop, &w->post);
    return FL_OK;
}
