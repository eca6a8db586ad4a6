/* What must stand before a worker may start, and what doctor looks at. Blocking. */
#ifndef FLOPINIO_CLI_PREPARE_H
#define FLOPINIO_CLI_PREPARE_H

#include "runtime/cli/config.h"
#include "runtime/store/cluster.h"

/* Stands behind the number in data_dir/flopinio.pid when a stdio client started it. */
#define FL_PRIVATE_MARK "private"

#define FL_WORKERS_MAX 64

struct fl_prepared {
    struct fl_cluster *cluster; /* NULL: a database of the operator's own */
    struct fl_buf conninfo;     /* of the app role; a secret */
    struct fl_buf keys;         /* the keyring's text; a secret */
    char run_dir[512];
    bool is_private; /* said beforehand: whom the pid file names when another start is refused */
    int lock_fd;     /* one supervisor per data directory; -1: none taken */
    bool was_killed; /* the supervisor before this one did not end in order */
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
/* The same question without making or writing anything, for doctor; `conninfo` of the app role,
 * NULL: the file alone. What is fine is said in *ret. */
enum fl_code fl_prepare_check_keys(const struct fl_config *config, const char *conninfo,
                                   struct fl_buf *ret, struct fl_err *err) FL_MUST_CHECK;
void fl_prepare_fini(struct fl_prepared *p);

/* How many workers there will be. */
int fl_prepare_workers(const struct fl_config *config);
/* The private database as the configuration wants it. */
struct fl_cluster_config fl_prepare_cluster(const struct fl_config *config,
                                            void (*progress)(const char *what));
/* The path of the keys file. */
void fl_prepare_keys_path(const struct fl_config *config, char *out, size_t size);

#endif
