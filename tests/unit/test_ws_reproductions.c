/* What made the packaged libwebsockets 4.1.6 read freed memory, swallow lines, hang or answer
 * twice when it was an HTTP front, sent to ours with
 * libwebsockets behind it. The group valgrind runs this: inside the libraries too no access may be
 * wrong. */
#include "ws_fixture.h"

#define A   "GET /plain HTTP/1.1\r\nHost: a\r\n"
#define P   "POST /plain HTTP/1.1\r\nHost: a\r\n"
#define W   "GET /mcp/ws HTTP/1.1\r\nHost: a\r\n"
#define CU  "Connection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define MCP "Sec-WebSocket-Protocol: mcp\r\n"

/* The statuses that come, in order, until the end of the connection; 101 ends the reading. */
static void check_statuses(int fd, const char *name, const char *want)
{
    struct fl_buf got = FL_BUF_INIT;
    struct cl_text t = cl_read_all(fd);
    CHECK_MSG(!t.is_reset, "%s: the connection was reset", name);
    for (const char *p = t.p; p && (p = strstr(p, "HTTP/1.1 ")) != NULL; p += 9)
        fl_buf_printf(&got, "%.3s ", p + 9);
    CHECK_MSG(strcmp(got.p ? got.p : "", want) == 0, "%s: \"%s\", not \"%s\"", name,
              got.p ? got.p : "", want);
    fl_buf_fini(&got);
    cl_free(&t);
}

static void test_what_broke_it_as_a_front_is_answered_in_order(void)
{
    static const struct {
        const char *name, *bytes, *statuses;
    } cases[] = {
        { "a get, then an upgrade to foo (CVE-2025-11677)",
          A "\r\n" A CU "Upgrade: foo\r\n\r\n" A "\r\n", "200 200 200 " },
        { "the same at the websocket", A "\r\n" W CU "Upgrade: foo\r\n" V13 KEY MCP "\r\n",
          "200 426 " },
        { "an upgrade to foo, then a genuine one refused",
          A CU "Upgrade: foo\r\n\r\n" W CU "Upgrade: websocket\r\n" V13 KEY "\r\n", "200 400 " },
        { "empty upgrade", A CU "Upgrade:\r\n\r\n" A "\r\n", "200 200 " },
        { "two upgrades", A CU "Upgrade: foo\r\nUpgrade: websocket\r\n\r\n" A "\r\n", "200 200 " },
        { "a long upgrade", A CU "Upgrade: " E120 E120 E120 "\r\n\r\n" A "\r\n", "200 200 " },
        { "h2c in clear",
          A "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            "HTTP2-Settings: AAMAAABk\r\n\r\n" A "\r\n",
          "200 200 " },
        { "http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 " },
        { "connect", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" A "\r\n", "501 " },
        { "chunks, and a request behind them",
          P "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" A "\r\n", "200 200 " },
        { "length of junk", P "Content-Length: 3x\r\n\r\nabc" A "\r\n", "400 " },
        { "negative length", P "Content-Length: -3\r\n\r\nabc" A "\r\n", "400 " },
        { "two lengths", P "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde" A "\r\n", "400 " },
        { "length and chunked",
          P "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" A "\r\n", "400 " },
        { "post without a length", P "\r\n" A "\r\n", "200 200 " },
        { "no host", "GET /plain HTTP/1.1\r\n\r\n" A "\r\n", "400 " },
        { "two hosts", A "Host: b\r\n\r\n" A "\r\n", "400 " },
        { "lf for line ends", "GET /plain HTTP/1.1\nHost: a\n\n" A "\r\n", "400 " },
        { "blank before a colon", A "B : c\r\n\r\n" A "\r\n", "400 " },
        { "folded line", A "B: c\r\n d\r\n\r\n" A "\r\n", "400 " },
        { "the name of libwebsockets' first protocol",
          W CU "Upgrade: websocket\r\n" V13 KEY "Sec-WebSocket-Protocol: none\r\n\r\n", "400 " },
        { "version 12", W CU "Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n" KEY MCP "\r\n",
          "426 " },
    };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            int fd = cl_connect(port);
            size_t step = bytewise ? 1 : 65536;
            for (size_t k = 0, n = strlen(cases[i].bytes); k < n; k += step)
                cl_send(fd, cases[i].bytes + k, n - k < step ? n - k : step);
            shutdown(fd, SHUT_WR);
            check_statuses(fd, cases[i].name, cases[i].statuses);
            close(fd);
        }
    }
    finish(&app);
    CHECK_INT(app.opened, 0);
}

/* Each is the front of a name in libwebsockets' table, whose line and the next it took for one. */
static const char *const swallowing[] = { "X",
                                          "A",
                                          "C",
                                          "T",
                                          "Cook",
                                          "X-",
                                          "X-F",
                                          "X-Forwarded-Fo",
                                          "Sec-",
                                          "Sec-WebSocket-",
                                          "Upg",
                                          "Conn",
                                          "Content-Lengt",
                                          "Hos" };

static void test_no_header_name_swallows_the_line_behind_it(void)
{
    struct app app;
    char text[1000];
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(swallowing); i++) {
        const char *name = swallowing[i];
        static const char inner[] = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        int fd = cl_connect(port);
        snprintf(text, sizeof text, A "%s: y\r\nContent-Length: %zu\r\n\r\n%s" A "\r\n", name,
                 strlen(inner), inner);
        cl_puts(fd, text);
        shutdown(fd, SHUT_WR);
        check_statuses(fd, name, "200 200 ");
        close(fd);
        fd = cl_connect(port);
        snprintf(text, sizeof text,
                 "GET /mcp/ws HTTP/1.1\r\nHost: a\r\n%s: y\r\n" CU "%s: y\r\nUpgrade: websocket\r\n"
                 "%s: y\r\n" V13 "%s: y\r\n" KEY "%s: y\r\n" MCP "\r\n",
                 name, name, name, name, name);
        cl_puts(fd, text);
        cl_send(fd, "\x81\x81" M "x" BYE, 7 + sizeof BYE - 1);
        struct cl_text t = cl_read_until(fd, "\x81\x01x", 1);
        CHECK_MSG(cl_status(&t) == 101, "%s: %d", name, cl_status(&t));
        cl_free(&t);
        close(fd);
    }
    lb_await(&app.closed, (int)FL_COUNTOF(swallowing));
    finish(&app);
}

/* With permessage-deflate on libuv a message of 4,000 bytes hung for ever. */
static void test_compression_that_is_offered_is_not_taken(void)
{
    struct app app;
    prepare(&app);
    int fd = ws_connect(start(&app), "/mcp/ws"); /* offers it, and checks that it is not taken */
    char text[20000];
    memset(text, 'd', sizeof text);
    for (size_t n = 3999; n <= sizeof text; n += 1333) {
        uint8_t opcode;
        char *payload;
        size_t got;
        ws_text(fd, text, n);
        CHECK(ws_frame(fd, &opcode, &payload, &got));
        CHECK(opcode == FL_WS_TEXT && got == n);
        free(payload);
    }
    cl_send(fd, "\xc1\x87" M "\xf2\x48\xcd\xc9\xc9\x07\x00", 13); /* "Hello", compressed */
    check_transcript(fd, -1, "a compressed frame", "C:1002 ");
    close(fd);
    lb_await(&app.closed, 1);
    finish(&app);
}

/* Connections that end in every state of the adoption, one after the other on the same context. */
static void test_peers_that_go_at_each_byte_leave_nothing(void)
{
    static const char head[] = UPGRADE("/mcp/ws") "\r\n";
    static const char frames[] = "\x01\x83" M "hel\x89\x81" M "p\x80\x82" M "lo" BYE;
    char all[sizeof head + sizeof frames];
    size_t n = sizeof head - 1 + sizeof frames - 1;
    struct app app;
    memcpy(all, head, sizeof head - 1);
    memcpy(all + sizeof head - 1, frames, sizeof frames - 1);
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t cut = sizeof head - 8; cut <= n; cut++) {
        for (int resets = 0; resets < 2; resets++) {
            struct linger now = { .l_onoff = resets, .l_linger = 0 };
            int fd = cl_connect(port);
            cl_send(fd, all, cut);
            if (cut >= sizeof head - 1) {
                char first[12];
                recv_all(fd, first, sizeof first);
            }
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            close(fd);
        }
    }
    int fd = ws_connect(port, "/mcp/ws");
    ws_text(fd, "still", 5);
    check_transcript(fd, 1, "after all of them", "T:still ");
    close(fd);
    lb_await(&app.closed, app.opened);
    finish(&app);
    CHECK(app.opened > 2 * (int)(sizeof frames - 1));
}

static const struct fl_test tests[] = {
    T(what_broke_it_as_a_front_is_answered_in_order),
    T(no_header_name_swallows_the_line_behind_it),
    T(compression_that_is_offered_is_not_taken),
    T(peers_that_go_at_each_byte_leave_nothing),
};

TEST_MAIN(tests)
