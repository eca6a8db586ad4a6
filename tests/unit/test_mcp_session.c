/* Connections that carry many messages, progress, and subscriptions. */
#include <math.h>

#include "flopinio/base/mem.h"
#include "mcp/listen.h"
#include "mcp/session.h"
#include "mcp_fixture.h"

/* ---- one connection ---- */
static enum fl_code say(struct fl_mcp_conn *conn, struct ask *a, struct fl_mcp_flight *flight,
                        const char *body)
{
    ask_init(a, NULL);
    fl_mcp_conn_facts(conn, SERVES_ALL, &a->facts);
    ask_read(a, body);
    CHECK_MSG(a->code == FL_OK, "%s: %s", body, a->refusal.err.text);
    return fl_mcp_conn_admit(conn, &a->msg, flight, &a->refusal);
}

/* Said, judged, forgotten. */
static void expect(struct fl_mcp_conn *conn, const char *body, const char *refused)
{
    struct ask a;
    struct fl_mcp_flight flight = { .is_cancelled = false };
    enum fl_code code = say(conn, &a, &flight, body);
    if (refused) {
        CHECK_MSG(code != FL_OK, "%s was admitted", body);
        CHECK_STR(a.refusal.err.text, refused);
        CHECK(!fl_mcp_conn_land(conn, &flight));
    } else {
        CHECK_MSG(code == FL_OK, "%s: %s", body, a.refusal.err.text);
        CHECK(fl_mcp_conn_land(conn, &flight) == (a.msg.kind == FL_MCP_REQUEST));
    }
    ask_fini(&a);
}

#define INIT                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"                         \
    "\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"roots\":{}}}}"
#define INITED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define PING   "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}"
#define FIRST  "the connection must be initialized first"
#define NEXT   "notifications/initialized must come first"

static void test_the_handshake_has_an_order(void)
{
    struct fl_mcp_conn conn;
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 0);
    expect(&conn, PING, NULL);
    expect(&conn, LIST(""), FIRST);
    expect(&conn, INITED, NULL); /* too early: has no effect */
    expect(&conn, LIST(""), FIRST);
    CHECK(!fl_mcp_conn_is_ready(&conn));
    expect(&conn, INIT, NULL);
    CHECK_INT(conn.version, FL_MCP_2025_06_18);
    CHECK_INT(conn.client_caps, FL_MCP_CLIENT_ROOTS);
    expect(&conn, LIST(""), NEXT);
    expect(&conn, PING, NULL);
    expect(&conn, INIT, "this connection is initialized already");
    CHECK(!fl_mcp_conn_is_ready(&conn));
    expect(&conn, INITED, NULL);
    CHECK(fl_mcp_conn_is_ready(&conn));
    expect(&conn, LIST(""), NULL);
    expect(&conn, INIT, "this connection is initialized already");
    expect(&conn, INITED, NULL);
    CHECK(fl_mcp_conn_is_ready(&conn));
    fl_mcp_conn_fini(&conn);
}

static void test_both_eras_share_one_connection(void)
{
    struct fl_mcp_conn conn;
    struct ask a;
    struct fl_mcp_flight flight;
    fl_mcp_conn_init(&conn, FL_MCP_STDIO, 0);
    /* A client that probes, calls, then falls back to the handshake; and goes on with both. */
    expect(&conn, DISCOVER(META), NULL);
    expect(&conn, CALL("\"name\":\"t\"," META), NULL);
    expect(&conn, CALL("\"name\":\"t\""), FIRST);
    expect(&conn, INIT, NULL);
    expect(&conn, LIST(META), NULL);
    expect(&conn, INITED, NULL);
    CHECK_OK(say(&conn, &a, &flight, CALL("\"name\":\"t\"")));
    CHECK_INT(a.msg.era, FL_MCP_LEGACY);
    CHECK_INT(a.msg.version, FL_MCP_2025_06_18);
    CHECK(fl_mcp_conn_land(&conn, &flight));
    ask_fini(&a);
    CHECK_OK(say(&conn, &a, &flight, CALL("\"name\":\"t\"," META)));
    CHECK_INT(a.msg.version, FL_MCP_2026_07_28);
    CHECK(fl_mcp_conn_land(&conn, &flight));
    ask_fini(&a);
    fl_mcp_conn_fini(&conn);
}

static void test_an_id_is_in_flight_once(void)
{
    struct fl_mcp_conn conn;
    struct ask a, b;
    struct fl_mcp_flight one, two = { .is_cancelled = false };
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 0);
    CHECK_OK(say(&conn, &a, &one, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}"));
    /* "\u0061" is the same id, in the other era too; and 1 is not "1". */
    CHECK_INT(
        say(&conn, &b, &two,
            "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"tools/list\",\"params\":{" META
            "}}"),
        FL_BAD_REQUEST);
    CHECK_STR(b.refusal.err.text, "a request with this id is in flight already");
    CHECK_INT(b.refusal.rpc, -32600);
    CHECK(!b.refusal.id.p); /* it would end the first request in the client's eyes */
    ask_fini(&b);
    expect(&conn, "{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"ping\"}", NULL);
    CHECK(fl_mcp_conn_land(&conn, &one));
    CHECK(!fl_mcp_conn_land(&conn, &one));
    expect(&conn, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}", NULL);
    CHECK_INT(conn.flights, 0);
    ask_fini(&a);

    CHECK_OK(say(&conn, &a, &one, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"));
    CHECK_OK(say(&conn, &b, &two, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}"));
    CHECK(fl_mcp_conn_land(&conn, &one) && fl_mcp_conn_land(&conn, &two));
    ask_fini(&a);
    ask_fini(&b);
    fl_mcp_conn_fini(&conn);
}

static void test_requests_in_flight_have_a_bound(void)
{
    struct fl_mcp_conn conn;
    struct ask asks[40];
    struct fl_mcp_flight flights[40];
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 39);
    for (int i = 0; i < 40; i++) {
        char body[100];
        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}", i);
        CHECK_INT(say(&conn, &asks[i], &flights[i], body), i < 39 ? FL_OK : FL_TOO_MANY);
    }
    CHECK_STR(asks[39].refusal.err.text, "more than 39 requests are in flight");
    CHECK_SPAN(asks[39].refusal.id, "39");
    CHECK_INT(conn.flights, 39);
    CHECK(fl_mcp_conn_land(&conn, &flights[7]));
    ask_fini(&asks[39]);
    CHECK_INT(say(&conn, &asks[39], &flights[39], PING), FL_BAD_REQUEST); /* 9 is in flight */
    ask_fini(&asks[39]);
    CHECK_OK(
        say(&conn, &asks[39], &flights[39], "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}"));
    fl_mcp_conn_fini(&conn); /* the connection breaks: nothing is left to answer */
    for (int i = 0; i < 40; i++) {
        CHECK(!fl_mcp_conn_land(&conn, &flights[i]));
        ask_fini(&asks[i]);
    }
}

static struct fl_mcp_flight *cancel(struct fl_mcp_conn *conn, const char *id)
{
    struct ask a;
    struct fl_mcp_flight unused;
    char body[200];
    snprintf(body, sizeof body,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
             "\"requestId\":%s}}",
             id);
    CHECK_OK(say(conn, &a, &unused, body));
    struct fl_mcp_flight *found = fl_mcp_conn_cancel(conn, &a.msg);
    ask_fini(&a);
    return found;
}

static void test_a_cancelled_request_is_never_answered(void)
{
    struct fl_mcp_conn conn;
    struct ask a;
    struct fl_mcp_flight flight;
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 0);
    /* A modern request and its cancellation, which names no version, before any handshake. */
    CHECK_OK(say(
        &conn, &a, &flight,
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":\"t\"," META
        "}}"));
    CHECK(!cancel(&conn, "1"));
    CHECK(!cancel(&conn, "\"0\""));
    CHECK(!cancel(&conn, "null"));
    CHECK(cancel(&conn, "0") == &flight); /* 0 is an id like any other */
    CHECK(!cancel(&conn, "0"));           /* once */
    CHECK(flight.is_cancelled);
    CHECK(!fl_mcp_conn_land(&conn, &flight));
    CHECK_INT(conn.flights, 0);
    CHECK(!cancel(&conn, "0"));
    ask_fini(&a);

    CHECK_OK(say(&conn, &a, &flight, INIT));
    CHECK(!cancel(&conn, "0")); /* initialize cannot be cancelled */
    CHECK(fl_mcp_conn_land(&conn, &flight));
    ask_fini(&a);
    fl_mcp_conn_fini(&conn);
}

static void test_an_unasked_response_is_dropped_in_silence(void)
{
    struct fl_mcp_conn conn;
    struct ask a;
    struct fl_mcp_flight flight;
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 0);
    CHECK(say(&conn, &a, &flight, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}") != FL_OK);
    CHECK(a.refusal.is_mute);
    ask_fini(&a);
    fl_mcp_conn_fini(&conn);
}

/* Two connections with the same ids, interleaved: what one does never shows in the other. */
static void test_ids_of_two_connections_never_meet(void)
{
    enum { IDS = 200, ROUNDS = 20 };
    struct fl_mcp_conn conns[2];
    static struct ask asks[2][IDS];
    static struct fl_mcp_flight flights[2][IDS];
    for (int c = 0; c < 2; c++)
        fl_mcp_conn_init(&conns[c], FL_MCP_WEBSOCKET, 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2 * IDS; i++) {
            char body[100];
            snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}",
                     i / 2);
            CHECK_OK(say(&conns[i % 2], &asks[i % 2][i / 2], &flights[i % 2][i / 2], body));
        }
        for (int i = 0; i < IDS; i++) {
            char id[20];
            snprintf(id, sizeof id, "%d", i);
            if (i % 3 == 0)
                CHECK(cancel(&conns[round % 2], id) == &flights[round % 2][i]);
        }
        for (int i = 0; i < IDS; i++) {
            for (int c = 0; c < 2; c++) {
                bool was_cancelled = c == round % 2 && i % 3 == 0;
                CHECK(fl_mcp_conn_land(&conns[c], &flights[c][i]) == !was_cancelled);
                ask_fini(&asks[c][i]);
            }
        }
    }
    for (int c = 0; c < 2; c++)
        fl_mcp_conn_fini(&conns[c]);
}

static void test_a_batch_passes_on_an_old_connection(void)
{
    struct fl_mcp_conn conn;
    struct ask a;
    struct fl_mcp_flight flight = { .is_cancelled = false };
    fl_mcp_conn_init(&conn, FL_MCP_WEBSOCKET, 0);
    expect(&conn,
           "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"
           "\"protocolVersion\":\"2025-03-26\"}}",
           NULL);
    expect(&conn, INITED, NULL);
    CHECK_OK(say(&conn, &a, &flight, "[" PING "," INITED "]"));
    CHECK_INT(a.msg.kind, FL_MCP_BATCH);
    CHECK_INT(conn.flights, 0);
    ask_fini(&a);
    fl_mcp_conn_fini(&conn);
}

/* ---- progress ---- */
static void test_progress_rises_strictly(void)
{
    struct fl_mcp_progress p;
    double value, total;
    fl_mcp_progress_init(&p, FL_STR("\"t\""));
    CHECK(fl_mcp_progress_next(&p, 0, 0, 100, &value, &total));
    CHECK(value == 0 && total == 100);
    CHECK(!fl_mcp_progress_next(&p, 1, 0, 100, &value, &total));
    CHECK(!fl_mcp_progress_next(&p, 2, -5, 100, &value, &total));
    CHECK(!fl_mcp_progress_next(&p, 3, (double)NAN, 0, &value, &total));
    CHECK(!fl_mcp_progress_next(&p, 3, (double)INFINITY, 0, &value, &total));
    CHECK(fl_mcp_progress_next(&p, 4, 50.5, 0, &value, &total));
    CHECK(value == 50.5 && total == 0);
    CHECK(fl_mcp_progress_next(&p, 5, 100, (double)INFINITY, &value, &total));
    CHECK(total == 0);
    fl_mcp_progress_end(&p);
    CHECK(!fl_mcp_progress_next(&p, 6, 101, 0, &value, &total));
}

static void test_progress_goes_on_from_waiting_to_running(void)
{
    struct fl_mcp_progress p;
    double value, total;
    fl_mcp_progress_init(&p, FL_STR("1"));
    for (int i = 1; i <= 3; i++)
        CHECK(fl_mcp_progress_next(&p, i * 10000, i, 0, &value, &total));
    fl_mcp_progress_phase(&p);
    CHECK(!fl_mcp_progress_next(&p, 40000, 0, 100, &value, &total)); /* 3 again */
    CHECK(fl_mcp_progress_next(&p, 40000, 50, 100, &value, &total));
    CHECK(value == 53 && total == 103);
    CHECK(fl_mcp_progress_next(&p, 41000, 100, 100, &value, &total));
    CHECK(value == 103 && total == 103);
    /* A call that never waited starts where the tool does. */
    fl_mcp_progress_init(&p, FL_STR("1"));
    fl_mcp_progress_phase(&p);
    CHECK(fl_mcp_progress_next(&p, 0, 0, 100, &value, &total));
    CHECK(value == 0 && total == 100);
}

static void test_progress_is_once_a_second_after_a_burst(void)
{
    struct fl_mcp_progress p;
    double value, total;
    int sent = 0;
    fl_mcp_progress_init(&p, FL_STR("1"));
    for (int i = 0; i < 20; i++)
        sent += fl_mcp_progress_next(&p, 1000, i, 0, &value, &total);
    CHECK_INT(sent, FL_MCP_PROGRESS_BURST);
    sent = 0;
    for (int ms = 1000; ms < 11000; ms += 10)
        sent += fl_mcp_progress_next(&p, ms, 100 + ms, 0, &value, &total);
    CHECK_INT(sent, 9);
    /* A long silence does not save up more than one burst; a clock that stands is no credit. */
    sent = 0;
    for (int i = 0; i < 20; i++)
        sent += fl_mcp_progress_next(&p, INT64_MAX, 1e6 + i, 0, &value, &total);
    CHECK_INT(sent, FL_MCP_PROGRESS_BURST);
    CHECK(!fl_mcp_progress_next(&p, 5, 1e7, 0, &value, &total));
}

static void test_without_a_token_there_is_no_progress(void)
{
    struct fl_mcp_progress p;
    double value, total;
    fl_mcp_progress_init(&p, (struct fl_str){ NULL, 0 });
    CHECK(!fl_mcp_progress_next(&p, 0, 1, 0, &value, &total));
}

/* ---- listens ---- */
#define LISTEN(id, filter)                                                                         \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"subscriptions/listen\",\"params\":{"          \
    "\"notifications\":" filter "," META_CAPS(TASKS_CAPS) "}}"

static enum fl_code listen(struct ask *a, const char *body, unsigned serves,
                           struct fl_mcp_listen *ret)
{
    ASK(a, NULL, body);
    CHECK_MSG(a->code == FL_OK, "%s", a->refusal.err.text);
    return fl_mcp_listen_read(a->arena, &a->msg, serves, ret, &a->refusal);
}

static void test_a_listen_is_granted_what_is_served(void)
{
    static const struct fl_mcp_server server = { .name = { "f", 1 }, .version = { "1", 1 } };
    struct fl_mcp_listen listening;
    struct fl_buf out = FL_BUF_INIT;
    struct ask a;
    CHECK_OK(listen(&a,
                    LISTEN("1", "{\"toolsListChanged\":true,\"promptsListChanged\":true,"
                                "\"resourcesListChanged\":false,\"future\":[7],"
                                "\"resourceSubscriptions\":[\"file:///a\"],"
                                "\"taskIds\":[\"t\\u0031\",\"t2\"]}"),
                    FL_MCP_SERVES_TOOLS | FL_MCP_SERVES_RESOURCES | FL_MCP_SERVES_TASKS,
                    &listening));
    CHECK_INT(listening.topics, FL_MCP_TOPIC_TOOLS);
    CHECK_INT(listening.uri_count, 0); /* resource updates are not served */
    CHECK_INT(listening.task_count, 2);
    CHECK_SPAN(listening.task_ids[0], "t1");
    listening.task_ids[1].n = 0; /* another principal's */
    CHECK(fl_mcp_listen_hears_task(&listening, FL_STR("t1")));
    CHECK(!fl_mcp_listen_hears_task(&listening, FL_STR("t2")));
    CHECK(!fl_mcp_listen_hears_task(&listening, FL_STR("")));
    CHECK(fl_mcp_listen_hears_list(&listening, FL_MCP_LIST_TOOLS));
    CHECK(!fl_mcp_listen_hears_list(&listening, FL_MCP_LIST_PROMPTS));
    fl_mcp_put_acknowledged(&out, &listening);
    check_message(&out);
    CHECK_STR(out.p, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\","
                     "\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":1},"
                     "\"notifications\":{\"toolsListChanged\":true,\"taskIds\":[\"t1\"]}}}");
    fl_buf_reset(&out);
    fl_mcp_put_listen_end(&out, &server, &listening);
    check_message(&out);
    CHECK_STR(out.p,
              "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\",\"_meta\":{"
              "\"io.modelcontextprotocol/subscriptionId\":1,"
              "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"f\",\"version\":\"1\"}}}}");
    fl_buf_fini(&out);
    ask_fini(&a);

    CHECK_OK(listen(&a,
                    LISTEN("\"1\"", "{\"resourceSubscriptions\":[\"file:///a\",\"b\"],"
                                    "\"resourcesListChanged\":true}"),
                    SERVES_ALL, &listening));
    CHECK_SPAN(listening.id, "\"1\"");
    CHECK(fl_mcp_listen_hears_uri(&listening, FL_STR("b")));
    CHECK(!fl_mcp_listen_hears_uri(&listening, FL_STR("c")));
    CHECK(fl_mcp_listen_hears_list(&listening, FL_MCP_LIST_RESOURCES));
    fl_mcp_put_acknowledged(&out, &listening);
    CHECK(strstr(out.p, "\"subscriptionId\":\"1\"") || strstr(out.p, "subscriptionId\":\"1\"}"));
    CHECK(strstr(out.p, "\"resourcesListChanged\":true,"
                        "\"resourceSubscriptions\":[\"file:///a\",\"b\"]"));
    fl_buf_fini(&out);
    ask_fini(&a);

    CHECK_OK(
        listen(&a, LISTEN("1", "{\"taskIds\":[\"t\"],\"toolsListChanged\":true}"), 0, &listening));
    CHECK(listening.task_count == 0 && listening.topics == 0);
    ask_fini(&a);
    CHECK_OK(listen(&a, LISTEN("1", "{}"), SERVES_ALL, &listening));
    fl_mcp_put_acknowledged(&out, &listening);
    CHECK(strstr(out.p, "\"notifications\":{}"));
    fl_buf_fini(&out);
    ask_fini(&a);
}

static void test_a_crooked_filter_is_refused(void)
{
    static const struct {
        const char *body, *text;
    } rows[] = {
        { LISTEN("1", "{\"toolsListChanged\":1}"),
          "notifications.toolsListChanged must be a boolean" },
        { LISTEN("1", "{\"taskIds\":\"t\"}"), "notifications.taskIds must be an array of strings" },
        { LISTEN("1", "{\"taskIds\":[\"t\",7]}"),
          "notifications.taskIds must be an array of strings" },
        { LISTEN("1", "{\"resourceSubscriptions\":{}}"),
          "notifications.resourceSubscriptions must be an array of strings" },
    };
    for (size_t i = 0; i < FL_COUNTOF(rows); i++) {
        struct fl_mcp_listen listening;
        struct ask a;
        CHECK_INT(listen(&a, rows[i].body, SERVES_ALL, &listening), FL_BAD_PARAMS);
        CHECK_STR(a.refusal.err.text, rows[i].text);
        CHECK_INT(a.refusal.http, 200);
        CHECK_SPAN(a.refusal.id, "1");
        ask_fini(&a);
    }
    struct fl_buf body = FL_BUF_INIT;
    struct fl_mcp_listen listening;
    struct ask a;
    fl_buf_puts(&body,
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
                "\"notifications\":{\"taskIds\":[\"x\"");
    for (int i = 0; i < FL_MCP_LISTEN_NAMES_MAX; i++)
        fl_buf_puts(&body, ",\"x\"");
    fl_buf_puts(&body, "]}," META_CAPS(TASKS_CAPS) "}}");
    CHECK_INT(listen(&a, body.p, SERVES_ALL, &listening), FL_BAD_PARAMS);
    CHECK_STR(a.refusal.err.text, "notifications.taskIds has more than 256 entries");
    fl_buf_fini(&body);
    ask_fini(&a);
}

static void test_open_listens_have_a_bound(void)
{
    struct fl_mcp_listens set;
    struct fl_mcp_listen listens[4] = {
        { .id = FL_STR("1") }, { .id = FL_STR("2") }, { .id = FL_STR("3") }, { .id = FL_STR("4") }
    };
    struct fl_mcp_refusal refusal;
    size_t n = 0;
    fl_mcp_listens_init(&set, 3);
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(fl_mcp_listens_add(&set, &listens[i], &refusal));
    CHECK_INT(fl_mcp_listens_add(&set, &listens[3], &refusal), FL_INTERNAL);
    CHECK_INT(refusal.rpc, -32603);
    CHECK_INT(refusal.http, 200);
    CHECK_SPAN(refusal.id, "4");
    fl_mcp_listens_remove(&set, &listens[3]);
    fl_mcp_listens_remove(&set, &listens[1]);
    fl_mcp_listens_remove(&set, &listens[1]);
    CHECK_OK(fl_mcp_listens_add(&set, &listens[3], &refusal));
    FL_LIST_FOREACH (pos, &set.open) {
        static const char *const want[] = { "1", "3", "4" };
        CHECK_SPAN(FL_CONTAINER(pos, struct fl_mcp_listen, link)->id, want[n]);
        n++;
    }
    CHECK_INT(n, 3);
}

static void test_every_allocation_may_fail(void)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fl_mcp_listen listening = { .topics = 99 };
        struct ask a;
        ASK(&a, NULL,
            LISTEN("\"\\u0061\"", "{\"toolsListChanged\":true,"
                                  "\"taskIds\":[\"t\\u0031\",\"b\"],"
                                  "\"resourceSubscriptions\":[\"c\"]}"));
        fl_mem_fail_at(n, 1);
        enum fl_code code = fl_mcp_listen_read(a.arena, &a.msg, SERVES_ALL, &listening, &a.refusal);
        fl_mem_fail_at(0, 0);
        ask_fini(&a);
        if (code == FL_OK)
            break;
        CHECK_INT(code, FL_NOMEM);
        CHECK_INT(a.refusal.rpc, -32603);
        CHECK_INT(listening.topics, 99);
        failures++;
    }
    CHECK_FAILURES(failures, 5u);
}

static const struct fl_test tests[] = {
    T(the_handshake_has_an_order),
    T(both_eras_share_one_connection),
    T(an_id_is_in_flight_once),
    T(requests_in_flight_have_a_bound),
    T(a_cancelled_request_is_never_answered),
    T(an_unasked_response_is_dropped_in_silence),
    T(ids_of_two_connections_never_meet),
    T(a_batch_passes_on_an_old_connection),
    T(progress_rises_strictly),
    T(progress_goes_on_from_waiting_to_running),
    T(progress_is_once_a_second_after_a_burst),
    T(without_a_token_there_is_no_progress),
    T(a_listen_is_granted_what_is_served),
    T(a_crooked_filter_is_refused),
    T(open_listens_have_a_bound),
    T(every_allocation_may_fail),
};
TEST_MAIN(tests)
