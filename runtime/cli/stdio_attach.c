/* Attaching a stdio client. */
#include "runtime/cli/stdio_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/private.h"
#include "runtime/crypto/secret.h"

#define ATTACH_MS    90000 /* includes starting a private installation */
#define FOREIGN_MS   5000  /* one that is not ours to start, at first */
#define ANSWER_BYTES 2048

static void nap(int ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&ts, NULL);
}

/* Nobody but the installation's own user may have made the place of the socket: the credential goes
 * there. */
static enum fl_code find_socket(const struct fl_config *c, struct sockaddr_un *ret,
                                struct fl_err *err)
{
    char dir[512];
    enum fl_code code = fl_config_run_dir_of_owner(c->data_dir, dir, sizeof dir, err);
    if (code)
        return code;
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "%s/stdio.sock", dir);
    return n > 0 && (size_t)n < sizeof ret->sun_path
               ? FL_OK
               : fl_err_set(err, FL_CONFIG, "the path of data_dir is too long");
}

/* FL_NOT_FOUND: nobody listens. */
static enum fl_code dial(const struct fl_config *c, int *ret_fd, struct fl_err *err)
{
    struct sockaddr_un at;
    enum fl_code code = find_socket(c, &at, err);
    if (code)
        return code;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fl_err_set(err, FL_IO, "could not open a socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
        *ret_fd = fd;
        return FL_OK;
    }
    int saved = errno;
    close(fd);
    bool is_absent = saved == ENOENT || saved == ECONNREFUSED;
    return fl_err_set(err, is_absent ? FL_NOT_FOUND : FL_IO,
                      "cannot reach the installation at %s: %s", at.sun_path, strerror(saved));
}

static bool is_there(void *ctx)
{
    struct fl_attach *a = ctx;
    struct fl_err err;
    int fd = -1;
    if (dial(a->config, &fd, &err) != FL_OK)
        return false;
    close(fd);
    return true;
}

static bool send_credential(int fd, const char *credential)
{
    struct fl_buf hello = FL_BUF_INIT;
    fl_buf_puts(&hello, "{\"token\":");
    fl_buf_json_str(&hello, fl_str_of(credential));
    fl_buf_puts(&hello, "}\n");
    bool is_sent = !hello.is_failed && send(fd, hello.p, hello.n, MSG_NOSIGNAL) == (ssize_t)hello.n;
    if (hello.p)
        fl_cleanse(hello.p, hello.n);
    fl_buf_fini(&hello);
    return is_sent;
}

/* One line, not a byte more: what follows is the client's. */
static enum fl_code read_line(struct fl_attach *a, int fd, int64_t until_ms, char *line,
                              struct fl_err *err)
{
    size_t n = 0;
    while (n < ANSWER_BYTES - 1) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (*a->is_over)
            return fl_err_code(err, FL_CLOSED);
        if (fl_mono_ms() > until_ms)
            return fl_err_set(err, FL_TIMEOUT, "the installation in %s does not answer",
                              a->config->data_dir);
        if (poll(&p, 1, 200) <= 0)
            continue;
        ssize_t got = recv(fd, line + n, 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fl_err_set(err, FL_UNAVAILABLE, "the installation in %s is stopping",
                              a->config->data_dir);
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = 0;
    return FL_OK;
}

/* FL_UNAVAILABLE: another try may help. */
static enum fl_code greet(struct fl_attach *a, int fd, int64_t until_ms, struct fl_err *err)
{
    char line[ANSWER_BYTES];
    struct fl_err ignored;
    if (!send_credential(fd, a->credential))
        return fl_err_set(err, FL_UNAVAILABLE, "the installation in %s is stopping",
                          a->config->data_dir);
    enum fl_code code = read_line(a, fd, until_ms, line, err);
    if (code)
        return code;
    json_t *answer = fl_json_parse(fl_str_of(line), &ignored);
    struct fl_str refused = fl_json_get_str(answer, "refused");
    struct fl_str why = fl_json_get_str(answer, "code");
    if (json_is_true(json_object_get(answer, "ready")))
        code = FL_OK;
    else if (!refused.p)
        code = fl_err_set(err, FL_IO, "what listens in %s is no installation of this program",
                          a->config->data_dir);
    else
        code = fl_err_set(err,
                          fl_str_is(why, fl_code_name(FL_UNAUTHENTICATED)) ? FL_UNAUTHENTICATED
                                                                           : FL_UNAVAILABLE,
                          "%.*s", FL_STR_ARG(refused));
    json_decref(answer);
    return code;
}

static enum fl_code start(struct fl_attach *a, int64_t until_ms, struct fl_err *err)
{
    /* Private means without addresses of its own, unless the command line names some. */
    const char *flags[72] = { "--listen=", "--metrics-listen=" };
    size_t n = 2;
    for (size_t i = 0; i < a->flag_count && n < FL_COUNTOF(flags); i++)
        flags[n++] = a->flags[i];
    return fl_private_start(a->config, flags, n, until_ms, is_there, a, err);
}

/* One try. FL_UNAVAILABLE, FL_CONFLICT: again. */
static enum fl_code attempt(struct fl_attach *a, int64_t until_ms, int64_t foreign_until_ms,
                            int *ret_fd, struct fl_err *err)
{
    struct fl_err why;
    bool may_start = fl_private_may_start(a->config, &why) == FL_OK;
    if (may_start && a->was_attached && !a->was_private) {
        may_start = false;
        fl_err_set(&why, FL_FORBIDDEN, "the installation in %s was stopped", a->config->data_dir);
    }
    enum fl_code code = FL_OK;
    if (may_start && a->lock_fd < 0)
        code = fl_private_join(a->config, until_ms, &a->lock_fd, err);
    if (code)
        return code;
    code = dial(a->config, ret_fd, err);
    if (code == FL_OK) {
        code = greet(a, *ret_fd, until_ms, err);
        if (code)
            close(*ret_fd);
        return code;
    }
    if (code != FL_NOT_FOUND)
        return code;
    if (may_start)
        return (code = start(a, until_ms, err)) == FL_OK ? FL_UNAVAILABLE : code;
    *err = why;
    return why.code == FL_FORBIDDEN && fl_mono_ms() < foreign_until_ms ? FL_UNAVAILABLE : why.code;
}

enum fl_code fl_attach_open(struct fl_attach *a, int *ret_fd, struct fl_err *err)
{
    int64_t begun_ms = fl_mono_ms(), until_ms = begun_ms + ATTACH_MS;
    int64_t foreign_ms = begun_ms + (a->was_attached ? ATTACH_MS : FOREIGN_MS);
    int pause_ms = 20;
    for (;;) {
        enum fl_code code = attempt(a, until_ms, foreign_ms, ret_fd, err);
        if (code == FL_OK) {
            a->was_attached = true;
            a->was_private = fl_private_is_running(a->config);
            (void)fcntl(*ret_fd, F_SETFL, O_NONBLOCK);
            return FL_OK;
        }
        if (*a->is_over)
            return fl_err_code(err, FL_CLOSED);
        if ((code != FL_UNAVAILABLE && code != FL_CONFLICT) || fl_mono_ms() > until_ms)
            return code == FL_OK ? FL_IO : code;
        nap(pause_ms);
        pause_ms = pause_ms < 500 ? pause_ms * 2 : 500;
    }
}

void fl_attach_fini(struct fl_attach *a)
{
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    a->lock_fd = -1;
}
