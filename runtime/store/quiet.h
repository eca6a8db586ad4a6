/* Table quiet_hours: when people are not to be disturbed in their own chats. Loop thread. */
#ifndef FLOPINIO_STORE_QUIET_H
#define FLOPINIO_STORE_QUIET_H

#include "runtime/store/audit.h"

/* Columns: person name, from ("22:00"), to, zone, is it their time now. */
struct fl_query *fl_store_quiet(struct fl_tx *tx);
/* Returns no row when the database knows no such time zone. */
struct fl_query *fl_store_quiet_put(struct fl_tx *tx, const struct fl_uuid *person,
                                    struct fl_str from, struct fl_str to, struct fl_str zone,
                                    const struct fl_audit_row *audit);
/* Returns a row when there were any. */
struct fl_query *fl_store_quiet_drop(struct fl_tx *tx, const struct fl_uuid *person,
                                     const struct fl_audit_row *audit);

#endif
