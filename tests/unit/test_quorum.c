/* Roles, and the counting of votes: who may decide, when it is decided, and that nothing turns a
 * no into a yes. */
#include "flopinio/base/mem.h"
#include "harness.h"
#include "policy/policy.h"
#include "policy/quorum.h"
#include "policy/role.h"
#include "quorum_world.h"

/* ---- roles ---- */

/* Written by hand from what each role is for, not from the table. */
static const struct {
    enum fl_action action;
    const char *who; /* owner, admin, approver, auditor, member */
} matrix[] = {
    { FL_ACTION_DECIDE, "yyy--" },
    { FL_ACTION_STOP, "yyy--" },
    { FL_ACTION_RESUME, "yy---" },
    { FL_ACTION_SETTLE_UNKNOWN, "yyy--" },
    { FL_ACTION_READ_APPROVALS, "yyyy-" },
    { FL_ACTION_READ_OWN_APPROVALS, "yyyyy" },
    { FL_ACTION_CANCEL_OWN_APPROVALS, "yyy-y" },
    { FL_ACTION_READ_AUDIT, "yy-y-" },
    { FL_ACTION_READ_POLICY, "yyyy-" },
    { FL_ACTION_READ_INVENTORY, "yyyy-" },
    { FL_ACTION_BREAK_GLASS, "y----" },
    { FL_ACTION_GRANT, "yy---" },
    { FL_ACTION_REVOKE_GRANTS, "yyy--" },
    { FL_ACTION_MANAGE_POLICY, "yy---" },
    { FL_ACTION_MANAGE_TOOLS, "yy---" },
    { FL_ACTION_MANAGE_AGENTS, "yy---" },
    { FL_ACTION_MANAGE_SETTINGS, "yy---" },
    { FL_ACTION_MANAGE_PEOPLE, "yy---" },
    { FL_ACTION_MANAGE_OWNERS, "y----" },
    { FL_ACTION_MANAGE_TOKENS, "yy---" },
    { FL_ACTION_MANAGE_OWN_TOKENS, "yyyyy" },
    { FL_ACTION_MANAGE_CHANNELS, "yy---" },
    { FL_ACTION_MANAGE_BILLING, "y----" },
    { FL_ACTION_DELETE_ORG, "y----" },
};

static void test_the_role_matrix_is_the_independent_list(void)
{
    static const enum fl_role roles[] = { FL_ROLE_OWNER, FL_ROLE_ADMIN, FL_ROLE_APPROVER,
                                          FL_ROLE_AUDITOR, FL_ROLE_MEMBER };
    CHECK_INT(FL_COUNTOF(matrix), FL_ACTION_COUNT);
    CHECK_INT(FL_COUNTOF(roles), FL_ROLE_COUNT - 1);
    for (size_t i = 0; i < FL_COUNTOF(matrix); i++) {
        CHECK_INT(matrix[i].action, i);
        for (size_t r = 0; r < FL_COUNTOF(roles); r++)
            CHECK_MSG(fl_role_may(roles[r], matrix[i].action) == (matrix[i].who[r] == 'y'),
                      "%s: %s", fl_role_name(roles[r]), fl_action_text(matrix[i].action));
        CHECK(!fl_role_may(FL_ROLE_NONE, matrix[i].action));
    }
}

static void test_what_is_not_in_the_role_table_is_refused(void)
{
    struct fl_err err;
    CHECK(!fl_role_may((enum fl_role)99, FL_ACTION_DECIDE));
    CHECK(!fl_role_may((enum fl_role) - 1, FL_ACTION_DECIDE));
    CHECK(!fl_role_may(FL_ROLE_OWNER, (enum fl_action)99));
    CHECK(!fl_role_may(FL_ROLE_OWNER, (enum fl_action) - 1));
    CHECK_INT(fl_role_parse(FL_STR("owner")), FL_ROLE_OWNER);
    CHECK_INT(fl_role_parse(FL_STR("Owner")), FL_ROLE_NONE);
    CHECK_INT(fl_role_parse(FL_STR("owner ")), FL_ROLE_NONE);
    CHECK_INT(fl_role_parse(FL_STR("none")), FL_ROLE_NONE);
    CHECK_INT(fl_role_parse(FL_STR("")), FL_ROLE_NONE);
    CHECK_STR(fl_role_name((enum fl_role)99), "none");
    CHECK_OK(fl_role_require(FL_ROLE_APPROVER, FL_ACTION_DECIDE, &err));
    CHECK_INT(fl_role_require(FL_ROLE_AUDITOR, FL_ACTION_DECIDE, &err), FL_FORBIDDEN);
    CHECK_STR(err.text, "an auditor may not decide approvals (owner, admin or approver may)");
    CHECK_INT(fl_role_require(FL_ROLE_ADMIN, FL_ACTION_MANAGE_OWNERS, &err), FL_FORBIDDEN);
    CHECK_STR(err.text, "an admin may not make or remove owners (owner may)");
    CHECK_INT(fl_role_require(FL_ROLE_NONE, FL_ACTION_RESUME, &err), FL_FORBIDDEN);
    CHECK_STR(err.text, "without a role nobody may resume calls (owner or admin may)");
    CHECK_INT(fl_role_require((enum fl_role)77, (enum fl_action)77, NULL), FL_FORBIDDEN);
}

static void test_one_person_whose_role_may_decide_is_enough_by_default(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    struct fl_quorum q = count(&ask, NULL, 0);
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK(!q.is_impossible);
    CHECK_INT(q.could_decide, 5); /* all but the auditor */
    CHECK_STR(q.thresholds[0].text, "0 of 1 from anybody who may decide");
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, no(DAN)).state, FL_QUORUM_REJECTED);
    CHECK_INT(COUNT(&ask, yes(EVE)).state, FL_QUORUM_OPEN); /* an auditor decides nothing */
    people[DAN].role = FL_ROLE_MEMBER;
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_OPEN);
    people[DAN].role = FL_ROLE_NONE;
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_OPEN);
    people[DAN].role = FL_ROLE_OWNER;
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_APPROVED);
}

static void test_rejections_win(void)
{
    const struct fl_threshold t = { .approve = 2, .deny = 2 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    CHECK_INT(COUNT(&ask, yes(ANA), yes(BEN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(ANA), yes(BEN), no(CAT)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(ANA), yes(BEN), no(CAT), no(DAN)).state, FL_QUORUM_REJECTED);
    CHECK_INT(COUNT(&ask, yes(ANA), no(CAT)).state, FL_QUORUM_OPEN);
    /* One person with both votes rejects. */
    CHECK_INT(COUNT(&ask, yes(ANA), no(BEN), yes(BEN)).state, FL_QUORUM_OPEN);
}

static void test_a_person_counts_once(void)
{
    const struct fl_threshold t = { .approve = 2, .deny = 2 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    CHECK_INT(COUNT(&ask, yes(ANA), yes(ANA)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, no(ANA), no(ANA)).state, FL_QUORUM_OPEN);
    people[BEN] = people[ANA]; /* the same person listed twice */
    struct fl_quorum q = COUNT(&ask, yes(ANA));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(q.thresholds[0].approvals, 1);
    q = COUNT(&ask, no(ANA));
    CHECK_INT(q.thresholds[0].rejections, 1);
}

static void test_thresholds_are_all_needed_unless_any(void)
{
    const struct fl_threshold t[] = {
        { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 },
        { .approve = 1, .deny = 1, .groups = &FINANCE, .group_count = 1 },
    };
    struct fl_ask ask = ask_of(t, 2);
    set_people();
    struct fl_quorum q = COUNT(&ask, yes(ANA));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK(q.thresholds[0].is_met && !q.thresholds[1].is_met);
    CHECK_INT(q.could_decide, 2); /* Ben and Cat */
    CHECK_STR(q.thresholds[1].text, "0 of 1 from finance");
    CHECK_INT(COUNT(&ask, yes(ANA), yes(BEN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(CAT)).state, FL_QUORUM_APPROVED); /* in both groups */
    CHECK_INT(COUNT(&ask, yes(DAN)).state, FL_QUORUM_OPEN);     /* an admin, in neither */
    CHECK_INT(COUNT(&ask, yes(CAT), no(BEN)).state, FL_QUORUM_REJECTED);
    ask.is_any = true;
    CHECK_INT(COUNT(&ask, yes(ANA)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(ANA), no(BEN)).state, FL_QUORUM_REJECTED);
}

static void test_groups_are_read_as_any_all_or_each(void)
{
    const struct fl_str both[] = { OPS, FINANCE };
    struct fl_threshold t = { .approve = 1, .deny = 1, .groups = both, .group_count = 2 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    CHECK_INT(COUNT(&ask, yes(BEN)).state, FL_QUORUM_APPROVED);
    CHECK_STR(COUNT(&ask, yes(BEN)).thresholds[0].text, "1 of 1 from ops or finance");
    t.match = FL_MATCH_ALL;
    CHECK_INT(COUNT(&ask, yes(BEN), yes(ANA)).state, FL_QUORUM_OPEN);
    CHECK_INT(COUNT(&ask, yes(CAT)).state, FL_QUORUM_APPROVED);
    CHECK_STR(COUNT(&ask, yes(CAT)).thresholds[0].text, "1 of 1 from ops and finance together");
    t.match = FL_MATCH_EACH;
    CHECK_INT(COUNT(&ask, yes(CAT)).state, FL_QUORUM_OPEN); /* two people are needed */
    CHECK_STR(COUNT(&ask, yes(CAT)).thresholds[0].text, "1 of 2 from each of ops and finance");
    CHECK_INT(COUNT(&ask, yes(ANA), yes(BEN)).state, FL_QUORUM_APPROVED);
    /* Cat has to sit for the group that the other one is not in, whoever comes first. */
    CHECK_INT(COUNT(&ask, yes(CAT), yes(ANA)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, yes(CAT), yes(BEN)).state, FL_QUORUM_APPROVED);
    CHECK_INT(fl_quorum_eligible(&t, people, PEOPLE), 2);
    t.approve = 2; /* two of each are four people, and there are three */
    CHECK_INT(fl_quorum_eligible(&t, people, PEOPLE), 3);
    CHECK(COUNT(&ask, yes(CAT)).is_impossible);
}

static void test_an_empty_set_of_people_is_nobody(void)
{
    const struct fl_str nobody = { "nobody", 6 };
    const struct fl_threshold t = { .approve = 1, .deny = 1, .groups = &nobody, .group_count = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    set_people();
    struct fl_quorum q = COUNT(&ask, yes(ANA), yes(BEN), yes(CAT), yes(DAN));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK(q.is_impossible);
    CHECK_INT(q.could_decide, 0);
    CHECK_INT(fl_quorum_eligible(&t, people, PEOPLE), 0);
    struct fl_quorum_facts facts = { .ask = &ask };
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK(q.state == FL_QUORUM_OPEN && q.is_impossible);
}

static void test_who_left_or_was_excluded_does_not_approve(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    const struct fl_quorum_vote votes[] = { yes(ANA), yes(BEN), yes(CAT) };
    const struct fl_quorum_excluded out[] = { { id_of(ANA), FL_EXCLUDED_OWNER },
                                              { id_of(BEN), FL_EXCLUDED_REQUESTER },
                                              { id_of(CAT), FL_EXCLUDED_DELEGATE } };
    struct fl_quorum_facts facts = { .ask = &ask,
                                     .people = people,
                                     .person_count = PEOPLE,
                                     .votes = votes,
                                     .vote_count = 3,
                                     .excluded = out,
                                     .excluded_count = 3 };
    struct fl_quorum q;
    set_people();
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(q.could_decide, 2); /* Dan and Fay */
    ask.owner_may_approve = true; /* lifts the owner's exclusion and no other */
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK_INT(q.state, FL_QUORUM_APPROVED);
    CHECK_INT(q.thresholds[0].approvals, 1);
    people[ANA].is_active = false;
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    facts.person_count = 0; /* not a member any more */
    CHECK_OK(fl_quorum_count(&facts, &q, NULL));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
}

static void test_a_rejection_outlives_the_authority_of_who_cast_it(void)
{
    const struct fl_threshold t[] = {
        { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 },
        { .approve = 1, .deny = 2, .groups = &FINANCE, .group_count = 1 },
    };
    struct fl_ask ask = ask_of(t, 2);
    set_people();
    people[ANA].is_active = false;
    CHECK_INT(COUNT(&ask, no(ANA), yes(CAT)).state, FL_QUORUM_REJECTED);
    people[ANA].is_active = true;
    people[ANA].role = FL_ROLE_MEMBER;
    CHECK_INT(COUNT(&ask, no(ANA), yes(CAT)).state, FL_QUORUM_REJECTED);
    /* and of somebody who is not in the organization any more */
    CHECK_INT(COUNT(&ask, (struct fl_quorum_vote){ .person = id_of(99) }, yes(CAT)).state,
              FL_QUORUM_REJECTED);
    CHECK_INT(COUNT(&ask, yes(99), yes(ANA)).state, FL_QUORUM_OPEN);
}

static void test_a_second_factor_is_needed_to_approve_only(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    struct fl_quorum_vote with = yes(ANA);
    ask.needs_second_factor = with.has_second_factor = true;
    set_people();
    struct fl_quorum q = COUNT(&ask, yes(ANA));
    CHECK_INT(q.state, FL_QUORUM_OPEN);
    CHECK_INT(q.could_decide, 5); /* Ana can still do it with one */
    CHECK_INT(COUNT(&ask, with).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, with, yes(ANA)).state, FL_QUORUM_APPROVED);
    CHECK_INT(COUNT(&ask, no(ANA)).state, FL_QUORUM_REJECTED);
}

static struct fl_cel *compile_where(const char *text)
{
    static const struct fl_cel_var vars[] = { { "person.name", "s" },
                                              { "person.role", "s" },
                                              { "person.groups", "[s" } };
    const struct fl_cel_env env = { .vars = vars, .var_count = 3 };
    struct fl_cel *program = NULL;
    CHECK_OK(fl_cel_compile(fl_str_of(text), &env, &program, NULL));
    return program;
}

static void test_a_predicate_narrows_and_its_error_is_a_no(void)
{
    static const struct {
        const char *where;
        int who;
        bool fits;
    } cases[] = {
        { "person.role == 'admin'", DAN, true },
        { "person.role == 'admin'", ANA, false },
        { "'finance' in person.groups", CAT, true },
        { "'finance' in person.groups", ANA, false },
        { "person.name == 'Ana'", ANA, true },
        { "person.groups[0] == 'ops'", DAN, false }, /* has none: an error */
        { "1 / 0 == 1", ANA, false },
        { "dyn('yes')", ANA, false }, /* not a bool */
        { "dyn(true)", ANA, true },
        { "true", EVE, false }, /* cannot give what the role does not */
    };
    set_people();
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct fl_cel *program = compile_where(cases[i].where);
        const struct fl_threshold t = {
            .approve = 1, .deny = 1, .where = fl_str_of(cases[i].where), .where_program = program
        };
        struct fl_ask ask = ask_of(&t, 1);
        CHECK_MSG(COUNT(&ask, yes(cases[i].who)).state ==
                      (cases[i].fits ? FL_QUORUM_APPROVED : FL_QUORUM_OPEN),
                  "%s", cases[i].where);
        fl_cel_free(&program);
    }
}

static void test_who_may_not_vote_is_told_why(void)
{
    const struct fl_threshold t = { .approve = 1, .deny = 1, .groups = &OPS, .group_count = 1 };
    struct fl_ask ask = ask_of(&t, 1);
    ask.needs_second_factor = true;
    const struct fl_quorum_excluded out[] = { { id_of(ANA), FL_EXCLUDED_OWNER },
                                              { id_of(DAN), FL_EXCLUDED_DELEGATE },
                                              { id_of(BEN), FL_EXCLUDED_OWNER },
                                              { id_of(BEN), FL_EXCLUDED_REQUESTER } };
    const struct fl_quorum_facts facts = { .ask = &ask, .excluded = out, .excluded_count = 4 };
    struct fl_quorum_vote vote = { .approves = true };
    struct fl_err err;
    set_people();
    people[FAY].is_active = false;
    static const struct {
        int who;
        const char *text;
    } cases[] = {
        { ANA, "you own the agent that asks, so somebody else decides it" },
        { BEN, "you made this request, so somebody else decides it" },
        { DAN, "the agent acts in your name, so somebody else decides it" },
        { EVE, "an auditor may not decide approvals (owner, admin or approver may)" },
        { FAY, "you are not an active member of the organization" },
        { CAT, "approving this needs a second factor" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        CHECK_INT(fl_quorum_may_vote(&facts, &people[cases[i].who], &vote, &err), FL_FORBIDDEN);
        CHECK_STR(err.text, cases[i].text);
    }
    vote.has_second_factor = true;
    CHECK_OK(fl_quorum_may_vote(&facts, &people[CAT], &vote, &err));
    vote = (struct fl_quorum_vote){ .approves = false };
    CHECK_OK(fl_quorum_may_vote(&facts, &people[CAT], &vote, &err));
    const struct fl_quorum_facts nobody = { .ask = &ask };
    CHECK_INT(fl_quorum_may_vote(&nobody, &people[BEN], &vote, &err), FL_FORBIDDEN);
    CHECK_STR(err.text,
              "this is for others to decide: its rule asks people that you are not one of");
    ask.owner_may_approve = true;
    CHECK_OK(fl_quorum_may_vote(&facts, &people[ANA], &vote, &err));
    CHECK_INT(fl_quorum_may_vote(&facts, &people[BEN], &vote, &err), FL_FORBIDDEN);
}

/* The definition, done the slow way: try every way to seat the approvers. */
static unsigned most_seated(const struct world *w, const struct fl_threshold *t, const bool *counts,
                            int person, unsigned taken[GROUPS])
{
    if (person == CROWD)
        return 0;
    unsigned best = most_seated(w, t, counts, person + 1, taken);
    for (size_t g = 0; counts[person] && g < t->group_count; g++) {
        bool is_in = false;
        for (size_t k = 0; k < w->people[person].group_count; k++)
            is_in |= fl_str_eq(w->people[person].groups[k], t->groups[g]);
        if (!is_in || taken[g] == t->approve)
            continue;
        taken[g]++;
        unsigned here = 1 + most_seated(w, t, counts, person + 1, taken);
        taken[g]--;
        best = here > best ? here : best;
    }
    return best;
}

static void check_by_definition(const struct world *w, const struct fl_quorum *q)
{
    size_t met = 0;
    for (size_t i = 0; i < w->ask.threshold_count; i++) {
        const struct fl_threshold *t = &w->thresholds[i];
        bool counts[CROWD] = { false };
        unsigned approvers = 0, taken[GROUPS] = { 0 };
        for (int p = 0; p < CROWD; p++) {
            const struct fl_quorum_person *person = &w->people[p];
            size_t hits = 0;
            bool is_fit = person->is_active && person->role != FL_ROLE_AUDITOR &&
                          person->role != FL_ROLE_MEMBER,
                 approves = false;
            for (size_t g = 0; g < t->group_count; g++) {
                for (size_t k = 0; k < person->group_count; k++)
                    hits += fl_str_eq(person->groups[k], t->groups[g]);
            }
            is_fit &=
                t->match == FL_MATCH_ALL ? hits == t->group_count : hits > 0 || t->group_count == 0;
            for (size_t k = 0; k < w->facts.excluded_count; k++)
                is_fit &= fl_uuid_cmp(&w->excluded[k].person, &person->id) != 0 ||
                          (w->excluded[k].why == FL_EXCLUDED_OWNER && w->ask.owner_may_approve);
            for (size_t k = 0; k < w->facts.vote_count; k++)
                approves |= fl_uuid_cmp(&w->votes[k].person, &person->id) == 0 &&
                            w->votes[k].approves &&
                            (w->votes[k].has_second_factor || !w->ask.needs_second_factor);
            counts[p] = is_fit && approves;
            approvers += counts[p];
        }
        unsigned needed = t->approve * (t->match == FL_MATCH_EACH ? (unsigned)t->group_count : 1);
        unsigned got = t->match == FL_MATCH_EACH ? most_seated(w, t, counts, 0, taken) : approvers;
        CHECK_INT(q->thresholds[i].approvals, got < needed ? got : needed);
        met += got >= needed;
    }
    bool is_enough = met >= (w->ask.is_any ? 1 : w->ask.threshold_count);
    CHECK(q->state == FL_QUORUM_REJECTED || (q->state == FL_QUORUM_APPROVED) == is_enough);
    CHECK(!q->is_impossible || !is_enough);
}

static void test_random_votes_obey_the_promises(void)
{
    unsigned seen[3] = { 0 }, impossible = 0;
    for (seed = 1; seed < 200000 && seen[0] + seen[1] + seen[2] < 4000;) {
        uint64_t start = seed;
        struct world w;
        make_world(&w);
        struct fl_quorum q = ask_world(&w);
        seen[q.state]++;
        impossible += q.is_impossible;
        check_by_definition(&w, &q);
        check_no_becomes_no_yes(&w, &q);
        check_order_does_not_matter(&w, &q);
        seed = start + 1;
    }
    /* Each outcome has to be among what was tried, or the checks above said nothing. */
    CHECK_INT(seen[0] + seen[1] + seen[2], 4000);
    CHECK(seen[FL_QUORUM_OPEN] > 400 && seen[FL_QUORUM_APPROVED] > 400 &&
          seen[FL_QUORUM_REJECTED] > 400 && impossible > 100);
}

static void test_without_memory_nothing_is_decided(void)
{
    const struct fl_str both[] = { OPS, FINANCE };
    struct fl_cel *program = compile_where("person.name != 'Zoe'");
    const struct fl_threshold t[] = {
        { .approve = 1, .deny = 1, .groups = both, .group_count = 2, .match = FL_MATCH_EACH },
        { .approve = 1, .deny = 1, .where = FL_STR("x"), .where_program = program },
    };
    struct fl_ask ask = ask_of(t, 2);
    const struct fl_quorum_vote votes[] = { yes(ANA), yes(BEN) };
    struct fl_quorum_facts facts = {
        .ask = &ask, .people = people, .person_count = PEOPLE, .votes = votes, .vote_count = 2
    };
    unsigned failures = 0;
    set_people();
    for (uint64_t n = 1;; n++) {
        struct fl_quorum q = { .threshold_count = 77 };
        struct fl_err err = { 0 };
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_quorum_count(&facts, &q, &err);
        bool was_hit = fl_mem_fail_at(0, 0) >= n;
        if (code) {
            CHECK_INT(code, FL_NOMEM);
            CHECK_INT(err.code, FL_NOMEM);
            CHECK_INT(q.threshold_count, 77);
            failures++;
        } else {
            CHECK_INT(q.state, FL_QUORUM_APPROVED); /* only a text may have been cut short */
        }
        if (!was_hit)
            break;
    }
#ifdef FL_ARENA_MALLOC
    CHECK(failures >= 10);
#else
    CHECK(failures >= 1); /* an arena's pieces come from one that was kept */
#endif
    for (uint64_t n = 1; n < 100; n++) {
        struct fl_quorum_vote vote = { .approves = true };
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_quorum_may_vote(&facts, &people[DAN], &vote, NULL);
        if (fl_mem_fail_at(0, 0) < n)
            break;
        CHECK_INT(code, FL_NOMEM);
    }
    fl_cel_free(&program);
}

static const struct fl_test tests[] = {
    T(the_role_matrix_is_the_independent_list),
    T(what_is_not_in_the_role_table_is_refused),
    T(one_person_whose_role_may_decide_is_enough_by_default),
    T(rejections_win),
    T(a_person_counts_once),
    T(thresholds_are_all_needed_unless_any),
    T(groups_are_read_as_any_all_or_each),
    T(an_empty_set_of_people_is_nobody),
    T(who_left_or_was_excluded_does_not_approve),
    T(a_rejection_outlives_the_authority_of_who_cast_it),
    T(a_second_factor_is_needed_to_approve_only),
    T(a_predicate_narrows_and_its_error_is_a_no),
    T(who_may_not_vote_is_told_why),
    T_LIMIT(random_votes_obey_the_promises, 30),
    T(without_memory_nothing_is_decided),
};
TEST_MAIN(tests)
