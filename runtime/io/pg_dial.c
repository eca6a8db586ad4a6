/* Which server a connection tries next, and the way to it: the host whose turn it is, its address
 * (names are resolved on the thread pool, as libpq would do it on the loop's time), then libpq with
 * that one address. libpq's own walk through a list would be over with one deadline, begin anew
 * with each attempt, and take the first server that answers, whatever it is. */
#include <stdio.h>
#include <string.h>

#include "flopinio/base/mem.h"
#include "runtime/io/pg_priv.h"

#define RESOLVE_TIMEOUT_MS 15000

static bool has(const char *text)
{
    return text && *text;
}

static PQconninfoOption *option(const struct fl_pg *pool, const char *keyword)
{
    for (PQconninfoOption *o = pool->options; o->keyword; o++) {
        if (strcmp(o->keyword, keyword) == 0)
            return o;
    }
    return NULL;
}

/* NULL: not given. */
static char *value(const struct fl_pg *pool, const char *keyword)
{
    PQconninfoOption *o = option(pool, keyword);
    return o && has(o->val) ? o->val : NULL;
}

/* ---- the list ---- */
static unsigned count_items(const char *list)
{
    unsigned n = list ? 1 : 0;
    for (const char *p = list; p && *p; p++)
        n += *p == ',';
    return n;
}

/* libpq's rules. The items stay in the options, each ended where its comma was. */
enum fl_code fl_pg_hosts_init(struct fl_pg *pool, struct fl_err *err)
{
    char *names = value(pool, "host"), *addresses = value(pool, "hostaddr"),
         *ports = value(pool, "port");
    unsigned name_count = count_items(names), address_count = count_items(addresses),
             port_count = count_items(ports);
    bool is_listed = name_count || address_count; /* or the environment says where, to libpq */
    unsigned count = address_count ? address_count : name_count ? name_count : 1;
    if (name_count && name_count != count)
        return fl_err_set(err, FL_CONFIG,
                          "the numbers of hosts (%u) and of their addresses (%u) in the database "
                          "url differ",
                          name_count, address_count);
    if (is_listed && port_count > 1 && port_count != count)
        return fl_err_set(err, FL_CONFIG,
                          "the numbers of hosts (%u) and ports (%u) in the database url differ; "
                          "one port may stand for all",
                          count, port_count);
    pool->hosts = fl_calloc(count, sizeof *pool->hosts);
    if (!pool->hosts)
        return fl_err_code(err, FL_NOMEM);
    pool->host_count = count;
    const PQconninfoOption *port = option(pool, "port");
    for (unsigned i = 0; i < count; i++) {
        struct fl_pg_host *host = &pool->hosts[i];
        host->name = strsep(&names, ",");
        host->address = strsep(&addresses, ",");
        host->port = is_listed && port_count > 1 ? strsep(&ports, ",") : ports;
        if (host->port && !*host->port)
            host->port = port->compiled;
    }
    return FL_OK;
}

struct fl_pg_host *fl_pg_host_of(const struct fl_pg_conn *conn)
{
    return &conn->pool->hosts[conn->tried % conn->pool->host_count];
}

/* ---- libpq ---- */
static bool is_of_the_host(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
           strcmp(keyword, "port") == 0;
}

/* The name goes with the address, which has been found: certificates and password files are about
 * names. Without an address: a unix socket. */
static void start_libpq(struct fl_pg_conn *conn, const char *address)
{
    static const char own_options[] =
        "-c statement_timeout=5000 -c lock_timeout=2000 "
        "-c idle_in_transaction_session_timeout=10000 -c synchronous_commit=on "
        "-c client_min_messages=warning -c bytea_output=hex -c timezone=UTC "
        "-c flopinio.organization=";
    enum { MOST = 64 };
    const char *keys[MOST], *values[MOST];
    struct fl_pg *pool = conn->pool;
    const struct fl_pg_host *host = fl_pg_host_of(conn);
    char options[1024];
    int n = 0;
    fl_loop_timer(pool->loop, &conn->deadline, pool->config.connect_timeout_ms);
    for (const PQconninfoOption *o = pool->options; o->keyword && n < MOST - 10; o++) {
        if (!has(o->val) || strcmp(o->keyword, "options") == 0 ||
            strcmp(o->keyword, "application_name") == 0 || is_of_the_host(o->keyword))
            continue;
        keys[n] = o->keyword;
        values[n++] = o->val;
    }
    const char *given = value(pool, "options");
    /* In front of what the operator gives, for whom it may be another; the rest is not theirs. */
    snprintf(options, sizeof options, "-c search_path=flopinio,pg_temp %s %s", given ? given : "",
             own_options);
    static const char *const defaults[][2] = { { "tcp_user_timeout", "5000" },
                                               { "keepalives_idle", "5" },
                                               { "keepalives_interval", "2" },
                                               { "keepalives_count", "3" } };
    for (size_t i = 0; i < FL_COUNTOF(defaults); i++) {
        if (value(pool, defaults[i][0]))
            continue;
        keys[n] = defaults[i][0];
        values[n++] = defaults[i][1];
    }
    keys[n] = "options";
    values[n++] = options;
    keys[n] = "application_name"; /* by it others see that we live */
    values[n++] = pool->name;
    keys[n] = "host"; /* NULL is as not given */
    values[n++] = host->name;
    keys[n] = "hostaddr";
    values[n++] = address;
    keys[n] = "port";
    values[n++] = host->port;
    keys[n] = values[n] = NULL;
    conn->pg = PQconnectStartParams(keys, values, 0);
    if (!conn->pg)
        fl_pg_conn_fail(conn, "out of memory");
    else if (PQstatus(conn->pg) == CONNECTION_BAD)
        fl_pg_conn_fail(conn, PQerrorMessage(conn->pg));
    else if (!fl_pg_conn_watch(conn, UV_WRITABLE))
        fl_pg_conn_fail(conn, "could not watch the socket");
}

/* ---- names ---- */
/* With each round through the list the next address of a name. */
static const struct addrinfo *whose_turn(const struct addrinfo *found, unsigned round)
{
    unsigned count = 0;
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        count++;
    for (unsigned n = count ? round % count : 0; n; n--)
        found = found->ai_next;
    return found;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct fl_pg_conn *conn = req->data; /* NULL: nobody waits for it any more */
    if (conn) {
        char address[64];
        const struct addrinfo *a = whose_turn(found, conn->tried / conn->pool->host_count);
        conn->resolving = NULL;
        if (status)
            fl_pg_conn_fail(conn, uv_strerror(status));
        else if (!a || getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0,
                                   NI_NUMERICHOST) != 0)
            fl_pg_conn_fail(conn, "the name has no address");
        else
            start_libpq(conn, address);
    }
    uv_freeaddrinfo(found);
    fl_free(req);
}

static void resolve(struct fl_pg_conn *conn)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct fl_pg *pool = conn->pool;
    conn->resolving = fl_calloc(1, sizeof *conn->resolving);
    if (!conn->resolving) {
        fl_pg_conn_fail(conn, "out of memory");
        return;
    }
    conn->resolving->data = conn;
    int rc = uv_getaddrinfo(&pool->loop->uv, conn->resolving, on_resolved,
                            fl_pg_host_of(conn)->name, NULL, &hints);
    if (rc == 0) {
        fl_loop_timer(pool->loop, &conn->deadline, RESOLVE_TIMEOUT_MS);
        return;
    }
    fl_free(conn->resolving);
    conn->resolving = NULL;
    fl_pg_conn_fail(conn, uv_strerror(rc));
}

static bool is_address(const char *name)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    return uv_ip4_addr(name, 0, &v4) == 0 || uv_ip6_addr(name, 0, &v6) == 0;
}

void fl_pg_dial(struct fl_pg_conn *conn)
{
    const struct fl_pg_host *host = fl_pg_host_of(conn);
    if (has(host->address))
        start_libpq(conn, host->address);
    else if (!has(host->name) || *host->name == '/' || *host->name == '@')
        start_libpq(conn, NULL);
    else if (is_address(host->name))
        start_libpq(conn, host->name);
    else
        resolve(conn);
}

bool fl_pg_dial_cancel(struct fl_pg_conn *conn)
{
    if (!conn->resolving)
        return false;
    conn->resolving->data = NULL; /* its callback frees it */
    uv_cancel((uv_req_t *)conn->resolving);
    conn->resolving = NULL;
    return true;
}
