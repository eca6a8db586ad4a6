/* Assertions: prints what broke and what the thread was doing, then aborts. */
#include "flopinio/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local const char *context;

void fl_assert_context(const char *text)
{
    context = text;
}

void fl_assert_fail(const char *claim, const char *file, int line, const char *func)
{
    fprintf(stderr, "flopinio: assertion failed: %s (%s:%d, %s)%s%s\n", claim, file, line, func,
            context ? ", while in " : "", context ? context : "");
    abort();
}
