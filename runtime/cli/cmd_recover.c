/* `flopinio recover`: the operator's word that a restored, moved or promoted database may be worked
 * with. Until then the installation is frozen (known.h). */
#include <string.h>
#include <time.h>

#include "flopinio/base/clock.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/known.h"
#include "runtime/cli/prepare.h"
#include "runtime/cli/recover.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"

#define STOP_MS 30000

struct command {
    struct fl_cli *cli;
    struct fl_config config;
    struct fl_prepared prepared;
    struct fl_cluster *found; /* of an installation that runs */
    struct pg_conn *pg;
    bool is_running; /* somebody else's: it serves, frozen or not */
};

static void progress(const char *what)
{
    fprintf(stderr, "flopinio: %s ...\n", what);
}

/* ---------------------------------------------------------------- the database */
static enum fl_code find_running(struct command *c, struct fl_err *err)
{
    struct fl_cluster_config wanted = fl_prepare_cluster(&c->config, NULL);
    if (c->config.database_url[0]) {
        fl_buf_puts(&c->prepared.conninfo, c->config.database_url);
        return fl_buf_code(&c->prepared.conninfo, err);
    }
    enum fl_code code = fl_cluster_find(&wanted, &c->found, err);
    return code ? code : fl_cluster_conninfo(c->found, "app", &c->prepared.conninfo, err);
}

static enum fl_code open_database(struct command *c, struct fl_err *err)
{
    enum fl_code code = fl_prepare_dirs(&c->config, &c->prepared, err);
    c->is_running = code == FL_CONFLICT;
    if (c->is_running) {
        code = find_running(c, err);
    } else {
        if (code == FL_OK)
            code = fl_prepare_database(&c->config, &c->prepared, progress, err);
        if (code == FL_OK)
            code = fl_prepare_keys(&c->config, &c->prepared, err);
    }
    return code ? code : fl_admin_connect(c->prepared.conninfo.p, &c->pg, err);
}

static void close_database(struct command *c)
{
    struct fl_err err;
    fl_admin_close(&c->pg);
    fl_cluster_free(&c->found);
    if (c->prepared.cluster && fl_cluster_stop(c->prepared.cluster, STOP_MS, &err) != FL_OK)
        fl_cli_fail(c->cli, FL_EXIT_FAILED, "%s", err.text);
    fl_prepare_fini(&c->prepared);
}

/* ---------------------------------------------------------------- waiting */
/* What this node, or another one, had begun to send before may be under way for so long. */
static void wait_until_quiet(struct command *c, const struct fl_known *known)
{
    const struct fl_config *f = &c->config;
    int64_t window_ms = f->dispatch_time + f->execute_time + f->unknown_grace;
    int64_t now_ms = fl_real_ms(), since_ms = known->at_ms + FL_KNOWN_LATE_MS;
    bool is_told = known->is_there && since_ms < now_ms;
    int64_t left_ms = is_told ? since_ms + window_ms - now_ms : window_ms;
    if (left_ms <= 0)
        return;
    fl_cli_say(c->cli, "waiting %lld s: until then a call of before may be under way",
               (long long)(left_ms + 999) / 1000);
    fl_cli_flush(c->cli);
    struct timespec ts = { left_ms / 1000, left_ms % 1000 * 1000000L };
    nanosleep(&ts, NULL);
}

/* ---------------------------------------------------------------- the command */
static void say_what_next(struct command *c)
{
    fl_cli_say(c->cli, "recovered: what is called now runs again\n"
                       "policy, roles, groups, stops and accepted tools are those of the backup: "
                       "look at them first\n"
                       "then: flopinio user passphrase NAME, flopinio agent credential create "
                       "AGENT; what has an unknown outcome: flopinio approvals list --state "
                       "unknown");
}

/* `before`: where the log stood, with the commit behind it (guard.c). */
static enum fl_code recover_now(struct command *c, const struct fl_known *known,
                                const struct fl_epoch *before, const char *because,
                                struct fl_err *err)
{
    json_t *kept = fl_cli_list(c->cli, "keep");
    bool is_dry = fl_cli_has(c->cli, "dry-run");
    struct fl_epoch now;
    if (!is_dry)
        wait_until_quiet(c, known);
    enum fl_code code = fl_recover(c->cli, c->pg, kept, because, is_dry, err);
    json_decref(kept);
    if (code || is_dry)
        return code;
    code = fl_epoch_read(c->pg, &now, err);
    now.wal = before->wal;
    if (code == FL_OK)
        code = fl_known_save(&c->config, &now, NULL, err);
    if (code == FL_OK)
        say_what_next(c);
    return code;
}

static int decide(struct command *c, struct fl_err *err)
{
    struct fl_known known;
    struct fl_epoch now;
    struct fl_err why = { FL_OK, "" };
    enum fl_code code = fl_epoch_read(c->pg, &now, err);
    if (code == FL_OK && fl_known_admit(&c->config, &now, &why) == FL_OK)
        code = fl_known_look(&c->config, c->pg, &now, err);
    if (code)
        return fl_cli_error(c->cli, err);
    bool is_frozen = fl_known_admit(&c->config, &now, &why) != FL_OK;
    if (fl_known_load(&c->config, &known, err) != FL_OK)
        known.is_there = false;
    if (!is_frozen && !fl_cli_has(c->cli, "force")) {
        fl_cli_say(c->cli, "there is nothing to recover: the database is the one that this node "
                           "knows; one that was copied back together with the file that knows it: "
                           "flopinio recover --force");
        return FL_EXIT_DONE;
    }
    if (!is_frozen && c->is_running && !fl_cli_has(c->cli, "dry-run"))
        return fl_cli_fail(c->cli, FL_EXIT_CONFLICT,
                           "it serves; stop it first, so that nothing is under way");
    fl_cli_say(c->cli, "%s", is_frozen ? why.text : "recovering because of --force");
    code = recover_now(c, &known, &now, is_frozen ? why.text : "--force", err);
    return code ? fl_cli_error(c->cli, err) : FL_EXIT_DONE;
}

static int recover(struct fl_cli *cli)
{
    struct command c = { .cli = cli, .prepared = { .lock_fd = -1 } };
    struct fl_err err;
    if (fl_cli_config(cli, &c.config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    int status = open_database(&c, &err) == FL_OK ? decide(&c, &err) : fl_cli_error(cli, &err);
    close_database(&c);
    fl_config_fini(&c.config);
    return status;
}

static const struct fl_cli_flag flags[] = {
    { "keep", "NAME",
      "who stays as they are in the backup: a person, ORG/AGENT, or all; may be repeated",
      FL_FLAG_MANY },
    { "dry-run", NULL, "say what would be done", 0 },
    { "force", NULL, "also when the database looks like the one that was here", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_recover[] = {
    { "recover", "", "lets an installation work again whose database was restored or promoted",
      "Such a database has forgotten what was decided, executed and revoked since. Until this "
      "was called the installation is frozen: nothing runs. It ends what is open: waiting ones "
      "are cancelled, approved ones withdrawn, running ones have an unknown outcome. It revokes "
      "every agent credential and every personal token, and takes away passphrases, second "
      "factors and links to chat accounts, as which of them were revoked since is not known: "
      "new ones are made afterwards, by the operator for administrators. --keep leaves those "
      "out for which nothing was lost, or that are known to be good. Waits until nothing of "
      "before can be under way.\n"
      "  flopinio recover --dry-run\n"
      "  flopinio recover --keep ann,ben --keep acme/clerk",
      FL_CLI_HERE, flags, recover },
    { .name = NULL }
};
