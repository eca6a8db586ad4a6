/* Landlock (kernel documentation, userspace-api/landlock): which files, TCP ports and signals a
 * plugin process may reach. */
#ifndef FLOPINIO_HOST_LANDLOCK_H
#define FLOPINIO_HOST_LANDLOCK_H

#include "flopinio/base/err.h"
#include "runtime/host/setup.h"

/* The kernel's ABI version; 0 = it has no Landlock, or it is switched off. */
int fl_landlock_abi(void);
/* Confines the calling thread and all that it starts. *ret_abi 0 when there is no Landlock, which
 * is no failure. no_new_privs must be set. FL_PLUGIN names a configured path that cannot be
 * opened. */
enum fl_code fl_landlock_enter(const struct fl_setup *setup, int *ret_abi,
                               struct fl_err *err) FL_MUST_CHECK;

#endif
