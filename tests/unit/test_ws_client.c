/* The blocking WebSocket client: against our own server, and against peers that break the rules. */
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "loopback.h"
#include "runtime/io/ws.h"
#include "runtime/io/ws_client.h"

enum { TIMEOUT_MS = 5000 };

/* ---- our own server, which answers each message with itself ---- */
struct app {
    struct lb_loop l; /* first */
    struct fl_http_server *server;
    struct fl_ws_hub *hub;
    struct fl_ws_limits limits;
    atomic_int opened, closed, code;
};

static void on_message(struct fl_ws *ws, struct fl_str text)
{
    if (fl_str_is(text, "close me"))
        fl_ws_close(ws, 4001, "as you wish");
    else
        CHECK_OK(fl_ws_send(ws, text));
}

static void on_close(struct fl_ws *ws, uint16_t code)
{
    struct app *app = fl_ws_user(ws);
    atomic_store(&app->code, code);
    atomic_fetch_add(&app->closed, 1);
}

static const struct fl_ws_callbacks ws_callbacks = { .on_message = on_message,
                                                     .on_close = on_close };

static void on_head(struct fl_http_exchange *ex)
{
    struct app *app = ex->server_user;
    struct fl_err err;
    struct fl_ws *ws;
    if (!fl_str_is(fl_http_header_get(ex, "authorization"), "Bearer right")) {
        CHECK_OK(fl_http_respond(ex, 401, NULL, 0, FL_STR("who are you")));
        return;
    }
    CHECK_OK(fl_ws_upgrade(app->hub, ex, &ws_callbacks, app, &ws, &err));
    atomic_fetch_add(&app->opened, 1);
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    FL_UNUSED(ex);
    FL_UNUSED(body);
}

static const struct fl_http_callbacks callbacks = { .on_head = on_head, .on_request = on_request };

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
    CHECK_OK(fl_ws_hub_new(&l->loop, &app->limits, &app->hub, &err));
    CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &fd, &err));
    CHECK_OK(fl_http_server_new(&config, fd, &app->server, &err));
}

static void end(struct lb_loop *l)
{
    struct app *app = (struct app *)l;
    fl_ws_hub_free(&app->hub);
    fl_http_server_free(&app->server);
}

static uint16_t start(struct app *app)
{
    memset(app, 0, sizeof *app);
    app->l.begin = begin;
    app->l.end = end;
    app->limits = fl_ws_limits_default;
    lb_start(&app->l);
    return fl_http_server_port(app->server);
}

static void test_messages_of_every_length_come_back(void)
{
    static const size_t lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, 1000000 };
    struct app app;
    struct fl_ws_client *c;
    struct fl_err err;
    struct fl_str got;
    char *text = malloc(1000000);
    memset(text, 'a', 1000000);
    CHECK_OK(fl_ws_client_open("127.0.0.1", start(&app), "/mcp/ws", "right", TIMEOUT_MS, &c, &err));
    for (size_t i = 0; i < FL_COUNTOF(lengths); i++) {
        CHECK_OK(fl_ws_client_send(c, (struct fl_str){ text, lengths[i] }, &err));
        CHECK_OK(fl_ws_client_receive(c, TIMEOUT_MS, &got, &err));
        CHECK(fl_str_eq(got, (struct fl_str){ text, lengths[i] }));
    }
    CHECK_INT(fl_ws_client_receive(c, 20, &got, &err), FL_TIMEOUT);
    CHECK_OK(fl_ws_client_send(c, FL_STR("still there"), &err));
    CHECK_OK(fl_ws_client_receive(c, TIMEOUT_MS, &got, &err));
    CHECK_SPAN(got, "still there");
    fl_ws_client_close(&c);
    CHECK(!c);
    lb_await(&app.closed, 1);
    CHECK_INT(app.code, 1000);
    free(text);
    lb_stop(&app.l);
}

static void test_pings_are_answered_while_waiting(void)
{
    struct app app;
    struct fl_ws_client *c;
    struct fl_err err;
    struct fl_str got;
    memset(&app, 0, sizeof app);
    app.l.begin = begin;
    app.l.end = end;
    app.limits = fl_ws_limits_default;
    app.limits.ping_ms = 30; /* two without an answer: dropped */
    lb_start(&app.l);
    CHECK_OK(fl_ws_client_open("127.0.0.1", fl_http_server_port(app.server), "/mcp/ws", "right",
                               TIMEOUT_MS, &c, &err));
    CHECK_INT(fl_ws_client_receive(c, 400, &got, &err), FL_TIMEOUT);
    CHECK_INT(app.closed, 0);
    CHECK_OK(fl_ws_client_send(c, FL_STR("here"), &err));
    CHECK_OK(fl_ws_client_receive(c, TIMEOUT_MS, &got, &err));
    CHECK_SPAN(got, "here");
    fl_ws_client_close(&c);
    lb_stop(&app.l);
}

static void test_a_close_names_its_code(void)
{
    struct app app;
    struct fl_ws_client *c;
    struct fl_err err;
    struct fl_str got;
    CHECK_OK(fl_ws_client_open("127.0.0.1", start(&app), "/mcp/ws", "right", TIMEOUT_MS, &c, &err));
    CHECK_OK(fl_ws_client_send(c, FL_STR("close me"), &err));
    CHECK_INT(fl_ws_client_receive(c, TIMEOUT_MS, &got, &err), FL_CLOSED);
    CHECK_STR(err.text, "the runtime closed the connection (4001)");
    CHECK_INT(fl_ws_client_receive(c, TIMEOUT_MS, &got, &err), FL_CLOSED);
    CHECK_INT(fl_ws_client_send(c, FL_STR("x"), &err), FL_CLOSED);
    fl_ws_client_close(&c);
    fl_ws_client_close(&c);
    lb_stop(&app.l);
}

static void test_refusals_say_why(void)
{
    struct app app;
    struct fl_ws_client *c = NULL;
    struct fl_err err;
    uint16_t port = start(&app);
    CHECK_INT(fl_ws_client_open("127.0.0.1", port, "/mcp/ws", "wrong", TIMEOUT_MS, &c, &err),
              FL_UNAUTHENTICATED);
    CHECK_STR(err.text, "the peer does not know the credential");
    CHECK_INT(fl_ws_client_open("192.0.2.1", port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err),
              FL_CONFIG);
    CHECK_STR(err.text, "'192.0.2.1' is no numeric address of this machine");
    CHECK_INT(fl_ws_client_open("localhost", port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err),
              FL_CONFIG);
    CHECK_INT(fl_ws_client_open("127.0.0.1", port, "/mcp/ws", "a\r\nX: b", TIMEOUT_MS, &c, &err),
              FL_CONFIG);
    CHECK_STR(err.text, "a path or a credential has no blanks and line ends");
    lb_stop(&app.l);
    CHECK_INT(fl_ws_client_open("127.0.0.1", port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err),
              FL_UNAVAILABLE);
    CHECK(strstr(err.text, "could not connect to 127.0.0.1 port"));
    CHECK(!c);
}

/* ---- a peer that says what it is told to ---- */
struct script {
    const char *head; /* what follows the status line; %s: the right accept value */
    const char *bytes;
    size_t n;
    bool stays; /* until the client goes */
};

struct peer {
    const struct script *script;
    int fd;
    uint16_t port;
    pthread_t thread;
};

static void accept_of(const char *request, char out[64])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    char text[128];
    const char *at = strstr(request, "Sec-WebSocket-Key: ");
    CHECK(at);
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", at + 19);
    CHECK(EVP_Digest(text, strlen(text), digest, &n, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)n);
}

static void *serve_script(void *arg)
{
    struct peer *p = arg;
    char accepted[64], head[1000];
    int fd = accept(p->fd, NULL, NULL);
    struct cl_text request = { 0 };
    while (fd >= 0 && !cl_has(&request, "\r\n\r\n") && cl_more(fd, &request))
        ;
    if (!cl_has(&request, "\r\n\r\n")) { /* the client gave up before it asked */
        cl_free(&request);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    CHECK(cl_has(&request, "Authorization: Bearer right\r\n"));
    CHECK(cl_has(&request, "Sec-WebSocket-Protocol: mcp\r\n"));
    accept_of(request.p, accepted);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(head, sizeof head, p->script->head, accepted);
#pragma GCC diagnostic pop
    cl_send(fd, head, (size_t)n);
    cl_send(fd, p->script->bytes, p->script->n);
    if (p->script->stays) {
        struct cl_text rest = cl_read_all(fd);
        cl_free(&rest);
    }
    cl_free(&request);
    close(fd);
    return NULL;
}

static void peer_start(struct peer *p, const struct script *script)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    struct fl_err err;
    p->script = script;
    CHECK_OK(fl_listen_tcp("127.0.0.1", 0, &p->fd, &err));
    CHECK(getsockname(p->fd, (struct sockaddr *)&at, &n) == 0);
    p->port = ntohs(at.sin_port);
    int flags = fcntl(p->fd, F_GETFL);
    CHECK(fcntl(p->fd, F_SETFL, flags & ~O_NONBLOCK) == 0);
    CHECK(pthread_create(&p->thread, NULL, serve_script, p) == 0);
}

static void peer_end(struct peer *p)
{
    shutdown(p->fd, SHUT_RDWR); /* nobody came: ends the waiting for them */
    CHECK(pthread_join(p->thread, NULL) == 0);
    close(p->fd);
}

#define GOOD_HEAD                                                                                  \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"            \
    "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
#define SAYS(what) (what), sizeof(what) - 1

static void test_handshakes_that_are_none_are_refused(void)
{
    static const struct {
        const char *head;
        enum fl_code code;
        const char *text;
    } cases[] = {
        { "SSH-2.0-OpenSSH\r\n\r\n", FL_IO, "what listens there does not speak HTTP" },
        { "HTTP/1.1 200 OK\r\n\r\n", FL_IO, "the peer answered 200 instead of a WebSocket" },
        { "HTTP/1.1 503 No\r\n\r\n", FL_IO, "the peer answered 503 instead of a WebSocket" },
        { "HTTP/1.1 403 No\r\n\r\n", FL_FORBIDDEN, "the peer refuses this client" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
          "Sec-WebSocket-Protocol: mcp\r\n\r\n",
          FL_IO, "the peer's WebSocket handshake is not valid" },
        { "HTTP/1.1 101 S\r\nConnection: upgrade\r\nSec-WebSocket-Accept: %s\r\n"
          "Sec-WebSocket-Protocol: mcp\r\n\r\n",
          FL_IO, "the peer's WebSocket handshake is not valid" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          "Sec-WebSocket-Accept: %s\r\n\r\n",
          FL_IO, "the peer's WebSocket does not speak what it should" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
          FL_IO, "the peer's WebSocket does not speak what it should" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
          "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mcp\r\n"
          "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
          FL_IO, "the peer's WebSocket does not speak what it should" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n", FL_CLOSED, "the connection was closed" },
    };
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct script script = { .head = cases[i].head };
        struct peer p;
        struct fl_ws_client *c = NULL;
        struct fl_err err;
        peer_start(&p, &script);
        CHECK_INT(fl_ws_client_open("127.0.0.1", p.port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err),
                  cases[i].code);
        CHECK_STR(err.text, cases[i].text);
        CHECK(!c);
        peer_end(&p);
    }
}

static void test_frames_that_break_the_rules_end_the_connection(void)
{
    static const struct {
        struct script script;
        const char *text; /* NULL: `says` is received */
        const char *says;
    } cases[] = {
        { { GOOD_HEAD, SAYS("\x81\x05hello"), true }, NULL, "hello" },
        { { GOOD_HEAD, SAYS("\x01\x03hel\x89\x01p\x00\x01l\x80\x01o"), true }, NULL, "hello" },
        { { GOOD_HEAD, SAYS("\x8a\x00\x81\x00"), true }, NULL, "" },
        { { GOOD_HEAD, SAYS("\x81\x85\0\0\0\0hello"), true }, "it is masked", NULL },
        { { GOOD_HEAD, SAYS("\xc1\x05hello"), true }, "a reserved bit is set", NULL },
        { { GOOD_HEAD, SAYS("\x82\x05hello"), true }, "it is no text", NULL },
        { { GOOD_HEAD, SAYS("\x83\x05hello"), true }, "it is no text", NULL },
        { { GOOD_HEAD, SAYS("\x80\x05hello"), true }, "its fragments are out of order", NULL },
        { { GOOD_HEAD, SAYS("\x01\x01h\x81\x01i"), true }, "its fragments are out of order", NULL },
        { { GOOD_HEAD, SAYS("\x09\x00"), true }, "a control frame is too long or in pieces", NULL },
        { { GOOD_HEAD, SAYS("\x89\x7e\x00\x7e"), true },
          "a control frame is too long or in pieces",
          NULL },
        { { GOOD_HEAD, SAYS("\x81\x7f\0\0\0\0\x01\0\0\x01"), true }, "it is too large", NULL },
        { { GOOD_HEAD, SAYS("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), true },
          "it is too large",
          NULL },
        { { GOOD_HEAD, SAYS("\x81\x02\xc3\x28"), true }, "it is not UTF-8", NULL },
    };
    unsigned refused = 0;
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        struct peer p;
        struct fl_ws_client *c = NULL;
        struct fl_err err;
        struct fl_str got;
        char want[200];
        peer_start(&p, &cases[i].script);
        CHECK_OK(fl_ws_client_open("127.0.0.1", p.port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err));
        enum fl_code code = fl_ws_client_receive(c, TIMEOUT_MS, &got, &err);
        if (cases[i].says) {
            CHECK_OK(code);
            CHECK_SPAN(got, cases[i].says);
        } else {
            CHECK_INT(code, FL_IO);
            snprintf(want, sizeof want, "the runtime sent what is no WebSocket message: %s",
                     cases[i].text);
            CHECK_STR(err.text, want);
            CHECK_INT(fl_ws_client_send(c, FL_STR("x"), &err), FL_CLOSED);
            refused++;
        }
        fl_ws_client_close(&c);
        peer_end(&p);
    }
    CHECK_INT(refused, 11);
}

static void test_a_connection_that_breaks_is_closed_not_waited_for(void)
{
    static const struct script script = { GOOD_HEAD, SAYS("\x81\x05hel"), false };
    struct peer p;
    struct fl_ws_client *c = NULL;
    struct fl_err err;
    struct fl_str got;
    peer_start(&p, &script);
    CHECK_OK(fl_ws_client_open("127.0.0.1", p.port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err));
    CHECK_INT(fl_ws_client_receive(c, 60000, &got, &err), FL_CLOSED);
    fl_ws_client_close(&c);
    peer_end(&p);
}

static void test_no_memory_is_an_error_and_nothing_leaks(void)
{
    static const struct script script = { GOOD_HEAD, SAYS("\x01\x03hel\x89\x01p\x80\x02lo"), true };
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct peer p;
        struct fl_ws_client *c = NULL;
        struct fl_err err;
        struct fl_str got = { NULL, 0 };
        peer_start(&p, &script);
        fl_mem_fail_at(n, 1);
        enum fl_code code =
            fl_ws_client_open("127.0.0.1", p.port, "/mcp/ws", "right", TIMEOUT_MS, &c, &err);
        if (code)
            CHECK(!c);
        if (code == FL_OK)
            code = fl_ws_client_send(c, FL_STR("hello"), &err);
        if (code == FL_OK)
            code = fl_ws_client_receive(c, TIMEOUT_MS, &got, &err);
        fl_mem_fail_at(0, 0);
        fl_ws_client_close(&c);
        peer_end(&p);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        failed++;
    }
    printf("    %u rounds failed\n", failed);
    CHECK(failed >= 6); /* client, key, request, input, frame, message */
}

static const struct fl_test tests[] = {
    T(messages_of_every_length_come_back),
    T(pings_are_answered_while_waiting),
    T(a_close_names_its_code),
    T(refusals_say_why),
    T_LIMIT(no_memory_is_an_error_and_nothing_leaks, 60),
    T(handshakes_that_are_none_are_refused),
    T(frames_that_break_the_rules_end_the_connection),
    T(a_connection_that_breaks_is_closed_not_waited_for),
};
TEST_MAIN(tests)
