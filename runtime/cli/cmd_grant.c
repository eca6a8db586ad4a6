/* Grants: calls like one that was shown run without asking, for a while and so many times. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/cli/cli_card.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cmd_decide.h"

static int make(struct fl_cli *cli, const char *id, const json_t *approval)
{
    json_t *answer = NULL, *body = json_object(), *pins = fl_cli_list(cli, "pin");
    const char *uses = fl_cli_flag(cli, "uses"), *time = fl_cli_flag(cli, "for");
    char *end;
    errno = 0;
    long count = strtol(uses, &end, 10);
    if (*end || end == uses || errno) {
        json_decref(body);
        json_decref(pins);
        return fl_cli_wrong(cli, "--uses is a number, 1 to 1000");
    }
    fl_cli_put(body, "approval", id);
    fl_cli_put(body, "binding", json_string_value(json_object_get(approval, "binding")));
    fl_cli_put(body, "for", time);
    json_object_set_new(body, "uses", json_integer(count));
    json_object_set_new(body, "pins", pins);
    fl_cli_put_flag(cli, body, "reason", "reason");
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/grants"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s: such calls of %s run without asking, for %s or %ld times",
                   fl_cli_member(cli, answer, "id"), fl_cli_member(cli, approval, "agent"),
                   fl_cli_text(cli, time), count);
    json_decref(answer);
    return status;
}

static int create(struct fl_cli *cli)
{
    json_t *approval = NULL;
    const char *id = NULL;
    int status = fl_decide_need_person(cli);
    if (status == FL_EXIT_DONE)
        status = fl_card_find(cli, fl_cli_flag(cli, "from"), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &approval);
    if (status)
        return status;
    fl_decide_show_card(cli, approval);
    status = fl_decide_is_confirmed(cli, fl_cli_has(cli, "pin")
                                             ? "Let it run unasked, also with other values of what "
                                               "is not pinned? [y/N] "
                                             : "Let exactly this run unasked? [y/N] ")
                 ? make(cli, id, approval)
                 : fl_cli_fail(cli, FL_EXIT_FAILED, "nothing was granted");
    json_decref(approval);
    return status;
}

static int list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/grants"),
                            "ID=id STATE=state AGENT=agent TOOL=tool:k PINNED=pins USED=used "
                            "OF=uses LEFT=expires_at:left BY=by ?RULE=rule ?REASON=reason",
                            "no grants");
}

static int revoke(struct fl_cli *cli)
{
    int status = fl_cli_ask(
        cli, "DELETE", fl_cli_path(cli, "/orgs/{org}/grants/{}", fl_cli_arg(cli, 0)), NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "revoked; what it let through and was not sent yet does not run");
    return status;
}

static const struct fl_cli_flag create_flags[] = {
    { "from", "ID", "the approval whose call is to run again", FL_FLAG_REQUIRED },
    { "for", "TIME", "how long, 1m to 24h", FL_FLAG_REQUIRED },
    { "uses", "N", "how many times, 1 to 1000", FL_FLAG_REQUIRED },
    { "pin", "POINTER", "only this argument must be the same (/path); without, all of them",
      FL_FLAG_MANY },
    { "reason", "TEXT", "why, for the record", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_grant[] = {
    { "grant create", "", "lets calls like one that you are shown run without asking",
      "Only an administrator whose approval alone would be enough for that call, for its agent and "
      "tool, while policy, tool and server stay as they are. With --pin the other arguments may "
      "have other values, but there may be no other ones.\n"
      "  flopinio grant create --from 4f2a --for 1h --uses 5\n"
      "  flopinio grant create --from 4f2a --for 8h --uses 50 --pin /path",
      FL_CLI_ORG, create_flags, create },
    { "grant list", "", "lists grants, also those that ended within a day", NULL, FL_CLI_ORG, NULL,
      list },
    { "grant revoke", "ID", "revokes a grant, at once", NULL, FL_CLI_ORG, NULL, revoke },
    { .name = NULL }
};
