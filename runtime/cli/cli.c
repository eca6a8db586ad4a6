/* From a command line to its handler. */
#include "runtime/cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/mem.h"
#include "runtime/cli/cli_run.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/show.h"

int fl_cli_find_org(struct fl_cli *cli)
{
    json_t *answer = NULL;
    struct fl_buf names = FL_BUF_INIT;
    const char *environment = getenv("FLOPINIO_ORG");
    cli->org = fl_cli_flag(cli, "org");
    if (!cli->org && strncmp(cli->parsed->command->args, "[ORG]", 5) == 0)
        cli->org = fl_cli_arg(cli, 0);
    if (!cli->org && environment && *environment)
        cli->org = environment;
    if (cli->org)
        return FL_EXIT_DONE;
    int status = fl_cli_look(cli, "/orgs", &answer);
    const json_t *items = json_object_get(answer, "items");
    size_t count = json_array_size(items);
    for (size_t i = 0; i < count; i++)
        fl_buf_printf(&names, "%s%s", i ? ", " : "",
                      fl_cli_member(cli, json_array_get(items, i), "name"));
    const char *only = json_string_value(json_object_get(json_array_get(items, 0), "name"));
    if (status == FL_EXIT_DONE && count == 1 && only)
        cli->org = fl_arena_strdup(cli->arena, only);
    else if (status == FL_EXIT_DONE && count == 0)
        status = fl_cli_fail(cli, FL_EXIT_NOT_FOUND,
                             "there is no organization yet: flopinio org create NAME");
    else if (status == FL_EXIT_DONE)
        status = fl_cli_wrong(cli, "say which organization with --org NAME or FLOPINIO_ORG: %s",
                              names.p ? names.p : "");
    fl_buf_fini(&names);
    json_decref(answer);
    return status;
}

static int run(struct fl_cli *cli)
{
    const struct fl_cli_command *c = cli->parsed->command;
    int status = FL_EXIT_DONE;
    if ((c->uses & FL_CLI_ORG) == FL_CLI_ORG)
        status = fl_cli_find_org(cli);
    if (status == FL_EXIT_DONE)
        status = c->run(cli);
    if (cli->out.is_failed)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "out of memory");
    fl_cli_flush(cli);
    if (ferror(stdout) && status == FL_EXIT_DONE)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "cannot write to standard output");
    fl_client_free(&cli->client);
    if (cli->body.p)
        fl_cleanse(cli->body.p, cli->body.n); /* a credential, perhaps */
    fl_buf_fini(&cli->body);
    fl_buf_fini(&cli->out);
    return status;
}

static int help(const struct fl_cli_parsed *parsed)
{
    struct fl_buf out = FL_BUF_INIT;
    /* `flopinio agent` alone is half a command; `flopinio` alone asks what there is. */
    bool was_asked = parsed->wants_help || !*parsed->group;
    if (parsed->command)
        fl_cli_help_command(&out, parsed->command);
    else if (*parsed->group)
        fl_cli_help_group(&out, parsed->group);
    else
        fl_cli_help_overview(&out);
    fputs(out.p ? out.p : "", was_asked ? stdout : stderr);
    fl_buf_fini(&out);
    return was_asked ? FL_EXIT_DONE : FL_EXIT_USAGE;
}

static int wrong(const struct fl_cli_parsed *parsed, const struct fl_err *err)
{
    const char *about = parsed->command ? parsed->command->name : parsed->group;
    struct fl_buf text = FL_BUF_INIT;
    fl_show(&text, fl_str_of(err->text), FL_SHOW_COMPOSED, NULL);
    fprintf(stderr, "flopinio: %s\n", text.p ? text.p : "");
    fl_buf_fini(&text);
    fprintf(stderr, "help: flopinio %s%s--help\n", about, *about ? " " : "");
    return FL_EXIT_USAGE;
}

int fl_cli_main(int argc, char **argv)
{
    struct fl_cli_parsed parsed = { .group = "" };
    struct fl_err err;
    struct fl_cli cli = { .parsed = &parsed, .arena = fl_arena_new(4096) };
    int status;
    signal(SIGPIPE, SIG_IGN);
    enum fl_code code = cli.arena ? fl_cli_parse(cli.arena, argc, argv, &parsed, &err)
                                  : fl_err_code(&err, FL_NOMEM);
    cli.is_json = code == FL_OK && fl_cli_parsed_flag(&parsed, "json");
    if (code) {
        status = wrong(&parsed, &err);
    } else if (parsed.wants_version) {
        puts("flopinio " FL_VERSION);
        status = FL_EXIT_DONE;
    } else if (!parsed.command || parsed.wants_help) {
        status = help(&parsed);
    } else {
        status = run(&cli);
    }
    fl_arena_free(&cli.arena);
    return status;
}
