/* The audit, and what an agent has done. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/id.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_card.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

#define COLUMNS   "AT=at:ts BY______=by WHAT=line" /* BY as wide as "operator" */
#define ID_CELLS  8
#define PAGE      500
#define PAGE_TEXT "500"
#define LONG_TEXT 64 /* digests and salts say nothing to people */

/* ---------------------------------------------------------------- which events */
/* The list's address with the filters that were given, or of the installation itself. */
static const char *audit_path(struct fl_cli *cli, const char *what, const char *more)
{
    static const char *const filters[] = { "since", "until", "kind", "actor", "subject" };
    bool is_ours = fl_cli_has(cli, "installation");
    const char *path = fl_cli_path(cli, is_ours ? "/audit" : "/orgs/{org}/audit");
    path = fl_arena_printf(cli->arena, "%s%s?%s", path, what, more);
    for (size_t i = 0; i < FL_COUNTOF(filters); i++) {
        const char *value = fl_cli_flag(cli, filters[i]);
        if (value)
            path = fl_arena_printf(cli->arena, "%s&%s%s", path, filters[i],
                                   fl_cli_path(cli, "={}", value));
    }
    return path;
}

/* "the deciding vote approved it (approval 12263f7a)": the end of an id, as lists show it. */
static void put_subject(struct fl_buf *out, const json_t *item)
{
    const json_t *subject = json_object_get(json_object_get(item, "leaf"), "subject");
    struct fl_str id = fl_json_get_str(subject, "id"), kind = fl_json_get_str(subject, "kind");
    fl_buf_str(out, fl_json_get_str(item, "meaning"));
    if (fl_str_is(kind, "approval") && id.n > ID_CELLS)
        fl_buf_printf(out, " (approval %s)", id.p + id.n - ID_CELLS);
}

static json_t *leaf_actor(const json_t *item)
{
    return json_object_get(json_object_get(item, "leaf"), "actor");
}

/* "agent:bot", as --actor takes it: no name reads as another's or as a kind. Else the kind. */
static void put_actor(json_t *item)
{
    struct fl_str name = fl_json_get_str(item, "by");
    struct fl_str kind = fl_json_get_str(leaf_actor(item), "kind");
    struct fl_buf out = FL_BUF_INIT;
    fl_buf_str(&out, kind);
    if (name.n) {
        fl_buf_putc(&out, ':');
        fl_buf_str(&out, name);
    }
    json_object_set_new(item, "by", fl_json_new_str(fl_buf_view(&out)));
    fl_buf_fini(&out);
}

/* What the event's data says, behind what happened; and who did it. */
static void put_line(json_t *item)
{
    const json_t *data = json_object_get(json_object_get(item, "leaf"), "data");
    struct fl_buf out = FL_BUF_INIT;
    struct fl_uuid id;
    const char *key, *sign = ": ";
    json_t *value;
    put_actor(item);
    put_subject(&out, item);
    json_object_foreach ((json_t *)data, key, value) {
        struct fl_str text = fl_json_str(value);
        bool is_digest = text.n >= LONG_TEXT && !memchr(text.p, ' ', text.n);
        if (is_digest || fl_uuid_parse(text, &id) || strcmp(key, "fence") == 0)
            continue;
        fl_buf_printf(&out, "%s%s=", sign, key);
        if (json_is_string(value))
            fl_buf_str(&out, text);
        else
            fl_json_put(&out, value);
        sign = " ";
    }
    json_object_set_new(item, "line", fl_json_new_str(fl_buf_view(&out)));
    fl_buf_fini(&out);
}

/* Lines are not cut to the terminal: each is evidence. */
static void put_events(struct fl_cli *cli, json_t *items, bool has_head)
{
    struct fl_buf text = FL_BUF_INIT;
    size_t i;
    json_t *item;
    json_array_foreach (items, i, item)
        put_line(item);
    fl_print_table(&text, COLUMNS, items, 0, 0);
    const char *from = text.p && !has_head ? strchr(text.p, '\n') + 1 : text.p;
    fl_buf_puts(&cli->out, from ? from : "");
    fl_buf_fini(&text);
}

static int audit_list(struct fl_cli *cli)
{
    json_t *answer = NULL;
    const char *limit = fl_cli_flag(cli, "limit");
    const char *more = fl_cli_path(cli, "order=newest&limit={}", limit ? limit : "50");
    int status = fl_cli_ask(cli, "GET", audit_path(cli, "", more), NULL, &answer);
    json_t *items = json_object_get(answer, "items");
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (json_array_size(items) > 0)
            put_events(cli, items, true);
        else
            fl_cli_say(cli, "no such event");
    }
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- following */
/* Prints a page of events in their order; one JSON object a line with --json. */
static void put_page(struct fl_cli *cli, json_t *items, bool has_head)
{
    size_t i;
    json_t *item;
    if (!cli->is_json) {
        put_events(cli, items, has_head);
        return;
    }
    json_array_foreach (items, i, item) {
        struct fl_buf line = FL_BUF_INIT;
        fl_json_put(&line, item);
        if (isatty(STDOUT_FILENO))
            fl_print_json_ascii(&cli->out, fl_buf_view(&line));
        else
            fl_buf_str(&cli->out, fl_buf_view(&line));
        fl_buf_putc(&cli->out, '\n');
        fl_buf_fini(&line);
    }
}

/* The newest `lines` in the order in which they happened; a new reference. */
static int get_last(struct fl_cli *cli, const char *lines, json_t **ret)
{
    json_t *answer = NULL;
    const char *more = fl_cli_path(cli, "order=newest&limit={}", lines);
    int status = fl_cli_ask(cli, "GET", audit_path(cli, "", more), NULL, &answer);
    json_t *items = json_object_get(answer, "items"), *turned = json_array();
    for (size_t i = json_array_size(items); i-- > 0;)
        json_array_append(turned, json_array_get(items, i));
    json_decref(answer);
    *ret = turned;
    return status;
}

/* Everything behind `cursor`, for ever, through restarts of the runtime. Only what nothing can
 * appear in front of any more is printed, so that nothing is missed. */
static int follow(struct fl_cli *cli, const char *cursor)
{
    char after[160];
    snprintf(after, sizeof after, "%s", cursor);
    for (;;) {
        json_t *answer = NULL;
        const char *more = fl_cli_path(cli, "follow=true&limit=" PAGE_TEXT "&after={}", after);
        int status = fl_cli_ask(cli, "GET", audit_path(cli, "", more), NULL, &answer);
        json_t *items = json_object_get(answer, "items");
        size_t count = json_array_size(items);
        const json_t *last = count ? json_array_get(items, count - 1) : NULL;
        if (last)
            snprintf(after, sizeof after, "%s", json_string_value(json_object_get(last, "cursor")));
        if (count)
            put_page(cli, items, false);
        fl_cli_flush(cli);
        json_decref(answer);
        cli->is_quiet = status == FL_EXIT_UNAVAILABLE; /* it is said once */
        if (status && !cli->is_quiet)
            return status;
        if (ferror(stdout)) /* nobody reads any more */
            return FL_EXIT_DONE;
        if (count < PAGE)
            sleep(1);
    }
}

static int audit_tail(struct fl_cli *cli)
{
    json_t *items = NULL;
    const char *lines = fl_cli_flag(cli, "lines");
    int status = get_last(cli, lines ? lines : "20", &items);
    if (status == FL_EXIT_DONE && !fl_cli_has(cli, "follow")) {
        put_page(cli, items, true);
    } else if (status == FL_EXIT_DONE) {
        /* Only the first of them: the others come again, and what was still being written then. */
        json_t *first = json_array_get(items, 0), *page = json_array();
        const char *cursor = json_string_value(json_object_get(first, "cursor"));
        json_array_append(page, first);
        put_page(cli, first ? page : items, true);
        fl_cli_flush(cli);
        status = follow(cli, cursor ? cursor : "");
        json_decref(page);
    }
    json_decref(items);
    return status;
}

/* ---------------------------------------------------------------- export */
static int audit_export(struct fl_cli *cli)
{
    const char *path = fl_cli_flag(cli, "output");
    FILE *file = path ? fopen(path, "we") : stdout;
    if (!file)
        return fl_cli_fail(cli, FL_EXIT_FAILED, "cannot write %s: %s", fl_cli_text(cli, path),
                           strerror(errno));
    int status = fl_cli_download(cli, audit_path(cli, "/export", ""), file);
    bool is_written = fflush(file) == 0 && !ferror(file);
    if (path)
        is_written = fclose(file) == 0 && is_written;
    if (status == FL_EXIT_DONE && !is_written)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "cannot write %s", path ? path : "the output");
    if (status && path)
        fprintf(stderr, "flopinio: %s is not whole\n", fl_cli_text(cli, path));
    return status;
}

/* ---------------------------------------------------------------- incident */
/* Who is behind it: people, or the rule that let it run or held it. */
static void put_by(struct fl_cli *cli, json_t *item)
{
    const json_t *person = json_object_get(item, "decided_by");
    const char *rule = json_string_value(json_object_get(item, "rule"));
    if (json_is_string(person))
        json_object_set(item, "by", (json_t *)person);
    else if (rule)
        fl_cli_put(item, "by", fl_arena_printf(cli->arena, "rule %s", rule));
    fl_card_what(item, "sentence");
}

static int incident(struct fl_cli *cli)
{
    json_t *answer = NULL, *item;
    const char *agent = fl_cli_flag(cli, "agent"), *since = fl_cli_flag(cli, "since");
    size_t i;
    int status = fl_cli_ask(
        cli, "GET",
        fl_cli_path(cli, "/orgs/{org}/incident?agent={}&since={}", agent, since ? since : "24h"),
        NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        json_t *effects = json_object_get(answer, "effects");
        json_array_foreach (effects, i, item)
            put_by(cli, item);
        fl_cli_say(cli, "agent %s since %s: %zu changes asked for; %lld reads, %lld denied",
                   fl_cli_member(cli, answer, "agent"), fl_cli_member(cli, answer, "since"),
                   json_array_size(effects),
                   (long long)json_integer_value(json_object_get(answer, "reads")),
                   (long long)json_integer_value(json_object_get(answer, "denied")));
        fl_cli_table(cli, "AT=at:ts STATE=says WHAT=what:s BY=by ID=approval:id ?REASON=reason",
                     effects, "it changed nothing");
    }
    json_decref(answer);
    return status;
}

#define FILTERS                                                                                    \
    { "since", "TIME", "2h, or 2026-11-23T16:30:00Z", 0 },                                         \
        { "until", "TIME", "the same; without, now", 0 },                                          \
        { "kind", "TEXT",                                                                          \
          "kinds that start so: approval., call.denied, stop. (--json shows them)", 0 },           \
        { "actor", "NAME", "who did it: a person, an agent, operator, an id", 0 },                 \
        { "subject", "NAME", "what it was done to: a person, an agent, an id, a kind", 0 },        \
    {                                                                                              \
        "installation", NULL, "events of the installation itself", 0                               \
    }

static const struct fl_cli_flag list_flags[] = { FILTERS,
                                                 { "limit", "N", "at most so many (50)", 0 },
                                                 { .name = NULL } };
static const struct fl_cli_flag tail_flags[] = { FILTERS,
                                                 { "lines", "N", "how many of the last (20)", 0 },
                                                 { "follow", NULL, "and what comes, for ever", 0 },
                                                 { .name = NULL } };
static const struct fl_cli_flag export_flags[] = {
    FILTERS, { "output", "FILE", "instead of standard output", 0 }, { .name = NULL }
};
static const struct fl_cli_flag incident_flags[] = {
    { "agent", "NAME", "whose effects", FL_FLAG_REQUIRED },
    { "since", "TIME", "2h, or 2026-11-23T16:30:00Z (24h)", 0 },
    { .name = NULL }
};

const struct fl_cli_command fl_cmd_audit[] = {
    { "audit list", "", "lists events, the newest first", NULL, FL_CLI_ORG, list_flags,
      audit_list },
    { "audit tail", "", "shows the last events, and what comes", NULL, FL_CLI_ORG, tail_flags,
      audit_tail },
    { "audit export", "", "writes the exact bytes of every event, one a line",
      "What a verifier needs who does not trust the database. Oldest first.", FL_CLI_ORG,
      export_flags, audit_export },
    { "incident", "", "lists every effect that an agent had",
      "Whatever was asked for, decided, sent or settled since then, the oldest first.\n"
      "  flopinio incident --agent builder --since 2h",
      FL_CLI_ORG, incident_flags, incident },
    { .name = NULL }
};
