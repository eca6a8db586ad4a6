/* An approval on the terminal: finding it, its card. */
#ifndef FLOPINIO_CLI_CLI_CARD_H
#define FLOPINIO_CLI_CLI_CARD_H

#include "runtime/cli/cli_run.h"

/* `text`: an id, or its last characters, at least four, if only one approval has them. The whole
 * id in *ret (arena); 0 or the exit status. */
int fl_card_find(struct fl_cli *cli, const char *text, const char **ret);
/* The approval as REST gives it; a new reference. */
int fl_card_get(struct fl_cli *cli, const char *id, json_t **ret);
/* Appends the whole card: folded and coloured for a terminal behind `fd`, else plain. Whatever the
 * answer holds, only plain characters are written. */
void fl_card_print(struct fl_cli *cli, struct fl_buf *out, const json_t *approval, int fd);

/* Titles begin with the state, for messages without a column of it: sets the item's member "what"
 * to its `member` without that. */
void fl_card_what(json_t *item, const char *member);

#endif
