/* doctor's checks of this machine. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "flopinio/base/clock.h"
#include "runtime/cli/doctor.h"
#include "runtime/cli/ports.h"
#include "runtime/cli/prepare.h"
#include "runtime/cli/wiring.h"
#include "runtime/host/host.h"
#include "runtime/host/landlock.h"
#include "runtime/host/seccomp.h"
#include "runtime/io/http_server.h"
#include "runtime/io/tls.h"
#include "runtime/io/versions.h"

#define PATH_BYTES  600
#define FREE_LEAST  (256LL << 20)
#define FREE_WANTED (2LL << 30)
#define SOON_DAYS   21
#define DAY_MS      86400000LL
#define RUN_AS_OWN                                                                                 \
    "run it as a user of its own, from which no agent runs: docs/security.md, examples/systemd"

void fl_doctor_libraries(struct fl_doctor *d)
{
    struct fl_buf text = FL_BUF_INIT;
    const char *outdated = fl_io_outdated();
    fl_io_versions(&text);
    fl_doctor_say(d, "libraries", outdated ? FL_DOCTOR_FAIL : FL_DOCTOR_OK,
                  outdated ? "upgrade the system's packages" : NULL,
                  "%s%sflopinio " FL_VERSION ", %s", outdated ? outdated : "", outdated ? ": " : "",
                  text.p ? text.p : "");
    fl_buf_fini(&text);
}

/* ---------------------------------------------------------------- files */
static const char *name_of(uid_t uid, char out[64])
{
    const struct passwd *pw = getpwuid(uid);
    if (pw)
        snprintf(out, 64, "%s", pw->pw_name);
    else
        snprintf(out, 64, "user %u", (unsigned)uid);
    return out;
}

/* NULL: as it must be, or not there. `open_to` are the mode bits that must not be set. */
static const char *fault(const struct fl_doctor *d, const char *path, mode_t open_to, uid_t owner,
                         char out[200])
{
    struct stat st;
    char name[64];
    FL_UNUSED(d);
    if (lstat(path, &st) != 0)
        return NULL;
    if (st.st_uid != owner && st.st_uid != 0)
        snprintf(out, 200, "belongs to %s", name_of(st.st_uid, name));
    else if (st.st_mode & open_to)
        snprintf(out, 200, "has mode %04o", (unsigned)(st.st_mode & 07777));
    else
        return NULL;
    return out;
}

void fl_doctor_directories(struct fl_doctor *d)
{
    static const struct {
        const char *name;
        mode_t open_to;
        const char *mend;
    } entries[] = {
        { "", 022, "chmod go-w it, and chown it to the user that runs the installation" },
        { "/secrets", 077, "chmod 700 it, and chown it to the user that runs the installation" },
        { "/flopinio.yaml", 022, "chmod go-w it" },
        { "/private.log", 077, "chmod 600 it" },
        { "/run", 022, "chmod 755 it" },
    };
    struct stat st;
    size_t faults = 0;
    if (stat(d->config.data_dir, &st) != 0) {
        fl_doctor_say(d, "directories", FL_DOCTOR_FAIL, "flopinio init", "there is no %s",
                      d->config.data_dir);
        return;
    }
    for (size_t i = 0; i < FL_COUNTOF(entries); i++) {
        char path[PATH_BYTES], text[200];
        snprintf(path, sizeof path, "%s%s", d->config.data_dir, entries[i].name);
        const char *why = fault(d, path, entries[i].open_to, st.st_uid, text);
        if (!why)
            continue;
        faults++;
        fl_doctor_say(d, "directories", FL_DOCTOR_FAIL, entries[i].mend, "%s %s", path, why);
    }
    char name[64];
    if (!faults)
        fl_doctor_say(d, "directories", FL_DOCTOR_OK, NULL, "%s belongs to %s, secrets are closed",
                      d->config.data_dir, name_of(st.st_uid, name));
}

void fl_doctor_disk(struct fl_doctor *d)
{
    struct statvfs fs;
    if (statvfs(d->config.data_dir, &fs) != 0) {
        fl_doctor_say(d, "disk", FL_DOCTOR_SKIP, NULL, "cannot look at %s: %s", d->config.data_dir,
                      strerror(errno));
        return;
    }
    long long left = (long long)fs.f_bavail * (long long)fs.f_frsize;
    bool lacks_inodes = fs.f_files && fs.f_favail < 1000;
    enum fl_doctor_status status = left < FREE_LEAST || lacks_inodes ? FL_DOCTOR_FAIL
                                   : left < FREE_WANTED              ? FL_DOCTOR_WARN
                                                                     : FL_DOCTOR_OK;
    fl_doctor_say(d, "disk", status,
                  status == FL_DOCTOR_OK
                      ? NULL
                      : "make room: without it nothing is recorded, and nothing runs unrecorded",
                  "%lld MiB free for %s%s", left >> 20, d->config.data_dir,
                  lacks_inodes ? ", and no inodes" : "");
}

/* ---------------------------------------------------------------- network */
static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* NULL: free, or served by the installation that runs. */
static bool is_taken(struct fl_doctor *d, const char *address, int port, struct fl_err *err)
{
    int fd;
    if (d->is_running || port == 0)
        return false;
    if (fl_listen_tcp(address, (uint16_t)port, &fd, err) != FL_OK)
        return true;
    close(fd);
    return false;
}

static bool check_listener(struct fl_doctor *d, const char *text, bool needs_tls, bool has_tls)
{
    char address[64];
    int port;
    struct fl_err err;
    if (fl_wiring_address(text, address, &port, &err) != FL_OK ||
        is_taken(d, address, port, &err)) {
        fl_doctor_say(d, "ports", FL_DOCTOR_FAIL,
                      "choose another one (listen, metrics_listen), or stop what has it: ss -ltnp",
                      "%s", err.text);
        return false;
    }
    if (is_loopback(address) || (needs_tls && has_tls))
        return true;
    fl_doctor_say(d, "ports", FL_DOCTOR_WARN,
                  needs_tls ? "tls_certificate and tls_key, or a proxy with TLS on this host and "
                              "listen on 127.0.0.1"
                            : "listen on 127.0.0.1 and let the monitoring come by another way",
                  needs_tls ? "%s is open to the network without TLS: credentials can be read"
                            : "%s shows figures to the network",
                  text);
    return false;
}

/* Of one that runs, what it listens on: it may have been told on its command line. */
static void check_ports(struct fl_doctor *d, const json_t *listen, const char *metrics,
                        bool has_tls)
{
    bool is_fine = true;
    struct fl_buf list = FL_BUF_INIT;
    size_t i;
    json_t *one;
    json_array_foreach (listen, i, one) {
        const char *text = json_string_value(one);
        is_fine = check_listener(d, text ? text : "", true, has_tls) && is_fine;
        fl_buf_printf(&list, "%s%s", i ? ", " : "", text ? text : "");
    }
    if (metrics && *metrics)
        is_fine = check_listener(d, metrics, false, has_tls) && is_fine;
    if (is_fine)
        fl_doctor_say(d, "ports", FL_DOCTOR_OK, NULL, "%s%s", list.n ? list.p : "none configured",
                      d->is_running ? "; the installation runs" : ", free");
    fl_buf_fini(&list);
}

void fl_doctor_ports(struct fl_doctor *d)
{
    const struct fl_config *c = &d->config;
    json_t *running = d->is_running ? fl_ports_read(c) : NULL, *listen = json_array();
    if (json_is_array(json_object_get(running, "listen"))) {
        check_ports(d, json_object_get(running, "listen"),
                    json_string_value(json_object_get(running, "metrics_listen")),
                    json_is_true(json_object_get(running, "has_tls")));
    } else {
        for (size_t i = 0; c->listen[i]; i++)
            json_array_append_new(listen, json_string(c->listen[i]));
        check_ports(d, listen, c->metrics_listen, c->tls_certificate[0] != NULL);
    }
    json_decref(listen);
    json_decref(running);
}

static void check_certificate(struct fl_doctor *d, const char *certificate, const char *key)
{
    char until[FL_TIME_BYTES];
    struct fl_tls_files files = { certificate, key };
    struct fl_tls *tls = NULL;
    struct fl_err err;
    int64_t at_ms = 0;
    enum fl_code code = fl_tls_expiry(certificate, &at_ms, &err);
    if (code == FL_OK)
        code = fl_tls_new(&files, 1, &tls, &err);
    fl_tls_free(&tls);
    int64_t days = (at_ms - fl_real_ms()) / DAY_MS;
    bool is_over = at_ms < fl_real_ms();
    const char *mend = "a new certificate in the same files, then: kill -HUP the supervisor";
    if (code)
        fl_doctor_say(d, "tls", FL_DOCTOR_FAIL,
                      "tls_certificate and tls_key must fit and be readable", "%s", err.text);
    else
        fl_doctor_say(d, "tls",
                      is_over            ? FL_DOCTOR_FAIL
                      : days < SOON_DAYS ? FL_DOCTOR_WARN
                                         : FL_DOCTOR_OK,
                      is_over || days < SOON_DAYS ? mend : NULL, "%s %s %s (%lld days)",
                      certificate, is_over ? "ended" : "ends", fl_time_format_s(at_ms, until),
                      (long long)days);
}

void fl_doctor_tls(struct fl_doctor *d)
{
    const struct fl_config *c = &d->config;
    if (!c->tls_certificate[0])
        fl_doctor_say(d, "tls", FL_DOCTOR_OK, NULL, "no certificate configured");
    for (size_t i = 0; c->tls_certificate[i]; i++)
        check_certificate(d, c->tls_certificate[i], c->tls_key[i]);
}

/* ---------------------------------------------------------------- plugins */
void fl_doctor_plugins(struct fl_doctor *d)
{
    struct stat st;
    struct fl_err err;
    uint32_t uid = 0, gid = 0;
    int abi = fl_landlock_abi();
    bool has_seccomp = fl_seccomp_is_there();
    bool by_root = stat(d->config.data_dir, &st) == 0 && st.st_uid == 0;
    if (d->config.plugins_in_process)
        fl_doctor_say(d, "plugins", FL_DOCTOR_WARN, "plugins_in_process: false",
                      "plugins run inside the worker: a bug in one reaches the keys, and no "
                      "organization is apart from another");
    if (abi < 1)
        fl_doctor_say(d, "plugins", FL_DOCTOR_WARN,
                      "a kernel with Landlock (5.13 or newer; lsm=landlock,...), or containers",
                      "this kernel has no Landlock: plugins reach every file that their user can");
    if (!has_seccomp)
        fl_doctor_say(d, "plugins", FL_DOCTOR_WARN,
                      by_root ? "a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or arm64"
                              : "a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or arm64; or start "
                                "it as root, so that plugins are of another user",
                      "no seccomp filters here: plugins reach sockets and other processes%s",
                      by_root ? "" : ", so that one can be the operator");
    if (by_root && (fl_host_user(d->config.plugin_user, &uid, &gid, &err) != FL_OK || uid == 0))
        fl_doctor_say(d, "plugins", FL_DOCTOR_FAIL, "plugin_user: a user without rights, as nobody",
                      "plugin_user %s cannot be used%s%s", d->config.plugin_user,
                      uid == 0 ? "" : ": ", uid == 0 ? "" : err.text);
    else if (abi >= 1 && has_seccomp && !d->config.plugins_in_process)
        fl_doctor_say(d, "plugins", FL_DOCTOR_OK, NULL, "Landlock ABI %d, seccomp, %s%s", abi,
                      by_root ? "as user " : "as the installation's own user",
                      by_root ? d->config.plugin_user : "");
}

/* ---------------------------------------------------------------- isolation */
/* A person's account: it has a shell, and agents are started from shells. */
static bool logs_in(uid_t uid, char name[64])
{
    const struct passwd *pw = getpwuid(uid);
    if (!pw)
        return false;
    snprintf(name, 64, "%s", pw->pw_name);
    const char *shell = strrchr(pw->pw_shell, '/');
    shell = shell ? shell + 1 : pw->pw_shell;
    return strcmp(shell, "nologin") != 0 && strcmp(shell, "false") != 0 &&
           (uid >= 1000 || uid == 0);
}

void fl_doctor_isolation(struct fl_doctor *d)
{
    char dir[512], path[PATH_BYTES], name[64], text[200];
    struct stat st;
    struct fl_err err;
    size_t before = d->counts[FL_DOCTOR_WARN] + d->counts[FL_DOCTOR_FAIL];
    if (stat(d->config.data_dir, &st) != 0) {
        fl_doctor_say(d, "isolation", FL_DOCTOR_SKIP, NULL, "there is no data directory");
        return;
    }
    if (logs_in(st.st_uid, name))
        fl_doctor_say(d, "isolation", FL_DOCTOR_WARN, RUN_AS_OWN,
                      "not isolated from the agent, if one runs as %s too: it could read the keys "
                      "and the control socket, and approvals are advisory",
                      name);
    if (fl_config_run_dir(d->config.data_dir, dir, sizeof dir, &err) == FL_OK) {
        snprintf(path, sizeof path, "%s/control.sock", dir);
        const char *why = fault(d, path, 077, st.st_uid, text);
        if (why)
            fl_doctor_say(d, "isolation", FL_DOCTOR_FAIL,
                          "chmod 600 it, and find out who opened it",
                          "the control socket %s %s: others are the operator too", path, why);
    }
    if (d->counts[FL_DOCTOR_WARN] + d->counts[FL_DOCTOR_FAIL] == before)
        fl_doctor_say(d, "isolation", FL_DOCTOR_OK, NULL,
                      "%s runs it and nobody logs in as that user; the control socket is closed to "
                      "others",
                      name_of(st.st_uid, name));
}
