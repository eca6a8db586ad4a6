/* Table closed_place: places of a channel that cards do not go to now. Loop thread. */
#ifndef FLOPINIO_STORE_PLACE_H
#define FLOPINIO_STORE_PLACE_H

#include "runtime/io/pg.h"

/* Cards that stand there are to be withdrawn. Alone in its transaction, as it locks rows of the
 * outbox; twice is once. */
void fl_store_place_close(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place,
                          const char *why);
/* What waits is to be posted there again. */
void fl_store_place_open(struct fl_tx *tx, const struct fl_uuid *channel, struct fl_str place);
/* Columns: place, why. */
struct fl_query *fl_store_places_closed(struct fl_tx *tx, const struct fl_uuid *channel);

#endif
