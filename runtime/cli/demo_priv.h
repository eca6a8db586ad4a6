/* What the parts of `flopinio demo` share. One thread; the runtime is a child process. */
#ifndef FLOPINIO_CLI_DEMO_PRIV_H
#define FLOPINIO_CLI_DEMO_PRIV_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"
#include "runtime/cli/cli_run.h"
#include "runtime/io/http_fetch.h"
#include "runtime/io/ws_client.h"

#define DEMO_ORG         "demo"
#define DEMO_AGENT       "clerk"
#define DEMO_PATH_BYTES  400
#define DEMO_PASS_BYTES  32
#define DEMO_TOKEN_BYTES 128

/* Ana owns the agent; Ben and Cleo, the group ops, decide. */
enum demo_who { DEMO_ANA, DEMO_BEN, DEMO_CLEO, DEMO_PEOPLE, DEMO_OPERATOR };

struct demo_person {
    const char *name, *display_name, *role;
    bool is_in_ops;
    char passphrase[DEMO_PASS_BYTES]; /* made by demo_people, shown once */
};

struct demo_options {
    bool is_unattended;             /* decides by itself */
    bool is_once;                   /* ends after the steps */
    bool is_temporary;              /* the data directory goes at the end */
    char data_dir[DEMO_PATH_BYTES]; /* absolute */
    int port;                       /* on 127.0.0.1; 0: any */
};

struct demo {
    struct fl_cli *cli;
    struct demo_options options;
    struct fl_err err; /* of the step that failed */
    int step;
    unsigned width; /* of the terminal */
    bool has_colour;
    char program[DEMO_PATH_BYTES]; /* how this program is called from another terminal */
    char input[1024], line[1024];  /* what was typed, and the line that was taken from it */
    size_t input_n;
    /* the runtime */
    pid_t runtime;
    int runtime_fd; /* what it tells; end of file when it is gone */
    int port;
    char folder[DEMO_PATH_BYTES + 64];
    /* the organization */
    struct fl_fetcher *fetcher; /* to the control socket */
    struct demo_person people[DEMO_PEOPLE];
    char credential[DEMO_TOKEN_BYTES]; /* the sample agent's */
    /* the agent */
    struct fl_ws_client *ws;
    int request;             /* id of its last request */
    struct fl_buf meanwhile; /* what it was told while its last call waits; n 0: nothing yet */
    struct fl_buf heard;     /* of demo_answer_text */
    unsigned reads, held, executed, denied; /* what the audit must tell at the end */
};

/* Set by Ctrl-C; whoever waits looks at it. */
extern volatile sig_atomic_t demo_is_interrupted;

/* ---- demo_say.c: what the person at the terminal reads ---- */
void demo_title(struct demo *d, const char *title);
/* One paragraph, folded at the terminal's width, indented; no text of anybody else's. */
void demo_say(struct demo *d, const char *fmt, ...) FL_PRINTF(2, 3);
/* Lines as they are, indented; control characters of the text are shown as '?'. */
void demo_quote(struct demo *d, struct fl_str text);
bool demo_fail(struct demo *d, const char *fmt, ...) FL_PRINTF(2, 3); /* false */

/* ---- demo_place.c: the data directory and the runtime in it ---- */
bool demo_place_take(struct demo *d); /* makes it, or clears that of an earlier demo */
bool demo_place_fill(struct demo *d); /* the agent's small folder */
bool demo_runtime_start(struct demo *d);
bool demo_runtime_wait(struct demo *d); /* until Ctrl-C; false: it ended by itself */
void demo_runtime_stop(struct demo *d);
void demo_place_leave(struct demo *d); /* removes a temporary one */
/* Reads a file of the folder; empty when it is not there. The caller's to free. */
void demo_folder_read(struct demo *d, const char *name, struct fl_buf *ret);
bool demo_folder_has(struct demo *d, const char *name);

/* ---- demo_setup.c: by REST on the control socket ---- */
/* `body` is stolen. An answer of another status than 2xx is false, with its text in d->err (and
 * its status in *ret_status where that is asked for). *ret: the caller's; NULL: not wanted. */
bool demo_ask(struct demo *d, enum demo_who as, const char *method, const char *path, json_t *body,
              int *ret_status, json_t **ret);
bool demo_people(struct demo *d);
bool demo_tools(struct demo *d);
bool demo_policy(struct demo *d);
/* A credential for a client of this kind; the text goes to `out` of DEMO_TOKEN_BYTES. */
bool demo_credential(struct demo *d, const char *name, const char *client, char *out);

/* ---- demo_agent.c: an MCP client over WebSocket ---- */
bool demo_agent_connect(struct demo *d);
/* Sends tools/call; `arguments` is stolen, `why` is the agent's justification or NULL. */
bool demo_agent_call(struct demo *d, const char *tool, json_t *arguments, const char *why);
enum demo_heard { DEMO_ANSWER, DEMO_NOTHING, DEMO_BROKEN };
/* The answer to the last call, waiting at most timeout_ms; *ret (the whole message) is the
 * caller's. */
enum demo_heard demo_agent_hear(struct demo *d, int timeout_ms, json_t **ret);
/* The text that a model would read: of the result, or of the protocol error. Until the next call.
 */
struct fl_str demo_answer_text(struct demo *d, const json_t *answer);
bool demo_answer_is_error(const json_t *answer);

/* ---- demo_decide.c: holding a call until people decided ---- */
struct demo_vote {
    enum demo_who who; /* DEMO_PEOPLE ends a list */
    bool is_approval;
    const char *reason; /* NULL: none */
};
/* The call that the agent has sent is held: shows its card, lets people decide (at the prompt, from
 * another terminal, or by `votes` when unattended) and waits for the agent's answer, which is the
 * caller's. *ret_is_approved: how it was decided. */
bool demo_hold(struct demo *d, const struct demo_vote *votes, json_t **ret_answer,
               bool *ret_is_approved);

/* ---- demo_report.c ---- */
bool demo_audit(struct demo *d);
bool demo_clients(struct demo *d); /* what to paste into them */

#endif
