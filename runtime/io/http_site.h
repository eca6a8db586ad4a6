/* One listener, several endpoints: checks Host and Origin, finds out who asks behind a proxy, then
 * hands each exchange to the endpoint whose path it names. Loop thread only. */
#ifndef FLOPINIO_IO_HTTP_SITE_H
#define FLOPINIO_IO_HTTP_SITE_H

#include "runtime/io/http_server.h"

#define FL_SITE_ROUTES 16

struct fl_site_route {
    const char *path; /* "/mcp"; with is_prefix also everything behind "/mcp/" */
    bool is_prefix;
    const struct fl_http_callbacks *callbacks;
    void *user;
    struct fl_http_budget budget; /* of its own, so that none is closed at another's door */
};

struct fl_site {
    size_t count; /* first, so that no route has the address of the site itself */
    struct fl_site_route routes[FL_SITE_ROUTES];
    /* Names without port ("localhost", "127.0.0.1", "[::1]", "mcp.example.com"); NULL-terminated.
     * A request to another name is refused: DNS rebinding. */
    const char *const *hosts;
    const char *const *origins;     /* "https://app.example.com"; NULL-terminated */
    struct fl_http_proxies proxies; /* whose word about their clients is taken */
    uint64_t strangers_bytes;       /* of the bodies at each route of those that nothing is known
                                       of, and how many may be on their way at a time */
    unsigned strangers;
    bool is_local; /* a unix socket: no Host to check, nobody to count */
};

/* The callbacks for fl_http_server_config, whose `user` is the site. */
extern const struct fl_http_callbacks fl_site_callbacks;
void fl_site_add(struct fl_site *site, const char *path, bool is_prefix,
                 const struct fl_http_callbacks *callbacks, void *user);
/* In an endpoint's callbacks: the user of its route. */
void *fl_site_user(const struct fl_http_exchange *ex);

#endif
