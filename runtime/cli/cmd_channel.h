/* Shared by the commands about channels. */
#ifndef FLOPINIO_CLI_CMD_CHANNEL_H
#define FLOPINIO_CLI_CMD_CHANNEL_H

#include "runtime/cli/cli_run.h"

/* --secret, --config and --disclose into the body; false: said what is wrong, and the body is let
 * go. */
bool fl_channel_put_common(struct fl_cli *cli, json_t *body);

#endif
