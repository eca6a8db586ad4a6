/* Secrets from a terminal. */
#include "runtime/cli/cli_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "flopinio/base/str.h"

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* Reads a byte. Signals come while it waits, with `mask`, and only there, so that none slips in
 * between the look at `caught` and the wait. */
static ssize_t read_byte(int fd, const sigset_t *mask, char *ret)
{
    struct pollfd in = { .fd = fd, .events = POLLIN };
    for (;;) {
        int ready = mask ? ppoll(&in, 1, NULL, mask) : 1;
        ssize_t got = ready > 0 ? read(fd, ret, 1) : -1;
        if (got >= 0 || errno != EINTR || caught)
            return got;
    }
}

/* One line without its end, byte by byte, so that the next question finds the next line. */
static enum fl_code read_line(int fd, const sigset_t *mask, char out[FL_SECRET_LINE_MAX],
                              struct fl_err *err)
{
    size_t n = 0;
    bool is_too_long = false;
    for (;;) {
        char c;
        ssize_t got = read_byte(fd, mask, &c);
        if (got <= 0 && n == 0)
            return fl_err_set(err, FL_CLOSED, "no answer came");
        if (got <= 0 || c == '\n')
            break;
        if (n + 1 < FL_SECRET_LINE_MAX)
            out[n++] = c;
        else
            is_too_long = true;
    }
    if (n && out[n - 1] == '\r')
        n--;
    out[n] = 0;
    return is_too_long ? fl_err_set(err, FL_TOO_LARGE, "the answer has more than %d bytes",
                                    FL_SECRET_LINE_MAX - 1)
                       : FL_OK;
}

static enum fl_code ask_terminal(int tty, const char *prompt, bool has_echo,
                                 char out[FL_SECRET_LINE_MAX], struct fl_err *err)
{
    struct termios old, quiet;
    struct sigaction action = { .sa_handler = on_signal }, before[FL_COUNTOF(watched)];
    sigset_t held, mask;
    bool is_quiet = !has_echo && tcgetattr(tty, &old) == 0;
    if (!has_echo && !is_quiet)
        return fl_err_set(err, FL_FORBIDDEN, "the terminal cannot hide what is typed");
    caught = 0;
    sigemptyset(&action.sa_mask);
    sigemptyset(&held);
    for (size_t i = 0; i < FL_COUNTOF(watched); i++)
        sigaddset(&held, watched[i]);
    sigprocmask(SIG_BLOCK, &held, &mask);
    for (size_t i = 0; i < FL_COUNTOF(watched); i++)
        sigaction(watched[i], &action, &before[i]);
    if (is_quiet) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
        quiet.c_lflag |= ECHONL; /* the line's end is seen */
        tcsetattr(tty, TCSAFLUSH, &quiet);
    }
    enum fl_code code = write(tty, prompt, strlen(prompt)) < 0
                            ? fl_err_set(err, FL_IO, "cannot write to the terminal")
                            : read_line(tty, &mask, out, err);
    if (is_quiet)
        tcsetattr(tty, TCSAFLUSH, &old);
    for (size_t i = 0; i < FL_COUNTOF(watched); i++)
        sigaction(watched[i], &before[i], NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (caught) { /* ends us, or stops us until we are continued */
        ssize_t n = write(tty, "\n", 1);
        FL_UNUSED(n);
        raise(caught);
        return fl_err_set(err, FL_CLOSED, "interrupted");
    }
    return code;
}

enum fl_code fl_secret_ask(const char *prompt, int fd, char out[FL_SECRET_LINE_MAX],
                           struct fl_err *err)
{
    caught = 0;
    if (fd >= 0)
        return read_line(fd, NULL, out, err);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0)
        return fl_err_set(err, FL_FORBIDDEN,
                          "there is no terminal to ask for a passphrase on (a script may use "
                          "FLOPINIO_TOKEN or --passphrase-fd)");
    enum fl_code code = ask_terminal(tty, prompt, false, out, err);
    close(tty);
    return code;
}

bool fl_ask_line(const char *prompt, char out[FL_SECRET_LINE_MAX])
{
    struct fl_err err;
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0)
        return false;
    enum fl_code code = ask_terminal(tty, prompt, true, out, &err);
    close(tty);
    return code == FL_OK;
}

bool fl_confirm(const char *prompt)
{
    char line[FL_SECRET_LINE_MAX] = "";
    return fl_ask_line(prompt, line) && (strcmp(line, "y") == 0 || strcmp(line, "yes") == 0);
}
