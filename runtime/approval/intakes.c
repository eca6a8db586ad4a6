/* Batches of intakes: for each organization one transaction in flight, and a second one when many
 * wait; what gathers meanwhile goes with the next. */
#include "runtime/approval/intakes.h"

#include <stdlib.h>
#include <string.h>

#include "flopinio/base/mem.h"

#define IN_FLIGHT   2 /* of one organization */
#define ROWS_MAX    128
/* Rows that make a second transaction worth it. */
#define MORE_THAN   48
/* One with more rows goes by itself: locks, time and what waits for its commit stay bounded. */
#define COMPANY_MAX 8
#define BYTES_MAX   (4 << 20) /* of contents in one; a larger one goes alone */

struct shot {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena; /* holds this struct, too */
    struct fl_intakes *intakes;
    struct fl_list link; /* in `flying` */
    struct fl_list entries;
    struct fl_uuid organization;
};

struct fl_intakes {
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_post turn;
    struct fl_list waiting; /* fl_intake_entry */
    struct fl_list taken;   /* of one organization, within the end of a turn; */
    struct fl_list later;   /* those whose organization has enough in flight */
    struct fl_list flying;  /* shot */
};

static void on_done(struct fl_op *op);

static struct fl_intake_entry *entry_of(struct fl_list *link)
{
    return FL_CONTAINER(link, struct fl_intake_entry, link);
}

static void finish(struct fl_list *entries, enum fl_code code, const struct fl_err *err)
{
    while (!fl_list_is_empty(entries)) {
        struct fl_intake_entry *e = entry_of(entries->next);
        struct fl_op *op = e->op;
        fl_list_remove(&e->link);
        if (code)
            op->err = *err;
        fl_op_finish(op, code);
    }
}

/* ---- making one ---- */
static int by_bytes(const void *a, const void *b)
{
    return fl_uuid_cmp(a, b);
}

/* In a statement each row is of another agent: the second one of an agent is in the second round,
 * and so on, and sees what became of the first. Returns how many rounds. */
static unsigned find_rounds(struct fl_list *entries, struct fl_uuid *ret_agents, size_t *ret_count)
{
    unsigned rounds = 0;
    unsigned met[ROWS_MAX];
    size_t count = 0;
    FL_LIST_FOREACH (link, entries) {
        struct fl_intake_entry *e = entry_of(link);
        size_t i = 0;
        while (i < count && fl_uuid_cmp(&ret_agents[i], &e->row->agent_id) != 0)
            i++;
        if (i == count) {
            ret_agents[count] = e->row->agent_id;
            met[count++] = 0;
        }
        e->round = met[i]++;
        if (e->round + 1 > rounds)
            rounds = e->round + 1;
    }
    qsort(ret_agents, count, sizeof *ret_agents, by_bytes);
    *ret_count = count;
    return rounds;
}

static void add_round(struct shot *s, unsigned round)
{
    struct fl_intake_entry *together[ROWS_MAX];
    struct fl_intake_row rows[ROWS_MAX];
    size_t count = 0;
    FL_LIST_FOREACH (link, &s->entries) {
        struct fl_intake_entry *e = entry_of(link);
        if (e->round != round)
            continue;
        e->at = 0;
        if (!fl_uuid_is_zero(&e->row->grant_id)) {
            e->q = fl_store_approval_intake(&s->tx, e->row, e->audit);
            continue;
        }
        e->at = count;
        together[count] = e;
        rows[count++] = (struct fl_intake_row){ e->row, e->audit };
    }
    if (!count)
        return;
    struct fl_query *q = fl_store_approval_intakes(&s->tx, rows, count);
    for (size_t i = 0; i < count; i++)
        together[i]->q = q;
}

/* Takes the entries, at most ROWS_MAX, all of one organization. */
static void shoot(struct fl_intakes *b, struct fl_list *entries, size_t count)
{
    struct fl_err err;
    struct fl_uuid agents[ROWS_MAX] = { 0 };
    size_t agent_count;
    struct fl_arena *arena = fl_arena_new(count * 4096 + 16384);
    struct shot *s = arena ? FL_ARENA_NEW(arena, struct shot) : NULL;
    enum fl_code code = s ? FL_OK : fl_err_code(&err, FL_NOMEM);
    if (s) {
        *s = (struct shot){ .op.done = on_done, .arena = arena, .intakes = b };
        s->organization = entry_of(entries->next)->row->organization;
        fl_list_init(&s->entries);
        fl_list_init(&s->link);
        fl_list_splice(&s->entries, entries);
        fl_tx_init(&s->tx, b->pg, arena, &s->organization);
        s->tx.is_alone = count > COMPANY_MAX;
        unsigned rounds = find_rounds(&s->entries, agents, &agent_count);
        fl_store_approval_intake_locks(&s->tx, agents, agent_count);
        for (unsigned i = 0; i < rounds; i++)
            add_round(s, i);
        code = fl_tx_submit(&s->op, &s->tx);
        if (code == FL_OK) {
            fl_list_push_back(&b->flying, &s->link);
            return;
        }
        err = s->op.err;
        fl_tx_fini(&s->tx);
        fl_list_splice(entries, &s->entries);
    }
    fl_arena_free(&arena);
    finish(entries, code, &err);
}

/* ---- what gathered ---- */
static size_t take(struct fl_intakes *b)
{
    const struct fl_approval_new *first = entry_of(b->waiting.next)->row;
    size_t count = 0, bytes = 0;
    FL_LIST_FOREACH_SAFE (link, &b->waiting) {
        const struct fl_approval_new *row = entry_of(link)->row;
        if (count == ROWS_MAX)
            break;
        if (fl_uuid_cmp(&row->organization, &first->organization) != 0)
            continue;
        bytes += row->arguments.n + row->preview.n + row->justification.n;
        if (count && bytes > BYTES_MAX)
            break;
        fl_list_remove(link);
        fl_list_push_back(&b->taken, link);
        count++;
    }
    return count;
}

static int flying_of(struct fl_intakes *b, const struct fl_uuid *organization)
{
    int count = 0;
    FL_LIST_FOREACH (link, &b->flying) {
        struct shot *s = FL_CONTAINER(link, struct shot, link);
        count += fl_uuid_cmp(&s->organization, organization) == 0;
    }
    return count;
}

static void on_turn(struct fl_post *post)
{
    struct fl_intakes *b = FL_CONTAINER(post, struct fl_intakes, turn);
    while (!fl_list_is_empty(&b->waiting)) {
        size_t count = take(b);
        int flying = flying_of(b, &entry_of(b->taken.next)->row->organization);
        if (flying == 0 || (flying < IN_FLIGHT && count > MORE_THAN))
            shoot(b, &b->taken, count);
        else
            fl_list_splice(&b->later, &b->taken);
    }
    fl_list_splice(&b->waiting, &b->later);
}

/* ---- the end of one ---- */
static void shoot_each(struct fl_intakes *b, struct fl_list *entries)
{
    while (!fl_list_is_empty(entries)) {
        struct fl_list one, *link = entries->next;
        fl_list_init(&one);
        fl_list_remove(link);
        fl_list_push_back(&one, link);
        shoot(b, &one, 1);
    }
}

/* Refused, or some agent's lock was not had: the others may be right. What ails the server (a full
 * disk, a start) ails each of them, and would only be asked for more. */
static bool is_of_a_row(enum fl_code code, const char *sqlstate)
{
    bool is_server = strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "25", 2) == 0 ||
                     strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "58", 2) == 0;
    return code && code != FL_AMBIGUOUS && sqlstate[0] && !is_server;
}

static void on_done(struct fl_op *op)
{
    struct shot *s = FL_CONTAINER(op, struct shot, op);
    struct fl_intakes *b = s->intakes;
    struct fl_arena *arena = s->arena;
    struct fl_list entries;
    enum fl_code code = op->code;
    struct fl_err err = op->err;
    fl_list_init(&entries);
    fl_list_splice(&entries, &s->entries);
    bool has_others = entries.next != entries.prev;
    bool is_one_bad = has_others && is_of_a_row(code, s->tx.sqlstate);
    if (code == FL_OK) {
        FL_LIST_FOREACH (link, &entries) {
            struct fl_intake_entry *e = entry_of(link);
            fl_store_approval_intake_read(e->q, e->at, e->arena, &e->result);
        }
    }
    fl_list_remove(&s->link);
    fl_tx_fini(&s->tx);
    fl_arena_free(&arena);
    if (!fl_list_is_empty(&b->waiting))
        fl_loop_at_turn_end(b->loop, &b->turn);
    if (is_one_bad)
        shoot_each(b, &entries);
    else
        finish(&entries, code, &err);
}

enum fl_code fl_intakes_new(struct fl_loop *loop, struct fl_pg *pg, struct fl_intakes **ret,
                            struct fl_err *err)
{
    struct fl_intakes *b = fl_calloc(1, sizeof *b);
    if (!b)
        return fl_err_code(err, FL_NOMEM);
    b->loop = loop;
    b->pg = pg;
    b->turn.run = on_turn;
    fl_list_init(&b->waiting);
    fl_list_init(&b->taken);
    fl_list_init(&b->later);
    fl_list_init(&b->flying);
    *ret = b;
    return FL_OK;
}

void fl_intakes_free(struct fl_intakes **intakes)
{
    struct fl_intakes *b = *intakes;
    if (!b)
        return;
    FL_ASSERT(fl_list_is_empty(&b->waiting) && fl_list_is_empty(&b->flying));
    fl_loop_post_cancel(b->loop, &b->turn);
    fl_free(b);
    *intakes = NULL;
}

enum fl_code fl_intakes_add(struct fl_op *op, struct fl_intakes *b, struct fl_intake_entry *entry)
{
    fl_op_start(op, NULL, b);
    entry->op = op;
    fl_list_push_back(&b->waiting, &entry->link);
    fl_loop_at_turn_end(b->loop, &b->turn);
    return FL_OK;
}
