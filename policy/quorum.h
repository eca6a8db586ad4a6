/* Counting votes: the frozen ask, the people as they are now and their votes in; open, approved or
 * rejected out. Pure, so that one function serves every channel and can be asked again at dispatch
 * with the authority of that moment: who left, lost the role or the group counts no more.
 *
 * A person counts for a threshold when they are active, are not excluded, have a role that may
 * decide, are in its groups, and satisfy its `where`; an error there means no. One person counts
 * at most once in a threshold, but for every threshold that they satisfy. Rejections win, also one
 * by somebody who fits no threshold any more (they did when they voted): it counts for each.
 * Nobody fits: nobody decides. Called inside the deciding transaction. Any thread.
 *
 * Somebody who is away has a delegate, whose approval may stand for them instead of for the
 * delegate: for one person in all thresholds of a call, whichever brings it further, and not for
 * who has voted themselves. So distinct approvals are distinct people by whoever they are cast, and
 * nothing can be approved with delegates that could not have been without. A rejection counts
 * wherever it could. Who is excluded decides for nobody, nobody decides for them, and a delegate's
 * own delegate gets nothing of what the delegate was given. */
#ifndef FLOPINIO_POLICY_QUORUM_H
#define FLOPINIO_POLICY_QUORUM_H

#include "flopinio/base/id.h"
#include "policy/ask.h"
#include "policy/role.h"

struct fl_quorum_person {
    struct fl_uuid id;
    struct fl_str name;
    enum fl_role role;
    const struct fl_str *groups;
    size_t group_count;
    bool is_active;          /* false: offboarded, suspended, or not a member any more */
    struct fl_uuid delegate; /* they are away now: who decides for them; zero: they are not */
};

/* One per person, their latest. Should a person have more, a rejection among them wins, and one
 * approval counts once. */
struct fl_quorum_vote {
    struct fl_uuid person;
    bool approves;          /* false: rejects */
    bool has_second_factor; /* proved when the vote was cast */
    /* Names with commas between: for whom who were away it was cast, too. An approval stands for
     * nobody else; a rejection counts for each threshold once it does not stand for all of them any
     * more. */
    struct fl_str for_people;
};

enum fl_exclusion {
    FL_EXCLUDED_REQUESTER, /* made the request */
    FL_EXCLUDED_OWNER,     /* owns the agent; lifted by owner_may_approve */
    FL_EXCLUDED_DELEGATE,  /* the agent acts in their name */
    FL_EXCLUDED_EDITOR     /* changed the arguments; lifted by editor_may_approve */
};
struct fl_quorum_excluded {
    struct fl_uuid person;
    enum fl_exclusion why;
};

struct fl_quorum_facts {
    const struct fl_ask *ask;
    const struct fl_quorum_person *people; /* of the organization; who is not here does not count */
    size_t person_count;
    const struct fl_quorum_vote *votes;
    size_t vote_count;
    const struct fl_quorum_excluded *excluded;
    size_t excluded_count;
    bool ignores_delegates; /* everybody counts by themselves alone */
};

enum fl_quorum_state { FL_QUORUM_OPEN, FL_QUORUM_APPROVED, FL_QUORUM_REJECTED };

struct fl_quorum_progress {
    unsigned approvals, needed; /* of match each: summed over the groups */
    unsigned rejections, deny_needed;
    unsigned could_still; /* people who fit by themselves and have not voted */
    bool is_met, is_impossible;
    char text[200]; /* "1 of 2 from ops or finance" */
};

struct fl_quorum {
    enum fl_quorum_state state;
    bool is_impossible; /* open, and no votes of the people there are could approve it */
    unsigned
        could_decide; /* distinct people who have not voted and fit a threshold by themselves */
    size_t threshold_count;
    struct fl_quorum_progress thresholds[FL_THRESHOLDS_MAX];
};

/* FL_OK, or FL_NOMEM and nothing in *ret: then nothing is decided. */
enum fl_code fl_quorum_count(const struct fl_quorum_facts *facts, struct fl_quorum *ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* May this person cast this vote? FL_OK or FL_FORBIDDEN with one sentence for them: "you own the
 * agent that asks". `vote->person` is ignored. FL_NOMEM. */
enum fl_code fl_quorum_may_vote(const struct fl_quorum_facts *facts,
                                const struct fl_quorum_person *person,
                                const struct fl_quorum_vote *vote,
                                struct fl_err *err) FL_MUST_CHECK;
/* Does the vote of `delegate` count somewhere only because they stand in for `away`? FL_NOMEM. */
enum fl_code fl_quorum_stands_in(const struct fl_quorum_facts *facts,
                                 const struct fl_quorum_person *delegate,
                                 const struct fl_quorum_person *away, bool *ret,
                                 struct fl_err *err) FL_MUST_CHECK;
/* How many of these people fit the threshold, nobody excluded; for match each, the most that could
 * count, and never more than it needs. For fl_policy_world.eligible. On no memory 0. */
unsigned fl_quorum_eligible(const struct fl_threshold *threshold,
                            const struct fl_quorum_person *people, size_t count);
/* The same of those who are not away, for themselves or for somebody who is. */
unsigned fl_quorum_present(const struct fl_threshold *threshold,
                           const struct fl_quorum_person *people, size_t count);

#endif
