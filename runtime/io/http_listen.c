/* Binding: the supervisor does it once, so that a worker's end resets nobody (a listener with
 * SO_REUSEPORT would take its queue along). Any thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/io/http_server.h"

enum { BACKLOG = 4096 };

static enum fl_code open_socket(int family, int *ret_fd, struct fl_err *err)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fl_err_set(err, FL_IO, "could not open a socket: %s", strerror(errno));
    *ret_fd = fd;
    return FL_OK;
}

enum fl_code fl_listen_tcp(const char *address, uint16_t port, int *ret_fd, struct fl_err *err)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
        return fl_err_set(err, FL_CONFIG, "\"%s\" is not a numeric address", address);
    int fd = -1, on = 1;
    enum fl_code code = open_socket(is_v4 ? AF_INET : AF_INET6, &fd, err);
    if (code != FL_OK)
        return code;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const struct sockaddr *any = is_v4 ? (const void *)&v4 : (const void *)&v6;
    if (bind(fd, any, is_v4 ? sizeof v4 : sizeof v6) != 0 || listen(fd, BACKLOG) != 0) {
        code = fl_err_set(err, errno == EADDRINUSE ? FL_CONFLICT : FL_IO,
                          "could not listen on %s port %u: %s", address, port, strerror(errno));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return FL_OK;
}

/* Removes a socket that its server left behind. */
static enum fl_code clear_path(const struct sockaddr_un *address, struct fl_err *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return FL_OK;
    if (!S_ISSOCK(st.st_mode))
        return fl_err_set(err, FL_CONFLICT, "%s is there and is not a socket", address->sun_path);
    int fd = -1;
    enum fl_code code = open_socket(AF_UNIX, &fd, err);
    if (code != FL_OK)
        return code;
    bool is_dead = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    if (!is_dead)
        return fl_err_set(err, FL_CONFLICT, "%s is served already", address->sun_path);
    if (unlink(address->sun_path) != 0)
        return fl_err_set(err, FL_IO, "could not remove %s: %s", address->sun_path,
                          strerror(errno));
    return FL_OK;
}

enum fl_code fl_listen_unix(const char *path, mode_t mode, int *ret_fd, struct fl_err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return fl_err_set(err, FL_CONFIG, "the socket path is longer than %zu bytes: %s",
                          sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    enum fl_code code = clear_path(&address, err);
    int fd = -1;
    if (code == FL_OK)
        code = open_socket(AF_UNIX, &fd, err);
    if (code != FL_OK)
        return code;
    /* On Linux the mode of the descriptor is the mode of the path that bind creates (cut by the
     * umask): there is no moment in which it is open to others. What the umask cut is given back
     * afterwards. */
    if (fchmod(fd, mode) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0 || chmod(path, mode) != 0) {
        code = fl_err_set(err, FL_IO, "could not listen on %s: %s", path, strerror(errno));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return FL_OK;
}
