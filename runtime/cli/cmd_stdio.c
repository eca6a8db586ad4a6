/* `flopinio stdio`: between an agent's MCP client (lines of JSON on stdin and stdout) and the
 * running installation (the same lines on a unix socket). Lines go through whole and in order; each
 * side is read only while the other one takes what came before. When the connection is lost, every
 * open request is answered with an error and a new connection is made, with the handshake of the
 * legacy eras made again: an installation may be restarted under its clients.
 *
 * stdout carries messages only; what is for people goes to stderr. Ends with the client (end of
 * stdin, or a closed stdout), with SIGTERM or SIGINT, or when the installation cannot be reached.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/log.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/stdio_attach.h"
#include "runtime/cli/stdio_traffic.h"

#define LINE_MAX_BYTES   (10u << 20)  /* of the client, as the endpoint has it */
#define ANSWER_MAX_BYTES (256u << 20) /* of the runtime: beyond what it ever sends */
#define UNSENT_BYTES     (256u << 10) /* then the other side is not read */
#define PIECE_BYTES      65536
#define SIGNAL_DRAIN_MS  2000
#define BRIEF_MS         1000

static volatile sig_atomic_t signals;

struct bridge {
    struct fl_attach attach;
    struct fl_traffic traffic;
    struct fl_buf from_client, to_runtime; /* an incomplete line; whole lines */
    struct fl_buf from_runtime, to_client;
    size_t client_scanned, runtime_scanned; /* of the incomplete lines, without a line end */
    int sock;                               /* -1: none */
    bool is_skipping;                       /* a line of the client that was too long */
    bool is_ended;                          /* the client says nothing more */
    bool is_leaving;                        /* the worker takes no more; another one will */
    bool is_half_closed;                    /* the runtime knows that nothing more comes */
    bool is_client_gone;
    bool is_refused;   /* the runtime does not take the client's handshake again */
    int64_t end_by_ms; /* after a signal */
    int64_t connected_ms;
};

static void on_signal(int number)
{
    FL_UNUSED(number);
    signals++;
}

/* ---------------------------------------------------------------- lines */
/* The next whole line of `buf`, without its end; it stays until fl_buf_drop of *ret_bytes. */
static bool next_line(const struct fl_buf *buf, size_t *scanned, struct fl_str *ret,
                      size_t *ret_bytes)
{
    const char *end = buf->n > *scanned ? memchr(buf->p + *scanned, '\n', buf->n - *scanned) : NULL;
    if (!end) {
        *scanned = buf->n;
        return false;
    }
    *ret_bytes = (size_t)(end - buf->p) + 1;
    *ret = (struct fl_str){ buf->p, *ret_bytes - 1 };
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    *scanned = 0;
    return true;
}

static void put_line(struct fl_buf *out, struct fl_str line)
{
    fl_buf_str(out, line);
    fl_buf_putc(out, '\n');
}

static void refuse_long_line(struct bridge *b)
{
    fl_buf_printf(&b->to_client,
                  "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":"
                  "\"the message is longer than %u bytes\"}}\n",
                  LINE_MAX_BYTES);
}

static bool take_client_lines(struct bridge *b)
{
    struct fl_str line;
    size_t bytes;
    while (next_line(&b->from_client, &b->client_scanned, &line, &bytes)) {
        if (b->is_skipping || line.n > LINE_MAX_BYTES) {
            b->is_skipping = false;
            refuse_long_line(b);
        } else if (line.n) {
            if (!fl_traffic_from_client(&b->traffic, line))
                return false;
            put_line(&b->to_runtime, line);
        }
        fl_buf_drop(&b->from_client, bytes);
    }
    if (b->from_client.n > LINE_MAX_BYTES) {
        b->is_skipping = true;
        fl_buf_reset(&b->from_client);
        b->client_scanned = 0;
    }
    return !b->to_runtime.is_failed && !b->to_client.is_failed;
}

/* False: the connection is of no more use. */
static bool take_runtime_lines(struct bridge *b)
{
    struct fl_str line;
    size_t bytes;
    while (!b->is_refused && next_line(&b->from_runtime, &b->runtime_scanned, &line, &bytes)) {
        switch (fl_traffic_from_runtime(&b->traffic, line)) {
        case FL_TRAFFIC_PASS: put_line(&b->to_client, line); break;
        case FL_TRAFFIC_OURS: break;
        case FL_TRAFFIC_REFUSED: b->is_refused = true; break;
        case FL_TRAFFIC_LEAVING: b->is_leaving = true; break;
        }
        fl_buf_drop(&b->from_runtime, bytes);
    }
    if (b->is_refused)
        return false;
    return b->from_runtime.n <= ANSWER_MAX_BYTES && !b->to_client.is_failed;
}

/* ---------------------------------------------------------------- reading and writing */
static ssize_t read_into(int fd, struct fl_buf *buf)
{
    ssize_t n;
    if (!fl_buf_reserve(buf, PIECE_BYTES)) {
        errno = ENOMEM;
        return -1;
    }
    do
        n = read(fd, buf->p + buf->n, PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf->n += (size_t)n;
    return n;
}

static void end_of_client(struct bridge *b)
{
    b->is_ended = true;
    if (b->from_client.n && !b->is_skipping) { /* a last line without its end */
        fl_buf_putc(&b->from_client, '\n');
        (void)!take_client_lines(b);
    }
}

static bool read_client(struct bridge *b)
{
    ssize_t n = read_into(STDIN_FILENO, &b->from_client);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0) {
        end_of_client(b);
        return n == 0 || errno != ENOMEM;
    }
    return take_client_lines(b);
}

/* To stdout, which may be shared with others: never made non-blocking, so no more is written than
 * poll has promised room for. */
static void write_client(struct bridge *b)
{
    size_t n = b->to_client.n > 4096 ? 4096 : b->to_client.n;
    ssize_t wrote =
        send(STDOUT_FILENO, b->to_client.p, b->to_client.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (wrote < 0 && errno == ENOTSOCK)
        wrote = write(STDOUT_FILENO, b->to_client.p, n);
    if (wrote > 0)
        fl_buf_drop(&b->to_client, (size_t)wrote);
    else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
        b->is_client_gone = true;
}

/* False: the connection is lost. */
static bool write_runtime(struct bridge *b)
{
    ssize_t wrote = send(b->sock, b->to_runtime.p, b->to_runtime.n, MSG_NOSIGNAL);
    if (wrote > 0)
        fl_buf_drop(&b->to_runtime, (size_t)wrote);
    return wrote >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool read_runtime(struct bridge *b)
{
    ssize_t n = read_into(b->sock, &b->from_runtime);
    if (n < 0 && errno == EAGAIN)
        return true;
    return n > 0 && take_runtime_lines(b);
}

/* ---------------------------------------------------------------- connections */
static void lose_connection(struct bridge *b)
{
    close(b->sock);
    b->sock = -1;
    b->is_leaving = b->is_half_closed = false;
    fl_buf_reset(&b->from_runtime); /* half a line: its request is answered below */
    fl_buf_reset(&b->to_runtime);
    b->runtime_scanned = 0;
    fl_traffic_lost(&b->traffic,
                    "the connection to the runtime was lost before the answer; a call that waits "
                    "for a decision still waits: make the same call again to hear of it",
                    &b->to_client);
}

static int status_of(enum fl_code code)
{
    switch (code) {
    case FL_OK:
    case FL_CLOSED: return FL_EXIT_DONE;
    case FL_CONFIG: return FL_EXIT_USAGE;
    case FL_UNAUTHENTICATED:
    case FL_FORBIDDEN: return FL_EXIT_FORBIDDEN;
    case FL_NOT_FOUND: return FL_EXIT_NOT_FOUND;
    case FL_TIMEOUT:
    case FL_UNAVAILABLE:
    case FL_CONFLICT: return FL_EXIT_UNAVAILABLE;
    default: return FL_EXIT_FAILED;
    }
}

/* While pumping, signals are seen in ppoll only: never between the look and the wait. */
static void let_signals_in(bool is_in)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(is_in ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static enum fl_code connect_again(struct bridge *b, struct fl_err *err)
{
    if (b->is_refused)
        return fl_err_set(err, FL_IO, "the runtime did not take the client's handshake again");
    if (b->connected_ms && fl_mono_ms() - b->connected_ms < BRIEF_MS)
        poll(NULL, 0, BRIEF_MS / 2); /* lost at once: not again and again */
    let_signals_in(true);
    enum fl_code code = fl_attach_open(&b->attach, &b->sock, err);
    let_signals_in(false);
    if (code) {
        b->sock = -1;
        return code;
    }
    b->connected_ms = fl_mono_ms();
    fl_traffic_again(&b->traffic, &b->to_runtime, &b->to_client);
    return FL_OK;
}

/* ---------------------------------------------------------------- pumping */
static void wait_ready(const struct bridge *b, struct pollfd p[3])
{
    int timeout = b->end_by_ms ? 100 : -1;
    bool takes_client = !b->is_ended && !b->is_leaving && b->to_runtime.n < UNSENT_BYTES;
    bool takes_runtime = b->to_client.n < UNSENT_BYTES;
    short sock = (short)((takes_runtime ? POLLIN : 0) | (b->to_runtime.n ? POLLOUT : 0));
    sigset_t while_waiting;
    sigemptyset(&while_waiting);
    struct timespec ts = { 0, timeout * 1000000L };
    p[0] = (struct pollfd){ .fd = takes_client ? STDIN_FILENO : -1, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = STDOUT_FILENO, .events = b->to_client.n ? POLLOUT : 0 };
    p[2] = (struct pollfd){ .fd = sock ? b->sock : -1, .events = sock };
    if (ppoll(p, 3, timeout < 0 ? NULL : &ts, &while_waiting) < 0)
        p[0].revents = p[1].revents = p[2].revents = 0;
}

/* The client has said everything, or this worker shall hear no more: it is told once it has all. */
static void half_close(struct bridge *b)
{
    if ((b->is_ended || b->is_leaving) && !b->is_half_closed && !b->to_runtime.n) {
        shutdown(b->sock, SHUT_WR);
        b->is_half_closed = true;
    }
}

static void take_signals(struct bridge *b)
{
    if (!signals || b->end_by_ms)
        return;
    end_of_client(b);
    b->end_by_ms = fl_mono_ms() + SIGNAL_DRAIN_MS;
}

/* One turn. False: the connection is lost. FL_NOMEM is the only own failure. */
static bool turn(struct bridge *b, enum fl_code *ret_code)
{
    struct pollfd p[3];
    bool is_alive = true;
    take_signals(b);
    half_close(b);
    wait_ready(b, p);
    if (p[1].revents & (POLLERR | POLLNVAL))
        b->is_client_gone = true;
    else if (p[1].revents & POLLOUT)
        write_client(b);
    if (p[0].revents && !read_client(b))
        *ret_code = FL_NOMEM;
    if (p[2].revents & POLLOUT)
        is_alive = write_runtime(b);
    if (p[2].revents & (POLLIN | POLLHUP | POLLERR))
        is_alive = read_runtime(b) && is_alive;
    return is_alive;
}

static bool is_finished(const struct bridge *b)
{
    if (b->is_client_gone || signals > 1)
        return true;
    return b->end_by_ms && fl_mono_ms() > b->end_by_ms;
}

/* What is left for the client, as far as it takes it. */
static void flush_client(struct bridge *b)
{
    int64_t until_ms = fl_mono_ms() + SIGNAL_DRAIN_MS;
    while (b->to_client.n && !b->is_client_gone && fl_mono_ms() < until_ms) {
        struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
        if (poll(&p, 1, 100) <= 0)
            continue;
        if (p.revents & POLLOUT)
            write_client(b);
        else
            b->is_client_gone = true;
    }
}

static int pump(struct bridge *b, struct fl_err *err)
{
    enum fl_code code = connect_again(b, err);
    while (code == FL_OK && !is_finished(b)) {
        if (turn(b, &code))
            continue;
        lose_connection(b);
        if (b->is_ended)
            break;
        code = connect_again(b, err);
    }
    if (b->sock >= 0)
        close(b->sock);
    flush_client(b);
    if (code == FL_NOMEM)
        fl_err_code(err, FL_NOMEM);
    return status_of(code);
}

/* ---------------------------------------------------------------- the command */
static void watch_signals(void)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static const char *credential(struct fl_err *err)
{
    const char *value = getenv("FLOPINIO_CREDENTIAL");
    if (!value || !value[0])
        fl_err_set(err, FL_CONFIG,
                   "FLOPINIO_CREDENTIAL is not set; make a credential with: flopinio agent "
                   "credential create, and put it into the client's environment for this server");
    else if (strncmp(value, "fla_", 4) != 0)
        fl_err_set(err, FL_CONFIG,
                   "FLOPINIO_CREDENTIAL is no agent credential (they begin with fla_)%s",
                   strncmp(value, "flp_", 4) == 0
                       ? "; this is a person's token, which no agent must ever hold"
                       : "");
    else
        return value;
    return NULL;
}

static int stdio(struct fl_cli *cli)
{
    const char *flags[64], *file = NULL;
    size_t count = 0;
    struct fl_config config;
    struct fl_err err;
    struct bridge b = { .sock = -1 };
    for (size_t i = 0; i < cli->parsed->arg_count && count < FL_COUNTOF(flags); i++) {
        if (strncmp(cli->parsed->args[i], "--config=", 9) == 0)
            file = cli->parsed->args[i] + 9;
        else
            flags[count++] = cli->parsed->args[i];
    }
    if (fl_config_load(file, flags, count, &config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    fl_log_init(FL_LOG_WARN, FL_LOG_TEXT);
    b.attach = (struct fl_attach){ .config = &config,
                                   .flags = cli->parsed->args,
                                   .flag_count = cli->parsed->arg_count,
                                   .credential = credential(&err),
                                   .is_over = &signals,
                                   .lock_fd = -1 };
    watch_signals();
    int status = b.attach.credential ? pump(&b, &err) : FL_EXIT_USAGE;
    if (status != FL_EXIT_DONE)
        fl_cli_fail(cli, status, "%s", err.text);
    fl_attach_fini(&b.attach);
    fl_traffic_fini(&b.traffic);
    fl_buf_fini(&b.from_client);
    fl_buf_fini(&b.to_runtime);
    fl_buf_fini(&b.from_runtime);
    fl_buf_fini(&b.to_client);
    fl_config_fini(&config);
    return status;
}

const struct fl_cli_command fl_cmd_stdio[] = {
    { "stdio", "", "an MCP server on stdin and stdout, for an agent's client to start",
      "Speaks to the installation that runs with the data directory. When none runs there and the "
      "directory is this user's, a private one is started, without network addresses, which ends "
      "when the last client has left; its log is DATA_DIR/private.log. The agent's credential "
      "comes from FLOPINIO_CREDENTIAL. Takes the settings of `serve`.",
      FL_CLI_RAW, NULL, stdio },
    { .name = NULL }
};
