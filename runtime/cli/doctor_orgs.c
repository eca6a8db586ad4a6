/* doctor's questions to a running installation, as the operator on the control socket: what each
 * organization's policy can and cannot do with the people and tools that there are. */
#include <string.h>

#include "runtime/cli/cmd_channel.h"
#include "runtime/cli/doctor.h"

#define ADD_SCOPES                                                                                 \
    "add them to the app, as flopinio channel slack-manifest NAME has them, and install it again"

static bool ask(struct fl_doctor *d, const char *path, json_t **ret)
{
    struct fl_cli *cli = d->cli;
    cli->is_quiet = true;
    bool is_fine = path && fl_cli_look(cli, path, ret) == FL_EXIT_DONE;
    cli->is_quiet = false;
    return is_fine;
}

/* A finding of the policy's check. */
static void say_finding(struct fl_doctor *d, const json_t *f)
{
    const char *rule = json_string_value(json_object_get(f, "rule"));
    const char *text = json_string_value(json_object_get(f, "text"));
    const char *severity = json_string_value(json_object_get(f, "severity"));
    bool is_error = severity && strcmp(severity, "error") == 0;
    bool has_rule = rule && *rule;
    fl_doctor_say(d, "policy", is_error ? FL_DOCTOR_FAIL : FL_DOCTOR_WARN,
                  "flopinio policy show > FILE, change it, flopinio policy apply FILE",
                  "%s: %s%s%s%s", d->cli->org, has_rule ? "rule " : "", has_rule ? rule : "",
                  has_rule ? ": " : "", text ? text : "");
}

static void check_policy(struct fl_doctor *d, json_int_t version)
{
    json_t *answer = NULL;
    size_t i;
    json_t *f;
    if (version == 0) {
        fl_doctor_say(d, "policy", FL_DOCTOR_WARN, "flopinio policy apply FILE",
                      "%s has no policy: everything is denied", d->cli->org);
        return;
    }
    if (!ask(d, fl_cli_path(d->cli, "/orgs/{org}/policy/check"), &answer)) {
        fl_doctor_say(d, "policy", FL_DOCTOR_FAIL,
                      "flopinio policy apply FILE, with one that loads", "%s: %s", d->cli->org,
                      d->cli->trouble);
        return;
    }
    const json_t *findings = json_object_get(answer, "findings");
    json_array_foreach (findings, i, f)
        say_finding(d, f);
    if (json_array_size(findings) == 0)
        fl_doctor_say(d, "policy", FL_DOCTOR_OK, NULL,
                      "%s: version %lld, every rule can be decided, every tool has one",
                      d->cli->org, (long long)version);
    json_decref(answer);
}

static void check_tools(struct fl_doctor *d)
{
    json_t *answer = NULL;
    size_t i, waiting = 0;
    json_t *tool;
    if (!ask(d, fl_cli_path(d->cli, "/orgs/{org}/tools"), &answer))
        return;
    json_array_foreach (json_object_get(answer, "items"), i, tool) {
        const char *state = json_string_value(json_object_get(tool, "state"));
        waiting += state && (strcmp(state, "new") == 0 || strcmp(state, "changed") == 0);
    }
    if (waiting)
        fl_doctor_say(d, "tools", FL_DOCTOR_WARN, "flopinio tool list, then flopinio tool accept",
                      "%s: %zu new or changed tools are denied until somebody accepts them",
                      d->cli->org, waiting);
    json_decref(answer);
}

static void check_servers(struct fl_doctor *d)
{
    json_t *answer = NULL;
    size_t i;
    json_t *server;
    if (!ask(d, fl_cli_path(d->cli, "/orgs/{org}/servers"), &answer))
        return;
    json_array_foreach (json_object_get(answer, "items"), i, server) {
        const char *note = json_string_value(json_object_get(server, "note"));
        const char *name = json_string_value(json_object_get(server, "name"));
        const char *closed = json_string_value(json_object_get(server, "closed"));
        if (!name || !json_is_true(json_object_get(server, "is_enabled")))
            continue;
        if (closed)
            fl_doctor_say(
                d, "servers", FL_DOCTOR_FAIL,
                "move what it needs to a folder outside of that, for instance /srv, then: "
                "flopinio server set NAME --config JSON; or --enabled no",
                "%s: %s cannot start: %s", d->cli->org, name, closed);
        else if (note && *note)
            fl_doctor_say(d, "servers", FL_DOCTOR_WARN,
                          "flopinio server set NAME --config JSON, or mend the plugin, then: "
                          "flopinio server refresh NAME",
                          "%s: %s: %s", d->cli->org, name, note);
    }
    json_decref(answer);
}

/* What a channel's app lacks. Without the history it works as many want it to. */
static void check_channels(struct fl_doctor *d)
{
    json_t *answer = NULL;
    size_t i;
    json_t *channel;
    if (!ask(d, fl_cli_path(d->cli, "/orgs/{org}/channels"), &answer))
        return;
    json_array_foreach (json_object_get(answer, "items"), i, channel) {
        const char *name = fl_cli_member(d->cli, channel, "name");
        const char *needed = fl_channel_lacks(d->cli, channel, false);
        const char *history = fl_channel_lacks(d->cli, channel, true);
        if (!json_is_true(json_object_get(channel, "is_enabled")))
            continue;
        if (*needed)
            fl_doctor_say(d, "channels", FL_DOCTOR_WARN, ADD_SCOPES,
                          "%s: the app of %s has no %s, which it needs", d->cli->org, name, needed);
        if (*history)
            fl_doctor_say(d, "channels", FL_DOCTOR_OK, ADD_SCOPES "; or leave it so",
                          "%s: the app of %s has no %s: " FL_CHANNEL_WITHOUT_HISTORY, d->cli->org,
                          name, history);
    }
    json_decref(answer);
}

static void check_canaries(struct fl_doctor *d)
{
    json_t *answer = NULL;
    size_t i;
    json_t *canary;
    if (!ask(d, fl_cli_path(d->cli, "/orgs/{org}/canaries"), &answer))
        return;
    json_array_foreach (json_object_get(answer, "items"), i, canary) {
        const char *note = fl_cli_member(d->cli, canary, "note");
        if (*note)
            fl_doctor_say(d, "canaries", FL_DOCTOR_WARN,
                          "flopinio canary set NAME, with a call that is held, or flopinio canary "
                          "remove NAME",
                          "%s: %s was not sent: %s", d->cli->org,
                          fl_cli_member(d->cli, canary, "name"), note);
    }
    json_decref(answer);
}

void fl_doctor_organizations(struct fl_doctor *d)
{
    json_t *orgs = NULL;
    size_t i;
    json_t *org;
    if (!d->is_running) {
        if (d->is_foreign)
            fl_doctor_say(d, "policy", FL_DOCTOR_SKIP,
                          "run doctor as the installation's user, or as root",
                          "this user cannot reach the control socket");
        else
            fl_doctor_say(d, "policy", FL_DOCTOR_SKIP, "flopinio serve, then doctor again",
                          "the installation does not run");
        return;
    }
    if (!ask(d, "/orgs", &orgs)) {
        fl_doctor_say(d, "policy", FL_DOCTOR_SKIP, NULL, "%s", d->cli->trouble);
        return;
    }
    json_array_foreach (json_object_get(orgs, "items"), i, org) {
        d->cli->org = fl_cli_member(d->cli, org, "name");
        check_policy(d, json_integer_value(json_object_get(org, "policy_version")));
        check_tools(d);
        check_servers(d);
        check_channels(d);
        check_canaries(d);
    }
    if (json_array_size(json_object_get(orgs, "items")) == 0)
        fl_doctor_say(d, "policy", FL_DOCTOR_WARN, "flopinio init", "there is no organization yet");
    json_decref(orgs);
}
