/* Starting and ending a private installation. */
#include "runtime/cli/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "runtime/cli/prepare.h"

#define NAP_MS 20

static void nap(void)
{
    struct timespec ts = { 0, NAP_MS * 1000000L };
    nanosleep(&ts, NULL);
}

enum fl_code fl_private_may_start(const struct fl_config *c, struct fl_err *err)
{
    char keys[600];
    struct stat st;
    fl_prepare_keys_path(c, keys, sizeof keys);
    if (stat(c->data_dir, &st) != 0)
        return fl_err_set(err, FL_NOT_FOUND,
                          "there is no installation in %s; make one with: flopinio init "
                          "--data-dir=%s",
                          c->data_dir, c->data_dir);
    if (st.st_uid != geteuid())
        return fl_err_set(err, FL_FORBIDDEN,
                          "the installation in %s does not run, and it belongs to another user, "
                          "who has to start it",
                          c->data_dir);
    if (access(keys, F_OK) != 0)
        return fl_err_set(err, FL_NOT_FOUND,
                          "the installation in %s was never started; begin with: flopinio init "
                          "--data-dir=%s",
                          c->data_dir, c->data_dir);
    return FL_OK;
}

static int open_lock(const struct fl_config *c, const char *name, struct fl_err *err)
{
    char dir[512], path[600];
    if (fl_config_run_dir(c->data_dir, dir, sizeof dir, err) != FL_OK)
        return -1;
    (void)mkdir(dir, 0755);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fl_err_set(err, FL_IO, "cannot open %s: %s", path, strerror(errno));
    return fd;
}

static enum fl_code lock(int fd, int how, int64_t until_mono_ms, const char *what,
                         struct fl_err *err)
{
    while (flock(fd, how | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fl_err_set(err, FL_IO, "cannot lock the installation: %s", strerror(errno));
        if (fl_mono_ms() > until_mono_ms)
            return fl_err_set(err, FL_TIMEOUT, "%s", what);
        nap();
    }
    return FL_OK;
}

enum fl_code fl_private_join(const struct fl_config *c, int64_t until_mono_ms, int *ret_fd,
                             struct fl_err *err)
{
    int fd = open_lock(c, "clients.lock", err);
    if (fd < 0)
        return FL_IO;
    enum fl_code code = lock(fd, LOCK_SH, until_mono_ms,
                             "the installation that ran before did not end in time", err);
    if (code)
        close(fd);
    else
        *ret_fd = fd;
    return code;
}

/* ---- starting ---- */
static _Noreturn void become_supervisor(const char *log, int notify, const char *const *flags,
                                        size_t flag_count)
{
    const char *argv[80] = { "flopinio", FL_PRIVATE_MODE };
    size_t n = 2;
    for (size_t i = 0; i < flag_count && n + 1 < FL_COUNTOF(argv); i++)
        argv[n++] = flags[i];
    int null = open("/dev/null", O_RDONLY);
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The descriptors may lie in one another's way: first out of it. */
    notify = fcntl(notify, F_DUPFD, 10);
    if (null < 0 || out < 0 || notify < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(out, 2) < 0 || dup2(notify, FL_PRIVATE_FD) < 0)
        _exit(126);
    closefrom(FL_PRIVATE_FD + 1);
    unsetenv("FLOPINIO_CREDENTIAL"); /* the agent's, not the installation's */
    execv("/proc/self/exe", (char *const *)argv);
    _exit(127);
}

/* Twice forked: the supervisor is nobody's child, and no terminal's signal reaches it. */
static enum fl_code spawn(const char *log, const char *const *flags, size_t flag_count, int *ret_fd,
                          struct fl_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return fl_err_set(err, FL_IO, "could not open a pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            become_supervisor(log, fds[1], flags, flag_count);
        _exit(0);
    }
    int saved = errno;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return fl_err_set(err, FL_IO, "could not start the installation: %s", strerror(saved));
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *ret_fd = fds[0];
    return FL_OK;
}

/* What it printed last for people. */
static void last_words(const char *log, char *out, size_t size)
{
    char line[600];
    FILE *f = fopen(log, "re");
    out[0] = 0;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "flopinio: ", 10) == 0 && !strstr(line, " ..."))
            snprintf(out, size, "%.*s", (int)size - 1, line + 10);
    }
    if (f)
        fclose(f);
}

/* "R\n", or "E <code> <why>\n", or nothing. */
static enum fl_code read_answer(int fd, const char *log, int64_t until_mono_ms, struct fl_err *err)
{
    char said[700], words[FL_ERR_TEXT_BYTES];
    size_t n = 0;
    while (n < sizeof said - 1 && !memchr(said, '\n', n)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int64_t left = until_mono_ms - fl_mono_ms();
        if (left <= 0)
            return fl_err_set(err, FL_TIMEOUT, "the installation did not start in time; see %s",
                              log);
        if (poll(&p, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        ssize_t got = read(fd, said + n, sizeof said - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    said[n] = 0;
    said[strcspn(said, "\n")] = 0;
    if (said[0] == 'R')
        return FL_OK;
    if (said[0] == 'E') {
        char *why;
        long code = strtol(said + 1, &why, 10);
        enum fl_code known = code > FL_OK && code < FL_CODE_COUNT ? (enum fl_code)code : FL_IO;
        return fl_err_set(err, known, "%s", why + (*why == ' '));
    }
    last_words(log, words, sizeof words);
    if (words[0])
        return fl_err_set(err, FL_IO, "%s", words);
    return fl_err_set(err, FL_IO, "the installation did not start; see %s", log);
}

enum fl_code fl_private_start(const struct fl_config *c, const char *const *flags,
                              size_t flag_count, int64_t until_mono_ms, bool (*is_there)(void *ctx),
                              void *ctx, struct fl_err *err)
{
    char log[600];
    int answer = -1;
    int fd = open_lock(c, "start.lock", err);
    if (fd < 0)
        return FL_IO;
    snprintf(log, sizeof log, "%s/private.log", c->data_dir);
    enum fl_code code = lock(fd, LOCK_EX, until_mono_ms,
                             "another client did not get the installation to start", err);
    if (code == FL_OK && !is_there(ctx)) {
        code = spawn(log, flags, flag_count, &answer, err);
        if (code == FL_OK)
            code = read_answer(answer, log, until_mono_ms, err);
    }
    if (answer >= 0)
        close(answer);
    close(fd);
    return code;
}

/* 0: none. The number is good for as long as the file is locked, that is while it lives. */
static pid_t running_pid(const struct fl_config *c)
{
    char path[600], text[64] = "";
    snprintf(path, sizeof path, "%s/flopinio.pid", c->data_dir);
    FILE *f = fopen(path, "re");
    bool is_private = f && fgets(text, sizeof text, f) && strstr(text, FL_PRIVATE_MARK);
    if (f)
        fclose(f);
    return is_private ? (pid_t)strtol(text, NULL, 10) : 0;
}

bool fl_private_is_running(const struct fl_config *c)
{
    return running_pid(c) > 0;
}

bool fl_private_end_idle(const struct fl_config *c, int *ret_fd)
{
    struct fl_err err;
    int fd = running_pid(c) > 0 ? open_lock(c, "clients.lock", &err) : -1;
    if (fd < 0)
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        pid_t pid = running_pid(c); /* again: nobody comes or goes from here on */
        if (pid <= 0 || kill(pid, SIGTERM) == 0 || errno == ESRCH) {
            *ret_fd = fd;
            return true;
        }
    }
    close(fd);
    return false;
}

/* ---- ending ---- */
void fl_private_watch_init(struct fl_private_watch *w, const struct fl_config *c)
{
    struct fl_err err;
    *w = (struct fl_private_watch){ .fd = open_lock(c, "clients.lock", &err) };
}

bool fl_private_is_deserted(struct fl_private_watch *w)
{
    int64_t now = fl_mono_ms();
    if (w->fd < 0)
        return true; /* what cannot be watched must not stay for ever */
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0) {
        w->deserted_ms = 0;
        return false;
    }
    if (!w->deserted_ms)
        w->deserted_ms = now;
    if (now - w->deserted_ms >= FL_PRIVATE_LINGER_MS)
        return true;
    flock(w->fd, LOCK_UN);
    return false;
}
