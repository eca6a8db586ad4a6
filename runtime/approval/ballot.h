/* An approval's people, votes and thresholds, from the rows of one transaction. */
#ifndef FLOPINIO_APPROVAL_BALLOT_H
#define FLOPINIO_APPROVAL_BALLOT_H

#include "policy/quorum.h"
#include "runtime/store/approval.h"

struct fl_ballot_vote {
    struct fl_uuid person;
    struct fl_str name, reason, via;
    struct fl_str for_people; /* names of those whom they stood in for; p NULL: nobody */
    bool approves, has_second_factor, is_owner;
    int64_t at_ms;
};

struct fl_ballot {
    struct fl_quorum_person *people;
    int64_t *away_until_ms; /* of each who is away now */
    size_t person_count;
    struct fl_ballot_vote *voters; /* in the order of time */
    struct fl_quorum_vote *votes;  /* the same, as the quorum counts; room for one more */
    size_t vote_count;
    struct fl_quorum_excluded *excluded;
    size_t excluded_count;
};

/* From fl_store_people and fl_store_votes. Excluded is who owned the agent when it asked, who owns
 * it now, and everybody who changed the call. FL_NOMEM. */
enum fl_code fl_ballot_read(struct fl_ballot *ballot, struct fl_arena *arena,
                            const struct fl_query *people, const struct fl_query *votes,
                            const struct fl_approval *row, struct fl_err *err) FL_MUST_CHECK;
/* Do they own the agent, then or now? */
bool fl_ballot_is_owner(const struct fl_ballot *ballot, const struct fl_uuid *person);
/* Are they left out for whatever reason, also one that a rule would lift? */
bool fl_ballot_is_excluded(const struct fl_ballot *ballot, const struct fl_uuid *person);
/* The facts for the quorum under this ask. */
void fl_ballot_facts(const struct fl_ballot *ballot, const struct fl_ask *ask,
                     struct fl_quorum_facts *ret);
/* NULL if they are no member. */
const struct fl_quorum_person *fl_ballot_person(const struct fl_ballot *ballot,
                                                const struct fl_uuid *id);
/* Adds or replaces this person's vote. `for_people`: as fl_ballot_stands_in says; borrowed. */
void fl_ballot_vote(struct fl_ballot *ballot, const struct fl_uuid *person, bool approves,
                    bool has_second_factor, struct fl_str for_people);
/* Those for whom this one's vote would count as they are away, names joined with commas, in the
 * arena; p NULL: nobody. FL_NOMEM. */
enum fl_code fl_ballot_stands_in(const struct fl_ballot *ballot, const struct fl_ask *ask,
                                 const struct fl_quorum_person *person, struct fl_arena *arena,
                                 struct fl_str *ret, struct fl_err *err) FL_MUST_CHECK;
/* Progress of every threshold, "1 of 2 from ops; 0 of 1 from finance". */
void fl_ballot_progress(const struct fl_quorum *quorum, struct fl_buf *out);

#endif
