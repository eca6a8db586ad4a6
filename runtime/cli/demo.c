/* `flopinio demo`: an installation of its own on loopback, an organization with three people and an
 * agent, and the life of a few calls, told in plain words. It is an ordinary client of what it
 * starts: REST (docs/api.md) for setting up and deciding, MCP over WebSocket for the agent.
 *
 * Here is the list of its steps, and what must come out of each; the rest is in demo_*.c. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/demo_priv.h"

#define PORT      7337
#define REPLY_MS  20000
#define WIDTH_MIN 60
#define WIDTH_MAX 100

volatile sig_atomic_t demo_is_interrupted;

/* ---------------------------------------------------------------- what the agent does */
/* A call that is answered at once. */
static bool ask_agent(struct demo *d, const char *tool, json_t *arguments, json_t **ret)
{
    *ret = NULL;
    if (!demo_agent_call(d, tool, arguments, NULL))
        return false;
    switch (demo_agent_hear(d, REPLY_MS, ret)) {
    case DEMO_ANSWER: return true;
    case DEMO_NOTHING: return demo_fail(d, "the agent had no answer within 20 s");
    default: return false;
    }
}

static bool contains(struct fl_str text, const char *part)
{
    return text.n && memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static bool file_has(struct demo *d, const char *name, const char *part)
{
    struct fl_buf text = FL_BUF_INIT;
    demo_folder_read(d, name, &text);
    bool is_there = contains(fl_buf_view(&text), part);
    fl_buf_fini(&text);
    return is_there;
}

static bool step_read(struct demo *d)
{
    json_t *answer;
    demo_say(d, "It calls files__read on notes.txt. The rule \"reads\" allows that at once.");
    if (!ask_agent(d, "files__read", json_pack("{s:s}", "path", "notes.txt"), &answer))
        return false;
    d->reads++;
    demo_say(d, "The agent is told:");
    demo_quote(d, demo_answer_text(d, answer));
    bool is_fine =
        !demo_answer_is_error(answer) && contains(demo_answer_text(d, answer), "price list");
    json_decref(answer);
    return is_fine || demo_fail(d, "the agent could not read notes.txt");
}

static const struct demo_vote ben_approves[] = { { DEMO_BEN, true, NULL },
                                                 { DEMO_PEOPLE, false, NULL } };
static const struct demo_vote ben_rejects[] = { { DEMO_BEN, false, "ask again on Monday" },
                                                { DEMO_PEOPLE, false, NULL } };
static const struct demo_vote both_approve[] = { { DEMO_BEN, true, "the new list replaces it" },
                                                 { DEMO_CLEO, true, NULL },
                                                 { DEMO_PEOPLE, false, NULL } };

/* What a held call must have come to: done and told so, or not done and told so. */
static bool came_to(struct demo *d, const json_t *answer, bool is_approved, bool is_done)
{
    if (is_done != is_approved)
        return demo_fail(d, is_done ? "it was done without an approval"
                                    : "it was approved and not done");
    if (demo_answer_is_error(answer) == is_approved)
        return demo_fail(d, "the agent was told something else than what happened");
    return true;
}

static bool step_write(struct demo *d)
{
    json_t *answer = NULL;
    bool is_approved = false;
    demo_say(d, "It calls files__edit on prices.txt. The rule \"writes\" holds the call until one "
                "of ops approves.");
    bool is_fine = demo_agent_call(d, "files__edit",
                                   json_pack("{s:s, s:s, s:s}", "path", "prices.txt", "old",
                                             "plums    1.90", "new", "plums    2.20"),
                                   "the supplier raised the price of plums") &&
                   demo_hold(d, ben_approves, &answer, &is_approved) &&
                   came_to(d, answer, is_approved, file_has(d, "prices.txt", "plums    2.20"));
    json_decref(answer);
    if (is_fine)
        demo_say(d, is_approved ? "prices.txt now has the new price." : "prices.txt is as it was.");
    return is_fine;
}

static bool step_rejected(struct demo *d)
{
    json_t *answer = NULL;
    bool is_approved = false;
    demo_say(d, "It calls files__write for a new file, sale.txt. Ben will say no.");
    bool is_fine = demo_agent_call(d, "files__write",
                                   json_pack("{s:s, s:s}", "path", "sale.txt", "content",
                                             "Everything at half price today!\n"),
                                   NULL) &&
                   demo_hold(d, ben_rejects, &answer, &is_approved) &&
                   came_to(d, answer, is_approved, demo_folder_has(d, "sale.txt"));
    if (is_fine && !contains(demo_answer_text(d, answer), "ask again on Monday"))
        is_fine = demo_fail(d, "the agent was not told why it was rejected");
    json_decref(answer);
    if (is_fine)
        demo_say(d, "There is no sale.txt.");
    return is_fine;
}

static bool step_delete(struct demo *d)
{
    json_t *answer = NULL;
    bool is_approved = false;
    demo_say(d, "It calls files__delete on old-prices.txt. The rule \"deletes\" wants two people.");
    bool is_fine = demo_agent_call(d, "files__delete", json_pack("{s:s}", "path", "old-prices.txt"),
                                   "nobody needs last year's prices") &&
                   demo_hold(d, both_approve, &answer, &is_approved) &&
                   came_to(d, answer, is_approved, !demo_folder_has(d, "old-prices.txt"));
    json_decref(answer);
    if (is_fine)
        demo_say(d, is_approved ? "old-prices.txt is gone." : "old-prices.txt is still there.");
    return is_fine;
}

static bool refused(struct demo *d, const char *tool, json_t *arguments, const char *because)
{
    json_t *answer;
    if (!ask_agent(d, tool, arguments, &answer))
        return false;
    d->denied++;
    demo_say(d, "The agent is told:");
    demo_quote(d, demo_answer_text(d, answer));
    bool is_fine = demo_answer_is_error(answer) && contains(demo_answer_text(d, answer), because);
    json_decref(answer);
    return is_fine || demo_fail(d, "%s was not refused as it must be", tool);
}

static bool step_denied(struct demo *d)
{
    demo_say(d, "It calls files__move. No rule before the last one is for that tool:");
    if (!refused(d, "files__move", json_pack("{s:s, s:s}", "from", "prices.txt", "to", "x.txt"),
                 "agents here read, write and delete files, nothing else"))
        return false;
    return demo_folder_has(d, "prices.txt") || demo_fail(d, "a denied call moved prices.txt");
}

static bool step_unknown(struct demo *d)
{
    demo_say(d, "It calls mail__send, which nobody ever offered it:");
    return refused(d, "mail__send", json_pack("{s:s}", "to", "everybody"), "unknown tool");
}

/* ---------------------------------------------------------------- the frame around it */
static bool step_start(struct demo *d)
{
    demo_say(d, "Everything lives in %s, and the agent's folder beside it.", d->options.data_dir);
    if (!demo_place_take(d) || !demo_runtime_start(d) || !demo_place_fill(d))
        return false;
    demo_say(d, "It serves on 127.0.0.1:%d, with a PostgreSQL of its own.", d->port);
    demo_say(d, "Not isolated from the agent: here agent and runtime share an operating-system "
                "user, so whoever drives the agent could also read the runtime's keys and decide. "
                "Approvals in this demo are advisory, and each card says so. docs/security.md "
                "shows how to set it up so that they hold.");
    return true;
}

static bool step_settings(struct demo *d)
{
    return demo_tools(d) && demo_policy(d);
}

static const struct step {
    const char *title;
    bool (*run)(struct demo *d);
    enum { ALWAYS, UNATTENDED, STAYING } when;
} steps[] = {
    { "The runtime starts", step_start, ALWAYS },
    { "An organization, three people, an agent", demo_people, ALWAYS },
    { "Its tools and its policy", step_settings, ALWAYS },
    { "The agent connects", demo_agent_connect, ALWAYS },
    { "The agent reads: allowed", step_read, ALWAYS },
    { "The agent writes: held until a person decides", step_write, ALWAYS },
    { "The agent writes again: rejected, with a reason", step_rejected, UNATTENDED },
    { "The agent deletes: held until two people decide", step_delete, ALWAYS },
    { "The agent tries what the policy denies", step_denied, ALWAYS },
    { "The agent tries a tool that does not exist", step_unknown, ALWAYS },
    { "What the audit says about it", demo_audit, ALWAYS },
    { "Your own client", demo_clients, STAYING },
};

static bool applies(const struct demo *d, const struct step *step)
{
    return step->when == ALWAYS || (step->when == UNATTENDED && d->options.is_unattended) ||
           (step->when == STAYING && !d->options.is_once);
}

static bool run_steps(struct demo *d)
{
    for (size_t i = 0; i < FL_COUNTOF(steps); i++) {
        if (!applies(d, &steps[i]))
            continue;
        demo_title(d, steps[i].title);
        if (!steps[i].run(d) || demo_is_interrupted)
            return false;
    }
    return true;
}

static void on_signal(int number)
{
    FL_UNUSED(number);
    demo_is_interrupted = 1;
}

static void watch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: waits end */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void look_at_terminal(struct demo *d)
{
    struct winsize size;
    bool is_terminal = isatty(1);
    d->width = is_terminal && ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    d->width = d->width < WIDTH_MIN ? WIDTH_MIN : d->width > WIDTH_MAX ? WIDTH_MAX : d->width;
    const char *term = getenv("TERM");
    d->has_colour = is_terminal && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

static int run(struct demo *d)
{
    bool is_fine = run_steps(d);
    if (is_fine && !d->options.is_once) {
        demo_say(d, "Ctrl-C stops it.");
        is_fine = demo_runtime_wait(d);
    } else if (demo_is_interrupted) {
        demo_say(d, "Stopped.");
    }
    if (!is_fine && !demo_is_interrupted)
        fprintf(stderr, "flopinio: the demo ended at step %d: %s\n", d->step, d->err.text);
    fl_ws_client_close(&d->ws);
    fl_fetcher_free(&d->fetcher);
    fl_buf_fini(&d->heard);
    fl_buf_fini(&d->meanwhile);
    demo_runtime_stop(d);
    demo_place_leave(d);
    if (is_fine)
        demo_say(d, d->options.is_unattended ? "Every step ended as it must." : "Stopped.");
    return is_fine ? 0 : demo_is_interrupted ? 130 : 1;
}

/* ---------------------------------------------------------------- options */
static bool default_dir(struct demo_options *o, struct fl_err *err)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME"), *tmp = getenv("TMPDIR");
    int n;
    if (o->is_unattended) {
        n = snprintf(o->data_dir, sizeof o->data_dir, "%s/flopinio-demo-XXXXXX",
                     tmp && tmp[0] == '/' ? tmp : "/tmp");
        o->is_temporary = n < (int)sizeof o->data_dir && mkdtemp(o->data_dir);
        if (!o->is_temporary)
            fl_err_set(err, FL_IO, "could not make a temporary directory: %s", strerror(errno));
        return o->is_temporary;
    }
    if (geteuid() == 0)
        n = snprintf(o->data_dir, sizeof o->data_dir, "/var/lib/flopinio-demo");
    else if (data && data[0] == '/')
        n = snprintf(o->data_dir, sizeof o->data_dir, "%s/flopinio-demo", data);
    else
        n = snprintf(o->data_dir, sizeof o->data_dir, "%s/.local/share/flopinio-demo",
                     home && home[0] == '/' ? home : "/tmp");
    if (n < (int)sizeof o->data_dir)
        return true;
    fl_err_set(err, FL_BAD_PARAMS,
               "the data directory's path is too long; say another with "
               "--data-dir");
    return false;
}

static bool absolute(const char *path, struct demo_options *o, struct fl_err *err)
{
    char here[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(here, sizeof here))
        here[0] = 0;
    int n = snprintf(o->data_dir, sizeof o->data_dir, "%s%s%s", here, here[0] ? "/" : "", path);
    if (path[0] && n < (int)sizeof o->data_dir)
        return true;
    fl_err_set(err, FL_BAD_PARAMS, "--data-dir must be a path of at most %zu characters",
               sizeof o->data_dir - 1);
    return false;
}

static bool read_port(const char *text, struct demo_options *o, struct fl_err *err)
{
    unsigned long long port;
    if (fl_str_to_u64(fl_str_of(text), &port) && port <= 65535) {
        o->port = (int)port;
        return true;
    }
    fl_err_set(err, FL_BAD_PARAMS, "--port must be a number from 0 to 65535");
    return false;
}

static bool read_options(const struct fl_cli *cli, struct demo_options *o, struct fl_err *err)
{
    const char *dir = fl_cli_flag(cli, "data-dir"), *port = fl_cli_flag(cli, "port");
    o->is_unattended = fl_cli_has(cli, "unattended");
    o->is_once = o->is_unattended || fl_cli_has(cli, "once");
    o->port = o->is_unattended ? 0 : PORT;
    return (!port || read_port(port, o, err)) &&
           (dir ? absolute(dir, o, err) : default_dir(o, err));
}

static int demo(struct fl_cli *cli)
{
    static struct demo d; /* large, and one a process */
    d.cli = cli;
    if (!read_options(cli, &d.options, &d.err))
        return d.err.code == FL_BAD_PARAMS ? fl_cli_wrong(cli, "%s", d.err.text)
                                           : fl_cli_error(cli, &d.err);
    ssize_t n = readlink("/proc/self/exe", d.program, sizeof d.program - 1);
    if (n <= 0)
        snprintf(d.program, sizeof d.program, "flopinio");
    look_at_terminal(&d);
    watch_signals();
    return run(&d);
}

static const struct fl_cli_flag flags[] = {
    { "unattended", NULL,
      "decide by itself, for CI: exit status 0 if every step ended as it must; "
      "without --data-dir and --port in a temporary directory, on any port",
      0 },
    { "once", NULL, "end after the steps", 0 },
    { "data-dir", "DIR",
      "where it lives, instead of ~/.local/share/flopinio-demo (as root "
      "/var/lib/flopinio-demo); a directory of other content is not touched",
      0 },
    { "port", "PORT", "on 127.0.0.1; 7337 unless said otherwise, 0 takes any", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_demo[] = {
    { "demo", "", "an installation to try: an agent's calls, and you decide",
      "Starts everything on this machine in a directory of its own and shows what becomes of an "
      "agent's calls: a read that is allowed, a write and a delete that people decide (you, at the "
      "prompt), and two calls that are refused. It then stays up for your own MCP client until "
      "Ctrl-C. What an earlier demo left in its directory is removed first.",
      0, flags, demo },
    { .name = NULL }
};
