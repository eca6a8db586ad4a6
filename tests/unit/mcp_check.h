/* What must hold of every message that was read, and of every refusal. For test_mcp_hostile.c and
 * the fuzzer. */
#ifndef FL_TEST_MCP_CHECK_H
#define FL_TEST_MCP_CHECK_H

#include "mcp/listen.h"
#include "mcp/tasks.h"
#include "mcp_fixture.h"

static inline bool is_one_of(int value, const int *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == value)
            return true;
    }
    return false;
}

static inline void check_refusal(const struct fl_mcp_refusal *refusal)
{
    static const int codes[] = { -32700, -32600, -32601, -32602, -32000,
                                 -32001, -32020, -32021, -32022 };
    static const int statuses[] = { 200, 400, 404, 406, 413 };
    struct fl_buf out = FL_BUF_INIT;
    CHECK_MSG(is_one_of(refusal->rpc, codes, FL_COUNTOF(codes)), "%d", refusal->rpc);
    CHECK_MSG(is_one_of(refusal->http, statuses, FL_COUNTOF(statuses)), "%d", refusal->http);
    CHECK(refusal->err.text[0]);
    fl_mcp_put_refusal(&out, refusal);
    check_message(&out);
    fl_buf_fini(&out);
}

/* Whatever was accepted can be answered, on each way that its kind has. */
static inline void check_accepted(struct ask *a)
{
    static const struct fl_mcp_server server = { .name = { "f", 1 },
                                                 .version = { "1", 1 },
                                                 .serves = SERVES_ALL };
    struct fl_mcp_message *msg = &a->msg;
    struct fl_mcp_to to = fl_mcp_to(msg);
    struct fl_buf out = FL_BUF_INIT;
    CHECK(msg->version != FL_MCP_NO_VERSION);
    CHECK((msg->kind == FL_MCP_REQUEST || msg->kind == FL_MCP_RESPONSE) == (msg->id.p != NULL));
    if (msg->kind == FL_MCP_REQUEST) {
        CHECK(msg->method != FL_MCP_UNKNOWN_METHOD && !fl_mcp_method_is_notification(msg->method));
        CHECK(fl_mcp_method_is_known(msg->method, msg->era, a->facts.serves));
        CHECK(!fl_mcp_method_member(msg->method)[0] || msg->name.p);
        if (msg->method == FL_MCP_M_TOOLS_CALL)
            CHECK(fl_span_type(msg->arguments) == FL_SPAN_OBJECT);
        fl_mcp_put_empty(&out, &server, &to);
        check_message(&out);
    }
    if (msg->kind == FL_MCP_NOTIFICATION)
        CHECK(msg->method == FL_MCP_UNKNOWN_METHOD || fl_mcp_method_is_notification(msg->method));
    if (msg->progress_token.p) {
        fl_buf_reset(&out);
        fl_mcp_put_progress(&out, msg->version, msg->progress_token, 1, 0, msg->name);
        check_message(&out);
    }
    if (msg->kind == FL_MCP_REQUEST && msg->method == FL_MCP_M_LISTEN) {
        struct fl_mcp_listen listen;
        fl_buf_reset(&out);
        if (fl_mcp_listen_read(a->arena, msg, SERVES_ALL, &listen, &a->refusal) == FL_OK) {
            fl_mcp_put_acknowledged(&out, &listen);
            check_message(&out);
        } else {
            check_refusal(&a->refusal);
        }
    }
    fl_buf_fini(&out);
}

#endif
