/* What the commands share by which a person decides. */
#ifndef FLOPINIO_CLI_CMD_DECIDE_H
#define FLOPINIO_CLI_CMD_DECIDE_H

#include "runtime/cli/cli_run.h"

/* 0, or said that only a person can do this and the exit status. */
int fl_decide_need_person(struct fl_cli *cli);
/* Where no passphrase was typed for this very decision, a yes is asked. */
bool fl_decide_is_confirmed(struct fl_cli *cli, const char *question);
/* The card goes where people look: standard error when standard output is for a program. */
void fl_decide_show_card(struct fl_cli *cli, const json_t *approval);

#endif
