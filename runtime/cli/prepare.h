/* What must stand before a worker may start, and what doctor looks at. Blocking. */
#ifndef FLOPINIO_CLI_PREPARE_H
#define FLOPINIO_CLI_PREPARE_H

#include <jansson.h>

#include "runtime/cli/config.h"
#include "runtime/store/cluster.h"

/* Stands behind the number in data_dir/flopinio.pid when a stdio client started it. */
#define FL_PRIVATE_MARK "private"

#define FL_WORKERS_MAX 64

struct fl_prepared {
    struct fl_cluster *cluster; /* NULL: a database of the operator's own */
    struct fl_buf conninfo;     /* of the app role; a secret */
    struct fl_buf keys;         /* the keyring's text; a secret */
    struct pg_conn *pg;         /* as the app role, until all is looked at; may be NULL */
    char run_dir[512];
    bool is_private; /* said beforehand: whom the pid file names when another start is refused */
    int lock_fd;     /* one supervisor per data directory; -1: none taken */
    bool was_killed; /* the supervisor before this one did not end in order */
    bool is_frozen;  /* the database is not as it was left; said on standard error */
};

/* data_dir, run directory, secrets; takes the lock (FL_CONFLICT: it is running already). */
enum fl_code fl_prepare_dirs(const struct fl_config *config, struct fl_prepared *p,
                             struct fl_err *err) FL_MUST_CHECK;
/* The private database started and migrated, or the URL taken as it is. */
enum fl_code fl_prepare_database(const struct fl_config *config, struct fl_prepared *p,
                                 void (*progress)(const char *what),
                                 struct fl_err *err) FL_MUST_CHECK;
/* The keyring's text, made at the first start; every key that the database knows must be there and
 * be the right one (FL_BAD_KEY names it and how many rows need it). */
enum fl_code fl_prepare_keys(const struct fl_config *config, struct fl_prepared *p,
                             struct fl_err *err) FL_MUST_CHECK;
/* FL_CONFIG: plugins_in_process where there are several organizations. */
enum fl_code fl_prepare_organizations(const struct fl_config *config, struct fl_prepared *p,
                                      struct fl_err *err) FL_MUST_CHECK;
/* The last look: is it the database that this node knows (known.h)? One that is new, or that no
 * program has written down yet, is written down. A frozen one is no error: p->is_frozen. */
enum fl_code fl_prepare_epoch(const struct fl_config *config, struct fl_prepared *p,
                              struct fl_err *err) FL_MUST_CHECK;
/* The same question without making or writing anything, for doctor; `conninfo` of the app role,
 * NULL: the file alone. What is fine is said in *ret. */
enum fl_code fl_prepare_check_keys(const struct fl_config *config, const char *conninfo,
                                   struct fl_buf *ret, struct fl_err *err) FL_MUST_CHECK;
/* Are these keys (a keyring's text) the ones of `known`, {"key id": "value in base64"} (borrowed)?
 * FL_BAD_KEY names one that is missing or another. */
enum fl_code fl_prepare_compare_keys(struct fl_str text, const json_t *known,
                                     struct fl_err *err) FL_MUST_CHECK;
/* Behind what is said when a key is not there. */
#define FL_LOST_KEY " (docs/runbooks.md, \"A lost key\")"
/* Reads a keys file that no other user can read; `out` is the caller's to cleanse. */
enum fl_code fl_prepare_read_keys(const char *path, struct fl_buf *out,
                                  struct fl_err *err) FL_MUST_CHECK;
/* Writes one where none is, durably, with mode 0600. */
enum fl_code fl_prepare_write_keys(const char *path, struct fl_str text,
                                   struct fl_err *err) FL_MUST_CHECK;
void fl_prepare_fini(struct fl_prepared *p);

/* How many workers there will be. */
int fl_prepare_workers(const struct fl_config *config);
/* The private database as the configuration wants it. */
struct fl_cluster_config fl_prepare_cluster(const struct fl_config *config,
                                            void (*progress)(const char *what));
/* The path of the keys file. */
void fl_prepare_keys_path(const struct fl_config *config, char *out, size_t size);

#endif
