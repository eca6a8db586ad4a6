/* One worker: a process with one loop that serves agents, people and metrics, and runs what was
 * approved. Started by the supervisor with descriptor 3 (boot.h). */
#ifndef FLOPINIO_CLI_WORKER_H
#define FLOPINIO_CLI_WORKER_H

/* The worker's whole life; the process's exit status: 0 after a clean stop, FL_EXIT_REFUSED when it
 * must not serve (the supervisor then stops instead of trying again). */
int fl_worker_main(void);

#define FL_EXIT_REFUSED 78 /* EX_CONFIG */

#endif
