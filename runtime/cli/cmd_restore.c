/* `flopinio restore`: a backup into an installation that has nothing yet. It stays frozen until
 * `flopinio recover`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/cli/manifest.h"
#include "runtime/cli/prepare.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"

#define STOP_MS 30000

struct restore {
    struct fl_cli *cli;
    const char *dir;
    struct fl_config config;
    struct fl_prepared prepared;
    json_t *manifest;
    struct fl_buf owner; /* the owner's connection; a secret */
    struct fl_buf keys;  /* a secret */
    bool has_keys;       /* they are where they belong */
    char bin[512];
    struct pg_conn *pg;
};

/* ---------------------------------------------------------------- keys */
/* Those that are there, those that are named, or those of the backup. */
static enum fl_code find_keys(struct restore *r, const char *place, char *out, size_t size,
                              struct fl_err *err)
{
    const char *named = fl_cli_flag(r->cli, "keys");
    struct fl_buf names = FL_BUF_INIT;
    snprintf(out, size, "%s", named ? named : place);
    if (named || access(place, F_OK) == 0)
        return FL_OK;
    snprintf(out, size, "%s/" FL_MANIFEST_KEYS, r->dir);
    if (access(out, F_OK) == 0)
        return FL_OK;
    fl_manifest_key_names(fl_manifest_key_checks(r->manifest), &names);
    fl_err_set(err, FL_BAD_KEY,
               "the backup needs the encryption keys %s, which are not in it; name the file with "
               "--keys, or put it to %s" FL_LOST_KEY,
               names.p ? names.p : "", place);
    fl_buf_fini(&names);
    return FL_BAD_KEY;
}

/* Before anything else: what cannot be read is not restored. */
static enum fl_code check_keys(struct restore *r, struct fl_err *err)
{
    char place[600], from[600];
    fl_prepare_keys_path(&r->config, place, sizeof place);
    enum fl_code code = find_keys(r, place, from, sizeof from, err);
    if (code)
        return code;
    code = fl_prepare_read_keys(from, &r->keys, err);
    if (code == FL_OK)
        code = fl_prepare_compare_keys(fl_buf_view(&r->keys), fl_manifest_key_checks(r->manifest),
                                       err);
    if (code) {
        struct fl_err why = *err;
        return fl_err_set(err, code, "%s: %s", from, why.text);
    }
    r->has_keys = access(place, F_OK) == 0;
    if (r->has_keys && strcmp(from, place) != 0)
        return fl_err_set(err, FL_CONFLICT,
                          "there are keys in %s already; restore without --keys, or move them away",
                          place);
    return FL_OK;
}

static enum fl_code put_keys(struct restore *r, struct fl_err *err)
{
    char place[600];
    fl_prepare_keys_path(&r->config, place, sizeof place);
    return r->has_keys ? FL_OK : fl_prepare_write_keys(place, fl_buf_view(&r->keys), err);
}

/* ---------------------------------------------------------------- the database */
static enum fl_code open_own(struct restore *r, struct fl_err *err)
{
    if (!fl_cli_url(r->cli, "owner-url-file", "FLOPINIO_OWNER_URL", &r->owner))
        return fl_err_set(err, FL_CONFIG, "the owner's url cannot be read");
    if (!r->owner.n)
        return fl_err_set(err, FL_CONFIG,
                          "FLOPINIO_OWNER_URL is not set: the owner of the empty database that "
                          "flopinio migrate --roles-sql makes, "
                          "postgresql://flopinio_owner:...@HOST/flopinio");
    return fl_cluster_tools(r->config.postgres_bin, r->bin, sizeof r->bin, err);
}

static void progress(const char *what)
{
    fprintf(stderr, "flopinio: %s ...\n", what);
}

static enum fl_code open_private(struct restore *r, struct fl_err *err)
{
    struct fl_cluster_config wanted = fl_prepare_cluster(&r->config, progress);
    enum fl_code code = fl_cluster_start(&wanted, &r->prepared.cluster, err);
    if (code == FL_OK)
        code = fl_cluster_conninfo(r->prepared.cluster, "owner", &r->owner, err);
    if (code == FL_OK)
        snprintf(r->bin, sizeof r->bin, "%s", fl_cluster_bin(r->prepared.cluster));
    return code;
}

static enum fl_code open_database(struct restore *r, struct fl_err *err)
{
    enum fl_code code = r->config.database_url[0] ? open_own(r, err) : open_private(r, err);
    if (code == FL_OK)
        code = fl_admin_connect(r->owner.p, &r->pg, err);
    if (code == FL_OK)
        code = fl_dump_is_empty(r->pg, err);
    if (code != FL_CONFLICT)
        return code;
    struct fl_err why = *err;
    return fl_err_set(err, FL_CONFLICT, "%s: %s; restore into an empty one%s",
                      r->config.database_url[0] ? "the database" : r->config.data_dir, why.text,
                      r->config.database_url[0] ? "" : ", with --data-dir DIR");
}

static enum fl_code fill(struct restore *r, struct fl_err *err)
{
    char path[620];
    snprintf(path, sizeof path, "%s/" FL_MANIFEST_DUMP, r->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fl_err_set(err, FL_IO, "cannot read %s: %s", path, strerror(errno));
    progress("restoring the database");
    enum fl_code code = fl_dump_read(r->bin, r->pg, r->owner.p, fd, err);
    close(fd);
    return code;
}

/* ---------------------------------------------------------------- the command */
static enum fl_code bring_back(struct restore *r, struct fl_err *err)
{
    enum fl_code code = fl_manifest_read(r->dir, &r->manifest, err);
    if (code == FL_OK)
        code = fl_prepare_dirs(&r->config, &r->prepared, err);
    if (code == FL_OK)
        code = check_keys(r, err);
    if (code == FL_OK)
        code = open_database(r, err);
    if (code == FL_OK)
        code = put_keys(r, err);
    return code ? code : fill(r, err);
}

static int restore(struct fl_cli *cli)
{
    struct restore r = { .cli = cli, .dir = fl_cli_arg(cli, 0), .prepared = { .lock_fd = -1 } };
    struct fl_err err, ignored;
    if (fl_cli_config(cli, &r.config, &err) != FL_OK)
        return fl_cli_error(cli, &err);
    int status = FL_EXIT_DONE;
    enum fl_code code = bring_back(&r, &err);
    if (code)
        status = code == FL_CONFLICT ? fl_cli_fail(cli, FL_EXIT_CONFLICT, "%s", err.text)
                                     : fl_cli_error(cli, &err);
    else
        fl_cli_say(cli, "restored, and frozen: it has forgotten what was decided, executed and "
                        "revoked since the backup; nothing runs until you call: flopinio recover");
    fl_admin_close(&r.pg);
    if (r.prepared.cluster)
        (void)!fl_cluster_stop(r.prepared.cluster, STOP_MS, &ignored);
    fl_prepare_fini(&r.prepared);
    json_decref(r.manifest);
    if (r.owner.p)
        fl_cleanse(r.owner.p, r.owner.n);
    if (r.keys.p)
        fl_cleanse(r.keys.p, r.keys.n);
    fl_buf_fini(&r.owner);
    fl_buf_fini(&r.keys);
    fl_config_fini(&r.config);
    return status;
}

static const struct fl_cli_flag flags[] = {
    { "keys", "FILE", "the encryption keys, copied to where they belong", 0 },
    { "owner-url-file", "FILE", "read FLOPINIO_OWNER_URL from it", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_restore[] = {
    { "restore", "DIR", "brings a backup into an empty installation",
      "DIR is what flopinio backup made. Refused: where an installation is already, a dump whose "
      "digest is not the manifest's, and encryption keys that are missing or others. What is "
      "restored is frozen until flopinio recover. Into a database of your own: make it with "
      "flopinio migrate --roles-sql, and give FLOPINIO_OWNER_URL.\n"
      "  flopinio restore /srv/monday --data-dir /srv/again \\\n"
      "      --keys /var/lib/flopinio/secrets/keys",
      FL_CLI_HERE, flags, restore },
    { .name = NULL }
};
