/* Table delegation: who is away, until when, and whose votes count for them meanwhile. Who is in a
 * quorum is read with fl_store_people; this is for setting, listing and ending. Loop thread. */
#ifndef FLOPINIO_STORE_DELEGATION_H
#define FLOPINIO_STORE_DELEGATION_H

#include "runtime/store/audit.h"

/* Those that are set and not over. Columns: person name, delegate name, from_at ms, until_at ms,
 * set by, is it now. */
struct fl_query *fl_store_delegations(struct fl_tx *tx);
/* Instead of what the person had; not before now. Returns no row when the delegate is away at that
 * time too. */
struct fl_query *fl_store_delegation_put(struct fl_tx *tx, const struct fl_uuid *person,
                                         const struct fl_uuid *delegate, int64_t from_ms,
                                         int64_t until_ms, struct fl_str by,
                                         const struct fl_audit_row *audit);
/* Ends it now. Returns a row when there was one that was not over. */
struct fl_query *fl_store_delegation_end(struct fl_tx *tx, const struct fl_uuid *person,
                                         const struct fl_audit_row *audit);

/* ---- what time has decided ---- */
/* Of all organizations, what cards are to tell. Columns: organization_id, person_id, person name,
 * delegate name, set_at us, why it is over (null: it is not). */
struct fl_query *fl_store_sweep_delegations(struct fl_tx *tx);
/* Cards tell that it is set, or has begun; unless it was set anew meanwhile. */
void fl_store_delegation_told(struct fl_tx *tx, const struct fl_uuid *person, int64_t set_at_us);
/* Takes away what is over, for whatever reason; `audit` is noted where nobody ended it. Returns a
 * row when it did. */
struct fl_query *fl_store_delegation_drop(struct fl_tx *tx, const struct fl_uuid *person,
                                          const struct fl_audit_row *audit);

#endif
