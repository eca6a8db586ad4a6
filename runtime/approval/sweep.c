/* The sweep: a flow that runs round after round. */
#include "runtime/approval/sweep.h"

#include <stdio.h>
#include <unistd.h>

#include "flopinio/base/flow.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/canary.h"
#include "runtime/approval/delegation.h"
#include "runtime/approval/freeze.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/lifter.h"
#include "runtime/approval/org.h"
#include "runtime/approval/reaper.h"
#include "runtime/approval/registry.h"
#include "runtime/approval/run.h"
#include "runtime/approval/runner.h"
#include "runtime/audit/partitions.h"
#include "runtime/store/approval.h"
#include "runtime/store/delegation.h"
#include "runtime/store/install.h"
#include "runtime/store/organization.h"
#include "runtime/store/person.h"
#include "runtime/store/sql.h"

#define LEASE        "sweep"
#define MOVES        "freeze" /* the lease of whoever moves deadlines; locked before the other */
#define LEASE_MS     5000
#define DUE_MAX      2000
#define READY_MAX    1000
#define LOOK_MAX     5000
#define DISPATCH_MAX 5000
#define SESSION_MS   1800000 /* legacy sessions that nobody used for so long are dropped */
#define OVERLAP_US   10000000
/* Counting reads an index entry for each approval that waits: it has a connection of its own, and
 * rests so many times as long as it took. */
#define COUNT_ROUNDS 5
#define COUNT_RESTS  100
#define BEAT_LOOK_MS 1000
#define BEAT_MAX_MS  8000    /* one that is ten seconds late is a dead worker's */
#define MONTHS_MS    3600000 /* between looks for the audit's partitions */
#define MONTHS_SOON  60000   /* when one could not be made */

struct due_batch {
    struct fl_uuid organization;
    enum fl_due what;
    struct fl_list link;
    size_t count, cap, missed; /* canaries among them */
    struct fl_uuid *ids;
};

struct counting {
    struct fl_op op;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q;
    int64_t began_ms, next_ms, counted_ms;
    bool is_busy;
};

struct beating {
    struct fl_op op;
    struct fl_timer timer;
    struct fl_arena *arena;
    struct fl_tx tx;
    int64_t asked_ms;
    int64_t round_ms; /* when the running round asked for one; 0: it has none */
    int64_t told_ms;  /* of the last one that was written */
    bool is_busy;
};

struct partitioning {
    struct fl_op op;
    struct fl_audit_partitions partitions;
    int64_t next_ms;
    bool is_busy;
};

struct fl_sweep {
    struct fl_flow flow;
    struct fl_core *core;
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q_clock, *q_look, *q_orgs, *q_lease, *q_dispatched;
    struct fl_query *q_due, *q_turns, *q_orphans, *q_delegations, *q_canaries, *q_moved;
    struct fl_query *q_moving, *q_moves;
    struct beating beating;
    struct counting counting;
    struct partitioning partitioning;
    struct fl_freezer freezer;
    struct fl_list batches; /* due_batch */
    struct fl_reaper reaper;
    struct fl_lifter lifter;
    struct fl_delegation_turns delegations;
    uint64_t round;
    int64_t orgs_since_us, asked_at_ms, offset_ms;
    bool has_lease, moves, is_stopping, is_running;
    bool is_for_absences; /* whose turn it was beside the rounds */
    struct {
        char state[16];
        int64_t count;
    } counts[8];
};

FL_STEP_DECLARE(ask);
FL_STEP_DECLARE(told);
FL_STEP_DECLARE(next_batch);
FL_STEP_DECLARE(batch_opened);
FL_STEP_DECLARE(batch_moved);
FL_STEP_DECLARE(batch_done);
FL_STEP_DECLARE(end_round);

static struct fl_sweep *sweep_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct fl_sweep, flow);
}

static void begin(struct fl_sweep *s, const struct fl_uuid *organization)
{
    fl_tx_fini(&s->tx);
    fl_tx_init(&s->tx, s->core->pg, s->arena, organization);
}

static void drop_batch(struct due_batch *b)
{
    fl_list_remove(&b->link);
    fl_free(b->ids);
    fl_free(b);
}

/* ---------------------------------------------------------------- that this worker lives */
static void beat(struct fl_sweep *s, struct fl_tx *tx)
{
    char node[256] = "";
    gethostname(node, sizeof node - 1);
    fl_store_worker_beat(tx, &s->core->worker, node, (int)getpid(), FL_VERSION);
}

static void beat_over(struct beating *b)
{
    fl_tx_abandon(&b->tx);
    fl_tx_fini(&b->tx);
    fl_arena_free(&b->arena);
    b->is_busy = false;
}

static void on_beaten(struct fl_op *op)
{
    struct beating *b = FL_CONTAINER(op, struct beating, op);
    if (op->code == FL_OK)
        b->told_ms = b->asked_ms;
    beat_over(b);
}

static void on_beat_opened(struct fl_op *op)
{
    struct beating *b = FL_CONTAINER(op, struct beating, op);
    struct fl_sweep *s = FL_CONTAINER(b, struct fl_sweep, beating);
    if (op->code == FL_OK && !s->is_stopping) {
        b->asked_ms = fl_mono_ms();
        beat(s, &b->tx);
        b->op = (struct fl_op){ .done = on_beaten };
        if (fl_tx_commit(&b->op, &b->tx) == FL_OK)
            return;
    }
    beat_over(b);
}

/* By a round, usually. One that is kept up, or rolled back, is no reason to take the calls that are
 * held here for a dead worker's. */
static void on_beat_time(struct fl_timer *timer)
{
    struct beating *b = FL_CONTAINER(timer, struct beating, timer);
    struct fl_sweep *s = FL_CONTAINER(b, struct fl_sweep, beating);
    int64_t late_ms = s->core->times.sweep_ms * 2 + 1500;
    fl_loop_timer(s->core->loop, timer, BEAT_LOOK_MS);
    if (b->is_busy || fl_mono_ms() - b->told_ms < (late_ms < BEAT_MAX_MS ? late_ms : BEAT_MAX_MS) ||
        !(b->arena = fl_arena_new(1024)))
        return;
    b->is_busy = true;
    fl_tx_init(&b->tx, s->core->pg, b->arena, NULL);
    b->op = (struct fl_op){ .done = on_beat_opened };
    if (fl_tx_open(&b->op, &b->tx) != FL_OK)
        beat_over(b);
}

/* ---------------------------------------------------------------- how many wait */
static void count_over(struct counting *c)
{
    struct fl_sweep *s = FL_CONTAINER(c, struct fl_sweep, counting);
    int64_t now = fl_mono_ms(), rest = (now - c->began_ms) * COUNT_RESTS;
    int64_t least = COUNT_ROUNDS * s->core->times.sweep_ms;
    fl_tx_abandon(&c->tx);
    fl_tx_fini(&c->tx);
    fl_arena_free(&c->arena);
    c->next_ms = now + (rest > least ? rest : least);
    c->is_busy = false;
}

static void on_counted(struct fl_op *op)
{
    struct counting *c = FL_CONTAINER(op, struct counting, op);
    struct fl_sweep *s = FL_CONTAINER(c, struct fl_sweep, counting);
    for (int i = 0; op->code == FL_OK && i < (int)FL_COUNTOF(s->counts); i++) {
        s->counts[i].state[0] = 0;
        if (i >= fl_rows(c->q))
            continue;
        snprintf(s->counts[i].state, sizeof s->counts[i].state, "%.*s",
                 FL_STR_ARG(fl_cell(c->q, i, 0)));
        s->counts[i].count = fl_cell_int(c->q, i, 1);
        c->counted_ms = fl_mono_ms();
    }
    count_over(c);
}

static void on_count_opened(struct fl_op *op)
{
    struct counting *c = FL_CONTAINER(op, struct counting, op);
    if (op->code == FL_OK) {
        c->q = fl_store_sweep_counts(&c->tx);
        c->op = (struct fl_op){ .done = on_counted };
        if (fl_tx_commit(&c->op, &c->tx) == FL_OK)
            return;
    }
    count_over(c);
}

static void count(struct fl_sweep *s)
{
    struct counting *c = &s->counting;
    if (c->is_busy || fl_mono_ms() < c->next_ms || !(c->arena = fl_arena_new(1024)))
        return;
    c->began_ms = fl_mono_ms();
    c->is_busy = true;
    fl_tx_init(&c->tx, s->core->pg, c->arena, NULL);
    c->op = (struct fl_op){ .done = on_count_opened };
    if (fl_tx_open(&c->op, &c->tx) != FL_OK)
        count_over(c);
}

/* ---------------------------------------------------------------- the audit's months */
static void on_partitioned(struct fl_op *op)
{
    struct partitioning *p = FL_CONTAINER(op, struct partitioning, op);
    p->next_ms = fl_mono_ms() + (op->code ? MONTHS_SOON : MONTHS_MS);
    p->is_busy = false;
}

/* Beside the rounds: what a month waits for, or is refused, takes nothing of them with it. */
static void make_partitions(struct fl_sweep *s)
{
    struct partitioning *p = &s->partitioning;
    if (p->is_busy || fl_mono_ms() < p->next_ms)
        return;
    p->op = (struct fl_op){ .done = on_partitioned };
    p->is_busy =
        fl_audit_partitions_start(&p->op, &p->partitions, s->core->loop, s->core->pg) == FL_OK;
}

/* ---------------------------------------------------------------- asking */
FL_STEP(ask)
{
    struct fl_sweep *s = sweep_of(f);
    struct fl_array organizations, approvals;
    if (s->is_stopping)
        return fl_end(f);
    fl_tx_fini(&s->tx);
    fl_arena_free(&s->arena);
    s->arena = fl_arena_new(16384);
    if (!s->arena)
        return &S_end_round;
    begin(s, NULL);
    struct fl_tx *tx = &s->tx;
    tx->is_alone = true; /* it locks the lease: no other worker's round waits for calls of ours */
    s->asked_at_ms = fl_real_ms();
    s->q_clock = fl_store_clock(tx);
    s->beating.round_ms = s->round % 2 == 0 ? fl_mono_ms() : 0;
    if (s->beating.round_ms)
        beat(s, tx);
    fl_array_init(&organizations, FL_ARRAY_UUID);
    fl_array_init(&approvals, FL_ARRAY_UUID);
    fl_hub_waiting(s->core->hub, &organizations, &approvals, LOOK_MAX);
    s->q_look = fl_store_sweep_look(tx, &organizations, &approvals);
    s->q_orgs = fl_store_organizations_changed(tx, s->orgs_since_us);
    s->q_moves = fl_store_lease(tx, MOVES, &s->core->worker, LEASE_MS, true);
    s->q_lease = fl_store_lease(tx, LEASE, &s->core->worker, LEASE_MS, true);
    s->q_dispatched = fl_store_sweep_dispatched(tx, DISPATCH_MAX);
    /* Asked by every worker, acted on by the one that has the lease now. */
    s->q_due = fl_store_sweep_due(tx, DUE_MAX);
    s->q_turns = fl_store_sweep_turns(tx, READY_MAX);
    s->q_orphans = s->round % 3 == 0 ? fl_store_sweep_orphans(tx, DUE_MAX) : NULL;
    s->q_moving = fl_store_stops_moving(tx);
    s->q_delegations = fl_store_sweep_delegations(tx);
    s->q_canaries = s->round % 3 == 1 ? fl_store_sweep_canaries(tx) : NULL;
    if (s->round % 60 == 0)
        fl_store_sessions_old(tx, SESSION_MS);
    if (s->round % 10 == 0)
        fl_store_installs_old(tx);
    s->round++;
    return fl_await(f, &S_told, fl_tx_submit(&f->op, tx));
}

static void add_due(struct fl_sweep *s, const struct fl_uuid *organization, enum fl_due what,
                    const struct fl_uuid *id)
{
    struct due_batch *b = NULL;
    FL_LIST_FOREACH (link, &s->batches) {
        struct due_batch *at = FL_CONTAINER(link, struct due_batch, link);
        if (at->what == what && fl_uuid_cmp(&at->organization, organization) == 0)
            b = at;
    }
    if (!b) {
        b = fl_calloc(1, sizeof *b);
        if (!b)
            return; /* the next round finds it again */
        b->organization = *organization;
        b->what = what;
        fl_list_push_back(&s->batches, &b->link);
    }
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 16;
        struct fl_uuid *more = fl_reallocarray(b->ids, cap, sizeof *more);
        if (!more)
            return;
        b->ids = more;
        b->cap = cap;
    }
    b->ids[b->count++] = *id;
}

static void note_changes(struct fl_sweep *s)
{
    for (int i = 0; i < fl_rows(s->q_look); i++) {
        struct fl_uuid id = fl_cell_uuid(s->q_look, i, 0);
        fl_hub_seen(s->core->hub, &id, fl_cell_int(s->q_look, i, 1));
    }
    for (int i = 0; i < fl_rows(s->q_orgs); i++) {
        struct fl_uuid id = fl_cell_uuid(s->q_orgs, i, 0);
        int64_t at = fl_cell_int(s->q_orgs, i, 2);
        fl_orgs_changed(s->core->orgs, &id, (uint64_t)fl_cell_int(s->q_orgs, i, 1));
        /* A change commits later than its time says: look back a while. */
        if (at - OVERLAP_US > s->orgs_since_us)
            s->orgs_since_us = at - OVERLAP_US;
    }
}

static enum fl_due due_of(struct fl_str what)
{
    return fl_str_is(what, "expire")    ? FL_DUE_EXPIRE
           : fl_str_is(what, "release") ? FL_DUE_RELEASE
                                        : FL_DUE_CANCEL;
}

/* With a lease of its own: an older program beside this one may have the sweep's, and moves nothing
 * of what this one stops. */
static void move_deadlines(struct fl_sweep *s)
{
    for (int i = 0; s->moves && i < fl_rows(s->q_moving); i++) {
        struct fl_uuid org = fl_cell_uuid(s->q_moving, i, 0);
        fl_freezer_add(&s->freezer, &org);
    }
}

/* One of the two at a time, in turn: both may wait for the organization, on one of the connections
 * that all share. */
static void kick_beside(struct fl_sweep *s)
{
    s->lifter.freezer = s->moves ? &s->freezer : NULL;
    if (s->lifter.is_busy || s->delegations.is_busy)
        return;
    s->is_for_absences = !s->is_for_absences && fl_rows(s->q_delegations) > 0;
    if (s->is_for_absences)
        fl_delegation_turns_kick(&s->delegations, s->q_delegations);
    else
        fl_lifter_kick(&s->lifter);
}

FL_STEP(told)
{
    struct fl_sweep *s = sweep_of(f);
    if (f->op.code)
        return &S_end_round; /* the log has it; the next round asks again */
    s->offset_ms = fl_cell_int(s->q_clock, 0, 0) - s->asked_at_ms;
    if (s->beating.round_ms)
        s->beating.told_ms = s->beating.round_ms;
    bool had_lease = s->has_lease;
    s->has_lease = fl_rows(s->q_lease) == 1;
    s->moves = fl_rows(s->q_moves) == 1;
    if (s->has_lease && !had_lease && !s->core->is_draining)
        fl_registry_ask_all(s->core->registry);
    note_changes(s);
    /* Every worker watches what is dispatched, so that whoever gets the lease has watched it. */
    fl_reaper_look(&s->reaper, s->q_dispatched);
    if (!s->core->is_draining) {
        count(s);
        make_partitions(s);
        move_deadlines(s);
    }
    if (!s->has_lease || s->core->is_draining)
        return &S_end_round;
    for (int i = 0; i < fl_rows(s->q_due); i++) {
        struct fl_uuid org = fl_cell_uuid(s->q_due, i, 0), id = fl_cell_uuid(s->q_due, i, 1);
        add_due(s, &org, due_of(fl_cell(s->q_due, i, 2)), &id);
    }
    for (int i = 0; s->q_orphans && i < fl_rows(s->q_orphans); i++) {
        struct fl_uuid org = fl_cell_uuid(s->q_orphans, i, 0);
        struct fl_uuid id = fl_cell_uuid(s->q_orphans, i, 1);
        add_due(s, &org, FL_DUE_ORPHAN, &id);
    }
    for (size_t i = 0; i < s->reaper.count; i++) {
        if (fl_reaper_is_over(&s->reaper, i) && !fl_run_is_sent(s->core, &s->reaper.seen[i].id))
            add_due(s, &s->reaper.seen[i].organization, FL_DUE_UNKNOWN, &s->reaper.seen[i].id);
    }
    for (int i = 0; i < fl_rows(s->q_turns); i++) {
        struct fl_uuid org = fl_cell_uuid(s->q_turns, i, 0);
        struct fl_uuid server = fl_cell_uuid(s->q_turns, i, 1);
        struct fl_uuid id = fl_cell_uuid(s->q_turns, i, 2);
        fl_runner_kick(s->core, &org, &server, &id);
    }
    for (int i = 0; s->q_canaries && i < fl_rows(s->q_canaries); i++) {
        struct fl_uuid org = fl_cell_uuid(s->q_canaries, i, 0);
        struct fl_uuid id = fl_cell_uuid(s->q_canaries, i, 1);
        fl_canary_kick(s->core, &org, &id);
    }
    kick_beside(s);
    return &S_next_batch;
}

/* ---------------------------------------------------------------- what time has decided */
FL_STEP(next_batch)
{
    struct fl_sweep *s = sweep_of(f);
    if (s->is_stopping || fl_list_is_empty(&s->batches))
        return &S_end_round;
    struct due_batch *b = FL_CONTAINER(s->batches.next, struct due_batch, link);
    /* The results of the round are not needed any more. */
    begin(s, &b->organization);
    return fl_await(f, &S_batch_opened, fl_tx_open(&f->op, &s->tx));
}

FL_STEP(batch_opened)
{
    struct fl_sweep *s = sweep_of(f);
    struct due_batch *b = FL_CONTAINER(s->batches.next, struct due_batch, link);
    struct fl_array ids;
    if (f->op.code)
        return &S_end_round;
    fl_array_init(&ids, FL_ARRAY_UUID);
    for (size_t i = 0; i < b->count; i++)
        fl_array_put(&ids, b->ids[i].b, sizeof b->ids[i].b);
    s->q_moved = fl_store_approval_due(&s->tx, b->what, &ids, s->core->times.leave_ms);
    return fl_await(f, &S_batch_moved, fl_tx_round(&f->op, &s->tx));
}

/* Nobody decided it in its time. */
static bool is_missed(const struct due_batch *b, bool is_canary)
{
    return is_canary && (b->what == FL_DUE_EXPIRE || b->what == FL_DUE_CANCEL);
}

static void append_audit(struct fl_sweep *s, const struct due_batch *b, const struct fl_uuid *id,
                         struct fl_str from, bool is_canary)
{
    static const enum fl_audit_kind kinds[] = { [FL_DUE_EXPIRE] = FL_AUDIT_APPROVAL_EXPIRED,
                                                [FL_DUE_RELEASE] = FL_AUDIT_APPROVAL_RELEASED,
                                                [FL_DUE_CANCEL] = FL_AUDIT_APPROVAL_CANCELLED,
                                                [FL_DUE_UNKNOWN] = FL_AUDIT_APPROVAL_UNKNOWN,
                                                [FL_DUE_ORPHAN] = FL_AUDIT_APPROVAL_LEFT };
    struct fl_audit_event e;
    fl_audit_init(&e, &b->organization, kinds[b->what], FL_ACTOR_SYSTEM, &s->core->worker,
                  "approval", id);
    fl_audit_text(&e, "from", from);
    fl_audit_append(&e, &s->tx);
    if (!is_missed(b, is_canary))
        return;
    fl_audit_init(&e, &b->organization, FL_AUDIT_CANARY_MISSED, FL_ACTOR_SYSTEM, &s->core->worker,
                  "approval", id);
    fl_audit_append(&e, &s->tx);
}

FL_STEP(batch_moved)
{
    struct fl_sweep *s = sweep_of(f);
    struct due_batch *b = FL_CONTAINER(s->batches.next, struct due_batch, link);
    if (f->op.code) {
        drop_batch(b);
        return &S_next_batch;
    }
    /* Only what was moved by this transaction is told, and noted in it. Reading the result first:
     * adding a statement begins the next round. */
    int count = fl_rows(s->q_moved);
    b->count = 0;
    struct fl_str *from = fl_arena_array(s->arena, (size_t)count + 1, sizeof *from);
    bool *is_canary = fl_arena_array(s->arena, (size_t)count + 1, sizeof *is_canary);
    for (int i = 0; from && is_canary && i < count; i++) {
        from[i] = fl_arena_str(s->arena, fl_cell(s->q_moved, i, 1));
        is_canary[i] = fl_cell_bool(s->q_moved, i, 2);
        b->ids[b->count++] = fl_cell_uuid(s->q_moved, i, 0);
    }
    if (!from || !is_canary || b->count == 0) {
        fl_tx_abandon(&s->tx);
        drop_batch(b);
        return &S_next_batch;
    }
    for (size_t i = 0; i < b->count; i++) {
        append_audit(s, b, &b->ids[i], from[i], is_canary[i]);
        b->missed += is_missed(b, is_canary[i]);
    }
    return fl_await(f, &S_batch_done, fl_tx_commit(&f->op, &s->tx));
}

FL_STEP(batch_done)
{
    struct fl_sweep *s = sweep_of(f);
    struct due_batch *b = FL_CONTAINER(s->batches.next, struct due_batch, link);
    s->core->stats.canaries_missed += f->op.code == FL_OK ? b->missed : 0;
    for (size_t i = 0; f->op.code == FL_OK && i < b->count; i++) {
        if (b->what == FL_DUE_UNKNOWN) {
            s->core->stats.unknown++;
            FL_LOG(ERROR, "outcome_unknown", FL_KU("org", &b->organization),
                   FL_KU("call", &b->ids[i]));
        }
        fl_hub_changed(s->core->hub, &b->organization, &b->ids[i]);
    }
    drop_batch(b);
    return &S_next_batch;
}

/* ---------------------------------------------------------------- round after round */
FL_STEP(end_round)
{
    struct fl_sweep *s = sweep_of(f);
    while (!fl_list_is_empty(&s->batches))
        drop_batch(FL_CONTAINER(s->batches.next, struct due_batch, link));
    fl_tx_abandon(&s->tx);
    if (s->is_stopping)
        return fl_end(f);
    return fl_await(f, &S_ask,
                    fl_sleep_start(&f->op, &s->sleep, s->core->loop, s->core->times.sweep_ms));
}

static void on_ended(struct fl_flow *f)
{
    sweep_of(f)->is_running = false;
}

enum fl_code fl_sweep_new(struct fl_core *core, struct fl_sweep **ret, struct fl_err *err)
{
    struct fl_sweep *s = fl_calloc(1, sizeof *s);
    if (!s)
        return fl_err_code(err, FL_NOMEM);
    s->core = s->freezer.core = s->lifter.core = s->delegations.core = core;
    fl_timer_init(&s->beating.timer, on_beat_time);
    fl_list_init(&s->batches);
    *ret = s;
    return FL_OK;
}

void fl_sweep_start(struct fl_sweep *s, int64_t since_ms)
{
    FL_ASSERT(!s->is_running);
    s->orgs_since_us = since_ms * 1000 - OVERLAP_US;
    s->partitioning.next_ms = fl_mono_ms() + MONTHS_MS; /* whoever starts it has just looked */
    s->is_running = true;
    s->beating.told_ms = fl_mono_ms();
    fl_loop_timer(s->core->loop, &s->beating.timer, BEAT_LOOK_MS);
    fl_flow_init(&s->flow, &S_end_round, on_ended);
    fl_flow_run(&s->flow, &S_ask);
}

void fl_sweep_nudge(struct fl_sweep *s)
{
    fl_op_cancel(&s->flow.op); /* only the sleep lets itself be cancelled */
}

void fl_sweep_stop(struct fl_sweep *s)
{
    s->is_stopping = s->freezer.is_stopping = true;
    s->lifter.is_stopping = s->delegations.is_stopping = true;
    fl_loop_timer_cancel(s->core->loop, &s->beating.timer);
    fl_op_cancel(&s->flow.op);
}

void fl_sweep_free(struct fl_sweep **sweep)
{
    struct fl_sweep *s = *sweep;
    if (!s)
        return;
    FL_ASSERT(!s->is_running && !s->counting.is_busy && !s->partitioning.is_busy);
    FL_ASSERT(!s->freezer.is_busy && !s->beating.is_busy);
    FL_ASSERT(!s->lifter.is_busy && !s->delegations.is_busy);
    if (s->arena)
        fl_tx_fini(&s->tx);
    fl_arena_free(&s->arena);
    fl_reaper_fini(&s->reaper);
    fl_free(s);
    *sweep = NULL;
}

int64_t fl_sweep_count(const struct fl_sweep *s, const char *state)
{
    for (size_t i = 0; i < FL_COUNTOF(s->counts); i++) {
        if (strcmp(s->counts[i].state, state) == 0)
            return s->counts[i].count;
    }
    return 0;
}

int64_t fl_sweep_counted_ms(const struct fl_sweep *s)
{
    return s->counting.counted_ms;
}

bool fl_sweep_has_lease(const struct fl_sweep *s)
{
    return s->has_lease;
}

int64_t fl_sweep_clock_offset(const struct fl_sweep *s)
{
    return s->offset_ms;
}
