/* A channel's flood: which waiting approvals get a card of their own, and which are folded into the
 * digest (columns of outbox, table digest_message). Loop thread. */
#ifndef FLOPINIO_STORE_FLOOD_H
#define FLOPINIO_STORE_FLOOD_H

#include "runtime/io/pg.h"

/* Cheap, for each round. Columns: how many wait to be told, how many were told in the last minute,
 * does a digest stand, or is anything folded. */
struct fl_query *fl_store_flood(struct fl_tx *tx, const struct fl_uuid *channel);
/* Folds and unfolds by the rate, `most` a minute: while more than that wait or were told just now,
 * each agent gets its share in ten minutes, and one card a minute in any case; its calls by rules
 * that say `urgent` the same once more. What stands somewhere or was called for is not folded.
 * Alone in its transaction. */
void fl_store_flood_fold(struct fl_tx *tx, const struct fl_uuid *channel, int most);
/* What is folded and waits, most first. Columns: agent name, agent_id, tool, ask, owner_id (then),
 * owner_id (now), how many, how many of them no digest has counted, when this was so (us). */
struct fl_query *fl_store_flood_counts(struct fl_tx *tx, const struct fl_uuid *channel, int most);
/* A digest with this row of fl_store_flood_counts was taken. `owner` then; NULL: it had none. */
void fl_store_flood_counted(struct fl_tx *tx, const struct fl_uuid *channel,
                            const struct fl_uuid *agent, struct fl_str tool, struct fl_str ask,
                            const struct fl_uuid *owner, int64_t at_us);
/* Somebody wants the cards of the agent's most urgent folded ones. Returns a row each. */
struct fl_query *fl_store_flood_call(struct fl_tx *tx, const struct fl_uuid *channel,
                                     const struct fl_uuid *agent, int most);

/* Columns: digest_id, place, person_id, message, asks_stop, is_stale, shown. */
struct fl_query *fl_store_digests(struct fl_tx *tx, const struct fl_uuid *channel);
/* Columns: is anything folded in the channel. */
struct fl_query *fl_store_flood_any(struct fl_tx *tx, const struct fl_uuid *channel);
/* Before it is posted. */
void fl_store_digest_put(struct fl_tx *tx, const struct fl_uuid *digest,
                         const struct fl_uuid *channel, struct fl_str place,
                         const struct fl_uuid *person);
void fl_store_digest_shown(struct fl_tx *tx, const struct fl_uuid *digest, struct fl_str message,
                           struct fl_str shown);
void fl_store_digest_drop(struct fl_tx *tx, const struct fl_uuid *digest);
/* By where a button was pressed, with the agent that it names. Columns: digest_id, agent name. */
struct fl_query *fl_store_digest_get(struct fl_tx *tx, const struct fl_uuid *channel,
                                     struct fl_str place, struct fl_str message,
                                     const struct fl_uuid *agent);
/* `agent` NULL: nothing is asked any more. It is written anew at once. */
void fl_store_digest_ask(struct fl_tx *tx, const struct fl_uuid *digest,
                         const struct fl_uuid *agent);

#endif
