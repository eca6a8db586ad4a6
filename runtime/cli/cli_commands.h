/* The topics' tables (cli_table.h), each in the file of its name; a line each, in alphabet. */
#ifndef FLOPINIO_CLI_CLI_COMMANDS_H
#define FLOPINIO_CLI_CLI_COMMANDS_H

#include "runtime/cli/cli_table.h"

extern const struct fl_cli_command fl_cmd_agent[];
extern const struct fl_cli_command fl_cmd_apply[];
extern const struct fl_cli_command fl_cmd_approvals[];
extern const struct fl_cli_command fl_cmd_audit[];
extern const struct fl_cli_command fl_cmd_backup[];
extern const struct fl_cli_command fl_cmd_canary[];
extern const struct fl_cli_command fl_cmd_channel[];
extern const struct fl_cli_command fl_cmd_connect[];
extern const struct fl_cli_command fl_cmd_decide[];
extern const struct fl_cli_command fl_cmd_grant[];
extern const struct fl_cli_command fl_cmd_demo[];
extern const struct fl_cli_command fl_cmd_doctor[];
extern const struct fl_cli_command fl_cmd_init[];
extern const struct fl_cli_command fl_cmd_me[];
extern const struct fl_cli_command fl_cmd_migrate[];
extern const struct fl_cli_command fl_cmd_org[];
extern const struct fl_cli_command fl_cmd_policy[];
extern const struct fl_cli_command fl_cmd_recover[];
extern const struct fl_cli_command fl_cmd_restore[];
extern const struct fl_cli_command fl_cmd_self[];
extern const struct fl_cli_command fl_cmd_server[];
extern const struct fl_cli_command fl_cmd_slack[];
extern const struct fl_cli_command fl_cmd_stdio[];
extern const struct fl_cli_command fl_cmd_stop[];
extern const struct fl_cli_command fl_cmd_tool[];
extern const struct fl_cli_command fl_cmd_user[];

#endif
