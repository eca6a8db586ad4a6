/* Configuration: one table. Flags beat the environment, the environment beats the file, the file
 * beats the defaults. From the table come the parser, --help, docs/configuration.md and what
 * doctor prints. Read once at start by the supervisor, again on SIGHUP; workers are handed the
 * result. */
#ifndef FLOPINIO_CLI_CONFIG_H
#define FLOPINIO_CLI_CONFIG_H

#include <jansson.h>

#include "flopinio/base/arena.h"
#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

/* X(name, TYPE, default as text, min, max, how it takes effect, help). Types: TEXT; SECRET (a text
 * that is never printed); INT; TIME (a duration, kept in ms); BOOL; LIST (commas between). */
#define FL_CONFIG_TABLE(X)                                                                           \
    X(data_dir, TEXT, "", 0, 0, restart,                                                             \
      "where everything of this installation lives; /var/lib/flopinio as root, else "                \
      "~/.local/share/flopinio")                                                                     \
    X(database_url, SECRET, "", 0, 0, restart,                                                       \
      "PostgreSQL of your own, as the role flopinio_app; empty: a private one in data_dir")          \
    X(listen, LIST, "127.0.0.1:7337", 0, 0, restart, "addresses for agents and the API")             \
    X(metrics_listen, TEXT, "127.0.0.1:7338", 0, 0, restart,                                         \
      "address for health, readiness and metrics; empty: none")                                      \
    X(public_url, TEXT, "", 0, 0, restart,                                                           \
      "how clients reach it, for instance https://mcp.example.com")                                  \
    X(tls_certificate, LIST, "", 0, 0, restart,                                                      \
      "PEM files, certificate and chain; with them every listener speaks TLS; SIGHUP reads the "     \
      "files again")                                                                                 \
    X(tls_key, LIST, "", 0, 0, restart, "PEM files, in the order of tls_certificate")                \
    X(allowed_hosts, LIST, "", 0, 0, reload,                                                         \
      "names that requests may be sent to, beside localhost and what listen and public_url say")     \
    X(allowed_origins, LIST, "", 0, 0, reload, "origins of browsers that may call")                  \
    X(trusted_proxies, LIST, "", 0, 0, restart,                                                      \
      "networks whose X-Forwarded-For is believed, for instance 10.0.0.0/8")                         \
    X(workers, INT, "0", 0, 64, restart, "processes; 0: as many as there are cores")                 \
    X(log_level, TEXT, "info", 0, 0, reload, "debug, info, warn, error or off")                      \
    X(log_format, TEXT, "text", 0, 0, reload, "text or json")                                        \
    X(keys_file, TEXT, "", 0, 0, restart,                                                            \
      "encryption keys; empty: data_dir/secrets/keys, made at the first start")                      \
    X(epoch_file, TEXT, "", 0, 0, restart,                                                           \
      "what this node knows of its database, by which a restored one is noticed; empty: "            \
      "data_dir/epoch")                                                                              \
    X(plugin_dirs, LIST, "", 0, 0, restart, "folders with plugins, beside the installed ones")       \
    X(plugin_user, TEXT, "nobody", 0, 0, restart,                                                    \
      "operating-system user of plugin processes, when started as root")                             \
    X(plugins_in_process, BOOL, "false", 0, 0, restart,                                              \
      "run plugins inside the worker: faster, and no sandbox; for one organization only")            \
    X(database_user, TEXT, "", 0, 0, restart,                                                        \
      "operating-system user of the private database, when started as root")                         \
    X(postgres_bin, TEXT, "", 0, 0, restart,                                                         \
      "folder of the PostgreSQL programs for the private database")                                  \
    X(database_connections, INT, "8", 2, 64, restart, "connections of one worker")                   \
    X(pending_max, INT, "20", 1, 10000, reload, "approvals that one agent may have waiting")         \
    X(result_max_bytes, INT, "1048576", 1024, 67108864, reload,                                      \
      "results up to this size are kept for a caller who comes later")                               \
    X(in_flight_bytes, INT, "67108864", 1048576, 1073741824, reload,                                 \
      "arguments of an organization's calls in progress")                                            \
    X(body_max_bytes, INT, "4194304", 65536, 67108864, restart, "largest message")                   \
    X(connections_max, INT, "20000", 16, 1000000, restart, "connections of one worker")              \
    X(lease_time, TIME, "15s", 100, 600000, reload, "how long a claim lasts before it goes back")    \
    X(dispatch_time, TIME, "5s", 50, 60000, reload, "from the last check to the sending, at most")   \
    X(execute_time, TIME, "60s", 100, 3600000, reload, "how long a tool may run")                    \
    X(unknown_grace, TIME, "5s", 100, 600000, reload,                                                \
      "added before an outcome is called unknown; a tool that overruns is killed within half of it") \
    X(leave_grace, TIME, "120s", 0, 3600000, reload,                                                 \
      "how long a caller whose stream broke may come back")                                          \
    X(preview_time, TIME, "5s", 50, 60000, reload, "how long a preview may take")                    \
    X(sweep_time, TIME, "1s", 20, 10000, reload, "between two rounds of the sweep")                  \
    X(progress_time, TIME, "10s", 100, 60000, reload,                                                \
      "between progress messages to a waiting client")                                               \
    X(keepalive_time, TIME, "15s", 100, 60000, reload, "between comments on event streams")          \
    X(drain_time, TIME, "30s", 100, 3600000, reload, "how long a worker may take to stop")           \
    X(card_retention, TIME, "24h", 1000, 2592000000, reload,                                         \
      "how long arguments stay in chat messages once the call is over")                              \
    X(chat_may_be_local, BOOL, "false", 0, 0, restart,                                               \
      "chats may be on this host or in a private network, there without TLS: for tests")             \
    X(chat_ca_file, TEXT, "", 0, 0, restart,                                                         \
      "PEM file of the certificates that chats' servers are trusted by; empty: the system's")        \
    X(operator_authority, TEXT, "until_admin", 0, 0, reload,                                         \
      "what the operating-system user on the control socket may change without being a person: "     \
      "until_admin (of each organization until an administrator of it has a passphrase), always or " \
      "never; stopping calls it always may")

struct fl_config {
    struct fl_arena *arena; /* owns the texts */
    const char *file;       /* that was read; "" none */
    const char
        *unreadable; /* that is there and was left out, as this user cannot read it; "" none */
#define FL_CONFIG_TEXT(name)                            const char *name
#define FL_CONFIG_SECRET(name)                          const char *name
#define FL_CONFIG_INT(name)                             int64_t name
#define FL_CONFIG_TIME(name)                            int64_t name
#define FL_CONFIG_BOOL(name)                            bool name
#define FL_CONFIG_LIST(name)                            const char *const *name /* NULL-terminated */
#define X(name, TYPE, fallback, min, max, effect, help) FL_CONFIG_##TYPE(name);
    FL_CONFIG_TABLE(X)
#undef X
};

/* `file` NULL: FLOPINIO_CONFIG, or DATA_DIR/flopinio.yaml, or /etc/flopinio/flopinio.yaml if it is
 * there. `flags` are "name=value" or "--name=value" texts. FL_CONFIG names the key, the value and
 * what is right; an unknown key names the nearest. */
enum fl_code fl_config_load(const char *file, const char *const *flags, size_t flag_count,
                            struct fl_config *ret, struct fl_err *err) FL_MUST_CHECK;
void fl_config_fini(struct fl_config *config);
/* All values but defaults as a JSON object of texts, secrets included, for handing over to workers;
 * and back. */
json_t *fl_config_to_json(const struct fl_config *config);
enum fl_code fl_config_from_json(const json_t *object, struct fl_config *ret,
                                 struct fl_err *err) FL_MUST_CHECK;
/* "--listen LIST  addresses for ..." lines. */
void fl_config_help(struct fl_buf *out);
/* docs/configuration.md. */
void fl_config_markdown(struct fl_buf *out);
/* Name, value (secrets as "(set)") and where it comes from, a line each. */
void fl_config_show(const struct fl_config *config, struct fl_buf *out);

/* DATA_DIR/run, or a short directory of its own where that path is too long for a socket: the same
 * for every user of the machine. */
enum fl_code fl_config_run_dir(const char *data_dir, char *out, size_t size,
                               struct fl_err *err) FL_MUST_CHECK;
/* For who sends secrets to a socket there: the same, if nobody but the data directory's owner (or
 * root) made it and may write to it; the short one lies where anybody may make it first.
 * FL_NOT_FOUND: it is not there; FL_FORBIDDEN. `out` is filled in all the same. */
enum fl_code fl_config_run_dir_of_owner(const char *data_dir, char *out, size_t size,
                                        struct fl_err *err) FL_MUST_CHECK;

#endif
