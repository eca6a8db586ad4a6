/* The whole front with a WebSocket endpoint behind it, over a socket pair: any bytes. A 101 only
 * for what an independent look calls a genuine upgrade; whatever follows goes through the guard and
 * libwebsockets. Everything ends when the peer has said all. */
#include <errno.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flopinio/base/mem.h"
#include "fuzz.h"
#include "runtime/io/http_priv.h"
#include "runtime/io/ws.h"

static struct {
    struct fl_loop loop;
    struct fl_http_server *server;
    struct fl_ws_hub *hub;
    size_t opened, closed;
} app;

static void on_message(struct fl_ws *ws, struct fl_str text)
{
    enum fl_code code = fl_ws_send(ws, text);
    FL_ASSERT(code == FL_OK || code == FL_CLOSED || code == FL_TOO_MANY);
}

static void on_close(struct fl_ws *ws, uint16_t code)
{
    FL_UNUSED(ws);
    FL_ASSERT(code >= 1000 && code <= 4999);
    app.closed++;
}

static const struct fl_ws_callbacks ws_callbacks = { .on_message = on_message,
                                                     .on_close = on_close };

static void on_head(struct fl_http_exchange *ex)
{
    FL_ASSERT(ex->path.n && ex->path.p[0] != '?');
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct fl_err err;
    struct fl_ws *ws;
    FL_UNUSED(body);
    if (fl_ws_upgrade(app.hub, ex, &ws_callbacks, NULL, &ws, &err) == FL_OK)
        app.opened++;
}

static const struct fl_http_callbacks callbacks = { .on_head = on_head, .on_request = on_request };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct fl_err err;
    int fd;
    FL_UNUSED(argc);
    FL_UNUSED(argv);
    FL_ASSERT(fl_loop_init(&app.loop, &err) == FL_OK);
    FL_ASSERT(fl_ws_hub_new(&app.loop, &fl_ws_limits_default, &app.hub, &err) == FL_OK);
    FL_ASSERT(fl_listen_tcp("127.0.0.1", 0, &fd, &err) == FL_OK);
    const struct fl_http_server_config config = {
        .loop = &app.loop, .callbacks = &callbacks, .limits = fl_http_limits_default, .name = "fuzz"
    };
    FL_ASSERT(fl_http_server_new(&config, fd, &app.server, &err) == FL_OK);
    return 0;
}

/* Does a line of the head have this name and this value (a token in its list)? Written from the
 * RFC, not from the reader. */
static bool has_line(const char *head, const char *name, const char *token)
{
    size_t name_n = strlen(name), token_n = strlen(token);
    for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, name_n) != 0 || line[name_n] != ':')
            continue;
        const char *end = strstr(line, "\r\n");
        for (const char *p = line + name_n; end && p + token_n <= end; p++) {
            bool begins = strchr(":, \t", *p) && strncasecmp(p + 1, token, token_n) == 0;
            if (begins && strchr(", \t\r", p[1 + token_n]))
                return true;
        }
    }
    return false;
}

static void check_upgrades(const char *sent, size_t upgrades)
{
    /* At most one: nothing of the connection is HTTP behind it. */
    FL_ASSERT(upgrades <= 1);
    if (upgrades)
        FL_ASSERT(has_line(sent, "upgrade", "websocket") &&
                  has_line(sent, "connection", "upgrade") &&
                  has_line(sent, "sec-websocket-version", "13") &&
                  has_line(sent, "sec-websocket-protocol", "mcp") && strstr(sent, "GET "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { TURNS = 2000 };
    int pair[2], turns = 0;
    char got[4096];
    struct fl_buf all = FL_BUF_INIT;
    struct fl_http_peer peer = { .address = "127.0.0.1" };
    size_t upgrades = 0;
    ssize_t some = -1;
    FL_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    size_t opened = app.opened, cut = n ? data[n - 1] % n : 0;
    fl_http_conn_start(app.server, pair[1], &peer);
    /* In two pieces, and then nothing more. */
    FL_ASSERT(send(pair[0], data, cut, MSG_NOSIGNAL) == (ssize_t)cut);
    for (int i = 0; i < 3; i++)
        uv_run(&app.loop.uv, UV_RUN_NOWAIT);
    (void)!send(pair[0], data + cut, n - cut, MSG_NOSIGNAL);
    for (int i = 0; i < 3; i++)
        uv_run(&app.loop.uv, UV_RUN_NOWAIT);
    shutdown(pair[0], SHUT_WR);
    while (turns++ < TURNS && some != 0) {
        uv_run(&app.loop.uv, UV_RUN_NOWAIT);
        while ((some = recv(pair[0], got, sizeof got, 0)) > 0)
            fl_buf_put(&all, got, (size_t)some);
        if (some < 0 && errno != EAGAIN)
            break;
    }
    FL_ASSERT(turns < TURNS);
    close(pair[0]);
    for (turns = 0; turns < TURNS && fl_http_server_counts(app.server).open; turns++)
        uv_run(&app.loop.uv, UV_RUN_NOWAIT);
    FL_ASSERT(fl_http_server_counts(app.server).open == 0 && app.opened == app.closed);
    FL_ASSERT(all.n == 0 || memcmp(all.p, "HTTP/1.1 ", 9 < all.n ? 9 : all.n) == 0);
    for (size_t i = 0; i + 12 <= all.n; i++)
        upgrades += memcmp(all.p + i, "HTTP/1.1 101", 12) == 0;
    /* Text that is sent back may look like it: what counts is what was opened. */
    FL_ASSERT(app.opened - opened <= upgrades);
    struct fl_buf sent = FL_BUF_INIT;
    for (size_t i = 0; i < n; i++)
        fl_buf_putc(&sent, data[i] ? (char)data[i] : '?');
    fl_buf_putc(&sent, 0);
    check_upgrades(sent.p, app.opened - opened);
    fl_buf_fini(&sent);
    fl_buf_fini(&all);
    return 0;
}
