/* Who sends an HTTP request: the bearer token of its Authorization header, checked before the body
 * is read. Shared by the Streamable HTTP and the WebSocket endpoint. */
#ifndef FLOPINIO_ENDPOINT_AUTH_H
#define FLOPINIO_ENDPOINT_AUTH_H

#include "runtime/endpoint/endpoint_priv.h"

/* Lives in the exchange's arena, as ex->user, until on_released. */
struct fl_auth {
    struct fl_http_exchange *ex; /* NULL once it was released while the look-up ran */
    struct fl_endpoint *endpoint;
    struct fl_principal *principal; /* a reference, once known */
    void (*known)(struct fl_auth *auth);
    struct fl_agent_auth *look; /* own memory: it may outlive the exchange */
    void *user;                 /* the endpoint's, later */
};

/* In on_head. Answers 401 itself; else calls `known`, now or later (the body waits meanwhile). */
void fl_auth_start(struct fl_http_exchange *ex, void (*known)(struct fl_auth *auth));
/* In on_released. */
void fl_auth_released(struct fl_http_exchange *ex);
/* The value of WWW-Authenticate (RFC 6750 section 3), in the arena. `error` may be NULL. Without
 * resource_metadata: that document is not served. */
struct fl_str fl_auth_challenge_text(struct fl_arena *arena, const char *error);

#endif
