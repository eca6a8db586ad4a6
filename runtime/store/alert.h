/* Tables alert and alert_post: what people must hear, and by which chats they are told. Rows of
 * alert_post are written by a trigger (migrations/009). Loop thread. */
#ifndef FLOPINIO_STORE_ALERT_H
#define FLOPINIO_STORE_ALERT_H

#include "runtime/io/pg.h"

/* A row for each active owner, in the transaction of what happened. `text` is as people wrote it:
 * whoever shows it escapes it. `approval` may be NULL; else they hear it once for each kind. */
void fl_store_alert_owners(struct fl_tx *tx, const char *kind, struct fl_str text,
                           const struct fl_uuid *approval);
#define FL_ALERT_DELEGATION "delegation_set" /* kind: somebody decides for them */
/* A row for one person: what they must hear of themselves. */
void fl_store_alert_person(struct fl_tx *tx, const char *kind, struct fl_str text,
                           const struct fl_uuid *person);
/* A person's, newest first, 200 at most. Columns: alert_id, kind, text, approval_id, created_at ms,
 * seen_at ms. */
struct fl_query *fl_store_alerts(struct fl_tx *tx, const struct fl_uuid *person, bool unseen_only);
/* Returns a row for each that was not seen before. */
struct fl_query *fl_store_alerts_seen(struct fl_tx *tx, const struct fl_uuid *person);

/* What is to be posted in this channel, to accounts that are still linked, and were not told the
 * same by another channel. Columns: alert_id, person_id, place, text, tries, kind. */
struct fl_query *fl_store_alerts_due(struct fl_tx *tx, const struct fl_uuid *channel, int most);
void fl_store_alert_posted(struct fl_tx *tx, const struct fl_uuid *alert,
                           const struct fl_uuid *person, const struct fl_uuid *channel,
                           struct fl_str place);
void fl_store_alert_later(struct fl_tx *tx, const struct fl_uuid *alert,
                          const struct fl_uuid *person, const struct fl_uuid *channel,
                          struct fl_str place, int64_t in_ms);

#endif
