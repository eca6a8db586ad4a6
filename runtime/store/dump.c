/* pg_dump and pg_restore. */
#include "runtime/store/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flopinio/base/json.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/migrate.h"

/* ---------------------------------------------------------------- the programs */
static _Noreturn void become(const char *const argv[], const char *conninfo, int in, int out,
                             int said)
{
    struct fl_err err;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (fl_admin_environment(conninfo, &err) != FL_OK || setenv("LC_ALL", "C.UTF-8", 1) != 0 ||
        dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(said, 2) < 0)
        _exit(126);
    closefrom(3);
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

/* The first line that says what is wrong. */
static void take_words(int fd, char *said, size_t size)
{
    char scrap[512] = "";
    size_t n = 0;
    for (;;) {
        bool has_room = n + 1 < size;
        ssize_t got = read(fd, has_room ? said + n : scrap, has_room ? size - 1 - n : sizeof scrap);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (has_room)
            n += (size_t)got;
    }
    said[n] = 0;
    char *error = strstr(said, "error: ");
    if (error)
        memmove(said, error + 7, strlen(error + 7) + 1);
    said[strcspn(said, "\r\n")] = 0;
}

/* in, out: -1 is nothing. */
static enum fl_code run(const char *const argv[], const char *conninfo, int in, int out,
                        struct fl_err *err)
{
    char said[300];
    int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), status = -1;
    if (null < 0 || pipe2(pipes, O_CLOEXEC) != 0) {
        if (null >= 0)
            close(null);
        return fl_err_set(err, FL_IO, "could not run %s: %s", argv[0], strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, conninfo, in < 0 ? null : in, out < 0 ? null : out, pipes[1]);
    close(null);
    close(pipes[1]);
    take_words(pipes[0], said, sizeof said);
    close(pipes[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return FL_OK;
    const char *name = strrchr(argv[0], '/');
    return fl_err_set(err, FL_IO, "%s failed: %s", name ? name + 1 : argv[0],
                      said[0] ? said : "it could not be run");
}

/* ---------------------------------------------------------------- out */
enum fl_code fl_dump_begin(struct pg_conn *pg, struct fl_dump_facts *ret, struct fl_err *err)
{
    static const char sql[] =
        "SELECT pg_export_snapshot(), (SELECT max(version) FROM flopinio.schema_version), "
        "i.epoch, i.id, i.key_checks, (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname "
        "= current_user) FROM flopinio.installation i";
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, sql, &res, err);
    if (code)
        return code;
    if (fl_admin_rows(res) != 1) {
        fl_admin_clear(&res);
        return fl_err_set(err, FL_CONFIG, "there is nothing to back up yet");
    }
    bool sees_all = strcmp(fl_admin_cell(res, 0, 5), "t") == 0;
    snprintf(ret->snapshot, sizeof ret->snapshot, "%s", fl_admin_cell(res, 0, 0));
    snprintf(ret->installation, sizeof ret->installation, "%s", fl_admin_cell(res, 0, 3));
    ret->schema = (int)fl_admin_int(res, 0, 1);
    ret->epoch = fl_admin_int(res, 0, 2);
    ret->postgresql = fl_admin_version(pg);
    ret->key_checks = fl_json_parse(fl_str_of(fl_admin_cell(res, 0, 4)), err);
    fl_admin_clear(&res);
    if (!ret->key_checks)
        return FL_INTERNAL;
    if (sees_all)
        return FL_OK;
    json_decref(ret->key_checks);
    ret->key_checks = NULL;
    return fl_err_set(err, FL_CONFIG,
                      "this role sees no rows, row security being forced; a backup is made as "
                      "flopinio_backup");
}

enum fl_code fl_dump_write(const char *bin, const char *conninfo, const char *snapshot, int fd,
                           struct fl_err *err)
{
    char tool[600], at[100];
    snprintf(tool, sizeof tool, "%s/pg_dump", bin);
    snprintf(at, sizeof at, "--snapshot=%s", snapshot);
    const char *argv[] = {
        tool, "--format=custom", "--no-password", "--no-comments", "--schema=flopinio", at, NULL
    };
    return run(argv, conninfo, -1, fd, err);
}

/* ---------------------------------------------------------------- in */
enum fl_code fl_dump_is_empty(struct pg_conn *pg, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code =
        fl_admin_exec(pg, "SELECT 1 FROM pg_namespace WHERE nspname = 'flopinio'", &res, err);
    if (code)
        return code;
    bool is_there = fl_admin_rows(res) > 0;
    fl_admin_clear(&res);
    return is_there ? fl_err_set(err, FL_CONFLICT, "there is an installation in it already")
                    : FL_OK;
}

/* pg_restore makes what is in the schema; the schema with its rights is made here, so that the
 * owner alone can do it all, without a superuser. */
static const char before[] =
    "SET client_min_messages = warning; CREATE SCHEMA flopinio AUTHORIZATION flopinio_owner; "
    "GRANT USAGE ON SCHEMA flopinio TO flopinio_app, flopinio_verifier, flopinio_backup, "
    "flopinio_lookup, flopinio_sweep; "
    "GRANT CREATE ON SCHEMA flopinio TO flopinio_lookup, flopinio_sweep";
static const char after[] =
    "REVOKE CREATE ON SCHEMA flopinio FROM flopinio_lookup, flopinio_sweep; "
    "UPDATE flopinio.installation SET epoch = greatest(epoch, 1)";

enum fl_code fl_dump_read(const char *bin, struct pg_conn *pg, const char *conninfo, int fd,
                          struct fl_err *err)
{
    char tool[600], database[128];
    int from, to;
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, "SELECT current_database()", &res, err);
    if (code)
        return code;
    snprintf(tool, sizeof tool, "%s/pg_restore", bin);
    snprintf(database, sizeof database, "--dbname=%s", fl_admin_cell(res, 0, 0));
    fl_admin_clear(&res);
    const char *argv[] = { tool,
                           "--no-password",
                           "--schema=flopinio",
                           "--single-transaction",
                           "--exit-on-error",
                           database,
                           NULL };
    code = fl_admin_exec(pg, before, NULL, err);
    if (code)
        return code;
    code = run(argv, conninfo, fd, -1, err);
    if (code == FL_OK)
        code = fl_migrate_run(pg, &from, &to, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, after, NULL, err);
    struct fl_err ignored;
    if (code)
        (void)!fl_admin_exec(pg, "DROP SCHEMA flopinio CASCADE", NULL, &ignored);
    return code;
}
