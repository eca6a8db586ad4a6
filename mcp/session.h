/* One connection that carries many messages (WebSocket, stdio): the legacy handshake, which
 * requests are in flight, and progress bookkeeping. HTTP needs none of the first two: a legacy
 * session is a row in the database there, and a modern request stands alone.
 * Owned by runtime/endpoint, one per connection. Loop thread only; nothing is allocated.
 *
 * Both eras may interleave on one connection, message by message (a client that probes with
 * server/discover and then falls back to initialize must work). They share one space of ids. */
#ifndef FL_MCP_SESSION_H
#define FL_MCP_SESSION_H

#include "flopinio/base/list.h"
#include "mcp/message.h"

#define FL_MCP_FLIGHT_BUCKETS 16
#define FL_MCP_FLIGHTS_MAX    1024 /* of one connection, by default */

enum fl_mcp_conn_state {
    FL_MCP_CONN_NEW,         /* legacy: initialize or ping */
    FL_MCP_CONN_INITIALIZED, /* initialize was answered; initialized is awaited; ping */
    FL_MCP_CONN_READY
};

struct fl_mcp_conn {
    enum fl_mcp_transport transport;
    enum fl_mcp_conn_state state;
    enum fl_mcp_version version; /* negotiated, from INITIALIZED on */
    unsigned client_caps;        /* from initialize */
    struct fl_list buckets[FL_MCP_FLIGHT_BUCKETS];
    size_t flights, flights_max;
};

/* A request in flight; embedded in its call, which must outlive it. `id` borrows from the call. */
struct fl_mcp_flight {
    struct fl_list link;
    struct fl_str id;
    enum fl_mcp_method method;
    bool is_cancelled; /* never answer it */
};

/* flights_max 0 = the default. */
void fl_mcp_conn_init(struct fl_mcp_conn *conn, enum fl_mcp_transport transport,
                      size_t flights_max);
/* The facts for fl_mcp_read, out of the connection's state. */
void fl_mcp_conn_facts(const struct fl_mcp_conn *conn, unsigned serves, struct fl_mcp_facts *ret);

/* Every message that fl_mcp_read accepted passes here, in the order of arrival. Requests become
 * *flight (zeroed, the caller's). Refuses: before the handshake (-32600), a second initialize
 * (-32600), an id that is in flight already (-32600), too many in flight (-32000), a response
 * that nobody asked for (mute). An initialize that is admitted counts as answered: answer it
 * before the next message is read. */
enum fl_code fl_mcp_conn_admit(struct fl_mcp_conn *conn, const struct fl_mcp_message *msg,
                               struct fl_mcp_flight *flight,
                               struct fl_mcp_refusal *ret_refusal) FL_MUST_CHECK;
/* May we send unasked legacy notifications (list_changed)? */
static inline bool fl_mcp_conn_is_ready(const struct fl_mcp_conn *conn)
{
    return conn->state == FL_MCP_CONN_READY;
}
/* notifications/cancelled: the request that it means, marked cancelled; NULL when there is none in
 * flight (late or wrong: ignore) or it is initialize, which cannot be cancelled. */
struct fl_mcp_flight *fl_mcp_conn_cancel(struct fl_mcp_conn *conn,
                                         const struct fl_mcp_message *msg);
/* The request is over: its id is free again. True if the answer may be sent. Harmless on a flight
 * that was never admitted (false). */
bool fl_mcp_conn_land(struct fl_mcp_conn *conn, struct fl_mcp_flight *flight);
/* The connection is gone: forgets all flights (their calls lose their claimant). */
void fl_mcp_conn_fini(struct fl_mcp_conn *conn);

/* ---- progress of one request (both eras, all transports) ----
 * Values must rise strictly and come at most once a second on average, in bursts of at most
 * FL_MCP_PROGRESS_BURST. A call first waits for people (we count) and then runs (the tool counts,
 * from wherever it likes): a new phase goes on from the last value sent. */
#define FL_MCP_PROGRESS_BURST 8
struct fl_mcp_progress {
    struct fl_str token; /* span; p NULL: nobody listens */
    double base, last;   /* last value sent, before this phase and at all */
    bool has_sent, is_over;
    int64_t bucket_ms; /* credit, 1000 a message */
    int64_t at_ms;     /* of bucket_ms */
};
void fl_mcp_progress_init(struct fl_mcp_progress *p, struct fl_str token);
void fl_mcp_progress_phase(struct fl_mcp_progress *p);
/* True: send *ret_value of *ret_total now. `total` at most 0 = not known. */
bool fl_mcp_progress_next(struct fl_mcp_progress *p, int64_t now_mono_ms, double value,
                          double total, double *ret_value, double *ret_total);
/* The response is being sent: nothing more. */
void fl_mcp_progress_end(struct fl_mcp_progress *p);

#endif
