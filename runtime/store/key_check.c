/* The installation's row and its key checks. */
#include "runtime/store/key_check.h"

#include <stdio.h>

#include "flopinio/base/id.h"
#include "flopinio/base/mem.h"
#include "runtime/io/pg_admin.h"

enum fl_code fl_key_checks_are_new(struct pg_conn *pg, bool *ret, struct fl_err *err)
{
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_exec(pg, "SELECT 1 FROM flopinio.installation", &res, err);
    if (code)
        return code;
    *ret = fl_admin_rows(res) == 0;
    fl_admin_clear(&res);
    return FL_OK;
}

enum fl_code fl_key_checks_get(struct pg_conn *pg, json_t **ret, struct fl_err *err)
{
    static const char make[] =
        "INSERT INTO flopinio.installation (id) VALUES ($1::uuid) ON CONFLICT DO NOTHING";
    char id_text[FL_UUID_TEXT];
    struct fl_uuid id = fl_uuid_new();
    const char *values[] = { fl_uuid_format(&id, id_text) };
    struct pg_result *res = NULL;
    enum fl_code code = fl_admin_query(pg, make, 1, values, NULL, err);
    if (code == FL_OK)
        code = fl_admin_exec(pg, "SELECT key_checks FROM flopinio.installation", &res, err);
    if (code)
        return code;
    *ret = fl_json_parse(fl_str_of(fl_admin_cell(res, 0, 0)), err);
    fl_admin_clear(&res);
    return *ret ? FL_OK : FL_INTERNAL;
}

enum fl_code fl_key_checks_add(struct pg_conn *pg, const json_t *checks, struct fl_err *err)
{
    char *text = json_dumps(checks, JSON_COMPACT);
    const char *values[] = { text };
    if (!text)
        return fl_err_code(err, FL_NOMEM);
    enum fl_code code =
        fl_admin_query(pg, "UPDATE flopinio.installation SET key_checks = key_checks || $1::jsonb",
                       1, values, NULL, err);
    fl_free(text);
    return code;
}

long long fl_key_checks_rows(struct pg_conn *pg, uint32_t key_id)
{
    char number[16];
    const char *values[] = { number };
    struct pg_result *res = NULL;
    struct fl_err err;
    snprintf(number, sizeof number, "%u", key_id);
    if (fl_admin_query(pg, "SELECT flopinio.sweep_key_rows($1::bigint)", 1, values, &res, &err))
        return -1;
    long long n = fl_admin_int(res, 0, 0);
    fl_admin_clear(&res);
    return n;
}
