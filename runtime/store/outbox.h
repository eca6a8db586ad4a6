/* Tables outbox and card_message: what channels are to be told, and what stands where. Rows of the
 * outbox are written by triggers (migrations/003), in the transaction of the change. Loop thread.
 */
#ifndef FLOPINIO_STORE_OUTBOX_H
#define FLOPINIO_STORE_OUTBOX_H

#include "runtime/io/pg.h"

/* What is due in this channel and not folded: what was never told first, of agents that were told
 * least in the last minute, what expires soonest before the rest, and only if it is so old (a
 * negative age: in any case); then what has to be rewritten, the longest due first; then what is to
 * be erased; last what nobody could be told the last time. Columns: approval_id, wanted, step,
 * tries, is it delivered, did an earlier step deliver, is it time to erase (or was it). */
struct fl_query *fl_store_outbox_due(struct fl_tx *tx, const struct fl_uuid *channel, int most,
                                     int64_t age_ms);
/* When something will be due next, ms from now; no row: nothing within a second. */
struct fl_query *fl_store_outbox_next(struct fl_tx *tx, const struct fl_uuid *channel);
/* Everything up to `wanted` is shown. `is_delivered`: a card stands somewhere. `erase_ms`: from
 * now until arguments are to leave, unless that is set already; -1: never, or they have left.
 * `is_erased`: they have, for good. `wake_ms`: until the row is to be looked at again
 * whatever happens; -1: not. Alone in its transaction, as it locks the row. */
void fl_store_outbox_done(struct fl_tx *tx, const struct fl_uuid *approval,
                          const struct fl_uuid *channel, int64_t wanted, bool is_delivered,
                          int64_t erase_ms, bool is_erased, int64_t wake_ms);
/* It failed, or is not to be tried before; `is_try` counts it. `is_delivered`: a card stands
 * somewhere all the same. */
void fl_store_outbox_later(struct fl_tx *tx, const struct fl_uuid *approval,
                           const struct fl_uuid *channel, int64_t in_ms, bool is_try,
                           struct fl_str trouble, bool is_delivered);
/* No card of it stands in this channel any more, though one did, or (`is_closed`) none can: the
 * others in the rule's list are asked at once whether it is their turn. Before its trouble is
 * noted. */
void fl_store_outbox_lost(struct fl_tx *tx, const struct fl_uuid *approval,
                          const struct fl_uuid *channel, bool is_closed);
/* Somebody can be told again in this kind of channel (NULL: in any): what waits is looked at. */
void fl_store_outbox_back(struct fl_tx *tx, const char *kind);
/* Somebody may be disturbed again: what nobody could be told is looked at. Alone in its
 * transaction. */
void fl_store_outbox_wake(struct fl_tx *tx);
/* The cards of the approval are to be drawn again (a page was turned). */
void fl_store_outbox_again(struct fl_tx *tx, const struct fl_uuid *approval,
                           const struct fl_uuid *channel);
/* How it stands with each channel of an approval. Columns: channel name, is it delivered, trouble,
 * created_at ms, step. */
struct fl_query *fl_store_outbox_of(struct fl_tx *tx, const struct fl_uuid *approval);
/* Which of these channels, each with its organization, have something to tell now? Columns:
 * channel_id. Frees the arrays. */
struct fl_query *fl_store_sweep_to_tell(struct fl_tx *tx, struct fl_array *organizations,
                                        struct fl_array *channels);
/* Of the installation: approvals of which nobody could be told for a minute. Columns: how many. */
struct fl_query *fl_store_sweep_unreached(struct fl_tx *tx);

/* Columns: card_id, place, person_id, message, tries, page, is_read, asks_stop, shown, asks_grant,
 * was a grant made from the approval, host (a card's id or null), is it a host of others, the last
 * reminder sent, posted_at ms, did its mail come back, and of one that was sent and whose message
 * is not known: when it was first, and last, ms. */
struct fl_query *fl_store_cards(struct fl_tx *tx, const struct fl_uuid *approval,
                                const struct fl_uuid *channel);
/* Columns: card_id (the new one, or that of the card which is there already), host, message.
 * `may_join`: into the message of a card for the same agent, tool and rule, which came at most ten
 * seconds before or after and still waits, if it has less than `guests_most` others in it; also one
 * that is there, but was neither posted nor parted from others yet. */
struct fl_query *fl_store_card_put(struct fl_tx *tx, const struct fl_uuid *card,
                                   const struct fl_uuid *approval, const struct fl_uuid *channel,
                                   struct fl_str place, const struct fl_uuid *person, bool may_join,
                                   int guests_most);
/* It does not fit there: it has a message of its own from now on, in which it has yet to be read.
 */
void fl_store_card_part(struct fl_tx *tx, const struct fl_uuid *card);
/* The same of all others in a host's message; what waits of them is due. */
void fl_store_batch_part(struct fl_tx *tx, const struct fl_uuid *host);
/* The cards of a host's message, it first. Columns: card_id, approval_id, asks_stop, is it time to
 * erase, person_id (whose own chat it is), mark, is_marking, channel_id, place, message, binding
 * digest. */
struct fl_query *fl_store_batch(struct fl_tx *tx, const struct fl_uuid *host);
/* The keys of this host's message mark from now on, or no longer; nothing in it is marked. */
void fl_store_batch_marking(struct fl_tx *tx, const struct fl_uuid *host, bool is_marking);
/* "approve", "reject" or "". */
void fl_store_card_mark(struct fl_tx *tx, const struct fl_uuid *card, const char *mark);
/* As fl_store_card_shown, of all of them; each that waits is shown whole. */
void fl_store_batch_shown(struct fl_tx *tx, const struct fl_uuid *host, struct fl_str message,
                          struct fl_str shown);
/* It is being sent: until fl_store_card_shown says more it may stand there, or not. */
void fl_store_card_sending(struct fl_tx *tx, const struct fl_uuid *card);
/* It certainly was not posted. */
void fl_store_card_unsent(struct fl_tx *tx, const struct fl_uuid *card);
/* Which of a place's messages are cards, the newest. Columns: message. */
struct fl_query *fl_store_cards_at(struct fl_tx *tx, const struct fl_uuid *channel,
                                   struct fl_str place);
/* `page` stands there; `is_read`: it is the last. */
void fl_store_card_shown(struct fl_tx *tx, const struct fl_uuid *card, struct fl_str message,
                         struct fl_str shown, int64_t page, bool is_read);
/* A reminder was sent beneath it: the first, or the second. */
void fl_store_card_reminded(struct fl_tx *tx, const struct fl_uuid *card, int reminder);
/* Its place is gone: nothing is written there any more. */
void fl_store_card_drop(struct fl_tx *tx, const struct fl_uuid *card);
/* The message of this host is gone: each card of it is to have one of its own. */
void fl_store_batch_gone(struct fl_tx *tx, const struct fl_uuid *host);
/* A card by what a button says. Columns: approval_id, place, message, page, is_read, asks_stop,
 * binding digest, state, agent name, agent_id, may it have been posted twice, tool, why its place
 * is closed (null: it is not), was its page turned and does not stand there yet. */
struct fl_query *fl_store_card_get(struct fl_tx *tx, const struct fl_uuid *card,
                                   const struct fl_uuid *channel);
/* The same of an approval that this channel is told, without a card: from a list. */
struct fl_query *fl_store_card_inbox(struct fl_tx *tx, const struct fl_uuid *approval,
                                     const struct fl_uuid *channel, struct fl_str place,
                                     struct fl_str message);
void fl_store_card_turn(struct fl_tx *tx, const struct fl_uuid *card, int page, bool asks_stop,
                        bool asks_grant);

#endif
