/* The private PostgreSQL cluster. */
#include "runtime/store/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/cluster_orphans.h"
#include "runtime/store/cluster_roles.h"

#define PATH_BYTES       512
#define START_TIMEOUT_MS 60000
#define READY_LOOK_MS    10
#define DATABASE         "flopinio"
#define CONNECTIONS      100
#define SOCKET_PATH_MAX  107
#define PORT             "5432" /* only a part of the socket's name */

struct fl_cluster {
    char data[PATH_BYTES];    /* data_dir/postgres */
    char secrets[PATH_BYTES]; /* data_dir/secrets */
    char socket_dir[PATH_BYTES];
    char bin[PATH_BYTES];
    char version[8];
    char os_user[64]; /* "" = as ourselves */
    uid_t uid;
    gid_t gid;
    int connections;
    bool is_migrated;
    void (*progress)(const char *what);
};

static const char *const majors[] = { "17", "16", "15" };

/* ---- small file and process helpers ---- */
static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static enum fl_code read_small(const char *path, char *out, size_t size, struct fl_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fl_err_set(err, FL_IO, "could not read %s: %s", path, strerror(saved));
    out[n] = 0;
    return FL_OK;
}

/* Through a temporary name and fsync: a crash leaves the old file or the new one. */
static enum fl_code write_small(const char *path, const char *text, uid_t uid, gid_t gid,
                                struct fl_err *err)
{
    char temp[PATH_BYTES + 8];
    snprintf(temp, sizeof temp, "%s.new", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t n = strlen(text);
    bool is_fine = fd >= 0 && (geteuid() != 0 || fchown(fd, uid, gid) == 0) &&
                   write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (is_fine && rename(temp, path) == 0)
        return FL_OK;
    if (is_fine)
        saved = errno;
    unlink(temp);
    return fl_err_set(err, FL_IO, "could not write %s: %s", path, strerror(saved));
}

static enum fl_code make_dir(const char *path, uid_t uid, gid_t gid, struct fl_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fl_err_set(err, FL_IO, "could not make the directory %s: %s", path, strerror(errno));
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return fl_err_set(err, FL_IO, "%s is not a directory", path);
    if (geteuid() == 0 && st.st_uid != uid && chown(path, uid, gid) != 0)
        return fl_err_set(err, FL_IO, "could not give %s to its user: %s", path, strerror(errno));
    if (geteuid() != 0 && st.st_uid != geteuid())
        return fl_err_set(err, FL_IO, "%s belongs to another user", path);
    if ((st.st_mode & 077) != 0 && chmod(path, 0700) != 0)
        return fl_err_set(err, FL_IO, "could not make %s private: %s", path, strerror(errno));
    return FL_OK;
}

static void become(const struct fl_cluster *c)
{
    if (!c->os_user[0])
        return;
    if (initgroups(c->os_user, c->gid) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0) {
        fprintf(stderr, "cannot become %s\n", c->os_user);
        _exit(126);
    }
}

/* Our own may be blocked while we prepare. */
static void let_signals_in(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Runs a program of the cluster as its user and waits; its output goes to `said`. */
static int run_tool(const struct fl_cluster *c, const char *const argv[], char *said, size_t size)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        let_signals_in();
        become(c);
        if (chdir("/") != 0 || dup2(null, 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[1], 2) < 0)
            _exit(126);
        setenv("LC_ALL", "C.UTF-8", 1);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    size_t n = 0;
    char scrap[512];
    for (;;) {
        bool has_room = n + 1 < size;
        ssize_t got =
            read(fds[0], has_room ? said + n : scrap, has_room ? size - 1 - n : sizeof scrap);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (has_room)
            n += (size_t)got;
    }
    said[n] = 0;
    close(fds[0]);
    int status = -1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- where things are ---- */
static enum fl_code find_user(struct fl_cluster *c, const char *wanted, struct fl_err *err)
{
    c->uid = geteuid();
    c->gid = getegid();
    if (geteuid() != 0)
        return FL_OK;
    const char *candidates[] = { wanted ? wanted : "flopinio", wanted ? NULL : "postgres" };
    for (size_t i = 0; i < FL_COUNTOF(candidates) && candidates[i]; i++) {
        const struct passwd *pw = getpwnam(candidates[i]);
        if (!pw || pw->pw_uid == 0)
            continue;
        snprintf(c->os_user, sizeof c->os_user, "%s", candidates[i]);
        c->uid = pw->pw_uid;
        c->gid = pw->pw_gid;
        return FL_OK;
    }
    return fl_err_set(err, FL_CONFIG,
                      "PostgreSQL does not run as root and there is no user %s; add one with: "
                      "adduser --system --group flopinio",
                      wanted ? wanted : "flopinio or postgres");
}

static enum fl_code find_bin(struct fl_cluster *c, const char *wanted, struct fl_err *err)
{
    char tool[PATH_BYTES + 16];
    if (wanted) {
        snprintf(c->bin, sizeof c->bin, "%s", wanted);
        snprintf(tool, sizeof tool, "%s/postgres", c->bin);
        if (exists(tool))
            return FL_OK;
        return fl_err_set(err, FL_CONFIG, "there is no PostgreSQL server in %s", wanted);
    }
    for (size_t i = 0; i < FL_COUNTOF(majors); i++) {
        if (c->version[0] && strcmp(majors[i], c->version) != 0)
            continue; /* existing files: only the same major can open them */
        snprintf(c->bin, sizeof c->bin, "/usr/lib/postgresql/%s/bin", majors[i]);
        snprintf(tool, sizeof tool, "%s/postgres", c->bin);
        if (exists(tool))
            return FL_OK;
    }
    if (c->version[0])
        return fl_err_set(err, FL_CONFIG,
                          "the private database was made by PostgreSQL %s and that version is not "
                          "installed; install it with: apt-get install postgresql-%s",
                          c->version, c->version);
    return fl_err_set(err, FL_CONFIG,
                      "PostgreSQL 15, 16 or 17 is not installed; install it with: "
                      "apt-get install postgresql");
}

/* A unix socket path has 107 bytes. Where the data directory's own is longer it is a short name of
 * its own, the same at each start: nothing of the environment decides, as whoever looks for the
 * server later has another one. */
static enum fl_code find_socket_dir(struct fl_cluster *c, struct fl_err *err)
{
    static const char leaf[] = "/socket/.s.PGSQL." PORT ".lock", own[] = "/postgres";
    size_t n = strlen(c->data) - strlen(own);
    if (n + sizeof leaf <= SOCKET_PATH_MAX) {
        snprintf(c->socket_dir, sizeof c->socket_dir, "%.*s/socket", (int)n, c->data);
        return make_dir(c->socket_dir, c->uid, c->gid, err);
    }
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a of the path: a name, not a secret */
    for (const char *p = c->data; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
    snprintf(c->socket_dir, sizeof c->socket_dir, "%s/flopinio-%u-%08x",
             geteuid() == 0 ? "/run" : "/tmp", (unsigned)geteuid(), (unsigned)(hash ^ hash >> 32));
    return make_dir(c->socket_dir, c->uid, c->gid, err);
}

/* Every directory above must let the cluster's user through. */
static enum fl_code check_reachable(const struct fl_cluster *c, struct fl_err *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", c->data);
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        struct stat st;
        *slash = 0;
        if (stat(path, &st) != 0)
            return fl_err_set(err, FL_IO, "%s is not there", path);
        bool is_open = st.st_uid == c->uid   ? (st.st_mode & S_IXUSR) != 0
                       : st.st_gid == c->gid ? (st.st_mode & S_IXGRP) != 0
                                             : (st.st_mode & S_IXOTH) != 0;
        if (geteuid() == 0 && !is_open)
            return fl_err_set(err, FL_CONFIG,
                              "the database's user %s cannot enter %s; choose a data directory "
                              "that it can reach, for instance /var/lib/flopinio",
                              c->os_user, path);
    }
    return FL_OK;
}

/* ---- secrets ---- */
static enum fl_code password(const struct fl_cluster *c, const char *role, char *out, size_t size,
                             bool may_create, struct fl_err *err)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/database-%s", c->secrets, role);
    if (exists(path) || !may_create)
        return read_small(path, out, size, err);
    uint8_t raw[24];
    fl_random(raw, sizeof raw);
    FL_ASSERT(size > 2 * sizeof raw);
    fl_hex(raw, sizeof raw, out);
    return write_small(path, out, geteuid(), getegid(), err);
}

/* ---- the server process ---- */
static pid_t running_pid(const struct fl_cluster *c)
{
    char path[PATH_BYTES + 32], text[64];
    struct fl_err err;
    snprintf(path, sizeof path, "%s/postmaster.pid", c->data);
    if (!exists(path) || read_small(path, text, sizeof text, &err))
        return 0;
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    if (pid <= 0 || kill(pid, 0) != 0)
        return 0;
    /* The number may have been given to another process since, perhaps another user's. */
    char link[64], line[2 * PATH_BYTES];
    snprintf(link, sizeof link, "/proc/%d/cmdline", (int)pid);
    int fd = open(link, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    line[n > 0 ? n : 0] = 0;
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(line + at) + 1) {
        if (strcmp(line + at, c->data) == 0)
            return pid;
    }
    return 0;
}

/* A server that runs already listens where it was told then: the fifth line of its file. */
static void find_its_socket(struct fl_cluster *c)
{
    char path[PATH_BYTES + 32], text[2 * PATH_BYTES];
    struct fl_err ignored;
    snprintf(path, sizeof path, "%s/postmaster.pid", c->data);
    const char *line = read_small(path, text, sizeof text, &ignored) == FL_OK ? text : NULL;
    for (int i = 0; line && i < 4; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    size_t n = line ? strcspn(line, "\n") : 0;
    if (n && line[0] == '/' && n < sizeof c->socket_dir)
        snprintf(c->socket_dir, sizeof c->socket_dir, "%.*s", (int)n, line);
}

static enum fl_code write_configuration(const struct fl_cluster *c, struct fl_err *err)
{
    char path[PATH_BYTES + 32], text[2048];
    snprintf(text, sizeof text,
             "# written by flopinio at each start; changes here are lost\n"
             "listen_addresses = ''\n"
             "port = " PORT "\n"
             "unix_socket_directories = '%s'\n"
             "unix_socket_permissions = 0700\n"
             "password_encryption = scram-sha-256\n"
             "max_connections = %d\n"
             "shared_buffers = 256MB\n"
             "jit = off\n" /* needs memory that is writable and executable; our queries are short */
             "fsync = on\n"
             "synchronous_commit = on\n"
             "full_page_writes = on\n"
             "min_wal_size = 1GB\n"       /* a file made anew is zeroed first, while calls wait */
             "autovacuum_naptime = 15s\n" /* plans made for an empty table are bad ones */
             "client_connection_check_interval = 5s\n"
             "idle_in_transaction_session_timeout = 30s\n"
             "log_destination = stderr\n"
             "logging_collector = on\n"
             "log_directory = 'log'\n"
             "log_filename = 'postgresql-%%a.log'\n"
             "log_truncate_on_rotation = on\n"
             "log_min_messages = warning\n"
             "log_min_error_statement = panic\n"
             "log_parameter_max_length = 0\n"
             "log_parameter_max_length_on_error = 0\n"
             "timezone = 'UTC'\n"
             "log_timezone = 'UTC'\n",
             c->socket_dir, c->connections);
    snprintf(path, sizeof path, "%s/postgresql.conf", c->data);
    enum fl_code code = write_small(path, text, c->uid, c->gid, err);
    if (code)
        return code;
    snprintf(path, sizeof path, "%s/pg_hba.conf", c->data);
    return write_small(path, "local all all scram-sha-256\n", c->uid, c->gid, err);
}

static enum fl_code make_cluster(struct fl_cluster *c, struct fl_err *err)
{
    char tool[PATH_BYTES + 16], pwfile[PATH_BYTES + 64], secret[64], said[2000], dir[PATH_BYTES];
    if (c->progress)
        c->progress("making the private database");
    enum fl_code code = password(c, "super", secret, sizeof secret, true, err);
    if (code)
        return code;
    /* initdb reads the password as the cluster's user, who may not enter secrets/. A half-made
     * directory has another name, so that it is never taken for a cluster. */
    snprintf(dir, sizeof dir, "%.*s.making", PATH_BYTES - 16, c->data);
    const char *remove[] = { "/bin/rm", "-rf", dir, NULL };
    run_tool(&(struct fl_cluster){ 0 }, remove, said, sizeof said);
    if ((code = make_dir(dir, c->uid, c->gid, err)) != FL_OK)
        return code;
    snprintf(pwfile, sizeof pwfile, "%s/initial-password", c->socket_dir);
    if ((code = write_small(pwfile, secret, c->uid, c->gid, err)) != FL_OK)
        return code;
    snprintf(tool, sizeof tool, "%s/initdb", c->bin);
    char pwarg[PATH_BYTES + 80];
    snprintf(pwarg, sizeof pwarg, "--pwfile=%s", pwfile);
    const char *argv[] = { tool,
                           "-D",
                           dir,
                           "-U",
                           "flopinio_super",
                           pwarg,
                           "-E",
                           "UTF8",
                           "--locale=C.UTF-8",
                           "--auth=scram-sha-256",
                           "--data-checksums",
                           NULL };
    int rc = run_tool(c, argv, said, sizeof said);
    unlink(pwfile);
    if (rc != 0) {
        const char *why = strstr(said, "error: ");
        why = why ? why + 7 : said;
        return fl_err_set(err, FL_IO, "could not make the private database: %.*s",
                          (int)strcspn(why, "\r\n"), why);
    }
    if (rename(dir, c->data) != 0)
        return fl_err_set(err, FL_IO, "could not name the private database: %s", strerror(errno));
    return FL_OK;
}

static _Noreturn void keep(pid_t server)
{
    prctl(PR_SET_NAME, "flopinio-keeper");
    if (chdir("/") != 0)
        _exit(126);
    closefrom(0);
    for (int sig = 1; sig < 32; sig++) {
        if (sig != SIGKILL && sig != SIGSTOP && sig != SIGCHLD)
            signal(sig, SIG_IGN);
    }
    while (server > 0 && waitpid(server, NULL, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* Started in a session of its own, so that the terminal's signals do not reach it. */
static enum fl_code launch(const struct fl_cluster *c, struct fl_err *err)
{
    char tool[PATH_BYTES + 16], log[PATH_BYTES + 32];
    snprintf(tool, sizeof tool, "%s/postgres", c->bin);
    snprintf(log, sizeof log, "%s/start.log", c->data);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || (geteuid() == 0 && fchown(fd, c->uid, c->gid) != 0)) {
        if (fd >= 0)
            close(fd);
        return fl_err_set(err, FL_IO, "could not write %s: %s", log, strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        /* The server's parent is a keeper that only reaps it: the server outlives a killed
         * supervisor, and where nobody reaps orphans (a container without init) its number does
         * not stay behind as a zombie, which would keep the next server from starting. */
        setsid();
        let_signals_in();
        pid_t server = fork();
        if (server != 0)
            keep(server);
        int null = open("/dev/null", O_RDONLY);
        become(c);
        if (chdir(c->data) != 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(126);
        closefrom(3);
        setenv("LC_ALL", "C.UTF-8", 1);
        /* By its whole path: it finds its own files that way, PATH may not have them. */
        execl(tool, tool, "-D", c->data, (char *)NULL);
        _exit(127);
    }
    close(fd);
    if (pid < 0)
        return fl_err_set(err, FL_IO, "could not start PostgreSQL: %s", strerror(errno));
    return FL_OK;
}

static void nap(int ms)
{
    struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };
    nanosleep(&ts, NULL);
}

static enum fl_code put_conninfo(const struct fl_cluster *c, const char *role, const char *database,
                                 struct fl_buf *out, struct fl_err *err)
{
    char secret[64];
    enum fl_code code = password(c, role, secret, sizeof secret, false, err);
    if (code)
        return code;
    fl_buf_printf(out, "host='%s' port=" PORT " user=flopinio_%s password=%s dbname=%s",
                  c->socket_dir, role, secret, database);
    return fl_buf_code(out, err);
}

/* *ret: a connection as superuser; *ret_is_ours: to our database, else there is none yet. */
static enum fl_code wait_ready(const struct fl_cluster *c, struct pg_conn **ret, bool *ret_is_ours,
                               struct fl_err *err)
{
    struct fl_buf ours = FL_BUF_INIT, info = FL_BUF_INIT;
    struct fl_err why_not;
    enum fl_code code = put_conninfo(c, "super", DATABASE, &ours, err);
    if (code == FL_OK)
        code = put_conninfo(c, "super", "postgres", &info, err);
    int64_t until = fl_mono_ms() + START_TIMEOUT_MS, seen_ms = fl_mono_ms();
    while (code == FL_OK) {
        *ret_is_ours = fl_admin_connect(ours.p, ret, &why_not) == FL_OK;
        if (*ret_is_ours)
            break;
        if (fl_admin_answers(info.p)) { /* then it says for good what it says */
            code = fl_admin_connect(info.p, ret, err);
            break;
        }
        if (running_pid(c))
            seen_ms = fl_mono_ms();
        if (fl_mono_ms() > until || fl_mono_ms() - seen_ms > 5000) {
            char path[PATH_BYTES + 32], said[600] = "";
            struct fl_err ignored;
            snprintf(path, sizeof path, "%s/start.log", c->data);
            (void)!read_small(path, said, sizeof said, &ignored);
            const char *why = strstr(said, "FATAL:");
            why = why ? why + 6 + strspn(why + 6, " ") : said;
            code = fl_err_set(err, FL_UNAVAILABLE, "the private database did not start: %.*s",
                              (int)strcspn(why, "\r\n"), why[0] ? why : "no reason given");
        }
        nap(READY_LOOK_MS);
    }
    fl_buf_fini(&ours);
    fl_buf_fini(&info);
    return code;
}

static enum fl_code bootstrap(const struct fl_cluster *c, struct pg_conn *pg, struct fl_err *err)
{
    char secrets[4][64], note[PATH_BYTES + 32];
    static const char *const roles[] = { "owner", "app", "verifier", "backup" };
    enum fl_code code = FL_OK;
    for (size_t i = 0; code == FL_OK && i < FL_COUNTOF(roles); i++)
        code = password(c, roles[i], secrets[i], sizeof secrets[i], true, err);
    snprintf(note, sizeof note, "%s/database-roles", c->secrets);
    if (code == FL_OK)
        code = fl_cluster_roles(
            pg, &(struct fl_role_passwords){ secrets[0], secrets[1], secrets[2], secrets[3] }, note,
            err);
    return code;
}

static enum fl_code open_cluster(struct fl_cluster *c, const struct fl_cluster_config *config,
                                 struct fl_err *err)
{
    char path[PATH_BYTES + 32];
    enum fl_code code;
    snprintf(path, sizeof path, "%s/PG_VERSION", c->data);
    bool is_new = !exists(path);
    if (!is_new) {
        if ((code = read_small(path, c->version, sizeof c->version, err)) != FL_OK)
            return code;
        c->version[strcspn(c->version, "\r\n")] = 0;
    }
    if ((code = find_bin(c, config->bin_dir, err)) != FL_OK)
        return code;
    if ((code = find_socket_dir(c, err)) != FL_OK)
        return code;
    if (is_new) {
        if ((code = make_cluster(c, err)) != FL_OK)
            return code;
        if ((code = read_small(path, c->version, sizeof c->version, err)) != FL_OK)
            return code;
        c->version[strcspn(c->version, "\r\n")] = 0;
    }
    if (running_pid(c)) {
        find_its_socket(c);
    } else {
        if (c->progress)
            c->progress("starting the private database");
        int killed = fl_cluster_end_orphans(c->data);
        if (killed)
            FL_LOG(WARN, "database_orphans_killed", FL_KI("count", killed));
        if ((code = write_configuration(c, err)) != FL_OK || (code = launch(c, err)) != FL_OK)
            return code;
    }
    struct pg_conn *pg = NULL;
    bool is_ours;
    code = wait_ready(c, &pg, &is_ours, err);
    if (code == FL_OK)
        code = bootstrap(c, pg, err);
    if (code == FL_OK && is_ours)
        code = fl_migrate_is_done(pg, &c->is_migrated, err);
    fl_admin_close(&pg);
    return code;
}

enum fl_code fl_cluster_start(const struct fl_cluster_config *config, struct fl_cluster **ret,
                              struct fl_err *err)
{
    struct fl_cluster *c = fl_calloc(1, sizeof *c);
    if (!c)
        return fl_err_code(err, FL_NOMEM);
    c->progress = config->progress;
    c->connections = config->connections > CONNECTIONS ? config->connections : CONNECTIONS;
    enum fl_code code = FL_OK;
    if (config->data_dir[0] != '/' || strlen(config->data_dir) > PATH_BYTES - 64)
        code = fl_err_set(err, FL_CONFIG, "the data directory must be a short absolute path");
    snprintf(c->data, sizeof c->data, "%.*s/postgres", PATH_BYTES - 64, config->data_dir);
    snprintf(c->secrets, sizeof c->secrets, "%.*s/secrets", PATH_BYTES - 64, config->data_dir);
    int lock = -1;
    if (code == FL_OK)
        code = find_user(c, config->os_user, err);
    if (code == FL_OK)
        code = check_reachable(c, err);
    if (code == FL_OK)
        code = make_dir(c->secrets, geteuid(), getegid(), err);
    if (code == FL_OK) {
        /* Two starts at once make one cluster. */
        char path[PATH_BYTES + 16];
        snprintf(path, sizeof path, "%s/lock", c->secrets);
        lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) != 0)
            code = fl_err_set(err, FL_IO, "could not lock %s: %s", path, strerror(errno));
    }
    if (code == FL_OK)
        code = open_cluster(c, config, err);
    if (lock >= 0)
        close(lock);
    if (code)
        fl_free(c);
    else
        *ret = c;
    return code;
}

enum fl_code fl_cluster_find(const struct fl_cluster_config *config, struct fl_cluster **ret,
                             struct fl_err *err)
{
    char path[PATH_BYTES + 32];
    struct fl_cluster *c = fl_calloc(1, sizeof *c);
    if (!c)
        return fl_err_code(err, FL_NOMEM);
    snprintf(c->data, sizeof c->data, "%.*s/postgres", PATH_BYTES - 64, config->data_dir);
    snprintf(c->secrets, sizeof c->secrets, "%.*s/secrets", PATH_BYTES - 64, config->data_dir);
    snprintf(path, sizeof path, "%s/PG_VERSION", c->data);
    enum fl_code code = FL_OK;
    if (!exists(c->data))
        code =
            fl_err_set(err, FL_NOT_FOUND, "there is no private database in %s", config->data_dir);
    else
        code = read_small(path, c->version, sizeof c->version, err);
    c->version[strcspn(c->version, "\r\n")] = 0;
    if (code == FL_OK && !running_pid(c))
        code = fl_err_set(err, FL_UNAVAILABLE, "the private database does not run");
    struct fl_err ignored;
    (void)!find_bin(c, config->bin_dir, &ignored);
    if (code == FL_OK)
        find_its_socket(c);
    if (code)
        fl_free(c);
    else
        *ret = c;
    return code;
}

enum fl_code fl_cluster_conninfo(const struct fl_cluster *c, const char *role, struct fl_buf *out,
                                 struct fl_err *err)
{
    return put_conninfo(c, role, strcmp(role, "super") == 0 ? "postgres" : DATABASE, out, err);
}

bool fl_cluster_is_migrated(const struct fl_cluster *c)
{
    return c->is_migrated;
}

pid_t fl_cluster_pid(const struct fl_cluster *c)
{
    return running_pid(c);
}

bool fl_cluster_is_running(const struct fl_cluster *c)
{
    return running_pid(c) != 0;
}

const char *fl_cluster_version(const struct fl_cluster *c)
{
    return c->version;
}

const char *fl_cluster_bin(const struct fl_cluster *c)
{
    return c->bin;
}

enum fl_code fl_cluster_tools(const char *wanted, char *out, size_t size, struct fl_err *err)
{
    char tool[PATH_BYTES + 16];
    for (size_t i = 0; i < FL_COUNTOF(majors); i++) {
        if (wanted[0])
            snprintf(out, size, "%s", wanted);
        else
            snprintf(out, size, "/usr/lib/postgresql/%s/bin", majors[i]);
        snprintf(tool, sizeof tool, "%.*s/pg_dump", PATH_BYTES, out);
        if (exists(tool))
            return FL_OK;
    }
    return fl_err_set(
        err, FL_CONFIG,
        "pg_dump and pg_restore are not there%s%s; install them with: apt-get install "
        "postgresql-client",
        wanted[0] ? " in " : "", wanted);
}

enum fl_code fl_cluster_stop(struct fl_cluster *c, int timeout_ms, struct fl_err *err)
{
    pid_t pid = running_pid(c);
    if (!pid)
        return FL_OK;
    if (kill(pid, SIGINT) != 0 && errno != ESRCH)
        return fl_err_set(err, FL_IO, "could not stop the private database: %s", strerror(errno));
    for (int64_t until = fl_mono_ms() + timeout_ms; fl_mono_ms() < until; nap(20)) {
        if (!running_pid(c))
            return FL_OK;
    }
    return fl_err_set(err, FL_TIMEOUT, "the private database did not stop in time");
}

enum fl_code fl_cluster_stop_left(const char *data_dir, int timeout_ms, struct fl_err *err)
{
    struct fl_cluster left = { .version = "" };
    snprintf(left.data, sizeof left.data, "%.*s/postgres", PATH_BYTES - 64, data_dir);
    return fl_cluster_stop(&left, timeout_ms, err);
}

void fl_cluster_free(struct fl_cluster **c)
{
    fl_free(*c);
    *c = NULL;
}
