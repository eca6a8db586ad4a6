/* The other mode of the program, alone: what test_host.c starts for each plugin process. */
#include "runtime/host/host.h"

/* A plugin that crashes must look like one, sanitizer or not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_abort=0:allocator_may_return_null=1:detect_leaks=0";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "handle_segv=0:handle_abort=0";
}

int main(int argc, char **argv)
{
    return fl_plugin_host_main(argc, argv);
}
