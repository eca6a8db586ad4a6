/* Figures of all workers in one shared mapping, so that any worker can answer for all; and the
 * listener for health, readiness and Prometheus metrics. No organization stands in a label. */
#ifndef FLOPINIO_CLI_STATS_H
#define FLOPINIO_CLI_STATS_H

#include "runtime/approval/core.h"
#include "runtime/endpoint/endpoint.h"
#include "runtime/io/http.h"

#define FL_STATS_WORKERS 64

/* One worker's; written by it each second, read by all. */
struct fl_stats_slot {
    int64_t at_ms; /* CLOCK_MONOTONIC; 0: never */
    int64_t pid;
    int64_t is_ready;
    struct fl_core_stats calls;
    uint64_t held, runs, websockets, stdio, talks, listens, sessions;
    uint64_t db_batches, db_members, db_retried, db_failed, db_reconnects, db_queued, db_up;
    uint64_t http_requests, http_bad, http_open;
    uint64_t rss_bytes, heap_bytes;
    int64_t pending, approved, dispatched, unknown; /* of the installation, counted when: */
    int64_t counted_ms;
    int64_t clock_offset_ms;
    uint64_t cards_sent, cards_failed, channels;
    int64_t unreached; /* of the installation */
};

struct fl_stats {
    struct fl_stats_slot slots[FL_STATS_WORKERS];
    uint64_t sessions_ended; /* the endpoints' of all workers, see endpoint.h */
};

/* An anonymous shared file for it; -1 on failure. */
int fl_stats_make(void);
/* Maps it; NULL on failure. */
struct fl_stats *fl_stats_map(int fd);
void fl_stats_unmap(struct fl_stats *stats);

/* What /ready says and /metrics adds; user of the route. */
struct fl_stats_site {
    struct fl_stats *stats;
    const struct fl_core *core;
    bool is_serving, is_draining;
};
extern const struct fl_http_callbacks fl_stats_http;

#endif
