/* export and apply: organizations as files. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "flopinio/base/yaml.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_print.h"
#include "runtime/cli/cli_run.h"

#define FILE_MAX   (4 << 20)
#define POLICY     "policy"
#define NAMES_MAX  4096 /* files of a folder */
#define MODE_FILES 0600 /* mail addresses and the like */

/* ---------------------------------------------------------------- reading files */
static bool is_document(const char *name, size_t *ret_stem)
{
    static const char *const endings[] = { ".yaml", ".yml", ".json" };
    size_t n = strlen(name);
    for (size_t i = 0; i < FL_COUNTOF(endings); i++) {
        size_t e = strlen(endings[i]);
        if (name[0] != '.' && n > e && strcmp(name + n - e, endings[i]) == 0) {
            *ret_stem = n - e;
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in a folder, sorted, in the arena; false: said why not. */
static bool read_folder(struct fl_cli *cli, const char *path, const char ***ret, size_t *ret_count)
{
    DIR *dir = opendir(path);
    const char **names = fl_arena_array(cli->arena, NAMES_MAX, sizeof *names);
    size_t count = 0;
    if (!dir || !names) {
        fl_cli_fail(cli, FL_EXIT_FAILED, "cannot read the folder %s: %s", fl_cli_text(cli, path),
                    strerror(errno));
        if (dir)
            closedir(dir);
        return false;
    }
    for (struct dirent *e; (e = readdir(dir)) && count < NAMES_MAX;) {
        if (e->d_name[0] != '.')
            names[count++] = fl_arena_strdup(cli->arena, e->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    *ret = names;
    *ret_count = count;
    return true;
}

/* Members of `from` into `into`: lists grow, anything else stands once. */
static bool merge(struct fl_cli *cli, json_t *into, const json_t *from, const char *path)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)from, key, value) {
        json_t *there = json_object_get(into, key);
        if (!there) {
            json_object_set(into, key, value);
        } else if (json_is_array(there) && json_is_array(value)) {
            json_array_extend(there, value);
        } else {
            fl_cli_fail(cli, FL_EXIT_FAILED, "%s: '%s' stands in another file too",
                        fl_cli_text(cli, path), fl_cli_text(cli, key));
            return false;
        }
    }
    return true;
}

static bool add_file(struct fl_cli *cli, json_t *into, const char *path, bool is_policy)
{
    struct fl_str text;
    struct fl_yaml yaml;
    struct fl_err err;
    if (!fl_cli_file(cli, path, FILE_MAX, &text))
        return false;
    if (is_policy) { /* as it is: the runtime reads it */
        json_t *member = json_pack("{s:o}", POLICY, fl_json_new_str(text));
        bool is_text = member && merge(cli, into, member, path);
        if (!member)
            fl_cli_fail(cli, FL_EXIT_FAILED, "%s is not UTF-8", fl_cli_text(cli, path));
        json_decref(member);
        return is_text;
    }
    if (fl_yaml_load(text, path, &yaml, &err) != FL_OK) {
        fl_cli_error(cli, &err);
        return false;
    }
    bool is_fine = json_is_object(yaml.root) || json_is_null(yaml.root);
    if (!is_fine)
        fl_cli_fail(cli, FL_EXIT_FAILED, "%s must be like 'people: [...]'", fl_cli_text(cli, path));
    else
        is_fine = merge(cli, into, yaml.root, path);
    fl_yaml_fini(&yaml);
    return is_fine;
}

/* An organization of one folder; a new reference, NULL: said why not. */
static json_t *read_org_folder(struct fl_cli *cli, const char *path)
{
    const char **names;
    size_t count, stem;
    json_t *object = json_object();
    bool is_fine = read_folder(cli, path, &names, &count);
    for (size_t i = 0; is_fine && i < count; i++) {
        bool is_policy =
            is_document(names[i], &stem) && strncmp(names[i], POLICY ".", stem + 1) == 0;
        if (is_document(names[i], &stem))
            is_fine = add_file(cli, object, fl_arena_printf(cli->arena, "%s/%s", path, names[i]),
                               is_policy);
    }
    if (!is_fine) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* ---------------------------------------------------------------- applying */
struct applying {
    struct fl_cli *cli;
    const json_t *orgs; /* that there are */
    bool is_dry;
    size_t changes, organizations;
};

static bool is_there(const struct applying *a, const char *org)
{
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)a->orgs, i, item) {
        if (fl_str_is(fl_json_get_str(item, "name"), org))
            return true;
    }
    return false;
}

static void say_changes(struct applying *a, const char *org, const json_t *answer)
{
    struct fl_cli *cli = a->cli;
    size_t i;
    json_t *item, *changes = json_object_get(answer, "changes");
    if (json_array_size(changes) == 0)
        fl_cli_say(cli, "%s: no changes", org);
    json_array_foreach (changes, i, item) {
        const char *change = fl_cli_member(cli, item, "change");
        struct fl_str detail = fl_json_get_str(item, "detail");
        bool is_long = detail.n && memchr(detail.p, '\n', detail.n); /* the policy's diff */
        fl_cli_say(cli, "%s: %s %s %s%s%s", org,
                   strcmp(change, "created") == 0   ? "+"
                   : strcmp(change, "removed") == 0 ? "-"
                                                    : "~",
                   fl_cli_member(cli, item, "what"), fl_cli_member(cli, item, "name"),
                   detail.n ? ": " : "", is_long ? "" : fl_cli_member(cli, item, "detail"));
        if (is_long)
            fl_print_lines(&cli->out, detail, 4);
    }
    fl_cli_findings(cli, answer);
    a->changes += json_array_size(changes);
}

/* `object` is stolen. */
static int apply_one(struct applying *a, const char *org, json_t *object)
{
    struct fl_cli *cli = a->cli;
    const char *shown = fl_cli_text(cli, org);
    json_t *answer = NULL;
    int status = FL_EXIT_DONE;
    a->organizations++;
    cli->org = org;
    if (!is_there(a, org) && a->is_dry) {
        json_decref(object);
        a->changes++;
        if (!cli->is_json)
            fl_cli_say(cli, "%s: + organization %s, and all that its files name", shown, shown);
        return FL_EXIT_DONE;
    }
    if (!is_there(a, org)) {
        json_t *body = json_object();
        fl_cli_put(body, "name", org);
        status = fl_cli_ask(cli, "POST", "/orgs", body, NULL);
        if (status == FL_EXIT_DONE && !cli->is_json)
            fl_cli_say(cli, "%s: + organization %s", shown, shown);
        a->changes += status == FL_EXIT_DONE;
    }
    json_object_set_new(object, "dry_run", json_boolean(a->is_dry));
    json_object_set_new(object, "prune", json_boolean(fl_cli_has(cli, "prune")));
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "POST", fl_cli_path(cli, "/orgs/{org}/apply"), object, &answer);
    else
        json_decref(object);
    if (status && cli->status == 400)
        fl_cli_refused_findings(cli);
    if (status)
        fprintf(stderr, "flopinio: %s: nothing of it was applied\n", shown);
    else if (!fl_cli_printed_json(cli))
        say_changes(a, shown, answer);
    json_decref(answer);
    fl_cli_flush(cli);
    return status;
}

/* A folder or a file of an organization; others in DIR are passed over. */
static int apply_entry(struct applying *a, const char *dir, const char *name)
{
    struct fl_cli *cli = a->cli;
    const char *path = fl_arena_printf(cli->arena, "%s/%s", dir, name), *org = name;
    const char *only = fl_cli_flag(cli, "org");
    struct stat st;
    size_t stem = strlen(name);
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!is_folder && !is_document(name, &stem))
        return FL_EXIT_DONE;
    org = fl_arena_strndup(cli->arena, name, stem);
    if (only && strcmp(only, org) != 0)
        return FL_EXIT_DONE;
    json_t *object = is_folder ? read_org_folder(cli, path) : json_object();
    if (object && !is_folder && !add_file(cli, object, path, false)) {
        json_decref(object);
        object = NULL;
    }
    return object ? apply_one(a, org, object) : FL_EXIT_FAILED;
}

static int apply(struct fl_cli *cli)
{
    const char *dir = fl_cli_flag(cli, "file");
    const char **names;
    size_t count;
    json_t *answer = NULL;
    if (!read_folder(cli, dir, &names, &count))
        return FL_EXIT_FAILED;
    int status = fl_cli_ask(cli, "GET", "/orgs", NULL, &answer);
    struct applying a = { .cli = cli,
                          .orgs = json_object_get(answer, "items"),
                          .is_dry = fl_cli_has(cli, "dry-run") };
    for (size_t i = 0; status == FL_EXIT_DONE && i < count; i++)
        status = apply_entry(&a, dir, names[i]);
    if (status == FL_EXIT_DONE && !a.organizations)
        status = fl_cli_fail(cli, FL_EXIT_FAILED,
                             "%s holds no organization: neither ORG.yaml nor a folder ORG",
                             fl_cli_text(cli, dir));
    if (status == FL_EXIT_DONE && !cli->is_json && a.changes)
        fl_cli_say(cli, "%zu changes in %zu organizations%s", a.changes, a.organizations,
                   a.is_dry ? ", none applied (--dry-run)" : "");
    else if (status == FL_EXIT_DONE && !cli->is_json)
        fl_cli_say(cli, "no changes");
    json_decref(answer);
    return status;
}

/* ---------------------------------------------------------------- exporting */
static bool write_file(struct fl_cli *cli, const char *path, struct fl_str text)
{
    const char *fresh = fl_arena_printf(cli->arena, "%s.new", path);
    FILE *f = fopen(fresh, "we");
    bool is_fine = f && fchmod(fileno(f), MODE_FILES) == 0 &&
                   fwrite(text.n ? text.p : "", 1, text.n, f) == text.n;
    if (f)
        is_fine = fclose(f) == 0 && is_fine;
    is_fine = is_fine && rename(fresh, path) == 0;
    if (!is_fine)
        fl_cli_fail(cli, FL_EXIT_FAILED, "cannot write %s: %s", fl_cli_text(cli, path),
                    strerror(errno));
    return is_fine;
}

/* One member as "people: [...]", or the policy as it is. */
static bool write_member(struct fl_cli *cli, const char *dir, const char *key, json_t *value)
{
    const char *path = fl_arena_printf(cli->arena, "%s/%s.yaml", dir, fl_cli_text(cli, key));
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    json_t *object = json_object();
    bool is_fine = true;
    if (json_is_string(value) && strcmp(key, POLICY) == 0) {
        fl_buf_str(&text, fl_json_str(value));
    } else {
        json_object_set(object, key, value);
        is_fine = fl_yaml_dump(object, &text, &err) == FL_OK;
        if (!is_fine)
            fl_cli_error(cli, &err);
    }
    is_fine = is_fine && write_file(cli, path, text.p ? fl_buf_view(&text) : FL_STR(""));
    json_decref(object);
    fl_buf_fini(&text);
    return is_fine;
}

static int export_org(struct fl_cli *cli, const char *org, const char *dir)
{
    json_t *answer = NULL, *value;
    const char *key;
    bool is_fine = true;
    cli->org = org;
    int status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/export"), NULL, &answer);
    const char *path = fl_arena_printf(cli->arena, "%s/%s", dir, org);
    if (status == FL_EXIT_DONE && mkdir(path, 0700) != 0 && errno != EEXIST)
        status = fl_cli_fail(cli, FL_EXIT_FAILED, "cannot make the folder %s: %s",
                             fl_cli_text(cli, path), strerror(errno));
    json_object_foreach (answer, key, value) {
        if (status == FL_EXIT_DONE)
            is_fine = is_fine && write_member(cli, path, key, value);
    }
    json_decref(answer);
    if (status == FL_EXIT_DONE && is_fine)
        fl_cli_say(cli, "%s written", fl_cli_text(cli, path));
    return status == FL_EXIT_DONE && !is_fine ? FL_EXIT_FAILED : status;
}

/* Names come from the runtime, and become folders: what could lead elsewhere is refused. */
static bool is_folder_name(const char *name)
{
    return name && *name && name[0] != '.' && !strchr(name, '/');
}

static int export_all(struct fl_cli *cli, const char *dir)
{
    json_t *answer = NULL, *item;
    const char *only = fl_cli_flag(cli, "org");
    size_t i, count = 0;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fl_cli_fail(cli, FL_EXIT_FAILED, "cannot make the folder %s: %s",
                           fl_cli_text(cli, dir), strerror(errno));
    int status = fl_cli_ask(cli, "GET", "/orgs", NULL, &answer);
    json_array_foreach (json_object_get(answer, "items"), i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (status || (only && name && strcmp(only, name) != 0))
            continue;
        count++;
        status = is_folder_name(name)
                     ? export_org(cli, fl_arena_strdup(cli->arena, name), dir)
                     : fl_cli_fail(cli, FL_EXIT_FAILED, "an organization's name is no folder's");
    }
    json_decref(answer);
    if (status == FL_EXIT_DONE && count == 0)
        status = fl_cli_fail(cli, FL_EXIT_NOT_FOUND, "there is no such organization");
    return status;
}

static int export(struct fl_cli *cli)
{
    const char *dir = fl_cli_arg(cli, 0);
    json_t *answer = NULL;
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    if (dir)
        return export_all(cli, dir);
    int status = fl_cli_find_org(cli);
    if (status == FL_EXIT_DONE)
        status = fl_cli_ask(cli, "GET", fl_cli_path(cli, "/orgs/{org}/export"), NULL, &answer);
    if (status == FL_EXIT_DONE && !fl_cli_printed_json(cli)) {
        if (fl_yaml_dump(answer, &text, &err) != FL_OK)
            status = fl_cli_error(cli, &err);
        else if (isatty(STDOUT_FILENO))
            fl_print_lines(&cli->out, fl_buf_view(&text), 0);
        else
            fl_buf_str(&cli->out, fl_buf_view(&text));
    }
    fl_buf_fini(&text);
    json_decref(answer);
    return status;
}

static const struct fl_cli_flag apply_flags[] = {
    { "file", "DIR", "the folder", FL_FLAG_REQUIRED | FL_FLAG_SHORT },
    { "dry-run", NULL, "show what would change, change nothing", 0 },
    { "prune", NULL, "remove what is there and in no file", 0 },
    { "org", "NAME", "only this organization", 0 },
    { .name = NULL }
};
static const struct fl_cli_flag export_flags[] = { { "org", "NAME", "only this organization", 0 },
                                                   { .name = NULL } };

const struct fl_cli_command fl_cmd_apply[] = {
    { "export", "[DIR]", "writes organizations as files for apply",
      "People, groups, agents, servers, accepted tools, channels, canaries and the policy; no secrets and no "
      "credentials. DIR gets a folder for each organization with a file for each kind; without DIR "
      "one organization goes to standard output.",
      FL_CLI_API, export_flags, export },
    { "apply", "", "makes organizations as their files say",
      "DIR holds a file ORG.yaml or a folder ORG for each organization. A folder's files are put "
      "together; its policy.yaml is the policy itself. Each organization changes as a whole or not "
      "at all; a second run says \"no changes\".\n"
      "  flopinio apply -f company --dry-run",
      FL_CLI_API, apply_flags, apply },
    { .name = NULL }
};
