/* DATA_DIR/run/ports.json: where an installation really listens while it runs, for `connect` and
 * for scripts that let the system choose the ports. Written by whoever supervises. */
#ifndef FLOPINIO_CLI_PORTS_H
#define FLOPINIO_CLI_PORTS_H

#include <jansson.h>

#include "runtime/cli/config.h"

/* Appends "http://127.0.0.1:7337" for a listener; any address is reached by loopback. */
void fl_ports_url(struct fl_buf *out, const struct fl_config *config, const char *listen, int port);
/* `ports`: one for each of config->listen, then that of metrics_listen. A failure is logged. */
void fl_ports_write(const struct fl_config *config, const int *ports);
/* What stands there; NULL: nothing that can be read. A new reference. */
json_t *fl_ports_read(const struct fl_config *config);
void fl_ports_remove(const struct fl_config *config);

#endif
