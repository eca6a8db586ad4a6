/* The installation that a command on this host works with: the running one, or one that is started
 * for the command and ends by itself soon after it (private.h). Blocking. */
#ifndef FLOPINIO_CLI_PLACE_H
#define FLOPINIO_CLI_PLACE_H

#include "runtime/cli/config.h"

struct fl_place {
    int lock_fd; /* the clients' lock while it is used; -1: the installation is an operator's */
    bool was_started; /* for this command */
};

/* Does one answer on the control socket? */
bool fl_place_is_running(const struct fl_config *config);
/* Waits while a supervisor is there that does not answer yet, or one was there a moment ago: for
 * `serve` in the background and the next command right behind it. */
void fl_place_await(const struct fl_config *config);
/* Makes data_dir if it is not there, starts what does not run. FL_FORBIDDEN: the directory is
 * another user's, the text says whose and what to call. `flags` are settings for the start. */
enum fl_code fl_place_open(const struct fl_config *config, const char *const *flags,
                           size_t flag_count, struct fl_place *ret,
                           struct fl_err *err) FL_MUST_CHECK;
void fl_place_close(struct fl_place *place);
/* Closes it, ends what was started for this command, unless somebody else uses it by now, and waits
 * until it is gone. */
void fl_place_end(const struct fl_config *config, struct fl_place *place);

#endif
