/* Who counts where in a threshold, and how many of them at once. */
#include "flopinio/base/arena.h"
#include "flopinio/base/mem.h"
#include "policy/policy_priv.h"
#include "policy/quorum_priv.h"

enum { WHERE_STEPS = 10000, WHERE_BYTES = 256 * 1024 };

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

bool fl_quorum_may_decide(const struct fl_quorum_person *person)
{
    return person->is_active && fl_role_may(person->role, FL_ACTION_DECIDE);
}

/* Active, with a role that may decide, in the groups, and fitting the predicate. */
static enum fl_code fits(const struct fl_threshold *t, const struct fl_quorum_person *person,
                         bool *ret)
{
    *ret = false;
    if (!fl_quorum_may_decide(person) || !is_in_groups(t, person))
        return FL_OK;
    return satisfies_where(t, person, ret);
}

enum fl_code fl_quorum_places(const struct fl_threshold *t, const struct fl_quorum_person *person,
                              unsigned *ret)
{
    bool is_fit = false;
    enum fl_code code = fits(t, person, &is_fit);
    *ret = is_fit && t->match != FL_MATCH_EACH;
    for (size_t i = 0; is_fit && t->match == FL_MATCH_EACH && i < t->group_count; i++)
        *ret |= (unsigned)is_in_group(person, t->groups[i]) << i;
    return code;
}

/* ---- match each: so many from each group, all different people ---- */

/* Places to fill: `approve` of each group. A person takes one place of a group they count for; who
 * sits where is rearranged to seat another one (augmenting paths, breadth first). */
struct seating {
    const struct fl_threshold *t;
    const unsigned *places; /* of each person that counts */
    size_t taken[FL_THRESHOLD_GROUPS_MAX];
    unsigned char *seat; /* of each: group + 1; 0 none */
    size_t seated[FL_APPROVE_MAX * FL_THRESHOLD_GROUPS_MAX];
    size_t seated_count;
};

static bool could_sit(const struct seating *s, size_t who, size_t group)
{
    return s->places[who] >> group & 1;
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

unsigned fl_quorum_needed(const struct fl_threshold *t)
{
    return t->approve * (t->match == FL_MATCH_EACH ? (unsigned)t->group_count : 1);
}

enum fl_code fl_quorum_seat(const struct fl_threshold *t, const unsigned *places, size_t count,
                            unsigned *ret)
{
    *ret = (unsigned)count;
    if (t->match != FL_MATCH_EACH)
        return FL_OK;
    struct seating s = { .t = t, .places = places };
    s.seat = fl_calloc(count, 1);
    if (!s.seat)
        return FL_NOMEM;
    for (size_t i = 0; i < count && s.seated_count < fl_quorum_needed(t); i++)
        seat(&s, i);
    *ret = (unsigned)s.seated_count;
    fl_free(s.seat);
    return FL_OK;
}

static bool is_away(const struct fl_quorum_person *person)
{
    return !fl_uuid_is_zero(&person->delegate);
}

bool fl_quorum_decides_for(const struct fl_quorum_person *person,
                           const struct fl_quorum_person *away)
{
    return is_away(away) && fl_uuid_cmp(&away->delegate, &person->id) == 0;
}

/* Leaves to those who are there what they count for, with the places of those they decide for. */
static void hand_over(const struct fl_quorum_person *people, size_t count, unsigned *places)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; is_away(&people[i]) && k < count; k++) {
            if (fl_quorum_decides_for(&people[k], &people[i]) && !is_away(&people[k]) &&
                fl_quorum_may_decide(&people[k]))
                places[k] |= places[i];
        }
    }
    for (size_t i = 0; i < count; i++)
        places[i] = is_away(&people[i]) ? 0 : places[i];
}

static unsigned count_all(const struct fl_threshold *t, const struct fl_quorum_person *people,
                          size_t count, bool is_present)
{
    struct fl_arena *arena = fl_arena_new(0);
    unsigned *places = arena ? fl_arena_array(arena, count, sizeof *places) : NULL, total = 0;
    size_t n = 0;
    bool is_ok = places != NULL;
    for (size_t i = 0; is_ok && i < count; i++)
        is_ok = fl_quorum_places(t, &people[i], &places[i]) == FL_OK;
    if (is_ok && is_present)
        hand_over(people, count, places);
    for (size_t i = 0; is_ok && i < count; i++) {
        if (places[i])
            places[n++] = places[i];
    }
    if (is_ok && fl_quorum_seat(t, places, n, &total))
        total = 0;
    fl_arena_free(&arena);
    return total;
}

unsigned fl_quorum_eligible(const struct fl_threshold *t, const struct fl_quorum_person *people,
                            size_t count)
{
    return count_all(t, people, count, false);
}

unsigned fl_quorum_present(const struct fl_threshold *t, const struct fl_quorum_person *people,
                           size_t count)
{
    return count_all(t, people, count, true);
}
