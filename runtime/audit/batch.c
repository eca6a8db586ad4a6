/* Batches of audit rows: one insert in flight, and a second one when many rows wait; everything
 * that gathers meanwhile goes with the next one. A batch that the database refuses goes again row
 * by row, so that one organization's bad row refuses no other's read. */
#include "runtime/audit/batch.h"

#include "flopinio/base/mem.h"

#define IN_FLIGHT 2
#define ROWS_MAX  1024
/* Rows that make a second insert worth it: a few rows cost as much as these. */
#define MORE_THAN 128

struct shot {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena;
    struct fl_audit_batch *batch;
    struct fl_list entries;
    bool is_busy;
};

/* One row by itself. */
struct single {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena; /* holds this struct, too */
    struct fl_audit_batch *batch;
    struct fl_audit_entry *entry;
};

struct fl_audit_batch {
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_post turn;
    struct fl_list waiting;
    size_t waiting_count;
    struct shot shots[IN_FLIGHT];
    size_t singles; /* on their way */
};

static void on_done(struct fl_op *op);

static void finish_one(struct fl_audit_entry *e, enum fl_code code, const struct fl_err *err)
{
    struct fl_op *op = e->op;
    if (code)
        op->err = *err;
    fl_op_finish(op, code);
}

static void finish(struct fl_list *entries, enum fl_code code, const struct fl_err *err)
{
    while (!fl_list_is_empty(entries)) {
        struct fl_audit_entry *e = FL_CONTAINER(entries->next, struct fl_audit_entry, link);
        fl_list_remove(&e->link);
        finish_one(e, code, err);
    }
}

static void shoot(struct shot *s)
{
    const struct fl_audit_row *rows[ROWS_MAX] FL_NOT_CLEARED;
    size_t count = 0;
    struct fl_audit_batch *b = s->batch;
    struct fl_err err;
    while (count < ROWS_MAX && !fl_list_is_empty(&b->waiting)) {
        struct fl_list *link = b->waiting.next;
        fl_list_remove(link);
        fl_list_push_back(&s->entries, link);
        b->waiting_count--;
        rows[count++] = FL_CONTAINER(link, struct fl_audit_entry, link)->row;
    }
    s->arena = fl_arena_new(count * 512 + 4096);
    enum fl_code code = s->arena ? FL_OK : fl_err_code(&err, FL_NOMEM);
    if (code == FL_OK) {
        fl_tx_init(&s->tx, b->pg, s->arena, NULL);
        fl_store_audit_insert_many(&s->tx, rows, count);
        code = fl_tx_submit(&s->op, &s->tx);
        err = s->op.err;
    }
    if (code == FL_OK) {
        s->is_busy = true;
        return;
    }
    if (s->arena)
        fl_tx_fini(&s->tx);
    fl_arena_free(&s->arena);
    finish(&s->entries, code, &err);
}

static void on_turn(struct fl_post *post)
{
    struct fl_audit_batch *b = FL_CONTAINER(post, struct fl_audit_batch, turn);
    int busy = 0;
    for (int i = 0; i < IN_FLIGHT; i++)
        busy += b->shots[i].is_busy;
    for (int i = 0; i < IN_FLIGHT && b->waiting_count > (busy ? MORE_THAN : 0); i++) {
        if (b->shots[i].is_busy)
            continue;
        shoot(&b->shots[i]);
        busy++;
    }
}

/* ---- row by row ---- */
static void on_single(struct fl_op *op)
{
    struct single *s = FL_CONTAINER(op, struct single, op);
    struct fl_arena *arena = s->arena;
    struct fl_audit_entry *entry = s->entry;
    enum fl_code code = op->code;
    struct fl_err err = op->err;
    s->batch->singles--;
    fl_tx_fini(&s->tx);
    fl_arena_free(&arena);
    finish_one(entry, code, &err);
}

static void submit_one(struct fl_audit_batch *b, struct fl_audit_entry *e)
{
    struct fl_err err;
    struct fl_arena *arena = fl_arena_new(1024);
    struct single *s = arena ? FL_ARENA_NEW(arena, struct single) : NULL;
    enum fl_code code = s ? FL_OK : fl_err_code(&err, FL_NOMEM);
    if (s) {
        *s = (struct single){ .op.done = on_single, .arena = arena, .batch = b, .entry = e };
        fl_tx_init(&s->tx, b->pg, arena, NULL);
        fl_store_audit_insert_many(&s->tx, &e->row, 1);
        code = fl_tx_submit(&s->op, &s->tx);
        if (code == FL_OK) {
            b->singles++;
            return;
        }
        err = s->op.err;
        fl_tx_fini(&s->tx);
    }
    fl_arena_free(&arena);
    finish_one(e, code, &err);
}

static void submit_each(struct fl_audit_batch *b, struct fl_list *entries)
{
    while (!fl_list_is_empty(entries)) {
        struct fl_list *link = entries->next;
        fl_list_remove(link);
        submit_one(b, FL_CONTAINER(link, struct fl_audit_entry, link));
    }
}

static void on_done(struct fl_op *op)
{
    struct shot *s = FL_CONTAINER(op, struct shot, op);
    struct fl_audit_batch *b = s->batch;
    struct fl_list entries;
    enum fl_code code = op->code;
    struct fl_err err = op->err;
    fl_list_init(&entries);
    fl_list_splice(&entries, &s->entries);
    fl_tx_fini(&s->tx);
    fl_arena_free(&s->arena);
    s->is_busy = false;
    if (!fl_list_is_empty(&b->waiting))
        fl_loop_at_turn_end(b->loop, &b->turn);
    bool has_others = entries.next->next != &entries;
    if (code == FL_DB_REFUSED && has_others)
        submit_each(b, &entries);
    else
        finish(&entries, code, &err);
}

enum fl_code fl_audit_batch_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_audit_batch **ret,
                                struct fl_err *err)
{
    struct fl_audit_batch *b = fl_calloc(1, sizeof *b);
    if (!b)
        return fl_err_code(err, FL_NOMEM);
    b->loop = loop;
    b->pg = pg;
    b->turn.run = on_turn;
    fl_list_init(&b->waiting);
    for (int i = 0; i < IN_FLIGHT; i++) {
        b->shots[i].batch = b;
        b->shots[i].op.done = on_done;
        fl_list_init(&b->shots[i].entries);
    }
    *ret = b;
    return FL_OK;
}

void fl_audit_batch_free(struct fl_audit_batch **batch)
{
    struct fl_audit_batch *b = *batch;
    if (!b)
        return;
    FL_ASSERT(fl_list_is_empty(&b->waiting));
    for (int i = 0; i < IN_FLIGHT; i++)
        FL_ASSERT(!b->shots[i].is_busy);
    FL_ASSERT(b->singles == 0);
    fl_loop_post_cancel(b->loop, &b->turn);
    fl_free(b);
    *batch = NULL;
}

enum fl_code fl_audit_batch_add(struct fl_op *op, struct fl_audit_batch *b,
                                struct fl_audit_entry *entry, const struct fl_audit_event *event)
{
    FL_ASSERT(event->row.leaf.p);
    fl_op_start(op, NULL, b);
    entry->op = op;
    entry->row = &event->row;
    fl_list_push_back(&b->waiting, &entry->link);
    b->waiting_count++;
    fl_loop_at_turn_end(b->loop, &b->turn);
    return FL_OK;
}
