/* seccomp (kernel documentation, userspace-api/seccomp_filter): which system calls a plugin process
 * may make. Landlock says which files it reaches; this closes what Landlock does not know: sockets
 * that are connected to by path, other processes, programs. */
#ifndef FLOPINIO_HOST_SECCOMP_H
#define FLOPINIO_HOST_SECCOMP_H

#include <stdbool.h>

#include "flopinio/base/err.h"
#include "runtime/host/setup.h"

/* The kernel takes filters, and we have one for this processor (x86-64, arm64). Changes nothing. */
bool fl_seccomp_is_there(void);
/* Confines the calling thread and all that it starts; no_new_privs must be set. `landlock_abi` is
 * what is in force already: from 6 on signals are its matter, and it tells a plugin's own children
 * apart. *ret_is_there false when there is no seccomp, which is no failure. */
enum fl_code fl_seccomp_enter(const struct fl_setup *setup, int landlock_abi, bool *ret_is_there,
                              struct fl_err *err) FL_MUST_CHECK;

#endif
