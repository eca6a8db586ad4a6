/* Counting votes. Nothing here depends on the order of people, votes or exclusions. */
#include "policy/quorum.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/arena.h"
#include "policy/policy_priv.h"
#include "policy/quorum_priv.h"

enum vote_state { VOTE_NONE, VOTE_REJECTS, VOTE_APPROVES, VOTE_APPROVES_WITHOUT_FACTOR };

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

/* ---- the whole ---- */

/* An approval stands for one person: who gave it, or one of those for whom they decide and who have
 * given none themselves. So no two stand for the same one, and what delegates approve is what those
 * could have approved for whom they did it. */
struct caster {
    size_t *as; /* for whom it could stand; none that another one does as well for everywhere */
    size_t as_count, at;
};

enum { CASTS_MAX = 1024 }; /* ways to choose; where there are more, everybody is for themselves */

struct counting {
    const struct fl_quorum_facts *f;
    enum vote_state *votes; /* per person; VOTE_NONE of those who do not count at all */
    bool *is_out;           /* excluded, or in the list a second time */
    bool *is_stale;         /* their rejection counts everywhere */
    unsigned *places;       /* per threshold and person: where they count by themselves */
    bool *could_decide;     /* has not voted and fits a threshold */
    unsigned *gathered;     /* places of those of the threshold in hand */
    struct caster *casters; /* who approves, and counts somewhere */
    size_t caster_count;
    unsigned stale_rejections;
    struct fl_arena *arena;
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

static unsigned own_places(const struct counting *c, size_t threshold, size_t person)
{
    return c->places[threshold * c->f->person_count + person];
}

static bool counts_somewhere(const struct counting *c, size_t person)
{
    unsigned places = 0;
    for (size_t t = 0; t < c->f->ask->threshold_count; t++)
        places |= own_places(c, t, person);
    return places && !c->is_out[person];
}

/* May this one's vote stand for that other one's? */
static bool stands_for(const struct counting *c, size_t person, size_t other)
{
    const struct fl_quorum_person *people = c->f->people;
    return !c->f->ignores_delegates && !c->is_out[person] &&
           fl_quorum_may_decide(&people[person]) &&
           fl_quorum_decides_for(&people[person], &people[other]);
}

/* How many names there are; *ret: is this one of them? */
static unsigned names_in(struct fl_str names, struct fl_str name, bool *ret)
{
    unsigned count = 0;
    *ret = false;
    for (size_t at = 0, n; at < names.n; at += n + 1) {
        const char *comma = memchr(names.p + at, ',', names.n - at);
        n = (comma ? (size_t)(comma - names.p) : names.n) - at;
        *ret |= fl_str_eq((struct fl_str){ names.p + at, n }, name);
        count++;
    }
    return count;
}

/* Did this one approve for that other one, too? */
static bool approved_for(const struct fl_quorum_facts *f, size_t person, size_t other)
{
    bool is_so = false, is_named;
    for (size_t i = 0; i < f->vote_count; i++) {
        (void)names_in(f->votes[i].for_people, f->people[other].name, &is_named);
        is_so |= is_named && f->votes[i].approves &&
                 fl_uuid_cmp(&f->votes[i].person, &f->people[person].id) == 0;
    }
    return is_so;
}

/* Does a rejection of theirs count there? Once, for whomever; not where who is away rejects it. */
static bool rejects(const struct counting *c, size_t threshold, size_t person)
{
    bool is_so = own_places(c, threshold, person) != 0;
    if (c->is_stale[person]) /* counted already */
        return false;
    for (size_t i = 0; i < c->f->person_count && !is_so; i++)
        is_so =
            stands_for(c, person, i) && c->votes[i] != VOTE_REJECTS && own_places(c, threshold, i);
    return is_so;
}

/* Do they stand for all for whom they rejected it, and fit a threshold? */
static bool still_fits(const struct counting *c, size_t person, struct fl_str for_people)
{
    bool is_fit = counts_somewhere(c, person), is_named;
    unsigned stands = 0, all = names_in(for_people, (struct fl_str){ NULL, 0 }, &is_named);
    for (size_t i = 0; i < c->f->person_count; i++) {
        unsigned more = 0;
        (void)names_in(for_people, c->f->people[i].name, &is_named);
        for (size_t t = 0; stands_for(c, person, i) && t < c->f->ask->threshold_count; t++) {
            is_fit |= own_places(c, t, i) != 0;
            more |= own_places(c, t, i) & ~own_places(c, t, person);
        }
        stands += more != 0 && is_named && !is_repeated(c, i);
    }
    return is_fit && stands >= all;
}

/* Rejections of people who do not fit any more as they did when they voted: who rejects and then
 * leaves must not turn the answer into an approval, so each counts everywhere. */
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
        bool is_stale =
            !person || !still_fits(c, (size_t)(person - f->people), f->votes[i].for_people);
        if (is_stale && person)
            c->is_stale[person - f->people] = true;
        count += is_stale;
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
            enum fl_code code = fl_quorum_places(&f->ask->thresholds[t], &f->people[i],
                                                 &c->places[t * f->person_count + i]);
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

/* ---- for whom each approval stands ---- */
static bool does_as_well(const struct counting *c, size_t one, size_t other)
{
    bool is_so = true;
    for (size_t t = 0; t < c->f->ask->threshold_count; t++)
        is_so &= !(own_places(c, t, other) & ~own_places(c, t, one));
    return is_so;
}

static void could_stand_for(const struct counting *c, struct caster *k, size_t other)
{
    size_t kept = 0;
    if (!counts_somewhere(c, other))
        return;
    for (size_t i = 0; i < k->as_count; i++) {
        if (does_as_well(c, k->as[i], other))
            return;
    }
    for (size_t i = 0; i < k->as_count; i++) {
        if (!does_as_well(c, other, k->as[i]))
            k->as[kept++] = k->as[i];
    }
    k->as[kept] = other;
    k->as_count = kept + 1;
}

/* Who approves, and for whom each could: how many ways there are to choose; 0: no memory. */
static size_t find_casters(struct counting *c, bool is_for_others)
{
    size_t ways = 1;
    c->caster_count = 0;
    for (size_t i = 0; i < c->f->person_count; i++) {
        struct caster *k = &c->casters[c->caster_count];
        size_t most = 1;
        if (c->votes[i] != VOTE_APPROVES)
            continue;
        for (size_t other = 0; other < c->f->person_count; other++)
            most += is_for_others && stands_for(c, i, other);
        *k = (struct caster){ .as = fl_arena_array(c->arena, most, sizeof *k->as) };
        if (!k->as)
            return 0;
        could_stand_for(c, k, i);
        for (size_t other = 0; other < c->f->person_count; other++) {
            bool is_vacant =
                c->votes[other] == VOTE_NONE || c->votes[other] == VOTE_APPROVES_WITHOUT_FACTOR;
            if (is_for_others && is_vacant && stands_for(c, i, other) &&
                approved_for(c->f, i, other))
                could_stand_for(c, k, other);
        }
        c->caster_count += k->as_count > 0;
        ways = k->as_count > 0 && ways <= CASTS_MAX ? ways * k->as_count : ways;
    }
    return ways;
}

static bool next_way(struct counting *c)
{
    for (size_t i = 0; i < c->caster_count; i++) {
        if (++c->casters[i].at < c->casters[i].as_count)
            return true;
        c->casters[i].at = 0;
    }
    return false;
}

struct tally {
    bool is_enough;
    unsigned sum, approvals[FL_THRESHOLDS_MAX];
};

static enum fl_code tally_way(const struct counting *c, struct tally *ret)
{
    const struct fl_ask *ask = c->f->ask;
    size_t met = 0;
    *ret = (struct tally){ 0 };
    for (size_t t = 0; t < ask->threshold_count; t++) {
        unsigned *approvals = &ret->approvals[t], needed = fl_quorum_needed(&ask->thresholds[t]);
        size_t n = 0;
        for (size_t i = 0; i < c->caster_count; i++) {
            c->gathered[n] = own_places(c, t, c->casters[i].as[c->casters[i].at]);
            n += c->gathered[n] != 0;
        }
        if (fl_quorum_seat(&ask->thresholds[t], c->gathered, n, approvals))
            return FL_NOMEM;
        *approvals = *approvals > needed ? needed : *approvals;
        met += *approvals == needed;
        ret->sum += *approvals;
    }
    ret->is_enough = met >= (ask->is_any ? 1 : ask->threshold_count);
    return FL_OK;
}

static bool is_better(const struct tally *a, const struct tally *b, size_t thresholds)
{
    if (a->is_enough != b->is_enough)
        return a->is_enough;
    if (a->sum != b->sum)
        return a->sum > b->sum;
    for (size_t t = 0; t < thresholds; t++) {
        if (a->approvals[t] != b->approvals[t])
            return a->approvals[t] > b->approvals[t];
    }
    return false;
}

/* The most that the approvals come to. */
static enum fl_code tally(struct counting *c, struct tally *ret)
{
    struct tally one;
    size_t ways = find_casters(c, true);
    if (ways > CASTS_MAX)
        ways = find_casters(c, false);
    if (!ways || tally_way(c, ret))
        return FL_NOMEM;
    while (next_way(c)) {
        if (tally_way(c, &one))
            return FL_NOMEM;
        if (is_better(&one, ret, c->f->ask->threshold_count))
            *ret = one;
    }
    return FL_OK;
}

static enum fl_code count_threshold(struct counting *c, size_t at, unsigned approvals,
                                    struct fl_quorum_progress *p)
{
    const struct fl_threshold *t = &c->f->ask->thresholds[at];
    size_t all = 0;
    unsigned most = 0;
    *p = (struct fl_quorum_progress){ .approvals = approvals,
                                      .needed = fl_quorum_needed(t),
                                      .deny_needed = t->deny,
                                      .rejections = c->stale_rejections };
    for (size_t i = 0; i < c->f->person_count; i++) {
        p->rejections += c->votes[i] == VOTE_REJECTS && rejects(c, at, i);
        if (!own_places(c, at, i))
            continue;
        c->gathered[all++] = own_places(c, at, i); /* a delegate makes no more of them */
        /* An approval that lacks its second factor can still be given with one. */
        if (c->votes[i] == VOTE_NONE || c->votes[i] == VOTE_APPROVES_WITHOUT_FACTOR) {
            p->could_still++;
            c->could_decide[i] = true;
        }
    }
    if (fl_quorum_seat(t, c->gathered, all, &most))
        return FL_NOMEM;
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
    struct fl_arena *arena = fl_arena_new(0);
    struct counting c = { .f = facts, .arena = arena };
    struct tally most;
    enum fl_code code = FL_NOMEM;
    if (!arena)
        goto out;
    c.votes = fl_arena_array(arena, n, sizeof *c.votes);
    c.is_out = fl_arena_array(arena, n, sizeof *c.is_out);
    c.is_stale = fl_arena_array(arena, n, sizeof *c.is_stale);
    c.places = fl_arena_array(arena, n * q.threshold_count, sizeof *c.places);
    c.could_decide = fl_arena_array(arena, n, sizeof *c.could_decide);
    c.gathered = fl_arena_array(arena, n + 1, sizeof *c.gathered);
    c.casters = fl_arena_array(arena, n + 1, sizeof *c.casters);
    if (!c.votes || !c.is_out || !c.is_stale || !c.places || !c.could_decide || !c.gathered ||
        !c.casters)
        goto out;
    code = look_at_people(&c);
    if (!code)
        code = tally(&c, &most);
    for (size_t i = 0; !code && i < q.threshold_count; i++)
        code = count_threshold(&c, i, most.approvals[i], &q.thresholds[i]);
    if (!code) {
        conclude(&c, &q);
        *ret = q;
    }
out:
    fl_arena_free(&arena);
    return code ? fl_err_code(err, code) : FL_OK;
}

enum fl_code fl_quorum_stands_in(const struct fl_quorum_facts *facts,
                                 const struct fl_quorum_person *delegate,
                                 const struct fl_quorum_person *away, bool *ret, struct fl_err *err)
{
    *ret = false;
    if (facts->ignores_delegates || !fl_quorum_decides_for(delegate, away) ||
        !fl_quorum_may_decide(delegate) || exclusion_of(facts, delegate) ||
        exclusion_of(facts, away))
        return FL_OK;
    for (size_t i = 0; i < facts->ask->threshold_count && !*ret; i++) {
        unsigned theirs, lent;
        if (fl_quorum_places(&facts->ask->thresholds[i], delegate, &theirs) ||
            fl_quorum_places(&facts->ask->thresholds[i], away, &lent))
            return fl_err_code(err, FL_NOMEM);
        *ret = lent & ~theirs;
    }
    return FL_OK;
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
        unsigned places;
        if (fl_quorum_places(&facts->ask->thresholds[i], person, &places))
            return fl_err_code(err, FL_NOMEM);
        is_fit = places;
    }
    for (size_t i = 0; i < facts->person_count && !is_fit; i++) {
        code = fl_quorum_stands_in(facts, person, &facts->people[i], &is_fit, err);
        if (code)
            return code;
    }
    if (!is_fit)
        return fl_err_set(err, FL_FORBIDDEN,
                          "this is for others to decide: its rule asks people "
                          "that you are not one of");
    if (vote->approves && facts->ask->needs_second_factor && !vote->has_second_factor)
        return fl_err_set(err, FL_FORBIDDEN, "approving this needs a second factor");
    return FL_OK;
}
