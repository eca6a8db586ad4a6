/* Reading a command line by the table. */
#include "runtime/cli/cli_table.h"

#include <stdio.h>
#include <string.h>

#include "flopinio/base/utf8.h"
#include "runtime/cli/cli_commands.h"

#define WORDS_MAX 3

const struct fl_cli_topic fl_cli_topics[] = {
    { "The installation", fl_cmd_self },
    { "", fl_cmd_init },
    { "", fl_cmd_doctor },
    { "", fl_cmd_migrate },
    { "", fl_cmd_backup },
    { "", fl_cmd_restore },
    { "", fl_cmd_recover },
    { "", fl_cmd_stdio },
    { "", fl_cmd_demo },
    { "Organizations and people", fl_cmd_org },
    { "", fl_cmd_user },
    { "", fl_cmd_me },
    { "Agents and what they may use", fl_cmd_agent },
    { "", fl_cmd_server },
    { "", fl_cmd_tool },
    { "", fl_cmd_connect },
    { "Policy", fl_cmd_policy },
    { "Deciding", fl_cmd_approvals },
    { "", fl_cmd_channel },
    { "", fl_cmd_slack },
    { "", fl_cmd_decide },
    { "", fl_cmd_grant },
    { "", fl_cmd_canary },
    { "", fl_cmd_stop },
    { "What happened", fl_cmd_audit },
    { "As files", fl_cmd_apply },
    { NULL, NULL },
};

/* ---------------------------------------------------------------- flags of many commands */
const struct fl_cli_flag fl_cli_common[] = {
    { "org", "NAME", "the organization; FLOPINIO_ORG; needed when there are several", 0 },
    { "json", NULL, "print the REST API's answer as it is", 0 },
    { "as", "NAME", "sign in as this person: the passphrase is asked on the terminal", 0 },
    { "passphrase-fd", "N", "read what would be asked from descriptor N, an answer a line", 0 },
    { "url", "URL", "another host's runtime, https://...; FLOPINIO_URL", 0 },
    { "ca", "FILE", "trust these certificates (PEM) instead of the system's", 0 },
    { "data-dir", "DIR", "where the installation on this host lives", 0 },
    { "config", "FILE", "its configuration file", 0 },
    { NULL, NULL, NULL, 0 },
};

bool fl_cli_common_applies(const struct fl_cli_flag *flag, const struct fl_cli_command *command)
{
    unsigned uses = command->uses;
    for (const struct fl_cli_flag *f = command->flags; f && f->name; f++) {
        if (strcmp(f->name, flag->name) == 0)
            return false; /* it has one of its own */
    }
    if (uses & FL_CLI_RAW)
        return false;
    if (strcmp(flag->name, "org") == 0)
        return (uses & FL_CLI_ORG) == FL_CLI_ORG;
    if (strcmp(flag->name, "data-dir") == 0 || strcmp(flag->name, "config") == 0)
        return (uses & (FL_CLI_API | FL_CLI_HERE)) != 0;
    return (uses & FL_CLI_API) != 0;
}

/* ---------------------------------------------------------------- finding the command */
static const struct fl_cli_command *next_command(size_t *topic, size_t *at)
{
    for (; fl_cli_topics[*topic].title; (*topic)++, *at = 0) {
        const struct fl_cli_command *c = &fl_cli_topics[*topic].commands[*at];
        if (c->name) {
            (*at)++;
            return c;
        }
    }
    return NULL;
}

#define EACH_COMMAND(c)                                                                            \
    size_t topic_ = 0, at_ = 0;                                                                    \
    for (const struct fl_cli_command *(c); ((c) = next_command(&topic_, &at_));)

/* "agent" of "agent create", with `word` "agent"; NULL: the command starts otherwise. */
static const char *behind(const char *name, const char *words)
{
    size_t n = strlen(words);
    if (strncmp(name, words, n) != 0)
        return NULL;
    return name[n] == ' ' ? name + n + 1 : n == 0 ? name : NULL;
}

static const struct fl_cli_command *exactly(const char *words)
{
    EACH_COMMAND(c)
    {
        if (strcmp(c->name, words) == 0)
            return c;
    }
    return NULL;
}

static bool is_group(const char *words)
{
    EACH_COMMAND(c)
    {
        if (behind(c->name, words))
            return true;
    }
    return false;
}

static void consider(struct fl_str word, struct fl_str candidate, unsigned *best,
                     struct fl_str *ret)
{
    unsigned d = fl_str_distance(word, candidate);
    if (candidate.n > word.n && word.n > 1 && fl_str_has_prefix(candidate, word))
        d = 1;
    if (d < *best) {
        *best = d;
        *ret = candidate;
    }
}

/* "; did you mean 'X'?" if something is near enough to help. */
static const char *did_you_mean(struct fl_arena *arena, struct fl_str word, const char *before,
                                struct fl_str nearest, unsigned distance)
{
    if (!nearest.n || distance > 2 + word.n / 3 || distance >= nearest.n)
        return "";
    return fl_arena_printf(arena, "; did you mean '%s%.*s'?", before, FL_STR_ARG(nearest));
}

/* No command is called `group` `word`. */
static enum fl_code unknown_command(struct fl_arena *arena, const char *group, const char *word,
                                    struct fl_err *err)
{
    struct fl_str nearest = { NULL, 0 };
    unsigned best = 1000;
    if (word[0] == '-')
        return fl_err_set(err, FL_BAD_PARAMS,
                          "%.60s: say which command first; flags stand behind it", group);
    EACH_COMMAND(c)
    {
        const char *rest = behind(c->name, group);
        if (rest)
            consider(fl_str_of(word), (struct fl_str){ rest, strcspn(rest, " ") }, &best, &nearest);
    }
    const char *before = *group ? fl_arena_printf(arena, "%s ", group) : "";
    return fl_err_set(err, FL_BAD_PARAMS, "there is no command '%.60s%.60s'%s", before, word,
                      did_you_mean(arena, fl_str_of(word), before, nearest, best));
}

/* ---------------------------------------------------------------- flags */
struct reader {
    struct fl_arena *arena;
    struct fl_cli_parsed *p;
    int argc, at;
    char *const *argv;
};

static const struct fl_cli_flag *find_flag(const struct fl_cli_flag *flags, struct fl_str name,
                                           bool is_short)
{
    for (; flags && flags->name; flags++) {
        if (is_short ? (flags->kind & FL_FLAG_SHORT) && name.n == 1 && name.p[0] == flags->name[0]
                     : fl_str_is(name, flags->name))
            return flags;
    }
    return NULL;
}

/* Before the command's name only the common ones are known. */
static const struct fl_cli_flag *look_up(const struct fl_cli_command *c, struct fl_str name,
                                         bool is_short)
{
    const struct fl_cli_flag *flag = c ? find_flag(c->flags, name, is_short) : NULL;
    if (flag)
        return flag;
    flag = is_short ? NULL : find_flag(fl_cli_common, name, false);
    return flag && c && !fl_cli_common_applies(flag, c) ? NULL : flag;
}

static enum fl_code unknown_flag(struct reader *r, struct fl_str name, struct fl_err *err)
{
    const struct fl_cli_command *c = r->p->command;
    struct fl_str nearest = { NULL, 0 };
    unsigned best = 1000;
    for (const struct fl_cli_flag *f = c ? c->flags : NULL; f && f->name; f++)
        consider(name, fl_str_of(f->name), &best, &nearest);
    for (const struct fl_cli_flag *f = fl_cli_common; f->name; f++) {
        if (!c || fl_cli_common_applies(f, c))
            consider(name, fl_str_of(f->name), &best, &nearest);
    }
    consider(name, FL_STR("help"), &best, &nearest);
    return fl_err_set(err, FL_BAD_PARAMS, "%s%sthere is no flag '%.60s'%s", c ? c->name : "",
                      c ? ": " : "", r->argv[r->at],
                      did_you_mean(r->arena, name, "--", nearest, best));
}

/* "a|b|c" allows a, b and c (with `is_list` "a,b" too); anything else allows everything. */
static enum fl_code check_choice(struct reader *r, const char *what, const char *choices,
                                 const char *value, bool is_list, struct fl_err *err)
{
    if (!strchr(choices, '|'))
        return FL_OK;
    for (const char *v = value;; v++) {
        struct fl_str given = { v, is_list ? strcspn(v, ",") : strlen(v) };
        struct fl_str nearest = { NULL, 0 };
        unsigned best = 1000;
        bool is_known = false;
        for (const char *p = choices; *p; p += *p == '|') {
            struct fl_str one = { p, strcspn(p, "|") };
            is_known |= fl_str_eq(one, given);
            consider(given, one, &best, &nearest);
            p += one.n;
        }
        if (!is_known)
            return fl_err_set(err, FL_BAD_PARAMS, "%s: %s'%.*s' is none of %s%s",
                              r->p->command->name, what, (int)(given.n > 60 ? 60 : given.n),
                              given.p, choices, did_you_mean(r->arena, given, "", nearest, best));
        v += given.n;
        if (!*v)
            return FL_OK;
    }
}

/* argv[at] starts with '-'; at then stands on the last word it used. */
static enum fl_code read_flag(struct reader *r, struct fl_err *err)
{
    const char *word = r->argv[r->at];
    bool is_short = word[1] != '-';
    const char *from = word + (is_short ? 1 : 2), *equals = strchr(from, '=');
    struct fl_str name = { from, equals ? (size_t)(equals - from) : strlen(from) };
    if (fl_str_is(name, "help") || (is_short && fl_str_is(name, "h"))) {
        r->p->wants_help = true;
        return FL_OK;
    }
    if (!r->p->command && fl_str_is(name, "version")) {
        r->p->wants_version = true;
        return FL_OK;
    }
    const struct fl_cli_flag *flag = look_up(r->p->command, name, is_short);
    if (!flag)
        return unknown_flag(r, name, err);
    const char *value = equals ? equals + 1 : "";
    if (!flag->value && equals)
        return fl_err_set(err, FL_BAD_PARAMS, "--%s takes no value", flag->name);
    if (flag->value && !equals) {
        if (r->at + 1 >= r->argc)
            return fl_err_set(err, FL_BAD_PARAMS, "--%s needs a value: --%s %s", flag->name,
                              flag->name, flag->value);
        value = r->argv[++r->at];
    }
    for (size_t i = 0; i < r->p->set_count && !(flag->kind & FL_FLAG_MANY); i++) {
        if (r->p->sets[i].flag == flag)
            return fl_err_set(err, FL_BAD_PARAMS, "--%s is given twice", flag->name);
    }
    r->p->sets[r->p->set_count++] = (struct fl_cli_set){ flag, value };
    return FL_OK;
}

/* ---------------------------------------------------------------- the whole line */
/* The longest name that the words at r->at begin with; what stands before it is common flags. */
static enum fl_code read_command(struct reader *r, struct fl_err *err)
{
    enum fl_code code = FL_OK;
    const char *words = "";
    int end = 0;
    for (; code == FL_OK && r->at < r->argc && r->argv[r->at][0] == '-'; r->at++)
        code = read_flag(r, err);
    int start = r->at;
    if (code == FL_OK && r->at < r->argc && strcmp(r->argv[r->at], "help") == 0) {
        r->p->wants_help = true;
        start++;
    }
    for (int i = start; code == FL_OK && i < r->argc && i < start + WORDS_MAX; i++) {
        words = fl_arena_printf(r->arena, "%s%s%.100s", words, *words ? " " : "", r->argv[i]);
        if (!words)
            return fl_err_code(err, FL_NOMEM);
        const struct fl_cli_command *c = exactly(words);
        if (c) {
            r->p->command = c;
            end = i + 1;
        }
        if (is_group(words))
            r->p->group = words;
        else if (!c)
            break;
    }
    if (code)
        return code;
    r->at = r->p->command ? end : r->argc;
    if (r->p->command || start >= r->argc)
        return FL_OK;
    int behind_group = start;
    for (const char *p = r->p->group; *p; p += strcspn(p, " "), p += *p == ' ')
        behind_group++;
    if (behind_group >= r->argc)
        return FL_OK; /* help about the group */
    if (strcmp(r->argv[behind_group], "--help") == 0 || strcmp(r->argv[behind_group], "-h") == 0) {
        r->p->wants_help = true;
        return FL_OK;
    }
    return unknown_command(r->arena, r->p->group, r->argv[behind_group], err);
}

/* The pattern's word for argument `at`, without brackets and dots; NULL: it takes no so many. */
static const char *pattern_word(struct fl_arena *arena, const char *pattern, size_t at,
                                bool *ret_optional)
{
    const char *p = pattern;
    for (size_t i = 0; *p; i++) {
        struct fl_str word = { p, strcspn(p, " ") };
        bool is_optional = word.p[0] == '[', is_many = false;
        word.p += is_optional;
        word.n = strcspn(word.p, "]. ");
        is_many = word.p[word.n] == '.';
        if (i == at || is_many) {
            *ret_optional = is_optional || at > i;
            return fl_arena_strndup(arena, word.p, word.n);
        }
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    return NULL;
}

static enum fl_code check_args(struct reader *r, struct fl_err *err)
{
    const struct fl_cli_parsed *p = r->p;
    bool is_optional = false;
    for (size_t i = 0; i < p->arg_count; i++) {
        const char *word = pattern_word(r->arena, p->command->args, i, &is_optional);
        if (!word)
            return fl_err_set(err, FL_BAD_PARAMS, "%s: '%.60s' is one argument too many",
                              p->command->name, p->args[i]);
        enum fl_code code = check_choice(r, "", word, p->args[i], false, err);
        if (code)
            return code;
    }
    const char *next = pattern_word(r->arena, p->command->args, p->arg_count, &is_optional);
    if (next && !is_optional)
        return fl_err_set(err, FL_BAD_PARAMS, "%s: %s is missing", p->command->name, next);
    return FL_OK;
}

static enum fl_code check_flags(struct reader *r, struct fl_err *err)
{
    const struct fl_cli_parsed *p = r->p;
    for (const struct fl_cli_flag *f = p->command->flags; f && f->name; f++) {
        if ((f->kind & FL_FLAG_REQUIRED) && !fl_cli_parsed_flag(p, f->name))
            return fl_err_set(err, FL_BAD_PARAMS, "%s: --%s %s is missing", p->command->name,
                              f->name, f->value);
    }
    for (size_t i = 0; i < p->set_count; i++) {
        const struct fl_cli_flag *f = p->sets[i].flag;
        const char *what = fl_arena_printf(r->arena, "--%s ", f->name);
        if (!look_up(p->command, fl_str_of(f->name), false))
            return fl_err_set(err, FL_BAD_PARAMS, "%s does not take --%s", p->command->name,
                              f->name);
        enum fl_code code = f->value ? check_choice(r, what, f->value, p->sets[i].value,
                                                    f->kind & FL_FLAG_MANY, err)
                                     : FL_OK;
        if (code)
            return code;
    }
    return FL_OK;
}

enum fl_code fl_cli_parse(struct fl_arena *arena, int argc, char *const *argv,
                          struct fl_cli_parsed *ret, struct fl_err *err)
{
    struct reader r = { arena, ret, argc, 1, argv };
    size_t most = argc > 0 ? (size_t)argc + 1 : 1;
    *ret = (struct fl_cli_parsed){ .group = "",
                                   .args = fl_arena_array(arena, most, sizeof *ret->args),
                                   .sets = fl_arena_array(arena, most, sizeof *ret->sets) };
    if (!ret->args || !ret->sets)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code = read_command(&r, err);
    if (code || !ret->command)
        return code;
    bool is_raw = ret->command->uses & FL_CLI_RAW, is_over = false;
    for (int i = 1; i < argc && code == FL_OK; i++) { /* all of it goes into JSON */
        if (!fl_utf8_is_valid(fl_str_of(argv[i])))
            code = fl_err_set(err, FL_BAD_PARAMS, "argument %d is not UTF-8", i);
    }
    for (; code == FL_OK && r.at < argc; r.at++) {
        const char *word = argv[r.at];
        bool is_help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
        if (!is_over && !is_raw && strcmp(word, "--") == 0)
            is_over = true;
        else if (!is_over && is_raw && is_help)
            ret->wants_help = true;
        else if (!is_over && !is_raw && word[0] == '-' && word[1])
            code = read_flag(&r, err);
        else
            ret->args[ret->arg_count++] = word;
    }
    if (code == FL_OK && is_raw && ret->set_count)
        code = fl_err_set(err, FL_BAD_PARAMS, "%s: its flags stand behind it", ret->command->name);
    if (code == FL_OK && !is_raw && !ret->wants_help)
        code = check_args(&r, err);
    if (code == FL_OK && !is_raw && !ret->wants_help)
        code = check_flags(&r, err);
    return code;
}

const char *fl_cli_parsed_flag(const struct fl_cli_parsed *parsed, const char *name)
{
    for (size_t i = parsed->set_count; i-- > 0;) {
        if (strcmp(parsed->sets[i].flag->name, name) == 0)
            return parsed->sets[i].value;
    }
    return NULL;
}

const char *fl_cli_parsed_common(const struct fl_cli_parsed *parsed, const char *name)
{
    for (size_t i = parsed->set_count; i-- > 0;) {
        if (find_flag(fl_cli_common, fl_str_of(name), false) == parsed->sets[i].flag)
            return parsed->sets[i].value;
    }
    return NULL;
}
