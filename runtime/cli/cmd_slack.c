/* An app for Slack: its manifest, and installing it. */
#include <string.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cli_secret.h"
#include "runtime/cli/cmd_channel.h"
#include "runtime/notify/slack_app.h"

#define WAIT_S 600
#define WITHOUT_HISTORY                                                                            \
    "no scopes to look for a card whose posting has no known outcome (it may stand there twice)"

/* ---------------------------------------------------------------- the manifest */
/* `,"NAME":"URL"` where Slack is to call us; nothing in Socket Mode. */
static const char *slack_url(struct fl_cli *cli, const char *member, const char *base,
                             const char *path)
{
    if (!base)
        return "";
    const char *text =
        fl_arena_printf(cli->arena, ", \"%s\": \"%s%s\"", member, fl_cli_text(cli, base), path);
    return text ? text : "";
}

/* `"A", "B"` */
static const char *listed(struct fl_cli *cli, const char *const *items, size_t count)
{
    const char *text = "";
    for (size_t i = 0; i < count && text; i++)
        text = fl_arena_printf(cli->arena, "%s%s\"%s\"", text, i ? ", " : "", items[i]);
    return text ? text : "";
}

static int manifest(struct fl_cli *cli)
{
#define X(name) name,
    static const char *const scopes[] = { FL_SLACK_SCOPES(X) FL_SLACK_HISTORY_SCOPES(X) };
    static const char *const history[] = { FL_SLACK_HISTORY_SCOPES(X) };
    static const char *const events[] = { FL_SLACK_EVENTS(X) };
#undef X
    const char *base = fl_cli_flag(cli, "public-url");
    const char *path = fl_cli_path(cli, "/hooks/slack/{org}/{}", fl_cli_arg(cli, 0));
    const char *redirect = NULL;
    size_t scope_count = FL_COUNTOF(scopes);
    if (fl_cli_flag(cli, "without-history"))
        scope_count -= FL_COUNTOF(history); /* they stand last */
    if (base && (strncmp(base, "https://", 8) != 0 || strpbrk(base, "\"\\ ") ||
                 base[strlen(base) - 1] == '/'))
        return fl_cli_wrong(cli, "--public-url is https://HOST, without a slash at its end");
    if (base)
        redirect = fl_arena_printf(cli->arena, "\"redirect_urls\": [\"%s" FL_SLACK_REDIRECT "\"], ",
                                   fl_cli_text(cli, base));
    fl_cli_say(
        cli,
        "{\n"
        "  \"display_information\": {\"name\": \"Flopinio\", \"description\": \"Calls of agents "
        "that wait for a decision\"},\n"
        "  \"features\": {\n"
        "    \"bot_user\": {\"display_name\": \"flopinio\", \"always_online\": true},\n"
        "    \"app_home\": {\"home_tab_enabled\": true, \"messages_tab_enabled\": true},\n"
        "    \"slash_commands\": [{\"command\": \"" FL_SLACK_COMMAND
        "\", \"description\": \"Calls that wait "
        "for a decision\", \"usage_hint\": \"pending | stop NAME | link CODE\", "
        "\"should_escape\": false%s}]\n"
        "  },\n"
        "  \"oauth_config\": {%s\"scopes\": {\"bot\": [%s]}},\n"
        "  \"settings\": {\n"
        "    \"interactivity\": {\"is_enabled\": true%s},\n"
        "    \"event_subscriptions\": {\"bot_events\": [%s]%s},\n"
        "    \"socket_mode_enabled\": %s,\n"
        "    \"org_deploy_enabled\": false,\n"
        "    \"token_rotation_enabled\": false\n"
        "  }\n"
        "}",
        slack_url(cli, "url", base, path), redirect ? redirect : "",
        listed(cli, scopes, scope_count), slack_url(cli, "request_url", base, path),
        listed(cli, events, FL_COUNTOF(events)), slack_url(cli, "request_url", base, path),
        base ? "false" : "true");
    return FL_EXIT_DONE;
}

/* ---------------------------------------------------------------- installing it */
/* The client's secret is no secret of the channel: it is of the app. */
static int begin(struct fl_cli *cli, const char *name, json_t **ret)
{
    json_t *body = json_object();
    fl_cli_put_flag(cli, body, "client_id", "client-id");
    if (fl_cli_flag(cli, "without-history"))
        json_object_set_new(body, "without_history", json_true());
    if (!fl_channel_put_common(cli, body))
        return FL_EXIT_USAGE;
    json_t *secret = json_object_get(body, "secret");
    json_t *client = json_object_get(secret, "client_secret");
    if (!client) {
        json_decref(body);
        return fl_cli_wrong(cli, "--secret client_secret=FILE is needed: Slack shows it beside the "
                                 "client id");
    }
    json_object_set(body, "client_secret", client);
    json_object_del(secret, "client_secret");
    if (!json_object_size(secret))
        json_object_del(body, "secret");
    return fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/channels/{}/slack-install", name),
                      body, ret);
}

/* Until the browser was there; *ret is the row then. */
static int wait_for_browser(struct fl_cli *cli, const char *path, json_t **ret)
{
    for (int i = 0; i <= WAIT_S; i++) {
        json_t *row = NULL;
        int status = fl_cli_look(cli, path, &row);
        struct fl_str state = fl_json_get_str(row, "state");
        if (status == FL_EXIT_DONE && fl_str_is(state, "installed")) {
            *ret = row;
            return FL_EXIT_DONE;
        }
        if (status == FL_EXIT_DONE && !fl_str_is(state, "waiting"))
            status =
                fl_cli_fail(cli, FL_EXIT_CONFLICT, "it was not installed: %s",
                            fl_str_is(state, "failed") ? fl_cli_member(cli, row, "trouble")
                                                       : "nobody came back from Slack in time");
        json_decref(row);
        if (status != FL_EXIT_DONE)
            return status;
        sleep(1);
    }
    return fl_cli_fail(cli, FL_EXIT_UNAVAILABLE, "nobody came back from Slack within %d s", WAIT_S);
}

/* Where it is, and what is missing there. */
static void tell(struct fl_cli *cli, const json_t *outcome)
{
    const json_t *missing = json_object_get(outcome, "missing_scopes"), *item;
    bool is_org = json_is_true(json_object_get(outcome, "is_enterprise_install"));
    size_t i;
    fl_cli_say(cli, "installed into the %s %s (%s), by the user %s",
               is_org ? "enterprise" : "workspace", fl_cli_member(cli, outcome, "workspace"),
               fl_cli_member(cli, outcome, is_org ? "enterprise" : "team"),
               fl_cli_member(cli, outcome, "installed_by"));
    json_array_foreach (missing, i, item)
        fl_cli_say(cli,
                   "Slack did not grant %s, which the app needs: see that it is in its manifest",
                   fl_cli_text(cli, json_string_value(item)));
}

static bool is_wanted(struct fl_cli *cli, const char *name, const json_t *outcome)
{
    const char *wanted = fl_cli_flag(cli, "workspace");
    if (wanted)
        return fl_str_is(fl_json_get_str(outcome, "team"), wanted) ||
               fl_str_is(fl_json_get_str(outcome, "enterprise"), wanted);
    fl_cli_flush(cli);
    const char *prompt =
        fl_arena_printf(cli->arena, "Shall the channel %s use it? [y/N] ", fl_cli_text(cli, name));
    return prompt && fl_confirm(prompt);
}

static int take(struct fl_cli *cli, const char *name, const char *path, const json_t *outcome)
{
    json_t *answer = NULL;
    if (!cli->is_json)
        tell(cli, outcome);
    if (!is_wanted(cli, name, outcome))
        return fl_cli_fail(cli, FL_EXIT_FAILED,
                           "that is not where it was to go: no channel was changed; remove the app "
                           "there");
    int status = fl_cli_ask(cli, "POST", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        bool is_new = json_is_true(json_object_get(answer, "is_new"));
        fl_cli_say(cli, is_new ? "channel %s added" : "channel %s has the new token",
                   fl_cli_text(cli, name));
        if (is_new)
            fl_cli_say(cli,
                       "next: flopinio user link PERSON --channel %s, flopinio channel test %s, "
                       "and 'notify: [%s]' in the policy",
                       fl_cli_text(cli, name), fl_cli_text(cli, name), fl_cli_text(cli, name));
    }
    json_decref(answer);
    return status;
}

static int install(struct fl_cli *cli)
{
    json_t *begun = NULL, *row = NULL;
    const char *name = fl_cli_arg(cli, 0);
    if (!fl_cli_flag(cli, "workspace") && !fl_cli_may_confirm(cli))
        return fl_cli_wrong(cli, "without a terminal --workspace says where it is to go, for "
                                 "instance T0123456789");
    int status = begin(cli, name, &begun);
    if (status != FL_EXIT_DONE)
        return status;
    const char *id = fl_cli_member(cli, begun, "id");
    const char *path = fl_cli_path(cli, "/orgs/{org}/slack-installs/{}", id);
    fl_cli_say(cli,
               "open this within ten minutes, in a browser that is signed in to the workspace:");
    fl_cli_say(cli, "%s", fl_cli_member(cli, begun, "url"));
    fl_cli_flush(cli);
    status = wait_for_browser(cli, path, &row);
    if (status == FL_EXIT_DONE)
        status = take(cli, name, path, json_object_get(row, "outcome"));
    json_decref(row);
    json_decref(begun);
    return status;
}

static const struct fl_cli_flag manifest_flags[] = {
    { "public-url", "URL", "how Slack reaches this installation; without it: Socket Mode", 0 },
    { "without-history", NULL, WITHOUT_HISTORY, 0 },
    { .name = NULL }
};
static const struct fl_cli_flag install_flags[] = {
    { "client-id", "ID", "the app's client id", FL_FLAG_REQUIRED },
    { "secret", "NAME=FILE", "client_secret, and the channel's secrets but for its token",
      FL_FLAG_MANY },
    { "config", "JSON", "the channel's settings, or @FILE with them", 0 },
    { "disclose", "full|summary", "summary: no arguments leave for it, and no Approve there", 0 },
    { "without-history", NULL, WITHOUT_HISTORY, 0 },
    { "workspace", "ID", "where it is to go (T... or E...), instead of being asked", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_slack[] = {
    { "channel slack-manifest", "NAME", "prints the manifest of a Slack app for this channel",
      "To be pasted where Slack makes an app from a manifest. The channel need not be there yet.",
      FL_CLI_ORG, manifest_flags, manifest },
    { "channel slack-install", "NAME",
      "installs a Slack app by OAuth, and gives its token to the "
      "channel",
      "Prints an address for the browser, waits until Slack sends the browser back to this "
      "installation's public_url, says where the app was installed, and asks whether the channel "
      "shall use it. A channel of that name is added, or has its token renewed when the app was "
      "installed where it was before.\n"
      "  flopinio channel slack-install ops-slack --client-id 123.456 \\\n"
      "      --secret client_secret=slack-client --secret signing_secret=slack-signing",
      FL_CLI_ORG, install_flags, install },
    { .name = NULL }
};
