/* What to paste into MCP clients. */
#ifndef FLOPINIO_CLI_CMD_CONNECT_H
#define FLOPINIO_CLI_CMD_CONNECT_H

#include "flopinio/base/buf.h"
#include "runtime/cli/config.h"

/* Configuration for `client` ("claude-code", "vscode", "cursor", "codex"; NULL: all of them) that
 * connects to `url` ("http://127.0.0.1:7337/mcp") with `credential` (NULL: a placeholder). */
void fl_connect_put(struct fl_buf *out, const char *client, const char *url,
                    const char *credential);
/* Where agents reach the runtime of this host: public_url, or where it listens now (ports.json), or
 * would listen; without "/mcp". */
void fl_connect_base(struct fl_buf *out, const struct fl_config *config);

#endif
