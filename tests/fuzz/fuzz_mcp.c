/* JSON-RPC in both eras. The first byte says where it comes in: as messages of one connection
 * (WebSocket or stdio, a line each, with their handshake and ids), or as one HTTP request, whose
 * headers are the lines up to an empty one. Each message is read or refused by the protocol's
 * numbers, whatever is read can be answered, and the ids in flight stay true. */
#include "fuzz_check.h"

#include "../unit/mcp_check.h"
#include "mcp/session.h"

enum { MOST = 8 };

static bool next_line(struct fl_str *rest, struct fl_str *ret)
{
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    ret->p = rest->p;
    ret->n = end ? (size_t)(end - rest->p) : rest->n;
    size_t used = ret->n + (end != NULL);
    *rest = (struct fl_str){ rest->p + used, rest->n - used };
    return true;
}

static void read_text(struct ask *a, struct fl_str text)
{
    struct fl_str copy = fl_arena_str(a->arena, text);
    a->code = fl_mcp_read(a->arena, copy, &a->facts, &a->msg, &a->refusal);
    if (a->code != FL_OK) {
        CHECK(a->code == a->refusal.err.code);
        check_refusal(&a->refusal);
        return;
    }
    check_accepted(a);
}

static void over_http(struct fl_str text, uint8_t how)
{
    struct ask a;
    struct fl_str line;
    ask_init(&a, "");
    while (next_line(&text, &line) && line.n && a.headers.count < FL_COUNTOF(a.list)) {
        const char *colon = memchr(line.p, ':', line.n);
        size_t n = colon ? (size_t)(colon - line.p) : line.n;
        a.list[a.headers.count++] =
            (struct fl_mcp_header){ { line.p, n },
                                    fl_str_trim((struct fl_str){ line.p + n + (colon != NULL),
                                                                 line.n - n - (colon != NULL) }) };
    }
    a.facts.session = (enum fl_mcp_session_fact)(how % 3);
    a.facts.session_version = (enum fl_mcp_version)(FL_MCP_2024_11_05 + how / 3 % 4);
    a.facts.is_in_batch = how & 64;
    read_text(&a, text);
    if (a.code == FL_OK && a.msg.kind == FL_MCP_BATCH) {
        struct fl_str item;
        size_t count = 0;
        for (size_t pos = 0; fl_mcp_batch_next(&a.msg, &pos, &item); count++) {
            struct ask one;
            ask_init(&one, "");
            one.facts = a.facts;
            one.facts.is_in_batch = true;
            read_text(&one, item);
            ask_fini(&one);
        }
        CHECK(count > 0 && count <= FL_MCP_BATCH_MAX);
    }
    ask_fini(&a);
}

/* Whether the id of an admitted request is in flight is known here from the outside. */
static bool is_in_flight(struct ask *asks, const bool *flies, struct fl_str id)
{
    for (size_t i = 0; i < MOST; i++) {
        if (flies[i] && fl_str_eq(asks[i].msg.id, id))
            return true;
    }
    return false;
}

static void over_connection(struct fl_str text, enum fl_mcp_transport transport)
{
    static struct ask asks[MOST];
    static struct fl_mcp_flight flights[MOST];
    bool flies[MOST] = { false };
    size_t at = 0, count = 0;
    struct fl_mcp_conn conn;
    struct fl_str line;
    fl_mcp_conn_init(&conn, transport, MOST);
    memset(asks, 0, sizeof asks);
    for (; next_line(&text, &line); at++) {
        struct ask *a = &asks[at % MOST];
        struct fl_mcp_flight *flight = &flights[at % MOST];
        if (a->arena) {
            bool was_cancelled = flight->is_cancelled;
            bool may_answer = fl_mcp_conn_land(&conn, flight);
            CHECK(may_answer == (flies[at % MOST] && !was_cancelled));
            count -= flies[at % MOST];
            flies[at % MOST] = false;
            ask_fini(a);
        }
        ask_init(a, NULL);
        a->facts.transport = transport;
        fl_mcp_conn_facts(&conn, SERVES_ALL, &a->facts);
        read_text(a, line);
        memset(flight, 0, sizeof *flight);
        if (a->code != FL_OK)
            continue;
        bool is_taken = a->msg.kind == FL_MCP_REQUEST && is_in_flight(asks, flies, a->msg.id);
        if (fl_mcp_conn_admit(&conn, &a->msg, flight, &a->refusal) != FL_OK) {
            check_refusal(&a->refusal);
            continue;
        }
        CHECK(!is_taken);
        flies[at % MOST] = a->msg.kind == FL_MCP_REQUEST;
        count += flies[at % MOST];
        CHECK(conn.flights == count);
        if (a->msg.kind == FL_MCP_NOTIFICATION && a->msg.method == FL_MCP_M_CANCELLED) {
            struct fl_mcp_flight *hit = fl_mcp_conn_cancel(&conn, &a->msg);
            CHECK(!hit || (hit->is_cancelled && fl_str_eq(hit->id, a->msg.request_id)));
        }
    }
    fl_mcp_conn_fini(&conn);
    for (size_t i = 0; i < MOST; i++)
        ask_fini(&asks[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct fl_str text = fuzz_copy(data + 1, n - 1);
    if (data[0] & 1)
        over_http(text, data[0] >> 1);
    else
        over_connection(text, data[0] & 2 ? FL_MCP_STDIO : FL_MCP_WEBSOCKET);
    free((char *)text.p);
    return 0;
}
