/* Hierarchical timer wheel (Varghese and Lauck 1987, scheme 6): level k has 64 slots of 64^k ms.
 * A timer sits in the level where its distance first fits and moves down as its time comes near. */
#include "flopinio/base/wheel.h"

#include <string.h>

#include "flopinio/base/assert.h"

#define MASK (FL_WHEEL_SLOTS - 1)

void fl_wheel_init(struct fl_wheel *wheel, int64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
    for (int k = 0; k < FL_WHEEL_LEVELS; k++) {
        for (int s = 0; s < FL_WHEEL_SLOTS; s++)
            fl_list_init(&wheel->slot[k][s]);
    }
}

void fl_timer_init(struct fl_timer *timer, void (*fire)(struct fl_timer *timer))
{
    *timer = (struct fl_timer){ .fire = fire };
    fl_list_init(&timer->link);
}

/* Level whose digit of `at` is the highest one in which it differs from `now`. */
static int level_of(int64_t now, int64_t at)
{
    uint64_t differs = (uint64_t)now ^ (uint64_t)at;
    int k = differs ? (63 - __builtin_clzll(differs)) / FL_WHEEL_BITS : 0;
    return k < FL_WHEEL_LEVELS ? k : FL_WHEEL_LEVELS - 1;
}

static void place(struct fl_wheel *wheel, struct fl_timer *timer)
{
    /* Nothing is placed in the slot that is being fired: the earliest time is the next tick. */
    int64_t at = timer->at_ms > wheel->now_ms ? timer->at_ms : wheel->now_ms + 1;
    int64_t far = (int64_t)1 << (FL_WHEEL_BITS * FL_WHEEL_LEVELS);
    if (at - wheel->now_ms >= far)
        at = wheel->now_ms + far - 1;
    int k = level_of(wheel->now_ms, at);
    int s = (int)((uint64_t)at >> (FL_WHEEL_BITS * k)) & MASK;
    fl_list_push_back(&wheel->slot[k][s], &timer->link);
    wheel->occupied[k] |= 1ULL << s;
}

void fl_timer_set(struct fl_wheel *wheel, struct fl_timer *timer, int64_t at_ms)
{
    FL_ASSERT(timer->fire);
    fl_timer_cancel(wheel, timer);
    timer->at_ms = at_ms;
    place(wheel, timer);
    wheel->count++;
}

void fl_timer_cancel(struct fl_wheel *wheel, struct fl_timer *timer)
{
    if (!fl_timer_is_armed(timer))
        return;
    fl_list_remove(&timer->link);
    wheel->count--;
}

/* Smallest time > now at which some slot, of any level, must be looked at; -1 if none. */
static int64_t next_stop(const struct fl_wheel *wheel)
{
    int64_t best = -1;
    for (int k = 0; k < FL_WHEEL_LEVELS; k++) {
        if (!wheel->occupied[k])
            continue;
        int shift = FL_WHEEL_BITS * k;
        int digit = (int)((uint64_t)wheel->now_ms >> shift) & MASK;
        for (int i = 1; i <= FL_WHEEL_SLOTS; i++) {
            int s = (digit + i) & MASK;
            if (!(wheel->occupied[k] >> s & 1) || fl_list_is_empty(&wheel->slot[k][s]))
                continue;
            int64_t base = (wheel->now_ms >> shift) + i;
            int64_t at = base << shift;
            if (best < 0 || at < best)
                best = at;
            break;
        }
    }
    return best;
}

int64_t fl_wheel_next_ms(const struct fl_wheel *wheel)
{
    return wheel->count ? next_stop(wheel) : -1;
}

/* Takes a slot's timers out and fires those that are due, the others move to a finer slot. */
static void open_slot(struct fl_wheel *wheel, int k)
{
    int s = (int)((uint64_t)wheel->now_ms >> (FL_WHEEL_BITS * k)) & MASK;
    struct fl_list due;
    fl_list_init(&due);
    fl_list_splice(&due, &wheel->slot[k][s]);
    wheel->occupied[k] &= ~(1ULL << s);
    while (!fl_list_is_empty(&due)) {
        struct fl_timer *timer = FL_CONTAINER(due.next, struct fl_timer, link);
        fl_list_remove(&timer->link);
        if (timer->at_ms <= wheel->now_ms) {
            wheel->count--;
            timer->fire(timer);
        } else {
            place(wheel, timer);
        }
    }
}

void fl_wheel_advance(struct fl_wheel *wheel, int64_t now_ms)
{
    while (wheel->count) {
        int64_t stop = next_stop(wheel);
        if (stop < 0 || stop > now_ms)
            break;
        wheel->now_ms = stop;
        for (int k = FL_WHEEL_LEVELS - 1; k >= 0; k--) {
            /* A coarse slot is opened when all finer digits are zero. */
            if (((uint64_t)stop & ((1ULL << (FL_WHEEL_BITS * k)) - 1)) == 0)
                open_slot(wheel, k);
        }
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
}
