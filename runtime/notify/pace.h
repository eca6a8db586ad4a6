/* How fast a place is written to: chats take short bursts, and then about one message a second;
 * groups (a negative number in Telegram) twenty a minute. A bucket for each place; loop thread
 * only.
 */
#ifndef FLOPINIO_NOTIFY_PACE_H
#define FLOPINIO_NOTIFY_PACE_H

#include <stdint.h>

#include "flopinio/base/str.h"

#define FL_PACE_PLACES 64 /* whose pace is remembered */

/* Zeroed to begin with. */
struct fl_pace {
    struct {
        uint64_t hash;
        double tokens;
        int64_t at_ms;
    } places[FL_PACE_PLACES];
};

/* 0: write there now, it is counted. Else so many ms to wait. */
int64_t fl_pace_take(struct fl_pace *pace, struct fl_str place);

#endif
