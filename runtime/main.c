/* flopinio: one program, its modes chosen by the first argument. */
#include <stdio.h>
#include <string.h>

#include "flopinio/base/mem.h"
#include "runtime/cli/cli.h"
#include "runtime/cli/private.h"
#include "runtime/cli/worker.h"
#include "runtime/host/host.h"

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    fl_mem_init();
    /* Started by ourselves, never by people. */
    if (strcmp(mode, "worker") == 0)
        return fl_worker_main();
    if (strcmp(mode, FL_PRIVATE_MODE) == 0)
        return fl_private_main(argc, argv);
    if (strcmp(mode, "plugin-host") == 0)
        return fl_plugin_host_main(argc, argv);
    return fl_cli_main(argc, argv);
}
