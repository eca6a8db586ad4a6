/* MCP for agents: WebSocket, Streamable HTTP and stdio over one set of methods. Joins the protocol
 * (mcp/) with the life of calls (runtime/approval). One per worker. Loop thread only. */
#ifndef FLOPINIO_ENDPOINT_ENDPOINT_H
#define FLOPINIO_ENDPOINT_ENDPOINT_H

#include "mcp/listen.h"
#include "mcp/reply.h"
#include "runtime/approval/core.h"
#include "runtime/approval/org.h"
#include "runtime/identity/principal.h"
#include "runtime/io/http.h"
#include "runtime/io/ws.h"

struct fl_endpoint_config {
    int64_t progress_ms;       /* between progress messages of a waiting call; 10 s */
    int64_t keepalive_ms;      /* between SSE comments; 15 s */
    int64_t list_ttl_ms;       /* how long clients may keep lists; 5 s */
    size_t list_page;          /* tools per page of tools/list; 250 */
    unsigned listens_max;      /* open subscriptions over HTTP; 1024 */
    unsigned listens_each_max; /* of one credential; 32 */
    unsigned holds_max;        /* approval_wait calls of one credential at a time; 8 */
    uint16_t ports[4];         /* TCP ports that we listen on, to find who a local peer is */
    unsigned worker, workers;  /* this one of the node's, 0 ..., and how many there are */
    const char *peer_dir;      /* "worker-N.sock" of each is there; NULL: there are no others */
    /* Counts the legacy sessions that the workers of this node ended, in memory that they share:
     * what one ended the others do not know from their caches any more. NULL: there are no others.
     */
    uint64_t *sessions_ended;
};

struct fl_endpoint;

enum fl_code fl_endpoint_new(struct fl_core *core, struct fl_principals *principals,
                             const struct fl_endpoint_config *config, struct fl_endpoint **ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Says goodbye to every connection: no new requests, streams and listens end, calls that wait lose
 * their caller (their rows stay). */
void fl_endpoint_drain(struct fl_endpoint *endpoint);
void fl_endpoint_reload(struct fl_endpoint *endpoint, int64_t progress_ms, int64_t keepalive_ms);
/* Nothing is in flight any more. */
bool fl_endpoint_is_idle(const struct fl_endpoint *endpoint);
void fl_endpoint_free(struct fl_endpoint **endpoint);

/* For the router (io/http.h's callbacks): `/mcp` and `/mcp/ws`. Host and Origin were checked. */
extern const struct fl_http_callbacks fl_endpoint_http;
extern const struct fl_http_callbacks fl_endpoint_ws;

/* A client of `flopinio stdio` on a unix socket: lines of JSON, the first one
 * {"token":"fla_..."}. Takes the descriptor. */
void fl_endpoint_stdio(struct fl_endpoint *endpoint, int fd);

struct fl_endpoint_counts {
    size_t websockets, stdio, talks, listens, sessions;
};
void fl_endpoint_counts(const struct fl_endpoint *endpoint, struct fl_endpoint_counts *ret);

#endif
