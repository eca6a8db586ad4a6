/* Counting votes. Nothing here depends on the order of people, votes or exclusions. */
#include "policy/quorum.h"

#include <stdio.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"

enum { WHERE_STEPS = 10000, WHERE_BYTES = 256 * 1024 };

enum vote_state { VOTE_NONE, VOTE_REJECTS, VOTE_APPROVES, VOTE_APPROVES_WITHOUT_FACTOR };

/* ---- one person and one threshold ---- */
static bool is_in_group(const struct fl_quorum_person *person, struct fl_str group)
{
    for (size_t i = 0; i < person->group_count; i++) {
        if (fl_str_eq(person->groups[i], group))
            return true;
    }
    return false;
}

static bool is_in_groups(const struct fl_threshold *t, const struct fl_quorum_person *person)
{
    size_t hits = 0;
    for (size_t i = 0; i < t->group_count; i++)
        hits += is_in_group(person, t->groups[i]);
    return t->match == FL_MATCH_ALL ? hits == t->group_count : hits > 0 || t->group_count == 0;
}

/* An error of the predicate is a no, but no memory must not look like one. */
static enum fl_code satisfies_where(const struct fl_threshold *t,
                                    const struct fl_quorum_person *person, bool *ret)
{
    *ret = t->where.n == 0;
    if (*ret)
        return FL_OK;
    FL_ASSERT(t->where_program);
    struct fl_arena *arena = fl_arena_new(0);
    struct fl_cel_value *groups =
        arena ? fl_arena_array(arena, person->group_count, sizeof *groups) : NULL;
    enum fl_code code = FL_NOMEM;
    if (groups) {
        struct fl_cel_value vars[PERSON_VAR_COUNT], v;
        for (size_t i = 0; i < person->group_count; i++)
            groups[i] = fl_cel_str(person->groups[i]);
        vars[PERSON_NAME] = fl_cel_str(person->name);
        vars[PERSON_ROLE] = fl_cel_str(fl_str_of(fl_role_name(person->role)));
        vars[PERSON_GROUPS] = fl_cel_list(groups, person->group_count);
        struct fl_cel_run run = {
            .vars = vars, .arena = arena, .steps = WHERE_STEPS, .max_bytes = WHERE_BYTES
        };
        code = fl_cel_eval(t->where_program, &run, &v, NULL);
        *ret = code == FL_OK && v.kind == FL_CEL_BOOL && v.b;
    }
    fl_arena_free(&arena);
    return code == FL_NOMEM ? FL_NOMEM : FL_OK;
}

/* Active, with a role that may decide, in the groups, and fitting the predicate. */
static enum fl_code fits(const struct fl_threshold *t, const struct fl_quorum_person *person,
                         bool *ret)
{
    *ret = false;
    if (!person->is_active || !fl_role_may(person->role, FL_ACTION_DECIDE) ||
        !is_in_groups(t, person))
        return FL_OK;
    return satisfies_where(t, person, ret);
}

/* ---- one person ---- */
static const struct fl_quorum_excluded *exclusion_of(const struct fl_quorum_facts *f,
                                                     const struct fl_quorum_person *person)
{
    const struct fl_quorum_excluded *found = NULL;
    for (size_t i = 0; i < f->excluded_count; i++) {
        const struct fl_quorum_excluded *e = &f->excluded[i];
        bool is_lifted = (e->why == FL_EXCLUDED_OWNER && f->ask->owner_may_approve) ||
                         (e->why == FL_EXCLUDED_EDITOR && f->ask->editor_may_approve);
        if (fl_uuid_cmp(&e->person, &person->id) == 0 && !is_lifted &&
            (!found || e->why < found->why))
            found = e;
    }
    return found;
}

static enum vote_state vote_of(const struct fl_quorum_facts *f,
                               const struct fl_quorum_person *person)
{
    enum vote_state state = VOTE_NONE;
    for (size_t i = 0; i < f->vote_count; i++) {
        const struct fl_quorum_vote *v = &f->votes[i];
        if (fl_uuid_cmp(&v->person, &person->id) != 0)
            continue;
        if (!v->approves)
            return VOTE_REJECTS;
        if (v->has_second_factor || !f->ask->needs_second_factor)
            state = VOTE_APPROVES;
        else if (state == VOTE_NONE)
            state = VOTE_APPROVES_WITHOUT_FACTOR;
    }
    return state;
}

/* ---- match each: so many from each group, all different people ---- */

/* Places to fill: `approve` of each group. A person takes one place of a group they are in; who
 * sits where is rearranged to seat another one (augmenting paths, breadth first). */
struct seating {
    const struct fl_threshold *t;
    const struct fl_quorum_person *people;
    const size_t *who; /* indexes of the people that count */
    size_t taken[FL_THRESHOLD_GROUPS_MAX];
    unsigned char *seat; /* per `who`: group + 1; 0 none */
    size_t seated[FL_APPROVE_MAX * FL_THRESHOLD_GROUPS_MAX];
    size_t seated_count;
};

static bool could_sit(const struct seating *s, size_t who, size_t group)
{
    return is_in_group(&s->people[s->who[who]], s->t->groups[group]);
}

/* Seats one more person, if a rearrangement makes room. */
static void seat(struct seating *s, size_t who)
{
    size_t queue[FL_THRESHOLD_GROUPS_MAX];    /* groups to make room in */
    size_t mover_to[FL_THRESHOLD_GROUPS_MAX]; /* who would move into the group */
    bool is_seen[FL_THRESHOLD_GROUPS_MAX] = { false };
    size_t head = 0, tail = 0;
    for (size_t g = 0; g < s->t->group_count; g++) {
        if (could_sit(s, who, g)) {
            is_seen[g] = true;
            mover_to[g] = who;
            queue[tail++] = g;
        }
    }
    for (; head < tail; head++) {
        size_t g = queue[head];
        if (s->taken[g] < s->t->approve) {
            s->taken[g]++; /* everybody on the way moves one on */
            for (;;) {
                size_t mover = mover_to[g], left = s->seat[mover];
                s->seat[mover] = (unsigned char)(g + 1);
                if (left == 0) {
                    s->seated[s->seated_count++] = who;
                    return;
                }
                g = left - 1;
            }
        }
        for (size_t i = 0; i < s->seated_count; i++) {
            size_t other = s->seated[i];
            for (size_t to = 0; s->seat[other] == g + 1 && to < s->t->group_count; to++) {
                if (!is_seen[to] && could_sit(s, other, to)) {
                    is_seen[to] = true;
                    mover_to[to] = other;
                    queue[tail++] = to;
                }
            }
        }
    }
}

static unsigned needed_by(const struct fl_threshold *t)
{
    return t->approve * (t->match == FL_MATCH_EACH ? (unsigned)t->group_count : 1);
}

/* How many of these people count: for match each as many as can be seated, else all. */
static enum fl_code count_people(const struct fl_threshold *t,
                                 const struct fl_quorum_person *people, const size_t *who,
                                 size_t who_count, unsigned *ret)
{
    *ret = (unsigned)who_count;
    if (t->match != FL_MATCH_EACH)
        return FL_OK;
    struct seating s = { .t = t, .people = people, .who = who };
    s.seat = fl_calloc(who_count, 1);
    if (!s.seat)
        return FL_NOMEM;
    for (size_t i = 0; i < who_count && s.seated_count < needed_by(t); i++)
        seat(&s, i);
    *ret = (unsigned)s.seated_count;
    fl_free(s.seat);
    return FL_OK;
}

unsigned fl_quorum_eligible(const struct fl_threshold *t, const struct fl_quorum_person *people,
                            size_t count)
{
    struct fl_arena *arena = fl_arena_new(0);
    size_t *who = arena ? fl_arena_array(arena, count, sizeof *who) : NULL, n = 0;
    unsigned total = 0;
    bool is_fit = false, is_ok = who != NULL;
    for (size_t i = 0; is_ok && i < count; i++) {
        is_ok = fits(t, &people[i], &is_fit) == FL_OK;
        if (is_ok && is_fit)
            who[n++] = i;
    }
    if (is_ok && count_people(t, people, who, n, &total))
        total = 0;
    fl_arena_free(&arena);
    return total;
}

/* ---- the whole ---- */
struct counting {
    const struct fl_quorum_facts *f;
    enum vote_state *votes;  /* per person; VOTE_NONE of those who do not count at all */
    bool *is_out;            /* excluded, or in the list a second time */
    bool *fits;              /* per threshold and person */
    bool *could_decide;      /* has not voted and fits a threshold */
    size_t *approvers, *all; /* of the threshold in hand */
    unsigned stale_rejections;
};

static const struct fl_quorum_person *person_of(const struct fl_quorum_facts *f,
                                                const struct fl_uuid *id)
{
    for (size_t i = 0; i < f->person_count; i++) {
        if (fl_uuid_cmp(&f->people[i].id, id) == 0)
            return &f->people[i];
    }
    return NULL;
}

/* A person who voted must not count twice because a join listed them twice. */
static bool is_repeated(const struct counting *c, size_t person)
{
    return person_of(c->f, &c->f->people[person].id) != &c->f->people[person];
}

static bool fits_any(const struct counting *c, size_t person)
{
    bool is_fit = false;
    for (size_t t = 0; t < c->f->ask->threshold_count; t++)
        is_fit |= c->fits[t * c->f->person_count + person];
    return is_fit && !c->is_out[person];
}

/* Rejections of people who fit no threshold now. They had to fit one when they voted, and who
 * rejects and then leaves must not turn the answer into an approval: each counts everywhere. */
static unsigned stale_rejections(const struct counting *c)
{
    const struct fl_quorum_facts *f = c->f;
    unsigned count = 0;
    for (size_t i = 0; i < f->vote_count; i++) {
        bool is_first = !f->votes[i].approves;
        for (size_t k = 0; k < i && is_first; k++)
            is_first =
                f->votes[k].approves || fl_uuid_cmp(&f->votes[k].person, &f->votes[i].person) != 0;
        if (!is_first)
            continue;
        const struct fl_quorum_person *person = person_of(f, &f->votes[i].person);
        count += !person || !fits_any(c, (size_t)(person - f->people));
    }
    return count;
}

static enum fl_code look_at_people(struct counting *c)
{
    const struct fl_quorum_facts *f = c->f;
    for (size_t i = 0; i < f->person_count; i++) {
        enum vote_state vote = vote_of(f, &f->people[i]);
        c->is_out[i] =
            exclusion_of(f, &f->people[i]) != NULL || (vote != VOTE_NONE && is_repeated(c, i));
        c->votes[i] = c->is_out[i] ? VOTE_NONE : vote;
        for (size_t t = 0; !c->is_out[i] && t < f->ask->threshold_count; t++) {
            enum fl_code code =
                fits(&f->ask->thresholds[t], &f->people[i], &c->fits[t * f->person_count + i]);
            if (code)
                return code;
        }
    }
    c->stale_rejections = stale_rejections(c);
    return FL_OK;
}

static void describe(const struct fl_threshold *t, struct fl_quorum_progress *p)
{
    struct fl_buf out;
    fl_buf_init(&out, sizeof p->text - 1);
    fl_buf_printf(&out, "%u of %u from ", p->approvals, p->needed);
    fl_policy_threshold_describe(t, &out);
    if (out.is_failed) /* too long, or no memory: the numbers are what matters */
        snprintf(p->text, sizeof p->text, "%u of %u", p->approvals, p->needed);
    else
        snprintf(p->text, sizeof p->text, "%s", out.p);
    fl_buf_fini(&out);
}

static enum fl_code count_threshold(struct counting *c, size_t at, struct fl_quorum_progress *p)
{
    const struct fl_threshold *t = &c->f->ask->thresholds[at];
    size_t approvers = 0, all = 0;
    unsigned most = 0;
    *p = (struct fl_quorum_progress){ .needed = needed_by(t),
                                      .deny_needed = t->deny,
                                      .rejections = c->stale_rejections };
    for (size_t i = 0; i < c->f->person_count; i++) {
        if (!c->fits[at * c->f->person_count + i])
            continue;
        c->all[all++] = i;
        if (c->votes[i] == VOTE_APPROVES)
            c->approvers[approvers++] = i;
        p->rejections += c->votes[i] == VOTE_REJECTS;
        /* An approval that lacks its second factor can still be given with one. */
        if (c->votes[i] == VOTE_NONE || c->votes[i] == VOTE_APPROVES_WITHOUT_FACTOR) {
            p->could_still++;
            c->could_decide[i] = true;
        }
    }
    if (count_people(t, c->f->people, c->approvers, approvers, &p->approvals) ||
        count_people(t, c->f->people, c->all, all, &most))
        return FL_NOMEM;
    if (p->approvals > p->needed)
        p->approvals = p->needed;
    p->is_met = p->approvals >= p->needed;
    p->is_impossible = most < p->needed;
    describe(t, p);
    return FL_OK;
}

static void conclude(const struct counting *c, struct fl_quorum *q)
{
    const struct fl_ask *ask = c->f->ask;
    size_t met = 0, impossible = 0;
    bool is_rejected = false;
    for (size_t i = 0; i < q->threshold_count; i++) {
        met += q->thresholds[i].is_met;
        impossible += q->thresholds[i].is_impossible;
        is_rejected |= q->thresholds[i].rejections >= q->thresholds[i].deny_needed;
    }
    for (size_t i = 0; i < c->f->person_count; i++)
        q->could_decide += c->could_decide[i];
    size_t wanted = ask->is_any ? 1 : q->threshold_count;
    if (is_rejected)
        q->state = FL_QUORUM_REJECTED;
    else if (met >= wanted)
        q->state = FL_QUORUM_APPROVED;
    q->is_impossible = q->state == FL_QUORUM_OPEN && q->threshold_count - impossible < wanted;
}

enum fl_code fl_quorum_count(const struct fl_quorum_facts *facts, struct fl_quorum *ret,
                             struct fl_err *err)
{
    FL_ASSERT(facts->ask->threshold_count > 0 && facts->ask->threshold_count <= FL_THRESHOLDS_MAX);
    size_t n = facts->person_count;
    struct fl_quorum q = { .state = FL_QUORUM_OPEN,
                           .threshold_count = facts->ask->threshold_count };
    struct counting c = { .f = facts };
    struct fl_arena *arena = fl_arena_new(0);
    enum fl_code code = FL_NOMEM;
    if (!arena)
        goto out;
    c.votes = fl_arena_array(arena, n, sizeof *c.votes);
    c.is_out = fl_arena_array(arena, n, sizeof *c.is_out);
    c.fits = fl_arena_array(arena, n * q.threshold_count, sizeof *c.fits);
    c.could_decide = fl_arena_array(arena, n, sizeof *c.could_decide);
    c.approvers = fl_arena_array(arena, n, sizeof *c.approvers);
    c.all = fl_arena_array(arena, n, sizeof *c.all);
    if (!c.votes || !c.is_out || !c.fits || !c.could_decide || !c.approvers || !c.all)
        goto out;
    code = look_at_people(&c);
    for (size_t i = 0; !code && i < q.threshold_count; i++)
        code = count_threshold(&c, i, &q.thresholds[i]);
    if (!code) {
        conclude(&c, &q);
        *ret = q;
    }
out:
    fl_arena_free(&arena);
    return code ? fl_err_code(err, code) : FL_OK;
}

enum fl_code fl_quorum_may_vote(const struct fl_quorum_facts *facts,
                                const struct fl_quorum_person *person,
                                const struct fl_quorum_vote *vote, struct fl_err *err)
{
    static const char *const texts[] = {
        [FL_EXCLUDED_REQUESTER] = "you made this request, so somebody else decides it",
        [FL_EXCLUDED_OWNER] = "you own the agent that asks, so somebody else decides it",
        [FL_EXCLUDED_EDITOR] = "you changed the arguments, so somebody else decides it",
        [FL_EXCLUDED_DELEGATE] = "the agent acts in your name, so somebody else decides it",
    };
    if (!person->is_active)
        return fl_err_set(err, FL_FORBIDDEN, "you are not an active member of the organization");
    enum fl_code code = fl_role_require(person->role, FL_ACTION_DECIDE, err);
    if (code)
        return code;
    const struct fl_quorum_excluded *excluded = exclusion_of(facts, person);
    if (excluded)
        return fl_err_set(err, FL_FORBIDDEN, "%s", texts[excluded->why]);
    bool is_fit = false;
    for (size_t i = 0; i < facts->ask->threshold_count && !is_fit; i++) {
        if (fits(&facts->ask->thresholds[i], person, &is_fit))
            return fl_err_code(err, FL_NOMEM);
    }
    if (!is_fit)
        return fl_err_set(err, FL_FORBIDDEN,
                          "this is for others to decide: its rule asks people "
                          "that you are not one of");
    if (vote->approves && facts->ask->needs_second_factor && !vote->has_second_factor)
        return fl_err_set(err, FL_FORBIDDEN, "approving this needs a second factor");
    return FL_OK;
}
