/* `flopinio plugin-host`: the process that a plugin lives in. Started by slot.c. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/host/frame.h"
#include "runtime/host/host.h"
#include "runtime/host/sandbox.h"
#include "runtime/host/serve.h"

int fl_plugin_host_main(int argc, char **argv)
{
    FL_UNUSED(argc);
    FL_UNUSED(argv);
    fl_sandbox_close_from(FL_HOST_SOCKET + 1);
    fcntl(FL_HOST_SOCKET, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    fl_mem_init();
    fl_log_init(FL_LOG_WARN, FL_LOG_TEXT); /* the worker reads stderr line by line */
    fl_serve_process(FL_HOST_SOCKET);
    _exit(0); /* what the plugin registered for exit() is not run: it had its close() */
}
