/* Canaries: calls that nobody makes and that people should reject, to see whether they read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

static int set(struct fl_cli *cli)
{
    const char *hours = fl_cli_flag(cli, "hours"), *dash = strchr(hours, '-');
    const char *often = fl_cli_flag(cli, "per-week");
    char from[16], *end;
    errno = 0;
    long count = strtol(often, &end, 10);
    if (*end || end == often || errno)
        return fl_cli_wrong(cli, "--per-week is a number, 1 to 20");
    if (!dash)
        return fl_cli_wrong(cli, "--hours are two times of one day, as in 09:00-17:00");
    json_t *arguments = fl_cli_json_arg(cli, "--arguments", fl_cli_flag(cli, "arguments"));
    if (!arguments)
        return FL_EXIT_USAGE;
    json_t *body = json_object();
    fl_cli_put(body, "name", fl_cli_arg(cli, 0));
    fl_cli_put_flag(cli, body, "agent", "agent");
    fl_cli_put_flag(cli, body, "tool", "tool");
    json_object_set_new(body, "arguments", arguments);
    json_object_set_new(body, "per_week", json_integer(count));
    if (fl_cli_has(cli, "day"))
        json_object_set_new(body, "days", fl_cli_list(cli, "day"));
    snprintf(from, sizeof from, "%.*s", (int)(dash - hours), hours);
    fl_cli_put(body, "from", from);
    fl_cli_put(body, "to", dash + 1);
    fl_cli_put_flag(cli, body, "zone", "zone");
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/canaries"), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s comes %ld times a week on average; it never runs",
                   fl_cli_text(cli, fl_cli_arg(cli, 0)), count);
    return status;
}

static int list(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/canaries"),
                            "NAME=name:k AGENT=agent TOOL=tool ?ARGUMENTS=arguments "
                            "A_WEEK=per_week DAYS=days FROM=from TO=to ZONE=zone "
                            "?LAST=fired_at:t ?NOT_SENT=note",
                            "no canaries: flopinio canary set NAME");
}

static int report(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *path = fl_cli_has(cli, "since") ? fl_cli_path(cli, "/orgs/{org}/canaries?since={}",
                                                              fl_cli_flag(cli, "since"))
                                                : fl_cli_path(cli, "/orgs/{org}/canaries");
    int status = fl_cli_ask(cli, "GET", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_print_object(&cli->out, "caught=caught approved=approved missed=missed",
                        json_object_get(answer, "total"), 0);
        fl_cli_say(cli, "%s", "");
        fl_cli_table(cli, "PERSON=person:k CAUGHT=caught APPROVED=approved MISSED=missed",
                     json_object_get(answer, "people"), "nobody has decided one");
    }
    json_decref(answer);
    return status;
}

static int fire(struct fl_cli *cli)
{
    json_t *answer = NULL;
    int status = fl_cli_ask(cli, "POST",
                            fl_cli_path(cli, "/orgs/{org}/canaries/{}/fire", fl_cli_arg(cli, 0)),
                            json_object(), &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "people are asked; it is approval %s",
                   fl_cli_member(cli, answer, "approval"));
    json_decref(answer);
    return status;
}

static int drop(struct fl_cli *cli)
{
    int status = fl_cli_ask(
        cli, "DELETE", fl_cli_path(cli, "/orgs/{org}/canaries/{}", fl_cli_arg(cli, 0)), NULL, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "removed; what became of those that were sent stays in the report");
    return status;
}

static const struct fl_cli_flag set_flags[] = {
    { "agent", "NAME", "in whose name it is asked", FL_FLAG_REQUIRED },
    { "tool", "NAME", "for which tool, as agents name it", FL_FLAG_REQUIRED },
    { "arguments", "JSON", "with which arguments: an object, or @FILE; made up, no real secret",
      FL_FLAG_REQUIRED },
    { "per-week", "N", "how often, on average: 1 to 20", FL_FLAG_REQUIRED },
    { "hours", "FROM-TO", "at which time of the day, as in 09:00-17:00", FL_FLAG_REQUIRED },
    { "zone", "ZONE", "the time zone of the hours, for instance Europe/Berlin", FL_FLAG_REQUIRED },
    { "day", "DAY", "on which days: mon, tue, wed ...; Monday to Friday unless said otherwise",
      FL_FLAG_MANY },
    { .name = NULL }
};
static const struct fl_cli_flag report_flags[] = {
    { "since", "TIME", "only of those sent since: 30d, or 2026-11-23T16:30:00Z", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_canary[] = {
    { "canary set", "NAME", "describes a call that nobody makes and people should reject",
      "At unpredictable times of those hours people are asked about it as about any call; it is "
      "never run, whoever approves it. So you see who reads before approving. One waits at a "
      "time. One of that name is set anew.\n"
      "  flopinio canary set wipe --agent builder --tool files__write \\\n"
      "      --arguments '{\"path\": \"customers.csv\", \"content\": \"\"}' --per-week 2 \\\n"
      "      --hours 09:00-17:00 --zone Europe/Berlin",
      FL_CLI_ORG, set_flags, set },
    { "canary list", "", "lists canaries, and why one could not be sent", NULL, FL_CLI_ORG, NULL,
      list },
    { "canary report", "", "tells how many were caught, approved and missed, and by whom", NULL,
      FL_CLI_ORG, report_flags, report },
    { "canary fire", "NAME", "sends one now, whatever the time", NULL, FL_CLI_ORG, NULL, fire },
    { "canary remove", "NAME", "removes a canary; one that waits stays until it is decided", NULL,
      FL_CLI_ORG, NULL, drop },
    { .name = NULL }
};
