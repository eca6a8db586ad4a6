/* Counting with people away: an approval stands for one person, whoever casts it. */
#include "quorum_world.h"

static void test_a_delegate_votes_where_who_is_away_would(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
    people[ANA].delegate = id_of(BEN);
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, no(BEN)).state, FL_QUORUM_REJECTED);
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_OPEN);
    /* Whoever may not decide, decides for nobody, and nobody decides for them. */
    people[BEN].role = FL_ROLE_AUDITOR;
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
    people[BEN].role = FL_ROLE_APPROVER;
    people[BEN].is_active = false;
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
    people[BEN].is_active = true;
    people[ANA].is_active = false;
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
    people[ANA].is_active = true;
    people[ANA].role = FL_ROLE_MEMBER;
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
}

static void test_a_delegation_is_not_passed_on(void)
{
    const struct fl_threshold ops = { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 };
    const struct fl_threshold finance = {
        .approve = 1, .deny = 1, .groups = &FINANCE, .group_count = 1
    };
    struct fl_ask ask = ask_of(&ops, 1), other = ask_of(&finance, 1);
    set_people();
    people[ANA].delegate = id_of(BEN);
    people[BEN].delegate = id_of(DAN);
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&other, yes(DAN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_APPROVED);
}

static void test_who_is_away_and_their_delegate_are_one(void)
{
    const struct fl_threshold t = { .approve = 2, .deny = 2, .groups = &OPS, .group_count = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    people[ANA].delegate = id_of(BEN);
    struct fl_quorum q = COUNT(&ask, yes(ANA), yes(BEN));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(q.thresholds[0].approvals, 1);
    CHECK_INT(COUNT(&ask, yes(BEN), yes(CAT)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, no(ANA), no(BEN)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, no(BEN), no(CAT)).state, FL_QUORUM_REJECTED);
    /* Who is an approver already adds no second vote. */
    people[ANA].delegate = id_of(CAT);
    q = COUNT(&ask, yes(CAT));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(q.thresholds[0].approvals, 1);
    CHECK(!q.is_impossible);
    CHECK_INT(COUNT(&ask, yes(CAT), yes(ANA)).state, FL_QUORUM_APPROVED);
    /* It goes on to count when it stands for nobody any more. */
    struct fl_quorum_vote lent = no(BEN);
    lent.for_people = people[ANA].name;
    people[ANA].delegate = (struct fl_uuid){ { 0 } };
    CHECK_INT(COUNT(&ask, lent, no(CAT)).state, FL_QUORUM_REJECTED);
    /* What either of them rejects is rejected. */
    const struct fl_threshold one = { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 };
    ask = ask_of(&one, 1);
    people[ANA].delegate = id_of(BEN);
    CHECK_INT(COUNT(&ask, yes(ANA), no(BEN)).state, FL_QUORUM_REJECTED);
    CHECK_INT(COUNT(&ask, no(ANA), yes(BEN)).state, FL_QUORUM_REJECTED);
}

/* Four eyes stay four: one from each of two groups, and one of the groups' people is away. */
static void test_a_vote_stands_for_one_person(void)
{
    const struct fl_threshold t[] = {
        { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 },
        { .approve = 1, .deny = 1, .groups = &FINANCE, .group_count = 1 },
    };
    const struct fl_str both[] = { OPS, FINANCE };
    struct fl_threshold each = {
        .approve = 1, .deny = 1, .groups = both, .group_count = 2, .match = FL_MATCH_EACH
    };
    struct fl_ask ask = ask_of(t, 2);
    set_people();
    groups_of[DAN][0] = FINANCE;
    people[DAN].group_count = 1;
    people[ANA].delegate = id_of(BEN);
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, yes(BEN), yes(DAN)).state, FL_QUORUM_APPROVED); /* Ben is for Ana */
    CHECK_INT(COUNT(&ask, yes(BEN), yes(ANA)).state, FL_QUORUM_APPROVED);
    struct fl_ask seats = ask_of(&each, 1);
    CHECK_INT(COUNT(&seats, yes(BEN)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&seats, yes(BEN), yes(DAN)).state, FL_QUORUM_APPROVED);
    /* Two who are away, and one who decides for both. */
    people[BEN].delegate = people[ANA].delegate = id_of(FAY);
    CHECK_INT(COUNT(&ask, yes(FAY)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, yes(FAY), yes(DAN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(FAY), yes(ANA)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&seats, yes(FAY)).state, FL_QUORUM_OPEN);
    people[CAT].delegate = id_of(FAY); /* she alone would have been enough */
    CHECK_INT(COUNT(&ask, yes(FAY)).state, FL_QUORUM_APPROVED);
}

/* Who approved before somebody went away did not do it for them, and who rejects for one person
 * does not do it for the next one. */
static void test_a_vote_stands_for_whom_it_was_cast(void)
{
    const struct fl_threshold t[] = {
        { .approve = 1, .deny = 2, .groups = &OPS, .group_count = 1 },
        { .approve = 1, .deny = 2, .groups = &FINANCE, .group_count = 1 },
    };
    struct fl_ask ask = ask_of(t, 2);
    struct fl_quorum_vote before = yes(BEN), lent = no(FAY);
    set_people();
    groups_of[DAN][0] = FINANCE;
    people[DAN].group_count = 1;
    people[ANA].delegate = id_of(BEN);
    before.for_people = FL_STR("");
    CHECK_INT(COUNT(&ask, before, yes(DAN)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, yes(BEN), yes(DAN)).state, FL_QUORUM_APPROVED);
    before.for_people = people[CAT].name;
    CHECK_INT(COUNT(&ask, before, yes(DAN)).state, FL_QUORUM_OPEN);
    /* Fay rejected for Ana, who is back; Ben has gone: it is not lost where it was cast. */
    set_people();
    lent.for_people = people[ANA].name;
    people[BEN].delegate = id_of(FAY);
    CHECK_INT(COUNT(&ask, lent, no(CAT)).state, FL_QUORUM_REJECTED);
}

static void test_no_delegation_reaches_who_is_excluded(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    const struct fl_quorum_vote votes[] = { yes(ANA), yes(BEN) };
    struct fl_quorum_excluded out = { id_of(ANA), FL_EXCLUDED_OWNER };
    struct fl_quorum_facts facts = { .ask = &ask,
                                     .people = people,
                                     .person_count = PEOPLE,
                                     .votes = &votes[1],
                                     .vote_count = 1,
                                     .excluded = &out,
                                     .excluded_count = 1 };
    struct fl_quorum q;
    struct fl_err err;
    bool is_so = true;
    set_people();
    people[ANA].delegate = id_of(BEN);
    CHECK_OK(fl_quorum_count(&facts, &q, NULL)); /* for the agent's owner */
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(fl_quorum_may_vote(&facts, &people[BEN], &votes[1], &err), FL_FORBIDDEN);
    CHECK_OK(fl_quorum_stands_in(&facts, &people[BEN], &people[ANA], &is_so, &err));
    CHECK(!is_so);
    out = (struct fl_quorum_excluded){ id_of(BEN), FL_EXCLUDED_REQUESTER };
    CHECK_OK(fl_quorum_count(&facts, &q, NULL)); /* by who made the request */
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(fl_quorum_may_vote(&facts, &people[BEN], &votes[1], &err), FL_FORBIDDEN);
    facts.excluded_count = 0;
    CHECK_OK(fl_quorum_may_vote(&facts, &people[BEN], &votes[1], &err));
    CHECK_OK(fl_quorum_stands_in(&facts, &people[BEN], &people[ANA], &is_so, &err));
    CHECK(is_so);
    CHECK_OK(fl_quorum_stands_in(&facts, &people[CAT], &people[ANA], &is_so, &err));
    CHECK(!is_so);
    facts.ignores_delegates = true;
    CHECK_INT(fl_quorum_may_vote(&facts, &people[BEN], &votes[1], &err), FL_FORBIDDEN);
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
}

static void test_who_is_there_is_counted_with_delegates(void)
{
    struct fl_threshold t = { .approve = 2, .deny = 1, .groups = &OPS, .group_count = 1 };
    set_people(); /* Ana and Cat; Eve is an auditor */
    CHECK_INT(fl_quorum_present(&t, people, PEOPLE), 2);
    people[ANA].delegate = id_of(CAT); /* one person for two */
    CHECK_INT(fl_quorum_eligible(&t, people, PEOPLE), 2);
    CHECK_INT(fl_quorum_present(&t, people, PEOPLE), 1);
    people[ANA].delegate = id_of(DAN);
    CHECK_INT(fl_quorum_present(&t, people, PEOPLE), 2);
    people[DAN].delegate = id_of(BEN);
    CHECK_INT(fl_quorum_present(&t, people, PEOPLE), 1);
    people[DAN].delegate = (struct fl_uuid){ { 0 } };
    people[DAN].role = FL_ROLE_MEMBER;
    CHECK_INT(fl_quorum_present(&t, people, PEOPLE), 1);
}

/* ---- the same with people away ---- */
static void send_away(struct world *w)
{
    for (int i = 0; i < CROWD; i++) {
        unsigned to = roll(CROWD);
        if (roll(2) && (int)to != i)
            w->people[i].delegate = id_of((int)to);
    }
}

static const struct fl_quorum_vote *vote_of(const struct world *w, int who)
{
    struct fl_uuid id = id_of(who);
    for (size_t i = 0; i < w->facts.vote_count; i++) {
        if (fl_uuid_cmp(&w->facts.votes[i].person, &id) == 0)
            return &w->facts.votes[i];
    }
    return NULL;
}

static bool decides(const struct world *w, int who)
{
    enum fl_role role = w->people[who].role;
    bool is_out = !w->people[who].is_active || role == FL_ROLE_AUDITOR || role == FL_ROLE_MEMBER;
    for (size_t k = 0; k < w->facts.excluded_count; k++)
        is_out |= fl_uuid_cmp(&w->excluded[k].person, &w->people[who].id) == 0 &&
                  !(w->excluded[k].why == FL_EXCLUDED_OWNER && w->ask.owner_may_approve);
    return !is_out;
}

static bool is_enough(const struct fl_quorum *q, const struct fl_ask *ask)
{
    size_t met = 0;
    for (size_t i = 0; i < q->threshold_count; i++)
        met += q->thresholds[i].is_met;
    return met >= (ask->is_any ? 1 : q->threshold_count);
}

/* As if each approval had been given by the one whom it stands for: is there a way to be enough? */
static bool is_enough_for_some(const struct world *w, int who, struct fl_quorum_vote *votes,
                               size_t n)
{
    if (who == CROWD) {
        struct world plain = *w;
        struct fl_quorum q;
        plain.facts.people = plain.people;
        for (int i = 0; i < CROWD; i++)
            plain.people[i].delegate = (struct fl_uuid){ { 0 } };
        plain.facts.votes = votes;
        plain.facts.vote_count = n;
        CHECK_OK(fl_quorum_count(&plain.facts, &q, NULL));
        return is_enough(&q, &w->ask);
    }
    const struct fl_quorum_vote *v = vote_of(w, who);
    bool approves = v && v->approves && (v->has_second_factor || !w->ask.needs_second_factor);
    if (!approves)
        return is_enough_for_some(w, who + 1, votes, n);
    votes[n] = *v;
    bool is_so = is_enough_for_some(w, who + 1, votes, n + 1);
    for (int i = 0; i < CROWD && decides(w, who) && !is_so; i++) {
        const struct fl_quorum_vote *own = vote_of(w, i);
        bool is_vacant = !own ||
                         (own->approves && w->ask.needs_second_factor && !own->has_second_factor) ||
                         !decides(w, i);
        if (!is_vacant || fl_uuid_cmp(&w->people[i].delegate, &w->people[who].id) != 0)
            continue;
        votes[n] = (struct fl_quorum_vote){ w->people[i].id, true, true, FL_STR("") };
        is_so = is_enough_for_some(w, who + 1, votes, n + 1);
    }
    return is_so;
}

static void test_delegates_approve_what_those_could_for_whom_they_do(void)
{
    unsigned seen[3] = { 0 }, with_help = 0;
    for (uint64_t start = 1; start < 4000; start++) {
        struct fl_quorum_vote votes[CROWD];
        struct world w;
        seed = start;
        make_world(&w);
        struct fl_quorum alone = ask_world(&w);
        send_away(&w);
        cast_now(&w.facts, w.votes, w.for_people);
        struct fl_quorum q = ask_world(&w);
        seen[q.state]++;
        with_help += q.state == FL_QUORUM_APPROVED && alone.state == FL_QUORUM_OPEN;
        CHECK(is_enough(&q, &w.ask) == is_enough_for_some(&w, 0, votes, 0));
        CHECK(is_enough(&q, &w.ask) || !is_enough(&alone, &w.ask));
        CHECK(!q.is_impossible || !is_enough(&q, &w.ask));
        check_no_becomes_no_yes(&w, &q);
        check_order_does_not_matter(&w, &q);
    }
    CHECK(seen[FL_QUORUM_OPEN] > 400 && seen[FL_QUORUM_APPROVED] > 400 &&
          seen[FL_QUORUM_REJECTED] > 400 && with_help > 15);
}

static const struct fl_test tests[] = {
    T(a_delegate_votes_where_who_is_away_would),
    T(a_delegation_is_not_passed_on),
    T(who_is_away_and_their_delegate_are_one),
    T(a_vote_stands_for_one_person),
    T(a_vote_stands_for_whom_it_was_cast),
    T(no_delegation_reaches_who_is_excluded),
    T(who_is_there_is_counted_with_delegates),
    T_LIMIT(delegates_approve_what_those_could_for_whom_they_do, 30),
};
TEST_MAIN(tests)
