/* Batches of intakes: for each organization one transaction in flight, and a second one when many
 * wait; what gathers meanwhile goes with the next. Organizations take turns: each has a queue of
 * its own, and only those that have something to send are looked at. */
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
#define GATHER_MS   8000      /* as long as a transaction waits for its connection (pg.c) */
#define BUCKETS     4096

struct shot {
    struct fl_op op;
    struct fl_tx tx;
    struct fl_arena *arena; /* holds this struct, too */
    struct fl_intakes *intakes;
    struct fl_intake_queue *queue;
    struct fl_list entries;
    struct fl_query *q_gate;
};

/* What an organization has waiting and under way. Made by the first, gone when both are none: by
 * on_turn alone, so that it can be held on to within a turn. */
struct fl_intake_queue {
    struct fl_intake_queue *next; /* in its bucket */
    struct fl_list in_due;
    struct fl_list waiting; /* fl_intake_entry */
    size_t count;           /* of them */
    int flying;             /* transactions */
    struct fl_uuid organization;
};

struct fl_intakes {
    struct fl_loop *loop;
    struct fl_pg *pg;
    struct fl_post turn;
    struct fl_intake_queue *buckets[BUCKETS];
    struct fl_list due;        /* queues of which something may be sent, or that may be over */
    struct fl_list gathered;   /* every entry that waits, the oldest first */
    struct fl_list taken_back; /* entries whose callers left while they waited */
    struct fl_timer overdue;
    size_t flying;
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

/* ---- queues ---- */
static struct fl_intake_queue **bucket_of(struct fl_intakes *b, const struct fl_uuid *organization)
{
    /* The tail of a version 7 id is random. */
    return &b->buckets[((size_t)organization->b[14] << 8 | organization->b[15]) % BUCKETS];
}

/* NULL on no memory. */
static struct fl_intake_queue *queue_of(struct fl_intakes *b, const struct fl_uuid *organization)
{
    struct fl_intake_queue **bucket = bucket_of(b, organization), *q = *bucket;
    while (q && fl_uuid_cmp(&q->organization, organization) != 0)
        q = q->next;
    if (q || !(q = fl_calloc(1, sizeof *q)))
        return q;
    q->organization = *organization;
    fl_list_init(&q->in_due);
    fl_list_init(&q->waiting);
    q->next = *bucket;
    *bucket = q;
    return q;
}

static void drop(struct fl_intakes *b, struct fl_intake_queue *q)
{
    struct fl_intake_queue **at = bucket_of(b, &q->organization);
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    fl_free(q);
}

static bool may_shoot(const struct fl_intake_queue *q)
{
    return q->count && (q->flying == 0 || (q->flying < IN_FLIGHT && q->count > MORE_THAN));
}

static bool is_over(const struct fl_intake_queue *q)
{
    return !q->count && !q->flying;
}

/* Looked at when this turn ends, behind those that are. */
static void look_at(struct fl_intakes *b, struct fl_intake_queue *q)
{
    if (!may_shoot(q) && !is_over(q))
        return;
    if (!fl_list_is_linked(&q->in_due))
        fl_list_push_back(&b->due, &q->in_due);
    fl_loop_at_turn_end(b->loop, &b->turn);
}

/* It waits no more. */
static void take_out(struct fl_intake_entry *e)
{
    fl_list_remove(&e->link);
    fl_list_remove(&e->in_gathered);
    e->queue->count--;
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
        if (!fl_uuid_is_zero(&e->row->grant_id) || !fl_uuid_is_zero(&e->row->canary_id)) {
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

/* Takes the entries, at most ROWS_MAX, all of the queue's organization. */
static void shoot(struct fl_intakes *b, struct fl_intake_queue *queue, struct fl_list *entries,
                  size_t count)
{
    struct fl_err err;
    struct fl_uuid agents[ROWS_MAX] = { 0 };
    size_t agent_count;
    struct fl_arena *arena = fl_arena_new(count * 4096 + 16384);
    struct shot *s = arena ? FL_ARENA_NEW(arena, struct shot) : NULL;
    enum fl_code code = s ? FL_OK : fl_err_code(&err, FL_NOMEM);
    if (s) {
        *s = (struct shot){ .op.done = on_done, .arena = arena, .intakes = b, .queue = queue };
        fl_list_init(&s->entries);
        fl_list_splice(&s->entries, entries);
        fl_tx_init(&s->tx, b->pg, arena, &queue->organization);
        s->tx.is_alone = count > COMPANY_MAX;
        unsigned rounds = find_rounds(&s->entries, agents, &agent_count);
        s->q_gate = fl_store_approval_intake_locks(&s->tx, agents, agent_count);
        for (unsigned i = 0; i < rounds; i++)
            add_round(s, i);
        code = fl_tx_submit(&s->op, &s->tx);
        if (code == FL_OK) {
            queue->flying++;
            b->flying++;
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
/* Those of it that go together, in the order in which they came. */
static size_t take(struct fl_intake_queue *q, struct fl_list *ret)
{
    size_t count = 0, bytes = 0;
    fl_list_init(ret);
    while (count < ROWS_MAX && !fl_list_is_empty(&q->waiting)) {
        struct fl_intake_entry *e = entry_of(q->waiting.next);
        bytes += e->row->arguments.n + e->row->preview.n + e->row->justification.n;
        if (count && bytes > BYTES_MAX)
            break;
        take_out(e);
        fl_list_push_back(ret, &e->link);
        count++;
    }
    return count;
}

/* As long as any waits it is armed, for the oldest or for one that was older. */
static void arm(struct fl_intakes *b)
{
    if (fl_list_is_empty(&b->gathered) || fl_timer_is_armed(&b->overdue))
        return;
    const struct fl_intake_entry *oldest =
        FL_CONTAINER(b->gathered.next, struct fl_intake_entry, in_gathered);
    int64_t left_ms = oldest->until_ms - fl_mono_ms();
    fl_loop_timer(b->loop, &b->overdue, left_ms > 0 ? left_ms : 0);
}

static void on_turn(struct fl_post *post)
{
    static const struct fl_err left = { FL_CANCELLED, "its caller left" };
    struct fl_intakes *b = FL_CONTAINER(post, struct fl_intakes, turn);
    struct fl_list together;
    finish(&b->taken_back, FL_CANCELLED, &left);
    while (!fl_list_is_empty(&b->due)) {
        struct fl_intake_queue *q = FL_CONTAINER(b->due.next, struct fl_intake_queue, in_due);
        fl_list_remove(&q->in_due);
        while (may_shoot(q)) {
            size_t count = take(q, &together);
            shoot(b, q, &together, count);
        }
        if (is_over(q) && !fl_list_is_linked(&q->in_due))
            drop(b, q);
    }
}

static void on_overdue(struct fl_timer *timer)
{
    struct fl_intakes *b = FL_CONTAINER(timer, struct fl_intakes, overdue);
    struct fl_list over;
    struct fl_err err;
    int64_t now_ms = fl_mono_ms();
    fl_list_init(&over);
    FL_LIST_FOREACH_SAFE (link, &b->gathered) {
        struct fl_intake_entry *e = FL_CONTAINER(link, struct fl_intake_entry, in_gathered);
        if (e->until_ms > now_ms)
            break;
        take_out(e);
        fl_list_push_back(&over, &e->link);
        look_at(b, e->queue);
    }
    arm(b);
    fl_err_set(&err, FL_UNAVAILABLE, "the database was too busy to record it in time");
    finish(&over, FL_UNAVAILABLE, &err);
}

static void take_back(struct fl_intakes *b, struct fl_intake_entry *e)
{
    fl_list_push_back(&b->taken_back, &e->link);
    fl_loop_at_turn_end(b->loop, &b->turn);
}

/* Its caller left: one that waits is not sent. */
static void cancel(struct fl_op *op)
{
    struct fl_intake_entry *e = op->provider;
    e->is_unwanted = true;
    if (!fl_list_is_linked(&e->in_gathered))
        return;
    take_out(e);
    look_at(e->intakes, e->queue);
    take_back(e->intakes, e);
}

/* ---- the end of one ---- */
static void shoot_each(struct fl_intakes *b, struct fl_intake_queue *queue, struct fl_list *entries)
{
    while (!fl_list_is_empty(entries)) {
        struct fl_list one, *link = entries->next;
        fl_list_init(&one);
        fl_list_remove(link);
        if (entry_of(link)->is_unwanted) {
            take_back(b, entry_of(link));
            continue;
        }
        fl_list_push_back(&one, link);
        shoot(b, queue, &one, 1);
    }
}

/* Refused, or some agent's lock was not had: the others may be right. What ails the server (a full
 * disk, a start) ails each of them, and would only be asked for more; so does the gate of their
 * organization, which each would wait for as long. */
static bool is_of_a_row(enum fl_code code, const struct shot *s)
{
    const char *sqlstate = s->tx.sqlstate;
    if (strcmp(sqlstate, "55P03") == 0 && !fl_rows(s->q_gate))
        return false;
    bool is_server = strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "25", 2) == 0 ||
                     strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "58", 2) == 0;
    return code && code != FL_AMBIGUOUS && sqlstate[0] && !is_server;
}

static void on_done(struct fl_op *op)
{
    struct shot *s = FL_CONTAINER(op, struct shot, op);
    struct fl_intakes *b = s->intakes;
    struct fl_intake_queue *queue = s->queue;
    struct fl_arena *arena = s->arena;
    struct fl_list entries;
    enum fl_code code = op->code;
    struct fl_err err = op->err;
    fl_list_init(&entries);
    fl_list_splice(&entries, &s->entries);
    bool has_others = entries.next != entries.prev;
    bool is_one_bad = has_others && is_of_a_row(code, s);
    if (code == FL_OK) {
        FL_LIST_FOREACH (link, &entries) {
            struct fl_intake_entry *e = entry_of(link);
            fl_store_approval_intake_read(e->q, e->at, e->arena, &e->result);
        }
    }
    fl_tx_fini(&s->tx);
    fl_arena_free(&arena);
    queue->flying--;
    b->flying--;
    if (is_one_bad)
        shoot_each(b, queue, &entries);
    look_at(b, queue);
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
    fl_list_init(&b->due);
    fl_list_init(&b->gathered);
    fl_list_init(&b->taken_back);
    fl_timer_init(&b->overdue, on_overdue);
    *ret = b;
    return FL_OK;
}

void fl_intakes_free(struct fl_intakes **intakes)
{
    struct fl_intakes *b = *intakes;
    if (!b)
        return;
    FL_ASSERT(fl_list_is_empty(&b->gathered) && fl_list_is_empty(&b->taken_back) && !b->flying);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (b->buckets[i])
            drop(b, b->buckets[i]);
    }
    fl_loop_post_cancel(b->loop, &b->turn);
    fl_loop_timer_cancel(b->loop, &b->overdue);
    fl_free(b);
    *intakes = NULL;
}

enum fl_code fl_intakes_add(struct fl_op *op, struct fl_intakes *b, struct fl_intake_entry *entry)
{
    struct fl_intake_queue *q = queue_of(b, &entry->row->organization);
    if (!q)
        return fl_err_code(&op->err, FL_NOMEM);
    entry->op = op;
    entry->intakes = b;
    entry->queue = q;
    entry->until_ms = fl_mono_ms() + GATHER_MS;
    entry->is_unwanted = false;
    fl_op_start(op, cancel, entry);
    fl_list_push_back(&q->waiting, &entry->link);
    fl_list_push_back(&b->gathered, &entry->in_gathered);
    q->count++;
    look_at(b, q);
    arm(b);
    return FL_OK;
}
