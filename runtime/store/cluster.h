/* The private PostgreSQL cluster: made, found, started and stopped by the supervisor when no
 * database URL is configured. Unix socket only, directory 0700, SCRAM for every role, an
 * unprivileged OS user when started as root; durable settings (fsync, synchronous_commit,
 * full_page_writes) are never relaxed. Called before the loop runs and at the end; blocks. */
#ifndef FLOPINIO_STORE_CLUSTER_H
#define FLOPINIO_STORE_CLUSTER_H

#include <sys/types.h>

#include "flopinio/base/buf.h"
#include "flopinio/base/err.h"

struct fl_cluster_config {
    const char *data_dir; /* absolute; the cluster lives in data_dir/postgres */
    const char *os_user;  /* when started as root; NULL = flopinio if it exists, else postgres */
    const char *bin_dir;  /* NULL = the newest of /usr/lib/postgresql/{17,16,15}/bin, then PATH */
    int connections;      /* how many it has to take at least, when it is started */
    void (*progress)(const char *what); /* told before anything that takes time; may be NULL */
};

struct fl_cluster;

/* Finds a running one (also one that a killed supervisor left), starts a stopped one, makes a
 * missing one. Idempotent. The error says what to install or mend. */
enum fl_code fl_cluster_start(const struct fl_cluster_config *config, struct fl_cluster **ret,
                              struct fl_err *err) FL_MUST_CHECK;
/* Looks at what is there and changes nothing: FL_NOT_FOUND: no private database; FL_UNAVAILABLE: it
 * does not run. */
enum fl_code fl_cluster_find(const struct fl_cluster_config *config, struct fl_cluster **ret,
                             struct fl_err *err) FL_MUST_CHECK;
/* Appends a libpq connection string for "super", "owner", "app", "verifier" or "backup"; holds a
 * password: keep it out of arguments, environment and logs. */
enum fl_code fl_cluster_conninfo(const struct fl_cluster *cluster, const char *role,
                                 struct fl_buf *out, struct fl_err *err) FL_MUST_CHECK;
/* Its start found the schema as this program's migrations leave it. */
bool fl_cluster_is_migrated(const struct fl_cluster *cluster);
/* Process id of the server, for supervision. */
pid_t fl_cluster_pid(const struct fl_cluster *cluster);
/* Is the server of this cluster running (whoever started it)? */
bool fl_cluster_is_running(const struct fl_cluster *cluster);
/* "15", "17": the version of the files. */
const char *fl_cluster_version(const struct fl_cluster *cluster);
/* Where its programs are. */
const char *fl_cluster_bin(const struct fl_cluster *cluster);
/* The folder with the newest of PostgreSQL's client programs on this machine; `wanted`: of the
 * configuration, "" none. FL_CONFIG says what to install. */
enum fl_code fl_cluster_tools(const char *wanted, char *out, size_t size,
                              struct fl_err *err) FL_MUST_CHECK;
/* Fast shutdown, waits at most timeout_ms. */
enum fl_code fl_cluster_stop(struct fl_cluster *cluster, int timeout_ms,
                             struct fl_err *err) FL_MUST_CHECK;
/* The same for the cluster in data_dir that a killed supervisor may have left; FL_OK when there is
 * none. Only where no supervisor runs. */
enum fl_code fl_cluster_stop_left(const char *data_dir, int timeout_ms,
                                  struct fl_err *err) FL_MUST_CHECK;
/* Forgets it; does not stop it. */
void fl_cluster_free(struct fl_cluster **cluster);

#endif
