/* The installation on this host: serve, config, generate. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "flopinio/base/log.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/ports.h"
#include "runtime/cli/private.h"
#include "runtime/cli/supervisor.h"
#include "runtime/cli/wiring.h"
#include "runtime/store/states.h"

/* ---------------------------------------------------------------- serve */
static void progress(const char *what)
{
    fprintf(stderr, "flopinio: %s ...\n", what);
}

/* To a service manager that asked for it (sd_notify(3): a datagram, "@" an abstract name). */
static void tell_manager(const char *what)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    int fd = -1;
    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, what, strlen(what), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
        FL_LOG(WARN, "manager_not_told", FL_KS("reason", strerror(errno)));
    if (fd >= 0)
        close(fd);
}

/* The manager, and whoever waits for it to have started, goes on. */
static void on_frozen(void *ctx)
{
    FL_UNUSED(ctx);
    tell_manager("READY=1\nSTATUS=frozen: run flopinio recover");
}

static void on_ready(void *ctx, const struct fl_config *config, const int *ports)
{
    struct fl_buf line = FL_BUF_INIT;
    tell_manager("READY=1\nSTATUS=");
    *(bool *)ctx = true;
    fl_ports_write(config, ports);
    fl_buf_puts(&line, "flopinio is ready:");
    for (size_t i = 0; config->listen[i]; i++) {
        fl_buf_putc(&line, ' ');
        fl_ports_url(&line, config, config->listen[i], ports[i]);
        fl_buf_puts(&line, "/mcp");
    }
    if (!line.is_failed)
        puts(line.p);
    fflush(stdout);
    fl_buf_fini(&line);
}

/* To the stdio client that started a private installation. */
static void on_private_ready(void *ctx, const struct fl_config *config, const int *ports)
{
    FL_UNUSED(ctx);
    FL_UNUSED(config);
    FL_UNUSED(ports);
    dprintf(FL_PRIVATE_FD, "R\n");
    close(FL_PRIVATE_FD);
}

/* What `serve` and a private installation share. `args` are settings and --config. */
static int run_supervisor(const char *const *args, size_t arg_count, bool is_private,
                          struct fl_err *err)
{
    const char *flags[64];
    size_t count = 0;
    const char *file = NULL;
    struct fl_config config;
    for (size_t i = 0; i < arg_count; i++) {
        if (strncmp(args[i], "--config=", 9) == 0) {
            file = args[i] + 9;
        } else if (count == FL_COUNTOF(flags)) {
            fl_err_set(err, FL_CONFIG, "more than %zu settings", FL_COUNTOF(flags));
            return FL_EXIT_USAGE;
        } else {
            flags[count++] = args[i];
        }
    }
    if (fl_config_load(file, flags, count, &config, err) != FL_OK)
        return FL_EXIT_USAGE;
    if (config.unreadable[0]) { /* its settings were meant */
        fl_err_set(err, FL_CONFIG, "cannot read the configuration %s", config.unreadable);
        fl_config_fini(&config);
        return FL_EXIT_USAGE;
    }
    enum fl_log_level level = FL_LOG_INFO;
    (void)!fl_log_level_parse(fl_str_of(config.log_level), &level);
    fl_log_init(level, strcmp(config.log_format, "json") == 0 ? FL_LOG_JSON : FL_LOG_TEXT);
    fl_log_process_name("supervisor");
    bool was_ready = false; /* the file is ours */
    struct fl_supervisor_options options = { .config_file = file,
                                             .flags = flags,
                                             .flag_count = count,
                                             .progress = progress,
                                             .ready = is_private ? on_private_ready : on_ready,
                                             .frozen = is_private ? NULL : on_frozen,
                                             .ctx = &was_ready,
                                             .is_private = is_private };
    signal(SIGPIPE, SIG_IGN);
    int status = fl_supervise(&config, &options, err);
    if (was_ready)
        fl_ports_remove(&config);
    fl_config_fini(&config);
    return status;
}

static int serve(struct fl_cli *cli)
{
    struct fl_err err = { FL_OK, "" };
    int status = run_supervisor(cli->parsed->args, cli->parsed->arg_count, false, &err);
    if (err.code)
        fprintf(stderr, "flopinio: %s\n", err.text);
    return status;
}

int fl_private_main(int argc, char **argv)
{
    struct fl_err err = { FL_OK, "" };
    (void)fcntl(FL_PRIVATE_FD, F_SETFD, FD_CLOEXEC);
    int status =
        run_supervisor((const char *const *)argv + 2, argc > 2 ? (size_t)argc - 2 : 0, true, &err);
    if (err.code) {
        fprintf(stderr, "flopinio: %s\n", err.text);
        dprintf(FL_PRIVATE_FD, "E%d %s\n", (int)err.code, err.text);
    }
    return status;
}

/* ---------------------------------------------------------------- config, generate */
static int config_show(struct fl_cli *cli)
{
    struct fl_config config;
    struct fl_err err;
    if (fl_cli_config(cli, &config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    fl_config_show(&config, &cli->out);
    fl_config_fini(&config);
    return FL_EXIT_DONE;
}

static int generate(struct fl_cli *cli)
{
    const char *what = fl_cli_arg(cli, 0);
    if (strcmp(what, "configuration") == 0)
        fl_config_markdown(&cli->out);
    else if (strcmp(what, "approval-states") == 0)
        fl_states_markdown(&cli->out);
    else if (strcmp(what, "promela") == 0)
        fl_states_promela(&cli->out);
    else
        fl_cli_markdown(&cli->out);
    return FL_EXIT_DONE;
}

const struct fl_cli_command fl_cmd_self[] = {
    { "serve", "", "runs the installation until it is stopped",
      "Starts the workers and, unless database_url names one, a private PostgreSQL in the data "
      "directory. Says when it serves, and writes DATA_DIR/run/ports.json. SIGTERM drains and "
      "stops, SIGHUP reads the configuration again, SIGUSR2 replaces the workers one by one.",
      FL_CLI_RAW, NULL, serve },
    { "config show", "", "shows the settings in force, secrets left out", NULL, FL_CLI_HERE, NULL,
      config_show },
    { "generate", "configuration|cli|approval-states|promela",
      "prints a page of the documentation, or the facts of the model in tests/model", NULL,
      FL_CLI_UNDOCUMENTED, NULL, generate },
    { .name = NULL }
};
