/* Asking a person for a secret: on their terminal with the echo off, or from a descriptor that a
 * script passes. Never from a flag or the environment, where other programs of the same user, an
 * agent among them, can read it. */
#ifndef FLOPINIO_CLI_CLI_SECRET_H
#define FLOPINIO_CLI_CLI_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "flopinio/base/err.h"

#define FL_SECRET_LINE_MAX 1024 /* bytes, NUL included */

/* Asks `prompt` on /dev/tty and reads a line into `out`, or, with fd >= 0, reads the next line of
 * fd without asking. FL_FORBIDDEN: there is no terminal; FL_CLOSED: no answer; FL_TOO_LARGE.
 * A signal that ends the program restores the terminal first. `out` is the caller's to cleanse. */
enum fl_code fl_secret_ask(const char *prompt, int fd, char out[FL_SECRET_LINE_MAX],
                           struct fl_err *err) FL_MUST_CHECK;
/* Asks for a line that is no secret, on the terminal; false: there is none. */
bool fl_ask_line(const char *prompt, char out[FL_SECRET_LINE_MAX]);
/* "y" or "yes" to `prompt` on the terminal; without one: false. */
bool fl_confirm(const char *prompt);

#endif
