/* Organizations and groups. */
#include <string.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

/* ---------------------------------------------------------------- organizations */
static int org_create(struct fl_cli *cli)
{
    json_t *body = json_object();
    fl_cli_put(body, "name", fl_cli_arg(cli, 0));
    fl_cli_put_flag(cli, body, "title", "title");
    int status = fl_cli_ask(cli, "POST", "/orgs", body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "organization %s made", fl_cli_text(cli, fl_cli_arg(cli, 0)));
    return status;
}

static int org_list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, "/orgs",
                            "NAME=name:k TITLE=title POLICY=policy_version ?MADE=created_at:t",
                            "there is no organization yet: flopinio org create NAME");
}

static int org_show(struct fl_cli *cli)
{
    json_t *answer = NULL;
    int status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}"), NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_print_object(&cli->out, "name=name title=title policy_version=policy_version", answer,
                        0);
    json_decref(answer);
    return status;
}

static int org_set(struct fl_cli *cli)
{
    json_t *body = json_object();
    fl_cli_put_flag(cli, body, "title", "title");
    int status = fl_cli_ask(cli, "PATCH", fl_cli_path(cli, "/orgs/{org}"), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "organization %s changed", fl_cli_text(cli, cli->org));
    return status;
}

/* ---------------------------------------------------------------- groups */
static int group_create(struct fl_cli *cli)
{
    json_t *body = json_object();
    fl_cli_put(body, "name", fl_cli_arg(cli, 0));
    fl_cli_put_flag(cli, body, "title", "title");
    json_object_set_new(body, "members", fl_cli_list(cli, "member"));
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/groups"), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "group %s made", fl_cli_text(cli, fl_cli_arg(cli, 0)));
    return status;
}

static int group_list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/groups"),
                            "NAME=name:k TITLE=title MEMBERS=members",
                            "there is no group yet: flopinio group create NAME --member PERSON");
}

static int group_set(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    if (fl_cli_has(cli, "member") || fl_cli_has(cli, "empty"))
        json_object_set_new(body, "members", fl_cli_list(cli, "member"));
    fl_cli_put_flag(cli, body, "title", "title");
    int status = fl_cli_ask(
        cli, "PATCH", fl_cli_path(cli, "/orgs/{org}/groups/{}", fl_cli_arg(cli, 0)), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "group %s changed", fl_cli_text(cli, fl_cli_arg(cli, 0)));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

static int group_remove(struct fl_cli *cli)
{
    json_t *answer = NULL;
    int status =
        fl_cli_ask(cli, "DELETE", fl_cli_path(cli, "/orgs/{org}/groups/{}", fl_cli_arg(cli, 0)),
                   NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "group %s removed", fl_cli_text(cli, fl_cli_arg(cli, 0)));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

static const struct fl_cli_flag title_flags[] = { { "title", "TEXT", "what people read", 0 },
                                                  { .name = NULL } };
static const struct fl_cli_flag group_create_flags[] = {
    { "title", "TEXT", "what people read", 0 },
    { "member", "PERSON", "somebody of the organization", FL_FLAG_MANY },
    { .name = NULL }
};
static const struct fl_cli_flag group_set_flags[] = { { "title", "TEXT", "what people read", 0 },
                                                      { "member", "PERSON",
                                                        "the members from now on", FL_FLAG_MANY },
                                                      { "empty", NULL, "no members any more", 0 },
                                                      { .name = NULL } };

const struct fl_cli_command fl_cmd_org[] = {
    { "org create", "NAME", "makes an organization", NULL, FL_CLI_API, title_flags, org_create },
    { "org list", "", "lists organizations", NULL, FL_CLI_API, NULL, org_list },
    { "org show", "[ORG]", "shows an organization and its settings", NULL, FL_CLI_ORG, NULL,
      org_show },
    { "org set", "[ORG]", "changes an organization's settings", NULL, FL_CLI_ORG, title_flags,
      org_set },
    { "group create", "NAME", "makes a group of people",
      "Rules of the policy name groups as approvers.", FL_CLI_ORG, group_create_flags,
      group_create },
    { "group list", "", "lists groups and their members", NULL, FL_CLI_ORG, NULL, group_list },
    { "group set", "NAME", "changes who is in a group", NULL, FL_CLI_ORG, group_set_flags,
      group_set },
    { "group remove", "NAME", "removes a group", NULL, FL_CLI_ORG, NULL, group_remove },
    { .name = NULL }
};
