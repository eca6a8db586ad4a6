/* Subcommands that need no running installation. */
#include "runtime/cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "flopinio/base/log.h"
#include "runtime/cli/supervisor.h"
#include "runtime/store/states.h"

static void progress(const char *what)
{
    fprintf(stderr, "flopinio: %s ...\n", what);
}

static int serve(int argc, char **argv)
{
    const char *flags[64];
    size_t count = 0;
    const char *file = NULL;
    struct fl_config config;
    struct fl_err err;
    for (int i = 2; i < argc && count < 64; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            file = argv[i] + 9;
        else
            flags[count++] = argv[i];
    }
    if (fl_config_load(file, flags, count, &config, &err) != FL_OK) {
        fprintf(stderr, "flopinio: %s\n", err.text);
        return 2;
    }
    enum fl_log_level level = FL_LOG_INFO;
    (void)!fl_log_level_parse(fl_str_of(config.log_level), &level);
    fl_log_init(level, strcmp(config.log_format, "json") == 0 ? FL_LOG_JSON : FL_LOG_TEXT);
    fl_log_process_name("supervisor");
    struct fl_supervisor_options options = {
        .config_file = file, .flags = flags, .flag_count = count, .progress = progress
    };
    signal(SIGPIPE, SIG_IGN);
    int status = fl_supervise(&config, &options, &err);
    if (err.code)
        fprintf(stderr, "flopinio: %s\n", err.text);
    fl_config_fini(&config);
    return status;
}

int fl_cli_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve(argc, argv);
    fprintf(stderr, "flopinio: no such command\n");
    return 2;
}
