/* `flopinio backup`: a dump of the database with a manifest, in a directory of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/manifest.h"
#include "runtime/cli/prepare.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"

#define STOP_MS 30000

struct backup {
    struct fl_cli *cli;
    struct fl_config config;
    struct fl_prepared prepared; /* of a database that was started for this */
    struct fl_buf conninfo;      /* of the backup role; a secret */
    char bin[512];
    char dir[512], making[560];
    struct pg_conn *pg;
    struct fl_dump_facts facts;
};

/* ---------------------------------------------------------------- the database */
static enum fl_code own_database(struct backup *b, struct fl_err *err)
{
    if (!fl_cli_url(b->cli, "backup-url-file", "FLOPINIO_BACKUP_URL", &b->conninfo))
        return fl_err_set(err, FL_CONFIG, "the backup's url cannot be read");
    if (!b->conninfo.n)
        return fl_err_set(err, FL_CONFIG,
                          "FLOPINIO_BACKUP_URL is not set: the role that sees every row, "
                          "postgresql://flopinio_backup:...@HOST/flopinio");
    return fl_cluster_tools(b->config.postgres_bin, b->bin, sizeof b->bin, err);
}

/* One that runs, or one that is started for this. */
static enum fl_code private_database(struct backup *b, struct fl_err *err)
{
    struct fl_cluster_config wanted = fl_prepare_cluster(&b->config, NULL);
    struct fl_cluster *found = NULL, *cluster = NULL;
    enum fl_code code = fl_cluster_find(&wanted, &found, err);
    if (code == FL_UNAVAILABLE)
        code = fl_prepare_dirs(&b->config, &b->prepared, err);
    if (code == FL_OK && !found)
        code = fl_cluster_start(&wanted, &b->prepared.cluster, err);
    cluster = found ? found : b->prepared.cluster;
    if (code == FL_OK)
        code = fl_cluster_conninfo(cluster, "backup", &b->conninfo, err);
    if (code == FL_OK)
        snprintf(b->bin, sizeof b->bin, "%s", fl_cluster_bin(cluster));
    fl_cluster_free(&found);
    return code;
}

/* ---------------------------------------------------------------- the directory */
static enum fl_code make_dir(struct backup *b, struct fl_err *err)
{
    const char *dir = fl_cli_arg(b->cli, 0);
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n >= sizeof b->dir)
        return fl_err_set(err, FL_BAD_PARAMS, "the path is too long");
    snprintf(b->dir, sizeof b->dir, "%.*s", (int)n, dir);
    snprintf(b->making, sizeof b->making, "%s.%d", b->dir, (int)getpid());
    if (access(b->dir, F_OK) == 0)
        return fl_err_set(err, FL_CONFLICT, "%s is there already; a backup is never written over",
                          b->dir);
    return mkdir(b->making, 0700) == 0 ? FL_OK
                                       : fl_err_set(err, FL_IO, "cannot make the directory %s: %s",
                                                    b->making, strerror(errno));
}

static void remove_half(const struct backup *b)
{
    static const char *const files[] = { FL_MANIFEST_DUMP, FL_MANIFEST_KEYS, "manifest.json" };
    char path[620];
    for (size_t i = 0; i < FL_COUNTOF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", b->making, files[i]);
        unlink(path);
    }
    rmdir(b->making);
}

/* ---------------------------------------------------------------- the parts */
static enum fl_code dump(struct backup *b, struct fl_err *err)
{
    char path[620];
    snprintf(path, sizeof path, "%s/" FL_MANIFEST_DUMP, b->making);
    enum fl_code code = fl_admin_connect(b->conninfo.p, &b->pg, err);
    if (code == FL_OK)
        code = fl_dump_begin(b->pg, &b->facts, err);
    if (code)
        return code;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fl_err_set(err, FL_IO, "could not write %s: %s", path, strerror(errno));
    code = fl_dump_write(b->bin, b->conninfo.p, b->facts.snapshot, fd, err);
    if (code == FL_OK && fsync(fd) != 0)
        code = fl_err_set(err, FL_IO, "could not write %s: %s", path, strerror(errno));
    close(fd);
    return code;
}

static enum fl_code copy_keys(struct backup *b, struct fl_err *err)
{
    char from[600], to[620];
    struct fl_buf text = FL_BUF_INIT;
    fl_prepare_keys_path(&b->config, from, sizeof from);
    snprintf(to, sizeof to, "%s/" FL_MANIFEST_KEYS, b->making);
    enum fl_code code = fl_prepare_read_keys(from, &text, err);
    if (code == FL_OK)
        code = fl_prepare_compare_keys(fl_buf_view(&text), b->facts.key_checks, err);
    if (code == FL_OK)
        code = fl_prepare_write_keys(to, fl_buf_view(&text), err);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    return code;
}

static enum fl_code finish(struct backup *b, struct fl_err *err)
{
    char parent[512];
    if (rename(b->making, b->dir) != 0)
        return fl_err_set(err, FL_IO, "could not name %s: %s", b->dir, strerror(errno));
    snprintf(parent, sizeof parent, "%s", b->dir);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = 0;
    int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_fine = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_fine ? FL_OK : fl_err_set(err, FL_IO, "could not make %s durable", b->dir);
}

static void say(struct backup *b, bool has_keys)
{
    char path[600];
    struct fl_buf names = FL_BUF_INIT;
    fl_prepare_keys_path(&b->config, path, sizeof path);
    fl_manifest_key_names(b->facts.key_checks, &names);
    fl_cli_say(b->cli, "the database is backed up in %s", fl_cli_text(b->cli, b->dir));
    if (has_keys)
        fl_cli_say(b->cli, "the encryption keys are in it too: whoever has it reads everything");
    else
        fl_cli_say(
            b->cli,
            "without the encryption keys nobody reads it, and they are not in it: keep %s of "
            "%s somewhere else",
            names.p ? names.p : "", path);
    fl_buf_fini(&names);
}

/* ---------------------------------------------------------------- the command */
static enum fl_code back_up(struct backup *b, struct fl_err *err)
{
    bool has_keys = fl_cli_has(b->cli, "with-keys");
    enum fl_code code = make_dir(b, err);
    if (code)
        return code;
    code = b->config.database_url[0] ? own_database(b, err) : private_database(b, err);
    if (code == FL_OK)
        code = dump(b, err);
    if (code == FL_OK && has_keys)
        code = copy_keys(b, err);
    if (code == FL_OK)
        code = fl_manifest_write(b->making, &b->facts, has_keys, err);
    if (code == FL_OK)
        code = finish(b, err);
    if (code)
        remove_half(b);
    else
        say(b, has_keys);
    return code;
}

static int backup(struct fl_cli *cli)
{
    struct backup b = { .cli = cli, .prepared = { .lock_fd = -1 } };
    struct fl_err err, ignored;
    if (fl_cli_config(cli, &b.config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    int status = back_up(&b, &err) == FL_OK ? FL_EXIT_DONE : fl_cli_error(cli, &err);
    fl_admin_close(&b.pg);
    if (b.prepared.cluster)
        (void)!fl_cluster_stop(b.prepared.cluster, STOP_MS, &ignored);
    fl_prepare_fini(&b.prepared);
    json_decref(b.facts.key_checks);
    if (b.conninfo.p)
        fl_cleanse(b.conninfo.p, b.conninfo.n);
    fl_buf_fini(&b.conninfo);
    fl_config_fini(&b.config);
    return status;
}

static const struct fl_cli_flag flags[] = {
    { "with-keys", NULL, "put the encryption keys into it: it then opens everything", 0 },
    { "backup-url-file", "FILE", "read FLOPINIO_BACKUP_URL from it", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_backup[] = {
    { "backup", "DIR", "writes the database and a manifest into a new directory",
      "While it serves or not, of one moment. DIR gets database.dump (pg_dump, custom format) and "
      "manifest.json with its digest and which encryption keys it needs. The keys are not in it: "
      "keep a copy of them somewhere else. A database of your own is read as flopinio_backup, by "
      "FLOPINIO_BACKUP_URL.\n"
      "  flopinio backup /srv/monday",
      FL_CLI_HERE, flags, backup },
    { .name = NULL }
};
