/* Alerts: what each owner hears, or a person of themselves, in their list and their own chats,
 * whatever a rule's `notify` says. Written in the transaction of what happened. Loop thread only.
 */
#ifndef FLOPINIO_APPROVAL_ALERT_H
#define FLOPINIO_APPROVAL_ALERT_H

#include "runtime/store/approval.h"

/* FL_NOMEM: nothing of it may be committed. */
enum fl_code fl_alert_glass(struct fl_tx *tx, const struct fl_approval *row, struct fl_str by,
                            struct fl_str reason, struct fl_err *err) FL_MUST_CHECK;
/* People approved a call that nobody made. */
void fl_alert_canary(struct fl_tx *tx, const struct fl_approval *row, struct fl_str by);
/* Once for each approval, however often somebody finds it. */
void fl_alert_tampered(struct fl_tx *tx, const struct fl_approval *row);
/* For whoever is away by it, whoever set it: it may have been set with a passphrase of theirs that
 * is not theirs alone. */
void fl_alert_away(struct fl_tx *tx, const struct fl_uuid *person, struct fl_str name,
                   struct fl_str delegate, int64_t from_ms, int64_t until_ms, struct fl_str by);

#endif
