/* What the supervisor hands to a worker: a JSON text in an anonymous file (descriptor 3), so that
 * neither arguments nor environment carry a secret, and sockets that were bound before. */
#ifndef FLOPINIO_CLI_BOOT_H
#define FLOPINIO_CLI_BOOT_H

#include "flopinio/base/id.h"
#include "runtime/cli/config.h"

#define FL_BOOT_FD      3
#define FL_BOOT_SOCKETS 12
#define FL_BOOT_GONE    8

/* PEER: of this worker alone, for the others of the node. */
enum fl_boot_kind { FL_BOOT_MAIN, FL_BOOT_METRICS, FL_BOOT_CONTROL, FL_BOOT_STDIO, FL_BOOT_PEER };

struct fl_boot_socket {
    enum fl_boot_kind kind;
    int fd; /* in this process */
    int port;
};

struct fl_boot {
    struct fl_config config;
    struct fl_str conninfo;            /* of the app role */
    struct fl_str keys;                /* the keyring's text */
    int worker, workers;               /* 0, 1, ..., and how many there are */
    struct fl_uuid id;                 /* what it is called in the database */
    struct fl_uuid gone[FL_BOOT_GONE]; /* workers that died before it, without a goodbye */
    size_t gone_count;
    int supervisor; /* its process id */
    int ready_fd;   /* one byte is written there when the worker serves */
    int stats_fd;   /* struct fl_stats, shared */
    int reload_fd;  /* the configuration again, without secrets; read anew on SIGHUP */
    struct fl_boot_socket sockets[FL_BOOT_SOCKETS];
    size_t socket_count;
};

/* A descriptor of an anonymous file with the text, at its start; -1 on failure. */
int fl_boot_write(const struct fl_boot *boot);
/* Writes the configuration, without secrets, over what the file holds. */
bool fl_boot_write_reload(int fd, const struct fl_config *config);
enum fl_code fl_boot_read_reload(int fd, struct fl_config *ret, struct fl_err *err) FL_MUST_CHECK;
/* Reads and closes it. The arena of boot->config owns the texts. */
enum fl_code fl_boot_read(int fd, struct fl_boot *ret, struct fl_err *err) FL_MUST_CHECK;

#endif
