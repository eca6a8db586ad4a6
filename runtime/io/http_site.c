/* Routing by path behind Host and Origin checks. */
#include "runtime/io/http_site.h"

static const struct fl_http_callbacks no_callbacks;
static struct fl_site_route nowhere = { .callbacks = &no_callbacks };

void fl_site_add(struct fl_site *site, const char *path, bool is_prefix,
                 const struct fl_http_callbacks *callbacks, void *user)
{
    FL_ASSERT(site->count < FL_SITE_ROUTES);
    struct fl_site_route *route = &site->routes[site->count++];
    *route = (struct fl_site_route){ path, is_prefix, callbacks, user, { 0 } };
    fl_list_init(&route->budget.reading);
    fl_list_init(&route->budget.whole);
}

void *fl_site_user(const struct fl_http_exchange *ex)
{
    return ((const struct fl_site_route *)ex->server_user)->user;
}

/* Without the port; "[::1]:7337" -> "[::1]". */
static struct fl_str host_name(struct fl_str host)
{
    size_t n = host.n;
    if (n && host.p[0] == '[') {
        while (n > 0 && host.p[n - 1] != ']')
            n--;
        return (struct fl_str){ host.p, n };
    }
    for (size_t i = 0; i < n; i++) {
        if (host.p[i] == ':')
            return (struct fl_str){ host.p, i };
    }
    return host;
}

static bool is_listed(const char *const *list, struct fl_str value)
{
    for (; list && *list; list++) {
        if (fl_str_eq_nocase(value, fl_str_of(*list)))
            return true;
    }
    return false;
}

static bool is_admitted(const struct fl_site *site, const struct fl_http_exchange *ex)
{
    struct fl_str origin = fl_http_header_get(ex, "origin");
    if (site->is_local)
        return true;
    if (!is_listed(site->hosts, host_name(ex->host)))
        return false;
    /* Clients that are no browsers send none; a browser's must be one that the operator named. */
    return !origin.p ||
           (fl_http_header_count(ex, "origin") == 1 && is_listed(site->origins, origin));
}

static struct fl_site_route *route_of(struct fl_site *site, struct fl_str path)
{
    struct fl_site_route *best = NULL;
    for (size_t i = 0; i < site->count; i++) {
        struct fl_site_route *r = &site->routes[i];
        struct fl_str at = fl_str_of(r->path);
        bool is_exact = fl_str_eq(path, at);
        bool is_below = r->is_prefix && path.n > at.n && fl_str_has_prefix(path, at) &&
                        (path.p[at.n] == '/' || at.p[at.n - 1] == '/');
        if ((is_exact || is_below) && (!best || strlen(best->path) < at.n))
            best = r;
    }
    return best;
}

/* False, and answered, if a trusted proxy does not say who asks. */
static bool find_client(const struct fl_site *site, struct fl_http_exchange *ex)
{
    struct fl_http_client client;
    struct fl_err err;
    if (site->is_local || (!site->proxies.count && !site->proxies.trusts_unix))
        return true;
    if (fl_http_client_address(ex, &site->proxies, &client, &err) != FL_OK) {
        fl_http_respond_error(ex, 400, err.text, NULL, 0);
        return false;
    }
    const char *address = fl_arena_strdup(ex->arena, client.address);
    if (!address) {
        fl_http_respond_error(ex, 503, "out of memory", NULL, 0);
        return false;
    }
    ex->client = address;
    ex->is_proxied = client.is_proxied;
    return true;
}

static void on_head(struct fl_http_exchange *ex)
{
    struct fl_site *site = ex->server_user;
    ex->server_user = &nowhere;
    if (!is_admitted(site, ex)) {
        fl_http_respond_error(ex, 403, "this host or origin is not served here", NULL, 0);
        return;
    }
    if (!find_client(site, ex))
        return;
    struct fl_site_route *route = route_of(site, ex->path);
    if (!route) {
        fl_http_respond_error(ex, 404, "there is nothing at this address", NULL, 0);
        return;
    }
    ex->server_user = route;
    const struct fl_http_callbacks *callbacks = route->callbacks;
    route->budget.max = site->strangers_bytes;
    route->budget.readers_max = site->strangers;
    fl_http_take_body(ex, callbacks->body_max, callbacks->body_ms,
                      callbacks->is_for_anybody && !site->is_local ? &route->budget : NULL);
    if (route->callbacks->on_head)
        route->callbacks->on_head(ex);
}

static const struct fl_http_callbacks *callbacks_of(const struct fl_http_exchange *ex)
{
    return ((const struct fl_site_route *)ex->server_user)->callbacks;
}

static void on_request(struct fl_http_exchange *ex, struct fl_str body)
{
    if (callbacks_of(ex)->on_request)
        callbacks_of(ex)->on_request(ex, body);
}

static void on_gone(struct fl_http_exchange *ex)
{
    if (callbacks_of(ex)->on_gone)
        callbacks_of(ex)->on_gone(ex);
}

static void on_drained(struct fl_http_exchange *ex)
{
    if (callbacks_of(ex)->on_drained)
        callbacks_of(ex)->on_drained(ex);
}

static void on_released(struct fl_http_exchange *ex)
{
    if (callbacks_of(ex)->on_released)
        callbacks_of(ex)->on_released(ex);
}

/* Before a route is found the exchange still has the site itself. */
static void render_error(void *server_user, const struct fl_http_exchange *ex, int status,
                         const char *text, struct fl_buf *body, const char **ret_type)
{
    if (ex && ex->server_user != server_user && callbacks_of(ex)->render_error)
        callbacks_of(ex)->render_error(fl_site_user(ex), ex, status, text, body, ret_type);
}

const struct fl_http_callbacks fl_site_callbacks = { .on_head = on_head,
                                                     .on_request = on_request,
                                                     .on_gone = on_gone,
                                                     .on_drained = on_drained,
                                                     .on_released = on_released,
                                                     .render_error = render_error };
