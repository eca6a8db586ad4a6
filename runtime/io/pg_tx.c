/* Building transactions and reading their results. */
#include <stdlib.h>
#include <string.h>

#include "flopinio/base/mem.h"
#include "runtime/io/pg_priv.h"

static struct fl_query nowhere; /* appends go here when there is no memory; never sent */

void fl_tx_init(struct fl_tx *tx, struct fl_pg *pg, struct fl_arena *arena,
                const struct fl_uuid *organization)
{
    *tx = (struct fl_tx){ .pg = pg, .arena = arena };
    fl_list_init(&tx->link);
    if (organization) {
        tx->organization = *organization;
        tx->has_organization = true;
    }
}

static void forget_round(struct fl_tx *tx)
{
    for (struct fl_query *q = tx->first; q; q = q->next) {
        PQclear(q->result);
        q->result = NULL;
    }
    tx->first = tx->last = NULL;
    tx->is_round_over = false;
}

void fl_tx_fini(struct fl_tx *tx)
{
    FL_ASSERT(!tx->op && !tx->conn);
    forget_round(tx);
}

struct fl_query *fl_tx_add(struct fl_tx *tx, struct fl_sql *sql)
{
    FL_ASSERT(!tx->op);
    if (tx->is_round_over)
        forget_round(tx);
    struct fl_query *q = FL_ARENA_NEW(tx->arena, struct fl_query);
    if (!q) {
        tx->is_nomem = true;
        nowhere = (struct fl_query){ 0 };
        return &nowhere;
    }
    q->sql = sql;
    if (tx->last)
        tx->last->next = q;
    else
        tx->first = q;
    tx->last = q;
    return q;
}

static void put_param(struct fl_query *q, const char *value, size_t n, int format)
{
    FL_ASSERT(q->count < FL_SQL_PARAMS && n <= INT32_MAX);
    q->values[q->count] = value;
    q->lengths[q->count] = (int)n;
    q->formats[q->count] = format;
    q->count++;
}

void fl_bind_null(struct fl_query *q)
{
    put_param(q, NULL, 0, 0);
}

/* Copies, so that parameters outlive whatever they were made of. */
static void copy_param(struct fl_tx *tx, struct fl_query *q, const void *p, size_t n, int format)
{
    char *copy = fl_arena_strndup(tx->arena, p, n);
    if (!copy)
        tx->is_nomem = true;
    put_param(q, copy, n, format);
}

void fl_bind_uuid(struct fl_tx *tx, struct fl_query *q, const struct fl_uuid *id)
{
    if (!id || fl_uuid_is_zero(id))
        fl_bind_null(q);
    else
        copy_param(tx, q, id->b, sizeof id->b, 1);
}

void fl_bind_text(struct fl_tx *tx, struct fl_query *q, struct fl_str text)
{
    if (!text.p)
        fl_bind_null(q);
    else
        copy_param(tx, q, text.p, text.n, 0);
}

void fl_bind_z(struct fl_tx *tx, struct fl_query *q, const char *text)
{
    fl_bind_text(tx, q, fl_str_of(text));
}

void fl_bind_bytes(struct fl_tx *tx, struct fl_query *q, struct fl_str bytes)
{
    if (!bytes.p)
        fl_bind_null(q);
    else
        copy_param(tx, q, bytes.p, bytes.n, 1);
}

void fl_bind_int(struct fl_tx *tx, struct fl_query *q, int64_t value)
{
    char *text = fl_arena_printf(tx->arena, "%lld", (long long)value);
    if (!text)
        tx->is_nomem = true;
    put_param(q, text, text ? strlen(text) : 0, 0);
}

void fl_bind_bool(struct fl_tx *tx, struct fl_query *q, bool value)
{
    FL_UNUSED(tx);
    put_param(q, value ? "t" : "f", 1, 0);
}

/* PostgreSQL's binary array: dimensions, null flag, element type, then length and lower bound of
 * the one dimension, then the items, each with its length. */
#define ARRAY_HEAD 20

void fl_array_init(struct fl_array *array, enum fl_array_type type)
{
    static const char head[ARRAY_HEAD];
    *array = (struct fl_array){ .type = type };
    fl_buf_put(&array->buf, head, sizeof head);
}

void fl_array_reserve(struct fl_array *array, size_t count, size_t bytes)
{
    (void)fl_buf_reserve(&array->buf, count * 4 + bytes);
}

void fl_array_put(struct fl_array *array, const void *bytes, size_t n)
{
    FL_ASSERT(n <= INT32_MAX);
    array->count++;
    fl_buf_be32(&array->buf, bytes ? (uint32_t)n : UINT32_MAX);
    if (bytes)
        fl_buf_put(&array->buf, bytes, n);
}

void fl_array_put_int(struct fl_array *array, int64_t value)
{
    uint64_t be = __builtin_bswap64((uint64_t)value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    be = (uint64_t)value;
#endif
    fl_array_put(array, &be, sizeof be);
}

void fl_bind_array(struct fl_tx *tx, struct fl_query *q, struct fl_array *array)
{
    struct fl_buf head = FL_BUF_INIT;
    fl_buf_be32(&head, array->count ? 1 : 0);
    fl_buf_be32(&head, 1); /* there may be nulls */
    fl_buf_be32(&head, (uint32_t)array->type);
    fl_buf_be32(&head, array->count);
    fl_buf_be32(&head, 1);
    if (head.is_failed || array->buf.is_failed) {
        tx->is_nomem = true;
        fl_bind_null(q);
    } else {
        memcpy(array->buf.p, head.p, ARRAY_HEAD);
        /* An empty array has no dimension at all. */
        copy_param(tx, q, array->buf.p, array->count ? array->buf.n : 12, 1);
    }
    fl_buf_fini(&head);
    fl_buf_fini(&array->buf);
}

int fl_rows(const struct fl_query *q)
{
    return q->result ? PQntuples(q->result) : 0;
}

int64_t fl_rows_affected(const struct fl_query *q)
{
    long long n = 0;
    if (q->result)
        (void)fl_str_to_i64(fl_str_of(PQcmdTuples(q->result)), &n);
    return n;
}

bool fl_cell_is_null(const struct fl_query *q, int row, int col)
{
    return PQgetisnull(q->result, row, col) != 0;
}

struct fl_str fl_cell(const struct fl_query *q, int row, int col)
{
    FL_ASSERT(row < PQntuples(q->result) && col < PQnfields(q->result));
    if (PQgetisnull(q->result, row, col))
        return (struct fl_str){ NULL, 0 };
    return (struct fl_str){ PQgetvalue(q->result, row, col),
                            (size_t)PQgetlength(q->result, row, col) };
}

int64_t fl_cell_int(const struct fl_query *q, int row, int col)
{
    long long value = 0;
    struct fl_str text = fl_cell(q, row, col);
    FL_ASSERT(!text.p || fl_str_to_i64(text, &value)); /* the column's type says it is one */
    return value;
}

bool fl_cell_bool(const struct fl_query *q, int row, int col)
{
    return fl_str_is(fl_cell(q, row, col), "t");
}

struct fl_uuid fl_cell_uuid(const struct fl_query *q, int row, int col)
{
    struct fl_uuid id = { { 0 } };
    struct fl_str text = fl_cell(q, row, col);
    FL_ASSERT(!text.p || fl_uuid_parse(text, &id));
    return id;
}

struct fl_str fl_cell_bytes(const struct fl_query *q, struct fl_arena *arena, int row, int col)
{
    struct fl_str text = fl_cell(q, row, col);
    if (!text.p)
        return text;
    FL_ASSERT(text.n >= 2 && text.p[0] == '\\' && text.p[1] == 'x'); /* bytea_output is hex */
    size_t n = (text.n - 2) / 2;
    char *bytes = fl_arena_alloc(arena, n + 1);
    if (!bytes)
        return (struct fl_str){ NULL, 0 };
    FL_ASSERT(fl_unhex((struct fl_str){ text.p + 2, text.n - 2 }, bytes, n));
    return (struct fl_str){ bytes, n };
}
