/* The topics' tables (cli_table.h), each in the file of its name. */
#ifndef FLOPINIO_CLI_CLI_COMMANDS_H
#define FLOPINIO_CLI_CLI_COMMANDS_H

#include "runtime/cli/cli_table.h"

extern const struct fl_cli_command fl_cmd_self[], fl_cmd_init[], fl_cmd_stdio[], fl_cmd_demo[], fl_cmd_org[], fl_cmd_user[], fl_cmd_me[],
    fl_cmd_agent[], fl_cmd_server[], fl_cmd_tool[], fl_cmd_policy[], fl_cmd_approvals[],
    fl_cmd_decide[], fl_cmd_stop[], fl_cmd_audit[], fl_cmd_apply[], fl_cmd_connect[];

#endif
