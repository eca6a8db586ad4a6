/* Shared by the commands about channels. */
#ifndef FLOPINIO_CLI_CMD_CHANNEL_H
#define FLOPINIO_CLI_CMD_CHANNEL_H

#include "runtime/cli/cli_run.h"

/* --secret, --config and --disclose into the body; false: said what is wrong, and the body is let
 * go. */
bool fl_channel_put_common(struct fl_cli *cli, json_t *body);
/* Which scopes the app of a channel (an item of the list) was not given, with commas between them;
 * "" none, or it is not known. `is_history`: of those that it works without, else of the others. In
 * the arena. */
const char *fl_channel_lacks(struct fl_cli *cli, const json_t *channel, bool is_history);
#define FL_CHANNEL_WITHOUT_HISTORY "a card whose posting has no known outcome may stand there twice"

#endif
