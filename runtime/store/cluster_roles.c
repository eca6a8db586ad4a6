/* Whether the roles of a private cluster are as they were left. */
#include "runtime/store/cluster_roles.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "flopinio/base/id.h"
#include "runtime/crypto/digest.h"
#include "runtime/io/pg_admin.h"

#define DIGEST_TEXT (2 * FL_SHA256_BYTES + 1)

/* Everything that fl_migrate_bootstrap sets. */
static const char state_sql[] =
    "SELECT concat_ws('|', (SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolinherit, "
    "rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword, "
    "rolvaliduntil), ';' ORDER BY rolname) FROM pg_authid WHERE rolname LIKE 'flopinio%'), "
    "(SELECT string_agg(concat_ws(' ', roleid, member), ';' ORDER BY roleid, member) FROM "
    "pg_auth_members), (SELECT concat_ws(' ', 'database', oid, datdba, datacl) FROM pg_database "
    "WHERE datname = 'flopinio'))";

/* Of the state and the passwords that were set in it: both are long and random, so that the digest
 * tells neither. */
static enum fl_code digest(struct pg_conn *pg, const struct fl_role_passwords *passwords,
                           char ret[DIGEST_TEXT], struct fl_err *err)
{
    const char *const secrets[] = { passwords->owner, passwords->app, passwords->verifier,
                                    passwords->backup };
    struct pg_result *res = NULL;
    struct fl_sha256 s;
    uint8_t raw[FL_SHA256_BYTES];
    enum fl_code code = fl_admin_exec(pg, state_sql, &res, err);
    if (code)
        return code;
    struct fl_buf made = FL_BUF_INIT; /* what this program would make */
    fl_migrate_roles_sql(&made);
    fl_sha256_init(&s);
    fl_sha256_part(&s, fl_buf_view(&made));
    for (size_t i = 0; i < FL_COUNTOF(secrets); i++)
        fl_sha256_part(&s, fl_str_of(secrets[i]));
    fl_sha256_part(&s, fl_str_of(fl_admin_cell(res, 0, 0)));
    fl_sha256_final(&s, raw);
    bool is_made = !made.is_failed;
    fl_buf_fini(&made);
    fl_admin_clear(&res);
    if (!is_made)
        return fl_err_code(err, FL_NOMEM);
    fl_hex(raw, sizeof raw, ret);
    return FL_OK;
}

static bool is_noted(const char *note, const char *text)
{
    char noted[DIGEST_TEXT] = "";
    int fd = open(note, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, noted, sizeof noted - 1);
    if (fd >= 0)
        close(fd);
    return n == DIGEST_TEXT - 1 && memcmp(noted, text, DIGEST_TEXT - 1) == 0;
}

/* Without it the next start does it all again. */
static void put_note(const char *note, const char *text)
{
    int fd = open(note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    close(fd);
}

enum fl_code fl_cluster_roles(struct pg_conn *pg, const struct fl_role_passwords *passwords,
                              const char *note, struct fl_err *err)
{
    char text[DIGEST_TEXT];
    enum fl_code code = digest(pg, passwords, text, err);
    if (code || is_noted(note, text))
        return code;
    code = fl_migrate_bootstrap(pg, passwords, err);
    if (code == FL_OK)
        code = digest(pg, passwords, text, err);
    if (code == FL_OK)
        put_note(note, text);
    return code;
}
