/* Approvals: the list, the live table, one card. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_card.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"
#include "runtime/notify/show.h"

#define COLUMNS                                                                                     \
    "ID=id:id STATE=says WHAT=what:s AGENT=agent ?RISK=risk ?VOTES=progress ?ASKED=created_at:ago " \
    "LEFT=expires_at:left ?REVIEW=review_due_at:left"
#define NOTHING_WAITS "nothing waits"

/* ---------------------------------------------------------------- the list */
/* What --state says, with people's words for the states too. */
static const char *states_of(struct fl_cli *cli)
{
    static const struct {
        const char *word, *state;
    } words[] = { { "waiting", "pending" }, { "running", "dispatched" }, { "done", "succeeded" } };
    struct fl_buf out = FL_BUF_INIT;
    json_t *list = fl_cli_list(cli, "state"), *item;
    size_t i;
    if (!fl_cli_has(cli, "state") && !fl_cli_has(cli, "all") && !fl_cli_has(cli, "review"))
        fl_buf_puts(&out, "pending,unknown");
    json_array_foreach (list, i, item) {
        const char *state = json_string_value(item);
        for (size_t k = 0; k < FL_COUNTOF(words); k++)
            state = strcmp(state, words[k].word) == 0 ? words[k].state : state;
        fl_buf_printf(&out, "%s%s", i ? "," : "", state);
    }
    json_decref(list);
    const char *text = fl_arena_strdup(cli->arena, out.p ? out.p : "");
    fl_buf_fini(&out);
    return text;
}

static const char *list_path(struct fl_cli *cli)
{
    const char *limit = fl_cli_flag(cli, "limit"), *agent = fl_cli_flag(cli, "agent");
    const char *since = fl_cli_flag(cli, "since"), *states = states_of(cli);
    const char *path = fl_cli_path(cli, "/orgs/{org}/approvals?limit={}", limit ? limit : "50");
    if (*states)
        path = fl_arena_printf(cli->arena, "%s%s", path, fl_cli_path(cli, "&state={}", states));
    if (agent)
        path = fl_arena_printf(cli->arena, "%s%s", path, fl_cli_path(cli, "&agent={}", agent));
    if (fl_cli_has(cli, "review"))
        path = fl_arena_printf(cli->arena, "%s&review=true", path);
    if (since)
        path = fl_arena_printf(cli->arena, "%s%s", path, fl_cli_path(cli, "&since={}", since));
    return path;
}

static const json_t *items_of(const json_t *answer)
{
    json_t *items = json_object_get(answer, "items"), *item;
    size_t i;
    json_array_foreach (items, i, item) {
        struct fl_str state = fl_json_get_str(item, "state");
        if (!fl_str_is(state, "pending") && !fl_str_is(state, "approved"))
            json_object_del(item, "expires_at"); /* no time is left, or none that matters */
        fl_card_what(item, "title");
    }
    return items;
}

/* ---------------------------------------------------------------- the live table */
static volatile sig_atomic_t has_ended, was_resized;

static void on_end(int number)
{
    has_ended = number;
}

static void on_resize(int number)
{
    FL_UNUSED(number);
    was_resized = 1;
}

static size_t height(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
}

/* Every line erases what stood behind it, so that nothing flickers; rows beyond the screen are
 * counted instead. */
static void put_screen(struct fl_cli *cli, const struct fl_buf *text, size_t rows, size_t width)
{
    size_t lines = 0, hidden = 0;
    fl_buf_puts(&cli->out, "\x1b[H");
    for (const char *p = text->p; p && *p;) {
        size_t n = strcspn(p, "\n");
        if (lines + 1 < rows || !p[n + (p[n] == '\n')]) {
            fl_buf_put(&cli->out, p, fl_show_cut((struct fl_str){ p, n }, width));
            fl_buf_puts(&cli->out, "\x1b[K\r\n");
            lines++;
        } else {
            hidden++;
        }
        p += n + (p[n] == '\n');
    }
    fl_buf_puts(&cli->out, "\x1b[J");
    if (hidden)
        fl_buf_printf(&cli->out, "(%zu more)", hidden);
    fl_cli_flush(cli);
}

static void draw(struct fl_cli *cli, const char *path)
{
    struct fl_buf text = FL_BUF_INIT;
    json_t *answer = NULL;
    char now[FL_TIME_BYTES];
    size_t width = fl_print_width(STDOUT_FILENO);
    cli->trouble[0] = 0;
    int status = fl_cli_look(cli, path, &answer);
    const json_t *items = items_of(answer);
    fl_time_format_s(fl_real_ms(), now);
    fl_buf_printf(&text, "%s: %zu waiting, %.8sZ (q ends)\n\n", fl_cli_text(cli, cli->org),
                  json_array_size(items), now + 11);
    if (status)
        fl_buf_printf(&text, "%s\n", cli->trouble);
    else if (json_array_size(items) == 0)
        fl_buf_puts(&text, NOTHING_WAITS "\n");
    else
        fl_print_table(&text, COLUMNS, items, width, fl_real_ms());
    json_decref(answer);
    put_screen(cli, &text, height() - 1, width);
    fl_buf_fini(&text);
}

/* True: somebody wants to end it. Waits a second at most. */
static bool wait_for_end(void)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    char typed[64];
    int64_t until = fl_mono_ms() + 1000, left;
    while (!has_ended && !was_resized && (left = until - fl_mono_ms()) > 0) {
        if (poll(&in, 1, (int)left) <= 0)
            continue;
        ssize_t n = read(STDIN_FILENO, typed, sizeof typed);
        if (n <= 0 || memchr(typed, 'q', (size_t)n) || memchr(typed, 3, (size_t)n))
            return true;
    }
    was_resized = 0;
    return has_ended != 0;
}

static int watch(struct fl_cli *cli, const char *path)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    struct termios old, quiet;
    struct sigaction action = { .sa_handler = on_end }, resize = { .sa_handler = on_resize };
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &old) != 0)
        return fl_cli_wrong(cli,
                            "--watch draws on a terminal; without one use --json and ask again");
    for (size_t i = 0; i < FL_COUNTOF(ends); i++)
        sigaction(ends[i], &action, NULL);
    sigaction(SIGWINCH, &resize, NULL);
    signal(SIGTSTP, SIG_IGN); /* a stopped one would leave the terminal as it is */
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    fl_buf_puts(&cli->out, "\x1b[?1049h\x1b[?25l"); /* a screen of its own, no cursor */
    cli->is_quiet = true;
    do
        draw(cli, path);
    while (!wait_for_end());
    cli->is_quiet = false;
    fl_buf_puts(&cli->out, "\x1b[?25h\x1b[?1049l");
    fl_cli_flush(cli);
    tcsetattr(STDIN_FILENO, TCSANOW, &old);
    return FL_EXIT_DONE;
}

static int approvals_list(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *path = list_path(cli);
    if (fl_cli_has(cli, "watch"))
        return watch(cli, path);
    int status = fl_cli_ask(cli, "GET", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_table(cli, COLUMNS, items_of(answer),
                     fl_cli_has(cli, "state") || fl_cli_has(cli, "all") ? "no such approval"
                                                                        : NOTHING_WAITS);
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- one */
static int approvals_show(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *id = NULL;
    int status = fl_card_find(cli, fl_cli_arg(cli, 0), &id);
    if (status == FL_EXIT_DONE)
        status = fl_card_get(cli, id, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_card_print(cli, &cli->out, answer, STDOUT_FILENO);
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- alerts */
static int approvals_alerts(struct fl_cli *cli)
{
    const char *path = fl_cli_path(cli, "/orgs/{org}/alerts");
    if (fl_cli_has(cli, "all"))
        path = fl_arena_printf(cli->arena, "%s?all=true", path);
    int status = fl_cli_show_list(cli, path, "AT=created_at:t ABOUT=kind WHAT=text ?SEEN=seen_at:t",
                                  "no alerts");
    if (status == FL_EXIT_DONE && fl_cli_has(cli, "seen"))
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/alerts/seen"), json_object(),
                            NULL);
    return status;
}

static const struct fl_cli_flag alert_flags[] = { { "all", NULL,
                                                    "those too that were marked as seen", 0 },
                                                  { "seen", NULL, "marks them as seen", 0 },
                                                  { .name = NULL } };

static const struct fl_cli_flag list_flags[] = {
    { "state", "STATE", "waiting, approved, rejected, expired, done, failed, unknown ...",
      FL_FLAG_MANY },
    { "all", NULL, "whatever their state; without, those that wait for a person", 0 },
    { "review", NULL, "only those that somebody approved alone and nobody has reviewed", 0 },
    { "agent", "NAME", "only this agent's", 0 },
    { "since", "TIME", "only newer ones: 2h, or 2026-11-23T16:30:00Z", 0 },
    { "limit", "N", "at most so many (50)", 0 },
    { "watch", NULL, "a live table, drawn again each second", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_approvals[] = {
    { "approvals list", "", "lists what waits for a person",
      "On a terminal the list shows the last characters of each id; they are enough for the other "
      "commands.\n"
      "  flopinio approvals list --watch\n"
      "  flopinio approvals list --state done,failed --since 2h",
      FL_CLI_ORG, list_flags, approvals_list },
    { "approvals show", "ID", "shows the whole card of an approval", NULL, FL_CLI_ORG, NULL,
      approvals_show },
    { "approvals alerts", "", "lists what you were to hear, whatever the rules say",
      "For --as NAME: as an owner, that somebody broke the glass or approved a canary, or that a "
      "stored approval was changed behind the runtime's back; and that somebody decides for you while you are away. "
      "Channels tell it too, in the own chat of whoever is linked.",
      FL_CLI_ORG, alert_flags, approvals_alerts },
    { .name = NULL }
};
