/* Table slack_install: apps that are being installed into Slack workspaces. `secret` is sealed.
 * Loop thread. */
#ifndef FLOPINIO_STORE_INSTALL_H
#define FLOPINIO_STORE_INSTALL_H

#include "runtime/io/pg.h"

/* Earlier ones for the same channel that nobody took are void, and so are old ones. `by` zero: the
 * operator. */
void fl_store_install_put(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str state_hash,
                          struct fl_str channel, const struct fl_uuid *by, struct fl_str secret,
                          int64_t for_ms);
/* Without an organization set; once, within its time. Columns: organization_id, install_id. */
struct fl_query *fl_store_install_use(struct fl_tx *tx, struct fl_str state_hash);
/* Columns: channel, begun_by (null: the operator), secret, outcome (null: none yet), trouble, was
 * the browser there, is it too late for that, was it taken. */
struct fl_query *fl_store_install_get(struct fl_tx *tx, const struct fl_uuid *id);
/* What came of it: `outcome_json` p NULL with a `trouble`. */
void fl_store_install_end(struct fl_tx *tx, const struct fl_uuid *id, struct fl_str secret,
                          struct fl_str outcome_json, const char *trouble);
/* The channel has it: nothing secret is kept. */
void fl_store_install_take(struct fl_tx *tx, const struct fl_uuid *id);
/* Of all organizations: of those whose time is over nothing secret is kept either. */
void fl_store_installs_old(struct fl_tx *tx);

#endif
