/* Servers: plugins and upstreams that offer tools. */
#include <string.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

static long long count(const json_t *answer, const char *name)
{
    return (long long)json_integer_value(json_object_get(answer, name));
}

static void say_offer(struct fl_cli *cli, const char *name, const json_t *answer)
{
    const char *note = fl_cli_member(cli, answer, "note");
    fl_cli_say(cli, "server %s offers: %lld new tools, %lld changed, %lld gone, %lld as before",
               fl_cli_text(cli, name), count(answer, "new"), count(answer, "changed"),
               count(answer, "gone"), count(answer, "same"));
    if (*note)
        fl_cli_say(cli, "but: %s", note);
    if (count(answer, "new") + count(answer, "changed") > 0)
        fl_cli_say(cli, "none of them can be called until somebody looked at it: "
                        "flopinio tool list --state new");
}

/* False: said what is wrong, and the body is let go. */
static bool put_common(struct fl_cli *cli, json_t *body)
{
    const char *config = fl_cli_flag(cli, "config");
    fl_cli_put_flag(cli, body, "environment", "environment");
    fl_cli_put_flag(cli, body, "account", "account");
    if (!config)
        return true;
    json_t *value = fl_cli_json_arg(cli, "--config", config);
    if (value)
        json_object_set_new(body, "config", value);
    else
        json_decref(body);
    return value != NULL;
}

static int server_add(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *name = fl_cli_arg(cli, 0);
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "plugin", "plugin");
    if (!put_common(cli, body))
        return FL_EXIT_USAGE;
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/servers"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        say_offer(cli, name, answer);
    json_decref(answer);
    return status;
}

static int server_list(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/servers"),
        "NAME=name:k PLUGIN=plugin ENABLED=is_enabled ?ENVIRONMENT=environment ?ACCOUNT=account "
        "CONFIG=config NOTE=note",
        "there is no server yet: flopinio server add NAME --plugin files --config JSON");
}

static int server_set(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *name = fl_cli_arg(cli, 0), *enabled = fl_cli_flag(cli, "enabled");
    if (enabled)
        json_object_set_new(body, "is_enabled", json_boolean(strcmp(enabled, "yes") == 0));
    if (!put_common(cli, body))
        return FL_EXIT_USAGE;
    int status =
        fl_cli_ask(cli, "PATCH", fl_cli_path(cli, "/orgs/{org}/servers/{}", name), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (json_object_get(answer, "same"))
            say_offer(cli, name, answer);
        else
            fl_cli_say(cli, "server %s changed", fl_cli_text(cli, name));
    }
    json_decref(answer);
    return status;
}

static int server_remove(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0);
    int status =
        fl_cli_ask(cli, "DELETE", fl_cli_path(cli, "/orgs/{org}/servers/{}", name), NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "server %s removed, and its tools with it", fl_cli_text(cli, name));
    return status;
}

static int server_refresh(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *name = fl_cli_arg(cli, 0);
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/servers/{}/refresh", name),
                            NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        say_offer(cli, name, answer);
    json_decref(answer);
    return status;
}

#define COMMON_FLAGS                                                                               \
    { "config", "JSON", "its configuration, or @FILE with it", 0 },                                \
        { "environment", "TEXT", "what cards say about where it acts: production", 0 },            \
    {                                                                                              \
        "account", "TEXT", "what cards say about as whom it acts", 0                               \
    }

static const struct fl_cli_flag add_flags[] = {
    { "plugin", "NAME", "the plugin that it is an instance of", FL_FLAG_REQUIRED },
    COMMON_FLAGS,
    { .name = NULL }
};
static const struct fl_cli_flag set_flags[] = { COMMON_FLAGS,
                                                { "enabled", "yes|no", "whether it is used", 0 },
                                                { .name = NULL } };

const struct fl_cli_command fl_cmd_server[] = {
    { "server add", "NAME", "adds a server and asks it what it offers",
      "Its tools are called NAME__TOOL and are refused until they are accepted. On this host only, "
      "as the configuration says what a plugin may touch.\n"
      "  flopinio server add files --plugin files --config '{\"root\": \"/srv/docs\"}'",
      FL_CLI_ORG, add_flags, server_add },
    { "server list", "", "lists servers", NULL, FL_CLI_ORG, NULL, server_list },
    { "server set", "NAME", "changes a server", NULL, FL_CLI_ORG, set_flags, server_set },
    { "server remove", "NAME", "removes a server and its tools", NULL, FL_CLI_ORG, NULL,
      server_remove },
    { "server refresh", "NAME", "asks a server again what it offers", NULL, FL_CLI_ORG, NULL,
      server_refresh },
    { .name = NULL }
};
