/* Shared by the counting of votes (quorum.c) and who counts where (quorum_places.c). */
#ifndef FLOPINIO_POLICY_QUORUM_PRIV_H
#define FLOPINIO_POLICY_QUORUM_PRIV_H

#include "policy/quorum.h"

bool fl_quorum_may_decide(const struct fl_quorum_person *person);
/* Is `away` away, and does this person decide for them? */
bool fl_quorum_decides_for(const struct fl_quorum_person *person,
                           const struct fl_quorum_person *away);
/* Where in the threshold they count by themselves, a bit each: for match each the groups they could
 * be counted for, else the one place there is. 0: they do not. FL_NOMEM. */
enum fl_code fl_quorum_places(const struct fl_threshold *threshold,
                              const struct fl_quorum_person *person, unsigned *ret) FL_MUST_CHECK;
unsigned fl_quorum_needed(const struct fl_threshold *threshold);
/* How many of those with these places (none of them 0) count: for match each as many as can be
 * seated, else all. FL_NOMEM. */
enum fl_code fl_quorum_seat(const struct fl_threshold *threshold, const unsigned *places,
                            size_t count, unsigned *ret) FL_MUST_CHECK;

#endif
