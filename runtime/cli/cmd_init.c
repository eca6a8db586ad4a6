/* `flopinio init`: an installation that somebody can begin to work with: its data directory, a
 * first organization, its owner with a passphrase, a starter policy. By the REST API as the
 * operator, whose authority ends with the last step, the passphrase. What is there already is left
 * as it is, so that an init that was interrupted can be called again. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/policy.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/place.h"
#include "runtime/cli/prepare.h"
#include "runtime/console/valid.h"
#include "runtime/crypto/password.h"
#include "runtime/crypto/secret.h"

#define DEFAULT_ORG "main"

struct init {
    struct fl_cli *cli;
    struct fl_config config;
    struct fl_place place;
    const char *admin;
    bool is_solo, has_org, has_policy, has_person, is_complete;
    char passphrase[1024]; /* empty: not asked yet */
};

/* ---------------------------------------------------------------- names */
/* Whoever sits at the keyboard, as far as their name is one that people may have here. */
static const char *login_name(struct fl_cli *cli)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *pw = getpwuid(getuid());
    const char *name = sudo && *sudo ? sudo : pw ? pw->pw_name : "";
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    bool is_fit = n > 0 && n < 63 && !name[n] && strchr("._-", name[0]) == NULL;
    if (!is_fit || strcmp(name, "root") == 0 || strcmp(name, "flopinio") == 0)
        return "admin";
    return fl_arena_strdup(cli->arena, name);
}

/* ---------------------------------------------------------------- what is there */
static int look_at_people(struct init *in)
{
    json_t *people = NULL;
    size_t i;
    json_t *p;
    int status = fl_cli_look(in->cli, fl_cli_path(in->cli, "/orgs/{org}/people"), &people);
    json_array_foreach (json_object_get(people, "items"), i, p) {
        const char *name = json_string_value(json_object_get(p, "name"));
        const char *role = json_string_value(json_object_get(p, "role"));
        if (name && strcmp(name, in->admin) == 0)
            in->has_person = true;
        else if (status == FL_EXIT_DONE && role && strcmp(role, "owner") == 0 && !in->is_complete)
            status =
                fl_cli_fail(in->cli, FL_EXIT_CONFLICT,
                            "organization %s has the owner %s already, who has no passphrase "
                            "yet; go on with: --admin %s",
                            in->cli->org, fl_cli_text(in->cli, name), fl_cli_text(in->cli, name));
    }
    json_decref(people);
    return status;
}

static int look(struct init *in)
{
    json_t *orgs = NULL, *org = NULL;
    size_t i;
    json_t *o;
    const char *other = NULL;
    int status = fl_cli_look(in->cli, "/orgs", &orgs);
    json_array_foreach (json_object_get(orgs, "items"), i, o) {
        const char *name = json_string_value(json_object_get(o, "name"));
        if (name && strcmp(name, in->cli->org) == 0)
            in->has_org = true;
        else if (name)
            other = fl_cli_text(in->cli, name);
    }
    json_decref(orgs);
    if (status == FL_EXIT_DONE && other && !in->has_org)
        return fl_cli_fail(in->cli, FL_EXIT_CONFLICT,
                           "this installation has the organization %s already; make another one "
                           "with: flopinio org create %s",
                           other, in->cli->org);
    if (status || !in->has_org)
        return status;
    status = fl_cli_look(in->cli, fl_cli_path(in->cli, "/orgs/{org}"), &org);
    in->has_policy = json_integer_value(json_object_get(org, "policy_version")) > 0;
    in->is_complete = json_is_true(json_object_get(org, "has_administrator"));
    json_decref(org);
    return status ? status : look_at_people(in);
}

/* ---------------------------------------------------------------- the steps */
/* Refused here already where it is too weak: nothing was made yet. */
static int ask(struct init *in)
{
    struct fl_err err;
    if (in->passphrase[0])
        return FL_EXIT_DONE;
    int status = fl_cli_new_passphrase(in->cli, in->admin, in->passphrase);
    if (status == FL_EXIT_DONE && fl_pass_policy(fl_str_of(in->passphrase), &err) != FL_OK)
        status = fl_cli_error(in->cli, &err);
    return status;
}

static int make_org(struct init *in)
{
    json_t *body = json_object();
    fl_cli_put(body, "name", in->cli->org);
    fl_cli_put_flag(in->cli, body, "title", "title");
    return in->has_org ? (json_decref(body), FL_EXIT_DONE)
                       : fl_cli_ask(in->cli, "POST", "/orgs", body, NULL);
}

static int make_person(struct init *in)
{
    json_t *body = json_object();
    fl_cli_put(body, "name", in->admin);
    fl_cli_put(body, "role", "owner");
    return in->has_person ? (json_decref(body), FL_EXIT_DONE)
                          : fl_cli_ask(in->cli, "POST", fl_cli_path(in->cli, "/orgs/{org}/people"),
                                       body, NULL);
}

static int make_policy(struct init *in)
{
    json_t *body = json_object();
    fl_cli_put(body, "document", fl_policy_starter(in->is_solo));
    fl_cli_put(body, "note", in->is_solo ? "the starter policy, solo" : "the starter policy");
    json_object_set_new(body, "expected", json_integer(0));
    return in->has_policy ? (json_decref(body), FL_EXIT_DONE)
                          : fl_cli_ask(in->cli, "POST", fl_cli_path(in->cli, "/orgs/{org}/policy"),
                                       body, NULL);
}

static int set_passphrase(struct init *in)
{
    json_t *body = json_object();
    fl_cli_put(body, "passphrase", in->passphrase);
    return fl_cli_ask(in->cli, "POST",
                      fl_cli_path(in->cli, "/orgs/{org}/people/{}/passphrase", in->admin), body,
                      NULL);
}

static int complete(struct init *in)
{
    static int (*const steps[])(struct init *) = { ask, make_org, make_person, make_policy,
                                                   set_passphrase };
    int status = FL_EXIT_DONE;
    for (size_t i = 0; status == FL_EXIT_DONE && i < FL_COUNTOF(steps); i++)
        status = steps[i](in);
    return status;
}

/* ---------------------------------------------------------------- what is said */
static void say_next(struct init *in)
{
    struct fl_cli *cli = in->cli;
    const char *dir = fl_cli_flag(cli, "data-dir");
    const char *at = dir ? fl_arena_printf(cli->arena, " --data-dir=%s", in->config.data_dir) : "";
    const char *as = fl_arena_printf(cli->arena, " --as %s%s", in->admin, at ? at : "");
    if (!at || !as)
        return;
    fl_cli_say(cli, "\nNext:");
    if (in->place.lock_fd >= 0)
        fl_cli_say(cli, "  flopinio serve%s", at);
    if (!in->is_solo)
        fl_cli_say(cli,
                   "  flopinio user create NAME --role approver --ask-passphrase%s\n"
                   "      somebody else has to approve: nobody decides about their own agents",
                   as);
    fl_cli_say(cli,
               "  flopinio server add files --plugin files --config '{\"root\": \"/srv/docs\"}'%s\n"
               "  flopinio tool list%s\n"
               "  flopinio tool accept files__read --read%s\n"
               "  flopinio agent create bot --owner %s --client claude-code%s\n"
               "  FLOPINIO_CREDENTIAL=fla_... flopinio connect --client claude-code%s\n"
               "  flopinio doctor%s",
               as, as, as, in->admin, as, at, at);
}

static void say_done(struct init *in, bool was_complete)
{
    struct fl_cli *cli = in->cli;
    const char *dir = fl_cli_text(cli, in->config.data_dir);
    if (was_complete) {
        fl_cli_say(cli, "organization %s in %s is set up already; nothing was changed", cli->org,
                   dir);
        return;
    }
    fl_cli_say(cli, "organization %s in %s", cli->org, dir);
    fl_cli_say(cli, "owner %s, who signs in with the passphrase", in->admin);
    if (in->has_policy)
        fl_cli_say(cli, "the policy that was there stays");
    else
        fl_cli_say(cli, "policy: accepted reads run, everything else waits for a person%s",
                   in->is_solo ? ", who may be the agent's owner (solo: each such decision is "
                                 "marked)"
                               : "");
    say_next(in);
}

/* ---------------------------------------------------------------- the command */
/* Before anything is made: is there somebody to ask for the passphrase? */
static int ask_first(struct init *in)
{
    char keys[600];
    fl_prepare_keys_path(&in->config, keys, sizeof keys);
    return access(keys, F_OK) == 0 || in->config.database_url[0] ? FL_EXIT_DONE : ask(in);
}

static int run(struct init *in)
{
    struct fl_cli *cli = in->cli;
    struct fl_err err;
    const char *file = fl_cli_flag(cli, "config");
    const char *flags[] = { "--listen=", "--metrics-listen=",
                            fl_arena_printf(cli->arena, "--data-dir=%s", in->config.data_dir),
                            file ? fl_arena_printf(cli->arena, "--config=%s", file) : NULL };
    int status = ask_first(in);
    if (status)
        return status;
    if (!fl_place_is_running(&in->config))
        fprintf(stderr, "flopinio: starting an installation in %s ...\n", in->config.data_dir);
    if (fl_place_open(&in->config, flags, file ? 4 : 3, &in->place, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    status = look(in);
    bool was_complete = in->is_complete;
    if (status == FL_EXIT_DONE && !was_complete)
        status = complete(in);
    if (status == FL_EXIT_DONE)
        say_done(in, was_complete);
    fl_client_free(&cli->client); /* its connection would be waited for */
    fl_place_end(&in->config, &in->place);
    return status;
}

/* Refused before anything is asked or made, which it would all be for nothing. */
static int check_names(struct fl_cli *cli, const char *admin)
{
    const char *title = fl_cli_flag(cli, "title");
    if (!fl_is_name(fl_str_of(cli->org), false))
        return fl_cli_wrong(cli,
                            "--org '%s': an organization's name has 1 to 63 of a-z, 0-9 and '-', "
                            "and starts with a letter or digit",
                            fl_cli_text(cli, cli->org));
    if (!fl_is_name(fl_str_of(admin), true))
        return fl_cli_wrong(cli,
                            "--admin '%s': a person's name has 1 to 63 of a-z, 0-9, '.', '_' and "
                            "'-', and starts with a letter or digit",
                            fl_cli_text(cli, admin));
    if (title && !fl_is_title(fl_str_of(title)))
        return fl_cli_wrong(cli, "--title is one line of at most %d bytes", FL_VALID_TITLE_MAX);
    return FL_EXIT_DONE;
}

static int init(struct fl_cli *cli)
{
    struct init in = { .cli = cli, .is_solo = fl_cli_has(cli, "solo"), .place.lock_fd = -1 };
    struct fl_err err;
    /* This host's, whatever else the environment is set up for. */
    unsetenv("FLOPINIO_URL");
    unsetenv("FLOPINIO_TOKEN");
    cli->org = fl_cli_has(cli, "org") ? fl_cli_flag(cli, "org") : DEFAULT_ORG;
    in.admin = fl_cli_has(cli, "admin") ? fl_cli_flag(cli, "admin") : login_name(cli);
    int status = check_names(cli, in.admin);
    if (status)
        return status;
    if (fl_cli_config(cli, &in.config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    status = run(&in);
    fl_cleanse(in.passphrase, sizeof in.passphrase);
    fl_config_fini(&in.config);
    return status;
}

static const struct fl_cli_flag flags[] = {
    { "org", "NAME", "the organization; main unless said otherwise", 0 },
    { "title", "TEXT", "its name in full", 0 },
    { "admin", "NAME", "its owner; your login unless said otherwise", 0 },
    { "solo", NULL,
      "one person runs this: the agents' owner may decide, and each such decision is "
      "marked",
      0 },
    { "passphrase-fd", "N", "read the owner's passphrase from descriptor N", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_init[] = {
    { "init", "", "makes a first organization, its owner and a policy",
      "Makes the data directory (with a private PostgreSQL unless database_url names one) and in "
      "it an organization, its owner, whose passphrase is asked on the terminal, and a policy that "
      "lets accepted reads run and makes everything else wait. Starts the installation for that if "
      "it does not run. What is there already stays as it is.\n"
      "  flopinio init --org acme --admin ann",
      FL_CLI_HERE, flags, init },
    { .name = NULL }
};
