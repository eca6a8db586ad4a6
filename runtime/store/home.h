/* Table slack_home: who opened the app's home, and what stands there. Loop thread. */
#ifndef FLOPINIO_STORE_HOME_H
#define FLOPINIO_STORE_HOME_H

#include "runtime/io/pg.h"

#define FL_HOME_FRESH_MS 3000 /* it is not published again so soon */

struct fl_home {
    struct fl_str external, team, user;
};

/* It was published just now; `is_opened`: because they opened it. Those that nobody opened for a
 * week go. */
void fl_store_home_put(struct fl_tx *tx, const struct fl_uuid *channel, const struct fl_home *home,
                       struct fl_str shown, bool is_opened);
/* Opened within a day, at most 100, the last one first. Columns: external_id, team, user_id, shown,
 * was it published within FL_HOME_FRESH_MS. */
struct fl_query *fl_store_homes(struct fl_tx *tx, const struct fl_uuid *channel);

#endif
