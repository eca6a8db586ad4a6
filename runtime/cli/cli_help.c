/* Help and docs/cli.md, from the table. */
#include <string.h>

#include "runtime/cli/cli_table.h"
#include "runtime/cli/config.h"

#define WIDTH         80
#define FLAG_CELLS    28
#define SETTING_CELLS 6

#define GLUE '\t' /* a blank at which no line ends */

/* `text` folded between `indent` and WIDTH; the first line starts at column `at`. */
static void put_folded(struct fl_buf *out, const char *text, size_t at, size_t indent)
{
    bool is_start = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (!is_start && at + 1 + n > WIDTH) {
            fl_buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!is_start) {
            fl_buf_putc(out, ' ');
            at++;
        }
        for (size_t i = 0; i < n; i++)
            fl_buf_putc(out, text[i] == GLUE ? ' ' : text[i]);
        is_start = false;
        at += n;
        text += n;
        text += *text == ' ';
    }
    fl_buf_putc(out, '\n');
}

/* Sentences are folded, lines that start with two spaces stand as they are. */
static void put_help(struct fl_buf *out, const char *help)
{
    while (*help) {
        size_t n = strcspn(help, "\n");
        if (help[0] == ' ' || n == 0) {
            fl_buf_put(out, help, n);
            fl_buf_putc(out, '\n');
        } else {
            struct fl_buf line = FL_BUF_INIT;
            fl_buf_put(&line, help, n);
            put_folded(out, line.p ? line.p : "", 0, 0);
            fl_buf_fini(&line);
        }
        help += n;
        help += *help == '\n';
    }
}

static void put_flag(struct fl_buf *out, const struct fl_cli_flag *f)
{
    size_t from = out->n;
    bool is_long = f->value && strlen(f->value) > FLAG_CELLS;
    fl_buf_puts(out, "  ");
    if (f->kind & FL_FLAG_SHORT)
        fl_buf_printf(out, "-%c, ", f->name[0]);
    fl_buf_printf(out, "--%s", f->name);
    if (f->value)
        fl_buf_printf(out, " %s", is_long ? "..." : f->value);
    size_t used = out->n - from;
    if (used + 2 > FLAG_CELLS) {
        fl_buf_printf(out, "\n%*s", FLAG_CELLS, "");
        used = FLAG_CELLS;
    }
    for (; used < FLAG_CELLS; used++)
        fl_buf_putc(out, ' ');
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_puts(&text, f->help);
    fl_buf_puts(&text, is_long ? ": " : "");
    for (const char *p = is_long ? f->value : ""; *p; p++) /* choices, each a word to fold at */
        fl_buf_printf(&text, *p == '|' ? ", " : "%c", *p);
    if (f->kind & FL_FLAG_MANY)
        fl_buf_puts(&text, " (may be repeated)");
    put_folded(out, text.p ? text.p : "", FLAG_CELLS, FLAG_CELLS);
    fl_buf_fini(&text);
}

/* "agent create NAME --owner PERSON [--title TEXT]", blanks inside a flag as GLUE. */
static void put_synopsis(struct fl_buf *out, const struct fl_cli_command *c)
{
    fl_buf_printf(out, "%s%s%s", c->name, *c->args ? " " : "", c->args);
    for (const struct fl_cli_flag *f = c->flags; f && f->name; f++) {
        bool is_required = f->kind & FL_FLAG_REQUIRED;
        fl_buf_printf(out, " %s--%s%s%s%s", is_required ? "" : "[", f->name, f->value ? "\t" : "",
                      f->value ? f->value : "", is_required ? "" : "]");
    }
    if (c->uses & FL_CLI_RAW)
        fl_buf_puts(out, " [--SETTING=VALUE ...]");
}

static void put_usage(struct fl_buf *out, const struct fl_cli_command *c)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_puts(&text, "usage: flopinio ");
    put_synopsis(&text, c);
    put_folded(out, text.p ? text.p : "", 0, 8);
    fl_buf_fini(&text);
}

/* "lists agents" -> "Lists agents." */
static void put_sentence(struct fl_buf *out, const char *clause)
{
    bool is_lower = clause[0] >= 'a' && clause[0] <= 'z';
    fl_buf_putc(out, (char)(is_lower ? clause[0] - 'a' + 'A' : clause[0]));
    fl_buf_printf(out, "%s.", clause + 1);
}

/* "  --listen=A,B   addresses for ..." lines, folded. */
static void put_settings(struct fl_buf *out)
{
    struct fl_buf text = FL_BUF_INIT, one = FL_BUF_INIT;
    fl_config_help(&text);
    for (const char *p = text.p; p && *p;) {
        size_t n = strcspn(p, "\n"), flag = 2 + strcspn(p + 2, " ");
        fl_buf_reset(&one);
        fl_buf_put(&one, p + flag, n - flag);
        size_t blanks = one.p ? strspn(one.p, " ") : 0;
        fl_buf_put(out, p, flag);
        fl_buf_printf(out, "\n%*s", SETTING_CELLS, "");
        put_folded(out, one.p ? one.p + blanks : "", SETTING_CELLS, SETTING_CELLS);
        p += n + (p[n] == '\n');
    }
    fl_buf_fini(&one);
    fl_buf_fini(&text);
}

void fl_cli_help_command(struct fl_buf *out, const struct fl_cli_command *c)
{
    put_usage(out, c);
    fl_buf_putc(out, '\n');
    put_sentence(out, c->summary);
    fl_buf_putc(out, '\n');
    if (c->help) {
        fl_buf_putc(out, '\n');
        put_help(out, c->help);
    }
    if (c->flags)
        fl_buf_putc(out, '\n');
    for (const struct fl_cli_flag *f = c->flags; f && f->name; f++)
        put_flag(out, f);
    if (c->uses & FL_CLI_RAW) {
        fl_buf_puts(out, "\n  --config=FILE\n      the file with settings\n");
        put_settings(out);
    }
    bool is_first = true;
    for (const struct fl_cli_flag *f = fl_cli_common; f->name; f++) {
        if (!fl_cli_common_applies(f, c))
            continue;
        fl_buf_puts(out, is_first ? "\nas for other commands:\n" : "");
        is_first = false;
        put_flag(out, f);
    }
}

/* ---------------------------------------------------------------- groups and the whole */
static bool is_shown(const struct fl_cli_command *c)
{
    return !(c->uses & FL_CLI_UNDOCUMENTED);
}

static bool starts_with(const char *name, const char *words)
{
    size_t n = strlen(words);
    return n == 0 || (strncmp(name, words, n) == 0 && (name[n] == ' ' || !name[n]));
}

void fl_cli_help_group(struct fl_buf *out, const char *group)
{
    for (const struct fl_cli_topic *t = fl_cli_topics; t->title; t++) {
        for (const struct fl_cli_command *c = t->commands; c->name; c++) {
            struct fl_buf text = FL_BUF_INIT;
            if (!starts_with(c->name, group) || !is_shown(c))
                continue;
            fl_buf_puts(&text, "flopinio ");
            put_synopsis(&text, c);
            put_folded(out, text.p ? text.p : "", 0, 12);
            fl_buf_puts(out, "    ");
            put_folded(out, c->summary, 4, 4);
            fl_buf_fini(&text);
        }
    }
    fl_buf_printf(out, "\nMore about one: flopinio %s COMMAND --help\n", group);
}

static struct fl_str first_word(const struct fl_cli_command *c)
{
    return (struct fl_str){ c->name, strcspn(c->name, " ") };
}

/* "agent      create, list, show" for all commands of one first word; one alone says what it does.
 */
static void put_word(struct fl_buf *out, const struct fl_cli_command *first)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_str word = first_word(first);
    for (const struct fl_cli_topic *t = fl_cli_topics; t->title; t++) {
        for (const struct fl_cli_command *c = t->commands; c->name; c++) {
            if (is_shown(c) && fl_str_eq(first_word(c), word))
                fl_buf_printf(&text, "%s%s", text.n ? ", " : "",
                              c->name[word.n] ? c->name + word.n + 1 : c->summary);
        }
    }
    for (char *p = text.p; p && *p; p++) /* "token create" is not parted */
        *p = *p == ' ' && first->name[word.n] && p > text.p && p[-1] != ',' ? GLUE : *p;
    fl_buf_printf(out, "  %-11.*s ", FL_STR_ARG(word));
    put_folded(out, text.p ? text.p : "", 14, 14);
    fl_buf_fini(&text);
}

/* The word's first command stands earlier in the table. */
static bool was_before(const struct fl_cli_command *command)
{
    for (const struct fl_cli_topic *t = fl_cli_topics; t->title; t++) {
        for (const struct fl_cli_command *c = t->commands; c->name; c++) {
            if (fl_str_eq(first_word(c), first_word(command)))
                return c != command;
        }
    }
    return false;
}

void fl_cli_help_overview(struct fl_buf *out)
{
    fl_buf_puts(out, "flopinio: what AI agents want to change waits until a person decides.\n\n"
                     "usage: flopinio COMMAND [ARGUMENTS] [--FLAGS]\n");
    for (const struct fl_cli_topic *t = fl_cli_topics; t->title; t++) {
        if (*t->title)
            fl_buf_printf(out, "\n%s\n", t->title);
        for (const struct fl_cli_command *c = t->commands; c->name; c++) {
            if (is_shown(c) && !was_before(c))
                put_word(out, c);
        }
    }
    fl_buf_puts(out, "\nMore about one: flopinio COMMAND --help\n"
                     "Exit status: 0 done, 1 not done, 2 wrong use, 3 not allowed, 4 not found,\n"
                     "5 decided otherwise or changed meanwhile, 6 the runtime does not answer.\n");
}

/* ---------------------------------------------------------------- docs/cli.md */
static void put_markdown(struct fl_buf *out, const struct fl_cli_command *c)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_buf_printf(out, "\n### `flopinio %s`\n\n```\n", c->name);
    put_usage(out, c);
    fl_buf_puts(out, "```\n\n");
    put_sentence(out, c->summary);
    fl_buf_putc(out, '\n');
    if (c->help) {
        bool is_code = false;
        put_help(&text, c->help);
        fl_buf_putc(out, '\n');
        for (const char *p = text.p; p && *p;) {
            size_t n = strcspn(p, "\n");
            if ((p[0] == ' ') != is_code) {
                is_code = !is_code;
                fl_buf_puts(out, !is_code                     ? "```\n"
                                 : out->p[out->n - 2] != '\n' ? "\n```sh\n"
                                                              : "```sh\n");
            }
            fl_buf_put(out, p, n);
            fl_buf_putc(out, '\n');
            p += n + (p[n] == '\n');
        }
        fl_buf_puts(out, is_code ? "```\n" : "");
    }
    if (c->flags) {
        fl_buf_puts(out, "\n| flag | |\n|---|---|\n");
        for (const struct fl_cli_flag *f = c->flags; f->name; f++) {
            fl_buf_printf(out, "| `--%s%s", f->name, f->value ? " " : "");
            for (const char *p = f->value ? f->value : ""; *p; p++)
                fl_buf_printf(out, *p == '|' ? "\\%c" : "%c", *p);
            fl_buf_printf(out, "` | %s%s |\n", f->help,
                          f->kind & FL_FLAG_MANY ? " (may be repeated)" : "");
        }
    }
    fl_buf_fini(&text);
}

void fl_cli_markdown(struct fl_buf *out)
{
    fl_buf_puts(
        out,
        "# The command line\n\n"
        "Generated by `flopinio generate cli`; the table is in `runtime/cli/cmd_*.c`.\n\n"
        "The commands talk to the REST API ([api.md](api.md)) of the runtime on this host, over its "
        "control socket (`DATA_DIR/run/control.sock`), or of another host with `--url`. On the "
        "control socket the operating-system user that runs the runtime is the **operator**, who "
        "may set things up until an administrator has a passphrase, may always read and stop, and "
        "can never decide. Everybody else signs in: `--as NAME` asks for the passphrase on the terminal (and "
        "for a code of the authenticator, where the person has one); `FLOPINIO_TOKEN` is a personal "
        "token. A passphrase or a token is never a flag, and a passphrase never stands in the "
        "environment.\n\n"
        "Exit status: 0 done; 1 could not be done (one sentence on standard error); 2 wrong use, "
        "nothing was asked of the runtime; 3 not allowed; 4 not found; 5 decided otherwise or "
        "changed meanwhile; 6 the runtime does not answer.\n\n"
        "What others wrote (agents, servers, people) is shown with every character that is not "
        "plainly printable as an escape, so that nothing of it reaches the terminal as a "
        "command.\n\n"
        "## Flags of many commands\n\n| flag | |\n|---|---|\n");
    for (const struct fl_cli_flag *f = fl_cli_common; f->name; f++)
        fl_buf_printf(out, "| `--%s%s%s` | %s |\n", f->name, f->value ? " " : "",
                      f->value ? f->value : "", f->help);
    for (const struct fl_cli_topic *t = fl_cli_topics; t->title; t++) {
        if (*t->title)
            fl_buf_printf(out, "\n## %s\n", t->title);
        for (const struct fl_cli_command *c = t->commands; c->name; c++) {
            if (is_shown(c))
                put_markdown(out, c);
        }
    }
}
