/* doctor's checks of PostgreSQL, the keys and the clocks, as the app role. */
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#include "runtime/cli/doctor.h"
#include "runtime/cli/known.h"
#include "runtime/cli/prepare.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/inspect.h"
#include "runtime/store/migrate.h"

#define OFFSET_WARN_MS 1000

/* What a database that cannot be asked keeps from being looked at. */
static void skip_all(struct fl_doctor *d, const char *why)
{
    static const char *const checks[] = { "roles", "row-security", "settings", "audit-partitions",
                                          "epoch" };
    for (size_t i = 0; i < FL_COUNTOF(checks); i++)
        fl_doctor_say(d, checks[i], FL_DOCTOR_SKIP, NULL, "%s", why);
}

static enum fl_code find_database(struct fl_doctor *d, struct fl_buf *conninfo, struct fl_err *err)
{
    struct fl_cluster_config wanted = fl_prepare_cluster(&d->config, NULL);
    struct fl_cluster *cluster = NULL;
    if (d->config.database_url[0]) {
        fl_buf_puts(conninfo, d->config.database_url);
        return fl_buf_code(conninfo, err);
    }
    enum fl_code code = fl_cluster_find(&wanted, &cluster, err);
    if (code == FL_OK)
        code = fl_cluster_conninfo(cluster, "app", conninfo, err);
    fl_cluster_free(&cluster);
    return code;
}

static const char *how_to_reach(const struct fl_doctor *d, enum fl_code code)
{
    if (d->is_foreign)
        return "run doctor as the installation's user, or as root";
    if (d->config.database_url[0])
        return "database_url, and the server behind it";
    return code == FL_NOT_FOUND ? "flopinio init" : "flopinio serve, then doctor again";
}

static void check_version(struct fl_doctor *d, struct pg_conn *pg)
{
    struct fl_buf version = FL_BUF_INIT;
    struct fl_err err;
    enum fl_code code = fl_admin_check(pg, &err);
    if (code == FL_OK)
        code = fl_migrate_fits(pg, &err);
    if (code == FL_OK)
        code = fl_inspect_version(pg, &version, &err);
    if (code)
        fl_doctor_say(d, "postgresql", FL_DOCTOR_FAIL,
                      "docs/operator.md, \"A database of your own\": flopinio migrate", "%s",
                      err.text);
    else
        fl_doctor_say(d, "postgresql", FL_DOCTOR_OK, NULL, "%s, %s, schema %d", version.p,
                      d->config.database_url[0] ? "of your own" : "private", fl_schema_version());
    fl_buf_fini(&version);
}

/* Inspections of one check stand side by side in the table. */
static void run_inspections(struct fl_doctor *d, struct pg_conn *pg)
{
    size_t findings = 0;
    const char *fine = NULL;
    for (const struct fl_inspection *i = fl_inspections; i->check; i++) {
        struct fl_buf text = FL_BUF_INIT;
        struct fl_err err;
        int count = 0;
        enum fl_code code = fl_inspect(pg, i, &text, &count, &err);
        findings += code || count > 0;
        fine = i->fine ? i->fine : fine;
        if (code)
            fl_doctor_say(d, i->check, FL_DOCTOR_FAIL, "flopinio migrate", "%s", err.text);
        else if (count > 0)
            fl_doctor_say(d, i->check, i->is_grave ? FL_DOCTOR_FAIL : FL_DOCTOR_WARN, i->mend, "%s",
                          text.p);
        if (!i[1].check || strcmp(i[1].check, i->check) != 0) {
            if (!findings)
                fl_doctor_say(d, i->check, FL_DOCTOR_OK, NULL, "%s", fine);
            findings = 0;
        }
        fl_buf_fini(&text);
    }
}

static void check_keys(struct fl_doctor *d, const char *conninfo)
{
    struct fl_buf text = FL_BUF_INIT;
    struct fl_err err;
    char path[600];
    fl_prepare_keys_path(&d->config, path, sizeof path);
    enum fl_code code = fl_prepare_check_keys(&d->config, conninfo, &text, &err);
    if (code && !conninfo && access(path, F_OK) != 0)
        fl_doctor_say(d, "keys", FL_DOCTOR_SKIP, NULL,
                      "there is no %s, and no database to ask for "
                      "which keys are needed",
                      path);
    else if (code)
        fl_doctor_say(
            d, "keys", FL_DOCTOR_FAIL,
            "bring the file back from where keys are kept: what they sealed cannot be read "
            "without them",
            "%s", err.text);
    else
        fl_doctor_say(d, "keys", conninfo ? FL_DOCTOR_OK : FL_DOCTOR_SKIP, NULL, "%s: %s", path,
                      text.p);
    fl_buf_fini(&text);
}

static void check_epoch(struct fl_doctor *d, struct pg_conn *pg)
{
    struct fl_epoch now;
    struct fl_err err;
    char path[600], name[FL_EPOCH_NAME_BYTES];
    fl_known_path(&d->config, path, sizeof path);
    enum fl_code code = fl_epoch_read(pg, &now, &err);
    if (code == FL_OK)
        code = fl_epoch_loaded(pg, name, &err);
    if (code)
        fl_doctor_say(d, "epoch", FL_DOCTOR_SKIP, NULL, "%s", err.text);
    else if (fl_known_judge(&d->config, &now, &err) != FL_OK)
        fl_doctor_say(d, "epoch", FL_DOCTOR_FAIL,
                      "flopinio recover --dry-run, then flopinio recover; where another node works "
                      "with this database, copy its epoch file instead",
                      "%s", err.text);
    else if (name[0])
        fl_doctor_say(d, "epoch", FL_DOCTOR_FAIL,
                      "flopinio recover --dry-run, then flopinio recover", FL_KNOWN_LOADED, name);
    else
        fl_doctor_say(d, "epoch", FL_DOCTOR_OK, NULL, "%lld, the database that %s knows",
                      now.number, path);
}

static void check_clock(struct fl_doctor *d, struct pg_conn *pg)
{
    static const char ntp[] = "run a time service on both (timedatectl set-ntp true)";
    struct timex state = { .modes = 0 };
    struct fl_err err;
    int64_t ahead_ms = 0;
    bool is_unsynchronized = adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC);
    if (pg && fl_inspect_clock(pg, &ahead_ms, &err) != FL_OK) {
        fl_doctor_say(d, "clock", FL_DOCTOR_SKIP, NULL, "%s", err.text);
        return;
    }
    long long off = llabs((long long)ahead_ms);
    if (off >= d->config.dispatch_time)
        fl_doctor_say(d, "clock", FL_DOCTOR_FAIL, ntp,
                      "the database's clock is %lld ms off: nothing is dispatched", off);
    else if (off > OFFSET_WARN_MS)
        fl_doctor_say(d, "clock", FL_DOCTOR_WARN, ntp, "the database's clock is %lld ms off", off);
    else if (is_unsynchronized)
        fl_doctor_say(d, "clock", FL_DOCTOR_WARN, ntp,
                      "this machine's clock is not kept by a time service: times in the audit may "
                      "be wrong");
    else if (!pg)
        fl_doctor_say(d, "clock", FL_DOCTOR_SKIP, NULL, "the database cannot be asked");
    else
        fl_doctor_say(d, "clock", FL_DOCTOR_OK, NULL, "%lld ms between us and the database", off);
}

static void check_near_agents(struct fl_doctor *d, struct pg_conn *pg)
{
    struct fl_buf near = FL_BUF_INIT;
    struct fl_err err;
    if (fl_inspect_near_agents(pg, &near, &err) == FL_OK && near.n)
        fl_doctor_say(d, "isolation", FL_DOCTOR_WARN,
                      "run these agents as other users, in containers, or elsewhere: "
                      "docs/security.md",
                      "not isolated from the agent: calls came from the runtime's own user in the "
                      "last 30 days, by %s",
                      near.p);
    fl_buf_fini(&near);
}

void fl_doctor_database(struct fl_doctor *d)
{
    struct fl_buf conninfo = FL_BUF_INIT;
    struct pg_conn *pg = NULL;
    struct fl_err err;
    enum fl_code code = find_database(d, &conninfo, &err);
    if (code == FL_OK)
        code = fl_admin_connect(conninfo.p, &pg, &err);
    if (code) {
        bool is_away = !d->config.database_url[0];
        fl_doctor_say(d, "postgresql", is_away ? FL_DOCTOR_SKIP : FL_DOCTOR_FAIL,
                      how_to_reach(d, code), "%s", err.text);
        skip_all(d, "the database cannot be asked");
        check_keys(d, NULL);
        check_clock(d, NULL);
    } else {
        check_version(d, pg);
        run_inspections(d, pg);
        check_keys(d, conninfo.p);
        check_epoch(d, pg);
        check_clock(d, pg);
        check_near_agents(d, pg);
    }
    fl_admin_close(&pg);
    if (conninfo.p)
        fl_cleanse(conninfo.p, conninfo.n);
    fl_buf_fini(&conninfo);
}
