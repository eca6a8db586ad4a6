/* A hierarchical timer wheel: set, move and cancel in constant time for a million timers; one
 * millisecond resolution near, coarser (at most 1.6 %) far away, never early. Loop thread only. */
#ifndef FLOPINIO_BASE_WHEEL_H
#define FLOPINIO_BASE_WHEEL_H

#include <stdint.h>

#include "flopinio/base/list.h"

#define FL_WHEEL_BITS   6
#define FL_WHEEL_SLOTS  (1 << FL_WHEEL_BITS)
#define FL_WHEEL_LEVELS 7 /* 64^7 ms = 139 years */

struct fl_timer {
    struct fl_list link;
    int64_t at_ms; /* by the clock that fl_wheel_advance is given */
    void (*fire)(struct fl_timer *timer);
};

struct fl_wheel {
    int64_t now_ms;
    uint64_t count;
    uint64_t occupied[FL_WHEEL_LEVELS]; /* bit per slot that may hold timers */
    struct fl_list slot[FL_WHEEL_LEVELS][FL_WHEEL_SLOTS];
};

void fl_wheel_init(struct fl_wheel *wheel, int64_t now_ms);
void fl_timer_init(struct fl_timer *timer, void (*fire)(struct fl_timer *timer));
/* Arms or re-arms; a time in the past fires at the next advance. */
void fl_timer_set(struct fl_wheel *wheel, struct fl_timer *timer, int64_t at_ms);
/* Harmless when not armed. Needed before the memory goes. */
void fl_timer_cancel(struct fl_wheel *wheel, struct fl_timer *timer);
static inline int fl_timer_is_armed(const struct fl_timer *timer)
{
    return fl_list_is_linked(&timer->link);
}
/* Fires everything due at now_ms; callbacks may arm and cancel any timer, their own included. */
void fl_wheel_advance(struct fl_wheel *wheel, int64_t now_ms);
/* When to call advance next (never later than the first due timer); -1 = no timers. */
int64_t fl_wheel_next_ms(const struct fl_wheel *wheel);

#endif
