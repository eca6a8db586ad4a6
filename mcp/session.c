/* Connections that carry many messages. Loop thread. */
#include "mcp/session.h"

#include <math.h>

void fl_mcp_conn_init(struct fl_mcp_conn *conn, enum fl_mcp_transport transport, size_t flights_max)
{
    FL_ASSERT(transport != FL_MCP_HTTP);
    *conn = (struct fl_mcp_conn){
        .transport = transport,
        .flights_max = flights_max ? flights_max : FL_MCP_FLIGHTS_MAX,
    };
    for (size_t i = 0; i < FL_MCP_FLIGHT_BUCKETS; i++)
        fl_list_init(&conn->buckets[i]);
}

void fl_mcp_conn_facts(const struct fl_mcp_conn *conn, unsigned serves, struct fl_mcp_facts *ret)
{
    bool is_live = conn->state != FL_MCP_CONN_NEW;
    *ret = (struct fl_mcp_facts){
        .transport = conn->transport,
        .session = is_live ? FL_MCP_SESSION_LIVE : FL_MCP_SESSION_NONE,
        .session_version = conn->version,
        .serves = serves,
    };
}

/* ---- requests in flight ---- */
static struct fl_list *bucket_of(struct fl_mcp_conn *conn, struct fl_str id)
{
    uint32_t hash = 2166136261u; /* FNV-1a: a connection can only slow down itself */
    for (size_t i = 0; i < id.n; i++)
        hash = (hash ^ (unsigned char)id.p[i]) * 16777619u;
    return &conn->buckets[hash % FL_MCP_FLIGHT_BUCKETS];
}

static struct fl_mcp_flight *find(struct fl_mcp_conn *conn, struct fl_str id)
{
    FL_LIST_FOREACH (pos, bucket_of(conn, id)) {
        struct fl_mcp_flight *flight = FL_CONTAINER(pos, struct fl_mcp_flight, link);
        if (fl_str_eq(flight->id, id))
            return flight;
    }
    return NULL;
}

/* What the handshake has to say about a legacy message. Modern ones stand alone, and a
 * cancellation carries no version, so that it may be meant for either era's request. */
static const char *check_order(const struct fl_mcp_conn *conn, const struct fl_mcp_message *msg)
{
    if (msg->era == FL_MCP_MODERN || msg->kind == FL_MCP_NOTIFICATION)
        return NULL;
    if (msg->kind == FL_MCP_REQUEST && msg->method == FL_MCP_M_PING)
        return NULL;
    if (msg->kind == FL_MCP_REQUEST && msg->method == FL_MCP_M_INITIALIZE)
        return conn->state == FL_MCP_CONN_NEW ? NULL : "this connection is initialized already";
    if (conn->state == FL_MCP_CONN_NEW)
        return "the connection must be initialized first";
    if (conn->state == FL_MCP_CONN_INITIALIZED)
        return "notifications/initialized must come first";
    return NULL;
}

enum fl_code fl_mcp_conn_admit(struct fl_mcp_conn *conn, const struct fl_mcp_message *msg,
                               struct fl_mcp_flight *flight, struct fl_mcp_refusal *ret_refusal)
{
    const char *wrong = check_order(conn, msg);
    if (wrong)
        return fl_mcp_refuse(ret_refusal, msg, FL_BAD_REQUEST, 0, "%s", wrong);
    if (msg->kind == FL_MCP_NOTIFICATION && msg->method == FL_MCP_M_INITIALIZED &&
        conn->state == FL_MCP_CONN_INITIALIZED)
        conn->state = FL_MCP_CONN_READY;
    if (msg->kind != FL_MCP_REQUEST)
        return FL_OK;

    if (find(conn, msg->id)) {
        fl_mcp_refuse(ret_refusal, msg, FL_BAD_REQUEST, 0,
                      "a request with this id is in flight already");
        /* Sent with the id it would end the other request in the client's eyes. */
        ret_refusal->id = (struct fl_str){ NULL, 0 };
        return FL_BAD_REQUEST;
    }
    if (conn->flights >= conn->flights_max)
        return fl_mcp_refuse(ret_refusal, msg, FL_TOO_MANY, 0,
                             "more than %zu requests are in flight", conn->flights_max);
    if (msg->method == FL_MCP_M_INITIALIZE) {
        conn->state = FL_MCP_CONN_INITIALIZED;
        conn->version = msg->version;
        conn->client_caps = msg->client_caps;
    }
    *flight = (struct fl_mcp_flight){ .id = msg->id, .method = msg->method };
    fl_list_init(&flight->link);
    fl_list_push_back(bucket_of(conn, msg->id), &flight->link);
    conn->flights++;
    return FL_OK;
}

struct fl_mcp_flight *fl_mcp_conn_cancel(struct fl_mcp_conn *conn, const struct fl_mcp_message *msg)
{
    FL_ASSERT(msg->method == FL_MCP_M_CANCELLED);
    struct fl_mcp_flight *flight = msg->request_id.p ? find(conn, msg->request_id) : NULL;
    if (!flight || flight->method == FL_MCP_M_INITIALIZE || flight->is_cancelled)
        return NULL;
    flight->is_cancelled = true;
    return flight;
}

bool fl_mcp_conn_land(struct fl_mcp_conn *conn, struct fl_mcp_flight *flight)
{
    if (!fl_list_is_linked(&flight->link))
        return false;
    fl_list_remove(&flight->link);
    conn->flights--;
    return !flight->is_cancelled;
}

void fl_mcp_conn_fini(struct fl_mcp_conn *conn)
{
    for (size_t i = 0; i < FL_MCP_FLIGHT_BUCKETS; i++) {
        FL_LIST_FOREACH_SAFE (pos, &conn->buckets[i])
            fl_list_remove(pos);
    }
    conn->flights = 0;
}

/* ---- progress ---- */
#define CREDIT_MAX (FL_MCP_PROGRESS_BURST * 1000)

void fl_mcp_progress_init(struct fl_mcp_progress *p, struct fl_str token)
{
    *p = (struct fl_mcp_progress){ .token = token, .bucket_ms = CREDIT_MAX };
}

void fl_mcp_progress_phase(struct fl_mcp_progress *p)
{
    p->base = p->has_sent ? p->last : 0;
}

bool fl_mcp_progress_next(struct fl_mcp_progress *p, int64_t now_mono_ms, double value,
                          double total, double *ret_value, double *ret_total)
{
    double sent = p->base + value;
    if (!p->token.p || p->is_over || !isfinite(sent) || (p->has_sent && sent <= p->last))
        return false;
    if (now_mono_ms > p->at_ms) {
        int64_t gained = now_mono_ms - p->at_ms;
        p->at_ms = now_mono_ms;
        p->bucket_ms = gained >= CREDIT_MAX - p->bucket_ms ? CREDIT_MAX : p->bucket_ms + gained;
    }
    if (p->bucket_ms < 1000)
        return false;
    p->bucket_ms -= 1000;
    p->has_sent = true;
    p->last = sent;
    *ret_value = sent;
    *ret_total = total > 0 && isfinite(p->base + total) ? p->base + total : 0;
    return true;
}

void fl_mcp_progress_end(struct fl_mcp_progress *p)
{
    p->is_over = true;
}
