/* Allocations and system calls that fail, or kill the process, on demand. The sources under test
 * are compiled with malloc and the others defined to these (tests/CMakeLists.txt). */
#ifndef FL_TEST_FAULT_H
#define FL_TEST_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* The n-th allocation from now on fails (1 = the next); 0 = none. Returns the count so far. */
uint64_t fault_alloc_at(uint64_t n);

/* System calls that change something, in the order in which they are made. */
enum fault_way {
    FAULT_NONE,
    FAULT_KILL, /* SIGKILL instead of the call; a write puts half of its bytes first */
    FAULT_FAIL  /* the call gives -1 and `error` */
};

/* What the n-th call from now on meets (1 = the next). Returns the count so far. */
uint64_t fault_call_at(uint64_t n, enum fault_way way, int error);
/* The names of the calls since fault_call_at, each with a blank behind it. */
const char *fault_calls(void);
/* Runs `hook` once, before the next call of that name ("fsync", "renameat2", "unlinkat", ...). */
void fault_before(const char *name, void (*hook)(void *context), void *context);

#endif
