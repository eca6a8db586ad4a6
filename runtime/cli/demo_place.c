/* The demo's data directory, and the runtime that lives in it. A directory is made, or it is one
 * that an earlier demo made: then it is cleared, after whatever a killed demo left running in it
 * was stopped. Any other directory is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "runtime/cli/config.h"
#include "runtime/cli/demo_priv.h"
#include "runtime/cli/ports.h"
#include "runtime/cli/supervisor.h"
#include "runtime/host/host.h"
#include "runtime/store/cluster.h"

#define MARKER     "made-by-flopinio-demo"
#define LOG_NAME   "runtime.log"
#define START_MS   120000
#define STOP_MS    45000
#define LINE_BYTES 600
#define PATH_BYTES (DEMO_PATH_BYTES + 64)
#define SETTINGS   "# Of the demo. Its address is said on its command line.\nmetrics_listen: \"\"\n"

/* ---------------------------------------------------------------- the directory */
static void path_in(const struct demo *d, const char *name, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", d->options.data_dir, name);
}

static bool write_file(struct demo *d, const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool is_fine = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0)
        is_fine = false;
    return is_fine || demo_fail(d, "could not write %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    FL_UNUSED(st);
    FL_UNUSED(kind);
    FL_UNUSED(at);
    return remove(path);
}

static bool remove_tree(struct demo *d)
{
    const char *trees[] = { d->folder, d->options.data_dir };
    for (size_t i = 0; i < FL_COUNTOF(trees); i++) {
        if (access(trees[i], F_OK) == 0 &&
            nftw(trees[i], remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
            return demo_fail(d, "could not remove %s: %s", trees[i], strerror(errno));
    }
    return true;
}

/* The agent's folder lies beside the data directory: what is in there no plugin may reach. */
static void name_folder(struct demo *d)
{
    size_t n = strlen(d->options.data_dir);
    while (n > 1 && d->options.data_dir[n - 1] == '/')
        n--;
    snprintf(d->folder, sizeof d->folder, "%.*s-folder", (int)n, d->options.data_dir);
}

/* A running runtime holds a lock on its file. */
static bool is_free(struct demo *d)
{
    char path[PATH_BYTES], pid[32] = "";
    path_in(d, "flopinio.pid", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return true;
    bool is_locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
    ssize_t n = is_locked ? read(fd, pid, sizeof pid - 1) : 0;
    close(fd);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
    return !is_locked || demo_fail(d,
                                   "%s is in use: a runtime is running in it (process %s); stop "
                                   "that one, or choose another with --data-dir",
                                   d->options.data_dir, pid);
}

static bool is_empty(const char *path)
{
    return rmdir(path) == 0 || errno == ENOENT;
}

static bool make_dirs(struct demo *d)
{
    char part[DEMO_PATH_BYTES];
    snprintf(part, sizeof part, "%s", d->options.data_dir);
    for (char *p = part + 1;; p++) {
        char c = *p;
        if (c != '/' && c)
            continue;
        *p = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return demo_fail(d, "could not make the directory %s: %s", part, strerror(errno));
        *p = c;
        if (!c)
            return true;
    }
}

bool demo_place_take(struct demo *d)
{
    const char *dir = d->options.data_dir;
    char marker[PATH_BYTES];
    path_in(d, MARKER, marker);
    name_folder(d);
    if (d->options.is_temporary) {
        /* mkdtemp made it; the database's own user has to pass through. */
        if (chmod(dir, 0755) != 0)
            return demo_fail(d, "could not open %s to others: %s", dir, strerror(errno));
    } else if (!is_empty(dir)) {
        if (access(marker, F_OK) != 0)
            return demo_fail(
                d, "%s is not empty and no demo made it; choose another with --data-dir", dir);
        if (!is_free(d))
            return false;
        demo_say(d, "Starting over: what an earlier demo left in %s is removed.", dir);
        if (fl_cluster_stop_left(dir, STOP_MS, &d->err) != FL_OK || !remove_tree(d))
            return false;
    }
    char settings[PATH_BYTES];
    path_in(d, "flopinio.yaml", settings);
    return make_dirs(d) &&
           write_file(
               d, marker,
               "flopinio demo removes this whole directory, and the folder beside it, when it starts "
               "over.\n") &&
           write_file(d, settings, SETTINGS);
}

void demo_place_leave(struct demo *d)
{
    if (d->options.is_temporary && !remove_tree(d))
        fprintf(stderr, "flopinio: %s\n", d->err.text);
}

/* ---------------------------------------------------------------- the folder */
static const struct {
    const char *name, *text;
} files[] = {
    { "notes.txt", "The meeting with the printers is on Thursday at ten.\n"
                   "They need the final price list by Wednesday.\n" },
    { "prices.txt", "apples   2.40\n"
                    "pears    3.10\n"
                    "plums    1.90\n" },
    { "old-prices.txt", "apples   2.10\n"
                        "pears    2.90\n" },
};

/* Plugins run under a user of their own where the runtime is root. */
static bool give_away(struct demo *d, const char *path)
{
    uint32_t uid, gid;
    if (geteuid() != 0)
        return true;
    if (fl_host_user("nobody", &uid, &gid, &d->err) != FL_OK)
        return false;
    return chown(path, uid, gid) == 0 ||
           demo_fail(d, "could not give %s to the plugin's user: %s", path, strerror(errno));
}

bool demo_place_fill(struct demo *d)
{
    if (mkdir(d->folder, 0755) != 0)
        return demo_fail(d, "could not make the directory %s: %s", d->folder, strerror(errno));
    for (size_t i = 0; i < FL_COUNTOF(files); i++) {
        char path[PATH_BYTES + 32];
        snprintf(path, sizeof path, "%s/%s", d->folder, files[i].name);
        if (!write_file(d, path, files[i].text) || !give_away(d, path))
            return false;
    }
    return give_away(d, d->folder);
}

void demo_folder_read(struct demo *d, const char *name, struct fl_buf *ret)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/%s", d->folder, name);
    FILE *file = fopen(path, "re");
    char piece[4096];
    for (size_t n; file && (n = fread(piece, 1, sizeof piece, file)) > 0;)
        fl_buf_put(ret, piece, n);
    if (file)
        fclose(file);
}

bool demo_folder_has(struct demo *d, const char *name)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/%s", d->folder, name);
    return access(path, F_OK) == 0;
}

/* ---------------------------------------------------------------- the runtime: its side */
/* Lines to the demo: "P what it does", "R port" when it serves, "E why it cannot". */
static int tell_fd = -1;

static void tell(char kind, const char *text)
{
    dprintf(tell_fd, "%c %s\n", kind, text);
}

static void on_progress(const char *what)
{
    tell('P', what);
}

static void on_ready(void *ctx, const struct fl_config *config, const int *ports)
{
    char port[16];
    *(bool *)ctx = true;
    fl_ports_write(config, ports);
    snprintf(port, sizeof port, "%d", ports[0]);
    tell('R', port);
}

static void redirect(const char *log)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(null, 0);
    dup2(null, 1);
    dup2(fd >= 0 ? fd : null, 2);
}

static _Noreturn void be_runtime(const struct demo *d, pid_t parent)
{
    char data_dir[PATH_BYTES], listen[40], settings[PATH_BYTES], log[PATH_BYTES];
    struct fl_config config;
    struct fl_err err;
    setpgid(0, 0); /* Ctrl-C goes to the demo, which stops us in its own time */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    path_in(d, LOG_NAME, log);
    path_in(d, "flopinio.yaml", settings);
    redirect(log);
    snprintf(data_dir, sizeof data_dir, "--data-dir=%s", d->options.data_dir);
    snprintf(listen, sizeof listen, "--listen=127.0.0.1:%d", d->options.port);
    /* Set here so that nothing of the environment can lead the demo to somebody's real data. */
    const char *flags[] = { data_dir,
                            listen,
                            "--metrics-listen=",
                            "--public-url=",
                            "--keys-file=",
                            "--tls-certificate=",
                            "--tls-key=",
                            "--plugin-user=nobody",
                            "--log-format=text" };
    unsetenv("FLOPINIO_DATABASE_URL");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    bool was_ready = false;
    int status = 1;
    if (fl_config_load(settings, flags, FL_COUNTOF(flags), &config, &err) == FL_OK) {
        fl_log_init(FL_LOG_INFO, FL_LOG_TEXT);
        fl_log_process_name("supervisor");
        struct fl_supervisor_options options = { .config_file = settings,
                                                 .flags = flags,
                                                 .flag_count = FL_COUNTOF(flags),
                                                 .progress = on_progress,
                                                 .ready = on_ready,
                                                 .ctx = &was_ready };
        status = fl_supervise(&config, &options, &err);
        if (was_ready)
            fl_ports_remove(&config);
        fl_config_fini(&config);
    }
    if (err.code)
        tell('E', err.text);
    _exit(status);
}

/* ---------------------------------------------------------------- the runtime: our side */
/* A line of what the runtime tells; false: nothing more comes, or not in time. */
static bool hear(struct demo *d, int64_t until_ms, char line[LINE_BYTES])
{
    for (size_t n = 0;;) {
        struct pollfd p = { .fd = d->runtime_fd, .events = POLLIN };
        int64_t left = until_ms - fl_mono_ms();
        if (demo_is_interrupted || left <= 0)
            return false;
        if (poll(&p, 1, (int)(left > 200 ? 200 : left)) <= 0)
            continue;
        if (read(d->runtime_fd, line + n, 1) != 1)
            return false;
        if (line[n] == '\n' || n == LINE_BYTES - 2) {
            line[n] = 0;
            return true;
        }
        n++;
    }
}

/* The last line of the log that says why, for a runtime that ended without a word. */
static bool fail_by_log(struct demo *d)
{
    char log[PATH_BYTES];
    path_in(d, LOG_NAME, log);
    return demo_fail(d, "the runtime did not start; what it said is in %s", log);
}

bool demo_runtime_start(struct demo *d)
{
    int fds[2];
    char line[LINE_BYTES];
    pid_t self = getpid();
    fflush(stdout);
    if (pipe2(fds, O_CLOEXEC) != 0 || (d->runtime = fork()) < 0)
        return demo_fail(d, "could not start the runtime: %s", strerror(errno));
    if (d->runtime == 0) {
        tell_fd = fds[1];
        be_runtime(d, self);
    }
    close(fds[1]);
    d->runtime_fd = fds[0];
    for (int64_t until_ms = fl_mono_ms() + START_MS; hear(d, until_ms, line);) {
        const char *text = line[0] ? line + 2 : "";
        if (line[0] == 'E')
            return demo_fail(d,
                             strstr(text, "Address already in use")
                                 ? "%s; choose another with --port=PORT"
                                 : "%s",
                             text);
        if (line[0] == 'R') {
            d->port = (int)strtol(text, NULL, 10);
            return true;
        }
        demo_say(d, "%s ...", text);
    }
    return demo_is_interrupted ? demo_fail(d, "stopped") : fail_by_log(d);
}

bool demo_runtime_wait(struct demo *d)
{
    struct pollfd p = { .fd = d->runtime_fd, .events = POLLIN };
    while (!demo_is_interrupted) {
        if (poll(&p, 1, 1000) > 0)
            return demo_fail(d, "the runtime ended by itself; what it said is in %s/" LOG_NAME,
                             d->options.data_dir);
    }
    return true;
}

void demo_runtime_stop(struct demo *d)
{
    if (d->runtime <= 0)
        return;
    kill(d->runtime, SIGTERM);
    for (int64_t until_ms = fl_mono_ms() + STOP_MS; waitpid(d->runtime, NULL, WNOHANG) == 0;) {
        if (fl_mono_ms() > until_ms)
            kill(d->runtime, SIGKILL);
        poll(NULL, 0, 20);
    }
    d->runtime = 0;
    close(d->runtime_fd);
}
