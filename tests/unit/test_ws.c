/* WebSocket connections on loopback against a raw client. */
#include "flopinio/base/mem.h"
#include "ws_fixture.h"

static int frames_in(const char *transcript)
{
    int count = 0;
    for (const char *p = transcript; (p = strchr(p, ':')) != NULL; p++)
        count++;
    return count;
}

static void test_each_vector_is_answered_whole_and_byte_by_byte(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(vectors); i++) {
        const struct vector *t = &vectors[i];
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            int fd = ws_connect(port, "/mcp/ws");
            for (size_t k = 0; bytewise && k < t->n; k++)
                cl_send(fd, t->bytes + k, 1);
            if (!bytewise)
                cl_send(fd, t->bytes, t->n);
            /* What is closed ends by itself; else the frames are counted. */
            bool is_closed = strstr(t->answers, "C:") != NULL;
            check_transcript(
                fd, is_closed && strstr(t->answers, "C:1000 ") ? -1 : frames_in(t->answers),
                t->name, t->answers);
            close(fd);
        }
    }
    lb_await(&app.closed, 2 * (int)FL_COUNTOF(vectors));
    finish(&app);
}

/* ---- the handshake ---- */
static void test_only_a_genuine_upgrade_is_taken(void)
{
#define GET "GET /mcp/ws HTTP/1.1\r\nHost: a.example\r\n"
#define CU  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define MCP "Sec-WebSocket-Protocol: mcp\r\n"
    static const struct {
        const char *text;
        int status;
        const char *error;
    } cases[] = {
        { GET "\r\n", 426, "Only websocket is spoken here.\n" },
        { GET "Connection: Upgrade\r\nUpgrade: bogus\r\n" V13 KEY MCP "\r\n", 426, "" },
        { GET "Connection: Upgrade\r\nUpgrade: h2c\r\n" V13 KEY MCP "\r\n", 426, "" },
        { GET "Connection: close\r\nUpgrade: websocket\r\n" V13 KEY MCP "\r\n", 426, "" },
        { GET "Connection: Upgrade\r\n" V13 KEY MCP "\r\n", 426, "" },
        { GET CU KEY MCP "\r\n", 426, "Only version 13 of websocket is spoken here.\n" },
        { GET CU "Sec-WebSocket-Version: 12\r\n" KEY MCP "\r\n", 426, "" },
        { GET CU "Sec-WebSocket-Version: 8, 13\r\n" KEY MCP "\r\n", 426, "" },
        { GET CU V13 V13 KEY MCP "\r\n", 426, "" },
        { GET CU V13 MCP "\r\n", 400, "The websocket key is not 16 bytes in base64.\n" },
        { GET CU V13 KEY KEY MCP "\r\n", 400, "" },
        { GET CU V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" MCP "\r\n", 400, "" },
        { GET CU V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" MCP "\r\n", 400, "" },
        { GET CU V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n" MCP "\r\n", 400, "" },
        { GET CU V13 "Sec-WebSocket-Key: ________________________\r\n" MCP "\r\n", 400, "" },
        { GET CU V13 KEY "\r\n", 400, "The websocket subprotocol \"mcp\" is not offered.\n" },
        { GET CU V13 KEY "Sec-WebSocket-Protocol: MCP\r\n\r\n", 400, "" },
        { GET CU V13 KEY "Sec-WebSocket-Protocol: mcp2, none\r\n\r\n", 400, "" },
        { "POST /mcp/ws HTTP/1.1\r\nHost: a.example\r\n" CU V13 KEY MCP "\r\n", 400,
          "A websocket begins with a plain http/1.1 get.\n" },
        { "GET /mcp/ws HTTP/1.0\r\nHost: a.example\r\n" CU V13 KEY MCP "\r\n", 400, "" },
        { GET "Content-Length: 1\r\n" CU V13 KEY MCP "\r\nx", 400, "" },
        { "GET /plain HTTP/1.1\r\nHost: a.example\r\n" CU V13 KEY MCP "\r\n", 200, "plain" },
    };
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    for (size_t i = 0; i < FL_COUNTOF(cases); i++) {
        int fd = cl_connect(port);
        cl_puts(fd, cases[i].text);
        shutdown(fd, SHUT_WR);
        struct cl_text t = cl_read_all(fd);
        CHECK_MSG(cl_status(&t) == cases[i].status, "case %zu: %d", i, cl_status(&t));
        CHECK_MSG(cl_has(&t, cases[i].error), "case %zu: %s", i, t.p);
        CHECK(cases[i].status != 426 || (cl_has(&t, "\r\nUpgrade: websocket\r\n") &&
                                         cl_has(&t, "\r\nSec-WebSocket-Version: 13\r\n")));
        cl_free(&t);
        close(fd);
    }
    finish(&app);
    CHECK_INT(app.opened, 0);
}

static void test_bogus_upgrades_between_requests_are_answered(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    for (int i = 0; i < 9; i++)
        cl_puts(fd, i % 2 ? "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
                          : "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                            "Upgrade: bogus\r\n\r\n");
    struct cl_text t = cl_read_until(fd, "\r\n\r\nplain", 9);
    cl_free(&t);
    close(fd);
    finish(&app);
}

static void test_an_upgrade_may_come_late_and_with_frames_behind_the_head(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    static const char *const paths[] = { UPGRADE("/late") "\r\n\x81\x81",
                                         UPGRADE("/mcp/ws") "\r\n\x81\x81" };
    for (size_t i = 0; i < FL_COUNTOF(paths); i++) {
        int fd = cl_connect(port);
        cl_puts(fd, paths[i]);
        cl_send(fd, M "x", 5);
        struct cl_text t = cl_read_until(fd, "\x81\x01x", 1);
        CHECK(strncmp(t.p, "HTTP/1.1 101 ", 13) == 0);
        cl_free(&t);
        close(fd);
    }
    lb_await(&app.closed, 2);
    int fd = ws_connect(port, "/greet");
    check_transcript(fd, 1, "greet", "T:welcome ");
    close(fd);
    fd = ws_connect(port, "/leave");
    check_transcript(fd, 1, "leave", "C:4000 ");
    close(fd);
    lb_await(&app.closed, 4);
    fd = cl_connect(port); /* gone before it is upgraded */
    cl_puts(fd, UPGRADE("/late") "\r\n");
    usleep(5000);
    close(fd);
    usleep(40000);
    finish(&app);
    CHECK_INT(app.opened, 4);
}

/* ---- messages ---- */
static void test_messages_of_all_sizes_come_back(void)
{
    static const size_t sizes[] = { 0,     1,     125,   126,   127,   16383, 16384,
                                    16385, 16400, 32768, 65535, 65536, 99999, 100000 };
    struct app app;
    prepare(&app);
    int fd = ws_connect(start(&app), "/mcp/ws");
    char *text = malloc(100000);
    for (size_t i = 0; i < 100000; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < FL_COUNTOF(sizes); i++) {
        uint8_t opcode;
        char *payload;
        size_t n;
        ws_text(fd, text, sizes[i]);
        CHECK(ws_frame(fd, &opcode, &payload, &n));
        CHECK(opcode == FL_WS_TEXT && n == sizes[i] && memcmp(payload, text, n) == 0);
        free(payload);
    }
    ws_text(fd, text, 100000);
    ws_text(fd, "", 0); /* the buffer of the long one does not leak into this */
    struct fl_buf t = ws_transcript(fd, 2);
    CHECK(t.n == 100000 + 3 + 3 && strcmp(t.p + 100003, "T: ") == 0);
    fl_buf_fini(&t);
    free(text);
    close(fd);
    lb_await(&app.closed, 1);
    finish(&app);
    CHECK_INT(app.code, 1006);
    CHECK_INT(app.messages, FL_COUNTOF(sizes) + 2);
}

/* The second half of a frame, read alone, looks like a frame. */
static void test_a_frame_inside_a_frame_is_not_taken_for_one(void)
{
    struct app app;
    prepare(&app);
    int fd = ws_connect(start(&app), "/mcp/ws");
    cl_puts(fd, "\x81\x8f\xe0\xe0\xe0\xe0\x81\x81\x81\x81");
    usleep(20000); /* so that the rest comes in a read of its own */
    cl_puts(fd, "\x81\x85\x81\x81\x81\x81\x82\x82\x82\x82\x82");
    check_transcript(fd, 1, "frame in a frame", "T:aaaaaeaaaabbbbb ");
    close(fd);
    lb_await(&app.closed, 1);
    CHECK_INT(app.messages, 1);
    finish(&app);
}

static void test_many_connections_do_not_mix(void)
{
    enum { CONNS = 50, ROUNDS = 20 };
    struct app app;
    int fds[CONNS];
    char text[32], want[40];
    prepare(&app);
    uint16_t port = start(&app);
    for (int i = 0; i < CONNS; i++)
        fds[i] = ws_connect(port, "/mcp/ws");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CONNS; i++) {
            int n = snprintf(text, sizeof text, "%d of %d", round, i);
            ws_text(fds[i], text, (size_t)n);
        }
        for (int i = 0; i < CONNS; i++) {
            snprintf(want, sizeof want, "T:%d of %d ", round, i);
            check_transcript(fds[i], 1, "echo", want);
        }
    }
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    lb_await(&app.closed, CONNS);
    finish(&app);
    CHECK_INT(app.messages, CONNS * ROUNDS);
}

static void resume_last(void *arg)
{
    struct app *app = arg;
    CHECK(app->last);
    fl_ws_resume(app->last);
}

static void test_nothing_is_delivered_while_paused(void)
{
    struct app app;
    prepare(&app);
    int fd = ws_connect(start(&app), "/mcp/ws");
    /* In one write, so that the rest is already here when the first one pauses. */
    static const char all[] = "\x81\x85" M "pause\x81\x81" M "a\x81\x85" M "pause\x81\x81" M "b";
    cl_send(fd, all, sizeof all - 1);
    lb_await(&app.messages, 1);
    usleep(20000);
    CHECK_INT(app.messages, 1);
    lb_do(&app.l, resume_last, &app);
    check_transcript(fd, 1, "first", "T:a ");
    lb_await(&app.messages, 3);
    usleep(20000);
    CHECK_INT(app.messages, 3);
    ws_text(fd, "c", 1);
    lb_do(&app.l, resume_last, &app);
    check_transcript(fd, 2, "second", "T:b T:c ");
    close(fd);
    lb_await(&app.closed, 1);
    finish(&app);
}

static void test_a_peer_that_does_not_read_is_closed_with_1013(void)
{
    struct app app;
    prepare(&app);
    app.limits.close_ms = 200;
    uint16_t port = start(&app);
    int fd = ws_connect(port, "/mcp/ws");
    ws_text(fd, "flood me", 8);
    lb_await(&app.refused, 1);
    struct fl_buf t = ws_transcript(fd, -1);
    CHECK(t.n > 8 && strcmp(t.p + t.n - 7, "C:1013 ") == 0);
    fl_buf_fini(&t);
    close(fd);
    lb_await(&app.closed, 1);
    CHECK_INT(app.code, 1013);
    finish(&app);
}

static void check_queue(void *arg)
{
    struct app *app = arg;
    CHECK(!app->last || fl_ws_queued(app->last) < 300000);
}

static void test_a_peer_that_pings_and_does_not_read_costs_no_memory(void)
{
    struct app app;
    prepare(&app);
    app.limits.write_stall_ms = 200;
    app.limits.write_queue_bytes = 100000;
    int fd = ws_connect(start(&app), "/mcp/ws");
    char pings[100 * 131];
    for (int i = 0; i < 100; i++) {
        memcpy(pings + i * 131, "\x89\xfd" M, 6);
        memset(pings + i * 131 + 6, 'p', 125);
    }
    struct timeval limit = { .tv_sec = 1 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 3000 && app.closed == 0; i++) {
        if (send(fd, pings, sizeof pings, MSG_NOSIGNAL) < 0)
            break;
    }
    lb_do(&app.l, check_queue, &app);
    close(fd);
    lb_await(&app.closed, 1);
    finish(&app);
}

/* ---- pings ---- */
static void test_a_silent_peer_is_asked_twice_and_dropped(void)
{
    struct app app;
    prepare(&app);
    app.limits.ping_ms = 150;
    uint16_t port = start(&app);
    int silent = ws_connect(port, "/mcp/ws");
    struct cl_text t = cl_read_all(silent); /* two pings, then the end */
    CHECK_INT(t.n, 4);
    CHECK(memcmp(t.p, "\x89\0\x89\0", 4) == 0);
    cl_free(&t);
    lb_await(&app.closed, 1);
    CHECK_INT(app.code, 1006);
    close(silent);
    int alive = ws_connect(port, "/mcp/ws");
    for (int i = 0; i < 6; i++) { /* longer than the silent one lived */
        uint8_t opcode;
        char *payload;
        size_t n;
        CHECK(ws_frame(alive, &opcode, &payload, &n));
        CHECK_INT(opcode, FL_WS_PING);
        free(payload);
        cl_send(alive, "\x8a\x80" M, 6);
    }
    CHECK_INT(app.closed, 1);
    close(alive);
    lb_await(&app.closed, 2);
    finish(&app);
}

/* ---- closing ---- */
static void close_all(void *arg)
{
    fl_ws_hub_close_all(((struct app *)arg)->hub);
}

static void test_the_server_closes_with_its_code_and_waits_for_the_answer(void)
{
    struct app app;
    prepare(&app);
    app.limits.close_ms = 100;
    uint16_t port = start(&app);
    int fd = ws_connect(port, "/mcp/ws");
    ws_text(fd, "close me", 8);
    uint8_t opcode;
    char *payload;
    size_t n;
    CHECK(ws_frame(fd, &opcode, &payload, &n));
    CHECK(opcode == FL_WS_CLOSE && n == 13 &&
          memcmp(payload,
                 "\x0f\xa1"
                 "as you wish",
                 13) == 0);
    free(payload);
    CHECK_INT(app.closed, 0);
    ws_text(fd, "too late", 8);
    cl_send(fd, "\x88\x82" M "\x0f\xa1", 8);
    check_transcript(fd, -1, "after the close", "");
    lb_await(&app.closed, 1);
    CHECK_INT(app.code, 4001);
    CHECK_INT(app.messages, 1);
    close(fd);
    fd = ws_connect(port, "/mcp/ws"); /* does not answer */
    ws_text(fd, "close me", 8);
    check_transcript(fd, -1, "no answer", "C:4001 ");
    lb_await(&app.closed, 2);
    close(fd);
    int two[] = { ws_connect(port, "/mcp/ws"), ws_connect(port, "/mcp/ws") };
    lb_do(&app.l, close_all, &app);
    for (int i = 0; i < 2; i++) {
        check_transcript(two[i], 1, "going away", "C:1001 ");
        cl_send(two[i], BYE, sizeof BYE - 1);
        check_transcript(two[i], -1, "end", "");
        close(two[i]);
    }
    lb_await(&app.closed, 4);
    CHECK_INT(app.code, 1001);
    finish(&app);
}

static void test_freeing_the_hub_ends_every_connection(void)
{
    struct app app;
    int fds[5];
    prepare(&app);
    uint16_t port = start(&app);
    for (int i = 0; i < 5; i++)
        fds[i] = ws_connect(port, "/mcp/ws");
    cl_send(fds[0], "\x01\x81" M "a", 7); /* inside a message */
    cl_send(fds[1], "\x81", 1);           /* inside a header */
    ws_text(fds[2], "close me", 8);       /* closing */
    ws_text(fds[3], "pause", 5);          /* paused */
    lb_await(&app.messages, 2);
    int late = cl_connect(port); /* not yet upgraded */
    cl_puts(late, UPGRADE("/late") "\r\n");
    finish(&app);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(late);
}

static void free_server_then_hub(void *arg)
{
    struct app *app = arg;
    struct fl_err err;
    /* The upgrade is decided and the stream not yet handed over when the server goes. */
    if (app->late) {
        struct fl_ws *ws;
        CHECK_OK(fl_ws_upgrade(app->hub, app->late, &ws_callbacks, app, &ws, &err));
        atomic_fetch_add(&app->opened, 1);
    }
    fl_http_server_free(&app->server);
    fl_ws_hub_free(&app->hub);
}

static void test_an_upgrade_under_way_survives_the_end_of_its_server(void)
{
    struct app app;
    prepare(&app);
    int fd = cl_connect(start(&app));
    cl_puts(fd, UPGRADE("/late") "\r\n");
    for (int i = 0; i < 5000 && !app.late; i++)
        usleep(100);
    lb_do(&app.l, free_server_then_hub, &app);
    finish(&app);
    close(fd);
}

static void test_a_failing_allocation_leaves_no_leak(void)
{
    struct app app;
    prepare(&app);
    uint16_t port = start(&app);
    int refused = 0, whole = 0;
    for (int once = 0; once < 2; once++) {
        for (uint64_t at = 1;; at++) {
            int fd = cl_connect(port);
            fl_mem_fail_at(at, once);
            cl_puts(fd, UPGRADE("/mcp/ws") "\r\n\x01\x81" M "a");
            usleep(1000);
            cl_send(fd, M "a\x80\x81" M "b" BYE, 5 + 7 + sizeof BYE - 1);
            struct cl_text t = cl_read_all(fd);
            uint64_t count = fl_mem_fail_at(0, 0);
            bool is_whole = cl_has(&t, "\x81\x02"
                                       "ab");
            CHECK_MSG(t.n == 0 || cl_status(&t) == 503 || cl_status(&t) == 101, "%s", t.p);
            whole += is_whole;
            refused += !is_whole;
            cl_free(&t);
            close(fd);
            if (count < at) {
                CHECK(is_whole);
                break;
            }
        }
    }
    CHECK(refused > 3 && whole > 0);
    lb_await(&app.closed, app.opened);
    finish(&app);
    struct fl_loop loop;
    struct fl_err err;
    struct fl_ws_hub *hub = NULL;
    CHECK_OK(fl_loop_init(&loop, &err));
    fl_mem_fail_at(1, 1);
    CHECK_INT(fl_ws_hub_new(&loop, &fl_ws_limits_default, &hub, &err), FL_NOMEM);
    fl_mem_fail_at(0, 0);
    CHECK_OK(fl_ws_hub_new(&loop, &fl_ws_limits_default, &hub, &err));
    CHECK_INT(fl_ws_hub_count(hub), 0);
    fl_ws_hub_free(&hub);
    CHECK_INT(fl_loop_fini(&loop), 0);
}

static const struct fl_test tests[] = {
    T(each_vector_is_answered_whole_and_byte_by_byte),
    T(only_a_genuine_upgrade_is_taken),
    T(bogus_upgrades_between_requests_are_answered),
    T(an_upgrade_may_come_late_and_with_frames_behind_the_head),
    T(messages_of_all_sizes_come_back),
    T(a_frame_inside_a_frame_is_not_taken_for_one),
    T(many_connections_do_not_mix),
    T(nothing_is_delivered_while_paused),
    T(a_peer_that_does_not_read_is_closed_with_1013),
    T(a_peer_that_pings_and_does_not_read_costs_no_memory),
    T(a_silent_peer_is_asked_twice_and_dropped),
    T(the_server_closes_with_its_code_and_waits_for_the_answer),
    T(freeing_the_hub_ends_every_connection),
    T(an_upgrade_under_way_survives_the_end_of_its_server),
    T(a_failing_allocation_leaves_no_leak),
};

TEST_MAIN(tests)
