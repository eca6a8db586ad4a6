/* `flopinio migrate`: roles, database and schema of a PostgreSQL of the operator's own. The
 * powerful URLs come from the environment or a file, never from a flag that every user of the host
 * can read; `serve` has neither of them and changes no schema but its private database's. Blocking.
 */
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/id.h"
#include "runtime/cli/cli_commands.h"
#include "runtime/cli/cli_run.h"
#include "runtime/crypto/secret.h"
#include "runtime/io/pg_admin.h"
#include "runtime/store/embedded.h"
#include "runtime/store/migrate.h"

#define PASSWORD_BYTES 49

struct migrate {
    struct fl_cli *cli;
    struct fl_buf owner_url;           /* a secret */
    char passwords[2][PASSWORD_BYTES]; /* of owner and app, when they were made just now */
    bool is_new[2];
};

/* ---------------------------------------------------------------- roles */
static void make_passwords(struct migrate *m, const bool missing[4], struct fl_role_passwords *ret)
{
    uint8_t raw[(PASSWORD_BYTES - 1) / 2];
    for (size_t i = 0; i < 2; i++) {
        m->is_new[i] = missing[i];
        fl_random(raw, sizeof raw);
        fl_hex(raw, sizeof raw, m->passwords[i]);
    }
    fl_cleanse(raw, sizeof raw);
    *ret = (struct fl_role_passwords){ .owner = missing[0] ? m->passwords[0] : NULL,
                                       .app = missing[1] ? m->passwords[1] : NULL };
}

static void say_roles(struct migrate *m, struct pg_conn *pg)
{
    struct fl_cli *cli = m->cli;
    fl_cli_say(cli, "the roles flopinio_* and the database flopinio are there");
    if (m->is_new[1]) {
        struct fl_buf url = FL_BUF_INIT;
        fl_admin_url(pg, "flopinio_app", m->passwords[1], "flopinio", &url);
        fl_cli_say(cli,
                   "for serve, in a configuration file that its user alone can read (shown once):\n"
                   "database_url: %s",
                   url.p ? url.p : "");
        if (url.p)
            fl_cleanse(url.p, url.n);
        fl_buf_fini(&url);
    }
    if (m->is_new[0]) {
        fl_admin_url(pg, "flopinio_owner", m->passwords[0], "flopinio", &m->owner_url);
        fl_cli_say(cli,
                   "for migrate, somewhere that serve's user cannot read (shown once):\n"
                   "FLOPINIO_OWNER_URL=%s",
                   m->owner_url.p ? m->owner_url.p : "");
    }
}

static int make_roles(struct migrate *m)
{
    struct fl_buf url = FL_BUF_INIT;
    struct fl_role_passwords passwords;
    struct pg_conn *pg = NULL;
    struct fl_err err;
    bool missing[4];
    if (!fl_cli_url(m->cli, "admin-url-file", "FLOPINIO_ADMIN_URL", &url))
        return FL_EXIT_FAILED;
    if (!url.n)
        return fl_cli_wrong(m->cli,
                            "FLOPINIO_ADMIN_URL is not set: a role that may create roles and "
                            "databases, postgresql://postgres:...@HOST/postgres");
    enum fl_code code = fl_admin_connect(url.p, &pg, &err);
    if (code == FL_OK)
        code = fl_migrate_missing(pg, missing, &err);
    if (code == FL_OK) {
        make_passwords(m, missing, &passwords);
        code = fl_migrate_bootstrap(pg, &passwords, &err);
    }
    if (code == FL_OK)
        say_roles(m, pg);
    fl_admin_close(&pg);
    fl_cleanse(url.p, url.n);
    fl_buf_fini(&url);
    return code ? fl_cli_error(m->cli, &err) : FL_EXIT_DONE;
}

/* ---------------------------------------------------------------- the schema */
static enum fl_code show_pending(struct migrate *m, struct pg_conn *pg, struct fl_err *err)
{
    int there;
    enum fl_code code = fl_migrate_current(pg, &there, err);
    if (code)
        return code;
    fl_cli_say(m->cli, "the database has schema %d and this program %d%s", there,
               fl_schema_version(), there < fl_schema_version() ? "; it would apply:" : "");
    for (const struct fl_embedded *e = fl_migrations; e->name; e++) {
        if (strtol(e->name, NULL, 10) > there)
            fl_cli_say(m->cli, "  %s", e->name);
    }
    return FL_OK;
}

static enum fl_code bring(struct migrate *m, struct pg_conn *pg, struct fl_err *err)
{
    int from = 0, to = 0;
    enum fl_code code = fl_migrate_run(pg, &from, &to, err);
    if (code == FL_OK && from == to)
        fl_cli_say(m->cli, "the database has schema %d already", to);
    else if (code == FL_OK)
        fl_cli_say(m->cli, "the database went from schema %d to %d", from, to);
    return code;
}

static int migrate_schema(struct migrate *m)
{
    struct pg_conn *pg = NULL;
    struct fl_err err;
    if (!m->owner_url.n &&
        !fl_cli_url(m->cli, "owner-url-file", "FLOPINIO_OWNER_URL", &m->owner_url))
        return FL_EXIT_FAILED;
    if (!m->owner_url.n)
        return fl_cli_wrong(m->cli,
                            "FLOPINIO_OWNER_URL is not set: the schema's owner, "
                            "postgresql://flopinio_owner:...@HOST/flopinio; the private database "
                            "needs no migrate, serve sees to it");
    enum fl_code code = fl_admin_connect(m->owner_url.p, &pg, &err);
    if (code == FL_OK)
        code = fl_cli_has(m->cli, "dry-run") ? show_pending(m, pg, &err) : bring(m, pg, &err);
    fl_admin_close(&pg);
    return code ? fl_cli_error(m->cli, &err) : FL_EXIT_DONE;
}

static int migrate(struct fl_cli *cli)
{
    struct migrate m = { .cli = cli };
    int status = FL_EXIT_DONE;
    if (fl_cli_has(cli, "roles-sql")) {
        fl_migrate_roles_sql(&cli->out);
        return FL_EXIT_DONE;
    }
    if (fl_cli_has(cli, "roles"))
        status = make_roles(&m);
    if (status == FL_EXIT_DONE)
        status = migrate_schema(&m);
    if (m.owner_url.p)
        fl_cleanse(m.owner_url.p, m.owner_url.n);
    fl_buf_fini(&m.owner_url);
    fl_cleanse(m.passwords, sizeof m.passwords);
    return status;
}

static const struct fl_cli_flag flags[] = {
    { "roles", NULL, "make the roles and the database first, as the role of FLOPINIO_ADMIN_URL",
      0 },
    { "roles-sql", NULL, "print the SQL that makes them, for an administrator to run", 0 },
    { "dry-run", NULL, "say what would be applied", 0 },
    { "owner-url-file", "FILE", "read FLOPINIO_OWNER_URL from it", 0 },
    { "admin-url-file", "FILE", "read FLOPINIO_ADMIN_URL from it", 0 },
    { NULL, NULL, NULL, 0 },
};

const struct fl_cli_command fl_cmd_migrate[] = {
    { "migrate", "", "brings a PostgreSQL of your own to this program's schema",
      "Needed where database_url is set: serve itself never changes that database. Connects as "
      "the schema's owner, by FLOPINIO_OWNER_URL. Run it before a newer program is started; "
      "programs of this and of the last schema work meanwhile.\n"
      "  FLOPINIO_ADMIN_URL=postgresql://postgres:SECRET@db.example.com/postgres \\\n"
      "      flopinio migrate --roles\n"
      "  FLOPINIO_OWNER_URL=postgresql://flopinio_owner:SECRET@db.example.com/flopinio flopinio migrate",
      0, flags, migrate },
    { .name = NULL }
};
