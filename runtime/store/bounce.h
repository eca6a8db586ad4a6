/* Mail addresses that do not exist any more: marks on chat_identity rows of the kind mail. Loop
 * thread. */
#ifndef FLOPINIO_STORE_BOUNCE_H
#define FLOPINIO_STORE_BOUNCE_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

/* Addresses that are not marked. Columns: person_id, address, name of the person. */
struct fl_query *fl_store_addresses(struct fl_tx *tx);
/* Marks one, with its audit row, unless it is marked or was linked after `sent_ms` (since 1970),
 * when the mail was made that came back: what says so is shown to people. Cards that were mailed
 * there count as not delivered: the channels behind are told, and whoever asks. Returns a row if it
 * was marked now. Alone in its transaction, as it locks rows of the outbox. */
struct fl_query *fl_store_address_dead(struct fl_tx *tx, struct fl_str address, struct fl_str why,
                                       int64_t sent_ms, const struct fl_audit_row *audit);
/* The mail of one card came back, and its address stays: while its call waits the card counts as
 * not delivered. Columns: approval_id; no row: it is no card's that waits. Alone in its
 * transaction. */
struct fl_query *fl_store_card_bounced(struct fl_tx *tx, const struct fl_uuid *card,
                                       struct fl_str address, struct fl_str why);

#endif
