/* One command being run: its arguments, its requests to the REST API, what it prints. A handler
 * (cli_table.h) asks, prints and returns the exit status. */
#ifndef FLOPINIO_CLI_CLI_RUN_H
#define FLOPINIO_CLI_CLI_RUN_H

#include <jansson.h>

#include "runtime/cli/cli_table.h"
#include "runtime/cli/config.h"

/* Exit statuses of cli.h. */
enum fl_exit {
    FL_EXIT_DONE,
    FL_EXIT_FAILED,
    FL_EXIT_USAGE,
    FL_EXIT_FORBIDDEN,
    FL_EXIT_NOT_FOUND,
    FL_EXIT_CONFLICT,
    FL_EXIT_UNAVAILABLE
};

struct fl_client; /* cli_client.c */

struct fl_cli {
    const struct fl_cli_parsed *parsed;
    struct fl_arena *arena;   /* until the command ends */
    struct fl_client *client; /* NULL until the first request */
    const char *org;          /* of commands with FL_CLI_ORG */
    bool is_json;
    struct fl_buf out;  /* standard output, written when the handler ends or fl_cli_flush */
    struct fl_buf body; /* the last answer, as it came */
    int status;         /* its HTTP status; 0: none came */
    bool is_quiet;      /* what went wrong goes into `trouble` instead of standard error */
    char trouble[400];
};

/* ---- arguments ---- */
const char *fl_cli_arg(const struct fl_cli *cli, size_t at); /* NULL: not given */
const char *fl_cli_flag(const struct fl_cli *cli, const char *name);
bool fl_cli_has(const struct fl_cli *cli, const char *name);
/* All values of a flag that may be repeated, commas taken apart, as a new JSON list of texts. */
json_t *fl_cli_list(struct fl_cli *cli, const char *name);
/* Wrong use: says it and returns FL_EXIT_USAGE. */
int fl_cli_wrong(struct fl_cli *cli, const char *fmt, ...) FL_PRINTF(2, 3);
/* One sentence on standard error; returns `status`. */
int fl_cli_fail(struct fl_cli *cli, int status, const char *fmt, ...) FL_PRINTF(3, 4);
/* The same for an error; its exit status. */
int fl_cli_error(struct fl_cli *cli, const struct fl_err *err);
/* What a file holds ("-": standard input), at most `max` bytes, in the arena; says why not. */
bool fl_cli_file(struct fl_cli *cli, const char *path, size_t max, struct fl_str *ret);
/* A connection string with a password: what the environment has, or the file of the flag; never the
 * flag itself, which every user of the host can read. Appended to `out`, which the caller cleanses;
 * empty where neither is given. False: said why not. */
bool fl_cli_url(struct fl_cli *cli, const char *file_flag, const char *variable,
                struct fl_buf *out);
/* JSON given as it is or as "@FILE"; NULL: said why. A new reference. */
json_t *fl_cli_json_arg(struct fl_cli *cli, const char *what, const char *text);
/* The configuration of this host by --config, --data-dir and the environment. */
enum fl_code fl_cli_config(struct fl_cli *cli, struct fl_config *ret,
                           struct fl_err *err) FL_MUST_CHECK;

/* ---- requests ---- */
/* Sets cli->org by --org, FLOPINIO_ORG, or the only one there is; 0 or the exit status. Done
 * already for commands with FL_CLI_ORG. */
int fl_cli_find_org(struct fl_cli *cli);
/* "/orgs/{org}/agents/{}?since={}": {org} is the organization, each {} the next text, encoded. A
 * NULL text makes an empty value. */
const char *fl_cli_path(struct fl_cli *cli, const char *pattern, ...);
/* Sends and waits. `body` is stolen; NULL sends none. 0: *ret (may be NULL) is the answer, a new
 * reference. Otherwise it is said on standard error (with --json the answer also on standard
 * output) and this is the exit status. */
int fl_cli_ask(struct fl_cli *cli, const char *method, const char *path, json_t *body,
               json_t **ret);
/* The same for reading without signing in, where this host's control socket allows it. */
int fl_cli_look(struct fl_cli *cli, const char *path, json_t **ret);
/* A long answer, written to `file` as it comes. */
int fl_cli_download(struct fl_cli *cli, const char *path, FILE *file);
/* True: a person or a token; false: the operator of this host. */
bool fl_cli_signs_in(struct fl_cli *cli);
/* True: a personal token is used. */
bool fl_cli_has_token(struct fl_cli *cli);
/* Asks for the passphrase of --as now, before other questions; *ret: what was typed, until the
 * client is freed; NULL without --as. 0, or said why not and the status. */
int fl_cli_sign_in(struct fl_cli *cli, const char **ret);
/* Another secret of the person, asked like the passphrase; 0, or said why not and the status. */
int fl_cli_secret(struct fl_cli *cli, const char *prompt, char out[1024]);
/* A new passphrase, on a terminal typed twice. */
int fl_cli_new_passphrase(struct fl_cli *cli, const char *whose, char out[1024]);
/* False where nobody can be asked, or the answer was no. Asks only on a terminal. */
bool fl_cli_may_confirm(const struct fl_cli *cli);
void fl_client_free(struct fl_client **client);

/* ---- output ---- */
/* A line of ours. Texts from others pass fl_cli_text first. */
void fl_cli_say(struct fl_cli *cli, const char *fmt, ...) FL_PRINTF(2, 3);
/* Shown (notify/show.h), in the arena; "" for NULL. */
const char *fl_cli_text(struct fl_cli *cli, const char *text);
/* A member of an object as shown text; "" when it is missing or no text. */
const char *fl_cli_member(struct fl_cli *cli, const json_t *object, const char *name);
/* Prints the last answer as it came (in ASCII on a terminal) if --json was given: true then. */
bool fl_cli_printed_json(struct fl_cli *cli);
/* Items of a list as a table, or `none` when it is empty. */
void fl_cli_table(struct fl_cli *cli, const char *columns, const json_t *items, const char *none);
/* Asks for a list and prints it. */
int fl_cli_show_list(struct fl_cli *cli, const char *path, const char *columns, const char *none);
/* What an answer's "findings" say, a line each; of the last answer, if that was a refusal. */
void fl_cli_findings(struct fl_cli *cli, const json_t *answer);
void fl_cli_refused_findings(struct fl_cli *cli);
void fl_cli_flush(struct fl_cli *cli);

/* Adds a text member when `text` is not NULL. */
void fl_cli_put(json_t *object, const char *name, const char *text);
/* Adds the flag's value when it was given. */
void fl_cli_put_flag(struct fl_cli *cli, json_t *object, const char *member, const char *flag);

#endif
