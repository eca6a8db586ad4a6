/* People of an organization. */
#include <stdio.h>
#include <string.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/crypto/secret.h"

static int user_create(struct fl_cli *cli)
{
    char passphrase[1024] = "";
    const char *name = fl_cli_arg(cli, 0);
    json_t *body = json_object();
    int status = FL_EXIT_DONE;
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "display_name", "display-name");
    fl_cli_put_flag(cli, body, "email", "email");
    fl_cli_put_flag(cli, body, "role", "role");
    json_object_set_new(body, "groups", fl_cli_list(cli, "group"));
    if (fl_cli_has(cli, "ask-passphrase")) {
        const char *own;
        status = fl_cli_sign_in(cli, &own);
        if (status == FL_EXIT_DONE)
            status = fl_cli_new_passphrase(cli, name, passphrase);
        fl_cli_put(body, "passphrase", passphrase);
    }
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/people"), body, NULL);
    else
        json_decref(body);
    fl_cleanse(passphrase, sizeof passphrase);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "%s is now in %s as %s", fl_cli_text(cli, name), fl_cli_text(cli, cli->org),
                   fl_cli_flag(cli, "role"));
        if (!fl_cli_has(cli, "ask-passphrase"))
            fl_cli_say(cli, "to sign in they need a passphrase: flopinio user passphrase %s",
                       fl_cli_text(cli, name));
    }
    return status;
}

static int user_list(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/people"),
        "NAME=name:k ROLE=role GROUPS=groups ACTIVE=is_active ?NAME_IN_FULL=display_name ?EMAIL=email",
        "there is nobody yet: flopinio user create NAME --role owner");
}

static int user_set(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    fl_cli_put_flag(cli, body, "role", "role");
    fl_cli_put_flag(cli, body, "display_name", "display-name");
    fl_cli_put_flag(cli, body, "email", "email");
    if (fl_cli_has(cli, "group") || fl_cli_has(cli, "no-group"))
        json_object_set_new(body, "groups", fl_cli_list(cli, "group"));
    int status = fl_cli_ask(
        cli, "PATCH", fl_cli_path(cli, "/orgs/{org}/people/{}", fl_cli_arg(cli, 0)), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "%s changed", fl_cli_text(cli, fl_cli_arg(cli, 0)));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

/* One's own is changed with the old one, which signs in; somebody else's is set anew. */
static int send_passphrase(struct fl_cli *cli, const char *name, bool is_own, const char *old,
                           const char *fresh)
{
    json_t *body = json_object();
    if (!is_own) {
        fl_cli_put(body, "passphrase", fresh);
        return fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/people/{}/passphrase", name),
                          body, NULL);
    }
    fl_cli_put(body, "passphrase", old);
    fl_cli_put(body, "new", fresh);
    return fl_cli_ask(cli, "POST", "/me/passphrase", body, NULL);
}

static int user_passphrase(struct fl_cli *cli)
{
    char fresh[1024] = "";
    const char *name = fl_cli_arg(cli, 0), *as = fl_cli_flag(cli, "as"), *old = NULL;
    bool is_own = as && strcmp(as, name) == 0;
    int status = fl_cli_sign_in(cli, &old);
    if (status == FL_EXIT_DONE)
        status = fl_cli_new_passphrase(cli, name, fresh);
    if (status == FL_EXIT_DONE)
        status = send_passphrase(cli, name, is_own, old, fresh);
    fl_cleanse(fresh, sizeof fresh);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli,
                   is_own ? "your passphrase is changed; your tokens are ended"
                          : "%s has a new passphrase; their tokens are ended",
                   fl_cli_text(cli, name));
    return status;
}

static int user_offboard(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    size_t i;
    json_t *item;
    fl_cli_put_flag(cli, body, "to", "to");
    int status = fl_cli_ask(cli, "POST",
                            fl_cli_path(cli, "/orgs/{org}/people/{}/offboard", fl_cli_arg(cli, 0)),
                            body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "%s has left: %lld tokens revoked, %lld votes withdrawn",
                   fl_cli_text(cli, fl_cli_arg(cli, 0)),
                   (long long)json_integer_value(json_object_get(answer, "tokens_revoked")),
                   (long long)json_integer_value(json_object_get(answer, "votes_withdrawn")));
        json_array_foreach (json_object_get(answer, "agents"), i, item)
            fl_cli_say(cli, "agent %s is %s, its owner is %s", fl_cli_member(cli, item, "name"),
                       fl_cli_member(cli, item, "state"), fl_cli_member(cli, item, "owner"));
        json_array_foreach (json_object_get(answer, "absences"), i, item)
            fl_cli_say(cli,
                       "%s decides for %s until %s, as %s had set: flopinio user away %s --back",
                       fl_cli_member(cli, item, "delegate"), fl_cli_member(cli, item, "person"),
                       fl_cli_member(cli, item, "until"), fl_cli_text(cli, fl_cli_arg(cli, 0)),
                       fl_cli_member(cli, item, "person"));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- chat accounts */
/* One's own, or somebody else's as an administrator. */
static bool is_own(struct fl_cli *cli, const char *name)
{
    const char *as = fl_cli_flag(cli, "as");
    return as && strcmp(as, name) == 0;
}

static int user_link(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *name = fl_cli_arg(cli, 0);
    fl_cli_put_flag(cli, body, "channel", "channel");
    fl_cli_put_flag(cli, body, "address", "address");
    const char *path = is_own(cli, name) ? fl_cli_path(cli, "/orgs/{org}/links")
                                         : fl_cli_path(cli, "/orgs/{org}/people/{}/links", name);
    int status = fl_cli_ask(cli, "POST", path, body, &answer);
    const char *mailed = status == FL_EXIT_DONE ? fl_cli_member(cli, answer, "mailed_to") : "";
    if (*mailed && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli,
                   "a link was mailed to %s: opened there within 24 hours, it links the "
                   "address to %s",
                   mailed, fl_cli_text(cli, name));
    } else if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        const char *url = fl_cli_member(cli, answer, "url");
        fl_cli_say(cli, "for %s alone, once, within 10 minutes:", fl_cli_text(cli, name));
        if (*url)
            fl_cli_say(cli, "  open %s", url);
        if (strcmp(fl_cli_member(cli, answer, "kind"), "slack") == 0)
            fl_cli_say(cli, "  send in Slack: /flopinio link %s",
                       fl_cli_member(cli, answer, "code"));
        else
            fl_cli_say(cli, "  %ssend to the bot, in a private chat: /start %s", *url ? "or " : "",
                       fl_cli_member(cli, answer, "code"));
    }
    json_decref(answer);
    return status;
}

static int user_unlink(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *name = fl_cli_arg(cli, 0);
    const char *path = is_own(cli, name) ? fl_cli_path(cli, "/orgs/{org}/links")
                                         : fl_cli_path(cli, "/orgs/{org}/people/{}/links", name);
    int status = fl_cli_ask(cli, "DELETE", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%lld chat accounts of %s unlinked",
                   (long long)json_integer_value(json_object_get(answer, "unlinked")),
                   fl_cli_text(cli, name));
    json_decref(answer);
    return status;
}

static int user_links(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/links"),
                            "PERSON=person:k KIND=kind ACCOUNT=external SHOWN_AS=display "
                            "LINKED=linked_at:t ?DEAD_SINCE=dead_at:t ?WHY=dead_why",
                            "nobody is linked to a chat yet: flopinio user link NAME --channel X");
}

/* ---------------------------------------------------------------- quiet hours */
static int quiet_list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/quiet"),
                            "PERSON=person:k FROM=from TO=to ZONE=zone NOW=is_quiet",
                            "nobody has quiet hours");
}

static int user_quiet(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0), *hours = fl_cli_arg(cli, 1);
    const char *dash = hours ? strchr(hours, '-') : NULL;
    bool ends = fl_cli_has(cli, "off");
    if (!name)
        return ends ? fl_cli_wrong(cli, "whose quiet hours are to end?") : quiet_list(cli);
    if (ends == (hours != NULL) || (hours && (!dash || !fl_cli_has(cli, "zone"))))
        return fl_cli_wrong(cli, "say hours and --zone, as in 22:00-07:00 --zone Europe/Berlin, or "
                                 "--off");
    const char *path = fl_cli_path(cli, "/orgs/{org}/people/{}/quiet", name);
    json_t *body = ends ? NULL : json_object();
    if (!ends) {
        char from[16];
        snprintf(from, sizeof from, "%.*s", (int)(dash - hours), hours);
        fl_cli_put(body, "from", from);
        fl_cli_put(body, "to", dash + 1);
        fl_cli_put_flag(cli, body, "zone", "zone");
    }
    int status = fl_cli_ask(cli, ends ? "DELETE" : "POST", path, body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli,
                   ends ? "%s may be told at any time"
                        : "%s is not told in their own chats at that time, but of what is urgent",
                   fl_cli_text(cli, name));
    return status;
}

/* ---------------------------------------------------------------- out of office */
static int away_list(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/away"),
        "PERSON=person:k DELEGATE=delegate FROM=from:t UNTIL=until:t NOW=is_now "
        "SET_BY=set_by",
        "nobody is away");
}

static int user_away(struct fl_cli *cli)
{
    const char *name = fl_cli_arg(cli, 0), *delegate = fl_cli_flag(cli, "delegate");
    bool ends = fl_cli_has(cli, "back"), begins = delegate || fl_cli_has(cli, "until");
    json_t *answer = NULL, *body = NULL;
    if (!name)
        return ends || begins ? fl_cli_wrong(cli, "who is away, or back?") : away_list(cli);
    if (ends == begins || (begins && !(delegate && fl_cli_has(cli, "until"))))
        return fl_cli_wrong(cli, "say --until TIME and --delegate PERSON, or --back");
    if (!ends) {
        body = json_object();
        fl_cli_put_flag(cli, body, "from", "from");
        fl_cli_put_flag(cli, body, "until", "until");
        fl_cli_put_flag(cli, body, "delegate", "delegate");
    }
    int status = fl_cli_ask(cli, ends ? "DELETE" : "POST",
                            fl_cli_path(cli, "/orgs/{org}/people/{}/away", name), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (ends)
            fl_cli_say(cli, "%s is back: nobody else decides for them", fl_cli_text(cli, name));
        else
            fl_cli_say(cli, "while %s is away, %s is told and decides for them",
                       fl_cli_text(cli, name), fl_cli_text(cli, delegate));
        fl_cli_findings(cli, answer);
    }
    json_decref(answer);
    return status;
}

#define ROLES "owner|admin|approver|auditor|member"

static const struct fl_cli_flag create_flags[] = {
    { "role", ROLES, "what they may do", FL_FLAG_REQUIRED },
    { "display-name", "TEXT", "their name in full", 0 },
    { "email", "ADDRESS", "where mail reaches them", 0 },
    { "group", "GROUP", "a group that they are in", FL_FLAG_MANY },
    { "ask-passphrase", NULL, "ask for their first passphrase now", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag set_flags[] = {
    { "role", ROLES, "what they may do", 0 },
    { "display-name", "TEXT", "their name in full", 0 },
    { "email", "ADDRESS", "where mail reaches them", 0 },
    { "group", "GROUP", "the groups that they are in from now on", FL_FLAG_MANY },
    { "no-group", NULL, "in no group any more", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag link_flags[] = {
    { "channel", "NAME", "the channel whose bot they will speak to", FL_FLAG_REQUIRED },
    { "address", "ADDRESS", "of a mail channel: which address; else the one that is recorded", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag quiet_flags[] = {
    { "zone", "ZONE", "the time zone of the hours, for instance Europe/Berlin", 0 },
    { "off", NULL, "no quiet hours any more", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag away_flags[] = {
    { "from", "TIME", "when it begins: 2026-12-24T08:00:00Z, or in how long (2h); now if not said",
      0 },
    { "until", "TIME", "when it ends: a time, or in how long (7d)", 0 },
    { "delegate", "PERSON", "who decides meanwhile where they would", 0 },
    { "back", NULL, "it ends now", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag offboard_flags[] = {
    { "to", "PERSON", "who owns their agents from now on; without, the agents stay frozen", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_user[] = {
    { "user create", "NAME", "makes a person, or a member of one who is there",
      "Owners and admins set things up; owners, admins and approvers decide; auditors read; members "
      "own agents.\n"
      "  flopinio user create ana --role approver --group ops --ask-passphrase",
      FL_CLI_ORG, create_flags, user_create },
    { "user list", "", "lists people, their roles and groups", NULL, FL_CLI_ORG, NULL, user_list },
    { "user set", "NAME", "changes a person's role, groups or name", NULL, FL_CLI_ORG, set_flags,
      user_set },
    { "user passphrase", "NAME", "sets a passphrase, asked on the terminal",
      "With --as and the same name it changes your own. An administrator's reset also clears the "
      "authenticator. Whatever the old one opened ends: tokens, review pages, an absence that they "
      "set themselves.",
      FL_CLI_ORG, NULL, user_passphrase },
    { "user offboard", "NAME", "ends everything that a person has here",
      "In one step: tokens are revoked, votes on what has not run yet withdrawn, their agents frozen "
      "or handed on. Names the rules that lose their quorum, and the absences of others that they had "
      "set.",
      FL_CLI_ORG, offboard_flags, user_offboard },
    { "user link", "NAME", "prints a code that links a chat account to a person",
      "With --as and the same name it is your own account. Whoever sends the code to the bot acts as "
      "that person there. A mail channel mails the link, and shows no code.",
      FL_CLI_ORG, link_flags, user_link },
    { "user unlink", "NAME", "ends all chat accounts of a person", NULL, FL_CLI_ORG, NULL,
      user_unlink },
    { "user links", "", "lists chat accounts", NULL, FL_CLI_ORG, NULL, user_links },
    { "user quiet", "[NAME] [HOURS]", "sets when somebody is not to be disturbed, or lists that",
      "In these hours no card and no reminder comes to their own chats, but by rules that say 'urgent'; "
      "what still waits comes afterwards. Your own with --as.\n"
      "  flopinio user quiet ana 22:00-07:00 --zone Europe/Berlin\n"
      "  flopinio user quiet ana --off",
      FL_CLI_ORG, quiet_flags, user_quiet },
    { "user away", "[NAME]", "sets who decides for somebody who is away, or lists that",
      "Cards and reminders go to the delegate, whose vote counts where that of the one who is away "
      "would. It ends by itself, takes the place of one that was set before, and whoever is away by it "
      "is told. Your own with --as; a passphrase is needed, no token. A new passphrase ends what was "
      "set with the old one.\n"
      "  flopinio user away ana --until 7d --delegate bob\n"
      "  flopinio user away ana --back",
      FL_CLI_ORG, away_flags, user_away },
    { .name = NULL }
};
