/* Tools that take time: a script is done step by step on one thread of the instance, so that the
 * runtime's thread is free for other calls and for cancel(). */
#ifndef CONFORMANCE_SCRIPT_H
#define CONFORMANCE_SCRIPT_H

#include "flopinio/plugin.h"

enum { SCRIPT_END = -1 };

/* Does step n (from 0) and returns the milliseconds to the next one, or SCRIPT_END when it has
 * ended the job. On the instance's thread. */
typedef int script_fn(const struct flopinio_host *host, flopinio_job *job, unsigned n);

struct flopinio_instance;

int script_open(const struct flopinio_host *host, struct flopinio_instance **ret);
/* Ends what still runs as a tool error. */
void script_close(struct flopinio_instance *in);
const struct flopinio_host *script_host(const struct flopinio_instance *in);
/* Takes the job; from now on only the instance's thread touches it. */
void script_start(struct flopinio_instance *in, flopinio_job *job, script_fn *script);
/* The job ends at once, as a tool error that says so; nothing happens if it has ended already. */
void script_cancel(struct flopinio_instance *in, flopinio_job *job);

#endif
