/* An installation for a command. */
#include "runtime/cli/place.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "runtime/cli/prepare.h"
#include "runtime/cli/private.h"

#define START_MS 90000
#define AWAIT_MS 30000
#define GRACE_MS 500
#define END_MS   20000
#define NAP_MS   20

static void nap(void)
{
    struct timespec ts = { 0, NAP_MS * 1000000L };
    nanosleep(&ts, NULL);
}

/* 0: one answers on the control socket; else why not. */
static int knock(const struct fl_config *c)
{
    char dir[512];
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct fl_err err;
    if (fl_config_run_dir(c->data_dir, dir, sizeof dir, &err) != FL_OK ||
        snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", dir) >=
            (int)sizeof at.sun_path)
        return ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int why = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return why;
}

bool fl_place_is_running(const struct fl_config *c)
{
    return knock(c) == 0;
}

/* It may answer soon; to a user who may not connect it never does. */
static bool is_not_there_yet(const struct fl_config *c)
{
    int why = knock(c);
    return why == ENOENT || why == ECONNREFUSED;
}

/* By the pid file only: whoever tried its lock would be in the way of one that starts. */
static bool has_supervisor(FILE *pid_file)
{
    char path[64], name[32] = "", line[32] = "";
    rewind(pid_file);
    long pid = fgets(line, sizeof line, pid_file) ? strtol(line, NULL, 10) : 0;
    if (pid <= 0)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    FILE *f = fopen(path, "re");
    bool is_ours = f && fgets(name, sizeof name, f) && strcmp(name, "flopinio\n") == 0;
    if (f)
        fclose(f);
    return is_ours;
}

void fl_place_await(const struct fl_config *c)
{
    char path[600];
    int64_t now = fl_mono_ms(), until_ms = now + AWAIT_MS, seen_ms = now;
    snprintf(path, sizeof path, "%s/flopinio.pid", c->data_dir);
    FILE *f = fopen(path, "re");
    if (f)
        setvbuf(f, NULL, _IONBF, 0);
    while (f && is_not_there_yet(c) && now < until_ms && now - seen_ms < GRACE_MS) {
        nap();
        now = fl_mono_ms();
        if (has_supervisor(f))
            seen_ms = now;
    }
    if (f)
        fclose(f);
}

static bool is_running(void *ctx)
{
    return fl_place_is_running(ctx);
}

/* Files of two users in one directory would keep one of them from starting it. */
static enum fl_code check_owner(const struct fl_config *c, struct fl_err *err)
{
    struct stat st;
    if (stat(c->data_dir, &st) != 0 || st.st_uid == geteuid())
        return FL_OK;
    const struct passwd *pw = getpwuid(st.st_uid);
    char name[64];
    snprintf(name, sizeof name, "%s", pw ? pw->pw_name : "that user");
    return fl_err_set(err, FL_FORBIDDEN,
                      "%s belongs to %s; run this as %s, for instance with: sudo -u %s",
                      c->data_dir, name, name, name);
}

enum fl_code fl_place_open(const struct fl_config *c, const char *const *flags, size_t flag_count,
                           struct fl_place *ret, struct fl_err *err)
{
    int64_t until_ms = fl_mono_ms() + START_MS;
    struct fl_prepared dirs = { .lock_fd = -1 };
    *ret = (struct fl_place){ .lock_fd = -1 };
    if (fl_place_is_running(c) && !fl_private_is_running(c))
        return FL_OK;
    enum fl_code code = check_owner(c, err);
    if (code == FL_OK) /* FL_CONFLICT: it runs or starts, so they are there */
        code = fl_prepare_dirs(c, &dirs, err);
    fl_prepare_fini(&dirs);
    if (code == FL_OK || code == FL_CONFLICT)
        code = fl_private_join(c, until_ms, &ret->lock_fd, err);
    if (code == FL_OK && !fl_place_is_running(c)) {
        code = fl_private_start(c, flags, flag_count, until_ms, is_running, (void *)c, err);
        ret->was_started = code == FL_OK;
    }
    if (code)
        fl_place_close(ret);
    return code;
}

void fl_place_close(struct fl_place *place)
{
    if (place->lock_fd >= 0)
        close(place->lock_fd);
    place->lock_fd = -1;
}

void fl_place_end(const struct fl_config *c, struct fl_place *place)
{
    int keeps_out = -1;
    int64_t until_ms = fl_mono_ms() + END_MS;
    fl_place_close(place);
    if (!place->was_started || !fl_private_end_idle(c, &keeps_out))
        return;
    while (fl_private_is_running(c) && fl_mono_ms() < until_ms)
        nap();
    close(keeps_out);
}
