/* Mail addresses that do not exist any more: marks on chat_identity rows of the kind mail. Loop
 * thread. */
#ifndef FLOPINIO_STORE_BOUNCE_H
#define FLOPINIO_STORE_BOUNCE_H

#include "runtime/io/pg.h"
#include "runtime/store/audit.h"

/* Addresses that are not marked. Columns: person_id, address, name of the person. */
struct fl_query *fl_store_addresses(struct fl_tx *tx);
/* Marks one, with its audit row, unless it is marked: what says so is shown to people. Cards that
 * were mailed there count as not delivered: the channels behind are told, and whoever asks. Returns
 * a row if it was marked now. Alone in its transaction, as it locks rows of the outbox. */
struct fl_query *fl_store_address_dead(struct fl_tx *tx, struct fl_str address, struct fl_str why,
                                       const struct fl_audit_row *audit);

#endif
