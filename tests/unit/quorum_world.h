/* People, votes and random asks for the tests of counting (test_quorum.c, test_quorum_away.c). */
#ifndef FLOPINIO_TESTS_QUORUM_WORLD_H
#define FLOPINIO_TESTS_QUORUM_WORLD_H

#include "harness.h"
#include "policy/quorum.h"

/* ---- people and asks ---- */
enum { ANA, BEN, CAT, DAN, EVE, FAY, PEOPLE };

static const struct fl_str OPS = { "ops", 3 }, FINANCE = { "finance", 7 }, LEGAL = { "legal", 5 };
static struct fl_str groups_of[PEOPLE][3];
static struct fl_quorum_person people[PEOPLE];

static inline struct fl_uuid id_of(int who)
{
    return (struct fl_uuid){ .b = { [15] = (uint8_t)(who + 1) } };
}

/* Ana: ops. Ben: finance. Cat: ops and finance. Dan: no group. Eve: an auditor in ops. Fay: legal.
 */
static inline void set_people(void)
{
    static const char *const names[] = { "Ana", "Ben", "Cat", "Dan", "Eve", "Fay" };
    static const size_t counts[] = { 1, 1, 2, 0, 1, 1 };
    groups_of[ANA][0] = groups_of[CAT][0] = groups_of[EVE][0] = OPS;
    groups_of[BEN][0] = groups_of[CAT][1] = FINANCE;
    groups_of[FAY][0] = LEGAL;
    for (int i = 0; i < PEOPLE; i++)
        people[i] =
            (struct fl_quorum_person){ .id = id_of(i),
                                       .name = fl_str_of(names[i]),
                                       .role = i == EVE ? FL_ROLE_AUDITOR : FL_ROLE_APPROVER,
                                       .groups = groups_of[i],
                                       .group_count = counts[i],
                                       .is_active = true };
    people[DAN].role = FL_ROLE_ADMIN;
}

static inline struct fl_quorum_vote yes(int who)
{
    return (struct fl_quorum_vote){ .person = id_of(who), .approves = true };
}

static inline struct fl_quorum_vote no(int who)
{
    return (struct fl_quorum_vote){ .person = id_of(who) };
}

/* As it is when it is cast: votes that do not say for whom they are get the names in texts[i]. */
enum { FOR_BYTES = 64 };
static inline void cast_now(const struct fl_quorum_facts *facts, struct fl_quorum_vote *votes,
                            char texts[][FOR_BYTES])
{
    for (size_t i = 0; i < facts->vote_count; i++) {
        size_t used = 0;
        texts[i][0] = 0;
        for (size_t by = 0; by < facts->person_count && !votes[i].for_people.p; by++) {
            for (size_t who = 0; who < facts->person_count; who++) {
                bool is_so = false;
                if (fl_uuid_cmp(&votes[i].person, &facts->people[by].id) == 0)
                    CHECK_OK(fl_quorum_stands_in(facts, &facts->people[by], &facts->people[who],
                                                 &is_so, NULL));
                if (is_so)
                    used += (size_t)snprintf(texts[i] + used, FOR_BYTES - used, "%s%.*s",
                                             used ? "," : "", FL_STR_ARG(facts->people[who].name));
            }
        }
        if (!votes[i].for_people.p)
            votes[i].for_people = fl_str_of(texts[i]);
    }
}

static inline struct fl_quorum count(const struct fl_ask *ask, const struct fl_quorum_vote *votes,
                                     size_t n)
{
    struct fl_quorum q;
    struct fl_quorum_vote cast[PEOPLE];
    char texts[PEOPLE][FOR_BYTES];
    CHECK(n <= PEOPLE);
    if (n)
        memcpy(cast, votes, n * sizeof *cast);
    struct fl_quorum_facts facts = {
        .ask = ask, .people = people, .person_count = PEOPLE, .votes = cast, .vote_count = n
    };
    cast_now(&facts, cast, texts);
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    return q;
}

#define COUNT(ask, ...)                                                                            \
    count((ask), (const struct fl_quorum_vote[]){ __VA_ARGS__ },                                   \
          sizeof((const struct fl_quorum_vote[]){ __VA_ARGS__ }) / sizeof(struct fl_quorum_vote))

static inline struct fl_ask ask_of(const struct fl_threshold *thresholds, size_t n)
{
    static const struct fl_str inbox = { "inbox", 5 };
    return (struct fl_ask){ .thresholds = thresholds,
                            .threshold_count = n,
                            .notify = &inbox,
                            .notify_count = 1,
                            .expires_ms = FL_ASK_EXPIRES_DEFAULT_MS };
}

/* ---- properties over random asks, people and votes ---- */
static uint64_t seed;

static inline unsigned roll(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

enum { CROWD = 8, GROUPS = 3 };
struct world {
    struct fl_str names[GROUPS];
    struct fl_str groups[CROWD][GROUPS];
    struct fl_quorum_person people[CROWD];
    struct fl_str threshold_groups[3][GROUPS];
    struct fl_threshold thresholds[3];
    struct fl_ask ask;
    struct fl_quorum_vote votes[CROWD];
    char for_people[CROWD][FOR_BYTES];
    struct fl_quorum_excluded excluded[2];
    struct fl_quorum_facts facts;
};

static inline void make_world(struct world *w)
{
    static const enum fl_role roles[] = { FL_ROLE_OWNER,    FL_ROLE_ADMIN,   FL_ROLE_APPROVER,
                                          FL_ROLE_APPROVER, FL_ROLE_AUDITOR, FL_ROLE_MEMBER };
    *w = (struct world){ .names = { OPS, FINANCE, LEGAL } };
    for (int i = 0; i < CROWD; i++) {
        struct fl_quorum_person *p = &w->people[i];
        *p = (struct fl_quorum_person){ .id = id_of(i), .groups = w->groups[i] };
        p->name = (struct fl_str){ &"abcdefgh"[i], 1 };
        p->role = roles[roll(FL_COUNTOF(roles))];
        p->is_active = roll(8) != 0;
        for (int g = 0; g < GROUPS; g++) {
            if (roll(2))
                w->groups[i][p->group_count++] = w->names[g];
        }
    }
    w->ask = ask_of(w->thresholds, 1 + roll(3));
    w->ask.is_any = roll(2);
    w->ask.needs_second_factor = roll(4) == 0;
    w->ask.owner_may_approve = roll(4) == 0;
    for (size_t t = 0; t < w->ask.threshold_count; t++) {
        struct fl_threshold *th = &w->thresholds[t];
        th->approve = 1 + roll(3);
        th->deny = 1 + roll(3);
        th->groups = w->threshold_groups[t];
        for (int g = 0; g < GROUPS; g++) {
            if (roll(2))
                w->threshold_groups[t][th->group_count++] = w->names[g];
        }
        th->match = th->group_count ? (enum fl_match)roll(FL_MATCH_COUNT) : FL_MATCH_ANY;
    }
    size_t votes = 0, excluded = roll(3);
    for (int i = 0; i < CROWD; i++) {
        if (roll(3))
            w->votes[votes++] = (struct fl_quorum_vote){ .person = id_of(i),
                                                         .approves = roll(6) != 0,
                                                         .has_second_factor = roll(2) };
    }
    for (size_t i = 0; i < excluded; i++)
        w->excluded[i] =
            (struct fl_quorum_excluded){ id_of((int)roll(CROWD)), (enum fl_exclusion)roll(3) };
    w->facts = (struct fl_quorum_facts){ &w->ask, w->people,   CROWD,   w->votes,
                                         votes,   w->excluded, excluded };
}

static inline struct fl_quorum ask_world(const struct world *w)
{
    struct fl_quorum q;
    CHECK_OK(fl_quorum_count(&w->facts, &q, NULL));
    return q;
}

#define SWAP(type, a, b)                                                                           \
    do {                                                                                           \
        type swap_ = (a);                                                                          \
        (a) = (b);                                                                                 \
        (b) = swap_;                                                                               \
    } while (0)

static inline void check_order_does_not_matter(struct world *w, const struct fl_quorum *before)
{
    for (unsigned i = 0; i < CROWD; i++) {
        unsigned a = roll(CROWD), b = roll(CROWD);
        SWAP(struct fl_quorum_person, w->people[a], w->people[b]);
        if (w->facts.vote_count) {
            a = roll((unsigned)w->facts.vote_count);
            b = roll((unsigned)w->facts.vote_count);
            SWAP(struct fl_quorum_vote, w->votes[a], w->votes[b]);
        }
    }
    SWAP(struct fl_quorum_excluded, w->excluded[0], w->excluded[w->facts.excluded_count == 2]);
    struct fl_quorum after = ask_world(w);
    CHECK_INT(after.state, before->state);
    CHECK_INT(after.is_impossible, before->is_impossible);
    CHECK_INT(after.could_decide, before->could_decide);
    for (size_t t = 0; t < after.threshold_count; t++) {
        CHECK_INT(after.thresholds[t].approvals, before->thresholds[t].approvals);
        CHECK_INT(after.thresholds[t].rejections, before->thresholds[t].rejections);
    }
}

/* An approval is by people who may give it: taking all of one's authority away, or adding a
 * rejection, makes nothing approved that was not. */
static inline void check_no_becomes_no_yes(const struct world *w, const struct fl_quorum *before)
{
    for (int i = 0; i < CROWD && before->state != FL_QUORUM_APPROVED; i++) {
        struct world less = *w;
        less.facts.people = less.people;
        less.people[i].is_active = false;
        CHECK(ask_world(&less).state != FL_QUORUM_APPROVED);
        less = *w;
        less.facts.people = less.people;
        less.people[i].role = FL_ROLE_MEMBER;
        CHECK(ask_world(&less).state != FL_QUORUM_APPROVED);
        less = *w;
        less.facts.excluded = (const struct fl_quorum_excluded[]){
            w->excluded[0], w->excluded[1], { w->people[i].id, FL_EXCLUDED_DELEGATE }
        };
        if (less.facts.excluded_count == 2) {
            less.facts.excluded_count = 3;
            CHECK(ask_world(&less).state != FL_QUORUM_APPROVED);
        }
    }
    for (size_t i = 0; i < w->facts.vote_count; i++) {
        struct world less = *w;
        less.facts.votes = less.votes;
        less.votes[i].approves = false;
        enum fl_quorum_state state = ask_world(&less).state;
        CHECK(before->state == FL_QUORUM_APPROVED || state != FL_QUORUM_APPROVED);
        CHECK(before->state != FL_QUORUM_REJECTED || state == FL_QUORUM_REJECTED);
    }
}

#endif
