/* A WebSocket server that answers each message with itself, on loopback, and a raw client. Included
 * by the tests of WebSocket connections. */
#ifndef FL_TEST_WS_FIXTURE_H
#define FL_TEST_WS_FIXTURE_H

#include <stdatomic.h>

#include "loopback.h"
#include "runtime/io/ws.h"
#include "runtime/io/ws_frame.h"
#include "ws_vectors.h"

/* ---- a server that answers each message with itself ---- */
struct app {
    struct lb_loop l; /* first */
    struct fl_http_server *server;
    struct fl_ws_hub *hub;
    struct fl_ws_limits limits;
    atomic_int opened, messages, closed, drained, refused, code;
    struct fl_ws *last;
    struct fl_http_exchange *_Atomic late; /* of /late: upgraded by a timer */
    struct fl_timer timer;
};

static void on_message(struct fl_ws *ws, struct fl_str text)
{
    struct app *app = fl_ws_user(ws);
    atomic_fetch_add(&app->messages, 1);
    if (fl_str_is(text, "close me")) {
        fl_ws_close(ws, 4001, "as you wish");
        fl_ws_close(ws, 4002, "twice");
        CHECK_INT(fl_ws_send(ws, text), FL_CLOSED);
    } else if (fl_str_is(text, "flood me")) {
        static char block[100000];
        memset(block, 'f', sizeof block);
        while (fl_ws_send(ws, (struct fl_str){ block, sizeof block }) == FL_OK)
            ;
        atomic_fetch_add(&app->refused, 1);
    } else if (fl_str_is(text, "pause")) {
        fl_ws_pause(ws);
    } else {
        enum fl_code code = fl_ws_send(ws, text);
        CHECK(code == FL_OK || code == FL_CLOSED);
    }
}

static void on_drained(struct fl_ws *ws)
{
    struct app *app = fl_ws_user(ws);
    atomic_fetch_add(&app->drained, 1);
}

static void on_close(struct fl_ws *ws, uint16_t code)
{
    struct app *app = fl_ws_user(ws);
    if (app->last == ws)
        app->last = NULL;
    atomic_store(&app->code, code);
    atomic_fetch_add(&app->closed, 1);
}

static const struct fl_ws_callbacks ws_callbacks = { .on_message = on_message,
                                                     .on_drained = on_drained,
                                                     .on_close = on_close };

static void upgrade(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    struct fl_err err;
    struct fl_ws *ws;
    enum fl_code code = fl_ws_upgrade(app->hub, ex, &ws_callbacks, app, &ws, &err);
    if (code != FL_OK) {
        CHECK(code == FL_BAD_REQUEST || code == FL_UPGRADE_REQUIRED || code == FL_UNAVAILABLE ||
              code == FL_NOMEM);
        return;
    }
    app->last = ws;
    CHECK_STR(fl_ws_peer(ws)->address, "127.0.0.1");
    if (fl_str_is(ex->path, "/greet"))
        CHECK_OK(fl_ws_send(ws, FL_STR("welcome"))); /* before there is a stream */
    if (fl_str_is(ex->path, "/leave"))
        fl_ws_close(ws, 4000, NULL);
    atomic_fetch_add(&app->opened, 1);
}

static void on_late(struct fl_timer *timer)
{
    struct app *app = FL_CONTAINER(timer, struct app, timer);
    struct fl_http_exchange *ex = app->late;
    app->late = NULL;   /* once: on a slow machine the test comes behind the timer */
    if (ex && app->hub) /* it may be freed by then */
        upgrade(ex);
}

static void on_head(struct fl_http_exchange *ex)
{
    if (fl_str_is(ex->path, "/mcp/ws"))
        upgrade(ex);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    struct app *app = ex->server_user;
    FL_UNUSED(body);
    if (fl_str_is(ex->path, "/late")) {
        app->late = ex;
        fl_loop_timer(&app->l.loop, &app->timer, 20);
    } else if (fl_str_is(ex->path, "/greet") || fl_str_is(ex->path, "/leave")) {
        upgrade(ex);
    } else {
        CHECK_OK(fl_http_respond(ex, 200, NULL, 0, FL_STR("plain")));
    }
}

static void on_released(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    if (app->late == ex)
        app->late = NULL;
}

static const struct fl_http_callbacks callbacks = { .on_head = on_head,
                                                    .on_request = on_request,
                                                    .on_released = on_released };

static void begin(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    struct fl_http_server_config config = { .loop = &l->loop,
                                            .callbacks = &callbacks,
                                            .user = app,
                                            .limits = fl_http_limits_default,
                                            .name = "test" };
    struct fl_err err;
    int fd;
    config.limits.linger_ms = 200;
    fl_timer_init(&app->timer, on_late);
    CHECK_OK(fl_ws_hub_new(&l->loop, &app->limits, &app->hub, &err));
    CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &fd, &err));
    CHECK_OK(fl_http_server_new(&config, fd, &app->server, &err));
}

static void end(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    fl_loop_timer_cancel(&l->loop, &app->timer);
    fl_ws_hub_free(&app->hub);
    fl_http_server_free(&app->server);
}

static void prepare(struct app *app)
{
    memset(app, 0, sizeof *app);
    app->l.begin = begin;
    app->l.end = end;
    app->limits = fl_ws_limits_default;
    app->limits.message_bytes = MESSAGE_MAX;
}

static uint16_t start(struct app *app)
{
    lb_start(&app->l);
    return fl_http_server_port(app->server);
}

static void finish(struct app *app)
{
    lb_stop(&app->l);
    CHECK_INT(app->opened, app->closed);
}

/* ---- a client ---- */
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE(path)                                                                              \
    "GET " path " HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\n"              \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY                                      \
    "Sec-WebSocket-Protocol: other, mcp\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"

/* Shakes hands; nothing of the frames behind is read. */
static int ws_connect(uint16_t port, const char *path)
{
    char head[1000];
    int fd = cl_connect(port);
    snprintf(head, sizeof head, UPGRADE("%s") "\r\n", path);
    cl_puts(fd, head);
    size_t n = 0;
    while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
        CHECK(n < sizeof head - 1 && recv(fd, head + n, 1, 0) == 1);
        n++;
    }
    head[n] = 0;
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    CHECK(strstr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    CHECK(strstr(head, "\r\nSec-WebSocket-Protocol: mcp\r\n"));
    CHECK(!strstr(head, "Extensions"));
    return fd;
}

static void recv_all(int fd, void *out, size_t n)
{
    char *p = out;
    while (n) {
        ssize_t got = recv(fd, p, n, 0);
        CHECK_MSG(got > 0, "recv gave %zd", got);
        p += got;
        n -= (size_t)got;
    }
}

/* One frame; its payload is allocated. False at the end of the connection. */
static bool ws_frame(int fd, uint8_t *ret_opcode, char **ret_payload, size_t *ret_n)
{
    uint8_t head[10];
    ssize_t got = recv(fd, head, 1, 0);
    CHECK_MSG(got >= 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
    if (got <= 0)
        return false;
    recv_all(fd, head + 1, 1);
    CHECK(!(head[1] & 0x80) && !(head[0] & 0x70) && (head[0] & 0x80));
    size_t n = head[1], extra = n == 126 ? 2 : n == 127 ? 8 : 0;
    recv_all(fd, head + 2, extra);
    if (extra)
        n = 0;
    for (size_t i = 0; i < extra; i++)
        n = n << 8 | head[2 + i];
    *ret_opcode = head[0] & 0x0f;
    *ret_payload = malloc(n + 1);
    recv_all(fd, *ret_payload, n);
    (*ret_payload)[n] = 0;
    *ret_n = n;
    return true;
}

/* Everything that comes until the end, or until `until` frames came. */
static struct fl_buf ws_transcript(int fd, int until)
{
    struct fl_buf t = FL_BUF_INIT;
    uint8_t opcode;
    char *payload;
    size_t n;
    while (until-- && ws_frame(fd, &opcode, &payload, &n)) {
        if (opcode == FL_WS_CLOSE && n >= 2)
            fl_buf_printf(&t, "C:%u ", (unsigned)(uint8_t)payload[0] << 8 | (uint8_t)payload[1]);
        else
            fl_buf_puts(&t, opcode == FL_WS_CLOSE  ? "C:"
                            : opcode == FL_WS_TEXT ? "T:"
                            : opcode == FL_WS_PONG ? "P:"
                                                   : "?:");
        if (opcode != FL_WS_CLOSE || n < 2) {
            for (size_t i = 0; i < n; i++)
                fl_buf_putc(&t, payload[i] ? payload[i] : '?');
            fl_buf_putc(&t, ' ');
        }
        free(payload);
    }
    return t;
}

static void ws_text(int fd, const char *text, size_t n)
{
    uint8_t head[14];
    char *masked = malloc(n + 1);
    size_t used = fl_ws_header(FL_WS_TEXT, n, head);
    head[1] |= 0x80;
    memcpy(head + used, "abcd", 4);
    for (size_t i = 0; i < n; i++)
        masked[i] = (char)(text[i] ^ "abcd"[i & 3]);
    cl_send(fd, head, used + 4);
    cl_send(fd, masked, n);
    free(masked);
}

static void check_transcript(int fd, int until, const char *name, const char *want)
{
    struct fl_buf t = ws_transcript(fd, until);
    CHECK_MSG(strcmp(t.p ? t.p : "", want) == 0, "%s: \"%s\", not \"%s\"", name, t.p ? t.p : "",
              want);
    fl_buf_fini(&t);
}

#endif
