/* What the stdio bridge remembers of the messages that pass through it. */
#include "harness.h"
#include "runtime/cli/stdio_traffic.h"

#define SAYS(t, line) CHECK(fl_traffic_from_client((t), FL_STR(line)))
#define HEARS(t, line, kind)                                                                       \
    CHECK_INT(fl_traffic_from_runtime((t), FL_STR(line)), FL_TRAFFIC_##kind)

static void check_lost(struct fl_traffic *t, const char *expected)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_traffic_lost(t, "gone", &out);
    CHECK_STR(out.p ? out.p : "", expected);
    fl_buf_fini(&out);
}

#define ERROR(id)                                                                                  \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":-32603,\"message\":\"gone\"}}\n"

static void test_open_requests_are_answered_when_the_connection_is_lost(void)
{
    struct fl_traffic t = { 0 };
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"id\":7}}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}"); /* an answer of the client */
    SAYS(&t, "not json");
    SAYS(&t, "[1,2]");
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", PASS);
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"id\":0}}",
          PASS);
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}", PASS);
    HEARS(&t, "what is this", PASS);
    check_lost(&t, ERROR("\"a\"") ERROR("0"));
    check_lost(&t, ""); /* once */
    fl_traffic_fini(&t);
}

static void test_a_cancelled_request_is_not_answered(void)
{
    struct fl_traffic t = { 0 };
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\"}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\"}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
             "\"params\":{\"requestId\":0}}");
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
             "\"params\":{\"requestId\":77}}");
    check_lost(&t, ERROR("2"));
    fl_traffic_fini(&t);
}

#define INITIALIZE                                                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"     \
    "\"2025-11-25\"}}"
#define INITIALIZED "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define CHANGED     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}"

static void check_again(struct fl_traffic *t, const char *to_runtime, const char *to_client)
{
    struct fl_buf up = FL_BUF_INIT, down = FL_BUF_INIT;
    fl_traffic_again(t, &up, &down);
    CHECK_STR(up.p ? up.p : "", to_runtime);
    CHECK_STR(down.p ? down.p : "", to_client);
    fl_buf_fini(&up);
    fl_buf_fini(&down);
}

static void test_the_handshake_is_made_again(void)
{
    struct fl_traffic t = { 0 };
    check_again(&t, "", ""); /* a client of the modern era has none */
    SAYS(&t, INITIALIZE);
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", PASS);
    SAYS(&t, INITIALIZED);
    check_lost(&t, "");
    check_again(&t, INITIALIZE "\n" INITIALIZED "\n", CHANGED "\n");
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", OURS); /* not the client's */
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}", PASS);
    check_again(&t, INITIALIZE "\n" INITIALIZED "\n", CHANGED "\n");
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32600}}", REFUSED);
    fl_traffic_fini(&t);
}

static void test_an_unanswered_handshake_is_answered_by_the_next_connection(void)
{
    struct fl_traffic t = { 0 };
    SAYS(&t, INITIALIZE);
    SAYS(&t, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
    check_lost(&t, ERROR("2"));
    check_again(&t, INITIALIZE "\n", "");
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", PASS);
    check_lost(&t, "");
    fl_traffic_fini(&t);
}

static void test_a_worker_that_leaves_is_understood(void)
{
    struct fl_traffic t = { 0 };
    HEARS(&t, "{\"leaving\":true}", LEAVING);
    HEARS(&t, "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"leaving\":true}", PASS);
    fl_traffic_fini(&t);
}

static const struct fl_test tests[] = {
    T(open_requests_are_answered_when_the_connection_is_lost),
    T(a_cancelled_request_is_not_answered),
    T(the_handshake_is_made_again),
    T(an_unanswered_handshake_is_answered_by_the_next_connection),
    T(a_worker_that_leaves_is_understood),
};
TEST_MAIN(tests)
