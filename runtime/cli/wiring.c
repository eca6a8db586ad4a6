/* From configuration to structs. */
#include "runtime/cli/wiring.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/cli/prepare.h"

/* Of those that nothing is known of yet, at each door: bytes of bodies, and how many at a time. */
#define STRANGERS_BYTES (32 << 20)
#define STRANGERS       128

static struct fl_arena *arena_of(struct fl_wiring *w)
{
    if (!w->arena)
        w->arena = fl_arena_new(4096);
    FL_ASSERT(w->arena); /* at start-up: without memory there is nothing to do */
    return w->arena;
}

void fl_wiring_fini(struct fl_wiring *w)
{
    fl_arena_free(&w->arena);
}

static size_t length(const char *const *list)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

/* Where plugins lie: what is configured, what was installed, and beside a program that was built
 * and not installed. */
static const char *const *plugin_dirs(struct fl_arena *arena, const struct fl_config *c)
{
    size_t n = length(c->plugin_dirs);
    const char **dirs = fl_arena_array(arena, n + 3, sizeof *dirs);
    char exe[4096];
    FL_ASSERT(dirs);
    memcpy(dirs, c->plugin_dirs, n * sizeof *dirs);
    ssize_t got = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (got > 0) {
        exe[got] = 0;
        char *slash = strrchr(exe, '/');
        if (slash) {
            *slash = 0;
            dirs[n++] = fl_arena_printf(arena, "%s/plugins", exe);
        }
    }
    dirs[n++] = FL_PLUGIN_DIR;
    dirs[n] = NULL;
    return dirs;
}

/* What no plugin may reach. */
static const char *const *closed_paths(struct fl_arena *arena, const struct fl_config *c)
{
    char run[512], keys[640];
    struct fl_err err;
    size_t n = 0;
    const char **paths = fl_arena_array(arena, length(c->tls_key) + 6, sizeof *paths);
    FL_ASSERT(paths);
    fl_prepare_keys_path(c, keys, sizeof keys);
    paths[n++] = c->data_dir;
    if (fl_config_run_dir(c->data_dir, run, sizeof run, &err) == FL_OK)
        paths[n++] = fl_arena_strdup(arena, run);
    paths[n++] = fl_arena_strdup(arena, keys);
    for (size_t i = 0; c->tls_key[i]; i++)
        paths[n++] = c->tls_key[i];
    if (c->epoch_file[0])
        paths[n++] = c->epoch_file;
    if (c->file && c->file[0])
        paths[n++] = c->file;
    paths[n] = NULL;
    return paths;
}

static void set_limits(const struct fl_config *c, struct fl_core *core)
{
    core->times = (struct fl_core_times){ .lease_ms = c->lease_time,
                                          .dispatch_ms = c->dispatch_time,
                                          .execute_ms = c->execute_time,
                                          .grace_ms = c->unknown_grace,
                                          .leave_ms = c->leave_grace,
                                          .preview_ms = c->preview_time,
                                          .sweep_ms = c->sweep_time,
                                          .settle_retry_ms = 1000 };
    core->limits = (struct fl_core_limits){ .pending_max = (int)c->pending_max,
                                            .result_max_bytes = (size_t)c->result_max_bytes,
                                            .in_flight_bytes = (size_t)c->in_flight_bytes };
}

void fl_wiring_core(struct fl_wiring *w, const struct fl_config *c, struct fl_core *core)
{
    set_limits(c, core);
    core->plugins = (struct fl_core_plugins){ .dirs = plugin_dirs(arena_of(w), c),
                                              .user = c->plugin_user,
                                              .closed = closed_paths(arena_of(w), c),
                                              .in_process = c->plugins_in_process };
}

void fl_wiring_endpoint(struct fl_wiring *w, const struct fl_boot *boot,
                        struct fl_endpoint_config *ret)
{
    const struct fl_config *c = &boot->config;
    size_t n = 0;
    *ret = (struct fl_endpoint_config){ .progress_ms = c->progress_time,
                                        .keepalive_ms = c->keepalive_time,
                                        .list_ttl_ms = 5000,
                                        .list_page = 250,
                                        .listens_max = 1024,
                                        .listens_each_max = 32,
                                        .holds_max = 8 };
    char dir[512];
    struct fl_err err;
    ret->worker = (unsigned)boot->worker;
    ret->workers = (unsigned)boot->workers;
    if (fl_config_run_dir(c->data_dir, dir, sizeof dir, &err) == FL_OK)
        ret->peer_dir = fl_arena_strndup(arena_of(w), dir, strlen(dir));
    for (size_t i = 0; i < boot->socket_count && n < FL_COUNTOF(ret->ports); i++) {
        if (boot->sockets[i].kind == FL_BOOT_MAIN)
            ret->ports[n++] = (uint16_t)boot->sockets[i].port;
    }
}

/* "https://mcp.example.com:8443/x" -> "mcp.example.com" */
static const char *host_of_url(struct fl_arena *arena, const char *url)
{
    const char *from = strstr(url, "://");
    from = from ? from + 3 : url;
    return fl_arena_strndup(arena, from, strcspn(from, ":/"));
}

void fl_wiring_reload(struct fl_wiring *w, const struct fl_config *c, struct fl_core *core,
                      struct fl_site *site)
{
    set_limits(c, core);
    fl_wiring_site(w, c, site);
}

/* Those that the operator named, and our own: the review page's forms come from there. */
static const char *const *origins_of(struct fl_arena *arena, const struct fl_config *c)
{
    size_t n = length(c->allowed_origins);
    const char **origins = fl_arena_array(arena, n + 2, sizeof *origins);
    const char *url = c->public_url, *host = strstr(url, "://");
    FL_ASSERT(origins);
    memcpy(origins, c->allowed_origins, n * sizeof *origins);
    if (host)
        origins[n++] =
            fl_arena_strndup(arena, url, (size_t)(host + 3 - url) + strcspn(host + 3, "/"));
    origins[n] = NULL;
    return origins;
}

static struct fl_http_proxies proxies_of(struct fl_arena *arena, const struct fl_config *c)
{
    size_t n = length(c->trusted_proxies);
    struct fl_cidr *nets = fl_arena_array(arena, n + 1, sizeof *nets);
    struct fl_err err;
    FL_ASSERT(nets);
    for (size_t i = 0; i < n; i++)
        FL_ASSERT(fl_cidr_parse(fl_str_of(c->trusted_proxies[i]), &nets[i], &err) == FL_OK);
    return (struct fl_http_proxies){ .nets = nets, .count = n };
}

void fl_wiring_site(struct fl_wiring *w, const struct fl_config *c, struct fl_site *ret)
{
    static const char *const local[] = { "localhost", "127.0.0.1", "[::1]" };
    struct fl_arena *arena = arena_of(w);
    size_t configured = length(c->allowed_hosts), listens = length(c->listen), n = 0;
    const char **hosts =
        fl_arena_array(arena, FL_COUNTOF(local) + configured + listens + 2, sizeof *hosts);
    FL_ASSERT(hosts);
    for (size_t i = 0; i < FL_COUNTOF(local); i++)
        hosts[n++] = local[i];
    for (size_t i = 0; i < configured; i++)
        hosts[n++] = c->allowed_hosts[i];
    for (size_t i = 0; i < listens; i++) {
        char address[64];
        int port;
        struct fl_err err;
        if (fl_wiring_address(c->listen[i], address, &port, &err) == FL_OK)
            hosts[n++] = strchr(address, ':') ? fl_arena_printf(arena, "[%s]", address)
                                              : fl_arena_strdup(arena, address);
    }
    if (c->public_url[0])
        hosts[n++] = host_of_url(arena, c->public_url);
    hosts[n] = NULL;
    ret->hosts = hosts;
    ret->origins = origins_of(arena, c);
    ret->strangers_bytes = STRANGERS_BYTES;
    ret->strangers = STRANGERS;
    ret->proxies = proxies_of(arena, c);
}

enum fl_code fl_wiring_tls(struct fl_wiring *w, const struct fl_config *c, struct fl_tls **ret,
                           struct fl_err *err)
{
    size_t n = length(c->tls_certificate);
    struct fl_tls_files *files = fl_arena_array(arena_of(w), n + 1, sizeof *files);
    FL_ASSERT(files);
    for (size_t i = 0; i < n; i++)
        files[i] = (struct fl_tls_files){ c->tls_certificate[i], c->tls_key[i] };
    return n ? fl_tls_new(files, n, ret, err) : FL_OK;
}

enum fl_code fl_wiring_address(const char *text, char address[64], int *ret_port,
                               struct fl_err *err)
{
    unsigned long long port;
    const char *colon = strrchr(text, ':');
    const char *from = text, *port_text = colon ? colon + 1 : text;
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (n >= 64 || !fl_str_to_u64(fl_str_of(port_text), &port) || port > 65535)
        return fl_err_set(err, FL_CONFIG,
                          "'%.80s' is no address to listen on; write for instance 127.0.0.1:7337 "
                          "or [::1]:7337",
                          text);
    snprintf(address, 64, "%.*s", (int)n, from);
    if (n == 0)
        snprintf(address, 64, "127.0.0.1");
    *ret_port = (int)port;
    return FL_OK;
}
