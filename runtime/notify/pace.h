/* How fast a place is written to, and when a channel that fails is tried again: chats take short
 * bursts, and then about one message a second; groups (a negative number in Telegram) twenty a
 * minute. A bucket for each place; loop thread only.
 */
#ifndef FLOPINIO_NOTIFY_PACE_H
#define FLOPINIO_NOTIFY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "flopinio/base/err.h"
#include "flopinio/base/str.h"

#define FL_PACE_PLACES 64 /* whose pace is remembered */

/* Zeroed to begin with. */
struct fl_pace {
    struct {
        uint64_t hash;
        double tokens;
        int64_t at_ms;
        uint64_t next; /* who was refused first, and so is the most urgent; 0: nobody */
        int64_t next_until_ms;
    } places[FL_PACE_PLACES];
};

/* 0: write there now (fl_mono_ms), it is counted. Else so many ms to wait. Who is refused first is
 * kept the next message for, so that nobody less urgent has it who happens to be at hand when its
 * time comes; if they do not come for it within half a second, anybody may. `who` 0: a digest,
 * before all others. */
int64_t fl_pace_take(struct fl_pace *pace, struct fl_str place, uint64_t who, int64_t now_ms);
/* What was taken last there was not written after all. */
void fl_pace_give_back(struct fl_pace *pace, struct fl_str place);

/* How long a channel rests after so many failures in a row, of which this was the last: longer and
 * longer, up to half a minute while a chat is away, so that it is not away for longer to us than to
 * everybody; up to five minutes where it refuses what we send, or mails are at stake, as each try
 * may be one more that arrives; for five at once where it refuses us. */
int64_t fl_pace_rest_ms(enum fl_code code, int failures, bool is_mail);

#endif
