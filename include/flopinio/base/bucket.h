/* A token bucket: so many things a second on average, so many at once. For whatever an outsider
 * could make us do without end (log lines, notifications). One thread at a time. */
#ifndef FLOPINIO_BASE_BUCKET_H
#define FLOPINIO_BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct fl_bucket {
    int64_t rate_per_s; /* at least 1 */
    int64_t burst;      /* at least 1 */
    int64_t used_milli; /* thousandths of a thing; sinks with time */
    int64_t at_ms;      /* when used_milli was brought up to date */
};

static inline struct fl_bucket fl_bucket_of(int64_t rate_per_s, int64_t burst)
{
    return (struct fl_bucket){ .rate_per_s = rate_per_s, .burst = burst };
}

/* True if one more is within the limits, which then counts. now_ms: fl_mono_ms. */
static inline bool fl_bucket_take(struct fl_bucket *b, int64_t now_ms)
{
    int64_t elapsed = now_ms - b->at_ms;
    b->at_ms = now_ms;
    if (elapsed > 0) {
        bool is_drained = elapsed >= b->used_milli / b->rate_per_s + 1;
        b->used_milli = is_drained ? 0 : b->used_milli - elapsed * b->rate_per_s;
    }
    if (b->used_milli > (b->burst - 1) * 1000)
        return false;
    b->used_milli += 1000;
    return true;
}

#endif
