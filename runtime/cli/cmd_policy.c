/* The policy of an organization. */
#include <string.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

#define DOCUMENT_MAX (4 << 20)

static bool put_document(struct fl_cli *cli, json_t *body, const char *file)
{
    struct fl_str text;
    if (!fl_cli_file(cli, file, DOCUMENT_MAX, &text))
        return false;
    json_t *value = fl_json_new_str(text);
    if (!value)
        fl_cli_fail(cli, FL_EXIT_FAILED, "%s is not UTF-8", fl_cli_text(cli, file));
    else
        json_object_set_new(body, "document", value);
    return value != NULL;
}

/* ---------------------------------------------------------------- looking */
static int policy_show(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *version = fl_cli_flag(cli, "version");
    const char *path = version ? fl_cli_path(cli, "/orgs/{org}/policy?version={}", version)
                               : fl_cli_path(cli, "/orgs/{org}/policy");
    int status = fl_cli_ask(cli, "GET", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (isatty(STDOUT_FILENO)) {
            fl_print_object(&cli->out,
                            "#_version=version #_applied_by=applied_by #_applied_at=applied_at:t "
                            "#_note=note",
                            answer, 0);
            fl_print_lines(&cli->out, fl_json_get_str(answer, "document"), 0);
        } else { /* a file of it is the document, byte for byte */
            fl_buf_str(&cli->out, fl_json_get_str(answer, "document"));
        }
    }
    json_decref(answer);
    return status;
}

static int policy_versions(struct fl_cli *cli)
{
    return fl_cli_show_list(cli, fl_cli_path(cli, "/orgs/{org}/policy/versions"),
                            "VERSION=version APPLIED_BY=applied_by APPLIED_AT=applied_at:t "
                            "NOTE=note",
                            "there is no policy: everything is denied");
}

/* ---------------------------------------------------------------- applying */
static int policy_apply(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *expected = fl_cli_flag(cli, "expected");
    bool is_dry = fl_cli_has(cli, "dry-run");
    long long version = 0;
    if (expected && (!fl_str_to_i64(fl_str_of(expected), &version) || version < 0)) {
        json_decref(body);
        return fl_cli_wrong(cli, "--expected must be a version's number");
    }
    if (!put_document(cli, body, fl_cli_arg(cli, 0))) {
        json_decref(body);
        return FL_EXIT_FAILED;
    }
    fl_cli_put_flag(cli, body, "note", "note");
    json_object_set_new(body, "dry_run", json_boolean(is_dry));
    if (expected)
        json_object_set_new(body, "expected", json_integer(version));
    int status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/policy"), body, &answer);
    if (status == FL_EXIT_FAILED && cli->status == 400)
        fl_cli_refused_findings(cli);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        struct fl_str diff = fl_json_get_str(answer, "diff");
        fl_cli_findings(cli, answer);
        fl_print_lines(&cli->out, diff, 0);
        fl_cli_say(cli, "%s%sversion %lld is in force", diff.n ? "" : "no changes; ",
                   is_dry ? "not applied (--dry-run); " : "",
                   (long long)json_integer_value(json_object_get(answer, "version")));
    }
    json_decref(answer);
    return status;
}

static int policy_check(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    const char *file = fl_cli_arg(cli, 0);
    if (file && !put_document(cli, body, file)) {
        json_decref(body);
        return FL_EXIT_FAILED;
    }
    int status =
        fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/policy/check"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        fl_cli_findings(cli, answer);
        if (json_array_size(json_object_get(answer, "findings")) == 0)
            fl_cli_say(cli, "nothing to mention");
    }
    if (status == FL_EXIT_DONE && json_integer_value(json_object_get(answer, "errors")) > 0)
        status = FL_EXIT_FAILED;
    json_decref(answer);
    return status;
}

static int policy_test(struct fl_cli *cli)
{
    json_t *answer = NULL, *body = json_object();
    json_t *call = fl_cli_json_arg(cli, "--call", fl_cli_flag(cli, "call"));
    const char *file = fl_cli_arg(cli, 0);
    if (!call || (file && !put_document(cli, body, file))) {
        json_decref(body);
        json_decref(call);
        return call ? FL_EXIT_FAILED : FL_EXIT_USAGE;
    }
    json_object_set_new(body, "call", call);
    int status =
        fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/policy/test"), body, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        const char *rule = fl_cli_member(cli, answer, "rule");
        fl_cli_say(cli, "%s%s%s: %s", fl_cli_member(cli, answer, "effect"),
                   *rule ? " by rule " : "", rule, fl_cli_member(cli, answer, "text"));
        fl_print_lines(&cli->out, fl_json_get_str(answer, "explanation"), 2);
    }
    json_decref(answer);
    return status;
}

static const struct fl_cli_flag show_flags[] = {
    { "version", "N", "an earlier one (flopinio policy versions)", 0 }, { .name = NULL }
};
static const struct fl_cli_flag apply_flags[] = {
    { "dry-run", NULL, "show findings and changes, apply nothing", 0 },
    { "note", "TEXT", "why, for whoever reads the versions", 0 },
    { "expected", "N", "only if this version is in force", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag test_flags[] = {
    { "call", "JSON", "the call, or @FILE: {\"tool\": ..., \"agent\": ..., \"arguments\": {}}",
      FL_FLAG_REQUIRED },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_policy[] = {
    { "policy show", "", "prints the policy in force", NULL, FL_CLI_ORG, show_flags, policy_show },
    { "policy apply", "FILE", "puts a policy in force",
      "Shows what was found in it and what changes. A policy with errors is refused and the one in "
      "force stays. \"-\" reads standard input.",
      FL_CLI_ORG, apply_flags, policy_apply },
    { "policy check", "[FILE]", "looks for mistakes in a file, or in the policy in force",
      "Rules that are never reached, that reach nobody, tools without a rule, arguments that a tool "
      "does not have. Exit status 1 when there are errors.",
      FL_CLI_ORG, NULL, policy_check },
    { "policy test", "[FILE]", "says what would happen to a call, and why",
      "By the file, or by the policy in force. Nothing is called.\n"
      "  flopinio policy test policy.yaml --call '{\"tool\": \"files__write\"}'",
      FL_CLI_ORG, test_flags, policy_test },
    { "policy versions", "", "lists the policies that were in force", NULL, FL_CLI_ORG, NULL,
      policy_versions },
    { .name = NULL }
};
