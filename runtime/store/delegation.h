/* Table delegation: who is away, until when, and whose votes count for them meanwhile. Who is in a
 * quorum is read with fl_store_people; this is for setting, listing and ending. What a person set
 * themselves is over when they sign out everywhere (a new passphrase, a second factor taken away).
 * Loop thread. */
#ifndef FLOPINIO_STORE_DELEGATION_H
#define FLOPINIO_STORE_DELEGATION_H

#include "runtime/store/audit.h"

/* Those that are set and not over. Columns: person name, delegate name, from_at ms, until_at ms,
 * set by, is it now. */
struct fl_query *fl_store_delegations(struct fl_tx *tx);
/* This person's that nobody has ended, also one whose time is over since the sweep looked; no row:
 * there is none. Columns: delegate name, from_at ms, until_at ms, is it over. */
struct fl_query *fl_store_delegation_of(struct fl_tx *tx, const struct fl_uuid *person);
/* Those between others that somebody of this name set. Columns: person name, delegate name,
 * until_at ms. */
struct fl_query *fl_store_delegations_set_by(struct fl_tx *tx, struct fl_str name);
/* Instead of what the person had, whose end is the caller's to note; not before now. Returns no row
 * when the delegate is away at that time too. */
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
