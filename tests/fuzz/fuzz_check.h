/* The unit tests' fixtures in a fuzz target: their CHECKs end it. Include before any of them, once.
 */
#ifndef FL_FUZZ_CHECK_H
#define FL_FUZZ_CHECK_H

#include <stdarg.h>

#include "../unit/harness.h"
#include "fuzz.h"

_Noreturn void fl_test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

#endif
