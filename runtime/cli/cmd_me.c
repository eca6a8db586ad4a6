/* What people do about themselves: second factor, personal tokens. */
#include <string.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/crypto/secret.h"

/* These are about whoever signs in; a token may not do them. */
static int need_person(struct fl_cli *cli)
{
    if (fl_cli_flag(cli, "as"))
        return FL_EXIT_DONE;
    return fl_cli_wrong(cli, "say who you are with --as NAME; your passphrase is asked");
}

static int whoami(struct fl_cli *cli)
{
    json_t *answer = NULL;
    int status = fl_cli_ask(cli, "GET", "/me", NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (json_is_true(json_object_get(answer, "is_operator")))
            fl_cli_say(cli, "the operator of this host: may always read and stop, never decide");
        fl_print_object(&cli->out,
                        "name=name full_name=display_name scopes=scopes "
                        "second_factor=has_second_factor",
                        answer, 0);
        if (json_array_size(json_object_get(answer, "organizations")) > 0)
            fl_print_table(&cli->out, "ORGANIZATION=name:k TITLE=title ROLE=role",
                           json_object_get(answer, "organizations"), 0, 0);
    }
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- second factor */
static int totp_enable(struct fl_cli *cli)
{
    char typed[1024] = "";
    json_t *answer = NULL, *body;
    int status = need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "POST", "/me/totp", json_object(), &answer);
    if (status)
        return status;
    fl_cli_say(cli, "Give this to your authenticator:");
    fl_cli_say(cli, "  %s", fl_cli_member(cli, answer, "uri"));
    fl_cli_say(cli, "  (typed by hand: %s)", fl_cli_member(cli, answer, "secret"));
    status = fl_cli_secret(cli, "Code that it shows now: ", typed);
    if (status == FL_EXIT_DONE) {
        body = json_object();
        fl_cli_put(body, "secret", json_string_value(json_object_get(answer, "secret")));
        fl_cli_put(body, "code", typed);
        status = fl_cli_ask(cli, "POST", "/me/totp/confirm", body, NULL);
    }
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "from now on your passphrase needs a code as well");
    json_decref(answer);
    return status;
}

static int totp_disable(struct fl_cli *cli)
{
    int status = need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "DELETE", "/me/totp", NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "from now on your passphrase is enough");
    return status;
}

/* ---------------------------------------------------------------- tokens */
static int token_create(struct fl_cli *cli)
{
    json_t *answer = NULL, *body;
    int status = need_person(cli);
    if (status)
        return status;
    body = json_object();
    fl_cli_put(body, "name", fl_cli_arg(cli, 0));
    json_object_set_new(body, "scopes", fl_cli_list(cli, "scope"));
    fl_cli_put_flag(cli, body, "expires", "expires");
    status = fl_cli_ask(cli, "POST", "/me/tokens", body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "%s", fl_cli_member(cli, answer, "token"));
        fprintf(stderr, "This is shown once. Use it as FLOPINIO_TOKEN; good until %s.\n",
                fl_cli_member(cli, answer, "expires_at"));
    }
    json_decref(answer);
    return status;
}

static int token_list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, "/me/tokens",
                            "ID=id:k NAME=name SCOPES=scopes USABLE=is_usable EXPIRES=expires_at:t",
                            "you have no tokens");
}

static int token_revoke(struct fl_cli *cli)
{
    const char *id = fl_cli_arg(cli, 0);
    if (!id && !fl_cli_has(cli, "all"))
        return fl_cli_wrong(cli, "say which: ID, or --all");
    int status = fl_cli_ask(cli, "DELETE",
                            id ? fl_cli_path(cli, "/me/tokens/{}", id) : "/me/tokens", NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, id ? "revoked" : "all your tokens are revoked");
    return status;
}

static const struct fl_cli_flag token_flags[] = {
    { "scope", "read|decide|admin",
      "what it may be used for: read; decide (at most 24 h); admin (all that your role allows)",
      FL_FLAG_MANY | FL_FLAG_REQUIRED },
    { "expires", "TIME", "8h, 30d; at most 24h with decide, else 90d", FL_FLAG_REQUIRED },
    { .name = NULL }
};
static const struct fl_cli_flag revoke_flags[] = { { "all", NULL, "every one of yours", 0 },
                                                   { .name = NULL } };

const struct fl_cli_command fl_cmd_me[] = {
    { "whoami", "", "says who the runtime takes you for", NULL, FL_CLI_API, NULL, whoami },
    { "user totp enable", "", "makes a code of your authenticator necessary",
      "For --as NAME. Nothing changes until the authenticator's first code was right.", FL_CLI_API,
      NULL, totp_enable },
    { "user totp disable", "", "goes back to the passphrase alone", NULL, FL_CLI_API, NULL,
      totp_disable },
    { "user token create", "NAME", "makes a personal token and prints it once",
      "For --as NAME. Whoever can read the token is you, an agent on the same account too: a token "
      "with the scope decide is for machines where no agent runs.\n"
      "  flopinio user token create laptop --scope read --expires 30d --as ana",
      FL_CLI_API, token_flags, token_create },
    { "user token list", "", "lists your tokens", NULL, FL_CLI_API, NULL, token_list },
    { "user token revoke", "[ID]", "ends a token of yours, or all", NULL, FL_CLI_API, revoke_flags,
      token_revoke },
    { .name = NULL }
};
