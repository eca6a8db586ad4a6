/* The table of commands: what `flopinio COMMAND` knows, its help, docs/cli.md and its parser are
 * all made from it. A topic's commands stand in its own file (cmd_agent.c); cli_table.c lists them.
 */
#ifndef FLOPINIO_CLI_CLI_TABLE_H
#define FLOPINIO_CLI_CLI_TABLE_H

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

struct fl_cli;

enum fl_cli_uses {
    FL_CLI_API = 1,  /* talks to the runtime: --url, --data-dir, --as, --json ... */
    FL_CLI_ORG = 3,  /* the same, of one organization: --org */
    FL_CLI_RAW = 4,  /* reads its arguments itself (settings); args of the context is argv */
    FL_CLI_HERE = 8, /* needs the configuration of this host only: --data-dir, --config */
    FL_CLI_UNDOCUMENTED = 16 /* for the build, not for people */
};

struct fl_cli_flag {
    const char *name;  /* "owner": --owner VALUE, --owner=VALUE */
    const char *value; /* "PERSON"; "read|write" allows just these; NULL: it takes none */
    const char *help;
    unsigned kind; /* enum fl_cli_flag_kind, ored */
};

enum fl_cli_flag_kind { FL_FLAG_REQUIRED = 1, FL_FLAG_MANY = 2, FL_FLAG_SHORT = 4 };

struct fl_cli_command {
    const char *name;    /* "agent credential create": one to three words */
    const char *args;    /* "NAME [DIR] TOOL..."; "read|write" allows just these; "" none. A first
                            one called ORG stands for --org */
    const char *summary; /* one line, no period */
    const char *help;    /* more, in sentences; examples in lines that start with two spaces; may be
                            NULL */
    unsigned uses;
    const struct fl_cli_flag *flags; /* ends with a NULL name; may be NULL */
    int (*run)(struct fl_cli *cli);  /* the exit status (cli.h) */
};

/* Commands of one topic; the list ends with a NULL title, a topic's commands with a NULL name. */
struct fl_cli_topic {
    const char *title;
    const struct fl_cli_command *commands;
};
extern const struct fl_cli_topic fl_cli_topics[];

/* Flags that many commands take, by what the command uses. */
extern const struct fl_cli_flag fl_cli_common[];
bool fl_cli_common_applies(const struct fl_cli_flag *flag, const struct fl_cli_command *command);

struct fl_cli_set {
    const struct fl_cli_flag *flag;
    const char *value; /* "" of a flag without */
};

/* What a command line says; everything in the arena or borrowed from argv. */
struct fl_cli_parsed {
    const struct fl_cli_command *command; /* NULL: help about `group` */
    const char *group;                    /* "agent"; "" everything */
    bool wants_help, wants_version;
    const char **args;
    size_t arg_count;
    struct fl_cli_set *sets;
    size_t set_count;
};

/* argv[0] is the program. FL_BAD_PARAMS: wrong use, the text names what is nearest; `ret` then
 * still says which command or group it is about. */
enum fl_code fl_cli_parse(struct fl_arena *arena, int argc, char *const *argv,
                          struct fl_cli_parsed *ret, struct fl_err *err) FL_MUST_CHECK;
/* The value of a flag; NULL when it was not given; the last one when given twice. */
const char *fl_cli_parsed_flag(const struct fl_cli_parsed *parsed, const char *name);
/* The same of a common flag, where the command may have one of the same name (server add --config).
 */
const char *fl_cli_parsed_common(const struct fl_cli_parsed *parsed, const char *name);

/* Help, as text of at most 80 columns. */
void fl_cli_help_overview(struct fl_buf *out);
void fl_cli_help_group(struct fl_buf *out, const char *group);
void fl_cli_help_command(struct fl_buf *out, const struct fl_cli_command *command);
/* docs/cli.md. */
void fl_cli_markdown(struct fl_buf *out);

#endif
