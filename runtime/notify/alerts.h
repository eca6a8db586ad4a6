/* Alerts of one channel: what owners must hear, each in their own chat, at least once, apart from
 * cards and whatever a rule's `notify` says. Runs beside the sender, for whoever looks after the
 * channel. Loop thread only. */
#ifndef FLOPINIO_NOTIFY_ALERTS_H
#define FLOPINIO_NOTIFY_ALERTS_H

#include "runtime/notify/channel.h"

struct fl_alerts {
    struct fl_flow flow;
    struct fl_channel *channel; /* the owner's */
    struct fl_sleep sleep;
    struct fl_arena *arena; /* of the round */
    struct fl_tx tx;
    struct fl_query *q;
    struct fl_chat_send send;
    struct fl_uuid alert, person; /* of the one at work */
    struct fl_str place;
    int64_t tries, rest_ms;
    bool is_resting, is_nudged, is_stopping, is_running;
};

void fl_alerts_start(struct fl_alerts *alerts);
/* Something may be due. */
void fl_alerts_nudge(struct fl_alerts *alerts);
/* Ends at the next step that can; is_running becomes false. */
void fl_alerts_stop(struct fl_alerts *alerts);

#endif
