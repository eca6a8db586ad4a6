/* The supervisor. */
#include "runtime/cli/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/cli/boot.h"
#include "runtime/cli/guard.h"
#include "runtime/cli/prepare.h"
#include "runtime/cli/private.h"
#include "runtime/cli/stats.h"
#include "runtime/cli/wiring.h"
#include "runtime/cli/worker.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/http_server.h"
#include "runtime/io/loop.h"

#define CLUSTER_LOOK_MS  2000
#define PRIVATE_LOOK_MS  250
#define OWN_PROGRAM      "/proc/self/exe"
#define BIND_TRIES       50
#define BIND_AGAIN_MS    100
#define END_TRIES        400 /* a private installation that nobody uses, to its end */
#define RESPAWN_FIRST_MS 200
#define RESPAWN_MAX_MS   10000

struct supervisor;

struct child {
    uv_process_t process;
    uv_pipe_t ready;
    struct supervisor *s;
    int slot; /* which worker it is */
    struct fl_uuid id;
    struct fl_uuid told[FL_BOOT_GONE]; /* those that it reports as gone before it serves */
    size_t told_count;
    bool is_ready, is_stopping, is_running, ready_is_open, has_process;
    bool is_doubted; /* it served at the last look, by which nobody may */
    int64_t started_ms;
    struct fl_timer kill_timer;
};

struct slot {
    struct child *child;
    struct child *old; /* being replaced: told to stop when the new one serves */
    struct fl_timer respawn;
    struct supervisor *s;
    unsigned crashes;
};

struct supervisor {
    struct fl_config *config;
    const struct fl_supervisor_options *options;
    struct fl_prepared prepared;
    struct fl_loop loop;
    struct fl_boot_socket sockets[FL_BOOT_SOCKETS];
    size_t socket_count;
    int ports[FL_BOOT_SOCKETS];
    int stats_fd, reload_fd;
    int worker_count;
    struct slot slots[FL_WORKERS_MAX];
    int peer_fds[FL_WORKERS_MAX]; /* where worker i listens for the others */
    int peer_count;
    struct fl_uuid gone[FL_BOOT_GONE]; /* ended, and no worker has said so in the database yet */
    size_t gone_count;
    uv_signal_t signals[4];
    struct fl_guard guard;
    struct fl_timer cluster_timer, private_timer;
    struct fl_private_watch private_watch;
    struct fl_work cluster_work;
    struct fl_err cluster_err;
    int rolling; /* slot that is being replaced; -1: none */
    /* What a worker is started from: our own program until the workers are replaced by what lies on
     * disk then. A worker that crashes after an upgrade of the file comes back as it was. */
    char program[PATH_MAX], on_disk[PATH_MAX];
    int exit_status;
    bool is_stopping, was_ready, is_mending, has_reloaded;
};

static void spawn(struct supervisor *s, int at);
static void maybe_end(struct supervisor *s);

/* ---------------------------------------------------------------- children */
static void free_child(uv_handle_t *handle)
{
    struct child *c = handle->data;
    if (c->ready_is_open) {
        c->ready_is_open = false;
        c->ready.data = c;
        uv_close((uv_handle_t *)&c->ready, free_child);
        return;
    }
    fl_free(c);
}

static void on_kill(struct fl_timer *timer)
{
    struct child *c = FL_CONTAINER(timer, struct child, kill_timer);
    FL_LOG(WARN, "worker_killed", FL_KI("worker", c->slot), FL_KI("pid", c->process.pid));
    uv_process_kill(&c->process, SIGKILL);
}

static void stop(struct child *c)
{
    if (!c || c->is_stopping)
        return;
    c->is_stopping = true;
    uv_process_kill(&c->process, SIGTERM);
    fl_loop_timer(&c->s->loop, &c->kill_timer, c->s->config->drain_time + 5000);
}

static void on_respawn(struct fl_timer *timer)
{
    struct slot *slot = FL_CONTAINER(timer, struct slot, respawn);
    if (!slot->s->is_stopping)
        spawn(slot->s, (int)(slot - slot->s->slots));
}

static void stop_all(struct supervisor *s)
{
    s->is_stopping = true;
    for (int i = 0; i < s->worker_count; i++) {
        fl_loop_timer_cancel(&s->loop, &s->slots[i].respawn);
        stop(s->slots[i].child);
        stop(s->slots[i].old);
    }
    maybe_end(s);
}

/* What a dead worker held is free as soon as its successor says that it is dead, instead of when
 * its silence is noticed. One too many to remember is found by its silence. */
static void note_gone(struct supervisor *s, const struct fl_uuid *id)
{
    if (s->gone_count < FL_BOOT_GONE)
        s->gone[s->gone_count++] = *id;
}

static void forget_gone(struct supervisor *s, const struct child *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->gone_count; i++) {
        bool is_told = false;
        for (size_t j = 0; j < c->told_count; j++)
            is_told = is_told || fl_uuid_cmp(&s->gone[i], &c->told[j]) == 0;
        if (!is_told)
            s->gone[kept++] = s->gone[i];
    }
    s->gone_count = kept;
}

/* The worker that was there goes on, and with it the program that it runs. */
static void roll_back(struct slot *slot, const char *why)
{
    struct supervisor *s = slot->s;
    slot->child = slot->old;
    slot->old = NULL;
    s->rolling = -1;
    snprintf(s->program, sizeof s->program, "%s", OWN_PROGRAM);
    FL_LOG(ERROR, "workers_not_replaced", FL_KI("worker", slot - s->slots), FL_KS("reason", why));
}

static void on_child_exit(uv_process_t *process, int64_t status, int signal)
{
    struct child *c = process->data;
    struct supervisor *s = c->s;
    note_gone(s, &c->id);
    struct slot *slot = &s->slots[c->slot];
    fl_loop_timer_cancel(&s->loop, &c->kill_timer);
    bool was_asked = c->is_stopping;
    if (slot->old == c)
        slot->old = NULL;
    if (slot->child == c && slot->old && !was_asked) {
        roll_back(slot, "the new worker ended before it could serve");
    } else if (slot->child == c) {
        slot->child = NULL;
        if (!was_asked && status == FL_EXIT_REFUSED) {
            s->exit_status = 1; /* it said why; another try would say the same */
            stop_all(s);
        } else if (!was_asked && !s->is_stopping) {
            int64_t delay = RESPAWN_FIRST_MS;
            if (fl_mono_ms() - c->started_ms > 60000)
                slot->crashes = 0;
            for (unsigned i = 0; i < slot->crashes && delay < RESPAWN_MAX_MS; i++)
                delay *= 2;
            slot->crashes++;
            FL_LOG(ERROR, "worker_ended", FL_KI("worker", c->slot), FL_KI("status", status),
                   FL_KI("signal", signal), FL_KI("again_in_ms", delay));
            fl_loop_timer(&s->loop, &slot->respawn, delay);
        }
    }
    uv_close((uv_handle_t *)process, free_child);
    maybe_end(s);
}

static void roll_next(struct supervisor *s);

/* A worker starts with what the supervisor was started with: what was reloaded since comes with the
 * signal, which it can take when it is ready. */
static void tell_to_reload(struct child *c)
{
    if (c && c->is_ready && c->s->has_reloaded)
        uv_process_kill(&c->process, SIGHUP);
}

static void on_ready_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct child *c = FL_CONTAINER(stream, struct child, ready);
    struct supervisor *s = c->s;
    FL_UNUSED(buf);
    if (n > 0)
        c->is_ready = true;
    uv_read_stop(stream);
    if (!c->is_ready)
        return;
    forget_gone(s, c);
    tell_to_reload(c);
    if (s->rolling == c->slot) {
        stop(s->slots[c->slot].old);
        roll_next(s);
    }
    bool all = true;
    for (int i = 0; i < s->worker_count; i++)
        all = all && s->slots[i].child && s->slots[i].child->is_ready;
    if (all && !s->was_ready) {
        s->was_ready = true;
        if (s->options->ready)
            s->options->ready(s->options->ctx, s->config, s->ports);
    }
}

static void on_ready_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char one[1];
    FL_UNUSED(handle);
    FL_UNUSED(suggested);
    *buf = uv_buf_init(one, sizeof one);
}

/* Descriptors of the child: 0-2 ours, 3 the boot text, 4 ready, 5 figures, 6 reload, 7.. sockets.
 */
enum { CHILD_READY = 4, CHILD_STATS, CHILD_RELOAD, CHILD_SOCKETS };

static bool start_child(struct supervisor *s, struct child *c)
{
    char name[] = "flopinio", mode[] = "worker";
    char *args[] = { name, mode, NULL };
    uv_stdio_container_t stdio[CHILD_SOCKETS + FL_BOOT_SOCKETS];
    struct fl_boot boot = { .config = *s->config,
                            .conninfo = fl_buf_view(&s->prepared.conninfo),
                            .keys = fl_buf_view(&s->prepared.keys),
                            .worker = c->slot,
                            .workers = s->worker_count,
                            .id = c->id,
                            .gone_count = c->told_count,
                            .supervisor = (int)getpid(),
                            .ready_fd = CHILD_READY,
                            .stats_fd = CHILD_STATS,
                            .reload_fd = CHILD_RELOAD,
                            .socket_count = s->socket_count };
    memcpy(boot.gone, c->told, sizeof boot.gone);
    for (size_t i = 0; i < s->socket_count; i++) {
        boot.sockets[i] = s->sockets[i];
        boot.sockets[i].fd = CHILD_SOCKETS + (int)i;
        stdio[CHILD_SOCKETS + i] =
            (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = s->sockets[i].fd };
    }
    size_t n = boot.socket_count++; /* add_socket left room for it */
    boot.sockets[n] = (struct fl_boot_socket){ FL_BOOT_PEER, CHILD_SOCKETS + (int)n, 0 };
    stdio[CHILD_SOCKETS + n] =
        (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = s->peer_fds[c->slot] };
    int boot_fd = fl_boot_write(&boot);
    if (boot_fd < 0) {
        FL_LOG(ERROR, "worker_spawn_failed", FL_KS("reason", "its settings could not be written"));
        return false;
    }
    for (int i = 0; i < 3; i++)
        stdio[i] = (uv_stdio_container_t){ .flags = i ? UV_INHERIT_FD : UV_IGNORE, .data.fd = i };
    stdio[FL_BOOT_FD] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = boot_fd };
    stdio[CHILD_READY] = (uv_stdio_container_t){ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                                                 .data.stream = (uv_stream_t *)&c->ready };
    stdio[CHILD_STATS] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = s->stats_fd };
    stdio[CHILD_RELOAD] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = s->reload_fd };
    uv_process_options_t options = { .exit_cb = on_child_exit,
                                     .file = s->program,
                                     .args = args,
                                     .stdio = stdio,
                                     .stdio_count = CHILD_SOCKETS + (int)boot.socket_count };
    c->has_process = true; /* to be closed also when it does not start */
    int rc = uv_spawn(&s->loop.uv, &c->process, &options);
    close(boot_fd);
    if (rc)
        FL_LOG(ERROR, "worker_spawn_failed", FL_KS("reason", uv_strerror(rc)));
    return rc == 0;
}

static void spawn(struct supervisor *s, int at)
{
    struct child *c = fl_calloc(1, sizeof *c);
    if (c) {
        c->s = s;
        c->slot = at;
        c->id = fl_uuid_new();
        c->told_count = s->gone_count;
        memcpy(c->told, s->gone, sizeof c->told);
        c->started_ms = fl_mono_ms();
        c->process.data = c;
        fl_timer_init(&c->kill_timer, on_kill);
        uv_pipe_init(&s->loop.uv, &c->ready, 0);
        c->ready_is_open = true;
        if (start_child(s, c)) {
            s->slots[at].child = c;
            uv_read_start((uv_stream_t *)&c->ready, on_ready_alloc, on_ready_read);
            return;
        }
        /* What was not opened is not closed. */
        uv_handle_t *first = c->has_process ? (uv_handle_t *)&c->process : (uv_handle_t *)&c->ready;
        c->ready_is_open = c->has_process;
        first->data = c;
        uv_close(first, free_child);
    }
    if (s->slots[at].old)
        roll_back(&s->slots[at], "the program could not be started");
    else
        fl_loop_timer(&s->loop, &s->slots[at].respawn, RESPAWN_MAX_MS);
}

/* ---------------------------------------------------------------- rolling restart */
/* One after the other: the new one serves before the old one is told to stop. The sockets are the
 * same all the time, so no connection attempt is refused. */
static void roll(struct supervisor *s, int at)
{
    s->rolling = at;
    fl_loop_timer_cancel(&s->loop, &s->slots[at].respawn);
    s->slots[at].old = s->slots[at].child;
    s->slots[at].child = NULL;
    spawn(s, at);
}

static void roll_next(struct supervisor *s)
{
    int next = s->rolling + 1;
    s->rolling = -1;
    if (next > 0 && next < s->worker_count && !s->is_stopping)
        roll(s, next);
    else
        FL_LOG(INFO, "workers_replaced", FL_KI("workers", s->worker_count));
}

/* ---------------------------------------------------------------- the private database */
static void mend_cluster(struct fl_work *work)
{
    struct supervisor *s = FL_CONTAINER(work, struct supervisor, cluster_work);
    struct fl_cluster *again = NULL;
    struct fl_cluster_config config = fl_prepare_cluster(s->config, NULL);
    s->cluster_err.code = fl_cluster_start(&config, &again, &s->cluster_err);
    fl_cluster_free(&again);
}

static void on_mended(struct fl_work *work)
{
    struct supervisor *s = FL_CONTAINER(work, struct supervisor, cluster_work);
    s->is_mending = false;
    if (s->cluster_err.code)
        FL_LOG(ERROR, "database_not_restarted", FL_KS("reason", s->cluster_err.text));
    else
        FL_LOG(INFO, "database_restarted",
               FL_KS("version", fl_cluster_version(s->prepared.cluster)));
    if (!s->is_stopping)
        fl_loop_timer(&s->loop, &s->cluster_timer, CLUSTER_LOOK_MS);
}

static void on_cluster_look(struct fl_timer *timer)
{
    struct supervisor *s = FL_CONTAINER(timer, struct supervisor, cluster_timer);
    if (fl_cluster_is_running(s->prepared.cluster)) {
        fl_loop_timer(&s->loop, &s->cluster_timer, CLUSTER_LOOK_MS);
        return;
    }
    FL_LOG(ERROR, "database_gone", FL_KS("action", "starting it again"));
    s->is_mending = true;
    fl_loop_work(&s->loop, &s->cluster_work, mend_cluster, on_mended);
}

static void kill_now(struct child *c)
{
    if (c)
        uv_process_kill(&c->process, SIGKILL);
}

/* Workers that lived through it know what this database has forgotten: they begin anew. So does one
 * that came in between, while it looked like the one that was here; one that serves since `recover`
 * was not there at the last look. */
static void judge(struct child *c, bool was_frozen, bool is_frozen)
{
    if (!c)
        return;
    if (is_frozen && (!was_frozen || c->is_doubted))
        kill_now(c);
    c->is_doubted = is_frozen && c->is_ready;
}

static void on_guard_looked(void *ctx, bool was_frozen, bool is_frozen)
{
    struct supervisor *s = ctx;
    for (int i = 0; i < s->worker_count; i++) {
        judge(s->slots[i].child, was_frozen, is_frozen);
        judge(s->slots[i].old, was_frozen, is_frozen);
    }
    maybe_end(s);
}

/* ---------------------------------------------------------------- private installations */
static void on_private_look(struct fl_timer *timer)
{
    struct supervisor *s = FL_CONTAINER(timer, struct supervisor, private_timer);
    if (s->is_stopping)
        return;
    if (fl_private_is_deserted(&s->private_watch)) {
        FL_LOG(INFO, "stopping", FL_KS("reason", "the last client is gone"));
        stop_all(s);
    } else {
        fl_loop_timer(&s->loop, &s->private_timer, PRIVATE_LOOK_MS);
    }
}

/* ---------------------------------------------------------------- signals */
static void on_terminate(uv_signal_t *signal, int number)
{
    struct supervisor *s = signal->data;
    FL_UNUSED(number);
    if (!s->is_stopping)
        FL_LOG(INFO, "stopping", FL_KI("workers", s->worker_count));
    stop_all(s);
}

static void on_reload(uv_signal_t *signal, int number)
{
    struct supervisor *s = signal->data;
    struct fl_config fresh;
    struct fl_err err;
    FL_UNUSED(number);
    if (fl_config_load(s->options->config_file, s->options->flags, s->options->flag_count, &fresh,
                       &err) != FL_OK) {
        FL_LOG(ERROR, "reload_refused", FL_KS("reason", err.text));
        return; /* the running one stays */
    }
    if (fl_boot_write_reload(s->reload_fd, &fresh)) {
        s->has_reloaded = true; /* whoever is not ready yet is told then */
        for (int i = 0; i < s->worker_count; i++)
            tell_to_reload(s->slots[i].child);
    }
    fl_config_fini(&fresh);
}

static void on_replace(uv_signal_t *signal, int number)
{
    struct supervisor *s = signal->data;
    FL_UNUSED(number);
    if (s->is_stopping || s->rolling >= 0)
        return;
    if (s->on_disk[0])
        snprintf(s->program, sizeof s->program, "%s", s->on_disk);
    roll(s, 0);
}

/* ---------------------------------------------------------------- sockets */
static enum fl_code add_socket(struct supervisor *s, enum fl_boot_kind kind, int fd, int port,
                               struct fl_err *err)
{
    if (s->socket_count == FL_BOOT_SOCKETS - 1) {
        close(fd);
        return fl_err_set(err, FL_CONFIG, "too many addresses to listen on");
    }
    s->ports[s->socket_count] = port;
    s->sockets[s->socket_count++] = (struct fl_boot_socket){ kind, fd, port };
    return FL_OK;
}

static int bound_port(int fd)
{
    struct sockaddr_storage at = { 0 };
    socklen_t n = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        return 0;
    /* getsockname has filled it. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static enum fl_code bind_tcp(struct supervisor *s, const char *text, enum fl_boot_kind kind,
                             struct fl_err *err)
{
    char address[64];
    int port, fd;
    enum fl_code code = fl_wiring_address(text, address, &port, err);
    if (code == FL_OK)
        code = fl_listen_tcp(address, (uint16_t)port, &fd, err);
    return code ? code : add_socket(s, kind, fd, bound_port(fd), err);
}

static enum fl_code bind_unix(struct supervisor *s, const char *name, mode_t mode,
                              enum fl_boot_kind kind, struct fl_err *err)
{
    char path[600];
    int fd;
    snprintf(path, sizeof path, "%s/%s", s->prepared.run_dir, name);
    enum fl_code code = fl_listen_unix(path, mode, &fd, err);
    return code ? code : add_socket(s, kind, fd, 0, err);
}

static enum fl_code bind_peers(struct supervisor *s, struct fl_err *err)
{
    char path[600];
    enum fl_code code = FL_OK;
    for (int i = 0; code == FL_OK && i < s->worker_count; i++) {
        snprintf(path, sizeof path, "%s/worker-%d.sock", s->prepared.run_dir, i);
        code = fl_listen_unix(path, 0600, &s->peer_fds[i], err);
        s->peer_count += code == FL_OK;
    }
    return code;
}

static void close_sockets(struct supervisor *s)
{
    while (s->peer_count)
        close(s->peer_fds[--s->peer_count]);
    while (s->socket_count)
        close(s->sockets[--s->socket_count].fd);
}

static enum fl_code bind_all(struct supervisor *s, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (const char *const *at = s->config->listen; code == FL_OK && *at; at++)
        code = bind_tcp(s, *at, FL_BOOT_MAIN, err);
    if (code == FL_OK && s->config->metrics_listen[0])
        code = bind_tcp(s, s->config->metrics_listen, FL_BOOT_METRICS, err);
    if (code == FL_OK)
        code = bind_unix(s, "control.sock", 0600, FL_BOOT_CONTROL, err);
    if (code == FL_OK)
        code = bind_unix(s, "stdio.sock", 0666, FL_BOOT_STDIO, err);
    return code ? code : bind_peers(s, err);
}

/* ---------------------------------------------------------------- all together */
static void maybe_end(struct supervisor *s)
{
    if (!s->is_stopping)
        return;
    for (int i = 0; i < s->worker_count; i++) {
        if (s->slots[i].child || s->slots[i].old)
            return;
    }
    fl_guard_stop(&s->guard);
    if (s->guard.is_busy)
        return; /* again when it has looked */
    fl_loop_timer_cancel(&s->loop, &s->cluster_timer);
    fl_loop_timer_cancel(&s->loop, &s->private_timer);
    fl_loop_stop(&s->loop);
}

static void watch_signals(struct supervisor *s)
{
    static const struct {
        int number;
        uv_signal_cb callback;
    } watched[] = { { SIGTERM, on_terminate },
                    { SIGINT, on_terminate },
                    { SIGHUP, on_reload },
                    { SIGUSR2, on_replace } };
    for (size_t i = 0; i < FL_COUNTOF(watched); i++) {
        uv_signal_init(&s->loop.uv, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], watched[i].callback, watched[i].number);
    }
}

static enum fl_code prepare(struct supervisor *s, struct fl_err *err)
{
    const struct fl_supervisor_options *o = s->options;
    s->prepared.is_private = o->is_private;
    int clients_fd = -1;
    enum fl_code code = fl_prepare_dirs(s->config, &s->prepared, err);
    if (code == FL_CONFLICT && !o->is_private && fl_private_end_idle(s->config, &clients_fd)) {
        for (int i = 0; code == FL_CONFLICT && i < END_TRIES; i++) {
            usleep(BIND_AGAIN_MS * 1000);
            code = fl_prepare_dirs(s->config, &s->prepared, err);
        }
        close(clients_fd);
    }
    if (code == FL_OK)
        code = bind_all(s, err); /* before anything slow: a taken port is said at once */
    /* Workers of a supervisor that was killed are on their way out, with its sockets. */
    for (int i = 0; code == FL_CONFLICT && s->prepared.was_killed && i < BIND_TRIES; i++) {
        usleep(BIND_AGAIN_MS * 1000);
        close_sockets(s);
        code = bind_all(s, err);
    }
    if (code == FL_OK)
        code = fl_prepare_database(s->config, &s->prepared, o->progress, err);
    if (code == FL_OK)
        code = fl_prepare_keys(s->config, &s->prepared, err);
    if (code == FL_OK)
        code = fl_prepare_organizations(s->config, &s->prepared, err);
    if (code == FL_OK)
        code = fl_prepare_epoch(s->config, &s->prepared, err);
    if (code)
        return code;
    s->stats_fd = fl_stats_make();
    s->reload_fd = memfd_create("flopinio-reload", MFD_CLOEXEC);
    if (s->stats_fd < 0 || s->reload_fd < 0 || !fl_boot_write_reload(s->reload_fd, s->config))
        return fl_err_set(err, FL_IO, "could not make shared memory: %s", strerror(errno));
    return fl_loop_init(&s->loop, err);
}

static void close_all(struct supervisor *s)
{
    struct fl_err err;
    close_sockets(s);
    fl_guard_fini(&s->guard);
    if (s->prepared.cluster && fl_cluster_stop(s->prepared.cluster, 30000, &err) != FL_OK)
        FL_LOG(WARN, "database_not_stopped", FL_KS("reason", err.text));
    fl_prepare_fini(&s->prepared);
    close(s->stats_fd);
    close(s->reload_fd);
}

int fl_supervise(struct fl_config *config, const struct fl_supervisor_options *options,
                 struct fl_err *err)
{
    struct supervisor *s = fl_calloc(1, sizeof *s);
    if (!s) {
        fl_err_code(err, FL_NOMEM);
        return 1;
    }
    fl_secret_process();
    s->config = config;
    s->options = options;
    s->rolling = -1;
    s->stats_fd = s->reload_fd = s->prepared.lock_fd = -1;
    s->worker_count = fl_prepare_workers(config);
    snprintf(s->program, sizeof s->program, "%s", OWN_PROGRAM);
    ssize_t n = readlink(OWN_PROGRAM, s->on_disk, sizeof s->on_disk - 1);
    s->on_disk[n > 0 ? n : 0] = 0;
    /* Whoever stops it while it starts is heard when it can stop what it has started. */
    sigset_t stops, before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    sigaddset(&stops, SIGUSR2);
    sigprocmask(SIG_BLOCK, &stops, &before);
    if (prepare(s, err) != FL_OK) {
        close_all(s);
        sigprocmask(SIG_SETMASK, &before, NULL);
        fl_free(s);
        return 1;
    }
    watch_signals(s);
    sigprocmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; i < s->worker_count; i++) {
        s->slots[i].s = s;
        fl_timer_init(&s->slots[i].respawn, on_respawn);
        spawn(s, i);
    }
    s->guard = (struct fl_guard){ .loop = &s->loop,
                                  .config = config,
                                  .conninfo = s->prepared.conninfo.p,
                                  .looked = on_guard_looked,
                                  .ctx = s,
                                  .is_frozen = s->prepared.is_frozen };
    fl_guard_start(&s->guard);
    if (s->prepared.is_frozen && options->frozen)
        options->frozen(options->ctx);
    fl_timer_init(&s->cluster_timer, on_cluster_look);
    if (s->prepared.cluster)
        fl_loop_timer(&s->loop, &s->cluster_timer, CLUSTER_LOOK_MS);
    fl_timer_init(&s->private_timer, on_private_look);
    if (options->is_private) {
        fl_private_watch_init(&s->private_watch, config);
        fl_loop_timer(&s->loop, &s->private_timer, PRIVATE_LOOK_MS);
    }
    fl_loop_run(&s->loop);
    for (size_t i = 0; i < FL_COUNTOF(s->signals); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    (void)!fl_loop_fini(&s->loop);
    int status = s->exit_status;
    close_all(s);
    fl_free(s);
    err->code = FL_OK;
    return status;
}
