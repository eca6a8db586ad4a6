/* Table audit_event. */
#include "runtime/store/audit.h"

#include <string.h>

#include "runtime/store/sql.h"

static struct fl_sql sql_insert = {
    "audit_insert",
    "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, subject_kind, "
    "subject_id, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    0
};
static struct fl_sql sql_insert_many = {
    "audit_insert_many",
    "INSERT INTO audit_event (organization_id, event_id, actor_id, leaf, kind, actor_kind, "
    "subject_kind, subject_id) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], "
    "$4::bytea[], $5::text[], $6::text[], $7::text[], $8::uuid[])",
    0
};
/* The same for rows that are alike, as the reads of agents are: what they share is sent once, and a
 * row costs the database a tenth less. */
static struct fl_sql sql_insert_alike = {
    "audit_insert_alike",
    "INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, actor_id, subject_kind, "
    "leaf) SELECT o, e, $5, $6, a, $7, l FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], "
    "$4::bytea[]) AS r (o, e, a, l)",
    0
};
/* A row's time is when its transaction began, so that one with an earlier time may still be to come
 * while such a transaction runs: settled rows are older than each of them, and than the moment
 * between a transaction's beginning and its showing. */
#define FILTER(order)                                                                                                                                                                      \
    "SELECT event_id, " US(                                                                                                                                                                \
        "recorded_at") ", kind, leaf FROM audit_event WHERE organization_id = "                                                                                                            \
                       "(SELECT org()) AND ($1::uuid IS NULL OR actor_id = $1) AND ($2::uuid IS NULL OR subject_id = "                                                                     \
                       "$2) AND ($3::text IS NULL OR starts_with(kind, $3)) AND ($4::bigint = 0 OR recorded_at >= " AT(                                                                    \
                           "$4") ") AND ($5::bigint = 0 OR recorded_at < " AT("$5") ") AND ($6::uuid IS NULL OR "                                                                          \
                                                                                    "(recorded_at, event_id) " order                                                                       \
                                                                                    " (" AT_US(                                                                                            \
                                                                                        "$7") ", $6)) AND ($9::text IS NULL OR "                                                           \
                                                                                              "actor_kind = $9) AND ($10::text IS NULL OR subject_kind = $10) AND (NOT $11::boolean OR "   \
                                                                                              "recorded_at < (SELECT min(xact_start) - interval '250 milliseconds' FROM pg_stat_activity " \
                                                                                              "WHERE datname = current_database())) "
static struct fl_sql sql_list = { "audit_list",
                                  FILTER(">") "ORDER BY recorded_at, event_id LIMIT $8", 0 };
static struct fl_sql sql_list_newest = {
    "audit_list_newest", FILTER("<") "ORDER BY recorded_at DESC, event_id DESC LIMIT $8", 0
};
static struct fl_sql sql_count = {
    "audit_count",
    "SELECT count(*) FROM audit_event WHERE organization_id = (SELECT org()) AND actor_id = $1 AND "
    "kind = $2 AND recorded_at >= " AT("$3"),
    0
};

void fl_store_audit_bind(struct fl_tx *tx, struct fl_query *q, const struct fl_audit_row *row)
{
    fl_bind_uuid(tx, q, &row->id);
    fl_bind_z(tx, q, row->kind);
    fl_bind_z(tx, q, row->actor_kind);
    fl_bind_uuid(tx, q, &row->actor_id);
    fl_bind_z(tx, q, row->subject_kind);
    fl_bind_uuid(tx, q, &row->subject_id);
    fl_bind_bytes(tx, q, row->leaf);
}

void fl_store_audit_insert(struct fl_tx *tx, const struct fl_audit_row *row)
{
    struct fl_query *q = fl_tx_add(tx, &sql_insert);
    char text[FL_UUID_TEXT];
    /* As text: the nil id stands for the installation itself and is a value here, not null. */
    fl_bind_z(tx, q, fl_uuid_format(&row->organization, text));
    fl_store_audit_bind(tx, q, row);
}

static void put_id(struct fl_array *array, const struct fl_uuid *id)
{
    fl_array_put(array, fl_uuid_is_zero(id) ? NULL : id->b, sizeof id->b);
}

/* Its words are the program's own, so that the same word is the same pointer (where the linker left
 * two, the rows go the longer way). */
static bool are_alike(const struct fl_audit_row *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->kind != rows[0]->kind || rows[i]->actor_kind != rows[0]->actor_kind ||
            rows[i]->subject_kind != rows[0]->subject_kind ||
            !fl_uuid_is_zero(&rows[i]->subject_id))
            return false;
    }
    return true;
}

enum { ORGANIZATION, EVENT, ACTOR, LEAF, KIND, ACTOR_KIND, SUBJECT_KIND, SUBJECT, ARRAYS };

static void put_row(struct fl_array *arrays, const struct fl_audit_row *row)
{
    fl_array_put(&arrays[ORGANIZATION], row->organization.b, sizeof row->organization.b);
    put_id(&arrays[EVENT], &row->id);
    put_id(&arrays[ACTOR], &row->actor_id);
    fl_array_put(&arrays[LEAF], row->leaf.p, row->leaf.n);
}

static void put_words(struct fl_array *arrays, const struct fl_audit_row *row)
{
    fl_array_put(&arrays[KIND], row->kind, strlen(row->kind));
    fl_array_put(&arrays[ACTOR_KIND], row->actor_kind, strlen(row->actor_kind));
    fl_array_put(&arrays[SUBJECT_KIND], row->subject_kind, strlen(row->subject_kind));
    put_id(&arrays[SUBJECT], &row->subject_id);
}

void fl_store_audit_insert_many(struct fl_tx *tx, const struct fl_audit_row *const *rows,
                                size_t count)
{
    static const enum fl_array_type types[ARRAYS] = {
        [ORGANIZATION] = FL_ARRAY_UUID, [EVENT] = FL_ARRAY_UUID,   [ACTOR] = FL_ARRAY_UUID,
        [LEAF] = FL_ARRAY_BYTES,        [KIND] = FL_ARRAY_TEXT,    [ACTOR_KIND] = FL_ARRAY_TEXT,
        [SUBJECT_KIND] = FL_ARRAY_TEXT, [SUBJECT] = FL_ARRAY_UUID,
    };
    struct fl_array a[ARRAYS];
    bool is_alike = are_alike(rows, count);
    int arrays = is_alike ? KIND : ARRAYS;
    size_t leaves = 0;
    for (size_t i = 0; i < count; i++)
        leaves += rows[i]->leaf.n;
    for (int i = 0; i < arrays; i++) {
        fl_array_init(&a[i], types[i]);
        fl_array_reserve(&a[i], count, i == LEAF ? leaves : 16 * count);
    }
    for (size_t i = 0; i < count; i++) {
        put_row(a, rows[i]);
        if (!is_alike)
            put_words(a, rows[i]);
    }
    struct fl_query *q = fl_tx_add(tx, is_alike ? &sql_insert_alike : &sql_insert_many);
    for (int i = 0; i < arrays; i++)
        fl_bind_array(tx, q, &a[i]);
    if (is_alike) {
        fl_bind_z(tx, q, rows[0]->kind);
        fl_bind_z(tx, q, rows[0]->actor_kind);
        fl_bind_z(tx, q, rows[0]->subject_kind);
    }
}

struct fl_query *fl_store_audit_list(struct fl_tx *tx, const struct fl_audit_filter *f)
{
    struct fl_query *q = fl_tx_add(tx, f->newest_first ? &sql_list_newest : &sql_list);
    fl_bind_uuid(tx, q, &f->actor);
    fl_bind_uuid(tx, q, &f->subject);
    fl_bind_z(tx, q, f->kind_prefix);
    fl_bind_int(tx, q, f->since_ms);
    fl_bind_int(tx, q, f->until_ms);
    fl_bind_uuid(tx, q, &f->after);
    fl_bind_int(tx, q, f->after_us);
    fl_bind_int(tx, q, f->most);
    fl_bind_z(tx, q, f->actor_kind);
    fl_bind_z(tx, q, f->subject_kind);
    fl_bind_bool(tx, q, f->only_settled);
    return q;
}

struct fl_query *fl_store_audit_count(struct fl_tx *tx, const struct fl_uuid *actor,
                                      const char *kind, int64_t since_ms)
{
    struct fl_query *q = fl_tx_add(tx, &sql_count);
    fl_bind_uuid(tx, q, actor);
    fl_bind_z(tx, q, kind);
    fl_bind_int(tx, q, since_ms);
    return q;
}
