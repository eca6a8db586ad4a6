/* Configuration. */
#include "runtime/cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "flopinio/base/json.h"
#include "flopinio/base/mem.h"
#include "flopinio/base/yaml.h"
#include "runtime/io/http_server.h"

enum type { TEXT, SECRET, INT, TIME, BOOL, LIST };
static const char *const type_names[] = { "text",     "text",          "number",
                                          "duration", "true or false", "list" };

static const struct row {
    const char *name;
    enum type type;
    const char *fallback;
    int64_t min, max;
    const char *effect;
    const char *help;
    size_t offset;
} rows[] = {
#define X(name, TYPE, fallback, min, max, effect, help)                                            \
    { #name, TYPE, fallback, min, max, #effect, help, offsetof(struct fl_config, name) },
    FL_CONFIG_TABLE(X)
#undef X
};
#define ROWS (sizeof rows / sizeof rows[0])

static const struct row *find(struct fl_str name)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (fl_str_is(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

static enum fl_code unknown(struct fl_str name, const char *where, struct fl_err *err)
{
    const char *nearest = "";
    unsigned best = 1000;
    for (size_t i = 0; i < ROWS; i++) {
        unsigned d = fl_str_distance(name, fl_str_of(rows[i].name));
        if (d < best) {
            best = d;
            nearest = rows[i].name;
        }
    }
    return fl_err_set(err, FL_CONFIG, "%s: there is no setting '%.*s'; did you mean '%s'?", where,
                      (int)(name.n > 60 ? 60 : name.n), name.p, nearest);
}

static enum fl_code wrong(const struct row *row, struct fl_str value, const char *why,
                          const char *where, struct fl_err *err)
{
    if (row->type == SECRET)
        return fl_err_set(err, FL_CONFIG, "%s: %s %s", where, row->name, why);
    return fl_err_set(err, FL_CONFIG, "%s: %s is '%.*s', but %s", where, row->name,
                      (int)(value.n > 80 ? 80 : value.n), value.p, why);
}

static bool set_list(struct fl_config *c, const char ***ret, struct fl_str value)
{
    size_t count = value.n ? 1 : 0;
    for (size_t i = 0; i < value.n; i++)
        count += value.p[i] == ',';
    const char **list = fl_arena_array(c->arena, count + 1, sizeof *list);
    size_t n = 0;
    for (size_t from = 0; list && n < count && from <= value.n;) {
        size_t to = from;
        while (to < value.n && value.p[to] != ',')
            to++;
        struct fl_str item = fl_str_trim((struct fl_str){ value.p + from, to - from });
        if (item.n)
            list[n++] = fl_arena_strndup(c->arena, item.p, item.n);
        else
            count--;
        from = to + 1;
    }
    *ret = list;
    return list != NULL;
}

static enum fl_code set(struct fl_config *c, const struct row *row, struct fl_str value,
                        const char *where, struct fl_err *err)
{
    char range[120], from[FL_TIME_BYTES], to[FL_TIME_BYTES];
    void *at = (char *)c + row->offset;
    long long number;
    int64_t ms;
    switch (row->type) {
    case TEXT:
    case SECRET:
        *(const char **)at = fl_arena_strndup(c->arena, value.p, value.n);
        return *(const char **)at ? FL_OK : fl_err_code(err, FL_NOMEM);
    case LIST: return set_list(c, at, value) ? FL_OK : fl_err_code(err, FL_NOMEM);
    case BOOL:
        if (!fl_str_is(value, "true") && !fl_str_is(value, "false"))
            return wrong(row, value, "must be true or false", where, err);
        *(bool *)at = fl_str_is(value, "true");
        return FL_OK;
    case INT:
        snprintf(range, sizeof range, "must be a whole number from %lld to %lld",
                 (long long)row->min, (long long)row->max);
        if (!fl_str_to_i64(value, &number) || number < row->min || number > row->max)
            return wrong(row, value, range, where, err);
        *(int64_t *)at = number;
        return FL_OK;
    case TIME:
        snprintf(range, sizeof range, "must be a duration from %s to %s, for instance 90s",
                 fl_duration_format(row->min, from), fl_duration_format(row->max, to));
        if (!fl_duration_parse(value, &ms) || ms < row->min || ms > row->max)
            return wrong(row, value, range, where, err);
        *(int64_t *)at = ms;
        return FL_OK;
    }
    return FL_OK;
}

/* A value of a YAML file as the text that it would have as a flag. */
static bool put_value(struct fl_buf *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: fl_buf_str(out, fl_json_str(value)); return true;
    case JSON_INTEGER: fl_buf_i64(out, json_integer_value(value)); return true;
    case JSON_TRUE: fl_buf_puts(out, "true"); return true;
    case JSON_FALSE: fl_buf_puts(out, "false"); return true;
    case JSON_NULL: return true;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            if (!json_is_string(item))
                return false;
            if (i)
                fl_buf_putc(out, ',');
            fl_buf_str(out, fl_json_str(item));
        }
        return true;
    default: return false;
    }
}

static enum fl_code set_object(struct fl_config *c, const json_t *object, const char *where,
                               struct fl_err *err)
{
    const char *key;
    json_t *value;
    enum fl_code code = FL_OK;
    if (json_is_null(object))
        return FL_OK;
    if (!json_is_object(object))
        return fl_err_set(err, FL_CONFIG, "%s: must be a list of settings, 'name: value'", where);
    json_object_foreach ((json_t *)object, key, value) {
        const struct row *row = find(fl_str_of(key));
        struct fl_buf text = FL_BUF_INIT;
        if (!row)
            return unknown(fl_str_of(key), where, err);
        if (!put_value(&text, value))
            code = fl_err_set(err, FL_CONFIG, "%s: %s must be a %s", where, key,
                              type_names[row->type]);
        else
            code = fl_buf_code(&text, err);
        if (code == FL_OK)
            code = set(c, row, text.p ? fl_buf_view(&text) : FL_STR(""), where, err);
        fl_buf_fini(&text);
        if (code)
            break;
    }
    return code;
}

static enum fl_code read_file(struct fl_config *c, const char *path, struct fl_err *err)
{
    struct fl_buf text;
    char piece[4096];
    fl_buf_init(&text, 1 << 20);
    FILE *f = fopen(path, "re");
    if (!f)
        return fl_err_set(err, FL_CONFIG, "cannot read the configuration %s", path);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        fl_buf_put(&text, piece, n);
    fclose(f);
    struct fl_yaml yaml;
    enum fl_code code = fl_buf_code(&text, err);
    if (code == FL_OK)
        code = fl_yaml_load(text.p ? fl_buf_view(&text) : FL_STR(""), path, &yaml, err);
    if (code == FL_OK) {
        code = set_object(c, yaml.root, path, err);
        fl_yaml_fini(&yaml);
    }
    fl_buf_fini(&text);
    return code == FL_OK || code == FL_NOMEM ? code : (err->code = FL_CONFIG);
}

/* "FLOPINIO_LISTEN" */
static void environment_name(const struct row *row, char out[64])
{
    snprintf(out, 64, "FLOPINIO_%s", row->name);
    for (char *p = out; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
}

static enum fl_code set_environment(struct fl_config *c, struct fl_err *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        char name[64];
        environment_name(&rows[i], name);
        const char *value = getenv(name);
        enum fl_code code = value ? set(c, &rows[i], fl_str_of(value), name, err) : FL_OK;
        if (code)
            return code;
    }
    return FL_OK;
}

static enum fl_code set_flag(struct fl_config *c, const char *flag, struct fl_err *err)
{
    char name[64];
    const char *from = strncmp(flag, "--", 2) == 0 ? flag + 2 : flag;
    const char *equals = strchr(from, '=');
    size_t n = equals ? (size_t)(equals - from) : strlen(from);
    if (n >= sizeof name)
        n = sizeof name - 1;
    for (size_t i = 0; i < n; i++)
        name[i] = from[i] == '-' ? '_' : from[i];
    name[n] = 0;
    const struct row *row = find(fl_str_of(name));
    if (!row)
        return unknown(fl_str_of(name), "command line", err);
    if (row->type == SECRET)
        return fl_err_set(err, FL_CONFIG,
                          "%s is a secret and must not stand on the command line, where every user "
                          "of the machine can read it; use the file or the environment",
                          row->name);
    const char *value = equals ? equals + 1 : row->type == BOOL ? "true" : NULL;
    if (!value)
        return fl_err_set(err, FL_CONFIG, "command line: --%s needs a value, --%s=%s", name, name,
                          type_names[row->type]);
    return set(c, row, fl_str_of(value), "command line", err);
}

static enum fl_code set_defaults(struct fl_config *c, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    for (size_t i = 0; code == FL_OK && i < ROWS; i++)
        code = set(c, &rows[i], fl_str_of(rows[i].fallback), "default", err);
    return code;
}

static enum fl_code set_data_dir(struct fl_config *c, struct fl_err *err)
{
    const char *home = getenv("HOME");
    if (!c->data_dir[0])
        c->data_dir = geteuid() == 0 || !home
                          ? "/var/lib/flopinio"
                          : fl_arena_printf(c->arena, "%s/.local/share/flopinio", home);
    if (c->data_dir && c->data_dir[0] != '/') {
        char here[4096];
        c->data_dir = getcwd(here, sizeof here)
                          ? fl_arena_printf(c->arena, "%s/%s", here, c->data_dir)
                          : NULL;
    }
    return c->data_dir ? FL_OK : fl_err_code(err, FL_NOMEM);
}

/* What no single row can say. */
static enum fl_code check(const struct fl_config *c, struct fl_err *err)
{
    size_t certificates = 0, keys = 0;
    while (c->tls_certificate[certificates])
        certificates++;
    while (c->tls_key[keys])
        keys++;
    if (certificates != keys)
        return fl_err_set(err, FL_CONFIG,
                          "tls_certificate names %zu files and tls_key %zu; each needs the other",
                          certificates, keys);
    if (strcmp(c->operator_authority, "until_admin") != 0 &&
        strcmp(c->operator_authority, "always") != 0 && strcmp(c->operator_authority, "never") != 0)
        return fl_err_set(err, FL_CONFIG,
                          "operator_authority is '%.40s', but must be until_admin, always or never",
                          c->operator_authority);
    for (const char *const *proxy = c->trusted_proxies; *proxy; proxy++) {
        struct fl_cidr net;
        struct fl_err why;
        if (fl_cidr_parse(fl_str_of(*proxy), &net, &why) != FL_OK)
            return fl_err_set(err, FL_CONFIG, "trusted_proxies: %s", why.text);
    }
    if (strcmp(c->log_format, "text") != 0 && strcmp(c->log_format, "json") != 0)
        return fl_err_set(err, FL_CONFIG, "log_format is '%.40s', but must be text or json",
                          c->log_format);
    return FL_OK;
}

/* The one that is named, else the first of the usual places. */
static enum fl_code find_file(struct fl_config *c, const char *named, struct fl_err *err)
{
    const char *places[2] = { fl_arena_printf(c->arena, "%s/flopinio.yaml", c->data_dir),
                              "/etc/flopinio/flopinio.yaml" };
    named = named ? named : getenv("FLOPINIO_CONFIG");
    c->file = named ? fl_arena_strdup(c->arena, named) : "";
    c->unreadable = "";
    if (!places[0] || !c->file)
        return fl_err_code(err, FL_NOMEM);
    for (size_t i = 0; i < FL_COUNTOF(places) && !named && !c->file[0]; i++) {
        if (access(places[i], R_OK) == 0)
            c->file = places[i];
        else if (errno == EACCES)
            c->unreadable = places[i];
    }
    return FL_OK;
}

enum fl_code fl_config_load(const char *file, const char *const *flags, size_t flag_count,
                            struct fl_config *ret, struct fl_err *err)
{
    struct fl_config c = { .arena = fl_arena_new(4096) };
    enum fl_code code = c.arena ? set_defaults(&c, err) : fl_err_code(err, FL_NOMEM);
    /* The file may lie in the data directory, which environment and flags may name. */
    if (code == FL_OK)
        code = set_environment(&c, err);
    for (size_t i = 0; code == FL_OK && i < flag_count; i++)
        code = set_flag(&c, flags[i], err);
    if (code == FL_OK)
        code = set_data_dir(&c, err);
    if (code == FL_OK)
        code = find_file(&c, file, err);
    if (code == FL_OK && c.file[0])
        code = read_file(&c, c.file, err);
    /* Again, as they beat the file. */
    if (code == FL_OK)
        code = set_environment(&c, err);
    for (size_t i = 0; code == FL_OK && i < flag_count; i++)
        code = set_flag(&c, flags[i], err);
    if (code == FL_OK)
        code = set_data_dir(&c, err);
    if (code == FL_OK)
        code = check(&c, err);
    if (code)
        fl_arena_free(&c.arena);
    else
        *ret = c;
    return code;
}

void fl_config_fini(struct fl_config *config)
{
    fl_arena_free(&config->arena);
}

static void put_text(const struct fl_config *c, const struct row *row, struct fl_buf *out)
{
    const void *at = (const char *)c + row->offset;
    char text[FL_TIME_BYTES];
    switch (row->type) {
    case TEXT:
    case SECRET: fl_buf_puts(out, *(const char *const *)at); break;
    case INT: fl_buf_i64(out, *(const int64_t *)at); break;
    case TIME: fl_buf_puts(out, fl_duration_format(*(const int64_t *)at, text)); break;
    case BOOL: fl_buf_puts(out, *(const bool *)at ? "true" : "false"); break;
    case LIST:
        for (const char *const *item = *(const char *const *const *)at; *item; item++)
            fl_buf_printf(out, "%s%s", item == *(const char *const *const *)at ? "" : ",", *item);
        break;
    }
}

json_t *fl_config_to_json(const struct fl_config *config)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < ROWS; i++) {
        struct fl_buf text = FL_BUF_INIT;
        put_text(config, &rows[i], &text);
        /* What is as it always was need not be told: the next program, or the last one, may not
         * know it. */
        if (!text.is_failed && fl_str_is(fl_buf_view(&text), rows[i].fallback)) {
            fl_buf_fini(&text);
            continue;
        }
        if (text.is_failed ||
            json_object_set_new(object, rows[i].name, json_string(text.p ? text.p : "")) != 0) {
            json_decref(object);
            object = NULL;
        }
        fl_buf_fini(&text);
    }
    return object;
}

enum fl_code fl_config_from_json(const json_t *object, struct fl_config *ret, struct fl_err *err)
{
    struct fl_config c = { .arena = fl_arena_new(4096), .file = "", .unreadable = "" };
    enum fl_code code = c.arena ? set_defaults(&c, err) : fl_err_code(err, FL_NOMEM);
    if (code == FL_OK)
        code = set_object(&c, object, "handed over", err);
    if (code)
        fl_arena_free(&c.arena);
    else
        *ret = c;
    return code;
}

void fl_config_help(struct fl_buf *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        char flag[64];
        bool is_secret = rows[i].type == SECRET; /* never on the command line: set_flag */
        if (is_secret)
            environment_name(&rows[i], flag);
        else
            snprintf(flag, sizeof flag, "--%s=%s", rows[i].name,
                     rows[i].type == LIST ? "A,B" : type_names[rows[i].type]);
        for (char *p = flag + 2; !is_secret && *p && *p != '='; p++)
            *p = *p == '_' ? '-' : *p;
        fl_buf_printf(out, "  %-34s %s%s%s%s\n", flag, rows[i].help,
                      rows[i].fallback[0] ? " [" : "", rows[i].fallback,
                      rows[i].fallback[0] ? "]" : "");
    }
}

void fl_config_markdown(struct fl_buf *out)
{
    fl_buf_puts(out,
                "# Configuration\n\n"
                "Generated by `flopinio generate configuration`; the table is "
                "`runtime/cli/config.h`.\n\n"
                "Each setting can stand in a file (YAML or JSON: `listen: 0.0.0.0:7337`), in the "
                "environment (`FLOPINIO_LISTEN`) or on the command line "
                "(`flopinio serve --listen=0.0.0.0:7337`). Flags beat the environment, the "
                "environment beats the file. The file is the one that `--config` or "
                "`FLOPINIO_CONFIG` names, else `flopinio.yaml` in the data directory, else "
                "`/etc/flopinio/flopinio.yaml`. A setting that does not exist is an error. After "
                "SIGHUP the settings marked *reload* are read again; the others need a restart.\n\n"
                "| setting | kind | default | range | takes effect | meaning |\n"
                "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ROWS; i++) {
        char from[FL_TIME_BYTES], to[FL_TIME_BYTES], range[80] = "";
        if (rows[i].type == INT)
            snprintf(range, sizeof range, "%lld to %lld", (long long)rows[i].min,
                     (long long)rows[i].max);
        else if (rows[i].type == TIME)
            snprintf(range, sizeof range, "%s to %s", fl_duration_format(rows[i].min, from),
                     fl_duration_format(rows[i].max, to));
        fl_buf_printf(out, "| `%s` | %s%s | %s%s%s | %s | %s | %s |\n", rows[i].name,
                      type_names[rows[i].type], rows[i].type == SECRET ? " (secret)" : "",
                      rows[i].fallback[0] ? "`" : "", rows[i].fallback,
                      rows[i].fallback[0] ? "`" : "", range, rows[i].effect, rows[i].help);
    }
}

void fl_config_show(const struct fl_config *config, struct fl_buf *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        fl_buf_printf(out, "%s: ", rows[i].name);
        if (rows[i].type == SECRET)
            fl_buf_puts(out, (*(const char *const *)((const char *)config + rows[i].offset))[0]
                                 ? "(set)"
                                 : "");
        else
            put_text(config, &rows[i], out);
        fl_buf_putc(out, '\n');
    }
}

enum fl_code fl_config_run_dir(const char *data_dir, char *out, size_t size, struct fl_err *err)
{
    enum { SOCKET_MAX = 107, LONGEST_NAME = 16 };
    if (strlen(data_dir) + strlen("/run/") + LONGEST_NAME < SOCKET_MAX) {
        snprintf(out, size, "%s/run", data_dir);
        return FL_OK;
    }
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char *p = data_dir; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
    /* The same for everybody who asks: by the installation's owner, not by who looks for it. */
    struct stat st;
    struct statvfs fs;
    uid_t owner = stat(data_dir, &st) == 0 ? st.st_uid : geteuid();
    bool is_in_run = owner == 0 && statvfs("/run", &fs) == 0 && !(fs.f_flag & ST_RDONLY);
    snprintf(out, size, "%s/flopinio-run-%u-%08x", is_in_run ? "/run" : "/tmp", (unsigned)owner,
             (unsigned)(hash ^ hash >> 32));
    return strlen(out) + 1 < size ? FL_OK : fl_err_set(err, FL_CONFIG, "data_dir is too long");
}

enum fl_code fl_config_run_dir_of_owner(const char *data_dir, char *out, size_t size,
                                        struct fl_err *err)
{
    struct stat data, run;
    enum fl_code code = fl_config_run_dir(data_dir, out, size, err);
    if (code)
        return code;
    if (stat(data_dir, &data) != 0 || lstat(out, &run) != 0)
        return fl_err_set(err, FL_NOT_FOUND, "no installation runs with %s", data_dir);
    if (!S_ISDIR(run.st_mode) || (run.st_uid != data.st_uid && run.st_uid != 0))
        return fl_err_set(err, FL_FORBIDDEN, "%s belongs to somebody else than %s", out, data_dir);
    if (run.st_mode & 022)
        return fl_err_set(err, FL_FORBIDDEN, "others may write to %s; mend it with: chmod 755 %s",
                          out, out);
    return FL_OK;
}
