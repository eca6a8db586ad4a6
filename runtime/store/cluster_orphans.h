/* What a killed PostgreSQL leaves behind. */
#pragma once

#include <sys/types.h>

/* Ends the processes of a server whose first process is gone, as long as they are there the next
 * one cannot start: most leave by themselves within moments, one that stands still or waits for
 * what a killed one held does not. They get two seconds, then SIGKILL. data: the server's data
 * directory. Returns how many had to be killed. Blocks; any thread. The first process of a server
 * that runs, and the children of one, are never touched. */
int fl_cluster_end_orphans(const char *data);
