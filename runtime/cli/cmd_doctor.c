/* `flopinio doctor`: looks at an installation and says what to mend. Also when it does not run:
 * then it says what it could not look at. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/doctor.h"
#include "runtime/cli/place.h"

static const char *const words[] = { "ok", "warn", "FAIL", "skip" };

void fl_doctor_say(struct fl_doctor *d, const char *check, enum fl_doctor_status status,
                   const char *mend, const char *fmt, ...)
{
    struct fl_buf text = FL_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *said = text.p && !text.is_failed ? text.p : "out of memory";
    d->counts[status]++;
    json_t *line = json_pack("{s:s, s:s}", "check", check, "status", words[status]);
    json_object_set_new(line, "text", fl_json_new_str(fl_str_of(said)));
    if (mend)
        fl_cli_put(line, "mend", mend);
    json_array_append_new(d->checks, line);
    if (!d->cli->is_json) {
        fl_cli_say(d->cli, "%-5s %-17s %s", words[status], check, fl_cli_text(d->cli, said));
        if (mend)
            fl_cli_say(d->cli, "%24smend: %s", "", mend);
        fl_cli_flush(d->cli);
    }
    fl_buf_fini(&text);
}

static void look_around(struct fl_doctor *d)
{
    struct stat st;
    fl_place_await(&d->config);
    d->is_running = fl_place_is_running(&d->config);
    d->is_foreign = stat(d->config.data_dir, &st) == 0 && st.st_uid != geteuid() && geteuid() != 0;
}

static void configuration(struct fl_doctor *d)
{
    const struct fl_config *c = &d->config;
    struct stat st;
    if (c->unreadable[0])
        fl_doctor_say(d, "configuration", FL_DOCTOR_WARN, "run doctor as the installation's user",
                      "%s is there and this user cannot read it", c->unreadable);
    else if (c->file[0] && c->database_url[0] && stat(c->file, &st) == 0 && (st.st_mode & 077) &&
             !getenv("FLOPINIO_DATABASE_URL"))
        fl_doctor_say(d, "configuration", FL_DOCTOR_FAIL, "chmod 600 it",
                      "%s holds the database's password and other users can read it", c->file);
    else
        fl_doctor_say(d, "configuration", FL_DOCTOR_OK, NULL, "%s; data in %s",
                      c->file[0] ? c->file : "no file", c->data_dir);
}

static void run_checks(struct fl_doctor *d)
{
    configuration(d);
    fl_doctor_libraries(d);
    fl_doctor_directories(d);
    fl_doctor_disk(d);
    fl_doctor_ports(d);
    fl_doctor_tls(d);
    fl_doctor_plugins(d);
    fl_doctor_isolation(d);
    fl_doctor_database(d);
    fl_doctor_organizations(d);
}

static void print_summary(struct fl_doctor *d)
{
    struct fl_cli *cli = d->cli;
    if (cli->is_json) {
        json_t *all = json_pack("{s:O, s:I, s:I, s:I}", "checks", d->checks, "failed",
                                (json_int_t)d->counts[FL_DOCTOR_FAIL], "warnings",
                                (json_int_t)d->counts[FL_DOCTOR_WARN], "skipped",
                                (json_int_t)d->counts[FL_DOCTOR_SKIP]);
        fl_json_put(&cli->out, all);
        fl_buf_putc(&cli->out, '\n');
        json_decref(all);
        return;
    }
    fl_cli_say(cli, "\n%zu checks: %zu to mend, %zu warnings, %zu could not run",
               json_array_size(d->checks), d->counts[FL_DOCTOR_FAIL], d->counts[FL_DOCTOR_WARN],
               d->counts[FL_DOCTOR_SKIP]);
}

static int doctor(struct fl_cli *cli)
{
    struct fl_doctor d = { .cli = cli };
    struct fl_err err;
    unsetenv("FLOPINIO_URL"); /* this host's */
    unsetenv("FLOPINIO_TOKEN");
    if (fl_cli_config(cli, &d.config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    d.checks = json_array();
    look_around(&d);
    run_checks(&d);
    print_summary(&d);
    json_decref(d.checks);
    fl_config_fini(&d.config);
    return d.counts[FL_DOCTOR_FAIL] ? FL_EXIT_FAILED : FL_EXIT_DONE;
}

static const struct fl_cli_flag flags[] = {
    { "json", NULL, "print the checks as JSON", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_doctor[] = {
    { "doctor", "", "looks for what is wrong and says how to mend it",
      "Libraries, files and their modes, disk, ports, certificates, plugins' sandbox, isolation from "
      "agents, the database with its roles and row security, keys, clocks, and each organization's "
      "policy, tools, servers and channels. Changes nothing. The exit status is 1 when something has to be mended; a warning "
      "leaves it 0, as does a check that could not run because the installation does not.",
      FL_CLI_HERE, flags, doctor },
    { .name = NULL }
};
