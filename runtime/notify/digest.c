/* The digest: look -> count -> each place: draw, put, send, note. */
#include "runtime/notify/digest.h"

#include <stdio.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/utf8.h"
#include "runtime/notify/show.h"
#include "runtime/store/channel.h"
#include "runtime/store/chat.h"
#include "runtime/store/flood.h"
#include "runtime/store/place.h"
#include "runtime/store/vote.h"

#define AGAIN_MS    10000 /* between two versions of the message, */
#define FIRST_MS    1000  /* but the first ones, which are nearly always behind */
#define BARRED_MS   10000 /* until it is looked again whether somebody can be told, */
#define REFUSED_MS  60000 /* or whether who did not take it does */
#define PLACES_ONCE 16    /* are drawn, then others have their turn */
#define GROUPS_MOST 200
#define AGENTS_MOST 8    /* that are named, with buttons */
#define LIST_BYTES  2400 /* of the lines with counts */
#define NAME_CELLS  40

FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(counted);
FL_STEP_DECLARE(next);
FL_STEP_DECLARE(rested);
FL_STEP_DECLARE(send);
FL_STEP_DECLARE(sent);
FL_STEP_DECLARE(noted);

static struct fl_digest *digest_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_digest, flow);
}

static void begin(struct fl_digest *d)
{
    fl_tx_fini(&d->tx);
    fl_tx_init(&d->tx, d->channel->core->pg, d->arena, &d->channel->organization);
}

/* ---------------------------------------------------------------- what is folded */
FL_STEP(look)
{
    struct fl_digest *d = digest_of(f);
    begin(d);
    d->tx.is_read_only = true;
    d->q_any = fl_store_flood_any(&d->tx, &d->channel->id);
    d->q_digests = fl_store_digests(&d->tx, &d->channel->id);
    return fl_await(f, &S_looked, fl_tx_submit(&f->op, &d->tx));
}

/* Columns of fl_store_digests: digest_id, place, person_id, message, asks_stop, is_stale, shown. */
FL_STEP(looked)
{
    struct fl_digest *d = digest_of(f);
    if (f->op.code)
        return fl_fail(f);
    bool is_any = fl_cell_bool(d->q_any, 0, 0);
    bool is_due = !is_any || !fl_rows(d->q_digests) || !d->written_ms ||
                  fl_mono_ms() - d->written_ms >= d->again_ms;
    for (int i = 0; i < fl_rows(d->q_digests); i++)
        is_due |= fl_cell_bool(d->q_digests, i, 5);
    if (!fl_rows(d->q_digests))
        d->again_ms = FIRST_MS;
    bool is_barred = d->barred_ms && fl_mono_ms() - d->barred_ms < BARRED_MS;
    if (!is_due || (!fl_rows(d->q_digests) && (!is_any || is_barred)))
        return fl_end(f);
    struct fl_uuid none = { { 0 } };
    begin(d);
    d->tx.is_read_only = true;
    d->q_digests = fl_store_digests(&d->tx, &d->channel->id);
    d->q_counts = fl_store_flood_counts(&d->tx, &d->channel->id, GROUPS_MOST);
    d->q_people = fl_store_people(&d->tx);
    d->q_votes = fl_store_votes(&d->tx, &none); /* the ballots are empty ones */
    d->q_identities = fl_store_chat_identities(&d->tx, d->channel->kind->name);
    d->q_closed = fl_store_places_closed(&d->tx, &d->channel->id);
    return fl_await(f, &S_counted, fl_tx_submit(&f->op, &d->tx));
}

/* Columns of fl_store_flood_counts: agent name, agent_id, tool, ask, owner_id (then), owner_id
 * (now), how many, how many of them no digest has counted, when this was so (us). */
static enum fl_code read_groups(struct fl_digest *d, struct fl_err *err)
{
    const struct fl_query *q = d->q_counts;
    enum fl_code code = FL_OK;
    d->groups = fl_arena_array(d->arena, (size_t)fl_rows(q) + 1, sizeof *d->groups);
    if (!d->groups)
        return fl_err_code(err, FL_NOMEM);
    d->is_cut = fl_rows(q) == GROUPS_MOST;
    for (int i = 0; i < fl_rows(q) && code == FL_OK; i++) {
        struct fl_digest_group *g = &d->groups[d->group_count];
        g->row = (struct fl_approval){ .state = FL_APPROVAL_PENDING,
                                       .agent = fl_arena_str(d->arena, fl_cell(q, i, 0)),
                                       .agent_id = fl_cell_uuid(q, i, 1),
                                       .tool = fl_arena_str(d->arena, fl_cell(q, i, 2)),
                                       .owner_id = fl_cell_uuid(q, i, 4),
                                       .agent_owner_id = fl_cell_uuid(q, i, 5) };
        g->count = fl_cell_int(q, i, 6);
        g->uncounted = fl_cell_int(q, i, 7);
        g->at_us = fl_cell_int(q, i, 8);
        g->ask_json = fl_arena_str(d->arena, fl_cell(q, i, 3));
        code = fl_policy_ask_load(fl_cell(q, i, 3), &g->ask, err);
        if (code == FL_BAD_PARAMS) { /* nobody can decide what cannot be read */
            code = FL_OK;
            continue;
        }
        d->group_count++;
        if (code == FL_OK)
            code = fl_ballot_read(&g->ballot, d->arena, d->q_people, d->q_votes, &g->row, err);
    }
    return code;
}

static struct fl_approval_view view_of(const struct fl_digest_group *g)
{
    return (struct fl_approval_view){ .row = &g->row, .ballot = &g->ballot, .ask = g->ask };
}

static bool may_vote(const struct fl_digest_group *g, const struct fl_uuid *person)
{
    struct fl_approval_view view = view_of(g);
    struct fl_err err;
    return fl_approval_may_vote(&view, person, true, &err) == FL_OK;
}

/* Who decides this for them while they are away is told, but if somebody here takes no message:
 * that may be the one. */
static bool is_stood_in_for(const struct fl_digest *d, const struct fl_digest_group *g,
                            const struct fl_uuid *person)
{
    struct fl_approval_view view = view_of(g);
    return !d->refused_ms && !fl_uuid_is_zero(person) &&
           fl_approval_is_stood_in_for(&view, person, d->q_identities, d->q_closed);
}

/* Columns of fl_store_places_closed: place, why. */
static bool is_closed(const struct fl_digest *d, struct fl_str place)
{
    for (int i = 0; i < fl_rows(d->q_closed); i++) {
        if (fl_str_eq(fl_cell(d->q_closed, i, 0), place))
            return true;
    }
    return false;
}

static void add_place(struct fl_digest *d, struct fl_str place, const struct fl_uuid *person,
                      bool is_quiet)
{
    if (is_closed(d, place))
        return;
    for (size_t i = 0; i < d->place_count; i++) {
        if (fl_str_eq(d->places[i].place, place)) {
            d->places[i].may_see = true;
            d->places[i].is_quiet = is_quiet;
            return;
        }
    }
    if (d->refused_ms && fl_mono_ms() - d->refused_ms < REFUSED_MS)
        d->is_barred = true;
    else if (d->group_count)
        d->places[d->place_count++] =
            (struct fl_digest_place){ .id = fl_uuid_new(),
                                      .person = *person,
                                      .place = fl_arena_str(d->arena, place),
                                      .is_new = true,
                                      .is_quiet = is_quiet,
                                      .may_see = true };
}

static bool read_places(struct fl_digest *d)
{
    const struct fl_query *q = d->q_digests;
    const struct fl_channel *ch = d->channel;
    struct fl_uuid nobody = { { 0 } };
    struct fl_str place;
    size_t groups = 0;
    while (ch->kind->place(ch, groups, &place))
        groups++;
    d->places =
        fl_arena_array(d->arena, (size_t)fl_rows(q) + (size_t)fl_rows(d->q_identities) + groups + 1,
                       sizeof *d->places);
    if (!d->places)
        return false;
    for (int i = 0; i < fl_rows(q); i++) {
        struct fl_str message = fl_cell(q, i, 3);
        d->places[d->place_count++] =
            (struct fl_digest_place){ .id = fl_cell_uuid(q, i, 0),
                                      .person = fl_cell_uuid(q, i, 2),
                                      .place = fl_arena_str(d->arena, fl_cell(q, i, 1)),
                                      .message =
                                          message.p ? fl_arena_str(d->arena, message) : message,
                                      .asks_stop = fl_cell_uuid(q, i, 4),
                                      .is_stale = fl_cell_bool(q, i, 5),
                                      .shown = fl_cell_bytes(q, d->arena, i, 6) };
    }
    for (size_t i = 0; i < groups && ch->kind->place(ch, i, &place); i++)
        add_place(d, place, &nobody, false);
    for (int i = 0; !groups && i < fl_rows(d->q_identities); i++) {
        struct fl_uuid person = fl_cell_uuid(d->q_identities, i, 0);
        add_place(d, fl_cell(d->q_identities, i, 1), &person,
                  fl_cell_int(d->q_identities, i, 2) > 0);
    }
    return true;
}

FL_STEP(counted)
{
    struct fl_digest *d = digest_of(f);
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    enum fl_code code = read_groups(d, &err);
    if (code)
        return fl_fail_with(f, code, "%s", err.text);
    if (!read_places(d))
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    return &S_next;
}

/* ---------------------------------------------------------------- one place */
/* Everything in a group's, in a person's own what they may vote on; in quiet hours that tells them
 * of what is urgent, and while they are away of what nobody decides for them. */
static int64_t see(struct fl_digest *d, const struct fl_digest_place *p)
{
    int64_t total = 0;
    d->is_held = false;
    for (size_t i = 0; i < d->group_count; i++) {
        struct fl_digest_group *g = &d->groups[i];
        g->is_seen = p->may_see && (fl_uuid_is_zero(&p->person) || may_vote(g, &p->person));
        g->is_told =
            g->is_seen && (!p->is_quiet || g->ask->is_urgent) && !is_stood_in_for(d, g, &p->person);
        d->is_held |= g->is_seen && !g->is_told;
        total += g->is_seen ? g->count : 0;
    }
    return total;
}

static void put_name(struct fl_buf *out, struct fl_str name)
{
    struct fl_buf shown = FL_BUF_INIT;
    fl_show(&shown, name, FL_SHOW_ASCII | FL_SHOW_COMPOSED, NULL);
    struct fl_str s = fl_buf_view(&shown);
    size_t n = fl_show_cut(s, NAME_CELLS);
    fl_buf_put(out, s.p, n);
    fl_buf_puts(out, n < s.n ? "..." : "");
    out->is_failed |= shown.is_failed;
    fl_buf_fini(&shown);
}

/* "bot: 120" and its tools beneath. */
static void put_agent(struct fl_digest *d, size_t first, struct fl_buf *out)
{
    const struct fl_uuid *agent = &d->groups[first].row.agent_id;
    int64_t total = 0;
    for (size_t i = first; i < d->group_count; i++) {
        const struct fl_digest_group *g = &d->groups[i];
        total += g->is_seen && fl_uuid_cmp(&g->row.agent_id, agent) == 0 ? g->count : 0;
    }
    put_name(out, d->groups[first].row.agent);
    fl_buf_printf(out, ": %lld\n", (long long)total);
    for (size_t i = first; i < d->group_count; i++) {
        const struct fl_digest_group *g = &d->groups[i];
        int64_t count = 0;
        bool is_first = true;
        for (size_t k = first; k < d->group_count; k++) {
            const struct fl_digest_group *o = &d->groups[k];
            if (!o->is_seen || fl_uuid_cmp(&o->row.agent_id, agent) != 0 ||
                !fl_str_eq(o->row.tool, g->row.tool))
                continue;
            is_first &= k >= i; /* the same tool by another rule is counted with it */
            count += o->count;
        }
        if (!g->is_seen || fl_uuid_cmp(&g->row.agent_id, agent) != 0 || !is_first)
            continue;
        if (out->n > LIST_BYTES) {
            fl_buf_puts(out, "  (and more)\n");
            return;
        }
        fl_buf_puts(out, "  ");
        put_name(out, g->row.tool);
        fl_buf_printf(out, ": %lld\n", (long long)count);
    }
}

static bool is_first_of_agent(const struct fl_digest *d, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (d->groups[i].is_seen &&
            fl_uuid_cmp(&d->groups[i].row.agent_id, &d->groups[at].row.agent_id) == 0)
            return false;
    }
    return d->groups[at].is_seen;
}

static const char *label(struct fl_digest *d, const char *before, struct fl_str name)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_puts(&out, before);
    put_name(&out, name);
    const char *text = out.is_failed ? NULL : fl_arena_strndup(d->arena, out.p, out.n);
    fl_buf_fini(&out);
    return text ? text : before;
}

static size_t put_keys(struct fl_digest *d, const struct fl_digest_place *p, size_t at,
                       struct fl_chat_key *keys)
{
    const struct fl_approval *row = &d->groups[at].row;
    if (fl_uuid_cmp(&p->asks_stop, &row->agent_id) == 0) {
        keys[0] = (struct fl_chat_key){ FL_CHAT_HALT, row->agent_id,
                                        label(d, "Yes, stop ", row->agent), false };
        keys[1] = (struct fl_chat_key){ FL_CHAT_HALT_NOT, row->agent_id, "No", true };
    } else {
        keys[0] = (struct fl_chat_key){ FL_CHAT_CALL, row->agent_id,
                                        label(d, "Cards of ", row->agent), false };
        keys[1] = (struct fl_chat_key){ FL_CHAT_HALT_ASK, row->agent_id,
                                        label(d, "Stop ", row->agent), true };
    }
    return 2;
}

static enum fl_code draw(struct fl_digest *d, const struct fl_digest_place *p)
{
    struct fl_chat_key keys[2 * AGENTS_MOST];
    struct fl_chat_drawing drawing = { .binding = fl_bytes(p->id.b, sizeof p->id.b), .keys = keys };
    struct fl_buf list = FL_BUF_INIT;
    size_t agents = 0;
    int64_t total = see(d, p);
    struct fl_err err;
    d->is_over = total == 0;
    for (size_t i = 0; i < d->group_count; i++) {
        if (!is_first_of_agent(d, i))
            continue;
        if (agents++ >= AGENTS_MOST)
            continue;
        put_agent(d, i, &list);
        drawing.key_count += put_keys(d, p, i, &keys[drawing.key_count]);
    }
    if (agents > AGENTS_MOST)
        fl_buf_printf(&list, "(and %zu more agents)\n", agents - AGENTS_MOST);
    char *notice = fl_arena_printf(
        d->arena,
        "%lld%s call%s here without a card: more than %d came within a minute. Each can be decided "
        "in the list of approvals, or by its card.",
        (long long)total, d->is_cut ? " or more" : "", total == 1 ? " waits" : "s wait",
        fl_channel_rate(d->channel));
    drawing.notice = fl_str_of(notice ? notice : "");
    drawing.list = fl_str_trim(fl_buf_view(&list));
    drawing.is_stray = d->is_over;
    if (!p->may_see)
        drawing.notice = FL_STR("This message was withdrawn: it is not for this chat any more.");
    else if (d->is_over)
        drawing.notice =
            FL_STR("Nothing is left in this message: each call has a card, or is decided.");
    enum fl_code code = list.is_failed || !notice
                            ? FL_NOMEM
                            : d->channel->kind->draw(&drawing, d->arena, &d->drawn, &err);
    fl_buf_fini(&list);
    return code;
}

/* Is there something to tell whose the place at work is; which no digest has counted? */
static bool tells(const struct fl_digest *d, bool is_uncounted)
{
    for (size_t i = 0; i < d->group_count; i++) {
        if (d->groups[i].is_told && (d->groups[i].uncounted || !is_uncounted))
            return true;
    }
    return false;
}

static void note_told(struct fl_digest *d)
{
    for (size_t i = 0; i < d->group_count; i++) {
        struct fl_digest_group *g = &d->groups[i];
        if (g->is_told && g->uncounted)
            fl_store_flood_counted(
                &d->tx, &d->channel->id, &g->row.agent_id, g->row.tool, g->ask_json,
                fl_uuid_is_zero(&g->row.owner_id) ? NULL : &g->row.owner_id, g->at_us);
        g->uncounted = g->is_told ? 0 : g->uncounted;
    }
}

FL_STEP(rested)
{
    return f->op.code ? fl_fail(f) : &S_next;
}

FL_STEP(next)
{
    struct fl_digest *d = digest_of(f);
    if (d->at == d->place_count) {
        d->written_ms = d->is_late ? 0 : fl_mono_ms();
        d->barred_ms = d->is_barred && !d->is_standing && !d->is_late ? fl_mono_ms() : 0;
        d->again_ms = d->again_ms * 2 < AGAIN_MS ? d->again_ms * 2 : AGAIN_MS;
        return fl_end(f);
    }
    if (d->at >= d->rest_at + PLACES_ONCE) {
        d->rest_at = d->at;
        return fl_await(f, &S_rested, fl_sleep_start(&f->op, &d->sleep, d->channel->core->loop, 0));
    }
    struct fl_digest_place *p = &d->places[d->at];
    d->drawn = (struct fl_chat_drawn){ .is_last_page = false };
    if (draw(d, p) != FL_OK)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    fl_sha256(d->drawn.bytes, d->digest);
    begin(d);
    bool is_same = p->message.p && fl_str_eq(p->shown, fl_bytes(d->digest, sizeof d->digest));
    bool has_nobody = !p->message.p && !tells(d, false) && (p->is_new || !d->is_over);
    d->is_standing |= p->message.p && !d->is_over;
    d->is_barred |= has_nobody && d->is_held;
    if (has_nobody || (is_same && !p->is_stale && !tells(d, true))) {
        d->at++;
        return &S_next;
    }
    if (is_same || (d->is_over && !p->message.p)) {
        if (d->is_over)
            fl_store_digest_drop(&d->tx, &p->id); /* nothing stands there */
        else
            fl_store_digest_shown(&d->tx, &p->id, p->message, p->shown);
        note_told(d);
        return fl_await(f, &S_noted, fl_tx_submit(&f->op, &d->tx));
    }
    if (fl_pace_take(d->pace, p->place, 0, fl_mono_ms())) {
        d->is_late = true;
        d->at++;
        return &S_next;
    }
    if (!p->is_new)
        return &S_send;
    fl_store_digest_put(&d->tx, &p->id, &d->channel->id, p->place,
                        fl_uuid_is_zero(&p->person) ? NULL : &p->person);
    return fl_await(f, &S_send, fl_tx_submit(&f->op, &d->tx));
}

FL_STEP(send)
{
    struct fl_digest *d = digest_of(f);
    const struct fl_digest_place *p = &d->places[d->at];
    if (f->op.code)
        return fl_fail(f);
    d->send = (struct fl_chat_send){ .channel = d->channel,
                                     .arena = d->arena,
                                     .place = p->place,
                                     .message = p->message,
                                     .bytes = d->drawn.bytes };
    enum fl_code code = d->channel->kind->send_start(&f->op, &d->send);
    if (code == FL_OK)
        return fl_await(f, &S_sent, FL_OK);
    f->op.code = code;
    f->op.err.code = code;
    return &S_sent;
}

/* A place that is gone, or not ours, keeps no other from being told. */
FL_STEP(sent)
{
    struct fl_digest *d = digest_of(f);
    const struct fl_digest_place *p = &d->places[d->at];
    char why[200];
    bool is_gone = f->op.code == FL_NOT_FOUND || f->op.code == FL_FORBIDDEN;
    if (f->op.code && !is_gone) {
        d->is_chat_fault = f->op.code != FL_CANCELLED;
        d->retry_ms = d->send.retry_ms;
        return fl_fail(f);
    }
    if (is_gone)
        FL_LOG(WARN, "digest_not_taken", FL_KU("org", &d->channel->organization),
               FL_KV("channel", d->channel->name), FL_KS("reason", f->op.err.text));
    begin(d);
    if (is_gone && !p->message.p) {
        fl_utf8_format(why, sizeof why, "%s", f->op.err.text);
        fl_store_channel_fails(&d->tx, &d->channel->id, d->channel->revision, d->channel->failures,
                               fl_str_of(why), 0);
        d->refused_ms = fl_mono_ms();
        d->is_barred = true;
    }
    if (is_gone || d->is_over) {
        fl_store_digest_drop(&d->tx, &p->id);
        return fl_await(f, &S_noted, fl_tx_submit(&f->op, &d->tx));
    }
    fl_store_digest_shown(&d->tx, &p->id, d->send.posted, fl_bytes(d->digest, sizeof d->digest));
    note_told(d);
    d->is_standing = true;
    return fl_await(f, &S_noted, fl_tx_submit(&f->op, &d->tx));
}

FL_STEP(noted)
{
    struct fl_digest *d = digest_of(f);
    if (f->op.code)
        return fl_fail(f);
    if (d->channel->on_changed)
        d->channel->on_changed(d->channel);
    d->at++;
    return &S_next;
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_digest *d = digest_of(f);
    struct fl_op *op = d->op;
    for (size_t i = 0; i < d->group_count; i++)
        fl_policy_ask_free(&d->groups[i].ask);
    d->group_count = 0;
    if (f->first.code)
        op->err = f->first;
    fl_tx_fini(&d->tx);
    fl_arena_free(&d->arena);
    fl_op_finish(op, f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_digest, post)->flow, &S_look);
}

/* A request ends early; a transaction goes on. */
static void cancel(struct fl_op *op)
{
    struct fl_digest *d = op->provider;
    fl_op_cancel(&d->flow.op);
}

enum fl_code fl_digest_start(struct fl_op *op, struct fl_digest *d)
{
    d->arena = fl_arena_new(8192);
    if (!d->arena)
        return fl_err_code(&op->err, FL_NOMEM);
    d->is_chat_fault = d->is_late = d->is_over = d->is_standing = d->is_barred = false;
    d->retry_ms = 0;
    d->group_count = d->place_count = d->at = d->rest_at = 0;
    d->groups = NULL;
    d->places = NULL;
    fl_tx_init(&d->tx, d->channel->core->pg, d->arena, &d->channel->organization);
    fl_flow_init(&d->flow, &S_failed, on_ended);
    d->op = op;
    fl_op_start(op, cancel, d);
    d->post = (struct fl_post){ .run = on_start };
    fl_loop_post(d->channel->core->loop, &d->post);
    return FL_OK;
}
