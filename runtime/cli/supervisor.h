/* `flopinio serve`: prepares the installation (directories, private database, schema, keys), binds
 * the sockets, keeps the workers running. Workers share nothing but the database, so that a crash,
 * a rolling restart and a second machine are the same thing to them. */
#ifndef FLOPINIO_CLI_SUPERVISOR_H
#define FLOPINIO_CLI_SUPERVISOR_H

#include "runtime/cli/config.h"

struct fl_supervisor_options {
    const char *config_file;  /* as given on the command line; NULL: none */
    const char *const *flags; /* to load the configuration again */
    size_t flag_count;
    void (*progress)(const char *what); /* told before anything that takes time; may be NULL */
    void (*ready)(void *ctx, const struct fl_config *config, const int *ports); /* all serve */
    void (*frozen)(
        void *ctx); /* started frozen: it answers why, and is not ready before recovery */
    void *ctx;
    bool is_private; /* ends when the last stdio client is gone (private.h) */
};

/* Runs until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR2 replaces the workers one by one by the
 * program on disk. The process's exit status; err when it could not start. */
int fl_supervise(struct fl_config *config, const struct fl_supervisor_options *options,
                 struct fl_err *err);

#endif
