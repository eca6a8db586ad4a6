/* Watching dispatched approvals. */
#include "runtime/approval/reaper.h"

#include <stdlib.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/mem.h"

static int by_id(const void *a, const void *b)
{
    const struct fl_reaper_seen *x = a, *y = b;
    return fl_uuid_cmp(&x->id, &y->id);
}

void fl_reaper_look(struct fl_reaper *r, const struct fl_query *q)
{
    size_t count = (size_t)fl_rows(q);
    int64_t now = fl_boot_ms(), awake = fl_mono_ms();
    struct fl_reaper_seen *seen = count ? fl_calloc(count, sizeof *seen) : NULL;
    if (count && !seen)
        return; /* what was seen stays; nothing is reaped too early */
    for (size_t i = 0; i < count; i++) {
        int row = (int)i;
        seen[i] = (struct fl_reaper_seen){ .organization = fl_cell_uuid(q, row, 0),
                                           .id = fl_cell_uuid(q, row, 1),
                                           .fence = fl_cell_int(q, row, 2),
                                           .window_ms = fl_cell_int(q, row, 3),
                                           .is_over_there = fl_cell_bool(q, row, 4),
                                           .first_boot_ms = now,
                                           .first_mono_ms = awake };
        const struct fl_reaper_seen *was =
            r->count ? bsearch(&seen[i], r->seen, r->count, sizeof *seen, by_id) : NULL;
        if (was && was->fence == seen[i].fence) {
            seen[i].first_boot_ms = was->first_boot_ms;
            seen[i].first_mono_ms = was->first_mono_ms;
        }
    }
    if (count)
        qsort(seen, count, sizeof *seen, by_id);
    fl_free(r->seen);
    r->seen = seen;
    r->count = count;
}

bool fl_reaper_is_over(const struct fl_reaper *r, size_t at)
{
    const struct fl_reaper_seen *s = &r->seen[at];
    int64_t watched = fl_boot_ms() - s->first_boot_ms, awake = fl_mono_ms() - s->first_mono_ms;
    return s->is_over_there && watched >= s->window_ms && awake >= s->window_ms;
}

void fl_reaper_fini(struct fl_reaper *r)
{
    fl_free(r->seen);
    *r = (struct fl_reaper){ 0 };
}
