/* Agents and their credentials. */
#include <string.h>

#include "flopinio/base/clock.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

/* "team=web" flags as an object; NULL: said what is wrong. */
static json_t *labels_of(struct fl_cli *cli)
{
    json_t *object = json_object();
    for (size_t i = 0; i < cli->parsed->set_count; i++) {
        const struct fl_cli_set *set = &cli->parsed->sets[i];
        const char *equals = strchr(set->value, '=');
        if (strcmp(set->flag->name, "label") != 0)
            continue;
        if (!equals || equals == set->value) {
            json_decref(object);
            fl_cli_wrong(cli, "--label is '%s', but must be like team=web", set->value);
            return NULL;
        }
        json_object_set_new(object,
                            fl_arena_strndup(cli->arena, set->value, (size_t)(equals - set->value)),
                            json_string(equals + 1));
    }
    return object;
}

/* A new credential; its text alone goes to standard output, so that a script can take it. */
static int give_credential(struct fl_cli *cli, const char *agent, const char *name)
{
    json_t *answer = NULL, *body = json_object(), *tools = fl_cli_list(cli, "tools");
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "client", "client");
    fl_cli_put_flag(cli, body, "hold", "hold");
    fl_cli_put_flag(cli, body, "expires", "expires");
    if (json_array_size(tools) > 0)
        json_object_set(body, "tools", tools);
    json_decref(tools);
    int status = fl_cli_ask(
        cli, "POST", fl_cli_path(cli, "/orgs/{org}/agents/{}/credentials", agent), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_flush(cli);
        fprintf(stderr,
                "The credential of agent %s; it is shown once. What to paste into a client: "
                "FLOPINIO_CREDENTIAL=... flopinio connect\n",
                fl_cli_text(cli, agent));
        fl_cli_say(cli, "%s", fl_cli_member(cli, answer, "credential"));
    }
    json_decref(answer);
    return status;
}

/* What its credential would be refused for, said before the agent is there without one. */
static bool are_durations(struct fl_cli *cli)
{
    static const char *const flags[] = { "expires", "hold" };
    for (size_t i = 0; i < FL_COUNTOF(flags); i++) {
        const char *value = fl_cli_flag(cli, flags[i]);
        int64_t ms;
        if (!value || fl_duration_parse(fl_str_of(value), &ms))
            continue;
        fl_cli_wrong(cli, "--%s is '%s', but must be a duration like 4h", flags[i], value);
        return false;
    }
    return true;
}

static int agent_create(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0);
    if (!are_durations(cli))
        return FL_EXIT_USAGE;
    json_t *labels = labels_of(cli), *body = json_object();
    if (!labels) {
        json_decref(body);
        return FL_EXIT_USAGE;
    }
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "title", "title");
    fl_cli_put_flag(cli, body, "owner", "owner");
    json_object_set_new(body, "labels", labels);
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/agents"), body, NULL);
    if (status == FL_EXIT_DONE && fl_cli_has(cli, "no-credential")) {
        if (!fl_cli_printed_json(cli))
            fl_cli_say(cli, "agent %s made", fl_cli_text(cli, name));
        return status;
    }
    if (status == FL_EXIT_DONE) {
        const char *client = fl_cli_flag(cli, "client");
        status = give_credential(cli, name, client ? client : "first");
        if (status)
            fprintf(stderr,
                    "flopinio: the agent is made, but it has no credential yet: "
                    "flopinio agent credential create %s\n",
                    fl_cli_text(cli, name));
    }
    return status;
}

static int agent_list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/agents"),
                            "NAME=name:k STATE=state OWNER=owner TITLE=title ?LABELS=labels",
                            "there is no agent yet: flopinio agent create NAME --owner PERSON");
}

#define CREDENTIALS                                                                                \
    "ID=id:k NAME=name TOOLS=tools USABLE=is_usable EXPIRES=expires_at:t ?CLIENT=client ?HELD=hold"

static int agent_show(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0);
    json_t *agent = NULL, *credentials = NULL;
    int status =
        fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/agents/{}", name), NULL, &agent);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_print_object(&cli->out, "name=name title=title owner=owner state=state labels=labels",
                        agent, 0);
        status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/agents/{}/credentials", name),
                            NULL, &credentials);
        fl_buf_putc(&cli->out, '\n');
        if (status == FL_EXIT_DONE)
            fl_cli_table(cli, CREDENTIALS, json_object_get(credentials, "items"),
                         "no credential: it cannot connect");
    }
    json_decref(agent);
    json_decref(credentials);
    return status;
}

static int change(struct fl_cli *cli, json_t *body, const char *says)
{
    const char *name = fl_cli_arg(cli, 0);
    int status =
        fl_cli_ask(cli, "PATCH", fl_cli_path(cli, "/orgs/{org}/agents/{}", name), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "agent %s %s", fl_cli_text(cli, name), says);
    return status;
}

static int agent_set(struct fl_cli *cli)
{
    json_t *labels = labels_of(cli), *body = json_object();
    if (!labels) {
        json_decref(body);
        return FL_EXIT_USAGE;
    }
    fl_cli_put_flag(cli, body, "title", "title");
    fl_cli_put_flag(cli, body, "owner", "owner");
    if (fl_cli_has(cli, "label"))
        json_object_set(body, "labels", labels);
    json_decref(labels);
    return change(cli, body, "changed");
}

static int set_state(struct fl_cli *cli, const char *state, const char *says)
{
    json_t *body = json_object();
    fl_cli_put(body, "state", state);
    return change(cli, body, says);
}

static int agent_freeze(struct fl_cli *cli)
{
    return set_state(cli, "frozen", "is frozen: its calls are refused until it is activated");
}

static int agent_activate(struct fl_cli *cli)
{
    return set_state(cli, "active", "is active");
}

static int agent_revoke(struct fl_cli *cli)
{
    return set_state(cli, "revoked", "is revoked for good");
}

/* ---------------------------------------------------------------- credentials */
static int credential_create(struct fl_cli *cli)
{
    const char *client = fl_cli_flag(cli, "client"), *name = fl_cli_flag(cli, "name");
    return give_credential(cli, fl_cli_arg(cli, 0), name ? name : client ? client : "another");
}

static int credential_list(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/agents/{}/credentials", fl_cli_arg(cli, 0)), CREDENTIALS,
        "no credential: flopinio agent credential create AGENT");
}

static int credential_revoke(struct fl_cli *cli)
{
    const char *agent = fl_cli_arg(cli, 0), *id = fl_cli_arg(cli, 1);
    if (!id && !fl_cli_has(cli, "all"))
        return fl_cli_wrong(cli, "say which: ID, or --all");
    const char *path = id ? fl_cli_path(cli, "/orgs/{org}/agents/{}/credentials/{}", agent, id)
                          : fl_cli_path(cli, "/orgs/{org}/agents/{}/credentials", agent);
    int status = fl_cli_ask(cli, "DELETE", path, NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "revoked; connections that use %s end within a second",
                   id ? "it" : "one of them");
    return status;
}

#define CLIENTS "claude-code|cursor|codex|vscode|sdk"
#define CREDENTIAL_FLAGS                                                                           \
    { "client", CLIENTS, "what it runs in: decides how long a waiting call is held open", 0 },     \
        { "tools", "PATTERN", "tools it may see, files__*; all when not given", FL_FLAG_MANY },    \
        { "expires", "TIME", "720h, 30d; without, it does not end", 0 },                           \
    {                                                                                              \
        "hold", "TIME", "how long a waiting call is held open, instead of the client's", 0         \
    }

static const struct fl_cli_flag create_flags[] = {
    { "owner", "PERSON", "who answers for it; never decides its calls", FL_FLAG_REQUIRED },
    { "title", "TEXT", "what people read", 0 },
    { "label", "KEY=VALUE", "for rules of the policy", FL_FLAG_MANY },
    CREDENTIAL_FLAGS,
    { "no-credential", NULL, "make the agent only", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag set_flags[] = {
    { "owner", "PERSON", "who answers for it from now on", 0 },
    { "title", "TEXT", "what people read", 0 },
    { "label", "KEY=VALUE", "the labels from now on", FL_FLAG_MANY },
    { .name = NULL }
};
static const struct fl_cli_flag credential_flags[] = { { "name", "TEXT", "what it is for", 0 },
                                                       CREDENTIAL_FLAGS,
                                                       { .name = NULL } };
static const struct fl_cli_flag revoke_flags[] = { { "all", NULL, "every one of the agent", 0 },
                                                   { .name = NULL } };

const struct fl_cli_command fl_cmd_agent[] = {
    { "agent create", "NAME", "makes an agent and prints its credential once",
      "Only the credential goes to standard output.\n"
      "  flopinio agent create builder --owner ana --client claude-code",
      FL_CLI_ORG, create_flags, agent_create },
    { "agent list", "", "lists agents", NULL, FL_CLI_ORG, NULL, agent_list },
    { "agent show", "NAME", "shows an agent and its credentials", NULL, FL_CLI_ORG, NULL,
      agent_show },
    { "agent set", "NAME", "changes an agent's owner, title or labels", NULL, FL_CLI_ORG, set_flags,
      agent_set },
    { "agent freeze", "NAME", "refuses an agent's calls until it is activated", NULL, FL_CLI_ORG,
      NULL, agent_freeze },
    { "agent activate", "NAME", "lets a frozen agent work again", NULL, FL_CLI_ORG, NULL,
      agent_activate },
    { "agent revoke", "NAME", "ends an agent for good", NULL, FL_CLI_ORG, NULL, agent_revoke },
    { "agent credential create", "AGENT", "makes another credential and prints it once", NULL,
      FL_CLI_ORG, credential_flags, credential_create },
    { "agent credential list", "AGENT", "lists an agent's credentials", NULL, FL_CLI_ORG, NULL,
      credential_list },
    { "agent credential revoke", "AGENT [ID]", "ends a credential, or all of an agent's", NULL,
      FL_CLI_ORG, revoke_flags, credential_revoke },
    { .name = NULL }
};
