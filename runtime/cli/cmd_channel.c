/* Channels: chats to which cards go, and chat accounts of people. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/crypto/secret.h"

#define SECRET_MAX  4096
#define TEST_WAIT_S 120

/* ---------------------------------------------------------------- secrets */
/* "token=FILE": what the file holds, without the line's end, becomes the secret of that name. */
static bool put_secret(struct fl_cli *cli, json_t *secret, struct fl_str item)
{
    struct fl_str text;
    const char *equals = memchr(item.p, '=', item.n);
    if (!equals || equals == item.p || equals + 1 == item.p + item.n) {
        fl_cli_wrong(cli, "--secret is NAME=FILE; a secret is never given on the command line");
        return false;
    }
    const char *file = equals + 1;
    char *name = fl_arena_strndup(cli->arena, item.p, (size_t)(equals - item.p));
    if (!name || !fl_cli_file(cli, file, SECRET_MAX, &text))
        return false;
    struct fl_str value = text;
    while (value.n && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
        value.n--;
    json_t *made = fl_json_new_str(value);
    if (made)
        json_object_set_new(secret, name, made);
    fl_cleanse((char *)text.p, text.n);
    if (!made)
        fl_cli_fail(cli, FL_EXIT_FAILED, "%s is not UTF-8", fl_cli_text(cli, file));
    return made != NULL;
}

static bool put_secrets(struct fl_cli *cli, json_t *body)
{
    json_t *items = fl_cli_list(cli, "secret"), *secret = json_object(), *item;
    size_t i;
    bool is_fine = true;
    json_array_foreach (items, i, item)
        is_fine = is_fine && put_secret(cli, secret, fl_json_str(item));
    if (json_array_size(items))
        json_object_set(body, "secret", secret);
    json_decref(secret);
    json_decref(items);
    return is_fine;
}

/* False: said what is wrong, and the body is let go. */
static bool put_common(struct fl_cli *cli, json_t *body)
{
    const char *config = fl_cli_flag(cli, "config");
    bool is_fine = put_secrets(cli, body);
    fl_cli_put_flag(cli, body, "disclose", "disclose");
    if (is_fine && config) {
        json_t *value = fl_cli_json_arg(cli, "--config", config);
        is_fine = value != NULL;
        if (value)
            json_object_set_new(body, "config", value);
    }
    if (!is_fine)
        json_decref(body);
    return is_fine;
}

/* ---------------------------------------------------------------- channels */
static int channel_add(struct fl_cli *cli)
{
    json_t *body = json_object();
    const char *name = fl_cli_arg(cli, 0);
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "kind", "kind");
    if (!put_common(cli, body))
        return FL_EXIT_USAGE;
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/channels"), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "channel %s added", fl_cli_text(cli, name));
        fl_cli_say(cli,
                   "next: flopinio user link PERSON --channel %s, flopinio channel test %s, "
                   "and 'notify: [%s]' in the policy",
                   fl_cli_text(cli, name), fl_cli_text(cli, name), fl_cli_text(cli, name));
    }
    return status;
}

static int channel_list(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/channels"),
        "NAME=name:k KIND=kind ENABLED=is_enabled WAITING=waiting TROUBLE=trouble "
        "?DEAD=dead ?DELIVERED=delivered_at:t ?PAUSED=paused_until:t ?DISCLOSE=disclose ?CONFIG=config",
        "there is no channel yet, so that people look into the inbox: flopinio channel add NAME "
        "--kind telegram --secret token=FILE");
}

static int channel_set(struct fl_cli *cli)
{
    json_t *body = json_object();
    const char *name = fl_cli_arg(cli, 0), *enabled = fl_cli_flag(cli, "enabled");
    if (enabled)
        json_object_set_new(body, "is_enabled", json_boolean(strcmp(enabled, "yes") == 0));
    if (!put_common(cli, body))
        return FL_EXIT_USAGE;
    int status =
        fl_cli_ask(cli, "PATCH", fl_cli_path(cli, "/orgs/{org}/channels/{}", name), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "channel %s changed", fl_cli_text(cli, name));
    return status;
}

static int channel_remove(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *name = fl_cli_arg(cli, 0);
    int status =
        fl_cli_ask(cli, "DELETE", fl_cli_path(cli, "/orgs/{org}/channels/{}", name), NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli,
                   "channel %s removed; what it posted stays there and is not rewritten any "
                   "more",
                   fl_cli_text(cli, name));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

/* When its test button was last pressed; "" never. */
static int tested_at(struct fl_cli *cli, const char *name, char out[40])
{
    json_t *answer = NULL, *item;
    size_t i;
    int status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/channels"), NULL, &answer);
    out[0] = 0;
    json_array_foreach (json_object_get(answer, "items"), i, item) {
        struct fl_str at = fl_json_get_str(item, "tested_at");
        if (fl_str_is(fl_json_get_str(item, "name"), name) && at.n && at.n < 40) {
            memcpy(out, at.p, at.n);
            out[at.n] = 0;
        }
    }
    json_decref(answer);
    return status;
}

static int channel_test(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0);
    char before[40], now[40];
    int status = tested_at(cli, name, before);
    /* Whole seconds: a press within the same one would not be seen. */
    if (status == FL_EXIT_DONE && before[0])
        sleep(1);
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/channels/{}/test", name),
                            json_object(), NULL);
    if (status != FL_EXIT_DONE || fl_cli_printed_json(cli))
        return status;
    fl_cli_say(cli, "a test card is there; press its button (waiting for %d s)", TEST_WAIT_S);
    fl_cli_flush(cli);
    for (int i = 0; i < TEST_WAIT_S; i++) {
        sleep(1);
        status = tested_at(cli, name, now);
        if (status != FL_EXIT_DONE)
            return status;
        if (strcmp(before, now) != 0) {
            fl_cli_say(cli, "the click arrived: channel %s works both ways",
                       fl_cli_text(cli, name));
            return FL_EXIT_DONE;
        }
    }
    return fl_cli_fail(cli, FL_EXIT_UNAVAILABLE,
                       "no click arrived within %d s; was the button pressed by somebody who is "
                       "linked?",
                       TEST_WAIT_S);
}

/* ---------------------------------------------------------------- an app for Slack */
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

static int channel_slack_manifest(struct fl_cli *cli)
{
    const char *base = fl_cli_flag(cli, "public-url");
    const char *path = fl_cli_path(cli, "/hooks/slack/{org}/{}", fl_cli_arg(cli, 0));
    if (base && (strncmp(base, "https://", 8) != 0 || strpbrk(base, "\"\\ ") ||
                 base[strlen(base) - 1] == '/'))
        return fl_cli_wrong(cli, "--public-url is https://HOST, without a slash at its end");
    fl_cli_say(
        cli,
        "{\n"
        "  \"display_information\": {\"name\": \"Flopinio\", \"description\": \"Calls of agents "
        "that wait for a decision\"},\n"
        "  \"features\": {\n"
        "    \"bot_user\": {\"display_name\": \"flopinio\", \"always_online\": true},\n"
        "    \"app_home\": {\"home_tab_enabled\": true, \"messages_tab_enabled\": true},\n"
        "    \"slash_commands\": [{\"command\": \"/flopinio\", \"description\": \"Calls that wait "
        "for a decision\", \"usage_hint\": \"pending | stop NAME | link CODE\", "
        "\"should_escape\": false%s}]\n"
        "  },\n"
        "  \"oauth_config\": {\"scopes\": {\"bot\": [\"chat:write\", \"im:write\", "
        "\"users:read\", \"commands\", \"channels:read\", \"groups:read\"]}},\n"
        "  \"settings\": {\n"
        "    \"interactivity\": {\"is_enabled\": true%s},\n"
        "    \"event_subscriptions\": {\"bot_events\": [\"app_home_opened\", \"channel_shared\", "
        "\"channel_unshared\", \"channel_archive\", \"channel_unarchive\", "
        "\"channel_deleted\", \"channel_left\", \"group_archive\", \"group_unarchive\", "
        "\"group_deleted\", \"group_left\", \"user_change\"]%s},\n"
        "    \"socket_mode_enabled\": %s,\n"
        "    \"org_deploy_enabled\": false,\n"
        "    \"token_rotation_enabled\": false\n"
        "  }\n"
        "}",
        slack_url(cli, "url", base, path), slack_url(cli, "request_url", base, path),
        slack_url(cli, "request_url", base, path), base ? "false" : "true");
    return FL_EXIT_DONE;
}

static const struct fl_cli_flag manifest_flags[] = {
    { "public-url", "URL", "how Slack reaches this installation; without it: Socket Mode", 0 },
    { .name = NULL }
};

#define COMMON_FLAGS                                                                               \
    { "secret", "NAME=FILE", "a secret, read from a file (- is standard input)", FL_FLAG_MANY },   \
        { "config", "JSON", "its settings, or @FILE with them", 0 },                               \
    {                                                                                              \
        "disclose", "full|summary", "summary: no arguments leave for it, and no Approve there", 0  \
    }

static const struct fl_cli_flag add_flags[] = { { "kind", "telegram|slack|mail", "what it is",
                                                  FL_FLAG_REQUIRED },
                                                COMMON_FLAGS,
                                                { .name = NULL } };
static const struct fl_cli_flag set_flags[] = { COMMON_FLAGS,
                                                { "enabled", "yes|no", "whether it is used", 0 },
                                                { .name = NULL } };

const struct fl_cli_command fl_cmd_channel[] = {
    { "channel add", "NAME", "adds a chat, or mail, to which cards go",
      "Secrets are stored encrypted and never printed. Without chats in its settings, cards go to "
      "each person's own chat.\n"
      "  flopinio channel add ops-telegram --kind telegram --secret token=/etc/flopinio/bot-token",
      FL_CLI_ORG, add_flags, channel_add },
    { "channel list", "", "lists channels and how they are", NULL, FL_CLI_ORG, NULL, channel_list },
    { "channel set", "NAME", "changes a channel",
      "All of its settings, or all of its secrets, at once.", FL_CLI_ORG, set_flags, channel_set },
    { "channel remove", "NAME", "removes a channel", NULL, FL_CLI_ORG, NULL, channel_remove },
    { "channel slack-manifest", "NAME", "prints the manifest of a Slack app for this channel",
      "To be pasted where Slack makes an app from a manifest. The channel need not be there yet.",
      FL_CLI_ORG, manifest_flags, channel_slack_manifest },
    { "channel test", "NAME", "sends a test card and waits for the click", NULL, FL_CLI_ORG, NULL,
      channel_test },
    { .name = NULL }
};
