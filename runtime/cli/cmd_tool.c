/* Tools: what servers offer, and what an operator has accepted. */
#include <string.h>

#include "flopinio/base/json.h"
#include "flopinio/base/yaml.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/cli_secret.h"

static int tool_list(struct fl_cli *cli)
{
    const char *state = fl_cli_flag(cli, "state"), *server = fl_cli_flag(cli, "server");
    return fl_cli_show_list(
        cli,
        fl_cli_path(cli, "/orgs/{org}/tools?state={}&server={}", state ? state : "",
                    server ? server : ""),
        "NAME=name:k STATE=state ACCEPTED_AS=effects ?SAYS_IT_READS=claims_read "
        "?DESTROYS=destroys:b ?TITLE=title",
        "no such tool");
}

/* ---------------------------------------------------------------- showing */
/* A definition as YAML, which reads better than JSON. */
static void put_definition(struct fl_cli *cli, const json_t *definition)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    if (fl_yaml_dump(definition, &text, &err) == FL_OK)
        fl_print_lines(&cli->out, fl_buf_view(&text), 2);
    else
        fl_cli_say(cli, "  %s", fl_cli_text(cli, err.text));
    fl_buf_fini(&text);
}

static void put_tool(struct fl_cli *cli, const json_t *tool)
{
    fl_print_object(&cli->out,
                    "name=name server=server state=state accepted_as=effects "
                    "says_it_reads=claims_read destroys=destroys secrets=secrets title=title "
                    "digest=digest accepted_digest=accepted_digest "
                    "changed=changed_at:t",
                    tool, 0);
}

static int get_tool(struct fl_cli *cli, const char *name, json_t **ret)
{
    return fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/tools/{}", name), NULL, ret);
}

static int tool_show(struct fl_cli *cli)
{
    json_t *tool = NULL;
    int status = get_tool(cli, fl_cli_arg(cli, 0), &tool);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        put_tool(cli, tool);
        fl_cli_say(cli, "definition:");
        put_definition(cli, json_object_get(tool, "definition"));
    }
    json_decref(tool);
    return status;
}

/* ---------------------------------------------------------------- what changed */
struct diff {
    struct fl_cli *cli;
    unsigned count;
};

static void put_change(struct diff *d, char sign, const char *where, const json_t *value)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_json_put(&text, value);
    fl_cli_say(d->cli, "  %c %s: %s", sign, *where ? where : "/",
               fl_cli_text(d->cli, text.p ? text.p : ""));
    fl_buf_fini(&text);
    d->count++;
}

/* Members of `a` that `b` lacks or has otherwise, by their pointers. Depth is bounded by what the
 * REST API's own JSON reader let in. */
static void compare(struct diff *d, const char *where, const json_t *old, const json_t *now)
{
    const char *key;
    json_t *value;
    if (json_equal((json_t *)old, (json_t *)now))
        return;
    if (!json_is_object(old) || !json_is_object(now)) {
        if (old)
            put_change(d, '-', where, old);
        if (now)
            put_change(d, '+', where, now);
        return;
    }
    json_object_foreach ((json_t *)old, key, value) {
        const char *path = fl_arena_printf(d->cli->arena, "%s/%s", where, fl_cli_text(d->cli, key));
        compare(d, path, value, json_object_get(now, key));
    }
    json_object_foreach ((json_t *)now, key, value) {
        const char *path = fl_arena_printf(d->cli->arena, "%s/%s", where, fl_cli_text(d->cli, key));
        if (!json_object_get(old, key))
            put_change(d, '+', path, value);
    }
}

/* What differs from what was accepted; everything of a tool that never was. */
static void put_diff(struct fl_cli *cli, const json_t *tool)
{
    const json_t *old = json_object_get(tool, "accepted_definition");
    struct diff d = { cli, 0 };
    if (json_is_null(old) || !old) {
        fl_cli_say(cli, "never accepted; its definition:");
        put_definition(cli, json_object_get(tool, "definition"));
        return;
    }
    fl_cli_say(cli, "changed since it was accepted:");
    compare(&d, "", old, json_object_get(tool, "definition"));
    if (!d.count)
        fl_cli_say(cli, "  nothing");
}

static int tool_diff(struct fl_cli *cli)
{
    json_t *tool = NULL;
    int status = get_tool(cli, fl_cli_arg(cli, 0), &tool);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        put_tool(cli, tool);
        put_diff(cli, tool);
    }
    json_decref(tool);
    return status;
}

/* ---------------------------------------------------------------- accepting */
/* Shows it, asks where somebody can be asked, and accepts the very definition that was shown. */
static int accept_one(struct fl_cli *cli, const char *name, const char *effects)
{
    json_t *tool = NULL, *body;
    int status = get_tool(cli, name, &tool);
    if (status)
        return status;
    const char *digest = json_string_value(json_object_get(tool, "digest"));
    if (!cli->is_json) {
        put_tool(cli, tool);
        put_diff(cli, tool);
        fl_cli_flush(cli);
    }
    if (fl_cli_may_confirm(cli) && !fl_cli_has(cli, "yes") &&
        !fl_confirm(fl_arena_printf(cli->arena, "Accept %s as a %s? [y/N] ", fl_cli_text(cli, name),
                                    effects))) {
        fl_cli_say(cli, "%s is left as it was", fl_cli_text(cli, name));
        json_decref(tool);
        return FL_EXIT_FAILED;
    }
    body = json_object();
    fl_cli_put(body, "digest", digest);
    fl_cli_put(body, "effects", effects);
    if (fl_cli_has(cli, "secret"))
        json_object_set_new(body, "secrets", fl_cli_list(cli, "secret"));
    json_decref(tool);
    status =
        fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/tools/{}/accept", name), body, NULL);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_say(cli, "%s is accepted as a %s\n", fl_cli_text(cli, name), effects);
    return status;
}

/* As reads only what says itself that it reads: the others are named. */
static int accept_all(struct fl_cli *cli, const char *effects)
{
    json_t *answer = NULL, *tool;
    const char *server = fl_cli_flag(cli, "server");
    size_t i, count = 0, left = 0;
    bool is_read = strcmp(effects, "read") == 0;
    int status = fl_cli_ask(
        cli, "GET", fl_cli_path(cli, "/orgs/{org}/tools?state=new&server={}", server ? server : ""),
        NULL, &answer);
    json_array_foreach (json_object_get(answer, "items"), i, tool) {
        const char *name = json_string_value(json_object_get(tool, "name"));
        if (status)
            break;
        if (is_read && !json_is_true(json_object_get(tool, "claims_read"))) {
            left++;
            continue;
        }
        count++;
        int one = accept_one(cli, name ? name : "", effects);
        status = one == FL_EXIT_FAILED && cli->status == 200 ? FL_EXIT_DONE : one;
    }
    json_decref(answer);
    if (status == FL_EXIT_DONE && !cli->is_json && left)
        fl_cli_say(cli, "%zu new tools do not say that they read and are left as they are", left);
    if (status == FL_EXIT_DONE && !cli->is_json && !count)
        fl_cli_say(cli, "no new tool to accept");
    return status;
}

static int tool_accept(struct fl_cli *cli)
{
    const char *effects = fl_cli_has(cli, "read") ? "read" : "write";
    size_t count = cli->parsed->arg_count;
    bool is_all = fl_cli_has(cli, "all-new");
    int status = FL_EXIT_DONE;
    if (fl_cli_has(cli, "read") == fl_cli_has(cli, "write"))
        return fl_cli_wrong(cli, "say what it is: --read (runs at once where the policy allows it) "
                                 "or --write (waits for a person)");
    if (is_all == (count > 0))
        return fl_cli_wrong(cli, "say which: TOOL..., or --all-new");
    if (is_all)
        return accept_all(cli, effects);
    for (size_t i = 0; i < count && status == FL_EXIT_DONE; i++)
        status = accept_one(cli, fl_cli_arg(cli, i), effects);
    return status;
}

static int tool_quarantine(struct fl_cli *cli)
{
    int status = FL_EXIT_DONE;
    for (size_t i = 0; i < cli->parsed->arg_count && status == FL_EXIT_DONE; i++) {
        const char *name = fl_cli_arg(cli, i);
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/tools/{}/quarantine", name),
                            NULL, NULL);
        if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
            fl_cli_say(cli, "%s is quarantined: its calls are refused", fl_cli_text(cli, name));
    }
    return status;
}

static const struct fl_cli_flag list_flags[] = {
    { "state", "accepted|new|changed|quarantined|gone", "only these", 0 },
    { "server", "NAME", "only those of this server", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag accept_flags[] = {
    { "read", NULL, "it only reads: allowed calls of it run at once", 0 },
    { "write", NULL, "it changes something: calls of it wait for a person", 0 },
    { "secret", "POINTER", "an argument that cards show as a digest, /token", FL_FLAG_MANY },
    { "all-new", NULL, "every new tool; with --read those that say that they read", 0 },
    { "server", "NAME", "with --all-new: only those of this server", 0 },
    { "yes", NULL, "do not ask", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_tool[] = {
    { "tool list", "", "lists tools and whether they are accepted", NULL, FL_CLI_ORG, list_flags,
      tool_list },
    { "tool show", "TOOL", "shows a tool and its definition", NULL, FL_CLI_ORG, NULL, tool_show },
    { "tool diff", "TOOL", "shows what changed since a tool was accepted", NULL, FL_CLI_ORG, NULL,
      tool_diff },
    { "tool accept", "[TOOL...]", "accepts tools as they are now",
      "Shows each definition and accepts that very one: if the server changes it meanwhile, nothing "
      "is accepted. What a tool says of itself does not make it a read; this does.\n"
      "  flopinio tool accept files__read files__list --read\n"
      "  flopinio tool accept files__write --write\n"
      "  flopinio tool accept --all-new --read --server files",
      FL_CLI_ORG, accept_flags, tool_accept },
    { "tool quarantine", "TOOL...", "refuses calls of tools until they are accepted again", NULL,
      FL_CLI_ORG, NULL, tool_quarantine },
    { .name = NULL }
};
