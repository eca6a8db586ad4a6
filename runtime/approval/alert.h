/* Alerts: what each owner hears, in their list and their own chats, whatever a rule's `notify`
 * says. Written in the transaction of what happened. Loop thread only. */
#ifndef FLOPINIO_APPROVAL_ALERT_H
#define FLOPINIO_APPROVAL_ALERT_H

#include "runtime/store/approval.h"

/* FL_NOMEM: nothing of it may be committed. */
enum fl_code fl_alert_glass(struct fl_tx *tx, const struct fl_approval *row, struct fl_str by,
                            struct fl_str reason, struct fl_err *err) FL_MUST_CHECK;
/* Once for each approval, however often somebody finds it. */
void fl_alert_tampered(struct fl_tx *tx, const struct fl_approval *row);

#endif
