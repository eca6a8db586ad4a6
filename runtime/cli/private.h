/* A private installation: started by the first `flopinio stdio` that finds none running in a data
 * directory of its own user, ended by itself when the last of them is gone. Who is there is told by
 * a lock that each client holds shared for as long as it lives, so that one that is killed counts
 * no more: the supervisor of a private installation ends once it has the lock alone, and keeps it
 * until it is gone, so that nobody joins what is ending. An installation that somebody else started
 * never looks at the lock. Blocking. */
#ifndef FLOPINIO_CLI_PRIVATE_H
#define FLOPINIO_CLI_PRIVATE_H

#include "runtime/cli/config.h"

#define FL_PRIVATE_MODE      "serve-private" /* the program's first argument */
#define FL_PRIVATE_FD        3               /* where it says that it serves, or why not */
#define FL_PRIVATE_LINGER_MS 2000            /* between the last client and the end */

/* ---- the clients' side ---- */
/* May this user start one here? FL_NOT_FOUND: there is no installation in data_dir; FL_FORBIDDEN:
 * it is somebody else's. */
enum fl_code fl_private_may_start(const struct fl_config *config, struct fl_err *err) FL_MUST_CHECK;
/* Holds the clients' lock; *ret_fd is closed to let it go. Waits while an installation is ending;
 * FL_TIMEOUT. */
enum fl_code fl_private_join(const struct fl_config *config, int64_t until_mono_ms, int *ret_fd,
                             struct fl_err *err) FL_MUST_CHECK;
/* One starter at a time, then `is_there` is asked once more. Returns when the installation serves,
 * with FL_CONFLICT when another one runs or still ends, or with why it did not start. Its log is
 * data_dir/private.log. `flags` are the settings of the command line. */
enum fl_code fl_private_start(const struct fl_config *config, const char *const *flags,
                              size_t flag_count, int64_t until_mono_ms, bool (*is_there)(void *ctx),
                              void *ctx, struct fl_err *err) FL_MUST_CHECK;

/* Is the installation that runs now a private one? */
bool fl_private_is_running(const struct fl_config *config);

/* Makes room for an operator's installation: when a private one runs and nobody uses it, it is told
 * to end; *ret_fd keeps clients out until it is closed. False: none runs, or it is in use. */
bool fl_private_end_idle(const struct fl_config *config, int *ret_fd);

/* ---- the supervisor's side ---- */
/* The whole life of a private installation's supervisor; the process's exit status. */
int fl_private_main(int argc, char **argv);

struct fl_private_watch {
    int fd; /* of the lock; -1: cannot be told */
    int64_t deserted_ms;
};
void fl_private_watch_init(struct fl_private_watch *watch, const struct fl_config *config);
/* Nobody has been there for FL_PRIVATE_LINGER_MS; the lock is held from then on. */
bool fl_private_is_deserted(struct fl_private_watch *watch);

#endif
