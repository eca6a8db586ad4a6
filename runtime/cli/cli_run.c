/* What handlers use: arguments, files, output. */
#include "runtime/cli/cli_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "runtime/cli/cli_print.h"
#include "runtime/notify/show.h"

#define URL_MAX 4096

/* ---------------------------------------------------------------- arguments */
const char *fl_cli_arg(const struct fl_cli *cli, size_t at)
{
    return at < cli->parsed->arg_count ? cli->parsed->args[at] : NULL;
}

const char *fl_cli_flag(const struct fl_cli *cli, const char *name)
{
    return fl_cli_parsed_flag(cli->parsed, name);
}

bool fl_cli_has(const struct fl_cli *cli, const char *name)
{
    return fl_cli_flag(cli, name) != NULL;
}

json_t *fl_cli_list(struct fl_cli *cli, const char *name)
{
    json_t *list = json_array();
    for (size_t i = 0; i < cli->parsed->set_count; i++) {
        const struct fl_cli_set *set = &cli->parsed->sets[i];
        if (strcmp(set->flag->name, name) != 0)
            continue;
        for (const char *p = set->value; *p;) {
            size_t n = strcspn(p, ",");
            struct fl_str item = fl_str_trim((struct fl_str){ p, n });
            if (item.n)
                json_array_append_new(list, fl_json_new_str(item));
            p += n;
            p += *p == ',';
        }
    }
    return list;
}

bool fl_cli_file(struct fl_cli *cli, const char *path, size_t max, struct fl_str *ret)
{
    struct fl_buf text;
    char piece[8192];
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    if (!f) {
        fl_cli_fail(cli, FL_EXIT_FAILED, "cannot read %s: %s", fl_cli_text(cli, path),
                    strerror(errno));
        return false;
    }
    fl_buf_init(&text, max);
    for (size_t n; !text.is_failed && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        fl_buf_put(&text, piece, n);
    bool is_broken = ferror(f) != 0;
    if (!is_stdin)
        fclose(f);
    *ret = text.is_failed || is_broken
               ? (struct fl_str){ NULL, 0 }
               : fl_arena_str(cli->arena, text.p ? fl_buf_view(&text) : FL_STR(""));
    if (!ret->p)
        fl_cli_fail(cli, FL_EXIT_FAILED,
                    text.is_over ? "%s has more than %zu bytes"
                                 : "cannot read %s (at most %zu bytes)",
                    fl_cli_text(cli, path), max);
    fl_buf_fini(&text);
    return ret->p != NULL;
}

bool fl_cli_url(struct fl_cli *cli, const char *file_flag, const char *variable, struct fl_buf *out)
{
    const char *file = fl_cli_flag(cli, file_flag), *value = getenv(variable);
    struct fl_str text = fl_str_of(value);
    if (file && !fl_cli_file(cli, file, URL_MAX, &text))
        return false;
    while (text.n && strchr(" \t\r\n", text.p[text.n - 1]))
        text.n--;
    fl_buf_str(out, text);
    return true;
}

json_t *fl_cli_json_arg(struct fl_cli *cli, const char *what, const char *text)
{
    struct fl_str json = fl_str_of(text);
    struct fl_err err;
    if (text[0] == '@' && !fl_cli_file(cli, text + 1, 4 << 20, &json))
        return NULL;
    json_t *value = fl_json_parse(json, &err);
    if (!value)
        fl_cli_wrong(cli, "%s must be JSON, or @FILE with it: %s", what, err.text);
    return value;
}

enum fl_code fl_cli_config(struct fl_cli *cli, struct fl_config *ret, struct fl_err *err)
{
    const char *dir = fl_cli_parsed_common(cli->parsed, "data-dir");
    const char *flag = dir ? fl_arena_printf(cli->arena, "data_dir=%s", dir) : NULL;
    return fl_config_load(fl_cli_parsed_common(cli->parsed, "config"), &flag, flag ? 1 : 0, ret,
                          err);
}

/* ---------------------------------------------------------------- saying what went wrong */
FL_PRINTF(2, 0) static void say(struct fl_cli *cli, const char *fmt, va_list ap)
{
    if (cli->is_quiet) {
        vsnprintf(cli->trouble, sizeof cli->trouble, fmt, ap);
        return;
    }
    fl_cli_flush(cli); /* in the order in which it happened */
    fprintf(stderr, "flopinio: ");
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int fl_cli_wrong(struct fl_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(cli, fmt, ap);
    va_end(ap);
    return FL_EXIT_USAGE;
}

int fl_cli_fail(struct fl_cli *cli, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(cli, fmt, ap);
    va_end(ap);
    return status;
}

int fl_cli_error(struct fl_cli *cli, const struct fl_err *err)
{
    int status = FL_EXIT_FAILED;
    const char *hint = "";
    if (err->code == FL_BAD_PARAMS || err->code == FL_CONFIG)
        status = FL_EXIT_USAGE;
    else if (err->code == FL_FORBIDDEN || err->code == FL_UNAUTHENTICATED)
        status = FL_EXIT_FORBIDDEN;
    else if (err->code == FL_UNAVAILABLE || err->code == FL_TIMEOUT || err->code == FL_AMBIGUOUS)
        status = FL_EXIT_UNAVAILABLE;
    if (err->code == FL_UNAVAILABLE && strstr(err->text, "socket"))
        hint = ": flopinio does not run here (flopinio serve; another place: --data-dir, --url)";
    return fl_cli_fail(cli, status, "%s%s", fl_cli_text(cli, err->text), hint);
}

/* ---------------------------------------------------------------- output */
void fl_cli_flush(struct fl_cli *cli)
{
    if (cli->out.n)
        fwrite(cli->out.p, 1, cli->out.n, stdout);
    fflush(stdout);
    fl_buf_reset(&cli->out);
}

void fl_cli_say(struct fl_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vprintf(&cli->out, fmt, ap);
    va_end(ap);
    fl_buf_putc(&cli->out, '\n');
}

const char *fl_cli_text(struct fl_cli *cli, const char *text)
{
    struct fl_buf out = FL_BUF_INIT;
    fl_show(&out, fl_str_of(text), FL_SHOW_COMPOSED, NULL);
    const char *shown = out.p && !out.is_failed ? fl_arena_strdup(cli->arena, out.p) : "";
    fl_buf_fini(&out);
    return shown ? shown : "";
}

const char *fl_cli_member(struct fl_cli *cli, const json_t *object, const char *name)
{
    return fl_cli_text(cli, json_string_value(json_object_get(object, name)));
}

bool fl_cli_printed_json(struct fl_cli *cli)
{
    if (!cli->is_json)
        return false;
    if (isatty(STDOUT_FILENO))
        fl_print_json_ascii(&cli->out, fl_buf_view(&cli->body));
    else
        fl_buf_str(&cli->out, fl_buf_view(&cli->body));
    fl_buf_putc(&cli->out, '\n');
    return true;
}

void fl_cli_table(struct fl_cli *cli, const char *columns, const json_t *items, const char *none)
{
    if (json_array_size(items) == 0)
        fl_cli_say(cli, "%s", none);
    else
        fl_print_table(&cli->out, columns, items, fl_print_width(STDOUT_FILENO), fl_real_ms());
}

int fl_cli_show_list(struct fl_cli *cli, const char *path, const char *columns, const char *none)
{
    json_t *answer = NULL;
    int status = fl_cli_ask(cli, "GET", path, NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli))
        fl_cli_table(cli, columns, json_object_get(answer, "items"), none);
    json_decref(answer);
    return status;
}

void fl_cli_findings(struct fl_cli *cli, const json_t *answer)
{
    size_t i;
    json_t *f;
    json_array_foreach (json_object_get(answer, "findings"), i, f) {
        const char *rule = fl_cli_member(cli, f, "rule");
        long long line = (long long)json_integer_value(json_object_get(f, "line"));
        const char *where = line ? fl_arena_printf(cli->arena, " line %lld", line) : "";
        if (json_is_string(f))
            fl_cli_say(cli, "warning: %s", fl_cli_text(cli, json_string_value(f)));
        else
            fl_cli_say(cli, "%s%s%s%s: %s", fl_cli_member(cli, f, "severity"), where,
                       *rule ? " rule " : "", rule, fl_cli_member(cli, f, "text"));
    }
}

void fl_cli_refused_findings(struct fl_cli *cli)
{
    json_t *answer = cli->body.n ? json_loadb(cli->body.p, cli->body.n, 0, NULL) : NULL;
    if (!cli->is_json)
        fl_cli_findings(cli, answer);
    json_decref(answer);
}

void fl_cli_put(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

void fl_cli_put_flag(struct fl_cli *cli, json_t *object, const char *member, const char *flag)
{
    fl_cli_put(object, member, fl_cli_flag(cli, flag));
}
