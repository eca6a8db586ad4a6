/* The life of a worker: open, serve, reload, drain, close. */
#include "runtime/cli/worker.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/approval/canary.h"
#include "runtime/approval/cancel.h"
#include "runtime/approval/hub.h"
#include "runtime/approval/registry.h"
#include "runtime/approval/runner.h"
#include "runtime/approval/sweep.h"
#include "runtime/audit/partitions.h"
#include "runtime/cli/boot.h"
#include "runtime/cli/known.h"
#include "runtime/cli/stats.h"
#include "runtime/cli/wiring.h"
#include "runtime/console/review.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/notify.h"
#include "runtime/notify/slack_app.h"
#include "runtime/notify/slack_oauth.h"
#include "runtime/store/migrate.h"
#include "runtime/store/organization.h"

#define IDLE_LOOK_MS      50
#define DOORS_SHUT_MS     3000 /* how long callers may wait for the database without an answer */
#define SERVERS_MAX       FL_BOOT_SOCKETS
#define ARENAS_KEPT_BYTES (8 * 1024 * 1024) /* memory of some hundred calls, for the next ones */

struct worker {
    struct fl_flow flow; /* opening, then draining */
    struct fl_boot boot;
    struct fl_loop loop;
    struct fl_pg *pg;
    struct fl_keyring *keys;
    struct fl_host *host;
    struct fl_core core;
    struct fl_principals *principals;
    struct fl_people *people;
    struct fl_endpoint *endpoint;
    struct fl_api_server *api;
    struct fl_notify *notify;
    struct fl_review_server *review;
    struct fl_tls *tls;
    struct fl_config reloaded; /* the latest; zero: none */
    struct fl_wiring wiring;
    struct fl_site main_site, control_site, stats_site, peer_site;
    struct fl_stats_site stats_route;
    struct fl_stats *stats;
    struct fl_http_server *servers[SERVERS_MAX];
    size_t server_count;
    uv_pipe_t stdio;
    uv_signal_t signals[3];
    struct fl_timer second;
    struct fl_sleep sleep;
    struct fl_arena *arena;
    struct fl_tx tx;
    struct fl_query *q, *unprotected, *clock;
    struct fl_audit_partitions partitions;
    int64_t drain_until_ms;
    int exit_status;
    int64_t started_ms, since_ms; /* ours, and the database's clock then */
    bool has_stdio, is_open, is_serving, is_draining, is_frozen;
};

/* ---------------------------------------------------------------- opening */
FL_STEP_DECLARE(wait_database);
FL_STEP_DECLARE(check_schema);
FL_STEP_DECLARE(announce);
FL_STEP_DECLARE(serve);
FL_STEP_DECLARE(give_up);

static struct worker *worker_of(struct fl_flow *f)
{
    return FL_CONTAINER(f, struct worker, flow);
}

static void begin(struct worker *w, const struct fl_uuid *organization)
{
    if (w->arena)
        fl_tx_fini(&w->tx);
    fl_arena_free(&w->arena);
    w->arena = fl_arena_new(4096);
    FL_ASSERT(w->arena);
    fl_tx_init(&w->tx, w->pg, w->arena, organization);
}

static enum fl_code open_doors(struct worker *w, struct fl_err *err);

FL_STEP(wait_database)
{
    struct worker *w = worker_of(f);
    const char *refusal = fl_pg_refusal(w->pg);
    if (w->is_draining)
        return fl_end(f);
    if (refusal)
        return fl_fail_with(f, FL_CONFIG, "%s", refusal);
    if (fl_mono_ms() - w->started_ms > DOORS_SHUT_MS && open_doors(w, &f->op.err) != FL_OK)
        return fl_fail(f);
    if (!fl_pg_is_up(w->pg, NULL))
        return fl_await(f, &S_wait_database, fl_sleep_start(&f->op, &w->sleep, &w->loop, 20));
    begin(w, NULL);
    w->tx.is_read_only = true;
    w->q = fl_store_schema_version(&w->tx);
    w->unprotected = fl_store_unprotected(&w->tx);
    w->clock = fl_store_clock(&w->tx);
    return fl_await(f, &S_check_schema, fl_tx_submit(&f->op, &w->tx));
}

FL_STEP(check_schema)
{
    struct worker *w = worker_of(f);
    if (f->op.code == FL_DB_REFUSED)
        return fl_fail_with(f, FL_CONFIG,
                            "the database has no schema of ours; run flopinio migrate");
    if (f->op.code)
        return &S_wait_database;
    int64_t there = fl_cell_int(w->q, 0, 0), ours = fl_schema_version();
    w->since_ms = fl_cell_int(w->clock, 0, 0) - (fl_mono_ms() - w->started_ms);
    if (there != ours && there != ours + 1)
        return fl_fail_with(f, FL_CONFIG,
                            "the database has schema %lld and this program needs %lld; run "
                            "flopinio migrate with the program that fits",
                            (long long)there, (long long)ours);
    if (fl_rows(w->unprotected) > 0)
        return fl_fail_with(f, FL_CONFIG,
                            "the table %.*s has no forced row security, so that organizations "
                            "could see one another's rows; see flopinio doctor",
                            FL_STR_ARG(fl_cell(w->unprotected, 0, 0)));
    return fl_await(f, &S_announce,
                    fl_audit_partitions_start(&f->op, &w->partitions, &w->loop, w->pg));
}

/* Behind the month's partition: the first row would else lie where it keeps that from being made. A
 * month that could not be made is in the log; the row is kept all the same, and moved later. */
FL_STEP(announce)
{
    struct worker *w = worker_of(f);
    struct fl_audit_event e;
    begin(w, NULL);
    fl_store_leases_drop(&w->tx, w->boot.gone, w->boot.gone_count);
    for (size_t i = 0; i < w->boot.gone_count; i++)
        fl_store_worker_gone(&w->tx, &w->boot.gone[i]);
    fl_store_worker_beat(&w->tx, &w->core.worker, "", (int)getpid(), FL_VERSION);
    fl_audit_init(&e, &fl_audit_installation, FL_AUDIT_RUNTIME_STARTED, FL_ACTOR_SYSTEM,
                  &w->core.worker, "installation", NULL);
    fl_audit_z(&e, "version", FL_VERSION);
    fl_audit_append(&e, &w->tx);
    return fl_await(f, &S_serve, fl_tx_submit(&f->op, &w->tx));
}

FL_STEP(serve)
{
    struct worker *w = worker_of(f);
    if (f->op.code == FL_UNAVAILABLE || f->op.code == FL_AMBIGUOUS)
        return &S_wait_database;
    if (f->op.code)
        return fl_fail_with(f, FL_CONFIG, "%s", f->op.err.text);
    if (open_doors(w, &f->op.err) != FL_OK)
        return fl_fail(f);
    fl_sweep_start(w->core.sweep, w->since_ms);
    fl_notify_start(w->notify);
    w->is_serving = w->stats_route.is_serving = true;
    FL_LOG(INFO, "worker_ready", FL_KI("pid", getpid()));
    ssize_t wrote = write(w->boot.ready_fd, "R", 1);
    FL_UNUSED(wrote);
    close(w->boot.ready_fd);
    return fl_end(f);
}

FL_STEP(give_up)
{
    struct worker *w = worker_of(f);
    FL_LOG(ERROR, "worker_refuses_to_serve", FL_KS("reason", f->first.text));
    fprintf(stderr, "flopinio: %s\n", f->first.text);
    w->exit_status = FL_EXIT_REFUSED;
    return fl_end(f);
}

static void start_drain(struct worker *w);

static void on_opened(struct fl_flow *f)
{
    struct worker *w = worker_of(f);
    if (!w->is_serving || w->is_draining) /* told to stop while it was opening */
        start_drain(w);
}

/* ---------------------------------------------------------------- listeners */
static enum fl_code serve_socket(struct worker *w, const struct fl_boot_socket *s,
                                 struct fl_site *site, bool is_tls, const char *name,
                                 struct fl_err *err)
{
    struct fl_http_server_config config = { .loop = &w->loop,
                                            .callbacks = &fl_site_callbacks,
                                            .user = site,
                                            .tls = is_tls ? w->tls : NULL,
                                            .limits = fl_http_limits_default,
                                            .name = name };
    config.limits.body_bytes = (uint64_t)w->boot.config.body_max_bytes;
    config.limits.connections = (uint32_t)w->boot.config.connections_max;
    return fl_http_server_new(&config, s->fd, &w->servers[w->server_count++], err);
}

static void on_stdio_connection(uv_stream_t *server, int status)
{
    struct worker *w = server->data;
    uv_pipe_t *client = status == 0 ? fl_calloc(1, sizeof *client) : NULL;
    uv_os_fd_t fd;
    if (!client)
        return;
    uv_pipe_init(&w->loop.uv, client, 0);
    /* Only the descriptor is wanted; the endpoint makes its own handle of a copy. */
    if (uv_accept(server, (uv_stream_t *)client) == 0 &&
        uv_fileno((uv_handle_t *)client, &fd) == 0 && !w->is_draining) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy >= 0)
            fl_endpoint_stdio(w->endpoint, copy);
    }
    uv_close((uv_handle_t *)client, (uv_close_cb)fl_free);
}

static enum fl_code serve_stdio(struct worker *w, int fd, struct fl_err *err)
{
    int rc = uv_pipe_init(&w->loop.uv, &w->stdio, 0);
    w->stdio.data = w;
    w->has_stdio = true;
    if (rc == 0)
        rc = uv_pipe_open(&w->stdio, fd);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&w->stdio, 128, on_stdio_connection);
    return rc ? fl_err_set(err, FL_IO, "could not listen for stdio clients: %s", uv_strerror(rc))
              : FL_OK;
}

/* Health and readiness are answered from the start. */
static enum fl_code open_metrics(struct worker *w, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (size_t i = 0; code == FL_OK && i < w->boot.socket_count; i++) {
        if (w->boot.sockets[i].kind == FL_BOOT_METRICS)
            code = serve_socket(w, &w->boot.sockets[i], &w->stats_site, false, "metrics", err);
    }
    return code;
}

/* Everything else when there is a database: until then the workers that have one take the
 * connections, or the first ones wait. If it stays away, callers are to be told so. */
static enum fl_code open_doors(struct worker *w, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (size_t i = 0; !w->is_open && code == FL_OK && i < w->boot.socket_count; i++) {
        const struct fl_boot_socket *s = &w->boot.sockets[i];
        switch (s->kind) {
        case FL_BOOT_MAIN: code = serve_socket(w, s, &w->main_site, true, "main", err); break;
        case FL_BOOT_METRICS: break;
        case FL_BOOT_CONTROL:
            code = serve_socket(w, s, &w->control_site, false, "control", err);
            break;
        case FL_BOOT_STDIO: code = serve_stdio(w, s->fd, err); break;
        case FL_BOOT_PEER: code = serve_socket(w, s, &w->peer_site, false, "peer", err); break;
        }
    }
    w->is_open = true;
    return code;
}

/* ---------------------------------------------------------------- each second */
static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        /* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
        if (fscanf(f, "%llu %llu", &pages, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void on_second(struct fl_timer *timer)
{
    struct worker *w = FL_CONTAINER(timer, struct worker, second);
    struct fl_stats_slot *s = &w->stats->slots[w->boot.worker % FL_STATS_WORKERS];
    struct fl_endpoint_counts ep;
    struct fl_pg_stats pg;
    struct fl_notify_figures notify;
    struct mallinfo2 heap = mallinfo2();
    fl_notify_figures(w->notify, &notify);
    fl_endpoint_counts(w->endpoint, &ep);
    fl_pg_stats(w->pg, &pg);
    *s = (struct fl_stats_slot){
        .at_ms = fl_mono_ms(),
        .pid = getpid(),
        .is_ready = w->is_serving,
        .calls = w->core.stats,
        .held = w->core.call_count,
        .runs = w->core.run_count,
        .websockets = ep.websockets,
        .stdio = ep.stdio,
        .talks = ep.talks,
        .listens = ep.listens,
        .sessions = ep.sessions,
        .db_batches = pg.batches,
        .db_members = pg.members,
        .db_retried = pg.retried,
        .db_failed = pg.failed,
        .db_reconnects = pg.reconnects,
        .db_queued = pg.queued,
        .db_up = pg.up,
        .rss_bytes = resident_bytes(),
        .heap_bytes = heap.uordblks + heap.hblkhd - fl_arena_kept(),
        .pending = fl_sweep_count(w->core.sweep, "pending"),
        .approved = fl_sweep_count(w->core.sweep, "approved"),
        .dispatched = fl_sweep_count(w->core.sweep, "dispatched"),
        .unknown = fl_sweep_count(w->core.sweep, "unknown"),
        .counted_ms = fl_sweep_counted_ms(w->core.sweep),
        .clock_offset_ms = fl_sweep_clock_offset(w->core.sweep),
        .cards_sent = notify.sent,
        .cards_failed = notify.failed,
        .channels = notify.channels,
        .unreached = notify.unreached,
    };
    for (size_t i = 0; i < w->server_count; i++) {
        struct fl_http_server_counts c = fl_http_server_counts(w->servers[i]);
        s->http_requests += c.requests;
        s->http_bad += c.bad_requests;
        s->http_open += c.open;
    }
    fl_loop_timer(&w->loop, &w->second, 1000);
}

/* ---------------------------------------------------------------- draining */
FL_STEP_DECLARE(wait_idle);
FL_STEP_DECLARE(stop_plugins);
FL_STEP_DECLARE(goodbye);
FL_STEP_DECLARE(gone);

FL_STEP(drain)
{
    struct worker *w = worker_of(f);
    w->core.is_draining = true;
    w->stats_route.is_draining = true;
    w->drain_until_ms = fl_mono_ms() + w->boot.config.drain_time;
    if (w->has_stdio)
        uv_close((uv_handle_t *)&w->stdio, NULL);
    w->has_stdio = false;
    for (size_t i = 0; i < w->server_count; i++)
        fl_http_server_drain(w->servers[i], w->boot.config.drain_time, NULL);
    fl_endpoint_drain(w->endpoint);
    fl_canary_drain(&w->core);
    fl_runner_drain(&w->core);
    fl_registry_stop(w->core.registry);
    fl_notify_stop(w->notify);
    if (w->is_serving)
        fl_sweep_stop(w->core.sweep);
    return &S_wait_idle;
}

FL_STEP(wait_idle)
{
    struct worker *w = worker_of(f);
    bool is_idle = fl_endpoint_is_idle(w->endpoint) && fl_registry_is_idle(w->core.registry) &&
                   fl_notify_is_idle(w->notify) && fl_api_is_idle(w->api) &&
                   fl_review_is_idle(w->review) && fl_cancel_is_idle(&w->core);
    for (size_t i = 0; i < w->server_count; i++)
        is_idle = is_idle && fl_http_server_is_drained(w->servers[i]);
    if (!is_idle && fl_mono_ms() < w->drain_until_ms)
        return fl_await(f, &S_wait_idle, fl_sleep_start(&f->op, &w->sleep, &w->loop, IDLE_LOOK_MS));
    if (!is_idle) {
        /* What is not over by now goes on from its row, in another worker. */
        FL_LOG(WARN, "drain_cut_short", FL_KI("calls", w->core.call_count),
               FL_KI("runs", w->core.run_count));
        fl_cancel_give_up(&w->core);
        _exit(0);
    }
    return &S_stop_plugins;
}

FL_STEP(stop_plugins)
{
    struct worker *w = worker_of(f);
    return fl_await(f, &S_goodbye, fl_orgs_stop_instances(&f->op, w->core.orgs));
}

FL_STEP(goodbye)
{
    struct worker *w = worker_of(f);
    struct fl_audit_event e;
    if (!w->is_serving || !fl_pg_is_up(w->pg, NULL))
        return &S_gone;
    begin(w, NULL);
    fl_store_leases_drop(&w->tx, &w->core.worker, 1);
    fl_store_worker_gone(&w->tx, &w->core.worker);
    fl_audit_init(&e, &fl_audit_installation, FL_AUDIT_RUNTIME_STOPPED, FL_ACTOR_SYSTEM,
                  &w->core.worker, "installation", NULL);
    fl_audit_append(&e, &w->tx);
    return fl_await(f, &S_gone, fl_tx_submit(&f->op, &w->tx));
}

FL_STEP(gone)
{
    return fl_end(f);
}

static void on_drained(struct fl_flow *f)
{
    fl_loop_stop(&worker_of(f)->loop);
}

FL_STEP(drain_failed)
{
    FL_UNUSED(f);
    return &S_gone;
}

static void start_drain(struct worker *w)
{
    fl_flow_init(&w->flow, &S_drain_failed, on_drained);
    fl_flow_run(&w->flow, &S_drain);
}

static void on_terminate(uv_signal_t *signal, int number)
{
    struct worker *w = signal->data;
    FL_UNUSED(number);
    if (w->is_draining)
        return;
    w->is_draining = true;
    FL_LOG(INFO, "worker_stops", FL_KI("pid", getpid()));
    if (w->is_serving)
        start_drain(w); /* else when the opening flow has ended */
}

static void set_log(const struct fl_config *c)
{
    enum fl_log_level level = FL_LOG_INFO;
    (void)!fl_log_level_parse(fl_str_of(c->log_level), &level);
    fl_log_init(level, strcmp(c->log_format, "json") == 0 ? FL_LOG_JSON : FL_LOG_TEXT);
}

static void set_operator(struct worker *w, const struct fl_config *c)
{
    fl_api_set_operator(w->api, strcmp(c->operator_authority, "always") == 0,
                        strcmp(c->operator_authority, "never") == 0);
}

/* SIGHUP: what may change while connections stay open. Of the configuration that it was started
 * with there are lists in use; of one that came by a reload only until the next. */
static void on_hangup(uv_signal_t *signal, int number)
{
    struct worker *w = signal->data;
    struct fl_config fresh;
    struct fl_err err;
    FL_UNUSED(number);
    if (fl_boot_read_reload(w->boot.reload_fd, &fresh, &err) != FL_OK) {
        FL_LOG(ERROR, "reload_failed", FL_KS("reason", err.text));
        return;
    }
    set_log(&fresh);
    fl_wiring_reload(&w->wiring, &fresh, &w->core, &w->main_site);
    fl_notify_retention(w->notify, fresh.card_retention);
    set_operator(w, &fresh);
    fl_config_fini(&w->reloaded);
    w->reloaded = fresh;
    fl_endpoint_reload(w->endpoint, fresh.progress_time, fresh.keepalive_time);
    fl_sweep_nudge(w->core.sweep);
    FL_LOG(INFO, "reloaded", FL_KI("pid", getpid()));
    if (w->tls && fl_tls_reload(w->tls, &err) != FL_OK)
        FL_LOG(ERROR, "certificate_reload_failed", FL_KS("reason", err.text));
}

/* ---------------------------------------------------------------- all together */
static void watch_signals(struct worker *w)
{
    static const struct {
        int number;
        uv_signal_cb callback;
    } watched[] = { { SIGTERM, on_terminate }, { SIGINT, on_terminate }, { SIGHUP, on_hangup } };
    for (size_t i = 0; i < FL_COUNTOF(watched); i++) {
        uv_signal_init(&w->loop.uv, &w->signals[i]);
        w->signals[i].data = w;
        uv_signal_start(&w->signals[i], watched[i].callback, watched[i].number);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* Of each new connection: is it still the database that this node knows? A worker that served the
 * other one has its policies and calls in memory, and begins anew. */
static enum fl_code admit(void *ctx, const struct pg_result *row, struct fl_err *err)
{
    struct worker *w = ctx;
    struct fl_epoch now;
    fl_epoch_of(row, &now);
    enum fl_code code = fl_known_admit(&w->boot.config, &now, err);
    if (code && !w->is_frozen)
        FL_LOG(ERROR, "frozen", FL_KS("reason", err->text));
    w->is_frozen = code != FL_OK;
    if (code && w->is_serving)
        _exit(1);
    return code;
}

/* Whoever waits for it need not look again before it does. */
static void on_database(void *ctx, bool is_up)
{
    struct worker *w = ctx;
    if (is_up)
        fl_op_cancel(&w->flow.op);
}

static enum fl_code open_parts(struct worker *w, struct fl_err *err)
{
    struct fl_config *c = &w->boot.config;
    char name[FL_WORKER_NAME_BYTES];
    struct fl_pg_config pg = { .conninfo = w->boot.conninfo.p,
                               .name = fl_store_worker_name(&w->boot.id, name),
                               .shared_connections = 2,
                               .exclusive_connections = (int)c->database_connections - 2,
                               .admit_sql = fl_epoch_sql,
                               .admit = admit,
                               .admit_ctx = w };
    enum fl_code code = fl_keyring_load(w->boot.keys, &w->keys, err);
    fl_cleanse((char *)w->boot.keys.p, w->boot.keys.n);
    if (code == FL_OK)
        code = fl_pg_new(&w->loop, &pg, &w->pg, err);
    fl_cleanse((char *)w->boot.conninfo.p, w->boot.conninfo.n);
    if (code == FL_OK)
        code = fl_host_new(&w->loop, NULL, &w->host, err);
    if (code)
        return code;
    fl_pg_on_state(w->pg, on_database, w);
    w->core = (struct fl_core){
        .loop = &w->loop, .pg = w->pg, .keys = w->keys, .host = w->host, .worker = w->boot.id
    };
    fl_wiring_core(&w->wiring, c, &w->core);
    if ((code = fl_core_open(&w->core, err)) == FL_OK)
        code = fl_principals_new(&w->loop, w->pg, &w->principals, err);
    if (code == FL_OK)
        code = fl_people_new(&w->loop, w->pg, w->keys, &w->people, err);
    w->core.people = w->people;
    struct fl_endpoint_config ep;
    fl_wiring_endpoint(&w->wiring, &w->boot, &ep);
    ep.sessions_ended = &w->stats->sessions_ended;
    if (code == FL_OK)
        code = fl_endpoint_new(&w->core, w->principals, &ep, &w->endpoint, err);
    struct fl_notify_config notify = { .may_be_local = c->chat_may_be_local,
                                       .ca_file = c->chat_ca_file[0] ? c->chat_ca_file : NULL,
                                       .public_url = c->public_url,
                                       .retention_ms = c->card_retention };
    if (code == FL_OK)
        code = fl_notify_new(&w->core, &notify, &w->notify, err);
    struct fl_api_config api = { .notify = w->notify };
    if (code == FL_OK)
        code = fl_api_new(&w->core, w->people, &api, &w->api, err);
    if (code == FL_OK)
        set_operator(w, c);
    if (code == FL_OK)
        code = fl_review_new(&w->core, w->people, c->public_url, &w->review, err);
    if (code == FL_OK)
        code = fl_wiring_tls(&w->wiring, c, &w->tls, err);
    return code;
}

static void open_sites(struct worker *w)
{
    fl_wiring_site(&w->wiring, &w->boot.config, &w->main_site);
    fl_site_add(&w->main_site, "/mcp", false, &fl_endpoint_http, w->endpoint);
    fl_site_add(&w->main_site, "/mcp/ws", false, &fl_endpoint_ws, w->endpoint);
    fl_site_add(&w->main_site, "/api/v1", true, &fl_api_http, w->api);
    fl_site_add(&w->main_site, "/hooks", true, &fl_notify_hooks, w->notify);
    fl_site_add(&w->main_site, FL_SLACK_REDIRECT, false, &fl_slack_oauth_http, w->notify);
    fl_site_add(&w->main_site, "/review", true, &fl_review_http, w->review);
    w->peer_site.is_local = true;
    fl_site_add(&w->peer_site, "/mcp", false, &fl_endpoint_http, w->endpoint);
    w->control_site.is_local = true;
    fl_site_add(&w->control_site, "/api/v1", true, &fl_api_control_http, w->api);
    w->stats_route = (struct fl_stats_site){ .stats = w->stats, .core = &w->core };
    fl_wiring_site(&w->wiring, &w->boot.config, &w->stats_site);
    w->stats_site.proxies = (struct fl_http_proxies){ .count = 0 }; /* its callers are near */
    fl_site_add(&w->stats_site, "/", true, &fl_stats_http, &w->stats_route);
}

static void close_parts(struct worker *w)
{
    for (size_t i = 0; i < w->server_count; i++)
        fl_http_server_free(&w->servers[i]);
    fl_loop_timer_cancel(&w->loop, &w->second);
    for (size_t i = 0; i < FL_COUNTOF(w->signals); i++)
        uv_close((uv_handle_t *)&w->signals[i], NULL);
    fl_endpoint_free(&w->endpoint);
    fl_notify_free(&w->notify);
    uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    fl_pg_free(&w->pg); /* completes whatever still waits for an answer */
    for (int i = 0; i < 10; i++)
        uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    fl_api_free(&w->api);
    fl_review_free(&w->review);
    fl_people_free(&w->people);
    if (w->arena)
        fl_tx_fini(&w->tx);
    fl_arena_free(&w->arena);
    fl_core_close(&w->core);
    fl_principals_free(&w->principals);
    fl_host_free(&w->host);
    fl_tls_free(&w->tls);
    fl_keyring_free(&w->keys);
    fl_wiring_fini(&w->wiring);
    if (fl_loop_fini(&w->loop) != 0)
        FL_LOG(WARN, "handles_left_open", FL_KI("pid", getpid()));
    fl_stats_unmap(w->stats);
    fl_config_fini(&w->reloaded);
    fl_config_fini(&w->boot.config);
}

/* A supervisor that was killed leaves nobody who keeps its sockets from the next one. */
static bool follow_supervisor(const struct worker *w)
{
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == w->boot.supervisor;
}

/* Shells and systemd give few descriptors to begin with and allow many. */
static void take_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int fl_worker_main(void)
{
    static struct worker w;
    struct fl_err err;
    char name[32];
    fl_secret_process();
    if (fl_boot_read(FL_BOOT_FD, &w.boot, &err) != FL_OK) {
        fprintf(stderr, "flopinio: %s\n", err.text);
        return FL_EXIT_REFUSED;
    }
    if (!follow_supervisor(&w))
        return FL_EXIT_REFUSED;
    take_descriptors();
    snprintf(name, sizeof name, "worker-%d", w.boot.worker);
    fl_log_process_name(name);
    set_log(&w.boot.config);
    w.stats = fl_stats_map(w.boot.stats_fd);
    close(w.boot.stats_fd);
    w.started_ms = fl_mono_ms();
    enum fl_code code = w.stats ? fl_loop_init(&w.loop, &err)
                                : fl_err_set(&err, FL_IO, "could not map the shared figures");
    if (code == FL_OK)
        code = open_parts(&w, &err);
    if (code == FL_OK) {
        open_sites(&w);
        code = open_metrics(&w, &err);
    }
    if (code) {
        FL_LOG(ERROR, "worker_cannot_start", FL_KS("reason", err.text));
        fprintf(stderr, "flopinio: %s\n", err.text);
        return code == FL_CONFIG || code == FL_BAD_KEY ? FL_EXIT_REFUSED : 1;
    }
    fl_arena_keep(ARENAS_KEPT_BYTES);
    watch_signals(&w);
    fl_timer_init(&w.second, on_second);
    fl_loop_timer(&w.loop, &w.second, 200);
    fl_flow_init(&w.flow, &S_give_up, on_opened);
    fl_flow_run(&w.flow, &S_wait_database);
    fl_loop_run(&w.loop);
    close_parts(&w);
    fl_arena_keep(0);
    return w.exit_status;
}
