/* Where a running installation listens. */
#include "runtime/cli/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/log.h"
#include "runtime/cli/wiring.h"

void fl_ports_url(struct fl_buf *out, const struct fl_config *c, const char *listen, int port)
{
    char address[64];
    int unused;
    struct fl_err err;
    if (fl_wiring_address(listen, address, &unused, &err) != FL_OK)
        return;
    bool is_any = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
    const char *host = is_any ? "127.0.0.1" : address;
    bool is_v6 = strchr(host, ':') != NULL;
    fl_buf_printf(out, "http%s://%s%s%s:%d", c->tls_certificate[0] ? "s" : "", is_v6 ? "[" : "",
                  host, is_v6 ? "]" : "", port);
}

/* "0.0.0.0:7337", with the port that it got; null without one. */
static void put_listener(struct fl_buf *out, const char *listen, int port)
{
    char address[64];
    int unused;
    struct fl_err err;
    if (!listen[0] || fl_wiring_address(listen, address, &unused, &err) != FL_OK) {
        fl_buf_puts(out, "null");
        return;
    }
    bool is_v6 = strchr(address, ':') != NULL;
    fl_buf_printf(out, "\"%s%s%s:%d\"", is_v6 ? "[" : "", address, is_v6 ? "]" : "", port);
}

static void put_ports(struct fl_buf *out, const struct fl_config *c, const int *ports)
{
    size_t i = 0;
    fl_buf_printf(out, "{\"pid\":%lld,\"urls\":[", (long long)getpid());
    for (; c->listen[i]; i++) {
        fl_buf_puts(out, i ? ",\"" : "\"");
        fl_ports_url(out, c, c->listen[i], ports[i]);
        fl_buf_putc(out, '"');
    }
    fl_buf_puts(out, "],\"ports\":[");
    for (size_t k = 0; k < i; k++)
        fl_buf_printf(out, "%s%d", k ? "," : "", ports[k]);
    fl_buf_puts(out, "],\"metrics_port\":");
    if (c->metrics_listen[0])
        fl_buf_i64(out, ports[i]);
    else
        fl_buf_puts(out, "null");
    fl_buf_puts(out, ",\"listen\":[");
    for (size_t k = 0; k < i; k++) {
        fl_buf_puts(out, k ? "," : "");
        put_listener(out, c->listen[k], ports[k]);
    }
    fl_buf_puts(out, "],\"metrics_listen\":");
    put_listener(out, c->metrics_listen, c->metrics_listen[0] ? ports[i] : 0);
    fl_buf_printf(out, ",\"has_tls\":%s}\n", c->tls_certificate[0] ? "true" : "false");
}

/* Whole or not at all: scripts wait for the file. */
static void write_whole(const struct fl_config *c, const struct fl_buf *text)
{
    char dir[512], path[600], fresh[600];
    struct fl_err err;
    if (fl_config_run_dir(c->data_dir, dir, sizeof dir, &err) != FL_OK)
        return;
    snprintf(path, sizeof path, "%s/ports.json", dir);
    snprintf(fresh, sizeof fresh, "%s/ports.json.new", dir);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_fine = fd >= 0 && write(fd, text->p, text->n) == (ssize_t)text->n;
    is_fine = is_fine && rename(fresh, path) == 0;
    if (!is_fine)
        FL_LOG(WARN, "ports_not_written", FL_KS("path", path), FL_KS("reason", strerror(errno)));
    if (fd >= 0)
        close(fd);
}

void fl_ports_write(const struct fl_config *c, const int *ports)
{
    struct fl_buf text = FL_BUF_INIT;
    put_ports(&text, c, ports);
    if (!text.is_failed)
        write_whole(c, &text);
    fl_buf_fini(&text);
}

json_t *fl_ports_read(const struct fl_config *c)
{
    char dir[512], path[600];
    struct fl_err err;
    if (fl_config_run_dir_of_owner(c->data_dir, dir, sizeof dir, &err) != FL_OK)
        return NULL;
    snprintf(path, sizeof path, "%s/ports.json", dir);
    return json_load_file(path, 0, NULL);
}

void fl_ports_remove(const struct fl_config *c)
{
    char dir[512], path[600];
    struct fl_err err;
    if (fl_config_run_dir(c->data_dir, dir, sizeof dir, &err) != FL_OK)
        return;
    snprintf(path, sizeof path, "%s/ports.json", dir);
    unlink(path);
}
