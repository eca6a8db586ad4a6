/* How `flopinio stdio` finds the installation that it speaks to: the running one, or a private one
 * that it starts. Blocking. */
#ifndef FLOPINIO_CLI_STDIO_ATTACH_H
#define FLOPINIO_CLI_STDIO_ATTACH_H

#include <signal.h>

#include "runtime/cli/config.h"

struct fl_attach {
    const struct fl_config *config;
    const char *const *flags; /* of the command line, for a private installation */
    size_t flag_count;
    const char *credential;
    const volatile sig_atomic_t *is_over; /* a signal came: give up */
    int lock_fd;                          /* the clients' lock; -1: not held */
    bool was_attached, was_private; /* to whose installation; an operator's is never replaced */
};

/* A connected, authenticated, non-blocking socket; close it. FL_UNAUTHENTICATED, FL_NOT_FOUND and
 * FL_FORBIDDEN are final, so is everything else: temporary trouble is waited for inside. FL_CLOSED:
 * a signal came. */
enum fl_code fl_attach_open(struct fl_attach *attach, int *ret_fd,
                            struct fl_err *err) FL_MUST_CHECK;
void fl_attach_fini(struct fl_attach *attach);

#endif
