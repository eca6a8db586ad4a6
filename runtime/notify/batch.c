/* Reading and drawing a message of several cards. */
#include "runtime/notify/batch.h"

#include "runtime/store/outbox.h"

FL_STEP_DECLARE(listed);
FL_STEP_DECLARE(next);
FL_STEP_DECLARE(looked);
FL_STEP_DECLARE(draw);

static struct fl_batch *batch_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_batch, flow);
}

FL_STEP(list)
{
    struct fl_batch *b = batch_of(f);
    fl_tx_init(&b->tx, b->channel->core->pg, b->arena, &b->channel->organization);
    b->tx.is_read_only = true;
    b->q = fl_store_batch(&b->tx, &b->host);
    return fl_await(f, &S_listed, fl_tx_submit(&f->op, &b->tx));
}

/* Columns of fl_store_batch: card_id, approval_id, asks_stop, is it time to erase, person_id, mark,
 * is_marking. */
FL_STEP(listed)
{
    struct fl_batch *b = batch_of(f);
    if (f->op.code)
        return fl_fail(f);
    size_t count = (size_t)fl_rows(b->q);
    b->items = fl_arena_array(b->arena, count + 1, sizeof *b->items);
    if (!b->items)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        b->items[i] = (struct fl_batch_item){ .card_id = fl_cell_uuid(b->q, (int)i, 0),
                                              .approval = fl_cell_uuid(b->q, (int)i, 1),
                                              .asks_stop = fl_cell_bool(b->q, (int)i, 2),
                                              .is_erased = fl_cell_bool(b->q, (int)i, 3),
                                              .person = fl_cell_uuid(b->q, (int)i, 4),
                                              .mark = fl_batch_mark(fl_cell(b->q, (int)i, 5)),
                                              .is_marking = fl_cell_bool(b->q, (int)i, 6) };
    b->count = count;
    return count ? &S_next : fl_fail_with(f, FL_NOT_FOUND, "its cards are gone");
}

FL_STEP(next)
{
    struct fl_batch *b = batch_of(f);
    if (b->at == b->count)
        return b->is_only_read ? fl_end(f) : &S_draw;
    struct fl_batch_item *i = &b->items[b->at];
    i->look = (struct fl_look){ .core = b->channel->core,
                                .organization = b->channel->organization,
                                .id = i->approval,
                                .wants_arguments = true,
                                .wants_ballot = true };
    return fl_await(f, &S_looked, fl_look_start(&f->op, &i->look));
}

FL_STEP(looked)
{
    struct fl_batch *b = batch_of(f);
    struct fl_batch_item *i = &b->items[b->at];
    struct fl_err err;
    if (f->op.code)
        return fl_fail(f);
    enum fl_code code =
        fl_approval_view_read(&i->view, b->arena, &i->look.row, &i->look.ballot, &err);
    i->has_view = code == FL_OK;
    bool is_summary = code || b->channel->disclose == FL_DISCLOSE_SUMMARY || !i->view.ask ||
                      i->view.ask->disclose == FL_DISCLOSE_SUMMARY || i->is_erased;
    struct fl_approval_texts texts = { i->look.arguments, i->look.preview, i->look.justification,
                                       i->look.is_tampered,
                                       is_summary ? FL_DISCLOSE_SUMMARY : FL_DISCLOSE_FULL };
    if (code == FL_OK)
        code = fl_card_of(b->arena, &i->view, &texts, b->channel->core->keys,
                          &b->channel->organization, b->channel->kind->whole_max, &i->card, &err);
    if (code)
        return fl_fail_with(f, code, "%s", err.text);
    if (i->view.ask && i->view.ask->needs_second_factor)
        i->card.can_approve = false;
    b->at++;
    return &S_next;
}

/* Does something wait that its card does not show whole? It is not among others. */
static bool has_part(const struct fl_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct fl_card *card = &b->items[i].card;
        if (card->state == FL_APPROVAL_PENDING && !card->is_whole)
            return true;
    }
    return false;
}

struct fl_chat_drawing fl_batch_drawing(const struct fl_batch_item *i)
{
    return (struct fl_chat_drawing){ .card = &i->card,
                                     .card_id = i->card_id,
                                     .binding = i->look.row.binding_digest,
                                     .agent = i->look.row.agent,
                                     .tool = i->look.row.tool,
                                     .is_read = true,
                                     .asks_stop = i->asks_stop,
                                     .may_withdraw = i->has_view &&
                                                     fl_approval_may_withdraw(&i->view, &i->person),
                                     .is_marking = i->is_marking,
                                     .mark = i->mark,
                                     .is_erased = i->is_erased };
}

FL_STEP(draw)
{
    struct fl_batch *b = batch_of(f);
    struct fl_err err;
    struct fl_chat_drawing *items = fl_arena_array(b->arena, b->count, sizeof *items);
    if (!items)
        return fl_fail_with(f, FL_NOMEM, "out of memory");
    for (size_t i = 0; i < b->count; i++)
        items[i] = fl_batch_drawing(&b->items[i]);
    if (has_part(b))
        return fl_fail_with(f, FL_TOO_LARGE, "what waits is not shown whole");
    enum fl_code code =
        b->channel->kind->draw_many(items, b->count, false, b->arena, &b->drawn, &err);
    if (code == FL_TOO_LARGE)
        code = b->channel->kind->draw_many(items, b->count, true, b->arena, &b->drawn, &err);
    return code ? fl_fail_with(f, code, "%s", err.text) : fl_end(f);
}

FL_STEP(failed)
{
    return fl_end(f);
}

static void on_ended(struct fl_flow *f)
{
    struct fl_batch *b = batch_of(f);
    struct fl_op *op = b->op;
    if (f->first.code)
        op->err = f->first;
    fl_op_finish(op, f->first.code == FL_AMBIGUOUS ? FL_UNAVAILABLE : f->first.code);
}

static void on_start(struct fl_post *post)
{
    fl_flow_run(&FL_CONTAINER(post, struct fl_batch, post)->flow, &S_list);
}

enum fl_code fl_batch_start(struct fl_op *op, struct fl_batch *b)
{
    fl_flow_init(&b->flow, &S_failed, on_ended);
    b->op = op;
    fl_op_start(op, NULL, b);
    b->post = (struct fl_post){ .run = on_start };
    fl_loop_post(b->channel->core->loop, &b->post);
    return FL_OK;
}

void fl_batch_fini(struct fl_batch *b)
{
    if (!b->channel)
        return;
    fl_tx_fini(&b->tx);
    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].has_view)
            fl_approval_view_fini(&b->items[i].view);
        fl_look_fini(&b->items[i].look);
    }
    *b = (struct fl_batch){ .channel = NULL };
}

void fl_batch_marks(const struct fl_uuid *cards, const char *marks, size_t count,
                    uint8_t out[FL_SHA256_BYTES])
{
    struct fl_sha256 s;
    fl_sha256_init(&s);
    for (size_t i = 0; i < count; i++) {
        fl_sha256_put(&s, cards[i].b, sizeof cards[i].b);
        fl_sha256_put(&s, &marks[i], 1);
    }
    fl_sha256_final(&s, out);
}

char fl_batch_mark(struct fl_str text)
{
    return fl_str_is(text, "approve") ? 'a' : fl_str_is(text, "reject") ? 'r' : 0;
}

bool fl_batch_is_same(const struct fl_card *a, const struct fl_card *b, enum fl_card_kind kind)
{
    const struct fl_card_block *x = fl_card_block(a, kind), *y = fl_card_block(b, kind);
    if (!x || !y || x->line_count != y->line_count)
        return !x && !y;
    for (size_t i = 0; i < x->line_count; i++) {
        if (!fl_str_eq(x->lines[i], y->lines[i]))
            return false;
    }
    return true;
}
