/* Deciding several cards in one go, and marking them for that. */
#include "runtime/notify/many.h"

#include <stdio.h>

#include "flopinio/base/mem.h"
#include "flopinio/base/utf8.h"
#include "runtime/approval/hub.h"
#include "runtime/crypto/secret.h"
#include "runtime/store/outbox.h"

#define REASON_MAX  2000
#define LINES_WHOLE 6   /* so many answers are told in full */
#define LINE_BYTES  120 /* of each, where there are more */

FL_STEP_DECLARE(read);
FL_STEP_DECLARE(next);
FL_STEP_DECLARE(done);
FL_STEP_DECLARE(unmarked);
FL_STEP_DECLARE(told);

static struct fl_many *many_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_many, flow);
}

static void begin_tx(struct fl_many *m)
{
    fl_tx_fini(&m->tx);
    fl_tx_init(&m->tx, m->channel->core->pg, m->arena, &m->channel->organization);
}

static fl_next say(struct fl_many *m, const char *text)
{
    fl_utf8_format(m->answer, sizeof m->answer, "%s", text);
    return fl_end(&m->flow);
}

/* ---------------------------------------------------------------- what is marked */
FL_STEP(begin)
{
    struct fl_many *m = many_of(f);
    if (m->reason.n > REASON_MAX)
        return say(m, "a reason has at most 2000 bytes; nothing was decided");
    for (size_t i = 0; !m->is_marked && i < m->count; i++)
        m->refused += m->items[i].is_refused;
    if (!m->is_marked)
        return &S_next;
    begin_tx(m);
    m->tx.is_read_only = true;
    m->q = fl_store_batch(&m->tx, &m->host);
    return fl_await(f, &S_read, fl_tx_submit(&f->op, &m->tx));
}

/* Columns of fl_store_batch: card_id, approval_id, .., mark (5), is_marking, channel_id, place,
 * message. */
static bool is_here(const struct fl_many *m, int row)
{
    struct fl_uuid channel = fl_cell_uuid(m->q, row, 7);
    return fl_uuid_cmp(&channel, &m->channel->id) == 0 &&
           fl_str_eq(fl_cell(m->q, row, 8), m->place) &&
           fl_str_eq(fl_cell(m->q, row, 9), m->message);
}

/* Every one of them holds its binding against what it is when it is decided; they were shown in
 * this message, which is rewritten with each change. */
FL_STEP(read)
{
    struct fl_many *m = many_of(f);
    struct fl_uuid cards[FL_BATCH_MOST];
    char marks[FL_BATCH_MOST];
    uint8_t digest[FL_SHA256_BYTES];
    if (f->op.code)
        return fl_fail(f);
    int count = fl_rows(m->q);
    if (count < 1 || count > FL_BATCH_MOST || !is_here(m, 0))
        return say(m, "this button is not known here (any more); nothing was decided");
    for (int i = 0; i < count; i++) {
        cards[i] = fl_cell_uuid(m->q, i, 0);
        marks[i] = fl_batch_mark(fl_cell(m->q, i, 5));
    }
    fl_batch_marks(cards, marks, (size_t)count, digest);
    if (!fl_cell_bool(m->q, 0, 6) || !fl_equal_secret(digest, m->marks, sizeof m->marks))
        return say(m, "what is marked has changed just now; nothing was decided, look at it and "
                      "press again");
    m->approval = fl_cell_uuid(m->q, 0, 1);
    m->count = (size_t)count;
    for (size_t i = 0; i < m->count; i++) {
        struct fl_str binding = fl_cell_bytes(m->q, m->arena, (int)i, 10);
        m->items[i] = (struct fl_many_item){
            .card = cards[i],
            .verb = marks[i] == 'a'   ? FL_CHAT_APPROVE
                    : marks[i] == 'r' ? FL_CHAT_REJECT
                                      : FL_CHAT_NONE,
            .number = i + 1,
        };
        if (binding.n >= sizeof m->items[i].binding)
            memcpy(m->items[i].binding, binding.p, sizeof m->items[i].binding);
    }
    return &S_next;
}

/* ---------------------------------------------------------------- one behind the other */
FL_STEP(next)
{
    struct fl_many *m = many_of(f);
    while (m->at < m->count && m->items[m->at].verb == FL_CHAT_NONE)
        m->at++;
    if (m->at == m->count)
        return &S_told;
    struct fl_many_item *i = &m->items[m->at];
    m->event = (struct fl_chat_event){ .channel = m->channel,
                                       .verb = i->verb,
                                       .external = m->external,
                                       .display = m->display,
                                       .place = m->place,
                                       .message = m->message,
                                       .is_private = m->is_private,
                                       .has_read = m->has_read,
                                       .card = i->card };
    if (i->verb == FL_CHAT_REJECT && m->reason.n)
        m->event.text = m->reason;
    memcpy(m->event.binding, i->binding, sizeof m->event.binding);
    enum fl_code code = fl_chat_event_start(&f->op, &m->event);
    m->is_event_open = code == FL_OK;
    return fl_await(f, &S_done, code);
}

FL_STEP(done)
{
    struct fl_many *m = many_of(f);
    struct fl_many_item *i = &m->items[m->at++];
    bool is_uncertain = f->op.code != FL_OK;
    i->is_refused = is_uncertain || m->event.is_alert;
    fl_utf8_format(i->answer, sizeof i->answer, "%s",
                   is_uncertain ? "it is not certain that this was recorded: its card says what "
                                  "holds"
                                : m->event.answer);
    m->decided += !i->is_refused;
    m->refused += i->is_refused;
    fl_chat_event_fini(&m->event);
    m->is_event_open = false;
    return &S_next;
}

/* ---------------------------------------------------------------- what came of it */
static bool is_one_refusal(const struct fl_many *m)
{
    const char *first = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const struct fl_many_item *item = &m->items[i];
        if (!item->answer[0])
            continue;
        if (!item->is_refused || (first && strcmp(first, item->answer) != 0))
            return false;
        first = item->answer;
    }
    return first != NULL;
}

/* All of them are told in one message, so that many answers are short ones. */
static void put_line(struct fl_buf *out, const struct fl_many *m, const struct fl_many_item *item)
{
    struct fl_str answer = fl_str_of(item->answer[0] ? item->answer : "left as it is");
    bool is_cut = answer.n > LINE_BYTES && m->count > LINES_WHOLE;
    if (is_cut)
        answer.n = fl_utf8_cut(answer, LINE_BYTES);
    fl_buf_printf(out, "%zu. %s%.*s%s\n", item->number, item->is_refused ? "not decided: " : "",
                  FL_STR_ARG(answer), is_cut ? "..." : "");
}

static void describe(struct fl_many *m)
{
    struct fl_buf out = FL_BUF_INIT;
    for (size_t i = 0; i < m->count; i++)
        put_line(&out, m, &m->items[i]);
    if (is_one_refusal(m)) { /* the same of each is said once */
        for (size_t i = 0; i < m->count; i++) {
            if (m->items[i].answer[0])
                fl_utf8_format(m->answer, sizeof m->answer, "%s", m->items[i].answer);
        }
    } else if (!m->decided && !m->refused) {
        snprintf(m->answer, sizeof m->answer, "nothing is marked; nothing was decided");
    } else {
        snprintf(m->answer, sizeof m->answer, "%zu recorded, %zu not", m->decided, m->refused);
        m->list = out.is_failed ? FL_STR("") : fl_arena_str(m->arena, fl_buf_view(&out));
    }
    fl_buf_fini(&out);
}

FL_STEP(told)
{
    struct fl_many *m = many_of(f);
    describe(m);
    if (!m->is_marked || !m->decided)
        return fl_end(f);
    begin_tx(m);
    fl_store_batch_marking(&m->tx, &m->host, false);
    fl_store_outbox_again(&m->tx, &m->approval, &m->channel->id);
    return fl_await(f, &S_unmarked, fl_tx_submit(&f->op, &m->tx));
}

/* Marks that stay decide nothing by themselves. */
FL_STEP(unmarked)
{
    struct fl_many *m = many_of(f);
    if (f->op.code == FL_OK)
        fl_hub_changed(m->channel->core->hub, &m->channel->organization, &m->approval);
    return fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_many *m = many_of(f);
    struct fl_op *op = m->op;
    if (m->is_event_open)
        fl_chat_event_fini(&m->event);
    fl_tx_fini(&m->tx);
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code ? FL_UNAVAILABLE : FL_OK);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_many, post)->flow, &S_begin);
}

enum fl_code fl_many_start(struct fl_op *op, struct fl_many *m)
{
    fl_tx_init(&m->tx, m->channel->core->pg, m->arena, &m->channel->organization);
    fl_flow_init(&m->flow, &S_failed, on_ended);
    m->op = op;
    fl_op_start(op, NULL, m);
    m->post = (struct fl_post){ .run = on_start };
    fl_loop_post(m->channel->core->loop, &m->post);
    return FL_OK;
}

/* ---------------------------------------------------------------- marking */
FL_STEP_DECLARE(mark_looked);
FL_STEP_DECLARE(marked);

static struct fl_chat_event *event_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_chat_event, flow);
}

static fl_next answer(struct fl_chat_event *e, bool is_alert, const char *text)
{
    fl_utf8_format(e->answer, sizeof e->answer, "%s", text);
    e->is_alert = is_alert;
    return fl_end(&e->flow);
}

fl_next fl_many_mark(struct fl_chat_event *e)
{
    e->look = FL_ARENA_NEW(e->arena, struct fl_look);
    if (!e->look)
        return fl_fail_with(&e->flow, FL_NOMEM, "out of memory");
    *e->look = (struct fl_look){ .core = e->channel->core,
                                 .organization = e->channel->organization,
                                 .id = e->approval,
                                 .wants_ballot = true };
    return fl_await(&e->flow, &S_mark_looked, fl_look_start(&e->flow.op, e->look));
}

/* Whoever may decide this one marks it; whoever may decide something opens and shuts. */
static enum fl_code check_mark(struct fl_chat_event *e, struct fl_err *err)
{
    const struct fl_quorum_person *p = fl_ballot_person(&e->look->ballot, &e->person);
    struct fl_approval_view view;
    if (!p || !p->is_active || !fl_role_may(p->role, FL_ACTION_DECIDE))
        return fl_err_set(err, FL_FORBIDDEN, "your role may not decide approvals");
    if (e->verb == FL_CHAT_MARK_OPEN || e->verb == FL_CHAT_MARK_SHUT)
        return FL_OK;
    enum fl_code code =
        fl_approval_view_read(&view, e->arena, &e->look->row, &e->look->ballot, err);
    if (code)
        return code;
    code = fl_approval_may_vote(&view, &e->person, true, err);
    fl_approval_view_fini(&view);
    return code;
}

static const char *what_is_marked(enum fl_chat_verb verb)
{
    return verb == FL_CHAT_MARK_OPEN      ? "mark each call, then decide all that is marked"
           : verb == FL_CHAT_MARK_SHUT    ? "nothing was decided"
           : verb == FL_CHAT_MARK_APPROVE ? "marked to be approved; nothing is decided yet"
           : verb == FL_CHAT_MARK_REJECT  ? "marked to be rejected; nothing is decided yet"
                                          : "not marked any more";
}

FL_STEP(mark_looked)
{
    struct fl_chat_event *e = event_of(f);
    struct fl_err err;
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_NOMEM)
        return fl_fail(f);
    if (f->op.code)
        return answer(e, true, f->op.err.text);
    enum fl_code code = check_mark(e, &err);
    if (code == FL_NOMEM)
        return fl_fail_with(f, code, "%s", err.text);
    if (code)
        return answer(e, true, err.text);
    fl_tx_fini(&e->tx);
    fl_tx_init(&e->tx, e->channel->core->pg, e->arena, &e->channel->organization);
    if (e->verb == FL_CHAT_MARK_OPEN || e->verb == FL_CHAT_MARK_SHUT)
        fl_store_batch_marking(&e->tx, &e->card, e->verb == FL_CHAT_MARK_OPEN);
    else
        fl_store_card_mark(&e->tx, &e->card,
                           e->verb == FL_CHAT_MARK_APPROVE  ? "approve"
                           : e->verb == FL_CHAT_MARK_REJECT ? "reject"
                                                            : "");
    fl_store_outbox_again(&e->tx, &e->approval, &e->channel->id);
    return fl_await(f, &S_marked, fl_tx_submit(&f->op, &e->tx));
}

FL_STEP(marked)
{
    struct fl_chat_event *e = event_of(f);
    if (f->op.code)
        return fl_fail(f);
    fl_hub_changed(e->channel->core->hub, &e->channel->organization, &e->approval);
    return answer(e, false, what_is_marked(e->verb));
}
