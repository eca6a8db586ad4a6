/* What confines a plugin process. Called once in that process, single-threaded, before the shared
 * object is loaded. */
#ifndef FLOPINIO_HOST_SANDBOX_H
#define FLOPINIO_HOST_SANDBOX_H

#include "flopinio/base/err.h"
#include "runtime/host/setup.h"

struct fl_sandbox_report {
    int landlock_abi; /* 0 = the kernel has none: files are not confined */
    bool has_seccomp; /* false = the kernel has none: sockets and other processes are not */
    bool has_network_namespace;
    bool is_own_user;
    char text[160]; /* one line for people */
};

/* Closes every descriptor from `first` on. */
void fl_sandbox_close_from(unsigned first);
/* Enters it; it cannot be left. FL_PLUGIN says what could not be done; then nothing may be
 * loaded. A kernel without Landlock or seccomp is no failure: the report says so. */
enum fl_code fl_sandbox_enter(const struct fl_setup *setup, struct fl_sandbox_report *ret,
                              struct fl_err *err) FL_MUST_CHECK;

#endif
