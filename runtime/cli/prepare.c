/* Preparing an installation. */
#include "runtime/cli/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "flopinio/base/log.h"
#include "flopinio/base/mem.h"
#include "runtime/cli/known.h"
#include "runtime/crypto/keyring.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/key_check.h"
#include "runtime/store/migrate.h"
#include "runtime/store/organization.h"

#define SPARE 20 /* connections for backup, doctor, people with psql */

/* The mode is what is wanted, whatever the umask. */
static enum fl_code make_one(const char *path, mode_t mode, struct fl_err *err)
{
    if (mkdir(path, mode) == 0 ? chmod(path, mode) != 0 : errno != EEXIST)
        return fl_err_set(err, FL_IO, "cannot make the directory %s: %s", path, strerror(errno));
    return FL_OK;
}

static enum fl_code make_dir(const char *path, mode_t mode, struct fl_err *err)
{
    char part[512];
    enum fl_code code = FL_OK;
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p && code == FL_OK; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        code = make_one(part, 0755, err);
        *p = '/';
    }
    if (code == FL_OK)
        code = make_one(path, mode, err);
    if (code)
        return code;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return fl_err_set(err, FL_IO, "%s is not a directory", path);
    if (st.st_uid != geteuid())
        return fl_err_set(err, FL_IO, "%s belongs to another user", path);
    return FL_OK;
}

enum fl_code fl_prepare_dirs(const struct fl_config *c, struct fl_prepared *p, struct fl_err *err)
{
    char path[600];
    p->lock_fd = -1;
    enum fl_code code = make_dir(c->data_dir, 0755, err);
    snprintf(path, sizeof path, "%s/secrets", c->data_dir);
    if (code == FL_OK)
        code = make_dir(path, 0700, err);
    if (code == FL_OK)
        code = fl_config_run_dir(c->data_dir, p->run_dir, sizeof p->run_dir, err);
    if (code == FL_OK)
        code = make_dir(p->run_dir, 0755, err);
    if (code)
        return code;
    snprintf(path, sizeof path, "%s/flopinio.pid", c->data_dir);
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (p->lock_fd < 0)
        return fl_err_set(err, FL_IO, "cannot write %s: %s", path, strerror(errno));
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = "";
        ssize_t n = read(p->lock_fd, pid, sizeof pid - 1);
        pid[n > 0 ? n : 0] = 0;
        bool is_private = strstr(pid, FL_PRIVATE_MARK) != NULL;
        pid[strcspn(pid, " \n")] = 0;
        close(p->lock_fd);
        p->lock_fd = -1;
        return fl_err_set(
            err, FL_CONFLICT, "it is running already with %s (process %s%s)", c->data_dir, pid,
            is_private ? ", started by flopinio stdio; it ends with its last client" : "");
    }
    p->was_killed = lseek(p->lock_fd, 0, SEEK_END) > 0; /* who ends in order empties it */
    if (ftruncate(p->lock_fd, 0) != 0 || lseek(p->lock_fd, 0, SEEK_SET) != 0 ||
        dprintf(p->lock_fd, "%d%s\n", (int)getpid(), p->is_private ? " " FL_PRIVATE_MARK : "") < 0)
        return fl_err_set(err, FL_IO, "cannot write %s: %s", path, strerror(errno));
    return FL_OK;
}

static enum fl_code migrate(const struct fl_cluster *cluster, struct fl_err *err)
{
    struct fl_buf owner = FL_BUF_INIT;
    struct pg_conn *pg = NULL;
    int from, to;
    enum fl_code code = fl_cluster_conninfo(cluster, "owner", &owner, err);
    if (code == FL_OK)
        code = fl_admin_connect(owner.p, &pg, err);
    if (code == FL_OK)
        code = fl_migrate_run(pg, &from, &to, err);
    fl_admin_close(&pg);
    if (owner.p)
        fl_cleanse(owner.p, owner.n);
    fl_buf_fini(&owner);
    return code;
}

int fl_prepare_workers(const struct fl_config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t n = c->workers ? c->workers : cores > 0 ? cores : 1;
    return (int)(n > FL_WORKERS_MAX ? FL_WORKERS_MAX : n);
}

struct fl_cluster_config fl_prepare_cluster(const struct fl_config *c,
                                            void (*progress)(const char *what))
{
    /* Each worker listens on one more; while workers are replaced there is one more of them. */
    int connections = (fl_prepare_workers(c) + 1) * ((int)c->database_connections + 1) + SPARE;
    return (struct fl_cluster_config){ .data_dir = c->data_dir,
                                       .os_user = c->database_user[0] ? c->database_user : NULL,
                                       .bin_dir = c->postgres_bin[0] ? c->postgres_bin : NULL,
                                       .connections = connections,
                                       .progress = progress };
}

static enum fl_code connect_app(struct fl_prepared *p, struct fl_err *err)
{
    return p->pg ? FL_OK : fl_admin_connect(p->conninfo.p, &p->pg, err);
}

/* A database of the operator's own is looked at and never changed. */
static enum fl_code check_own(struct fl_prepared *p, struct fl_err *err)
{
    enum fl_code code = connect_app(p, err);
    if (code == FL_OK) /* before anything is written with it */
        code = fl_admin_check(p->pg, err);
    if (code == FL_OK)
        code = fl_migrate_fits(p->pg, err);
    if (code == FL_OK)
        code = fl_migrate_guarded(p->pg, err);
    return code;
}

enum fl_code fl_prepare_database(const struct fl_config *c, struct fl_prepared *p,
                                 void (*progress)(const char *what), struct fl_err *err)
{
    enum fl_code code = FL_OK;
    if (c->database_url[0]) {
        fl_buf_puts(&p->conninfo, c->database_url);
        code = fl_buf_code(&p->conninfo, err);
        if (code == FL_OK)
            code = check_own(p, err);
    } else {
        struct fl_cluster_config config = fl_prepare_cluster(c, progress);
        code = fl_cluster_start(&config, &p->cluster, err);
        if (code == FL_OK && !fl_cluster_is_migrated(p->cluster))
            code = migrate(p->cluster, err);
        if (code == FL_OK)
            code = fl_cluster_conninfo(p->cluster, "app", &p->conninfo, err);
    }
    return code ? code : fl_buf_code(&p->conninfo, err);
}

/* ---- keys ---- */
void fl_prepare_keys_path(const struct fl_config *c, char *out, size_t size)
{
    if (c->keys_file[0])
        snprintf(out, size, "%s", c->keys_file);
    else
        snprintf(out, size, "%s/secrets/keys", c->data_dir);
}

/* A new file is durable, or it is not there: what is sealed with these keys cannot be read without
 * them. */
static bool write_durably(const char *path, struct fl_str text)
{
    char fresh[640], dir[640];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_fine = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    is_fine = is_fine && link(fresh, path) == 0; /* never over one that is there */
    int saved = errno;
    unlink(fresh);
    if (slash)
        *slash = 0;
    fd = is_fine && slash ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        is_fine = fsync(fd) == 0;
        close(fd);
    }
    errno = saved;
    return is_fine;
}

enum fl_code fl_prepare_write_keys(const char *path, struct fl_str text, struct fl_err *err)
{
    return write_durably(path, text)
               ? FL_OK
               : fl_err_set(err, FL_IO, "cannot write %s: %s", path, strerror(errno));
}

static enum fl_code make_keys(const char *path, struct fl_err *err)
{
    struct fl_buf text = FL_BUF_INIT;
    fl_keyring_generate(&text);
    enum fl_code code = fl_buf_code(&text, err);
    if (code == FL_OK)
        code = fl_prepare_write_keys(path, fl_buf_view(&text), err);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    return code;
}

enum fl_code fl_prepare_read_keys(const char *path, struct fl_buf *out, struct fl_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fl_err_set(err, FL_BAD_KEY, "cannot read the encryption keys %s: %s" FL_LOST_KEY,
                          path, strerror(errno));
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && (st.st_mode & 077)) {
        close(fd);
        return fl_err_set(err, FL_BAD_KEY,
                          "the encryption keys %s can be read by other users; mend it with: chmod "
                          "600 %s",
                          path, path);
    }
    if (fl_buf_reserve(out, 65536))
        n = read(fd, out->p, 65536);
    close(fd);
    if (n < 0)
        return fl_err_set(err, FL_BAD_KEY, "cannot read the encryption keys %s", path);
    out->n = (size_t)n;
    return FL_OK;
}

/* pg NULL: without the number of rows. */
static enum fl_code check_known_keys(struct pg_conn *pg, const struct fl_keyring *ring,
                                     const json_t *known, struct fl_err *err)
{
    const char *id_text;
    json_t *value;
    json_object_foreach ((json_t *)known, id_text, value) {
        struct fl_buf stored = FL_BUF_INIT;
        uint32_t id = (uint32_t)strtoul(id_text, NULL, 10);
        enum fl_code code = fl_b64_decode(&stored, fl_json_str(value)) ? FL_OK : FL_BAD_KEY;
        if (code == FL_OK)
            code = fl_keyring_check(ring, id, fl_buf_view(&stored), err);
        fl_buf_fini(&stored);
        if (code == FL_BAD_KEY && pg) {
            struct fl_err why = *err;
            return fl_err_set(err, FL_BAD_KEY, "%s; %lld rows need it" FL_LOST_KEY, why.text,
                              fl_key_checks_rows(pg, id));
        }
        if (code)
            return code;
    }
    return FL_OK;
}

enum fl_code fl_prepare_compare_keys(struct fl_str text, const json_t *known, struct fl_err *err)
{
    struct fl_keyring *ring = NULL;
    enum fl_code code = fl_keyring_load(text, &ring, err);
    if (code == FL_OK)
        code = check_known_keys(NULL, ring, known, err);
    fl_keyring_free(&ring);
    return code;
}

/* Keys that are new get a known value in the database, by which they are recognised later. */
static enum fl_code note_new_keys(struct pg_conn *pg, const struct fl_keyring *ring, json_t *known,
                                  struct fl_err *err)
{
    uint32_t ids[FL_KEYRING_MAX + 1];
    size_t count = fl_keyring_ids(ring, ids);
    bool has_news = false;
    ids[count++] = FL_KEY_ID_INDEX;
    for (size_t i = 0; i < count; i++) {
        char name[16];
        struct fl_buf raw = FL_BUF_INIT, text = FL_BUF_INIT;
        snprintf(name, sizeof name, "%u", ids[i]);
        if (json_object_get(known, name))
            continue;
        enum fl_code code = fl_keyring_check_value(ring, ids[i], &raw, err);
        if (code == FL_OK) {
            fl_b64(&text, raw.p, raw.n);
            json_object_set_new(known, name, json_string(text.p ? text.p : ""));
            has_news = true;
        }
        fl_buf_fini(&raw);
        fl_buf_fini(&text);
        if (code)
            return code;
    }
    if (!has_news)
        return FL_OK;
    return fl_key_checks_add(pg, known, err);
}

static enum fl_code check_keys(struct pg_conn *pg, const struct fl_keyring *ring,
                               struct fl_err *err)
{
    json_t *known = NULL;
    enum fl_code code = fl_key_checks_get(pg, &known, err);
    if (code == FL_OK)
        code = check_known_keys(pg, ring, known, err);
    if (code == FL_OK)
        code = note_new_keys(pg, ring, known, err);
    json_decref(known);
    return code;
}

enum fl_code fl_prepare_keys(const struct fl_config *c, struct fl_prepared *p, struct fl_err *err)
{
    char path[600];
    struct fl_keyring *ring = NULL;
    bool is_new = false;
    fl_prepare_keys_path(c, path, sizeof path);
    enum fl_code code = connect_app(p, err);
    /* Keys are made for a database that knows none; a lost file must not be replaced silently. */
    if (code == FL_OK)
        code = fl_key_checks_are_new(p->pg, &is_new, err);
    if (code == FL_OK && access(path, F_OK) != 0 && is_new)
        code = make_keys(path, err);
    if (code == FL_OK)
        code = fl_prepare_read_keys(path, &p->keys, err);
    if (code == FL_OK)
        code = fl_keyring_load(fl_buf_view(&p->keys), &ring, err);
    if (code == FL_OK)
        code = check_keys(p->pg, ring, err);
    fl_keyring_free(&ring);
    return code;
}

enum fl_code fl_prepare_organizations(const struct fl_config *c, struct fl_prepared *p,
                                      struct fl_err *err)
{
    long long count = 0;
    if (!c->plugins_in_process)
        return FL_OK;
    enum fl_code code = connect_app(p, err);
    if (code == FL_OK)
        code = fl_organizations_count(p->pg, &count, err);
    if (code)
        return code;
    return count <= 1 ? FL_OK
                      : fl_err_set(err, FL_CONFIG,
                                   "plugins_in_process is for one organization only, and there "
                                   "are %lld: set it to false",
                                   count);
}

enum fl_code fl_prepare_epoch(const struct fl_config *c, struct fl_prepared *p, struct fl_err *err)
{
    struct fl_known known = { .is_there = false };
    struct fl_epoch now = { 0 };
    struct fl_err why;
    enum fl_code code = connect_app(p, err);
    if (code == FL_OK)
        code = fl_epoch_read(p->pg, &now, err);
    if (code == FL_OK && fl_known_admit(c, &now, &why) == FL_OK)
        code = fl_known_look(c, p->pg, &now, err);
    p->is_frozen = code == FL_OK && fl_known_admit(c, &now, &why) != FL_OK;
    if (p->is_frozen) {
        FL_LOG(ERROR, "frozen", FL_KS("reason", why.text));
        fprintf(stderr, "flopinio: %s\n", why.text);
    } else {
        if (code == FL_OK)
            code = fl_known_load(c, &known, err);
        if (code == FL_OK && !known.is_there) {
            known.epoch = now;
            known.epoch.wal = 0; /* guard.c sees how far it is */
        }
        if (code == FL_OK && now.number == 0)
            known.epoch.number = 1;
        if (code == FL_OK)
            code = fl_known_save(c, &known.epoch, NULL, err);
        if (code == FL_OK && now.number == 0)
            code = fl_epoch_begin(p->pg, err);
    }
    fl_admin_close(&p->pg);
    return code;
}

/* Every key that the database knows, against those of the file. */
static enum fl_code compare_keys(struct pg_conn *pg, const struct fl_keyring *ring,
                                 struct fl_buf *ret, struct fl_err *err)
{
    json_t *known = NULL;
    bool is_new = false;
    enum fl_code code = fl_key_checks_are_new(pg, &is_new, err);
    if (code == FL_OK && !is_new)
        code = fl_key_checks_get(pg, &known, err);
    if (code == FL_OK && known)
        code = check_known_keys(pg, ring, known, err);
    fl_buf_printf(ret, "key %u encrypts; %zu known to the database, all right",
                  fl_keyring_active(ring), json_object_size(known));
    json_decref(known);
    return code ? code : fl_buf_code(ret, err);
}

enum fl_code fl_prepare_check_keys(const struct fl_config *c, const char *conninfo,
                                   struct fl_buf *ret, struct fl_err *err)
{
    char path[600];
    struct fl_keyring *ring = NULL;
    struct pg_conn *pg = NULL;
    struct fl_buf text = FL_BUF_INIT;
    fl_prepare_keys_path(c, path, sizeof path);
    enum fl_code code = fl_prepare_read_keys(path, &text, err);
    if (code == FL_OK)
        code = fl_keyring_load(fl_buf_view(&text), &ring, err);
    if (code == FL_OK && !conninfo)
        fl_buf_puts(ret, "in order; not compared with what the database knows");
    if (code == FL_OK && conninfo)
        code = fl_admin_connect(conninfo, &pg, err);
    if (code == FL_OK && conninfo)
        code = compare_keys(pg, ring, ret, err);
    if (text.p)
        fl_cleanse(text.p, text.n);
    fl_buf_fini(&text);
    fl_keyring_free(&ring);
    fl_admin_close(&pg);
    return code;
}

void fl_prepare_fini(struct fl_prepared *p)
{
    fl_admin_close(&p->pg);
    if (p->conninfo.p)
        fl_cleanse(p->conninfo.p, p->conninfo.n);
    if (p->keys.p)
        fl_cleanse(p->keys.p, p->keys.n);
    fl_buf_fini(&p->conninfo);
    fl_buf_fini(&p->keys);
    fl_cluster_free(&p->cluster);
    if (p->lock_fd >= 0) {
        (void)!ftruncate(p->lock_fd, 0);
        close(p->lock_fd);
    }
    p->lock_fd = -1;
}
