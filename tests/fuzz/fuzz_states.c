/* The life of approvals as a sequence of events: two bytes each, out of any order and from any
 * worker. The table of states, the ballot, the quorum and the reaper are the real ones; the rows
 * are memory here, changed only as runtime/store/approval_move.c's statements say. After each event
 * the invariants of a held call hold (I1, I2, ...: effects, decisions, fences, nothing stuck; the
 * audit is of the real store, and shown by the tests of crashes). With FL_STATES_MUTANT in the
 * environment a mutant that must be found: watch    the reaper believes the database's clock alone
 *   recheck  the votes' authority is not asked again at dispatch
 *   fence    a worker whose claim was given to another one dispatches all the same */
#include <libpq-fe.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"
#include "fuzz.h"
#include "runtime/approval/ballot.h"
#include "runtime/approval/reaper.h"
#include "runtime/store/states.h"

enum { ROWS = 3, PEOPLE = 5, WORKERS = 3, OWNER = 0 };
enum { LEASE = 2000, DISPATCH = 5000, EXECUTE = 20000, GRACE = 1000, EXPIRES = 60000 };

struct row {
    bool is_there;
    enum fl_approval_state state;
    struct fl_buf ask; /* frozen */
    int vote[PEOPLE];  /* 1 approve, -1 reject, 0 none */
    bool vote_2fa[PEOPLE];
    int64_t fence, expires_at, lease_until, unknown_after;
    int claim_owner;
    /* What really happened. */
    int effects, decisions;
    bool was_approved, was_permitted, is_settled_by_person;
};

struct worker {
    enum { IDLE, CLAIMED, MARKED, SENT } phase;
    size_t row;
    int64_t fence, marked_boot; /* its own clock at the marker */
    struct fl_reaper reaper;
};

static struct {
    struct row rows[ROWS];
    struct worker workers[WORKERS];
    struct {
        bool is_active, has_role;
        unsigned groups; /* bits: ops, finance */
    } people[PEOPLE];
    int64_t db_ms, boot_ms;
    bool ignores_watch, ignores_recheck, ignores_fence;
} world;

/* ---- results as the database would give them ---- */
static PGresult *table(int columns)
{
    PGresAttDesc names[10] = { { .name = (char *)"c" } };
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < columns; i++)
        names[i].name = (char *)"c";
    FL_ASSERT(result && PQsetResultAttrs(result, columns, names));
    return result;
}

static void cell(PGresult *result, int row, int column, const char *text)
{
    FL_ASSERT(PQsetvalue(result, row, column, (char *)text, (int)strlen(text)));
}

static void cell_int(PGresult *result, int row, int column, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    cell(result, row, column, text);
}

static struct fl_uuid id_of(unsigned kind, size_t n)
{
    struct fl_uuid id = { .b = { [0] = (uint8_t)kind, [15] = (uint8_t)(n + 1) } };
    return id;
}

static void cell_id(PGresult *result, int row, int column, unsigned kind, size_t n)
{
    char text[FL_UUID_TEXT];
    struct fl_uuid id = id_of(kind, n);
    cell(result, row, column, fl_uuid_format(&id, text));
}

static PGresult *people(void)
{
    static const char *const groups[] = { "", "ops", "finance", "ops,finance" };
    PGresult *result = table(9);
    for (int i = 0; i < PEOPLE; i++) {
        cell_id(result, i, 0, 1, (size_t)i);
        cell(result, i, 1, "somebody");
        cell(result, i, 2, world.people[i].has_role ? "approver" : "auditor");
        cell(result, i, 3, world.people[i].is_active ? "t" : "f");
        cell(result, i, 4, groups[world.people[i].groups & 3]);
    }
    return result;
}

static PGresult *votes(const struct row *r)
{
    PGresult *result = table(9);
    for (int i = 0, at = 0; i < PEOPLE; i++) {
        if (!r->vote[i])
            continue;
        cell_id(result, at, 0, 1, (size_t)i);
        cell(result, at, 1, r->vote[i] > 0 ? "approve" : "reject");
        cell(result, at, 2, r->vote_2fa[i] ? "t" : "f");
        for (int k = 3; k < 7; k++)
            cell(result, at, k, "0");
        cell(result, at++, 7, i == OWNER ? "t" : "f");
    }
    return result;
}

/* ---- counting ---- */
static unsigned group_bit(struct fl_str name)
{
    return fl_str_is(name, "ops") ? 1 : 2;
}

/* One threshold, by hand. The asks here have match any or all, and no `where`. */
static bool fits(const struct fl_ask *ask, const struct fl_threshold *t, int who)
{
    unsigned wanted = 0;
    for (size_t i = 0; i < t->group_count; i++)
        wanted |= group_bit(t->groups[i]);
    unsigned has = world.people[who].groups & wanted;
    return world.people[who].is_active && world.people[who].has_role &&
           (who != OWNER || ask->owner_may_approve) &&
           (!wanted || (t->match == FL_MATCH_ALL ? has == wanted : has != 0));
}

/* The rule of quorum.h, written a second time: is it approved by those who count now? */
static bool is_approved(const struct fl_ask *ask, const struct row *r)
{
    unsigned met = 0;
    for (size_t i = 0; i < ask->threshold_count; i++) {
        unsigned approvals = 0;
        for (int who = 0; who < PEOPLE; who++)
            approvals += r->vote[who] > 0 && fits(ask, &ask->thresholds[i], who) &&
                         (!ask->needs_second_factor || r->vote_2fa[who]);
        met += approvals >= ask->thresholds[i].approve;
    }
    return ask->is_any ? met > 0 : met == ask->threshold_count;
}

struct count {
    struct fl_arena *arena;
    struct fl_query q_people, q_votes;
    struct fl_ballot ballot;
    struct fl_ask *ask;
    struct fl_quorum_facts facts;
    struct fl_quorum quorum;
};

/* As decide.c and run.c do it: the frozen ask and the rows of one transaction. */
static void count_begin(struct count *c, const struct row *r)
{
    struct fl_err err;
    struct fl_approval row = { .owner_id = id_of(1, OWNER), .agent_owner_id = id_of(1, OWNER) };
    memset(c, 0, sizeof *c);
    c->arena = fl_arena_new(0);
    c->q_people.result = people();
    c->q_votes.result = votes(r);
    FL_ASSERT(fl_ballot_read(&c->ballot, c->arena, &c->q_people, &c->q_votes, &row, &err) == FL_OK);
    FL_ASSERT(fl_policy_ask_load(fl_buf_view(&r->ask), &c->ask, &err) == FL_OK);
}

static enum fl_quorum_state count_now(struct count *c)
{
    struct fl_err err;
    fl_ballot_facts(&c->ballot, c->ask, &c->facts);
    FL_ASSERT(fl_quorum_count(&c->facts, &c->quorum, &err) == FL_OK);
    return c->quorum.state;
}

static void count_end(struct count *c)
{
    fl_policy_ask_free(&c->ask);
    PQclear(c->q_people.result);
    PQclear(c->q_votes.result);
    fl_arena_free(&c->arena);
}

/* ---- changes ---- */
static void move(struct row *r, enum fl_approval_state to)
{
    FL_ASSERT(fl_state_may_move(r->state, to));
    FL_ASSERT(!fl_state_is_final(r->state));
    r->state = to;
}

static void intake(struct row *r, uint8_t how)
{
    static const struct fl_str groups[] = { FL_STR("ops"), FL_STR("finance") };
    static const struct fl_str inbox[] = { FL_STR("inbox") };
    struct fl_err err;
    const struct fl_threshold thresholds[] = {
        { .approve = 1 + (how & 1),
          .deny = 1 + (how >> 1 & 1),
          .match = how & 4 ? FL_MATCH_ALL : FL_MATCH_ANY,
          .group_count = how >> 3 & 1 ? 2 : 1,
          .groups = groups },
        { .approve = 1, .deny = 1, .match = FL_MATCH_ANY },
    };
    const struct fl_ask ask = { .threshold_count = 1 + (how >> 4 & 1),
                                .thresholds = thresholds,
                                .is_any = how & 32,
                                .notify = inbox,
                                .notify_count = 1,
                                .expires_ms = FL_ASK_EXPIRES_MIN_MS,
                                .needs_second_factor = how & 64,
                                .owner_may_approve = how >> 3 & how >> 6 & 1 };
    if (r->is_there)
        return;
    *r = (struct row){ .is_there = true, .state = FL_APPROVAL_PENDING };
    r->expires_at = world.db_ms + EXPIRES;
    FL_ASSERT(fl_policy_ask_dump(&ask, &r->ask, &err) == FL_OK);
    if (how & 128) { /* a standing rule or a grant: nobody is asked */
        r->state = FL_APPROVAL_APPROVED;
        r->was_permitted = true;
    }
}

static void vote(struct row *r, int who, bool approves, bool has_second_factor)
{
    struct count c;
    struct fl_err err;
    struct fl_uuid person = id_of(1, (size_t)who);
    if (!r->is_there || r->state != FL_APPROVAL_PENDING || r->expires_at <= world.db_ms)
        return;
    count_begin(&c, r);
    const struct fl_quorum_person *p = fl_ballot_person(&c.ballot, &person);
    struct fl_quorum_vote v = { person, approves, has_second_factor };
    fl_ballot_facts(&c.ballot, c.ask, &c.facts);
    if (p->is_active && fl_role_may(p->role, FL_ACTION_DECIDE) &&
        fl_quorum_may_vote(&c.facts, p, &v, &err) == FL_OK) {
        FL_ASSERT(!approves || who != OWNER || c.ask->owner_may_approve); /* I8 */
        fl_ballot_vote(&c.ballot, &person, approves, has_second_factor, (struct fl_str){ NULL, 0 });
        r->vote[who] = approves ? 1 : -1;
        r->vote_2fa[who] = has_second_factor;
        enum fl_quorum_state state = count_now(&c);
        if (state == FL_QUORUM_APPROVED) {
            FL_ASSERT(is_approved(c.ask, r)); /* I2: no quorum, no approval */
            move(r, FL_APPROVAL_APPROVED);
            r->was_approved = true;
            r->decisions++;
        } else if (state == FL_QUORUM_REJECTED) {
            move(r, FL_APPROVAL_REJECTED);
            r->decisions++;
        }
        FL_ASSERT(r->decisions <= 1); /* I4 */
    }
    count_end(&c);
}

static void withdraw(struct row *r, int who)
{
    struct count c;
    if (!r->is_there || r->state != FL_APPROVAL_PENDING || !r->vote[who])
        return;
    int was = r->vote[who];
    r->vote[who] = 0;
    count_begin(&c, r);
    if (count_now(&c) != FL_QUORUM_OPEN)
        r->vote[who] = was; /* refused: the votes decide it already */
    count_end(&c);
}

/* ---- workers ---- */
static void claim(struct worker *w, size_t at)
{
    struct row *r = &world.rows[at];
    if (w->phase != IDLE || !r->is_there || r->state != FL_APPROVAL_APPROVED ||
        r->expires_at <= world.db_ms)
        return;
    move(r, FL_APPROVAL_CLAIMED);
    r->fence++;
    r->lease_until = world.db_ms + LEASE;
    w->phase = CLAIMED;
    w->row = at;
    w->fence = r->fence;
}

/* Whose authority stands behind it, now? A row that a rule permitted has no votes to ask. */
static bool has_authority(struct row *r)
{
    struct count c;
    if (r->was_permitted || world.ignores_recheck)
        return true;
    count_begin(&c, r);
    bool is_right = count_now(&c) == FL_QUORUM_APPROVED;
    count_end(&c);
    return is_right;
}

static void check_authority(struct row *r)
{
    struct count c;
    count_begin(&c, r);
    FL_ASSERT(r->was_permitted || is_approved(c.ask, r));
    count_end(&c);
}

static void mark(struct worker *w)
{
    struct row *r = &world.rows[w->row];
    if (w->phase != CLAIMED)
        return;
    w->phase = IDLE;
    bool holds_fence = r->fence == w->fence || world.ignores_fence;
    if (r->state != FL_APPROVAL_CLAIMED || !holds_fence || r->expires_at <= world.db_ms)
        return; /* not one row: no byte leaves */
    if (!has_authority(r)) {
        move(r, FL_APPROVAL_VOIDED);
        return;
    }
    move(r, FL_APPROVAL_DISPATCHED);
    FL_ASSERT(r->fence == w->fence); /* I7 */
    check_authority(r);              /* I2 */
    r->unknown_after = world.db_ms + DISPATCH + EXECUTE + GRACE;
    w->phase = MARKED;
    w->marked_boot = world.boot_ms;
}

static void check_effect(struct row *r)
{
    FL_ASSERT(r->effects == 1);                     /* I1 */
    FL_ASSERT(r->was_approved || r->was_permitted); /* I2 */
    FL_ASSERT(r->state == FL_APPROVAL_DISPATCHED);  /* I3, and nothing behind `unknown` */
}

static void send_it(struct worker *w)
{
    if (w->phase != MARKED)
        return;
    if (world.boot_ms - w->marked_boot >= DISPATCH) { /* whichever clock says so: not any more */
        struct row *r = &world.rows[w->row];
        w->phase = IDLE;
        if (r->state == FL_APPROVAL_DISPATCHED && r->fence == w->fence)
            move(r, FL_APPROVAL_FAILED);
        return;
    }
    w->phase = SENT;
}

/* The tool does it, and the worker hears of it or not. */
static void run_it(struct worker *w, bool is_heard, bool succeeds)
{
    struct row *r = &world.rows[w->row];
    if (w->phase != SENT)
        return;
    w->phase = IDLE;
    if (world.boot_ms - w->marked_boot >= DISPATCH + EXECUTE)
        return; /* killed at its deadline; nobody hears an outcome */
    if (succeeds) {
        r->effects++;
        check_effect(r);
    }
    if (!is_heard)
        return;
    if (r->fence == w->fence &&
        (r->state == FL_APPROVAL_DISPATCHED || r->state == FL_APPROVAL_UNKNOWN)) {
        move(r, succeeds ? FL_APPROVAL_SUCCEEDED : FL_APPROVAL_FAILED);
        FL_ASSERT(!succeeds || r->effects == 1); /* I5 */
    }
}

static void look(struct worker *w)
{
    struct fl_query q = { .result = table(5) };
    size_t rows[ROWS];
    int count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        struct row *r = &world.rows[i];
        if (!r->is_there || r->state != FL_APPROVAL_DISPATCHED)
            continue;
        cell_id(q.result, count, 0, 3, 0);
        cell_id(q.result, count, 1, 2, i);
        cell_int(q.result, count, 2, r->fence);
        cell_int(q.result, count, 3, DISPATCH + EXECUTE + GRACE);
        cell(q.result, count, 4, r->unknown_after <= world.db_ms ? "t" : "f");
        rows[count++] = i;
    }
    fl_reaper_look(&w->reaper, &q);
    FL_ASSERT(w->reaper.count == (size_t)count);
    for (size_t i = 0; i < w->reaper.count; i++) {
        struct row *r = &world.rows[rows[i]];
        bool is_over = world.ignores_watch ? w->reaper.seen[i].is_over_there
                                           : fl_reaper_is_over(&w->reaper, i);
        if (is_over && r->state == FL_APPROVAL_DISPATCHED && r->unknown_after <= world.db_ms)
            move(r, FL_APPROVAL_UNKNOWN);
    }
    PQclear(q.result);
}

/* ---- sweeps, people, time ---- */
static void sweep(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        struct row *r = &world.rows[i];
        if (!r->is_there)
            continue;
        if ((r->state == FL_APPROVAL_PENDING || r->state == FL_APPROVAL_APPROVED ||
             r->state == FL_APPROVAL_CLAIMED) &&
            r->expires_at <= world.db_ms)
            move(r, FL_APPROVAL_EXPIRED);
        else if (r->state == FL_APPROVAL_CLAIMED && r->lease_until <= world.db_ms)
            move(r, FL_APPROVAL_APPROVED);
    }
}

static void cancel(struct row *r)
{
    if (r->is_there && (r->state == FL_APPROVAL_PENDING || r->state == FL_APPROVAL_APPROVED ||
                        r->state == FL_APPROVAL_CLAIMED))
        move(r, FL_APPROVAL_CANCELLED);
}

static void settle_by_person(struct row *r, bool succeeded)
{
    if (!r->is_there || r->state != FL_APPROVAL_UNKNOWN || r->unknown_after > world.db_ms)
        return;
    move(r, succeeded ? FL_APPROVAL_SUCCEEDED : FL_APPROVAL_FAILED);
    r->is_settled_by_person = true;
}

static void change_person(int who, uint8_t how)
{
    world.people[who].is_active ^= how & 1;
    world.people[who].has_role ^= how >> 1 & 1;
    world.people[who].groups = how >> 2 & 3;
}

static void pass(int64_t db_ms, int64_t boot_ms)
{
    world.db_ms += db_ms;
    world.boot_ms += boot_ms;
    fl_clock_skew_set((struct fl_clock_skew){ .boot_ms = world.boot_ms, .mono_ms = world.boot_ms });
}

static void forget(struct worker *w) /* SIGKILL and a new one */
{
    fl_reaper_fini(&w->reaper);
    *w = (struct worker){ .phase = IDLE };
}

static void check_rows(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &world.rows[i];
        if (!r->is_there)
            continue;
        FL_ASSERT(r->effects <= 1 && r->decisions <= 1); /* I1, I4 */
        switch (r->state) {
        case FL_APPROVAL_REJECTED:
        case FL_APPROVAL_EXPIRED:
        case FL_APPROVAL_CANCELLED:
        case FL_APPROVAL_VOIDED:
        case FL_APPROVAL_PENDING:
        case FL_APPROVAL_APPROVED:
        case FL_APPROVAL_CLAIMED: FL_ASSERT(r->effects == 0); break; /* I3 */
        case FL_APPROVAL_SUCCEEDED:
            FL_ASSERT(r->effects == 1 || r->is_settled_by_person); /* I5 */
            break;
        default: break;
        }
    }
}

static void event(uint8_t what, uint8_t how)
{
    struct row *r = &world.rows[how % ROWS];
    struct worker *w = &world.workers[how % WORKERS];
    int who = how / ROWS % PEOPLE;
    switch (what % 16) {
    case 0: intake(&world.rows[what / 16 % ROWS], how); break;
    case 1: vote(r, who, true, how & 64); break;
    case 2: vote(r, who, how & 128, how & 64); break;
    case 3: withdraw(r, who); break;
    case 4: change_person(what / 16 % PEOPLE, how); break;
    case 5: claim(w, what / 16 % ROWS); break;
    case 6: mark(w); break;
    case 7: send_it(w); break;
    case 8: run_it(w, how & 64, how & 128); break;
    case 9: look(w); break;
    case 10: sweep(); break;
    case 11: cancel(r); break;
    case 12: settle_by_person(r, how & 64); break;
    case 13: forget(w); break;
    case 14: pass(how * 200LL, how * 200LL); break;
    default: pass((how & 127) * 500LL, how & 128 ? 0 : 1); break; /* the database's clock jumps */
    }
    check_rows();
}

/* Time goes on and the sweeps run: whatever is left then is over, or a person is asked (I9). */
static void check_nothing_is_stuck(void)
{
    for (int round = 0; round < 8; round++) {
        pass(EXPIRES / 2, EXPIRES / 2);
        sweep();
        for (int i = 0; i < WORKERS; i++) {
            if (round == 3)
                forget(&world.workers[i]);
            look(&world.workers[i]);
        }
        check_rows();
    }
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &world.rows[i];
        FL_ASSERT(!r->is_there || fl_state_is_final(r->state) || r->state == FL_APPROVAL_UNKNOWN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *mutant = getenv("FL_STATES_MUTANT");
    memset(&world, 0, sizeof world);
    world.ignores_watch = mutant && strcmp(mutant, "watch") == 0;
    world.ignores_recheck = mutant && strcmp(mutant, "recheck") == 0;
    world.ignores_fence = mutant && strcmp(mutant, "fence") == 0;
    world.db_ms = 1000000;
    pass(0, 0);
    for (int i = 0; i < PEOPLE; i++) {
        world.people[i].is_active = world.people[i].has_role = true;
        world.people[i].groups = (unsigned)i & 3;
    }
    for (size_t i = 0; i + 1 < n; i += 2)
        event(data[i], data[i + 1]);
    check_nothing_is_stuck();
    for (int i = 0; i < WORKERS; i++)
        fl_reaper_fini(&world.workers[i].reaper);
    for (size_t i = 0; i < ROWS; i++)
        fl_buf_fini(&world.rows[i].ask);
    return 0;
}
