/* Stopping and resuming calls. */
#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

#define SCOPES "org|group|server|agent|person|tool"

static bool is_moving(const json_t *answer)
{
    struct fl_str state = fl_json_get_str(answer, "state");
    return fl_str_is(state, "stopping") || fl_str_is(state, "resuming");
}

static int stop(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *scope = fl_cli_arg(cli, 0), *name = fl_cli_arg(cli, 1);
    fl_cli_put(body, "scope", scope);
    fl_cli_put(body, "name", name);
    fl_cli_put_flag(cli, body, "reason", "reason");
    fl_cli_put_flag(cli, body, "for", "for");
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/stops"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        const json_t *in_flight = json_object_get(answer, "in_flight");
        const char *time = fl_cli_flag(cli, "for");
        fl_cli_say(cli, "%s %s is stopped, reads too, %s%s%suntil flopinio resume %s %s", scope,
                   fl_cli_text(cli, name), time ? "for " : "", time ? fl_cli_text(cli, time) : "",
                   time ? " or " : "", scope, fl_cli_text(cli, name));
        if (is_moving(answer))
            fl_cli_say(
                cli, "what waits is being frozen, and neither runs nor expires meanwhile: flopinio "
                     "stops says how many are left");
        if (json_array_size(in_flight) > 0) {
            fl_cli_say(cli, "\nSent before that; these may still happen:");
            fl_cli_table(cli, "ID=id:id TOOL=tool AGENT=agent SENT=sent_at:t", in_flight, "");
        }
    }
    json_decref(answer);
    return status;
}

static int stops(struct fl_cli *cli)
{
    return fl_cli_show_list(
        cli, fl_cli_path(cli, "/orgs/{org}/stops"),
        "SCOPE=scope NAME=name:k REASON=reason ENDS_IN=until:left STATE=state LEFT=left SET_BY=set_by "
        "?SET=set_at:t",
        "nothing is stopped");
}

static int resume(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *scope = fl_cli_arg(cli, 0), *name = fl_cli_arg(cli, 1);
    fl_cli_put(body, "scope", scope);
    fl_cli_put(body, "name", name);
    int status =
        fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/stops/resume"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_say(cli, "%s %s goes on", scope, fl_cli_text(cli, name));
        if (is_moving(answer))
            fl_cli_say(cli,
                       "what waited follows, one after the other, each with the time that it had: "
                       "flopinio stops says how many are left");
    }
    json_decref(answer);
    return status;
}

static const struct fl_cli_flag stop_flags[] = {
    { "reason", "TEXT", "why; agents and people are told", FL_FLAG_REQUIRED },
    { "for", "TIME", "ends by itself: 2h", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_stop[] = {
    { "stop", SCOPES " NAME", "stops every call of something, within a second",
      "Reads too; connections are closed and deadlines stand still. Names what was sent already. Who "
      "may decide may stop, and so may the host's operator; resuming needs an administrator.\n"
      "  flopinio stop agent builder --reason \"deletes too much\" --for 2h",
      FL_CLI_ORG, stop_flags, stop },
    { "stops", "", "lists what is stopped",
      "Where very many calls wait, their deadlines are frozen behind the stop (STATE stopping) and run "
      "on behind its end (resuming): LEFT says how many are to come. They do not run meanwhile, and "
      "do not expire.",
      FL_CLI_ORG, NULL, stops },
    { "resume", SCOPES " NAME", "lifts a stop",
      "What waited keeps the time that it had. Where it is very many they follow one after the other; "
      "see flopinio stops.",
      FL_CLI_ORG, NULL, resume },
    { .name = NULL }
};
