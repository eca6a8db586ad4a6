/* Table vote, and the people of an organization as those who decide. Loop thread. */
#ifndef FLOPINIO_STORE_VOTE_H
#define FLOPINIO_STORE_VOTE_H

#include "runtime/io/pg.h"

/* A person's one vote on an approval; voting again replaces it, withdrawing empties it.
 * `for_people`: names of those whom they stand in for, joined with commas; p NULL: nobody. */
void fl_store_vote_put(struct fl_tx *tx, const struct fl_uuid *approval,
                       const struct fl_uuid *person, bool approves, struct fl_str reason,
                       const char *via, bool has_second_factor, bool is_owner,
                       struct fl_str for_people);
/* Returns a row when there was one to withdraw. */
struct fl_query *fl_store_vote_withdraw(struct fl_tx *tx, const struct fl_uuid *approval,
                                        const struct fl_uuid *person);
/* Withdraws the person's votes on everything that was not dispatched yet (offboarding). */
struct fl_query *fl_store_vote_withdraw_all(struct fl_tx *tx, const struct fl_uuid *person);
/* The same of those that were cast by such a channel, whose account of theirs is void. Columns of
 * both: approval_id. */
struct fl_query *fl_store_vote_withdraw_via(struct fl_tx *tx, const struct fl_uuid *person,
                                            const char *via);
/* Standing votes. Columns: person_id, verdict, second factor, reason, via, voted_at ms, name,
 * is_owner, for_people. */
struct fl_query *fl_store_votes(struct fl_tx *tx, const struct fl_uuid *approval);
/* Members, also those who left (is_active is false then). Columns: person_id, name, role,
 * is_active, groups joined with commas, display name, mail, delegate (who decides for them, as they
 * are away now; null: they are not), until when ms. */
struct fl_query *fl_store_people(struct fl_tx *tx);

#endif
