/* Channels: chats to which cards go, and chat accounts of people. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cmd_channel.h"
#include "runtime/crypto/secret.h"
#include "runtime/notify/slack_app.h"

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

bool fl_channel_put_common(struct fl_cli *cli, json_t *body)
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
    if (!fl_channel_put_common(cli, body))
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
    if (!fl_channel_put_common(cli, body))
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

const char *fl_channel_lacks(struct fl_cli *cli, const json_t *channel, bool is_history)
{
#define X(scope) scope,
    static const char *const history[] = { FL_SLACK_HISTORY_SCOPES(X) };
#undef X
    const json_t *facts = json_object_get(channel, "facts"), *item;
    const char *text = "";
    size_t i;
    json_array_foreach (json_object_get(facts, "missing_scopes"), i, item) {
        bool is_one = false;
        for (size_t k = 0; k < FL_COUNTOF(history); k++)
            is_one |= fl_str_is(fl_json_str(item), history[k]);
        const char *shown = fl_cli_text(cli, json_string_value(item));
        const char *more = is_one == is_history ? fl_arena_printf(cli->arena, "%s%s%s", text,
                                                                  *text ? ", " : "", shown)
                                                : text;
        text = more ? more : text;
    }
    return text;
}

/* When its test button was last pressed; "" never. `ret_lacks` NULL: not asked. */
static int tested_at(struct fl_cli *cli, const char *name, char out[40], const char **ret_lacks)
{
    json_t *answer = NULL, *item;
    size_t i;
    int status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/channels"), NULL, &answer);
    out[0] = 0;
    json_array_foreach (json_object_get(answer, "items"), i, item) {
        struct fl_str at = fl_json_get_str(item, "tested_at");
        bool is_it = fl_str_is(fl_json_get_str(item, "name"), name);
        if (is_it && ret_lacks)
            *ret_lacks = fl_channel_lacks(cli, item, true);
        if (is_it && at.n && at.n < 40) {
            memcpy(out, at.p, at.n);
            out[at.n] = 0;
        }
    }
    json_decref(answer);
    return status;
}

static int channel_test(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0), *lacks = "";
    char before[40], now[40];
    int status = tested_at(cli, name, before, &lacks);
    /* Whole seconds: a press within the same one would not be seen. */
    if (status == FL_EXIT_DONE && before[0])
        sleep(1);
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/channels/{}/test", name),
                            json_object(), NULL);
    if (status != FL_EXIT_DONE || fl_cli_printed_json(cli))
        return status;
    if (*lacks)
        fl_cli_say(cli,
                   "hint: the app has no %s: " FL_CHANNEL_WITHOUT_HISTORY
                   "; flopinio channel slack-manifest %s has them",
                   lacks, fl_cli_text(cli, name));
    fl_cli_say(cli, "a test card is there; press its button (waiting for %d s)", TEST_WAIT_S);
    fl_cli_flush(cli);
    for (int i = 0; i < TEST_WAIT_S; i++) {
        sleep(1);
        status = tested_at(cli, name, now, NULL);
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
    { "channel test", "NAME", "sends a test card and waits for the click", NULL, FL_CLI_ORG, NULL,
      channel_test },
    { .name = NULL }
};
