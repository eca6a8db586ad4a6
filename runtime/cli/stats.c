/* Health, readiness, metrics. */
#include "runtime/cli/stats.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "runtime/io/http_site.h"

int fl_stats_make(void)
{
    int fd = memfd_create("flopinio-stats", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, sizeof(struct fl_stats)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

struct fl_stats *fl_stats_map(int fd)
{
    void *p = mmap(NULL, sizeof(struct fl_stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void fl_stats_unmap(struct fl_stats *stats)
{
    if (stats)
        munmap(stats, sizeof *stats);
}

/* X(metric, kind, member, help): summed over the workers. */
#define SUMS(X)                                                                                    \
    X(calls_read_total, counter, calls.reads, "allowed reads that ran")                            \
    X(calls_denied_total, counter, calls.denied, "calls denied")                                   \
    X(calls_invalid_total, counter, calls.invalid, "calls whose arguments did not fit the schema") \
    X(calls_held_total, counter, calls.held, "calls held for people")                              \
    X(calls_permitted_total, counter, calls.permitted, "writes that a rule let run unasked")       \
    X(calls_repeated_total, counter, calls.repeats, "calls answered by an earlier approval")       \
    X(approvals_decided_total, counter, calls.decided, "approvals decided by people")              \
    X(approvals_approved_total, counter, calls.approved, "of the decided ones: approved")          \
    X(approvals_decided_under_2s_total, counter, calls.decided_fast,                               \
      "of the decided ones: within two seconds of the call")                                       \
    X(approvals_decide_milliseconds_total, counter, calls.decide_ms,                               \
      "from the call to the decision, of all decided ones together")                               \
    X(canaries_caught_total, counter, calls.canaries_caught, "canaries that people rejected")      \
    X(canaries_approved_total, counter, calls.canaries_approved,                                   \
      "canaries that people approved; nothing ran")                                                \
    X(canaries_missed_total, counter, calls.canaries_missed,                                       \
      "canaries that nobody decided in their time")                                                \
    X(approvals_dispatched_total, counter, calls.dispatched, "approved calls sent to their tool")  \
    X(approvals_succeeded_total, counter, calls.succeeded, "approved calls that succeeded")        \
    X(approvals_failed_total, counter, calls.failed, "approved calls that failed")                 \
    X(approvals_unknown_total, counter, calls.unknown, "approved calls with an unknown outcome")   \
    X(approvals_voided_total, counter, calls.voided, "approved calls stopped by a last check")     \
    X(cards_sent_total, counter, cards_sent, "messages posted or rewritten in chats")              \
    X(cards_failed_total, counter, cards_failed, "messages that a chat did not take")              \
    X(channels_open, gauge, channels, "channels that are looked after")                            \
    X(calls_open, gauge, held, "calls in progress, waiting ones included")                         \
    X(runs_open, gauge, runs, "tasks being run")                                                   \
    X(websockets_open, gauge, websockets, "WebSocket connections")                                 \
    X(stdio_open, gauge, stdio, "stdio connections")                                               \
    X(listens_open, gauge, listens, "subscriptions over HTTP")                                     \
    X(http_sessions_known, gauge, sessions, "legacy HTTP sessions in the workers' memory")         \
    X(http_connections_open, gauge, http_open, "HTTP connections")                                 \
    X(http_requests_total, counter, http_requests, "HTTP requests")                                \
    X(http_bad_requests_total, counter, http_bad, "HTTP requests refused by the front")            \
    X(database_batches_total, counter, db_batches, "database batches")                             \
    X(database_members_total, counter, db_members, "transactions in them")                         \
    X(database_retried_total, counter, db_retried, "batches taken apart after an error")           \
    X(database_failed_total, counter, db_failed, "transactions that failed")                       \
    X(database_reconnects_total, counter, db_reconnects, "connections made again")                 \
    X(database_queued, gauge, db_queued, "transactions that wait for a connection")                \
    X(database_connections_up, gauge, db_up, "database connections that are up")                   \
    X(resident_memory_bytes, gauge, rss_bytes, "resident memory of the workers")                   \
    X(allocated_memory_bytes, gauge, heap_bytes,                                                   \
      "memory in use by the workers, none kept in reserve")

static bool is_alive(const struct fl_stats_slot *slot)
{
    return slot->at_ms && fl_mono_ms() - slot->at_ms < 10000;
}

static void put_metric(struct fl_buf *out, const char *name, const char *kind, const char *help,
                       int64_t value)
{
    fl_buf_printf(out, "# HELP flopinio_%s %s\n# TYPE flopinio_%s %s\nflopinio_%s %lld\n", name,
                  help, name, kind, name, (long long)value);
}

static void put_metrics(struct fl_buf *out, const struct fl_stats *stats)
{
    const struct fl_stats_slot *newest = NULL, *counted = NULL;
    int64_t workers = 0;
    for (size_t i = 0; i < FL_STATS_WORKERS; i++) {
        const struct fl_stats_slot *s = &stats->slots[i];
        workers += is_alive(s);
        if (s->at_ms && (!newest || s->at_ms > newest->at_ms))
            newest = s;
        if (s->at_ms && (!counted || s->counted_ms > counted->counted_ms))
            counted = s;
    }
    put_metric(out, "workers", "gauge", "workers that are alive", workers);
#define X(metric, kind, member, help)                                                              \
    {                                                                                              \
        uint64_t sum = 0;                                                                          \
        for (size_t i = 0; i < FL_STATS_WORKERS; i++) {                                            \
            bool counts = #kind[0] == 'c' || is_alive(&stats->slots[i]);                           \
            sum += counts ? (uint64_t)stats->slots[i].member : 0;                                  \
        }                                                                                          \
        put_metric(out, #metric, #kind, help, (int64_t)sum);                                       \
    }
    SUMS(X)
#undef X
    if (!newest)
        return;
    put_metric(out, "approvals_pending", "gauge", "approvals that wait for people",
               counted->pending);
    put_metric(out, "approvals_approved", "gauge", "approvals decided and not run yet",
               counted->approved);
    put_metric(out, "approvals_running", "gauge", "approvals that run", counted->dispatched);
    put_metric(out, "approvals_unsettled", "gauge",
               "approvals whose outcome is unknown and not settled", counted->unknown);
    put_metric(out, "approvals_unreached", "gauge",
               "waiting approvals of which nobody could be told for a minute", newest->unreached);
    put_metric(out, "clock_offset_milliseconds", "gauge", "the database's clock minus ours",
               newest->clock_offset_ms);
}

static void respond(struct fl_http_exchange *ex, int status, const char *type, struct fl_str body)
{
    const struct fl_http_header headers[] = { { FL_STR("Content-Type"), fl_str_of(type) },
                                              { FL_STR("Cache-Control"), FL_STR("no-store") } };
    fl_http_respond(ex, status, headers, FL_COUNTOF(headers), body);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    const struct fl_stats_site *site = fl_site_user(ex);
    struct fl_buf out = FL_BUF_INIT;
    struct fl_err err;
    FL_UNUSED(body);
    if (ex->method != FL_HTTP_GET && ex->method != FL_HTTP_HEAD) {
        fl_http_respond_error(ex, 405, "method not allowed", NULL, 0);
    } else if (fl_str_is(ex->path, "/health")) {
        respond(ex, 200, "text/plain", FL_STR("alive\n"));
    } else if (fl_str_is(ex->path, "/ready")) {
        if (site->is_draining)
            respond(ex, 503, "text/plain", FL_STR("not ready: stopping\n"));
        else if (!fl_pg_is_up(site->core->pg, &err)) {
            fl_buf_printf(&out, "not ready: %s\n", err.text);
            respond(ex, 503, "text/plain", fl_buf_view(&out));
        } else if (!site->is_serving)
            respond(ex, 503, "text/plain", FL_STR("not ready: starting\n"));
        else
            respond(ex, 200, "text/plain", FL_STR("ready\n"));
    } else if (fl_str_is(ex->path, "/metrics")) {
        put_metrics(&out, site->stats);
        respond(ex, 200, "text/plain; version=0.0.4", fl_buf_view(&out));
    } else {
        fl_http_respond_error(ex, 404, "there is /health, /ready and /metrics", NULL, 0);
    }
    fl_buf_fini(&out);
}

const struct fl_http_callbacks fl_stats_http = { .body_max = 1024, /* it is never read */
                                                 .on_request = on_request };
